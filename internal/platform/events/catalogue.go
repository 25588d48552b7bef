package events

import (
	"maps"
	"slices"
	"sync"
)

// Definition is one kind of event that others may rely on.
type Definition struct {
	Type string // "order.completed"
	ZH   string // what happened, in Simplified Chinese
	EN   string // and in English
}

var (
	mu   sync.Mutex
	defs = map[string]Definition{}
)

// Define adds a type to the catalogue and returns its name. It panics on a
// second definition: two meanings of one name would be a defect.
func Define(eventType, zh, en string) string {
	mu.Lock()
	defer mu.Unlock()
	if _, dup := defs[eventType]; dup {
		panic("events: defined twice: " + eventType)
	}
	defs[eventType] = Definition{Type: eventType, ZH: zh, EN: en}
	return eventType
}

// Definitions lists the catalogue by type.
func Definitions() []Definition {
	mu.Lock()
	defer mu.Unlock()
	out := make([]Definition, 0, len(defs))
	for _, t := range slices.Sorted(maps.Keys(defs)) {
		out = append(out, defs[t])
	}
	return out
}

func defined(eventType string) bool {
	mu.Lock()
	defer mu.Unlock()
	_, ok := defs[eventType]
	return ok
}
