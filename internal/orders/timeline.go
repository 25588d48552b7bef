package orders

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
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
		{
			Kinds: []string{"tracking"}, Permission: auth.OrdersRead, Scope: seen, At: "r.occurred_at", Store: "r.store_id",
			From: `(SELECT e.id, e.customer_id, e.occurred_at, e.order_id, e.shipment_id, e.status, e.private_sealed, o.store_id, o.assigned_staff_id, o.order_number, p.carrier, p.tracking_number
FROM tracking_events e JOIN orders o ON o.id = e.order_id JOIN shipments p ON p.id = e.shipment_id WHERE e.superseded_at IS NULL) AS r`,
			Details: "jsonb_build_object('order_id', r.order_id, 'order_number', r.order_number, 'shipment_id', r.shipment_id, 'carrier', r.carrier," +
				" 'tracking_number', r.tracking_number, 'status', r.status, 'sealed', encode(r.private_sealed, 'base64'))",
			Open: openStep,
		},
	}
}

// openStep completes a step of a parcel's way with what the carrier wrote.
func openStep(key crypto.DataKey, id uuid.UUID, details map[string]any) error {
	sealed, _ := details["sealed"].(string)
	delete(details, "sealed")
	raw, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(sealed, "\n", ""))
	if err != nil {
		return err
	}
	if raw, err = key.Derive(trackingTable, id).Open(trackingTable, "private", id, raw); err != nil {
		return err
	}
	var texts stepTexts
	if err := json.Unmarshal(raw, &texts); err != nil {
		return err
	}
	details["text"], details["place"] = texts.Text, texts.Place
	return nil
}
