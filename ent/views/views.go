// Package views holds the read-only schema for business intelligence tools. It
// is made anew after every migration.
package views

import _ "embed"

// BI is the SQL that makes the schema bi.
//
//go:embed bi.sql
var BI string
