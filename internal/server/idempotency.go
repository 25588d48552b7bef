package server

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/shuke-crm/shuke/internal/contract"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

const (
	headerIdempotencyKey = "Idempotency-Key"
	headerReplayed       = "Idempotency-Replayed"
	answerPurpose        = "idempotency.answer"

	// How long an answer can be had again.
	keepRequired = 7 * 24 * time.Hour
	keepOptional = 24 * time.Hour
)

var (
	// errTwin: the same key was committed by a request that ended between our
	// look-up and our lock; running again finds its answer.
	errTwin = errors.New("server: a twin of this request has just committed")
	// errUnstored rolls back an answer that is no success.
	errUnstored = errors.New("server: answer is not kept")
)

// idempotent makes a POST with a key happen once. The handler runs inside a
// transaction that begins with a try-lock on the key and ends with its answer
// being stored; whatever the handler writes commits together with that answer,
// and only then is it sent. A failure rolls everything back and leaves the key
// free.
func (e *edge) idempotent(c echo.Context, op *contract.Operation, next echo.HandlerFunc) error {
	if op.Idempotency != contract.IdempotencyRequired && op.Idempotency != contract.IdempotencyOptional {
		return next(c)
	}
	key, err := idempotencyKey(c.Request().Header[headerIdempotencyKey])
	if err != nil {
		return err
	}
	if key == "" {
		if op.Idempotency == contract.IdempotencyRequired {
			return apperr.ErrIdempotencyNeeded.At(headerIdempotencyKey + ":")
		}
		return next(c)
	}
	actor, err := auth.From(c.Request().Context())
	if err != nil {
		return next(c) // public: there is nobody the key could belong to
	}
	a := &attempt{
		edge: e, c: c, next: next, principal: actor.Principal(), key: key,
		fingerprint: e.fingerprint(c.Request()), keep: keepOptional,
	}
	if op.Idempotency == contract.IdempotencyRequired {
		a.keep = keepRequired
	}
	for try := 0; ; try++ {
		err := e.db.InTx(c.Request().Context(), a.run)
		switch {
		case errors.Is(err, errTwin) && try < 2:
			continue
		case errors.Is(err, errTwin):
			return apperr.ErrIdempotencyBusy.Wrap(err)
		case err != nil && !errors.Is(err, errUnstored):
			return err
		}
		return a.answer.send(c.Response())
	}
}

// idempotencyKey accepts the key bare, as most clients send it, or as the
// quoted string of the IETF draft. It is empty only if no header was sent: who
// sends an empty one believes to be protected.
func idempotencyKey(headers []string) (string, error) {
	if len(headers) == 0 {
		return "", nil
	}
	key := strings.TrimSpace(headers[0])
	if len(key) >= 2 && key[0] == '"' && key[len(key)-1] == '"' {
		key = key[1 : len(key)-1]
	}
	valid := len(headers) == 1 && len(key) >= 1 && len(key) <= 255
	for i := 0; i < len(key) && valid; i++ {
		valid = key[i] >= 0x21 && key[i] <= 0x7e
	}
	if !valid {
		return "", apperr.ErrIdempotencyKey.At(headerIdempotencyKey + ":")
	}
	return key, nil
}

// fingerprint tells requests under one key apart: address and exact body. It is
// keyed: a body may hold little but a phone, and all phones there are could be
// tried against a plain hash.
func (e *edge) fingerprint(req *http.Request) []byte {
	key := e.keys.Derive("idempotency.fingerprint")
	h := hmac.New(sha256.New, key[:])
	for _, part := range []string{req.Method, req.URL.EscapedPath(), req.URL.RawQuery} {
		_, _ = io.WriteString(h, part)
		_, _ = h.Write([]byte{0})
	}
	_, _ = h.Write(contract.RawBody(req))
	return h.Sum(nil)
}

// attempt is one request under a key; run may be called several times.
type attempt struct {
	edge        *edge
	c           echo.Context
	next        echo.HandlerFunc
	principal   string
	key         string
	fingerprint []byte
	keep        time.Duration
	answer      *answer
}

// run is the transaction: lock and look up, handle, store.
func (a *attempt) run(ctx context.Context, tx *db.Tx) error {
	found, err := a.lookup(ctx, tx)
	if err != nil || found {
		return err
	}
	if err := a.handle(ctx); err != nil {
		return err
	}
	if a.answer.status < 200 || a.answer.status > 299 {
		return errUnstored
	}
	// As a hook of its own, registered after those of the handler's steps, so
	// that the answer is the last thing written before the commit.
	tx.BeforeCommit(func(ctx context.Context) error { return a.store(ctx, tx) })
	return nil
}

