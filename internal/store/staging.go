package store

import (
	"fmt"

	"stockroom/internal/mirror"
)

// Staged is what one line of a bulk operation's file contributes to a record
// that is whole only together with other lines.
type Staged struct {
	Owner mirror.GID
	Child mirror.GID // Empty for the owner's own line.
	Data  []byte     // JSON of package shopify; nil where the ids say all.
}

// Stage keeps lines of a list that a run reads. A line that came before is replaced.
func (t *Tx) Stage(run int64, list string, rows []Staged) error {
	const columns = 5
	return chunks(rows, columns, func(part []Staged) error {
		args := make([]any, 0, len(part)*columns)
		for _, r := range part {
			args = append(args, run, list, r.Owner, r.Child, r.Data)
		}
		_, err := t.exec(`INSERT INTO staged (run_id, list, owner, child, data) VALUES `+placeholders(1, len(part), columns)+`
			ON CONFLICT (run_id, list, owner, child) DO UPDATE SET data = excluded.data`, args...)
		if err != nil {
			return fmt.Errorf("stage %d lines of %s: %w", len(part), list, err)
		}
		return nil
	})
}

// Staged lists up to limit lines that are staged of a list, by owner; an owner's
// own line comes before its children.
func (t *Tx) Staged(run int64, name string, limit int) ([]Staged, error) {
	return list(t, `SELECT owner, child, data FROM staged WHERE run_id = $1 AND list = $2 ORDER BY owner, child LIMIT $3`, []any{run, name, limit},
		func(scan func(...any) error) (Staged, error) {
			var r Staged
			err := scan(&r.Owner, &r.Child, &r.Data)
			return r, err
		})
}

// CountStagedOwners counts the owners whose own line is staged.
func (t *Tx) CountStagedOwners(run int64, list string) (int64, error) {
	var n int64
	err := t.one(`SELECT COUNT(*) FROM staged WHERE run_id = $1 AND list = $2 AND child = ''`, []any{run, list}, &n)
	return n, err
}

// CountStaged counts the lines that are staged of a list.
func (t *Tx) CountStaged(run int64, list string) (int64, error) {
	var n int64
	err := t.one(`SELECT COUNT(*) FROM staged WHERE run_id = $1 AND list = $2`, []any{run, list}, &n)
	return n, err
}

// DropStaged drops what is staged of a list up to an owner, and of that owner too.
func (t *Tx) DropStaged(run int64, list string, upTo mirror.GID) error {
	_, err := t.exec(`DELETE FROM staged WHERE run_id = $1 AND list = $2 AND owner <= $3`, run, list, upTo)
	if err != nil {
		return fmt.Errorf("drop staged lines of %s: %w", list, err)
	}
	return nil
}

// LastChange is the number of the newest entry of the shop's change feed; zero for none.
func (t *Tx) LastChange(shop int64) (int64, error) {
	var seq int64
	err := t.one(`SELECT COALESCE(MAX(seq), 0) FROM changes WHERE shop_id = $1`, []any{shop}, &seq)
	return seq, err
}

// KnownSince counts the records of a kind of which a webhook or a read by id has
// told, since an entry of the change feed, that they came or went. What hangs on
// a record that went went with it, without an entry of its own.
func (t *Tx) KnownSince(shop, seq int64, kind mirror.Kind) (came, went int64, err error) {
	const since = ` FROM changes WHERE shop_id = $1 AND seq > $2 AND source IN ('webhook', 'id') AND action = `
	if err = t.one(`SELECT COUNT(DISTINCT id)`+since+`'created' AND kind = $3`, []any{shop, seq, kind}, &came); err != nil {
		return 0, 0, fmt.Errorf("count new %s: %w", kind, err)
	}
	if err = t.one(`SELECT COUNT(DISTINCT id)`+since+`'deleted' AND kind = $3`, []any{shop, seq, kind}, &went); err != nil {
		return 0, 0, fmt.Errorf("count deleted %s: %w", kind, err)
	}
	var with int64
	err = t.one(`SELECT COUNT(*) FROM records WHERE shop_id = $1 AND kind = $2 AND parent <> '' AND parent IN
		(SELECT id FROM changes WHERE shop_id = $1 AND seq > $3 AND source IN ('webhook', 'id') AND action = 'deleted')`,
		[]any{shop, kind, seq}, &with)
	if err != nil {
		return 0, 0, fmt.Errorf("count %s that went with their parents: %w", kind, err)
	}
	return came, went + with, nil
}
