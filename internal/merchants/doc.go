// Package merchants knows the businesses of a mall.
//
// A store belongs to one merchant at most (stores.merchant_id, written with the
// rest of the store by package identity). A grant with the scope merchant
// reaches the merchant's stores as they are at any time, so that its people see
// what is theirs and nothing of the neighbours'.
//
// Writes: merchants. Emits merchant.created, merchant.updated,
// merchant.deleted.
package merchants
