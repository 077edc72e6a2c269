package simulator

import (
	_ "embed"
	"sync"

	"stockroom/internal/simulator/graph"
)

// schemaSDL is the part of the Admin API that the simulator answers.
//
//go:embed schema.graphql
var schemaSDL string

// schema is parsed once, at the first request. The types named cost nothing in
// Shopify's recorded answers.
var schema = sync.OnceValue(func() *graph.Schema {
	loaded, err := graph.Load(schemaSDL, "MoneyV2", "MoneyBag", "LocationAddress")
	if err != nil {
		panic(err) // The schema is part of the program.
	}
	return loaded
})
