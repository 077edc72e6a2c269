-- Erasure: keys that stored bodies are sealed by, and receipts of what was
-- erased. It costs nothing on a large database.

-- +goose Up

-- A shop's own key, sealed by the encryption key: the stored bodies of topics
-- with customer data are sealed by it. Without it they are noise, so an erasure
-- begins with this row, and a backup is made without this table's rows.
CREATE TABLE shop_keys (
    shop_id INTEGER PRIMARY KEY REFERENCES shops (id),
    sealed  BLOB NOT NULL
);

ALTER TABLE inbox ADD COLUMN sealed INTEGER NOT NULL DEFAULT 0; -- 1: the body is sealed by the shop's own key.

-- What was asked to be erased or told of, how far that is, and what came of it.
-- A receipt outlives its shop: it holds the shop's domain, ids and counts.
CREATE TABLE erasure_receipts (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    shop       TEXT    NOT NULL,
    topic      TEXT    NOT NULL, -- Of the request; removed: by the operator.
    webhook_id TEXT    NOT NULL, -- Empty for removed.
    state      TEXT    NOT NULL CHECK (state IN ('asked', 'erasing', 'scrubbing', 'done')),
    erasing    INTEGER NOT NULL, -- The row of shops; zero where none is known.
    subjects   TEXT    NOT NULL, -- JSON: the ids that the request names.
    true_at    INTEGER NOT NULL, -- When it was triggered, on Shopify's clock.
    asked_at   INTEGER NOT NULL, -- These by this machine's clock.
    done_at    INTEGER NOT NULL DEFAULT 0,
    rows       TEXT    NOT NULL, -- JSON: how many were erased, or found, by table.
    remaining  INTEGER NOT NULL DEFAULT 0, -- Rows that the second look found; zero, or it is not done.
    note       TEXT    NOT NULL
);
CREATE INDEX erasure_receipts_open ON erasure_receipts (id) WHERE state <> 'done';
CREATE INDEX erasure_receipts_by_shop ON erasure_receipts (shop, topic);
CREATE UNIQUE INDEX erasure_receipts_once ON erasure_receipts (shop, topic, webhook_id) WHERE webhook_id <> '';

-- +goose Down
SELECT 1;
