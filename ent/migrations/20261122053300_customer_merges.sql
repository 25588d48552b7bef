-- +goose Up
-- modify "customers" table
ALTER TABLE "customers" ADD CONSTRAINT "customers_merged_check" CHECK ((merged_into_id IS NULL) OR (archived_at IS NOT NULL)), ADD COLUMN "merged_into_id" uuid NULL, ADD CONSTRAINT "customers_merged_into_id_fkey" FOREIGN KEY ("merged_into_id") REFERENCES "customers" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION;
-- create index "customers_merged_into_idx" to table: "customers"
CREATE INDEX "customers_merged_into_idx" ON "customers" ("merged_into_id") WHERE (merged_into_id IS NOT NULL);
-- create "customer_merges" table
CREATE TABLE "customer_merges" ("id" uuid NOT NULL, "survivor_id" uuid NOT NULL, "merged_id" uuid NOT NULL, "status" character varying NOT NULL DEFAULT 'done', "fields" jsonb NOT NULL, "moved" jsonb NOT NULL, "kept" jsonb NULL, "survivor_sealed" bytea NOT NULL, "merged_sealed" bytea NOT NULL, "merged_by" uuid NULL, "merged_at" timestamptz NOT NULL, "undone_by" uuid NULL, "undone_at" timestamptz NULL, "version" bigint NOT NULL DEFAULT 1, PRIMARY KEY ("id"), CONSTRAINT "customer_merges_merged_id_fkey" FOREIGN KEY ("merged_id") REFERENCES "customers" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "customer_merges_survivor_id_fkey" FOREIGN KEY ("survivor_id") REFERENCES "customers" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION);
-- create index "customer_merges_live_key" to table: "customer_merges"
CREATE UNIQUE INDEX "customer_merges_live_key" ON "customer_merges" ("merged_id") WHERE ((status)::text = 'done'::text);
-- create index "customer_merges_merged_idx" to table: "customer_merges"
CREATE INDEX "customer_merges_merged_idx" ON "customer_merges" ("merged_id", "id");
-- create index "customer_merges_survivor_idx" to table: "customer_merges"
CREATE INDEX "customer_merges_survivor_idx" ON "customer_merges" ("survivor_id", "id");

-- +goose Down
-- reverse: create index "customer_merges_survivor_idx" to table: "customer_merges"
DROP INDEX "customer_merges_survivor_idx";
-- reverse: create index "customer_merges_merged_idx" to table: "customer_merges"
DROP INDEX "customer_merges_merged_idx";
-- reverse: create index "customer_merges_live_key" to table: "customer_merges"
DROP INDEX "customer_merges_live_key";
-- reverse: create "customer_merges" table
DROP TABLE "customer_merges";
-- reverse: create index "customers_merged_into_idx" to table: "customers"
DROP INDEX "customers_merged_into_idx";
-- reverse: modify "customers" table
ALTER TABLE "customers" DROP CONSTRAINT "customers_merged_into_id_fkey", DROP COLUMN "merged_into_id", DROP CONSTRAINT "customers_merged_check";
