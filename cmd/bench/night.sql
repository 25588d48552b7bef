-- Makes, beside the customers of the benchmark, :members members with ten lots of 100
-- points each, of which one expires tonight. A tenth of them is gold until tonight, and
-- of those every second one has bought enough to stay. Past triggers and foreign keys,
-- as nobody reads it before it is whole.
SET session_replication_role = replica;
SET synchronous_commit = off;
CREATE TEMP TABLE night AS SELECT n, gen_random_uuid() AS customer, gen_random_uuid() AS account FROM generate_series(1, :members) n;
INSERT INTO customers (id, data_key, name_tokens, tag_ids, tier_code, created_at, updated_at)
    SELECT customer, '\x00', '{}', '{}', CASE WHEN n % 10 = 0 THEN 'night_gold' END, now() - interval '3 years', now() FROM night;
INSERT INTO points_accounts (id, unit_id, opened_for, customer_id, active, entry_count, due_at, warn_at, warned_at, created_at, updated_at)
    SELECT account, (SELECT id FROM points_units WHERE code = 'points'), customer, customer, 1000, 10, now() - interval '1 minute', now() + interval '20 days', now(), now(), now() FROM night;
INSERT INTO points_lots (id, account_id, amount, active, earned_at, active_at, expires_at, created_at)
    SELECT gen_random_uuid(), account, 100, 100, now() - interval '1 year', now() - interval '1 year', CASE WHEN k = 0 THEN now() - interval '1 minute' ELSE now() + k * interval '50 days' END, now()
    FROM night, generate_series(0, 9) k;
INSERT INTO memberships (id, customer_id, tier_code, since_at, ends_at, scheme_number, review_at, reviewed_at, created_at, updated_at)
    SELECT gen_random_uuid(), customer, 'night_gold', (current_date - 366)::timestamptz, current_date::timestamptz, 1, current_date::timestamptz, now() - interval '100 days', now(), now() FROM night WHERE n % 10 = 0;
INSERT INTO orders (id, order_number, store_id, customer_id, status, currency, placed_at, business_day, line_count, unit_count, total_amount, paid_amount, paid_at, version, created_at, updated_at)
    SELECT gen_random_uuid(), 'N' || n || '-' || k, (SELECT id FROM stores LIMIT 1), customer, 'completed', 'CNY', d, d, 1, 1, 600000, 600000, d, 1, now(), now()
    FROM night, LATERAL (VALUES (1, current_date - 366), (2, current_date - 100)) x (k, d) WHERE n % 10 = 0 AND (k = 1 OR n % 20 = 0);
