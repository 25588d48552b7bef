package member_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/api/client"
	"github.com/shuke-crm/shuke/internal/fake"
	"github.com/shuke-crm/shuke/internal/testkit"
)

func TestMiniProgramPath(t *testing.T) {
	w := newWorld(t)
	var texts client.ConsentTexts
	w.Do(http.MethodGet, "/v1/member/consent-texts", nil, "Accept-Language", "en").Want(http.StatusOK).JSON(&texts)
	require.Len(t, texts.Texts, 4)
	assert.Equal(t, "Membership terms and privacy notice", texts.Texts[0].Title)

	login := w.Outside.LoginCode(fake.Person{OpenID: "o-li", UnionID: "u-li"})
	r := w.Do(http.MethodPost, "/v1/member/auth/wechat-mini", object{"code": login, "device_id": device("li")}, w.from()...).Want(http.StatusUnprocessableEntity)
	assert.Equal(t, "member.consent_needed", code(r))
	assert.Zero(t, w.count(`SELECT count(*) FROM customers`), "nobody is made without consent")
	r = w.Do(http.MethodPost, "/v1/member/auth/wechat-mini", object{"code": login, "device_id": device("li"), "consent": object{"text_version": 2}}, w.from()...)
	assert.Equal(t, "member.text_version", code(r.Want(http.StatusUnprocessableEntity)))

	m := w.signedIn(w.mini(login, "li"))
	assert.True(t, m.NewMember)
	assert.Equal(t, 1, w.Outside.Calls("wechat.code_to_session"), "the code was spent once for all three")
	assert.Equal(t, 1, w.events("member.signed_up"))
	p := m.profile()
	assert.Equal(t, int32(1), p.TermsVersion)
	assert.True(t, p.Phone.IsNull())

	l := m.bound("13800000001")
	assert.False(t, l.Joined)
	assert.True(t, l.Tokens.IsNull())
	p = m.profile()
	assert.Equal(t, "+8613800000001", p.Phone.MustGet())
	assert.True(t, p.PhoneVerified)
	assert.Equal(t, []string{"wechat_mini", "phone"}, m.providers())

	// wx.request has no PATCH.
	r = m.do(http.MethodPost, "/v1/member/profile", object{"name": "李小明", "birth_date": "1990-05-01", "address": object{"city": "上海市"}}, "X-HTTP-Method-Override", "PATCH")
	r.Want(http.StatusOK).JSON(&p)
	assert.Equal(t, "李小明", p.Name.MustGet(), "in clear, to oneself")
	assert.NotEmpty(t, r.Header.Get("ETag"))
	r = m.do(http.MethodPatch, "/v1/member/profile", object{"birth_date": "1991-05-01"})
	assert.Equal(t, "member.birth_date_set", code(r.Want(http.StatusConflict)))
	m.do(http.MethodPatch, "/v1/member/profile", object{"birth_date": "1990-05-01"}).Want(http.StatusOK)

	other := w.signedIn(w.mini(w.Outside.LoginCode(fake.Person{OpenID: "o-li", UnionID: "u-li"}), "pad"))
	assert.False(t, other.NewMember)
	assert.Equal(t, m.CustomerId, other.CustomerId)
	var sessions client.MemberSessionList
	m.do(http.MethodGet, "/v1/member/auth/sessions", nil).Want(http.StatusOK).JSON(&sessions)
	require.Len(t, sessions.Items, 2)
	assert.Equal(t, "wechat_mini", sessions.Items[0].Provider)
	assert.True(t, sessions.Items[1].Current)

	m.do(http.MethodPost, "/v1/member/auth/sessions", nil, "X-HTTP-Method-Override", "DELETE").Want(http.StatusNoContent)
	for _, gone := range []*member{m, other} {
		assert.Equal(t, "auth.session_ended", code(gone.do(http.MethodGet, "/v1/member/profile", nil).Want(http.StatusUnauthorized)))
		assert.Equal(t, "auth.session_ended", code(gone.refresh().Want(http.StatusUnauthorized)))
	}
	// The code that signed in a moment ago does so no more.
	assert.Equal(t, "wechat.code_invalid", code(w.mini(login, "li").Want(http.StatusUnprocessableEntity)))
}

