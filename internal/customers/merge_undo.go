package customers

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/ent/crm/customermerge"
	"github.com/shuke-crm/shuke/ent/crm/schema"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/scope"
)

// UndoMerge makes the two customers of a merge two again: each field as it was
// before, unless somebody changed it since, and each row that moved goes back.
// What has come since stays with the survivor. The record tells which fields
// were not put back.
// Errors: ErrMergeNotFound, ErrMergeUndone, ErrMergeLater.
func (s *Service) UndoMerge(ctx context.Context, id uuid.UUID) (*crm.CustomerMerge, error) {
	var out *crm.CustomerMerge
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		seen, err := s.OneMerge(ctx, id)
		if err != nil {
			return err
		}
		// Customers first, as everybody locks them.
		rows, err := s.lock(scope.WithGone(ctx), tx, seen.SurvivorID, seen.MergedID)
		if err != nil {
			return err
		}
		record, err := tx.CRM.CustomerMerge.Query().Where(customermerge.ID(id)).ForUpdate().Only(ctx)
		if err != nil {
			return err
		}
		survivor, merged := pick(rows, record.SurvivorID), pick(rows, record.MergedID)
		switch {
		case record.Status == customermerge.StatusUndone:
			return ErrMergeUndone.New()
		case survivor == nil || merged == nil:
			return ErrMergeNotFound.New()
		case survivor.MergedIntoID != nil:
			later, err := tx.CRM.CustomerMerge.Query().Where(customermerge.MergedID(survivor.ID), customermerge.StatusEQ(customermerge.StatusDone)).OnlyID(ctx)
			if err != nil {
				return err
			}
			return ErrMergeLater.New().With("merge_id", later)
		}
		out, err = s.undoMerge(ctx, tx, record, survivor, merged)
		return err
	})
	if err != nil {
		return nil, constraint(err)
	}
	return out, nil
}

func pick(rows []*crm.Customer, id uuid.UUID) *crm.Customer {
	for _, row := range rows {
		if row.ID == id {
			return row
		}
	}
	return nil
}

func (s *Service) undoMerge(ctx context.Context, tx *db.Tx, record *crm.CustomerMerge, survivor, merged *crm.Customer) (*crm.CustomerMerge, error) {
	m := &Merging{ID: record.ID, MergedAt: record.MergedAt.UTC(), Undoing: true}
	if err := s.unlockMerge(m, map[uuid.UUID][]byte{survivor.ID: survivor.DataKey, merged.ID: merged.DataKey}, survivor.ID, merged.ID); err != nil {
		return nil, err
	}
	var one survivorRecord
	if err := openRecord(m.survivorKey, "survivor", m.ID, record.SurvivorSealed, &one); err != nil {
		return nil, err
	}
	var other mergedRecord
	if err := openRecord(m.mergedKey, "merged", m.ID, record.MergedSealed, &other); err != nil {
		return nil, err
	}
	kept, err := s.writeUndone(ctx, tx, &one, &other.survivorRecord, survivor, merged)
	if err != nil {
		return nil, err
	}
	if m.Survivor, m.Merged, err = writtenPair(ctx, tx, survivor.ID, merged.ID); err != nil {
		return nil, err
	}
	now := s.clock.Now()
	if err := s.backAll(ctx, tx, m, other.Moved, other.Kept, now); err != nil {
		return nil, err
	}
	if err := s.dropKeptAddress(ctx, tx, m, other.KeptAddress); err != nil {
		return nil, err
	}
	if err := s.unfollowPairs(ctx, tx, other.Pairs); err != nil {
		return nil, err
	}
	out, err := tx.CRM.CustomerMerge.UpdateOne(record).SetStatus(customermerge.StatusUndone).SetNillableUndoneBy(actorID(ctx)).SetUndoneAt(now).
		SetKept(kept).AddVersion(1).Save(ctx)
	if err != nil {
		return nil, err
	}
	s.noteMerge(ctx, tx, "customers.merge_undo", EventMergeUndone, m, out)
	return out, nil
}

// restored is one of the two on its way back.
type restored struct {
	side              string
	record            *survivorRecord
	now, out          Customer
	row, before       map[string]json.RawMessage // of customers: to be written, and as it was
	archivedUntouched bool
	key               crypto.DataKey
}

// writeUndone puts both rows back and tells which fields stay as they are.
func (s *Service) writeUndone(ctx context.Context, tx *db.Tx, one, other *survivorRecord, survivor, merged *crm.Customer) ([]schema.MergeKept, error) {
	current, err := rowsOf(ctx, tx, survivor.ID, merged.ID)
	if err != nil {
		return nil, err
	}
	rules, err := s.activeRules(ctx)
	if err != nil {
		return nil, err
	}
	kept := []schema.MergeKept{}
	sides := []*restored{{side: "survivor", record: one}, {side: "merged", record: other}}
	for i, row := range []*crm.Customer{survivor, merged} {
		r := sides[i]
		if r.key, err = s.keys.UnwrapDataKey(row.ID, row.DataKey); err != nil {
			return nil, err
		}
		if r.now, err = open(s.keys, row); err != nil {
			return nil, err
		}
		// A tag that has ended by itself since is nobody's change, nor is one that came
		// or went by its condition.
		for _, c := range []*Customer{&r.now, &r.record.Before, &r.record.After} {
			c.endTags(s.clock.Now())
			c.withoutTags(rules.automatic)
		}
		if err := json.Unmarshal(current[row.ID], &r.row); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(r.record.Row, &r.before); err != nil {
			return nil, err
		}
		r.archivedUntouched = sameTime(r.record.After.ArchivedAt, r.now.ArchivedAt)
		if err := r.fields(&kept); err != nil {
			return nil, err
		}
	}
	if err := s.leaveTaken(ctx, tx, sides, &kept); err != nil {
		return nil, err
	}
	// Identifiers may change places, so the merged one lets go of them first.
	if _, err := tx.Exec(ctx, `UPDATE customers SET merged_into_id = NULL, external_id = NULL, phone_index = NULL, email_index = NULL, card_number_index = NULL
		WHERE id = $1`, merged.ID); err != nil {
		return nil, err
	}
	for _, r := range sides {
		raw, err := json.Marshal(r.row)
		if err != nil {
			return nil, err
		}
		if _, err := tx.Exec(ctx, putBackSQL, r.now.ID, string(raw), s.clock.Now(), changeBy(withOrigin(ctx, originMergeUndo))); err != nil {
			return nil, err
		}
	}
	return kept, nil
}

