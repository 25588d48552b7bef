package customers

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

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

// tagNames are the tags that inputs name, by name. The nil one knows none.
type tagNames struct {
	by  map[string]knownTag
	now time.Time
}

type knownTag struct {
	id        uuid.UUID
	lifetime  int  // days; 0 for ever
	automatic bool // given and taken by its condition alone
}

// resolveTags finds the tags that inputs name. Those missing are made if the
// caller may define tags; otherwise assign will refuse them.
func (s *Service) resolveTags(ctx context.Context, tx *db.Tx, inputs []*Input) (*tagNames, error) {
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
	if err != nil || len(found.by) == len(wanted) || !auth.Must(ctx).Can(auth.TagsManage) {
		return found, err
	}
	now := s.clock.Now()
	var ids pgarray.UUIDs
	var names []string
	for _, name := range wanted {
		if _, ok := found.by[name]; ok {
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

func (s *Service) tagsByName(ctx context.Context, tx *db.Tx, names []string) (*tagNames, error) {
	rows, err := tx.Query(ctx, "SELECT id, name, coalesce(lifetime_days, 0), condition IS NOT NULL FROM tags WHERE name = ANY($1::text[])", pq.Array(names))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := &tagNames{make(map[string]knownTag, len(names)), s.clock.Now()}
	for rows.Next() {
		var one knownTag
		var name string
		if err := rows.Scan(&one.id, &name, &one.lifetime, &one.automatic); err != nil {
			return nil, err
		}
		out.by[name] = one
	}
	return out, rows.Err()
}

// find is the tag of a name in an input.
func (t *tagNames) find(i int, raw string, bad *faults) (name string, tag knownTag, ok bool) {
	name, invalid := tagName(raw)
	if invalid != nil {
		bad.add("/tags/"+itoa(i), invalid)
		return name, tag, false
	}
	if t != nil {
		tag, ok = t.by[name]
	}
	if !ok {
		bad.add("/tags/"+itoa(i), ErrUnknownTag)
	}
	return name, tag, ok
}

// until is when a tag given now ends by itself; nil is never.
func (t *tagNames) until(tag knownTag) *time.Time {
	if tag.lifetime == 0 {
		return nil
	}
	at := t.now.AddDate(0, 0, tag.lifetime)
	return &at
}

// assign gives a customer the tags an input names and no others; those that they
// have already go on as they are. Automatic ones do not depend on what is named.
func (t *tagNames) assign(c *Customer, in *Input, bad *faults) {
	if in.Tags == nil {
		return
	}
	had := *c
	c.TagIDs, c.Tags, c.TagExpiries = nil, nil, nil
	for i, raw := range *in.Tags {
		name, tag, ok := t.find(i, raw, bad)
		if !ok || tag.automatic || slices.Contains(c.TagIDs, tag.id) {
			continue
		}
		until := t.until(tag)
		if slices.Contains(had.TagIDs, tag.id) {
			if at, ends := had.TagExpiries[tag.id]; !ends {
				until = nil
			} else if at.After(t.now) {
				until = &at
			}
		}
		c.give(tag.id, name, until)
	}
	c.tidyTags(bad)
}

// extend adds tags by name.
func (t *tagNames) extend(c *Customer, names []string, until *time.Time, bad *faults) {
	c.TagIDs, c.Tags, c.TagExpiries = slices.Clone(c.TagIDs), slices.Clone(c.Tags), maps.Clone(c.TagExpiries)
	for i, raw := range names {
		name, tag, ok := t.find(i, raw, bad)
		switch {
		case !ok:
		case tag.automatic:
			bad.add("/tags/"+itoa(i), ErrTagAutomatic)
		case until != nil:
			c.give(tag.id, name, until)
		case tag.lifetime > 0 || !slices.Contains(c.TagIDs, tag.id):
			c.give(tag.id, name, t.until(tag))
		}
	}
	c.tidyTags(bad)
}

// give adds a tag, or changes when it ends. The customer's lists must be its own.
func (c *Customer) give(id uuid.UUID, name string, until *time.Time) {
	if !slices.Contains(c.TagIDs, id) {
		c.TagIDs, c.Tags = append(c.TagIDs, id), append(c.Tags, name)
	}
	switch {
	case until == nil:
		delete(c.TagExpiries, id)
	case c.TagExpiries == nil:
		c.TagExpiries = map[uuid.UUID]time.Time{}
		fallthrough
	default:
		c.TagExpiries[id] = until.UTC().Truncate(time.Microsecond)
	}
}

// tidyTags keeps ids sorted, so that equal sets are equal.
func (c *Customer) tidyTags(bad *faults) {
	if len(c.TagIDs) > maxTags {
		bad.add("/tags", ErrTagCount, map[string]any{"max": maxTags})
	}
	slices.SortFunc(c.TagIDs, compareIDs)
	slices.Sort(c.Tags)
}

// withoutTags takes tags off; names are left to the caller.
func (c *Customer) withoutTags(gone func(uuid.UUID) bool) {
	c.TagIDs, c.TagExpiries = slices.DeleteFunc(slices.Clone(c.TagIDs), gone), maps.Clone(c.TagExpiries)
	maps.DeleteFunc(c.TagExpiries, func(id uuid.UUID, _ time.Time) bool { return gone(id) })
}

// endTags takes off the tags that have ended by themselves.
func (c *Customer) endTags(now time.Time) {
	for _, at := range c.TagExpiries {
		if !at.After(now) {
			c.withoutTags(func(id uuid.UUID) bool {
				at, ends := c.TagExpiries[id]
				return ends && !at.After(now)
			})
			return
		}
	}
}

// tagsEnd is when the next of a customer's tags ends; zero when none does.
func (c *Customer) tagsEnd() (next time.Time) {
	for _, at := range c.TagExpiries {
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	return next
}

func compareIDs(a, b uuid.UUID) int { return strings.Compare(string(a[:]), string(b[:])) }

// nameTags fills in the names of the tags that customers have at this moment;
// none, no query.
func (s *Service) nameTags(ctx context.Context, cs []Customer) error {
	now := s.clock.Now()
	var ids []uuid.UUID
	for i := range cs {
		cs[i].endTags(now)
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
	Name         *string
	Category     nullable.Nullable[string]
	Color        nullable.Nullable[string]
	Description  *string
	LifetimeDays nullable.Nullable[int32]
	Condition    nullable.Nullable[string]
}

// tagSetter is what making and changing a tag have in common.
type tagSetter[T any] interface {
	SetCategory(string) T
	SetColor(string) T
	SetDescription(string) T
	SetLifetimeDays(int32) T
	SetCondition(string) T
	SetJobID(uuid.UUID) T
}

func setTag[T any](to tagSetter[T], in *TagInput) {
	if v, err := in.Category.Get(); err == nil {
		to.SetCategory(v)
	}
	if v, err := in.Color.Get(); err == nil {
		to.SetColor(strings.ToLower(v))
	}
	if in.Description != nil {
		to.SetDescription(*in.Description)
	}
	if v, err := in.LifetimeDays.Get(); err == nil {
		to.SetLifetimeDays(v)
	}
	if v, err := in.Condition.Get(); err == nil {
		to.SetCondition(v)
	}
}

// CreateTag makes a tag. One with a condition is automatic: a job gives it to
// those for whom it holds.
// Errors: ErrTagName, ErrTagDuplicate, ErrTagCondition, ErrTagLifetime, ErrTagsAutomatic.
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
		setTag(create, &in)
		if v, err := in.Condition.Get(); err == nil {
			if _, err := in.LifetimeDays.Get(); err == nil {
				return ErrTagLifetime.At("/lifetime_days")
			}
			job, err := s.conditionChanged(ctx, tx, id, v)
			if err != nil {
				return err
			}
			create.SetJobID(job)
		}
		var err error
		made, err = create.Save(ctx)
		noteTag(ctx, tx, "tags.create", id, nil)
		return err
	})
	return made, constraint(err)
}

// UpdateTag changes a tag. Profiles that show it are voided. A changed condition
// is applied to everybody by a job; without one, those who have the tag keep it.
// Errors: ErrTagNotFound, ErrTagName, ErrTagDuplicate, ErrTagCondition,
// ErrTagLifetime, ErrTagsAutomatic, request.version_mismatch.
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
		setTag(update, &in)
		for _, f := range []struct {
			name           string
			specified, nil bool
			clear          func()
		}{
			{"category", in.Category.IsSpecified(), in.Category.IsNull(), func() { update.ClearCategory() }},
			{"color", in.Color.IsSpecified(), in.Color.IsNull(), func() { update.ClearColor() }},
			{"description", in.Description != nil, false, nil},
			{"lifetime_days", in.LifetimeDays.IsSpecified(), in.LifetimeDays.IsNull(), func() { update.ClearLifetimeDays() }},
			{"condition", in.Condition.IsSpecified(), in.Condition.IsNull(), func() { update.ClearCondition() }},
		} {
			if f.specified {
				fields = append(fields, f.name)
			}
			if f.nil {
				f.clear()
			}
		}
		if err := s.applyCondition(ctx, tx, old, &in, update); err != nil {
			return err
		}
		noteTag(ctx, tx, "tags.update", id, fields)
		tx.AfterCommit(s.ClearProfiles)
		changed, err = update.Save(ctx)
		return err
	})
	return changed, constraint(err)
}