// One code sent twenty times at once: the provider sees it once, one customer
// comes of it, and everybody is signed in.
func TestOneCodeSentInParallel(t *testing.T) {
	w := newWorld(t)
	beside := testkit.New(t, testkit.Beside(w.App))
	login := w.Outside.LoginCode(fake.Person{OpenID: "o-many"})
	challenge, digits := w.send("13800000002", "sign_in", "many")
	var wg sync.WaitGroup
	for i := range 20 {
		app := w.App
		if i%2 == 1 {
			app = beside
		}
		headers := w.from()
		wg.Go(func() {
			app.Do(http.MethodPost, "/v1/member/auth/wechat-mini", object{"code": login, "device_id": device("many"), "consent": agreed}, headers...).Want(http.StatusOK)
			app.Do(http.MethodPost, "/v1/member/auth/sms", object{"challenge_id": challenge, "phone": "13800000002", "code": digits, "device_id": device("many"),
				"consent": agreed}, headers...).Want(http.StatusOK)
		})
	}
	wg.Wait()
	assert.Equal(t, 1, w.Outside.Calls("wechat.code_to_session"))
	assert.Equal(t, 2, w.count(`SELECT count(*) FROM customers`), "one by WeChat, one by phone")
	assert.Equal(t, 2, w.events("member.signed_up"))
	assert.Equal(t, 1, w.count(`SELECT attempts FROM one_time_codes WHERE id = $1`, challenge))
	assert.Equal(t, 2, w.count(`SELECT count(*) FROM consents`))

	r := w.mini(login, "thief")
	assert.Equal(t, "member.other_device", code(r.Want(http.StatusForbidden)))
	w.Advance(5*time.Minute + time.Second)
	assert.Equal(t, "wechat.code_invalid", code(w.mini(login, "many").Want(http.StatusUnprocessableEntity)), "after that WeChat is asked")
}

func TestProviderMisbehaves(t *testing.T) {
	w := newWorld(t)
	login := w.Outside.LoginCode(fake.Person{OpenID: "o-slow"})
	w.Outside.Fail(fake.Fault{Target: "wechat.code_to_session", Kind: fake.ResetBefore, Times: 1})
	assert.Equal(t, "wechat.result_unknown", code(w.mini(login, "slow").Want(http.StatusServiceUnavailable)))
	w.signedIn(w.mini(login, "slow")) // the code was not spent after all

	login = w.Outside.LoginCode(fake.Person{OpenID: "o-lost"})
	w.Outside.Fail(fake.Fault{Target: "wechat.code_to_session", Kind: fake.ResetAfter, Times: 1})
	assert.Equal(t, "wechat.result_unknown", code(w.mini(login, "lost").Want(http.StatusServiceUnavailable)))
	assert.Equal(t, "wechat.code_invalid", code(w.mini(login, "lost").Want(http.StatusUnprocessableEntity)))
	calls := w.Outside.Calls("wechat.code_to_session")
	assert.Equal(t, "wechat.code_invalid", code(w.mini(login, "lost").Want(http.StatusUnprocessableEntity)))
	assert.Equal(t, calls, w.Outside.Calls("wechat.code_to_session"), "a spent code is not asked about twice")

	w.Outside.Fail(fake.Fault{Target: "sms.send", Kind: fake.Busy, Times: 1})
	w.Do(http.MethodPost, "/v1/member/auth/sms-codes", object{"phone": "13800000003", "purpose": "sign_in", "device_id": device("x")}, w.from()...).Want(http.StatusServiceUnavailable)
}

