package catalog_test

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/testkit"
)

func TestCatalogOverHTTP(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	category := admin.Do(http.MethodPost, "/v1/categories", map[string]any{"name": "古典小说"}).Want(http.StatusCreated)
	categoryPath := category.Header.Get("Location")
	admin.Do(http.MethodGet, categoryPath, nil).Want(http.StatusOK)

	made := admin.Do(http.MethodPost, "/v1/products", map[string]any{
		"kind": "book", "title": "红楼梦", "category_id": category.Map()["id"],
		"book":     map[string]any{"isbn10": "702000220X", "authors": []string{"曹雪芹"}},
		"variants": []any{map[string]any{"sku": "BK-1", "price_amount": 5970, "cost_amount": 3000, "options": map[string]any{"format": "平装"}}},
	}).Want(http.StatusCreated)
	path := made.Header.Get("Location")
	book := made.Map()["book"].(map[string]any)
	assert.Equal(t, "9787020002207", book["isbn13"])
	variant := made.Map()["variants"].([]any)[0].(map[string]any)
	assert.EqualValues(t, 3000, variant["cost_amount"])

	// Who may not see cost prices gets the same product without them.
	assistant := app.Client("assistant", testkit.Own())
	seen := assistant.Do(http.MethodGet, path, nil).Want(http.StatusOK)
	assert.NotContains(t, string(seen.Body), "cost_amount")
	assert.NotEqual(t, made.Header.Get("ETag"), seen.Header.Get("ETag"), "another view, another tag")
	assistant.Do(http.MethodGet, path, nil, "If-None-Match", seen.Header.Get("ETag")).Want(http.StatusNotModified)
	assistant.Do(http.MethodPatch, path, map[string]any{"title": "x"}).WantProblem(http.StatusForbidden, "auth.forbidden")

	etag := admin.Do(http.MethodGet, path, nil).Want(http.StatusOK).Header.Get("ETag")
	admin.Do(http.MethodPatch, path, map[string]any{"brand": "人民文学", "description": nil}, "If-Match", etag, "Content-Type", "application/merge-patch+json").Want(http.StatusOK)
	admin.Do(http.MethodPatch, path, map[string]any{"brand": "x"}, "If-Match", etag).WantProblem(http.StatusPreconditionFailed, "request.version_mismatch")

	variantPath := "/v1/variants/" + variant["id"].(string)
	admin.Do(http.MethodPatch, variantPath, map[string]any{"barcode": "6901234567892", "price_amount": 4990, "cost_amount": nil}).Want(http.StatusOK)
	for _, query := range []string{"sku=BK-1", "barcode=6901234567892", "isbn=978-7-02-000220-7", "isbn=702000220X"} {
		found := admin.Do(http.MethodGet, "/v1/variants?"+query, nil).Want(http.StatusOK).Map()["items"].([]any)
		require.Len(t, found, 1, query)
		assert.EqualValues(t, 4990, found[0].(map[string]any)["price_amount"])
	}
	added := admin.Do(http.MethodPost, path+"/variants", map[string]any{"sku": "BK-2", "price_amount": 100}).Want(http.StatusCreated)
	admin.Do(http.MethodGet, added.Header.Get("Location"), nil).Want(http.StatusOK)
	assert.Len(t, admin.Do(http.MethodGet, path+"/variants", nil).Want(http.StatusOK).Map()["items"], 2)

	first := admin.Do(http.MethodGet, path+"/variants?limit=1", nil).Want(http.StatusOK)
	link := first.Header.Get("Link")
	require.Regexp(t, `^</v1/products/.+>; rel="next"$`, link)
	assert.Len(t, admin.Do(http.MethodGet, link[1:len(link)-len(`>; rel="next"`)], nil).Want(http.StatusOK).Map()["items"], 1)

	admin.Do(http.MethodGet, "/v1/products?q=红楼&kind=book&include=total_count", nil).Want(http.StatusOK)
	admin.Do(http.MethodDelete, categoryPath, nil).WantProblem(http.StatusConflict, "catalog.category_in_use")
	admin.Do(http.MethodPatch, path, map[string]any{"category_id": nil}).Want(http.StatusOK)
	admin.Do(http.MethodPatch, categoryPath, map[string]any{"name": "小说"}).Want(http.StatusOK)
	admin.Do(http.MethodGet, "/v1/categories", nil).Want(http.StatusOK)
	admin.Do(http.MethodDelete, categoryPath, nil).Want(http.StatusNoContent)
}

