package simulator_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"

	"stockroom/internal/simulator"
	"stockroom/internal/simulator/graph"
)

// reply is an answer of the Admin API.
type reply struct {
	header     http.Header
	Data       json.RawMessage
	Errors     []graph.Error
	Extensions struct {
		Cost   graph.Cost
		Search []graph.SearchReport
	}
}

// client asks the Admin API of the world's shop with one token.
type client struct {
	w       *world
	token   string
	version string
}

func (w *world) client(scopes ...string) client {
	w.t.Helper()
	token, err := w.shop.IssueToken(clientID, scopes...)
	if err != nil {
		w.t.Fatal(err)
	}
	return client{w, token, "2026-10"}
}

// ask sends a query with variables, given as names and values in turn.
func (c client) ask(query string, variables ...any) reply {
	c.w.t.Helper()
	values := map[string]any{}
	for i := 0; i < len(variables); i += 2 {
		values[variables[i].(string)] = variables[i+1]
	}
	body, err := json.Marshal(map[string]any{"query": query, "variables": values})
	if err != nil {
		c.w.t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(c.w.t.Context(), http.MethodPost, c.w.url+"/"+domain+"/admin/api/"+c.version+"/graphql.json", bytes.NewReader(body))
	if err != nil {
		c.w.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Shopify-Access-Token", c.token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		c.w.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		c.w.t.Fatalf("%s: status %d: %s (%v)", query, response.StatusCode, text, err)
	}
	out := reply{header: response.Header}
	if err := json.Unmarshal(text, &out); err != nil {
		c.w.t.Fatalf("%s: %v: %s", query, err, text)
	}
	return out
}

// get is the data of an answer without errors, decoded into into.
func (c client) get(into any, query string, variables ...any) {
	c.w.t.Helper()
	answer := c.ask(query, variables...)
	if len(answer.Errors) > 0 {
		c.w.t.Fatalf("%s: %s", query, answer.Errors[0].Message)
	}
	if err := json.Unmarshal(answer.Data, into); err != nil {
		c.w.t.Fatalf("%s: %v: %s", query, err, answer.Data)
	}
}

// expect compares an answer's data with JSON.
func (c client) expect(want, query string, variables ...any) {
	c.w.t.Helper()
	if answer := c.ask(query, variables...); string(answer.Data) != want || len(answer.Errors) > 0 {
		c.w.t.Errorf("%s\n got %s %v\nwant %s", query, answer.Data, answer.Errors, want)
	}
}

// code is the code of an answer's first error.
func (r reply) code() any {
	if len(r.Errors) == 0 {
		return nil
	}
	return r.Errors[0].Extensions["code"]
}

// everything writes a selection of all fields of a type, entering each type
// once on the way down. Aliases keep the members of unions from conflicting.
func everything(schema *ast.Schema, definition *ast.Definition, arguments map[string]string, entered []string, seen map[string]int) string {
	if definition.IsAbstractType() {
		out := "__typename"
		for _, possible := range schema.GetPossibleTypes(definition) {
			if possible.Kind == ast.Object && !slices.Contains(entered, possible.Name) {
				out += " ... on " + possible.Name + " { " + everything(schema, possible, arguments, entered, seen) + " }"
			}
		}
		return out
	}
	out := "__typename"
	entered = append(entered[:len(entered):len(entered)], definition.Name)
	for _, field := range definition.Fields {
		if strings.HasPrefix(field.Name, "__") {
			continue
		}
		var given []string
		for _, argument := range field.Arguments {
			if value, ok := arguments[field.Name+"."+argument.Name]; ok {
				given = append(given, argument.Name+": "+value)
			} else if value, ok := arguments[argument.Name]; ok {
				given = append(given, argument.Name+": "+value)
			}
		}
		text := definition.Name + "_" + field.Name + ": " + field.Name
		if len(given) > 0 {
			text += "(" + strings.Join(given, ", ") + ")"
		}
		inner := schema.Types[field.Type.Name()]
		if !inner.IsLeafType() {
			if slices.Contains(entered, inner.Name) || len(entered) > 5 {
				continue
			}
			text += " { " + everything(schema, inner, arguments, entered, seen) + " }"
		}
		seen[definition.Name+"."+field.Name]++
		out += " " + text
	}
	return out
}

// Whatever the schema offers is answered, with a value that the schema allows.
func TestEveryFieldAnswersAsItsTypeSays(t *testing.T) {
	for _, version := range simulator.StableVersions() {
		t.Run(version, func(t *testing.T) { everyFieldAnswers(t, version) })
	}
}

// changed are the types that mutations alone answer, or that need a record which
// the test does not make.
var changed = map[string]bool{
	"InventoryAdjustmentGroup": true, "InventoryChange": true, "MetafieldIdentifier": true, "Job": true, "BulkOperation": true,
}

func everyFieldAnswers(t *testing.T, version string) {
	w := newWorld(t, simulator.Catalogue{Products: 12, Orders: 8}, nil)
	c := w.client(append(allScopes, "read_publications")...)
	schema := simulator.SchemaOf(version)
	p := w.firstProduct()
	variant := p.Variants[0]
	level := variant.Item.Levels[0]
	if err := w.shop.UpdateProduct(p.ID, func(p *simulator.Product) { p.PublishedAt = time.Time{} }); err != nil {
		t.Fatal(err)
	}
	if _, err := w.shop.CreateProduct(simulator.ProductSpec{Title: "New"}); err != nil { // For an event.
		t.Fatal(err)
	}
	var order *simulator.Order
	for o := range w.shop.Orders.All() {
		order = o
	}
	var collection *simulator.Collection
	for one := range w.shop.Collections.All() {
		collection = one
	}
	quote := func(text string) string { return `"` + text + `"` }
	publication := fmt.Sprint("gid://shopify/Publication/", w.shop.ID)
	arguments := map[string]string{
		"first": "2", "names": `["available", "on_hand"]`, "key": quote("care"), "code": quote("NONE"), "truncateAt": "20",
		"product.id": quote(p.GID()), "productVariant.id": quote(variant.GID()), "inventoryItem.id": quote(variant.Item.GID()),
		"inventoryLevel.id": quote(level.GID()), "location.id": quote(level.Location.GID()), "collection.id": quote(collection.GID()),
		"order.id": quote(order.GID()), "hasProduct.id": quote(p.GID()), "inCollection.id": quote(collection.GID()),
		"node.id": quote(p.GID()), "nodes.ids": "[" + quote(variant.GID()) + "]", "webhookSubscription.id": quote("gid://shopify/WebhookSubscription/1"),
		"codeDiscountNode.id": quote("gid://shopify/DiscountCodeNode/1"), "automaticDiscountNode.id": quote("gid://shopify/DiscountAutomaticNode/1"),
		"bulkOperation.id": quote("gid://shopify/BulkOperation/1"), "job.id": quote("gid://shopify/Job/1"),
		"event.id": quote("gid://shopify/BasicEvent/1"), "publication.id": quote(publication), "publicationId": quote(publication), "hasCollection.id": quote(collection.GID()),
		"inventoryItemId": quote(variant.Item.GID()), "locationId": quote(level.Location.GID()), "metafield.key": quote("care"), "namespace": quote("custom"),
	}
	delete(arguments, "namespace")
	asked, fields := map[string]int{}, 0
	for _, root := range schema.Query.Fields {
		if strings.HasPrefix(root.Name, "__") {
			continue
		}
		// One discount of each type, whatever the page size elsewhere.
		list := []string{""}
		if root.Name == "discountNode" {
			list = nil
			types := map[string]string{}
			for d := range w.shop.Discounts.All() {
				types[d.Typename] = d.GID()
			}
			if len(types) != 8 {
				t.Errorf("the catalogue has discounts of %d types", len(types))
			}
			for _, id := range types {
				list = append(list, id)
			}
		}
		for _, id := range list {
			arguments["discountNode.id"] = quote(id)
			only := *schema.Query
			only.Fields = ast.FieldList{root}
			request := graph.Request{Query: "{ " + everything(schema, &only, arguments, nil, asked) + " }"}
			access := w.shop.AccessOf(c.token)
			access.APIVersion = version
			answer := w.shop.Unlimited(t, access, request)
			for i, err := range answer.Errors {
				if i < 3 {
					t.Errorf("%s: %s at %v", root.Name, err.Message, err.Path)
				}
			}
			fields += strings.Count(string(answer.Data), `":`)
		}
	}
	if fields < 5000 {
		t.Errorf("only %d values were answered", fields)
	}
	for name, definition := range schema.Types {
		if definition.Kind != ast.Object || definition.BuiltIn || definition == schema.Mutation || strings.HasSuffix(name, "Payload") || strings.HasSuffix(name, "UserError") || changed[name] {
			continue
		}
		for _, field := range definition.Fields {
			if !strings.HasPrefix(field.Name, "__") && asked[name+"."+field.Name] == 0 {
				t.Errorf("%s.%s was never asked for", name, field.Name)
			}
		}
	}
}

// The operations that the service sends are answered, and fit the budget.
func TestTheServicesOperationsFit(t *testing.T) {
	files, err := filepath.Glob("../shopify/admin/operations/*.graphql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no operations: %v", err)
	}
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	text, err := os.ReadFile("schema.graphql")
	if err != nil {
		t.Fatal(err)
	}
	schema, err := graph.LoadVersion(string(text), "2026-10", "MoneyV2", "MoneyBag")
	if err != nil {
		t.Fatal(err)
	}
	document, problems := gqlparser.LoadQueryWithRules(schema.AST(), all.String(), nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for _, operation := range document.Operations {
		variables := map[string]any{}
		for _, variable := range operation.VariableDefinitions {
			value := any("x")
			switch definition := schema.AST().Types[variable.Type.Name()]; {
			case definition.Kind == ast.Enum:
				value = definition.EnumValues[0].Name
			case definition.Name == "ID":
				value = "gid://shopify/Product/1"
			case definition.Name == "Int":
				value = 1
			}
			variables[variable.Variable] = value
		}
		op, refused := schema.Prepare(graph.Request{Query: all.String(), OperationName: operation.Name, Variables: variables})
		if len(refused) > 0 {
			t.Errorf("%s: %s", operation.Name, refused[0].Message)
		} else if op.Cost > graph.MaxCost || len(op.Deprecated) > 0 {
			t.Errorf("%s costs %d and uses deprecated %v", operation.Name, op.Cost, op.Deprecated)
		}
	}
}

// TestACursorOfAnotherSortIsRefused asks, with a cursor of each sort key, for
// the next page under every other one.
func TestACursorOfAnotherSortIsRefused(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 12}, nil)
	if err := w.shop.UpdateProduct(w.firstProduct().ID, func(p *simulator.Product) { p.ProductType = "" }); err != nil {
		t.Fatal(err)
	}
	c := w.client(allScopes...)
	keys := []string{"ID", "UPDATED_AT", "CREATED_AT", "TITLE", "PRODUCT_TYPE", "INVENTORY_TOTAL"}
	kinds := map[string]string{"UPDATED_AT": "time", "CREATED_AT": "time", "TITLE": "text", "PRODUCT_TYPE": "text", "INVENTORY_TOTAL": "number"}
	for _, made := range keys {
		var page struct {
			Products struct{ PageInfo struct{ EndCursor string } }
		}
		c.get(&page, `{ products(first: 1, sortKey: `+made+`) { pageInfo { endCursor } } }`)
		for _, used := range keys {
			answer := c.ask(`query($c: String) { products(first: 3, sortKey: `+used+`, after: $c) { nodes { id } } }`, "c", page.Products.PageInfo.EndCursor)
			// Any text may be the value of a text, but the row's own number.
			fits := kinds[made] == kinds[used] || kinds[used] == "text" && made != "ID"
			if fits {
				if len(answer.Errors) > 0 {
					t.Errorf("a cursor by %s is refused by %s: %s", made, used, answer.Errors[0].Message)
				}
				continue
			}
			if answer.code() != "BAD_REQUEST" || answer.Errors[0].Message != "Invalid cursor for current pagination sort." || string(answer.Data) != "null" && string(answer.Data) != `{"products":null}` {
				t.Errorf("a cursor by %s is taken by %s: %s %v", made, used, answer.Data, answer.Errors)
			}
		}
	}
}

