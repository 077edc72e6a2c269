package store_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stockroom/internal/mirror"
	"stockroom/internal/store"
	"stockroom/internal/store/storetest"
)

// backedUp is a database with two shops, and a backup of it.
func backedUp(t *testing.T) (url, backup string) {
	t.Helper()
	folder := t.TempDir()
	url, backup = "sqlite://"+filepath.Join(folder, "stockroom.db"), filepath.Join(folder, "backup.db")
	s := storetest.OpenAt(t, url, store.ReadWrite)
	storetest.Sample(t, s, "a.myshopify.com")
	storetest.Sample(t, s, "b.myshopify.com")
	if err := s.Backup(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return url, backup
}

// TestARestoredDatabaseKnowsWhatItLacks: every shop is due for a full read, and
// what was erased since the backup is erased again.
func TestARestoredDatabaseKnowsWhatItLacks(t *testing.T) {
	url, backup := backedUp(t)
	s := storetest.OpenAt(t, url, store.ReadWrite)
	erased := store.ErasureReceipt{Shop: "a.myshopify.com", Topic: "shop/redact", WebhookID: "w-1", State: store.ErasureDone,
		Erasing: 1, TrueAt: storetest.Noon, AskedAt: storetest.Noon, DoneAt: storetest.Noon}
	told := store.ErasureReceipt{Shop: "b.myshopify.com", Topic: "customers/data_request", WebhookID: "w-2", State: store.ErasureDone, TrueAt: storetest.Noon, AskedAt: storetest.Noon}
	storetest.Update(t, s, func(tx *store.Tx) error {
		for _, r := range []store.ErasureReceipt{erased, told} {
			if _, err := tx.AddErasure(r); err != nil {
				return err
			}
		}
		return nil
	})
	s.Close()
	done, err := store.Restore(t.Context(), backup, url, true, time.Now())
	if err != nil || done.Erasures != 1 || done.Polls != 2 || done.Unread != nil {
		t.Fatalf("%+v, %v", done, err)
	}
	if _, err := os.Stat(done.Aside); err != nil {
		t.Errorf("the database that was there is lost: %v", err)
	}
	restored := storetest.OpenAt(t, url, store.ReadOnly)
	storetest.View(t, restored, func(tx *store.Tx) error {
		open, err := tx.OpenErasures()
		if err != nil {
			return err
		}
		shop, err := tx.ShopByDomain("a.myshopify.com")
		if err != nil {
			return err
		}
		if len(open) != 1 || open[0].Shop != shop.Domain || open[0].Erasing != shop.ID || open[0].State != store.ErasureAsked {
			t.Errorf("asked for again: %+v", open)
		}
		runs, err := tx.OpenRuns()
		if len(runs) != 2 || runs[0].Reason != "restore" || runs[0].Kind != "poll" {
			t.Errorf("runs %+v", runs)
		}
		rows, err2 := tx.RowsOf(shop.ID)
		if err2 != nil || rows["records"] == 0 {
			t.Errorf("rows %v, %v", rows, err2)
		}
		return err
	})
}

// TestRestoreOverwritesNothing that it was not told to, and nothing by halves.
func TestRestoreOverwritesNothing(t *testing.T) {
	url, backup := backedUp(t)
	path := strings.TrimPrefix(url, "sqlite://")
	strange, text := filepath.Join(t.TempDir(), "strange.db"), filepath.Join(t.TempDir(), "notes.txt")
	other := storetest.OpenAt(t, "sqlite://"+strange, store.ReadWrite)
	storetest.Update(t, other, func(tx *store.Tx) error {
		_, err := tx.SQL().ExecContext(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`)
		return err
	})
	other.Close()
	if err := os.WriteFile(text, []byte("no database"), 0o600); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, backup string
		replace      bool
		want         string
	}{
		{"without a word", backup, false, "--replace puts it aside"},
		{"from what is missing", path + ".gone", true, "no such file"},
		{"from what is no database", text, true, "is this a backup of Stockroom?"},
		{"from a newer version's", strange, true, "use a newer stockroom"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := store.Restore(t.Context(), tt.backup, url, tt.replace, time.Now())
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want it to say %q", err, tt.want)
			}
			if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
				t.Errorf("the database changed (%v)", err)
			}
		})
	}
	files, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".*"))
	if err != nil || len(files) > 0 {
		t.Errorf("left behind: %v, %v", files, err)
	}
}

// TestNoRestoreUnderARunningService, and one without a database says what it cannot know.
func TestNoRestoreUnderARunningService(t *testing.T) {
	url, backup := backedUp(t)
	release, err := store.Lock(url)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Restore(t.Context(), backup, url, true, time.Now()); err == nil || !strings.Contains(err.Error(), "stop it first") {
		t.Errorf("under a running service: %v", err)
	}
	release()
	fresh := "sqlite://" + filepath.Join(t.TempDir(), "stockroom.db")
	done, err := store.Restore(t.Context(), backup, fresh, false, mirror.Instant(storetest.Noon).Time())
	if err != nil || done.Aside != "" || done.Unread == nil || done.Polls != 2 {
		t.Errorf("into an empty place: %+v, %v", done, err)
	}
}
