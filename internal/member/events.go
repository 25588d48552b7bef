package member

import (
	"context"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/events"
)

// Domain events. The subject is the customer, and payloads carry ids and codes.
var (
	EventSignedUp         = events.Define("member.signed_up", "顾客注册为会员", "A customer became a member.")
	EventSignedIn         = events.Define("member.signed_in", "会员已登录", "A member signed in.")
	EventSessionEnded     = events.Define("member.session_ended", "会员会话已终止", "A session of a member was ended.")
	EventIdentityLinked   = events.Define("member.identity_linked", "会员绑定了登录方式", "A member linked a way to sign in.")
	EventIdentityUnlinked = events.Define("member.identity_unlinked", "会员解绑了登录方式", "A way to sign in was taken off a member.")
	EventConsentGranted   = events.Define("member.consent_granted", "会员给予了同意", "A member gave a consent.")
	EventConsentWithdrawn = events.Define("member.consent_withdrawn", "会员撤回了同意", "A member withdrew a consent.")
	EventDuplicate        = events.Define("customer.duplicate_suspected", "疑似重复顾客", "Two customers seem to be one person.")
)

// happened writes an act into the audit log and announces it.
func happened(ctx context.Context, tx *db.Tx, event, action string, customerID uuid.UUID, storeID *uuid.UUID, payload map[string]any) {
	audit.Record(ctx, tx, audit.Entry{Action: action, ObjectType: "customer", ObjectID: customerID.String(), StoreID: storeID, Changes: payload})
	events.Emit(tx, events.Event{Type: event, SubjectType: "customer", SubjectID: customerID, StoreID: storeID, Payload: payload})
}
