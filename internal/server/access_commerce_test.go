package server_test

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/testkit"
)

func read(r io.Reader) []byte {
	raw, _ := io.ReadAll(r) // what is missing shows in the comparison
	return raw
}

var catalogProbes = map[string]probe{
	"listProducts": plain(http.MethodGet, "/v1/products", nil),
	"createProduct": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/products", map[string]any{"title": "新书", "variants": []any{map[string]any{"sku": c.word("NP"), "price_amount": 100}}}))
	},
	"getProduct": func(c *cell) byte {
		return judge(c.do(http.MethodGet, "/v1/products/"+c.someArticle().product.String(), nil))
	},
	"updateProduct": func(c *cell) byte {
		return judge(c.do(http.MethodPatch, "/v1/products/"+c.someArticle().product.String(), map[string]any{"brand": "改"}))
	},
	"listProductVariants": func(c *cell) byte {
		return judge(c.do(http.MethodGet, "/v1/products/"+c.someArticle().product.String()+"/variants", nil))
	},
	"createVariant": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/products/"+c.someArticle().product.String()+"/variants", map[string]any{"sku": c.word("NV"), "price_amount": 100}))
	},
	"listVariants": func(c *cell) byte {
		return among(c.do(http.MethodGet, "/v1/variants?sku="+c.goods().sku, nil), c.goods().variant)
	},
	"getVariant": func(c *cell) byte {
		return judge(c.do(http.MethodGet, "/v1/variants/"+c.someArticle().variant.String(), nil))
	},
	"updateVariant": func(c *cell) byte {
		return judge(c.do(http.MethodPatch, "/v1/variants/"+c.someArticle().variant.String(), map[string]any{"price_amount": 900}))
	},
	"listPriceLists": func(c *cell) byte {
		id := c.freshPriceList()
		return among(c.do(http.MethodGet, "/v1/price-lists?limit=200&store_id="+c.priceListStore().String(), nil), id)
	},
	"createPriceList": func(c *cell) byte {
		body := map[string]any{"code": c.word("NL"), "name": "价目"}
		if store := c.priceListStore(); store != nil {
			body["store_id"] = *store
		}
		return judge(c.do(http.MethodPost, "/v1/price-lists", body))
	},
	"getPriceList": func(c *cell) byte {
		return judge(c.do(http.MethodGet, "/v1/price-lists/"+c.freshPriceList().String(), nil))
	},
	"updatePriceList": func(c *cell) byte {
		return judge(c.do(http.MethodPatch, "/v1/price-lists/"+c.freshPriceList().String(), map[string]any{"priority": 3}))
	},
	"deletePriceList": func(c *cell) byte {
		return judge(c.do(http.MethodDelete, "/v1/price-lists/"+c.freshPriceList().String(), nil))
	},
	"listPriceListEntries": func(c *cell) byte {
		return judge(c.do(http.MethodGet, "/v1/price-lists/"+c.freshPriceList().String()+"/entries", nil))
	},
	"setPriceListEntries": func(c *cell) byte {
		return judge(c.do(http.MethodPut, "/v1/price-lists/"+c.freshPriceList().String()+"/entries", map[string]any{"entries": []any{map[string]any{"sku": c.goods().sku, "price_amount": 900}}}))
	},
	"getVariantPrice": func(c *cell) byte {
		return judge(c.do(http.MethodGet, "/v1/variants/"+c.someArticle().variant.String()+"/price", nil))
	},
	"listVariantPriceChanges": func(c *cell) byte {
		return judge(c.do(http.MethodGet, "/v1/variants/"+c.someArticle().variant.String()+"/price-history", nil))
	},
	"listProductStatusChanges": func(c *cell) byte {
		return judge(c.do(http.MethodGet, "/v1/products/"+c.someArticle().product.String()+"/status-history", nil))
	},
	"setProductOptions": func(c *cell) byte {
		return judge(c.do(http.MethodPut, "/v1/products/"+c.freshArticle().product.String()+"/options", map[string]any{"options": []any{map[string]any{"name": "size", "values": []any{map[string]any{"value": "M"}}}}}))
	},
	"generateVariants": func(c *cell) byte {
		p := c.freshArticle()
		c.exec(`UPDATE products SET options = '[{"name": "size", "values": [{"value": "M"}]}]' WHERE id = $1`, p.product)
		return judge(c.do(http.MethodPost, "/v1/products/"+p.product.String()+"/variants/generate", map[string]any{"sku_prefix": c.word("GEN"), "price_amount": 100}))
	},
	"listProductPictures": func(c *cell) byte {
		return judge(c.do(http.MethodGet, "/v1/products/"+c.someArticle().product.String()+"/pictures", nil))
	},
	"addProductPicture": func(c *cell) byte {
		body, kind := c.pictureForm()
		return judge(c.do(http.MethodPost, "/v1/products/"+c.freshArticle().product.String()+"/pictures", body, "Content-Type", kind))
	},
	"orderProductPictures": func(c *cell) byte {
		p, id, _ := c.shownArticle()
		return judge(c.do(http.MethodPut, "/v1/products/"+p.String()+"/pictures/order", map[string]any{"picture_ids": []any{id}}))
	},
	"updateProductPicture": func(c *cell) byte {
		p, id, _ := c.shownArticle()
		return judge(c.do(http.MethodPatch, "/v1/products/"+p.String()+"/pictures/"+id, map[string]any{"alt_en": "A"}))
	},
	"deleteProductPicture": func(c *cell) byte {
		p, id, _ := c.shownArticle()
		return judge(c.do(http.MethodDelete, "/v1/products/"+p.String()+"/pictures/"+id, nil))
	},
	"getPicture": func(c *cell) byte {
		_, _, hash := c.shownArticle()
		return judge(c.do(http.MethodGet, "/v1/pictures/"+hash, nil))
	},
	"listVariantBarcodes": func(c *cell) byte {
		return judge(c.do(http.MethodGet, "/v1/variants/"+c.someArticle().variant.String()+"/barcodes", nil))
	},
	"addVariantBarcode": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/variants/"+c.freshArticle().variant.String()+"/barcodes", map[string]any{"code": "IN-1"}))
	},
	"removeVariantBarcode": func(c *cell) byte {
		p, id := c.freshArticle(), uuid.New()
		c.exec("INSERT INTO variant_barcodes (id, variant_id, kind, code, created_at) SELECT $1, id, 'internal', 'IN-2', now() FROM variants WHERE id = $2", id, p.variant)
		return judge(c.do(http.MethodDelete, "/v1/variants/"+p.variant.String()+"/barcodes/"+id.String(), nil))
	},
	"getCatalogSettings": plain(http.MethodGet, "/v1/catalog-settings", nil),
	"setCatalogSettings": plain(http.MethodPut, "/v1/catalog-settings", map[string]any{"default_tax_rate": 0, "weighed_layouts": []any{}}),
	"getProductMatrix": func(c *cell) byte {
		return judge(c.do(http.MethodGet, "/v1/products/"+c.someArticle().product.String()+"/matrix", nil))
	},
	"listBrands": plain(http.MethodGet, "/v1/brands", nil),
	"createBrand": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/brands", map[string]any{"name": c.word("新牌")}))
	},
	"getBrand": func(c *cell) byte {
		return judge(c.do(http.MethodGet, "/v1/brands/"+c.freshBrand().String(), nil))
	},
	"updateBrand": func(c *cell) byte {
		return judge(c.do(http.MethodPatch, "/v1/brands/"+c.freshBrand().String(), map[string]any{"description": "x"}))
	},
	"deleteBrand": func(c *cell) byte {
		return judge(c.do(http.MethodDelete, "/v1/brands/"+c.freshBrand().String(), nil))
	},
	"listSizeSystems": plain(http.MethodGet, "/v1/size-systems", nil),
	"createSizeSystem": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/size-systems", map[string]any{"code": c.word("Z"), "name": "码", "labels": []string{"S", "M"}}))
	},
	"getSizeSystem": func(c *cell) byte {
		return judge(c.do(http.MethodGet, "/v1/size-systems/"+c.freshSizes().String(), nil))
	},
	"updateSizeSystem": func(c *cell) byte {
		return judge(c.do(http.MethodPatch, "/v1/size-systems/"+c.freshSizes().String(), map[string]any{"name": "x"}))
	},
	"deleteSizeSystem": func(c *cell) byte {
		return judge(c.do(http.MethodDelete, "/v1/size-systems/"+c.freshSizes().String(), nil))
	},
	"bulkProducts": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/products/bulk", map[string]any{"mode": "create", "items": []any{map[string]any{"title": "新书", "variants": []any{map[string]any{"sku": c.word("BULK"), "price_amount": 100}}}}}))
	},
	"suggestCategories": plain(http.MethodPost, "/v1/products/category-suggestions", map[string]any{"title": "书"}),
	"importOnix": func(c *cell) byte {
		var body bytes.Buffer
		form := multipart.NewWriter(&body)
		file, err := form.CreateFormFile("file", "onix.xml")
		require.NoError(c.t, err)
		_, err = file.Write([]byte(`<ONIXMessage release="3.0"></ONIXMessage>`))
		require.NoError(c.t, err)
		require.NoError(c.t, form.Close())
		return judge(c.do(http.MethodPost, "/v1/products/onix", &body, "Content-Type", form.FormDataContentType()))
	},
	"listCategories": plain(http.MethodGet, "/v1/categories", nil),
	"createCategory": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/categories", map[string]any{"name": c.word("新类")}))
	},
	"getCategory": func(c *cell) byte {
		return judge(c.do(http.MethodGet, "/v1/categories/"+c.someCategory().String(), nil))
	},
	"updateCategory": func(c *cell) byte {
		return judge(c.do(http.MethodPatch, "/v1/categories/"+c.someCategory().String(), map[string]any{"name": c.word("改类")}))
	},
	"deleteCategory": func(c *cell) byte {
		return judge(c.do(http.MethodDelete, "/v1/categories/"+c.someCategory().String(), nil))
	},
}

