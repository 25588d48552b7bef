-- +goose Up
-- What was handed in is seen with its customer: the scope columns follow.
-- +goose StatementBegin
CREATE FUNCTION follow_submission_scope() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE form_submissions SET store_id = NEW.home_store_id, assigned_staff_id = NEW.assigned_staff_id WHERE customer_id = NEW.id;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER customers_submissions_follow AFTER UPDATE OF home_store_id, assigned_staff_id ON customers
    FOR EACH ROW WHEN (NEW.home_store_id IS DISTINCT FROM OLD.home_store_id
                    OR NEW.assigned_staff_id IS DISTINCT FROM OLD.assigned_staff_id)
    EXECUTE FUNCTION follow_submission_scope();

-- +goose Down
DROP TRIGGER customers_submissions_follow ON customers;
DROP FUNCTION follow_submission_scope;
