package graph

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vektah/gqlparser/v2/ast"
)

// findings walks a document in its order and states, in Shopify's words and
// shape, what of it does not fit the schema. It knows the rules whose errors were
// recorded in 2026; the validator's own rules find the rest. The document must
// have been through the validator, which links it to the schema.
type findings struct {
	schema *ast.Schema
	op     *ast.OperationDefinition // Whose variables are used; nil inside fragments.
	path   []any
	list   []*Error
	used   map[string]bool // Variables in arguments that exist,
	stray  map[string]bool // and in those that do not.
}

func (s *Schema) findings(document *ast.QueryDocument) []*Error {
	f := &findings{schema: s.ast}
	for _, op := range document.Operations {
		name := string(op.Operation)
		if op.Name != "" {
			name += " " + op.Name
		}
		f.op, f.used, f.stray = op, map[string]bool{}, map[string]bool{}
		f.within(name, func() {
			root := map[ast.Operation]*ast.Definition{ast.Query: s.ast.Query, ast.Mutation: s.ast.Mutation}[op.Operation]
			f.selections(op.SelectionSet, root)
			f.unused(op)
		})
	}
	f.op = nil
	for _, fragment := range document.Fragments {
		f.within("fragment "+fragment.Name, func() { f.selections(fragment.SelectionSet, s.ast.Types[fragment.TypeCondition]) })
	}
	return f.list
}

func (f *findings) within(step any, walk func()) {
	f.path = append(f.path, step)
	walk()
	f.path = f.path[:len(f.path)-1]
}

// add states an error at a place; extensions are names and values in turn.
func (f *findings) add(at *ast.Position, code, message string, extensions ...string) {
	err := Errorf(code, "%s", message)
	err.Locations, err.Path = locate(at), slices.Clone(f.path)
	for i := 0; i < len(extensions); i += 2 {
		err.Extensions[extensions[i]] = extensions[i+1]
	}
	f.list = append(f.list, err)
}

func (f *findings) unused(op *ast.OperationDefinition) {
	for _, variable := range op.VariableDefinitions {
		// Recorded: one in an argument that does not exist counts as not used.
		if !variable.Used || f.stray[variable.Variable] && !f.used[variable.Variable] {
			f.add(op.Position, "variableNotUsed", fmt.Sprintf("Variable $%s is declared by %s but not used", variable.Variable, called(op)),
				"variableName", variable.Variable)
		}
	}
}

func called(op *ast.OperationDefinition) string {
	if op.Name == "" {
		return "anonymous " + string(op.Operation)
	}
	return op.Name
}

func (f *findings) selections(set ast.SelectionSet, parent *ast.Definition) {
	for _, selected := range set {
		switch selected := selected.(type) {
		case *ast.Field:
			f.within(selected.Alias, func() { f.field(selected, parent) })
		case *ast.InlineFragment:
			on, step := parent, "..."
			if selected.TypeCondition != "" {
				on, step = f.schema.Types[selected.TypeCondition], "... on "+selected.TypeCondition
			}
			f.within(step, func() {
				if on == nil {
					f.add(dots(selected.Position), "undefinedType", "No such type "+selected.TypeCondition+", so it can't be a fragment condition", "typeName", selected.TypeCondition)
					return
				}
				f.directives(selected.Directives)
				f.selections(selected.SelectionSet, on)
			})
		case *ast.FragmentSpread:
			f.directives(selected.Directives)
		}
	}
}

// dots moves the place of an inline fragment from its word on to its dots, where
// Shopify's errors point.
func dots(on *ast.Position) *ast.Position {
	if on == nil || on.Src == nil || on.Start > len(on.Src.Input) {
		return on
	}
	if at := strings.LastIndex(on.Src.Input[:on.Start], "..."); at >= 0 && !strings.Contains(on.Src.Input[at:on.Start], "\n") {
		moved := *on
		moved.Column -= on.Start - at
		return &moved
	}
	return on
}

func (f *findings) field(selected *ast.Field, parent *ast.Definition) {
	if parent == nil || strings.HasPrefix(selected.Name, "__") {
		return // Of an unknown type, or the schema's own.
	}
	definition := parent.Fields.ForName(selected.Name)
	if definition == nil {
		f.add(selected.Position, "undefinedField", fmt.Sprintf("Field '%s' doesn't exist on type '%s'", selected.Name, parent.Name),
			"typeName", parent.Name, "fieldName", selected.Name)
		return
	}
	f.arguments("Field", selected.Name, selected.Position, selected.Arguments, definition.Arguments)
	f.directives(selected.Directives)
	inner := f.schema.Types[definition.Type.Name()]
	switch {
	case inner.IsCompositeType() && len(selected.SelectionSet) == 0:
		f.add(selected.Position, "selectionMismatch",
			fmt.Sprintf("Field must have selections (field '%s' returns %s but has no selections. Did you mean '%s { ... }'?)", selected.Name, inner.Name, selected.Name),
			"nodeName", "field '"+selected.Name+"'", "typeName", inner.Name)
	case inner.IsLeafType() && len(selected.SelectionSet) > 0:
		// Not recorded: from graphql-ruby, which Shopify uses.
		var names []string
		for _, below := range selected.SelectionSet {
			switch below := below.(type) {
			case *ast.Field:
				names = append(names, strconv.Quote(below.Name))
			case *ast.FragmentSpread:
				names = append(names, strconv.Quote(below.Name))
			case *ast.InlineFragment:
				names = append(names, strconv.Quote("... on "+below.TypeCondition+" { ... }"))
			}
		}
		f.add(selected.Position, "selectionMismatch",
			fmt.Sprintf("Selections can't be made on %ss (field '%s' returns %s but has selections [%s])", strings.ToLower(string(inner.Kind)), selected.Name, inner.Name, strings.Join(names, ", ")),
			"nodeName", "field '"+selected.Name+"'", "typeName", inner.Name)
	default:
		f.selections(selected.SelectionSet, inner)
	}
}

