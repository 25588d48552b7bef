package customers

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/google/uuid"
	openapi_types "github.com/oapi-codegen/runtime/types"

	commonapi "github.com/shuke-crm/shuke/api/common"
	customersapi "github.com/shuke-crm/shuke/api/customers"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/rfm"
)

// profileSQL reads all of a profile in one statement: one round trip, and one
// snapshot, so that an order and the metrics it changed are seen together. It
// reads beyond the caller's scope, because what it finds is cached for all; the
// caller's scope is compared with the row's columns before anything is shown.
//
// F and M are summed over the days of the window instead of being taken from
// the metrics, so they are right from midnight on, before the nightly job ran.
const profileSQL = `SELECT ` + columns + `,
       json_build_object(
         'settings', r.value,
         'metrics', (SELECT json_build_object('first', m.first_order_on, 'last', m.last_order_on, 'orders', m.order_count, 'units', m.unit_count,
                            'spent', m.spent_amount, 'returns', m.return_count, 'returned', m.returned_amount)
                     FROM customer_metrics m WHERE m.id = c.id),
         'window', (SELECT json_build_object('f', count(*) FILTER (WHERE d.order_count > 0), 'm', coalesce(sum(d.spent_amount - d.returned_amount), 0), 'returned', coalesce(sum(d.returned_amount), 0))
                    FROM customer_days d
                    WHERE d.customer_id = c.id AND d.day > $2::date - coalesce((r.value ->> 'window_days')::integer, $3) AND d.day <= $2::date),
         'store', (SELECT json_build_object('id', st.id, 'code', st.code, 'name', st.name) FROM stores st WHERE st.id = c.home_store_id),
         'staff', (SELECT json_build_object('id', sf.id, 'name', sf.name) FROM staff sf WHERE sf.id = c.assigned_staff_id),
         'tier', (SELECT json_build_object('id', t.id, 'code', t.code, 'name', t.name) FROM tiers t WHERE t.code = c.tier_code),
         'tags', (SELECT json_agg(json_build_object('id', t.id, 'name', t.name, 'category', t.category, 'color', t.color,
                                                             'expires_at', (c.tag_expiries ->> t.id::text)::timestamptz) ORDER BY t.name)
                  FROM tags t WHERE t.id = ANY(c.tag_ids) AND coalesce((c.tag_expiries ->> t.id::text)::timestamptz > $4, TRUE)),
         'orders', (SELECT json_agg(o ORDER BY o.placed_at DESC, o.id DESC) FROM (
                      SELECT o.id, o.order_number, o.external_number, json_build_object('id', st.id, 'code', st.code, 'name', st.name) AS store,
                             o.channel, o.status, o.currency, o.total_amount, o.returned_amount, o.unit_count, o.placed_at
                      FROM orders o JOIN stores st ON st.id = o.store_id
                      WHERE o.customer_id = c.id AND o.status <> 'draft' ORDER BY o.placed_at DESC, o.id DESC LIMIT 5) o),
         'returns', (SELECT json_agg(r ORDER BY r.returned_at DESC, r.id DESC) FROM (
                      SELECT r.id, r.return_number, r.external_number, r.order_id, json_build_object('id', st.id, 'code', st.code, 'name', st.name) AS store,
                             r.status, r.currency, r.total_amount, r.unit_count, r.returned_at
                      FROM order_returns r JOIN stores st ON st.id = r.store_id
                      WHERE r.customer_id = c.id ORDER BY r.returned_at DESC, r.id DESC LIMIT 5) r),
         'categories', (SELECT json_agg(g) FROM (
                      SELECT l.category_id, k.name, sum(l.quantity - l.returned_quantity) AS unit_count, sum(l.total_amount)::bigint AS spent_amount,
                             max(o.business_day) AS last_bought_on
                      FROM orders o JOIN order_lines l ON l.order_id = o.id JOIN categories k ON k.id = l.category_id
                      WHERE o.customer_id = c.id AND o.business_day > $2::date - 365 AND o.status NOT IN ('draft', 'cancelled')
                      GROUP BY l.category_id, k.name HAVING sum(l.quantity - l.returned_quantity) > 0
                      ORDER BY 3 DESC, 4 DESC, 1 LIMIT 5) g))
FROM customers c LEFT JOIN settings r ON r.key = 'rfm'
WHERE c.id = $1 AND c.merged_into_id IS NULL`

// profileParts is the JSON that profileSQL makes beside the row.
type profileParts struct {
	Settings *rfm.Settings
	Metrics  *struct {
		First, Last                             *openapi_types.Date
		Orders, Units, Spent, Returns, Returned int64
	}
	Window struct{ F, M, Returned int64 }
	Store  *commonapi.StoreRef
	Staff  *commonapi.StaffRef
	Tier   *customersapi.ProfileTier
	Tags   []struct {
		ID       uuid.UUID
		Name     string
		Category *string
		Color    *string
		Expires  *time.Time `json:"expires_at"`
	}
	Orders     []commonapi.OrderSummary
	Returns    []customersapi.ProfileReturn
	Categories []customersapi.ProfileCategory
}

