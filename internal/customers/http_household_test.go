package customers_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/api/client"
	"github.com/shuke-crm/shuke/internal/testkit"
)

func addressesOf(app *testkit.App, path string) (out []client.CustomerAddress) {
	app.T.Helper()
	var list client.CustomerAddressList
	app.Admin().Do(http.MethodGet, path+"/addresses?include=total_count", nil).Want(http.StatusOK).JSON(&list)
	require.EqualValues(app.T, len(list.Items), *list.TotalCount)
	return list.Items
}

func TestTheDefaultAddressIsTheRecords(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	c := app.Customer(body{"name": "李雷", "address": body{"city": "上海市", "line1": "南京东路100号"}})
	path := "/v1/customers/" + c.Id.String()

	// What came with the record is the default one.
	all := addressesOf(app, path)
	require.Len(t, all, 1)
	first := all[0]
	assert.True(t, first.IsDefault)
	assert.Equal(t, "上海市", *first.Address.City)
	assert.NotContains(t, *first.Address.Line1, "100号")
	assert.NotEqual(t, c.Id, first.Id)

	// A second one beside it, with a recipient; sent twice, it is there once.
	in := body{"label": " 公司 ", "recipient_name": "韩梅梅", "recipient_phone": "13800001111", "address": body{"city": "杭州市", "line1": "文三路9号"}}
	var second, again client.CustomerAddress
	key := []string{"Idempotency-Key", uuid.NewString()}
	r := admin.Do(http.MethodPost, path+"/addresses", in, key...).Want(http.StatusCreated)
	r.JSON(&second)
	assert.Equal(t, path+"/addresses/"+second.Id.String(), r.Header.Get("Location"))
	admin.Do(http.MethodPost, path+"/addresses", in, key...).Want(http.StatusCreated).JSON(&again)
	assert.Equal(t, second, again)
	assert.False(t, second.IsDefault)
	assert.Equal(t, "公司", second.Label.MustGet())
	assert.Equal(t, "韩**", second.RecipientName.MustGet())
	assert.Equal(t, "138****1111", second.RecipientPhone.MustGet())
	require.Len(t, addressesOf(app, path), 2)

	// It becomes the default: the record says so, the first one is still there.
	at := path + "/addresses/" + second.Id.String()
	admin.Do(http.MethodPatch, at, body{"is_default": true}, "If-Match", `"99"`).WantProblem(http.StatusPreconditionFailed, "request.version_mismatch")
	admin.Do(http.MethodPatch, at, body{"is_default": true, "label": nil}, "If-Match", fmt.Sprintf(`"%d"`, second.Version)).Want(http.StatusOK).JSON(&second)
	assert.True(t, second.IsDefault)
	assert.True(t, second.Label.IsNull())
	var now client.Customer
	admin.Do(http.MethodGet, path, nil).Want(http.StatusOK).JSON(&now)
	assert.Equal(t, "杭州市", *now.Address.MustGet().City)
	all = addressesOf(app, path)
	require.Len(t, all, 2)
	assert.Equal(t, first.Id, all[0].Id)
	assert.False(t, all[0].IsDefault)
	assert.Equal(t, "上海市", *all[0].Address.City)
	admin.Do(http.MethodPatch, at, body{"is_default": false}).WantProblem(http.StatusUnprocessableEntity, "customers.address_default")

	// A change of the record changes the default and leaves its recipient.
	admin.Do(http.MethodPatch, path, body{"address": body{"city": "苏州市", "line1": "观前街1号"}}).Want(http.StatusOK)
	admin.Do(http.MethodGet, at, nil).Want(http.StatusOK).JSON(&second)
	assert.Equal(t, "苏州市", *second.Address.City)
	assert.Equal(t, "韩**", second.RecipientName.MustGet())

	// In clear on request only; the audit log knows.
	revealed := admin.Do(http.MethodPost, path+"/reveal", body{"fields": []any{"addresses"}, "reason": "寄送核对"}).Want(http.StatusOK)
	assert.Contains(t, string(revealed.Body), "南京东路100号")
	assert.Contains(t, string(revealed.Body), "+8613800001111")
	assert.Contains(t, string(revealed.Body), "韩梅梅")

	// Nothing of it is in the database in clear.
	var raw string
	require.NoError(t, app.DB.QueryRow(t.Context(), `SELECT (SELECT string_agg(a::text, '') FROM customer_addresses a) || (SELECT string_agg(c::text, '') FROM customers c)
		|| coalesce((SELECT string_agg(e::text, '') FROM outbox_events e), '') || (SELECT string_agg(l::text, '') FROM audit_logs l)`).Scan(&raw))
	for _, secret := range []string{"观前街", "南京东路", "韩梅梅", "13800001111"} {
		assert.NotContains(t, raw, secret)
	}

	// Bad ones name the place.
	for pointer, bad := range map[string]struct {
		in   body
		code string
	}{
		"/address":         {body{"address": body{}}, "customers.address_empty"},
		"/recipient_phone": {body{"address": body{"city": "杭州市"}, "recipient_phone": "12"}, "customers.phone_invalid"},
		"/recipient_name":  {body{"address": body{"city": "杭州市"}, "recipient_name": "123"}, "customers.name_invalid"},
		"/label":           {body{"address": body{"city": "杭州市"}, "label": "a\nb"}, "customers.value_invalid"},
	} {
		p := admin.Do(http.MethodPost, path+"/addresses", bad.in).WantProblem(http.StatusUnprocessableEntity, bad.code)
		require.Len(t, p.Errors, 1)
		assert.Equal(t, pointer, p.Errors[0].Pointer)
	}

	// Taking the default away leaves the record without one; the next first one is the default again.
	admin.Do(http.MethodDelete, at, nil).Want(http.StatusNoContent)
	admin.Do(http.MethodGet, path, nil).Want(http.StatusOK).JSON(&now)
	assert.True(t, now.Address.IsNull())
	admin.Do(http.MethodPatch, path+"/addresses/"+first.Id.String(), body{"is_default": true}).Want(http.StatusOK)
	admin.Do(http.MethodGet, path, nil).Want(http.StatusOK).JSON(&now)
	assert.Equal(t, "上海市", *now.Address.MustGet().City)

	// Another customer's address is none of this one's, and there is an end to them.
	other := app.Customer(body{"name": "王伟"})
	admin.Do(http.MethodGet, "/v1/customers/"+other.Id.String()+"/addresses/"+first.Id.String(), nil).WantProblem(http.StatusNotFound, "customers.address_not_found")
	for range 19 {
		admin.Do(http.MethodPost, path+"/addresses", in).Want(http.StatusCreated)
	}
	admin.Do(http.MethodPost, path+"/addresses", in).WantProblem(http.StatusUnprocessableEntity, "customers.too_many_addresses")
	admin.Do(http.MethodPost, path+"/archive", nil).Want(http.StatusOK)
	admin.Do(http.MethodDelete, path+"/addresses/"+first.Id.String(), nil).WantProblem(http.StatusConflict, "customers.archived")
}

