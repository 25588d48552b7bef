package customers

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/ent/crm/customer"
	"github.com/shuke-crm/shuke/ent/crm/customermerge"
	"github.com/shuke-crm/shuke/ent/crm/schema"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/events"
	"github.com/shuke-crm/shuke/internal/platform/scope"
)

// Merging makes two records of one person one. The rules are in docs/merging.md.

// Domain events; the subject is the survivor.
var (
	EventMerged      = events.Define("customer.merged", "合并了顾客", "A customer was merged into another.")
	EventMergeUndone = events.Define("customer.merge_undone", "撤销了顾客合并", "A merge of customers was undone.")
)

type mergeCount = schema.MergeCount

// tableMerges is what the records of merges are bound to, with column and row.
const tableMerges = "customer_merges"

// survivorRecord is sealed with the survivor's key, mergedRecord with that of
// the merged one: who is erased takes their part along.
type survivorRecord struct {
	Row           json.RawMessage `json:"row"` // of customers, before
	Before, After Customer
}

type mergedRecord struct {
	survivorRecord
	Moved map[string]movedRows       `json:"moved"`
	Kept  map[string]json.RawMessage `json:"kept"`

	KeptAddress uuid.UUID       `json:"kept_address,omitzero"` // the default address that was not taken, now another one of the survivor's
	Pairs       json.RawMessage `json:"pairs"`
}

// MergePreview is what a merge would do.
type MergePreview struct {
	Survivor, Merged Customer // in clear: mask before showing
	Fields           []MergePreviewField
	Moves            []mergeCount
	Blockers         []*apperr.Error
	Warnings         []Warning // rules that the result breaks, and may
}

// MergePreviewField is a field, the side that a merge would take and why.
type MergePreviewField struct {
	*mergeField
	Choice Side
	Reason string
}

// PreviewMerge tells what merging two customers would do, and changes nothing.
// Errors: ErrMergeSelf, ErrNotFound, ErrMerged, ErrMergeChoice.
func (s *Service) PreviewMerge(ctx context.Context, survivorID, mergedID uuid.UUID, asked map[string]Side) (*MergePreview, error) {
	if err := checkChoices(survivorID, mergedID, asked); err != nil {
		return nil, err
	}
	d := s.db.From(ctx)
	rows, err := d.CRM.Customer.Query().Where(customer.IDIn(survivorID, mergedID)).All(ctx)
	if err != nil {
		return nil, err
	}
	survivor, merged, err := s.openPair(ctx, rows, survivorID, mergedID)
	if err != nil {
		return nil, err
	}
	out := &MergePreview{Survivor: *survivor, Merged: *merged}
	_, _, sides := combine(*survivor, *merged, asked)
	for i := range mergeFields {
		f := &mergeFields[i]
		side, why := f.chosen(survivor, merged)
		if _, ok := asked[f.name]; ok {
			side, why = sides[f.name], "asked"
		}
		out.Fields = append(out.Fields, MergePreviewField{f, side, why})
	}
	if out.Moves, err = s.counts(ctx, d, mergedID); err != nil {
		return nil, err
	}
	if out.Blockers, out.Warnings, err = s.mergeBlockers(ctx, d, survivor, merged, asked); err != nil {
		return nil, err
	}
	both := []Customer{out.Survivor, out.Merged}
	if err := s.show(ctx, both); err != nil { // custom fields that the caller may see
		return nil, err
	}
	out.Survivor, out.Merged = both[0], both[1]
	return out, nil
}

// checkChoices looks at a request by itself.
func checkChoices(survivorID, mergedID uuid.UUID, asked map[string]Side) error {
	if survivorID == mergedID {
		return ErrMergeSelf.At("/merged_id")
	}
	for i := range mergeFields {
		f := &mergeFields[i]
		if asked[f.name] == OfBoth && f.join == nil {
			return ErrMergeChoice.At("/field_choices/" + f.name)
		}
	}
	return nil
}

