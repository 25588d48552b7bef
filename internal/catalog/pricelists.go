package catalog

import (
	"context"
	"strconv"
	"strings"
	"time"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"
	"github.com/lib/pq"
	"github.com/oapi-codegen/nullable"

	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/ent/commerce/pricelist"
	"github.com/shuke-crm/shuke/ent/commerce/pricelistentry"
	"github.com/shuke-crm/shuke/ent/commerce/variant"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/page"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// PriceListInput describes a price list to create. What is left out it holds
// for all of.
type PriceListInput struct {
	Code, Name string
	Currency   string // empty means that of the business
	Priority   int32
	StoreID    *uuid.UUID
	Channel    *string
	Tier       *string
	StartsAt   *time.Time
	EndsAt     *time.Time
	Status     string // empty means draft
}

// CreatePriceList makes a price list without prices.
//
// Errors: ErrBlank, ErrCurrency, ErrListTime, ErrListStore, ErrListCodeTaken.
func (s *Service) CreatePriceList(ctx context.Context, in PriceListInput) (*commerce.PriceList, error) {
	in.Code, in.Name = strings.TrimSpace(in.Code), strings.TrimSpace(in.Name)
	switch {
	case in.Code == "":
		return nil, ErrBlank.At("/code")
	case in.Name == "":
		return nil, ErrBlank.At("/name")
	case orElse(in.Currency, s.currency) != s.currency:
		return nil, ErrCurrency.At("/currency").Arg("currency", s.currency)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	var out *commerce.PriceList
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := s.mayPrice(ctx, tx, in.StoreID, "/store_id"); err != nil {
			return err
		}
		now := s.clock.Now()
		out, err = tx.Commerce.PriceList.Create().SetID(id).SetCode(in.Code).SetName(in.Name).SetCurrency(s.currency).SetPriority(in.Priority).
			SetNillableStoreID(in.StoreID).SetNillableChannel((*pricelist.Channel)(in.Channel)).SetNillableTier(in.Tier).
			SetNillableStartsAt(in.StartsAt).SetNillableEndsAt(in.EndsAt).SetStatus(pricelist.Status(orElse(in.Status, "draft"))).
			SetCreatedAt(now).SetUpdatedAt(now).Save(ctx)
		if err != nil {
			return translateList(err)
		}
		audit.Record(ctx, tx, audit.Entry{Action: "catalog.price_list.create", ObjectType: "price_list", ObjectID: id.String(), StoreID: in.StoreID,
			Changes: map[string]any{"code": in.Code, "status": out.Status}})
		return nil
	})
	return out, err
}

// PriceListChange says what to change of a price list; what is not specified
// stays, null takes a condition off.
type PriceListChange struct {
	Code, Name *string
	Priority   *int32
	StoreID    nullable.Nullable[uuid.UUID]
	Channel    nullable.Nullable[string]
	Tier       nullable.Nullable[string]
	StartsAt   nullable.Nullable[time.Time]
	EndsAt     nullable.Nullable[time.Time]
	Status     *string
}

// UpdatePriceList changes a price list. Sales from then on cost what it says.
//
// Errors: ErrListNotFound, apperr.ErrVersionMismatch, ErrBlank, ErrListTime,
// ErrListStore, ErrListCodeTaken, ErrListStatus.
func (s *Service) UpdatePriceList(ctx context.Context, id uuid.UUID, ifMatch *string, in PriceListChange) (*commerce.PriceList, error) {
	var out *commerce.PriceList
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		l, err := s.lockList(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := etag.Check(ifMatch, l.Version); err != nil {
			return err
		}
		u, changes, err := in.apply(l)
		if err != nil {
			return err
		}
		if store, err := in.StoreID.Get(); err == nil {
			err = s.mayPrice(ctx, tx, &store, "/store_id")
			if err != nil {
				return err
			}
		} else if in.StoreID.IsNull() {
			if err := s.mayPrice(ctx, tx, nil, "/store_id"); err != nil {
				return err
			}
		}
		if out, err = u.AddVersion(1).SetUpdatedAt(s.clock.Now()).Save(ctx); err != nil {
			return translateList(err)
		}
		audit.Record(ctx, tx, audit.Entry{Action: "catalog.price_list.update", ObjectType: "price_list", ObjectID: id.String(), StoreID: out.StoreID, Changes: changes})
		return nil
	})
	return out, err
}

