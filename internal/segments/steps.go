package segments

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/lifecycle"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
	"github.com/shuke-crm/shuke/internal/platform/rfm"
)

// DayDelta is what some orders and returns add to one business day of one
// customer. Amounts are in minor units, Returned is positive.
type DayDelta struct {
	CustomerID uuid.UUID
	Day        clock.Day
	Orders     int64
	Units      int64
	Spent      int64
	Returns    int64
	Returned   int64
}

// ApplyDays adds the deltas and recomputes the metrics of the customers
// concerned, in the caller's transaction. The result is exact for late tickets
// and any order of arrival, also when several transactions add to one customer:
// each first locks the customer's metrics row, so the second one sums after the
// first has committed. The caller has locked the customers before, in the order
// of ids: their lifecycle stage and automatic tags follow.
func (s *Service) ApplyDays(ctx context.Context, tx *db.Tx, deltas []DayDelta) error {
	if len(deltas) == 0 {
		return nil
	}
	deltas = addUp(deltas)
	ids := customersOf(deltas)
	settings, err := lockSettings(ctx, tx)
	if err != nil {
		return err
	}
	if err := s.lockMetrics(ctx, tx, ids); err != nil {
		return err
	}
	if err := addDays(ctx, tx, deltas); err != nil {
		return err
	}
	_, err = s.recompute(ctx, tx, ids, settings, s.clock.Today(), customers.CauseOrder)
	return err
}

// AddDays adds what happened to days and leaves metrics to CatchUp: what comes by
// the million is summed once for each customer. Until then they are due, as those
// are whom the calendar changes, so that nobody is forgotten by a process that
// dies. Callers hold the customers.
func (s *Service) AddDays(ctx context.Context, tx *db.Tx, deltas []DayDelta) error {
	if len(deltas) == 0 {
		return nil
	}
	deltas = addUp(deltas)
	ids, today := pgarray.UUIDs(customersOf(deltas)), s.clock.Today().Time()
	if _, err := tx.Exec(ctx, `
INSERT INTO customer_metrics (id, store_id, assigned_staff_id, reband_on, updated_at)
SELECT c.id, c.home_store_id, c.assigned_staff_id, $3, $2 FROM customers c
WHERE c.id = ANY((SELECT $1::uuid[])::uuid[]) AND NOT EXISTS (SELECT FROM customer_metrics m WHERE m.id = c.id)
ORDER BY c.id
ON CONFLICT (id) DO NOTHING`, ids, s.clock.Now(), today); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `
WITH due AS (SELECT id FROM customer_metrics WHERE id = ANY((SELECT $1::uuid[])::uuid[]) AND (reband_on IS NULL OR reband_on > $2) ORDER BY id FOR NO KEY UPDATE)
UPDATE customer_metrics m SET reband_on = $2 FROM due WHERE m.id = due.id`, ids, today); err != nil {
		return err
	}
	return addDays(ctx, tx, deltas)
}

// addUp merges deltas of one day and sorts by customer and day.
func addUp(deltas []DayDelta) []DayDelta {
	sorted := slices.Clone(deltas)
	slices.SortFunc(sorted, func(a, b DayDelta) int {
		if c := bytes.Compare(a.CustomerID[:], b.CustomerID[:]); c != 0 {
			return c
		}
		return int(a.Day - b.Day)
	})
	out := sorted[:0]
	for _, d := range sorted {
		if n := len(out); n > 0 && out[n-1].CustomerID == d.CustomerID && out[n-1].Day == d.Day {
			last := &out[n-1]
			last.Orders += d.Orders
			last.Units += d.Units
			last.Spent += d.Spent
			last.Returns += d.Returns
			last.Returned += d.Returned
			continue
		}
		out = append(out, d)
	}
	return out
}

// customersOf lists the customers of sorted deltas once each.
func customersOf(deltas []DayDelta) []uuid.UUID {
	var ids []uuid.UUID
	for _, d := range deltas {
		if len(ids) == 0 || ids[len(ids)-1] != d.CustomerID {
			ids = append(ids, d.CustomerID)
		}
	}
	return ids
}

