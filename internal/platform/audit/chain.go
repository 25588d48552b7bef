package audit

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"hash"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// The chain: hash(n) = SHA-256(hash(n-1), n, sealed_at(n), every column of the
// entry), each part preceded by its length so that no two contents read alike.
// Hash 0 is 32 zero bytes.

// logRow is an entry as it is read back.
type logRow struct {
	id                                                 uuid.UUID
	createdAt                                          time.Time
	actorKind, actorName, action, objectType, objectID string
	actorID, storeID                                   uuid.NullUUID
	requestID, reason                                  string
	changes                                            sql.NullString // jsonb's own canonical text
}

const logColumns = `a.id, a.created_at, a.actor_kind, a.actor_id, a.actor_name, a.action, a.object_type, a.object_id, a.store_id, a.request_id, a.reason, a.changes::text`

func (r *logRow) targets() []any {
	return []any{&r.id, &r.createdAt, &r.actorKind, &r.actorID, &r.actorName, &r.action, &r.objectType, &r.objectID, &r.storeID, &r.requestID, &r.reason, &r.changes}
}

func zeroHash() []byte { return make([]byte, sha256.Size) }

// link is the hash of an entry at a place in the chain.
func link(prev []byte, seq int64, sealedAt time.Time, r *logRow) []byte {
	h := sha256.New()
	putBytes(h, prev)
	putInt(h, seq)
	putInt(h, sealedAt.UnixMicro())
	putBytes(h, r.id[:])
	putInt(h, r.createdAt.UnixMicro())
	for _, id := range []uuid.NullUUID{r.actorID, r.storeID} {
		if id.Valid {
			putBytes(h, id.UUID[:])
		} else {
			putBytes(h, nil)
		}
	}
	for _, s := range []string{r.actorKind, r.actorName, r.action, r.objectType, r.objectID, r.requestID, r.reason, r.changes.String} {
		putBytes(h, []byte(s))
	}
	return h.Sum(nil)
}

func putInt(h hash.Hash, v int64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(v))
	h.Write(b[:])
}

func putBytes(h hash.Hash, b []byte) {
	putInt(h, int64(len(b)))
	h.Write(b)
}

const (
	sealBatch = 1000
	sealEvery = 3 * time.Second
	// Entries get their time-ordered id just before commit, so a new one is
	// seconds younger or older than the last sealed one, not hours. The short look
	// back finds almost all; the long one, those of transactions that hung.
	shortLookBack = 30 * time.Second
	longLookBack  = time.Hour
	longEvery     = 5 * time.Minute

	sealLock = 0x7368756b0001 // one sealer at a time, over all processes
)

// Sealer links committed entries into the chain. Any number of processes may
// run one; they take turns.
type Sealer struct {
	db   *db.DB
	log  *slog.Logger
	wake chan struct{}
	long time.Time // last long look back
}

// NewSealer makes a sealer.
func NewSealer(d *db.DB, log *slog.Logger) *Sealer {
	if log == nil {
		log = slog.Default()
	}
	return &Sealer{db: d, log: log, wake: make(chan struct{}, 1)}
}

// Wake has the sealer look at once.
func (s *Sealer) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run seals every few seconds until ctx ends.
func (s *Sealer) Run(ctx context.Context) error {
	tick := time.NewTicker(sealEvery)
	defer tick.Stop()
	for {
		if _, err := s.Seal(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("audit entries were not sealed", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-s.wake:
		}
	}
}

// Seal links what is committed and not sealed yet and reports how many entries
// that were. It returns 0 at once while another process seals.
func (s *Sealer) Seal(ctx context.Context) (int, error) {
	back := shortLookBack
	long := time.Since(s.long) > longEvery
	if long {
		back = longLookBack
	}
	total := 0
	for {
		n, err := s.batch(ctx, back)
		total += n
		if err != nil {
			return total, err
		}
		if n < sealBatch {
			if long {
				s.long = time.Now()
			}
			return total, nil
		}
	}
}

func (s *Sealer) batch(ctx context.Context, back time.Duration) (n int, err error) {
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		n = 0
		var mine bool
		if err := tx.QueryRow(ctx, "SELECT pg_try_advisory_xact_lock($1)", int64(sealLock)).Scan(&mine); err != nil || !mine {
			return err
		}
		seq, prev, newest, err := head(ctx, tx)
		if err != nil {
			return err
		}
		todo, err := unsealed(ctx, tx, newest.Add(-back), sealBatch)
		if err != nil || len(todo) == 0 {
			return err
		}
		now := time.Now().UTC().Truncate(time.Microsecond)
		ids, seqs := make(pgarray.UUIDs, len(todo)), make([]int64, len(todo))
		prevs, hashes := make([][]byte, len(todo)), make([][]byte, len(todo))
		for i := range todo {
			seq++
			ids[i], seqs[i], prevs[i] = todo[i].id, seq, prev
			hashes[i] = link(prev, seq, now, &todo[i])
			prev = hashes[i]
		}
		_, err = tx.Exec(ctx, `INSERT INTO audit_seals (seq, audit_id, prev_hash, hash, sealed_at)
			SELECT seq, audit_id, prev_hash, hash, $5 FROM unnest($1::bigint[], $2::uuid[], $3::bytea[], $4::bytea[]) AS t (seq, audit_id, prev_hash, hash)`,
			pq.Array(seqs), ids, pq.ByteaArray(prevs), pq.ByteaArray(hashes), now)
		n = len(todo)
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// head is the last link: its place, its hash, and when its entry was made.
func head(ctx context.Context, tx *db.Tx) (seq int64, hash []byte, made time.Time, err error) {
	var id uuid.UUID
	err = tx.QueryRow(ctx, "SELECT seq, hash, audit_id FROM audit_seals ORDER BY seq DESC LIMIT 1").Scan(&seq, &hash, &id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, zeroHash(), time.Unix(0, 0), nil
	}
	return seq, hash, idTime(id), err
}

// unsealed reads entries without a seal whose id was made since a time. Ids
// begin with their time in milliseconds, so the primary key serves the range.
func unsealed(ctx context.Context, tx *db.Tx, since time.Time, limit int) ([]logRow, error) {
	rows, err := tx.Query(ctx, `SELECT `+logColumns+` FROM audit_logs a
		WHERE a.id >= $1 AND NOT EXISTS (SELECT FROM audit_seals s WHERE s.audit_id = a.id)
		ORDER BY a.id LIMIT $2`, firstID(since), limit)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []logRow
	for rows.Next() {
		var r logRow
		if err := rows.Scan(r.targets()...); err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// idTime is the millisecond in a version 7 id.
func idTime(id uuid.UUID) time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(id[:8]) >> 16))
}

// firstID is the lowest version 7 id of a millisecond.
func firstID(t time.Time) uuid.UUID {
	var id uuid.UUID
	ms := uint64(max(t.UnixMilli(), 0))
	binary.BigEndian.PutUint64(id[:8], ms<<16)
	return id
}
