package identity

import (
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/platform/rolegrant"
	"github.com/shuke-crm/shuke/internal/platform/auth"
)

// holding is what somebody has and so may hand on.
type holding struct {
	actor  auth.Actor
	groups map[uuid.UUID]auth.PermissionSet // whole regions and merchants, with the stores they will have, and what is held there
}

func (h holding) all() bool { return h.actor.Kind == auth.KindSystem }

// lacks names the first permission that is not held at all, or nothing.
func (h holding) lacks(permissions []string) string {
	for _, p := range permissions {
		if !h.actor.Can(auth.Permission(p)) {
			return p
		}
	}
	return ""
}

// lacksEverywhere names the first permission that is not held over the whole
// business, or nothing: changing a role reaches wherever it is granted.
func (h holding) lacksEverywhere(permissions []string) string {
	for _, p := range permissions {
		if !h.all() && (!h.actor.Can(auth.Permission(p)) || !h.actor.ScopeOf(auth.Permission(p)).All) {
			return p
		}
	}
	return ""
}

// reach is how far a grant goes; home is the store of the person it is for.
type reach struct {
	scope         rolegrant.Scope
	store, region *uuid.UUID
	merchant      *uuid.UUID
	home          *uuid.UUID
}

// covers reports whether a grant of a permission lies within the holding.
// Customers assigned to somebody count as those of their home store.
func (h holding) covers(p auth.Permission, r reach) bool {
	sc := h.actor.ScopeOf(p)
	if h.all() || sc.All {
		return true
	}
	switch r.scope {
	case rolegrant.ScopeOwn:
		return r.home != nil && sc.SeesStore(*r.home)
	case rolegrant.ScopeStore:
		return r.store != nil && sc.SeesStore(*r.store)
	case rolegrant.ScopeRegion:
		return r.region != nil && h.groups[*r.region].Has(p)
	case rolegrant.ScopeMerchant:
		return r.merchant != nil && h.groups[*r.merchant].Has(p)
	default:
		return false
	}
}

// wellFormed reports whether store, region and merchant go with the scope.
func (r reach) wellFormed() bool {
	return (r.scope == rolegrant.ScopeStore) == (r.store != nil) && (r.scope == rolegrant.ScopeRegion) == (r.region != nil) &&
		(r.scope == rolegrant.ScopeMerchant) == (r.merchant != nil)
}

// grantedRole is one grant as the resolution of rights sees it.
type grantedRole struct {
	role        string // its code
	scope       rolegrant.Scope
	store       *uuid.UUID
	groupStores []uuid.UUID // of the region or merchant
	permissions []string
	expires     *time.Time
}

// resolve adds up the grants that have not run out: what the person may do, how
// far all of it reaches together, and how far each permission does where the
// grants differ. Until is when the first of them runs out, or zero.
func resolve(staffID uuid.UUID, grants []grantedRole, now time.Time) (permissions auth.PermissionSet, scope auth.Scope, reach map[auth.Permission]auth.Scope, until time.Time) {
	permissions, reach = auth.PermissionSet{}, map[auth.Permission]auth.Scope{}
	for _, g := range grants {
		if g.expires != nil {
			if !now.Before(*g.expires) {
				continue
			}
			if until.IsZero() || g.expires.Before(until) {
				until = *g.expires
			}
		}
		far := g.reaches(staffID)
		scope = scope.Plus(far)
		for _, name := range g.permissions {
			p := auth.Permission(name)
			permissions[p] = struct{}{}
			reach[p] = reach[p].Plus(far)
		}
	}
	for _, far := range reach {
		if !reflect.DeepEqual(far, scope) {
			return permissions, scope, reach, until
		}
	}
	return permissions, scope, nil, until
}

// loan is a delegation to somebody, with what the one on leave holds over
// their own customers.
type loan struct {
	from         uuid.UUID
	starts, ends time.Time
	permissions  []string
	expires      *time.Time // of the grant that these permissions come from
}

// lend widens the reach of somebody who stands in for others: to those others'
// customers, for the permissions both hold. Total is how far all their own
// grants reach together; until is as resolve tells it, brought forward to the
// next beginning or end of a loan.
func lend(permissions auth.PermissionSet, total auth.Scope, reach map[auth.Permission]auth.Scope, until time.Time, loans []loan, now time.Time) (map[auth.Permission]auth.Scope, time.Time) {
	sooner := func(t time.Time) {
		if until.IsZero() || t.Before(until) {
			until = t
		}
	}
	var wider map[auth.Permission]auth.Scope
	for _, l := range loans {
		switch {
		case !now.Before(l.ends), l.expires != nil && !now.Before(*l.expires):
			continue
		case now.Before(l.starts):
			sooner(l.starts)
			continue
		}
		sooner(l.ends)
		if l.expires != nil {
			sooner(*l.expires)
		}
		for _, name := range l.permissions {
			p := auth.Permission(name)
			if !auth.Lendable.Has(p) || !permissions.Has(p) {
				continue
			}
			if wider == nil {
				wider = make(map[auth.Permission]auth.Scope, len(permissions))
				for held := range permissions {
					wider[held] = auth.Actor{Scope: total, Reach: reach}.ScopeOf(held)
				}
			}
			if far := wider[p]; !far.All {
				wider[p] = far.Plus(auth.Own(l.from))
			}
		}
	}
	if wider == nil {
		return reach, until
	}
	return wider, until
}

// reaches is the scope of one grant.
func (g grantedRole) reaches(staffID uuid.UUID) auth.Scope {
	switch g.scope {
	case rolegrant.ScopeAll:
		return auth.Scope{All: true}
	case rolegrant.ScopeOwn:
		return auth.Own(staffID)
	case rolegrant.ScopeStore:
		return auth.Scope{StoreIDs: []uuid.UUID{*g.store}}
	case rolegrant.ScopeRegion, rolegrant.ScopeMerchant:
		return auth.Scope{StoreIDs: g.groupStores}
	default:
		return auth.Scope{}
	}
}

// unknownPermission names the position of the first permission that does not
// exist, or -1.
func unknownPermission(permissions []string) int {
	known := auth.NewPermissionSet(auth.All()...)
	return slices.IndexFunc(permissions, func(p string) bool { return !known.Has(auth.Permission(p)) })
}

// sorted is a copy in order, without repetitions.
func sorted(permissions []string) []string {
	out := slices.Clone(permissions)
	slices.Sort(out)
	return slices.Compact(out)
}

// normalUsername is the form in which user names are stored and looked up.
func normalUsername(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

// attempts bounds the guessing of passwords: after free failures within the
// window each further attempt must wait, twice as long each time up to longest.
type attempts struct {
	free    int
	longest time.Duration
	window  time.Duration
}

var (
	// One account from one address: a person who mistypes never notices.
	perAddress = attempts{free: 5, longest: 15 * time.Minute, window: 30 * time.Minute}
	// One account from everywhere, against guessing from many addresses. The
	// wait stays short, and addresses the account has signed in from are exempt,
	// so that nobody can be locked out by a stranger.
	perAccount = attempts{free: 20, longest: 30 * time.Second, window: 30 * time.Minute}
)

// wait is how long the attempt after the nth must be put off.
func (a attempts) wait(n int) time.Duration {
	over := n - a.free
	if over < 0 {
		return 0
	}
	if over > 20 {
		return a.longest
	}
	return min(time.Second<<over, a.longest)
}
