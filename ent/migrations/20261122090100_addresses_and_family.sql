-- +goose Up
-- create "customer_addresses" table
CREATE TABLE "customer_addresses" ("id" uuid NOT NULL, "store_id" uuid NULL, "assigned_staff_id" uuid NULL, "address_sealed" bytea NOT NULL, "version" bigint NOT NULL DEFAULT 1, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, "customer_id" uuid NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "customer_addresses_customers_customer" FOREIGN KEY ("customer_id") REFERENCES "customers" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION);
-- create index "customer_addresses_customer_idx" to table: "customer_addresses"
CREATE INDEX "customer_addresses_customer_idx" ON "customer_addresses" ("customer_id", "id");
-- create "family_members" table
CREATE TABLE "family_members" ("id" uuid NOT NULL, "store_id" uuid NULL, "assigned_staff_id" uuid NULL, "relation" character varying NOT NULL, "details_sealed" bytea NOT NULL, "version" bigint NOT NULL DEFAULT 1, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, "customer_id" uuid NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "family_members_customers_customer" FOREIGN KEY ("customer_id") REFERENCES "customers" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION);
-- create index "family_members_customer_idx" to table: "family_members"
CREATE INDEX "family_members_customer_idx" ON "family_members" ("customer_id", "id");

-- +goose Down
-- reverse: create index "family_members_customer_idx" to table: "family_members"
DROP INDEX "family_members_customer_idx";
-- reverse: create "family_members" table
DROP TABLE "family_members";
-- reverse: create index "customer_addresses_customer_idx" to table: "customer_addresses"
DROP INDEX "customer_addresses_customer_idx";
-- reverse: create "customer_addresses" table
DROP TABLE "customer_addresses";
