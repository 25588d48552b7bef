-- +goose Up
-- create "forms" table
CREATE TABLE "forms" ("id" uuid NOT NULL, "code" character varying NOT NULL, "title" jsonb NOT NULL, "status" character varying NOT NULL DEFAULT 'draft', "channel" character varying NOT NULL, "store_id" uuid NULL, "definition" jsonb NOT NULL, "published_version" bigint NOT NULL DEFAULT 0, "version" bigint NOT NULL DEFAULT 1, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "forms_store_id_fkey" FOREIGN KEY ("store_id") REFERENCES "stores" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION);
-- create index "forms_code_key" to table: "forms"
CREATE UNIQUE INDEX "forms_code_key" ON "forms" ("code");
-- create "form_submissions" table
CREATE TABLE "form_submissions" ("id" uuid NOT NULL, "form_version" bigint NOT NULL, "store_id" uuid NULL, "assigned_staff_id" uuid NULL, "outcome" character varying NOT NULL, "channel" character varying NOT NULL, "submitted_by_kind" character varying NOT NULL, "submitted_by_id" uuid NOT NULL, "answers_sealed" bytea NOT NULL, "created_at" timestamptz NOT NULL, "form_id" uuid NOT NULL, "customer_id" uuid NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "form_submissions_customers_customer" FOREIGN KEY ("customer_id") REFERENCES "customers" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "form_submissions_forms_form" FOREIGN KEY ("form_id") REFERENCES "forms" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION);
-- create index "form_submissions_customer_idx" to table: "form_submissions"
CREATE INDEX "form_submissions_customer_idx" ON "form_submissions" ("customer_id", "id");
-- create index "form_submissions_form_idx" to table: "form_submissions"
CREATE INDEX "form_submissions_form_idx" ON "form_submissions" ("form_id", "id");
-- create "form_versions" table
CREATE TABLE "form_versions" ("id" uuid NOT NULL, "number" bigint NOT NULL, "definition" jsonb NOT NULL, "published_at" timestamptz NOT NULL, "form_id" uuid NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "form_versions_forms_form" FOREIGN KEY ("form_id") REFERENCES "forms" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION);
-- create index "form_versions_number_key" to table: "form_versions"
CREATE UNIQUE INDEX "form_versions_number_key" ON "form_versions" ("form_id", "number");

-- +goose Down
-- reverse: create index "form_versions_number_key" to table: "form_versions"
DROP INDEX "form_versions_number_key";
-- reverse: create "form_versions" table
DROP TABLE "form_versions";
-- reverse: create index "form_submissions_form_idx" to table: "form_submissions"
DROP INDEX "form_submissions_form_idx";
-- reverse: create index "form_submissions_customer_idx" to table: "form_submissions"
DROP INDEX "form_submissions_customer_idx";
-- reverse: create "form_submissions" table
DROP TABLE "form_submissions";
-- reverse: create index "forms_code_key" to table: "forms"
DROP INDEX "forms_code_key";
-- reverse: create "forms" table
DROP TABLE "forms";
