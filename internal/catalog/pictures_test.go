package catalog_test

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/testkit"
)

func drawn(t testing.TB, w, h int, c color.Color, as string) []byte {
	t.Helper()
	m := image.NewPaletted(image.Rect(0, 0, w, h), color.Palette{c, color.White})
	var out bytes.Buffer
	var err error
	switch as {
	case "png":
		err = png.Encode(&out, m)
	case "gif":
		err = gif.Encode(&out, m, nil)
	default:
		err = jpeg.Encode(&out, m, nil)
	}
	require.NoError(t, err)
	return out.Bytes()
}

func addPicture(t testing.TB, who *testkit.Client, product any, content []byte, fields ...string) *testkit.Response {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for i := 0; i < len(fields); i += 2 {
		require.NoError(t, form.WriteField(fields[i], fields[i+1]))
	}
	if content != nil {
		file, err := form.CreateFormFile("file", "a.jpg")
		require.NoError(t, err)
		_, err = file.Write(content)
		require.NoError(t, err)
	}
	require.NoError(t, form.Close())
	return who.Do(http.MethodPost, fmt.Sprint("/v1/products/", product, "/pictures"), &body, "Content-Type", form.FormDataContentType())
}

func TestPicturesOfProducts(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	made := admin.Do("POST", "/v1/products", map[string]any{"title": "红楼梦连衣裙", "variants": []any{map[string]any{"sku": "PIC-1", "price_amount": 100}}}).Want(201).Map()
	other := admin.Do("POST", "/v1/products", map[string]any{"title": "别的", "variants": []any{map[string]any{"sku": "PIC-2", "price_amount": 100}}}).Want(201).Map()
	id := made["id"].(string)
	variant := made["variants"].([]any)[0].(map[string]any)["id"].(string)
	foreign := other["variants"].([]any)[0].(map[string]any)["id"].(string)
	require.Nil(t, made["picture_url"])
	withGPS := drawn(t, 1200, 600, color.Black, "jpeg")
	withGPS = append(append(append([]byte{}, withGPS[:2]...), append([]byte{0xFF, 0xE1, 0, 18}, "Exif\x00\x00GPS secret"[:16]...)...), withGPS[2:]...)
	first := addPicture(t, admin, id, withGPS, "alt_zh", " 正面 ", "variant_id", variant).Want(201).Map()
	require.Equal(t, "正面", first["alt_zh"])
	require.Equal(t, variant, first["variant_id"])
	second := addPicture(t, admin, id, drawn(t, 10, 20, color.Black, "png")).Want(201).Map()
	addPicture(t, admin, id, drawn(t, 10, 20, color.Black, "gif")).WantProblem(422, "attachments.picture_type")
	addPicture(t, admin, id, []byte("%PDF-1.4")).WantProblem(422, "attachments.picture_type")
	addPicture(t, admin, id, []byte{}).WantProblem(422, "attachments.empty")
	addPicture(t, admin, id, nil, "alt_zh", "x").WantProblem(422, "catalog.picture_part")
	addPicture(t, admin, id, drawn(t, 1, 1, color.Black, "png"), "variant_id", foreign).WantProblem(422, "catalog.picture_variant")
	addPicture(t, admin, id, drawn(t, 1, 1, color.Black, "png"), "alt_en", strings.Repeat("a", 301)).WantProblem(422, "catalog.alt_invalid")
	addPicture(t, admin, "0192f1a4-7c1e-7b52-9c55-3f3f7f0c2a91", drawn(t, 1, 1, color.Black, "png")).WantProblem(404, "catalog.product_not_found")

	// Anybody may fetch it and keep it for good; what the camera wrote is gone.
	url := first["url"].(string)
	res := app.Do("GET", url, nil).Want(200)
	require.Equal(t, "public, max-age=31536000, immutable", res.Header.Get("Cache-Control"))
	require.Equal(t, "image/jpeg", res.Header.Get("Content-Type"))
	require.NotContains(t, string(res.Body), "secret")
	require.Equal(t, 304, app.Do("GET", url, nil, "If-None-Match", res.Header.Get("ETag")).Status)
	small, err := jpeg.DecodeConfig(bytes.NewReader(app.Do("GET", first["thumbnail_url"].(string), nil).Want(200).Body))
	require.NoError(t, err)
	require.Equal(t, []int{512, 256}, []int{small.Width, small.Height})
	app.Do("GET", "/v1/pictures/"+strings.Repeat("0", 64), nil).WantProblem(404, "catalog.picture_not_found")

	// The first is the main one, in the product and in what a search finds.
	shown := func() any {
		var found struct{ Items []map[string]any }
		admin.Do("GET", "/v1/products?q=红楼梦连衣裙", nil).Want(200).JSON(&found)
		require.Len(t, found.Items, 1)
		require.Equal(t, admin.Do("GET", "/v1/products/"+id, nil).Want(200).Map()["picture_url"], found.Items[0]["picture_url"])
		return found.Items[0]["picture_url"]
	}
	require.Equal(t, url, shown())
	order := func(ids ...any) *testkit.Response {
		return admin.Do("PUT", "/v1/products/"+id+"/pictures/order", map[string]any{"picture_ids": ids})
	}
	order(second["id"]).WantProblem(422, "catalog.picture_order")
	order(second["id"], second["id"]).WantProblem(422, "catalog.picture_order")
	order(second["id"], first["id"]).Want(204)
	require.Equal(t, second["url"], shown())
	var list struct {
		Items      []map[string]any
		TotalCount int     `json:"total_count"`
		NextCursor *string `json:"next_cursor"`
	}
	admin.Do("GET", "/v1/products/"+id+"/pictures?limit=1&include=total_count", nil).Want(200).JSON(&list)
	require.Equal(t, second["id"], list.Items[0]["id"])
	require.Equal(t, 2, list.TotalCount)
	admin.Do("GET", "/v1/products/"+id+"/pictures?limit=1&cursor="+*list.NextCursor, nil).Want(200).JSON(&list)
	require.Equal(t, first["id"], list.Items[0]["id"])

	at := "/v1/products/" + id + "/pictures/"
	admin.Do("PATCH", at+first["id"].(string), map[string]any{"alt_en": "Front"}, "If-Match", `"99"`).WantProblem(412, "request.version_mismatch")
	changed := admin.Do("PATCH", at+first["id"].(string), map[string]any{"alt_en": "Front", "variant_id": nil}).Want(200).Map()
	require.Equal(t, "Front", changed["alt_en"])
	require.Nil(t, changed["variant_id"])
	admin.Do("PATCH", at+first["id"].(string), map[string]any{"variant_id": foreign}).WantProblem(422, "catalog.picture_variant")
	admin.Do("DELETE", "/v1/products/"+other["id"].(string)+"/pictures/"+first["id"].(string), nil).WantProblem(404, "catalog.picture_not_found")
	admin.Do("DELETE", at+second["id"].(string), nil).Want(204)
	require.Equal(t, url, shown())
	app.Do("GET", second["url"].(string), nil).WantProblem(404, "catalog.picture_not_found")
	admin.Do("DELETE", at+first["id"].(string), nil).Want(204)
	require.Nil(t, shown())
}