func TestCatalogRefusesBadInput(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	admin.Do(http.MethodPost, "/v1/products", map[string]any{"title": "甲", "variants": []any{map[string]any{"sku": "A", "price_amount": 1}}}).Want(http.StatusCreated)
	for name, c := range map[string]struct {
		body    map[string]any
		status  int
		code    string
		pointer string
	}{
		"check digit": {map[string]any{"kind": "book", "title": "x", "book": map[string]any{"isbn13": "9787020002208"}}, 422, "catalog.isbn_invalid", "/book/isbn13"},
		"two books":   {map[string]any{"kind": "book", "title": "x", "book": map[string]any{"isbn13": "9787020002207", "isbn10": "7111213823"}}, 422, "catalog.isbn_mismatch", "/book/isbn10"},
		"wrong kind":  {map[string]any{"title": "x", "apparel": map[string]any{"season": "春"}}, 422, "catalog.kind_mismatch", "/apparel"},
		"blank title": {map[string]any{"title": "  "}, 422, "catalog.blank", "/title"},
		"SKU in use":  {map[string]any{"title": "x", "variants": []any{map[string]any{"sku": "A", "price_amount": 1}}}, 409, "catalog.sku_taken", "/variants/0/sku"},
		"category":    {map[string]any{"title": "x", "category_id": "0192f1a4-7c1e-7b52-9c55-3f3f7f0c2a11"}, 422, "catalog.category_unknown", "/category_id"},
	} {
		t.Run(name, func(t *testing.T) {
			admin.Do(http.MethodPost, "/v1/products", c.body).WantProblem(c.status, c.code, c.pointer)
		})
	}
	admin.Do(http.MethodGet, "/v1/products?isbn=9787020002208", nil).WantProblem(422, "catalog.isbn_invalid", "?isbn")
	admin.Do(http.MethodGet, "/v1/products?cursor=zzz", nil).WantProblem(400, "request.bad_cursor", "?cursor")
	admin.Do(http.MethodGet, "/v1/products/0192f1a4-7c1e-7b52-9c55-3f3f7f0c2a11", nil).WantProblem(404, "catalog.product_not_found")
	admin.Do(http.MethodGet, "/v1/variants/0192f1a4-7c1e-7b52-9c55-3f3f7f0c2a11", nil).WantProblem(404, "catalog.variant_not_found")
}

