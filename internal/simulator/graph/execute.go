package graph

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"time"

	"github.com/vektah/gqlparser/v2/ast"
)

// Result is what executing an operation gave.
type Result struct {
	Data   json.RawMessage
	Errors []*Error
	Search []SearchReport
	Cost   int // Actual, in points; never more than the operation's.
}

// Execute resolves the operation from the root object of its kind. The fields
// of a mutation run one after the other, in order, as all fields do.
func (op *Operation) Execute(ctx context.Context, root Object) Result {
	run := &execution{op: op, ctx: ctx, out: make([]byte, 0, 4096)}
	cost, ok := run.root(root)
	result := Result{Data: run.out, Errors: run.errors, Search: run.search, Cost: min(op.Cost, int(math.Round(cost)))}
	if !ok {
		result.Data = json.RawMessage("null")
	}
	return result
}

// execution writes the answer as it goes; where null must swallow an object,
// what was written of it is cut off again.
type execution struct {
	op     *Operation
	ctx    context.Context
	out    []byte
	path   []any
	errors []*Error
	search []SearchReport
}

func (x *execution) root(object Object) (cost float64, ok bool) {
	x.out = append(x.out, '{')
	for i, selected := range x.op.fields(x.op.top, x.op.root) {
		common, ok := x.field(object, x.op.root, selected, i)
		if !ok {
			return 0, false
		}
		cost += float64(x.op.rootCost(selected, int(math.Round(common))))
	}
	x.out = append(x.out, '}')
	return cost, true
}

// object writes an object and answers what its fields cost; ok is false where a
// field must not be null but is, so that the object has to be.
func (x *execution) object(object Object, definition *ast.Definition, sel *selection) (cost float64, ok bool) {
	x.out = append(x.out, '{')
	for i, selected := range x.op.fields(sel, definition) {
		each, ok := x.field(object, definition, selected, i)
		if !ok {
			return 0, false
		}
		cost += each
	}
	x.out = append(x.out, '}')
	return cost, true
}

func (x *execution) field(object Object, parent *ast.Definition, selected *field, i int) (cost float64, ok bool) {
	if i > 0 {
		x.out = append(x.out, ',')
	}
	x.out = append(x.out, '"')
	x.out = append(x.out, selected.key...)
	x.out = append(x.out, '"', ':')
	x.path = append(x.path, selected.key)
	defer func() { x.path = x.path[:len(x.path)-1] }()

	value, err := x.resolve(object, parent, selected)
	if err != nil {
		contained := x.fail(err, selected)
		if selected.definition.Type.NonNull && !contained {
			return 0, false
		}
		x.out = append(x.out, "null"...)
		return 0, true
	}
	if len(x.path) == 1 && x.op.Reading != nil {
		x.op.Reading(func() { cost, ok = x.complete(value, selected.definition.Type, parent, selected) })
		return cost, ok
	}
	return x.complete(value, selected.definition.Type, parent, selected)
}

func (x *execution) resolve(object Object, parent *ast.Definition, selected *field) (any, error) {
	name := selected.definition.Name
	if name == "__typename" {
		return parent.Name, nil
	}
	if parent == x.op.schema.ast.Query {
		switch name {
		case "__schema":
			return x.op.schema.describe(), nil
		case "__type":
			wanted, _ := selected.args["name"].(string)
			return x.op.schema.describeNamed(wanted), nil
		}
	}
	return object.Field(x.ctx, name, selected.args)
}

// fail notes an error at the current path and tells whether it is contained.
func (x *execution) fail(err error, selected *field) (contained bool) {
	known, ok := errors.AsType[*Error](err)
	if !ok {
		// Shopify tells a caller nothing of its inner errors; a simulator that
		// cannot answer should say why.
		known = Errorf(CodeInternal, "Internal error. Looks like something went wrong on our end: %v", err)
	}
	at := *known
	at.Path = append([]any(nil), x.path...)
	at.Locations = locate(selected.position)
	x.errors = append(x.errors, &at)
	return known.Contained
}

