-- Why the copy says what it says: the history of each record, the cause of each
-- drifted row, and what full reads prove of lost webhooks. On a large database
-- the one slow step is the index on the inbox, which reads a week of webhooks once.

-- +goose Up

-- What observations did to records. Written by the transaction that applies
-- them; bounded by age and by a number of entries a record (see OldHistory).
-- Observations that found all as it was are not here, but for the webhooks
-- that named the record.
CREATE TABLE history (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    shop_id    INTEGER NOT NULL REFERENCES shops (id),
    id         TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    source     TEXT    NOT NULL,
    topic      TEXT    NOT NULL, -- Of a webhook.
    delivery   INTEGER NOT NULL, -- Its number in the inbox, which may have been cleared since.
    outcome    TEXT    NOT NULL, -- Of the merge; or asked: a webhook named it, and it is read.
    absent     INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    as_of      INTEGER NOT NULL,
    heard      INTEGER NOT NULL,
    digest     BLOB    NOT NULL,
    fields     TEXT    NOT NULL, -- Which changed, separated by spaces; * for a record that was not shown before.
    at         INTEGER NOT NULL  -- By this machine's clock.
);
CREATE INDEX history_by_record ON history (shop_id, id, seq);
CREATE INDEX history_by_age ON history (at);

-- The cause of a drifted row, and what it was judged by. Rows of older runs have none.
ALTER TABLE drift ADD COLUMN parent TEXT NOT NULL DEFAULT '';
ALTER TABLE drift ADD COLUMN link TEXT NOT NULL DEFAULT '';
ALTER TABLE drift ADD COLUMN via TEXT NOT NULL DEFAULT '';            -- The record that hid or showed this one.
ALTER TABLE drift ADD COLUMN changed_at INTEGER NOT NULL DEFAULT 0;   -- In the shop, as far as known.
ALTER TABLE drift ADD COLUMN found_at INTEGER NOT NULL DEFAULT 0;     -- When the run saw it.
ALTER TABLE drift ADD COLUMN read_at INTEGER NOT NULL DEFAULT 0;      -- When what the copy said was last read.
ALTER TABLE drift ADD COLUMN cause TEXT NOT NULL DEFAULT '';
ALTER TABLE drift ADD COLUMN note TEXT NOT NULL DEFAULT '';
CREATE INDEX drift_by_id ON drift (run_id, id);
CREATE INDEX drift_by_parent ON drift (run_id, parent) WHERE parent <> '';

-- By run and topic: how many webhooks came since the full read before, and of
-- how many the drift proves that they never did.
CREATE TABLE run_topics (
    run_id   INTEGER NOT NULL REFERENCES runs (id),
    topic    TEXT    NOT NULL,
    received INTEGER NOT NULL,
    missed   INTEGER NOT NULL,
    PRIMARY KEY (run_id, topic)
) WITHOUT ROWID;

CREATE INDEX inbox_by_receipt ON inbox (shop_id, received_at, topic);

-- +goose Down
SELECT 1;
