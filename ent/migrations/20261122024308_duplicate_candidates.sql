-- +goose Up
-- create index "customers_birth_date_idx" to table: "customers"
CREATE INDEX "customers_birth_date_idx" ON "customers" ("birth_date", "id");
-- create "duplicate_candidates" table
CREATE TABLE "duplicate_candidates" ("id" uuid NOT NULL, "left_id" uuid NOT NULL, "right_id" uuid NOT NULL, "score" double precision NOT NULL, "reasons" jsonb NOT NULL, "status" character varying NOT NULL DEFAULT 'open', "note" character varying NULL, "decided_by" uuid NULL, "decided_at" timestamptz NULL, "version" bigint NOT NULL DEFAULT 1, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "duplicate_candidates_left_id_fkey" FOREIGN KEY ("left_id") REFERENCES "customers" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "duplicate_candidates_right_id_fkey" FOREIGN KEY ("right_id") REFERENCES "customers" ("id") ON UPDATE NO ACTION ON DELETE NO ACTION, CONSTRAINT "duplicate_candidates_order_check" CHECK (left_id < right_id), CONSTRAINT "duplicate_candidates_score_check" CHECK ((score >= (0)::double precision) AND (score <= (1)::double precision)));
-- create index "duplicate_candidates_pair_key" to table: "duplicate_candidates"
CREATE UNIQUE INDEX "duplicate_candidates_pair_key" ON "duplicate_candidates" ("left_id", "right_id");
-- create index "duplicate_candidates_queue_idx" to table: "duplicate_candidates"
CREATE INDEX "duplicate_candidates_queue_idx" ON "duplicate_candidates" ("status", "score", "id");
-- create index "duplicate_candidates_right_idx" to table: "duplicate_candidates"
CREATE INDEX "duplicate_candidates_right_idx" ON "duplicate_candidates" ("right_id");

-- +goose Down
-- reverse: create index "duplicate_candidates_right_idx" to table: "duplicate_candidates"
DROP INDEX "duplicate_candidates_right_idx";
-- reverse: create index "duplicate_candidates_queue_idx" to table: "duplicate_candidates"
DROP INDEX "duplicate_candidates_queue_idx";
-- reverse: create index "duplicate_candidates_pair_key" to table: "duplicate_candidates"
DROP INDEX "duplicate_candidates_pair_key";
-- reverse: create "duplicate_candidates" table
DROP TABLE "duplicate_candidates";
-- reverse: create index "customers_birth_date_idx" to table: "customers"
DROP INDEX "customers_birth_date_idx";
