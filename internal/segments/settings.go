package segments

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/events"
	"github.com/shuke-crm/shuke/internal/platform/rfm"
	"github.com/shuke-crm/shuke/internal/platform/settings"
)

// EventSettingsChanged says that bands mean something else now.
var EventSettingsChanged = events.Define("rfm.settings_changed", "修改了 RFM 设置", "The RFM settings were changed.")

// Settings are the RFM settings in force. Version 0 are the built-in ones.
type Settings struct {
	rfm.Settings
	Names     map[string]string // of bands, by code
	JobID     *uuid.UUID        // the job that applies them to everybody
	Version   int64
	UpdatedAt *time.Time
}

// stored is the setting's value. Other packages read it as rfm.Settings.
type stored struct {
	rfm.Settings
	Names map[string]string `json:"names"`
	JobID *uuid.UUID        `json:"job_id"`
}

// settingsLock is an advisory lock: whoever bands holds it shared until commit,
// whoever changes the settings alone. So when a change has committed, nobody is
// still banding by the old settings, and the job that follows misses none.
const settingsLock = 0x72666d // "rfm"

// LoadSettings reads the settings in force.
func (s *Service) LoadSettings(ctx context.Context) (*Settings, error) {
	return loadSettings(ctx, s.db.From(ctx))
}

func loadSettings(ctx context.Context, c *db.Clients) (*Settings, error) {
	var v stored
	version, updated, err := settings.Load(ctx, c, rfm.SettingKey, &v)
	if err == nil && version == 0 {
		return &Settings{Settings: rfm.Default(), Names: map[string]string{rfm.Loyal: "忠诚顾客", rfm.Dormant: "沉睡顾客"}}, nil
	}
	return &Settings{Settings: v.Settings, Names: v.Names, JobID: v.JobID, Version: version, UpdatedAt: updated}, err
}

// UpdateSettings replaces the settings and starts the visible job that puts
// every customer into their new band.
//
// Errors: apperr.ErrVersionRequired, apperr.ErrVersionMismatch, ErrSettings.
func (s *Service) UpdateSettings(ctx context.Context, ifMatch *string, in rfm.Settings, names map[string]string) (*Settings, error) {
	if err := in.Check(); err != nil {
		var p *rfm.Problem
		if errors.As(err, &p) {
			return nil, ErrSettings.New().Field(p.Pointer, faults[p.Fault])
		}
		return nil, err
	}
	var out *Settings
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(settingsLock)); err != nil {
			return err
		}
		old, err := loadSettings(ctx, tx.Clients)
		if err != nil {
			return err
		}
		if err := etag.Require(ifMatch, old.Version); err != nil {
			return err
		}
		job, err := s.queue.StartVisible(ctx, tx, jobRefresh, refreshParameters{})
		if err != nil {
			return err
		}
		now := s.clock.Now()
		if err := settings.Save(ctx, tx, rfm.SettingKey, stored{in, names, &job.ID}, old.Version+1, now); err != nil {
			return err
		}
		out = &Settings{Settings: in, Names: names, JobID: &job.ID, Version: old.Version + 1, UpdatedAt: &now}
		audit.Record(ctx, tx, audit.Entry{Action: "segments.rfm_settings.update", ObjectType: "setting", ObjectID: rfm.SettingKey,
			Changes: map[string]any{"before": old.Settings, "after": in}})
		events.Emit(tx, events.Event{Type: EventSettingsChanged, SubjectType: "job", SubjectID: job.ID})
		// Profiles show bands by the settings in force, not only the stored band.
		tx.AfterCommit(s.customers.ClearProfiles)
		return nil
	})
	return out, err
}
