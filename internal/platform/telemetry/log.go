package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// NewLogger returns a logger that writes one line a record ("json" or "text"),
// adds the request id of the context, and hides values that may be personal or
// secret. Log route templates, never paths or query strings: they hold ids and
// search words.
// Error: an unknown format.
func NewLogger(w io.Writer, format string, level slog.Leveler) (*slog.Logger, error) {
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: hide}
	var h slog.Handler
	switch format {
	case "json", "":
		h = slog.NewJSONHandler(w, options)
	case "text":
		h = slog.NewTextHandler(w, options)
	default:
		return nil, fmt.Errorf("log format %q: use json or text", format)
	}
	return slog.New(requestHandler{h}), nil
}

// requestHandler adds the request id to each record.
type requestHandler struct{ slog.Handler }

func (h requestHandler) Handle(ctx context.Context, r slog.Record) error {
	if id := RequestID(ctx); id != "" {
		r.AddAttrs(slog.String("request_id", id))
	}
	return h.Handler.Handle(ctx, r)
}

func (h requestHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return requestHandler{h.Handler.WithAttrs(attrs)}
}

func (h requestHandler) WithGroup(name string) slog.Handler {
	return requestHandler{h.Handler.WithGroup(name)}
}

const hidden = "[hidden]"

// secretParts are words of attribute names whose values never reach a log. A
// name is hidden when one of its words (parted by "_", "-", "." or a capital)
// is in the list, so customer_name and phoneNumber are hidden too.
var secretParts = map[string]bool{
	"phone": true, "mobile": true, "email": true, "mail": true, "name": true, "username": true, "address": true,
	"birth": true, "birthday": true, "card": true, "idcard": true, "wechat": true, "openid": true, "unionid": true,
	"token": true, "password": true, "passwd": true, "secret": true, "authorization": true, "cookie": true,
	"credential": true, "credentials": true, "otp": true, "body": true, "query": true, "dsn": true, "headers": true,
}

// openNames have such a word but name things of ours, not persons.
var openNames = map[string]bool{"table_name": true, "constraint_name": true, "job_name": true, "queue_name": true, "file_name": true}

func hide(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindGroup || openNames[a.Key] {
		return a
	}
	for _, word := range words(a.Key) {
		if secretParts[word] {
			return slog.String(a.Key, hidden)
		}
	}
	return a
}

// words splits an attribute name: "customerPhone" and "customer_phone" both
// give customer and phone.
func words(key string) []string {
	var b strings.Builder
	lower := false
	for _, r := range key {
		switch {
		case r == '_' || r == '-' || r == '.' || r == ' ':
			b.WriteByte(' ')
			lower = false
		case r >= 'A' && r <= 'Z':
			if lower {
				b.WriteByte(' ')
			}
			b.WriteRune(r + 'a' - 'A')
			lower = false
		default:
			b.WriteRune(r)
			lower = true
		}
	}
	return strings.Fields(b.String())
}
