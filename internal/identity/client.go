package identity

import (
	"context"
	"net/netip"
	"strings"
	"unicode/utf8"
)

// Client is where a request comes from, for sessions and the audit log.
type Client struct {
	IP, UserAgent string
	Device        string // device token, as sent
	// User and Password are of HTTP Basic, where an operation without a sign-in was
	// sent it: a machine's id and secret.
	User, Password string
}

type clientKey struct{}

// WithClient is called by the edge before anything else looks at a request;
// without it the client counts as unknown.
func WithClient(ctx context.Context, c Client) context.Context {
	return context.WithValue(ctx, clientKey{}, c)
}

func clientOf(ctx context.Context) Client {
	c, _ := ctx.Value(clientKey{}).(Client)
	c.IP, c.UserAgent = storable(c.IP, 45), storable(c.UserAgent, 300)
	return c
}

func withDevice(ctx context.Context, token *string) context.Context {
	if token == nil {
		return ctx
	}
	c := clientOf(ctx)
	c.Device = *token
	return context.WithValue(ctx, clientKey{}, c)
}

// addr is the address as a number, without the zone of a link; the zero Addr
// when it is not known.
func (c Client) addr() netip.Addr {
	a, err := netip.ParseAddr(c.IP)
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}

// storable cuts a header of a stranger to what its column takes.
func storable(text string, most int) string {
	text = strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", ""), "")
	for len(text) > most {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	return text
}
