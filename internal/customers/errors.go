package customers

import (
	"errors"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/pii"
)

// Errors of this domain.
var (
	ErrNotFound       = apperr.Define(apperr.NotFound, "customers.not_found", "There is no such customer, or not for you.", "找不到该顾客，或您无权查看。")
	ErrDuplicate      = apperr.Define(apperr.Conflict, "customers.duplicate", "Another customer has this value already.", "该值已属于另一位顾客。")
	ErrArchived       = apperr.Define(apperr.Conflict, "customers.archived", "The customer is archived. Restore the record before changing it.", "该顾客已归档，请先恢复再修改。")
	ErrRepeated       = apperr.Define(apperr.Conflict, "customers.repeated_in_batch", "An earlier item of this batch names the same customer or value.", "本批次中较早的一项已使用同一顾客或同一值。")
	ErrMatchGone      = apperr.Define(apperr.Conflict, "customers.match_gone", "Nobody has an identifier of this row any more; make somebody new of it.", "已没有顾客拥有该行的标识，请选择新建。")
	ErrMatchUnknown   = apperr.Define(apperr.Invalid, "customers.match_unknown", "This customer has none of the row's identifiers.", "该顾客不具有该行的任何标识。")
	ErrSeveral        = apperr.Define(apperr.Conflict, "customers.several_match", "The identifiers of this row belong to different customers.", "该行的标识分别属于不同的顾客。")
	ErrNoIdentity     = apperr.Define(apperr.Invalid, "customers.identity_required", "Give at least one of name, phone, email, card_number and external_id.", "请至少提供姓名、手机号、邮箱、卡号、外部编号中的一项。")
	ErrNoKey          = apperr.Define(apperr.Invalid, "customers.key_required", "The item must name its customer.", "该项必须指明顾客。")
	ErrPhone          = apperr.Define(apperr.Invalid, "customers.phone_invalid", "This is not a valid phone number.", "电话号码无效。")
	ErrEmail          = apperr.Define(apperr.Invalid, "customers.email_invalid", "This is not a valid e-mail address.", "邮箱地址无效。")
	ErrCard           = apperr.Define(apperr.Invalid, "customers.card_number_invalid", "A card number has 4 to 32 letters and digits.", "卡号须为 4 到 32 位字母或数字。")
	ErrName           = apperr.Define(apperr.Invalid, "customers.name_invalid", "A name has at least one letter and at most 64 characters.", "姓名须至少含一个文字，且不超过 64 个字符。")
	ErrBirthDate      = apperr.Define(apperr.Invalid, "customers.birth_date_invalid", "A birth date lies between 1900-01-01 and today.", "出生日期须在 1900-01-01 与今天之间。")
	ErrTooBig         = apperr.Define(apperr.Invalid, "customers.object_too_large", "The object is larger than {max} bytes as JSON.", "该对象的 JSON 超过 {max} 字节。")
	ErrValue          = apperr.Define(apperr.Invalid, "customers.value_invalid", "The value is not one of those allowed here.", "该值不在允许范围内。")
	ErrTooLong        = apperr.Define(apperr.Invalid, "customers.value_too_long", "The value is longer than {max} characters.", "该值超过 {max} 个字符。")
	ErrStore          = apperr.Define(apperr.Invalid, "customers.store_invalid", "There is no such store within your reach.", "您的权限范围内没有该门店。")
	ErrStaff          = apperr.Define(apperr.Invalid, "customers.staff_invalid", "There is no such member of staff within your reach.", "您的权限范围内没有该员工。")
	ErrHandOverTo     = apperr.Define(apperr.Invalid, "customers.hand_over_to", "Give one of to_staff_id, to and distribute_in_store.", "请在 to_staff_id、to 与 distribute_in_store 中选择一项。")
	ErrHandOverShares = apperr.Define(apperr.Invalid, "customers.hand_over_shares", "Give a share to each successor or to none.", "请为每位接收人都设置份额，或都不设置。")

	ErrAssignmentNotFound = apperr.Define(apperr.NotFound, "assignment_rules.not_found", "There is no such assignment rule.", "找不到该分配规则。")
	ErrAssignmentCount    = apperr.Define(apperr.Conflict, "assignment_rules.too_many", "A store has at most {max} assignment rules.", "每家门店最多 {max} 条分配规则。")
	ErrNobody             = apperr.Define(apperr.Invalid, "customers.nobody_to_take_over", "There is no other active assistant in this store within your reach.", "该门店没有您权限范围内的其他在职导购可接收。")
	ErrStoreNeeded        = apperr.Define(apperr.Invalid, "customers.store_required", "Name the store: your scope covers several.", "您的权限范围包含多家门店，请指定门店。")
	ErrLeaves             = apperr.Define(apperr.Invalid, "customers.leaves_reach", "This would put the customer beyond your own reach; ask somebody who sees more.", "此更改会使该顾客超出您的权限范围，请由权限更大的同事操作。")
	ErrReason             = apperr.Define(apperr.Invalid, "customers.reason_required", "Say why, in at least two characters.", "请填写原因，至少两个字符。")
	ErrUnknownTag         = apperr.Define(apperr.Invalid, "customers.unknown_tag", "There is no tag of this name, and you may not make one.", "没有该名称的标签，且您无权新建标签。")
	ErrTagCount           = apperr.Define(apperr.Invalid, "customers.too_many_tags", "A customer has at most {max} tags.", "一位顾客最多 {max} 个标签。")

	ErrFieldNotFound      = apperr.Define(apperr.NotFound, "custom_fields.not_found", "There is no such custom field.", "找不到该自定义字段。")
	ErrFieldDuplicate     = apperr.Define(apperr.Conflict, "custom_fields.duplicate", "Another custom field has this key, perhaps an archived one.", "已有使用该键的自定义字段（可能已归档）。")
	ErrFieldKindUsed      = apperr.Define(apperr.Conflict, "custom_fields.kind_in_use", "Records have values of this field; its kind cannot change. Define another field.", "已有记录填写了该字段，不能更改类型，请另建字段。")
	ErrFieldChoiceUsed    = apperr.Define(apperr.Conflict, "custom_fields.choice_in_use", "Records have the choice “{value}”, or may have it. Keep it, and name another one in its replaced_by.", "已有（或可能有）记录选择了“{value}”，请保留该选项，并在 replaced_by 中指定替代选项。")
	ErrFieldDefinition    = apperr.Define(apperr.Invalid, "custom_fields.definition_invalid", "This does not fit the field's kind or its other settings.", "该设置与字段类型或其他设置不符。")
	ErrFieldCount         = apperr.Define(apperr.Conflict, "custom_fields.too_many", "There are {max} custom fields already; archive one first.", "自定义字段已达 {max} 个，请先归档。")
	ErrFieldUnknown       = apperr.Define(apperr.Invalid, "custom_fields.unknown", "There is no such custom field, or not for you.", "没有该自定义字段，或您无权使用。")
	ErrFieldReadOnly      = apperr.Define(apperr.Invalid, "custom_fields.read_only", "Your role may not change this field.", "您的角色不能修改该字段。")
	ErrFieldRequired      = apperr.Define(apperr.Invalid, "custom_fields.required", "This store's customers must have this field.", "该门店的顾客必须填写此字段。")
	ErrFieldKind          = apperr.Define(apperr.Invalid, "custom_fields.kind_mismatch", "The value is not of the field's kind, {kind}.", "该值与字段类型 {kind} 不符。")
	ErrFieldRange         = apperr.Define(apperr.Invalid, "custom_fields.out_of_range", "The value lies outside the bounds of the field.", "该值超出字段允许的范围。")
	ErrFieldLength        = apperr.Define(apperr.Invalid, "custom_fields.length_invalid", "The text must have {min} to {max} characters.", "文字长度须为 {min} 到 {max} 个字符。")
	ErrFieldPattern       = apperr.Define(apperr.Invalid, "custom_fields.pattern_mismatch", "The text does not have the form the field asks for.", "文字不符合该字段要求的格式。")
	ErrFieldChoice        = apperr.Define(apperr.Invalid, "custom_fields.choice_unknown", "The field has no such choice.", "该字段没有此选项。")
	ErrFieldReference     = apperr.Define(apperr.Invalid, "custom_fields.reference_unknown", "What is referred to does not exist, or not for you.", "所引用的对象不存在，或您无权查看。")
	ErrFieldNotFilterable = apperr.Define(apperr.Invalid, "custom_fields.not_filterable", "Lists cannot be filtered or sorted by this field.", "不能按该字段筛选或排序。")
	ErrFieldFilter        = apperr.Define(apperr.Invalid, "custom_fields.filter_invalid", "The field's kind has no such comparison or value.", "该字段类型不支持此比较方式或值。")

	ErrFieldInRule = apperr.Define(apperr.Conflict, "custom_fields.used_by_rule", "The validation rule {rule} uses this field as it is; deactivate the rule first.", "校验规则 {rule} 正在使用该字段，请先停用该规则。")

	ErrRuleNotFound   = apperr.Define(apperr.NotFound, "validation_rules.not_found", "There is no such validation rule.", "找不到该校验规则。")
	ErrRuleDuplicate  = apperr.Define(apperr.Conflict, "validation_rules.duplicate", "Another validation rule has this code.", "已有使用该代码的校验规则。")
	ErrRuleCount      = apperr.Define(apperr.Conflict, "validation_rules.too_many", "There are {max} validation rules already.", "校验规则已达 {max} 条。")
	ErrRuleExpression = apperr.Define(apperr.Invalid, "validation_rules.expression_invalid", "The expression cannot be used: {reason}", "表达式无效：{reason}")
	ErrRuleActive     = apperr.Define(apperr.Conflict, "validation_rules.active", "The rule is in force. Deactivate it before changing what it says.", "该规则正在生效，请先停用再修改。")
	ErrRuleUntried    = apperr.Define(apperr.Conflict, "validation_rules.untried", "Try the rule on the customers there are first; it has changed since the last time or was never tried.", "请先试运行该规则：它从未试运行，或之后有改动。")
	ErrRuleChanged    = apperr.Define(apperr.NotFound, "validation_rules.changed_meanwhile", "The rule was changed while it was being tried.", "试运行期间规则已被修改。")
	ErrRuleBroken     = apperr.Define(apperr.Invalid, "validation_rules.broken", "{message_en}", "{message_zh}")

	ErrAddressNotFound = apperr.Define(apperr.NotFound, "customers.address_not_found", "The customer has no such address.", "该顾客没有此地址。")
	ErrAddressCount    = apperr.Define(apperr.Invalid, "customers.too_many_addresses", "A customer has at most {max} addresses.", "一位顾客最多 {max} 个地址。")
	ErrAddressEmpty    = apperr.Define(apperr.Invalid, "customers.address_empty", "An address has at least one part.", "地址至少须填写一项。")
	ErrAddressDefault  = apperr.Define(apperr.Invalid, "customers.address_default", "Make another address the default one instead.", "请改为将另一个地址设为默认地址。")
	ErrFamilyNotFound  = apperr.Define(apperr.NotFound, "customers.family_member_not_found", "The customer has no such member of the family.", "该顾客没有此家庭成员。")
	ErrFamilyCount     = apperr.Define(apperr.Invalid, "customers.too_many_family_members", "A customer has at most {max} members of the family.", "一位顾客最多 {max} 位家庭成员。")
	ErrSizeKind        = apperr.Define(apperr.Invalid, "customers.size_unknown", "There is no such kind of size.", "没有该尺码类别。")

	ErrMemberField    = apperr.Define(apperr.Invalid, "member_rules.field_invalid", "There is no such field to make a rule for, or it is named twice.", "没有可设置规则的该字段，或该字段重复。")
	ErrMemberAccess   = apperr.Define(apperr.Invalid, "member_rules.access_invalid", "This field cannot be given this access.", "该字段不能设置为此权限。")
	ErrMemberReadOnly = apperr.Define(apperr.Forbidden, "member.field_read_only", "Members cannot change {field}; ask the shop.", "会员不能修改 {field}，请联系门店。")
	ErrMemberOnce     = apperr.Define(apperr.Forbidden, "member.field_given_once", "Members give {field} once; ask the shop to correct it.", "会员只能填写一次 {field}，如需更正请联系门店。")

	ErrIdentityNotFound = apperr.Define(apperr.NotFound, "customers.identity_not_found", "The customer has no such way to sign in.", "该顾客没有此登录方式。")
	ErrPairNotFound     = apperr.Define(apperr.NotFound, "duplicates.not_found", "There is no such pair of customers, or you may not see both.", "找不到这对顾客，或您无权查看其中一位。")
	ErrScanRunning      = apperr.Define(apperr.Conflict, "duplicates.scan_running", "A search for duplicates is under way already.", "已有一个查重任务正在进行。")

	ErrMerged        = apperr.Define(apperr.Conflict, "customers.merged", "This customer was merged into another; survivor_id names them.", "该顾客已合并到另一位顾客，survivor_id 为其编号。")
	ErrMergeSelf     = apperr.Define(apperr.Invalid, "merges.same_customer", "A customer cannot be merged into themselves.", "不能将顾客与其自身合并。")
	ErrMergeChoice   = apperr.Define(apperr.Invalid, "merges.choice_invalid", "This field holds one thing; take it from one of the two.", "该字段只能保留一个值，请选择其中一位顾客的值。")
	ErrMergeArchived = apperr.Define(apperr.Conflict, "merges.archived", "An archived customer cannot be merged. Restore the record first.", "已归档的顾客不能合并，请先恢复。")
	ErrMergeApart    = apperr.Define(apperr.Conflict, "merges.decided_apart", "Somebody has decided that these are two people. Decide anew before merging them.", "已有人判定这是两位不同的顾客，请先重新判定再合并。")
	ErrMergeNotFound = apperr.Define(apperr.NotFound, "merges.not_found", "There is no such merge, or not for you.", "找不到该合并记录，或您无权查看。")
	ErrMergeUndone   = apperr.Define(apperr.Conflict, "merges.undone", "This merge has been undone already.", "该合并已被撤销。")
	ErrMergeLater    = apperr.Define(apperr.Conflict, "merges.merged_later", "The survivor was merged into another since. Undo that merge first; merge_id names it.", "保留的顾客之后又被合并，请先撤销 merge_id 所指的合并。")

	ErrTooShort = apperr.Define(apperr.Invalid, "search.too_short", "Search for at least two characters of a name.", "请至少输入姓名中的两个字符。")
	ErrNeedle   = apperr.Define(apperr.Invalid, "search.too_long", "The fragment is too long.", "搜索内容过长。")

	ErrGroupNotFound  = apperr.Define(apperr.NotFound, "customer_groups.not_found", "There is no such group.", "找不到该分组。")
	ErrGroupDuplicate = apperr.Define(apperr.Conflict, "customer_groups.duplicate", "Another group has this name.", "已有同名分组。")
	ErrGroupName      = apperr.Define(apperr.Invalid, "customer_groups.name_invalid", "A group's name has 1 to 64 visible characters.", "分组名称须为 1 到 64 个可见字符。")
	ErrGroupMember    = apperr.Define(apperr.Invalid, "customer_groups.member_key", "Name a member by customer_id or external_id, one of them.", "请用 customer_id 或 external_id 之一指定成员。")

	ErrTagNotFound   = apperr.Define(apperr.NotFound, "tags.not_found", "There is no such tag.", "找不到该标签。")
	ErrTagDuplicate  = apperr.Define(apperr.Conflict, "tags.duplicate", "Another tag has this name.", "已有同名标签。")
	ErrTagInUse      = apperr.Define(apperr.Conflict, "tags.in_use", "Customers have this tag; take it off them first.", "仍有顾客使用该标签，请先移除。")
	ErrTagInto       = apperr.Define(apperr.Invalid, "tags.into_invalid", "Name another existing tag to merge into.", "请指定另一个已存在的标签作为合并目标。")
	ErrTagAutomatic  = apperr.Define(apperr.Invalid, "tags.automatic", "This tag is automatic: customers have it while its condition holds.", "该标签为自动标签，由其条件决定顾客是否拥有。")
	ErrTagExpiry     = apperr.Define(apperr.Invalid, "tags.expiry_past", "The tag would have ended already.", "标签的到期时间已过。")
	ErrTagCondition  = apperr.Define(apperr.Invalid, "tags.condition_invalid", "The condition cannot be used: {reason}", "条件无效：{reason}")
	ErrTagLifetime   = apperr.Define(apperr.Invalid, "tags.lifetime_of_automatic", "An automatic tag lasts as long as its condition holds; it has no lifetime.", "自动标签随条件成立与否而变，不能设置有效期。")
	ErrTagsAutomatic = apperr.Define(apperr.Conflict, "tags.too_many_automatic", "There are {max} automatic tags already.", "自动标签已达 {max} 个。")
	ErrFieldInTag    = apperr.Define(apperr.Conflict, "custom_fields.used_by_tag", "The condition of an automatic tag uses this field as it is; change the tag first.", "有自动标签的条件正在使用该字段，请先修改该标签。")
	ErrProblem       = apperr.Define(apperr.Invalid, "customers.problem_unknown", "There is no such problem to look for.", "没有这种数据质量问题。")
	ErrFieldPersonal = apperr.Define(apperr.Invalid, "custom_fields.personal_unsupported", "Fields of {entity} cannot be personal: there is no person whose key could seal them.", "{entity} 的字段不能设为个人信息：没有可用于加密的个人密钥。")
	ErrTagName       = apperr.Define(apperr.Invalid, "tags.name_invalid", "A tag's name has 1 to 64 visible characters.", "标签名称须为 1 到 64 个可见字符。")
)

// fromPII maps what package pii refuses to this domain's errors.
func fromPII(err error) *apperr.Definition {
	switch {
	case errors.Is(err, pii.ErrPhoneInvalid):
		return ErrPhone
	case errors.Is(err, pii.ErrEmailInvalid):
		return ErrEmail
	case errors.Is(err, pii.ErrCardInvalid):
		return ErrCard
	case errors.Is(err, pii.ErrTooShort):
		return ErrTooShort
	case errors.Is(err, pii.ErrNeedleTooLong):
		return ErrNeedle
	}
	return ErrName
}

// faults gathers the offending parts of one customer.
type faults []apperr.Field

func (f *faults) add(pointer string, d *apperr.Definition, args ...map[string]any) {
	field := apperr.Field{Pointer: pointer, Code: d.Code}
	if len(args) > 0 {
		field.Args = args[0]
	}
	*f = append(*f, field)
}

// err is nil without faults, the fault's own error for one, and the general
// one that lists them for several.
func (f faults) err() error {
	switch len(f) {
	case 0:
		return nil
	case 1:
		return &apperr.Error{Def: apperr.Lookup(f[0].Code), Args: f[0].Args, Fields: f}
	}
	err := apperr.ErrInvalid.New()
	err.Fields = f
	return err
}
