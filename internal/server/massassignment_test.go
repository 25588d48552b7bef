package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/testkit"
)

// TestMassAssignment sends every field of every answer in the contract on every
// write whose body has no such field, at every place of the body where an object
// stands. All are refused, and the database is what it was before. Writes without
// a body read none: their generated requests have no place for one.
func TestMassAssignment(t *testing.T) {
	w := newWorld(t)
	admin, member := w.fresh("administrator"), w.member()
	revealers := []*actor{w.fresh("administrator"), w.fresh("administrator"), w.fresh("administrator"), w.fresh("administrator")} // their rate is limited
	b := w.customer(w.a, nil)
	w.purchase(&b, w.a, nil)
	spec, err := openapi3.NewLoader().LoadFromFile("../contract/openapi.yaml")
	require.NoError(t, err)
	shown := answered(spec)
	require.Greater(t, len(shown), 150)

	before := w.digest(t)
	writes, requests := 0, 0
	for _, op := range w.Server.Contract.Operations() {
		schema := bodyOf(spec, op.Method, op.Path)
		if schema == nil {
			continue
		}
		writes++
		who := admin
		if strings.HasPrefix(op.ID, "reveal") {
			require.NotEmpty(t, revealers)
			who, revealers = revealers[0], revealers[1:]
		}
		require.NotNil(t, schema.AdditionalProperties.Has, op.ID)
		require.False(t, *schema.AdditionalProperties.Has, op.ID)
		t.Run(op.ID, func(t *testing.T) {
			base := sample(schema, 0)
			places := objects(schema, base, "", nil)
			require.NotEmpty(t, places)
			for _, at := range places {
				var foreign []string
				for name := range shown {
					if _, taken := at.schema.Properties[name]; !taken {
						foreign = append(foreign, name)
					}
				}
				for some := range slices.Chunk(foreign, 40) { // an answer names fifty faults at most
					for _, name := range some {
						at.value[name] = sample(shown[name], 0)
					}
					headers := []string{"X-Forwarded-For", address(w.numbers.Add(1)), "Idempotency-Key", uuid.NewString()}
					switch {
					case op.Public:
					case op.Permission == string(auth.Member):
						headers = append(headers, "Authorization", "Bearer "+member.token)
					default:
						headers = append(headers, "Authorization", "Bearer "+who.token)
					}
					requests++
					r := w.In(t).Do(op.Method, fillPath(op.Path), base, headers...)
					require.Equal(t, http.StatusUnprocessableEntity, r.Status, "at %q: %s", at.pointer, r.Body)
					var p testkit.Problem
					r.JSON(&p)
					named := map[string]bool{}
					for _, e := range p.Errors {
						named[e.Pointer] = named[e.Pointer] || e.Code == "request.unknown_field"
					}
					for _, name := range some {
						delete(at.value, name)
						assert.True(t, named[at.pointer+"/"+name], "%s/%s is not refused", at.pointer, name)
					}
				}
			}
		})
	}
	require.Greater(t, writes, 50)
	t.Logf("%d fields in %d requests to %d writes", len(shown), requests, writes)
	require.Equal(t, before, w.digest(t), "something was written")
}

// answered are the fields of all answers, with a schema each.
func answered(spec *openapi3.T) map[string]*openapi3.Schema {
	out, seen := map[string]*openapi3.Schema{}, map[*openapi3.Schema]bool{}
	var walk func(*openapi3.SchemaRef)
	walk = func(ref *openapi3.SchemaRef) {
		if ref == nil || seen[ref.Value] {
			return
		}
		s := ref.Value
		seen[s] = true
		for name, p := range s.Properties {
			if out[name] == nil {
				out[name] = p.Value
			}
			walk(p)
		}
		walk(s.Items)
		walk(s.AdditionalProperties.Schema)
		for _, list := range []openapi3.SchemaRefs{s.AllOf, s.OneOf, s.AnyOf} {
			for _, p := range list {
				walk(p)
			}
		}
	}
	for _, item := range spec.Paths.Map() {
		for _, op := range item.Operations() {
			for _, answer := range op.Responses.Map() {
				for _, media := range answer.Value.Content {
					walk(media.Schema)
				}
			}
		}
	}
	return out
}

