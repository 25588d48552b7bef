package points

import (
	"context"
	"time"

	"github.com/google/uuid"
	openapi_types "github.com/oapi-codegen/runtime/types"

	pointsapi "github.com/shuke-crm/shuke/api/points"
	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/ent/loyalty/pointspartner"
	"github.com/shuke-crm/shuke/ent/loyalty/schema"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/opt"
)

// ListPointsPartners implements listPointsPartners.
func (a API) ListPointsPartners(ctx context.Context, r pointsapi.ListPointsPartnersRequestObject) (pointsapi.ListPointsPartnersResponseObject, error) {
	p := r.Params
	found, err := a.Partners(ctx, Asked{p.Limit, p.Cursor, p.Include != nil})
	if err != nil {
		return nil, err
	}
	return pointsapi.ListPointsPartners200JSONResponse{
		Body:    pointsapi.PointsPartnerList{Items: each(found.Items, toAPIPartner), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: pointsapi.ListPointsPartners200ResponseHeaders{Link: found.Link},
	}, nil
}

// CreatePointsPartner implements createPointsPartner.
func (a API) CreatePointsPartner(ctx context.Context, r pointsapi.CreatePointsPartnerRequestObject) (pointsapi.CreatePointsPartnerResponseObject, error) {
	b := r.Body
	v, err := a.CreatePartner(ctx, b.Code, Partner{Name: b.Name, Keys: opt.Value(b.ApiKeyIds), Rates: each(opt.Value(b.Rates), fromAPIRate)})
	if err != nil {
		return nil, err
	}
	return pointsapi.CreatePointsPartner201JSONResponse{Body: toAPIPartner(v), Headers: pointsapi.CreatePointsPartner201ResponseHeaders{ETag: etag.Header(v.Version), Location: location("partners", v.ID)}}, nil
}

// GetPointsPartner implements getPointsPartner.
func (a API) GetPointsPartner(ctx context.Context, r pointsapi.GetPointsPartnerRequestObject) (pointsapi.GetPointsPartnerResponseObject, error) {
	v, err := a.Partner(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return pointsapi.GetPointsPartner200JSONResponse{Body: toAPIPartner(v), Headers: pointsapi.GetPointsPartner200ResponseHeaders{ETag: etag.Header(v.Version)}}, nil
}

// UpdatePointsPartner implements updatePointsPartner.
func (a API) UpdatePointsPartner(ctx context.Context, r pointsapi.UpdatePointsPartnerRequestObject) (pointsapi.UpdatePointsPartnerResponseObject, error) {
	b := r.Body
	v, err := a.UpdatePartner(ctx, r.Id, r.Params.IfMatch, func(p *Partner) {
		set(b.Name, &p.Name)
		if b.Status != nil {
			p.Status = pointspartner.Status(*b.Status)
		}
		set(b.ApiKeyIds, &p.Keys)
		if b.Rates != nil {
			p.Rates = each(*b.Rates, fromAPIRate)
		}
	})
	if err != nil {
		return nil, err
	}
	return pointsapi.UpdatePointsPartner200JSONResponse{Body: toAPIPartner(v), Headers: pointsapi.UpdatePointsPartner200ResponseHeaders{ETag: etag.Header(v.Version)}}, nil
}

// GetPointsSettlement implements getPointsSettlement.
func (a API) GetPointsSettlement(ctx context.Context, r pointsapi.GetPointsSettlementRequestObject) (pointsapi.GetPointsSettlementResponseObject, error) {
	p := r.Params
	v, err := a.SettlementOf(ctx, r.Id, opt.Value(p.Unit), clock.DayFromDate(p.From.Time), clock.DayFromDate(p.To.Time))
	if err != nil {
		return nil, err
	}
	out := pointsapi.PointsSettlement{PartnerId: v.Partner.ID, Unit: v.Unit.Code, From: date(v.From), To: date(v.To)}
	out.Periods = each(v.Periods, func(p SettledPeriod) pointsapi.PointsSettledPeriod {
		out.NetAmount += p.IssueAmount - p.RedeemAmount
		made := pointsapi.PointsSettledPeriod{From: date(p.From), To: date(p.To), IssuedPoints: p.Issued, TakenBackPoints: p.TakenBack, RedeemedPoints: p.Redeemed, GivenBackPoints: p.GivenBack,
			IssueAmount: p.IssueAmount, RedeemAmount: p.RedeemAmount}
		if made.Rate.SetNull(); p.Rate != (schema.PartnerRate{}) {
			made.Rate.Set(toAPIRate(p.Rate))
		}
		return made
	})
	return pointsapi.GetPointsSettlement200JSONResponse(out), nil
}

// ListPointsPartnerEntries implements listPointsPartnerEntries.
func (a API) ListPointsPartnerEntries(ctx context.Context, r pointsapi.ListPointsPartnerEntriesRequestObject) (pointsapi.ListPointsPartnerEntriesResponseObject, error) {
	p := r.Params
	found, err := a.PartnerEntries(ctx, r.Id, p.CreatedAfter, p.CreatedBefore, Asked{p.Limit, p.Cursor, p.Include != nil})
	if err != nil {
		return nil, err
	}
	return pointsapi.ListPointsPartnerEntries200JSONResponse{
		Body:    pointsapi.PointsEntryList{Items: each(found.Items, toAPIEntry), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: pointsapi.ListPointsPartnerEntries200ResponseHeaders{Link: found.Link},
	}, nil
}

func date(d clock.Day) openapi_types.Date { return openapi_types.Date{Time: d.Time()} }

func fromAPIRate(r pointsapi.PointsPartnerRate) schema.PartnerRate {
	return schema.PartnerRate{Unit: r.Unit, From: r.From.Format(time.DateOnly), IssueAmount: r.IssueAmount, RedeemAmount: r.RedeemAmount}
}

func toAPIRate(r schema.PartnerRate) pointsapi.PointsPartnerRate {
	day, _ := time.Parse(time.DateOnly, r.From) // written by fromAPIRate
	return pointsapi.PointsPartnerRate{Unit: r.Unit, From: openapi_types.Date{Time: day}, IssueAmount: r.IssueAmount, RedeemAmount: r.RedeemAmount}
}

func toAPIPartner(p *loyalty.PointsPartner) pointsapi.PointsPartner {
	return pointsapi.PointsPartner{Id: p.ID, Code: p.Code, Name: p.Name, Status: pointsapi.PointsPartnerStatus(p.Status), ApiKeyIds: each(p.APIKeyIds, func(k uuid.UUID) uuid.UUID { return k }),
		Rates: each(p.Rates, toAPIRate), Version: p.Version, CreatedAt: p.CreatedAt.UTC(), UpdatedAt: p.UpdatedAt.UTC()}
}
