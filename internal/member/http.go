package member

import (
	"context"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"
	openapi_types "github.com/oapi-codegen/runtime/types"

	commonapi "github.com/shuke-crm/shuke/api/common"
	customersapi "github.com/shuke-crm/shuke/api/customers"
	memberapi "github.com/shuke-crm/shuke/api/member"
	ordersapi "github.com/shuke-crm/shuke/api/orders"
	pointsapi "github.com/shuke-crm/shuke/api/points"
	referralsapi "github.com/shuke-crm/shuke/api/referrals"
	walletsapi "github.com/shuke-crm/shuke/api/wallets"
	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/membership"
	"github.com/shuke-crm/shuke/internal/orders"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/opt"
	"github.com/shuke-crm/shuke/internal/platform/page"
	"github.com/shuke-crm/shuke/internal/points"
	"github.com/shuke-crm/shuke/internal/referrals"
	"github.com/shuke-crm/shuke/internal/rewards"
	"github.com/shuke-crm/shuke/internal/wallets"
)

// API is the HTTP side of the service.
type API struct{ *Service }

var _ memberapi.StrictServerInterface = API{}

// GetConsentTexts implements getConsentTexts.
func (a API) GetConsentTexts(ctx context.Context, r memberapi.GetConsentTextsRequestObject) (memberapi.GetConsentTextsResponseObject, error) {
	rows, err := a.Texts(ctx)
	if err != nil {
		return nil, err
	}
	language := apperr.Language(deref(r.Params.AcceptLanguage))
	out := memberapi.GetConsentTexts200JSONResponse{Texts: make([]memberapi.ConsentText, len(rows))}
	for i, t := range rows {
		w := wording(t, language)
		out.Texts[i] = memberapi.ConsentText{Purpose: memberapi.ConsentPurpose(t.Purpose), Version: int32(t.Version), Title: w.Title, Body: w.Body,
			Hash: hex.EncodeToString(t.Hash), PublishedAt: t.PublishedAt.UTC()}
	}
	return out, nil
}

// SendMemberCode implements sendMemberCode.
func (a API) SendMemberCode(ctx context.Context, r memberapi.SendMemberCodeRequestObject) (memberapi.SendMemberCodeResponseObject, error) {
	c, err := a.SendCode(ctx, r.Body.Phone, string(r.Body.Purpose), r.Body.DeviceId)
	if err != nil {
		return nil, err
	}
	return memberapi.SendMemberCode200JSONResponse{ChallengeId: c.ID, ExpiresAt: c.ExpiresAt, ResendAt: c.ResendAt}, nil
}

// SignInByCode implements signInByCode.
func (a API) SignInByCode(ctx context.Context, r memberapi.SignInByCodeRequestObject) (memberapi.SignInByCodeResponseObject, error) {
	b := r.Body
	in, err := a.SignInByPhone(ctx, b.ChallengeId, b.Phone, b.Code, entry(b.DeviceId, b.DeviceLabel, b.Consent, b.Profile))
	if err != nil {
		return nil, err
	}
	return memberapi.SignInByCode200JSONResponse(toAPITokens(in)), nil
}

// SignInByPassword implements signInByPassword.
func (a API) SignInByPassword(ctx context.Context, r memberapi.SignInByPasswordRequestObject) (memberapi.SignInByPasswordResponseObject, error) {
	b := r.Body
	in, err := a.Service.SignInByPassword(ctx, b.Phone, b.Password, entry(b.DeviceId, b.DeviceLabel, b.Consent, nil))
	if err != nil {
		return nil, err
	}
	return memberapi.SignInByPassword200JSONResponse(toAPITokens(in)), nil
}

// SignInByMiniProgram implements signInByMiniProgram.
func (a API) SignInByMiniProgram(ctx context.Context, r memberapi.SignInByMiniProgramRequestObject) (memberapi.SignInByMiniProgramResponseObject, error) {
	b := r.Body
	in, err := a.SignInByMini(ctx, b.Code, entry(b.DeviceId, b.DeviceLabel, b.Consent, b.Profile))
	if err != nil {
		return nil, err
	}
	return memberapi.SignInByMiniProgram200JSONResponse(toAPITokens(in)), nil
}

// BindMiniProgramPhone implements bindMiniProgramPhone.
func (a API) BindMiniProgramPhone(ctx context.Context, r memberapi.BindMiniProgramPhoneRequestObject) (memberapi.BindMiniProgramPhoneResponseObject, error) {
	out, err := a.BindMiniPhone(ctx, r.Body.Code)
	if err != nil {
		return nil, err
	}
	return memberapi.BindMiniProgramPhone200JSONResponse(toAPILinked(out)), nil
}

// BeginOfficialAccount implements beginOfficialAccount.
func (a API) BeginOfficialAccount(ctx context.Context, r memberapi.BeginOfficialAccountRequestObject) (memberapi.BeginOfficialAccountResponseObject, error) {
	address, state, err := a.BeginOfficial(ctx, r.Params.RedirectUri, r.Params.DeviceId)
	if err != nil {
		return nil, err
	}
	return memberapi.BeginOfficialAccount200JSONResponse{Url: address, State: state}, nil
}

