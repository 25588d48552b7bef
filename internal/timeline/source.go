package timeline

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/scope"
)

// Source is a table whose rows appear in the timelines of customers. A domain
// that has one declares it beside its queries; package server hands them all to
// Use, and the contract's TimelineKind names their kinds. The pieces are SQL of
// that domain over the row r:
//
//	SELECT Kind, r.id, At, Actor, Store, Details FROM From
//	WHERE Owner = the customer AND Where AND the scope AND (At, r.id) < the cursor
//	ORDER BY At DESC, r.id DESC LIMIT a page
//
// so From wants an index on (owner, at, id) wherever a customer may have many rows.
type Source struct {
	Kinds      []string        // what rows are, one of these
	Kind       string          // SQL; empty for sources of one kind
	Permission auth.Permission // who does not hold it sees none of them
	From       string          // table AS r, joins
	Owner      string          // column; empty: r.customer_id
	Where      string          // further condition, or empty
	At         string          // when it happened: column, NOT NULL
	ActorKind  string          // SQL: staff, api_key, member, system or NULL; empty: NULL
	ActorID    string          // SQL; empty: NULL
	Store      string          // SQL: the store it happened in; empty: NULL
	Details    string          // SQL: a jsonb object without personal data in clear
	// Scope are the columns of r by which the permission's reach is judged. Without
	// any, whoever sees the customer sees the row.
	Scope scope.Columns
	// Past is for tables whose rows keep the id of a customer who was merged into
	// another: they appear with the survivor.
	Past bool
	// Text is for an Owner that is text.
	Text bool
	// ByID is for tables without an index on At, whose ids are UUIDv7: rows happened
	// when their id says, to the millisecond, and an index on (owner, id) is walked.
	ByID bool
	// Open completes details with what is sealed; key is the customer's.
	Open func(key crypto.DataKey, id uuid.UUID, details map[string]any) error
}

var kindName = regexp.MustCompile(`^[a-z][a-z_]*$`)

// Use adds sources to the timeline; call it before serving. It panics on a kind
// that two sources have: a filter could not tell them apart.
func (s *Service) Use(sources ...Source) {
	for _, src := range sources {
		if src.Owner == "" {
			src.Owner = "r.customer_id"
		}
		for _, p := range []*string{&src.ActorKind, &src.ActorID, &src.Store} {
			if *p == "" {
				*p = "NULL"
			}
		}
		if src.Kind == "" {
			src.Kind = "'" + src.Kinds[0] + "'"
		}
		if src.ByID {
			src.At = idTime
		}
		for _, k := range src.Kinds {
			if !kindName.MatchString(k) || slices.Contains(s.TimelineKinds(), k) {
				panic(fmt.Sprintf("timeline: kind %q", k))
			}
		}
		s.sources = append(s.sources, src)
	}
}

// TimelineKinds lists the kinds of all sources.
func (s *Service) TimelineKinds() []string {
	var out []string
	for _, src := range s.sources {
		out = append(out, src.Kinds...)
	}
	return out
}

// idTime is the moment in a UUIDv7.
const idTime = `to_timestamp(('x' || replace(left(r.id::text, 13), '-', ''))::bit(48)::bigint / 1000.0)`

