package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMutationsHaveTheirPlace: code that moves on takes its mutations along,
// which `make mutants` would else tell too late.
func TestMutationsHaveTheirPlace(t *testing.T) {
	names := map[string]bool{}
	for _, m := range mutations {
		if names[m.name] {
			t.Errorf("two mutations are named %q", m.name)
		}
		names[m.name] = true
		content, err := os.ReadFile(filepath.Join("..", "..", "..", m.file))
		if err != nil {
			t.Error(err)
			continue
		}
		if n := strings.Count(string(content), m.old); n != 1 {
			t.Errorf("%q: %s holds what is to be changed %d times, want once", m.name, m.file, n)
		}
		if m.old == m.new || len(m.packages) == 0 {
			t.Errorf("%q changes nothing, or names no package whose tests are to catch it", m.name)
		}
	}
}
