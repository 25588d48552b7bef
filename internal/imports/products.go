package imports

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/shuke-crm/shuke/ent/commerce/schema"
	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/ent/crm/importrun"
	"github.com/shuke-crm/shuke/internal/catalog"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

// Products come as a row a variant. Rows that follow each other with the same
// product key are one product; a row without a key is one of its own. An ONIX
// message has a product a record.

const productBatch = 100

// optionPrefix begins the name of a field that is what variants differ by.
const optionPrefix = "option."

var productSynonyms = map[string][]string{
	"product":      {"款号", "商品款号", "产品编号", "商品系统编号", "productid", "productcode", "style", "stylecode", "spu", "handle"},
	"sku":          {"货号", "商品编码", "规格编码", "sku编码", "skucode", "itemcode", "itemno"},
	"barcode":      {"条码", "商品条码", "条形码", "国际条码", "ean", "gtin", "upc"},
	"title":        {"商品名称", "品名", "名称", "书名", "标题", "name", "productname"},
	"description":  {"描述", "商品描述", "简介", "内容简介"},
	"brand":        {"品牌"},
	"category":     {"分类", "类目", "品类", "商品分类", "categorypath"},
	"kind":         {"商品类型", "类型"},
	"status":       {"商品状态", "状态"},
	"tax_rate":     {"税率"},
	"price_amount": {"售价", "定价", "零售价", "吊牌价", "单价", "价格", "price"},
	"cost_amount":  {"成本价", "成本", "进价", "cost"},
	"options":      {"选项", "规格"},
	"option.颜色":    {"颜色", "色号", "colour", "color"},
	"option.尺码":    {"尺码", "尺寸", "size"},
	"isbn13":       {"isbn", "isbn13", "书号"},
	"authors":      {"作者", "著者", "author"},
	"publisher":    {"出版社"},
	"published_on": {"出版日期", "出版时间", "published", "publicationdate"},
	"format":       {"装帧", "开本", "binding"},
	"clc_code":     {"中图分类号", "中图法分类号", "clc"},
	"language":     {"语种", "语言"},
	"series":       {"丛书", "丛书名"},
	"volume":       {"卷", "卷次", "册次"},
	"audience":     {"读者对象"},
	"subjects":     {"主题", "主题词", "关键词"},
	"season":       {"季节"},
	"fabric":       {"面料", "材质", "成分"},
	"size_system":  {"尺码体系", "尺码组", "sizesystem"},
}

// products is the import of products.
type products struct {
	w       *work
	mapping Mapping
	at      map[string]int
	want    int
	sheet   bool
	onix    bool
	digits  int
	create  bool // categories that there are not
	update  bool
	seen    *bounded // of a trial
	ahead   *row
}

// productsWork is a batch of products.
type productsWork struct {
	items  []catalog.BulkItem
	paths  [][]string // category of each item
	groups []group
	out    []catalog.BulkOutcome
	twins  []bool // of a trial: a batch before has made the product
}

func (s *Service) newProducts(w *work) (*products, error) {
	k := &products{w: w, at: map[string]int{}, want: w.run.Reading.Columns, sheet: w.run.Format == formatXLSX, onix: w.run.Format == formatONIX,
		digits: decimals(s.Orders.Currency()), create: optionsOf(w.run.ImportRun).CreateMissing, update: w.run.Duplicates == importrun.DuplicatesUpdate}
	if w.run.DryRun {
		k.seen = newBounded()
	}
	w.abreast = 1 // products share brands and categories
	err := json.Unmarshal(w.run.Mapping, &k.mapping)
	for column, field := range k.mapping {
		k.at[field] = column
	}
	return k, err
}

