package imports_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/testkit"
)

func TestImportOfProducts(t *testing.T) {
	app := testkit.New(t, testkit.WithWorker())
	admin := app.Admin()
	file := "款号,SKU,条码,商品名称,品牌,分类,颜色,尺码,售价,成本价,ISBN,作者,出版社,税率,季节\n" +
		"ST1,ST1-R-S,,连衣裙,舒客,服装 > 女装,红,S,399,120.5,,,,13%,2026夏\n" +
		"ST1,ST1-R-M,,,,,红,M,399,,,,,,\n" +
		"ST1,ST1-B-S,,,,,蓝,S,389.00,,,,,,\n" +
		",,,活着,,图书 > 小说,,,45,,978-7-5063-6543-7,余华;某人,作家出版社,9%,\n" +
		",G-1,6901234567892,毛巾,,百货,,,19.9,,,,,,\n"
	upload(t, admin, []byte(file), "kind", "products", "duplicates", "review").WantProblem(422, "imports.field_invalid")
	tried := ended(t, admin, started(upload(t, admin, []byte(file), "kind", "products", "dry_run", "true", "create_missing", "true")).ID)
	require.Equal(t, counts{Created: 5, Records: 3}, tried.Counts, faults(admin, tried.ID))
	require.Zero(t, ask(t, app, "SELECT (SELECT count(*) FROM products) + (SELECT count(*) FROM categories)"))
	done := ended(t, admin, started(admin.Do("POST", "/v1/imports/"+tried.ID+"/start", nil)).ID)
	require.Equal(t, counts{Created: 5, Records: 3}, done.Counts, faults(admin, done.ID))
	require.Equal(t, int64(1), ask(t, app, `SELECT count(*) FROM products p JOIN categories c ON c.id = p.category_id JOIN categories a ON a.id = c.parent_id
		WHERE p.title = '连衣裙' AND p.kind = 'apparel' AND p.brand = '舒客' AND p.tax_rate = 1300 AND c.name = '女装' AND a.name = '服装' AND jsonb_array_length(p.options) = 2`))
	require.Equal(t, int64(1), ask(t, app, "SELECT count(*) FROM variants WHERE sku = 'ST1-R-S' AND price_amount = 39900 AND cost_amount = 12050 AND option_key IS NOT NULL"))
	require.Equal(t, int64(1), ask(t, app, "SELECT count(*) FROM products p JOIN variants v ON v.product_id = p.id WHERE p.isbn13 = '9787506365437' AND v.sku = '9787506365437' AND v.price_amount = 4500 AND p.book->'authors' ? '余华'"))

	// The same again: left alone, or changed by what it says.
	again := ended(t, admin, started(upload(t, admin, []byte(file), "kind", "products")).ID)
	require.Equal(t, counts{Skipped: 5}, again.Counts, faults(admin, again.ID))
	change := "sku,title,price\nST1-R-S,连衣裙（新）,\nG-1,毛巾,25\nG-2,浴巾,\n"
	changed := ended(t, admin, started(upload(t, admin, []byte(change), "kind", "products", "duplicates", "update")).ID)
	require.Equal(t, counts{Created: 1, Updated: 2, Records: 1}, changed.Counts, faults(admin, changed.ID))
	require.Equal(t, int64(1), ask(t, app, "SELECT count(*) FROM products p JOIN variants v ON v.product_id = p.id WHERE v.sku = 'ST1-R-S' AND p.title = '连衣裙（新）' AND v.price_amount = 39900"))
	require.Equal(t, int64(1), ask(t, app, "SELECT count(*) FROM variants WHERE sku = 'G-1' AND price_amount = 2500"))
	require.Equal(t, int64(1), ask(t, app, "SELECT count(*) FROM products WHERE title = '浴巾' AND status = 'draft'"), "without a price it is not sold")
}

