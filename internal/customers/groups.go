package customers

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/events"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// EventGroupMembers says that customers came into a group or left it.
var EventGroupMembers = events.Define("customer_group.members_changed", "顾客分组的成员发生变化", "Customers came into a group or left it.")

type groupChange struct {
	Added   []uuid.UUID `json:"added,omitempty"`
	Removed []uuid.UUID `json:"removed,omitempty"`
}

// Group is a group of customers put together by hand. It belongs to nobody in
// particular; who is in it, everybody sees as far as they see customers.
type Group struct {
	ID          uuid.UUID
	Name        string
	Description string
	Customers   *int64 // active members in the caller's scope; nil where not counted
	Version     int64
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

const groupColumns = "g.id, g.name, g.description, g.version, g.created_at, g.updated_at"

// readGroups reads groups; tail is what follows the FROM clause.
func readGroups(ctx context.Context, c *db.Clients, tail string, args ...any) ([]Group, error) {
	rows, err := c.Query(ctx, "SELECT "+groupColumns+" FROM customer_groups g "+tail, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Group
	for rows.Next() {
		var g Group
		if err := rows.Scan(&g.ID, &g.Name, &g.Description, &g.Version, &g.CreatedAt, &g.UpdatedAt); err != nil {
			return nil, err
		}
		out = append(out, g)
	}
	return out, rows.Err()
}

// groupOf reads one group. Error: ErrGroupNotFound.
func groupOf(ctx context.Context, c *db.Clients, id uuid.UUID, tail string) (*Group, error) {
	found, err := readGroups(ctx, c, "WHERE g.id = $1 "+tail, id)
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0:
		return nil, ErrGroupNotFound.New()
	}
	return &found[0], nil
}

// OneGroup reads a group with the number of its active members in the caller's
// scope. Error: ErrGroupNotFound.
func (s *Service) OneGroup(ctx context.Context, id uuid.UUID) (*Group, error) {
	g, err := groupOf(ctx, s.db.From(ctx), id, "")
	if err != nil {
		return nil, err
	}
	return g, s.countMembers(ctx, g)
}

func (s *Service) countMembers(ctx context.Context, g *Group) error {
	actor, err := auth.From(ctx)
	if err != nil {
		return err
	}
	w := clause{"SELECT count(*) FROM customer_group_members m JOIN customers c ON c.id = m.customer_id AND c.archived_at IS NULL WHERE m.group_id = ?", []any{g.ID}}
	within := scopeClause(actor.Scope)
	w.and(within.sql, within.args...)
	g.Customers = new(int64)
	return s.db.From(ctx).QueryRow(ctx, w.numbered(), w.args...).Scan(g.Customers)
}

func countGroups(ctx context.Context, c *db.Clients) (n int, err error) {
	err = c.QueryRow(ctx, "SELECT count(*) FROM customer_groups").Scan(&n)
	return n, err
}

// groupName is the normal form of a group's name, as of a tag's.
func groupName(raw string) (string, error) {
	name, bad := tagName(raw)
	if bad != nil {
		return "", ErrGroupName.At("/name")
	}
	return name, nil
}

// CreateGroup makes a group. Errors: ErrGroupName, ErrGroupDuplicate.
func (s *Service) CreateGroup(ctx context.Context, name, description string) (*Group, error) {
	name, err := groupName(name)
	if err != nil {
		return nil, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	now := s.clock.Now()
	g := &Group{ID: id, Name: name, Description: strings.TrimSpace(description), Customers: new(int64), Version: 1, CreatedAt: now, UpdatedAt: now}
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO customer_groups (id, name, description, version, created_at, updated_at) VALUES ($1, $2, $3, 1, $4, $4)", g.ID, g.Name, g.Description, now)
		noteGroup(ctx, tx, "customer_groups.create", id, nil)
		return err
	})
	return g, constraint(err)
}

func noteGroup(ctx context.Context, tx *db.Tx, action string, id uuid.UUID, changes map[string]any) {
	audit.Record(ctx, tx, audit.Entry{Action: action, ObjectType: "customer_group", ObjectID: id.String(), Changes: changes})
}

// UpdateGroup changes a group; nil parts stay.
// Errors: ErrGroupNotFound, ErrGroupName, ErrGroupDuplicate, request.version_mismatch.
func (s *Service) UpdateGroup(ctx context.Context, id uuid.UUID, name, description, ifMatch *string) (*Group, error) {
	var g *Group
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		if g, err = groupOf(ctx, tx.Clients, id, "FOR NO KEY UPDATE"); err != nil {
			return err
		}
		if err := etag.Check(ifMatch, g.Version); err != nil {
			return err
		}
		var fields []string
		if name != nil {
			if g.Name, err = groupName(*name); err != nil {
				return err
			}
			fields = append(fields, "name")
		}
		if description != nil {
			g.Description = strings.TrimSpace(*description)
			fields = append(fields, "description")
		}
		g.Version, g.UpdatedAt = g.Version+1, s.clock.Now()
		noteGroup(ctx, tx, "customer_groups.update", id, map[string]any{"fields": fields})
		if _, err = tx.Exec(ctx, "UPDATE customer_groups SET name = $2, description = $3, version = $4, updated_at = $5 WHERE id = $1",
			g.ID, g.Name, g.Description, g.Version, g.UpdatedAt); err != nil {
			return err
		}
		return s.countMembers(ctx, g)
	})
	return g, constraint(err)
}

