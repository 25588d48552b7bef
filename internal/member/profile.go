package member

import (
	"context"
	"maps"
	"slices"
	"time"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/ent/commerce/order"
	"github.com/shuke-crm/shuke/ent/crm/consent"
	"github.com/shuke-crm/shuke/ent/crm/customeridentity"
	"github.com/shuke-crm/shuke/ent/platform/store"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// Profile is a member's own record, in clear.
type Profile struct {
	*customers.Customer
	PhoneVerified bool
	TermsVersion  int // of the terms that the member agreed to
}

// Profile reads the signed-in member's record.
func (s *Service) Profile(ctx context.Context) (*Profile, error) {
	actor, err := self(ctx)
	if err != nil {
		return nil, err
	}
	c, err := s.Customers.Get(ctx, actor.ID)
	if err != nil {
		return nil, err
	}
	return s.profileOf(ctx, c)
}

func (s *Service) profileOf(ctx context.Context, c *customers.Customer) (*Profile, error) {
	out := &Profile{Customer: c}
	d := s.DB.From(ctx)
	var err error
	if c.Phone != "" {
		out.PhoneVerified, err = d.CRM.CustomerIdentity.Query().Where(customeridentity.CustomerID(c.ID),
			customeridentity.ProviderEQ(customeridentity.ProviderPhone), customeridentity.App(""),
			customeridentity.SubjectIndex(s.subjectIndex(customeridentity.ProviderPhone, "", c.Phone))).Exist(ctx)
		if err != nil {
			return nil, err
		}
	}
	terms, err := d.CRM.Consent.Query().Where(consent.CustomerID(c.ID), consent.PurposeEQ(consent.PurposeTerms), consent.WithdrawnAtIsNil()).All(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range terms {
		out.TermsVersion = t.TextVersion
	}
	return out, nil
}

// ProfileChange is what members may change about themselves. Phones are bound
// by a code, and everything else is the business' to decide.
type ProfileChange struct {
	Name                 nullable.Nullable[string]
	Email                nullable.Nullable[string]
	Gender               *string
	BirthDate            *time.Time
	Address              nullable.Nullable[customers.Address]
	Language             *string
	Preferences          *map[string]any
	MarketingPreferences *map[string]bool
}

// ChangeProfile changes the signed-in member's record. A birth date is given
// once: benefits hang on it.
// Errors: member.birth_date_set, member.guardian_consent_needed,
// customers.duplicate, those of single fields, request.version_mismatch.
func (s *Service) ChangeProfile(ctx context.Context, in ProfileChange, ifMatch *string) (*Profile, error) {
	actor, err := self(ctx)
	if err != nil {
		return nil, err
	}
	input := customers.Input{Name: in.Name, Email: in.Email, Gender: in.Gender, Address: in.Address, Language: in.Language,
		Preferences: in.Preferences, MarketingPreferences: in.MarketingPreferences}
	if in.BirthDate != nil {
		input.BirthDate = nullable.NewNullableWithValue(*in.BirthDate)
	}
	var out *Profile
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		c, err := s.Customers.ChangeOwn(ctx, actor.ID, input, ifMatch, func(before *customers.Customer) error {
			return s.mayBeBorn(ctx, tx, actor.ID, before.BirthDate, in.BirthDate)
		})
		if err != nil {
			return err
		}
		out, err = s.profileOf(ctx, c)
		return err
	})
	return out, err
}

func (s *Service) mayBeBorn(ctx context.Context, tx *db.Tx, id uuid.UUID, was, wanted *time.Time) error {
	if wanted == nil {
		return nil
	}
	if was != nil {
		if was.Equal(*wanted) {
			return nil
		}
		return ErrBirthDateSet.At("/birth_date")
	}
	return s.ofAge(ctx, tx, id, wanted, "/birth_date")
}

// orderPosition is the last order of a page.
type orderPosition struct {
	Member uuid.UUID `json:"m"`
	At     time.Time `json:"t"`
	ID     uuid.UUID `json:"i"`
}

// OwnOrders lists the signed-in member's orders, the newest first. Plan:
// orders_customer_idx backwards; the policy leaves the member's own anyway.
// Error: apperr.ErrBadCursor.
func (s *Service) OwnOrders(ctx context.Context, limit *int32, cursor *string, counted bool) (*page.Of[*commerce.Order], error) {
	actor, err := self(ctx)
	if err != nil {
		return nil, err
	}
	l := page.NewList("/v1/member/orders", limit)
	q := s.DB.From(ctx).Commerce.Order.Query().Where(order.CustomerID(actor.ID))
	out := &page.Of[*commerce.Order]{}
	if counted {
		n, err := q.Clone().Count(ctx)
		if err != nil {
			return nil, err
		}
		wide := int64(n)
		out.Total = &wide
	}
	var at orderPosition
	switch ok, err := s.Pages.Decode(l.Name(), cursor, &at); {
	case err != nil:
		return nil, err
	case ok && at.Member != actor.ID:
		return nil, apperr.ErrBadCursor.At("?cursor")
	case ok:
		q.Where(order.Or(order.PlacedAtLT(at.At), order.And(order.PlacedAt(at.At), order.IDLT(at.ID))), order.PlacedAtLTE(at.At))
	}
	rows, err := q.Order(order.ByPlacedAt(sql.OrderDesc()), order.ByID(sql.OrderDesc())).Limit(l.Limit + 1).All(ctx)
	if err != nil {
		return nil, err
	}
	var more bool
	if out.Items, more = page.Cut(rows, l.Limit); more {
		last := out.Items[len(out.Items)-1]
		out.Next, out.Link = l.After(s.Pages, orderPosition{actor.ID, last.PlacedAt, last.ID})
	}
	return out, nil
}

// storeNames reads the names of the stores of some orders.
func (s *Service) storeNames(ctx context.Context, orders []*commerce.Order) (map[uuid.UUID]string, error) {
	names := map[uuid.UUID]string{}
	for _, o := range orders {
		names[o.StoreID] = ""
	}
	rows, err := s.DB.From(ctx).Platform.Store.Query().Where(store.IDIn(slices.Collect(maps.Keys(names))...)).Select(store.FieldID, store.FieldName).All(ctx)
	if err != nil {
		return nil, err
	}
	for _, st := range rows {
		names[st.ID] = st.Name
	}
	return names, nil
}
