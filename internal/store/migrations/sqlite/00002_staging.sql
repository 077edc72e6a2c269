-- +goose Up

-- What lines of a bulk operation's file contribute to records that are whole only
-- together with other lines, until the file is believed. A row without a child is
-- the owner's own. Dropped as it is merged, and with its run.
CREATE TABLE staged (
    run_id INTEGER NOT NULL REFERENCES runs (id),
    list   TEXT    NOT NULL,
    owner  TEXT    NOT NULL,
    child  TEXT    NOT NULL,
    data   BLOB, -- JSON of package shopify; null where the ids say all.
    PRIMARY KEY (run_id, list, owner, child)
) WITHOUT ROWID;

-- +goose Down
SELECT 1;
