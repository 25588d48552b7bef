package member_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/api/client"
)

// allow sets what members may do; what is not named has its default.
func (w *world) allow(access map[string]string) {
	w.T.Helper()
	admin := w.Admin()
	var now client.MemberFieldRules
	admin.Do(http.MethodGet, "/v1/member-field-rules", nil).Want(http.StatusOK).JSON(&now)
	fields := []object{}
	for field, a := range access {
		fields = append(fields, object{"field": field, "access": a})
	}
	admin.Do(http.MethodPut, "/v1/member-field-rules", object{"fields": fields}, "If-Match", fmt.Sprintf(`"%d"`, now.Version)).Want(http.StatusOK)
}

func (w *world) field(key string, more object) {
	w.T.Helper()
	in := object{"key": key, "kind": "text", "labels": object{"en": key, "zh": key}}
	for k, v := range more {
		in[k] = v
	}
	w.Admin().Do(http.MethodPost, "/v1/custom-fields", in).Want(http.StatusCreated)
}

func (m *member) refused(method, path string, body any, status int, code, pointer string) {
	m.w.T.Helper()
	p := m.do(method, path, body).WantProblem(status, code)
	if pointer != "" {
		require.Len(m.w.T, p.Errors, 1)
		assert.Equal(m.w.T, pointer, p.Errors[0].Pointer)
	}
}

