package simulator_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"stockroom/internal/simulator"
)

// debug asks with a header and answers extensions and data.
func (c client) debug(header, query string) (data, extensions map[string]json.RawMessage) {
	c.w.t.Helper()
	body, err := json.Marshal(map[string]string{"query": query})
	if err != nil {
		c.w.t.Fatal(err)
	}
	request, err := http.NewRequest(http.MethodPost, c.w.url+"/"+c.w.shop.Domain+"/admin/api/2026-10/graphql.json", strings.NewReader(string(body)))
	if err != nil {
		c.w.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Shopify-Access-Token", c.token)
	if header != "" {
		request.Header.Set(header, "1")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		c.w.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		c.w.t.Fatal(err)
	}
	var answer struct{ Data, Extensions map[string]json.RawMessage }
	if err := json.Unmarshal(text, &answer); err != nil {
		c.w.t.Fatalf("%v: %s", err, text)
	}
	return answer.Data, answer.Extensions
}

func TestCountsReportTheirSearches(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 5}, nil)
	c := w.client(allScopes...)
	products, variants := w.shop.Products.Len(), w.shop.Variants.Len()
	unknown := `"warnings":[{"field":"%s","message":"Invalid search field for this query.","code":"invalid_field"}]}]`
	for _, tt := range []struct{ query, data, search string }{
		{`{ productsCount(query: "nope:1") { count } }`, fmt.Sprintf(`{"count":%d}`, products),
			`[{"path":["productsCount"],"query":"nope:1","parsed":{"field":"nope","match_all":"1"},` + fmt.Sprintf(unknown, "nope")},
		// Recorded: this count ignores every search, and the list does not.
		{`{ productVariantsCount(query: "updated_at:>='2099-08-21T00:00:00Z'") { count } }`, fmt.Sprintf(`{"count":%d}`, variants),
			`[{"path":["productVariantsCount"],"query":"updated_at:>='2099-08-21T00:00:00Z'","parsed":{"field":"updated_at","range_gte":"2099-08-21T00:00:00Z"},` + fmt.Sprintf(unknown, "updated_at")},
		{`{ productsCount(query: "updated_at:>='2099-08-21T00:00:00Z'") { count } }`, `{"count":0}`, ``},
		{`{ ordersCount(query: "updated_at:>='2099-08-21T00:00:00Z'") { count } }`, `{"count":0}`, ``},
	} {
		data, extensions := c.debug("", tt.query)
		for _, got := range data {
			if string(got) != tt.data {
				t.Errorf("%s: %s, want %s", tt.query, got, tt.data)
			}
		}
		if got := strings.ReplaceAll(string(extensions["search"]), `\u003e`, ">"); got != tt.search {
			t.Errorf("%s\n got %s\nwant %s", tt.query, got, tt.search)
		}
	}
}

func TestSearchesAreReportedOnDemand(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 2}, nil)
	c := w.client(allScopes...)
	query := `{ found: products(first: 1, query: "status:active") { nodes { id } } productsCount { count } }`
	if _, extensions := c.debug("", query); extensions["search"] != nil {
		t.Errorf("unasked: %s", extensions["search"])
	}
	want := `[{"path":["found"],"query":"status:active","parsed":{"field":"status","match_all":"active"},"warnings":[]}]`
	if _, extensions := c.debug("Shopify-Search-Query-Debug", query); string(extensions["search"]) != want {
		t.Errorf("got %s, want %s", extensions["search"], want)
	}
}

