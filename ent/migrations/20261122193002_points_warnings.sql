-- +goose Up
-- modify "points_accounts" table
ALTER TABLE "points_accounts" ADD COLUMN "warn_at" timestamptz NULL, ADD COLUMN "warned_at" timestamptz NULL;
-- create index "points_accounts_warn_idx" to table: "points_accounts"
CREATE INDEX "points_accounts_warn_idx" ON "points_accounts" ("warn_at", "id") WHERE (warn_at IS NOT NULL);

-- The job looks at every account once, and notes when its first warning is due.
UPDATE points_accounts SET warn_at = now() WHERE pending > 0 OR active > 0 OR blocked > 0;

-- +goose Down
-- reverse: create index "points_accounts_warn_idx" to table: "points_accounts"
DROP INDEX "points_accounts_warn_idx";
-- reverse: modify "points_accounts" table
ALTER TABLE "points_accounts" DROP COLUMN "warned_at", DROP COLUMN "warn_at";
