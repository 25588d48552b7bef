package member_test

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/api/client"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/fake"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/testkit"
)

var start = time.Date(2026, 7, 1, 2, 0, 0, 0, time.UTC)

type object = map[string]any

var agreed = object{"text_version": 1}

// world is an application with people who hold phones.
type world struct {
	*testkit.App
	n     *atomic.Int64
	store uuid.UUID
}

func newWorld(t *testing.T, opts ...testkit.Option) *world {
	w := &world{App: testkit.New(t, append([]testkit.Option{testkit.At(start)}, opts...)...), n: &atomic.Int64{}}
	w.store = w.Store().Id
	return w
}

// from is an address of its own for each call: limits count them.
func (w *world) from() []string {
	n := w.n.Add(1)
	return []string{"X-Forwarded-For", fmt.Sprintf("203.0.%d.%d", n>>8&255, n&255)}
}

// member is somebody signed in.
type member struct {
	w *world
	client.MemberTokens
}

func (m *member) do(method, path string, body any, headers ...string) *testkit.Response {
	m.w.T.Helper()
	return m.w.Do(method, path, body, append([]string{"Authorization", "Bearer " + m.AccessToken}, headers...)...)
}

func (m *member) profile() (p client.MemberProfile) {
	m.w.T.Helper()
	m.do(http.MethodGet, "/v1/member/profile", nil).Want(http.StatusOK).JSON(&p)
	return p
}

func (m *member) refresh() *testkit.Response {
	m.w.T.Helper()
	return m.w.Do(http.MethodPost, "/v1/member/auth/refresh", object{"refresh_token": m.RefreshToken})
}

func (m *member) identities() []client.CustomerIdentity {
	m.w.T.Helper()
	var list client.CustomerIdentityList
	m.do(http.MethodGet, "/v1/member/identities", nil).Want(http.StatusOK).JSON(&list)
	return list.Items
}

func (m *member) providers() (out []string) {
	for _, i := range m.identities() {
		out = append(out, string(i.Provider))
	}
	return out
}

func (w *world) signedIn(r *testkit.Response) *member {
	w.T.Helper()
	m := &member{w: w}
	r.Want(http.StatusOK).JSON(&m.MemberTokens)
	return m
}

func device(name string) string { return "device-" + name }

func (w *world) mini(code, name string) *testkit.Response {
	w.T.Helper()
	return w.Do(http.MethodPost, "/v1/member/auth/wechat-mini", object{"code": code, "device_id": device(name), "consent": agreed}, w.from()...)
}

// wechat signs somebody in by the mini-program.
func (w *world) wechat(openID, unionID string) *member {
	w.T.Helper()
	return w.signedIn(w.mini(w.Outside.LoginCode(fake.Person{OpenID: openID, UnionID: unionID}), openID))
}

// bind binds a phone by the phone button.
func (m *member) bind(phone string) *testkit.Response {
	m.w.T.Helper()
	return m.do(http.MethodPost, "/v1/member/auth/wechat-mini/phone", object{"code": m.w.Outside.PhoneCode(fake.Phone{Phone: phone})})
}

func (m *member) bound(phone string) (l client.MemberLinked) {
	m.w.T.Helper()
	m.bind(phone).Want(http.StatusOK).JSON(&l)
	return l
}

// send asks for a code by text message and reads it off the phone.
func (w *world) send(phone, purpose, name string) (challenge uuid.UUID, code string) {
	w.T.Helper()
	var sent client.MemberCodeSent
	w.Do(http.MethodPost, "/v1/member/auth/sms-codes", object{"phone": phone, "purpose": purpose, "device_id": device(name)}, w.from()...).Want(http.StatusOK).JSON(&sent)
	code = w.Outside.SMSCode("+86" + phone)
	require.Len(w.T, code, 6)
	return sent.ChallengeId, code
}

func (w *world) enterCode(challenge uuid.UUID, phone, code, name string) *testkit.Response {
	w.T.Helper()
	return w.Do(http.MethodPost, "/v1/member/auth/sms",
		object{"challenge_id": challenge, "phone": phone, "code": code, "device_id": device(name), "consent": agreed}, w.from()...)
}

// sms signs somebody in by a text message.
func (w *world) sms(phone, name string) *member {
	w.T.Helper()
	challenge, code := w.send(phone, "sign_in", name)
	return w.signedIn(w.enterCode(challenge, phone, code, name))
}

// customer makes a customer as staff would.
func (w *world) customer(phone, name string) *customers.Customer {
	w.T.Helper()
	c, err := w.Server.Customers.Create(auth.System(w.T.Context(), "test"),
		customers.Input{Name: nullable.NewNullableWithValue(name), Phone: nullable.NewNullableWithValue(phone)})
	require.NoError(w.T, err)
	return c
}

// buys gives a customer an order.
func (w *world) buys(customerID uuid.UUID) uuid.UUID {
	w.T.Helper()
	id := uuid.Must(uuid.NewV7())
	_, err := w.DB.Exec(w.T.Context(), `INSERT INTO orders (id, order_number, store_id, customer_id, external_number, currency, placed_at, business_day, created_at, updated_at)
		VALUES ($1::uuid, left($1::text, 32), $2, $3, $1::text, 'CNY', $4, current_date, $4, $4)`, id, w.store, customerID, w.Clock.Now())
	require.NoError(w.T, err)
	return id
}

func (w *world) count(query string, args ...any) (n int) {
	w.T.Helper()
	require.NoError(w.T, w.DB.QueryRow(w.T.Context(), query, args...).Scan(&n))
	return n
}

func (w *world) events(kind string) int {
	w.T.Helper()
	return w.count(`SELECT count(*) FROM outbox_events WHERE type = $1`, kind)
}

func code(r *testkit.Response) string {
	var p testkit.Problem
	r.JSON(&p)
	return p.Code
}

// oidc signs the provider's present account in, as a browser would.
func (w *world) oidc(name string) *testkit.Response {
	w.T.Helper()
	var begun client.MemberAuthorization
	w.Do(http.MethodGet, "/v1/member/auth/oidc/"+fake.OIDCName+"/authorize?device_id="+device(name), nil).Want(http.StatusOK).JSON(&begun)
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := browser.Get(begun.Url)
	require.NoError(w.T, err)
	_ = res.Body.Close()
	back, err := res.Location()
	require.NoError(w.T, err)
	require.Equal(w.T, begun.State, back.Query().Get("state"))
	return w.Do(http.MethodPost, "/v1/member/auth/oidc/"+fake.OIDCName,
		object{"code": back.Query().Get("code"), "state": begun.State, "device_id": device(name), "consent": agreed}, w.from()...)
}
