package customers

import (
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/lib/pq"
	"github.com/oapi-codegen/nullable"

	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/ent/crm/tag"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// tagNames are the tags that inputs name, by name.
type tagNames map[string]uuid.UUID

// resolveTags finds the tags that inputs name. Those missing are made if the
// caller may define tags; otherwise assign will refuse them.
func (s *Service) resolveTags(ctx context.Context, tx *db.Tx, inputs []*Input) (tagNames, error) {
	var wanted []string
	for _, in := range inputs {
		if in.Tags == nil {
			continue
		}
		for _, raw := range *in.Tags {
			if name, bad := tagName(raw); bad == nil {
				wanted = append(wanted, name)
			}
		}
	}
	if len(wanted) == 0 {
		return nil, nil
	}
	slices.Sort(wanted) // a fixed order of locks on new names
	wanted = slices.Compact(wanted)
	found, err := s.tagsByName(ctx, tx, wanted)
	if err != nil || len(found) == len(wanted) || !auth.Must(ctx).Can(auth.TagsManage) {
		return found, err
	}
	now := s.clock.Now()
	var ids pgarray.UUIDs
	var names []string
	for _, name := range wanted {
		if _, ok := found[name]; ok {
			continue
		}
		id, err := uuid.NewV7()
		if err != nil {
			return nil, err
		}
		ids, names = append(ids, id), append(names, name)
	}
	rows, err := tx.Query(ctx, `INSERT INTO tags (id, name, version, created_at, updated_at)
		SELECT t.id, t.name, 1, $3, $3 FROM unnest($1::uuid[], $2::text[]) AS t (id, name) ON CONFLICT DO NOTHING RETURNING id`, ids, pq.Array(names), now)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id uuid.UUID
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		noteTag(ctx, tx, "tags.create", id, nil)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	return s.tagsByName(ctx, tx, wanted)
}

func (s *Service) tagsByName(ctx context.Context, tx *db.Tx, names []string) (tagNames, error) {
	rows, err := tx.Query(ctx, "SELECT id, name FROM tags WHERE name = ANY($1::text[])", pq.Array(names))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := make(tagNames, len(names))
	for rows.Next() {
		var id uuid.UUID
		var name string
		if err := rows.Scan(&id, &name); err != nil {
			return nil, err
		}
		out[name] = id
	}
	return out, rows.Err()
}

// assign gives a customer the tags an input names.
func (t tagNames) assign(c *Customer, in *Input, bad *faults) {
	if in.Tags == nil {
		return
	}
	c.TagIDs, c.Tags = nil, nil
	t.extend(c, *in.Tags, bad)
}

// extend adds tags by name. Ids are kept sorted, so that equal sets are equal.
func (t tagNames) extend(c *Customer, names []string, bad *faults) {
	for i, raw := range names {
		name, invalid := tagName(raw)
		id, ok := t[name]
		switch {
		case invalid != nil:
			bad.add("/tags/"+itoa(i), invalid)
		case !ok:
			bad.add("/tags/"+itoa(i), ErrUnknownTag)
		case !slices.Contains(c.TagIDs, id):
			c.TagIDs = append(slices.Clip(c.TagIDs), id)
			c.Tags = append(slices.Clip(c.Tags), name)
		}
	}
	if len(c.TagIDs) > maxTags {
		bad.add("/tags", ErrTagCount, map[string]any{"max": maxTags})
	}
	slices.SortFunc(c.TagIDs, compareIDs)
	slices.Sort(c.Tags)
}

func compareIDs(a, b uuid.UUID) int { return strings.Compare(string(a[:]), string(b[:])) }

// nameTags fills in the names of customers' tags; none, no query.
func (s *Service) nameTags(ctx context.Context, cs []Customer) error {
	var ids []uuid.UUID
	for i := range cs {
		ids = append(ids, cs[i].TagIDs...)
	}
	if len(ids) == 0 {
		return nil
	}
	rows, err := s.db.From(ctx).CRM.Tag.Query().Where(tag.IDIn(unique(ids)...)).Select(tag.FieldID, tag.FieldName).All(ctx)
	if err != nil {
		return err
	}
	names := make(map[uuid.UUID]string, len(rows))
	for _, t := range rows {
		names[t.ID] = t.Name
	}
	for i := range cs {
		cs[i].Tags = nil
		for _, id := range cs[i].TagIDs {
			if name, ok := names[id]; ok {
				cs[i].Tags = append(cs[i].Tags, name)
			}
		}
		slices.Sort(cs[i].Tags)
	}
	return nil
}

// TagInput is what a caller says about a tag.
type TagInput struct {
	Name     *string
	Category nullable.Nullable[string]
	Color    nullable.Nullable[string]
}

// CreateTag makes a tag. Errors: ErrTagName, ErrTagDuplicate.
func (s *Service) CreateTag(ctx context.Context, in TagInput) (*crm.Tag, error) {
	name, bad := tagName(*in.Name)
	if bad != nil {
		return nil, bad.At("/name")
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	var made *crm.Tag
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		now := s.clock.Now()
		create := tx.CRM.Tag.Create().SetID(id).SetName(name).SetCreatedAt(now).SetUpdatedAt(now)
		if v, err := in.Category.Get(); err == nil {
			create.SetCategory(v)
		}
		if v, err := in.Color.Get(); err == nil {
			create.SetColor(v)
		}
		var err error
		made, err = create.Save(ctx)
		noteTag(ctx, tx, "tags.create", id, nil)
		return err
	})
	return made, constraint(err)
}

