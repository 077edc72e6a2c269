package simulator

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"

	"stockroom/internal/devtools/shopifyschema"
)

type (
	publishedType struct {
		Kind, Name    string
		Fields        []publishedField
		InputFields   []publishedValue
		EnumValues    []publishedValue
		Interfaces    []struct{ Name string }
		IsOneOf       bool
		PossibleTypes []struct{ Name string }
	}
	publishedField struct {
		publishedValue
		Args []publishedValue
	}
	publishedValue struct {
		Name         string
		Type         publishedRef
		DefaultValue *string
		IsDeprecated bool
	}
	publishedRef struct {
		Kind, Name string
		OfType     *publishedRef
	}
)

func (r publishedRef) String() string {
	switch r.Kind {
	case "NON_NULL":
		return r.OfType.String() + "!"
	case "LIST":
		return "[" + r.OfType.String() + "]"
	}
	return r.Name
}

// The subset may leave things out, but what it holds is, in every living
// version, that version's to the letter: kinds, members, types, defaults,
// deprecations, arguments, the interfaces and unions among what is held, and
// every value of an enum.
func TestSchemaIsPublished(t *testing.T) {
	for _, version := range stableVersions {
		t.Run(version, func(t *testing.T) {
			fields := compareSchema(t, schemaOf(version).AST(), publishedTypes(t, version))
			if fields < 600 {
				t.Errorf("only %d fields were compared", fields)
			}
			t.Logf("%d types, %d fields compared", len(schemaOf(version).AST().Types), fields)
		})
	}
}

func compareSchema(t *testing.T, schema *ast.Schema, published map[string]publishedType) (fields int) {
	t.Helper()
	for _, definition := range schema.Types {
		if definition.BuiltIn {
			continue
		}
		want, ok := published[definition.Name]
		if !ok || want.Kind != string(definition.Kind) {
			t.Errorf("%s %s: published is %q", definition.Kind, definition.Name, want.Kind)
			continue
		}
		held := func(named []struct{ Name string }) (out []string) {
			for _, n := range named {
				if schema.Types[n.Name] != nil {
					out = append(out, n.Name)
				}
			}
			slices.Sort(out)
			return out
		}
		if got, all := slices.Sorted(slices.Values(definition.Interfaces)), held(want.Interfaces); !slices.Equal(got, all) {
			t.Errorf("%s implements %v, published are %v", definition.Name, got, all)
		}
		if definition.Kind == ast.Union {
			if got, all := slices.Sorted(slices.Values(definition.Types)), held(want.PossibleTypes); !slices.Equal(got, all) {
				t.Errorf("union %s is of %v, published are %v", definition.Name, got, all)
			}
		}
		for _, value := range definition.EnumValues {
			compareMember(t, definition.Name, want.EnumValues, value.Name, "", nil, value.Directives)
		}
		if got, all := len(definition.EnumValues), len(want.EnumValues); got != all {
			t.Errorf("enum %s has %d values, published are %d", definition.Name, got, all)
		}
		if definition.Kind == ast.InputObject {
			for _, field := range want.InputFields {
				if strings.HasSuffix(field.Type.String(), "!") && field.DefaultValue == nil && definition.Fields.ForName(field.Name) == nil {
					t.Errorf("%s lacks its required field %s", definition.Name, field.Name)
				}
			}
			if oneOf := definition.Directives.ForName("oneOf") != nil; oneOf != want.IsOneOf {
				t.Errorf("%s: oneOf is %v, published is %v", definition.Name, oneOf, want.IsOneOf)
			}
		}
		for _, field := range definition.Fields {
			if strings.HasPrefix(field.Name, "__") {
				continue
			}
			fields++
			if definition.Kind == ast.InputObject {
				compareMember(t, definition.Name, want.InputFields, field.Name, field.Type.String(), field.DefaultValue, field.Directives)
				continue
			}
			plain := make([]publishedValue, len(want.Fields))
			for i, f := range want.Fields {
				plain[i] = f.publishedValue
			}
			at := compareMember(t, definition.Name, plain, field.Name, field.Type.String(), nil, field.Directives)
			if at < 0 {
				continue
			}
			for _, argument := range field.Arguments {
				compareMember(t, definition.Name+"."+field.Name, want.Fields[at].Args, argument.Name, argument.Type.String(), argument.DefaultValue, argument.Directives)
			}
			for _, argument := range want.Fields[at].Args {
				if strings.HasSuffix(argument.Type.String(), "!") && argument.DefaultValue == nil && field.Arguments.ForName(argument.Name) == nil {
					t.Errorf("%s.%s lacks its required argument %s", definition.Name, field.Name, argument.Name)
				}
			}
		}
	}
	return fields
}

// compareMember finds a member among the published ones and compares it; -1 where there is none.
func compareMember(t *testing.T, owner string, published []publishedValue, name, typ string, value *ast.Value, directives ast.DirectiveList) int {
	t.Helper()
	at := slices.IndexFunc(published, func(p publishedValue) bool { return p.Name == name })
	if at < 0 {
		t.Errorf("%s.%s is not published", owner, name)
		return at
	}
	want := published[at]
	if got := want.Type.String(); typ != "" && got != typ {
		t.Errorf("%s.%s is of type %s, published is %s", owner, name, typ, got)
	}
	if deprecated := directives.ForName("deprecated") != nil; deprecated != want.IsDeprecated {
		t.Errorf("%s.%s: deprecated is %v, published is %v", owner, name, deprecated, want.IsDeprecated)
	}
	switch {
	case value == nil && want.DefaultValue == nil:
	case value == nil || want.DefaultValue == nil || value.String() != *want.DefaultValue:
		published := "none"
		if want.DefaultValue != nil {
			published = *want.DefaultValue
		}
		t.Errorf("%s.%s: default %v, published is %s", owner, name, value, published)
	}
	return at
}

func publishedTypes(t *testing.T, version string) map[string]publishedType {
	t.Helper()
	text, err := shopifyschema.Introspection(version)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Data struct {
			Schema struct{ Types []publishedType } `json:"__schema"`
		}
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		t.Fatal(err)
	}
	out := make(map[string]publishedType, len(answer.Data.Schema.Types))
	for _, typ := range answer.Data.Schema.Types {
		out[typ.Name] = typ
	}
	return out
}

// A field of a version's schema without a resolver would answer an error, and a
// resolver that no version has a field for could never be asked.
func TestEveryFieldIsSimulated(t *testing.T) {
	known, declared := map[string]bool{}, map[string]bool{}
	for _, version := range stableVersions {
		for name, definition := range schemaOf(version).AST().Types {
			known[name] = true
			for _, field := range definition.Fields {
				declared[field.Name] = true
			}
			if definition.BuiltIn || definition.Kind != ast.Object {
				continue
			}
			if strings.HasSuffix(name, "Connection") || strings.HasSuffix(name, "Edge") || name == "PageInfo" {
				continue // Package graph answers these.
			}
			for _, field := range definition.Fields {
				if !strings.HasPrefix(field.Name, "__") && objectTypes[name][field.Name] == nil {
					t.Errorf("%s: %s.%s has no resolver", version, name, field.Name)
				}
			}
		}
	}
	for name, resolvers := range objectTypes {
		if !known[name] {
			t.Errorf("resolvers for %s, which the schema lacks", name)
		}
		for field := range resolvers {
			if !declared[field] {
				t.Errorf("a resolver for %s.%s, which the schema lacks", name, field)
			}
		}
	}
}
