package points

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/auth"
)

// ErrWhole refuses figures about everybody to who holds the permission for a part.
var ErrWhole = apperr.Define(apperr.Forbidden, "points.whole_business", "This is about the whole business: hold the permission everywhere.", "此数据涉及全部业务，须拥有全部范围的权限。")

func whole(ctx context.Context) error {
	actor, err := auth.From(ctx)
	if err == nil && !actor.Scope.All {
		err = ErrWhole.New()
	}
	return err
}

// Liability is what the books of a unit held at an instant, by the postings that
// were written until then.
type Liability struct {
	Unit                                          *loyalty.PointsUnit
	At                                            time.Time
	Pending, Active, Blocked, Debt                int64 // of members; Debt is below zero
	Issued, Reversed, Spent, Expired, Transferred int64 // of the programme
}

// Total is what members can still spend, now or later: the programme's liability.
func (l *Liability) Total() int64 { return l.Pending + l.Active + l.Blocked + l.Debt }

// liabilitySQL adds all postings up until an instant.
// Plan: a scan of points_postings, which is read by nobody else.
const liabilitySQL = `
WITH moved AS (
    SELECT p.from_book, p.to_book, sum(p.amount) AS n
    FROM points_postings p JOIN points_accounts a ON a.id = p.account_id
    WHERE a.unit_id = $1 AND p.created_at <= $2 GROUP BY p.from_book, p.to_book
), books AS (
    SELECT to_book AS book, n FROM moved UNION ALL SELECT from_book, -n FROM moved
)
SELECT book, sum(n) FROM books GROUP BY book`

// LiabilityAt says what members could spend at an instant, recomputed from the
// ledger alone.
//
// Errors: ErrWhole, ErrUnit, ErrInstant.
func (s *Service) LiabilityAt(ctx context.Context, unit string, at *time.Time) (*Liability, error) {
	if err := whole(ctx); err != nil {
		return nil, err
	}
	u, err := s.unit(ctx, unit, ErrUnit, "?unit")
	if err != nil {
		return nil, err
	}
	out := &Liability{Unit: u, At: s.clock.Now()}
	if at != nil {
		if at.After(out.At) {
			return nil, ErrInstant.At("?at")
		}
		out.At = at.UTC()
	}
	rows, err := s.db.From(ctx).Query(ctx, liabilitySQL, u.ID, out.At)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	of := map[Book]*int64{Pending: &out.Pending, Active: &out.Active, Blocked: &out.Blocked, Debt: &out.Debt, Issued: &out.Issued, Reversed: &out.Reversed, Spent: &out.Spent, Expired: &out.Expired, Transferred: &out.Transferred}
	for rows.Next() {
		var book Book
		var n int64
		if err := rows.Scan(&book, &n); err != nil {
			return nil, err
		}
		*of[book] = n
	}
	return out, rows.Err()
}

// Difference is something that does not add up: of an account, of a lot, or of
// the clearing between accounts.
type Difference struct {
	Check     string
	AccountID uuid.NullUUID
	LotID     uuid.NullUUID
	Expected  int64 // by the ledger
	Found     int64
}

// Verified is what a check of all points found.
type Verified struct {
	Accounts, Lots, Entries, Postings int64
	Differences                       []Difference // at most so many as asked for
}