func TestPagesOfAllListsCoverTheShop(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 60, Orders: 40}, nil)
	c := w.client(append(allScopes, "read_all_orders")...)
	size := w.shop.Size()
	for _, tt := range []struct {
		list, extra string
		want        int
	}{
		{"products", "", size.Products},
		{"products", ", sortKey: UPDATED_AT", size.Products},
		{"products", ", sortKey: UPDATED_AT, reverse: true", size.Products},
		{"products", ", sortKey: TITLE", size.Products},
		{"products", ", sortKey: INVENTORY_TOTAL, reverse: true", size.Products},
		{"products", ", sortKey: CREATED_AT", size.Products},
		{"productVariants", ", sortKey: POSITION", size.Variants},
		{"locations", ", sortKey: NAME, includeInactive: true", size.Locations},
		{"productVariants", "", size.Variants},
		{"productVariants", ", sortKey: SKU", size.Variants},
		{"inventoryItems", "", size.Variants},
		{"collections", ", sortKey: UPDATED_AT", size.Collections},
		{"discountNodes", "", size.Discounts},
		{"discountNodes", ", sortKey: ENDS_AT", size.Discounts},
		{"orders", "", size.Orders},
		{"orders", ", sortKey: UPDATED_AT, reverse: true", size.Orders},
		{"locations", ", includeInactive: true", size.Locations},
	} {
		seen, after := map[string]bool{}, any(nil)
		for {
			var page map[string]struct {
				Nodes    []struct{ ID string }
				PageInfo struct {
					HasNextPage bool
					EndCursor   *string
				}
			}
			c.get(&page, `query($after: String) { `+tt.list+`(first: 17, after: $after`+tt.extra+`) { nodes { id } pageInfo { hasNextPage endCursor } } }`, "after", after)
			for _, node := range page[tt.list].Nodes {
				if seen[node.ID] {
					t.Errorf("%s%s shows %s twice", tt.list, tt.extra, node.ID)
				}
				seen[node.ID] = true
			}
			if !page[tt.list].PageInfo.HasNextPage {
				break
			}
			after = *page[tt.list].PageInfo.EndCursor
		}
		if len(seen) != tt.want {
			t.Errorf("%s%s shows %d of %d", tt.list, tt.extra, len(seen), tt.want)
		}
	}
}

