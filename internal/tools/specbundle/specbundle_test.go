package specbundle

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const shared = `openapi: 3.0.3
info: {title: Shared, version: 1.0.0}
security: [{bearerAuth: []}]
paths: {}
components:
  securitySchemes:
    bearerAuth: {type: http, scheme: bearer}
  schemas:
    Id: {type: string}
    Unused: {type: string}
    Pair: {type: object, properties: {left: {$ref: '#/components/schemas/Id'}}}
`

// domain makes a source with one operation, which answers with a schema.
func domain(tag, path, operation, schema string) string {
	return `openapi: 3.0.3
info: {title: x, version: 1.0.0}
tags: [{name: ` + tag + `}]
paths:
  ` + path + `:
    get:
      operationId: ` + operation + `
      responses: {'200': {description: ok, content: {application/json: {schema: ` + schema + `}}}}
`
}

func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		file := filepath.Join(dir, name, name+".yaml")
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	}
	return dir
}

const pair = `{$ref: '../common/common.yaml#/components/schemas/Pair'}`

func TestBundleJoinsInOrder(t *testing.T) {
	dir := write(t, map[string]string{
		"common":   shared,
		"alpha":    domain("alpha", "/alpha", "getAlpha", pair) + "components: {schemas: {Mine: {type: string}}}\n",
		"orders":   domain("orders", "/orders", "getOrder", "{$ref: '../alpha/alpha.yaml#/components/schemas/Mine'}"),
		"identity": "# a comment\n" + domain("auth", "/me", "getMe", pair),
	})
	domains, err := Domains(dir)
	require.NoError(t, err)
	assert.Equal(t, []string{"identity", "orders", "alpha"}, domains)

	out, err := Bundle(dir)
	require.NoError(t, err)
	text := string(out)
	assert.True(t, strings.HasPrefix(text, Header+"\n"))
	assert.Less(t, strings.Index(text, "/me:"), strings.Index(text, "/orders:"))
	assert.Less(t, strings.Index(text, "/orders:"), strings.Index(text, "/alpha:"))
	assert.NotContains(t, text, "common.yaml#")
	assert.NotContains(t, text, "alpha.yaml#")
	assert.NotContains(t, text, "a comment")
	assert.Contains(t, text, "'#/components/schemas/Mine'")
	assert.Contains(t, text, "Id:", "used by something used")
	assert.NotContains(t, text, "Unused", "nobody uses it")
	assert.Contains(t, text, "bearerAuth:")

	again, err := Bundle(dir)
	require.NoError(t, err)
	assert.Equal(t, text, string(again))
}

func TestBundleRefuses(t *testing.T) {
	for _, tc := range []struct{ name, a, b, fault string }{
		{"two meanings of a component", domain("a", "/a", "getA", pair) + "components: {schemas: {X: {type: string}}}\n", domain("b", "/b", "getB", pair) + "components: {schemas: {X: {type: integer}}}\n", "component schemas/X differs"},
		{"an operationId twice", domain("a", "/a", "get", pair), domain("b", "/b", "get", pair), "operationId get is taken by aaa"},
		{"an operation twice", domain("a", "/a", "getA", pair), domain("b", "/a", "getB", pair), "get /a is defined twice"},
		{"a path spelled in two ways", domain("a", "/a/{id}", "getA", pair), domain("b", "/a/{name}", "getB", pair), "/a/{name} is spelled /a/{id}"},
		{"a tag of two domains", domain("a", "/a", "getA", pair), domain("a", "/b", "getB", pair), "belongs to another domain"},
		{"an unknown component", domain("a", "/a", "getA", "{$ref: '#/components/schemas/Nothing'}"), domain("b", "/b", "getB", pair), "does not exist"},
		{"a reference to a file elsewhere", domain("a", "/a", "getA", "{$ref: './x.yaml#/X'}"), domain("b", "/b", "getB", pair), "is neither"},
		{"another version", strings.Replace(domain("a", "/a", "getA", pair), "3.0.3", "3.1.0", 1), domain("b", "/b", "getB", pair), "must be 3.0.3"},
		{"anchors", strings.Replace(domain("a", "/a", "getA", pair), "description: ok", "description: &x ok", 1), domain("b", "/b", "getB", pair), "anchors"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Bundle(write(t, map[string]string{"common": shared, "aaa": tc.a, "bbb": tc.b}))
			assert.ErrorContains(t, err, tc.fault)
		})
	}
}

func TestBundleTypesNullableReferences(t *testing.T) {
	out, err := Bundle(write(t, map[string]string{
		"common": shared,
		"aaa":    domain("a", "/a", "getA", "{nullable: true, allOf: ["+pair+"]}"),
	}))
	require.NoError(t, err)
	assert.Contains(t, string(out), "{type: object, nullable: true, allOf:")
}

func TestBundleAllowsTheSameComponentTwice(t *testing.T) {
	same := "components: {schemas: {X: {type: string}}}\n"
	_, err := Bundle(write(t, map[string]string{
		"common": shared,
		"aaa":    domain("a", "/a", "getA", pair) + same,
		"bbb":    domain("b", "/b", "getB", pair) + "components:\n  schemas:\n    X:\n      type: 'string'\n",
	}))
	assert.NoError(t, err)
}
