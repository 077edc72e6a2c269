package shopify

import (
	"sync"
	"time"

	"stockroom/internal/mirror"
)

// Clock tells the time on Shopify's clock. The offset to the local one is kept
// as an interval: each reply's Date header, a whole second, bounds it from both
// sides, and the bounds of all replies together come closer than any of them.
// It is safe for concurrent use, and one is kept for each shop.
type Clock struct {
	mu       sync.Mutex
	start    time.Duration // What is taken for the offset before any reply.
	known    bool
	low, top time.Duration // Shopify's time less the local time lies between.
}

// NewClock begins with an offset that was found before, until a reply tells it anew.
func NewClock(offset time.Duration) *Clock { return &Clock{start: offset} }

// At is the earliest that a local time can be on Shopify's clock: what a read
// found must not seem truer than a deletion that came just after its sending.
// Before any reply the offset is the one that the clock began with, or none.
func (c *Clock) At(local time.Time) mirror.Instant {
	low, _ := c.bounds()
	return mirror.At(local.Add(low))
}

// Now is the earliest that the present can be, for the starts of reads.
func (c *Clock) Now() mirror.Instant { return c.At(time.Now()) }

// Offset is Shopify's time less the local time, as well as it is known: the
// middle of what is possible. Receipts are measured by it.
func (c *Clock) Offset() time.Duration {
	low, top := c.bounds()
	return low + (top-low)/2
}

func (c *Clock) bounds() (low, top time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.known {
		return c.start, c.start
	}
	return c.low, c.top
}

// observe narrows the offset by a reply whose Date header says date, and which
// was written at some moment between sent and received.
func (c *Clock) observe(date, sent, received time.Time) {
	// The header's second covers [date, date+1s). Wall clocks are compared
	// here: sent and received are stripped of their monotonic reading.
	low := date.Sub(received.Round(0))
	top := date.Add(time.Second).Sub(sent.Round(0))
	if low > top {
		return // The local clock was set back during the call.
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	narrowLow, narrowTop := max(c.low, low), min(c.top, top)
	if !c.known || narrowLow > narrowTop {
		// The first reply, or one of the clocks was set: what was known is void.
		c.known, c.low, c.top = true, low, top
		return
	}
	c.low, c.top = narrowLow, narrowTop
}
