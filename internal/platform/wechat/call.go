package wechat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/shuke-crm/shuke/internal/platform/outgoing"
)

// errUnreadable: the answer is not what WeChat documents. The effect may have
// happened.
var errUnreadable = errors.New("the answer cannot be read")

// status is what most answers of WeChat share; success may leave it out. The
// business error comes with HTTP 200.
type status struct {
	Code    int    `json:"errcode"`
	Message string `json:"errmsg"`
}

// refusal is an errcode before it is given a meaning.
type refusal struct {
	code int
	rid  string
}

func (r refusal) Error() string { return fmt.Sprintf("errcode %d (rid %s)", r.code, r.rid) }

// decode reads an answer into out, which embeds s.
func decode(body []byte, out any, s *status) error {
	if err := json.Unmarshal(body, out); err != nil {
		return errUnreadable
	}
	if s.Code != 0 {
		return refusal{s.Code, rid(s.Message)}
	}
	return nil
}

// rid is the request id that WeChat ends a message with.
func rid(message string) string {
	_, id, found := strings.Cut(message, "rid: ")
	if !found || len(id) > 64 || !plausibleID(id) {
		return ""
	}
	return id
}

// Codes of WeChat. Several mean different things to different calls; these
// meanings hold for the calls made here.
const (
	codeBusy          = -1
	codeInvalidToken  = 40001 // also a wrong secret where one is sent
	codeInvalidToken2 = 40014
	codeExpiredToken  = 42001
)

// meaning gives a refusal its error.
func meaning(operation string, r refusal) error {
	cause := RawCode{operation, r.code, r.rid}
	switch r.code {
	case codeBusy:
		return ErrBusy.Wrap(cause)
	case 40029, 40163, 42003: // invalid, used, expired
		return ErrCode.Wrap(cause)
	case 40226:
		return ErrRisk.Wrap(cause)
	case 45009, 45011:
		return ErrQuota.Wrap(cause)
	case 40013:
		if operation == "phone_number" {
			return ErrCode.Wrap(cause) // here it is the app that the code was made in
		}
		return ErrConfig.Wrap(cause)
	case codeInvalidToken, codeInvalidToken2, codeExpiredToken, 40125, 40164, 41002, 41004, 48001, 50002, 61024:
		return ErrConfig.Wrap(cause)
	case 41008:
		return ErrCode.Wrap(cause)
	}
	return ErrProvider.Wrap(cause)
}

// call sends a request that spends a code, repeating it only while WeChat
// certainly did nothing with it.
func call[T any](ctx context.Context, c *Client, operation string, request func(context.Context) (*http.Request, error), read func([]byte) (T, error)) (T, error) {
	begun := time.Now()
	value, err := attempt(ctx, c, operation, request, read)
	c.client.Observe(operation, outcomeOf(err), time.Since(begun))
	return value, err
}

func attempt[T any](ctx context.Context, c *Client, operation string, request func(context.Context) (*http.Request, error), read func([]byte) (T, error)) (T, error) {
	for try := 1; ; try++ {
		value, err := once(ctx, c, operation, request, read)
		if !ErrBusy.Is(err) || try == busyTries {
			return value, err
		}
		select {
		case <-ctx.Done():
			return value, err
		case <-time.After(time.Duration(try) * busyPause):
		}
	}
}

func once[T any](ctx context.Context, c *Client, operation string, request func(context.Context) (*http.Request, error), read func([]byte) (T, error)) (T, error) {
	var none T
	req, err := request(ctx)
	if err != nil {
		return none, ErrConfig.Wrap(err)
	}
	answer, err := c.client.Once(req)
	switch {
	case errors.Is(err, outgoing.ErrNotSent):
		return none, ErrBusy.Wrap(err)
	case err != nil:
		return none, ErrUnknown.Wrap(err)
	case answer.Status == http.StatusTooManyRequests:
		return none, ErrQuota.Wrap(fmt.Errorf("HTTP %d", answer.Status))
	case answer.Status != http.StatusOK:
		// A gateway's page: what stood behind it may have acted.
		return none, ErrUnknown.Wrap(fmt.Errorf("HTTP %d", answer.Status))
	}
	value, err := read(answer.Body)
	var refused refusal
	switch {
	case errors.As(err, &refused):
		return none, meaning(operation, refused)
	case errors.Is(err, errUnreadable):
		return none, ErrUnknown.Wrap(err)
	case err != nil:
		return none, err
	}
	return value, nil
}

