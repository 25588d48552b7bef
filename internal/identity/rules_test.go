package identity

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/shuke-crm/shuke/ent/platform/rolegrant"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/password"
)

var noon = time.Date(2026, 7, 1, 4, 0, 0, 0, time.UTC)

func TestResolveAddsUpGrantsInForce(t *testing.T) {
	me, a, b, c := uuid.New(), uuid.New(), uuid.New(), uuid.New()
	past, soon, later := noon.Add(-time.Second), noon.Add(time.Hour), noon.Add(2*time.Hour)
	permissions, scope, reach, until := resolve(me, []grantedRole{
		{scope: rolegrant.ScopeStore, store: &a, permissions: []string{"orders.read"}, expires: &later},
		{scope: rolegrant.ScopeRegion, groupStores: []uuid.UUID{b, a}, permissions: []string{"stores.read"}, expires: &soon},
		{scope: rolegrant.ScopeOwn, permissions: []string{"customers.read"}},
		{scope: rolegrant.ScopeAll, permissions: []string{"staff.manage"}, expires: &past},
		{scope: rolegrant.ScopeStore, store: &c, permissions: []string{"audit.read"}, expires: &noon}, // runs out this instant
	}, noon)
	assert.Equal(t, []auth.Permission{"customers.read", "orders.read", "stores.read"}, permissions.List())
	assert.False(t, scope.All)
	assert.Equal(t, []uuid.UUID{me}, scope.OwnStaff)
	assert.ElementsMatch(t, []uuid.UUID{a, b}, scope.StoreIDs)
	assert.Equal(t, auth.Scope{OwnStaff: []uuid.UUID{me}}, reach["customers.read"], "each permission goes as far as its own grants")
	assert.Equal(t, auth.Scope{StoreIDs: []uuid.UUID{a}}, reach["orders.read"])
	assert.NotContains(t, reach, auth.Permission("staff.manage"))
	assert.Equal(t, soon, until, "rights change when the first grant runs out")

	_, scope, reach, until = resolve(me, nil, noon)
	assert.Nil(t, reach)
	assert.Equal(t, auth.Scope{}, scope, "without grants nothing is seen")
	assert.True(t, until.IsZero())
}

func TestStandingInLendsReachAndNoPermission(t *testing.T) {
	away, other := uuid.New(), uuid.New()
	me, shop := uuid.New(), uuid.New()
	held := auth.NewPermissionSet(auth.CustomersRead, auth.OrdersRead, auth.StaffManage)
	week := noon.Add(7 * 24 * time.Hour)
	theirs := []string{"customers.read", "customers.reveal", "staff.manage"}
	active := loan{from: away, starts: noon, ends: week, permissions: theirs}

	reach, until := lend(held, auth.Own(me), nil, time.Time{}, []loan{active}, noon)
	assert.ElementsMatch(t, []uuid.UUID{me, away}, reach[auth.CustomersRead].OwnStaff)
	assert.Equal(t, auth.Own(me), reach[auth.OrdersRead], "what the one on leave does not hold is not lent")
	assert.Equal(t, auth.Own(me), reach[auth.StaffManage], "accounts are not lent")
	assert.NotContains(t, reach, auth.CustomersReveal, "what the deputy does not hold is not gained")
	assert.Equal(t, week, until)
	actor := auth.Actor{ID: me, Permissions: held, Scope: auth.Own(me), Reach: reach}
	assert.Equal(t, []uuid.UUID{away}, actor.StandsInFor())
	assert.Equal(t, auth.Own(me), actor.Using(auth.Self).Scope, "one's own account stays one's own")

	for name, l := range map[string]loan{
		"over":             {from: away, starts: noon.Add(-time.Hour), ends: noon, permissions: theirs},
		"of a grant gone":  {from: away, starts: noon, ends: week, permissions: theirs, expires: &noon},
		"of other matters": {from: away, starts: noon, ends: week, permissions: []string{"staff.manage", "audit.read"}},
	} {
		reach, _ := lend(held, auth.Own(me), nil, time.Time{}, []loan{l}, noon)
		assert.Nil(t, reach, name)
	}
	soon, later := noon.Add(time.Hour), noon.Add(2*time.Hour)
	reach, until = lend(held, auth.Own(me), nil, later, []loan{{from: away, starts: soon, ends: week, permissions: theirs}}, noon)
	assert.Nil(t, reach, "not yet")
	assert.Equal(t, soon, until, "the rights change when it begins")

	mixed := map[auth.Permission]auth.Scope{auth.CustomersRead: {All: true}, auth.OrdersRead: {StoreIDs: []uuid.UUID{shop}}}
	reach, until = lend(held, auth.Scope{All: true}, mixed, time.Time{}, []loan{
		{from: away, starts: noon, ends: week, permissions: []string{"customers.read", "orders.read"}, expires: &soon},
		{from: other, starts: noon, ends: later, permissions: []string{"orders.read"}},
	}, noon)
	assert.Equal(t, auth.Scope{All: true}, reach[auth.CustomersRead])
	assert.Equal(t, []uuid.UUID{shop}, reach[auth.OrdersRead].StoreIDs)
	assert.ElementsMatch(t, []uuid.UUID{away, other}, reach[auth.OrdersRead].OwnStaff)
	assert.Equal(t, soon, until)
	assert.Len(t, mixed, 2)
	assert.Empty(t, mixed[auth.OrdersRead].OwnStaff, "the reach given is not changed")
}

