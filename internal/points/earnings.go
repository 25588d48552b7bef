package points

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/ent/loyalty/pointsrule"
	"github.com/shuke-crm/shuke/ent/loyalty/pointsunit"
	"github.com/shuke-crm/shuke/ent/loyalty/schema"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// Tiers are what members' points and their tiers have to do with each other.
type Tiers interface {
	// PointsPercent says by what percentage a tier's members earn; 100 and below: as all do.
	PointsPercent(ctx context.Context, tier string) (int64, error)
	// Mark has the tiers of customers reviewed who earned points, or from whom some were taken back.
	Mark(ctx context.Context, tx *db.Tx, customers ...uuid.UUID) error
}

// SetTiers gives the service the tiers; without, none multiplies and none is reviewed.
func (s *Service) SetTiers(t Tiers) { s.tiers = t }

func (s *Service) tierPercent(ctx context.Context, tier string) (int64, error) {
	if s.tiers == nil || tier == "" {
		return 100, nil
	}
	return s.tiers.PointsPercent(ctx, tier)
}

// earning is a row of points_earnings on its way.
type earning struct {
	id, order, account uuid.UUID
	points, withheld   int64
	tier               string
	lines              []schema.EarnedLine
	on                 clock.Day
	fresh              bool
	target             int64
	purchase           *Purchase
}

// Earn has orders have earned what they do as they stand now: new ones are given
// their points, and of those of which something came back, or was added, the
// difference is taken back, or given. Called again with the same it does nothing.
//
// What rules gave for a line stays what it was when it was first earned; the unit
// says how far points are taken back (return_policy).
//
// Orders and their customers are locked by the caller, and nobody's order twice.
func (s *Service) Earn(ctx context.Context, tx *db.Tx, purchases []Purchase) error {
	if len(purchases) == 0 {
		return nil
	}
	b, err := s.rules(ctx, tx.Clients)
	if err != nil || len(b.versions) == 0 {
		return err
	}
	known, err := s.earningsOf(ctx, tx, purchases)
	if err != nil {
		return err
	}
	targets, err := s.targets(ctx, tx, b, purchases, known)
	if err != nil {
		return err
	}
	units := make([]uuid.UUID, 0, len(targets))
	for id := range targets {
		units = append(units, id)
	}
	slices.SortFunc(units, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	for _, id := range units {
		if err := s.bookEarnings(ctx, tx, b.units[id], targets[id]); err != nil {
			return err
		}
	}
	return nil
}

// Earns tells whether any rule has ever been: without, orders need not ask.
func (s *Service) Earns(ctx context.Context, tx *db.Tx) (bool, error) {
	b, err := s.rules(ctx, tx.Clients)
	return err == nil && len(b.versions) > 0, err
}

type orderUnit struct{ order, unit uuid.UUID }

// earningsOf reads what orders have earned so far.
// Plan: points_earnings_key.
func (s *Service) earningsOf(ctx context.Context, tx *db.Tx, purchases []Purchase) (map[orderUnit]*earning, error) {
	var old pgarray.UUIDs
	for _, p := range purchases {
		if !p.New {
			old = append(old, p.OrderID)
		}
	}
	out := map[orderUnit]*earning{}
	if len(old) == 0 {
		return out, nil
	}
	rows, err := tx.Query(ctx, "SELECT id, order_id, unit_id, account_id, points, withheld, tier, lines FROM points_earnings WHERE order_id = ANY((SELECT $1::uuid[])::uuid[])", old)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		e, unit, lines := &earning{}, uuid.UUID{}, []byte(nil)
		if err := rows.Scan(&e.id, &e.order, &unit, &e.account, &e.points, &e.withheld, &e.tier, &lines); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(lines, &e.lines); err != nil {
			return nil, err
		}
		out[orderUnit{e.order, unit}] = e
	}
	return out, rows.Err()
}

// targets says what each order should have earned of each unit, where that is not
// what it has.
func (s *Service) targets(ctx context.Context, tx *db.Tx, b *rulebook, purchases []Purchase, known map[orderUnit]*earning) (map[uuid.UUID][]*earning, error) {
	rated, err := s.rated(ctx, tx.Clients, b, purchases)
	if err != nil {
		return nil, err
	}
	out := map[uuid.UUID][]*earning{}
	for i := range purchases {
		p := &purchases[i]
		for id, u := range b.units {
			e, lines := known[orderUnit{p.OrderID, id}], rated[i][id]
			if e == nil && (lines == nil || p.Kept) {
				continue
			}
			if e == nil {
				e = &earning{order: p.OrderID, tier: p.Tier, on: s.clock.DayOf(p.At), fresh: true}
				if e.id, err = uuid.NewV7(); err != nil {
					return nil, err
				}
			}
			// Lines keep what they were first rated by; those that came later have theirs.
			for _, l := range lines {
				if !slices.ContainsFunc(e.lines, func(k schema.EarnedLine) bool { return k.LineID == l.LineID }) {
					e.lines = append(e.lines, l)
				}
			}
			was := slices.Clone(e.lines)
			p.earning(e.lines)
			e.target, e.purchase = sum(u, e.lines), p
			if e.target != e.points || !e.fresh && !slices.EqualFunc(was, e.lines, func(a, b schema.EarnedLine) bool { return a.Amount == b.Amount }) {
				out[id] = append(out[id], e)
			}
		}
	}
	return out, nil
}

