-- What keeps a shop's tokens alive: the pair before the present one, who renews
-- them now, what they were got by, and which keys and secrets are in use. New
-- columns with constant defaults and new tables: it costs nothing on a large
-- database.

-- +goose Up

-- The tokens before the present ones. Shopify lets the old refresh token live
-- until the new one is used; an answer that was lost, or two answers of which
-- the wrong one was kept, are survived by it.
ALTER TABLE shops ADD COLUMN last_access_token BLOB;
ALTER TABLE shops ADD COLUMN last_access_expires_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE shops ADD COLUMN last_refresh_token BLOB;

-- How the present token was got, when, and by which of the app's secrets: a
-- fingerprint, as tokens die with the secret that they were got by.
ALTER TABLE shops ADD COLUMN token_grant TEXT NOT NULL DEFAULT 'login'
    CHECK (token_grant IN ('login', 'hand', 'session', 'client_credentials'));
ALTER TABLE shops ADD COLUMN token_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE shops ADD COLUMN token_secret TEXT NOT NULL DEFAULT '';

-- Why the shop must be connected again, in words for its operator.
ALTER TABLE shops ADD COLUMN trouble TEXT NOT NULL DEFAULT '';
ALTER TABLE shops ADD COLUMN trouble_at INTEGER NOT NULL DEFAULT 0;

-- Who may get tokens of a shop now: one at a time, of all processes on this
-- database. By domain, for a login comes before the shop's row.
CREATE TABLE token_leases (
    domain TEXT    PRIMARY KEY,
    holder TEXT    NOT NULL,
    until  INTEGER NOT NULL
);

-- The encryption key by which all that is sealed here is sealed, by its id.
-- Whoever seals looks first: a process that has not heard of a new key yet must
-- not write what cannot be opened tomorrow.
CREATE TABLE key_in_use (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    key_id   TEXT NOT NULL
);

-- Secrets of the app that were added while the service ran, newest last. Those
-- of the settings are beside them.
CREATE TABLE app_secrets (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    sealed   BLOB    NOT NULL,
    added_at INTEGER NOT NULL
);
