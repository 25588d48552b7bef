package identity

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	entsql "entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/platform/rolegrant"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
	"github.com/shuke-crm/shuke/internal/platform/principals"
	"github.com/shuke-crm/shuke/internal/platform/scope"
)

// The statements here are all of this domain's own SQL. They run where there
// is no actor yet (signing in, resolving rights), or on locks and counts.

// loadStaff resolves rights and live sessions of a member of staff. It reads
// past any open transaction: what counts is committed. Two index look-ups on
// staff and sessions, one on grants.
func (s *Service) loadStaff(ctx context.Context, id uuid.UUID) (*principals.Principal, error) {
	p := &principals.Principal{Actor: auth.Actor{Kind: auth.KindStaff, ID: id}, Sessions: map[uuid.UUID]principals.Session{}}
	now := s.Clock.Now()
	rows, err := s.DB.Query(ctx, `
		SELECT st.username, st.status = 'active', st.must_change_password,
		       ARRAY(SELECT method FROM staff_factors WHERE staff_id = st.id AND confirmed_at IS NOT NULL ORDER BY confirmed_at),
		       se.id, se.expires_at, se.factor_at, se.factor_level = 'second'
		FROM staff st LEFT JOIN sessions se ON se.staff_id = st.id AND se.revoked_at IS NULL AND se.expires_at > $2
		WHERE st.id = $1`, id, now)
	if err != nil {
		return nil, fmt.Errorf("load staff: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var session uuid.NullUUID
		var expires, proved sql.NullTime
		var second sql.NullBool
		var factors pgarray.Strings
		if err := rows.Scan(&p.Actor.Name, &p.Alive, &p.Actor.MustChangePassword, &factors, &session, &expires, &proved, &second); err != nil {
			return nil, fmt.Errorf("load staff: %w", err)
		}
		p.Actor.Factors = factors
		if session.Valid {
			p.Sessions[session.UUID] = principals.Session{Expires: expires.Time, Proof: auth.Proof{At: proved.Time, Second: second.Bool}}
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("load staff: %w", err)
	}
	if !p.Alive {
		return p, nil
	}
	grants, err := s.loadGrants(ctx, id)
	if err != nil {
		return nil, err
	}
	p.Actor.Permissions, p.Actor.Scope, p.Actor.Reach, p.Until = resolve(id, grants, now)
	for _, g := range grants {
		if (g.expires == nil || now.Before(*g.expires)) && !slices.Contains(p.Actor.Roles, g.role) {
			p.Actor.Roles = append(p.Actor.Roles, g.role)
		}
	}
	loans, err := s.loadLoans(ctx, id, now)
	if err != nil {
		return nil, err
	}
	p.Actor.Reach, p.Until = lend(p.Actor.Permissions, p.Actor.Scope, p.Actor.Reach, p.Until, loans, now)
	return p, nil
}

// loadLoans finds for whom somebody stands in, now or later, with what those
// hold over their own customers. Whom those stand in for is not looked at:
// nothing is passed on further.
func (s *Service) loadLoans(ctx context.Context, staffID uuid.UUID, now time.Time) ([]loan, error) {
	rows, err := s.DB.Query(ctx, `
		SELECT d.staff_id, d.starts_at, d.ends_at, r.permissions, g.expires_at
		FROM delegations d JOIN role_grants g ON g.staff_id = d.staff_id AND g.scope = 'own' JOIN roles r ON r.id = g.role_id
		WHERE d.to_staff_id = $1 AND d.ends_at > $2`, staffID, now)
	if err != nil {
		return nil, fmt.Errorf("load delegations: %w", err)
	}
	defer rows.Close()
	var out []loan
	for rows.Next() {
		var l loan
		var permissions pgarray.Strings
		if err := rows.Scan(&l.from, &l.starts, &l.ends, &permissions, &l.expires); err != nil {
			return nil, fmt.Errorf("load delegations: %w", err)
		}
		l.permissions = permissions
		out = append(out, l)
	}
	return out, rows.Err()
}

// deputies are those who stand in for somebody, now or later.
func deputies(ctx context.Context, tx *db.Tx, staffID uuid.UUID, now time.Time) ([]uuid.UUID, error) {
	rows, err := tx.Query(ctx, `SELECT DISTINCT to_staff_id FROM delegations WHERE staff_id = $1 AND ends_at > $2`, staffID, now)
	if err != nil {
		return nil, fmt.Errorf("deputies: %w", err)
	}
	return ids(rows)
}

func (s *Service) loadGrants(ctx context.Context, staffID uuid.UUID) ([]grantedRole, error) {
	rows, err := s.DB.Query(ctx, `
		SELECT r.code, g.scope, g.store_id, g.expires_at, r.permissions,
		       CASE g.scope WHEN 'region' THEN ARRAY(SELECT id FROM stores WHERE region_id = g.region_id)
		                    WHEN 'merchant' THEN ARRAY(SELECT id FROM stores WHERE merchant_id = g.merchant_id) ELSE '{}' END
		FROM role_grants g JOIN roles r ON r.id = g.role_id
		WHERE g.staff_id = $1`, staffID)
	if err != nil {
		return nil, fmt.Errorf("load grants: %w", err)
	}
	defer rows.Close()
	var out []grantedRole
	for rows.Next() {
		var g grantedRole
		var reaches string
		var permissions pgarray.Strings
		var stores pgarray.UUIDs
		if err := rows.Scan(&g.role, &reaches, &g.store, &g.expires, &permissions, &stores); err != nil {
			return nil, fmt.Errorf("load grants: %w", err)
		}
		g.scope, g.permissions, g.groupStores = rolegrant.Scope(reaches), permissions, stores
		out = append(out, g)
	}
	return out, rows.Err()
}

// loadKey resolves an API key by its public id; an unknown one is not alive.
func (s *Service) loadKey(ctx context.Context, keyID string) (*principals.Principal, error) {
	p := &principals.Principal{Actor: auth.Actor{Kind: auth.KindAPIKey}, Key: &principals.Key{}}
	var permissions, from pgarray.Strings
	var stores pgarray.UUIDs
	var ends, previousEnds sql.NullTime
	var perMinute sql.NullInt64
	err := s.DB.QueryRow(ctx, `
		SELECT id, name, secret_hash, permissions, all_stores, store_ids, expires_at, revoked_at IS NULL,
		       previous_secret_hash, previous_ends_at, rotations, coalesce(allowed_ips, '{}'), requests_per_minute
		FROM api_keys WHERE key_id = $1`, keyID,
	).Scan(&p.Actor.ID, &p.Actor.Name, &p.Key.Hash, &permissions, &p.Actor.Scope.All, &stores, &ends, &p.Alive,
		&p.Key.Previous, &previousEnds, &p.Key.Rotation, &from, &perMinute)
	if errors.Is(err, sql.ErrNoRows) {
		return p, nil
	}
	if err != nil {
		return nil, fmt.Errorf("load API key: %w", err)
	}
	p.Actor.Permissions = auth.PermissionSet{}
	for _, name := range permissions {
		p.Actor.Permissions[auth.Permission(name)] = struct{}{}
	}
	if p.Key.From, err = addresses(from); err != nil {
		return nil, fmt.Errorf("load API key: %w", err)
	}
	p.Actor.Scope.StoreIDs, p.Actor.RequestsPerMinute = stores, int(perMinute.Int64)
	p.Ends, p.Key.PreviousEnds = ends.Time, previousEnds.Time
	return p, nil
}

func (s *Service) keyIDOf(ctx context.Context, id uuid.UUID) (keyID string, err error) {
	err = s.DB.From(ctx).QueryRow(ctx, `SELECT key_id FROM api_keys WHERE id = $1`, id).Scan(&keyID)
	return keyID, err
}

// writeUse notes when and from where a secret of a key was last used, unless
// another process just did. The secret may have become the previous one since.
func (s *Service) writeUse(ctx context.Context, id uuid.UUID, hash []byte, from string, now time.Time) error {
	for _, columns := range [][3]string{{"secret_hash", "last_used_at", "last_used_ip"}, {"previous_secret_hash", "previous_used_at", "previous_used_ip"}} {
		_, err := s.DB.Exec(ctx, `UPDATE api_keys SET `+columns[1]+` = $2, `+columns[2]+` = NULLIF($3, '')
			WHERE id = $1 AND `+columns[0]+` = $4 AND (`+columns[1]+` IS NULL OR `+columns[1]+` < $5)`,
			id, now, from, hash, now.Add(-useEvery))
		if err != nil {
			return err
		}
	}
	return nil
}

// knowsAddress reports whether an account has signed in from an address.
func (s *Service) knowsAddress(ctx context.Context, staffID uuid.UUID, ip string) (known bool, err error) {
	err = s.DB.From(ctx).QueryRow(ctx, `SELECT EXISTS (SELECT FROM sessions WHERE staff_id = $1 AND ip = $2)`, staffID, ip).Scan(&known)
	return known, err
}

// writeTry counts a guess at a second factor, or tells how long to wait first.
func (s *Service) writeTry(ctx context.Context, staffID uuid.UUID, known bool) (try uuid.UUID, wait time.Duration, err error) {
	limit := triesUnknown
	if known {
		limit = triesKnown
	}
	// Looked at first without a lock: a storm of guesses holds nobody up.
	if wait, err = triesWait(ctx, s.DB.Clients, staffID, known, limit, s.Clock.Now()); err != nil || wait > 0 {
		return uuid.Nil, wait, err
	}
	if try, err = uuid.NewV7(); err != nil {
		return uuid.Nil, 0, err
	}
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		now := s.Clock.Now()
		wait = 0
		if _, err := tx.Exec(ctx, `SELECT FROM staff WHERE id = $1 FOR NO KEY UPDATE`, staffID); err != nil { // one after the other
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM factor_tries WHERE staff_id = $1 AND tried_at <= $2`, staffID, now.Add(-triesWindow)); err != nil {
			return err
		}
		if wait, err = triesWait(ctx, tx.Clients, staffID, known, limit, now); err != nil || wait > 0 {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO factor_tries (id, staff_id, known, tried_at) VALUES ($1, $2, $3, $4)`, try, staffID, known, now)
		return err
	})
	return try, wait, err
}

