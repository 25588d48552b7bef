package contract

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// CheckResponse holds an answer against the contract and says what does not
// fit: an undocumented status, content type or body. path is what was
// requested (/v1/customers/0192…), with or without a query, or a template. It
// is meant for tests; the service trusts its generated types.
func (c *Contract) CheckResponse(method, path string, status int, header http.Header, body []byte) error {
	path, _, _ = strings.Cut(path, "?")
	op := c.Match(method, path)
	if op == nil {
		return fmt.Errorf("%s %s is not in the contract", method, path)
	}
	if status == http.StatusNotModified && len(body) > 0 {
		return fmt.Errorf("%s: 304 with a body", op.ID)
	}
	documented := op.spec.Responses.Value(strconv.Itoa(status))
	if documented == nil {
		if status < 400 {
			return fmt.Errorf("%s: status %d is not documented", op.ID, status)
		}
		documented = op.spec.Responses.Default()
	}
	if documented == nil {
		return fmt.Errorf("%s: no response documented for status %d", op.ID, status)
	}
	content := documented.Value.Content
	if len(content) == 0 {
		if len(body) > 0 {
			return fmt.Errorf("%s: status %d has a body where none is documented", op.ID, status)
		}
		return nil
	}
	mediaType, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil {
		return fmt.Errorf("%s: content type of status %d: %w", op.ID, status, err)
	}
	media := content[mediaType]
	if media == nil {
		return fmt.Errorf("%s: status %d has undocumented content type %s", op.ID, status, mediaType)
	}
	if media.Schema == nil || (mediaType != "application/json" && !strings.HasSuffix(mediaType, "+json")) {
		return nil
	}
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		return fmt.Errorf("%s: body of status %d: %w", op.ID, status, err)
	}
	if err := media.Schema.Value.VisitJSON(value, openapi3.MultiErrors(), formats); err != nil {
		var found faults
		found.addSchema("", err)
		var lines []string
		for _, f := range found {
			lines = append(lines, fmt.Sprintf("%s: %s %v", f.Pointer, f.Code, f.Args))
		}
		return fmt.Errorf("%s: body of status %d does not match: %s", op.ID, status, strings.Join(lines, "; "))
	}
	return nil
}

// Match finds the operation that a concrete path belongs to, or nil; a literal
// segment wins over a parameter. It compares with every operation, so it is
// for tests and tools; requests are looked up with Lookup.
func (c *Contract) Match(method, path string) *Operation {
	var best *Operation
	want := strings.Split(path, "/")
	for _, op := range c.operations {
		if op.Method != method {
			continue
		}
		if op.Path == path || op.EchoPath == path {
			return op
		}
		if matches(op.EchoPath, want) && (best == nil || strings.Count(op.EchoPath, ":") < strings.Count(best.EchoPath, ":")) {
			best = op
		}
	}
	return best
}

func matches(template string, path []string) bool {
	segments := strings.Split(template, "/")
	if len(segments) != len(path) {
		return false
	}
	for i, s := range segments {
		if s != path[i] && (!strings.HasPrefix(s, ":") || path[i] == "") {
			return false
		}
	}
	return true
}
