-- +goose Up
-- drop index "stock_documents_external_number_key" from table: "stock_documents"
DROP INDEX "stock_documents_external_number_key";
-- create index "stock_documents_external_number_key" to table: "stock_documents"
CREATE UNIQUE INDEX "stock_documents_external_number_key" ON "stock_documents" ("external_number", "store_id");
-- create index "stock_levels_watched_idx" to table: "stock_levels"
CREATE INDEX "stock_levels_watched_idx" ON "stock_levels" ("store_id", "id") WHERE (low_stock_threshold IS NOT NULL);

-- +goose Down
-- reverse: create index "stock_levels_watched_idx" to table: "stock_levels"
DROP INDEX "stock_levels_watched_idx";
-- reverse: create index "stock_documents_external_number_key" to table: "stock_documents"
DROP INDEX "stock_documents_external_number_key";
-- reverse: drop index "stock_documents_external_number_key" from table: "stock_documents"
CREATE UNIQUE INDEX "stock_documents_external_number_key" ON "stock_documents" ("store_id", "external_number");
