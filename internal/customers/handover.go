package customers

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/platform"
	"github.com/shuke-crm/shuke/ent/platform/role"
	"github.com/shuke-crm/shuke/ent/platform/rolegrant"
	"github.com/shuke-crm/shuke/ent/platform/staff"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/events"
	"github.com/shuke-crm/shuke/internal/platform/jobs"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

const (
	jobHandOver = "customers.hand_over"
	// handOverBatch is how many customers one transaction moves: their orders and
	// metrics follow by trigger.
	handOverBatch = 200
)

// HandOverInput says whose customers go to whom.
type HandOverInput struct {
	From       uuid.UUID
	To         *uuid.UUID
	Distribute bool        // among the colleagues of From's store instead
	Among      []Successor // or among these
	Reason     string
}

// Successor is one of several who take over.
type Successor struct {
	StaffID uuid.UUID
	Share   int64 // of all shares; 0 for everybody: whoever has the fewest customers gets the next
}

// handOver is what the job needs: it moves what the caller may change, and the
// audit log names the caller.
type handOver struct {
	From   uuid.UUID   `json:"from_staff_id"`
	To     []uuid.UUID `json:"to_staff_ids"`
	Shares []int64     `json:"shares,omitempty"` // of To; none: to whoever has the fewest
	Reason string      `json:"reason"`
	Kind   auth.Kind   `json:"actor_kind"`
	Actor  uuid.UUID   `json:"actor_id"`
	Scope  auth.Scope  `json:"scope"`
}

// HandOverResult is what the visible job reports.
type HandOverResult struct {
	Customers int64 `json:"customers"`
}

// HandOver starts the job that gives all customers of an assistant, as far as
// the caller may change them, to a colleague or to those of the store. It also
// tells how many there are.
// Errors: ErrStaff, ErrNobody, ErrReason, auth.forbidden without
// customers.update.
func (s *Service) HandOver(ctx context.Context, in HandOverInput) (job *platform.Job, customers int64, err error) {
	actor, err := auth.From(ctx)
	switch {
	case err != nil:
		return nil, 0, err
	case !actor.Can(auth.CustomersUpdate):
		return nil, 0, apperr.ErrForbidden.New().Arg("permission", auth.CustomersUpdate)
	case one(in.To != nil)+one(in.Distribute)+one(len(in.Among) > 0) != 1:
		return nil, 0, ErrHandOverTo.At("/to_staff_id")
	}
	shares, err := sharesOf(in.Among)
	if err != nil {
		return nil, 0, err
	}
	if in.Reason = strings.TrimSpace(in.Reason); utf8.RuneCountInString(in.Reason) < 2 {
		return nil, 0, ErrReason.At("/reason")
	}
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		from, err := tx.Platform.Staff.Query().Where(staff.ID(in.From)).Only(ctx)
		if platform.IsNotFound(err) {
			return ErrStaff.At("/from_staff_id")
		}
		if err != nil {
			return err
		}
		to, err := s.takers(ctx, tx, from, in)
		if err != nil {
			return err
		}
		scope := actor.ScopeOf(auth.CustomersUpdate)
		w := clause{"c.assigned_staff_id = ?", []any{from.ID}}
		within := scopeClause(scope)
		w.and(within.sql, within.args...)
		count := clause{"SELECT count(*) FROM customers c WHERE " + w.sql, w.args}
		if err := tx.QueryRow(ctx, count.numbered(), count.args...).Scan(&customers); err != nil {
			return err
		}
		job, err = s.queue.StartVisible(ctx, tx, jobHandOver, handOver{from.ID, to, shares, in.Reason, actor.Kind, actor.ID, scope})
		if err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "customers.hand_over.start", ObjectType: "staff", ObjectID: from.ID.String(), StoreID: from.StoreID,
			Reason: in.Reason, Changes: map[string]any{"to_staff_ids": to, "shares": shares, "customers": customers, "job_id": job.ID}})
		return nil
	})
	return job, customers, err
}

func one(is bool) int {
	if is {
		return 1
	}
	return 0
}

