package customers_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/api/client"
	"github.com/shuke-crm/shuke/internal/testkit"
)

func TestCustomersOverHTTP(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	store := app.Store()
	define(app, "size", "number", nil)
	define(app, "hat", "number", nil)

	made := admin.Do(http.MethodPost, "/v1/customers", map[string]any{
		"name": "欧阳小明", "phone": "138 0013 8000", "email": "li.ming@example.com", "card_number": "6688001234", "home_store_id": store.Id,
		"address": map[string]any{"city": "上海市", "line1": "南京东路123号"}, "tags": []string{"VIP"}, "custom_fields": map[string]any{"size": 42},
	}).Want(http.StatusCreated)
	var c client.Customer
	made.JSON(&c)
	path := "/v1/customers/" + c.Id.String()
	assert.Equal(t, path, made.Header.Get("Location"))
	assert.Equal(t, "欧阳**", c.Name.MustGet())
	assert.Equal(t, "138****8000", c.Phone.MustGet())
	assert.Equal(t, "6688001234", c.CardNumber.MustGet())
	for _, clear := range []string{"小明", "13800138000", "li.ming", "123号"} {
		assert.NotContains(t, string(made.Body), clear)
	}

	read := admin.Do(http.MethodGet, path, nil).Want(http.StatusOK)
	tag := read.Header.Get("ETag")
	require.NotEmpty(t, tag)
	admin.Do(http.MethodGet, path, nil, "If-None-Match", tag).Want(http.StatusNotModified)

	changed := admin.Do(http.MethodPatch, path, map[string]any{"email": nil, "custom_fields": map[string]any{"size": nil, "hat": 57}}, "If-Match", tag).Want(http.StatusOK)
	c = client.Customer{}
	changed.JSON(&c)
	assert.True(t, c.Email.IsNull())
	assert.Equal(t, map[string]any{"hat": 57.0}, map[string]any(c.CustomFields))
	admin.Do(http.MethodPatch, path, map[string]any{"gender": "male"}, "If-Match", tag).WantProblem(http.StatusPreconditionFailed, "request.version_mismatch")

	profile := admin.Do(http.MethodGet, path+"/profile", nil).Want(http.StatusOK)
	hot := admin.Do(http.MethodGet, path+"/profile", nil).Want(http.StatusOK)
	assert.Equal(t, string(profile.Body), string(hot.Body))
	assert.Equal(t, profile.Header.Get("ETag"), hot.Header.Get("ETag"))
	admin.Do(http.MethodGet, path+"/profile", nil, "If-None-Match", hot.Header.Get("ETag")).Want(http.StatusNotModified)

	var shown client.CustomerRevealed
	admin.Do(http.MethodPost, path+"/reveal", map[string]any{"fields": []string{"phone", "email"}, "reason": "来电核对"}).Want(http.StatusOK).JSON(&shown)
	assert.Equal(t, "+8613800138000", shown.Phone.MustGet())
	assert.True(t, shown.Email.IsNull(), "asked for, and not there")
	assert.False(t, shown.Name.IsSpecified(), "not asked for")

	var card client.CustomerCard
	app.Client("assistant", testkit.Own()).Do(http.MethodPost, "/v1/customers/lookup", map[string]any{"phone": "13800138000"}).Want(http.StatusOK).JSON(&card)
	assert.Equal(t, c.Id, card.Id)
	assert.Equal(t, "138****8000", card.Phone.MustGet())

	admin.Do(http.MethodDelete, path, nil).Want(http.StatusNoContent)
	admin.Do(http.MethodPatch, path, map[string]any{"gender": "male"}).WantProblem(http.StatusConflict, "customers.archived")
	admin.Do(http.MethodPost, path+"/restore", nil).Want(http.StatusOK)
}

