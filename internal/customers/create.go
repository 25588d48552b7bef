package customers

import (
	"context"
	"encoding/hex"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/shuke-crm/shuke/ent/crm/schema"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

// Create makes one customer.
// Errors: ErrDuplicate, ErrNoIdentity, ErrUnknownTag, ErrStore, ErrStaff,
// ErrStoreNeeded, and those of the single fields.
func (s *Service) Create(ctx context.Context, in Input) (*Customer, error) {
	var made *Customer
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		out, err := s.CreateMany(ctx, tx, []*Input{&in})
		if err != nil {
			return err
		}
		made = out[0].Customer
		return out[0].Err
	})
	if err != nil {
		return nil, constraint(err)
	}
	return s.shown(ctx, made)
}

// Outcome is what became of one input of a batch: a customer or an error.
type Outcome struct {
	Customer *Customer
	Err      error
}

// CreateMany makes customers in one statement. An input that breaks a rule, or
// has a phone, e-mail, card number or external id that is taken, gets its error
// and the others take effect. The outcomes are in the order of the inputs.
func (s *Service) CreateMany(ctx context.Context, tx *db.Tx, inputs []*Input) ([]Outcome, error) {
	out := make([]Outcome, len(inputs))
	r, err := s.reach(ctx, tx, inputs)
	if err != nil {
		return nil, err
	}
	names, err := s.resolveTags(ctx, tx, inputs)
	if err != nil {
		return nil, err
	}
	assistants, err := s.assignNew(ctx, tx, r, inputs)
	if err != nil {
		return nil, err
	}
	now := s.clock.Now()
	today := s.clock.Today().Time()
	rows := make([]*Customer, 0, len(inputs))
	at := make([]int, 0, len(inputs))
	ids, err := newIDs(len(inputs), now)
	if err != nil {
		return nil, err
	}
	for i, in := range inputs {
		c := newCustomer(ids[i], now)
		_, bad := c.apply(in, today)
		r.defaults(&c, in, &bad)
		r.place(&c, in, &bad)
		r.fields.assign(&c, in, nil, &bad)
		names.assign(&c, in, &bad)
		if len(bad) == 0 && !in.nameless && !c.identified() {
			bad.add("", ErrNoIdentity)
		}
		if len(bad) == 0 {
			assistants.give(&c, in, r.rules, today)
		}
		r.rules.judge(&c, today, &bad)
		if err := bad.err(); err != nil {
			out[i].Err = err
			continue
		}
		c.provenance = &schema.Provenance{Origins: []schema.Origin{originOf(ctx, in, &c, now, true)}}
		rows = append(rows, &c)
		at = append(at, i)
	}
	if len(rows) == 0 {
		return out, nil
	}
	block, err := s.blocks.take(ctx, tx, len(rows))
	if err != nil {
		return nil, err
	}
	for _, c := range rows {
		c.block = block
	}
	done, err := s.write(ctx, tx, insertRows, rows, nil)
	if err != nil {
		return nil, err
	}
	if assistants != nil {
		if err := assistants.save(ctx, tx); err != nil {
			return nil, err
		}
	}
	var refused []*Customer
	for n, c := range rows {
		if done[c.ID] {
			out[at[n]].Customer = c
			if c.assignedBy != uuid.Nil {
				noteAssigned(ctx, tx, c)
			}
			s.note(ctx, tx, "customers.create", EventCreated, c, c.differences(&Customer{Gender: c.Gender, Language: c.Language, Source: c.Source, LifecycleStage: c.LifecycleStage}))
		} else {
			refused = append(refused, c)
		}
	}
	if len(refused) == 0 {
		return out, nil
	}
	taken, err := s.taken(ctx, tx, refused)
	if err != nil {
		return nil, err
	}
	for n, c := range rows {
		if !done[c.ID] {
			out[at[n]].Err = taken.conflict(c)
		}
	}
	return out, nil
}

// newIDs are ascending UUIDv7s of the service's own clock, so that the order of
// ids is the order of created_at, and of a batch, whatever the machine's clock
// says.
func newIDs(n int, now time.Time) ([]uuid.UUID, error) {
	ms := uint64(now.UnixMilli())
	out := make([]uuid.UUID, n)
	for i := range out {
		id, err := uuid.NewV7()
		if err != nil {
			return nil, err
		}
		for k := range 6 {
			id[k] = byte(ms >> (40 - 8*k))
		}
		out[i] = id
	}
	slices.SortFunc(out, compareIDs)
	return out, nil
}

// holder is the customer that has a value.
type holder struct {
	id           uuid.UUID
	survivor     uuid.UUID // who goes on in its place, when it was merged
	store, staff *uuid.UUID
	visible      bool
}

// holders finds who has the unique values of some customers.
type holders struct {
	s     *Service
	by    map[string]holder // field and value
	actor auth.Actor
}

