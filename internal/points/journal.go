package points

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// Book is where points are.
type Book string

// The books. Pending to Debt are a member's, the others the programme's.
const (
	Pending     Book = "pending"
	Active      Book = "active"
	Blocked     Book = "blocked"
	Debt        Book = "debt"
	Issued      Book = "issued"
	Reversed    Book = "reversed"
	Spent       Book = "spent"
	Expired     Book = "expired"
	Transferred Book = "transferred"
)

// account is a locked row of points_accounts.
type account struct {
	id, unit, customer             uuid.UUID
	pending, active, blocked, debt int64
	entries                        int64      // the number of the last one
	due, warn, warned              *time.Time // of points_accounts: due_at, warn_at, warned_at
	changed                        bool
}

// balance is what can be spent; below zero: owed.
func (a *account) balance() int64 { return a.active - a.debt }

// lot is a row of points_lots that an operation has read or makes.
type lot struct {
	id                               uuid.UUID
	account                          *account
	amount, pending, active, blocked int64
	earned, activeAt                 time.Time
	expires                          *time.Time
	order                            uuid.NullUUID
	fresh, changed                   bool
}

// due is when something next becomes of a lot by itself.
func (l *lot) due() *time.Time {
	switch {
	case l.pending > 0:
		return &l.activeAt
	case l.active > 0:
		return l.expires
	}
	return nil
}

// about says what an entry is for.
type about struct {
	kind      string
	order     uuid.NullUUID
	hold      uuid.NullUUID
	sourceKey *string
	rule      uuid.NullUUID // that gave it; of orders the earning says it by line
	version   *int64        // of the rule
	reason    string
	at        time.Time // when it happened; zero: now
}

// entry is a line of an account's statement in the making.
type entry struct {
	about
	id                        uuid.UUID
	account                   *account
	number                    int64
	balance, pending, blocked int64 // changes
	after                     [3]int64
}

type posting struct {
	entry    *entry
	lot      *lot // nil: debt
	from, to Book
	amount   int64
}

// journal is what an operation writes: one use in one transaction.
type journal struct {
	now       time.Time
	operation uuid.UUID
	actor     auth.Actor
	accounts  []*account
	lots      []*lot
	known     map[uuid.UUID]*lot
	entries   []*entry
	postings  []posting
}

func (s *Service) journal(ctx context.Context) (*journal, error) {
	actor, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	id, err := uuid.NewV7()
	return &journal{now: s.clock.Now(), operation: id, actor: actor, known: map[uuid.UUID]*lot{}}, err
}

// enter writes a line: moves are the postings it is made of.
func (j *journal) enter(a *account, of about, moves func(e *entry)) {
	e := &entry{about: of, account: a}
	if e.at.IsZero() {
		e.at = j.now
	}
	balance, pending, blocked := a.balance(), a.pending, a.blocked
	n := len(j.postings)
	moves(e)
	if len(j.postings) == n {
		return // nothing happened
	}
	a.entries++
	a.changed = true
	e.number = a.entries
	e.balance, e.pending, e.blocked = a.balance()-balance, a.pending-pending, a.blocked-blocked
	e.after = [3]int64{a.balance(), a.pending, a.blocked}
	j.entries = append(j.entries, e)
}

// move books points of a lot, or of nobody's lot where it is about debt.
func (j *journal) move(e *entry, l *lot, from, to Book, n int64) {
	if n == 0 {
		return
	}
	e.account.add(from, -n)
	e.account.add(to, n)
	if l != nil {
		l.add(from, -n)
		l.add(to, n)
		l.changed = true
	}
	j.postings = append(j.postings, posting{e, l, from, to, n})
}

func (a *account) add(b Book, n int64) {
	switch b {
	case Pending:
		a.pending += n
	case Active:
		a.active += n
	case Blocked:
		a.blocked += n
	case Debt: // the book is below zero, the column says how far
		a.debt -= n
	}
}

func (l *lot) add(b Book, n int64) {
	switch b {
	case Pending:
		l.pending += n
	case Active:
		l.active += n
	case Blocked:
		l.blocked += n
	}
}

// into makes points of a lot active, and has them settle debt first.
func (j *journal) into(e *entry, l *lot, from Book, n int64) {
	j.move(e, l, from, Active, n)
	j.move(e, l, Active, Debt, min(n, e.account.debt))
}

// give makes a lot of new points, active or pending as its instant says.
func (j *journal) give(a *account, of about, from Book, l lot) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	made := &l
	made.id, made.account, made.fresh, made.changed = id, a, true, true
	j.lots = append(j.lots, made)
	j.enter(a, of, func(e *entry) {
		if made.activeAt.After(j.now) {
			j.move(e, made, from, Pending, made.amount)
		} else {
			j.into(e, made, from, made.amount)
		}
	})
	j.settle(made)
	return nil
}