// complete writes a value of the declared type and answers its cost.
func (x *execution) complete(value any, typ *ast.Type, parent *ast.Definition, selected *field) (cost float64, ok bool) {
	start := len(x.out)
	null := func() (float64, bool) {
		x.out = x.out[:start]
		if typ.NonNull {
			return 0, false
		}
		x.out = append(x.out, "null"...)
		return 0, true
	}
	if err, isError := value.(error); isError { // One element of a list that failed.
		if x.fail(err, selected) {
			x.out = append(x.out, "null"...)
			return 0, true
		}
		return null()
	}
	if isNil(value) {
		if typ.NonNull {
			x.fail(Errorf(CodeInternal, "Cannot return null for non-nullable field %s.%s", parent.Name, selected.definition.Name), selected)
		}
		return null()
	}
	if typ.Elem != nil {
		list, isList := elements(value)
		if !isList {
			x.fail(fmt.Errorf("%s.%s: %T is no list", parent.Name, selected.definition.Name, value), selected)
			return null()
		}
		x.out = append(x.out, '[')
		for i, element := range list {
			if i > 0 {
				x.out = append(x.out, ',')
			}
			x.path = append(x.path, i)
			each, ok := x.complete(element, typ.Elem, parent, selected)
			x.path = x.path[:len(x.path)-1]
			if !ok {
				return null()
			}
			cost = max(cost, each) // A list counts once.
		}
		x.out = append(x.out, ']')
		return cost, true
	}

	definition := x.op.schema.ast.Types[typ.NamedType]
	if definition.IsLeafType() {
		if err := x.leaf(value, definition); err != nil {
			x.fail(fmt.Errorf("%s.%s: %w", parent.Name, selected.definition.Name, err), selected)
			return null()
		}
		return 0, true
	}
	object, isObject := value.(Object)
	if !isObject {
		x.fail(fmt.Errorf("%s.%s: %T is no object", parent.Name, selected.definition.Name, value), selected)
		return null()
	}
	if page, isPage := object.(*Connection); isPage {
		if cost, ok = x.connection(page, definition, selected); !ok {
			return null()
		}
		return cost, true
	}
	if found, isSearched := object.(Searched); isSearched {
		x.searched(found.Search)
		object = found.Object
	}
	actual := definition
	if definition.IsAbstractType() {
		actual = x.op.schema.ast.Types[object.Typename()]
		if actual == nil || !x.op.applies(definition.Name, actual) {
			x.fail(fmt.Errorf("%s.%s: %s is no %s", parent.Name, selected.definition.Name, object.Typename(), definition.Name), selected)
			return null()
		}
	}
	inner, ok := x.object(object, actual, selected.sub)
	if !ok {
		return null()
	}
	if x.op.schema.free[definition.Name] {
		return 0, true
	}
	return 1 + inner, true
}

// searched reports how a search was read, where something of it was ignored or
// the caller asked for it.
func (x *execution) searched(read *SearchReport) {
	if read == nil || len(read.Warnings) == 0 && !x.op.debug.Search {
		return
	}
	report := *read
	report.Path = append([]any(nil), x.path...)
	x.search = append(x.search, report)
}

// connection writes a page. Its nodes cost what they turned out to cost, and
// their number counts in proportion to what was asked for.
func (x *execution) connection(page *Connection, definition *ast.Definition, selected *field) (cost float64, ok bool) {
	x.searched(page.Search)
	cost = connectionCost
	charged := actualSize(page.asked, len(page.items))
	x.out = append(x.out, '{')
	for i, part := range x.op.fields(selected.sub, definition) {
		if part.definition.Name != "nodes" && part.definition.Name != "edges" {
			if _, ok := x.field(page, definition, part, i); !ok {
				return 0, false
			}
			continue
		}
		if i > 0 {
			x.out = append(x.out, ',')
		}
		x.out = append(x.out, '"')
		x.out = append(x.out, part.key...)
		x.out = append(x.out, '"', ':', '[')
		x.path = append(x.path, part.key)
		sum, element := 0.0, part.definition.Type.Elem
		for j, item := range page.items {
			if j > 0 {
				x.out = append(x.out, ',')
			}
			var value Object = edge{item, page.sort}
			if part.definition.Name == "nodes" {
				value = item.Node()
			}
			x.path = append(x.path, j)
			each, ok := x.complete(value, element, definition, part)
			x.path = x.path[:len(x.path)-1]
			if !ok {
				x.path = x.path[:len(x.path)-1]
				return 0, false
			}
			if part.definition.Name == "edges" {
				each = max(1, each-1) // The edge itself is free, its node is not.
			}
			sum += each
		}
		x.path = x.path[:len(x.path)-1]
		x.out = append(x.out, ']')
		if len(page.items) > 0 {
			cost += float64(charged) * sum / float64(len(page.items))
		}
	}
	x.out = append(x.out, '}')
	return cost, true
}

// leaf writes a scalar or enum value.
func (x *execution) leaf(value any, definition *ast.Definition) error {
	if reflected := reflect.ValueOf(value); reflected.Kind() == reflect.Pointer {
		value = reflected.Elem().Interface()
	}
	if definition.Kind == ast.Enum {
		name, ok := value.(string)
		if !ok || definition.EnumValues.ForName(name) == nil {
			return fmt.Errorf("%v is no value of %s", value, definition.Name)
		}
	}
	switch value := value.(type) {
	case bool:
		x.out = strconv.AppendBool(x.out, value)
	case int:
		x.out = strconv.AppendInt(x.out, int64(value), 10)
	case int64:
		x.out = strconv.AppendInt(x.out, value, 10)
	case time.Time:
		x.out = value.UTC().AppendFormat(x.out, `"2006-01-02T15:04:05Z07:00"`)
	default:
		text, err := json.Marshal(value)
		if err != nil {
			return err
		}
		x.out = append(x.out, text...)
	}
	return nil
}

func isNil(value any) bool {
	if value == nil {
		return true
	}
	reflected := reflect.ValueOf(value)
	switch reflected.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Interface:
		return reflected.IsNil()
	}
	return false
}

// elements turns any slice into a list of values.
func elements(value any) ([]any, bool) {
	if list, ok := value.([]any); ok {
		return list, true
	}
	reflected := reflect.ValueOf(value)
	if reflected.Kind() != reflect.Slice {
		return nil, false
	}
	list := make([]any, reflected.Len())
	for i := range list {
		list[i] = reflected.Index(i).Interface()
	}
	return list, true
}
