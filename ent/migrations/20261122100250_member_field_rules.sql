-- +goose Up
-- What members may do with the fields of their own record. One row: defaults
-- hold for the fields it does not name.
CREATE TABLE member_field_rules (
    only_one   boolean PRIMARY KEY DEFAULT TRUE CHECK (only_one),
    rules      jsonb NOT NULL,
    version    bigint NOT NULL,
    updated_at timestamptz NOT NULL
);
INSERT INTO member_field_rules (rules, version, updated_at) VALUES ('{}', 1, '2026-01-01T00:00:00Z');

-- +goose Down
DROP TABLE member_field_rules;
