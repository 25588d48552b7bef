-- +goose Up
-- modify "products" table
ALTER TABLE "products" ADD COLUMN "picture_hash" character varying NOT NULL DEFAULT '';
-- create "product_pictures" table
CREATE TABLE "product_pictures" ("id" uuid NOT NULL, "place" bigint NOT NULL, "content_hash" character varying NOT NULL, "content_type" character varying NOT NULL, "size_bytes" bigint NOT NULL, "width" bigint NOT NULL, "height" bigint NOT NULL, "alt_zh" character varying NOT NULL DEFAULT '', "alt_en" character varying NOT NULL DEFAULT '', "version" bigint NOT NULL DEFAULT 1, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, "product_id" uuid NOT NULL, "variant_id" uuid NULL, PRIMARY KEY ("id"), CONSTRAINT "product_pictures_products_pictures" FOREIGN KEY ("product_id") REFERENCES "products" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "product_pictures_variants_pictures" FOREIGN KEY ("variant_id") REFERENCES "variants" ("id") ON UPDATE NO ACTION ON DELETE SET NULL);
-- create index "product_pictures_hash_idx" to table: "product_pictures"
CREATE INDEX "product_pictures_hash_idx" ON "product_pictures" ("content_hash");
-- create index "product_pictures_product_idx" to table: "product_pictures"
CREATE INDEX "product_pictures_product_idx" ON "product_pictures" ("product_id", "place", "id");
-- create index "product_pictures_variant_idx" to table: "product_pictures"
CREATE INDEX "product_pictures_variant_idx" ON "product_pictures" ("variant_id");

-- +goose Down
-- reverse: create index "product_pictures_variant_idx" to table: "product_pictures"
DROP INDEX "product_pictures_variant_idx";
-- reverse: create index "product_pictures_product_idx" to table: "product_pictures"
DROP INDEX "product_pictures_product_idx";
-- reverse: create index "product_pictures_hash_idx" to table: "product_pictures"
DROP INDEX "product_pictures_hash_idx";
-- reverse: create "product_pictures" table
DROP TABLE "product_pictures";
-- reverse: modify "products" table
ALTER TABLE "products" DROP COLUMN "picture_hash";
