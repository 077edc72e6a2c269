package graph

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// problem is what is wrong at one place inside a variable's value.
type problem struct {
	path        []any
	explanation string
	message     string // Of a scalar of Shopify's own; empty else.
}

// variables judges and coerces the values that a request gives to the variables
// of its operation. Each variable has one error, with all its problems (recorded
// answers, 2026; where several fields are unknown, ours are in alphabetical order,
// Shopify's in the order given).
func (s *Schema) variables(op *ast.OperationDefinition, given map[string]any) (map[string]any, []*Error) {
	out := map[string]any{}
	var refusals []*Error
	for _, declared := range op.VariableDefinitions {
		value, ok := given[declared.Variable]
		if !ok {
			if declared.DefaultValue != nil {
				if value, err := declared.DefaultValue.Value(nil); err == nil {
					out[declared.Variable] = s.coerce(value, declared.Type)
				}
				continue
			}
			if !declared.Type.NonNull {
				continue
			}
		}
		if problems := s.problems(value, declared.Type, []any{}); len(problems) > 0 {
			refusals = append(refusals, invalidVariable(declared, value, problems))
			continue
		}
		out[declared.Variable] = s.coerce(value, declared.Type)
	}
	return out, refusals
}

func invalidVariable(declared *ast.VariableDefinition, value any, problems []problem) *Error {
	out := Errorf(CodeInvalidVariable, "Variable $%s of type %s was provided invalid value", declared.Variable, declared.Type)
	out.Locations = locate(declared.Position)
	var places []string
	var list []any
	for _, p := range problems {
		entry := map[string]any{"path": p.path, "explanation": p.explanation}
		if p.message != "" {
			entry["message"] = p.message
		}
		list = append(list, entry)
		if len(p.path) > 0 {
			steps := make([]string, len(p.path))
			for i, step := range p.path {
				steps[i] = fmt.Sprint(step)
			}
			places = append(places, fmt.Sprintf("%s (%s)", strings.Join(steps, "."), p.explanation))
		}
	}
	if len(places) > 0 {
		out.Message += " for " + strings.Join(places, ", ")
	}
	out.Extensions["value"], out.Extensions["problems"] = value, list
	return out
}

// problems lists where a value does not fit a type.
func (s *Schema) problems(value any, typ *ast.Type, path []any) []problem {
	one := func(format string, args ...any) []problem {
		return []problem{{path: path, explanation: fmt.Sprintf(format, args...)}}
	}
	if value == nil {
		if typ.NonNull {
			return one("Expected value to not be null")
		}
		return nil
	}
	if typ.Elem != nil {
		list, ok := elements(value)
		if !ok {
			return s.problems(value, typ.Elem, path)
		}
		var out []problem
		for i, element := range list {
			out = append(out, s.problems(element, typ.Elem, append(path[:len(path):len(path)], i))...)
		}
		return out
	}
	definition := s.ast.Types[typ.NamedType]
	switch definition.Kind {
	case ast.InputObject:
		fields, ok := value.(map[string]any)
		if !ok {
			return one("Expected %s to be a key-value object.", spellJSON(value))
		}
		return s.fieldProblems(fields, definition, path)
	case ast.Enum:
		if name, ok := value.(string); ok && definition.EnumValues.ForName(name) != nil {
			return nil
		}
		names := make([]string, len(definition.EnumValues))
		for i, known := range definition.EnumValues {
			names[i] = known.Name
		}
		return one("Expected %s to be one of: %s", spellJSON(value), strings.Join(names, ", "))
	}
	text, isText := value.(string)
	number := spellJSON(value)
	_, isNumber := value.(json.Number)
	switch value.(type) {
	case float64, int, int64:
		isNumber = true
	}
	fits := true
	switch definition.Name {
	case "Int":
		_, isWhole := integer(value).(int64)
		fits = isNumber && isWhole && !strings.Contains(number, ".")
	case "Float":
		fits = isNumber
	case "Boolean":
		_, fits = value.(bool)
	case "String":
		fits = isText
	default:
		if isNumber {
			text, isText = number, true
		}
		if message := scalarProblem(definition.Name, text); isText && message != "" {
			return []problem{{path: path, explanation: message, message: message}}
		}
	}
	if !fits {
		return one("Could not coerce value %s to %s", spellJSON(value), definition.Name)
	}
	return nil
}

func (s *Schema) fieldProblems(given map[string]any, definition *ast.Definition, path []any) []problem {
	var out []problem
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if definition.Fields.ForName(name) == nil {
			out = append(out, problem{path: append(path[:len(path):len(path)], name), explanation: "Field is not defined on " + definition.Name})
		}
	}
	for _, field := range definition.Fields {
		value, ok := given[field.Name]
		if !ok && (field.DefaultValue != nil || !field.Type.NonNull) {
			continue
		}
		out = append(out, s.problems(value, field.Type, append(path[:len(path):len(path)], field.Name))...)
	}
	if definition.Directives.ForName("oneOf") != nil && len(given) != 1 {
		// Recorded but for the name.
		out = append(out, problem{path: path, explanation: fmt.Sprintf("'%s' requires exactly one argument, but %d were provided.", definition.Name, len(given))})
	}
	return out
}

func spellJSON(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(text)
}
