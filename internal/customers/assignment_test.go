package customers

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/jobs"
)

// assigns makes a rule that is on.
func (w *world) assigns(store uuid.UUID, position int32, method string, more AssignmentRuleInput) *AssignmentRule {
	w.t.Helper()
	more.Name, more.Position, more.Method = ptr("r"), &position, &method
	r, err := w.CreateAssignmentRule(w.admin(), store, more)
	require.NoError(w.t, err)
	return r
}

// looksAfter counts the customers of people by name.
func (w *world) looksAfter() map[string]int {
	w.t.Helper()
	out := map[string]int{}
	rows, err := w.pg.Query(w.admin(), "SELECT coalesce(s.username, ''), count(*) FROM customers c LEFT JOIN staff s ON s.id = c.assigned_staff_id GROUP BY 1")
	require.NoError(w.t, err)
	defer rows.Close()
	for rows.Next() {
		var name string
		var n int
		require.NoError(w.t, rows.Scan(&name, &n))
		out[name] = n
	}
	require.NoError(w.t, rows.Err())
	return out
}

var numberOfThem int

func (w *world) one(store uuid.UUID, more Input) Input {
	numberOfThem++
	more.HomeStoreID, more.ExternalID = some(store), some(fmt.Sprintf("E-%d", numberOfThem))
	return more
}

func TestNewCustomersGetAssistants(t *testing.T) {
	w := newWorld(t)
	both := []uuid.UUID{w.ann, w.bob}
	w.add(w.one(w.storeA, Input{}))
	assert.Equal(t, map[string]int{"": 1}, w.looksAfter(), "no rule")
	w.assigns(w.storeA, 10, AssignRoundRobin, AssignmentRuleInput{StaffIDs: &both, Sources: &[]string{"web", "pos"}})
	tagged, err := w.CreateTag(w.admin(), TagInput{Name: ptr("VIP")})
	require.NoError(t, err)
	vip := w.assigns(w.storeA, 5, AssignFewest, AssignmentRuleInput{StaffIDs: &[]uuid.UUID{w.bob}, TagIDs: &[]uuid.UUID{tagged.ID}})
	off := w.assigns(w.storeA, 1, AssignFewest, AssignmentRuleInput{StaffIDs: &[]uuid.UUID{w.bob}, Active: ptr(false)})

	for range 3 {
		w.add(w.one(w.storeA, Input{Source: ptr("web")}))
	}
	assert.Equal(t, map[string]int{"": 1, "ann": 2, "bob": 1}, w.looksAfter())
	c := w.add(w.one(w.storeA, Input{Source: ptr("web"), Tags: &[]string{"VIP"}}))
	assert.Equal(t, w.bob, *c.AssignedStaffID, "an earlier rule for the tag")
	w.add(w.one(w.storeA, Input{}))                   // another source
	w.add(w.one(w.storeB, Input{Source: ptr("web")})) // another store
	in := w.one(w.storeA, Input{Source: ptr("web")})  // nobody, on purpose
	in.AssignedStaffID.SetNull()
	w.add(in)
	in.ExternalID, in.AssignedStaffID = some("X"), some(w.ann)
	w.add(in)
	assert.Equal(t, map[string]int{"": 4, "ann": 3, "bob": 2}, w.looksAfter())

	// In bulk, and by somebody who sees one store; an assistant's own stay theirs.
	var items []BulkItem
	for range 10 {
		items = append(items, BulkItem{Input: w.one(w.storeA, Input{Source: ptr("pos")})})
	}
	_, err = w.Bulk(w.admin(), BulkCreate, items)
	require.NoError(t, err)
	assert.Equal(t, map[string]int{"": 4, "ann": 8, "bob": 7}, w.looksAfter())
	local := w.as("administrator", auth.Scope{StoreIDs: []uuid.UUID{w.storeA}}, uuid.New())
	c, err = w.Create(local, Input{ExternalID: some("L-1"), Source: ptr("pos")})
	require.NoError(t, err)
	assert.Equal(t, w.bob, *c.AssignedStaffID)
	c, err = w.Create(w.assistant(w.ann), Input{ExternalID: some("L-2"), Source: ptr("pos")})
	require.NoError(t, err)
	assert.Equal(t, w.ann, *c.AssignedStaffID)

	// Who is gone is passed over; rules are changed, found and deleted in reach only.
	_, err = w.pg.Exec(w.admin(), "UPDATE staff SET status = 'disabled' WHERE id = $1", w.bob)
	require.NoError(t, err)
	c = w.add(w.one(w.storeA, Input{Source: ptr("web"), Tags: &[]string{"VIP"}}))
	assert.Equal(t, w.ann, *c.AssignedStaffID, "the rule for the tag has nobody left")
	elsewhere := w.as("administrator", auth.Scope{StoreIDs: []uuid.UUID{w.storeB}}, uuid.New())
	_, err = w.UpdateAssignmentRule(elsewhere, vip.ID, AssignmentRuleInput{Active: ptr(false)}, nil)
	assert.True(t, ErrAssignmentNotFound.Is(err))
	_, err = w.CreateAssignmentRule(elsewhere, w.storeA, AssignmentRuleInput{Name: ptr("x")})
	assert.True(t, ErrStore.Is(err) || apperr.From(err).Fields[0].Code == ErrStore.Code)
	_, err = w.CreateAssignmentRule(w.admin(), w.storeA, AssignmentRuleInput{Name: ptr("x"), StaffIDs: &[]uuid.UUID{w.cy}})
	require.Error(t, err)
	assert.Equal(t, []apperr.Field{{Pointer: "/staff_ids", Code: ErrStaff.Code}}, Faults(err), "of another store")
	require.NoError(t, w.DeleteAssignmentRule(w.admin(), off.ID, ptr(`"1"`)))
	listed, err := w.assignmentRules(w.manager(w.storeA), AssignmentFilter{}, nil, 10)
	require.NoError(t, err)
	require.Len(t, listed, 2)
	assert.Equal(t, vip.ID, listed[0].ID, "in the order in which they are tried")
	rest, err := w.assignmentRules(w.manager(w.storeA), AssignmentFilter{}, &assignmentPosition{w.storeA, 5, vip.ID}, 10)
	require.NoError(t, err)
	assert.Len(t, rest, 1)
	n, err := w.countAssignmentRules(w.manager(w.storeB), AssignmentFilter{})
	require.NoError(t, err)
	assert.Zero(t, n)

	var noted int
	require.NoError(t, w.pg.QueryRow(w.admin(), "SELECT count(*) FROM audit_logs WHERE action = 'customers.assign'").Scan(&noted))
	assert.Equal(t, 16, noted)
}