// An address sealed before addresses had ids goes by the customer's id until it
// is written anew.
func TestAddressesFromBeforeIds(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	c := app.Customer(body{"name": "李雷", "address": body{"city": "上海市"}})
	path := "/v1/customers/" + c.Id.String()
	var wrapped []byte
	require.NoError(t, app.DB.QueryRow(t.Context(), "SELECT data_key FROM customers WHERE id = $1", c.Id).Scan(&wrapped))
	key, err := app.Keys.UnwrapDataKey(c.Id, wrapped)
	require.NoError(t, err)
	_, err = app.DB.Exec(t.Context(), "UPDATE customers SET address_sealed = $2 WHERE id = $1", c.Id, key.Seal("customers", "address", c.Id, []byte(`{"city":"南京市"}`)))
	require.NoError(t, err)
	all := addressesOf(app, path)
	require.Len(t, all, 1)
	assert.Equal(t, c.Id, all[0].Id)
	admin.Do(http.MethodPost, path+"/addresses", body{"is_default": true, "address": body{"city": "杭州市"}}).Want(http.StatusCreated)
	all = addressesOf(app, path)
	require.Len(t, all, 2)
	for _, a := range all {
		assert.NotEqual(t, c.Id, a.Id)
		assert.Equal(t, *a.Address.City == "杭州市", a.IsDefault)
	}
}

