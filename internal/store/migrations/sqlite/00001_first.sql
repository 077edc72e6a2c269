-- The first schema. All moments are Unix milliseconds, zero for never, because
-- neither engine keeps a zoned time unharmed. JSON is opaque text: only Go reads it.

-- +goose Up

-- One row a shop that ever connected; numbers are never used twice, for work on
-- an erased shop may still be under way. One that is being erased has given up
-- its domain and its secrets, so that the shop may connect anew meanwhile. Tokens
-- and the webhook key are sealed; the key is found by its hash, since it is a
-- secret in a URL.
CREATE TABLE shops (
    id                 INTEGER PRIMARY KEY AUTOINCREMENT,
    domain             TEXT    NOT NULL UNIQUE,
    state              TEXT    NOT NULL CHECK (state IN ('connected', 'reconnect', 'uninstalled', 'erasing')),
    scopes             TEXT    NOT NULL,
    webhook_key_hash   BLOB    NOT NULL UNIQUE,
    webhook_key        BLOB    NOT NULL,
    access_token       BLOB,
    access_expires_at  INTEGER NOT NULL DEFAULT 0,
    access_renew_at    INTEGER NOT NULL DEFAULT 0,
    refresh_token      BLOB,
    refresh_expires_at INTEGER NOT NULL DEFAULT 0,
    clock_offset_ms    INTEGER NOT NULL DEFAULT 0,
    installed_at       INTEGER NOT NULL,
    uninstalled_at     INTEGER NOT NULL DEFAULT 0
);

-- The copy: mirror.State of every record, one row each.
CREATE TABLE records (
    shop_id    INTEGER NOT NULL REFERENCES shops (id),
    kind       TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    parent     TEXT    NOT NULL,
    link       TEXT    NOT NULL,
    content    TEXT,
    digest     BLOB    NOT NULL,
    updated_at INTEGER NOT NULL,
    as_of      INTEGER NOT NULL,
    dead       INTEGER NOT NULL,
    seen       INTEGER NOT NULL,
    heard      INTEGER NOT NULL,
    read_at    INTEGER NOT NULL,
    webhook_at INTEGER NOT NULL,
    webhook_lo BLOB    NOT NULL,
    webhook_hi BLOB    NOT NULL,
    except_at  INTEGER NOT NULL, -- Full reads that began up to then did not find it just so.
    PRIMARY KEY (shop_id, kind, id)
);
CREATE INDEX records_by_parent ON records (shop_id, parent, kind) WHERE parent <> '';
CREATE INDEX records_by_link ON records (shop_id, link) WHERE link <> '';

-- The start of the last complete ok read, by shop and kind: a row that it found
-- unchanged was not written, and is as good as read then.
CREATE TABLE complete_reads (
    shop_id    INTEGER NOT NULL REFERENCES shops (id),
    kind       TEXT    NOT NULL,
    started_at INTEGER NOT NULL,
    run_id     INTEGER NOT NULL,
    PRIMARY KEY (shop_id, kind)
);

-- The change feed: what readers see differently, in the order of the commits.
CREATE TABLE changes (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    shop_id INTEGER NOT NULL REFERENCES shops (id),
    kind    TEXT    NOT NULL,
    id      TEXT    NOT NULL,
    action  TEXT    NOT NULL CHECK (action IN ('created', 'updated', 'deleted')),
    source  TEXT    NOT NULL,
    as_of   INTEGER NOT NULL,
    at      INTEGER NOT NULL
);
CREATE INDEX changes_by_shop ON changes (shop_id, seq);

-- Reads by id that are owed. later keeps the second look at lagging totals
-- apart from the read that is wanted now.
CREATE TABLE demands (
    shop_id    INTEGER NOT NULL REFERENCES shops (id),
    read       TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    later      INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    as_of      INTEGER NOT NULL,
    due_at     INTEGER NOT NULL,
    made_at    INTEGER NOT NULL, -- When the first was asked for of those that no read has reached.
    asked_at   INTEGER NOT NULL, -- When it was last asked for.
    attempts   INTEGER NOT NULL DEFAULT 0,
    last_error TEXT    NOT NULL DEFAULT '',
    PRIMARY KEY (shop_id, read, id, later)
);
CREATE INDEX demands_due ON demands (shop_id, due_at);
CREATE INDEX demands_by_id ON demands (shop_id, id);

-- Webhooks as they came, until their time is over.
CREATE TABLE inbox (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    shop_id      INTEGER NOT NULL REFERENCES shops (id),
    topic        TEXT    NOT NULL,
    webhook_id   TEXT    NOT NULL,
    bound        INTEGER NOT NULL, -- 1: shop and topic are proved by the address; 0: they are claims.
    event_id     TEXT    NOT NULL,
    api_version  TEXT    NOT NULL,
    triggered_at INTEGER NOT NULL,
    received_at  INTEGER NOT NULL,
    body         BLOB    NOT NULL,
    state        TEXT    NOT NULL CHECK (state IN ('new', 'done', 'quarantined')),
    reason       TEXT    NOT NULL DEFAULT '', -- Why it is in quarantine.
    applied_at   INTEGER NOT NULL DEFAULT 0,
    UNIQUE (shop_id, topic, webhook_id)
);
CREATE INDEX inbox_new ON inbox (seq) WHERE state = 'new';
CREATE INDEX inbox_oldest ON inbox (shop_id, received_at) WHERE state = 'new';
CREATE INDEX inbox_age ON inbox (state, received_at);

