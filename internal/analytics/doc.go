// Package analytics owns figures about the business as a whole.
//
// Data quality: customer_quality holds what is wrong with each customer, as
// package customers judges it. Figures and the lists behind them read these rows
// and nothing else, so that a figure and its list agree; quality_passes says as
// of when they are. Only a pass writes problems, one pass at a time; a trigger
// keeps store, assistant and whether the customer is archived in step.
//
// Invariants: after a pass that began at as_of, the row of every active customer
// is what package customers says of the record as it was then or later, by the
// definitions of then or later.
//
// Writes: customer_quality, quality_passes.
package analytics
