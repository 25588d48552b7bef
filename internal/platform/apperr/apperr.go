// Package apperr is the one error type that travels from domain to HTTP edge.
//
// A domain declares its errors once, in errors.go, with Define; a service
// returns them unchanged (or With a field or a cause) and only
// internal/server/problem.go turns them into an HTTP answer. The text shown to
// people is looked up by code and language there, so that no wrapped cause
// (which may hold personal data) can reach a client.
package apperr

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Kind is the class of a failure; the HTTP edge maps each to one status.
type Kind uint8

// Kinds, with the status each becomes.
const (
	Internal           Kind = iota // 500
	Malformed                      // 400: the request cannot be read
	Unauthenticated                // 401
	Forbidden                      // 403
	NotFound                       // 404: absent, or outside the caller's scope
	MethodNotAllowed               // 405
	NotAcceptable                  // 406
	Conflict                       // 409: clashes with what exists
	PreconditionFailed             // 412
	TooLarge                       // 413
	UnsupportedMedia               // 415
	Invalid                        // 422: readable, but breaks a rule
	PreconditionNeeded             // 428
	RateLimited                    // 429
	Unavailable                    // 503
	Timeout                        // 504
)

// Field names one offending part of a request.
type Field struct {
	Pointer string         // JSON Pointer into the body ("/lines/0/quantity"), or "?limit" for a query parameter
	Code    string         // stable dotted code; its text is in the definitions table
	Args    map[string]any // values for the text; never personal data
	Rule    string         // code of a rule that the business has added itself; empty for ours
}

// Error is a failure with a stable code. The zero value is not useful: make
// one from a Definition.
type Error struct {
	Def    *Definition
	Fields []Field
	Args   map[string]any // values for the text, e.g. {"max": 200}; never personal data
	Extra  map[string]any // extension members of the problem document, e.g. existing_id
	cause  error
}

// Definition is one row of the error catalogue (docs/errors.md is made from it).
type Definition struct {
	Kind Kind
	Code string // "customers.not_found"
	EN   string // text in English; {name} is replaced from Args
	ZH   string // text in Simplified Chinese
}

var (
	mu   sync.Mutex
	defs = map[string]*Definition{}
)

// Define adds a code to the catalogue. It panics on a second definition of a
// code, since clients decide on codes and two meanings would be a defect.
func Define(kind Kind, code, en, zh string) *Definition {
	mu.Lock()
	defer mu.Unlock()
	if _, dup := defs[code]; dup {
		panic("apperr: code defined twice: " + code)
	}
	d := &Definition{Kind: kind, Code: code, EN: en, ZH: zh}
	defs[code] = d
	return d
}

// Definitions lists the catalogue by code.
func Definitions() []*Definition {
	mu.Lock()
	defer mu.Unlock()
	out := make([]*Definition, 0, len(defs))
	for _, code := range slices.Sorted(maps.Keys(defs)) {
		out = append(out, defs[code])
	}
	return out
}

// Lookup finds a definition by code, or nil.
func Lookup(code string) *Definition {
	mu.Lock()
	defer mu.Unlock()
	return defs[code]
}

// New makes an error of this definition.
func (d *Definition) New() *Error { return &Error{Def: d} }

// Wrap makes an error of this definition that keeps its cause for the log.
func (d *Definition) Wrap(cause error) *Error { return &Error{Def: d, cause: cause} }

// At makes an error of this definition that points at one part of the request.
func (d *Definition) At(pointer string) *Error {
	return &Error{Def: d, Fields: []Field{{Pointer: pointer, Code: d.Code}}}
}

// Is reports whether err (or what it wraps) is of this definition.
func (d *Definition) Is(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Def == d
}

// Arg adds a value for the text.
func (e *Error) Arg(name string, value any) *Error {
	if e.Args == nil {
		e.Args = map[string]any{}
	}
	e.Args[name] = value
	return e
}

// With adds an extension member to the problem document.
func (e *Error) With(name string, value any) *Error {
	if e.Extra == nil {
		e.Extra = map[string]any{}
	}
	e.Extra[name] = value
	return e
}

// Field adds an offending part of the request.
func (e *Error) Field(pointer string, d *Definition, args ...map[string]any) *Error {
	f := Field{Pointer: pointer, Code: d.Code}
	if len(args) > 0 {
		f.Args = args[0]
	}
	e.Fields = append(e.Fields, f)
	return e
}

// OfFirst makes an error with several fields one of the first field's definition.
func (e *Error) OfFirst() *Error {
	e.Def = Lookup(e.Fields[0].Code)
	return e
}

// Error is for logs: code and cause, no request values.
func (e *Error) Error() string {
	if e.cause != nil {
		return fmt.Sprintf("%s: %v", e.Def.Code, e.cause)
	}
	return e.Def.Code
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

// Text renders a definition's text in a language ("zh" or "en").
func (d *Definition) Text(lang string, args map[string]any) string {
	text := d.EN
	if lang == "zh" {
		text = d.ZH
	}
	for name, v := range args {
		text = strings.ReplaceAll(text, "{"+name+"}", fmt.Sprint(v))
	}
	return text
}

// From finds the *Error in err, or nil.
func From(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}
