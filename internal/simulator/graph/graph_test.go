package graph_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"stockroom/internal/simulator/graph"
)

const toySDL = `
scalar DateTime
interface Node { id: ID! }
enum Status { ACTIVE DRAFT }
union Value = Percent | Amount
type Percent { percentage: Float! }
type Amount { money: MoneyV2! each: Boolean! detail: Detail! }
type Detail { text: String! }
type MoneyV2 { amount: String! currencyCode: String! }
type Count { count: Int! }
type PageInfo { hasNextPage: Boolean! hasPreviousPage: Boolean! startCursor: String endCursor: String }
type Location implements Node { id: ID! name: String! }
type Quantity { name: String! quantity: Int! }
type Level implements Node { id: ID! location: Location! quantities(names: [String!]!): [Quantity!]! }
type LevelEdge { cursor: String! node: Level! }
type LevelConnection { nodes: [Level!]! edges: [LevelEdge!]! pageInfo: PageInfo! }
type Item implements Node { id: ID! levels(first: Int, last: Int, after: String, before: String, reverse: Boolean = false): LevelConnection! }
type Variant implements Node { id: ID! item: Item! product: Product! price: MoneyV2! }
type VariantEdge { cursor: String! node: Variant! }
type VariantConnection { nodes: [Variant!]! edges: [VariantEdge!]! pageInfo: PageInfo! }
type Metafield { id: ID! }
type MetafieldEdge { cursor: String! node: Metafield! }
type MetafieldConnection { nodes: [Metafield!]! edges: [MetafieldEdge!]! pageInfo: PageInfo! }
type Product implements Node {
  id: ID!
  title(upper: Boolean = false): String!
  status: Status!
  updatedAt: DateTime!
  oldTitle: String @deprecated(reason: "Use title.")
  broken: String
  brokenHard: String!
  values: [Value!]!
  variants(first: Int, last: Int, after: String, before: String, reverse: Boolean = false): VariantConnection!
  metafields(first: Int, last: Int, after: String, before: String, reverse: Boolean = false): MetafieldConnection!
}
type ProductEdge { cursor: String! node: Product! }
type ProductConnection { nodes: [Product!]! edges: [ProductEdge!]! pageInfo: PageInfo! }
input Filter { ids: [ID!] limit: Int = 7 }
type Query {
  product(id: ID!): Product
  products(first: Int, last: Int, after: String, before: String, reverse: Boolean = false, query: String): ProductConnection!
  variants(first: Int, last: Int, after: String, before: String, reverse: Boolean = false): VariantConnection!
  node(id: ID!): Node
  nodes(ids: [ID!]!): [Node]!
  productsCount: Count
  secret: ProductConnection!
  echo(filter: Filter, list: [Int!]): String
}
type Mutation { add(n: Int!): Int! webhook: Location }
`

// table resolves fields from a map; functions take the arguments.
type table struct {
	typename string
	fields   map[string]any
}

func (t table) Typename() string { return t.typename }

func (t table) Field(_ context.Context, name string, args map[string]any) (any, error) {
	value, ok := t.fields[name]
	if !ok {
		return nil, fmt.Errorf("%s has no %s", t.typename, name)
	}
	if compute, ok := value.(func(map[string]any) (any, error)); ok {
		return compute(args)
	}
	return value, nil
}

// numbers is a source of n products, numbered from 1, that counts what it builds.
func numbers(n int64, built *int, make func(id int64) graph.Object) graph.Source {
	return func(from *graph.Key, backward bool) iter.Seq[graph.Item] {
		return func(yield func(graph.Item) bool) {
			step, id := int64(1), int64(1)
			if backward {
				step, id = -1, n
			}
			if from != nil {
				id = from.ID + step
			}
			for ; id >= 1 && id <= n; id += step {
				this := id
				if !yield(graph.Item{Key: graph.Key{ID: this}, Node: func() graph.Object { *built++; return make(this) }}) {
					return
				}
			}
		}
	}
}

