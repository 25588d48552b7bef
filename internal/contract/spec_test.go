package contract

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/tools/specbundle"
)

const apiDir = "../../api"

// tagOwners is the list of tags and the one domain each belongs to.
var tagOwners = map[string][]string{
	"identity":        {"auth", "staff", "roles", "stores", "api_keys"},
	"customers":       {"customers", "tags"},
	"timeline":        {"timeline"},
	"imports":         {"imports", "exports"},
	"member":          {"member"},
	"forms":           {"forms"},
	"catalog":         {"catalog"},
	"inventory":       {"inventory"},
	"orders":          {"orders"},
	"pricing":         {"pricing", "promotions", "coupons"},
	"membership":      {"membership", "tiers"},
	"points":          {"points"},
	"referrals":       {"referrals"},
	"wallets":         {"wallets"},
	"rewards":         {"rewards"},
	"behaviour":       {"events"},
	"segments":        {"segments"},
	"analytics":       {"analytics"},
	"reports":         {"reports"},
	"campaigns":       {"campaigns", "templates", "messages"},
	"automations":     {"automations"},
	"tasks":           {"tasks"},
	"support":         {"tickets", "conversations", "faqs"},
	"surveys":         {"surveys"},
	"bookings":        {"bookings"},
	"merchants":       {"merchants", "receipts"},
	"recommendations": {"recommendations"},
	"webhooks":        {"webhooks"},
	"integrations":    {"integrations"},
	"privacy":         {"privacy"},
	"operations":      {"jobs", "audit", "ops"},
}

func bundle(t *testing.T) *Contract {
	t.Helper()
	c, err := Load()
	require.NoError(t, err)
	return c
}

func TestBundleIsFresh(t *testing.T) {
	made, err := specbundle.Bundle(apiDir)
	require.NoError(t, err)
	for _, file := range []string{"openapi.yaml", "../../openapi.yaml"} {
		committed, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.True(t, string(committed) == string(made), "%s is stale: run make generate", file)
	}
}

func TestDocumentIsValid(t *testing.T) {
	spec, err := openapi3.NewLoader().LoadFromData(document)
	require.NoError(t, err)
	require.NoError(t, spec.Validate(t.Context(), openapi3.DisableExamplesValidation()), "examples are checked below, with our formats")
}

func TestTagsBelongToTheirDomain(t *testing.T) {
	domains, err := specbundle.Domains(apiDir)
	require.NoError(t, err)
	for _, domain := range domains {
		raw, err := os.ReadFile(filepath.Join(apiDir, domain, domain+".yaml"))
		require.NoError(t, err)
		var doc struct {
			Tags []struct {
				Name        string
				Description string
			}
			Paths map[string]map[string]yaml.Node
		}
		require.NoError(t, yaml.Unmarshal(raw, &doc))
		for _, tag := range doc.Tags {
			assert.Contains(t, tagOwners[domain], tag.Name, "%s declares tag %s", domain, tag.Name)
			assert.NotEmpty(t, tag.Description, "%s: tag %s", domain, tag.Name)
		}
		for path, item := range doc.Paths {
			for method, node := range item {
				var op struct{ Tags []string }
				if method == "parameters" || node.Decode(&op) != nil {
					continue
				}
				if assert.Len(t, op.Tags, 1, "%s %s", method, path) {
					assert.Contains(t, tagOwners[domain], op.Tags[0], "%s: %s %s", domain, method, path)
				}
			}
		}
	}
}

const stepUpNote = "proof of identity within the last 5 minutes"

var camelCase = regexp.MustCompile(`^[a-z][a-zA-Z0-9]*$`)

func TestOperations(t *testing.T) {
	permissions := map[string]bool{"self": true, "member": true}
	for _, p := range auth.All() {
		permissions[string(p)] = true
	}
	seen := map[string]string{}
	for _, op := range bundle(t).Operations() {
		t.Run(op.ID, func(t *testing.T) {
			assert.Regexp(t, camelCase, op.ID)
			assert.Empty(t, seen[op.ID], "operationId is taken")
			seen[op.ID] = op.Path
			assert.NotEmpty(t, op.spec.Summary, "summary")
			assert.NotEmpty(t, op.spec.Description, "description")
			if op.Public {
				assert.Empty(t, op.Permission, "a public operation has no x-permission")
				assert.Zero(t, op.StepUp, "a public operation has nobody to ask for x-step-up")
			} else {
				assert.True(t, permissions[op.Permission], "x-permission %q is no permission", op.Permission)
				assert.Equal(t, op.Tag == "member", op.Permission == "member", "members have operations of their own")
			}
			checkStepUp(t, op)
			checkIdempotency(t, op)
			checkParameters(t, op)
			checkRequest(t, op)
			checkResponses(t, op)
			checkList(t, op)
		})
	}
}

