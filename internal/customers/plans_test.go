package customers

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/pgtest"
	"github.com/shuke-crm/shuke/internal/platform/pii"
	"github.com/shuke-crm/shuke/internal/platform/pii/fakepeople"
)

// crowd is a world with many customers in ten stores of different size, each
// with assistants of about 500 customers.
type crowd struct {
	*world
	clone     pgtest.Database
	n         int
	stores    []uuid.UUID
	assistant uuid.UUID
	people    *fakepeople.Generator
}

func newCrowd(t testing.TB, n int) *crowd {
	t.Helper()
	return newCrowdWith(t, n, nil, func(*rand.Rand, *Input) {})
}

// newCrowdWith makes a crowd whose customers have more than a name, phone and
// store: custom fields, which fill sets.
func newCrowdWith(t testing.TB, n int, fields []FieldInput, fill func(*rand.Rand, *Input)) *crowd {
	t.Helper()
	clone := pgtest.NewDatabase(t)
	pg := clone.Open(t)
	c := &crowd{world: newWorldOn(t, pg), clone: clone, n: n, people: fakepeople.New(7)}
	for _, f := range fields {
		_, err := c.CreateField(c.admin(), f)
		require.NoError(t, err)
	}
	ctx := auth.System(t.Context(), "load")
	c.stores = []uuid.UUID{c.storeA, c.storeB}
	for i := 2; i < 10; i++ {
		id := uuid.Must(uuid.NewV7())
		pg.Platform.Store.Create().SetID(id).SetCode("S" + strconv.Itoa(i)).SetName("店" + strconv.Itoa(i)).SaveX(ctx)
		c.stores = append(c.stores, id)
	}
	weights := []int{30, 20, 12, 10, 8, 6, 5, 4, 3, 2}
	staff := map[int][]uuid.UUID{}
	for s, weight := range weights {
		for k := range max(1, n*weight/100/500) {
			id := uuid.Must(uuid.NewV7())
			pg.Platform.Staff.Create().SetID(id).SetUsername(fmt.Sprintf("s%d-%d", s, k)).SetName("导购").SetPasswordHash("x").SetStoreID(c.stores[s]).SaveX(ctx)
			staff[s] = append(staff[s], id)
		}
	}
	c.assistant = staff[0][0]
	start := time.Now()
	var wg sync.WaitGroup
	var next atomic.Int64
	for range 2 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				from := int(next.Add(1000)) - 1000
				if from >= n {
					return
				}
				items := make([]BulkItem, min(1000, n-from))
				for i := range items {
					p := c.people.At(from + i)
					r := rand.New(rand.NewPCG(1, uint64(from+i)))
					s, at := 0, r.IntN(100)
					for at -= weights[0]; at >= 0; at -= weights[s] {
						s++
					}
					in := &items[i].Input
					in.Name, in.Phone, in.HomeStoreID = some(p.Name), some(p.Phone), some(c.stores[s])
					in.AssignedStaffID = some(staff[s][r.IntN(len(staff[s]))])
					if p.Email != "" {
						in.Email = some(p.Email)
					}
					in.ExternalID = some("P" + strconv.Itoa(from+i))
					fill(r, in)
				}
				out, err := c.Bulk(ctx, BulkCreate, items)
				if err != nil {
					t.Error(err)
					return
				}
				for _, o := range out {
					if o.Err != nil {
						t.Error(o.Err)
						return
					}
				}
			}
		}()
	}
	wg.Wait()
	t.Logf("loaded %d customers, %.0f per second", n, float64(n)/time.Since(start).Seconds())
	_, err := clone.Owner(t).Exec("VACUUM ANALYZE customers, customer_field_values")
	require.NoError(t, err)
	return c
}