func TestNobodyHandsOnWhatTheyLack(t *testing.T) {
	mine, other, region, otherRegion := uuid.New(), uuid.New(), uuid.New(), uuid.New()
	manager := holding{
		actor:  auth.Actor{Permissions: auth.NewPermissionSet(auth.StaffManage, auth.OrdersRead), Scope: auth.Scope{StoreIDs: []uuid.UUID{mine}}},
		groups: map[uuid.UUID]auth.PermissionSet{region: auth.NewPermissionSet(auth.OrdersRead)},
	}
	system := holding{actor: auth.Actor{Kind: auth.KindSystem}}
	assert.Empty(t, manager.lacks([]string{"orders.read"}))
	assert.Equal(t, "audit.read", manager.lacks([]string{"orders.read", "audit.read"}))
	assert.Empty(t, system.lacks([]string{"audit.read"}))

	for name, c := range map[string]struct {
		reach reach
		want  bool
	}{
		"own store":                {reach{scope: rolegrant.ScopeStore, store: &mine}, true},
		"another store":            {reach{scope: rolegrant.ScopeStore, store: &other}, false},
		"everything":               {reach{scope: rolegrant.ScopeAll}, false},
		"own region":               {reach{scope: rolegrant.ScopeRegion, region: &region}, true},
		"another region":           {reach{scope: rolegrant.ScopeRegion, region: &otherRegion}, false},
		"own rows, same store":     {reach{scope: rolegrant.ScopeOwn, home: &mine}, true},
		"own rows, other store":    {reach{scope: rolegrant.ScopeOwn, home: &other}, false},
		"own rows, head office":    {reach{scope: rolegrant.ScopeOwn}, false},
		"store scope without id":   {reach{scope: rolegrant.ScopeStore}, false},
		"a scope that is no scope": {reach{scope: "galaxy"}, false},
	} {
		assert.Equal(t, c.want, manager.covers(auth.OrdersRead, c.reach), name)
		assert.True(t, holding{actor: auth.Actor{Scope: auth.Scope{All: true}}}.covers(auth.OrdersRead, c.reach), "who sees everything covers %s", name)
		assert.False(t, holding{}.covers(auth.OrdersRead, c.reach), "who has nothing does not cover %s", name)
	}
}

