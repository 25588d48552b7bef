package catalog

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

func ptr[T any](v T) *T { return &v }

// shop is a catalogue with two variants of one product and a store.
type shop struct {
	*Service
	ctx   context.Context
	t     *testing.T
	store uuid.UUID
	p     *commerce.Product
	a, b  *commerce.Variant
}

func newShop(t *testing.T) *shop {
	s, ctx := open(t)
	w := &shop{Service: s, ctx: ctx, t: t, store: uuid.New()}
	region := uuid.New()
	_, err := s.db.Exec(ctx, "INSERT INTO regions (id, code, name, version, created_at, updated_at) VALUES ($1, 'E', '东区', 1, now(), now())", region)
	require.NoError(t, err)
	_, err = s.db.Exec(ctx, "INSERT INTO stores (id, code, name, region_id, version, created_at, updated_at) VALUES ($1, 'S1', '一店', $2, 1, now(), now())", w.store, region)
	require.NoError(t, err)
	w.p, err = s.CreateProduct(ctx, ProductInput{Title: "衬衫", Variants: []VariantInput{{SKU: "A", PriceAmount: 1000}, {SKU: "B", PriceAmount: 2000}}})
	require.NoError(t, err)
	w.a, w.b = w.p.Edges.Variants[0], w.p.Edges.Variants[1]
	return w
}

// list makes a list that is in force, with a price of variant a.
func (w *shop) list(in PriceListInput, amount int64) *commerce.PriceList {
	w.t.Helper()
	in.Name, in.Status = in.Code, "active"
	l, err := w.CreatePriceList(w.ctx, in)
	require.NoError(w.t, err)
	_, _, err = w.SetEntries(w.ctx, l.ID, nil, []EntryInput{{VariantID: &w.a.ID, MinQuantity: 1, Amount: &amount}}, "")
	require.NoError(w.t, err)
	return l
}

func (w *shop) price(at PriceContext, wants ...PriceWant) []Price {
	w.t.Helper()
	if at.At.IsZero() {
		at.At = time.Now()
	}
	var out []Price
	require.NoError(w.t, w.db.InTx(w.ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		out, err = w.Prices(ctx, tx, at, wants)
		return err
	}))
	return out
}

func TestPricesWithoutLists(t *testing.T) {
	w := newShop(t)
	c, err := w.CreateCategory(w.ctx, "上装", nil, ptr[int32](1300))
	require.NoError(t, err)
	below, err := w.CreateCategory(w.ctx, "衬衫类", &c.ID, nil)
	require.NoError(t, err)
	_, err = w.UpdateProduct(w.ctx, w.p.ID, nil, ProductChange{CategoryID: nullable.NewNullableWithValue(below.ID)})
	require.NoError(t, err)

	got := w.price(PriceContext{StoreID: w.store, Channel: "pos"}, PriceWant{SKU: "B", Quantity: 1}, PriceWant{VariantID: uuid.New(), Quantity: 1}, PriceWant{VariantID: w.a.ID, Quantity: 3}, PriceWant{SKU: "nothing"})
	require.Len(t, got, 4)
	assert.Equal(t, Price{VariantID: w.b.ID, ProductID: w.p.ID, CategoryID: below.ID, SKU: "B", Title: "衬衫", Status: "active", TaxRate: 1300, Amount: 2000, OwnAmount: 2000}, got[0])
	assert.Equal(t, Price{}, got[1], "there is no such variant")
	assert.Equal(t, w.a.ID, got[2].VariantID)
	assert.Equal(t, Price{}, got[3])
	assert.True(t, got[0].Sellable())

	_, err = w.UpdateVariant(w.ctx, w.a.ID, nil, VariantChange{Status: ptr("archived")})
	require.NoError(t, err)
	assert.Equal(t, "archived", w.price(PriceContext{}, PriceWant{SKU: "A"})[0].Status)
	_, err = w.UpdateProduct(w.ctx, w.p.ID, nil, ProductChange{Status: ptr("draft"), TaxRate: nullable.NewNullableWithValue[int32](600)})
	require.NoError(t, err)
	b := w.price(PriceContext{}, PriceWant{SKU: "B"})[0]
	assert.Equal(t, "draft", b.Status, "a variant is what its product is")
	assert.False(t, b.Sellable())
	assert.EqualValues(t, 600, b.TaxRate, "the product's own rate counts first")
}