-- A ring of deliveries whose signature was wrong: no body, claims only.
CREATE TABLE rejected (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    at         INTEGER NOT NULL,
    shop       TEXT    NOT NULL,
    topic      TEXT    NOT NULL,
    webhook_id TEXT    NOT NULL,
    digest     BLOB    NOT NULL
);

-- Acknowledged messages of which nothing else is kept: compliance topics and
-- uninstallations of shops that are not known.
CREATE TABLE receipts (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    at         INTEGER NOT NULL,
    shop       TEXT    NOT NULL,
    topic      TEXT    NOT NULL,
    webhook_id TEXT    NOT NULL,
    note       TEXT    NOT NULL
);

-- Full reads: imports and polls.
CREATE TABLE runs (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    shop_id    INTEGER NOT NULL REFERENCES shops (id),
    kind       TEXT    NOT NULL CHECK (kind IN ('import', 'poll')),
    reason     TEXT    NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('queued', 'running', 'ok', 'partial', 'failed')),
    accept_deletions INTEGER NOT NULL DEFAULT 0,
    queued_at  INTEGER NOT NULL,
    started_at INTEGER NOT NULL DEFAULT 0,
    ended_at   INTEGER NOT NULL DEFAULT 0,
    progress   TEXT    NOT NULL, -- Where each list stands: what an interrupted run goes on from.
    report     TEXT    NOT NULL,
    error      TEXT    NOT NULL DEFAULT ''
);
CREATE INDEX runs_by_shop ON runs (shop_id, id);
CREATE UNIQUE INDEX runs_one_open ON runs (shop_id) WHERE state IN ('queued', 'running');

-- Which records a run has read, until it ends: what it lacks is a candidate for deletion.
CREATE TABLE run_records (
    run_id INTEGER NOT NULL REFERENCES runs (id),
    kind   TEXT    NOT NULL,
    id     TEXT    NOT NULL,
    PRIMARY KEY (run_id, kind, id)
) WITHOUT ROWID;

-- What a run found drifted.
CREATE TABLE drift (
    run_id INTEGER NOT NULL REFERENCES runs (id),
    type   TEXT    NOT NULL,
    id     TEXT    NOT NULL,
    kind   TEXT    NOT NULL,
    class  TEXT    NOT NULL CHECK (class IN ('missing', 'stale', 'wrong', 'undeleted')),
    fields TEXT    NOT NULL,
    PRIMARY KEY (run_id, type, id, kind)
) WITHOUT ROWID;

-- Which local days a shop's daily poll was given a run for: a missed day runs
-- on return, and none runs twice.
CREATE TABLE daily_runs (
    shop_id INTEGER NOT NULL REFERENCES shops (id),
    day     TEXT    NOT NULL, -- 2026-11-24, in the poll's time zone.
    run_id  INTEGER NOT NULL REFERENCES runs (id),
    PRIMARY KEY (shop_id, day)
);

-- What the last audit of a shop's webhook subscriptions found or did.
CREATE TABLE subscriptions (
    shop_id    INTEGER NOT NULL REFERENCES shops (id),
    topic      TEXT    NOT NULL,
    gid        TEXT    NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('active', 'refused', 'failed')),
    reason     TEXT    NOT NULL,
    checked_at INTEGER NOT NULL,
    PRIMARY KEY (shop_id, topic)
);

-- Keys of the REST API, each for one shop.
CREATE TABLE api_keys (
    id           INTEGER PRIMARY KEY,
    shop_id      INTEGER NOT NULL REFERENCES shops (id),
    name         TEXT    NOT NULL,
    hash         BLOB    NOT NULL UNIQUE,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL DEFAULT 0,
    revoked_at   INTEGER NOT NULL DEFAULT 0
);

-- States of logins that came back, so that each works once. One under way needs
-- no row: what it must remember is sealed in the state itself.
CREATE TABLE oauth_states (
    state_hash BLOB PRIMARY KEY,
    expires_at INTEGER NOT NULL
);

-- The admin's sessions, and the progress pages of browsers that connected a shop.
CREATE TABLE sessions (
    hash       BLOB PRIMARY KEY,
    scope      TEXT    NOT NULL, -- admin, or connected:<domain>.
    expires_at INTEGER NOT NULL
);

-- The read model of products: one row a shown product, kept by the same
-- transaction that changes what it is made of.
CREATE TABLE product_search (
    rowid     INTEGER PRIMARY KEY,
    shop_id   INTEGER NOT NULL REFERENCES shops (id),
    id        TEXT    NOT NULL,
    handle    TEXT    NOT NULL,
    sort_key  TEXT    NOT NULL, -- The normalised title.
    status    TEXT    NOT NULL,
    published INTEGER NOT NULL,
    available INTEGER NOT NULL, -- Some variant is for sale.
    UNIQUE (shop_id, id)
);
CREATE INDEX product_search_order ON product_search (shop_id, sort_key, id);
CREATE INDEX product_search_handle ON product_search (shop_id, handle);

-- What each of its variants costs and whether it is for sale: one variant has to
-- meet all that is asked.
CREATE TABLE product_offers (
    product   INTEGER NOT NULL REFERENCES product_search (rowid) ON DELETE CASCADE,
    price     INTEGER NOT NULL, -- In millionths of the currency's unit.
    available INTEGER NOT NULL
);
CREATE INDEX product_offers_of ON product_offers (product, price, available);

-- Tokens are normalised and encoded in ASCII by Go, so that every engine finds
-- the same: the tokenizer only has to split at spaces.
CREATE VIRTUAL TABLE product_tokens USING fts5 (title, rest, content = '', contentless_delete = 1, tokenize = 'ascii');

-- +goose Down
SELECT 1;
