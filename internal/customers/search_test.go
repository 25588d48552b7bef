package customers

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/pii"
	"github.com/shuke-crm/shuke/internal/platform/pii/fakepeople"
)

// pages follows a list to its end and returns the ids in order.
func (w *world) pages(ctx context.Context, f Filter, limit int) []uuid.UUID {
	w.t.Helper()
	var out []uuid.UUID
	var cursor *string
	for range 1000 {
		p, err := w.List(ctx, f, Paging{Limit: limit, Cursor: cursor})
		require.NoError(w.t, err)
		assert.LessOrEqual(w.t, len(p.Items), limit)
		for _, c := range p.Items {
			out = append(out, c.ID)
		}
		assert.Equal(w.t, p.HasMore, p.Next != "")
		if !p.HasMore {
			return out
		}
		cursor = &p.Next
	}
	w.t.Fatal("the list has no end")
	return nil
}

// small makes some hundred people in two stores with three assistants.
func (w *world) small(n int) []*Customer {
	gen := fakepeople.New(3)
	r := rand.New(rand.NewPCG(5, 5))
	stores := []uuid.UUID{w.storeA, w.storeA, w.storeB}
	staff := []uuid.UUID{w.ann, w.bob, w.cy}
	items := make([]BulkItem, n)
	for i := range items {
		p, k := gen.Person(), r.IntN(4)
		in := &items[i].Input
		in.Name, in.Phone = some(p.Name), some(p.Phone)
		if i%10 == 0 {
			in.Name = some([]string{"John Smith", "Maria Björk", "王", "李 Anna", "阿卜杜拉·买买提"}[i/10%5])
		}
		if k < 3 {
			in.HomeStoreID, in.AssignedStaffID = some(stores[k]), some(staff[k])
		}
		if i%7 == 0 {
			in.Tags = &[]string{"VIP"}
		}
		in.LifecycleStage = &stages[i%len(stages)]
	}
	var all []*Customer
	for part := range 5 { // in blocks 0 (as from before there were blocks), 2, 4, 6 and 8
		b := &w.blocks
		b.next = int64(2 * part * blockSize)
		b.end = b.next + 1000
		w.now = w.now.Add(time.Second) // ids ascend with blocks
		out, err := w.Bulk(w.admin(), BulkCreate, items[part*n/5:(part+1)*n/5])
		require.NoError(w.t, err)
		for _, o := range out {
			require.NoError(w.t, o.Err)
			c, err := w.Get(w.admin(), o.CustomerID)
			require.NoError(w.t, err)
			all = append(all, c)
		}
	}
	return all
}

// Whatever is searched for, whoever searches and whichever way is taken, the
// pages hold exactly what a look at every customer would find, newest first.
func TestSearchFindsWhatBruteForceFinds(t *testing.T) {
	w := newWorld(t)
	all := w.small(400)
	scopes := map[string]struct {
		ctx   context.Context
		scope auth.Scope
	}{
		"administrator": {w.admin(), auth.Scope{All: true}},
		"manager":       {w.manager(w.storeA), auth.Scope{StoreIDs: []uuid.UUID{w.storeA}}},
		"two stores":    {w.manager(w.storeA, w.storeB), auth.Scope{StoreIDs: []uuid.UUID{w.storeA, w.storeB}}},
		"assistant":     {w.assistant(w.ann), auth.Scope{OwnStaff: []uuid.UUID{w.ann}}},
		"mixed":         {w.as("assistant", auth.Scope{OwnStaff: []uuid.UUID{w.ann}, StoreIDs: []uuid.UUID{w.storeB}}, w.ann), auth.Scope{OwnStaff: []uuid.UUID{w.ann}, StoreIDs: []uuid.UUID{w.storeB}}},
		"deputy":        {w.as("assistant", auth.Scope{OwnStaff: []uuid.UUID{w.ann, w.bob}}, w.ann), auth.Scope{OwnStaff: []uuid.UUID{w.ann, w.bob}}},
		"nobody":        {w.manager(), auth.Scope{}},
	}
	needles := []string{"wang", "li", "zh", "王小", "王x", "李a", "smi", "john s", "bjo", "js", "阿卜", "mai", "xx", "wangxiaoming"}
	for i := 1; i < len(all); i += 37 {
		han := []rune(all[i].Name)
		needles = append(needles, all[i].Name, string(han[max(0, len(han)-2):]), string(han[:min(2, len(han))]))
	}
	expect := func(sc auth.Scope, match func(*Customer) bool) (ids []uuid.UUID) {
		for _, c := range all {
			if sc.Sees(c.storeID(), c.staffID()) && match(c) {
				ids = append(ids, c.ID)
			}
		}
		slices.SortFunc(ids, func(a, b uuid.UUID) int { return compareIDs(b, a) })
		return ids
	}
	for _, forced := range []float64{1e-6, 1} { // share of rows that statistics claim for every owner: next to none (walk), or all
		w.stats = &tokenStats{read: time.Now().Add(time.Hour), rows: 400, tokens: map[int32]float64{}, stores: owners{rest: forced}, staff: owners{rest: forced}}
		for name, as := range scopes {
			for _, needle := range needles {
				_, matcher, err := pii.QueryTokens(needle)
				if err != nil {
					continue
				}
				want := expect(as.scope, func(c *Customer) bool { return matcher.Match(c.Name) })
				assert.Equal(t, want, w.pages(as.ctx, Filter{Name: needle}, 7), "%s searches %s, claimed share %v", name, needle, forced)
			}
		}
	}
	for name, as := range scopes {
		c := all[len(all)/2]
		last := pii.Last4(c.Phone)
		assert.Equal(t, expect(as.scope, func(o *Customer) bool { return pii.Last4(o.Phone) == last }), w.pages(as.ctx, Filter{PhoneLast4: last}, 3), name)
		assert.Equal(t, expect(as.scope, func(o *Customer) bool { return o.Phone == c.Phone }), w.pages(as.ctx, Filter{Phone: c.Phone}, 3), name)
		assert.Equal(t, expect(as.scope, func(*Customer) bool { return true }), w.pages(as.ctx, Filter{}, 50), name)
		assert.Equal(t, expect(as.scope, func(o *Customer) bool { return len(o.Tags) > 0 }), w.pages(as.ctx, Filter{Tag: "VIP"}, 9), name)
		assert.Equal(t, expect(as.scope, func(o *Customer) bool { return o.LifecycleStage == "lost" && o.staffID() == w.ann }),
			w.pages(as.ctx, Filter{LifecycleStage: "lost", AssignedStaffID: w.ann}, 5), name)
		assert.Equal(t, expect(as.scope, func(o *Customer) bool { return o.storeID() == w.storeB }), w.pages(as.ctx, Filter{StoreID: w.storeB}, 20), name)
		oldest := expect(as.scope, func(*Customer) bool { return true })
		slices.Reverse(oldest)
		assert.Equal(t, oldest, w.pages(as.ctx, Filter{Sort: Oldest}, 33), name)
		n, err := w.List(as.ctx, Filter{Tag: "VIP"}, Paging{Limit: 1, Count: true})
		require.NoError(t, err)
		assert.Equal(t, int64(len(expect(as.scope, func(o *Customer) bool { return len(o.Tags) > 0 }))), *n.Total, name)
	}
}

