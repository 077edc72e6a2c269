-- What a poll set back is remembered with the record, so that the webhook which
-- said so is not believed when it comes again. Adding columns with a constant
-- default rewrites no row, whatever the size of the table.

-- +goose Up
ALTER TABLE records ADD COLUMN refuted_from INTEGER NOT NULL DEFAULT 0;
ALTER TABLE records ADD COLUMN refuted_to INTEGER NOT NULL DEFAULT 0;

-- +goose Down
SELECT 1;
