package graph

import (
	"math"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// Costs follow Shopify's page "API limits" (API 2026-10, seen 2026-11-24) where
// it speaks (scalars 0, objects 1, an interface or union its dearest branch,
// mutations 10) and, for connections, a formula fitted on recorded answers:
//
//	connection = 2 + s(n) * node,  s(0) = 0,  s(n) = max(1, floor(2 ln n))
//	node       = 1 + what its object fields cost
//
// Lists of objects count once, counts at the top 10.
const (
	connectionCost = 2
	countCost      = 10
	mutationCost   = 10
	typeCost       = 2
)

// Cost is what an answer says of its price, in points.
type Cost struct {
	Requested int            `json:"requestedQueryCost"`
	Actual    *int           `json:"actualQueryCost"` // Null where nothing was executed.
	Throttle  ThrottleStatus `json:"throttleStatus"`
	Fields    []FieldCost    `json:"fields,omitempty"` // Where they were asked for.
}

// FieldCost is what one field of a request costs, as the header
// Shopify-GraphQL-Cost-Debug asks (page "API limits", seen 2026-11-24). Of a
// list it is the price of one element; that is unproven.
type FieldCost struct {
	Path     []any `json:"path"`
	Defined  int   `json:"definedCost"`
	Total    int   `json:"requestedTotalCost"`
	Children *int  `json:"requestedChildrenCost"` // Null where it has none.
}

// breakdown lists the costs of all fields, parents before children.
func (op *Operation) breakdown() []FieldCost {
	var out []FieldCost
	var walk func(definition *ast.Definition, sel *selection, path []any)
	walk = func(definition *ast.Definition, sel *selection, path []any) {
		seen := map[string]bool{}
		for _, object := range op.schema.concrete(definition) {
			for _, selected := range op.fields(sel, object) {
				if seen[selected.key] {
					continue // Selected of several types alike.
				}
				seen[selected.key] = true
				here := append(path[:len(path):len(path)], selected.key)
				inner := op.schema.ast.Types[selected.definition.Type.Name()]
				entry := FieldCost{Path: here, Total: op.fieldCost(selected)}
				switch {
				case len(path) == 0:
					entry.Total = op.rootCost(selected, entry.Total)
				case isConnection(definition):
					entry.Total = op.elementCost(selected)
				}
				if entry.Defined = entry.Total; inner != nil && inner.IsCompositeType() {
					switch {
					case len(path) == 0 && op.Mutation:
						entry.Defined = mutationCost
					case isConnection(inner):
						entry.Defined = connectionCost
					case entry.Total > 0 && inner.Name != "Count":
						entry.Defined = 1
					}
					children := entry.Total - entry.Defined
					entry.Children = &children
				}
				out = append(out, entry)
				if inner != nil && inner.IsCompositeType() {
					walk(inner, selected.sub, here)
				}
			}
		}
	}
	walk(op.root, op.top, nil)
	return out
}

// size is how many nodes a page of n is charged as.
func size(n int) int {
	if n <= 0 {
		return 0
	}
	return max(1, int(2*math.Log(float64(n))))
}

// actualSize is the charge for a page of got nodes where asked were paid for. It
// reproduces the recorded 0 -> 0, 54 -> 3, 208 -> 9 and 250 -> 11 of 250.
func actualSize(asked, got int) int {
	full := size(asked)
	if got <= 0 || full == 0 {
		return 0
	}
	return min(full, int(math.Ceil(float64(got)*(float64(full)-0.5)/float64(asked))))
}

func isConnection(definition *ast.Definition) bool {
	return definition.Kind == ast.Object && strings.HasSuffix(definition.Name, "Connection")
}

// pageSize is the first or last of a connection's arguments; 0 where neither is given.
func pageSize(args map[string]any) int {
	for _, name := range []string{"first", "last"} {
		if n, ok := args[name].(int64); ok && n > 0 {
			return int(min(n, MaxPage))
		}
	}
	return 0
}

// requested is the cost of the whole operation, from its text and variables.
func (op *Operation) requested() int {
	total := 0
	for _, selected := range op.fields(op.top, op.root) {
		total += op.rootCost(selected, op.fieldCost(selected))
	}
	return total
}

// rootCost is what a top-level field costs, given its cost by the common rule.
func (op *Operation) rootCost(selected *field, common int) int {
	name := selected.definition.Name
	switch {
	case op.Mutation && name != "__typename":
		return mutationCost
	case name == "__type" || name == "__schema":
		return typeCost
	case selected.definition.Type.Name() == "Count":
		return countCost
	}
	return common
}

// fieldCost is the cost of one field below the top, all that it selects included.
func (op *Operation) fieldCost(selected *field) int {
	definition := op.schema.ast.Types[selected.definition.Type.Name()]
	switch {
	case definition == nil, definition.IsLeafType(), op.schema.free[definition.Name], strings.HasPrefix(definition.Name, "__"):
		return 0
	case isConnection(definition):
		cost := connectionCost
		for _, part := range op.fields(selected.sub, definition) {
			cost += size(pageSize(selected.args)) * op.elementCost(part)
		}
		return cost
	}
	return 1 + op.selectionCost(selected.sub, definition)
}

// elementCost is the cost of one element of a connection's nodes or edges.
func (op *Operation) elementCost(part *field) int {
	definition := op.schema.ast.Types[part.definition.Type.Name()]
	switch part.definition.Name {
	case "nodes":
		return 1 + op.selectionCost(part.sub, definition)
	case "edges":
		return max(1, op.selectionCost(part.sub, definition))
	}
	return 0
}

// selectionCost is what the fields of an object cost: those of the dearest type
// where it may have several.
func (op *Operation) selectionCost(sel *selection, definition *ast.Definition) int {
	dearest := 0
	for _, object := range op.schema.concrete(definition) {
		cost := 0
		for _, selected := range op.fields(sel, object) {
			cost += op.fieldCost(selected)
		}
		dearest = max(dearest, cost)
	}
	return dearest
}
