package identity

import (
	"errors"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/password"
)

var (
	ErrInvalidCredentials     = apperr.Define(apperr.Unauthenticated, "auth.invalid_credentials", "The user name or the password is wrong.", "用户名或密码错误。")
	ErrTooManyAttempts        = apperr.Define(apperr.RateLimited, "auth.too_many_attempts", "Too many attempts. Try again in {retry_after} seconds.", "尝试次数过多，请在 {retry_after} 秒后重试。")
	ErrDisabled               = apperr.Define(apperr.Forbidden, "auth.account_disabled", "This account is disabled. Ask an administrator.", "该账号已停用，请联系管理员。")
	ErrSessionEnded           = apperr.Define(apperr.Unauthenticated, "auth.session_ended", "The session has ended. Sign in again.", "会话已结束，请重新登录。")
	ErrRefreshInvalid         = apperr.Define(apperr.Unauthenticated, "auth.refresh_invalid", "This is not a refresh token of ours.", "刷新令牌无效。")
	ErrRefreshReused          = apperr.Define(apperr.Unauthenticated, "auth.refresh_reused", "This refresh token was used before, so the session was ended for safety. Sign in again.", "该刷新令牌已被使用过，为安全起见会话已终止，请重新登录。")
	ErrSessionNeeded          = apperr.Define(apperr.Forbidden, "auth.session_needed", "This is for signed-in people; an API key has no session.", "此操作仅限登录用户，API 密钥没有会话。")
	ErrSessionNotFound        = apperr.Define(apperr.NotFound, "auth.session_not_found", "You have no such session.", "您没有该会话。")
	ErrWrongPassword          = apperr.Define(apperr.Invalid, "auth.wrong_password", "The current password is wrong.", "当前密码错误。")
	ErrMFATokenInvalid        = apperr.Define(apperr.Unauthenticated, "auth.mfa_token_invalid", "The sign-in has expired or belongs to another program. Begin again with the password.", "登录已过期或来自其他程序，请重新输入密码登录。")
	ErrCodeWrong              = apperr.Define(apperr.Invalid, "auth.code_wrong", "The code is wrong or was used before.", "验证码错误或已使用过。")
	ErrFactorExists           = apperr.Define(apperr.Conflict, "auth.factor_exists", "A second factor of this kind is set up already. Remove it first.", "已设置该类型的第二验证方式，请先移除。")
	ErrFactorNotFound         = apperr.Define(apperr.NotFound, "auth.factor_not_found", "There is no such second factor. Set one up with POST /v1/auth/mfa/totp or POST /v1/auth/mfa/sms.", "没有该第二验证方式，请通过 POST /v1/auth/mfa/totp 或 POST /v1/auth/mfa/sms 设置。")
	ErrMethodNotCounted       = apperr.Define(apperr.Invalid, "auth.method_not_counted", "This way of proving who you are does not count for this account; GET /v1/auth/mfa lists those that do.", "该账号不能使用此验证方式，可用方式见 GET /v1/auth/mfa。")
	ErrPhoneInvalid           = apperr.Define(apperr.Invalid, "auth.phone_invalid", "No code can be sent to this number: it is no mobile phone.", "无法向该号码发送验证码：不是手机号码。")
	ErrStepUpRequired         = apperr.Define(apperr.Forbidden, "auth.step_up_required", "Prove again who you are with POST /v1/auth/step-up, then repeat this request.", "请先通过 POST /v1/auth/step-up 再次验证身份，然后重试。")
	ErrSecondFactorRequired   = apperr.Define(apperr.Forbidden, "auth.second_factor_required", "This needs a second factor. Set one up with POST /v1/auth/mfa/totp or POST /v1/auth/mfa/sms.", "此操作需要第二验证方式，请通过 POST /v1/auth/mfa/totp 或 POST /v1/auth/mfa/sms 设置。")
	ErrPasswordChangeRequired = apperr.Define(apperr.Forbidden, "auth.password_change_required", "Choose a password of your own first, with POST /v1/auth/password.", "请先通过 POST /v1/auth/password 设置自己的密码。")
	ErrResetInvalid           = apperr.Define(apperr.Invalid, "auth.reset_invalid", "This link was used or has expired. Ask for another.", "该链接已使用或已过期，请重新申请。")
	ErrTicketInvalid          = apperr.Define(apperr.Unauthenticated, "auth.ticket_invalid", "The ticket was used, has expired or is for another stream. Get a new one.", "票据已使用、已过期或不属于该数据流，请重新获取。")

	ErrNoStream           = apperr.Define(apperr.Invalid, "auth.no_stream", "This path is no stream.", "该路径不是数据流。")
	ErrPasswordSame       = apperr.Define(apperr.Invalid, "password.unchanged", "The new password is the current one.", "新密码不能与当前密码相同。")
	ErrPasswordTooShort   = apperr.Define(apperr.Invalid, "password.too_short", "A password has at least 8 characters.", "密码至少需要 8 个字符。")
	ErrPasswordTooLong    = apperr.Define(apperr.Invalid, "password.too_long", "A password has at most 128 characters.", "密码最多 128 个字符。")
	ErrPasswordTooCommon  = apperr.Define(apperr.Invalid, "password.too_common", "This password is among the first that attackers try. Choose another.", "该密码过于常见，请更换。")
	ErrPasswordIsUsername = apperr.Define(apperr.Invalid, "password.is_username", "The password must not be the user name.", "密码不能与用户名相同。")
	ErrPasswordInvalid    = apperr.Define(apperr.Invalid, "password.invalid", "The password has characters that cannot be stored.", "密码包含无法保存的字符。")

	ErrStaffNotFound  = apperr.Define(apperr.NotFound, "staff.not_found", "There is no such member of staff within your scope.", "您的权限范围内没有该员工。")
	ErrEmailInvalid   = apperr.Define(apperr.Invalid, "staff.email_invalid", "This is not a valid e-mail address.", "邮箱地址无效。")
	ErrUsernameTaken  = apperr.Define(apperr.Conflict, "staff.username_taken", "This user name is taken.", "该用户名已被使用。")
	ErrStaffInUse     = apperr.Define(apperr.Conflict, "staff.in_use", "This account has been used. Disable it instead of deleting it.", "该账号已被使用，请停用而不是删除。")
	ErrOwnAccount     = apperr.Define(apperr.Forbidden, "staff.own_account", "Somebody else must make this change to your account.", "此更改须由他人对您的账号执行。")
	ErrLastAdmin      = apperr.Define(apperr.Conflict, "staff.last_administrator", "One active administrator of the whole business must remain.", "必须至少保留一名可用的全局管理员。")
	ErrBeyondOwn      = apperr.Define(apperr.Forbidden, "staff.beyond_own_rights", "You cannot hand on or take away what you do not hold yourself: {right}.", "您不能授予或收回自己没有的权限：{right}。")
	ErrGrantNotFound  = apperr.Define(apperr.NotFound, "staff.grant_not_found", "This member of staff has no such grant.", "该员工没有此授权。")
	ErrGrantShape     = apperr.Define(apperr.Invalid, "staff.grant_scope", "store_id belongs to the scope store, region_id to region, merchant_id to merchant, and none to the others.", "store_id 仅用于 store 范围，region_id 仅用于 region 范围，merchant_id 仅用于 merchant 范围，其他范围均不需要。")
	ErrGrantExpired   = apperr.Define(apperr.Invalid, "staff.grant_expired", "The grant would have run out already.", "授权的到期时间已过。")
	ErrGrantDuplicate = apperr.Define(apperr.Conflict, "staff.grant_exists", "This member of staff holds this role with this scope already.", "该员工已拥有此范围的该角色。")

	ErrDelegationNotFound = apperr.Define(apperr.NotFound, "staff.delegation_not_found", "This member of staff has no such delegation.", "该员工没有此代管安排。")
	ErrDelegationTimes    = apperr.Define(apperr.Invalid, "staff.delegation_times", "It must end after it begins, later than now, and within a year.", "结束时间须晚于开始时间和当前时间，且不超过一年。")
	ErrDelegationExists   = apperr.Define(apperr.Conflict, "staff.delegation_exists", "This colleague stands in during a part of this time already.", "该同事在此期间已有代管安排。")
	ErrDelegationChain    = apperr.Define(apperr.Conflict, "staff.delegation_chain", "Whoever stands in for somebody cannot be on leave at the same time.", "代管他人顾客的员工不能同时休假。")
	ErrDeputyUnknown      = apperr.Define(apperr.Invalid, "staff.deputy_unknown", "There is no other active member of staff with this id within your scope.", "您的权限范围内没有该在职员工，或与本人相同。")

	ErrRoleNotFound      = apperr.Define(apperr.NotFound, "roles.not_found", "There is no such role.", "角色不存在。")
	ErrRoleUnknown       = apperr.Define(apperr.Invalid, "roles.unknown", "There is no role with this code.", "没有该代码的角色。")
	ErrRoleCodeTaken     = apperr.Define(apperr.Conflict, "roles.code_taken", "A role with this code exists.", "该角色代码已存在。")
	ErrRoleBuiltIn       = apperr.Define(apperr.Conflict, "roles.built_in", "Built-in roles are read-only. Make a role of your own.", "内置角色不可修改，请新建自定义角色。")
	ErrRoleInUse         = apperr.Define(apperr.Conflict, "roles.in_use", "Somebody holds this role.", "该角色仍被授予给员工。")
	ErrPermissionUnknown = apperr.Define(apperr.Invalid, "roles.permission_unknown", "There is no such permission.", "权限不存在。")

	ErrStoreNotFound   = apperr.Define(apperr.NotFound, "stores.not_found", "There is no such store.", "门店不存在。")
	ErrStoreUnknown    = apperr.Define(apperr.Invalid, "stores.unknown", "There is no such store within your scope.", "您的权限范围内没有该门店。")
	ErrStoreCodeTaken  = apperr.Define(apperr.Conflict, "stores.code_taken", "A store with this code exists.", "该门店代码已存在。")
	ErrStoreInUse      = apperr.Define(apperr.Conflict, "stores.in_use", "Other records refer to this store. Close it instead of deleting it.", "该门店已被引用，请关闭而不是删除。")
	ErrOutOfScope      = apperr.Define(apperr.Forbidden, "auth.out_of_scope", "This reaches beyond the stores you are responsible for.", "超出您负责的门店范围。")
	ErrRegionNotFound  = apperr.Define(apperr.NotFound, "regions.not_found", "There is no such region.", "区域不存在。")
	ErrRegionUnknown   = apperr.Define(apperr.Invalid, "regions.unknown", "There is no such region.", "没有该区域。")
	ErrRegionCodeTaken = apperr.Define(apperr.Conflict, "regions.code_taken", "A region with this code exists.", "该区域代码已存在。")
	ErrMerchantUnknown = apperr.Define(apperr.Invalid, "merchants.unknown", "There is no such merchant.", "没有该商户。")
	ErrRegionInUse     = apperr.Define(apperr.Conflict, "regions.in_use", "A store or a grant refers to this region.", "该区域仍被门店或授权引用。")

	ErrAPIKeyNotFound = apperr.Define(apperr.NotFound, "api_keys.not_found", "There is no such key within your scope.", "您的权限范围内没有该密钥。")
	ErrAPIKeyExpired  = apperr.Define(apperr.Invalid, "api_keys.expired", "The key would have run out already.", "密钥的到期时间已过。")
	ErrAPIKeyAddress  = apperr.Define(apperr.Invalid, "api_keys.address", "Give an IPv4 or IPv6 address, or a range such as 203.0.113.0/24.", "请填写 IPv4 或 IPv6 地址，或如 203.0.113.0/24 的地址段。")
	ErrAPIKeyEnded    = apperr.Define(apperr.Conflict, "api_keys.ended", "This key was revoked or has run out. Make a new one.", "该密钥已吊销或已过期，请新建密钥。")
	ErrAPIKeyTwoLive  = apperr.Define(apperr.Conflict, "api_keys.two_live", "Two secrets of this key live already. Wait for the older to end, or end it.", "该密钥已有两个有效密文，请等待旧密文失效或先将其终止。")
	ErrOAuthClient    = apperr.Define(apperr.Unauthenticated, "oauth.invalid_client", "The client id or the secret is wrong, or not to be used from here.", "客户端标识或密文错误，或不允许从此处使用。")
	ErrOAuthGrant     = apperr.Define(apperr.Malformed, "oauth.unsupported_grant_type", "grant_type must be client_credentials.", "grant_type 只能是 client_credentials。")
	ErrOAuthScope     = apperr.Define(apperr.Malformed, "oauth.invalid_scope", "The scope names a permission that the key does not have.", "scope 中包含该密钥没有的权限。")
	ErrOAuthRequest   = apperr.Define(apperr.Malformed, "oauth.invalid_request", "Send the client id and secret once, by HTTP Basic or in the form.", "请通过 HTTP Basic 或表单提交一次客户端标识和密文。")
	ErrAPIKeyScope    = apperr.Define(apperr.Invalid, "api_keys.scope", "A key sees either all stores or the stores listed: give one of all_stores and store_ids.", "密钥须且只能选择全部门店（all_stores）或指定门店（store_ids）之一。")
)

// policyError gives what password.Check refuses its place in the request.
func policyError(err error, pointer string) error {
	for is, def := range map[error]*apperr.Definition{
		password.ErrTooShort:   ErrPasswordTooShort,
		password.ErrTooLong:    ErrPasswordTooLong,
		password.ErrTooCommon:  ErrPasswordTooCommon,
		password.ErrIsUsername: ErrPasswordIsUsername,
		password.ErrInvalid:    ErrPasswordInvalid,
	} {
		if errors.Is(err, is) {
			return def.At(pointer)
		}
	}
	return err
}
