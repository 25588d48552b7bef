package identity

import (
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/platform/rolegrant"
	"github.com/shuke-crm/shuke/internal/platform/auth"
)

// holding is what somebody has and so may hand on.
type holding struct {
	all         bool // the system itself
	permissions auth.PermissionSet
	scope       auth.Scope
	regions     []uuid.UUID // whole regions, with the stores they will have
}

// lacks names the first permission that is not held, or nothing.
func (h holding) lacks(permissions []string) string {
	if h.all {
		return ""
	}
	for _, p := range permissions {
		if !h.permissions.Has(auth.Permission(p)) {
			return p
		}
	}
	return ""
}

// reach is how far a grant goes; home is the store of the person it is for.
type reach struct {
	scope         rolegrant.Scope
	store, region *uuid.UUID
	home          *uuid.UUID
}

// covers reports whether a grant's scope lies within the holding. Customers
// assigned to somebody count as those of their home store.
func (h holding) covers(r reach) bool {
	if h.all || h.scope.All {
		return true
	}
	switch r.scope {
	case rolegrant.ScopeOwn:
		return r.home != nil && h.scope.SeesStore(*r.home)
	case rolegrant.ScopeStore:
		return r.store != nil && h.scope.SeesStore(*r.store)
	case rolegrant.ScopeRegion:
		return r.region != nil && slices.Contains(h.regions, *r.region)
	default:
		return false
	}
}

// wellFormed reports whether store and region go with the scope.
func (r reach) wellFormed() bool {
	return (r.scope == rolegrant.ScopeStore) == (r.store != nil) && (r.scope == rolegrant.ScopeRegion) == (r.region != nil)
}

// grantedRole is one grant as the resolution of rights sees it.
type grantedRole struct {
	scope        rolegrant.Scope
	store        *uuid.UUID
	regionStores []uuid.UUID
	permissions  []string
	expires      *time.Time
}

// resolve adds up grants: permissions and scopes of all that have not run out.
// Until is when the first of them does, or zero.
func resolve(staffID uuid.UUID, grants []grantedRole, now time.Time) (permissions auth.PermissionSet, scope auth.Scope, until time.Time) {
	permissions = auth.PermissionSet{}
	for _, g := range grants {
		if g.expires != nil {
			if !now.Before(*g.expires) {
				continue
			}
			if until.IsZero() || g.expires.Before(until) {
				until = *g.expires
			}
		}
		for _, p := range g.permissions {
			permissions[auth.Permission(p)] = struct{}{}
		}
		switch g.scope {
		case rolegrant.ScopeAll:
			scope.All = true
		case rolegrant.ScopeOwn:
			scope.OwnStaff = staffID
		case rolegrant.ScopeStore:
			scope.StoreIDs = append(scope.StoreIDs, *g.store)
		case rolegrant.ScopeRegion:
			scope.StoreIDs = append(scope.StoreIDs, g.regionStores...)
		}
	}
	slices.SortFunc(scope.StoreIDs, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	scope.StoreIDs = slices.Compact(scope.StoreIDs)
	return permissions, scope, until
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