func TestPriceListsOverHTTP(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	made := admin.Do(http.MethodPost, "/v1/products", map[string]any{"title": "衬衫", "tax_rate": 1300, "variants": []any{map[string]any{"sku": "S-1", "price_amount": 1000}}}).Want(http.StatusCreated)
	variant := made.Map()["variants"].([]any)[0].(map[string]any)["id"].(string)
	list := admin.Do(http.MethodPost, "/v1/price-lists", map[string]any{"code": "gold", "name": "金卡", "tier": "gold", "priority": 2, "status": "active"}).Want(http.StatusCreated)
	path := list.Header.Get("Location")
	tag := admin.Do(http.MethodGet, path, nil).Want(http.StatusOK).Header.Get("ETag")
	done := admin.Do(http.MethodPut, path+"/entries", map[string]any{"entries": []any{map[string]any{"sku": "S-1", "price_amount": 800}}, "reason": "上市"}, "If-Match", tag).Want(http.StatusOK)
	assert.EqualValues(t, 1, done.Map()["set_count"])
	admin.Do(http.MethodPut, path+"/entries", map[string]any{"entries": []any{map[string]any{"sku": "S-1", "price_amount": 700}}}, "If-Match", tag).WantProblem(http.StatusPreconditionFailed, "request.version_mismatch")
	same := admin.Do(http.MethodPut, path+"/entries", map[string]any{"entries": []any{map[string]any{"variant_id": variant, "price_amount": 800}}}).Want(http.StatusOK)
	assert.EqualValues(t, 1, same.Map()["unchanged_count"])
	assert.Equal(t, done.Map()["version"], same.Map()["version"])

	plain := admin.Do(http.MethodGet, "/v1/variants/"+variant+"/price", nil).Want(http.StatusOK).Map()
	assert.EqualValues(t, 1000, plain["price_amount"])
	assert.Nil(t, plain["price_list_id"])
	assert.EqualValues(t, 1300, plain["tax_rate"])
	assert.Equal(t, "other_tier", plain["considered"].([]any)[0].(map[string]any)["outcome"])
	gold := admin.Do(http.MethodGet, "/v1/variants/"+variant+"/price?tier=gold&channel=web&quantity=2&at=2030-01-01T00:00:00Z", nil).Want(http.StatusOK).Map()
	assert.EqualValues(t, 800, gold["price_amount"])
	assert.Equal(t, list.Map()["id"], gold["price_list_id"])

	entries := admin.Do(http.MethodGet, path+"/entries?sku=S-1&include=total_count", nil).Want(http.StatusOK).Map()
	assert.EqualValues(t, 1, entries["total_count"])
	history := admin.Do(http.MethodGet, "/v1/variants/"+variant+"/price-history", nil).Want(http.StatusOK).Map()["items"].([]any)
	require.Len(t, history, 1)
	assert.Equal(t, "上市", history[0].(map[string]any)["reason"])
	admin.Do(http.MethodPatch, made.Header.Get("Location"), map[string]any{"status": "archived", "reason": "停产"}).Want(http.StatusOK)
	states := admin.Do(http.MethodGet, made.Header.Get("Location")+"/status-history", nil).Want(http.StatusOK).Map()["items"].([]any)
	require.Len(t, states, 1)
	assert.Equal(t, "archived", states[0].(map[string]any)["new_status"])

	admin.Do(http.MethodPatch, path, map[string]any{"tier": nil, "channel": "web", "ends_at": "2029-01-01T00:00:00Z"}, "Content-Type", "application/merge-patch+json").Want(http.StatusOK)
	assert.EqualValues(t, 1000, admin.Do(http.MethodGet, "/v1/variants/"+variant+"/price?channel=web&at=2030-01-01T00:00:00Z", nil).Want(http.StatusOK).Map()["price_amount"])
	admin.Do(http.MethodGet, "/v1/price-lists?channel=web&include=total_count", nil).Want(http.StatusOK)
	admin.Do(http.MethodDelete, path, nil).WantProblem(http.StatusConflict, "catalog.price_list_in_force")
	admin.Do(http.MethodPost, "/v1/price-lists", map[string]any{"code": "usd", "name": "x", "currency": "USD"}).WantProblem(http.StatusUnprocessableEntity, "catalog.currency_mismatch", "/currency")
	admin.Do(http.MethodPut, path+"/entries", map[string]any{"entries": []any{map[string]any{"sku": "S-2", "price_amount": 1}}}).WantProblem(http.StatusUnprocessableEntity, "catalog.variant_unknown", "/entries/0")
	admin.Do(http.MethodPut, path+"/entries", map[string]any{"entries": []any{map[string]any{"sku": "S-1", "price_amount": -1}}}).Want(http.StatusUnprocessableEntity)
	app.Client("assistant", testkit.Own()).Do(http.MethodPost, "/v1/price-lists", map[string]any{"code": "x", "name": "x"}).WantProblem(http.StatusForbidden, "auth.forbidden")
}

