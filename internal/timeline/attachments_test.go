package timeline_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/api/client"
	"github.com/shuke-crm/shuke/internal/fake"
	"github.com/shuke-crm/shuke/internal/platform/blob"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/testkit"
)

// photo is a JPEG whose left half is red and whose right half is blue, as a
// camera would write it that was held in some way, at some place.
func photo(t *testing.T, w, h, turn int) []byte {
	t.Helper()
	p := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			c := color.RGBA{R: 220, A: 255}
			if x >= w/2 {
				c = color.RGBA{B: 220, A: 255}
			}
			p.SetRGBA(x, y, c)
		}
	}
	var out bytes.Buffer
	require.NoError(t, jpeg.Encode(&out, p, nil))
	exif := append([]byte("Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00"), byte(turn), 0, 0, 0, 0, 0, 0)
	exif = append(exif, []byte("GPSLatitude 31.2304 GPSLongitude 121.4737")...)
	head := append([]byte{0xFF, 0xD8, 0xFF, 0xE1, byte((len(exif) + 2) >> 8), byte(len(exif) + 2)}, exif...)
	return append(head, out.Bytes()[2:]...)
}

// pixels is what is kept of a photo that was held upright.
func pixels(photo []byte) []byte {
	return append([]byte{0xFF, 0xD8}, photo[4+int(photo[4])<<8+int(photo[5]):]...)
}

func (w *shop) upload(c *testkit.Client, name string, content []byte, fields ...string) *testkit.Response {
	w.t.Helper()
	w.Advance(time.Second)
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	for i := 0; i < len(fields); i += 2 {
		require.NoError(w.t, form.WriteField(fields[i], fields[i+1]))
	}
	if name != "" {
		part, err := form.CreateFormFile("file", name)
		require.NoError(w.t, err)
		_, err = part.Write(content)
		require.NoError(w.t, err)
	}
	require.NoError(w.t, form.Close())
	return c.Do(http.MethodPost, w.files(), &b, "Content-Type", form.FormDataContentType())
}

func (w *shop) files() string { return strings.TrimSuffix(w.notes, "/notes") + "/attachments" }

func (w *shop) attach(c *testkit.Client, content []byte, fields ...string) (a client.Attachment) {
	w.t.Helper()
	w.upload(c, "IMG_1.jpg", content, fields...).Want(http.StatusCreated).JSON(&a)
	return a
}

// kept are the files in the store.
func (w *shop) kept() (out []string) {
	w.t.Helper()
	for _, folder := range []string{"attachments", "thumbnails"} {
		entries, err := os.ReadDir(filepath.Join(w.Files, folder))
		if !os.IsNotExist(err) {
			require.NoError(w.t, err)
		}
		for _, e := range entries {
			out = append(out, folder+"/"+e.Name())
		}
	}
	return out
}