var putBackSQL = func() string {
	columns := []string{"archived_at", "provenance"}
	for _, f := range mergeFields {
		columns = append(columns, f.columns...)
	}
	list := strings.Join(columns, ", ")
	return "UPDATE customers c SET (" + list + ") = (SELECT " + list + " FROM jsonb_populate_record(NULL::customers, $2::jsonb)), " +
		"version = c.version + 1, updated_at = $3 FROM (SELECT set_config('shuke.change', $4, true)) said WHERE c.id = $1"
}()

// fields works out the row to write.
func (r *restored) fields(kept *[]schema.MergeKept) error {
	r.out = r.now
	r.out.provenance = nil
	if err := json.Unmarshal(r.before["provenance"], &r.out.provenance); err != nil && len(r.before["provenance"]) > 0 {
		return err
	}
	var since []string // fields whose values are those of now
	for i := range mergeFields {
		f := &mergeFields[i]
		what := f.undo(&r.record.Before, &r.record.After, &r.now, &r.out)
		if f.unique && r.side == "merged" {
			// Nobody changes a merged record; the survivor may have taken an identifier
			// over, which is for leaveTaken to judge.
			f.take(&r.out, &r.record.Before)
			what = putBack
		}
		switch what {
		case putBack:
			for _, c := range f.columns {
				r.row[c] = r.before[c]
			}
		case redone:
			if err := r.columns(f); err != nil {
				return err
			}
			since = append(since, f.name)
			*kept = append(*kept, schema.MergeKept{Customer: r.side, Field: f.name, Reason: "edited_since"})
		case edited:
			since = append(since, f.name)
			*kept = append(*kept, schema.MergeKept{Customer: r.side, Field: f.name, Reason: "edited_since"})
		}
	}
	if r.archivedUntouched {
		r.row["archived_at"] = r.before["archived_at"]
	}
	if r.row["provenance"] = r.before["provenance"]; len(since) == 0 {
		return nil
	}
	for _, field := range r.out.sourced(&r.record.Before, since) {
		r.out.stamp(r.now.origin(field), field)
	}
	raw, err := json.Marshal(r.out.provenance)
	r.row["provenance"] = raw
	return err
}

// columns writes a field that holds several things into the row.
func (r *restored) columns(f *mergeField) (err error) {
	c := &r.out
	set := func(column string, v any, empty bool) {
		raw := []byte("null")
		if !empty && err == nil {
			raw, err = json.Marshal(v)
		}
		r.row[column] = raw
	}
	switch f.name {
	case "tags":
		set("tag_ids", append([]uuid.UUID{}, c.TagIDs...), false)
		set("tag_expiries", c.TagExpiries, len(c.TagExpiries) == 0)
	case "preferences":
		set("preferences", c.Preferences, len(c.Preferences) == 0)
	case "marketing_preferences":
		set("marketing_preferences", c.MarketingPreferences, len(c.MarketingPreferences) == 0)
	case "custom_fields":
		set("custom_fields", c.CustomFields, len(c.CustomFields) == 0)
		set("custom_fields_sealed", `\x`+hex.EncodeToString(seal(nil, r.key, c.ID, &Person{Custom: c.Custom}, 0).custom), len(c.Custom) == 0)
	default:
		err = fmt.Errorf("undo a merge: no columns for %s", f.name)
	}
	return err
}

// leaveTaken keeps identifiers away from those who had them where somebody else
// has them now.
func (s *Service) leaveTaken(ctx context.Context, tx *db.Tx, sides []*restored, kept *[]schema.MergeKept) error {
	survivor, merged := sides[0], sides[1]
	held, err := s.taken(ctx, tx, []*Customer{&survivor.out, &merged.out})
	if err != nil {
		return err
	}
	for _, r := range sides {
		for _, u := range held.values(&r.out) {
			one, ok := held.by[u.key]
			third := ok && one.id != survivor.now.ID && one.id != merged.now.ID
			twice := r == merged && held.has(&survivor.out, u)
			if !third && !twice {
				continue
			}
			name := u.pointer[1:]
			for i := range mergeFields {
				f := &mergeFields[i]
				if f.name != name {
					continue
				}
				f.take(&r.out, &Customer{})
				for _, c := range f.columns {
					r.row[c] = json.RawMessage("null")
				}
			}
			*kept = append(*kept, schema.MergeKept{Customer: r.side, Field: name, Reason: "taken"})
		}
	}
	return nil
}

func (h *holders) has(c *Customer, u uniqueValue) bool {
	for _, v := range h.values(c) {
		if v.key == u.key {
			return true
		}
	}
	return false
}
