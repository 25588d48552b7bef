-- +goose Up
-- Products are found by their fabric too.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION refresh_product_search(ids uuid[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO product_search AS s (product_id, kind, status, category_id, brand_id, low_price, high_price, text, terms)
    SELECT p.id, p.kind, p.status, p.category_id, p.brand_id, v.low, v.high, t.text,
           catalog_terms(t.text) || v.tags || ARRAY(
               SELECT 'a=' || catalog_text(a) FROM jsonb_array_elements_text(b.book -> 'authors') a
               UNION SELECT 'f=' || left(b.book ->> 'clc_code', n) FROM generate_series(1, length(b.book ->> 'clc_code')) n
               UNION SELECT 'l=' || lower(b.book ->> 'language') WHERE b.book ? 'language'
               UNION SELECT 'w=' || (b.book ->> 'work_id') WHERE b.book ? 'work_id'
               UNION SELECT 's=' || catalog_text(p.apparel ->> 'season') WHERE jsonb_typeof(p.apparel -> 'season') = 'string'
               UNION SELECT 'm=' || catalog_text(p.apparel ->> 'fabric') WHERE jsonb_typeof(p.apparel -> 'fabric') = 'string')
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
-- +goose StatementEnd
SELECT refresh_product_search(ARRAY(SELECT id FROM products WHERE apparel ? 'fabric'));

-- +goose Down
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION refresh_product_search(ids uuid[]) RETURNS void LANGUAGE sql AS $$
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
-- +goose StatementEnd
SELECT refresh_product_search(ARRAY(SELECT id FROM products WHERE apparel ? 'fabric'));
