package member

import "github.com/shuke-crm/shuke/internal/platform/apperr"

// Errors of this domain. Those of sessions are identity's, and those of codes
// and providers come from their packages.
var (
	ErrConsentNeeded  = apperr.Define(apperr.Invalid, "member.consent_needed", "Agree to the current terms first: send consent with text_version {text_version} and the same code again.", "请先同意当前条款：请携带 consent（text_version 为 {text_version}）并重新提交同一凭证。")
	ErrTextVersion    = apperr.Define(apperr.Invalid, "member.text_version", "This is not the current version of the text, which is {text_version}. Show the current one.", "该文本不是当前版本（当前版本为 {text_version}），请展示最新文本。")
	ErrGuardian       = apperr.Define(apperr.Invalid, "member.guardian_consent_needed", "Members under 14 need the consent of a guardian.", "未满 14 周岁须取得监护人同意。")
	ErrClosed         = apperr.Define(apperr.Forbidden, "member.account_closed", "This membership is closed. Ask the shop.", "该会员账号已停用，请联系门店。")
	ErrCredentials    = apperr.Define(apperr.Unauthenticated, "member.invalid_credentials", "Phone or password is wrong.", "手机号或密码错误。")
	ErrOtherDevice    = apperr.Define(apperr.Forbidden, "member.other_device", "This code was already sent by another device. Get a new one.", "该凭证已由其他设备提交，请重新获取。")
	ErrInProgress     = apperr.Define(apperr.Unavailable, "member.exchange_in_progress", "The same code is still being checked. Send it again shortly.", "该凭证仍在校验中，请稍后重新提交。")
	ErrState          = apperr.Define(apperr.Invalid, "member.state_invalid", "The state is not of a sign-in that this device began in the last ten minutes. Begin again.", "登录状态无效或已过期，请在同一设备重新开始。")
	ErrPhone          = apperr.Define(apperr.Invalid, "member.phone_invalid", "This is not a mobile number that can receive text messages.", "该号码不是可接收短信的手机号。")
	ErrPhoneTaken     = apperr.Define(apperr.Conflict, "member.phone_taken", "This number belongs to another membership. Sign in with it instead, or ask the shop to join the two.", "该手机号已属于另一会员账号，请改用该手机号登录，或联系门店合并账号。")
	ErrIdentityTaken  = apperr.Define(apperr.Conflict, "member.identity_taken", "This account belongs to another membership. Sign in with it instead, or ask the shop to join the two.", "该账号已属于另一会员，请改用该账号登录，或联系门店合并账号。")
	ErrLastIdentity   = apperr.Define(apperr.Conflict, "member.last_identity", "This is the last way to sign in; link another one first.", "这是最后一种登录方式，请先绑定其他方式。")
	ErrNotFound       = apperr.Define(apperr.NotFound, "member.not_found", "There is no such thing of yours.", "找不到该内容。")
	ErrPhoneNeeded    = apperr.Define(apperr.Conflict, "member.phone_needed", "Bind a phone first: the password is used together with it.", "请先绑定手机号，密码需与手机号一起使用。")
	ErrPasswordProof  = apperr.Define(apperr.Forbidden, "member.password_proof_needed", "Send the current password, or sign in anew and set the password within five minutes.", "请提供当前密码，或重新登录后五分钟内设置密码。")
	ErrPasswordWrong  = apperr.Define(apperr.Invalid, "member.password_wrong", "The current password is wrong.", "当前密码错误。")
	ErrTooMany        = apperr.Define(apperr.RateLimited, "member.too_many_attempts", "Too many attempts for this number. Try again in {retry_after} seconds, or sign in by a code.", "该号码尝试次数过多，请在 {retry_after} 秒后重试，或使用验证码登录。")
	ErrBirthDateSet   = apperr.Define(apperr.Conflict, "member.birth_date_set", "The birth date was set before; ask the shop to correct it.", "生日已填写，如需更正请联系门店。")
	ErrFieldNeeded    = apperr.Define(apperr.Invalid, "member.field_needed", "This is needed for the way of signing in that is to be linked.", "绑定该登录方式需要此字段。")
	ErrRedirect       = apperr.Define(apperr.Invalid, "member.redirect_invalid", "This is not an https address to come back to.", "回跳地址必须是 https 地址。")
	ErrSessionUnknown = apperr.Define(apperr.NotFound, "member.session_not_found", "You have no such session.", "您没有该会话。")
)
