package customers

import (
	"context"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/platform"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/events"
	"github.com/shuke-crm/shuke/internal/platform/jobs"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

const jobAssign = "customers.assign"

// AssignmentTarget says whose customers without an assistant get one.
type AssignmentTarget struct {
	StoreID  uuid.UUID
	ImportID uuid.UUID // only those whom this import made; zero: all
}

type assignJob struct {
	StoreID  uuid.UUID  `json:"store_id"`
	ImportID uuid.UUID  `json:"import_id"`
	Kind     auth.Kind  `json:"actor_kind"`
	Actor    uuid.UUID  `json:"actor_id"`
	Scope    auth.Scope `json:"scope"`
}

// AssignmentResult is what the visible job reports.
type AssignmentResult struct {
	Customers int64 `json:"customers"` // looked at
	Assigned  int64 `json:"assigned"`
}

// unassigned are a store's active customers without an assistant, within a scope.
// Plan: customers_store_idx, a range of it.
func unassigned(t AssignmentTarget, sc auth.Scope) clause {
	w := clause{"c.home_store_id = ? AND c.assigned_staff_id IS NULL AND c.archived_at IS NULL", []any{t.StoreID}}
	if t.ImportID != uuid.Nil {
		w.and("c.provenance -> 'o' -> 0 ->> 'v' = ?", "import:"+t.ImportID.String())
	}
	within := scopeClause(sc)
	w.and(within.sql, within.args...)
	return w
}

// lasting are the tags that have not ended at an instant.
const lasting = "ARRAY(SELECT t FROM unnest(c.tag_ids) t WHERE coalesce((c.tag_expiries ->> t::text)::timestamptz > ?, TRUE) ORDER BY t)"

// mayAssign checks that the caller may have customers of a store assigned.
// Errors: ErrStore, auth.forbidden without customers.update.
func mayAssign(ctx context.Context, store uuid.UUID) (auth.Actor, error) {
	actor, err := auth.From(ctx)
	switch {
	case err != nil:
		return actor, err
	case !actor.Can(auth.CustomersUpdate):
		return actor, apperr.ErrForbidden.New().Arg("permission", auth.CustomersUpdate)
	case !actor.Scope.SeesStore(store):
		return actor, ErrStore.At("/store_id")
	}
	return actor, nil
}

// ApplyAssignment starts the job that gives a store's customers without an
// assistant one, by the rules in force, as far as the caller may change them.
// Errors: as mayAssign.
func (s *Service) ApplyAssignment(ctx context.Context, t AssignmentTarget) (job *platform.Job, err error) {
	actor, err := mayAssign(ctx, t.StoreID)
	if err != nil {
		return nil, err
	}
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if job, err = s.queue.StartVisible(ctx, tx, jobAssign, assignJob{t.StoreID, t.ImportID, actor.Kind, actor.ID, actor.ScopeOf(auth.CustomersUpdate)}); err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "customers.assign.start", ObjectType: "store", ObjectID: t.StoreID.String(), StoreID: &t.StoreID,
			Changes: map[string]any{"job_id": job.ID}})
		return nil
	})
	return job, err
}

// runAssign works through the customers by id. A second attempt goes on where the
// first one broke off: who was given an assistant has one.
func (s *Service) runAssign(ctx context.Context, j assignJob, p *jobs.Progress) (any, error) {
	ctx, err := s.onBehalf(ctx, jobAssign, j.Kind, j.Actor, j.Scope)
	if err != nil {
		return nil, err
	}
	w := unassigned(AssignmentTarget{j.StoreID, j.ImportID}, j.Scope)
	var total int64
	count := clause{"SELECT count(*) FROM customers c WHERE " + w.sql, w.args}
	if err := s.db.QueryRow(ctx, count.numbered(), count.args...).Scan(&total); err != nil {
		return nil, err
	}
	out := &AssignmentResult{}
	for after := uuid.Nil; ; {
		if p.Cancelled() {
			return out, jobs.ErrCancelled
		}
		var looked []uuid.UUID
		assigned := 0
		err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
			looked, assigned, err = s.assignBatch(ctx, tx, j.StoreID, w, after)
			return err
		})
		if err != nil {
			return out, err
		}
		out.Customers += int64(len(looked))
		out.Assigned += int64(assigned)
		p.Set(out.Customers, max(total, out.Customers))
		if len(looked) < handOverBatch {
			return out, nil
		}
		after = looked[len(looked)-1]
	}
}

