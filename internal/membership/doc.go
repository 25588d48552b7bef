// Package membership owns tiers: which there are, by which rules they are reached
// and kept, and who is in which.
//
// A scheme (scheme.go) is the rules and tiers as they are together. Each change
// writes a snapshot of all of it (tier_schemes), in force from its business day on,
// that never changes: an old decision is explained by the one it was made by.
//
// What tier a member is in follows from facts alone: what they spent, how many
// orders they placed and how many points they earned on each business day, and the
// grants made by hand. replay (replay.go) folds them chronologically and is pure,
// so that late orders and late returns give exactly what would have been, had they
// come in time. Facts count on the day of the order, what came back is taken off it
// there.
//
// memberships holds the outcome, a row for each customer of whom there ever was a
// fact. Whoever changes facts says so in the same transaction (Mark); review
// (review.go) replays those who are due, at once where somebody asks (Settle), else
// by a job of every few seconds. The calendar is a due instant like any other
// (review_at), so a service that was down comes to the same.
// membership_changes are what reviews found, with the facts and the scheme.
//
// Benefits of the tier are typed (Benefits): package orders takes the discount off
// by itself, package points multiplies, the job of birthdays gives the gift.
//
// Invariants: customers.tier_code is that of the membership; a membership with
// review_at in the future or without one is what replay says at any instant
// before it. tier_schemes and membership_changes only grow: privileges and
// triggers see to it.
//
// Locks: the customers, in the order of their ids, then their memberships; changes
// of the scheme hold an advisory lock.
//
// Writes: tiers, tier_schemes, memberships, membership_changes,
// membership_grants. Emits membership.tier_changed, membership.scheme_changed.
package membership
