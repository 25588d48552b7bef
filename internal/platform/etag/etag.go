// Package etag handles the version part of entity tags. A handler answers with
// Of(version); the edge completes it with a hash of the caller's own view, so
// that two callers who see different fields never share a 304.
package etag

import (
	"strconv"
	"strings"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
)

// Of is the tag a handler sets for a resource at a version.
func Of(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// Header is Of for the headers of an answer.
func Header(version int64) *string {
	t := Of(version)
	return &t
}

// Check compares an If-Match header with the version a change applies to. A
// missing header or "*" passes; use Require where the contract demands one.
func Check(ifMatch *string, version int64) error {
	if ifMatch == nil || strings.TrimSpace(*ifMatch) == "*" {
		return nil
	}
	for part := range strings.SplitSeq(*ifMatch, ",") {
		if v, ok := versionOf(part); ok && v == version {
			return nil
		}
	}
	return apperr.ErrVersionMismatch.New()
}

// Require is Check for resources that many people edit: the header must be there.
func Require(ifMatch *string, version int64) error {
	if ifMatch == nil || strings.TrimSpace(*ifMatch) == "" {
		return apperr.ErrVersionRequired.New()
	}
	return Check(ifMatch, version)
}

func versionOf(tag string) (int64, bool) {
	tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
	tag = strings.Trim(tag, `"`)
	tag, _, _ = strings.Cut(tag, "-")
	v, err := strconv.ParseInt(tag, 10, 64)
	return v, err == nil
}
