package simulator_test

import (
	"encoding/json"
	"testing"

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
