package timeline

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const secret = "GPS 31.2304 121.4737 of Wang"

// exif is an EXIF block with an orientation and a place.
func exif(turn byte) []byte {
	return append([]byte{'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, turn, 0, 0, 0, 0, 0, 0}, secret...)
}

func sample() *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, 40, 20))
	for x := range 40 {
		for y := range 20 {
			m.Set(x, y, color.RGBA{uint8(x * 6), uint8(y * 12), 90, 255})
		}
	}
	return m
}

func segment(marker byte, body []byte) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{0xFF, marker}, uint16(len(body)+2)), body...)
}

func chunk(kind string, body []byte) []byte {
	out := append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), kind...)
	out = append(out, body...)
	return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out[4:]))
}

func riff(kind string, body []byte) []byte {
	out := append(binary.LittleEndian.AppendUint32([]byte(kind), uint32(len(body))), body...)
	if len(body)%2 == 1 {
		out = append(out, 0)
	}
	return out
}

// pictureOf makes a picture of a format with metadata in all the places for it,
// and the same without.
func pictureOf(t testing.TB, format string, turn byte) (full, plain []byte) {
	t.Helper()
	var out bytes.Buffer
	switch format {
	case "jpeg":
		require.NoError(t, jpeg.Encode(&out, sample(), nil))
		plain = bytes.Clone(out.Bytes())
		jfif := segment(0xE0, []byte("JFIF\x00\x01\x02\x00\x00\x01\x00\x01\x00\x00"))
		full = bytes.Join([][]byte{plain[:2], jfif, segment(0xE1, append([]byte("Exif\x00\x00"), exif(turn)...)), segment(0xE1, []byte("http://ns.adobe.com/xap/1.0/\x00"+secret)),
			segment(0xE2, []byte("ICC_PROFILE\x00\x01\x01colours")), segment(0xED, []byte("Photoshop 3.0\x00"+secret)), segment(0xFE, []byte(secret)), plain[2:], []byte(secret)}, nil)
	case "png":
		require.NoError(t, png.Encode(&out, sample()))
		plain = bytes.Clone(out.Bytes())
		head := 8 + 25 // signature and IHDR
		full = bytes.Join([][]byte{plain[:head], chunk("gAMA", []byte{0, 0, 0xB1, 0x8F}), chunk("eXIf", exif(turn)), chunk("tEXt", []byte("Author\x00"+secret)), chunk("tIME", make([]byte, 7)), plain[head:], []byte(secret)}, nil)
	case "gif":
		require.NoError(t, gif.EncodeAll(&out, &gif.GIF{Image: []*image.Paletted{image.NewPaletted(image.Rect(0, 0, 4, 4), color.Palette{color.White, color.Black}), image.NewPaletted(image.Rect(0, 0, 4, 4), color.Palette{color.White, color.Black})},
			Delay: []int{10, 20}, LoopCount: 3}))
		plain = bytes.Clone(out.Bytes())
		end := len(plain) - 1
		comment := append(append([]byte{0x21, 0xFE, byte(len(secret))}, secret...), 0)
		xmp := append(append([]byte{0x21, 0xFF, 11}, "XMP DataXMP"...), append(append([]byte{byte(len(secret))}, secret...), 0)...)
		full = bytes.Join([][]byte{plain[:end], comment, xmp, plain[end:], []byte(secret)}, nil)
	case "webp":
		lossless, err := base64.StdEncoding.DecodeString("UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA==")
		require.NoError(t, err)
		extended := riff("VP8X", []byte{0x08 | 0x04, 0, 0, 0, 0, 0, 0, 0, 0, 0})
		body := bytes.Join([][]byte{[]byte("WEBP"), extended, lossless[12:], riff("EXIF", exif(turn)), riff("XMP ", []byte(secret))}, nil)
		full = append(riff("RIFF", body), secret...)
		plain = lossless
	}
	return full, plain
}

func TestMetadataIsTakenOut(t *testing.T) {
	for _, format := range []string{"jpeg", "png", "gif", "webp"} {
		for _, turn := range []byte{1, 6} {
			full, plain := pictureOf(t, format, turn)
			require.Contains(t, string(full), secret)
			clean, found, ok := stripped(format, full)
			require.True(t, ok, format)
			assert.NotContains(t, string(clean), "GPS", format)
			assert.NotContains(t, string(clean), "Wang", format)
			want := int(turn)
			if format == "gif" {
				want = 1
			}
			assert.Equal(t, want, found, format)
			_, again, ok := stripped(format, clean)
			require.True(t, ok, format)
			assert.Equal(t, want, again, "%s: how it was held is still said", format)
			a, name, err := image.Decode(bytes.NewReader(clean))
			require.NoError(t, err, format)
			assert.Equal(t, format, name)
			b, _, err := image.Decode(bytes.NewReader(plain))
			require.NoError(t, err, format)
			assert.Equal(t, b, a, "%s: the same pixels", format)
			same, _, ok := stripped(format, plain)
			require.True(t, ok)
			assert.Equal(t, plain, same, "%s without metadata stays as it is", format)
		}
	}
	full, _ := pictureOf(t, "jpeg", 6)
	clean, _, _ := stripped("jpeg", full)
	assert.Contains(t, string(clean), "ICC_PROFILE")
	assert.Equal(t, []byte{0xFF, 0xE0}, clean[2:4], "JFIF comes first")
	full, _ = pictureOf(t, "gif", 1)
	clean, _, _ = stripped("gif", full)
	moving, err := gif.DecodeAll(bytes.NewReader(clean))
	require.NoError(t, err)
	assert.Equal(t, 3, moving.LoopCount)
	assert.Equal(t, []int{10, 20}, moving.Delay)
}

// Whatever is sent, nothing is read beyond its end, and what comes out comes out
// of it once more.
func FuzzMetadata(f *testing.F) {
	formats := []string{"jpeg", "png", "gif", "webp"}
	for i, format := range formats {
		full, plain := pictureOf(f, format, 6)
		f.Add(i, full)
		f.Add(i, plain)
		f.Add(i, full[:len(full)/2])
	}
	f.Fuzz(func(t *testing.T, i int, content []byte) {
		format := formats[uint(i)%uint(len(formats))]
		clean, turn, ok := stripped(format, content)
		if !ok {
			return
		}
		again, turnAgain, ok := stripped(format, clean)
		if !ok || !bytes.Equal(again, clean) {
			t.Fatalf("%s: not stable", format)
		}
		if format != "webp" && turnAgain != turn {
			t.Fatalf("%s: turned by %d, then %d", format, turn, turnAgain)
		}
	})
}