// A validation rule that wants an assistant sees the one that a rule gives.
func TestAssistantsComeBeforeValidation(t *testing.T) {
	w := newWorld(t)
	w.assigns(w.storeA, 1, AssignFewest, AssignmentRuleInput{StaffIDs: &[]uuid.UUID{w.ann}, Stages: &[]string{"prospect"}})
	in := TagInput{Name: ptr("有导购")}
	in.Condition.Set("assigned_staff_id != null")
	_, err := w.CreateTag(w.admin(), in)
	require.NoError(t, err)
	c := w.add(w.one(w.storeA, Input{}))
	assert.Equal(t, []string{"有导购"}, c.Tags)
}

// Creations at once, of stores in any order, take turns exactly and do not lock up.
func TestAssistantsOfManyAtOnce(t *testing.T) {
	w := newWorld(t)
	dee := uuid.Must(uuid.NewV7())
	w.pg.Platform.Staff.Create().SetID(dee).SetUsername("dee").SetName("导购").SetPasswordHash("x").SetStoreID(w.storeB).SaveX(auth.System(t.Context(), "test"))
	w.assigns(w.storeA, 1, AssignRoundRobin, AssignmentRuleInput{StaffIDs: &[]uuid.UUID{w.ann, w.bob}})
	w.assigns(w.storeB, 1, AssignFewest, AssignmentRuleInput{StaffIDs: &[]uuid.UUID{w.cy, dee}})
	stores := []uuid.UUID{w.storeA, w.storeB}
	inputs := make([][]BulkItem, 8)
	for i := range inputs {
		for n := range 20 {
			inputs[i] = append(inputs[i], BulkItem{Input: w.one(stores[(i+n)%2], Input{})})
		}
	}
	singles := []Input{}
	for n := range 40 {
		singles = append(singles, w.one(stores[n%2], Input{}))
	}
	var wg sync.WaitGroup
	for _, items := range inputs {
		wg.Go(func() {
			_, err := w.Bulk(w.admin(), BulkCreate, items)
			assert.NoError(t, err)
		})
	}
	for i := range 4 {
		wg.Go(func() {
			for n := range 10 {
				_, err := w.Create(w.admin(), singles[i*10+n])
				assert.NoError(t, err)
			}
		})
	}
	wg.Wait()
	assert.Equal(t, map[string]int{"ann": 50, "bob": 50, "cy": 50, "dee": 50}, w.looksAfter())
}

