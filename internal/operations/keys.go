package operations

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// KeyVersion is how many customers' data keys a business key wraps.
type KeyVersion struct {
	Version   uint16
	Customers int64
}

// rewrapBatch is how many rows one transaction moves to another key.
const rewrapBatch = 1000

// DataKeyVersions counts customers by the business key that wraps their data
// key, lowest version first.
func (s *Service) DataKeyVersions(ctx context.Context) ([]KeyVersion, error) {
	// A wrapped key begins with its form and version; the rest is made up to ask
	// crypto, whose form it is.
	rows, err := s.db.Query(ctx, `
		SELECT substring(data_key FOR 3) AS head, count(*) FROM customers WHERE length(data_key) > 0 GROUP BY head ORDER BY head`)
	if err != nil {
		return nil, fmt.Errorf("count data keys: %w", err)
	}
	defer rows.Close()
	var out []KeyVersion
	for rows.Next() {
		var head []byte
		var v KeyVersion
		if err := rows.Scan(&head, &v.Customers); err != nil {
			return nil, err
		}
		v.Version = crypto.WrappedVersion(append(head, make([]byte, crypto.WrappedSize-len(head))...))
		out = append(out, v)
	}
	return out, rows.Err()
}

// RewrapDataKeys wraps every customer's data key with the business key in use
// and reports how many it moved; progress is called after each batch. Nothing
// that the data keys sealed changes, so readers notice nothing, and it may be
// repeated after an interruption. A key that somebody changes or destroys
// meanwhile is left as that person wants it.
func (s *Service) RewrapDataKeys(ctx context.Context, progress func(done, total int64)) (moved int64, err error) {
	var total, done int64
	if err := s.db.QueryRow(ctx, "SELECT count(*) FROM customers").Scan(&total); err != nil {
		return 0, fmt.Errorf("count customers: %w", err)
	}
	for after := uuid.Nil; ; {
		n, changed, last, err := s.rewrapNext(ctx, after)
		if err != nil {
			return moved, err
		}
		done, moved, after = done+n, moved+changed, last
		if n > 0 {
			progress(done, total)
		}
		if n < rewrapBatch {
			break
		}
	}
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		audit.Record(ctx, tx, audit.Entry{Action: "keys.rewrap", ObjectType: "keyring", ObjectID: s.keys.Fingerprint(),
			Changes: map[string]any{"business_key_version": s.keys.BusinessKeyVersion(), "data_keys": moved}})
		return nil
	})
	return moved, err
}

func (s *Service) rewrapNext(ctx context.Context, after uuid.UUID) (n, changed int64, last uuid.UUID, err error) {
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		n, changed = 0, 0
		ids, old, fresh, err := s.rewrapped(ctx, tx, after, &n, &last)
		if err != nil || len(ids) == 0 {
			return err
		}
		result, err := tx.Exec(ctx, `
			UPDATE customers c SET data_key = k.fresh
			FROM unnest($1::uuid[], $2::bytea[], $3::bytea[]) AS k (id, old, fresh) WHERE c.id = k.id AND c.data_key = k.old`,
			ids, pq.ByteaArray(old), pq.ByteaArray(fresh))
		if err != nil {
			return err
		}
		changed, err = result.RowsAffected()
		return err
	})
	return n, changed, last, err
}

// rewrapped reads the next customers and wraps the keys that need it.
func (s *Service) rewrapped(ctx context.Context, tx *db.Tx, after uuid.UUID, n *int64, last *uuid.UUID) (ids pgarray.UUIDs, old, fresh [][]byte, err error) {
	rows, err := tx.Query(ctx, "SELECT id, data_key FROM customers WHERE id > $1 ORDER BY id LIMIT $2", after, rewrapBatch)
	if err != nil {
		return nil, nil, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var wrapped []byte
		if err := rows.Scan(last, &wrapped); err != nil {
			return nil, nil, nil, err
		}
		*n++
		if len(wrapped) == 0 {
			continue // erased
		}
		out, changed, err := s.keys.Rewrap(*last, wrapped)
		if err != nil {
			return nil, nil, nil, fmt.Errorf("the data key of customer %s: %w", *last, err)
		}
		if changed {
			ids, old, fresh = append(ids, *last), append(old, wrapped), append(fresh, out)
		}
	}
	return ids, old, fresh, rows.Err()
}