func TestSweepsFindWhatChanged(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	w := newWorld(t, simulator.Catalogue{Products: 20}, func(config *simulator.Config) { config.Now = func() time.Time { return now } })
	c := w.client(allScopes...)
	p := w.firstProduct()
	now = now.Add(time.Hour)
	level := p.Variants[0].Item.Levels[0]
	if err := w.shop.SetStock(level.Item.ID, level.Location.ID, 77); err != nil {
		t.Fatal(err)
	}
	since := `updated_at:>='2026-11-01T12:30:00Z'`
	c.expect(`{"products":{"nodes":[{"id":"`+p.GID()+`"}]}}`, `query($q: String) { products(first: 5, sortKey: UPDATED_AT, query: $q) { nodes { id } } }`, "q", since)
	c.expect(`{"location":{"inventoryLevels":{"nodes":[{"id":"`+level.GID()+`","updatedAt":"2026-11-01T13:00:00Z","quantities":[{"name":"available","quantity":77,"updatedAt":"2026-11-01T13:00:00Z"},{"name":"on_hand","quantity":`+fmt.Sprint(77+level.Committed)+`,"updatedAt":null}]}]}}}`,
		`query($q: String, $l: ID!) { location(id: $l) { inventoryLevels(first: 5, query: $q) { nodes { id updatedAt quantities(names: ["available", "on_hand"]) { name quantity updatedAt } } } } }`, "q", since, "l", level.Location.GID())

	// The index lags when told to; the node does not.
	w.SetFaults(simulator.Faults{IndexLag: simulator.Duration(time.Minute)})
	c.expect(`{"products":{"nodes":[]}}`, `query($q: String) { products(first: 5, query: $q) { nodes { id } } }`, "q", since)
	c.expect(`{"product":{"updatedAt":"2026-11-01T13:00:00Z"}}`, `query($id: ID!) { product(id: $id) { updatedAt } }`, "id", p.GID())
	now = now.Add(2 * time.Minute)
	c.expect(`{"products":{"nodes":[{"id":"`+p.GID()+`"}]}}`, `query($q: String) { products(first: 5, query: $q) { nodes { id } } }`, "q", since)
}

