// Package e2e tests the real binary against the simulated Shopify: over real
// sockets and files, killed and started again. It holds tests alone.
package e2e
