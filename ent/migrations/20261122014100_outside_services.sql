-- +goose Up
-- Tokens that an outside service gives the whole installation. One row a token;
-- whoever holds the lease may fetch a new one, the others wait for its result.
-- The token is sealed with the general key, bound to its name.
CREATE TABLE outside_tokens (
    name text PRIMARY KEY,
    sealed bytea,
    expires_at timestamptz,
    refresh_at timestamptz,
    lease uuid,
    leased_until timestamptz,
    CHECK ((sealed IS NULL) = (expires_at IS NULL) AND (sealed IS NULL) = (refresh_at IS NULL)),
    CHECK ((lease IS NULL) = (leased_until IS NULL))
);

-- Text messages by business day, for the ceiling on their cost.
CREATE TABLE sms_days (
    day date PRIMARY KEY,
    sent integer NOT NULL CHECK (sent >= 0)
);

-- +goose Down
DROP TABLE sms_days;
DROP TABLE outside_tokens;
