package points

import (
	"context"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

type ids = pgarray.UUIDs

// dueBatch is how many accounts are settled in one transaction: enough to spread
// the cost of its statements, few enough not to keep members waiting.
const dueBatch = 500

const lockDueSQL = accountColumns + `WHERE due_at <= $1 ORDER BY due_at, id LIMIT $2 FOR UPDATE SKIP LOCKED`

// SettleDue makes lots active and lets them expire whose time has come, and says
// on how many accounts. Any number of workers share the accounts; a lot is settled
// once, whoever comes first, and one that had to wait is as if it had not.
//
// Plan: points_accounts_due_idx.
func (s *Service) SettleDue(ctx context.Context) (n int, err error) {
	ctx = auth.System(ctx, "points.settle")
	for {
		found := 0
		err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
			j, err := s.journal(ctx)
			if err != nil {
				return err
			}
			if err := j.lockWith(ctx, tx, lockDueSQL, j.now, dueBatch); err != nil {
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

// lockByID locks accounts that are known.
func (s *Service) lockByID(ctx context.Context, tx *db.Tx, j *journal, unit uuid.UUID, accounts ids) error {
	return j.lockWith(ctx, tx, accountColumns+`WHERE id = ANY($1::uuid[]) AND unit_id = $2 ORDER BY id FOR UPDATE`, accounts, unit)
}

// lockWith makes the rows of a query the accounts of the journal.
func (j *journal) lockWith(ctx context.Context, tx *db.Tx, query string, args ...any) error {
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	j.accounts = nil
	for rows.Next() {
		a := &account{}
		if err := rows.Scan(&a.id, &a.customer, &a.unit, &a.pending, &a.active, &a.blocked, &a.debt, &a.entries, &a.due, &a.warn, &a.warned); err != nil {
			return err
		}
		j.accounts = append(j.accounts, a)
	}
	return rows.Err()
}