func TestTaxRatesFollowTheTree(t *testing.T) {
	s, ctx := open(t)
	a, err := s.CreateCategory(ctx, "a", nil, nil)
	require.NoError(t, err)
	b, err := s.CreateCategory(ctx, "b", &a.ID, nil)
	require.NoError(t, err)
	c, err := s.CreateCategory(ctx, "c", &b.ID, nil)
	require.NoError(t, err)
	other, err := s.CreateCategory(ctx, "o", nil, ptr[int32](300))
	require.NoError(t, err)
	rate := func(id uuid.UUID) *int32 {
		got, err := s.db.From(ctx).Commerce.Category.Get(ctx, id)
		require.NoError(t, err)
		return got.EffectiveTaxRate
	}
	assert.Nil(t, rate(c.ID))
	changed, err := s.UpdateCategory(ctx, a.ID, nil, nil, nil, nullable.NewNullableWithValue[int32](900))
	require.NoError(t, err)
	assert.EqualValues(t, 900, *changed.EffectiveTaxRate)
	assert.EqualValues(t, 900, *rate(c.ID))
	_, err = s.UpdateCategory(ctx, b.ID, nil, nil, nullable.NewNullableWithValue(other.ID), nil)
	require.NoError(t, err)
	assert.EqualValues(t, 300, *rate(c.ID), "moved along")
	_, err = s.UpdateCategory(ctx, b.ID, nil, nil, nullable.NewNullNullable[uuid.UUID](), nil)
	require.NoError(t, err)
	assert.Nil(t, rate(c.ID))
}

// TestWhichListWins tries every pair of reasons against each other, and that
// what is explained is what is charged.
func TestWhichListWins(t *testing.T) {
	w := newShop(t)
	now := time.Now().Truncate(time.Microsecond)
	all := w.list(PriceListInput{Code: "all"}, 900)
	here := PriceContext{StoreID: w.store, Channel: "pos", Tier: "gold", At: now}
	want := PriceWant{VariantID: w.a.ID, Quantity: 1}
	check := func(at PriceContext, quantity, amount int64, list uuid.UUID) []Considered {
		t.Helper()
		got := w.price(at, PriceWant{VariantID: w.a.ID, Quantity: quantity})[0]
		assert.Equal(t, amount, got.Amount)
		assert.Equal(t, list, got.PriceListID)
		assert.EqualValues(t, 1000, got.OwnAmount)
		explained, considered, err := w.ExplainPrice(w.ctx, w.a.ID, quantity, at)
		require.NoError(t, err)
		assert.Equal(t, got, explained)
		if list != uuid.Nil {
			assert.Equal(t, "won", considered[0].Outcome, "what counts comes first")
			assert.Equal(t, list, considered[0].List.ID)
		}
		return considered
	}
	check(here, 1, 900, all.ID)
	check(PriceContext{At: now}, 1, 900, all.ID)
	store := w.list(PriceListInput{Code: "store", StoreID: &w.store}, 950)
	check(here, 1, 950, store.ID)
	check(PriceContext{At: now}, 1, 900, all.ID)
	tier := w.list(PriceListInput{Code: "tier", Tier: ptr("gold")}, 940)
	check(here, 1, 940, tier.ID) // asks for as much, and is cheaper
	both := w.list(PriceListInput{Code: "both", StoreID: &w.store, Channel: ptr("pos")}, 970)
	check(here, 1, 970, both.ID)
	check(PriceContext{StoreID: w.store, Channel: "web", Tier: "gold", At: now}, 1, 940, tier.ID)
	first := w.list(PriceListInput{Code: "first", Priority: 5, StartsAt: ptr(now.Add(-time.Hour)), EndsAt: ptr(now.Add(time.Hour))}, 990)
	outcomes := map[string]string{}
	for _, c := range check(here, 1, 990, first.ID) {
		outcomes[c.List.Code] = c.Outcome
	}
	assert.Equal(t, map[string]string{"first": "won", "both": "outranked", "tier": "outranked", "store": "outranked", "all": "outranked"}, outcomes)
	at := here
	at.At = now.Add(time.Hour) // the end belongs no longer to it
	check(at, 1, 970, both.ID)
	at.At = now.Add(-time.Hour).Add(-time.Microsecond)
	check(at, 1, 970, both.ID)

	// Prices from a quantity on.
	_, done, err := w.SetEntries(w.ctx, first.ID, nil, []EntryInput{{SKU: ptr("A"), MinQuantity: 3, Amount: ptr[int64](800)}, {SKU: ptr("A"), MinQuantity: 10, Amount: ptr[int64](700)}}, "")
	require.NoError(t, err)
	assert.Equal(t, EntriesDone{Set: 2}, done)
	for quantity, amount := range map[int64]int64{1: 990, 2: 990, 3: 800, 9: 800, 10: 700, 500: 700} {
		check(here, quantity, amount, first.ID)
	}
	// Two lines of one statement are judged each by its own quantity.
	two := w.price(here, want, PriceWant{SKU: "A", Quantity: 10}, PriceWant{SKU: "B", Quantity: 1})
	assert.Equal(t, []int64{990, 700, 2000}, []int64{two[0].Amount, two[1].Amount, two[2].Amount})

	_, err = w.UpdatePriceList(w.ctx, first.ID, nil, PriceListChange{Status: ptr("archived")})
	require.NoError(t, err)
	considered := check(here, 1, 970, both.ID)
	assert.Equal(t, "inactive", considered[len(considered)-1].Outcome)
}