func (f *findings) directives(list ast.DirectiveList) {
	for _, directive := range list {
		definition := f.schema.Directives[directive.Name]
		if definition == nil {
			f.add(directive.Position, "undefinedDirective", "Directive @"+directive.Name+" is not defined", "directiveName", directive.Name)
			continue
		}
		f.arguments("Directive", directive.Name, directive.Position, directive.Arguments, definition.Arguments)
	}
}

// arguments judges those of a field or a directive.
func (f *findings) arguments(class, name string, at *ast.Position, given ast.ArgumentList, declared ast.ArgumentDefinitionList) {
	var missing []string
	for _, argument := range declared {
		if argument.Type.NonNull && argument.DefaultValue == nil && given.ForName(argument.Name) == nil {
			missing = append(missing, argument.Name)
		}
	}
	if len(missing) > 0 {
		list := strings.Join(missing, ", ")
		f.add(at, "missingRequiredArguments", fmt.Sprintf("%s '%s' is missing required arguments: %s", class, name, list),
			"className", class, "name", name, "arguments", list)
	}
	for _, argument := range given {
		f.within(argument.Name, func() {
			definition := declared.ForName(argument.Name)
			if definition == nil {
				f.add(argument.Position, "argumentNotAccepted", fmt.Sprintf("%s '%s' doesn't accept argument '%s'", class, name, argument.Name),
					"name", name, "typeName", class, "argumentName", argument.Name)
				if argument.Value.Kind == ast.Variable && f.op != nil {
					f.stray[argument.Value.Raw] = true
				}
				return
			}
			f.value(class, name, argument.Name, at, argument.Value, definition.Type, definition.DefaultValue != nil)
		})
	}
}

// value judges one that an argument, or a field of an input object, was given:
// as a whole, and then what lies in it. at is where what has the argument begins.
func (f *findings) value(class, name, argument string, at *ast.Position, value *ast.Value, typ *ast.Type, hasDefault bool) {
	if value.Kind == ast.Variable {
		f.variable(argument, value, typ, hasDefault)
		return
	}
	if problem, fits := f.literal(value, typ); problem != "" {
		f.add(at, "argumentLiteralsIncompatible", problem, "typeName", "CoercionError")
		return
	} else if !fits {
		f.add(at, "argumentLiteralsIncompatible",
			fmt.Sprintf("Argument '%s' on %s '%s' has an invalid value (%s). Expected type '%s'.", argument, class, name, spell(value), typ),
			"typeName", class, "argumentName", argument)
		return
	}
	f.inside(argument, value, typ)
}

// inside judges the input objects in a value, and the variables in a list.
func (f *findings) inside(argument string, value *ast.Value, typ *ast.Type) {
	if typ.Elem != nil {
		if value.Kind != ast.ListValue {
			f.inside(argument, value, typ.Elem)
			return
		}
		for i, child := range value.Children {
			f.within(i, func() {
				if child.Value.Kind == ast.Variable {
					f.variable(argument, child.Value, typ.Elem, false)
					return
				}
				f.inside(argument, child.Value, typ.Elem)
			})
		}
		return
	}
	definition := f.schema.Types[typ.NamedType]
	if definition == nil || definition.Kind != ast.InputObject || value.Kind != ast.ObjectValue {
		return
	}
	for _, field := range definition.Fields {
		if field.Type.NonNull && field.DefaultValue == nil && value.Children.ForName(field.Name) == nil {
			f.within(field.Name, func() {
				f.add(value.Position, "missingRequiredInputObjectAttribute",
					fmt.Sprintf("Argument '%s' on InputObject '%s' is required. Expected type %s", field.Name, definition.Name, field.Type),
					"argumentName", field.Name, "argumentType", field.Type.String(), "inputObjectType", definition.Name)
			})
		}
	}
	if definition.Directives.ForName("oneOf") != nil && len(value.Children) != 1 {
		f.add(value.Position, "invalidOneOfInputObject", "OneOf Input Object '"+definition.Name+"' must specify exactly one key.", "inputObjectType", definition.Name)
	}
	for _, child := range value.Children {
		f.within(child.Name, func() {
			field := definition.Fields.ForName(child.Name)
			if field == nil {
				f.add(child.Position, "argumentNotAccepted", fmt.Sprintf("InputObject '%s' doesn't accept argument '%s'", definition.Name, child.Name),
					"name", definition.Name, "typeName", "InputObject", "argumentName", child.Name)
				return
			}
			f.value("InputObject", definition.Name, child.Name, value.Position, child.Value, field.Type, field.DefaultValue != nil)
		})
	}
}

