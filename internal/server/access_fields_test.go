package server_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/contract"
	"github.com/shuke-crm/shuke/internal/testkit"
)

// document is the contract as plain JSON.
type document map[string]any

func loadDocument(t *testing.T) document {
	t.Helper()
	spec, err := contract.Load()
	require.NoError(t, err)
	var d document
	require.NoError(t, json.Unmarshal(spec.JSON(), &d))
	return d
}

// at follows a path of members, nil where it leads nowhere.
func (d document) at(path ...string) map[string]any {
	v := map[string]any(d)
	for _, p := range path {
		v, _ = v[p].(map[string]any)
	}
	return d.resolve(v)
}

// resolve follows references, also those wrapped to be nullable.
func (d document) resolve(schema map[string]any) map[string]any {
	for schema != nil {
		if all, ok := schema["allOf"].([]any); ok && len(all) == 1 && schema["properties"] == nil {
			schema, _ = all[0].(map[string]any)
			continue
		}
		ref, ok := schema["$ref"].(string)
		if !ok {
			return schema
		}
		schema = d.at(strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
	}
	return schema
}

func properties(schema map[string]any) map[string]any {
	p, _ := schema["properties"].(map[string]any)
	return p
}

// everywhere are fields that no request may set, whatever it is about.
var everywhere = []string{"id", "version", "created_at", "updated_at", "built_in", "permissions_override"}

// extended are copies of a valid value, each with one field too many, at the
// top or further in, by the pointer to that field.
func (d document) extended(schema map[string]any, value any, extra []string, at string) map[string]any {
	out := map[string]any{}
	schema = d.resolve(schema)
	switch v := value.(type) {
	case map[string]any:
		props := properties(schema)
		if props == nil {
			return nil // a free-form object
		}
		for _, name := range extra {
			if props[name] == nil {
				changed := maps.Clone(v)
				changed[name] = "0192f1a4-7c1e-7b52-9c55-3f3f7f0c2a11"
				out[at+"/"+name] = changed
			}
		}
		for name, member := range v {
			child, _ := props[name].(map[string]any)
			for pointer, inner := range d.extended(child, member, everywhere, at+"/"+name) {
				changed := maps.Clone(v)
				changed[name] = inner
				out[pointer] = changed
			}
		}
	case []any:
		items, _ := schema["items"].(map[string]any)
		for i, member := range v {
			for pointer, inner := range d.extended(items, member, everywhere, fmt.Sprint(at, "/", i)) {
				changed := slices.Clone(v)
				changed[i] = inner
				out[pointer] = changed
			}
		}
	}
	return out
}

// TestReadOnlyFieldsAreRefused sends every field that an answer has and the
// request has not, and some that would be tempting, with every request.
func TestReadOnlyFieldsAreRefused(t *testing.T) {
	d := loadDocument(t)
	w := newWorld(t)
	before := w.dump()
	sent := 0
	for _, op := range w.Server.Contract.Operations() {
		method := strings.ToLower(op.Method)
		body := d.at("paths", op.Path, method, "requestBody", "content", "application/json", "schema")
		if body == nil {
			continue
		}
		require.Equal(t, false, body["additionalProperties"], op.ID)
		extra := slices.Clone(everywhere)
		for _, status := range []string{"200", "201"} {
			answer := d.at("paths", op.Path, method, "responses", status, "content", "application/json", "schema")
			extra = append(extra, slices.Collect(maps.Keys(properties(answer)))...)
		}
		example := body["example"]
		require.NotNil(t, example, op.ID)
		path := strings.NewReplacer("{id}", uuid.NewString(), "{grant_id}", uuid.NewString(), "{tag_id}", uuid.NewString()).Replace(op.Path)
		for pointer, value := range d.extended(body, example, extra, "") {
			r := w.Admin().Do(op.Method, path, value, "X-Forwarded-For", address(w.numbers.Add(1)), "If-Match", `"1"`)
			require.Equal(t, http.StatusUnprocessableEntity, r.Status, "%s with %s: %s", op.ID, pointer, r.Body)
			var p testkit.Problem
			r.JSON(&p)
			require.True(t, slices.ContainsFunc(p.Errors, func(e struct {
				Pointer string `json:"pointer"`
				Code    string `json:"code"`
				Detail  string `json:"detail"`
			}) bool {
				return e.Pointer == pointer && e.Code == "request.unknown_field"
			}), "%s with %s: %s", op.ID, pointer, r.Body)
			sent++
		}
	}
	require.Greater(t, sent, 200)
	require.Equal(t, before, w.dump(), "something was written")
}

// dump is everything in the database but what signing in and being used leaves.
func (w *world) dump() map[string]string {
	out := map[string]string{}
	for _, table := range w.tables() {
		var sum string
		w.one(&sum, "SELECT coalesce(md5(string_agg(x::text, ',' ORDER BY x::text)), '') FROM "+table+" x")
		out[table] = sum
	}
	return out
}

func (w *world) tables() []string {
	rows, err := w.DB.Query(w.ctx, `SELECT quote_ident(c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND has_table_privilege(c.oid, 'SELECT') ORDER BY 1`)
	require.NoError(w.t, err)
	defer func() { _ = rows.Close() }()
	var out []string
	for rows.Next() {
		var name string
		require.NoError(w.t, rows.Scan(&name))
		out = append(out, name)
	}
	require.NoError(w.t, rows.Err())
	require.Contains(w.t, out, "customers")
	return out
}

// TestFieldsByRole: nobody, whatever their role, sees a person in clear without
// asking for it, and cost prices need a permission of their own.
func TestFieldsByRole(t *testing.T) {
	w := newWorld(t)
	seesCost := map[string]bool{"administrator": true, "store_manager": true, "analyst": true, "inventory_clerk": true, "local": true}
	for _, column := range columns[:10] {
		c := &cell{world: w, actor: w.actors[column], object: "own"}
		b := c.buyer()
		answers := 0
		for _, r := range []*testkit.Response{
			c.do(http.MethodGet, "/v1/customers/"+b.id.String(), nil),
			c.do(http.MethodGet, "/v1/customers/"+b.id.String()+"/profile", nil),
			c.do(http.MethodGet, "/v1/customers?external_id="+b.external, nil),
			c.do(http.MethodPost, "/v1/customers/search", map[string]any{"name": b.name}),
			c.do(http.MethodPost, "/v1/customers/lookup", map[string]any{"phone": b.phone}),
		} {
			if r.Status != http.StatusOK {
				require.Equal(t, http.StatusForbidden, r.Status)
				continue
			}
			answers++
			require.Contains(t, string(r.Body), b.id.String())
			for _, clear := range []string{b.phone, "+86" + b.phone, b.name, b.email} {
				require.NotContains(t, string(r.Body), clear, column)
			}
		}
		if column != "inventory_clerk" && column != "auditor" {
			require.GreaterOrEqual(t, answers, 4, column)
		}
		for _, path := range []string{"/v1/variants/" + w.goods().variant.String(), "/v1/products/" + w.goods().product.String(), "/v1/variants?sku=" + w.goods().sku,
			"/v1/products/" + w.goods().product.String() + "/variants"} {
			if r := c.do(http.MethodGet, path, nil); r.Status == http.StatusOK {
				require.Equal(t, seesCost[column], strings.Contains(string(r.Body), `"cost_amount":400`), "%s as %s: %s", path, column, r.Body)
			}
		}
	}
}