func TestMatrixBrandsAndSearchOverHTTP(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	brand := admin.Do(http.MethodPost, "/v1/brands", map[string]any{"name": "甲牌"}).Want(http.StatusCreated)
	brandPath := brand.Header.Get("Location")
	admin.Do(http.MethodGet, brandPath, nil).Want(http.StatusOK)
	admin.Do(http.MethodGet, "/v1/brands?q=甲&include=total_count", nil).Want(http.StatusOK)
	sizes := admin.Do(http.MethodPost, "/v1/size-systems", map[string]any{"code": "alpha", "name": "字母码", "labels": []string{"S", "M"}}).Want(http.StatusCreated)
	sizesPath := sizes.Header.Get("Location")
	admin.Do(http.MethodPatch, sizesPath, map[string]any{"labels": []string{"S", "M", "L"}}, "If-Match", sizes.Header.Get("ETag")).Want(http.StatusOK)
	admin.Do(http.MethodGet, sizesPath, nil).Want(http.StatusOK)
	admin.Do(http.MethodGet, "/v1/size-systems", nil).Want(http.StatusOK)

	made := admin.Do(http.MethodPost, "/v1/products", map[string]any{"kind": "apparel", "title": "连衣裙", "brand_id": brand.Map()["id"],
		"apparel": map[string]any{"season": "2026春", "size_system": "alpha", "colours": []any{map[string]any{"name": "红", "code": "R", "family": "暖"}},
			"size_chart": map[string]any{"columns": []string{"胸围"}, "rows": []any{map[string]any{"size": "M", "values": []string{"88"}}}}},
		"options": []any{map[string]any{"name": "colour", "values": []any{map[string]any{"value": "红", "code": "RED"}}}}}).Want(http.StatusCreated)
	path := made.Header.Get("Location")
	assert.Equal(t, "甲牌", made.Map()["brand"])
	admin.Do(http.MethodPut, path+"/options", map[string]any{"options": []any{
		map[string]any{"name": "colour", "values": []any{map[string]any{"value": "大红", "code": "RED", "was": "红"}}},
		map[string]any{"name": "size", "values": []any{map[string]any{"value": "M"}, map[string]any{"value": "L"}}},
	}}, "If-Match", made.Header.Get("ETag")).Want(http.StatusOK)
	generated := admin.Do(http.MethodPost, path+"/variants/generate", map[string]any{"sku_prefix": "DR", "price_amount": 29900, "only": map[string]any{"size": []string{"M"}}}).Want(http.StatusOK).Map()
	require.Len(t, generated["created"], 1)
	variant := generated["created"].([]any)[0].(map[string]any)
	assert.Equal(t, "DR-RED-M", variant["sku"])
	matrix := admin.Do(http.MethodGet, path+"/matrix", nil).Want(http.StatusOK).Map()
	assert.Equal(t, []any{"M", "L"}, matrix["columns"])
	admin.Do(http.MethodPut, path+"/options", map[string]any{"options": []any{}}, "If-Match", made.Header.Get("ETag")).WantProblem(http.StatusPreconditionFailed, "request.version_mismatch")

	settings := admin.Do(http.MethodGet, "/v1/catalog-settings", nil).Want(http.StatusOK)
	admin.Do(http.MethodPut, "/v1/catalog-settings", map[string]any{"default_tax_rate": 1300, "weighed_layouts": []any{map[string]any{"prefix": "21", "item_digits": 5, "measures": "weight", "decimals": 3}}},
		"If-Match", settings.Header.Get("ETag")).Want(http.StatusOK)
	codes := "/v1/variants/" + variant["id"].(string) + "/barcodes"
	added := admin.Do(http.MethodPost, codes, map[string]any{"code": "2112345", "kind": "weighed"}).Want(http.StatusCreated)
	found := admin.Do(http.MethodGet, "/v1/variants?barcode=2112345012506", nil).Want(http.StatusOK).Map()
	require.Len(t, found["items"], 1)
	assert.EqualValues(t, 1250, found["reading"].(map[string]any)["weight_grams"])
	admin.Do(http.MethodGet, codes, nil).Want(http.StatusOK)
	admin.Do(http.MethodDelete, added.Header.Get("Location"), nil).Want(http.StatusNoContent)
	admin.Do(http.MethodPost, codes, map[string]any{"code": "6901234567890"}).WantProblem(http.StatusUnprocessableEntity, "catalog.barcode_check_digit", "/code")

	list := admin.Do(http.MethodGet, "/v1/products?q=衣&colour=大红&size=M&facets=true&sort=price&max_price_amount=30000&include=total_count", nil).Want(http.StatusOK).Map()
	require.Len(t, list["items"], 1)
	assert.NotEmpty(t, list["facets"].(map[string]any)["counts"])
	admin.Do(http.MethodGet, "/v1/products?q=x", nil).WantProblem(http.StatusUnprocessableEntity, "catalog.search_too_short", "?q")
	admin.Do(http.MethodDelete, brandPath, nil).WantProblem(http.StatusConflict, "catalog.brand_in_use")
	admin.Do(http.MethodPatch, path, map[string]any{"brand": nil}, "Content-Type", "application/merge-patch+json").Want(http.StatusOK)
	admin.Do(http.MethodPatch, brandPath, map[string]any{"description": "x"}).Want(http.StatusOK)
	admin.Do(http.MethodDelete, brandPath, nil).Want(http.StatusNoContent)
	admin.Do(http.MethodDelete, sizesPath, nil).Want(http.StatusNoContent)
	book := admin.Do(http.MethodPost, "/v1/products", map[string]any{"kind": "book", "title": "红楼梦", "book": map[string]any{"series": "四大名著", "volume": "1", "audience": "成人",
		"contributors":  []any{map[string]any{"name": "曹雪芹", "role": "author"}, map[string]any{"name": "Hawkes", "role": "translator"}},
		"subject_codes": []any{map[string]any{"scheme": "bisac", "code": "FIC004000"}}}}).Want(http.StatusCreated).Map()["book"].(map[string]any)
	assert.Equal(t, []any{"曹雪芹"}, book["authors"])
	require.Len(t, book["contributors"], 2)
}

