// Package settings keeps documents of which there is one each, such as the terms of a
// programme: JSON by a key, with a version.
//
// It writes the table settings. Who changes one takes a lock of its own first.
package settings

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/shuke-crm/shuke/internal/platform/db"
)

// Load reads a document into a value, and says its version and when it was written;
// version 0 and no instant: never, and the value is as it was.
func Load(ctx context.Context, c *db.Clients, key string, into any) (version int64, updated *time.Time, err error) {
	var raw []byte
	updated = new(time.Time)
	err = c.QueryRow(ctx, "SELECT value, version, updated_at FROM settings WHERE key = $1", key).Scan(&raw, &version, updated)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil, nil
	}
	if err != nil {
		return 0, nil, err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return 0, nil, fmt.Errorf("setting %s: %w", key, err)
	}
	return version, updated, nil
}

// Save writes a document as a version.
func Save(ctx context.Context, tx *db.Tx, key string, value any, version int64, now time.Time) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO settings (key, value, version, updated_at) VALUES ($1, $2::jsonb, $3, $4)
ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value, version = EXCLUDED.version, updated_at = EXCLUDED.updated_at`, key, string(raw), version, now)
	return err
}
