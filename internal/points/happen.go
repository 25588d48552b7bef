package points

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/ent/loyalty/pointsrule"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/events"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// Kinds of happenings that this service reports itself; others come from outside.
const (
	HappenedSignUp           = "sign_up"
	HappenedProfileCompleted = "profile_completed"
	HappenedCheckIn          = "check_in"
)

// Happening is something a member did, or that happened to them.
type Happening struct {
	CustomerID uuid.UUID
	Type       string
	Key        string // of this one among the member's of its type: told again it is the same
	At         time.Time
	StoreID    *uuid.UUID
}

// Outcome is what a rule made of a happening.
type Outcome struct {
	RuleID  uuid.UUID
	Rule    string // its code
	Version int64
	Unit    string
	Points  int64
	Result  string // one of the results
}

// What rules make of a happening.
const (
	Given      = "given"
	Known      = "already_reported"
	NotYet     = "not_yet"    // the n-th time, or day in a row, is still to come
	DailyCap   = "daily_cap"  // the rule's or the unit's
	MemberCap  = "member_cap" // the rule's, or what a member can have
	BudgetGone = "budget_spent"
)

// backdated is how far back something can be reported to have happened.
const backdated = 366 * 24 * time.Hour

// Report is Happen for callers that name a customer within their scope.
//
// Errors: ErrCustomerNotFound, ErrInstant, ErrLongAgo.
func (s *Service) Report(ctx context.Context, h Happening) (out []Outcome, err error) {
	now := s.clock.Now()
	switch {
	case h.At.IsZero():
		h.At = now
	case h.At.After(now):
		return nil, ErrInstant.At("/occurred_at")
	case h.At.Before(now.Add(-backdated)):
		return nil, ErrLongAgo.At("/occurred_at")
	}
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := s.reach(ctx, h.CustomerID, ErrCustomerNotFound.New()); err != nil {
			return err
		}
		out, err = s.Happen(ctx, tx, h)
		return err
	})
	return out, err
}

// Happen gives what the event rules of its instant give for something, each once.
func (s *Service) Happen(ctx context.Context, tx *db.Tx, h Happening) ([]Outcome, error) {
	b, err := s.rules(ctx, tx.Clients)
	if err != nil {
		return nil, err
	}
	rules := slices.DeleteFunc(b.at(pointsrule.KindEvent, h.At), func(r *rule) bool { return r.Event != h.Type })
	if len(rules) == 0 {
		return nil, nil
	}
	p := Purchase{CustomerID: h.CustomerID}
	var stores []uuid.UUID
	if h.StoreID != nil {
		p.StoreID, stores = *h.StoreID, []uuid.UUID{*h.StoreID}
	}
	at, err := s.placesOf(ctx, tx.Clients, rules, stores)
	if err != nil {
		return nil, err
	}
	var merged bool
	if err := tx.QueryRow(ctx, "SELECT merged_into_id IS NOT NULL, coalesce(tier_code, '') FROM customers WHERE id = $1 FOR NO KEY UPDATE", h.CustomerID).Scan(&merged, &p.Tier); err != nil {
		return nil, err
	} else if merged { // since we looked: the next attempt finds the survivor
		return nil, db.ErrAgain
	}
	day := s.clock.DayOf(h.At)
	var out []Outcome
	// Unit by unit, in the order in which accounts are locked everywhere.
	slices.SortFunc(rules, func(a, b *rule) int {
		if c := bytes.Compare(a.unit[:], b.unit[:]); c != 0 {
			return c
		}
		return bytes.Compare(a.id[:], b.id[:])
	})
	for len(rules) > 0 {
		n := slices.IndexFunc(rules, func(r *rule) bool { return r.unit != rules[0].unit })
		if n < 0 {
			n = len(rules)
		}
		some := slices.DeleteFunc(slices.Clone(rules[:n]), func(r *rule) bool { return !r.holds(&p, day, at) })
		made, err := s.happenIn(ctx, tx, b.units[rules[0].unit], some, h, day)
		if err != nil {
			return nil, err
		}
		out, rules = append(out, made...), rules[n:]
	}
	return out, nil
}

