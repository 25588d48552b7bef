// Package wallets owns stored value: members' wallets and gift cards, and the
// ledger of why each has what it has. It is a second ledger beside that of points
// (internal/points) and is kept the same way.
//
// An account is a customer's wallet, or what is on a gift card. A customer has the
// accounts of those whose records were merged into theirs. What is on an account is
// principal, which was paid in and never expires, and bonus, which was given on
// top and does. Both come in lots, so that a payment comes back as what it was and
// a top-up goes back to where it came from.
//
// Where money is is a book. Four are of an account: principal, bonus, and both
// promised (blocked). The rest the business has: cash_in (paid in; below zero),
// refunded (given back to its source), marketing (what bonuses cost; below zero),
// adjusted, spent, expired, moved (between accounts; zero). A posting moves money
// from one book to another, so all books together are zero by construction. What is
// still owed is the sum of the first four.
//
// Everything goes through the journal (journal.go): an operation locks the accounts,
// changes accounts and lots in memory by moves, and write (write.go) puts them and
// the entries with their postings into the database, set-based. Before that, bonuses
// whose time is over are settled, so that no answer depends on when the job ran.
//
// Invariants: an account's amounts are the sums over its lots and over its postings;
// entries of an account are numbered without gaps and each says what was there after
// it. Verify compares them. wallet_entries and wallet_postings only grow: privileges
// and triggers see to it.
//
// A wallet's PIN is a password hash; wrong ones are counted in a transaction of their
// own, since that of the payment is rolled back. Of a gift card's code and PIN keyed
// hashes are kept; the sealed codes of a batch go with their one export.
//
// Locks: the customer and the order before, then accounts in the order of their ids,
// then the payment, top-up or card.
//
// Writes: wallet_programmes, wallet_accounts, wallet_lots, wallet_entries,
// wallet_postings, wallet_payments, wallet_top_ups, wallet_adjustments,
// gift_card_batches, gift_cards. Emits wallet.changed, wallet.bonus_expiring,
// gift_card.changed.
package wallets
