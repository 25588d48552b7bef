package auth

import (
	"encoding/json"
	"slices"
)

// Permission names one right; the contract's x-permission uses the same words.
type Permission string

// Permissions. Each needs a line in Catalogue and a row in the access test's
// golden table.
const (
	CustomersRead       Permission = "customers.read"
	CustomersCreate     Permission = "customers.create"
	CustomersUpdate     Permission = "customers.update"
	CustomersArchive    Permission = "customers.archive"
	CustomersReveal     Permission = "customers.reveal"
	CustomersLookup     Permission = "customers.lookup"
	CustomersIdentities Permission = "customers.manage_identities"
	CustomersMerge      Permission = "customers.merge"
	CustomersMergeAuto  Permission = "customers.merge_auto"
	NotesRead           Permission = "notes.read"
	NotesWrite          Permission = "notes.write"
	NotesManage         Permission = "notes.manage"
	TagsManage          Permission = "tags.manage"
	GroupsManage        Permission = "customer_groups.manage"
	AssignmentManage    Permission = "assignment_rules.manage"
	CustomFieldsManage  Permission = "custom_fields.manage"
	ValidationManage    Permission = "validation_rules.manage"
	MemberRulesManage   Permission = "member_rules.manage"
	FormsManage         Permission = "forms.manage"
	FormsSubmit         Permission = "forms.submit"
	OrdersRead          Permission = "orders.read"
	OrdersIngest        Permission = "orders.ingest"
	OrdersPlace         Permission = "orders.place"
	OrdersFulfil        Permission = "orders.fulfil"
	OrdersRefund        Permission = "orders.refund"
	OrdersConfigure     Permission = "orders.configure"
	OrdersOverridePrice Permission = "orders.override_price"
	CatalogRead         Permission = "catalog.read"
	CatalogManage       Permission = "catalog.manage"
	CatalogReadCost     Permission = "catalog.read_cost"
	CatalogManagePrices Permission = "catalog.manage_prices"
	InventoryRead       Permission = "inventory.read"
	InventoryMove       Permission = "inventory.move"
	InventoryManage     Permission = "inventory.manage"
	InventoryApprove    Permission = "inventory.approve"
	PointsRead          Permission = "points.read"
	PointsRedeem        Permission = "points.redeem"
	PointsTransfer      Permission = "points.transfer"
	PointsAdjust        Permission = "points.adjust"
	PointsApprove       Permission = "points.approve"
	PointsConfigure     Permission = "points.configure"
	PointsReport        Permission = "points.report"
	ReferralsRead       Permission = "referrals.read"
	ReferralsRegister   Permission = "referrals.register"
	ReferralsManage     Permission = "referrals.manage"
	PointsAudit         Permission = "points.audit"
	WalletsRead         Permission = "wallets.read"
	WalletsTopUp        Permission = "wallets.top_up"
	WalletsPay          Permission = "wallets.pay"
	WalletsRefund       Permission = "wallets.refund"
	WalletsTransfer     Permission = "wallets.transfer"
	WalletsAdjust       Permission = "wallets.adjust"
	WalletsApprove      Permission = "wallets.approve"
	WalletsManage       Permission = "wallets.manage"
	WalletsConfigure    Permission = "wallets.configure"
	WalletsAudit        Permission = "wallets.audit"
	MembershipRead      Permission = "membership.read"
	MembershipManage    Permission = "membership.manage"
	MembershipGrant     Permission = "membership.grant"
	GiftCardsRead       Permission = "gift_cards.read"
	GiftCardsIssue      Permission = "gift_cards.issue"
	GiftCardsSell       Permission = "gift_cards.sell"
	GiftCardsUse        Permission = "gift_cards.use"
	GiftCardsManage     Permission = "gift_cards.manage"
	RewardsRead         Permission = "rewards.read"
	RewardsRedeem       Permission = "rewards.redeem"
	RewardsManage       Permission = "rewards.manage"

	SegmentsRead         Permission = "segments.read"
	SegmentsManage       Permission = "segments.manage"
	AnalyticsRead        Permission = "analytics.read"
	AnalyticsRun         Permission = "analytics.run"
	StoresRead           Permission = "stores.read"
	StoresManage         Permission = "stores.manage"
	StaffRead            Permission = "staff.read"
	StaffManage          Permission = "staff.manage"
	RolesRead            Permission = "roles.read"
	RolesManage          Permission = "roles.manage"
	APIKeysManage        Permission = "api_keys.manage"
	JobsRead             Permission = "jobs.read"
	JobsManage           Permission = "jobs.manage"
	AuditRead            Permission = "audit.read"
	CustomersExportClear Permission = "customers.export_clear"
	ExportsCreate        Permission = "exports.create"
	ExportsManage        Permission = "exports.manage"
)

