package simulator

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/formatter"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"

	"stockroom/internal/simulator/graph"
)

// bulkRefusal is why a query is not run in bulk: the words of one user error or
// more. They are those of recorded answers, 2026-04, but for what is said about
// length, about several fields at the top and about nodes there.
type bulkRefusal []string

func refuseBulk(format string, args ...any) bulkRefusal {
	return bulkRefusal{fmt.Sprintf(format, args...)}
}

// What a query in bulk may hold. Source: "Perform bulk operations with the
// GraphQL Admin API", 2026.
const (
	maxBulkConnections = 5
	maxBulkDepth       = 2
	maxBulkQuery       = 65_535
)

// bulkRun answers one query in bulk: it asks for it page by page, as an app
// would that has no budget, and writes a line for each node.
type bulkRun struct {
	schema *graph.Schema
	shop   *Shop
	access Access
	query  *ast.QueryDocument
	top    *ast.Field
	ctx    context.Context // Of the answer under way.
	// write takes each line as it comes, a parent before its children.
	write func(root bool, line []byte) error
}

// prepare refuses what cannot be answered in bulk.
func (r *bulkRun) prepare(text string) bulkRefusal {
	if len(text) > maxBulkQuery {
		return refuseBulk("Bulk queries cannot be longer than 65,535 bytes.")
	}
	if _, problems := r.schema.Prepare(graph.Request{Query: text}); len(problems) > 0 {
		// Recorded: a syntax error comes without its place here.
		message, _, _ := strings.Cut(problems[0].Message, " at [")
		return refuseBulk("Invalid bulk query: %s", message)
	}
	document, err := parser.ParseQuery(&ast.Source{Input: text})
	if err != nil {
		return refuseBulk("Invalid bulk query: %v", err)
	}
	if found := validator.ValidateWithRules(r.schema.AST(), document, nil); len(found) > 0 {
		return refuseBulk("Invalid bulk query: %v", found[0])
	}
	operation := document.Operations[0]
	if operation.Operation != ast.Query {
		return refuseBulk("Invalid operation type. Only `query` operations are supported.")
	}
	top, ok := operation.SelectionSet[0].(*ast.Field)
	if !ok || len(operation.SelectionSet) != 1 {
		return refuseBulk("Bulk queries must have a single top-level field.")
	}
	r.query, r.top = document, top
	var refusal bulkRefusal
	if top.Name == "node" || top.Name == "nodes" {
		refusal = refuseBulk("Bulk queries cannot contain a top level `%s` field.", top.Name)
	}
	count := 0
	problem := r.check(ast.SelectionSet{top}, 0, &count, "", true, true, false)
	switch {
	case problem != nil:
		refusal = append(refusal, problem...)
	case count == 0:
		refusal = append(refusal, "Bulk queries must contain at least one connection.")
	case count > maxBulkConnections:
		refusal = append(refusal, "Bulk queries cannot contain more than 5 connections.")
	}
	return refusal
}

func isConnectionField(f *ast.Field) bool {
	return f.Definition != nil && strings.HasSuffix(f.Definition.Type.Name(), "Connection")
}

// check walks a selection, and makes each connection a page of all it can show.
// around is the connection around it; hasID tells of the object around it, above
// of the nearest one that has an id at all.
func (r *bulkRun) check(set ast.SelectionSet, depth int, count *int, around string, hasID, above, inList bool) bulkRefusal {
	for _, selected := range set {
		var inner ast.SelectionSet
		switch selected := selected.(type) {
		case *ast.InlineFragment:
			if err := r.check(selected.SelectionSet, depth, count, around, hasID || selectsID(selected.SelectionSet), above, inList); err != nil {
				return err
			}
			continue
		case *ast.FragmentSpread:
			if err := r.check(selected.Definition.SelectionSet, depth, count, around, hasID || selectsID(selected.Definition.SelectionSet), above, inList); err != nil {
				return err
			}
			continue
		case *ast.Field:
			inner = selected.SelectionSet
			if !isConnectionField(selected) {
				list := inList || selected.Definition != nil && selected.Definition.Type.Elem != nil
				if err := r.check(inner, depth, count, around, selectsID(inner), hasID || above && !declaresID(selected.ObjectDefinition), list); err != nil {
					return err
				}
				continue
			}
			*count++
			switch {
			case inList:
				return refuseBulk("Queries that contain a connection field within a list field are not currently supported.")
			case depth > maxBulkDepth:
				return refuseBulk("Bulk queries cannot contain connections with a nesting depth greater than 2.")
			// An object without an id of its own belongs to the nearest one above that
			// has it, like the discount of a DiscountNode. That Shopify sees it so is unproven.
			case depth > 0 && !hasID && (!above || declaresID(selected.ObjectDefinition)):
				return refuseBulk("The parent 'node' field for a nested connection must select the 'id' field without an alias and must be of 'ID' return type. Connection fields without 'id': %s.", around)
			}
			node := edgesNode(inner)
			if node == nil {
				return refuseBulk("All connection fields in a bulk query must select their contents using 'edges' > 'node', e.g: '%[1]s { edges { node {'. Selecting via 'nodes' is not supported. Invalid connection fields: '%[1]s'.", selected.Name)
			}
			if err := r.check(node.SelectionSet, depth+1, count, selected.Name, selectsID(node.SelectionSet), false, false); err != nil {
				return err
			}
			selected.Arguments = slices.DeleteFunc(selected.Arguments, func(a *ast.Argument) bool {
				return slices.Contains([]string{"first", "last", "after", "before"}, a.Name)
			})
			selected.Arguments = append(selected.Arguments, &ast.Argument{Name: "first", Value: &ast.Value{Kind: ast.IntValue, Raw: strconv.Itoa(graph.MaxPage)}})
			selected.SelectionSet = ast.SelectionSet{
				&ast.Field{Alias: "edges", Name: "edges", SelectionSet: ast.SelectionSet{node}},
				&ast.Field{Alias: "pageInfo", Name: "pageInfo", SelectionSet: ast.SelectionSet{
					&ast.Field{Alias: "hasNextPage", Name: "hasNextPage"}, &ast.Field{Alias: "endCursor", Name: "endCursor"}}},
			}
		}
	}
	return nil
}

