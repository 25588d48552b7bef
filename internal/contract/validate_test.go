package contract

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
)

// shop is a contract of its own, so that these tests do not change with the
// published one.
const shop = `
openapi: 3.0.3
info: {title: shop, version: 1.0.0}
paths:
  /v1/things:
    get:
      operationId: listThings
      tags: [things]
      x-permission: things.read
      parameters:
        - {name: limit, in: query, schema: {type: integer, format: int32, minimum: 1, maximum: 200}}
        - {name: created_after, in: query, schema: {type: string, format: date-time}}
        - {name: tag, in: query, schema: {type: array, items: {type: string}}}
        - {name: state, in: query, schema: {allOf: [{$ref: '#/components/schemas/Colour'}], default: red}}
        - {name: If-None-Match, in: header, schema: {type: string, maxLength: 10}}
      responses: {'200': {description: ok}}
    post:
      operationId: createThing
      tags: [things]
      x-permission: things.create
      x-idempotency: required
      x-body-limit: 64KiB
      requestBody:
        required: true
        content: {application/json: {schema: {$ref: '#/components/schemas/NewThing'}}}
      responses: {'201': {description: ok, content: {application/json: {schema: {$ref: '#/components/schemas/Thing'}}}}}
  /v1/things/{id}:
    parameters:
      - {name: id, in: path, required: true, schema: {type: string, format: uuid}}
    get:
      operationId: getThing
      tags: [things]
      x-permission: self
      responses: {'200': {description: ok, content: {application/json: {schema: {$ref: '#/components/schemas/Thing'}}}}, '304': {description: same}, default: {description: bad, content: {application/problem+json: {schema: {type: object, required: [code], properties: {code: {type: string}}}}}}}
    patch:
      operationId: updateThing
      tags: [things]
      x-permission: things.update
      requestBody:
        required: true
        content: {application/json: {schema: {$ref: '#/components/schemas/NewThing'}}}
      responses: {'200': {description: ok}}
  /v1/things/{id}/cancel:
    post:
      operationId: cancelThing
      tags: [things]
      x-permission: things.update
      x-idempotency: optional
      parameters:
        - {name: id, in: path, required: true, schema: {type: string, format: uuid}}
      responses: {'200': {description: ok}}
  /v1/things/lookup:
    post:
      operationId: lookupThing
      tags: [things]
      x-permission: self
      x-idempotency: none
      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/Lookup'}}}}
      responses: {'200': {description: ok}}
  /v1/things/change:
    post:
      operationId: changeThing
      tags: [things]
      x-permission: self
      x-idempotency: none
      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/Change'}}}}
      responses: {'200': {description: ok}}
  /v1/things/label:
    post:
      operationId: labelThing
      tags: [things]
      x-permission: self
      x-idempotency: none
      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/Labels'}}}}
      responses: {'200': {description: ok}}
  /v1/things/newest:
    get: {operationId: getNewestThing, tags: [things], security: [], responses: {'200': {description: ok}}}
  /v1/callbacks:
    post:
      operationId: receiveCallback
      tags: [things]
      security: []
      x-idempotency: none
      x-body: raw
      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/NewThing'}}}}
      responses: {'200': {description: ok}}
  /v1/uploads:
    post:
      operationId: upload
      tags: [things]
      x-permission: things.create
      x-idempotency: none
      requestBody: {content: {multipart/form-data: {schema: {type: object}}}}
      responses: {'200': {description: ok}}
components:
  schemas:
    Colour: {type: string, enum: [red, blue]}
    Size: {type: object, additionalProperties: false, required: [width], properties: {width: {type: integer, format: int64, minimum: 1}}}
    Lookup: {type: object, minProperties: 1, maxProperties: 1, properties: {name: {type: string}, code: {type: string}}}
    Change: {type: object, minProperties: 1, properties: {name: {type: string}, code: {type: string}}}
    Labels: {type: object, minProperties: 1, maxProperties: 2, additionalProperties: {type: string}}
    NewThing:
      type: object
      additionalProperties: false
      required: [name]
      properties:
        name: {type: string, minLength: 1, maxLength: 10}
        code: {type: string, pattern: '^[A-Z]+$'}
        born_on: {type: string, format: date}
        colour: {nullable: true, allOf: [{$ref: '#/components/schemas/Colour'}]}
        size: {nullable: true, allOf: [{$ref: '#/components/schemas/Size'}]}
        sizes: {type: array, maxItems: 2, items: {$ref: '#/components/schemas/Size'}}
        extra: {type: object, additionalProperties: true}
    Thing:
      type: object
      required: [id, colour]
      properties:
        id: {type: string, format: uuid}
        colour: {nullable: true, allOf: [{$ref: '#/components/schemas/Colour'}]}
`