func TestListsKeepPersonalValuesOutOfLinks(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	for range 3 {
		app.Customer(map[string]any{"name": "王小明"})
	}
	page := admin.Do(http.MethodGet, "/v1/customers?limit=2&lifecycle_stage=prospect&include=total_count", nil).Want(http.StatusOK)
	var list client.CustomerList
	page.JSON(&list)
	assert.True(t, list.HasMore)
	assert.Equal(t, int64(3), *list.TotalCount)
	link := page.Header.Get("Link")
	require.Contains(t, link, `rel="next"`)
	next := strings.TrimPrefix(strings.SplitN(link, ">", 2)[0], "<")
	admin.Do(http.MethodGet, next, nil).Want(http.StatusOK).JSON(&list)
	assert.Len(t, list.Items, 1)
	assert.False(t, list.HasMore)

	named := admin.Do(http.MethodGet, "/v1/customers?limit=2&name=wangxiao", nil).Want(http.StatusOK)
	assert.Empty(t, named.Header.Get("Link"))
	named.JSON(&list)
	require.True(t, list.HasMore)
	body := map[string]any{"name": "wangxiao", "limit": 2}
	admin.Do(http.MethodPost, "/v1/customers/search", body).Want(http.StatusOK).JSON(&list)
	body["cursor"] = list.NextCursor.MustGet()
	admin.Do(http.MethodPost, "/v1/customers/search", body).Want(http.StatusOK).JSON(&list)
	assert.Len(t, list.Items, 1)
	body["name"] = "wangda"
	admin.Do(http.MethodPost, "/v1/customers/search", body).WantProblem(http.StatusBadRequest, "request.bad_cursor")
	admin.Do(http.MethodPost, "/v1/customers/search", map[string]any{"name": "王"}).WantProblem(http.StatusUnprocessableEntity, "search.too_short")
}

func TestBadCustomersAreRefusedByName(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	held := app.Customer(map[string]any{"phone": "13900000001"})
	p := admin.Do(http.MethodPost, "/v1/customers", map[string]any{"phone": "+86 139 0000 0001"}).WantProblem(http.StatusConflict, "customers.duplicate")
	assert.Equal(t, "/phone", p.Errors[0].Pointer)
	res := admin.Do(http.MethodPost, "/v1/customers", map[string]any{"phone": "+86 139 0000 0001"})
	assert.Contains(t, string(res.Body), `"existing_id":"`+held.Id.String()+`"`)

	admin.Do(http.MethodPost, "/v1/customers", map[string]any{"phone": "12"}).WantProblem(http.StatusUnprocessableEntity, "customers.phone_invalid")
	admin.Do(http.MethodPost, "/v1/customers", map[string]any{"name": "李雷", "birth_date": "2999-01-01"}).WantProblem(http.StatusUnprocessableEntity, "customers.birth_date_invalid")
	admin.Do(http.MethodPost, "/v1/customers", map[string]any{"name": "李雷", "nickname": "x"}).Want(http.StatusUnprocessableEntity)
	admin.Do(http.MethodGet, "/v1/customers/"+uuid.NewString(), nil).WantProblem(http.StatusNotFound, "customers.not_found")
	admin.Do(http.MethodPost, "/v1/customers/lookup", map[string]any{"phone": "13900000001", "card_number": "1234"}).Want(http.StatusUnprocessableEntity)

	var out client.CustomerBulkResults
	admin.Do(http.MethodPost, "/v1/customers/bulk", map[string]any{"mode": "create", "items": []any{
		map[string]any{"name": "甲一", "phone": "13900000002"},
		map[string]any{"name": "乙二", "phone": "nonsense"},
		map[string]any{"name": "丙三", "birth_date": "31.12.1990"},
		map[string]any{"phone": "13900000001"},
	}}, "Accept-Language", "en").Want(http.StatusOK).JSON(&out)
	require.Len(t, out.Results, 4)
	assert.Equal(t, client.BulkItemCreated, out.Results[0].Status)
	assert.Equal(t, "/items/1/phone", out.Results[1].Error.Pointer)
	assert.Equal(t, "This is not a valid phone number.", out.Results[1].Error.Detail)
	assert.Equal(t, "/items/2/birth_date", out.Results[2].Error.Pointer)
	assert.Equal(t, held.Id, *out.Results[3].Error.ExistingId)
}

