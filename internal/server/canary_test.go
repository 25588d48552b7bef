package server_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/testkit"
)

// canary is a person whose every value occurs nowhere else.
type canary struct{ name, phone, email, card, street, flat string }

var canaries = []canary{
	{"龘靐齉爩", "13987654301", "canary.one@quillfeather.example", "CNRY9081726301", "鸜鹆弄七百一十三号", "麤㸚阁三楼"},
	{"Zephyrine Quillfeather", "18612349702", "Canary.Two@quillfeather.example", "CNRY9081726302", "Thistledown Alley 713", "Loft Ottoline"},
	{"龖厵灪麤", "15898761203", "canary.three@quillfeather.example", "CNRY9081726303", "鸜鹆弄七百一十五号", "麤㸚阁五楼"},
	{"Ottoline Thistledown", "17712398704", "canary.four@quillfeather.example", "CNRY9081726304", "Thistledown Alley 715", "Loft Zephyrine"},
}

// Values that only ever came with a refused request.
var (
	strangerPhone  = "13955512805"
	badEmail       = "canary.five@@quillfeather"
	badPhone       = "1398765430199999"
	futureName     = "爨癵驫鱻"
	newPhone       = "13311122806"
	newName        = "靐龘鱻爨"
	staffEmail     = "warden.nine@quillfeather.example"
	memberPhone    = "15544433907"
	memberEmail    = "canary.nine@quillfeather.example"
	noteText       = "鑫森淼焱垚 wears a wooden brooch"
	newNoteText    = "偏爱墨绿 since the harvest fair"
	captionText    = "金鑫 in the harlequin raincoat"
	pictureName    = "malachite-heirloom-9917.png"
	stillSecret    = "nineteen velvet otters"
	typedIntoField = "twenty amber lanterns"
)

func (c canary) fields() map[string]any {
	return map[string]any{"name": c.name, "phone": c.phone, "email": c.email, "card_number": c.card,
		"address": map[string]any{"country": "CN", "region": "上海市", "city": "上海市", "line1": c.street, "line2": c.flat}}
}

// secrets are the values that must be found nowhere; cards are membership
// numbers, which answers show whole.
func secrets() (everywhere, cards []string) {
	for _, c := range canaries {
		everywhere = append(everywhere, c.name, c.phone, c.email, strings.ToLower(c.email), c.street, c.flat)
		cards = append(cards, c.card)
	}
	return append(everywhere, strangerPhone, badEmail, badPhone, futureName, newPhone, newName, staffEmail, memberPhone, memberEmail, noteText, newNoteText, captionText, pictureName, stillSecret, typedIntoField), cards
}

// forms are the ways a value may be written down.
func forms(value string) [][]byte {
	raw := []byte(value)
	escaped := ""
	for _, r := range value {
		if r < 0x80 {
			escaped += string(r)
		} else {
			escaped += fmt.Sprintf(`\u%04x`, r)
		}
	}
	out := [][]byte{raw, []byte(url.QueryEscape(value)), []byte(url.PathEscape(value)), []byte(escaped), []byte(strings.ToUpper(value)), []byte(strings.ToLower(value)),
		[]byte(hex.EncodeToString(raw)), []byte(strings.ToUpper(hex.EncodeToString(raw)))}
	for shift := range 3 { // base64 of a text that holds the value at any place
		text := base64.StdEncoding.EncodeToString(append(make([]byte, shift), raw...))
		from, to := (shift*8+5)/6, len(strings.TrimRight(text, "="))-1
		out = append(out, []byte(text[from:to]))
	}
	return out
}

// hashes are those without a key: trying all phones there are undoes them. What
// holds 256 random bits may be kept so.
func hashes(value string) (out [][]byte) {
	for _, text := range []string{value, "+86" + value, strings.ToLower(value)} {
		long, short, old := sha256.Sum256([]byte(text)), sha1.Sum([]byte(text)), md5.Sum([]byte(text))
		for _, sum := range [][]byte{long[:], short[:], old[:]} {
			out = append(out, sum, []byte(hex.EncodeToString(sum)), []byte(base64.StdEncoding.EncodeToString(sum)))
		}
	}
	return out
}