// toy is a shop of n products of which every one has v variants.
func toy(n, v int64, built *int) graph.Object {
	connect := func(n int64, build func(int64) graph.Object) func(map[string]any) (any, error) {
		return func(args map[string]any) (any, error) {
			return graph.Connect(args, graph.SortID, numbers(n, built, build))
		}
	}
	location := table{"Location", map[string]any{"id": "L1", "name": "Here"}}
	level := func(id int64) graph.Object {
		return table{"Level", map[string]any{"id": id, "location": location,
			"quantities": []any{table{"Quantity", map[string]any{"name": "available", "quantity": 3}}}}}
	}
	var product func(id int64) graph.Object
	variant := func(id int64) graph.Object {
		return table{"Variant", map[string]any{"id": fmt.Sprint("V", id), "product": product(1),
			"price": table{"MoneyV2", map[string]any{"amount": "9.9", "currencyCode": "EUR"}},
			"item":  table{"Item", map[string]any{"id": "I", "levels": connect(2, level)}}}}
	}
	product = func(id int64) graph.Object {
		return table{"Product", map[string]any{
			"id": fmt.Sprint("P", id), "status": "ACTIVE", "updatedAt": time.Date(2026, 3, 1, 2, 3, 4, 5e6, time.FixedZone("", 3600)),
			"title": func(args map[string]any) (any, error) {
				if args["upper"] == true {
					return "SHIRT", nil
				}
				return "Shirt <&>", nil
			},
			"broken":     func(map[string]any) (any, error) { return nil, errors.New("out of order") },
			"brokenHard": func(map[string]any) (any, error) { return nil, errors.New("out of order") },
			"values": []any{table{"Percent", map[string]any{"percentage": 0.1}},
				table{"Amount", map[string]any{"each": true, "detail": table{"Detail", map[string]any{"text": "so"}}, "money": table{"MoneyV2", map[string]any{"amount": "5.0"}}}}},
			"variants":   connect(v, variant),
			"metafields": connect(0, nil),
		}}
	}
	denied := graph.Errorf(graph.CodeAccessDenied, "Access denied for secret field.")
	denied.Contained = true
	total := 0
	return table{"Query", map[string]any{
		"products": connect(n, product), "variants": connect(v, variant),
		"product": func(args map[string]any) (any, error) {
			if args["id"] == "gid://toy/Product/1" {
				return product(1), nil
			}
			return nil, nil
		},
		"node": func(map[string]any) (any, error) { return product(1), nil },
		"nodes": func(args map[string]any) (any, error) {
			out := []any{}
			for _, id := range args["ids"].([]any) {
				switch id {
				case "gid://toy/Product/1":
					out = append(out, product(1))
				case "gid://toy/Location/1":
					out = append(out, location)
				default:
					out = append(out, nil)
				}
			}
			return out, nil
		},
		"productsCount": table{"Count", map[string]any{"count": n}},
		"secret":        func(map[string]any) (any, error) { return nil, denied },
		"echo":          func(args map[string]any) (any, error) { text, err := json.Marshal(args); return string(text), err },
		"add":           func(args map[string]any) (any, error) { total += int(args["n"].(int64)); return total, nil },
		"webhook":       location,
	}}
}

