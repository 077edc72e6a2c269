package graph

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
)

// IdempotencyKey is the name, which no argument can have, under which a
// resolver finds the key of a field's @idempotent directive.
const IdempotencyKey = "@idempotent"

// MaxInputSize is how many elements a list argument may hold.
const MaxInputSize = 250

// Operation is a request that fits the schema, ready to be executed once.
type Operation struct {
	Mutation   bool
	Cost       int      // Requested, in points, from the request alone.
	Deprecated []string // Deprecated fields in use, as Type.field.

	// Reading is called with the writing of each top-level field's answer,
	// after the field was resolved, and must do it. Nil does it at once.
	Reading func(write func())

	schema *Schema
	debug  Debug
	root   *ast.Definition
	vars   map[string]any
	top    *selection
}

// Prepare parses and validates the request, chooses its operation, coerces its
// variables and reckons its cost.
func (s *Schema) Prepare(request Request) (*Operation, []*Error) {
	document, err := parser.ParseQuery(&ast.Source{Input: request.Query})
	if err != nil {
		return nil, []*Error{parseError(request.Query, err)}
	}
	found := validator.ValidateWithRules(s.ast, document, nil)
	if problems := validationErrors(s.findings(document), found); len(problems) > 0 {
		return nil, problems
	}
	chosen, refusal := choose(document, request.OperationName)
	if refusal != nil {
		return nil, []*Error{refusal}
	}
	vars, problems := s.variables(chosen, request.Variables)
	if len(problems) > 0 {
		return nil, problems
	}

	op := &Operation{schema: s, debug: request.Debug, vars: vars, root: s.ast.Query}
	if chosen.Operation == ast.Mutation {
		op.Mutation, op.root = true, s.ast.Mutation
	}
	op.top = &selection{sets: []ast.SelectionSet{chosen.SelectionSet}}
	if problems := op.inspect(op.root, op.top, nil); len(problems) > 0 {
		return nil, problems
	}
	op.Cost = op.requested()
	return op, nil
}

// parseError tells of a syntax error. Recorded is that of a text which ends too
// early; of others the words are graphql-ruby's, which Shopify uses.
func parseError(text string, err error) *Error {
	out := Errorf(CodeParseError, "%s", err.Error())
	positioned, ok := errors.AsType[*gqlerror.Error](err)
	if !ok || len(positioned.Locations) == 0 {
		return out
	}
	at := Location{positioned.Locations[0].Line, positioned.Locations[0].Column}
	out.Locations = []Location{at}
	out.Message = fmt.Sprintf("syntax error, unexpected %s at [%d, %d]", tokenAt(text, at), at.Line, at.Column)
	return out
}