func TestAnUnknownSearchFieldFindsEverythingWithAWarning(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 5}, nil)
	answer := w.client(allScopes...).ask(`{ products(first: 10, query: "colour:red") { nodes { id } } }`)
	if n := strings.Count(string(answer.Data), "gid:"); n != 5 {
		t.Errorf("%d products", n)
	}
	want := `[{"path":["products"],"query":"colour:red","parsed":{"field":"colour","match_all":"red"},"warnings":[{"field":"colour","message":"Invalid search field for this query.","code":"invalid_field"}]}]`
	if got, _ := json.Marshal(answer.Extensions.Search); string(got) != want {
		t.Errorf("search report %s, want %s", got, want)
	}
}

func TestIDsAreTakenAsShopifyTakesThem(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 5}, nil)
	c := w.client(allScopes...)
	p := w.firstProduct()
	level := p.Variants[0].Item.Levels[0]
	var code, automatic *simulator.Discount
	for d := range w.shop.Discounts.All() {
		if d.Automatic() {
			automatic = d
		} else {
			code = d
		}
	}
	c.expect(`{"product":null}`, `{ product(id: "gid://shopify/Product/1") { id } }`)
	c.expect(`{"nodes":[{"__typename":"Product"},null,{"__typename":"InventoryLevel"},{"__typename":"Product"},{"__typename":"DiscountCodeNode"},{"__typename":"DiscountAutomaticNode"}]}`,
		`query($ids: [ID!]!) { nodes(ids: $ids) { __typename } }`,
		"ids", []string{p.GID(), "gid://shopify/Order/1", level.GID(), p.GID(), code.GID(), automatic.GID()})
	c.expect(`{"inventoryLevel":{"id":"`+level.GID()+`"}}`, `query($id: ID!) { inventoryLevel(id: $id) { id } }`, "id", level.GID())
	c.expect(`{"discountNode":{"id":"`+code.GID()+`"}}`, `query($id: ID!) { discountNode(id: $id) { id } }`, "id", code.GID())
	c.expect(`{"discountNode":null}`, `query($id: ID!) { discountNode(id: $id) { id } }`, "id", strings.Replace(code.GID(), "CodeNode", "AutomaticNode", 1))
	for _, id := range []string{"gid://shopify/Order/1", "gid://shopify/Product/x"} {
		answer := c.ask(`query($id: ID!) { product(id: $id) { id } }`, "id", id)
		if answer.code() != "RESOURCE_NOT_FOUND" || string(answer.Data) != `{"product":null}` {
			t.Errorf("product(id: %s): %s %v", id, answer.Data, answer.Errors)
		}
	}
	mixed := c.ask(`query($ids: [ID!]!) { nodes(ids: $ids) { id } }`, "ids", []string{"gid://shopify/Nothing/1", p.GID()})
	if mixed.code() != "RESOURCE_NOT_FOUND" || string(mixed.Data) != `{"nodes":[null,{"id":"`+p.GID()+`"}]}` {
		t.Errorf("nodes with a senseless id: %s %v", mixed.Data, mixed.Errors)
	}
	malformed := c.ask(`query($id: ID!) { product(id: $id) { id } }`, "id", "1")
	if malformed.code() != "INVALID_VARIABLE" || malformed.Data != nil || malformed.Errors[0].Message != "Variable $id of type ID! was provided invalid value" {
		t.Errorf("a malformed id: %s %v", malformed.Data, malformed.Errors)
	}
}