// declaresID tells whether a type has an id that could be selected.
func declaresID(definition *ast.Definition) bool {
	return definition != nil && definition.Fields.ForName("id") != nil
}

// selectsID tells whether a selection, or a fragment in it, has the id under its own name.
func selectsID(set ast.SelectionSet) bool {
	return slices.ContainsFunc(set, func(s ast.Selection) bool {
		switch s := s.(type) {
		case *ast.Field:
			return s.Name == "id" && s.Alias == "id"
		case *ast.InlineFragment:
			return selectsID(s.SelectionSet)
		case *ast.FragmentSpread:
			return selectsID(s.Definition.SelectionSet)
		}
		return false
	})
}

// edgesNode is the node that a connection selects by way of edges.
func edgesNode(set ast.SelectionSet) (node *ast.Field) {
	for _, selected := range set {
		f, ok := selected.(*ast.Field)
		if !ok || f.Name == "nodes" {
			return nil
		}
		if f.Name != "edges" {
			continue
		}
		for _, inner := range f.SelectionSet {
			if n, ok := inner.(*ast.Field); ok && n.Name == "node" {
				node = n
			}
		}
	}
	return node
}

// answer asks for all pages of the top field, and ends early where ctx does.
func (r *bulkRun) answer(ctx context.Context) error {
	r.ctx = ctx
	if !isConnectionField(r.top) { // A single object, with connections below it.
		data, err := r.ask(ast.SelectionSet{r.top})
		if err != nil {
			return err
		}
		if object, ok := data[r.top.Alias].(map[string]any); ok {
			return r.line(object, r.top.SelectionSet, "", 0)
		}
		return nil
	}
	return r.pages(r.top, "", 0, func(page *ast.Field) (any, error) {
		data, err := r.ask(ast.SelectionSet{page})
		return data[page.Alias], err
	}, nil)
}

// ask answers a selection of the root.
func (r *bulkRun) ask(set ast.SelectionSet) (map[string]any, error) {
	if err := r.ctx.Err(); err != nil {
		return nil, err
	}
	var text bytes.Buffer
	formatter.NewFormatter(&text).FormatQueryDocument(&ast.QueryDocument{
		Operations: ast.OperationList{{Operation: ast.Query, SelectionSet: set}}, Fragments: r.used(set),
	})
	op, problems := r.schema.Prepare(graph.Request{Query: text.String()})
	if len(problems) > 0 {
		return nil, problems[0]
	}
	result := r.shop.execute(r.ctx, r.access, op)
	if len(result.Errors) > 0 {
		return nil, result.Errors[0]
	}
	var data map[string]any
	decoder := json.NewDecoder(bytes.NewReader(result.Data))
	decoder.UseNumber()
	if err := decoder.Decode(&data); err != nil {
		return nil, fmt.Errorf("read page: %w", err)
	}
	return data, nil
}

// used are the fragments that a selection spreads.
func (r *bulkRun) used(set ast.SelectionSet) (out ast.FragmentDefinitionList) {
	seen := map[string]*ast.FragmentDefinition{}
	var walk func(ast.SelectionSet)
	walk = func(set ast.SelectionSet) {
		for _, selected := range set {
			switch selected := selected.(type) {
			case *ast.Field:
				walk(selected.SelectionSet)
			case *ast.InlineFragment:
				walk(selected.SelectionSet)
			case *ast.FragmentSpread:
				if seen[selected.Name] == nil {
					seen[selected.Name] = selected.Definition
					walk(selected.Definition.SelectionSet)
				}
			}
		}
	}
	walk(set)
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		out = append(out, seen[name])
	}
	return out
}

