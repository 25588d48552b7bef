package server_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// staying are tables of customers whose rows do not follow when two are merged,
// each with the reason.
var staying = map[string]string{
	"customer_days":              "summed anew from orders and returns (segments.Follower)",
	"customer_metrics":           "summed anew from orders and returns (segments.Follower)",
	"customer_lifecycle_changes": "the stages of each record are its own; the timeline of the survivor shows both",
	"customer_field_values":      "derived from customers.custom_fields by a trigger",
	"customer_merges":            "the record of merges",
	"customers":                  "merged_into_id: the merge itself",
	"duplicate_candidates":       "copied to the survivor, and back (customers.followPairs)",
	"member_exchanges":           "codes of some minutes; dropped with the sessions (member.Follower)",
	"member_sessions":            "ended (member.Follower)",
	"memberships":                "what follows from the facts of each record; reviewed after a merge (membership.Follower)",
	"customer_quality":           "not counted while archived, by a trigger; judged anew (analytics)",
}

// TestMergesForgetNoTable fails when a table that holds something of customers
// is not known to merging: whoever adds one says what becomes of its rows.
func TestMergesForgetNoTable(t *testing.T) {
	w := newWorld(t)
	rows, err := w.DB.Query(w.ctx, `
		SELECT c.relname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
		WHERE a.attname = 'customer_id' AND c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace AND NOT a.attisdropped
		UNION
		SELECT conrelid::regclass::text FROM pg_constraint WHERE contype = 'f' AND confrelid = 'public.customers'::regclass`)
	require.NoError(t, err)
	var found []string
	for rows.Next() {
		var name string
		require.NoError(t, rows.Scan(&name))
		found = append(found, name)
	}
	require.NoError(t, rows.Err())
	require.NoError(t, rows.Close())
	followed := w.Server.Customers.Followed()
	for _, name := range found {
		if !slices.Contains(followed, name) && staying[name] == "" {
			t.Errorf("%s holds what belongs to customers: let it follow merges (customers.Belonging) or say in staying why not", name)
		}
	}
	for name := range staying {
		require.Contains(t, found, name)
		require.NotContains(t, followed, name)
	}
	for _, name := range followed {
		require.Contains(t, found, name)
	}
}

// TestOldIdsLeadToTheSurvivor reads below the id of a merged customer; changes
// are refused.
func TestOldIdsLeadToTheSurvivor(t *testing.T) {
	w := newWorld(t)
	one, other, third := w.customer(w.a, nil), w.customer(w.a, nil), w.customer(w.a, nil)
	for _, pair := range [][2]buyer{{one, other}, {third, one}} { // other → one → third
		_, err := w.Server.Customers.Merge(w.ctx, pair[0].id, pair[1].id, nil)
		require.NoError(t, err)
	}
	admin := w.Admin()
	reads := 0
	for _, op := range w.Server.Contract.Operations() {
		if op.Path == "/v1/customers/{id}" || op.Path == "/v1/customers/{id}/profile" || op.Path == "/v1/customers/{id}/identities" {
			if op.Method != http.MethodGet {
				continue
			}
			reads++
			at := func(b buyer) string { return "/v1/customers/" + b.id.String() + op.Path[len("/v1/customers/{id}"):] }
			r := admin.Do(http.MethodGet, at(other), nil).Want(http.StatusOK)
			require.Equal(t, at(third), r.Header.Get("Content-Location"), op.ID)
			direct := admin.Do(http.MethodGet, at(third), nil).Want(http.StatusOK)
			require.JSONEq(t, string(direct.Body), string(r.Body), op.ID)
			require.Empty(t, direct.Header.Get("Content-Location"))
		}
	}
	require.Equal(t, 3, reads)
	r := admin.Do(http.MethodPatch, "/v1/customers/"+other.id.String(), map[string]any{"name": "新名字"})
	r.WantProblem(http.StatusConflict, "customers.merged")
	require.Equal(t, third.id.String(), r.Map()["survivor_id"])
	admin.Do(http.MethodDelete, "/v1/customers/"+one.id.String(), nil).WantProblem(http.StatusConflict, "customers.merged")
	admin.Do(http.MethodPost, "/v1/customers/"+one.id.String()+"/restore", nil, "Idempotency-Key", "r1").WantProblem(http.StatusConflict, "customers.merged")
	// Whoever may not see the survivor learns nothing.
	stranger := w.person("far", w.b, grant{role: "store_manager", scope: "store", store: w.b})
	w.signIn(stranger)
	w.Do(http.MethodGet, "/v1/customers/"+other.id.String(), nil, "Authorization", "Bearer "+stranger.token).WantProblem(http.StatusNotFound, "customers.not_found")
}