func TestAFieldWithoutItsScopeIsDeniedAlone(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 2}, nil)
	c := w.client("read_products")
	answer := c.ask(`{ shop { myshopifyDomain } products(first: 1) { nodes { variants(first: 1) { nodes { position inventoryItem { id } } } } } orders(first: 1) { nodes { id } } discountNodes(first: 1) { nodes { id } } }`)
	want := `{"shop":{"myshopifyDomain":"` + domain + `"},"products":{"nodes":[{"variants":{"nodes":[{"position":1,"inventoryItem":null}]}}]},"orders":null,"discountNodes":null}`
	if string(answer.Data) != want {
		t.Errorf("data %s\nwant %s", answer.Data, want)
	}
	var denied []string
	for _, err := range answer.Errors {
		denied = append(denied, fmt.Sprint(err.Extensions["code"], err.Path, err.Extensions["requiredAccess"]))
	}
	wantErrors := []string{
		"ACCESS_DENIED[products nodes 0 variants nodes 0 inventoryItem]`read_inventory` access scope.",
		"ACCESS_DENIED[orders]`read_orders` access scope.", "ACCESS_DENIED[discountNodes]`read_discounts` access scope.",
	}
	if !slices.Equal(denied, wantErrors) {
		t.Errorf("errors %q\nwant %q", denied, wantErrors)
	}
	// A write scope reads too.
	if answer := w.client("write_products").ask(`{ products(first: 1) { nodes { id } } }`); len(answer.Errors) > 0 {
		t.Errorf("write_products does not read: %v", answer.Errors)
	}
}