// applyCondition deals with what a change means for an automatic tag.
func (s *Service) applyCondition(ctx context.Context, tx *db.Tx, old *crm.Tag, in *TagInput, update *crm.TagUpdateOne) error {
	condition, lifetime := deref(old.Condition), old.LifetimeDays != nil
	if in.Condition.IsSpecified() {
		v, _ := text(in.Condition)
		condition = deref(v)
	}
	if in.LifetimeDays.IsSpecified() {
		lifetime = !in.LifetimeDays.IsNull()
	}
	switch {
	case condition != "" && lifetime:
		return ErrTagLifetime.At("/lifetime_days")
	case condition == deref(old.Condition):
		return nil
	case condition == "":
		update.ClearJobID()
		return s.conditionsChanged(ctx, tx)
	}
	job, err := s.conditionChanged(ctx, tx, old.ID, condition)
	if err == nil {
		update.SetJobID(job)
	}
	return err
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
		if old.Condition != nil {
			if err := s.conditionsChanged(ctx, tx); err != nil {
				return err
			}
		}
		return tx.CRM.Tag.DeleteOne(old).Exec(ctx)
	})
}

// MergeTag gives everybody who has a tag another one instead, and deletes it.
// It returns the tag that stays and how many customers had the other.
// Errors: ErrTagNotFound, ErrTagInto, ErrTagAutomatic.
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
		if both[0].Condition != nil || both[1].Condition != nil {
			return ErrTagAutomatic.New()
		}
		// Beyond the caller's scope, as a change of the name would be. Rows in the
		// order of their ids, as everywhere; sorted tags, so that equal sets are equal.
		result, err := tx.Exec(ctx, `
			WITH locked AS MATERIALIZED (SELECT id FROM customers WHERE tag_ids @> ARRAY[$1::uuid] ORDER BY id FOR UPDATE)
			UPDATE customers c SET version = c.version + 1, updated_at = $3,
			       tag_ids = ARRAY(SELECT DISTINCT t FROM unnest(array_replace(c.tag_ids, $1::uuid, $2::uuid)) t ORDER BY t),
			       tag_expiries = NULLIF((c.tag_expiries - $1::text) || CASE WHEN c.tag_ids @> ARRAY[$2::uuid] OR NOT jsonb_exists(c.tag_expiries, $1::text) THEN '{}'
			                             ELSE jsonb_build_object($2::text, c.tag_expiries -> $1::text) END, '{}')
			FROM locked, (SELECT set_config('shuke.change', $4, true)) said WHERE c.id = locked.id`, id, into, s.clock.Now(), changeBy(withOrigin(ctx, originTagMerge)))
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