// sharesOf are the shares of successors; none when nobody has one.
// Errors: ErrHandOverShares, ErrRepeated.
func sharesOf(among []Successor) ([]int64, error) {
	var shares []int64
	seen := map[uuid.UUID]bool{}
	for i, a := range among {
		at := "/to/" + itoa(i)
		switch {
		case seen[a.StaffID]:
			return nil, ErrRepeated.At(at + "/staff_id")
		case (a.Share > 0) != (among[0].Share > 0):
			return nil, ErrHandOverShares.At(at + "/share")
		}
		if seen[a.StaffID] = true; a.Share > 0 {
			shares = append(shares, a.Share)
		}
	}
	return shares, nil
}

// takers are those who get the customers: active and within the caller's reach;
// of a store, the assistants who look after customers of their own.
func (s *Service) takers(ctx context.Context, tx *db.Tx, from *platform.Staff, in HandOverInput) ([]uuid.UUID, error) {
	q := tx.Platform.Staff.Query().Where(staff.IDNEQ(from.ID), staff.StatusEQ(staff.StatusActive))
	if in.To != nil {
		id, err := q.Where(staff.ID(*in.To)).OnlyID(ctx)
		if platform.IsNotFound(err) {
			return nil, ErrStaff.At("/to_staff_id")
		}
		return []uuid.UUID{id}, err
	}
	if len(in.Among) > 0 {
		out := make([]uuid.UUID, len(in.Among))
		for i, a := range in.Among {
			out[i] = a.StaffID
		}
		found, err := q.Where(staff.IDIn(out...)).IDs(ctx)
		if err != nil {
			return nil, err
		}
		for i, id := range out {
			if !slices.Contains(found, id) {
				return nil, ErrStaff.At("/to/" + itoa(i) + "/staff_id")
			}
		}
		return out, nil
	}
	if from.StoreID == nil {
		return nil, ErrNobody.At("/distribute_in_store")
	}
	now := s.clock.Now()
	colleagues, err := q.Where(staff.StoreID(*from.StoreID)).WithGrants(func(g *platform.RoleGrantQuery) {
		g.Where(rolegrant.ScopeEQ(rolegrant.ScopeOwn), rolegrant.Or(rolegrant.ExpiresAtIsNil(), rolegrant.ExpiresAtGT(now))).
			WithRole(func(r *platform.RoleQuery) { r.Select(role.FieldID, role.FieldPermissions) })
	}).Order(staff.ByID()).All(ctx)
	if err != nil {
		return nil, err
	}
	var out []uuid.UUID
	for _, p := range colleagues {
		if looksAfterOwn(p) {
			out = append(out, p.ID)
		}
	}
	if len(out) == 0 {
		return nil, ErrNobody.At("/distribute_in_store")
	}
	return out, nil
}

// runHandOver moves batch by batch. A second attempt goes on where the first
// one broke off: what was moved is no longer From's.
func (s *Service) runHandOver(ctx context.Context, h handOver, p *jobs.Progress) (*HandOverResult, error) {
	ctx, err := s.onBehalf(ctx, jobHandOver, h.Kind, h.Actor, h.Scope)
	if err != nil {
		return nil, err
	}
	loads, err := h.loads(ctx, s.db.Clients)
	if err != nil {
		return nil, err
	}
	within := scopeClause(h.Scope)
	w := clause{"c.assigned_staff_id = ? AND " + within.sql, append([]any{h.From}, within.args...)}
	count := clause{"SELECT count(*) FROM customers c WHERE " + w.sql, w.args}
	var total int64
	if err := s.db.QueryRow(ctx, count.numbered(), count.args...).Scan(&total); err != nil {
		return nil, err
	}
	out := &HandOverResult{}
	for {
		if p.Cancelled() {
			return out, jobs.ErrCancelled
		}
		n, err := s.moveBatch(ctx, h, w, loads)
		if err != nil {
			return out, err
		}
		out.Customers += int64(n)
		p.Set(out.Customers, max(total, out.Customers))
		if n < handOverBatch {
			return out, nil
		}
	}
}

