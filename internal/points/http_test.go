package points_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/api/client"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/points"
	"github.com/shuke-crm/shuke/internal/testkit"
)

type body = map[string]any

// programme is a business whose members have points.
type programme struct {
	*testkit.App
	t     *testing.T
	admin *testkit.Client
	keys  int
}

var start = time.Date(2026, 7, 1, 4, 0, 0, 0, time.UTC)

func newProgramme(t *testing.T) *programme {
	app := testkit.New(t, testkit.At(start))
	return &programme{App: app, t: t, admin: app.Admin()}
}

func (p *programme) member() uuid.UUID {
	return p.Customer(body{"name": "会员", "external_id": uuid.NewString()}).Id
}

func (p *programme) key() []string {
	p.keys++
	return []string{"Idempotency-Key", fmt.Sprint("points-", p.keys)}
}

func (p *programme) post(path string, b any) *testkit.Response {
	p.t.Helper()
	return p.admin.Do(http.MethodPost, path, b, p.key()...)
}

func (p *programme) give(id uuid.UUID, n int) {
	p.t.Helper()
	p.post(at(id)+"/adjust", body{"points": n, "reason": "补偿"}).Want(http.StatusCreated)
}

// grant gives points as a rule would.
func (p *programme) grant(g points.Grant) (done bool) {
	p.t.Helper()
	ctx := auth.System(p.t.Context(), "test")
	require.NoError(p.t, p.DB.InTx(ctx, func(ctx0 context.Context, tx *db.Tx) (err error) {
		done, err = p.Server.Points.Give(ctx0, tx, g)
		return err
	}))
	return done
}

// wait lets time go by, and signs in anew.
func (p *programme) wait(d time.Duration) {
	p.Advance(d)
	p.admin = p.SignIn(testkit.AdminUsername, testkit.AdminPassword)
}

func at(id uuid.UUID) string { return "/v1/customers/" + id.String() + "/points" }

func (p *programme) has(id uuid.UUID, balance, pending, blocked int64) client.PointsBalance {
	p.t.Helper()
	var b client.PointsBalance
	p.admin.Do(http.MethodGet, at(id), nil).Want(http.StatusOK).JSON(&b)
	require.Equal(p.t, []int64{balance, pending, blocked}, []int64{b.Balance, b.Pending, b.Blocked})
	return b
}

// addsUp checks the whole ledger.
func (p *programme) addsUp() client.PointsIntegrity {
	p.t.Helper()
	var found client.PointsIntegrity
	p.admin.Do(http.MethodGet, "/v1/points/integrity", nil).Want(http.StatusOK).JSON(&found)
	require.Empty(p.t, found.Differences)
	require.True(p.t, found.Ok)
	return found
}

func (p *programme) unit(change body) {
	p.t.Helper()
	var units client.PointsUnitList
	p.admin.Do(http.MethodGet, "/v1/points/units", nil).Want(http.StatusOK).JSON(&units)
	require.Len(p.t, units.Items, 1)
	require.Equal(p.t, "points", units.Items[0].Code)
	was := p.admin.Do(http.MethodGet, "/v1/points/units/"+units.Items[0].Id.String(), nil).Want(http.StatusOK)
	p.admin.Do(http.MethodPatch, "/v1/points/units/"+units.Items[0].Id.String(), change, "If-Match", was.Header.Get("ETag")).Want(http.StatusOK)
}

func (p *programme) entries(id uuid.UUID, query string) []client.PointsEntry {
	p.t.Helper()
	var list client.PointsEntryList
	p.admin.Do(http.MethodGet, at(id)+"/entries"+query, nil).Want(http.StatusOK).JSON(&list)
	return list.Items
}