// DeleteGroup removes a group; its members stay customers.
// Errors: ErrGroupNotFound, request.version_mismatch.
func (s *Service) DeleteGroup(ctx context.Context, id uuid.UUID, ifMatch *string) error {
	return s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		g, err := groupOf(ctx, tx.Clients, id, "FOR UPDATE")
		if err != nil {
			return err
		}
		if err := etag.Check(ifMatch, g.Version); err != nil {
			return err
		}
		noteGroup(ctx, tx, "customer_groups.delete", id, nil)
		_, err = tx.Exec(ctx, "DELETE FROM customer_groups WHERE id = $1", id)
		return err
	})
}

// MemberOutcome is what became of one member named: added, present, removed,
// absent, or error.
type MemberOutcome struct {
	Status     string
	CustomerID uuid.UUID
	Err        error
}

// AddMembers puts customers of the caller's scope into a group.
// Error: ErrGroupNotFound; outcomes carry ErrGroupMember, ErrNotFound, ErrArchived.
func (s *Service) AddMembers(ctx context.Context, id uuid.UUID, refs []Ref) ([]MemberOutcome, error) {
	return s.changeMembers(ctx, id, refs, "added", "present", `
		INSERT INTO customer_group_members (group_id, customer_id, added_by, added_at)
		SELECT $1, c.id, $3, $4 FROM unnest($2::uuid[]) c (id) ON CONFLICT (group_id, customer_id) DO NOTHING RETURNING customer_id`)
}

// RemoveMembers takes customers of the caller's scope out of a group.
// Error: ErrGroupNotFound; outcomes carry ErrGroupMember, ErrNotFound, ErrArchived.
func (s *Service) RemoveMembers(ctx context.Context, id uuid.UUID, refs []Ref) ([]MemberOutcome, error) {
	return s.changeMembers(ctx, id, refs, "removed", "absent", `
		DELETE FROM customer_group_members WHERE group_id = $1 AND customer_id = ANY ($2::uuid[]) AND ($3::text, $4::timestamptz) IS NOT NULL RETURNING customer_id`)
}

// changeMembers resolves whom the request names, holds them still (a merge moves
// the rows of who is merged) and runs one statement for all.
func (s *Service) changeMembers(ctx context.Context, id uuid.UUID, refs []Ref, done, nothing, query string) ([]MemberOutcome, error) {
	actor, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	var out []MemberOutcome
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		out = make([]MemberOutcome, len(refs))
		if _, err := groupOf(ctx, tx.Clients, id, "FOR SHARE"); err != nil {
			return err
		}
		found, err := s.Resolve(ctx, tx, refs)
		if err != nil {
			return err
		}
		var ids []uuid.UUID
		for i, r := range found {
			switch {
			case refs[i].ID == uuid.Nil && strings.TrimSpace(refs[i].ExternalID) == "":
				out[i].Err = ErrGroupMember.New()
			case r.ID == uuid.Nil || !actor.Scope.Sees(r.HomeStoreID, r.AssignedStaffID):
				out[i].Err = ErrNotFound.New()
			case r.Archived:
				out[i].Err = ErrArchived.New()
			default:
				out[i].CustomerID = r.ID
				ids = append(ids, r.ID)
			}
		}
		ids = unique(ids)
		if err := holdMembers(ctx, tx, actor.Scope, ids); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, query, id, pgarray.UUIDs(ids), actor.Principal(), s.clock.Now())
		if err != nil {
			return err
		}
		changed, err := scanIDs(rows)
		if err != nil {
			return err
		}
		for i := range out {
			switch {
			case out[i].Err != nil:
				out[i].Status = "error"
			case slices.Contains(changed, out[i].CustomerID):
				out[i].Status = done
			default:
				out[i].Status = nothing
			}
		}
		if len(changed) == 0 {
			return nil
		}
		change := groupChange{Added: changed}
		if done == "removed" {
			change = groupChange{Removed: changed}
		}
		for _, c := range changed {
			audit.Record(ctx, tx, audit.Entry{Action: "customers.group_" + done, ObjectType: "customer", ObjectID: c.String(), Changes: map[string]any{"group_id": id}})
		}
		events.Emit(tx, events.Event{Type: EventGroupMembers, SubjectType: "customer_group", SubjectID: id, Payload: change})
		return nil
	})
	return out, err
}

// holdMembers locks customers until commit. One who was merged, archived or
// moved out of the scope since they were resolved is looked for anew.
func holdMembers(ctx context.Context, tx *db.Tx, within auth.Scope, ids []uuid.UUID) error {
	w := clause{"SELECT c.id FROM customers c WHERE c.id = ANY (?::uuid[]) AND c.archived_at IS NULL", []any{pgarray.UUIDs(ids)}}
	p := scopeClause(within)
	w.and(p.sql, p.args...)
	var rows *sql.Rows
	rows, err := tx.Query(ctx, w.numbered()+" ORDER BY c.id FOR KEY SHARE", w.args...)
	if err != nil {
		return err
	}
	held, err := scanIDs(rows)
	if err == nil && len(held) < len(ids) {
		err = db.ErrAgain
	}
	return err
}
