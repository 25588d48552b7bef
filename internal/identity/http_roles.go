package identity

import (
	"context"
	"net/url"
	"strconv"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	identityapi "github.com/shuke-crm/shuke/api/identity"
	"github.com/shuke-crm/shuke/ent/platform"
	"github.com/shuke-crm/shuke/ent/platform/role"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// ListPermissions (GET /v1/permissions)
func (a API) ListPermissions(ctx context.Context, req identityapi.ListPermissionsRequestObject) (identityapi.ListPermissionsResponseObject, error) {
	l := a.list("/v1/permissions", req.Params.Limit, req.Params.Cursor, nil)
	var at cursor
	if err := l.read(&at); err != nil {
		return nil, err
	}
	opens := map[string][]identityapi.PermissionOperation{}
	if a.Operations != nil {
		for _, op := range a.Operations() {
			opens[op.Permission] = append(opens[op.Permission], identityapi.PermissionOperation{OperationId: op.ID, Method: op.Method, Path: op.Path, StepUp: op.StepUp})
		}
	}
	var all []identityapi.Permission
	passed := at.Text == ""
	for _, e := range auth.Catalogue {
		if passed {
			operations := opens[string(e.Permission)]
			if operations == nil {
				operations = []identityapi.PermissionOperation{}
			}
			all = append(all, identityapi.Permission{Permission: string(e.Permission), Description: identityapi.Bilingual{En: e.EN, Zh: e.ZH}, Operations: operations})
		}
		passed = passed || string(e.Permission) == at.Text
	}
	items, more := page.Cut(all, l.limit)
	next, link := l.next(more, func() cursor { return cursor{Text: items[len(items)-1].Permission} })
	if items == nil {
		items = []identityapi.Permission{}
	}
	count, err := page.Total(ctx, req.Params.Include, func(context.Context) (int, error) { return len(auth.Catalogue), nil })
	if err != nil {
		return nil, err
	}
	return identityapi.ListPermissions200JSONResponse{Body: identityapi.PermissionList{Items: items, HasMore: more, TotalCount: count, NextCursor: next},
		Headers: identityapi.ListPermissions200ResponseHeaders{Link: link}}, nil
}

// ListRoles (GET /v1/roles)
func (a API) ListRoles(ctx context.Context, req identityapi.ListRolesRequestObject) (identityapi.ListRolesResponseObject, error) {
	p := req.Params
	query := url.Values{}
	q := a.DB.From(ctx).Platform.Role.Query()
	if p.BuiltIn != nil {
		query.Set("built_in", strconv.FormatBool(*p.BuiltIn))
		q.Where(role.BuiltIn(*p.BuiltIn))
	}
	l := a.list("/v1/roles", p.Limit, p.Cursor, query)
	var at cursor
	if err := l.read(&at); err != nil {
		return nil, err
	}
	count, err := page.Total(ctx, p.Include, q.Clone().Count)
	if err != nil {
		return nil, err
	}
	if at.Text != "" {
		q.Where(role.CodeGT(at.Text))
	}
	rows, err := q.Order(role.ByCode()).Limit(l.limit + 1).All(ctx)
	if err != nil {
		return nil, err
	}
	rows, more := page.Cut(rows, l.limit)
	items, err := a.toAPIRoles(ctx, rows...)
	if err != nil {
		return nil, err
	}
	next, link := l.next(more, func() cursor { return cursor{Text: rows[len(rows)-1].Code} })
	return identityapi.ListRoles200JSONResponse{Body: identityapi.RoleList{Items: items, HasMore: more, TotalCount: count, NextCursor: next},
		Headers: identityapi.ListRoles200ResponseHeaders{Link: link}}, nil
}

// CreateRole (POST /v1/roles)
func (a API) CreateRole(ctx context.Context, req identityapi.CreateRoleRequestObject) (identityapi.CreateRoleResponseObject, error) {
	r, err := a.Service.CreateRole(ctx, req.Body.Code, req.Body.Name, req.Body.Permissions)
	if err != nil {
		return nil, err
	}
	items, err := a.toAPIRoles(ctx, r)
	if err != nil {
		return nil, err
	}
	return identityapi.CreateRole201JSONResponse{Body: items[0],
		Headers: identityapi.CreateRole201ResponseHeaders{ETag: ref(etag.Of(r.Version)), Location: ref("/v1/roles/" + r.ID.String())}}, nil
}

// GetRole (GET /v1/roles/{id})
func (a API) GetRole(ctx context.Context, req identityapi.GetRoleRequestObject) (identityapi.GetRoleResponseObject, error) {
	r, err := a.DB.From(ctx).Platform.Role.Get(ctx, req.Id)
	if err != nil {
		return nil, roleError(err)
	}
	items, err := a.toAPIRoles(ctx, r)
	if err != nil {
		return nil, err
	}
	return identityapi.GetRole200JSONResponse{Body: items[0], Headers: identityapi.GetRole200ResponseHeaders{ETag: ref(etag.Of(r.Version))}}, nil
}

// UpdateRole (PATCH /v1/roles/{id})
func (a API) UpdateRole(ctx context.Context, req identityapi.UpdateRoleRequestObject) (identityapi.UpdateRoleResponseObject, error) {
	r, err := a.Service.UpdateRole(ctx, req.Id, req.Params.IfMatch, req.Body.Name, req.Body.Permissions)
	if err != nil {
		return nil, err
	}
	items, err := a.toAPIRoles(ctx, r)
	if err != nil {
		return nil, err
	}
	return identityapi.UpdateRole200JSONResponse{Body: items[0], Headers: identityapi.UpdateRole200ResponseHeaders{ETag: ref(etag.Of(r.Version))}}, nil
}

// DeleteRole (DELETE /v1/roles/{id})
func (a API) DeleteRole(ctx context.Context, req identityapi.DeleteRoleRequestObject) (identityapi.DeleteRoleResponseObject, error) {
	if err := a.Service.DeleteRole(ctx, req.Id, req.Params.IfMatch); err != nil {
		return nil, err
	}
	return identityapi.DeleteRole204Response{}, nil
}

// toAPIRoles adds the number of holders to roles.
func (a API) toAPIRoles(ctx context.Context, rows ...*platform.Role) ([]identityapi.Role, error) {
	keys := make([]uuid.UUID, len(rows))
	for i, r := range rows {
		keys[i] = r.ID
	}
	counts, err := holderCounts(ctx, a.DB.From(ctx), keys)
	if err != nil {
		return nil, err
	}
	out := make([]identityapi.Role, len(rows))
	for i, r := range rows {
		out[i] = identityapi.Role{Id: r.ID, Code: r.Code, Name: r.Name, Names: nullable.NewNullNullable[identityapi.Bilingual](), BuiltIn: r.BuiltIn,
			Permissions: append([]string{}, r.Permissions...), StaffCount: counts[r.ID], Version: r.Version, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt}
		if en, zh, ok := builtInNames(r.Code); ok && r.BuiltIn {
			out[i].Names.Set(identityapi.Bilingual{En: en, Zh: zh})
		}
	}
	return out, nil
}
