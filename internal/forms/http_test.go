package forms_test

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

type body = map[string]any

func field(key, kind, target string, more ...body) body {
	f := body{"key": key, "kind": kind, "label": body{"zh-CN": key, "en": key}}
	if target != "" {
		f["target"] = target
	}
	for _, m := range more {
		for k, v := range m {
			f[k] = v
		}
	}
	return f
}

func definition(onMatch string) body {
	return body{
		"fields": []any{
			field("name", "customer_field", "name", body{"required": true}),
			field("mobile", "customer_field", "phone", body{"help": body{"zh-CN": "仅用于会员服务"}}),
			field("card", "customer_field", "card_number"),
			field("born", "customer_field", "birth_date"),
			field("home", "customer_field", "address"),
			field("shoe", "custom_field", "shoe_size"),
			field("how", "question", "", body{"answer": "choice", "choices": []string{"friend", "street"}}),
			field("more", "question", "", body{"answer": "multi_choice", "choices": []string{"a", "b"}}),
			field("words", "question", "", body{"answer": "text"}),
		},
		"consents": []any{body{"purpose": "marketing", "required": true}},
		"match_by": []string{"card_number", "phone"}, "on_match": onMatch,
	}
}

// published is a form that asks.
func published(app *testkit.App, code string, d body) client.Form {
	app.T.Helper()
	admin := app.Admin()
	var f client.Form
	admin.Do(http.MethodPost, "/v1/forms", body{"code": code, "title": body{"zh-CN": "登记"}, "channel": "tablet", "definition": d}).Want(http.StatusCreated).JSON(&f)
	admin.Do(http.MethodPost, "/v1/forms/"+f.Id.String()+"/publish", nil).Want(http.StatusOK).JSON(&f)
	return f
}

func world(t *testing.T) *testkit.App {
	app := testkit.New(t, testkit.At(time.Date(2026, 7, 1, 2, 0, 0, 0, time.UTC)))
	app.Admin().Do(http.MethodPost, "/v1/custom-fields", body{"key": "shoe_size", "kind": "number", "labels": body{"en": "s", "zh": "鞋"}, "validation": body{"min": 15, "max": 55}}).Want(http.StatusCreated)
	return app
}

var agreed = []any{body{"purpose": "marketing", "text_version": 1}}

