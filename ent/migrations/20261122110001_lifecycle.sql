-- +goose Up
-- From which stage to which, when, why, by which rule and by whom. Kept by the
-- triggers below, whoever writes customers.lifecycle_stage; the reason comes in
-- the setting shuke.change. A stage that is not pinned follows from the rules.
-- Who never was anything but a prospect has no row.
CREATE TABLE customer_lifecycle_changes (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    customer_id uuid NOT NULL REFERENCES customers (id) ON DELETE CASCADE,
    from_stage  text,
    to_stage    text NOT NULL,
    pinned      boolean NOT NULL,
    cause       text NOT NULL,
    rule        text,
    changed_by  text,
    changed_at  timestamptz NOT NULL
);
CREATE INDEX customer_lifecycle_changes_customer_idx ON customer_lifecycle_changes (customer_id, changed_at, id);

-- +goose StatementBegin
CREATE FUNCTION note_first_stage() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    change jsonb := coalesce(NULLIF(current_setting('shuke.change', true), ''), '{}')::jsonb;
BEGIN
    INSERT INTO customer_lifecycle_changes (customer_id, to_stage, pinned, cause, changed_by, changed_at)
    VALUES (NEW.id, NEW.lifecycle_stage, NEW.lifecycle_pinned,
            CASE WHEN NEW.lifecycle_pinned THEN coalesce(change ->> 'origin', 'unknown') ELSE 'rules' END, change ->> 'by', NEW.created_at);
    RETURN NULL;
END $$;
-- +goose StatementEnd
-- Undoing a merge of customers leaves the history as if there had been none.
-- +goose StatementBegin
CREATE FUNCTION note_changed_stage() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    change jsonb := coalesce(NULLIF(current_setting('shuke.change', true), ''), '{}')::jsonb;
    why    text := coalesce(change ->> 'origin', 'unknown');
BEGIN
    IF why = 'merge_undo' THEN
        DELETE FROM customer_lifecycle_changes l
        WHERE l.id = (SELECT o.id FROM customer_lifecycle_changes o WHERE o.customer_id = NEW.id ORDER BY o.changed_at DESC, o.id DESC LIMIT 1)
          AND l.cause = 'merge' AND l.to_stage = OLD.lifecycle_stage AND l.from_stage = NEW.lifecycle_stage;
        IF FOUND THEN
            RETURN NULL;
        END IF;
    END IF;
    INSERT INTO customer_lifecycle_changes (customer_id, from_stage, to_stage, pinned, cause, rule, changed_by, changed_at)
    VALUES (NEW.id, OLD.lifecycle_stage, NEW.lifecycle_stage, NEW.lifecycle_pinned,
            CASE WHEN NEW.lifecycle_pinned OR why IN ('order', 'calendar', 'rules', 'merge', 'merge_undo', 'release') THEN why ELSE 'rules' END,
            CASE WHEN NOT NEW.lifecycle_pinned THEN change ->> 'rule' END, change ->> 'by', NEW.updated_at);
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER customers_stage_set AFTER INSERT ON customers
    FOR EACH ROW WHEN (NEW.lifecycle_stage <> 'prospect') EXECUTE FUNCTION note_first_stage();
CREATE TRIGGER customers_stage_changed AFTER UPDATE OF lifecycle_stage ON customers
    FOR EACH ROW WHEN (OLD.lifecycle_stage IS DISTINCT FROM NEW.lifecycle_stage) EXECUTE FUNCTION note_changed_stage();

-- Stages were set by hand alone until now, and stay as they were set.
UPDATE customers SET lifecycle_pinned = true WHERE lifecycle_stage <> 'prospect' AND NOT lifecycle_pinned;
-- The others are derived when the service looks at them next.
UPDATE customer_metrics SET reband_on = last_order_on WHERE last_order_on IS NOT NULL;

-- A list of one stage is walked in order. Most customers are prospects: whoever
-- asks for those finds some on every page.
CREATE INDEX "customers_stage_idx" ON "customers" ("lifecycle_stage", "id") WHERE ((lifecycle_stage)::text <> 'prospect'::text);

-- +goose Down
DROP INDEX "customers_stage_idx";
DROP TRIGGER customers_stage_changed ON customers;
DROP TRIGGER customers_stage_set ON customers;
DROP FUNCTION note_changed_stage();
DROP FUNCTION note_first_stage();
DROP TABLE customer_lifecycle_changes;
