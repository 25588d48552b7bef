-- +goose Up
-- modify "order_lines" table
ALTER TABLE "order_lines" ADD CONSTRAINT "order_lines_moved_check" CHECK ((reserved_quantity >= 0) AND (shipped_quantity >= 0) AND (shipped_quantity <= quantity) AND (reserved_quantity <= (quantity - shipped_quantity)) AND (returned_quantity >= 0) AND (returned_quantity <= quantity)), ADD COLUMN "discount_amount" bigint NOT NULL DEFAULT 0, ADD COLUMN "tax_rate" bigint NOT NULL DEFAULT 0, ADD COLUMN "price_list_id" uuid NULL, ADD COLUMN "reserved_quantity" bigint NOT NULL DEFAULT 0, ADD COLUMN "shipped_quantity" bigint NOT NULL DEFAULT 0;
-- create index "order_lines_reserved_idx" to table: "order_lines"
CREATE INDEX "order_lines_reserved_idx" ON "order_lines" ("variant_id", "order_id") WHERE (reserved_quantity > 0);
-- modify "order_return_lines" table
ALTER TABLE "order_return_lines" ADD COLUMN "order_line_id" uuid NULL, ADD COLUMN "reason_code" character varying NULL, ADD COLUMN "restocked_quantity" bigint NOT NULL DEFAULT 0, ADD COLUMN "damaged_quantity" bigint NOT NULL DEFAULT 0;
-- modify "orders" table
ALTER TABLE "orders" ADD CONSTRAINT "orders_amounts_check" CHECK ((discount_amount >= 0) AND (shipping_amount >= 0) AND (total_amount >= 0) AND (refunded_amount >= 0)), ADD COLUMN "fulfilment" character varying NOT NULL DEFAULT 'taken', ADD COLUMN "discount_amount" bigint NOT NULL DEFAULT 0, ADD COLUMN "shipping_amount" bigint NOT NULL DEFAULT 0, ADD COLUMN "paid_amount" bigint NOT NULL DEFAULT 0, ADD COLUMN "refunded_amount" bigint NOT NULL DEFAULT 0, ADD COLUMN "coupon_codes" jsonb NULL, ADD COLUMN "private_sealed" bytea NULL, ADD COLUMN "pay_by" timestamptz NULL, ADD COLUMN "paid_at" timestamptz NULL, ADD COLUMN "completed_at" timestamptz NULL, ADD COLUMN "cancelled_at" timestamptz NULL, ADD COLUMN "exchange_of_id" uuid NULL;
-- create index "orders_exchange_idx" to table: "orders"
CREATE INDEX "orders_exchange_idx" ON "orders" ("exchange_of_id") WHERE (exchange_of_id IS NOT NULL);
-- create index "orders_open_idx" to table: "orders"
CREATE INDEX "orders_open_idx" ON "orders" ("store_id", "placed_at", "id") WHERE ((completed_at IS NULL) AND (cancelled_at IS NULL));
-- create index "orders_unpaid_idx" to table: "orders"
CREATE INDEX "orders_unpaid_idx" ON "orders" ("pay_by", "id") WHERE (pay_by IS NOT NULL);
-- modify "stock_levels" table
ALTER TABLE "stock_levels" ADD COLUMN "counted_at" timestamptz NULL;
-- create "payment_callbacks" table
CREATE TABLE "payment_callbacks" ("id" uuid NOT NULL, "provider" character varying NOT NULL, "notice_id" character varying NOT NULL, "kind" character varying NOT NULL, "number" character varying NOT NULL, "raw_sealed" bytea NOT NULL, "outcome" character varying NOT NULL, "received_at" timestamptz NOT NULL, PRIMARY KEY ("id"));
-- create index "payment_callbacks_notice_key" to table: "payment_callbacks"
CREATE UNIQUE INDEX "payment_callbacks_notice_key" ON "payment_callbacks" ("provider", "notice_id");
-- create index "payment_callbacks_number_idx" to table: "payment_callbacks"
CREATE INDEX "payment_callbacks_number_idx" ON "payment_callbacks" ("number");
-- create "return_reasons" table
CREATE TABLE "return_reasons" ("id" uuid NOT NULL, "code" character varying NOT NULL, "name" character varying NOT NULL, "customer_fault" boolean NOT NULL DEFAULT false, "status" character varying NOT NULL DEFAULT 'active', "version" bigint NOT NULL DEFAULT 1, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, PRIMARY KEY ("id"));
-- create index "return_reasons_code_key" to table: "return_reasons"
CREATE UNIQUE INDEX "return_reasons_code_key" ON "return_reasons" ("code");
-- create "order_changes" table
CREATE TABLE "order_changes" ("id" uuid NOT NULL, "order_return_id" uuid NULL, "action" character varying NOT NULL, "from_status" character varying NULL, "to_status" character varying NOT NULL, "actor_kind" character varying NOT NULL, "actor_id" uuid NULL, "reason" character varying NOT NULL DEFAULT '', "details" jsonb NULL, "created_at" timestamptz NOT NULL, "order_id" uuid NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "order_changes_orders_changes" FOREIGN KEY ("order_id") REFERENCES "orders" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION);
-- create index "order_changes_order_idx" to table: "order_changes"
CREATE INDEX "order_changes_order_idx" ON "order_changes" ("order_id", "id");
-- create "order_payments" table
CREATE TABLE "order_payments" ("id" uuid NOT NULL, "method" character varying NOT NULL, "provider" character varying NULL, "status" character varying NOT NULL DEFAULT 'pending', "amount" bigint NOT NULL, "currency" character varying NOT NULL, "refunded_amount" bigint NOT NULL DEFAULT 0, "reference" character varying NULL, "number" character varying NULL, "provider_transaction_id" character varying NULL, "client" jsonb NULL, "error_code" character varying NULL, "expires_at" timestamptz NULL, "paid_at" timestamptz NULL, "attempts" bigint NOT NULL DEFAULT 0, "next_check_at" timestamptz NULL, "version" bigint NOT NULL DEFAULT 1, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, "order_id" uuid NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "order_payments_orders_payments" FOREIGN KEY ("order_id") REFERENCES "orders" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "order_payments_amount_check" CHECK (((amount >= 0) OR (provider IS NULL)) AND (refunded_amount >= 0) AND (refunded_amount <= GREATEST(amount, (0)::bigint))), CONSTRAINT "order_payments_provider_check" CHECK ((provider IS NULL) = (number IS NULL)));
-- create index "order_payments_due_idx" to table: "order_payments"
CREATE INDEX "order_payments_due_idx" ON "order_payments" ("next_check_at", "id") WHERE (next_check_at IS NOT NULL);
-- create index "order_payments_number_key" to table: "order_payments"
CREATE UNIQUE INDEX "order_payments_number_key" ON "order_payments" ("number") WHERE (number IS NOT NULL);
-- create index "order_payments_order_idx" to table: "order_payments"
CREATE INDEX "order_payments_order_idx" ON "order_payments" ("order_id", "id");
-- modify "order_returns" table
ALTER TABLE "order_returns" ADD COLUMN "kind" character varying NOT NULL DEFAULT 'refund', ADD COLUMN "private_sealed" bytea NULL, ADD COLUMN "refunded_at" timestamptz NULL;
-- create "order_refunds" table
CREATE TABLE "order_refunds" ("id" uuid NOT NULL, "method" character varying NOT NULL, "provider" character varying NULL, "status" character varying NOT NULL DEFAULT 'pending', "amount" bigint NOT NULL, "currency" character varying NOT NULL, "reason" character varying NOT NULL DEFAULT '', "number" character varying NULL, "provider_refund_id" character varying NULL, "error_code" character varying NULL, "refunded_at" timestamptz NULL, "attempts" bigint NOT NULL DEFAULT 0, "next_attempt_at" timestamptz NULL, "version" bigint NOT NULL DEFAULT 1, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, "order_id" uuid NULL, "order_payment_id" uuid NULL, "order_return_id" uuid NULL, PRIMARY KEY ("id"), CONSTRAINT "order_refunds_order_payments_refunds" FOREIGN KEY ("order_payment_id") REFERENCES "order_payments" ("id") ON UPDATE NO ACTION ON DELETE SET NULL, CONSTRAINT "order_refunds_order_returns_refunds" FOREIGN KEY ("order_return_id") REFERENCES "order_returns" ("id") ON UPDATE NO ACTION ON DELETE SET NULL, CONSTRAINT "order_refunds_orders_refunds" FOREIGN KEY ("order_id") REFERENCES "orders" ("id") ON UPDATE NO ACTION ON DELETE SET NULL, CONSTRAINT "order_refunds_amount_check" CHECK (amount > 0), CONSTRAINT "order_refunds_provider_check" CHECK ((provider IS NULL) = (number IS NULL)));
-- create index "order_refunds_due_idx" to table: "order_refunds"
CREATE INDEX "order_refunds_due_idx" ON "order_refunds" ("next_attempt_at", "id") WHERE (next_attempt_at IS NOT NULL);
-- create index "order_refunds_number_key" to table: "order_refunds"
CREATE UNIQUE INDEX "order_refunds_number_key" ON "order_refunds" ("number") WHERE (number IS NOT NULL);
-- create index "order_refunds_order_idx" to table: "order_refunds"
CREATE INDEX "order_refunds_order_idx" ON "order_refunds" ("order_id", "id");
-- create index "order_refunds_payment_idx" to table: "order_refunds"
CREATE INDEX "order_refunds_payment_idx" ON "order_refunds" ("order_payment_id", "id");
-- create index "order_refunds_return_idx" to table: "order_refunds"
CREATE INDEX "order_refunds_return_idx" ON "order_refunds" ("order_return_id", "id");
-- create "shipments" table
CREATE TABLE "shipments" ("id" uuid NOT NULL, "carrier" character varying NULL, "tracking_number" character varying NULL, "status" character varying NOT NULL DEFAULT 'sent', "sent_at" timestamptz NOT NULL, "delivered_at" timestamptz NULL, "version" bigint NOT NULL DEFAULT 1, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, "order_id" uuid NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "shipments_orders_shipments" FOREIGN KEY ("order_id") REFERENCES "orders" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION);
-- create index "shipments_order_idx" to table: "shipments"
CREATE INDEX "shipments_order_idx" ON "shipments" ("order_id", "id");
-- create index "shipments_tracking_idx" to table: "shipments"
CREATE INDEX "shipments_tracking_idx" ON "shipments" ("tracking_number", "carrier");
-- create "shipment_lines" table
CREATE TABLE "shipment_lines" ("id" uuid NOT NULL, "order_line_id" uuid NOT NULL, "quantity" bigint NOT NULL, "shipment_id" uuid NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "shipment_lines_shipments_lines" FOREIGN KEY ("shipment_id") REFERENCES "shipments" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "shipment_lines_quantity_check" CHECK (quantity > 0));
-- create index "shipment_lines_order_line_idx" to table: "shipment_lines"
CREATE INDEX "shipment_lines_order_line_idx" ON "shipment_lines" ("order_line_id");
-- create index "shipment_lines_shipment_key" to table: "shipment_lines"
CREATE UNIQUE INDEX "shipment_lines_shipment_key" ON "shipment_lines" ("shipment_id", "order_line_id");

