-- +goose Up
-- Whether likely duplicates are merged without a person; one row, so that it can
-- be locked by those who are about to.
CREATE TABLE customer_merge_settings (
    only_one boolean PRIMARY KEY DEFAULT TRUE CHECK (only_one),
    value jsonb NOT NULL,
    version bigint NOT NULL,
    updated_at timestamptz NOT NULL
);
INSERT INTO customer_merge_settings (value, version, updated_at)
VALUES ('{"enabled": false, "threshold": 0.99, "survivor": "oldest", "may_differ": []}', 0, now());

-- +goose Down
DROP TABLE customer_merge_settings;