func TestAttachments(t *testing.T) {
	w := newShop(t)
	original := photo(t, 1200, 800, 6)
	r := w.upload(w.assistant, `C:\camera\..\IMG_2031.jpg`, original, "kind", "outfit", "caption", " 试穿墨绿外套 ").Want(http.StatusCreated)
	var a client.Attachment
	r.JSON(&a)
	one := w.files() + "/" + a.Id.String()
	assert.Equal(t, one, r.Header.Get("Location"))
	assert.EqualValues(t, "outfit", a.Kind)
	assert.Equal(t, "试穿墨绿外套", a.Caption.MustGet())
	assert.Equal(t, "IMG_2031.jpg", a.FileName.MustGet())
	assert.Equal(t, "image/jpeg", a.ContentType)
	assert.EqualValues(t, 800, a.Width.MustGet(), "held upright")
	assert.EqualValues(t, 1200, a.Height.MustGet())
	assert.Equal(t, w.assistantName, a.Author.Name)

	// The contents come back whole, the thumbnail small, upright; both without what the camera wrote.
	got := w.manager.Do(http.MethodGet, one+"/file", nil).Want(http.StatusOK)
	assert.EqualValues(t, len(got.Body), a.SizeBytes)
	assert.NotContains(t, string(got.Body), "GPS")
	before, _, err := image.Decode(bytes.NewReader(original))
	require.NoError(t, err)
	after, _, err := image.Decode(bytes.NewReader(got.Body))
	require.NoError(t, err)
	assert.Equal(t, before, after)
	assert.Equal(t, "image/jpeg", got.Header.Get("Content-Type"))
	assert.Equal(t, "nosniff", got.Header.Get("X-Content-Type-Options"))
	assert.Equal(t, `inline; filename=IMG_2031.jpg`, got.Header.Get("Content-Disposition"))
	small := w.manager.Do(http.MethodGet, one+"/thumbnail", nil).Want(http.StatusOK)
	p, format, err := image.Decode(bytes.NewReader(small.Body))
	require.NoError(t, err)
	assert.Equal(t, "jpeg", format)
	assert.Equal(t, image.Rect(0, 0, 341, 512), p.Bounds())
	red, _, blue, _ := p.At(170, 20).RGBA()
	assert.Greater(t, red, blue, "the left half is on top now")
	red, _, blue, _ = p.At(170, 490).RGBA()
	assert.Greater(t, blue, red)
	for _, secret := range []string{"Exif", "GPS"} {
		assert.Contains(t, string(original), secret)
		assert.NotContains(t, string(small.Body), secret)
	}

	// On disk and in the database nothing is in clear.
	require.Equal(t, []string{"attachments/" + a.Id.String(), "thumbnails/" + a.Id.String()}, w.kept())
	for _, name := range w.kept() {
		raw, err := os.ReadFile(filepath.Join(w.Files, name))
		require.NoError(t, err)
		assert.NotContains(t, string(raw), "GPSLatitude")
		assert.False(t, bytes.HasPrefix(raw, []byte{0xFF, 0xD8}))
	}
	assert.Zero(t, w.count("SELECT count(*) FROM attachments a WHERE a::text LIKE '%IMG%' OR a::text LIKE '%墨绿%'"))
	assert.Zero(t, w.count("SELECT count(*) FROM file_removals"))

	// Lists, changes, who may.
	pdf := w.attach(w.admin, []byte("%PDF-1.7\n1 0 obj\n<<>>\nendobj\n"), "kind", "document")
	assert.True(t, pdf.ThumbnailUrl.IsNull())
	assert.Equal(t, "application/pdf", pdf.ContentType)
	w.manager.Do(http.MethodGet, w.files()+"/"+pdf.Id.String()+"/thumbnail", nil).WantProblem(http.StatusNotFound, "attachments.no_thumbnail")
	assert.Equal(t, `attachment; filename=IMG_1.jpg`, w.manager.Do(http.MethodGet, w.files()+"/"+pdf.Id.String()+"/file", nil).Want(http.StatusOK).Header.Get("Content-Disposition"))
	var l client.AttachmentList
	w.manager.Do(http.MethodGet, w.files()+"?limit=1&include=total_count", nil).Want(http.StatusOK).JSON(&l)
	require.Len(t, l.Items, 1)
	assert.Equal(t, pdf.Id, l.Items[0].Id)
	assert.EqualValues(t, 2, *l.TotalCount)
	w.manager.Do(http.MethodGet, w.files()+"?limit=1&cursor="+l.NextCursor.MustGet(), nil).Want(http.StatusOK).JSON(&l)
	require.Len(t, l.Items, 1)
	assert.Equal(t, a.Id, l.Items[0].Id)
	w.manager.Do(http.MethodGet, w.files()+"?kind=document", nil).Want(http.StatusOK).JSON(&l)
	assert.Len(t, l.Items, 1)
	w.manager.Do(http.MethodPatch, one, body{"kind": "other"}).WantProblem(http.StatusForbidden, "auth.forbidden")
	w.assistant.Do(http.MethodPatch, w.files()+"/"+pdf.Id.String(), body{"kind": "other"}).WantProblem(http.StatusForbidden, "notes.not_yours")
	w.assistant.Do(http.MethodDelete, w.files()+"/"+pdf.Id.String(), nil).WantProblem(http.StatusForbidden, "notes.not_yours")
	w.assistant.Do(http.MethodPatch, one, body{"caption": nil}, "If-Match", `"7"`).WantProblem(http.StatusPreconditionFailed, "request.version_mismatch")
	changed := w.assistant.Do(http.MethodPatch, one, body{"caption": nil, "kind": "other"}).Want(http.StatusOK).Map()
	assert.Nil(t, changed["caption"])
	assert.EqualValues(t, 2, changed["version"])
	items := w.timeline(w.manager, "?kind=attachment").Items
	require.Len(t, items, 2)
	assert.Equal(t, client.TimelineDetails{"kind": "document", "content_type": "application/pdf", "size_bytes": float64(29)}, items[0].Details)

	// Deleted: row, files and links.
	w.assistant.Do(http.MethodDelete, one, nil).Want(http.StatusNoContent)
	w.assistant.Do(http.MethodGet, one+"/file", nil).WantProblem(http.StatusNotFound, "attachments.not_found")
	w.Do(http.MethodGet, a.Url, nil).WantProblem(http.StatusNotFound, "attachments.link_invalid")
	assert.Equal(t, []string{"attachments/" + pdf.Id.String()}, w.kept())
	assert.Zero(t, w.count("SELECT count(*) FROM file_removals"))
}

