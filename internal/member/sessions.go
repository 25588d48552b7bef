package member

import (
	"context"
	"fmt"
	"time"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/ent/crm/customer"
	"github.com/shuke-crm/shuke/ent/crm/customeridentity"
	"github.com/shuke-crm/shuke/ent/crm/membersession"
	"github.com/shuke-crm/shuke/internal/identity"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/token"
)

// SignedIn is what a sign-in or refresh gives.
type SignedIn struct {
	Access, Refresh string
	SessionID       uuid.UUID
	CustomerID      uuid.UUID
	ExpiresIn       time.Duration
	New             bool // became a member by it
}

// deviceOf is where the request comes from.
func deviceOf(ctx context.Context) device {
	c := identity.ClientOf(ctx)
	return device{Program: c.UserAgent, IP: c.IP}
}

func (s *Service) programHash(ctx context.Context) []byte {
	return s.Keys.Index(indexProgram, identity.ClientOf(ctx).UserAgent)
}

func (s *Service) openSession(ctx context.Context, tx *db.Tx, c *crm.Customer, identityID uuid.UUID, in Entry) (SignedIn, error) {
	from := deviceOf(ctx)
	from.Label = in.DeviceLabel
	return s.openSessionOn(ctx, tx, c, identityID, s.Keys.Index(indexDevice, in.DeviceID), from)
}

func (s *Service) openSessionOn(ctx context.Context, tx *db.Tx, c *crm.Customer, identityID uuid.UUID, deviceHash []byte, from device) (SignedIn, error) {
	key, err := s.keyOf(c)
	if err != nil {
		return SignedIn{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return SignedIn{}, err
	}
	refresh, now := token.Member.NewRefresh(s.Keys, id), s.Clock.Now()
	err = tx.CRM.MemberSession.Create().SetID(id).SetCustomerID(c.ID).SetIdentityID(identityID).SetRefreshHash(token.Hash(refresh)).
		SetDeviceHash(deviceHash).SetProgramHash(s.programHash(ctx)).
		SetClientSealed(sealDevice(key, tableSessions, "client", id, from)).
		SetCreatedAt(now).SetLastUsedAt(now).SetExpiresAt(now.Add(token.SessionLife)).Exec(ctx)
	if err != nil {
		return SignedIn{}, fmt.Errorf("open a session: %w", err)
	}
	surplus, err := surplusSessions(ctx, tx, c.ID, now)
	if err != nil {
		return SignedIn{}, err
	}
	sessionsEnded(ctx, tx, c.ID, c.HomeStoreID, surplus, "too_many")
	s.principals.Invalidate(ctx, tx, c.ID)
	return s.pair(c.ID, id, refresh)
}

func (s *Service) pair(customerID, sessionID uuid.UUID, refresh string) (SignedIn, error) {
	signed, err := token.Member.Sign(s.Keys.SigningKeys().Current, customerID, sessionID, s.Clock.Now())
	if err != nil {
		return SignedIn{}, fmt.Errorf("sign an access token: %w", err)
	}
	return SignedIn{Access: signed, Refresh: refresh, SessionID: sessionID, CustomerID: customerID, ExpiresIn: token.AccessLife}, nil
}

// Refresh exchanges a refresh token for the next pair, by the rules that staff
// have: see token.Audience.Next.
// Errors: auth.refresh_invalid, auth.refresh_reused, auth.session_ended,
// member.account_closed.
func (s *Service) Refresh(ctx context.Context, presented string) (SignedIn, error) {
	ctx = auth.System(ctx, "member.refresh") // the token itself is the credential
	id, ours := token.Member.ParseRefresh(s.Keys, presented)
	if !ours {
		return SignedIn{}, identity.ErrRefreshInvalid.New()
	}
	var next string
	var owner uuid.UUID
	var refused error // answered after the commit: ending a session must not be rolled back
	err := s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		next, refused = "", nil
		now := s.Clock.Now()
		se, err := tx.CRM.MemberSession.Query().Where(membersession.ID(id)).ForUpdate().Only(ctx)
		if crm.IsNotFound(err) {
			refused = identity.ErrSessionEnded.New()
			return nil
		}
		if err != nil {
			return err
		}
		owner = se.CustomerID
		c, err := tx.CRM.Customer.Query().Where(customer.ID(owner)).
			Select(customer.FieldID, customer.FieldDataKey, customer.FieldHomeStoreID, customer.FieldArchivedAt).Only(ctx)
		if err != nil {
			return err
		}
		if !token.Live(se.RevokedAt, se.ExpiresAt, se.LastUsedAt, now) {
			refused = identity.ErrSessionEnded.New()
			return nil
		}
		if c.ArchivedAt != nil {
			refused = ErrClosed.New()
			return nil
		}
		program := s.programHash(ctx)
		chain := token.Chain{Current: se.RefreshHash, Previous: se.PreviousRefreshHash, Successor: se.SuccessorSealed,
			RefreshedAt: se.RefreshedAt, UserAgent: string(se.ProgramHash)}
		var rotated *token.Chain
		if next, rotated = token.Member.Next(s.Keys, id, chain, presented, string(program), now); rotated != nil {
			return s.rotate(ctx, tx, c, se, *rotated)
		}
		if next != "" {
			return nil
		}
		refused = identity.ErrRefreshReused.New()
		return s.end(ctx, tx, owner, c.HomeStoreID, ending{only: id}, "refresh_reused")
	})
	if err != nil {
		return SignedIn{}, fmt.Errorf("refresh a member's session: %w", err)
	}
	if refused != nil {
		return SignedIn{}, refused
	}
	return s.pair(owner, id, next)
}

