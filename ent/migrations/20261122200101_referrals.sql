-- +goose Up
-- create "referral_codes" table
CREATE TABLE "referral_codes" ("id" uuid NOT NULL, "customer_id" uuid NOT NULL, "code" character varying NOT NULL, "status" character varying NOT NULL DEFAULT 'active', "version" bigint NOT NULL DEFAULT 1, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "referral_codes_customer_id_fkey" FOREIGN KEY ("customer_id") REFERENCES "customers" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION);
-- create index "referral_codes_code_key" to table: "referral_codes"
CREATE UNIQUE INDEX "referral_codes_code_key" ON "referral_codes" ("code");
-- create index "referral_codes_customer_idx" to table: "referral_codes"
CREATE INDEX "referral_codes_customer_idx" ON "referral_codes" ("customer_id", "id");
-- create "referrals" table
CREATE TABLE "referrals" ("id" uuid NOT NULL, "customer_id" uuid NOT NULL, "status" character varying NOT NULL DEFAULT 'registered', "order_id" uuid NULL, "due_at" timestamptz NULL, "signals" jsonb NULL, "unit" character varying NOT NULL DEFAULT '', "referrer_points" bigint NOT NULL DEFAULT 0, "referee_points" bigint NOT NULL DEFAULT 0, "reason" character varying NOT NULL DEFAULT '', "decided_by" uuid NULL, "rewarded_at" timestamptz NULL, "version" bigint NOT NULL DEFAULT 1, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, "code_id" uuid NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "referrals_customer_id_fkey" FOREIGN KEY ("customer_id") REFERENCES "customers" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "referrals_order_id_fkey" FOREIGN KEY ("order_id") REFERENCES "orders" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "referrals_referral_codes_code" FOREIGN KEY ("code_id") REFERENCES "referral_codes" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION);
-- create index "referrals_code_idx" to table: "referrals"
CREATE INDEX "referrals_code_idx" ON "referrals" ("code_id", "id");
-- create index "referrals_customer_idx" to table: "referrals"
CREATE INDEX "referrals_customer_idx" ON "referrals" ("customer_id");
-- create index "referrals_due_idx" to table: "referrals"
CREATE INDEX "referrals_due_idx" ON "referrals" ("due_at", "id") WHERE (due_at IS NOT NULL);
-- create index "referrals_order_idx" to table: "referrals"
CREATE INDEX "referrals_order_idx" ON "referrals" ("order_id") WHERE (order_id IS NOT NULL);
-- create index "referrals_status_idx" to table: "referrals"
CREATE INDEX "referrals_status_idx" ON "referrals" ("status", "id");

REVOKE DELETE, TRUNCATE ON referral_codes, referrals FROM shuke_app;

-- +goose Down
-- reverse: create index "referrals_status_idx" to table: "referrals"
DROP INDEX "referrals_status_idx";
-- reverse: create index "referrals_order_idx" to table: "referrals"
DROP INDEX "referrals_order_idx";
-- reverse: create index "referrals_due_idx" to table: "referrals"
DROP INDEX "referrals_due_idx";
-- reverse: create index "referrals_customer_idx" to table: "referrals"
DROP INDEX "referrals_customer_idx";
-- reverse: create index "referrals_code_idx" to table: "referrals"
DROP INDEX "referrals_code_idx";
-- reverse: create "referrals" table
DROP TABLE "referrals";
-- reverse: create index "referral_codes_customer_idx" to table: "referral_codes"
DROP INDEX "referral_codes_customer_idx";
-- reverse: create index "referral_codes_code_key" to table: "referral_codes"
DROP INDEX "referral_codes_code_key";
-- reverse: create "referral_codes" table
DROP TABLE "referral_codes";