func TestSignInByPhone(t *testing.T) {
	w := newWorld(t)
	till := w.customer("138 0000 0004", "王老板")
	w.buys(till.ID)
	challenge, digits := w.send("13800000004", "sign_in", "wang")
	wrong := "000000"
	if digits == wrong {
		wrong = "000001"
	}
	assert.Equal(t, "codes.wrong", code(w.enterCode(challenge, "13800000004", wrong, "wang").Want(http.StatusUnprocessableEntity)))
	assert.Equal(t, "codes.expired", code(w.enterCode(challenge, "13800000005", digits, "wang").Want(http.StatusUnprocessableEntity)), "for another number")
	m := w.signedIn(w.enterCode(challenge, "13800000004", digits, "wang"))
	assert.Equal(t, till.ID, m.CustomerId, "whom the till knows by this phone")
	assert.True(t, m.NewMember)

	var orders client.MemberOrderList
	m.do(http.MethodGet, "/v1/member/orders", nil).Want(http.StatusOK).JSON(&orders)
	require.Len(t, orders.Items, 1)
	assert.NotEmpty(t, orders.Items[0].StoreName)
	m.do(http.MethodGet, "/v1/member/orders/"+orders.Items[0].Id.String(), nil).Want(http.StatusOK)
	foreign := w.buys(w.customer("13800000006", "别人").ID)
	m.do(http.MethodGet, "/v1/member/orders/"+foreign.String(), nil).Want(http.StatusNotFound)

	r := w.Do(http.MethodPost, "/v1/member/auth/sms-codes", object{"phone": "13800000004", "purpose": "sign_in", "device_id": device("wang")}, w.from()...)
	assert.Equal(t, "codes.too_many", code(r.Want(http.StatusTooManyRequests)))
	assert.NotEmpty(t, r.Header.Get("Retry-After"))
	for _, bad := range []string{"021-12345678", "not a number"} {
		r := w.Do(http.MethodPost, "/v1/member/auth/sms-codes", object{"phone": bad, "purpose": "sign_in", "device_id": device("wang")}, w.from()...)
		assert.Equal(t, "member.phone_invalid", code(r.Want(http.StatusUnprocessableEntity)), bad)
	}

	// Archived customers are refused, within a second and at the door.
	w.Admin().Do(http.MethodDelete, "/v1/customers/"+till.ID.String(), nil).Want(http.StatusNoContent)
	m.do(http.MethodGet, "/v1/member/profile", nil).Want(http.StatusUnauthorized)
	assert.Equal(t, "member.account_closed", code(m.refresh().Want(http.StatusForbidden)))
	w.Advance(2 * time.Minute)
	challenge, digits = w.send("13800000004", "sign_in", "wang")
	assert.Equal(t, "member.account_closed", code(w.enterCode(challenge, "13800000004", digits, "wang").Want(http.StatusForbidden)))
}

func TestPassword(t *testing.T) {
	w := newWorld(t)
	m := w.wechat("o-pw", "")
	set := func(m *member, password string, current ...string) *testkit.Response {
		body := object{"password": password}
		if len(current) > 0 {
			body["current_password"] = current[0]
		}
		return m.do(http.MethodPut, "/v1/member/password", body)
	}
	login := func(phone, password string) *testkit.Response {
		return w.Do(http.MethodPost, "/v1/member/auth/password", object{"phone": phone, "password": password, "device_id": device("pw")}, w.from()...)
	}
	assert.Equal(t, "member.phone_needed", code(set(m, "eleven purple tractors").Want(http.StatusConflict)))
	m.bound("13800000010")
	assert.Equal(t, "password.too_short", code(set(m, "short").Want(http.StatusUnprocessableEntity)))
	set(m, "eleven purple tractors").Want(http.StatusNoContent)
	again := w.signedIn(login("138-0000-0010", "eleven purple tractors"))
	assert.Equal(t, m.CustomerId, again.CustomerId)
	assert.Equal(t, "member.invalid_credentials", code(login("13800000010", "wrong").Want(http.StatusUnauthorized)))
	assert.Equal(t, "member.invalid_credentials", code(login("13800000099", "eleven purple tractors").Want(http.StatusUnauthorized)))
	assert.Equal(t, "member.invalid_credentials", code(login("nonsense", "x").Want(http.StatusUnauthorized)))

	w.Advance(6 * time.Minute)
	assert.Equal(t, "member.password_proof_needed", code(set(again, "twelve green lanterns").Want(http.StatusForbidden)))
	assert.Equal(t, "member.password_wrong", code(set(again, "twelve green lanterns", "wrong").Want(http.StatusUnprocessableEntity)))
	set(again, "twelve green lanterns", "eleven purple tractors").Want(http.StatusNoContent)
	m.do(http.MethodGet, "/v1/member/profile", nil).Want(http.StatusUnauthorized)
	login("13800000010", "eleven purple tractors").Want(http.StatusUnauthorized)
	login("13800000010", "twelve green lanterns").Want(http.StatusOK)

	for range 20 {
		if login("13800000010", "guess").Status == http.StatusTooManyRequests {
			break
		}
	}
	r := login("13800000010", "twelve green lanterns").Want(http.StatusTooManyRequests)
	assert.Equal(t, "member.too_many_attempts", code(r))
	w.sms("13800000010", "by-code")
}

