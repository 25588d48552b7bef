package customers

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"cel.dev/cel-go/cel"
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/lifecycle"
)

// Severity is what a broken rule does.
type Severity string

// Severities.
const (
	SeverityError   Severity = "error"   // the write is refused
	SeverityWarning Severity = "warning" // it is done, and the answer tells
)

// Rule is a validation rule: an expression over one customer that must be true.
type Rule struct {
	ID         uuid.UUID
	Entity     string // customer
	Code       string
	Severity   Severity
	Expression string
	RuleTexts
	Active    bool
	Revision  int64 // of expression and severity
	Trial     *Trial
	Version   int64
	CreatedAt time.Time
	UpdatedAt time.Time

	program cel.Program
}

// RuleTexts is the part of a rule that is kept as JSON.
type RuleTexts struct {
	Message Labels `json:"message"`
	Pointer string `json:"pointer,omitempty"` // the field it concerns, as "/birth_date"
}

// Trial is what came of a rule on the customers there were.
type Trial struct {
	Revision      int64       `json:"revision"` // of the rule it was made with
	Checked       int64       `json:"checked"`
	Broken        int64       `json:"broken"`
	NotApplicable int64       `json:"not_applicable"` // values that the expression needs are missing
	Samples       []uuid.UUID `json:"samples"`        // customers that break it, of those whoever tried it may see
	At            time.Time   `json:"at"`
}

// tried reports whether the rule was tried as it is now.
func (r *Rule) tried() bool { return r.Trial != nil && r.Trial.Revision == r.Revision }

// Warning is a broken rule that did not refuse a write.
type Warning struct {
	Rule    string // its code
	Pointer string
	Message Labels
}

// ruleSet are the active rules, the automatic tags and the rules of lifecycle
// stages, compiled against the custom fields of one revision. It is shared and
// never changed.
type ruleSet struct {
	revisions       ruleRevisions
	active          []*Rule
	custom          []*Field // what expressions may name
	tags            []*autoTag
	tagsByPurchases bool // some tag's condition names what the customer bought
	tagsByStage     bool // or the stage
	stages          lifecycle.Settings
	dayOf           func(time.Time) clock.Day
	assigning       map[uuid.UUID]bool // stores with rules for assistants
}

type ruleRevisions struct{ rules, fields, conditions, stages, assignments int64 }

// needPurchases reports whether judging a change of a record needs to know what
// the customer bought.
func (r *ruleSet) needPurchases() bool { return r.tagsByPurchases || r.stages.UsesCard() }

// ruleCache is this process's copy of the active rules.
type ruleCache struct {
	mu   sync.Mutex
	set  *ruleSet
	read time.Time
}

func (c *ruleCache) get() (*ruleSet, time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.set, c.read
}

func (c *ruleCache) put(set *ruleSet, read time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set, c.read = set, read
}

func (c *ruleCache) stale() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read = time.Time{}
}

// activeRules are those in force, at most a second old: on every replica a rule
// holds a second after it was activated at the latest.
func (s *Service) activeRules(ctx context.Context) (*ruleSet, error) {
	set, read := s.rules.get()
	if set != nil && time.Since(read) < definitionsAge {
		return set, nil
	}
	c := s.db.From(ctx)
	now := time.Now()
	var at ruleRevisions
	if err := c.QueryRow(ctx, `SELECT max(revision) FILTER (WHERE name = 'validation_rules'), max(revision) FILTER (WHERE name = 'custom_fields'),
		max(revision) FILTER (WHERE name = 'automatic_tags'), max(revision) FILTER (WHERE name = 'assignment_rules'), coalesce((SELECT version FROM settings WHERE key = $1), 0) FROM definition_revisions`,
		lifecycle.SettingKey).Scan(&at.rules, &at.fields, &at.conditions, &at.assignments, &at.stages); err != nil {
		return nil, err
	}
	if set != nil && set.revisions == at {
		s.rules.put(set, now)
		return set, nil
	}
	all, err := readFields(ctx, c, "AND archived_at IS NULL ORDER BY key")
	if err != nil {
		return nil, err
	}
	active, err := readRules(ctx, c, "AND active ORDER BY code")
	if err != nil {
		return nil, err
	}
	next := &ruleSet{revisions: at, custom: expressible(all), dayOf: s.clock.DayOf}
	if next.stages, err = readStages(ctx, c); err != nil {
		return nil, err
	}
	assigned, err := readAssignmentRules(ctx, c, "WHERE a.active")
	if err != nil {
		return nil, err
	}
	next.assigning = map[uuid.UUID]bool{}
	for _, a := range assigned {
		next.assigning[a.StoreID] = true
	}
	if err := next.readTags(ctx, c); err != nil {
		return nil, err
	}
	if len(active) > 0 {
		env, err := ruleEnv(next.custom, withTags)
		if err != nil {
			return nil, err
		}
		for _, r := range active {
			// It compiled when it was activated, and a change of a field that would
			// break it was refused.
			if r.program, err = compileRule(env, r.Expression); err != nil {
				return nil, fmt.Errorf("validation rule %s: %w", r.Code, err)
			}
		}
		next.active = active
	}
	s.rules.put(next, now)
	return next, nil
}

