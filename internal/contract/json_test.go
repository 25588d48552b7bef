package contract

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func send(t *testing.T, method, path, body string) string {
	t.Helper()
	req := httptest.NewRequest(method, "/", strings.NewReader(body))
	req.URL.Path, req.URL.RawQuery, _ = strings.Cut(path, "?")
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	rec := httptest.NewRecorder()
	shopServer(t).ServeHTTP(rec, req)
	return rec.Body.String()
}

// What PostgreSQL cannot keep, or what would be kept as something else, is
// refused at the door, wherever in the request it stands.
func TestTextThatCannotBeKept(t *testing.T) {
	const (
		nul     = " request.nul_character Must not hold the character NUL (U+0000)."
		unicode = "request.malformed_json\n request.encoding The text is not valid Unicode at byte "
	)
	for name, tc := range map[string]struct{ path, body, want string }{
		"NUL in a query":           {"/v1/things?tag=a&tag=b%00", "", "request.invalid\n?tag" + nul},
		"NUL in a path":            {"/v1/things/a\x00b", "", "request.invalid\n{id}" + nul},
		"no UTF-8 in a query":      {"/v1/things?tag=%ff", "", "request.invalid\n?tag request.format Is not a valid UTF-8 text."},
		"NUL in a field":           {"/v1/things", `{"name":"a\u0000"}`, "request.invalid\n/name" + nul},
		"NUL deep inside":          {"/v1/things", `{"name":"a","extra":{"x":[1,{"y":"\u0000"}]}}`, "request.invalid\n/extra/x/1/y" + nul},
		"NUL in a name":            {"/v1/things", `{"name":"a","extra":{"a\u0000":1}}`, "request.invalid\n/extra" + nul},
		"NUL twice":                {"/v1/things", `{"name":"\u0000","code":"\u0000"}`, "request.invalid\n/name" + nul + "\n/code" + nul},
		"written out, not escaped": {"/v1/things", `{"name":"\\u0000"}`, `{"name":"\\u0000"}`},
		"no UTF-8":                 {"/v1/things", "{\"name\":\"\xff\"}", unicode + "10: it is UTF-8, and escaped surrogates come in pairs."},
		"GBK":                      {"/v1/things", "{\"name\":\"\xcd\xf5\"}", unicode + "10: it is UTF-8, and escaped surrogates come in pairs."},
		"high half alone":          {"/v1/things", `{"name":"\ud83d"}`, unicode + "10: it is UTF-8, and escaped surrogates come in pairs."},
		"high half before another": {"/v1/things", `{"name":"\ud83d\ud83d\ude00"}`, unicode + "10: it is UTF-8, and escaped surrogates come in pairs."},
		"low half alone":           {"/v1/things", `{"name":"a\uDE00"}`, unicode + "11: it is UTF-8, and escaped surrogates come in pairs."},
		"half in a name":           {"/v1/things", `{"name":"a","extra":{"\ud83d":1}}`, unicode + "23: it is UTF-8, and escaped surrogates come in pairs."},
		"a pair":                   {"/v1/things", `{"name":"\ud83d\ude00"}`, `{"name":"\ud83d\ude00"}`},
		"beyond the basic plane":   {"/v1/things", `{"name":"𠮷😀"}`, `{"name":"𠮷😀"}`},
		"U+FFFD itself":            {"/v1/things", `{"name":"\ufffd"}`, `{"name":"\ufffd"}`},
	} {
		t.Run(name, func(t *testing.T) {
			method := "POST"
			if tc.body == "" {
				method = "GET"
			}
			assert.Equal(t, tc.want, send(t, method, tc.path, tc.body))
		})
	}
}

func TestDepthIsBounded(t *testing.T) {
	nested := func(levels int) string { // with the body itself and extra
		return `{"name":"a","extra":{"x":` + strings.Repeat("[", levels-2) + strings.Repeat("]", levels-2) + "}}"
	}
	assert.Equal(t, nested(maxDepth), send(t, "POST", "/v1/things", nested(maxDepth)))
	want := "request.invalid\n/extra/x" + strings.Repeat("/0", maxDepth-2) + " request.too_deep Is nested deeper than 32 levels."
	assert.Equal(t, want, send(t, "POST", "/v1/things", nested(maxDepth+1)))
	assert.Equal(t, want, send(t, "POST", "/v1/things", nested(5000)))
	assert.Contains(t, send(t, "POST", "/v1/things", nested(20000)), "request.malformed_json", "the decoder gives up first")
	brackets := `{"name":"[[[[[[[{{{","extra":{"x":"` + strings.Repeat("[", 100) + `"}}`
	assert.Equal(t, brackets, send(t, "POST", "/v1/things", brackets), "brackets in text are text")
}

func TestNumbersAreKept(t *testing.T) {
	for number, kept := range map[string]bool{
		"0": true, "-1": true, "0.1": true, "-0.0": true, "1.50": true, "1e3": true, "1E+21": true, "1e-7": true, "0e999": true,
		"123456789012345": true, "9007199254740992": true, "9007199254740991": true, "-9007199254740991": true, "3.141592653589793": true,
		"1000000000000000000000000": true, "0.000000000000000000001": true,
		"9007199254740993": false, "-9007199254740993": false, "1152921504606846976": false, "12345678901234567890": false,
		"3.14159265358979323846": false, "0.1000000000000000055511151231257827": false, "1e400": false, "1e-400": false,
		"1e-99999999999999999999": false, "1.00000000000000000001": false,
	} {
		body := `{"name":"a","extra":{"x":[0,{"y":` + number + `}]}}`
		want := body
		if !kept {
			want = "request.invalid\n/extra/x/1/y request.inexact_number Has more digits than a number can keep here. Send it as a string."
		}
		assert.Equal(t, want, send(t, "POST", "/v1/things", body), number)
	}
	for _, number := range []string{"1.0", "1e0", "1.0e+2"} {
		assert.Equal(t, "request.invalid\n/sizes/1/width request.integer_form Must be written as a whole number, without point or exponent.",
			send(t, "POST", "/v1/things", `{"name":"a","sizes":[{"width":1},{"width":`+number+`}]}`), number)
	}
	long := `{"name":"a","size":{"width":9223372036854775807}}`
	assert.Equal(t, long, send(t, "POST", "/v1/things", long), "an int64 is read as one")
}

func TestFieldCounts(t *testing.T) {
	for name, tc := range map[string]struct{ path, body, want string }{
		"none of one":    {"/v1/things/lookup", `{}`, " request.exactly_one Must have exactly one of: code, name."},
		"two of one":     {"/v1/things/lookup", `{"code":"A","name":"a"}`, " request.exactly_one Must have exactly one of: code, name."},
		"nothing to do":  {"/v1/things/change", `{}`, " request.at_least_one Must have at least one of: code, name."},
		"too many":       {"/v1/things/label", `{"a":"1","b":"2","c":"3"}`, " request.max_properties Must have at most 2 fields."},
		"too few labels": {"/v1/things/label", `{}`, " request.min_properties Must have at least 1 fields."},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, "request.invalid\n"+tc.want, send(t, "POST", tc.path, tc.body))
		})
	}
	assert.Equal(t, "request.invalid\n?state request.enum Must be one of: red, blue.", send(t, "GET", "/v1/things?state=green", ""))
}
