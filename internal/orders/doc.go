// Package orders owns what was bought and what was brought back.
//
// A ticket of a till becomes an order, a return, or one of each when a sale
// also takes goods back. It is known by its store and external number: the row
// in pos_tickets, written first in the ticket's transaction, decides which of
// several twins is taken in, and its fingerprint tells a repetition from other
// content under a used number.
//
// A return that names the sale it belongs to is linked to it (order_id) by
// whichever of the two arrives later; the order's returned amount and its
// lines' returned quantities are then recounted from all linked returns.
//
// Orders of tills are completed and returns refunded from the start; the others
// go through their states by steps (change.go), each with a row in order_changes.
//
// Money that providers move (provider_payments.go, refund_runner.go,
// callbacks.go): a payment's or refund's number is committed before the provider
// hears of it; what a provider says is booked once, whoever brings it (a notice, a
// repetition, the clock, in any order); money that an order does not need goes
// back to whom it came from. What is not known is asked for with the same number.
//
// Parcels (tracking.go, tracking_push.go): providers are asked to follow them and
// push what carriers tell; a parcel of which nothing is heard is asked about. Steps
// are kept once, whoever brings them; older news do not undo newer ones.
//
// Invariants, compared by Verify: total_amount is the sum of the lines after
// discounts, and shipping; paid_amount and refunded_amount are the sums of
// succeeded payments and of refunds that have not failed; returned_amount is the
// sum of the linked returns that are refunded; customer_days and customer_metrics
// follow in the same transaction, and so do reserved pieces.
//
// Lock order of one transaction: customers, variants, store (advisory),
// pos_tickets, orders, metrics, stock; several of a kind by ascending key.
//
// Writes: orders, order_lines, order_returns, order_return_lines, order_payments,
// order_refunds, order_changes, payment_callbacks, shipments, shipment_lines,
// tracking_events, tracking_pushes, return_reasons, pos_tickets. Emits order.*, return.* and shipment.*.
package orders