func TestAFormMakesAndChangesCustomers(t *testing.T) {
	app := world(t)
	admin := app.Admin()
	f := published(app, "new_member", definition("update"))
	at := "/v1/forms/" + f.Id.String() + "/submissions"
	store := app.Store()
	in := body{"form_version": 1, "home_store_id": store.Id, "consents": agreed, "answers": body{"name": "李雷", "mobile": "138 0000 1111", "born": "1990-05-17", "shoe": 42, "how": "friend",
		"home": body{"city": "上海市", "line1": "南京东路100号"}, "words": "喜欢安静的角落"}}
	var sub, again client.FormSubmission
	key := []string{"Idempotency-Key", uuid.NewString()}
	admin.Do(http.MethodPost, at, in, key...).Want(http.StatusCreated).JSON(&sub)
	admin.Do(http.MethodPost, at, in, key...).Want(http.StatusCreated).JSON(&again)
	assert.Equal(t, sub, again)
	assert.EqualValues(t, "created", sub.Outcome)
	assert.EqualValues(t, 1, sub.FormVersion)
	var c client.Customer
	path := "/v1/customers/" + sub.CustomerId.String()
	admin.Do(http.MethodGet, path, nil).Want(http.StatusOK).JSON(&c)
	assert.Equal(t, "138****1111", c.Phone.MustGet())
	assert.Equal(t, "tablet", c.Source)
	assert.Equal(t, store.Id, c.HomeStoreId.MustGet())
	assert.EqualValues(t, 42, c.CustomFields["shoe_size"])

	// Where it came from, and what was agreed to.
	var p client.CustomerProvenance
	admin.Do(http.MethodGet, path+"/provenance", nil).Want(http.StatusOK).JSON(&p)
	for _, one := range p.Fields {
		if one.Field == "phone" {
			assert.Equal(t, "tablet", one.Channel)
			assert.Equal(t, sub.Id, one.FormSubmissionId.MustGet())
			assert.True(t, one.ConsentShown)
		}
	}
	var channel string
	var version int
	require.NoError(t, app.DB.QueryRow(t.Context(), "SELECT channel, text_version FROM consents WHERE customer_id = $1 AND purpose = 'marketing' AND withdrawn_at IS NULL", sub.CustomerId).Scan(&channel, &version))
	assert.Equal(t, "tablet", channel)
	assert.Equal(t, 1, version)

	// The same person once more: found by the phone in another spelling, and changed.
	admin.Do(http.MethodPost, at, body{"consents": agreed, "answers": body{"name": "李大雷", "mobile": "+8613800001111", "card": "88001234"}}).Want(http.StatusCreated).JSON(&again)
	assert.EqualValues(t, "updated", again.Outcome)
	assert.Equal(t, sub.CustomerId, again.CustomerId)
	admin.Do(http.MethodGet, path, nil).Want(http.StatusOK).JSON(&c)
	assert.Equal(t, "李**", c.Name.MustGet())
	assert.Equal(t, "88001234", c.CardNumber.MustGet())

	// What was handed in, the newest first; answers only on request, and sealed.
	var list client.FormSubmissionList
	admin.Do(http.MethodGet, at+"?limit=1&include=total_count", nil).Want(http.StatusOK).JSON(&list)
	assert.Equal(t, again.Id, list.Items[0].Id)
	assert.EqualValues(t, 2, *list.TotalCount)
	admin.Do(http.MethodGet, at+"?limit=1&cursor="+list.NextCursor.MustGet(), nil).Want(http.StatusOK).JSON(&list)
	assert.Equal(t, sub.Id, list.Items[0].Id)
	shown := admin.Do(http.MethodPost, at+"/"+sub.Id.String()+"/reveal", body{"reason": "回访核对"}).Want(http.StatusOK).Map()
	assert.Equal(t, in["answers"].(body)["words"], shown["answers"].(map[string]any)["words"])
	var raw string
	require.NoError(t, app.DB.QueryRow(t.Context(), `SELECT (SELECT string_agg(s::text, '') FROM form_submissions s) || (SELECT string_agg(l::text, '') FROM audit_logs l) || (SELECT string_agg(o::text, '') FROM outbox_events o)`).Scan(&raw))
	for _, secret := range []string{"李雷", "安静", "南京东路", "1111", "88001234"} {
		assert.NotContains(t, raw, secret)
	}

	// Faults name the answer, and nothing is left of them.
	before := count(app, "customers") + count(app, "form_submissions")
	for pointer, bad := range map[string]struct {
		in   body
		code string
	}{
		"/answers/name":   {body{"consents": agreed, "answers": body{"mobile": "13800002222"}}, "forms.answer_required"},
		"/answers/mobile": {body{"consents": agreed, "answers": body{"name": "韩梅", "mobile": "12"}}, "customers.phone_invalid"},
		"/answers/shoe":   {body{"consents": agreed, "answers": body{"name": "韩梅", "shoe": 99}}, "custom_fields.out_of_range"},
		"/answers/how":    {body{"consents": agreed, "answers": body{"name": "韩梅", "how": "tv"}}, "forms.answer_invalid"},
		"/answers/more":   {body{"consents": agreed, "answers": body{"name": "韩梅", "more": []any{"a", "c"}}}, "forms.answer_invalid"},
		"/answers/home":   {body{"consents": agreed, "answers": body{"name": "韩梅", "home": "上海"}}, "forms.answer_invalid"},
		"/answers/hat":    {body{"consents": agreed, "answers": body{"name": "韩梅", "hat": 1}}, "forms.answer_unknown"},
		"/consents":       {body{"answers": body{"name": "韩梅"}}, "forms.consent_required"},
		"/consents/0/text_version": {body{"consents": []any{body{"purpose": "marketing", "text_version": 9}}, "answers": body{"name": "韩梅"}},
			"member.text_version"},
		"/consents/1/purpose": {body{"consents": append(agreed[:1:1], body{"purpose": "profiling", "text_version": 1}), "answers": body{"name": "韩梅"}}, "forms.consent_unknown"},
	} {
		p := admin.Do(http.MethodPost, at, bad.in).WantProblem(http.StatusUnprocessableEntity, bad.code)
		require.Len(t, p.Errors, 1, pointer)
		assert.Equal(t, pointer, p.Errors[0].Pointer)
	}
	assert.Equal(t, before, count(app, "customers")+count(app, "form_submissions"))
}

func count(app *testkit.App, table string) (n int) {
	app.T.Helper()
	require.NoError(app.T, app.DB.QueryRow(app.T.Context(), "SELECT count(*) FROM "+table).Scan(&n))
	return n
}

