package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
	"github.com/shuke-crm/shuke/internal/testkit"
)

// world is a small business in which every role meets objects of its own, of
// its store and of another store. Fixtures are written as the system, past the
// rules under test.
type world struct {
	*testkit.App
	t   testing.TB
	ctx context.Context // acts as the system

	north, south uuid.UUID // regions
	a, a2, b     uuid.UUID // stores: a and a2 in the north, b in the south

	passwordHash string // of testkit.StaffPassword
	colleague    *actor // an assistant of store a
	stranger     *actor // an assistant of store b
	actors       map[string]*actor

	numbers atomic.Int64
	mu      sync.Mutex
	shared  map[string]any
}

// actor is somebody who sends requests, or whose things are in the world.
type actor struct {
	column  string
	token   string
	refresh string
	staff   uuid.UUID // zero for a key and for strangers
	session uuid.UUID
	name    string
	key     uuid.UUID // id of an API key
	member  uuid.UUID // id of a customer, signed in on their own side
}

// signedIn reports whether the token is good.
func (a *actor) signedIn() bool {
	return a.staff != uuid.Nil || a.key != uuid.Nil || a.member != uuid.Nil
}

func (a *actor) principal() string {
	if a.member != uuid.Nil {
		return string(auth.KindMember) + ":" + a.member.String()
	}
	if a.key != uuid.Nil {
		return string(auth.KindAPIKey) + ":" + a.key.String()
	}
	return string(auth.KindStaff) + ":" + a.staff.String()
}

// grant is a role with its reach.
type grant struct {
	role, scope             string
	store, region, merchant uuid.UUID
}

// grantOf says what the staff in a column of the golden table hold.
func (w *world) grantOf(column string) grant {
	switch column {
	case "administrator", "marketer", "analyst", "auditor":
		return grant{role: column, scope: "all"}
	case "assistant":
		return grant{role: column, scope: "own"}
	case "store_manager", "service_agent", "inventory_clerk":
		return grant{role: column, scope: "store", store: w.a}
	case "local": // every permission, one store: what is left is scope alone
		return grant{role: "local", scope: "store", store: w.a}
	}
	w.t.Fatalf("no role for column %s", column)
	return grant{}
}

func newWorld(t testing.TB, opts ...testkit.Option) *world {
	t.Helper()
	w := &world{App: testkit.New(t, opts...), t: t, ctx: auth.System(context.Background(), "fixtures"), actors: map[string]*actor{}, shared: map[string]any{}}
	w.north, w.south = w.region(), w.region()
	w.a, w.a2, w.b = w.store(w.north), w.store(w.north), w.store(w.south)
	w.one(&w.passwordHash, "SELECT password_hash FROM staff WHERE id = $1", w.Staff("assistant", testkit.Own()).Id)
	w.exec(`INSERT INTO roles (id, code, name, built_in, permissions, version, created_at, updated_at)
		SELECT $1, 'local', 'Everything in one place', FALSE, permissions, 1, now(), now() FROM roles WHERE code = 'administrator'`, w.id())
	w.colleague = w.person("colleague", w.a, grant{role: "assistant", scope: "own"})
	w.stranger = w.person("stranger", w.b, grant{role: "assistant", scope: "own"})
	for _, column := range columns[:len(columns)-5] {
		w.actors[column] = w.fresh(column)
	}
	w.actors["api_key"] = w.apiKey([]string{string(auth.CustomersRead)}, w.a)
	w.actors["member"] = w.member()
	w.actors["none"] = &actor{column: "none"}
	w.actors["revoked"] = w.revoked()
	w.actors["garbage"] = &actor{column: "garbage", token: "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9."}
	return w
}

// fresh is one more person of a column, signed in, whom a test may lock out.
func (w *world) fresh(column string) *actor {
	switch column {
	case "member":
		return w.member()
	case "api_key", "none", "revoked", "garbage":
		return w.actors[column]
	}
	a := w.person(column, w.a, w.grantOf(column))
	w.signIn(a)
	return a
}

// revoked had every right until a moment ago.
func (w *world) revoked() *actor {
	a := w.person("revoked", w.a, grant{role: "administrator", scope: "all"})
	w.signIn(a)
	w.Do(http.MethodGet, "/v1/me/staff", nil, "Authorization", "Bearer "+a.token).Want(http.StatusOK) // cached everywhere
	w.Do(http.MethodPost, "/v1/auth/logout", nil, "Authorization", "Bearer "+a.token).Want(http.StatusNoContent)
	return &actor{column: "revoked", token: a.token}
}

