package apperr

// Errors that belong to no domain: reading a request, signing in, preconditions.
var (
	ErrInternal         = Define(Internal, "internal", "Something went wrong on our side. Quote the request id when you report it.", "服务内部出错，请联系我们并提供请求编号。")
	ErrUnavailable      = Define(Unavailable, "unavailable", "The service cannot answer at the moment. Try again shortly.", "服务暂时不可用，请稍后重试。")
	ErrTimeout          = Define(Timeout, "timeout", "The request took too long and was abandoned. Nothing was changed.", "请求处理超时，已放弃，未作任何更改。")
	ErrNotFound         = Define(NotFound, "not_found", "There is no such resource.", "资源不存在。")
	ErrMethodNotAllowed = Define(MethodNotAllowed, "method_not_allowed", "This method is not allowed here.", "该地址不支持此请求方法。")

	ErrMalformedJSON     = Define(Malformed, "request.malformed_json", "The body is not valid JSON.", "请求体不是合法的 JSON。")
	ErrMalformed         = Define(Malformed, "request.malformed", "The request cannot be read.", "无法读取该请求。")
	ErrBadCursor         = Define(Malformed, "request.bad_cursor", "The cursor is not one of ours or belongs to another list. Start again without it.", "游标无效或属于其他列表，请去掉游标重新查询。")
	ErrInvalid           = Define(Invalid, "request.invalid", "The request has invalid fields; see errors.", "请求中有无效的字段，详见 errors。")
	ErrTooLarge          = Define(TooLarge, "request.too_large", "The body is larger than the {limit} bytes allowed here.", "请求体超过此处允许的 {limit} 字节。")
	ErrUnsupportedMedia  = Define(UnsupportedMedia, "request.unsupported_media_type", "This content type is not accepted here.", "此处不接受该内容类型。")
	ErrNotAcceptable     = Define(NotAcceptable, "request.not_acceptable", "None of the accepted content types can be produced.", "无法生成所要求的内容类型。")
	ErrVersionMismatch   = Define(PreconditionFailed, "request.version_mismatch", "The resource has changed since you read it. Read it again and repeat your change.", "资源已被修改，请重新读取后再提交更改。")
	ErrVersionRequired   = Define(PreconditionNeeded, "request.version_required", "This change needs an If-Match header with the ETag you read.", "此更改需要带上读取时的 ETag（If-Match 请求头）。")
	ErrUnauthenticated   = Define(Unauthenticated, "auth.unauthenticated", "Sign in, or send a valid access token or API key.", "请先登录，或提供有效的访问令牌或 API 密钥。")
	ErrTokenExpired      = Define(Unauthenticated, "auth.token_expired", "The access token has expired. Refresh it.", "访问令牌已过期，请刷新。")
	ErrForbidden         = Define(Forbidden, "auth.forbidden", "You do not have the permission this needs: {permission}.", "您没有所需的权限：{permission}。")
	ErrRateLimited       = Define(RateLimited, "rate_limited", "Too many requests. Try again after the time in Retry-After.", "请求过于频繁，请在 Retry-After 指定的时间后重试。")
	ErrIdempotencyNeeded = Define(Malformed, "idempotency.key_required", "This operation needs an Idempotency-Key header.", "此操作需要 Idempotency-Key 请求头。")
	ErrIdempotencyKey    = Define(Malformed, "idempotency.key_invalid", "An Idempotency-Key has 1 to 255 visible ASCII characters.", "Idempotency-Key 须为 1 到 255 个可见 ASCII 字符。")
	ErrIdempotencyBusy   = Define(Conflict, "idempotency.in_progress", "A request with this Idempotency-Key is still running. Try again shortly.", "相同 Idempotency-Key 的请求仍在处理中，请稍后重试。")
	ErrIdempotencyReuse  = Define(Invalid, "idempotency.key_reused", "This Idempotency-Key was used with a different request.", "该 Idempotency-Key 已用于另一个不同的请求。")
)
