package operations

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/platform"
	"github.com/shuke-crm/shuke/ent/platform/job"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/page"
	"github.com/shuke-crm/shuke/internal/platform/scope"
)

// JobFilter narrows a list of jobs; zero fields do not.
type JobFilter struct {
	Kind, Status string
	Cursor       *string
	Limit        int
	Count        bool
}

// Page is one page of a list, newest first.
type Page[T any] struct {
	Items []T
	Next  string // cursor of the next page, empty on the last
	Total *int64 // when asked for
}

// position is the last row shown; ids are UUIDv7 and so in order of time.
type position struct {
	ID uuid.UUID `json:"id"`
}

// visible restricts a query to the jobs the caller may see.
func visible(ctx context.Context, q *platform.JobQuery) (*platform.JobQuery, error) {
	actor, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	if !actor.Can(auth.JobsRead) {
		q = q.Where(job.RequestedBy(actor.Principal()))
	}
	return q, nil
}

// Jobs lists the jobs the caller may see.
// Errors: request.bad_cursor.
func (s *Service) Jobs(ctx context.Context, f JobFilter) (Page[*platform.Job], error) {
	var out Page[*platform.Job]
	q, err := visible(ctx, s.db.From(ctx).Platform.Job.Query())
	if err != nil {
		return out, err
	}
	if f.Kind != "" {
		q = q.Where(job.Kind(f.Kind))
	}
	if f.Status != "" {
		q = q.Where(job.StatusEQ(job.Status(f.Status)))
	}
	if f.Count {
		n, err := q.Clone().Count(ctx)
		if err != nil {
			return out, fmt.Errorf("count jobs: %w", err)
		}
		total := int64(n)
		out.Total = &total
	}
	list := "jobs:" + f.Kind + ":" + f.Status
	var after position
	if more, err := s.pages.Decode(list, f.Cursor, &after); err != nil {
		return out, err
	} else if more {
		q = q.Where(job.IDLT(after.ID))
	}
	rows, err := q.Order(platform.Desc(job.FieldID)).Limit(f.Limit + 1).All(ctx)
	if err != nil {
		return out, fmt.Errorf("list jobs: %w", err)
	}
	rows, more := page.Cut(rows, f.Limit)
	out.Items = rows
	if more {
		out.Next = s.pages.Encode(list, position{rows[len(rows)-1].ID})
	}
	return out, nil
}

// AuditLog is one entry of the audit log, as kept.
type AuditLog struct {
	ID         uuid.UUID
	CreatedAt  time.Time
	ActorKind  string
	ActorID    uuid.NullUUID
	ActorName  string
	Action     string
	ObjectType string
	ObjectID   string
	RequestID  string
	Reason     string
	Changes    map[string]any
}

// AuditFilter narrows a list of audit entries; zero fields do not.
type AuditFilter struct {
	ActorID              uuid.UUID
	Action               string
	ObjectType, ObjectID string
	From, Before         time.Time
	Cursor               *string
	Limit                int
	Count                bool
}

// auditColumns are the scope of an entry: the store it concerns. An entry
// without a store is seen by those who see everything.
var auditColumns = scope.Columns{Store: "store_id"}

// conditions builds the WHERE clause of the filter and the caller's scope.
// Each filter has its index (actor, action, object), all ending in the id.
func (f AuditFilter) conditions(ctx context.Context) (string, []any, error) {
	where, args, err := scope.SQL(ctx, auditColumns, "", 1)
	if err != nil {
		return "", nil, err
	}
	parts := []string{where}
	add := func(condition string, arg any) {
		args = append(args, arg)
		parts = append(parts, strings.ReplaceAll(condition, "?", "$"+strconv.Itoa(len(args))))
	}
	if f.ActorID != uuid.Nil {
		add("actor_id = ?", f.ActorID)
	}
	if f.Action != "" {
		add("action = ?", f.Action)
	}
	if f.ObjectType != "" {
		add("object_type = ?", f.ObjectType)
	}
	if f.ObjectID != "" {
		add("object_id = ?", f.ObjectID)
	}
	if !f.From.IsZero() {
		add("created_at >= ?", f.From)
	}
	if !f.Before.IsZero() {
		add("created_at < ?", f.Before)
	}
	return strings.Join(parts, " AND "), args, nil
}

// AuditLogs lists audit entries within the caller's scope.
// Errors: request.bad_cursor.
func (s *Service) AuditLogs(ctx context.Context, f AuditFilter) (Page[AuditLog], error) {
	var out Page[AuditLog]
	where, args, err := f.conditions(ctx)
	if err != nil {
		return out, err
	}
	clients := s.db.From(ctx)
	if f.Count {
		var total int64
		if err := clients.QueryRow(ctx, "SELECT count(*) FROM audit_logs WHERE "+where, args...).Scan(&total); err != nil {
			return out, fmt.Errorf("count audit entries: %w", err)
		}
		out.Total = &total
	}
	list := "audit:" + strings.Join([]string{f.ActorID.String(), f.Action, f.ObjectType, f.ObjectID, f.From.String(), f.Before.String()}, "\x00")
	var after position
	if more, err := s.pages.Decode(list, f.Cursor, &after); err != nil {
		return out, err
	} else if more {
		args = append(args, after.ID)
		where += " AND id < $" + strconv.Itoa(len(args))
	}
	args = append(args, f.Limit+1)
	rows, err := clients.Query(ctx, `
		SELECT id, created_at, actor_kind, actor_id, actor_name, action, object_type, object_id, request_id, reason, changes
		FROM audit_logs WHERE `+where+` ORDER BY id DESC LIMIT $`+strconv.Itoa(len(args)), args...)
	if err != nil {
		return out, fmt.Errorf("list audit entries: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var a AuditLog
		var changes []byte
		if err := rows.Scan(&a.ID, &a.CreatedAt, &a.ActorKind, &a.ActorID, &a.ActorName, &a.Action, &a.ObjectType, &a.ObjectID, &a.RequestID, &a.Reason, &changes); err != nil {
			return out, fmt.Errorf("read an audit entry: %w", err)
		}
		if len(changes) > 0 {
			if err := json.Unmarshal(changes, &a.Changes); err != nil {
				return out, fmt.Errorf("changes of audit entry %s: %w", a.ID, err)
			}
		}
		out.Items = append(out.Items, a)
	}
	if err := rows.Err(); err != nil {
		return out, err
	}
	items, more := page.Cut(out.Items, f.Limit)
	out.Items = items
	if more {
		out.Next = s.pages.Encode(list, position{items[len(items)-1].ID})
	}
	return out, nil
}
