package simulator_test

import (
	"encoding/json"
	"runtime"
	"slices"
	"testing"
	"time"

	"stockroom/internal/simulator"
	"stockroom/internal/simulator/graph"
)

// BenchmarkProductsPage is a page of a full read: 100 products with all that the
// service keeps of them. It says how fast a simulated shop can be read.
func BenchmarkProductsPage(b *testing.B) {
	sim := simulator.New(simulator.Config{Apps: []simulator.App{{ClientID: clientID}}, Seed: 1, Capacity: 1e12})
	shop, err := sim.AddShop(domain, simulator.Catalogue{Products: 1000})
	if err != nil {
		b.Fatal(err)
	}
	token, err := shop.IssueToken(clientID, allScopes...)
	if err != nil {
		b.Fatal(err)
	}
	access := shop.AccessOf(token)
	request := graph.Request{Query: `{ products(first: 100) { nodes { id title handle status vendor productType tags descriptionHtml createdAt updatedAt
		publishedAt templateSuffix options { name position values } totalInventory onlineStoreUrl featuredMedia { preview { image { url } } }
		metafields(first: 50) { nodes { id namespace key type value updatedAt } pageInfo { hasNextPage endCursor } }
		variants(first: 250) { nodes { id } pageInfo { hasNextPage endCursor } } } pageInfo { hasNextPage endCursor } } }`}
	for b.Loop() {
		answer := shop.Query(b.Context(), access, request)
		if len(answer.Errors) > 0 {
			b.Fatal(answer.Errors[0].Message)
		}
		if _, err := json.Marshal(answer); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkMillion opens a shop of a million variants and reads pages of 250 all
// through it. It prints how long the start took, the memory that a variant takes
// with all that hangs on it, and the median of the pages.
func BenchmarkMillion(b *testing.B) {
	for b.Loop() {
		sim := simulator.New(simulator.Config{Apps: []simulator.App{{ClientID: clientID}}, Seed: 1, Capacity: 1e12})
		began := time.Now()
		shop, err := sim.AddShop(domain, simulator.Catalogue{Variants: 1_000_000})
		if err != nil {
			b.Fatal(err)
		}
		start := time.Since(began)
		runtime.GC()
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		size := shop.Size()
		b.ReportMetric(start.Seconds(), "s/start")
		b.ReportMetric(float64(memory.HeapAlloc)/float64(size.Variants), "B/variant")
		token, err := shop.IssueToken(clientID, allScopes...)
		if err != nil {
			b.Fatal(err)
		}
		for name, text := range map[string]string{
			"products": `{ products(first: 250, after: $after) { nodes { id title handle status vendor productType tags updatedAt totalInventory } pageInfo { hasNextPage endCursor } } }`,
			"variants": `{ productVariants(first: 250, after: $after) { nodes { id title sku barcode price compareAtPrice inventoryQuantity updatedAt product { id } } pageInfo { hasNextPage endCursor } } }`,
			// What was changed since a while ago: the page of a poll.
			"poll":    `{ products(first: 250, sortKey: UPDATED_AT, query: "updated_at:>'` + time.Now().Add(-24*time.Hour).UTC().Format(time.RFC3339) + `'", after: $after) { nodes { id title updatedAt } pageInfo { hasNextPage endCursor } } }`,
			"changed": `{ products(first: 250, sortKey: UPDATED_AT, after: $after) { nodes { id title updatedAt } pageInfo { hasNextPage endCursor } } }`,
		} {
			var took []time.Duration
			var after any
			for range 50 {
				began := time.Now()
				answer := shop.Query(b.Context(), shop.AccessOf(token), graph.Request{Query: "query($after: String) " + text, Variables: map[string]any{"after": after}})
				if len(answer.Errors) > 0 {
					b.Fatal(answer.Errors[0].Message)
				}
				encoded, err := json.Marshal(answer)
				if err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(began))
				var page struct {
					Data map[string]struct {
						PageInfo struct {
							HasNextPage bool
							EndCursor   string
						}
					}
				}
				if err := json.Unmarshal(encoded, &page); err != nil {
					b.Fatal(err)
				}
				for _, list := range page.Data {
					if after = nil; list.PageInfo.HasNextPage { // Else from the first again.
						after = list.PageInfo.EndCursor
					}
				}
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms/"+name)
		}
	}
}
