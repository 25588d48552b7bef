package ratelimit

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Limits are the general limits: of every operation that names no class of its
// own, by who calls and whether it reads or writes.
type Limits map[string]Class

// Defaults are requests a minute, by caller and kind of operation. Callers who
// are not signed in are counted by address, which an office or a mobile
// network shares.
var Defaults = map[string]int{
	"staff.read": 1200, "staff.write": 600,
	"key.read": 6000, "key.write": 3000,
	"member.read": 300, "member.write": 120,
	"address.read": 1200, "address.write": 1200,
}

// NewLimits are the defaults with some replaced, in requests a minute.
// Errors: an unknown name, a number out of range.
func NewLimits(changed map[string]int) (Limits, error) {
	out := Limits{}
	for name, perMinute := range Defaults {
		out[name] = PerMinute(name, perMinute)
	}
	for name, perMinute := range changed {
		if _, known := Defaults[name]; !known {
			return nil, fmt.Errorf("ratelimit: there is no limit %q; known are %s", name, strings.Join(slices.Sorted(maps.Keys(Defaults)), ", "))
		}
		if perMinute < 1 || perMinute > mostPerMinute {
			return nil, fmt.Errorf("ratelimit: %s is %d requests a minute; use 1 to %d", name, perMinute, mostPerMinute)
		}
		out[name] = PerMinute(name, perMinute)
	}
	return out, nil
}

const mostPerMinute = 10_000_000

// PerMinute is a general class with a quota. Headers show the part of the name
// after the dot: whom a limit is for, callers know.
func PerMinute(name string, requests int) Class {
	if _, kind, found := strings.Cut(name, "."); found {
		name = kind
	}
	return Class{Name: name, Quota: requests, Window: time.Minute, Leased: true}
}
