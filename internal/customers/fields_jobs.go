package customers

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/shuke-crm/shuke/ent/crm/customer"
	"github.com/shuke-crm/shuke/ent/crm/schema"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/events"
	"github.com/shuke-crm/shuke/internal/platform/jobs"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

const (
	jobReplaceChoices = "customers.replace_choices"
	replaceBatch      = 500
)

// replaceChoices is what the job needs; the audit log names who changed the
// definition.
type replaceChoices struct {
	FieldID uuid.UUID `json:"field_id"`
	Kind    auth.Kind `json:"actor_kind"`
	Actor   uuid.UUID `json:"actor_id"`
	Name    string    `json:"actor_name"`
}

// ReplacedChoices is what the visible job reports.
type ReplacedChoices struct {
	Customers int64 `json:"customers"`
	Records   int64 `json:"records,omitempty"` // of another entity
}

// runReplaceChoices gives customers the choices that others were replaced by,
// as the definition says when it runs. A second attempt goes on where the first
// one broke off: what was replaced is no longer found. It reaches beyond the
// scope of whoever changed the definition, as a new name of a choice would.
func (s *Service) runReplaceChoices(ctx context.Context, r replaceChoices, p *jobs.Progress) (any, error) {
	ctx = auth.With(ctx, auth.Actor{Kind: r.Kind, ID: r.Actor, Name: r.Name, Scope: auth.Scope{All: true}})
	out := &ReplacedChoices{}
	f, err := fieldOf(ctx, s.db.Clients, r.FieldID)
	if err != nil {
		return nil, err
	}
	if f.Entity != OfCustomer {
		return out, s.replaceHeld(ctx, f.ID, p, out)
	}
	for {
		if p.Cancelled() {
			return out, jobs.ErrCancelled
		}
		n, err := s.replaceBatch(ctx, r.FieldID)
		if err != nil {
			return out, err
		}
		out.Customers += int64(n)
		p.Set(out.Customers, 0)
		if n == 0 {
			return out, nil
		}
	}
}

func (s *Service) replaceBatch(ctx context.Context, id uuid.UUID) (n int, err error) {
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		f, err := fieldOf(ctx, tx.Clients, id)
		if err != nil {
			return err
		}
		var from, to []string
		for old, by := range f.replaced() {
			from, to = append(from, old), append(to, by)
		}
		if n = 0; len(from) == 0 {
			return nil
		}
		// Rows are locked before they are read for good, in the order of their ids.
		rows, err := tx.Query(ctx, `
			SELECT c.id, c.home_store_id FROM customers c
			WHERE c.id IN (SELECT v.customer_id FROM customer_field_values v WHERE v.field_id = $1 AND v.text = ANY ($2::text[]) LIMIT $3)
			ORDER BY c.id FOR NO KEY UPDATE`, f.ID, pq.Array(from), replaceBatch)
		if err != nil {
			return err
		}
		found, err := scanPlaces(rows)
		if err != nil {
			return err
		}
		n = len(found)
		ids := make(pgarray.UUIDs, n)
		for i := range found {
			ids[i] = found[i].ID
		}
		now := s.clock.Now().UTC().Truncate(time.Microsecond)
		origins, err := s.restamped(ctx, tx, f, ids, now)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `
			WITH by AS (SELECT * FROM unnest($3::text[], $4::text[]) AS b (old, new))
			UPDATE customers c SET version = c.version + 1, updated_at = $5, custom_fields = `+replacedChoices("c")+`,
			    provenance = coalesce(($6::jsonb -> c.id::text), c.provenance)
			WHERE c.id = ANY ($1::uuid[]) AND jsonb_exists(c.custom_fields, $2::text)`,
			ids, f.Key, pq.Array(from), pq.Array(to), now, origins); err != nil {
			return err
		}
		for _, c := range found {
			audit.Record(ctx, tx, audit.Entry{Action: "custom_fields.replace_choice", ObjectType: "customer", ObjectID: c.ID.String(), StoreID: c.HomeStoreID,
				Changes: map[string]any{"fields": []string{"custom_fields"}, "key": f.Key}})
			events.Emit(tx, events.Event{Type: EventUpdated, SubjectType: "customer", SubjectID: c.ID, StoreID: c.HomeStoreID,
				Payload: changedFields{[]string{"custom_fields"}}})
			s.Touch(ctx, tx, c.ID)
		}
		return nil
	})
	return n, err
}

// restamped is the provenance of customers whose value of a field is now what
// the context's actor decided, as JSON by id. Merged records keep theirs.
func (s *Service) restamped(ctx context.Context, tx *db.Tx, f *Field, ids []uuid.UUID, now time.Time) (string, error) {
	rows, err := tx.CRM.Customer.Query().Where(customer.IDIn(ids...)).
		Select(customer.FieldID, customer.FieldSource, customer.FieldCreatedAt, customer.FieldProvenance).All(ctx)
	if err != nil {
		return "", err
	}
	out := make(map[uuid.UUID]*schema.Provenance, len(rows))
	for _, row := range rows {
		c := Customer{Source: row.Source, CreatedAt: row.CreatedAt, provenance: row.Provenance}
		c.stamp(originOf(ctx, nil, &c, now, false), customPrefix+f.Key)
		out[row.ID] = c.provenance
	}
	raw, err := json.Marshal(out)
	return string(raw), err
}
