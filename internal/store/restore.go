package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"time"

	"stockroom/internal/mirror"
)

// Restored is what a restore did.
type Restored struct {
	Aside    string // Where the database lies that was there before; empty for none.
	Polls    int    // Shops that the service reads whole when it starts.
	Erasures int    // Requests since the backup that the service carries out again.
	Unread   error  // Why the requests since the backup are not known; nil where they are.
}

// Restore puts a backup in the place of the database at a URL, which no service
// may be using. The backup stays as it is. A database that is there is put aside
// where replace says so, and is an error otherwise.
//
// What was erased after the backup was made lies in it still: the requests are
// taken over from the database that was there, and carried out again. And every
// connected shop is due for a full read, since of what webhooks told after the
// backup it knows nothing.
func Restore(ctx context.Context, backup, databaseURL string, replace bool, now time.Time) (done Restored, err error) {
	path, err := pathOf(databaseURL)
	if err != nil {
		return done, err
	}
	release, err := Lock(databaseURL)
	if errors.Is(err, ErrLocked) {
		return done, fmt.Errorf("restore: %w: stop it first", err)
	}
	if err != nil {
		return done, err
	}
	defer release()
	_, missing := os.Lstat(path)
	there := !errors.Is(missing, fs.ErrNotExist)
	if there && !replace {
		return done, fmt.Errorf("restore: there is a database at %s: --replace puts it aside", path)
	}

	part, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return done, fmt.Errorf("restore: %w", err)
	}
	defer removeDatabase(part.Name())
	if err := part.Close(); err != nil {
		return done, fmt.Errorf("restore: %w", err)
	}
	if err := copyBackup(ctx, backup, part.Name()); err != nil {
		return done, fmt.Errorf("restore %s: %w", backup, err)
	}
	restored, err := Open(ctx, "sqlite://"+part.Name(), ReadWrite)
	if err != nil {
		return done, fmt.Errorf("restore %s: %w", backup, err)
	}
	if there {
		done.Erasures, done.Unread = restored.takeErasures(ctx, databaseURL)
	} else {
		done.Unread = fmt.Errorf("there is no database at %s that would know them", path)
	}
	done.Polls, err = restored.queuePolls(ctx, mirror.At(now))
	if err = errors.Join(err, restored.Close()); err != nil {
		return done, fmt.Errorf("restore %s: %w", backup, err)
	}
	if there {
		if done.Aside, err = putAside(path, now); err != nil {
			return done, fmt.Errorf("put the database at %s aside: %w", path, err)
		}
	}
	// A link, unlike a rename, replaces nothing.
	if err := os.Link(part.Name(), path); err != nil {
		return done, fmt.Errorf("restore: name the database: %w", err)
	}
	return done, nil
}

// copyBackup checks that a file is a whole backup of this program's, of this
// version or an earlier one, and copies it.
func copyBackup(ctx context.Context, backup, to string) error {
	if _, err := os.Stat(backup); err != nil {
		return err
	}
	from, err := openPool(backup, 1, "mode=ro")
	if err != nil {
		return err
	}
	defer from.Close()
	s := &Store{read: from, path: backup}
	have, err := s.SchemaVersion(ctx)
	if err != nil {
		return fmt.Errorf("%w: is this a backup of Stockroom?", err)
	}
	want, err := newest()
	if err != nil {
		return err
	}
	if have > want {
		return fmt.Errorf("it has schema %d, newer than this program's %d: use a newer stockroom", have, want)
	}
	if err := s.QuickCheck(ctx); err != nil {
		return err
	}
	if _, err := from.ExecContext(ctx, `VACUUM INTO $1`, to); err != nil {
		return fmt.Errorf("copy it: %w", err)
	}
	return nil
}

// takeErasures takes over the receipts of the database at a URL that this one
// lacks. What they erased is erased again, where this one holds the shop.
func (s *Store) takeErasures(ctx context.Context, databaseURL string) (again int, err error) {
	old, err := Open(ctx, databaseURL, ReadOnly)
	if err != nil {
		return 0, err
	}
	defer old.Close()
	var receipts []ErasureReceipt
	err = old.View(ctx, func(tx *Tx) (err error) {
		receipts, err = tx.Erasures(math.MaxInt64)
		return err
	})
	if err != nil {
		return 0, err
	}
	type request struct {
		shop, topic, webhook string
		trueAt               mirror.Instant
	}
	nameOf := func(r ErasureReceipt) request { return request{r.Shop, r.Topic, r.WebhookID, r.TrueAt} }
	err = s.Update(ctx, func(tx *Tx) error {
		again = 0
		kept, err := tx.Erasures(math.MaxInt64)
		if err != nil {
			return err
		}
		known := map[request]bool{}
		for _, r := range kept {
			known[nameOf(r)] = true
		}
		shops, err := tx.Shops()
		if err != nil {
			return err
		}
		held := map[string]int64{}
		for _, shop := range shops {
			held[shop.Domain] = shop.ID
		}
		for i := len(receipts) - 1; i >= 0; i-- { // Oldest first.
			r := receipts[i]
			if known[nameOf(r)] {
				continue
			}
			if r.Erasing = held[r.Shop]; r.Erasing != 0 && r.Topic != topicDataRequest {
				again++
				r.State, r.DoneAt, r.Rows, r.Remaining, r.Note = ErasureAsked, 0, nil, 0, ""
			}
			added, err := tx.AddErasure(r)
			if err != nil {
				return err
			}
			added.Rows, added.Remaining, added.DoneAt = r.Rows, r.Remaining, r.DoneAt
			if err := tx.SaveErasure(added); err != nil {
				return err
			}
		}
		return nil
	})
	return again, err
}

// topicDataRequest asks what is held of a customer, and for nothing to be erased.
const topicDataRequest = "customers/data_request"

// queuePolls makes a full read due of every connected shop.
func (s *Store) queuePolls(ctx context.Context, now mirror.Instant) (n int, err error) {
	err = s.Update(ctx, func(tx *Tx) error {
		n = 0
		shops, err := tx.Shops()
		if err != nil {
			return err
		}
		for _, shop := range shops {
			if shop.State != ShopConnected {
				continue
			}
			n++
			if _, _, err := tx.QueueRun(Run{ShopID: shop.ID, Kind: "poll", Reason: "restore", QueuedAt: now}); err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
}

// putAside gives the database's files another name, the main one last: what it
// still finds is whole.
func putAside(path string, now time.Time) (aside string, err error) {
	aside = path + ".replaced-" + now.UTC().Format("20060102T150405Z")
	if _, err := os.Lstat(aside); !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s is there already", aside)
	}
	for _, end := range []string{"-shm", "-wal", ""} {
		if err := os.Rename(path+end, aside+end); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return aside, nil
}

// removeDatabase removes a database's files, those that are there.
func removeDatabase(path string) {
	for _, end := range []string{"", "-wal", "-shm", "-journal", ".lock"} {
		os.Remove(path + end)
	}
}
