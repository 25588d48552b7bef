-- The bare statements of spending a point of one account, which all clients share:
-- what the service writes, by prepared SQL, and nothing of what it checks.
BEGIN;
SELECT id AS account FROM points_accounts WHERE id = :account FOR UPDATE \gset
SELECT id AS lot FROM points_lots WHERE account_id = :account AND active > 0 ORDER BY expires_at, id LIMIT 1 \gset
UPDATE points_lots SET active = active - 1 WHERE id = :lot;
UPDATE points_accounts SET active = active - 1, entry_count = entry_count + 1, version = version + 1, updated_at = now() WHERE id = :account RETURNING entry_count AS number, active, pending, blocked \gset
SELECT gen_random_uuid() AS entry, gen_random_uuid() AS hold \gset
INSERT INTO points_holds (id, unit_id, customer_id, status, amount, captured, given_back, lots, reason, reference, version, created_at, updated_at)
    SELECT :hold::uuid, unit_id, customer_id, 'captured', 1, 1, 0, jsonb_build_array(jsonb_build_object('lot_id', :lot::text, 'account_id', id, 'amount', 1, 'captured', 1)), '', '', 1, now(), now()
    FROM points_accounts WHERE id = :account;
INSERT INTO points_entries (id, operation_id, account_id, number, kind, balance_change, pending_change, blocked_change, balance_after, pending_after, blocked_after, hold_id, reason, occurred_at, actor_kind, created_at)
    VALUES (:entry::uuid, :entry::uuid, :account, :number, 'redeem', -1, 0, 0, :active, :pending, :blocked, :hold::uuid, '', now(), 'system', now());
INSERT INTO points_postings (id, entry_id, account_id, lot_id, from_book, to_book, amount, created_at)
    VALUES (gen_random_uuid(), :entry::uuid, :account, :lot, 'active', 'spent', 1, now());
INSERT INTO audit_logs (id, created_at, actor_kind, actor_name, action, object_type, object_id) VALUES (gen_random_uuid(), now(), 'system', 'bare', 'points.redeem', 'points_hold', :hold);
INSERT INTO outbox_events (id, type, subject_type, subject_id, payload, created_at, dispatched_at) VALUES (gen_random_uuid(), 'points.changed', 'customer', :customer::uuid, '{"balance": 1}', now(), now());
INSERT INTO idempotency_keys (principal, key, fingerprint, status, response, created_at, expires_at) VALUES ('bare', :entry, '\x00', 201, '\x00', now(), now() + interval '1 day');
COMMIT;
