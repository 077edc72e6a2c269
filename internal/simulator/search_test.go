package simulator

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"stockroom/internal/devtools/shopifyschema"
	"stockroom/internal/simulator/graph"
)

// searchesOf gives for each field whose argument query is simulated what can be
// searched, and how a search is read.
func searchesOf(q *query) map[string]searched {
	out := map[string]searched{
		"QueryRoot.products":                  searchedIn(q, products),
		"QueryRoot.productsCount":             searchedIn(q, products),
		"QueryRoot.productVariants":           searchedIn(q, variants),
		"QueryRoot.productVariantsCount":      searchedIn(q, countedVariants),
		"QueryRoot.inventoryItems":            searchedIn(q, items),
		"QueryRoot.locations":                 searchedIn(q, locations),
		"QueryRoot.locationsCount":            searchedIn(q, locations),
		"QueryRoot.collections":               searchedIn(q, collections),
		"QueryRoot.collectionsCount":          searchedIn(q, collections),
		"QueryRoot.discountNodes":             searchedIn(q, discounts),
		"QueryRoot.discountNodesCount":        searchedIn(q, discounts),
		"QueryRoot.orders":                    searchedIn(q, orders),
		"QueryRoot.ordersCount":               searchedIn(q, orders),
		"QueryRoot.events":                    searchedIn(q, happenings),
		"QueryRoot.eventsCount":               searchedIn(q, happenings),
		"Location.inventoryLevels":            searchedIn(q, levelsOf),
		"InventoryItem.inventoryLevels":       searchedIn(q, levelsOf),
		"DiscountCodeBasic.codes":             searchedBy(redeemCodes),
		"QueryRoot.bulkOperations":            searchedBy(graph.Vocabulary[*BulkOperation]{Fields: bulkFilters}),
		"QueryRoot.webhookSubscriptions":      searchedBy(graph.Vocabulary[Subscription]{Fields: subscriptionFilters}),
		"QueryRoot.webhookSubscriptionsCount": searchedBy(graph.Vocabulary[Subscription]{Fields: countedSubscriptionFilters}),
	}
	return out
}

type searched struct {
	fields []string
	read   func(string) *graph.SearchReport
}

func searchedIn[T record](q *query, l list[T]) searched {
	return searchedBy(graph.Vocabulary[T]{Fields: l.fields(q), Other: l.other, Words: l.words, Missing: l.missing, Now: q.access.Now})
}

func searchedBy[T any](words graph.Vocabulary[T]) searched {
	out := searched{read: func(text string) *graph.SearchReport { _, report := graph.Search(text, words); return report }}
	for name := range words.Fields {
		out.fields = append(out.fields, name)
	}
	out.fields = append(out.fields, words.Missing...)
	if words.Words != nil {
		out.fields = append(out.fields, "default")
	}
	if words.Other != nil && words.Other("metafields.custom.material") != nil {
		out.fields = append(out.fields, "metafields.{namespace}.{key}")
	}
	slices.Sort(out.fields)
	return out
}

// publishedFilters are the descriptions of every argument query, and their rows.
func publishedFilters(t *testing.T, version string) map[string]string {
	t.Helper()
	text, err := shopifyschema.Introspection(version)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Data struct {
			Schema struct {
				Types []struct {
					Name   string
					Fields []struct {
						Name string
						Args []struct{ Name, Description string }
					}
				}
			} `json:"__schema"`
		}
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, typ := range answer.Data.Schema.Types {
		for _, field := range typ.Fields {
			for _, argument := range field.Args {
				if argument.Name == "query" {
					out[typ.Name+"."+field.Name] = argument.Description
				}
			}
		}
	}
	return out
}

var (
	filterRow   = regexp.MustCompile(`(?m)^\| ([a-z][\w.{}]*) \| (\w+) \|`)
	exampleText = regexp.MustCompile("`((?:[a-z_0-9.]+):[^`]+)`")
)

// What can be searched is what Shopify's published descriptions list, no more
// and no less; and every example that they give is understood, but for the fields
// that are said not to be simulated.
func TestSearchFieldsArePublished(t *testing.T) {
	sim := New(Config{})
	shop, err := sim.AddShop("search-shop.myshopify.com", Catalogue{Products: 3})
	if err != nil {
		t.Fatal(err)
	}
	q := &query{shop: shop, access: Access{Now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}}
	published := publishedFilters(t, latestVersion)
	examples := 0
	for field, ours := range searchesOf(q) {
		description := strings.ReplaceAll(published[field], `\`, "")
		if description == "" {
			t.Errorf("%s takes no query", field)
			continue
		}
		var want []string
		for _, row := range filterRow.FindAllStringSubmatch(description, -1) {
			if row[2] != "type" { // The head of the table.
				want = append(want, row[1])
			}
		}
		slices.Sort(want)
		if !slices.Equal(ours.fields, want) {
			t.Errorf("%s is searched by\n     %v\nwant %v", field, ours.fields, want)
		}
		for _, example := range exampleText.FindAllStringSubmatch(description, -1) {
			text := strings.Join(strings.Fields(example[1]), " ")
			name, _, _ := strings.Cut(text, ":")
			if !slices.Contains(want, name) && !strings.HasPrefix(name, "metafields.") {
				continue // An example within the prose.
			}
			examples++
			for _, warning := range ours.read(text).Warnings {
				if warning.Code != "not_simulated" {
					t.Errorf("%s(query: %q): %+v", field, text, warning)
				}
			}
		}
	}
	t.Logf("%d examples were read", examples)
	if examples < 250 {
		t.Errorf("only %d examples were read", examples)
	}
}
