package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/shuke-crm/shuke/internal/contract"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/telemetry"
)

// class is what HTTP makes of a kind of error.
type class struct {
	status int
	en, zh string
}

var classes = map[apperr.Kind]class{
	apperr.Internal:           {http.StatusInternalServerError, "Internal error", "内部错误"},
	apperr.Malformed:          {http.StatusBadRequest, "The request cannot be read", "无法读取请求"},
	apperr.Unauthenticated:    {http.StatusUnauthorized, "Sign in first", "需要登录"},
	apperr.Forbidden:          {http.StatusForbidden, "Not permitted", "没有权限"},
	apperr.NotFound:           {http.StatusNotFound, "Not found", "未找到"},
	apperr.MethodNotAllowed:   {http.StatusMethodNotAllowed, "Method not allowed", "不支持的请求方法"},
	apperr.NotAcceptable:      {http.StatusNotAcceptable, "Not acceptable", "无法提供所要求的格式"},
	apperr.Conflict:           {http.StatusConflict, "Conflict", "与现有数据冲突"},
	apperr.PreconditionFailed: {http.StatusPreconditionFailed, "The resource has changed", "资源已被修改"},
	apperr.TooLarge:           {http.StatusRequestEntityTooLarge, "The request is too large", "请求过大"},
	apperr.UnsupportedMedia:   {http.StatusUnsupportedMediaType, "Unsupported content type", "不支持的内容类型"},
	apperr.Invalid:            {http.StatusUnprocessableEntity, "The request is not valid", "请求无效"},
	apperr.PreconditionNeeded: {http.StatusPreconditionRequired, "A precondition is required", "需要前置条件"},
	apperr.RateLimited:        {http.StatusTooManyRequests, "Too many requests", "请求过于频繁"},
	apperr.Unavailable:        {http.StatusServiceUnavailable, "Unavailable", "服务不可用"},
	apperr.Timeout:            {http.StatusGatewayTimeout, "Timed out", "处理超时"},
}

// Status is the HTTP status that a kind of error is answered with.
func Status(k apperr.Kind) int { return classes[k].status }

// Errors that only the edge can make.
var (
	errConstraint = apperr.Define(apperr.Conflict, "conflict", "The change clashes with data that exists.", "该更改与现有数据冲突。")
	errOverride   = apperr.Define(apperr.Malformed, "request.method_override", "X-HTTP-Method-Override takes PUT, PATCH or DELETE, and nothing else.", "X-HTTP-Method-Override 只能是 PUT、PATCH 或 DELETE。")
	errTooSlow    = apperr.Define(apperr.Unavailable, "unavailable.busy", "The service is busy. Try again shortly.", "服务繁忙，请稍后重试。")
)

// known turns any error into one with a stable code: ours as it is, Echo's own
// answers, time-outs and broken constraints by their meaning, and everything
// else as an internal error whose cause only the log sees.
func known(ctx context.Context, err error) *apperr.Error {
	if e := apperr.From(err); e != nil {
		return e
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded), ctx.Err() != nil && db.Code(err) == "57014":
		return apperr.ErrTimeout.Wrap(err)
	case errors.Is(err, context.Canceled):
		return errTooSlow.Wrap(err) // the caller went away; nobody reads the answer
	case errors.Is(err, echo.ErrNotFound):
		return apperr.ErrNotFound.New()
	case errors.Is(err, echo.ErrMethodNotAllowed):
		return apperr.ErrMethodNotAllowed.New()
	}
	if e := contract.BindError(err); e != nil {
		return e
	}
	var he *echo.HTTPError
	if errors.As(err, &he) {
		switch he.Code {
		case http.StatusNotFound:
			return apperr.ErrNotFound.Wrap(err)
		case http.StatusMethodNotAllowed:
			return apperr.ErrMethodNotAllowed.Wrap(err)
		case http.StatusRequestEntityTooLarge:
			return apperr.ErrTooLarge.Wrap(err)
		case http.StatusUnsupportedMediaType:
			return apperr.ErrUnsupportedMedia.Wrap(err)
		}
		if he.Code < 500 {
			return apperr.ErrMalformed.Wrap(err)
		}
	}
	if db.Violated(err) != "" {
		return errConstraint.Wrap(err)
	}
	if db.Retryable(err) || db.Code(err) == "55P03" {
		return errTooSlow.Wrap(err).Arg("retry_after", 1)
	}
	if class := db.Code(err); strings.HasPrefix(class, "08") || strings.HasPrefix(class, "53") || strings.HasPrefix(class, "57P") {
		return apperr.ErrUnavailable.Wrap(err).Arg("retry_after", 1)
	}
	return apperr.ErrInternal.Wrap(err)
}

