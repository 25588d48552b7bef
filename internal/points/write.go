package points

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/events"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

func column(name, kind string) db.BatchColumn { return db.BatchColumn{Name: name, Type: kind} }

var (
	updateAccounts = db.NewBatch(`UPDATE points_accounts a SET pending = t.pending, active = t.active, blocked = t.blocked, debt = t.debt, entry_count = t.entries, due_at = t.due,
warn_at = t.warn, warned_at = t.warned, version = a.version + 1, updated_at = $10 FROM {rows} WHERE a.id = t.id`,
		column("id", "uuid"), column("pending", "bigint"), column("active", "bigint"), column("blocked", "bigint"), column("debt", "bigint"), column("entries", "bigint"), column("due", "timestamptz"),
		column("warn", "timestamptz"), column("warned", "timestamptz"))

	insertLots = db.NewBatch(`INSERT INTO points_lots (id, account_id, amount, pending, active, blocked, earned_at, active_at, expires_at, order_id, created_at)
SELECT t.id, t.account, t.amount, t.pending, t.active, t.blocked, t.earned, t.active_at, t.expires, t.order_id, $11 FROM {rows}`,
		column("id", "uuid"), column("account", "uuid"), column("amount", "bigint"), column("pending", "bigint"), column("active", "bigint"), column("blocked", "bigint"),
		column("earned", "timestamptz"), column("active_at", "timestamptz"), column("expires", "timestamptz"), column("order_id", "uuid"))

	updateLots = db.NewBatch(`UPDATE points_lots l SET amount = t.amount, pending = t.pending, active = t.active, blocked = t.blocked, expires_at = t.expires FROM {rows} WHERE l.id = t.id`,
		column("id", "uuid"), column("amount", "bigint"), column("pending", "bigint"), column("active", "bigint"), column("blocked", "bigint"), column("expires", "timestamptz"))

	insertEntries = db.NewBatch(`INSERT INTO points_entries (id, operation_id, account_id, number, kind, balance_change, pending_change, blocked_change, balance_after, pending_after, blocked_after,
order_id, hold_id, source_key, reason, occurred_at, rule_id, rule_version, actor_kind, actor_id, created_at)
SELECT t.id, $18, t.account, t.number, t.kind, t.balance, t.pending, t.blocked, t.balance_after, t.pending_after, t.blocked_after, t.order_id, t.hold, t.source, t.reason, t.at, t.rule, t.rule_version,
$19, $20, $21 FROM {rows}`,
		column("id", "uuid"), column("account", "uuid"), column("number", "bigint"), column("kind", "text"), column("balance", "bigint"), column("pending", "bigint"), column("blocked", "bigint"),
		column("balance_after", "bigint"), column("pending_after", "bigint"), column("blocked_after", "bigint"), column("order_id", "uuid"), column("hold", "uuid"), column("source", "text"),
		column("reason", "text"), column("at", "timestamptz"), column("rule", "uuid"), column("rule_version", "bigint"))

	insertPostings = db.NewBatch(`INSERT INTO points_postings (id, entry_id, account_id, lot_id, from_book, to_book, amount, created_at)
SELECT t.id, t.entry, t.account, t.lot, t.from_book, t.to_book, t.amount, $8 FROM {rows}`,
		column("id", "uuid"), column("entry", "uuid"), column("account", "uuid"), column("lot", "uuid"), column("from_book", "text"), column("to_book", "text"), column("amount", "bigint"))
)

// write puts the journal into the database and tells who cares: accounts and
// lots as they are now, entries and postings beside what is there.
func (s *Service) write(ctx context.Context, tx *db.Tx, j *journal) error {
	if len(j.entries) == 0 {
		return s.writeDue(ctx, tx, j)
	}
	if err := j.number(); err != nil {
		return err
	}
	var accounts []*account
	for _, a := range j.accounts {
		if a.changed {
			accounts = append(accounts, a)
		}
	}
	if err := s.writeAccounts(ctx, tx, j, accounts); err != nil {
		return err
	}
	if err := writeLots(ctx, tx, j); err != nil {
		return err
	}
	if err := writeEntries(ctx, tx, j); err != nil {
		return err
	}
	n := len(j.postings)
	ids, entries, of, lots := make(pgarray.UUIDs, n), make(pgarray.UUIDs, n), make(pgarray.UUIDs, n), make([]uuid.NullUUID, n)
	from, to, amounts := make([]string, n), make([]string, n), make([]int64, n)
	for i, p := range j.postings {
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		ids[i], entries[i], of[i], from[i], to[i], amounts[i] = id, p.entry.id, p.entry.account.id, string(p.from), string(p.to), p.amount
		if p.lot != nil {
			lots[i] = uuid.NullUUID{UUID: p.lot.id, Valid: true}
		}
	}
	if _, err := tx.Exec(ctx, insertPostings.SQL(n), ids, entries, of, pq.Array(lots), pq.Array(from), pq.Array(to), pq.Array(amounts), j.now); err != nil {
		return err
	}
	if err := s.markEarners(ctx, tx, j); err != nil {
		return err
	}
	for _, a := range accounts {
		s.customers.Touch(ctx, tx, a.customer)
		events.Emit(tx, events.Event{Type: EventChanged, SubjectType: "customer", SubjectID: a.customer,
			Payload: map[string]any{"customer_id": a.customer, "unit_id": a.unit, "operation_id": j.operation, "balance": a.balance(), "pending": a.pending, "blocked": a.blocked}})
	}
	return nil
}

