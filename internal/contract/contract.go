// Package contract is the published API as the running service sees it: the
// bundled OpenAPI document, the table of its operations, the validation of
// requests against it and the pages that show it.
//
// The document is embedded and parsed once, at start-up. What middleware needs
// to know about an operation (permission, idempotency, limits) is read from
// the contract's extensions, so there is no second list of paths to forget.
package contract

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"regexp"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"gopkg.in/yaml.v3"
)

//go:embed openapi.yaml
var document []byte

// Contract is the parsed document and its operations. It is read-only and safe
// for use by many goroutines.
type Contract struct {
	spec       *openapi3.T
	operations []*Operation
	routes     map[route]*Operation
	json       []byte
}

type route struct{ method, path string }

// Load parses the embedded document; the first call does the work, later ones
// return the same Contract. It fails only if the committed bundle is broken.
var Load = sync.OnceValues(func() (*Contract, error) { return parse(document) })

func parse(text []byte) (*Contract, error) {
	// JSON first: the loader would do the same, and /openapi.json serves it.
	var node yaml.Node
	if err := yaml.Unmarshal(text, &node); err != nil {
		return nil, fmt.Errorf("contract: %w", err)
	}
	asJSON, err := toJSON(nil, &node)
	if err != nil {
		return nil, fmt.Errorf("contract: %w", err)
	}
	spec, err := openapi3.NewLoader().LoadFromData(asJSON)
	if err != nil {
		return nil, fmt.Errorf("contract: %w", err)
	}
	spec.Servers = nil
	normalize(spec)
	c := &Contract{spec: spec, routes: map[route]*Operation{}, json: asJSON}
	// The document's own order, since kin-openapi keeps none.
	for path, item := range mapping(lookupNode(node.Content[0], "paths")) {
		for method := range mapping(item) {
			op, err := c.operation(method.Value, path.Value)
			if err != nil {
				return nil, fmt.Errorf("contract: %s %s: %w", method.Value, path.Value, err)
			}
			if op == nil {
				continue
			}
			c.operations = append(c.operations, op)
			c.routes[route{op.Method, op.EchoPath}] = op
		}
	}
	return c, nil
}

// Operations lists every operation in the order of the document.
func (c *Contract) Operations() []*Operation { return c.operations }

// Lookup finds an operation by method and Echo route template
// (/v1/customers/:id), or nil. It costs one map access.
func (c *Contract) Lookup(method, echoPath string) *Operation {
	return c.routes[route{method, echoPath}]
}

// JSON returns the document as JSON, in the order of its source.
func (c *Contract) JSON() []byte { return c.json }

// YAML returns the document as committed.
func (c *Contract) YAML() []byte { return document }

var parameter = regexp.MustCompile(`\{([^}]+)\}`)

func echoPath(path string) string { return parameter.ReplaceAllString(path, ":$1") }

// toJSON appends a YAML node as JSON and keeps the order of members.
func toJSON(out []byte, n *yaml.Node) ([]byte, error) {
	var err error
	switch n.Kind {
	case yaml.DocumentNode:
		return toJSON(out, n.Content[0])
	case yaml.MappingNode:
		out = append(out, '{')
		first := true
		for k, v := range mapping(n) {
			if !first {
				out = append(out, ',')
			}
			first = false
			key, err := json.Marshal(k.Value)
			if err != nil {
				return nil, err
			}
			out = append(append(out, key...), ':')
			if out, err = toJSON(out, v); err != nil {
				return nil, err
			}
		}
		return append(out, '}'), nil
	case yaml.SequenceNode:
		out = append(out, '[')
		for i, v := range n.Content {
			if i > 0 {
				out = append(out, ',')
			}
			if out, err = toJSON(out, v); err != nil {
				return nil, err
			}
		}
		return append(out, ']'), nil
	case yaml.ScalarNode:
		var v any = n.Value
		if n.Tag != "!!timestamp" { // JSON has none: they stay the strings they were written as
			if err := n.Decode(&v); err != nil {
				return nil, err
			}
		}
		text, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		return append(out, text...), nil
	default:
		return nil, fmt.Errorf("line %d: unexpected YAML node", n.Line)
	}
}

func mapping(n *yaml.Node) func(func(k, v *yaml.Node) bool) {
	return func(yield func(k, v *yaml.Node) bool) {
		if n == nil || n.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if !yield(n.Content[i], n.Content[i+1]) {
				return
			}
		}
	}
}

func lookupNode(n *yaml.Node, key string) *yaml.Node {
	for k, v := range mapping(n) {
		if k.Value == key {
			return v
		}
	}
	return nil
}
