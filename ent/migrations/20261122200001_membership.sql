-- +goose Up
-- modify "customers" table
ALTER TABLE "customers" ADD COLUMN "tier_code" character varying NULL;
-- create index "customers_tier_idx" to table: "customers"
CREATE INDEX "customers_tier_idx" ON "customers" ("tier_code", "id") WHERE (tier_code IS NOT NULL);
-- modify "order_lines" table
ALTER TABLE "order_lines" ADD COLUMN "tier_code" character varying NULL;
-- create "membership_changes" table
CREATE TABLE "membership_changes" ("id" uuid NOT NULL, "membership_id" uuid NOT NULL, "from_tier" character varying NULL, "to_tier" character varying NULL, "reason" character varying NOT NULL, "scheme_number" bigint NOT NULL, "facts" jsonb NOT NULL, "grant_id" uuid NULL, "ends_at" timestamptz NULL, "effective_at" timestamptz NOT NULL, "created_at" timestamptz NOT NULL, PRIMARY KEY ("id"));
-- create index "membership_changes_membership_idx" to table: "membership_changes"
CREATE INDEX "membership_changes_membership_idx" ON "membership_changes" ("membership_id", "id");
-- create "tiers" table
CREATE TABLE "tiers" ("id" uuid NOT NULL, "code" character varying NOT NULL, "name" character varying NOT NULL, "name_en" character varying NOT NULL DEFAULT '', "rank" bigint NOT NULL, "match" character varying NOT NULL DEFAULT 'any', "conditions" jsonb NOT NULL, "benefits" jsonb NOT NULL, "version" bigint NOT NULL DEFAULT 1, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "tiers_rank_check" CHECK (rank > 0));
-- create index "tiers_code_key" to table: "tiers"
CREATE UNIQUE INDEX "tiers_code_key" ON "tiers" ("code");
-- create index "tiers_rank_key" to table: "tiers"
CREATE UNIQUE INDEX "tiers_rank_key" ON "tiers" ("rank");
-- create "tier_schemes" table
CREATE TABLE "tier_schemes" ("id" uuid NOT NULL, "number" bigint NOT NULL, "document" jsonb NOT NULL, "in_force_at" timestamptz NOT NULL, "actor_kind" character varying NOT NULL, "actor_id" uuid NULL, "created_at" timestamptz NOT NULL, PRIMARY KEY ("id"));
-- create index "tier_schemes_number_key" to table: "tier_schemes"
CREATE UNIQUE INDEX "tier_schemes_number_key" ON "tier_schemes" ("number");
-- create "membership_grants" table
CREATE TABLE "membership_grants" ("id" uuid NOT NULL, "customer_id" uuid NOT NULL, "tier_code" character varying NOT NULL, "from_at" timestamptz NOT NULL, "until_at" timestamptz NULL, "reason" character varying NOT NULL, "granted_by" uuid NULL, "revoked_at" timestamptz NULL, "revoked_by" uuid NULL, "revoke_reason" character varying NOT NULL DEFAULT '', "version" bigint NOT NULL DEFAULT 1, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "membership_grants_customer_id_fkey" FOREIGN KEY ("customer_id") REFERENCES "customers" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION);
-- create index "membership_grants_customer_idx" to table: "membership_grants"
CREATE INDEX "membership_grants_customer_idx" ON "membership_grants" ("customer_id", "id");
-- create "memberships" table
CREATE TABLE "memberships" ("id" uuid NOT NULL, "customer_id" uuid NOT NULL, "tier_code" character varying NULL, "since_at" timestamptz NULL, "ends_at" timestamptz NULL, "grace_ends_at" timestamptz NULL, "grant_id" uuid NULL, "scheme_number" bigint NOT NULL DEFAULT 0, "review_at" timestamptz NULL, "reviewed_at" timestamptz NULL, "version" bigint NOT NULL DEFAULT 1, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "memberships_customer_id_fkey" FOREIGN KEY ("customer_id") REFERENCES "customers" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION);
-- create index "memberships_customer_key" to table: "memberships"
CREATE UNIQUE INDEX "memberships_customer_key" ON "memberships" ("customer_id");
-- create index "memberships_due_idx" to table: "memberships"
CREATE INDEX "memberships_due_idx" ON "memberships" ("review_at", "customer_id") WHERE (review_at IS NOT NULL);
-- create index "memberships_tier_idx" to table: "memberships"
CREATE INDEX "memberships_tier_idx" ON "memberships" ("tier_code", "customer_id") WHERE (tier_code IS NOT NULL);


-- What was in force, and what was found by it, never changes.
REVOKE ALL ON tier_schemes, membership_changes FROM shuke_app;
GRANT SELECT, INSERT ON tier_schemes, membership_changes TO shuke_app;
CREATE TRIGGER tier_schemes_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON tier_schemes
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER membership_changes_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON membership_changes
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
REVOKE DELETE, TRUNCATE ON memberships, membership_grants FROM shuke_app;

-- +goose Down
-- reverse: create index "memberships_tier_idx" to table: "memberships"
DROP INDEX "memberships_tier_idx";
-- reverse: create index "memberships_due_idx" to table: "memberships"
DROP INDEX "memberships_due_idx";
-- reverse: create index "memberships_customer_key" to table: "memberships"
DROP INDEX "memberships_customer_key";
-- reverse: create "memberships" table
DROP TABLE "memberships";
-- reverse: create index "membership_grants_customer_idx" to table: "membership_grants"
DROP INDEX "membership_grants_customer_idx";
-- reverse: create "membership_grants" table
DROP TABLE "membership_grants";
-- reverse: create index "tier_schemes_number_key" to table: "tier_schemes"
DROP INDEX "tier_schemes_number_key";
-- reverse: create "tier_schemes" table
DROP TABLE "tier_schemes";
-- reverse: create index "tiers_rank_key" to table: "tiers"
DROP INDEX "tiers_rank_key";
-- reverse: create index "tiers_code_key" to table: "tiers"
DROP INDEX "tiers_code_key";
-- reverse: create "tiers" table
DROP TABLE "tiers";
-- reverse: create index "membership_changes_membership_idx" to table: "membership_changes"
DROP INDEX "membership_changes_membership_idx";
-- reverse: create "membership_changes" table
DROP TABLE "membership_changes";
-- reverse: modify "order_lines" table
ALTER TABLE "order_lines" DROP COLUMN "tier_code";
-- reverse: create index "customers_tier_idx" to table: "customers"
DROP INDEX "customers_tier_idx";
-- reverse: modify "customers" table
ALTER TABLE "customers" DROP COLUMN "tier_code";
