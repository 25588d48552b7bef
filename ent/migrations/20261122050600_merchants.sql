-- +goose Up
-- create "merchants" table
CREATE TABLE "merchants" ("id" uuid NOT NULL, "code" character varying NOT NULL, "name" character varying NOT NULL, "category" character varying NULL, "place" character varying NULL, "status" character varying NOT NULL DEFAULT 'active', "version" bigint NOT NULL DEFAULT 1, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, PRIMARY KEY ("id"));
-- modify "role_grants" table
ALTER TABLE "role_grants" ADD COLUMN "merchant_id" uuid NULL, ADD CONSTRAINT "role_grants_merchants_merchant" FOREIGN KEY ("merchant_id") REFERENCES "merchants" ("id") ON UPDATE NO ACTION ON DELETE RESTRICT;
-- modify "stores" table
ALTER TABLE "stores" ADD COLUMN "merchant_id" uuid NULL, ADD CONSTRAINT "stores_merchants_merchant" FOREIGN KEY ("merchant_id") REFERENCES "merchants" ("id") ON UPDATE NO ACTION ON DELETE RESTRICT;
-- create index "stores_merchant_idx" to table: "stores"
CREATE INDEX "stores_merchant_idx" ON "stores" ("merchant_id");

-- +goose Down
-- reverse: create index "stores_merchant_idx" to table: "stores"
DROP INDEX "stores_merchant_idx";
-- reverse: modify "stores" table
ALTER TABLE "stores" DROP CONSTRAINT "stores_merchants_merchant", DROP COLUMN "merchant_id";
-- reverse: modify "role_grants" table
ALTER TABLE "role_grants" DROP CONSTRAINT "role_grants_merchants_merchant", DROP COLUMN "merchant_id";
-- reverse: create "merchants" table
DROP TABLE "merchants";
