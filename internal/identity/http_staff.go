package identity

import (
	"context"
	"net/url"
	"time"

	"github.com/google/uuid"

	identityapi "github.com/shuke-crm/shuke/api/identity"
	"github.com/shuke-crm/shuke/ent/platform"
	"github.com/shuke-crm/shuke/ent/platform/delegation"
	"github.com/shuke-crm/shuke/ent/platform/rolegrant"
	"github.com/shuke-crm/shuke/ent/platform/staff"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/opt"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// ListStaff (GET /v1/staff)
func (a API) ListStaff(ctx context.Context, req identityapi.ListStaffRequestObject) (identityapi.ListStaffResponseObject, error) {
	p := req.Params
	newest := p.Sort != nil && *p.Sort == identityapi.StaffNewestFirst
	query := url.Values{}
	with(query, "status", p.Status)
	withID(query, "store_id", p.StoreId)
	with(query, "role", p.Role)
	with(query, "q", p.Q)
	with(query, "sort", p.Sort)
	l := a.list("/v1/staff", p.Limit, p.Cursor, query)
	var at cursor
	if err := l.read(&at); err != nil {
		return nil, err
	}
	filter := StaffFilter{Status: (*staff.Status)(p.Status), StoreID: p.StoreId, Role: p.Role, Prefix: p.Q}
	q := a.DB.From(ctx).Platform.Staff.Query().Where(filter.predicates(a.Clock.Now())...)
	count, err := page.Total(ctx, p.Include, q.Clone().Count)
	if err != nil {
		return nil, err
	}
	switch {
	case newest && at.ID != uuid.Nil:
		q.Where(staff.IDLT(at.ID))
	case !newest && at.Text != "":
		q.Where(staff.UsernameGT(at.Text))
	}
	if newest {
		q.Order(staff.ByID(sqlDesc))
	} else {
		q.Order(staff.ByUsername())
	}
	rows, err := staffWithGrants(q.Limit(l.limit + 1)).All(ctx)
	if err != nil {
		return nil, err
	}
	rows, more := page.Cut(rows, l.limit)
	body := identityapi.StaffList{Items: make([]identityapi.Staff, len(rows)), HasMore: more, TotalCount: count}
	for i, r := range rows {
		body.Items[i] = a.toAPIStaff(r)
	}
	next, link := l.next(more, func() cursor {
		last := rows[len(rows)-1]
		return cursor{Text: last.Username, ID: last.ID}
	})
	body.NextCursor = next
	return identityapi.ListStaff200JSONResponse{Body: body, Headers: identityapi.ListStaff200ResponseHeaders{Link: link}}, nil
}

// CreateStaff (POST /v1/staff)
func (a API) CreateStaff(ctx context.Context, req identityapi.CreateStaffRequestObject) (identityapi.CreateStaffResponseObject, error) {
	in := CreateStaffInput{Username: req.Body.Username, Name: req.Body.Name, Email: req.Body.Email, StoreID: req.Body.StoreId, Password: req.Body.Password, MustChangePassword: true}
	if req.Body.MustChangePassword != nil {
		in.MustChangePassword = *req.Body.MustChangePassword
	}
	if req.Body.Grants != nil {
		for _, g := range *req.Body.Grants {
			in.Grants = append(in.Grants, fromAPIGrant(g))
		}
	}
	made, initial, err := a.Service.CreateStaff(ctx, in)
	if err != nil {
		return nil, err
	}
	body := a.toAPIStaff(made)
	if initial != "" {
		body.InitialPassword = &initial
	}
	return identityapi.CreateStaff201JSONResponse{Body: body,
		Headers: identityapi.CreateStaff201ResponseHeaders{ETag: ref(etag.Of(made.Version)), Location: ref("/v1/staff/" + made.ID.String())}}, nil
}

// GetStaff (GET /v1/staff/{id})
func (a API) GetStaff(ctx context.Context, req identityapi.GetStaffRequestObject) (identityapi.GetStaffResponseObject, error) {
	r, err := staffWithGrants(a.DB.From(ctx).Platform.Staff.Query().Where(staff.ID(req.Id))).Only(ctx)
	if err != nil {
		return nil, staffError(err)
	}
	return identityapi.GetStaff200JSONResponse{Body: a.toAPIStaff(r), Headers: identityapi.GetStaff200ResponseHeaders{ETag: ref(etag.Of(r.Version))}}, nil
}

// UpdateStaff (PATCH /v1/staff/{id})
func (a API) UpdateStaff(ctx context.Context, req identityapi.UpdateStaffRequestObject) (identityapi.UpdateStaffResponseObject, error) {
	r, err := a.Service.UpdateStaff(ctx, req.Id, req.Params.IfMatch, UpdateStaffInput{Name: req.Body.Name, Email: req.Body.Email, StoreID: req.Body.StoreId, Status: (*staff.Status)(req.Body.Status)})
	if err != nil {
		return nil, err
	}
	return identityapi.UpdateStaff200JSONResponse{Body: a.toAPIStaff(r), Headers: identityapi.UpdateStaff200ResponseHeaders{ETag: ref(etag.Of(r.Version))}}, nil
}

// DeleteStaff (DELETE /v1/staff/{id})
func (a API) DeleteStaff(ctx context.Context, req identityapi.DeleteStaffRequestObject) (identityapi.DeleteStaffResponseObject, error) {
	if err := a.Service.DeleteStaff(ctx, req.Id, req.Params.IfMatch); err != nil {
		return nil, err
	}
	return identityapi.DeleteStaff204Response{}, nil
}

// ResetStaffPassword (POST /v1/staff/{id}/password-reset)
func (a API) ResetStaffPassword(ctx context.Context, req identityapi.ResetStaffPasswordRequestObject) (identityapi.ResetStaffPasswordResponseObject, error) {
	initial, err := a.ResetPassword(ctx, req.Id, req.Body.Password)
	if err != nil {
		return nil, err
	}
	body := identityapi.ResetStaffPassword200JSONResponse{MustChangePassword: true}
	if initial != "" {
		body.InitialPassword = &initial
	}
	return body, nil
}

// RevokeStaffSessions (DELETE /v1/staff/{id}/sessions)
func (a API) RevokeStaffSessions(ctx context.Context, req identityapi.RevokeStaffSessionsRequestObject) (identityapi.RevokeStaffSessionsResponseObject, error) {
	if err := a.EndSessions(ctx, req.Id); err != nil {
		return nil, err
	}
	return identityapi.RevokeStaffSessions204Response{}, nil
}

// CreateGrant (POST /v1/staff/{id}/grants)
func (a API) CreateGrant(ctx context.Context, req identityapi.CreateGrantRequestObject) (identityapi.CreateGrantResponseObject, error) {
	r, err := a.Service.CreateGrant(ctx, req.Id, fromAPIGrant(*req.Body))
	if err != nil {
		return nil, err
	}
	return identityapi.CreateGrant201JSONResponse{Body: a.toAPIStaff(r),
		Headers: identityapi.CreateGrant201ResponseHeaders{ETag: ref(etag.Of(r.Version)), Location: ref("/v1/staff/" + r.ID.String())}}, nil
}

// DeleteGrant (DELETE /v1/staff/{id}/grants/{grant_id})
func (a API) DeleteGrant(ctx context.Context, req identityapi.DeleteGrantRequestObject) (identityapi.DeleteGrantResponseObject, error) {
	if err := a.Service.DeleteGrant(ctx, req.Id, req.GrantId); err != nil {
		return nil, err
	}
	return identityapi.DeleteGrant204Response{}, nil
}

func fromAPIGrant(g identityapi.GrantInput) GrantInput {
	return GrantInput{Role: g.Role, Scope: rolegrant.Scope(g.Scope), StoreID: g.StoreId, RegionID: g.RegionId, Merchant: g.MerchantId, ExpiresAt: g.ExpiresAt}
}

func (a API) toAPIStaff(r *platform.Staff) identityapi.Staff {
	out := identityapi.Staff{Id: r.ID, Username: r.Username, Name: r.Name, Email: orNullText(a.maskedEmail(r)), StoreId: opt.OrNull(r.StoreID), Status: identityapi.StaffStatus(r.Status),
		MustChangePassword: r.MustChangePassword, Grants: make([]identityapi.Grant, len(r.Edges.Grants)),
		Version: r.Version, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt}
	for i, g := range r.Edges.Grants {
		out.Grants[i] = identityapi.Grant{Id: g.ID, Role: g.Edges.Role.Code, Scope: identityapi.GrantScope(g.Scope), StoreId: opt.OrNull(g.StoreID),
			RegionId: opt.OrNull(g.RegionID), MerchantId: opt.OrNull(g.MerchantID), ExpiresAt: opt.OrNull(g.ExpiresAt), CreatedAt: g.CreatedAt}
	}
	return out
}

// ListDelegations (GET /v1/staff/{id}/delegations)
func (a API) ListDelegations(ctx context.Context, req identityapi.ListDelegationsRequestObject) (identityapi.ListDelegationsResponseObject, error) {
	held := req.Params.Held != nil && *req.Params.Held
	query := url.Values{}
	if held {
		query.Set("held", "true")
	}
	l := a.list("/v1/staff/"+req.Id.String()+"/delegations", req.Params.Limit, req.Params.Cursor, query)
	var at cursor
	if err := l.read(&at); err != nil {
		return nil, err
	}
	q, err := a.delegationsOf(ctx, req.Id, held)
	if err != nil {
		return nil, err
	}
	count, err := page.Total(ctx, req.Params.Include, q.Clone().Count)
	if err != nil {
		return nil, err
	}
	if at.ID != uuid.Nil {
		q.Where(delegation.IDLT(at.ID))
	}
	rows, err := q.Order(delegation.ByID(sqlDesc)).Limit(l.limit + 1).All(ctx)
	if err != nil {
		return nil, err
	}
	rows, more := page.Cut(rows, l.limit)
	body := identityapi.DelegationList{Items: make([]identityapi.Delegation, len(rows)), HasMore: more, TotalCount: count}
	now := a.Clock.Now()
	for i, r := range rows {
		body.Items[i] = toAPIDelegation(r, now)
	}
	next, link := l.next(more, func() cursor { return cursor{ID: rows[len(rows)-1].ID} })
	body.NextCursor = next
	return identityapi.ListDelegations200JSONResponse{Body: body, Headers: identityapi.ListDelegations200ResponseHeaders{Link: link}}, nil
}

// CreateDelegation (POST /v1/staff/{id}/delegations)
func (a API) CreateDelegation(ctx context.Context, req identityapi.CreateDelegationRequestObject) (identityapi.CreateDelegationResponseObject, error) {
	b := req.Body
	d, err := a.Delegate(ctx, req.Id, DelegateInput{To: b.ToStaffId, Starts: b.StartsAt, Ends: b.EndsAt, Reason: b.Reason})
	if err != nil {
		return nil, err
	}
	return identityapi.CreateDelegation201JSONResponse{Body: toAPIDelegation(d, a.Clock.Now()),
		Headers: identityapi.CreateDelegation201ResponseHeaders{Location: ref("/v1/staff/" + req.Id.String() + "/delegations")}}, nil
}

// EndDelegation (DELETE /v1/staff/{id}/delegations/{delegation_id})
func (a API) EndDelegation(ctx context.Context, req identityapi.EndDelegationRequestObject) (identityapi.EndDelegationResponseObject, error) {
	if err := a.Service.EndDelegation(ctx, req.Id, req.DelegationId); err != nil {
		return nil, err
	}
	return identityapi.EndDelegation204Response{}, nil
}

func toAPIDelegation(d *platform.Delegation, now time.Time) identityapi.Delegation {
	status := identityapi.DelegationActive
	switch {
	case d.Cancelled || !now.Before(d.EndsAt):
		status = identityapi.DelegationEnded
	case now.Before(d.StartsAt):
		status = identityapi.DelegationPlanned
	}
	return identityapi.Delegation{Id: d.ID, StaffId: d.StaffID, ToStaffId: d.ToStaffID, StartsAt: d.StartsAt, EndsAt: d.EndsAt, Status: status,
		Reason: d.Reason, CreatedBy: opt.OrNull(d.CreatedBy), CreatedAt: d.CreatedAt}
}

// ListSecurityAlerts (GET /v1/security-alerts)
func (a API) ListSecurityAlerts(ctx context.Context, req identityapi.ListSecurityAlertsRequestObject) (identityapi.ListSecurityAlertsResponseObject, error) {
	l := a.list("/v1/security-alerts", req.Params.Limit, req.Params.Cursor, nil)
	var at cursor
	if err := l.read(&at); err != nil {
		return nil, err
	}
	count, err := page.Total(ctx, req.Params.Include, a.countAlerts)
	if err != nil {
		return nil, err
	}
	rows, err := a.alerts(ctx, at.ID, l.limit+1)
	if err != nil {
		return nil, err
	}
	rows, more := page.Cut(rows, l.limit)
	body := identityapi.SecurityAlertList{Items: make([]identityapi.SecurityAlert, len(rows)), HasMore: more, TotalCount: count}
	for i, r := range rows {
		body.Items[i] = identityapi.SecurityAlert{Id: r.ID, Kind: r.Kind, PrincipalKind: identityapi.ActorKind(r.PrincipalKind), PrincipalId: r.PrincipalID,
			PrincipalName: r.PrincipalName, Count: r.Count, WindowMinutes: int32(alertWindow / time.Minute), CreatedAt: r.CreatedAt.UTC()}
	}
	next, link := l.next(more, func() cursor { return cursor{ID: rows[len(rows)-1].ID} })
	body.NextCursor = next
	return identityapi.ListSecurityAlerts200JSONResponse{Body: body, Headers: identityapi.ListSecurityAlerts200ResponseHeaders{Link: link}}, nil
}