func TestLinking(t *testing.T) {
	w := newWorld(t)

	t.Run("the same union id is the same person", func(t *testing.T) {
		w := &world{w.In(t), w.n, w.store}
		m := w.wechat("o-same", "u-same")
		var begun client.MemberAuthorization
		w.Do(http.MethodGet, "/v1/member/auth/wechat-official/authorize?device_id="+device("web")+"&redirect_uri=https://shop.example.com/in", nil).Want(http.StatusOK).JSON(&begun)
		assert.LessOrEqual(t, len(begun.State), 128, "WeChat passes on no more")
		body := object{"code": w.Outside.OAuthCode(fake.Person{OpenID: "oa-same", UnionID: "u-same"}), "state": begun.State, "device_id": device("other")}
		assert.Equal(t, "member.state_invalid", code(w.Do(http.MethodPost, "/v1/member/auth/wechat-official", body, w.from()...).Want(http.StatusUnprocessableEntity)))
		body["device_id"] = device("web")
		web := w.signedIn(w.Do(http.MethodPost, "/v1/member/auth/wechat-official", body, w.from()...))
		assert.Equal(t, m.CustomerId, web.CustomerId)
		assert.Equal(t, []string{"wechat_mini", "wechat_official"}, m.providers())
		for _, bad := range []string{"http://shop.example.com", "javascript:alert(1)", "https://a:b@c.example"} {
			r := w.Do(http.MethodGet, "/v1/member/auth/wechat-official/authorize?device_id="+device("web")+"&redirect_uri="+bad, nil)
			assert.Equal(t, "member.redirect_invalid", code(r.Want(http.StatusUnprocessableEntity)), bad)
		}
	})

	t.Run("a union id that appears later joins whoever is nothing else", func(t *testing.T) {
		w := &world{w.In(t), w.n, w.store}
		first := w.wechat("o-late", "")
		owner := w.wechat("o-owner", "u-late")
		again := w.wechat("o-late", "u-late")
		assert.NotEqual(t, first.CustomerId, owner.CustomerId)
		assert.Equal(t, owner.CustomerId, again.CustomerId)
		assert.Len(t, owner.identities(), 2)
		first.do(http.MethodGet, "/v1/member/profile", nil).Want(http.StatusUnauthorized)
		assert.Equal(t, 1, w.count(`SELECT count(*) FROM customers WHERE id = $1 AND archived_at IS NOT NULL`, first.CustomerId))
		assert.Equal(t, owner.CustomerId, w.wechat("o-late", "u-late").CustomerId)
	})

	t.Run("and leaves both where each is somebody", func(t *testing.T) {
		w := &world{w.In(t), w.n, w.store}
		first := w.wechat("o-rich", "")
		w.buys(first.CustomerId)
		owner := w.wechat("o-owner2", "u-rich")
		before := w.events("customer.duplicate_suspected")
		assert.Equal(t, first.CustomerId, w.wechat("o-rich", "u-rich").CustomerId)
		assert.Equal(t, before+1, w.events("customer.duplicate_suspected"))
		assert.Equal(t, first.CustomerId, w.wechat("o-rich", "u-rich").CustomerId)
		assert.Equal(t, before+1, w.events("customer.duplicate_suspected"), "staff are told once")
		assert.Equal(t, owner.CustomerId, w.wechat("o-owner2", "u-rich").CustomerId)
	})

	t.Run("a phone on the till's record", func(t *testing.T) {
		w := &world{w.In(t), w.n, w.store}
		till := w.customer("13800000020", "老顾客")
		m := w.wechat("o-till", "")
		l := m.bound("13800000020")
		require.True(t, l.Joined)
		now := &member{w: w, MemberTokens: l.Tokens.MustGet()}
		assert.Equal(t, till.ID, now.CustomerId)
		assert.Equal(t, []string{"wechat_mini", "phone"}, now.providers())
		assert.Equal(t, int32(1), now.profile().TermsVersion, "what was agreed to goes along")
		m.do(http.MethodGet, "/v1/member/profile", nil).Want(http.StatusUnauthorized)
		assert.Equal(t, till.ID, w.wechat("o-till", "").CustomerId)
	})

	t.Run("a phone of another member", func(t *testing.T) {
		w := &world{w.In(t), w.n, w.store}
		holder := w.sms("13800000021", "holder")
		rich := w.wechat("o-somebody", "")
		w.buys(rich.CustomerId)
		assert.Equal(t, "member.phone_taken", code(rich.bind("13800000021").Want(http.StatusConflict)))
		assert.Equal(t, "+8613800000021", holder.profile().Phone.MustGet())
		w.Advance(181 * 24 * time.Hour)
		rich = w.wechat("o-somebody", "")
		l := rich.bound("13800000021")
		assert.False(t, l.Joined)
		assert.Equal(t, "+8613800000021", rich.profile().Phone.MustGet(), "numbers are handed out again")
		assert.Equal(t, 1, w.count(`SELECT count(*) FROM customers WHERE id = $1 AND phone_index IS NULL`, holder.CustomerId))
		assert.Equal(t, rich.CustomerId, w.sms("13800000021", "new-holder").CustomerId)
	})

	t.Run("a phone on a record that is somebody, by a member who is somebody", func(t *testing.T) {
		w := &world{w.In(t), w.n, w.store}
		w.customer("13800000022", "记录")
		m := w.wechat("o-both", "")
		w.buys(m.CustomerId)
		before := w.events("customer.duplicate_suspected")
		assert.Equal(t, "member.phone_taken", code(m.bind("13800000022").Want(http.StatusConflict)))
		assert.Equal(t, before+1, w.events("customer.duplicate_suspected"), "staff hear of it although the request was refused")
	})

	t.Run("another account", func(t *testing.T) {
		w := &world{w.In(t), w.n, w.store}
		m, other := w.sms("13800000023", "m"), w.wechat("o-bare", "")
		link := func(m *member, openID string) *testkit.Response {
			return m.do(http.MethodPost, "/v1/member/identities", object{"provider": "wechat_mini", "code": w.Outside.LoginCode(fake.Person{OpenID: openID}), "device_id": device("m")})
		}
		link(m, "o-bare").Want(http.StatusOK)
		assert.Equal(t, m.CustomerId, w.wechat("o-bare", "").CustomerId)
		other.do(http.MethodGet, "/v1/member/profile", nil).Want(http.StatusUnauthorized)
		rich := w.wechat("o-rich2", "")
		w.buys(rich.CustomerId)
		assert.Equal(t, "member.identity_taken", code(link(m, "o-rich2").Want(http.StatusConflict)))
		link(m, "o-fresh").Want(http.StatusOK)

		challenge, digits := w.send("13800000024", "link", "m")
		m.do(http.MethodPost, "/v1/member/identities", object{"provider": "phone", "code": digits, "phone": "13800000024", "challenge_id": challenge, "device_id": device("m")}).Want(http.StatusOK)
		assert.Equal(t, "+8613800000024", m.profile().Phone.MustGet(), "a new phone replaces the old one, and the session goes on")
		assert.Equal(t, []string{"wechat_mini", "wechat_mini", "phone"}, m.providers())
		r := m.do(http.MethodPost, "/v1/member/identities", object{"provider": "phone", "code": "123456", "device_id": device("m")})
		assert.Equal(t, "member.field_needed", code(r.Want(http.StatusUnprocessableEntity)))
	})
}

