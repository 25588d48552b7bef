package wallets

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// Liability is what the books held at an instant, by the postings that were written
// until then.
type Liability struct {
	At    time.Time
	Books map[Book]int64
}

// Total is what can still be spent of wallets and gift cards.
func (l *Liability) Total() int64 {
	return l.Books[Principal] + l.Books[Bonus] + l.Books[PrincipalBlocked] + l.Books[BonusBlocked]
}

const liabilitySQL = `
WITH moved AS (
    SELECT p.from_book, p.to_book, sum(p.amount) AS n FROM wallet_postings p JOIN wallet_accounts a ON a.id = p.account_id
    WHERE ($1 = '' OR a.kind = $1) AND p.created_at <= $2 GROUP BY p.from_book, p.to_book
), books AS (
    SELECT to_book AS book, n FROM moved UNION ALL SELECT from_book, -n FROM moved
)
SELECT book, sum(n) FROM books GROUP BY book`

// LiabilityAt says what was owed at an instant, recomputed from the ledger alone:
// of wallets, of gift cards, or (an empty kind) of both.
//
// Errors: ErrWhole, ErrInstant.
func (s *Service) LiabilityAt(ctx context.Context, kind string, at *time.Time) (*Liability, error) {
	if err := whole(ctx); err != nil {
		return nil, err
	}
	out := &Liability{At: s.clock.Now(), Books: map[Book]int64{}}
	if at != nil {
		if at.After(out.At) {
			return nil, ErrInstant.At("?at")
		}
		out.At = at.UTC()
	}
	rows, err := s.db.From(ctx).Query(ctx, liabilitySQL, kind, out.At)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var book Book
		var n int64
		if err := rows.Scan(&book, &n); err != nil {
			return nil, err
		}
		out.Books[book] = n
	}
	return out, rows.Err()
}

// Difference is something that does not add up: of an account, of a lot, of a
// top-up's lots, or of the clearing between accounts.
type Difference struct {
	Check     string
	AccountID uuid.NullUUID
	LotID     uuid.NullUUID
	Expected  int64 // by the ledger
	Found     int64
}

// Verified is what a check of all stored value found.
type Verified struct {
	Accounts, Lots, Entries, Postings int64
	Differences                       []Difference // at most so many as asked for
}