func TestImportOfProductsThatAreWrong(t *testing.T) {
	app := testkit.New(t, testkit.WithWorker())
	admin := app.Admin()
	file := "product,sku,barcode,title,category,kind,price,isbn,option.颜色\n" +
		"P1,P1-1,,甲,,,1O,,红\n" + // a letter in the price
		"P1,P1-2,,,,,10,,蓝\n" +
		",P2,6901234567890,乙,,,10,,\n" + // check digit
		",P3,,丙,无此分类,,10,,\n" +
		",P4,,丁,,book,10,9787506365430,\n" +
		",P5,,,,,10,,\n" + // no title
		",,,戊,,,10,,\n" + // no SKU
		",P6,,己,,toy,10,,\n" +
		"P7,P7-1,,庚,,,10,,红\n" +
		"P7,P7-2,,辛,,,10,,蓝\n" + // another title
		",GOOD,,壬,,,10,,\n" +
		",GOOD,,壬,,,10,,\n"
	want := map[int64]string{2: "imports.amount_invalid ", 3: "imports.product_left ", 4: "catalog.barcode_check_digit ", 5: "catalog.category_unknown ", 6: "catalog.isbn_invalid ",
		7: "catalog.blank ", 8: "catalog.blank ", 9: "imports.word_unknown ", 10: "imports.product_left ", 11: "imports.product_differs "}
	for _, trial := range []string{"true", "false"} {
		done := ended(t, admin, started(upload(t, admin, []byte(file), "kind", "products", "dry_run", trial)).ID)
		require.Equal(t, want, faults(admin, done.ID))
		require.Equal(t, int64(10), done.Counts.Failed)
		if trial == "false" {
			require.Equal(t, counts{Created: 1, Skipped: 1, Failed: 10, Records: 1}, done.Counts)
		}
	}
	require.Equal(t, int64(1), ask(t, app, "SELECT count(*) FROM products"))
}

// A message of more records than a request takes, a broken one at its end.
func TestImportOfONIX(t *testing.T) {
	app := testkit.New(t, testkit.WithWorker())
	admin := app.Admin()
	message := func(from, to int) string {
		var b strings.Builder
		b.WriteString(`<?xml version="1.0" encoding="UTF-8"?><ONIXMessage release="3.0"><Header><Sender><SenderName>S</SenderName></Sender></Header>`)
		for i := from; i < to; i++ {
			isbn := fmt.Sprintf("978%09d", i)
			sum := 0
			for k, c := range isbn {
				sum += int(c-'0') * (1 + 2*(k%2))
			}
			fmt.Fprintf(&b, `<Product><RecordReference>R%d</RecordReference><NotificationType>03</NotificationType><ProductIdentifier><ProductIDType>15</ProductIDType><IDValue>%s%d</IDValue></ProductIdentifier>`+
				`<DescriptiveDetail><ProductForm>BC</ProductForm><TitleDetail><TitleType>01</TitleType><TitleElement><TitleElementLevel>01</TitleElementLevel><TitleText>书 %d</TitleText></TitleElement></TitleDetail></DescriptiveDetail></Product>`,
				i, isbn, (10-sum%10)%10, i)
		}
		return b.String()
	}
	whole := message(0, 620) + `<Product><RecordReference>BAD</RecordReference></Product></ONIXMessage>`
	upload(t, admin, []byte("<html></html>"), "kind", "products").WantProblem(422, "catalog.onix_malformed")
	tried := ended(t, admin, started(upload(t, admin, []byte(whole), "kind", "products", "dry_run", "true")).ID)
	require.Equal(t, counts{Created: 620, Failed: 1, Records: 620}, tried.Counts)
	done := ended(t, admin, started(admin.Do("POST", "/v1/imports/"+tried.ID+"/start", nil)).ID)
	require.Equal(t, counts{Created: 620, Failed: 1, Records: 620}, done.Counts)
	require.Equal(t, map[int64]string{621: "catalog.isbn_invalid "}, faults(admin, done.ID))
	// One that breaks off has been taken over up to there.
	cut := ended(t, admin, started(upload(t, admin, []byte(message(600, 750)+"<Product><Record"), "kind", "products", "duplicates", "update")).ID)
	require.Equal(t, "failed", cut.Status)
	require.Equal(t, "catalog.onix_malformed", *cut.ErrorCode)
	require.Equal(t, counts{Created: 130, Updated: 20, Records: 130}, cut.Counts)
}
