package wallets

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/events"
)

func column(name, kind string) db.BatchColumn { return db.BatchColumn{Name: name, Type: kind} }

var (
	updateAccounts = db.NewBatch(`UPDATE wallet_accounts a SET principal = t.principal, bonus = t.bonus, principal_blocked = t.principal_blocked, bonus_blocked = t.bonus_blocked,
entry_count = t.entries, due_at = t.due, version = a.version + 1, updated_at = $8 FROM {rows} WHERE a.id = t.id`,
		column("id", "uuid"), column("principal", "bigint"), column("bonus", "bigint"), column("principal_blocked", "bigint"), column("bonus_blocked", "bigint"), column("entries", "bigint"),
		column("due", "timestamptz"))

	insertLots = db.NewBatch(`INSERT INTO wallet_lots (id, account_id, kind, amount, available, blocked, top_up_id, expires_at, warn_at, created_at)
SELECT t.id, t.account, t.kind, t.amount, t.available, t.blocked, t.top_up, t.expires, t.warn, $10 FROM {rows}`,
		column("id", "uuid"), column("account", "uuid"), column("kind", "text"), column("amount", "bigint"), column("available", "bigint"), column("blocked", "bigint"),
		column("top_up", "uuid"), column("expires", "timestamptz"), column("warn", "timestamptz"))

	// Who has been told of an expiry is told of a later one again.
	updateLots = db.NewBatch(`UPDATE wallet_lots l SET available = t.available, blocked = t.blocked, expires_at = t.expires,
warn_at = CASE WHEN l.expires_at IS DISTINCT FROM t.expires THEN t.warn ELSE l.warn_at END FROM {rows} WHERE l.id = t.id`,
		column("id", "uuid"), column("available", "bigint"), column("blocked", "bigint"), column("expires", "timestamptz"), column("warn", "timestamptz"))

	insertEntries = db.NewBatch(`INSERT INTO wallet_entries (id, operation_id, account_id, number, kind, principal_change, bonus_change, blocked_change, principal_after, bonus_after, blocked_after,
payment_id, top_up_id, order_id, reason, occurred_at, actor_kind, actor_id, created_at)
SELECT t.id, $16, t.account, t.number, t.kind, t.principal, t.bonus, t.blocked, t.principal_after, t.bonus_after, t.blocked_after, t.payment, t.top_up, t.order_id, t.reason, t.at, $17, $18, $19 FROM {rows}`,
		column("id", "uuid"), column("account", "uuid"), column("number", "bigint"), column("kind", "text"), column("principal", "bigint"), column("bonus", "bigint"), column("blocked", "bigint"),
		column("principal_after", "bigint"), column("bonus_after", "bigint"), column("blocked_after", "bigint"), column("payment", "uuid"), column("top_up", "uuid"), column("order_id", "uuid"),
		column("reason", "text"), column("at", "timestamptz"))

	insertPostings = db.NewBatch(`INSERT INTO wallet_postings (id, entry_id, account_id, lot_id, from_book, to_book, amount, created_at)
SELECT t.id, t.entry, t.account, t.lot, t.from_book, t.to_book, t.amount, $8 FROM {rows}`,
		column("id", "uuid"), column("entry", "uuid"), column("account", "uuid"), column("lot", "uuid"), column("from_book", "text"), column("to_book", "text"), column("amount", "bigint"))
)

// write puts the journal into the database and tells who cares: accounts and
// lots as they are now, entries and postings beside what is there.
func (s *Service) write(ctx context.Context, tx *db.Tx, j *journal) (err error) {
	var accounts []*account
	for _, a := range j.accounts {
		if a.changed {
			accounts = append(accounts, a)
		}
	}
	if err := writeAccounts(ctx, tx, j, accounts); err != nil || len(j.entries) == 0 {
		return err
	}
	for _, e := range j.entries { // ids in the order in which they were made
		if e.id, err = uuid.NewV7(); err != nil {
			return err
		}
	}
	if err := writeLots(ctx, tx, j); err != nil {
		return err
	}
	if err := writeEntries(ctx, tx, j); err != nil {
		return err
	}
	if err := writePostings(ctx, tx, j); err != nil {
		return err
	}
	for _, a := range accounts {
		if !a.customer.Valid {
			events.Emit(tx, events.Event{Type: EventCard, SubjectType: "gift_card_account", SubjectID: a.id,
				Payload: map[string]any{"account_id": a.id, "operation_id": j.operation, "balance_amount": a.principal + a.bonus, "blocked_amount": a.blocked()}})
			continue
		}
		s.customers.Touch(ctx, tx, a.customer.UUID)
		events.Emit(tx, events.Event{Type: EventChanged, SubjectType: "customer", SubjectID: a.customer.UUID, Payload: map[string]any{"customer_id": a.customer.UUID, "account_id": a.id,
			"operation_id": j.operation, "principal_amount": a.principal, "bonus_amount": a.bonus, "blocked_amount": a.blocked()}})
	}
	return nil
}

