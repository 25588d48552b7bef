package customers

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"time"

	"cel.dev/cel-go/cel"
	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/events"
	"github.com/shuke-crm/shuke/internal/platform/jobs"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
	"github.com/shuke-crm/shuke/internal/platform/rfm"
)

// Automatic tags. A customer has one exactly while its condition holds: every
// write of a customer judges it, so does whatever changes what they bought
// (Service.Bought), and since conditions may name the age or the day, a job after
// midnight judges everybody. Those to whom a condition does not apply, because what it compares
// is not known, do not have the tag.

const (
	jobTags     = "customers.automatic_tags"
	maxAutoTags = 100
	tagBatch    = 1000 // customers that the job reads at a time
)

// autoTag is an automatic tag, compiled.
type autoTag struct {
	id      uuid.UUID
	name    string
	program cel.Program
}

// purchases are what conditions know of what a customer bought; nil is nothing.
type purchases struct {
	first, last                                                                                           *clock.Day
	orders, days, units, spent, returns, returned, frequency, monetaryValue, windowOrders, windowReturned int64
	band                                                                                                  string
}

var purchaseEnv = []cel.EnvOption{
	cel.Variable("order_count", cel.IntType),
	cel.Variable("purchase_days", cel.IntType),
	cel.Variable("unit_count", cel.IntType),
	cel.Variable("spent_amount", cel.IntType),
	cel.Variable("return_count", cel.IntType),
	cel.Variable("returned_amount", cel.IntType),
	cel.Variable("frequency", cel.IntType),
	cel.Variable("monetary_amount", cel.IntType),
	cel.Variable("window_order_count", cel.IntType),
	cel.Variable("window_spent_amount", cel.IntType),
	cel.Variable("window_returned_amount", cel.IntType),
	cel.Variable("return_rate", cel.NullableType(cel.DoubleType)),
	cel.Variable("rfm_band", cel.StringType),
	cel.Variable("recency_days", cel.NullableType(cel.IntType)),
	cel.Variable("first_order_on", cel.NullableType(cel.TimestampType)),
	cel.Variable("last_order_on", cel.NullableType(cel.TimestampType)),
}

// ofPurchases finds the conditions that name one of them.
var ofPurchases = regexp.MustCompile(`\b(order_count|purchase_days|unit_count|spent_amount|return_count|returned_amount|frequency|monetary_amount|window_order_count|window_spent_amount|window_returned_amount|return_rate|rfm_band|recency_days|first_order_on|last_order_on)\b`)

var ofStage = regexp.MustCompile(`\blifecycle_stage\b`)

func (p *purchases) into(vars map[string]any, today time.Time) {
	if p == nil {
		p = &purchases{}
	}
	for name, v := range map[string]int64{"order_count": p.orders, "purchase_days": p.days, "unit_count": p.units, "spent_amount": p.spent,
		"return_count": p.returns, "returned_amount": p.returned, "frequency": p.frequency, "monetary_amount": p.monetaryValue,
		"window_order_count": p.windowOrders, "window_spent_amount": p.monetaryValue + p.windowReturned, "window_returned_amount": p.windowReturned} {
		vars[name] = v
	}
	vars["rfm_band"] = p.band
	if vars["return_rate"] = nil; p.monetaryValue+p.windowReturned > 0 {
		vars["return_rate"] = *rfm.ReturnRate(p.windowReturned, p.monetaryValue+p.windowReturned)
	}
	vars["recency_days"], vars["first_order_on"], vars["last_order_on"] = nil, nil, nil
	if p.first != nil {
		vars["first_order_on"] = p.first.Time()
	}
	if p.last != nil {
		vars["last_order_on"] = p.last.Time()
		vars["recency_days"] = int64(max(clock.DayFromDate(today)-*p.last, 0))
	}
}

func conditionEnv(custom []*Field) (*cel.Env, error) { return ruleEnv(custom, purchaseEnv...) }