// openPair opens the two rows, or says why one of them is not there.
func (s *Service) openPair(ctx context.Context, rows []*crm.Customer, survivorID, mergedID uuid.UUID) (survivor, merged *Customer, err error) {
	both := make([]Customer, 2)
	for i, id := range [...]uuid.UUID{survivorID, mergedID} {
		pointer := [...]string{"/survivor_id", "/merged_id"}[i]
		at := slices.IndexFunc(rows, func(r *crm.Customer) bool { return r.ID == id })
		if at < 0 {
			by, err := s.Survivor(ctx, id)
			if err != nil {
				return nil, nil, err
			}
			if by != uuid.Nil {
				return nil, nil, ErrMerged.At(pointer).With("survivor_id", by)
			}
			return nil, nil, ErrNotFound.At(pointer)
		}
		if both[i], err = open(s.keys, rows[at]); err != nil {
			return nil, nil, err
		}
	}
	return &both[0], &both[1], s.nameTags(ctx, both)
}

// mergeBlockers are the reasons for which two customers cannot be merged as
// they are, and the validation rules that what comes of it breaks without harm:
// those of severity warning, and those that the survivor breaks already.
func (s *Service) mergeBlockers(ctx context.Context, c *db.Clients, survivor, merged *Customer, asked map[string]Side) ([]*apperr.Error, []Warning, error) {
	var out []*apperr.Error
	if survivor.ArchivedAt != nil {
		out = append(out, ErrMergeArchived.At("/survivor_id"))
	}
	if merged.ArchivedAt != nil {
		out = append(out, ErrMergeArchived.At("/merged_id"))
	}
	left, right := survivor.ID, merged.ID
	if compareIDs(left, right) > 0 {
		left, right = right, left
	}
	var apart bool
	if err := c.QueryRow(ctx, "SELECT EXISTS (SELECT FROM duplicate_candidates WHERE left_id = $1 AND right_id = $2 AND status = 'not_duplicate')", left, right).Scan(&apart); err != nil {
		return nil, nil, err
	}
	if apart {
		out = append(out, ErrMergeApart.New())
	}
	after, _, _ := combine(*survivor, *merged, asked)
	if err := mergeLimits(&after); err != nil {
		out = append(out, apperr.From(err))
	}
	if !auth.Must(ctx).Scope.Sees(after.storeID(), after.staffID()) {
		out = append(out, ErrLeaves.At("/field_choices/home_store_id"))
	}
	rules, err := s.activeRules(ctx)
	if err != nil {
		return nil, nil, err
	}
	was, today := *survivor, s.clock.Today().Time()
	var before, now faults
	rules.judge(&was, today, &before)
	rules.judge(&after, today, &now)
	warnings := after.Warnings
	for _, f := range now {
		if slices.ContainsFunc(before, func(b apperr.Field) bool { return b.Rule == f.Rule }) {
			warnings = append(warnings, Warning{Rule: f.Rule, Pointer: f.Pointer, Message: messageOf(f.Args)})
			continue
		}
		broken := ErrRuleBroken.New()
		for name, v := range f.Args {
			broken = broken.Arg(name, v)
		}
		broken.Fields = []apperr.Field{{Pointer: "/field_choices" + f.Pointer, Code: f.Code, Args: f.Args, Rule: f.Rule}}
		out = append(out, broken)
	}
	return out, warnings, nil
}

