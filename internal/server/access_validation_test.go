package server_test

import (
	"net/http"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/api/client"
)

func (c *cell) newRule() map[string]any {
	return map[string]any{"code": "r" + c.word(""), "severity": "warning", "expression": "true", "message": map[string]any{"en": "Rule", "zh": "规则"}}
}

// onRule is a request about a rule that is made for it.
func onRule(method, suffix string, body any, headers ...string) probe {
	return func(c *cell) byte {
		id := uuid.New()
		if c.object != "none" {
			id = c.rule()
		}
		return judge(c.do(method, "/v1/validation-rules/"+id.String()+suffix, body, headers...))
	}
}

// rule makes a rule that counts as tried: the access table has no worker.
func (c *cell) rule() uuid.UUID {
	r := c.Admin().Do(http.MethodPost, "/v1/validation-rules", c.newRule())
	require.Equal(c.T, http.StatusCreated, r.Status, "%s", r.Body)
	var made client.ValidationRule
	r.JSON(&made)
	c.exec(`UPDATE validation_rules SET trial = '{"revision": 1, "samples": []}' WHERE id = $1`, made.Id)
	return made.Id
}

var validationProbes = map[string]probe{
	"listValidationRules": plain(http.MethodGet, "/v1/validation-rules", nil),
	"getValidationRule":   onRule(http.MethodGet, "", nil),
	"createValidationRule": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/validation-rules", c.newRule()))
	},
	"updateValidationRule":     onRule(http.MethodPatch, "", map[string]any{"severity": "error"}, "If-Match", `"1"`),
	"deleteValidationRule":     onRule(http.MethodDelete, "", nil, "If-Match", `"1"`),
	"tryValidationRule":        onRule(http.MethodPost, "/try", nil),
	"activateValidationRule":   onRule(http.MethodPost, "/activate", nil),
	"deactivateValidationRule": onRule(http.MethodPost, "/deactivate", nil),
}
