// Package pgarray has the PostgreSQL array types that lib/pq lacks.
package pgarray

import (
	"database/sql/driver"

	"github.com/google/uuid"
	"github.com/lib/pq"
)

// UUIDs is a uuid[] column. A nil slice is written as an empty array, since
// our array columns are NOT NULL.
type UUIDs []uuid.UUID

// Value implements driver.Valuer.
func (u UUIDs) Value() (driver.Value, error) {
	s := make(pq.StringArray, len(u))
	for i, id := range u {
		s[i] = id.String()
	}
	return s.Value()
}

// Scan implements sql.Scanner.
func (u *UUIDs) Scan(src any) error {
	var s pq.StringArray
	if err := s.Scan(src); err != nil {
		return err
	}
	*u = make(UUIDs, len(s))
	for i, v := range s {
		id, err := uuid.Parse(v)
		if err != nil {
			return err
		}
		(*u)[i] = id
	}
	return nil
}

// Strings is a text[] column; nil is written as an empty array.
type Strings []string

// Value implements driver.Valuer.
func (s Strings) Value() (driver.Value, error) {
	if s == nil {
		s = Strings{}
	}
	return pq.StringArray(s).Value()
}

// Scan implements sql.Scanner.
func (s *Strings) Scan(src any) error { return (*pq.StringArray)(s).Scan(src) }

// Int32s is an integer[] column; nil is written as an empty array.
type Int32s []int32

// Value implements driver.Valuer.
func (a Int32s) Value() (driver.Value, error) {
	if a == nil {
		a = Int32s{}
	}
	return pq.Int32Array(a).Value()
}

// Scan implements sql.Scanner.
func (a *Int32s) Scan(src any) error { return (*pq.Int32Array)(a).Scan(src) }