func TestUnlink(t *testing.T) {
	w := newWorld(t)
	m := w.wechat("o-un", "")
	only := m.identities()[0].Id.String()
	assert.Equal(t, "member.last_identity", code(m.do(http.MethodDelete, "/v1/member/identities/"+only, nil).Want(http.StatusConflict)))
	m.bound("13800000030")
	bySMS := func() *member { w.Advance(2 * time.Minute); return w.sms("13800000030", "sms") }()
	bySMS.do(http.MethodPut, "/v1/member/password", object{"password": "eleven purple tractors"}).Want(http.StatusNoContent)
	m = w.wechat("o-un", "")
	assert.Equal(t, []string{"wechat_mini", "phone", "password"}, m.providers())
	stranger := w.wechat("o-stranger", "")
	stranger.do(http.MethodDelete, "/v1/member/identities/"+only, nil).Want(http.StatusNotFound)

	m.do(http.MethodDelete, "/v1/member/identities/"+m.identities()[1].Id.String(), nil).Want(http.StatusNoContent)
	assert.Equal(t, []string{"wechat_mini"}, m.providers(), "the password goes with the phone")
	bySMS.do(http.MethodGet, "/v1/member/profile", nil).Want(http.StatusUnauthorized)
	m.do(http.MethodGet, "/v1/member/profile", nil).Want(http.StatusOK)

	// Staff may take off the last one.
	var list client.CustomerIdentityList
	at := "/v1/customers/" + m.CustomerId.String() + "/identities"
	r := w.Admin().Do(http.MethodGet, at, nil).Want(http.StatusOK)
	r.JSON(&list)
	require.Len(t, list.Items, 1)
	assert.NotContains(t, string(r.Body), "o-un", "masked")
	w.Admin().Do(http.MethodDelete, at+"/"+uuid.NewString(), nil).Want(http.StatusNotFound)
	w.Admin().Do(http.MethodDelete, at+"/"+only, nil).Want(http.StatusNoContent)
	m.do(http.MethodGet, "/v1/member/profile", nil).Want(http.StatusUnauthorized)
}

