package logistics

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // what Kuaidi100 signs with
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/shuke-crm/shuke/internal/platform/outgoing"
)

const (
	kuaidi100URL = "https://poll.kuaidi100.com"
	callTimeout  = 5 * time.Second
)

// Kuaidi100Config is one account.
type Kuaidi100Config struct {
	Customer string
	Key      string
	BaseURL  string // empty means Kuaidi100's own
}

// Kuaidi100 queries and subscribes. It implements Tracker.
type Kuaidi100 struct {
	config Kuaidi100Config
	client *outgoing.Client
}

// NewKuaidi100 makes a client. It asks nothing of the network.
func NewKuaidi100(c Kuaidi100Config, m *outgoing.Metrics) *Kuaidi100 {
	if c.BaseURL == "" {
		c.BaseURL = kuaidi100URL
	}
	c.BaseURL = strings.TrimRight(c.BaseURL, "/")
	return &Kuaidi100{config: c, client: outgoing.New(Kuaidi100Name, callTimeout, m)}
}

// Name implements Tracker.
func (*Kuaidi100) Name() string { return Kuaidi100Name }

func md5Hex(s string) string {
	sum := md5.Sum([]byte(s)) //nolint:gosec // as documented
	return hex.EncodeToString(sum[:])
}

// querySign signs exactly this text.
func querySign(param, key, customer string) string {
	return strings.ToUpper(md5Hex(param + key + customer))
}

// Query implements Tracker.
func (k *Kuaidi100) Query(ctx context.Context, p Parcel) (Track, error) {
	begun := time.Now()
	track, err := k.query(ctx, p)
	k.client.Observe("query", outcome(err), time.Since(begun))
	return track, err
}

func (k *Kuaidi100) query(ctx context.Context, p Parcel) (Track, error) {
	param, err := plainJSON(map[string]string{"com": p.Carrier, "num": p.Number, "phone": p.Phone, "resultv2": "1", "show": "0", "order": "desc"})
	if err != nil {
		return Track{}, ErrRefused.Wrap(err)
	}
	body, err := k.post(ctx, "/poll/query.do", url.Values{"customer": {k.config.Customer}, "param": {param}, "sign": {querySign(param, k.config.Key, k.config.Customer)}})
	if err != nil {
		return Track{}, err
	}
	return decodeQuery(body, p)
}

func decodeQuery(body []byte, p Parcel) (Track, error) {
	var answer struct {
		result
		Code text `json:"returnCode"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return Track{}, ErrProvider.Wrap(errors.New("the answer is no JSON"))
	}
	if answer.Status != "200" {
		return Track{}, kuaidi100Refusal("query", string(answer.Code))
	}
	track, err := answer.track()
	if err != nil || track.Number != p.Number {
		return Track{}, ErrProvider.Wrap(errors.New("the answer is about another number"))
	}
	return track, nil
}

// Subscription asks for pushes about a parcel.
type Subscription struct {
	Parcel
	CallbackURL string
	Salt        string // ours, a secret of this parcel: pushes are signed with it
}

// Subscribe asks for pushes until the parcel arrives. Asking twice is fine.
// Errors: as Query, without ErrNotFound.
func (k *Kuaidi100) Subscribe(ctx context.Context, s Subscription) error {
	begun := time.Now()
	err := k.subscribe(ctx, s)
	k.client.Observe("subscribe", outcome(err), time.Since(begun))
	return err
}

func (k *Kuaidi100) subscribe(ctx context.Context, s Subscription) error {
	param, err := plainJSON(map[string]any{"company": s.Carrier, "number": s.Number, "key": k.config.Key,
		"parameters": map[string]string{"callbackurl": s.CallbackURL, "salt": s.Salt, "phone": s.Phone, "resultv2": "1", "autoCom": "1"}})
	if err != nil {
		return ErrRefused.Wrap(err)
	}
	body, err := k.post(ctx, "/poll", url.Values{"schema": {"json"}, "param": {param}})
	if err != nil {
		return err
	}
	return decodeSubscribe(body)
}

func decodeSubscribe(body []byte) error {
	var answer struct {
		Result bool `json:"result"`
		Code   text `json:"returnCode"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return ErrProvider.Wrap(errors.New("the answer is no JSON"))
	}
	if answer.Result && answer.Code == "200" || answer.Code == "501" { // 501: subscribed already
		return nil
	}
	return kuaidi100Refusal("subscribe", string(answer.Code))
}

func kuaidi100Refusal(operation, raw string) error {
	cause := RawCode{Kuaidi100Name, operation, code(raw)}
	switch raw {
	case "500":
		if operation == "query" {
			return ErrNotFound.Wrap(cause) // no record, or the number is wrong
		}
		return ErrDown.Wrap(cause)
	case "400", "408", "700", "701", "702":
		return ErrRefused.Wrap(cause)
	case "503", "600":
		return ErrConfig.Wrap(cause)
	case "601":
		return ErrLimit.Wrap(cause)
	case "501", "502":
		return ErrDown.Wrap(cause)
	}
	return ErrProvider.Wrap(cause)
}

func (k *Kuaidi100) post(ctx context.Context, path string, form url.Values) ([]byte, error) {
	return post(ctx, k.client, k.config.BaseURL+path, form)
}

func post(ctx context.Context, client *outgoing.Client, address string, form url.Values) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, ErrConfig.Wrap(errors.New("the provider's address cannot be used"))
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")
	answer, err := client.Once(req)
	switch {
	case err != nil:
		return nil, ErrDown.Wrap(err)
	case answer.Status == http.StatusTooManyRequests:
		return nil, ErrLimit.Wrap(RawCode{client.Provider(), "http", "429"})
	case answer.Status != http.StatusOK:
		return nil, ErrDown.Wrap(RawCode{client.Provider(), "http", strconv.Itoa(answer.Status)})
	}
	return answer.Body, nil
}

