package member_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/api/client"
	"github.com/shuke-crm/shuke/internal/testkit"
)

// Members are held to the business's validation rules as staff are, and told so
// in their language; what only warns hinders nobody.
func TestMembersUnderValidationRules(t *testing.T) {
	w := newWorld(t, testkit.WithWorker())
	admin := w.Admin()
	m := w.wechat("o-rule", "u-rule")
	activate := func(code, severity, expression, pointer string) {
		var rule client.ValidationRule
		admin.Do(http.MethodPost, "/v1/validation-rules", object{"code": code, "severity": severity, "expression": expression, "pointer": pointer,
			"message": object{"en": "Members are adults.", "zh": "会员须年满 18 岁。"}}).Want(http.StatusCreated).JSON(&rule)
		path := "/v1/validation-rules/" + rule.Id.String()
		admin.Do(http.MethodPost, path+"/try", nil).Want(http.StatusAccepted)
		require.Eventually(t, func() bool {
			admin.Do(http.MethodGet, path, nil).Want(http.StatusOK).JSON(&rule)
			return rule.Tried
		}, 20*time.Second, 50*time.Millisecond)
		admin.Do(http.MethodPost, path+"/activate", nil).Want(http.StatusOK)
	}
	activate("adults", "error", `age == null || age >= 18`, "/birth_date")
	activate("male", "warning", `gender == "male"`, "/gender")

	r := m.do(http.MethodPatch, "/v1/member/profile", object{"birth_date": "2010-05-01"}, "Accept-Language", "zh-CN")
	r.WantProblem(http.StatusUnprocessableEntity, "validation_rules.broken", "/birth_date")
	assert.Contains(t, string(r.Body), "会员须年满 18 岁。")
	assert.True(t, m.profile().BirthDate.IsNull(), "nothing of it was kept")
	m.do(http.MethodPatch, "/v1/member/profile", object{"name": "李明", "gender": "female"}).Want(http.StatusOK)
	m.do(http.MethodPatch, "/v1/member/profile", object{"birth_date": "1990-05-01"}).Want(http.StatusOK)
	assert.Equal(t, "李明", m.profile().Name.MustGet())
	assert.Equal(t, 0, w.count("SELECT count(*) FROM customers WHERE birth_date > DATE '2008-07-01'"))
}