// checkStepUp: what gives rights away or destroys much asks for a fresh proof,
// and readers of /docs are told, since the page shows no extensions.
func checkStepUp(t *testing.T, op *Operation) {
	assert.Equal(t, op.StepUp != StepUpNever, strings.Contains(op.spec.Description, stepUpNote), "x-step-up goes with the note %q in the description", stepUpNote)
	if op.Method == "GET" {
		assert.Zero(t, op.StepUp, "reading needs no x-step-up")
	}
	switch op.Permission {
	case "roles.manage", "api_keys.manage":
		assert.True(t, op.StepUp == StepUpAlways || op.Method == "GET", "%s without x-step-up", op.Permission)
	}
}

// TestStepUpMarks holds the marks against what was decided.
func TestStepUpMarks(t *testing.T) {
	marked := map[string]bool{}
	for _, op := range bundle(t).Operations() {
		if op.StepUp != StepUpNever {
			marked[op.ID] = true
		}
	}
	for _, id := range []string{"createRole", "updateRole", "deleteRole", "createGrant", "deleteGrant", "createStaff", "updateStaff", "deleteStaff",
		"resetStaffPassword", "resetStaffFactors", "createApiKey", "revokeApiKey", "deleteStore", "deleteRegion", "bulkCustomers", "deleteCustomer", "updateRFMSettings",
		"createClearExport", "enrolTotp", "enrolSms", "removeSecondFactor", "renewRecoveryCodes"} {
		assert.True(t, marked[id], "%s asks for a fresh proof", id)
	}
	assert.False(t, marked["stepUp"])
}

func checkIdempotency(t *testing.T, op *Operation) {
	if op.Method != "POST" {
		assert.Empty(t, op.Idempotency, "x-idempotency is for POST")
		return
	}
	assert.Contains(t, []Idempotency{IdempotencyRequired, IdempotencyOptional, IdempotencyNone}, op.Idempotency, "x-idempotency")
	takesKey := op.spec.Parameters.GetByInAndName("header", "Idempotency-Key") != nil
	assert.Equal(t, op.Idempotency != IdempotencyNone, takesKey, "parameter IdempotencyKey goes with x-idempotency %s", op.Idempotency)
}

func checkParameters(t *testing.T, op *Operation) {
	for _, p := range op.parameters {
		assert.NotEmpty(t, p.Description, "parameter %s: description", p.Name)
		require.NotNil(t, p.Schema, "parameter %s: schema", p.Name)
		if op.Stream || p.Name != "ticket" {
			continue
		}
		assert.Fail(t, "ticket is for streams")
	}
	for _, m := range parameter.FindAllStringSubmatch(op.Path, -1) {
		assert.True(t, slices.ContainsFunc(op.parameters, func(p *openapi3.Parameter) bool { return p.In == "path" && p.Name == m[1] }), "path parameter %s is not declared", m[1])
	}
}

func checkRequest(t *testing.T, op *Operation) {
	if op.body == nil || op.Raw {
		return
	}
	for name, media := range op.body.Content {
		assert.Contains(t, []string{"application/json", "multipart/form-data"}, name, "merge patches are accepted without being named")
		require.NotNil(t, media.Schema)
		assert.NotEmpty(t, media.Schema.Ref, "request schema must be a named component")
		closed(t, media.Schema, media.Schema.Ref, map[*openapi3.Schema]bool{})
		if name == "application/json" {
			checkExamples(t, "request", media)
		}
	}
}

