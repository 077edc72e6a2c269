// Package simtest lives through days of Stockroom in seconds, with everything
// going wrong that can: one seed draws shops, edits, every fault of the
// simulated Shopify, crashes, full disks and wrong clocks. The real code runs on
// virtual time over an in-memory network. It holds tests alone.
//
// It promises that what judges a run shares no code with what is judged: the
// checkers see the copy as its readers do, the shop as it truly is, and the
// bytes on the wire. docs/simulation.md tells how to run and to replay a seed.
package simtest