func TestOrdersNeedApprovalAndEndAfterSixtyDays(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 10, Orders: 200}, nil)
	recent, all := 0, 0
	var old *simulator.Order
	for o := range w.shop.Orders.All() {
		if all++; time.Since(o.CreatedAt) < 60*24*time.Hour {
			recent++
		} else {
			old = o
		}
	}
	if recent == all {
		t.Fatal("the catalogue has no old orders")
	}
	count := `{ ordersCount(limit: null) { count precision } }`
	w.client(allScopes...).expect(fmt.Sprintf(`{"ordersCount":{"count":%d,"precision":"EXACT"}}`, recent), count)
	w.client(append(allScopes, "read_all_orders")...).expect(fmt.Sprintf(`{"ordersCount":{"count":%d,"precision":"EXACT"}}`, all), count)
	w.client(append(allScopes, "read_all_orders")...).expect(`{"ordersCount":{"count":7,"precision":"AT_LEAST"}}`, `{ ordersCount(limit: 7) { count precision } }`)

	byID := `query($id: ID!) { order(id: $id) { id } node(id: $id) { id } }`
	w.client(allScopes...).expect(`{"order":null,"node":null}`, byID, "id", old.GID())
	w.client(append(allScopes, "read_all_orders")...).expect(`{"order":{"id":"`+old.GID()+`"},"node":{"id":"`+old.GID()+`"}}`, byID, "id", old.GID())

	unapproved := newWorld(t, simulator.Catalogue{Products: 1}, func(config *simulator.Config) { config.Apps[0].ProtectedData = false })
	if answer := unapproved.client(allScopes...).ask(count); answer.code() != "ACCESS_DENIED" {
		t.Errorf("orders without approval: %s %v", answer.Data, answer.Errors)
	}
}

func TestInactiveLevelsAndLocationsAreShownOnDemand(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 3}, nil)
	c := w.client(allScopes...)
	item := w.firstProduct().Variants[0].Item
	level := item.Levels[0]
	if err := w.shop.DisconnectLevel(item.ID, level.Location.ID); err != nil {
		t.Fatal(err)
	}
	var got struct {
		InventoryItem struct {
			Without, With struct{ Nodes []struct{ IsActive bool } }
			Gone          *struct{ ID string }
			Still         *struct{ IsActive bool }
		}
		Without, With struct{ Nodes []struct{ IsActive bool } }
	}
	c.get(&got, `query($id: ID!, $l: ID!) {
		inventoryItem(id: $id) {
			without: inventoryLevels(first: 50) { nodes { isActive } }
			with: inventoryLevels(first: 50, includeInactive: true) { nodes { isActive } }
			gone: inventoryLevel(locationId: $l) { id }
			still: inventoryLevel(locationId: $l, includeInactive: true) { isActive }
		}
		without: locations(first: 50) { nodes { isActive } }
		with: locations(first: 50, includeInactive: true) { nodes { isActive } }
	}`, "id", item.GID(), "l", level.Location.GID())
	if with, without := len(got.InventoryItem.With.Nodes), len(got.InventoryItem.Without.Nodes); with != without+1 {
		t.Errorf("levels: %d with inactive, %d without", with, without)
	}
	if got.InventoryItem.Gone != nil || got.InventoryItem.Still == nil || got.InventoryItem.Still.IsActive {
		t.Errorf("the disconnected level: %+v", got.InventoryItem)
	}
	if with, without := len(got.With.Nodes), len(got.Without.Nodes); with != without+1 {
		t.Errorf("locations: %d with inactive, %d without", with, without)
	}
}

