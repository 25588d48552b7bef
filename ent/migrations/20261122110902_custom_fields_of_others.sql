-- +goose Up
-- modify "orders" table
ALTER TABLE "orders" ADD COLUMN "custom_fields" jsonb NULL;
-- create index "orders_custom_fields_idx" to table: "orders"
CREATE INDEX "orders_custom_fields_idx" ON "orders" USING gin ("custom_fields") WHERE (custom_fields IS NOT NULL);
-- modify "products" table
ALTER TABLE "products" ADD COLUMN "custom_fields" jsonb NULL;
-- create index "products_custom_fields_idx" to table: "products"
CREATE INDEX "products_custom_fields_idx" ON "products" USING gin ("custom_fields") WHERE (custom_fields IS NOT NULL);

-- +goose Down
-- reverse: create index "products_custom_fields_idx" to table: "products"
DROP INDEX "products_custom_fields_idx";
-- reverse: modify "products" table
ALTER TABLE "products" DROP COLUMN "custom_fields";
-- reverse: create index "orders_custom_fields_idx" to table: "orders"
DROP INDEX "orders_custom_fields_idx";
-- reverse: modify "orders" table
ALTER TABLE "orders" DROP COLUMN "custom_fields";