// SignInByOfficialAccount implements signInByOfficialAccount.
func (a API) SignInByOfficialAccount(ctx context.Context, r memberapi.SignInByOfficialAccountRequestObject) (memberapi.SignInByOfficialAccountResponseObject, error) {
	b := r.Body
	in, err := a.SignInByOfficial(ctx, b.Code, b.State, entry(b.DeviceId, b.DeviceLabel, b.Consent, b.Profile))
	if err != nil {
		return nil, err
	}
	return memberapi.SignInByOfficialAccount200JSONResponse(toAPITokens(in)), nil
}

// BeginOpenIDConnect implements beginOpenIDConnect.
func (a API) BeginOpenIDConnect(ctx context.Context, r memberapi.BeginOpenIDConnectRequestObject) (memberapi.BeginOpenIDConnectResponseObject, error) {
	address, state, err := a.BeginOIDC(ctx, r.Provider, r.Params.DeviceId)
	if err != nil {
		return nil, err
	}
	return memberapi.BeginOpenIDConnect200JSONResponse{Url: address, State: state}, nil
}

// SignInByOpenIDConnect implements signInByOpenIDConnect.
func (a API) SignInByOpenIDConnect(ctx context.Context, r memberapi.SignInByOpenIDConnectRequestObject) (memberapi.SignInByOpenIDConnectResponseObject, error) {
	b := r.Body
	in, err := a.SignInByOIDC(ctx, r.Provider, b.Code, b.State, entry(b.DeviceId, b.DeviceLabel, b.Consent, b.Profile))
	if err != nil {
		return nil, err
	}
	return memberapi.SignInByOpenIDConnect200JSONResponse(toAPITokens(in)), nil
}

// RefreshMemberSession implements refreshMemberSession.
func (a API) RefreshMemberSession(ctx context.Context, r memberapi.RefreshMemberSessionRequestObject) (memberapi.RefreshMemberSessionResponseObject, error) {
	in, err := a.Refresh(ctx, r.Body.RefreshToken)
	if err != nil {
		return nil, err
	}
	return memberapi.RefreshMemberSession200JSONResponse(toAPITokens(in)), nil
}

// LogoutMember implements logoutMember.
func (a API) LogoutMember(ctx context.Context, _ memberapi.LogoutMemberRequestObject) (memberapi.LogoutMemberResponseObject, error) {
	if err := a.Logout(ctx); err != nil {
		return nil, err
	}
	return memberapi.LogoutMember204Response{}, nil
}

// ListMemberSessions implements listMemberSessions.
func (a API) ListMemberSessions(ctx context.Context, r memberapi.ListMemberSessionsRequestObject) (memberapi.ListMemberSessionsResponseObject, error) {
	l := page.NewList("/v1/member/auth/sessions", r.Params.Limit)
	at, err := a.after(ctx, l, r.Params.Cursor)
	if err != nil {
		return nil, err
	}
	count, err := page.Total(ctx, r.Params.Include, a.countSessions)
	if err != nil {
		return nil, err
	}
	rows, err := a.Sessions(ctx, at, l.Limit)
	if err != nil {
		return nil, err
	}
	rows, more := page.Cut(rows, l.Limit)
	current := auth.Must(ctx).SessionID
	out := memberapi.ListMemberSessions200JSONResponse{Body: memberapi.MemberSessionList{Items: make([]memberapi.MemberSession, len(rows)), HasMore: more, TotalCount: count,
		NextCursor: nullable.NewNullNullable[string]()}}
	for i, se := range rows {
		out.Body.Items[i] = memberapi.MemberSession{Id: se.MemberSession.ID, Current: se.MemberSession.ID == current, Provider: se.Provider, DeviceLabel: se.Label,
			UserAgent: se.Program, Ip: se.IP, CreatedAt: se.CreatedAt.UTC(), LastUsedAt: se.LastUsedAt.UTC(), ExpiresAt: se.ExpiresAt.UTC()}
	}
	if more {
		var next *string
		next, out.Headers.Link = l.After(a.Pages, a.position(ctx, rows[len(rows)-1].MemberSession.ID))
		out.Body.NextCursor = opt.OrNull(next)
	}
	return out, nil
}

// LogoutMemberEverywhere implements logoutMemberEverywhere.
func (a API) LogoutMemberEverywhere(ctx context.Context, _ memberapi.LogoutMemberEverywhereRequestObject) (memberapi.LogoutMemberEverywhereResponseObject, error) {
	if err := a.LogoutEverywhere(ctx); err != nil {
		return nil, err
	}
	return memberapi.LogoutMemberEverywhere204Response{}, nil
}

// EndMemberSession implements endMemberSession.
func (a API) EndMemberSession(ctx context.Context, r memberapi.EndMemberSessionRequestObject) (memberapi.EndMemberSessionResponseObject, error) {
	if err := a.EndSession(ctx, r.Id); err != nil {
		return nil, err
	}
	return memberapi.EndMemberSession204Response{}, nil
}

// SetMemberPassword implements setMemberPassword.
func (a API) SetMemberPassword(ctx context.Context, r memberapi.SetMemberPasswordRequestObject) (memberapi.SetMemberPasswordResponseObject, error) {
	if err := a.SetPassword(ctx, r.Body.Password, r.Body.CurrentPassword); err != nil {
		return nil, err
	}
	return memberapi.SetMemberPassword204Response{}, nil
}

// ListMemberIdentities implements listMemberIdentities.
func (a API) ListMemberIdentities(ctx context.Context, r memberapi.ListMemberIdentitiesRequestObject) (memberapi.ListMemberIdentitiesResponseObject, error) {
	all, err := a.Identities(ctx, auth.Must(ctx).ID)
	if err != nil {
		return nil, err
	}
	body, err := customers.IdentityPage(a.Pages, "/v1/member/identities "+auth.Must(ctx).ID.String(), all, r.Params.Limit, r.Params.Cursor, r.Params.Include != nil)
	if err != nil {
		return nil, err
	}
	return memberapi.ListMemberIdentities200JSONResponse(body), nil
}