// closed demands that every object in a request refuses unknown fields, unless
// it is a map, whose keys are data.
func closed(t *testing.T, ref *openapi3.SchemaRef, where string, seen map[*openapi3.Schema]bool) {
	if ref == nil || seen[ref.Value] {
		return
	}
	s := ref.Value
	seen[s] = true
	assert.False(t, s.ReadOnly || s.WriteOnly, "%s: separate schemas instead of readOnly and writeOnly", where)
	if s.Type.Is("object") && len(s.Properties) > 0 {
		assert.True(t, s.AdditionalProperties.Has != nil && !*s.AdditionalProperties.Has, "%s: additionalProperties must be false in requests", where)
	}
	for name, p := range s.Properties {
		closed(t, p, where+"/"+name, seen)
	}
	closed(t, s.Items, where+"/items", seen)
	closed(t, s.AdditionalProperties.Schema, where+"/*", seen)
	if len(s.AllOf) == 1 && s.Nullable { // a nullable reference
		closed(t, s.AllOf[0], where, seen)
	} else {
		assert.Empty(t, s.AllOf, "%s: allOf cannot be closed, write the fields out", where)
	}
	for _, list := range []openapi3.SchemaRefs{s.OneOf, s.AnyOf} {
		for _, p := range list {
			closed(t, p, where+"|", seen)
		}
	}
}

func checkResponses(t *testing.T, op *Operation) {
	successes := 0
	for code, ref := range op.spec.Responses.Map() {
		if code == "default" {
			problem := "#/components/responses/Problem"
			if op.ID == "createOAuthToken" { // RFC 6749 prescribes another shape
				problem = "#/components/responses/OAuthProblem"
			}
			assert.Equal(t, problem, ref.Ref, "default is the shared problem")
			continue
		}
		status, err := strconv.Atoi(code)
		require.NoError(t, err)
		assert.Less(t, status, 400, "problems are described once, by default")
		if status/100 == 2 {
			successes++
		}
		assert.NotEmpty(t, ref.Value.Description, "response %s: description", code)
		for name, media := range ref.Value.Content {
			require.NotNil(t, media.Schema, "response %s: schema", code)
			if name == "application/json" {
				assert.NotEmpty(t, media.Schema.Ref, "response %s: schema must be a named component", code)
			}
			checkExamples(t, "response "+code, media)
		}
		if status == 201 {
			assert.Contains(t, ref.Value.Headers, "Location", "response 201")
		}
	}
	assert.Equal(t, 1, successes, "exactly one success response")
	assert.NotNil(t, op.spec.Responses.Default(), "default response")
}

// checkExamples wants one at the media type or at its schema, matching the schema.
func checkExamples(t *testing.T, where string, media *openapi3.MediaType) {
	examples := map[string]any{}
	if media.Example != nil {
		examples["example"] = media.Example
	}
	for name, ref := range media.Examples {
		examples[name] = ref.Value.Value
	}
	if media.Schema.Value.Example != nil {
		examples["schema example"] = media.Schema.Value.Example
	}
	assert.NotEmpty(t, examples, "%s: no example", where)
	for name, value := range examples {
		assert.NoError(t, media.Schema.Value.VisitJSON(value, openapi3.MultiErrors(), formats), "%s: %s", where, name)
	}
}

// checkList: what answers items is a page.
func checkList(t *testing.T, op *Operation) {
	ok := op.spec.Responses.Value("200")
	if ok == nil || ok.Value.Content["application/json"] == nil {
		return
	}
	s := ok.Value.Content["application/json"].Schema.Value
	isList := strings.HasPrefix(op.ID, "list")
	if s.Properties["items"] == nil {
		assert.False(t, isList, "a list answers items")
		return
	}
	if op.Method == "GET" && isList {
		for _, name := range []string{"limit", "cursor", "include"} {
			assert.NotNil(t, op.query[name], "a list takes %s", name)
		}
	}
	for _, name := range []string{"items", "next_cursor", "has_more"} {
		assert.NotNil(t, s.Properties[name], "a list answers %s", name)
		assert.Contains(t, s.Required, name)
	}
	if p := s.Properties["next_cursor"]; p != nil {
		assert.True(t, p.Value.Nullable, "next_cursor is nullable")
	}
	if op.query["include"] != nil {
		assert.NotNil(t, s.Properties["total_count"], "include=total_count needs total_count")
	}
}

func TestSchemas(t *testing.T) {
	spec, err := openapi3.NewLoader().LoadFromData(document)
	require.NoError(t, err)
	for name, ref := range spec.Components.Schemas {
		t.Run(name, func(t *testing.T) {
			assert.Regexp(t, `^[A-Z][A-Za-z0-9]*$`, name)
			inspect(t, name, ref.Value)
			if ref.Value.Example != nil {
				c := bundle(t) // normalized: null where the document means it
				assert.NoError(t, c.spec.Components.Schemas[name].Value.VisitJSON(ref.Value.Example, openapi3.MultiErrors(), formats), "example")
			}
		})
	}
}

