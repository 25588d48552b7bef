package catalog

import "github.com/shuke-crm/shuke/internal/platform/apperr"

// Errors of the catalogue.
var (
	ErrProductNotFound  = apperr.Define(apperr.NotFound, "catalog.product_not_found", "There is no such product.", "商品不存在。")
	ErrVariantNotFound  = apperr.Define(apperr.NotFound, "catalog.variant_not_found", "There is no such variant.", "商品规格不存在。")
	ErrCategoryNotFound = apperr.Define(apperr.NotFound, "catalog.category_not_found", "There is no such category.", "分类不存在。")

	ErrListNotFound = apperr.Define(apperr.NotFound, "catalog.price_list_not_found", "There is no such price list.", "价目表不存在。")

	ErrListCodeTaken = apperr.Define(apperr.Conflict, "catalog.price_list_code_taken", "Another price list has this code.", "已有相同编码的价目表。")
	ErrListInForce   = apperr.Define(apperr.Conflict, "catalog.price_list_in_force", "Only a draft can be deleted: archive the price list.", "仅草稿可以删除，请将价目表归档。")

	ErrListStore      = apperr.Define(apperr.Invalid, "catalog.price_list_store", "There is no such store, or the prices of this store, or of all stores, are not yours to decide.", "门店不存在，或该门店（或全部门店）的价格不在您的权限范围内。")
	ErrListTime       = apperr.Define(apperr.Invalid, "catalog.price_list_time", "The end must be later than the start.", "结束时间须晚于开始时间。")
	ErrListStatus     = apperr.Define(apperr.Invalid, "catalog.price_list_status", "A price list that is {status} cannot become a draft again.", "状态为 {status} 的价目表不能再改回草稿。")
	ErrCurrency       = apperr.Define(apperr.Invalid, "catalog.currency_mismatch", "Prices are in the business's currency: {currency}.", "价格须使用商家的币种：{currency}。")
	ErrVariantUnnamed = apperr.Define(apperr.Invalid, "catalog.variant_unnamed", "Name the variant by exactly one of variant_id and sku.", "请用 variant_id 或 sku 之一指定规格。")
	ErrVariantUnknown = apperr.Define(apperr.Invalid, "catalog.variant_unknown", "There is no such variant.", "没有该商品规格。")
	ErrEntryRepeated  = apperr.Define(apperr.Invalid, "catalog.price_repeated", "A price of this variant from this quantity on stands earlier in the list already.", "前面已有该规格在此起订数量的价格。")

	ErrSKUTaken      = apperr.Define(apperr.Conflict, "catalog.sku_taken", "Another variant has this SKU.", "该 SKU 已被其他规格使用。")
	ErrCategoryTaken = apperr.Define(apperr.Conflict, "catalog.category_name_taken", "Another category has this name.", "已有同名分类。")
	ErrCategoryInUse = apperr.Define(apperr.Conflict, "catalog.category_in_use", "The category still has products, orders or categories below it.", "该分类下仍有商品、订单或子分类。")

	ErrSKURepeated     = apperr.Define(apperr.Invalid, "catalog.sku_repeated", "The same SKU is given twice.", "SKU 重复。")
	ErrCategoryUnknown = apperr.Define(apperr.Invalid, "catalog.category_unknown", "There is no category with this id.", "没有该 ID 对应的分类。")
	ErrCategoryCycle   = apperr.Define(apperr.Invalid, "catalog.category_cycle", "A category cannot lie below itself.", "分类不能位于自身之下。")
	ErrKindMismatch    = apperr.Define(apperr.Invalid, "catalog.kind_mismatch", "This part does not belong to a product of this kind.", "该部分与商品类型不符。")
	ErrISBN            = apperr.Define(apperr.Invalid, "catalog.isbn_invalid", "This is not an ISBN: check its length, prefix and check digit.", "ISBN 无效，请检查长度、前缀和校验位。")
	ErrISBNsDiffer     = apperr.Define(apperr.Invalid, "catalog.isbn_mismatch", "The two ISBNs belong to different books.", "两个 ISBN 不是同一本书。")
	ErrPublishedOn     = apperr.Define(apperr.Invalid, "catalog.published_on_invalid", "This is not a year, month or day of the calendar.", "出版日期不是有效的年、月或日。")
	ErrCLC             = apperr.Define(apperr.Invalid, "catalog.clc_invalid", "A Chinese Library Classification code begins with one of its 22 top classes.", "中图分类号须以 22 个基本大类之一开头。")
	ErrBlank           = apperr.Define(apperr.Invalid, "catalog.blank", "This cannot be blank.", "此项不能为空白。")
)
