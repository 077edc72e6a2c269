package mirror_test

import (
	"slices"
	"testing"

	"stockroom/internal/mirror"
)

func TestWritingIncludesReading(t *testing.T) {
	got := mirror.MissingScopes([]string{"write_products", "read_inventory"}, []string{"read_products", "read_inventory", "write_inventory", "read_orders"})
	if want := []string{"write_inventory", "read_orders"}; !slices.Equal(got, want) {
		t.Errorf("missing %v, want %v", got, want)
	}
}