func (w *world) person(column string, home uuid.UUID, grants ...grant) *actor {
	a := &actor{column: column, staff: w.id()}
	a.name = fmt.Sprintf("%s%d", column, w.numbers.Add(1))
	w.exec(`INSERT INTO staff (id, username, name, store_id, password_hash, must_change_password, status, version, created_at, updated_at)
		VALUES ($1, $2, $2, $3, $4, FALSE, 'active', 1, now(), now())`, a.staff, a.name, home, w.passwordHash)
	for _, g := range grants {
		w.exec(`INSERT INTO role_grants (id, staff_id, role_id, scope, store_id, region_id, merchant_id, created_at)
			SELECT $1, $2, id, $4, NULLIF($5, $8::uuid), NULLIF($6, $8::uuid), NULLIF($7, $8::uuid), now() FROM roles WHERE code = $3`,
			w.id(), a.staff, g.role, g.scope, g.store, g.region, g.merchant, uuid.Nil)
	}
	return a
}

// signIn signs a person in as they would themselves, each from an address of
// their own: the limit on sign-ins counts addresses.
func (w *world) signIn(a *actor) {
	n := w.numbers.Add(1)
	var pair struct {
		AccessToken  string    `json:"access_token"`
		RefreshToken string    `json:"refresh_token"`
		SessionID    uuid.UUID `json:"session_id"`
	}
	w.Do(http.MethodPost, "/v1/auth/login", map[string]any{"username": a.name, "password": testkit.StaffPassword},
		"X-Forwarded-For", address(n)).Want(http.StatusOK).JSON(&pair)
	a.token, a.refresh, a.session = pair.AccessToken, pair.RefreshToken, pair.SessionID
}

func address(n int64) string { return fmt.Sprintf("203.%d.%d.%d", n>>16&255, n>>8&255, n&255) }

func (w *world) apiKey(permissions []string, stores ...uuid.UUID) *actor {
	var made struct {
		ID  uuid.UUID `json:"id"`
		Key string    `json:"key"`
	}
	body := map[string]any{"name": "till", "permissions": permissions}
	if len(stores) == 0 {
		body["all_stores"] = true
	} else {
		body["store_ids"] = stores
	}
	w.Admin().Do(http.MethodPost, "/v1/api-keys", body).Want(http.StatusCreated).JSON(&made)
	return &actor{column: "api_key", token: made.Key, key: made.ID}
}

// Plain rows.

func (w *world) id() uuid.UUID { return uuid.Must(uuid.NewV7()) }

func (w *world) exec(query string, args ...any) {
	_, err := w.DB.Exec(w.ctx, query, args...)
	require.NoError(w.t, err)
}

func (w *world) one(to any, query string, args ...any) {
	require.NoError(w.t, w.DB.QueryRow(w.ctx, query, args...).Scan(to))
}

func (w *world) word(prefix string) string { return fmt.Sprintf("%s%d", prefix, w.numbers.Add(1)) }

func (w *world) region() uuid.UUID {
	id := w.id()
	w.exec("INSERT INTO regions (id, code, name, version, created_at, updated_at) VALUES ($1, $2, $2, 1, now(), now())", id, w.word("RG"))
	return id
}

func (w *world) store(region uuid.UUID) uuid.UUID {
	id := w.id()
	w.exec("INSERT INTO stores (id, code, name, region_id, status, version, created_at, updated_at) VALUES ($1, $2, $2, $3, 'open', 1, now(), now())",
		id, w.word("ST"), region)
	return id
}

func (w *world) role(permissions ...auth.Permission) (id uuid.UUID, code string) {
	id, code = w.id(), w.word("role")
	var list pgarray.Strings
	for _, p := range permissions {
		list = append(list, string(p))
	}
	slices.Sort(list)
	w.exec("INSERT INTO roles (id, code, name, built_in, permissions, version, created_at, updated_at) VALUES ($1, $2, $2, FALSE, $3, 1, now(), now())",
		id, code, list)
	return id, code
}

func (w *world) tag() (id uuid.UUID, name string) {
	id, name = w.id(), w.word("tag")
	w.exec("INSERT INTO tags (id, name, version, created_at, updated_at) VALUES ($1, $2, 1, now(), now())", id, name)
	return id, name
}

func (w *world) category() uuid.UUID {
	id := w.id()
	w.exec("INSERT INTO categories (id, name, version, created_at, updated_at) VALUES ($1, $2, 1, now(), now())", id, w.word("category"))
	return id
}

type article struct {
	product, variant uuid.UUID
	sku              string
}

