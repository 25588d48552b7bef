package timeline

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"slices"
)

// What a camera or a program wrote into a picture beside the pixels (place, time,
// device, the owner's name, previews of what was cut away) is taken out before
// the picture is kept, without encoding the pixels anew. What belongs to the
// pixels stays: colour profiles, transparency, animation, and how the camera was held.

// stripped is a picture without metadata, and its EXIF orientation (1 to 8; 1 is
// upright). ok is false when its parts cannot be followed to the end.
func stripped(format string, content []byte) (out []byte, turn int, ok bool) {
	switch format {
	case "jpeg":
		return strippedJPEG(content)
	case "png":
		return strippedPNG(content)
	case "gif":
		out, ok = strippedGIF(content)
		return out, 1, ok
	case "webp":
		return strippedWebP(content)
	}
	return nil, 1, false
}

// upright is an EXIF block (TIFF) that says how the camera was held and no more.
func upright(turn int) []byte {
	return []byte{'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0, byte(turn), 0, 0, 0, 0, 0, 0, 0}
}

var exifHead = []byte("Exif\x00\x00")

// strippedJPEG keeps the segments that decoding needs: of the application's own
// those of JFIF, colour profiles (ICC) and the colour transform (Adobe). What
// follows the end of the picture goes.
func strippedJPEG(b []byte) (out []byte, turn int, ok bool) {
	if len(b) < 4 || b[0] != 0xFF || b[1] != 0xD8 {
		return nil, 1, false
	}
	turn = 1
	out = append(make([]byte, 0, len(b)), b[:2]...)
	place := 2 // where the orientation goes: after JFIF, which comes first
	for at := 2; ; {
		if at >= len(b) || b[at] != 0xFF {
			return nil, 1, false
		}
		for at < len(b) && b[at] == 0xFF { // any number may fill up
			at++
		}
		if at >= len(b) {
			return nil, 1, false
		}
		marker := b[at]
		at++
		if marker == 0xD9 {
			out = append(out, 0xFF, 0xD9)
			break
		}
		if marker == 0x01 || marker >= 0xD0 && marker <= 0xD8 {
			out = append(out, 0xFF, marker)
			continue
		}
		if at+2 > len(b) {
			return nil, 1, false
		}
		size := int(binary.BigEndian.Uint16(b[at:]))
		if size < 2 || at+size > len(b) {
			return nil, 1, false
		}
		body := b[at+2 : at+size]
		if marker == 0xE1 && bytes.HasPrefix(body, exifHead) && turn == 1 {
			turn = orientationTag(body[len(exifHead):])
		}
		if keepsSegment(marker, body) {
			out = append(append(out, 0xFF, marker), b[at:at+size]...)
			if marker == 0xE0 && place == 2 && len(out) == 4+size {
				place = len(out)
			}
		}
		at += size
		if marker != 0xDA {
			continue
		}
		// Pixels follow, up to a marker that is neither an escaped byte nor a restart.
		from := at
		for at+1 < len(b) && (b[at] != 0xFF || b[at+1] == 0 || b[at+1] >= 0xD0 && b[at+1] <= 0xD7) {
			at++
		}
		if at+1 >= len(b) {
			return nil, 1, false
		}
		out = append(out, b[from:at]...)
	}
	if turn != 1 {
		body := append(slices.Clone(exifHead), upright(turn)...)
		segment := binary.BigEndian.AppendUint16([]byte{0xFF, 0xE1}, uint16(len(body)+2))
		out = slices.Insert(out, place, append(segment, body...)...)
	}
	return out, turn, true
}

func keepsSegment(marker byte, body []byte) bool {
	switch {
	case marker == 0xE0:
		return bytes.HasPrefix(body, []byte("JFIF\x00"))
	case marker == 0xE2:
		return bytes.HasPrefix(body, []byte("ICC_PROFILE\x00"))
	case marker == 0xEE:
		return bytes.HasPrefix(body, []byte("Adobe"))
	}
	return marker != 0xFE && (marker < 0xE0 || marker > 0xEF)
}

// pngChunks are the ancillary chunks that say how pixels look and move.
var pngChunks = []string{"tRNS", "gAMA", "cHRM", "sRGB", "iCCP", "sBIT", "bKGD", "pHYs", "cICP", "mDCV", "cLLI", "acTL", "fcTL", "fdAT"}

func strippedPNG(b []byte) (out []byte, turn int, ok bool) {
	const head = "\x89PNG\r\n\x1a\n"
	if !bytes.HasPrefix(b, []byte(head)) {
		return nil, 1, false
	}
	turn = 1
	out = append(make([]byte, 0, len(b)), head...)
	for at := len(head); ; {
		if at+12 > len(b) {
			return nil, 1, false
		}
		size := int64(binary.BigEndian.Uint32(b[at:]))
		end := int64(at) + 12 + size
		if end > int64(len(b)) {
			return nil, 1, false
		}
		kind, body := string(b[at+4:at+8]), b[at+8:end-4]
		switch {
		case kind == "eXIf":
			if turn = orientationTag(body); turn != 1 {
				chunk := append([]byte(kind), upright(turn)...)
				out = append(binary.BigEndian.AppendUint32(out, uint32(len(chunk)-4)), chunk...)
				out = binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(chunk))
			}
		case kind[0] >= 'A' && kind[0] <= 'Z' || slices.Contains(pngChunks, kind):
			out = append(out, b[at:end]...)
		}
		if kind == "IEND" {
			return out, turn, true
		}
		at = int(end)
	}
}

