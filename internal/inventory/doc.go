// Package inventory owns the stock of stores: how many pieces of a variant
// each has, and the ledger of why.
//
// A level (stock_levels) has four quantities of pieces: on_hand (fit for sale),
// reserved (of them promised), incoming (sent by another store) and damaged
// (not fit for sale). Available is on_hand - reserved. Levels change in post
// and promise (ledger.go) and in the steps for orders and tills (steps.go), each
// within one transaction that holds the levels locked, in the order of stores and
// variants.
//
// What has happened (a sale at a till, a breakage) may use up reserved pieces;
// what is promised (a reservation) may not exceed what is available. Nothing
// takes more than there is.
//
// Invariants: stock_levels_quantity_check; the sums of a level's movements are
// its on_hand, damaged and incoming, and the sum of its open reservations,
// planned transfers and the pieces that orders hold is reserved (Differences compares them, for `shuke verify`). stock_movements and
// stock_documents only grow: privileges and triggers see to it.
//
// Writes: stock_levels, stock_movements, stock_documents, stock_reservations,
// stock_reservation_lines, stock_transfers, stock_transfer_lines, stock_counts,
// stock_count_lines. Emits inventory.stock_moved and inventory.low_stock.
package inventory