func (s *Service) rotate(ctx context.Context, tx *db.Tx, c *crm.Customer, se *crm.MemberSession, to token.Chain) error {
	key, err := s.keyOf(c)
	if err != nil {
		return err
	}
	was, err := openDevice(key, tableSessions, "client", se.ID, se.ClientSealed)
	if err != nil {
		return err
	}
	from := deviceOf(ctx)
	from.Label = was.Label
	return tx.CRM.MemberSession.UpdateOne(se).
		SetPreviousRefreshHash(to.Previous).SetRefreshHash(to.Current).SetSuccessorSealed(to.Successor).
		SetRefreshedAt(*to.RefreshedAt).SetLastUsedAt(*to.RefreshedAt).SetProgramHash([]byte(to.UserAgent)).
		SetClientSealed(sealDevice(key, tableSessions, "client", se.ID, from)).Exec(ctx)
}

// end revokes sessions of a member, everywhere within a second.
func (s *Service) end(ctx context.Context, tx *db.Tx, customerID uuid.UUID, storeID *uuid.UUID, e ending, reason string) error {
	ended, err := endSessions(ctx, tx, customerID, e, reason, s.Clock.Now())
	if err != nil {
		return err
	}
	sessionsEnded(ctx, tx, customerID, storeID, ended, reason)
	s.principals.Invalidate(ctx, tx, customerID)
	// What signed in a moment ago must not do so again by being repeated.
	return forget(ctx, tx, customerID)
}

func sessionsEnded(ctx context.Context, tx *db.Tx, customerID uuid.UUID, storeID *uuid.UUID, ended []uuid.UUID, reason string) {
	for _, id := range ended {
		happened(ctx, tx, EventSessionEnded, "member.session_end", customerID, storeID, map[string]any{"session_id": id, "reason": reason})
	}
}

// channelOf is where the session in use was opened.
func (s *Service) channelOf(ctx context.Context, tx *db.Tx, sessionID uuid.UUID) (string, error) {
	se, err := tx.CRM.MemberSession.Query().Where(membersession.ID(sessionID)).Only(ctx)
	if err != nil {
		return "", err
	}
	by, err := tx.CRM.CustomerIdentity.Query().Where(customeridentity.ID(se.IdentityID)).Only(ctx)
	if crm.IsNotFound(err) {
		return channels[customeridentity.ProviderPhone], nil // taken away since
	}
	if err != nil {
		return "", err
	}
	return channels[by.Provider], nil
}

