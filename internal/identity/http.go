package identity

import (
	"context"
	"net/url"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	identityapi "github.com/shuke-crm/shuke/api/identity"
	"github.com/shuke-crm/shuke/ent/platform/staff"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// API answers the operations of identity.
type API struct{ *Service }

var _ identityapi.StrictServerInterface = API{}

// Login (POST /v1/auth/login)
func (a API) Login(ctx context.Context, req identityapi.LoginRequestObject) (identityapi.LoginResponseObject, error) {
	p, err := a.Service.Login(withDevice(ctx, req.Body.DeviceToken), req.Body.Username, req.Body.Password)
	if err != nil {
		return nil, err
	}
	return identityapi.Login200JSONResponse(toAPISignIn(p)), nil
}

// RefreshSession (POST /v1/auth/refresh)
func (a API) RefreshSession(ctx context.Context, req identityapi.RefreshSessionRequestObject) (identityapi.RefreshSessionResponseObject, error) {
	p, err := a.Refresh(ctx, req.Body.RefreshToken)
	if err != nil {
		return nil, err
	}
	return identityapi.RefreshSession200JSONResponse{AccessToken: p.Access, RefreshToken: p.Refresh, TokenType: identityapi.PairTokenBearer,
		ExpiresIn: int32(p.ExpiresIn.Seconds()), SessionId: p.SessionID}, nil
}

// Logout (POST /v1/auth/logout)
func (a API) Logout(ctx context.Context, _ identityapi.LogoutRequestObject) (identityapi.LogoutResponseObject, error) {
	if err := a.Service.Logout(ctx); err != nil {
		return nil, err
	}
	return identityapi.Logout204Response{}, nil
}

// ListSessions (GET /v1/auth/sessions)
func (a API) ListSessions(ctx context.Context, req identityapi.ListSessionsRequestObject) (identityapi.ListSessionsResponseObject, error) {
	l := a.list("/v1/auth/sessions", req.Params.Limit, req.Params.Cursor, nil)
	var at cursor
	if err := l.read(&at); err != nil {
		return nil, err
	}
	count, err := page.Total(ctx, req.Params.Include, a.countOwnSessions)
	if err != nil {
		return nil, err
	}
	rows, err := a.OwnSessions(ctx, at.ID, l.limit)
	if err != nil {
		return nil, err
	}
	rows, more := page.Cut(rows, l.limit)
	current := auth.Must(ctx).SessionID
	body := identityapi.SessionList{Items: make([]identityapi.Session, len(rows)), HasMore: more, TotalCount: count}
	for i, r := range rows {
		body.Items[i] = identityapi.Session{Id: r.ID, Current: r.ID == current, UserAgent: r.UserAgent, Device: deviceLabel(r.UserAgent), Ip: r.IP, Place: a.where(r.IP),
			CreatedAt: r.CreatedAt, LastUsedAt: r.LastUsedAt, ExpiresAt: r.ExpiresAt}
	}
	next, link := l.next(more, func() cursor { return cursor{ID: rows[len(rows)-1].ID} })
	body.NextCursor = next
	return identityapi.ListSessions200JSONResponse{Body: body, Headers: identityapi.ListSessions200ResponseHeaders{Link: link}}, nil
}

// RevokeOtherSessions (DELETE /v1/auth/sessions)
func (a API) RevokeOtherSessions(ctx context.Context, req identityapi.RevokeOtherSessionsRequestObject) (identityapi.RevokeOtherSessionsResponseObject, error) {
	if err := a.EndOwn(ctx, nil, kept(req.Params.All, auth.Must(ctx).SessionID), "ended_by_owner"); err != nil {
		return nil, err
	}
	return identityapi.RevokeOtherSessions204Response{}, nil
}

// RevokeSession (DELETE /v1/auth/sessions/{id})
func (a API) RevokeSession(ctx context.Context, req identityapi.RevokeSessionRequestObject) (identityapi.RevokeSessionResponseObject, error) {
	if err := a.EndOwn(ctx, &req.Id, uuid.Nil, "ended_by_owner"); err != nil {
		return nil, err
	}
	return identityapi.RevokeSession204Response{}, nil
}

// ChangePassword (POST /v1/auth/password)
func (a API) ChangePassword(ctx context.Context, req identityapi.ChangePasswordRequestObject) (identityapi.ChangePasswordResponseObject, error) {
	if err := a.Service.ChangePassword(ctx, req.Body.CurrentPassword, req.Body.NewPassword); err != nil {
		return nil, err
	}
	return identityapi.ChangePassword204Response{}, nil
}

// CreateStreamTicket (POST /v1/stream-tickets)
func (a API) CreateStreamTicket(ctx context.Context, req identityapi.CreateStreamTicketRequestObject) (identityapi.CreateStreamTicketResponseObject, error) {
	ticket, err := a.Service.CreateStreamTicket(ctx, req.Body.Path)
	if err != nil {
		return nil, err
	}
	return identityapi.CreateStreamTicket200JSONResponse{Ticket: ticket, ExpiresIn: int32(StreamTicketLife.Seconds())}, nil
}

// GetMe (GET /v1/me/staff)
func (a API) GetMe(ctx context.Context, _ identityapi.GetMeRequestObject) (identityapi.GetMeResponseObject, error) {
	actor := auth.Must(ctx)
	body := identityapi.GetMe200JSONResponse{Id: actor.ID, Kind: identityapi.ActorKind(actor.Kind), Name: actor.Name,
		Permissions: texts(actor.Permissions.List()), SessionId: nullable.NewNullNullable[uuid.UUID](), Staff: nullable.NewNullNullable[identityapi.Staff](),
		Scope: identityapi.ScopeView{AllStores: actor.Scope.All, StoreIds: append([]uuid.UUID{}, actor.Scope.StoreIDs...), Own: actor.Scope.Owns(actor.ID), StandsInFor: actor.StandsInFor()}}
	if actor.Kind != auth.KindStaff {
		return body, nil
	}
	body.SessionId.Set(actor.SessionID)
	// The own account, whatever the scope.
	own, err := staffWithGrants(a.DB.From(ctx).Platform.Staff.Query().Where(staff.ID(actor.ID))).Only(auth.System(ctx, "me"))
	if err != nil {
		return nil, err
	}
	body.Staff.Set(a.toAPIStaff(own))
	return body, nil
}

// cursor is the last row of a page: the sort value and the id.
type cursor struct {
	Text string    `json:"t,omitempty"`
	ID   uuid.UUID `json:"i,omitzero"`
}

// listing is a list as asked for: where its pages go on, and their links.
type listing struct {
	pages  *page.Codec
	path   string
	query  url.Values // filters and sort; they are part of the cursor's signature
	limit  int
	cursor *string
}

func (a API) list(path string, limit *int32, at *string, query url.Values) listing {
	return listing{pages: a.Pages, path: path, query: query, limit: page.Limit(limit), cursor: at}
}

func (l listing) name() string { return l.path + "?" + l.query.Encode() }

func (l listing) read(at *cursor) error {
	_, err := l.pages.Decode(l.name(), l.cursor, at)
	return err
}

// next makes the cursor and link of the page after this one.
func (l listing) next(more bool, last func() cursor) (nullable.Nullable[string], *string) {
	if !more {
		return nullable.NewNullNullable[string](), nil
	}
	text := l.pages.Encode(l.name(), last())
	link := page.Link(l.path, l.query, l.limit, text)
	return nullable.NewNullableWithValue(text), &link
}

// with adds a filter to a list's query if it is set.
func with[T ~string](q url.Values, name string, v *T) {
	if v != nil {
		q.Set(name, string(*v))
	}
}

func withID(q url.Values, name string, v *uuid.UUID) {
	if v != nil {
		q.Set(name, v.String())
	}
}

func texts[T ~string](in []T) []string {
	out := make([]string, len(in))
	for i, v := range in {
		out[i] = string(v)
	}
	return out
}

// orNullText is for columns that hold an empty text where nothing is known.
func orNullText(v string) nullable.Nullable[string] {
	if v == "" {
		return nullable.NewNullNullable[string]()
	}
	return nullable.NewNullableWithValue(v)
}

func ref[T any](v T) *T { return &v }