func TestSearchRefusals(t *testing.T) {
	w := newWorld(t)
	for needle, code := range map[string]string{"王": "search.too_short", "w": "search.too_short", " ": "search.too_short", strings.Repeat("王", 65): "search.too_long"} {
		_, err := w.List(w.admin(), Filter{Name: needle}, Paging{Limit: 5})
		require.NotNil(t, apperr.From(err), needle)
		assert.Equal(t, code, apperr.From(err).Def.Code)
	}
	_, err := w.List(w.admin(), Filter{Phone: "12"}, Paging{Limit: 5})
	assert.True(t, ErrPhone.Is(err))
}

func TestListsByChangeAndTime(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	start := w.now
	var made []*Customer
	for i := range 6 {
		w.now = start.Add(time.Duration(i) * time.Hour)
		made = append(made, w.add(Input{Name: some("李" + string(rune('一'+i)))}))
	}
	w.now = start.Add(24 * time.Hour)
	_, err := w.Update(ctx, made[2].ID, Input{Gender: ptr("female")}, nil)
	require.NoError(t, err)
	id := func(places ...int) (out []uuid.UUID) {
		for _, i := range places {
			out = append(out, made[i].ID)
		}
		return out
	}
	assert.Equal(t, id(2, 5, 4, 3, 1, 0), w.pages(ctx, Filter{Sort: LastChanged}, 2))
	assert.Equal(t, id(0, 1, 3, 4, 5, 2), w.pages(ctx, Filter{Sort: FirstChanged}, 2))
	assert.Equal(t, id(2, 5), w.pages(ctx, Filter{Sort: LastChanged, UpdatedAfter: ptr(start.Add(5 * time.Hour))}, 2))

	p, err := w.List(ctx, Filter{}, Paging{Limit: 2})
	require.NoError(t, err)
	_, err = w.List(ctx, Filter{Sort: Oldest}, Paging{Limit: 2, Cursor: &p.Next})
	assert.True(t, apperr.ErrBadCursor.Is(err), "a cursor belongs to its list")
	_, err = w.List(ctx, Filter{LifecycleStage: "new"}, Paging{Limit: 2, Cursor: &p.Next})
	assert.True(t, apperr.ErrBadCursor.Is(err), "and to its filters")
	assert.NotContains(t, p.Next, "李")
}

func TestCreationTimesBoundByIds(t *testing.T) {
	w := newWorld(t)
	before := w.now.Add(-time.Minute)
	c := w.add(Input{Name: some("李雷")})
	got := w.pages(w.admin(), Filter{CreatedAfter: &before, CreatedBefore: ptr(w.now.Add(time.Minute))}, 5)
	assert.Equal(t, []uuid.UUID{c.ID}, got)
	assert.Empty(t, w.pages(w.admin(), Filter{CreatedBefore: &before}, 5))
	assert.Empty(t, w.pages(w.admin(), Filter{CreatedAfter: ptr(w.now.Add(time.Second))}, 5))
}