func TestPriceListsRefuse(t *testing.T) {
	w := newShop(t)
	now := time.Now()
	_, err := w.CreatePriceList(w.ctx, PriceListInput{Code: " ", Name: "x"})
	refused(t, err, ErrBlank, "/code")
	_, err = w.CreatePriceList(w.ctx, PriceListInput{Code: "x", Name: "x", Currency: "USD"})
	refused(t, err, ErrCurrency, "/currency")
	_, err = w.CreatePriceList(w.ctx, PriceListInput{Code: "x", Name: "x", StoreID: ptr(uuid.New())})
	refused(t, err, ErrListStore, "/store_id")
	_, err = w.CreatePriceList(w.ctx, PriceListInput{Code: "x", Name: "x", StartsAt: &now, EndsAt: &now})
	refused(t, err, ErrListTime, "/ends_at")
	l, err := w.CreatePriceList(w.ctx, PriceListInput{Code: "x", Name: "x"})
	require.NoError(t, err)
	_, err = w.CreatePriceList(w.ctx, PriceListInput{Code: "x", Name: "y"})
	refused(t, err, ErrListCodeTaken, "/code")

	one := ptr[int64](1)
	_, _, err = w.SetEntries(w.ctx, l.ID, nil, []EntryInput{{SKU: ptr("A"), MinQuantity: 1, Amount: one}, {VariantID: &w.a.ID, MinQuantity: 1, Amount: one}}, "")
	refused(t, err, ErrEntryRepeated, "/entries/1")
	_, _, err = w.SetEntries(w.ctx, l.ID, nil, []EntryInput{{SKU: ptr("A"), MinQuantity: 1, Amount: one}, {SKU: ptr("C"), MinQuantity: 1, Amount: one}, {MinQuantity: 1, Amount: one}}, "")
	refused(t, err, ErrVariantUnknown, "/entries/1")
	found, err := w.ListEntries(w.ctx, l.ID, nil, "", nil, nil, false)
	require.NoError(t, err)
	assert.Empty(t, found.Items, "all or none")

	_, _, err = w.SetEntries(w.ctx, l.ID, nil, []EntryInput{{SKU: ptr("A"), MinQuantity: 1, Amount: one}}, "")
	require.NoError(t, err)
	assert.EqualValues(t, 1000, w.price(PriceContext{}, PriceWant{SKU: "A", Quantity: 1})[0].Amount, "a draft does not hold")
	_, err = w.UpdatePriceList(w.ctx, l.ID, nil, PriceListChange{Status: ptr("active")})
	require.NoError(t, err)
	_, err = w.UpdatePriceList(w.ctx, l.ID, nil, PriceListChange{Status: ptr("draft")})
	refused(t, err, ErrListStatus, "/status")
	require.True(t, ErrListInForce.Is(w.DeletePriceList(w.ctx, l.ID, nil)))
	d, err := w.CreatePriceList(w.ctx, PriceListInput{Code: "d", Name: "d"})
	require.NoError(t, err)
	_, _, err = w.SetEntries(w.ctx, d.ID, nil, []EntryInput{{SKU: ptr("A"), MinQuantity: 1, Amount: one}}, "")
	require.NoError(t, err)
	require.NoError(t, w.DeletePriceList(w.ctx, d.ID, nil))
	require.True(t, ErrListNotFound.Is(w.DeletePriceList(w.ctx, d.ID, nil)))
}

