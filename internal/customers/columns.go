package customers

import (
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// column builds the text form of a PostgreSQL array, one element a row. Whole
// columns are sent to unnest, so that one statement of constant text writes
// one row or a thousand.
type column struct{ buf []byte }

func (c *column) next() {
	if len(c.buf) == 0 {
		c.buf = append(c.buf, '{')
	} else {
		c.buf = append(c.buf, ',')
	}
}

// String closes the array.
func (c *column) String() string {
	if len(c.buf) == 0 {
		return "{}"
	}
	return string(append(c.buf, '}'))
}

func (c *column) null() {
	c.next()
	c.buf = append(c.buf, "NULL"...)
}

func (c *column) text(s string) {
	c.next()
	c.buf = append(c.buf, '"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			c.buf = append(c.buf, '\\')
		}
		c.buf = append(c.buf, s[i])
	}
	c.buf = append(c.buf, '"')
}

func (c *column) textOrNull(s string) {
	if s == "" {
		c.null()
		return
	}
	c.text(s)
}

func (c *column) bytes(b []byte) {
	if b == nil {
		c.null()
		return
	}
	c.next()
	c.buf = append(c.buf, `"\\x`...)
	c.buf = hex.AppendEncode(c.buf, b)
	c.buf = append(c.buf, '"')
}

func (c *column) int(n int64) {
	c.next()
	c.buf = strconv.AppendInt(c.buf, n, 10)
}

func (c *column) bool(v bool) {
	c.next()
	c.buf = strconv.AppendBool(c.buf, v)
}

func (c *column) intOrNull(n *int32) {
	if n == nil {
		c.null()
		return
	}
	c.int(int64(*n))
}

func (c *column) uuid(id *uuid.UUID) {
	if id == nil || *id == uuid.Nil {
		c.null()
		return
	}
	c.next()
	var text [36]byte
	encodeUUID(text[:], id)
	c.buf = append(c.buf, text[:]...)
}

func encodeUUID(to []byte, id *uuid.UUID) {
	hex.Encode(to, id[:4])
	to[8] = '-'
	hex.Encode(to[9:13], id[4:6])
	to[13] = '-'
	hex.Encode(to[14:18], id[6:8])
	to[18] = '-'
	hex.Encode(to[19:23], id[8:10])
	to[23] = '-'
	hex.Encode(to[24:], id[10:])
}

func (c *column) time(t *time.Time, layout string) {
	if t == nil {
		c.null()
		return
	}
	c.next()
	c.buf = append(c.buf, '"')
	c.buf = t.UTC().AppendFormat(c.buf, layout)
	c.buf = append(c.buf, '"')
}

// json writes an object as text, NULL when it is empty.
func (c *column) json(v any, empty bool) error {
	if empty {
		c.null()
		return nil
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	c.text(string(raw))
	return nil
}

// ints writes an array as one text element, since rows of unnest cannot hold
// arrays of different lengths.
func (c *column) ints(ns []int32) {
	c.next()
	c.buf = append(c.buf, '"', '{')
	for i, n := range ns {
		if i > 0 {
			c.buf = append(c.buf, ',')
		}
		c.buf = strconv.AppendInt(c.buf, int64(n), 10)
	}
	c.buf = append(c.buf, '}', '"')
}

func (c *column) uuids(ids []uuid.UUID) {
	c.next()
	c.buf = append(c.buf, '"', '{')
	for i := range ids {
		if i > 0 {
			c.buf = append(c.buf, ',')
		}
		var text [36]byte
		encodeUUID(text[:], &ids[i])
		c.buf = append(c.buf, text[:]...)
	}
	c.buf = append(c.buf, '}', '"')
}
