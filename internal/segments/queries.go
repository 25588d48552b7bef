package segments

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/ent/crm/customer"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/rfm"
	"github.com/shuke-crm/shuke/internal/platform/scope"
)

// Seen are a customer's metrics on the present business day.
type Seen struct {
	Metrics
	Recency    *int // R
	WindowDays int
	UpdatedAt  *time.Time // nil: never had an order or return
}

// CustomerMetrics reads a customer's metrics. Between midnight and the job that
// follows it, a row that is due is computed here, so that the answer is always
// that of today.
//
// Errors: customers.ErrNotFound.
func (s *Service) CustomerMetrics(ctx context.Context, id uuid.UUID) (*Seen, error) {
	clients := s.db.From(ctx)
	if ok, err := clients.CRM.Customer.Query().Where(customer.ID(id)).Exist(ctx); err != nil {
		return nil, err
	} else if !ok {
		return nil, customers.ErrNotFound.New()
	}
	settings, err := loadSettings(ctx, clients)
	if err != nil {
		return nil, err
	}
	today := s.clock.Today()
	out := &Seen{Metrics: Metrics{CustomerID: id}, WindowDays: settings.WindowDays}
	row, err := clients.CRM.CustomerMetrics.Get(ctx, id)
	if crm.IsNotFound(err) {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	updated := row.UpdatedAt.UTC()
	out.Metrics, out.UpdatedAt = fromRow(row), &updated
	if out.RebandOn != nil && *out.RebandOn <= today {
		fresh, err := s.sumDays(ctx, clients, []uuid.UUID{id}, &banding{Settings: settings.Settings}, today)
		if err != nil {
			return nil, err
		}
		if len(fresh) == 1 && fresh[0].days {
			out.Metrics = fresh[0]
		}
	}
	out.Recency = rfm.Recency(out.LastOrder, today)
	return out, nil
}

func fromRow(m *crm.CustomerMetrics) Metrics {
	return Metrics{
		CustomerID: m.ID, FirstOrder: dayPointer(m.FirstOrderOn), LastOrder: dayPointer(m.LastOrderOn), Orders: m.OrderCount,
		PurchaseDays: m.PurchaseDays, Units: m.UnitCount, Spent: m.SpentAmount, Returns: m.ReturnCount, Returned: m.ReturnedAmount,
		Frequency: m.Frequency, Monetary: m.MonetaryAmount, WindowOrders: m.WindowOrderCount, WindowReturned: m.WindowReturnedAmount, Band: m.RfmBand, RebandOn: dayPointer(m.RebandOn),
	}
}

// Distribution counts customers with purchases by band.
type Distribution struct {
	Day      clock.Day
	Settings *Settings
	Counts   map[string]int64 // by code; "" is no band
	Total    int64
}

// RFMDistribution counts within the caller's scope.
// Plan: customer_metrics_band_idx (index only) or the scope's rows.
func (s *Service) RFMDistribution(ctx context.Context) (*Distribution, error) {
	clients := s.db.From(ctx)
	settings, err := loadSettings(ctx, clients)
	if err != nil {
		return nil, err
	}
	where, args, err := scope.SQL(ctx, scope.Columns{Store: "store_id", Staff: "assigned_staff_id"}, "", 1)
	if err != nil {
		return nil, err
	}
	rows, err := clients.Query(ctx, "SELECT rfm_band, count(*) FROM customer_metrics WHERE last_order_on IS NOT NULL AND "+where+" GROUP BY rfm_band", args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := &Distribution{Day: s.clock.Today(), Settings: settings, Counts: map[string]int64{}}
	for rows.Next() {
		var code string
		var n int64
		if err := rows.Scan(&code, &n); err != nil {
			return nil, err
		}
		out.Counts[code] = n
		out.Total += n
	}
	return out, rows.Err()
}
