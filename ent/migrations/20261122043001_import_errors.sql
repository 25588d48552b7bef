-- +goose Up
-- Rows of a file that could not be taken over. The cells are the uploader's own,
-- sealed; what is wrong with them is not personal.
CREATE TABLE import_errors (
    import_id uuid NOT NULL REFERENCES imports (id) ON DELETE CASCADE,
    row_number bigint NOT NULL,
    faults jsonb NOT NULL,
    cells_sealed bytea NOT NULL,
    PRIMARY KEY (import_id, row_number)
);

-- +goose Down
DROP TABLE import_errors;