func TestFamily(t *testing.T) {
	app := testkit.New(t, testkit.At(time.Date(2026, 2, 28, 2, 0, 0, 0, time.UTC)))
	admin := app.Admin()
	c := app.Customer(body{"name": "李雷"})
	path := "/v1/customers/" + c.Id.String() + "/family-members"
	in := body{"relation": "child", "name": "李小红", "gender": "female", "birth_date": "2020-02-29", "notes": "对花生过敏",
		"sizes": body{"top": body{"value": " 120 ", "system": "cn"}, "shoe": body{"value": "29", "system": "eu"}}}
	var child client.FamilyMember
	r := admin.Do(http.MethodPost, path, in).Want(http.StatusCreated)
	r.JSON(&child)
	at := path + "/" + child.Id.String()
	assert.Equal(t, at, r.Header.Get("Location"))
	assert.Equal(t, "李**", child.Name.MustGet())
	assert.Equal(t, "***", child.Notes.MustGet())
	assert.True(t, child.BirthDate.IsNull())
	assert.EqualValues(t, 5, child.Age.MustGet(), "born on 29 February: six on 1 March")
	assert.Equal(t, client.Sizes{"top": {Value: "120", System: "cn"}, "shoe": {Value: "29", System: "eu"}}, child.Sizes)
	child = client.FamilyMember{} // what is decoded into a map is added to it
	admin.Do(http.MethodPatch, at, body{"sizes": body{"top": body{"value": "130", "system": "cn"}, "shoe": nil}, "notes": nil}, "If-Match", `"1"`).Want(http.StatusOK).JSON(&child)
	assert.Equal(t, client.Sizes{"top": {Value: "130", System: "cn"}}, child.Sizes)
	assert.EqualValues(t, 2, child.Version)
	admin.Do(http.MethodPatch, at, body{"relation": "other"}, "If-Match", `"1"`).WantProblem(http.StatusPreconditionFailed, "request.version_mismatch")
	admin.Do(http.MethodPatch, at, body{"relation": "child"}).Want(http.StatusOK).JSON(&child)
	assert.EqualValues(t, 2, child.Version, "nothing was different")

	for pointer, bad := range map[string]struct {
		in   body
		code string
	}{
		"/birth_date":      {body{"relation": "child", "birth_date": "2030-01-01"}, "customers.birth_date_invalid"},
		"/sizes/tail":      {body{"relation": "child", "sizes": body{"tail": body{"value": "1", "system": "cn"}}}, "customers.size_unknown"},
		"/sizes/top/value": {body{"relation": "child", "sizes": body{"top": body{"value": "a\tb", "system": "cn"}}}, "customers.value_invalid"},
	} {
		p := admin.Do(http.MethodPost, path, bad.in).WantProblem(http.StatusUnprocessableEntity, bad.code)
		require.Len(t, p.Errors, 1)
		assert.Equal(t, pointer, p.Errors[0].Pointer)
	}
	admin.Do(http.MethodPost, path, body{"relation": "cousin"}).Want(http.StatusUnprocessableEntity)

	revealed := admin.Do(http.MethodPost, "/v1/customers/"+c.Id.String()+"/reveal", body{"fields": []any{"family_members"}, "reason": "生日礼品"}).Want(http.StatusOK)
	assert.Contains(t, string(revealed.Body), "李小红")
	assert.Contains(t, string(revealed.Body), "2020-02-29")
	var raw string
	require.NoError(t, app.DB.QueryRow(t.Context(), `SELECT (SELECT string_agg(f::text, '') FROM family_members f) || (SELECT string_agg(l::text, '') FROM audit_logs l)`).Scan(&raw))
	for _, secret := range []string{"李小红", "2020-02-29", "花生"} {
		assert.NotContains(t, raw, secret)
	}

	for range 19 {
		admin.Do(http.MethodPost, path, body{"relation": "sibling"}).Want(http.StatusCreated)
	}
	admin.Do(http.MethodPost, path, in).WantProblem(http.StatusUnprocessableEntity, "customers.too_many_family_members")
	var page client.FamilyMemberList
	admin.Do(http.MethodGet, path+"?limit=15&include=total_count", nil).Want(http.StatusOK).JSON(&page)
	require.Len(t, page.Items, 15)
	assert.EqualValues(t, 20, *page.TotalCount)
	admin.Do(http.MethodGet, path+"?limit=15&cursor="+page.NextCursor.MustGet(), nil).Want(http.StatusOK).JSON(&page)
	assert.Len(t, page.Items, 5)
	admin.Do(http.MethodDelete, at, nil).Want(http.StatusNoContent)
	admin.Do(http.MethodGet, at, nil).WantProblem(http.StatusNotFound, "customers.family_member_not_found")

	// A new assistant and store take the family along.
	store := app.Store()
	ann := app.Staff("assistant", testkit.Own(), body{"store_id": store.Id})
	admin.Do(http.MethodPatch, "/v1/customers/"+c.Id.String(), body{"home_store_id": store.Id, "assigned_staff_id": ann.Id}).Want(http.StatusOK)
	var elsewhere int
	require.NoError(t, app.DB.QueryRow(t.Context(), "SELECT count(*) FROM family_members WHERE store_id IS DISTINCT FROM $1 OR assigned_staff_id IS DISTINCT FROM $2", store.Id, ann.Id).Scan(&elsewhere))
	assert.Zero(t, elsewhere)
}

