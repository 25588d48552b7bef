package imports

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/text/currency"

	"github.com/shuke-crm/shuke/ent/commerce"
	commerceschema "github.com/shuke-crm/shuke/ent/commerce/schema"
	"github.com/shuke-crm/shuke/internal/customers"
)

// exportColumn is a column of an export. Its key is the field of an import that
// takes the column again, where there is one, and the member of a JSON line.
// Values are nil, string, int64, float64, bool, money, moment, calendarDay, or
// what JSON can hold.
type exportColumn[T any] struct {
	key, zh, en string
	value       func(*T) any
}

// calendarDay is a date; moment an instant with the zone people read it in.
type calendarDay string

type moment struct {
	at   time.Time
	zone *time.Location
}

// money is an amount in the minor unit of its currency.
type money struct {
	amount   int64
	decimals int
}

type customerRow struct {
	customers.Customer
	names map[uuid.UUID]string
	zone  *time.Location
}

type orderRow struct {
	*commerce.Order
	names map[uuid.UUID]string
	zone  *time.Location
}

func text(v string) any {
	if v == "" {
		return nil
	}
	return v
}

func named(names map[uuid.UUID]string, id *uuid.UUID) any {
	switch {
	case id == nil:
		return nil
	case names[*id] != "":
		return names[*id]
	}
	return id.String()
}

func (c *customerRow) address() customers.Address {
	if c.Address == nil {
		return customers.Address{}
	}
	return *c.Address
}

// productRow is a variant with its product.
type productRow struct {
	*commerce.Product
	variant    *commerce.Variant // nil: the product has none
	categories map[uuid.UUID]string
	currency   string
	cost       bool
	zone       *time.Location
}

// book is what makes a product a book, empty if it is none.
func (p *productRow) book() commerceschema.Book {
	if p.Book == nil {
		return commerceschema.Book{}
	}
	return *p.Book
}

// of is a value of the row's variant.
func of(f func(*commerce.Variant) any) func(*productRow) any {
	return func(p *productRow) any {
		if p.variant == nil {
			return nil
		}
		return f(p.variant)
	}
}

var productColumns = []exportColumn[productRow]{
	{"product_id", "商品系统编号", "Product id", func(p *productRow) any { return p.ID.String() }},
	{"kind", "商品类型", "Kind", func(p *productRow) any { return string(p.Kind) }},
	{"title", "商品名称", "Title", func(p *productRow) any { return text(p.Title) }},
	{"brand", "品牌", "Brand", func(p *productRow) any { return text(p.Brand) }},
	{"category", "分类", "Category", func(p *productRow) any { return named(p.categories, p.CategoryID) }},
	{"status", "商品状态", "Status", func(p *productRow) any { return string(p.Status) }},
	{"sku", "SKU", "SKU", of(func(v *commerce.Variant) any { return v.Sku })},
	{"barcode", "条码", "Barcode", of(func(v *commerce.Variant) any {
		if v.Barcode == nil {
			return nil
		}
		return *v.Barcode
	})},
	{"price_amount", "售价", "Price", func(p *productRow) any {
		if p.variant == nil {
			return nil
		}
		return money{p.variant.PriceAmount, decimals(p.currency)}
	}},
	{"cost_amount", "成本价", "Cost", func(p *productRow) any {
		if p.variant == nil || p.variant.CostAmount == nil || !p.cost {
			return nil
		}
		return money{*p.variant.CostAmount, decimals(p.currency)}
	}},
	{"options", "选项", "Options", of(func(v *commerce.Variant) any {
		if len(v.Options) == 0 {
			return nil
		}
		return v.Options
	})},
	{"variant_status", "规格状态", "Variant status", of(func(v *commerce.Variant) any { return string(v.Status) })},
	{"isbn13", "ISBN", "ISBN", func(p *productRow) any { return text(p.book().ISBN13) }},
	{"authors", "作者", "Authors", func(p *productRow) any {
		if len(p.book().Authors) == 0 {
			return nil
		}
		return p.book().Authors
	}},
	{"publisher", "出版社", "Publisher", func(p *productRow) any { return text(p.book().Publisher) }},
	{"published_on", "出版日期", "Published", func(p *productRow) any { return text(p.book().PublishedOn) }},
	{"clc_code", "中图分类号", "CLC", func(p *productRow) any { return text(p.book().CLCCode) }},
	{"language", "语种", "Language", func(p *productRow) any { return text(p.book().Language) }},
	{"series", "丛书", "Series", func(p *productRow) any { return text(p.book().Series) }},
	{"season", "季节", "Season", func(p *productRow) any {
		if p.Apparel == nil {
			return nil
		}
		return text(p.Apparel.Season)
	}},
	{"tax_rate", "税率（万分之）", "Tax rate", func(p *productRow) any {
		if p.TaxRate == nil {
			return nil
		}
		return int64(*p.TaxRate)
	}},
	{"variant_id", "规格系统编号", "Variant id", of(func(v *commerce.Variant) any { return v.ID.String() })},
	{"created_at", "创建时间", "Created", func(p *productRow) any { return moment{p.CreatedAt, p.zone} }},
	{"updated_at", "更新时间", "Updated", func(p *productRow) any { return moment{p.UpdatedAt, p.zone} }},
}