// verifySQL compares, in one snapshot, accounts with their postings, lots, entries
// and payments, lots with their postings and payments, payments of orders with the
// orders', and what moved between accounts with nothing.
const verifySQL = `
WITH legs AS (
    SELECT account_id, lot_id, to_book AS book, amount AS n FROM wallet_postings
    UNION ALL SELECT account_id, lot_id, from_book, -amount FROM wallet_postings
), posted AS (
    SELECT account_id, sum(n) FILTER (WHERE book = 'principal') AS principal, sum(n) FILTER (WHERE book = 'bonus') AS bonus,
           sum(n) FILTER (WHERE book = 'principal_blocked') AS principal_blocked, sum(n) FILTER (WHERE book = 'bonus_blocked') AS bonus_blocked
    FROM legs GROUP BY account_id
), lots AS (
    SELECT account_id, sum(available) FILTER (WHERE kind = 'principal') AS principal, sum(available) FILTER (WHERE kind = 'bonus') AS bonus,
           sum(blocked) FILTER (WHERE kind = 'principal') AS principal_blocked, sum(blocked) FILTER (WHERE kind = 'bonus') AS bonus_blocked
    FROM wallet_lots GROUP BY account_id
), stated AS (
    SELECT account_id, count(*) AS n, max(number) AS last, sum(principal_change) AS principal, sum(bonus_change) AS bonus, sum(blocked_change) AS blocked FROM wallet_entries GROUP BY account_id
), last AS (
    SELECT e.account_id, e.principal_after, e.bonus_after, e.blocked_after FROM wallet_entries e JOIN wallet_accounts a ON a.id = e.account_id AND a.entry_count = e.number
), held AS (
    SELECT (l ->> 'account_id')::uuid AS account_id, sum((l ->> 'amount')::bigint) AS n FROM wallet_payments p, jsonb_array_elements(p.lots) l WHERE p.status = 'blocked' GROUP BY 1
), of_lot AS (
    SELECT lot_id, sum(n) FILTER (WHERE book IN ('principal', 'bonus')) AS available, sum(n) FILTER (WHERE book IN ('principal_blocked', 'bonus_blocked')) AS blocked,
           sum(n) FILTER (WHERE book = 'spent') AS spent FROM legs GROUP BY lot_id
), paid AS (
    SELECT (l ->> 'lot_id')::uuid AS lot_id, sum(coalesce((l ->> 'captured')::bigint, 0) - coalesce((l ->> 'refunded')::bigint, 0)) AS spent
    FROM wallet_payments p, jsonb_array_elements(p.lots) l WHERE p.status = 'captured' GROUP BY 1
), findings AS (
    SELECT c.what, a.id AS account_id, NULL::uuid AS lot_id, coalesce(c.expected, 0) AS expected, coalesce(c.found, 0) AS found
    FROM wallet_accounts a LEFT JOIN posted p ON p.account_id = a.id LEFT JOIN lots l ON l.account_id = a.id LEFT JOIN stated s ON s.account_id = a.id
    LEFT JOIN last t ON t.account_id = a.id LEFT JOIN held h ON h.account_id = a.id
    CROSS JOIN LATERAL (VALUES
        ('account_principal', p.principal, a.principal), ('account_bonus', p.bonus, a.bonus), ('account_principal_blocked', p.principal_blocked, a.principal_blocked),
        ('account_bonus_blocked', p.bonus_blocked, a.bonus_blocked),
        ('lots_principal', a.principal, l.principal), ('lots_bonus', a.bonus, l.bonus), ('lots_principal_blocked', a.principal_blocked, l.principal_blocked), ('lots_bonus_blocked', a.bonus_blocked, l.bonus_blocked),
        ('entries_principal', s.principal, a.principal), ('entries_bonus', s.bonus, a.bonus), ('entries_blocked', s.blocked, a.principal_blocked + a.bonus_blocked),
        ('last_entry_principal', t.principal_after, a.principal), ('last_entry_bonus', t.bonus_after, a.bonus), ('last_entry_blocked', t.blocked_after, a.principal_blocked + a.bonus_blocked),
        ('entry_numbers', s.n, a.entry_count), ('entry_numbers', s.last, a.entry_count), ('payments_blocked', h.n, a.principal_blocked + a.bonus_blocked)
    ) c (what, expected, found) WHERE coalesce(c.expected, 0) <> coalesce(c.found, 0)
    UNION ALL
    SELECT c.what, l.account_id, l.id, coalesce(c.expected, 0), coalesce(c.found, 0) FROM wallet_lots l LEFT JOIN of_lot o ON o.lot_id = l.id LEFT JOIN paid d ON d.lot_id = l.id
    CROSS JOIN LATERAL (VALUES ('lot_available', o.available, l.available), ('lot_blocked', o.blocked, l.blocked), ('lot_spent', o.spent, d.spent)) c (what, expected, found)
    WHERE coalesce(c.expected, 0) <> coalesce(c.found, 0)
    UNION ALL
    SELECT 'order_payment', NULL, NULL, coalesce(o.amount - o.refunded_amount, 0), p.captured - p.refunded FROM wallet_payments p LEFT JOIN order_payments o ON o.id = p.order_payment_id
    WHERE p.order_payment_id IS NOT NULL AND coalesce(o.amount - o.refunded_amount, 0) <> p.captured - p.refunded
    UNION ALL
    SELECT 'moved', NULL, NULL, 0, coalesce(sum(n), 0) FROM legs WHERE book = 'moved' HAVING coalesce(sum(n), 0) <> 0
)
SELECT f.what, f.account_id, f.lot_id, f.expected, f.found, (SELECT count(*) FROM wallet_accounts), (SELECT count(*) FROM wallet_lots), (SELECT count(*) FROM wallet_entries),
       (SELECT count(*) FROM wallet_postings)
FROM (SELECT) one LEFT JOIN findings f ON true ORDER BY f.what, f.account_id, f.lot_id LIMIT $1`

// Verify adds the whole ledger up and compares it with accounts, lots and payments.
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
