// Package identity knows who is calling and what they may do: sign-in,
// sessions, staff and their roles, stores and regions, API keys.
//
// Tables it writes: staff, staff_factors, factor_tries, password_resets, roles,
// role_grants, sessions, api_keys, stores, regions.
//
// Domain events: staff.created, staff.updated, staff.deleted,
// staff.grants_changed, staff.signed_in_from_new_device, session.created, session.revoked, role.created,
// role.updated, role.deleted, store.created, store.updated, store.deleted,
// region.created, region.updated, region.deleted, api_key.created,
// api_key.revoked.
//
// A session lives in PostgreSQL:
//
//	signed in ── refresh (rotates the token) ──┐
//	    │ ▲──────────────────────────────────┘
//	    ├─ signed out, revoked, token reused, password changed, staff disabled ─→ revoked
//	    └─ 30 days old, or 7 days without a refresh ─→ ended
//
// An access token only names its session. What the caller may do is resolved
// from role grants as they are now and kept by the package principals: a second
// in process, seconds in Redis, PostgreSQL. Every write that changes somebody's
// rights names them to invalidate, which voids all layers with the commit.
//
// Invariants: nobody hands on a permission or scope they lack; nobody changes
// their own grants; one active administrator of the whole business remains.
package identity