func lockSettings(ctx context.Context, tx *db.Tx) (*banding, error) {
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock_shared($1)", int64(settingsLock)); err != nil {
		return nil, err
	}
	return loadBanding(ctx, tx.Clients)
}

// loadBanding reads both settings in one statement.
func loadBanding(ctx context.Context, c *db.Clients) (*banding, error) {
	rows, err := c.Query(ctx, "SELECT key, value FROM settings WHERE key IN ($1, $2)", rfm.SettingKey, lifecycle.SettingKey)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := &banding{rfm.Default(), lifecycle.Default()}
	for rows.Next() {
		var key string
		var raw []byte
		if err := rows.Scan(&key, &raw); err != nil {
			return nil, err
		}
		if key == rfm.SettingKey {
			out.Settings = rfm.Settings{}
			err = json.Unmarshal(raw, &out.Settings)
		} else {
			out.stages = lifecycle.Settings{}
			err = json.Unmarshal(raw, &out.stages)
		}
		if err != nil {
			return nil, fmt.Errorf("setting %s: %w", key, err)
		}
	}
	return out, rows.Err()
}

// Arrays stand in queries of their own here ("(SELECT $1::uuid[])"), so that the
// planner cannot look into them and plans once, not for each order anew.

// lockMetrics makes the missing rows and locks all of them. A new row copies
// its scope columns from the customer, who is held still for that; later the
// customers table's trigger keeps them in step.
func (s *Service) lockMetrics(ctx context.Context, tx *db.Tx, ids []uuid.UUID) error {
	if _, err := tx.Exec(ctx, `
INSERT INTO customer_metrics (id, store_id, assigned_staff_id, updated_at)
SELECT c.id, c.home_store_id, c.assigned_staff_id, $2 FROM customers c
WHERE c.id = ANY((SELECT $1::uuid[])::uuid[]) AND NOT EXISTS (SELECT FROM customer_metrics m WHERE m.id = c.id)
ORDER BY c.id FOR SHARE OF c
ON CONFLICT (id) DO NOTHING`, pgarray.UUIDs(ids), s.clock.Now()); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, lockMetricsSQL, pgarray.UUIDs(ids))
	return err
}

const lockMetricsSQL = "SELECT FROM customer_metrics WHERE id = ANY((SELECT $1::uuid[])::uuid[]) ORDER BY id FOR NO KEY UPDATE"

func addDays(ctx context.Context, tx *db.Tx, deltas []DayDelta) error {
	n := len(deltas)
	ids, days := make(pgarray.UUIDs, n), make([]string, n)
	orders, units, spent := make([]int64, n), make([]int64, n), make([]int64, n)
	returns, returned := make([]int64, n), make([]int64, n)
	for i, d := range deltas {
		ids[i], days[i] = d.CustomerID, d.Day.String()
		orders[i], units[i], spent[i], returns[i], returned[i] = d.Orders, d.Units, d.Spent, d.Returns, d.Returned
	}
	_, err := tx.Exec(ctx, `
INSERT INTO customer_days AS d (customer_id, day, order_count, unit_count, spent_amount, return_count, returned_amount)
SELECT * FROM unnest($1::uuid[], $2::date[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
ON CONFLICT (customer_id, day) DO UPDATE SET
    order_count = d.order_count + EXCLUDED.order_count, unit_count = d.unit_count + EXCLUDED.unit_count,
    spent_amount = d.spent_amount + EXCLUDED.spent_amount, return_count = d.return_count + EXCLUDED.return_count,
    returned_amount = d.returned_amount + EXCLUDED.returned_amount`,
		ids, pq.Array(days), pq.Array(orders), pq.Array(units), pq.Array(spent), pq.Array(returns), pq.Array(returned))
	return err
}

