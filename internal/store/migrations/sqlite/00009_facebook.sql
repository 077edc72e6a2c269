-- Facebook Pages, each tied to a shop: their tokens, how they stand, and the
-- messages that shoppers write to them. New tables alone: it costs nothing on a
-- large database.

-- +goose Up

-- One row a Page that is connected. Numbers are never used twice. A Page that is
-- being erased has given up its number at Facebook and all that it had but what
-- hangs on this row, so that it may be connected anew meanwhile, as another row.
CREATE TABLE facebook_pages (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    shop_id         INTEGER NOT NULL REFERENCES shops (id),
    page_id         TEXT    NOT NULL UNIQUE,
    name            TEXT    NOT NULL,
    state           TEXT    NOT NULL CHECK (state IN ('connected', 'reconnect', 'erasing')),
    user_id         TEXT    NOT NULL, -- Of the person who connected it, by the number that is good for this app.
    token           BLOB,             -- Sealed.
    token_kind      TEXT    NOT NULL,
    scopes          TEXT    NOT NULL, -- JSON, this and the next two.
    granular        TEXT    NOT NULL,
    tasks           TEXT    NOT NULL,
    graph_version   TEXT    NOT NULL,
    connected_at    INTEGER NOT NULL,
    issued_at       INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL,
    data_expires_at INTEGER NOT NULL,
    verified_at     INTEGER NOT NULL, -- When Meta last said that the token is good.
    checked_at      INTEGER NOT NULL, -- When it was last asked, whatever it said.
    fields          TEXT    NOT NULL, -- Subscribed at the Page, as the last audit left it; words.
    refused         TEXT    NOT NULL, -- Fields that Meta does not take; words.
    audited_at      INTEGER NOT NULL,
    mended_at       INTEGER NOT NULL, -- When an audit last found the subscription gone.
    trouble         TEXT    NOT NULL, -- What is amiss with the token, in words for the operator, and
    remedy          TEXT    NOT NULL, -- what to do about it.
    trouble_at      INTEGER NOT NULL,
    hook_trouble    TEXT    NOT NULL, -- The same of the subscription.
    hook_remedy     TEXT    NOT NULL,
    hook_trouble_at INTEGER NOT NULL,
    policy          TEXT    NOT NULL, -- What Meta last warned the Page of; empty once it took it back.
    policy_at       INTEGER NOT NULL
);
CREATE INDEX facebook_pages_by_shop ON facebook_pages (shop_id);
CREATE INDEX facebook_pages_by_user ON facebook_pages (user_id) WHERE user_id <> '';

-- A login between Facebook's answer and the choice of a Page: the tokens of all
-- Pages that were shared, sealed, for some minutes. Found by the hash of the
-- browser's cookie.
CREATE TABLE facebook_logins (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    shop_id    INTEGER NOT NULL REFERENCES shops (id),
    hash       BLOB    NOT NULL UNIQUE,
    sealed     BLOB    NOT NULL, -- Empty once a Page was chosen.
    page       INTEGER NOT NULL DEFAULT 0, -- The one that was chosen.
    expires_at INTEGER NOT NULL
);

-- What was written to Pages, and by them, until its time is over. Bodies are
-- sealed by their shop's own key.
CREATE TABLE facebook_messages (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    shop_id     INTEGER NOT NULL REFERENCES shops (id),
    page        INTEGER NOT NULL REFERENCES facebook_pages (id),
    key         TEXT    NOT NULL, -- The same for the same event however often it comes.
    kind        TEXT    NOT NULL,
    mid         TEXT    NOT NULL,
    person      TEXT    NOT NULL, -- By the number that is good for this Page.
    standby     INTEGER NOT NULL,
    state       TEXT    NOT NULL CHECK (state IN ('waiting', 'kept')), -- waiting: somebody should answer.
    at          INTEGER NOT NULL, -- By Meta's clock.
    received_at INTEGER NOT NULL, -- By this machine's.
    body        BLOB    NOT NULL, -- Empty once its writer deleted it.
    UNIQUE (page, key)
);
CREATE INDEX facebook_messages_by_shop ON facebook_messages (shop_id);
CREATE INDEX facebook_messages_waiting ON facebook_messages (page, at) WHERE state = 'waiting';
CREATE INDEX facebook_messages_by_mid ON facebook_messages (page, mid) WHERE mid <> '';
CREATE INDEX facebook_messages_by_age ON facebook_messages (received_at);

-- The app's own subscription to Pages' webhooks, as the last audit left it.
CREATE TABLE facebook_app (
    only_row   INTEGER PRIMARY KEY CHECK (only_row = 1),
    callback   TEXT    NOT NULL,
    fields     TEXT    NOT NULL,
    audited_at INTEGER NOT NULL,
    trouble    TEXT    NOT NULL,
    remedy     TEXT    NOT NULL,
    trouble_at INTEGER NOT NULL
);

-- Secrets of the app at Meta that were added while the service ran, newest last.
CREATE TABLE facebook_secrets (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    sealed   BLOB    NOT NULL,
    added_at INTEGER NOT NULL
);

-- +goose Down
SELECT 1;