var customerColumns = []exportColumn[customerRow]{
	{"id", "系统编号", "System id", func(c *customerRow) any { return c.ID.String() }},
	{"external_id", "外部编号", "External id", func(c *customerRow) any {
		if c.ExternalID == nil {
			return nil
		}
		return *c.ExternalID
	}},
	{"name", "姓名", "Name", func(c *customerRow) any { return text(c.Name) }},
	{"phone", "手机", "Phone", func(c *customerRow) any { return text(c.Phone) }},
	{"email", "邮箱", "Email", func(c *customerRow) any { return text(c.Email) }},
	{"card_number", "会员卡号", "Card number", func(c *customerRow) any { return text(c.Card) }},
	{"gender", "性别", "Gender", func(c *customerRow) any { return text(c.Gender) }},
	{"birth_date", "生日", "Birthday", func(c *customerRow) any {
		if c.BirthDate == nil {
			return nil
		}
		return calendarDay(c.BirthDate.Format(time.DateOnly))
	}},
	{"address.country", "国家", "Country", func(c *customerRow) any { return text(c.address().Country) }},
	{"address.region", "省份", "Province", func(c *customerRow) any { return text(c.address().Region) }},
	{"address.city", "城市", "City", func(c *customerRow) any { return text(c.address().City) }},
	{"address.district", "区县", "District", func(c *customerRow) any { return text(c.address().District) }},
	{"address.line1", "详细地址", "Address", func(c *customerRow) any { return text(c.address().Line1) }},
	{"address.line2", "地址2", "Address 2", func(c *customerRow) any { return text(c.address().Line2) }},
	{"address.postal_code", "邮编", "Postal code", func(c *customerRow) any { return text(c.address().PostalCode) }},
	{"language", "语言", "Language", func(c *customerRow) any { return text(c.Language) }},
	{"source", "来源", "Source", func(c *customerRow) any { return text(c.Source) }},
	{"lifecycle_stage", "生命周期阶段", "Lifecycle stage", func(c *customerRow) any { return text(c.LifecycleStage) }},
	{"home_store", "门店编码", "Store code", func(c *customerRow) any { return named(c.names, c.HomeStoreID) }},
	{"assigned_staff", "专属导购", "Assistant", func(c *customerRow) any { return named(c.names, c.AssignedStaffID) }},
	{"tags", "标签", "Tags", func(c *customerRow) any {
		if len(c.Tags) == 0 {
			return nil
		}
		return c.Tags
	}},
	{"custom_fields", "自定义字段", "Custom fields", func(c *customerRow) any {
		if len(c.CustomFields)+len(c.Custom) == 0 {
			return nil
		}
		all := make(map[string]any, len(c.CustomFields)+len(c.Custom))
		maps.Copy(all, c.CustomFields)
		maps.Copy(all, c.Custom) // personal ones; masked customers have none
		return all
	}},
	{"created_at", "创建时间", "Created", func(c *customerRow) any { return moment{c.CreatedAt, c.zone} }},
	{"updated_at", "更新时间", "Updated", func(c *customerRow) any { return moment{c.UpdatedAt, c.zone} }},
	{"archived_at", "归档时间", "Archived", func(c *customerRow) any {
		if c.ArchivedAt == nil {
			return nil
		}
		return moment{*c.ArchivedAt, c.zone}
	}},
}

