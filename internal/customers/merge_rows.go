package customers

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// Follower is a domain with rows that belong to customers: when two are merged,
// they become the survivor's, and go back when that is undone. All of it happens
// in the merge's own transaction, with both customers locked.
type Follower struct {
	Name       string
	Belongings []Belonging
	// Before does what must be done before the rows move, such as ending one of
	// two things of which a customer has one. What it returns (as JSON, sealed) is
	// handed to Undone.
	Before func(ctx context.Context, tx *db.Tx, m *Merging) (kept any, err error)
	// After brings into step what is derived from the rows.
	After func(ctx context.Context, tx *db.Tx, m *Merging) error
	// Undone is called when the rows have gone back.
	Undone func(ctx context.Context, tx *db.Tx, m *Merging, kept json.RawMessage) error
}

// Belonging is a table with a column customer_id whose rows follow.
type Belonging struct {
	Table, Kind string   // the kind is its name in previews and records
	Sealed      []string // "subject" for the column subject_sealed, sealed with DataKey.Derive(Table, id)
	Store       bool     // store_id is the customer's home store
	Staff       bool     // assigned_staff_id is the customer's
	Versioned   bool     // has version and updated_at
	// Stays is a condition on the row m: such rows stay with the record that was
	// merged away, which nobody sees.
	Stays string
}

// Merging is a merge, or its undoing, under way.
type Merging struct {
	ID               uuid.UUID
	Survivor, Merged *crm.Customer // as written
	MergedAt         time.Time
	Undoing          bool
	Moved            map[string][]uuid.UUID // ids by table; complete in After and Undone

	score                  *float64 // of a merge that no person has asked for
	survivorKey, mergedKey crypto.DataKey
}

// movedRows are the rows of a table that a merge moved.
type movedRows struct {
	IDs    []uuid.UUID `json:"ids"`
	Was    [][][]byte  `json:"was,omitempty"` // sealed columns of each before
	Became [][][]byte  `json:"became,omitempty"`
}

// Follow adds a domain whose rows follow merged customers, in the order in which
// rows are locked; call it before serving.
func (s *Service) Follow(f Follower) { s.followers = append(s.followers, f) }

// Followed lists the tables whose rows follow merged customers.
func (s *Service) Followed() []string {
	var out []string
	for _, f := range s.followers {
		for _, b := range f.Belongings {
			out = append(out, b.Table)
		}
	}
	return out
}

func (b *Belonging) leaves() string {
	if b.Stays == "" {
		return ""
	}
	return " AND NOT (" + b.Stays + ")"
}

// owner sets the columns that say whose a row is; arguments are numbered from n on.
func (b *Belonging) owner(n int, c *crm.Customer, now time.Time) (string, []any) {
	sets, args := []string{"customer_id = $" + strconv.Itoa(n)}, []any{c.ID}
	set := func(column string, v any) {
		args = append(args, v)
		sets = append(sets, column+" = $"+strconv.Itoa(n+len(args)-1))
	}
	if b.Store {
		set("store_id", c.HomeStoreID)
	}
	if b.Staff {
		set("assigned_staff_id", c.AssignedStaffID)
	}
	if b.Versioned {
		set("updated_at", now)
		sets = append(sets, "version = m.version + 1")
	}
	return strings.Join(sets, ", "), args
}

// counts counts what would move.
func (s *Service) counts(ctx context.Context, c *db.Clients, id uuid.UUID) ([]mergeCount, error) {
	var parts []string
	var out []mergeCount
	for _, f := range s.followers {
		for _, b := range f.Belongings {
			parts = append(parts, "(SELECT count(*) FROM "+b.Table+" m WHERE m.customer_id = $1"+b.leaves()+")")
			out = append(out, mergeCount{Kind: b.Kind})
		}
	}
	if len(parts) == 0 {
		return nil, nil
	}
	into := make([]any, len(out))
	for i := range out {
		into[i] = &out[i].Count
	}
	err := c.QueryRow(ctx, "SELECT "+strings.Join(parts, ", "), id).Scan(into...)
	return out, err
}

