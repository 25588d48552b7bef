-- +goose Up
-- create "points_units" table
CREATE TABLE "points_units" ("id" uuid NOT NULL, "code" character varying NOT NULL, "name" character varying NOT NULL, "name_en" character varying NOT NULL DEFAULT '', "rounding" character varying NOT NULL DEFAULT 'down', "pending_days" bigint NOT NULL DEFAULT 0, "expiry_method" character varying NOT NULL DEFAULT 'never', "expiry_count" bigint NOT NULL DEFAULT 0, "balance_limit" bigint NULL, "daily_limit" bigint NULL, "return_policy" character varying NOT NULL DEFAULT 'within_balance', "spendable" boolean NOT NULL DEFAULT true, "transferable" boolean NOT NULL DEFAULT false, "redeem_points" bigint NOT NULL DEFAULT 0, "redeem_amount" bigint NOT NULL DEFAULT 0, "redeem_share_percent" bigint NOT NULL DEFAULT 100, "approval_limit" bigint NULL, "give_back_days" bigint NOT NULL DEFAULT 0, "version" bigint NOT NULL DEFAULT 1, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "points_units_numbers_check" CHECK ((pending_days >= 0) AND (expiry_count >= 0) AND (redeem_points >= 0) AND (redeem_amount >= 0) AND (give_back_days >= 0) AND (redeem_share_percent >= 0) AND (redeem_share_percent <= 100)));
-- create index "points_units_code_key" to table: "points_units"
CREATE UNIQUE INDEX "points_units_code_key" ON "points_units" ("code");
-- create "points_accounts" table
CREATE TABLE "points_accounts" ("id" uuid NOT NULL, "opened_for" uuid NOT NULL, "customer_id" uuid NOT NULL, "pending" bigint NOT NULL DEFAULT 0, "active" bigint NOT NULL DEFAULT 0, "blocked" bigint NOT NULL DEFAULT 0, "debt" bigint NOT NULL DEFAULT 0, "entry_count" bigint NOT NULL DEFAULT 0, "due_at" timestamptz NULL, "version" bigint NOT NULL DEFAULT 1, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, "unit_id" uuid NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "points_accounts_customer_id_fkey" FOREIGN KEY ("customer_id") REFERENCES "customers" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "points_accounts_points_units_unit" FOREIGN KEY ("unit_id") REFERENCES "points_units" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "points_accounts_quantities_check" CHECK ((pending >= 0) AND (active >= 0) AND (blocked >= 0) AND (debt >= 0) AND ((debt = 0) OR (active = 0))));
-- create index "points_accounts_customer_idx" to table: "points_accounts"
CREATE INDEX "points_accounts_customer_idx" ON "points_accounts" ("customer_id", "unit_id");
-- create index "points_accounts_due_idx" to table: "points_accounts"
CREATE INDEX "points_accounts_due_idx" ON "points_accounts" ("due_at", "id") WHERE (due_at IS NOT NULL);
-- create index "points_accounts_opened_for_key" to table: "points_accounts"
CREATE UNIQUE INDEX "points_accounts_opened_for_key" ON "points_accounts" ("opened_for", "unit_id");
-- create "points_adjustments" table
CREATE TABLE "points_adjustments" ("id" uuid NOT NULL, "customer_id" uuid NOT NULL, "points" bigint NOT NULL, "reason" character varying NOT NULL, "status" character varying NOT NULL DEFAULT 'booked', "requested_by" uuid NULL, "decided_by" uuid NULL, "decided_at" timestamptz NULL, "decision_note" character varying NOT NULL DEFAULT '', "operation_id" uuid NULL, "version" bigint NOT NULL DEFAULT 1, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, "unit_id" uuid NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "points_adjustments_customer_id_fkey" FOREIGN KEY ("customer_id") REFERENCES "customers" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "points_adjustments_points_units_unit" FOREIGN KEY ("unit_id") REFERENCES "points_units" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "points_adjustments_points_check" CHECK (points <> 0));
-- create index "points_adjustments_awaiting_idx" to table: "points_adjustments"
CREATE INDEX "points_adjustments_awaiting_idx" ON "points_adjustments" ("id") WHERE ((status)::text = 'awaiting_approval'::text);
-- create index "points_adjustments_customer_idx" to table: "points_adjustments"
CREATE INDEX "points_adjustments_customer_idx" ON "points_adjustments" ("customer_id", "id");
-- create "points_entries" table
CREATE TABLE "points_entries" ("id" uuid NOT NULL, "operation_id" uuid NOT NULL, "number" bigint NOT NULL, "kind" character varying NOT NULL, "balance_change" bigint NOT NULL, "pending_change" bigint NOT NULL, "blocked_change" bigint NOT NULL, "balance_after" bigint NOT NULL, "pending_after" bigint NOT NULL, "blocked_after" bigint NOT NULL, "order_id" uuid NULL, "hold_id" uuid NULL, "source_key" character varying NULL, "reason" character varying NOT NULL DEFAULT '', "actor_kind" character varying NOT NULL, "actor_id" uuid NULL, "occurred_at" timestamptz NOT NULL, "created_at" timestamptz NOT NULL, "account_id" uuid NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "points_entries_points_accounts_account" FOREIGN KEY ("account_id") REFERENCES "points_accounts" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION);
-- create index "points_entries_account_key" to table: "points_entries"
CREATE UNIQUE INDEX "points_entries_account_key" ON "points_entries" ("account_id", "number");
-- create index "points_entries_hold_idx" to table: "points_entries"
CREATE INDEX "points_entries_hold_idx" ON "points_entries" ("hold_id") WHERE (hold_id IS NOT NULL);
-- create index "points_entries_member_idx" to table: "points_entries"
CREATE INDEX "points_entries_member_idx" ON "points_entries" ("account_id", "id");
-- create index "points_entries_order_idx" to table: "points_entries"
CREATE INDEX "points_entries_order_idx" ON "points_entries" ("order_id") WHERE (order_id IS NOT NULL);
-- create index "points_entries_source_key" to table: "points_entries"
CREATE UNIQUE INDEX "points_entries_source_key" ON "points_entries" ("source_key") WHERE (source_key IS NOT NULL);
-- create "points_holds" table
CREATE TABLE "points_holds" ("id" uuid NOT NULL, "customer_id" uuid NOT NULL, "status" character varying NOT NULL DEFAULT 'blocked', "amount" bigint NOT NULL, "captured" bigint NOT NULL DEFAULT 0, "given_back" bigint NOT NULL DEFAULT 0, "lots" jsonb NOT NULL, "reason" character varying NOT NULL DEFAULT '', "reference" character varying NOT NULL DEFAULT '', "order_id" uuid NULL, "expires_at" timestamptz NULL, "version" bigint NOT NULL DEFAULT 1, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, "unit_id" uuid NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "points_holds_customer_id_fkey" FOREIGN KEY ("customer_id") REFERENCES "customers" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "points_holds_points_units_unit" FOREIGN KEY ("unit_id") REFERENCES "points_units" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "points_holds_quantities_check" CHECK ((amount > 0) AND (captured >= 0) AND (captured <= amount) AND (given_back >= 0) AND (given_back <= captured)));
-- create index "points_holds_customer_idx" to table: "points_holds"
CREATE INDEX "points_holds_customer_idx" ON "points_holds" ("customer_id", "id");
-- create index "points_holds_due_idx" to table: "points_holds"
CREATE INDEX "points_holds_due_idx" ON "points_holds" ("expires_at", "id") WHERE (expires_at IS NOT NULL);
-- create index "points_holds_order_idx" to table: "points_holds"
CREATE INDEX "points_holds_order_idx" ON "points_holds" ("order_id") WHERE (order_id IS NOT NULL);
-- create "points_lots" table
CREATE TABLE "points_lots" ("id" uuid NOT NULL, "amount" bigint NOT NULL, "pending" bigint NOT NULL DEFAULT 0, "active" bigint NOT NULL DEFAULT 0, "blocked" bigint NOT NULL DEFAULT 0, "earned_at" timestamptz NOT NULL, "active_at" timestamptz NOT NULL, "expires_at" timestamptz NULL, "order_id" uuid NULL, "created_at" timestamptz NOT NULL, "account_id" uuid NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "points_lots_points_accounts_account" FOREIGN KEY ("account_id") REFERENCES "points_accounts" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "points_lots_quantities_check" CHECK ((amount >= 0) AND (pending >= 0) AND (active >= 0) AND (blocked >= 0) AND (((pending + active) + blocked) <= amount)));
-- create index "points_lots_account_idx" to table: "points_lots"
CREATE INDEX "points_lots_account_idx" ON "points_lots" ("account_id", "id");
-- create index "points_lots_active_idx" to table: "points_lots"
CREATE INDEX "points_lots_active_idx" ON "points_lots" ("account_id", "expires_at", "id") WHERE (active > 0);
-- create index "points_lots_order_idx" to table: "points_lots"
CREATE INDEX "points_lots_order_idx" ON "points_lots" ("order_id") WHERE (order_id IS NOT NULL);
-- create index "points_lots_pending_idx" to table: "points_lots"
CREATE INDEX "points_lots_pending_idx" ON "points_lots" ("account_id", "active_at") WHERE (pending > 0);
-- create "points_postings" table
CREATE TABLE "points_postings" ("id" uuid NOT NULL, "from_book" character varying NOT NULL, "to_book" character varying NOT NULL, "amount" bigint NOT NULL, "created_at" timestamptz NOT NULL, "entry_id" uuid NOT NULL, "account_id" uuid NOT NULL, "lot_id" uuid NULL, PRIMARY KEY ("id"), CONSTRAINT "points_postings_points_accounts_account" FOREIGN KEY ("account_id") REFERENCES "points_accounts" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "points_postings_points_entries_entry" FOREIGN KEY ("entry_id") REFERENCES "points_entries" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "points_postings_points_lots_lot" FOREIGN KEY ("lot_id") REFERENCES "points_lots" ("id") ON UPDATE NO ACTION ON DELETE SET NULL, CONSTRAINT "points_postings_amount_check" CHECK ((amount > 0) AND ((from_book)::text <> (to_book)::text)));
-- create index "points_postings_entry_idx" to table: "points_postings"
CREATE INDEX "points_postings_entry_idx" ON "points_postings" ("entry_id");
-- create index "points_postings_lot_idx" to table: "points_postings"
CREATE INDEX "points_postings_lot_idx" ON "points_postings" ("lot_id");