func TestWhatBecomesOfKnownCustomers(t *testing.T) {
	app := world(t)
	admin := app.Admin()
	c := app.Customer(body{"name": "李雷", "phone": "13800001111", "custom_fields": body{"shoe_size": 40}})
	answers := body{"consents": agreed, "answers": body{"name": "王伟", "mobile": "13800001111", "shoe": 42, "born": "1990-05-17"}}

	fills := published(app, "fills", definition("fill_empty"))
	admin.Do(http.MethodPost, "/v1/forms/"+fills.Id.String()+"/submissions", answers).Want(http.StatusCreated)
	var now client.Customer
	admin.Do(http.MethodGet, "/v1/customers/"+c.Id.String(), nil).Want(http.StatusOK).JSON(&now)
	assert.Equal(t, c.Name, now.Name)
	assert.EqualValues(t, 40, now.CustomFields["shoe_size"])
	assert.Equal(t, "1990-05-17", now.BirthDate.MustGet().String())

	refuses := published(app, "refuses", definition("refuse"))
	r := admin.Do(http.MethodPost, "/v1/forms/"+refuses.Id.String()+"/submissions", answers)
	r.WantProblem(http.StatusConflict, "forms.known_already")
	assert.Equal(t, c.Id.String(), r.Map()["existing_id"])

	// An archived customer is not changed by a form.
	admin.Do(http.MethodPost, "/v1/customers/"+c.Id.String()+"/archive", nil).Want(http.StatusOK)
	admin.Do(http.MethodPost, "/v1/forms/"+fills.Id.String()+"/submissions", answers).WantProblem(http.StatusConflict, "customers.archived")
}

func TestVersionsOfForms(t *testing.T) {
	app := world(t)
	admin := app.Admin()
	var f client.Form
	admin.Do(http.MethodPost, "/v1/forms", body{"code": "visit", "title": body{"en": "Visit"}, "definition": definition("update")}).Want(http.StatusCreated).JSON(&f)
	at := "/v1/forms/" + f.Id.String()
	assert.EqualValues(t, "draft", f.Status)
	answers := body{"consents": agreed, "answers": body{"name": "李雷"}}
	admin.Do(http.MethodPost, at+"/submissions", answers).WantProblem(http.StatusConflict, "forms.not_published")
	admin.Do(http.MethodPost, "/v1/forms", body{"code": "visit", "title": body{"en": "Visit"}, "definition": definition("update")}).WantProblem(http.StatusConflict, "forms.duplicate")
	admin.Do(http.MethodPost, at+"/publish", nil, "If-Match", `"1"`).Want(http.StatusOK).JSON(&f)
	assert.EqualValues(t, 1, f.PublishedVersion.MustGet())

	// A change of the draft is not asked until it is published.
	short := body{"fields": []any{field("nick", "customer_field", "name", body{"required": true})}, "match_by": []string{}, "on_match": "update"}
	admin.Do(http.MethodPatch, at, body{"definition": short}, "If-Match", `"1"`).WantProblem(http.StatusPreconditionFailed, "request.version_mismatch")
	admin.Do(http.MethodPatch, at, body{"definition": short}, "If-Match", fmt.Sprintf(`"%d"`, f.Version)).Want(http.StatusOK).JSON(&f)
	assert.Len(t, f.Definition.Fields, 1)
	assert.Len(t, f.Published.MustGet().Fields, 9)
	admin.Do(http.MethodPost, at+"/submissions", answers).Want(http.StatusCreated)
	admin.Do(http.MethodPost, at+"/publish", nil).Want(http.StatusOK)
	answers["form_version"] = 1
	r := admin.Do(http.MethodPost, at+"/submissions", answers)
	r.WantProblem(http.StatusConflict, "forms.version_changed")
	var sub client.FormSubmission
	admin.Do(http.MethodPost, at+"/submissions", body{"form_version": 2, "answers": body{"nick": "韩梅"}}).Want(http.StatusCreated).JSON(&sub)
	assert.EqualValues(t, 2, sub.FormVersion)
	admin.Do(http.MethodPost, at+"/archive", nil).Want(http.StatusOK)

	// What was asked stays to be seen, the latest first.
	var asked client.FormVersionList
	admin.Do(http.MethodGet, at+"/versions?limit=1&include=total_count", nil).Want(http.StatusOK).JSON(&asked)
	assert.EqualValues(t, 2, *asked.TotalCount)
	assert.EqualValues(t, 2, asked.Items[0].Number)
	assert.Len(t, asked.Items[0].Definition.Fields, 1)
	admin.Do(http.MethodGet, at+"/versions?limit=1&cursor="+asked.NextCursor.MustGet(), nil).Want(http.StatusOK).JSON(&asked)
	assert.EqualValues(t, 1, asked.Items[0].Number)
	assert.Len(t, asked.Items[0].Definition.Fields, 9)
	assert.False(t, asked.HasMore)
	admin.Do(http.MethodGet, "/v1/forms/"+uuid.NewString()+"/versions", nil).WantProblem(http.StatusNotFound, "forms.not_found")
	admin.Do(http.MethodPost, at+"/submissions", body{"answers": body{"nick": "韩梅"}}).WantProblem(http.StatusConflict, "forms.not_published")

	for pointer, bad := range map[string]body{
		"/definition/fields/0/target":    {"fields": []any{field("a", "customer_field", "tags")}, "match_by": []string{}, "on_match": "update"},
		"/definition/fields/1/target":    {"fields": []any{field("a", "customer_field", "name"), field("b", "custom_field", "hat")}, "match_by": []string{}, "on_match": "update"},
		"/definition/fields/1/key":       {"fields": []any{field("a", "customer_field", "name"), field("a", "customer_field", "phone")}, "match_by": []string{}, "on_match": "update"},
		"/definition/fields/0":           {"fields": []any{field("a", "question", "", body{"answer": "choice"})}, "match_by": []string{}, "on_match": "update"},
		"/definition/match_by/0":         {"fields": []any{field("a", "customer_field", "name")}, "match_by": []string{"phone"}, "on_match": "update"},
		"/definition/consents/1/purpose": {"fields": []any{field("a", "customer_field", "name")}, "match_by": []string{}, "on_match": "update", "consents": []any{body{"purpose": "marketing"}, body{"purpose": "marketing"}}},
	} {
		p := admin.Do(http.MethodPost, "/v1/forms", body{"code": "bad", "title": body{"en": "x"}, "definition": bad}).WantProblem(http.StatusUnprocessableEntity, "forms.definition_invalid")
		require.Len(t, p.Errors, 1, pointer)
		assert.Equal(t, pointer, p.Errors[0].Pointer)
	}
}