// markEarners has tiers reviewed that may go by what was earned, or taken back. What
// orders earn is marked with them.
func (s *Service) markEarners(ctx context.Context, tx *db.Tx, j *journal) error {
	if s.tiers == nil {
		return nil
	}
	var earners []uuid.UUID
	for _, e := range j.entries {
		if (e.kind == "earn" || e.kind == "reverse") && !e.order.Valid {
			earners = append(earners, e.account.customer)
		}
	}
	return s.tiers.Mark(ctx, tx, earners...)
}

// number gives entries their ids, in the order in which they were made.
func (j *journal) number() (err error) {
	for _, e := range j.entries {
		if e.id, err = uuid.NewV7(); err != nil {
			return err
		}
	}
	return nil
}

// writeDue writes accounts of which only the next due instant is another one.
func (s *Service) writeDue(ctx context.Context, tx *db.Tx, j *journal) error {
	var changed []*account
	for _, a := range j.accounts {
		if a.changed {
			changed = append(changed, a)
		}
	}
	return s.writeAccounts(ctx, tx, j, changed)
}

func (s *Service) writeAccounts(ctx context.Context, tx *db.Tx, j *journal, accounts []*account) error {
	n := len(accounts)
	if n == 0 {
		return nil
	}
	ids, pending, active, blocked, debt := make(pgarray.UUIDs, n), make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n)
	entries, due, warn, warned := make([]int64, n), make([]*time.Time, n), make([]*time.Time, n), make([]*time.Time, n)
	for i, a := range accounts {
		if a.pending < 0 || a.active < 0 || a.blocked < 0 || a.debt < 0 {
			return fmt.Errorf("points: account %s would be overdrawn", a.id)
		}
		ids[i], pending[i], active[i], blocked[i], debt[i], entries[i], due[i], warn[i], warned[i] = a.id, a.pending, a.active, a.blocked, a.debt, a.entries, a.due, a.warn, a.warned
	}
	_, err := tx.Exec(ctx, updateAccounts.SQL(n), ids, pq.Array(pending), pq.Array(active), pq.Array(blocked), pq.Array(debt), pq.Array(entries), pq.Array(due), pq.Array(warn), pq.Array(warned), j.now)
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
		ids, of, amounts, pending, active, blocked := make(pgarray.UUIDs, n), make(pgarray.UUIDs, n), make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n)
		earned, actives, expires, orders := make([]time.Time, n), make([]time.Time, n), make([]*time.Time, n), make([]uuid.NullUUID, n)
		for k, l := range some {
			ids[k], of[k], amounts[k], pending[k], active[k], blocked[k] = l.id, l.account.id, l.amount, l.pending, l.active, l.blocked
			earned[k], actives[k], expires[k], orders[k] = l.earned, l.activeAt, l.expires, l.order
		}
		var err error
		if i == 0 {
			_, err = tx.Exec(ctx, insertLots.SQL(n), ids, of, pq.Array(amounts), pq.Array(pending), pq.Array(active), pq.Array(blocked), pq.Array(earned), pq.Array(actives), pq.Array(expires), pq.Array(orders), j.now)
		} else {
			_, err = tx.Exec(ctx, updateLots.SQL(n), ids, pq.Array(amounts), pq.Array(pending), pq.Array(active), pq.Array(blocked), pq.Array(expires))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func writeEntries(ctx context.Context, tx *db.Tx, j *journal) error {
	n := len(j.entries)
	ids, of, numbers, kinds := make(pgarray.UUIDs, n), make(pgarray.UUIDs, n), make([]int64, n), make([]string, n)
	changes, after := [3][]int64{}, [3][]int64{}
	for k := range changes {
		changes[k], after[k] = make([]int64, n), make([]int64, n)
	}
	orders, holds, sources, reasons, at := make([]uuid.NullUUID, n), make([]uuid.NullUUID, n), make([]*string, n), make([]string, n), make([]time.Time, n)
	rules, versions := make([]uuid.NullUUID, n), make([]*int64, n)
	for i, e := range j.entries {
		rules[i], versions[i] = e.rule, e.version
		ids[i], of[i], numbers[i], kinds[i] = e.id, e.account.id, e.number, e.kind
		changes[0][i], changes[1][i], changes[2][i] = e.balance, e.pending, e.blocked
		after[0][i], after[1][i], after[2][i] = e.after[0], e.after[1], e.after[2]
		orders[i], holds[i], sources[i], reasons[i], at[i] = e.order, e.hold, e.sourceKey, e.reason, e.at
	}
	actor := uuid.NullUUID{UUID: j.actor.ID, Valid: j.actor.ID != uuid.Nil}
	_, err := tx.Exec(ctx, insertEntries.SQL(n), ids, of, pq.Array(numbers), pq.Array(kinds), pq.Array(changes[0]), pq.Array(changes[1]), pq.Array(changes[2]),
		pq.Array(after[0]), pq.Array(after[1]), pq.Array(after[2]), pq.Array(orders), pq.Array(holds), pq.Array(sources), pq.Array(reasons), pq.Array(at), pq.Array(rules), pq.Array(versions),
		j.operation, string(j.actor.Kind), actor, j.now)
	return err
}
