package main

import (
	"bytes"
	"os"
	"testing"
)

func TestGeneratedTypesAreUpToDate(t *testing.T) {
	files, err := generated("../../../shopify/admin")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 1 {
		t.Errorf("generation gives %d files, want generated.go alone", len(files))
	}
	for path, want := range files {
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what its operations generate: run go generate ./internal/shopify/admin", path)
		}
	}
}
