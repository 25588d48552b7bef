-- +goose Up
-- What became of a one-time code that a member sent: who it proved, sealed, for
-- some minutes, so that sending it again after a lost answer costs no second
-- call. The key is a keyed hash of the code.
CREATE TABLE member_exchanges (
    key         bytea PRIMARY KEY,
    device_hash bytea NOT NULL,
    claimed_at  timestamptz NOT NULL,
    outcome     bytea,
    customer_id uuid,
    expires_at  timestamptz NOT NULL
);
CREATE INDEX member_exchanges_expires_idx ON member_exchanges (expires_at);
CREATE INDEX member_exchanges_customer_idx ON member_exchanges (customer_id) WHERE customer_id IS NOT NULL;

-- The scope columns of what belongs to a customer follow the customer.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION follow_customer_scope() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.assigned_staff_id IS DISTINCT FROM OLD.assigned_staff_id THEN
        UPDATE orders SET assigned_staff_id = NEW.assigned_staff_id WHERE customer_id = NEW.id;
        UPDATE order_returns SET assigned_staff_id = NEW.assigned_staff_id WHERE customer_id = NEW.id;
    END IF;
    UPDATE customer_metrics SET store_id = NEW.home_store_id, assigned_staff_id = NEW.assigned_staff_id WHERE id = NEW.id;
    UPDATE customer_identities SET store_id = NEW.home_store_id, assigned_staff_id = NEW.assigned_staff_id WHERE customer_id = NEW.id;
    UPDATE consents SET store_id = NEW.home_store_id, assigned_staff_id = NEW.assigned_staff_id WHERE customer_id = NEW.id;
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION follow_customer_scope() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.assigned_staff_id IS DISTINCT FROM OLD.assigned_staff_id THEN
        UPDATE orders SET assigned_staff_id = NEW.assigned_staff_id WHERE customer_id = NEW.id;
        UPDATE order_returns SET assigned_staff_id = NEW.assigned_staff_id WHERE customer_id = NEW.id;
    END IF;
    UPDATE customer_metrics SET store_id = NEW.home_store_id, assigned_staff_id = NEW.assigned_staff_id WHERE id = NEW.id;
    RETURN NULL;
END $$;
-- +goose StatementEnd
DROP TABLE member_exchanges;
