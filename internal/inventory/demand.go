package inventory

import (
	"bytes"
	"context"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	entstore "github.com/shuke-crm/shuke/ent/platform/store"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// Demand is a level beside what was sold of it.
type Demand struct {
	LevelID, VariantID                  uuid.UUID
	SKU, Title                          string
	OnHand, Reserved, Incoming, Damaged int64
	Threshold                           *int64
	Sold                                int64      // pieces within the window
	LastSoldAt                          *time.Time // within the window
	Since                               time.Time  // when the store first had it
	squares                             float64    // sum over the window's days of the square of what was sold
}

// Available is what can be promised.
func (d Demand) Available() int64 { return d.OnHand - d.Reserved }

// DemandFilter says of which store, and over how many days.
type DemandFilter struct {
	StoreID uuid.UUID
	Days    int
	Kind    string // of alerts: low, slow, dead; empty: all
}

// Alert kinds.
const (
	AlertLow  = "low"  // available pieces at or below the threshold
	AlertSlow = "slow" // what is there lasts longer than slowCover
	AlertDead = "dead" // nothing was sold in the window; both of what is there for longer than that
)

// slowCover is for how many days of sales there are pieces before they are slow.
const slowCover = 180

// alertSQL is a condition on a level l and its sales d by kind of alert.
var alertSQL = map[string]string{
	AlertLow:  "l.low_stock_threshold IS NOT NULL AND l.on_hand - l.reserved <= l.low_stock_threshold",
	AlertSlow: "d.sold > 0 AND l.on_hand > 0 AND l.created_at < $3 AND l.on_hand::numeric * $4 > d.sold::numeric * 180", // slowCover
	AlertDead: "d.sold IS NULL AND l.on_hand > 0 AND l.created_at < $3",
}

// demandSQL reads levels of a store with their sales since an instant.
// Plan: stock_movements_store_idx once from the first id of the window (ids begin
// with the time they were made at), then stock_levels_store_idx in order.
const demandSQL = `
WITH sales AS (
    SELECT variant_id, sum(-on_hand_change) AS sold, max(occurred_at) AS last, occurred_at::date AS day FROM stock_movements
    WHERE store_id = $1 AND id >= $2 AND kind = 'sale' AND occurred_at >= $3 GROUP BY variant_id, occurred_at::date
), d AS (
    SELECT variant_id, sum(sold) AS sold, max(last) AS last, sum(sold * sold)::float8 AS squares FROM sales GROUP BY variant_id
)
SELECT l.id, l.variant_id, v.sku, p.title, l.on_hand, l.reserved, l.incoming, l.damaged, l.low_stock_threshold, coalesce(d.sold, 0), d.last, l.created_at, coalesce(d.squares, 0)
FROM stock_levels l JOIN variants v ON v.id = l.variant_id JOIN products p ON p.id = v.product_id LEFT JOIN d ON d.variant_id = l.variant_id
WHERE l.store_id = $1 AND ($4::int > 0)`

// since is the first id and the first instant of a window that ends now.
func (s *Service) since(days int) (uuid.UUID, time.Time) {
	at := s.clock.Start(s.clock.Today()).AddDate(0, 0, -days)
	var id uuid.UUID
	ms := at.UnixMilli()
	for i := range 6 {
		id[i] = byte(ms >> (8 * (5 - i)))
	}
	return id, at
}

// demand reads rows of demandSQL with more conditions.
func (s *Service) demand(ctx context.Context, f DemandFilter, more string, args ...any) ([]Demand, error) {
	first, at := s.since(f.Days)
	rows, err := s.db.From(ctx).Query(ctx, demandSQL+more, append([]any{f.StoreID, first, at, f.Days}, args...)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Demand
	for rows.Next() {
		var d Demand
		if err := rows.Scan(&d.LevelID, &d.VariantID, &d.SKU, &d.Title, &d.OnHand, &d.Reserved, &d.Incoming, &d.Damaged, &d.Threshold, &d.Sold, &d.LastSoldAt, &d.Since, &d.squares); err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, rows.Err()
}

// sees passes callers who see a store's stock.
// Error: ErrStoreNotFound.
func (s *Service) sees(ctx context.Context, store uuid.UUID) error {
	actor, err := auth.From(ctx)
	if err != nil {
		return err
	}
	if !actor.Scope.SeesStore(store) {
		return ErrStoreNotFound.New()
	}
	ok, err := s.db.From(ctx).Platform.Store.Query().Where(entstore.ID(store)).Exist(ctx)
	if err == nil && !ok {
		err = ErrStoreNotFound.New()
	}
	return err
}

// Alerts lists the levels of a store that somebody should look at.
// Errors: ErrStoreNotFound, apperr.ErrBadCursor.
func (s *Service) Alerts(ctx context.Context, f DemandFilter, asked Asked) (*page.Of[Demand], error) {
	if err := s.sees(ctx, f.StoreID); err != nil {
		return nil, err
	}
	condition := " AND (" + alertSQL[AlertLow] + " OR " + alertSQL[AlertSlow] + " OR " + alertSQL[AlertDead] + ")"
	if f.Kind != "" {
		condition = " AND " + alertSQL[f.Kind]
	}
	l := page.NewList("/v1/stock-alerts", asked.Limit)
	l.Filters.Set("store_id", f.StoreID.String())
	return fetch(ctx, s, l, asked, func(ctx context.Context) (int, error) {
		all, err := s.demand(ctx, f, condition)
		return len(all), err
	}, func(after *uuid.UUID, limit int) ([]Demand, error) {
		if after == nil {
			return s.demand(ctx, f, condition+" ORDER BY l.id DESC LIMIT $5", limit)
		}
		return s.demand(ctx, f, condition+" AND l.id < $6 ORDER BY l.id DESC LIMIT $5", limit, *after)
	}, func(d Demand) uuid.UUID { return d.LevelID })
}

// Kinds are the alerts that a level raises, as alertSQL has it; window is the first
// instant of the days looked at.
func (d Demand) Kinds(days int, window time.Time) (out []string) {
	if d.Threshold != nil && d.Available() <= *d.Threshold {
		out = append(out, AlertLow)
	}
	switch {
	case d.OnHand <= 0 || !d.Since.Before(window): // what is new has had no time to sell
	case d.Sold == 0:
		out = append(out, AlertDead)
	case d.OnHand*int64(days) > d.Sold*slowCover:
		out = append(out, AlertSlow)
	}
	return out
}

// Window is the first instant of some days that end now.
func (s *Service) Window(days int) time.Time {
	_, at := s.since(days)
	return at
}

// Suggestion is a level that should be ordered again.
type Suggestion struct {
	Demand
	ReorderPoint, Quantity int64
}

// Suggestions lists what a store should order now, by its sales and how it is
// supplied; the fastest sellers first. It is as long as what the store has sold in
// the window, so it is worked out whole and paged here.
// Errors: ErrStoreNotFound, apperr.ErrBadCursor.
func (s *Service) Suggestions(ctx context.Context, f DemandFilter, by Supply, asked Asked) (*page.Of[Suggestion], error) {
	if err := s.sees(ctx, f.StoreID); err != nil {
		return nil, err
	}
	sold, err := s.demand(ctx, f, " AND d.sold > 0 ORDER BY d.sold DESC, l.id")
	if err != nil {
		return nil, err
	}
	var all []Suggestion
	for _, d := range sold {
		if at, quantity := d.Suggest(f.Days, by); quantity > 0 {
			all = append(all, Suggestion{d, at, quantity})
		}
	}
	l := page.NewList("/v1/reorder-suggestions", asked.Limit)
	l.Filters.Set("store_id", f.StoreID.String())
	l.Filters.Set("days", strconv.Itoa(f.Days))
	l.Filters.Set("lead_days", strconv.Itoa(by.LeadDays))
	l.Filters.Set("cover_days", strconv.Itoa(by.CoverDays))
	out := &page.Of[Suggestion]{}
	if asked.Total {
		n := int64(len(all))
		out.Total = &n
	}
	var at struct {
		Sold int64     `json:"s"`
		ID   uuid.UUID `json:"id"`
	}
	if ok, err := s.pages.Decode(l.Name(), asked.Cursor, &at); err != nil {
		return nil, err
	} else if ok {
		all = slices.DeleteFunc(all, func(o Suggestion) bool {
			return o.Sold > at.Sold || o.Sold == at.Sold && bytes.Compare(o.LevelID[:], at.ID[:]) <= 0
		})
	}
	var more bool
	if out.Items, more = page.Cut(all, l.Limit); more {
		last := out.Items[len(out.Items)-1]
		at.Sold, at.ID = last.Sold, last.LevelID
		out.Next, out.Link = l.After(s.pages, at)
	}
	return out, nil
}

// Supply is how a store is supplied.
type Supply struct {
	LeadDays  int // from ordering to arrival
	CoverDays int // for how long a delivery should last
}

// safetyFactor is the standard normal quantile of a service level of 95 %.
const safetyFactor = 1.645

// Suggest says from how many pieces on to order again, and how many. Demand is
// taken as independent from day to day: the reorder point is the expected demand
// during the lead time and a safety stock of safetyFactor standard deviations of
// it (Silver, Pyke and Thomas, Inventory and Production Management in Supply
// Chains, ch. 6); the order fills up to the demand of lead time and cover.
func (d Demand) Suggest(days int, by Supply) (reorderPoint, quantity int64) {
	n := float64(days)
	mean := float64(d.Sold) / n
	variance := max(0, d.squares/n-mean*mean)
	lead := float64(by.LeadDays)
	safety := safetyFactor * math.Sqrt(variance*lead)
	reorderPoint = int64(math.Ceil(mean*lead + safety))
	have := d.Available() + d.Incoming
	if d.Sold == 0 || have > reorderPoint {
		return reorderPoint, 0
	}
	return reorderPoint, max(0, int64(math.Ceil(mean*(lead+float64(by.CoverDays))+safety))-have)
}
