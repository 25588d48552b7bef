package customers

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/auth"
)

func (w *world) list(f Filter) []Customer {
	w.t.Helper()
	p, err := w.List(w.admin(), f, Paging{Limit: 50})
	require.NoError(w.t, err)
	return p.Items
}

func (w *world) assignments(id uuid.UUID, status string) []TagAssignment {
	w.t.Helper()
	out, err := w.tagHistory(w.admin(), TagHistoryFilter{CustomerID: id, Status: status}, nil, 50)
	require.NoError(w.t, err)
	return out
}

// A tag is gone the moment it ends: in the record, in lists and in the history,
// before a job has taken it off, and nothing changes when that comes.
func TestTagsEndByThemselves(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	days := int32(30)
	_, err := w.CreateTag(ctx, TagInput{Name: ptr("新人"), LifetimeDays: some(days), Color: some("#AABBCC"), Description: ptr("刚来的")})
	require.NoError(t, err)
	c := w.add(Input{Name: some("李雷"), Tags: &[]string{"新人", "老友"}})
	assert.Equal(t, w.now.AddDate(0, 0, 30), c.TagExpiries[c.TagIDs[tagAt(t, w, c, "新人")]])
	assert.Len(t, w.list(Filter{Tag: "新人"}), 1)

	soon := w.now.Add(time.Hour)
	_, err = w.AddTags(ctx, c.ID, []string{"活动"}, &soon)
	require.NoError(t, err)
	_, err = w.AddTags(ctx, c.ID, []string{"活动"}, ptr(w.now))
	require.True(t, ErrTagExpiry.Is(err), "%v", err)
	// Naming all tags again leaves those there are as they are.
	kept, err := w.Update(ctx, c.ID, Input{Tags: &[]string{"活动", "新人", "老友"}}, nil)
	require.NoError(t, err)
	assert.Len(t, kept.TagExpiries, 2)

	w.now = soon
	got, err := w.Get(ctx, c.ID)
	require.NoError(t, err)
	assert.Equal(t, []string{"新人", "老友"}, got.Tags)
	assert.Empty(t, w.list(Filter{Tag: "活动"}))
	assert.Len(t, w.list(Filter{Tag: "老友"}), 1)
	past := w.assignments(c.ID, "past")
	require.Len(t, past, 1)
	assert.Equal(t, "活动", past[0].Name)
	assert.Equal(t, "expiry", *past[0].RemovedOrigin)
	assert.True(t, past[0].RemovedAt.Equal(soon))
	current := w.assignments(c.ID, "current")
	require.Len(t, current, 2)
	assert.Equal(t, "manual", current[0].Origin)
	require.NotNil(t, current[0].AddedBy)

	w.now = soon.Add(5 * time.Minute)
	n, err := w.EndTags(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	n, err = w.EndTags(t.Context())
	require.NoError(t, err)
	assert.Zero(t, n)
	again := w.assignments(c.ID, "past")
	require.Len(t, again, 1)
	assert.True(t, again[0].RemovedAt.Equal(soon), "when it ended, not when that was tidied up")
	assert.Equal(t, "expiry", *again[0].RemovedOrigin)

	// Given again, it lasts anew; a write of something else ends what has ended.
	w.now = w.now.AddDate(0, 0, 10)
	renewed, err := w.AddTags(ctx, c.ID, []string{"新人"}, nil)
	require.NoError(t, err)
	assert.Equal(t, w.now.AddDate(0, 0, 30), renewed.TagExpiries[renewed.TagIDs[tagAt(t, w, renewed, "新人")]])
	w.now = w.now.AddDate(0, 0, 31)
	written, err := w.Update(ctx, c.ID, Input{Gender: ptr("male")}, nil)
	require.NoError(t, err)
	assert.Equal(t, []string{"老友"}, written.Tags)
	assert.Len(t, w.assignments(c.ID, "past"), 2)
	n, err = w.EndTags(t.Context())
	require.NoError(t, err)
	assert.Zero(t, n)
}

func tagAt(t *testing.T, w *world, c *Customer, name string) int {
	t.Helper()
	for i, id := range c.TagIDs {
		if got, err := w.pg.CRM.Tag.Get(w.admin(), id); err == nil && got.Name == name {
			return i
		}
	}
	t.Fatalf("no tag %s", name)
	return 0
}

// The history says why and by whom, whoever wrote the row.
func TestTagHistoryKnowsTheReason(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	one, other := w.add(Input{Name: some("甲"), Tags: &[]string{"a"}}), w.add(Input{Name: some("乙"), Tags: &[]string{"b"}})
	var tag, into uuid.UUID
	require.NoError(t, w.pg.SQL.QueryRow("SELECT id FROM tags WHERE name = 'b'").Scan(&tag))
	made, err := w.CreateTag(ctx, TagInput{Name: ptr("c")})
	require.NoError(t, err)
	into = made.ID
	_, err = w.AddTags(ctx, other.ID, []string{"b"}, ptr(w.now.Add(time.Hour)))
	require.NoError(t, err)
	_, n, err := w.MergeTag(ctx, tag, into)
	require.NoError(t, err)
	assert.EqualValues(t, 1, n)
	history := w.assignments(other.ID, "")
	require.Len(t, history, 2)
	byName := map[string]TagAssignment{history[0].Name: history[0], history[1].Name: history[1]}
	assert.Equal(t, "tag_merge", byName["c"].Origin)
	assert.NotNil(t, byName["c"].ExpiresAt, "it ends as the other one would have")
	assert.Equal(t, "tag_merge", *byName["b"].RemovedOrigin, "the name of a tag that is gone")

	_, err = w.Merge(ctx, one.ID, other.ID, nil)
	require.NoError(t, err)
	current := w.assignments(one.ID, "current")
	require.Len(t, current, 2)
	origins := map[string]string{}
	for _, a := range current {
		origins[a.Name] = a.Origin
	}
	assert.Equal(t, map[string]string{"a": "manual", "c": "merge"}, origins)
	require.Len(t, w.assignments(one.ID, "past"), 1, "the past of both")

	key := auth.With(t.Context(), auth.Actor{Kind: auth.KindAPIKey, ID: uuid.New(), Permissions: auth.NewPermissionSet(auth.All()...), Scope: auth.Scope{All: true}})
	third, err := w.Create(key, Input{Name: some("丙"), Tags: &[]string{"a"}})
	require.NoError(t, err)
	require.NoError(t, w.RemoveTag(ctx, third.ID, third.TagIDs[0]))
	gone := w.assignments(third.ID, "past")
	require.Len(t, gone, 1)
	assert.Equal(t, "api", gone[0].Origin)
	assert.Equal(t, "manual", *gone[0].RemovedOrigin)
}

func TestAutomaticTags(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	before := w.add(Input{Name: some("甲"), BirthDate: some(time.Date(1950, 7, 4, 0, 0, 0, 0, time.UTC)), Tags: &[]string{"手工"}})
	bad := func(in TagInput) error {
		_, err := w.CreateTag(ctx, in)
		return err
	}
	require.True(t, ErrTagCondition.Is(bad(TagInput{Name: ptr("x"), Condition: some("'a' in tags")})), "one tag must not follow from another")
	require.True(t, ErrTagCondition.Is(bad(TagInput{Name: ptr("x"), Condition: some("age")})))
	require.True(t, ErrTagLifetime.Is(bad(TagInput{Name: ptr("x"), Condition: some("age > 3"), LifetimeDays: some(int32(3))})))
	old, err := w.CreateTag(ctx, TagInput{Name: ptr("长者"), Condition: some("age >= 76")})
	require.NoError(t, err)
	_, err = w.CreateTag(ctx, TagInput{Name: ptr("常退"), Condition: some("return_count * 2 > order_count")})
	require.NoError(t, err)
	w.rules.stale()

	// By writes.
	elder := w.add(Input{Name: some("乙"), BirthDate: some(time.Date(1940, 1, 1, 0, 0, 0, 0, time.UTC)), Tags: &[]string{"长者", "手工"}})
	assert.Equal(t, []string{"手工", "长者"}, elder.Tags)
	got, err := w.Update(ctx, elder.ID, Input{Tags: &[]string{}}, nil)
	require.NoError(t, err)
	assert.Equal(t, []string{"长者"}, got.Tags)
	require.True(t, ErrTagAutomatic.Is(w.RemoveTag(ctx, elder.ID, old.ID)))
	_, err = w.AddTags(ctx, before.ID, []string{"长者"}, nil)
	require.True(t, ErrTagAutomatic.Is(err), "%v", err)
	got, err = w.Update(ctx, elder.ID, Input{BirthDate: some(time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC))}, nil)
	require.NoError(t, err)
	assert.Empty(t, got.Tags)
	past := w.assignments(elder.ID, "past")
	require.Len(t, past, 2)
	for _, a := range past {
		if a.Name == "长者" {
			assert.Equal(t, "rule", a.Origin)
			assert.Equal(t, "rule", *a.RemovedOrigin)
		}
	}

	// By the calendar.
	apply := func() AppliedTags {
		out, err := w.applyTags(t.Context(), nil)
		require.NoError(t, err)
		return *out
	}
	assert.Equal(t, AppliedTags{Customers: 2}, apply())
	w.now = w.now.AddDate(0, 0, 1) // 4 July
	assert.Equal(t, AppliedTags{Customers: 2, Changed: 1}, apply())
	assert.Len(t, w.list(Filter{Tag: "长者"}), 1)
	assert.Equal(t, AppliedTags{Customers: 2}, apply())
	read, err := w.Get(ctx, before.ID)
	require.NoError(t, err)
	assert.Equal(t, []string{"手工", "长者"}, read.Tags)
	assert.EqualValues(t, 2, read.Version)

	// By what was bought: writes know it too.
	_, err = w.pg.SQL.Exec(`INSERT INTO customer_metrics (id, order_count, return_count, updated_at) VALUES ($1, 1, 1, now())`, before.ID)
	require.NoError(t, err)
	read, err = w.Update(ctx, before.ID, Input{Gender: ptr("female")}, nil)
	require.NoError(t, err)
	assert.Equal(t, []string{"常退", "手工", "长者"}, read.Tags)

	// A field that a condition names stays as it is.
	_, err = w.CreateTag(ctx, TagInput{Name: ptr("有字段"), Condition: some("custom.a == 'x'")})
	require.NoError(t, err)
	f, err := readFields(ctx, w.db.Clients, "AND key = 'a'")
	require.NoError(t, err)
	err = w.DeleteField(ctx, f[0].ID, ptr(`"`+itoa(int(f[0].Version))+`"`))
	require.True(t, ErrFieldInTag.Is(err), "%v", err)

	// Without its condition it is a tag like any other.
	_, err = w.UpdateTag(ctx, old.ID, TagInput{Condition: null[string]()}, nil)
	require.NoError(t, err)
	w.rules.stale()
	require.NoError(t, w.RemoveTag(ctx, before.ID, old.ID))
}
