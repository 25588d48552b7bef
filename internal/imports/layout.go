package imports

import (
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/auth"
)

// layout is what columns of a kind of file can be.
type layout struct {
	synonyms map[string][]string // how headers name each field, in their folded form
	headers  map[string]string   // synonyms turned round
	custom   customFields
	required []string                                   // fields without which a file says nothing
	looks    bool                                       // values tell fields, too: of people
	refine   func(field string, values []string) string // nil: headers are right
	shown    func(field string) bool                    // whose samples give nobody away
}

var layoutOf = map[string]layout{
	kindCustomers: {synonyms: synonyms, headers: turned(synonyms), looks: true, shown: func(string) bool { return false }},
	kindOrders: {
		synonyms: orderSynonyms, headers: turned(orderSynonyms), required: []string{"external_number", "store", "placed_at", "sku", "quantity"},
		refine: func(field string, values []string) string {
			if field == "customer_id" && slices.ContainsFunc(values, func(v string) bool { return uuid.Validate(v) != nil }) {
				return "customer_external_id"
			}
			return field
		},
		shown: func(field string) bool { return !strings.HasPrefix(field, "customer_") },
	},
	kindProducts: {synonyms: productSynonyms, headers: turned(productSynonyms), required: []string{"title"}, shown: func(string) bool { return true }},
}

// turned is a map of synonyms turned round.
func turned(synonyms map[string][]string) map[string]string {
	out := map[string]string{}
	for field, names := range synonyms {
		for _, n := range append(slices.Clone(names), field, strings.TrimPrefix(field, "address.")) {
			out[fold(n)] = field
		}
	}
	return out
}

func (l *layout) known(name string) bool {
	if option, ok := strings.CutPrefix(name, optionPrefix); ok && l.synonyms["option.颜色"] != nil {
		return strings.TrimSpace(option) != ""
	}
	return l.synonyms[name] != nil || l.custom.known(name)
}

// complete holds a mapping against the fields that a kind must have.
// Error: ErrMappingLacks.
func (l *layout) complete(m Mapping) error {
	for _, field := range l.required {
		found := false
		for _, mapped := range m {
			found = found || mapped == field
		}
		if !found {
			return ErrMappingLacks.At("/mapping").Arg("field", field)
		}
	}
	return nil
}

// options are what an upload asks for beside its rows.
type options struct {
	MoveStock     bool `json:"move_stock,omitempty"`
	CreateMissing bool `json:"create_missing,omitempty"`
}

// unfit names the part of an upload that does not suit its kind; empty for none.
func (u *Upload) unfit() string {
	switch {
	case u.Kind != kindOrders && u.Options.MoveStock:
		return "move_stock"
	case u.Kind == kindCustomers && u.Options.CreateMissing:
		return "create_missing"
	case !policyOf(u.Kind, u.Duplicates):
		return "duplicates"
	}
	return ""
}

// policyOf tells whether a policy for what there is already suits a kind.
func policyOf(kind, duplicates string) bool {
	switch kind {
	case kindOrders:
		return duplicates == skipDuplicates
	case kindProducts:
		return duplicates != reviewDuplicates
	}
	return true
}

// needed is the permission by whose reach an import of a kind works.
func needed(kind string) auth.Permission {
	switch kind {
	case kindOrders:
		return auth.OrdersIngest
	case kindProducts:
		return auth.CatalogManage
	}
	return auth.CustomersCreate
}

var orderSynonyms = map[string][]string{
	"external_number": {"订单号", "订单编号", "小票号", "小票编号", "单号", "单据号", "外部单号", "流水号", "交易号", "销售单号", "orderno", "ordernumber", "orderid", "order",
		"receipt", "receiptno", "receiptnumber", "ticketno", "ticketnumber", "tillnumber", "transactionid"},
	"store":                    {"门店", "门店编码", "门店编号", "店铺", "店铺编码", "店号", "storecode", "storeid", "shop"},
	"placed_at":                {"下单时间", "销售时间", "交易时间", "成交时间", "日期", "时间", "下单日期", "订单日期", "销售日期", "交易日期", "付款时间", "date", "datetime", "time", "orderdate", "placed", "saledate", "soldat"},
	"channel":                  {"渠道", "销售渠道", "来源渠道"},
	"type":                     {"类型", "单据类型", "交易类型"},
	"original_external_number": {"原单号", "原小票号", "原订单号", "关联单号", "originalnumber", "originalorder", "originalreceipt"},
	"currency":                 {"币种", "货币"},
	"staff":                    {"销售人员", "导购", "店员", "收银员", "营业员", "assistant", "salesperson", "cashier", "soldby"},
	"customer_id":              {"客户系统编号"},
	"customer_external_id":     {"客户编号", "顾客编号", "会员编号", "会员id", "客户id", "customerno", "customernumber", "memberid", "customer"},
	"customer_phone":           {"手机", "手机号", "手机号码", "会员手机", "电话", "联系电话", "mobile", "phone", "phonenumber", "tel"},
	"customer_card":            {"卡号", "会员卡", "会员卡号", "会员号", "cardno", "cardnumber", "membershipnumber", "membercard"},
	"sku":                      {"货号", "商品编码", "商品编号", "商品代码", "规格编码", "sku编码", "skucode", "itemcode", "itemno", "productcode"},
	"title":                    {"商品名称", "品名", "商品", "名称", "product", "productname", "item", "itemname"},
	"category":                 {"分类", "品类", "类别", "商品分类"},
	"quantity":                 {"数量", "件数", "销售数量", "qty", "units", "pieces"},
	"unit_price_amount":        {"单价", "售价", "价格", "成交价", "price", "unitprice"},
	"discount_amount":          {"折扣", "折扣金额", "优惠", "优惠金额", "行折扣", "discount"},
	"line_amount":              {"金额", "行金额", "小计", "成交金额", "实收金额", "amount", "linetotal", "subtotal"},
	"total_amount":             {"订单金额", "订单总额", "总金额", "总额", "合计", "应付金额", "total", "ordertotal", "grandtotal"},
	"payment_method":           {"支付方式", "付款方式", "收款方式", "payment", "paidby"},
	"coupon_codes":             {"优惠券", "优惠券码", "券码", "coupon", "couponcode", "coupons"},
}
