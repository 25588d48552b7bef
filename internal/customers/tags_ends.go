package customers

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/events"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// EndTags takes tags off the customers for whom they have ended, and reports how
// many customers there were. Nobody has seen those tags since they ended: this
// tidies the rows, tells subscribers and closes the history.
func (s *Service) EndTags(ctx context.Context) (int, error) {
	ctx = withOrigin(auth.System(ctx, "customers.end_tags"), originExpiry)
	total := 0
	for {
		n := 0
		err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
			n, err = s.endTagsOfSome(ctx, tx)
			return err
		})
		total += n
		if err != nil || n == 0 {
			return total, err
		}
	}
}

// endTagsOfSome deals with the next customers. Several processes share the work:
// rows that somebody else holds are left to the next run.
// Plan: customer_tag_history_due_idx.
func (s *Service) endTagsOfSome(ctx context.Context, tx *db.Tx) (int, error) {
	now := s.clock.Now()
	rows, err := tx.Query(ctx, `
		SELECT c.id, c.home_store_id FROM customers c
		WHERE c.id IN (SELECT h.customer_id FROM customer_tag_history h JOIN customers o ON o.id = h.customer_id AND o.merged_into_id IS NULL
		               WHERE h.removed_at IS NULL AND h.expires_at <= $1 ORDER BY h.expires_at LIMIT $2)
		ORDER BY c.id FOR NO KEY UPDATE SKIP LOCKED`, now, handOverBatch)
	if err != nil {
		return 0, err
	}
	found, err := scanPlaces(rows)
	if err != nil || len(found) == 0 {
		return 0, err
	}
	ids := make(pgarray.UUIDs, len(found))
	for i := range found {
		ids[i] = found[i].ID
	}
	ended, err := tx.Query(ctx, `
		UPDATE customers c SET version = c.version + 1, updated_at = $2,
		       tag_ids = ARRAY(SELECT t FROM unnest(c.tag_ids) t WHERE coalesce((c.tag_expiries ->> t::text)::timestamptz > $2, TRUE)),
		       tag_expiries = (SELECT jsonb_object_agg(e.key, e.value) FROM jsonb_each(c.tag_expiries) e WHERE (e.value #>> '{}')::timestamptz > $2)
		FROM (SELECT set_config('shuke.change', $3, true)) said
		WHERE c.id = ANY ($1::uuid[]) AND EXISTS (SELECT FROM jsonb_each(c.tag_expiries) e WHERE (e.value #>> '{}')::timestamptz <= $2)
		RETURNING c.id`, ids, now, changeBy(ctx))
	if err != nil {
		return 0, err
	}
	changed, err := scanIDs(ended)
	if err != nil {
		return 0, err
	}
	stores := map[uuid.UUID]*uuid.UUID{}
	for _, c := range found {
		stores[c.ID] = c.HomeStoreID
	}
	for _, id := range changed {
		audit.Record(ctx, tx, audit.Entry{Action: "customers.tag_ended", ObjectType: "customer", ObjectID: id.String(), StoreID: stores[id],
			Changes: map[string]any{"fields": []string{"tags"}}})
		events.Emit(tx, events.Event{Type: EventUpdated, SubjectType: "customer", SubjectID: id, StoreID: stores[id], Payload: changedFields{[]string{"tags"}}})
	}
	s.Touch(ctx, tx, changed...)
	return len(changed), nil
}

// TagAssignment is a tag that a customer has or had.
type TagAssignment struct {
	ID                   uuid.UUID
	TagID                uuid.UUID
	Name                 string // now, or when it was last known
	Category, Color      *string
	Automatic            bool
	Origin               string
	AddedBy              *string
	RemovedOrigin        *string
	RemovedBy            *string
	AddedAt              time.Time
	ExpiresAt, RemovedAt *time.Time
}

// TagHistoryFilter says which assignments to list; zero parts do not filter.
type TagHistoryFilter struct {
	CustomerID uuid.UUID
	Status     string // current, past
}

// assignmentsSQL reads assignments as they are at $2: those that have ended by
// themselves count as removed then.
const assignmentsSQL = `FROM (
    SELECT h.id, h.tag_id, coalesce(t.name, h.tag_name) AS name, t.category, t.color, t.condition IS NOT NULL AS automatic, h.origin, h.added_at, h.added_by, h.expires_at,
           coalesce(h.removed_at, CASE WHEN h.expires_at <= $2 THEN h.expires_at END) AS removed_at,
           coalesce(h.removed_origin, CASE WHEN h.expires_at <= $2 THEN 'expiry' END) AS removed_origin, h.removed_by
    FROM customer_tag_history h LEFT JOIN tags t ON t.id = h.tag_id WHERE h.customer_id = $1) a
WHERE ($3 = '' OR ($3 = 'current') = (a.removed_at IS NULL))`

type tagPosition struct {
	At time.Time `json:"t"`
	ID uuid.UUID `json:"i"`
}

// tagHistory lists the tags that a customer of the caller's scope has and had,
// the latest first. Error: ErrNotFound.
// Plan: customer_tag_history_customer_idx.
func (s *Service) tagHistory(ctx context.Context, f TagHistoryFilter, after *tagPosition, limit int) ([]TagAssignment, error) {
	query, args := "SELECT a.* "+assignmentsSQL, []any{f.CustomerID, s.clock.Now(), f.Status}
	if after != nil {
		query += " AND (a.added_at, a.id) < ($4, $5)"
		args = append(args, after.At, after.ID)
	}
	rows, err := s.db.From(ctx).Query(ctx, query+" ORDER BY a.added_at DESC, a.id DESC LIMIT "+itoa(limit), args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []TagAssignment
	for rows.Next() {
		var a TagAssignment
		if err := rows.Scan(&a.ID, &a.TagID, &a.Name, &a.Category, &a.Color, &a.Automatic, &a.Origin, &a.AddedAt, &a.AddedBy, &a.ExpiresAt,
			&a.RemovedAt, &a.RemovedOrigin, &a.RemovedBy); err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, rows.Err()
}

func (s *Service) countTagHistory(ctx context.Context, f TagHistoryFilter) (n int64, err error) {
	err = s.db.From(ctx).QueryRow(ctx, "SELECT count(*) "+assignmentsSQL, f.CustomerID, s.clock.Now(), f.Status).Scan(&n)
	return n, err
}
