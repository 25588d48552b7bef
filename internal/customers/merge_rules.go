package customers

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Side says whose value of a field a merge takes.
type Side string

// Sides of a merge.
const (
	OfSurvivor Side = "survivor"
	OfMerged   Side = "merged"
	OfBoth     Side = "both" // of fields that hold several things
)

// Strategy is how a field's side is chosen when nobody says.
type Strategy string

// Strategies.
const (
	UnlessEmpty Strategy = "survivor_unless_empty"
	MostRecent  Strategy = "most_recent" // of the record changed last, unless that has none
	Earliest    Strategy = "earliest"    // of the record made first
	Union       Strategy = "union"       // what either has; where both have it, the survivor's
	Strictest   Strategy = "strictest"   // what either has; where both have it, a refusal counts
)

// Reasons of a default choice.
const (
	becauseSame     = "same"
	becauseOnly     = "only_value"
	becauseSurvivor = "survivor"
	becauseRecent   = "most_recent"
	becauseEarliest = "earliest"
	becauseBoth     = "both"
)

// mergeField is a field of a customer, as merging and undoing see it.
type mergeField struct {
	name     string
	columns  []string // of the table
	strategy Strategy
	unique   bool // one customer has it: what the survivor does not take stays with the other one
	empty    func(*Customer) bool
	same     func(a, b *Customer) bool
	take     func(to, from *Customer)
	join     func(to, other *Customer)              // adds what another one has; nil where a field holds one thing
	redo     func(to, before, after, now *Customer) // before, changed as now differs from after; with join only
	show     func(*Customer) string
}

// of builds a field that is one comparable or deeply comparable value.
func of[T any](name string, s Strategy, get func(*Customer) *T, show func(*Customer) string, columns ...string) mergeField {
	if len(columns) == 0 {
		columns = []string{name}
	}
	return mergeField{
		name: name, columns: columns, strategy: s,
		empty: func(c *Customer) bool { return reflect.ValueOf(get(c)).Elem().IsZero() },
		same:  func(a, b *Customer) bool { return reflect.DeepEqual(get(a), get(b)) },
		take:  func(to, from *Customer) { *get(to) = *get(from) },
		show:  show,
	}
}

func (f mergeField) one() mergeField {
	f.unique = true
	return f
}

// unset counts a default as no value.
func (f mergeField) unset(empty func(*Customer) bool) mergeField {
	f.empty = empty
	return f
}