// knownFormats are those that validation and the generated code agree on;
// email is missing on purpose, since masked addresses are no e-mail addresses.
var knownFormats = []string{"", "uuid", "date", "date-time", "int32", "int64", "double", "float", "binary", "byte", "uri", "uri-reference", "password"}

func inspect(t *testing.T, where string, s *openapi3.Schema) {
	assert.NotNil(t, typeOrComposition(s), "%s: no type", where)
	assert.Contains(t, knownFormats, s.Format, "%s: format", where)
	if s.Type.Is("string") && len(s.Enum) > 0 {
		assert.NotContains(t, s.Enum, nil, "%s: nullable instead of null among the values", where)
	}
	if s.Type.Is("integer") {
		assert.NotEmpty(t, s.Format, "%s: integers are int32 or int64", where)
	}
	if names, ok := s.Extensions["x-enum-varnames"].([]any); ok {
		assert.Len(t, names, len(s.Enum), "%s: one name for each value", where)
	}
	if len(s.OneOf) > 0 {
		assert.NotNil(t, s.Discriminator, "%s: oneOf needs a discriminator", where)
	}
	for _, name := range s.Required {
		assert.Contains(t, s.Properties, name, "%s: required but not described", where)
	}
	for name, p := range s.Properties {
		at := where + "." + name
		assert.Regexp(t, `^[a-z][a-z0-9_]*$`, name, at)
		inline(t, at, p)
		switch {
		case strings.HasSuffix(name, "_amount"):
			assert.True(t, p.Value.Type.Is("integer") && p.Value.Format == "int64", "%s: money is int64", at)
		case strings.HasSuffix(name, "_at"):
			// No format where a bad row must not refuse its whole batch.
			assert.True(t, p.Value.Type.Is("string") && (p.Value.Format == "date-time" || p.Value.Format == ""), "%s: an instant is a date-time", at)
		case strings.HasSuffix(name, "_on"), name == "birth_date":
			// No format where a partial date is fine, or where a bad row must not refuse its whole batch.
			assert.True(t, p.Value.Type.Is("string") && (p.Value.Format == "date" || p.Value.Format == ""), "%s: a day is a date", at)
		}
	}
	if s.Items != nil {
		inline(t, where+"[]", s.Items)
	}
	if s.AdditionalProperties.Schema != nil {
		inline(t, where+".*", s.AdditionalProperties.Schema)
	}
}

// inline schemas are scalars or lists of something named, never objects:
// generated code has no good name for those.
func inline(t *testing.T, where string, ref *openapi3.SchemaRef) {
	if ref.Ref != "" {
		return
	}
	if len(ref.Value.AllOf) == 0 {
		assert.False(t, ref.Value.Type.Is("object") || len(ref.Value.Properties) > 0, "%s: an object needs a name of its own", where)
	} else {
		assert.True(t, len(ref.Value.AllOf) == 1 && ref.Value.AllOf[0].Ref != "" && ref.Value.Nullable, "%s: allOf is for nullable references", where)
	}
	inspect(t, where, ref.Value)
}

func typeOrComposition(s *openapi3.Schema) any {
	switch {
	case s.Type != nil:
		return s.Type
	case len(s.OneOf)+len(s.AnyOf)+len(s.AllOf) > 0:
		return "composed"
	default:
		return nil
	}
}

func TestParametersInline(t *testing.T) {
	for _, op := range bundle(t).Operations() {
		for _, p := range op.parameters {
			inspect(t, fmt.Sprintf("%s ?%s", op.ID, p.Name), p.Schema.Value)
		}
	}
}

// TestExportsHaveTheFiltersOfTheList: who finds customers in the list can have
// the same ones as a file.
func TestExportsHaveTheFiltersOfTheList(t *testing.T) {
	schemas := bundle(t).spec.Components.Schemas
	export := schemas["ExportFilter"].Value.Properties
	for name := range schemas["CustomerSearch"].Value.Properties {
		if !slices.Contains([]string{"sort", "include", "limit", "cursor"}, name) {
			assert.Contains(t, export, name, "the search of customers has a filter that exports lack: add it to ExportFilter and fromAPIExportFilter of package imports")
		}
	}
}
