-- +goose Up
-- Rules that an administrator adds: expressions over the fields of one customer
-- that must be true. The trial is what came of it on the customers there are.
CREATE TABLE validation_rules (
    id         uuid PRIMARY KEY,
    entity     text NOT NULL CHECK (entity IN ('customer')),
    code       text COLLATE "C" NOT NULL,
    severity   text NOT NULL CHECK (severity IN ('error', 'warning')),
    expression text NOT NULL,
    definition jsonb NOT NULL,
    active     boolean NOT NULL DEFAULT false,
    revision   bigint NOT NULL DEFAULT 1,
    trial      jsonb,
    version    bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT validation_rules_code_key UNIQUE (entity, code)
);

-- +goose Down
DROP TABLE validation_rules;
