package customers

import (
	"context"
	"slices"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	"github.com/shuke-crm/shuke/ent/crm/customer"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

// Rows of a file whose customer exists, when a person is to decide about them.

// Match is a customer who has an identifier of a row.
type Match struct {
	Field      string    `json:"field"` // phone, email, card_number, external_id
	CustomerID uuid.UUID `json:"customer_id"`
}

// holdDuplicates finds whose identifiers refused rows have.
func (s *Service) holdDuplicates(ctx context.Context, tx *db.Tx, items []BulkItem, out []BulkOutcome) error {
	today := s.clock.Today().Time()
	shapes := &holders{s: s}
	var rows []*Customer
	var at []int
	var keys [][]uniqueValue
	for i := range out {
		if !ErrDuplicate.Is(out[i].Err) {
			continue
		}
		c, values, err := s.rowKeys(shapes, &items[i].Input, today)
		if err != nil {
			return err // it was taken for a customer a moment ago
		}
		rows, at, keys = append(rows, c), append(at, i), append(keys, values)
	}
	taken, err := s.taken(ctx, tx, rows)
	if err != nil {
		return err
	}
	for n, i := range at {
		out[i] = BulkOutcome{Status: "held"}
		for _, v := range keys[n] {
			if one, ok := taken.by[v.key]; ok {
				out[i].Matches = append(out[i].Matches, Match{v.pointer[1:], one.person()})
			}
		}
	}
	return nil
}

// CompareNew compares customers made in a transaction with those there are, and
// tells how many pairs are new in the queue of likely duplicates. They wait for
// a person there.
func (s *Service) CompareNew(ctx context.Context, tx *db.Tx, ids []uuid.UUID) (int64, error) {
	return s.checkNew(ctx, tx, ids, false)
}

// SettleRow does with a held row what a person decided: changes the one customer
// who has its identifiers, or to when several have; or makes somebody new of it.
// Identifiers that others keep are left off, and named.
// Errors: ErrMatchGone, ErrMatchUnknown, ErrSeveral, and those of a change or of
// a new customer.
func (s *Service) SettleRow(ctx context.Context, tx *db.Tx, in Input, update bool, to uuid.UUID) (id uuid.UUID, left []string, err error) {
	c, values, err := s.rowKeys(&holders{s: s}, &in, s.clock.Today().Time())
	if err != nil {
		return uuid.Nil, nil, err
	}
	taken, err := s.taken(ctx, tx, []*Customer{c})
	if err != nil {
		return uuid.Nil, nil, err
	}
	if update {
		ids := holdersOf(taken, values)
		switch {
		case len(ids) == 0:
			return uuid.Nil, nil, ErrMatchGone.New()
		case to == uuid.Nil && len(ids) > 1:
			return uuid.Nil, nil, ErrSeveral.At("/customer_id")
		case to == uuid.Nil:
			to = ids[0]
		case !slices.Contains(ids, to):
			return uuid.Nil, nil, ErrMatchUnknown.At("/customer_id")
		}
	}
	for _, v := range values {
		one, ok := taken.by[v.key]
		switch {
		case !ok:
		case one.person() != to:
			left = append(left, v.pointer[1:])
			in.leave(v.pointer)
		case one.survivor != uuid.Nil: // of a record merged into the customer, who keeps their own
			in.leave(v.pointer)
		}
	}
	out := []BulkOutcome{{Status: "error"}}
	items := []BulkItem{{Input: in}}
	if update {
		err = s.takeOverChange(ctx, tx, items, out, map[uuid.UUID]int{to: 0})
	} else {
		err = s.bulkCreate(ctx, tx, items, out, []int{0})
	}
	if err == nil {
		err = out[0].Err
	}
	return out[0].CustomerID, left, err
}

// leave takes an identifier off an input.
func (in *Input) leave(pointer string) {
	none := nullable.Nullable[string]{}
	switch pointer {
	case "/external_id":
		in.ExternalID = none
	case "/phone":
		in.Phone = none
	case "/email":
		in.Email = none
	case "/card_number":
		in.CardNumber = none
	}
}

// Sides are the customers of some ids whom the caller may see; an old id finds
// who goes on in its place.
func (s *Service) Sides(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]DuplicateSide, error) {
	d := s.db.From(ctx)
	led, err := survivors(ctx, d, ids...)
	if err != nil {
		return nil, err
	}
	now := func(id uuid.UUID) uuid.UUID {
		if by, ok := led[id]; ok {
			return by.ID
		}
		return id
	}
	wanted := make([]uuid.UUID, len(ids))
	for i, id := range ids {
		wanted[i] = now(id)
	}
	rows, err := d.CRM.Customer.Query().Where(customer.IDIn(wanted...)).Select(customer.FieldID, customer.FieldExternalID).All(ctx)
	if err != nil {
		return nil, err
	}
	seen := make(map[uuid.UUID]DuplicateSide, len(rows))
	for _, row := range rows {
		seen[row.ID] = DuplicateSide{row.ID, row.ExternalID}
	}
	out := make(map[uuid.UUID]DuplicateSide, len(ids))
	for _, id := range ids {
		if one, ok := seen[now(id)]; ok {
			out[id] = one
		}
	}
	return out, nil
}