// assignBatch gives the next customers their assistants.
func (s *Service) assignBatch(ctx context.Context, tx *db.Tx, store uuid.UUID, w clause, after uuid.UUID) (looked []uuid.UUID, assigned int, err error) {
	now := s.clock.Now()
	chosen := clause{"SELECT c.id, c.home_store_id, c.source, c.lifecycle_stage, " + lasting + " FROM customers c WHERE " + w.sql +
		" AND c.id > ? ORDER BY c.id LIMIT " + itoa(handOverBatch) + " FOR NO KEY UPDATE", append(append([]any{now}, w.args...), after)}
	rows, err := tx.Query(ctx, chosen.numbered(), chosen.args...)
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	var found []Customer
	for rows.Next() {
		var c Customer
		var tags pgarray.UUIDs
		if err := rows.Scan(&c.ID, &c.HomeStoreID, &c.Source, &c.LifecycleStage, &tags); err != nil {
			return nil, 0, err
		}
		c.TagIDs = tags
		found, looked = append(found, c), append(looked, c.ID)
	}
	if err := rows.Err(); err != nil || len(found) == 0 {
		return nil, 0, err
	}
	a, err := s.openAssigner(ctx, tx.Clients, []uuid.UUID{store}, true)
	if err != nil || a == nil {
		return looked, 0, err
	}
	var ids, to pgarray.UUIDs
	for i := range found {
		c := &found[i]
		r := a.rule(store, c.Source, c.LifecycleStage, c.TagIDs)
		if r == nil {
			continue
		}
		next := a.next(r)
		c.AssignedStaffID, c.assignedBy = &next, r.ID
		ids, to = append(ids, c.ID), append(to, next)
		noteAssigned(ctx, tx, c)
		events.Emit(tx, events.Event{Type: EventUpdated, SubjectType: "customer", SubjectID: c.ID, StoreID: c.HomeStoreID, Payload: changedFields{[]string{"assigned_staff_id"}}})
	}
	if len(ids) == 0 {
		return looked, 0, nil
	}
	if _, err := tx.Exec(ctx, `
		UPDATE customers c SET assigned_staff_id = t.staff_id, version = c.version + 1, updated_at = $3
		FROM unnest($1::uuid[], $2::uuid[]) t (id, staff_id) WHERE c.id = t.id`, ids, to, now); err != nil {
		return nil, 0, err
	}
	s.Touch(ctx, tx, ids...)
	return looked, len(ids), a.save(ctx, tx)
}

// AssignmentShare is what somebody would get.
type AssignmentShare struct {
	StaffID   uuid.UUID
	Name      string
	Customers int64
}

// AssignmentForecast is what one rule would do.
type AssignmentForecast struct {
	Rule      *AssignmentRule
	Customers int64
	Shares    []AssignmentShare
}

// AssignmentPreview is what applying the rules now would do.
type AssignmentPreview struct {
	Customers int64 // without an assistant
	Unmatched int64 // for whom there is no rule
	Rules     []AssignmentForecast
}

// PreviewAssignment says what ApplyAssignment would do now, and does nothing.
// Errors: as mayAssign.
func (s *Service) PreviewAssignment(ctx context.Context, t AssignmentTarget) (*AssignmentPreview, error) {
	actor, err := mayAssign(ctx, t.StoreID)
	if err != nil {
		return nil, err
	}
	c := s.db.From(ctx)
	a, err := s.openAssigner(ctx, c, []uuid.UUID{t.StoreID}, false)
	if err != nil {
		return nil, err
	}
	if a == nil {
		a = &assigner{}
	}
	counts, out, err := s.countUnassigned(ctx, c, a, unassigned(t, actor.ScopeOf(auth.CustomersUpdate)))
	if err != nil {
		return nil, err
	}
	for _, r := range a.rules[t.StoreID] {
		f := AssignmentForecast{Rule: r, Customers: counts[r.ID]}
		got := map[uuid.UUID]int64{}
		for range f.Customers {
			got[a.next(r)]++
		}
		people, err := s.staffNames(ctx, c, r.people)
		if err != nil {
			return nil, err
		}
		for _, id := range r.people {
			f.Shares = append(f.Shares, AssignmentShare{id, people[id], got[id]})
		}
		out.Rules = append(out.Rules, f)
	}
	return out, nil
}