// expressible are the fields that expressions may name: personal ones would let
// a rule tell about values that its author must not see.
func expressible(all []*Field) []*Field {
	return slices.DeleteFunc(slices.Clone(all), func(f *Field) bool { return f.Personal || f.ArchivedAt != nil })
}

const ruleColumns = "id, entity, code, severity, expression, definition, active, revision, trial, version, created_at, updated_at"

// readRules reads rules; tail is what follows the WHERE clause.
func readRules(ctx context.Context, c *db.Clients, tail string, args ...any) ([]*Rule, error) {
	rows, err := c.Query(ctx, "SELECT "+ruleColumns+" FROM validation_rules WHERE entity = 'customer' "+tail, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []*Rule
	for rows.Next() {
		r, err := scanRule(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

func scanRule(rows *sql.Rows) (*Rule, error) {
	r := &Rule{}
	var texts, trial []byte
	if err := rows.Scan(&r.ID, &r.Entity, &r.Code, &r.Severity, &r.Expression, &texts, &r.Active, &r.Revision, &trial, &r.Version, &r.CreatedAt, &r.UpdatedAt); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(texts, &r.RuleTexts); err != nil {
		return nil, fmt.Errorf("validation rule %s: %w", r.ID, err)
	}
	if trial != nil {
		r.Trial = &Trial{}
		if err := json.Unmarshal(trial, r.Trial); err != nil {
			return nil, fmt.Errorf("trial of validation rule %s: %w", r.ID, err)
		}
	}
	r.CreatedAt, r.UpdatedAt = r.CreatedAt.UTC(), r.UpdatedAt.UTC()
	return r, nil
}

// ruleOf reads one rule. Error: ErrRuleNotFound.
func ruleOf(ctx context.Context, c *db.Clients, id uuid.UUID, tail string) (*Rule, error) {
	found, err := readRules(ctx, c, "AND id = $1 "+tail, id)
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0:
		return nil, ErrRuleNotFound.New()
	}
	return found[0], nil
}

// judge puts a customer into the stage that follows from the rules, if the write
// can have changed it, gives the automatic tags whose conditions hold, and holds
// the customer against the active rules: errors become faults, warnings stay with the
// customer for the answer. An existing customer must be ready (Service.ready).
func (r *ruleSet) judge(c *Customer, today time.Time, bad *faults) {
	c.Warnings = nil
	if len(*bad) > 0 {
		return // a customer with other faults is not what the rules would see
	}
	r.derive(c, today)
	r.tag(c, today)
	if len(r.active) == 0 {
		return
	}
	vars := r.variables(subjectOf(c), today)
	for _, rule := range r.active {
		if rule.holds(vars) != broken {
			continue
		}
		if rule.Severity == SeverityWarning {
			c.Warnings = append(c.Warnings, Warning{Rule: rule.Code, Pointer: rule.Pointer, Message: rule.Message})
			continue
		}
		*bad = append(*bad, apperr.Field{Pointer: rule.Pointer, Code: ErrRuleBroken.Code, Args: rule.Message.args(), Rule: rule.Code})
	}
}

// messageOf is the contrary of args.
func messageOf(args map[string]any) Labels {
	en, _ := args["message_en"].(string)
	zh, _ := args["message_zh"].(string)
	return Labels{EN: en, ZH: zh}
}

// args are the values of the catalogue's text for a broken rule.
func (l Labels) args() map[string]any { return map[string]any{"message_en": l.EN, "message_zh": l.ZH} }
