package logistics_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/fake"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/config"
	"github.com/shuke-crm/shuke/internal/platform/logistics"
)

type post struct {
	*fake.Server
	kuaidi100 *logistics.Kuaidi100
	sf        *logistics.SF
	config    config.Outside
	mu        sync.Mutex
	bodies    [][]byte
	answer    []byte
	box       string
}

func open(t *testing.T) *post {
	t.Helper()
	p := &post{answer: logistics.Kuaidi100Answer(true)}
	var err error
	p.Server, err = fake.Start(fake.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	box := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.bodies = append(p.bodies, body)
		_, _ = w.Write(p.answer)
	}))
	t.Cleanup(box.Close)
	p.box, p.config = box.URL, p.Settings(config.Outside{})
	p.kuaidi100 = logistics.NewKuaidi100(logistics.Kuaidi100Config{Customer: p.config.Kuaidi100Customer, Key: p.config.Kuaidi100Key.Reveal(), BaseURL: p.config.Kuaidi100URL}, nil)
	p.sf = logistics.NewSF(logistics.SFConfig{PartnerID: p.config.SFPartnerID, Checkword: p.config.SFCheckword.Reveal(), BaseURL: p.config.SFURL}, clock.New(time.UTC), nil)
	return p
}

func (p *post) scan(t *testing.T, s fake.Scan) []fake.Push {
	t.Helper()
	pushes, err := p.AddScan(s)
	require.NoError(t, err)
	return pushes
}

func (p *post) last() []byte { p.mu.Lock(); defer p.mu.Unlock(); return p.bodies[len(p.bodies)-1] }

var day = time.Date(2026, 11, 20, 1, 0, 0, 0, time.UTC)

func TestKuaidi100(t *testing.T) {
	p, ctx := open(t), t.Context()
	parcel := logistics.Parcel{Carrier: "yuantong", Number: "YT0000000001"}
	_, err := p.kuaidi100.Query(ctx, parcel)
	require.True(t, logistics.ErrNotFound.Is(err))
	p.scan(t, fake.Scan{Carrier: "yuantong", Number: parcel.Number, Text: "到达 <上海> & 分拨", Place: "上海", State: "0", At: day.Add(time.Hour)})
	p.scan(t, fake.Scan{Carrier: "yuantong", Number: parcel.Number, Text: "已揽收", State: "1", At: day})
	track, err := p.kuaidi100.Query(ctx, parcel)
	require.NoError(t, err)
	require.Equal(t, []logistics.Event{{At: day, Text: "已揽收", State: logistics.Unknown}, {At: day.Add(time.Hour), Text: "到达 <上海> & 分拨", Place: "上海", State: logistics.Unknown}}, track.Events)
	require.NotEqual(t, track.Events[0].Key(), track.Events[1].Key())
	_, err = p.kuaidi100.Query(ctx, logistics.Parcel{Carrier: "shunfeng", Number: "SF1"})
	require.True(t, logistics.ErrRefused.Is(err), "SF wants the phone")

	subscription := logistics.Subscription{Parcel: parcel, CallbackURL: p.box, Salt: "salt"}
	require.NoError(t, p.kuaidi100.Subscribe(ctx, subscription))
	require.NoError(t, p.kuaidi100.Subscribe(ctx, subscription), "501: subscribed already")
	pushes := p.scan(t, fake.Scan{Carrier: "yuantong", Number: parcel.Number, Text: "已签收", State: "3", At: day.Add(2 * time.Hour)})
	require.True(t, pushes[0].Taken)
	number, err := logistics.PushNumber(p.last())
	require.NoError(t, err)
	require.Equal(t, parcel.Number, number)
	push, err := logistics.ParseKuaidi100Push(p.last(), "salt")
	require.NoError(t, err)
	require.Equal(t, logistics.PushShutdown, push.Status)
	require.Equal(t, logistics.Delivered, push.Track.State)
	require.Len(t, push.Track.Events, 3, "the whole history each time")
	_, err = logistics.ParseKuaidi100Push(p.last(), "another")
	require.True(t, logistics.ErrSignature.Is(err))
	_, err = logistics.ParseKuaidi100Push(p.last(), "")
	require.True(t, logistics.ErrSignature.Is(err))

	_, err = p.PushParcel(fake.PushOrder{Number: parcel.Number, Status: "polling", CarrierNew: "zhongtong"})
	require.NoError(t, err)
	push, err = logistics.ParseKuaidi100Push(p.last(), "salt")
	require.NoError(t, err)
	require.Equal(t, "yuantong", push.CarrierWas)
	require.Equal(t, "zhongtong", push.Track.Carrier)
	_, err = p.PushParcel(fake.PushOrder{Number: parcel.Number, Status: "abort"})
	require.NoError(t, err)
	push, err = logistics.ParseKuaidi100Push(p.last(), "salt")
	require.NoError(t, err)
	require.Equal(t, logistics.PushAbort, push.Status)
	require.Empty(t, p.Subscribed(parcel.Number), "it has given up")
	require.NoError(t, p.kuaidi100.Subscribe(ctx, subscription))
	_, err = p.PushParcel(fake.PushOrder{Number: parcel.Number, Spoil: "signature"})
	require.NoError(t, err)
	_, err = logistics.ParseKuaidi100Push(p.last(), "salt")
	require.True(t, logistics.ErrSignature.Is(err))
	_, err = p.PushParcel(fake.PushOrder{Number: parcel.Number, Spoil: "garbage"})
	require.NoError(t, err)
	_, err = logistics.ParseKuaidi100Push(p.last(), "salt")
	require.True(t, logistics.ErrMalformed.Is(err))

	p.answer = logistics.Kuaidi100Answer(false)
	pushes, err = p.PushParcel(fake.PushOrder{Number: parcel.Number})
	require.NoError(t, err)
	require.False(t, pushes[0].Taken)
}