// compileCondition is compile for a tag. Error: ErrTagCondition.
func compileCondition(env *cel.Env, condition string) (cel.Program, error) {
	program, reason := compile(env, condition)
	if reason != "" {
		return nil, ErrTagCondition.At("/condition").Arg("reason", reason)
	}
	return program, nil
}

// readTags reads and compiles the automatic tags.
func (r *ruleSet) readTags(ctx context.Context, c *db.Clients) error {
	rows, err := c.Query(ctx, "SELECT id, name, condition FROM tags WHERE condition IS NOT NULL ORDER BY id")
	if err != nil {
		return err
	}
	defer rows.Close()
	var env *cel.Env
	for rows.Next() {
		t := &autoTag{}
		var condition string
		if err := rows.Scan(&t.id, &t.name, &condition); err != nil {
			return err
		}
		if env == nil {
			if env, err = conditionEnv(r.custom); err != nil {
				return err
			}
		}
		// It compiled when it was written, and a change of a field that would break
		// it was refused.
		if t.program, err = compileCondition(env, condition); err != nil {
			return fmt.Errorf("condition of tag %s: %w", t.id, err)
		}
		r.tags = append(r.tags, t)
		r.tagsByPurchases = r.tagsByPurchases || ofPurchases.MatchString(condition)
		r.tagsByStage = r.tagsByStage || ofStage.MatchString(condition)
	}
	return rows.Err()
}

// automatic reports whether a tag is given by its condition alone.
func (r *ruleSet) automatic(id uuid.UUID) bool {
	return slices.ContainsFunc(r.tags, func(t *autoTag) bool { return t.id == id })
}

// tag gives a customer the automatic tags whose conditions hold, and takes the
// others off. Lists of tags are copied before they change.
func (r *ruleSet) tag(c *Customer, today time.Time) {
	if len(r.tags) == 0 {
		return
	}
	vars := r.variables(subjectOf(c), today)
	if r.tagsByPurchases {
		c.bought.into(vars, today)
	}
	copied := false
	for _, t := range r.tags {
		has, holds := slices.Contains(c.TagIDs, t.id), evaluate(t.program, vars) == held
		if has == holds || holds && len(c.TagIDs) >= maxTags {
			continue
		}
		if !copied {
			c.TagIDs, c.Tags, copied = slices.Clone(c.TagIDs), slices.Clone(c.Tags), true
		}
		if holds {
			c.TagIDs, c.Tags = append(c.TagIDs, t.id), append(c.Tags, t.name)
			continue
		}
		c.withoutTags(func(id uuid.UUID) bool { return id == t.id })
		c.Tags = slices.DeleteFunc(c.Tags, func(name string) bool { return name == t.name })
	}
	if copied {
		slices.SortFunc(c.TagIDs, compareIDs)
		slices.Sort(c.Tags)
	}
}

// ready fills in what judging existing customers needs, when it is needed: the
// names of their tags, and what they bought.
func (s *Service) ready(ctx context.Context, tx *db.Tx, cs ...*Customer) error {
	rules, err := s.activeRules(ctx)
	if err != nil {
		return err
	}
	named := make([]Customer, len(cs))
	for n, c := range cs {
		named[n].TagIDs, named[n].TagExpiries = c.TagIDs, c.TagExpiries
	}
	if err := s.nameTags(ctx, named); err != nil {
		return err
	}
	for n, c := range cs {
		c.TagIDs, c.TagExpiries, c.Tags = named[n].TagIDs, named[n].TagExpiries, named[n].Tags
	}
	if !rules.needPurchases() {
		return nil
	}
	return s.readPurchases(ctx, tx, cs...)
}