// apply prepares the update of l and notes what it changes.
func (in PriceListChange) apply(l *commerce.PriceList) (*commerce.PriceListUpdateOne, map[string]any, error) {
	u, changes := l.Update(), map[string]any{}
	for _, f := range []struct {
		text *string
		name string
		set  func(string) *commerce.PriceListUpdateOne
	}{{in.Code, "code", u.SetCode}, {in.Name, "name", u.SetName}} {
		if f.text == nil {
			continue
		}
		text := strings.TrimSpace(*f.text)
		if text == "" {
			return nil, nil, ErrBlank.At("/" + f.name)
		}
		f.set(text)
		changes[f.name] = text
	}
	if in.Priority != nil {
		u.SetPriority(*in.Priority)
		changes["priority"] = []int32{l.Priority, *in.Priority}
	}
	change(changes, "store_id", in.StoreID, u.SetStoreID, u.ClearStoreID)
	change(changes, "channel", in.Channel, func(c string) *commerce.PriceListUpdateOne { return u.SetChannel(pricelist.Channel(c)) }, u.ClearChannel)
	change(changes, "tier", in.Tier, u.SetTier, u.ClearTier)
	change(changes, "starts_at", in.StartsAt, u.SetStartsAt, u.ClearStartsAt)
	change(changes, "ends_at", in.EndsAt, u.SetEndsAt, u.ClearEndsAt)
	if in.Status != nil {
		if !mayFollow(l.Status, pricelist.Status(*in.Status)) {
			return nil, nil, ErrListStatus.At("/status").Arg("status", string(l.Status))
		}
		u.SetStatus(pricelist.Status(*in.Status))
		changes["status"] = []string{string(l.Status), *in.Status}
	}
	return u, changes, nil
}

// change sets or clears one field and notes what it becomes.
func change[T, U any](changes map[string]any, name string, n nullable.Nullable[T], set func(T) U, clear func() U) {
	switch v, err := n.Get(); {
	case err == nil:
		set(v)
		changes[name] = v
	case n.IsNull():
		clear()
		changes[name] = nil
	}
}

// DeletePriceList removes a list that was never in force, with its prices.
//
// Errors: ErrListNotFound, apperr.ErrVersionMismatch, ErrListInForce.
func (s *Service) DeletePriceList(ctx context.Context, id uuid.UUID, ifMatch *string) error {
	return s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		l, err := s.lockList(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := etag.Check(ifMatch, l.Version); err != nil {
			return err
		}
		if l.Status != pricelist.StatusDraft {
			return ErrListInForce.New()
		}
		if err := s.because(ctx, tx, ""); err != nil {
			return err
		}
		if _, err := tx.Commerce.PriceListEntry.Delete().Where(pricelistentry.PriceListID(id)).Exec(ctx); err != nil {
			return err
		}
		if err := tx.Commerce.PriceList.DeleteOne(l).Exec(ctx); err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "catalog.price_list.delete", ObjectType: "price_list", ObjectID: id.String(), StoreID: l.StoreID,
			Changes: map[string]any{"code": l.Code}})
		return nil
	})
}

// lockList locks a list whose prices the caller may decide about.
func (s *Service) lockList(ctx context.Context, tx *db.Tx, id uuid.UUID) (*commerce.PriceList, error) {
	l, err := tx.Commerce.PriceList.Query().Where(pricelist.ID(id)).ForUpdate().Only(ctx)
	if commerce.IsNotFound(err) {
		return nil, ErrListNotFound.New()
	}
	if err != nil {
		return nil, err
	}
	return l, s.mayPrice(ctx, tx, l.StoreID, "")
}

// mayPrice refuses a list of a store outside the caller's scope, and one of all
// stores to whoever does not hold the whole business.
func (s *Service) mayPrice(ctx context.Context, tx *db.Tx, store *uuid.UUID, pointer string) error {
	actor, err := auth.From(ctx)
	if err != nil {
		return err
	}
	if store == nil {
		if actor.Scope.All {
			return nil
		}
	} else if actor.Scope.SeesStore(*store) {
		if _, err := tx.Platform.Store.Get(ctx, *store); err == nil {
			return nil
		}
	}
	if pointer == "" {
		return ErrListStore.New()
	}
	return ErrListStore.At(pointer)
}

// EntryInput is a price to set in a list, or to take off it.
type EntryInput struct {
	VariantID   *uuid.UUID
	SKU         *string
	MinQuantity int64
	Amount      *int64 // nil: off the list
}

// EntriesDone counts what became of prices.
type EntriesDone struct{ Set, Removed, Unchanged int }

const (
	setEntriesSQL = `
INSERT INTO price_list_entries (id, price_list_id, variant_id, min_quantity, price_amount, created_at, updated_at)
SELECT id, $1, variant_id, quantity, amount, $6, $6
FROM unnest($2::uuid[], $3::uuid[], $4::bigint[], $5::bigint[]) AS g (id, variant_id, quantity, amount) ORDER BY variant_id, quantity
ON CONFLICT (price_list_id, variant_id, min_quantity) DO UPDATE SET price_amount = EXCLUDED.price_amount, updated_at = EXCLUDED.updated_at
WHERE price_list_entries.price_amount <> EXCLUDED.price_amount`
	removeEntriesSQL = `
DELETE FROM price_list_entries e USING unnest($2::uuid[], $3::bigint[]) AS g (variant_id, quantity)
WHERE e.price_list_id = $1 AND e.variant_id = g.variant_id AND e.min_quantity = g.quantity`
)