func (k *products) read(source rows, after int64) (pending, error) {
	batch := &productsWork{}
	p := pending{last: after, work: batch}
	now, start := "", 0
	end := func() {
		if start < len(p.rows) {
			k.group(&p, batch, start)
			start, p.last = len(p.rows), p.rows[len(p.rows)-1].Number
		}
	}
	for {
		var r row
		var err error
		if k.ahead != nil {
			r, k.ahead = *k.ahead, nil
		} else if r, err = source.next(); err != nil {
			if errors.Is(err, io.EOF) {
				end()
			} else {
				p.rows = p.rows[:start]
			}
			return p, err
		} else {
			r.cells = slices.Clone(r.cells)
		}
		if r.number <= after || r.empty() {
			continue
		}
		key := ""
		if !k.onix && r.faults[wholeRow] == nil {
			key = k.cell(r.cells, "product")
		}
		if start < len(p.rows) && (key == "" || key != now || len(p.rows)-start > maxVariantRows) {
			end()
			if len(batch.groups) >= productBatch {
				k.ahead = &r
				return p, nil
			}
		}
		now = key
		b := badRow{Number: r.number, Cells: r.cells}
		if k.onix {
			batch.add(r.record.BulkItem, nil, group{from: len(p.rows), to: len(p.rows) + 1, lines: []int{len(p.rows)}})
			p.rows = append(p.rows, b)
			if start, p.last = len(p.rows), r.number; len(batch.groups) >= productBatch {
				return p, nil
			}
			continue
		}
		b.Faults = rowFaults(&r, k.mapping, k.want)
		p.rows = append(p.rows, b)
	}
}

// maxVariantRows is how many variants a product can have.
const maxVariantRows = 250

func (b *productsWork) add(item catalog.BulkItem, path []string, g group) {
	g.ticket = len(b.items)
	b.items, b.paths, b.groups = append(b.items, item), append(b.paths, path), append(b.groups, g)
}

func (k *products) cell(cells []string, field string) string {
	if n := k.at[field]; n > 0 && n <= len(cells) {
		return clean(cells[n-1])
	}
	return ""
}

// group makes a product of the rows from a place on.
func (k *products) group(p *pending, batch *productsWork, start int) {
	g := group{from: start, to: len(p.rows), ticket: -1}
	rows := p.rows[start:]
	good := func() bool { return !slices.ContainsFunc(rows, func(r badRow) bool { return len(r.Faults) > 0 }) }
	if good() {
		item, path := k.product(rows)
		if good() {
			for i := range rows {
				g.lines = append(g.lines, start+i)
			}
			batch.add(item, path, g)
			return
		}
	}
	leave(rows, ErrProductLeft)
	batch.groups = append(batch.groups, g)
}

