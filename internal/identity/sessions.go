package identity

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/platform"
	"github.com/shuke-crm/shuke/ent/platform/session"
	"github.com/shuke-crm/shuke/ent/platform/staff"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/token"
)

// Refresh exchanges a refresh token for the next pair. The row lock puts
// parallel calls in order: the first rotates, the others come as the immediate
// predecessor and get the same successor for 10 seconds, if they come from the
// same program. Any other spent token ends the session.
// Errors: auth.refresh_invalid, auth.refresh_reused, auth.session_ended.
func (s *Service) Refresh(ctx context.Context, presented string) (TokenPair, error) {
	ctx = auth.System(ctx, "refresh") // the token itself is the credential
	id, ours := token.Staff.ParseRefresh(s.Keys, presented)
	if !ours {
		return TokenPair{}, ErrRefreshInvalid.New()
	}
	var next string
	var owner *platform.Staff
	var refused error // answered after the commit: ending a session must not be rolled back
	err := s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		next, owner, refused = "", nil, nil
		now := s.Clock.Now()
		se, err := tx.Platform.Session.Query().Where(session.ID(id)).ForUpdate().Only(ctx)
		if platform.IsNotFound(err) {
			refused = ErrSessionEnded.New()
			return nil
		}
		if err != nil {
			return err
		}
		if owner, err = tx.Platform.Staff.Query().Where(staff.ID(se.StaffID)).Only(ctx); err != nil {
			return err
		}
		if !token.Live(se.RevokedAt, se.ExpiresAt, se.LastUsedAt, now) || owner.Status != staff.StatusActive {
			refused = ErrSessionEnded.New()
			return nil
		}
		chain := token.Chain{Current: se.RefreshHash, Previous: se.PreviousRefreshHash, Successor: se.SuccessorSealed,
			RefreshedAt: se.RefreshedAt, UserAgent: se.UserAgent}
		var rotated *token.Chain
		if next, rotated = token.Staff.Next(s.Keys, id, chain, presented, clientOf(ctx).UserAgent, now); rotated != nil {
			return rotate(ctx, tx, se, *rotated)
		}
		if next != "" {
			return nil
		}
		refused = ErrRefreshReused.New()
		return s.end(ctx, tx, owner, &id, uuid.Nil, "refresh_reused")
	})
	if err != nil {
		return TokenPair{}, fmt.Errorf("refresh a session: %w", err)
	}
	if refused != nil {
		return TokenPair{}, refused
	}
	return s.pair(owner.ID, id, next, owner.MustChangePassword)
}

func rotate(ctx context.Context, tx *db.Tx, se *platform.Session, c token.Chain) error {
	return tx.Platform.Session.UpdateOne(se).
		SetPreviousRefreshHash(c.Previous).SetRefreshHash(c.Current).SetSuccessorSealed(c.Successor).
		SetRefreshedAt(*c.RefreshedAt).SetLastUsedAt(*c.RefreshedAt).SetUserAgent(c.UserAgent).SetIP(clientOf(ctx).IP).Exec(ctx)
}

// end revokes sessions of a member of staff: one, or all but one.
func (s *Service) end(ctx context.Context, tx *db.Tx, owner *platform.Staff, only *uuid.UUID, except uuid.UUID, reason string) error {
	ended, err := endSessions(ctx, tx, owner.ID, only, except, reason, s.Clock.Now())
	if err != nil {
		return err
	}
	sessionsEnded(ctx, tx, owner.ID, owner.StoreID, ended, reason)
	s.invalidate(ctx, tx, owner.ID)
	return nil
}

func sessionsEnded(ctx context.Context, tx *db.Tx, staffID uuid.UUID, storeID *uuid.UUID, ended []uuid.UUID, reason string) {
	for _, id := range ended {
		happened(ctx, tx, eventSessionRevoked, audit.Entry{Action: "auth.session_end", ObjectType: "session", StoreID: storeID,
			Changes: map[string]any{"reason": reason, "staff_id": staffID}}, id, map[string]any{"staff_id": staffID, "reason": reason})
	}
}

// self is the signed-in person.
// Error: auth.session_needed for an API key or the system.
func self(ctx context.Context) (auth.Actor, error) {
	actor, err := auth.From(ctx)
	if err != nil {
		return auth.Actor{}, err
	}
	if actor.Kind != auth.KindStaff || actor.SessionID == uuid.Nil {
		return auth.Actor{}, ErrSessionNeeded.New()
	}
	return actor, nil
}

// EndOwn revokes own sessions: one, or all but one.
// Error: auth.session_not_found if the one named is not the caller's.
func (s *Service) EndOwn(ctx context.Context, only *uuid.UUID, except uuid.UUID, reason string) error {
	actor, err := self(ctx)
	if err != nil {
		return err
	}
	return s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		// Own sessions and account are the caller's whatever their scope.
		system := auth.System(ctx, "own-sessions")
		owner, err := tx.Platform.Staff.Get(system, actor.ID)
		if err != nil {
			return err
		}
		if only != nil {
			own, err := tx.Platform.Session.Query().Where(session.ID(*only), session.StaffID(actor.ID)).Exist(system)
			if err != nil {
				return err
			}
			if !own {
				return ErrSessionNotFound.New()
			}
		}
		return s.end(ctx, tx, owner, only, except, reason)
	})
}

// Logout ends the session in use.
// Error: auth.session_needed.
func (s *Service) Logout(ctx context.Context) error {
	actor, err := self(ctx)
	if err != nil {
		return err
	}
	return s.EndOwn(ctx, &actor.SessionID, uuid.Nil, "signed_out")
}

// OwnSessions lists live sessions of the caller, newest first, one more than
// limit if there are more; before is the last id shown.
func (s *Service) OwnSessions(ctx context.Context, before uuid.UUID, limit int) ([]*platform.Session, error) {
	q, ctx, err := s.ownSessions(ctx)
	if err != nil {
		return nil, err
	}
	if before != uuid.Nil {
		q.Where(session.IDLT(before))
	}
	return q.Order(session.ByID(sqlDesc)).Limit(limit + 1).All(ctx)
}

func (s *Service) countOwnSessions(ctx context.Context) (int, error) {
	q, ctx, err := s.ownSessions(ctx)
	if err != nil {
		return 0, err
	}
	return q.Count(ctx)
}

// ownSessions also returns the context to ask in: one's own are seen whatever
// the scope.
func (s *Service) ownSessions(ctx context.Context) (*platform.SessionQuery, context.Context, error) {
	actor, err := self(ctx)
	if err != nil {
		return nil, nil, err
	}
	ctx = auth.System(ctx, "own-sessions")
	now := s.Clock.Now()
	return s.DB.From(ctx).Platform.Session.Query().Where(session.StaffID(actor.ID), session.RevokedAtIsNil(), session.ExpiresAtGT(now),
		session.LastUsedAtGT(now.Add(-token.SessionIdleLife))), ctx, nil
}

// keepEnded is how long ended sessions stay to be looked at.
const keepEnded = 30 * 24 * time.Hour

// CleanSessions deletes sessions that ended long ago; a job runs it regularly.
func (s *Service) CleanSessions(ctx context.Context) error { return s.sweep(ctx, s.Clock.Now()) }
