// Package auth holds who is acting, what they may do and how far they may see.
//
// The authentication middleware puts an Actor in the context; ent's privacy
// policies and services read it from there. A context without an actor may do
// nothing: every scoped query fails (default deny).
package auth

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Kind tells what sort of principal acts.
type Kind string

// Kinds of actor.
const (
	KindStaff  Kind = "staff"
	KindAPIKey Kind = "api_key"
	KindMember Kind = "member" // a customer, on their own side of the API
	KindSystem Kind = "system" // a job or command of ours
)

// Actor is the principal of a request or job.
type Actor struct {
	Kind        Kind          `json:"kind"`
	ID          uuid.UUID     `json:"id"`                   // staff, API key or customer id; zero for the system
	Name        string        `json:"name,omitempty"`       // user name of staff, name of key or job: for the audit log
	SessionID   uuid.UUID     `json:"session_id,omitempty"` // zero for keys and the system
	Permissions PermissionSet `json:"permissions"`
	Roles       []string      `json:"roles,omitempty"` // codes of the roles that staff hold now
	Scope       Scope         `json:"scope"`           // of the operation's permission once the edge has admitted the request; before, of all grants together

	// RequestsPerMinute is a limit of an API key's own; 0: the general ones.
	RequestsPerMinute int `json:"requests_per_minute,omitempty"`

	// Reach is how far each permission goes, for actors whose grants differ in
	// scope: an assistant of their own customers who is also analyst of the whole
	// business must not change customers everywhere. Nil when Scope says it all.
	Reach map[Permission]Scope `json:"reach,omitempty"`

	// Staff only: how the session last proved who is there, which second factors
	// the account has, and whether somebody else knows the password.
	Proof              Proof    `json:"proof,omitzero"`
	Factors            []string `json:"factors,omitempty"`
	MustChangePassword bool     `json:"must_change_password,omitempty"`
}

// Proof is when, and with what, somebody proved who they are.
type Proof struct {
	At     time.Time `json:"at,omitzero"`
	Second bool      `json:"second,omitempty"` // with a second factor
}

// ScopeOf is how far the actor sees when using a permission.
func (a Actor) ScopeOf(p Permission) Scope {
	if a.Reach == nil {
		return a.Scope
	}
	return a.Reach[p]
}

// StandsInFor names the colleagues on leave whose customers the actor looks
// after. They are in the reach of the permissions lent and nowhere else, so
// that what everybody may do to their own account is not done to theirs.
func (a Actor) StandsInFor() []uuid.UUID {
	out := []uuid.UUID{}
	for p := range a.Reach {
		out = union(out, a.Reach[p].OwnStaff)
	}
	return slices.DeleteFunc(out, func(id uuid.UUID) bool { return id == a.ID })
}

// Using returns the actor as far as one permission reaches: what a request for
// an operation with that permission acts as.
func (a Actor) Using(p Permission) Actor {
	if p != Self {
		a.Scope = a.ScopeOf(p)
	}
	return a
}

// Plus adds up two scopes.
func (s Scope) Plus(t Scope) Scope {
	s.All = s.All || t.All
	s.OwnStaff = union(s.OwnStaff, t.OwnStaff)
	s.StoreIDs = union(s.StoreIDs, t.StoreIDs)
	return s
}

func union(a, b []uuid.UUID) []uuid.UUID {
	if len(b) == 0 {
		return a
	}
	out := slices.Concat(a, b)
	slices.SortFunc(out, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	return slices.Compact(out)
}

// OfMember is a customer on their own side of the API.
func OfMember(customerID uuid.UUID) Actor {
	return Actor{Kind: KindMember, ID: customerID, Permissions: NewPermissionSet(Member), Scope: Scope{Member: customerID}}
}

// Own is the scope of what belongs to one member of staff.
func Own(staffID uuid.UUID) Scope { return Scope{OwnStaff: []uuid.UUID{staffID}} }

// Scope is how far an actor may see among rows that belong to a store or an
// assistant. The parts add up; an empty scope sees nothing.
type Scope struct {
	All      bool        `json:"all,omitempty"`
	StoreIDs []uuid.UUID `json:"store_ids,omitempty"` // stores granted one by one or through a region
	OwnStaff []uuid.UUID `json:"own_staff,omitempty"` // rows assigned to these members of staff: oneself, and those one stands in for
	Member   uuid.UUID   `json:"member,omitzero"`     // rows of this customer, for the customer
}

// Sees reports whether a row with this store and assistant lies in the scope.
func (s Scope) Sees(storeID, assignedStaffID uuid.UUID) bool {
	return s.All ||
		s.Owns(assignedStaffID) ||
		(storeID != uuid.Nil && slices.Contains(s.StoreIDs, storeID))
}

// Owns reports whether rows assigned to a member of staff lie in the scope
// whatever their store.
func (s Scope) Owns(staffID uuid.UUID) bool {
	return staffID != uuid.Nil && slices.Contains(s.OwnStaff, staffID)
}

// SeesStore reports whether everything of a store lies in the scope.
func (s Scope) SeesStore(storeID uuid.UUID) bool {
	return s.All || slices.Contains(s.StoreIDs, storeID)
}

// Can reports whether the actor holds a permission.
func (a Actor) Can(p Permission) bool { return a.Kind == KindSystem || a.Permissions.Has(p) }

// Principal is the owner of idempotency keys and rate limits: kind and id.
func (a Actor) Principal() string { return string(a.Kind) + ":" + a.ID.String() }

type ctxKey struct{}

// ErrNoActor means code reached data without a principal: a defect of ours,
// answered by refusing.
var ErrNoActor = errors.New("auth: no actor in context")

// With returns a context in which the actor acts.
func With(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, ctxKey{}, &a)
}

// From returns the actor, or ErrNoActor.
func From(ctx context.Context) (Actor, error) {
	if a, ok := ctx.Value(ctxKey{}).(*Actor); ok {
		return *a, nil
	}
	return Actor{}, ErrNoActor
}

type demandKey struct{}

// WithProofDemand lets DemandProof ask by what a request wants.
func WithProofDemand(ctx context.Context, demand func(context.Context) error) context.Context {
	return context.WithValue(ctx, demandKey{}, demand)
}

// DemandProof refuses unless the person calling has proved lately who they
// are. Without a demand from the edge (jobs, commands, machines) it asks
// nothing.
func DemandProof(ctx context.Context) error {
	if demand, ok := ctx.Value(demandKey{}).(func(context.Context) error); ok {
		return demand(ctx)
	}
	return nil
}

// Must returns the actor of a context that passed the authentication
// middleware; it panics without one.
func Must(ctx context.Context) Actor {
	a, err := From(ctx)
	if err != nil {
		panic(err)
	}
	return a
}

// System returns a context in which a job or command of ours acts: it sees
// everything, and the audit log names it.
func System(ctx context.Context, name string) context.Context {
	return With(ctx, Actor{Kind: KindSystem, Name: name, Scope: Scope{All: true}})
}
