package customers

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/events"
)

// Domain events. Payloads name changed fields, never values.
var (
	EventCreated  = events.Define("customer.created", "新建了顾客", "A customer was created.")
	EventUpdated  = events.Define("customer.updated", "修改了顾客", "A customer was changed.")
	EventArchived = events.Define("customer.archived", "归档了顾客", "A customer was archived.")
	EventRestored = events.Define("customer.restored", "恢复了顾客", "An archived customer was restored.")
)

// Why a customer changes, beside by whom: what histories of tags and stages say.
const (
	originManual    = "manual" // a member of staff
	originAPI       = "api"    // a key
	originMember    = "member" // themselves
	originSystem    = "system"
	originImport    = "import"
	originMerge     = "merge"
	originMergeUndo = "merge_undo"
	originTagMerge  = "tag_merge"
	originExpiry    = "expiry"
)

type originKey struct{}

// withOrigin says why what is done in a context is done.
func withOrigin(ctx context.Context, origin string) context.Context {
	return context.WithValue(ctx, originKey{}, origin)
}

// originOfChange is why what is done in a context is done.
func originOfChange(ctx context.Context) string {
	actor := auth.Must(ctx)
	origin, ok := ctx.Value(originKey{}).(string)
	switch {
	case ok:
		return origin
	case importOf(ctx) != uuid.Nil:
		return originImport
	case actor.Kind == auth.KindStaff:
		return originManual
	case actor.Kind == auth.KindAPIKey:
		return originAPI
	case actor.Kind == auth.KindMember:
		return originMember
	}
	return originSystem
}

type stageRuleKey struct{}

// withStageRule names the rule by which a single write derives a stage.
func withStageRule(ctx context.Context, rule string) context.Context {
	return context.WithValue(ctx, stageRuleKey{}, rule)
}

// changeBy is what statements hand to the triggers that keep histories.
func changeBy(ctx context.Context) string {
	rule, _ := ctx.Value(stageRuleKey{}).(string)
	return changeFor(ctx, rule)
}

// changeFor is changeBy for stages that a rule gives.
func changeFor(ctx context.Context, rule string) string {
	said := map[string]string{"origin": originOfChange(ctx)}
	if actor := auth.Must(ctx); actor.Kind != auth.KindSystem {
		said["by"] = actor.Principal()
	}
	if rule != "" {
		said["rule"] = rule
	}
	raw, err := json.Marshal(said)
	if err != nil {
		panic(err) // texts
	}
	return string(raw)
}

type changedFields struct {
	Fields []string `json:"fields"`
}

// note records a change of a customer: audit entry, domain event, and the end
// of its cached profile.
func (s *Service) note(ctx context.Context, tx *db.Tx, action, event string, c *Customer, fields []string) {
	entry := audit.Entry{Action: action, ObjectType: "customer", ObjectID: c.ID.String(), StoreID: c.HomeStoreID, StaffID: c.AssignedStaffID}
	e := events.Event{Type: event, SubjectType: "customer", SubjectID: c.ID, StoreID: c.HomeStoreID}
	if len(fields) > 0 {
		entry.Changes = map[string]any{"fields": fields}
		e.Payload = changedFields{fields}
	}
	if id := importOf(ctx); id != uuid.Nil {
		if entry.Changes == nil {
			entry.Changes = map[string]any{}
		}
		entry.Changes["import_id"] = id
	}
	audit.Record(ctx, tx, entry)
	events.Emit(tx, e)
	if event != EventCreated { // nobody can have cached what did not exist
		s.Touch(ctx, tx, c.ID)
	}
	if (event == EventArchived || event == EventRestored) && s.members != nil {
		s.members.Closed(ctx, tx, c.ID)
	}
}

func noteTag(ctx context.Context, tx *db.Tx, action string, id uuid.UUID, fields []string) {
	entry := audit.Entry{Action: action, ObjectType: "tag", ObjectID: id.String()}
	if len(fields) > 0 {
		entry.Changes = map[string]any{"fields": fields}
	}
	audit.Record(ctx, tx, entry)
}
