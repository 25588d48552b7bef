package customers

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	customersapi "github.com/shuke-crm/shuke/api/customers"
	"github.com/shuke-crm/shuke/internal/platform/pii"
)

// Pages written by hand say what the generated types say.
func TestPagesAreWrittenAsTheContractHasThem(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(0, 12, -1)
		maybe := func(name string) *string {
			if s := text.Draw(t, name); s != "" {
				return &s
			}
			return nil
		}
		at := time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "s"), rapid.Int64Range(0, 999999).Draw(t, "us")*1000).UTC()
		id := uuid.New()
		c := Customer{ID: id, ExternalID: maybe("external"), Gender: "male", Language: "en", Source: "web", LifecycleStage: "new", Version: 3, CreatedAt: at, UpdatedAt: at,
			Person: Person{Name: text.Draw(t, "name"), Phone: "+8613800138000", PhoneKind: "mobile", Email: text.Draw(t, "email") + "@x.cn", Card: text.Draw(t, "card")}}
		if rapid.Bool().Draw(t, "more") {
			c.Address = &Address{City: text.Draw(t, "city"), Line1: text.Draw(t, "line1"), Line2: text.Draw(t, "line2")}
			c.CustomFields = map[string]any{text.Draw(t, "key"): text.Draw(t, "value")}
			c.MarketingPreferences = map[string]bool{"sms": true}
			c.Tags = []string{text.Draw(t, "tag")}
			c.HomeStoreID, c.AssignedStaffID, c.ArchivedAt = &id, &id, &at
			day := at.Truncate(24 * time.Hour)
			c.BirthDate = &day
		}
		total := int64(7)
		for _, p := range []*Page{{Items: []Customer{c, c}, Next: "n", HasMore: true, Total: &total}, {}} {
			want, err := json.Marshal(toAPIList(p))
			require.NoError(t, err)
			assert.JSONEq(t, string(want), string(newListAnswer(p, "").body))
		}
	})
}

// toAPIList is a page in the generated types.
func toAPIList(p *Page) customersapi.CustomerList {
	out := customersapi.CustomerList{Items: make([]customersapi.Customer, len(p.Items)), HasMore: p.HasMore, NextCursor: orNull(p.Next), TotalCount: p.Total}
	for i := range p.Items {
		out.Items[i] = toAPICustomer(&p.Items[i])
	}
	return out
}

// The short way to mask mainland mobile numbers shows what the long way shows.
func TestShortMaskIsTheMask(t *testing.T) {
	for _, prefix := range []string{"130", "139", "147", "150", "166", "177", "186", "192", "199"} {
		p, err := pii.ParsePhone(prefix+"12345678", "")
		require.NoError(t, err)
		assert.Equal(t, pii.MaskPhone(p.E164), maskPhone(p.E164, string(p.Kind)))
	}
}
