// Package migrations holds every change to the database schema, in order. It
// is the only way a schema reaches a database.
package migrations

import "embed"

// FS has the SQL files in goose's format and their checksums (atlas.sum).
//
//go:embed *.sql
var FS embed.FS