func shopServer(t testing.TB) *echo.Echo {
	t.Helper()
	c, err := parse([]byte(shop))
	require.NoError(t, err)
	e := echo.New()
	e.Use(c.Validate())
	e.HTTPErrorHandler = func(err error, ctx echo.Context) {
		ae := apperr.From(err)
		if ae == nil {
			_ = ctx.String(599, err.Error())
			return
		}
		lines := []string{ae.Def.Code}
		for _, f := range ae.Fields {
			d := apperr.Lookup(f.Code)
			lines = append(lines, f.Pointer+" "+f.Code+" "+d.Text("en", f.Args))
		}
		_ = ctx.String(400, strings.Join(lines, "\n"))
	}
	for _, op := range c.Operations() {
		e.Add(op.Method, op.EchoPath, func(ctx echo.Context) error {
			body, err := io.ReadAll(ctx.Request().Body)
			if err != nil {
				return err
			}
			ctx.Response().Header().Set("Seen-Type", ctx.Request().Header.Get("Content-Type"))
			return ctx.Blob(200, "text/plain", body)
		})
	}
	return e
}

const anID = "0192f1a4-7c1e-7b52-9c55-3f3f7f0c2a11"

func TestValidateRequests(t *testing.T) {
	e := shopServer(t)
	for _, tc := range []struct {
		name, method, path, contentType, body string
		want                                  string // what the handler saw, or the fault; "ok" for an empty body passed on
	}{
		{"plain list", "GET", "/v1/things", "", "", "ok"},
		{"all parameters", "GET", "/v1/things?limit=200&created_after=2026-07-01T00:00:00Z&tag=a&tag=b", "", "", "ok"},
		{"limit too large", "GET", "/v1/things?limit=201", "", "", "request.invalid\n?limit request.maximum Must be at most 200."},
		{"limit no number", "GET", "/v1/things?limit=many", "", "", "request.invalid\n?limit request.type Must be of type integer."},
		{"limit empty", "GET", "/v1/things?limit=", "", "", "request.invalid\n?limit request.empty Must not be empty; leave it out instead."},
		{"limit twice", "GET", "/v1/things?limit=1&limit=2", "", "", "request.invalid\n?limit request.repeated_parameter This query parameter may be given only once."},
		{"misspelt filter", "GET", "/v1/things?limt=1", "", "", "request.invalid\n?limt request.unknown_parameter There is no such query parameter here."},
		{"no such day", "GET", "/v1/things?created_after=2026-02-30T00:00:00Z", "", "", "request.invalid\n?created_after request.format Is not a valid date-time."},
		{"broken query", "GET", "/v1/things?limit=%zz", "", "", "request.invalid\n? request.value Does not have the form described in the contract."},
		{"id", "GET", "/v1/things/" + anID, "", "", "ok"},
		{"no id", "GET", "/v1/things/1", "", "", "request.invalid\n{id} request.format Is not a valid uuid."},
		{"urn id", "GET", "/v1/things/urn:uuid:" + anID, "", "", "request.invalid\n{id} request.format Is not a valid uuid."},
		{"literal beats parameter", "GET", "/v1/things/newest", "", "", "ok"},

		{"body", "POST", "/v1/things", "application/json", `{"name":"a"}`, `{"name":"a"}`},
		{"charset", "POST", "/v1/things", "application/json; charset=UTF-8", `{"name":"a"}`, `{"name":"a"}`},
		{"other charset", "POST", "/v1/things", "application/json; charset=gbk", `{"name":"a"}`, "request.unsupported_media_type"},
		{"form", "POST", "/v1/things", "application/x-www-form-urlencoded", `name=a`, "request.unsupported_media_type"},
		{"no content type", "POST", "/v1/things", "", `{"name":"a"}`, "request.unsupported_media_type"},
		{"merge patch on POST", "POST", "/v1/things", "application/merge-patch+json", `{"name":"a"}`, "request.unsupported_media_type"},
		{"merge patch", "PATCH", "/v1/things/" + anID, "application/merge-patch+json", `{"name":"a"}`, `{"name":"a"}`},
		{"no body", "POST", "/v1/things", "application/json", "", "request.invalid\n request.body_required This operation needs a JSON body."},
		{"null body", "POST", "/v1/things", "application/json", "null", "request.invalid\n request.not_null Must not be null."},
		{"array body", "POST", "/v1/things", "application/json", "[]", "request.invalid\n request.type Must be of type object."},
		{"cut off", "POST", "/v1/things", "application/json", `{"name":"a"`, "request.malformed_json\n request.syntax The JSON goes wrong at byte 11."},
		{"bad token", "POST", "/v1/things", "application/json", `{"name":x}`, "request.malformed_json\n request.syntax The JSON goes wrong at byte 9."},
		{"data after", "POST", "/v1/things", "application/json", `{"name":"a"} {}`, "request.malformed_json\n request.syntax The JSON goes wrong at byte 14."},
		{"unknown field", "POST", "/v1/things", "application/json", `{"name":"a","n/b":1}`, "request.invalid\n/n~1b request.unknown_field There is no such field here."},
		{"other case", "POST", "/v1/things", "application/json", `{"name":"a","NAME":"b"}`, "request.invalid\n/NAME request.unknown_field There is no such field here."},
		{"twice", "POST", "/v1/things", "application/json", `{"name":"a","name":"b"}`, "request.invalid\n/name request.duplicate_field This field is given twice in its object."},
		{"twice, escaped", "POST", "/v1/things", "application/json", `{"name":"a\":","n\u0061me":"b"}`, "request.invalid\n/name request.duplicate_field This field is given twice in its object."},
		{"twice, deep", "POST", "/v1/things", "application/json", `{"name":"a","size":{"width":1},"size":{"width":2}}`, "request.invalid\n/size request.duplicate_field This field is given twice in its object."},
		{"colon in text", "POST", "/v1/things", "application/json", `{"name":"a:\\\":b"}`, `{"name":"a:\\\":b"}`},
		{"missing", "POST", "/v1/things", "application/json", `{}`, "request.invalid\n/name request.required This is required."},
		{"wrong type", "POST", "/v1/things", "application/json", `{"name":1}`, "request.invalid\n/name request.type Must be of type string."},
		{"null", "POST", "/v1/things", "application/json", `{"name":null}`, "request.invalid\n/name request.not_null Must not be null."},
		{"too short", "POST", "/v1/things", "application/json", `{"name":""}`, "request.invalid\n/name request.min_length Must have at least 1 characters."},
		{"ten Chinese characters", "POST", "/v1/things", "application/json", `{"name":"一二三四五六七八九十"}`, `{"name":"一二三四五六七八九十"}`},
		{"too long", "POST", "/v1/things", "application/json", `{"name":"一二三四五六七八九十一"}`, "request.invalid\n/name request.max_length Must have at most 10 characters."},
		{"pattern", "POST", "/v1/things", "application/json", `{"name":"a","code":"a"}`, "request.invalid\n/code request.pattern Must have the form ^[A-Z]+$."},
		{"date", "POST", "/v1/things", "application/json", `{"name":"a","born_on":"2026-02-30"}`, "request.invalid\n/born_on request.format Is not a valid date."},
		{"nullable reference", "POST", "/v1/things", "application/json", `{"name":"a","colour":null,"size":null}`, `{"name":"a","colour":null,"size":null}`},
		{"enum", "POST", "/v1/things", "application/json", `{"name":"a","colour":"green"}`, "request.invalid\n/colour request.enum Must be one of: red, blue."},
		{"nested", "POST", "/v1/things", "application/json", `{"name":"a","size":{"width":0,"b":1}}`, "request.invalid\n/size/b request.unknown_field There is no such field here.\n/size/width request.minimum Must be at least 1."},
		{"in a list", "POST", "/v1/things", "application/json", `{"name":"a","sizes":[{"width":1},{"width":"1"}]}`, "request.invalid\n/sizes/1/width request.type Must be of type integer."},
		{"too many", "POST", "/v1/things", "application/json", `{"name":"a","sizes":[{"width":1},{"width":1},{"width":1}]}`, "request.invalid\n/sizes request.max_items Must have at most 2 items."},
		{"fraction", "POST", "/v1/things", "application/json", `{"name":"a","size":{"width":1.5}}`, "request.invalid\n/size/width request.type Must be of type integer."},
		{"beyond int64", "POST", "/v1/things", "application/json", `{"name":"a","size":{"width":9223372036854775808000}}`, "request.invalid\n/size/width request.format Is not a valid int64."},
		{"open object", "POST", "/v1/things", "application/json", `{"name":"a","extra":{"x":[1,{"y":null}]}}`, `{"name":"a","extra":{"x":[1,{"y":null}]}}`},

		{"action without body", "POST", "/v1/things/" + anID + "/cancel", "", "", "ok"},
		{"action with empty object", "POST", "/v1/things/" + anID + "/cancel", "application/json", "{}", "{}"},
		{"action with a body", "POST", "/v1/things/" + anID + "/cancel", "application/json", `{"a":1}`, "request.body_unexpected"},
		{"raw", "POST", "/v1/callbacks", "text/xml", "<xml>", "<xml>"},
		{"multipart", "POST", "/v1/uploads", "multipart/form-data; boundary=x", "--x--", "--x--"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var body io.Reader
			if tc.body != "" {
				body = strings.NewReader(tc.body)
			}
			req := httptest.NewRequest(tc.method, tc.path, body)
			if tc.contentType != "" {
				req.Header.Set("Content-Type", tc.contentType)
			}
			rec := httptest.NewRecorder()
			e.ServeHTTP(rec, req)
			got := rec.Body.String()
			if rec.Code == 200 && got == "" {
				got = "ok"
			}
			assert.Equal(t, tc.want, got)
		})
	}
}

