-- +goose Up
-- modify "imports" table
ALTER TABLE "imports" ADD COLUMN "options" jsonb NULL, ADD COLUMN "made_records" bigint NOT NULL DEFAULT 0;

-- +goose Down
-- reverse: modify "imports" table
ALTER TABLE "imports" DROP COLUMN "made_records", DROP COLUMN "options";