func TestSF(t *testing.T) {
	p, ctx := open(t), t.Context()
	parcel := logistics.Parcel{Carrier: "shunfeng", Number: "SF1000000000001", Phone: "13800138000"}
	_, err := p.sf.Query(ctx, parcel)
	require.True(t, logistics.ErrNotFound.Is(err))
	p.answer = logistics.SFAnswer(true)
	p.SetSFPush(p.box)
	pushes := p.scan(t, fake.Scan{Carrier: "shunfeng", Number: parcel.Number, Text: "已收取快件", Place: "深圳市", OpCode: "50", At: day, Phone: "8000"})
	require.True(t, pushes[0].Taken)
	tracks, err := logistics.ParseSFPush(p.last())
	require.NoError(t, err)
	require.Equal(t, []logistics.Track{{Carrier: "shunfeng", Number: parcel.Number, State: logistics.PickedUp, Events: []logistics.Event{{At: day, Text: "已收取快件", Place: "深圳市", State: logistics.PickedUp}}}}, tracks)
	p.scan(t, fake.Scan{Carrier: "shunfeng", Number: parcel.Number, Text: "已签收 ~*~", OpCode: "80", At: day.Add(time.Hour)})
	tracks, err = logistics.ParseSFPush(p.last())
	require.NoError(t, err)
	require.Len(t, tracks[0].Events, 1, "increments only")
	track, err := p.sf.Query(ctx, parcel)
	require.NoError(t, err)
	require.Equal(t, logistics.Delivered, track.State)
	require.Len(t, track.Events, 2)
	parcel.Phone = "0001"
	_, err = p.sf.Query(ctx, parcel)
	require.True(t, logistics.ErrNotFound.Is(err), "a wrong phone shows nothing")
	for _, wrong := range []string{"", "{}", `{"Body":{"WaybillRoute":[]}}`, `{"Body":{"WaybillRoute":[{"mailno":""}]}}`, `{"Body":{"WaybillRoute":[` + strings.Repeat(`{"mailno":"a"},`, 10) + `{"mailno":"a"}]}}`} {
		_, err := logistics.ParseSFPush([]byte(wrong))
		require.True(t, logistics.ErrMalformed.Is(err), wrong)
	}
	p.answer = logistics.SFAnswer(false)
	require.False(t, p.scan(t, fake.Scan{Carrier: "shunfeng", Number: parcel.Number, Text: "x"})[0].Taken)
}

func TestFailures(t *testing.T) {
	p := open(t)
	p.scan(t, fake.Scan{Carrier: "yuantong", Number: "YT1", Text: "x", At: day})
	p.scan(t, fake.Scan{Carrier: "shunfeng", Number: "YT1", Text: "x", At: day})
	calls := map[string]func(context.Context) error{
		"kuaidi100.query": func(ctx context.Context) error {
			_, err := p.kuaidi100.Query(ctx, logistics.Parcel{Carrier: "yuantong", Number: "YT1"})
			return err
		},
		"kuaidi100.subscribe": func(ctx context.Context) error {
			return p.kuaidi100.Subscribe(ctx, logistics.Subscription{Parcel: logistics.Parcel{Carrier: "yuantong", Number: "YT1"}, CallbackURL: p.box, Salt: "s"})
		},
		"sf.query": func(ctx context.Context) error {
			_, err := p.sf.Query(ctx, logistics.Parcel{Carrier: "shunfeng", Number: "YT1"})
			return err
		},
	}
	for target, call := range calls {
		for fault, want := range map[fake.Fault]*apperr.Definition{
			{Kind: fake.ResetBefore}: logistics.ErrDown, {Kind: fake.ErrorAfter}: logistics.ErrDown, {Kind: fake.RateLimit}: logistics.ErrLimit,
			{Kind: fake.Garbage}: logistics.ErrProvider, {Kind: fake.Huge}: logistics.ErrDown,
		} {
			fault.Target = target
			p.Fail(fault)
			err := call(t.Context())
			require.True(t, want.Is(err), "%v: %v", fault, err)
			require.NotContains(t, err.Error(), "stand-in-")
		}
		p.Heal()
	}
	p.Fail(fake.Fault{Target: "sf.query", Kind: fake.Code, Code: "S0001"})
	require.True(t, logistics.ErrRefused.Is(calls["sf.query"](t.Context())), "A1000 with an inner failure")
	p.Fail(fake.Fault{Target: "sf.query", Kind: fake.Code, Code: "A1006"})
	require.True(t, logistics.ErrConfig.Is(calls["sf.query"](t.Context())))
	p.Fail(fake.Fault{Target: "kuaidi100.query", Kind: fake.Code, Code: "503"})
	require.True(t, logistics.ErrConfig.Is(calls["kuaidi100.query"](t.Context())))
	stranger := logistics.NewSF(logistics.SFConfig{PartnerID: fake.SFPartnerID, Checkword: "wrong", BaseURL: p.config.SFURL}, clock.New(time.UTC), nil)
	_, err := stranger.Query(t.Context(), logistics.Parcel{Number: "YT1"})
	require.True(t, logistics.ErrConfig.Is(err))
}