func TestMoneyAndTimesAreSpelledAsShopifySpellsThem(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 1, Currency: "EUR"}, nil)
	v := w.firstProduct().Variants[0]
	if err := w.shop.SetPrice(v.ID, 1990, 2500); err != nil {
		t.Fatal(err)
	}
	if err := w.shop.UpdateItem(v.Item.ID, func(i *simulator.InventoryItem) { i.Cost = 1000 }); err != nil {
		t.Fatal(err)
	}
	c := w.client(allScopes...)
	c.expect(`{"productVariant":{"price":"19.90","compareAtPrice":"25.00","legacyResourceId":"`+fmt.Sprint(v.ID)+`","updatedAt":"`+v.UpdatedAt.UTC().Format(time.RFC3339)+`","inventoryItem":{"unitCost":{"amount":"10.0","currencyCode":"EUR"}}}}`,
		`query($id: ID!) { productVariant(id: $id) { price compareAtPrice legacyResourceId updatedAt inventoryItem { unitCost { amount currencyCode } } } }`, "id", v.GID())
	if err := w.shop.SetPrice(v.ID, 500, 0); err != nil {
		t.Fatal(err)
	}
	c.expect(`{"productVariant":{"price":"5.00","compareAtPrice":null}}`, `query($id: ID!) { productVariant(id: $id) { price compareAtPrice } }`, "id", v.GID())
}

func TestCollectionsTellWhetherRulesDecide(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 10}, nil)
	var got struct {
		Collections struct {
			Nodes []struct {
				ID      string
				RuleSet *struct{ Rules []struct{ Column string } }
				Sources []struct {
					Inclusion struct{ Conditions []struct{ Typename string } }
				}
				Products struct{ Nodes []struct{ ID string } }
			}
		}
	}
	w.client(allScopes...).get(&got, `{ collections(first: 50) { nodes { id ruleSet { rules { column } } products(first: 50) { nodes { id } }
		sources { ... on CollectionConditionsSource { inclusion { conditions { typename: __typename } } } } } } }`)
	kinds := map[bool]int{}
	for _, node := range got.Collections.Nodes {
		for c := range w.shop.Collections.All() {
			if c.GID() != node.ID {
				continue
			}
			kinds[c.Smart()]++
			if smart := node.RuleSet != nil; smart != c.Smart() || len(node.Sources) != 1 || len(node.Sources[0].Inclusion.Conditions) != len(c.Rules) {
				t.Errorf("collection %s: %+v, but its rules are %v", c.Title, node, c.Rules)
			}
			if len(node.Products.Nodes) != len(c.Members) {
				t.Errorf("collection %s shows %d of %d members", c.Title, len(node.Products.Nodes), len(c.Members))
			}
		}
	}
	if kinds[true] == 0 || kinds[false] == 0 {
		t.Errorf("the catalogue has %d smart and %d manual collections", kinds[true], kinds[false])
	}
}

