package customers

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/events"
	"github.com/shuke-crm/shuke/internal/platform/lifecycle"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// EventStageChanged says that a customer is in another lifecycle stage.
var EventStageChanged = events.Define("customer.lifecycle_changed", "顾客的生命周期阶段发生变化", "A customer is in another lifecycle stage.")

// Why what a customer bought, or the stage that follows from it, changed.
const (
	CauseOrder     = "order"    // an order or a return
	CauseCalendar  = "calendar" // days have passed
	CauseRules     = "rules"    // the rules or the RFM settings were changed
	CauseMerge     = originMerge
	CauseMergeUndo = originMergeUndo
	causeRelease   = "release" // somebody let go of a stage set by hand
)

// StageMove is a customer whom the rules put into another stage.
type StageMove struct {
	ID               uuid.UUID
	StoreID, StaffID *uuid.UUID
	From, To         string
	Rule             string // its code; empty when none fits
}

type stageChange struct {
	From  string `json:"from"`
	To    string `json:"to"`
	Cause string `json:"cause"`
	Rule  string `json:"rule,omitempty"`
}

// Bought is what package segments calls in the transaction that changed the
// metrics of customers, whom it has locked before: stages move, and automatic
// tags whose conditions look at purchases or stages are judged. Metrics of those
// who moved need not have changed.
func (s *Service) Bought(ctx context.Context, tx *db.Tx, cause string, changed []uuid.UUID, moves []StageMove) error {
	if len(changed)+len(moves) == 0 {
		return nil
	}
	ctx = withOrigin(ctx, cause)
	if err := s.moveStages(ctx, tx, cause, moves); err != nil {
		return err
	}
	rules, err := s.activeRules(ctx)
	if err != nil || !rules.tagsByPurchases && !rules.tagsByStage {
		return err
	}
	var ids []uuid.UUID
	if rules.tagsByPurchases {
		ids = slices.Clone(changed)
	}
	for i := range moves { // a condition on purchases may name a stage beside
		ids = append(ids, moves[i].ID)
	}
	if ids = unique(ids); len(ids) == 0 {
		return nil
	}
	_, err = s.retag(ctx, tx, ids)
	return err
}

// moveStages writes stages, one statement for each rule.
func (s *Service) moveStages(ctx context.Context, tx *db.Tx, cause string, moves []StageMove) error {
	type step struct{ to, rule string }
	by := map[step]pgarray.UUIDs{}
	ids := make([]uuid.UUID, len(moves))
	for i := range moves {
		m := &moves[i]
		ids[i] = m.ID
		by[step{m.To, m.Rule}] = append(by[step{m.To, m.Rule}], m.ID)
		audit.Record(ctx, tx, audit.Entry{Action: "customers.lifecycle", ObjectType: "customer", ObjectID: m.ID.String(), StoreID: m.StoreID, StaffID: m.StaffID,
			Changes: map[string]any{"from": m.From, "to": m.To, "cause": cause, "rule": m.Rule}})
		events.Emit(tx, events.Event{Type: EventStageChanged, SubjectType: "customer", SubjectID: m.ID, StoreID: m.StoreID, Payload: stageChange{m.From, m.To, cause, m.Rule}})
	}
	for to, group := range by {
		if _, err := tx.Exec(ctx, `
			UPDATE customers c SET lifecycle_stage = $2, version = c.version + 1, updated_at = $3
			FROM (SELECT set_config('shuke.change', $4, true)) said WHERE c.id = ANY ($1::uuid[])`,
			group, to.to, s.clock.Now(), changeFor(ctx, to.rule)); err != nil {
			return err
		}
	}
	s.Touch(ctx, tx, ids...)
	return nil
}

// readStages reads the rules of stages in force.
func readStages(ctx context.Context, c *db.Clients) (out lifecycle.Settings, err error) {
	var raw []byte
	err = c.QueryRow(ctx, "SELECT value FROM settings WHERE key = $1", lifecycle.SettingKey).Scan(&raw)
	if errors.Is(err, sql.ErrNoRows) {
		return lifecycle.Default(), nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &out)
	}
	return out, err
}

