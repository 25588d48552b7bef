package membership

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/events"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

type ids = pgarray.UUIDs

const markSQL = `INSERT INTO memberships (id, customer_id, review_at, created_at, updated_at)
SELECT t.id, t.customer, $3, $3, $3 FROM unnest((SELECT $1::uuid[]), (SELECT $2::uuid[])) AS t (id, customer) WHERE EXISTS (SELECT FROM tier_schemes) ORDER BY t.customer
ON CONFLICT (customer_id) DO UPDATE SET review_at = EXCLUDED.review_at WHERE memberships.review_at IS NULL OR memberships.review_at > EXCLUDED.review_at`

// Mark has memberships reviewed whose facts the transaction changes: what their
// customers bought or brought back, the points they earned, whose record they are.
// Where an order changes by a return, it is the order's customer who is meant. The
// customers are locked. Without a scheme it does nothing.
func (s *Service) Mark(ctx context.Context, tx *db.Tx, customers ...uuid.UUID) error {
	if len(customers) == 0 {
		return nil
	}
	of := slices.Clone(customers)
	slices.SortFunc(of, compareIDs)
	of = slices.Compact(of)
	made := make(ids, len(of))
	for i := range made {
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		made[i] = id
	}
	_, err := tx.Exec(ctx, markSQL, made, ids(of), s.clock.Now())
	return err
}

func compareIDs(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }

// held is a locked row of memberships.
type held struct {
	id, customer   uuid.UUID
	tier           string
	ends, grace    *time.Time
	grant          *uuid.UUID
	reviewed       *time.Time
	store, staffID *uuid.UUID
}

const heldColumns = `m.id, m.customer_id, coalesce(m.tier_code, ''), m.ends_at, m.grace_ends_at, m.grant_id, m.reviewed_at, c.home_store_id, c.assigned_staff_id`

func scanHeld(rows *sql.Rows, err error) ([]*held, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []*held
	for rows.Next() {
		h := &held{}
		if err := rows.Scan(&h.id, &h.customer, &h.tier, &h.ends, &h.grace, &h.grant, &h.reviewed, &h.store, &h.staffID); err != nil {
			return nil, err
		}
		h.ends, h.grace, h.reviewed = utc(h.ends), utc(h.grace), utc(h.reviewed)
		out = append(out, h)
	}
	return out, rows.Err()
}

// Settle reviews a customer whom the caller has locked if that is due, and says
// what tier they are in; empty: none.
func (s *Service) Settle(ctx context.Context, tx *db.Tx, customer uuid.UUID) (string, error) {
	due, err := scanHeld(tx.Query(ctx, "SELECT "+heldColumns+` FROM memberships m JOIN customers c ON c.id = m.customer_id
WHERE m.customer_id = $1 AND m.review_at <= $2 FOR UPDATE OF m`, customer, s.clock.Now()))
	if err != nil {
		return "", err
	}
	if err := s.review(ctx, tx, due); err != nil {
		return "", err
	}
	var code sql.NullString
	err = tx.QueryRow(ctx, "SELECT tier_code FROM customers WHERE id = $1", customer).Scan(&code)
	return code.String, err
}

// batch is how many memberships one transaction reviews: enough to spread the
// cost of its statements, few enough not to keep orders waiting.
const batch = 500

// Customers first, as everywhere; those whom somebody holds are left for later.
// Plan: memberships_due_idx in its order, customers_pkey.
const dueSQL = `SELECT m.customer_id, m.review_at FROM memberships m JOIN customers c ON c.id = m.customer_id
WHERE m.review_at <= $1 AND (m.review_at, m.customer_id) > ($2, $3) ORDER BY m.review_at, m.customer_id LIMIT $4 FOR NO KEY UPDATE OF c SKIP LOCKED`

// What another worker has done since the first statement began is not due any more.
const lockDueSQL = "SELECT " + heldColumns + ` FROM memberships m JOIN customers c ON c.id = m.customer_id
WHERE m.customer_id = ANY($1::uuid[]) AND m.review_at <= $2 ORDER BY m.customer_id FOR UPDATE OF m`

