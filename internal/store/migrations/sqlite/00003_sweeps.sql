-- Sweeps and other tasks, the evidence of tombstones, and how often topics are
-- heard. New tables alone: it costs nothing on a large database.

-- +goose Up

-- Work smaller than a full read: sweeps, undeletions, replays. What each is to
-- do, where it stands and what came of it is JSON of whoever carries it out.
CREATE TABLE tasks (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    shop_id    INTEGER NOT NULL REFERENCES shops (id),
    kind       TEXT    NOT NULL CHECK (kind IN ('sweep', 'undelete', 'replay')),
    reason     TEXT    NOT NULL, -- schedule, manual or silence.
    state      TEXT    NOT NULL CHECK (state IN ('queued', 'running', 'ok', 'partial', 'failed')),
    args       TEXT    NOT NULL,
    progress   TEXT    NOT NULL,
    report     TEXT    NOT NULL,
    error      TEXT    NOT NULL DEFAULT '',
    queued_at  INTEGER NOT NULL,
    started_at INTEGER NOT NULL DEFAULT 0, -- On the shop's Shopify clock; a replay's on this machine's.
    ended_at   INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX tasks_by_shop ON tasks (shop_id, kind, id);
CREATE UNIQUE INDEX tasks_open ON tasks (shop_id, kind, args) WHERE state IN ('queued', 'running');

-- From where the next pass of each sweep starts: the start of its last complete
-- pass less the overlap. Of scans: when the last complete one began, and how long it took.
CREATE TABLE sweep_marks (
    shop_id INTEGER NOT NULL REFERENCES shops (id),
    sweep   TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    took    INTEGER NOT NULL, -- Milliseconds.
    task_id INTEGER NOT NULL,
    PRIMARY KEY (shop_id, sweep)
);

-- Why a record was taken for deleted that no webhook told of.
CREATE TABLE tombstones (
    shop_id  INTEGER NOT NULL REFERENCES shops (id),
    kind     TEXT    NOT NULL,
    id       TEXT    NOT NULL,
    dead     INTEGER NOT NULL,
    evidence TEXT    NOT NULL, -- JSON of package reconcile.
    PRIMARY KEY (shop_id, kind, id)
);
CREATE INDEX tombstones_age ON tombstones (dead);

-- How often each topic is heard, by the hour of the week: JSON of package
-- reconcile, of one size whatever comes.
CREATE TABLE habits (
    shop_id INTEGER NOT NULL REFERENCES shops (id),
    topic   TEXT    NOT NULL,
    habit   TEXT    NOT NULL,
    PRIMARY KEY (shop_id, topic)
);

-- Up to where the inbox was counted for habits.
CREATE TABLE habits_counted (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    seq      INTEGER NOT NULL,
    at       INTEGER NOT NULL
);

-- Topics that were improbably quiet.
CREATE TABLE silences (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    shop_id    INTEGER NOT NULL REFERENCES shops (id),
    topic      TEXT    NOT NULL,
    since      INTEGER NOT NULL, -- When it was last heard.
    noticed_at INTEGER NOT NULL,
    expected   REAL    NOT NULL, -- How many busy slots there should have been.
    found      TEXT    NOT NULL, -- What the audit of the subscriptions found.
    task_id    INTEGER NOT NULL, -- The sweep of the gap; zero for none.
    ended_at   INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX silences_by_shop ON silences (shop_id, ended_at);
CREATE UNIQUE INDEX silences_open ON silences (shop_id, topic) WHERE ended_at = 0;

-- +goose Down
SELECT 1;