// ownSources are the rows of this domain and of package customers, which knows
// nothing of timelines.
func ownSources() []Source {
	return []Source{
		{
			Kinds: []string{"note"}, Permission: auth.NotesRead, From: "notes AS r", Scope: noteScope, At: "r.created_at",
			ActorKind: "r.author_kind", ActorID: "r.author_id", Store: "r.store_id",
			Details: "jsonb_build_object('kind', r.kind, 'pinned', r.pinned, 'edited', r.version > 1, 'text', encode(r.text_sealed, 'base64'))",
			Open: func(key crypto.DataKey, id uuid.UUID, details map[string]any) error {
				return unseal(key, tableNotes, columnText, id, details)
			},
		},
		{
			Kinds: []string{"attachment"}, Permission: auth.NotesRead, From: "attachments AS r", Scope: noteScope, At: "r.created_at",
			ActorKind: "r.author_kind", ActorID: "r.author_id", Store: "r.store_id",
			Details: "jsonb_build_object('kind', r.kind, 'content_type', r.content_type, 'size_bytes', r.size_bytes, 'caption', encode(r.caption_sealed, 'base64'))",
			Open: func(key crypto.DataKey, id uuid.UUID, details map[string]any) error {
				return unseal(key, tableAttachments, columnCaption, id, details)
			},
		},
		{
			// What was done to the record: of the audit log what changes it, and neither
			// reveals nor sign-ins.
			Kinds: []string{"created", "changed", "archived", "restored", "handed_over", "identity_unlinked"},
			Kind: `CASE r.action WHEN 'customers.create' THEN 'created' WHEN 'customers.archive' THEN 'archived' WHEN 'customers.restore' THEN 'restored'
 WHEN 'customers.hand_over' THEN 'handed_over' WHEN 'customers.assign' THEN 'handed_over'
 WHEN 'member.unlink' THEN 'identity_unlinked' ELSE 'changed' END`,
			Permission: auth.CustomersRead, From: "audit_logs AS r", Owner: "r.object_id", Text: true, Past: true, ByID: true,
			Where: `r.object_type = 'customer' AND r.action IN ('customers.create', 'customers.update', 'customers.archive', 'customers.restore',
 'customers.hand_over', 'customers.assign', 'member.unlink')`,
			ActorKind: "r.actor_kind", ActorID: "r.actor_id", Store: "r.store_id",
			Details: `jsonb_strip_nulls(CASE r.action
 WHEN 'customers.assign' THEN jsonb_build_object('to_staff_id', r.changes->'assigned_staff_id'->1, 'rule_id', r.changes->'rule_id')
 WHEN 'customers.hand_over' THEN jsonb_build_object('from_staff_id', r.changes->'assigned_staff_id'->0, 'to_staff_id', r.changes->'assigned_staff_id'->1)
 WHEN 'member.unlink' THEN jsonb_build_object('provider', r.changes->'provider')
 ELSE jsonb_build_object('fields', r.changes->'fields', 'import_id', r.changes->'import_id') END)`,
		},
		{
			Kinds: []string{"tag_added"}, Permission: auth.CustomersRead, From: "customer_tag_history AS r", At: "r.added_at",
			ActorKind: "split_part(r.added_by, ':', 1)", ActorID: "split_part(r.added_by, ':', 2)",
			Details: "jsonb_strip_nulls(jsonb_build_object('tag_id', r.tag_id, 'tag', r.tag_name, 'origin', r.origin, 'expires_at', r.expires_at))",
		},
		{
			Kinds: []string{"tag_removed"}, Permission: auth.CustomersRead, From: "customer_tag_history AS r", At: "r.removed_at", Where: "r.removed_at IS NOT NULL",
			ActorKind: "split_part(r.removed_by, ':', 1)", ActorID: "split_part(r.removed_by, ':', 2)",
			Details: "jsonb_build_object('tag_id', r.tag_id, 'tag', r.tag_name, 'origin', r.removed_origin)",
		},
		{
			// The history of each record stays with it when it is merged.
			Kinds: []string{"lifecycle"}, Permission: auth.CustomersRead, From: "customer_lifecycle_changes AS r", Past: true, At: "r.changed_at",
			ActorKind: "split_part(r.changed_by, ':', 1)", ActorID: "split_part(r.changed_by, ':', 2)",
			Details: "jsonb_strip_nulls(jsonb_build_object('from', r.from_stage, 'to', r.to_stage, 'pinned', r.pinned, 'cause', r.cause, 'rule', r.rule))",
		},
		{
			Kinds: []string{"merged"}, Permission: auth.CustomersRead, From: "customer_merges AS r", Owner: "r.survivor_id", Past: true, At: "r.merged_at",
			ActorKind: keyOrStaff("r.merged_by"), ActorID: "r.merged_by",
			Details: "jsonb_build_object('merged_id', r.merged_id, 'status', r.status, 'moved', r.moved)",
		},
		{
			Kinds: []string{"merge_undone"}, Permission: auth.CustomersRead, From: "customer_merges AS r", Owner: "r.survivor_id", Past: true, At: "r.undone_at",
			Where: "r.status = 'undone'", ActorKind: keyOrStaff("r.undone_by"), ActorID: "r.undone_by",
			Details: "jsonb_build_object('merged_id', r.merged_id)",
		},
	}
}

// keyOrStaff is the kind of an actor of whom only the id was kept.
func keyOrStaff(id string) string {
	return "CASE WHEN " + id + " IS NULL THEN 'system' WHEN EXISTS (SELECT FROM api_keys k WHERE k.id = " + id + ") THEN 'api_key' ELSE 'staff' END"
}