func TestBulkAndONIXOverHTTP(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	send := func(mode string, items ...any) []any {
		return admin.Do(http.MethodPost, "/v1/products/bulk", map[string]any{"mode": mode, "items": items}, "Accept-Language", "zh-CN").Want(http.StatusOK).Map()["results"].([]any)
	}
	shirt := map[string]any{"title": "衬衫", "variants": []any{map[string]any{"sku": "S-1", "price_amount": 1000}}}
	got := send("create", shirt, map[string]any{"title": "书", "kind": "book", "book": map[string]any{"isbn13": "9787020002208"}, "variants": []any{map[string]any{"sku": "S-2", "price_amount": 1}}}, shirt)
	assert.Equal(t, "created", got[0].(map[string]any)["status"])
	fault := got[1].(map[string]any)["error"].(map[string]any)
	assert.Equal(t, "catalog.isbn_invalid", fault["code"])
	assert.Equal(t, "/items/1/book/isbn13", fault["pointer"])
	assert.Contains(t, fault["detail"], "校验位")
	assert.Equal(t, got[0].(map[string]any)["product_id"], got[2].(map[string]any)["error"].(map[string]any)["existing_id"])
	shirt["variants"] = []any{map[string]any{"sku": "S-1", "price_amount": 900}}
	assert.Equal(t, "updated", send("upsert", shirt)[0].(map[string]any)["status"])
	trial := admin.Do(http.MethodPost, "/v1/products/bulk", map[string]any{"mode": "create", "dry_run": true, "items": []any{map[string]any{"title": "x", "variants": []any{map[string]any{"sku": "S-9", "price_amount": 1}}}}}).Want(http.StatusOK)
	assert.NotContains(t, string(trial.Body), "product_id", "it is not there")
	assert.Empty(t, admin.Do(http.MethodGet, "/v1/variants?sku=S-9", nil).Want(http.StatusOK).Map()["items"])

	upload := func(message string, fields ...string) *testkit.Response {
		var body bytes.Buffer
		form := multipart.NewWriter(&body)
		for i := 0; i < len(fields); i += 2 {
			require.NoError(t, form.WriteField(fields[i], fields[i+1]))
		}
		file, err := form.CreateFormFile("file", "onix.xml")
		require.NoError(t, err)
		_, err = file.Write([]byte(message))
		require.NoError(t, err)
		require.NoError(t, form.Close())
		return admin.Do(http.MethodPost, "/v1/products/onix", &body, "Content-Type", form.FormDataContentType())
	}
	message := `<ONIXmessage release="3.0"><product><a001>r1</a001><a002>03</a002><productidentifier><b221>15</b221><b244>9787020002207</b244></productidentifier>
<descriptivedetail><b012>BC</b012><titledetail><b202>01</b202><titleelement><b203>红楼梦</b203></titleelement></titledetail></descriptivedetail></product><product><a001>r2</a001></product></ONIXmessage>`
	assert.EqualValues(t, 1, upload(message, "dry_run", "true").Want(http.StatusOK).Map()["created_count"])
	assert.Empty(t, admin.Do(http.MethodGet, "/v1/variants?isbn=702000220X", nil).Want(http.StatusOK).Map()["items"])
	taken := upload(message).Want(http.StatusOK).Map()
	assert.EqualValues(t, 1, taken["created_count"])
	assert.EqualValues(t, 1, taken["error_count"])
	assert.Equal(t, "r2", taken["results"].([]any)[1].(map[string]any)["record_reference"])
	assert.EqualValues(t, 1, upload(message).Want(http.StatusOK).Map()["updated_count"])
	require.Len(t, admin.Do(http.MethodGet, "/v1/variants?barcode=702000220X", nil).Want(http.StatusOK).Map()["items"], 1)
	upload("<!DOCTYPE x><ONIXmessage/>").WantProblem(http.StatusUnprocessableEntity, "catalog.onix_malformed")
	upload(message, "dry_run", "perhaps").WantProblem(http.StatusUnprocessableEntity, "catalog.onix_file", "/dry_run")
	upload(message, "x", "y").WantProblem(http.StatusUnprocessableEntity, "catalog.onix_file", "/x")
}
