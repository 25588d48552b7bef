-- Made anew after every migration: views are definitions, not state.
DROP SCHEMA IF EXISTS bi CASCADE;

-- Business intelligence reads views only, without personal data.
CREATE SCHEMA bi;
GRANT USAGE ON SCHEMA bi TO shuke_bi;
CREATE VIEW bi.dim_store AS SELECT id AS store_id, code, name, city, region_id, status FROM stores;
CREATE VIEW bi.dim_customer AS
    SELECT c.id AS customer_id, c.home_store_id, c.gender, c.address_region AS region, c.address_city AS city, c.source,
           c.created_at, m.first_order_on, m.last_order_on, m.order_count, m.spent_amount, m.returned_amount, m.rfm_band
    FROM customers c LEFT JOIN customer_metrics m ON m.id = c.id WHERE c.merged_into_id IS NULL;
CREATE VIEW bi.dim_sku AS
    SELECT v.id AS variant_id, v.sku, p.id AS product_id, p.kind, p.title, p.brand, k.name AS category
    FROM variants v JOIN products p ON p.id = v.product_id LEFT JOIN categories k ON k.id = p.category_id;
CREATE VIEW bi.fact_order_line AS
    SELECT o.id AS order_id, o.store_id, o.customer_id, o.channel, o.business_day, o.placed_at, o.currency,
           l.line_number, l.variant_id, l.quantity, l.total_amount
    FROM orders o JOIN order_lines l ON l.order_id = o.id WHERE o.status NOT IN ('draft', 'placed', 'cancelled');
CREATE VIEW bi.fact_return_line AS
    SELECT r.id AS order_return_id, r.order_id, r.store_id, r.customer_id, r.business_day, r.returned_at, r.currency,
           l.line_number, l.variant_id, l.quantity, l.total_amount
    FROM order_returns r JOIN order_return_lines l ON l.order_return_id = r.id WHERE r.status = 'refunded';
GRANT SELECT ON ALL TABLES IN SCHEMA bi TO shuke_bi;

