-- +goose Up
-- Customers are numbered as they arrive; name tokens are bound to blocks of
-- 16,384 of them. Block 0 is of those who were there before there were blocks.
ALTER TABLE "customers" ADD COLUMN "name_block" integer NOT NULL DEFAULT 0;
CREATE SEQUENCE customer_arrivals INCREMENT 256 START 16384 MINVALUE 16384;

-- +goose Down
DROP SEQUENCE customer_arrivals;
ALTER TABLE "customers" DROP COLUMN "name_block";