func TestMergePatchIsJSONToHandlers(t *testing.T) {
	e := shopServer(t)
	req := httptest.NewRequest("PATCH", "/v1/things/"+anID, strings.NewReader(`{"name":"a"}`))
	req.Header.Set("Content-Type", "application/merge-patch+json")
	rec := httptest.NewRecorder()
	e.ServeHTTP(rec, req)
	assert.Equal(t, "application/json", rec.Header().Get("Seen-Type"))
}

func TestValidateHeaderAndEncoding(t *testing.T) {
	e := shopServer(t)
	req := httptest.NewRequest("GET", "/v1/things", nil)
	req.Header.Set("If-None-Match", strings.Repeat("x", 11))
	rec := httptest.NewRecorder()
	e.ServeHTTP(rec, req)
	assert.Equal(t, "request.invalid\nIf-None-Match: request.max_length Must have at most 10 characters.", rec.Body.String())

	req = httptest.NewRequest("POST", "/v1/things", strings.NewReader(`{"name":"a"}`))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Content-Encoding", "gzip")
	rec = httptest.NewRecorder()
	e.ServeHTTP(rec, req)
	assert.Equal(t, "request.unsupported_media_type", rec.Body.String())
}

func TestBodyLimitReachesTheCaller(t *testing.T) {
	c, err := parse([]byte(shop))
	require.NoError(t, err)
	e := echo.New()
	req := httptest.NewRequest("POST", "/v1/things", strings.NewReader(`{"name":"a"}`))
	req.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	req.Body = http.MaxBytesReader(rec, req.Body, 4)
	ctx := e.NewContext(req, rec)
	ctx.SetPath("/v1/things")
	err = c.Validate()(func(echo.Context) error { return nil })(ctx)
	require.True(t, apperr.ErrTooLarge.Is(err), "%v", err)
	assert.EqualValues(t, 4, apperr.From(err).Args["limit"])
}