func TestUploadsThatAreRefused(t *testing.T) {
	w := newShop(t)
	encoded := func(f func(*bytes.Buffer) error) []byte {
		var b bytes.Buffer
		require.NoError(t, f(&b))
		return b.Bytes()
	}
	tiny := image.NewPaletted(image.Rect(0, 0, 3, 2), color.Palette{color.Black, color.White})
	goodPNG := encoded(func(b *bytes.Buffer) error { return png.Encode(b, tiny) })
	goodGIF := encoded(func(b *bytes.Buffer) error { return gif.Encode(b, tiny, nil) })
	// A picture of 60,000 by 60,000 pixels in a hundred bytes: its head is enough to refuse it.
	bomb := bytes.Clone(goodPNG)
	copy(bomb[16:], []byte{0, 0, 0xEA, 0x60, 0, 0, 0xEA, 0x60})
	fixCRC(bomb[12:29], bomb[29:33])
	for name, c := range map[string]struct {
		content []byte
		code    string
	}{
		"a web page":               {[]byte("<html><script>alert(1)</script></html>"), "attachments.type_refused"},
		"a drawing with scripts":   {[]byte(`<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`), "attachments.type_refused"},
		"a program":                {[]byte("MZ\x90\x00\x03"), "attachments.type_refused"},
		"a bomb":                   {bomb, "attachments.too_many_pixels"},
		"half a picture":           {photo(t, 400, 400, 1)[:3000], "attachments.picture_broken"},
		"the beginning of a PNG":   {goodPNG[:20], "attachments.picture_broken"},
		"nothing":                  {nil, "attachments.empty"},
		"a script after a GIF89a":  {[]byte("GIF89a/*<script>*/=1;"), "attachments.too_many_pixels"},
		"more than the limit says": {append(goodPNG, make([]byte, 10<<20)...), "attachments.too_large"},
	} {
		w.upload(w.assistant, "x.jpg", c.content).WantProblem(http.StatusUnprocessableEntity, c.code, "/file")
		require.Empty(t, w.kept(), name)
	}
	for _, good := range [][]byte{goodPNG, goodGIF} {
		a := w.attach(w.assistant, good)
		assert.EqualValues(t, 3, a.Width.MustGet())
		assert.NotEqual(t, "image/jpeg", a.ContentType, "the name says nothing")
	}
	w.upload(w.assistant, "", nil, "caption", "x").WantProblem(http.StatusUnprocessableEntity, "attachments.file_needed", "/file")
	w.upload(w.assistant, "x.png", goodPNG, "kind", "selfie").WantProblem(http.StatusUnprocessableEntity, "attachments.part_invalid", "/kind")
	w.upload(w.assistant, "x.png", goodPNG, "url", "http://127.0.0.1/").WantProblem(http.StatusUnprocessableEntity, "attachments.part_invalid", "/url")
	w.upload(w.assistant, "x.png", goodPNG, "caption", strings.Repeat("长", 501)).WantProblem(http.StatusUnprocessableEntity, "attachments.caption_invalid", "/caption")
	w.manager.Do(http.MethodPost, w.files(), "{}").WantProblem(http.StatusForbidden, "auth.forbidden")
	w.assistant.Do(http.MethodPost, w.files(), "{}").WantProblem(http.StatusUnsupportedMediaType, "request.unsupported_media_type")
	w.admin.Do(http.MethodDelete, "/v1/customers/"+w.customer.Id.String(), nil).Want(http.StatusNoContent)
	w.upload(w.assistant, "x.png", goodPNG).WantProblem(http.StatusConflict, "customers.archived")
	assert.Equal(t, 2, w.count("SELECT count(*) FROM attachments"))
	assert.Len(t, w.kept(), 4)
}

