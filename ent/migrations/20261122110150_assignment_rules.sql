-- +goose Up
-- Which assistant a customer of a store gets who has none: the first active rule,
-- by position, whose conditions hold. Empty conditions hold for everybody; no
-- people are all assistants of the store. Turn is how many customers a round
-- robin has given.
CREATE TABLE assignment_rules (
    id         uuid PRIMARY KEY,
    store_id   uuid NOT NULL REFERENCES stores (id) ON DELETE CASCADE,
    name       text NOT NULL,
    position   integer NOT NULL,
    active     boolean NOT NULL,
    method     text NOT NULL,
    staff_ids  uuid[] NOT NULL DEFAULT '{}',
    sources    text[] NOT NULL DEFAULT '{}',
    stages     text[] NOT NULL DEFAULT '{}',
    tag_ids    uuid[] NOT NULL DEFAULT '{}',
    turn       bigint NOT NULL DEFAULT 0,
    version    bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT assignment_rules_method_check CHECK (method IN ('fewest_customers', 'round_robin'))
);
CREATE INDEX assignment_rules_store_idx ON assignment_rules (store_id, position, id);
INSERT INTO definition_revisions (name, revision) VALUES ('assignment_rules', 1);

-- +goose Down
DELETE FROM definition_revisions WHERE name = 'assignment_rules';
DROP TABLE assignment_rules;
