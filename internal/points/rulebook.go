package points

import (
	"context"
	"encoding/json"
	"math/big"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/ent/loyalty/pointsrule"
	"github.com/shuke-crm/shuke/ent/loyalty/pointsunit"
	"github.com/shuke-crm/shuke/ent/loyalty/schema"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// rule is a rule as it was from an instant on.
type rule struct {
	schema.RuleTerms
	id, unit  uuid.UUID
	kind      pointsrule.Kind
	version   int64
	active    bool
	effective time.Time
}

func (r *rule) ref() schema.RuleRef { return schema.RuleRef{RuleID: r.id, Version: r.version} }

// rulebook is all versions of all rules, and the units. It never changes: another
// revision is another book.
type rulebook struct {
	revision int64
	versions map[uuid.UUID][]*rule // by rule, the oldest first
	units    map[uuid.UUID]*loyalty.PointsUnit
}

// bookCache keeps the newest book.
type bookCache struct {
	mu   sync.Mutex
	book *rulebook
}

// rules is the book in force: as the transaction sees it.
func (s *Service) rules(ctx context.Context, c *db.Clients) (*rulebook, error) {
	var revision int64
	// Versions only grow, of rules in number and of units each.
	if err := c.QueryRow(ctx, "SELECT (SELECT count(*) FROM points_rule_versions) + (SELECT sum(version) FROM points_units)").Scan(&revision); err != nil {
		return nil, err
	}
	s.cache.mu.Lock()
	known := s.cache.book
	s.cache.mu.Unlock()
	if known != nil && known.revision == revision {
		return known, nil
	}
	b := &rulebook{revision: revision, versions: map[uuid.UUID][]*rule{}, units: map[uuid.UUID]*loyalty.PointsUnit{}}
	units, err := c.Loyalty.PointsUnit.Query().Order(pointsunit.ByID()).All(ctx)
	if err != nil {
		return nil, err
	}
	for _, u := range units {
		b.units[u.ID] = u
	}
	rows, err := c.Query(ctx, `SELECT r.id, r.unit_id, r.kind, v.version, v.status = 'active', v.terms, v.effective_at
FROM points_rules r JOIN points_rule_versions v ON v.rule_id = r.id ORDER BY r.id, v.version`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		r, terms := &rule{}, []byte(nil)
		if err := rows.Scan(&r.id, &r.unit, &r.kind, &r.version, &r.active, &terms, &r.effective); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(terms, &r.RuleTerms); err != nil {
			return nil, err
		}
		b.versions[r.id] = append(b.versions[r.id], r)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	s.cache.mu.Lock()
	defer s.cache.mu.Unlock()
	if s.cache.book == nil || s.cache.book.revision < revision {
		s.cache.book = b
	}
	return b, nil
}

// ordered are the units, the oldest first.
func (b *rulebook) ordered() []*loyalty.PointsUnit {
	out := make([]*loyalty.PointsUnit, 0, len(b.units))
	for _, u := range b.units {
		out = append(out, u)
	}
	slices.SortFunc(out, func(a, b *loyalty.PointsUnit) int { return slices.Compare(a.ID[:], b.ID[:]) })
	return out
}

// at are the rules of a kind that were in force at an instant, by their ids.
func (b *rulebook) at(kind pointsrule.Kind, t time.Time) []*rule {
	var out []*rule
	for _, versions := range b.versions {
		i := len(versions) - 1
		for i >= 0 && versions[i].effective.After(t) {
			i--
		}
		if i < 0 {
			continue
		}
		r := versions[i]
		if r.kind == kind && r.active && (r.From == nil || !t.Before(*r.From)) && (r.Until == nil || t.Before(*r.Until)) {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b *rule) int { return slices.Compare(a.id[:], b.id[:]) })
	return out
}

// Purchase is an order as far as it earns points.
type Purchase struct {
	OrderID, CustomerID, StoreID uuid.UUID
	Channel, Tier                string
	At                           time.Time // when it was placed: the rules of that instant hold
	EarnedAt                     time.Time // pending is counted from then
	Paid                         int64     // by points, and not come back: earns nothing
	Lines                        []PurchaseLine
	New                          bool // has not been here before
	Kept                         bool // what it has earned follows its goods; without any, it earns nothing any more
}

// PurchaseLine is what is left of a line, in minor currency units.
type PurchaseLine struct {
	ID, CategoryID uuid.UUID
	SKU            string
	Amount         int64
}

func (p *Purchase) amount() (sum int64) {
	for _, l := range p.Lines {
		sum += l.Amount
	}
	return sum
}

// places is what rules have to know about stores and categories: whose they are,
// and what they lie under.
type places struct {
	merchant map[uuid.UUID]uuid.UUID          // by store
	under    map[uuid.UUID]map[uuid.UUID]bool // by a rule's category: itself and those below
}

// placesOf reads what the rules that could hold for purchases ask about.
// Plan: stores_pkey; categories by parent, as deep as the tree is.
func (s *Service) placesOf(ctx context.Context, c *db.Clients, rules []*rule, stores []uuid.UUID) (places, error) {
	out := places{map[uuid.UUID]uuid.UUID{}, map[uuid.UUID]map[uuid.UUID]bool{}}
	var roots pgarray.UUIDs
	merchants := false
	for _, r := range rules {
		merchants = merchants || len(r.Merchants) > 0
		roots = append(roots, r.Categories...)
	}
	if merchants {
		rows, err := c.Query(ctx, "SELECT id, merchant_id FROM stores WHERE id = ANY($1::uuid[]) AND merchant_id IS NOT NULL", pgarray.UUIDs(stores))
		if err != nil {
			return out, err
		}
		defer rows.Close()
		for rows.Next() {
			var store, merchant uuid.UUID
			if err := rows.Scan(&store, &merchant); err != nil {
				return out, err
			}
			out.merchant[store] = merchant
		}
		if err := rows.Err(); err != nil {
			return out, err
		}
	}
	if len(roots) > 0 {
		rows, err := c.Query(ctx, `WITH RECURSIVE under AS (
    SELECT id AS root, id FROM categories WHERE id = ANY($1::uuid[])
    UNION SELECT u.root, c.id FROM under u JOIN categories c ON c.parent_id = u.id
) SELECT root, id FROM under`, roots)
		if err != nil {
			return out, err
		}
		defer rows.Close()
		for rows.Next() {
			var root, id uuid.UUID
			if err := rows.Scan(&root, &id); err != nil {
				return out, err
			}
			if out.under[root] == nil {
				out.under[root] = map[uuid.UUID]bool{}
			}
			out.under[root][id] = true
		}
		if err := rows.Err(); err != nil {
			return out, err
		}
	}
	return out, nil
}

// holds tells whether a rule's conditions on an order hold.
func (r *rule) holds(p *Purchase, day clock.Day, at places) bool {
	switch {
	case len(r.Stores) > 0 && !slices.Contains(r.Stores, p.StoreID),
		len(r.Merchants) > 0 && !slices.Contains(r.Merchants, at.merchant[p.StoreID]),
		len(r.Channels) > 0 && !slices.Contains(r.Channels, p.Channel),
		len(r.Tiers) > 0 && !slices.Contains(r.Tiers, p.Tier),
		len(r.Weekdays) > 0 && !slices.Contains(r.Weekdays, weekday(day)),
		p.amount() < r.MinAmount:
		return false
	}
	return true
}

// weekday is 1 on Mondays and 7 on Sundays, as ISO 8601 counts them.
func weekday(d clock.Day) int { return (int(d.Time().Weekday())+6)%7 + 1 }

// about tells whether a rule is about a line's goods: one of its SKUs, or below one
// of its categories.
func (r *rule) about(l *PurchaseLine, at places) bool {
	if len(r.SKUs) == 0 && len(r.Categories) == 0 || slices.Contains(r.SKUs, l.SKU) {
		return true
	}
	return slices.ContainsFunc(r.Categories, func(root uuid.UUID) bool { return at.under[root][l.CategoryID] })
}

// rate says what a line earns of a unit. Of the spend rules that hold the one with
// the highest priority counts, then the one that gives most. To its hundred per
// cent come what the best multiplier gives beyond that, what each combinable one
// does, and what the tier does.
func rate(l *PurchaseLine, spends, multipliers []*rule, tier int64, at places) schema.EarnedLine {
	out := schema.EarnedLine{LineID: l.ID, Per: 1, Percent: 100, Rules: []schema.RuleRef{}}
	var base *rule
	for _, r := range spends {
		if r.about(l, at) && (base == nil || r.Priority > base.Priority || r.Priority == base.Priority && gives(r, base)) {
			base = r
		}
	}
	if base == nil {
		return out
	}
	out.Points, out.Per, out.Rules = base.Points, base.PerAmount, append(out.Rules, base.ref())
	var best *rule
	for _, r := range multipliers {
		switch {
		case !r.about(l, at):
		case r.Combinable:
			out.Percent += r.Percent - 100
			out.Rules = append(out.Rules, r.ref())
		case best == nil || r.Percent > best.Percent:
			best = r
		}
	}
	if best != nil {
		out.Percent += best.Percent - 100
		out.Rules = append(out.Rules, best.ref())
	}
	if tier > 100 {
		out.Percent += tier - 100
	}
	return out
}

// gives tells whether a rule gives more for the same money than another.
func gives(a, b *rule) bool {
	return new(big.Int).Mul(big.NewInt(a.Points), big.NewInt(b.PerAmount)).Cmp(new(big.Int).Mul(big.NewInt(b.Points), big.NewInt(a.PerAmount))) > 0
}

// sum is what lines earn together: fractions are rounded once, as the unit does.
func sum(u *loyalty.PointsUnit, lines []schema.EarnedLine) int64 {
	total := new(big.Rat)
	for i := range lines {
		total.Add(total, exact(&lines[i]))
	}
	n, rest := new(big.Int).QuoRem(total.Num(), total.Denom(), new(big.Int))
	switch {
	case u.Rounding == pointsunit.RoundingUp && rest.Sign() > 0,
		u.Rounding == pointsunit.RoundingHalfUp && rest.Lsh(rest, 1).Cmp(total.Denom()) >= 0:
		n.Add(n, big.NewInt(1))
	}
	if !n.IsInt64() {
		return most
	}
	return min(n.Int64(), most)
}

// exact is what a line earns before rounding.
func exact(l *schema.EarnedLine) *big.Rat {
	return new(big.Rat).SetFrac(new(big.Int).Mul(new(big.Int).Mul(big.NewInt(l.Amount), big.NewInt(l.Points)), big.NewInt(l.Percent)), new(big.Int).Mul(big.NewInt(l.Per), big.NewInt(100)))
}

// earning sets what of each line earns: what is left of it, less its part of what
// points have paid. The parts add up to that to the last minor unit.
func (p *Purchase) earning(lines []schema.EarnedLine) {
	total, through, taken := p.amount(), int64(0), int64(0)
	paid := min(p.Paid, total)
	for i := range lines {
		n := slices.IndexFunc(p.Lines, func(l PurchaseLine) bool { return l.ID == lines[i].LineID })
		if n < 0 {
			lines[i].Amount = 0
			continue
		}
		through += p.Lines[n].Amount
		part := int64(0)
		if total > 0 {
			part = mulDiv(paid, through, total) - taken
		}
		taken += part
		lines[i].Amount = p.Lines[n].Amount - part
	}
}
