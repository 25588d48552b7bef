package contract

import (
	"bytes"
	"errors"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/labstack/echo/v4"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
)

// Validate returns the middleware that holds each routed request against its
// operation: parameters, content type and body. It must run after routing
// (Echo's Use, not Pre) and after authentication, which it leaves alone.
//
// It refuses what the contract does not mention: unknown query parameters,
// unknown fields, a field given twice (a decoder that takes another of the two
// than the validator could be made to act on a value nobody checked), another
// content type. Bodies that the operation reads by itself (x-body: raw,
// multipart) pass untouched. The body that handlers see can be read again with
// Body.
//
// Errors are apperr's request.* codes; a route outside the contract passes.
func (c *Contract) Validate() echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(ctx echo.Context) error {
			if op := c.Lookup(ctx.Request().Method, ctx.Path()); op != nil {
				if err := op.validate(ctx); err != nil {
					return err
				}
			}
			return next(ctx)
		}
	}
}

func (op *Operation) validate(ctx echo.Context) error {
	var found faults
	op.validateParameters(ctx, &found)
	if len(found) > 0 {
		return found.err()
	}
	if op.Multipart {
		media, params, err := mime.ParseMediaType(ctx.Request().Header.Get(echo.HeaderContentType))
		if err != nil || media != echo.MIMEMultipartForm || params["boundary"] == "" {
			return apperr.ErrUnsupportedMedia.New()
		}
		return nil
	}
	if op.Raw {
		return nil
	}
	return op.validateBody(ctx.Request())
}

var parameterOptions = &openapi3filter.Options{
	MultiError:              true,
	SkipSettingDefaults:     true, // handlers know their defaults; writing them here would rebuild the query string
	SchemaValidationOptions: []openapi3.SchemaValidationOption{formats},
}

func (op *Operation) validateParameters(ctx echo.Context, found *faults) {
	req := ctx.Request()
	var query url.Values
	if req.URL.RawQuery != "" {
		var err error
		if query, err = url.ParseQuery(req.URL.RawQuery); err != nil {
			found.add("?", errValue, nil)
			return
		}
		op.validateQueryNames(query, found)
	}
	if len(op.parameters) == 0 {
		return
	}
	input := openapi3filter.RequestValidationInput{Request: req, QueryParams: query, Route: op.route, Options: parameterOptions}
	if query == nil {
		input.QueryParams = emptyQuery
	}
	if op.hasPath {
		names, values := ctx.ParamNames(), ctx.ParamValues()
		input.PathParams = make(map[string]string, len(names))
		for i, name := range names {
			if !found.checkText("{", name, "}", values[i]) {
				return
			}
			input.PathParams[name] = values[i]
		}
	}
	for _, p := range op.parameters {
		if p.In == openapi3.ParameterInQuery && query == nil && !p.Required {
			continue
		}
		if p.In == openapi3.ParameterInHeader && !p.Required && req.Header.Get(p.Name) == "" {
			continue
		}
		if err := openapi3filter.ValidateParameter(req.Context(), &input, p); err != nil {
			found.addParameter(p, err)
		}
	}
}

var emptyQuery = url.Values{} // never written: defaults are not set

// validateQueryNames refuses a misspelt filter: ignored, it would answer with
// everything, which nobody notices.
func (op *Operation) validateQueryNames(query url.Values, found *faults) {
	for _, name := range slices.Sorted(maps.Keys(query)) {
		p, values := op.query[name], query[name]
		switch {
		case p == nil:
			found.add("?"+name, errUnknownParameter, nil)
		case len(values) > 1 && !p.Schema.Value.Type.Is(openapi3.TypeArray):
			found.add("?"+name, errRepeatedParameter, nil)
		default:
			for _, value := range values {
				found.checkText("?", name, "", value)
			}
		}
	}
}

// checkText refuses what the database keeps in no text column. The parts of
// the pointer are joined only for a fault: every request comes by here.
func (f *faults) checkText(before, name, after, value string) bool {
	switch {
	case hasNUL(value):
		f.add(before+name+after, errNUL, nil)
	case !utf8.ValidString(value):
		f.add(before+name+after, errFormatInvalid, map[string]any{"format": "UTF-8 text"})
	default:
		return true
	}
	return false
}

func (op *Operation) validateBody(req *http.Request) error {
	if op.body == nil && (req.ContentLength == 0 || req.Body == nil || req.Body == http.NoBody) {
		return nil
	}
	if encoding := req.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return apperr.ErrUnsupportedMedia.New()
	}
	raw, err := readBody(req)
	if err != nil {
		return err
	}
	if op.body == nil {
		// Many clients send {} or blanks with a POST that needs nothing.
		if text := bytes.TrimSpace(raw); len(text) > 0 && string(text) != "{}" {
			return errBodyUnexpected.New()
		}
		return nil
	}
	if len(raw) == 0 {
		if op.body.Required {
			return faults{{Pointer: "", Code: errBodyRequired.Code}}.err()
		}
		return nil
	}
	if !op.acceptType(req) {
		return apperr.ErrUnsupportedMedia.New()
	}
	if op.bodySchema == nil {
		return nil
	}
	value, inspect, err := decode(raw)
	if err != nil {
		return err
	}
	var found faults
	if err := op.bodySchema.VisitJSON(value, openapi3.MultiErrors(), formats); err != nil {
		found.addSchema("", err)
	} else if inspect {
		found.addNumbers(value, op.bodySchema, nil)
	}
	return found.err()
}

// acceptType checks the content type. A merge patch is JSON to everything
// behind, so it is renamed here and no handler has to know two names.
func (op *Operation) acceptType(req *http.Request) bool {
	header := req.Header.Get(echo.HeaderContentType)
	if header == echo.MIMEApplicationJSON && op.bodySchema != nil {
		return true
	}
	media, params, err := mime.ParseMediaType(header)
	if err != nil {
		return false
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return false
	}
	if media == "application/merge-patch+json" && req.Method == http.MethodPatch && op.bodySchema != nil {
		req.Header.Set(echo.HeaderContentType, echo.MIMEApplicationJSON)
		return true
	}
	return op.body.Content[media] != nil
}

// Body is a request body that has been read and validated. It satisfies the
// request's Body, so handlers decode it as usual.
type Body struct {
	bytes.Reader
	raw []byte
}

// Close does nothing: the connection's body is closed already.
func (*Body) Close() error { return nil }

// RawBody returns the exact bytes of a validated request body without using it
// up, for fingerprints. It is nil where the middleware did not read one.
func RawBody(req *http.Request) []byte {
	if b, ok := req.Body.(*Body); ok {
		return b.raw
	}
	return nil
}

func readBody(req *http.Request) ([]byte, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return nil, nil
	}
	var buf bytes.Buffer
	if n := req.ContentLength; n > 0 && n <= DefaultBodyLimit {
		buf.Grow(int(n) + bytes.MinRead) // ReadFrom wants room to see the end, else it grows once more
	}
	_, err := buf.ReadFrom(req.Body)
	_ = req.Body.Close() // the server closes the connection's body again; nothing of it is left to read
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return nil, apperr.ErrTooLarge.New().Arg("limit", large.Limit)
		}
		if known := apperr.From(err); known != nil {
			return nil, known
		}
		return nil, apperr.ErrMalformed.Wrap(err)
	}
	raw := buf.Bytes()
	body := &Body{raw: raw}
	body.Reset(raw)
	req.Body = body
	req.ContentLength = int64(len(raw))
	return raw, nil
}