// settle has become of lots what is due by now: they become active, they expire.
func (j *journal) settle(lots ...*lot) {
	for _, l := range lots {
		a := l.account
		if l.pending > 0 && !l.activeAt.After(j.now) {
			j.enter(a, about{kind: "activate", order: l.order, at: l.activeAt}, func(e *entry) { j.into(e, l, Pending, l.pending) })
		}
		if l.active > 0 && l.expires != nil && !l.expires.After(j.now) {
			j.enter(a, about{kind: "expire", order: l.order, at: *l.expires}, func(e *entry) { j.move(e, l, Active, Expired, l.active) })
		}
		if next := l.warning(j.now); next != nil && (a.warn == nil || next.Before(*a.warn)) {
			a.warn, a.changed = next, true
		}
		if next := l.due(); next != nil && (a.due == nil || next.Before(*a.due)) {
			a.due, a.changed = next, true
		}
	}
}

// part is how many points of a lot an operation takes.
type part struct {
	lot    *lot
	amount int64
}

// take finds the lots that so many points come from: first those that expire
// first, of those the oldest. There must be enough.
func take(lots []*lot, n int64) []part {
	lots = slices.Clone(lots)
	slices.SortFunc(lots, func(a, b *lot) int {
		switch {
		case a.expires == nil && b.expires != nil:
			return 1
		case a.expires != nil && b.expires == nil:
			return -1
		case a.expires != nil:
			if c := a.expires.Compare(*b.expires); c != 0 {
				return c
			}
		}
		return bytes.Compare(a.id[:], b.id[:])
	})
	var out []part
	for _, l := range lots {
		if n == 0 {
			break
		}
		if k := min(n, l.active); k > 0 {
			out = append(out, part{l, k})
			n -= k
		}
	}
	return out
}

// each books parts of lots as one entry for each account they are in.
func (j *journal) each(parts []part, of about, do func(e *entry, p part)) {
	for _, a := range j.accounts {
		j.enter(a, of, func(e *entry) {
			for _, p := range parts {
				if p.lot.account == a {
					do(e, p)
				}
			}
		})
	}
}

const accountColumns = "SELECT id, customer_id, unit_id, pending, active, blocked, debt, entry_count, due_at, warn_at, warned_at FROM points_accounts "

const lockAccountsSQL = accountColumns + `WHERE customer_id = ANY((SELECT $1::uuid[])::uuid[]) AND unit_id = $2 ORDER BY id FOR UPDATE`

// The same, and accounts of whomever.
const lockAlsoSQL = accountColumns + `WHERE id IN (SELECT id FROM points_accounts WHERE customer_id = ANY((SELECT $1::uuid[])::uuid[]) AND unit_id = $2 UNION SELECT unnest($3::uuid[])) ORDER BY id FOR UPDATE`

// lock locks the accounts that customers have of a unit, opens those that are
// missing, and settles what is due on them.
func (s *Service) lock(ctx context.Context, tx *db.Tx, j *journal, unit *loyalty.PointsUnit, customers ...uuid.UUID) error {
	return s.lockAlso(ctx, tx, j, unit, customers, nil)
}

// lockAlso is lock with further accounts of the unit, whose customers may have been
// separated from these by undoing a merge.
func (s *Service) lockAlso(ctx context.Context, tx *db.Tx, j *journal, unit *loyalty.PointsUnit, customers, further []uuid.UUID) error {
	query, args := lockAccountsSQL, []any{pgarray.UUIDs(customers), unit.ID}
	if len(further) > 0 {
		query, args = lockAlsoSQL, append(args, pgarray.UUIDs(further))
	}
	if err := j.lockWith(ctx, tx, query, args...); err != nil {
		return err
	}
	missing := slices.DeleteFunc(slices.Clone(customers), func(id uuid.UUID) bool {
		return slices.ContainsFunc(j.accounts, func(a *account) bool { return a.customer == id })
	})
	if len(missing) > 0 {
		if err := s.openAccounts(ctx, tx, unit.ID, missing); err != nil {
			return err
		}
		if err := j.lockWith(ctx, tx, query, args...); err != nil {
			return err
		}
	}
	return s.settleDue(ctx, tx, j)
}