// ReviewDue reviews all who are due and says how many there were. Any number of
// workers share them, and it does not matter how long nobody came.
func (s *Service) ReviewDue(ctx context.Context) (n int, err error) {
	ctx = auth.System(ctx, "membership.review")
	var after time.Time
	var last uuid.UUID
	for {
		found, reviewed, now := 0, 0, s.clock.Now()
		at, who := after, last
		err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
			rows, err := tx.Query(ctx, dueSQL, now, after, last, batch)
			if err != nil {
				return err
			}
			defer rows.Close()
			var of ids
			for rows.Next() {
				if err := rows.Scan(&who, &at); err != nil {
					return err
				}
				of = append(of, who)
			}
			if err := rows.Err(); err != nil {
				return err
			}
			if found = len(of); found == 0 {
				return nil
			}
			due, err := scanHeld(tx.Query(ctx, lockDueSQL, of, now))
			if err != nil {
				return err
			}
			reviewed = len(due)
			return s.review(ctx, tx, due)
		})
		if err != nil {
			return n, err
		}
		n += reviewed
		if after, last = at, who; found < batch {
			return n, nil
		}
	}
}

var (
	updateMemberships = db.NewBatch(`UPDATE memberships m SET tier_code = NULLIF(t.tier, ''), since_at = t.since, ends_at = t.ends, grace_ends_at = t.grace, grant_id = t.granted, scheme_number = t.scheme,
review_at = t.review, reviewed_at = $9, version = m.version + 1, updated_at = $9 FROM {rows} WHERE m.id = t.id`,
		column("id", "uuid"), column("tier", "text"), column("since", "timestamptz"), column("ends", "timestamptz"), column("grace", "timestamptz"), column("granted", "uuid"), column("scheme", "bigint"),
		column("review", "timestamptz"))

	insertChanges = db.NewBatch(`INSERT INTO membership_changes (id, membership_id, from_tier, to_tier, reason, scheme_number, facts, grant_id, ends_at, effective_at, created_at)
SELECT t.id, t.membership, NULLIF(t.from_tier, ''), NULLIF(t.to_tier, ''), t.reason, t.scheme, t.facts::jsonb, t.granted, t.ends, t.effective, $11 FROM {rows}`,
		column("id", "uuid"), column("membership", "uuid"), column("from_tier", "text"), column("to_tier", "text"), column("reason", "text"), column("scheme", "bigint"), column("facts", "text"),
		column("granted", "uuid"), column("ends", "timestamptz"), column("effective", "timestamptz"))
)

func column(name, kind string) db.BatchColumn { return db.BatchColumn{Name: name, Type: kind} }

// review replays locked memberships and writes what has become of them.
func (s *Service) review(ctx context.Context, tx *db.Tx, due []*held) error {
	n := len(due)
	if n == 0 {
		return nil
	}
	of := make([]uuid.UUID, n)
	for i, h := range due {
		of[i] = h.customer
	}
	all, err := s.reigns(ctx, tx.Clients)
	if err != nil {
		return err
	}
	facts, err := s.facts(ctx, tx.Clients, of, all)
	if err != nil {
		return err
	}
	grants, err := s.grants(ctx, tx.Clients, of)
	if err != nil {
		return err
	}
	now := s.clock.Now()
	rows, tiers := make(ids, n), make([]string, n)
	since, ends, grace, review := make([]*time.Time, n), make([]*time.Time, n), make([]*time.Time, n), make([]*time.Time, n)
	held, numbers := make([]*uuid.UUID, n), make([]int64, n)
	var steps []found
	var moved ids
	var codes []string
	for i, h := range due {
		st, replayed := replay(s.clock, all, facts[h.customer], grants[h.customer], now)
		rows[i], tiers[i], ends[i], grace[i], review[i], held[i], numbers[i] = h.id, st.Tier, st.Ends, st.GraceEnds, st.Review, st.GrantID, st.Scheme
		if st.Tier != "" {
			since[i] = &st.Since
		}
		news := s.news(inForce(all, s.clock.DayOf(now)), facts[h.customer], h, replayed, now)
		for _, step := range news {
			steps = append(steps, found{h, step})
		}
		if st.Tier != h.tier {
			moved, codes = append(moved, h.customer), append(codes, st.Tier)
			s.tell(ctx, tx, h, news[len(news)-1].Reason, st.Tier)
		}
	}
	if _, err := tx.Exec(ctx, updateMemberships.SQL(n), rows, pq.Array(tiers), pq.Array(since), pq.Array(ends), pq.Array(grace), pq.Array(held), pq.Array(numbers), pq.Array(review), now); err != nil {
		return err
	}
	if err := insertSteps(ctx, tx, steps, now); err != nil {
		return err
	}
	return s.customers.SetTiers(ctx, tx, moved, codes)
}