// newPriceList makes a draft of a store, or of all.
func (w *world) newPriceList(store *uuid.UUID) uuid.UUID {
	id := w.id()
	w.exec(`INSERT INTO price_lists (id, code, name, currency, store_id, status, created_at, updated_at) VALUES ($1, $2, '价目', 'CNY', $3, 'draft', now(), now())`, id, w.word("PL"), store)
	return id
}

// priceListStore is the store of the cell's price list; nil means all stores.
func (c *cell) priceListStore() *uuid.UUID {
	switch c.object {
	case "store":
		return &c.a
	case "other":
		return &c.b
	}
	return nil
}

// freshPriceList is a price list that nobody else touches.
func (c *cell) freshPriceList() uuid.UUID {
	if c.object == "none" {
		return uuid.New()
	}
	return c.newPriceList(c.priceListStore())
}

func (w *world) goods() article { return once(w, "goods", w.article) }

func (c *cell) someArticle() article {
	if c.object == "none" {
		return article{uuid.New(), uuid.New(), ""}
	}
	return c.goods()
}

// freshArticle is an article that nobody else touches.
func (c *cell) freshArticle() article {
	if c.object == "none" {
		return c.someArticle()
	}
	return c.article()
}

// freshBrand and freshSizes are things that nobody else touches.
func (c *cell) freshBrand() uuid.UUID {
	id := uuid.New()
	if c.object != "none" {
		c.exec("INSERT INTO brands (id, name, created_at, updated_at) VALUES ($1, $2, now(), now())", id, c.word("牌"))
	}
	return id
}

