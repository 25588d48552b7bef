package db

import (
	"strconv"
	"strings"
)

// Batch is a statement over any number of rows, which are sent as one array
// for each column.
type Batch struct{ one, few, many string }

// BatchColumn is one column of a batch's rows and its type.
type BatchColumn struct{ Name, Type string }

// NewBatch makes a statement from a query that names its rows {rows}. They are
// known there as t, with the columns and n, the place in the batch from 1 on;
// the columns' arrays are the first arguments.
//
// A single row has a statement of its own: PostgreSQL lays out what unnest
// returns in a temporary store for each column, which costs more than all the
// rest of a small insertion. A few rows have one, too: their arrays stand in queries
// of their own, so that the planner cannot count them and does not plan anew for
// every statement, which is worth it for many rows only.
func NewBatch(query string, columns ...BatchColumn) Batch {
	var names, arrays, firsts, hidden []string
	for i, c := range columns {
		array := "$" + strconv.Itoa(i+1) + "::" + c.Type + "[]"
		names = append(names, c.Name)
		arrays = append(arrays, array)
		hidden = append(hidden, "(SELECT "+array+")")
		firsts = append(firsts, "("+array+")[1] AS "+c.Name)
	}
	return Batch{
		one:  strings.ReplaceAll(query, "{rows}", "(SELECT "+strings.Join(firsts, ", ")+", 1 AS n) AS t"),
		few:  strings.ReplaceAll(query, "{rows}", "unnest("+strings.Join(hidden, ", ")+") WITH ORDINALITY AS t ("+strings.Join(names, ", ")+", n)"),
		many: strings.ReplaceAll(query, "{rows}", "unnest("+strings.Join(arrays, ", ")+") WITH ORDINALITY AS t ("+strings.Join(names, ", ")+", n)"),
	}
}

// fewRows is up to how many rows planning costs more than it is worth.
const fewRows = 16

// SQL is the statement for n rows.
func (b Batch) SQL(n int) string {
	switch {
	case n == 1:
		return b.one
	case n <= fewRows:
		return b.few
	}
	return b.many
}
