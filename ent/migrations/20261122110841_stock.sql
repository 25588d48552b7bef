-- +goose Up
-- create "stock_levels" table
CREATE TABLE "stock_levels" ("id" uuid NOT NULL, "store_id" uuid NOT NULL, "on_hand" bigint NOT NULL DEFAULT 0, "reserved" bigint NOT NULL DEFAULT 0, "incoming" bigint NOT NULL DEFAULT 0, "damaged" bigint NOT NULL DEFAULT 0, "low_stock_threshold" bigint NULL, "version" bigint NOT NULL DEFAULT 1, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, "variant_id" uuid NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "stock_levels_variants_variant" FOREIGN KEY ("variant_id") REFERENCES "variants" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "stock_levels_quantity_check" CHECK ((on_hand >= 0) AND (reserved >= 0) AND (incoming >= 0) AND (damaged >= 0)), CONSTRAINT "stock_levels_threshold_check" CHECK ((low_stock_threshold IS NULL) OR (low_stock_threshold >= 0)));
-- create index "stock_levels_store_idx" to table: "stock_levels"
CREATE INDEX "stock_levels_store_idx" ON "stock_levels" ("store_id", "id");
-- create index "stock_levels_store_variant_key" to table: "stock_levels"
CREATE UNIQUE INDEX "stock_levels_store_variant_key" ON "stock_levels" ("store_id", "variant_id");
-- create index "stock_levels_variant_idx" to table: "stock_levels"
CREATE INDEX "stock_levels_variant_idx" ON "stock_levels" ("variant_id", "id");
-- create "stock_documents" table
CREATE TABLE "stock_documents" ("id" uuid NOT NULL, "store_id" uuid NOT NULL, "external_number" character varying NULL, "origin" character varying NOT NULL, "origin_id" uuid NULL, "actor" character varying NOT NULL, "line_count" bigint NOT NULL, "created_at" timestamptz NOT NULL, PRIMARY KEY ("id"));
-- create index "stock_documents_external_number_key" to table: "stock_documents"
CREATE UNIQUE INDEX "stock_documents_external_number_key" ON "stock_documents" ("store_id", "external_number");
-- create index "stock_documents_origin_idx" to table: "stock_documents"
CREATE INDEX "stock_documents_origin_idx" ON "stock_documents" ("origin_id");
-- create "stock_movements" table
CREATE TABLE "stock_movements" ("id" uuid NOT NULL, "line_number" bigint NOT NULL, "store_id" uuid NOT NULL, "kind" character varying NOT NULL, "on_hand_change" bigint NOT NULL DEFAULT 0, "damaged_change" bigint NOT NULL DEFAULT 0, "incoming_change" bigint NOT NULL DEFAULT 0, "on_hand_after" bigint NOT NULL, "unit_cost_amount" bigint NULL, "reason" character varying NOT NULL DEFAULT '', "occurred_at" timestamptz NOT NULL, "created_at" timestamptz NOT NULL, "document_id" uuid NOT NULL, "variant_id" uuid NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "stock_movements_stock_documents_movements" FOREIGN KEY ("document_id") REFERENCES "stock_documents" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "stock_movements_variants_variant" FOREIGN KEY ("variant_id") REFERENCES "variants" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION);
-- create index "stock_movements_document_key" to table: "stock_movements"
CREATE UNIQUE INDEX "stock_movements_document_key" ON "stock_movements" ("document_id", "line_number");
-- create index "stock_movements_store_idx" to table: "stock_movements"
CREATE INDEX "stock_movements_store_idx" ON "stock_movements" ("store_id", "id");
-- create index "stock_movements_variant_idx" to table: "stock_movements"
CREATE INDEX "stock_movements_variant_idx" ON "stock_movements" ("variant_id", "store_id", "id");
-- create "stock_reservations" table
CREATE TABLE "stock_reservations" ("id" uuid NOT NULL, "store_id" uuid NOT NULL, "status" character varying NOT NULL DEFAULT 'open', "expires_at" timestamptz NOT NULL, "reference" character varying NOT NULL DEFAULT '', "version" bigint NOT NULL DEFAULT 1, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, PRIMARY KEY ("id"));
-- create index "stock_reservations_due_idx" to table: "stock_reservations"
CREATE INDEX "stock_reservations_due_idx" ON "stock_reservations" ("expires_at", "id") WHERE ((status)::text = 'open'::text);
-- create index "stock_reservations_store_idx" to table: "stock_reservations"
CREATE INDEX "stock_reservations_store_idx" ON "stock_reservations" ("store_id", "id");
-- create "stock_reservation_lines" table
CREATE TABLE "stock_reservation_lines" ("id" uuid NOT NULL, "quantity" bigint NOT NULL, "reservation_id" uuid NOT NULL, "variant_id" uuid NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "stock_reservation_lines_stock_reservations_lines" FOREIGN KEY ("reservation_id") REFERENCES "stock_reservations" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "stock_reservation_lines_variants_variant" FOREIGN KEY ("variant_id") REFERENCES "variants" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "stock_reservation_lines_quantity_check" CHECK (quantity > 0));
-- create index "stock_reservation_lines_reservation_key" to table: "stock_reservation_lines"
CREATE UNIQUE INDEX "stock_reservation_lines_reservation_key" ON "stock_reservation_lines" ("reservation_id", "variant_id");
-- create index "stock_reservation_lines_variant_idx" to table: "stock_reservation_lines"
CREATE INDEX "stock_reservation_lines_variant_idx" ON "stock_reservation_lines" ("variant_id");

