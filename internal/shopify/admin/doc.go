// Package admin is the Admin API as far as Stockroom reads it: the operations in
// operations/*.graphql and Go types for their answers, all generated.
//
// It promises that every operation is valid under Shopify's published schema of
// Version; see TestOperationsAreValid. Sending, throttling and making sense of
// the answers is left to package shopify.
package admin

import "embed"

//go:generate go run stockroom/internal/devtools/shopifyschema/gen

// Version is the Admin API version that the operations are written for.
const Version = "2026-10"

// Operations holds the operations' source.
//
//go:embed operations/*.graphql
var Operations embed.FS
