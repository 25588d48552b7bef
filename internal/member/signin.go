package member

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/ent/crm/consent"
	"github.com/shuke-crm/shuke/ent/crm/customeridentity"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

// Entry is what comes with a sign-in besides the proof.
type Entry struct {
	DeviceID    string
	DeviceLabel string
	Language    string // of a new member
	Consent     *ConsentGiven
	Profile     *SignUpProfile
}

// ConsentGiven names the versions of the texts that were shown and agreed to.
type ConsentGiven struct {
	Terms    int
	Guardian int // zero: none
}

// SignUpProfile is what somebody says about themselves when signing up.
type SignUpProfile struct {
	Name      *string
	Gender    *string
	BirthDate *time.Time
}

// channels name where a member came from: the source of a new customer, and
// the channel of a consent.
var channels = map[Provider]string{
	customeridentity.ProviderPhone: "member_app", customeridentity.ProviderPassword: "member_app",
	customeridentity.ProviderWechatMini: "wechat_mini", customeridentity.ProviderWechatOfficial: "wechat_official", customeridentity.ProviderOidc: "member_oidc",
}

// enter signs in whom a proof names: the owner of that identity; else the
// customer with the same union id or verified phone, who gets one more way to
// sign in; else a new customer. Whoever has not agreed to the terms does so now.
// Errors: member.consent_needed, member.text_version,
// member.guardian_consent_needed, member.account_closed.
func (s *Service) enter(ctx context.Context, p proof, in Entry) (SignedIn, error) {
	ctx = auth.System(ctx, "member.sign_in") // nobody is signed in yet
	var out SignedIn
	err := s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		at, err := s.place(ctx, tx, p, in)
		if err != nil {
			return err
		}
		if out, err = s.admit(ctx, tx, at, p, in); err != nil {
			return err
		}
		return attribute(ctx, tx, p.key, at.customer.ID)
	})
	if err != nil {
		return SignedIn{}, fmt.Errorf("sign a member in: %w", err)
	}
	return out, nil
}

// placed is the customer whom a proof belongs to.
type placed struct {
	customer *crm.Customer // locked
	identity *crm.CustomerIdentity
	made     bool // the customer is new
	linked   bool // the identity is
}

// place finds or makes the customer of a proof.
func (s *Service) place(ctx context.Context, tx *db.Tx, p proof, in Entry) (placed, error) {
	index, union := s.subjectIndex(p.Provider, p.App, p.Subject), s.unionIndex(p.UnionID)
	var phone []byte
	if p.Phone != "" {
		phone = s.subjectIndex(customeridentity.ProviderPhone, "", p.Phone)
	}
	if err := lockNames(ctx, tx, index, union, phone); err != nil {
		return placed{}, err
	}
	known, err := findIdentity(ctx, tx, p.Provider, p.App, index)
	if err != nil {
		return placed{}, err
	}
	if known != nil {
		return s.comeBack(ctx, tx, known, union)
	}
	owner, err := s.samePerson(ctx, tx, union, p.Phone)
	if err != nil {
		return placed{}, err
	}
	at := placed{linked: true}
	if owner == uuid.Nil {
		if owner, err = s.signUp(ctx, tx, p, in); err != nil {
			return placed{}, err
		}
		at.made = true
	}
	rows, err := lockCustomers(ctx, tx, owner)
	if err != nil {
		return placed{}, err
	}
	at.customer = rows[owner]
	if at.customer.ArchivedAt != nil {
		return placed{}, ErrClosed.New()
	}
	if p.Phone != "" {
		at.identity, err = s.claimPhone(ctx, tx, at.customer, p.Phone)
	}
	if err == nil && p.Provider != customeridentity.ProviderPhone {
		at.identity, err = s.link(ctx, tx, at.customer, p)
	}
	return at, err
}