// triesWait is how long to wait until fewer than limit guesses are younger than
// the window.
func triesWait(ctx context.Context, c *db.Clients, staffID uuid.UUID, known bool, limit int, now time.Time) (time.Duration, error) {
	var at time.Time
	err := c.QueryRow(ctx, `
		SELECT tried_at FROM factor_tries WHERE staff_id = $1 AND known = $2 AND tried_at > $3 ORDER BY tried_at DESC OFFSET $4 LIMIT 1`,
		staffID, known, now.Add(-triesWindow), limit-1).Scan(&at)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return at.Add(triesWindow).Sub(now), err
}

// takeBack forgets a guess that was right.
func (s *Service) takeBack(ctx context.Context, try uuid.UUID) error {
	_, err := s.DB.Exec(ctx, `DELETE FROM factor_tries WHERE id = $1`, try)
	return err
}

// spendRecoveryCode takes a code out of the account's, if it is there. The row
// lock lets one of two requests have it.
func (s *Service) spendRecoveryCode(ctx context.Context, staffID uuid.UUID, hash string) (used bool, err error) {
	result, err := s.DB.Exec(ctx, `
		UPDATE staff SET recovery_codes = array_remove(recovery_codes, $2) WHERE id = $1 AND $2 = ANY (recovery_codes)`, staffID, hash)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// knowsDevice reports whether an account has signed in on a device. Sessions
// stay for a month after their end, so a device is known for two.
func (s *Service) knowsDevice(ctx context.Context, staffID, device uuid.UUID) (known bool, err error) {
	err = s.DB.From(ctx).QueryRow(ctx, `SELECT EXISTS (SELECT FROM sessions WHERE staff_id = $1 AND device_id = $2)`, staffID, device).Scan(&known)
	return known, err
}

// maxTraces bounds what a sign-in is compared with.
const maxTraces = 200

// tracesOf are where and with what an account signed in before, newest first.
func tracesOf(ctx context.Context, tx *db.Tx, staffID uuid.UUID) ([]trace, error) {
	rows, err := tx.Query(ctx, `
		SELECT device_id, coalesce(user_agent, ''), coalesce(ip, '') FROM sessions WHERE staff_id = $1 ORDER BY id DESC LIMIT $2`, staffID, maxTraces)
	if err != nil {
		return nil, fmt.Errorf("earlier sign-ins: %w", err)
	}
	defer rows.Close()
	var out []trace
	for rows.Next() {
		var t trace
		var device uuid.NullUUID
		if err := rows.Scan(&device, &t.userAgent, &t.ip); err != nil {
			return nil, err
		}
		t.device = device.UUID
		out = append(out, t)
	}
	return out, rows.Err()
}

// writeReset keeps a link to a new password, unless the person had enough of
// them lately, and forgets old ones.
func (s *Service) writeReset(ctx context.Context, tx *db.Tx, id, staffID uuid.UUID, hash []byte) (made bool, err error) {
	now := s.Clock.Now()
	if _, err := tx.Exec(ctx, `SELECT FROM staff WHERE id = $1 FOR NO KEY UPDATE`, staffID); err != nil { // one after the other
		return false, err
	}
	if _, err := tx.Exec(ctx, `DELETE FROM password_resets WHERE staff_id = $1 AND created_at < $2`, staffID, now.Add(-resetKeep)); err != nil {
		return false, err
	}
	result, err := tx.Exec(ctx, `
		INSERT INTO password_resets (id, staff_id, token_hash, created_at, expires_at)
		SELECT $1, $2, $3, $4, $5 WHERE (SELECT count(*) FROM password_resets WHERE staff_id = $2 AND created_at > $6) < $7`,
		id, staffID, hash, now, now.Add(resetLife), now.Add(-time.Hour), resetsHour)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// findReset gives whose a link is that may still be used, or sql.ErrNoRows.
func (s *Service) findReset(ctx context.Context, hash []byte) (staffID uuid.UUID, err error) {
	err = s.DB.From(ctx).QueryRow(ctx, `SELECT staff_id FROM password_resets WHERE token_hash = $1 AND used_at IS NULL AND expires_at > $2`,
		hash, s.Clock.Now()).Scan(&staffID)
	return staffID, err
}

func (s *Service) spendReset(ctx context.Context, tx *db.Tx, hash []byte) (spent bool, err error) {
	result, err := tx.Exec(ctx, `UPDATE password_resets SET used_at = $2 WHERE token_hash = $1 AND used_at IS NULL AND expires_at > $2`, hash, s.Clock.Now())
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// voidResets makes links worthless that are still open.
func (s *Service) voidResets(ctx context.Context, tx *db.Tx, staffID uuid.UUID) error {
	_, err := tx.Exec(ctx, `UPDATE password_resets SET used_at = $2 WHERE staff_id = $1 AND used_at IS NULL`, staffID, s.Clock.Now())
	return err
}

// endSessions revokes live sessions of a member of staff and names them. A nil
// only means all; except is left alone.
func endSessions(ctx context.Context, tx *db.Tx, staffID uuid.UUID, only *uuid.UUID, except uuid.UUID, reason string, now time.Time) ([]uuid.UUID, error) {
	rows, err := tx.Query(ctx, `
		UPDATE sessions SET revoked_at = $2, revoked_reason = $3, successor_sealed = NULL
		WHERE staff_id = $1 AND revoked_at IS NULL AND ($4::uuid IS NULL OR id = $4) AND id <> $5
		RETURNING id`, staffID, now, reason, only, except)
	if err != nil {
		return nil, fmt.Errorf("end sessions: %w", err)
	}
	return ids(rows)
}

// surplusSessions ends the oldest live sessions beyond a number: a list of
// sessions belongs to each cached principal and must stay small.
func surplusSessions(ctx context.Context, tx *db.Tx, staffID uuid.UUID, keep int, now time.Time) ([]uuid.UUID, error) {
	rows, err := tx.Query(ctx, `
		UPDATE sessions SET revoked_at = $2, revoked_reason = 'too_many', successor_sealed = NULL
		WHERE id IN (SELECT id FROM sessions WHERE staff_id = $1 AND revoked_at IS NULL AND expires_at > $2
		             ORDER BY id DESC OFFSET $3)
		RETURNING id`, staffID, now, keep)
	if err != nil {
		return nil, fmt.Errorf("end surplus sessions: %w", err)
	}
	return ids(rows)
}

// holders are the staff whom a role is granted to, and those who stand in for
// one of them.
func holders(ctx context.Context, tx *db.Tx, roleID uuid.UUID) ([]uuid.UUID, error) {
	rows, err := tx.Query(ctx, `
		SELECT staff_id FROM role_grants WHERE role_id = $1
		UNION SELECT d.to_staff_id FROM delegations d JOIN role_grants g ON g.staff_id = d.staff_id WHERE g.role_id = $1`, roleID)
	if err != nil {
		return nil, fmt.Errorf("holders of a role: %w", err)
	}
	return ids(rows)
}

// lockRegions makes grants over these regions wait until this transaction
// ends, and names the staff who have one.
func lockRegions(ctx context.Context, tx *db.Tx, regions []uuid.UUID) ([]uuid.UUID, error) {
	if _, err := tx.Exec(ctx, `SELECT id FROM regions WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE`, pgarray.UUIDs(regions)); err != nil {
		return nil, fmt.Errorf("lock regions: %w", err)
	}
	rows, err := tx.Query(ctx, `SELECT DISTINCT staff_id FROM role_grants WHERE region_id = ANY($1::uuid[])`, pgarray.UUIDs(regions))
	if err != nil {
		return nil, fmt.Errorf("holders of regions: %w", err)
	}
	return ids(rows)
}

// lockMerchants does the same for merchants.
func lockMerchants(ctx context.Context, tx *db.Tx, merchants []uuid.UUID) ([]uuid.UUID, error) {
	if _, err := tx.Exec(ctx, `SELECT id FROM merchants WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE`, pgarray.UUIDs(merchants)); err != nil {
		return nil, fmt.Errorf("lock merchants: %w", err)
	}
	rows, err := tx.Query(ctx, `SELECT DISTINCT staff_id FROM role_grants WHERE merchant_id = ANY($1::uuid[])`, pgarray.UUIDs(merchants))
	if err != nil {
		return nil, fmt.Errorf("holders of merchants: %w", err)
	}
	return ids(rows)
}

// administratorsLock serializes everything that could take the last
// administrator away, and the creation of the first one.
const administratorsLock = 0x7368756b65_61646d // "shuke" "adm"

func lockAdministrators(ctx context.Context, tx *db.Tx) error {
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(administratorsLock)); err != nil {
		return fmt.Errorf("lock administrators: %w", err)
	}
	return nil
}

// administratorRemains fails unless an active member of staff holds the
// administrator role over the whole business for good.
// Error: staff.last_administrator.
func administratorRemains(ctx context.Context, tx *db.Tx) error {
	var remains bool
	err := tx.QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM role_grants g JOIN roles r ON r.id = g.role_id JOIN staff st ON st.id = g.staff_id
		               WHERE r.code = $1 AND r.built_in AND g.scope = 'all' AND g.expires_at IS NULL AND st.status = 'active')`,
		administratorCode).Scan(&remains)
	if err != nil {
		return fmt.Errorf("count administrators: %w", err)
	}
	if !remains {
		return ErrLastAdmin.New()
	}
	return nil
}

// putRole makes a built-in role what this release says and reports whether it
// changed.
func putRole(ctx context.Context, tx *db.Tx, code, name string, permissions []string, now time.Time) (id uuid.UUID, isChanged bool, err error) {
	fresh, err := uuid.NewV7()
	if err != nil {
		return uuid.Nil, false, err
	}
	err = tx.QueryRow(ctx, `
		INSERT INTO roles (id, code, name, built_in, permissions, version, created_at, updated_at)
		VALUES ($1, $2, $3, TRUE, $4, 1, $5, $5)
		ON CONFLICT (code) DO UPDATE
		SET name = excluded.name, built_in = TRUE, permissions = excluded.permissions, version = roles.version + 1, updated_at = excluded.updated_at
		WHERE (roles.name, roles.built_in, roles.permissions) IS DISTINCT FROM (excluded.name, TRUE, excluded.permissions)
		RETURNING id`, fresh, code, name, pgarray.Strings(permissions), now).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return uuid.Nil, false, nil
	}
	if err != nil {
		return uuid.Nil, false, fmt.Errorf("built-in role %s: %w", code, err)
	}
	return id, true, nil
}

// holderCounts tells how many people hold each role.
func holderCounts(ctx context.Context, c *db.Clients, roles []uuid.UUID) (map[uuid.UUID]int64, error) {
	rows, err := c.Query(ctx, `
		SELECT role_id, count(DISTINCT staff_id) FROM role_grants WHERE role_id = ANY($1::uuid[]) GROUP BY role_id`, pgarray.UUIDs(roles))
	if err != nil {
		return nil, fmt.Errorf("count holders: %w", err)
	}
	defer rows.Close()
	out := map[uuid.UUID]int64{}
	for rows.Next() {
		var id uuid.UUID
		var n int64
		if err := rows.Scan(&id, &n); err != nil {
			return nil, err
		}
		out[id] = n
	}
	return out, rows.Err()
}

// sweep deletes sessions that ended long ago and forgets sealed successors
// nobody may ask for any more.
func (s *Service) sweep(ctx context.Context, now time.Time) error {
	if _, err := s.DB.Exec(ctx, `DELETE FROM sessions WHERE expires_at < $1`, now.Add(-keepEnded)); err != nil {
		return fmt.Errorf("delete ended sessions: %w", err)
	}
	if _, err := s.DB.Exec(ctx, `UPDATE sessions SET successor_sealed = NULL WHERE successor_sealed IS NOT NULL AND refreshed_at < $1`,
		now.Add(-time.Minute)); err != nil {
		return fmt.Errorf("forget successors: %w", err)
	}
	return nil
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

// prefixFold matches values that begin with a text, whatever their case.
func prefixFold(column, text string) func(*entsql.Selector) {
	return func(sel *entsql.Selector) {
		sel.Where(entsql.P(func(b *entsql.Builder) {
			b.WriteString("lower(").WriteString(sel.C(column)).WriteString(") LIKE lower(").Arg(likePrefix(text)).WriteString(")")
		}))
	}
}

// likePrefix is a LIKE pattern for texts that begin with text.
func likePrefix(text string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text) + "%"
}

// firstID is the least id that a row made at an instant can have.
func firstID(at time.Time) (id uuid.UUID) {
	ms := at.UnixMilli()
	for i := range 6 {
		id[i] = byte(ms >> (40 - 8*i))
	}
	return id
}

// suspects counts acts by principal and kind, in the order of the index over
// actions, and leaves those who crossed a threshold and were not reported yet.
func (s *Service) suspects(ctx context.Context, tx *db.Tx, now time.Time) ([]Alert, error) {
	rows, err := tx.Query(ctx, `
		WITH acts AS (
		    SELECT actor_kind, actor_id, actor_name,
		           CASE WHEN action = 'customers.reveal' THEN 'reveals' WHEN changes -> 'found' = 'false' THEN 'misses' ELSE 'lookups' END AS kind
		    FROM audit_logs WHERE action IN ('customers.reveal', 'customers.lookup') AND id >= $1 AND actor_id IS NOT NULL),
		counted AS (SELECT kind, actor_kind, actor_id, max(actor_name) AS actor_name, count(*) AS n FROM acts GROUP BY kind, actor_kind, actor_id)
		SELECT c.kind, c.actor_kind, c.actor_id, c.actor_name, c.n, st.store_id
		FROM counted c LEFT JOIN staff st ON st.id = c.actor_id AND c.actor_kind = 'staff'
		WHERE c.n >= CASE c.kind WHEN 'reveals' THEN $2::bigint WHEN 'misses' THEN $3::bigint ELSE $4::bigint END
		  AND NOT EXISTS (SELECT FROM audit_logs a WHERE a.action = 'security.alert' AND a.id >= $5 AND a.object_id = c.actor_id::text AND a.changes ->> 'kind' = c.kind)
		ORDER BY c.kind, c.actor_id`,
		firstID(now.Add(-alertWindow)), s.threshold("reveals"), s.threshold("misses"), s.threshold("lookups"), firstID(now.Add(-alertPause)))
	if err != nil {
		return nil, fmt.Errorf("suspects: %w", err)
	}
	defer rows.Close()
	var out []Alert
	for rows.Next() {
		var a Alert
		if err := rows.Scan(&a.Kind, &a.PrincipalKind, &a.PrincipalID, &a.PrincipalName, &a.Count, &a.StoreID); err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, rows.Err()
}

// alerts reads a page of reports, newest first, of the stores in scope.
func (s *Service) alerts(ctx context.Context, before uuid.UUID, limit int) ([]Alert, error) {
	within, args, err := scope.SQL(ctx, scope.Columns{Store: "store_id"}, "", 3)
	if err != nil {
		return nil, err
	}
	rows, err := s.DB.From(ctx).Query(ctx, `
		SELECT id, changes ->> 'kind', object_type, object_id::uuid, coalesce(changes ->> 'name', ''), (changes ->> 'count')::bigint, created_at
		FROM audit_logs WHERE action = 'security.alert' AND ($1 = '00000000-0000-0000-0000-000000000000'::uuid OR id < $1) AND `+within+`
		ORDER BY id DESC LIMIT $2`, append([]any{before, limit}, args...)...)
	if err != nil {
		return nil, fmt.Errorf("security alerts: %w", err)
	}
	defer rows.Close()
	var out []Alert
	for rows.Next() {
		var a Alert
		if err := rows.Scan(&a.ID, &a.Kind, &a.PrincipalKind, &a.PrincipalID, &a.PrincipalName, &a.Count, &a.CreatedAt); err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, rows.Err()
}

func (s *Service) countAlerts(ctx context.Context) (int, error) {
	within, args, err := scope.SQL(ctx, scope.Columns{Store: "store_id"}, "", 1)
	if err != nil {
		return 0, err
	}
	var n int
	err = s.DB.From(ctx).QueryRow(ctx, "SELECT count(*) FROM audit_logs WHERE action = 'security.alert' AND "+within, args...).Scan(&n)
	return n, err
}
