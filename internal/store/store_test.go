package store

import (
	"path/filepath"
	"slices"
	"testing"
)

// TestEveryTableOfAShopIsErased: a table that is added later must not keep what was erased.
func TestEveryTableOfAShopIsErased(t *testing.T) {
	db, err := Open(t.Context(), "sqlite://"+filepath.Join(t.TempDir(), "stockroom.db"), ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(t.Context(), func(tx *Tx) error {
		return tx.each(`SELECT m.name FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND c.name = 'shop_id'`, nil,
			func(scan func(...any) error) error {
				var table string
				err := scan(&table)
				if !slices.ContainsFunc(eraseSteps, func(step eraseStep) bool { return step.table == table }) {
					t.Errorf("table %s has rows of a shop, and eraseSteps does not know it", table)
				}
				return err
			})
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestUnnumbered(t *testing.T) {
	for query, want := range map[string]string{
		"SELECT 1":                    "SELECT 1",
		"a = $1 AND b IN ($2,$3)":     "a = ? AND b IN (?,?)",
		"a = $1 AND b = $1":           "a = $1 AND b = $1",
		"a = $2 AND b = $1":           "a = $2 AND b = $1",
		"VALUES ($1,$2),($3,$4),($5)": "VALUES (?,?),(?,?),(?)",
	} {
		if got := unnumbered(query); got != want {
			t.Errorf("unnumbered(%q) = %q, want %q", query, got, want)
		}
	}
}
