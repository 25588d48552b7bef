package merchants

import (
	"context"
	"strings"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	"github.com/shuke-crm/shuke/ent/platform"
	"github.com/shuke-crm/shuke/ent/platform/merchant"
	"github.com/shuke-crm/shuke/internal/identity"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/events"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// Service is the merchants.
type Service struct {
	DB    *db.DB
	Clock *clock.Clock
	Pages *page.Codec
}

// Fields of a merchant, as they are to be; what is nil or not specified stays.
type Fields struct {
	Code, Name      *string
	Category, Place nullable.Nullable[string]
	Status          *merchant.Status
}

// Create takes a merchant into the house.
// Errors: auth.out_of_scope, ErrBlank, ErrCodeTaken.
func (s *Service) Create(ctx context.Context, in Fields) (*platform.Merchant, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	var made *platform.Merchant
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := identity.WholeBusiness(ctx); err != nil {
			return err
		}
		now := s.Clock.Now()
		create := tx.Platform.Merchant.Create().SetID(id).SetCreatedAt(now).SetUpdatedAt(now)
		if _, err := in.apply(create.Mutation()); err != nil {
			return err
		}
		if made, err = create.Save(ctx); err != nil {
			return translate(err)
		}
		happened(ctx, tx, eventCreated, "merchants.create", id, map[string]any{"code": made.Code})
		return nil
	})
	return made, err
}

// Update changes a merchant.
// Errors: auth.out_of_scope, ErrNotFound, request.version_mismatch, ErrBlank,
// ErrCodeTaken.
func (s *Service) Update(ctx context.Context, id uuid.UUID, ifMatch *string, in Fields) (*platform.Merchant, error) {
	var after *platform.Merchant
	err := s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		before, err := lock(ctx, tx, id, ifMatch)
		if err != nil {
			return err
		}
		u := tx.Platform.Merchant.UpdateOne(before).AddVersion(1).SetUpdatedAt(s.Clock.Now())
		fields, err := in.apply(u.Mutation())
		if err != nil {
			return err
		}
		if after, err = u.Save(ctx); err != nil {
			return translate(err)
		}
		happened(ctx, tx, eventUpdated, "merchants.update", id, map[string]any{"fields": fields})
		return nil
	})
	return after, err
}

// apply sets what is given and names it.
func (in Fields) apply(m *platform.MerchantMutation) (fields []string, err error) {
	if in.Code != nil {
		m.SetCode(*in.Code)
		fields = append(fields, "code")
	}
	if in.Name != nil {
		name := strings.TrimSpace(*in.Name)
		if name == "" {
			return nil, ErrBlank.At("/name")
		}
		m.SetName(name)
		fields = append(fields, "name")
	}
	if in.Status != nil {
		m.SetStatus(*in.Status)
		fields = append(fields, "status")
	}
	for _, f := range []struct {
		name  string
		value nullable.Nullable[string]
		set   func(string)
		clear func()
	}{{"category", in.Category, m.SetCategory, m.ClearCategory}, {"place", in.Place, m.SetPlace, m.ClearPlace}} {
		if !f.value.IsSpecified() {
			continue
		}
		fields = append(fields, f.name)
		if v, err := f.value.Get(); err == nil && strings.TrimSpace(v) != "" {
			f.set(strings.TrimSpace(v))
		} else {
			f.clear()
		}
	}
	return fields, nil
}

// Delete removes a merchant that neither a store nor a grant refers to; their
// foreign keys decide, also against one who is just joining.
// Errors: ErrInUse and those of Update.
func (s *Service) Delete(ctx context.Context, id uuid.UUID, ifMatch *string) error {
	return s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		before, err := lock(ctx, tx, id, ifMatch)
		if err != nil {
			return err
		}
		if err := tx.Platform.Merchant.DeleteOne(before).Exec(ctx); err != nil {
			if db.Violated(err) != "" {
				return ErrInUse.Wrap(err)
			}
			return translate(err)
		}
		happened(ctx, tx, eventDeleted, "merchants.delete", id, map[string]any{"code": before.Code})
		return nil
	})
}

func lock(ctx context.Context, tx *db.Tx, id uuid.UUID, ifMatch *string) (*platform.Merchant, error) {
	if err := identity.WholeBusiness(ctx); err != nil {
		return nil, err
	}
	m, err := tx.Platform.Merchant.Query().Where(merchant.ID(id)).ForUpdate().Only(ctx)
	if err != nil {
		return nil, translate(err)
	}
	return m, etag.Check(ifMatch, m.Version)
}

func happened(ctx context.Context, tx *db.Tx, event, action string, id uuid.UUID, changes map[string]any) {
	audit.Record(ctx, tx, audit.Entry{Action: action, ObjectType: "merchant", ObjectID: id.String(), Changes: changes})
	events.Emit(tx, events.Event{Type: event, SubjectType: "merchant", SubjectID: id, Payload: changes})
}

// Filter narrows a list.
type Filter struct {
	Status *merchant.Status
	Prefix *string // of code or name, whatever the case
}

// List is a page of merchants by code.
// Error: request.bad_cursor.
func (s *Service) List(ctx context.Context, f Filter, limit *int32, cursor *string, counted bool) (*page.Of[*platform.Merchant], error) {
	l := page.NewList("/v1/merchants", limit)
	q := s.DB.From(ctx).Platform.Merchant.Query()
	if f.Status != nil {
		l.Filters.Set("status", string(*f.Status))
		q.Where(merchant.StatusEQ(*f.Status))
	}
	if f.Prefix != nil {
		l.Filters.Set("q", *f.Prefix)
		q.Where(func(sel *sql.Selector) {
			sel.Where(sql.Or(sql.HasPrefixFold(sel.C(merchant.FieldCode), *f.Prefix), sql.HasPrefixFold(sel.C(merchant.FieldName), *f.Prefix)))
		})
	}
	out := &page.Of[*platform.Merchant]{}
	if counted {
		n, err := q.Clone().Count(ctx)
		if err != nil {
			return nil, err
		}
		wide := int64(n)
		out.Total = &wide
	}
	var after string
	if ok, err := s.Pages.Decode(l.Name(), cursor, &after); err != nil {
		return nil, apperr.ErrBadCursor.At("?cursor")
	} else if ok {
		q.Where(merchant.CodeGT(after))
	}
	rows, err := q.Order(merchant.ByCode()).Limit(l.Limit + 1).All(ctx)
	if err != nil {
		return nil, err
	}
	var more bool
	if out.Items, more = page.Cut(rows, l.Limit); more {
		out.Next, out.Link = l.After(s.Pages, out.Items[len(out.Items)-1].Code)
	}
	return out, nil
}