// pages writes the lines of a connection; first is its first page where that
// is known already.
func (r *bulkRun) pages(connection *ast.Field, parent string, depth int, next func(*ast.Field) (any, error), first any) error {
	page := *connection
	for value := first; ; {
		if value == nil {
			got, err := next(&page)
			if err != nil {
				return err
			}
			value = got
		}
		shown, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		edges, _ := shown["edges"].([]any)
		for _, edge := range edges {
			node, _ := edge.(map[string]any)["node"].(map[string]any)
			if err := r.line(node, edgesNode(connection.SelectionSet).SelectionSet, parent, depth); err != nil {
				return err
			}
		}
		info, _ := shown["pageInfo"].(map[string]any)
		if info["hasNextPage"] != true {
			return nil
		}
		page.Arguments = append(slices.Clone(connection.Arguments), &ast.Argument{Name: "after", Value: &ast.Value{Kind: ast.StringValue, Raw: fmt.Sprint(info["endCursor"])}})
		value = nil
	}
}

// line writes a node without its connections, and then theirs.
func (r *bulkRun) line(node map[string]any, set ast.SelectionSet, parent string, depth int) error {
	type nested struct {
		field *ast.Field
		owner string
		way   []*ast.Field // From the owner to what has the field.
		value any
	}
	var below []nested
	var lift func(object map[string]any, set ast.SelectionSet, owner string, way []*ast.Field)
	lift = func(object map[string]any, set ast.SelectionSet, owner string, way []*ast.Field) {
		if id, ok := object["id"].(string); ok {
			owner, way = id, nil
		}
		for _, selected := range set {
			switch selected := selected.(type) {
			case *ast.InlineFragment:
				lift(object, selected.SelectionSet, owner, way)
			case *ast.FragmentSpread:
				lift(object, selected.Definition.SelectionSet, owner, way)
			case *ast.Field:
				value, there := object[selected.Alias]
				if isConnectionField(selected) {
					if delete(object, selected.Alias); there && value != nil {
						below = append(below, nested{selected, owner, way, value})
					}
				} else if inner, ok := value.(map[string]any); ok {
					lift(inner, selected.SelectionSet, owner, append(way[:len(way):len(way)], selected))
				}
			}
		}
	}
	lift(node, set, parent, nil)
	if parent != "" {
		node["__parentId"] = parent
	}
	text, err := json.Marshal(node)
	if err != nil {
		return fmt.Errorf("write line: %w", err)
	}
	// Recorded: the files escape slashes.
	if err := r.write(parent == "", append(bytes.ReplaceAll(text, []byte("/"), []byte(`\/`)), '\n')); err != nil {
		return err
	}
	for _, n := range below {
		next := func(page *ast.Field) (any, error) { return r.more(n.owner, n.way, page) }
		if err := r.pages(n.field, n.owner, depth+1, next, n.value); err != nil {
			return err
		}
	}
	return nil
}

// more asks for a further page of a connection, by the id of its owner and the
// way from there to the object that has it.
func (r *bulkRun) more(owner string, way []*ast.Field, page *ast.Field) (any, error) {
	kind, _, _, _ := parseGID(owner)
	root, set := "node", ast.SelectionSet{on(kind, page)}
	if len(way) > 0 {
		// The line does not tell which member of a union it is: ask of all that
		// have the connection.
		set = nil
		last := r.schema.AST().Types[way[len(way)-1].Definition.Type.Name()]
		for _, possible := range r.schema.AST().GetPossibleTypes(last) {
			if possible.Fields.ForName(page.Name) != nil {
				set = append(set, on(possible.Name, page))
			}
		}
		for _, along := range slices.Backward(way) {
			step := *along
			step.SelectionSet = set
			set = ast.SelectionSet{on(along.ObjectDefinition.Name, &step)}
		}
		if way[0].ObjectDefinition.Name == "DiscountNode" {
			root = "discountNode" // The ids of these nodes speak of other types.
		}
	}
	data, err := r.ask(ast.SelectionSet{&ast.Field{Alias: "node", Name: root,
		Arguments:    ast.ArgumentList{{Name: "id", Value: &ast.Value{Kind: ast.StringValue, Raw: owner}}},
		SelectionSet: set}})
	if err != nil {
		return nil, err
	}
	object, _ := data["node"].(map[string]any)
	for _, step := range way {
		object, _ = object[step.Alias].(map[string]any)
	}
	return object[page.Alias], nil
}

// on selects a field of a type.
func on(typename string, field *ast.Field) ast.Selection {
	return &ast.InlineFragment{TypeCondition: typename, SelectionSet: ast.SelectionSet{field}}
}
