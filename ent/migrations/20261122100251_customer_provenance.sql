-- +goose Up
-- modify "customers" table
ALTER TABLE "customers" ADD COLUMN "provenance" jsonb NULL;

-- +goose Down
-- reverse: modify "customers" table
ALTER TABLE "customers" DROP COLUMN "provenance";
