// Package logistics follows parcels through Kuaidi100, which knows most
// carriers, and SF Express itself.
//
// Kuaidi100 always tells the whole history, newest first, and may correct the
// carrier on the way; SF pushes what is new only. Both end up as a list of
// events that the caller joins with its own by their Key.
package logistics

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/outgoing"
)

// Names of the providers, as they stand in paths.
const (
	Kuaidi100Name = "kuaidi100"
	SFName        = "sf"
)

// SFCarrier is SF as Kuaidi100 writes it.
const SFCarrier = "shunfeng"

// State of a parcel.
type State string

// States of a parcel.
const (
	Unknown    State = "unknown" // no event yet, or a state that we do not know
	PickedUp   State = "picked_up"
	InTransit  State = "in_transit"
	Delivering State = "delivering"
	Delivered  State = "delivered"
	Problem    State = "problem"
	Returning  State = "returning"
	Returned   State = "returned" // the sender has it again
	Refused    State = "refused"
	Customs    State = "customs"
)

// Event is one step of a parcel's way. Text may name people: it is personal.
type Event struct {
	At    time.Time
	Text  string
	Place string
	State State // where the provider says it of this step
}

// Key tells events apart: a provider sends the same one many times.
func (e Event) Key() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d\n%s", e.At.Unix(), e.Text))
	return hex.EncodeToString(sum[:16])
}

// Track is what a provider knows of a parcel.
type Track struct {
	Carrier string // as Kuaidi100 writes it
	Number  string
	State   State
	Events  []Event // oldest first
}

// Parcel asks for one.
type Parcel struct {
	Carrier string // as Kuaidi100 writes it: yuantong, shunfeng, …
	Number  string
	Phone   string // the receiver's or its last four digits; SF wants it
}

// Tracker answers for one parcel. Both providers do.
// Errors: ErrNotFound (no event yet, or an unknown number), ErrDown, ErrLimit,
// ErrConfig, ErrRefused, ErrProvider.
type Tracker interface {
	Name() string
	Query(ctx context.Context, p Parcel) (Track, error)
}

// Errors of both providers. Nothing here costs money or happens twice, so all
// but ErrRefused may be tried again.
var (
	ErrNotFound  = apperr.Define(apperr.NotFound, "tracking.nothing_yet", "The carrier knows nothing of this number yet.", "暂无该运单的物流信息。")
	ErrRefused   = apperr.Define(apperr.Invalid, "tracking.refused", "The carrier refuses this number: check carrier, number and phone.", "承运商拒绝了该运单，请检查快递公司、单号和手机号。")
	ErrDown      = apperr.Define(apperr.Unavailable, "tracking.provider_unavailable", "The tracking provider did not answer. Try again.", "物流查询服务暂时不可用，请重试。")
	ErrLimit     = apperr.Define(apperr.Unavailable, "tracking.provider_busy", "The tracking provider takes no more requests at present; try again later.", "物流查询过于频繁，请稍后再试。")
	ErrConfig    = apperr.Define(apperr.Unavailable, "tracking.misconfigured", "The tracking provider refuses the service's account or keys.", "物流服务配置有误（账号或密钥被拒绝）。")
	ErrProvider  = apperr.Define(apperr.Unavailable, "tracking.provider_error", "The tracking provider gave an unexpected answer.", "物流服务返回了未知错误。")
	ErrSignature = apperr.Define(apperr.Unauthenticated, "tracking.push_signature_invalid", "The push is not signed by the tracking provider.", "物流推送签名无效。")
	ErrMalformed = apperr.Define(apperr.Malformed, "tracking.push_malformed", "The push cannot be read.", "物流推送内容无法解析。")
)

// RawCode is the cause of an error: the provider's own code.
type RawCode struct{ Provider, Operation, Code string }

// Error is for logs.
func (r RawCode) Error() string {
	return fmt.Sprintf("%s %s answered %q", r.Provider, r.Operation, r.Code)
}

// code bounds what becomes part of a log.
func code(s string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return -1
		}
		return r
	}, s[:min(len(s), 32)])
}

func outcome(err error) outgoing.Outcome {
	switch {
	case err == nil:
		return outgoing.OutcomeOK
	case ErrNotFound.Is(err), ErrRefused.Is(err):
		return outgoing.OutcomeRefused
	case ErrLimit.Is(err):
		return outgoing.OutcomeLimited
	case ErrConfig.Is(err):
		return outgoing.OutcomeMisconfigured
	case ErrDown.Is(err):
		return outgoing.OutcomeUnavailable
	}
	return outgoing.OutcomeProviderError
}

// Bounds of what is kept of a provider's words.
const (
	textMost   = 500 // characters
	placeMost  = 100
	numberMost = 64
	eventsMost = 500
)

// beijing is the time zone that the providers write their times in.
var beijing = time.FixedZone("CST", 8*60*60)

// step reads one step of the way; false drops it, so that one bad line does not lose the
// others.
func step(at, text, place string, state State) (Event, bool) {
	when, err := time.ParseInLocation(time.DateTime, at, beijing)
	if err != nil || when.Year() < 2000 || when.Year() > 9999 || text == "" || !utf8.ValidString(text) || !utf8.ValidString(place) {
		return Event{}, false
	}
	return Event{When(when), clip(text, textMost), clip(place, placeMost), state}, true
}

// When is a time as rows keep it.
func When(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

func clip(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most])
	}
	return s
}

// plausible is a carrier's or parcel's number that may become part of a row.
func plausible(s string) bool {
	if s == "" || len(s) > numberMost {
		return false
	}
	for _, r := range s {
		if r <= ' ' || r > '~' {
			return false
		}
	}
	return true
}
