package customers

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/events"
	"github.com/shuke-crm/shuke/internal/platform/match"
)

// EventDuplicateDecided tells that somebody judged a pair.
var EventDuplicateDecided = events.Define("customer.duplicate_decided", "判定了一对疑似重复顾客", "A pair of possible duplicates was decided.")

// DuplicatePair is a pair of customers who may be one person.
type DuplicatePair struct {
	ID          uuid.UUID
	Left, Right DuplicateSide
	Score       float64
	Reasons     []match.Reason
	Status      string // open, not_duplicate, duplicate
	Note        string
	DecidedBy   *uuid.UUID
	DecidedAt   *time.Time
	Version     int64
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// DuplicateSide is one customer of a pair.
type DuplicateSide struct {
	ID         uuid.UUID
	ExternalID *string
}

// DuplicateFilter says which pairs to list; zero parts do not filter.
type DuplicateFilter struct {
	CustomerID uuid.UUID
	StoreID    uuid.UUID // home of either side
	Status     string
	MinScore   float64
}

// duplicatePosition is the last pair of a page.
type duplicatePosition struct {
	Score float64   `json:"s"`
	ID    uuid.UUID `json:"i"`
}

const duplicateColumns = `d.id, d.left_id, d.right_id, d.score, d.reasons, d.status, coalesce(d.note, ''), d.decided_by, d.decided_at, d.version,
d.created_at, d.updated_at, c.external_id, r.external_id`

// visiblePairs joins both customers, who must be active and in the scope.
func visiblePairs(sc auth.Scope) clause {
	left := scopeClause(sc)
	right := scopeClause(sc)
	return clause{`FROM duplicate_candidates d
JOIN customers c ON c.id = d.left_id AND c.archived_at IS NULL AND ` + left.sql + `
JOIN (SELECT c.id, c.external_id, c.home_store_id FROM customers c WHERE c.archived_at IS NULL AND ` + right.sql + `) r ON r.id = d.right_id`,
		append(left.args, right.args...)}
}

// duplicates lists pairs of which the caller may see both sides, the likeliest
// first.
func (s *Service) duplicates(ctx context.Context, f DuplicateFilter, after *duplicatePosition, limit int) ([]DuplicatePair, error) {
	actor, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	from, w := visiblePairs(actor.Scope), f.where()
	if after != nil {
		w.and("(d.score, d.id) < (?, ?)", after.Score, after.ID)
	}
	q := clause{"SELECT " + duplicateColumns + " " + from.sql + " WHERE " + w.sql + " ORDER BY d.score DESC, d.id DESC LIMIT " + itoa(limit), append(from.args, w.args...)}
	return s.queryPairs(ctx, q)
}

func (f *DuplicateFilter) where() clause {
	w := clause{"d.score >= ?", []any{f.MinScore}}
	if f.Status != "" {
		w.and("d.status = ?", f.Status)
	}
	if f.CustomerID != uuid.Nil {
		w.and("(d.left_id = ? OR d.right_id = ?)", f.CustomerID, f.CustomerID)
	}
	if f.StoreID != uuid.Nil {
		w.and("(c.home_store_id = ? OR r.home_store_id = ?)", f.StoreID, f.StoreID)
	}
	return w
}

// countDuplicates counts what duplicates lists.
func (s *Service) countDuplicates(ctx context.Context, f DuplicateFilter) (n int64, err error) {
	actor, err := auth.From(ctx)
	if err != nil {
		return 0, err
	}
	from, w := visiblePairs(actor.Scope), f.where()
	q := clause{"SELECT count(*) " + from.sql + " WHERE " + w.sql, append(from.args, w.args...)}
	err = s.db.From(ctx).QueryRow(ctx, q.numbered(), q.args...).Scan(&n)
	return n, err
}

func (s *Service) queryPairs(ctx context.Context, q clause) ([]DuplicatePair, error) {
	rows, err := s.db.From(ctx).Query(ctx, q.numbered(), q.args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []DuplicatePair
	for rows.Next() {
		var d DuplicatePair
		var reasons []byte
		var by uuid.NullUUID
		var at sql.NullTime
		if err := rows.Scan(&d.ID, &d.Left.ID, &d.Right.ID, &d.Score, &reasons, &d.Status, &d.Note, &by, &at, &d.Version,
			&d.CreatedAt, &d.UpdatedAt, &d.Left.ExternalID, &d.Right.ExternalID); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(reasons, &d.Reasons); err != nil {
			return nil, err
		}
		if by.Valid {
			d.DecidedBy = &by.UUID
		}
		if at.Valid {
			d.DecidedAt = utc(&at.Time)
		}
		out = append(out, d)
	}
	return out, rows.Err()
}

// DecideDuplicate says what a pair is. A later search leaves the decision alone;
// it can be decided anew. Errors: ErrPairNotFound.
func (s *Service) DecideDuplicate(ctx context.Context, id uuid.UUID, decision, note string) (*DuplicatePair, error) {
	actor, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	var out *DuplicatePair
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		now := s.clock.Now()
		from := visiblePairs(actor.Scope)
		find := clause{"SELECT d.id " + from.sql + " WHERE d.id = ? FOR UPDATE OF d", append(from.args, id)}
		if err := tx.QueryRow(ctx, find.numbered(), find.args...).Scan(&id); errors.Is(err, sql.ErrNoRows) {
			return ErrPairNotFound.New()
		} else if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE duplicate_candidates SET status = $2, note = nullif($3, ''), decided_by = $4, decided_at = $5,
			updated_at = $5, version = version + 1 WHERE id = $1`, id, decision, note, actor.ID, now); err != nil {
			return err
		}
		pairs, err := s.queryPairs(ctx, clause{"SELECT " + duplicateColumns + " " + from.sql + " WHERE d.id = ?", append(from.args, id)})
		if err != nil {
			return err
		}
		out = &pairs[0]
		for _, side := range [...]uuid.UUID{out.Left.ID, out.Right.ID} {
			audit.Record(ctx, tx, audit.Entry{Action: "customers.duplicate_decide", ObjectType: "customer", ObjectID: side.String(),
				Changes: map[string]any{"pair": id, "decision": decision}})
		}
		events.Emit(tx, events.Event{Type: EventDuplicateDecided, SubjectType: "duplicate_candidate", SubjectID: id, Payload: map[string]string{"decision": decision}})
		return nil
	})
	return out, err
}

// foundPair is what a search writes.
type foundPair struct {
	left, right uuid.UUID
	score       float64
	reasons     []match.Reason
}

// savePairs writes pairs set-based. One that was decided keeps its decision,
// score and reasons; an open one gets the new ones. It returns how many are new.
func (s *Service) savePairs(ctx context.Context, tx *db.Tx, found []foundPair, now time.Time) (fresh int64, err error) {
	if len(found) == 0 {
		return 0, nil
	}
	var ids, lefts, rights, scores, reasons column
	for i := range found {
		p := &found[i]
		if compareIDs(p.left, p.right) > 0 {
			p.left, p.right = p.right, p.left
		}
		id, err := uuid.NewV7()
		if err != nil {
			return 0, err
		}
		ids.uuid(&id)
		lefts.uuid(&p.left)
		rights.uuid(&p.right)
		scores.next()
		scores.buf = appendFloat(scores.buf, p.score)
		if err := reasons.json(p.reasons, false); err != nil {
			return 0, err
		}
	}
	err = tx.QueryRow(ctx, `WITH written AS (
INSERT INTO duplicate_candidates (id, left_id, right_id, score, reasons, status, version, created_at, updated_at)
SELECT t.id, t.l, t.r, t.score, t.reasons::jsonb, 'open', 1, $6, $6
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::float8[], $5::text[]) AS t (id, l, r, score, reasons) ORDER BY t.l, t.r
ON CONFLICT (left_id, right_id) DO UPDATE SET score = EXCLUDED.score, reasons = EXCLUDED.reasons, updated_at = EXCLUDED.updated_at
WHERE duplicate_candidates.status = 'open' RETURNING (xmax = 0) AS fresh)
SELECT count(*) FILTER (WHERE fresh) FROM written`, ids.String(), lefts.String(), rights.String(), scores.String(), reasons.String(), now).Scan(&fresh)
	return fresh, err
}
