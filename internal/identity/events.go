package identity

import (
	"context"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/events"
)

// Domain events.
var (
	eventStaffCreated    = events.Define("staff.created", "新建了员工", "A member of staff was created")
	eventStaffUpdated    = events.Define("staff.updated", "员工信息已更改", "A member of staff was changed")
	eventStaffDeleted    = events.Define("staff.deleted", "未使用的员工账号已删除", "An unused account was deleted")
	eventGrantsChanged   = events.Define("staff.grants_changed", "员工的授权已更改", "The grants of a member of staff changed")
	eventDelegationBegan = events.Define("staff.delegation_began", "代管开始", "A member of staff began to stand in for a colleague on leave")
	eventDelegationEnded = events.Define("staff.delegation_ended", "代管结束", "A member of staff stopped standing in for a colleague")
	eventSecurityAlert   = events.Define("security.alert", "发现可疑访问", "Somebody looks at much more customer data than their work asks for")
	eventSessionCreated  = events.Define("session.created", "员工已登录", "A member of staff signed in")
	eventSessionRevoked  = events.Define("session.revoked", "会话已终止", "A session was ended")
	eventRoleCreated     = events.Define("role.created", "新建了角色", "A role was created")
	eventRoleUpdated     = events.Define("role.updated", "角色已更改", "A role was changed")
	eventRoleDeleted     = events.Define("role.deleted", "角色已删除", "A role was deleted")
	eventStoreCreated    = events.Define("store.created", "新建了门店", "A store was created")
	eventStoreUpdated    = events.Define("store.updated", "门店已更改", "A store was changed")
	eventStoreDeleted    = events.Define("store.deleted", "未使用的门店已删除", "An unused store was deleted")
	eventRegionCreated   = events.Define("region.created", "新建了区域", "A region was created")
	eventRegionUpdated   = events.Define("region.updated", "区域已更改", "A region was changed")
	eventRegionDeleted   = events.Define("region.deleted", "区域已删除", "A region was deleted")
	eventAPIKeyCreated   = events.Define("api_key.created", "签发了 API 密钥", "An API key was issued")
	eventAPIKeyUpdated   = events.Define("api_key.updated", "API 密钥已更改", "An API key was changed")
	eventAPIKeyRotated   = events.Define("api_key.rotated", "API 密钥已轮换", "An API key was given a new secret")
	eventAPIKeyRevoked   = events.Define("api_key.revoked", "API 密钥已吊销", "An API key was revoked")
	eventNewDevice       = events.Define("staff.signed_in_from_new_device", "员工在新设备或新网络登录", "A member of staff signed in from a new device or network")
)

// happened writes an act into the audit log and announces it.
func happened(ctx context.Context, tx *db.Tx, event string, e audit.Entry, subject uuid.UUID, payload map[string]any) {
	e.ObjectID = subject.String()
	audit.Record(ctx, tx, e)
	events.Emit(tx, events.Event{Type: event, SubjectType: e.ObjectType, SubjectID: subject, StoreID: e.StoreID, Payload: payload})
}

func (s *Service) renamed(ctx context.Context) {
	if s.Renamed != nil {
		s.Renamed(ctx)
	}
}
