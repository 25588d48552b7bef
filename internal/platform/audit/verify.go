package audit

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/db"
)

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
	var last uuid.UUID
	for {
		n, err := verifyNext(ctx, d, &res, &last, anchors)
		if err != nil || res.Bad != nil {
			return res, err
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

// verifyNext checks the links after res.HeadSeq; last becomes the entry of the
// newest link.
func verifyNext(ctx context.Context, d *db.DB, res *Result, last *uuid.UUID, anchors []Anchor) (n int, err error) {
	rows, err := d.Query(ctx, `
		SELECT s.seq, s.audit_id, s.prev_hash, s.hash, s.sealed_at, a.id IS NOT NULL,
		       coalesce(a.id, s.audit_id), coalesce(a.created_at, s.sealed_at), coalesce(a.actor_kind, ''), a.actor_id, coalesce(a.actor_name, ''),
		       coalesce(a.action, ''), coalesce(a.object_type, ''), coalesce(a.object_id, ''), a.store_id, coalesce(a.request_id, ''),
		       coalesce(a.reason, ''), a.changes::text
		FROM audit_seals s LEFT JOIN audit_logs a ON a.id = s.audit_id
		WHERE s.seq > $1 ORDER BY s.seq LIMIT $2`, res.HeadSeq, verifyBatch)
	if err != nil {
		return 0, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var seq int64
		var id uuid.UUID
		var prev, sum []byte
		var exists bool
		var sealedAt time.Time
		var r logRow
		if err := rows.Scan(append([]any{&seq, &id, &prev, &sum, &sealedAt, &exists}, r.targets()...)...); err != nil {
			return n, err
		}
		switch {
		case seq != res.HeadSeq+1:
			res.Bad = &Bad{Seq: res.HeadSeq + 1, Problem: "seal_missing"}
		case !exists:
			res.Bad = &Bad{Seq: seq, AuditID: id, Problem: "deleted"}
		case !bytes.Equal(prev, res.HeadHash):
			res.Bad = &Bad{Seq: seq, AuditID: id, Problem: "seal_altered"}
		case !bytes.Equal(sum, link(prev, seq, sealedAt, &r)):
			res.Bad = &Bad{Seq: seq, AuditID: id, Problem: "altered"}
		default:
			for _, a := range anchors {
				if a.Seq == seq && !bytes.Equal(a.Hash, sum) {
					res.Bad = &Bad{Seq: seq, AuditID: id, Problem: "seal_altered"}
				}
			}
		}
		if res.Bad != nil {
			return n, nil
		}
		n++
		res.Sealed++
		res.HeadSeq, res.HeadHash, *last = seq, sum, id
	}
	return n, rows.Err()
}

// verifyOutside looks for entries without a link. The sealer looks back an
// hour from the last sealed one: an older one was put in afterwards, or lost its
// seal.
func verifyOutside(ctx context.Context, d *db.DB, res *Result, last uuid.UUID) error {
	if res.HeadSeq == 0 {
		return d.QueryRow(ctx, "SELECT count(*) FROM audit_logs").Scan(&res.Waiting)
	}
	var oldest uuid.NullUUID
	err := d.QueryRow(ctx, `SELECT count(*), (array_agg(a.id ORDER BY a.id))[1] FROM audit_logs a
		WHERE NOT EXISTS (SELECT FROM audit_seals s WHERE s.audit_id = a.id)`).Scan(&res.Waiting, &oldest)
	if err != nil {
		return err
	}
	if limit := firstID(idTime(last).Add(-longLookBack)); oldest.Valid && bytes.Compare(oldest.UUID[:], limit[:]) < 0 {
		res.Bad = &Bad{AuditID: oldest.UUID, Problem: "unsealed"}
	}
	return nil
}
