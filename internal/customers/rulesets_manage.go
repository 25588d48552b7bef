package customers

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/shuke-crm/shuke/ent/crm/customer"
	"github.com/shuke-crm/shuke/ent/platform"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/events"
	"github.com/shuke-crm/shuke/internal/platform/jobs"
)

// Domain events of validation rules.
var (
	EventRuleCreated = events.Define("validation_rule.created", "新建了校验规则", "A validation rule was made.")
	EventRuleUpdated = events.Define("validation_rule.updated", "修改、启用或停用了校验规则", "A validation rule was changed, activated or deactivated.")
	EventRuleDeleted = events.Define("validation_rule.deleted", "删除了校验规则", "A validation rule was deleted.")
)

const (
	jobTryRule   = "customers.try_rule"
	maxRules     = 100
	tryBatch     = 2000
	trialSamples = 20
)

var (
	ruleCodePattern    = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
	rulePointerPattern = regexp.MustCompile(`^(/[a-z][a-z0-9_]{0,63}){1,2}$`)
)

// RuleInput is a new rule.
type RuleInput struct {
	Code       string
	Severity   Severity
	Expression string
	RuleTexts
}

// RuleChange is what to change of a rule; nil parts stay.
type RuleChange struct {
	Severity   *Severity
	Expression *string
	Message    *Labels
	Pointer    *string
}

// checkRule holds a rule against itself and the custom fields there are.
func checkRule(ctx context.Context, tx *db.Tx, r *Rule) error {
	var bad faults
	if !ruleCodePattern.MatchString(r.Code) {
		bad.add("/code", ErrValue)
	}
	if r.Pointer != "" && !rulePointerPattern.MatchString(r.Pointer) {
		bad.add("/pointer", ErrValue)
	}
	for _, l := range []struct {
		pointer string
		text    *string
	}{{"/message/en", &r.Message.EN}, {"/message/zh", &r.Message.ZH}} {
		if *l.text = strings.TrimSpace(*l.text); *l.text == "" || utf8.RuneCountInString(*l.text) > 200 {
			bad.add(l.pointer, ErrValue)
		}
	}
	if utf8.RuneCountInString(r.Expression) > maxExpression {
		bad.add("/expression", ErrTooLong, map[string]any{"max": maxExpression})
	}
	if err := bad.err(); err != nil {
		return err
	}
	return compiles(ctx, tx, r)
}

// compiles compiles rules against the custom fields as the transaction sees them.
func compiles(ctx context.Context, tx *db.Tx, rules ...*Rule) error {
	all, err := readFields(ctx, tx.Clients, "AND archived_at IS NULL ORDER BY key")
	if err != nil {
		return err
	}
	env, err := ruleEnv(expressible(all), withTags)
	if err != nil {
		return err
	}
	for _, r := range rules {
		if r.program, err = compileRule(env, r.Expression); err != nil {
			return err
		}
	}
	return nil
}

// rulesStillCompile refuses a change of custom fields that an active rule or an
// automatic tag would not survive. Errors: ErrFieldInRule, ErrFieldInTag.
func rulesStillCompile(ctx context.Context, tx *db.Tx) error {
	active, err := readRules(ctx, tx.Clients, "AND active ORDER BY code")
	if err != nil {
		return err
	}
	for _, r := range active {
		if err := compiles(ctx, tx, r); err != nil {
			if ErrRuleExpression.Is(err) {
				return ErrFieldInRule.New().Arg("rule", r.Code)
			}
			return err
		}
	}
	return conditionsStillCompile(ctx, tx)
}