func TestLinks(t *testing.T) {
	w := newShop(t)
	a := w.attach(w.assistant, photo(t, 40, 30, 1))
	assert.Equal(t, time.Date(2026, 7, 1, 2, 30, 0, 0, time.UTC), a.UrlsExpireAt.UTC())
	r := w.Do(http.MethodGet, a.ThumbnailUrl.MustGet(), nil).Want(http.StatusOK) // nobody is signed in
	assert.Equal(t, "image/jpeg", r.Header.Get("Content-Type"))
	assert.Equal(t, "cross-origin", r.Header.Get("Cross-Origin-Resource-Policy"))
	assert.Contains(t, r.Header.Get("Cache-Control"), "private, immutable, max-age=17")
	assert.Equal(t, pixels(photo(t, 40, 30, 1)), w.Do(http.MethodGet, a.Url, nil).Want(http.StatusOK).Body)
	again := w.assistant.Do(http.MethodGet, w.files()+"/"+a.Id.String(), nil).Want(http.StatusOK).Map()
	assert.Equal(t, a.Url, again["url"], "the same for a while, so that browsers keep what they have")

	// Each character matters, and a thumbnail's link opens the thumbnail only.
	link := strings.TrimPrefix(a.Url, "/v1/files/")
	for i := range link {
		other := []byte(link)
		other[i] = 'A' + (other[i]+1)%26
		if string(other) == link {
			continue
		}
		w.Do(http.MethodGet, "/v1/files/"+string(other), nil).WantProblem(http.StatusNotFound, "attachments.link_invalid")
	}
	w.Do(http.MethodGet, "/v1/files/"+link+"AAAA", nil).WantProblem(http.StatusNotFound, "attachments.link_invalid")
	w.Advance(30 * time.Minute)
	w.Do(http.MethodGet, a.Url, nil).WantProblem(http.StatusNotFound, "attachments.link_invalid")
	w.assistant = w.SignIn(w.assistant.Username, testkit.StaffPassword)
	fresh := w.assistant.Do(http.MethodGet, w.files()+"/"+a.Id.String(), nil).Want(http.StatusOK).Map()
	assert.NotEqual(t, a.Url, fresh["url"])
	w.Do(http.MethodGet, fresh["url"].(string), nil).Want(http.StatusOK)
}

func TestAttachmentsFollowMergesAndUndo(t *testing.T) {
	w := newShop(t)
	old := w.Customer(body{"home_store_id": w.store.Id, "assigned_staff_id": w.assistant.StaffID})
	mine := w.notes
	w.notes = "/v1/customers/" + old.Id.String() + "/notes"
	picture := photo(t, 60, 40, 1)
	a := w.attach(w.assistant, picture, "caption", "旧档案照片")
	their := w.files() + "/" + a.Id.String()
	w.notes = mine
	here := w.files() + "/" + a.Id.String()

	var m client.CustomerMerge
	w.admin.Do(http.MethodPost, "/v1/customer-merges", body{"survivor_id": w.customer.Id, "merged_id": old.Id}).Want(http.StatusCreated).JSON(&m)
	got := w.manager.Do(http.MethodGet, here, nil).Want(http.StatusOK).Map()
	assert.Equal(t, "旧档案照片", got["caption"])
	assert.Equal(t, pixels(picture), w.manager.Do(http.MethodGet, here+"/file", nil).Want(http.StatusOK).Body)
	assert.Equal(t, pixels(picture), w.manager.Do(http.MethodGet, their+"/file", nil).Want(http.StatusOK).Body, "by the old id")
	w.Do(http.MethodGet, a.Url, nil).Want(http.StatusOK)
	w.Admin().Do(http.MethodPost, "/v1/customer-merges/"+m.Id.String()+"/undo", nil).Want(http.StatusOK)
	w.manager.Do(http.MethodGet, here, nil).WantProblem(http.StatusNotFound, "attachments.not_found")
	assert.Equal(t, pixels(picture), w.manager.Do(http.MethodGet, their+"/file", nil).Want(http.StatusOK).Body)
	assert.Equal(t, "旧档案照片", w.manager.Do(http.MethodGet, their, nil).Want(http.StatusOK).Map()["caption"])

	// Without the customer's key nothing opens any more.
	_, err := w.DB.Exec(t.Context(), "UPDATE customers SET data_key = '' WHERE id = $1", old.Id)
	require.NoError(t, err)
	w.manager.Do(http.MethodGet, their+"/file", nil).Want(http.StatusInternalServerError)
}