// tell records that a member is in another tier, and tells who cares.
func (s *Service) tell(ctx context.Context, tx *db.Tx, h *held, reason Reason, to string) {
	audit.Record(ctx, tx, audit.Entry{Action: "membership.review", ObjectType: "customer", ObjectID: h.customer.String(), StoreID: h.store, StaffID: h.staffID,
		Changes: map[string]any{"from": h.tier, "to": to, "reason": reason}})
	events.Emit(tx, events.Event{Type: EventTierChanged, SubjectType: "customer", SubjectID: h.customer, StoreID: h.store, Payload: TierChange{h.customer, h.tier, to, reason}})
}

// found is a step of a membership that was not known.
type found struct {
	of *held
	Step
}

// news are the steps of a replay that are not in the history yet. Those since the
// last review are as they are. Where what was known then turns out to have been
// otherwise, one step more comes before them: from where the member was said to
// be to where they should have been.
func (s *Service) news(scheme *Scheme, f Facts, h *held, steps []Step, now time.Time) []Step {
	if h.reviewed == nil || scheme == nil {
		return steps
	}
	i := len(steps)
	for i > 0 && steps[i-1].At.After(*h.reviewed) {
		i--
	}
	if i == 0 {
		if h.tier == "" {
			return steps
		}
		// It was never reached, as is known now.
		today := s.clock.DayOf(now)
		lost := Step{At: now, From: h.tier, Reason: Recalculated, Scheme: scheme.Number, Facts: measured(scheme, f, scheme.Rules.windowStart(today), today)}
		return append([]Step{lost}, steps...)
	}
	then := steps[i-1]
	if then.To == h.tier && sameTime(then.Ends, h.ends) && sameID(then.GrantID, h.grant) {
		return steps[i:]
	}
	late := s.clock.DayOf(then.At) < s.clock.DayOf(*h.reviewed)
	if late || then.Reason == Reached && scheme.place(then.To) < scheme.place(h.tier) {
		then.Reason = Recalculated
	}
	then.From = h.tier
	return append([]Step{then}, steps[i:]...)
}

func insertSteps(ctx context.Context, tx *db.Tx, all []found, now time.Time) error {
	n := len(all)
	if n == 0 {
		return nil
	}
	made, of, from, to, reasons := make(ids, n), make(ids, n), make([]string, n), make([]string, n), make([]string, n)
	numbers, facts, grants, ends, at := make([]int64, n), make([]string, n), make([]*uuid.UUID, n), make([]*time.Time, n), make([]time.Time, n)
	for i, f := range all {
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		raw, err := json.Marshal(f.Facts)
		if err != nil {
			return err
		}
		made[i], of[i], from[i], to[i], reasons[i], numbers[i], facts[i], grants[i], ends[i], at[i] = id, f.of.id, f.From, f.To, string(f.Reason), f.Scheme, string(raw), f.GrantID, f.Ends, f.At
	}
	_, err := tx.Exec(ctx, insertChanges.SQL(n), made, of, pq.Array(from), pq.Array(to), pq.Array(reasons), pq.Array(numbers), pq.Array(facts), pq.Array(grants), pq.Array(ends), pq.Array(at), now)
	return err
}