// sumDays adds up customers' days as seen on a day; who has none is among them.
// Plan: customer_days_pkey, one range for each customer, and customers_pkey.
func (s *Service) sumDays(ctx context.Context, c *db.Clients, ids []uuid.UUID, settings *banding, today clock.Day) ([]Metrics, error) {
	rows, err := c.Query(ctx, `
SELECT c.id, d.days IS NOT NULL, coalesce(orders, 0), coalesce(days, 0), coalesce(units, 0), coalesce(spent, 0), coalesce(returns, 0), coalesce(returned, 0),
       first, last, coalesce(f, 0), coalesce(m, 0), coalesce(w_orders, 0), coalesce(w_returned, 0), oldest, future,
       c.created_at, c.card_number_index IS NOT NULL, NOT c.lifecycle_pinned AND c.merged_into_id IS NULL, c.lifecycle_stage, c.home_store_id, c.assigned_staff_id
FROM customers c LEFT JOIN (
  SELECT customer_id, sum(order_count) AS orders, count(*) FILTER (WHERE order_count > 0) AS days, sum(unit_count) AS units, sum(spent_amount) AS spent,
       sum(return_count) AS returns, sum(returned_amount) AS returned,
       min(day) FILTER (WHERE order_count > 0) AS first, max(day) FILTER (WHERE order_count > 0) AS last,
       count(*) FILTER (WHERE order_count > 0 AND day BETWEEN $2 AND $3) AS f,
       sum(spent_amount - returned_amount) FILTER (WHERE day BETWEEN $2 AND $3) AS m,
       sum(order_count) FILTER (WHERE day BETWEEN $2 AND $3) AS w_orders, sum(returned_amount) FILTER (WHERE day BETWEEN $2 AND $3) AS w_returned,
       min(day) FILTER (WHERE day BETWEEN $2 AND $3) AS oldest, min(day) FILTER (WHERE day > $3) AS future
  FROM customer_days WHERE customer_id = ANY((SELECT $1::uuid[])::uuid[]) GROUP BY customer_id) d ON d.customer_id = c.id
WHERE c.id = ANY((SELECT $1::uuid[])::uuid[])`,
		pgarray.UUIDs(ids), settings.WindowStart(today).Time(), today.Time())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := make([]Metrics, 0, len(ids))
	for rows.Next() {
		var m Metrics
		var first, last, oldest, future sql.NullTime
		var created time.Time
		r := &m.record
		if err := rows.Scan(&m.CustomerID, &m.days, &m.Orders, &m.PurchaseDays, &m.Units, &m.Spent, &m.Returns, &m.Returned,
			&first, &last, &m.Frequency, &m.Monetary, &m.WindowOrders, &m.WindowReturned, &oldest, &future, &created, &r.card, &r.free, &r.stage, &r.storeID, &r.staffID); err != nil {
			return nil, err
		}
		r.created = s.clock.DayOf(created)
		m.FirstOrder, m.LastOrder, m.oldest, m.future = dayOf(first), dayOf(last), dayOf(oldest), dayOf(future)
		m.place(settings, today)
		out = append(out, m)
	}
	return out, rows.Err()
}

// recompute writes the metrics of customers whose rows the transaction has
// locked, those of the record too, and returns those that changed. Stages and
// automatic tags follow; the cause is why.
func (s *Service) recompute(ctx context.Context, tx *db.Tx, ids []uuid.UUID, settings *banding, today clock.Day, cause string) (out recomputed, err error) {
	all, err := s.sumDays(ctx, tx.Clients, ids, settings, today)
	if err != nil {
		return out, err
	}
	var moves []customers.StageMove
	bought := make([]Metrics, 0, len(all))
	for _, m := range all {
		if r := &m.record; r.free && r.stage != r.derived {
			moves = append(moves, customers.StageMove{ID: m.CustomerID, StoreID: r.storeID, StaffID: r.staffID, From: r.stage, To: r.derived, Rule: r.derivedBy})
		}
		if m.days {
			bought = append(bought, m)
		}
	}
	out.stages = len(moves)
	if out.metrics, err = s.writeMetrics(ctx, tx, bought); err != nil {
		return out, err
	}
	return out, s.customers.Bought(ctx, tx, cause, out.metrics, moves)
}

// recomputed is what recompute changed.
type recomputed struct {
	metrics []uuid.UUID
	stages  int
}

