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
	Rules         *customers.MemberRules
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
	rules, err := s.Customers.MemberRules(ctx)
	if err != nil {
		return nil, err
	}
	rules.Hide(c)
	out := &Profile{Customer: c, Rules: rules}
	d := s.DB.From(ctx)
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
	CustomFields         *map[string]any // merged
}

// ChangeProfile changes the signed-in member's record, as far as the rules for
// members allow. By default a birth date is given once: benefits hang on it.
// Errors: member.birth_date_set, member.guardian_consent_needed,
// member.field_read_only, member.field_given_once, customers.duplicate, those of
// single fields, request.version_mismatch.
func (s *Service) ChangeProfile(ctx context.Context, in ProfileChange, ifMatch *string) (*Profile, error) {
	actor, err := self(ctx)
	if err != nil {
		return nil, err
	}
	input := customers.Input{Name: in.Name, Email: in.Email, Gender: in.Gender, Address: in.Address, Language: in.Language,
		Preferences: in.Preferences, MarketingPreferences: in.MarketingPreferences, CustomFields: in.CustomFields}
	if in.BirthDate != nil {
		input.BirthDate = nullable.NewNullableWithValue(*in.BirthDate)
	}
	var out *Profile
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		rules, err := s.Customers.MemberRules(ctx)
		if err != nil {
			return err
		}
		c, err := s.Customers.ChangeOwn(ctx, actor.ID, input, ifMatch, rules, func(before *customers.Customer) error {
			return s.mayBeBorn(ctx, tx, actor.ID, before.BirthDate, in.BirthDate, rules.Of("birth_date"))
		})
		if err != nil {
			return err
		}
		out, err = s.profileOf(ctx, c)
		return err
	})
	return out, err
}

func (s *Service) mayBeBorn(ctx context.Context, tx *db.Tx, id uuid.UUID, was, wanted *time.Time, access customers.MemberAccess) error {
	if wanted == nil || was != nil && was.Equal(*wanted) || access == customers.MemberReadOnly || access == customers.MemberHidden {
		return nil // the rules for members say the rest
	}
	if was != nil && access == customers.MemberOnce {
		return ErrBirthDateSet.At("/birth_date")
	}
	return s.ofAge(ctx, tx, id, wanted, "/birth_date")
}

// ChangePreferences merges what the signed-in member declares, one level deep;
// nil takes an entry away. Errors: those of ChangeProfile.
func (s *Service) ChangePreferences(ctx context.Context, tastes map[string]any, channels map[string]*bool, ifMatch *string) (*Profile, error) {
	actor, err := self(ctx)
	if err != nil {
		return nil, err
	}
	var out *Profile
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		rules, err := s.Customers.MemberRules(ctx)
		if err != nil {
			return err
		}
		var input customers.Input
		preferences, marketing := map[string]any{}, map[string]bool{}
		if tastes != nil {
			input.Preferences = &preferences
		}
		if channels != nil {
			input.MarketingPreferences = &marketing
		}
		c, err := s.Customers.ChangeOwn(ctx, actor.ID, input, ifMatch, rules, func(before *customers.Customer) error {
			maps.Copy(preferences, before.Preferences)
			for key, v := range tastes {
				if preferences[key] = v; v == nil {
					delete(preferences, key)
				}
			}
			maps.Copy(marketing, before.MarketingPreferences)
			for key, v := range channels {
				if v == nil {
					delete(marketing, key)
					continue
				}
				marketing[key] = *v
			}
			return nil
		})
		if err != nil {
			return err
		}
		out, err = s.profileOf(ctx, c)
		return err
	})
	return out, err
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
