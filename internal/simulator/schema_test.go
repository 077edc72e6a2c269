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

// The subset may leave things out, but what it holds is Shopify's to the letter.
func TestSchemaIsPublished(t *testing.T) {
	published := publishedTypes(t)
	checked := 0
	for _, definition := range schema().AST().Types {
		if definition.BuiltIn {
			continue
		}
		want, ok := published[definition.Name]
		if !ok || want.Kind != string(definition.Kind) {
			t.Errorf("%s %s: published is %q", definition.Kind, definition.Name, want.Kind)
			continue
		}
		for _, name := range definition.Interfaces {
			if !slices.ContainsFunc(want.Interfaces, func(i struct{ Name string }) bool { return i.Name == name }) {
				t.Errorf("%s does not implement %s", definition.Name, name)
			}
		}
		for _, name := range definition.Types {
			if !slices.ContainsFunc(want.PossibleTypes, func(p struct{ Name string }) bool { return p.Name == name }) {
				t.Errorf("union %s has no member %s", definition.Name, name)
			}
		}
		for _, value := range definition.EnumValues {
			compareMember(t, definition.Name, want.EnumValues, value.Name, "", nil, value.Directives)
		}
		if got, all := len(definition.EnumValues), len(want.EnumValues); got != all {
			t.Errorf("enum %s has %d values, published are %d", definition.Name, got, all)
		}
		for _, field := range definition.Fields {
			if strings.HasPrefix(field.Name, "__") {
				continue
			}
			checked++
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
	if checked < 300 {
		t.Errorf("only %d fields were compared", checked)
	}
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
		t.Errorf("%s.%s: default %v, published is %v", owner, name, value, want.DefaultValue)
	}
	return at
}

func publishedTypes(t *testing.T) map[string]publishedType {
	t.Helper()
	text, err := shopifyschema.Introspection("2026-10")
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

// A field of the schema without a resolver would answer an error, and a
// resolver without a field could never be asked.
func TestEveryFieldIsSimulated(t *testing.T) {
	types := schema().AST().Types
	for name, definition := range types {
		if definition.BuiltIn || definition.Kind != ast.Object {
			continue
		}
		if strings.HasSuffix(name, "Connection") || strings.HasSuffix(name, "Edge") || name == "PageInfo" {
			continue // Package graph answers these.
		}
		for _, field := range definition.Fields {
			if !strings.HasPrefix(field.Name, "__") && objectTypes[name][field.Name] == nil {
				t.Errorf("%s.%s has no resolver", name, field.Name)
			}
		}
	}
	declared := map[string]bool{}
	for _, definition := range types {
		for _, field := range definition.Fields {
			declared[field.Name] = true
		}
	}
	for name, resolvers := range objectTypes {
		if types[name] == nil {
			t.Errorf("resolvers for %s, which the schema lacks", name)
		}
		for field := range resolvers {
			if !declared[field] {
				t.Errorf("a resolver for %s.%s, which the schema lacks", name, field)
			}
		}
	}
}