// rated says what lines of purchases earn of each unit by the rules of their
// instants; nil where nothing of an order earns any.
func (s *Service) rated(ctx context.Context, c *db.Clients, b *rulebook, purchases []Purchase) ([]map[uuid.UUID][]schema.EarnedLine, error) {
	spends, multipliers := make([][]*rule, len(purchases)), make([][]*rule, len(purchases))
	var all []*rule
	stores := make([]uuid.UUID, len(purchases))
	for i := range purchases {
		p := &purchases[i]
		stores[i] = p.StoreID
		if i > 0 && p.At.Equal(purchases[i-1].At) {
			spends[i], multipliers[i] = spends[i-1], multipliers[i-1]
			continue
		}
		spends[i], multipliers[i] = b.at(pointsrule.KindSpend, p.At), b.at(pointsrule.KindMultiplier, p.At)
		all = append(append(all, spends[i]...), multipliers[i]...)
	}
	at, err := s.placesOf(ctx, c, all, stores)
	if err != nil {
		return nil, err
	}
	out := make([]map[uuid.UUID][]schema.EarnedLine, len(purchases))
	for i := range purchases {
		p := &purchases[i]
		percent, err := s.tierPercent(ctx, p.Tier)
		if err != nil {
			return nil, err
		}
		day := s.clock.DayOf(p.At)
		out[i] = map[uuid.UUID][]schema.EarnedLine{}
		for id := range b.units {
			hold := func(all []*rule) []*rule {
				return slices.DeleteFunc(slices.Clone(all), func(r *rule) bool { return r.unit != id || !r.holds(p, day, at) })
			}
			bases := hold(spends[i])
			if len(bases) == 0 {
				continue
			}
			more := hold(multipliers[i])
			lines := make([]schema.EarnedLine, len(p.Lines))
			earns := false
			for k := range p.Lines {
				lines[k] = rate(&p.Lines[k], bases, more, percent, at)
				earns = earns || lines[k].Points > 0
			}
			if earns {
				out[i][id] = lines
			}
		}
	}
	return out, nil
}

// bookEarnings books what orders have to get or to give back of a unit.
func (s *Service) bookEarnings(ctx context.Context, tx *db.Tx, u *loyalty.PointsUnit, all []*earning) error {
	j, err := s.journal(ctx)
	if err != nil {
		return err
	}
	// In the order of time, so that of limits those have their share who bought first.
	slices.SortFunc(all, func(a, b *earning) int {
		if c := a.purchase.EarnedAt.Compare(b.purchase.EarnedAt); c != 0 {
			return c
		}
		return bytes.Compare(a.order[:], b.order[:])
	})
	customers, accounts, backs := make([]uuid.UUID, 0, len(all)), make([]uuid.UUID, 0, len(all)), make(ids, 0, len(all))
	for _, e := range all {
		customers = append(customers, e.purchase.CustomerID)
		if !e.fresh {
			accounts = append(accounts, e.account)
		}
		if e.target < e.points {
			backs = append(backs, e.order)
		}
	}
	if err := s.lockAlso(ctx, tx, j, u, distinct(customers), distinct(accounts)); err != nil {
		return err
	}
	var came map[uuid.UUID]*backed
	if len(backs) > 0 {
		if came, err = s.backed(ctx, tx, j, backs); err != nil {
			return err
		}
	}
	left, err := s.leftToday(ctx, tx, j, u)
	if err != nil {
		return err
	}
	for _, e := range all {
		if n := e.target - e.points; n > 0 {
			err = s.giveEarned(j, u, e, n, left)
		} else if n < 0 {
			err = s.takeEarned(ctx, tx, j, u, e, -n, came[e.order])
		}
		if err != nil {
			return err
		}
		e.points = e.target
		if e.fresh {
			e.account = j.own(e.purchase.CustomerID).id
		}
	}
	if err := s.write(ctx, tx, j); err != nil {
		return err
	}
	return s.writeEarnings(ctx, tx, u, all)
}

