package wallets

import (
	"context"
	"math"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/events"
)

// dueBatch is how many accounts or lots are taken in one transaction: enough to
// spread the cost of its statements, few enough not to keep members waiting.
const dueBatch = 500

// SettleDue lets bonuses expire whose time has come, and says on how many accounts.
// Any number of workers share the accounts; a lot expires once, whoever comes
// first, and one that had to wait is as if it had not.
//
// Plan: wallet_accounts_due_idx.
func (s *Service) SettleDue(ctx context.Context) (n int, err error) {
	ctx = auth.System(ctx, "wallets.settle")
	for {
		found := 0
		err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
			j, err := s.journal(ctx)
			if err != nil {
				return err
			}
			if err := j.lockWith(ctx, tx, "WHERE due_at <= $1 ORDER BY due_at, id LIMIT $2 FOR UPDATE SKIP LOCKED", j.now, dueBatch); err != nil {
				return err
			}
			found = len(j.accounts)
			if err := s.settleDue(ctx, tx, j); err != nil {
				return err
			}
			return s.write(ctx, tx, j)
		})
		n += found
		if err != nil || found < dueBatch {
			return n, err
		}
	}
}

// expiringLot is a bonus whose owner is to be told.
type expiringLot struct {
	id, account uuid.UUID
	customer    uuid.NullUUID
	available   int64
	expires, at time.Time
}

// WarnDue tells members that a bonus of theirs expires, 30, 7 and 1 days before,
// each exactly once, and says how often. The lots are locked while they are told
// of, so any number of workers share them; after a pause each warning still comes,
// as long as there is something to expire. Lots that expire together are one.
//
// Plan: wallet_lots_warn_idx.
func (s *Service) WarnDue(ctx context.Context) (n int, err error) {
	ctx = auth.System(ctx, "wallets.warn")
	for {
		found, told := 0, 0
		err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
			found, told = 0, 0
			now := s.clock.Now()
			lots, err := dueWarnings(ctx, tx, now)
			if err != nil || len(lots) == 0 {
				return err
			}
			found = len(lots)
			type warning struct {
				customer uuid.UUID
				expires  time.Time
				days     int
			}
			sums, order := map[warning]int64{}, []warning{}
			of, next := make(ids, len(lots)), make([]*time.Time, len(lots))
			for i, l := range lots {
				of[i], next[i] = l.id, nextWarning(&l.expires, l.at)
				if l.available == 0 || !l.expires.After(now) || !l.customer.Valid {
					next[i] = nextWarning(&l.expires, now) // what was spent meanwhile nobody is told of
					continue
				}
				w := warning{l.customer.UUID, l.expires, int(math.Round(l.expires.Sub(l.at).Hours() / 24))}
				if sums[w] == 0 {
					order = append(order, w)
				}
				sums[w] += l.available
			}
			if _, err := tx.Exec(ctx, "UPDATE wallet_lots l SET warn_at = t.next FROM unnest($1::uuid[], $2::timestamptz[]) AS t (id, next) WHERE l.id = t.id", of, pq.Array(next)); err != nil {
				return err
			}
			for _, w := range order {
				events.Emit(tx, events.Event{Type: EventExpiring, SubjectType: "customer", SubjectID: w.customer,
					Payload: map[string]any{"customer_id": w.customer, "amount": sums[w], "expires_at": w.expires.UTC(), "days": w.days}})
			}
			told = len(order)
			return nil
		})
		n += told
		if err != nil || found == 0 {
			return n, err
		}
	}
}

func dueWarnings(ctx context.Context, tx *db.Tx, now time.Time) ([]expiringLot, error) {
	rows, err := tx.Query(ctx, `SELECT l.id, l.account_id, a.customer_id, l.available, l.expires_at, l.warn_at FROM wallet_lots l JOIN wallet_accounts a ON a.id = l.account_id
WHERE l.warn_at <= $1 ORDER BY l.warn_at, l.id LIMIT $2 FOR UPDATE OF l SKIP LOCKED`, now, dueBatch)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []expiringLot
	for rows.Next() {
		var l expiringLot
		if err := rows.Scan(&l.id, &l.account, &l.customer, &l.available, &l.expires, &l.at); err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, rows.Err()
}
