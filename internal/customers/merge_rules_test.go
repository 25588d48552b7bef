package customers

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/pgtest"
)

// Every column of customers is a field of merging or has a reason not to be.
func TestMergesForgetNoColumn(t *testing.T) {
	d := pgtest.DB(t)
	known := map[string]string{}
	for name := range mergeKeeps {
		known[name] = "kept"
	}
	for _, f := range mergeFields {
		for _, c := range f.columns {
			require.Empty(t, known[c], "%s is in %s and %s", c, known[c], f.name)
			known[c] = f.name
		}
	}
	rows, err := d.Query(t.Context(), "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = 'customers'")
	require.NoError(t, err)
	defer rows.Close()
	n := 0
	for rows.Next() {
		var name string
		require.NoError(t, rows.Scan(&name))
		n++
		assert.NotEmpty(t, known[name], "%s: add it to mergeFields or mergeKeeps", name)
	}
	require.NoError(t, rows.Err())
	assert.Len(t, known, n, "a column that is not there")
}

func field(t *testing.T, name string) *mergeField {
	t.Helper()
	for i := range mergeFields {
		if mergeFields[i].name == name {
			return &mergeFields[i]
		}
	}
	t.Fatalf("no field %s", name)
	return nil
}

func TestMergeStrategies(t *testing.T) {
	early, late := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	person := func(change func(*Customer)) *Customer {
		c := newCustomer(uuid.New(), early)
		c.Name = "王明"
		change(&c)
		return &c
	}
	none := func(*Customer) {}
	for _, c := range []struct {
		field            string
		survivor, merged func(*Customer)
		side             Side
		reason           string
	}{
		{"name", none, none, OfSurvivor, becauseSame},
		{"name", none, func(c *Customer) { c.Name = "王小明" }, OfSurvivor, becauseSurvivor},
		{"name", func(c *Customer) { c.Name = "" }, none, OfMerged, becauseOnly},
		{"name", none, func(c *Customer) { c.Name = "" }, OfSurvivor, becauseOnly},
		{"gender", none, func(c *Customer) { c.Gender = "male" }, OfMerged, becauseOnly},
		{"gender", func(c *Customer) { c.Gender = "female" }, none, OfSurvivor, becauseOnly},
		{"lifecycle_stage", none, func(c *Customer) { c.LifecycleStage, c.LifecyclePinned = "loyal", true }, OfMerged, becauseOnly},
		{"language", none, func(c *Customer) { c.Language, c.UpdatedAt = "en", late }, OfMerged, becauseRecent},
		{"language", func(c *Customer) { c.UpdatedAt = late }, func(c *Customer) { c.Language = "en" }, OfSurvivor, becauseRecent},
		{"address", func(c *Customer) { c.Address = &Address{City: "上海"} }, func(c *Customer) { c.UpdatedAt = late }, OfSurvivor, becauseOnly},
		{"source", func(c *Customer) { c.CreatedAt = late }, func(c *Customer) { c.Source = "pos" }, OfMerged, becauseEarliest},
		{"source", none, func(c *Customer) { c.Source, c.CreatedAt = "pos", late }, OfSurvivor, becauseEarliest},
		{"tags", func(c *Customer) { c.TagIDs = []uuid.UUID{{1}} }, func(c *Customer) { c.TagIDs = []uuid.UUID{{2}} }, OfBoth, becauseBoth},
		{"birth_date", none, func(c *Customer) { c.BirthDate = &late }, OfMerged, becauseOnly},
		{"home_store_id", none, func(c *Customer) { c.HomeStoreID = &uuid.UUID{1} }, OfMerged, becauseOnly},
	} {
		side, reason := field(t, c.field).chosen(person(c.survivor), person(c.merged))
		assert.Equal(t, c.side, side, "%+v", c)
		assert.Equal(t, c.reason, reason, "%+v", c)
	}
}

// What the survivor does not take of the identifiers stays with the merged record.
func TestCombineSwapsIdentifiers(t *testing.T) {
	a := Customer{ExternalID: ptr("A"), Person: Person{Phone: "+8613800000001", PhoneKind: "mobile", Card: "1111"}}
	b := Customer{ExternalID: ptr("B"), Person: Person{Phone: "+8613800000002", PhoneKind: "mobile", Email: "b@example.com"}}
	after, rest, sides := combine(a, b, map[string]Side{"phone": OfMerged})
	assert.Equal(t, "+8613800000002", after.Phone)
	assert.Equal(t, "+8613800000001", rest.Phone)
	assert.Equal(t, "b@example.com", after.Email)
	assert.Empty(t, rest.Email)
	assert.Equal(t, "A", *after.ExternalID)
	assert.Equal(t, "B", *rest.ExternalID)
	assert.Equal(t, "1111", after.Card)
	assert.Equal(t, OfMerged, sides["email"])
}

func TestUndoOfFieldsThatHoldSeveralThings(t *testing.T) {
	id := func(bs ...byte) (out []uuid.UUID) {
		for _, b := range bs {
			out = append(out, uuid.UUID{b})
		}
		return out
	}
	var out Customer
	tags := field(t, "tags")
	what := tags.undo(&Customer{TagIDs: id(1, 2)}, &Customer{TagIDs: id(1, 2, 3)}, &Customer{TagIDs: id(1, 3, 4)}, &out)
	assert.Equal(t, redone, what)
	assert.Equal(t, id(1, 4), out.TagIDs, "3 came with the merge, 2 was removed and 4 added since")
	assert.Equal(t, putBack, tags.undo(&Customer{TagIDs: id(1)}, &Customer{TagIDs: id(1, 3)}, &Customer{TagIDs: id(1, 3)}, &out))
	assert.Equal(t, id(1), out.TagIDs)

	prefs := field(t, "preferences")
	of := func(m map[string]any) *Customer { return &Customer{Preferences: m} }
	what = prefs.undo(of(map[string]any{"a": "1", "b": "1", "c": "1"}), of(map[string]any{"a": "1", "b": "1", "c": "1", "d": "2"}),
		of(map[string]any{"a": "9", "c": "1", "d": "8", "e": "7"}), &out)
	assert.Equal(t, redone, what)
	assert.Equal(t, map[string]any{"a": "9", "c": "1", "d": "8", "e": "7"}, out.Preferences)
	assert.Equal(t, edited, field(t, "name").undo(&Customer{Person: Person{Name: "a"}}, &Customer{Person: Person{Name: "b"}}, &Customer{Person: Person{Name: "c"}}, &out))
	assert.Equal(t, "c", out.Name)
}
