-- +goose Up
-- The name index also knows to whom a customer belongs, so that an assistant's
-- search does not look at everybody with the name. As with names, the tokens of
-- owners are bound to the block: its number is in the upper bits.
CREATE FUNCTION owner_token(block integer, owner uuid) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (block << 22) | ((uuid_hash(owner) >> 10) & 4194303);
DROP INDEX customers_name_tokens_idx;
CREATE INDEX customers_name_tokens_expr_idx ON customers
    USING gin (name_tokens, (ARRAY[owner_token(name_block, home_store_id), owner_token(name_block, assigned_staff_id)]))
    WITH (fastupdate = on, gin_pending_list_limit = 256);
ALTER INDEX customers_name_tokens_expr_idx ALTER COLUMN 2 SET STATISTICS 0; -- no statement needs them
-- Last four digits of one store or assistant: the others with these digits are
-- passed over in the index.
DROP INDEX customers_phone_last4_idx;
CREATE INDEX customers_phone_last4_idx ON customers (phone_last4_token, id, home_store_id, assigned_staff_id);

-- +goose Down
DROP INDEX customers_phone_last4_idx;
CREATE INDEX customers_phone_last4_idx ON customers (phone_last4_token, id);
DROP INDEX customers_name_tokens_expr_idx;
CREATE INDEX customers_name_tokens_idx ON customers USING gin (name_tokens) WITH (fastupdate = on, gin_pending_list_limit = 256);
DROP FUNCTION owner_token;