// comeBack signs in by an identity that is known. A union id that it lacked
// may show that it belongs to somebody else here: if its owner is nothing but
// this identity it goes to them, else both stay and staff are told.
func (s *Service) comeBack(ctx context.Context, tx *db.Tx, known *crm.CustomerIdentity, union []byte) (placed, error) {
	owner, other := known.CustomerID, uuid.Nil
	appeared := union != nil && string(known.UnionIndex) != string(union)
	if appeared {
		row, err := unionOwner(ctx, tx, union)
		if err != nil {
			return placed{}, err
		}
		if row != uuid.Nil && row != owner {
			other = row
		}
	}
	wanted := []uuid.UUID{owner}
	if other != uuid.Nil {
		wanted = append(wanted, other)
	}
	rows, err := lockCustomers(ctx, tx, wanted...)
	if err != nil {
		return placed{}, err
	}
	if appeared {
		if known, err = tx.CRM.CustomerIdentity.UpdateOne(known).SetUnionIndex(union).Save(ctx); err != nil {
			return placed{}, err
		}
	}
	at := placed{customer: rows[owner], identity: known}
	if at.customer.ArchivedAt != nil {
		return placed{}, ErrClosed.New()
	}
	if other == uuid.Nil {
		return at, nil
	}
	st, err := standingOf(ctx, tx, at.customer)
	if err != nil {
		return placed{}, err
	}
	if !st.bare() || rows[other].ArchivedAt != nil {
		s.suspect(ctx, tx, at.customer, other, "union_id")
		return at, nil
	}
	moved, err := s.join(ctx, tx, at.customer, rows[other])
	if err != nil {
		return placed{}, err
	}
	return placed{customer: rows[other], identity: moved[known.ID], linked: true}, nil
}

// samePerson finds the customer with the same union id or verified phone;
// of the record's phone too, which staff took down: proving to have it is what
// a till would ask for.
func (s *Service) samePerson(ctx context.Context, tx *db.Tx, union []byte, phone string) (uuid.UUID, error) {
	if union != nil {
		if id, err := unionOwner(ctx, tx, union); err != nil || id != uuid.Nil {
			return id, err
		}
	}
	if phone == "" {
		return uuid.Nil, nil
	}
	row, err := findIdentity(ctx, tx, customeridentity.ProviderPhone, "", s.subjectIndex(customeridentity.ProviderPhone, "", phone))
	if err != nil {
		return uuid.Nil, err
	}
	if row != nil {
		return row.CustomerID, nil
	}
	found, err := s.Customers.Resolve(ctx, tx, []customers.Ref{{Phone: phone}})
	if err != nil {
		return uuid.Nil, err
	}
	return found[0].ID, nil
}

// unionOwner is the customer of the oldest identity with a union id.
func unionOwner(ctx context.Context, tx *db.Tx, union []byte) (uuid.UUID, error) {
	row, err := tx.CRM.CustomerIdentity.Query().Where(customeridentity.UnionIndex(union)).Order(customeridentity.ByID()).First(ctx)
	if crm.IsNotFound(err) {
		return uuid.Nil, nil
	}
	if err != nil {
		return uuid.Nil, err
	}
	return row.CustomerID, nil
}

// signUp makes the customer of a proof that nobody matches.
func (s *Service) signUp(ctx context.Context, tx *db.Tx, p proof, in Entry) (uuid.UUID, error) {
	source := channels[p.Provider]
	input := customers.Input{Source: &source}
	if p.Phone != "" {
		input.Phone = nullable.NewNullableWithValue(p.Phone)
	}
	if p.Name != "" {
		input.Name = nullable.NewNullableWithValue(p.Name)
	}
	if in.Language != "" {
		input.Language = &in.Language
	}
	if in.Profile != nil {
		if in.Profile.Name != nil {
			input.Name = nullable.NewNullableWithValue(*in.Profile.Name)
		}
		if in.Profile.BirthDate != nil {
			input.BirthDate = nullable.NewNullableWithValue(*in.Profile.BirthDate)
		}
		input.Gender = in.Profile.Gender
	}
	withEmail := input
	if p.Email != "" {
		withEmail.Email = nullable.NewNullableWithValue(p.Email)
	}
	ctx = customers.WithProvenance(ctx, customers.By{Collection: customers.Collection{Channel: source, ConsentShown: true}, Self: true})
	made, err := s.Customers.SignUp(ctx, tx, withEmail)
	if p.Email != "" && customers.ErrDuplicate.Is(err) {
		// An e-mail does not join two people, and one record can have it.
		made, err = s.Customers.SignUp(ctx, tx, input)
	}
	if err != nil {
		return uuid.Nil, err
	}
	return made.ID, nil
}

