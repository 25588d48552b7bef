// Package opt turns what may be missing from one form into another: pointers of
// entities and requests, and nullable fields of answers.
package opt

import "github.com/oapi-codegen/nullable"

// OrNull is the value, or null without one.
func OrNull[T any](p *T) nullable.Nullable[T] {
	if p == nil {
		return nullable.NewNullNullable[T]()
	}
	return nullable.NewNullableWithValue(*p)
}

// Value is the value, or T's zero without one.
func Value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