// SetEntries sets prices in a list and takes others off it, all or none; what is
// not named stays.
//
// Errors: ErrListNotFound, apperr.ErrVersionMismatch, ErrListStore, ErrVariantUnnamed,
// ErrVariantUnknown and ErrEntryRepeated, all faults at once.
func (s *Service) SetEntries(ctx context.Context, id uuid.UUID, ifMatch *string, in []EntryInput, reason string) (*commerce.PriceList, EntriesDone, error) {
	var out *commerce.PriceList
	var done EntriesDone
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		done = EntriesDone{}
		l, err := s.lockList(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := etag.Check(ifMatch, l.Version); err != nil {
			return err
		}
		variants, err := findVariants(ctx, tx, in)
		if err != nil {
			return err
		}
		var ids, set, removed pgarray.UUIDs
		var setFrom, amounts, removedFrom []int64
		for i, e := range in {
			if e.Amount == nil {
				removed, removedFrom = append(removed, variants[i]), append(removedFrom, e.MinQuantity)
				continue
			}
			entry, err := uuid.NewV7()
			if err != nil {
				return err
			}
			ids, set, setFrom, amounts = append(ids, entry), append(set, variants[i]), append(setFrom, e.MinQuantity), append(amounts, *e.Amount)
		}
		if err := s.because(ctx, tx, reason); err != nil {
			return err
		}
		now := s.clock.Now()
		if len(set) > 0 {
			r, err := tx.Exec(ctx, setEntriesSQL, id, ids, set, pq.Array(setFrom), pq.Array(amounts), now)
			if err != nil {
				return err
			}
			n, err := r.RowsAffected()
			if err != nil {
				return err
			}
			done.Set = int(n)
		}
		if len(removed) > 0 {
			r, err := tx.Exec(ctx, removeEntriesSQL, id, removed, pq.Array(removedFrom))
			if err != nil {
				return err
			}
			n, err := r.RowsAffected()
			if err != nil {
				return err
			}
			done.Removed = int(n)
		}
		if done.Unchanged = len(in) - done.Set - done.Removed; done.Unchanged == len(in) {
			out = l
			return nil
		}
		if out, err = l.Update().AddVersion(1).SetUpdatedAt(now).Save(ctx); err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "catalog.price_list.set_entries", ObjectType: "price_list", ObjectID: id.String(), StoreID: l.StoreID, Reason: reason,
			Changes: map[string]any{"set": done.Set, "removed": done.Removed}})
		return nil
	})
	return out, done, err
}

// findVariants finds the variants that entries name; all faults at once.
func findVariants(ctx context.Context, tx *db.Tx, in []EntryInput) (pgarray.UUIDs, error) {
	var ids []uuid.UUID
	var skus []string
	for _, e := range in {
		if e.VariantID != nil {
			ids = append(ids, *e.VariantID)
		}
		if e.SKU != nil {
			skus = append(skus, *e.SKU)
		}
	}
	found, err := tx.Commerce.Variant.Query().Where(variant.Or(variant.IDIn(ids...), variant.SkuIn(skus...))).Select(variant.FieldID, variant.FieldSku).All(ctx)
	if err != nil {
		return nil, err
	}
	known, bySKU := map[uuid.UUID]uuid.UUID{}, map[string]uuid.UUID{}
	for _, v := range found {
		known[v.ID], bySKU[v.Sku] = v.ID, v.ID
	}
	type place struct {
		variant  uuid.UUID
		quantity int64
	}
	out, seen, wrong := make(pgarray.UUIDs, len(in)), map[place]bool{}, ErrVariantUnknown.New()
	for i, e := range in {
		pointer := "/entries/" + strconv.Itoa(i)
		switch {
		case (e.VariantID == nil) == (e.SKU == nil):
			wrong.Field(pointer, ErrVariantUnnamed)
			continue
		case e.VariantID != nil:
			out[i] = known[*e.VariantID]
		default:
			out[i] = bySKU[*e.SKU]
		}
		switch at := (place{out[i], e.MinQuantity}); {
		case out[i] == uuid.Nil:
			wrong.Field(pointer, ErrVariantUnknown)
		case seen[at]:
			wrong.Field(pointer, ErrEntryRepeated)
		default:
			seen[at] = true
		}
	}
	if len(wrong.Fields) > 0 {
		wrong.Def = apperr.Lookup(wrong.Fields[0].Code)
		return nil, wrong
	}
	return out, nil
}

