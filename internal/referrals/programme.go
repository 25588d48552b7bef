package referrals

import (
	"context"
	"strings"
	"time"

	"github.com/shuke-crm/shuke/ent/loyalty/pointsunit"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/settings"
)

// Programme is by which terms members bring others.
type Programme struct {
	Enabled        bool   `json:"enabled"`
	Unit           string `json:"unit"` // code
	ReferrerPoints int64  `json:"referrer_points"`
	RefereePoints  int64  `json:"referee_points"`
	MinAmount      int64  `json:"min_amount"`    // of the goods of the first order, in minor units
	WindowDays     int    `json:"window_days"`   // after it is paid, in which goods may come back
	ClaimDays      int    `json:"claim_days"`    // after sign-up, in which a code can be named
	MonthlyLimit   int64  `json:"monthly_limit"` // rewarded referrals of a referrer in a calendar month; 0: any
	TotalLimit     int64  `json:"total_limit"`   // in all; 0: any
	DailySpeed     int64  `json:"daily_speed"`   // registrations by a code in a day from which they are held; 0: any
	HoldSignals    bool   `json:"hold_signals"`  // same device, address or likely the same person: somebody decides
	LinkTemplate   string `json:"link_template"` // with {code}; empty: no link

	Version   int64      `json:"-"`
	UpdatedAt *time.Time `json:"-"`
}

const settingKey = "referrals"

// LoadProgramme reads the terms in force.
func (s *Service) LoadProgramme(ctx context.Context) (*Programme, error) {
	p := &Programme{Unit: "points", ReferrerPoints: 200, RefereePoints: 200, WindowDays: 30, ClaimDays: 30, DailySpeed: 10, HoldSignals: true}
	var err error
	p.Version, p.UpdatedAt, err = settings.Load(ctx, s.db.From(ctx), settingKey, p)
	return p, err
}

// UpdateProgramme replaces the terms. They hold for whatever is rewarded from now on.
//
// Errors: ErrUnit, ErrLink, apperr.ErrVersionRequired, apperr.ErrVersionMismatch.
func (s *Service) UpdateProgramme(ctx context.Context, ifMatch *string, in Programme) (*Programme, error) {
	if in.LinkTemplate != "" && (!strings.HasPrefix(in.LinkTemplate, "https://") || strings.Count(in.LinkTemplate, "{code}") != 1) {
		return nil, ErrLink.At("/link_template")
	}
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtext('settings.referrals'))"); err != nil {
			return err
		}
		old, err := s.LoadProgramme(ctx)
		if err != nil {
			return err
		}
		if err := etag.Require(ifMatch, old.Version); err != nil {
			return err
		}
		if known, err := tx.Loyalty.PointsUnit.Query().Where(pointsunit.Code(in.Unit)).Exist(ctx); err != nil {
			return err
		} else if !known {
			return ErrUnit.At("/unit")
		}
		if err := settings.Save(ctx, tx, settingKey, in, old.Version+1, s.clock.Now()); err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "referrals.programme.update", ObjectType: "setting", ObjectID: settingKey, Changes: map[string]any{"before": old, "after": in}})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.LoadProgramme(ctx)
}