// admit opens a session for somebody placed, once they have agreed to the terms.
func (s *Service) admit(ctx context.Context, tx *db.Tx, at placed, p proof, in Entry) (SignedIn, error) {
	c := at.customer
	actor := auth.OfMember(c.ID)
	joined, err := s.agree(auth.With(ctx, actor), ctx, tx, c, p, in)
	if err != nil {
		return SignedIn{}, err
	}
	if joined && !at.made {
		if err := s.complete(ctx, c.ID, in.Profile); err != nil {
			return SignedIn{}, err
		}
	}
	now := s.Clock.Now()
	if !at.linked {
		if err := tx.CRM.CustomerIdentity.UpdateOne(at.identity).SetLastUsedAt(now).Exec(ctx); err != nil {
			return SignedIn{}, err
		}
	}
	out, err := s.openSession(ctx, tx, c, at.identity.ID, in)
	if err != nil {
		return SignedIn{}, err
	}
	out.New = joined
	actor.SessionID = out.SessionID
	ctx = auth.With(ctx, actor)
	event, action := EventSignedIn, "member.sign_in"
	if joined {
		event, action = EventSignedUp, "member.sign_up"
	}
	happened(ctx, tx, event, action, c.ID, c.HomeStoreID, map[string]any{"provider": p.Provider, "session_id": out.SessionID, "new_customer": at.made})
	return out, nil
}

// agree records the consents that come with a sign-in, and refuses without a
// live one to the terms. It reports whether somebody became a member by it.
func (s *Service) agree(member, system context.Context, tx *db.Tx, c *crm.Customer, p proof, in Entry) (joined bool, err error) {
	live, err := liveConsent(system, tx, c.ID, consent.PurposeTerms)
	if err != nil {
		return false, err
	}
	if in.Consent == nil {
		if live == nil {
			text, err := currentText(system, tx.Clients, consent.PurposeTerms)
			if err != nil {
				return false, fmt.Errorf("the terms: %w", err)
			}
			return false, ErrConsentNeeded.At("/consent").Arg("text_version", text.Version).With("text_version", text.Version)
		}
		return false, nil
	}
	from := deviceOf(system)
	from.ID, from.Label = in.DeviceID, in.DeviceLabel
	give := func(purpose Purpose, version int, pointer string) error {
		_, err := s.grant(member, tx, c, giving{purpose, version, channels[p.Provider], from, pointer})
		return err
	}
	if in.Consent.Guardian != 0 {
		if err := give(consent.PurposeGuardian, in.Consent.Guardian, "/consent/guardian_text_version"); err != nil {
			return false, err
		}
	}
	birth := c.BirthDate
	if birth == nil && in.Profile != nil {
		birth = in.Profile.BirthDate
	}
	if err := s.ofAge(system, tx, c.ID, birth, "/profile/birth_date"); err != nil {
		return false, err
	}
	return live == nil, give(consent.PurposeTerms, in.Consent.Terms, "/consent/text_version")
}

// ofAge refuses the young without a guardian's consent.
// Error: member.guardian_consent_needed.
func (s *Service) ofAge(ctx context.Context, tx *db.Tx, customerID uuid.UUID, birth *time.Time, pointer string) error {
	if birth == nil || !tooYoung(*birth, s.Clock.Today().Time()) {
		return nil
	}
	guardian, err := liveConsent(ctx, tx, customerID, consent.PurposeGuardian)
	if err != nil || guardian != nil {
		return err
	}
	return ErrGuardian.At(pointer)
}

// complete fills in what the record of a customer lacks with what they say
// about themselves on becoming a member.
func (s *Service) complete(ctx context.Context, id uuid.UUID, p *SignUpProfile) error {
	if p == nil {
		return nil
	}
	c, err := s.Customers.Get(ctx, id)
	if err != nil {
		return err
	}
	var in customers.Input
	if p.Name != nil && c.Name == "" {
		in.Name = nullable.NewNullableWithValue(*p.Name)
	}
	if p.Gender != nil && c.Gender == "unknown" {
		in.Gender = p.Gender
	}
	if p.BirthDate != nil && c.BirthDate == nil {
		in.BirthDate = nullable.NewNullableWithValue(*p.BirthDate)
	}
	_, err = s.Customers.ChangeOwn(customers.WithProvenance(ctx, customers.By{Collection: customers.Collection{ConsentShown: true}, Self: true}), id, in, nil, nil, nil)
	return err
}

// suspect notes that two customers seem to be one person, for staff to look at.
func (s *Service) suspect(ctx context.Context, tx *db.Tx, c *crm.Customer, other uuid.UUID, reason string) {
	happened(ctx, tx, EventDuplicate, "member.duplicate_suspected", c.ID, c.HomeStoreID, map[string]any{"other_id": other, "reason": reason})
}