func TestPointsOfAMember(t *testing.T) {
	p := newProgramme(t)
	m := p.member()
	p.has(m, 0, 0, 0)
	p.give(m, 300)
	b := p.has(m, 300, 0, 0)
	assert.EqualValues(t, 300, b.ValueAmount)
	require.Len(t, b.Expiring, 1)
	assert.Equal(t, time.Date(2027, 12, 31, 16, 0, 0, 0, time.UTC), b.Expiring[0].At, "the end of next year in Shanghai")

	// Spent, promised, captured in part, given back in parts.
	p.post(at(m)+"/redeem", body{"points": 301}).WantProblem(http.StatusConflict, "points.insufficient", "/points")
	var spent client.PointsHold
	p.post(at(m)+"/redeem", body{"points": 100, "reason": "兑换"}).Want(http.StatusCreated).JSON(&spent)
	assert.Equal(t, client.HoldCaptured, spent.Status)
	var hold client.PointsHold
	p.post(at(m)+"/block", body{"points": 150, "reference": "购物车"}).Want(http.StatusCreated).JSON(&hold)
	p.has(m, 50, 0, 150)
	on := "/v1/points/holds/" + hold.Id.String()
	p.post(on+"/give-back", body{}).WantProblem(http.StatusConflict, "points.hold_state")
	p.post(on+"/capture", body{"points": 151}).WantProblem(http.StatusConflict, "points.more_than_held", "/points")
	p.post(on+"/capture", body{"points": 120}).Want(http.StatusOK).JSON(&hold)
	p.has(m, 80, 0, 0)
	p.post(on+"/capture", nil).WantProblem(http.StatusConflict, "points.hold_state")
	p.post(on+"/release", nil).WantProblem(http.StatusConflict, "points.hold_state")
	p.post(on+"/give-back", body{"points": 50}).Want(http.StatusOK)
	p.post(on+"/give-back", body{"points": 71}).WantProblem(http.StatusConflict, "points.more_than_held", "/points")
	p.post(on+"/give-back", nil).Want(http.StatusOK).JSON(&hold)
	assert.EqualValues(t, 120, hold.GivenBack)
	p.post(on+"/give-back", nil).WantProblem(http.StatusConflict, "points.more_than_held", "/points")
	p.has(m, 200, 0, 0)

	// A hold whose time is over.
	p.post(at(m)+"/block", body{"points": 200}).Want(http.StatusCreated).JSON(&hold)
	p.post(at(m)+"/block", body{"points": 1}).WantProblem(http.StatusConflict, "points.insufficient", "/points")
	p.wait(31 * time.Minute)
	p.post("/v1/points/holds/"+hold.Id.String()+"/capture", nil).WantProblem(http.StatusConflict, "points.hold_state")
	n, err := p.Server.Points.ReleaseHolds(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	p.has(m, 200, 0, 0)

	// The statement: each line says what there was then, without gaps.
	lines := p.entries(m, "?limit=50")
	require.Len(t, lines, 9)
	var sum int64
	for i := len(lines) - 1; i >= 0; i-- {
		l := lines[i]
		sum += l.BalanceChange
		assert.EqualValues(t, len(lines)-i, l.Number)
		assert.Equal(t, sum, l.BalanceAfter)
	}
	require.Len(t, p.entries(m, "?kind=give_back"), 2)
	var detail client.PointsEntryDetail
	p.admin.Do(http.MethodGet, "/v1/points/entries/"+lines[len(lines)-1].Id.String(), nil).Want(http.StatusOK).JSON(&detail)
	require.Len(t, detail.Postings, 1)
	assert.Equal(t, []any{client.BookIssued, client.BookActive, int64(300)}, []any{detail.Postings[0].FromBook, detail.Postings[0].ToBook, detail.Postings[0].Amount})
	var lots client.PointsLotList
	p.admin.Do(http.MethodGet, at(m)+"/lots?open=true", nil).Want(http.StatusOK).JSON(&lots)
	require.Len(t, lots.Items, 1)
	assert.EqualValues(t, 200, lots.Items[0].Active)
	p.addsUp()

	// Liability, now and before, is what anybody can add up from the postings.
	liability := func(query string) (l client.PointsLiability) {
		p.admin.Do(http.MethodGet, "/v1/points/liability"+query, nil).Want(http.StatusOK).JSON(&l)
		return l
	}
	var postings client.PointsPostingList
	p.admin.Do(http.MethodGet, "/v1/points/postings?limit=200", nil).Want(http.StatusOK).JSON(&postings)
	books := map[client.PointsBook]int64{}
	for _, x := range postings.Items {
		books[x.FromBook] -= x.Amount
		books[x.ToBook] += x.Amount
	}
	l := liability("")
	assert.EqualValues(t, 200, l.Liability)
	assert.Equal(t, []int64{l.Active, l.Blocked, l.Issued, l.Spent}, []int64{books["active"], books["blocked"], books["issued"], books["spent"]})
	assert.Zero(t, l.Pending+l.Active+l.Blocked+l.Debt+l.Issued+l.Reversed+l.Spent+l.Expired+l.Transferred)
	assert.Zero(t, liability("?at=2026-06-30T00:00:00Z").Liability)
	p.admin.Do(http.MethodGet, "/v1/points/liability?at=2030-01-01T00:00:00Z", nil).WantProblem(http.StatusUnprocessableEntity, "points.instant_in_the_future", "?at")
}

func TestPointsBecomeActiveAndExpire(t *testing.T) {
	p := newProgramme(t)
	p.unit(body{"pending_days": 7, "expiry_method": "days", "expiry_count": 30, "give_back_days": 10})
	m := p.member()
	require.True(t, p.grant(points.Grant{CustomerID: m, Points: 100, EarnedAt: start, SourceKey: "sign_up:" + m.String()}))
	require.False(t, p.grant(points.Grant{CustomerID: m, Points: 100, EarnedAt: start, SourceKey: "sign_up:" + m.String()}))
	p.has(m, 0, 100, 0)
	p.post(at(m)+"/redeem", body{"points": 1}).WantProblem(http.StatusConflict, "points.insufficient", "/points")

	// Active from the beginning of the seventh business day on, whether or not a job ran.
	p.wait(time.Date(2026, 7, 7, 16, 0, 0, 0, time.UTC).Sub(start) - time.Second)
	p.has(m, 0, 100, 0)
	p.wait(time.Second)
	b := p.has(m, 100, 0, 0)
	_ = b
	require.Empty(t, p.entries(m, "?kind=activate"), "not booked yet")
	var spent client.PointsHold
	p.post(at(m)+"/redeem", body{"points": 40}).Want(http.StatusCreated).JSON(&spent)
	require.Len(t, p.entries(m, "?kind=activate"), 1)

	// The rest is gone after thirty days more.
	p.wait(31 * 24 * time.Hour)
	p.has(m, 0, 0, 0)
	n, err := p.Server.Points.SettleDue(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	n, err = p.Server.Points.SettleDue(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
	expired := p.entries(m, "?kind=expire")
	require.Len(t, expired, 1)
	assert.EqualValues(t, -60, expired[0].BalanceChange)
	assert.Equal(t, time.Date(2026, 8, 7, 16, 0, 0, 0, time.UTC), expired[0].OccurredAt)

	// What was spent comes back as the same lot, for ten days.
	p.post("/v1/points/holds/"+spent.Id.String()+"/give-back", body{"reason": "退货"}).Want(http.StatusOK)
	p.has(m, 40, 0, 0)
	p.wait(11 * 24 * time.Hour)
	p.has(m, 0, 0, 0)
	_, err = p.Server.Points.SettleDue(t.Context())
	require.NoError(t, err)
	p.addsUp()
}

func TestPointsThatExpireFirstAreSpentFirst(t *testing.T) {
	p := newProgramme(t)
	p.unit(body{"pending_days": 0, "expiry_method": "days", "expiry_count": 100})
	m := p.member()
	for i, days := range []int{0, -50, -20} {
		require.True(t, p.grant(points.Grant{CustomerID: m, Points: int64(10 * (i + 1)), EarnedAt: start.AddDate(0, 0, days)}))
	}
	var spent client.PointsHold
	p.post(at(m)+"/redeem", body{"points": 45}).Want(http.StatusCreated).JSON(&spent)
	var taken []int64
	for _, l := range spent.Lots {
		taken = append(taken, l.Captured)
	}
	require.Equal(t, []int64{20, 25}, taken, "of fifty days ago, then of twenty")
	// Back come first those that were spent last.
	p.post("/v1/points/holds/"+spent.Id.String()+"/give-back", body{"points": 30}).Want(http.StatusOK).JSON(&spent)
	require.Equal(t, []int64{5, 25}, []int64{spent.Lots[0].GivenBack, spent.Lots[1].GivenBack})
	// Points of so long ago that they are gone leave a trace and nothing else.
	require.True(t, p.grant(points.Grant{CustomerID: m, Points: 7, EarnedAt: start.AddDate(-1, 0, 0)}))
	p.has(m, 45, 0, 0)
	p.addsUp()
}

func TestAdjustmentsAndApproval(t *testing.T) {
	p := newProgramme(t)
	p.unit(body{"approval_limit": 500, "balance_limit": 2000})
	m := p.member()
	for name, c := range map[string]struct {
		body    body
		status  int
		code    string
		pointer string
	}{
		"none":         {body{"points": 0, "reason": "x"}, 422, "request.invalid", ""},
		"no reason":    {body{"points": 5}, 422, "request.invalid", ""},
		"blank reason": {body{"points": 5, "reason": "  "}, 422, "points.reason_needed", "/reason"},
		"fraction":     {body{"points": 1.5, "reason": "x"}, 422, "request.invalid", ""},
		"too many":     {body{"points": int64(1_000_000_000_001), "reason": "x"}, 422, "request.invalid", ""},
		"unit":         {body{"points": 5, "reason": "x", "unit": "gold"}, 422, "points.unit_unknown", "/unit"},
		"more than":    {body{"points": -1, "reason": "x"}, 409, "points.insufficient", "/points"},
	} {
		t.Run(name, func(t *testing.T) {
			r := p.In(t).Admin().Do(http.MethodPost, at(m)+"/adjust", c.body, "Idempotency-Key", "bad-"+strings.ReplaceAll(name, " ", "-"))
			require.Equal(t, c.status, r.Status, string(r.Body))
			if c.pointer != "" {
				r.WantProblem(c.status, c.code, c.pointer)
			}
		})
	}
	p.admin.Do(http.MethodPost, at(m)+"/adjust", body{"points": 5, "reason": "x"}).WantProblem(http.StatusBadRequest, "idempotency.key_required")
	p.post(at(uuid.New())+"/adjust", body{"points": 5, "reason": "x"}).WantProblem(http.StatusNotFound, "points.customer_not_found")
	require.Empty(t, p.entries(m, ""))

	var waiting client.PointsAdjustment
	p.post(at(m)+"/adjust", body{"points": 600, "reason": "大额补偿"}).Want(http.StatusCreated).JSON(&waiting)
	require.Equal(t, client.AdjustmentAwaitingApproval, waiting.Status)
	p.has(m, 0, 0, 0)
	on := "/v1/points/adjustments/" + waiting.Id.String()
	p.post(on+"/approve", nil).WantProblem(http.StatusConflict, "points.own_adjustment")
	other := p.Client("administrator", testkit.All())
	other.Do(http.MethodPost, on+"/approve", body{"note": "已核实"}, p.key()...).Want(http.StatusOK).JSON(&waiting)
	require.Equal(t, client.AdjustmentBooked, waiting.Status)
	p.has(m, 600, 0, 0)
	other.Do(http.MethodPost, on+"/approve", nil, p.key()...).WantProblem(http.StatusConflict, "points.adjustment_decided")
	p.post(at(m)+"/adjust", body{"points": 1500, "reason": "再补"}).Want(http.StatusCreated).JSON(&waiting)
	on = "/v1/points/adjustments/" + waiting.Id.String()
	other.Do(http.MethodPost, on+"/approve", nil, p.key()...).WantProblem(http.StatusConflict, "points.balance_limit", "/points")
	other.Do(http.MethodPost, on+"/reject", body{"note": "超过上限"}, p.key()...).Want(http.StatusOK).JSON(&waiting)
	require.Equal(t, client.AdjustmentRejected, waiting.Status)
	var list client.PointsAdjustmentList
	p.admin.Do(http.MethodGet, "/v1/points/adjustments?status=booked&customer_id="+m.String(), nil).Want(http.StatusOK).JSON(&list)
	require.Len(t, list.Items, 1)
	p.post(at(m)+"/adjust", body{"points": -100, "reason": "误发"}).Want(http.StatusCreated)
	p.has(m, 500, 0, 0)
	p.addsUp()
}

func TestUnitsOfPoints(t *testing.T) {
	p := newProgramme(t)
	m, friend := p.member(), p.member()
	made := p.admin.Do(http.MethodPost, "/v1/points/units", body{"code": "growth", "name": "成长值", "name_en": "Growth value", "spendable": false}).Want(http.StatusCreated)
	p.admin.Do(http.MethodPost, "/v1/points/units", body{"code": "growth", "name": "成长值"}).WantProblem(http.StatusConflict, "points.unit_code_taken", "/code")
	p.admin.Do(http.MethodPost, "/v1/points/units", body{"code": "x", "name": "x", "expiry_method": "days"}).WantProblem(http.StatusUnprocessableEntity, "points.expiry_invalid", "/expiry_count")
	p.admin.Do(http.MethodPost, "/v1/points/units", body{"code": "x", "name": "x", "redeem_points": 1}).WantProblem(http.StatusUnprocessableEntity, "points.redeem_rate_invalid", "/redeem_points")
	p.admin.Do(http.MethodPatch, made.Header.Get("Location"), body{"transferable": true}, "If-Match", `"9-x"`).WantProblem(http.StatusPreconditionFailed, "request.version_mismatch")
	p.post(at(m)+"/adjust", body{"unit": "growth", "points": 70, "reason": "活动"}).Want(http.StatusCreated)
	p.has(m, 0, 0, 0)
	p.post(at(m)+"/redeem", body{"unit": "growth", "points": 1}).WantProblem(http.StatusUnprocessableEntity, "points.unit_not_spendable", "/unit")

	// Points go to another member only where the unit says so, and expire as they would have.
	p.give(m, 80)
	p.post(at(m)+"/transfer", body{"to_customer_id": friend, "points": 30}).WantProblem(http.StatusUnprocessableEntity, "points.unit_not_transferable", "/unit")
	p.unitByLocation(made.Header.Get("Location"), body{"transferable": true, "expiry_method": "never"})
	p.post(at(m)+"/transfer", body{"unit": "growth", "to_customer_id": m, "points": 30}).WantProblem(http.StatusUnprocessableEntity, "points.transfer_to_self", "/to_customer_id")
	p.post(at(m)+"/transfer", body{"unit": "growth", "to_customer_id": uuid.New(), "points": 30}).WantProblem(http.StatusUnprocessableEntity, "points.recipient_unknown", "/to_customer_id")
	p.post(at(m)+"/transfer", body{"unit": "growth", "to_customer_id": friend, "points": 71}).WantProblem(http.StatusConflict, "points.insufficient", "/points")
	p.post(at(m)+"/transfer", body{"unit": "growth", "to_customer_id": friend, "points": 30}).Want(http.StatusCreated)
	var b client.PointsBalance
	p.admin.Do(http.MethodGet, at(friend)+"?unit=growth", nil).Want(http.StatusOK).JSON(&b)
	require.EqualValues(t, 30, b.Balance)
	p.has(m, 80, 0, 0)
	p.addsUp()
}

func (p *programme) unitByLocation(location string, change body) {
	was := p.admin.Do(http.MethodGet, location, nil).Want(http.StatusOK)
	p.admin.Do(http.MethodPatch, location, change, "If-Match", was.Header.Get("ETag")).Want(http.StatusOK)
}

// A company's card that many use at once: what is acknowledged is booked once,
// and nobody spends what is not there.
func TestManySpendOnePurse(t *testing.T) {
	p := newProgramme(t)
	m := p.member()
	p.give(m, 1000)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var done, refused int
	for i := range 64 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for k := range 4 {
				r := p.admin.Do(http.MethodPost, at(m)+"/redeem", body{"points": 7}, "Idempotency-Key", fmt.Sprint("many-", i, "-", k))
				mu.Lock()
				switch r.Status {
				case http.StatusCreated:
					done++
				case http.StatusConflict:
					refused++
				}
				mu.Unlock()
			}
		}()
	}
	wg.Wait()
	require.Equal(t, 142, done, "of 1,000 points seven at a time")
	require.Equal(t, 256-142, refused)
	p.has(m, 1000-142*7, 0, 0)
	p.addsUp()
}

// Points follow a merge, are spent as one, and go back with what is left.
func TestPointsFollowMerges(t *testing.T) {
	p := newProgramme(t)
	a, b := p.member(), p.member()
	p.give(a, 100)
	p.give(b, 50)
	var hold client.PointsHold
	p.post(at(b)+"/block", body{"points": 20, "expires_at": "2026-07-03T00:00:00Z"}).Want(http.StatusCreated).JSON(&hold)
	var merge client.CustomerMerge
	p.admin.Do(http.MethodPost, "/v1/customer-merges", body{"survivor_id": a, "merged_id": b}).Want(http.StatusCreated).JSON(&merge)
	p.has(a, 130, 0, 20)
	p.post(at(a)+"/redeem", body{"points": 120}).Want(http.StatusCreated)
	p.give(a, 5)
	p.post("/v1/points/holds/"+hold.Id.String()+"/release", nil).Want(http.StatusOK)
	p.has(a, 35, 0, 0)
	p.addsUp()
	p.admin.Do(http.MethodPost, "/v1/customer-merges/"+merge.Id.String()+"/undo", nil).Want(http.StatusOK)
	p.has(a, 5, 0, 0)
	p.has(b, 30, 0, 0)
	p.addsUp()
	require.Len(t, p.entries(b, ""), 4, "given, blocked, spent in part, free again")
}

// The ledger cannot be changed, by whom ever.
func TestLedgerOnlyGrows(t *testing.T) {
	p := newProgramme(t)
	p.give(p.member(), 10)
	for _, q := range []string{"UPDATE points_entries SET balance_change = 0", "DELETE FROM points_entries", "UPDATE points_postings SET amount = 1", "DELETE FROM points_postings", "DELETE FROM points_lots", "DELETE FROM points_accounts"} {
		_, err := p.DB.Exec(t.Context(), q)
		require.ErrorContains(t, err, "permission denied", q)
	}
	p.addsUp()
}