// verifySQL compares, in one snapshot, accounts with their postings, lots, entries
// and holds, lots with their postings, what orders have earned with what was booked, and the book of transfers with nothing.
const verifySQL = `
WITH legs AS (
    SELECT account_id, lot_id, entry_id, to_book AS book, amount AS n FROM points_postings
    UNION ALL SELECT account_id, lot_id, entry_id, from_book, -amount FROM points_postings
), posted AS (
    SELECT account_id, sum(n) FILTER (WHERE book = 'pending') AS pending, sum(n) FILTER (WHERE book = 'active') AS active, sum(n) FILTER (WHERE book = 'blocked') AS blocked,
           -sum(n) FILTER (WHERE book = 'debt') AS debt
    FROM legs GROUP BY account_id
), lots AS (
    SELECT account_id, sum(pending) AS pending, sum(active) AS active, sum(blocked) AS blocked FROM points_lots GROUP BY account_id
), stated AS (
    SELECT account_id, count(*) AS n, max(number) AS last, sum(balance_change) AS balance, sum(pending_change) AS pending, sum(blocked_change) AS blocked FROM points_entries GROUP BY account_id
), last AS (
    SELECT e.account_id, e.balance_after, e.pending_after, e.blocked_after FROM points_entries e JOIN points_accounts a ON a.id = e.account_id AND a.entry_count = e.number
), held AS (
    SELECT (l ->> 'account_id')::uuid AS account_id, sum((l ->> 'amount')::bigint) AS n FROM points_holds h, jsonb_array_elements(h.lots) l WHERE h.status = 'blocked' GROUP BY 1
), of_lot AS (
    SELECT lot_id, sum(n) FILTER (WHERE book = 'pending') AS pending, sum(n) FILTER (WHERE book = 'active') AS active, sum(n) FILTER (WHERE book = 'blocked') AS blocked FROM legs
    WHERE lot_id IS NOT NULL GROUP BY lot_id
), findings AS (
    SELECT c.what, a.id AS account_id, NULL::uuid AS lot_id, coalesce(c.expected, 0) AS expected, coalesce(c.found, 0) AS found
    FROM points_accounts a LEFT JOIN posted p ON p.account_id = a.id LEFT JOIN lots l ON l.account_id = a.id LEFT JOIN stated s ON s.account_id = a.id
    LEFT JOIN last t ON t.account_id = a.id LEFT JOIN held h ON h.account_id = a.id
    CROSS JOIN LATERAL (VALUES
        ('account_pending', p.pending, a.pending), ('account_active', p.active, a.active), ('account_blocked', p.blocked, a.blocked), ('account_debt', p.debt, a.debt),
        ('lots_pending', a.pending, l.pending), ('lots_active', a.active, l.active), ('lots_blocked', a.blocked, l.blocked),
        ('entries_balance', s.balance, a.active - a.debt), ('entries_pending', s.pending, a.pending), ('entries_blocked', s.blocked, a.blocked),
        ('last_entry_balance', t.balance_after, a.active - a.debt), ('last_entry_pending', t.pending_after, a.pending), ('last_entry_blocked', t.blocked_after, a.blocked),
        ('entry_numbers', s.n, a.entry_count), ('entry_numbers', s.last, a.entry_count), ('holds_blocked', h.n, a.blocked)
    ) c (what, expected, found) WHERE coalesce(c.expected, 0) <> coalesce(c.found, 0)
    UNION ALL
    SELECT c.what, l.account_id, l.id, coalesce(c.expected, 0), c.found FROM points_lots l LEFT JOIN of_lot o ON o.lot_id = l.id
    CROSS JOIN LATERAL (VALUES ('lot_pending', o.pending, l.pending), ('lot_active', o.active, l.active), ('lot_blocked', o.blocked, l.blocked)) c (what, expected, found)
    WHERE coalesce(c.expected, 0) <> c.found
    UNION ALL
    SELECT 'earnings', e.account_id, NULL, e.points - e.withheld, coalesce(o.n, 0)
    FROM points_earnings e LEFT JOIN (
        SELECT n.order_id, a.unit_id, sum(CASE WHEN p.from_book = 'issued' THEN p.amount WHEN p.to_book = 'reversed' THEN -p.amount ELSE 0 END) AS n
        FROM points_entries n JOIN points_postings p ON p.entry_id = n.id JOIN points_accounts a ON a.id = n.account_id
        WHERE n.order_id IS NOT NULL AND n.kind IN ('earn', 'reverse') GROUP BY n.order_id, a.unit_id
    ) o ON o.order_id = e.order_id AND o.unit_id = e.unit_id
    WHERE e.points - e.withheld <> coalesce(o.n, 0)
    UNION ALL
    SELECT 'transfers', NULL, NULL, 0, coalesce(sum(n), 0) FROM legs WHERE book = 'transferred' HAVING coalesce(sum(n), 0) <> 0
)
SELECT f.what, f.account_id, f.lot_id, f.expected, f.found, (SELECT count(*) FROM points_accounts), (SELECT count(*) FROM points_lots), (SELECT count(*) FROM points_entries),
       (SELECT count(*) FROM points_postings)
FROM (SELECT) one LEFT JOIN findings f ON true ORDER BY f.what, f.account_id, f.lot_id LIMIT $1`

// Verify adds the whole ledger up and compares it with accounts and lots.
//
// Error: ErrWhole.
func (s *Service) Verify(ctx context.Context, most int) (out Verified, err error) {
	if err := whole(ctx); err != nil {
		return out, err
	}
	rows, err := s.db.From(ctx).Query(ctx, verifySQL, most)
	if err != nil {
		return out, err
	}
	defer rows.Close()
	for rows.Next() {
		var d Difference
		var check *string
		var expected, found *int64
		if err := rows.Scan(&check, &d.AccountID, &d.LotID, &expected, &found, &out.Accounts, &out.Lots, &out.Entries, &out.Postings); err != nil {
			return out, err
		}
		if check != nil {
			d.Check, d.Expected, d.Found = *check, *expected, *found
			out.Differences = append(out.Differences, d)
		}
	}
	return out, rows.Err()
}
