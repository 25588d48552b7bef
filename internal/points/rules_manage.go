package points

import (
	"context"
	"fmt"
	"strings"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/ent/loyalty/pointsrule"
	"github.com/shuke-crm/shuke/ent/loyalty/pointsruleversion"
	"github.com/shuke-crm/shuke/ent/loyalty/pointsunit"
	"github.com/shuke-crm/shuke/ent/loyalty/schema"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// check refuses terms that a rule of the kind cannot have.
// Errors: ErrRuleTerms, ErrRulePeriod, ErrRuleUnmeant.
func check(kind pointsrule.Kind, t *schema.RuleTerms) error {
	t.Name, t.NameEN, t.Event, t.Campaign = strings.TrimSpace(t.Name), strings.TrimSpace(t.NameEN), strings.TrimSpace(t.Event), strings.TrimSpace(t.Campaign)
	isSpend, isMultiplier, isEvent := t.PerAmount > 0, t.Percent > 0 || t.Combinable, t.Event != ""
	caps := t.EveryCount > 0 || t.StreakDays > 0 || t.DailyTimes > 0 || t.MemberTimes > 0 || t.TotalPoints > 0
	switch kind {
	case pointsrule.KindSpend:
		if !isSpend || t.Points < 1 || isMultiplier || isEvent || caps {
			return ErrRuleTerms.At("/spend").Arg("needed", "spend")
		}
	case pointsrule.KindMultiplier:
		if t.Percent <= 100 || isSpend || isEvent || caps {
			return ErrRuleTerms.At("/multiplier").Arg("needed", "multiplier")
		}
	case pointsrule.KindEvent:
		if !isEvent || t.Points < 1 || isSpend || isMultiplier {
			return ErrRuleTerms.At("/event").Arg("needed", "event")
		}
		if len(t.Categories) > 0 || len(t.SKUs) > 0 || len(t.Channels) > 0 || t.MinAmount > 0 {
			return ErrRuleUnmeant.At("/conditions")
		}
		if t.EveryCount > 1 && t.StreakDays > 1 {
			return ErrRuleTerms.At("/event/streak_days").Arg("needed", "every_count | streak_days")
		}
	}
	if t.From != nil && t.Until != nil && !t.Until.After(*t.From) {
		return ErrRulePeriod.At("/conditions/ends_at")
	}
	return nil
}

// checkNames refuses conditions that name what there is not.
// Error: ErrRuleCondition.
func checkNames(ctx context.Context, tx *db.Tx, t *schema.RuleTerms) error {
	wrong := ErrRuleCondition.New()
	for _, c := range []struct {
		pointer, table, column string
		values                 []string
	}{
		{"store_ids", "stores", "id::text", texts(t.Stores)}, {"merchant_ids", "merchants", "id::text", texts(t.Merchants)},
		{"category_ids", "categories", "id::text", texts(t.Categories)}, {"skus", "variants", "sku", t.SKUs},
	} {
		if len(c.values) == 0 {
			continue
		}
		var missing []int64
		if err := tx.QueryRow(ctx, fmt.Sprintf(`SELECT coalesce(array_agg(v.n ORDER BY v.n), '{}') FROM unnest($1::text[]) WITH ORDINALITY AS v (value, n)
WHERE NOT EXISTS (SELECT FROM %s t WHERE t.%s = v.value)`, c.table, c.column), pq.Array(c.values)).Scan(pq.Array(&missing)); err != nil {
			return err
		}
		for _, n := range missing {
			wrong.Field(fmt.Sprintf("/conditions/%s/%d", c.pointer, n-1), ErrRuleCondition, map[string]any{"value": c.values[n-1]})
		}
	}
	if len(wrong.Fields) > 0 {
		e := wrong.OfFirst()
		e.Args = wrong.Fields[0].Args
		return e
	}
	return nil
}

func texts(all []uuid.UUID) []string {
	out := make([]string, len(all))
	for i, id := range all {
		out[i] = id.String()
	}
	return out
}

// NewRule is a rule to make.
type NewRule struct {
	Code, Unit string // Unit: its code; empty: DefaultUnit
	Kind       pointsrule.Kind
	Status     pointsrule.Status
	Terms      schema.RuleTerms
}

// CreateRule makes a rule, in force from now on where it is active.
//
// Errors: ErrUnit, ErrRuleTaken, ErrRuleTerms, ErrRulePeriod, ErrRuleUnmeant, ErrRuleCondition.
func (s *Service) CreateRule(ctx context.Context, in NewRule) (*loyalty.PointsRule, error) {
	if err := check(in.Kind, &in.Terms); err != nil {
		return nil, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		u, err := s.unit(ctx, in.Unit, ErrUnit, "/unit")
		if err != nil {
			return err
		}
		if err := checkNames(ctx, tx, &in.Terms); err != nil {
			return err
		}
		now := s.clock.Now()
		err = tx.Loyalty.PointsRule.Create().SetID(id).SetCode(in.Code).SetUnitID(u.ID).SetKind(in.Kind).SetStatus(in.Status).SetTerms(in.Terms).SetCreatedAt(now).SetUpdatedAt(now).Exec(ctx)
		if db.Violated(err) == "points_rules_code_key" {
			return ErrRuleTaken.At("/code")
		}
		if err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "points.create_rule", ObjectType: "points_rule", ObjectID: id.String(), Changes: map[string]any{"code": in.Code, "status": in.Status, "terms": in.Terms}})
		return s.newVersion(ctx, tx, id, 1, in.Status, in.Terms)
	})
	if err != nil {
		return nil, err
	}
	return s.Rule(ctx, id)
}

