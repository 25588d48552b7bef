package points

import (
	"context"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/ent/loyalty/pointsearning"
	"github.com/shuke-crm/shuke/ent/loyalty/schema"
	"github.com/shuke-crm/shuke/ent/platform/store"
	"github.com/shuke-crm/shuke/internal/catalog"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

// Basket is goods that somebody could buy.
type Basket struct {
	CustomerID *uuid.UUID // whose tier counts, unless Tier says another
	Tier       *string
	StoreID    uuid.UUID
	Channel    string
	At         *time.Time // nil: now
	Points     int64      // that pay a part
	Lines      []BasketLine
}

// BasketLine is some pieces of a variant, named by id or SKU, at the catalogue's
// price unless another one is given.
type BasketLine struct {
	VariantID *uuid.UUID
	SKU       *string
	Quantity  int64
	Amount    *int64 // what they cost together, after discounts
}

// Preview is what a basket would earn of a unit.
type Preview struct {
	Unit     *loyalty.PointsUnit
	Points   int64
	ActiveAt time.Time
	Expires  *time.Time
	Lines    []schema.EarnedLine // LineID is empty: in the order of the basket
}

// Preview says what a basket would earn, by the rules of the instant, and writes
// nothing. Limits of what a member can have are not looked at.
//
// Errors: ErrCustomerNotFound, ErrPreviewStore, ErrPreviewLine, those of Worth.
func (s *Service) Preview(ctx context.Context, in Basket) (out []Preview, err error) {
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		out, err = s.preview(ctx, tx, in)
		return err
	})
	return out, err
}

func (s *Service) preview(ctx context.Context, tx *db.Tx, in Basket) ([]Preview, error) {
	p := Purchase{StoreID: in.StoreID, Channel: in.Channel, At: s.clock.Now()}
	if in.At != nil {
		p.At = in.At.UTC()
	}
	p.EarnedAt = p.At
	if known, err := tx.Platform.Store.Query().Where(store.ID(in.StoreID)).Exist(ctx); err != nil {
		return nil, err
	} else if !known {
		return nil, ErrPreviewStore.At("/store_id")
	}
	if in.CustomerID != nil {
		p.CustomerID = *in.CustomerID
		if err := s.reach(ctx, p.CustomerID, ErrCustomerNotFound.At("/customer_id")); err != nil {
			return nil, err
		}
		if err := tx.QueryRow(ctx, "SELECT coalesce(tier_code, '') FROM customers WHERE id = $1 AND merged_into_id IS NULL", p.CustomerID).Scan(&p.Tier); err != nil {
			return nil, err
		}
	}
	if in.Tier != nil {
		p.Tier = *in.Tier
	}
	wants := make([]catalog.PriceWant, len(in.Lines))
	for i, l := range in.Lines {
		wants[i].Quantity = l.Quantity
		switch {
		case l.VariantID != nil && l.SKU == nil:
			wants[i].VariantID = *l.VariantID
		case l.SKU != nil && l.VariantID == nil:
			wants[i].SKU = *l.SKU
		}
	}
	found, err := s.catalog.Prices(ctx, tx, catalog.PriceContext{StoreID: p.StoreID, Channel: p.Channel, Tier: p.Tier, At: p.At}, wants)
	if err != nil {
		return nil, err
	}
	wrong := ErrPreviewLine.New()
	for i, l := range in.Lines {
		a := found[i]
		if a.VariantID == uuid.Nil {
			wrong.Field("/lines/"+strconv.Itoa(i), ErrPreviewLine)
			continue
		}
		amount := mulDiv(a.Amount, l.Quantity, 1)
		if l.Amount != nil {
			amount = *l.Amount
		}
		p.Lines = append(p.Lines, PurchaseLine{ID: lineAt(i), CategoryID: a.CategoryID, SKU: a.SKU, Amount: min(amount, most)})
	}
	if len(wrong.Fields) > 0 {
		return nil, wrong.OfFirst()
	}
	if in.Points > 0 {
		if p.Paid, err = s.Worth(ctx, tx, in.Points, p.amount()); err != nil {
			return nil, err
		}
	}
	b, err := s.rules(ctx, tx.Clients)
	if err != nil {
		return nil, err
	}
	rated, err := s.rated(ctx, tx.Clients, b, []Purchase{p})
	if err != nil {
		return nil, err
	}
	var out []Preview
	for _, u := range b.ordered() {
		lines := rated[0][u.ID]
		if lines == nil {
			continue
		}
		p.earning(lines)
		v := Preview{Unit: u, Points: sum(u, lines), ActiveAt: activation(u, s.clock, p.EarnedAt), Lines: lines}
		v.Expires = expiry(u, s.clock, v.ActiveAt)
		out = append(out, v)
	}
	return out, nil
}

// lineAt is the id of a basket's line, which has none of its own.
func lineAt(i int) (id uuid.UUID) {
	id[14], id[15] = byte(i>>8), byte(i)
	return id
}

// OfOrder is what an order has earned of each unit, and by which rules.
// Plan: points_earnings_key.
func (s *Service) OfOrder(ctx context.Context, order uuid.UUID) ([]*loyalty.PointsEarning, error) {
	return s.db.From(ctx).Loyalty.PointsEarning.Query().Where(pointsearning.OrderID(order)).WithUnit().Order(pointsearning.ByID()).All(ctx)
}