// happenIn is Happen for the rules of a unit.
func (s *Service) happenIn(ctx context.Context, tx *db.Tx, u *loyalty.PointsUnit, rules []*rule, h Happening, day clock.Day) ([]Outcome, error) {
	if len(rules) == 0 {
		return nil, nil
	}
	j, err := s.journal(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.lock(ctx, tx, j, u, h.CustomerID); err != nil {
		return nil, err
	}
	left, err := s.leftToday(ctx, tx, j, u)
	if err != nil {
		return nil, err
	}
	var out []Outcome
	for _, r := range rules {
		o := Outcome{RuleID: r.id, Rule: r.Name, Version: r.version, Unit: u.Code}
		if o.Result, err = s.judge(ctx, tx, j, u, r, h, day, left); err != nil {
			return nil, err
		}
		if o.Result == Given {
			o.Points = r.Points
			if left != nil {
				left[h.CustomerID] -= r.Points
			}
			version := r.version
			of := about{kind: "earn", rule: uuid.NullUUID{UUID: r.id, Valid: true}, version: &version, at: h.At, reason: r.Name}
			if err := j.give(j.own(h.CustomerID), of, Issued, lot{amount: r.Points, earned: h.At, activeAt: h.At, expires: expiry(u, s.clock, h.At)}); err != nil {
				return nil, err
			}
		}
		if o.Result != Known {
			id, err := uuid.NewV7()
			if err != nil {
				return nil, err
			}
			if _, err := tx.Exec(ctx, "INSERT INTO points_events (id, account_id, rule_id, key, day, points, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
				id, j.own(h.CustomerID).id, r.id, h.Key, day.String(), o.Points, j.now); err != nil {
				return nil, err
			}
		}
		out = append(out, o)
	}
	return out, s.write(ctx, tx, j)
}

// happenedSQL counts, of the events of a rule and some accounts: this one, all, those
// that gave, those that gave on the day, and the days in a row before it.
// Plan: points_events_key and points_events_day_idx, of one account and rule.
const happenedSQL = `
SELECT count(*) FILTER (WHERE key = $3), count(*), count(*) FILTER (WHERE points > 0), count(*) FILTER (WHERE points > 0 AND day = $4),
       count(*) FILTER (WHERE day = $4),
       (SELECT count(*) FROM (
            SELECT day, row_number() OVER (ORDER BY day DESC) AS n
            FROM (SELECT DISTINCT day FROM points_events WHERE account_id = ANY($1::uuid[]) AND rule_id = $2 AND day < $4 ORDER BY day DESC LIMIT 3660) d
        ) s WHERE s.day = $4::date - s.n::int)
FROM points_events WHERE account_id = ANY($1::uuid[]) AND rule_id = $2`

// judge says whether a rule gives for a happening, or why not.
func (s *Service) judge(ctx context.Context, tx *db.Tx, j *journal, u *loyalty.PointsUnit, r *rule, h Happening, day clock.Day, left map[uuid.UUID]int64) (string, error) {
	accounts := make(pgarray.UUIDs, len(j.accounts))
	for i, a := range j.accounts {
		accounts[i] = a.id
	}
	var known, all, given, today, daily, streak int64
	if err := tx.QueryRow(ctx, happenedSQL, accounts, r.id, h.Key, day.String()).Scan(&known, &all, &given, &today, &daily, &streak); err != nil {
		return "", err
	}
	switch {
	case known > 0:
		return Known, nil
	case r.EveryCount > 1 && (all+1)%r.EveryCount != 0,
		r.StreakDays > 1 && (daily > 0 || (streak+1)%r.StreakDays != 0):
		return NotYet, nil
	case r.DailyTimes > 0 && today >= r.DailyTimes, left != nil && left[h.CustomerID] < r.Points:
		return DailyCap, nil
	case r.MemberTimes > 0 && given >= r.MemberTimes, j.fits(u, h.CustomerID) < r.Points:
		return MemberCap, nil
	}
	if r.TotalPoints > 0 {
		done, err := tx.Exec(ctx, "UPDATE points_rules SET given_points = given_points + $2 WHERE id = $1 AND given_points + $2 <= $3", r.id, r.Points, r.TotalPoints)
		if err != nil {
			return "", err
		}
		if n, err := done.RowsAffected(); err != nil || n == 0 {
			return BudgetGone, err
		}
	}
	return Given, nil
}

// Subscribe has sign-ups and completed profiles give what rules say. Records that
// were imported are nobody's sign-up.
func (s *Service) Subscribe(d *events.Dispatcher) {
	d.Subscribe("points.happenings", []string{customers.EventCreated, customers.EventUpdated}, func(ctx context.Context, all []events.Stored) error {
		b, err := s.rules(ctx, s.db.From(ctx))
		if err != nil {
			return err
		}
		wanted := map[string]bool{}
		for _, r := range b.at(pointsrule.KindEvent, s.clock.Now()) {
			wanted[r.Event] = true
		}
		for _, e := range all {
			if wanted[HappenedSignUp] && e.Type == customers.EventCreated {
				if err := s.happened(ctx, e, HappenedSignUp, "source <> 'import'"); err != nil {
					return err
				}
			}
			if wanted[HappenedProfileCompleted] {
				if err := s.happened(ctx, e, HappenedProfileCompleted, "name_sealed IS NOT NULL AND phone_index IS NOT NULL AND birth_date IS NOT NULL AND gender <> 'unknown'"); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// happened reports what follows from an event of a customer's record, if a condition
// on the record holds.
func (s *Service) happened(ctx context.Context, e events.Stored, kind, condition string) error {
	ctx = auth.System(ctx, "points."+kind)
	return s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		var holds bool
		if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM customers WHERE id = $1 AND archived_at IS NULL AND merged_into_id IS NULL AND "+condition+")", e.SubjectID).Scan(&holds); err != nil || !holds {
			return err
		}
		at := e.CreatedAt
		if now := s.clock.Now(); at.After(now) { // by the clock of another machine
			at = now
		}
		_, err := s.Happen(ctx, tx, Happening{CustomerID: e.SubjectID, Type: kind, Key: kind, At: at})
		return err
	})
}
