package segments

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/jobs"
	"github.com/shuke-crm/shuke/internal/platform/lifecycle"
	"github.com/shuke-crm/shuke/internal/platform/rfm"
)

func (d *desk) stage(c uuid.UUID) (stage string) {
	d.t.Helper()
	require.NoError(d.t, d.db.QueryRow(d.ctx, "SELECT lifecycle_stage FROM customers WHERE id = $1", c).Scan(&stage))
	return stage
}

// history is each change as "from>to cause/rule", the first one first.
func (d *desk) history(c uuid.UUID) []string {
	d.t.Helper()
	rows, err := d.db.Query(d.ctx, `SELECT coalesce(from_stage, '') || '>' || to_stage || ' ' || cause || '/' || coalesce(rule, '') FROM customer_lifecycle_changes
		WHERE customer_id = $1 ORDER BY changed_at, id`, c)
	require.NoError(d.t, err)
	defer rows.Close()
	out := []string{}
	for rows.Next() {
		var s string
		require.NoError(d.t, rows.Scan(&s))
		out = append(out, s)
	}
	require.NoError(d.t, rows.Err())
	return out
}

// made is a customer of the service's own clock.
func (d *desk) made(in customers.Input) uuid.UUID {
	d.t.Helper()
	in.ExternalID.Set(uuid.NewString())
	c, err := d.customers.Create(auth.With(d.ctx, auth.Actor{Kind: auth.KindSystem, Scope: auth.Scope{All: true}, Permissions: auth.NewPermissionSet(auth.All()...)}), in)
	require.NoError(d.t, err)
	return c.ID
}

// rule puts rules in force, without the job that follows.
func (d *desk) rules(rules ...lifecycle.Rule) {
	d.t.Helper()
	now, err := loadLifecycle(d.ctx, d.db.Clients)
	require.NoError(d.t, err)
	tag := etag.Of(now.Version)
	_, err = d.UpdateLifecycle(d.ctx, &tag, lifecycle.Settings{Rules: rules})
	require.NoError(d.t, err)
	require.NoError(d.t, d.customers.AwaitRules(d.ctx))
}

func ptr[T any](v T) *T { return &v }

func TestStagesFollowPurchasesAndTheCalendar(t *testing.T) {
	d := open(t)
	c, pinned := d.made(customers.Input{}), d.made(customers.Input{LifecycleStage: ptr("lost")})
	d.apply(d.bought(c, 0, 10000), d.bought(pinned, 0, 10000))
	assert.Equal(t, "new", d.stage(c))
	var version int64
	require.NoError(t, d.db.QueryRow(d.ctx, "SELECT version FROM customers WHERE id = $1", c).Scan(&version))
	assert.EqualValues(t, 2, version)
	for i := 1; i < 5; i++ { // late tickets
		d.set(d.clock.Now().Add(time.Second))
		d.apply(d.bought(c, i, 10000))
	}
	assert.Equal(t, "loyal", d.stage(c))
	changes := map[int]string{}
	last := "loyal"
	for day := range 400 {
		d.set(time.Date(2026, 7, 1, 0, 0, 1, 0, zone).AddDate(0, 0, day))
		_, err := d.RebandDue(d.ctx)
		require.NoError(t, err)
		if now := d.stage(c); now != last {
			changes[day], last = now, now
		}
	}
	assert.Equal(t, map[int]string{
		15:  "new",    // no longer loyal; the first purchase was 19 days ago
		27:  "active", // it was 31 days ago
		363: "dormant",
		366: "lost",
	}, changes)
	assert.Equal(t, []string{"prospect>new order/new", "new>loyal order/loyal", "loyal>new calendar/new", "new>active calendar/", "active>dormant calendar/dormant",
		"dormant>lost calendar/lost"}, d.history(c))
	d.apply(DayDelta{CustomerID: c, Day: d.clock.Today(), Orders: 1, Units: 1, Spent: 1})
	assert.Equal(t, "active", d.stage(c))

	assert.Equal(t, "lost", d.stage(pinned), "set by hand")
	assert.Equal(t, []string{">lost system/"}, d.history(pinned))
	as := auth.With(d.ctx, auth.Actor{Kind: auth.KindStaff, ID: uuid.New(), Scope: auth.Scope{All: true}, Permissions: auth.NewPermissionSet(auth.All()...)})
	got, err := d.customers.ReleaseStage(as, pinned, nil)
	require.NoError(t, err)
	assert.Equal(t, "lost", got.LifecycleStage, "the rules say so too by now")
	_, err = d.customers.Update(as, pinned, customers.Input{LifecycleStage: ptr("loyal")}, nil)
	require.NoError(t, err)
	d.set(d.clock.Now().Add(time.Second))
	got, err = d.customers.ReleaseStage(as, pinned, nil)
	require.NoError(t, err)
	assert.Equal(t, "lost", got.LifecycleStage)
	assert.Equal(t, []string{">lost system/", "lost>loyal manual/", "loyal>lost release/lost"}, d.history(pinned))

	var events, audited int
	require.NoError(t, d.db.QueryRow(d.ctx, "SELECT count(*) FROM outbox_events WHERE type = $1 AND subject_id = $2", customers.EventStageChanged, c).Scan(&events))
	require.NoError(t, d.db.QueryRow(d.ctx, "SELECT count(*) FROM audit_logs WHERE action = 'customers.lifecycle' AND object_id = $1", c.String()).Scan(&audited))
	assert.Equal(t, []int{7, 7}, []int{events, audited})
	var payload []byte
	require.NoError(t, d.db.QueryRow(d.ctx, "SELECT payload FROM outbox_events WHERE type = $1 AND subject_id = $2 ORDER BY seq LIMIT 1", customers.EventStageChanged, c).Scan(&payload))
	var said map[string]any
	require.NoError(t, json.Unmarshal(payload, &said))
	assert.Equal(t, map[string]any{"from": "prospect", "to": "new", "cause": "order", "rule": "new"}, said)
}