// withToken is call with the app token. A refused token is replaced once:
// WeChat looks at the token before the code, so the code is still whole.
func withToken[T any](ctx context.Context, c *Client, operation string, request func(context.Context, string) (*http.Request, error), read func([]byte) (T, error)) (T, error) {
	var none T
	refused := ""
	for {
		token, err := c.tokens.get(ctx, refused)
		if err != nil {
			return none, err
		}
		value, err := call(ctx, c, operation, func(ctx context.Context) (*http.Request, error) { return request(ctx, token) }, read)
		if refused != "" || !tokenRefused(err) {
			return value, err
		}
		refused = token
	}
}

func tokenRefused(err error) bool {
	var raw RawCode
	return errors.As(err, &raw) && (raw.Code == codeInvalidToken || raw.Code == codeInvalidToken2 || raw.Code == codeExpiredToken)
}

// fetchToken asks for the app token. In normal mode WeChat gives everybody the
// same token while it lasts, so that asking twice does no harm; force_refresh
// would end the token that other instances still use, and is never sent.
func (c *Client) fetchToken(ctx context.Context) (token string, lasts time.Duration, err error) {
	body, err := json.Marshal(map[string]any{
		"grant_type": "client_credential", "appid": c.config.AppID, "secret": c.config.Secret, "force_refresh": false,
	})
	if err != nil {
		return "", 0, ErrConfig.Wrap(err)
	}
	answer, err := call(ctx, c, "app_token", func(ctx context.Context) (*http.Request, error) {
		return outgoing.PostJSON(ctx, c.config.BaseURL+"/cgi-bin/stable_token", body)
	}, decodeToken)
	if ErrUnknown.Is(err) {
		err = ErrBusy.Wrap(err) // no code is involved, so nothing can be spent
	}
	return answer.Token, time.Duration(answer.ExpiresIn) * time.Second, err
}

type tokenAnswer struct {
	status
	Token     string `json:"access_token"`
	ExpiresIn int    `json:"expires_in"`
}

// longestToken is what WeChat asks its users to make room for.
const longestToken = 512

func decodeToken(body []byte) (tokenAnswer, error) {
	var answer tokenAnswer
	if err := decode(body, &answer, &answer.status); err != nil {
		return tokenAnswer{}, err
	}
	if answer.Token == "" || len(answer.Token) > longestToken || answer.ExpiresIn <= 0 || answer.ExpiresIn > 7200 {
		return tokenAnswer{}, errUnreadable
	}
	return answer, nil
}

// outcomeOf is the class of a result for metrics.
func outcomeOf(err error) outgoing.Outcome {
	switch {
	case err == nil:
		return outgoing.OutcomeOK
	case ErrCode.Is(err), ErrRisk.Is(err), ErrSnapshot.Is(err):
		return outgoing.OutcomeRefused
	case ErrQuota.Is(err):
		return outgoing.OutcomeLimited
	case ErrConfig.Is(err):
		return outgoing.OutcomeMisconfigured
	case ErrBusy.Is(err):
		if errors.Is(err, outgoing.ErrNotSent) {
			return outgoing.OutcomeNotSent
		}
		return outgoing.OutcomeUnavailable
	case ErrUnknown.Is(err):
		return outgoing.OutcomeUnknown
	}
	return outgoing.OutcomeProviderError
}
