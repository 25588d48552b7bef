package membership

import (
	"context"
	"time"

	"github.com/oapi-codegen/nullable"
	openapi_types "github.com/oapi-codegen/runtime/types"

	membershipapi "github.com/shuke-crm/shuke/api/membership"
	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/opt"
)

// API answers the operations of membership.
type API struct{ *Service }

var _ membershipapi.StrictServerInterface = API{}

// ListTiers implements listTiers.
func (a API) ListTiers(ctx context.Context, r membershipapi.ListTiersRequestObject) (membershipapi.ListTiersResponseObject, error) {
	p := r.Params
	found, err := a.Tiers(ctx, Asked{p.Limit, p.Cursor, p.Include != nil})
	if err != nil {
		return nil, err
	}
	return membershipapi.ListTiers200JSONResponse{
		Body:    membershipapi.TierList{Items: each(found.Items, toAPITier), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: membershipapi.ListTiers200ResponseHeaders{Link: found.Link},
	}, nil
}

// CreateTier implements createTier.
func (a API) CreateTier(ctx context.Context, r membershipapi.CreateTierRequestObject) (membershipapi.CreateTierResponseObject, error) {
	b := r.Body
	in := TierInput{Match: Any}
	change(membershipapi.TierUpdate{Name: &b.Name, NameEn: b.NameEn, Rank: &b.Rank, Match: b.Match, Conditions: b.Conditions, Benefits: b.Benefits})(&in)
	t, err := a.Service.CreateTier(ctx, b.Code, in)
	if err != nil {
		return nil, err
	}
	at := "/v1/tiers/" + t.ID.String()
	return membershipapi.CreateTier201JSONResponse{Body: toAPITier(t), Headers: membershipapi.CreateTier201ResponseHeaders{ETag: etag.Header(t.Version), Location: &at}}, nil
}

// GetTier implements getTier.
func (a API) GetTier(ctx context.Context, r membershipapi.GetTierRequestObject) (membershipapi.GetTierResponseObject, error) {
	t, err := a.tier(ctx, a.db.From(ctx), r.Id)
	if err != nil {
		return nil, err
	}
	return membershipapi.GetTier200JSONResponse{Body: toAPITier(t), Headers: membershipapi.GetTier200ResponseHeaders{ETag: etag.Header(t.Version)}}, nil
}

// UpdateTier implements updateTier.
func (a API) UpdateTier(ctx context.Context, r membershipapi.UpdateTierRequestObject) (membershipapi.UpdateTierResponseObject, error) {
	t, err := a.Service.UpdateTier(ctx, r.Id, r.Params.IfMatch, change(*r.Body))
	if err != nil {
		return nil, err
	}
	return membershipapi.UpdateTier200JSONResponse{Body: toAPITier(t), Headers: membershipapi.UpdateTier200ResponseHeaders{ETag: etag.Header(t.Version)}}, nil
}

// DeleteTier implements deleteTier.
func (a API) DeleteTier(ctx context.Context, r membershipapi.DeleteTierRequestObject) (membershipapi.DeleteTierResponseObject, error) {
	if err := a.Service.DeleteTier(ctx, r.Id, r.Params.IfMatch); err != nil {
		return nil, err
	}
	return membershipapi.DeleteTier204Response{}, nil
}

// GetTierScheme implements getTierScheme.
func (a API) GetTierScheme(ctx context.Context, _ membershipapi.GetTierSchemeRequestObject) (membershipapi.GetTierSchemeResponseObject, error) {
	v, err := a.Latest(ctx)
	if err != nil {
		return nil, err
	}
	return membershipapi.GetTierScheme200JSONResponse{Body: toAPIScheme(v), Headers: membershipapi.GetTierScheme200ResponseHeaders{ETag: etag.Header(v.Number)}}, nil
}

// ReplaceTierScheme implements replaceTierScheme.
func (a API) ReplaceTierScheme(ctx context.Context, r membershipapi.ReplaceTierSchemeRequestObject) (membershipapi.ReplaceTierSchemeResponseObject, error) {
	b := r.Body
	in := Rules{Window: Window(b.Window), WindowDays: int(orZero(b.WindowDays)), Validity: Validity(b.Validity), ValidityCount: int(orZero(b.ValidityCount)),
		Downgrade: Downgrade(b.Downgrade), GraceDays: int(opt.Value(b.GraceDays))}
	v, err := a.SetRules(ctx, r.Params.IfMatch, in, opt.Value(b.Retroactive))
	if err != nil {
		return nil, err
	}
	return membershipapi.ReplaceTierScheme200JSONResponse{Body: toAPIScheme(v), Headers: membershipapi.ReplaceTierScheme200ResponseHeaders{ETag: etag.Header(v.Number)}}, nil
}

// ListTierSchemeVersions implements listTierSchemeVersions.
func (a API) ListTierSchemeVersions(ctx context.Context, r membershipapi.ListTierSchemeVersionsRequestObject) (membershipapi.ListTierSchemeVersionsResponseObject, error) {
	p := r.Params
	found, err := a.Versions(ctx, Asked{p.Limit, p.Cursor, p.Include != nil})
	if err != nil {
		return nil, err
	}
	return membershipapi.ListTierSchemeVersions200JSONResponse{
		Body:    membershipapi.TierSchemeList{Items: each(found.Items, toAPIScheme), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: membershipapi.ListTierSchemeVersions200ResponseHeaders{Link: found.Link},
	}, nil
}

// GetTierSchemeVersion implements getTierSchemeVersion.
func (a API) GetTierSchemeVersion(ctx context.Context, r membershipapi.GetTierSchemeVersionRequestObject) (membershipapi.GetTierSchemeVersionResponseObject, error) {
	v, err := a.VersionOf(ctx, r.Number)
	if err != nil {
		return nil, err
	}
	return membershipapi.GetTierSchemeVersion200JSONResponse(toAPIScheme(v)), nil
}

// ListMemberships implements listMemberships.
func (a API) ListMemberships(ctx context.Context, r membershipapi.ListMembershipsRequestObject) (membershipapi.ListMembershipsResponseObject, error) {
	p := r.Params
	found, err := a.Memberships(ctx, opt.Value(p.Tier), Asked{p.Limit, p.Cursor, p.Include != nil})
	if err != nil {
		return nil, err
	}
	return membershipapi.ListMemberships200JSONResponse{
		Body:    membershipapi.MembershipList{Items: each(found.Items, toAPIMembership), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: membershipapi.ListMemberships200ResponseHeaders{Link: found.Link},
	}, nil
}

// GetMembership implements getMembership.
func (a API) GetMembership(ctx context.Context, r membershipapi.GetMembershipRequestObject) (membershipapi.GetMembershipResponseObject, error) {
	st, err := a.Standing(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return membershipapi.GetMembership200JSONResponse(ToAPIStanding(st)), nil
}

// ListMembershipChanges implements listMembershipChanges.
func (a API) ListMembershipChanges(ctx context.Context, r membershipapi.ListMembershipChangesRequestObject) (membershipapi.ListMembershipChangesResponseObject, error) {
	p := r.Params
	found, err := a.Changes(ctx, "/v1/customers/"+r.Id.String()+"/membership/changes", r.Id, Asked{p.Limit, p.Cursor, p.Include != nil})
	if err != nil {
		return nil, err
	}
	return membershipapi.ListMembershipChanges200JSONResponse{
		Body:    membershipapi.MembershipChangeList{Items: each(found.Items, ToAPIChange), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: membershipapi.ListMembershipChanges200ResponseHeaders{Link: found.Link},
	}, nil
}

// ListMembershipGrants implements listMembershipGrants.
func (a API) ListMembershipGrants(ctx context.Context, r membershipapi.ListMembershipGrantsRequestObject) (membershipapi.ListMembershipGrantsResponseObject, error) {
	p := r.Params
	found, err := a.Grants(ctx, r.Id, Asked{p.Limit, p.Cursor, p.Include != nil})
	if err != nil {
		return nil, err
	}
	return membershipapi.ListMembershipGrants200JSONResponse{
		Body:    membershipapi.MembershipGrantList{Items: each(found.Items, toAPIGrant), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: membershipapi.ListMembershipGrants200ResponseHeaders{Link: found.Link},
	}, nil
}

// GrantMembership implements grantMembership.
func (a API) GrantMembership(ctx context.Context, r membershipapi.GrantMembershipRequestObject) (membershipapi.GrantMembershipResponseObject, error) {
	until, err := r.Body.Until.Get()
	end := &until
	if err != nil { // null, or left out
		end = nil
	}
	g, err := a.Grant(ctx, r.Id, r.Body.Tier, end, r.Body.Reason)
	if err != nil {
		return nil, err
	}
	at := "/v1/customers/" + r.Id.String() + "/membership/grants"
	return membershipapi.GrantMembership201JSONResponse{Body: toAPIGrant(g), Headers: membershipapi.GrantMembership201ResponseHeaders{Location: &at}}, nil
}

// RevokeMembershipGrant implements revokeMembershipGrant.
func (a API) RevokeMembershipGrant(ctx context.Context, r membershipapi.RevokeMembershipGrantRequestObject) (membershipapi.RevokeMembershipGrantResponseObject, error) {
	g, err := a.Revoke(ctx, r.Id, r.GrantId, r.Body.Reason)
	if err != nil {
		return nil, err
	}
	return membershipapi.RevokeMembershipGrant200JSONResponse(toAPIGrant(g)), nil
}

func change(b membershipapi.TierUpdate) func(*TierInput) {
	return func(in *TierInput) {
		set(&in.Name, b.Name)
		set(&in.NameEN, b.NameEn)
		if b.Rank != nil {
			in.Rank = int(*b.Rank)
		}
		if b.Match != nil {
			in.Match = Match(*b.Match)
		}
		if b.Conditions != nil {
			in.Conditions = each(*b.Conditions, func(c membershipapi.TierCondition) Condition {
				return Condition{Kind: string(c.Kind), Unit: opt.Value(c.Unit), Threshold: c.Threshold}
			})
		}
		if v := b.Benefits; v != nil {
			in.Benefits = Benefits{DiscountBasisPoints: opt.Value(v.DiscountBasisPoints), PointsMultiplierPercent: 100, FreeReturnPostage: opt.Value(v.FreeReturnPostage), ExclusiveService: orZero(v.ExclusiveService)}
			set(&in.Benefits.PointsMultiplierPercent, v.PointsMultiplierPercent)
			if gift, err := v.BirthdayGift.Get(); err == nil {
				in.Benefits.BirthdayGift = &BirthdayGift{Unit: opt.Value(gift.Unit), Points: gift.Points}
			}
		}
	}
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

func orZero[T any](n nullable.Nullable[T]) (v T) {
	if got, err := n.Get(); err == nil {
		v = got
	}
	return v
}

func each[A, B any](in []A, f func(A) B) []B {
	out := make([]B, len(in))
	for i, v := range in {
		out[i] = f(v)
	}
	return out
}

// orNull shows what is not there as null.
func orNull[T comparable](v T) nullable.Nullable[T] {
	var zero T
	if v == zero {
		return nullable.NewNullNullable[T]()
	}
	return nullable.NewNullableWithValue(v)
}

func dayOrNull(d *clock.Day) nullable.Nullable[openapi_types.Date] {
	if d == nil {
		return nullable.NewNullNullable[openapi_types.Date]()
	}
	return nullable.NewNullableWithValue(openapi_types.Date{Time: d.Time()})
}

func toAPICondition(c Condition) membershipapi.TierCondition {
	out := membershipapi.TierCondition{Kind: membershipapi.TierConditionKind(c.Kind), Threshold: c.Threshold}
	if c.Unit != "" {
		out.Unit = &c.Unit
	}
	return out
}

func toAPIBenefits(b Benefits) membershipapi.TierBenefits {
	percent := b.PointsMultiplierPercent
	if percent == 0 {
		percent = 100
	}
	out := membershipapi.TierBenefits{DiscountBasisPoints: &b.DiscountBasisPoints, PointsMultiplierPercent: &percent, FreeReturnPostage: &b.FreeReturnPostage,
		ExclusiveService: orNull(b.ExclusiveService), BirthdayGift: nullable.NewNullNullable[membershipapi.TierBirthdayGift]()}
	if g := b.BirthdayGift; g != nil {
		out.BirthdayGift.Set(membershipapi.TierBirthdayGift{Unit: &g.Unit, Points: g.Points})
	}
	return out
}

func toAPITier(t *loyalty.Tier) membershipapi.Tier {
	return membershipapi.Tier{Id: t.ID, Code: t.Code, Name: t.Name, NameEn: t.NameEn, Rank: int32(t.Rank), Match: membershipapi.TierMatch(t.Match), Conditions: each(t.Conditions, toAPICondition),
		Benefits: toAPIBenefits(t.Benefits), Version: t.Version, CreatedAt: t.CreatedAt.UTC(), UpdatedAt: t.UpdatedAt.UTC()}
}

func toAPIScheme(v *Version) membershipapi.TierScheme {
	r := v.Rules
	out := membershipapi.TierScheme{Number: v.Number, Window: membershipapi.TierWindow(r.Window), WindowDays: orNull(int32(r.WindowDays)), Validity: membershipapi.TierValidity(r.Validity),
		ValidityCount: orNull(int32(r.ValidityCount)), Downgrade: membershipapi.TierDowngrade(r.Downgrade), GraceDays: int32(r.GraceDays), InForceAt: orNull(v.From.UTC()), CreatedAt: orNull(v.CreatedAt.UTC())}
	out.Tiers = each(v.Tiers, func(t Tier) membershipapi.TierSnapshot {
		return membershipapi.TierSnapshot{Code: t.Code, Name: t.Name, NameEn: t.NameEN, Rank: int32(t.Rank), Match: membershipapi.TierMatch(t.Match), Conditions: each(t.Conditions, toAPICondition), Benefits: toAPIBenefits(t.Benefits)}
	})
	return out
}

func toAPIMembership(m *loyalty.Membership) membershipapi.Membership {
	return membershipapi.Membership{CustomerId: m.CustomerID, Tier: opt.OrNull(m.TierCode), SinceAt: opt.OrNull(utc(m.SinceAt)), EndsAt: opt.OrNull(utc(m.EndsAt)), GraceEndsAt: opt.OrNull(utc(m.GraceEndsAt)),
		Granted: m.GrantID != nil}
}

func toAPIProgress(p Progress) membershipapi.TierProgress {
	out := membershipapi.TierProgress{Tier: p.Tier.Code, Match: membershipapi.TierMatch(p.Tier.Match), Fulfilled: p.Fulfilled, FromOn: dayOrNull(p.From), UntilOn: dayOrNull(p.Until),
		Conditions: make([]membershipapi.TierProgressCondition, len(p.Reached))}
	for i, c := range p.Tier.Conditions {
		out.Conditions[i] = membershipapi.TierProgressCondition{Kind: membershipapi.TierConditionKind(c.Kind), Unit: orNull(c.Unit), Threshold: c.Threshold, Reached: p.Reached[i], Missing: max(0, c.Threshold-p.Reached[i])}
	}
	return out
}

// ToAPIStanding shows where a member stands, to staff and to themselves.
func ToAPIStanding(st *Standing) membershipapi.MembershipDetail {
	out := membershipapi.MembershipDetail{CustomerId: st.CustomerID, Tier: orNull(st.Tier), SinceAt: nullable.NewNullNullable[time.Time](), EndsAt: opt.OrNull(utc(st.Ends)), GraceEndsAt: opt.OrNull(utc(st.GraceEnds)),
		Granted: st.GrantID != nil, TierName: nullable.NewNullNullable[string](), TierNameEn: nullable.NewNullNullable[string](), Benefits: nullable.NewNullNullable[membershipapi.TierBenefits](),
		SchemeNumber: st.Scheme, Next: each(st.Next, toAPIProgress), Keep: nullable.NewNullNullable[membershipapi.TierProgress](), ExpectedTier: orNull(st.Expected), ExpectedAt: opt.OrNull(utc(st.ExpectedAt))}
	if st.Tier != "" {
		out.SinceAt.Set(st.Since.UTC())
	}
	if st.In != nil {
		out.TierName.Set(st.In.Name)
		out.TierNameEn = orNull(st.In.NameEN)
		out.Benefits.Set(toAPIBenefits(st.In.Benefits))
	}
	if st.Keep != nil {
		out.Keep.Set(toAPIProgress(*st.Keep))
	}
	return out
}

// ToAPIChange shows a change, to staff and to the member.
func ToAPIChange(c *loyalty.MembershipChange) membershipapi.MembershipChange {
	return membershipapi.MembershipChange{Id: c.ID, From: opt.OrNull(c.FromTier), To: opt.OrNull(c.ToTier), Reason: membershipapi.MembershipReason(c.Reason), SchemeNumber: c.SchemeNumber, Facts: membershipapi.MembershipFacts(c.Facts),
		EndsAt: opt.OrNull(utc(c.EndsAt)), GrantId: opt.OrNull(c.GrantID), EffectiveAt: c.EffectiveAt.UTC(), CreatedAt: c.CreatedAt.UTC()}
}

func toAPIGrant(g *loyalty.MembershipGrant) membershipapi.MembershipGrant {
	return membershipapi.MembershipGrant{Id: g.ID, CustomerId: g.CustomerID, Tier: g.TierCode, FromAt: g.FromAt.UTC(), UntilAt: opt.OrNull(utc(g.UntilAt)), Reason: g.Reason, GrantedBy: opt.OrNull(g.GrantedBy),
		RevokedAt: opt.OrNull(utc(g.RevokedAt)), RevokedBy: opt.OrNull(g.RevokedBy), RevokeReason: orNull(g.RevokeReason)}
}
