package customers

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/auth"
)

func TestGroups(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	g, err := w.CreateGroup(ctx, "  读书  会 ", "周五")
	require.NoError(t, err)
	assert.Equal(t, "读书 会", g.Name)
	_, err = w.CreateGroup(ctx, "读书 会", "")
	require.True(t, ErrGroupDuplicate.Is(err), "%v", err)
	_, err = w.CreateGroup(ctx, " ", "")
	require.True(t, ErrGroupName.Is(err), "%v", err)

	at := func(staff uuid.UUID, store uuid.UUID, external string) *Customer {
		w.now = w.now.Add(time.Second) // ids tell the order of arrival
		return w.add(Input{Name: some("顾客"), ExternalID: some(external), HomeStoreID: some(store), AssignedStaffID: some(staff)})
	}
	one, two, three := at(w.ann, w.storeA, "X1"), at(w.bob, w.storeA, "X2"), at(w.cy, w.storeB, "X3")
	gone := at(w.ann, w.storeA, "X4")
	_, err = w.Archive(ctx, gone.ID, nil)
	require.NoError(t, err)

	status := func(out []MemberOutcome, err error) (all []string) {
		require.NoError(t, err)
		for _, o := range out {
			all = append(all, o.Status)
		}
		return all
	}
	refs := []Ref{{ID: one.ID}, {ExternalID: "X2"}, {ID: uuid.New()}, {ID: gone.ID}, {}, {ExternalID: "X1"}}
	assert.Equal(t, []string{"added", "added", "error", "error", "error", "added"}, status(w.AddMembers(ctx, g.ID, refs)))
	out, err := w.AddMembers(ctx, g.ID, refs)
	require.NoError(t, err)
	assert.Equal(t, "present", out[0].Status)
	require.True(t, ErrNotFound.Is(out[2].Err))
	require.True(t, ErrArchived.Is(out[3].Err))
	require.True(t, ErrGroupMember.Is(out[4].Err))
	_, err = w.AddMembers(ctx, uuid.New(), refs)
	require.True(t, ErrGroupNotFound.Is(err), "%v", err)

	// As far as the caller sees customers.
	store := auth.With(context.Background(), auth.Actor{Kind: auth.KindStaff, ID: uuid.New(), Permissions: auth.NewPermissionSet(auth.All()...), Scope: auth.Scope{StoreIDs: []uuid.UUID{w.storeA}}})
	assert.Equal(t, []string{"error"}, status(w.AddMembers(store, g.ID, []Ref{{ID: three.ID}})))
	assert.Equal(t, []string{"added"}, status(w.AddMembers(ctx, g.ID, []Ref{{ID: three.ID}})))
	assert.Equal(t, []string{"error"}, status(w.RemoveMembers(store, g.ID, []Ref{{ID: three.ID}})))
	for c, want := range map[context.Context]int64{ctx: 3, store: 2, w.assistant(w.ann): 1} {
		seen, err := w.OneGroup(c, g.ID)
		require.NoError(t, err)
		assert.Equal(t, want, *seen.Customers)
		p, err := w.List(c, Filter{GroupID: g.ID}, Paging{Limit: 50, Count: true})
		require.NoError(t, err)
		assert.Len(t, p.Items, int(want))
		assert.Equal(t, want, *p.Total)
	}
	p, err := w.List(ctx, Filter{GroupID: g.ID}, Paging{Limit: 2})
	require.NoError(t, err)
	assert.Equal(t, []uuid.UUID{three.ID, two.ID}, []uuid.UUID{p.Items[0].ID, p.Items[1].ID}, "the newest first")
	p, err = w.List(ctx, Filter{GroupID: g.ID}, Paging{Limit: 2, Cursor: &p.Next})
	require.NoError(t, err)
	require.Len(t, p.Items, 1)
	assert.Equal(t, one.ID, p.Items[0].ID)

	// Merged customers: the survivor is in the groups of both, and undoing puts that back.
	other, err := w.CreateGroup(ctx, "另一组", "")
	require.NoError(t, err)
	assert.Equal(t, []string{"added"}, status(w.AddMembers(ctx, other.ID, []Ref{{ID: two.ID}})))
	members := func(group uuid.UUID) (ids []uuid.UUID) {
		rows, err := w.pg.SQL.Query("SELECT customer_id FROM customer_group_members WHERE group_id = $1 ORDER BY customer_id", group)
		require.NoError(t, err)
		ids, err = scanIDs(rows)
		require.NoError(t, err)
		return ids
	}
	m, err := w.Merge(ctx, one.ID, two.ID, nil)
	require.NoError(t, err)
	assert.Equal(t, []uuid.UUID{one.ID}, members(other.ID))
	assert.Equal(t, []string{"present"}, status(w.AddMembers(ctx, other.ID, []Ref{{ExternalID: "X2"}})), "its old number names the survivor")
	seen, err := w.OneGroup(ctx, g.ID)
	require.NoError(t, err)
	assert.EqualValues(t, 2, *seen.Customers)
	_, err = w.UndoMerge(ctx, m.ID)
	require.NoError(t, err)
	assert.Equal(t, []uuid.UUID{two.ID}, members(other.ID))
	assert.Equal(t, []uuid.UUID{one.ID, two.ID, three.ID}, members(g.ID))

	assert.Equal(t, []string{"removed", "absent"}, status(w.RemoveMembers(ctx, other.ID, []Ref{{ID: two.ID}, {ID: one.ID}})))
	changed, err := w.UpdateGroup(ctx, g.ID, ptr("书友"), nil, ptr(`"1"`))
	require.NoError(t, err)
	assert.Equal(t, "周五", changed.Description)
	assert.EqualValues(t, 2, changed.Version)
	_, err = w.UpdateGroup(ctx, g.ID, ptr("另一组"), nil, nil)
	require.True(t, ErrGroupDuplicate.Is(err), "%v", err)
	require.NoError(t, w.DeleteGroup(ctx, g.ID, nil))
	assert.Empty(t, members(g.ID))
	require.True(t, ErrGroupNotFound.Is(w.DeleteGroup(ctx, g.ID, nil)))
	var audited, announced int
	require.NoError(t, w.pg.SQL.QueryRow("SELECT count(*) FROM audit_logs WHERE action = 'customers.group_added'").Scan(&audited))
	require.NoError(t, w.pg.SQL.QueryRow("SELECT count(*) FROM outbox_events WHERE type = 'customer_group.members_changed'").Scan(&announced))
	assert.Equal(t, 4, audited)
	assert.Equal(t, 4, announced)
}