// CreateRule makes a rule, not active yet.
// Errors: ErrRuleExpression, ErrRuleDuplicate, ErrRuleCount, those of single fields.
func (s *Service) CreateRule(ctx context.Context, in RuleInput) (*Rule, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	now := s.clock.Now().UTC().Truncate(time.Microsecond)
	r := &Rule{ID: id, Entity: "customer", Code: in.Code, Severity: in.Severity, Expression: in.Expression, RuleTexts: in.RuleTexts,
		Revision: 1, Version: 1, CreatedAt: now, UpdatedAt: now}
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := checkRule(ctx, tx, r); err != nil {
			return err
		}
		var n int
		if err := tx.QueryRow(ctx, "SELECT count(*) FROM validation_rules").Scan(&n); err != nil {
			return err
		}
		if n >= maxRules {
			return ErrRuleCount.New().Arg("max", maxRules)
		}
		texts, err := json.Marshal(r.RuleTexts)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO validation_rules (id, entity, code, severity, expression, definition, version, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6::jsonb, 1, $7, $7)`, r.ID, r.Entity, r.Code, string(r.Severity), r.Expression, string(texts), now); err != nil {
			return err
		}
		noteRule(ctx, tx, "validation_rules.create", EventRuleCreated, r, nil)
		return nil
	})
	if db.Violated(err) == "validation_rules_code_key" {
		return nil, ErrRuleDuplicate.At("/code")
	}
	return r, err
}

func noteRule(ctx context.Context, tx *db.Tx, action, event string, r *Rule, changed []string) {
	changes := map[string]any{"code": r.Code, "severity": r.Severity, "expression": r.Expression}
	if len(changed) > 0 {
		changes["fields"] = changed
	}
	audit.Record(ctx, tx, audit.Entry{Action: action, ObjectType: "validation_rule", ObjectID: r.ID.String(), Changes: changes})
	events.Emit(tx, events.Event{Type: event, SubjectType: "validation_rule", SubjectID: r.ID})
}

// changeRule locks a rule for a change, and lets everybody read the active ones
// anew when it is done. The lock on definitions keeps a custom field that the
// rule names from changing meanwhile.
func (s *Service) changeRule(ctx context.Context, id uuid.UUID, ifMatch *string, required bool, f func(context.Context, *db.Tx, *Rule) error) (*Rule, error) {
	var r *Rule
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock_shared($1)", int64(fieldsLock)); err != nil {
			return err
		}
		if r, err = ruleOf(ctx, tx.Clients, id, "FOR UPDATE"); err != nil {
			return err
		}
		check := etag.Check
		if required {
			check = etag.Require
		}
		if err := check(ifMatch, r.Version); err != nil {
			return err
		}
		if err := f(ctx, tx, r); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE definition_revisions SET revision = revision + 1 WHERE name = 'validation_rules'"); err != nil {
			return err
		}
		tx.AfterCommit(func(context.Context) { s.rules.stale() })
		return nil
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// UpdateRule changes a rule. The expression and severity of an active one stay.
// Errors: ErrRuleNotFound, ErrRuleActive, ErrRuleExpression, request.version_required,
// request.version_mismatch, those of single fields.
func (s *Service) UpdateRule(ctx context.Context, id uuid.UUID, ch RuleChange, ifMatch *string) (*Rule, error) {
	return s.changeRule(ctx, id, ifMatch, true, func(ctx context.Context, tx *db.Tx, r *Rule) error {
		old := *r
		set(&r.Severity, ch.Severity)
		set(&r.Expression, ch.Expression)
		set(&r.Message, ch.Message)
		set(&r.Pointer, ch.Pointer)
		if err := checkRule(ctx, tx, r); err != nil {
			return err
		}
		var changed []string
		if r.Severity != old.Severity {
			changed = append(changed, "severity")
		}
		if r.Expression != old.Expression {
			changed = append(changed, "expression")
		}
		if len(changed) > 0 {
			if r.Active {
				return ErrRuleActive.New()
			}
			r.Revision++
		}
		if r.RuleTexts != old.RuleTexts {
			changed = append(changed, "message")
		}
		if len(changed) == 0 {
			return nil
		}
		texts, err := json.Marshal(r.RuleTexts)
		if err != nil {
			return err
		}
		r.Version, r.UpdatedAt = r.Version+1, s.clock.Now().UTC().Truncate(time.Microsecond)
		noteRule(ctx, tx, "validation_rules.update", EventRuleUpdated, r, changed)
		_, err = tx.Exec(ctx, "UPDATE validation_rules SET severity = $2, expression = $3, definition = $4::jsonb, revision = $5, version = $6, updated_at = $7 WHERE id = $1",
			id, string(r.Severity), r.Expression, string(texts), r.Revision, r.Version, r.UpdatedAt)
		return err
	})
}

// DeleteRule removes a rule, also an active one.
// Errors: ErrRuleNotFound, request.version_required, request.version_mismatch.
func (s *Service) DeleteRule(ctx context.Context, id uuid.UUID, ifMatch *string) error {
	_, err := s.changeRule(ctx, id, ifMatch, true, func(ctx context.Context, tx *db.Tx, r *Rule) error {
		noteRule(ctx, tx, "validation_rules.delete", EventRuleDeleted, r, nil)
		_, err := tx.Exec(ctx, "DELETE FROM validation_rules WHERE id = $1", id)
		return err
	})
	return err
}

// ActivateRule puts a rule in force that has been tried as it is; again, it
// changes nothing. Errors: ErrRuleNotFound, ErrRuleUntried, ErrRuleExpression,
// request.version_mismatch.
func (s *Service) ActivateRule(ctx context.Context, id uuid.UUID, ifMatch *string) (*Rule, error) {
	return s.changeRule(ctx, id, ifMatch, false, func(ctx context.Context, tx *db.Tx, r *Rule) error {
		switch {
		case r.Active:
			return nil
		case !r.tried():
			return ErrRuleUntried.New()
		}
		if err := compiles(ctx, tx, r); err != nil { // fields may have changed since
			return err
		}
		return s.switchRule(ctx, tx, r, true, "validation_rules.activate")
	})
}

// DeactivateRule takes a rule out of force; again, it changes nothing.
// Errors: ErrRuleNotFound, request.version_mismatch.
func (s *Service) DeactivateRule(ctx context.Context, id uuid.UUID, ifMatch *string) (*Rule, error) {
	return s.changeRule(ctx, id, ifMatch, false, func(ctx context.Context, tx *db.Tx, r *Rule) error {
		if !r.Active {
			return nil
		}
		return s.switchRule(ctx, tx, r, false, "validation_rules.deactivate")
	})
}

func (s *Service) switchRule(ctx context.Context, tx *db.Tx, r *Rule, active bool, action string) error {
	r.Active, r.Version, r.UpdatedAt = active, r.Version+1, s.clock.Now().UTC().Truncate(time.Microsecond)
	noteRule(ctx, tx, action, EventRuleUpdated, r, nil)
	_, err := tx.Exec(ctx, "UPDATE validation_rules SET active = $2, version = $3, updated_at = $4 WHERE id = $1", r.ID, r.Active, r.Version, r.UpdatedAt)
	return err
}

// tryRule is what the job needs.
type tryRule struct {
	RuleID   uuid.UUID  `json:"rule_id"`
	Revision int64      `json:"revision"`
	Scope    auth.Scope `json:"scope"` // of whoever tries: which customers may be named
}

// TryRule starts the job that holds all active customers against a rule as it
// is now. Errors: ErrRuleNotFound, ErrRuleExpression.
func (s *Service) TryRule(ctx context.Context, id uuid.UUID) (job *platform.Job, err error) {
	actor, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		r, err := ruleOf(ctx, tx.Clients, id, "")
		if err != nil {
			return err
		}
		if err := compiles(ctx, tx, r); err != nil {
			return err
		}
		// Ids of customers are shown to who may read customers, as far as that goes.
		scope := auth.Scope{}
		if actor.Can(auth.CustomersRead) {
			scope = actor.ScopeOf(auth.CustomersRead)
		}
		job, err = s.queue.StartVisible(ctx, tx, jobTryRule, tryRule{id, r.Revision, scope})
		audit.Record(ctx, tx, audit.Entry{Action: "validation_rules.try", ObjectType: "validation_rule", ObjectID: id.String()})
		return err
	})
	return job, err
}

// subjectColumns are what rules know of a row; of sealed columns only whether
// they are there.
const subjectSQL = `
SELECT c.id, c.birth_date, c.gender, c.language, c.source, c.lifecycle_stage, c.home_store_id, c.assigned_staff_id, coalesce(c.address_region, ''), coalesce(c.address_city, ''),
       length(c.name_sealed) > 0 IS TRUE, c.phone_index IS NOT NULL, c.email_index IS NOT NULL, c.card_number_index IS NOT NULL, c.external_id IS NOT NULL,
       ARRAY(SELECT t.name FROM tags t WHERE t.id = ANY (c.tag_ids) ORDER BY t.name), c.marketing_preferences, c.custom_fields
FROM customers c WHERE c.archived_at IS NULL AND c.id > $1 ORDER BY c.id LIMIT $2`

// runTryRule holds customers against a rule, batch by batch in the order of
// their ids, and keeps what came of it unless the rule has changed meanwhile.
// A second attempt begins anew: it only reads.
func (s *Service) runTryRule(ctx context.Context, t tryRule, p *jobs.Progress) (any, error) {
	ctx = auth.System(ctx, jobTryRule)
	r, err := ruleOf(ctx, s.db.Clients, t.RuleID, "")
	if err != nil {
		return nil, err
	}
	if r.Revision != t.Revision {
		return nil, ErrRuleChanged.New()
	}
	all, err := readFields(ctx, s.db.Clients, "AND archived_at IS NULL ORDER BY key")
	if err != nil {
		return nil, err
	}
	rules := &ruleSet{custom: expressible(all)}
	env, err := ruleEnv(rules.custom, withTags)
	if err != nil {
		return nil, err
	}
	if r.program, err = compileRule(env, r.Expression); err != nil {
		return nil, err
	}
	total, err := s.db.CRM.Customer.Query().Where(customer.ArchivedAtIsNil()).Count(ctx)
	if err != nil {
		return nil, err
	}
	trial := &Trial{Revision: r.Revision, Samples: []uuid.UUID{}}
	today := s.clock.Today().Time()
	for last := uuid.Nil; ; {
		if p.Cancelled() {
			return nil, jobs.ErrCancelled
		}
		n, next, err := s.tryBatch(ctx, r, rules, t.Scope, today, last, trial)
		if err != nil {
			return nil, err
		}
		p.Set(trial.Checked, max(int64(total), trial.Checked))
		if last = next; n < tryBatch {
			break
		}
	}
	trial.At = s.clock.Now().UTC().Truncate(time.Microsecond)
	raw, err := json.Marshal(trial)
	if err != nil {
		return nil, err
	}
	res, err := s.db.Exec(ctx, "UPDATE validation_rules SET trial = $3::jsonb, version = version + 1, updated_at = $4 WHERE id = $1 AND revision = $2", r.ID, r.Revision, string(raw), trial.At)
	if err != nil {
		return nil, err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return nil, ErrRuleChanged.Wrap(err)
	}
	return trial, nil
}

func (s *Service) tryBatch(ctx context.Context, r *Rule, rules *ruleSet, sees auth.Scope, today time.Time, after uuid.UUID, t *Trial) (n int, last uuid.UUID, err error) {
	rows, err := s.db.Query(ctx, subjectSQL, after, tryBatch)
	if err != nil {
		return 0, after, err
	}
	defer rows.Close()
	for last = after; rows.Next(); n++ {
		var one subject
		var store, staff uuid.NullUUID
		var tags pq.StringArray
		var marketing, custom []byte
		if err := rows.Scan(&last, &one.birth, &one.gender, &one.language, &one.source, &one.stage, &store, &staff, &one.region, &one.city,
			&one.hasName, &one.hasPhone, &one.hasEmail, &one.hasCard, &one.hasExternalID, &tags, &marketing, &custom); err != nil {
			return n, last, err
		}
		one.store, one.staff, one.tags = store.UUID, staff.UUID, tags
		for _, o := range [...]struct {
			raw []byte
			to  any
		}{{marketing, &one.marketing}, {custom, &one.custom}} {
			if len(o.raw) > 0 {
				if err := json.Unmarshal(o.raw, o.to); err != nil {
					return n, last, err
				}
			}
		}
		t.Checked++
		switch r.holds(rules.variables(one, today)) {
		case notApplicable:
			t.NotApplicable++
		case broken:
			t.Broken++
			if len(t.Samples) < trialSamples && sees.Sees(one.store, one.staff) {
				t.Samples = append(t.Samples, last)
			}
		}
	}
	return n, last, rows.Err()
}
