package store

import "testing"

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