func TestRawBodyKeepsTheBytes(t *testing.T) {
	c, err := parse([]byte(shop))
	require.NoError(t, err)
	const body = `{ "name" : "a" }`
	req := httptest.NewRequest("POST", "/v1/things", strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	ctx := echo.New().NewContext(req, httptest.NewRecorder())
	ctx.SetPath("/v1/things")
	require.NoError(t, c.Validate()(func(ctx echo.Context) error {
		assert.Equal(t, body, string(RawBody(ctx.Request())))
		read, err := io.ReadAll(ctx.Request().Body)
		assert.NoError(t, err)
		assert.Equal(t, body, string(read))
		assert.Equal(t, body, string(RawBody(ctx.Request())), "reading the body does not use RawBody up")
		return nil
	})(ctx))
}

func TestBindError(t *testing.T) {
	e := echo.New()
	bind := func(body string, into any) error {
		req := httptest.NewRequest("POST", "/", strings.NewReader(body))
		req.Header.Set("Content-Type", "application/json")
		return e.NewContext(req, httptest.NewRecorder()).Bind(into)
	}
	var into struct {
		Lines []struct {
			Quantity int64 `json:"quantity"`
		} `json:"lines"`
	}
	err := BindError(bind(`{"lines":[{"quantity":1.0}]}`, &into))
	require.NotNil(t, err)
	assert.True(t, apperr.ErrInvalid.Is(err))
	assert.Equal(t, "/lines/quantity", err.Fields[0].Pointer)
	assert.Equal(t, "request.type", err.Fields[0].Code)
	assert.Equal(t, "integer", err.Fields[0].Args["expected"])

	assert.True(t, apperr.ErrMalformed.Is(BindError(echo.NewHTTPError(400, "Expected one value for If-Match"))))
	assert.Nil(t, BindError(echo.ErrNotFound))
	assert.Nil(t, BindError(json.Unmarshal([]byte(`{"lines":1}`), &into)), "not the caller's JSON")
}

func TestManyFaultsAreBounded(t *testing.T) {
	e := shopServer(t)
	var body strings.Builder
	body.WriteString(`{"name":"a"`)
	for i := range 200 {
		body.WriteString(`,"x` + strings.Repeat("y", i) + `":1`)
	}
	body.WriteString("}")
	req := httptest.NewRequest("POST", "/v1/things", strings.NewReader(body.String()))
	req.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	e.ServeHTTP(rec, req)
	assert.Equal(t, maxFields, strings.Count(rec.Body.String(), "request.unknown_field"))
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{"a":1}`, `{"a":{"b":[1,2,{"c":null}]}}`, `{"a":1,"a":2}`, `"x:y\":"`, `[]`, `{`, `{"a":1}x`, ``, `"\ud83d\ude00"`, `"\ud83d"`, `"\u0000"`, `"\\u0000"`, "\"\xff\"", `[1e999,-0.1,12345678901234567890]`, strings.Repeat("[", 40) + strings.Repeat("]", 40)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		value, _, err := decode(raw)
		if err != nil {
			require.NotNil(t, apperr.From(err), "every refusal has a code")
			return
		}
		require.True(t, utf8.Valid(raw))
		again, err := json.Marshal(value)
		require.NoError(t, err)
		kept, _, err := decode(again)
		require.NoError(t, err)
		require.Equal(t, value, kept, "what is let in is no other value a second time")
	})
}
