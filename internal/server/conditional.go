package server

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/shuke-crm/shuke/internal/contract"
)

// conditional completes entity tags and answers 304. A handler tags a resource
// with its version alone ("3"); callers who see different fields of it must
// not share a tag, so a hash of the body is added ("3-1f0a9c2e…"). A handler
// that knows the hash already (cached bodies) sends the whole tag itself.
func (e *edge) conditional(op *contract.Operation, next echo.HandlerFunc) echo.HandlerFunc {
	if op.Public || op.Stream || op.Method == http.MethodDelete {
		return next
	}
	return func(c echo.Context) error {
		res := c.Response()
		t := &tagger{ResponseWriter: res.Writer}
		if op.Method == http.MethodGet {
			t.ifNoneMatch = c.Request().Header.Get("If-None-Match")
		}
		res.Writer = t
		err := next(c)
		res.Writer = t.ResponseWriter
		if err != nil {
			return err // nothing was written: strict handlers fail before they write
		}
		if err := t.finish(); err != nil {
			return err
		}
		if t.status != 0 {
			res.Status = t.status
		}
		return nil
	}
}

// tagger holds back an answer whose tag is not complete yet.
type tagger struct {
	http.ResponseWriter
	ifNoneMatch string
	status      int
	body        []byte
	held        bool
	dropped     bool // answered 304; the body that follows goes nowhere
}

// Unwrap lets response controllers reach the connection.
func (t *tagger) Unwrap() http.ResponseWriter { return t.ResponseWriter }

func (t *tagger) WriteHeader(status int) {
	tag := t.Header().Get("ETag")
	t.status = status
	switch {
	case tag == "" || status < 200 || status > 299:
		t.ResponseWriter.WriteHeader(status)
	case !strings.Contains(tag, "-"):
		t.held = true
	case status == http.StatusOK && matchesTag(t.ifNoneMatch, tag):
		t.notModified()
	default:
		t.ResponseWriter.WriteHeader(status)
	}
}

func (t *tagger) Write(b []byte) (int, error) {
	switch {
	case t.dropped:
		return len(b), nil
	case t.held:
		t.body = append(t.body, b...)
		return len(b), nil
	default:
		return t.ResponseWriter.Write(b)
	}
}

func (t *tagger) finish() error {
	if !t.held {
		return nil
	}
	h := t.Header()
	sum := sha256.Sum256(t.body)
	tag := strings.TrimSuffix(h.Get("ETag"), `"`) + "-" + hex.EncodeToString(sum[:8]) + `"`
	h.Set("ETag", tag)
	if t.status == http.StatusOK && matchesTag(t.ifNoneMatch, tag) {
		t.notModified()
		return nil
	}
	t.ResponseWriter.WriteHeader(t.status)
	_, err := t.ResponseWriter.Write(t.body)
	return err
}

func (t *tagger) notModified() {
	h := t.Header()
	h.Del(echo.HeaderContentType)
	h.Del(echo.HeaderContentLength)
	t.dropped, t.status = true, http.StatusNotModified
	t.ResponseWriter.WriteHeader(http.StatusNotModified)
}

// matchesTag compares weakly, as If-None-Match wants (RFC 9110 13.1.2).
func matchesTag(header, tag string) bool {
	if header == "" {
		return false
	}
	if strings.TrimSpace(header) == "*" {
		return true
	}
	for candidate := range strings.SplitSeq(header, ",") {
		if strings.TrimPrefix(strings.TrimSpace(candidate), "W/") == tag {
			return true
		}
	}
	return false
}
