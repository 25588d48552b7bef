package testkit

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/stretchr/testify/require"
)

// checked is a transport that holds every answer against the contract.
type checked struct {
	app  *App
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (c *checked) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := c.next.RoundTrip(req)
	if err != nil || strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		return res, err
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil {
		return nil, err
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	c.app.check(req, res, body)
	return res, nil
}

// check fails the test if an answer is not what the contract says. Requests
// for what the contract does not know must get a problem.
func (a *App) check(req *http.Request, res *http.Response, body []byte) {
	method := req.Method
	switch override := req.Header.Get("X-HTTP-Method-Override"); {
	case method == http.MethodOptions || method == http.MethodHead:
		return
	case method == http.MethodPost && override != "":
		method = strings.ToUpper(override)
	}
	spec := a.Server.Contract
	if res.Header.Get("X-Request-Id") == "" {
		a.T.Errorf("%s %s: no request id in the answer", method, req.URL.Path)
	}
	if spec.Match(method, req.URL.Path) == nil {
		if res.StatusCode < 400 && !strings.HasPrefix(req.URL.Path, "/docs/") {
			a.T.Errorf("%s %s is answered with %d and not in the contract", method, req.URL.Path, res.StatusCode)
		}
		if res.StatusCode >= 400 && res.Header.Get("Content-Type") != "application/problem+json" {
			a.T.Errorf("%s %s: status %d without a problem document", method, req.URL.Path, res.StatusCode)
		}
		return
	}
	if err := spec.CheckResponse(method, req.URL.Path, res.StatusCode, res.Header, body); err != nil {
		a.T.Errorf("answer against the contract: %v\n%s", err, shorten(body))
	}
}

func shorten(body []byte) string {
	if len(body) > 2000 {
		return string(body[:2000]) + "…"
	}
	return string(body)
}

// Response is an answer that has been read.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
	app    *App
}

// Do sends a request without credentials. Body is sent as it is when a string
// or bytes, else as JSON; nil sends none. Headers come in pairs of name and
// value.
func (a *App) Do(method, path string, body any, headers ...string) *Response {
	a.T.Helper()
	var reader io.Reader
	isJSON := false
	switch b := body.(type) {
	case nil:
	case string:
		reader, isJSON = strings.NewReader(b), true
	case []byte:
		reader, isJSON = bytes.NewReader(b), true
	case io.Reader:
		reader = b
	default:
		raw, err := json.Marshal(b)
		require.NoError(a.T, err)
		reader, isJSON = bytes.NewReader(raw), true
	}
	req, err := http.NewRequest(method, a.URL+path, reader)
	require.NoError(a.T, err)
	if isJSON {
		req.Header.Set("Content-Type", "application/json")
	}
	require.Zero(a.T, len(headers)%2, "headers come in pairs")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := a.HTTP.Do(req)
	require.NoError(a.T, err, "%s %s", method, path)
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	require.NoError(a.T, err)
	return &Response{Status: res.StatusCode, Header: res.Header, Body: raw, app: a}
}

// Want fails the test unless the status is the one expected.
func (r *Response) Want(status int) *Response {
	r.app.T.Helper()
	require.Equal(r.app.T, status, r.Status, "%s", shorten(r.Body))
	return r
}

// JSON reads the body into v.
func (r *Response) JSON(v any) {
	r.app.T.Helper()
	require.NoError(r.app.T, json.Unmarshal(r.Body, v), "%s", shorten(r.Body))
}

// Map reads the body as an object.
func (r *Response) Map() map[string]any {
	r.app.T.Helper()
	var m map[string]any
	r.JSON(&m)
	return m
}

// Problem is an error document.
type Problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Code      string `json:"code"`
	RequestID string `json:"request_id"`
	Errors    []struct {
		Pointer string `json:"pointer"`
		Code    string `json:"code"`
		Detail  string `json:"detail"`
	} `json:"errors"`
}

// WantProblem fails the test unless the answer is a problem of this status and
// code; with pointers, each must be among its errors.
func (r *Response) WantProblem(status int, code string, pointers ...string) Problem {
	r.app.T.Helper()
	require.Equal(r.app.T, status, r.Status, "%s", shorten(r.Body))
	require.Equal(r.app.T, "application/problem+json", r.Header.Get("Content-Type"))
	var p Problem
	r.JSON(&p)
	require.Equal(r.app.T, code, p.Code, "%s", shorten(r.Body))
	require.Equal(r.app.T, status, p.Status)
	require.Equal(r.app.T, r.Header.Get("X-Request-Id"), p.RequestID)
	require.NotEmpty(r.app.T, p.Title)
	require.NotEmpty(r.app.T, p.Detail)
	for _, want := range pointers {
		found := false
		for _, e := range p.Errors {
			found = found || e.Pointer == want
		}
		require.True(r.app.T, found, "no error points at %s: %s", want, shorten(r.Body))
	}
	return p
}

// WantProblemHeader fails the test unless the answer is a problem of this
// status, and gives its headers.
func (r *Response) WantProblemHeader(status int) http.Header {
	r.app.T.Helper()
	require.Equal(r.app.T, status, r.Status, "%s", shorten(r.Body))
	require.Equal(r.app.T, "application/problem+json", r.Header.Get("Content-Type"))
	return r.Header
}