func (c *cell) freshSizes() uuid.UUID {
	id := uuid.New()
	if c.object != "none" {
		c.exec(`INSERT INTO size_systems (id, code, name, labels, created_at, updated_at) VALUES ($1, $2, '码', '["S"]', now(), now())`, id, c.word("Z"))
	}
	return id
}

func (c *cell) someCategory() uuid.UUID {
	if c.object == "none" {
		return uuid.New()
	}
	return c.category()
}

var segmentProbes = map[string]probe{
	"getRFMSettings": plain(http.MethodGet, "/v1/rfm/settings", nil),
	"updateRFMSettings": func(c *cell) byte {
		for range 20 { // somebody else's change may come first
			var version int64
			c.one(&version, "SELECT coalesce((SELECT version FROM settings WHERE key = 'rfm'), 0)")
			r := c.do(http.MethodPut, "/v1/rfm/settings", map[string]any{"window_days": 365, "bands": []any{
				map[string]any{"code": "loyal", "name": "忠诚", "frequency_at_least": 5}}}, "If-Match", fmt.Sprintf(`"%d"`, version))
			if r.Status != http.StatusPreconditionFailed {
				return judge(r)
			}
		}
		return strange
	},
	"getReturnRule": plain(http.MethodGet, "/v1/return-rule", nil),
	"updateReturnRule": func(c *cell) byte {
		for range 20 { // somebody else's change may come first
			var version int64
			c.one(&version, "SELECT coalesce((SELECT version FROM settings WHERE key = 'returns'), 0)")
			r := c.do(http.MethodPut, "/v1/return-rule", map[string]any{"enabled": false, "min_orders": 3, "min_rate_percent": 40, "tag_name": "高退货率"},
				"If-Match", fmt.Sprintf(`"%d"`, version))
			if r.Status != http.StatusPreconditionFailed {
				return judge(r)
			}
		}
		return strange
	},
	"getLifecycleRules": plain(http.MethodGet, "/v1/lifecycle-rules", nil),
	"updateLifecycleRules": func(c *cell) byte {
		for range 20 { // somebody else's change may come first
			var version int64
			c.one(&version, "SELECT coalesce((SELECT version FROM settings WHERE key = 'lifecycle'), 0)")
			r := c.do(http.MethodPut, "/v1/lifecycle-rules", map[string]any{"rules": []any{map[string]any{"code": "lost", "stage": "lost", "recency_above": 400}}},
				"If-Match", fmt.Sprintf(`"%d"`, version))
			if r.Status != http.StatusPreconditionFailed {
				return judge(r)
			}
		}
		return strange
	},
	"previewLifecycleRules": plain(http.MethodPost, "/v1/lifecycle-rules/preview", map[string]any{"rules": []any{map[string]any{"code": "lost", "stage": "lost", "recency_above": 400}}}),
	"getRFMDistribution":    (*cell).distribution,
	"refreshRFM":            plain(http.MethodPost, "/v1/rfm/refresh", nil),
	"getCustomerMetrics": func(c *cell) byte {
		return judge(c.do(http.MethodGet, "/v1/customers/"+c.buyer().id.String()+"/metrics", nil))
	},
	"getCustomerMetrics/never": func(c *cell) byte {
		return judge(c.do(http.MethodGet, "/v1/customers/"+c.newBuyer().id.String()+"/metrics", nil))
	},
}