// mergeFields are all fields, in the order in which they are shown. Every column
// of customers is in one of them or in mergeKeeps; a test demands it.
var mergeFields = []mergeField{
	of("external_id", UnlessEmpty, func(c *Customer) **string { return &c.ExternalID }, func(c *Customer) string { return deref(c.ExternalID) }).one(),
	of("name", UnlessEmpty, func(c *Customer) *string { return &c.Name }, func(c *Customer) string { return c.Name }, "name_sealed", "name_tokens"),
	{
		name: "phone", strategy: UnlessEmpty, unique: true, columns: []string{"phone_sealed", "phone_index", "phone_last4_token", "phone_kind"},
		empty: func(c *Customer) bool { return c.Phone == "" },
		same:  func(a, b *Customer) bool { return a.Phone == b.Phone },
		take:  func(to, from *Customer) { to.Phone, to.PhoneKind = from.Phone, from.PhoneKind },
		show:  func(c *Customer) string { return c.Phone },
	},
	of("email", UnlessEmpty, func(c *Customer) *string { return &c.Email }, func(c *Customer) string { return c.Email }, "email_sealed", "email_index").one(),
	of("card_number", UnlessEmpty, func(c *Customer) *string { return &c.Card }, func(c *Customer) string { return c.Card }, "card_number_sealed", "card_number_index").one(),
	of("gender", UnlessEmpty, func(c *Customer) *string { return &c.Gender }, func(c *Customer) string { return c.Gender }).
		unset(func(c *Customer) bool { return c.Gender == "unknown" }),
	{
		name: "birth_date", strategy: UnlessEmpty, columns: []string{"birth_date"},
		empty: func(c *Customer) bool { return c.BirthDate == nil },
		same:  func(a, b *Customer) bool { return sameTime(a.BirthDate, b.BirthDate) },
		take:  func(to, from *Customer) { to.BirthDate = from.BirthDate },
		show: func(c *Customer) string {
			if c.BirthDate == nil {
				return ""
			}
			return c.BirthDate.Format(time.DateOnly)
		},
	},
	{
		// Which of two equal addresses it is makes no difference. The one that is not
		// taken is kept beside it (keepAddress).
		name: "address", strategy: MostRecent, columns: []string{"address_sealed", "address_region", "address_city"},
		empty: func(c *Customer) bool { return c.Address == nil },
		same:  sameAddress,
		take:  func(to, from *Customer) { to.Address, to.About = from.Address, from.About },
		show:  func(c *Customer) string { return showObject(c.Address, c.Address == nil) },
	},
	of("language", MostRecent, func(c *Customer) *string { return &c.Language }, func(c *Customer) string { return c.Language }),
	of("source", Earliest, func(c *Customer) *string { return &c.Source }, func(c *Customer) string { return c.Source }),
	of("home_store_id", UnlessEmpty, func(c *Customer) **uuid.UUID { return &c.HomeStoreID }, func(c *Customer) string { return showID(c.HomeStoreID) }),
	of("assigned_staff_id", UnlessEmpty, func(c *Customer) **uuid.UUID { return &c.AssignedStaffID }, func(c *Customer) string { return showID(c.AssignedStaffID) }),
	{ // one that is derived is derived anew, so only those set by hand differ
		name: "lifecycle_stage", strategy: UnlessEmpty, columns: []string{"lifecycle_stage", "lifecycle_pinned"},
		empty: func(c *Customer) bool { return !c.LifecyclePinned },
		same: func(a, b *Customer) bool {
			return a.LifecyclePinned == b.LifecyclePinned && (!a.LifecyclePinned || a.LifecycleStage == b.LifecycleStage)
		},
		take: func(to, from *Customer) {
			to.LifecycleStage, to.LifecyclePinned = from.LifecycleStage, from.LifecyclePinned
		},
		show: func(c *Customer) string { return c.LifecycleStage },
	},
	keyed("preferences", Union, func(c *Customer) *map[string]any { return &c.Preferences }, nil),
	keyed("marketing_preferences", Strictest, func(c *Customer) *map[string]bool { return &c.MarketingPreferences }, func(a, b bool) bool { return a && b }),
	both(keyed("custom_fields", Union, func(c *Customer) *map[string]any { return &c.CustomFields }, nil),
		keyed("custom_fields_sealed", Union, func(c *Customer) *map[string]any { return &c.Custom }, nil)), // those that are personal
	{
		name: "tags", strategy: Union, columns: []string{"tag_ids", "tag_expiries"},
		empty: func(c *Customer) bool { return len(c.TagIDs) == 0 },
		same: func(a, b *Customer) bool {
			return slices.Equal(a.TagIDs, b.TagIDs) && maps.EqualFunc(a.TagExpiries, b.TagExpiries, time.Time.Equal)
		},
		take: func(to, from *Customer) {
			to.TagIDs, to.Tags, to.TagExpiries = from.TagIDs, from.Tags, from.TagExpiries
		},
		join: func(to, other *Customer) {
			ends := maps.Clone(to.TagExpiries) // what both have lasts as long as the survivor's
			for id, at := range other.TagExpiries {
				if !slices.Contains(to.TagIDs, id) {
					if ends == nil {
						ends = map[uuid.UUID]time.Time{}
					}
					ends[id] = at
				}
			}
			to.TagExpiries = ends
			to.TagIDs = with(to.TagIDs, other.TagIDs)
			slices.SortFunc(to.TagIDs, compareIDs)
			to.Tags = slices.Sorted(slices.Values(with(to.Tags, other.Tags)))
		},
		redo: func(to, before, after, now *Customer) {
			gone := without(after.TagIDs, now.TagIDs)
			to.TagIDs = without(with(before.TagIDs, without(now.TagIDs, after.TagIDs)), gone)
			slices.SortFunc(to.TagIDs, compareIDs)
			ends := map[uuid.UUID]time.Time{}
			for _, id := range to.TagIDs {
				from := before.TagExpiries
				if was, is := after.TagExpiries[id], now.TagExpiries[id]; !slices.Contains(before.TagIDs, id) || !was.Equal(is) {
					from = now.TagExpiries // given, or made to last otherwise, since
				}
				if at, ok := from[id]; ok {
					ends[id] = at
				}
			}
			to.TagExpiries = ends
		},
		show: func(c *Customer) string { return strings.Join(c.Tags, ", ") },
	},
}