func writeAccounts(ctx context.Context, tx *db.Tx, j *journal, accounts []*account) error {
	n := len(accounts)
	if n == 0 {
		return nil
	}
	of, entries, due := make(ids, n), make([]int64, n), make([]*time.Time, n)
	var amounts [4][]int64
	for k := range amounts {
		amounts[k] = make([]int64, n)
	}
	for i, a := range accounts {
		if min(a.principal, a.bonus, a.principalBlocked, a.bonusBlocked) < 0 {
			return fmt.Errorf("wallets: account %s would be overdrawn", a.id)
		}
		of[i], entries[i], due[i] = a.id, a.entries, a.due
		amounts[0][i], amounts[1][i], amounts[2][i], amounts[3][i] = a.principal, a.bonus, a.principalBlocked, a.bonusBlocked
	}
	_, err := tx.Exec(ctx, updateAccounts.SQL(n), of, pq.Array(amounts[0]), pq.Array(amounts[1]), pq.Array(amounts[2]), pq.Array(amounts[3]), pq.Array(entries), pq.Array(due), j.now)
	return err
}

func writeLots(ctx context.Context, tx *db.Tx, j *journal) error {
	var fresh, changed []*lot
	for _, l := range j.lots {
		switch {
		case l.fresh:
			fresh = append(fresh, l)
		case l.changed:
			changed = append(changed, l)
		}
	}
	for i, some := range [][]*lot{fresh, changed} {
		n := len(some)
		if n == 0 {
			continue
		}
		of, accounts, kinds, amounts, available, blocked := make(ids, n), make(ids, n), make([]string, n), make([]int64, n), make([]int64, n), make([]int64, n)
		topUps, expires, warn := make([]uuid.NullUUID, n), make([]*time.Time, n), make([]*time.Time, n)
		for k, l := range some {
			of[k], accounts[k], kinds[k], amounts[k], available[k], blocked[k] = l.id, l.account.id, string(l.kind), l.amount, l.available, l.blocked
			topUps[k], expires[k], warn[k] = l.topUp, l.expires, nextWarning(l.expires, j.now)
		}
		var err error
		if i == 0 {
			_, err = tx.Exec(ctx, insertLots.SQL(n), of, accounts, pq.Array(kinds), pq.Array(amounts), pq.Array(available), pq.Array(blocked), pq.Array(topUps), pq.Array(expires), pq.Array(warn), j.now)
		} else {
			_, err = tx.Exec(ctx, updateLots.SQL(n), of, pq.Array(available), pq.Array(blocked), pq.Array(expires), pq.Array(warn))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func writeEntries(ctx context.Context, tx *db.Tx, j *journal) error {
	n := len(j.entries)
	of, accounts, numbers, kinds := make(ids, n), make(ids, n), make([]int64, n), make([]string, n)
	changes, after := [3][]int64{}, [3][]int64{}
	for k := range changes {
		changes[k], after[k] = make([]int64, n), make([]int64, n)
	}
	payments, topUps, orders, reasons, at := make([]uuid.NullUUID, n), make([]uuid.NullUUID, n), make([]uuid.NullUUID, n), make([]string, n), make([]time.Time, n)
	for i, e := range j.entries {
		of[i], accounts[i], numbers[i], kinds[i] = e.id, e.account.id, e.number, e.kind
		changes[0][i], changes[1][i], changes[2][i] = e.principal, e.bonus, e.blocked
		after[0][i], after[1][i], after[2][i] = e.after[0], e.after[1], e.after[2]
		payments[i], topUps[i], orders[i], reasons[i], at[i] = e.payment, e.topUp, e.order, e.reason, e.at
	}
	actor := uuid.NullUUID{UUID: j.actor.ID, Valid: j.actor.ID != uuid.Nil}
	_, err := tx.Exec(ctx, insertEntries.SQL(n), of, accounts, pq.Array(numbers), pq.Array(kinds), pq.Array(changes[0]), pq.Array(changes[1]), pq.Array(changes[2]),
		pq.Array(after[0]), pq.Array(after[1]), pq.Array(after[2]), pq.Array(payments), pq.Array(topUps), pq.Array(orders), pq.Array(reasons), pq.Array(at),
		j.operation, string(j.actor.Kind), actor, j.now)
	return err
}

func writePostings(ctx context.Context, tx *db.Tx, j *journal) error {
	n := len(j.postings)
	of, entries, accounts, lots := make(ids, n), make(ids, n), make(ids, n), make(ids, n)
	from, to, amounts := make([]string, n), make([]string, n), make([]int64, n)
	for i, p := range j.postings {
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		of[i], entries[i], accounts[i], lots[i], from[i], to[i], amounts[i] = id, p.entry.id, p.entry.account.id, p.lot.id, string(p.from), string(p.to), p.amount
	}
	_, err := tx.Exec(ctx, insertPostings.SQL(n), of, entries, accounts, lots, pq.Array(from), pq.Array(to), pq.Array(amounts), j.now)
	return err
}