// link gives a customer a way to sign in that nobody has.
func (s *Service) link(ctx context.Context, tx *db.Tx, c *crm.Customer, p proof) (*crm.CustomerIdentity, error) {
	key, err := s.keyOf(c)
	if err != nil {
		return nil, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	now := s.Clock.Now()
	create := tx.CRM.CustomerIdentity.Create().SetID(id).SetCustomerID(c.ID).SetNillableStoreID(c.HomeStoreID).SetNillableAssignedStaffID(c.AssignedStaffID).
		SetProvider(p.Provider).SetApp(p.App).SetSubjectSealed(sealSubject(key, id, p.Subject)).SetSubjectIndex(s.subjectIndex(p.Provider, p.App, p.Subject)).
		SetVerifiedAt(now).SetLastUsedAt(now).SetCreatedAt(now)
	if union := s.unionIndex(p.UnionID); union != nil {
		create.SetUnionIndex(union)
	}
	if p.password != "" {
		create.SetPasswordHash(p.password)
	}
	row, err := create.Save(ctx)
	if err != nil {
		return nil, fmt.Errorf("link an identity: %w", err)
	}
	happened(ctx, tx, EventIdentityLinked, "member.link", c.ID, c.HomeStoreID, map[string]any{"provider": p.Provider, "app": p.App, "identity_id": id})
	return row, nil
}

// join hands everything of a customer who is nothing but a way to sign in to
// the customer they turn out to be, and archives what is left. It returns the
// new rows by the ids of the old ones.
func (s *Service) join(ctx context.Context, tx *db.Tx, from, to *crm.Customer) (map[uuid.UUID]*crm.CustomerIdentity, error) {
	rows, err := identitiesOf(ctx, tx.CRM.CustomerIdentity, from.ID)
	if err != nil {
		return nil, err
	}
	key, err := s.keyOf(from)
	if err != nil {
		return nil, err
	}
	moved := map[uuid.UUID]*crm.CustomerIdentity{}
	for _, row := range rows {
		subject, err := openSubject(key, row)
		if err != nil {
			return nil, err
		}
		if err := tx.CRM.CustomerIdentity.DeleteOne(row).Exec(ctx); err != nil {
			return nil, err
		}
		if row.Provider == customeridentity.ProviderPassword {
			continue // it goes with a phone, and there was none
		}
		made, err := s.link(ctx, tx, to, proof{Provider: row.Provider, App: row.App, Subject: subject})
		if err != nil {
			return nil, err
		}
		if row.UnionIndex != nil {
			if made, err = tx.CRM.CustomerIdentity.UpdateOne(made).SetUnionIndex(row.UnionIndex).Save(ctx); err != nil {
				return nil, err
			}
		}
		moved[row.ID] = made
	}
	if err := s.handOver(ctx, tx, from, to); err != nil {
		return nil, err
	}
	if err := s.end(ctx, tx, from.ID, from.HomeStoreID, ending{}, "joined"); err != nil {
		return nil, err
	}
	if _, err := s.Customers.Archive(ctx, from.ID, nil); err != nil {
		return nil, err
	}
	s.suspect(ctx, tx, to, from.ID, "joined")
	return moved, nil
}

// claimPhone gives a customer a phone that they have just proved to have and
// that nobody else has: it becomes the record's too, in place of another.
func (s *Service) claimPhone(ctx context.Context, tx *db.Tx, c *crm.Customer, phone string) (*crm.CustomerIdentity, error) {
	rows, err := tx.CRM.CustomerIdentity.Query().
		Where(customeridentity.CustomerID(c.ID), customeridentity.ProviderEQ(customeridentity.ProviderPhone)).All(ctx)
	if err != nil {
		return nil, err
	}
	index := s.subjectIndex(customeridentity.ProviderPhone, "", phone)
	var own *crm.CustomerIdentity
	for _, row := range rows {
		if string(row.SubjectIndex) == string(index) {
			own, err = tx.CRM.CustomerIdentity.UpdateOne(row).SetVerifiedAt(s.Clock.Now()).Save(ctx)
		} else {
			err = s.drop(ctx, tx, c, row, "phone_changed")
		}
		if err != nil {
			return nil, err
		}
	}
	if own == nil {
		if own, err = s.link(ctx, tx, c, proof{Provider: customeridentity.ProviderPhone, Subject: phone}); err != nil {
			return nil, err
		}
	}
	return own, s.recordPhone(ctx, c.ID, &phone)
}

// recordPhone writes the phone of a customer's record; nil takes it away.
func (s *Service) recordPhone(ctx context.Context, id uuid.UUID, phone *string) error {
	in := customers.Input{Phone: nullable.NewNullNullable[string]()}
	if phone != nil {
		in.Phone.Set(*phone)
	}
	_, err := s.Customers.ChangeOwn(customers.WithProvenance(ctx, customers.By{Self: true}), id, in, nil, nil, nil)
	return err
}
