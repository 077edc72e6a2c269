package simulator

import (
	_ "embed"
	"slices"
	"sync"

	"stockroom/internal/simulator/graph"
)

// schemaSDL is the part of the Admin API that the simulator answers.
//
//go:embed schema.graphql
var schemaSDL string

// stableVersions are the versions of the Admin API that are alive, the oldest
// first. Source: "Shopify API versioning", read 2026-11-24. The release
// candidate and unstable, which change from day to day, are not among them.
var stableVersions = []string{"2026-01", "2026-04", "2026-07", latestVersion}

// served is the version that answers where another is asked for: Shopify falls
// forward to the oldest that is alive.
func served(version string) string {
	if slices.Contains(stableVersions, version) {
		return version
	}
	return stableVersions[0]
}

// schemas makes the schema of each living version, at the first request for it.
// The types named cost nothing in Shopify's recorded answers.
var schemas = func() map[string]func() *graph.Schema {
	out := map[string]func() *graph.Schema{}
	for _, version := range stableVersions {
		out[version] = sync.OnceValue(func() *graph.Schema {
			loaded, err := graph.LoadVersion(schemaSDL, version, "MoneyV2", "MoneyBag", "LocationAddress")
			if err != nil {
				panic(err) // The schema is part of the program.
			}
			return loaded
		})
	}
	return out
}()

// schemaOf is the schema by which a version is answered; no version means the latest.
func schemaOf(version string) *graph.Schema {
	if version == "" {
		version = latestVersion
	}
	return schemas[served(version)]()
}
