package member

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/ent/crm/customer"
	"github.com/shuke-crm/shuke/ent/crm/customeridentity"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/principals"
)

// load resolves a member and their live sessions. It reads past any open
// transaction: what counts is committed.
func (s *Service) load(ctx context.Context, id uuid.UUID) (*principals.Principal, error) {
	p := &principals.Principal{Actor: auth.OfMember(id), Sessions: map[uuid.UUID]principals.Session{}}
	rows, err := s.DB.Query(ctx, `
		SELECT c.archived_at IS NULL, se.id, se.expires_at
		FROM customers c LEFT JOIN member_sessions se ON se.customer_id = c.id AND se.revoked_at IS NULL AND se.expires_at > $2
		WHERE c.id = $1`, id, s.Clock.Now())
	if err != nil {
		return nil, fmt.Errorf("load a member: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var session uuid.NullUUID
		var expires sql.NullTime
		if err := rows.Scan(&p.Alive, &session, &expires); err != nil {
			return nil, fmt.Errorf("load a member: %w", err)
		}
		if session.Valid {
			p.Sessions[session.UUID] = principals.Session{Expires: expires.Time}
		}
	}
	return p, rows.Err()
}

// lockCustomers reads rows for a change, in the order of their ids.
func lockCustomers(ctx context.Context, tx *db.Tx, ids ...uuid.UUID) (map[uuid.UUID]*crm.Customer, error) {
	rows, err := tx.CRM.Customer.Query().Where(customer.IDIn(ids...)).Order(customer.ByID()).ForUpdate().All(ctx)
	if err != nil {
		return nil, err
	}
	out := make(map[uuid.UUID]*crm.Customer, len(rows))
	for _, row := range rows {
		out[row.ID] = row
	}
	for _, id := range ids {
		if out[id] == nil {
			// Merged into another since it was found: the next attempt finds that one.
			return nil, fmt.Errorf("customer %s is gone: %w", id, db.ErrAgain)
		}
	}
	return out, nil
}

// lockNames makes sign-ins by the same outside name wait for each other, so
// that two of them do not both find nobody. It comes before any row lock.
func lockNames(ctx context.Context, tx *db.Tx, indexes ...[]byte) error {
	var locks []int64
	for _, i := range indexes {
		if len(i) >= 8 {
			locks = append(locks, int64(binary.BigEndian.Uint64(i)))
		}
	}
	slices.Sort(locks)
	for _, l := range slices.Compact(locks) {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, l); err != nil {
			return fmt.Errorf("lock an identity: %w", err)
		}
	}
	return nil
}

// findIdentity finds a way to sign in by its outside name; nil is none.
func findIdentity(ctx context.Context, tx *db.Tx, p Provider, app string, index []byte) (*crm.CustomerIdentity, error) {
	row, err := tx.CRM.CustomerIdentity.Query().
		Where(customeridentity.ProviderEQ(p), customeridentity.App(app), customeridentity.SubjectIndex(index)).Only(ctx)
	if crm.IsNotFound(err) {
		return nil, nil
	}
	return row, err
}

// identitiesOf reads all of a customer's, oldest first.
func identitiesOf(ctx context.Context, q *crm.CustomerIdentityClient, customerID uuid.UUID) ([]*crm.CustomerIdentity, error) {
	return q.Query().Where(customeridentity.CustomerID(customerID)).Order(customeridentity.ByID()).All(ctx)
}

// standingOf reads what judgements about two customers rest on.
func standingOf(ctx context.Context, tx *db.Tx, c *crm.Customer) (standing, error) {
	st := standing{known: len(c.PhoneSealed)+len(c.EmailSealed)+len(c.CardNumberSealed) > 0 || c.ExternalID != nil}
	err := tx.QueryRow(ctx, `
		SELECT (SELECT count(*) FROM customer_identities WHERE customer_id = $1 AND provider <> 'password'),
		       EXISTS (SELECT FROM orders WHERE customer_id = $1) OR EXISTS (SELECT FROM order_returns WHERE customer_id = $1)`,
		c.ID).Scan(&st.identities, &st.bought)
	if err != nil {
		return st, fmt.Errorf("standing of a customer: %w", err)
	}
	return st, nil
}

// ending says which sessions of a customer end.
type ending struct {
	only     uuid.UUID // this one
	identity uuid.UUID // those opened by this
	except   uuid.UUID // all but this one
}

// endSessions revokes live sessions and names them.
func endSessions(ctx context.Context, tx *db.Tx, customerID uuid.UUID, e ending, reason string, now time.Time) ([]uuid.UUID, error) {
	rows, err := tx.Query(ctx, `
		UPDATE member_sessions SET revoked_at = $2, revoked_reason = $3, successor_sealed = NULL
		WHERE customer_id = $1 AND revoked_at IS NULL AND ($4::uuid = $7::uuid OR id = $4) AND ($5::uuid = $7 OR identity_id = $5) AND id <> $6::uuid
		RETURNING id`, customerID, now, reason, e.only, e.identity, e.except, uuid.Nil)
	if err != nil {
		return nil, fmt.Errorf("end sessions: %w", err)
	}
	return ids(rows)
}