// move gives the rows of a table to the survivor.
func (b *Belonging) move(ctx context.Context, tx *db.Tx, m *Merging, now time.Time) (movedRows, error) {
	if len(b.Sealed) == 0 {
		sets, args := b.owner(2, m.Survivor, now)
		rows, err := tx.Query(ctx, "UPDATE "+b.Table+" m SET "+sets+" WHERE m.customer_id = $1"+b.leaves()+" RETURNING m.id", append([]any{m.Merged.ID}, args...)...)
		if err != nil {
			return movedRows{}, err
		}
		ids, err := scanIDs(rows)
		return movedRows{IDs: ids}, err
	}
	ids, sealed, err := b.sealedRows(ctx, tx, "m.customer_id = $1"+b.leaves(), m.Merged.ID)
	if err != nil || len(ids) == 0 {
		return movedRows{}, err
	}
	out := movedRows{IDs: ids, Was: sealed, Became: make([][][]byte, len(ids))}
	for i, id := range ids {
		if out.Became[i], err = b.reseal(m.mergedKey, m.survivorKey, id, sealed[i]); err != nil {
			return out, err
		}
	}
	return out, b.write(ctx, tx, m.Survivor, ids, out.Became, now)
}

// back gives the rows that a merge moved to the customer they came from, but
// those that are gone or somebody else's by now.
func (b *Belonging) back(ctx context.Context, tx *db.Tx, m *Merging, r movedRows, now time.Time) ([]uuid.UUID, error) {
	if len(r.IDs) == 0 {
		return nil, nil
	}
	if len(b.Sealed) == 0 {
		sets, args := b.owner(3, m.Merged, now)
		rows, err := tx.Query(ctx, "UPDATE "+b.Table+" m SET "+sets+" WHERE m.id = ANY($1::uuid[]) AND m.customer_id = $2 RETURNING m.id",
			append([]any{pgarray.UUIDs(r.IDs), m.Survivor.ID}, args...)...)
		if err != nil {
			return nil, err
		}
		return scanIDs(rows)
	}
	ids, sealed, err := b.sealedRows(ctx, tx, "m.id = ANY($1::uuid[]) AND m.customer_id = $2", pgarray.UUIDs(r.IDs), m.Survivor.ID)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	at := make(map[uuid.UUID]int, len(r.IDs))
	for i, id := range r.IDs {
		at[id] = i
	}
	for i, id := range ids {
		k := at[id]
		for j := range sealed[i] {
			if !bytes.Equal(sealed[i][j], r.Became[k][j]) { // changed since: what it says now goes back
				fresh, err := b.reseal(m.survivorKey, m.mergedKey, id, sealed[i])
				if err != nil {
					return nil, err
				}
				sealed[i][j] = fresh[j]
				continue
			}
			sealed[i][j] = r.Was[k][j]
		}
	}
	return ids, b.write(ctx, tx, m.Merged, ids, sealed, now)
}

func (b *Belonging) sealedRows(ctx context.Context, tx *db.Tx, where string, args ...any) ([]uuid.UUID, [][][]byte, error) {
	names := make([]string, len(b.Sealed))
	for i, c := range b.Sealed {
		names[i] = "m." + c + "_sealed"
	}
	rows, err := tx.Query(ctx, "SELECT m.id, "+strings.Join(names, ", ")+" FROM "+b.Table+" m WHERE "+where+" ORDER BY m.id FOR UPDATE", args...)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	var ids []uuid.UUID
	var out [][][]byte
	for rows.Next() {
		var id uuid.UUID
		one := make([][]byte, len(b.Sealed))
		into := []any{&id}
		for i := range one {
			into = append(into, &one[i])
		}
		if err := rows.Scan(into...); err != nil {
			return nil, nil, err
		}
		ids, out = append(ids, id), append(out, one)
	}
	return ids, out, rows.Err()
}