// distribution finds out whose customers were counted by comparing the total
// with the sizes of the three scopes there are, all different.
func (c *cell) distribution() byte {
	for _, o := range []string{"own", "store", "other"} {
		at := *c
		at.object = o
		at.buyer()
	}
	sizes := func() (n [3]int) {
		for i, where := range []string{"assigned_staff_id = $1", "store_id = $2", "TRUE"} {
			c.one(&n[i], "SELECT count(*) FROM customer_metrics WHERE last_order_on IS NOT NULL AND "+where+" AND ($1::uuid, $2::uuid) IS NOT NULL",
				c.actor.staff, c.a)
		}
		return n
	}
	for range 20 { // others buy meanwhile
		before := sizes()
		r := c.do(http.MethodGet, "/v1/rfm/distribution", nil)
		if letter := judge(r); letter != allowed {
			return letter
		}
		if sizes() != before {
			continue
		}
		total, _ := object(r.Body)["total"].(float64)
		for i, n := range before {
			if n != int(total) {
				continue
			}
			if i >= map[string]int{"own": 0, "store": 1, "other": 2}[c.object] {
				return allowed
			}
			return hidden
		}
		return strange
	}
	return strange
}

var orderProbes = map[string]probe{
	"ingestPOSOrders": func(c *cell) byte { return c.sell(c.storeAt(), nil) },
	"ingestPOSOrders/customer": func(c *cell) byte {
		return c.sell(c.a, map[string]any{"phone": c.buyer().phone})
	},
	"listOrders": func(c *cell) byte {
		b := c.buyer()
		return among(c.do(http.MethodGet, "/v1/orders?external_number="+b.external, nil), b.order)
	},
	"listOrders/count": func(c *cell) byte {
		r := c.do(http.MethodGet, "/v1/orders?include=total_count&external_number="+c.buyer().external, nil)
		if letter := judge(r); letter != allowed {
			return letter
		}
		return counted(r)
	},
	"getOrder": func(c *cell) byte { return judge(c.do(http.MethodGet, "/v1/orders/"+c.buyer().order.String(), nil)) },
	"listReturns": func(c *cell) byte {
		b := c.buyer()
		return among(c.do(http.MethodGet, "/v1/returns?external_number="+b.external, nil), b.goodsBack)
	},
	"listReturns/count": func(c *cell) byte {
		r := c.do(http.MethodGet, "/v1/returns?include=total_count&external_number="+c.buyer().external, nil)
		if letter := judge(r); letter != allowed {
			return letter
		}
		return counted(r)
	},
	"getReturn": func(c *cell) byte {
		return judge(c.do(http.MethodGet, "/v1/returns/"+c.buyer().goodsBack.String(), nil))
	},
	"streamOrderEvents": func(c *cell) byte { return c.opens("/v1/stores/" + c.storeAt().String() + "/order-events") },
}