// needles are ten thousand different things people look for, the commonest
// surnames and pairs among them.
func (c *crowd) needles(kind string) []string {
	seen := map[string]bool{}
	var out []string
	add := func(s string) {
		if s != "" && !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	if kind == "name" {
		for _, s := range []string{"wang", "li", "zhang", "liu", "chen", "yang", "huang", "zhao", "wu", "zhou", "wa", "zh", "xi", "王小", "王x", "王明", "李伟", "王伟", "张伟", "wx"} {
			add(s)
		}
	}
	for i := 0; len(out) < 10000 && i < c.n; i++ {
		p := c.people.At(i)
		han := []rune(p.Name)
		switch kind {
		case "phone":
			add(p.Phone)
		case "last4":
			add(pii.Last4(p.Phone))
		case "name":
			switch i % 4 {
			case 0:
				add(p.Name)
			case 1:
				add(string(han[:2]))
			case 2:
				add(string(han[len(han)-2:]))
			case 3:
				var terms []string
				for _, t := range pii.NameTokens(p.Name) {
					if strings.HasPrefix(t, "l:") {
						terms = append(terms, t[2:])
					}
				}
				add(terms[i/4%len(terms)])
			}
		}
	}
	return out
}

// TestSearchAtScale measures searches among SHUKE_PLAN_CUSTOMERS customers and
// prints the plans kept in docs/plans.
func TestSearchAtScale(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("SHUKE_PLAN_CUSTOMERS"))
	if n == 0 {
		t.Skip("set SHUKE_PLAN_CUSTOMERS, for example to 1000000")
	}
	c := newCrowd(t, n)
	callers := []struct {
		name string
		ctx  context.Context
	}{
		{"administrator", c.admin()}, {"manager of one store", c.manager(c.stores[1])}, {"manager of three stores", c.manager(c.stores[1], c.stores[4], c.stores[6])},
		{"assistant", c.world.assistant(c.assistant)},
	}
	for _, kind := range []string{"phone", "last4", "name", "list"} {
		needles := c.needles(kind)
		if kind == "list" {
			needles = make([]string, 2000)
		}
		for _, who := range callers {
			c.measure(t, who.name, who.ctx, kind, needles)
		}
	}
	c.plans(t, callers[0].ctx, callers[1].ctx, callers[2].ctx, callers[3].ctx)
}

// crowdFields are custom fields of every kind, as skewed as real ones.
var crowdFields = func() []FieldInput {
	field := func(key string, kind FieldKind, choices ...string) FieldInput {
		f := FieldInput{Key: key, Kind: kind, Filterable: true, FieldRules: FieldRules{Labels: Labels{key, key}}}
		for _, v := range choices {
			f.Validation.Choices = append(f.Validation.Choices, Choice{Value: v, Labels: Labels{v, v}})
		}
		return f
	}
	return []FieldInput{field("shoe", FieldNumber), field("joined", FieldDate), field("fit", FieldChoice, "regular", "slim", "tall"),
		field("clubs", FieldMultiChoice, "reading", "running", "tea", "opera"), field("vip", FieldBoolean), field("badge", FieldText)}
}()

// fillCrowd gives three of four customers values: a size by the bell curve, a
// day of ten years, a fit that most have, clubs that few are in, a badge of
// their own.
func fillCrowd(r *rand.Rand, in *Input) {
	if r.IntN(4) == 0 {
		return
	}
	values := map[string]any{
		"shoe": math.Round(2*(40+2.5*r.NormFloat64())) / 2, "joined": time.Date(2016, 1, 1+r.IntN(3650), 0, 0, 0, 0, time.UTC).Format(time.DateOnly),
		"fit": "regular", "vip": r.IntN(50) == 0, "badge": fmt.Sprintf("B%07d", r.IntN(10_000_000)),
	}
	switch at := r.IntN(100); {
	case at < 20:
		values["fit"] = "slim"
	case at < 22:
		values["fit"] = "tall"
	}
	if at := r.IntN(40); at < 3 {
		values["clubs"] = []any{[]string{"reading", "running", "tea"}[at], "tea"}
	} else if r.IntN(2000) == 0 {
		values["clubs"] = []any{"opera"}
	}
	in.CustomFields = &values
}