// product reads the rows of a product. What it has once, the first row says.
func (k *products) product(rows []badRow) (item catalog.BulkItem, path []string) {
	first := rows[0].Cells
	get := func(field string) string { return k.cell(first, field) }
	list := func(field string) []string {
		return strings.FieldsFunc(get(field), func(r rune) bool { return strings.ContainsRune(";；|、", r) })
	}
	bad := func(i int, field string, d *apperr.Definition, args map[string]any) {
		rows[i].Faults = append(rows[i].Faults, cellFault{Column: k.at[field], Field: field, Code: d.Code, Args: args})
	}
	for i := range rows[1:] {
		for field := range k.at {
			if v := k.cell(rows[1+i].Cells, field); v != "" && v != get(field) && !variantWide(field) {
				bad(1+i, field, ErrProductDiffers, nil)
			}
		}
	}
	in := &item.ProductInput
	in.Title, in.Description, in.Brand, in.Source = get("title"), get("description"), get("brand"), "import"
	in.Kind, in.Status = word(kindWords, get("kind")), word(statusWords, get("status"))
	book := schema.Book{ISBN13: get("isbn13"), Authors: list("authors"), Publisher: get("publisher"), PublishedOn: get("published_on"), Format: get("format"), CLCCode: get("clc_code"),
		Language: get("language"), Series: get("series"), Volume: get("volume"), Audience: get("audience"), Subjects: list("subjects")}
	apparel := schema.Apparel{Season: get("season"), Fabric: get("fabric"), SizeSystem: get("size_system")}
	if in.Kind == "" {
		switch {
		case book.ISBN13 != "":
			in.Kind = "book"
		case apparel.Season+apparel.Fabric+apparel.SizeSystem != "":
			in.Kind = "apparel"
		}
	}
	switch in.Kind {
	case "", "general":
	case "book":
		if book.ISBN13 != "" {
			isbn, ok := catalog.ParseISBN(book.ISBN13)
			if !ok {
				bad(0, "isbn13", catalog.ErrISBN, nil)
			}
			book.ISBN13, book.ISBN10 = isbn.Thirteen, isbn.Ten
		}
		if book.PublishedOn != "" {
			if d, err := date(book.PublishedOn, k.sheet); err == nil {
				book.PublishedOn = d.Format("2006-01-02")
			}
		}
		in.Book = &book
	case "apparel":
		in.Apparel = &apparel
	default:
		bad(0, "kind", ErrWord, map[string]any{"allowed": "general, book, apparel"})
	}
	if in.Status != "" && !slices.Contains([]string{"draft", "active", "archived"}, in.Status) {
		bad(0, "status", ErrWord, map[string]any{"allowed": "draft, active, archived"})
	}
	if v := get("tax_rate"); v != "" {
		rate, ok := taxRate(v)
		if in.TaxRate = &rate; !ok {
			bad(0, "tax_rate", ErrTaxRate, nil)
		}
	}
	for _, name := range strings.FieldsFunc(get("category"), func(r rune) bool { return r == '>' || r == '＞' || r == '›' }) {
		if name = strings.TrimSpace(name); name != "" {
			path = append(path, name)
		}
	}
	priced := 0
	for i := range rows {
		v := catalog.VariantInput{SKU: k.cell(rows[i].Cells, "sku")}
		if v.SKU == "" && in.Book != nil && len(rows) == 1 {
			v.SKU = in.Book.ISBN13
		}
		if v.SKU == "" {
			bad(i, "sku", catalog.ErrBlank, nil)
		}
		if code := k.cell(rows[i].Cells, "barcode"); code != "" {
			v.Barcode = &code
		} else if in.Book != nil && in.Book.ISBN13 != "" && len(rows) == 1 {
			v.Barcode = &in.Book.ISBN13
		}
		ok := true
		if text := k.cell(rows[i].Cells, "price_amount"); text != "" {
			priced++
			if v.PriceAmount, ok = amountOf(text, k.digits, k.sheet); !ok || v.PriceAmount < 0 || v.PriceAmount > maxUnitPrice {
				bad(i, "price_amount", ErrAmount, nil)
			}
		}
		if text := k.cell(rows[i].Cells, "cost_amount"); text != "" {
			cost, ok := amountOf(text, k.digits, k.sheet)
			if v.CostAmount = &cost; !ok || cost < 0 || cost > maxUnitPrice {
				bad(i, "cost_amount", ErrAmount, nil)
			}
		}
		v.Options = k.options(rows[i].Cells, func(field string) { bad(i, field, ErrOptions, nil) })
		in.Variants = append(in.Variants, v)
	}
	item.NoPrice = priced == 0
	for i := range rows {
		if priced > 0 && k.cell(rows[i].Cells, "price_amount") == "" {
			bad(i, "price_amount", ErrPriceOfSome, nil)
		}
	}
	item.NewOptions = matrixOf(in.Variants)
	return item, path
}

