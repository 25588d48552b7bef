-- +goose Up
-- Guesses at second factors, each written before it is judged, so that parallel
-- ones count too. Kept for the hour that they count; a right one is taken back.
CREATE TABLE factor_tries (
    id       uuid PRIMARY KEY,
    staff_id uuid NOT NULL REFERENCES staff (id) ON DELETE CASCADE,
    known    boolean NOT NULL, -- from a device that the person has used before
    tried_at timestamptz NOT NULL
);
CREATE INDEX factor_tries_staff_idx ON factor_tries (staff_id, known, tried_at);

-- Links to a new password. Only a hash is kept of what the mail says.
CREATE TABLE password_resets (
    id         uuid PRIMARY KEY,
    staff_id   uuid NOT NULL REFERENCES staff (id) ON DELETE CASCADE,
    token_hash bytea NOT NULL UNIQUE,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at    timestamptz
);
CREATE INDEX password_resets_staff_idx ON password_resets (staff_id, created_at);

-- +goose Down
DROP TABLE password_resets, factor_tries;