// lookup locks the key and reads its answer in one round trip. The statement's
// snapshot may be older than the lock: a twin that commits in between is
// caught by store.
func (a *attempt) lookup(ctx context.Context, tx *db.Tx) (found bool, err error) {
	var locked bool
	var stored, sealed []byte
	var status sql.NullInt64
	err = tx.QueryRow(ctx, `
		SELECT l.locked, k.fingerprint, k.status, k.response
		FROM (SELECT pg_try_advisory_xact_lock($1) AS locked) l
		LEFT JOIN idempotency_keys k ON k.principal = $2 AND k.key = $3 AND k.expires_at > $4`,
		a.lockID(), a.principal, a.key, a.edge.clock.Now(),
	).Scan(&locked, &stored, &status, &sealed)
	switch {
	case err != nil:
		return false, fmt.Errorf("look up the idempotency key: %w", err)
	case stored != nil && subtle.ConstantTimeCompare(stored, a.fingerprint) != 1:
		return false, apperr.ErrIdempotencyReuse.At(headerIdempotencyKey + ":")
	case stored != nil:
		a.answer, err = a.open(int(status.Int64), sealed)
		return true, err
	case !locked:
		return false, apperr.ErrIdempotencyBusy.New()
	}
	return false, nil
}

// lockID is the key's advisory lock: the first half of a hash, so that only
// chance makes two keys share one.
func (a *attempt) lockID() int64 {
	sum := sha256.Sum256([]byte(a.principal + "\x00" + a.key))
	return int64(binary.BigEndian.Uint64(sum[:8]))
}

// handle runs the handler into a buffer. A repetition after a serialization
// failure starts with the body at its beginning and an empty buffer.
func (a *attempt) handle(ctx context.Context) error {
	c, outer, req := a.c, a.c.Response(), a.c.Request()
	defer func() { c.SetResponse(outer); c.SetRequest(req) }()
	if body, ok := req.Body.(*contract.Body); ok {
		if _, err := body.Seek(0, io.SeekStart); err != nil {
			return err
		}
	}
	a.answer = &answer{header: http.Header{}}
	c.SetResponse(echo.NewResponse(a.answer, c.Echo()))
	c.SetRequest(req.WithContext(ctx))
	return a.next(c)
}

// store keeps the answer, sealed: it may hold personal data. An expired row of
// the same key is replaced; a live one belongs to a twin.
func (a *attempt) store(ctx context.Context, tx *db.Tx) error {
	head, err := json.Marshal(a.answer.header)
	if err != nil {
		return err
	}
	plain := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(head)+a.answer.body.Len()), uint32(len(head)))
	plain = append(append(plain, head...), a.answer.body.Bytes()...)
	now := a.edge.clock.Now()
	result, err := tx.Exec(ctx, `
		INSERT INTO idempotency_keys AS k (principal, key, fingerprint, status, response, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (principal, key) DO UPDATE
		SET fingerprint = excluded.fingerprint, status = excluded.status, response = excluded.response,
		    created_at = excluded.created_at, expires_at = excluded.expires_at
		WHERE k.expires_at <= excluded.created_at`,
		a.principal, a.key, a.fingerprint, a.answer.status,
		a.edge.keys.SealBlob(answerPurpose, a.sealedFor(), plain), now, now.Add(a.keep))
	if err != nil {
		return fmt.Errorf("store the answer: %w", err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return errors.Join(errTwin, err)
	}
	return nil
}

// sealedFor binds a stored answer to its owner and key.
func (a *attempt) sealedFor() []byte { return []byte(a.principal + "\x00" + a.key) }

func (a *attempt) open(status int, sealed []byte) (*answer, error) {
	plain, err := a.edge.keys.OpenBlob(answerPurpose, a.sealedFor(), sealed)
	if err != nil {
		return nil, fmt.Errorf("open the stored answer: %w", err)
	}
	if len(plain) < 4 || len(plain) < 4+int(binary.BigEndian.Uint32(plain)) {
		return nil, errors.New("stored answer is cut short")
	}
	n := int(binary.BigEndian.Uint32(plain))
	out := &answer{status: status, header: http.Header{}}
	if err := json.Unmarshal(plain[4:4+n], &out.header); err != nil {
		return nil, fmt.Errorf("stored answer: %w", err)
	}
	out.body.Write(plain[4+n:])
	out.header.Set(headerReplayed, "true")
	return out, nil
}

// answer is a response kept back until its transaction has committed.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(b)
}

// Flush satisfies http.Flusher; nothing may leave before the commit.
func (a *answer) Flush() {}

func (a *answer) send(res *echo.Response) error {
	h := res.Header()
	for name, values := range a.header {
		h[name] = values
	}
	res.WriteHeader(a.status)
	_, err := res.Write(a.body.Bytes())
	return err
}