// countUnassigned counts customers by the rule that is for them.
func (s *Service) countUnassigned(ctx context.Context, c *db.Clients, a *assigner, w clause) (map[uuid.UUID]int64, *AssignmentPreview, error) {
	store := w.args[0].(uuid.UUID)
	grouped := clause{"SELECT c.source, c.lifecycle_stage, " + lasting + ", count(*) FROM customers c WHERE " + w.sql + " GROUP BY 1, 2, 3", append([]any{s.clock.Now()}, w.args...)}
	rows, err := c.Query(ctx, grouped.numbered(), grouped.args...)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	counts, out := map[uuid.UUID]int64{}, &AssignmentPreview{}
	for rows.Next() {
		var source, stage string
		var tags pgarray.UUIDs
		var n int64
		if err := rows.Scan(&source, &stage, &tags, &n); err != nil {
			return nil, nil, err
		}
		out.Customers += n
		if r := a.rule(store, source, stage, tags); r != nil {
			counts[r.ID] += n
		} else {
			out.Unmatched += n
		}
	}
	return counts, out, rows.Err()
}

// staffNames are names of people.
func (s *Service) staffNames(ctx context.Context, c *db.Clients, ids []uuid.UUID) (map[uuid.UUID]string, error) {
	rows, err := c.Query(ctx, "SELECT id, name FROM staff WHERE id = ANY ($1::uuid[])", pgarray.UUIDs(ids))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := make(map[uuid.UUID]string, len(ids))
	for rows.Next() {
		var id uuid.UUID
		var name string
		if err := rows.Scan(&id, &name); err != nil {
			return nil, err
		}
		out[id] = name
	}
	return out, rows.Err()
}

// onBehalf is a job's context: it does what somebody asked for, within the reach
// they had then, and the audit log names them.
func (s *Service) onBehalf(ctx context.Context, job string, kind auth.Kind, id uuid.UUID, sc auth.Scope) (context.Context, error) {
	name := ""
	if kind == auth.KindStaff {
		person, err := s.db.Platform.Staff.Get(auth.System(ctx, job), id)
		if err != nil {
			return nil, err
		}
		name = person.Username
	}
	return auth.With(ctx, auth.Actor{Kind: kind, ID: id, Name: name, Scope: sc}), nil
}

// AssignmentFilter says which rules to list; zero parts do not filter.
type AssignmentFilter struct {
	StoreID uuid.UUID
	Active  *bool
}

type assignmentPosition struct {
	Store    uuid.UUID `json:"s"`
	Position int32     `json:"p"`
	ID       uuid.UUID `json:"i"`
}

func (f AssignmentFilter) clause(sc auth.Scope) clause {
	w := clause{"TRUE", nil}
	if !sc.All {
		w.and("a.store_id = ANY (?::uuid[])", pgarray.UUIDs(sc.StoreIDs))
	}
	if f.StoreID != uuid.Nil {
		w.and("a.store_id = ?", f.StoreID)
	}
	if f.Active != nil {
		w.and("a.active = ?", *f.Active)
	}
	return w
}

// assignmentRules lists rules of the caller's stores, in the order in which they
// are tried.
func (s *Service) assignmentRules(ctx context.Context, f AssignmentFilter, after *assignmentPosition, limit int) ([]*AssignmentRule, error) {
	w := f.clause(auth.Must(ctx).Scope)
	if after != nil {
		w.and("(a.store_id, a.position, a.id) > (?, ?, ?)", after.Store, after.Position, after.ID)
	}
	return readAssignmentRules(ctx, s.db.From(ctx), "WHERE "+w.numbered()+" ORDER BY a.store_id, a.position, a.id LIMIT "+itoa(limit), w.args...)
}

func (s *Service) countAssignmentRules(ctx context.Context, f AssignmentFilter) (n int, err error) {
	w := f.clause(auth.Must(ctx).Scope)
	err = s.db.From(ctx).QueryRow(ctx, "SELECT count(*) FROM assignment_rules a WHERE "+w.numbered(), w.args...).Scan(&n)
	return n, err
}