// load is how many customers somebody looks after; of one with a share, how many
// they were given.
type load struct {
	staff            uuid.UUID
	customers, share int64
}

// loads are those of the successors as the job begins. A second attempt divides
// what is left by the same shares.
func (h handOver) loads(ctx context.Context, c *db.Clients) ([]load, error) {
	if len(h.Shares) == 0 {
		return loadsOf(ctx, c, h.To)
	}
	out := make([]load, len(h.To))
	for i, id := range h.To {
		out[i] = load{staff: id, share: h.Shares[i]}
	}
	return out, nil
}

func loadsOf(ctx context.Context, c *db.Clients, people []uuid.UUID) ([]load, error) {
	rows, err := c.Query(ctx, `
		SELECT p.id, (SELECT count(*) FROM customers c WHERE c.assigned_staff_id = p.id AND c.archived_at IS NULL)
		FROM unnest($1::uuid[]) p (id) ORDER BY p.id`, pgarray.UUIDs(people))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []load
	for rows.Next() {
		var l load
		if err := rows.Scan(&l.staff, &l.customers); err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, rows.Err()
}

// next is whoever has the fewest customers, for their share if they have one; they
// get one more.
func next(loads []load) uuid.UUID {
	least := 0
	for i := range loads {
		a, b := &loads[i], &loads[least]
		if a.share > 0 && (a.customers+1)*b.share < (b.customers+1)*a.share || a.share == 0 && a.customers < b.customers {
			least = i
		}
	}
	loads[least].customers++
	return loads[least].staff
}

// moveBatch gives the next customers to whoever has the fewest, in one
// transaction: rows, audit entries, events, and the end of cached profiles.
func (s *Service) moveBatch(ctx context.Context, h handOver, w clause, loads []load) (int, error) {
	n := 0
	var after []load // a repeated transaction counts anew
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		after = slices.Clone(loads)
		chosen := clause{fmt.Sprintf("SELECT c.id, c.home_store_id FROM customers c WHERE %s ORDER BY c.id LIMIT %d FOR NO KEY UPDATE", w.sql, handOverBatch), w.args}
		rows, err := tx.Query(ctx, chosen.numbered(), chosen.args...)
		if err != nil {
			return err
		}
		moved, err := scanPlaces(rows)
		if err != nil {
			return err
		}
		if n = len(moved); n == 0 {
			return nil
		}
		ids, to := make(pgarray.UUIDs, n), make(pgarray.UUIDs, n)
		for i := range moved {
			ids[i], to[i] = moved[i].ID, next(after)
		}
		if _, err := tx.Exec(ctx, `
			UPDATE customers c SET assigned_staff_id = t.staff_id, version = c.version + 1, updated_at = $3
			FROM unnest($1::uuid[], $2::uuid[]) t (id, staff_id) WHERE c.id = t.id`, ids, to, s.clock.Now().UTC().Truncate(time.Microsecond)); err != nil {
			return err
		}
		for i := range moved {
			s.handedOver(ctx, tx, &moved[i], h, to[i])
		}
		return nil
	})
	if err == nil {
		copy(loads, after)
	}
	return n, err
}

// scanPlaces reads ids and home stores.
func scanPlaces(rows *sql.Rows) ([]Customer, error) {
	defer rows.Close()
	var out []Customer
	for rows.Next() {
		var c Customer
		if err := rows.Scan(&c.ID, &c.HomeStoreID); err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, rows.Err()
}

func (s *Service) handedOver(ctx context.Context, tx *db.Tx, c *Customer, h handOver, to uuid.UUID) {
	audit.Record(ctx, tx, audit.Entry{Action: "customers.hand_over", ObjectType: "customer", ObjectID: c.ID.String(), StoreID: c.HomeStoreID,
		Reason: h.Reason, Changes: map[string]any{"assigned_staff_id": []uuid.UUID{h.From, to}}})
	events.Emit(tx, events.Event{Type: EventUpdated, SubjectType: "customer", SubjectID: c.ID, StoreID: c.HomeStoreID,
		Payload: changedFields{[]string{"assigned_staff_id"}}})
	s.Touch(ctx, tx, c.ID)
}
