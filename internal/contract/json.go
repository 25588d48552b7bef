package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
)

// maxDepth is how many objects and lists of a body may stand in one another.
// The contract's own shapes need six; the rest is for free-form objects, which
// are stored as they came and read by programs that recurse.
const maxDepth = 32

// decode reads one JSON value and nothing after it, numbers kept exact. It
// refuses what would not come out of the database as it went in: text that is
// no Unicode, NUL, a field given twice, nesting without end. inspect says
// whether there are numbers to look at with the schema at hand (addNumbers).
func decode(raw []byte) (value any, inspect bool, err error) {
	if !utf8.Valid(raw) {
		return nil, false, notText(invalidAt(raw))
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&value); err != nil {
		offset := int64(len(raw)) // it ends too early unless said otherwise
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			offset = syntax.Offset
		}
		return nil, false, malformed(err, offset)
	}
	end := dec.InputOffset()
	if rest := bytes.TrimLeft(raw[end:], " \t\r\n"); len(rest) > 0 {
		return nil, false, malformed(errors.New("data after the value"), int64(len(raw)-len(rest))+1)
	}
	seen := scan(raw)
	if seen.lone >= 0 {
		return nil, false, notText(seen.lone)
	}
	if seen.nul || seen.depth > maxDepth || seen.members != membersKept(value) {
		return nil, false, locate(raw)
	}
	return value, seen.numbers, nil
}

func malformed(cause error, offset int64) error {
	if errors.Is(cause, io.EOF) {
		cause = io.ErrUnexpectedEOF
	}
	return apperr.ErrMalformedJSON.Wrap(cause).Field("", errSyntax, map[string]any{"offset": offset})
}

// notText refuses what decoders quietly turn into U+FFFD.
func notText(index int) error {
	return apperr.ErrMalformedJSON.New().Field("", errEncoding, map[string]any{"offset": index + 1})
}

func invalidAt(raw []byte) int {
	for i := 0; i < len(raw); {
		r, size := utf8.DecodeRune(raw[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return len(raw)
}

// sight is what one pass over the bytes of valid JSON tells; each is rare
// enough that finding out where costs nothing that matters.
type sight struct {
	members int  // written, one colon outside strings each
	depth   int  // of objects and lists
	lone    int  // index of an escaped surrogate without its other half, or -1
	nul     bool // an escaped NUL
	numbers bool // some have a point, an exponent or many digits
}

// exactDigits is how many decimal digits every float64 keeps.
const exactDigits = 15

func scan(raw []byte) sight {
	s := sight{lone: -1}
	depth := 0
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; c {
		case '"':
			i = s.text(raw, i+1)
		case ':':
			s.members++
		case '{', '[':
			depth++
			s.depth = max(s.depth, depth)
		case '}', ']':
			depth--
		case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
			start := i
			for i+1 < len(raw) && strings.IndexByte("0123456789.eE+-", raw[i+1]) >= 0 {
				i++
				s.numbers = s.numbers || raw[i] == '.' || raw[i]|0x20 == 'e'
			}
			s.numbers = s.numbers || i-start >= exactDigits
		}
	}
	return s
}

// text reads a string from behind its quote and returns the index of the
// closing one.
func (s *sight) text(raw []byte, i int) int {
	for ; i < len(raw) && raw[i] != '"'; i++ {
		if raw[i] != '\\' {
			continue
		}
		i++
		if raw[i] != 'u' {
			continue
		}
		start := i - 1
		unit := hex4(raw[i+1:])
		i += 4
		switch {
		case unit == 0:
			s.nul = true
		case unit>>10 == 0xd800>>10: // high half
			if i+6 < len(raw) && raw[i+1] == '\\' && raw[i+2] == 'u' && hex4(raw[i+3:])>>10 == 0xdc00>>10 {
				i += 6
			} else if s.lone < 0 {
				s.lone = start
			}
		case unit>>10 == 0xdc00>>10 && s.lone < 0:
			s.lone = start
		}
	}
	return i
}

// hex4 reads the four digits of an escape in valid JSON.
func hex4(digits []byte) uint64 {
	n, _ := strconv.ParseUint(string(digits[:4]), 16, 16) // valid: the decoder has read it
	return n
}

// membersKept counts the members a decoder kept; fewer than written means that
// a name came twice in one object.
func membersKept(value any) int {
	n := 0
	switch v := value.(type) {
	case map[string]any:
		n = len(v)
		for _, child := range v {
			n += membersKept(child)
		}
	case []any:
		for _, child := range v {
			n += membersKept(child)
		}
	}
	return n
}

// locate reads a faulty body again, slowly, to say where its faults are.
func locate(raw []byte) error {
	l := locator{dec: json.NewDecoder(bytes.NewReader(raw))}
	l.dec.UseNumber() // else 1e999 would end the reading
	l.value(nil)
	return l.found.err()
}

type locator struct {
	dec   *json.Decoder
	found faults
}

// value reads one value; false ends the reading.
func (l *locator) value(path []string) bool {
	token, err := l.dec.Token()
	if err != nil {
		return false
	}
	switch t := token.(type) {
	case string:
		if hasNUL(t) {
			l.found.add(pointerOf(path), errNUL, nil)
		}
	case json.Delim:
		if len(path) >= maxDepth {
			l.found.add(pointerOf(path), errTooDeep, map[string]any{"max": maxDepth})
			return false
		}
		names := map[string]bool{}
		for i := 0; l.dec.More(); i++ {
			name := strconv.Itoa(i)
			if t == '{' {
				key, err := l.dec.Token()
				if err != nil {
					return false
				}
				name, _ = key.(string)
				switch {
				case hasNUL(name):
					l.found.add(pointerOf(path), errNUL, nil)
				case names[name]:
					l.found.add(pointerOf(append(path, name)), errDuplicateField, nil)
				}
				names[name] = true
			}
			if !l.value(append(path, name)) {
				return false
			}
		}
		_, err = l.dec.Token() // the closing bracket
	}
	return err == nil
}

// hasNUL: PostgreSQL keeps every character but this one.
func hasNUL(text string) bool { return strings.IndexByte(text, 0) >= 0 }
