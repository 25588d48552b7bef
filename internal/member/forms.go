package member

import (
	"context"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/forms"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

// SubmitOwn takes a form in from the signed-in member, about themselves.
// Errors: those of forms.Hand, member.field_read_only, member.field_given_once.
func (s *Service) SubmitOwn(ctx context.Context, formID uuid.UUID, h forms.Handed) (*crm.FormSubmission, error) {
	return s.Forms.Hand(ctx, formID, h, func(ctx context.Context, _ *db.Tx, _ *crm.Form, d *forms.Definition, in customers.Input) (uuid.UUID, bool, error) {
		if !d.ForMembers {
			return uuid.Nil, false, forms.ErrNotFound.New()
		}
		me := auth.Must(ctx).ID
		if in.Phone.IsSpecified() || in.CardNumber.IsSpecified() || in.ExternalID.IsSpecified() {
			// A phone is proved by a code; numbers are the business' own.
			return uuid.Nil, false, customers.ErrMemberReadOnly.New().Arg("field", "phone, card_number, external_id")
		}
		if d.OnMatch == "fill_empty" {
			c, err := s.Customers.Get(ctx, me)
			if err != nil {
				return uuid.Nil, false, err
			}
			in = in.Missing(c)
		}
		change := ProfileChange{Name: in.Name, Email: in.Email, Gender: in.Gender, Address: in.Address, Language: in.Language, CustomFields: in.CustomFields}
		if day, err := in.BirthDate.Get(); err == nil {
			change.BirthDate = &day
		}
		_, err := s.ChangeProfile(ctx, change, nil)
		return me, false, err
	})
}
