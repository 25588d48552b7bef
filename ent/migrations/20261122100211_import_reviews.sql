-- +goose Up
-- Rows of a file whose customer exists, left to a person to decide about. The
-- cells are the uploader's own, sealed; matches name fields and ids.
CREATE TABLE import_reviews (
    import_id uuid NOT NULL REFERENCES imports (id) ON DELETE CASCADE,
    row_number bigint NOT NULL,
    matches jsonb NOT NULL,
    cells_sealed bytea NOT NULL,
    status text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'updated', 'created', 'skipped')),
    became_id uuid,
    decided_by text,
    decided_at timestamptz,
    PRIMARY KEY (import_id, row_number)
);
CREATE INDEX import_reviews_open_idx ON import_reviews (import_id, row_number) WHERE status = 'open';

-- +goose Down
DROP TABLE import_reviews;
