package rewards

import (
	"context"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	rewardsapi "github.com/shuke-crm/shuke/api/rewards"
	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/ent/loyalty/reward"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/opt"
	"github.com/shuke-crm/shuke/internal/platform/page"
	"github.com/shuke-crm/shuke/internal/points"
)

// API answers the operations of rewards.
type API struct{ *Service }

var _ rewardsapi.StrictServerInterface = API{}

// ListRewards implements listRewards.
func (a API) ListRewards(ctx context.Context, r rewardsapi.ListRewardsRequestObject) (rewardsapi.ListRewardsResponseObject, error) {
	p := r.Params
	found, err := a.List(ctx, "/v1/rewards", string(opt.Value(p.Kind)), string(opt.Value(p.Status)), false, page.Asked{Limit: p.Limit, Cursor: p.Cursor, Total: p.Include != nil})
	if err != nil {
		return nil, err
	}
	return rewardsapi.ListRewards200JSONResponse{Body: ToAPIRewards(found), Headers: rewardsapi.ListRewards200ResponseHeaders{Link: found.Link}}, nil
}

// ToAPIRewards is a page of rewards as the contract has it, for members too.
func ToAPIRewards(found *page.Of[*loyalty.Reward]) rewardsapi.RewardList {
	return rewardsapi.RewardList{Items: each(found.Items, toAPIReward), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total}
}

// CreateReward implements createReward.
func (a API) CreateReward(ctx context.Context, r rewardsapi.CreateRewardRequestObject) (rewardsapi.CreateRewardResponseObject, error) {
	b := r.Body
	t := Terms{Name: b.Name, Points: b.Points, Unit: points.DefaultUnit, Status: reward.DefaultStatus, Period: reward.DefaultPeriod, FulfilDays: reward.DefaultFulfilDays, TierCodes: []string{}}
	change(rewardsapi.RewardUpdate{NameEn: b.NameEn, Description: b.Description, Unit: b.Unit, Status: b.Status, ValidFrom: b.ValidFrom, ValidUntil: b.ValidUntil, TierCodes: b.TierCodes, TotalLimit: b.TotalLimit,
		MemberLimit: b.MemberLimit, PeriodLimit: b.PeriodLimit, Period: b.Period, FulfilDays: b.FulfilDays}, &t)
	v, err := a.Create(ctx, reward.Kind(b.Kind), b.VariantId, t)
	if err != nil {
		return nil, err
	}
	return rewardsapi.CreateReward201JSONResponse{Body: toAPIReward(v), Headers: rewardsapi.CreateReward201ResponseHeaders{ETag: etag.Header(v.Version), Location: location("rewards", v.ID)}}, nil
}