// readPurchases fills in what customers bought.
func (s *Service) readPurchases(ctx context.Context, tx *db.Tx, cs ...*Customer) error {
	ids := make(pgarray.UUIDs, len(cs))
	for n, c := range cs {
		ids[n] = c.ID
	}
	rows, err := tx.Query(ctx, "SELECT m.id, "+purchaseColumns+" FROM customer_metrics m WHERE m.id = ANY ($1::uuid[])", ids)
	if err != nil {
		return err
	}
	defer rows.Close()
	by := map[uuid.UUID]*purchases{}
	for rows.Next() {
		var id uuid.UUID
		var p purchaseScan
		if err := rows.Scan(append([]any{&id}, p.into()...)...); err != nil {
			return err
		}
		by[id] = p.purchases()
	}
	for _, c := range cs {
		c.bought, c.factsKnown = by[c.ID], true
	}
	return rows.Err()
}

const purchaseColumns = `m.first_order_on, m.last_order_on, coalesce(m.order_count, 0), coalesce(m.purchase_days, 0), coalesce(m.unit_count, 0),
coalesce(m.spent_amount, 0), coalesce(m.return_count, 0), coalesce(m.returned_amount, 0), coalesce(m.frequency, 0), coalesce(m.monetary_amount, 0),
coalesce(m.window_order_count, 0), coalesce(m.window_returned_amount, 0), coalesce(m.rfm_band, '')`

type purchaseScan struct {
	p           purchases
	first, last pq.NullTime
}

func (s *purchaseScan) into() []any {
	p := &s.p
	return []any{&s.first, &s.last, &p.orders, &p.days, &p.units, &p.spent, &p.returns, &p.returned, &p.frequency, &p.monetaryValue, &p.windowOrders, &p.windowReturned, &p.band}
}

func (s *purchaseScan) purchases() *purchases {
	day := func(t pq.NullTime) *clock.Day {
		if !t.Valid {
			return nil
		}
		d := clock.DayFromDate(t.Time)
		return &d
	}
	s.p.first, s.p.last = day(s.first), day(s.last)
	return &s.p
}

// conditionChanged checks the new condition of a tag and starts the job that
// applies it. Errors: ErrTagCondition, ErrTagsAutomatic.
func (s *Service) conditionChanged(ctx context.Context, tx *db.Tx, id uuid.UUID, condition string) (job uuid.UUID, err error) {
	// As for validation rules: a custom field that it names must not change meanwhile.
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock_shared($1)", int64(fieldsLock)); err != nil {
		return job, err
	}
	all, err := readFields(ctx, tx.Clients, "AND archived_at IS NULL ORDER BY key")
	if err != nil {
		return job, err
	}
	env, err := conditionEnv(expressible(all))
	if err != nil {
		return job, err
	}
	if _, err := compileCondition(env, condition); err != nil {
		return job, err
	}
	var others int
	if err := tx.QueryRow(ctx, "SELECT count(*) FROM tags WHERE condition IS NOT NULL AND id <> $1", id).Scan(&others); err != nil {
		return job, err
	}
	if others >= maxAutoTags {
		return job, ErrTagsAutomatic.New().Arg("max", maxAutoTags)
	}
	if err := s.conditionsChanged(ctx, tx); err != nil || s.queue == nil {
		return job, err
	}
	started, err := s.queue.StartVisible(ctx, tx, jobTags, applyTags{TagID: id})
	if err != nil {
		return job, err
	}
	return started.ID, nil
}

// conditionsChanged lets everybody read the automatic tags anew.
func (s *Service) conditionsChanged(ctx context.Context, tx *db.Tx) error {
	tx.AfterCommit(func(context.Context) { s.rules.stale() })
	_, err := tx.Exec(ctx, "UPDATE definition_revisions SET revision = revision + 1 WHERE name = 'automatic_tags'")
	return err
}

// conditionsStillCompile refuses a change of custom fields that an automatic tag
// would not survive. Error: ErrFieldInTag.
func conditionsStillCompile(ctx context.Context, tx *db.Tx) error {
	all, err := readFields(ctx, tx.Clients, "AND archived_at IS NULL ORDER BY key")
	if err != nil {
		return err
	}
	set := &ruleSet{custom: expressible(all)}
	if err := set.readTags(ctx, tx.Clients); err != nil {
		if ErrTagCondition.Is(err) {
			return ErrFieldInTag.Wrap(err)
		}
		return err
	}
	return nil
}