var orderColumns = []exportColumn[orderRow]{
	{"id", "系统编号", "Id", func(o *orderRow) any { return o.ID.String() }},
	{"order_number", "订单号", "Order number", func(o *orderRow) any { return o.OrderNumber }},
	{"external_number", "小票号", "Till number", func(o *orderRow) any {
		if o.ExternalNumber == nil {
			return nil
		}
		return *o.ExternalNumber
	}},
	{"store", "门店编码", "Store code", func(o *orderRow) any { return named(o.names, &o.StoreID) }},
	{"channel", "渠道", "Channel", func(o *orderRow) any { return string(o.Channel) }},
	{"status", "状态", "Status", func(o *orderRow) any { return string(o.Status) }},
	{"customer_id", "客户系统编号", "Customer id", func(o *orderRow) any {
		if o.CustomerID == nil {
			return nil
		}
		return o.CustomerID.String()
	}},
	{"staff", "销售人员", "Sold by", func(o *orderRow) any { return named(o.names, o.StaffID) }},
	{"currency", "币种", "Currency", func(o *orderRow) any { return o.Currency }},
	{"line_count", "行数", "Lines", func(o *orderRow) any { return int64(o.LineCount) }},
	{"unit_count", "件数", "Units", func(o *orderRow) any { return o.UnitCount }},
	{"total_amount", "金额", "Total", func(o *orderRow) any { return money{o.TotalAmount, decimals(o.Currency)} }},
	{"returned_amount", "退货金额", "Returned", func(o *orderRow) any { return money{o.ReturnedAmount, decimals(o.Currency)} }},
	{"placed_at", "下单时间", "Placed", func(o *orderRow) any { return moment{o.PlacedAt, o.zone} }},
	{"business_on", "营业日", "Business day", func(o *orderRow) any { return calendarDay(o.BusinessDay.Format(time.DateOnly)) }},
	{"created_at", "录入时间", "Created", func(o *orderRow) any { return moment{o.CreatedAt, o.zone} }},
}

// decimals of a currency's minor unit: 2 for CNY, 0 for JPY.
func decimals(code string) int {
	unit, err := currency.ParseISO(code)
	if err != nil {
		return 2
	}
	scale, _ := currency.Standard.Rounding(unit)
	return scale
}

// customColumns are the custom fields as columns. A heading is the field's label
// if it names no other column, so that an import knows it again.
func customColumns(defined []customers.FileField) []exportColumn[customerRow] {
	claimed := customFields(defined).headers()
	heading := func(f customers.FileField, label string) string {
		if h := fold(label); h == "" || layoutOf[kindCustomers].headers[h] != "" || len(claimed[h]) > 1 {
			return customPrefix + f.Key
		}
		return label
	}
	out := make([]exportColumn[customerRow], len(defined))
	for i, f := range defined {
		out[i] = exportColumn[customerRow]{customPrefix + f.Key, heading(f, f.Labels.ZH), heading(f, f.Labels.EN), func(c *customerRow) any {
			v := c.Value(f.Key)
			if day, ok := v.(string); ok && f.Kind == customers.FieldDate {
				return calendarDay(day)
			}
			return v
		}}
	}
	return out
}

// allCustomerColumns are those there are, and those of a file for which nobody
// has chosen: custom fields are members of one object for programs, columns for
// people.
func allCustomerColumns(defined []customers.FileField, format string) (known, usual []exportColumn[customerRow]) {
	custom := customColumns(defined)
	known = append(slices.Clone(customerColumns), custom...)
	if format == "jsonl" {
		return known, customerColumns
	}
	for _, c := range customerColumns {
		if c.key == "custom_fields" {
			usual = append(usual, custom...)
		} else {
			usual = append(usual, c)
		}
	}
	return known, usual
}

// chosen are the columns asked for, in the order asked for; the usual ones
// for none. One that is gone since it was asked for is left out.
func chosen[T any](all, usual []exportColumn[T], keys []string) []exportColumn[T] {
	if len(keys) == 0 {
		return usual
	}
	out := make([]exportColumn[T], 0, len(keys))
	for _, key := range keys {
		for _, c := range all {
			if c.key == key {
				out = append(out, c)
			}
		}
	}
	return out
}

func keysOf[T any](all []exportColumn[T]) []string {
	out := make([]string, len(all))
	for i, c := range all {
		out[i] = c.key
	}
	return out
}

// heading is a column's name for programs and for people.
type heading struct{ key, shown string }

func headings[T any](columns []exportColumn[T], language string) []heading {
	out := make([]heading, len(columns))
	for i, c := range columns {
		out[i] = heading{c.key, c.en}
		if language == "zh" {
			out[i].shown = c.zh
		}
	}
	return out
}

func title(kind, language string) string {
	switch {
	case kind == kindProducts && language == "zh":
		return "商品"
	case kind == kindProducts:
		return "Products"
	case kind == kindOrders && language == "zh":
		return "订单"
	case kind == kindOrders:
		return "Orders"
	case language == "zh":
		return "客户"
	}
	return "Customers"
}

// checkFields holds the columns asked for against those of the kind. Error:
// ErrExportField.
func checkFields(kind string, fields []string, defined []customers.FileField) error {
	all, _ := allCustomerColumns(defined, "")
	known := keysOf(all)
	switch kind {
	case kindOrders:
		known = keysOf(orderColumns)
	case kindProducts:
		known = keysOf(productColumns)
	}
	for i, f := range fields {
		if !slices.Contains(known, f) || slices.Contains(fields[:i], f) {
			e := ErrExportField.New().Arg("known", strings.Join(known, ", "))
			return e.Field("/fields/"+itoa(i), ErrExportField, map[string]any{"known": strings.Join(known, ", ")})
		}
	}
	return nil
}
