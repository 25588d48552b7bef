-- +goose Up
-- create "brands" table
CREATE TABLE "brands" ("id" uuid NOT NULL, "name" character varying NOT NULL, "description" character varying NOT NULL DEFAULT '', "version" bigint NOT NULL DEFAULT 1, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, PRIMARY KEY ("id"));
-- create index "brands_name_key" to table: "brands"
CREATE UNIQUE INDEX "brands_name_key" ON "brands" ("name");
-- create "size_systems" table
CREATE TABLE "size_systems" ("id" uuid NOT NULL, "code" character varying NOT NULL, "name" character varying NOT NULL, "labels" jsonb NOT NULL, "version" bigint NOT NULL DEFAULT 1, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, PRIMARY KEY ("id"));
-- create index "size_systems_code_key" to table: "size_systems"
CREATE UNIQUE INDEX "size_systems_code_key" ON "size_systems" ("code");
-- drop index "products_title_trgm_idx" from table: "products"
DROP INDEX "products_title_trgm_idx";
-- modify "products" table
ALTER TABLE "products" ADD COLUMN "brand_id" uuid NULL, ADD CONSTRAINT "products_brands_products" FOREIGN KEY ("brand_id") REFERENCES "brands" ("id") ON UPDATE NO ACTION ON DELETE SET NULL;
-- create index "products_brand_idx" to table: "products"
CREATE INDEX "products_brand_idx" ON "products" ("brand_id", "id");

-- +goose Down
-- reverse: create index "products_brand_idx" to table: "products"
DROP INDEX "products_brand_idx";
-- reverse: modify "products" table
ALTER TABLE "products" DROP CONSTRAINT "products_brands_products", DROP COLUMN "brand_id";
-- reverse: drop index "products_title_trgm_idx" from table: "products"
CREATE INDEX "products_title_trgm_idx" ON "products" USING gin ("title" gin_trgm_ops);
-- reverse: create index "size_systems_code_key" to table: "size_systems"
DROP INDEX "size_systems_code_key";
-- reverse: create "size_systems" table
DROP TABLE "size_systems";
-- reverse: create index "brands_name_key" to table: "brands"
DROP INDEX "brands_name_key";
-- reverse: create "brands" table
DROP TABLE "brands";
