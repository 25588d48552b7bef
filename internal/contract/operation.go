package contract

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers"
)

// Idempotency tells what an operation does with an Idempotency-Key.
type Idempotency string

// What an operation says in x-idempotency; the empty value means it is no POST.
const (
	IdempotencyRequired Idempotency = "required"
	IdempotencyOptional Idempotency = "optional"
	IdempotencyNone     Idempotency = "none"
)

// StepUp tells whether an operation asks people for a fresh proof of who they are.
type StepUp uint8

// What an operation says in x-step-up. Partly: the service asks, by what the
// body wants.
const (
	StepUpNever StepUp = iota
	StepUpPartly
	StepUpAlways
)

// DefaultBodyLimit holds where an operation names no x-body-limit, in bytes.
const DefaultBodyLimit = 1 << 20

// Operation is one line of the API: what middleware must know before the
// handler runs.
type Operation struct {
	Method      string // upper case
	Path        string // as in the contract: /v1/customers/{id}
	EchoPath    string // as Echo routes it: /v1/customers/:id
	ID          string // operationId
	Tag         string
	Permission  string      // x-permission: a permission, or "self" for any signed-in actor; empty when public
	Public      bool        // security: [], or with an empty requirement: no sign-in needed
	Optional    bool        // public, but credentials count if there are any
	StepUp      StepUp      // x-step-up: people must have proved lately who they are
	Idempotency Idempotency // empty unless the method is POST
	Stream      bool        // x-stream: server-sent events, uploads and downloads; exempt from buffering and time-outs
	Raw         bool        // x-body: raw; the handler needs the exact bytes, so the body is not touched
	Multipart   bool        // takes multipart/form-data: read part by part by the handler
	BodyLimit   int64       // bytes
	RateLimit   string      // x-rate-limit: name of the class, empty for the general one

	spec       *openapi3.Operation
	route      *routers.Route
	parameters []*openapi3.Parameter
	query      map[string]*openapi3.Parameter
	hasPath    bool
	body       *openapi3.RequestBody
	bodySchema *openapi3.Schema // of application/json, nil when the operation takes none
}

// operation builds the table row of one method of a path, or nil if the key is
// no method (parameters, summary).
func (c *Contract) operation(method, path string) (*Operation, error) {
	item := c.spec.Paths.Value(path)
	spec := item.Operations()[strings.ToUpper(method)]
	if spec == nil {
		return nil, nil
	}
	op := &Operation{
		Method: strings.ToUpper(method), Path: path, EchoPath: echoPath(path), ID: spec.OperationID,
		BodyLimit: DefaultBodyLimit, spec: spec, query: map[string]*openapi3.Parameter{},
		route: &routers.Route{Spec: c.spec, Path: path, PathItem: item, Method: strings.ToUpper(method), Operation: spec},
	}
	if len(spec.Tags) > 0 {
		op.Tag = spec.Tags[0]
	}
	op.Public, op.Optional = access(spec.Security)
	for name, set := range map[string]func(string) error{
		"x-permission":  func(v string) error { op.Permission = v; return nil },
		"x-rate-limit":  func(v string) error { op.RateLimit = v; return nil },
		"x-idempotency": func(v string) error { op.Idempotency = Idempotency(v); return nil },
		"x-body": func(v string) error {
			if v != "raw" {
				return fmt.Errorf("x-body must be raw, is %q", v)
			}
			op.Raw = true
			return nil
		},
		"x-body-limit": func(v string) (err error) { op.BodyLimit, err = parseBytes(v); return err },
	} {
		if v, ok := spec.Extensions[name]; ok {
			text, isText := v.(string)
			if !isText {
				return nil, fmt.Errorf("%s must be a string", name)
			}
			if err := set(text); err != nil {
				return nil, err
			}
		}
	}
	op.Stream, _ = spec.Extensions["x-stream"].(bool)
	if v, ok := spec.Extensions["x-step-up"]; ok {
		switch v {
		case true:
			op.StepUp = StepUpAlways
		case "partly":
			op.StepUp = StepUpPartly
		default:
			return nil, fmt.Errorf("x-step-up must be true or partly, is %v", v)
		}
	}
	op.collectParameters(item)
	if spec.RequestBody != nil {
		op.body = spec.RequestBody.Value
		if media := op.body.Content["application/json"]; media != nil && media.Schema != nil {
			op.bodySchema = media.Schema.Value
		}
		op.Multipart = op.body.Content["multipart/form-data"] != nil
	}
	return op, nil
}

// access reads who may call: security: [] lets everybody in, an empty
// requirement beside another lets credentials count where there are any.
func access(security *openapi3.SecurityRequirements) (public, optional bool) {
	if security == nil {
		return false, false
	}
	public = len(*security) == 0
	for _, requirement := range *security {
		if len(requirement) == 0 {
			public = true
		} else {
			optional = true
		}
	}
	return public, public && optional
}

func (op *Operation) collectParameters(item *openapi3.PathItem) {
	for _, ref := range item.Parameters {
		if op.spec.Parameters.GetByInAndName(ref.Value.In, ref.Value.Name) == nil {
			op.parameters = append(op.parameters, ref.Value)
		}
	}
	for _, ref := range op.spec.Parameters {
		op.parameters = append(op.parameters, ref.Value)
	}
	for _, p := range op.parameters {
		switch p.In {
		case openapi3.ParameterInQuery:
			op.query[p.Name] = p
		case openapi3.ParameterInPath:
			op.hasPath = true
		}
	}
}

// parseBytes reads "64KiB", "1MiB" or a plain number of bytes.
func parseBytes(text string) (int64, error) {
	factor := int64(1)
	for unit, n := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if rest, ok := strings.CutSuffix(text, unit); ok {
			text, factor = rest, n
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("x-body-limit %q is not a size", text)
	}
	return n * factor, nil
}