func bodyOf(spec *openapi3.T, method, path string) *openapi3.Schema {
	op := spec.Paths.Value(path).GetOperation(method)
	if op == nil || op.RequestBody == nil || op.RequestBody.Value.Content["application/json"] == nil {
		return nil
	}
	return op.RequestBody.Value.Content["application/json"].Schema.Value
}

// sample is a value of a schema: its example, or the plainest that has its type.
func sample(s *openapi3.Schema, depth int) any {
	if s.Example != nil {
		return clone(s.Example)
	}
	switch {
	case len(s.Enum) > 0:
		return s.Enum[0]
	case len(s.AllOf) == 1:
		return sample(s.AllOf[0].Value, depth)
	case s.Type.Is("object") || len(s.Properties) > 0:
		out := map[string]any{}
		if depth < 4 {
			for _, name := range s.Required {
				out[name] = sample(s.Properties[name].Value, depth+1)
			}
		}
		return out
	case s.Type.Is("array"):
		if s.MinItems == 0 || depth > 4 {
			return []any{}
		}
		return []any{sample(s.Items.Value, depth+1)}
	case s.Type.Is("integer"), s.Type.Is("number"):
		return 999999
	case s.Type.Is("boolean"):
		return true
	}
	switch s.Format {
	case "uuid":
		return uuid.NewString()
	case "date":
		return "2026-07-01"
	case "date-time":
		return "2026-07-01T02:00:00Z"
	}
	return "x"
}

func clone(v any) any {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err) // an example out of a document
	}
	var out any
	if err := json.Unmarshal(raw, &out); err != nil {
		panic(err)
	}
	return out
}

// bodyPlace is an object in a body that has named fields; maps, whose keys are
// data, are none.
type bodyPlace struct {
	pointer string
	schema  *openapi3.Schema
	value   map[string]any
}

func objects(s *openapi3.Schema, v any, pointer string, out []bodyPlace) []bodyPlace {
	if len(s.AllOf) == 1 {
		s = s.AllOf[0].Value
	}
	switch v := v.(type) {
	case map[string]any:
		if len(s.Properties) > 0 {
			out = append(out, bodyPlace{pointer, s, v})
		}
		for name, p := range s.Properties {
			if inner, ok := v[name]; ok {
				out = objects(p.Value, inner, pointer+"/"+name, out)
			}
		}
	case []any:
		for i := range v {
			out = objects(s.Items.Value, v[i], fmt.Sprintf("%s/%d", pointer, i), out)
		}
	}
	return out
}

var pathParameter = regexp.MustCompile(`\{(\w+)\}`)

func fillPath(path string) string {
	return pathParameter.ReplaceAllStringFunc(path, func(p string) string {
		if p == "{provider}" {
			return "stand-in"
		}
		if p == "{row}" {
			return "7"
		}
		return uuid.NewString()
	})
}

// digest sums up every table.
func (w *world) digest(t *testing.T) map[string]string {
	t.Helper()
	rows, err := w.DB.Query(w.ctx, `SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'`)
	require.NoError(t, err)
	var tables []string
	for rows.Next() {
		var name string
		require.NoError(t, rows.Scan(&name))
		// Seen and counted, not written by what was asked: the last use of a key and so on.
		if !strings.HasPrefix(name, "river_") && !strings.HasPrefix(name, "goose_") {
			tables = append(tables, name)
		}
	}
	require.NoError(t, rows.Err())
	require.NoError(t, rows.Close())
	slices.Sort(tables)
	out := map[string]string{}
	for _, name := range tables {
		var sum string
		w.one(&sum, `SELECT count(*) || ' ' || coalesce(md5(string_agg(r::text, '' ORDER BY r::text)), '') FROM "`+name+`" r`)
		out[name] = sum
	}
	return out
}