// Records get older without buying: midnight moves them, also after nights on
// which nobody was there.
func TestStagesOfThoseWhoNeverBought(t *testing.T) {
	d := open(t)
	d.rules(lifecycle.Rule{Code: "fresh", Stage: lifecycle.New, CreatedBelow: ptr(7)}, lifecycle.Rule{Code: "stale", Stage: lifecycle.Lost, CreatedAbove: ptr(30)})
	c := d.made(customers.Input{})
	assert.Equal(t, "new", d.stage(c))
	night := func(day int) {
		d.set(time.Date(2026, 7, 1, 0, 0, 1, 0, zone).AddDate(0, 0, day))
		require.NoError(t, d.Age(d.ctx))
	}
	night(0)
	later := []uuid.UUID{}
	d.set(time.Date(2026, 7, 1, 23, 59, 59, 0, zone))
	later = append(later, d.made(customers.Input{}))
	d.set(time.Date(2026, 7, 2, 0, 0, 0, 0, zone))
	later = append(later, d.made(customers.Input{}))
	for day := 1; day < 7; day++ {
		night(day)
		assert.Equal(t, "new", d.stage(c))
	}
	night(7)
	assert.Equal(t, []string{"prospect", "prospect", "new"}, []string{d.stage(c), d.stage(later[0]), d.stage(later[1])})
	night(60)
	assert.Equal(t, []string{"lost", "lost", "lost"}, []string{d.stage(c), d.stage(later[0]), d.stage(later[1])}, "52 nights at once")
	assert.Equal(t, []string{">new rules/", "new>prospect calendar/", "prospect>lost calendar/stale"}, d.history(c))
}

// A card makes a member: the write of the record moves its stage.
func TestStageFollowsTheRecord(t *testing.T) {
	d := open(t)
	d.rules(lifecycle.Rule{Code: "holder", Stage: lifecycle.Loyal, HasCard: ptr(true), OrdersAtLeast: ptr(int64(1))}, lifecycle.Rule{Code: "member", Stage: lifecycle.New, HasCard: ptr(true)})
	c := d.made(customers.Input{})
	as := auth.With(d.ctx, auth.Actor{Kind: auth.KindStaff, ID: uuid.New(), Scope: auth.Scope{All: true}, Permissions: auth.NewPermissionSet(auth.All()...)})
	in := customers.Input{}
	in.CardNumber.Set("88001234")
	_, err := d.customers.Update(as, c, in, nil)
	require.NoError(t, err)
	assert.Equal(t, "new", d.stage(c))
	d.set(d.clock.Now().Add(time.Second))
	d.apply(d.bought(c, 0, 1))
	assert.Equal(t, "loyal", d.stage(c))
	d.set(d.clock.Now().Add(time.Second))
	in.CardNumber.SetNull()
	_, err = d.customers.Update(as, c, in, nil)
	require.NoError(t, err)
	assert.Equal(t, []string{"prospect>new rules/member", "new>loyal order/holder", "loyal>active rules/"}, d.history(c))
}

