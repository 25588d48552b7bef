package forms

import (
	"context"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/ent/crm/customer"
	"github.com/shuke-crm/shuke/ent/crm/formsubmission"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/events"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

const tableSubmissions = "form_submissions"

// Given is a consent that the customer gave.
type Given struct {
	Purpose     string
	TextVersion int
}

// Handed is a form as it is handed in.
type Handed struct {
	Version     *int32 // that was asked; nil: the one published
	Answers     map[string]any
	Consents    []Given
	HomeStoreID *uuid.UUID // of a customer who is made
}

// Submit takes a form in from a tablet or program: it finds or makes the
// customer, writes the answers by all rules, and records the consents.
// Errors: ErrNotFound, ErrNotPublished, ErrVersion, ErrKnown, those of answers
// and consents, those of making and changing customers.
func (s *Service) Submit(ctx context.Context, formID uuid.UUID, h Handed) (*crm.FormSubmission, error) {
	return s.Hand(ctx, formID, h, func(ctx context.Context, tx *db.Tx, f *crm.Form, d *Definition, in customers.Input) (uuid.UUID, bool, error) {
		found, key, err := s.match(ctx, tx, d, &in)
		if err != nil {
			return uuid.Nil, false, err
		}
		if found.ID == uuid.Nil {
			in.Source = &f.Channel
			if store := f.StoreID; store != nil || h.HomeStoreID != nil {
				if h.HomeStoreID != nil {
					store = h.HomeStoreID
				}
				in.HomeStoreID = nullable.NewNullableWithValue(*store)
			}
			made, err := s.Customers.CreateMany(ctx, tx, []*customers.Input{&in})
			if err != nil {
				return uuid.Nil, false, err
			}
			if made[0].Err != nil {
				return uuid.Nil, false, made[0].Err
			}
			return made[0].Customer.ID, true, nil
		}
		if !auth.Must(ctx).Scope.Sees(found.HomeStoreID, found.AssignedStaffID) {
			return uuid.Nil, false, customers.ErrDuplicate.At("/answers/" + key)
		}
		if d.OnMatch == "refuse" {
			return uuid.Nil, false, ErrKnown.At("/answers/"+key).With("existing_id", found.ID)
		}
		if d.OnMatch == "fill_empty" {
			c, err := s.Customers.Get(ctx, found.ID)
			if err != nil {
				return uuid.Nil, false, err
			}
			in = in.Missing(c)
		}
		_, err = s.Customers.Update(ctx, found.ID, in, nil)
		return found.ID, false, err
	})
}

// Writer writes what a form says about a customer, and tells whom it is about and
// whether they were made by it.
type Writer func(ctx context.Context, tx *db.Tx, f *crm.Form, d *Definition, in customers.Input) (id uuid.UUID, made bool, err error)

// Hand takes a form in; write puts what it says into a record, in the transaction
// that keeps all of it.
// Errors: ErrNotFound, ErrNotPublished, ErrVersion, those of answers and consents
// and of write.
func (s *Service) Hand(ctx context.Context, formID uuid.UUID, h Handed, write Writer) (*crm.FormSubmission, error) {
	var out *crm.FormSubmission
	err := s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		f, d, err := s.asked(ctx, tx, formID, h.Version)
		if err != nil {
			return err
		}
		in, err := d.read(h.Answers)
		if err != nil {
			return err
		}
		if err := d.agreed(h.Consents); err != nil {
			return err
		}
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		from := customers.WithProvenance(ctx, customers.By{Collection: customers.Collection{Channel: f.Channel, ConsentShown: len(d.Consents) > 0}, Via: "form:" + id.String()})
		customerID, made, err := write(from, tx, f, d, in)
		if err != nil {
			return d.pointAtAnswers(err)
		}
		for i, g := range h.Consents {
			if err := s.Agree(ctx, tx, customerID, g.Purpose, g.TextVersion, f.Channel, "/consents/"+itoa(i)+"/text_version"); err != nil {
				return err
			}
		}
		out, err = s.keep(ctx, tx, f, id, customerID, made, h.Answers)
		return err
	})
	return out, err
}

// match finds the customer that the answers name: the first identifier that
// leads to somebody, and the key of its answer.
func (s *Service) match(ctx context.Context, tx *db.Tx, d *Definition, in *customers.Input) (customers.Resolved, string, error) {
	refs, keys := d.refs(in)
	if len(refs) == 0 {
		return customers.Resolved{}, "", nil
	}
	found, err := s.Customers.Resolve(ctx, tx, refs)
	if err != nil {
		return customers.Resolved{}, "", err
	}
	for i, r := range found {
		if r.ID != uuid.Nil {
			return r, keys[i], nil
		}
	}
	return customers.Resolved{}, "", nil
}