func TestOpenIDConnect(t *testing.T) {
	w := newWorld(t)
	owner := w.sms("13800000040", "phone")
	w.Outside.SetAccount(fake.Account{Subject: "s-1", Name: "Zhang San", Email: "zhang@example.com", EmailVerified: true, Phone: "+8613800000040", PhoneVerified: true})
	m := w.signedIn(w.oidc("web"))
	assert.Equal(t, owner.CustomerId, m.CustomerId, "a phone that the provider verified")
	assert.Equal(t, []string{"phone", "oidc"}, m.providers())

	w.Outside.SetAccount(fake.Account{Subject: "s-2", Name: "Li Si", Email: "li@example.com", EmailVerified: true, Phone: "+8613800000040"})
	other := w.signedIn(w.oidc("web"))
	assert.NotEqual(t, owner.CustomerId, other.CustomerId, "one that it did not verify proves nothing")
	assert.Equal(t, "li@example.com", other.profile().Email.MustGet())
	w.Do(http.MethodGet, "/v1/member/auth/oidc/nobody/authorize?device_id="+device("web"), nil).Want(http.StatusNotFound)
}

func TestYoungMembers(t *testing.T) {
	w := newWorld(t)
	enter := func(born string, consent object) *testkit.Response {
		return w.Do(http.MethodPost, "/v1/member/auth/wechat-mini", object{"code": w.Outside.LoginCode(fake.Person{OpenID: "o-" + born}), "device_id": device("kid"),
			"consent": consent, "profile": object{"birth_date": born, "name": "小朋友"}}, w.from()...)
	}
	assert.Equal(t, "member.guardian_consent_needed", code(enter("2012-07-02", agreed).Want(http.StatusUnprocessableEntity)), "14 tomorrow")
	w.signedIn(enter("2012-07-01", agreed))
	kid := w.signedIn(enter("2012-07-02", object{"text_version": 1, "guardian_text_version": 1}))
	var list client.MemberConsentList
	kid.do(http.MethodGet, "/v1/member/consents", nil).Want(http.StatusOK).JSON(&list)
	assert.Len(t, list.Items, 2)

	m := w.wechat("o-ageless", "")
	assert.Equal(t, "member.guardian_consent_needed", code(m.do(http.MethodPatch, "/v1/member/profile", object{"birth_date": "2015-01-01"}).Want(http.StatusUnprocessableEntity)))
	m.do(http.MethodPost, "/v1/member/consents", object{"purpose": "guardian", "text_version": 1}).Want(http.StatusOK)
	m.do(http.MethodPatch, "/v1/member/profile", object{"birth_date": "2015-01-01"}).Want(http.StatusOK)
}

