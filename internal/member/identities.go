package member

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/ent/crm/customer"
	"github.com/shuke-crm/shuke/ent/crm/customeridentity"
	"github.com/shuke-crm/shuke/ent/crm/membersession"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

// Linked is what became of an identity that a signed-in member proved to have.
type Linked struct {
	IdentityID uuid.UUID
	// Session is set when the member turned out to be another customer and was
	// joined to them: the old session has ended, and this is the new one.
	Session *SignedIn
}

// linkProof gives the signed-in member a way to sign in that they have proved
// to have. A phone that another customer has follows the rules of judgePhone; anything
// else of another customer is given up to the member only if that customer is
// nothing but it.
// Errors: member.phone_taken, member.identity_taken, member.account_closed.
func (s *Service) linkProof(ctx context.Context, p proof) (Linked, error) {
	actor, err := self(ctx)
	if err != nil {
		return Linked{}, err
	}
	var out Linked
	var refused error // answered after the commit: what staff are to look at must not be rolled back
	reach := actor
	reach.Scope = auth.Scope{All: true} // the account proved to be the member's may be another customer's
	err = s.DB.InTx(auth.With(ctx, reach), func(ctx context.Context, tx *db.Tx) error {
		out, refused = Linked{}, nil
		if err := lockNames(ctx, tx, s.subjectIndex(p.Provider, p.App, p.Subject), s.unionIndex(p.UnionID)); err != nil {
			return err
		}
		var err error
		if p.Provider == customeridentity.ProviderPhone {
			out, refused, err = s.bindPhone(ctx, tx, actor, p.Subject)
		} else {
			out, refused, err = s.linkAccount(ctx, tx, actor, p)
		}
		if err != nil || refused != nil {
			return err
		}
		s.principals.Invalidate(ctx, tx, actor.ID)
		return nil
	})
	if err != nil {
		return Linked{}, fmt.Errorf("link an identity: %w", err)
	}
	return out, refused
}

// linkAccount links an account at WeChat or an OpenID Connect provider.
func (s *Service) linkAccount(ctx context.Context, tx *db.Tx, actor auth.Actor, p proof) (out Linked, refused, err error) {
	index := s.subjectIndex(p.Provider, p.App, p.Subject)
	known, err := findIdentity(ctx, tx, p.Provider, p.App, index)
	if err != nil {
		return out, nil, err
	}
	union, owner := s.unionIndex(p.UnionID), actor.ID
	if known != nil {
		owner = known.CustomerID
	}
	rows, err := lockCustomers(ctx, tx, unique(actor.ID, owner)...)
	if err != nil {
		return out, nil, err
	}
	me := rows[actor.ID]
	switch {
	case known == nil:
		if union != nil {
			other, err := unionOwner(ctx, tx, union)
			if err != nil {
				return out, nil, err
			}
			if other != uuid.Nil && other != me.ID {
				s.suspect(ctx, tx, me, other, "union_id")
			}
		}
		row, err := s.link(ctx, tx, me, p)
		if err != nil {
			return out, nil, err
		}
		out.IdentityID = row.ID
	case owner == me.ID:
		out.IdentityID = known.ID
		err = tx.CRM.CustomerIdentity.UpdateOne(known).SetVerifiedAt(s.Clock.Now()).Exec(ctx)
	default:
		st, serr := standingOf(ctx, tx, rows[owner])
		if serr != nil {
			return out, nil, serr
		}
		if !st.bare() {
			s.suspect(ctx, tx, me, owner, string(p.Provider))
			return out, ErrIdentityTaken.New(), nil
		}
		moved, jerr := s.join(ctx, tx, rows[owner], me)
		if jerr != nil {
			return out, nil, jerr
		}
		out.IdentityID = moved[known.ID].ID
	}
	return out, nil, err
}

