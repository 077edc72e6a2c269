package reconcile

import "testing"

// TestFuse is the arithmetic of P4.
func TestFuse(t *testing.T) {
	fuse := Fuse{Percent: 20, Rows: 50}
	for _, tt := range []struct {
		deleted, total int64
		want           bool
	}{
		{0, 0, false}, {0, 100, false},
		{9, 9, false},  // A handful may go whole.
		{10, 10, true}, // Ten may not.
		{9, 10, false},
		{50, 100, false},   // More than 20 %, but not more than 50 rows.
		{51, 100, true},    // More than both.
		{51, 1000, false},  // More than 50 rows, but not more than 20 %.
		{200, 1000, false}, // Exactly 20 %.
		{201, 1000, true},
	} {
		if got := fuse.Blows(tt.deleted, tt.total); got != tt.want {
			t.Errorf("Blows(%d of %d) = %v, want %v", tt.deleted, tt.total, got, tt.want)
		}
	}
}
