package segments

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/events"
	"github.com/shuke-crm/shuke/internal/platform/lifecycle"
	"github.com/shuke-crm/shuke/internal/platform/settings"
)

// EventLifecycleRules says that stages mean something else now.
var EventLifecycleRules = events.Define("lifecycle.rules_changed", "修改了生命周期规则", "The rules of lifecycle stages were changed.")

// LifecycleSettings are the rules of stages in force. Version 0 are the built-in
// ones.
type LifecycleSettings struct {
	lifecycle.Settings
	JobID     *uuid.UUID // the job that applies them to everybody
	Version   int64
	UpdatedAt *time.Time
}

// storedLifecycle is the setting's value. Other packages read it as
// lifecycle.Settings.
type storedLifecycle struct {
	lifecycle.Settings
	JobID *uuid.UUID `json:"job_id"`
}

func loadLifecycle(ctx context.Context, c *db.Clients) (*LifecycleSettings, error) {
	v := storedLifecycle{Settings: lifecycle.Default()}
	version, updated, err := settings.Load(ctx, c, lifecycle.SettingKey, &v)
	return &LifecycleSettings{Settings: v.Settings, JobID: v.JobID, Version: version, UpdatedAt: updated}, err
}

// checkLifecycle holds rules against themselves and the bands there are.
// Error: ErrLifecycle.
func checkLifecycle(ctx context.Context, c *db.Clients, in lifecycle.Settings) error {
	bands, err := loadSettings(ctx, c)
	if err != nil {
		return err
	}
	err = in.Check(bands.Settings)
	var p *lifecycle.Problem
	if errors.As(err, &p) {
		return ErrLifecycle.New().Field(p.Pointer, lifecycleFaults[p.Fault])
	}
	return err
}

// UpdateLifecycle replaces the rules and starts the visible job that puts every
// customer into their new stage.
//
// Errors: apperr.ErrVersionRequired, apperr.ErrVersionMismatch, ErrLifecycle.
func (s *Service) UpdateLifecycle(ctx context.Context, ifMatch *string, in lifecycle.Settings) (*LifecycleSettings, error) {
	var out *LifecycleSettings
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		// As for the RFM settings: nobody is still placing customers by the old rules
		// when this has committed.
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(settingsLock)); err != nil {
			return err
		}
		if err := checkLifecycle(ctx, tx.Clients, in); err != nil {
			return err
		}
		old, err := loadLifecycle(ctx, tx.Clients)
		if err != nil {
			return err
		}
		if err := etag.Require(ifMatch, old.Version); err != nil {
			return err
		}
		job, err := s.queue.StartVisible(ctx, tx, jobStages, refreshParameters{})
		if err != nil {
			return err
		}
		now := s.clock.Now()
		if err := settings.Save(ctx, tx, lifecycle.SettingKey, storedLifecycle{in, &job.ID}, old.Version+1, now); err != nil {
			return err
		}
		out = &LifecycleSettings{Settings: in, JobID: &job.ID, Version: old.Version + 1, UpdatedAt: &now}
		audit.Record(ctx, tx, audit.Entry{Action: "segments.lifecycle_rules.update", ObjectType: "setting", ObjectID: lifecycle.SettingKey,
			Changes: map[string]any{"before": old.Settings, "after": in}})
		events.Emit(tx, events.Event{Type: EventLifecycleRules, SubjectType: "job", SubjectID: job.ID})
		return nil
	})
	return out, err
}

// StageMoves are customers whom rules would put from one stage into another.
type StageMoves struct {
	From, To  string
	Customers int64
}

// LifecyclePreview is what rules would change.
type LifecyclePreview struct {
	Customers int64 // all but those merged into others
	Pinned    int64 // of them, whose stage was set by hand
	Moved     int64
	Stages    map[string]int64 // how many would be in each, pinned ones too
	Moves     []StageMoves
}

// PreviewLifecycle counts whom rules would move, of everybody, and changes
// nothing.
// Plan: one pass over customers and customer_metrics, hashed.
//
// Error: ErrLifecycle.
func (s *Service) PreviewLifecycle(ctx context.Context, in lifecycle.Settings) (*LifecyclePreview, error) {
	c := s.db.From(ctx)
	if err := checkLifecycle(ctx, c, in); err != nil {
		return nil, err
	}
	var args []any
	stage := in.SQL(s.clock.Today(), s.clock.Start, func(v any) string { args = append(args, v); return "$" + strconv.Itoa(len(args)) })
	rows, err := c.Query(ctx, `SELECT pinned, was, would, count(*) FROM (
  SELECT c.lifecycle_pinned AS pinned, c.lifecycle_stage AS was, CASE WHEN c.lifecycle_pinned THEN c.lifecycle_stage ELSE `+stage+` END AS would
  FROM customers c LEFT JOIN customer_metrics m ON m.id = c.id WHERE c.merged_into_id IS NULL) t
GROUP BY 1, 2, 3 ORDER BY 4 DESC, 2, 3`, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := &LifecyclePreview{Stages: map[string]int64{}}
	for rows.Next() {
		var pinned bool
		var m StageMoves
		if err := rows.Scan(&pinned, &m.From, &m.To, &m.Customers); err != nil {
			return nil, err
		}
		out.Customers += m.Customers
		out.Stages[m.To] += m.Customers
		switch {
		case pinned:
			out.Pinned += m.Customers
		case m.From != m.To:
			out.Moved += m.Customers
			out.Moves = append(out.Moves, m)
		}
	}
	return out, rows.Err()
}