func TestRulesForMembers(t *testing.T) {
	w := newWorld(t)
	for key, more := range map[string]object{"shoe": nil, "vip_note": nil, "secret": {"personal": true}, "inside": {"visible_to": []string{"marketer"}},
		"code": {"validation": object{"pattern": "[A-Z]+"}}} {
		w.field(key, more)
	}
	m := w.sms("13800001111", "a")
	admin := w.Admin()
	const profile = "/v1/member/profile"

	// Without rules: custom fields are hidden, the rest is theirs.
	m.refused(http.MethodPatch, profile, object{"custom_fields": object{"shoe": "42"}}, http.StatusForbidden, "member.field_read_only", "/custom_fields/shoe")
	m.do(http.MethodPatch, profile, object{"name": "李雷", "email": "li@example.com", "birth_date": "1990-05-01"}).Want(http.StatusOK)
	m.refused(http.MethodPatch, profile, object{"birth_date": "1990-05-02"}, http.StatusConflict, "member.birth_date_set", "/birth_date")
	m.do(http.MethodPatch, profile, object{"birth_date": "1990-05-01", "language": "en"}).Want(http.StatusOK)

	w.allow(map[string]string{"name": "read_only", "email": "once", "gender": "hidden", "birth_date": "editable", "card_number": "hidden",
		"custom_fields.shoe": "editable", "custom_fields.vip_note": "read_only", "custom_fields.secret": "once", "custom_fields.code": "editable"})
	m.refused(http.MethodPatch, profile, object{"name": "王伟"}, http.StatusForbidden, "member.field_read_only", "/name")
	m.do(http.MethodPatch, profile, object{"name": "李雷"}).Want(http.StatusOK)
	m.refused(http.MethodPatch, profile, object{"email": "other@example.com"}, http.StatusForbidden, "member.field_given_once", "/email")
	m.refused(http.MethodPatch, profile, object{"email": nil}, http.StatusForbidden, "member.field_given_once", "/email")
	m.refused(http.MethodPatch, profile, object{"gender": "unknown"}, http.StatusForbidden, "member.field_read_only", "/gender")
	m.do(http.MethodPatch, profile, object{"birth_date": "1990-05-02"}).Want(http.StatusOK)
	m.refused(http.MethodPatch, profile, object{"birth_date": "2020-05-02"}, http.StatusUnprocessableEntity, "member.guardian_consent_needed", "/birth_date")
	m.do(http.MethodPatch, profile, object{"custom_fields": object{"shoe": "42", "secret": "给女儿的"}}).Want(http.StatusOK)
	m.refused(http.MethodPatch, profile, object{"custom_fields": object{"secret": "改"}}, http.StatusForbidden, "member.field_given_once", "/custom_fields/secret")
	m.refused(http.MethodPatch, profile, object{"custom_fields": object{"vip_note": "x"}}, http.StatusForbidden, "member.field_read_only", "/custom_fields/vip_note")
	m.refused(http.MethodPatch, profile, object{"custom_fields": object{"inside": "x"}}, http.StatusUnprocessableEntity, "request.invalid", "")
	m.refused(http.MethodPatch, profile, object{"custom_fields": object{"code": "ab"}}, http.StatusUnprocessableEntity, "custom_fields.pattern_mismatch", "/custom_fields/code")
	several := m.do(http.MethodPatch, profile, object{"name": "王伟", "email": nil}).WantProblem(http.StatusUnprocessableEntity, "request.invalid")
	assert.Len(t, several.Errors, 2)

	admin.Do(http.MethodPatch, "/v1/customers/"+m.CustomerId.String(), object{"custom_fields": object{"vip_note": "常客", "inside": "毛利高"}, "gender": "male", "card_number": "CARD01"}).Want(http.StatusOK)
	shown := m.do(http.MethodGet, profile, nil).Want(http.StatusOK).Map()
	assert.Equal(t, map[string]any{"shoe": "42", "vip_note": "常客", "secret": "给女儿的"}, shown["custom_fields"], "in clear, and only what is shown")
	assert.Equal(t, "unknown", shown["gender"])
	assert.Nil(t, shown["card_number"])
	access := map[string]any{}
	for _, f := range shown["field_access"].([]any) {
		access[f.(map[string]any)["field"].(string)] = f.(map[string]any)["access"]
	}
	assert.Equal(t, "read_only", access["name"])
	assert.Equal(t, "once", access["custom_fields.secret"])
	assert.NotContains(t, access, "gender")
	assert.NotContains(t, access, "custom_fields.inside")

	// A rule of validation holds for members too.
	var rule client.ValidationRule
	admin.Do(http.MethodPost, "/v1/validation-rules", object{"code": "no_clowns", "severity": "error", "expression": `custom.shoe != "99"`, "pointer": "/custom_fields/shoe",
		"message": object{"en": "no", "zh": "不行"}}).Want(http.StatusCreated).JSON(&rule)
	_, err := w.DB.Exec(t.Context(), "UPDATE validation_rules SET active = TRUE WHERE id = $1", rule.Id)
	require.NoError(t, err)
	_, err = w.DB.Exec(t.Context(), "UPDATE definition_revisions SET revision = revision + 1 WHERE name = 'validation_rules'")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return m.do(http.MethodPatch, profile, object{"custom_fields": object{"shoe": "99"}}).Status == http.StatusUnprocessableEntity
	}, 5e9, 1e8)
	m.do(http.MethodPatch, profile, object{"custom_fields": object{"shoe": "42"}}).Want(http.StatusOK) // one before the rule was seen may have been written

	// Addresses and family.
	address := object{"recipient_name": "李雷", "address": object{"city": "上海市", "line1": "南京东路1号"}}
	var home client.CustomerAddress
	m.do(http.MethodPost, "/v1/member/addresses", address).Want(http.StatusCreated).JSON(&home)
	assert.True(t, home.IsDefault)
	assert.Equal(t, "李雷", home.RecipientName.MustGet(), "in clear")
	assert.Equal(t, "南京东路1号", *m.profile().Address.MustGet().Line1)
	var child client.FamilyMember
	m.do(http.MethodPost, "/v1/member/family-members", object{"relation": "child", "name": "小宝", "birth_date": "2020-01-01"}).Want(http.StatusCreated).JSON(&child)
	assert.Equal(t, "小宝", child.Name.MustGet())
	assert.Equal(t, "2020-01-01", child.BirthDate.MustGet().String())
	m.do(http.MethodPatch, "/v1/member/family-members/"+child.Id.String(), object{"name": "大宝"}, "If-Match", `"1"`).Want(http.StatusOK)

	w.allow(map[string]string{"address": "once", "family_members": "read_only"})
	m.do(http.MethodPost, "/v1/member/addresses", address).Want(http.StatusCreated)
	address["is_default"] = true
	m.refused(http.MethodPost, "/v1/member/addresses", address, http.StatusForbidden, "member.field_given_once", "")
	m.refused(http.MethodPatch, "/v1/member/addresses/"+home.Id.String(), object{"label": "家"}, http.StatusForbidden, "member.field_given_once", "")
	m.refused(http.MethodPatch, profile, object{"address": object{"city": "杭州市"}}, http.StatusForbidden, "member.field_given_once", "/address")
	m.refused(http.MethodDelete, "/v1/member/addresses/"+home.Id.String(), nil, http.StatusForbidden, "member.field_given_once", "")
	m.refused(http.MethodPost, "/v1/member/family-members", object{"relation": "spouse"}, http.StatusForbidden, "member.field_read_only", "")
	m.refused(http.MethodDelete, "/v1/member/family-members/"+child.Id.String(), nil, http.StatusForbidden, "member.field_read_only", "")
	m.do(http.MethodGet, "/v1/member/family-members/"+child.Id.String(), nil).Want(http.StatusOK)

	w.allow(map[string]string{"address": "hidden", "family_members": "hidden"})
	assert.True(t, m.profile().Address.IsNull())
	for _, path := range []string{"/v1/member/addresses", "/v1/member/family-members"} {
		assert.Empty(t, m.do(http.MethodGet, path, nil).Want(http.StatusOK).Map()["items"])
	}
	m.do(http.MethodGet, "/v1/member/addresses/"+home.Id.String(), nil).Want(http.StatusNotFound)
	m.do(http.MethodGet, "/v1/member/family-members/"+child.Id.String(), nil).Want(http.StatusNotFound)

	// Nobody reaches another member's.
	w.allow(nil)
	other := w.sms("13800002222", "b")
	for _, path := range []string{"/v1/member/addresses/" + home.Id.String(), "/v1/member/family-members/" + child.Id.String()} {
		other.do(http.MethodGet, path, nil).Want(http.StatusNotFound)
		other.do(http.MethodPatch, path, object{"label": "x"}).Want(map[bool]int{true: http.StatusNotFound, false: http.StatusUnprocessableEntity}[path[:21] == "/v1/member/addresses/"])
		other.do(http.MethodDelete, path, nil).Want(http.StatusNotFound)
		m.do(http.MethodDelete, path, nil).Want(http.StatusNoContent)
	}
}