const holdersSQL = `
SELECT 'e' || external_id, id, home_store_id, assigned_staff_id, merged_into_id IS NOT NULL FROM customers WHERE external_id = ANY($1::text[])
UNION ALL SELECT 'p' || encode(phone_index, 'hex'), id, home_store_id, assigned_staff_id, merged_into_id IS NOT NULL FROM customers WHERE phone_index = ANY($2::bytea[])
UNION ALL SELECT 'm' || encode(email_index, 'hex'), id, home_store_id, assigned_staff_id, merged_into_id IS NOT NULL FROM customers WHERE email_index = ANY($3::bytea[])
UNION ALL SELECT 'c' || encode(card_number_index, 'hex'), id, home_store_id, assigned_staff_id, merged_into_id IS NOT NULL FROM customers WHERE card_number_index = ANY($4::bytea[])`

// taken looks beyond the caller's scope: a value is taken wherever its holder is.
func (s *Service) taken(ctx context.Context, tx *db.Tx, cs []*Customer) (*holders, error) {
	actor, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	var external []string
	var phones, emails, cards pq.ByteaArray
	for _, c := range cs {
		if c.ExternalID != nil {
			external = append(external, *c.ExternalID)
		}
		if c.Phone != "" {
			phones = append(phones, s.keys.Index(indexPhone, c.Phone))
		}
		if c.Email != "" {
			emails = append(emails, s.keys.Index(indexEmail, emailKey(c.Email)))
		}
		if c.Card != "" {
			cards = append(cards, s.keys.Index(indexCard, c.Card))
		}
	}
	rows, err := tx.Query(ctx, holdersSQL, pq.Array(external), phones, emails, cards)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	h := &holders{s: s, by: map[string]holder{}, actor: actor}
	merged := map[string]uuid.UUID{}
	for rows.Next() {
		var key string
		var one holder
		var gone bool
		if err := rows.Scan(&key, &one.id, &one.store, &one.staff, &gone); err != nil {
			return nil, err
		}
		one.visible = actor.Scope.Sees(orNil(one.store), orNil(one.staff))
		h.by[key] = one
		if gone {
			merged[key] = one.id
		}
	}
	if err := rows.Err(); err != nil || len(merged) == 0 {
		return h, err
	}
	_ = rows.Close()
	found, err := survivors(ctx, tx.Clients, slices.Collect(maps.Values(merged))...)
	for key, id := range merged {
		one, by := h.by[key], found[id]
		one.survivor, one.visible = by.ID, actor.Scope.Sees(by.HomeStoreID, by.AssignedStaffID)
		h.by[key] = one
	}
	return h, err
}

// person is who has the value: who goes on in place of a merged holder.
func (h holder) person() uuid.UUID {
	if h.survivor != uuid.Nil {
		return h.survivor
	}
	return h.id
}

// other reports whether a value is somebody else's than a customer's.
func (h holder) other(c *Customer) bool { return h.id != c.ID && h.survivor != c.ID }

// conflict names the first field of a customer that another one holds.
func (h *holders) conflict(c *Customer) error {
	for _, u := range h.values(c) {
		one, ok := h.by[u.key]
		if !ok || !one.other(c) {
			continue
		}
		err := ErrDuplicate.At(u.pointer)
		if one.visible {
			err = err.With("existing_id", one.person())
		}
		return err
	}
	return ErrDuplicate.New() // its holder has let go of it meanwhile
}

// clash is conflict, or nil when nobody else holds a value.
func (h *holders) clash(c *Customer) error {
	for _, u := range h.values(c) {
		if one, ok := h.by[u.key]; ok && one.other(c) {
			return h.conflict(c)
		}
	}
	return nil
}

type uniqueValue struct{ key, pointer string }

func (h *holders) values(c *Customer) []uniqueValue {
	var out []uniqueValue
	if c.Phone != "" {
		out = append(out, uniqueValue{"p" + hex.EncodeToString(h.s.keys.Index(indexPhone, c.Phone)), "/phone"})
	}
	if c.Email != "" {
		out = append(out, uniqueValue{"m" + hex.EncodeToString(h.s.keys.Index(indexEmail, emailKey(c.Email))), "/email"})
	}
	if c.Card != "" {
		out = append(out, uniqueValue{"c" + hex.EncodeToString(h.s.keys.Index(indexCard, c.Card)), "/card_number"})
	}
	if c.ExternalID != nil {
		out = append(out, uniqueValue{"e" + *c.ExternalID, "/external_id"})
	}
	return out
}

// constraints maps what the database refuses to this domain's errors.
var constraints = map[string]func() *apperr.Error{
	"customers_external_id_key":        func() *apperr.Error { return ErrDuplicate.At("/external_id") },
	"customers_phone_key":              func() *apperr.Error { return ErrDuplicate.At("/phone") },
	"customers_email_key":              func() *apperr.Error { return ErrDuplicate.At("/email") },
	"customers_card_number_key":        func() *apperr.Error { return ErrDuplicate.At("/card_number") },
	"customers_home_store_id_fkey":     func() *apperr.Error { return ErrStore.At("/home_store_id") },
	"customers_assigned_staff_id_fkey": func() *apperr.Error { return ErrStaff.At("/assigned_staff_id") },
	"customer_groups_name_key":         func() *apperr.Error { return ErrGroupDuplicate.At("/name") },
	"tags_name_key":                    func() *apperr.Error { return ErrTagDuplicate.At("/name") },
}

func constraint(err error) error {
	if f := constraints[db.Violated(err)]; f != nil {
		return f()
	}
	return err
}