// What dies between files and rows is put right by the job: no file without a
// row stays, and no row loses its file.
func TestFilesAndRowsComeTogether(t *testing.T) {
	w := newShop(t)
	a := w.attach(w.assistant, photo(t, 20, 20, 1))
	// An upload that died before its row was made.
	orphan := uuid.Must(uuid.NewV7()).String()
	raw, err := os.ReadFile(filepath.Join(w.Files, "attachments", a.Id.String()))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(w.Files, "attachments", orphan), raw, 0o600))
	due := func(name string, at time.Time) {
		_, err := w.DB.Exec(t.Context(), "INSERT INTO file_removals (name, due_at) VALUES ($1, $2)", name, at)
		require.NoError(t, err)
	}
	due("attachments/"+orphan, w.Clock.Now().Add(time.Hour))
	require.NoError(t, w.Server.Timeline.Sweep(t.Context()))
	assert.Len(t, w.kept(), 3, "it may still become a row")
	w.Advance(61 * time.Minute)
	// A deletion that died after its commit.
	_, err = w.DB.Exec(t.Context(), "DELETE FROM attachments")
	require.NoError(t, err)
	due("attachments/"+a.Id.String(), w.Clock.Now())
	due("thumbnails/"+a.Id.String(), w.Clock.Now())
	due("thumbnails/never-written", w.Clock.Now())
	require.NoError(t, w.Server.Timeline.Sweep(t.Context()))
	assert.Empty(t, w.kept())
	assert.Zero(t, w.count("SELECT count(*) FROM file_removals"))

	w.assistant = w.SignIn(w.assistant.Username, testkit.StaffPassword)
	// An upload that fails after its files were written leaves none: the table
	// refuses the row.
	_, err = w.Database.Owner(t).Exec("ALTER TABLE attachments ADD CONSTRAINT refuse CHECK (kind <> 'outfit')")
	require.NoError(t, err)
	w.upload(w.assistant, "x.jpg", photo(t, 20, 20, 1), "kind", "outfit").WantProblem(http.StatusConflict, "conflict")
	assert.Empty(t, w.kept())
	assert.Zero(t, w.count("SELECT count(*) FROM file_removals"))
}

// The same in a bucket: what lies there is sealed, and while the bucket is away
// uploads leave nothing behind, and deletions are made up for.
func TestAttachmentsInABucket(t *testing.T) {
	s3 := fake.NewS3("files", "cn-north-1", "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
	web := httptest.NewTLSServer(s3)
	t.Cleanup(web.Close)
	w := newShop(t, testkit.WithFiles(func(dir string, keys *crypto.Keyring) (*blob.Store, error) {
		return blob.OpenBucket(blob.Bucket{Endpoint: web.Listener.Addr().String(), Region: s3.Region, Name: s3.Bucket, AccessKey: s3.AccessKey, SecretKey: s3.SecretKey,
			Transport: web.Client().Transport, Tries: 1}, dir, keys)
	}))
	picture := photo(t, 300, 200, 1)
	a := w.attach(w.assistant, picture, "kind", "outfit")
	objects := s3.Objects()
	require.Len(t, objects, 2)
	require.NotContains(t, string(objects["attachments/"+a.Id.String()]), "GPSLatitude")
	assert.Equal(t, pixels(picture), w.manager.Do(http.MethodGet, w.files()+"/"+a.Id.String()+"/file", nil).Want(http.StatusOK).Body)
	assert.Equal(t, pixels(picture), w.Do(http.MethodGet, a.Url, nil).Want(http.StatusOK).Body)

	s3.SetDown(true)
	w.upload(w.assistant, "x.jpg", picture).WantProblem(http.StatusServiceUnavailable, "attachments.storage_unavailable")
	w.manager.Do(http.MethodGet, w.files()+"/"+a.Id.String()+"/file", nil).WantProblem(http.StatusServiceUnavailable, "attachments.storage_unavailable")
	w.assistant.Do(http.MethodDelete, w.files()+"/"+a.Id.String(), nil).Want(http.StatusNoContent)
	require.Error(t, w.Server.Timeline.Sweep(t.Context()))
	assert.Equal(t, 4, w.count("SELECT count(*) FROM file_removals"), "of the upload and of the deletion")
	s3.SetDown(false)
	w.Advance(time.Hour)
	require.NoError(t, w.Server.Timeline.Sweep(t.Context()))
	assert.Empty(t, s3.Objects())
	assert.Zero(t, w.count("SELECT count(*) FROM file_removals"))
	assert.Zero(t, w.count("SELECT count(*) FROM attachments"))
	assert.Zero(t, s3.Refused())
}

func fixCRC(chunk, sum []byte) {
	binary.BigEndian.PutUint32(sum, crc32.ChecksumIEEE(chunk))
}