// GetReward implements getReward.
func (a API) GetReward(ctx context.Context, r rewardsapi.GetRewardRequestObject) (rewardsapi.GetRewardResponseObject, error) {
	v, err := a.Get(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return rewardsapi.GetReward200JSONResponse{Body: toAPIReward(v), Headers: rewardsapi.GetReward200ResponseHeaders{ETag: etag.Header(v.Version)}}, nil
}

// UpdateReward implements updateReward.
func (a API) UpdateReward(ctx context.Context, r rewardsapi.UpdateRewardRequestObject) (rewardsapi.UpdateRewardResponseObject, error) {
	v, err := a.Update(ctx, r.Id, r.Params.IfMatch, func(t *Terms) { change(*r.Body, t) })
	if err != nil {
		return nil, err
	}
	return rewardsapi.UpdateReward200JSONResponse{Body: toAPIReward(v), Headers: rewardsapi.UpdateReward200ResponseHeaders{ETag: etag.Header(v.Version)}}, nil
}

// AddRewardCodes implements addRewardCodes.
func (a API) AddRewardCodes(ctx context.Context, r rewardsapi.AddRewardCodesRequestObject) (rewardsapi.AddRewardCodesResponseObject, error) {
	n, v, err := a.AddCodes(ctx, r.Id, r.Body.Codes)
	if err != nil {
		return nil, err
	}
	return rewardsapi.AddRewardCodes200JSONResponse{Added: int32(n), CodesLeft: int32(v.CodesLeft)}, nil
}

// ListRewardRedemptions implements listRewardRedemptions.
func (a API) ListRewardRedemptions(ctx context.Context, r rewardsapi.ListRewardRedemptionsRequestObject) (rewardsapi.ListRewardRedemptionsResponseObject, error) {
	p := r.Params
	found, err := a.Redemptions(ctx, "/v1/reward-redemptions", Filter{CustomerID: p.CustomerId, StoreID: p.StoreId, RewardID: p.RewardId, Status: string(opt.Value(p.Status))},
		page.Asked{Limit: p.Limit, Cursor: p.Cursor, Total: p.Include != nil})
	if err != nil {
		return nil, err
	}
	return rewardsapi.ListRewardRedemptions200JSONResponse{Body: ToAPIRedemptions(found), Headers: rewardsapi.ListRewardRedemptions200ResponseHeaders{Link: found.Link}}, nil
}

// ToAPIRedemptions is a page of redemptions as the contract has it, for members too.
func ToAPIRedemptions(found *page.Of[*loyalty.RewardRedemption]) rewardsapi.RewardRedemptionList {
	return rewardsapi.RewardRedemptionList{Items: each(found.Items, toAPIRedemption), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total}
}

// RedeemReward implements redeemReward.
func (a API) RedeemReward(ctx context.Context, r rewardsapi.RedeemRewardRequestObject) (rewardsapi.RedeemRewardResponseObject, error) {
	d, err := a.Redeem(ctx, Wish{RewardID: r.Body.RewardId, CustomerID: r.Body.CustomerId, StoreID: r.Body.StoreId})
	if err != nil {
		return nil, err
	}
	return rewardsapi.RedeemReward201JSONResponse{Body: ToAPIDetail(d), Headers: rewardsapi.RedeemReward201ResponseHeaders{ETag: etag.Header(d.Version), Location: location("reward-redemptions", d.ID)}}, nil
}

// LookUpRewardRedemption implements lookUpRewardRedemption.
func (a API) LookUpRewardRedemption(ctx context.Context, r rewardsapi.LookUpRewardRedemptionRequestObject) (rewardsapi.LookUpRewardRedemptionResponseObject, error) {
	d, err := a.ByVoucher(ctx, r.Body.Voucher)
	if err != nil {
		return nil, err
	}
	return rewardsapi.LookUpRewardRedemption200JSONResponse(ToAPIDetail(d)), nil
}

// GetRewardRedemption implements getRewardRedemption.
func (a API) GetRewardRedemption(ctx context.Context, r rewardsapi.GetRewardRedemptionRequestObject) (rewardsapi.GetRewardRedemptionResponseObject, error) {
	d, err := a.Redemption(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return rewardsapi.GetRewardRedemption200JSONResponse{Body: ToAPIDetail(d), Headers: rewardsapi.GetRewardRedemption200ResponseHeaders{ETag: etag.Header(d.Version)}}, nil
}

// FulfilRewardRedemption implements fulfilRewardRedemption.
func (a API) FulfilRewardRedemption(ctx context.Context, r rewardsapi.FulfilRewardRedemptionRequestObject) (rewardsapi.FulfilRewardRedemptionResponseObject, error) {
	d, err := a.Fulfil(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return rewardsapi.FulfilRewardRedemption200JSONResponse{Body: ToAPIDetail(d), Headers: rewardsapi.FulfilRewardRedemption200ResponseHeaders{ETag: etag.Header(d.Version)}}, nil
}

// CancelRewardRedemption implements cancelRewardRedemption.
func (a API) CancelRewardRedemption(ctx context.Context, r rewardsapi.CancelRewardRedemptionRequestObject) (rewardsapi.CancelRewardRedemptionResponseObject, error) {
	var reason string
	if r.Body != nil {
		reason = opt.Value(r.Body.Reason)
	}
	d, err := a.Cancel(ctx, r.Id, reason)
	if err != nil {
		return nil, err
	}
	return rewardsapi.CancelRewardRedemption200JSONResponse{Body: ToAPIDetail(d), Headers: rewardsapi.CancelRewardRedemption200ResponseHeaders{ETag: etag.Header(d.Version)}}, nil
}

// change puts what a request names into terms.
func change(b rewardsapi.RewardUpdate, t *Terms) {
	set(b.Name, &t.Name)
	set(b.NameEn, &t.NameEN)
	set(b.Description, &t.Description)
	set(b.Unit, &t.Unit)
	set(b.Points, &t.Points)
	set((*reward.Status)(b.Status), &t.Status)
	set((*reward.Period)(b.Period), &t.Period)
	set(b.TierCodes, &t.TierCodes)
	limit(b.TotalLimit, &t.TotalLimit)
	limit(b.MemberLimit, &t.MemberLimit)
	limit(b.PeriodLimit, &t.PeriodLimit)
	orNull(b.ValidFrom, &t.ValidFrom)
	orNull(b.ValidUntil, &t.ValidUntil)
	if b.FulfilDays != nil {
		t.FulfilDays = int(*b.FulfilDays)
	}
}

func set[T any](from, to *T) {
	if from != nil {
		*to = *from
	}
}

// orNull takes a value over; null takes it away, what is left out stays.
func orNull[T any](from nullable.Nullable[T], to **T) {
	if !from.IsSpecified() {
		return
	}
	*to = nil
	if v, err := from.Get(); err == nil {
		*to = &v
	}
}

func limit(from nullable.Nullable[int32], to **int) {
	if !from.IsSpecified() {
		return
	}
	*to = nil
	if v, err := from.Get(); err == nil {
		n := int(v)
		*to = &n
	}
}

func each[A, B any](in []A, f func(A) B) []B {
	out := make([]B, len(in))
	for i, v := range in {
		out[i] = f(v)
	}
	return out
}

func location(things string, id uuid.UUID) *string {
	l := "/v1/" + things + "/" + id.String()
	return &l
}

func number(v *int) nullable.Nullable[int32] {
	if v == nil {
		return nullable.NewNullNullable[int32]()
	}
	return nullable.NewNullableWithValue(int32(*v))
}

func toAPIReward(r *loyalty.Reward) rewardsapi.Reward {
	return rewardsapi.Reward{Id: r.ID, Kind: rewardsapi.RewardKind(r.Kind), VariantId: opt.OrNull(r.VariantID), Name: r.Name, NameEn: r.NameEn, Description: r.Description, Unit: r.Unit, Points: r.Points,
		Status: rewardsapi.RewardStatus(r.Status), ValidFrom: opt.OrNull(r.ValidFrom), ValidUntil: opt.OrNull(r.ValidUntil), TierCodes: append([]string{}, r.TierCodes...), TotalLimit: number(r.TotalLimit),
		MemberLimit: number(r.MemberLimit), PeriodLimit: number(r.PeriodLimit), Period: rewardsapi.RewardPeriod(r.Period), FulfilDays: int32(r.FulfilDays), Redeemed: int32(r.Redeemed), CodesLeft: int32(r.CodesLeft),
		Version: r.Version, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC()}
}

func toAPIRedemption(d *loyalty.RewardRedemption) rewardsapi.RewardRedemption {
	return rewardsapi.RewardRedemption{Id: d.ID, RewardId: d.RewardID, RewardName: d.Edges.Reward.Name, Kind: rewardsapi.RewardKind(d.Edges.Reward.Kind), CustomerId: d.CustomerID,
		Status: rewardsapi.RewardRedemptionStatus(d.Status), Points: d.Points, StoreId: opt.OrNull(d.StoreID), Voucher: d.Voucher, ExpiresAt: opt.OrNull(d.ExpiresAt), FulfilledAt: opt.OrNull(d.FulfilledAt),
		FulfilledBy: opt.OrNull(d.FulfilledBy), Reason: d.Reason, Version: d.Version, CreatedAt: d.CreatedAt.UTC(), UpdatedAt: d.UpdatedAt.UTC()}
}

// ToAPIDetail is a redemption with the code of a coupon, for members too.
func ToAPIDetail(r *Redeemed) rewardsapi.RewardRedemptionDetail {
	d := toAPIRedemption(r.RewardRedemption)
	out := rewardsapi.RewardRedemptionDetail{Id: d.Id, RewardId: d.RewardId, RewardName: d.RewardName, Kind: d.Kind, CustomerId: d.CustomerId, Status: d.Status, Points: d.Points, StoreId: d.StoreId, Voucher: d.Voucher,
		ExpiresAt: d.ExpiresAt, FulfilledAt: d.FulfilledAt, FulfilledBy: d.FulfilledBy, Reason: d.Reason, Version: d.Version, CreatedAt: d.CreatedAt, UpdatedAt: d.UpdatedAt, CouponCode: nullable.NewNullNullable[string]()}
	if r.CouponCode != "" {
		out.CouponCode = nullable.NewNullableWithValue(r.CouponCode)
	}
	return out
}