// PriceListFilter narrows the list of price lists; empty parts do not.
type PriceListFilter struct {
	Status  string
	StoreID *uuid.UUID
	Channel string
	Tier    string
	Limit   *int32
	Cursor  *string
	Total   bool
}

// ListPriceLists returns price lists, the newest first.
//
// Errors: apperr.ErrBadCursor.
func (s *Service) ListPriceLists(ctx context.Context, f PriceListFilter) (*page.Of[*commerce.PriceList], error) {
	l := page.NewList("/v1/price-lists", f.Limit)
	q := s.db.From(ctx).Commerce.PriceList.Query()
	if f.Status != "" {
		l.Filters.Set("status", f.Status)
		q.Where(pricelist.StatusEQ(pricelist.Status(f.Status)))
	}
	if f.StoreID != nil {
		l.Filters.Set("store_id", f.StoreID.String())
		q.Where(pricelist.StoreID(*f.StoreID))
	}
	if f.Channel != "" {
		l.Filters.Set("channel", f.Channel)
		q.Where(pricelist.ChannelEQ(pricelist.Channel(f.Channel)))
	}
	if f.Tier != "" {
		l.Filters.Set("tier", f.Tier)
		q.Where(pricelist.Tier(f.Tier))
	}
	out := &page.Of[*commerce.PriceList]{}
	if err := count(ctx, out, f.Total, q.Clone()); err != nil {
		return nil, err
	}
	var at position
	if ok, err := s.pages.Decode(l.Name(), f.Cursor, &at); err != nil {
		return nil, err
	} else if ok {
		q.Where(pricelist.IDLT(at.ID))
	}
	rows, err := q.Order(pricelist.ByID(sql.OrderDesc())).Limit(l.Limit + 1).All(ctx)
	if err != nil {
		return nil, err
	}
	var more bool
	if out.Items, more = page.Cut(rows, l.Limit); more {
		next(s.pages, l, out, more, position{out.Items[len(out.Items)-1].ID})
	}
	return out, nil
}

// entryAt is where a list of entries stands.
type entryAt struct {
	Variant  uuid.UUID `json:"v"`
	Quantity int64     `json:"q"`
}

// ListEntries returns the prices of a list by variant and quantity.
// Plan: price_list_entries_key.
//
// Errors: ErrListNotFound, apperr.ErrBadCursor.
func (s *Service) ListEntries(ctx context.Context, id uuid.UUID, variantID *uuid.UUID, sku string, limit *int32, cursor *string, total bool) (*page.Of[*commerce.PriceListEntry], error) {
	clients := s.db.From(ctx).Commerce
	if ok, err := clients.PriceList.Query().Where(pricelist.ID(id)).Exist(ctx); err != nil {
		return nil, err
	} else if !ok {
		return nil, ErrListNotFound.New()
	}
	l := page.NewList("/v1/price-lists/"+id.String()+"/entries", limit)
	q := clients.PriceListEntry.Query().Where(pricelistentry.PriceListID(id))
	if variantID != nil {
		l.Filters.Set("variant_id", variantID.String())
		q.Where(pricelistentry.VariantID(*variantID))
	}
	if sku != "" {
		l.Filters.Set("sku", sku)
		q.Where(pricelistentry.HasVariantWith(variant.Sku(sku)))
	}
	out := &page.Of[*commerce.PriceListEntry]{}
	if err := count(ctx, out, total, q.Clone()); err != nil {
		return nil, err
	}
	var at entryAt
	if ok, err := s.pages.Decode(l.Name(), cursor, &at); err != nil {
		return nil, err
	} else if ok {
		q.Where(sql.FieldGTE(pricelistentry.FieldVariantID, at.Variant), pricelistentry.Or(sql.FieldGT(pricelistentry.FieldVariantID, at.Variant), pricelistentry.MinQuantityGT(at.Quantity)))
	}
	rows, err := q.Order(pricelistentry.ByVariantID(), pricelistentry.ByMinQuantity()).Limit(l.Limit + 1).WithVariant().All(ctx)
	if err != nil {
		return nil, err
	}
	var more bool
	if out.Items, more = page.Cut(rows, l.Limit); more {
		last := out.Items[len(out.Items)-1]
		next(s.pages, l, out, more, entryAt{last.VariantID, last.MinQuantity})
	}
	return out, nil
}

func translateList(err error) error {
	switch db.Violated(err) {
	case "price_lists_code_key":
		return ErrListCodeTaken.At("/code")
	case "price_lists_time_check":
		return ErrListTime.At("/ends_at")
	}
	return err
}