func TestMemberPreferencesAreMerged(t *testing.T) {
	w := newWorld(t)
	m := w.sms("13800001111", "a")
	var p client.MemberPreferences
	m.do(http.MethodPatch, "/v1/member/preferences", object{"preferences": object{"genre": "history", "size": 42}, "marketing_preferences": object{"sms": true, "email": true}}).Want(http.StatusOK)
	m.do(http.MethodPatch, "/v1/member/preferences", object{"preferences": object{"size": nil, "format": "paper"}, "marketing_preferences": object{"sms": false, "email": nil}}).
		Want(http.StatusOK).JSON(&p)
	assert.Equal(t, client.CustomerPreferences{"genre": "history", "format": "paper"}, p.Preferences)
	assert.Equal(t, client.MarketingPreferences{"sms": false}, p.MarketingPreferences)
	m.do(http.MethodPatch, "/v1/member/preferences", object{"marketing_preferences": object{"sms": true}}, "If-Match", `"1"`).WantProblem(http.StatusPreconditionFailed, "request.version_mismatch")
	w.allow(map[string]string{"preferences": "read_only"})
	m.refused(http.MethodPatch, "/v1/member/preferences", object{"preferences": object{"genre": "poetry"}}, http.StatusForbidden, "member.field_read_only", "/preferences")
	m.do(http.MethodPatch, "/v1/member/preferences", object{"marketing_preferences": object{"sms": true}}).Want(http.StatusOK)
}

