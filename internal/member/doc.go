// Package member is the customers' own side: signing up and in, the ways to
// sign in, sessions, consents, the own profile and orders.
//
// Tables it writes: customer_identities, member_sessions, member_exchanges,
// consents, consent_texts. Customers are made and changed by their own domain
// (customers.SignUp, ChangeOwn).
//
// Domain events: member.signed_up, member.signed_in, member.session_ended,
// member.identity_linked, member.identity_unlinked, member.consent_granted,
// member.consent_withdrawn, customer.duplicate_suspected.
//
// Who is whom:
//
//   - An identity is (provider, app, subject) and belongs to one customer, who
//     may have several.
//   - A proof nobody has: the customer with the same union id, else with the
//     same verified phone (identity, or the phone on record), is the same
//     person and gets one more way to sign in. Else a customer is made.
//   - A union id appears at a known open id and belongs to somebody else: who is
//     nothing but the open id (no phone, card, e-mail, external id, orders,
//     second identity) is joined to them and archived; otherwise both stay and
//     customer.duplicate_suspected tells staff, once.
//   - A phone that another customer has: see judgePhone.
//
// A code is spent once, however often it is sent: see exchange.
//
// A session lives in PostgreSQL and is kept by package principals like those of
// staff. Archiving a customer stops their sessions with the commit.
//
// Invariants: nobody is a member without a live consent to the terms, whose
// version and hash are on record; nobody under 14 without a guardian's; a member
// keeps one way to sign in that works without the others; a member sees and
// changes their own rows only (scope policies by customer id).
package member
