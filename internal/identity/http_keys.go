package identity

import (
	"context"
	"net/url"
	"time"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	identityapi "github.com/shuke-crm/shuke/api/identity"
	"github.com/shuke-crm/shuke/ent/platform"
	"github.com/shuke-crm/shuke/ent/platform/apikey"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/opt"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// ListApiKeys (GET /v1/api-keys)
func (a API) ListApiKeys(ctx context.Context, req identityapi.ListApiKeysRequestObject) (identityapi.ListApiKeysResponseObject, error) {
	p := req.Params
	query := url.Values{}
	with(query, "status", p.Status)
	l := a.list("/v1/api-keys", p.Limit, p.Cursor, query)
	var at cursor
	if err := l.read(&at); err != nil {
		return nil, err
	}
	reachable, err := visibleKeys(ctx)
	if err != nil {
		return nil, err
	}
	now := a.Clock.Now()
	q := a.DB.From(ctx).Platform.APIKey.Query().Where(reachable...)
	if p.Status != nil {
		q.Where(keysIn(KeyStatus(*p.Status), now)...)
	}
	count, err := page.Total(ctx, p.Include, q.Clone().Count)
	if err != nil {
		return nil, err
	}
	if at.ID != uuid.Nil {
		q.Where(apikey.IDLT(at.ID))
	}
	rows, err := q.Order(apikey.ByID(sqlDesc)).Limit(l.limit + 1).All(ctx)
	if err != nil {
		return nil, err
	}
	rows, more := page.Cut(rows, l.limit)
	body := identityapi.ApiKeyList{Items: make([]identityapi.ApiKey, len(rows)), HasMore: more, TotalCount: count}
	for i, r := range rows {
		body.Items[i] = toAPIKey(r, now)
	}
	next, link := l.next(more, func() cursor { return cursor{ID: rows[len(rows)-1].ID} })
	body.NextCursor = next
	return identityapi.ListApiKeys200JSONResponse{Body: body, Headers: identityapi.ListApiKeys200ResponseHeaders{Link: link}}, nil
}

// CreateApiKey (POST /v1/api-keys)
func (a API) CreateApiKey(ctx context.Context, req identityapi.CreateApiKeyRequestObject) (identityapi.CreateApiKeyResponseObject, error) {
	b := req.Body
	in := CreateKeyInput{Name: b.Name, Permissions: b.Permissions, ExpiresAt: b.ExpiresAt, PerMinute: b.RequestsPerMinute}
	if b.AllowedIps != nil {
		in.AllowedIPs = *b.AllowedIps
	}
	if b.AllStores != nil {
		in.AllStores = *b.AllStores
	}
	if b.StoreIds != nil {
		in.StoreIDs = *b.StoreIds
	}
	r, key, err := a.CreateKey(ctx, in)
	if err != nil {
		return nil, err
	}
	body := toAPIKey(r, a.Clock.Now())
	body.Key = &key
	return identityapi.CreateApiKey201JSONResponse{Body: body,
		Headers: identityapi.CreateApiKey201ResponseHeaders{ETag: ref(etag.Of(r.Version)), Location: ref("/v1/api-keys/" + r.ID.String())}}, nil
}

// GetApiKey (GET /v1/api-keys/{id})
func (a API) GetApiKey(ctx context.Context, req identityapi.GetApiKeyRequestObject) (identityapi.GetApiKeyResponseObject, error) {
	reachable, err := visibleKeys(ctx)
	if err != nil {
		return nil, err
	}
	r, err := a.DB.From(ctx).Platform.APIKey.Query().Where(apikey.ID(req.Id)).Where(reachable...).Only(ctx)
	if err != nil {
		return nil, keyError(err)
	}
	return identityapi.GetApiKey200JSONResponse{Body: toAPIKey(r, a.Clock.Now()),
		Headers: identityapi.GetApiKey200ResponseHeaders{ETag: ref(etag.Of(r.Version))}}, nil
}

// UpdateApiKey (PATCH /v1/api-keys/{id})
func (a API) UpdateApiKey(ctx context.Context, req identityapi.UpdateApiKeyRequestObject) (identityapi.UpdateApiKeyResponseObject, error) {
	b := req.Body
	r, err := a.UpdateKey(ctx, req.Id, req.Params.IfMatch, UpdateKeyInput{Name: b.Name, ExpiresAt: b.ExpiresAt, AllowedIPs: b.AllowedIps,
		PerMinute: b.RequestsPerMinute, EndPrevious: b.EndPrevious != nil})
	if err != nil {
		return nil, err
	}
	return identityapi.UpdateApiKey200JSONResponse{Body: toAPIKey(r, a.Clock.Now()),
		Headers: identityapi.UpdateApiKey200ResponseHeaders{ETag: ref(etag.Of(r.Version))}}, nil
}

// RevokeApiKey (DELETE /v1/api-keys/{id})
func (a API) RevokeApiKey(ctx context.Context, req identityapi.RevokeApiKeyRequestObject) (identityapi.RevokeApiKeyResponseObject, error) {
	if err := a.RevokeKey(ctx, req.Id); err != nil {
		return nil, err
	}
	return identityapi.RevokeApiKey204Response{}, nil
}

// defaultGrace is how long a secret goes on after a rotation unless said otherwise.
const defaultGrace = 24 * time.Hour

// RotateApiKey (POST /v1/api-keys/{id}/rotate)
func (a API) RotateApiKey(ctx context.Context, req identityapi.RotateApiKeyRequestObject) (identityapi.RotateApiKeyResponseObject, error) {
	grace := defaultGrace
	if req.Body.GraceHours != nil {
		grace = time.Duration(*req.Body.GraceHours) * time.Hour
	}
	r, key, err := a.RotateKey(ctx, req.Id, grace)
	if err != nil {
		return nil, err
	}
	body := toAPIKey(r, a.Clock.Now())
	body.Key = &key
	return identityapi.RotateApiKey200JSONResponse{Body: body, Headers: identityapi.RotateApiKey200ResponseHeaders{ETag: ref(etag.Of(r.Version))}}, nil
}

func toAPIKey(r *platform.APIKey, now time.Time) identityapi.ApiKey {
	out := identityapi.ApiKey{Id: r.ID, Name: r.Name, KeyId: r.KeyID, Status: identityapi.ApiKeyStatus(statusOf(r, now)),
		Permissions: append([]string{}, r.Permissions...), AllStores: r.AllStores, StoreIds: append([]uuid.UUID{}, r.StoreIds...),
		AllowedIps: append([]string{}, r.AllowedIps...), RequestsPerMinute: nullable.NewNullNullable[int32](),
		CreatedBy: opt.OrNull(r.CreatedBy), ExpiresAt: opt.OrNull(r.ExpiresAt), LastUsedAt: opt.OrNull(r.LastUsedAt), LastUsedIp: orNullText(r.LastUsedIP),
		Secrets: []identityapi.ApiKeySecret{}, RevokedAt: opt.OrNull(r.RevokedAt), Version: r.Version, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt}
	if r.RequestsPerMinute != nil {
		out.RequestsPerMinute.Set(int32(*r.RequestsPerMinute))
	}
	if r.PreviousUsedAt != nil && (r.LastUsedAt == nil || r.PreviousUsedAt.After(*r.LastUsedAt)) {
		out.LastUsedAt, out.LastUsedIp = opt.OrNull(r.PreviousUsedAt), orNullText(r.PreviousUsedIP)
	}
	if statusOf(r, now) != KeyActive {
		return out
	}
	out.Secrets = append(out.Secrets, identityapi.ApiKeySecret{CreatedAt: madeAt(r), EndsAt: nullable.NewNullNullable[time.Time](),
		LastUsedAt: opt.OrNull(r.LastUsedAt), LastUsedIp: orNullText(r.LastUsedIP)})
	if previousLives(r, now) {
		out.Secrets = append(out.Secrets, identityapi.ApiKeySecret{CreatedAt: *r.PreviousCreatedAt, EndsAt: opt.OrNull(r.PreviousEndsAt),
			LastUsedAt: opt.OrNull(r.PreviousUsedAt), LastUsedIp: orNullText(r.PreviousUsedIP)})
	}
	return out
}

// CreateOAuthToken (POST /v1/oauth/token)
func (a API) CreateOAuthToken(ctx context.Context, req identityapi.CreateOAuthTokenRequestObject) (identityapi.CreateOAuthTokenResponseObject, error) {
	var in ExchangeInput
	if b := req.Body; b != nil {
		in = ExchangeInput{GrantType: deref(b.GrantType), ClientID: deref(b.ClientId), Secret: deref(b.ClientSecret), Scope: deref(b.Scope)}
	}
	t, err := a.Exchange(ctx, in)
	if err != nil {
		return nil, err
	}
	return identityapi.CreateOAuthToken200JSONResponse{
		Body:    identityapi.OAuthToken{AccessToken: t.Access, TokenType: identityapi.OAuthTokenBearer, ExpiresIn: int32(t.ExpiresIn.Seconds()), Scope: t.Scope},
		Headers: identityapi.CreateOAuthToken200ResponseHeaders{Pragma: ref("no-cache")}}, nil
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// GetOAuthMetadata (GET /.well-known/oauth-authorization-server)
func (a API) GetOAuthMetadata(context.Context, identityapi.GetOAuthMetadataRequestObject) (identityapi.GetOAuthMetadataResponseObject, error) {
	return identityapi.GetOAuthMetadata200JSONResponse{
		Issuer: a.PublicURL, TokenEndpoint: a.PublicURL + "/v1/oauth/token",
		TokenEndpointAuthMethodsSupported: []string{"client_secret_basic", "client_secret_post"},
		GrantTypesSupported:               []string{"client_credentials"}, ResponseTypesSupported: []string{},
		ScopesSupported: texts(auth.All()), ServiceDocumentation: a.PublicURL + "/docs",
	}, nil
}