// reseal binds sealed columns to another customer's key.
func (b *Belonging) reseal(from, to crypto.DataKey, id uuid.UUID, sealed [][]byte) ([][]byte, error) {
	out := make([][]byte, len(sealed))
	from, to = from.Derive(b.Table, id), to.Derive(b.Table, id)
	for i, v := range sealed {
		if len(v) == 0 {
			continue
		}
		plain, err := from.Open(b.Table, b.Sealed[i], id, v)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %s: %w", b.Table, id, b.Sealed[i], err)
		}
		out[i] = to.Seal(b.Table, b.Sealed[i], id, plain)
	}
	return out, nil
}

func (b *Belonging) write(ctx context.Context, tx *db.Tx, c *crm.Customer, ids []uuid.UUID, sealed [][][]byte, now time.Time) error {
	columns := make([]column, len(b.Sealed))
	for _, one := range sealed {
		for i, v := range one {
			columns[i].bytes(v)
		}
	}
	args := []any{pgarray.UUIDs(ids)}
	names, params, sets := []string{"id"}, []string{"$1::uuid[]"}, make([]string, len(b.Sealed))
	for i, name := range b.Sealed {
		args = append(args, columns[i].String())
		names = append(names, name)
		params = append(params, "$"+strconv.Itoa(len(args))+"::bytea[]")
		sets[i] = name + "_sealed = r." + name
	}
	owner, more := b.owner(len(args)+1, c, now)
	_, err := tx.Exec(ctx, "UPDATE "+b.Table+" m SET "+owner+", "+strings.Join(sets, ", ")+
		" FROM unnest("+strings.Join(params, ", ")+") r ("+strings.Join(names, ", ")+") WHERE m.id = r.id", append(args, more...)...)
	return err
}

func scanIDs(rows *sql.Rows) ([]uuid.UUID, error) {
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

// moveAll moves the rows of all followers.
func (s *Service) moveAll(ctx context.Context, tx *db.Tx, m *Merging) (moved map[string]movedRows, kept map[string]json.RawMessage, err error) {
	moved, kept = map[string]movedRows{}, map[string]json.RawMessage{}
	m.Moved = map[string][]uuid.UUID{}
	for _, f := range s.followers {
		if f.Before != nil {
			v, err := f.Before(ctx, tx, m)
			if err != nil {
				return nil, nil, fmt.Errorf("merge: %s: %w", f.Name, err)
			}
			if kept[f.Name], err = json.Marshal(v); err != nil {
				return nil, nil, err
			}
		}
		for i := range f.Belongings {
			b := &f.Belongings[i]
			r, err := b.move(ctx, tx, m, m.MergedAt)
			if err != nil {
				return nil, nil, fmt.Errorf("merge: %s: %w", b.Table, err)
			}
			moved[b.Table], m.Moved[b.Table] = r, r.IDs
		}
	}
	for _, f := range s.followers {
		if f.After != nil {
			if err := f.After(ctx, tx, m); err != nil {
				return nil, nil, fmt.Errorf("merge: %s: %w", f.Name, err)
			}
		}
	}
	return moved, kept, nil
}

// backAll gives back what moveAll moved.
func (s *Service) backAll(ctx context.Context, tx *db.Tx, m *Merging, moved map[string]movedRows, kept map[string]json.RawMessage, now time.Time) error {
	m.Moved = map[string][]uuid.UUID{}
	for _, f := range s.followers {
		for i := range f.Belongings {
			b := &f.Belongings[i]
			ids, err := b.back(ctx, tx, m, moved[b.Table], now)
			if err != nil {
				return fmt.Errorf("undo a merge: %s: %w", b.Table, err)
			}
			m.Moved[b.Table] = ids
		}
	}
	for _, f := range s.followers {
		if f.Undone != nil {
			if err := f.Undone(ctx, tx, m, kept[f.Name]); err != nil {
				return fmt.Errorf("undo a merge: %s: %w", f.Name, err)
			}
		}
	}
	return nil
}
