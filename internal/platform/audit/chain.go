package audit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
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
		seq, prev, since, err := head(ctx, tx)
		if err != nil {
			return err
		}
		if seq > 0 {
			since = since.Add(-back)
		}
		todo, err := unsealed(ctx, tx, since, sealBatch)
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

// head is the last link: its place, hash, and when it was sealed.
func head(ctx context.Context, tx *db.Tx) (seq int64, hash []byte, at time.Time, err error) {
	err = tx.QueryRow(ctx, "SELECT seq, hash, sealed_at FROM audit_seals ORDER BY seq DESC LIMIT 1").Scan(&seq, &hash, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, zeroHash(), time.Unix(0, 0), nil
	}
	return seq, hash, at, err
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

// firstID is the lowest version 7 id of a millisecond.
func firstID(t time.Time) uuid.UUID {
	var id uuid.UUID
	ms := uint64(max(t.UnixMilli(), 0))
	binary.BigEndian.PutUint64(id[:8], ms<<16)
	return id
}

// Result is what Verify found.
type Result struct {
	Sealed   int64  // links checked
	HeadSeq  int64  // last link: keep it with HeadHash elsewhere to prove later
	HeadHash []byte // that the end of the log was not cut off
	Waiting  int64  // entries too young to be sealed
	Bad      *Bad   // nil when all is well
}

// Bad names the first entry that is not as it was sealed.
type Bad struct {
	Seq     int64     // its place in the chain; 0 for an entry outside it
	AuditID uuid.UUID // zero when the link itself is gone
	Problem string    // altered, deleted, seal_missing, seal_altered, unsealed, cut_off
}

func (b *Bad) String() string {
	return fmt.Sprintf("audit entry %s at %d: %s", b.AuditID, b.Seq, b.Problem)
}

// Anchor is a head that was noted earlier, outside the database.
type Anchor struct {
	Seq  int64
	Hash []byte
}

// verifyBatch bounds memory.
const verifyBatch = 5000

// Verify recomputes the chain and names the first entry that was altered,
// deleted, put in or moved. Deleting the end of log and seals together can only
// be seen by an anchor. It needs no more than the service's role and may run
// while the service does.
func Verify(ctx context.Context, d *db.DB, anchors ...Anchor) (Result, error) {
	res := Result{HeadHash: zeroHash()}
	var last time.Time
	for {
		n, at, err := verifyNext(ctx, d, &res, anchors)
		if err != nil || res.Bad != nil {
			return res, err
		}
		if n > 0 {
			last = at
		}
		if n < verifyBatch {
			break
		}
	}
	for _, a := range anchors {
		if a.Seq > res.HeadSeq {
			res.Bad = &Bad{Seq: res.HeadSeq + 1, Problem: "cut_off"}
			return res, nil
		}
	}
	return res, verifyOutside(ctx, d, &res, last)
}

// verifyNext checks the links after res.HeadSeq.
func verifyNext(ctx context.Context, d *db.DB, res *Result, anchors []Anchor) (n int, last time.Time, err error) {
	rows, err := d.Query(ctx, `
		SELECT s.seq, s.audit_id, s.prev_hash, s.hash, s.sealed_at, a.id IS NOT NULL,
		       coalesce(a.id, s.audit_id), coalesce(a.created_at, s.sealed_at), coalesce(a.actor_kind, ''), a.actor_id, coalesce(a.actor_name, ''),
		       coalesce(a.action, ''), coalesce(a.object_type, ''), coalesce(a.object_id, ''), a.store_id, coalesce(a.request_id, ''),
		       coalesce(a.reason, ''), a.changes::text
		FROM audit_seals s LEFT JOIN audit_logs a ON a.id = s.audit_id
		WHERE s.seq > $1 ORDER BY s.seq LIMIT $2`, res.HeadSeq, verifyBatch)
	if err != nil {
		return 0, last, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var seq int64
		var id uuid.UUID
		var prev, sum []byte
		var exists bool
		var r logRow
		if err := rows.Scan(append([]any{&seq, &id, &prev, &sum, &last, &exists}, r.targets()...)...); err != nil {
			return n, last, err
		}
		switch {
		case seq != res.HeadSeq+1:
			res.Bad = &Bad{Seq: res.HeadSeq + 1, Problem: "seal_missing"}
		case !exists:
			res.Bad = &Bad{Seq: seq, AuditID: id, Problem: "deleted"}
		case !bytes.Equal(prev, res.HeadHash):
			res.Bad = &Bad{Seq: seq, AuditID: id, Problem: "seal_altered"}
		case !bytes.Equal(sum, link(prev, seq, last, &r)):
			res.Bad = &Bad{Seq: seq, AuditID: id, Problem: "altered"}
		default:
			for _, a := range anchors {
				if a.Seq == seq && !bytes.Equal(a.Hash, sum) {
					res.Bad = &Bad{Seq: seq, AuditID: id, Problem: "seal_altered"}
				}
			}
		}
		if res.Bad != nil {
			return n, last, nil
		}
		n++
		res.Sealed++
		res.HeadSeq, res.HeadHash = seq, sum
	}
	return n, last, rows.Err()
}

// verifyOutside looks for entries without a link. The sealer looks back an
// hour from the last link: an older one was put in afterwards, or lost its seal.
func verifyOutside(ctx context.Context, d *db.DB, res *Result, last time.Time) error {
	if res.HeadSeq == 0 {
		return d.QueryRow(ctx, "SELECT count(*) FROM audit_logs").Scan(&res.Waiting)
	}
	var oldest uuid.NullUUID
	err := d.QueryRow(ctx, `SELECT count(*), (array_agg(a.id ORDER BY a.id))[1] FROM audit_logs a
		WHERE NOT EXISTS (SELECT FROM audit_seals s WHERE s.audit_id = a.id)`).Scan(&res.Waiting, &oldest)
	if err != nil {
		return err
	}
	if limit := firstID(last.Add(-longLookBack)); oldest.Valid && bytes.Compare(oldest.UUID[:], limit[:]) < 0 {
		res.Bad = &Bad{AuditID: oldest.UUID, Problem: "unsealed"}
	}
	return nil
}
