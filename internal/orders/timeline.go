package orders

import (
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/scope"
	"github.com/shuke-crm/shuke/internal/timeline"
)

// TimelineSources are orders and returns in the timelines of customers.
func TimelineSources() []timeline.Source {
	seen := scope.Columns{Store: "store_id", Staff: "assigned_staff_id"}
	return []timeline.Source{
		{
			Kinds: []string{"order"}, Permission: auth.OrdersRead, From: "orders AS r", Scope: seen, At: "r.placed_at", Store: "r.store_id",
			ActorKind: "CASE WHEN r.staff_id IS NOT NULL THEN 'staff' END", ActorID: "r.staff_id",
			Details: "jsonb_build_object('order_number', r.order_number, 'channel', r.channel, 'status', r.status, 'currency', r.currency," +
				" 'total_amount', r.total_amount, 'returned_amount', r.returned_amount, 'unit_count', r.unit_count)",
		},
		{
			Kinds: []string{"return"}, Permission: auth.OrdersRead, From: "order_returns AS r", Scope: seen, At: "r.returned_at", Store: "r.store_id",
			ActorKind: "CASE WHEN r.staff_id IS NOT NULL THEN 'staff' END", ActorID: "r.staff_id",
			Details: "jsonb_build_object('return_number', r.return_number, 'order_id', r.order_id, 'status', r.status, 'currency', r.currency, 'total_amount', r.total_amount)",
		},
	}
}