// What the preview says is what the job does, for any rules and customers: the
// rules in Go and in SQL are the same.
func TestPreviewIsWhatTheJobDoes(t *testing.T) {
	d := open(t)
	random := rand.New(rand.NewPCG(1, 2))
	var people []uuid.UUID
	for i := range 300 {
		d.set(time.Date(2026, 7, 1, 12, 0, 0, 0, zone).AddDate(0, 0, -random.IntN(60)))
		in := customers.Input{}
		if i%3 == 0 {
			in.CardNumber.Set(fmt.Sprintf("8800%06d", i))
		}
		if i%17 == 0 {
			in.LifecycleStage = ptr("dormant")
		}
		people = append(people, d.made(in))
	}
	d.set(time.Date(2026, 7, 1, 12, 0, 0, 0, zone))
	var deltas []DayDelta
	for range 600 {
		c := people[random.IntN(200)]
		delta := d.bought(c, random.IntN(60)-2, int64(random.IntN(200)))
		if random.IntN(4) == 0 {
			delta = DayDelta{CustomerID: c, Day: delta.Day, Returns: 1, Returned: int64(random.IntN(100))}
		}
		deltas = append(deltas, delta)
	}
	d.apply(deltas...)
	maybe := func(n int) *int {
		if random.IntN(3) > 0 {
			return nil
		}
		return ptr(1 + random.IntN(n))
	}
	maybe64 := func(n int) *int64 {
		if v := maybe(n); v != nil {
			return ptr(int64(*v))
		}
		return nil
	}
	tried := 0
	for tried < 25 {
		var rules []lifecycle.Rule
		for i, stage := range []string{"lost", "loyal", "prospect", "new"}[:1+random.IntN(4)] {
			r := lifecycle.Rule{Code: fmt.Sprintf("r%d", i), Stage: stage, RecencyBelow: maybe(60), RecencyAbove: maybe(60), FirstBelow: maybe(60), FirstAbove: maybe(60),
				CreatedBelow: maybe(60), CreatedAbove: maybe(60), OrdersAtLeast: maybe64(5), OrdersAtMost: maybe64(5), NetSpentAtLeast: maybe64(300), NetSpentBelow: maybe64(300)}
			if random.IntN(3) == 0 {
				r.HasCard = ptr(random.IntN(2) == 0)
			}
			if random.IntN(5) == 0 {
				r.Band = ptr(rfm.Loyal)
			}
			rules = append(rules, r)
		}
		in := lifecycle.Settings{Rules: rules}
		if in.Check(rfm.Default()) != nil {
			continue
		}
		tried++
		preview, err := d.PreviewLifecycle(d.ctx, in)
		require.NoError(t, err)
		require.EqualValues(t, 300, preview.Customers)
		require.EqualValues(t, 18, preview.Pinned)
		now, err := loadLifecycle(d.ctx, d.db.Clients)
		require.NoError(t, err)
		tag := etag.Of(now.Version)
		_, err = d.UpdateLifecycle(d.ctx, &tag, in)
		require.NoError(t, err)
		done, err := d.refreshAll(d.ctx, &jobs.Progress{})
		require.NoError(t, err)
		require.Equal(t, preview.Moved, done.Stages, "%+v", in)
		counted := map[string]int64{}
		rows, err := d.db.Query(d.ctx, "SELECT lifecycle_stage, count(*) FROM customers GROUP BY 1")
		require.NoError(t, err)
		for rows.Next() {
			var stage string
			var n int64
			require.NoError(t, rows.Scan(&stage, &n))
			counted[stage] = n
		}
		require.NoError(t, rows.Close())
		require.Equal(t, preview.Stages, counted, "%+v", in)
		after, err := d.PreviewLifecycle(d.ctx, in)
		require.NoError(t, err)
		require.Zero(t, after.Moved)
	}
}