// mergeKeeps are the columns that a merge sets by itself or leaves alone.
var mergeKeeps = map[string]string{
	"id": "who it is", "data_key": "what seals the row; a rotation may wrap it anew in between", "name_block": "where the row was filed on arrival",
	"archived_at": "set with the merge, as it was before after undoing", "merged_into_id": "the merge itself",
	"provenance": "follows the fields",
	"tier_code":  "follows from what both have bought and earned (package membership)",
	"created_at": "the survivor's own", "updated_at": "every change", "version": "every change",
}

func sameAddress(a, b *Customer) bool {
	x, y := a.About, b.About
	x.ID, x.CreatedAt, y.ID, y.CreatedAt = uuid.Nil, time.Time{}, uuid.Nil, time.Time{}
	return reflect.DeepEqual(a.Address, b.Address) && x == y
}

// keyed builds a field that holds values by name. Both decides where both have
// one; nil takes the survivor's.
func keyed[V any](name string, s Strategy, get func(*Customer) *map[string]V, both func(a, b V) V) mergeField {
	return mergeField{
		name: name, columns: []string{name}, strategy: s,
		empty: func(c *Customer) bool { return len(*get(c)) == 0 },
		same:  func(a, b *Customer) bool { return sameText(*get(a), *get(b)) },
		take:  func(to, from *Customer) { *get(to) = *get(from) },
		join: func(to, other *Customer) {
			out := maps.Clone(*get(other))
			for k, v := range *get(to) {
				if w, ok := out[k]; ok && both != nil {
					v = both(v, w)
				}
				if out == nil {
					out = map[string]V{}
				}
				out[k] = v
			}
			*get(to) = out
		},
		redo: func(to, before, after, now *Customer) {
			b, a, n := *get(before), *get(after), *get(now)
			out := map[string]V{}
			for k, v := range b {
				if x, ok := n[k]; ok || !has(a, k) { // not removed since
					if y, known := a[k]; ok && (!known || !sameText(x, y)) {
						v = x
					}
					out[k] = v
				}
			}
			for k, v := range n {
				if y, known := a[k]; !known || !sameText(v, y) {
					out[k] = v
				}
			}
			*get(to) = out
		},
		show: func(c *Customer) string { return showObject(*get(c), len(*get(c)) == 0) },
	}
}

// both makes one field of two that are kept in different columns; it is shown by
// the first.
func both(a, b mergeField) mergeField {
	out := a
	out.columns = append(slices.Clone(a.columns), b.columns...)
	out.empty = func(c *Customer) bool { return a.empty(c) && b.empty(c) }
	out.same = func(x, y *Customer) bool { return a.same(x, y) && b.same(x, y) }
	out.take = func(to, from *Customer) { a.take(to, from); b.take(to, from) }
	out.join = func(to, other *Customer) { a.join(to, other); b.join(to, other) }
	out.redo = func(to, before, after, now *Customer) { a.redo(to, before, after, now); b.redo(to, before, after, now) }
	return out
}