func TestCostsAreBrokenDownOnDemand(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 2}, nil)
	c := w.client(allScopes...)
	query := `{ shop { name } products(first: 10) { nodes { id options { name } } pageInfo { hasNextPage } } productsCount { count } }`
	var cost struct{ Fields json.RawMessage }
	ask := func(header string) string {
		_, extensions := c.debug(header, query)
		cost.Fields = nil
		if err := json.Unmarshal(extensions["cost"], &cost); err != nil {
			t.Fatal(err)
		}
		return string(cost.Fields)
	}
	if got := ask(""); got != "" {
		t.Errorf("unasked: %s", got)
	}
	field := func(path string, defined, total int, children string) string {
		return fmt.Sprintf(`{"path":[%s],"definedCost":%d,"requestedTotalCost":%d,"requestedChildrenCost":%s}`, path, defined, total, children)
	}
	want := "[" + strings.Join([]string{
		field(`"shop"`, 1, 1, "0"), field(`"shop","name"`, 0, 0, "null"),
		field(`"products"`, 2, 10, "8"), field(`"products","nodes"`, 1, 2, "1"), field(`"products","nodes","id"`, 0, 0, "null"),
		field(`"products","nodes","options"`, 1, 1, "0"), field(`"products","nodes","options","name"`, 0, 0, "null"),
		field(`"products","pageInfo"`, 0, 0, "0"), field(`"products","pageInfo","hasNextPage"`, 0, 0, "null"),
		field(`"productsCount"`, 10, 10, "0"), field(`"productsCount","count"`, 0, 0, "null"),
	}, ",") + "]"
	if got := ask("Shopify-GraphQL-Cost-Debug"); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

// Each search finds, among these products, those that the same search would find
// at Shopify; that it finds anything else than all is what counts here.
func TestPublishedFieldsFilter(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 40}, nil)
	c := w.client(allScopes...)
	count := func(list, search string) int {
		var data map[string]struct{ Nodes []struct{ ID string } }
		c.get(&data, `query($q: String) { `+list+`(first: 250, query: $q) { nodes { id } } }`, "q", search)
		return len(data[list].Nodes)
	}
	p := w.firstProduct()
	price := p.Variants[0].Price.String()
	for _, tt := range []struct{ list, search, rest string }{
		{"products", "price:" + price, "NOT price:" + price},
		{"products", "price:>=" + price, "NOT price:>=" + price}, // Variants may lie on both sides of a price.
		{"products", "published_status:published", "published_status:unpublished"},
		{"products", "tag:" + p.Tags[0], "tag_not:" + p.Tags[0]},
		{"products", fmt.Sprint("variant_id:", p.Variants[0].ID), fmt.Sprint("-variant_id:", p.Variants[0].ID)},
		{"products", "is_price_reduced:true", "is_price_reduced:false"},
		{"products", "out_of_stock_somewhere:true", "out_of_stock_somewhere:false"},
		{"products", "gift_card:false", "gift_card:true"},
		{"productVariants", fmt.Sprint("product_ids:", p.ID, ",1"), fmt.Sprint("NOT product_id:", p.ID)},
		{"productVariants", "option1:'" + p.Variants[0].Values[0] + "'", "-option1:'" + p.Variants[0].Values[0] + "'"},
		{"discountNodes", "discount_class:order,product", "discount_class:shipping"},
		{"discountNodes", "type:percentage", "NOT type:percentage"},
		{"discountNodes", "starts_at:<now", "starts_at:>=now"},
		{"discountNodes", "times_used:0", "times_used:>0"},
		{"locations", "city:'" + p.Variants[0].Item.Levels[0].Location.City + "'", "-city:'" + p.Variants[0].Item.Levels[0].Location.City + "'"},
		{"collections", fmt.Sprint("product_id:", p.ID), fmt.Sprint("-product_id:", p.ID)},
		{"orders", "status:not_closed", "status:closed"},
		{"orders", "test:false", "email:someone@example.com"},
	} {
		all, found, rest := count(tt.list, ""), count(tt.list, tt.search), count(tt.list, tt.rest)
		if found+rest != all || all == 0 || found == 0 && !strings.HasPrefix(tt.search, "is_price") && !strings.HasPrefix(tt.search, "out_of") {
			t.Errorf("%s: %q finds %d and %q %d of %d", tt.list, tt.search, found, tt.rest, rest, all)
		}
	}
}
