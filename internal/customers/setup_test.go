package customers

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/cache"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/page"
	"github.com/shuke-crm/shuke/internal/platform/pgtest"
)

// world is a service with two stores and three assistants, on a database of
// its own.
type world struct {
	*Service
	t              testing.TB
	pg             *db.DB
	now            time.Time
	storeA, storeB uuid.UUID
	ann, bob, cy   uuid.UUID // assistants: ann and bob of A, cy of B
}

var shanghai = time.FixedZone("Asia/Shanghai", 8*3600)

func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldOn(t, pgtest.DB(t))
}

func newWorldOn(t testing.TB, pg *db.DB) *world {
	t.Helper()
	redis, err := cache.New(t.Context(), pgtest.Redis(t))
	require.NoError(t, err)
	t.Cleanup(func() { _ = redis.Close() })
	w := &world{t: t, pg: pg, now: time.Date(2026, 7, 3, 4, 0, 0, 0, time.UTC)}
	w.Service = New(Deps{
		DB: pg, Clock: clock.Fake(shanghai, func() time.Time { return w.now }), Keys: crypto.Generate(), Cache: redis,
		Pages: page.NewCodec([32]byte{1}),
	})
	ctx := auth.System(t.Context(), "test")
	for i, to := range []*uuid.UUID{&w.storeA, &w.storeB} {
		*to = uuid.Must(uuid.NewV7())
		pg.Platform.Store.Create().SetID(*to).SetCode(string(rune('A' + i))).SetName("店" + string(rune('A'+i))).SaveX(ctx)
	}
	for i, to := range []*uuid.UUID{&w.ann, &w.bob, &w.cy} {
		*to = uuid.Must(uuid.NewV7())
		pg.Platform.Staff.Create().SetID(*to).SetUsername([]string{"ann", "bob", "cy"}[i]).SetName("导购").SetPasswordHash("x").
			SetStoreID([]uuid.UUID{w.storeA, w.storeA, w.storeB}[i]).SaveX(ctx)
	}
	for key, personal := range map[string]bool{"a": false, "p": true} {
		_, err := w.CreateField(w.admin(), FieldInput{Key: key, Kind: FieldText, Personal: personal, FieldRules: FieldRules{Labels: Labels{"Field", "字段"}}})
		require.NoError(t, err)
	}
	return w
}

// as is a context of somebody with a built-in role.
func (w *world) as(role string, scope auth.Scope, id uuid.UUID) context.Context {
	for _, r := range auth.BuiltInRoles {
		if r.Code == role {
			return auth.With(context.Background(), auth.Actor{Kind: auth.KindStaff, ID: id, Name: role, Permissions: auth.NewPermissionSet(r.Permissions...), Scope: scope})
		}
	}
	w.t.Fatalf("no role %s", role)
	return nil
}

func (w *world) admin() context.Context {
	return w.as("administrator", auth.Scope{All: true}, uuid.New())
}

func (w *world) assistant(id uuid.UUID) context.Context {
	return w.as("assistant", auth.Scope{OwnStaff: []uuid.UUID{id}}, id)
}

func (w *world) manager(stores ...uuid.UUID) context.Context {
	return w.as("store_manager", auth.Scope{StoreIDs: stores}, uuid.New())
}

func some[T any](v T) nullable.Nullable[T] { return nullable.NewNullableWithValue(v) }

// add makes a customer as the administrator.
func (w *world) add(in Input) *Customer {
	w.t.Helper()
	c, err := w.Create(w.admin(), in)
	require.NoError(w.t, err)
	return c
}

func ptr[T any](v T) *T { return &v }
