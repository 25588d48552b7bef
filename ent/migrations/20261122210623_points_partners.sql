-- +goose Up
-- create index "points_entries_key_idx" to table: "points_entries"
CREATE INDEX "points_entries_key_idx" ON "points_entries" ("actor_id", "id") WHERE ((actor_kind)::text = 'api_key'::text);
-- create "points_partners" table
CREATE TABLE "points_partners" ("id" uuid NOT NULL, "code" character varying NOT NULL, "name" character varying NOT NULL, "status" character varying NOT NULL DEFAULT 'active', "api_key_ids" jsonb NOT NULL, "rates" jsonb NOT NULL, "version" bigint NOT NULL DEFAULT 1, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, PRIMARY KEY ("id"));
-- create index "points_partners_code_key" to table: "points_partners"
CREATE UNIQUE INDEX "points_partners_code_key" ON "points_partners" ("code");

-- +goose Down
-- reverse: create index "points_partners_code_key" to table: "points_partners"
DROP INDEX "points_partners_code_key";
-- reverse: create "points_partners" table
DROP TABLE "points_partners";
-- reverse: create index "points_entries_key_idx" to table: "points_entries"
DROP INDEX "points_entries_key_idx";
