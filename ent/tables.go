// Package ent gathers the tables of all contexts into one schema, with the
// foreign keys that cross contexts.
package ent

import (
	"fmt"
	"slices"

	"entgo.io/ent/dialect/sql/schema"

	commerce "github.com/shuke-crm/shuke/ent/commerce/migrate"
	crm "github.com/shuke-crm/shuke/ent/crm/migrate"
	loyalty "github.com/shuke-crm/shuke/ent/loyalty/migrate"
	platform "github.com/shuke-crm/shuke/ent/platform/migrate"
)

// crossings are the foreign keys between contexts: table, column, referenced table.
var crossings = [][3]string{
	{"customers", "home_store_id", "stores"},
	{"customers", "assigned_staff_id", "staff"},
	{"customers", "merged_into_id", "customers"},
	{"customer_merges", "survivor_id", "customers"},
	{"customer_merges", "merged_id", "customers"},
	{"customer_metrics", "id", "customers"},
	{"duplicate_candidates", "left_id", "customers"},
	{"duplicate_candidates", "right_id", "customers"},
	{"note_mentions", "staff_id", "staff"},
	{"orders", "store_id", "stores"},
	{"orders", "staff_id", "staff"},
	{"orders", "customer_id", "customers"},
	{"order_returns", "store_id", "stores"},
	{"order_returns", "staff_id", "staff"},
	{"order_returns", "customer_id", "customers"},
	{"order_lines", "variant_id", "variants"},
	{"order_return_lines", "variant_id", "variants"},
	{"stock_levels", "store_id", "stores"},
	{"stock_movements", "store_id", "stores"},
	{"stock_documents", "store_id", "stores"},
	{"stock_reservations", "store_id", "stores"},
	{"stock_transfers", "from_store_id", "stores"},
	{"stock_transfers", "to_store_id", "stores"},
	{"stock_counts", "store_id", "stores"},
	{"price_lists", "store_id", "stores"},
	{"points_accounts", "customer_id", "customers"},
	{"points_holds", "customer_id", "customers"},
	{"points_adjustments", "customer_id", "customers"},
	{"points_earnings", "order_id", "orders"},
	{"wallet_accounts", "customer_id", "customers"},
	{"reward_redemptions", "customer_id", "customers"},
	{"reward_redemptions", "store_id", "stores"},
	{"rewards", "variant_id", "variants"},
	{"wallet_payments", "customer_id", "customers"},
	{"wallet_top_ups", "customer_id", "customers"},
	{"wallet_adjustments", "customer_id", "customers"},
	{"memberships", "customer_id", "customers"},
	{"membership_grants", "customer_id", "customers"},
	{"referral_codes", "customer_id", "customers"},
	{"referrals", "customer_id", "customers"},
	{"referrals", "order_id", "orders"},
	{"role_grants", "store_id", "stores"},
	{"role_grants", "region_id", "regions"},
	{"staff", "store_id", "stores"},
	{"sessions", "staff_id", "staff"},
	{"delegations", "staff_id", "staff"},
	{"delegations", "to_staff_id", "staff"},
	{"forms", "store_id", "stores"},
	{"staff_factors", "staff_id", "staff"},
}

// Tables returns the tables of all contexts, wanted state of the database.
// Call it once per process: it adds the crossing keys to the generated tables.
func Tables() ([]*schema.Table, error) {
	tables := slices.Concat(crm.Tables, commerce.Tables, loyalty.Tables, platform.Tables)
	byName := map[string]*schema.Table{}
	for _, t := range tables {
		if byName[t.Name] != nil {
			return nil, fmt.Errorf("table %s is declared in two contexts", t.Name)
		}
		byName[t.Name] = t
	}
	for _, c := range crossings {
		from, to := byName[c[0]], byName[c[2]]
		if from == nil || to == nil {
			return nil, fmt.Errorf("crossing %v names an unknown table", c)
		}
		column := slices.IndexFunc(from.Columns, func(col *schema.Column) bool { return col.Name == c[1] })
		if column < 0 {
			return nil, fmt.Errorf("crossing %v names an unknown column", c)
		}
		from.AddForeignKey(&schema.ForeignKey{
			Symbol:     c[0] + "_" + c[1] + "_fkey",
			Columns:    []*schema.Column{from.Columns[column]},
			RefTable:   to,
			RefColumns: to.PrimaryKey,
			OnDelete:   schema.NoAction,
		})
	}
	return tables, nil
}
