package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Backup writes the database as it is at one moment into a new file, beside
// whoever writes to it. The copy is without the shops' own keys: what it holds of
// customers' webhooks can be read by nobody, so that an erasure need not look for
// backups. A file that is there already is not touched, and is an error.
func (s *Store) Backup(ctx context.Context, path string) (err error) {
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("back up to %s: it is there already, or cannot be looked at (%w)", path, errors.Join(err, os.ErrExist))
	}
	// Made under another name, for its owner alone, and named when it is whole.
	part, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	defer removeDatabase(part.Name())
	if err := part.Close(); err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	if _, err := s.read.ExecContext(ctx, `VACUUM INTO $1`, part.Name()); err != nil {
		return fmt.Errorf("back up %s: %w", s.path, err)
	}
	if err := dropKeys(ctx, part.Name()); err != nil {
		return fmt.Errorf("take the keys out of the backup: %w", err)
	}
	// A link, unlike a rename, replaces nothing.
	if err := os.Link(part.Name(), path); err != nil {
		return fmt.Errorf("name the backup: %w", err)
	}
	return nil
}

func dropKeys(ctx context.Context, path string) error {
	db, err := openPool(path, 1, "mode=rw&_txlock=immediate")
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `DELETE FROM shop_keys`)
	if err == nil {
		// One file is what a backup is.
		_, err = db.ExecContext(ctx, `PRAGMA journal_mode = DELETE`)
	}
	return errors.Join(err, db.Close())
}
