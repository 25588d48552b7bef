-- +goose Up
-- Title fragments are found through trigrams. pg_trgm is a trusted extension:
-- the owner of the database may create it.
CREATE EXTENSION IF NOT EXISTS pg_trgm;
-- The service works as shuke_app, which owns nothing. Tables that only grow
-- take UPDATE and DELETE away again where they are made.
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO shuke_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO shuke_app;
GRANT USAGE ON SCHEMA public TO shuke_app;

-- +goose Down
ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE SELECT, INSERT, UPDATE, DELETE ON TABLES FROM shuke_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE USAGE, SELECT ON SEQUENCES FROM shuke_app;
DROP EXTENSION IF EXISTS pg_trgm;
