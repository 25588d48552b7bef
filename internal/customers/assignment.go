package customers

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/shuke-crm/shuke/ent/platform"
	"github.com/shuke-crm/shuke/ent/platform/role"
	"github.com/shuke-crm/shuke/ent/platform/rolegrant"
	"github.com/shuke-crm/shuke/ent/platform/staff"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/events"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
	"github.com/shuke-crm/shuke/internal/platform/scope"
)

// EventAssignmentRules says that the assistants of new customers are chosen otherwise.
var EventAssignmentRules = events.Define("assignment_rules.changed", "修改了导购分配规则", "The rules by which customers get their assistant were changed.")

// How a rule chooses among its people.
const (
	AssignFewest     = "fewest_customers"
	AssignRoundRobin = "round_robin"
)

const (
	maxAssignmentRules = 50 // of a store
	maxAssignmentStaff = 200
)

// AssignmentRule says which assistant a customer of a store gets who has none:
// the first active rule, by position, whose conditions hold decides.
type AssignmentRule struct {
	ID        uuid.UUID
	StoreID   uuid.UUID
	Name      string
	Position  int32
	Active    bool
	Method    string
	StaffIDs  []uuid.UUID // none: every assistant of the store
	Sources   []string    // one of these; none: any
	Stages    []string
	TagIDs    []uuid.UUID // any of these
	Version   int64
	CreatedAt time.Time
	UpdatedAt time.Time

	turn   int64       // how many a round robin has given
	people []uuid.UUID // whom it can give customers to now, by id
}

// AssignmentRuleInput is what to change of a rule; nil parts stay.
type AssignmentRuleInput struct {
	Name     *string
	Position *int32
	Active   *bool
	Method   *string
	StaffIDs *[]uuid.UUID
	Sources  *[]string
	Stages   *[]string
	TagIDs   *[]uuid.UUID
}

// fits reports whether the rule is for such a customer.
func (r *AssignmentRule) fits(source, stage string, tags []uuid.UUID) bool {
	return (len(r.Sources) == 0 || slices.Contains(r.Sources, source)) &&
		(len(r.Stages) == 0 || slices.Contains(r.Stages, stage)) &&
		(len(r.TagIDs) == 0 || slices.ContainsFunc(r.TagIDs, func(t uuid.UUID) bool { return slices.Contains(tags, t) }))
}

const assignmentColumns = "a.id, a.store_id, a.name, a.position, a.active, a.method, a.staff_ids, a.sources, a.stages, a.tag_ids, a.turn, a.version, a.created_at, a.updated_at"

// readAssignmentRules reads rules; tail is what follows the FROM clause.
func readAssignmentRules(ctx context.Context, c *db.Clients, tail string, args ...any) ([]*AssignmentRule, error) {
	rows, err := c.Query(ctx, "SELECT "+assignmentColumns+" FROM assignment_rules a "+tail, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []*AssignmentRule
	for rows.Next() {
		a := &AssignmentRule{}
		var people, tags pgarray.UUIDs
		if err := rows.Scan(&a.ID, &a.StoreID, &a.Name, &a.Position, &a.Active, &a.Method, &people, pq.Array(&a.Sources), pq.Array(&a.Stages), &tags,
			&a.turn, &a.Version, &a.CreatedAt, &a.UpdatedAt); err != nil {
			return nil, err
		}
		a.StaffIDs, a.TagIDs = people, tags
		out = append(out, a)
	}
	return out, rows.Err()
}

// assignmentRule reads a rule of the caller's stores. Error: ErrAssignmentNotFound.
func assignmentRule(ctx context.Context, c *db.Clients, id uuid.UUID, tail string) (*AssignmentRule, error) {
	within, args, err := scope.SQL(ctx, scope.Columns{Store: "store_id"}, "a", 2)
	if err != nil {
		return nil, err
	}
	found, err := readAssignmentRules(ctx, c, "WHERE a.id = $1 AND "+within+" "+tail, append([]any{id}, args...)...)
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0:
		return nil, ErrAssignmentNotFound.New()
	}
	return found[0], nil
}

// OneAssignmentRule reads a rule. Error: ErrAssignmentNotFound.
func (s *Service) OneAssignmentRule(ctx context.Context, id uuid.UUID) (*AssignmentRule, error) {
	return assignmentRule(ctx, s.db.From(ctx), id, "")
}