// plainJSON writes < > & as they are: the other side reads the text itself.
func plainJSON(v any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", err
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// text is a string that the provider sometimes writes as a number.
type text string

// UnmarshalJSON takes both forms, and nothing as empty.
func (t *text) UnmarshalJSON(b []byte) error {
	var s string
	if len(b) > 0 && b[0] == '"' {
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
	} else if string(b) != "null" {
		s = string(b)
	}
	*t = text(s)
	return nil
}

// result is what Kuaidi100 knows of a parcel, in answers and pushes.
type result struct {
	State  text   `json:"state"`
	Status text   `json:"status"`
	Com    string `json:"com"`
	Number string `json:"nu"`
	Data   []struct {
		Time  string `json:"time"`
		FTime string `json:"ftime"`
		Text  string `json:"context"`
		Place string `json:"areaName"`
	} `json:"data"`
}

func kuaidi100State(s string) State {
	switch s {
	case "0", "7": // forwarded to another carrier is on its way too
		return InTransit
	case "1":
		return PickedUp
	case "2":
		return Problem
	case "3":
		return Delivered
	case "4":
		return Returned
	case "5":
		return Delivering
	case "6":
		return Returning
	case "8", "10", "11", "12", "13":
		return Customs
	case "14":
		return Refused
	}
	return Unknown
}

// track turns newest first into oldest first.
func (r result) track() (Track, error) {
	if !plausible(r.Number) || !plausible(r.Com) {
		return Track{}, errors.New("no number or carrier")
	}
	t := Track{Carrier: r.Com, Number: r.Number, State: kuaidi100State(string(r.State))}
	for _, line := range slices.Backward(r.Data) {
		at := line.FTime
		if at == "" {
			at = line.Time
		}
		if e, ok := step(at, line.Text, line.Place, Unknown); ok && len(t.Events) < eventsMost {
			t.Events = append(t.Events, e)
		}
	}
	slices.SortStableFunc(t.Events, func(a, b Event) int { return a.At.Compare(b.At) })
	return t, nil
}

// PushStatus is why a push came.
type PushStatus string

// Kinds of push.
const (
	PushPolling   PushStatus = "polling"
	PushShutdown  PushStatus = "shutdown"  // arrived: the last push
	PushAbort     PushStatus = "abort"     // no record for 3 days, or nothing new for 60: subscribe again or give up
	PushUpdateAll PushStatus = "updateall" // the history was written anew
)

// Kuaidi100Push is a verified push.
type Kuaidi100Push struct {
	Status PushStatus
	Track  Track // Number is empty in an abort that names none
	// CarrierWas is set when the carrier was corrected; Track.Carrier is the right one.
	CarrierWas string
}

// PushNumber reads the parcel's number out of a push that is not verified yet,
// so that its salt can be found. Nothing else of it may be believed.
// Error: ErrMalformed.
func PushNumber(body []byte) (string, error) {
	_, p, err := decodePush(body)
	if err != nil {
		return "", ErrMalformed.Wrap(err)
	}
	if !plausible(p.Last.Number) {
		return "", ErrMalformed.Wrap(errors.New("no number"))
	}
	return p.Last.Number, nil
}

type pushParam struct {
	Status string `json:"status"`
	Check  text   `json:"autoCheck"`
	Old    string `json:"comOld"`
	New    string `json:"comNew"`
	Last   result `json:"lastResult"`
}

func decodePush(body []byte) (url.Values, pushParam, error) {
	form, err := url.ParseQuery(string(body))
	if err != nil || len(form["param"]) != 1 || !utf8.ValidString(form.Get("param")) {
		return nil, pushParam{}, errors.New("no form with one param")
	}
	var p pushParam
	if err := json.Unmarshal([]byte(form.Get("param")), &p); err != nil {
		return nil, pushParam{}, errors.New("param is no JSON")
	}
	return form, p, nil
}

// PushSign is the signature of a push's param.
func PushSign(param, salt string) string { return md5Hex(param + salt) }

// ParseKuaidi100Push verifies a push with the parcel's salt and reads it.
// Errors: ErrMalformed, ErrSignature.
func ParseKuaidi100Push(body []byte, salt string) (Kuaidi100Push, error) {
	form, p, err := decodePush(body)
	if err != nil {
		return Kuaidi100Push{}, ErrMalformed.Wrap(err)
	}
	if salt == "" || !hmac.Equal([]byte(strings.ToLower(form.Get("sign"))), []byte(PushSign(form.Get("param"), salt))) {
		return Kuaidi100Push{}, ErrSignature.New()
	}
	out := Kuaidi100Push{Status: PushStatus(p.Status)}
	switch out.Status {
	case PushPolling, PushShutdown, PushAbort, PushUpdateAll:
	default:
		return Kuaidi100Push{}, ErrMalformed.Wrap(errors.New("an unknown status"))
	}
	if out.Track, err = p.Last.track(); err != nil {
		return Kuaidi100Push{}, ErrMalformed.Wrap(err)
	}
	if plausible(p.New) && p.New != p.Old && p.Check == "1" {
		out.CarrierWas, out.Track.Carrier = code(p.Old), p.New
	}
	return out, nil
}

// Kuaidi100Answer is what ends the repetitions of a push, or asks for another.
func Kuaidi100Answer(taken bool) []byte {
	if taken {
		return []byte(`{"result":true,"returnCode":"200","message":"成功"}`)
	}
	return []byte(`{"result":false,"returnCode":"500","message":"失败"}`)
}
