-- +goose Up
-- create "exports" table
CREATE TABLE "exports" ("id" uuid NOT NULL, "kind" character varying NOT NULL, "format" character varying NOT NULL, "language" character varying NOT NULL, "fields" jsonb NOT NULL, "filter_sealed" bytea NOT NULL, "clear" boolean NOT NULL, "reason" character varying NULL, "job_id" uuid NOT NULL, "row_count" bigint NOT NULL DEFAULT 0, "size_bytes" bigint NOT NULL DEFAULT 0, "ready" boolean NOT NULL DEFAULT false, "requested_by" character varying NOT NULL, "expires_at" timestamptz NOT NULL, "file_deleted_at" timestamptz NULL, "created_at" timestamptz NOT NULL, "version" bigint NOT NULL DEFAULT 1, "updated_at" timestamptz NOT NULL, PRIMARY KEY ("id"));
-- create index "exports_files_idx" to table: "exports"
CREATE INDEX "exports_files_idx" ON "exports" ("expires_at") WHERE (file_deleted_at IS NULL);
-- create index "exports_requested_by_idx" to table: "exports"
CREATE INDEX "exports_requested_by_idx" ON "exports" ("requested_by", "id");

-- +goose Down
-- reverse: create index "exports_requested_by_idx" to table: "exports"
DROP INDEX "exports_requested_by_idx";
-- reverse: create index "exports_files_idx" to table: "exports"
DROP INDEX "exports_files_idx";
-- reverse: create "exports" table
DROP TABLE "exports";