// A group's list walks an index, a small group among many customers and a big one.
func TestGroupListsWalkAnIndex(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	small, err := w.CreateGroup(ctx, "小", "")
	require.NoError(t, err)
	big, err := w.CreateGroup(ctx, "大", "")
	require.NoError(t, err)
	for _, query := range []string{
		`INSERT INTO customers (id, data_key, name_tokens, tag_ids, created_at, updated_at)
		 SELECT gen_random_uuid(), '\x00', '{}', '{}', now(), now() FROM generate_series(1, 20000)`,
		fmt.Sprintf(`INSERT INTO customer_group_members (group_id, customer_id, added_by, added_at) SELECT '%s', id, 'test', now() FROM customers`, big.ID),
		fmt.Sprintf(`INSERT INTO customer_group_members (group_id, customer_id, added_by, added_at) SELECT '%s', id, 'test', now() FROM customers ORDER BY random() LIMIT 30`, small.ID),
	} {
		_, err := w.pg.SQL.Exec(query)
		require.NoError(t, err)
	}
	// Statistics are the owner's to renew; autovacuum does it in service.
	for _, g := range []*Group{small, big} {
		q, err := w.plan(ctx, &Filter{GroupID: g.ID, Sort: Newest})
		require.NoError(t, err)
		c := q.rows(51)
		rows, err := w.pg.SQL.Query("EXPLAIN "+c.numbered(), c.args...)
		require.NoError(t, err)
		var plan []string
		for rows.Next() {
			var line string
			require.NoError(t, rows.Scan(&line))
			plan = append(plan, line)
		}
		require.NoError(t, rows.Err())
		text := strings.Join(plan, "\n")
		assert.NotContains(t, text, "Seq Scan on customers", text)
		assert.NotContains(t, text, "Seq Scan on customer_group_members", text)
	}
}