func TestManagersReadAndChangeNothing(t *testing.T) {
	app := testkit.New(t)
	here, there := app.Store(), app.Store()
	ours, theirs := app.Customer(map[string]any{"home_store_id": here.Id}), app.Customer(map[string]any{"home_store_id": there.Id})
	manager := app.Client("store_manager", testkit.InStore(here.Id))
	manager.Do(http.MethodGet, "/v1/customers/"+ours.Id.String(), nil).Want(http.StatusOK)
	manager.Do(http.MethodGet, "/v1/customers/"+ours.Id.String()+"/profile", nil).Want(http.StatusOK)
	for _, suffix := range []string{"", "/profile"} {
		manager.Do(http.MethodGet, "/v1/customers/"+theirs.Id.String()+suffix, nil).WantProblem(http.StatusNotFound, "customers.not_found")
	}
	manager.Do(http.MethodPatch, "/v1/customers/"+ours.Id.String(), map[string]any{"gender": "male"}).WantProblem(http.StatusForbidden, "auth.forbidden")
	manager.Do(http.MethodPost, "/v1/customers", map[string]any{"name": "李雷"}).WantProblem(http.StatusForbidden, "auth.forbidden")
	manager.Do(http.MethodPost, "/v1/customers/"+ours.Id.String()+"/reveal", map[string]any{"fields": []string{"phone"}, "reason": "看看"}).WantProblem(http.StatusForbidden, "auth.forbidden")
}

func TestMergingTags(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	customer := func(tags ...string) string {
		var c client.Customer
		admin.Do(http.MethodPost, "/v1/customers", map[string]any{"external_id": uuid.NewString(), "name": "李雷", "tags": tags}).Want(http.StatusCreated).JSON(&c)
		return "/v1/customers/" + c.Id.String()
	}
	tag := func(name string) (t client.Tag) {
		admin.Do(http.MethodPost, "/v1/tags", map[string]any{"name": name}).Want(http.StatusCreated).JSON(&t)
		return t
	}
	wrong, right, other := tag("爱读书"), tag("书迷"), tag("会员")
	both, one, none := customer("爱读书", "书迷", "会员"), customer("爱读书"), customer("会员")
	admin.Do(http.MethodGet, one+"/profile", nil).Want(http.StatusOK) // now hot
	path := "/v1/tags/" + wrong.Id.String() + "/merge"

	admin.Do(http.MethodPost, path, map[string]any{"into_tag_id": wrong.Id}).WantProblem(http.StatusUnprocessableEntity, "tags.into_invalid")
	admin.Do(http.MethodPost, path, map[string]any{"into_tag_id": uuid.New()}).WantProblem(http.StatusUnprocessableEntity, "tags.into_invalid")
	admin.Do(http.MethodPost, path, map[string]any{"into": right.Id}).Want(http.StatusUnprocessableEntity)
	app.Client("store_manager", testkit.All()).Do(http.MethodPost, path, map[string]any{"into_tag_id": right.Id}).Want(http.StatusForbidden)

	first := admin.Do(http.MethodPost, path, map[string]any{"into_tag_id": right.Id}, "Idempotency-Key", "merge-1").Want(http.StatusOK)
	var merged client.TagMerged
	first.JSON(&merged)
	assert.Equal(t, int64(2), merged.Customers)
	assert.Equal(t, right.Id, merged.Tag.Id)
	again := admin.Do(http.MethodPost, path, map[string]any{"into_tag_id": right.Id}, "Idempotency-Key", "merge-1").Want(http.StatusOK)
	assert.Equal(t, string(first.Body), string(again.Body))
	admin.Do(http.MethodPost, path, map[string]any{"into_tag_id": right.Id}).WantProblem(http.StatusNotFound, "tags.not_found")

	for path, want := range map[string][]string{both: {"书迷", "会员"}, one: {"书迷"}, none: {"会员"}} {
		var c client.Customer
		admin.Do(http.MethodGet, path, nil).Want(http.StatusOK).JSON(&c)
		assert.ElementsMatch(t, want, c.Tags)
	}
	assert.Contains(t, string(admin.Do(http.MethodGet, one+"/profile", nil).Want(http.StatusOK).Body), "书迷")
	admin.Do(http.MethodDelete, "/v1/tags/"+other.Id.String(), nil).WantProblem(http.StatusConflict, "tags.in_use")
}