// answerError is Echo's HTTPErrorHandler: every failure leaves the service here.
func (e *edge) answerError(err error, c echo.Context) {
	if c.Response().Committed {
		return // a stream that broke; the log has the error
	}
	problem := known(c.Request().Context(), err)
	lang := apperr.Language(c.Request().Header.Get("Accept-Language"))
	status := Status(problem.Def.Kind)
	id := telemetry.RequestID(c.Request().Context())
	h := c.Response().Header()
	if status >= 500 {
		e.log.LogAttrs(c.Request().Context(), slog.LevelError, "request failed",
			slog.String("code", problem.Def.Code), slog.Any("error", err), slog.String("route", c.Path()))
	}
	if seconds, ok := retryAfter(problem); ok {
		h.Set(echo.HeaderRetryAfter, strconv.Itoa(seconds))
	}
	if status == http.StatusUnauthorized {
		h.Set(echo.HeaderWWWAuthenticate, `Bearer realm="shuke"`)
	}
	h.Set(echo.HeaderContentType, "application/problem+json")
	h.Set("Content-Language", contentLanguage(lang))
	h.Set(echo.HeaderCacheControl, "no-store")
	doc := e.document(problem, lang, id, c.Request().URL.EscapedPath())
	if c.Path() == oauthPath {
		asOAuth(h, doc, problem, status)
	}
	body, merr := json.Marshal(doc)
	if merr != nil {
		e.log.Error("problem document", "error", merr)
		c.Response().WriteHeader(http.StatusInternalServerError)
		return
	}
	c.Response().WriteHeader(status)
	_, _ = c.Response().Write(body) // the connection is gone if this fails
}

// oauthPath answers failures as RFC 6749, 5.2 prescribes.
const oauthPath = "/v1/oauth/token"

func asOAuth(h http.Header, doc map[string]any, problem *apperr.Error, status int) {
	code, ours := strings.CutPrefix(problem.Def.Code, "oauth.")
	switch {
	case ours:
	case status == http.StatusTooManyRequests || status >= 500:
		code = "temporarily_unavailable"
	default:
		code = "invalid_request"
	}
	doc["error"], doc["error_description"] = code, problem.Def.Text("en", problem.Args)
	h.Set(echo.HeaderContentType, echo.MIMEApplicationJSON)
	h.Set("Pragma", "no-cache")
	if status == http.StatusUnauthorized {
		h.Set(echo.HeaderWWWAuthenticate, `Basic realm="shuke"`)
	}
}

// document is the problem as RFC 9457 describes it. Neither causes nor values
// of the request enter it.
func (e *edge) document(problem *apperr.Error, lang, requestID, path string) map[string]any {
	cl := classes[problem.Def.Kind]
	title := cl.en
	if lang == "zh" {
		title = cl.zh
	}
	doc := make(map[string]any, 8+len(problem.Extra))
	for name, v := range problem.Extra {
		doc[name] = v
	}
	doc["type"] = e.publicURL + "/docs/errors/" + problem.Def.Code
	doc["title"] = title
	doc["status"] = cl.status
	doc["detail"] = problem.Def.Text(lang, problem.Args)
	doc["instance"] = path
	doc["code"] = problem.Def.Code
	doc["request_id"] = requestID
	if len(problem.Fields) > 0 {
		fields := make([]map[string]any, len(problem.Fields))
		for i, f := range problem.Fields {
			detail := f.Code
			if d := apperr.Lookup(f.Code); d != nil {
				args := f.Args
				if args == nil {
					args = problem.Args
				}
				detail = d.Text(lang, args)
			}
			fields[i] = map[string]any{"pointer": f.Pointer, "code": f.Code, "detail": detail}
			if f.Rule != "" {
				fields[i]["rule"] = f.Rule
			}
		}
		doc["errors"] = fields
	}
	return doc
}

// retryAfter reads the seconds to wait that an error carries for its text.
func retryAfter(e *apperr.Error) (int, bool) {
	v, ok := e.Args["retry_after"]
	if !ok {
		if e.Def == apperr.ErrIdempotencyBusy || e.Def.Kind == apperr.Unavailable {
			return 1, true
		}
		return 0, false
	}
	seconds, err := strconv.ParseFloat(fmt.Sprint(v), 64)
	if err != nil {
		return 0, false
	}
	return max(1, int(math.Ceil(seconds))), true
}

func contentLanguage(lang string) string {
	if lang == "zh" {
		return "zh-CN"
	}
	return "en"
}