-- What tills reported becomes rows: payments of orders, and for orders all of them are paid and handed over.
INSERT INTO "order_payments" ("id", "order_id", "method", "status", "amount", "currency", "paid_at", "created_at", "updated_at")
SELECT gen_random_uuid(), o.id, p->>'method', 'succeeded', (p->>'amount')::bigint, o.currency, o.placed_at, o.created_at, o.created_at
FROM "orders" o, jsonb_array_elements(o.payments) WITH ORDINALITY AS t (p, n) WHERE jsonb_typeof(o.payments) = 'array' ORDER BY o.id, t.n;
UPDATE "orders" o SET "paid_at" = o.placed_at, "completed_at" = o.placed_at,
    "paid_amount" = coalesce((SELECT sum(p.amount) FROM "order_payments" p WHERE p.order_id = o.id), o.total_amount);
UPDATE "order_lines" SET "shipped_quantity" = "quantity";
UPDATE "order_returns" SET "refunded_at" = "returned_at";
ALTER TABLE "orders" DROP COLUMN "payments";

-- The history only grows.
REVOKE ALL ON order_changes FROM shuke_app;
GRANT SELECT, INSERT ON order_changes TO shuke_app;
CREATE TRIGGER order_changes_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON order_changes
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE SEQUENCE refund_numbers;
GRANT USAGE, SELECT ON refund_numbers TO shuke_app;