// variable judges the use of one. Not recorded: the texts are graphql-ruby's,
// which Shopify uses.
func (f *findings) variable(argument string, value *ast.Value, typ *ast.Type, hasDefault bool) {
	if f.op == nil {
		return // Of a fragment: the validator knows who spreads it.
	}
	f.used[value.Raw] = true
	declared := f.op.VariableDefinitions.ForName(value.Raw)
	if declared == nil {
		f.add(value.Position, "variableNotDefined", fmt.Sprintf("Variable $%s is used by %s but not declared", value.Raw, called(f.op)), "variableName", value.Raw)
		return
	}
	have := *declared.Type
	if declared.DefaultValue != nil && declared.DefaultValue.Kind != ast.NullValue || hasDefault {
		have.NonNull = true
	}
	if have.IsCompatible(typ) {
		return
	}
	problem := "Type mismatch"
	switch loose, wanted := have, *typ; {
	case (have.Elem == nil) != (typ.Elem == nil):
		problem = "List dimension mismatch"
	case !have.NonNull && typ.NonNull:
		if loose.NonNull, wanted.NonNull = false, false; loose.IsCompatible(&wanted) {
			problem = "Nullability mismatch"
		}
	}
	f.add(value.Position, "variableMismatch",
		fmt.Sprintf("%s on variable $%s and argument %s (%s / %s)", problem, value.Raw, argument, declared.Type, typ),
		"variableName", value.Raw, "typeName", declared.Type.String(), "argumentName", argument, "errorMessage", problem)
}

// literal tells whether a literal fits a type as a whole: input objects are only
// asked to be objects. problem is what a scalar of Shopify's own says of a value.
func (f *findings) literal(value *ast.Value, typ *ast.Type) (problem string, fits bool) {
	if value.Kind == ast.Variable {
		return "", true
	}
	if value.Kind == ast.NullValue {
		return "", !typ.NonNull
	}
	if typ.Elem != nil {
		if value.Kind != ast.ListValue {
			return f.literal(value, typ.Elem)
		}
		for _, child := range value.Children {
			if problem, fits := f.literal(child.Value, typ.Elem); problem != "" || !fits {
				return problem, fits
			}
		}
		return "", true
	}
	definition := f.schema.Types[typ.NamedType]
	if definition == nil {
		return "", true
	}
	switch definition.Kind {
	case ast.InputObject:
		return "", value.Kind == ast.ObjectValue
	case ast.Enum:
		return "", value.Kind == ast.EnumValue && definition.EnumValues.ForName(value.Raw) != nil
	}
	text := value.Kind == ast.StringValue || value.Kind == ast.BlockValue
	switch definition.Name {
	case "Int":
		_, err := strconv.ParseInt(value.Raw, 10, 32)
		return "", value.Kind == ast.IntValue && err == nil
	case "Float":
		return "", value.Kind == ast.IntValue || value.Kind == ast.FloatValue
	case "Boolean":
		return "", value.Kind == ast.BooleanValue
	case "String":
		return "", text
	}
	if text || value.Kind == ast.IntValue || value.Kind == ast.FloatValue {
		problem = scalarProblem(definition.Name, value.Raw)
	}
	return problem, problem == ""
}

var globalID = regexp.MustCompile(`^gid://[^/\s]+/[^/\s]+/[^/\s]+$`)

// scalarProblem is what a scalar of Shopify's own says of a text that it cannot
// be; recorded are these four.
func scalarProblem(scalar, text string) string {
	switch scalar {
	case "ID":
		if !globalID.MatchString(text) {
			return "Invalid global id '" + text + "'"
		}
	case "Decimal":
		if _, err := strconv.ParseFloat(text, 64); err != nil {
			return "invalid decimal '" + text + "'"
		}
	case "DateTime":
		if _, err := time.Parse(time.RFC3339, text); err != nil {
			if _, err := time.Parse(time.DateOnly, text); err != nil {
				return "invalid DateTime '" + text + "'"
			}
		}
	case "URL":
		if scheme, rest, _ := strings.Cut(text, ":"); scheme == "" || rest == "" {
			return "Invalid url '" + text + "', missing scheme"
		}
	}
	return ""
}

// spell writes a literal as Shopify's messages do.
func spell(value *ast.Value) string {
	switch value.Kind {
	case ast.ListValue:
		parts := make([]string, len(value.Children))
		for i, child := range value.Children {
			parts[i] = spell(child.Value)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case ast.ObjectValue:
		parts := make([]string, len(value.Children))
		for i, child := range value.Children {
			parts[i] = child.Name + ": " + spell(child.Value)
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case ast.StringValue, ast.BlockValue:
		return strconv.Quote(value.Raw)
	case ast.Variable:
		return "$" + value.Raw
	}
	return value.Raw
}
