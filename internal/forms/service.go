package forms

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/ent/crm/form"
	"github.com/shuke-crm/shuke/ent/crm/formversion"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// Service owns forms. Safe for concurrent use.
type Service struct {
	DB        *db.DB
	Clock     *clock.Clock
	Keys      *crypto.Keyring
	Pages     *page.Codec
	Customers *customers.Service
	// Agree records that a customer agreed to a text; pointer is the place of its
	// version in the request. Consents are kept on the members' side, which comes
	// after this domain.
	Agree func(ctx context.Context, tx *db.Tx, customerID uuid.UUID, purpose string, version int, channel, pointer string) error
}

const maxForms = 200

func itoa(n int) string { return strconv.Itoa(n) }

// Form is a form with what it asks now.
type Form struct {
	*crm.Form
	Published json.RawMessage // nil: nothing yet
}

// Input is what a caller says about a form.
type Input struct {
	Code       string
	Title      map[string]string
	Channel    *string
	StoreID    nullable.Nullable[uuid.UUID]
	Definition *Definition
}

// List lists forms by code. Error: apperr.ErrBadCursor.
func (s *Service) List(ctx context.Context, status string, limit *int32, cursor *string, counted bool) (*page.Of[*Form], error) {
	l := page.NewList("/v1/forms", limit)
	q := s.DB.From(ctx).CRM.Form.Query()
	if status != "" {
		l.Filters.Set("status", status)
		q.Where(form.StatusEQ(form.Status(status)))
	}
	out := &page.Of[*Form]{}
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
		return nil, err
	} else if ok {
		q.Where(form.CodeGT(after))
	}
	rows, err := q.Order(form.ByCode()).Limit(l.Limit + 1).All(ctx)
	if err != nil {
		return nil, err
	}
	rows, more := page.Cut(rows, l.Limit)
	if more {
		out.Next, out.Link = l.After(s.Pages, rows[len(rows)-1].Code)
	}
	out.Items, err = s.withPublished(ctx, rows)
	return out, err
}

// withPublished adds to forms what they ask now.
func (s *Service) withPublished(ctx context.Context, rows []*crm.Form) ([]*Form, error) {
	out := make([]*Form, len(rows))
	ids := make([]uuid.UUID, len(rows))
	for i, row := range rows {
		out[i], ids[i] = &Form{Form: row}, row.ID
	}
	versions, err := s.DB.From(ctx).CRM.FormVersion.Query().Where(formversion.FormIDIn(ids...)).Order(formversion.ByNumber(sql.OrderAsc())).All(ctx)
	if err != nil {
		return nil, err
	}
	for _, v := range versions {
		for _, f := range out {
			if f.ID == v.FormID && f.PublishedVersion == v.Number {
				f.Published = v.Definition
			}
		}
	}
	return out, nil
}

// Versions lists what a form asked since it was first published, the latest first.
// Errors: ErrNotFound, apperr.ErrBadCursor.
// Plan: form_versions_number_key backwards.
func (s *Service) Versions(ctx context.Context, id uuid.UUID, limit *int32, cursor *string, counted bool) (*page.Of[*crm.FormVersion], error) {
	d := s.DB.From(ctx)
	if known, err := d.CRM.Form.Query().Where(form.ID(id)).Exist(ctx); err != nil {
		return nil, err
	} else if !known {
		return nil, ErrNotFound.New()
	}
	l := page.NewList("/v1/forms/"+id.String()+"/versions", limit)
	q := d.CRM.FormVersion.Query().Where(formversion.FormID(id))
	out := &page.Of[*crm.FormVersion]{}
	if counted {
		n, err := q.Clone().Count(ctx)
		if err != nil {
			return nil, err
		}
		wide := int64(n)
		out.Total = &wide
	}
	var before int
	if more, err := s.Pages.Decode(l.Name(), cursor, &before); err != nil {
		return nil, err
	} else if more {
		q.Where(formversion.NumberLT(before))
	}
	rows, err := q.Order(formversion.ByNumber(sql.OrderDesc())).Limit(l.Limit + 1).All(ctx)
	if err != nil {
		return nil, err
	}
	var more bool
	if out.Items, more = page.Cut(rows, l.Limit); more {
		out.Next, out.Link = l.After(s.Pages, out.Items[len(out.Items)-1].Number)
	}
	return out, nil
}

