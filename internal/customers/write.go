package customers

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/db"
)

// written are the columns of a row and the types they are sent as. The text
// ones that follow a colon are cast on the way in.
var written = []struct{ name, sent, cast string }{
	{"id", "uuid", ""}, {"external_id", "text", ""},
	{"data_key", "bytea", ""},
	{"name_sealed", "bytea", ""}, {"name_tokens", "text", "integer[]"},
	{"phone_sealed", "bytea", ""}, {"phone_index", "bytea", ""}, {"phone_last4_token", "integer", ""}, {"phone_kind", "text", ""},
	{"email_sealed", "bytea", ""}, {"email_index", "bytea", ""},
	{"card_number_sealed", "bytea", ""}, {"card_number_index", "bytea", ""},
	{"address_sealed", "bytea", ""}, {"address_region", "text", ""}, {"address_city", "text", ""},
	{"gender", "text", ""}, {"birth_date", "date", ""}, {"language", "text", ""}, {"source", "text", ""},
	{"home_store_id", "uuid", ""}, {"assigned_staff_id", "uuid", ""},
	{"preferences", "jsonb", ""}, {"marketing_preferences", "jsonb", ""}, {"custom_fields", "jsonb", ""},
	{"custom_fields_sealed", "bytea", ""},
	{"provenance", "jsonb", ""},
	{"tag_ids", "text", "uuid[]"}, {"tag_expiries", "jsonb", ""},
	{"lifecycle_stage", "text", ""}, {"lifecycle_pinned", "boolean", ""}, {"archived_at", "timestamptz", ""},
	{"name_block", "integer", ""}, {"version", "bigint", ""}, {"created_at", "timestamptz", ""}, {"updated_at", "timestamptz", ""},
}

// insertRows writes any number of rows. A row that breaks a unique rule is left
// out instead of failing the statement, which also waits for a twin that is
// being committed; the caller finds it missing from what is returned.
//
// updateRows changes rows still at the version before the one sent.
//
// The last argument tells the triggers that keep histories why, and by whom.
var insertRows, updateRows = func() (insert, update db.Batch) {
	var columns []db.BatchColumn
	var names, values, sets []string
	for _, c := range written {
		value := "t." + c.name
		if c.cast != "" {
			value += "::" + c.cast
		}
		columns = append(columns, db.BatchColumn{Name: c.name, Type: c.sent})
		names = append(names, c.name)
		values = append(values, value)
		if c.name != "id" && c.name != "created_at" && c.name != "data_key" {
			sets = append(sets, c.name+" = "+value)
		}
	}
	from := " FROM {rows}, (SELECT set_config('shuke.change', $" + strconv.Itoa(len(written)+1) + ", true)) AS said"
	return db.NewBatch("INSERT INTO customers ("+strings.Join(names, ", ")+") SELECT "+strings.Join(values, ", ")+from+
			" ON CONFLICT DO NOTHING RETURNING id", columns...),
		db.NewBatch("UPDATE customers c SET "+strings.Join(sets, ", ")+from+" WHERE c.id = t.id AND c.version = t.version - 1 RETURNING c.id", columns...)
}()

const timestamp = "2006-01-02 15:04:05.999999Z07:00"

// args seals customers and lays them out by column for insertRows or updateRows.
// Keys are made for new rows; for existing ones the row's wrapped key is given.
func (s *Service) args(cs []*Customer, wrapped map[uuid.UUID][]byte) ([]any, error) {
	cols := make([]column, len(written))
	for _, c := range cs {
		key, raw, err := s.keys.NewDataKey(c.ID)
		if w := wrapped[c.ID]; w != nil {
			raw = w
			key, err = s.keys.UnwrapDataKey(c.ID, w)
		}
		if err != nil {
			return nil, fmt.Errorf("customer %s: data key: %w", c.ID, err)
		}
		if c.Address != nil && c.About.ID == uuid.Nil {
			if c.About.ID, err = uuid.NewV7(); err != nil {
				return nil, err
			}
			c.About.CreatedAt = c.UpdatedAt
		}
		row := seal(s.keys, key, c.ID, &c.Person, c.block)
		if err := layOut(cols, c, raw, &row); err != nil {
			return nil, err
		}
	}
	args := make([]any, len(cols))
	for i := range cols {
		args[i] = cols[i].String()
	}
	return args, nil
}

func layOut(cols []column, c *Customer, dataKey []byte, row *sealed) error {
	n := 0
	at := func() *column { n++; return &cols[n-1] } // in the order of written
	at().uuid(&c.ID)
	at().textOrNull(deref(c.ExternalID))
	at().bytes(dataKey)
	at().bytes(row.name)
	at().ints(row.nameTokens)
	at().bytes(row.phone)
	at().bytes(row.phoneIndex)
	at().intOrNull(row.last4)
	at().textOrNull(c.PhoneKind)
	at().bytes(row.email)
	at().bytes(row.emailIndex)
	at().bytes(row.card)
	at().bytes(row.cardIndex)
	at().bytes(row.address)
	at().textOrNull(row.addressRegion)
	at().textOrNull(row.addressCity)
	at().text(c.Gender)
	at().time(c.BirthDate, time.DateOnly)
	at().text(c.Language)
	at().text(c.Source)
	at().uuid(c.HomeStoreID)
	at().uuid(c.AssignedStaffID)
	for _, o := range []struct {
		v     any
		empty bool
	}{{c.Preferences, len(c.Preferences) == 0}, {c.MarketingPreferences, len(c.MarketingPreferences) == 0}, {c.CustomFields, len(c.CustomFields) == 0}} {
		if err := at().json(o.v, o.empty); err != nil {
			return err
		}
	}
	at().bytes(row.custom)
	if err := at().json(c.provenance, c.provenance == nil); err != nil {
		return err
	}
	at().uuids(c.TagIDs)
	if err := at().json(c.TagExpiries, len(c.TagExpiries) == 0); err != nil {
		return err
	}
	at().text(c.LifecycleStage)
	at().bool(c.LifecyclePinned)
	at().time(c.ArchivedAt, timestamp)
	at().int(int64(c.block))
	at().int(c.Version)
	at().time(&c.CreatedAt, timestamp)
	at().time(&c.UpdatedAt, timestamp)
	return nil
}

// write runs insertRows or updateRows and returns the ids that took effect.
func (s *Service) write(ctx context.Context, tx *db.Tx, batch db.Batch, cs []*Customer, wrapped map[uuid.UUID][]byte) (map[uuid.UUID]bool, error) {
	args, err := s.args(cs, wrapped)
	if err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, batch.SQL(len(cs)), append(args, changeBy(ctx))...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	done := make(map[uuid.UUID]bool, len(cs))
	for rows.Next() {
		var id uuid.UUID
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		done[id] = true
	}
	return done, rows.Err()
}
