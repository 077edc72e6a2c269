package graph

import (
	"sync"
	"time"
)

// MaxCost is what a single request may cost on any plan.
const MaxCost = 1000

// ThrottleStatus is how full a bucket is, in points.
type ThrottleStatus struct {
	MaximumAvailable   float64 `json:"maximumAvailable"`
	CurrentlyAvailable float64 `json:"currentlyAvailable"`
	RestoreRate        float64 `json:"restoreRate"`
}

// Bucket is the leaky bucket that one app has in one shop. It starts full.
type Bucket struct {
	max, rate float64
	now       func() time.Time

	mu    sync.Mutex
	level float64
	at    time.Time
}

// NewBucket holds at most max points and regains rate of them a second, by the clock now.
func NewBucket(max, rate float64, now func() time.Time) *Bucket {
	return &Bucket{max: max, rate: rate, now: now, level: max, at: now()}
}

// Take draws cost, or nothing where the bucket holds less.
func (b *Bucket) Take(cost int) (ThrottleStatus, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refill()
	ok := b.level >= float64(cost)
	if ok {
		b.level -= float64(cost)
	}
	return b.status(), ok
}

// Refund gives points back: what a request cost less than it asked for.
func (b *Bucket) Refund(points int) ThrottleStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refill()
	b.level = min(b.max, b.level+float64(points))
	return b.status()
}

// Drain empties the bucket, as another program using the same app would.
func (b *Bucket) Drain() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refill()
	b.level = 0
}

// Status tells how full the bucket is.
func (b *Bucket) Status() ThrottleStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refill()
	return b.status()
}

func (b *Bucket) refill() {
	now := b.now()
	if gone := now.Sub(b.at).Seconds(); gone > 0 {
		b.level = min(b.max, b.level+gone*b.rate)
		b.at = now
	}
}

func (b *Bucket) status() ThrottleStatus {
	// Shopify shows whole points; a part is not yet spendable.
	return ThrottleStatus{b.max, float64(int(b.level)), b.rate}
}