ALTER TABLE "stock_documents" ADD CONSTRAINT "stock_documents_store_id_fkey" FOREIGN KEY ("store_id") REFERENCES "stores" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION;
ALTER TABLE "stock_levels" ADD CONSTRAINT "stock_levels_store_id_fkey" FOREIGN KEY ("store_id") REFERENCES "stores" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION;
ALTER TABLE "stock_movements" ADD CONSTRAINT "stock_movements_store_id_fkey" FOREIGN KEY ("store_id") REFERENCES "stores" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION;
ALTER TABLE "stock_reservations" ADD CONSTRAINT "stock_reservations_store_id_fkey" FOREIGN KEY ("store_id") REFERENCES "stores" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION;

-- The ledger only grows.
REVOKE ALL ON stock_documents, stock_movements FROM shuke_app;
GRANT SELECT, INSERT ON stock_documents, stock_movements TO shuke_app;
CREATE TRIGGER stock_documents_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON stock_documents
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER stock_movements_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON stock_movements
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- +goose Down
-- reverse: create index "stock_reservation_lines_variant_idx" to table: "stock_reservation_lines"
DROP INDEX "stock_reservation_lines_variant_idx";
-- reverse: create index "stock_reservation_lines_reservation_key" to table: "stock_reservation_lines"
DROP INDEX "stock_reservation_lines_reservation_key";
-- reverse: create "stock_reservation_lines" table
DROP TABLE "stock_reservation_lines";
-- reverse: create index "stock_reservations_store_idx" to table: "stock_reservations"
DROP INDEX "stock_reservations_store_idx";
-- reverse: create index "stock_reservations_due_idx" to table: "stock_reservations"
DROP INDEX "stock_reservations_due_idx";
-- reverse: create "stock_reservations" table
DROP TABLE "stock_reservations";
-- reverse: create index "stock_movements_variant_idx" to table: "stock_movements"
DROP INDEX "stock_movements_variant_idx";
-- reverse: create index "stock_movements_store_idx" to table: "stock_movements"
DROP INDEX "stock_movements_store_idx";
-- reverse: create index "stock_movements_document_key" to table: "stock_movements"
DROP INDEX "stock_movements_document_key";
-- reverse: create "stock_movements" table
DROP TABLE "stock_movements";
-- reverse: create index "stock_documents_origin_idx" to table: "stock_documents"
DROP INDEX "stock_documents_origin_idx";
-- reverse: create index "stock_documents_external_number_key" to table: "stock_documents"
DROP INDEX "stock_documents_external_number_key";
-- reverse: create "stock_documents" table
DROP TABLE "stock_documents";
-- reverse: create index "stock_levels_variant_idx" to table: "stock_levels"
DROP INDEX "stock_levels_variant_idx";
-- reverse: create index "stock_levels_store_variant_key" to table: "stock_levels"
DROP INDEX "stock_levels_store_variant_key";
-- reverse: create index "stock_levels_store_idx" to table: "stock_levels"
DROP INDEX "stock_levels_store_idx";
-- reverse: create "stock_levels" table
DROP TABLE "stock_levels";