// Get reads a form. Error: ErrNotFound.
func (s *Service) Get(ctx context.Context, id uuid.UUID) (*Form, error) {
	row, err := s.DB.From(ctx).CRM.Form.Get(ctx, id)
	if crm.IsNotFound(err) {
		return nil, ErrNotFound.New()
	}
	if err != nil {
		return nil, err
	}
	all, err := s.withPublished(ctx, []*crm.Form{row})
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// checked writes a definition down if it fits.
func (s *Service) checked(ctx context.Context, d *Definition) (json.RawMessage, error) {
	custom, err := s.Customers.FieldKeys(ctx)
	if err != nil {
		return nil, err
	}
	if err := d.check(custom); err != nil {
		return nil, err
	}
	return json.Marshal(d)
}

// Create makes a draft. Errors: ErrDuplicate, ErrDefinition, ErrCount, customers.store_invalid.
func (s *Service) Create(ctx context.Context, in Input) (*Form, error) {
	raw, err := s.checked(ctx, in.Definition)
	if err != nil {
		return nil, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	var made *crm.Form
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		n, err := tx.CRM.Form.Query().Count(ctx)
		if err != nil {
			return err
		}
		if n >= maxForms {
			return ErrCount.New().Arg("max", maxForms)
		}
		c := tx.CRM.Form.Create().SetID(id).SetCode(in.Code).SetTitle(in.Title).SetChannel("form").SetDefinition(raw).SetCreatedAt(s.Clock.Now()).SetUpdatedAt(s.Clock.Now())
		if in.Channel != nil {
			c.SetChannel(*in.Channel)
		}
		if store, err := in.StoreID.Get(); err == nil {
			c.SetStoreID(store)
		}
		if made, err = c.Save(ctx); err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "forms.create", ObjectType: "form", ObjectID: id.String()})
		return nil
	})
	if err != nil {
		return nil, violated(err)
	}
	return &Form{Form: made}, nil
}

func violated(err error) error {
	switch db.Violated(err) {
	case "forms_code_key":
		return ErrDuplicate.At("/code")
	case "forms_store_id_fkey":
		return customers.ErrStore.At("/store_id")
	}
	return err
}

// change locks a form and changes it; nothing is done when f returns nil.
func (s *Service) change(ctx context.Context, id uuid.UUID, ifMatch *string, action string, f func(context.Context, *db.Tx, *crm.Form) (*crm.FormUpdateOne, error)) (*Form, error) {
	err := s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		row, err := tx.CRM.Form.Query().Where(form.ID(id)).ForUpdate().Only(ctx)
		if crm.IsNotFound(err) {
			return ErrNotFound.New()
		}
		if err != nil {
			return err
		}
		if err := etag.Check(ifMatch, row.Version); err != nil {
			return err
		}
		u, err := f(ctx, tx, row)
		if err != nil || u == nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: action, ObjectType: "form", ObjectID: id.String()})
		return u.AddVersion(1).SetUpdatedAt(s.Clock.Now()).Exec(ctx)
	})
	if err != nil {
		return nil, violated(err)
	}
	return s.Get(ctx, id)
}

// Update changes the draft. Errors: ErrNotFound, ErrDefinition,
// customers.store_invalid, request.version_mismatch.
func (s *Service) Update(ctx context.Context, id uuid.UUID, in Input, ifMatch *string) (*Form, error) {
	var raw json.RawMessage
	if in.Definition != nil {
		var err error
		if raw, err = s.checked(ctx, in.Definition); err != nil {
			return nil, err
		}
	}
	return s.change(ctx, id, ifMatch, "forms.update", func(_ context.Context, tx *db.Tx, row *crm.Form) (*crm.FormUpdateOne, error) {
		u := tx.CRM.Form.UpdateOne(row)
		if in.Title != nil {
			u.SetTitle(in.Title)
		}
		if in.Channel != nil {
			u.SetChannel(*in.Channel)
		}
		if in.StoreID.IsNull() {
			u.ClearStoreID()
		} else if store, err := in.StoreID.Get(); err == nil {
			u.SetStoreID(store)
		}
		if raw != nil {
			u.SetDefinition(raw)
		}
		return u, nil
	})
}