// UpdateTag changes a tag. Profiles that show it are voided.
// Errors: ErrTagNotFound, ErrTagName, ErrTagDuplicate, request.version_mismatch.
func (s *Service) UpdateTag(ctx context.Context, id uuid.UUID, in TagInput, ifMatch *string) (*crm.Tag, error) {
	var changed *crm.Tag
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		old, err := tx.CRM.Tag.Query().Where(tag.ID(id)).ForUpdate().Only(ctx)
		if err != nil {
			return tagMissing(err)
		}
		if err := etag.Check(ifMatch, old.Version); err != nil {
			return err
		}
		update := tx.CRM.Tag.UpdateOne(old).AddVersion(1).SetUpdatedAt(s.clock.Now())
		var fields []string
		if in.Name != nil {
			name, bad := tagName(*in.Name)
			if bad != nil {
				return bad.At("/name")
			}
			update.SetName(name)
			fields = append(fields, "name")
		}
		if in.Category.IsSpecified() {
			fields = append(fields, "category")
			if v, err := in.Category.Get(); err == nil {
				update.SetCategory(v)
			} else {
				update.ClearCategory()
			}
		}
		if in.Color.IsSpecified() {
			fields = append(fields, "color")
			if v, err := in.Color.Get(); err == nil {
				update.SetColor(v)
			} else {
				update.ClearColor()
			}
		}
		noteTag(ctx, tx, "tags.update", id, fields)
		tx.AfterCommit(s.ClearProfiles)
		changed, err = update.Save(ctx)
		return err
	})
	return changed, constraint(err)
}

// DeleteTag removes a tag that no customer has.
// Errors: ErrTagNotFound, ErrTagInUse, request.version_mismatch.
func (s *Service) DeleteTag(ctx context.Context, id uuid.UUID, ifMatch *string) error {
	return s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		old, err := tx.CRM.Tag.Query().Where(tag.ID(id)).ForUpdate().Only(ctx)
		if err != nil {
			return tagMissing(err)
		}
		if err := etag.Check(ifMatch, old.Version); err != nil {
			return err
		}
		// Beyond the caller's scope: whoever has the tag would lose it.
		var used bool
		if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM customers WHERE tag_ids @> ARRAY[$1::uuid])", id).Scan(&used); err != nil {
			return err
		}
		if used {
			return ErrTagInUse.New()
		}
		noteTag(ctx, tx, "tags.delete", id, nil)
		return tx.CRM.Tag.DeleteOne(old).Exec(ctx)
	})
}

// MergeTag gives everybody who has a tag another one instead, and deletes it.
// It returns the tag that stays and how many customers had the other.
// Errors: ErrTagNotFound, ErrTagInto.
func (s *Service) MergeTag(ctx context.Context, id, into uuid.UUID) (*crm.Tag, int64, error) {
	if id == into {
		return nil, 0, ErrTagInto.At("/into_tag_id")
	}
	var stays *crm.Tag
	var customers int64
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		both, err := tx.CRM.Tag.Query().Where(tag.IDIn(id, into)).Order(tag.ByID()).ForUpdate().All(ctx)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(both, func(t *crm.Tag) bool { return t.ID == id }) {
			return ErrTagNotFound.New()
		}
		i := slices.IndexFunc(both, func(t *crm.Tag) bool { return t.ID == into })
		if i < 0 {
			return ErrTagInto.At("/into_tag_id")
		}
		stays = both[i]
		// Beyond the caller's scope, as a change of the name would be. Rows in the
		// order of their ids, as everywhere; sorted tags, so that equal sets are equal.
		result, err := tx.Exec(ctx, `
			WITH locked AS MATERIALIZED (SELECT id FROM customers WHERE tag_ids @> ARRAY[$1::uuid] ORDER BY id FOR UPDATE)
			UPDATE customers c SET version = c.version + 1, updated_at = $3,
			       tag_ids = ARRAY(SELECT DISTINCT t FROM unnest(array_replace(c.tag_ids, $1::uuid, $2::uuid)) t ORDER BY t)
			FROM locked WHERE c.id = locked.id`, id, into, s.clock.Now())
		if err != nil {
			return err
		}
		if customers, err = result.RowsAffected(); err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "tags.merge", ObjectType: "tag", ObjectID: id.String(), Changes: map[string]any{"into": into, "customers": customers}})
		tx.AfterCommit(s.ClearProfiles)
		return tx.CRM.Tag.DeleteOneID(id).Exec(ctx)
	})
	return stays, customers, err
}

func tagMissing(err error) error {
	if crm.IsNotFound(err) {
		return ErrTagNotFound.New()
	}
	return err
}
