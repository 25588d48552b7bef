-- Roles and database of Shuke, for a PostgreSQL of your own (15 or newer).
-- Run once as a superuser, and again at any time to change the passwords:
--
--   psql -d postgres -v ON_ERROR_STOP=1 \
--        -v owner_password=… -v app_password=… -v bi_password=… -f roles.sql
--
-- The service then takes
--   SHUKE_DATABASE_URL        postgres://shuke_app:…@host:5432/shuke
--   SHUKE_DATABASE_OWNER_URL  postgres://shuke_owner:…@host:5432/shuke   (migrations only)
--
-- shuke_owner owns the database and runs migrations. shuke_app is the service: it
-- owns nothing, so that it cannot change tables, and migrations grant it insert
-- and select only on ledgers and audit. shuke_bi reads reporting views.

SELECT 'CREATE ROLE shuke_owner' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'shuke_owner') \gexec
SELECT 'CREATE ROLE shuke_app' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'shuke_app') \gexec
SELECT 'CREATE ROLE shuke_bi' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'shuke_bi') \gexec

ALTER ROLE shuke_owner LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS NOREPLICATION PASSWORD :'owner_password';
ALTER ROLE shuke_app LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS NOREPLICATION PASSWORD :'app_password';
ALTER ROLE shuke_bi LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS NOREPLICATION CONNECTION LIMIT 10 PASSWORD :'bi_password';
ALTER ROLE shuke_bi SET default_transaction_read_only = on;
ALTER ROLE shuke_bi SET statement_timeout = '60s';

SELECT 'CREATE DATABASE shuke OWNER shuke_owner ENCODING ''UTF8'' TEMPLATE template0 LC_COLLATE ''C.UTF-8'' LC_CTYPE ''C.UTF-8''' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'shuke') \gexec
REVOKE ALL ON DATABASE shuke FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE shuke TO shuke_app;
GRANT CONNECT ON DATABASE shuke TO shuke_bi;

\connect shuke
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO shuke_app, shuke_bi;
