package inventory

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/ent/commerce/stockdocument"
	"github.com/shuke-crm/shuke/ent/commerce/stockmovement"
	"github.com/shuke-crm/shuke/ent/commerce/variant"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

// Line names a variant by exactly one of its id and its SKU.
type Line struct {
	VariantID *uuid.UUID
	SKU       *string
	Quantity  int64  // pieces
	UnitCost  *int64 // minor units, of a receipt
}

// Facts are things that happened to the stock of one store.
type Facts struct {
	StoreID        uuid.UUID
	Kind           string // receipt, sale, return, damage, repair, disposal, adjustment
	ExternalNumber *string
	Reason         string
	OccurredAt     *time.Time // nil: now
	Lines          []Line
}

// clockSkew is how far a sender's clock may be ahead of ours.
const clockSkew = 5 * time.Minute

// Record writes facts to the ledger, all or none. Facts with an external number
// the store has already are the first ones sent again: known is true then.
//
// Errors: ErrStore, ErrNamed, ErrVariant, ErrRepeated, ErrQuantity, ErrNoChange,
// ErrReason, ErrFuture, ErrCost, ErrInsufficient.
func (s *Service) Record(ctx context.Context, in Facts) (doc *commerce.StockDocument, known bool, err error) {
	in.Reason = strings.TrimSpace(in.Reason)
	at := s.clock.Now()
	if in.OccurredAt != nil {
		if in.OccurredAt.After(at.Add(clockSkew)) {
			return nil, false, ErrFuture.At("/occurred_at")
		}
		at = *in.OccurredAt
	}
	if in.Kind == KindAdjustment && in.Reason == "" {
		return nil, false, ErrReason.At("/reason")
	}
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := s.reaches(ctx, tx, in.StoreID); err != nil {
			return err
		}
		changes, err := s.changes(ctx, tx, in.Kind, in.Lines)
		if err != nil {
			return err
		}
		if in.ExternalNumber != nil {
			// Two senders of the same document take turns, and the second one finds it.
			if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", "stock document "+in.StoreID.String()+*in.ExternalNumber); err != nil {
				return err
			}
			doc, err = tx.Commerce.StockDocument.Query().Where(stockdocument.StoreID(in.StoreID), stockdocument.ExternalNumber(*in.ExternalNumber)).Only(ctx)
			if known = err == nil; known || !commerce.IsNotFound(err) {
				return err
			}
		}
		id, err := s.post(ctx, tx, document{store: in.StoreID, kind: in.Kind, external: in.ExternalNumber, origin: "manual", reason: in.Reason, at: at}, changes)
		if err != nil {
			return err
		}
		doc, err = tx.Commerce.StockDocument.Get(ctx, id)
		return err
	})
	if err != nil {
		return nil, false, err
	}
	doc.Edges.Movements, err = s.db.From(ctx).Commerce.StockMovement.Query().Where(stockmovement.DocumentID(doc.ID)).Order(stockmovement.ByLineNumber()).
		WithVariant(withTitle).All(ctx)
	return doc, known, err
}

func withTitle(q *commerce.VariantQuery) { q.WithProduct() }

// reaches passes callers who may change the stock of a store.
// Error: ErrStore.
func (s *Service) reaches(ctx context.Context, tx *db.Tx, store uuid.UUID) error {
	actor, err := auth.From(ctx)
	if err != nil {
		return err
	}
	if actor.Scope.SeesStore(store) {
		found, err := tx.Platform.Store.Get(ctx, store)
		if err == nil && found.ID == store {
			return nil
		}
	}
	return ErrStore.At("/store_id")
}

// changes reads lines of facts; all that is wrong with them is told at once.
func (s *Service) changes(ctx context.Context, tx *db.Tx, kind string, lines []Line) ([]change, error) {
	variants, err := s.variants(ctx, tx, lines)
	if err != nil {
		return nil, err
	}
	wrong := ErrQuantity.New()
	out := make([]change, len(lines))
	for i, l := range lines {
		pointer := "/lines/" + strconv.Itoa(i)
		onHand, damaged, bad := effect(kind, l.Quantity)
		if bad != nil {
			wrong.Field(pointer+"/quantity", bad)
		}
		if l.UnitCost != nil && kind != KindReceipt {
			wrong.Field(pointer+"/unit_cost_amount", ErrCost)
		}
		out[i] = change{variant: variants[i], onHand: onHand, damaged: damaged, unitCost: l.UnitCost, pointer: pointer + "/quantity"}
	}
	if len(wrong.Fields) > 0 {
		return nil, wrong.OfFirst()
	}
	return out, nil
}

// variants finds the variants that lines name, by one query.
// Errors: ErrNamed, ErrVariant, ErrRepeated.
func (s *Service) variants(ctx context.Context, tx *db.Tx, lines []Line) ([]uuid.UUID, error) {
	wrong := ErrVariant.New()
	var ids []uuid.UUID
	var skus []string
	for i, l := range lines {
		switch {
		case (l.VariantID == nil) == (l.SKU == nil):
			wrong.Field(fmt.Sprintf("/lines/%d", i), ErrNamed)
		case l.VariantID != nil:
			ids = append(ids, *l.VariantID)
		default:
			skus = append(skus, *l.SKU)
		}
	}
	found, err := tx.Commerce.Variant.Query().Where(variant.Or(variant.IDIn(ids...), variant.SkuIn(skus...))).Select(variant.FieldID, variant.FieldSku).All(ctx)
	if err != nil {
		return nil, err
	}
	known, bySKU := map[uuid.UUID]bool{}, map[string]uuid.UUID{}
	for _, v := range found {
		known[v.ID], bySKU[v.Sku] = true, v.ID
	}
	out := make([]uuid.UUID, len(lines))
	for i, l := range lines {
		switch {
		case (l.VariantID == nil) == (l.SKU == nil):
			continue
		case l.VariantID != nil && known[*l.VariantID]:
			out[i] = *l.VariantID
		case l.SKU != nil:
			out[i] = bySKU[*l.SKU]
		}
		switch {
		case out[i] == uuid.Nil:
			wrong.Field(fmt.Sprintf("/lines/%d", i), ErrVariant)
		case slices.Contains(out[:i], out[i]):
			wrong.Field(fmt.Sprintf("/lines/%d", i), ErrRepeated)
		}
	}
	if len(wrong.Fields) > 0 {
		return nil, wrong.OfFirst()
	}
	return out, nil
}
