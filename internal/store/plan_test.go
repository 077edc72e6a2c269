package store

import (
	"path/filepath"
	"strings"
	"testing"

	"stockroom/internal/mirror"
)

// TestChildrenAreLookedUpByAnIndex: each webhook looks up a product's variants.
// Walking all of a shop's variants for it took a hundred times as long.
func TestChildrenAreLookedUpByAnIndex(t *testing.T) {
	db, err := Open(t.Context(), "sqlite://"+filepath.Join(t.TempDir(), "stockroom.db"), ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(t.Context(), func(tx *Tx) error {
		for query, index := range map[string]string{childrenQuery("parent", 50): "records_by_parent", childrenQuery("link", 50): "records_by_link"} {
			args := append([]any{1, mirror.KindProductVariant}, make([]any, 50)...)
			err := tx.each("EXPLAIN QUERY PLAN "+query, args, func(scan func(...any) error) error {
				var id, parent, unused int
				var detail string
				err := scan(&id, &parent, &unused, &detail)
				if !strings.Contains(detail, index) {
					t.Errorf("by %s the engine does not use %s: %s", query, index, detail)
				}
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
