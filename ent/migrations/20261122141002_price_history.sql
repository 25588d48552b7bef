-- +goose Up
-- History of prices and of what was on sale, kept by triggers, so that nobody
-- who writes variants or lists can forget it. Who did it and why is what the
-- writer says in the setting shuke.change, for its transaction.

-- +goose StatementBegin
CREATE FUNCTION note_variant_prices() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    change jsonb := coalesce(NULLIF(current_setting('shuke.change', true), ''), '{}')::jsonb;
BEGIN
    INSERT INTO variant_price_changes (variant_id, old_amount, new_amount, changed_by, reason, changed_at)
    SELECT n.id, o.price_amount, n.price_amount, coalesce(change ->> 'name', ''), coalesce(change ->> 'reason', ''), n.updated_at
    FROM after n JOIN before o USING (id) WHERE n.price_amount <> o.price_amount ORDER BY n.id;
    INSERT INTO product_status_changes (product_id, variant_id, old_status, new_status, changed_by, reason, changed_at)
    SELECT n.product_id, n.id, o.status, n.status, coalesce(change ->> 'name', ''), coalesce(change ->> 'reason', ''), n.updated_at
    FROM after n JOIN before o USING (id) WHERE n.status <> o.status ORDER BY n.id;
    RETURN NULL;
END $$;

CREATE FUNCTION note_product_status() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    change jsonb := coalesce(NULLIF(current_setting('shuke.change', true), ''), '{}')::jsonb;
BEGIN
    INSERT INTO product_status_changes (product_id, old_status, new_status, changed_by, reason, changed_at)
    SELECT n.id, o.status, n.status, coalesce(change ->> 'name', ''), coalesce(change ->> 'reason', ''), n.updated_at
    FROM after n JOIN before o USING (id) WHERE n.status <> o.status ORDER BY n.id;
    RETURN NULL;
END $$;

CREATE FUNCTION note_listed_prices() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    change jsonb := coalesce(NULLIF(current_setting('shuke.change', true), ''), '{}')::jsonb;
    who    text := coalesce(change ->> 'name', '');
    why    text := coalesce(change ->> 'reason', '');
BEGIN
    CASE TG_OP
    WHEN 'INSERT' THEN
        INSERT INTO variant_price_changes (variant_id, price_list_id, price_list_code, min_quantity, new_amount, changed_by, reason, changed_at)
        SELECT n.variant_id, n.price_list_id, l.code, n.min_quantity, n.price_amount, who, why, n.created_at
        FROM after n JOIN price_lists l ON l.id = n.price_list_id ORDER BY n.id;
    WHEN 'UPDATE' THEN
        INSERT INTO variant_price_changes (variant_id, price_list_id, price_list_code, min_quantity, old_amount, new_amount, changed_by, reason, changed_at)
        SELECT n.variant_id, n.price_list_id, l.code, n.min_quantity, o.price_amount, n.price_amount, who, why, n.updated_at
        FROM after n JOIN before o USING (id) JOIN price_lists l ON l.id = n.price_list_id WHERE n.price_amount <> o.price_amount ORDER BY n.id;
    ELSE
        INSERT INTO variant_price_changes (variant_id, price_list_id, price_list_code, min_quantity, old_amount, changed_by, reason, changed_at)
        SELECT o.variant_id, o.price_list_id, l.code, o.min_quantity, o.price_amount, who, why, coalesce((change ->> 'at')::timestamptz, now())
        FROM before o JOIN price_lists l ON l.id = o.price_list_id ORDER BY o.id;
    END CASE;
    RETURN NULL;
END $$;
-- +goose StatementEnd

CREATE TRIGGER variants_history AFTER UPDATE ON variants REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION note_variant_prices();
CREATE TRIGGER products_history AFTER UPDATE ON products REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION note_product_status();
CREATE TRIGGER price_list_entries_added AFTER INSERT ON price_list_entries REFERENCING NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION note_listed_prices();
CREATE TRIGGER price_list_entries_changed AFTER UPDATE ON price_list_entries REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION note_listed_prices();
CREATE TRIGGER price_list_entries_removed AFTER DELETE ON price_list_entries REFERENCING OLD TABLE AS before
    FOR EACH STATEMENT EXECUTE FUNCTION note_listed_prices();

REVOKE ALL ON variant_price_changes, product_status_changes FROM shuke_app;
GRANT SELECT, INSERT ON variant_price_changes, product_status_changes TO shuke_app;
CREATE TRIGGER variant_price_changes_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON variant_price_changes
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER product_status_changes_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON product_status_changes
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- +goose Down
DROP TRIGGER product_status_changes_only_grows ON product_status_changes;
DROP TRIGGER variant_price_changes_only_grows ON variant_price_changes;
DROP TRIGGER price_list_entries_removed ON price_list_entries;
DROP TRIGGER price_list_entries_changed ON price_list_entries;
DROP TRIGGER price_list_entries_added ON price_list_entries;
DROP TRIGGER products_history ON products;
DROP TRIGGER variants_history ON variants;
DROP FUNCTION note_listed_prices;
DROP FUNCTION note_product_status;
DROP FUNCTION note_variant_prices;