// TestFieldsAtScale prints the plans of lists filtered and sorted by custom
// fields among SHUKE_PLAN_CUSTOMERS customers, kept in docs/plans, and measures
// each. None may read the whole table.
func TestFieldsAtScale(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("SHUKE_PLAN_CUSTOMERS"))
	if n == 0 {
		t.Skip("set SHUKE_PLAN_CUSTOMERS, for example to 1000000")
	}
	c := newCrowdWith(t, n, crowdFields, fillCrowd)
	admin, manager := c.admin(), c.manager(c.stores[1])
	is := func(key string, values ...string) FieldFilter { return FieldFilter{key, OpAnyOf, values} }
	for _, one := range []struct {
		title string
		ctx   context.Context
		f     Filter
	}{
		{"A size that many have, administrator", admin, Filter{Fields: []FieldFilter{is("shoe", "40")}}},
		{"A size that many have, manager of one store", manager, Filter{Fields: []FieldFilter{is("shoe", "40")}}},
		{"A size that nobody has, administrator", admin, Filter{Fields: []FieldFilter{is("shoe", "20")}}},
		{"A choice that most have, administrator", admin, Filter{Fields: []FieldFilter{is("fit", "regular")}}},
		{"A rare one of several choices, administrator", admin, Filter{Fields: []FieldFilter{is("clubs", "opera")}}},
		{"A badge of one's own, administrator", admin, Filter{Fields: []FieldFilter{is("badge", "B0001234")}}},
		{"The beginning of a badge, administrator", admin, Filter{Fields: []FieldFilter{{"badge", OpPrefix, []string{"B00012"}}}}},
		{"Large sizes, administrator", admin, Filter{Fields: []FieldFilter{{"shoe", OpGTE, []string{"47"}}}}},
		{"Sizes below the middle, administrator", admin, Filter{Fields: []FieldFilter{{"shoe", OpLT, []string{"40"}}}}},
		{"One of two days, administrator", admin, Filter{Fields: []FieldFilter{is("joined", "2020-05-01", "2020-05-02")}}},
		{"Those who have a value, administrator", admin, Filter{Fields: []FieldFilter{{"shoe", OpPresent, nil}}}},
		{"Two fields together, administrator", admin, Filter{Fields: []FieldFilter{is("fit", "tall"), {"shoe", OpGTE, []string{"44"}}}}},
		{"Two fields together, manager of one store", manager, Filter{Fields: []FieldFilter{is("fit", "tall"), {"shoe", OpGTE, []string{"44"}}}}},
		{"Sorted by size, administrator", admin, Filter{Sort: "custom_fields.shoe"}},
		{"Sorted by size from the largest, manager of one store", manager, Filter{Sort: "-custom_fields.shoe"}},
		{"Sorted by day, of a common choice, administrator", admin, Filter{Sort: "-custom_fields.joined", Fields: []FieldFilter{is("fit", "slim")}}},
		{"Sorted by badge, oldest members of a store", manager, Filter{Sort: "custom_fields.badge", Fields: []FieldFilter{{"joined", OpLT, []string{"2017-01-01"}}}}},
	} {
		f := withOrder(one.f)
		q, err := c.plan(one.ctx, &f)
		require.NoError(t, err, one.title)
		plan := c.explain(t, one.title, q.rows(51))
		require.NotContains(t, plan, "Seq Scan on customers", one.title)
		require.NotContains(t, plan, "Seq Scan on customer_field_values", one.title)
		took := make([]time.Duration, 20)
		for i := range took {
			begun := time.Now()
			_, err := c.List(one.ctx, one.f, Paging{Limit: 50})
			require.NoError(t, err, one.title)
			took[i] = time.Since(begun)
		}
		slices.Sort(took)
		t.Logf("%-60s p50 %s max %s", one.title, took[10].Round(10*time.Microsecond), took[19].Round(10*time.Microsecond))
	}
}