// applyTags is what the job needs.
type applyTags struct {
	TagID uuid.UUID `json:"tag_id"` // whose condition changed; all automatic tags are applied
}

// AppliedTags is what the visible job reports.
type AppliedTags struct {
	Customers int64 `json:"customers"` // looked at
	Changed   int64 `json:"changed"`
}

// runApplyTags judges everybody. A second attempt begins anew: it changes only
// what is not right already.
func (s *Service) runApplyTags(ctx context.Context, _ applyTags, p *jobs.Progress) (any, error) {
	// By then no replica judges by the conditions before.
	if err := s.AwaitRules(ctx); err != nil {
		return nil, err
	}
	return s.applyTags(ctx, p)
}

func (s *Service) applyTags(ctx context.Context, p *jobs.Progress) (*AppliedTags, error) {
	ctx = auth.System(ctx, jobTags)
	out := &AppliedTags{}
	var total int64
	if err := s.db.QueryRow(ctx, "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = 'customers'::regclass").Scan(&total); err != nil {
		return nil, err
	}
	for after := uuid.Nil; ; {
		if p != nil && p.Cancelled() {
			return out, jobs.ErrCancelled
		}
		rules, err := s.activeRules(ctx)
		if err != nil || len(rules.tags) == 0 {
			return out, err
		}
		read, err := s.tagSubjects(ctx, s.db.Clients, "c.id > $1 ORDER BY c.id LIMIT $2", after, tagBatch)
		if err != nil {
			return out, err
		}
		var wrong []uuid.UUID
		for i := range read {
			if c := read[i]; rules.changes(&c, s.clock.Today().Time()) {
				wrong = append(wrong, c.ID)
			}
		}
		// Locked and judged anew: they may have changed since.
		for len(wrong) > 0 {
			n := min(len(wrong), handOverBatch)
			changed := 0
			err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
				changed, err = s.retag(ctx, tx, wrong[:n])
				return err
			})
			if err != nil {
				return out, err
			}
			out.Changed += int64(changed)
			wrong = wrong[n:]
		}
		out.Customers += int64(len(read))
		if p != nil {
			p.Set(out.Customers, max(total, out.Customers))
		}
		if len(read) < tagBatch {
			return out, nil
		}
		after = read[len(read)-1].ID
	}
}

// changes reports whether a customer's automatic tags are not what they should be.
func (r *ruleSet) changes(c *Customer, today time.Time) bool {
	had := c.TagIDs
	r.tag(c, today)
	return !slices.Equal(had, c.TagIDs)
}

// Retagged is a customer whose automatic tags have changed by themselves.
type Retagged struct {
	CustomerID       uuid.UUID
	StoreID, StaffID *uuid.UUID
	Cause            string // as of a lifecycle stage
	Had, Has         []uuid.UUID
}

// OnRetag sets what is called, in the transaction, when the automatic tags of an
// existing customer change by themselves; call it before serving.
func (s *Service) OnRetag(f func(context.Context, *db.Tx, Retagged) error) { s.retagged = f }