func TestAssigningThoseWithoutAssistant(t *testing.T) {
	w := newWorld(t)
	brought := uuid.New()
	for range 250 {
		w.add(w.one(w.storeA, Input{Source: ptr("web")}))
	}
	for range 5 {
		_, err := w.Create(WithImport(w.admin(), brought), w.one(w.storeA, Input{Source: ptr("web")}))
		require.NoError(t, err)
	}
	w.add(w.one(w.storeA, Input{Source: ptr("phone")}))
	w.add(w.one(w.storeB, Input{Source: ptr("web")}))
	in := w.one(w.storeA, Input{Source: ptr("phone")})
	in.AssignedStaffID = some(w.ann)
	for range 20 {
		in.ExternalID = some(uuid.NewString())
		w.add(in)
	}
	w.assigns(w.storeA, 1, AssignFewest, AssignmentRuleInput{StaffIDs: &[]uuid.UUID{w.ann, w.bob}, Sources: &[]string{"web"}})
	_, err := w.Create(WithImport(w.admin(), brought), w.one(w.storeA, Input{Source: ptr("web")}))
	require.NoError(t, err)
	assert.Equal(t, map[string]int{"": 258, "ann": 20}, w.looksAfter(), "rows of a file are left to the job")

	run := func(target AssignmentTarget) *AssignmentResult {
		out, err := w.runAssign(t.Context(), assignJob{target.StoreID, target.ImportID, auth.KindSystem, uuid.Nil, auth.Scope{All: true}}, &jobs.Progress{})
		require.NoError(t, err)
		return out.(*AssignmentResult)
	}
	p, err := w.PreviewAssignment(w.admin(), AssignmentTarget{w.storeA, brought})
	require.NoError(t, err)
	assert.EqualValues(t, 6, p.Customers)
	assert.Equal(t, AssignmentResult{Customers: 6, Assigned: 6}, *run(AssignmentTarget{w.storeA, brought}))
	assert.Equal(t, map[string]int{"": 252, "ann": 20, "bob": 6}, w.looksAfter())
	p, err = w.PreviewAssignment(w.admin(), AssignmentTarget{StoreID: w.storeA})
	require.NoError(t, err)
	assert.Equal(t, []int64{251, 1}, []int64{p.Customers, p.Unmatched})
	require.Len(t, p.Rules, 1)
	assert.Equal(t, []int64{250, 118, 132}, []int64{p.Rules[0].Customers, p.Rules[0].Shares[0].Customers, p.Rules[0].Shares[1].Customers})
	assert.Equal(t, AssignmentResult{Customers: 251, Assigned: 250}, *run(AssignmentTarget{StoreID: w.storeA}))
	assert.Equal(t, map[string]int{"": 2, "ann": 138, "bob": 138}, w.looksAfter(), "as foreseen")
	assert.Equal(t, AssignmentResult{Customers: 1}, *run(AssignmentTarget{StoreID: w.storeA}))

	_, err = w.PreviewAssignment(w.manager(w.storeA), AssignmentTarget{StoreID: w.storeA})
	assert.True(t, apperr.ErrForbidden.Is(err), "changes customers")
	_, err = w.PreviewAssignment(w.as("administrator", auth.Scope{StoreIDs: []uuid.UUID{w.storeB}}, uuid.New()), AssignmentTarget{StoreID: w.storeA})
	assert.True(t, ErrStore.Is(err))
}

func TestHandOverToSeveral(t *testing.T) {
	w := newWorld(t)
	give := func(n int) {
		for range n {
			in := w.one(w.storeA, Input{})
			in.AssignedStaffID = some(w.ann)
			w.add(in)
		}
	}
	give(300)
	hand := func(shares ...int64) {
		_, err := w.runHandOver(context.Background(), handOver{From: w.ann, To: []uuid.UUID{w.bob, w.cy}, Shares: shares, Reason: "离职", Kind: auth.KindSystem, Scope: auth.Scope{All: true}}, &jobs.Progress{})
		require.NoError(t, err)
	}
	hand(2, 1)
	assert.Equal(t, map[string]int{"bob": 200, "cy": 100}, w.looksAfter())
	give(150)
	hand()
	assert.Equal(t, map[string]int{"bob": 225, "cy": 225}, w.looksAfter(), "whoever has the fewest")

	shares, err := sharesOf([]Successor{{w.bob, 1}, {w.cy, 3}})
	require.NoError(t, err)
	assert.Equal(t, []int64{1, 3}, shares)
	_, err = sharesOf([]Successor{{w.bob, 1}, {w.cy, 0}})
	assert.True(t, ErrHandOverShares.Is(err))
	_, err = sharesOf([]Successor{{w.bob, 1}, {w.bob, 1}})
	assert.True(t, ErrRepeated.Is(err))
}
