-- +goose Up
-- When tags of a customer end that end by themselves, by id of the tag; NULL for
-- almost everybody. Whoever asks for a tag compares it with the present instant,
-- so that a tag is gone the moment it ends, whenever a job takes it off.
ALTER TABLE "customers" ADD COLUMN "tag_expiries" jsonb NULL, ADD COLUMN "lifecycle_pinned" boolean NOT NULL DEFAULT false;
ALTER TABLE "tags" ADD COLUMN "description" character varying NOT NULL DEFAULT '', ADD COLUMN "lifetime_days" integer NULL, ADD COLUMN "condition" text NULL, ADD COLUMN "job_id" uuid NULL;
INSERT INTO definition_revisions (name, revision) VALUES ('automatic_tags', 1);

-- From when until when customers had tags, why and by whom. Derived from
-- customers.tag_ids and tag_expiries by the triggers below, whoever writes them;
-- the writer says in the setting shuke.change, for its transaction, why and who.
CREATE TABLE customer_tag_history (
    id             uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    customer_id    uuid NOT NULL REFERENCES customers (id) ON DELETE CASCADE,
    tag_id         uuid NOT NULL,
    tag_name       text NOT NULL,
    origin         text NOT NULL,
    added_at       timestamptz NOT NULL,
    added_by       text,
    expires_at     timestamptz,
    removed_at     timestamptz,
    removed_origin text,
    removed_by     text
);
CREATE UNIQUE INDEX customer_tag_history_open_key ON customer_tag_history (customer_id, tag_id) WHERE removed_at IS NULL;
CREATE INDEX customer_tag_history_customer_idx ON customer_tag_history (customer_id, added_at, id);
CREATE INDEX customer_tag_history_due_idx ON customer_tag_history (expires_at) WHERE removed_at IS NULL AND expires_at IS NOT NULL;

-- +goose StatementBegin
CREATE FUNCTION note_new_tags() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    change jsonb := coalesce(NULLIF(current_setting('shuke.change', true), ''), '{}')::jsonb;
BEGIN
    IF EXISTS (SELECT 1 FROM made WHERE tag_ids <> '{}') THEN
        INSERT INTO customer_tag_history (customer_id, tag_id, tag_name, origin, added_at, added_by, expires_at)
        SELECT m.id, n.tag_id, coalesce(t.name, ''), CASE WHEN t.condition IS NULL THEN coalesce(change ->> 'origin', 'unknown') ELSE 'rule' END,
               m.created_at, change ->> 'by', (m.tag_expiries ->> n.tag_id::text)::timestamptz
        FROM made m CROSS JOIN LATERAL unnest(m.tag_ids) n (tag_id) LEFT JOIN tags t ON t.id = n.tag_id
        WHERE m.tag_ids <> '{}';
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
-- Undoing a merge of customers leaves the history as if there had been none.
-- +goose StatementBegin
CREATE FUNCTION note_changed_tags() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    change jsonb := coalesce(NULLIF(current_setting('shuke.change', true), ''), '{}')::jsonb;
    why    text := coalesce(change ->> 'origin', 'unknown');
    gone   uuid[] := ARRAY(SELECT unnest(OLD.tag_ids) EXCEPT SELECT unnest(NEW.tag_ids));
    come   uuid[] := ARRAY(SELECT unnest(NEW.tag_ids) EXCEPT SELECT unnest(OLD.tag_ids));
BEGIN
    IF why = 'merge_undo' THEN
        DELETE FROM customer_tag_history h WHERE h.customer_id = NEW.id AND h.tag_id = ANY (gone) AND h.removed_at IS NULL AND h.origin = 'merge';
        UPDATE customer_tag_history h SET removed_at = NULL, removed_origin = NULL, removed_by = NULL
        WHERE h.id IN (SELECT DISTINCT ON (o.tag_id) o.id FROM customer_tag_history o
                       WHERE o.customer_id = NEW.id AND o.tag_id = ANY (come) AND o.removed_origin = 'merge' ORDER BY o.tag_id, o.removed_at DESC);
    END IF;
    UPDATE customer_tag_history h
    SET removed_at = least(NEW.updated_at, (OLD.tag_expiries ->> h.tag_id::text)::timestamptz),
        removed_origin = CASE WHEN (OLD.tag_expiries ->> h.tag_id::text)::timestamptz <= NEW.updated_at THEN 'expiry'
                              WHEN why IN ('merge', 'merge_undo') OR NOT EXISTS (SELECT FROM tags t WHERE t.id = h.tag_id AND t.condition IS NOT NULL) THEN why
                              ELSE 'rule' END,
        removed_by = CASE WHEN (OLD.tag_expiries ->> h.tag_id::text)::timestamptz <= NEW.updated_at THEN NULL ELSE change ->> 'by' END
    WHERE h.customer_id = NEW.id AND h.tag_id = ANY (gone) AND h.removed_at IS NULL;
    INSERT INTO customer_tag_history (customer_id, tag_id, tag_name, origin, added_at, added_by)
    SELECT NEW.id, n.tag_id, coalesce(t.name, ''), CASE WHEN t.condition IS NULL OR why = 'merge' THEN why ELSE 'rule' END, NEW.updated_at, change ->> 'by'
    FROM unnest(come) n (tag_id) LEFT JOIN tags t ON t.id = n.tag_id
    ON CONFLICT (customer_id, tag_id) WHERE removed_at IS NULL DO NOTHING;
    UPDATE customer_tag_history h SET expires_at = (NEW.tag_expiries ->> h.tag_id::text)::timestamptz
    WHERE h.customer_id = NEW.id AND h.removed_at IS NULL AND h.expires_at IS DISTINCT FROM (NEW.tag_expiries ->> h.tag_id::text)::timestamptz;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER customers_tags_noted AFTER INSERT ON customers
    REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION note_new_tags();
CREATE TRIGGER customers_tags_changed AFTER UPDATE OF tag_ids, tag_expiries ON customers
    FOR EACH ROW WHEN (OLD.tag_ids IS DISTINCT FROM NEW.tag_ids OR OLD.tag_expiries IS DISTINCT FROM NEW.tag_expiries) EXECUTE FUNCTION note_changed_tags();

-- Of assignments made before there was a history the beginning is not known.
INSERT INTO customer_tag_history (customer_id, tag_id, tag_name, origin, added_at)
SELECT c.id, n.tag_id, coalesce(t.name, ''), 'unknown', c.updated_at
FROM customers c CROSS JOIN LATERAL unnest(c.tag_ids) n (tag_id) LEFT JOIN tags t ON t.id = n.tag_id
ON CONFLICT DO NOTHING;

-- +goose Down
DROP TRIGGER customers_tags_changed ON customers;
DROP TRIGGER customers_tags_noted ON customers;
DROP FUNCTION note_changed_tags();
DROP FUNCTION note_new_tags();
DROP TABLE customer_tag_history;
DELETE FROM definition_revisions WHERE name = 'automatic_tags';
ALTER TABLE "tags" DROP COLUMN "job_id", DROP COLUMN "condition", DROP COLUMN "lifetime_days", DROP COLUMN "description";
ALTER TABLE "customers" DROP COLUMN "lifecycle_pinned", DROP COLUMN "tag_expiries";
