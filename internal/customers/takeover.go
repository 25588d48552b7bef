package customers

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	"github.com/shuke-crm/shuke/ent/crm/customer"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

// Taking over files of customers: what package imports calls inside its
// transaction, a batch of rows at a time.

type importKey struct{}

// WithImport marks what is done in a context as part of an import: the audit
// entries of its customers name it.
func WithImport(ctx context.Context, id uuid.UUID) context.Context {
	return context.WithValue(ctx, importKey{}, id)
}

func importOf(ctx context.Context) uuid.UUID {
	id, _ := ctx.Value(importKey{}).(uuid.UUID)
	return id
}

// maxRounds bounds how often rows of one batch that name the same customer are
// worked on one after the other.
const maxRounds = 20

// Takeover says what to do with rows of a file.
type Takeover struct {
	Update bool // change customers that exist; otherwise their rows are skipped
	Review bool // hold those rows for a person instead of skipping them
	DryRun bool // write nothing
	// Seen remembers identifiers of rows before this one, in a dry run; nil
	// forgets them.
	Seen func(key string) (known bool)
}

// TakeOver makes customers of rows, or changes those who have a row's external
// id, card number, phone or e-mail already. Statuses of the outcomes: created,
// updated, skipped or held (somebody has an identifier already), error.
func (s *Service) TakeOver(ctx context.Context, tx *db.Tx, what Takeover, items []BulkItem) ([]BulkOutcome, error) {
	items = slices.Clone(items) // a repeated transaction starts from what was asked
	out := make([]BulkOutcome, len(items))
	open := make([]int, 0, len(items))
	for i := range items {
		out[i] = BulkOutcome{Status: "error", Err: items[i].Err}
		if items[i].Err == nil {
			open = append(open, i)
		}
	}
	if what.DryRun {
		return out, s.tryTakeOver(ctx, tx, what, items, out, open)
	}
	if !what.Update {
		if err := s.bulkCreate(ctx, tx, items, out, open); err != nil {
			return nil, err
		}
		if what.Review {
			return out, s.holdDuplicates(ctx, tx, items, out)
		}
		skipDuplicates(out)
		return out, nil
	}
	for round := 0; len(open) > 0; round++ {
		var err error
		if open, err = s.takeOverRound(ctx, tx, items, out, open, round == maxRounds); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func skipDuplicates(out []BulkOutcome) {
	for i := range out {
		if ErrDuplicate.Is(out[i].Err) {
			out[i] = BulkOutcome{Status: "skipped"}
		}
	}
}

// rowKeys are the unique values of an input, in their normal form; none for an
// input that is faulty.
func (s *Service) rowKeys(h *holders, in *Input, today time.Time) (*Customer, []uniqueValue, error) {
	c := newCustomer(uuid.Nil, s.clock.Now())
	_, bad := c.apply(in, today)
	if err := bad.err(); err != nil {
		return nil, nil, err
	}
	return &c, h.values(&c), nil
}

// Identifiers are the unique values of a row, in a form to be compared only:
// rows that share none can be taken over in any order.
func (s *Service) Identifiers(in *Input) []string {
	_, values, err := s.rowKeys(&holders{s: s}, in, s.clock.Today().Time())
	if err != nil {
		return nil // it will be refused
	}
	keys := make([]string, len(values))
	for i, v := range values {
		keys[i] = v.key
	}
	return keys
}

// takeOverRound deals with the rows of a batch of which no earlier open one
// names the same customer, and returns the others.
func (s *Service) takeOverRound(ctx context.Context, tx *db.Tx, items []BulkItem, out []BulkOutcome, open []int, last bool) (later []int, err error) {
	today := s.clock.Today().Time()
	shapes := &holders{s: s}
	seen := map[string]bool{}
	var rows []*Customer
	var at []int
	var keys [][]uniqueValue
	for _, i := range open {
		c, values, err := s.rowKeys(shapes, &items[i].Input, today)
		if err != nil {
			out[i].Err = err
			continue
		}
		repeated := slices.ContainsFunc(values, func(v uniqueValue) bool { return seen[v.key] })
		for _, v := range values { // also of a row put off: rows keep their order
			seen[v.key] = true
		}
		switch {
		case repeated && last:
			out[i].Err = ErrRepeated.New()
		case repeated:
			later = append(later, i)
		default:
			rows, at, keys = append(rows, c), append(at, i), append(keys, values)
		}
	}
	taken, err := s.taken(ctx, tx, rows)
	if err != nil {
		return nil, err
	}
	var create []int
	change := map[uuid.UUID]int{}
	for n, i := range at {
		ids := holdersOf(taken, keys[n])
		switch {
		case len(ids) == 0:
			create = append(create, i)
		case len(ids) > 1:
			out[i].Err = ErrSeveral.New()
		default:
			taken.leaveAliases(&items[i].Input, keys[n])
			if _, twice := change[ids[0]]; twice {
				if last {
					out[i].Err = ErrRepeated.New()
				} else {
					later = append(later, i)
				}
				continue
			}
			change[ids[0]] = i
		}
	}
	slices.Sort(later)
	if err := s.bulkCreate(ctx, tx, items, out, create); err != nil {
		return nil, err
	}
	return later, s.takeOverChange(ctx, tx, items, out, change)
}

// holdersOf are the different customers that hold some values.
func holdersOf(h *holders, values []uniqueValue) []uuid.UUID {
	var ids []uuid.UUID
	for _, v := range values {
		if one, ok := h.by[v.key]; ok && !slices.Contains(ids, one.person()) {
			ids = append(ids, one.person())
		}
	}
	return ids
}

// leaveAliases takes identifiers off an input that belong to records merged into
// the customer: they found them, who keeps their own.
func (h *holders) leaveAliases(in *Input, values []uniqueValue) {
	for _, v := range values {
		if h.by[v.key].survivor != uuid.Nil {
			in.leave(v.pointer)
		}
	}
}

// takeOverChange changes customers by the rows that name them.
func (s *Service) takeOverChange(ctx context.Context, tx *db.Tx, items []BulkItem, out []BulkOutcome, change map[uuid.UUID]int) error {
	if len(change) == 0 {
		return nil
	}
	ids := make([]uuid.UUID, 0, len(change))
	for id := range change {
		ids = append(ids, id)
	}
	changing := auth.With(ctx, auth.Must(ctx).Using(auth.CustomersUpdate))
	rows, err := tx.CRM.Customer.Query().Where(customer.IDIn(ids...)).Order(customer.ByID()).ForUpdate().All(changing)
	if err != nil {
		return err
	}
	opened := make([]Customer, len(rows))
	wrapped := map[uuid.UUID][]byte{}
	for n, row := range rows {
		if opened[n], err = open(s.keys, row); err != nil {
			return err
		}
		wrapped[row.ID] = row.DataKey
	}
	if err := s.nameTags(changing, opened); err != nil {
		return err
	}
	changes := make([]*Customer, len(rows))
	olds := map[uuid.UUID]*Customer{}
	for n := range opened {
		c := &opened[n]
		old := *c
		changes[n], olds[c.ID] = c, &old
		in := &items[change[c.ID]].Input
		in.Source = nil // where a customer first came from stays
		if in.Tags != nil {
			all := append(slices.Clone(c.Tags), *in.Tags...)
			in.Tags = &all
		}
		if a, err := in.Address.Get(); err == nil && c.Address != nil {
			in.Address = nullable.NewNullableWithValue(a.over(*c.Address))
		}
	}
	for id, i := range change {
		if olds[id] == nil {
			out[i].Err = ErrDuplicate.New() // beyond the caller's reach
		}
	}
	return s.bulkChange(changing, tx, items, out, changes, olds, wrapped, change)
}

// over lays the known parts of an address over another one.
func (a Address) over(old Address) Address {
	for _, p := range []struct{ to, from *string }{
		{&old.Country, &a.Country}, {&old.Region, &a.Region}, {&old.City, &a.City}, {&old.District, &a.District},
		{&old.Line1, &a.Line1}, {&old.Line2, &a.Line2}, {&old.PostalCode, &a.PostalCode},
	} {
		if *p.from != "" {
			*p.to = *p.from
		}
	}
	return old
}

// tryTakeOver says what would become of rows, and writes nothing.
func (s *Service) tryTakeOver(ctx context.Context, tx *db.Tx, what Takeover, items []BulkItem, out []BulkOutcome, open []int) error {
	inputs := make([]*Input, len(open))
	for n, i := range open {
		inputs[n] = &items[i].Input
	}
	if len(inputs) == 0 {
		return nil
	}
	r, err := s.reach(ctx, tx, append(inputs[:len(inputs):len(inputs)], &Input{}))
	if err != nil {
		return err
	}
	names, err := s.foreseenTags(ctx, tx, inputs)
	if err != nil {
		return err
	}
	today := s.clock.Today().Time()
	now := s.clock.Now()
	rows := make([]*Customer, len(open))
	for n, i := range open {
		c := newCustomer(uuid.Nil, now)
		_, bad := c.apply(inputs[n], today)
		r.defaults(&c, inputs[n], &bad)
		r.place(&c, inputs[n], &bad)
		r.fields.assign(&c, inputs[n], nil, &bad)
		names.assign(&c, inputs[n], &bad)
		if len(bad) == 0 && !c.identified() {
			bad.add("", ErrNoIdentity)
		}
		r.rules.judge(&c, today, &bad)
		if out[i].Err = bad.err(); out[i].Err == nil {
			rows[n] = &c
		}
	}
	taken, err := s.taken(ctx, tx, slices.DeleteFunc(slices.Clone(rows), func(c *Customer) bool { return c == nil }))
	if err != nil {
		return err
	}
	changing := auth.Must(ctx).ScopeOf(auth.CustomersUpdate)
	for n, i := range open {
		if rows[n] == nil {
			continue
		}
		values := taken.values(rows[n])
		ids := holdersOf(taken, values)
		known := false
		for _, v := range values {
			if what.Seen != nil && what.Seen(v.key) {
				known = true
			}
		}
		switch {
		case len(ids) == 0 && !known:
			out[i] = BulkOutcome{Status: "created"}
		case what.Review:
			out[i] = BulkOutcome{Status: "held"}
		case !what.Update:
			out[i] = BulkOutcome{Status: "skipped"}
		case len(ids) > 1:
			out[i].Err = ErrSeveral.New()
		case len(ids) == 1 && !taken.within(changing, ids[0]):
			out[i].Err = ErrDuplicate.New()
		default:
			out[i] = BulkOutcome{Status: "updated"}
		}
	}
	return nil
}

// within reports whether a holder lies in a scope.
func (h *holders) within(sc auth.Scope, id uuid.UUID) bool {
	for _, one := range h.by {
		if one.id == id {
			return sc.Sees(orNil(one.store), orNil(one.staff))
		}
	}
	return false
}

// foreseenTags are the tags that inputs name; one that would be made counts.
func (s *Service) foreseenTags(ctx context.Context, tx *db.Tx, inputs []*Input) (*tagNames, error) {
	var wanted []string
	for _, in := range inputs {
		if in.Tags == nil {
			continue
		}
		for _, raw := range *in.Tags {
			if name, bad := tagName(raw); bad == nil {
				wanted = append(wanted, name)
			}
		}
	}
	if len(wanted) == 0 {
		return nil, nil
	}
	found, err := s.tagsByName(ctx, tx, wanted)
	if err != nil || !auth.Must(ctx).Can(auth.TagsManage) {
		return found, err
	}
	for _, name := range wanted {
		if _, ok := found.by[name]; !ok {
			found.by[name] = knownTag{id: uuid.New()}
		}
	}
	return found, nil
}

// Faults lists what is wrong with an input: pointers are relative to the
// customer ("/phone"). Nil for an error that is none of the input's.
func Faults(err error) []apperr.Field {
	e := apperr.From(err)
	if e == nil {
		return nil
	}
	if len(e.Fields) == 0 {
		return []apperr.Field{{Code: e.Def.Code, Args: e.Args}}
	}
	return e.Fields
}