// LinkMemberIdentity implements linkMemberIdentity.
func (a API) LinkMemberIdentity(ctx context.Context, r memberapi.LinkMemberIdentityRequestObject) (memberapi.LinkMemberIdentityResponseObject, error) {
	b := r.Body
	in := LinkInput{Provider: Provider(b.Provider), ProviderName: deref(b.ProviderName), Code: b.Code, State: deref(b.State), Phone: deref(b.Phone), DeviceID: b.DeviceId}
	if b.ChallengeId != nil {
		in.Challenge = *b.ChallengeId
	}
	out, err := a.Link(ctx, in)
	if err != nil {
		return nil, err
	}
	return memberapi.LinkMemberIdentity200JSONResponse(toAPILinked(out)), nil
}

// UnlinkMemberIdentity implements unlinkMemberIdentity.
func (a API) UnlinkMemberIdentity(ctx context.Context, r memberapi.UnlinkMemberIdentityRequestObject) (memberapi.UnlinkMemberIdentityResponseObject, error) {
	if err := a.UnlinkOwn(ctx, r.Id); err != nil {
		return nil, err
	}
	return memberapi.UnlinkMemberIdentity204Response{}, nil
}

// GetMemberProfile implements getMemberProfile.
func (a API) GetMemberProfile(ctx context.Context, _ memberapi.GetMemberProfileRequestObject) (memberapi.GetMemberProfileResponseObject, error) {
	p, err := a.Profile(ctx)
	if err != nil {
		return nil, err
	}
	tag := etag.Of(p.Version)
	return memberapi.GetMemberProfile200JSONResponse{Body: toAPIProfile(p), Headers: memberapi.GetMemberProfile200ResponseHeaders{ETag: &tag}}, nil
}

