-- +goose Up
-- create "stock_counts" table
CREATE TABLE "stock_counts" ("id" uuid NOT NULL, "store_id" uuid NOT NULL, "status" character varying NOT NULL DEFAULT 'open', "note" character varying NOT NULL DEFAULT '', "submitted_by" character varying NULL, "submitted_at" timestamptz NULL, "approved_by" character varying NULL, "approved_at" timestamptz NULL, "version" bigint NOT NULL DEFAULT 1, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "stock_counts_store_id_fkey" FOREIGN KEY ("store_id") REFERENCES "stores" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION);
-- create index "stock_counts_store_idx" to table: "stock_counts"
CREATE INDEX "stock_counts_store_idx" ON "stock_counts" ("store_id", "id");
-- create "stock_count_lines" table
CREATE TABLE "stock_count_lines" ("id" uuid NOT NULL, "expected_quantity" bigint NOT NULL, "counted_quantity" bigint NOT NULL, "counted_at" timestamptz NOT NULL, "count_id" uuid NOT NULL, "variant_id" uuid NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "stock_count_lines_stock_counts_lines" FOREIGN KEY ("count_id") REFERENCES "stock_counts" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "stock_count_lines_variants_variant" FOREIGN KEY ("variant_id") REFERENCES "variants" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "stock_count_lines_quantity_check" CHECK (counted_quantity >= 0));
-- create index "stock_count_lines_count_key" to table: "stock_count_lines"
CREATE UNIQUE INDEX "stock_count_lines_count_key" ON "stock_count_lines" ("count_id", "variant_id");
-- create index "stock_count_lines_variant_idx" to table: "stock_count_lines"
CREATE INDEX "stock_count_lines_variant_idx" ON "stock_count_lines" ("variant_id");
-- create "stock_transfers" table
CREATE TABLE "stock_transfers" ("id" uuid NOT NULL, "from_store_id" uuid NOT NULL, "to_store_id" uuid NOT NULL, "status" character varying NOT NULL DEFAULT 'draft', "note" character varying NOT NULL DEFAULT '', "shipped_at" timestamptz NULL, "received_at" timestamptz NULL, "version" bigint NOT NULL DEFAULT 1, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "stock_transfers_from_store_id_fkey" FOREIGN KEY ("from_store_id") REFERENCES "stores" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "stock_transfers_to_store_id_fkey" FOREIGN KEY ("to_store_id") REFERENCES "stores" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "stock_transfers_stores_check" CHECK (from_store_id <> to_store_id));
-- create index "stock_transfers_from_idx" to table: "stock_transfers"
CREATE INDEX "stock_transfers_from_idx" ON "stock_transfers" ("from_store_id", "id");
-- create index "stock_transfers_to_idx" to table: "stock_transfers"
CREATE INDEX "stock_transfers_to_idx" ON "stock_transfers" ("to_store_id", "id");
-- create "stock_transfer_lines" table
CREATE TABLE "stock_transfer_lines" ("id" uuid NOT NULL, "quantity" bigint NOT NULL, "received_quantity" bigint NOT NULL DEFAULT 0, "damaged_quantity" bigint NOT NULL DEFAULT 0, "transfer_id" uuid NOT NULL, "variant_id" uuid NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "stock_transfer_lines_stock_transfers_lines" FOREIGN KEY ("transfer_id") REFERENCES "stock_transfers" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "stock_transfer_lines_variants_variant" FOREIGN KEY ("variant_id") REFERENCES "variants" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "stock_transfer_lines_quantity_check" CHECK ((quantity > 0) AND (received_quantity >= 0) AND (damaged_quantity >= 0) AND ((received_quantity + damaged_quantity) <= quantity)));
-- create index "stock_transfer_lines_transfer_key" to table: "stock_transfer_lines"
CREATE UNIQUE INDEX "stock_transfer_lines_transfer_key" ON "stock_transfer_lines" ("transfer_id", "variant_id");
-- create index "stock_transfer_lines_variant_idx" to table: "stock_transfer_lines"
CREATE INDEX "stock_transfer_lines_variant_idx" ON "stock_transfer_lines" ("variant_id");

-- +goose Down
-- reverse: create index "stock_transfer_lines_variant_idx" to table: "stock_transfer_lines"
DROP INDEX "stock_transfer_lines_variant_idx";
-- reverse: create index "stock_transfer_lines_transfer_key" to table: "stock_transfer_lines"
DROP INDEX "stock_transfer_lines_transfer_key";
-- reverse: create "stock_transfer_lines" table
DROP TABLE "stock_transfer_lines";
-- reverse: create index "stock_transfers_to_idx" to table: "stock_transfers"
DROP INDEX "stock_transfers_to_idx";
-- reverse: create index "stock_transfers_from_idx" to table: "stock_transfers"
DROP INDEX "stock_transfers_from_idx";
-- reverse: create "stock_transfers" table
DROP TABLE "stock_transfers";
-- reverse: create index "stock_count_lines_variant_idx" to table: "stock_count_lines"
DROP INDEX "stock_count_lines_variant_idx";
-- reverse: create index "stock_count_lines_count_key" to table: "stock_count_lines"
DROP INDEX "stock_count_lines_count_key";
-- reverse: create "stock_count_lines" table
DROP TABLE "stock_count_lines";
-- reverse: create index "stock_counts_store_idx" to table: "stock_counts"
DROP INDEX "stock_counts_store_idx";
-- reverse: create "stock_counts" table
DROP TABLE "stock_counts";