func (s *Service) writeMetrics(ctx context.Context, tx *db.Tx, all []Metrics) ([]uuid.UUID, error) {
	n := len(all)
	if n == 0 {
		return nil, nil
	}
	ids, bands := make(pgarray.UUIDs, n), make([]string, n)
	first, last, reband := make([]string, n), make([]string, n), make([]string, n)
	numbers := make([][]int64, 10)
	for i := range numbers {
		numbers[i] = make([]int64, n)
	}
	for i, m := range all {
		ids[i], bands[i] = m.CustomerID, m.Band
		first[i], last[i], reband[i] = dayText(m.FirstOrder), dayText(m.LastOrder), dayText(m.RebandOn)
		for j, v := range []int64{m.Orders, m.PurchaseDays, m.Units, m.Spent, m.Returns, m.Returned, m.Frequency, m.Monetary, m.WindowOrders, m.WindowReturned} {
			numbers[j][i] = v
		}
	}
	rows, err := tx.Query(ctx, `
UPDATE customer_metrics m SET first_order_on = t.first_on, last_order_on = t.last_on, order_count = t.orders, purchase_days = t.days,
    unit_count = t.units, spent_amount = t.spent, return_count = t.returns, returned_amount = t.returned,
    frequency = t.f, monetary_amount = t.m, window_order_count = t.w_orders, window_returned_amount = t.w_returned,
    rfm_band = t.band, reband_on = t.reband, updated_at = $13
FROM (SELECT id, NULLIF(first_on, '')::date AS first_on, NULLIF(last_on, '')::date AS last_on, orders, days, units, spent, returns, returned, f, m, w_orders, w_returned, band,
             NULLIF(reband, '')::date AS reband
      FROM unnest((SELECT $1::uuid[]), (SELECT $2::text[]), (SELECT $3::text[]), (SELECT $4::bigint[]), (SELECT $5::bigint[]), (SELECT $6::bigint[]), (SELECT $7::bigint[]), (SELECT $8::bigint[]), (SELECT $9::bigint[]), (SELECT $10::bigint[]),
                  (SELECT $11::bigint[]), (SELECT $15::bigint[]), (SELECT $16::bigint[]), (SELECT $12::text[]), (SELECT $14::text[]))
           AS u (id, first_on, last_on, orders, days, units, spent, returns, returned, f, m, w_orders, w_returned, band, reband)) t
WHERE m.id = t.id AND (m.first_order_on, m.last_order_on, m.order_count, m.purchase_days, m.unit_count, m.spent_amount, m.return_count,
                       m.returned_amount, m.frequency, m.monetary_amount, m.window_order_count, m.window_returned_amount, m.rfm_band, m.reband_on)
      IS DISTINCT FROM (t.first_on, t.last_on, t.orders, t.days, t.units, t.spent, t.returns, t.returned, t.f, t.m, t.w_orders, t.w_returned, t.band, t.reband)
RETURNING m.id`,
		ids, pq.Array(first), pq.Array(last), pq.Array(numbers[0]), pq.Array(numbers[1]), pq.Array(numbers[2]), pq.Array(numbers[3]),
		pq.Array(numbers[4]), pq.Array(numbers[5]), pq.Array(numbers[6]), pq.Array(numbers[7]), pq.Array(bands), s.clock.Now(), pq.Array(reband), pq.Array(numbers[8]), pq.Array(numbers[9]))
	if err != nil {
		return nil, err
	}
	return scanIDs(rows)
}

func scanIDs(rows *sql.Rows) ([]uuid.UUID, error) {
	defer rows.Close()
	var ids []uuid.UUID
	for rows.Next() {
		var id uuid.UUID
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

func dayOf(t sql.NullTime) *clock.Day {
	if !t.Valid {
		return nil
	}
	d := clock.DayFromDate(t.Time)
	return &d
}

func dayPointer(t *time.Time) *clock.Day {
	if t == nil {
		return nil
	}
	d := clock.DayFromDate(*t)
	return &d
}

func dayText(d *clock.Day) string {
	if d == nil {
		return ""
	}
	return d.String()
}
