-- +goose Up
-- What is wrong with each customer, as judged at the time that quality_passes
-- tells: a narrow row, so that all of them are counted in one walk. Problems are
-- bits (customers.Problems); details name custom fields and rules.
CREATE TABLE customer_quality (
    id                uuid PRIMARY KEY REFERENCES customers (id) ON DELETE CASCADE,
    home_store_id     uuid,
    assigned_staff_id uuid,
    problems          bigint NOT NULL,
    changed_on        date NOT NULL,
    active_on         date NOT NULL,
    gone              boolean NOT NULL,
    source            text COLLATE "C" NOT NULL,
    details           text[] COLLATE "C"
);
CREATE INDEX customer_quality_store_idx ON customer_quality (home_store_id, id);
CREATE INDEX customer_quality_staff_idx ON customer_quality (assigned_staff_id, id);
-- What is rare would otherwise be looked for among all customers. The numbers are
-- the bits of kind invalid, and of suspected duplicates.
CREATE INDEX customer_quality_invalid_idx ON customer_quality (id) WHERE problems & 134184960 <> 0 AND NOT gone;
CREATE INDEX customer_quality_duplicate_idx ON customer_quality (id) WHERE problems & 134217728 <> 0 AND NOT gone;
CREATE INDEX customer_quality_details_idx ON customer_quality USING gin (details);

-- Rows follow their customer at once in whose they are and whether they count;
-- what is wrong is judged by a job.
-- +goose StatementBegin
CREATE FUNCTION follow_customer_quality() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE customer_quality SET home_store_id = NEW.home_store_id, assigned_staff_id = NEW.assigned_staff_id, gone = NEW.archived_at IS NOT NULL WHERE id = NEW.id;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER customers_quality_follows AFTER UPDATE OF home_store_id, assigned_staff_id, archived_at ON customers
    FOR EACH ROW WHEN (OLD.home_store_id IS DISTINCT FROM NEW.home_store_id OR OLD.assigned_staff_id IS DISTINCT FROM NEW.assigned_staff_id
        OR (OLD.archived_at IS NULL) <> (NEW.archived_at IS NULL))
    EXECUTE FUNCTION follow_customer_quality();

-- The one row says as of when the judgements are, and how far a walk over all
-- customers has come. A pass holds it until held_until, which it renews.
CREATE TABLE quality_passes (
    id             boolean PRIMARY KEY DEFAULT true CHECK (id),
    as_of          timestamptz,
    judged_since   timestamptz,
    definitions    bigint,
    complete_at    timestamptz,
    held_until     timestamptz,
    walk_after     uuid,
    walk_began     timestamptz,
    walk_since     timestamptz,
    walk_by        bigint
);
INSERT INTO quality_passes (id) VALUES (true);

-- +goose Down
DROP TABLE quality_passes;
DROP TRIGGER customers_quality_follows ON customers;
DROP FUNCTION follow_customer_quality;
DROP TABLE customer_quality;