// strippedGIF keeps pictures and their timing, and how often an animation repeats.
func strippedGIF(b []byte) (out []byte, ok bool) {
	at := 13
	if len(b) < at {
		return nil, false
	}
	if b[10]&0x80 != 0 {
		at += 3 << (b[10]&7 + 1)
	}
	if at > len(b) {
		return nil, false
	}
	out = append(make([]byte, 0, len(b)), b[:at]...)
	for {
		if at+2 > len(b) {
			return append(out, 0x3B), at < len(b) && b[at] == 0x3B
		}
		from, keep := at, true
		switch b[at] {
		case 0x3B:
			return append(out, 0x3B), true
		case 0x21:
			label := b[at+1]
			at += 2
			known := at+12 <= len(b) && b[at] == 11 && (string(b[at+1:at+12]) == "NETSCAPE2.0" || string(b[at+1:at+12]) == "ANIMEXTS1.0")
			keep = label == 0xF9 || label == 0x01 || label == 0xFF && known
		case 0x2C:
			if at+11 > len(b) {
				return nil, false
			}
			flags := b[at+9]
			at += 10
			if flags&0x80 != 0 {
				at += 3 << (flags&7 + 1)
			}
			at++ // the smallest size of a code
		default:
			return nil, false
		}
		for { // blocks, each after its length; an empty one ends them
			if at >= len(b) {
				return nil, false
			}
			size := int(b[at])
			if at += 1 + size; size == 0 {
				break
			}
		}
		if at > len(b) {
			return nil, false
		}
		if keep {
			out = append(out, b[from:at]...)
		}
	}
}

// webpChunks are those with pixels, and what says how they look and move.
var webpChunks = []string{"VP8 ", "VP8L", "VP8X", "ALPH", "ANIM", "ANMF", "ICCP"}

func strippedWebP(b []byte) (out []byte, turn int, ok bool) {
	if len(b) < 12 || string(b[:4]) != "RIFF" || string(b[8:12]) != "WEBP" {
		return nil, 1, false
	}
	end := min(int64(len(b)), 8+int64(binary.LittleEndian.Uint32(b[4:])))
	turn = 1
	out = append(make([]byte, 0, len(b)), b[:12]...)
	flags := -1 // where the flags of VP8X are
	for at := int64(12); at < end; {
		if at+8 > end {
			return nil, 1, false
		}
		kind, size := string(b[at:at+4]), int64(binary.LittleEndian.Uint32(b[at+4:]))
		next := at + 8 + size
		if next > end {
			return nil, 1, false
		}
		body := b[at+8 : next]
		switch {
		case kind == "EXIF":
			turn = orientationTag(bytes.TrimPrefix(body, exifHead))
		case slices.Contains(webpChunks, kind):
			if kind == "VP8X" && size > 0 {
				flags = len(out) + 8
			}
			out = append(out, b[at:next]...)
			if size%2 == 1 {
				out = append(out, 0)
			}
		}
		at = next + size%2
	}
	if flags >= 0 {
		out[flags] &^= 0x08 | 0x04 // EXIF, XMP
		if turn != 1 {
			out[flags] |= 0x08
			body := upright(turn)
			out = append(binary.LittleEndian.AppendUint32(append(out, "EXIF"...), uint32(len(body))), body...)
		}
	}
	binary.LittleEndian.PutUint32(out[4:], uint32(len(out)-8))
	return out, turn, true
}
