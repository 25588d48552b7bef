-- +goose Up
-- Files that are to be removed from the store of files: of uploads that never
-- became a row, and of rows that were deleted.
CREATE TABLE file_removals (
    name   text PRIMARY KEY,
    due_at timestamptz NOT NULL
);
CREATE INDEX file_removals_due_idx ON file_removals (due_at);

-- Attachments are seen with the customer, as notes are.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION follow_customer_timeline() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE notes SET store_id = NEW.home_store_id, assigned_staff_id = NEW.assigned_staff_id WHERE customer_id = NEW.id;
    UPDATE attachments SET store_id = NEW.home_store_id, assigned_staff_id = NEW.assigned_staff_id WHERE customer_id = NEW.id;
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION follow_customer_timeline() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE notes SET store_id = NEW.home_store_id, assigned_staff_id = NEW.assigned_staff_id WHERE customer_id = NEW.id;
    RETURN NULL;
END $$;
-- +goose StatementEnd
DROP TABLE file_removals;