func TestMembersHandInTheirOwn(t *testing.T) {
	app := world(t)
	admin := app.Admin()
	hidden := published(app, "inside", definition("update"))
	open := published(app, "tastes", body{"for_members": true, "fields": []any{
		field("name", "customer_field", "name"), field("shoe", "custom_field", "shoe_size"), field("how", "question", "", body{"answer": "text"}),
		field("mobile", "customer_field", "phone"),
	}, "match_by": []string{"phone"}, "on_match": "update"})
	var sent client.MemberCodeSent
	app.Do(http.MethodPost, "/v1/member/auth/sms-codes", body{"phone": "13800001111", "purpose": "sign_in", "device_id": "device-a"}).Want(http.StatusOK).JSON(&sent)
	var tokens client.MemberTokens
	app.Do(http.MethodPost, "/v1/member/auth/sms", body{"challenge_id": sent.ChallengeId, "phone": "13800001111", "code": app.Outside.SMSCode("+8613800001111"), "device_id": "device-a",
		"consent": body{"text_version": 1}}).Want(http.StatusOK).JSON(&tokens)
	as := []string{"Authorization", "Bearer " + tokens.AccessToken}
	var list client.MemberFormList
	app.Do(http.MethodGet, "/v1/member/forms?include=total_count", nil, as...).Want(http.StatusOK).JSON(&list)
	require.Len(t, list.Items, 1)
	assert.Equal(t, open.Id, list.Items[0].Id)
	at := "/v1/member/forms/" + open.Id.String() + "/submissions"
	app.Do(http.MethodPost, "/v1/member/forms/"+hidden.Id.String()+"/submissions", body{"consents": agreed, "answers": body{"name": "李雷"}}, as...).WantProblem(http.StatusNotFound, "forms.not_found")

	// The rules for members hold, and the answer is named.
	p := app.Do(http.MethodPost, at, body{"answers": body{"shoe": 42}}, as...).WantProblem(http.StatusForbidden, "member.field_read_only")
	require.Len(t, p.Errors, 1)
	assert.Equal(t, "/answers/shoe", p.Errors[0].Pointer)
	app.Do(http.MethodPost, at, body{"answers": body{"mobile": "13900009999"}}, as...).WantProblem(http.StatusForbidden, "member.field_read_only")
	admin.Do(http.MethodPut, "/v1/member-field-rules", body{"fields": []any{body{"field": "custom_fields.shoe_size", "access": "once"}}}, "If-Match", "*").Want(http.StatusOK)
	var sub client.FormSubmission
	app.Do(http.MethodPost, at, body{"answers": body{"name": "李雷", "shoe": 42, "how": "朋友推荐"}}, as...).Want(http.StatusOK).JSON(&sub)
	assert.Equal(t, tokens.CustomerId, sub.CustomerId)
	assert.EqualValues(t, "member", sub.SubmittedByKind)
	app.Do(http.MethodPost, at, body{"answers": body{"shoe": 43}}, as...).WantProblem(http.StatusForbidden, "member.field_given_once")
	assert.Equal(t, 1, count(app, "form_submissions"))
	var c client.Customer
	admin.Do(http.MethodGet, "/v1/customers/"+tokens.CustomerId.String(), nil).Want(http.StatusOK).JSON(&c)
	assert.EqualValues(t, 42, c.CustomFields["shoe_size"])
}
