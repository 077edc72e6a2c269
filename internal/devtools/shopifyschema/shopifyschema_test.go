package shopifyschema_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"

	"stockroom/internal/devtools/shopifyschema"
)

func TestPublishedSchemaLoadsAsSDL(t *testing.T) {
	data, err := shopifyschema.Introspection("2026-10")
	if err != nil {
		t.Fatal(err)
	}
	sdl, err := shopifyschema.SDL(data)
	if err != nil {
		t.Fatal(err)
	}
	schema, err := gqlparser.LoadSchema(&ast.Source{Name: "admin", Input: sdl})
	if err != nil {
		t.Fatal(err)
	}
	product := schema.Types["Product"]
	if product == nil || product.Fields.ForName("totalInventory").Type.String() != "Int!" {
		t.Errorf("Product.totalInventory is not Int! in the SDL")
	}
	if got := len(schema.GetPossibleTypes(schema.Types["Node"])); got < 200 {
		t.Errorf("Node has %d implementations, want the published 200 and more", got)
	}
	if schema.Types["Collection"].Fields.ForName("ruleSet").Directives.ForName("deprecated") == nil {
		t.Errorf("Collection.ruleSet lost its deprecation")
	}
}

func TestSDLForGenerationKeepsNodeOnListedTypesAlone(t *testing.T) {
	data, err := shopifyschema.Introspection("2026-10")
	if err != nil {
		t.Fatal(err)
	}
	sdl, err := shopifyschema.SDLForGeneration(data, "Product")
	if err != nil {
		t.Fatal(err)
	}
	schema, err := gqlparser.LoadSchema(&ast.Source{Name: "admin", Input: sdl})
	if err != nil {
		t.Fatal(err)
	}
	possible := schema.GetPossibleTypes(schema.Types["Node"])
	if len(possible) != 1 || possible[0].Name != "Product" {
		t.Errorf("Node is implemented by %d types, want Product alone", len(possible))
	}
}

func TestSDLRefusesWhatIsNoIntrospection(t *testing.T) {
	for _, bad := range []string{"", "{}", `{"data":{}}`, `{"data":{"__schema":{"queryType":{"name":"Q"},"types":[{"kind":"ODD","name":"X"}]}}}`} {
		if _, err := shopifyschema.SDL([]byte(bad)); err == nil {
			t.Errorf("SDL(%q) gave no error", bad)
		}
	}
}

func TestWriteAtomicLeavesNoScraps(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	for _, text := range []string{"one", "two"} {
		if err := shopifyschema.WriteAtomic(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != text {
			t.Fatalf("read %q, %v; want %q", got, err, text)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("folder holds %d entries, %v; want the file alone: %s", len(entries), err, strings.TrimSpace(path))
	}
}
