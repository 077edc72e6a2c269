package graph

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/vektah/gqlparser/v2/ast"
)

// entry is an object made of ready answers and functions of the arguments.
type entry map[string]any

func (entry) Typename() string { return "" }

func (e entry) Field(_ context.Context, name string, args map[string]any) (any, error) {
	value, ok := e[name]
	if !ok {
		return nil, fmt.Errorf("introspection has no field %s", name)
	}
	switch compute := value.(type) {
	case func() any:
		return compute(), nil
	case func(deprecated bool) any:
		all, _ := args["includeDeprecated"].(bool)
		return compute(all), nil
	}
	return value, nil
}

// describe is the answer to __schema.
func (s *Schema) describe() entry {
	types := make([]*ast.Definition, 0, len(s.ast.Types))
	for _, definition := range s.ast.Types {
		types = append(types, definition)
	}
	slices.SortFunc(types, func(a, b *ast.Definition) int { return cmp.Compare(a.Name, b.Name) })
	directives := make([]*ast.DirectiveDefinition, 0, len(s.ast.Directives))
	for _, directive := range s.ast.Directives {
		directives = append(directives, directive)
	}
	slices.SortFunc(directives, func(a, b *ast.DirectiveDefinition) int { return cmp.Compare(a.Name, b.Name) })
	return entry{
		"description":      text(s.ast.Description),
		"types":            func() any { return each(types, s.describeType) },
		"queryType":        s.describeType(s.ast.Query),
		"mutationType":     s.optional(s.ast.Mutation),
		"subscriptionType": s.optional(s.ast.Subscription),
		"directives": each(directives, func(d *ast.DirectiveDefinition) any {
			return entry{"name": d.Name, "description": text(d.Description), "isRepeatable": d.IsRepeatable,
				"locations": each(d.Locations, func(l ast.DirectiveLocation) any { return string(l) }),
				"args":      s.describeArguments(d.Arguments)}
		}),
	}
}

// describeNamed is the answer to __type; nil for an unknown name.
func (s *Schema) describeNamed(name string) any {
	definition := s.ast.Types[name]
	if definition == nil {
		return nil
	}
	return s.describeType(definition)
}

func (s *Schema) optional(definition *ast.Definition) any {
	if definition == nil {
		return nil
	}
	return s.describeType(definition)
}

func (s *Schema) describeType(definition *ast.Definition) any {
	out := entry{"kind": string(definition.Kind), "name": definition.Name, "description": text(definition.Description),
		"specifiedByURL": nil, "fields": nil, "interfaces": nil, "possibleTypes": nil, "enumValues": nil,
		"inputFields": nil, "ofType": nil, "isOneOf": nil}
	switch definition.Kind {
	case ast.Scalar:
		if directive := definition.Directives.ForName("specifiedBy"); directive != nil {
			out["specifiedByURL"] = directive.ArgumentMap(nil)["url"]
		}
	case ast.Object, ast.Interface:
		out["interfaces"] = each(definition.Interfaces, s.describeNamed)
		out["fields"] = func(deprecated bool) any {
			return listed(definition.Fields, deprecated, func(f *ast.FieldDefinition) (string, ast.DirectiveList, entry) {
				return f.Name, f.Directives, entry{"description": text(f.Description), "type": s.describeRef(f.Type),
					"args": s.describeArguments(f.Arguments)}
			})
		}
	case ast.Enum:
		out["enumValues"] = func(deprecated bool) any {
			return listed(definition.EnumValues, deprecated, func(v *ast.EnumValueDefinition) (string, ast.DirectiveList, entry) {
				return v.Name, v.Directives, entry{"description": text(v.Description)}
			})
		}
	case ast.InputObject:
		out["isOneOf"] = definition.Directives.ForName("oneOf") != nil
		out["inputFields"] = func(deprecated bool) any {
			return listed(definition.Fields, deprecated, func(f *ast.FieldDefinition) (string, ast.DirectiveList, entry) {
				return f.Name, f.Directives, entry{"description": text(f.Description), "type": s.describeRef(f.Type),
					"defaultValue": literal(f.DefaultValue)}
			})
		}
	}
	if definition.IsAbstractType() {
		out["possibleTypes"] = func() any {
			return each(s.ast.GetPossibleTypes(definition), s.describeType)
		}
	}
	return out
}

// describeRef describes a use of a type, with its wrappers.
func (s *Schema) describeRef(typ *ast.Type) any {
	wrap := func(kind string, inner any) any {
		return entry{"kind": kind, "name": nil, "description": nil, "specifiedByURL": nil, "fields": nil, "interfaces": nil,
			"possibleTypes": nil, "enumValues": nil, "inputFields": nil, "isOneOf": nil, "ofType": inner}
	}
	if typ.NonNull {
		bare := *typ
		bare.NonNull = false
		return wrap("NON_NULL", s.describeRef(&bare))
	}
	if typ.Elem != nil {
		return wrap("LIST", s.describeRef(typ.Elem))
	}
	return s.describeType(s.ast.Types[typ.NamedType])
}

func (s *Schema) describeArguments(arguments ast.ArgumentDefinitionList) any {
	return func(deprecated bool) any {
		return listed(arguments, deprecated, func(a *ast.ArgumentDefinition) (string, ast.DirectiveList, entry) {
			return a.Name, a.Directives, entry{"description": text(a.Description), "type": s.describeRef(a.Type),
				"defaultValue": literal(a.DefaultValue)}
		})
	}
}

// listed describes the members of a type, the deprecated ones only where asked for.
func listed[T any](members []T, deprecated bool, describe func(T) (string, ast.DirectiveList, entry)) any {
	out := []any{}
	for _, member := range members {
		name, directives, described := describe(member)
		if len(name) > 1 && name[:2] == "__" {
			continue
		}
		described["name"], described["isDeprecated"], described["deprecationReason"] = name, false, nil
		if directive := directives.ForName("deprecated"); directive != nil {
			if !deprecated {
				continue
			}
			described["isDeprecated"], described["deprecationReason"] = true, directive.ArgumentMap(nil)["reason"]
		}
		out = append(out, described)
	}
	return out
}

func each[T any](members []T, describe func(T) any) []any {
	out := make([]any, len(members))
	for i, member := range members {
		out[i] = describe(member)
	}
	return out
}

func text(description string) any {
	if description == "" {
		return nil
	}
	return description
}

func literal(value *ast.Value) any {
	if value == nil {
		return nil
	}
	return value.String()
}