// surplusSessions ends the oldest live sessions beyond a number: the list of
// them belongs to each cached principal and must stay small.
func surplusSessions(ctx context.Context, tx *db.Tx, customerID uuid.UUID, now time.Time) ([]uuid.UUID, error) {
	rows, err := tx.Query(ctx, `
		UPDATE member_sessions SET revoked_at = $2, revoked_reason = 'too_many', successor_sealed = NULL
		WHERE id IN (SELECT id FROM member_sessions WHERE customer_id = $1 AND revoked_at IS NULL AND expires_at > $2
		             ORDER BY id DESC OFFSET $3)
		RETURNING id`, customerID, now, maxSessions)
	if err != nil {
		return nil, fmt.Errorf("end surplus sessions: %w", err)
	}
	return ids(rows)
}

func ids(rows *sql.Rows) ([]uuid.UUID, error) {
	defer rows.Close()
	var out []uuid.UUID
	for rows.Next() {
		var id uuid.UUID
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		out = append(out, id)
	}
	return out, rows.Err()
}

// claimed is what a try to claim a code's exchange finds.
type claimed struct {
	mine    bool
	device  []byte
	outcome []byte // nil while another request is at it
}

// claim takes the exchange of a code, if nobody has it or its holder has died.
func (s *Service) claim(ctx context.Context, key, deviceHash []byte, now time.Time) (c claimed, err error) {
	err = s.DB.QueryRow(ctx, `
		INSERT INTO member_exchanges AS e (key, device_hash, claimed_at, expires_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (key) DO UPDATE SET device_hash = excluded.device_hash, claimed_at = excluded.claimed_at, outcome = NULL, customer_id = NULL,
		    expires_at = excluded.expires_at
		WHERE e.expires_at <= $3 OR (e.outcome IS NULL AND e.claimed_at <= $5 AND e.device_hash = $2)
		RETURNING TRUE`, key, deviceHash, now, now.Add(exchangeLife), now.Add(-exchangeLimit)).Scan(&c.mine)
	if err == nil {
		return c, nil
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return c, fmt.Errorf("claim an exchange: %w", err)
	}
	err = s.DB.QueryRow(ctx, `SELECT device_hash, outcome FROM member_exchanges WHERE key = $1`, key).Scan(&c.device, &c.outcome)
	if errors.Is(err, sql.ErrNoRows) {
		return claimed{}, nil // given up since: the caller tries again
	}
	if err != nil {
		return c, fmt.Errorf("read an exchange: %w", err)
	}
	return c, nil
}

func (s *Service) remember(ctx context.Context, key, outcome []byte, claimedAt, until time.Time) error {
	_, err := s.DB.Exec(ctx, `UPDATE member_exchanges SET outcome = $2, expires_at = $3 WHERE key = $1 AND claimed_at = $4`, key, outcome, until, claimedAt)
	return err
}

func (s *Service) giveUp(ctx context.Context, key []byte, claimedAt time.Time) error {
	_, err := s.DB.Exec(ctx, `DELETE FROM member_exchanges WHERE key = $1 AND claimed_at = $2 AND outcome IS NULL`, key, claimedAt)
	return err
}

// attribute notes whom an exchange signed in, so that signing out everywhere
// takes it along.
func attribute(ctx context.Context, tx *db.Tx, key []byte, customerID uuid.UUID) error {
	if key == nil {
		return nil
	}
	_, err := tx.Exec(ctx, `UPDATE member_exchanges SET customer_id = $2 WHERE key = $1`, key, customerID)
	return err
}

// forget drops the exchanges that signed a member in: they open no session again.
func forget(ctx context.Context, tx *db.Tx, customerID uuid.UUID) error {
	_, err := tx.Exec(ctx, `DELETE FROM member_exchanges WHERE customer_id = $1`, customerID)
	return err
}

const (
	keepEnded  = 30 * 24 * time.Hour // how long ended sessions stay to be looked at
	sweepBatch = 5000                // rows deleted by one statement, so that none holds locks for long
)

// Clean deletes sessions that ended long ago and exchanges that have run out;
// a job runs it regularly.
func (s *Service) Clean(ctx context.Context) error {
	now := s.Clock.Now()
	for _, sweep := range []struct {
		query string
		until time.Time
	}{
		{`DELETE FROM member_sessions WHERE id IN (SELECT id FROM member_sessions WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)`, now.Add(-keepEnded)},
		{`DELETE FROM member_exchanges WHERE key IN (SELECT key FROM member_exchanges WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)`, now},
	} {
		for {
			result, err := s.DB.Exec(ctx, sweep.query, sweep.until, sweepBatch)
			if err != nil {
				return fmt.Errorf("clean up after members: %w", err)
			}
			if n, err := result.RowsAffected(); err != nil || n < sweepBatch {
				if err != nil {
					return err
				}
				break
			}
		}
	}
	return nil
}
