-- +goose Up
-- Values of the retailer's own fields that are personal, sealed with the row's
-- data key; the others stand in custom_fields.
ALTER TABLE "customers" ADD COLUMN "custom_fields_sealed" bytea NULL;

-- What kinds of things the retailer keeps about customers besides the built-in
-- fields.
CREATE TABLE custom_fields (
    id          uuid PRIMARY KEY,
    entity      text NOT NULL CHECK (entity IN ('customer')),
    key         text COLLATE "C" NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('text', 'number', 'date', 'choice', 'multi_choice', 'boolean', 'reference')),
    personal    boolean NOT NULL,
    filterable  boolean NOT NULL,
    definition  jsonb NOT NULL,
    archived_at timestamptz,
    version     bigint NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    CONSTRAINT custom_fields_key_key UNIQUE (entity, key),
    CONSTRAINT custom_fields_personal_check CHECK (NOT (personal AND filterable))
);

-- Rises with every change of the definitions, so that a replica sees with one
-- small read whether its copy is still right.
CREATE TABLE definition_revisions (
    name     text PRIMARY KEY,
    revision bigint NOT NULL
);
INSERT INTO definition_revisions (name, revision) VALUES ('custom_fields', 1), ('validation_rules', 1);

-- Derived from customers.custom_fields by the triggers below: a row for each
-- value, in the column of its kind. Indexes on expressions cannot be made for
-- fields that are defined while the service runs; these serve all of them.
CREATE TABLE customer_field_values (
    customer_id uuid NOT NULL REFERENCES customers (id) ON DELETE CASCADE,
    field_id    uuid NOT NULL,
    position    smallint NOT NULL,
    text        text COLLATE "C",
    number      double precision,
    day         date,
    PRIMARY KEY (customer_id, field_id, position),
    CONSTRAINT customer_field_values_one_check CHECK (num_nonnulls(text, number, day) = 1)
);
CREATE INDEX customer_field_values_text_idx ON customer_field_values (field_id, text, customer_id) WHERE text IS NOT NULL;
CREATE INDEX customer_field_values_number_idx ON customer_field_values (field_id, number, customer_id) WHERE number IS NOT NULL;
CREATE INDEX customer_field_values_day_idx ON customer_field_values (field_id, day, customer_id) WHERE day IS NOT NULL;
-- One column holds the values of many fields: how common one is can only be told
-- together with the field.
CREATE STATISTICS customer_field_values_text_stats (mcv, ndistinct) ON field_id, text FROM customer_field_values;
CREATE STATISTICS customer_field_values_number_stats (mcv, ndistinct) ON field_id, number FROM customer_field_values;
ALTER TABLE customer_field_values ALTER COLUMN field_id SET STATISTICS 1000, ALTER COLUMN text SET STATISTICS 1000;

-- The rows that custom fields of one customer make. It never fails: what does
-- not look like its kind (written before the field was defined) counts as text.
-- +goose StatementBegin
CREATE FUNCTION customer_field_rows(fields jsonb)
RETURNS TABLE (field_id uuid, "position" smallint, text text, number double precision, day date) LANGUAGE sql STABLE AS $$
    SELECT f.id, (e.n - 1)::smallint,
           CASE WHEN k.kind IS NULL THEN left(e.v #>> '{}', 256) END,
           CASE WHEN k.kind = 'number' THEN (e.v #>> '{}')::double precision END,
           CASE WHEN k.kind = 'date' THEN (left(e.v #>> '{}', 8) || '01')::date + (right(e.v #>> '{}', 2)::integer - 1) END
    FROM jsonb_each(CASE WHEN jsonb_typeof(fields) = 'object' THEN fields END) p
    JOIN custom_fields f ON f.entity = 'customer' AND f.key = p.key AND NOT f.personal
    CROSS JOIN LATERAL jsonb_array_elements(CASE WHEN jsonb_typeof(p.value) = 'array' THEN p.value ELSE jsonb_build_array(p.value) END) WITH ORDINALITY e (v, n)
    CROSS JOIN LATERAL (SELECT CASE
        WHEN f.kind = 'number' AND jsonb_typeof(e.v) = 'number' AND abs((e.v #>> '{}')::numeric) <= 1e15 THEN 'number'
        WHEN f.kind = 'date' AND e.v #>> '{}' ~ '^[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$' THEN 'date' END) k (kind)
    WHERE jsonb_typeof(e.v) <> 'null' AND e.n <= 1000
$$;
-- +goose StatementEnd

-- The lock (0x63666c64, "cfld") is held shared until commit by whoever writes
-- values, and alone by whoever changes definitions: a new definition finds all
-- values written before it, and those after it find the definition.
-- +goose StatementBegin
CREATE FUNCTION index_new_customer_fields() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM made WHERE custom_fields IS NOT NULL) THEN
        PERFORM pg_advisory_xact_lock_shared(1667656804);
        INSERT INTO customer_field_values (customer_id, field_id, position, text, number, day)
        SELECT m.id, r.field_id, r.position, r.text, r.number, r.day
        FROM made m CROSS JOIN LATERAL customer_field_rows(m.custom_fields) r
        WHERE m.custom_fields IS NOT NULL;
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION index_changed_customer_fields() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(1667656804);
    DELETE FROM customer_field_values WHERE customer_id = NEW.id;
    INSERT INTO customer_field_values (customer_id, field_id, position, text, number, day)
    SELECT NEW.id, r.field_id, r.position, r.text, r.number, r.day FROM customer_field_rows(NEW.custom_fields) r;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER customers_fields_indexed AFTER INSERT ON customers
    REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION index_new_customer_fields();
CREATE TRIGGER customers_fields_reindexed AFTER UPDATE OF custom_fields ON customers
    FOR EACH ROW WHEN (OLD.custom_fields IS DISTINCT FROM NEW.custom_fields) EXECUTE FUNCTION index_changed_customer_fields();

-- +goose Down
DROP TRIGGER customers_fields_reindexed ON customers;
DROP TRIGGER customers_fields_indexed ON customers;
DROP FUNCTION index_changed_customer_fields();
DROP FUNCTION index_new_customer_fields();
DROP FUNCTION customer_field_rows(jsonb);
DROP TABLE customer_field_values;
DROP TABLE definition_revisions;
DROP TABLE custom_fields;
ALTER TABLE "customers" DROP COLUMN "custom_fields_sealed";
