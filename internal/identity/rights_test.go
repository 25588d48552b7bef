package identity

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/ent/platform/role"
	"github.com/shuke-crm/shuke/ent/platform/rolegrant"
	"github.com/shuke-crm/shuke/ent/platform/staff"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/etag"
)

// rightsOf authenticates a bearer on a replica and gives what it may do.
func rightsOf(t *testing.T, s *Service, bearer string) auth.Actor {
	t.Helper()
	a, err := s.Authenticate(t.Context(), bearer)
	require.NoError(t, err)
	return a
}

func TestChangesOfRightsAreFeltAtOnce(t *testing.T) {
	w := newWorld(t)
	region, err := w.CreateRegion(w.system(), "EAST", "华东")
	require.NoError(t, err)
	inside, outside := w.store("SH01", &region.ID), w.store("BJ01", nil)
	w.role("greeter", auth.CustomersRead)
	li := w.person("li", &inside.ID)
	bearer := w.login("li", staffPassword).Access
	assert.Empty(t, rightsOf(t, w.Service, bearer).Permissions)

	after, err := w.CreateGrant(w.system(), li.ID, GrantInput{Role: "greeter", Scope: rolegrant.ScopeRegion, RegionID: &region.ID})
	require.NoError(t, err)
	assert.Equal(t, li.Version+1, after.Version)
	a := rightsOf(t, w.Service, bearer)
	assert.True(t, a.Can(auth.CustomersRead))
	assert.Equal(t, []uuid.UUID{inside.ID}, a.Scope.StoreIDs)

	// A store joins the region, another is made in it, one leaves.
	_, err = w.UpdateStore(w.system(), outside.ID, nil, UpdateStoreInput{RegionID: nullable.NewNullableWithValue(region.ID)})
	require.NoError(t, err)
	assert.ElementsMatch(t, []uuid.UUID{inside.ID, outside.ID}, rightsOf(t, w.Service, bearer).Scope.StoreIDs)
	third := w.store("SH02", &region.ID)
	assert.Len(t, rightsOf(t, w.Service, bearer).Scope.StoreIDs, 3)
	_, err = w.UpdateStore(w.system(), outside.ID, nil, UpdateStoreInput{RegionID: nullable.NewNullNullable[uuid.UUID]()})
	require.NoError(t, err)
	require.NoError(t, w.DeleteStore(w.system(), third.ID, nil))
	assert.Equal(t, []uuid.UUID{inside.ID}, rightsOf(t, w.Service, bearer).Scope.StoreIDs)

	// The role itself changes.
	ro, err := w.db.Platform.Role.Query().Where(role.Code("greeter")).Only(w.system())
	require.NoError(t, err)
	tag := etag.Of(ro.Version)
	_, err = w.UpdateRole(w.admin(), ro.ID, &tag, nil, &[]string{"orders.read", "orders.read"})
	require.NoError(t, err)
	a = rightsOf(t, w.Service, bearer)
	assert.Equal(t, []auth.Permission{auth.OrdersRead}, a.Permissions.List())

	// A stand-in for an hour.
	soon := w.time().Add(time.Hour)
	_, err = w.CreateGrant(w.system(), li.ID, GrantInput{Role: "auditor", Scope: rolegrant.ScopeAll, ExpiresAt: &soon})
	require.NoError(t, err)
	assert.True(t, rightsOf(t, w.Service, w.login("li", staffPassword).Access).Scope.All)
	w.advance(time.Hour - time.Second)
	fresh := w.login("li", staffPassword).Access
	assert.True(t, rightsOf(t, w.Service, fresh).Scope.All)
	w.advance(time.Second)
	assert.False(t, rightsOf(t, w.Service, fresh).Scope.All, "it runs out to the second, whatever is cached")
	assert.False(t, rightsOf(t, w.replica(), fresh).Scope.All)

	require.NoError(t, w.DeleteGrant(w.system(), li.ID, after.Edges.Grants[0].ID))
	assert.Empty(t, rightsOf(t, w.Service, fresh).Permissions)
	assert.Equal(t, auth.Scope{StoreIDs: []uuid.UUID{}}.StoreIDs, append([]uuid.UUID{}, rightsOf(t, w.Service, fresh).Scope.StoreIDs...))
}

