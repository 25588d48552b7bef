package wallets

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	walletsapi "github.com/shuke-crm/shuke/api/wallets"
	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/opt"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// ListGiftCards implements listGiftCards.
func (a API) ListGiftCards(ctx context.Context, r walletsapi.ListGiftCardsRequestObject) (walletsapi.ListGiftCardsResponseObject, error) {
	p := r.Params
	found, err := a.Cards(ctx, CardFilter{BatchID: p.BatchId, Status: string(opt.Value(p.Status)), Last4: opt.Value(p.Last4)}, page.Asked{Limit: p.Limit, Cursor: p.Cursor, Total: p.Include != nil})
	if err != nil {
		return nil, err
	}
	return walletsapi.ListGiftCards200JSONResponse{
		Body:    walletsapi.GiftCardList{Items: each(found.Items, toAPICard), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: walletsapi.ListGiftCards200ResponseHeaders{Link: found.Link},
	}, nil
}

// IssueGiftCards implements issueGiftCards.
func (a API) IssueGiftCards(ctx context.Context, r walletsapi.IssueGiftCardsRequestObject) (walletsapi.IssueGiftCardsResponseObject, error) {
	b := r.Body
	batch, err := a.IssueCards(ctx, b.Name, int(b.Quantity), b.FaceAmount, b.WithPin == nil || *b.WithPin)
	if err != nil {
		return nil, err
	}
	return walletsapi.IssueGiftCards202JSONResponse{Body: toAPIBatch(batch), Headers: walletsapi.IssueGiftCards202ResponseHeaders{ETag: etag.Header(batch.Version), Location: at("/v1/gift-card-batches/", batch.ID)}}, nil
}

// GetGiftCardBalance implements getGiftCardBalance.
func (a API) GetGiftCardBalance(ctx context.Context, r walletsapi.GetGiftCardBalanceRequestObject) (walletsapi.GetGiftCardBalanceResponseObject, error) {
	c, err := a.CardBalance(ctx, r.Body.Code, opt.Value(r.Body.Pin))
	if err != nil {
		return nil, err
	}
	out := walletsapi.GetGiftCardBalance200JSONResponse{CardId: c.ID, Last4: c.Last4, Status: walletsapi.GiftCardStatus(c.Status), Currency: a.currency, ValidUntil: opt.OrNull(c.ValidUntil)}
	if on := c.Edges.Account; on != nil {
		out.BalanceAmount = on.Principal
	}
	return out, nil
}

// PayByGiftCard implements payByGiftCard.
func (a API) PayByGiftCard(ctx context.Context, r walletsapi.PayByGiftCardRequestObject) (walletsapi.PayByGiftCardResponseObject, error) {
	b := r.Body
	p, err := a.PayByCard(ctx, b.Code, opt.Value(b.Pin), Spending{Amount: b.Amount, Reason: opt.Value(b.Reason), Reference: opt.Value(b.Reference)})
	if err != nil {
		return nil, err
	}
	return walletsapi.PayByGiftCard201JSONResponse{Body: toAPIPayment(p), Headers: walletsapi.PayByGiftCard201ResponseHeaders{ETag: etag.Header(p.Version), Location: location("payments", p.ID)}}, nil
}

// RedeemGiftCard implements redeemGiftCard.
func (a API) RedeemGiftCard(ctx context.Context, r walletsapi.RedeemGiftCardRequestObject) (walletsapi.RedeemGiftCardResponseObject, error) {
	b := r.Body
	done, err := a.RedeemCard(ctx, b.CustomerId, b.Code, opt.Value(b.Pin), b.Amount)
	if err != nil {
		return nil, err
	}
	return walletsapi.RedeemGiftCard200JSONResponse(ToAPIRedeemed(done)), nil
}

// ToAPIRedeemed is what went from a card into a wallet, for members too.
func ToAPIRedeemed(r Redeemed) walletsapi.GiftCardRedeemed {
	return walletsapi.GiftCardRedeemed{OperationId: r.Operation, CardId: r.CardID, CustomerId: r.CustomerID, Amount: r.Amount}
}

// GetGiftCard implements getGiftCard.
func (a API) GetGiftCard(ctx context.Context, r walletsapi.GetGiftCardRequestObject) (walletsapi.GetGiftCardResponseObject, error) {
	c, err := a.Card(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return walletsapi.GetGiftCard200JSONResponse{Body: toAPICard(c), Headers: walletsapi.GetGiftCard200ResponseHeaders{ETag: etag.Header(c.Version)}}, nil
}

// ListGiftCardEntries implements listGiftCardEntries.
func (a API) ListGiftCardEntries(ctx context.Context, r walletsapi.ListGiftCardEntriesRequestObject) (walletsapi.ListGiftCardEntriesResponseObject, error) {
	p := r.Params
	found, err := a.CardEntries(ctx, r.Id, page.Asked{Limit: p.Limit, Cursor: p.Cursor, Total: p.Include != nil})
	if err != nil {
		return nil, err
	}
	return walletsapi.ListGiftCardEntries200JSONResponse{Body: ToAPIEntries(found), Headers: walletsapi.ListGiftCardEntries200ResponseHeaders{Link: found.Link}}, nil
}

// ActivateGiftCard implements activateGiftCard.
func (a API) ActivateGiftCard(ctx context.Context, r walletsapi.ActivateGiftCardRequestObject) (walletsapi.ActivateGiftCardResponseObject, error) {
	c, err := a.SellCard(ctx, r.Id, Sale{Method: r.Body.Method, Reference: opt.Value(r.Body.Reference), StoreID: r.Body.StoreId})
	if err != nil {
		return nil, err
	}
	return walletsapi.ActivateGiftCard200JSONResponse{Body: toAPICard(c), Headers: walletsapi.ActivateGiftCard200ResponseHeaders{ETag: etag.Header(c.Version)}}, nil
}

// FreezeGiftCard implements freezeGiftCard.
func (a API) FreezeGiftCard(ctx context.Context, r walletsapi.FreezeGiftCardRequestObject) (walletsapi.FreezeGiftCardResponseObject, error) {
	c, err := a.FreezeCard(ctx, r.Id, r.Body.Reason)
	if err != nil {
		return nil, err
	}
	return walletsapi.FreezeGiftCard200JSONResponse{Body: toAPICard(c), Headers: walletsapi.FreezeGiftCard200ResponseHeaders{ETag: etag.Header(c.Version)}}, nil
}

// UnfreezeGiftCard implements unfreezeGiftCard.
func (a API) UnfreezeGiftCard(ctx context.Context, r walletsapi.UnfreezeGiftCardRequestObject) (walletsapi.UnfreezeGiftCardResponseObject, error) {
	c, err := a.UnfreezeCard(ctx, r.Id, r.Body.Reason)
	if err != nil {
		return nil, err
	}
	return walletsapi.UnfreezeGiftCard200JSONResponse{Body: toAPICard(c), Headers: walletsapi.UnfreezeGiftCard200ResponseHeaders{ETag: etag.Header(c.Version)}}, nil
}

// CancelGiftCard implements cancelGiftCard.
func (a API) CancelGiftCard(ctx context.Context, r walletsapi.CancelGiftCardRequestObject) (walletsapi.CancelGiftCardResponseObject, error) {
	c, err := a.CancelCard(ctx, r.Id, r.Body.Reason)
	if err != nil {
		return nil, err
	}
	return walletsapi.CancelGiftCard200JSONResponse{Body: toAPICard(c), Headers: walletsapi.CancelGiftCard200ResponseHeaders{ETag: etag.Header(c.Version)}}, nil
}

// ExtendGiftCard implements extendGiftCard.
func (a API) ExtendGiftCard(ctx context.Context, r walletsapi.ExtendGiftCardRequestObject) (walletsapi.ExtendGiftCardResponseObject, error) {
	var until *time.Time // null: for ever
	if v, err := r.Body.ValidUntil.Get(); err == nil {
		until = &v
	}
	c, err := a.ExtendCard(ctx, r.Id, until, r.Body.Reason)
	if err != nil {
		return nil, err
	}
	return walletsapi.ExtendGiftCard200JSONResponse{Body: toAPICard(c), Headers: walletsapi.ExtendGiftCard200ResponseHeaders{ETag: etag.Header(c.Version)}}, nil
}

// ListGiftCardBatches implements listGiftCardBatches.
func (a API) ListGiftCardBatches(ctx context.Context, r walletsapi.ListGiftCardBatchesRequestObject) (walletsapi.ListGiftCardBatchesResponseObject, error) {
	p := r.Params
	found, err := a.Batches(ctx, page.Asked{Limit: p.Limit, Cursor: p.Cursor, Total: p.Include != nil})
	if err != nil {
		return nil, err
	}
	return walletsapi.ListGiftCardBatches200JSONResponse{
		Body:    walletsapi.GiftCardBatchList{Items: each(found.Items, toAPIBatch), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: walletsapi.ListGiftCardBatches200ResponseHeaders{Link: found.Link},
	}, nil
}

// GetGiftCardBatch implements getGiftCardBatch.
func (a API) GetGiftCardBatch(ctx context.Context, r walletsapi.GetGiftCardBatchRequestObject) (walletsapi.GetGiftCardBatchResponseObject, error) {
	b, err := a.Batch(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return walletsapi.GetGiftCardBatch200JSONResponse{Body: toAPIBatch(b), Headers: walletsapi.GetGiftCardBatch200ResponseHeaders{ETag: etag.Header(b.Version)}}, nil
}

// ExportGiftCards implements exportGiftCards.
func (a API) ExportGiftCards(ctx context.Context, r walletsapi.ExportGiftCardsRequestObject) (walletsapi.ExportGiftCardsResponseObject, error) {
	all, err := a.ExportCards(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return walletsapi.ExportGiftCards200JSONResponse{BatchId: r.Id, Cards: each(all, func(s Secret) walletsapi.GiftCardSecret {
		out := walletsapi.GiftCardSecret{Number: int32(s.Number), CardId: s.CardID, Code: s.Code, Pin: nullable.NewNullNullable[string]()}
		if s.PIN != "" {
			out.Pin = nullable.NewNullableWithValue(s.PIN)
		}
		return out
	})}, nil
}

// CancelGiftCardBatch implements cancelGiftCardBatch.
func (a API) CancelGiftCardBatch(ctx context.Context, r walletsapi.CancelGiftCardBatchRequestObject) (walletsapi.CancelGiftCardBatchResponseObject, error) {
	b, err := a.CancelBatch(ctx, r.Id, r.Body.Reason)
	if err != nil {
		return nil, err
	}
	return walletsapi.CancelGiftCardBatch200JSONResponse{Body: toAPIBatch(b), Headers: walletsapi.CancelGiftCardBatch200ResponseHeaders{ETag: etag.Header(b.Version)}}, nil
}

func at(path string, id uuid.UUID) *string {
	l := path + id.String()
	return &l
}

func toAPICard(c *loyalty.GiftCard) walletsapi.GiftCard {
	out := walletsapi.GiftCard{Id: c.ID, BatchId: c.BatchID, Number: int32(c.Number), Last4: c.Last4, Status: walletsapi.GiftCardStatus(c.Status), FaceAmount: c.Edges.Batch.FaceAmount, SaleMethod: c.SaleMethod,
		SaleReference: c.SaleReference, StoreId: opt.OrNull(c.StoreID), ActivatedAt: opt.OrNull(c.ActivatedAt), ValidUntil: opt.OrNull(c.ValidUntil), PinLocked: c.PinFailures >= mostWrong, Reason: c.Reason,
		Version: c.Version, CreatedAt: c.CreatedAt.UTC(), UpdatedAt: c.UpdatedAt.UTC()}
	if on := c.Edges.Account; on != nil {
		out.BalanceAmount, out.BlockedAmount = on.Principal, on.PrincipalBlocked
	}
	return out
}

func toAPIBatch(b *loyalty.GiftCardBatch) walletsapi.GiftCardBatch {
	return walletsapi.GiftCardBatch{Id: b.ID, Name: b.Name, Quantity: int32(b.Quantity), Issued: int32(b.Issued), FaceAmount: b.FaceAmount, WithPin: b.WithPin, Status: walletsapi.GiftCardBatchStatus(b.Status),
		JobId: opt.OrNull(b.JobID), ExportedAt: opt.OrNull(b.ExportedAt), Version: b.Version, CreatedAt: b.CreatedAt.UTC(), UpdatedAt: b.UpdatedAt.UTC()}
}
