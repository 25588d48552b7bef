package customers

import (
	"context"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/audit"
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
