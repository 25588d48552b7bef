// Package points owns members' points: what each has, and the ledger of why.
//
// A unit (points_units) is a kind of points with rules of its own. A customer has
// an account for each unit, and the accounts of those whose records were merged
// into theirs. Points come in lots, which become active and expire together, and
// are spent from the lot that expires first.
//
// Where points are is a book. Four belong to a member: pending (earned, not to be
// spent yet), active, blocked (promised), and debt, which is below zero where more
// was taken back than there was. The rest are the programme's: issued, reversed,
// spent, expired, transferred. A posting moves points from one book to another,
// so all books together are zero at any time by construction; the programme's
// have no row of their own, their balance is the sum of postings. What members
// can still spend, the programme's liability, is pending + active + blocked + debt.
//
// Everything goes through the journal (journal.go): an operation locks the
// accounts, changes accounts and lots in memory by moves, and write (write.go) puts them and
// the entries with their postings into the database, set-based. Before
// that, what has become due on the accounts (lots that become active or expire) is
// settled, so that no answer depends on when the job ran.
//
// Invariants: an account's pending, active and blocked are the sums over its lots
// and over its postings, its debt is the sum of its postings of that book; entries
// of an account are numbered without gaps and each says what was there after it
// (points_entries_account_key). Verify compares them. points_entries and
// points_postings only grow: privileges and triggers see to it.
//
// Rules say what earns points (rulebook.go). Every change of one is a version, in
// force from then on, so that what happened earlier earns by what held then. Orders
// call Earn with what is left of them after each step that changes it (earnings.go):
// points_earnings keeps the rate of each line and what the order has earned so far,
// and Earn books the difference. happen.go is what event rules give, pay.go what
// points pay of orders.
//
// Locks: the accounts of a customer or two, in the order of their ids; the customer
// before them where an account is opened. An account follows its customer through
// merges and back; the ledger never changes.
//
// Writes: points_units, points_accounts, points_lots, points_entries,
// points_postings, points_holds, points_adjustments, points_rules,
// points_rule_versions, points_events, points_earnings. Emits points.changed
// and points.expiring.
package points