func TestEachPermissionIsHandedOnAsFarAsItIsHeld(t *testing.T) {
	store, region := uuid.New(), uuid.New()
	// Staff manager of a store, reader of the whole business, customers of their own.
	mixed := holding{
		actor: auth.Actor{
			Permissions: auth.NewPermissionSet(auth.StaffManage, auth.OrdersRead, auth.CustomersUpdate),
			Scope:       auth.Scope{All: true},
			Reach: map[auth.Permission]auth.Scope{
				auth.StaffManage: {StoreIDs: []uuid.UUID{store}}, auth.OrdersRead: {All: true}, auth.CustomersUpdate: {OwnStaff: []uuid.UUID{uuid.New()}},
			},
		},
		groups: map[uuid.UUID]auth.PermissionSet{region: auth.NewPermissionSet(auth.StaffManage)},
	}
	inStore, everywhere, inRegion := reach{scope: rolegrant.ScopeStore, store: &store}, reach{scope: rolegrant.ScopeAll}, reach{scope: rolegrant.ScopeRegion, region: &region}
	assert.True(t, mixed.covers(auth.StaffManage, inStore))
	assert.False(t, mixed.covers(auth.StaffManage, everywhere), "seeing everything elsewhere does not widen this permission")
	assert.True(t, mixed.covers(auth.StaffManage, inRegion))
	assert.True(t, mixed.covers(auth.OrdersRead, everywhere))
	assert.False(t, mixed.covers(auth.CustomersUpdate, inStore), "own customers are not a store")
	assert.Empty(t, mixed.lacksEverywhere([]string{"orders.read"}))
	assert.Equal(t, "staff.manage", mixed.lacksEverywhere([]string{"orders.read", "staff.manage"}))
}

func TestGrantShape(t *testing.T) {
	id := uuid.New()
	assert.True(t, reach{scope: rolegrant.ScopeStore, store: &id}.wellFormed())
	assert.True(t, reach{scope: rolegrant.ScopeRegion, region: &id}.wellFormed())
	assert.True(t, reach{scope: rolegrant.ScopeOwn}.wellFormed())
	assert.False(t, reach{scope: rolegrant.ScopeAll, store: &id}.wellFormed())
	assert.False(t, reach{scope: rolegrant.ScopeStore}.wellFormed())
	assert.False(t, reach{scope: rolegrant.ScopeRegion, store: &id, region: &id}.wellFormed())
}

func TestWaitGrowsAndIsNeverForGood(t *testing.T) {
	assert.Zero(t, perAddress.wait(perAddress.free-1))
	assert.Equal(t, time.Second, perAddress.wait(perAddress.free))
	assert.Equal(t, 4*time.Second, perAddress.wait(perAddress.free+2))
	assert.Equal(t, perAddress.longest, perAddress.wait(1000))
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 10_000).Draw(t, "n")
		a := rapid.SampledFrom([]attempts{perAddress, perAccount}).Draw(t, "kind")
		assert.LessOrEqual(t, a.wait(n), a.wait(n+1))
		assert.LessOrEqual(t, a.wait(n+1), a.longest)
	})
}

func TestKeyFormat(t *testing.T) {
	id, key := newKey()
	assert.Regexp(t, `^shk_live_[a-z2-7]{12}_[a-z2-7]{59}$`, key)
	got, ok := parseKey(key)
	require.True(t, ok)
	assert.Equal(t, id, got)
	for i := range key {
		changed := []byte(key)
		if changed[i] == 'a' {
			changed[i] = 'b'
		} else {
			changed[i] = 'a'
		}
		_, ok := parseKey(string(changed))
		assert.False(t, ok, "a typing error at %d is noticed", i)
	}
	_, ok = parseKey(key[:len(key)-1])
	assert.False(t, ok)
	_, ok = parseKey(key + "a")
	assert.False(t, ok)
}

func TestInitialPasswordsPassThePolicy(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		p := newPassword()
		require.NoError(t, password.Check(p, "wang"))
		assert.Regexp(t, `^([a-z2-9]{5}-){3}[a-z2-9]{5}$`, p)
		assert.False(t, seen[p])
		seen[p] = true
	}
}

func TestClientHeadersFitTheirColumns(t *testing.T) {
	c := clientOf(WithClient(t.Context(), Client{IP: strings.Repeat("1", 100), UserAgent: "a\x00" + strings.Repeat("数", 200) + "\xff"}))
	assert.Len(t, c.IP, 45)
	assert.LessOrEqual(t, len(c.UserAgent), 300)
	assert.True(t, strings.HasPrefix(c.UserAgent, "a数"))
	assert.Equal(t, Client{}, clientOf(t.Context()))
}
