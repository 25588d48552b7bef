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

// Defaults are requests a minute, by caller and kind of operation. Staff and
// keys are known to the business: their limits only keep a program that runs
// wild from taking more than a machine has to give, and are to be set lower
// (here, or for one key) where a fair share is wanted. Callers who are not
// signed in are counted by address, which an office or a mobile network shares.
var Defaults = map[string]int{
	"staff.read": 1_200_000, "staff.write": 300_000,
	"key.read": 1_200_000, "key.write": 300_000,
	"member.read": 3000, "member.write": 600,
	"address.read": 12_000, "address.write": 6000,
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