func (w *world) article() article {
	p := article{w.id(), w.id(), w.word("SKU")}
	w.exec("INSERT INTO products (id, kind, title, status, source, version, created_at, updated_at) VALUES ($1, 'general', $2, 'active', 'staff', 1, now(), now())",
		p.product, p.sku)
	w.exec(`INSERT INTO variants (id, product_id, sku, price_amount, cost_amount, status, version, created_at, updated_at)
		VALUES ($1, $2, $3, 1000, 400, 'active', 1, now(), now())`, p.variant, p.product, p.sku)
	return p
}

func (w *world) job(requestedBy string) uuid.UUID {
	id := w.id()
	w.exec(`INSERT INTO jobs (id, kind, status, requested_by, created_at, version, updated_at) VALUES ($1, 'test.nothing', 'queued', $2, now(), 1, now())`, id, requestedBy)
	return id
}

func (w *world) auditEntry(store uuid.UUID) uuid.UUID {
	id := w.id()
	w.exec(`INSERT INTO audit_logs (id, created_at, actor_kind, actor_name, action, object_type, object_id, store_id)
		VALUES ($1, now(), 'system', 'fixtures', 'test.nothing', 'test', $2, $3)`, id, id.String(), store)
	return id
}

// person's customers and what they bought

type buyer struct {
	id                                 uuid.UUID
	name, external, phone, email, card string
	order, goodsBack                   uuid.UUID
}

// place is where an object lies, seen from an actor.
func (w *world) place(object string, a *actor) (store uuid.UUID, staff *uuid.UUID) {
	switch object {
	case "own":
		if a.staff != uuid.Nil {
			return w.a, &a.staff
		}
		return w.a, nil
	case "store":
		return w.a, &w.colleague.staff
	default:
		return w.b, &w.stranger.staff
	}
}

// customer makes a customer at a place, as the system.
func (w *world) customer(store uuid.UUID, staff *uuid.UUID) buyer {
	n := w.numbers.Add(1)
	c := buyer{
		name: "欧阳" + string(rune(0x4e00+n%6000)) + string(rune(0x5e00+n%3000)), external: fmt.Sprintf("X-%d", n),
		phone: fmt.Sprintf("137%08d", n*7919%100000000), email: fmt.Sprintf("c%d@example.com", n), card: fmt.Sprintf("77%08d", n),
	}
	in := customers.Input{
		Name: nullable.NewNullableWithValue(c.name), ExternalID: nullable.NewNullableWithValue(c.external), Phone: nullable.NewNullableWithValue(c.phone),
		Email: nullable.NewNullableWithValue(c.email), CardNumber: nullable.NewNullableWithValue(c.card), HomeStoreID: nullable.NewNullableWithValue(store),
	}
	if staff != nil {
		in.AssignedStaffID = nullable.NewNullableWithValue(*staff)
	}
	made, err := w.Server.Customers.Create(w.ctx, in)
	require.NoError(w.t, err)
	c.id = made.ID
	return c
}

// purchase gives a customer metrics, an order and a return at their own store.
func (w *world) purchase(c *buyer, store uuid.UUID, staff *uuid.UUID) {
	c.order, c.goodsBack = w.id(), w.id()
	w.exec(`INSERT INTO customer_metrics (id, store_id, assigned_staff_id, first_order_on, last_order_on, order_count, purchase_days, spent_amount, updated_at)
		VALUES ($1, $2, $3, current_date, current_date, 1, 1, 1000, now())`, c.id, store, staff)
	w.exec(`INSERT INTO orders (id, order_number, store_id, assigned_staff_id, customer_id, external_number, currency, placed_at, business_day, created_at, updated_at)
		VALUES ($1::uuid, $1::text, $2, $3, $4, $5, 'CNY', now(), current_date, now(), now())`, c.order, store, staff, c.id, c.external)
	w.exec(`INSERT INTO order_returns (id, return_number, store_id, assigned_staff_id, customer_id, external_number, currency, returned_at, business_day, created_at, updated_at)
		VALUES ($1::uuid, left($1::text, 32), $2, $3, $4, $5, 'CNY', now(), current_date, now(), now())`, c.goodsBack, store, staff, c.id, c.external)
}

// once makes a fixture the first time it is asked for.
func once[T any](w *world, key string, make func() T) T {
	w.mu.Lock()
	defer w.mu.Unlock()
	if v, ok := w.shared[key]; ok {
		return v.(T)
	}
	v := make()
	w.shared[key] = v
	return v
}

// version of a row, to see whether it was touched.
func (w *world) version(table string, id uuid.UUID) (n int64) {
	w.one(&n, "SELECT coalesce((SELECT version FROM "+table+" WHERE id = $1), 0)", id)
	return n
}

func object(raw []byte) map[string]any {
	var m map[string]any
	_ = json.Unmarshal(raw, &m) // anything else has no members
	return m
}

// soon bounds waiting for the first byte of a stream.
const soon = 5 * time.Second