// hay is a pile to look through, with where each piece came from.
type hay struct {
	mu     sync.Mutex
	pieces []piece
}

type piece struct {
	from string
	raw  []byte
}

func (h *hay) add(from string, raw []byte) {
	if len(raw) == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pieces = append(h.pieces, piece{from, bytes.Clone(raw)})
}

// find tells where a value occurs in any form.
func (h *hay) find(value string) string { return h.search(forms(value)) }

// findGuessable also looks for its hashes.
func (h *hay) findGuessable(value string) string {
	return h.search(append(forms(value), hashes(value)...))
}

func (h *hay) search(needles [][]byte) string {
	for _, needle := range needles {
		for _, p := range h.pieces {
			if i := bytes.Index(p.raw, needle); i >= 0 {
				return fmt.Sprintf("%s: %q", p.from, p.raw[max(0, i-60):min(len(p.raw), i+len(needle)+60)])
			}
		}
	}
	return ""
}

// locked is a buffer that the service's log goes to.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *locked) bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.b.Bytes())
}

// TestNoPersonalDataInClear sends people through everything the API does with
// them, also where it refuses, and then looks through all that was kept, said
// and counted.
func TestNoPersonalDataInClear(t *testing.T) {
	log := &locked{}
	a := testkit.New(t, testkit.WithWorker(), testkit.WithLog(log))
	kept, answers := &hay{}, &hay{}
	stop := overhear(t, a, kept)
	tokens := meet(t, a, answers)
	require.Eventually(t, func() bool { // events delivered, audit sealed
		var waiting int
		require.NoError(t, a.DB.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM outbox_events WHERE dispatched_at IS NULL)
			+ (SELECT count(*) FROM audit_logs l WHERE NOT EXISTS (SELECT FROM audit_seals s WHERE s.audit_id = l.id))`).Scan(&waiting))
		return waiting == 0
	}, 30*time.Second, 100*time.Millisecond)
	stop()

	logged, database, cached := &hay{}, &hay{}, &hay{}
	logged.add("log", log.bytes())
	logged.add("metrics", a.Do(http.MethodGet, "/metrics", nil).Want(http.StatusOK).Body)
	dumpDatabase(t, a, database)
	dumpCache(t, a, cached)

	// What may be found must be found, or the search is blind.
	for where, h := range map[string]*hay{"the database": database, "the cache": cached, "answers": answers, "published messages": kept} {
		require.NotEmpty(t, h.find(control), "the control value is not in %s", where)
	}
	require.NotEmpty(t, logged.find("/v1/customers/lookup"))
	require.NotEmpty(t, logged.find("request_id="))

	hidden, cards := secrets()
	for _, value := range hidden {
		for where, h := range map[string]*hay{"log": logged, "database": database, "cache": cached, "messages": kept, "answers": answers} {
			assert.Empty(t, h.findGuessable(value), "%s holds %s", where, value)
		}
	}
	for _, value := range cards {
		for where, h := range map[string]*hay{"log": logged, "database": database, "messages": kept} {
			assert.Empty(t, h.findGuessable(value), "%s holds %s", where, value)
		}
	}
	// The fingerprint of a request under a key, too, must not be one that can be tried.
	body := canaries[0].fields()
	body["external_id"] = control
	raw, err := json.Marshal(body)
	require.NoError(t, err)
	for _, text := range []string{string(raw), "POST\x00/v1/customers\x00\x00" + string(raw)} {
		assert.Empty(t, database.findGuessable(text), "the database holds a plain hash of a request")
	}
	for _, value := range tokens {
		for where, h := range map[string]*hay{"log": logged, "database": database, "cache": cached, "messages": kept} {
			assert.Empty(t, h.find(value), "%s holds a credential", where)
		}
	}
}

// control is a value in clear by design: an id of an outside system.
const control = "CONTROL-5117"

// meet is everything that is done with the canaries. Answers are kept, but for
// those that reveal.
func meet(t *testing.T, a *testkit.App, answers *hay) (tokens []string) {
	t.Helper()
	admin := a.Admin()
	say := func(r *testkit.Response) *testkit.Response {
		answers.add(fmt.Sprint("answer ", len(answers.pieces)), r.Body)
		for name, values := range r.Header {
			answers.add("header "+name, []byte(strings.Join(values, "\n")))
		}
		return r
	}
	ids := meetNewcomers(t, admin, say)
	meetRefusals(admin, say, ids)
	meetSearches(admin, say)
	meetTills(a, admin, say, ids)
	meetNotes(t, admin, say, ids[0])
	meetChanges(t, admin, say, ids)
	meetPeople(t, a, admin, say)
	return meetCredentials(a, say, ids[0])
}

func meetNewcomers(t *testing.T, admin *testkit.Client, say func(*testkit.Response) *testkit.Response) (ids []uuid.UUID) {
	t.Helper()
	one := func(r *testkit.Response) { ids = append(ids, uuid.MustParse(say(r).Map()["id"].(string))) }
	first := canaries[0].fields()
	first["external_id"] = control
	for range 2 { // the second is the stored answer
		r := admin.Do(http.MethodPost, "/v1/customers", first, "Idempotency-Key", "canary-1").Want(http.StatusCreated)
		say(r)
		if len(ids) == 0 {
			one(r)
		}
	}
	one(admin.Do(http.MethodPost, "/v1/customers", canaries[1].fields()).Want(http.StatusCreated))
	var bulk struct {
		Results []struct {
			Status     string    `json:"status"`
			CustomerID uuid.UUID `json:"customer_id"`
		}
	}
	third, fourth := canaries[2].fields(), canaries[3].fields()
	fourth["external_id"] = "CANARY-4"
	bad := map[string]any{"name": futureName, "phone": badPhone, "email": badEmail}
	say(admin.Do(http.MethodPost, "/v1/customers/bulk", map[string]any{"mode": "create", "items": []any{third, bad, first}}, "Idempotency-Key", "canary-2").
		Want(http.StatusOK)).JSON(&bulk)
	require.Equal(t, "created", bulk.Results[0].Status)
	require.Equal(t, "error", bulk.Results[1].Status)
	require.Equal(t, "error", bulk.Results[2].Status)
	ids = append(ids, bulk.Results[0].CustomerID)
	for range 2 { // made, then changed
		say(admin.Do(http.MethodPost, "/v1/customers/bulk", map[string]any{"mode": "upsert", "items": []any{fourth}}).Want(http.StatusOK)).JSON(&bulk)
		require.NotEqual(t, "error", bulk.Results[0].Status)
	}
	return append(ids, bulk.Results[0].CustomerID)
}

// meetRefusals gives the service values to complain about.
func meetRefusals(admin *testkit.Client, say func(*testkit.Response) *testkit.Response, ids []uuid.UUID) {
	for _, r := range []struct {
		method, path string
		body         any
		status       int
	}{
		{http.MethodPost, "/v1/customers", map[string]any{"name": canaries[0].name, "phone": canaries[0].phone}, http.StatusConflict},
		{http.MethodPost, "/v1/customers", map[string]any{"name": futureName, "email": canaries[1].email}, http.StatusConflict},
		{http.MethodPost, "/v1/customers", map[string]any{"name": futureName, "card_number": canaries[1].card}, http.StatusConflict},
		{http.MethodPost, "/v1/customers", map[string]any{"name": futureName, "phone": badPhone}, http.StatusUnprocessableEntity},
		{http.MethodPost, "/v1/customers", map[string]any{"name": futureName, "email": badEmail}, http.StatusUnprocessableEntity},
		{http.MethodPost, "/v1/customers", map[string]any{"name": futureName, "birth_date": "2999-01-01"}, http.StatusUnprocessableEntity},
		{http.MethodPost, "/v1/customers", map[string]any{"name": strings.Repeat(futureName, 40), "phone": strangerPhone}, http.StatusUnprocessableEntity},
		{http.MethodPost, "/v1/customers", map[string]any{"name": map[string]any{"full": futureName}}, http.StatusUnprocessableEntity},
		{http.MethodPost, "/v1/customers", map[string]any{"name": futureName, "gender": futureName}, http.StatusUnprocessableEntity},
		{http.MethodPost, "/v1/customers", map[string]any{"phone": strangerPhone, "address": map[string]any{"country": strangerPhone}}, http.StatusUnprocessableEntity},
		{http.MethodPost, "/v1/customers", `{"name": "` + futureName + `", "phone": "` + strangerPhone + `"`, http.StatusBadRequest},
		{http.MethodPost, "/v1/customers", `{"phone": "` + strangerPhone + `", "phone": "` + newPhone + `"}`, http.StatusUnprocessableEntity},
		{http.MethodPatch, "/v1/customers/" + ids[1].String(), map[string]any{"phone": canaries[0].phone}, http.StatusConflict},
		{http.MethodPost, "/v1/customers/lookup", map[string]any{"phone": strangerPhone}, http.StatusNotFound},
		{http.MethodPost, "/v1/customers/lookup", map[string]any{"phone": badPhone}, http.StatusUnprocessableEntity},
		{http.MethodPost, "/v1/customers/search", map[string]any{"name": futureName[:3]}, http.StatusUnprocessableEntity},
		{http.MethodPost, "/v1/customers/search", map[string]any{"email": badEmail}, http.StatusUnprocessableEntity},
		{http.MethodGet, "/v1/customers?phone=" + badPhone, nil, http.StatusUnprocessableEntity},
		{http.MethodGet, "/v1/customers?phone=" + strangerPhone + "&cursor=" + strangerPhone, nil, http.StatusBadRequest},
		{http.MethodGet, "/v1/customers?limit=" + strangerPhone, nil, http.StatusUnprocessableEntity},
		{http.MethodGet, "/v1/customers/" + strangerPhone, nil, http.StatusUnprocessableEntity},
		{http.MethodGet, "/v1/" + strangerPhone, nil, http.StatusNotFound},
		{http.MethodPost, "/v1/customers/" + ids[0].String() + "/reveal", map[string]any{"fields": []string{strangerPhone}, "reason": "核对"}, http.StatusUnprocessableEntity},
	} {
		got := admin.Do(r.method, r.path, r.body).Want(r.status)
		if !strings.HasSuffix(r.path, "/"+strangerPhone) { // a problem's instance is the path that was asked for
			say(got)
		}
	}
}

func meetSearches(admin *testkit.Client, say func(*testkit.Response) *testkit.Response) {
	for _, c := range canaries {
		last4 := c.phone[len(c.phone)-4:]
		for _, filter := range []map[string]any{{"phone": c.phone}, {"phone_last4": last4}, {"email": c.email}, {"card_number": c.card}, {"name": c.name}} {
			say(admin.Do(http.MethodPost, "/v1/customers/search", filter).Want(http.StatusOK))
			query := url.Values{"limit": {"1"}}
			for name, v := range filter {
				query.Set(name, v.(string))
			}
			say(admin.Do(http.MethodGet, "/v1/customers?"+query.Encode(), nil).Want(http.StatusOK))
		}
	}
	// Two share these syllables, so there is a next page, with a Link or without.
	say(admin.Do(http.MethodGet, "/v1/customers?limit=1&name=thistledown", nil).Want(http.StatusOK))
	say(admin.Do(http.MethodGet, "/v1/customers?limit=1", nil).Want(http.StatusOK))
}

// meetPeople has staff with an e-mail address and a member who signs up by text
// message.
func meetPeople(t *testing.T, a *testkit.App, admin *testkit.Client, say func(*testkit.Response) *testkit.Response) {
	t.Helper()
	id := say(admin.Do(http.MethodPost, "/v1/staff", map[string]any{"username": "warden", "name": "值班", "email": staffEmail, "password": testkit.StaffPassword}).
		Want(http.StatusCreated)).Map()["id"].(string)
	say(admin.Do(http.MethodGet, "/v1/staff/"+id, nil).Want(http.StatusOK))
	say(admin.Do(http.MethodGet, "/v1/staff?q=warden", nil).Want(http.StatusOK))
	say(a.Do(http.MethodPost, "/v1/auth/password-resets", map[string]any{"username": "warden"}).Want(http.StatusAccepted))

	device := map[string]any{"phone": memberPhone, "purpose": "sign_in", "device_id": "0123456789abcdef0123456789abcdef"}
	sent := say(a.Do(http.MethodPost, "/v1/member/auth/sms-codes", device).Want(http.StatusOK)).Map()
	in := a.Do(http.MethodPost, "/v1/member/auth/sms", map[string]any{"challenge_id": sent["challenge_id"], "phone": memberPhone,
		"code": a.Outside.SMSCode("+86" + memberPhone), "device_id": device["device_id"], "consent": map[string]any{"text_version": 1}}).Want(http.StatusOK).Map()
	bearer := []string{"Authorization", "Bearer " + in["access_token"].(string)}
	// One's own phone and address are shown to oneself; nothing else may keep them.
	require.Contains(t, string(a.Do(http.MethodPatch, "/v1/member/profile", map[string]any{"email": memberEmail}, bearer...).Want(http.StatusOK).Body), memberEmail)
	require.Contains(t, string(a.Do(http.MethodGet, "/v1/member/profile", nil, bearer...).Want(http.StatusOK).Body), memberPhone)
	for _, path := range []string{"auth/sessions", "identities", "consents", "orders"} {
		say(a.Do(http.MethodGet, "/v1/member/"+path, nil, bearer...).Want(http.StatusOK))
	}
}

// meetTills sells to the canaries and shows their profiles.
func meetTills(a *testkit.App, admin *testkit.Client, say func(*testkit.Response) *testkit.Response, ids []uuid.UUID) {
	store := a.Store()
	ticket := func(number string, customer map[string]any) map[string]any {
		return map[string]any{"store_id": store.Id, "external_number": number, "placed_at": time.Now().UTC().Format(time.RFC3339), "customer": customer,
			"lines": []any{map[string]any{"sku": "CANARY-SKU", "title": "书", "quantity": 1, "unit_price_amount": 100}}}
	}
	batch := map[string]any{"create_missing_variants": true, "orders": []any{
		ticket("T1", map[string]any{"phone": canaries[0].phone}), ticket("T2", map[string]any{"phone": strangerPhone}),
		ticket("T3", map[string]any{"phone": badPhone}), ticket("T4", map[string]any{"card_number": canaries[1].card}),
		ticket("T5", map[string]any{"external_id": control}),
	}}
	for range 2 {
		say(admin.Do(http.MethodPost, "/v1/pos/orders", batch, "Idempotency-Key", "canary-3").Want(http.StatusOK))
	}
	say(admin.Do(http.MethodPost, "/v1/pos/orders", batch).Want(http.StatusOK))
	for n, c := range canaries {
		say(admin.Do(http.MethodPost, "/v1/customers/lookup", map[string]any{"phone": c.phone}).Want(http.StatusOK))
		say(admin.Do(http.MethodPost, "/v1/customers/lookup", map[string]any{"card_number": c.card}).Want(http.StatusOK))
		for range 2 { // read, then from the cache
			say(admin.Do(http.MethodGet, "/v1/customers/"+ids[n].String()+"/profile", nil).Want(http.StatusOK))
		}
		say(admin.Do(http.MethodGet, "/v1/customers/"+ids[n].String(), nil).Want(http.StatusOK))
		say(admin.Do(http.MethodGet, "/v1/customers/"+ids[n].String()+"/metrics", nil).Want(http.StatusOK))
	}
	say(admin.Do(http.MethodPost, "/v1/customers/lookup", map[string]any{"external_id": control}).Want(http.StatusOK))
	say(admin.Do(http.MethodGet, "/v1/orders", nil).Want(http.StatusOK))
	say(admin.Do(http.MethodPost, "/v1/rfm/refresh", nil).Want(http.StatusAccepted))
}

// meetNotes writes down what only readers of notes may see: their answers have
// it, and nothing else.
func meetNotes(t *testing.T, admin *testkit.Client, say func(*testkit.Response) *testkit.Response, id uuid.UUID) {
	t.Helper()
	path := "/v1/customers/" + id.String() + "/notes"
	made := admin.Do(http.MethodPost, path, map[string]any{"text": noteText}, "Idempotency-Key", "canary-6").Want(http.StatusCreated)
	one := path + "/" + made.Map()["id"].(string)
	require.Contains(t, string(made.Body), noteText)
	require.Contains(t, string(admin.Do(http.MethodPatch, one, map[string]any{"text": newNoteText}).Want(http.StatusOK).Body), newNoteText)
	require.Contains(t, string(admin.Do(http.MethodGet, path, nil).Want(http.StatusOK).Body), newNoteText)
	say(admin.Do(http.MethodPost, path, map[string]any{"text": noteText, "kind": newNoteText}).Want(http.StatusUnprocessableEntity))
	say(admin.Do(http.MethodPost, path, map[string]any{"text": noteText, "mentions": []any{uuid.New()}}).Want(http.StatusUnprocessableEntity))
	var form bytes.Buffer
	parts := multipart.NewWriter(&form)
	require.NoError(t, parts.WriteField("caption", captionText))
	file, err := parts.CreateFormFile("file", pictureName)
	require.NoError(t, err)
	require.NoError(t, png.Encode(file, image.NewGray(image.Rect(0, 0, 4, 4))))
	require.NoError(t, parts.Close())
	sent := admin.Do(http.MethodPost, strings.TrimSuffix(path, "notes")+"attachments", &form, "Content-Type", parts.FormDataContentType()).Want(http.StatusCreated)
	require.Contains(t, string(sent.Body), captionText)
	require.Contains(t, string(admin.Do(http.MethodGet, strings.TrimSuffix(path, "notes")+"timeline", nil).Want(http.StatusOK).Body), captionText)
	admin.Do(http.MethodGet, sent.Map()["url"].(string), nil).Want(http.StatusOK)
	gone := admin.Do(http.MethodPost, path, map[string]any{"text": noteText}).Want(http.StatusCreated).Map()["id"].(string)
	say(admin.Do(http.MethodDelete, path+"/"+gone, nil).Want(http.StatusNoContent))
}

func meetChanges(t *testing.T, admin *testkit.Client, say func(*testkit.Response) *testkit.Response, ids []uuid.UUID) {
	t.Helper()
	path := "/v1/customers/" + ids[2].String()
	say(admin.Do(http.MethodPatch, path, map[string]any{"name": newName, "phone": newPhone, "email": nil}).Want(http.StatusOK))
	say(admin.Do(http.MethodPost, path+"/archive", nil).Want(http.StatusOK))
	say(admin.Do(http.MethodPost, path+"/restore", nil, "Idempotency-Key", "canary-4").Want(http.StatusOK))
	say(admin.Do(http.MethodDelete, "/v1/customers/"+ids[3].String(), nil).Want(http.StatusNoContent))
	// The one place where clear values come out; the answers stay with the caller.
	revealed := admin.Do(http.MethodPost, "/v1/customers/"+ids[0].String()+"/reveal",
		map[string]any{"fields": []string{"name", "phone", "email", "address"}, "reason": "客户来电核对"}).Want(http.StatusOK)
	for _, value := range []string{canaries[0].name, "+86" + canaries[0].phone, canaries[0].email, canaries[0].street, canaries[0].flat} {
		require.Contains(t, string(revealed.Body), value)
	}
	say(admin.Do(http.MethodGet, "/v1/audit-logs?limit=200", nil).Want(http.StatusOK))
	say(admin.Do(http.MethodGet, "/v1/audit-logs/verify", nil).Want(http.StatusOK))
}

// meetCredentials uses passwords, tokens and keys and returns those that must
// not be found.
func meetCredentials(a *testkit.App, say func(*testkit.Response) *testkit.Response, id uuid.UUID) []string {
	staff := a.Staff("assistant", testkit.Own(), map[string]any{"password": stillSecret})
	c := a.SignIn(staff.Username, stillSecret)
	login := func(username, password string) {
		say(a.Do(http.MethodPost, "/v1/auth/login", map[string]any{"username": username, "password": password}).Want(http.StatusUnauthorized))
	}
	login(staff.Username, typedIntoField)
	login(typedIntoField, stillSecret) // into the wrong field
	var pair struct {
		AccessToken  string `json:"access_token"`
		RefreshToken string `json:"refresh_token"`
	}
	a.Do(http.MethodPost, "/v1/auth/refresh", map[string]any{"refresh_token": c.RefreshToken}).Want(http.StatusOK).JSON(&pair)
	var ticket struct{ Ticket string }
	c.Do(http.MethodPost, "/v1/stream-tickets", map[string]any{"path": "/v1/jobs/" + uuid.NewString() + "/events"}).Want(http.StatusOK).JSON(&ticket)
	var key struct{ Key string }
	a.Admin().Do(http.MethodPost, "/v1/api-keys", map[string]any{"name": "till", "permissions": []string{"customers.read"}, "all_stores": true},
		"Idempotency-Key", "canary-5").Want(http.StatusCreated).JSON(&key)
	say(a.Bearer(key.Key).Do(http.MethodGet, "/v1/customers/"+id.String(), nil).Want(http.StatusOK))
	return []string{c.Token, c.RefreshToken, pair.AccessToken, pair.RefreshToken, ticket.Ticket, key.Key, testkit.AdminPassword, stillSecret}
}

// overhear keeps what replicas tell each other through Redis.
func overhear(t *testing.T, a *testkit.App, h *hay) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	sub := a.Cache.PSubscribe(ctx, "*")
	_, err := sub.Receive(ctx)
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for m := range sub.Channel() {
			h.add("channel "+m.Channel, []byte(m.Channel+" "+m.Payload))
		}
	}()
	require.NoError(t, a.Cache.Publish(ctx, "control", control))
	return func() {
		_ = sub.Close()
		<-done
		cancel()
	}
}

// dumpDatabase adds every value of every table, binary ones as they are.
func dumpDatabase(t *testing.T, a *testkit.App, h *hay) {
	t.Helper()
	root := a.Database.Admin(t)
	rows, err := root.Query(`SELECT n.nspname, c.relname, a.attname, a.atttypid = 'bytea'::regtype FROM pg_class c
		JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
		WHERE c.relkind IN ('r', 'p', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND a.attnum > 0 AND NOT a.attisdropped`)
	require.NoError(t, err)
	type column struct {
		schema, table, name string
		binary              bool
	}
	var columns []column
	for rows.Next() {
		var c column
		require.NoError(t, rows.Scan(&c.schema, &c.table, &c.name, &c.binary))
		columns = append(columns, c)
	}
	require.NoError(t, rows.Err())
	seen := map[string]bool{}
	for _, c := range columns {
		seen[c.table] = true
		value := pq.QuoteIdentifier(c.name) + "::text"
		if c.binary {
			value = pq.QuoteIdentifier(c.name)
		}
		dumpColumn(t, root, "SELECT "+value+" FROM "+pq.QuoteIdentifier(c.schema)+"."+pq.QuoteIdentifier(c.table), c.table+"."+c.name, h)
	}
	for _, table := range []string{"customers", "audit_logs", "audit_seals", "outbox_events", "idempotency_keys", "pos_tickets", "orders", "sessions", "jobs", "river_job"} {
		require.True(t, seen[table], "%s was not looked at", table)
	}
	// What the planner has noted of the values, and the statements of others.
	dumpColumn(t, root, "SELECT row_to_json(s)::text FROM pg_stats s WHERE schemaname = 'public'", "pg_stats", h)
	before := len(h.pieces)
	// The server's own log: statements that failed could be quoted there.
	dumpColumn(t, root, "SELECT pg_read_binary_file(pg_current_logfile()) WHERE pg_current_logfile() IS NOT NULL", "the log of PostgreSQL", h)
	require.Greater(t, len(h.pieces), before, "PostgreSQL keeps no log")
	dumpColumn(t, root, "SELECT query FROM pg_stat_activity WHERE datname = current_database()", "pg_stat_activity", h)
}

func dumpColumn(t *testing.T, from *sql.DB, query, name string, h *hay) {
	t.Helper()
	rows, err := from.Query(query)
	require.NoError(t, err, name)
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var v []byte
		require.NoError(t, rows.Scan(&v), name)
		h.add(name, v)
	}
	require.NoError(t, rows.Err(), name)
}

// dumpCache adds every key and value of the application's Redis database.
func dumpCache(t *testing.T, a *testkit.App, h *hay) {
	t.Helper()
	ctx := t.Context()
	keys := a.Cache.Scan(ctx, 0, "*", 1000).Iterator()
	n := 0
	for keys.Next(ctx) {
		key := keys.Val()
		n++
		h.add("key", []byte(key))
		switch kind := a.Cache.Type(ctx, key).Val(); kind {
		case "string":
			h.add(key, []byte(a.Cache.Get(ctx, key).Val()))
		case "hash":
			h.add(key, fmt.Append(nil, a.Cache.HGetAll(ctx, key).Val()))
		case "list":
			h.add(key, fmt.Append(nil, a.Cache.LRange(ctx, key, 0, -1).Val()))
		case "set":
			h.add(key, fmt.Append(nil, a.Cache.SMembers(ctx, key).Val()))
		case "zset":
			h.add(key, fmt.Append(nil, a.Cache.ZRangeWithScores(ctx, key, 0, -1).Val()))
		case "none": // it has just expired
		default:
			t.Fatalf("key %s is a %s, which this test cannot read", key, kind)
		}
	}
	require.NoError(t, keys.Err())
	require.Positive(t, n)
}

// TestAuditOnlyGrows tries to rewrite history with the service's own rights,
// and with those of the schema's owner.
func TestAuditOnlyGrows(t *testing.T) {
	a := testkit.New(t, testkit.WithWorker())
	a.Store()
	require.Eventually(t, func() bool {
		var sealed int
		require.NoError(t, a.DB.QueryRow(t.Context(), "SELECT count(*) FROM audit_seals").Scan(&sealed))
		return sealed > 0
	}, 20*time.Second, 50*time.Millisecond)
	owner := a.Database.Owner(t)
	for _, table := range []string{"audit_logs", "audit_seals"} {
		// Granting oneself what one lacks does nothing, with a warning.
		_, _ = a.DB.Exec(t.Context(), "GRANT ALL ON "+table+" TO shuke_app")
		column := map[string]string{"audit_logs": "reason = 'x'", "audit_seals": "sealed_at = now()"}[table]
		for _, statement := range []string{"UPDATE " + table + " SET " + column, "DELETE FROM " + table, "TRUNCATE " + table + " CASCADE",
			"SELECT id FROM audit_logs FOR UPDATE", "SELECT seq FROM audit_seals FOR UPDATE"} {
			_, err := a.DB.Exec(t.Context(), statement)
			requireForbidden(t, err, statement)
			if strings.HasPrefix(statement, "SELECT") {
				continue
			}
			_, err = owner.Exec(statement)
			requireForbidden(t, err, statement+" as the owner")
		}
		for _, statement := range []string{"ALTER TABLE " + table + " DISABLE TRIGGER ALL", "DROP TABLE " + table + " CASCADE",
			"DROP TRIGGER " + table + "_only_grows ON " + table, "SET ROLE shuke_owner", "SET session_replication_role = replica"} {
			_, err := a.DB.Exec(t.Context(), statement)
			requireForbidden(t, err, statement)
		}
	}
	var report struct{ Valid bool }
	a.Admin().Do(http.MethodGet, "/v1/audit-logs/verify", nil).Want(http.StatusOK).JSON(&report)
	require.True(t, report.Valid)
}

func requireForbidden(t *testing.T, err error, statement string) {
	t.Helper()
	var refused *pq.Error
	require.ErrorAs(t, err, &refused, statement)
	require.Equal(t, pq.ErrorCode("42501"), refused.Code, "%s: %v", statement, err)
}
