package server_test

import (
	"net/http"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/api/client"
)

// customField makes a field; more are further parts of its definition.
func (c *cell) customField(more map[string]any) client.CustomField {
	body := map[string]any{"key": "f" + c.word(""), "kind": "text", "labels": map[string]any{"en": "Field", "zh": "字段"}}
	for k, v := range more {
		body[k] = v
	}
	var f client.CustomField
	r := c.Admin().Do(http.MethodPost, "/v1/custom-fields", body)
	require.Equal(c.T, http.StatusCreated, r.Status, "%s", r.Body)
	r.JSON(&f)
	return f
}

// onField is a request about a field that is made for it.
func onField(method string, body any) probe {
	return func(c *cell) byte {
		id, headers := uuid.New(), []string{"If-Match", `"1"`}
		if c.object != "none" {
			id = c.customField(nil).Id
		}
		if method == http.MethodGet {
			headers = nil
		}
		return judge(c.do(method, "/v1/custom-fields/"+id.String(), body, headers...))
	}
}

var customFieldProbes = map[string]probe{
	"listCustomFields": plain(http.MethodGet, "/v1/custom-fields", nil),
	"getCustomField":   onField(http.MethodGet, nil),
	"getCustomField/restricted": func(c *cell) byte {
		f := once(c.world, "restricted field", func() client.CustomField { return c.customField(map[string]any{"visible_to": []string{"assistant"}}) })
		return judge(c.do(http.MethodGet, "/v1/custom-fields/"+f.Id.String(), nil))
	},
	"createCustomField": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/custom-fields", map[string]any{"key": "f" + c.word(""), "kind": "text", "labels": map[string]any{"en": "Field", "zh": "字段"}}))
	},
	"updateCustomField": onField(http.MethodPatch, map[string]any{"labels": map[string]any{"en": "Other", "zh": "其他"}}),
	"deleteCustomField": onField(http.MethodDelete, nil),
}