func has[V any](m map[string]V, k string) bool {
	_, ok := m[k]
	return ok
}

func sameText(a, b any) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	empty := func(t []byte) bool { return string(t) == "null" || string(t) == "{}" }
	return string(x) == string(y) || empty(x) && empty(y)
}

// with adds to a list what it lacks, in a new one.
func with[T comparable](a, b []T) []T {
	out := slices.Clone(a)
	for _, v := range b {
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

func without[T comparable](a, b []T) []T {
	var out []T
	for _, v := range a {
		if !slices.Contains(b, v) {
			out = append(out, v)
		}
	}
	return out
}

func showID(id *uuid.UUID) string {
	if id == nil {
		return ""
	}
	return id.String()
}

func showObject(v any, empty bool) string {
	if empty {
		return ""
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return "" // what came from JSON goes back
	}
	return string(raw)
}

// chosen is the side that a merge takes by itself, and why.
func (f *mergeField) chosen(survivor, merged *Customer) (Side, string) {
	switch {
	case f.same(survivor, merged):
		return OfSurvivor, becauseSame
	case f.empty(merged):
		return OfSurvivor, becauseOnly
	case f.empty(survivor):
		return OfMerged, becauseOnly
	}
	switch f.strategy {
	case Union, Strictest:
		return OfBoth, becauseBoth
	case MostRecent:
		if merged.UpdatedAt.After(survivor.UpdatedAt) {
			return OfMerged, becauseRecent
		}
		return OfSurvivor, becauseRecent
	case Earliest:
		if merged.CreatedAt.Before(survivor.CreatedAt) {
			return OfMerged, becauseEarliest
		}
		return OfSurvivor, becauseEarliest
	}
	return OfSurvivor, becauseSurvivor
}

// combine makes of two customers the one that goes on and what is kept of the
// other one: the identifiers that the first does not take, so that whoever
// knows them still finds the customer, and nobody else can have them.
func combine(survivor, merged Customer, asked map[string]Side) (after, rest Customer, sides map[string]Side) {
	after, rest, sides = survivor, merged, map[string]Side{}
	for i := range mergeFields {
		f := &mergeFields[i]
		side, _ := f.chosen(&survivor, &merged)
		if a, ok := asked[f.name]; ok {
			side = a
		}
		switch {
		case side == OfBoth && f.join != nil:
			f.join(&after, &merged)
		case side == OfMerged:
			f.take(&after, &merged)
			if f.unique {
				f.take(&rest, &survivor)
				if slices.Contains(collected, f.name) {
					rest.stamp(survivor.origin(f.name), f.name)
				}
			}
		}
		if side != OfSurvivor {
			after.adopt(f, side, &survivor, &merged)
		}
		sides[f.name] = side
	}
	return after, rest, sides
}

// mergeLimits are the bounds that joined fields could break.
func mergeLimits(c *Customer) error {
	var bad faults
	if len(c.TagIDs) > maxTags {
		bad.add("/field_choices/tags", ErrTagCount, map[string]any{"max": maxTags})
	}
	object(c.Preferences, "/field_choices/preferences", &bad)
	object(c.CustomFields, "/field_choices/custom_fields", &bad)
	object(c.Custom, "/field_choices/custom_fields", &bad)
	if len(c.MarketingPreferences) > maxChannels {
		bad.add("/field_choices/marketing_preferences", ErrTooBig, map[string]any{"max": maxChannels})
	}
	return bad.err()
}

// How undoing a merge treats a field of one of the two.
type undone int

const (
	putBack undone = iota // as it was before
	redone                // as it was before, with what was added and removed since
	edited                // somebody changed it since: it stays as it is
)

// undo judges a field by what it was before the merge, after it, and is now.
func (f *mergeField) undo(before, after, now, out *Customer) undone {
	switch {
	case f.same(after, now):
		f.take(out, before)
		return putBack
	case f.redo != nil:
		f.redo(out, before, after, now)
		return redone
	}
	f.take(out, now)
	return edited
}