// endOwn ends sessions of the signed-in member.
func (s *Service) endOwn(ctx context.Context, which func(auth.Actor) ending, reason string) error {
	actor, err := self(ctx)
	if err != nil {
		return err
	}
	return s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		rows, err := lockCustomers(ctx, tx, actor.ID)
		if err != nil {
			return err
		}
		return s.end(ctx, tx, actor.ID, rows[actor.ID].HomeStoreID, which(actor), reason)
	})
}

// Logout ends the session in use.
func (s *Service) Logout(ctx context.Context) error {
	return s.endOwn(ctx, func(a auth.Actor) ending { return ending{only: a.SessionID} }, "signed_out")
}

// LogoutEverywhere ends all sessions of the member, the one in use among them.
func (s *Service) LogoutEverywhere(ctx context.Context) error {
	return s.endOwn(ctx, func(auth.Actor) ending { return ending{} }, "signed_out_everywhere")
}

// EndSession ends one session of the member.
// Error: member.session_not_found.
func (s *Service) EndSession(ctx context.Context, id uuid.UUID) error {
	// The policy leaves the member's own.
	own, err := s.DB.From(ctx).CRM.MemberSession.Query().Where(membersession.ID(id)).Exist(ctx)
	if err != nil {
		return err
	}
	if !own {
		return ErrSessionUnknown.New()
	}
	return s.endOwn(ctx, func(auth.Actor) ending { return ending{only: id} }, "signed_out")
}

// Session is a live session as its owner sees it.
type Session struct {
	*crm.MemberSession
	device
	Provider string // what it was opened by; empty when that is gone
}

// Sessions lists live sessions of the member, newest first, one more than
// limit if there are more; before is the last id shown.
func (s *Service) Sessions(ctx context.Context, before uuid.UUID, limit int) ([]Session, error) {
	actor, err := self(ctx)
	if err != nil {
		return nil, err
	}
	d := s.DB.From(ctx)
	q := s.liveSessions(ctx, actor.ID)
	if before != uuid.Nil {
		q.Where(membersession.IDLT(before))
	}
	rows, err := q.Order(membersession.ByID(sql.OrderDesc())).Limit(limit + 1).All(ctx)
	if err != nil {
		return nil, err
	}
	c, err := d.CRM.Customer.Query().Where(customer.ID(actor.ID)).Select(customer.FieldID, customer.FieldDataKey).Only(ctx)
	if err != nil {
		return nil, err
	}
	key, err := s.keyOf(c)
	if err != nil {
		return nil, err
	}
	ways, err := identitiesOf(ctx, d.CRM.CustomerIdentity, actor.ID)
	if err != nil {
		return nil, err
	}
	providers := map[uuid.UUID]customeridentity.Provider{}
	for _, w := range ways {
		providers[w.ID] = w.Provider
	}
	out := make([]Session, len(rows))
	for i, row := range rows {
		from, err := openDevice(key, tableSessions, "client", row.ID, row.ClientSealed)
		if err != nil {
			return nil, err
		}
		out[i] = Session{row, from, string(providers[row.IdentityID])}
	}
	return out, nil
}

func (s *Service) countSessions(ctx context.Context) (int, error) {
	actor, err := self(ctx)
	if err != nil {
		return 0, err
	}
	return s.liveSessions(ctx, actor.ID).Count(ctx)
}

func (s *Service) liveSessions(ctx context.Context, customerID uuid.UUID) *crm.MemberSessionQuery {
	now := s.Clock.Now()
	return s.DB.From(ctx).CRM.MemberSession.Query().Where(membersession.CustomerID(customerID), membersession.RevokedAtIsNil(), membersession.ExpiresAtGT(now),
		membersession.LastUsedAtGT(now.Add(-token.SessionIdleLife)))
}