// options are what a variant differs by: columns of their own, and one with all of
// them as a JSON object.
func (k *products) options(cells []string, bad func(field string)) map[string]string {
	out := map[string]string{}
	if text := k.cell(cells, "options"); text != "" && json.Unmarshal([]byte(text), &out) != nil {
		bad("options")
	}
	for field := range k.at {
		if name, ok := strings.CutPrefix(field, optionPrefix); ok {
			if v := k.cell(cells, field); v != "" {
				out[name] = v
			}
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// matrixOf are the options of a new product, if all of its variants have the same
// ones.
func matrixOf(variants []catalog.VariantInput) []catalog.OptionInput {
	if len(variants) == 0 {
		return nil
	}
	names := slices.Sorted(maps.Keys(variants[0].Options))
	var out []catalog.OptionInput
	for _, name := range names {
		var values []catalog.ValueInput
		for _, v := range variants {
			value, ok := v.Options[name]
			if !ok || len(v.Options) != len(names) {
				return nil
			}
			if !slices.ContainsFunc(values, func(o catalog.ValueInput) bool { return o.Value == value }) {
				values = append(values, catalog.ValueInput{Value: value})
			}
		}
		out = append(out, catalog.OptionInput{Name: name, Values: values})
	}
	return out
}

// variantWide tells fields that each variant has for itself.
func variantWide(field string) bool {
	switch field {
	case "sku", "barcode", "price_amount", "cost_amount", "options":
		return true
	}
	return strings.HasPrefix(field, optionPrefix)
}

func (k *products) keys(*pending) []string { return nil }

func (k *products) take(ctx context.Context, tx *db.Tx, p *pending) (err error) {
	batch := p.work.(*productsWork)
	trial := k.w.run.DryRun
	items := make([]catalog.BulkItem, len(batch.items))
	batch.twins = make([]bool, len(items))
	for i := range items {
		items[i] = batch.items[i].Clone()
		if path := batch.paths[i]; len(path) > 0 && items[i].Err == nil {
			id, err := k.w.s.Catalog.CategoryAt(ctx, path, k.create && !trial)
			switch {
			case err == nil:
				items[i].CategoryID = id
			case !catalog.ErrCategoryUnknown.Is(err):
				return err
			case !k.create:
				items[i].Err = err
			}
		}
	}
	if trial {
		for i := range items {
			batch.twins[i] = items[i].Err == nil && len(items[i].Variants) > 0 && k.seen.add(items[i].Variants[0].SKU)
		}
	}
	batch.out, err = k.w.s.Catalog.TakeOver(ctx, items, k.update, trial)
	return err
}

func (k *products) settle(_ context.Context, _ *db.Tx, _ *crm.ImportRun, p *pending) (t tally, err error) {
	batch := p.work.(*productsWork)
	for _, g := range batch.groups {
		rows := p.rows[g.from:g.to]
		n := int64(len(rows))
		if g.ticket < 0 {
			t.bad = append(t.bad, rows...)
			continue
		}
		o := batch.out[g.ticket]
		switch {
		case o.Err == nil && (o.Status == "updated" || batch.twins[g.ticket] && k.update):
			t.updated += n
		case o.Err == nil && batch.twins[g.ticket], catalog.ErrProductKnown.Is(o.Err):
			t.skipped += n
		case o.Err == nil:
			t.created += n
			t.records++
		default:
			e := apperr.From(o.Err)
			if e == nil {
				return t, o.Err
			}
			rows = slices.Clone(rows)
			k.blame(rows, e)
			leave(rows, ErrProductLeft)
			t.bad = append(t.bad, rows...)
		}
	}
	return t, nil
}

// blame finds the cells that a product's error is about.
func (k *products) blame(rows []badRow, err *apperr.Error) {
	faults := err.Fields
	if len(faults) == 0 {
		faults = []apperr.Field{{Code: err.Def.Code}}
	}
	for _, f := range faults {
		r, field := &rows[0], strings.TrimPrefix(f.Pointer, "/")
		if rest, ok := strings.CutPrefix(field, "variants/"); ok {
			number, of, _ := strings.Cut(rest, "/")
			if n, err := strconv.Atoi(number); err == nil && n < len(rows) {
				r, field = &rows[n], of
			}
		}
		if !k.onix {
			field = strings.TrimPrefix(strings.TrimPrefix(field, "book/"), "apparel/")
			if field == "category_id" {
				field = "category"
			}
		}
		args := f.Args
		if args == nil {
			args = err.Args
		}
		r.Faults = append(slices.Clone(r.Faults), cellFault{Column: k.at[field], Field: strings.ReplaceAll(field, "/", "."), Code: f.Code, Args: args})
	}
}

func (k *products) finish(context.Context) error { return nil }

// taxRate reads 13 %, 0.13 or 1300 (in hundredths of a percent).
func taxRate(v string) (int32, bool) {
	number, percent := strings.CutSuffix(strings.TrimSpace(v), "%")
	f, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	switch {
	case err != nil || f < 0:
		return 0, false
	case percent:
		f *= 100
	case f < 1:
		f *= 10_000
	}
	rate := int32(min(f, 20_000) + 0.5)
	return rate, rate <= 10_000
}

var (
	kindWords = map[string]string{"图书": "book", "书籍": "book", "服装": "apparel", "服饰": "apparel", "普通": "general", "一般": "general", "其他": "general"}

	statusWords = map[string]string{"在售": "active", "上架": "active", "下架": "archived", "停售": "archived", "归档": "archived", "草稿": "draft"}
)

func word(of map[string]string, v string) string {
	if w, ok := of[fold(v)]; ok {
		return w
	}
	return strings.ToLower(v)
}

// onixRows reads an ONIX message; a record is a row of one cell, its reference.
type onixRows struct {
	in   *catalog.ONIXReader
	last int64
}

func (o *onixRows) next() (row, error) {
	record, err := o.in.Next()
	if err != nil {
		return row{}, err
	}
	o.last++
	reference := record.Reference
	if reference == "" {
		reference = "#" + itoa(int(o.last))
	}
	return row{number: o.last, cells: []string{reference}, record: record}, nil
}
