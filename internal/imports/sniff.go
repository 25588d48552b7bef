package imports

import (
	"bytes"
	"io"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// Encodings, as the contract names them.
const (
	encodingAuto    = "auto"
	encodingUTF8    = "utf-8"
	encodingUTF16LE = "utf-16le"
	encodingUTF16BE = "utf-16be"
	encodingGB      = "gb18030" // and GBK, of which it is a superset
)

func decoderOf(name string) encoding.Encoding {
	switch name {
	case encodingUTF16LE:
		return unicode.UTF16(unicode.LittleEndian, unicode.UseBOM)
	case encodingUTF16BE:
		return unicode.UTF16(unicode.BigEndian, unicode.UseBOM)
	case encodingGB:
		return simplifiedchinese.GB18030
	}
	return unicode.UTF8BOM
}

// decoded reads text of an encoding as UTF-8; what it does not know becomes
// U+FFFD, which the row is refused for.
func decoded(r io.Reader, name string) io.Reader {
	return transform.NewReader(r, decoderOf(name).NewDecoder())
}

// sniffer watches a file go by and says afterwards in which encodings all of it
// could be written, and about how many lines it has.
type sniffer struct {
	head  []byte
	lines int64
	size  int64
	tail  []byte // of UTF-8: bytes of a character that goes on in the next piece
	notU8 bool
	gb    gbState
	notGB bool
	zeros [2]int64 // NUL bytes at even and odd places
}

const headSize = 8 << 10

// Write implements io.Writer.
func (s *sniffer) Write(p []byte) (int, error) {
	if room := headSize - len(s.head); room > 0 {
		s.head = append(s.head, p[:min(room, len(p))]...)
	}
	s.lines += int64(bytes.Count(p, []byte{'\n'}))
	for i := bytes.IndexByte(p, 0); i >= 0; {
		s.zeros[(s.size+int64(i))%2]++
		next := bytes.IndexByte(p[i+1:], 0)
		if next < 0 {
			break
		}
		i += next + 1
	}
	s.size += int64(len(p))
	if !s.notU8 {
		s.utf8(p)
	}
	for i := 0; i < len(p) && !s.notGB; i++ {
		s.notGB = !s.gb.next(p[i])
	}
	return len(p), nil
}

func (s *sniffer) utf8(p []byte) {
	if len(s.tail) > 0 {
		p = append(s.tail, p...)
		s.tail = nil
	}
	// Up to three bytes at the end may be the beginning of a character.
	cut := len(p)
	for back := 1; back <= 3 && back <= len(p); back++ {
		if utf8.RuneStart(p[len(p)-back]) {
			if !utf8.FullRune(p[len(p)-back:]) {
				cut = len(p) - back
			}
			break
		}
	}
	s.notU8 = !utf8.Valid(p[:cut])
	s.tail = append([]byte(nil), p[cut:]...)
}

// gbState follows the one, two and four byte forms of GB18030.
type gbState struct{ at byte }

func (g *gbState) next(b byte) bool {
	switch g.at {
	case 0:
		switch {
		case b < 0x80:
			return true
		case b == 0x80 || b == 0xff:
			return false
		}
		g.at = 1
	case 1:
		switch {
		case b >= 0x30 && b <= 0x39:
			g.at = 2
		case b >= 0x40 && b != 0x7f && b != 0xff:
			g.at = 0
		default:
			return false
		}
	case 2:
		g.at = 3
		return b >= 0x81 && b <= 0xfe
	case 3:
		g.at = 0
		return b >= 0x30 && b <= 0x39
	}
	return true
}

// encoding decides, or is empty.
func (s *sniffer) encoding() string {
	switch {
	case bytes.HasPrefix(s.head, []byte{0xef, 0xbb, 0xbf}) && !s.notU8:
		return encodingUTF8
	case bytes.HasPrefix(s.head, []byte{0xff, 0xfe}):
		return encodingUTF16LE
	case bytes.HasPrefix(s.head, []byte{0xfe, 0xff}):
		return encodingUTF16BE
	// Latin text of UTF-16 has a NUL beside each letter; nothing else here has any.
	case s.zeros[0]+s.zeros[1] > 0:
		if s.zeros[1] > s.zeros[0] && s.size%2 == 0 {
			return encodingUTF16LE
		}
		if s.zeros[0] > s.zeros[1] && s.size%2 == 0 {
			return encodingUTF16BE
		}
		return ""
	case !s.notU8 && len(s.tail) == 0:
		return encodingUTF8
	case !s.notGB && s.gb.at == 0:
		return encodingGB
	}
	return ""
}

// zipped reports a ZIP archive, as an XLSX file is one.
func (s *sniffer) zipped() bool { return bytes.HasPrefix(s.head, []byte("PK\x03\x04")) }

// begins reports what the first visible byte is.
func (s *sniffer) begins(with byte) bool {
	head := bytes.TrimLeft(bytes.TrimPrefix(s.head, []byte("\xef\xbb\xbf")), " \t\r\n")
	return len(head) > 0 && head[0] == with
}

// foreign reports well-known files that are no text: old Excel, PDF, pictures.
func (s *sniffer) foreign() bool {
	for _, magic := range []string{"\xd0\xcf\x11\xe0", "%PDF", "\x89PNG", "\xff\xd8\xff", "GIF8", "\x1f\x8b", "PK\x05\x06", "Rar!", "7z\xbc\xaf"} {
		if bytes.HasPrefix(s.head, []byte(magic)) {
			return true
		}
	}
	return false
}

var delimiters = []byte{',', '\t', ';', '|'}

// delimiter is the one that cuts the first lines most often and most evenly.
func delimiter(head []byte) byte {
	best, most := byte(','), 0
	for _, d := range delimiters {
		counts := delimited(head, d)
		if len(counts) == 0 || counts[0] == 0 {
			continue
		}
		same := 0
		for _, n := range counts {
			if n == counts[0] {
				same++
			}
		}
		if score := counts[0]*100*same/len(counts) + counts[0]; score > most {
			best, most = d, score
		}
	}
	return best
}

// delimited counts a delimiter in each of the first lines, outside quotes.
func delimited(head []byte, d byte) []int {
	var counts []int
	n, quoted, any := 0, false, false
	for _, b := range head {
		switch {
		case b == '"':
			quoted = !quoted
		case quoted:
		case b == d:
			n++
		case b == '\n':
			if any {
				counts = append(counts, n)
			}
			n, any = 0, false
			continue
		}
		any = any || b > ' ' || b == d
		if len(counts) == 20 {
			return counts
		}
	}
	if any {
		counts = append(counts, n)
	}
	return counts
}
