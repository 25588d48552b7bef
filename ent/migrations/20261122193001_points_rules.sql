-- +goose Up
-- modify "points_entries" table
ALTER TABLE "points_entries" ADD COLUMN "rule_id" uuid NULL, ADD COLUMN "rule_version" bigint NULL;
-- create "points_earnings" table
CREATE TABLE "points_earnings" ("id" uuid NOT NULL, "order_id" uuid NOT NULL, "points" bigint NOT NULL, "withheld" bigint NOT NULL DEFAULT 0, "tier" character varying NOT NULL DEFAULT '', "lines" jsonb NOT NULL, "earned_on" date NOT NULL, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, "unit_id" uuid NOT NULL, "account_id" uuid NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "points_earnings_order_id_fkey" FOREIGN KEY ("order_id") REFERENCES "orders" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "points_earnings_points_accounts_account" FOREIGN KEY ("account_id") REFERENCES "points_accounts" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "points_earnings_points_units_unit" FOREIGN KEY ("unit_id") REFERENCES "points_units" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "points_earnings_points_check" CHECK (points >= 0));
-- create index "points_earnings_account_idx" to table: "points_earnings"
CREATE INDEX "points_earnings_account_idx" ON "points_earnings" ("account_id", "earned_on");
-- create index "points_earnings_key" to table: "points_earnings"
CREATE UNIQUE INDEX "points_earnings_key" ON "points_earnings" ("order_id", "unit_id");
-- create "points_rules" table
CREATE TABLE "points_rules" ("id" uuid NOT NULL, "code" character varying NOT NULL, "kind" character varying NOT NULL, "status" character varying NOT NULL DEFAULT 'active', "terms" jsonb NOT NULL, "given_points" bigint NOT NULL DEFAULT 0, "version" bigint NOT NULL DEFAULT 1, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, "unit_id" uuid NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "points_rules_points_units_unit" FOREIGN KEY ("unit_id") REFERENCES "points_units" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "points_rules_given_check" CHECK (given_points >= 0));
-- create index "points_rules_code_key" to table: "points_rules"
CREATE UNIQUE INDEX "points_rules_code_key" ON "points_rules" ("code");
-- create "points_events" table
CREATE TABLE "points_events" ("id" uuid NOT NULL, "key" character varying NOT NULL, "day" date NOT NULL, "points" bigint NOT NULL, "created_at" timestamptz NOT NULL, "rule_id" uuid NOT NULL, "account_id" uuid NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "points_events_points_accounts_account" FOREIGN KEY ("account_id") REFERENCES "points_accounts" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "points_events_points_rules_rule" FOREIGN KEY ("rule_id") REFERENCES "points_rules" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION);
-- create index "points_events_day_idx" to table: "points_events"
CREATE INDEX "points_events_day_idx" ON "points_events" ("account_id", "rule_id", "day");
-- create index "points_events_key" to table: "points_events"
CREATE UNIQUE INDEX "points_events_key" ON "points_events" ("account_id", "rule_id", "key");
-- create "points_rule_versions" table
CREATE TABLE "points_rule_versions" ("id" uuid NOT NULL, "version" bigint NOT NULL, "status" character varying NOT NULL, "terms" jsonb NOT NULL, "actor_kind" character varying NOT NULL, "actor_id" uuid NULL, "effective_at" timestamptz NOT NULL, "rule_id" uuid NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "points_rule_versions_points_rules_rule" FOREIGN KEY ("rule_id") REFERENCES "points_rules" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION);
-- create index "points_rule_versions_key" to table: "points_rule_versions"
CREATE UNIQUE INDEX "points_rule_versions_key" ON "points_rule_versions" ("rule_id", "version");

-- Versions of rules and what happened only grow, as the ledger does.
REVOKE ALL ON points_rule_versions, points_events FROM shuke_app;
GRANT SELECT, INSERT ON points_rule_versions, points_events TO shuke_app;
CREATE TRIGGER points_rule_versions_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON points_rule_versions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER points_events_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON points_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
REVOKE DELETE, TRUNCATE ON points_rules, points_earnings FROM shuke_app;

-- +goose Down
-- reverse: create index "points_rule_versions_key" to table: "points_rule_versions"
DROP INDEX "points_rule_versions_key";
-- reverse: create "points_rule_versions" table
DROP TABLE "points_rule_versions";
-- reverse: create index "points_events_key" to table: "points_events"
DROP INDEX "points_events_key";
-- reverse: create index "points_events_day_idx" to table: "points_events"
DROP INDEX "points_events_day_idx";
-- reverse: create "points_events" table
DROP TABLE "points_events";
-- reverse: create index "points_rules_code_key" to table: "points_rules"
DROP INDEX "points_rules_code_key";
-- reverse: create "points_rules" table
DROP TABLE "points_rules";
-- reverse: create index "points_earnings_key" to table: "points_earnings"
DROP INDEX "points_earnings_key";
-- reverse: create index "points_earnings_account_idx" to table: "points_earnings"
DROP INDEX "points_earnings_account_idx";
-- reverse: create "points_earnings" table
DROP TABLE "points_earnings";
-- reverse: modify "points_entries" table
ALTER TABLE "points_entries" DROP COLUMN "rule_version", DROP COLUMN "rule_id";
