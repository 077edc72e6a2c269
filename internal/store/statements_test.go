package store

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"modernc.org/sqlite"
)

func openKept(tb testing.TB) *sql.DB {
	tb.Helper()
	db, err := openPool(filepath.Join(tb.TempDir(), "kept.db"), 1, "mode=rwc")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { db.Close() })
	if _, err := db.Exec(`CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)`); err != nil {
		tb.Fatal(err)
	}
	return db
}

// kept looks at what the pool's one connection keeps.
func kept(t *testing.T, db *sql.DB) (texts []string, size int) {
	t.Helper()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	err = conn.Raw(func(raw any) error {
		k := raw.(*keeper)
		for text := range k.kept {
			texts = append(texts, text)
		}
		size = k.size
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return texts, size
}

// TestAStatementRunsWithinItself: a query may be asked again while its rows are being read.
func TestAStatementRunsWithinItself(t *testing.T) {
	db := openKept(t)
	if _, err := db.Exec(`INSERT INTO t VALUES (1, 'x'), (2, 'y'), (3, 'z')`); err != nil {
		t.Fatal(err)
	}
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	const query = `SELECT b FROM t WHERE a >= ? ORDER BY a`
	var walk func(from int) string
	walk = func(from int) (all string) {
		rows, err := tx.Query(query, from)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for at := from; rows.Next(); at++ {
			var b string
			if err := rows.Scan(&b); err != nil {
				t.Fatal(err)
			}
			all += b + "(" + walk(at+1) + ")"
		}
		return all
	}
	if got, want := walk(1), "x(y(z())z())y(z())z()"; got != want {
		t.Errorf("the walk is %s, want %s", got, want)
	}
	tx.Rollback()
	if texts, _ := kept(t, db); strings.Count(strings.Join(texts, "\n"), query) != 1 {
		t.Errorf("kept are %q, want the query once", texts)
	}
}

// TestKeptStatementsAreBounded, and those that are thrown out run again as well.
func TestKeptStatementsAreBounded(t *testing.T) {
	db := openKept(t)
	for range 2 {
		for i := range 100 {
			var got int
			query := fmt.Sprintf("SELECT %d /* %s */", i, strings.Repeat("x", 4000))
			if err := db.QueryRow(query).Scan(&got); err != nil || got != i {
				t.Fatalf("%d, %v", got, err)
			}
		}
	}
	texts, size := kept(t, db)
	if total := len(strings.Join(texts, "")); size != total || size > keptText || size < keptText/2 {
		t.Errorf("%d bytes of statements are kept, counted as %d, of %d allowed", total, size, keptText)
	}
}

// TestAFailedStatementIsNotKept, whatever state it is left in.
func TestAFailedStatementIsNotKept(t *testing.T) {
	db := openKept(t)
	const insert = `INSERT INTO t VALUES (?, 'x')`
	for i, want := range []bool{true, false, true} { // The second row is there already.
		if _, err := db.Exec(insert, 1+i/2); (err == nil) != want {
			t.Fatalf("insert %d: %v", i, err)
		}
		if texts, _ := kept(t, db); slices.Contains(texts, insert) != want {
			t.Errorf("after insert %d kept are %q", i, texts)
		}
	}
}

// TestAKeptStatementFollowsItsTable through a change of the schema.
func TestAKeptStatementFollowsItsTable(t *testing.T) {
	db := openKept(t)
	columns := func() int {
		rows, err := db.Query(`SELECT * FROM t`)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		names, err := rows.Columns()
		for rows.Next() {
		}
		if err != nil || rows.Err() != nil {
			t.Fatal(err, rows.Err())
		}
		return len(names)
	}
	if n := columns(); n != 2 {
		t.Fatalf("%d columns", n)
	}
	if _, err := db.Exec(`ALTER TABLE t ADD COLUMN c TEXT`); err != nil {
		t.Fatal(err)
	}
	columns() // Its names were asked for before SQLite saw the change.
	if n := columns(); n != 3 {
		t.Errorf("%d columns after one was added to two", n)
	}
}

// BenchmarkStatements runs a query of the merge's kind, with statements kept and without.
func BenchmarkStatements(b *testing.B) {
	const query = `SELECT a, b FROM t WHERE a IN (?, ?, ?, ?, ?, ?, ?, ?) AND b <> '' ORDER BY a LIMIT 10`
	run := func(b *testing.B, db *sql.DB) {
		for b.Loop() {
			rows, err := db.QueryContext(context.Background(), query, 1, 2, 3, 4, 5, 6, 7, 8)
			if err != nil {
				b.Fatal(err)
			}
			for rows.Next() {
			}
			rows.Close()
		}
	}
	b.Run("kept", func(b *testing.B) { run(b, openKept(b)) })
	b.Run("anew", func(b *testing.B) {
		connector, err := sqlite.NewConnector("file:" + filepath.Join(b.TempDir(), "anew.db"))
		if err != nil {
			b.Fatal(err)
		}
		db := sql.OpenDB(connector)
		defer db.Close()
		if _, err := db.Exec(`CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)`); err != nil {
			b.Fatal(err)
		}
		run(b, db)
	})
}
