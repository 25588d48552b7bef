-- +goose Up
-- create "attachments" table
CREATE TABLE "attachments" ("id" uuid NOT NULL, "store_id" uuid NULL, "assigned_staff_id" uuid NULL, "kind" character varying NOT NULL DEFAULT 'other', "caption_sealed" bytea NULL, "file_name_sealed" bytea NULL, "file_key_sealed" bytea NOT NULL, "content_type" character varying NOT NULL, "size_bytes" bigint NOT NULL, "width" bigint NULL, "height" bigint NULL, "author_kind" character varying NOT NULL, "author_id" uuid NULL, "version" bigint NOT NULL DEFAULT 1, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, "customer_id" uuid NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "attachments_customers_customer" FOREIGN KEY ("customer_id") REFERENCES "customers" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "attachments_author_check" CHECK (((author_kind)::text = 'system'::text) OR (author_id IS NOT NULL)), CONSTRAINT "attachments_picture_check" CHECK ((width IS NULL) = (height IS NULL)));
-- create index "attachments_customer_idx" to table: "attachments"
CREATE INDEX "attachments_customer_idx" ON "attachments" ("customer_id", "created_at", "id");

-- +goose Down
-- reverse: create index "attachments_customer_idx" to table: "attachments"
DROP INDEX "attachments_customer_idx";
-- reverse: create "attachments" table
DROP TABLE "attachments";