// bindPhone makes a phone the member's, or the member the one who has it.
func (s *Service) bindPhone(ctx context.Context, tx *db.Tx, actor auth.Actor, phone string) (out Linked, refused, err error) {
	known, err := findIdentity(ctx, tx, customeridentity.ProviderPhone, "", s.subjectIndex(customeridentity.ProviderPhone, "", phone))
	if err != nil {
		return out, nil, err
	}
	found, err := s.Customers.Resolve(ctx, tx, []customers.Ref{{Phone: phone}})
	if err != nil {
		return out, nil, err
	}
	onRecord, holder := found[0].ID, uuid.Nil
	switch {
	case known != nil:
		holder = known.CustomerID
	case onRecord != actor.ID:
		holder = onRecord
	}
	if holder == actor.ID {
		holder = uuid.Nil
	}
	rows, err := lockCustomers(ctx, tx, unique(actor.ID, holder, onRecord)...)
	if err != nil {
		return out, nil, err
	}
	me, other := rows[actor.ID], rows[holder]
	what := phoneFree
	if other != nil {
		st, err := standingOf(ctx, tx, me)
		if err != nil {
			return out, nil, err
		}
		var idle time.Duration
		if known != nil {
			idle = s.Clock.Now().Sub(known.LastUsedAt)
		}
		what = judgePhone(st, known != nil, idle)
	} else if onRecord != uuid.Nil && onRecord != me.ID {
		what = phoneSuspect // verified by the member, yet on somebody else's record
	}
	switch what {
	case phoneJoins:
		return s.joinHolder(ctx, tx, actor, me, other, phone)
	case phoneRefused:
		return out, ErrPhoneTaken.New(), nil
	case phoneSuspect:
		s.suspect(ctx, tx, me, onRecord, "phone")
		return out, ErrPhoneTaken.New(), nil
	case phoneMoves:
		if other.ArchivedAt != nil || onRecord != uuid.Nil && onRecord != other.ID && onRecord != me.ID {
			s.suspect(ctx, tx, me, other.ID, "phone")
			return out, ErrPhoneTaken.New(), nil
		}
		if err := s.drop(ctx, tx, other, known, "phone_moved"); err != nil {
			return out, nil, err
		}
		if onRecord == other.ID {
			if err := s.recordPhone(ctx, other.ID, nil); err != nil {
				return out, nil, err
			}
		}
	}
	row, err := s.claimPhone(ctx, tx, me, phone)
	if err != nil {
		return out, nil, err
	}
	out.IdentityID = row.ID
	return out, nil, nil
}

// joinHolder joins a member who is nothing but a way to sign in to the customer
// whose phone they have just proved to have, and goes on as that customer.
func (s *Service) joinHolder(ctx context.Context, tx *db.Tx, actor auth.Actor, me, holder *crm.Customer, phone string) (out Linked, refused, err error) {
	if holder.ArchivedAt != nil {
		return out, ErrClosed.New(), nil
	}
	old, err := tx.CRM.MemberSession.Query().Where(membersession.ID(actor.SessionID)).Only(ctx)
	if err != nil {
		return out, nil, err
	}
	key, err := s.keyOf(me)
	if err != nil {
		return out, nil, err
	}
	from, err := openDevice(key, tableSessions, "client", old.ID, old.ClientSealed)
	if err != nil {
		return out, nil, err
	}
	moved, err := s.join(ctx, tx, me, holder)
	if err != nil {
		return out, nil, err
	}
	row, err := s.claimPhone(ctx, tx, holder, phone)
	if err != nil {
		return out, nil, err
	}
	by := row
	if m := moved[old.IdentityID]; m != nil {
		by = m
	}
	session, err := s.openSessionOn(ctx, tx, holder, by.ID, old.DeviceHash, from)
	if err != nil {
		return out, nil, err
	}
	out.IdentityID, out.Session = row.ID, &session
	return out, nil, nil
}

// unique drops repetitions and none.
func unique(all ...uuid.UUID) []uuid.UUID {
	var out []uuid.UUID
	seen := map[uuid.UUID]bool{uuid.Nil: true}
	for _, id := range all {
		if !seen[id] {
			seen[id] = true
			out = append(out, id)
		}
	}
	return out
}

