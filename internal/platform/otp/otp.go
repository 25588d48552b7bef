// Package otp makes codes of six digits that are sent to people and typed back
// once, and judges what is typed.
//
// PostgreSQL is of record, so that neither a restart nor a lost cache hands out
// further tries. How hard a code is to guess rests on two limits together: a
// challenge takes MaxAttempts guesses, and a subject gets at most perHour
// challenges in any hour. A challenge lives for Life, so within any hour no
// more than two hours' worth of challenges can be guessed at: 2 × 5 × 5 = 50
// guesses out of a million, however many are sent.
package otp

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"math/big"
	"net/netip"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

const (
	// Life is how long a code counts.
	Life = 5 * time.Minute
	// MaxAttempts is how many guesses a challenge takes.
	MaxAttempts = 5
	// ResendAfter is how long a subject waits for another code.
	ResendAfter = time.Minute

	perHour       = 5
	perDay        = 10
	perDeviceHour = 10
	perIPHour     = 60

	keep       = 25 * time.Hour // a little more than the longest window counted
	purgeBatch = 50
)

var (
	ErrWrong = apperr.Define(apperr.Invalid, "codes.wrong", "The code is wrong.", "验证码错误。")
	// ErrSpent is the one answer for codes that cannot be right any more, so
	// that it tells nothing about them.
	ErrSpent   = apperr.Define(apperr.Invalid, "codes.expired", "This code no longer counts: it was used, has expired or was guessed at too often. Ask for a new one.", "该验证码已失效（已使用、已过期或尝试次数过多），请重新获取。")
	ErrTooMany = apperr.Define(apperr.RateLimited, "codes.too_many", "Too many codes were asked for. Try again in {retry_after} seconds.", "获取验证码过于频繁，请在 {retry_after} 秒后重试。")
)

// Service issues and checks codes.
type Service struct {
	db    *db.DB
	clock *clock.Clock
	key   [32]byte
}

// New makes a service. All replicas share its rows.
func New(d *db.DB, c *clock.Clock, keys *crypto.Keyring) *Service {
	return &Service{db: d, clock: c, key: keys.Derive("otp")}
}

// Request says what a code is for. Purpose and subject must be the same when
// it is checked. Limits count by subject over all purposes, by device and by
// address; an empty device or address is not counted.
type Request struct {
	Purpose string // "member.sign_in"
	Subject string // whom it proves: a phone in E.164, or "staff:<id>"
	Device  string
	IP      string
}

// Challenge is a code to be sent. Code is nowhere else.
type Challenge struct {
	ID        uuid.UUID
	Code      string
	ExpiresAt time.Time
	ResendAt  time.Time
}

// sum hashes a value so that the rows do not give it away: phones and codes
// are few enough to try them all on a plain hash.
func (s *Service) sum(kind string, parts ...[]byte) []byte {
	m := hmac.New(sha256.New, s.key[:])
	m.Write([]byte(kind))
	for _, p := range parts {
		m.Write(binary.BigEndian.AppendUint32(nil, uint32(len(p))))
		m.Write(p)
	}
	return m.Sum(nil)
}

func (s *Service) optional(kind, value string) []byte {
	if value == "" {
		return nil
	}
	return s.sum(kind, []byte(value))
}

// network is what one household or attacker gets of IPv6: a /64.
func network(ip string) string {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return ip
	}
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return a.String()
	}
	p, err := a.Prefix(64)
	if err != nil {
		return ip
	}
	return p.String()
}

var million = big.NewInt(1_000_000)

func newCode() (string, error) {
	n, err := rand.Int(rand.Reader, million) // even, without the bias of a remainder
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%06d", n), nil
}

// Issue makes a code, in a transaction of its own: it is to be checked by
// other requests even if the one that asked fails later on. What is refused
// does not count.
// Error: codes.too_many.
func (s *Service) Issue(ctx context.Context, r Request) (Challenge, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Challenge{}, err
	}
	code, err := newCode()
	if err != nil {
		return Challenge{}, err
	}
	now := s.clock.Now()
	c := Challenge{ID: id, Code: code, ExpiresAt: now.Add(Life), ResendAt: now.Add(ResendAfter)}
	row := issue{
		id: id, purpose: r.Purpose, subject: s.sum("subject", []byte(r.Subject)), device: s.optional("device", r.Device),
		ip: s.optional("ip", network(r.IP)), code: s.sum("code", id[:], []byte(code)), now: now,
	}
	wait, err := s.insert(ctx, row)
	if err != nil {
		return Challenge{}, fmt.Errorf("issue a one-time code: %w", err)
	}
	if wait > 0 {
		return Challenge{}, ErrTooMany.New().Arg("retry_after", int(math.Ceil(wait.Seconds())))
	}
	return c, nil
}

