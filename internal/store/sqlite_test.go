package store_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stockroom/internal/store"
	"stockroom/internal/store/storetest"
)

func TestSQLite(t *testing.T) {
	storetest.Run(t, func(t *testing.T) *store.Store { return storetest.Open(t) })
}

// A reading command works beside the service, sees what it wrote, and can write nothing.
func TestReadOnlyBesideAWriter(t *testing.T) {
	url := "sqlite://" + filepath.Join(t.TempDir(), "with space & ?.db")
	writer := storetest.OpenAt(t, url, store.ReadWrite)
	reader := storetest.OpenAt(t, url, store.ReadOnly)
	storetest.AddShop(t, writer, "a.myshopify.com")
	storetest.View(t, reader, func(tx *store.Tx) error {
		shops, err := tx.Shops()
		if len(shops) != 1 {
			t.Errorf("%d shops", len(shops))
		}
		return err
	})
	err := reader.Update(t.Context(), func(*store.Tx) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("a write: %v", err)
	}
	err = reader.View(t.Context(), func(tx *store.Tx) error { return tx.DeleteSession([]byte("x")) })
	if err == nil {
		t.Error("a write in a read transaction went through")
	}
}

func TestOpeningSaysWhatToDo(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing.db")
	changed := func(name, change string) string { // A database whose notes of its migrations were changed.
		url := "sqlite://" + filepath.Join(dir, name)
		s := storetest.OpenAt(t, url, store.ReadWrite)
		if _, err := s.Writer().ExecContext(t.Context(), change); err != nil {
			t.Fatal(err)
		}
		return url
	}
	for name, tt := range map[string]struct{ url, want string }{
		"no address":   {"", "sqlite://stockroom.db"},
		"no path":      {"sqlite://", "sqlite://stockroom.db"},
		"missing file": {"sqlite://" + missing, "stockroom serve"},
		"older schema": {changed("old.db", `DELETE FROM goose_db_version WHERE version_id > 0`), "stockroom migrate"},
		"newer schema": {changed("new.db", `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)`), "newer"},
	} {
		t.Run(name, func(t *testing.T) {
			opened, err := store.Open(t.Context(), tt.url, store.ReadOnly)
			if err == nil {
				opened.Close()
				t.Fatal("it opened")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %q, want it to name %q", err, tt.want)
			}
		})
	}
	if _, err := os.Stat(missing); err == nil {
		t.Error("opening to read made a file")
	}
}

// TestABackupHoldsNoKeys: it is one whole file that opens, for its owner alone,
// without the shops' own keys and without a byte of them, and overwrites nothing.
func TestABackupHoldsNoKeys(t *testing.T) {
	s := storetest.Open(t)
	shop := storetest.Sample(t, s, "a.myshopify.com")
	const key = "the sealed key of the shop"
	storetest.Update(t, s, func(tx *store.Tx) error { return tx.AddShopKey(shop.ID, []byte(key)) })
	path := filepath.Join(t.TempDir(), "backup.db")
	if err := s.Backup(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if files, err := os.ReadDir(filepath.Dir(path)); err != nil || len(files) != 1 {
		t.Errorf("files %v, %v; want the backup alone", files, err)
	}
	content, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(content), key) {
		t.Errorf("the key is in the backup (%v)", err)
	}
	if err := s.Backup(t.Context(), path); err == nil || !strings.Contains(err.Error(), "there already") {
		t.Errorf("a second backup of the same name: %v", err)
	}
	copied := storetest.OpenAt(t, "sqlite://"+path, store.ReadOnly)
	storetest.View(t, copied, func(tx *store.Tx) error {
		kept, err := tx.ShopByDomain("a.myshopify.com")
		if err != nil {
			return err
		}
		if _, err := tx.ShopKey(kept.ID); err != store.ErrNotFound {
			t.Errorf("the key of the shop: %v", err)
		}
		rows, err := tx.RowsOf(kept.ID)
		if rows["records"] == 0 || rows["product_tokens"] == 0 {
			t.Errorf("the backup holds %v", rows)
		}
		return err
	})
	storetest.View(t, s, func(tx *store.Tx) error {
		_, err := tx.ShopKey(shop.ID)
		return err // The original has it still.
	})
}
