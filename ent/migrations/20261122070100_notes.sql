-- +goose Up
-- create "notes" table
CREATE TABLE "notes" ("id" uuid NOT NULL, "store_id" uuid NULL, "assigned_staff_id" uuid NULL, "kind" character varying NOT NULL DEFAULT 'general', "text_sealed" bytea NOT NULL, "pinned" boolean NOT NULL DEFAULT false, "author_kind" character varying NOT NULL, "author_id" uuid NULL, "version" bigint NOT NULL DEFAULT 1, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, "customer_id" uuid NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "notes_customers_customer" FOREIGN KEY ("customer_id") REFERENCES "customers" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "notes_author_check" CHECK (((author_kind)::text = 'system'::text) OR (author_id IS NOT NULL)));
-- create index "notes_customer_idx" to table: "notes"
CREATE INDEX "notes_customer_idx" ON "notes" ("customer_id", "created_at", "id");
-- create index "notes_pinned_idx" to table: "notes"
CREATE INDEX "notes_pinned_idx" ON "notes" ("customer_id", "created_at", "id") WHERE pinned;
-- create "note_mentions" table
CREATE TABLE "note_mentions" ("id" uuid NOT NULL, "staff_id" uuid NOT NULL, "seen_at" timestamptz NULL, "created_at" timestamptz NOT NULL, "note_id" uuid NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "note_mentions_notes_mentions" FOREIGN KEY ("note_id") REFERENCES "notes" ("id") ON UPDATE NO ACTION ON DELETE CASCADE, CONSTRAINT "note_mentions_staff_id_fkey" FOREIGN KEY ("staff_id") REFERENCES "staff" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION);
-- create index "note_mentions_note_key" to table: "note_mentions"
CREATE UNIQUE INDEX "note_mentions_note_key" ON "note_mentions" ("note_id", "staff_id");
-- create index "note_mentions_staff_idx" to table: "note_mentions"
CREATE INDEX "note_mentions_staff_idx" ON "note_mentions" ("staff_id", "id");
-- create index "note_mentions_unseen_idx" to table: "note_mentions"
CREATE INDEX "note_mentions_unseen_idx" ON "note_mentions" ("staff_id", "id") WHERE (seen_at IS NULL);

-- +goose Down
-- reverse: create index "note_mentions_unseen_idx" to table: "note_mentions"
DROP INDEX "note_mentions_unseen_idx";
-- reverse: create index "note_mentions_staff_idx" to table: "note_mentions"
DROP INDEX "note_mentions_staff_idx";
-- reverse: create index "note_mentions_note_key" to table: "note_mentions"
DROP INDEX "note_mentions_note_key";
-- reverse: create "note_mentions" table
DROP TABLE "note_mentions";
-- reverse: create index "notes_pinned_idx" to table: "notes"
DROP INDEX "notes_pinned_idx";
-- reverse: create index "notes_customer_idx" to table: "notes"
DROP INDEX "notes_customer_idx";
-- reverse: create "notes" table
DROP TABLE "notes";
