package inventory

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/ent/commerce/predicate"
	"github.com/shuke-crm/shuke/ent/commerce/stocktransfer"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// Sending is what one store is to send to another.
type Sending struct {
	From, To uuid.UUID
	Note     string
	Lines    []Line
}

// Plan makes a transfer and reserves its goods in the sending store.
// Errors: ErrSameStore, ErrStore, ErrNamed, ErrVariant, ErrRepeated,
// ErrInsufficient.
func (s *Service) Plan(ctx context.Context, in Sending) (*commerce.StockTransfer, error) {
	if in.From == in.To {
		return nil, ErrSameStore.At("/to_store_id")
	}
	var id uuid.UUID
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := s.reaches(ctx, tx, in.From); err != nil {
			return ErrStore.At("/from_store_id")
		}
		if _, err := tx.Platform.Store.Get(ctx, in.To); err != nil {
			return ErrStore.At("/to_store_id")
		}
		variants, err := s.variants(ctx, tx, in.Lines)
		if err != nil {
			return err
		}
		changes := make([]change, len(variants))
		for i, v := range variants {
			changes[i] = change{variant: v, freed: -in.Lines[i].Quantity, pointer: "/lines/" + strconv.Itoa(i) + "/quantity"}
		}
		if err := s.promise(ctx, tx, in.From, changes); err != nil {
			return err
		}
		if id, err = uuid.NewV7(); err != nil {
			return err
		}
		now := s.clock.Now()
		if err := tx.Commerce.StockTransfer.Create().SetID(id).SetFromStoreID(in.From).SetToStoreID(in.To).SetNote(strings.TrimSpace(in.Note)).
			SetCreatedAt(now).SetUpdatedAt(now).Exec(ctx); err != nil {
			return err
		}
		lines := make([]*commerce.StockTransferLineCreate, len(variants))
		for i, v := range variants {
			line, err := uuid.NewV7()
			if err != nil {
				return err
			}
			lines[i] = tx.Commerce.StockTransferLine.Create().SetID(line).SetTransferID(id).SetVariantID(v).SetQuantity(in.Lines[i].Quantity)
		}
		if err := tx.Commerce.StockTransferLine.CreateBulk(lines...).Exec(ctx); err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "inventory.transfer.create", ObjectType: "stock_transfer", ObjectID: id.String(), StoreID: &in.From,
			Changes: map[string]any{"to_store_id": in.To, "lines": len(lines)}})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.Transfer(ctx, id)
}

// Ship sends a transfer off.
// Errors: ErrTransferNotFound, ErrTransferState, ErrStore, ErrInsufficient.
func (s *Service) Ship(ctx context.Context, id uuid.UUID) (*commerce.StockTransfer, error) {
	return s.advance(ctx, id, stocktransfer.StatusDraft, "ship", func(ctx context.Context, tx *db.Tx, t *commerce.StockTransfer) (*commerce.StockTransferUpdateOne, error) {
		if err := s.reaches(ctx, tx, t.FromStoreID); err != nil {
			return nil, err
		}
		out, in := make([]change, len(t.Edges.Lines)), make([]change, len(t.Edges.Lines))
		variants := make([]uuid.UUID, len(t.Edges.Lines))
		for i, l := range t.Edges.Lines {
			pointer := "/lines/" + strconv.Itoa(i)
			out[i] = change{variant: l.VariantID, onHand: -l.Quantity, freed: l.Quantity, pointer: pointer}
			in[i] = change{variant: l.VariantID, incoming: l.Quantity, pointer: pointer}
			variants[i] = l.VariantID
		}
		// Both stores in the order of their ids: somebody may be sending the other way.
		stores := []uuid.UUID{t.FromStoreID, t.ToStoreID}
		slices.SortFunc(stores, byVariant(func(id uuid.UUID) uuid.UUID { return id }))
		for _, store := range stores {
			if _, err := s.lock(ctx, tx, store, variants); err != nil {
				return nil, err
			}
		}
		now := s.clock.Now()
		if _, err := s.post(ctx, tx, document{store: t.FromStoreID, kind: KindTransferOut, origin: "transfer", originID: &t.ID, at: now}, out); err != nil {
			return nil, err
		}
		if _, err := s.post(ctx, tx, document{store: t.ToStoreID, kind: KindTransferIn, origin: "transfer", originID: &t.ID, at: now}, in); err != nil {
			return nil, err
		}
		return t.Update().SetStatus(stocktransfer.StatusInTransit).SetShippedAt(now), nil
	})
}

// Arrival is what came of one variant.
type Arrival struct {
	VariantID         *uuid.UUID
	SKU               *string
	Received, Damaged int64
}

