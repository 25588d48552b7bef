package customers

import (
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/ent/crm/customer"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
	"github.com/shuke-crm/shuke/internal/platform/scope"
)

// BulkMode is what a batch does with its items.
type BulkMode string

// Modes of a batch.
const (
	BulkCreate BulkMode = "create"
	BulkUpsert BulkMode = "upsert" // by external id
	BulkDelete BulkMode = "delete" // archives, by id or external id
)

// BulkItem is one item of a batch, with the id a deletion may name.
type BulkItem struct {
	Input
	ID  *uuid.UUID
	Err error // what was wrong with its shape; it is passed on
}

// BulkOutcome is what became of one item.
type BulkOutcome struct {
	Status     string // created, updated, archived, or error; skipped and held of a file
	CustomerID uuid.UUID
	Warnings   []Warning
	Matches    []Match // of a held one
	Err        error
}

// Bulk works through a batch in one transaction and a handful of statements.
// An item that breaks a rule has no effect and does not hinder the others.
// Errors: auth.forbidden when the mode needs a permission the caller lacks.
func (s *Service) Bulk(ctx context.Context, mode BulkMode, items []BulkItem) ([]BulkOutcome, error) {
	needed := map[BulkMode]auth.Permission{BulkUpsert: auth.CustomersUpdate, BulkDelete: auth.CustomersArchive}[mode]
	actor, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	if needed != "" && !actor.Can(needed) {
		return nil, apperr.ErrForbidden.New().Arg("permission", needed)
	}
	if mode == BulkDelete {
		if err := auth.DemandProof(ctx); err != nil {
			return nil, err
		}
	}
	var out []BulkOutcome
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		out = make([]BulkOutcome, len(items))
		for i := range items {
			out[i] = BulkOutcome{Status: "error", Err: items[i].Err}
		}
		switch mode {
		case BulkDelete:
			return s.bulkArchive(auth.With(ctx, actor.Using(needed)), tx, items, out)
		case BulkUpsert:
			return s.bulkUpsert(ctx, tx, items, out)
		default:
			return s.bulkCreate(ctx, tx, items, out, all(len(items)))
		}
	})
	return out, err
}

