package admin_test

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"stockroom/internal/devtools/shopifyschema"
	"stockroom/internal/shopify/admin"
)

// TestOperationsAreValid checks the operations against the whole published
// schema, not the reduced one that types are generated from.
func TestOperationsAreValid(t *testing.T) {
	data, err := shopifyschema.Introspection(admin.Version)
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
	// Fragments are shared between files, so all files are one document.
	var source strings.Builder
	names, err := fs.Glob(admin.Operations, "operations/*.graphql")
	if err != nil || len(names) == 0 {
		t.Fatalf("found %d files of operations, %v", len(names), err)
	}
	for _, name := range names {
		text, err := admin.Operations.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(text)
	}
	document, problems := gqlparser.LoadQueryWithRules(schema, source.String(), rules.NewDefaultRules())
	if len(problems) != 0 {
		t.Fatal(problems)
	}
	// What is deprecated vanishes within a year, and then answers with an error.
	for _, operation := range document.Operations {
		deprecated(t, operation.Name, operation.SelectionSet, map[string]bool{})
	}
}

func deprecated(t *testing.T, operation string, selections ast.SelectionSet, seen map[string]bool) {
	t.Helper()
	for _, selection := range selections {
		switch s := selection.(type) {
		case *ast.Field:
			if s.Definition.Directives.ForName("deprecated") != nil {
				t.Errorf("%s asks for the deprecated field %s.%s", operation, s.ObjectDefinition.Name, s.Name)
			}
			deprecated(t, operation, s.SelectionSet, seen)
		case *ast.InlineFragment:
			deprecated(t, operation, s.SelectionSet, seen)
		case *ast.FragmentSpread:
			if !seen[s.Name] {
				seen[s.Name] = true
				deprecated(t, operation, s.Definition.SelectionSet, seen)
			}
		}
	}
}
