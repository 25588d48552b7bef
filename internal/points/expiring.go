package points

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/events"
)

// EventExpiring: points of a member that nobody spends are gone soon. Its subject is
// the customer.
var EventExpiring = events.Define("points.expiring", "会员积分即将过期", "Points of a member expire soon.")

// Expiration is the payload of EventExpiring: of one account, in the points of its
// unit. Days is which warning it is: 30, 7 or 1 day before, the nearest that is due.
type Expiration struct {
	CustomerID uuid.UUID `json:"customer_id"`
	UnitID     uuid.UUID `json:"unit_id"`
	Points     int64     `json:"points"`
	ExpiresAt  time.Time `json:"expires_at"`
	Days       int       `json:"days"`
}

// warnings are how many days before points expire members are warned, the first one
// first.
var warnings = []int{30, 7, 1}

// warning is when a lot's next warning is due after an instant; nil: none.
func (l *lot) warning(after time.Time) *time.Time {
	if l.expires == nil || l.pending == 0 && l.active == 0 && l.blocked == 0 {
		return nil
	}
	return warningOf(*l.expires, after)
}

func warningOf(expires, after time.Time) *time.Time {
	for _, days := range warnings {
		if at := expires.AddDate(0, 0, -days); at.After(after) {
			return &at
		}
	}
	return nil
}

const lockWarnSQL = accountColumns + `WHERE warn_at <= $1 ORDER BY warn_at, id LIMIT $2 FOR UPDATE SKIP LOCKED`

// expiringLotsSQL sums what accounts have by when it expires.
// Plan: points_lots_account_idx.
const expiringLotsSQL = `SELECT account_id, expires_at, sum(active) FROM points_lots
WHERE account_id = ANY((SELECT $1::uuid[])::uuid[]) AND expires_at > $2 AND (active > 0 OR pending > 0 OR blocked > 0) GROUP BY account_id, expires_at`

// WarnExpiring tells of points that expire in 30, 7 and 1 days, each warning once,
// and returns how many it gave. Any number of workers share the accounts. Of several
// that became due while nobody looked only the nearest is given.
//
// Plan: points_accounts_warn_idx.
func (s *Service) WarnExpiring(ctx context.Context) (n int, err error) {
	ctx = auth.System(ctx, "points.warn_expiring")
	for {
		found := 0
		err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
			j, err := s.journal(ctx)
			if err != nil {
				return err
			}
			if err := j.lockWith(ctx, tx, lockWarnSQL, j.now, dueBatch); err != nil {
				return err
			}
			if found = len(j.accounts); found == 0 {
				return nil
			}
			given, err := s.warn(ctx, tx, j)
			n += given
			return err
		})
		if err != nil || found < dueBatch {
			return n, err
		}
	}
}

// warn gives the warnings that are due on the journal's accounts and notes when the
// next ones are.
func (s *Service) warn(ctx context.Context, tx *db.Tx, j *journal) (n int, err error) {
	known, of := make(ids, len(j.accounts)), make(map[uuid.UUID]*account, len(j.accounts))
	since := make(map[uuid.UUID]time.Time, len(j.accounts))
	for i, a := range j.accounts {
		known[i], of[a.id] = a.id, a
		if a.warned != nil {
			since[a.id] = *a.warned
		}
		a.warn, a.warned, a.changed = nil, &j.now, true
	}
	rows, err := tx.Query(ctx, expiringLotsSQL, known, j.now)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var id uuid.UUID
		var expires time.Time
		var active int64
		if err := rows.Scan(&id, &expires, &active); err != nil {
			return 0, err
		}
		a := of[id]
		if next := warningOf(expires, j.now); next != nil && (a.warn == nil || next.Before(*a.warn)) {
			a.warn = next
		}
		days := 0
		for _, d := range warnings {
			if at := expires.AddDate(0, 0, -d); at.After(since[id]) && !at.After(j.now) {
				days = d
			}
		}
		if days > 0 && active > 0 {
			n++
			events.Emit(tx, events.Event{Type: EventExpiring, SubjectType: "customer", SubjectID: a.customer,
				Payload: Expiration{CustomerID: a.customer, UnitID: a.unit, Points: active, ExpiresAt: expires.UTC(), Days: days}})
		}
	}
	if err := rows.Err(); err != nil {
		return 0, err
	}
	_ = rows.Close()
	return n, s.writeDue(ctx, tx, j)
}