func TestNobodyRaisesRights(t *testing.T) {
	w := newWorld(t)
	shanghai, beijing := w.store("SH01", nil), w.store("BJ01", nil)
	region, err := w.CreateRegion(w.system(), "EAST", "华东")
	require.NoError(t, err)
	w.role("keeper", auth.StaffRead, auth.StaffManage, auth.RolesRead, auth.RolesManage, auth.APIKeysManage, auth.StoresManage, auth.OrdersRead)
	w.role("reader", auth.OrdersRead)
	w.role("watcher", auth.AuditRead)
	keeper := w.person("keeper", &shanghai.ID, inStore("keeper", shanghai.ID))
	clerk := w.person("clerk", &shanghai.ID)
	stranger := w.person("stranger", &beijing.ID)
	boss := w.person("boss", &shanghai.ID, everywhere("administrator"))
	office := w.person("office", nil)
	ctx := w.signedIn("keeper")
	secret, disabled := staffPassword, staff.StatusDisabled

	give := func(to uuid.UUID, g GrantInput) error { _, err := w.CreateGrant(ctx, to, g); return err }
	update := func(id uuid.UUID, in UpdateStaffInput) error { _, err := w.UpdateStaff(ctx, id, nil, in); return err }
	create := func(in CreateStaffInput) error {
		in.Password = &secret
		_, _, err := w.CreateStaff(ctx, in)
		return err
	}
	reset := func(id uuid.UUID) error { _, err := w.ResetPassword(ctx, id, nil); return err }
	key := func(in CreateKeyInput) error { in.Name = "k"; _, _, err := w.CreateKey(ctx, in); return err }
	for name, c := range map[string]struct {
		err  error
		want *apperr.Definition
	}{
		"a permission not held":           {give(clerk.ID, inStore("watcher", shanghai.ID)), ErrBeyondOwn},
		"a wider scope":                   {give(clerk.ID, everywhere("reader")), ErrBeyondOwn},
		"another store":                   {give(clerk.ID, inStore("reader", beijing.ID)), ErrBeyondOwn},
		"a region":                        {give(clerk.ID, GrantInput{Role: "reader", Scope: rolegrant.ScopeRegion, RegionID: &region.ID}), ErrBeyondOwn},
		"to themselves":                   {give(keeper.ID, inStore("reader", shanghai.ID)), ErrOwnAccount},
		"to somebody out of sight":        {give(stranger.ID, inStore("reader", shanghai.ID)), ErrStaffNotFound},
		"to head office, out of sight":    {give(office.ID, inStore("reader", shanghai.ID)), ErrStaffNotFound},
		"an unknown role":                 {give(clerk.ID, inStore("emperor", shanghai.ID)), ErrRoleUnknown},
		"disable themselves":              {update(keeper.ID, UpdateStaffInput{Status: &disabled}), ErrOwnAccount},
		"disable a superior":              {update(boss.ID, UpdateStaffInput{Status: &disabled}), ErrBeyondOwn},
		"move a superior away":            {update(boss.ID, UpdateStaffInput{StoreID: nullable.NewNullableWithValue(shanghai.ID)}), ErrBeyondOwn},
		"move somebody to another store":  {update(clerk.ID, UpdateStaffInput{StoreID: nullable.NewNullableWithValue(beijing.ID)}), ErrStoreUnknown},
		"move somebody to head office":    {update(clerk.ID, UpdateStaffInput{StoreID: nullable.NewNullNullable[uuid.UUID]()}), ErrOutOfScope},
		"rename somebody out of sight":    {update(stranger.ID, UpdateStaffInput{Name: &secret}), ErrStaffNotFound},
		"reset a superior's password":     {reset(boss.ID), ErrBeyondOwn},
		"reset their own":                 {reset(keeper.ID), ErrOwnAccount},
		"delete a superior":               {w.DeleteStaff(ctx, boss.ID, nil), ErrBeyondOwn},
		"sign a superior out":             {w.EndSessions(ctx, boss.ID), ErrBeyondOwn},
		"take a superior's role away":     {w.DeleteGrant(ctx, boss.ID, w.grantOf(boss.ID)), ErrBeyondOwn},
		"take away from themselves":       {w.DeleteGrant(ctx, keeper.ID, w.grantOf(keeper.ID)), ErrOwnAccount},
		"hire into another store":         {create(CreateStaffInput{Username: "x1", Name: "x", StoreID: &beijing.ID}), ErrStoreUnknown},
		"hire into head office":           {create(CreateStaffInput{Username: "x2", Name: "x"}), ErrOutOfScope},
		"hire an administrator":           {create(CreateStaffInput{Username: "x3", Name: "x", StoreID: &shanghai.ID, Grants: []GrantInput{inStore("administrator", shanghai.ID)}}), ErrBeyondOwn},
		"a role with more than they have": {second(w.CreateRole(ctx, "grand", "grand", []string{"orders.read", "audit.read"})), ErrBeyondOwn},
		"change a role for everybody":     {second(w.UpdateRole(ctx, w.roleID("reader"), ref("*"), nil, &[]string{"orders.read", "staff.manage"})), ErrOutOfScope},
		"delete a role for everybody":     {w.DeleteRole(ctx, w.roleID("reader"), ref("*")), ErrOutOfScope},
		"a key with more than they have":  {key(CreateKeyInput{Permissions: []string{"audit.read"}, StoreIDs: []uuid.UUID{shanghai.ID}}), ErrBeyondOwn},
		"a key that sees everything":      {key(CreateKeyInput{Permissions: []string{"orders.read"}, AllStores: true}), ErrBeyondOwn},
		"a key for another store":         {key(CreateKeyInput{Permissions: []string{"orders.read"}, StoreIDs: []uuid.UUID{beijing.ID}}), ErrStoreUnknown},
		"a store of their own":            {second(w.CreateStore(ctx, CreateStoreInput{Code: "X1", Name: "x"})), ErrOutOfScope},
		"another store's name":            {second(w.UpdateStore(ctx, beijing.ID, nil, UpdateStoreInput{Name: &secret})), ErrOutOfScope},
		"their store into a region":       {second(w.UpdateStore(ctx, shanghai.ID, nil, UpdateStoreInput{RegionID: nullable.NewNullableWithValue(region.ID)})), ErrOutOfScope},
		"rename a region":                 {second(w.UpdateRegion(ctx, region.ID, nil, nil, &secret)), ErrOutOfScope},
	} {
		assert.True(t, c.want.Is(c.err), "%s: %v", name, c.err)
	}
	assert.Equal(t, 1, w.count(`SELECT count(*) FROM role_grants WHERE staff_id = $1`, keeper.ID))
	assert.Zero(t, w.count(`SELECT count(*) FROM staff WHERE username LIKE 'x_'`), "nothing half-written")

	// What lies within their own rights works.
	require.NoError(t, give(clerk.ID, inStore("reader", shanghai.ID)))
	require.NoError(t, create(CreateStaffInput{Username: "fresh", Name: "新人", StoreID: &shanghai.ID,
		Grants: []GrantInput{{Role: "reader", Scope: rolegrant.ScopeOwn}}}))
	require.NoError(t, key(CreateKeyInput{Permissions: []string{"orders.read"}, StoreIDs: []uuid.UUID{shanghai.ID}}))
	require.NoError(t, reset(clerk.ID))
	require.NoError(t, update(clerk.ID, UpdateStaffInput{Status: &disabled}))
	assert.True(t, ErrGrantDuplicate.Is(give(clerk.ID, inStore("reader", shanghai.ID))))
}

