-- +goose Up

-- Audit log: who did what to which object. It only grows; the service's role
-- may insert and read, and a trigger refuses everybody else too. Rows hold no
-- personal data: changes name fields and carry masked or coded values.
CREATE TABLE audit_logs (
    id           uuid PRIMARY KEY,
    created_at   timestamptz NOT NULL,
    actor_kind   text NOT NULL,
    actor_id     uuid,
    actor_name   text NOT NULL DEFAULT '',
    action       text NOT NULL,
    object_type  text NOT NULL,
    object_id    text NOT NULL,
    store_id     uuid,
    request_id   text NOT NULL DEFAULT '',
    reason       text NOT NULL DEFAULT '',
    changes      jsonb
);
CREATE INDEX audit_logs_object_idx ON audit_logs (object_type, object_id, id);
CREATE INDEX audit_logs_actor_idx ON audit_logs (actor_id, id);
CREATE INDEX audit_logs_action_idx ON audit_logs (action, id);

-- The hash chain over the audit log, written by a job soon after commit, so
-- that no request waits for the head of the chain.
CREATE TABLE audit_seals (
    seq       bigint PRIMARY KEY,
    audit_id  uuid NOT NULL UNIQUE REFERENCES audit_logs (id),
    prev_hash bytea NOT NULL,
    hash      bytea NOT NULL,
    sealed_at timestamptz NOT NULL
);

-- +goose StatementBegin
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% only grows', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
-- +goose StatementEnd
CREATE TRIGGER audit_logs_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_logs
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_seals_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_seals
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
REVOKE ALL ON audit_logs, audit_seals FROM shuke_app;
GRANT SELECT, INSERT ON audit_logs, audit_seals TO shuke_app;

-- Domain events wait here until the dispatcher has handed them to their
-- subscribers; payloads carry ids, never personal data.
CREATE TABLE outbox_events (
    id            uuid PRIMARY KEY,
    seq           bigint GENERATED ALWAYS AS IDENTITY,
    type          text NOT NULL,
    subject_type  text NOT NULL,
    subject_id    uuid NOT NULL,
    store_id      uuid,
    payload       jsonb NOT NULL,
    created_at    timestamptz NOT NULL,
    dispatched_at timestamptz,
    attempts      integer NOT NULL DEFAULT 0
);
CREATE INDEX outbox_events_waiting_idx ON outbox_events (seq) WHERE dispatched_at IS NULL;
CREATE INDEX outbox_events_done_idx ON outbox_events (dispatched_at) WHERE dispatched_at IS NOT NULL;

-- Answers of POST requests that carried an Idempotency-Key, written in the
-- transaction of their effect. The answer is sealed: it may hold personal data.
CREATE TABLE idempotency_keys (
    principal   text NOT NULL,
    key         text NOT NULL,
    fingerprint bytea NOT NULL,
    status      integer NOT NULL,
    response    bytea NOT NULL,
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    PRIMARY KEY (principal, key)
);
CREATE INDEX idempotency_keys_expires_idx ON idempotency_keys (expires_at);

-- Tickets of tills by their natural key: one row per ticket ever taken in,
-- with a fingerprint of its content, so that a twin is known for one and a
-- different ticket under a used number is told apart.
CREATE TABLE pos_tickets (
    store_id        uuid NOT NULL REFERENCES stores (id),
    external_number text NOT NULL,
    fingerprint     bytea NOT NULL,
    order_id        uuid,
    order_return_id uuid,
    created_at      timestamptz NOT NULL,
    PRIMARY KEY (store_id, external_number)
);
CREATE SEQUENCE order_numbers;
CREATE SEQUENCE return_numbers;
GRANT USAGE, SELECT ON order_numbers, return_numbers TO shuke_app;

-- What a customer bought and brought back on each business day. Windows of any
-- length, and late tickets, are exact sums over it.
CREATE TABLE customer_days (
    customer_id     uuid NOT NULL REFERENCES customers (id),
    day             date NOT NULL,
    order_count     integer NOT NULL DEFAULT 0,
    unit_count      bigint NOT NULL DEFAULT 0,
    spent_amount    bigint NOT NULL DEFAULT 0,
    return_count    integer NOT NULL DEFAULT 0,
    returned_amount bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (customer_id, day)
);

-- The scope columns of what belongs to a customer follow the customer.
-- +goose StatementBegin
CREATE FUNCTION follow_customer_scope() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.assigned_staff_id IS DISTINCT FROM OLD.assigned_staff_id THEN
        UPDATE orders SET assigned_staff_id = NEW.assigned_staff_id WHERE customer_id = NEW.id;
        UPDATE order_returns SET assigned_staff_id = NEW.assigned_staff_id WHERE customer_id = NEW.id;
    END IF;
    UPDATE customer_metrics SET store_id = NEW.home_store_id, assigned_staff_id = NEW.assigned_staff_id WHERE id = NEW.id;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER customers_scope_follows AFTER UPDATE OF home_store_id, assigned_staff_id ON customers
    FOR EACH ROW WHEN (NEW.home_store_id IS DISTINCT FROM OLD.home_store_id
                    OR NEW.assigned_staff_id IS DISTINCT FROM OLD.assigned_staff_id)
    EXECUTE FUNCTION follow_customer_scope();

-- Name tokens: common ones are told from rare ones by statistics fine enough
-- for a million names, and new rows must not pile up in a pending list that
-- every search would read through.
ALTER TABLE customers ALTER COLUMN name_tokens SET STATISTICS 1000;
ALTER INDEX customers_name_tokens_idx SET (fastupdate = off);

-- +goose Down
DROP TRIGGER customers_scope_follows ON customers;
DROP FUNCTION follow_customer_scope;
DROP TABLE customer_days, pos_tickets, idempotency_keys, outbox_events, audit_seals, audit_logs;
DROP SEQUENCE order_numbers, return_numbers;
DROP FUNCTION refuse_change;
