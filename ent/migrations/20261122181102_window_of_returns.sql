-- +goose Up
-- modify "customer_metrics" table
ALTER TABLE "customer_metrics" ADD COLUMN "window_order_count" bigint NOT NULL DEFAULT 0, ADD COLUMN "window_returned_amount" bigint NOT NULL DEFAULT 0;

-- All of them are due: until the job that follows the calendar has summed a row, it is summed where it is read.
UPDATE "customer_metrics" SET "reband_on" = '2000-01-01';

-- +goose Down
-- reverse: modify "customer_metrics" table
ALTER TABLE "customer_metrics" DROP COLUMN "window_returned_amount", DROP COLUMN "window_order_count";