// Merge makes two customers of the caller's scope one: what belongs to the
// merged one is the survivor's from now on, and so are its identifiers, its old
// id among them. Undo makes them two again.
// Errors: ErrMergeSelf, ErrNotFound, ErrMerged, ErrMergeChoice, ErrMergeArchived,
// ErrMergeApart, ErrTagCount, ErrTooBig, ErrLeaves, ErrRuleBroken.
func (s *Service) Merge(ctx context.Context, survivorID, mergedID uuid.UUID, asked map[string]Side) (*crm.CustomerMerge, error) {
	if err := checkChoices(survivorID, mergedID, asked); err != nil {
		return nil, err
	}
	var out *crm.CustomerMerge
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		rows, err := s.lock(ctx, tx, survivorID, mergedID)
		if err != nil {
			return err
		}
		survivor, merged, err := s.openPair(ctx, rows, survivorID, mergedID)
		if err != nil {
			return err
		}
		blockers, _, err := s.mergeBlockers(ctx, tx.Clients, survivor, merged, asked)
		if err != nil {
			return err
		}
		if len(blockers) > 0 {
			return blockers[0]
		}
		out, err = s.merge(ctx, tx, rows, survivor, merged, asked, nil)
		return err
	})
	return out, err
}

// merge makes one of two locked customers. The score is that of a pair which
// nobody has looked at, nil when a person merges.
func (s *Service) merge(ctx context.Context, tx *db.Tx, rows []*crm.Customer, survivor, merged *Customer, asked map[string]Side, score *float64) (*crm.CustomerMerge, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	now := s.clock.Now()
	m := &Merging{ID: id, MergedAt: now, score: score}
	wrapped := map[uuid.UUID][]byte{}
	for _, row := range rows {
		wrapped[row.ID] = row.DataKey
	}
	if err := s.unlockMerge(m, wrapped, survivor.ID, merged.ID); err != nil {
		return nil, err
	}
	before, err := rowsOf(ctx, tx, survivor.ID, merged.ID)
	if err != nil {
		return nil, err
	}
	after, rest, sides := combine(*survivor, *merged, asked)
	after.Version, after.UpdatedAt = survivor.Version+1, now
	rest.Version, rest.UpdatedAt, rest.ArchivedAt = merged.Version+1, now, &now
	if err := s.writeMerged(ctx, tx, &after, &rest, wrapped); err != nil {
		return nil, err
	}
	if m.Survivor, m.Merged, err = writtenPair(ctx, tx, survivor.ID, merged.ID); err != nil {
		return nil, err
	}
	one := survivorRecord{Row: before[survivor.ID], Before: *survivor, After: after}
	other := mergedRecord{survivorRecord: survivorRecord{Row: before[merged.ID], Before: *merged, After: rest}}
	if other.Moved, other.Kept, err = s.moveAll(ctx, tx, m); err != nil {
		return nil, err
	}
	if other.KeptAddress, err = s.keepAddress(ctx, tx, m, survivor, merged, sides["address"]); err != nil {
		return nil, err
	}
	pairs, err := s.followPairs(ctx, tx, m)
	if err != nil {
		return nil, err
	}
	if other.Pairs, err = json.Marshal(pairs); err != nil {
		return nil, err
	}
	out, err := s.saveMerge(ctx, tx, m, &one, &other, sides)
	if err != nil {
		return nil, constraint(err)
	}
	s.noteMerge(ctx, tx, "customers.merge", EventMerged, m, out)
	return out, nil
}

// unlockMerge opens both data keys.
func (s *Service) unlockMerge(m *Merging, wrapped map[uuid.UUID][]byte, survivorID, mergedID uuid.UUID) (err error) {
	if m.survivorKey, err = s.keys.UnwrapDataKey(survivorID, wrapped[survivorID]); err != nil {
		return err
	}
	m.mergedKey, err = s.keys.UnwrapDataKey(mergedID, wrapped[mergedID])
	return err
}

// rowsOf reads rows of customers as JSON, without their data keys.
func rowsOf(ctx context.Context, tx *db.Tx, survivorID, mergedID uuid.UUID) (map[uuid.UUID]json.RawMessage, error) {
	rows, err := tx.Query(ctx, "SELECT c.id, to_jsonb(c) - 'data_key' FROM customers c WHERE c.id IN ($1, $2)", survivorID, mergedID)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[uuid.UUID]json.RawMessage{}
	for rows.Next() {
		var id uuid.UUID
		var raw []byte
		if err := rows.Scan(&id, &raw); err != nil {
			return nil, err
		}
		out[id] = raw
	}
	return out, rows.Err()
}

