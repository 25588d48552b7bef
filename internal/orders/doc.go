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
// Orders of tills are completed and returns refunded from the start; other
// states belong to the channels that arrive later.
//
// Money that providers move (provider_payments.go, refund_runner.go,
// callbacks.go): a payment's or refund's number is committed before the provider
// hears of it; what a provider says is booked once, whoever brings it (a notice, a
// repetition, the clock, in any order); money that an order does not need goes
// back to whom it came from. What is not known is asked for with the same number.
//
// Invariants: total_amount is the sum of quantity by unit price over the lines;
// quantities and totals are positive on orders and returns alike;
// returned_amount is the sum of the linked returns; customer_days and
// customer_metrics follow in the same transaction.
//
// Lock order of one transaction: customers, variants, store (advisory),
// pos_tickets, orders, metrics; several of a kind by ascending key.
//
// Writes: orders, order_lines, order_returns, order_return_lines, pos_tickets.
// Emits order.completed and order.returned.
package orders