// Receive books what came of a transfer; variants left out came in full.
// Errors: ErrTransferNotFound, ErrTransferState, ErrStore, ErrNamed, ErrVariant,
// ErrRepeated, ErrNotSent, ErrTooMuch.
func (s *Service) Receive(ctx context.Context, id uuid.UUID, arrivals []Arrival) (*commerce.StockTransfer, error) {
	return s.advance(ctx, id, stocktransfer.StatusInTransit, "receive", func(ctx context.Context, tx *db.Tx, t *commerce.StockTransfer) (*commerce.StockTransferUpdateOne, error) {
		if err := s.reaches(ctx, tx, t.ToStoreID); err != nil {
			return nil, err
		}
		lines := make([]Line, len(arrivals))
		for i, a := range arrivals {
			lines[i] = Line{VariantID: a.VariantID, SKU: a.SKU}
		}
		named, err := s.variants(ctx, tx, lines)
		if err != nil {
			return nil, err
		}
		wrong := ErrTooMuch.New()
		for i, v := range named {
			at := slices.IndexFunc(t.Edges.Lines, func(l *commerce.StockTransferLine) bool { return l.VariantID == v })
			if at < 0 {
				wrong.Field(fmt.Sprintf("/lines/%d", i), ErrNotSent)
			} else if sent := t.Edges.Lines[at].Quantity; arrivals[i].Received+arrivals[i].Damaged > sent {
				wrong.Field(fmt.Sprintf("/lines/%d/received_quantity", i), ErrTooMuch, map[string]any{"quantity": sent})
			}
		}
		if len(wrong.Fields) > 0 {
			return nil, wrong.OfFirst()
		}
		changes := make([]change, len(t.Edges.Lines))
		for i, l := range t.Edges.Lines {
			received, damaged := l.Quantity, int64(0)
			if at := slices.Index(named, l.VariantID); at >= 0 {
				received, damaged = arrivals[at].Received, arrivals[at].Damaged
			}
			changes[i] = change{variant: l.VariantID, onHand: received, damaged: damaged, incoming: -l.Quantity, pointer: "/lines/" + strconv.Itoa(i)}
			if err := l.Update().SetReceivedQuantity(received).SetDamagedQuantity(damaged).Exec(ctx); err != nil {
				return nil, err
			}
		}
		now := s.clock.Now()
		if _, err := s.post(ctx, tx, document{store: t.ToStoreID, kind: KindTransferIn, origin: "transfer", originID: &t.ID, at: now}, changes); err != nil {
			return nil, err
		}
		return t.Update().SetStatus(stocktransfer.StatusReceived).SetReceivedAt(now), nil
	})
}

// CancelTransfer gives a planned transfer up.
// Errors: ErrTransferNotFound, ErrTransferState, ErrStore.
func (s *Service) CancelTransfer(ctx context.Context, id uuid.UUID) (*commerce.StockTransfer, error) {
	return s.advance(ctx, id, stocktransfer.StatusDraft, "cancel", func(ctx context.Context, tx *db.Tx, t *commerce.StockTransfer) (*commerce.StockTransferUpdateOne, error) {
		if err := s.reaches(ctx, tx, t.FromStoreID); err != nil {
			return nil, err
		}
		changes := make([]change, len(t.Edges.Lines))
		for i, l := range t.Edges.Lines {
			changes[i] = change{variant: l.VariantID, freed: l.Quantity}
		}
		if err := s.promise(ctx, tx, t.FromStoreID, changes); err != nil {
			return nil, err
		}
		return t.Update().SetStatus(stocktransfer.StatusCancelled), nil
	})
}

// advance locks a transfer that must be in a state, and takes it to the next.
func (s *Service) advance(ctx context.Context, id uuid.UUID, from stocktransfer.Status, what string, f func(context.Context, *db.Tx, *commerce.StockTransfer) (*commerce.StockTransferUpdateOne, error)) (*commerce.StockTransfer, error) {
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		t, err := tx.Commerce.StockTransfer.Query().Where(stocktransfer.ID(id)).WithLines(func(q *commerce.StockTransferLineQuery) { q.Order(commerce.Asc("id")) }).ForUpdate().Only(ctx)
		if commerce.IsNotFound(err) {
			return ErrTransferNotFound.New()
		}
		if err != nil {
			return err
		}
		if t.Status != from {
			return ErrTransferState.New().Arg("status", string(t.Status))
		}
		change, err := f(ctx, tx, t)
		if err != nil {
			return err
		}
		if err := change.AddVersion(1).SetUpdatedAt(s.clock.Now()).Exec(ctx); err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "inventory.transfer." + what, ObjectType: "stock_transfer", ObjectID: id.String(), StoreID: &t.FromStoreID,
			Changes: map[string]any{"to_store_id": t.ToStoreID}})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.Transfer(ctx, id)
}

// Transfers lists transfers of which one store lies within the scope; empty
// parts do not filter. Error: apperr.ErrBadCursor.
func (s *Service) Transfers(ctx context.Context, store *uuid.UUID, status string, asked Asked) (*page.Of[*commerce.StockTransfer], error) {
	l := page.NewList("/v1/stock-transfers", asked.Limit)
	var where []predicate.StockTransfer
	if store != nil {
		l.Filters.Set("store_id", store.String())
		where = append(where, stocktransfer.Or(stocktransfer.FromStoreID(*store), stocktransfer.ToStoreID(*store)))
	}
	if status != "" {
		l.Filters.Set("status", status)
		where = append(where, stocktransfer.StatusEQ(stocktransfer.Status(status)))
	}
	q := s.db.From(ctx).Commerce.StockTransfer.Query().Where(where...)
	return fetch(ctx, s, l, asked, q.Clone().Count, func(after *uuid.UUID, limit int) ([]*commerce.StockTransfer, error) {
		if after != nil {
			q.Where(stocktransfer.IDLT(*after))
		}
		return q.Order(stocktransfer.ByID(sql.OrderDesc())).Limit(limit).WithLines(withSent).All(ctx)
	}, func(v *commerce.StockTransfer) uuid.UUID { return v.ID })
}

// Transfer reads one with its lines. Error: ErrTransferNotFound.
func (s *Service) Transfer(ctx context.Context, id uuid.UUID) (*commerce.StockTransfer, error) {
	v, err := s.db.From(ctx).Commerce.StockTransfer.Query().Where(stocktransfer.ID(id)).WithLines(withSent).Only(ctx)
	if commerce.IsNotFound(err) {
		return nil, ErrTransferNotFound.New()
	}
	return v, err
}

func withSent(q *commerce.StockTransferLineQuery) {
	q.Order(commerce.Asc("id")).WithVariant(withTitle)
}
