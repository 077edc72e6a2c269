// Package graph answers GraphQL requests the way Shopify's Admin API does, over
// any schema and any resolvers.
//
// It promises Shopify's manners: requests are validated against the schema and
// refused with Shopify's codes, costs are charged by the formula fitted on
// recorded answers, connections page by keyset cursors and never build what a
// page does not show, and a field that fails is null beside an error that names
// its path. It knows nothing of shops; what fields mean is left to the Objects
// that the caller passes in.
package graph

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
)

// Object resolves the fields of one value of the schema.
type Object interface {
	// Typename names the object's type. It is asked only where the schema
	// declares an interface or a union.
	Typename() string
	// Field answers nil for null, a Go value for a scalar or an enum, an Object,
	// or a slice for a list; an element that is an error is null beside that
	// error. args hold every given or defaulted
	// argument, coerced, and must not be changed. Unknown names are an error.
	Field(ctx context.Context, name string, args map[string]any) (any, error)
}

// Searched is an object that a search led to, like a count.
type Searched struct {
	Object
	Search *SearchReport // Nil where nothing was searched.
}

// Request is the body of a GraphQL call.
type Request struct {
	Query         string         `json:"query"`
	OperationName string         `json:"operationName"`
	Variables     map[string]any `json:"variables"`

	Debug Debug `json:"-"` // From the headers.
}

// Debug is what a caller may ask to be told besides.
type Debug struct {
	Search bool // How each search was read, warnings or none.
	Cost   bool // What each field costs.
}

// UnmarshalJSON implements json.Unmarshaler. Numbers keep their digits, since ids
// may exceed what a float holds.
func (r *Request) UnmarshalJSON(data []byte) error {
	type plain Request
	return decodeNumbers(data, (*plain)(r))
}

// Response is the body of an answer. Shopify sends it with HTTP status 200,
// whatever it holds.
type Response struct {
	Data       json.RawMessage `json:"data,omitempty"`
	Errors     []*Error        `json:"errors,omitempty"`
	Extensions *Extensions     `json:"extensions,omitempty"`

	// Deprecated lists the deprecated fields that the request uses, as Type.field.
	Deprecated []string `json:"-"`
}

// Extensions are what Shopify adds to an answer.
type Extensions struct {
	Cost   *Cost          `json:"cost,omitempty"`
	Search []SearchReport `json:"search,omitempty"`
}

// Schema is a parsed schema, safe for concurrent use.
type Schema struct {
	ast *ast.Schema
	// free holds the types whose objects cost nothing.
	free map[string]bool
}

// EnumHas tells whether an enum of that name has a value.
func (s *Schema) EnumHas(name, value string) bool {
	enum := s.ast.Types[name]
	return enum != nil && enum.EnumValues.ForName(value) != nil
}

// Load parses a schema in SDL. Objects of the types named free, and all below
// them, cost nothing.
func Load(sdl string, free ...string) (*Schema, error) {
	parsed, err := gqlparser.LoadSchema(&ast.Source{Name: "schema.graphql", Input: sdl})
	if err != nil {
		return nil, fmt.Errorf("load schema: %w", err)
	}
	return newSchema(parsed, free)
}

func newSchema(parsed *ast.Schema, free []string) (*Schema, error) {
	schema := &Schema{ast: parsed, free: map[string]bool{"PageInfo": true}}
	for _, name := range free {
		if parsed.Types[name] == nil {
			return nil, fmt.Errorf("load schema: free type %s is not declared", name)
		}
		schema.free[name] = true
	}
	return schema, nil
}

// AST is the parsed schema, for reading.
func (s *Schema) AST() *ast.Schema { return s.ast }