// retag puts the automatic tags of customers right and returns how many it
// changed. Archived customers rest.
func (s *Service) retag(ctx context.Context, tx *db.Tx, ids []uuid.UUID) (int, error) {
	rules, err := s.activeRules(ctx)
	if err != nil || len(rules.tags) == 0 {
		return 0, err
	}
	found, err := s.tagSubjects(ctx, tx.Clients, "c.id = ANY ($1::uuid[]) ORDER BY c.id LIMIT $2 FOR NO KEY UPDATE OF c", pgarray.UUIDs(ids), len(ids))
	if err != nil {
		return 0, err
	}
	var changed pgarray.UUIDs
	var tags column
	for i := range found {
		c := &found[i]
		had := c.TagIDs
		if !rules.changes(c, s.clock.Today().Time()) {
			continue
		}
		if s.retagged != nil {
			if err := s.retagged(ctx, tx, Retagged{CustomerID: c.ID, StoreID: c.HomeStoreID, StaffID: c.AssignedStaffID, Cause: originOfChange(ctx), Had: had, Has: c.TagIDs}); err != nil {
				return 0, err
			}
		}
		changed = append(changed, c.ID)
		tags.uuids(c.TagIDs)
		audit.Record(ctx, tx, audit.Entry{Action: "customers.tag_automatically", ObjectType: "customer", ObjectID: c.ID.String(), StoreID: c.HomeStoreID, StaffID: c.AssignedStaffID,
			Changes: map[string]any{"fields": []string{"tags"}}})
		events.Emit(tx, events.Event{Type: EventUpdated, SubjectType: "customer", SubjectID: c.ID, StoreID: c.HomeStoreID, Payload: changedFields{[]string{"tags"}}})
	}
	if len(changed) == 0 {
		return 0, nil
	}
	s.Touch(ctx, tx, changed...)
	_, err = tx.Exec(ctx, `
		UPDATE customers c SET tag_ids = t.tags::uuid[], version = c.version + 1, updated_at = $3
		FROM unnest($1::uuid[], $2::text[]) t (id, tags), (SELECT set_config('shuke.change', $4, true)) said WHERE c.id = t.id`,
		changed, tags.String(), s.clock.Now(), changeBy(ctx))
	return len(changed), err
}

// tagSubjects reads active customers as conditions see them: nothing is opened.
func (s *Service) tagSubjects(ctx context.Context, c *db.Clients, where string, args ...any) ([]Customer, error) {
	rows, err := c.Query(ctx, `SELECT c.id, c.birth_date, c.gender, c.language, c.source, c.lifecycle_stage, c.home_store_id, c.assigned_staff_id,
		coalesce(c.address_region, ''), coalesce(c.address_city, ''), length(c.name_sealed) > 0 IS TRUE, c.phone_index IS NOT NULL, c.email_index IS NOT NULL,
		c.card_number_index IS NOT NULL, c.external_id, c.marketing_preferences, c.custom_fields, c.tag_ids, c.tag_expiries, `+purchaseColumns+`
		FROM customers c LEFT JOIN customer_metrics m ON m.id = c.id WHERE c.archived_at IS NULL AND `+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Customer
	for rows.Next() {
		var one Customer
		var region, city string
		var known [4]bool
		var tags pgarray.UUIDs
		var marketing, custom, expiries []byte
		var bought purchaseScan
		if err := rows.Scan(append([]any{&one.ID, &one.BirthDate, &one.Gender, &one.Language, &one.Source, &one.LifecycleStage, &one.HomeStoreID, &one.AssignedStaffID,
			&region, &city, &known[0], &known[1], &known[2], &known[3], &one.ExternalID, &marketing, &custom, &tags, &expiries}, bought.into()...)...); err != nil {
			return nil, err
		}
		// Conditions ask only whether these are there.
		for i, to := range []*string{&one.Name, &one.Phone, &one.Email, &one.Card} {
			if known[i] {
				*to = "?"
			}
		}
		if region != "" || city != "" {
			one.Address = &Address{Region: region, City: city}
		}
		one.TagIDs, one.bought = tags, bought.purchases()
		for _, o := range [...]struct {
			raw []byte
			to  any
		}{{marketing, &one.MarketingPreferences}, {custom, &one.CustomFields}, {expiries, &one.TagExpiries}} {
			if len(o.raw) > 0 {
				if err := json.Unmarshal(o.raw, o.to); err != nil {
					return nil, err
				}
			}
		}
		out = append(out, one)
	}
	return out, rows.Err()
}