// sell sends one ticket.
func (c *cell) sell(store uuid.UUID, customer map[string]any) byte {
	ticket := map[string]any{"store_id": store, "external_number": c.word("T"), "placed_at": time.Now().UTC().Format(time.RFC3339),
		"lines": []any{map[string]any{"sku": c.goods().sku, "quantity": 1, "unit_price_amount": 100}}}
	if customer != nil {
		ticket["customer"] = customer
	}
	return inResult(c.do(http.MethodPost, "/v1/pos/orders", map[string]any{"orders": []any{ticket}}))
}

// inResult reads what became of the only item of a batch.
func inResult(r *testkit.Response) byte {
	if letter := judge(r); letter != allowed {
		return letter
	}
	var out struct {
		Results []struct {
			Status string
			Error  struct{ Code string }
		}
	}
	r.JSON(&out)
	switch {
	case len(out.Results) != 1:
		return strange
	case out.Results[0].Status != "error":
		return allowed
	case reach[out.Results[0].Error.Code]:
		return refused
	case out.Results[0].Error.Code == "customers.not_found" || out.Results[0].Error.Code == "customers.duplicate":
		return hidden
	}
	return strange
}

var operationProbes = map[string]probe{
	"listJobs": func(c *cell) byte {
		id := c.someJob() // the newest, so on the first page
		return among(c.do(http.MethodGet, "/v1/jobs?limit=200", nil), id)
	},
	"getJob":          func(c *cell) byte { return judge(c.do(http.MethodGet, "/v1/jobs/"+c.someJob().String(), nil)) },
	"streamJobEvents": func(c *cell) byte { return c.opens("/v1/jobs/" + c.someJob().String() + "/events") },
	"cancelJob": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/jobs/"+c.someJob().String()+"/cancel", nil))
	},
	"listAuditLogs": func(c *cell) byte {
		id := c.auditEntry(c.storeAt())
		return among(c.do(http.MethodGet, "/v1/audit-logs?object_type=test&object_id="+id.String(), nil), id)
	},
	"listAuditLogs/count": func(c *cell) byte {
		r := c.do(http.MethodGet, "/v1/audit-logs?include=total_count&object_id="+c.auditEntry(c.storeAt()).String(), nil)
		if letter := judge(r); letter != allowed {
			return letter
		}
		return counted(r)
	},
	"verifyAuditLogs": plain(http.MethodGet, "/v1/audit-logs/verify", nil),
	"getHealth":       plain(http.MethodGet, "/healthz", nil),
	"getReadiness":    plain(http.MethodGet, "/readyz", nil),
	"getMetrics":      plain(http.MethodGet, "/metrics", nil),
	"getOpenAPIYAML":  plain(http.MethodGet, "/openapi.yaml", nil),
	"getOpenAPIJSON":  plain(http.MethodGet, "/openapi.json", nil),
	"getDocs":         plain(http.MethodGet, "/docs", nil),
	"getErrorDocs": func(c *cell) byte {
		code := "not_found"
		if c.object == "none" {
			code = "no.such_code"
		}
		return judge(c.do(http.MethodGet, "/docs/errors/"+code, nil))
	},
}

func (c *cell) someJob() uuid.UUID {
	switch c.object {
	case "own":
		return c.job(c.actor.principal())
	case "other":
		return c.job(c.stranger.principal())
	}
	return uuid.New()
}

// pictureForm is an upload of a picture.
func (c *cell) pictureForm() (body *bytes.Buffer, contentType string) {
	body = &bytes.Buffer{}
	form := multipart.NewWriter(body)
	file, err := form.CreateFormFile("file", "a.png")
	require.NoError(c.t, err)
	require.NoError(c.t, png.Encode(file, image.NewGray(image.Rect(0, 0, 2, 2))))
	require.NoError(c.t, form.Close())
	return body, form.FormDataContentType()
}

// shownArticle is a product with a picture, and the picture's id and hash.
func (c *cell) shownArticle() (product uuid.UUID, picture, hash string) {
	product = c.freshArticle().product
	if c.object == "none" {
		return product, uuid.NewString(), strings.Repeat("0", 64)
	}
	body, kind := c.pictureForm()
	made := c.Admin().Do(http.MethodPost, "/v1/products/"+product.String()+"/pictures", body, "Content-Type", kind).Want(http.StatusCreated).Map()
	return product, made["id"].(string), made["content_hash"].(string)
}
