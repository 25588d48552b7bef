-- +goose Up
-- modify "sessions" table
ALTER TABLE "sessions" ADD COLUMN "device_id" uuid NULL, ADD COLUMN "factor_at" timestamptz NULL, ADD COLUMN "factor_level" character varying NOT NULL DEFAULT 'password';
-- modify "staff" table
ALTER TABLE "staff" ADD COLUMN "email_sealed" bytea NULL, ADD COLUMN "recovery_codes" text[] NULL;
-- create "staff_factors" table
CREATE TABLE "staff_factors" ("id" uuid NOT NULL, "staff_id" uuid NOT NULL, "method" character varying NOT NULL, "secret_sealed" bytea NOT NULL, "last_step" bigint NOT NULL DEFAULT 0, "challenge_id" uuid NULL, "confirmed_at" timestamptz NULL, "last_used_at" timestamptz NULL, "created_at" timestamptz NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "staff_factors_staff_id_fkey" FOREIGN KEY ("staff_id") REFERENCES "staff" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION);
-- create index "staff_factors_staff_method_key" to table: "staff_factors"
CREATE UNIQUE INDEX "staff_factors_staff_method_key" ON "staff_factors" ("staff_id", "method");

-- +goose Down
-- reverse: create index "staff_factors_staff_method_key" to table: "staff_factors"
DROP INDEX "staff_factors_staff_method_key";
-- reverse: create "staff_factors" table
DROP TABLE "staff_factors";
-- reverse: modify "staff" table
ALTER TABLE "staff" DROP COLUMN "recovery_codes", DROP COLUMN "email_sealed";
-- reverse: modify "sessions" table
ALTER TABLE "sessions" DROP COLUMN "factor_level", DROP COLUMN "factor_at", DROP COLUMN "device_id";