// newVersion writes what a rule is from now on.
func (s *Service) newVersion(ctx context.Context, tx *db.Tx, rule uuid.UUID, version int64, status pointsrule.Status, terms schema.RuleTerms) error {
	actor, err := auth.From(ctx)
	if err != nil {
		return err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	create := tx.Loyalty.PointsRuleVersion.Create().SetID(id).SetRuleID(rule).SetVersion(version).SetStatus(pointsruleversion.Status(status)).SetTerms(terms).
		SetActorKind(string(actor.Kind)).SetEffectiveAt(s.clock.Now())
	if actor.ID != uuid.Nil {
		create.SetActorID(actor.ID)
	}
	return create.Exec(ctx)
}

// UpdateRule changes a rule by what change makes of it, from now on: what was
// earned before stays as it is.
//
// Errors: ErrRuleNotFound, apperr.ErrVersionMismatch, ErrRuleArchived, ErrRuleTerms, ErrRulePeriod, ErrRuleUnmeant, ErrRuleCondition.
func (s *Service) UpdateRule(ctx context.Context, id uuid.UUID, ifMatch *string, change func(*pointsrule.Status, *schema.RuleTerms)) (*loyalty.PointsRule, error) {
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		r, err := tx.Loyalty.PointsRule.Query().Where(pointsrule.ID(id)).ForUpdate().Only(ctx)
		if loyalty.IsNotFound(err) {
			return ErrRuleNotFound.New()
		}
		if err != nil {
			return err
		}
		if err := etag.Require(ifMatch, r.Version); err != nil {
			return err
		}
		if r.Status == pointsrule.StatusArchived {
			return ErrRuleArchived.New()
		}
		status, terms := r.Status, r.Terms
		change(&status, &terms)
		if err := check(r.Kind, &terms); err != nil {
			return err
		}
		if err := checkNames(ctx, tx, &terms); err != nil {
			return err
		}
		if err := tx.Loyalty.PointsRule.UpdateOne(r).SetStatus(status).SetTerms(terms).SetVersion(r.Version + 1).SetUpdatedAt(s.clock.Now()).Exec(ctx); err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "points.update_rule", ObjectType: "points_rule", ObjectID: id.String(),
			Changes: map[string]any{"from": map[string]any{"status": r.Status, "terms": r.Terms}, "to": map[string]any{"status": status, "terms": terms}}})
		return s.newVersion(ctx, tx, id, r.Version+1, status, terms)
	})
	if err != nil {
		return nil, err
	}
	return s.Rule(ctx, id)
}

// Rule reads a rule.
//
// Error: ErrRuleNotFound.
func (s *Service) Rule(ctx context.Context, id uuid.UUID) (*loyalty.PointsRule, error) {
	r, err := s.db.From(ctx).Loyalty.PointsRule.Query().Where(pointsrule.ID(id)).WithUnit().Only(ctx)
	if loyalty.IsNotFound(err) {
		return nil, ErrRuleNotFound.New()
	}
	return r, err
}

// RuleFilter narrows the list of rules; empty parts do not.
type RuleFilter struct{ Unit, Kind, Status string }

// Rules are the rules, the newest first.
//
// Errors: ErrUnit, apperr.ErrBadCursor.
func (s *Service) Rules(ctx context.Context, f RuleFilter, asked Asked) (*page.Of[*loyalty.PointsRule], error) {
	l := page.NewList("/v1/points/rules", asked.Limit)
	q := s.db.From(ctx).Loyalty.PointsRule.Query().WithUnit()
	if f.Unit != "" {
		l.Filters.Set("unit", f.Unit)
		q.Where(pointsrule.HasUnitWith(pointsunit.Code(f.Unit)))
	}
	if f.Kind != "" {
		l.Filters.Set("kind", f.Kind)
		q.Where(pointsrule.KindEQ(pointsrule.Kind(f.Kind)))
	}
	if f.Status != "" {
		l.Filters.Set("status", f.Status)
		q.Where(pointsrule.StatusEQ(pointsrule.Status(f.Status)))
	}
	return fetch(ctx, s, l, asked, q.Clone().Count, func(after *uuid.UUID, limit int) ([]*loyalty.PointsRule, error) {
		if after != nil {
			q.Where(pointsrule.IDLT(*after))
		}
		return q.Order(pointsrule.ByID(sql.OrderDesc())).Limit(limit).All(ctx)
	}, func(r *loyalty.PointsRule) uuid.UUID { return r.ID })
}

// RuleVersions are what a rule has been, the newest first.
//
// Errors: ErrRuleNotFound, apperr.ErrBadCursor.
func (s *Service) RuleVersions(ctx context.Context, id uuid.UUID, asked Asked) (*page.Of[*loyalty.PointsRuleVersion], error) {
	if _, err := s.Rule(ctx, id); err != nil {
		return nil, err
	}
	l := page.NewList("/v1/points/rules/"+id.String()+"/versions", asked.Limit)
	q := s.db.From(ctx).Loyalty.PointsRuleVersion.Query().Where(pointsruleversion.RuleID(id))
	return fetch(ctx, s, l, asked, q.Clone().Count, func(after *uuid.UUID, limit int) ([]*loyalty.PointsRuleVersion, error) {
		if after != nil {
			q.Where(pointsruleversion.IDLT(*after))
		}
		return q.Order(pointsruleversion.ByID(sql.OrderDesc())).Limit(limit).All(ctx)
	}, func(v *loyalty.PointsRuleVersion) uuid.UUID { return v.ID })
}
