// Package simulator is Shopify on this machine: shops with catalogues that can
// be edited, the Admin API, OAuth and webhooks, all over real HTTP.
//
// It promises what Shopify does as far as that is known: the shapes and
// spellings of the published schemas, the side effects of edits on timestamps
// and webhooks, the rules of tokens, throttles and retries, and faults when
// asked for. What it shows is decided by its own data and its own code: it
// shares nothing with the programs that it is there to test.
//
// It leaves GraphQL itself to package graph, and keeps everything in memory.
package simulator
