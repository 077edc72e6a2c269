package graph

import (
	"fmt"
	"slices"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
)

// presence is the directive of parts that are not in all versions:
// @in(from: "2026-04", until: "2026-07") names the first and the last version
// that has the part. A part that differs between versions is written once for
// each of its forms.
const presence = "in"

// LoadVersion parses the parts of a schema that exist in a version. Versions
// are compared as text. What names a type that the version lacks as its
// interface or as a union's member lacks it too.
func LoadVersion(sdl, version string, free ...string) (*Schema, error) {
	document, err := parser.ParseSchemas(validator.Prelude, &ast.Source{Name: "schema.graphql", Input: sdl})
	if err != nil {
		return nil, fmt.Errorf("load schema: %w", err)
	}
	cut := cutter{version: version, known: map[string]bool{}}
	document.Directives = slices.DeleteFunc(document.Directives, func(d *ast.DirectiveDefinition) bool { return d.Name == presence })
	document.Definitions = slices.DeleteFunc(document.Definitions, func(d *ast.Definition) bool { return cut.absent(&d.Directives) })
	document.Extensions = slices.DeleteFunc(document.Extensions, func(d *ast.Definition) bool { return cut.absent(&d.Directives) })
	for _, definition := range document.Definitions {
		cut.known[definition.Name] = true
	}
	for _, definition := range document.Definitions {
		cut.definition(definition)
	}
	for _, definition := range document.Extensions {
		cut.definition(definition)
	}
	parsed, err := validator.ValidateSchemaDocument(document)
	if err != nil {
		return nil, fmt.Errorf("load schema of version %s: %w", version, err)
	}
	return newSchema(parsed, free)
}

// cutter leaves in a document what a version has.
type cutter struct {
	version string
	known   map[string]bool // The types that the version has.
}

// absent tells whether the version lacks what carries the directives. It takes
// the mark away, so that no reader of the schema sees it.
func (c cutter) absent(directives *ast.DirectiveList) bool {
	mark := directives.ForName(presence)
	if mark == nil {
		return false
	}
	*directives = slices.DeleteFunc(*directives, func(d *ast.Directive) bool { return d == mark })
	from, until := mark.Arguments.ForName("from"), mark.Arguments.ForName("until")
	return from != nil && c.version < from.Value.Raw || until != nil && c.version > until.Value.Raw
}

func (c cutter) definition(d *ast.Definition) {
	unknown := func(name string) bool { return !c.known[name] }
	d.Interfaces = slices.DeleteFunc(d.Interfaces, unknown)
	d.Types = slices.DeleteFunc(d.Types, unknown)
	d.EnumValues = slices.DeleteFunc(d.EnumValues, func(v *ast.EnumValueDefinition) bool { return c.absent(&v.Directives) })
	d.Fields = slices.DeleteFunc(d.Fields, func(f *ast.FieldDefinition) bool { return c.absent(&f.Directives) })
	for _, f := range d.Fields {
		f.Arguments = slices.DeleteFunc(f.Arguments, func(a *ast.ArgumentDefinition) bool { return c.absent(&a.Directives) })
	}
}
