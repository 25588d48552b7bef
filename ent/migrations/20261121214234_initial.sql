-- +goose Up
-- create "api_keys" table
CREATE TABLE "api_keys" ("id" uuid NOT NULL, "name" character varying NOT NULL, "key_id" character varying NOT NULL, "secret_hash" bytea NOT NULL, "permissions" text[] NOT NULL, "all_stores" boolean NOT NULL DEFAULT false, "store_ids" uuid[] NOT NULL, "created_by" uuid NULL, "expires_at" timestamptz NULL, "last_used_at" timestamptz NULL, "revoked_at" timestamptz NULL, "version" bigint NOT NULL DEFAULT 1, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, PRIMARY KEY ("id"));
-- create index "api_keys_key_id_key" to table: "api_keys"
CREATE UNIQUE INDEX "api_keys_key_id_key" ON "api_keys" ("key_id");
-- create "tags" table
CREATE TABLE "tags" ("id" uuid NOT NULL, "name" character varying NOT NULL, "category" character varying NULL, "color" character varying NULL, "version" bigint NOT NULL DEFAULT 1, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, PRIMARY KEY ("id"));
-- create index "tags_name_key" to table: "tags"
CREATE UNIQUE INDEX "tags_name_key" ON "tags" ("name");
-- create "settings" table
CREATE TABLE "settings" ("key" character varying NOT NULL, "value" jsonb NOT NULL, "version" bigint NOT NULL DEFAULT 1, "updated_at" timestamptz NOT NULL, PRIMARY KEY ("key"));
-- create "regions" table
CREATE TABLE "regions" ("id" uuid NOT NULL, "code" character varying NOT NULL, "name" character varying NOT NULL, "version" bigint NOT NULL DEFAULT 1, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, PRIMARY KEY ("id"));
-- create index "regions_code_key" to table: "regions"
CREATE UNIQUE INDEX "regions_code_key" ON "regions" ("code");
-- create "jobs" table
CREATE TABLE "jobs" ("id" uuid NOT NULL, "kind" character varying NOT NULL, "status" character varying NOT NULL DEFAULT 'queued', "progress_done" bigint NOT NULL DEFAULT 0, "progress_total" bigint NOT NULL DEFAULT 0, "parameters" jsonb NULL, "result" jsonb NULL, "error_code" character varying NULL, "cancel_requested" boolean NOT NULL DEFAULT false, "requested_by" character varying NOT NULL, "created_at" timestamptz NOT NULL, "started_at" timestamptz NULL, "finished_at" timestamptz NULL, "version" bigint NOT NULL DEFAULT 1, "updated_at" timestamptz NOT NULL, PRIMARY KEY ("id"));
-- create index "jobs_requested_by_idx" to table: "jobs"
CREATE INDEX "jobs_requested_by_idx" ON "jobs" ("requested_by", "id");
-- create index "jobs_status_idx" to table: "jobs"
CREATE INDEX "jobs_status_idx" ON "jobs" ("status", "id");
-- create "stores" table
CREATE TABLE "stores" ("id" uuid NOT NULL, "code" character varying NOT NULL, "name" character varying NOT NULL, "phone" character varying NULL, "address" character varying NULL, "city" character varying NULL, "status" character varying NOT NULL DEFAULT 'open', "version" bigint NOT NULL DEFAULT 1, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, "region_id" uuid NULL, PRIMARY KEY ("id"), CONSTRAINT "stores_regions_region" FOREIGN KEY ("region_id") REFERENCES "regions" ("id") ON UPDATE NO ACTION ON DELETE SET NULL);
-- create index "stores_code_key" to table: "stores"
CREATE UNIQUE INDEX "stores_code_key" ON "stores" ("code");
-- create index "stores_region_idx" to table: "stores"
CREATE INDEX "stores_region_idx" ON "stores" ("region_id");
-- create "staff" table
CREATE TABLE "staff" ("id" uuid NOT NULL, "username" character varying NOT NULL, "name" character varying NOT NULL, "store_id" uuid NULL, "password_hash" character varying NOT NULL, "must_change_password" boolean NOT NULL DEFAULT false, "status" character varying NOT NULL DEFAULT 'active', "version" bigint NOT NULL DEFAULT 1, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "staff_store_id_fkey" FOREIGN KEY ("store_id") REFERENCES "stores" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION);
-- create index "staff_store_idx" to table: "staff"
CREATE INDEX "staff_store_idx" ON "staff" ("store_id", "id");
-- create index "staff_username_key" to table: "staff"
CREATE UNIQUE INDEX "staff_username_key" ON "staff" ("username");
-- create "customers" table
CREATE TABLE "customers" ("id" uuid NOT NULL, "external_id" character varying NULL, "data_key" bytea NOT NULL, "name_sealed" bytea NULL, "name_tokens" integer[] NOT NULL, "phone_sealed" bytea NULL, "phone_index" bytea NULL, "phone_last4_token" integer NULL, "phone_kind" character varying NULL, "email_sealed" bytea NULL, "email_index" bytea NULL, "card_number_sealed" bytea NULL, "card_number_index" bytea NULL, "address_sealed" bytea NULL, "address_region" character varying NULL, "address_city" character varying NULL, "gender" character varying NOT NULL DEFAULT 'unknown', "birth_date" date NULL, "language" character varying NOT NULL DEFAULT 'zh-CN', "source" character varying NOT NULL DEFAULT 'staff', "home_store_id" uuid NULL, "assigned_staff_id" uuid NULL, "preferences" jsonb NULL, "marketing_preferences" jsonb NULL, "custom_fields" jsonb NULL, "tag_ids" uuid[] NOT NULL, "lifecycle_stage" character varying NOT NULL DEFAULT 'prospect', "archived_at" timestamptz NULL, "version" bigint NOT NULL DEFAULT 1, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "customers_assigned_staff_id_fkey" FOREIGN KEY ("assigned_staff_id") REFERENCES "staff" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "customers_home_store_id_fkey" FOREIGN KEY ("home_store_id") REFERENCES "stores" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "customers_version_check" CHECK (version > 0));
-- create index "customers_card_number_key" to table: "customers"
CREATE UNIQUE INDEX "customers_card_number_key" ON "customers" ("card_number_index");
-- create index "customers_email_key" to table: "customers"
CREATE UNIQUE INDEX "customers_email_key" ON "customers" ("email_index");
-- create index "customers_external_id_key" to table: "customers"
CREATE UNIQUE INDEX "customers_external_id_key" ON "customers" ("external_id");
-- create index "customers_name_tokens_idx" to table: "customers"
CREATE INDEX "customers_name_tokens_idx" ON "customers" USING gin ("name_tokens");
-- create index "customers_phone_key" to table: "customers"
CREATE UNIQUE INDEX "customers_phone_key" ON "customers" ("phone_index");
-- create index "customers_phone_last4_idx" to table: "customers"
CREATE INDEX "customers_phone_last4_idx" ON "customers" ("phone_last4_token", "id");
-- create index "customers_staff_idx" to table: "customers"
CREATE INDEX "customers_staff_idx" ON "customers" ("assigned_staff_id", "id");
-- create index "customers_store_idx" to table: "customers"
CREATE INDEX "customers_store_idx" ON "customers" ("home_store_id", "id");
-- create index "customers_tag_ids_idx" to table: "customers"
CREATE INDEX "customers_tag_ids_idx" ON "customers" USING gin ("tag_ids");
-- create index "customers_updated_idx" to table: "customers"
CREATE INDEX "customers_updated_idx" ON "customers" ("updated_at", "id");
-- create "customer_metrics" table
CREATE TABLE "customer_metrics" ("id" uuid NOT NULL, "store_id" uuid NULL, "assigned_staff_id" uuid NULL, "first_order_on" date NULL, "last_order_on" date NULL, "order_count" bigint NOT NULL DEFAULT 0, "purchase_days" bigint NOT NULL DEFAULT 0, "unit_count" bigint NOT NULL DEFAULT 0, "spent_amount" bigint NOT NULL DEFAULT 0, "return_count" bigint NOT NULL DEFAULT 0, "returned_amount" bigint NOT NULL DEFAULT 0, "frequency" bigint NOT NULL DEFAULT 0, "monetary_amount" bigint NOT NULL DEFAULT 0, "rfm_band" character varying NOT NULL DEFAULT '', "reband_on" date NULL, "updated_at" timestamptz NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "customer_metrics_id_fkey" FOREIGN KEY ("id") REFERENCES "customers" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION);
-- create index "customer_metrics_band_idx" to table: "customer_metrics"
CREATE INDEX "customer_metrics_band_idx" ON "customer_metrics" ("rfm_band", "id");
-- create index "customer_metrics_reband_idx" to table: "customer_metrics"
CREATE INDEX "customer_metrics_reband_idx" ON "customer_metrics" ("reband_on");
-- create "orders" table
CREATE TABLE "orders" ("id" uuid NOT NULL, "order_number" character varying NOT NULL, "store_id" uuid NOT NULL, "assigned_staff_id" uuid NULL, "staff_id" uuid NULL, "customer_id" uuid NULL, "channel" character varying NOT NULL DEFAULT 'pos', "external_number" character varying NULL, "status" character varying NOT NULL DEFAULT 'completed', "currency" character varying NOT NULL, "placed_at" timestamptz NOT NULL, "business_day" date NOT NULL, "line_count" bigint NOT NULL DEFAULT 0, "unit_count" bigint NOT NULL DEFAULT 0, "total_amount" bigint NOT NULL DEFAULT 0, "returned_amount" bigint NOT NULL DEFAULT 0, "payments" jsonb NULL, "version" bigint NOT NULL DEFAULT 1, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "orders_customer_id_fkey" FOREIGN KEY ("customer_id") REFERENCES "customers" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "orders_staff_id_fkey" FOREIGN KEY ("staff_id") REFERENCES "staff" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "orders_store_id_fkey" FOREIGN KEY ("store_id") REFERENCES "stores" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION);
-- create index "orders_customer_idx" to table: "orders"
CREATE INDEX "orders_customer_idx" ON "orders" ("customer_id", "placed_at", "id");
-- create index "orders_external_number_key" to table: "orders"
CREATE UNIQUE INDEX "orders_external_number_key" ON "orders" ("store_id", "external_number");
-- create index "orders_order_number_key" to table: "orders"
CREATE UNIQUE INDEX "orders_order_number_key" ON "orders" ("order_number");
-- create index "orders_placed_idx" to table: "orders"
CREATE INDEX "orders_placed_idx" ON "orders" ("placed_at", "id");
-- create index "orders_staff_idx" to table: "orders"
CREATE INDEX "orders_staff_idx" ON "orders" ("assigned_staff_id", "placed_at", "id");
-- create index "orders_store_idx" to table: "orders"
CREATE INDEX "orders_store_idx" ON "orders" ("store_id", "placed_at", "id");
-- create "categories" table
CREATE TABLE "categories" ("id" uuid NOT NULL, "name" character varying NOT NULL, "version" bigint NOT NULL DEFAULT 1, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, "parent_id" uuid NULL, PRIMARY KEY ("id"), CONSTRAINT "categories_categories_children" FOREIGN KEY ("parent_id") REFERENCES "categories" ("id") ON UPDATE NO ACTION ON DELETE SET NULL);
-- create index "categories_name_key" to table: "categories"
CREATE UNIQUE INDEX "categories_name_key" ON "categories" ("name");
-- create "products" table
CREATE TABLE "products" ("id" uuid NOT NULL, "kind" character varying NOT NULL DEFAULT 'general', "title" character varying NOT NULL, "description" text NULL, "brand" character varying NULL, "status" character varying NOT NULL DEFAULT 'active', "book" jsonb NULL, "apparel" jsonb NULL, "attributes" jsonb NULL, "isbn13" character varying NULL, "source" character varying NOT NULL DEFAULT 'staff', "version" bigint NOT NULL DEFAULT 1, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, "category_id" uuid NULL, PRIMARY KEY ("id"), CONSTRAINT "products_categories_category" FOREIGN KEY ("category_id") REFERENCES "categories" ("id") ON UPDATE NO ACTION ON DELETE SET NULL);
-- create index "products_category_idx" to table: "products"
CREATE INDEX "products_category_idx" ON "products" ("category_id", "id");
-- create index "products_isbn13_idx" to table: "products"
CREATE INDEX "products_isbn13_idx" ON "products" ("isbn13");
-- create index "products_title_trgm_idx" to table: "products"
CREATE INDEX "products_title_trgm_idx" ON "products" USING gin ("title" gin_trgm_ops);
-- create "variants" table
CREATE TABLE "variants" ("id" uuid NOT NULL, "sku" character varying NOT NULL, "barcode" character varying NULL, "price_amount" bigint NOT NULL DEFAULT 0, "cost_amount" bigint NULL, "options" jsonb NULL, "status" character varying NOT NULL DEFAULT 'active', "version" bigint NOT NULL DEFAULT 1, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, "product_id" uuid NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "variants_products_variants" FOREIGN KEY ("product_id") REFERENCES "products" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "variants_cost_check" CHECK ((cost_amount IS NULL) OR (cost_amount >= 0)), CONSTRAINT "variants_price_check" CHECK (price_amount >= 0));
-- create index "variants_barcode_idx" to table: "variants"
CREATE INDEX "variants_barcode_idx" ON "variants" ("barcode");
-- create index "variants_product_idx" to table: "variants"
CREATE INDEX "variants_product_idx" ON "variants" ("product_id", "id");
-- create index "variants_sku_key" to table: "variants"
CREATE UNIQUE INDEX "variants_sku_key" ON "variants" ("sku");
-- create "order_lines" table
CREATE TABLE "order_lines" ("id" uuid NOT NULL, "line_number" bigint NOT NULL, "variant_id" uuid NOT NULL, "category_id" uuid NULL, "sku" character varying NOT NULL, "title" character varying NOT NULL, "quantity" bigint NOT NULL, "unit_price_amount" bigint NOT NULL, "total_amount" bigint NOT NULL, "returned_quantity" bigint NOT NULL DEFAULT 0, "order_id" uuid NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "order_lines_orders_lines" FOREIGN KEY ("order_id") REFERENCES "orders" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "order_lines_variant_id_fkey" FOREIGN KEY ("variant_id") REFERENCES "variants" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "order_lines_price_check" CHECK ((unit_price_amount >= 0) AND (total_amount >= 0)), CONSTRAINT "order_lines_quantity_check" CHECK (quantity > 0));
-- create index "order_lines_order_key" to table: "order_lines"
CREATE UNIQUE INDEX "order_lines_order_key" ON "order_lines" ("order_id", "line_number");
-- create index "order_lines_variant_idx" to table: "order_lines"
CREATE INDEX "order_lines_variant_idx" ON "order_lines" ("variant_id");
-- create "order_returns" table
CREATE TABLE "order_returns" ("id" uuid NOT NULL, "return_number" character varying NOT NULL, "store_id" uuid NOT NULL, "assigned_staff_id" uuid NULL, "staff_id" uuid NULL, "customer_id" uuid NULL, "external_number" character varying NULL, "original_external_number" character varying NULL, "status" character varying NOT NULL DEFAULT 'refunded', "currency" character varying NOT NULL, "returned_at" timestamptz NOT NULL, "business_day" date NOT NULL, "line_count" bigint NOT NULL DEFAULT 0, "unit_count" bigint NOT NULL DEFAULT 0, "total_amount" bigint NOT NULL DEFAULT 0, "version" bigint NOT NULL DEFAULT 1, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, "order_id" uuid NULL, PRIMARY KEY ("id"), CONSTRAINT "order_returns_customer_id_fkey" FOREIGN KEY ("customer_id") REFERENCES "customers" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "order_returns_orders_returns" FOREIGN KEY ("order_id") REFERENCES "orders" ("id") ON UPDATE NO ACTION ON DELETE SET NULL, CONSTRAINT "order_returns_staff_id_fkey" FOREIGN KEY ("staff_id") REFERENCES "staff" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "order_returns_store_id_fkey" FOREIGN KEY ("store_id") REFERENCES "stores" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION);
-- create index "order_returns_customer_idx" to table: "order_returns"
CREATE INDEX "order_returns_customer_idx" ON "order_returns" ("customer_id", "returned_at", "id");
-- create index "order_returns_external_number_key" to table: "order_returns"
CREATE UNIQUE INDEX "order_returns_external_number_key" ON "order_returns" ("store_id", "external_number");
-- create index "order_returns_order_idx" to table: "order_returns"
CREATE INDEX "order_returns_order_idx" ON "order_returns" ("order_id");
-- create index "order_returns_original_idx" to table: "order_returns"
CREATE INDEX "order_returns_original_idx" ON "order_returns" ("store_id", "original_external_number");
-- create index "order_returns_return_number_key" to table: "order_returns"
CREATE UNIQUE INDEX "order_returns_return_number_key" ON "order_returns" ("return_number");
-- create index "order_returns_returned_idx" to table: "order_returns"
CREATE INDEX "order_returns_returned_idx" ON "order_returns" ("returned_at", "id");
-- create index "order_returns_staff_idx" to table: "order_returns"
CREATE INDEX "order_returns_staff_idx" ON "order_returns" ("assigned_staff_id", "returned_at", "id");
-- create index "order_returns_store_idx" to table: "order_returns"
CREATE INDEX "order_returns_store_idx" ON "order_returns" ("store_id", "returned_at", "id");
-- create "order_return_lines" table
CREATE TABLE "order_return_lines" ("id" uuid NOT NULL, "line_number" bigint NOT NULL, "variant_id" uuid NOT NULL, "category_id" uuid NULL, "sku" character varying NOT NULL, "title" character varying NOT NULL, "quantity" bigint NOT NULL, "unit_price_amount" bigint NOT NULL, "total_amount" bigint NOT NULL, "order_return_id" uuid NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "order_return_lines_order_returns_lines" FOREIGN KEY ("order_return_id") REFERENCES "order_returns" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "order_return_lines_variant_id_fkey" FOREIGN KEY ("variant_id") REFERENCES "variants" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "order_return_lines_price_check" CHECK ((unit_price_amount >= 0) AND (total_amount >= 0)), CONSTRAINT "order_return_lines_quantity_check" CHECK (quantity > 0));
-- create index "order_return_lines_return_key" to table: "order_return_lines"
CREATE UNIQUE INDEX "order_return_lines_return_key" ON "order_return_lines" ("order_return_id", "line_number");
-- create index "order_return_lines_variant_idx" to table: "order_return_lines"
CREATE INDEX "order_return_lines_variant_idx" ON "order_return_lines" ("variant_id");
-- create "roles" table
CREATE TABLE "roles" ("id" uuid NOT NULL, "code" character varying NOT NULL, "name" character varying NOT NULL, "built_in" boolean NOT NULL DEFAULT false, "permissions" text[] NOT NULL, "version" bigint NOT NULL DEFAULT 1, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, PRIMARY KEY ("id"));
-- create index "roles_code_key" to table: "roles"
CREATE UNIQUE INDEX "roles_code_key" ON "roles" ("code");
-- create "role_grants" table
CREATE TABLE "role_grants" ("id" uuid NOT NULL, "scope" character varying NOT NULL, "store_id" uuid NULL, "region_id" uuid NULL, "expires_at" timestamptz NULL, "created_at" timestamptz NOT NULL, "role_id" uuid NOT NULL, "staff_id" uuid NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "role_grants_region_id_fkey" FOREIGN KEY ("region_id") REFERENCES "regions" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "role_grants_roles_role" FOREIGN KEY ("role_id") REFERENCES "roles" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "role_grants_staff_grants" FOREIGN KEY ("staff_id") REFERENCES "staff" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "role_grants_store_id_fkey" FOREIGN KEY ("store_id") REFERENCES "stores" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "role_grants_scope_check" CHECK ((((scope)::text = 'store'::text) = (store_id IS NOT NULL)) AND (((scope)::text = 'region'::text) = (region_id IS NOT NULL))));
-- create index "role_grants_role_idx" to table: "role_grants"
CREATE INDEX "role_grants_role_idx" ON "role_grants" ("role_id");
-- create index "role_grants_staff_idx" to table: "role_grants"
CREATE INDEX "role_grants_staff_idx" ON "role_grants" ("staff_id");
-- create "sessions" table
CREATE TABLE "sessions" ("id" uuid NOT NULL, "staff_id" uuid NOT NULL, "refresh_hash" bytea NOT NULL, "previous_refresh_hash" bytea NULL, "successor_sealed" bytea NULL, "refreshed_at" timestamptz NULL, "user_agent" character varying NULL, "ip" character varying NULL, "created_at" timestamptz NOT NULL, "last_used_at" timestamptz NOT NULL, "expires_at" timestamptz NOT NULL, "revoked_at" timestamptz NULL, "revoked_reason" character varying NULL, PRIMARY KEY ("id"), CONSTRAINT "sessions_staff_id_fkey" FOREIGN KEY ("staff_id") REFERENCES "staff" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION);
-- create index "sessions_expires_idx" to table: "sessions"
CREATE INDEX "sessions_expires_idx" ON "sessions" ("expires_at");
-- create index "sessions_staff_idx" to table: "sessions"
CREATE INDEX "sessions_staff_idx" ON "sessions" ("staff_id", "id");

