package logistics

import (
	"context"
	"crypto/md5" //nolint:gosec // what SF signs with
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/outgoing"
)

const sfURL = "https://bspgw.sf-express.com/std/service"

// SFConfig is one account.
type SFConfig struct {
	PartnerID string
	Checkword string
	BaseURL   string // of the service; empty means SF's own, https://sfapi-sbox.sf-express.com/std/service is its sandbox
}

// SF queries routes. It implements Tracker.
type SF struct {
	config SFConfig
	clock  *clock.Clock
	client *outgoing.Client
}

// NewSF makes a client. It asks nothing of the network.
func NewSF(c SFConfig, clk *clock.Clock, m *outgoing.Metrics) *SF {
	if c.BaseURL == "" {
		c.BaseURL = sfURL
	}
	return &SF{config: c, clock: clk, client: outgoing.New(SFName, callTimeout, m)}
}

// Name implements Tracker.
func (*SF) Name() string { return SFName }

// javaEscape escapes as Java's URLEncoder does, which SF signs: unlike Go's
// QueryEscape it leaves * and escapes ~.
func javaEscape(s string) string {
	return strings.NewReplacer("%2A", "*", "~", "%7E").Replace(url.QueryEscape(s))
}

// digest signs exactly these texts.
func digest(content, timestamp, checkword string) string {
	sum := md5.Sum([]byte(javaEscape(content + timestamp + checkword))) //nolint:gosec // as documented
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Query implements Tracker.
func (s *SF) Query(ctx context.Context, p Parcel) (Track, error) {
	begun := time.Now()
	track, err := s.query(ctx, p)
	s.client.Observe("query", outcome(err), time.Since(begun))
	return track, err
}

func (s *SF) query(ctx context.Context, p Parcel) (Track, error) {
	in := map[string]any{"language": "zh-CN", "trackingType": "1", "trackingNumber": []string{p.Number}, "methodType": "1"}
	if len(p.Phone) >= 4 {
		in["checkPhoneNo"] = p.Phone[len(p.Phone)-4:]
	}
	content, err := plainJSON(in)
	if err != nil {
		return Track{}, ErrRefused.Wrap(err)
	}
	timestamp := strconv.FormatInt(s.clock.Now().UnixMilli(), 10)
	body, err := post(ctx, s.client, s.config.BaseURL, url.Values{
		"partnerID": {s.config.PartnerID}, "requestID": {requestID()}, "serviceCode": {"EXP_RECE_SEARCH_ROUTES"},
		"timestamp": {timestamp}, "msgData": {content}, "msgDigest": {digest(content, timestamp, s.config.Checkword)},
	})
	if err != nil {
		return Track{}, err
	}
	return decodeRoutes(body, p.Number)
}

func requestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

type route struct {
	ID     text   `json:"id"`
	Mail   string `json:"mailno"`
	Time   string `json:"acceptTime"`
	Place  string `json:"acceptAddress"`
	Remark string `json:"remark"`
	Op     text   `json:"opCode"`
}

// sfState knows the codes that matter; the others are on the way.
func sfState(op string) State {
	switch op {
	case "50", "54":
		return PickedUp
	case "80", "8000":
		return Delivered
	case "44", "204":
		return Delivering
	case "33", "70":
		return Problem
	case "99", "648":
		return Returning
	}
	return InTransit
}

// decodeRoutes reads an answer: A1000 says only that the request was reached.
func decodeRoutes(body []byte, number string) (Track, error) {
	var outer struct {
		Code string `json:"apiResultCode"`
		Data string `json:"apiResultData"`
	}
	if err := json.Unmarshal(body, &outer); err != nil {
		return Track{}, ErrProvider.Wrap(errors.New("the answer is no JSON"))
	}
	cause := RawCode{SFName, "query", code(outer.Code)}
	switch outer.Code {
	case "A1000":
	case "A1005":
		return Track{}, ErrLimit.Wrap(cause)
	case "A1001", "A1003", "A1004", "A1006":
		return Track{}, ErrConfig.Wrap(cause)
	case "A1099":
		return Track{}, ErrDown.Wrap(cause)
	default:
		return Track{}, ErrProvider.Wrap(cause)
	}
	var inner struct {
		Success bool `json:"success"`
		Code    text `json:"errorCode"`
		Data    struct {
			Routes []struct {
				Mail   string  `json:"mailNo"`
				Routes []route `json:"routes"`
			} `json:"routeResps"`
		} `json:"msgData"`
	}
	if err := json.Unmarshal([]byte(outer.Data), &inner); err != nil {
		return Track{}, ErrProvider.Wrap(errors.New("the inner answer is no JSON"))
	}
	if !inner.Success || inner.Code != "S0000" {
		return Track{}, ErrRefused.Wrap(RawCode{SFName, "query", code("A1000 " + string(inner.Code))})
	}
	for _, one := range inner.Data.Routes {
		if one.Mail != number {
			continue
		}
		t := Track{Carrier: SFCarrier, Number: number, State: Unknown}
		t.take(one.Routes)
		if len(t.Events) > 0 {
			return t, nil
		}
	}
	return Track{}, ErrNotFound.New()
}

// take puts steps in order; the last one says the state.
func (t *Track) take(routes []route) {
	for _, r := range routes {
		if e, ok := step(r.Time, r.Remark, r.Place, sfState(string(r.Op))); ok && len(t.Events) < eventsMost {
			t.Events = append(t.Events, e)
		}
	}
	slices.SortStableFunc(t.Events, func(a, b Event) int { return a.At.Compare(b.At) })
	if n := len(t.Events); n > 0 {
		t.State = t.Events[n-1].State
	}
}

// pushMost is how many steps SF puts into one push.
const pushMost = 10

// ParseSFPush reads a push: new steps of some parcels. SF signs none: the
// secret path it comes by is the proof.
// Error: ErrMalformed.
func ParseSFPush(body []byte) ([]Track, error) {
	var in struct {
		Body struct {
			Routes []route `json:"WaybillRoute"`
		} `json:"Body"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, ErrMalformed.Wrap(errors.New("no JSON"))
	}
	if len(in.Body.Routes) == 0 || len(in.Body.Routes) > pushMost {
		return nil, ErrMalformed.Wrap(errors.New("1 to 10 steps are expected"))
	}
	byNumber, order := map[string][]route{}, []string{}
	for _, r := range in.Body.Routes {
		if !plausible(r.Mail) {
			return nil, ErrMalformed.Wrap(errors.New("no number"))
		}
		if byNumber[r.Mail] == nil {
			order = append(order, r.Mail)
		}
		byNumber[r.Mail] = append(byNumber[r.Mail], r)
	}
	var tracks []Track
	for _, number := range order {
		t := Track{Carrier: SFCarrier, Number: number, State: Unknown}
		t.take(byNumber[number])
		tracks = append(tracks, t)
	}
	return tracks, nil
}

// SFAnswer is what ends the repetitions of a push, or asks for another.
func SFAnswer(taken bool) []byte {
	if taken {
		return []byte(`{"return_code":"0000","return_msg":"成功"}`)
	}
	return []byte(`{"return_code":"1000","return_msg":"系统异常"}`)
}

var (
	_ Tracker = (*Kuaidi100)(nil)
	_ Tracker = (*SF)(nil)
)