func TestSubscriptionsAreMadeChangedAndRemoved(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{}, nil)
	c := w.client(allScopes...)
	create := `mutation($topic: WebhookSubscriptionTopic!, $input: WebhookSubscriptionInput!) { webhookSubscriptionCreate(topic: $topic, webhookSubscription: $input) {
		webhookSubscription { id topic uri format includeFields apiVersion { handle } } userErrors { field message } } }`
	type subscription struct {
		ID, Topic, URI, Format string
		IncludeFields          []string
		APIVersion             struct{ Handle string }
	}
	var made struct {
		WebhookSubscriptionCreate struct {
			WebhookSubscription *subscription
			UserErrors          []struct {
				Field   []string
				Message string
			}
		}
	}
	input := map[string]any{"uri": "https://example.com/hook", "includeFields": []string{"id", "updated_at"}}
	c.get(&made, create, "topic", "PRODUCTS_UPDATE", "input", input)
	sub := made.WebhookSubscriptionCreate.WebhookSubscription
	if sub == nil || sub.Topic != "PRODUCTS_UPDATE" || sub.URI != "https://example.com/hook" || sub.Format != "JSON" || len(sub.IncludeFields) != 2 || sub.APIVersion.Handle != "2026-10" {
		t.Fatalf("made %+v", made)
	}
	for _, tt := range []struct{ name, topic, uri, field, message string }{
		{"taken", "PRODUCTS_UPDATE", "https://example.com/hook", "webhookSubscription callbackUrl", "already been taken"},
		{"blank", "PRODUCTS_CREATE", "", "webhookSubscription callbackUrl", "blank"},
		{"not encrypted", "PRODUCTS_CREATE", "http://example.com/hook", "webhookSubscription callbackUrl", "http:// is not supported"},
		{"Shopify's own", "PRODUCTS_CREATE", "https://a.myshopify.com/hook", "webhookSubscription callbackUrl", "internal domain"},
	} {
		var refused = made
		refused.WebhookSubscriptionCreate.UserErrors = nil
		c.get(&refused, create, "topic", tt.topic, "input", map[string]any{"uri": tt.uri})
		got := refused.WebhookSubscriptionCreate
		if got.WebhookSubscription != nil || len(got.UserErrors) != 1 || strings.Join(got.UserErrors[0].Field, " ") != tt.field || !strings.Contains(got.UserErrors[0].Message, tt.message) {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
	c.expect(`{"webhookSubscriptionUpdate":{"webhookSubscription":{"uri":"https://example.com/other","includeFields":["id","updated_at"]},"userErrors":[]}}`,
		`mutation($id: ID!) { webhookSubscriptionUpdate(id: $id, webhookSubscription: { uri: "https://example.com/other" }) { webhookSubscription { uri includeFields } userErrors { message } } }`, "id", sub.ID)
	c.expect(`{"all":{"nodes":[{"id":"`+sub.ID+`"}]},"some":{"nodes":[]},"webhookSubscriptionsCount":{"count":1}}`,
		`{ all: webhookSubscriptions(first: 5, topics: [PRODUCTS_UPDATE]) { nodes { id } } some: webhookSubscriptions(first: 5, topics: [ORDERS_CREATE]) { nodes { id } } webhookSubscriptionsCount { count } }`)
	remove := `mutation($id: ID!) { webhookSubscriptionDelete(id: $id) { deletedWebhookSubscriptionId userErrors { field } } }`
	c.expect(`{"webhookSubscriptionDelete":{"deletedWebhookSubscriptionId":"`+sub.ID+`","userErrors":[]}}`, remove, "id", sub.ID)
	c.expect(`{"webhookSubscriptionDelete":{"deletedWebhookSubscriptionId":null,"userErrors":[{"field":["id"]}]}}`, remove, "id", sub.ID)
	c.expect(`{"webhookSubscription":null}`, `query($id: ID!) { webhookSubscription(id: $id) { id } }`, "id", sub.ID)
	if answer := c.ask(create, "topic", "PRODUCTS_UPDATE", "input", input); answer.Extensions.Cost.Requested != 10 || *answer.Extensions.Cost.Actual != 10 {
		t.Errorf("a mutation costs %+v", answer.Extensions.Cost)
	}
}

func TestTheBudgetIsChargedAndRunsOut(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 3}, func(config *simulator.Config) { config.Capacity, config.Rate = 30, 0.001 })
	c := w.client(allScopes...)
	query := `{ products(first: 250) { nodes { id updatedAt } pageInfo { hasNextPage } } }`
	first := c.ask(query).Extensions.Cost
	if first.Requested != 13 || *first.Actual != 3 || first.Throttle.CurrentlyAvailable != 27 || first.Throttle.MaximumAvailable != 30 {
		t.Errorf("cost %+v", first)
	}
	for range 5 {
		c.ask(query)
	}
	refused := c.ask(query)
	if refused.code() != "THROTTLED" || refused.Data != nil || refused.Extensions.Cost.Actual != nil || refused.Extensions.Cost.Throttle.CurrentlyAvailable != 12 {
		t.Errorf("%s %v %+v", refused.Data, refused.Errors, refused.Extensions.Cost)
	}
}

func TestDeprecatedFieldsAreNamedInAHeader(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 1}, nil)
	c := w.client(allScopes...)
	if got := c.ask(`{ collections(first: 1) { nodes { ruleSet { rules { column } } } } }`).header.Get("X-Shopify-API-Deprecated-Reason"); !strings.Contains(got, "Collection.ruleSet") {
		t.Errorf("header %q", got)
	}
	if got := c.ask(`{ collections(first: 1) { nodes { id } } }`).header.Get("X-Shopify-API-Deprecated-Reason"); got != "" {
		t.Errorf("header %q", got)
	}
}
