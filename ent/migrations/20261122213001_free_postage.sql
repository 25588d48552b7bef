-- +goose Up
-- modify "order_returns" table
ALTER TABLE "order_returns" ADD COLUMN "free_postage" boolean NOT NULL DEFAULT false;

-- +goose Down
-- reverse: modify "order_returns" table
ALTER TABLE "order_returns" DROP COLUMN "free_postage";
