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

	ErrBarcodeNotFound = apperr.Define(apperr.NotFound, "catalog.barcode_not_found", "The variant has no such barcode.", "该规格没有此条码。")

	ErrBrandNotFound      = apperr.Define(apperr.NotFound, "catalog.brand_not_found", "There is no such brand.", "品牌不存在。")
	ErrSizeSystemNotFound = apperr.Define(apperr.NotFound, "catalog.size_system_not_found", "There is no such size system.", "尺码体系不存在。")

	ErrBrandTaken    = apperr.Define(apperr.Conflict, "catalog.brand_name_taken", "Another brand has this name.", "已有同名品牌。")
	ErrBrandInUse    = apperr.Define(apperr.Conflict, "catalog.brand_in_use", "The brand still has products.", "该品牌下仍有商品。")
	ErrSizeCodeTaken = apperr.Define(apperr.Conflict, "catalog.size_system_code_taken", "Another size system has this code.", "已有相同编码的尺码体系。")

	ErrBrandUnknown = apperr.Define(apperr.Invalid, "catalog.brand_unknown", "There is no brand with this id.", "没有该 ID 对应的品牌。")
	ErrBrandTwice   = apperr.Define(apperr.Invalid, "catalog.brand_named_twice", "Name the brand by one of brand and brand_id.", "请用 brand 或 brand_id 之一指定品牌。")
	ErrSizeRepeated = apperr.Define(apperr.Invalid, "catalog.size_repeated", "This size is given twice.", "尺码重复。")
	ErrSizeChart    = apperr.Define(apperr.Invalid, "catalog.size_chart_row", "The row needs a value for each column.", "尺码表每行的数值须与列数一致。")
	ErrSearchShort  = apperr.Define(apperr.Invalid, "catalog.search_too_short", "Search for a Chinese character, or for two letters or digits that stand together.", "请输入一个汉字，或至少两个连续的字母或数字。")

	ErrProductKnown = apperr.Define(apperr.Conflict, "catalog.product_known", "There is a product with this SKU or ISBN already.", "已有此 SKU 或 ISBN 的商品。")

	ErrBulkUnnamed = apperr.Define(apperr.Invalid, "catalog.bulk_unnamed", "The product needs a variant with a SKU, or an ISBN, to be known by.", "商品须有 SKU 或 ISBN 以便识别。")
	ErrONIX        = apperr.Define(apperr.Invalid, "catalog.onix_malformed", "This is no ONIX message that can be read; see line {line}. Document types and entities are not allowed.", "无法读取该 ONIX 文件（第 {line} 行），不允许使用文档类型和实体。")
	ErrONIXRelease = apperr.Define(apperr.Invalid, "catalog.onix_release", "Only ONIX 3 is read.", "仅支持 ONIX 3。")
	ErrONIXLarge   = apperr.Define(apperr.Invalid, "catalog.onix_too_many", "A message has {max} products at most: cut it up.", "一个文件最多包含 {max} 种商品，请拆分后上传。")
	ErrONIXDelete  = apperr.Define(apperr.Invalid, "catalog.onix_delete", "Deletions are not taken over: archive the product.", "不支持删除通知，请将商品归档。")
	ErrONIXFile    = apperr.Define(apperr.Invalid, "catalog.onix_file", "Send the message as the part named file, once, and dry_run as true or false.", "请以名为 file 的部分上传一个文件，dry_run 须为 true 或 false。")

	ErrOptionInUse      = apperr.Define(apperr.Conflict, "catalog.option_value_in_use", "The variant {sku} has the value {value}, which is missing: rename it, or change the variant first.", "规格 {sku} 仍使用选项值 {value}，请改名或先修改该规格。")
	ErrCombinationTaken = apperr.Define(apperr.Conflict, "catalog.combination_taken", "Another variant of this product has this combination of options.", "该商品已有相同选项组合的规格。")
	ErrTooManyVariants  = apperr.Define(apperr.Conflict, "catalog.too_many_variants", "A product has {max} variants at most.", "一个商品最多有 {max} 个规格。")
	ErrTooManyBarcodes  = apperr.Define(apperr.Conflict, "catalog.too_many_barcodes", "A variant has {max} further barcodes at most.", "一个规格最多有 {max} 个附加条码。")
	ErrBarcodeTaken     = apperr.Define(apperr.Conflict, "catalog.barcode_taken", "The variant has this barcode already, or another one has this item number of weighed goods.", "该规格已有此条码，或此称重商品代码已被其他规格使用。")
	ErrNoOptions        = apperr.Define(apperr.Conflict, "catalog.no_options", "The product has no options to make variants of.", "该商品尚未设置选项，无法生成规格。")

	ErrOptionRepeated = apperr.Define(apperr.Invalid, "catalog.option_repeated", "This name or value is given twice.", "选项名称或选项值重复。")
	ErrOptionWas      = apperr.Define(apperr.Invalid, "catalog.option_was", "The product has no option or value of this former name, or it is named twice.", "原选项名称或选项值不存在或重复。")
	ErrOptionMissing  = apperr.Define(apperr.Invalid, "catalog.option_missing", "The variant needs a value of the option {option}, and the product an option of this name.", "缺少选项 {option} 或其取值。")
	ErrOptionValue    = apperr.Define(apperr.Invalid, "catalog.option_value", "The option {option} has no such value.", "选项 {option} 没有该取值。")
	ErrSKULong        = apperr.Define(apperr.Invalid, "catalog.sku_too_long", "With the options behind it the SKU would be longer than 64 characters: give values shorter codes.", "加上选项后 SKU 超过 64 个字符，请为选项值设置较短的代码。")
	ErrCheckDigit     = apperr.Define(apperr.Invalid, "catalog.barcode_check_digit", "The check digit is wrong. A number of your own of this length is added as a barcode of kind internal.", "条码校验位错误。此长度的店内码请以 internal 类型添加。")
	ErrBarcodeKind    = apperr.Define(apperr.Invalid, "catalog.barcode_not_weighed", "No layout of weighed goods has codes like this: the prefix and the digits of the item are expected.", "没有匹配的称重码格式，应为前缀加商品代码。")
	ErrLayout         = apperr.Define(apperr.Invalid, "catalog.weighed_layout", "A layout has a prefix from 20 to 29 of its own, 4 to 6 digits of the item, and up to 3 decimals.", "称重码格式须有不重复的 20 至 29 前缀、4 至 6 位商品代码和至多 3 位小数。")

	ErrSKURepeated     = apperr.Define(apperr.Invalid, "catalog.sku_repeated", "The same SKU is given twice.", "SKU 重复。")
	ErrCategoryUnknown = apperr.Define(apperr.Invalid, "catalog.category_unknown", "There is no category with this id.", "没有该 ID 对应的分类。")
	ErrCategoryCycle   = apperr.Define(apperr.Invalid, "catalog.category_cycle", "A category cannot lie below itself.", "分类不能位于自身之下。")
	ErrKindMismatch    = apperr.Define(apperr.Invalid, "catalog.kind_mismatch", "This part does not belong to a product of this kind.", "该部分与商品类型不符。")
	ErrISBN            = apperr.Define(apperr.Invalid, "catalog.isbn_invalid", "This is not an ISBN: check its length, prefix and check digit.", "ISBN 无效，请检查长度、前缀和校验位。")
	ErrISBNsDiffer     = apperr.Define(apperr.Invalid, "catalog.isbn_mismatch", "The two ISBNs belong to different books.", "两个 ISBN 不是同一本书。")
	ErrPublishedOn     = apperr.Define(apperr.Invalid, "catalog.published_on_invalid", "This is not a year, month or day of the calendar.", "出版日期不是有效的年、月或日。")
	ErrCLC             = apperr.Define(apperr.Invalid, "catalog.clc_invalid", "A Chinese Library Classification code begins with one of its 22 top classes.", "中图分类号须以 22 个基本大类之一开头。")
	ErrBlank           = apperr.Define(apperr.Invalid, "catalog.blank", "This cannot be blank.", "此项不能为空白。")

	ErrPictureNotFound = apperr.Define(apperr.NotFound, "catalog.picture_not_found", "There is no such picture.", "找不到该图片。")
	ErrPicturePart     = apperr.Define(apperr.Invalid, "catalog.picture_part", "An upload has one part named file, and alt_zh, alt_en and variant_id besides.", "上传须有且仅有一个 file 部分，另可包含 alt_zh、alt_en 和 variant_id。")
	ErrPictureVariant  = apperr.Define(apperr.Invalid, "catalog.picture_variant", "There is no such variant of this product.", "该商品没有此规格。")
	ErrPictureOrder    = apperr.Define(apperr.Invalid, "catalog.picture_order", "Name each picture of the product once.", "须将该商品的每张图片各列出一次。")
	ErrTooManyPictures = apperr.Define(apperr.Conflict, "catalog.too_many_pictures", "A product has at most {max} pictures.", "每个商品最多 {max} 张图片。")
	ErrAlt             = apperr.Define(apperr.Invalid, "catalog.alt_invalid", "An alternative text has at most {max} characters.", "替代文字不能超过 {max} 个字符。")
)