func TestConsents(t *testing.T) {
	w := newWorld(t)
	m := w.wechat("o-consents", "")
	var given, again client.MemberConsent
	m.do(http.MethodPost, "/v1/member/consents", object{"purpose": "marketing", "text_version": 1}).Want(http.StatusOK).JSON(&given)
	m.do(http.MethodPost, "/v1/member/consents", object{"purpose": "marketing", "text_version": 1}).Want(http.StatusOK).JSON(&again)
	assert.Equal(t, given.Id, again.Id)
	assert.Equal(t, "wechat_mini", given.Channel)
	m.do(http.MethodPost, "/v1/member/consents", object{"purpose": "marketing", "text_version": 7}).Want(http.StatusUnprocessableEntity)
	var gone client.MemberConsent
	m.do(http.MethodPost, "/v1/member/consents/"+given.Id.String()+"/withdraw", nil).Want(http.StatusOK).JSON(&gone)
	assert.False(t, gone.WithdrawnAt.IsNull())
	m.do(http.MethodPost, "/v1/member/consents/"+given.Id.String()+"/withdraw", nil).Want(http.StatusOK)
	w.wechat("o-else", "").do(http.MethodPost, "/v1/member/consents/"+given.Id.String()+"/withdraw", nil).Want(http.StatusNotFound)

	var list client.MemberConsentList
	r := m.do(http.MethodGet, "/v1/member/consents?limit=1", nil).Want(http.StatusOK)
	r.JSON(&list)
	require.True(t, list.HasMore)
	next := list.NextCursor.MustGet()
	m.do(http.MethodGet, "/v1/member/consents?cursor="+next, nil).Want(http.StatusOK).JSON(&list)
	require.Len(t, list.Items, 1)
	w.wechat("o-else", "").do(http.MethodGet, "/v1/member/consents?cursor="+next, nil).Want(http.StatusBadRequest)

	// Without the terms there is no membership.
	m.do(http.MethodPost, "/v1/member/consents/"+list.Items[0].Id.String()+"/withdraw", nil).Want(http.StatusOK)
	m.do(http.MethodGet, "/v1/member/profile", nil).Want(http.StatusUnauthorized)
	login := w.Outside.LoginCode(fake.Person{OpenID: "o-consents"})
	r = w.Do(http.MethodPost, "/v1/member/auth/wechat-mini", object{"code": login, "device_id": device("c")}, w.from()...)
	assert.Equal(t, "member.consent_needed", code(r.Want(http.StatusUnprocessableEntity)))
	assert.Equal(t, m.CustomerId, w.signedIn(w.mini(login, "c")).CustomerId)
}

func TestMembersOrderCancelAndReturn(t *testing.T) {
	w := newWorld(t)
	wang := w.customer("13800000004", "王五")
	challenge, digits := w.send("13800000004", "sign_in", "wang")
	m := w.signedIn(w.enterCode(challenge, "13800000004", digits, "wang"))
	require.Equal(t, wang.ID, m.CustomerId)
	admin := w.Admin()
	admin.Do(http.MethodPost, "/v1/products", object{"title": "围城", "variants": []any{object{"sku": "BOOK-1", "price_amount": 3900}}}).Want(http.StatusCreated)
	admin.Do(http.MethodPost, "/v1/stock-movements", object{"store_id": w.store, "kind": "receipt", "lines": []any{object{"sku": "BOOK-1", "quantity": 2}}}, "Idempotency-Key", "m-0").Want(http.StatusCreated)
	place := func(key string, more object) *testkit.Response {
		body := object{"store_id": w.store, "lines": []any{object{"sku": "BOOK-1", "quantity": 1}}}
		for k, v := range more {
			body[k] = v
		}
		return m.do(http.MethodPost, "/v1/member/orders", body, "Idempotency-Key", key)
	}
	var o client.MemberOrder
	place("m-1", object{"recipient": object{"name": "王五", "phone": "13800000004", "address": object{"line1": "淮海中路 1 号"}}}).Want(http.StatusCreated).JSON(&o)
	require.Equal(t, []any{client.OrderPlaced, client.FulfilDelivery, int64(3900)}, []any{o.Status, o.Fulfilment, o.TotalAmount})
	require.Equal(t, o.Id.String(), place("m-1", object{"recipient": object{"name": "王五", "phone": "13800000004", "address": object{"line1": "淮海中路 1 号"}}}).Map()["id"], "sent again")
	place("m-13", object{"store_id": uuid.New()}).WantProblem(http.StatusUnprocessableEntity, "orders.store_unknown")
	place("m-2", object{"lines": []any{object{"sku": "BOOK-1", "quantity": 2}}}).WantProblem(http.StatusConflict, "inventory.insufficient")
	r := place("m-3", object{"lines": []any{object{"sku": "BOOK-1", "quantity": 1, "unit_price_amount": 1}}})
	require.Equal(t, http.StatusUnprocessableEntity, r.Status, "members take the catalogue's prices")
	foreign := w.buys(w.customer("13800000006", "别人").ID)
	m.do(http.MethodPost, "/v1/member/orders/"+foreign.String()+"/cancel", object{"reason": "别人的"}, "Idempotency-Key", "m-4").Want(http.StatusNotFound)

	path := "/v1/member/orders/" + o.Id.String()
	paying := m.do(http.MethodPost, path+"/online-payments", object{"method": "wechat_pay", "kind": "native"}).Want(http.StatusCreated).Map()
	require.NotEmpty(t, paying["code_url"])
	require.Equal(t, paying["id"], m.do(http.MethodPost, path+"/online-payments", object{"method": "wechat_pay", "kind": "native"}).Want(http.StatusCreated).Map()["id"], "asked again")
	m.do(http.MethodPost, "/v1/member/orders/"+foreign.String()+"/online-payments", object{"method": "wechat_pay", "kind": "native"}).Want(http.StatusNotFound)
	admin.Do(http.MethodPost, "/v1/orders/"+o.Id.String()+"/payments", object{"method": "card", "amount": 3900}, "Idempotency-Key", "m-5").Want(http.StatusCreated)
	m.do(http.MethodPost, path+"/returns", object{"lines": []any{object{"line_id": (*o.Lines)[0].Id, "quantity": 1, "reason_code": "unwanted"}}}, "Idempotency-Key", "m-6").WantProblem(http.StatusConflict, "orders.state")
	m.do(http.MethodPost, path+"/cancel", object{"reason": "不想要了"}, "Idempotency-Key", "m-7").Want(http.StatusOK).JSON(&o)
	require.Equal(t, []any{client.OrderCancelled, int64(3900)}, []any{o.Status, o.RefundedAmount})

	place("m-8", nil).Want(http.StatusCreated).JSON(&o)
	path = "/v1/member/orders/" + o.Id.String()
	admin.Do(http.MethodPost, "/v1/orders/"+o.Id.String()+"/payments", object{"method": "cash", "amount": 3900}, "Idempotency-Key", "m-9").Want(http.StatusCreated)
	admin.Do(http.MethodPost, "/v1/orders/"+o.Id.String()+"/complete", nil, "Idempotency-Key", "m-10").Want(http.StatusOK)
	m.do(http.MethodPost, path+"/cancel", object{"reason": "太晚了"}, "Idempotency-Key", "m-11").WantProblem(http.StatusConflict, "orders.state")
	require.Contains(t, string(m.do(http.MethodGet, "/v1/member/return-reasons", nil).Want(http.StatusOK).Body), "defective")
	back := m.do(http.MethodPost, path+"/returns", object{"note": "封面破了", "lines": []any{object{"line_id": (*o.Lines)[0].Id, "quantity": 1, "reason_code": "defective"}}}, "Idempotency-Key", "m-12").Want(http.StatusCreated).Map()
	require.Equal(t, "requested", back["status"])
	require.EqualValues(t, 3900, back["total_amount"])
}

