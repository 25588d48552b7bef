-- +goose Up
-- modify "shipments" table
ALTER TABLE "shipments" ADD CONSTRAINT "shipments_tracker_check" CHECK (((tracker IS NULL) = (tracking IS NULL)) AND ((tracker IS NULL) OR ((carrier IS NOT NULL) AND (tracking_number IS NOT NULL)))), ADD COLUMN "tracker" character varying NULL, ADD COLUMN "tracking" character varying NULL, ADD COLUMN "tracking_error" character varying NULL, ADD COLUMN "carrier_was" character varying NULL, ADD COLUMN "aborts" bigint NOT NULL DEFAULT 0, ADD COLUMN "attempts" bigint NOT NULL DEFAULT 0, ADD COLUMN "next_check_at" timestamptz NULL, ADD COLUMN "last_event_at" timestamptz NULL, ADD COLUMN "last_heard_at" timestamptz NULL;
-- create index "shipments_due_idx" to table: "shipments"
CREATE INDEX "shipments_due_idx" ON "shipments" ("next_check_at", "id") WHERE (next_check_at IS NOT NULL);
-- create "tracking_pushes" table
CREATE TABLE "tracking_pushes" ("id" uuid NOT NULL, "provider" character varying NOT NULL, "digest" character varying NOT NULL, "raw_sealed" bytea NOT NULL, "outcome" character varying NOT NULL, "received_at" timestamptz NOT NULL, PRIMARY KEY ("id"));
-- create index "tracking_pushes_digest_key" to table: "tracking_pushes"
CREATE UNIQUE INDEX "tracking_pushes_digest_key" ON "tracking_pushes" ("provider", "digest");
-- create "tracking_events" table
CREATE TABLE "tracking_events" ("id" uuid NOT NULL, "order_id" uuid NOT NULL, "customer_id" uuid NULL, "event_key" character varying NOT NULL, "occurred_at" timestamptz NOT NULL, "status" character varying NULL, "private_sealed" bytea NOT NULL, "superseded_at" timestamptz NULL, "created_at" timestamptz NOT NULL, "shipment_id" uuid NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "tracking_events_shipments_events" FOREIGN KEY ("shipment_id") REFERENCES "shipments" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION);
-- create index "tracking_events_customer_idx" to table: "tracking_events"
CREATE INDEX "tracking_events_customer_idx" ON "tracking_events" ("customer_id", "occurred_at", "id");
-- create index "tracking_events_order_idx" to table: "tracking_events"
CREATE INDEX "tracking_events_order_idx" ON "tracking_events" ("order_id", "occurred_at", "id");
-- create index "tracking_events_shipment_key" to table: "tracking_events"
CREATE UNIQUE INDEX "tracking_events_shipment_key" ON "tracking_events" ("shipment_id", "event_key");

-- Steps and pushes stay: what a carrier took back is marked so.
REVOKE DELETE, TRUNCATE ON tracking_events, tracking_pushes FROM shuke_app;

-- +goose Down
-- reverse: create index "tracking_events_shipment_key" to table: "tracking_events"
DROP INDEX "tracking_events_shipment_key";
-- reverse: create index "tracking_events_order_idx" to table: "tracking_events"
DROP INDEX "tracking_events_order_idx";
-- reverse: create index "tracking_events_customer_idx" to table: "tracking_events"
DROP INDEX "tracking_events_customer_idx";
-- reverse: create "tracking_events" table
DROP TABLE "tracking_events";
-- reverse: create index "tracking_pushes_digest_key" to table: "tracking_pushes"
DROP INDEX "tracking_pushes_digest_key";
-- reverse: create "tracking_pushes" table
DROP TABLE "tracking_pushes";
-- reverse: create index "shipments_due_idx" to table: "shipments"
DROP INDEX "shipments_due_idx";
-- reverse: modify "shipments" table
ALTER TABLE "shipments" DROP COLUMN "last_heard_at", DROP COLUMN "last_event_at", DROP COLUMN "next_check_at", DROP COLUMN "attempts", DROP COLUMN "aborts", DROP COLUMN "carrier_was", DROP COLUMN "tracking_error", DROP COLUMN "tracking", DROP COLUMN "tracker", DROP CONSTRAINT "shipments_tracker_check";