// CreateAssignmentRule makes a rule for a store in the caller's reach.
// Errors: ErrStore, ErrAssignmentCount, those of checkAssignment.
func (s *Service) CreateAssignmentRule(ctx context.Context, store uuid.UUID, in AssignmentRuleInput) (*AssignmentRule, error) {
	actor, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	if !actor.Scope.SeesStore(store) {
		return nil, ErrStore.At("/store_id")
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	now := s.clock.Now()
	a := &AssignmentRule{ID: id, StoreID: store, Active: true, Method: AssignFewest, Sources: []string{}, Stages: []string{}, Version: 1, CreatedAt: now, UpdatedAt: now}
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		// One after the other for a store, so that the count holds.
		var known uuid.UUID
		if err := tx.QueryRow(ctx, "SELECT id FROM stores WHERE id = $1 FOR NO KEY UPDATE", store).Scan(&known); err != nil {
			if err == sql.ErrNoRows {
				return ErrStore.At("/store_id")
			}
			return err
		}
		var n int
		if err := tx.QueryRow(ctx, "SELECT count(*) FROM assignment_rules WHERE store_id = $1", store).Scan(&n); err != nil {
			return err
		}
		if n >= maxAssignmentRules {
			return ErrAssignmentCount.New().Arg("max", maxAssignmentRules)
		}
		if err := s.applyAssignment(ctx, tx, a, &in); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO assignment_rules (id, store_id, name, position, active, method, staff_ids, sources, stages, tag_ids, version, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7::uuid[], $8::text[], $9::text[], $10::uuid[], 1, $11, $11)`, a.ID, a.StoreID, a.Name, a.Position, a.Active, a.Method,
			pgarray.UUIDs(a.StaffIDs), pq.Array(a.Sources), pq.Array(a.Stages), pgarray.UUIDs(a.TagIDs), now); err != nil {
			return err
		}
		return s.assignmentChanged(ctx, tx, "assignment_rules.create", a)
	})
	return a, err
}

// UpdateAssignmentRule changes a rule.
// Errors: ErrAssignmentNotFound, request.version_mismatch, those of checkAssignment.
func (s *Service) UpdateAssignmentRule(ctx context.Context, id uuid.UUID, in AssignmentRuleInput, ifMatch *string) (*AssignmentRule, error) {
	var a *AssignmentRule
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		if a, err = assignmentRule(ctx, tx.Clients, id, "FOR NO KEY UPDATE"); err != nil {
			return err
		}
		if err := etag.Check(ifMatch, a.Version); err != nil {
			return err
		}
		if err := s.applyAssignment(ctx, tx, a, &in); err != nil {
			return err
		}
		a.Version, a.UpdatedAt = a.Version+1, s.clock.Now()
		if _, err := tx.Exec(ctx, `UPDATE assignment_rules SET name = $2, position = $3, active = $4, method = $5, staff_ids = $6::uuid[], sources = $7::text[], stages = $8::text[],
			tag_ids = $9::uuid[], version = $10, updated_at = $11 WHERE id = $1`, a.ID, a.Name, a.Position, a.Active, a.Method,
			pgarray.UUIDs(a.StaffIDs), pq.Array(a.Sources), pq.Array(a.Stages), pgarray.UUIDs(a.TagIDs), a.Version, a.UpdatedAt); err != nil {
			return err
		}
		return s.assignmentChanged(ctx, tx, "assignment_rules.update", a)
	})
	return a, err
}

// DeleteAssignmentRule removes a rule; customers keep their assistants.
// Errors: ErrAssignmentNotFound, request.version_mismatch.
func (s *Service) DeleteAssignmentRule(ctx context.Context, id uuid.UUID, ifMatch *string) error {
	return s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		a, err := assignmentRule(ctx, tx.Clients, id, "FOR UPDATE")
		if err != nil {
			return err
		}
		if err := etag.Check(ifMatch, a.Version); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "DELETE FROM assignment_rules WHERE id = $1", id); err != nil {
			return err
		}
		return s.assignmentChanged(ctx, tx, "assignment_rules.delete", a)
	})
}

// assignmentChanged notes a change, and lets everybody read the rules anew.
func (s *Service) assignmentChanged(ctx context.Context, tx *db.Tx, action string, a *AssignmentRule) error {
	audit.Record(ctx, tx, audit.Entry{Action: action, ObjectType: "assignment_rule", ObjectID: a.ID.String(), StoreID: &a.StoreID,
		Changes: map[string]any{"name": a.Name, "active": a.Active, "position": a.Position, "method": a.Method, "staff_ids": a.StaffIDs, "sources": a.Sources,
			"stages": a.Stages, "tag_ids": a.TagIDs}})
	events.Emit(tx, events.Event{Type: EventAssignmentRules, SubjectType: "assignment_rule", SubjectID: a.ID, StoreID: &a.StoreID})
	tx.AfterCommit(func(context.Context) { s.rules.stale() })
	_, err := tx.Exec(ctx, "UPDATE definition_revisions SET revision = revision + 1 WHERE name = 'assignment_rules'")
	return err
}

// applyAssignment changes a rule by an input and checks it: its people are active
// staff of the store whom the caller may see, its tags exist.
// Errors: ErrValue, ErrStaff, ErrUnknownTag, ErrTooLong.
func (s *Service) applyAssignment(ctx context.Context, tx *db.Tx, a *AssignmentRule, in *AssignmentRuleInput) error {
	var bad faults
	set(&a.Position, in.Position)
	set(&a.Active, in.Active)
	set(&a.Method, in.Method)
	if in.Name != nil {
		if a.Name = strings.TrimSpace(*in.Name); a.Name == "" {
			bad.add("/name", ErrValue)
		}
	}
	if in.Sources != nil {
		a.Sources = sortedSet(*in.Sources)
		for _, v := range a.Sources {
			if !sourcePattern.MatchString(v) {
				bad.add("/sources", ErrValue)
			}
		}
	}
	if in.Stages != nil {
		a.Stages = sortedSet(*in.Stages)
	}
	if in.StaffIDs != nil {
		if a.StaffIDs = unique(*in.StaffIDs); len(a.StaffIDs) > 0 {
			n, err := tx.Platform.Staff.Query().Where(staff.IDIn(a.StaffIDs...), staff.StoreID(a.StoreID), staff.StatusEQ(staff.StatusActive)).Count(ctx)
			if err != nil {
				return err
			}
			if n != len(a.StaffIDs) {
				bad.add("/staff_ids", ErrStaff)
			}
		}
		slices.SortFunc(a.StaffIDs, compareIDs)
	}
	if in.TagIDs != nil {
		if a.TagIDs = unique(*in.TagIDs); len(a.TagIDs) > 0 {
			var n int
			if err := tx.QueryRow(ctx, "SELECT count(*) FROM tags WHERE id = ANY ($1::uuid[])", pgarray.UUIDs(a.TagIDs)).Scan(&n); err != nil {
				return err
			}
			if n != len(a.TagIDs) {
				bad.add("/tag_ids", ErrUnknownTag)
			}
		}
		slices.SortFunc(a.TagIDs, compareIDs)
	}
	return bad.err()
}

func sortedSet(in []string) []string {
	return append([]string{}, slices.Compact(slices.Sorted(slices.Values(in)))...)
}

// assigner gives customers of some stores their assistants. The rules are locked
// until commit, in the order of their ids and after any customer: what one
// transaction has given, the next one counts.
type assigner struct {
	rules map[uuid.UUID][]*AssignmentRule // of a store, by position
	loads map[uuid.UUID]int64             // customers of those among whom the fewest counts
}

// openAssigner reads the active rules of stores; nil when there are none. Without
// a lock it may only look ahead.
func (s *Service) openAssigner(ctx context.Context, c *db.Clients, stores []uuid.UUID, lock bool) (*assigner, error) {
	tail := "WHERE a.store_id = ANY ($1::uuid[]) AND a.active ORDER BY a.id"
	if lock {
		tail += " FOR NO KEY UPDATE"
	}
	all, err := readAssignmentRules(ctx, c, tail, pgarray.UUIDs(stores))
	if err != nil || len(all) == 0 {
		return nil, err
	}
	ctx = auth.System(ctx, "customers.assign") // a rule names whom it names, whoever makes the customer
	people, err := c.Platform.Staff.Query().Where(staff.StoreIDIn(stores...), staff.StatusEQ(staff.StatusActive)).WithGrants(func(g *platform.RoleGrantQuery) {
		g.Where(rolegrant.ScopeEQ(rolegrant.ScopeOwn), rolegrant.Or(rolegrant.ExpiresAtIsNil(), rolegrant.ExpiresAtGT(s.clock.Now()))).
			WithRole(func(r *platform.RoleQuery) { r.Select(role.FieldID, role.FieldPermissions) })
	}).Order(staff.ByID()).All(ctx)
	if err != nil {
		return nil, err
	}
	out := &assigner{rules: map[uuid.UUID][]*AssignmentRule{}, loads: map[uuid.UUID]int64{}}
	var counted []uuid.UUID
	for _, a := range all {
		for _, p := range people {
			if *p.StoreID == a.StoreID && (slices.Contains(a.StaffIDs, p.ID) || len(a.StaffIDs) == 0 && looksAfterOwn(p)) {
				a.people = append(a.people, p.ID)
			}
		}
		if a.Method == AssignFewest {
			counted = append(counted, a.people...)
		}
		out.rules[a.StoreID] = append(out.rules[a.StoreID], a)
	}
	for _, of := range out.rules {
		slices.SortStableFunc(of, func(a, b *AssignmentRule) int { return int(a.Position) - int(b.Position) })
	}
	if len(counted) == 0 {
		return out, nil
	}
	loads, err := loadsOf(ctx, c, unique(counted))
	for _, l := range loads {
		out.loads[l.staff] = l.customers
	}
	return out, err
}

// looksAfterOwn reports whether somebody has customers of their own.
func looksAfterOwn(p *platform.Staff) bool {
	return slices.ContainsFunc(p.Edges.Grants, func(g *platform.RoleGrant) bool {
		return slices.Contains(g.Edges.Role.Permissions, string(auth.CustomersRead))
	})
}

// rule is the first one that fits, nil when none does. One that has nobody to
// give customers to fits nobody.
func (a *assigner) rule(store uuid.UUID, source, stage string, tags []uuid.UUID) *AssignmentRule {
	for _, r := range a.rules[store] {
		if len(r.people) > 0 && r.fits(source, stage, tags) {
			return r
		}
	}
	return nil
}

// next is whose turn it is.
func (a *assigner) next(r *AssignmentRule) uuid.UUID {
	if r.Method == AssignRoundRobin {
		r.turn++
		return r.people[(r.turn-1)%int64(len(r.people))]
	}
	least := r.people[0]
	for _, id := range r.people[1:] {
		if a.loads[id] < a.loads[least] {
			least = id
		}
	}
	a.loads[least]++
	return least
}

// save keeps the turns that were taken.
func (a *assigner) save(ctx context.Context, tx *db.Tx) error {
	var ids pgarray.UUIDs
	var turns []int64
	for _, of := range a.rules {
		for _, r := range of {
			if r.Method == AssignRoundRobin {
				ids, turns = append(ids, r.ID), append(turns, r.turn)
			}
		}
	}
	if len(ids) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, `UPDATE assignment_rules a SET turn = t.turn FROM unnest($1::uuid[], $2::bigint[]) t (id, turn) WHERE a.id = t.id AND a.turn <> t.turn`, ids, pq.Array(turns))
	return err
}

// assignNew prepares the assistants of new customers; nil when there is nothing
// to prepare. Rows of a file are left to the job: batches of one are written at
// the same time, and must not wait for each other here.
func (s *Service) assignNew(ctx context.Context, tx *db.Tx, r *reach, inputs []*Input) (*assigner, error) {
	if len(r.rules.assigning) == 0 || importOf(ctx) != uuid.Nil || !r.actor.Scope.All && r.actor.Scope.Owns(r.actor.ID) {
		return nil, nil
	}
	var stores []uuid.UUID
	for _, in := range inputs {
		if in.AssignedStaffID.IsSpecified() {
			continue
		}
		if id, err := in.HomeStoreID.Get(); err == nil {
			stores = append(stores, id)
		} else if len(r.actor.Scope.StoreIDs) == 1 {
			stores = append(stores, r.actor.Scope.StoreIDs[0])
		}
	}
	stores = slices.DeleteFunc(unique(stores), func(id uuid.UUID) bool { return !r.rules.assigning[id] })
	if len(stores) == 0 {
		return nil, nil
	}
	return s.openAssigner(ctx, tx.Clients, stores, true)
}

// give gives a new customer an assistant, if a rule says so. It is called before
// the customer is judged, who may be by the assistant.
func (a *assigner) give(c *Customer, in *Input, rules *ruleSet, today time.Time) {
	if a == nil || c.AssignedStaffID != nil || in.AssignedStaffID.IsSpecified() || c.HomeStoreID == nil {
		return
	}
	seen := *c // the stage and the automatic tags that it will have
	rules.derive(&seen, today)
	rules.tag(&seen, today)
	if r := a.rule(*c.HomeStoreID, seen.Source, seen.LifecycleStage, seen.TagIDs); r != nil {
		to := a.next(r)
		c.AssignedStaffID, c.assignedBy = &to, r.ID
	}
}

// noteAssigned records by which rule a new customer got their assistant.
func noteAssigned(ctx context.Context, tx *db.Tx, c *Customer) {
	audit.Record(ctx, tx, audit.Entry{Action: "customers.assign", ObjectType: "customer", ObjectID: c.ID.String(), StoreID: c.HomeStoreID, StaffID: c.AssignedStaffID,
		Changes: map[string]any{"assigned_staff_id": []*uuid.UUID{nil, c.AssignedStaffID}, "rule_id": c.assignedBy}})
}