// Publish asks the draft from now on. Errors: ErrNotFound, ErrDefinition for a
// draft whose custom fields are gone, request.version_mismatch.
func (s *Service) Publish(ctx context.Context, id uuid.UUID, ifMatch *string) (*Form, error) {
	return s.change(ctx, id, ifMatch, "forms.publish", func(ctx context.Context, tx *db.Tx, row *crm.Form) (*crm.FormUpdateOne, error) {
		var d Definition
		if err := json.Unmarshal(row.Definition, &d); err != nil {
			return nil, err
		}
		if _, err := s.checked(ctx, &d); err != nil {
			return nil, err
		}
		version, err := uuid.NewV7()
		if err != nil {
			return nil, err
		}
		if err := tx.CRM.FormVersion.Create().SetID(version).SetFormID(id).SetNumber(row.PublishedVersion + 1).SetDefinition(row.Definition).SetPublishedAt(s.Clock.Now()).Exec(ctx); err != nil {
			return nil, err
		}
		return tx.CRM.Form.UpdateOne(row).SetStatus(form.StatusPublished).SetPublishedVersion(row.PublishedVersion + 1), nil
	})
}

// Archive takes a form out of use; again, it changes nothing.
// Errors: ErrNotFound, request.version_mismatch.
func (s *Service) Archive(ctx context.Context, id uuid.UUID, ifMatch *string) (*Form, error) {
	return s.change(ctx, id, ifMatch, "forms.archive", func(_ context.Context, tx *db.Tx, row *crm.Form) (*crm.FormUpdateOne, error) {
		if row.Status == form.StatusArchived {
			return nil, nil
		}
		return tx.CRM.Form.UpdateOne(row).SetStatus(form.StatusArchived), nil
	})
}

// ForMembers lists the forms that members may hand in, by code. There are few
// forms, so all are read. Error: apperr.ErrBadCursor.
func (s *Service) ForMembers(ctx context.Context, limit *int32, cursor *string, counted bool) (*page.Of[*Form], error) {
	rows, err := s.DB.From(ctx).CRM.Form.Query().Where(form.StatusEQ(form.StatusPublished)).Order(form.ByCode()).All(ctx)
	if err != nil {
		return nil, err
	}
	all, err := s.withPublished(ctx, rows)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(f *Form) bool {
		var d Definition
		return json.Unmarshal(f.Published, &d) != nil || !d.ForMembers
	})
	out := &page.Of[*Form]{}
	if counted {
		n := int64(len(all))
		out.Total = &n
	}
	l := page.NewList("/v1/member/forms", limit)
	var after string
	if _, err := s.Pages.Decode(l.Name(), cursor, &after); err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(f *Form) bool { return f.Code <= after })
	var more bool
	if out.Items, more = page.Cut(all, l.Limit); more {
		out.Next, out.Link = l.After(s.Pages, out.Items[len(out.Items)-1].Code)
	}
	return out, nil
}

// asked is the version of a form that is handed in.
func (s *Service) asked(ctx context.Context, tx *db.Tx, id uuid.UUID, version *int32) (*crm.Form, *Definition, error) {
	row, err := tx.CRM.Form.Query().Where(form.ID(id)).Only(ctx)
	if crm.IsNotFound(err) {
		return nil, nil, ErrNotFound.New()
	}
	if err != nil {
		return nil, nil, err
	}
	if row.Status != form.StatusPublished {
		return nil, nil, ErrNotPublished.New()
	}
	if version != nil && int(*version) != row.PublishedVersion {
		return nil, nil, ErrVersion.At("/form_version").With("published_version", row.PublishedVersion)
	}
	v, err := tx.CRM.FormVersion.Query().Where(formversion.FormID(id), formversion.Number(row.PublishedVersion)).Only(ctx)
	if err != nil {
		return nil, nil, err
	}
	var d Definition
	if err := json.Unmarshal(v.Definition, &d); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("form %s version %d", id, v.Number), err)
	}
	return row, &d, nil
}