// giveEarned gives what an order earns more, as far as limits go.
func (s *Service) giveEarned(j *journal, u *loyalty.PointsUnit, e *earning, n int64, left map[uuid.UUID]int64) error {
	if kept := min(n, max(0, -e.withheld)); kept > 0 { // left to the member when goods came back
		e.withheld += kept
		n -= kept
	}
	customer := e.purchase.CustomerID
	fits := min(n, j.fits(u, customer))
	if left != nil {
		fits = min(fits, left[customer])
		left[customer] -= fits
	}
	e.withheld += n - fits
	if fits <= 0 {
		return nil
	}
	of := about{kind: "earn", order: uuid.NullUUID{UUID: e.order, Valid: true}, at: e.purchase.EarnedAt}
	l := lot{amount: fits, earned: e.purchase.EarnedAt, activeAt: activation(u, s.clock, e.purchase.EarnedAt), order: of.order}
	l.expires = expiry(u, s.clock, l.activeAt)
	return j.give(j.own(customer), of, Issued, l)
}

// fits is how many points a member can have more.
func (j *journal) fits(u *loyalty.PointsUnit, customer uuid.UUID) int64 {
	var has int64
	for _, a := range j.among(customer) {
		has += a.balance() + a.pending + a.blocked
	}
	limit := int64(most)
	if u.BalanceLimit != nil {
		limit = min(limit, *u.BalanceLimit)
	}
	return max(0, limit-has)
}

// leftToday is what rules may still give on this business day, by customer; nil
// where the unit sets no limit.
func (s *Service) leftToday(ctx context.Context, tx *db.Tx, j *journal, u *loyalty.PointsUnit) (map[uuid.UUID]int64, error) {
	if u.DailyLimit == nil {
		return nil, nil
	}
	left, of, accounts := map[uuid.UUID]int64{}, map[uuid.UUID]uuid.UUID{}, make(ids, len(j.accounts))
	for i, a := range j.accounts {
		left[a.customer], of[a.id], accounts[i] = *u.DailyLimit, a.customer, a.id
	}
	rows, err := tx.Query(ctx, `SELECT account_id, sum(balance_change + pending_change) FROM points_entries
WHERE account_id = ANY($1::uuid[]) AND kind = 'earn' AND created_at >= $2 GROUP BY account_id`, accounts, s.clock.Start(s.clock.DayOf(j.now)))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id uuid.UUID
		var n int64
		if err := rows.Scan(&id, &n); err != nil {
			return nil, err
		}
		left[of[id]] = max(0, left[of[id]]-n)
	}
	return left, rows.Err()
}

// backed is what is left of the lots that an order's points came as, and how many
// of their points have expired.
type backed struct {
	lots    []*lot
	expired int64
}

// backed loads the lots of orders of which points are taken back.
// Plan: points_lots_order_idx, points_postings_lot_idx.
func (s *Service) backed(ctx context.Context, tx *db.Tx, j *journal, orders ids) (map[uuid.UUID]*backed, error) {
	accounts := make(ids, len(j.accounts))
	for i, a := range j.accounts {
		accounts[i] = a.id
	}
	lots, err := j.load(ctx, tx, "WHERE order_id = ANY($1::uuid[]) AND account_id = ANY($2::uuid[]) ORDER BY id", orders, accounts)
	if err != nil {
		return nil, err
	}
	out := map[uuid.UUID]*backed{}
	for _, id := range orders {
		out[id] = &backed{}
	}
	known, of := make(ids, len(lots)), map[uuid.UUID]uuid.UUID{}
	for i, l := range lots {
		known[i], of[l.id] = l.id, l.order.UUID
		out[l.order.UUID].lots = append(out[l.order.UUID].lots, l)
	}
	rows, err := tx.Query(ctx, "SELECT lot_id, sum(amount) FROM points_postings WHERE lot_id = ANY($1::uuid[]) AND to_book = 'expired' GROUP BY lot_id", known)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id uuid.UUID
		var n int64
		if err := rows.Scan(&id, &n); err != nil {
			return nil, err
		}
		out[of[id]].expired += n
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for _, p := range j.postings { // not written yet: what this operation settled
		if p.to == Expired && p.lot != nil && of[p.lot.id] != uuid.Nil {
			out[of[p.lot.id]].expired += p.amount
		}
	}
	return out, nil
}

