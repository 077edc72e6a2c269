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
		Name              string
		Type              publishedRef
		DefaultValue      *string
		IsDeprecated      bool
		DeprecationReason *string
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
// deprecations with their reasons, arguments, the interfaces and unions among
// what is held, and every value of an enum. What it holds in one version it
// holds in all that have it, and arguments are left out only where leftOut says.
func TestSchemaIsPublished(t *testing.T) {
	for _, version := range stableVersions {
		t.Run(version, func(t *testing.T) {
			published := publishedTypes(t, version)
			fields := compareSchema(t, schemaOf(version).AST(), published)
			for _, other := range stableVersions {
				compareVersions(t, other, schemaOf(other).AST(), schemaOf(version).AST(), published)
			}
			if fields < 600 {
				t.Errorf("only %d fields were compared", fields)
			}
			t.Logf("%d types, %d fields compared", len(schemaOf(version).AST().Types), fields)
		})
	}
}

// leftOut are the arguments of held fields that the simulator does not have. A
// request that gives one of them is answered as one that Shopify does not know.
var leftOut = []string{
	"Mutation.inventoryActivate stockAtLegacyLocation",
	"Mutation.locationDeactivate destinationLocationId",
	"Mutation.productCreate input",
	"Mutation.productUpdate input",
	"Mutation.productUpdate media",
	"Mutation.productVariantsBulkCreate media",
	"Mutation.productVariantsBulkUpdate media",
	"Product.media query",
}

// compareVersions finds what another version holds, this one's published schema
// has, and this one lacks: a mark that keeps it out wrongly.
func compareVersions(t *testing.T, from string, other, schema *ast.Schema, published map[string]publishedType) {
	t.Helper()
	for name, definition := range other.Types {
		want, ok := published[name]
		if definition.BuiltIn || !ok {
			continue
		}
		here := schema.Types[name]
		if here == nil {
			t.Errorf("%s is published and held in %s, and not here", name, from)
			continue
		}
		fields := map[string][]publishedValue{}
		for _, field := range want.Fields {
			fields[field.Name] = field.Args
		}
		for _, field := range want.InputFields {
			fields[field.Name] = nil
		}
		for _, field := range definition.Fields {
			arguments, ok := fields[field.Name]
			if !ok || strings.HasPrefix(field.Name, "__") {
				continue
			}
			held := here.Fields.ForName(field.Name)
			if held == nil {
				t.Errorf("%s.%s is published and held in %s, and not here", name, field.Name, from)
				continue
			}
			for _, argument := range arguments {
				if field.Arguments.ForName(argument.Name) != nil && held.Arguments.ForName(argument.Name) == nil {
					t.Errorf("%s.%s(%s) is published and held in %s, and not here", name, field.Name, argument.Name, from)
				}
			}
		}
	}
}

// What was held once is not lost by accident: a field that goes lowers the
// number, and whoever means it lowers it here.
func TestTheSubsetDoesNotShrink(t *testing.T) {
	fields := 0
	for _, definition := range schemaOf(latestVersion).AST().Types {
		if !definition.BuiltIn {
			fields += len(definition.Fields)
		}
	}
	if fields < heldFields {
		t.Errorf("%s holds %d fields, and held %d", latestVersion, fields, heldFields)
	}
	t.Logf("%d fields", fields)
}

const heldFields = 1288

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
				lacks, meant := field.Arguments.ForName(argument.Name) == nil, slices.Contains(leftOut, definition.Name+"."+field.Name+" "+argument.Name)
				if lacks != meant {
					t.Errorf("%s.%s(%s): left out %v, meant to be %v", definition.Name, field.Name, argument.Name, lacks, meant)
				}
				if lacks && strings.HasSuffix(argument.Type.String(), "!") && argument.DefaultValue == nil {
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
	deprecated := directives.ForName("deprecated")
	if (deprecated != nil) != want.IsDeprecated {
		t.Errorf("%s.%s: deprecated is %v, published is %v", owner, name, deprecated != nil, want.IsDeprecated)
	}
	if deprecated != nil && want.DeprecationReason != nil {
		if reason := deprecated.Arguments.ForName("reason"); reason == nil || reason.Value.Raw != *want.DeprecationReason {
			t.Errorf("%s.%s: the reason of its deprecation is not the published %q", owner, name, *want.DeprecationReason)
		}
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