func second[T any](_ T, err error) error { return err }

func (w *world) grantOf(id uuid.UUID) uuid.UUID {
	w.t.Helper()
	g, err := w.db.Platform.RoleGrant.Query().Where(rolegrant.StaffID(id)).Only(w.system())
	require.NoError(w.t, err)
	return g.ID
}

func (w *world) roleID(code string) uuid.UUID {
	w.t.Helper()
	id, err := w.db.Platform.Role.Query().Where(role.Code(code)).OnlyID(w.system())
	require.NoError(w.t, err)
	return id
}

func TestGrantsAreChecked(t *testing.T) {
	w := newWorld(t)
	st := w.store("SH01", nil)
	li := w.person("li", nil)
	past, nowhere := w.time(), uuid.New()
	for name, c := range map[string]struct {
		in   GrantInput
		want *apperr.Definition
		at   string
	}{
		"store without id":    {GrantInput{Role: "analyst", Scope: rolegrant.ScopeStore}, ErrGrantShape, "/scope"},
		"all with a store":    {GrantInput{Role: "analyst", Scope: rolegrant.ScopeAll, StoreID: &st.ID}, ErrGrantShape, "/scope"},
		"run out":             {GrantInput{Role: "analyst", Scope: rolegrant.ScopeAll, ExpiresAt: &past}, ErrGrantExpired, "/expires_at"},
		"a store that isn't":  {inStore("analyst", nowhere), ErrStoreUnknown, "/store_id"},
		"a region that isn't": {GrantInput{Role: "analyst", Scope: rolegrant.ScopeRegion, RegionID: &nowhere}, ErrRegionUnknown, "/region_id"},
	} {
		_, err := w.CreateGrant(w.system(), li.ID, c.in)
		if assert.True(t, c.want.Is(err), "%s: %v", name, err) {
			assert.Equal(t, c.at, apperr.From(err).Fields[0].Pointer, name)
		}
	}
	_, err := w.CreateGrant(w.system(), uuid.New(), everywhere("analyst"))
	assert.True(t, ErrStaffNotFound.Is(err), "%v", err)
	assert.True(t, ErrGrantNotFound.Is(w.DeleteGrant(w.system(), li.ID, uuid.New())))
}

