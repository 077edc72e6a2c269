package shopifyschema

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// The shape of an introspection answer, as the GraphQL specification gives it.
type (
	introspection struct {
		Data *struct {
			Schema schema `json:"__schema"`
		} `json:"data"`
	}
	schema struct {
		QueryType    *named      `json:"queryType"`
		MutationType *named      `json:"mutationType"`
		Types        []fullType  `json:"types"`
		Directives   []directive `json:"directives"`
	}
	named    struct{ Name string }
	fullType struct {
		Kind          string
		Name          string
		Fields        []field
		InputFields   []value
		Interfaces    []named
		EnumValues    []enumValue
		PossibleTypes []named
		IsOneOf       bool
	}
	field struct {
		Name              string
		Args              []value
		Type              typeRef
		IsDeprecated      bool
		DeprecationReason *string
	}
	value struct {
		Name              string
		Type              typeRef
		DefaultValue      *string
		IsDeprecated      bool
		DeprecationReason *string
	}
	enumValue struct {
		Name              string
		IsDeprecated      bool
		DeprecationReason *string
	}
	directive struct {
		Name         string
		Locations    []string
		Args         []value
		IsRepeatable bool
	}
	typeRef struct {
		Kind   string
		Name   string
		OfType *typeRef
	}
)

func (t typeRef) String() string {
	switch {
	case t.OfType == nil:
		return t.Name
	case t.Kind == "NON_NULL":
		return t.OfType.String() + "!"
	default:
		return "[" + t.OfType.String() + "]"
	}
}

// What every GraphQL parser brings along and refuses to see twice.
var builtIn = map[string]bool{
	"String": true, "Int": true, "Float": true, "Boolean": true, "ID": true,
	"include": true, "skip": true, "deprecated": true, "specifiedBy": true, "oneOf": true,
}

// SDL turns an introspection answer into the schema definition language,
// without descriptions.
func SDL(data []byte) (string, error) {
	return sdl(data, func(string, fullType) bool { return true })
}

// SDLForGeneration is SDL with fewer `implements`, for genqlient: it refuses
// interfaces that implement interfaces, and makes a Go type for every object
// that implements Node wherever a query says nodes(ids:). Node and HasMetafields
// stay on the listed objects alone.
func SDLForGeneration(data []byte, nodes ...string) (string, error) {
	kept := map[string]bool{}
	for _, name := range nodes {
		kept[name] = true
	}
	return sdl(data, func(implemented string, by fullType) bool {
		if by.Kind == "INTERFACE" {
			return false
		}
		if implemented == "Node" || implemented == "HasMetafields" {
			return kept[by.Name]
		}
		return true
	})
}

func sdl(data []byte, implements func(implemented string, by fullType) bool) (string, error) {
	var answer introspection
	if err := json.Unmarshal(data, &answer); err != nil {
		return "", fmt.Errorf("read introspection: %w", err)
	}
	if answer.Data == nil || answer.Data.Schema.QueryType == nil {
		return "", fmt.Errorf("read introspection: no __schema with a query type")
	}
	s := answer.Data.Schema
	var out strings.Builder
	out.WriteString("schema {\n  query: " + s.QueryType.Name + "\n")
	if s.MutationType != nil {
		out.WriteString("  mutation: " + s.MutationType.Name + "\n")
	}
	out.WriteString("}\n")
	for _, d := range s.Directives {
		if builtIn[d.Name] {
			continue
		}
		out.WriteString("\ndirective @" + d.Name + arguments(d.Args))
		if d.IsRepeatable {
			out.WriteString(" repeatable")
		}
		out.WriteString(" on " + strings.Join(d.Locations, " | ") + "\n")
	}
	for _, t := range s.Types {
		if builtIn[t.Name] || strings.HasPrefix(t.Name, "__") {
			continue
		}
		if err := writeType(&out, t, implements); err != nil {
			return "", err
		}
	}
	return out.String(), nil
}

func writeType(out *strings.Builder, t fullType, implements func(string, fullType) bool) error {
	switch t.Kind {
	case "SCALAR":
		out.WriteString("\nscalar " + t.Name + "\n")
	case "ENUM":
		out.WriteString("\nenum " + t.Name + " {\n")
		for _, v := range t.EnumValues {
			out.WriteString("  " + v.Name + deprecation(v.IsDeprecated, v.DeprecationReason) + "\n")
		}
		out.WriteString("}\n")
	case "UNION":
		members := make([]string, len(t.PossibleTypes))
		for i, member := range t.PossibleTypes {
			members[i] = member.Name
		}
		out.WriteString("\nunion " + t.Name + " = " + strings.Join(members, " | ") + "\n")
	case "INPUT_OBJECT":
		out.WriteString("\ninput " + t.Name)
		if t.IsOneOf {
			out.WriteString(" @oneOf")
		}
		out.WriteString(" {\n")
		for _, f := range t.InputFields {
			out.WriteString("  " + f.String() + "\n")
		}
		out.WriteString("}\n")
	case "OBJECT", "INTERFACE":
		keyword := map[string]string{"OBJECT": "type", "INTERFACE": "interface"}[t.Kind]
		out.WriteString("\n" + keyword + " " + t.Name)
		joint := " implements "
		for _, implemented := range t.Interfaces {
			if implements(implemented.Name, t) {
				out.WriteString(joint + implemented.Name)
				joint = " & "
			}
		}
		out.WriteString(" {\n")
		for _, f := range t.Fields {
			out.WriteString("  " + f.Name + arguments(f.Args) + ": " + f.Type.String() +
				deprecation(f.IsDeprecated, f.DeprecationReason) + "\n")
		}
		out.WriteString("}\n")
	default:
		return fmt.Errorf("write SDL of %s: unknown kind %q", t.Name, t.Kind)
	}
	return nil
}

func (v value) String() string {
	text := v.Name + ": " + v.Type.String()
	if v.DefaultValue != nil {
		text += " = " + *v.DefaultValue
	}
	return text + deprecation(v.IsDeprecated, v.DeprecationReason)
}

func arguments(args []value) string {
	if len(args) == 0 {
		return ""
	}
	texts := make([]string, len(args))
	for i, arg := range args {
		texts[i] = arg.String()
	}
	return "(" + strings.Join(texts, ", ") + ")"
}

func deprecation(deprecated bool, reason *string) string {
	switch {
	case !deprecated:
		return ""
	case reason == nil:
		return " @deprecated"
	default:
		return " @deprecated(reason: " + strconv.Quote(*reason) + ")"
	}
}