// openAccounts makes accounts. Their customers are locked before, so that a merge
// comes before or after.
func (s *Service) openAccounts(ctx context.Context, tx *db.Tx, unit uuid.UUID, customers []uuid.UUID) error {
	slices.SortFunc(customers, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	var merged, locked int
	err := tx.QueryRow(ctx, `SELECT count(*) FILTER (WHERE merged_into_id IS NOT NULL), count(*)
FROM (SELECT merged_into_id FROM customers WHERE id = ANY($1::uuid[]) ORDER BY id FOR SHARE) c`, pgarray.UUIDs(customers)).Scan(&merged, &locked)
	if err != nil {
		return err
	}
	if merged > 0 || locked != len(customers) { // since we looked: the next attempt finds the survivor
		return db.ErrAgain
	}
	ids := make(pgarray.UUIDs, len(customers))
	for i := range ids {
		if ids[i], err = uuid.NewV7(); err != nil {
			return err
		}
	}
	_, err = tx.Exec(ctx, `INSERT INTO points_accounts (id, unit_id, opened_for, customer_id, created_at, updated_at)
SELECT t.id, $3, t.customer, t.customer, $4, $4 FROM unnest($1::uuid[], $2::uuid[]) AS t (id, customer) ORDER BY t.customer
ON CONFLICT (opened_for, unit_id) DO NOTHING`, ids, pgarray.UUIDs(customers), unit, s.clock.Now())
	return err
}

// own is the account a customer's new points go to: the one opened for them, or,
// where that is still with a record they were merged from, the oldest.
func (j *journal) own(customer uuid.UUID) *account {
	var first *account
	for _, a := range j.accounts {
		if a.customer == customer && (first == nil || bytes.Compare(a.id[:], first.id[:]) < 0) {
			first = a
		}
	}
	return first
}

const lotColumns = "SELECT id, account_id, amount, pending, active, blocked, earned_at, active_at, expires_at, order_id FROM points_lots "

// load reads lots of the accounts into the journal, those not there yet, and
// returns all that the query names.
func (j *journal) load(ctx context.Context, tx *db.Tx, where string, args ...any) ([]*lot, error) {
	rows, err := tx.Query(ctx, lotColumns+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	of := make(map[uuid.UUID]*account, len(j.accounts))
	for _, a := range j.accounts {
		of[a.id] = a
	}
	var out []*lot
	for rows.Next() {
		l := &lot{}
		var id uuid.UUID
		if err := rows.Scan(&l.id, &id, &l.amount, &l.pending, &l.active, &l.blocked, &l.earned, &l.activeAt, &l.expires, &l.order); err != nil {
			return nil, err
		}
		if k := j.known[l.id]; k != nil {
			out = append(out, k)
			continue
		}
		if l.account = of[id]; l.account == nil {
			return nil, fmt.Errorf("points: lot %s is of an account that is not locked", l.id)
		}
		j.known[l.id] = l
		j.lots, out = append(j.lots, l), append(out, l)
	}
	return out, rows.Err()
}

// settleDue settles what has become due on the accounts of the journal.
// Plan: points_lots_pending_idx and points_lots_active_idx.
func (s *Service) settleDue(ctx context.Context, tx *db.Tx, j *journal) error {
	var due pgarray.UUIDs
	for _, a := range j.accounts {
		if a.due != nil && !a.due.After(j.now) {
			due = append(due, a.id)
		}
	}
	if len(due) == 0 {
		return nil
	}
	lots, err := j.load(ctx, tx, `WHERE id IN (
    SELECT id FROM points_lots WHERE account_id = ANY($1::uuid[]) AND pending > 0 AND active_at <= $2
    UNION SELECT id FROM points_lots WHERE account_id = ANY($1::uuid[]) AND active > 0 AND expires_at <= $2)`, due, j.now)
	if err != nil {
		return err
	}
	// In the order of time, as if each had been settled at its instant.
	slices.SortFunc(lots, func(a, b *lot) int {
		return cmp.Or(a.due().Compare(*b.due()), bytes.Compare(a.id[:], b.id[:]))
	})
	next := map[uuid.UUID]*time.Time{}
	rows, err := tx.Query(ctx, `SELECT id, least((SELECT min(active_at) FROM points_lots l WHERE l.account_id = a.id AND pending > 0 AND active_at > $2),
    (SELECT min(expires_at) FROM points_lots l WHERE l.account_id = a.id AND active > 0 AND expires_at > $2)) FROM unnest($1::uuid[]) AS a (id)`, due, j.now)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id uuid.UUID
		var at *time.Time
		if err := rows.Scan(&id, &at); err != nil {
			return err
		}
		next[id] = at
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, a := range j.accounts {
		if at, ok := next[a.id]; ok {
			a.due, a.changed = at, true
		}
	}
	j.settle(lots...)
	return nil
}

// spendable are the lots of accounts that so many points come from: those in
// the journal, which the database does not know as they are now, and of the
// others first those that expire first.
// Plan: points_lots_active_idx.
func (j *journal) spendable(ctx context.Context, tx *db.Tx, of []*account, n int64) ([]*lot, error) {
	accounts, here := make(ids, len(of)), make(ids, 0, len(j.lots))
	for i, a := range of {
		accounts[i] = a.id
	}
	var mine []*lot
	for _, l := range j.lots {
		here = append(here, l.id)
		if l.active > 0 && slices.Contains(of, l.account) {
			mine = append(mine, l)
		}
	}
	for limit := 32; ; limit *= 8 {
		lots, err := j.load(ctx, tx, "WHERE account_id = ANY($1::uuid[]) AND active > 0 AND id <> ALL ($2::uuid[]) ORDER BY expires_at, id LIMIT $3", accounts, here, limit)
		if err != nil {
			return nil, err
		}
		sum, all := int64(0), append(slices.Clone(mine), lots...)
		for _, l := range all {
			sum += l.active
		}
		if sum >= n {
			return all, nil
		}
		if len(lots) < limit {
			return nil, fmt.Errorf("points: %d active points in the lots of accounts that should have %d", sum, n)
		}
	}
}

// among are the journal's accounts of a customer.
func (j *journal) among(customer uuid.UUID) []*account {
	return slices.DeleteFunc(slices.Clone(j.accounts), func(a *account) bool { return a.customer != customer })
}
