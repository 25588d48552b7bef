package identity

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/events"
)

// Suspicious access is found in the audit log, where every view of unmasked
// data stands: whoever looks at much more than their work asks for.
const (
	alertWindow = 10 * time.Minute // in which acts are counted
	alertPause  = time.Hour        // before somebody is reported for the same again
	alertAction = "security.alert"
)

// AlertThresholds are how many acts of one principal within ten minutes are
// suspicious, by kind: personal fields revealed, customers looked up at the
// till beyond the scope, and look-ups that found nobody, as guesses do.
var AlertThresholds = map[string]int{"reveals": 60, "lookups": 300, "misses": 60}

// Alert is one report.
type Alert struct {
	ID            uuid.UUID
	Kind          string
	PrincipalKind string
	PrincipalID   uuid.UUID
	PrincipalName string
	Count         int64
	CreatedAt     time.Time
	StoreID       *uuid.UUID // home store of a member of staff
}

// CheckThresholds refuses kinds of alert that do not exist.
func CheckThresholds(changed map[string]int) error {
	for kind, n := range changed {
		if _, known := AlertThresholds[kind]; !known || n < 1 {
			return fmt.Errorf("identity: alert %s=%d; use positive numbers for %s", kind, n, strings.Join(slices.Sorted(maps.Keys(AlertThresholds)), ", "))
		}
	}
	return nil
}

func (s *Service) threshold(kind string) int {
	if n, ok := s.Alerts[kind]; ok {
		return n
	}
	return AlertThresholds[kind]
}

// WatchAccess reports principals who crossed a threshold; a job runs it every
// minute.
func (s *Service) WatchAccess(ctx context.Context) error {
	now := s.Clock.Now()
	return s.DB.InTx(auth.System(ctx, "watch-access"), func(ctx context.Context, tx *db.Tx) error {
		found, err := s.suspects(ctx, tx, now)
		if err != nil {
			return err
		}
		for _, a := range found {
			changes := map[string]any{"kind": a.Kind, "count": a.Count, "minutes": int(alertWindow / time.Minute), "name": a.PrincipalName}
			audit.Record(ctx, tx, audit.Entry{Action: alertAction, ObjectType: a.PrincipalKind, ObjectID: a.PrincipalID.String(), StoreID: a.StoreID, Changes: changes})
			events.Emit(tx, events.Event{Type: eventSecurityAlert, SubjectType: a.PrincipalKind, SubjectID: a.PrincipalID, StoreID: a.StoreID,
				Payload: map[string]any{"kind": a.Kind, "count": a.Count}})
			s.Log.WarnContext(ctx, "suspicious access", "kind", a.Kind, "count", a.Count, "principal_kind", a.PrincipalKind, "principal_id", a.PrincipalID)
		}
		return nil
	})
}
