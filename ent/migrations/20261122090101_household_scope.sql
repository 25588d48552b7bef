-- +goose Up
-- Addresses and families are seen with their customer: their scope columns
-- follow the customer's.
-- +goose StatementBegin
CREATE FUNCTION follow_household_scope() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE customer_addresses SET store_id = NEW.home_store_id, assigned_staff_id = NEW.assigned_staff_id WHERE customer_id = NEW.id;
    UPDATE family_members SET store_id = NEW.home_store_id, assigned_staff_id = NEW.assigned_staff_id WHERE customer_id = NEW.id;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER customers_household_follows AFTER UPDATE OF home_store_id, assigned_staff_id ON customers
    FOR EACH ROW WHEN (NEW.home_store_id IS DISTINCT FROM OLD.home_store_id
                    OR NEW.assigned_staff_id IS DISTINCT FROM OLD.assigned_staff_id)
    EXECUTE FUNCTION follow_household_scope();

-- +goose Down
DROP TRIGGER customers_household_follows ON customers;
DROP FUNCTION follow_household_scope;