func all(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// bulkCreate makes the items at some places of the batch.
func (s *Service) bulkCreate(ctx context.Context, tx *db.Tx, items []BulkItem, out []BulkOutcome, at []int) error {
	at = slices.DeleteFunc(at, func(i int) bool { return out[i].Err != nil })
	if len(at) == 0 {
		return nil
	}
	inputs := make([]*Input, len(at))
	for n, i := range at {
		inputs[n] = &items[i].Input
	}
	made, err := s.CreateMany(ctx, tx, inputs)
	if err != nil {
		return err
	}
	for n, i := range at {
		if made[n].Err != nil {
			out[i].Err = made[n].Err
			continue
		}
		out[i] = BulkOutcome{Status: "created", CustomerID: made[n].Customer.ID, Warnings: made[n].Customer.Warnings}
	}
	return nil
}

// bulkUpsert changes the customers whose external ids exist and makes the rest.
func (s *Service) bulkUpsert(ctx context.Context, tx *db.Tx, items []BulkItem, out []BulkOutcome) error {
	items = slices.Clone(items) // a repeated transaction starts from what was asked
	wanted := make([]string, len(items))
	first := map[string]int{}
	for i := range items {
		if out[i].Err != nil {
			continue
		}
		v, _ := text(items[i].ExternalID)
		if v == nil || strings.TrimSpace(*v) == "" {
			out[i].Err = ErrNoKey.At("/external_id")
			continue
		}
		wanted[i] = strings.TrimSpace(*v)
		if _, dup := first[wanted[i]]; dup {
			out[i].Err = ErrRepeated.At("/external_id")
			continue
		}
		first[wanted[i]] = i
	}
	keys := make([]string, 0, len(first))
	for k := range first {
		keys = append(keys, k)
	}
	// What exists is changed as far as that permission reaches; the rest is made
	// as far as the operation's own does.
	changing := auth.With(ctx, auth.Must(ctx).Using(auth.CustomersUpdate))
	rows, err := tx.CRM.Customer.Query().Where(customer.ExternalIDIn(keys...)).Order(customer.ByID()).ForUpdate().All(changing)
	if err != nil {
		return err
	}
	rows, known, err := s.withMerged(changing, tx, keys, rows)
	if err != nil {
		return err
	}
	var changes []*Customer
	olds := map[uuid.UUID]*Customer{}
	wrapped := map[uuid.UUID][]byte{}
	place := map[uuid.UUID]int{}
	for _, row := range rows {
		c, err := open(s.keys, row)
		if err != nil {
			return err
		}
		old := c
		i := first[known[row.ID][0]]
		for n, key := range known[row.ID] {
			if n > 0 {
				out[first[key]].Err = ErrRepeated.At("/external_id")
			}
			delete(first, key)
		}
		if row.ExternalID == nil || wanted[i] != *row.ExternalID {
			items[i].ExternalID = nullable.Nullable[string]{} // an old number, of somebody who keeps their own
		}
		changes = append(changes, &c)
		olds[c.ID], wrapped[c.ID], place[c.ID] = &old, row.DataKey, i
	}
	missing := make([]int, 0, len(first))
	for _, i := range first {
		missing = append(missing, i)
	}
	slices.Sort(missing)
	if err := s.bulkCreate(ctx, tx, items, out, missing); err != nil {
		return err
	}
	return s.bulkChange(changing, tx, items, out, changes, olds, wrapped, place)
}

// withMerged adds the customers who go on in place of merged ones whose external
// ids are asked for, and tells under which of the ids asked for each is known.
func (s *Service) withMerged(ctx context.Context, tx *db.Tx, keys []string, rows []*crm.Customer) ([]*crm.Customer, map[uuid.UUID][]string, error) {
	known := make(map[uuid.UUID][]string, len(rows))
	found := make(map[string]bool, len(rows))
	for _, row := range rows {
		known[row.ID] = []string{*row.ExternalID}
		found[*row.ExternalID] = true
	}
	missing := slices.DeleteFunc(slices.Clone(keys), func(k string) bool { return found[k] })
	if len(missing) == 0 {
		return rows, known, nil
	}
	old, err := tx.CRM.Customer.Query().Where(customer.ExternalIDIn(missing...), customer.MergedIntoIDNotNil()).Order(customer.ByExternalID()).
		Select(customer.FieldID, customer.FieldExternalID).All(scope.WithGone(auth.System(ctx, "customers.bulk")))
	if err != nil || len(old) == 0 {
		return rows, known, err
	}
	ids := make([]uuid.UUID, len(old))
	for i, row := range old {
		ids[i] = row.ID
	}
	led, err := survivors(ctx, tx.Clients, ids...)
	if err != nil {
		return nil, nil, err
	}
	var more []uuid.UUID
	for _, row := range old {
		by := led[row.ID].ID
		if known[by] == nil {
			more = append(more, by)
		}
		known[by] = append(known[by], *row.ExternalID)
	}
	locked, err := s.lock(ctx, tx, more...)
	return append(rows, locked...), known, err
}

// bulkChange writes changed customers in one statement; only if that meets a
// twin written at the same moment, one by one.
func (s *Service) bulkChange(ctx context.Context, tx *db.Tx, items []BulkItem, out []BulkOutcome, cs []*Customer,
	olds map[uuid.UUID]*Customer, wrapped map[uuid.UUID][]byte, place map[uuid.UUID]int) error {
	if len(cs) == 0 {
		return nil
	}
	inputs := make([]*Input, len(cs))
	for n, c := range cs {
		inputs[n] = &items[place[c.ID]].Input
	}
	// The extra input makes reach ask the database even for a single item: a
	// foreign key that refuses would take the whole batch down.
	r, err := s.reach(ctx, tx, append(inputs[:len(inputs):len(inputs)], &Input{}))
	if err != nil {
		return err
	}
	names, err := s.resolveTags(ctx, tx, inputs)
	if err != nil {
		return err
	}
	if err := s.ready(ctx, tx, cs...); err != nil {
		return err
	}
	now := s.clock.Now()
	var write []*Customer
	fields := map[uuid.UUID][]string{}
	for n, c := range cs {
		i := place[c.ID]
		changed, err := s.alter(c, inputs[n], r, names)
		if err != nil {
			out[i].Err = err
			continue
		}
		out[i] = BulkOutcome{Status: "updated", CustomerID: c.ID, Warnings: c.Warnings}
		if len(changed) > 0 {
			c.Version++
			c.UpdatedAt = now
			c.stamp(originOf(ctx, inputs[n], c, now, false), c.sourced(olds[c.ID], changed)...)
			fields[c.ID] = changed
			write = append(write, c)
		}
	}
	taken, err := s.taken(ctx, tx, write)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	write = slices.DeleteFunc(write, func(c *Customer) bool {
		err := taken.clash(c)
		for _, v := range taken.values(c) {
			if err == nil && seen[v.key] {
				err = ErrRepeated.At(v.pointer)
			}
		}
		if err == nil { // what a refused item asked for is still free
			for _, v := range taken.values(c) {
				seen[v.key] = true
			}
		}
		if err != nil {
			out[place[c.ID]] = BulkOutcome{Status: "error", Err: err}
		}
		return err != nil
	})
	if len(write) == 0 {
		return nil
	}
	for _, c := range write {
		if err := s.letGo(ctx, tx, taken, c); err != nil {
			return err
		}
	}
	err = tx.Savepoint(ctx, func() error {
		_, err := s.write(ctx, tx, updateRows, write, wrapped)
		return err
	})
	for _, c := range write {
		if err != nil {
			one := tx.Savepoint(ctx, func() error {
				_, err := s.write(ctx, tx, updateRows, []*Customer{c}, wrapped)
				return err
			})
			if one != nil {
				if one = constraint(one); apperr.From(one) == nil {
					return one
				}
				out[place[c.ID]] = BulkOutcome{Status: "error", Err: one}
				continue
			}
		}
		s.note(ctx, tx, "customers.update", EventUpdated, c, fields[c.ID])
		noteStage(ctx, tx, c, olds[c.ID].LifecycleStage)
	}
	return nil
}

const archiveSQL = `
UPDATE customers SET archived_at = $2, updated_at = $2, version = version + 1 WHERE id = ANY($1::uuid[])`

// bulkArchive archives customers of the caller's scope by id or external id.
func (s *Service) bulkArchive(ctx context.Context, tx *db.Tx, items []BulkItem, out []BulkOutcome) error {
	var ids []uuid.UUID
	var externals []string
	for i := range items {
		v, _ := text(items[i].ExternalID)
		switch {
		case out[i].Err != nil:
		case items[i].ID != nil:
			ids = append(ids, *items[i].ID)
		case v != nil:
			externals = append(externals, strings.TrimSpace(*v))
		default:
			out[i].Err = ErrNoKey.At("/id")
		}
	}
	rows, err := tx.CRM.Customer.Query().Where(customer.Or(customer.IDIn(ids...), customer.ExternalIDIn(externals...))).Order(customer.ByID()).ForUpdate().
		Select(customer.FieldID, customer.FieldExternalID, customer.FieldHomeStoreID, customer.FieldArchivedAt).All(ctx)
	if err != nil {
		return err
	}
	byID, byExternal := map[uuid.UUID]int{}, map[string]int{}
	for n, row := range rows {
		byID[row.ID] = n
		if row.ExternalID != nil {
			byExternal[*row.ExternalID] = n
		}
	}
	now := s.clock.Now()
	var archive []uuid.UUID
	for i := range items {
		if out[i].Err != nil {
			continue
		}
		n, ok, pointer := 0, false, "/id"
		if items[i].ID != nil {
			n, ok = byID[*items[i].ID]
		} else {
			v, _ := text(items[i].ExternalID)
			n, ok = byExternal[strings.TrimSpace(*v)]
			pointer = "/external_id"
		}
		if !ok {
			out[i].Err = ErrNotFound.At(pointer)
			continue
		}
		row := rows[n]
		out[i] = BulkOutcome{Status: "archived", CustomerID: row.ID}
		if row.ArchivedAt == nil {
			row.ArchivedAt = &now
			archive = append(archive, row.ID)
			s.note(ctx, tx, "customers.archive", EventArchived, &Customer{ID: row.ID, HomeStoreID: row.HomeStoreID}, []string{"archived_at"})
		}
	}
	if len(archive) == 0 {
		return nil
	}
	_, err = tx.Exec(ctx, archiveSQL, pgarray.UUIDs(archive), now)
	return err
}