type issue struct {
	id                        uuid.UUID
	purpose                   string
	subject, device, ip, code []byte
	now                       time.Time
}

// locks orders the requests that share a limit; sorted, so that two that share
// two of them do not wait for each other.
func (i issue) locks() []int64 {
	var out []int64
	for _, h := range [][]byte{i.subject, i.device, i.ip} {
		if h != nil {
			sum := fnv.New64a()
			_, _ = sum.Write(h)
			out = append(out, int64(sum.Sum64()))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// insert writes the row, or tells how long to wait first.
func (s *Service) insert(ctx context.Context, i issue) (time.Duration, error) {
	tx, err := s.db.SQL.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback() }() // after a commit there is nothing left to undo
	for _, l := range i.locks() {
		if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", l); err != nil {
			return 0, err
		}
	}
	wait, err := waits(ctx, tx, i)
	if err != nil || wait > 0 {
		return wait, err
	}
	_, err = tx.ExecContext(ctx, `
		INSERT INTO one_time_codes (id, purpose, subject_hash, device_hash, ip_hash, code_hash, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, i.id, i.purpose, i.subject, i.device, i.ip, i.code, i.now, i.now.Add(Life))
	if err != nil {
		return 0, err
	}
	// Each new row takes old ones with it, so that no job is needed for what is
	// nothing while nobody asks for codes.
	_, err = tx.ExecContext(ctx, `
		DELETE FROM one_time_codes WHERE id IN (
		    SELECT id FROM one_time_codes WHERE created_at < $1 ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED)`,
		i.now.Add(-keep), purgeBatch)
	if err != nil {
		return 0, err
	}
	return 0, tx.Commit()
}

// waits is the longest wait that the limits ask for. A limit of n in a window
// is reached when the nth newest row is younger than the window.
func waits(ctx context.Context, tx *sql.Tx, i issue) (time.Duration, error) {
	var longest time.Duration
	for _, l := range []struct {
		column string
		hash   []byte
		n      int
		window time.Duration
	}{
		{"subject_hash", i.subject, 1, ResendAfter},
		{"subject_hash", i.subject, perHour, time.Hour},
		{"subject_hash", i.subject, perDay, 24 * time.Hour},
		{"device_hash", i.device, perDeviceHour, time.Hour},
		{"ip_hash", i.ip, perIPHour, time.Hour},
	} {
		if l.hash == nil {
			continue
		}
		var at time.Time
		err := tx.QueryRowContext(ctx, "SELECT created_at FROM one_time_codes WHERE "+l.column+" = $1 AND created_at > $2 ORDER BY created_at DESC OFFSET $3 LIMIT 1",
			l.hash, i.now.Add(-l.window), l.n-1).Scan(&at)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return 0, err
		}
		longest = max(longest, at.Add(l.window).Sub(i.now))
	}
	return longest, nil
}

// Check judges a code, and spends it if it is right. It is one statement
// outside any transaction of the caller: a guess counts whatever becomes of the
// request, and of parallel right answers the row lock lets one through.
// Errors: codes.wrong, codes.expired.
func (s *Service) Check(ctx context.Context, id uuid.UUID, purpose, subject, code string) error {
	var spent bool
	err := s.db.QueryRow(ctx, `
		UPDATE one_time_codes
		SET attempts = attempts + 1, spent_at = CASE WHEN code_hash = $4 THEN $5::timestamptz END
		WHERE id = $1 AND purpose = $2 AND subject_hash = $3 AND spent_at IS NULL AND attempts < $6 AND expires_at > $5
		RETURNING spent_at IS NOT NULL`,
		id, purpose, s.sum("subject", []byte(subject)), s.sum("code", id[:], []byte(code)), s.clock.Now(), MaxAttempts).Scan(&spent)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return ErrSpent.New()
	case err != nil:
		return fmt.Errorf("check a one-time code: %w", err)
	case !spent:
		return ErrWrong.New()
	}
	return nil
}
