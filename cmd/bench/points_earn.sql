-- The bare statements of earning points on one of 10,000 accounts: what the service
-- writes, by prepared SQL, and nothing of what it checks.
\set n random(1, :people)
BEGIN;
SELECT account, customer FROM bench_accounts WHERE n = :n \gset
SELECT id AS locked FROM customers WHERE id = :customer FOR NO KEY UPDATE \gset
UPDATE points_accounts SET active = active + 5, entry_count = entry_count + 1, version = version + 1, updated_at = now() WHERE id = :account RETURNING entry_count AS number, active, pending, blocked \gset
SELECT gen_random_uuid() AS entry, gen_random_uuid() AS lot \gset
INSERT INTO points_lots (id, account_id, amount, pending, active, blocked, earned_at, active_at, expires_at, created_at) VALUES (:lot::uuid, :account, 5, 0, 5, 0, now(), now(), now() + interval '1 year', now());
INSERT INTO points_entries (id, operation_id, account_id, number, kind, balance_change, pending_change, blocked_change, balance_after, pending_after, blocked_after, reason, occurred_at, actor_kind, created_at)
    VALUES (:entry::uuid, :entry::uuid, :account, :number, 'earn', 5, 0, 0, :active, :pending, :blocked, '', now(), 'system', now());
INSERT INTO points_postings (id, entry_id, account_id, lot_id, from_book, to_book, amount, created_at)
    VALUES (gen_random_uuid(), :entry::uuid, :account, :lot::uuid, 'issued', 'active', 5, now());
INSERT INTO points_events (id, account_id, rule_id, key, day, points, created_at) SELECT gen_random_uuid(), :account, id, :entry, current_date, 5, now() FROM points_rules WHERE code = 'bench-event';
INSERT INTO outbox_events (id, type, subject_type, subject_id, payload, created_at, dispatched_at) VALUES (gen_random_uuid(), 'points.changed', 'customer', :customer, '{"balance": 1}', now(), now());
COMMIT;
