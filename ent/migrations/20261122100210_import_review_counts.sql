-- +goose Up
-- modify "imports" table
ALTER TABLE "imports" ADD COLUMN "held_rows" bigint NOT NULL DEFAULT 0, ADD COLUMN "likely_rows" bigint NOT NULL DEFAULT 0, ADD COLUMN "open_reviews" bigint NOT NULL DEFAULT 0;

-- +goose Down
-- reverse: modify "imports" table
ALTER TABLE "imports" DROP COLUMN "open_reviews", DROP COLUMN "likely_rows", DROP COLUMN "held_rows";