func TestOneAdministratorRemains(t *testing.T) {
	w := newWorld(t)
	admin := w.admin()
	adminID := auth.Must(admin).ID
	disabled := staff.StatusDisabled
	soon := w.time().Add(time.Hour)
	w.person("standin", nil, GrantInput{Role: "administrator", Scope: rolegrant.ScopeAll, ExpiresAt: &soon})
	st := w.store("SH01", nil)
	w.person("local", nil, inStore("administrator", st.ID))
	// Neither the stand-in nor a store's administrator counts.
	for name, act := range map[string]func(context.Context) error{
		"disable": func(ctx context.Context) error {
			_, err := w.UpdateStaff(ctx, adminID, nil, UpdateStaffInput{Status: &disabled})
			return err
		},
		"take the role": func(ctx context.Context) error { return w.DeleteGrant(ctx, adminID, w.grantOf(adminID)) },
		"delete":        func(ctx context.Context) error { return w.DeleteStaff(ctx, adminID, nil) },
	} {
		err := act(w.signedIn("standin"))
		assert.True(t, ErrLastAdmin.Is(err), "%s: %v", name, err)
	}
	w.login(AdminUsername, adminPassword)

	// Two administrators who turn on each other at the same moment.
	secondID := w.person("second", nil, everywhere("administrator")).ID
	pair := []uuid.UUID{adminID, secondID}
	acting := []context.Context{w.signedInAs(adminID), w.signedInAs(secondID)}
	for name, act := range map[string]func(ctx context.Context, victim uuid.UUID) error{
		"disable": func(ctx context.Context, victim uuid.UUID) error {
			_, err := w.UpdateStaff(ctx, victim, nil, UpdateStaffInput{Status: &disabled})
			return err
		},
		"take the role": func(ctx context.Context, victim uuid.UUID) error {
			return w.DeleteGrant(ctx, victim, w.grantOf(victim))
		},
	} {
		release := w.hold(`SELECT id FROM staff FOR UPDATE`)
		var wg sync.WaitGroup
		errs := make([]error, 2)
		for i := range pair {
			wg.Go(func() { errs[i] = act(acting[i], pair[1-i]) })
		}
		release(2)
		wg.Wait()
		refusals := 0
		for _, err := range errs {
			if err != nil {
				refusals++
				assert.True(t, ErrLastAdmin.Is(err), "%s: %v", name, err)
			}
		}
		assert.Equal(t, 1, refusals, name)
		_, err := w.db.Exec(t.Context(), `UPDATE staff SET status = 'active'`)
		require.NoError(t, err)
		for i, id := range pair {
			if errs[1-i] == nil && name == "take the role" {
				_, err := w.CreateGrant(w.system(), id, everywhere("administrator"))
				require.NoError(t, err)
			}
		}
	}
}