// tokenAt names what stands at a place of a text.
func tokenAt(text string, at Location) string {
	lines := strings.Split(text, "\n")
	if at.Line > len(lines) {
		return endOfFile
	}
	rest := lines[at.Line-1]
	rest = rest[min(max(at.Column-1, 0), len(rest)):]
	if strings.TrimSpace(rest+strings.Join(lines[at.Line:], "")) == "" {
		return endOfFile
	}
	names := map[byte]string{'{': "LCURLY", '}': "RCURLY", '(': "LPAREN", ')': "RPAREN", '[': "LBRACKET", ']': "RBRACKET",
		':': "COLON", '!': "BANG", '$': "VAR_SIGN", '=': "EQUALS", '@': "DIR_SIGN", '|': "PIPE"}
	if rest == "" {
		return "invalid token"
	}
	if name := names[rest[0]]; name != "" {
		return fmt.Sprintf("%s (%q)", name, rest[:1])
	}
	end := strings.IndexFunc(rest, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	switch {
	case end < 0:
		end = len(rest)
	case end == 0:
		_, size := utf8.DecodeRuneInString(rest)
		return fmt.Sprintf("invalid token (%q)", rest[:size])
	}
	return fmt.Sprintf("IDENTIFIER (%q)", rest[:end])
}

const endOfFile = "end of file"

// choose finds the operation that is asked for. Recorded: these refusals have
// neither code nor place.
func choose(document *ast.QueryDocument, name string) (*ast.OperationDefinition, *Error) {
	var chosen *ast.OperationDefinition
	switch {
	case name != "":
		if chosen = document.Operations.ForName(name); chosen == nil {
			return nil, &Error{Message: fmt.Sprintf("No operation named %q", name)}
		}
	case len(document.Operations) == 0:
		return nil, Errorf(CodeParseError, "syntax error, unexpected %s", endOfFile)
	case len(document.Operations) > 1:
		return nil, &Error{Message: "An operation name is required"}
	default:
		chosen = document.Operations[0]
	}
	if chosen.Operation == ast.Subscription {
		return nil, &Error{Message: "Schema is not configured for subscriptions"}
	}
	return chosen, nil
}

// coerce brings a value that fits its type into one Go shape: int64, float64,
// string, bool, []any, map[string]any or nil.
func (s *Schema) coerce(value any, typ *ast.Type) any {
	if value == nil {
		return nil
	}
	if typ.Elem != nil {
		list, ok := elements(value)
		if !ok {
			list = []any{value} // A single value stands for a list of one.
		}
		out := make([]any, len(list))
		for i, element := range list {
			out[i] = s.coerce(element, typ.Elem)
		}
		return out
	}
	definition := s.ast.Types[typ.NamedType]
	if definition.Kind == ast.InputObject {
		given, ok := value.(map[string]any)
		if !ok {
			return value
		}
		out := make(map[string]any, len(given))
		for _, field := range definition.Fields {
			if inner, ok := given[field.Name]; ok {
				out[field.Name] = s.coerce(inner, field.Type)
			} else if field.DefaultValue != nil {
				if inner, err := field.DefaultValue.Value(nil); err == nil {
					out[field.Name] = s.coerce(inner, field.Type)
				}
			}
		}
		return out
	}
	switch typ.NamedType {
	case "Int":
		return integer(value)
	case "Float":
		switch value := value.(type) {
		case int64:
			return float64(value)
		case json.Number:
			if parsed, err := value.Float64(); err == nil {
				return parsed
			}
		}
	case "ID":
		if _, ok := value.(string); !ok {
			return fmt.Sprint(integer(value))
		}
	}
	return value
}

func integer(value any) any {
	switch value := value.(type) {
	case float64:
		if value == math.Trunc(value) {
			return int64(value)
		}
	case json.Number:
		if parsed, err := value.Int64(); err == nil {
			return parsed
		}
	case string:
		if parsed, err := strconv.ParseInt(value, 10, 64); err == nil {
			return parsed
		}
	case int:
		return int64(value)
	}
	return value
}

func decodeNumbers(data []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	return decoder.Decode(into)
}

// selection is what a request asks of one composite value: the selection sets
// of all fields that share a response key.
type selection struct {
	sets   []ast.SelectionSet
	byType map[string][]*field
}

// field is one entry of an answer: fields of the same response key, merged.
type field struct {
	key        string
	definition *ast.FieldDefinition // As the object declares it.
	asked      *ast.FieldDefinition // As the type that the request speaks of declares it,
	askedOf    string               // and that type's name.
	position   *ast.Position
	args       map[string]any
	sub        *selection
}

// fields collects what the selection asks of an object of this type, in order.
func (op *Operation) fields(sel *selection, object *ast.Definition) []*field {
	if collected, ok := sel.byType[object.Name]; ok {
		return collected
	}
	var order []*field
	byKey := map[string]*field{}
	var collect func(set ast.SelectionSet)
	collect = func(set ast.SelectionSet) {
		for _, selected := range set {
			switch selected := selected.(type) {
			case *ast.Field:
				if !op.included(selected.Directives) {
					continue
				}
				known := byKey[selected.Alias]
				if known == nil {
					// The definition found by the validator may be an interface's; the
					// object's own may have more arguments with defaults.
					definition := object.Fields.ForName(selected.Name)
					if definition == nil {
						definition = selected.Definition
					}
					known = &field{key: selected.Alias, definition: definition, asked: selected.Definition,
						askedOf: selected.ObjectDefinition.Name, position: selected.Position, args: op.arguments(selected, definition), sub: &selection{}}
					byKey[selected.Alias] = known
					order = append(order, known)
				}
				known.sub.sets = append(known.sub.sets, selected.SelectionSet)
			case *ast.InlineFragment:
				if op.included(selected.Directives) && op.applies(selected.TypeCondition, object) {
					collect(selected.SelectionSet)
				}
			case *ast.FragmentSpread:
				if op.included(selected.Directives) && op.applies(selected.Definition.TypeCondition, object) {
					collect(selected.Definition.SelectionSet)
				}
			}
		}
	}
	for _, set := range sel.sets {
		collect(set)
	}
	if sel.byType == nil {
		sel.byType = map[string][]*field{}
	}
	sel.byType[object.Name] = order
	return order
}

func (op *Operation) arguments(selected *ast.Field, definition *ast.FieldDefinition) map[string]any {
	given := (&ast.Field{Arguments: selected.Arguments, Definition: definition}).ArgumentMap(op.vars)
	for _, argument := range definition.Arguments {
		if value, ok := given[argument.Name]; ok {
			given[argument.Name] = op.schema.coerce(value, argument.Type)
		}
	}
	if mark := selected.Directives.ForName("idempotent"); mark != nil {
		given[IdempotencyKey] = mark.ArgumentMap(op.vars)["key"]
	}
	return given
}

func (op *Operation) included(directives ast.DirectiveList) bool {
	condition := func(name string) (bool, bool) {
		directive := directives.ForName(name)
		if directive == nil {
			return false, false
		}
		value, ok := directive.ArgumentMap(op.vars)["if"].(bool)
		return value, ok
	}
	if skip, ok := condition("skip"); ok && skip {
		return false
	}
	include, ok := condition("include")
	return !ok || include
}

func (op *Operation) applies(condition string, object *ast.Definition) bool {
	if condition == "" || condition == object.Name {
		return true
	}
	definition := op.schema.ast.Types[condition]
	if definition == nil || !definition.IsAbstractType() {
		return false
	}
	for _, possible := range op.schema.ast.GetPossibleTypes(definition) {
		if possible.Name == object.Name {
			return true
		}
	}
	return false
}

// concrete lists the object types that a value of this type may have.
func (s *Schema) concrete(definition *ast.Definition) []*ast.Definition {
	if !definition.IsAbstractType() {
		return []*ast.Definition{definition}
	}
	var out []*ast.Definition
	for _, possible := range s.ast.GetPossibleTypes(definition) {
		if possible.Kind == ast.Object { // An interface may implement another.
			out = append(out, possible)
		}
	}
	return out
}

// inspect walks all that may be selected: it refuses lists that are too long
// and notes deprecated fields.
func (op *Operation) inspect(definition *ast.Definition, sel *selection, path []any) []*Error {
	var problems []*Error
	for _, object := range op.schema.concrete(definition) {
		for _, selected := range op.fields(sel, object) {
			here := append(path[:len(path):len(path)], selected.key)
			if selected.asked != nil && selected.asked.Directives.ForName("deprecated") != nil {
				op.noteDeprecated(selected.askedOf + "." + selected.asked.Name)
			}
			for _, argument := range selected.definition.Arguments {
				if list, ok := selected.args[argument.Name].([]any); ok && len(list) > MaxInputSize {
					err := Errorf(CodeMaxInputSize, "The input array size of %d is greater than the maximum allowed of %d.", len(list), MaxInputSize)
					err.Path = append(here, argument.Name)
					err.Locations = locate(selected.position)
					return append(problems, err)
				}
			}
			if inner := op.schema.ast.Types[selected.definition.Type.Name()]; inner != nil && inner.IsCompositeType() {
				problems = append(problems, op.inspect(inner, selected.sub, here)...)
			}
		}
	}
	return problems
}

func (op *Operation) noteDeprecated(name string) {
	for _, known := range op.Deprecated {
		if known == name {
			return
		}
	}
	op.Deprecated = append(op.Deprecated, name)
}

func locate(position *ast.Position) []Location {
	if position == nil {
		return nil
	}
	return []Location{{position.Line, position.Column}}
}
