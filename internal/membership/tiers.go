package membership

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/ent/loyalty/pointsunit"
	"github.com/shuke-crm/shuke/ent/loyalty/tier"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/events"
	"github.com/shuke-crm/shuke/internal/points"
)

// TierInput is what a tier is made of; its code apart.
type TierInput struct {
	Name, NameEN string
	Rank         int
	Match        Match
	Conditions   []Condition
	Benefits     Benefits
}

// check tidies a tier and says what is wrong with it.
// Errors: ErrName, ErrUnitNotFor, ErrUnit.
func (s *Service) check(ctx context.Context, tx *db.Tx, in *TierInput) error {
	in.Name, in.NameEN, in.Benefits.ExclusiveService = strings.TrimSpace(in.Name), strings.TrimSpace(in.NameEN), strings.TrimSpace(in.Benefits.ExclusiveService)
	if in.Name == "" {
		return ErrName.At("/name")
	}
	units, err := tx.Loyalty.PointsUnit.Query().Select(pointsunit.FieldCode).Strings(ctx)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, u := range units {
		known[u] = true
	}
	wrong := ErrUnit.New()
	for i := range in.Conditions {
		c, at := &in.Conditions[i], "/conditions/"+strconv.Itoa(i)+"/unit"
		switch {
		case c.Kind != Points && c.Unit != "":
			wrong.Field(at, ErrUnitNotFor)
		case c.Kind == Points:
			if c.Unit == "" {
				c.Unit = points.DefaultUnit
			}
			if !known[c.Unit] {
				wrong.Field(at, ErrUnit)
			}
		}
	}
	if g := in.Benefits.BirthdayGift; g != nil {
		if g.Unit == "" {
			g.Unit = points.DefaultUnit
		}
		if !known[g.Unit] {
			wrong.Field("/benefits/birthday_gift/unit", ErrUnit)
		}
	}
	if len(wrong.Fields) > 0 {
		return wrong.OfFirst()
	}
	if in.Conditions == nil {
		in.Conditions = []Condition{}
	}
	return nil
}

func (in TierInput) into(m *loyalty.TierMutation) {
	m.SetName(in.Name)
	m.SetNameEn(in.NameEN)
	m.SetRank(in.Rank)
	m.SetMatch(tier.Match(in.Match))
	m.SetConditions(in.Conditions)
	m.SetBenefits(in.Benefits)
}

func inputOf(t *loyalty.Tier) TierInput {
	return TierInput{t.Name, t.NameEn, t.Rank, Match(t.Match), t.Conditions, t.Benefits}
}

// taken names what two tiers cannot both have.
func taken(err error) error {
	switch db.Violated(err) {
	case "tiers_code_key":
		return ErrCodeTaken.At("/code")
	case "tiers_rank_key":
		return ErrRankTaken.At("/rank")
	}
	return err
}

// CreateTier makes a tier. Its code never changes.
//
// Errors: ErrCodeTaken, ErrRankTaken, ErrName, ErrUnitNotFor, ErrUnit.
func (s *Service) CreateTier(ctx context.Context, code string, in TierInput) (*loyalty.Tier, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	var made *loyalty.Tier
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := lockScheme(ctx, tx); err != nil {
			return err
		}
		if err := s.check(ctx, tx, &in); err != nil {
			return err
		}
		now := s.clock.Now()
		create := tx.Loyalty.Tier.Create().SetID(id).SetCode(code).SetCreatedAt(now).SetUpdatedAt(now)
		in.into(create.Mutation())
		if made, err = create.Save(ctx); err != nil {
			return taken(err)
		}
		audit.Record(ctx, tx, audit.Entry{Action: "membership.create_tier", ObjectType: "tier", ObjectID: id.String(), Changes: map[string]any{"code": code, "to": in}})
		return s.snapshot(ctx, tx, nil, false)
	})
	return made, err
}

// UpdateTier changes a tier by what change makes of it.
//
// Errors: ErrTierNotFound, apperr.ErrVersionRequired, apperr.ErrVersionMismatch, ErrRankTaken, ErrName, ErrUnitNotFor, ErrUnit.
func (s *Service) UpdateTier(ctx context.Context, id uuid.UUID, ifMatch *string, change func(*TierInput)) (*loyalty.Tier, error) {
	var done *loyalty.Tier
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		t, err := s.lockTier(ctx, tx, id, ifMatch)
		if err != nil {
			return err
		}
		was := inputOf(t)
		in := was
		change(&in)
		if err := s.check(ctx, tx, &in); err != nil {
			return err
		}
		update := tx.Loyalty.Tier.UpdateOne(t).SetVersion(t.Version + 1).SetUpdatedAt(s.clock.Now())
		in.into(update.Mutation())
		if done, err = update.Save(ctx); err != nil {
			return taken(err)
		}
		audit.Record(ctx, tx, audit.Entry{Action: "membership.update_tier", ObjectType: "tier", ObjectID: id.String(), Changes: map[string]any{"from": was, "to": in}})
		return s.snapshot(ctx, tx, nil, false)
	})
	if err == nil {
		s.customers.ClearProfiles(ctx) // they show its name
	}
	return done, err
}

// DeleteTier takes a tier out of the scheme.
//
// Errors: ErrTierNotFound, apperr.ErrVersionRequired, apperr.ErrVersionMismatch.
func (s *Service) DeleteTier(ctx context.Context, id uuid.UUID, ifMatch *string) error {
	return s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		t, err := s.lockTier(ctx, tx, id, ifMatch)
		if err != nil {
			return err
		}
		if err := tx.Loyalty.Tier.DeleteOne(t).Exec(ctx); err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "membership.delete_tier", ObjectType: "tier", ObjectID: id.String(), Changes: map[string]any{"code": t.Code, "from": inputOf(t)}})
		return s.snapshot(ctx, tx, nil, false)
	})
}

