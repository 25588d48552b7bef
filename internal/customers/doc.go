// Package customers owns the people a retailer knows: their records, tags,
// searches and the 360° profile.
//
// Tables it writes: customers, tags. It reads any table for the profile.
//
// Invariants:
//   - A phone, e-mail, card number or external id belongs to one customer,
//     archived ones included (unique indexes over blind indexes).
//   - Name, phone, e-mail, card number and address exist in the database only
//     sealed with the row's own data key, and as keyed blind indexes (seal.go is
//     the one place that makes and opens them).
//   - Every answer masks name, phone, e-mail and address (mask.go); Reveal is
//     the one call that does not, and it is audited.
//   - A row outside the caller's scope does not exist for them. Two ways lead
//     beyond the scope: Lookup and Resolve, for tills, by a full identifier.
//   - Whoever changes what a profile shows calls Touch in the same transaction.
//
// State: active → archived → active. Archived customers are found only when
// asked for, keep their identifiers, and cannot be changed.
//
// Events: customer.created, customer.updated, customer.archived,
// customer.restored.
package customers
