package wallets

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/ent/loyalty/walletprogramme"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// Book is where money is.
type Book string

// The books. The first four are of an account, the others of the business.
const (
	Principal        Book = "principal"
	Bonus            Book = "bonus"
	PrincipalBlocked Book = "principal_blocked"
	BonusBlocked     Book = "bonus_blocked"
	CashIn           Book = "cash_in"
	Refunded         Book = "refunded"
	Marketing        Book = "marketing"
	Adjusted         Book = "adjusted"
	Spent            Book = "spent"
	Expired          Book = "expired"
	Moved            Book = "moved"
)

// account is a locked row of wallet_accounts.
type account struct {
	id                                               uuid.UUID
	customer                                         uuid.NullUUID // not valid: a gift card
	principal, bonus, principalBlocked, bonusBlocked int64
	entries                                          int64 // the number of the last one
	due                                              *time.Time
	frozen                                           bool
	changed                                          bool
}

func (a *account) blocked() int64 { return a.principalBlocked + a.bonusBlocked }

// lot is a row of wallet_lots that an operation has read or makes.
type lot struct {
	id                         uuid.UUID
	account                    *account
	kind                       Book // Principal or Bonus
	amount, available, blocked int64
	topUp                      uuid.NullUUID
	expires                    *time.Time
	fresh, changed             bool
}

// held is the book in which what is promised of a lot is.
func (l *lot) held() Book {
	if l.kind == Bonus {
		return BonusBlocked
	}
	return PrincipalBlocked
}

// about says what an entry is for.
type about struct {
	kind    string
	payment uuid.NullUUID
	topUp   uuid.NullUUID
	order   uuid.NullUUID
	reason  string
	at      time.Time // when it happened; zero: now
}

// entry is a line of an account's statement in the making.
type entry struct {
	about
	id                        uuid.UUID
	account                   *account
	number                    int64
	principal, bonus, blocked int64 // changes
	after                     [3]int64
}

type posting struct {
	entry    *entry
	lot      *lot
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
	principal, bonus, blocked := a.principal, a.bonus, a.blocked()
	n := len(j.postings)
	moves(e)
	if len(j.postings) == n {
		return // nothing happened
	}
	a.entries++
	a.changed = true
	e.number = a.entries
	e.principal, e.bonus, e.blocked = a.principal-principal, a.bonus-bonus, a.blocked()-blocked
	e.after = [3]int64{a.principal, a.bonus, a.blocked()}
	j.entries = append(j.entries, e)
}

// move books money of a lot.
func (j *journal) move(e *entry, l *lot, from, to Book, n int64) {
	if n == 0 {
		return
	}
	e.account.add(from, -n)
	e.account.add(to, n)
	l.add(from, -n)
	l.add(to, n)
	l.changed = true
	j.postings = append(j.postings, posting{e, l, from, to, n})
}

func (a *account) add(b Book, n int64) {
	switch b {
	case Principal:
		a.principal += n
	case Bonus:
		a.bonus += n
	case PrincipalBlocked:
		a.principalBlocked += n
	case BonusBlocked:
		a.bonusBlocked += n
	}
}

func (l *lot) add(b Book, n int64) {
	switch b {
	case Principal, Bonus:
		l.available += n
	case PrincipalBlocked, BonusBlocked:
		l.blocked += n
	}
}

// give makes a lot of money that comes from a book, as a part of an entry.
func (j *journal) give(e *entry, from Book, l lot) (*lot, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	made := &l
	made.id, made.account, made.fresh = id, e.account, true
	j.lots, j.known[id] = append(j.lots, made), made
	j.move(e, made, from, made.kind, made.amount)
	j.watch(made)
	return made, nil
}

// watch has the account know when a bonus expires.
func (j *journal) watch(l *lot) {
	if a := l.account; l.available > 0 && l.expires != nil && (a.due == nil || l.expires.Before(*a.due)) {
		a.due, a.changed = l.expires, true
	}
}

// settle lets bonuses expire whose time is over.
func (j *journal) settle(lots ...*lot) {
	for _, l := range lots {
		if l.available > 0 && l.expires != nil && !l.expires.After(j.now) {
			j.enter(l.account, about{kind: "expire", topUp: l.topUp, at: *l.expires}, func(e *entry) { j.move(e, l, l.kind, Expired, l.available) })
		}
		j.watch(l)
	}
}

