package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"stockroom/internal/store"
)

// checkedUpTo bounds the size of a database that is checked page by page: ten
// gigabytes take a minute or so.
const checkedUpTo = 10 << 30

// database opens it as a command does beside a running service, and to read alone
// where it cannot be written.
func database(ctx context.Context, p *Patient) (found []Finding) {
	url := p.Config.Database.URL.Reveal()
	if url == "" {
		return unseen("DATABASE_URL cannot be used")
	}
	var err error
	if p.Store, err = store.Open(ctx, url, store.Beside); err != nil {
		readOnly, readErr := store.Open(ctx, url, store.ReadOnly)
		if readErr != nil {
			return []Finding{{Level: Fault, Found: fmt.Sprintf("the database cannot be opened: %v", readErr),
				Remedy: "Run it in the service's folder, or set DATABASE_URL. A database of an older version: `stockroom migrate`. A damaged one: restore the backup (docs/operating.md)."}}
		}
		p.Store = readOnly
		found = append(found, Finding{Level: Fault, Found: fmt.Sprintf("the database can be read and not written: %v", err),
			Remedy: "Make the disk and the file writable for the user that the service runs as; until then webhooks are answered 503 and nothing is kept."})
	}
	if err := p.Store.View(ctx, func(tx *store.Tx) (err error) { p.Shops, err = tx.Shops(); return err }); err != nil {
		return append(found, Finding{Level: Fault, Found: fmt.Sprintf("the database cannot be read: %v", err), Remedy: "Look at the disk, then restore the backup (docs/operating.md)."})
	}
	if info, err := os.Stat(p.Config.Database.Path); err == nil {
		if info.Mode().Perm()&0o077 != 0 {
			found = append(found, Finding{Level: Warning, Found: fmt.Sprintf("other users of this machine may read the database (mode %04o)", info.Mode().Perm()),
				Remedy: "Run: chmod 600 " + p.Config.Database.Path})
		}
		if info.Size() > checkedUpTo {
			return append(found, Finding{Level: Unknown, Found: "the database is too large to be checked page by page", Remedy: "Check a backup of it: sqlite3 FILE 'PRAGMA integrity_check'"})
		}
	}
	if err := p.Store.QuickCheck(ctx); err != nil {
		return append(found, Finding{Level: Fault, Found: fmt.Sprintf("the database is damaged: %v", err), Remedy: "Stop the service and restore the backup (docs/operating.md); then run `stockroom poll`."})
	}
	if len(found) == 0 {
		found = append(found, Finding{Level: OK, Found: fmt.Sprintf("%s is sound and holds %d shops", p.Config.Database, len(p.Shops))})
	}
	return found
}

// disk looks at where the database lies: SQLite makes files beside it with every write.
func disk(_ context.Context, p *Patient) []Finding {
	path := p.Config.Database.Path
	if path == "" {
		return unseen("the database is not a file of this machine")
	}
	dir := filepath.Dir(path)
	if err := p.TryWrite(dir); err != nil {
		what := "nothing can be written in " + dir
		if errors.Is(err, unix.EROFS) {
			what = "the disk of " + dir + " is read-only"
		}
		return []Finding{{Level: Fault, Found: fmt.Sprintf("%s: %v", what, err),
			Remedy: "Mount it writable (a file system that turned read-only by itself has errors: look at dmesg), and let the service's user write there. As long as this lasts webhooks are answered 503, which Shopify repeats for four hours."}}
	}
	free, err := p.Free(dir)
	if err != nil {
		return unseen("how much of the disk is free cannot be told: %v", err)
	}
	var size int64
	if info, err := os.Stat(path); err == nil {
		size = info.Size()
	}
	const least = 512 << 20
	if free < least || free < size/4 {
		return []Finding{{Level: Warning, Found: fmt.Sprintf("%d MB are free, and the database has %d MB", free>>20, size>>20),
			Remedy: "Make room: the log of one large import may need a quarter of the database's size. A full disk loses nothing that was answered, and answers webhooks 503."}}
	}
	return []Finding{{Level: OK, Found: fmt.Sprintf("%s can be written, %d MB are free", dir, free>>20)}}
}

func tryWrite(dir string) error {
	file, err := os.CreateTemp(dir, ".stockroom-doctor-*")
	if err != nil {
		return err
	}
	_, err = file.WriteString("x")
	return errors.Join(err, file.Close(), os.Remove(file.Name()))
}

func freeBytes(dir string) (int64, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		return 0, &fs.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return int64(stat.Bavail) * stat.Bsize, nil
}