INSERT INTO "return_reasons" ("id", "code", "name", "customer_fault", "created_at", "updated_at") VALUES
    (gen_random_uuid(), 'unwanted', '不想要了 / Changed their mind', true, now(), now()),
    (gen_random_uuid(), 'wrong_size', '尺码不合 / Wrong size', false, now(), now()),
    (gen_random_uuid(), 'defective', '质量问题 / Defective', false, now(), now()),
    (gen_random_uuid(), 'damaged_in_transit', '运输损坏 / Damaged in transit', false, now(), now()),
    (gen_random_uuid(), 'not_as_described', '与描述不符 / Not as described', false, now(), now()),
    (gen_random_uuid(), 'wrong_item', '发错商品 / Wrong item sent', false, now(), now()),
    (gen_random_uuid(), 'other', '其他 / Other', false, now(), now());

-- +goose Down
DROP SEQUENCE refund_numbers;
-- reverse: create index "shipment_lines_shipment_key" to table: "shipment_lines"
DROP INDEX "shipment_lines_shipment_key";
-- reverse: create index "shipment_lines_order_line_idx" to table: "shipment_lines"
DROP INDEX "shipment_lines_order_line_idx";
-- reverse: create "shipment_lines" table
DROP TABLE "shipment_lines";
-- reverse: create index "shipments_tracking_idx" to table: "shipments"
DROP INDEX "shipments_tracking_idx";
-- reverse: create index "shipments_order_idx" to table: "shipments"
DROP INDEX "shipments_order_idx";
-- reverse: create "shipments" table
DROP TABLE "shipments";
-- reverse: create index "order_refunds_return_idx" to table: "order_refunds"
DROP INDEX "order_refunds_return_idx";
-- reverse: create index "order_refunds_payment_idx" to table: "order_refunds"
DROP INDEX "order_refunds_payment_idx";
-- reverse: create index "order_refunds_order_idx" to table: "order_refunds"
DROP INDEX "order_refunds_order_idx";
-- reverse: create index "order_refunds_number_key" to table: "order_refunds"
DROP INDEX "order_refunds_number_key";
-- reverse: create index "order_refunds_due_idx" to table: "order_refunds"
DROP INDEX "order_refunds_due_idx";
-- reverse: create "order_refunds" table
DROP TABLE "order_refunds";
-- reverse: modify "order_returns" table
ALTER TABLE "order_returns" DROP COLUMN "refunded_at", DROP COLUMN "private_sealed", DROP COLUMN "kind";
-- reverse: create index "order_payments_order_idx" to table: "order_payments"
DROP INDEX "order_payments_order_idx";
-- reverse: create index "order_payments_number_key" to table: "order_payments"
DROP INDEX "order_payments_number_key";
-- reverse: create index "order_payments_due_idx" to table: "order_payments"
DROP INDEX "order_payments_due_idx";
-- reverse: create "order_payments" table
DROP TABLE "order_payments";
-- reverse: create index "order_changes_order_idx" to table: "order_changes"
DROP INDEX "order_changes_order_idx";
-- reverse: create "order_changes" table
DROP TABLE "order_changes";
-- reverse: create index "return_reasons_code_key" to table: "return_reasons"
DROP INDEX "return_reasons_code_key";
-- reverse: create "return_reasons" table
DROP TABLE "return_reasons";
-- reverse: create index "payment_callbacks_number_idx" to table: "payment_callbacks"
DROP INDEX "payment_callbacks_number_idx";
-- reverse: create index "payment_callbacks_notice_key" to table: "payment_callbacks"
DROP INDEX "payment_callbacks_notice_key";
-- reverse: create "payment_callbacks" table
DROP TABLE "payment_callbacks";
-- reverse: modify "stock_levels" table
ALTER TABLE "stock_levels" DROP COLUMN "counted_at";
-- reverse: create index "orders_unpaid_idx" to table: "orders"
DROP INDEX "orders_unpaid_idx";
-- reverse: create index "orders_open_idx" to table: "orders"
DROP INDEX "orders_open_idx";
-- reverse: create index "orders_exchange_idx" to table: "orders"
DROP INDEX "orders_exchange_idx";
-- reverse: modify "orders" table
ALTER TABLE "orders" DROP COLUMN "exchange_of_id", DROP COLUMN "cancelled_at", DROP COLUMN "completed_at", DROP COLUMN "paid_at", DROP COLUMN "pay_by", DROP COLUMN "private_sealed", DROP COLUMN "coupon_codes", DROP COLUMN "refunded_amount", DROP COLUMN "paid_amount", DROP COLUMN "shipping_amount", DROP COLUMN "discount_amount", DROP COLUMN "fulfilment", ADD COLUMN "payments" jsonb NULL, DROP CONSTRAINT "orders_amounts_check";
-- reverse: modify "order_return_lines" table
ALTER TABLE "order_return_lines" DROP COLUMN "damaged_quantity", DROP COLUMN "restocked_quantity", DROP COLUMN "reason_code", DROP COLUMN "order_line_id";
-- reverse: modify "order_lines" table
ALTER TABLE "order_lines" DROP COLUMN "shipped_quantity", DROP COLUMN "reserved_quantity", DROP COLUMN "price_list_id", DROP COLUMN "tax_rate", DROP COLUMN "discount_amount", DROP CONSTRAINT "order_lines_moved_check";