func TestHistoriesOfPricesAndStates(t *testing.T) {
	w := newShop(t)
	_, err := w.UpdateVariant(w.ctx, w.a.ID, nil, VariantChange{PriceAmount: ptr[int64](1100), Reason: "涨价"})
	require.NoError(t, err)
	_, err = w.UpdateVariant(w.ctx, w.a.ID, nil, VariantChange{PriceAmount: ptr[int64](1100), CostAmount: nullable.NewNullableWithValue[int64](1)})
	require.NoError(t, err)
	l := w.list(PriceListInput{Code: "l"}, 900)
	_, _, err = w.SetEntries(w.ctx, l.ID, nil, []EntryInput{{SKU: ptr("A"), MinQuantity: 1, Amount: ptr[int64](900)}}, "the same")
	require.NoError(t, err)
	_, _, err = w.SetEntries(w.ctx, l.ID, nil, []EntryInput{{SKU: ptr("A"), MinQuantity: 1, Amount: ptr[int64](800)}}, "cheaper")
	require.NoError(t, err)
	_, done, err := w.SetEntries(w.ctx, l.ID, nil, []EntryInput{{SKU: ptr("A"), MinQuantity: 1}, {SKU: ptr("B"), MinQuantity: 1}}, "off")
	require.NoError(t, err)
	assert.Equal(t, EntriesDone{Removed: 1, Unchanged: 1}, done)
	found, err := w.PriceHistory(w.ctx, w.a.ID, nil, nil, true)
	require.NoError(t, err)
	type change struct {
		list        string
		old, now    int64
		reason, who string
	}
	var got []change
	for _, c := range found.Items {
		one := change{reason: c.Reason, who: c.ChangedBy}
		if c.PriceListCode != nil {
			one.list = *c.PriceListCode
		}
		if c.OldAmount != nil {
			one.old = *c.OldAmount
		}
		if c.NewAmount != nil {
			one.now = *c.NewAmount
		}
		got = append(got, one)
	}
	assert.Equal(t, []change{{"l", 800, 0, "off", "test"}, {"l", 900, 800, "cheaper", "test"}, {"l", 0, 900, "", "test"}, {"", 1000, 1100, "涨价", "test"}}, got)
	assert.EqualValues(t, 4, *found.Total)
	first, err := w.PriceHistory(w.ctx, w.a.ID, ptr[int32](3), nil, false)
	require.NoError(t, err)
	second, err := w.PriceHistory(w.ctx, w.a.ID, ptr[int32](3), first.Next, false)
	require.NoError(t, err)
	assert.Len(t, second.Items, 1)

	_, err = w.UpdateProduct(w.ctx, w.p.ID, nil, ProductChange{Status: ptr("archived"), Reason: "停产"})
	require.NoError(t, err)
	_, err = w.UpdateVariant(w.ctx, w.b.ID, nil, VariantChange{Status: ptr("archived")})
	require.NoError(t, err)
	states, err := w.StatusHistory(w.ctx, w.p.ID, nil, nil, false)
	require.NoError(t, err)
	require.Len(t, states.Items, 2)
	assert.Equal(t, w.b.ID, *states.Items[0].VariantID)
	assert.Equal(t, "停产", states.Items[1].Reason)
	assert.Nil(t, states.Items[1].VariantID)

	for _, table := range []string{"variant_price_changes", "product_status_changes"} {
		_, err = w.db.Exec(w.ctx, "UPDATE "+table+" SET reason = 'x'")
		require.Error(t, err, "it only grows")
		_, err = w.db.Exec(w.ctx, "DELETE FROM "+table)
		require.Error(t, err)
	}
}

func TestListsOfPricesPage(t *testing.T) {
	w := newShop(t)
	l := w.list(PriceListInput{Code: "one", StoreID: &w.store, Channel: ptr("pos"), Tier: ptr("gold")}, 900)
	w.list(PriceListInput{Code: "two"}, 900)
	for q := int64(2); q < 6; q++ {
		_, _, err := w.SetEntries(w.ctx, l.ID, nil, []EntryInput{{SKU: ptr("A"), MinQuantity: q, Amount: ptr(900 - q)}, {SKU: ptr("B"), MinQuantity: q, Amount: ptr(900 - q)}}, "")
		require.NoError(t, err)
	}
	var seen int
	var cursor *string
	for {
		got, err := w.ListEntries(w.ctx, l.ID, nil, "", ptr[int32](2), cursor, false)
		require.NoError(t, err)
		seen += len(got.Items)
		if cursor = got.Next; cursor == nil {
			break
		}
	}
	assert.Equal(t, 9, seen)
	some, err := w.ListEntries(w.ctx, l.ID, nil, "B", nil, nil, true)
	require.NoError(t, err)
	assert.EqualValues(t, 4, *some.Total)

	lists, err := w.ListPriceLists(w.ctx, PriceListFilter{Limit: ptr[int32](1), Total: true})
	require.NoError(t, err)
	assert.EqualValues(t, 2, *lists.Total)
	rest, err := w.ListPriceLists(w.ctx, PriceListFilter{Limit: ptr[int32](1), Cursor: lists.Next})
	require.NoError(t, err)
	assert.Equal(t, "one", rest.Items[0].Code)
	for _, f := range []PriceListFilter{{StoreID: &w.store}, {Channel: "pos"}, {Tier: "gold"}} {
		got, err := w.ListPriceLists(w.ctx, f)
		require.NoError(t, err)
		require.Len(t, got.Items, 1)
		assert.Equal(t, l.ID, got.Items[0].ID)
	}
	none, err := w.ListPriceLists(w.ctx, PriceListFilter{Status: "archived"})
	require.NoError(t, err)
	assert.Empty(t, none.Items)
}