func TestStaffLifecycle(t *testing.T) {
	w := newWorld(t)
	admin := w.admin()
	st := w.store("SH01", nil)
	made, initial, err := w.CreateStaff(admin, CreateStaffInput{Username: "Wang.Li", Name: "王丽", StoreID: &st.ID, MustChangePassword: true,
		Grants: []GrantInput{{Role: "assistant", Scope: rolegrant.ScopeOwn}}})
	require.NoError(t, err)
	assert.Equal(t, "wang.li", made.Username)
	require.NotEmpty(t, initial)
	require.Len(t, made.Edges.Grants, 1)
	assert.Equal(t, "assistant", made.Edges.Grants[0].Edges.Role.Code)
	_, _, err = w.CreateStaff(admin, CreateStaffInput{Username: "WANG.LI", Name: "another"})
	assert.True(t, ErrUsernameTaken.Is(err), "%v", err)

	old, name := etag.Of(made.Version), "王丽丽"
	after, err := w.UpdateStaff(admin, made.ID, &old, UpdateStaffInput{Name: &name})
	require.NoError(t, err)
	assert.Equal(t, name, after.Name)
	_, err = w.UpdateStaff(admin, made.ID, &old, UpdateStaffInput{Name: &name})
	assert.True(t, apperr.ErrVersionMismatch.Is(err), "%v", err)

	unused := w.person("mistake", nil, everywhere("analyst"))
	require.NoError(t, w.DeleteStaff(admin, unused.ID, nil))
	assert.Zero(t, w.count(`SELECT count(*) FROM role_grants WHERE staff_id = $1`, unused.ID))
	w.login("wang.li", initial)
	assert.True(t, ErrStaffInUse.Is(w.DeleteStaff(admin, made.ID, nil)))
	assert.Equal(t, 1, w.count(`SELECT count(*) FROM role_grants WHERE staff_id = $1`, made.ID), "a refusal changes nothing")

	for action, n := range map[string]int{"staff.create": 3, "staff.update": 1, "staff.delete": 1, "staff.grant_role": 3, "stores.create": 1} {
		assert.Equal(t, n, w.count(`SELECT count(*) FROM audit_logs WHERE action = $1`, action), action)
	}
	assert.Equal(t, 1, w.count(`SELECT count(*) FROM audit_logs WHERE action = 'staff.update' AND actor_name = 'admin' AND object_id = $1`, made.ID.String()))
	assert.Zero(t, w.count(`SELECT count(*) FROM audit_logs a WHERE a::text LIKE '%' || $1 || '%' OR a::text LIKE '%王丽%'`, initial), "neither passwords nor names")
}

