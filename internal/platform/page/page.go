// Package page makes the opaque, signed cursors of keyset lists. A cursor
// holds the sort values of the last row shown; it costs the same at any depth
// and stays right while rows are added.
package page

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
)

// Limits of a page.
const (
	DefaultLimit = 50
	MaxLimit     = 200
)

// Codec signs cursors, so that a client can neither read a meaning into them
// nor hand one list's cursor to another.
type Codec struct{ key [32]byte }

// NewCodec makes a codec with a key of its own purpose.
func NewCodec(key [32]byte) *Codec { return &Codec{key} }

const tagSize = 12

// Encode makes a cursor for a list. The list's name should hold everything
// that must not change from page to page: operation, sort and filters.
func (c *Codec) Encode(list string, position any) string {
	body, err := json.Marshal(position)
	if err != nil {
		panic(err) // positions are plain structs of ours
	}
	return base64.RawURLEncoding.EncodeToString(append(c.tag(list, body), body...))
}

// Decode reads a cursor of the same list into position; nil or empty cursors
// leave it untouched and report false.
func (c *Codec) Decode(list string, cursor *string, position any) (bool, error) {
	if cursor == nil || *cursor == "" {
		return false, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(*cursor, "="))
	if err != nil || len(raw) <= tagSize || !hmac.Equal(raw[:tagSize], c.tag(list, raw[tagSize:])) {
		return false, apperr.ErrBadCursor.At("?cursor")
	}
	if err := json.Unmarshal(raw[tagSize:], position); err != nil {
		return false, apperr.ErrBadCursor.At("?cursor")
	}
	return true, nil
}

func (c *Codec) tag(list string, body []byte) []byte {
	m := hmac.New(sha256.New, c.key[:])
	m.Write([]byte(list))
	m.Write([]byte{0})
	m.Write(body)
	return m.Sum(nil)[:tagSize]
}

// Limit is the page size asked for, or the default; the contract bounds it.
func Limit[N ~int | ~int32](asked *N) int {
	if asked == nil || *asked <= 0 {
		return DefaultLimit
	}
	return min(int(*asked), MaxLimit)
}

// Cut takes rows fetched with one more than limit and tells whether more
// follow.
func Cut[T any](rows []T, limit int) ([]T, bool) {
	if len(rows) > limit {
		return rows[:limit], true
	}
	return rows, false
}

// Total counts all rows of a list when include asks for that; nil when not.
func Total[T ~string](ctx context.Context, include *T, count func(context.Context) (int, error)) (*int64, error) {
	if include == nil {
		return nil, nil
	}
	n, err := count(ctx)
	if err != nil {
		return nil, err
	}
	wide := int64(n)
	return &wide, nil
}
