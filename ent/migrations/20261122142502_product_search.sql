-- +goose Up
-- Brands were texts; each text becomes one.
INSERT INTO brands (id, name, created_at, updated_at)
SELECT gen_random_uuid(), brand, now(), now() FROM products WHERE brand <> '' GROUP BY brand;
UPDATE products p SET brand_id = b.id FROM brands b WHERE b.name = p.brand;

-- What products are found by: a narrow row for each, which triggers keep in step
-- with the product and its variants, whoever writes them.
CREATE TABLE product_search (
    product_id  uuid PRIMARY KEY REFERENCES products (id) ON DELETE CASCADE,
    kind        text NOT NULL,
    status      text NOT NULL,
    category_id uuid,
    brand_id    uuid,
    low_price   bigint, -- of its active variants
    high_price  bigint,
    text        text NOT NULL,
    terms       text[] NOT NULL
);

-- catalog_text makes texts comparable: width, and the case of Latin letters.
CREATE FUNCTION catalog_text(t text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT lower(normalize(t, NFKC) COLLATE "C") $$;

-- catalog_terms are what fragments of a text are found by: of Han characters
-- each one and each pair, of other letters and digits each two and each three
-- that stand together. internal/catalog/terms.go has the same for what somebody
-- types; a test compares them.
CREATE FUNCTION catalog_terms(t text) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(array_agg(DISTINCT substr(r.run, i, n)), '{}')
    FROM (
        SELECT m[1] AS run, 1 AS least FROM regexp_matches(t, '[\u2e80-\u2fdf\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+', 'g') m
        UNION ALL
        SELECT m[1], 2 FROM regexp_matches(t, '[^\x01-\x2f\x3a-\x60\x7b-\xbf\u2000-\u206f\u3000-\u303f\uff00-\uff0f\u2e80-\u2fdf\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+', 'g') m
    ) r, generate_series(r.least, r.least + 1) n, generate_series(1, length(r.run) - n + 1) i
$$;

-- refresh_product_search writes the rows of some products anew. Terms with an
-- equals sign stand for what products are filtered by.
-- +goose StatementBegin
CREATE FUNCTION refresh_product_search(ids uuid[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO product_search AS s (product_id, kind, status, category_id, brand_id, low_price, high_price, text, terms)
    SELECT p.id, p.kind, p.status, p.category_id, p.brand_id, v.low, v.high, t.text,
           catalog_terms(t.text) || v.tags || ARRAY(
               SELECT 'a=' || catalog_text(a) FROM jsonb_array_elements_text(b.book -> 'authors') a
               UNION SELECT 'f=' || left(b.book ->> 'clc_code', n) FROM generate_series(1, length(b.book ->> 'clc_code')) n
               UNION SELECT 'l=' || lower(b.book ->> 'language') WHERE b.book ? 'language'
               UNION SELECT 'w=' || (b.book ->> 'work_id') WHERE b.book ? 'work_id'
               UNION SELECT 's=' || catalog_text(p.apparel ->> 'season') WHERE jsonb_typeof(p.apparel -> 'season') = 'string')
    FROM products p
    CROSS JOIN LATERAL (SELECT CASE WHEN jsonb_typeof(p.book) = 'object' THEN p.book ELSE '{"authors": []}' END) b0 (book)
    CROSS JOIN LATERAL (SELECT CASE WHEN jsonb_typeof(b0.book -> 'authors') = 'array' THEN b0.book ELSE b0.book || '{"authors": []}' END) b (book)
    CROSS JOIN LATERAL (
        SELECT catalog_text(concat_ws(E'\n', p.title, NULLIF(p.brand, ''), (SELECT string_agg(a, E'\n') FROM jsonb_array_elements_text(b.book -> 'authors') a),
                                      b.book ->> 'publisher', b.book ->> 'series')) AS text
    ) t
    CROSS JOIN LATERAL (
        SELECT min(o.price_amount) FILTER (WHERE o.status = 'active') AS low, max(o.price_amount) FILTER (WHERE o.status = 'active') AS high,
               ARRAY(SELECT DISTINCT CASE WHEN lower(e.key) IN ('colour', 'color', '颜色') THEN 'c=' ELSE 'z=' END || catalog_text(e.value)
                     FROM variants x CROSS JOIN LATERAL jsonb_each_text(x.options) e
                     WHERE x.product_id = p.id AND x.status = 'active' AND jsonb_typeof(x.options) = 'object'
                       AND lower(e.key) IN ('colour', 'color', '颜色', 'size', '尺码', '尺寸')) AS tags
        FROM variants o WHERE o.product_id = p.id
    ) v
    WHERE p.id = ANY (ids) ORDER BY p.id
    ON CONFLICT (product_id) DO UPDATE SET kind = excluded.kind, status = excluded.status, category_id = excluded.category_id, brand_id = excluded.brand_id,
        low_price = excluded.low_price, high_price = excluded.high_price, text = excluded.text, terms = excluded.terms
    WHERE (s.kind, s.status, s.low_price, s.high_price, s.text, s.terms) IS DISTINCT FROM
          (excluded.kind, excluded.status, excluded.low_price, excluded.high_price, excluded.text, excluded.terms)
       OR s.category_id IS DISTINCT FROM excluded.category_id OR s.brand_id IS DISTINCT FROM excluded.brand_id
$$;

CREATE FUNCTION note_product_search() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refresh_product_search(ARRAY(SELECT id FROM after));
    RETURN NULL;
END $$;

CREATE FUNCTION note_product_search_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    ids uuid[] := ARRAY(SELECT n.id FROM after n JOIN before o USING (id)
        WHERE (n.kind, n.status, n.title) IS DISTINCT FROM (o.kind, o.status, o.title) OR n.brand IS DISTINCT FROM o.brand OR n.brand_id IS DISTINCT FROM o.brand_id
           OR n.category_id IS DISTINCT FROM o.category_id OR n.book IS DISTINCT FROM o.book OR n.apparel IS DISTINCT FROM o.apparel);
BEGIN
    IF cardinality(ids) > 0 THEN
        PERFORM refresh_product_search(ids);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION note_variant_search() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refresh_product_search(ARRAY(SELECT DISTINCT product_id FROM after));
    RETURN NULL;
END $$;

CREATE FUNCTION note_variant_search_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    ids uuid[] := ARRAY(SELECT DISTINCT n.product_id FROM after n JOIN before o USING (id)
        WHERE (n.price_amount, n.status) IS DISTINCT FROM (o.price_amount, o.status) OR n.options IS DISTINCT FROM o.options);
BEGIN
    IF cardinality(ids) > 0 THEN
        PERFORM refresh_product_search(ids);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd

SELECT refresh_product_search(ARRAY(SELECT id FROM products));

CREATE INDEX product_search_terms_idx ON product_search USING gin (terms);
CREATE INDEX product_search_category_idx ON product_search (category_id, product_id);
CREATE INDEX product_search_brand_idx ON product_search (brand_id, product_id);
CREATE INDEX product_search_price_idx ON product_search (low_price, product_id);
-- Which terms are common decides how a search is walked.
ALTER TABLE product_search ALTER COLUMN terms SET STATISTICS 1000;

CREATE TRIGGER products_search_added AFTER INSERT ON products REFERENCING NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION note_product_search();
CREATE TRIGGER products_search_changed AFTER UPDATE ON products REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION note_product_search_changed();
CREATE TRIGGER variants_search_added AFTER INSERT ON variants REFERENCING NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION note_variant_search();
CREATE TRIGGER variants_search_changed AFTER UPDATE ON variants REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION note_variant_search_changed();

-- +goose Down
DROP TRIGGER variants_search_changed ON variants;
DROP TRIGGER variants_search_added ON variants;
DROP TRIGGER products_search_changed ON products;
DROP TRIGGER products_search_added ON products;
DROP FUNCTION note_variant_search_changed;
DROP FUNCTION note_variant_search;
DROP FUNCTION note_product_search_changed;
DROP FUNCTION note_product_search;
DROP FUNCTION refresh_product_search;
DROP FUNCTION catalog_terms;
DROP FUNCTION catalog_text;
DROP TABLE product_search;
