package mirror_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"stockroom/internal/mirror"
)

// TestTheDocumentationPrintsTheBlindSpots: each row as it is in the code, and no other.
func TestTheDocumentationPrintsTheBlindSpots(t *testing.T) {
	page, err := os.ReadFile("../../docs/drift.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(page), "| name | record | fields | what changes | caught by |\n| --- | --- | --- | --- | --- |\n")
	if !found {
		t.Fatal("docs/drift.md has no table of blind spots")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	var want strings.Builder
	for _, spot := range mirror.BlindSpots {
		fields := "any"
		if spot.Fields != nil {
			fields = strings.Join(spot.Fields, ", ")
		}
		fmt.Fprintf(&want, "| %s | `%s` | %s | %s | %s |\n", spot.Name, spot.Kind, fields, spot.Fact, spot.Net)
	}
	if got := table + "\n"; got != want.String() {
		t.Errorf("the table in docs/drift.md is not that of mirror.BlindSpots. It should be:\n%s", want.String())
	}
}

// TestTheDocumentationNamesEveryCause holds docs/drift.md to mirror.Causes.
func TestTheDocumentationNamesEveryCause(t *testing.T) {
	page, err := os.ReadFile("../../docs/drift.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, cause := range mirror.Causes {
		if !strings.Contains(string(page), "| "+string(cause)+" |") {
			t.Errorf("docs/drift.md does not explain %q", cause)
		}
	}
}
