-- +goose Up
-- Groups of customers put together by hand.
CREATE TABLE customer_groups (
    id          uuid PRIMARY KEY,
    name        text COLLATE "C" NOT NULL,
    description text NOT NULL DEFAULT '',
    version     bigint NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    CONSTRAINT customer_groups_name_key UNIQUE (name)
);
-- A list of a group walks the first index, in the order of the customers' ids.
CREATE TABLE customer_group_members (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    group_id    uuid NOT NULL REFERENCES customer_groups (id) ON DELETE CASCADE,
    customer_id uuid NOT NULL REFERENCES customers (id) ON DELETE CASCADE,
    added_by    text NOT NULL,
    added_at    timestamptz NOT NULL,
    CONSTRAINT customer_group_members_key UNIQUE (group_id, customer_id)
);
CREATE INDEX customer_group_members_customer_idx ON customer_group_members (customer_id);

-- +goose Down
DROP TABLE customer_group_members, customer_groups;