// lockTier reads a tier for a change.
func (s *Service) lockTier(ctx context.Context, tx *db.Tx, id uuid.UUID, ifMatch *string) (*loyalty.Tier, error) {
	if err := lockScheme(ctx, tx); err != nil {
		return nil, err
	}
	t, err := s.tier(ctx, tx.Clients, id)
	if err != nil {
		return nil, err
	}
	return t, etag.Require(ifMatch, t.Version)
}

func (s *Service) tier(ctx context.Context, c *db.Clients, id uuid.UUID) (*loyalty.Tier, error) {
	t, err := c.Loyalty.Tier.Query().Where(tier.ID(id)).Only(ctx)
	if loyalty.IsNotFound(err) {
		return nil, ErrTierNotFound.New()
	}
	return t, err
}

// lockScheme has changes of the scheme come one after the other.
func lockScheme(ctx context.Context, tx *db.Tx) error {
	_, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtext('membership.scheme'))")
	return err
}

// Rules checks rules.
// Errors: ErrWindowDays, ErrCount.
func (r Rules) check() error {
	if (r.Window == RollingDays) != (r.WindowDays > 0) {
		return ErrWindowDays.At("/window_days")
	}
	if (r.Validity == ForDays || r.Validity == ForMonths) != (r.ValidityCount > 0) {
		return ErrCount.At("/validity_count")
	}
	return nil
}

// SetRules replaces what holds for all tiers, from today on or, retroactive, as if
// it and the tiers had been so from the first day.
//
// Errors: apperr.ErrVersionRequired, apperr.ErrVersionMismatch, ErrWindowDays, ErrCount.
func (s *Service) SetRules(ctx context.Context, ifMatch *string, in Rules, retroactive bool) (*Version, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := lockScheme(ctx, tx); err != nil {
			return err
		}
		was, err := s.latest(ctx, tx.Clients)
		if err != nil {
			return err
		}
		if err := etag.Require(ifMatch, was.Number); err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "membership.set_rules", ObjectType: "tier_scheme", ObjectID: strconv.FormatInt(was.Number+1, 10),
			Changes: map[string]any{"from": was.Rules, "to": in, "retroactive": retroactive}})
		return s.snapshot(ctx, tx, &in, retroactive)
	})
	if err != nil {
		return nil, err
	}
	return s.latest(ctx, s.db.From(ctx))
}

// Version is a version of the scheme and when it was made.
type Version struct {
	Scheme
	CreatedAt time.Time
}

const versionSQL = "SELECT number, document, in_force_at, created_at FROM tier_schemes "

func scanVersion(scan func(...any) error) (*Version, error) {
	v := &Version{}
	var raw []byte
	if err := scan(&v.Number, &raw, &v.From, &v.CreatedAt); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(raw, &v.Scheme); err != nil {
		return nil, err
	}
	v.sort()
	return v, nil
}

// latest is the version made last; number 0 where there is none.
func (s *Service) latest(ctx context.Context, c *db.Clients) (*Version, error) {
	v, err := scanVersion(c.QueryRow(ctx, versionSQL+"ORDER BY number DESC LIMIT 1").Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return &Version{Scheme: Scheme{Rules: DefaultRules()}}, nil
	}
	return v, err
}

// Latest is the scheme as it is.
func (s *Service) Latest(ctx context.Context) (*Version, error) { return s.latest(ctx, s.db.From(ctx)) }

// VersionOf reads a version by its number.
// Error: ErrVersionNotFound.
func (s *Service) VersionOf(ctx context.Context, number int64) (*Version, error) {
	v, err := scanVersion(s.db.From(ctx).QueryRow(ctx, versionSQL+"WHERE number = $1", number).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrVersionNotFound.New()
	}
	return v, err
}

// snapshot writes a version of the scheme as the transaction leaves it, and has
// everybody reviewed. Nil rules are those of the version before.
func (s *Service) snapshot(ctx context.Context, tx *db.Tx, rules *Rules, retroactive bool) error {
	v, err := s.latest(ctx, tx.Clients)
	if err != nil {
		return err
	}
	if rules != nil {
		v.Rules = *rules
	}
	tiers, err := tx.Loyalty.Tier.Query().Order(tier.ByRank()).All(ctx)
	if err != nil {
		return err
	}
	v.Tiers = make([]Tier, len(tiers))
	for i, t := range tiers {
		v.Tiers[i] = Tier{t.Code, t.Name, t.NameEn, t.Rank, Match(t.Match), t.Conditions, t.Benefits}
	}
	from := s.clock.Now()
	if retroactive {
		if err := tx.QueryRow(ctx, "SELECT coalesce(min(in_force_at), $1) FROM tier_schemes", from).Scan(&from); err != nil {
			return err
		}
	}
	raw, err := json.Marshal(v.Scheme)
	if err != nil {
		return err
	}
	actor, err := auth.From(ctx)
	if err != nil {
		return err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	create := tx.Loyalty.TierScheme.Create().SetID(id).SetNumber(v.Number + 1).SetDocument(raw).SetInForceAt(from).SetActorKind(string(actor.Kind)).SetCreatedAt(s.clock.Now())
	if actor.ID != uuid.Nil {
		create.SetActorID(actor.ID)
	}
	if err := create.Exec(ctx); err != nil {
		return err
	}
	events.Emit(tx, events.Event{Type: EventSchemeChanged, SubjectType: "tier_scheme", SubjectID: id, Payload: map[string]any{"number": v.Number + 1}})
	if s.queue == nil {
		return nil
	}
	_, err = s.queue.StartVisible(ctx, tx, jobReviewAll, reviewAllParameters{})
	return err
}