// readProfileDocument reads and masks a profile. Error: ErrNotFound.
func (s *Service) readProfileDocument(ctx context.Context, id uuid.UUID, today clock.Day) (*customersapi.CustomerProfile, *Customer, error) {
	now := s.clock.Now()
	c, raw, err := s.profileRow(ctx, id, today, now)
	if err != nil {
		return nil, nil, err
	}
	var p profileParts
	if err := json.Unmarshal(raw, &p); err != nil {
		return nil, nil, err
	}
	doc := &customersapi.CustomerProfile{
		HomeStore: pointerOrNull(p.Store), AssignedStaff: pointerOrNull(p.Staff), Tags: []customersapi.ProfileTag{},
		RecentOrders: p.Orders, RecentReturns: p.Returns, FavouriteCategories: p.Categories,
		Tier: pointerOrNull(p.Tier), Points: null[customersapi.ProfilePoints](), OpenTickets: null[customersapi.ProfileTickets](),
	}
	for _, t := range p.Tags {
		doc.Tags = append(doc.Tags, customersapi.ProfileTag{Id: t.ID, Name: t.Name, Category: pointerOrNull(t.Category), Color: pointerOrNull(t.Color), ExpiresAt: pointerOrNull(utc(t.Expires))})
		c.Tags = append(c.Tags, t.Name)
	}
	slices.Sort(c.Tags)
	c.endTags(now)
	for i := range doc.RecentOrders {
		doc.RecentOrders[i].PlacedAt = doc.RecentOrders[i].PlacedAt.UTC()
	}
	for i := range doc.RecentReturns {
		doc.RecentReturns[i].ReturnedAt = doc.RecentReturns[i].ReturnedAt.UTC()
	}
	if doc.RecentOrders == nil {
		doc.RecentOrders = []commonapi.OrderSummary{}
	}
	if doc.RecentReturns == nil {
		doc.RecentReturns = []customersapi.ProfileReturn{}
	}
	if doc.FavouriteCategories == nil {
		doc.FavouriteCategories = []customersapi.ProfileCategory{}
	}
	// All that anybody may see; answerProfile leaves out what the caller may not.
	set, err := s.definitions(ctx)
	if err != nil {
		return nil, nil, err
	}
	system := auth.Actor{Kind: auth.KindSystem}
	c.CustomFields, c.Custom = set.visible(&system, c.CustomFields, false), set.visible(&system, c.Custom, true)
	doc.Customer = toAPICustomer(c)
	doc.Metrics, doc.Rfm = p.figures(today)
	return doc, c, nil
}

// figures are the metrics and the band on a day.
func (p *profileParts) figures(today clock.Day) (customersapi.ProfileMetrics, customersapi.ProfileRFM) {
	settings := rfm.Default()
	if p.Settings != nil {
		settings = *p.Settings
	}
	m := customersapi.ProfileMetrics{FirstOrderOn: null[openapi_types.Date](), LastOrderOn: null[openapi_types.Date](), ReturnRate: null[float64]()}
	r := customersapi.ProfileRFM{Band: null[string](), RecencyDays: null[int32](), Frequency: p.Window.F, MonetaryAmount: p.Window.M,
		AsOfOn: openapi_types.Date{Time: today.Time()}}
	if p.Metrics == nil {
		return m, r
	}
	m.FirstOrderOn, m.LastOrderOn = pointerOrNull(p.Metrics.First), pointerOrNull(p.Metrics.Last)
	m.OrderCount, m.UnitCount, m.SpentAmount = p.Metrics.Orders, p.Metrics.Units, p.Metrics.Spent
	m.ReturnCount, m.ReturnedAmount = p.Metrics.Returns, p.Metrics.Returned
	m.ReturnRate = pointerOrNull(rfm.ReturnRate(p.Window.Returned, p.Window.M+p.Window.Returned))
	m.NetSpentAmount = m.SpentAmount - m.ReturnedAmount
	m.AverageOrderAmount = rfm.AverageOrder(m.SpentAmount, m.OrderCount)
	if p.Metrics.Last != nil {
		last := clock.DayFromDate(p.Metrics.Last.Time)
		recency := rfm.Recency(&last, today)
		r.RecencyDays.Set(int32(*recency))
		if band := settings.Band(recency, p.Window.F, p.Window.M); band != "" {
			r.Band.Set(band)
		}
	}
	return m, r
}

func (s *Service) profileRow(ctx context.Context, id uuid.UUID, today clock.Day, now time.Time) (*Customer, []byte, error) {
	rows, err := s.db.From(ctx).Query(ctx, profileSQL, id, today.Time(), rfm.Default().WindowDays, now)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return nil, nil, err
		}
		return nil, nil, ErrNotFound.New()
	}
	var parts []byte
	c, err := newScanner(&parts).customer(s.keys, rows)
	return &c, parts, err
}
