-- +goose Up
-- Codes of six digits sent to people. Neither the code nor whom it was sent to
-- can be read here: both are keyed hashes, the code's bound to its row.
CREATE TABLE one_time_codes (
    id           uuid PRIMARY KEY,
    purpose      text NOT NULL,
    subject_hash bytea NOT NULL,
    device_hash  bytea,
    ip_hash      bytea,
    code_hash    bytea NOT NULL,
    attempts     smallint NOT NULL DEFAULT 0,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    spent_at     timestamptz
);
-- Counting what was sent, for the limits, and finding what is old.
CREATE INDEX one_time_codes_subject_idx ON one_time_codes (subject_hash, created_at);
CREATE INDEX one_time_codes_device_idx ON one_time_codes (device_hash, created_at) WHERE device_hash IS NOT NULL;
CREATE INDEX one_time_codes_ip_idx ON one_time_codes (ip_hash, created_at) WHERE ip_hash IS NOT NULL;
CREATE INDEX one_time_codes_created_idx ON one_time_codes (created_at);

-- +goose Down
DROP TABLE one_time_codes;
