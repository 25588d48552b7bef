-- +goose Up
-- What staff write down about a customer is seen with the customer.
-- +goose StatementBegin
CREATE FUNCTION follow_customer_timeline() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE notes SET store_id = NEW.home_store_id, assigned_staff_id = NEW.assigned_staff_id WHERE customer_id = NEW.id;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER customers_timeline_follows AFTER UPDATE OF home_store_id, assigned_staff_id ON customers
    FOR EACH ROW WHEN (OLD.home_store_id IS DISTINCT FROM NEW.home_store_id OR OLD.assigned_staff_id IS DISTINCT FROM NEW.assigned_staff_id)
    EXECUTE FUNCTION follow_customer_timeline();

-- +goose Down
DROP TRIGGER customers_timeline_follows ON customers;
DROP FUNCTION follow_customer_timeline;