// Self marks operations open to every signed-in member of staff and machine
// (own session, own account), and Member those of customers on their own side
// of the API. Neither is granted by a role.
const (
	Self   Permission = "self"
	Member Permission = "member"
)

// Lendable are the permissions that somebody who stands in for a colleague on
// leave may use on that colleague's customers, if both of them hold it. What
// concerns accounts, rights or the whole business is not lent.
var Lendable = NewPermissionSet(CustomersRead, CustomersUpdate, CustomersArchive, CustomersReveal, NotesRead, NotesWrite, OrdersRead, OrdersIngest, OrdersPlace, OrdersFulfil, OrdersRefund, OrdersOverridePrice, SegmentsRead)

// Explained is one line of the permission catalogue.
type Explained struct {
	Permission Permission
	EN, ZH     string
}

// Catalogue explains every permission, in the order shown to administrators.
var Catalogue = []Explained{
	{CustomersRead, "Read customers within the scope, masked.", "查看权限范围内的顾客（脱敏）。"},
	{CustomersCreate, "Create customers.", "新建顾客。"},
	{CustomersUpdate, "Change customers within the scope.", "修改权限范围内的顾客。"},
	{CustomersArchive, "Archive and restore customers.", "归档和恢复顾客。"},
	{CustomersReveal, "See personal fields unmasked; each view is audited.", "查看未脱敏的个人信息，每次查看都会记录审计。"},
	{CustomersLookup, "Look up any customer at the till by a full phone, card or external number.", "在收银台凭完整手机号、卡号或外部编号查询任意顾客。"},
	{CustomersExportClear, "Export customers with personal fields whole; asked for a reason and audited.", "导出未脱敏的顾客信息，需填写理由并记录审计。"},
	{CustomersIdentities, "Take ways to sign in off customers.", "解除顾客的登录方式。"},
	{CustomersMerge, "Search for duplicate customers, decide about them, merge them and undo that.", "查找重复顾客并判定，合并顾客及撤销合并。"},
	{NotesRead, "Read notes about customers and files attached to them, and where one is mentioned.", "查看顾客的备注和附件，以及提及自己的备注。"},
	{NotesWrite, "Write notes about customers and attach files to them; change and delete one's own.", "撰写顾客备注并上传附件，可修改和删除自己的。"},
	{NotesManage, "Change and delete notes and files of colleagues.", "修改和删除同事的备注和附件。"},
	{CustomersMergeAuto, "Have likely duplicates merged by themselves, or not.", "设置是否自动合并疑似重复顾客。"},
	{ExportsCreate, "Export what one may read as a file, masked.", "将可查看的内容导出为文件（脱敏）。"},
	{ExportsManage, "See and delete everybody's exports, when held over the whole business.", "查看和删除所有人的导出（须拥有全部范围）。"},
	{TagsManage, "Define tags.", "管理标签。"},
	{GroupsManage, "Define groups of customers, and put customers within the scope into them and take them out.", "管理顾客分组，并将权限范围内的顾客加入或移出分组。"},
	{AssignmentManage, "Decide by which rules customers of one's stores get their assistant, and apply them.", "管理本人权限范围内门店的导购分配规则并执行分配。"},
	{CustomFieldsManage, "Define custom fields, and see and change all of them.", "管理自定义字段，并可查看和修改全部自定义字段。"},
	{ValidationManage, "Define, try and activate validation rules.", "管理、试运行并启用校验规则。"},
	{MemberRulesManage, "Decide what members may see and change of their own record.", "设置会员可查看和修改的本人资料字段。"},
	{FormsManage, "Make, publish and archive forms.", "管理、发布和归档表单。"},
	{FormsSubmit, "Hand in forms, which create and change customers as the form says.", "提交表单，并按表单规则新建或修改顾客。"},
	{OrdersRead, "Read orders and returns within the scope.", "查看权限范围内的订单和退货。"},
	{OrdersIngest, "Send tickets from tills.", "上传收银小票。"},
	{OrdersPlace, "Place, change, pay and cancel orders.", "下单、修改、收款与取消订单。"},
	{OrdersFulfil, "Send orders, hand them over and take returned goods in.", "订单发货、交付及退货收货。"},
	{OrdersRefund, "Decide on returns, refund and exchange.", "审批退货、退款与换货。"},
	{OrdersConfigure, "Keep the reasons of returns, and the rule of who returns much.", "维护退货原因和高退货率规则。"},
	{OrdersOverridePrice, "Set prices on order lines.", "在订单行上改价。"},
	{CatalogRead, "Read the catalogue.", "查看商品目录。"},
	{CatalogManage, "Change the catalogue.", "管理商品目录。"},
	{CatalogReadCost, "See cost prices.", "查看成本价。"},
	{CatalogManagePrices, "Change price lists of stores within the scope; of all stores when held over the whole business.", "管理权限范围内门店的价目表；管理全部门店的价目表须拥有全部范围。"},
	{InventoryRead, "Read stock within the scope, and of the store one works in.", "查看权限范围内及所在门店的库存。"},
	{InventoryMove, "Record what happens to stock within the scope, and reserve it.", "登记权限范围内的库存变动并预留库存。"},
	{InventoryManage, "Set what stock is watched by, within the scope.", "设置权限范围内的库存预警。"},
	{InventoryApprove, "Approve counts of stock within the scope that others handed in.", "审批权限范围内由他人提交的盘点单。"},
	{PointsRead, "Read points of members within the scope.", "查看权限范围内会员的积分。"},
	{PointsRedeem, "Spend, promise and give back points of members within the scope.", "为权限范围内的会员消费、冻结和退还积分。"},
	{PointsTransfer, "Transfer points between members within the scope.", "在权限范围内的会员之间转赠积分。"},
	{PointsAdjust, "Give and take points by hand, within the scope.", "手工调整权限范围内会员的积分。"},
	{PointsApprove, "Approve adjustments of points that others asked for, within the scope.", "审批权限范围内由他人提交的积分调整。"},
	{PointsConfigure, "Define units of points and by which rules they are earned.", "管理积分类型和积分规则。"},
	{ReferralsRead, "Read referrals of customers within the scope.", "查看权限范围内顾客的推荐记录。"},
	{ReferralsRegister, "Get referral codes and register who came by them, within the scope.", "为权限范围内的顾客获取推荐码并登记推荐关系。"},
	{ReferralsManage, "Set the terms of referrals and decide those that are held.", "设置推荐规则并审核推荐奖励。"},
	{PointsReport, "Report what members within the scope did that rules give points for.", "上报权限范围内会员的互动行为，由规则发放积分。"},
	{PointsAudit, "See what the whole programme owes and check that all points add up.", "查看积分负债并校验积分账目（须拥有全部范围）。"},
	{WalletsRead, "Read stored value of members within the scope.", "查看权限范围内会员的储值。"},
	{WalletsTopUp, "Take money for wallets of members within the scope.", "为权限范围内的会员充值。"},
	{WalletsPay, "Pay from wallets of members within the scope, promise and give back.", "用权限范围内会员的储值付款、冻结和退还。"},
	{WalletsRefund, "Give top-ups back to where they came from, within the scope.", "将权限范围内会员的充值原路退回。"},
	{WalletsTransfer, "Transfer stored value between members within the scope.", "在权限范围内的会员之间转赠储值。"},
	{WalletsAdjust, "Give and take stored value by hand, within the scope.", "手工调整权限范围内会员的储值。"},
	{WalletsApprove, "Approve adjustments of stored value that others asked for, within the scope.", "审批权限范围内由他人提交的储值调整。"},
	{WalletsManage, "Freeze wallets of members within the scope and set their PINs.", "冻结权限范围内会员的钱包并设置支付密码。"},
	{WalletsConfigure, "Set how stored value is kept: bonus, limits, gift cards.", "设置储值规则：赠送、限额与礼品卡。"},
	{WalletsAudit, "See all stored value that is owed and check that it adds up.", "查看储值负债并校验储值账目（须拥有全部范围）。"},
	{MembershipRead, "Read tiers, and the memberships of customers within the scope.", "查看会员等级及权限范围内顾客的会籍。"},
	{MembershipManage, "Define tiers and by which rules they are reached and kept.", "管理会员等级及升降级规则。"},
	{MembershipGrant, "Give tiers by hand and take them back, within the scope.", "手工授予和收回权限范围内顾客的会员等级。"},
	{GiftCardsRead, "Read gift cards and what is on them.", "查看礼品卡及其余额。"},
	{GiftCardsIssue, "Issue gift cards, take their codes and cancel them.", "制卡、导出卡密与作废礼品卡。"},
	{GiftCardsSell, "Sell gift cards.", "售卖（激活）礼品卡。"},
	{GiftCardsUse, "Look up, pay by and redeem gift cards by their code.", "凭卡号查询余额、付款和兑入钱包。"},
	{GiftCardsManage, "Freeze and unfreeze gift cards and extend their validity.", "冻结、解冻礼品卡并延长有效期。"},
	{RewardsRead, "Read rewards, and redemptions of members and stores within the scope.", "查看奖品，以及权限范围内会员和门店的兑换记录。"},
	{RewardsRedeem, "Redeem rewards for members within the scope, hand them out and cancel them.", "为权限范围内的会员兑换、发放和取消奖品。"},
	{RewardsManage, "Define rewards and upload codes of coupons.", "管理奖品并上传券码。"},
	{SegmentsRead, "Read metrics, RFM settings and distribution.", "查看顾客指标和 RFM 设置。"},
	{SegmentsManage, "Change RFM settings and refresh metrics.", "修改 RFM 设置并刷新指标。"},
	{AnalyticsRead, "Read figures about customers and sales within the scope.", "查看权限范围内的顾客和销售分析数据。"},
	{AnalyticsRun, "Have figures about the whole business computed anew.", "重新计算全部分析数据。"},
	{StoresRead, "Read stores, regions and merchants.", "查看门店、区域和商户。"},
	{StoresManage, "Change stores, regions and merchants.", "管理门店、区域和商户。"},
	{StaffRead, "Read staff within the scope.", "查看权限范围内的员工。"},
	{StaffManage, "Change staff and their grants.", "管理员工及其授权。"},
	{RolesRead, "Read roles.", "查看角色。"},
	{RolesManage, "Define roles.", "管理角色。"},
	{APIKeysManage, "Issue and revoke API keys.", "签发和吊销 API 密钥。"},
	{JobsRead, "See every background job, not only one's own.", "查看所有后台任务（不限于本人）。"},
	{JobsManage, "Cancel any background job.", "取消任意后台任务。"},
	{AuditRead, "Read and verify the audit log.", "查看并校验审计日志。"},
}

