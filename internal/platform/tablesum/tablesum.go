// Package tablesum sums up the rows of all tables, so that two states of a
// database can be compared.
package tablesum

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/shuke-crm/shuke/internal/platform/db"
)

// Leaving is what a comparison leaves out, with the reasons.
type Leaving struct {
	Tables    map[string]string
	Columns   []string            // of all tables
	ColumnsOf map[string][]string // of single ones
}

// MergeUndone is what undoing a merge of customers need not put back: columns
// that tell of every change, tables that tell what happened, and what the merge
// ended for good (docs/merging.md).
var MergeUndone = Leaving{
	Tables: map[string]string{
		"audit_logs": "tells of the merge", "audit_seals": "seals that", "outbox_events": "tells of the merge",
		"customer_merges": "the record of the merge", "idempotency_keys": "answers kept for repetition",
		"member_exchanges": "one-time codes of some minutes, void with the sessions",
		"customer_quality": "judged anew within minutes; its readers say as of when", "quality_passes": "says as of when",
		"sessions": "the caller's own: when they last proved who they are",
	},
	Columns: []string{"version", "updated_at"},
	ColumnsOf: map[string][]string{
		"member_sessions": {"revoked_at", "revoked_reason", "successor_sealed"},
		"api_keys":        {"last_used_at", "last_used_ip"}, // the caller's own
	},
}

// Of sums up every table but those left out: the number of its rows and a digest
// of all of them, whatever their order. The queue's own tables and the list of
// migrations are never in it.
func Of(ctx context.Context, d *db.DB, without Leaving) (map[string]string, error) {
	rows, err := d.Query(ctx, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var tables []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		if without.Tables[name] == "" && !strings.HasPrefix(name, "river_") && !strings.HasPrefix(name, "goose_") {
			tables = append(tables, name)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	out := make(map[string]string, len(tables))
	for _, name := range tables {
		columns := "'" + strings.Join(slices.Concat(without.Columns, without.ColumnsOf[name]), "','") + "'"
		var sum string
		err := d.QueryRow(ctx, fmt.Sprintf(`SELECT count(*) || ' ' || coalesce(md5(string_agg(r, E'\n' ORDER BY r)), '')
FROM (SELECT (to_jsonb(x) - ARRAY[%s])::text AS r FROM "%s" x) t`, columns, name)).Scan(&sum)
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", name, err)
		}
		out[name] = sum
	}
	return out, nil
}
