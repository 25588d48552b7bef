package timeline

import (
	"bytes"
	"context"
	"encoding/binary"
	"image"
	"image/color"
	_ "image/gif"
	"image/jpeg"
	_ "image/png"
	"net/http"

	"golang.org/x/image/draw"
	_ "golang.org/x/image/webp"
)

// Limits bound what may be attached.
type Limits struct {
	Bytes  int64 // of a file
	Pixels int64 // of a picture
}

// thumbnailSide is the longest side of a thumbnail, in pixels.
const thumbnailSide = 512

// file is what was found out about the contents of an upload.
type file struct {
	contentType   string
	content       []byte // to be kept: of a picture without metadata
	width, height *int
	thumbnail     []byte // JPEG; nil for what is no picture
}

// pictures are the formats that are decoded, by content type.
var pictures = map[string]string{"image/jpeg": "jpeg", "image/png": "png", "image/gif": "gif", "image/webp": "webp"}

// inspect finds out what an upload is. What its sender says of it counts for
// nothing: the contents decide, and a picture must be one as a whole.
// Errors: ErrFileEmpty, ErrFileType, ErrPicturePixels, ErrPictureBroken.
func (s *Service) inspect(ctx context.Context, content []byte) (*file, error) {
	if len(content) == 0 {
		return nil, ErrFileEmpty.At("/file")
	}
	f := &file{contentType: http.DetectContentType(content), content: content}
	if f.contentType == "application/pdf" {
		return f, nil
	}
	format := pictures[f.contentType]
	if format == "" {
		return nil, ErrFileType.At("/file")
	}
	head, found, err := image.DecodeConfig(bytes.NewReader(content))
	if err != nil || found != format || head.Width <= 0 || head.Height <= 0 {
		return nil, ErrPictureBroken.At("/file")
	}
	if int64(head.Width)*int64(head.Height) > s.Limits.Pixels {
		e := ErrPicturePixels.At("/file")
		return nil, e.Arg("max", s.Limits.Pixels)
	}
	// One picture at a time: opened, a small file can take hundreds of megabytes.
	select {
	case s.decoding <- struct{}{}:
		defer func() { <-s.decoding }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	picture, _, err := image.Decode(bytes.NewReader(content))
	if err != nil {
		return nil, ErrPictureBroken.At("/file")
	}
	clean, turn, ok := stripped(format, content)
	if !ok {
		return nil, ErrPictureBroken.At("/file")
	}
	f.content = clean
	if f.thumbnail, err = thumbnail(picture, turn); err != nil {
		return nil, err
	}
	w, h := head.Width, head.Height
	if turn >= 5 {
		w, h = h, w
	}
	f.width, f.height = &w, &h
	return f, nil
}

// thumbnail makes a small JPEG of pixels alone: nothing that a camera wrote
// about place and time is in it. What is transparent becomes white.
func thumbnail(picture image.Image, turn int) ([]byte, error) {
	b := picture.Bounds()
	w, h := b.Dx(), b.Dy()
	if longest := max(w, h); longest > thumbnailSide {
		w, h = max(1, w*thumbnailSide/longest), max(1, h*thumbnailSide/longest)
	}
	small := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.Draw(small, small.Bounds(), image.NewUniform(color.White), image.Point{}, draw.Src)
	draw.BiLinear.Scale(small, small.Bounds(), picture, b, draw.Over, nil)
	var out bytes.Buffer
	err := jpeg.Encode(&out, turned(small, turn), &jpeg.Options{Quality: 82})
	return out.Bytes(), err
}

// turned puts a picture upright by its EXIF orientation (1 to 8).
func turned(p *image.RGBA, turn int) *image.RGBA {
	if turn < 2 || turn > 8 {
		return p
	}
	w, h := p.Bounds().Dx(), p.Bounds().Dy()
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	if turn >= 5 {
		out = image.NewRGBA(image.Rect(0, 0, h, w))
	}
	for y := range h {
		for x := range w {
			to := [...]image.Point{2: {w - 1 - x, y}, 3: {w - 1 - x, h - 1 - y}, 4: {x, h - 1 - y}, 5: {y, x}, 6: {h - 1 - y, x}, 7: {h - 1 - y, w - 1 - x}, 8: {y, w - 1 - x}}[turn]
			out.SetRGBA(to.X, to.Y, p.RGBAAt(x, y))
		}
	}
	return out
}

// orientationTag reads how a camera was held from an EXIF block (Exif 2.32, tag
// 0x0112); 1, upright, where it does not say.
func orientationTag(tiff []byte) int {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(tiff, []byte("II*\x00")):
		order = binary.LittleEndian
	case bytes.HasPrefix(tiff, []byte("MM\x00*")):
		order = binary.BigEndian
	}
	if order == nil || len(tiff) < 10 {
		return 1
	}
	at := int64(order.Uint32(tiff[4:]))
	if at+2 > int64(len(tiff)) {
		return 1
	}
	entries := int64(order.Uint16(tiff[at:]))
	for i := range entries {
		entry := at + 2 + 12*i
		if entry+12 > int64(len(tiff)) {
			return 1
		}
		if order.Uint16(tiff[entry:]) == 0x0112 {
			if v := order.Uint16(tiff[entry+8:]); v >= 1 && v <= 8 {
				return int(v)
			}
			return 1
		}
	}
	return 1
}