// drop takes a way to sign in away, with the sessions it opened; a phone takes
// the password along, which is used together with it.
func (s *Service) drop(ctx context.Context, tx *db.Tx, c *crm.Customer, row *crm.CustomerIdentity, reason string) error {
	gone := []*crm.CustomerIdentity{row}
	if row.Provider == customeridentity.ProviderPhone {
		more, err := tx.CRM.CustomerIdentity.Query().
			Where(customeridentity.CustomerID(c.ID), customeridentity.ProviderEQ(customeridentity.ProviderPassword)).All(ctx)
		if err != nil {
			return err
		}
		gone = append(gone, more...)
	}
	actor := auth.Must(ctx)
	for _, g := range gone {
		if err := tx.CRM.CustomerIdentity.DeleteOne(g).Exec(ctx); err != nil {
			return err
		}
		happened(ctx, tx, EventIdentityUnlinked, "member.unlink", c.ID, c.HomeStoreID,
			map[string]any{"provider": g.Provider, "app": g.App, "identity_id": g.ID, "reason": reason})
		// The session in use may go on: its owner is here.
		if err := s.end(ctx, tx, c.ID, c.HomeStoreID, ending{identity: g.ID, except: actor.SessionID}, reason); err != nil {
			return err
		}
	}
	return nil
}

// UnlinkOwn takes a way to sign in away from the signed-in member.
// Errors: member.not_found, member.last_identity.
func (s *Service) UnlinkOwn(ctx context.Context, id uuid.UUID) error {
	actor, err := self(ctx)
	if err != nil {
		return err
	}
	return s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		rows, err := lockCustomers(ctx, tx, actor.ID)
		if err != nil {
			return err
		}
		all, err := identitiesOf(ctx, tx.CRM.CustomerIdentity, actor.ID)
		if err != nil {
			return err
		}
		var gone *crm.CustomerIdentity
		providers := make([]Provider, len(all))
		for i, row := range all {
			if providers[i] = row.Provider; row.ID == id {
				gone = row
			}
		}
		if gone == nil {
			return ErrNotFound.New()
		}
		if !mayUnlink(providers, gone.Provider) {
			return ErrLastIdentity.New()
		}
		return s.drop(ctx, tx, rows[actor.ID], gone, "unlinked")
	})
}

// Unlink takes a way to sign in away from a customer of the caller's scope;
// the last one too, so that somebody else's can be taken off.
// Error: customers.identity_not_found.
func (s *Service) Unlink(ctx context.Context, customerID, id uuid.UUID) error {
	return s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		c, err := tx.CRM.Customer.Query().Where(customer.ID(customerID)).ForUpdate().Only(ctx)
		if crm.IsNotFound(err) {
			return customers.ErrNotFound.New()
		}
		if err != nil {
			return err
		}
		row, err := tx.CRM.CustomerIdentity.Query().Where(customeridentity.ID(id), customeridentity.CustomerID(customerID)).Only(ctx)
		if crm.IsNotFound(err) {
			return customers.ErrIdentityNotFound.New()
		}
		if err != nil {
			return err
		}
		return s.drop(ctx, tx, c, row, "taken_off_by_staff")
	})
}

// Identities lists how a customer of the caller's scope signs in, masked. It
// serves the customer themselves as well.
// Error: customers.not_found.
func (s *Service) Identities(ctx context.Context, customerID uuid.UUID) ([]customers.Identity, error) {
	d := s.DB.From(ctx)
	c, err := d.CRM.Customer.Query().Where(customer.ID(customerID)).Select(customer.FieldID, customer.FieldDataKey).Only(ctx)
	if crm.IsNotFound(err) {
		return nil, customers.ErrNotFound.New()
	}
	if err != nil {
		return nil, err
	}
	rows, err := identitiesOf(ctx, d.CRM.CustomerIdentity, customerID)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	key, err := s.keyOf(c)
	if err != nil {
		return nil, err
	}
	out := make([]customers.Identity, len(rows))
	for i, row := range rows {
		subject, err := openSubject(key, row)
		if err != nil {
			return nil, fmt.Errorf("identity %s: %w", row.ID, err)
		}
		out[i] = customers.Identity{ID: row.ID, Provider: string(row.Provider), App: row.App, Subject: maskSubject(row.Provider, subject),
			VerifiedAt: row.VerifiedAt.UTC(), LastUsedAt: row.LastUsedAt.UTC()}
	}
	return out, nil
}