// BuiltInRole is a role every installation has; administrators add their own.
type BuiltInRole struct {
	Code        string
	EN, ZH      string
	Scope       string // widest scope a grant of this role is made with by default: own, store, all
	Permissions []Permission
}

// BuiltInRoles in the order shown. The store manager reads the whole store and
// changes no customer record; the assistant sees own customers only.
var BuiltInRoles = []BuiltInRole{
	{"administrator", "Administrator", "管理员", "all", All()},
	{"store_manager", "Store manager", "店长", "store", []Permission{RewardsRead, RewardsRedeem, GiftCardsRead, GiftCardsSell, GiftCardsUse, GiftCardsManage, ReferralsRead, MembershipRead, WalletsRead, WalletsTopUp, WalletsPay, WalletsRefund, WalletsApprove, InventoryApprove, PointsRead, PointsRedeem, PointsApprove, CustomersRead, CustomersLookup, NotesRead, OrdersRead, OrdersPlace, OrdersFulfil, OrdersRefund, OrdersOverridePrice, InventoryRead, InventoryManage, CatalogRead, CatalogReadCost, SegmentsRead, AnalyticsRead, StoresRead, StaffRead, RolesRead, ExportsCreate}},
	{"assistant", "Shop assistant", "导购", "own", []Permission{RewardsRead, RewardsRedeem, GiftCardsRead, GiftCardsSell, GiftCardsUse, ReferralsRead, ReferralsRegister, MembershipRead, WalletsRead, WalletsTopUp, WalletsPay, PointsRead, PointsRedeem, CustomersRead, CustomersCreate, CustomersUpdate, CustomersReveal, CustomersLookup, NotesRead, NotesWrite, OrdersRead, OrdersIngest, OrdersPlace, OrdersFulfil, InventoryRead, CatalogRead, SegmentsRead, StoresRead, FormsSubmit}},
	{"service_agent", "Service agent", "客服", "store", []Permission{RewardsRead, RewardsRedeem, GiftCardsRead, GiftCardsManage, ReferralsRead, ReferralsRegister, MembershipRead, WalletsRead, WalletsAdjust, WalletsManage, PointsRead, PointsAdjust, CustomersRead, CustomersReveal, CustomersLookup, CustomersIdentities, NotesRead, NotesWrite, OrdersRead, InventoryRead, CatalogRead, SegmentsRead, StoresRead}},
	{"marketer", "Marketer", "营销", "all", []Permission{RewardsRead, RewardsManage, GiftCardsRead, ReferralsRead, ReferralsManage, MembershipRead, MembershipManage, WalletsRead, WalletsConfigure, PointsRead, PointsConfigure, CustomersRead, OrdersRead, CatalogRead, CatalogManagePrices, SegmentsRead, AnalyticsRead, AnalyticsRun, SegmentsManage, TagsManage, GroupsManage, StoresRead, ExportsCreate}},
	{"analyst", "Analyst", "分析师", "all", []Permission{RewardsRead, GiftCardsRead, ReferralsRead, MembershipRead, WalletsRead, WalletsAudit, PointsRead, PointsAudit, CustomersRead, OrdersRead, InventoryRead, CatalogRead, CatalogReadCost, SegmentsRead, AnalyticsRead, AnalyticsRun, StoresRead, ExportsCreate}},
	{"inventory_clerk", "Inventory clerk", "库存员", "store", []Permission{InventoryRead, InventoryMove, InventoryManage, CatalogRead, CatalogManage, CatalogReadCost, StoresRead}},
	{"auditor", "Auditor", "审计员", "all", []Permission{WalletsAudit, PointsAudit, AuditRead, JobsRead, StaffRead, RolesRead, StoresRead}},
}

// All lists every permission.
func All() []Permission {
	out := make([]Permission, len(Catalogue))
	for i, e := range Catalogue {
		out[i] = e.Permission
	}
	return out
}

// PermissionSet is a set of permissions; as JSON a sorted list.
type PermissionSet map[Permission]struct{}

// NewPermissionSet makes a set.
func NewPermissionSet(ps ...Permission) PermissionSet {
	s := make(PermissionSet, len(ps))
	for _, p := range ps {
		s[p] = struct{}{}
	}
	return s
}

// Has reports membership.
func (s PermissionSet) Has(p Permission) bool { _, ok := s[p]; return ok }

// List returns the permissions sorted.
func (s PermissionSet) List() []Permission {
	out := make([]Permission, 0, len(s))
	for p := range s {
		out = append(out, p)
	}
	slices.Sort(out)
	return out
}

// MarshalJSON writes a sorted list.
func (s PermissionSet) MarshalJSON() ([]byte, error) { return json.Marshal(s.List()) }

// UnmarshalJSON reads a list.
func (s *PermissionSet) UnmarshalJSON(b []byte) error {
	var list []Permission
	if err := json.Unmarshal(b, &list); err != nil {
		return err
	}
	*s = NewPermissionSet(list...)
	return nil
}