func TestLifecycleRulesAreChecked(t *testing.T) {
	d := open(t)
	zero := etag.Of(0)
	_, err := d.UpdateLifecycle(d.ctx, nil, lifecycle.Default())
	assert.True(t, apperr.ErrVersionRequired.Is(err))
	_, err = d.UpdateLifecycle(d.ctx, &zero, lifecycle.Settings{Rules: []lifecycle.Rule{{Code: "a", Stage: "lost", Band: ptr("gold")}}})
	require.True(t, ErrLifecycle.Is(err))
	assert.Equal(t, "/rules/0/rfm_band", apperr.From(err).Fields[0].Pointer)
	assert.Equal(t, ErrLifecycleBand.Code, apperr.From(err).Fields[0].Code)
}

// Orders judge automatic tags at once, and only when some condition asks for them.
func TestTagsFollowPurchases(t *testing.T) {
	d := open(t)
	as := auth.With(d.ctx, auth.Actor{Kind: auth.KindStaff, ID: uuid.New(), Scope: auth.Scope{All: true}, Permissions: auth.NewPermissionSet(auth.All()...)})
	tag := func(name, condition string) {
		in := customers.TagInput{Name: &name}
		in.Condition.Set(condition)
		_, err := d.customers.CreateTag(as, in)
		require.NoError(t, err)
		require.NoError(t, d.customers.AwaitRules(d.ctx))
	}
	tags := func(c uuid.UUID) (out []string) {
		got, err := d.customers.Get(as, c)
		require.NoError(t, err)
		return got.Tags
	}
	c := d.made(customers.Input{})
	tag("忠诚", "lifecycle_stage == 'loyal'")
	d.apply(d.bought(c, 0, 60000))
	assert.Empty(t, tags(c))
	tag("大额", "spent_amount >= 100000")
	for i := 1; i < 5; i++ {
		d.apply(d.bought(c, i, 10000))
	}
	assert.Equal(t, []string{"大额", "忠诚"}, tags(c))
	d.apply(DayDelta{CustomerID: c, Day: d.clock.Today(), Returns: 1, Returned: 90000})
	assert.Equal(t, []string{"大额"}, tags(c), "10,000 net in the window is not loyal any more")
	var origins int
	require.NoError(t, d.db.QueryRow(d.ctx, "SELECT count(*) FROM customer_tag_history WHERE customer_id = $1 AND origin = 'rule'", c).Scan(&origins))
	assert.Equal(t, 2, origins)
}

// Orders of the same customers, changes of their records, midnights and a job
// over everybody: nothing locks up, and in the end all stages are right.
func TestStagesAtTheSameTime(t *testing.T) {
	d := open(t)
	var people []uuid.UUID
	for range 20 {
		people = append(people, d.made(customers.Input{}))
	}
	as := auth.With(d.ctx, auth.Actor{Kind: auth.KindStaff, ID: uuid.New(), Scope: auth.Scope{All: true}, Permissions: auth.NewPermissionSet(auth.All()...)})
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			for n := range 10 {
				var deltas []DayDelta
				for j := range people {
					deltas = append(deltas, d.bought(people[(i+j)%20], n, 10000))
				}
				assert.NoError(t, d.ordered(deltas))
			}
		})
	}
	wg.Go(func() {
		for n := range 40 {
			in := customers.Input{Gender: ptr([]string{"female", "male"}[n/20])}
			_, err := d.customers.Update(as, people[n%20], in, nil)
			assert.NoError(t, err)
		}
	})
	wg.Go(func() {
		for n := range 10 {
			_, err := d.refreshAll(d.ctx, &jobs.Progress{})
			assert.NoError(t, err)
			tag := etag.Of(int64(n))
			_, err = d.UpdateLifecycle(d.ctx, &tag, lifecycle.Settings{Rules: []lifecycle.Rule{{Code: "often", Stage: lifecycle.Loyal, OrdersAtLeast: ptr(int64(n * 10))}}})
			assert.NoError(t, err)
		}
	})
	wg.Wait()
	_, err := d.refreshAll(d.ctx, &jobs.Progress{})
	require.NoError(t, err)
	for _, c := range people {
		assert.Equal(t, "active", d.stage(c)) // 60 orders are fewer than 90
		balance := map[string]int{}
		for _, h := range d.history(c) { // each change begins where another one ended
			from, rest, _ := strings.Cut(h, ">")
			to, _, _ := strings.Cut(rest, " ")
			balance[from]--
			balance[to]++
		}
		maps.DeleteFunc(balance, func(_ string, n int) bool { return n == 0 })
		assert.Equal(t, map[string]int{"prospect": -1, "active": 1}, balance)
	}
}