// Both had an address: the one that is not taken is kept beside the other, and
// goes with the undoing.
func TestMergeKeepsBothAddresses(t *testing.T) {
	for _, side := range []string{"survivor", "merged"} {
		t.Run(side, func(t *testing.T) {
			w := newPairWorld(t)
			w.admin.Do(http.MethodPatch, "/v1/customers/"+w.one.Id.String(), body{"address": body{"city": "苏州市", "line1": "观前街1号"}}).Want(http.StatusOK)
			before := checksums(t, w.App)
			m := w.merge(body{"address": side})
			all := addressesOf(w.App, "/v1/customers/"+w.one.Id.String())
			require.Len(t, all, 3)
			cities := map[string]bool{}
			for _, a := range all {
				cities[*a.Address.City] = a.IsDefault
			}
			assert.Equal(t, map[string]bool{"苏州市": side == "survivor", "上海市": side == "merged", "杭州市": false}, cities)
			var family client.FamilyMemberList
			w.admin.Do(http.MethodGet, "/v1/customers/"+w.other.Id.String()+"/family-members", nil).Want(http.StatusOK).JSON(&family)
			assert.Len(t, family.Items, 2, "by the old id too")
			w.undo(m.Id)
			assert.Equal(t, before, checksums(t, w.App))
		})
	}
	// Changed since, it stays with the survivor.
	w := newPairWorld(t)
	w.admin.Do(http.MethodPatch, "/v1/customers/"+w.one.Id.String(), body{"address": body{"city": "苏州市"}}).Want(http.StatusOK)
	m := w.merge(body{"address": "survivor"})
	for _, a := range addressesOf(w.App, "/v1/customers/"+w.one.Id.String()) {
		if *a.Address.City == "上海市" {
			w.admin.Do(http.MethodPatch, "/v1/customers/"+w.one.Id.String()+"/addresses/"+a.Id.String(), body{"label": "老家"}).Want(http.StatusOK)
		}
	}
	w.undo(m.Id)
	assert.Len(t, addressesOf(w.App, "/v1/customers/"+w.one.Id.String()), 2)
	assert.Len(t, addressesOf(w.App, "/v1/customers/"+w.other.Id.String()), 2)
}
