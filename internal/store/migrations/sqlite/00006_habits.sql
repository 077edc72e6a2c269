-- Habits are counted shop by shop, each in a transaction of its own, so how far
-- the inbox was counted is kept by shop. Small tables.

-- +goose Up
CREATE TABLE habits_counted_by_shop (
    shop_id INTEGER PRIMARY KEY REFERENCES shops (id),
    seq     INTEGER NOT NULL,
    at      INTEGER NOT NULL
);
INSERT INTO habits_counted_by_shop (shop_id, seq, at) SELECT shops.id, seq, at FROM shops, habits_counted;
DROP TABLE habits_counted;
ALTER TABLE habits_counted_by_shop RENAME TO habits_counted;

-- +goose Down
SELECT 1;
