-- +goose Up
-- create "consent_texts" table
CREATE TABLE "consent_texts" ("id" uuid NOT NULL, "purpose" character varying NOT NULL, "version" bigint NOT NULL, "wordings" jsonb NOT NULL, "hash" bytea NOT NULL, "published_at" timestamptz NOT NULL, PRIMARY KEY ("id"));
-- create index "consent_texts_version_key" to table: "consent_texts"
CREATE UNIQUE INDEX "consent_texts_version_key" ON "consent_texts" ("purpose", "version");
-- create "consents" table
CREATE TABLE "consents" ("id" uuid NOT NULL, "store_id" uuid NULL, "assigned_staff_id" uuid NULL, "purpose" character varying NOT NULL, "text_version" bigint NOT NULL, "text_hash" bytea NOT NULL, "channel" character varying NOT NULL, "evidence_sealed" bytea NOT NULL, "granted_at" timestamptz NOT NULL, "withdrawn_at" timestamptz NULL, "customer_id" uuid NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "consents_customers_customer" FOREIGN KEY ("customer_id") REFERENCES "customers" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "consents_withdrawn_check" CHECK ((withdrawn_at IS NULL) OR (withdrawn_at >= granted_at)));
-- create index "consents_customer_idx" to table: "consents"
CREATE INDEX "consents_customer_idx" ON "consents" ("customer_id", "id");
-- create index "consents_live_key" to table: "consents"
CREATE UNIQUE INDEX "consents_live_key" ON "consents" ("customer_id", "purpose") WHERE (withdrawn_at IS NULL);
-- create "customer_identities" table
CREATE TABLE "customer_identities" ("id" uuid NOT NULL, "store_id" uuid NULL, "assigned_staff_id" uuid NULL, "provider" character varying NOT NULL, "app" character varying NOT NULL DEFAULT '', "subject_sealed" bytea NOT NULL, "subject_index" bytea NOT NULL, "union_index" bytea NULL, "password_hash" character varying NULL, "verified_at" timestamptz NOT NULL, "last_used_at" timestamptz NOT NULL, "created_at" timestamptz NOT NULL, "customer_id" uuid NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "customer_identities_customers_customer" FOREIGN KEY ("customer_id") REFERENCES "customers" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "customer_identities_password_check" CHECK (((provider)::text = 'password'::text) = ((COALESCE(password_hash, ''::character varying))::text <> ''::text)));
-- create index "customer_identities_customer_idx" to table: "customer_identities"
CREATE INDEX "customer_identities_customer_idx" ON "customer_identities" ("customer_id", "id");
-- create index "customer_identities_subject_key" to table: "customer_identities"
CREATE UNIQUE INDEX "customer_identities_subject_key" ON "customer_identities" ("provider", "app", "subject_index");
-- create index "customer_identities_union_idx" to table: "customer_identities"
CREATE INDEX "customer_identities_union_idx" ON "customer_identities" ("union_index");
-- create "member_sessions" table
CREATE TABLE "member_sessions" ("id" uuid NOT NULL, "identity_id" uuid NOT NULL, "refresh_hash" bytea NOT NULL, "previous_refresh_hash" bytea NULL, "successor_sealed" bytea NULL, "refreshed_at" timestamptz NULL, "device_hash" bytea NOT NULL, "program_hash" bytea NOT NULL, "client_sealed" bytea NOT NULL, "created_at" timestamptz NOT NULL, "last_used_at" timestamptz NOT NULL, "expires_at" timestamptz NOT NULL, "revoked_at" timestamptz NULL, "revoked_reason" character varying NULL, "customer_id" uuid NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "member_sessions_customers_customer" FOREIGN KEY ("customer_id") REFERENCES "customers" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION);
-- create index "member_sessions_customer_idx" to table: "member_sessions"
CREATE INDEX "member_sessions_customer_idx" ON "member_sessions" ("customer_id", "id");
-- create index "member_sessions_expires_idx" to table: "member_sessions"
CREATE INDEX "member_sessions_expires_idx" ON "member_sessions" ("expires_at");

-- +goose Down
-- reverse: create index "member_sessions_expires_idx" to table: "member_sessions"
DROP INDEX "member_sessions_expires_idx";
-- reverse: create index "member_sessions_customer_idx" to table: "member_sessions"
DROP INDEX "member_sessions_customer_idx";
-- reverse: create "member_sessions" table
DROP TABLE "member_sessions";
-- reverse: create index "customer_identities_union_idx" to table: "customer_identities"
DROP INDEX "customer_identities_union_idx";
-- reverse: create index "customer_identities_subject_key" to table: "customer_identities"
DROP INDEX "customer_identities_subject_key";
-- reverse: create index "customer_identities_customer_idx" to table: "customer_identities"
DROP INDEX "customer_identities_customer_idx";
-- reverse: create "customer_identities" table
DROP TABLE "customer_identities";
-- reverse: create index "consents_live_key" to table: "consents"
DROP INDEX "consents_live_key";
-- reverse: create index "consents_customer_idx" to table: "consents"
DROP INDEX "consents_customer_idx";
-- reverse: create "consents" table
DROP TABLE "consents";
-- reverse: create index "consent_texts_version_key" to table: "consent_texts"
DROP INDEX "consent_texts_version_key";
-- reverse: create "consent_texts" table
DROP TABLE "consent_texts";