// UpdateMemberProfile implements updateMemberProfile.
func (a API) UpdateMemberProfile(ctx context.Context, r memberapi.UpdateMemberProfileRequestObject) (memberapi.UpdateMemberProfileResponseObject, error) {
	p, err := a.ChangeProfile(ctx, fromAPIProfile(r.Body), r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	tag := etag.Of(p.Version)
	return memberapi.UpdateMemberProfile200JSONResponse{Body: toAPIProfile(p), Headers: memberapi.UpdateMemberProfile200ResponseHeaders{ETag: &tag}}, nil
}

// GetMemberPoints implements getMemberPoints.
func (a API) GetMemberPoints(ctx context.Context, r memberapi.GetMemberPointsRequestObject) (memberapi.GetMemberPointsResponseObject, error) {
	actor, err := self(ctx)
	if err != nil {
		return nil, err
	}
	b, err := a.Points.Of(ctx, actor.ID, opt.Value(r.Params.Unit))
	if err != nil {
		return nil, err
	}
	return memberapi.GetMemberPoints200JSONResponse(points.ToAPIBalance(b)), nil
}

// GetMemberMembership implements getMemberMembership.
func (a API) GetMemberMembership(ctx context.Context, _ memberapi.GetMemberMembershipRequestObject) (memberapi.GetMemberMembershipResponseObject, error) {
	actor, err := self(ctx)
	if err != nil {
		return nil, err
	}
	st, err := a.Membership.Standing(ctx, actor.ID)
	if err != nil {
		return nil, err
	}
	return memberapi.GetMemberMembership200JSONResponse(membership.ToAPIStanding(st)), nil
}

// ListMemberPointsEntries implements listMemberPointsEntries.
func (a API) ListMemberPointsEntries(ctx context.Context, r memberapi.ListMemberPointsEntriesRequestObject) (memberapi.ListMemberPointsEntriesResponseObject, error) {
	actor, err := self(ctx)
	if err != nil {
		return nil, err
	}
	p := r.Params
	found, err := a.Points.Entries(ctx, "/v1/member/points/entries", actor.ID, points.EntryFilter{Unit: opt.Value(p.Unit)}, points.Asked{Limit: p.Limit, Cursor: p.Cursor, Total: p.Include != nil})
	if err != nil {
		return nil, err
	}
	out := memberapi.MemberPointsEntryList{Items: make([]memberapi.MemberPointsEntry, len(found.Items)), HasMore: found.Next != nil, NextCursor: opt.OrNull(found.Next), TotalCount: found.Total}
	for i, e := range found.Items {
		out.Items[i] = memberapi.MemberPointsEntry{Id: e.ID, Unit: e.Edges.Account.Edges.Unit.Code, Kind: pointsapi.PointsEntryKind(e.Kind), BalanceChange: e.BalanceChange, PendingChange: e.PendingChange,
			BlockedChange: e.BlockedChange, BalanceAfter: e.BalanceAfter, PendingAfter: e.PendingAfter, BlockedAfter: e.BlockedAfter, OrderId: opt.OrNull(e.OrderID), Reason: e.Reason, OccurredAt: e.OccurredAt.UTC()}
	}
	return memberapi.ListMemberPointsEntries200JSONResponse{Body: out, Headers: memberapi.ListMemberPointsEntries200ResponseHeaders{Link: found.Link}}, nil
}

// ListMemberRewards implements listMemberRewards.
func (a API) ListMemberRewards(ctx context.Context, r memberapi.ListMemberRewardsRequestObject) (memberapi.ListMemberRewardsResponseObject, error) {
	p := r.Params
	found, err := a.Rewards.List(ctx, "/v1/member/rewards", "", "", true, page.Asked{Limit: p.Limit, Cursor: p.Cursor, Total: p.Include != nil})
	if err != nil {
		return nil, err
	}
	return memberapi.ListMemberRewards200JSONResponse{Body: rewards.ToAPIRewards(found), Headers: memberapi.ListMemberRewards200ResponseHeaders{Link: found.Link}}, nil
}

// ListMemberRewardRedemptions implements listMemberRewardRedemptions.
func (a API) ListMemberRewardRedemptions(ctx context.Context, r memberapi.ListMemberRewardRedemptionsRequestObject) (memberapi.ListMemberRewardRedemptionsResponseObject, error) {
	actor, err := self(ctx)
	if err != nil {
		return nil, err
	}
	p := r.Params
	found, err := a.Rewards.Redemptions(ctx, "/v1/member/reward-redemptions", rewards.Filter{CustomerID: &actor.ID}, page.Asked{Limit: p.Limit, Cursor: p.Cursor, Total: p.Include != nil})
	if err != nil {
		return nil, err
	}
	return memberapi.ListMemberRewardRedemptions200JSONResponse{Body: rewards.ToAPIRedemptions(found), Headers: memberapi.ListMemberRewardRedemptions200ResponseHeaders{Link: found.Link}}, nil
}

// RedeemMemberReward implements redeemMemberReward.
func (a API) RedeemMemberReward(ctx context.Context, r memberapi.RedeemMemberRewardRequestObject) (memberapi.RedeemMemberRewardResponseObject, error) {
	actor, err := self(ctx)
	if err != nil {
		return nil, err
	}
	d, err := a.Rewards.Redeem(ctx, rewards.Wish{RewardID: r.Body.RewardId, CustomerID: actor.ID, StoreID: r.Body.StoreId})
	if err != nil {
		return nil, err
	}
	at := "/v1/member/reward-redemptions"
	return memberapi.RedeemMemberReward201JSONResponse{Body: rewards.ToAPIDetail(d), Headers: memberapi.RedeemMemberReward201ResponseHeaders{Location: &at}}, nil
}

// CancelMemberRewardRedemption implements cancelMemberRewardRedemption.
func (a API) CancelMemberRewardRedemption(ctx context.Context, r memberapi.CancelMemberRewardRedemptionRequestObject) (memberapi.CancelMemberRewardRedemptionResponseObject, error) {
	d, err := a.Rewards.Cancel(ctx, r.Id, "")
	if err != nil {
		return nil, err
	}
	return memberapi.CancelMemberRewardRedemption200JSONResponse(rewards.ToAPIDetail(d)), nil
}

// GetMemberWallet implements getMemberWallet.
func (a API) GetMemberWallet(ctx context.Context, _ memberapi.GetMemberWalletRequestObject) (memberapi.GetMemberWalletResponseObject, error) {
	actor, err := self(ctx)
	if err != nil {
		return nil, err
	}
	w, err := a.Wallets.Of(ctx, actor.ID)
	if err != nil {
		return nil, err
	}
	return memberapi.GetMemberWallet200JSONResponse(wallets.ToAPIWallet(w)), nil
}

// ListMemberWalletEntries implements listMemberWalletEntries.
func (a API) ListMemberWalletEntries(ctx context.Context, r memberapi.ListMemberWalletEntriesRequestObject) (memberapi.ListMemberWalletEntriesResponseObject, error) {
	actor, err := self(ctx)
	if err != nil {
		return nil, err
	}
	p := r.Params
	found, err := a.Wallets.Entries(ctx, "/v1/member/wallet/entries", actor.ID, wallets.EntryFilter{}, page.Asked{Limit: p.Limit, Cursor: p.Cursor, Total: p.Include != nil})
	if err != nil {
		return nil, err
	}
	out := memberapi.MemberWalletEntryList{Items: make([]memberapi.MemberWalletEntry, len(found.Items)), HasMore: found.Next != nil, NextCursor: opt.OrNull(found.Next), TotalCount: found.Total}
	for i, e := range found.Items {
		out.Items[i] = memberapi.MemberWalletEntry{Id: e.ID, Kind: walletsapi.WalletEntryKind(e.Kind), PrincipalChangeAmount: e.PrincipalChange, BonusChangeAmount: e.BonusChange, BlockedChangeAmount: e.BlockedChange,
			PrincipalAfterAmount: e.PrincipalAfter, BonusAfterAmount: e.BonusAfter, BlockedAfterAmount: e.BlockedAfter, OrderId: opt.OrNull(e.OrderID), Reason: e.Reason, OccurredAt: e.OccurredAt.UTC()}
	}
	return memberapi.ListMemberWalletEntries200JSONResponse{Body: out, Headers: memberapi.ListMemberWalletEntries200ResponseHeaders{Link: found.Link}}, nil
}

// RedeemMemberGiftCard implements redeemMemberGiftCard.
func (a API) RedeemMemberGiftCard(ctx context.Context, r memberapi.RedeemMemberGiftCardRequestObject) (memberapi.RedeemMemberGiftCardResponseObject, error) {
	actor, err := self(ctx)
	if err != nil {
		return nil, err
	}
	done, err := a.Wallets.RedeemCard(ctx, actor.ID, r.Body.Code, opt.Value(r.Body.Pin), r.Body.Amount)
	if err != nil {
		return nil, err
	}
	return memberapi.RedeemMemberGiftCard200JSONResponse(wallets.ToAPIRedeemed(done)), nil
}

// SetMemberWalletPin implements setMemberWalletPin.
func (a API) SetMemberWalletPin(ctx context.Context, r memberapi.SetMemberWalletPinRequestObject) (memberapi.SetMemberWalletPinResponseObject, error) {
	actor, err := self(ctx)
	if err != nil {
		return nil, err
	}
	current := opt.Value(r.Body.CurrentPin)
	if err := a.Wallets.SetPIN(ctx, actor.ID, r.Body.Pin, &current); err != nil {
		return nil, err
	}
	return memberapi.SetMemberWalletPin204Response{}, nil
}

// ListMemberOrders implements listMemberOrders.
func (a API) ListMemberOrders(ctx context.Context, r memberapi.ListMemberOrdersRequestObject) (memberapi.ListMemberOrdersResponseObject, error) {
	found, err := a.OwnOrders(ctx, r.Params.Limit, r.Params.Cursor, r.Params.Include != nil)
	if err != nil {
		return nil, err
	}
	names, err := a.storeNames(ctx, found.Items)
	if err != nil {
		return nil, err
	}
	out := memberapi.ListMemberOrders200JSONResponse{
		Body:    memberapi.MemberOrderList{Items: make([]memberapi.MemberOrder, len(found.Items)), HasMore: found.Next != nil, NextCursor: opt.OrNull(found.Next), TotalCount: found.Total},
		Headers: memberapi.ListMemberOrders200ResponseHeaders{Link: found.Link},
	}
	for i, o := range found.Items {
		out.Body.Items[i] = toAPIOrder(o, names)
	}
	return out, nil
}

// CheckInMember implements checkInMember.
func (a API) CheckInMember(ctx context.Context, _ memberapi.CheckInMemberRequestObject) (memberapi.CheckInMemberResponseObject, error) {
	actor, err := self(ctx)
	if err != nil {
		return nil, err
	}
	now := a.Clock.Now()
	found, err := a.Points.Report(ctx, points.Happening{CustomerID: actor.ID, Type: points.HappenedCheckIn, Key: a.Clock.DayOf(now).String(), At: now})
	if err != nil {
		return nil, err
	}
	return memberapi.CheckInMember200JSONResponse(points.ToAPIOutcomes(found)), nil
}

// GetMemberReferralCode implements getMemberReferralCode.
func (a API) GetMemberReferralCode(ctx context.Context, _ memberapi.GetMemberReferralCodeRequestObject) (memberapi.GetMemberReferralCodeResponseObject, error) {
	actor, err := self(ctx)
	if err != nil {
		return nil, err
	}
	terms, err := a.Referrals.LoadProgramme(ctx)
	if err != nil {
		return nil, err
	}
	c, err := a.Referrals.CodeOf(ctx, actor.ID)
	if err != nil {
		return nil, err
	}
	return memberapi.GetMemberReferralCode200JSONResponse(memberapi.MemberReferralCode{Code: c.Code, Link: opt.OrNull(terms.Link(c.Code)), Status: memberapi.MemberReferralCodeStatus(c.Status)}), nil
}

// ListMemberReferrals implements listMemberReferrals.
func (a API) ListMemberReferrals(ctx context.Context, r memberapi.ListMemberReferralsRequestObject) (memberapi.ListMemberReferralsResponseObject, error) {
	actor, err := self(ctx)
	if err != nil {
		return nil, err
	}
	p := r.Params
	found, err := a.Referrals.Referrals(ctx, "/v1/member/referrals", referrals.Filter{ReferredBy: &actor.ID}, page.Asked{Limit: p.Limit, Cursor: p.Cursor, Total: p.Include != nil})
	if err != nil {
		return nil, err
	}
	items := make([]memberapi.MemberReferral, len(found.Items))
	for i, f := range found.Items {
		items[i] = toAPIReferral(f, f.ReferrerPoints)
	}
	return memberapi.ListMemberReferrals200JSONResponse{
		Body:    memberapi.MemberReferralList{Items: items, NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: memberapi.ListMemberReferrals200ResponseHeaders{Link: found.Link},
	}, nil
}

// CreateMemberReferral implements createMemberReferral.
func (a API) CreateMemberReferral(ctx context.Context, r memberapi.CreateMemberReferralRequestObject) (memberapi.CreateMemberReferralResponseObject, error) {
	actor, err := self(ctx)
	if err != nil {
		return nil, err
	}
	v, err := a.Referrals.Register(ctx, r.Body.Code, actor.ID)
	if err != nil {
		return nil, err
	}
	return memberapi.CreateMemberReferral200JSONResponse(toAPIReferral(v, v.RefereePoints)), nil
}

func toAPIReferral(r *loyalty.Referral, points int64) memberapi.MemberReferral {
	return memberapi.MemberReferral{Status: referralsapi.ReferralStatus(r.Status), Points: points, CreatedAt: r.CreatedAt.UTC(), RewardedAt: opt.OrNull(r.RewardedAt)}
}

// PlaceMemberOrder implements placeMemberOrder.
func (a API) PlaceMemberOrder(ctx context.Context, r memberapi.PlaceMemberOrderRequestObject) (memberapi.PlaceMemberOrderResponseObject, error) {
	actor, err := self(ctx)
	if err != nil {
		return nil, err
	}
	in := orders.Input{StoreID: r.Body.StoreId, Channel: "mini_program", Customer: &customers.Ref{ID: actor.ID}, Note: r.Body.Note, Points: opt.Value(r.Body.PointsToRedeem), AnyStore: true}
	if r.Body.Channel != nil {
		in.Channel = string(*r.Body.Channel)
	}
	for _, l := range r.Body.Lines {
		in.Lines = append(in.Lines, orders.LineInput{VariantID: l.VariantId, SKU: l.Sku, Quantity: l.Quantity})
	}
	if to := r.Body.Recipient; to != nil {
		in.Recipient = &orders.Recipient{Name: to.Name, Phone: to.Phone, Address: customers.FromAPIAddress(to.Address)}
	}
	o, err := a.Orders.Place(ctx, in)
	if err != nil {
		return nil, err
	}
	body, err := a.wholeOrder(ctx, o)
	if err != nil {
		return nil, err
	}
	tag, at := etag.Of(o.Version), "/v1/member/orders/"+o.ID.String()
	return memberapi.PlaceMemberOrder201JSONResponse{Body: body, Headers: memberapi.PlaceMemberOrder201ResponseHeaders{ETag: &tag, Location: &at}}, nil
}

// GetMemberOrder implements getMemberOrder.
func (a API) GetMemberOrder(ctx context.Context, r memberapi.GetMemberOrderRequestObject) (memberapi.GetMemberOrderResponseObject, error) {
	o, err := a.Orders.Order(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	body, err := a.wholeOrder(ctx, o)
	if err != nil {
		return nil, err
	}
	tag := etag.Of(o.Version)
	return memberapi.GetMemberOrder200JSONResponse{Body: body, Headers: memberapi.GetMemberOrder200ResponseHeaders{ETag: &tag}}, nil
}

// StartMemberPayment implements startMemberPayment.
func (a API) StartMemberPayment(ctx context.Context, r memberapi.StartMemberPaymentRequestObject) (memberapi.StartMemberPaymentResponseObject, error) {
	p, err := a.Orders.StartPayment(ctx, r.Id, orders.FromAPIOnline(r.Body))
	if err != nil {
		return nil, err
	}
	at := "/v1/member/orders/" + p.OrderID.String()
	return memberapi.StartMemberPayment201JSONResponse{Body: orders.ToAPIOnline(p), Headers: memberapi.StartMemberPayment201ResponseHeaders{Location: &at}}, nil
}

// ListMemberTrackingEvents implements listMemberTrackingEvents.
func (a API) ListMemberTrackingEvents(ctx context.Context, r memberapi.ListMemberTrackingEventsRequestObject) (memberapi.ListMemberTrackingEventsResponseObject, error) {
	found, err := a.Orders.TrackingSteps(ctx, "/v1/member/orders/"+r.Id.String()+"/tracking-events", r.Id, r.Params.ShipmentId, r.Params.Limit, r.Params.Cursor, (*string)(r.Params.Include))
	if err != nil {
		return nil, err
	}
	return memberapi.ListMemberTrackingEvents200JSONResponse{Body: orders.ToAPITrackingEvents(found), Headers: memberapi.ListMemberTrackingEvents200ResponseHeaders{Link: found.Link}}, nil
}

// CancelMemberOrder implements cancelMemberOrder.
func (a API) CancelMemberOrder(ctx context.Context, r memberapi.CancelMemberOrderRequestObject) (memberapi.CancelMemberOrderResponseObject, error) {
	if err := a.Orders.Cancel(ctx, r.Id, nil, r.Body.Reason); err != nil {
		return nil, err
	}
	o, err := a.Orders.Order(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	body, err := a.wholeOrder(ctx, o)
	if err != nil {
		return nil, err
	}
	tag := etag.Of(o.Version)
	return memberapi.CancelMemberOrder200JSONResponse{Body: body, Headers: memberapi.CancelMemberOrder200ResponseHeaders{ETag: &tag}}, nil
}

// RequestMemberReturn implements requestMemberReturn.
func (a API) RequestMemberReturn(ctx context.Context, r memberapi.RequestMemberReturnRequestObject) (memberapi.RequestMemberReturnResponseObject, error) {
	in := orders.ReturnInput{Note: r.Body.Note}
	for _, l := range r.Body.Lines {
		in.Lines = append(in.Lines, orders.ReturnLine{LineID: l.LineId, Quantity: l.Quantity, ReasonCode: l.ReasonCode})
	}
	b, err := a.Orders.RequestReturn(ctx, r.Id, in)
	if err != nil {
		return nil, err
	}
	tag, at := etag.Of(b.Version), "/v1/member/orders/"+r.Id.String()
	return memberapi.RequestMemberReturn201JSONResponse{
		Body: memberapi.MemberReturn{Id: b.ID, ReturnNumber: b.ReturnNumber, OrderId: opt.OrNull(b.OrderID), Status: ordersapi.OrderReturnStatus(b.Status), UnitCount: b.UnitCount,
			TotalAmount: b.TotalAmount, CreatedAt: b.CreatedAt.UTC()},
		Headers: memberapi.RequestMemberReturn201ResponseHeaders{ETag: &tag, Location: &at},
	}, nil
}

// ListMemberReturnReasons implements listMemberReturnReasons.
func (a API) ListMemberReturnReasons(ctx context.Context, r memberapi.ListMemberReturnReasonsRequestObject) (memberapi.ListMemberReturnReasonsResponseObject, error) {
	found, err := a.Orders.Reasons(ctx, "/v1/member/return-reasons", true, r.Params.Limit, r.Params.Cursor, r.Params.Include != nil)
	if err != nil {
		return nil, err
	}
	items := make([]memberapi.MemberReturnReason, len(found.Items))
	for i, one := range found.Items {
		items[i] = memberapi.MemberReturnReason{Code: one.Code, Name: one.Name}
	}
	return memberapi.ListMemberReturnReasons200JSONResponse{
		Body:    memberapi.MemberReturnReasonList{Items: items, NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: memberapi.ListMemberReturnReasons200ResponseHeaders{Link: found.Link},
	}, nil
}

// wholeOrder writes an order with its lines and parcels.
func (a API) wholeOrder(ctx context.Context, o *commerce.Order) (memberapi.MemberOrder, error) {
	names, err := a.storeNames(ctx, []*commerce.Order{o})
	if err != nil {
		return memberapi.MemberOrder{}, err
	}
	body := toAPIOrder(o, names)
	lines := make([]memberapi.MemberOrderLine, len(o.Edges.Lines))
	for i, l := range o.Edges.Lines {
		lines[i] = memberapi.MemberOrderLine{Id: l.ID, LineNumber: int32(l.LineNumber), VariantId: l.VariantID, Sku: l.Sku, Title: l.Title, Quantity: l.Quantity,
			UnitPriceAmount: l.UnitPriceAmount, TotalAmount: l.TotalAmount, ReturnedQuantity: l.ReturnedQuantity}
	}
	parcels := make([]ordersapi.Shipment, len(o.Edges.Shipments))
	for i, p := range o.Edges.Shipments {
		parcels[i] = orders.ToAPIShipment(p)
	}
	body.Lines, body.Shipments = &lines, &parcels
	return body, nil
}

// ListMemberConsents implements listMemberConsents.
func (a API) ListMemberConsents(ctx context.Context, r memberapi.ListMemberConsentsRequestObject) (memberapi.ListMemberConsentsResponseObject, error) {
	l := page.NewList("/v1/member/consents", r.Params.Limit)
	at, err := a.after(ctx, l, r.Params.Cursor)
	if err != nil {
		return nil, err
	}
	count, err := page.Total(ctx, r.Params.Include, a.countConsents)
	if err != nil {
		return nil, err
	}
	rows, err := a.Consents(ctx, at, l.Limit)
	if err != nil {
		return nil, err
	}
	rows, more := page.Cut(rows, l.Limit)
	out := memberapi.ListMemberConsents200JSONResponse{Body: memberapi.MemberConsentList{Items: make([]memberapi.MemberConsent, len(rows)), HasMore: more, TotalCount: count,
		NextCursor: nullable.NewNullNullable[string]()}}
	for i, c := range rows {
		out.Body.Items[i] = toAPIConsent(c)
	}
	if more {
		var next *string
		next, out.Headers.Link = l.After(a.Pages, a.position(ctx, rows[len(rows)-1].ID))
		out.Body.NextCursor = opt.OrNull(next)
	}
	return out, nil
}

// GrantMemberConsent implements grantMemberConsent.
func (a API) GrantMemberConsent(ctx context.Context, r memberapi.GrantMemberConsentRequestObject) (memberapi.GrantMemberConsentResponseObject, error) {
	c, err := a.Grant(ctx, Purpose(r.Body.Purpose), int(r.Body.TextVersion))
	if err != nil {
		return nil, err
	}
	return memberapi.GrantMemberConsent200JSONResponse(toAPIConsent(c)), nil
}

// WithdrawMemberConsent implements withdrawMemberConsent.
func (a API) WithdrawMemberConsent(ctx context.Context, r memberapi.WithdrawMemberConsentRequestObject) (memberapi.WithdrawMemberConsentResponseObject, error) {
	c, err := a.Withdraw(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return memberapi.WithdrawMemberConsent200JSONResponse(toAPIConsent(c)), nil
}

// position is the last row of a page, for its owner only.
type position struct {
	Member uuid.UUID `json:"m"`
	ID     uuid.UUID `json:"i"`
}

func (a API) position(ctx context.Context, id uuid.UUID) position {
	return position{auth.Must(ctx).ID, id}
}

func (a API) after(ctx context.Context, l page.List, cursor *string) (uuid.UUID, error) {
	var at position
	if ok, err := a.Pages.Decode(l.Name(), cursor, &at); err != nil || !ok {
		return uuid.Nil, err
	}
	if at.Member != auth.Must(ctx).ID {
		return uuid.Nil, apperr.ErrBadCursor.At("?cursor")
	}
	return at.ID, nil
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// filled writes an empty text as null.
func filled(s string) nullable.Nullable[string] {
	if s == "" {
		return nullable.NewNullNullable[string]()
	}
	return nullable.NewNullableWithValue(s)
}

func wording(t *crm.ConsentText, language string) (w struct{ Title, Body string }) {
	best, ok := t.Wordings[language]
	if !ok {
		languages := make([]string, 0, len(t.Wordings))
		for l := range t.Wordings {
			languages = append(languages, l)
		}
		if len(languages) > 0 {
			best = t.Wordings[slices.Max(languages)] // zh-CN before en
		}
	}
	w.Title, w.Body = best.Title, best.Body
	return w
}

func entry(device string, label *string, given *memberapi.MemberConsentGiven, profile *memberapi.MemberSignUpProfile) Entry {
	in := Entry{DeviceID: device, DeviceLabel: strings.TrimSpace(deref(label))}
	if given != nil {
		in.Consent = &ConsentGiven{Terms: int(given.TextVersion)}
		if given.GuardianTextVersion != nil {
			in.Consent.Guardian = int(*given.GuardianTextVersion)
		}
	}
	if profile != nil {
		in.Profile = &SignUpProfile{Name: profile.Name, Gender: (*string)(profile.Gender)}
		if profile.BirthDate != nil {
			in.Profile.BirthDate = &profile.BirthDate.Time
		}
	}
	return in
}

func toAPITokens(in SignedIn) memberapi.MemberTokens {
	return memberapi.MemberTokens{AccessToken: in.Access, RefreshToken: in.Refresh, TokenType: memberapi.MemberTokenBearer,
		ExpiresIn: int32(in.ExpiresIn / time.Second), SessionId: in.SessionID, CustomerId: in.CustomerID, NewMember: in.New}
}

func toAPILinked(l Linked) memberapi.MemberLinked {
	out := memberapi.MemberLinked{IdentityId: l.IdentityID, Tokens: nullable.NewNullNullable[memberapi.MemberTokens]()}
	if l.Session != nil {
		out.Joined = true
		out.Tokens.Set(toAPITokens(*l.Session))
	}
	return out
}

func toAPIConsent(c *crm.Consent) memberapi.MemberConsent {
	out := memberapi.MemberConsent{Id: c.ID, Purpose: memberapi.ConsentPurpose(c.Purpose), TextVersion: int32(c.TextVersion), TextHash: hex.EncodeToString(c.TextHash),
		Channel: c.Channel, GrantedAt: c.GrantedAt.UTC(), WithdrawnAt: nullable.NewNullNullable[time.Time]()}
	if c.WithdrawnAt != nil {
		out.WithdrawnAt.Set(c.WithdrawnAt.UTC())
	}
	return out
}

func toAPIOrder(o *commerce.Order, stores map[uuid.UUID]string) memberapi.MemberOrder {
	return memberapi.MemberOrder{Id: o.ID, OrderNumber: o.OrderNumber, StoreId: o.StoreID, StoreName: stores[o.StoreID], Channel: ordersapi.OrderChannel(o.Channel),
		Status: ordersapi.OrderStatus(o.Status), Currency: o.Currency, PlacedAt: o.PlacedAt.UTC(), BusinessOn: openapi_types.Date{Time: o.BusinessDay},
		LineCount: int32(o.LineCount), UnitCount: o.UnitCount, TotalAmount: o.TotalAmount, PaidAmount: o.PaidAmount, RefundedAmount: o.RefundedAmount, ReturnedAmount: o.ReturnedAmount,
		Fulfilment: ordersapi.OrderFulfilment(o.Fulfilment), PayBy: opt.OrNull(o.PayBy),
		Version: o.Version, CreatedAt: o.CreatedAt.UTC(), UpdatedAt: o.UpdatedAt.UTC()}
}

func toAPIProfile(p *Profile) memberapi.MemberProfile {
	out := memberapi.MemberProfile{Id: p.ID, Name: filled(p.Name), Gender: customersapi.CustomerGender(p.Gender), BirthDate: nullable.NewNullNullable[openapi_types.Date](),
		Phone: filled(p.Phone), PhoneVerified: p.PhoneVerified, Email: filled(p.Email), CardNumber: filled(p.Card), Address: nullable.NewNullNullable[commonapi.Address](),
		Language: p.Language, Preferences: p.Preferences, MarketingPreferences: p.MarketingPreferences, HomeStoreId: opt.OrNull(p.HomeStoreID),
		CustomFields: customersapi.CustomFields(p.CustomFields), FieldAccess: []customersapi.MemberFieldAccess{},
		TermsVersion: int32(p.TermsVersion), Version: p.Version, CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt}
	for _, f := range p.Rules.All() {
		if f.Access != customers.MemberHidden {
			out.FieldAccess = append(out.FieldAccess, customers.ToAPIMemberFields([]customers.MemberField{f})...)
		}
	}
	if p.BirthDate != nil {
		out.BirthDate.Set(openapi_types.Date{Time: *p.BirthDate})
	}
	if p.Address != nil {
		out.Address = customers.ToAPIAddress(p.Address)
	}
	if out.Preferences == nil {
		out.Preferences = customersapi.CustomerPreferences{}
	}
	if out.MarketingPreferences == nil {
		out.MarketingPreferences = customersapi.MarketingPreferences{}
	}
	return out
}

func fromAPIProfile(b *memberapi.MemberProfileUpdate) ProfileChange {
	in := ProfileChange{Name: b.Name, Email: b.Email, Gender: (*string)(b.Gender), Language: b.Language,
		Preferences: (*map[string]any)(b.Preferences), MarketingPreferences: (*map[string]bool)(b.MarketingPreferences), CustomFields: (*map[string]any)(b.CustomFields)}
	if b.BirthDate != nil {
		in.BirthDate = &b.BirthDate.Time
	}
	if b.Address.IsNull() {
		in.Address = nullable.NewNullNullable[customers.Address]()
	} else if v, err := b.Address.Get(); err == nil {
		in.Address = nullable.NewNullableWithValue(customers.FromAPIAddress(v))
	}
	return in
}
