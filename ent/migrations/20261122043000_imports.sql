-- +goose Up
-- create "imports" table
CREATE TABLE "imports" ("id" uuid NOT NULL, "kind" character varying NOT NULL, "file_name" character varying NOT NULL, "format" character varying NOT NULL, "size_bytes" bigint NOT NULL, "sha256" bytea NOT NULL, "reading" jsonb NOT NULL, "columns_sealed" bytea NOT NULL, "mapping" jsonb NOT NULL, "duplicates" character varying NOT NULL DEFAULT 'skip', "dry_run" boolean NOT NULL, "job_id" uuid NOT NULL, "position" bigint NOT NULL DEFAULT 0, "total_rows" bigint NOT NULL DEFAULT 0, "created_rows" bigint NOT NULL DEFAULT 0, "updated_rows" bigint NOT NULL DEFAULT 0, "skipped_rows" bigint NOT NULL DEFAULT 0, "failed_rows" bigint NOT NULL DEFAULT 0, "requested_by" character varying NOT NULL, "file_deleted_at" timestamptz NULL, "created_at" timestamptz NOT NULL, "version" bigint NOT NULL DEFAULT 1, "updated_at" timestamptz NOT NULL, PRIMARY KEY ("id"));
-- create index "imports_files_idx" to table: "imports"
CREATE INDEX "imports_files_idx" ON "imports" ("updated_at") WHERE (file_deleted_at IS NULL);
-- create index "imports_requested_by_idx" to table: "imports"
CREATE INDEX "imports_requested_by_idx" ON "imports" ("requested_by", "id");

-- +goose Down
-- reverse: create index "imports_requested_by_idx" to table: "imports"
DROP INDEX "imports_requested_by_idx";
-- reverse: create index "imports_files_idx" to table: "imports"
DROP INDEX "imports_files_idx";
-- reverse: create "imports" table
DROP TABLE "imports";
