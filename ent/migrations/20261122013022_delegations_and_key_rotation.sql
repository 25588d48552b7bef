-- +goose Up
-- modify "api_keys" table
ALTER TABLE "api_keys" ADD COLUMN "secret_created_at" timestamptz NULL, ADD COLUMN "rotations" bigint NOT NULL DEFAULT 0, ADD COLUMN "previous_secret_hash" bytea NULL, ADD COLUMN "previous_created_at" timestamptz NULL, ADD COLUMN "previous_ends_at" timestamptz NULL, ADD COLUMN "previous_used_at" timestamptz NULL, ADD COLUMN "previous_used_ip" character varying NULL, ADD COLUMN "last_used_ip" character varying NULL, ADD COLUMN "allowed_ips" text[] NULL, ADD COLUMN "requests_per_minute" bigint NULL;
-- create "delegations" table
CREATE TABLE "delegations" ("id" uuid NOT NULL, "staff_id" uuid NOT NULL, "to_staff_id" uuid NOT NULL, "starts_at" timestamptz NOT NULL, "ends_at" timestamptz NOT NULL, "reason" character varying NOT NULL, "created_by" uuid NULL, "cancelled" boolean NOT NULL DEFAULT false, "start_noted" boolean NOT NULL DEFAULT false, "end_noted" boolean NOT NULL DEFAULT false, "created_at" timestamptz NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "delegations_staff_id_fkey" FOREIGN KEY ("staff_id") REFERENCES "staff" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "delegations_to_staff_id_fkey" FOREIGN KEY ("to_staff_id") REFERENCES "staff" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "delegations_times_check" CHECK ((ends_at >= starts_at) AND (staff_id <> to_staff_id)));
-- create index "delegations_staff_idx" to table: "delegations"
CREATE INDEX "delegations_staff_idx" ON "delegations" ("staff_id", "id");
-- create index "delegations_to_staff_idx" to table: "delegations"
CREATE INDEX "delegations_to_staff_idx" ON "delegations" ("to_staff_id", "ends_at");
-- create index "delegations_unnoted_idx" to table: "delegations"
CREATE INDEX "delegations_unnoted_idx" ON "delegations" ("starts_at") WHERE (NOT end_noted);

-- +goose Down
-- reverse: create index "delegations_unnoted_idx" to table: "delegations"
DROP INDEX "delegations_unnoted_idx";
-- reverse: create index "delegations_to_staff_idx" to table: "delegations"
DROP INDEX "delegations_to_staff_idx";
-- reverse: create index "delegations_staff_idx" to table: "delegations"
DROP INDEX "delegations_staff_idx";
-- reverse: create "delegations" table
DROP TABLE "delegations";
-- reverse: modify "api_keys" table
ALTER TABLE "api_keys" DROP COLUMN "requests_per_minute", DROP COLUMN "allowed_ips", DROP COLUMN "last_used_ip", DROP COLUMN "previous_used_ip", DROP COLUMN "previous_used_at", DROP COLUMN "previous_ends_at", DROP COLUMN "previous_created_at", DROP COLUMN "previous_secret_hash", DROP COLUMN "rotations", DROP COLUMN "secret_created_at";