// keep writes the submission, its answers sealed.
func (s *Service) keep(ctx context.Context, tx *db.Tx, f *crm.Form, id, customerID uuid.UUID, made bool, answers map[string]any) (*crm.FormSubmission, error) {
	c, err := tx.CRM.Customer.Query().Where(customer.ID(customerID)).ForUpdate().Only(ctx)
	if err != nil {
		return nil, err
	}
	key, err := s.Keys.UnwrapDataKey(c.ID, c.DataKey)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(answers)
	if err != nil {
		return nil, err
	}
	outcome := formsubmission.OutcomeUpdated
	if made {
		outcome = formsubmission.OutcomeCreated
	}
	actor := auth.Must(ctx)
	audit.Record(ctx, tx, audit.Entry{Action: "forms.submit", ObjectType: "customer", ObjectID: c.ID.String(), StoreID: c.HomeStoreID, StaffID: c.AssignedStaffID,
		Changes: map[string]any{"form_id": f.ID, "form_version": f.PublishedVersion, "submission_id": id}})
	events.Emit(tx, events.Event{Type: EventSubmitted, SubjectType: "customer", SubjectID: c.ID, StoreID: c.HomeStoreID,
		Payload: map[string]any{"form_id": f.ID, "form_version": f.PublishedVersion, "submission_id": id}})
	return tx.CRM.FormSubmission.Create().SetID(id).SetFormID(f.ID).SetFormVersion(f.PublishedVersion).SetCustomerID(c.ID).
		SetNillableStoreID(c.HomeStoreID).SetNillableAssignedStaffID(c.AssignedStaffID).SetOutcome(outcome).SetChannel(f.Channel).
		SetSubmittedByKind(string(actor.Kind)).SetSubmittedByID(actor.ID).SetAnswersSealed(sealAnswers(key, id, raw)).SetCreatedAt(s.Clock.Now()).Save(ctx)
}

func sealAnswers(key crypto.DataKey, id uuid.UUID, raw []byte) []byte {
	return key.Derive(tableSubmissions, id).Seal(tableSubmissions, "answers", id, raw)
}

// Submissions lists what was handed in, the newest first, as far as the caller
// sees the customers. Errors: ErrNotFound, apperr.ErrBadCursor.
func (s *Service) Submissions(ctx context.Context, formID uuid.UUID, limit *int32, cursor *string, counted bool) (*page.Of[*crm.FormSubmission], error) {
	if _, err := s.Get(ctx, formID); err != nil {
		return nil, err
	}
	l := page.NewList("/v1/forms/"+formID.String()+"/submissions", limit)
	q := s.DB.From(ctx).CRM.FormSubmission.Query().Where(formsubmission.FormID(formID))
	out := &page.Of[*crm.FormSubmission]{}
	if counted {
		n, err := q.Clone().Count(ctx)
		if err != nil {
			return nil, err
		}
		wide := int64(n)
		out.Total = &wide
	}
	var before uuid.UUID
	if ok, err := s.Pages.Decode(l.Name(), cursor, &before); err != nil {
		return nil, err
	} else if ok {
		q.Where(formsubmission.IDLT(before))
	}
	rows, err := q.Order(formsubmission.ByID(sql.OrderDesc())).Limit(l.Limit + 1).All(ctx)
	if err != nil {
		return nil, err
	}
	var more bool
	if out.Items, more = page.Cut(rows, l.Limit); more {
		out.Next, out.Link = l.After(s.Pages, out.Items[len(out.Items)-1].ID)
	}
	return out, nil
}

// Submission reads one. Error: ErrSubmissionFound.
func (s *Service) Submission(ctx context.Context, formID, id uuid.UUID) (*crm.FormSubmission, error) {
	row, err := s.DB.From(ctx).CRM.FormSubmission.Query().Where(formsubmission.ID(id), formsubmission.FormID(formID)).Only(ctx)
	if crm.IsNotFound(err) {
		return nil, ErrSubmissionFound.New()
	}
	return row, err
}

// Reveal shows the answers of a submission, and audits why.
// Errors: ErrSubmissionFound, customers.reason_required.
func (s *Service) Reveal(ctx context.Context, formID, id uuid.UUID, reason string) (map[string]any, error) {
	if reason = strings.TrimSpace(reason); utf8.RuneCountInString(reason) < 2 {
		return nil, customers.ErrReason.At("/reason")
	}
	var out map[string]any
	err := s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		row, err := tx.CRM.FormSubmission.Query().Where(formsubmission.ID(id), formsubmission.FormID(formID)).Only(ctx)
		if crm.IsNotFound(err) {
			return ErrSubmissionFound.New()
		}
		if err != nil {
			return err
		}
		c, err := tx.CRM.Customer.Query().Where(customer.ID(row.CustomerID)).Only(ctx)
		if crm.IsNotFound(err) {
			return ErrSubmissionFound.New()
		}
		if err != nil {
			return err
		}
		key, err := s.Keys.UnwrapDataKey(c.ID, c.DataKey)
		if err != nil {
			return err
		}
		raw, err := key.Derive(tableSubmissions, id).Open(tableSubmissions, "answers", id, row.AnswersSealed)
		if err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "forms.reveal", ObjectType: "customer", ObjectID: c.ID.String(), StoreID: c.HomeStoreID, StaffID: c.AssignedStaffID,
			Reason: reason, Changes: map[string]any{"form_id": formID, "submission_id": id}})
		return json.Unmarshal(raw, &out)
	})
	return out, err
}

// Follower has submissions follow merged customers.
func (s *Service) Follower() customers.Follower {
	return customers.Follower{Name: "forms", Belongings: []customers.Belonging{
		{Table: tableSubmissions, Kind: "form_submissions", Sealed: []string{"answers"}, Store: true, Staff: true},
	}}
}