-- +goose Down
-- reverse: create index "sessions_staff_idx" to table: "sessions"
DROP INDEX "sessions_staff_idx";
-- reverse: create index "sessions_expires_idx" to table: "sessions"
DROP INDEX "sessions_expires_idx";
-- reverse: create "sessions" table
DROP TABLE "sessions";
-- reverse: create index "role_grants_staff_idx" to table: "role_grants"
DROP INDEX "role_grants_staff_idx";
-- reverse: create index "role_grants_role_idx" to table: "role_grants"
DROP INDEX "role_grants_role_idx";
-- reverse: create "role_grants" table
DROP TABLE "role_grants";
-- reverse: create index "roles_code_key" to table: "roles"
DROP INDEX "roles_code_key";
-- reverse: create "roles" table
DROP TABLE "roles";
-- reverse: create index "order_return_lines_variant_idx" to table: "order_return_lines"
DROP INDEX "order_return_lines_variant_idx";
-- reverse: create index "order_return_lines_return_key" to table: "order_return_lines"
DROP INDEX "order_return_lines_return_key";
-- reverse: create "order_return_lines" table
DROP TABLE "order_return_lines";
-- reverse: create index "order_returns_store_idx" to table: "order_returns"
DROP INDEX "order_returns_store_idx";
-- reverse: create index "order_returns_staff_idx" to table: "order_returns"
DROP INDEX "order_returns_staff_idx";
-- reverse: create index "order_returns_returned_idx" to table: "order_returns"
DROP INDEX "order_returns_returned_idx";
-- reverse: create index "order_returns_return_number_key" to table: "order_returns"
DROP INDEX "order_returns_return_number_key";
-- reverse: create index "order_returns_original_idx" to table: "order_returns"
DROP INDEX "order_returns_original_idx";
-- reverse: create index "order_returns_order_idx" to table: "order_returns"
DROP INDEX "order_returns_order_idx";
-- reverse: create index "order_returns_external_number_key" to table: "order_returns"
DROP INDEX "order_returns_external_number_key";
-- reverse: create index "order_returns_customer_idx" to table: "order_returns"
DROP INDEX "order_returns_customer_idx";
-- reverse: create "order_returns" table
DROP TABLE "order_returns";
-- reverse: create index "order_lines_variant_idx" to table: "order_lines"
DROP INDEX "order_lines_variant_idx";
-- reverse: create index "order_lines_order_key" to table: "order_lines"
DROP INDEX "order_lines_order_key";
-- reverse: create "order_lines" table
DROP TABLE "order_lines";
-- reverse: create index "variants_sku_key" to table: "variants"
DROP INDEX "variants_sku_key";
-- reverse: create index "variants_product_idx" to table: "variants"
DROP INDEX "variants_product_idx";
-- reverse: create index "variants_barcode_idx" to table: "variants"
DROP INDEX "variants_barcode_idx";
-- reverse: create "variants" table
DROP TABLE "variants";
-- reverse: create index "products_title_trgm_idx" to table: "products"
DROP INDEX "products_title_trgm_idx";
-- reverse: create index "products_isbn13_idx" to table: "products"
DROP INDEX "products_isbn13_idx";
-- reverse: create index "products_category_idx" to table: "products"
DROP INDEX "products_category_idx";
-- reverse: create "products" table
DROP TABLE "products";
-- reverse: create index "categories_name_key" to table: "categories"
DROP INDEX "categories_name_key";
-- reverse: create "categories" table
DROP TABLE "categories";
-- reverse: create index "orders_store_idx" to table: "orders"
DROP INDEX "orders_store_idx";
-- reverse: create index "orders_staff_idx" to table: "orders"
DROP INDEX "orders_staff_idx";
-- reverse: create index "orders_placed_idx" to table: "orders"
DROP INDEX "orders_placed_idx";
-- reverse: create index "orders_order_number_key" to table: "orders"
DROP INDEX "orders_order_number_key";
-- reverse: create index "orders_external_number_key" to table: "orders"
DROP INDEX "orders_external_number_key";
-- reverse: create index "orders_customer_idx" to table: "orders"
DROP INDEX "orders_customer_idx";
-- reverse: create "orders" table
DROP TABLE "orders";
-- reverse: create index "customer_metrics_reband_idx" to table: "customer_metrics"
DROP INDEX "customer_metrics_reband_idx";
-- reverse: create index "customer_metrics_band_idx" to table: "customer_metrics"
DROP INDEX "customer_metrics_band_idx";
-- reverse: create "customer_metrics" table
DROP TABLE "customer_metrics";
-- reverse: create index "customers_updated_idx" to table: "customers"
DROP INDEX "customers_updated_idx";
-- reverse: create index "customers_tag_ids_idx" to table: "customers"
DROP INDEX "customers_tag_ids_idx";
-- reverse: create index "customers_store_idx" to table: "customers"
DROP INDEX "customers_store_idx";
-- reverse: create index "customers_staff_idx" to table: "customers"
DROP INDEX "customers_staff_idx";
-- reverse: create index "customers_phone_last4_idx" to table: "customers"
DROP INDEX "customers_phone_last4_idx";
-- reverse: create index "customers_phone_key" to table: "customers"
DROP INDEX "customers_phone_key";
-- reverse: create index "customers_name_tokens_idx" to table: "customers"
DROP INDEX "customers_name_tokens_idx";
-- reverse: create index "customers_external_id_key" to table: "customers"
DROP INDEX "customers_external_id_key";
-- reverse: create index "customers_email_key" to table: "customers"
DROP INDEX "customers_email_key";
-- reverse: create index "customers_card_number_key" to table: "customers"
DROP INDEX "customers_card_number_key";
-- reverse: create "customers" table
DROP TABLE "customers";
-- reverse: create index "staff_username_key" to table: "staff"
DROP INDEX "staff_username_key";
-- reverse: create index "staff_store_idx" to table: "staff"
DROP INDEX "staff_store_idx";
-- reverse: create "staff" table
DROP TABLE "staff";
-- reverse: create index "stores_region_idx" to table: "stores"
DROP INDEX "stores_region_idx";
-- reverse: create index "stores_code_key" to table: "stores"
DROP INDEX "stores_code_key";
-- reverse: create "stores" table
DROP TABLE "stores";
-- reverse: create index "jobs_status_idx" to table: "jobs"
DROP INDEX "jobs_status_idx";
-- reverse: create index "jobs_requested_by_idx" to table: "jobs"
DROP INDEX "jobs_requested_by_idx";
-- reverse: create "jobs" table
DROP TABLE "jobs";
-- reverse: create index "regions_code_key" to table: "regions"
DROP INDEX "regions_code_key";
-- reverse: create "regions" table
DROP TABLE "regions";
-- reverse: create "settings" table
DROP TABLE "settings";
-- reverse: create index "tags_name_key" to table: "tags"
DROP INDEX "tags_name_key";
-- reverse: create "tags" table
DROP TABLE "tags";
-- reverse: create index "api_keys_key_id_key" to table: "api_keys"
DROP INDEX "api_keys_key_id_key";
-- reverse: create "api_keys" table
DROP TABLE "api_keys";
