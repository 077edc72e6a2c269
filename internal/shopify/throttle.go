package shopify

import (
	"context"
	"sync"
	"time"
)

const (
	// The bucket of a shop on the standard plan, until a reply tells the true one.
	assumedMaximum = 2000
	assumedRestore = 100 // Points a second.

	// assumedCost stands for an operation that was never answered before. None
	// of ours is dearer; see the comments in the operations.
	assumedCost = 300

	// ReserveFraction of the bucket is left to calls under WithPriority, so
	// that a poll does not make a person wait.
	ReserveFraction = 0.1
)

type priorityKey struct{}

// WithPriority marks calls that somebody waits for: they may use the reserve.
func WithPriority(ctx context.Context) context.Context {
	return context.WithValue(ctx, priorityKey{}, true)
}

func hasPriority(ctx context.Context) bool { return ctx.Value(priorityKey{}) != nil }

// Throttle follows the cost budget of one app at one shop, and holds calls back
// until Shopify will not refuse them. Its zero value is not usable: see
// NewThrottle. It is safe for concurrent use by all of the shop's clients.
type Throttle struct {
	// turn lets one ordinary call wait at a time, so that a dear one is not
	// overtaken for ever by cheap ones.
	turn chan struct{}

	mu        sync.Mutex
	available float64 // At the moment at.
	at        time.Time
	maximum   float64
	restore   float64 // Points a second.
	inFlight  float64 // Requested cost of calls that are not answered yet.
	paused    time.Time
	sent      uint64             // Calls so far.
	learned   map[string]float64 // Requested cost by operation.
}

// NewThrottle makes a throttle that knows nothing of the shop yet.
func NewThrottle() *Throttle {
	return &Throttle{
		turn: make(chan struct{}, 1), available: assumedMaximum, maximum: assumedMaximum,
		restore: assumedRestore, at: time.Now(), learned: map[string]float64{},
	}
}

// costReport is extensions.cost of an answer. Numbers come as 2000 or 2000.0.
type costReport struct {
	RequestedQueryCost float64  `json:"requestedQueryCost"`
	ActualQueryCost    *float64 `json:"actualQueryCost"`
	ThrottleStatus     struct {
		MaximumAvailable   float64 `json:"maximumAvailable"`
		CurrentlyAvailable float64 `json:"currentlyAvailable"`
		RestoreRate        float64 `json:"restoreRate"`
	} `json:"throttleStatus"`
}

// acquire waits until the operation fits the budget and takes its cost. The
// returned function must be called once, with the answer's report or nil.
func (t *Throttle) acquire(ctx context.Context, operation string) (release func(*costReport), err error) {
	priority := hasPriority(ctx)
	if !priority {
		select {
		case t.turn <- struct{}{}:
			defer func() { <-t.turn }()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	for {
		call, wait := t.take(operation, priority)
		if wait <= 0 {
			return func(report *costReport) { t.release(operation, call, report) }, nil
		}
		if err := sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// taken is what a call took from the budget, and its place in the order of calls.
type taken struct {
	number uint64
	cost   float64
	alone  bool // No other call was under way.
}

// take takes the operation's cost, or tells how long to wait before asking again.
func (t *Throttle) take(operation string, priority bool) (call taken, wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if pause := t.paused.Sub(now); pause > 0 {
		return taken{}, pause
	}
	t.refill(now)
	cost, ok := t.learned[operation]
	if !ok {
		cost = assumedCost
	}
	need := cost
	if !priority {
		need += ReserveFraction * t.maximum
	}
	need = min(need, t.maximum) // More than the bucket holds cannot be waited for.
	if t.available >= need {
		alone := t.inFlight == 0
		t.available -= cost
		t.inFlight += cost
		t.sent++
		return taken{t.sent, cost, alone}, 0
	}
	// Rounded up, so that the points are there when the wait is over.
	return taken{}, time.Duration((need-t.available)/t.restore*float64(time.Second)) + time.Millisecond
}

func (t *Throttle) release(operation string, call taken, report *costReport) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	t.refill(now)
	t.inFlight -= call.cost
	if report == nil {
		return // Unknown whether it was charged: the points come back in time.
	}
	if report.RequestedQueryCost > 0 {
		t.learned[operation] = report.RequestedQueryCost
	}
	if report.ActualQueryCost != nil {
		t.available += call.cost - *report.ActualQueryCost
	}
	status := report.ThrottleStatus
	if status.MaximumAvailable <= 0 || status.RestoreRate <= 0 {
		return
	}
	t.maximum, t.restore = status.MaximumAvailable, status.RestoreRate
	// The report may not count the calls that are under way: take them off once
	// more, since waiting a little costs less than being refused.
	told := status.CurrentlyAvailable - t.inFlight
	if call.alone && call.number == t.sent {
		t.available = told
		return
	}
	// Nobody knows in which order Shopify served calls that were under way
	// together: this report may be of a time before another's charge.
	t.available = min(t.available, told, t.maximum)
}

// refill adds what was restored since the last look.
func (t *Throttle) refill(now time.Time) {
	if passed := now.Sub(t.at); passed > 0 {
		t.available = min(t.maximum, t.available+passed.Seconds()*t.restore)
	}
	t.at = now
}

// pause holds every call of the shop back, as a 429 asks for.
func (t *Throttle) pause(wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if until := time.Now().Add(wait); until.After(t.paused) {
		t.paused = until
	}
}

// Budget tells the points that are left now and the most there can be, for a
// poll's progress and for metrics.
func (t *Throttle) Budget() (available, maximum float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refill(time.Now())
	return t.available, t.maximum
}

// sleep waits, or returns the context's error.
func sleep(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