-- The ledger only grows.
REVOKE ALL ON points_entries, points_postings FROM shuke_app;
GRANT SELECT, INSERT ON points_entries, points_postings TO shuke_app;
CREATE TRIGGER points_entries_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON points_entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER points_postings_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON points_postings
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
-- Lots and accounts are never taken away either: they say what the ledger is about.
REVOKE DELETE, TRUNCATE ON points_accounts, points_lots, points_holds, points_units, points_adjustments FROM shuke_app;

-- The unit that is meant where none is named: 100 points pay one yuan, of at most
-- half an order; points of the year before last are gone at its end.
INSERT INTO points_units (id, code, name, name_en, pending_days, expiry_method, expiry_count, redeem_points, redeem_amount, redeem_share_percent, give_back_days, created_at, updated_at)
VALUES (gen_random_uuid(), 'points', '积分', 'Points', 30, 'year_end', 1, 100, 100, 50, 30, now(), now());

-- +goose Down
-- reverse: create index "points_postings_lot_idx" to table: "points_postings"
DROP INDEX "points_postings_lot_idx";
-- reverse: create index "points_postings_entry_idx" to table: "points_postings"
DROP INDEX "points_postings_entry_idx";
-- reverse: create "points_postings" table
DROP TABLE "points_postings";
-- reverse: create index "points_lots_pending_idx" to table: "points_lots"
DROP INDEX "points_lots_pending_idx";
-- reverse: create index "points_lots_order_idx" to table: "points_lots"
DROP INDEX "points_lots_order_idx";
-- reverse: create index "points_lots_active_idx" to table: "points_lots"
DROP INDEX "points_lots_active_idx";
-- reverse: create index "points_lots_account_idx" to table: "points_lots"
DROP INDEX "points_lots_account_idx";
-- reverse: create "points_lots" table
DROP TABLE "points_lots";
-- reverse: create index "points_holds_order_idx" to table: "points_holds"
DROP INDEX "points_holds_order_idx";
-- reverse: create index "points_holds_due_idx" to table: "points_holds"
DROP INDEX "points_holds_due_idx";
-- reverse: create index "points_holds_customer_idx" to table: "points_holds"
DROP INDEX "points_holds_customer_idx";
-- reverse: create "points_holds" table
DROP TABLE "points_holds";
-- reverse: create index "points_entries_source_key" to table: "points_entries"
DROP INDEX "points_entries_source_key";
-- reverse: create index "points_entries_order_idx" to table: "points_entries"
DROP INDEX "points_entries_order_idx";
-- reverse: create index "points_entries_member_idx" to table: "points_entries"
DROP INDEX "points_entries_member_idx";
-- reverse: create index "points_entries_hold_idx" to table: "points_entries"
DROP INDEX "points_entries_hold_idx";
-- reverse: create index "points_entries_account_key" to table: "points_entries"
DROP INDEX "points_entries_account_key";
-- reverse: create "points_entries" table
DROP TABLE "points_entries";
-- reverse: create index "points_adjustments_customer_idx" to table: "points_adjustments"
DROP INDEX "points_adjustments_customer_idx";
-- reverse: create index "points_adjustments_awaiting_idx" to table: "points_adjustments"
DROP INDEX "points_adjustments_awaiting_idx";
-- reverse: create "points_adjustments" table
DROP TABLE "points_adjustments";
-- reverse: create index "points_accounts_opened_for_key" to table: "points_accounts"
DROP INDEX "points_accounts_opened_for_key";
-- reverse: create index "points_accounts_due_idx" to table: "points_accounts"
DROP INDEX "points_accounts_due_idx";
-- reverse: create index "points_accounts_customer_idx" to table: "points_accounts"
DROP INDEX "points_accounts_customer_idx";
-- reverse: create "points_accounts" table
DROP TABLE "points_accounts";
-- reverse: create index "points_units_code_key" to table: "points_units"
DROP INDEX "points_units_code_key";
-- reverse: create "points_units" table
DROP TABLE "points_units";
