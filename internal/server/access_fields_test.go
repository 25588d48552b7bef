package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/testkit"
)

// TestFieldsByRole: nobody, whatever their role, sees a person in clear without
// asking for it, and cost prices need a permission of their own.
func TestFieldsByRole(t *testing.T) {
	w := newWorld(t)
	seesCost := map[string]bool{"administrator": true, "store_manager": true, "analyst": true, "inventory_clerk": true, "local": true}
	for _, column := range columns[:10] {
		c := &cell{world: w, actor: w.actors[column], object: "own"}
		b := c.buyer()
		answers := 0
		for _, r := range []*testkit.Response{
			c.do(http.MethodGet, "/v1/customers/"+b.id.String(), nil),
			c.do(http.MethodGet, "/v1/customers/"+b.id.String()+"/profile", nil),
			c.do(http.MethodGet, "/v1/customers?external_id="+b.external, nil),
			c.do(http.MethodPost, "/v1/customers/search", map[string]any{"name": b.name}),
			c.do(http.MethodPost, "/v1/customers/lookup", map[string]any{"phone": b.phone}),
		} {
			if r.Status != http.StatusOK {
				require.Equal(t, http.StatusForbidden, r.Status)
				continue
			}
			answers++
			require.Contains(t, string(r.Body), b.id.String())
			for _, clear := range []string{b.phone, "+86" + b.phone, b.name, b.email} {
				require.NotContains(t, string(r.Body), clear, column)
			}
		}
		if column != "inventory_clerk" && column != "auditor" {
			require.GreaterOrEqual(t, answers, 4, column)
		}
		for _, path := range []string{"/v1/variants/" + w.goods().variant.String(), "/v1/products/" + w.goods().product.String(), "/v1/variants?sku=" + w.goods().sku,
			"/v1/products/" + w.goods().product.String() + "/variants"} {
			if r := c.do(http.MethodGet, path, nil); r.Status == http.StatusOK {
				require.Equal(t, seesCost[column], strings.Contains(string(r.Body), `"cost_amount":400`), "%s as %s: %s", path, column, r.Body)
			}
		}
	}
}