func TestRulesForMembersAreChecked(t *testing.T) {
	w := newWorld(t)
	w.field("inside", object{"visible_to": []string{"marketer"}})
	w.field("known", object{"editable_by": []string{"marketer"}})
	admin := w.Admin()
	put := func(status int, code, pointer string, fields ...object) {
		t.Helper()
		p := admin.Do(http.MethodPut, "/v1/member-field-rules", object{"fields": fields}, "If-Match", `"1"`).WantProblem(status, code)
		if pointer != "" {
			require.Len(t, p.Errors, 1)
			assert.Equal(t, pointer, p.Errors[0].Pointer)
		}
	}
	put(422, "member_rules.field_invalid", "/fields/0/field", object{"field": "phone", "access": "editable"})
	put(422, "member_rules.field_invalid", "/fields/0/field", object{"field": "custom_fields." + uuid.NewString(), "access": "editable"})
	put(422, "member_rules.field_invalid", "/fields/1/field", object{"field": "name", "access": "once"}, object{"field": "name", "access": "editable"})
	put(422, "member_rules.access_invalid", "/fields/0/access", object{"field": "card_number", "access": "editable"})
	put(422, "member_rules.access_invalid", "/fields/0/access", object{"field": "marketing_preferences", "access": "hidden"})
	put(422, "member_rules.access_invalid", "/fields/0/access", object{"field": "custom_fields.inside", "access": "read_only"})
	put(422, "member_rules.access_invalid", "/fields/0/access", object{"field": "custom_fields.known", "access": "editable"})
	admin.Do(http.MethodPut, "/v1/member-field-rules", object{"fields": []object{}}).WantProblem(http.StatusPreconditionRequired, "request.version_required")
	admin.Do(http.MethodPut, "/v1/member-field-rules", object{"fields": []object{}}, "If-Match", `"7"`).WantProblem(http.StatusPreconditionFailed, "request.version_mismatch")
	var set client.MemberFieldRules
	admin.Do(http.MethodPut, "/v1/member-field-rules", object{"fields": []object{{"field": "custom_fields.known", "access": "read_only"}}}, "If-Match", `"1"`).Want(http.StatusOK).JSON(&set)
	assert.EqualValues(t, 2, set.Version)
	assert.Contains(t, set.Fields, client.MemberFieldAccess{Field: "custom_fields.known", Access: "read_only"})
	assert.Contains(t, set.Fields, client.MemberFieldAccess{Field: "birth_date", Access: "once"})
	assert.Equal(t, 1, w.count(`SELECT count(*) FROM audit_logs WHERE action = 'member_field_rules.update'`))
}

func TestMembersOwnWordsAreTheirs(t *testing.T) {
	w := newWorld(t)
	m := w.sms("13800001111", "a")
	m.do(http.MethodPatch, "/v1/member/profile", object{"name": "李雷"}).Want(http.StatusOK)
	var p client.CustomerProvenance
	w.Admin().Do(http.MethodGet, "/v1/customers/"+m.CustomerId.String()+"/provenance", nil).Want(http.StatusOK).JSON(&p)
	found := map[string]client.FieldProvenance{}
	for _, f := range p.Fields {
		found[f.Field] = f
	}
	for _, field := range []string{"phone", "name"} {
		assert.Equal(t, "member", found[field].CollectedByKind.MustGet(), field)
		assert.Equal(t, m.CustomerId, found[field].CollectedById.MustGet(), field)
	}
	assert.True(t, found["phone"].ConsentShown, "they agreed to the terms")
	assert.Equal(t, "member", found["name"].Channel)
}
