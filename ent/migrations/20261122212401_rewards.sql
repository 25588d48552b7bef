-- +goose Up
-- create "rewards" table
CREATE TABLE "rewards" ("id" uuid NOT NULL, "kind" character varying NOT NULL, "name" character varying NOT NULL, "name_en" character varying NOT NULL DEFAULT '', "description" character varying NOT NULL DEFAULT '', "variant_id" uuid NULL, "unit" character varying NOT NULL DEFAULT 'points', "points" bigint NOT NULL, "status" character varying NOT NULL DEFAULT 'active', "valid_from" timestamptz NULL, "valid_until" timestamptz NULL, "tier_codes" jsonb NULL, "total_limit" bigint NULL, "member_limit" bigint NULL, "period_limit" bigint NULL, "period" character varying NOT NULL DEFAULT 'month', "fulfil_days" bigint NOT NULL DEFAULT 30, "redeemed" bigint NOT NULL DEFAULT 0, "codes_left" bigint NOT NULL DEFAULT 0, "version" bigint NOT NULL DEFAULT 1, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "rewards_variant_id_fkey" FOREIGN KEY ("variant_id") REFERENCES "variants" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "rewards_limits_check" CHECK ((redeemed >= 0) AND (codes_left >= 0) AND ((total_limit IS NULL) OR (redeemed <= total_limit)) AND ((fulfil_days >= 1) AND (fulfil_days <= 88))), CONSTRAINT "rewards_variant_check" CHECK (((kind)::text = 'gift'::text) = (variant_id IS NOT NULL)));
-- create "reward_codes" table
CREATE TABLE "reward_codes" ("id" uuid NOT NULL, "code_hash" bytea NOT NULL, "code_sealed" bytea NOT NULL, "redemption_id" uuid NULL, "created_at" timestamptz NOT NULL, "reward_id" uuid NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "reward_codes_rewards_reward" FOREIGN KEY ("reward_id") REFERENCES "rewards" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION);
-- create index "reward_codes_code_key" to table: "reward_codes"
CREATE UNIQUE INDEX "reward_codes_code_key" ON "reward_codes" ("reward_id", "code_hash");
-- create index "reward_codes_free_idx" to table: "reward_codes"
CREATE INDEX "reward_codes_free_idx" ON "reward_codes" ("reward_id", "id") WHERE (redemption_id IS NULL);
-- create index "reward_codes_redemption_key" to table: "reward_codes"
CREATE UNIQUE INDEX "reward_codes_redemption_key" ON "reward_codes" ("redemption_id") WHERE (redemption_id IS NOT NULL);
-- create "reward_redemptions" table
CREATE TABLE "reward_redemptions" ("id" uuid NOT NULL, "customer_id" uuid NOT NULL, "status" character varying NOT NULL DEFAULT 'issued', "points" bigint NOT NULL, "hold_id" uuid NOT NULL, "store_id" uuid NULL, "reservation_id" uuid NULL, "voucher" character varying NOT NULL, "expires_at" timestamptz NULL, "fulfilled_at" timestamptz NULL, "fulfilled_by" uuid NULL, "reason" character varying NOT NULL DEFAULT '', "version" bigint NOT NULL DEFAULT 1, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, "reward_id" uuid NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "reward_redemptions_customer_id_fkey" FOREIGN KEY ("customer_id") REFERENCES "customers" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "reward_redemptions_rewards_reward" FOREIGN KEY ("reward_id") REFERENCES "rewards" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "reward_redemptions_store_id_fkey" FOREIGN KEY ("store_id") REFERENCES "stores" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION);
-- create index "reward_redemptions_customer_idx" to table: "reward_redemptions"
CREATE INDEX "reward_redemptions_customer_idx" ON "reward_redemptions" ("customer_id", "reward_id", "id");
-- create index "reward_redemptions_due_idx" to table: "reward_redemptions"
CREATE INDEX "reward_redemptions_due_idx" ON "reward_redemptions" ("expires_at", "id") WHERE (expires_at IS NOT NULL);
-- create index "reward_redemptions_store_idx" to table: "reward_redemptions"
CREATE INDEX "reward_redemptions_store_idx" ON "reward_redemptions" ("store_id", "id") WHERE (store_id IS NOT NULL);
-- create index "reward_redemptions_voucher_key" to table: "reward_redemptions"
CREATE UNIQUE INDEX "reward_redemptions_voucher_key" ON "reward_redemptions" ("voucher");

-- What members have asked for is never taken away.
REVOKE DELETE, TRUNCATE ON rewards, reward_codes, reward_redemptions FROM shuke_app;

-- +goose Down
-- reverse: create index "reward_redemptions_voucher_key" to table: "reward_redemptions"
DROP INDEX "reward_redemptions_voucher_key";
-- reverse: create index "reward_redemptions_store_idx" to table: "reward_redemptions"
DROP INDEX "reward_redemptions_store_idx";
-- reverse: create index "reward_redemptions_due_idx" to table: "reward_redemptions"
DROP INDEX "reward_redemptions_due_idx";
-- reverse: create index "reward_redemptions_customer_idx" to table: "reward_redemptions"
DROP INDEX "reward_redemptions_customer_idx";
-- reverse: create "reward_redemptions" table
DROP TABLE "reward_redemptions";
-- reverse: create index "reward_codes_redemption_key" to table: "reward_codes"
DROP INDEX "reward_codes_redemption_key";
-- reverse: create index "reward_codes_free_idx" to table: "reward_codes"
DROP INDEX "reward_codes_free_idx";
-- reverse: create index "reward_codes_code_key" to table: "reward_codes"
DROP INDEX "reward_codes_code_key";
-- reverse: create "reward_codes" table
DROP TABLE "reward_codes";
-- reverse: create "rewards" table
DROP TABLE "rewards";
