package timeline

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
	"github.com/shuke-crm/shuke/internal/platform/scope"
)

// noteScope are the scope columns of notes and attachments, as their policies
// have them.
var noteScope = scope.Columns{Store: "store_id", Staff: "assigned_staff_id"}

// mentionsOfMine is the rest of a statement over mentions m and their notes n:
// those of the actor, of notes within the scope.
func mentionsOfMine(ctx context.Context, seen *bool) (string, []any, error) {
	where, more, err := scope.SQL(ctx, noteScope, "n", 2)
	if err != nil {
		return "", nil, err
	}
	text := " FROM note_mentions m JOIN notes n ON n.id = m.note_id AND " + where + " WHERE m.staff_id = $1"
	switch {
	case seen == nil:
	case *seen:
		text += " AND m.seen_at IS NOT NULL"
	default:
		text += " AND m.seen_at IS NULL"
	}
	return text, append([]any{auth.Must(ctx).ID}, more...), nil
}

func (s *Service) countMentions(ctx context.Context, seen *bool) (n int64, err error) {
	from, args, err := mentionsOfMine(ctx, seen)
	if err != nil {
		return 0, err
	}
	return n, s.DB.From(ctx).QueryRow(ctx, "SELECT count(*)"+from, args...).Scan(&n)
}

// mentions reads those after one, without their notes. Plan:
// note_mentions_staff_idx, or note_mentions_unseen_idx, backwards.
func (s *Service) mentions(ctx context.Context, seen *bool, after *uuid.UUID, limit int) ([]*Mention, error) {
	from, args, err := mentionsOfMine(ctx, seen)
	if err != nil {
		return nil, err
	}
	if after != nil {
		args = append(args, *after)
		from += " AND m.id < $" + strconv.Itoa(len(args))
	}
	args = append(args, limit)
	rows, err := s.DB.From(ctx).Query(ctx, "SELECT m.id, m.note_id, m.seen_at, m.created_at"+from+" ORDER BY m.id DESC LIMIT $"+strconv.Itoa(len(args)), args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []*Mention
	for rows.Next() {
		m := &Mention{}
		if err := rows.Scan(&m.ID, &m.noteID, &m.SeenAt, &m.CreatedAt); err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, rows.Err()
}

func markSeen(ctx context.Context, tx *db.Tx, staffID uuid.UUID, ids *[]uuid.UUID, now time.Time) (int64, error) {
	query, args := "UPDATE note_mentions SET seen_at = $2 WHERE staff_id = $1 AND seen_at IS NULL", []any{staffID, now}
	if ids != nil {
		query += " AND id = ANY($3::uuid[])"
		args = append(args, pgarray.UUIDs(*ids))
	}
	r, err := tx.Exec(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// names are the names of staff and API keys by id. Whoever sees what somebody
// did may know who that was, also of another store.
func (s *Service) names(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]string, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	rows, err := s.DB.From(ctx).Query(ctx, `
SELECT id, name FROM staff WHERE id = ANY($1::uuid[])
UNION ALL SELECT id, name FROM api_keys WHERE id = ANY($1::uuid[])`, pgarray.UUIDs(ids))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := make(map[uuid.UUID]string, len(ids))
	for rows.Next() {
		var id uuid.UUID
		var name string
		if err := rows.Scan(&id, &name); err != nil {
			return nil, err
		}
		out[id] = name
	}
	return out, rows.Err()
}

// records are the ids of a customer and of all records that were merged into
// them. The caller has been checked to see the customer.
func (s *Service) records(ctx context.Context, customerID uuid.UUID) ([]uuid.UUID, error) {
	rows, err := s.DB.From(ctx).Query(ctx, `
WITH RECURSIVE merged (id) AS (
    SELECT $1::uuid
    UNION ALL
    SELECT c.id FROM customers c JOIN merged m ON c.merged_into_id = m.id
)
SELECT id FROM merged`, customerID)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []uuid.UUID
	for rows.Next() {
		var id uuid.UUID
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		out = append(out, id)
	}
	return out, rows.Err()
}

// items reads a page.
//
// Plan, for a customer with 10,000 orders, at the first page and at the last:
//
//	Limit (actual time=0.233..0.240 rows=51)
//	  ->  Sort (top rows of at most a page from each source)
//	        ->  Append
//	              ->  Limit  ->  Index Scan Backward using orders_customer_idx (rows=51)
//	              ->  Limit  ->  Index Scan Backward using order_returns_customer_idx (rows=51)
//	              ->  Limit  ->  …
func (s *Service) items(ctx context.Context, q *query) ([]*Item, error) {
	if len(q.parts) == 0 {
		return nil, nil
	}
	rows, err := s.DB.From(ctx).Query(ctx, q.text(), q.args...)
	if err != nil {
		return nil, fmt.Errorf("timeline: %w", err)
	}
	defer rows.Close()
	var out []*Item
	for rows.Next() {
		i := &Item{}
		var details []byte
		if err := rows.Scan(&i.source, &i.Kind, &i.ID, &i.At, &i.ActorKind, &i.ActorID, &i.StoreID, &details); err != nil {
			return nil, err
		}
		if i.Details, err = readDetails(details); err != nil {
			return nil, err
		}
		out = append(out, i)
	}
	return out, rows.Err()
}

func (q *query) text() string {
	return "SELECT source, kind, id, at, actor_kind, actor_id, store_id, details FROM (" + strings.Join(q.parts, " UNION ALL ") +
		") AS t ORDER BY at DESC, id DESC, source DESC" + " LIMIT " + strconv.Itoa(q.limit)
}

func (s *Service) countItems(ctx context.Context, q *query) (n int64, err error) {
	if len(q.parts) == 0 {
		return 0, nil
	}
	return n, s.DB.From(ctx).QueryRow(ctx, "SELECT count(*) FROM ("+strings.Join(q.parts, " UNION ALL ")+") AS t", q.args...).Scan(&n)
}