// takeEarned takes back what an order has earned too much: first of its own lots,
// pending before active; what has expired of them is gone already; then, as far as
// the unit's policy goes, of other lots and as a debt. What the policy leaves to
// the member is noted in the earning.
func (s *Service) takeEarned(ctx context.Context, tx *db.Tx, j *journal, u *loyalty.PointsUnit, e *earning, n int64, b *backed) error {
	if never := min(n, max(0, e.withheld)); never > 0 { // was not given for a limit
		e.withheld -= never
		n -= never
	}
	var moves []posting // without their entries
	decide := func(some ...posting) {
		for _, m := range some {
			if m.amount > 0 {
				moves = append(moves, m)
				n -= m.amount
			}
		}
	}
	for _, l := range b.lots {
		decide(posting{lot: l, from: Pending, amount: min(n, l.pending)})
	}
	if u.ReturnPolicy != pointsunit.ReturnPolicyOnlyPending {
		for _, l := range b.lots {
			decide(posting{lot: l, from: Active, amount: min(n, l.active)})
		}
		gone := min(n, max(0, b.expired-max(0, -e.withheld)))
		e.withheld -= gone
		n -= gone
		others, err := s.takeOthers(ctx, tx, j, u, e.purchase.CustomerID, n, moves)
		if err != nil {
			return err
		}
		decide(others...)
	}
	e.withheld -= n
	j.reverse(about{kind: "reverse", order: uuid.NullUUID{UUID: e.order, Valid: true}}, moves, e.purchase.CustomerID)
	return nil
}

// takeOthers takes points of lots that are not the order's, first those that expire
// first, and lets the member owe the rest where the unit says so. It gets what is
// decided so far and returns what comes to it.
func (s *Service) takeOthers(ctx context.Context, tx *db.Tx, j *journal, u *loyalty.PointsUnit, customer uuid.UUID, n int64, decided []posting) ([]posting, error) {
	mine := j.among(customer)
	owes := u.ReturnPolicy == pointsunit.ReturnPolicyMayGoNegative
	var has, gone int64
	for _, a := range mine {
		has += a.active
		if !owes {
			has -= a.debt
		}
	}
	for _, m := range decided {
		if m.from == Active && slices.Contains(mine, m.lot.account) {
			gone += m.amount
		}
	}
	var out []posting
	if k := min(n, has-gone); k > 0 {
		lots, err := j.spendable(ctx, tx, mine, gone+k)
		if err != nil {
			return nil, err
		}
		lots = slices.DeleteFunc(lots, func(l *lot) bool { // nothing is left of those
			return slices.ContainsFunc(decided, func(m posting) bool { return m.lot == l })
		})
		for _, p := range take(lots, k) {
			out = append(out, posting{lot: p.lot, from: Active, amount: p.amount})
		}
		n -= k
	}
	if owes && n > 0 {
		out = append(out, posting{from: Debt, amount: n})
	}
	return out, nil
}

var (
	insertEarnings = db.NewBatch(`INSERT INTO points_earnings (id, order_id, unit_id, account_id, points, withheld, tier, lines, earned_on, created_at, updated_at)
SELECT t.id, t.order_id, $9, t.account, t.points, t.withheld, t.tier, t.lines::jsonb, t.day, $10, $10 FROM {rows}`,
		column("id", "uuid"), column("order_id", "uuid"), column("account", "uuid"), column("points", "bigint"), column("withheld", "bigint"), column("tier", "text"), column("lines", "text"),
		column("day", "date"))

	updateEarnings = db.NewBatch(`UPDATE points_earnings e SET points = t.points, withheld = t.withheld, lines = t.lines::jsonb, updated_at = $5 FROM {rows} WHERE e.id = t.id`,
		column("id", "uuid"), column("points", "bigint"), column("withheld", "bigint"), column("lines", "text"))
)

func (s *Service) writeEarnings(ctx context.Context, tx *db.Tx, u *loyalty.PointsUnit, all []*earning) error {
	for _, fresh := range []bool{true, false} {
		some := slices.DeleteFunc(slices.Clone(all), func(e *earning) bool { return e.fresh != fresh })
		n := len(some)
		if n == 0 {
			continue
		}
		known, orders, accounts := make(pgarray.UUIDs, n), make(pgarray.UUIDs, n), make(pgarray.UUIDs, n)
		points, withheld, tiers, lines, days := make([]int64, n), make([]int64, n), make([]string, n), make([]string, n), make([]string, n)
		for i, e := range some {
			raw, err := json.Marshal(e.lines)
			if err != nil {
				return err
			}
			known[i], orders[i], accounts[i], points[i], withheld[i], tiers[i], lines[i], days[i] = e.id, e.order, e.account, e.points, e.withheld, e.tier, string(raw), e.on.String()
		}
		var err error
		if now := s.clock.Now(); fresh {
			_, err = tx.Exec(ctx, insertEarnings.SQL(n), known, orders, accounts, pq.Array(points), pq.Array(withheld), pq.Array(tiers), pq.Array(lines), pq.Array(days), u.ID, now)
		} else {
			_, err = tx.Exec(ctx, updateEarnings.SQL(n), known, pq.Array(points), pq.Array(withheld), pq.Array(lines), now)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func distinct(all []uuid.UUID) []uuid.UUID {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(all)
}