func (c *crowd) measure(t *testing.T, who string, ctx context.Context, kind string, needles []string) {
	var wg sync.WaitGroup
	var next atomic.Int64
	took := make([]time.Duration, len(needles))
	hits := make([]int, len(needles))
	start := time.Now()
	for range 16 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				i := int(next.Add(1)) - 1
				if i >= len(needles) {
					return
				}
				f := Filter{}
				switch kind {
				case "phone":
					f.Phone = needles[i]
				case "last4":
					f.PhoneLast4 = needles[i]
				case "name":
					f.Name = needles[i]
				}
				begun := time.Now()
				p, err := c.List(ctx, f, Paging{Limit: 50})
				took[i] = time.Since(begun)
				if err != nil {
					t.Errorf("%s %q: %v", kind, needles[i], err)
					return
				}
				hits[i] = len(p.Items)
			}
		}()
	}
	wg.Wait()
	wall := time.Since(start)
	order := make([]int, len(needles))
	total := 0
	for i := range order {
		order[i] = i
		total += hits[i]
	}
	slices.SortFunc(order, func(a, b int) int { return int(took[a] - took[b]) })
	at := func(q float64) time.Duration {
		return took[order[int(q*float64(len(order)-1))]].Round(10 * time.Microsecond)
	}
	t.Logf("%-5s as %-24s %6d needles: p50 %8s p95 %8s p99 %8s max %8s, %6.0f/s, %.1f hits", kind, who, len(needles), at(.5), at(.95), at(.99), at(1),
		float64(len(needles))/wall.Seconds(), float64(total)/float64(len(needles)))
	if kind == "name" {
		var worst []string
		for _, i := range order[max(0, len(order)-8):] {
			worst = append(worst, fmt.Sprintf("%s %s (%d)", needles[i], took[i].Round(time.Millisecond), hits[i]))
		}
		t.Logf("      slowest: %s", strings.Join(worst, ", "))
	}
}

var hidden = regexp.MustCompile(`(?m)'(\{[-0-9,]+\}|\\x[0-9a-f]+|[-0-9]+)'`)

// plans prints EXPLAIN ANALYZE of the statements behind searches.
func (c *crowd) plans(t *testing.T, admin, manager, three, own context.Context) {
	for _, one := range []struct {
		title string
		ctx   context.Context
		f     Filter
	}{
		{"Full phone, administrator", admin, Filter{Phone: c.people.At(5).Phone}},
		{"Last four digits, administrator", admin, Filter{PhoneLast4: "1234"}},
		{"Last four digits, manager of one store", manager, Filter{PhoneLast4: "1234"}},
		{"Rare fragment, administrator", admin, Filter{Name: c.people.At(5).Name}},
		{"Commonest surname in pinyin, administrator", admin, Filter{Name: "wang"}},
		{"Commonest surname in pinyin, manager of one store", manager, Filter{Name: "wang"}},
		{"Commonest surname in pinyin, manager of three stores", three, Filter{Name: "wang"}},
		{"Commonest surname in pinyin, assistant", own, Filter{Name: "wang"}},
		{"Newest customers, administrator", admin, Filter{}},
		{"Newest customers, manager of one store", manager, Filter{}},
		{"Newest customers, manager of three stores", three, Filter{}},
		{"Newest customers, assistant", own, Filter{}},
	} {
		q, err := c.plan(one.ctx, ptr(withOrder(one.f)))
		require.NoError(t, err)
		st := q.rows(51)
		if one.f.Name != "" {
			last, err := c.blocks.last(one.ctx, c.pg.SQL)
			require.NoError(t, err)
			e, err := c.expect(one.ctx, q, last)
			require.NoError(t, err)
			st = q.inverted(c.keys, max(0, last-e.blocks(51)-blocksAhead+1), last, 51)
			if e.shouldWalk(q, 50) {
				st = q.walking(c.keys, last, 51, scanBound)
			}
		}
		c.explain(t, one.title, st)
	}
	// All blocks at once, as for a fragment that the newest blocks do not have.
	q, err := c.plan(admin, ptr(withOrder(Filter{Name: c.people.At(5).Name})))
	require.NoError(t, err)
	last, err := c.blocks.last(admin, c.pg.SQL)
	require.NoError(t, err)
	c.explain(t, "Rare fragment, administrator, all blocks", q.inverted(c.keys, 0, last, 51))
}

func (c *crowd) explain(t *testing.T, title string, st clause) (plan string) {
	t.Helper()
	rows, err := c.pg.SQL.Query("EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) "+st.numbered(), st.args...)
	require.NoError(t, err)
	var lines []string
	for rows.Next() {
		var line string
		require.NoError(t, rows.Scan(&line))
		lines = append(lines, hidden.ReplaceAllString(line, "'…'"))
	}
	require.NoError(t, rows.Close())
	fmt.Printf("### %s\n\n```\n%s\n\n%s\n```\n\n", title, strings.ReplaceAll(st.numbered(), columns, "…"), strings.Join(lines, "\n"))
	return strings.Join(lines, "\n")
}

func withOrder(f Filter) Filter {
	f.Sort = f.order()
	return f
}