func TestMembersSeeTheirPoints(t *testing.T) {
	w := newWorld(t)
	wang := w.customer("13800000014", "王五")
	other := w.customer("13800000015", "赵六")
	challenge, digits := w.send("13800000014", "sign_in", "wang")
	m := w.signedIn(w.enterCode(challenge, "13800000014", digits, "wang"))
	for i, c := range []uuid.UUID{wang.ID, other.ID, wang.ID} {
		w.Admin().Do(http.MethodPost, "/v1/customers/"+c.String()+"/points/adjust", object{"points": 100 + i, "reason": "补偿"}, "Idempotency-Key", fmt.Sprint("p-", i)).Want(http.StatusCreated)
	}
	var b client.PointsBalance
	m.do(http.MethodGet, "/v1/member/points", nil).Want(http.StatusOK).JSON(&b)
	require.EqualValues(t, 202, b.Balance)
	var page client.MemberPointsEntryList
	m.do(http.MethodGet, "/v1/member/points/entries?limit=1&include=total_count", nil).Want(http.StatusOK).JSON(&page)
	require.EqualValues(t, 2, *page.TotalCount)
	require.EqualValues(t, 202, page.Items[0].BalanceAfter)
	m.do(http.MethodGet, "/v1/member/points/entries?limit=1&cursor="+page.NextCursor.MustGet(), nil).Want(http.StatusOK).JSON(&page)
	require.EqualValues(t, 100, page.Items[0].BalanceAfter)
	require.False(t, page.HasMore)
	m.do(http.MethodGet, "/v1/member/points?unit=gold", nil).WantProblem(http.StatusUnprocessableEntity, "points.unit_unknown", "?unit")
	m.do(http.MethodGet, "/v1/customers/"+wang.ID.String()+"/points", nil).Want(http.StatusForbidden)
}
