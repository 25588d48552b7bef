package referrals

import (
	"context"
	"strings"
	"time"

	"github.com/oapi-codegen/nullable"

	referralsapi "github.com/shuke-crm/shuke/api/referrals"
	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/ent/loyalty/referralcode"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/opt"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// API answers the operations of referrals.
type API struct{ *Service }

var _ referralsapi.StrictServerInterface = API{}

// GetReferralProgramme implements getReferralProgramme.
func (a API) GetReferralProgramme(ctx context.Context, _ referralsapi.GetReferralProgrammeRequestObject) (referralsapi.GetReferralProgrammeResponseObject, error) {
	p, err := a.LoadProgramme(ctx)
	if err != nil {
		return nil, err
	}
	return referralsapi.GetReferralProgramme200JSONResponse{Body: toAPIProgramme(p), Headers: referralsapi.GetReferralProgramme200ResponseHeaders{ETag: etag.Header(p.Version)}}, nil
}

// UpdateReferralProgramme implements updateReferralProgramme.
func (a API) UpdateReferralProgramme(ctx context.Context, r referralsapi.UpdateReferralProgrammeRequestObject) (referralsapi.UpdateReferralProgrammeResponseObject, error) {
	b := r.Body
	p, err := a.UpdateProgramme(ctx, r.Params.IfMatch, Programme{Enabled: b.Enabled, Unit: b.Unit, ReferrerPoints: b.ReferrerPoints, RefereePoints: b.RefereePoints, MinAmount: b.MinAmount,
		WindowDays: int(b.WindowDays), ClaimDays: int(b.ClaimDays), MonthlyLimit: b.MonthlyLimit, TotalLimit: b.TotalLimit, DailySpeed: b.DailySpeed, HoldSignals: b.HoldSignals, LinkTemplate: b.LinkTemplate})
	if err != nil {
		return nil, err
	}
	return referralsapi.UpdateReferralProgramme200JSONResponse{Body: toAPIProgramme(p), Headers: referralsapi.UpdateReferralProgramme200ResponseHeaders{ETag: etag.Header(p.Version)}}, nil
}

// ListReferralCodes implements listReferralCodes.
func (a API) ListReferralCodes(ctx context.Context, r referralsapi.ListReferralCodesRequestObject) (referralsapi.ListReferralCodesResponseObject, error) {
	p := r.Params
	terms, err := a.LoadProgramme(ctx)
	if err != nil {
		return nil, err
	}
	found, err := a.Codes(ctx, p.CustomerId, strings.ToUpper(opt.Value(p.Code)), page.Asked{Limit: p.Limit, Cursor: p.Cursor, Total: p.Include != nil})
	if err != nil {
		return nil, err
	}
	items := make([]referralsapi.ReferralCode, len(found.Items))
	for i, c := range found.Items {
		items[i] = toAPICode(terms, c)
	}
	return referralsapi.ListReferralCodes200JSONResponse{
		Body:    referralsapi.ReferralCodeList{Items: items, NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: referralsapi.ListReferralCodes200ResponseHeaders{Link: found.Link},
	}, nil
}

// CreateReferralCode implements createReferralCode.
func (a API) CreateReferralCode(ctx context.Context, r referralsapi.CreateReferralCodeRequestObject) (referralsapi.CreateReferralCodeResponseObject, error) {
	terms, err := a.LoadProgramme(ctx)
	if err != nil {
		return nil, err
	}
	c, err := a.CodeOf(ctx, r.Body.CustomerId)
	if err != nil {
		return nil, err
	}
	at := "/v1/referral-codes/" + c.ID.String()
	return referralsapi.CreateReferralCode201JSONResponse{Body: toAPICode(terms, c), Headers: referralsapi.CreateReferralCode201ResponseHeaders{ETag: etag.Header(c.Version), Location: &at}}, nil
}

// GetReferralCode implements getReferralCode.
func (a API) GetReferralCode(ctx context.Context, r referralsapi.GetReferralCodeRequestObject) (referralsapi.GetReferralCodeResponseObject, error) {
	terms, err := a.LoadProgramme(ctx)
	if err != nil {
		return nil, err
	}
	c, err := a.db.From(ctx).Loyalty.ReferralCode.Query().Where(referralcode.ID(r.Id)).Only(ctx)
	if loyalty.IsNotFound(err) {
		return nil, ErrCodeNotFound.New()
	}
	if err != nil {
		return nil, err
	}
	if err := a.reach(ctx, c.CustomerID, ErrCodeNotFound.New()); err != nil {
		return nil, err
	}
	return referralsapi.GetReferralCode200JSONResponse{Body: toAPICode(terms, c), Headers: referralsapi.GetReferralCode200ResponseHeaders{ETag: etag.Header(c.Version)}}, nil
}

// UpdateReferralCode implements updateReferralCode.
func (a API) UpdateReferralCode(ctx context.Context, r referralsapi.UpdateReferralCodeRequestObject) (referralsapi.UpdateReferralCodeResponseObject, error) {
	terms, err := a.LoadProgramme(ctx)
	if err != nil {
		return nil, err
	}
	c, err := a.SetCodeStatus(ctx, r.Id, r.Params.IfMatch, referralcode.Status(r.Body.Status))
	if err != nil {
		return nil, err
	}
	return referralsapi.UpdateReferralCode200JSONResponse{Body: toAPICode(terms, c), Headers: referralsapi.UpdateReferralCode200ResponseHeaders{ETag: etag.Header(c.Version)}}, nil
}

// ListReferrals implements listReferrals.
func (a API) ListReferrals(ctx context.Context, r referralsapi.ListReferralsRequestObject) (referralsapi.ListReferralsResponseObject, error) {
	p := r.Params
	found, err := a.Referrals(ctx, "/v1/referrals", Filter{Status: string(opt.Value(p.Status)), Customer: p.CustomerId, ReferredBy: p.ReferredBy}, page.Asked{Limit: p.Limit, Cursor: p.Cursor, Total: p.Include != nil})
	if err != nil {
		return nil, err
	}
	items := make([]referralsapi.Referral, len(found.Items))
	for i, f := range found.Items {
		items[i] = toAPIReferral(f)
	}
	return referralsapi.ListReferrals200JSONResponse{
		Body:    referralsapi.ReferralList{Items: items, NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: referralsapi.ListReferrals200ResponseHeaders{Link: found.Link},
	}, nil
}

// CreateReferral implements createReferral.
func (a API) CreateReferral(ctx context.Context, r referralsapi.CreateReferralRequestObject) (referralsapi.CreateReferralResponseObject, error) {
	v, err := a.Register(ctx, r.Body.Code, r.Body.CustomerId)
	if err != nil {
		return nil, err
	}
	at := "/v1/referrals/" + v.ID.String()
	return referralsapi.CreateReferral201JSONResponse{Body: toAPIReferral(v), Headers: referralsapi.CreateReferral201ResponseHeaders{ETag: etag.Header(v.Version), Location: &at}}, nil
}

// GetReferral implements getReferral.
func (a API) GetReferral(ctx context.Context, r referralsapi.GetReferralRequestObject) (referralsapi.GetReferralResponseObject, error) {
	v, err := a.Referral(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return referralsapi.GetReferral200JSONResponse{Body: toAPIReferral(v), Headers: referralsapi.GetReferral200ResponseHeaders{ETag: etag.Header(v.Version)}}, nil
}

// ApproveReferral implements approveReferral.
func (a API) ApproveReferral(ctx context.Context, r referralsapi.ApproveReferralRequestObject) (referralsapi.ApproveReferralResponseObject, error) {
	v, err := a.Decide(ctx, r.Id, Approve, reason(r.Body))
	if err != nil {
		return nil, err
	}
	return referralsapi.ApproveReferral200JSONResponse{Body: toAPIReferral(v), Headers: referralsapi.ApproveReferral200ResponseHeaders{ETag: etag.Header(v.Version)}}, nil
}

// RejectReferral implements rejectReferral.
func (a API) RejectReferral(ctx context.Context, r referralsapi.RejectReferralRequestObject) (referralsapi.RejectReferralResponseObject, error) {
	v, err := a.Decide(ctx, r.Id, Reject, reason(r.Body))
	if err != nil {
		return nil, err
	}
	return referralsapi.RejectReferral200JSONResponse{Body: toAPIReferral(v), Headers: referralsapi.RejectReferral200ResponseHeaders{ETag: etag.Header(v.Version)}}, nil
}

// ReverseReferral implements reverseReferral.
func (a API) ReverseReferral(ctx context.Context, r referralsapi.ReverseReferralRequestObject) (referralsapi.ReverseReferralResponseObject, error) {
	v, err := a.Decide(ctx, r.Id, Reverse, reason(r.Body))
	if err != nil {
		return nil, err
	}
	return referralsapi.ReverseReferral200JSONResponse{Body: toAPIReferral(v), Headers: referralsapi.ReverseReferral200ResponseHeaders{ETag: etag.Header(v.Version)}}, nil
}

func reason(b *referralsapi.ReferralDecision) string {
	if b == nil {
		return ""
	}
	return opt.Value(b.Reason)
}

func toAPIProgramme(p *Programme) referralsapi.ReferralProgramme {
	return referralsapi.ReferralProgramme{Enabled: p.Enabled, Unit: p.Unit, ReferrerPoints: p.ReferrerPoints, RefereePoints: p.RefereePoints, MinAmount: p.MinAmount, WindowDays: int32(p.WindowDays),
		ClaimDays: int32(p.ClaimDays), MonthlyLimit: p.MonthlyLimit, TotalLimit: p.TotalLimit, DailySpeed: p.DailySpeed, HoldSignals: p.HoldSignals, LinkTemplate: p.LinkTemplate,
		Version: p.Version, UpdatedAt: opt.OrNull(p.UpdatedAt)}
}

// Link is what a code is shared as; nil: there is none.
func (p *Programme) Link(code string) *string {
	if p.LinkTemplate == "" {
		return nil
	}
	link := strings.Replace(p.LinkTemplate, "{code}", code, 1)
	return &link
}

func toAPICode(p *Programme, c *loyalty.ReferralCode) referralsapi.ReferralCode {
	return referralsapi.ReferralCode{Id: c.ID, CustomerId: c.CustomerID, Code: c.Code, Link: opt.OrNull(p.Link(c.Code)), Status: referralsapi.ReferralCodeStatus(c.Status), Version: c.Version,
		CreatedAt: c.CreatedAt.UTC(), UpdatedAt: c.UpdatedAt.UTC()}
}

func toAPIReferral(r *loyalty.Referral) referralsapi.Referral {
	signals := make([]referralsapi.ReferralSignals, len(r.Signals))
	for i, s := range r.Signals {
		signals[i] = referralsapi.ReferralSignals(s)
	}
	out := referralsapi.Referral{Id: r.ID, Status: referralsapi.ReferralStatus(r.Status), ReferrerId: r.Edges.Code.CustomerID, CustomerId: r.CustomerID, Code: r.Edges.Code.Code,
		OrderId: opt.OrNull(r.OrderID), Signals: signals, Unit: r.Unit, ReferrerPoints: r.ReferrerPoints, RefereePoints: r.RefereePoints, Reason: r.Reason, DecidedBy: opt.OrNull(r.DecidedBy),
		Version: r.Version, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC()}
	out.DueAt, out.RewardedAt = nullable.NewNullNullable[time.Time](), nullable.NewNullNullable[time.Time]()
	if r.DueAt != nil {
		out.DueAt.Set(r.DueAt.UTC())
	}
	if r.RewardedAt != nil {
		out.RewardedAt.Set(r.RewardedAt.UTC())
	}
	return out
}