// writeMerged writes both: the merged one first lets go of all identifiers, as
// the survivor may take some and leave others in their place.
func (s *Service) writeMerged(ctx context.Context, tx *db.Tx, after, rest *Customer, wrapped map[uuid.UUID][]byte) error {
	if _, err := tx.Exec(ctx, `UPDATE customers SET merged_into_id = $2, archived_at = $3, external_id = NULL, phone_index = NULL, email_index = NULL,
		card_number_index = NULL WHERE id = $1`, rest.ID, after.ID, rest.ArchivedAt); err != nil {
		return err
	}
	for _, c := range []*Customer{after, rest} {
		done, err := s.write(withOrigin(ctx, originMerge), tx, updateRows, []*Customer{c}, wrapped)
		if err != nil {
			return err
		}
		if !done[c.ID] {
			return db.ErrAgain // its version moved, which the lock excludes
		}
	}
	return nil
}

// writtenPair reads both rows as they are now, whoever may see them.
func writtenPair(ctx context.Context, tx *db.Tx, survivorID, mergedID uuid.UUID) (survivor, merged *crm.Customer, err error) {
	rows, err := tx.CRM.Customer.Query().Where(customer.IDIn(survivorID, mergedID)).All(scope.WithGone(auth.System(ctx, "customers.merge")))
	if err != nil {
		return nil, nil, err
	}
	for _, row := range rows {
		if row.ID == survivorID {
			survivor = row
		} else {
			merged = row
		}
	}
	return survivor, merged, nil
}

func sealRecord(key crypto.DataKey, column string, id uuid.UUID, v any) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return key.Derive(tableMerges, id).Seal(tableMerges, column, id, raw), nil
}

func openRecord(key crypto.DataKey, column string, id uuid.UUID, sealed []byte, to any) error {
	raw, err := key.Derive(tableMerges, id).Open(tableMerges, column, id, sealed)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, to)
}

func (s *Service) saveMerge(ctx context.Context, tx *db.Tx, m *Merging, one *survivorRecord, other *mergedRecord, sides map[string]Side) (*crm.CustomerMerge, error) {
	survivorSealed, err := sealRecord(m.survivorKey, "survivor", m.ID, one)
	if err != nil {
		return nil, err
	}
	mergedSealed, err := sealRecord(m.mergedKey, "merged", m.ID, other)
	if err != nil {
		return nil, err
	}
	fields := []schema.MergeField{}
	for i := range mergeFields {
		if name := mergeFields[i].name; sides[name] != OfSurvivor {
			fields = append(fields, schema.MergeField{Field: name, Choice: string(sides[name])})
		}
	}
	moved := []mergeCount{}
	for _, f := range s.followers {
		for _, b := range f.Belongings {
			if n := len(m.Moved[b.Table]); n > 0 {
				moved = append(moved, mergeCount{Kind: b.Kind, Count: int64(n)})
			}
		}
	}
	return tx.CRM.CustomerMerge.Create().SetID(m.ID).SetSurvivorID(m.Survivor.ID).SetMergedID(m.Merged.ID).SetFields(fields).SetMoved(moved).
		SetSurvivorSealed(survivorSealed).SetMergedSealed(mergedSealed).SetNillableMergedBy(actorID(ctx)).SetMergedAt(m.MergedAt).Save(ctx)
}

