-- +goose Up
-- create index "orders_open_placed_idx" to table: "orders"
CREATE INDEX "orders_open_placed_idx" ON "orders" ("placed_at", "id") WHERE ((completed_at IS NULL) AND (cancelled_at IS NULL));

-- +goose Down
-- reverse: create index "orders_open_placed_idx" to table: "orders"
DROP INDEX "orders_open_placed_idx";
