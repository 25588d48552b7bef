// Package customers owns the people a retailer knows: their records, tags,
// searches and the 360° profile.
//
// Tables it writes: custom_fields, validation_rules, definition_revisions, and by
// triggers customer_field_values and customer_tag_history; customers,
// customer_addresses, family_members, member_field_rules, tags, customer_groups and their members,
// duplicate_candidates, customer_merges with their settings, and on behalf of
// their owners the rows that follow merged customers. It reads any table for the
// profile.
//
// Invariants:
//   - A phone, e-mail, card number or external id belongs to one customer,
//     archived ones included (unique indexes over blind indexes).
//   - Name, phone, e-mail, card number and address exist in the database only
//     sealed with the row's own data key, and as keyed blind indexes (seal.go is
//     the one place that makes and opens them).
//   - A value of a custom field was valid by its definition when it was written;
//     definitions change in ways that keep the values there are (fields_manage.go).
//     Personal ones are sealed with the others of the row.
//   - Every answer masks name, phone, e-mail and address (mask.go); Reveal is
//     the one call that does not, and it is audited.
//   - A row outside the caller's scope does not exist for them. Two ways lead
//     beyond the scope: Lookup and Resolve, for tills, by a full identifier.
//   - Whoever changes what a profile shows calls Touch in the same transaction.
//
// State: active → archived → active. Archived customers are found only when
// asked for, keep their identifiers, and cannot be changed. Merged customers
// are rows that nobody sees: by their identifiers and their old id one comes to
// the survivor.
//
// Events: customer.created, customer.updated, customer.archived,
// customer.restored, customer.merged, customer.merge_undone,
// customer.duplicate_decided, customer_group.members_changed.
package customers
