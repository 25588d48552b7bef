-- +goose Up
-- create index "order_refunds_provider_idx" to table: "order_refunds"
CREATE INDEX "order_refunds_provider_idx" ON "order_refunds" ("id") WHERE (provider IS NOT NULL);

-- +goose Down
-- reverse: create index "order_refunds_provider_idx" to table: "order_refunds"
DROP INDEX "order_refunds_provider_idx";
