-- +goose Up
CREATE UNIQUE INDEX merchants_code_expr_key ON merchants (lower(code));
ALTER TABLE role_grants DROP CONSTRAINT role_grants_scope_check, ADD CONSTRAINT role_grants_scope_check
  CHECK ((scope = 'store') = (store_id IS NOT NULL) AND (scope = 'region') = (region_id IS NOT NULL) AND (scope = 'merchant') = (merchant_id IS NOT NULL));

-- +goose Down
ALTER TABLE role_grants DROP CONSTRAINT role_grants_scope_check, ADD CONSTRAINT role_grants_scope_check
  CHECK ((scope = 'store') = (store_id IS NOT NULL) AND (scope = 'region') = (region_id IS NOT NULL));
DROP INDEX merchants_code_expr_key;
