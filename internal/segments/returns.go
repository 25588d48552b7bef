package segments

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/events"
	"github.com/shuke-crm/shuke/internal/platform/settings"
)

// EventHighReturns says that a customer came under the rule of those who return
// much. Its payload is HighReturns.
var EventHighReturns = events.Define("customer.high_returns", "顾客退货率偏高", "A customer returns much of what they buy.")

// HighReturns is the payload of EventHighReturns. Amounts are in minor units.
type HighReturns struct {
	CustomerID      uuid.UUID  `json:"customer_id"`
	StoreID         *uuid.UUID `json:"store_id,omitempty"`
	AssignedStaffID *uuid.UUID `json:"assigned_staff_id,omitempty"`
	TagID           uuid.UUID  `json:"tag_id"`
	OrderCount      int64      `json:"order_count"`
	SpentAmount     int64      `json:"spent_amount"`
	ReturnedAmount  int64      `json:"returned_amount"`
}

// ReturnRule is who returns much: the condition of an automatic tag, which does
// the rest. Orders and share are of the window of the RFM settings.
type ReturnRule struct {
	Enabled   bool      `json:"enabled"`
	MinOrders int64     `json:"min_orders"`
	MinRate   int64     `json:"min_rate_percent"`
	TagName   string    `json:"tag_name"`
	TagID     uuid.UUID `json:"tag_id"` // zero: not saved yet

	WindowDays int        `json:"-"`
	Version    int64      `json:"-"`
	UpdatedAt  *time.Time `json:"-"`
}

const returnsKey = "returns"

// condition is the rule as a tag's.
func (r ReturnRule) condition() string {
	if !r.Enabled {
		return "false"
	}
	return fmt.Sprintf("window_order_count >= %d && window_spent_amount > 0 && window_returned_amount * 100 >= %d * window_spent_amount", r.MinOrders, r.MinRate)
}

// LoadReturnRule reads the rule in force.
func (s *Service) LoadReturnRule(ctx context.Context) (*ReturnRule, error) {
	c := s.db.From(ctx)
	bands, err := loadSettings(ctx, c)
	if err != nil {
		return nil, err
	}
	out := &ReturnRule{MinOrders: 3, MinRate: 40, TagName: "高退货率"}
	out.Version, out.UpdatedAt, err = settings.Load(ctx, c, returnsKey, out)
	out.WindowDays = bands.WindowDays
	return out, err
}

// UpdateReturnRule replaces the rule and its tag's condition, which a job applies.
//
// Errors: apperr.ErrVersionRequired, apperr.ErrVersionMismatch, customers.ErrTagName, customers.ErrTagDuplicate, customers.ErrTagsAutomatic.
func (s *Service) UpdateReturnRule(ctx context.Context, ifMatch *string, in ReturnRule) (*ReturnRule, error) {
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtext('settings.returns'))"); err != nil {
			return err
		}
		old, err := s.LoadReturnRule(ctx)
		if err != nil {
			return err
		}
		if err := etag.Require(ifMatch, old.Version); err != nil {
			return err
		}
		if in.TagID, err = s.returnTag(ctx, old.TagID, in); err != nil {
			return err
		}
		if err := settings.Save(ctx, tx, returnsKey, in, old.Version+1, s.clock.Now()); err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "segments.return_rule.update", ObjectType: "setting", ObjectID: returnsKey, Changes: map[string]any{"before": old, "after": in}})
		return nil
	})
	for _, name := range []*apperr.Definition{customers.ErrTagName, customers.ErrTagDuplicate} {
		if name.Is(err) {
			return nil, name.At("/tag_name")
		}
	}
	if err != nil {
		return nil, err
	}
	return s.LoadReturnRule(ctx)
}

// returnTag brings the rule's tag to what the rule says; one that somebody has
// deleted is made again.
func (s *Service) returnTag(ctx context.Context, id uuid.UUID, rule ReturnRule) (uuid.UUID, error) {
	in := customers.TagInput{Name: &rule.TagName, Condition: nullable.NewNullableWithValue(rule.condition())}
	if id != uuid.Nil {
		in.LifetimeDays = nullable.NewNullNullable[int32]()
		if _, err := s.customers.UpdateTag(ctx, id, in, nil); !customers.ErrTagNotFound.Is(err) {
			return id, err
		}
		in.LifetimeDays = nil
	}
	made, err := s.customers.CreateTag(ctx, in)
	if err != nil {
		return uuid.Nil, err
	}
	return made.ID, nil
}

// retagged tells of customers who have come under the rule.
func (s *Service) retagged(ctx context.Context, tx *db.Tx, r customers.Retagged) error {
	var id uuid.UUID
	err := tx.QueryRow(ctx, "SELECT (value ->> 'tag_id')::uuid FROM settings WHERE key = $1", returnsKey).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil || slices.Contains(r.Had, id) || !slices.Contains(r.Has, id) {
		return err
	}
	e := HighReturns{CustomerID: r.CustomerID, StoreID: r.StoreID, AssignedStaffID: r.StaffID, TagID: id}
	if err := tx.QueryRow(ctx, "SELECT window_order_count, monetary_amount + window_returned_amount, window_returned_amount FROM customer_metrics WHERE id = $1", r.CustomerID).
		Scan(&e.OrderCount, &e.SpentAmount, &e.ReturnedAmount); err != nil {
		return err
	}
	events.Emit(tx, events.Event{Type: EventHighReturns, SubjectType: "customer", SubjectID: r.CustomerID, StoreID: r.StoreID, Payload: e})
	// A rule that has just been changed is no news of the customer's.
	if s.tell == nil || r.StaffID == nil || r.Cause != customers.CauseOrder {
		return nil
	}
	return s.tell(ctx, r.CustomerID, *r.StaffID, fmt.Sprintf("该顾客退货率偏高：统计期内 %d 笔订单，退货金额占 %d%%。", e.OrderCount, e.ReturnedAmount*100/max(1, e.SpentAmount)))
}
