// Package server is the composition root: it builds every service, puts the
// shared middleware before the generated handlers and runs the process.
//
// A request passes, in this order: request id, recover, log, metrics, CORS,
// method override (before routing); then deadline, authentication, permission,
// rate limit, body limit, request validation, idempotency and conditional
// answers (after routing, since they act on the operation that the contract
// describes). What each operation needs is read from the contract; there is no
// list of paths here.
//
// problem.go is the only place in the program that knows HTTP statuses of
// failures.
package server