// part is how much of a lot an operation takes.
type part struct {
	lot    *lot
	amount int64
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

const lockSQL = `SELECT id, customer_id, principal, bonus, principal_blocked, bonus_blocked, entry_count, due_at, frozen_at IS NOT NULL FROM wallet_accounts `

// lock locks the wallets of customers, opens those that are missing, and accounts
// by their ids, and settles what is due on them.
func (s *Service) lock(ctx context.Context, tx *db.Tx, j *journal, accounts ids, customers ...uuid.UUID) error {
	query := func() error {
		return j.lockWith(ctx, tx, "WHERE customer_id = ANY($1::uuid[]) OR id = ANY($2::uuid[]) ORDER BY id FOR UPDATE", ids(customers), accounts)
	}
	if len(accounts) == 0 {
		query = func() error {
			return j.lockWith(ctx, tx, "WHERE customer_id = ANY($1::uuid[]) ORDER BY id FOR UPDATE", ids(customers))
		}
	}
	if err := query(); err != nil {
		return err
	}
	missing := slices.DeleteFunc(slices.Clone(customers), func(id uuid.UUID) bool {
		return slices.ContainsFunc(j.accounts, func(a *account) bool { return a.customer.Valid && a.customer.UUID == id })
	})
	if len(missing) > 0 {
		if err := s.open(ctx, tx, missing); err != nil {
			return err
		}
		if err := query(); err != nil {
			return err
		}
	}
	return s.settleDue(ctx, tx, j)
}

// lockByID locks accounts that are known, and settles what is due on them.
func (s *Service) lockByID(ctx context.Context, tx *db.Tx, j *journal, accounts ids) error {
	if err := j.lockWith(ctx, tx, "WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE", accounts); err != nil {
		return err
	}
	return s.settleDue(ctx, tx, j)
}

// lockWith makes the rows of a query the accounts of the journal.
func (j *journal) lockWith(ctx context.Context, tx *db.Tx, where string, args ...any) error {
	rows, err := tx.Query(ctx, lockSQL+where, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	j.accounts = nil
	for rows.Next() {
		a := &account{}
		if err := rows.Scan(&a.id, &a.customer, &a.principal, &a.bonus, &a.principalBlocked, &a.bonusBlocked, &a.entries, &a.due, &a.frozen); err != nil {
			return err
		}
		j.accounts = append(j.accounts, a)
	}
	return rows.Err()
}

// open makes wallets. Their customers are locked before, so that a merge comes
// before or after.
func (s *Service) open(ctx context.Context, tx *db.Tx, customers []uuid.UUID) error {
	slices.SortFunc(customers, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	var merged, locked int
	err := tx.QueryRow(ctx, `SELECT count(*) FILTER (WHERE merged_into_id IS NOT NULL), count(*)
FROM (SELECT merged_into_id FROM customers WHERE id = ANY($1::uuid[]) ORDER BY id FOR SHARE) c`, ids(customers)).Scan(&merged, &locked)
	if err != nil {
		return err
	}
	if merged > 0 || locked != len(customers) { // since we looked: the next attempt finds the survivor
		return db.ErrAgain
	}
	made := make(ids, len(customers))
	for i := range made {
		if made[i], err = uuid.NewV7(); err != nil {
			return err
		}
	}
	_, err = tx.Exec(ctx, `INSERT INTO wallet_accounts (id, kind, opened_for, customer_id, created_at, updated_at)
SELECT t.id, 'wallet', t.customer, t.customer, $3, $3 FROM unnest($1::uuid[], $2::uuid[]) AS t (id, customer) ORDER BY t.customer
ON CONFLICT (opened_for) WHERE opened_for IS NOT NULL DO NOTHING`, made, ids(customers), s.clock.Now())
	return err
}

// own is the account a customer's new money goes to: the oldest they have.
func (j *journal) own(customer uuid.UUID) *account {
	for _, a := range j.accounts { // in the order of their ids
		if a.customer.Valid && a.customer.UUID == customer {
			return a
		}
	}
	return nil
}

// among are the journal's accounts of a customer.
func (j *journal) among(customer uuid.UUID) []*account {
	return slices.DeleteFunc(slices.Clone(j.accounts), func(a *account) bool { return a.customer.UUID != customer })
}

const lotColumns = "SELECT id, account_id, kind, amount, available, blocked, top_up_id, expires_at FROM wallet_lots "

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
		if err := rows.Scan(&l.id, &id, &l.kind, &l.amount, &l.available, &l.blocked, &l.topUp, &l.expires); err != nil {
			return nil, err
		}
		if k := j.known[l.id]; k != nil {
			out = append(out, k)
			continue
		}
		if l.account = of[id]; l.account == nil {
			return nil, fmt.Errorf("wallets: lot %s is of an account that is not locked", l.id)
		}
		j.known[l.id] = l
		j.lots, out = append(j.lots, l), append(out, l)
	}
	return out, rows.Err()
}

// settleDue settles what has become due on the accounts of the journal.
// Plan: wallet_lots_available_idx.
func (s *Service) settleDue(ctx context.Context, tx *db.Tx, j *journal) error {
	var due ids
	for _, a := range j.accounts {
		if a.due != nil && !a.due.After(j.now) {
			due = append(due, a.id)
			a.due, a.changed = nil, true
		}
	}
	if len(due) == 0 {
		return nil
	}
	// Those that expire next come along, for the instant they are due at.
	lots, err := j.load(ctx, tx, `WHERE id IN (
    SELECT id FROM wallet_lots WHERE account_id = ANY($1::uuid[]) AND kind = 'bonus' AND available > 0 AND expires_at <= $2
    UNION ALL SELECT n.id FROM unnest($1::uuid[]) AS a (id) CROSS JOIN LATERAL (
        SELECT id FROM wallet_lots l WHERE l.account_id = a.id AND l.kind = 'bonus' AND l.available > 0 AND l.expires_at > $2 ORDER BY l.expires_at, l.id LIMIT 1) n)`, due, j.now)
	if err != nil {
		return err
	}
	// In the order of time, as if each had been settled at its instant.
	slices.SortFunc(lots, func(a, b *lot) int {
		return cmp.Or(a.expires.Compare(*b.expires), bytes.Compare(a.id[:], b.id[:]))
	})
	j.settle(lots...)
	return nil
}

// pick finds the lots of a kind that so much comes from: first those that expire
// first, of those the oldest.
// Plan: wallet_lots_available_idx.
func (j *journal) pick(ctx context.Context, tx *db.Tx, accounts []*account, kind Book, n int64) ([]part, error) {
	if n == 0 {
		return nil, nil
	}
	of, here := make(ids, len(accounts)), make(ids, 0, len(j.lots))
	for i, a := range accounts {
		of[i] = a.id
	}
	var mine []*lot
	for _, l := range j.lots { // which the database does not know as they are now
		here = append(here, l.id)
		if l.kind == kind && l.available > 0 && slices.Contains(accounts, l.account) {
			mine = append(mine, l)
		}
	}
	for limit := 32; ; limit *= 8 {
		lots, err := j.load(ctx, tx, "WHERE account_id = ANY($1::uuid[]) AND kind = $2 AND available > 0 AND id <> ALL ($3::uuid[]) ORDER BY expires_at, id LIMIT $4", of, string(kind), here, limit)
		if err != nil {
			return nil, err
		}
		all := append(slices.Clone(mine), lots...)
		slices.SortFunc(all, first)
		var parts []part
		rest := n
		for _, l := range all {
			if k := min(rest, l.available); k > 0 {
				parts, rest = append(parts, part{l, k}), rest-k
			}
		}
		if rest == 0 {
			return parts, nil
		}
		if len(lots) < limit {
			return nil, fmt.Errorf("wallets: %d of %s missing in the lots of accounts that should have %d", rest, kind, n)
		}
	}
}

// first orders lots by when they are taken.
func first(a, b *lot) int {
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
}

// take finds the lots that so much comes from, principal and bonus in the order of
// the programme.
// Errors: ErrFrozen, ErrInsufficient.
func (j *journal) take(ctx context.Context, tx *db.Tx, accounts []*account, n int64, order walletprogramme.SpendOrder) ([]part, error) {
	var principal, bonus int64
	for _, a := range accounts {
		if a.frozen {
			return nil, ErrFrozen.New()
		}
		principal, bonus = principal+a.principal, bonus+a.bonus
	}
	if principal+bonus < n {
		return nil, ErrInsufficient.At("/amount").Arg("available", principal+bonus)
	}
	fromPrincipal, fromBonus := divide(order, n, principal, bonus)
	paid, err := j.pick(ctx, tx, accounts, Principal, fromPrincipal)
	if err != nil {
		return nil, err
	}
	given, err := j.pick(ctx, tx, accounts, Bonus, fromBonus)
	if err != nil {
		return nil, err
	}
	if order == walletprogramme.SpendOrderPrincipalFirst {
		return append(paid, given...), nil
	}
	return append(given, paid...), nil
}

// room refuses money beyond what a wallet can hold.
// Errors: ErrBalanceLimit, ErrOverflow.
func (j *journal) room(p *loyalty.WalletProgramme, customer uuid.UUID, n int64) error {
	var has int64
	for _, a := range j.among(customer) {
		has += a.principal + a.bonus + a.blocked()
	}
	if p.BalanceLimit != nil && has+n > *p.BalanceLimit {
		return ErrBalanceLimit.At("/amount").Arg("limit", *p.BalanceLimit)
	}
	if has+n > most {
		return ErrOverflow.At("/amount")
	}
	return nil
}

type ids = pgarray.UUIDs