func load(t *testing.T) *graph.Schema {
	t.Helper()
	schema, err := graph.Load(toySDL, "MoneyV2")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// ask runs a request against a full bucket and answers its JSON.
func ask(t *testing.T, root graph.Object, body string) string {
	t.Helper()
	var request graph.Request
	if err := json.Unmarshal([]byte(body), &request); err != nil {
		t.Fatalf("request %s: %v", body, err)
	}
	bucket := graph.NewBucket(2000, 100, func() time.Time { return time.Unix(1, 0) })
	op, response, ok := load(t).Admit(request, bucket)
	if ok {
		response = op.Settle(op.Execute(t.Context(), root), bucket)
	}
	response.Extensions = nil
	text, err := json.Marshal(response)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func query(text string) string {
	body, _ := json.Marshal(map[string]any{"query": text})
	return string(body)
}

func TestQueriesAreAnswered(t *testing.T) {
	for _, tt := range []struct{ name, body, want string }{
		{"scalars and aliases", query(`{ product(id: "gid://toy/Product/1") { a: id id status updatedAt loud: title(upper: true) title } }`),
			`{"data":{"product":{"a":"P1","id":"P1","status":"ACTIVE","updatedAt":"2026-03-01T01:03:04Z","loud":"SHIRT","title":"Shirt \u003c\u0026\u003e"}}}`},
		{"null for what is not there", query(`{ product(id: "gid://toy/Product/9") { id } }`), `{"data":{"product":null}}`},
		{"fragments, merged", query(`query { product(id: "gid://toy/Product/1") { ...a variants(first: 1) { nodes { id } } } } fragment a on Product { variants(first: 1) { nodes { __typename } } }`),
			`{"data":{"product":{"variants":{"nodes":[{"__typename":"Variant","id":"V1"}]}}}}`},
		{"unions", query(`{ product(id: "gid://toy/Product/1") { values { __typename ... on Percent { percentage } ... on Amount { each money { amount } } } } }`),
			`{"data":{"product":{"values":[{"__typename":"Percent","percentage":0.1},{"__typename":"Amount","each":true,"money":{"amount":"5.0"}}]}}}`},
		{"nodes keep order, repetitions and gaps", query(`{ nodes(ids: ["gid://toy/Location/1", "gid://toy/Thing/1", "gid://toy/Product/1", "gid://toy/Location/1"]) { id ... on Location { name } } }`),
			`{"data":{"nodes":[{"id":"L1","name":"Here"},null,{"id":"P1"},{"id":"L1","name":"Here"}]}}`},
		{"skip and include", `{"query":"query($s: Boolean!) { productsCount { count @skip(if: $s) n: count @include(if: $s) } }","variables":{"s":true}}`,
			`{"data":{"productsCount":{"n":5}}}`},
		{"variables and defaults", `{"query":"query($f: Filter, $l: [Int!] = [1]) { echo(filter: $f, list: $l) }","variables":{"f":{"ids":"gid://toy/Product/9007199254740993"},"unused":1}}`,
			`{"data":{"echo":"{\"filter\":{\"ids\":[\"gid://toy/Product/9007199254740993\"],\"limit\":7},\"list\":[1]}"}}`},
		{"an explicit null is given", query(`{ echo(list: null) }`), `{"data":{"echo":"{\"list\":null}"}}`},
		{"mutations run in order", query(`mutation { a: add(n: 1) b: add(n: 10) c: add(n: 100) }`), `{"data":{"a":1,"b":11,"c":111}}`},
		{"a named operation", `{"query":"query A { productsCount { count } } query B { node(id: \"gid://toy/Product/1\") { __typename } }","operationName":"B"}`,
			`{"data":{"node":{"__typename":"Product"}}}`},
		{"an error nulls a nullable field", query(`{ product(id: "gid://toy/Product/1") { id broken } }`),
			`{"data":{"product":{"id":"P1","broken":null}},"errors":[{"message":"Internal error. Looks like something went wrong on our end: out of order","locations":[{"line":1,"column":43}],"path":["product","broken"],"extensions":{"code":"INTERNAL_SERVER_ERROR"}}]}`},
		{"an error swallows the nearest nullable parent", query(`{ productsCount { count } product(id: "gid://toy/Product/1") { id brokenHard } }`),
			`{"data":{"productsCount":{"count":5},"product":null},"errors":[{"message":"Internal error. Looks like something went wrong on our end: out of order","locations":[{"line":1,"column":67}],"path":["product","brokenHard"],"extensions":{"code":"INTERNAL_SERVER_ERROR"}}]}`},
		{"or everything", query(`{ productsCount { count } products(first: 2) { nodes { brokenHard } } }`),
			`{"data":null,"errors":[{"message":"Internal error. Looks like something went wrong on our end: out of order","locations":[{"line":1,"column":56}],"path":["products","nodes",0,"brokenHard"],"extensions":{"code":"INTERNAL_SERVER_ERROR"}}]}`},
		{"an argument that is not there", query(`{ productsCount { count } secret(first: 1) { nodes { id } } }`),
			`{"errors":[{"message":"Field 'secret' doesn't accept argument 'first'","locations":[{"line":1,"column":34}],"path":["query","secret","first"],"extensions":{"argumentName":"first","code":"argumentNotAccepted","name":"secret","typeName":"Field"}}]}`},
		{"a denied field is contained", query(`{ productsCount { count } secret { nodes { id } } }`),
			`{"data":{"productsCount":{"count":5},"secret":null},"errors":[{"message":"Access denied for secret field.","locations":[{"line":1,"column":27}],"path":["secret"],"extensions":{"code":"ACCESS_DENIED"}}]}`},
		{"a field without resolver is an error, not just null", query(`{ product(id: "gid://toy/Product/1") { oldTitle } }`),
			`{"data":{"product":{"oldTitle":null}},"errors":[{"message":"Internal error. Looks like something went wrong on our end: Product has no oldTitle","locations":[{"line":1,"column":40}],"path":["product","oldTitle"],"extensions":{"code":"INTERNAL_SERVER_ERROR"}}]}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			built := 0
			if got := ask(t, toy(5, 3, &built), tt.body); got != tt.want {
				t.Errorf("%s\n got %s\nwant %s", tt.body, got, tt.want)
			}
		})
	}
}

func TestRefusalsHaveShopifysCodes(t *testing.T) {
	long := `"` + strings.Repeat(`gid://toy/Product/2","`, 250) + `gid://toy/Product/2"`
	for _, tt := range []struct{ name, body, code string }{
		{"no syntax", query(`{ product(id: `), "PARSE_ERROR"},
		{"unknown field", query(`{ product(id: "gid://toy/Product/1") { nope } }`), "undefinedField"},
		{"unknown argument", query(`{ product(id: "gid://toy/Product/1", x: 1) { id } }`), "argumentNotAccepted"},
		{"missing argument", query(`{ product { id } }`), "missingRequiredArguments"},
		{"wrong literal", query(`{ products(first: "ten") { nodes { id } } }`), "argumentLiteralsIncompatible"},
		{"no selection", query(`{ product(id: "gid://toy/Product/1") }`), "selectionMismatch"},
		{"selection on a scalar", query(`{ product(id: "gid://toy/Product/1") { id { x } } }`), "selectionMismatch"},
		{"undeclared variable", query(`{ product(id: $x) { id } }`), "variableNotDefined"},
		{"unused variable", query(`query($x: Int) { productsCount { count } }`), "variableNotUsed"},
		{"variable of another type", query(`query($x: Int) { product(id: $x) { id } }`), "variableMismatch"},
		{"unknown fragment", query(`{ ...x }`), "useAndDefineFragment"},
		{"variable without value", query(`query($x: ID!) { product(id: $x) { id } }`), "INVALID_VARIABLE"},
		{"variable with a wrong value", `{"query":"query($n: Int) { products(first: $n) { nodes { id } } }","variables":{"n":"ten"}}`, "INVALID_VARIABLE"},
		{"unknown input field", `{"query":"query($f: Filter) { echo(filter: $f) }","variables":{"f":{"x":1}}}`, "INVALID_VARIABLE"},
		{"too many elements", query(`{ nodes(ids: [` + long + `]) { id } }`), "MAX_INPUT_SIZE_EXCEEDED"},
		{"neither first nor last", query(`{ products { nodes { id } } }`), "BAD_REQUEST"},
		{"both first and last", query(`{ products(first: 1, last: 1) { nodes { id } } }`), "BAD_REQUEST"},
		{"more than a page", query(`{ products(first: 251) { nodes { id } } }`), "BAD_REQUEST"},
		{"no cursor of ours", query(`{ products(first: 1, after: "abc") { nodes { id } } }`), "BAD_REQUEST"},
		{"too dear", query(`{ products(first: 250) { nodes { variants(first: 250) { nodes { item { levels(first: 100) { nodes { id } } } } } } } }`), "MAX_COST_EXCEEDED"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			built := 0
			got := ask(t, toy(5, 3, &built), tt.body)
			if !strings.Contains(got, `"code":"`+tt.code+`"`) {
				t.Errorf("%s\n got %s\nwant code %s", tt.body, got, tt.code)
			}
		})
	}
}

// Errors are compared whole. The names are the toy schema's; shape and words are
// those of recorded answers, 2026, but where it says so.
func TestRefusalsHaveShopifysWordsAndShape(t *testing.T) {
	for _, tt := range []struct{ name, body, want string }{
		{"text that ends too early", query("query Early {\n  product(id: \"x\") {\n    id"),
			`{"message":"syntax error, unexpected end of file at [3, 7]","locations":[{"line":3,"column":7}],"extensions":{"code":"PARSE_ERROR"}}`},
		{"another syntax error (not recorded)", query("{ product( }"),
			`{"message":"syntax error, unexpected RCURLY (\"}\") at [1, 12]","locations":[{"line":1,"column":12}],"extensions":{"code":"PARSE_ERROR"}}`},
		{"unknown field", query("query Name {\n  products(first: 1) {\n    nodes {\n      nope\n    }\n  }\n}"),
			`{"message":"Field 'nope' doesn't exist on type 'Product'","locations":[{"line":4,"column":7}],"path":["query Name","products","nodes","nope"],"extensions":{"code":"undefinedField","fieldName":"nope","typeName":"Product"}}`},
		{"unknown field in a fragment", query("{ a: node(id: \"gid://toy/Product/1\") { ... on Product { nope } } }"),
			`{"message":"Field 'nope' doesn't exist on type 'Product'","locations":[{"line":1,"column":57}],"path":["query","a","... on Product","nope"],"extensions":{"code":"undefinedField","fieldName":"nope","typeName":"Product"}}`},
		{"unknown type", query("{ node(id: \"gid://toy/Product/1\") { ... on Nope { id } } }"),
			`{"message":"No such type Nope, so it can't be a fragment condition","locations":[{"line":1,"column":37}],"path":["query","node","... on Nope"],"extensions":{"code":"undefinedType","typeName":"Nope"}}`},
		{"missing argument", query("mutation Adds { add }"),
			`{"message":"Field 'add' is missing required arguments: n","locations":[{"line":1,"column":17}],"path":["mutation Adds","add"],"extensions":{"arguments":"n","className":"Field","code":"missingRequiredArguments","name":"add"}}`},
		{"wrong literal", query("{ products(first: \"x\") { nodes { id } } }"),
			`{"message":"Argument 'first' on Field 'products' has an invalid value (\"x\"). Expected type 'Int'.","locations":[{"line":1,"column":3}],"path":["query","products","first"],"extensions":{"argumentName":"first","code":"argumentLiteralsIncompatible","typeName":"Field"}}`},
		{"wrong literal in an object", query("{ echo(filter: {limit: 1.5}) }"),
			`{"message":"Argument 'limit' on InputObject 'Filter' has an invalid value (1.5). Expected type 'Int'.","locations":[{"line":1,"column":16}],"path":["query","echo","filter","limit"],"extensions":{"argumentName":"limit","code":"argumentLiteralsIncompatible","typeName":"InputObject"}}`},
		{"unknown input field", query("{ echo(filter: {nope: 1}) }"),
			`{"message":"InputObject 'Filter' doesn't accept argument 'nope'","locations":[{"line":1,"column":17}],"path":["query","echo","filter","nope"],"extensions":{"argumentName":"nope","code":"argumentNotAccepted","name":"Filter","typeName":"InputObject"}}`},
		{"malformed id", query("query Malformed { node(id: \"abc\") { id } }"),
			`{"message":"Invalid global id 'abc'","locations":[{"line":1,"column":19}],"path":["query Malformed","node","id"],"extensions":{"code":"argumentLiteralsIncompatible","typeName":"CoercionError"}}`},
		{"no selection", query("query Missing { productsCount }"),
			`{"message":"Field must have selections (field 'productsCount' returns Count but has no selections. Did you mean 'productsCount { ... }'?)","locations":[{"line":1,"column":17}],"path":["query Missing","productsCount"],"extensions":{"code":"selectionMismatch","nodeName":"field 'productsCount'","typeName":"Count"}}`},
		{"unknown directive", query("{ productsCount @nope { count } }"),
			`{"message":"Directive @nope is not defined","locations":[{"line":1,"column":18}],"path":["query","productsCount"],"extensions":{"code":"undefinedDirective","directiveName":"nope"}}`},
		{"unused variable", query("query Unused($x: Int) { productsCount { count } }"),
			`{"message":"Variable $x is declared by Unused but not used","locations":[{"line":1,"column":1}],"path":["query Unused"],"extensions":{"code":"variableNotUsed","variableName":"x"}}`},
		{"variable in an unknown argument", query("query Stray($x: Int) { productsCount(nope: $x) { count } }"),
			`{"message":"Field 'productsCount' doesn't accept argument 'nope'","locations":[{"line":1,"column":38}],"path":["query Stray","productsCount","nope"],"extensions":{"argumentName":"nope","code":"argumentNotAccepted","name":"productsCount","typeName":"Field"}},` +
				`{"message":"Variable $x is declared by Stray but not used","locations":[{"line":1,"column":1}],"path":["query Stray"],"extensions":{"code":"variableNotUsed","variableName":"x"}}`},
		{"variable of another type (not recorded)", query("query($x: Int) { product(id: $x) { id } }"),
			`{"message":"Type mismatch on variable $x and argument id (Int / ID!)","locations":[{"line":1,"column":30}],"path":["query","product","id"],"extensions":{"argumentName":"id","code":"variableMismatch","errorMessage":"Type mismatch","typeName":"Int","variableName":"x"}}`},
		{"no such operation", `{"query":"query A { productsCount { count } }","operationName":"Missing"}`, `{"message":"No operation named \"Missing\""}`},
		{"no operation named", query("query A { productsCount { count } } query B { productsCount { count } }"), `{"message":"An operation name is required"}`},
		{"variable that does not fit", `{"query":"query($n: Int) { products(first: $n) { nodes { id } } }","variables":{"n":1.5}}`,
			`{"message":"Variable $n of type Int was provided invalid value","locations":[{"line":1,"column":7}],"extensions":{"code":"INVALID_VARIABLE","problems":[{"explanation":"Could not coerce value 1.5 to Int","path":[]}],"value":1.5}}`},
		{"variable that is null", `{"query":"query($id: ID!) { product(id: $id) { id } }","variables":{}}`,
			`{"message":"Variable $id of type ID! was provided invalid value","locations":[{"line":1,"column":7}],"extensions":{"code":"INVALID_VARIABLE","problems":[{"explanation":"Expected value to not be null","path":[]}],"value":null}}`},
		{"variable with a malformed id", `{"query":"query($ids: [ID!]!) { nodes(ids: $ids) { id } }","variables":{"ids":["not-a-gid"]}}`,
			`{"message":"Variable $ids of type [ID!]! was provided invalid value for 0 (Invalid global id 'not-a-gid')","locations":[{"line":1,"column":7}],"extensions":{"code":"INVALID_VARIABLE","problems":[{"explanation":"Invalid global id 'not-a-gid'","message":"Invalid global id 'not-a-gid'","path":[0]}],"value":["not-a-gid"]}}`},
		{"variable with several problems", `{"query":"query($f: Filter) { echo(filter: $f) }","variables":{"f":{"nope":1,"limit":"1.5"}}}`,
			`{"message":"Variable $f of type Filter was provided invalid value for nope (Field is not defined on Filter), limit (Could not coerce value \"1.5\" to Int)","locations":[{"line":1,"column":7}],"extensions":{"code":"INVALID_VARIABLE","problems":[{"explanation":"Field is not defined on Filter","path":["nope"]},{"explanation":"Could not coerce value \"1.5\" to Int","path":["limit"]}],"value":{"limit":"1.5","nope":1}}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			built := 0
			want := `{"errors":[` + tt.want + `]}`
			if got := ask(t, toy(5, 3, &built), tt.body); got != want {
				t.Errorf("%s\n got %s\nwant %s", tt.body, got, want)
			}
		})
	}
}

func TestPagesCoverEverythingOnceInBothDirections(t *testing.T) {
	const n = 23
	for _, tt := range []struct{ name, size, bound, more, edge string }{
		{"forward", "first: 4", "after", "hasNextPage", "endCursor"},
		{"backward", "last: 4", "before", "hasPreviousPage", "startCursor"},
		{"forward, reversed", "first: 4, reverse: true", "after", "hasNextPage", "endCursor"},
		{"backward, reversed", "last: 4, reverse: true", "before", "hasPreviousPage", "startCursor"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			built, bound := 0, "null"
			root := toy(n, 0, &built)
			seen := map[string]int{}
			for pages := 1; ; pages++ {
				answer := ask(t, root, query(`{ products(`+tt.size+`, `+tt.bound+`: `+bound+`) { nodes { id } edges { cursor } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }`))
				var parsed struct {
					Data struct {
						Products struct {
							Nodes    []struct{ ID string }
							Edges    []struct{ Cursor string }
							PageInfo map[string]any
						}
					}
				}
				if err := json.Unmarshal([]byte(answer), &parsed); err != nil || parsed.Data.Products.PageInfo == nil {
					t.Fatalf("%v: %s", err, answer)
				}
				page := parsed.Data.Products
				for _, node := range page.Nodes {
					seen[node.ID]++
				}
				if first := page.Edges[0].Cursor; first != page.PageInfo["startCursor"] {
					t.Errorf("startCursor %v, first edge %s", page.PageInfo["startCursor"], first)
				}
				other := map[string]string{"hasNextPage": "hasPreviousPage", "hasPreviousPage": "hasNextPage"}[tt.more]
				if got := page.PageInfo[other]; got != (pages > 1) {
					t.Errorf("page %d: %s = %v", pages, other, got)
				}
				if page.PageInfo[tt.more] == false {
					break
				}
				bound = `"` + page.PageInfo[tt.edge].(string) + `"`
			}
			for id := 1; id <= n; id++ {
				if got := seen[fmt.Sprint("P", id)]; got != 1 {
					t.Errorf("product %d was shown %d times", id, got)
				}
			}
		})
	}
}

func TestAWindowBetweenTwoCursorsIsExact(t *testing.T) {
	built := 0
	after, before := graph.SortID.Cursor(graph.Key{ID: 3}), graph.SortID.Cursor(graph.Key{ID: 7})
	for arguments, want := range map[string]string{
		`first: 10, after: "` + after + `", before: "` + before + `"`:                `["P4","P5","P6"]`,
		`last: 2, after: "` + after + `", before: "` + before + `"`:                  `["P5","P6"]`,
		`first: 10, reverse: true, after: "` + before + `", before: "` + after + `"`: `["P6","P5","P4"]`,
	} {
		got := ask(t, toy(10, 0, &built), query(`{ products(`+arguments+`) { nodes { id } } }`))
		plain := strings.NewReplacer(`{"data":{"products":{"nodes":`, "", `}}}`, "", `{"id":`, "", `"}`, `"`).Replace(got)
		if plain != want {
			t.Errorf("%s: got %s, want %s", arguments, plain, want)
		}
	}
}

func TestAPageBuildsOnlyWhatItShows(t *testing.T) {
	built := 0
	ask(t, toy(1_000_000, 0, &built), query(`{ products(first: 3, after: "`+graph.SortID.Cursor(graph.Key{ID: 500_000})+`") { nodes { id } pageInfo { hasNextPage hasPreviousPage endCursor } } }`))
	if built != 3 {
		t.Errorf("built %d objects for a page of 3", built)
	}
}

func TestCursorsAreShopifys(t *testing.T) {
	if got, want := graph.SortID.Cursor(graph.Key{ID: 7}), "eyJsYXN0X2lkIjo3LCJsYXN0X3ZhbHVlIjoiNyJ9"; got != want {
		t.Errorf("cursor %s, want %s", got, want)
	}
}

// The numbers are Shopify's own (recorded) or its formula's (see cost.go).
func TestCostsFollowTheRecordedFormula(t *testing.T) {
	levels := `item { levels(first: %d) { nodes { location { id } quantities(names: ["available"]) { quantity } } } }`
	for _, tt := range []struct {
		query             string
		products          int64
		requested, actual int
	}{
		{`{ products(first: 250) { nodes { id updatedAt } pageInfo { hasNextPage endCursor } } }`, 250, 13, 13},
		{`{ products(first: 250) { nodes { id updatedAt } pageInfo { hasNextPage endCursor } } }`, 208, 13, 11},
		{`{ products(first: 250) { nodes { id updatedAt } pageInfo { hasNextPage endCursor } } }`, 54, 13, 5},
		{`{ products(first: 250) { nodes { id updatedAt } pageInfo { hasNextPage endCursor } } }`, 0, 13, 2},
		{`{ products(first: 250) { edges { node { id } } } }`, 250, 13, 13},
		{`{ products(first: 1) { nodes { id } } }`, 1, 3, 3},
		{`{ products(first: 5) { nodes { id } } }`, 5, 5, 5},
		{`{ products(first: 10) { nodes { id } } }`, 10, 6, 6},
		{`{ products(first: 20) { nodes { id } } }`, 20, 7, 7},
		{`{ products(first: 50) { nodes { id } } }`, 50, 9, 9},
		{`{ products(first: 100) { nodes { id } } }`, 100, 11, 11},
		{`{ products(first: 200) { nodes { id } } }`, 200, 12, 12},
		{`{ products(first: 10) { nodes { id } edges { node { id } } } }`, 10, 10, 10},
		{`{ products(first: 0) { nodes { id } } }`, 10, 2, 2},
		{`{ product(id: "gid://toy/Product/1") { id title } }`, 1, 1, 1},
		{`{ product(id: "gid://toy/Product/9") { id title } }`, 1, 1, 0},
		{`{ product(id: "gid://toy/Product/1") { values { __typename } } }`, 1, 2, 2},
		{`{ product(id: "gid://toy/Product/1") { values { ... on Amount { detail { text } money { amount } } } } }`, 1, 3, 3},
		{`{ nodes(ids: ["gid://toy/Product/1", "gid://toy/Location/1", "gid://toy/Product/1"]) { id } }`, 1, 1, 1},
		{`{ productsCount { count } }`, 1, 10, 10},
		{`{ __type(name: "Product") { name fields { name } } }`, 1, 2, 2},
		{`mutation { webhook { id } }`, 1, 10, 10},
		{`mutation { a: webhook { id } b: webhook { id } }`, 1, 20, 20},
		{`{ variants(first: 250) { nodes { product { id } ` + fmt.Sprintf(levels, 10) + ` } } }`, 250, 189, -1},
		{`{ products(first: 50) { nodes { metafields(first: 10) { nodes { id } } variants(first: 10) { nodes { ` + fmt.Sprintf(levels, 5) + ` } } } } }`, 50, 429, -1},
		{`{ products(first: 25) { nodes { metafields(first: 10) { nodes { id } } variants(first: 50) { nodes { ` + fmt.Sprintf(levels, 10) + ` } } } } }`, 25, 728, -1},
		{`{ products(first: 50) { nodes { metafields(first: 10) { nodes { id } } variants(first: 100) { nodes { ` + fmt.Sprintf(levels, 10) + ` } } } } }`, 50, 1073, -1},
	} {
		op, problems := load(t).Prepare(graph.Request{Query: tt.query})
		if problems != nil {
			t.Errorf("%s: %v", tt.query, problems[0])
			continue
		}
		built := 0
		result := op.Execute(t.Context(), toy(tt.products, 250, &built))
		if op.Cost != tt.requested || tt.actual >= 0 && result.Cost != tt.actual {
			t.Errorf("%s over %d products\ncost %d, actually %d; want %d, %d (%v)", tt.query, tt.products, op.Cost, result.Cost, tt.requested, tt.actual, result.Errors)
		}
	}
}

func TestTheBucketThrottlesAndRefills(t *testing.T) {
	now := time.Unix(1000, 0)
	bucket := graph.NewBucket(20, 10, func() time.Time { return now })
	request := graph.Request{Query: `{ products(first: 250) { nodes { id } } }`}
	built := 0
	serve := func() graph.Response {
		op, response, ok := load(t).Admit(request, bucket)
		if ok {
			response = op.Settle(op.Execute(t.Context(), toy(250, 0, &built)), bucket)
		}
		return response
	}
	if cost := serve().Extensions.Cost; cost.Requested != 13 || *cost.Actual != 13 || cost.Throttle.CurrentlyAvailable != 7 {
		t.Errorf("first answer: %+v", cost)
	}
	refused := serve()
	text, _ := json.Marshal(refused)
	want := `{"errors":[{"message":"Throttled","extensions":{"code":"THROTTLED","documentation":"https://shopify.dev/api/usage/rate-limits"}}],` +
		`"extensions":{"cost":{"requestedQueryCost":13,"actualQueryCost":null,"throttleStatus":{"maximumAvailable":20,"currentlyAvailable":7,"restoreRate":10}}}}`
	if string(text) != want {
		t.Errorf("second answer\n got %s\nwant %s", text, want)
	}
	now = now.Add(600 * time.Millisecond)
	if cost := serve().Extensions.Cost; cost.Actual == nil || cost.Throttle.CurrentlyAvailable != 0 {
		t.Errorf("after 0.6 s: %+v", cost)
	}
	now = now.Add(time.Hour)
	if status, _ := bucket.Take(0); status.CurrentlyAvailable != 20 {
		t.Errorf("after an hour: %+v", status)
	}
	if status := bucket.Refund(5); status.CurrentlyAvailable != 20 {
		t.Errorf("after a refund to a full bucket: %+v", status)
	}
}

func TestDeprecatedFieldsAreNamed(t *testing.T) {
	op, problems := load(t).Prepare(graph.Request{Query: `{ product(id: "gid://toy/Product/1") { oldTitle again: oldTitle } }`})
	if problems != nil || fmt.Sprint(op.Deprecated) != "[Product.oldTitle]" {
		t.Errorf("deprecated %v, problems %v", op.Deprecated, problems)
	}
}

func TestIntrospectionDescribesTheSchema(t *testing.T) {
	built := 0
	got := ask(t, toy(0, 0, &built), query(`{ __schema { queryType { name } mutationType { name } subscriptionType { name } types { name } directives { name } }
		__type(name: "Product") { kind interfaces { name } fields { name args { name defaultValue } type { kind ofType { kind name } } }
			all: fields(includeDeprecated: true) { name isDeprecated deprecationReason } }
		union: __type(name: "Value") { possibleTypes { name } } enum: __type(name: "Status") { enumValues { name } } none: __type(name: "X") { name } }`))
	for _, want := range []string{
		`"queryType":{"name":"Query"},"mutationType":{"name":"Mutation"},"subscriptionType":null`, `{"name":"ProductConnection"}`,
		`{"name":"title","args":[{"name":"upper","defaultValue":"false"}],"type":{"kind":"NON_NULL","ofType":{"kind":"SCALAR","name":"String"}}}`,
		`{"name":"oldTitle","isDeprecated":true,"deprecationReason":"Use title."}`,
		`"union":{"possibleTypes":[{"name":"Percent"},{"name":"Amount"}]}`, `"enum":{"enumValues":[{"name":"ACTIVE"},{"name":"DRAFT"}]}`, `"none":null`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("introspection lacks %s:\n%s", want, got)
		}
	}
	if strings.Contains(got, `{"name":"oldTitle","args"`) {
		t.Error("deprecated fields are listed though not asked for")
	}
}

// Whatever is sent is answered with data or errors, in valid JSON, and nothing panics.
func FuzzEveryRequestIsAnswered(f *testing.F) {
	for _, text := range []string{
		`{ product(id: "gid://toy/Product/1") { id ...f values { ... on Amount { each } } } } fragment f on Node { id }`,
		`query($n: Int = 3, $f: Filter) { products(first: $n) { edges { cursor node { id } } } echo(filter: $f, list: [1, 2]) }`,
		`{ products(first: 99999999999999999999) { nodes { id } } }`,
		`mutation { add(n: 1) webhook { id @skip(if: true) } }`, `{ __schema { types { name } } __type(name: "X") { name } }`,
		`{ nodes(ids: ["gid://toy/Product/1", null]) { ... on Product { variants(last: 2, before: "eyJsYXN0X2lkIjo3LCJsYXN0X3ZhbHVlIjoiNyJ9") { nodes { id } } } } }`,
		`subscription { x }`, `fragment a on Product { ...a }`, `{ echo(filter: {ids: "1", limit: null}) }`,
	} {
		f.Add(text, `{"n":2,"f":{"ids":[1,"2"],"limit":1e3}}`)
	}
	schema, err := graph.Load(toySDL, "MoneyV2")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text, variables string) {
		request := graph.Request{Query: text}
		if json.Unmarshal([]byte(variables), &request.Variables) != nil {
			request.Variables = nil
		}
		built := 0
		bucket := graph.NewBucket(2000, 100, func() time.Time { return time.Unix(1, 0) })
		op, response, ok := schema.Admit(request, bucket)
		if ok {
			result := op.Execute(t.Context(), toy(5, 2, &built))
			if result.Cost > op.Cost {
				t.Errorf("%s: costs %d, asked for %d", text, result.Cost, op.Cost)
			}
			response = op.Settle(result, bucket)
		}
		if answer, err := json.Marshal(response); err != nil || !json.Valid(answer) {
			t.Errorf("%s: answer %s: %v", text, answer, err)
		}
		if response.Data == nil && len(response.Errors) == 0 {
			t.Errorf("%s: neither data nor errors", text)
		}
	})
}
