// Package reconcile reads the shop back: by id what webhooks did not carry
// (Hydrator), and all of it once a day (Poller), to prove the copy exact, repair
// what webhooks missed, and say what that was.
//
// It promises that a read which is incomplete deletes nothing and proves
// nothing (P4), and that a run says what it covered: what could not be covered
// ends as partial or failed, never ok (P5). It writes through package apply
// alone, and asks Shopify within the budget that package shopify keeps.
package reconcile

import (
	"context"
	"log/slog"
	"time"

	"stockroom/internal/shopify"
	"stockroom/internal/store"
)

// Config is what reading back needs.
type Config struct {
	Store *store.Store

	// Client makes the Admin API client of a shop. All clients of one shop
	// share its budget and its clock.
	Client func(context.Context, store.Shop) (*shopify.Client, error)

	// Audit compares the shop's granted scopes and webhook subscriptions with
	// those wanted and mends them, before a full read. An error makes the run partial.
	Audit func(context.Context, store.Shop) error

	// Drain applies a shop's webhooks that are stored when it is called.
	Drain func(ctx context.Context, shop int64) error

	// Open gives a stored webhook with its body in the clear; opened is false for
	// one that nobody can open any more. Default: bodies are not sealed.
	Open func(context.Context, store.Delivery) (d store.Delivery, opened bool, err error)

	// MaxDelete is the fuse of P4: see Fuse.
	MaxDelete Fuse

	// Patience bounds how long a full read waits for the reads by id that it is
	// owed. Default: defaultPatience.
	Patience time.Duration

	// BulkFrom is the estimate, in points, of what reading all lists by pages
	// would cost, above which bulk operations read them. Default: defaultBulkFrom.
	BulkFrom int64

	// BulkStall bounds how long a bulk operation may stand still before it is
	// canceled. Default: defaultBulkStall.
	BulkStall time.Duration

	// Idle is how long the hydrator sleeps when nobody wakes it and nothing is
	// due before: demands may be written by another process. Default: a second.
	Idle time.Duration

	Now func() time.Time
	Log *slog.Logger
}

const defaultPatience = 3 * time.Minute

// Fuse bounds what one poll may delete of one resource after confirmation:
// more than Percent of its rows and more than Rows of them, or all of fuseAll
// or more, is not believed. POLL_MAX_DELETE "20%,50" is {20, 50}.
type Fuse struct {
	Percent float64
	Rows    int64
}

// fuseAll is the size from which a resource may not vanish whole.
const fuseAll = 10

// Blows reports whether deleting n of total rows is too much to be believed.
func (f Fuse) Blows(n, total int64) bool {
	if n >= fuseAll && n >= total {
		return true
	}
	return n > f.Rows && float64(n)*100 > f.Percent*float64(total)
}