func TestRoleLifecycle(t *testing.T) {
	w := newWorld(t)
	admin := w.admin()
	ro, err := w.CreateRole(admin, "stocktaker", "盘点员", []string{"stores.read", "catalog.read", "catalog.read"})
	require.NoError(t, err)
	assert.Equal(t, []string{"catalog.read", "stores.read"}, []string(ro.Permissions))
	_, err = w.CreateRole(admin, "stocktaker", "x", []string{"stores.read"})
	assert.True(t, ErrRoleCodeTaken.Is(err), "%v", err)
	_, err = w.CreateRole(admin, "wizard", "x", []string{"stores.read", "magic.cast"})
	require.True(t, ErrPermissionUnknown.Is(err), "%v", err)
	assert.Equal(t, "/permissions/1", apperr.From(err).Fields[0].Pointer)

	name, tag, stale := "盘点", etag.Of(ro.Version), etag.Of(ro.Version+7)
	_, err = w.UpdateRole(admin, ro.ID, nil, &name, nil)
	assert.True(t, apperr.ErrVersionRequired.Is(err), "%v", err)
	_, err = w.UpdateRole(admin, ro.ID, &stale, &name, nil)
	assert.True(t, apperr.ErrVersionMismatch.Is(err), "%v", err)
	ro, err = w.UpdateRole(admin, ro.ID, &tag, &name, nil)
	require.NoError(t, err)
	assert.Equal(t, name, ro.Name)

	builtIn := w.roleID("assistant")
	_, err = w.UpdateRole(admin, builtIn, ref("*"), &name, nil)
	assert.True(t, ErrRoleBuiltIn.Is(err), "%v", err)
	assert.True(t, ErrRoleBuiltIn.Is(w.DeleteRole(admin, builtIn, ref("*"))))

	li := w.person("li", nil, everywhere("stocktaker"))
	tag = etag.Of(ro.Version)
	assert.True(t, ErrRoleInUse.Is(w.DeleteRole(admin, ro.ID, &tag)))
	require.NoError(t, w.DeleteGrant(admin, li.ID, w.grantOf(li.ID)))
	require.NoError(t, w.DeleteRole(admin, ro.ID, &tag))
	assert.True(t, ErrRoleNotFound.Is(w.DeleteRole(admin, ro.ID, &tag)))
}

func TestStoreAndRegionLifecycle(t *testing.T) {
	w := newWorld(t)
	admin := w.admin()
	region, err := w.CreateRegion(admin, "EAST", "华东")
	require.NoError(t, err)
	_, err = w.CreateRegion(admin, "EAST", "x")
	assert.True(t, ErrRegionCodeTaken.Is(err), "%v", err)
	st := w.store("SH01", &region.ID)
	_, err = w.CreateStore(admin, CreateStoreInput{Code: "SH01", Name: "x"})
	assert.True(t, ErrStoreCodeTaken.Is(err), "%v", err)
	nowhere := uuid.New()
	_, err = w.CreateStore(admin, CreateStoreInput{Code: "SH02", Name: "x", RegionID: &nowhere})
	assert.True(t, ErrRegionUnknown.Is(err), "%v", err)

	after, err := w.UpdateStore(admin, st.ID, nil, UpdateStoreInput{City: nullable.NewNullableWithValue("上海")})
	require.NoError(t, err)
	assert.Equal(t, "上海", after.City)
	after, err = w.UpdateStore(admin, st.ID, ref(etag.Of(after.Version)), UpdateStoreInput{City: nullable.NewNullNullable[string]()})
	require.NoError(t, err)
	assert.Empty(t, after.City)
	assert.Equal(t, &region.ID, after.RegionID, "fields not sent stay")
	_, err = w.UpdateStore(admin, st.ID, ref(etag.Of(1)), UpdateStoreInput{})
	assert.True(t, apperr.ErrVersionMismatch.Is(err), "%v", err)

	assert.True(t, ErrRegionInUse.Is(w.DeleteRegion(admin, region.ID, nil)))
	w.person("li", &st.ID)
	assert.True(t, ErrStoreInUse.Is(w.DeleteStore(admin, st.ID, nil)))
	unused := w.store("SH09", nil)
	require.NoError(t, w.DeleteStore(admin, unused.ID, nil))
	assert.True(t, ErrStoreNotFound.Is(w.DeleteStore(admin, unused.ID, nil)))
	_, err = w.UpdateStore(admin, st.ID, nil, UpdateStoreInput{RegionID: nullable.NewNullNullable[uuid.UUID]()})
	require.NoError(t, err)
	renamed, err := w.UpdateRegion(admin, region.ID, nil, nil, ref("华东区"))
	require.NoError(t, err)
	assert.Equal(t, "华东区", renamed.Name)
	require.NoError(t, w.DeleteRegion(admin, region.ID, nil))
	assert.True(t, ErrRegionNotFound.Is(w.DeleteRegion(admin, region.ID, nil)))
}