// noteMerge tells everybody who wants to know: both customers' audit trails,
// subscribers, profiles, and the members' own side.
func (s *Service) noteMerge(ctx context.Context, tx *db.Tx, action, event string, m *Merging, record *crm.CustomerMerge) {
	changes := map[string]any{"merge_id": m.ID, "survivor_id": m.Survivor.ID, "merged_id": m.Merged.ID, "fields": record.Fields, "moved": record.Moved, "kept": record.Kept}
	if m.score != nil {
		changes["automatic"], changes["score"] = true, *m.score
	}
	for _, c := range []*crm.Customer{m.Survivor, m.Merged} {
		audit.Record(ctx, tx, audit.Entry{Action: action, ObjectType: "customer", ObjectID: c.ID.String(), StoreID: c.HomeStoreID, StaffID: c.AssignedStaffID, Changes: changes})
	}
	events.Emit(tx, events.Event{Type: event, SubjectType: "customer", SubjectID: m.Survivor.ID, StoreID: m.Survivor.HomeStoreID,
		Payload: map[string]any{"merge_id": m.ID, "merged_id": m.Merged.ID}})
	s.Touch(ctx, tx, m.Survivor.ID, m.Merged.ID)
	if s.members != nil {
		s.members.Closed(ctx, tx, m.Merged.ID)
	}
}

// MergeFilter says which merges to list; zero parts do not filter.
type MergeFilter struct {
	CustomerID uuid.UUID // on either side
	Status     string
}

// visibleMerges joins the survivor, who must be in the scope; one who was
// merged in turn counts as what they were.
func visibleMerges(sc auth.Scope, f MergeFilter) clause {
	in := scopeClause(sc)
	w := clause{"FROM customer_merges m JOIN customers c ON c.id = m.survivor_id AND " + in.sql + " WHERE TRUE", in.args}
	if f.CustomerID != uuid.Nil {
		w.and("? IN (m.survivor_id, m.merged_id)", f.CustomerID)
	}
	if f.Status != "" {
		w.and("m.status = ?", f.Status)
	}
	return w
}

// merges lists merges of which the caller may see the survivor, newest first.
func (s *Service) merges(ctx context.Context, f MergeFilter, before uuid.UUID, limit int) ([]*crm.CustomerMerge, error) {
	actor, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	w := visibleMerges(actor.Scope, f)
	if before != uuid.Nil {
		w.and("m.id < ?", before)
	}
	d := s.db.From(ctx)
	rows, err := d.Query(ctx, "SELECT m.id "+w.numbered()+" ORDER BY m.id DESC LIMIT "+itoa(limit), w.args...)
	if err != nil {
		return nil, err
	}
	ids, err := scanIDs(rows)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	out, err := d.CRM.CustomerMerge.Query().Where(customermerge.IDIn(ids...)).Select(shownOfMerge...).All(ctx)
	slices.SortFunc(out, func(a, b *crm.CustomerMerge) int { return compareIDs(b.ID, a.ID) })
	return out, err
}

// shownOfMerge leaves the sealed records behind.
var shownOfMerge = slices.DeleteFunc(slices.Clone(customermerge.Columns), func(c string) bool { return strings.HasSuffix(c, "_sealed") })

func (s *Service) countMerges(ctx context.Context, f MergeFilter) (n int, err error) {
	actor, err := auth.From(ctx)
	if err != nil {
		return 0, err
	}
	w := visibleMerges(actor.Scope, f)
	err = s.db.From(ctx).QueryRow(ctx, "SELECT count(*) "+w.numbered(), w.args...).Scan(&n)
	return n, err
}

// OneMerge reads a merge of which the caller may see the survivor.
// Error: ErrMergeNotFound.
func (s *Service) OneMerge(ctx context.Context, id uuid.UUID) (*crm.CustomerMerge, error) {
	actor, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	d := s.db.From(ctx)
	w := visibleMerges(actor.Scope, MergeFilter{})
	w.and("m.id = ?", id)
	if err := d.QueryRow(ctx, "SELECT m.id "+w.numbered(), w.args...).Scan(&id); errors.Is(err, sql.ErrNoRows) {
		return nil, ErrMergeNotFound.New()
	} else if err != nil {
		return nil, err
	}
	return d.CRM.CustomerMerge.Query().Where(customermerge.ID(id)).Select(shownOfMerge...).Only(ctx)
}