// derive sets the stage of a customer whose facts are known by the rules, unless
// it was set by hand.
func (r *ruleSet) derive(c *Customer, today time.Time) {
	if c.LifecyclePinned || !c.factsKnown {
		return
	}
	f := &lifecycle.Facts{Created: r.dayOf(c.CreatedAt), HasCard: c.Card != ""}
	if p := c.bought; p != nil {
		f.First, f.Last, f.Orders, f.NetSpent, f.Band = p.first, p.last, p.orders, p.spent-p.returned, p.band
	}
	c.LifecycleStage, c.stageRule = r.stages.Stage(f, clock.DayFromDate(today))
}

// AwaitRules returns when every replica knows the definitions and rules that had
// been committed at the call.
func (s *Service) AwaitRules(ctx context.Context) error {
	select {
	case <-time.After(definitionsAge):
	case <-ctx.Done():
		return ctx.Err()
	}
	s.rules.stale()
	return nil
}

// ReleaseStage lets go of a stage that was set by hand: from now on it follows
// from the rules again. One that does already changes nothing.
// Errors: ErrNotFound, ErrArchived, request.version_mismatch.
func (s *Service) ReleaseStage(ctx context.Context, id uuid.UUID, ifMatch *string) (*Customer, error) {
	ctx = withOrigin(ctx, causeRelease)
	return s.change(ctx, id, ifMatch, func(ctx context.Context, tx *db.Tx, c *Customer) (change, error) {
		if c.ArchivedAt != nil {
			return change{}, ErrArchived.New()
		}
		old := *c
		if err := s.readPurchases(ctx, tx, c); err != nil {
			return change{}, err
		}
		c.LifecyclePinned = false
		rules, err := s.activeRules(ctx)
		if err != nil {
			return change{}, err
		}
		var bad faults
		rules.judge(c, s.clock.Today().Time(), &bad)
		return change{"customers.lifecycle_release", EventUpdated, c.differences(&old), nil}, bad.err()
	})
}

// noteStage tells of a stage that a write of the customer's record changed.
func noteStage(ctx context.Context, tx *db.Tx, c *Customer, from string) {
	if from == c.LifecycleStage {
		return
	}
	cause := CauseRules
	if origin := originOfChange(ctx); c.LifecyclePinned || origin == causeRelease {
		cause = origin
	}
	events.Emit(tx, events.Event{Type: EventStageChanged, SubjectType: "customer", SubjectID: c.ID, StoreID: c.HomeStoreID,
		Payload: stageChange{from, c.LifecycleStage, cause, c.stageRule}})
}

// StageChange is one line of a customer's lifecycle.
type StageChange struct {
	ID        uuid.UUID
	From      *string // nil: made so
	To        string
	Pinned    bool
	Cause     string
	Rule, By  *string
	ChangedAt time.Time
}

type stagePosition struct {
	At time.Time `json:"t"`
	ID uuid.UUID `json:"i"`
}

// stageChanges lists how a customer of the caller's scope came to their stage,
// the latest change first.
// Plan: customer_lifecycle_changes_customer_idx.
func (s *Service) stageChanges(ctx context.Context, id uuid.UUID, after *stagePosition, limit int) ([]StageChange, error) {
	query, args := "SELECT id, from_stage, to_stage, pinned, cause, rule, changed_by, changed_at FROM customer_lifecycle_changes WHERE customer_id = $1", []any{id}
	if after != nil {
		query += " AND (changed_at, id) < ($2, $3)"
		args = append(args, after.At, after.ID)
	}
	rows, err := s.db.From(ctx).Query(ctx, query+" ORDER BY changed_at DESC, id DESC LIMIT "+itoa(limit), args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []StageChange
	for rows.Next() {
		var c StageChange
		if err := rows.Scan(&c.ID, &c.From, &c.To, &c.Pinned, &c.Cause, &c.Rule, &c.By, &c.ChangedAt); err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, rows.Err()
}

func (s *Service) countStageChanges(ctx context.Context, id uuid.UUID) (n int, err error) {
	err = s.db.From(ctx).QueryRow(ctx, "SELECT count(*) FROM customer_lifecycle_changes WHERE customer_id = $1", id).Scan(&n)
	return n, err
}
