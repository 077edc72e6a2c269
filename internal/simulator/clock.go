package simulator

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// maxForward is how far the clock goes forward at once.
const maxForward = 366 * 24 * time.Hour

// clock is how far the simulator is ahead of the clock it was given.
type clock struct {
	turn sync.Mutex // Held while it goes forward.

	mu     sync.Mutex
	ahead  time.Duration
	jumped chan struct{} // Closed when it goes forward; nil while nobody waits.
}

func (c *clock) offset() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ahead
}

// jump is closed when the clock next goes forward.
func (c *clock) jump() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.jumped == nil {
		c.jumped = make(chan struct{})
	}
	return c.jumped
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
	if c.jumped != nil {
		close(c.jumped)
		c.jumped = nil
	}
}

// Now is the time by Shopify's clock.
func (s *Simulator) Now() time.Time { return s.config.Now().Add(s.clock.offset()) }

// machine is the time by which webhooks are sent. It goes on where the clock
// that the simulator was given stands still.
func (s *Simulator) machine() time.Time { return time.Now().Add(s.clock.offset()) }

// Advance lets time pass at once, by Shopify's clock: webhooks that are due
// meanwhile are sent in their order, each at its time, with their retries and
// what follows from them. Traffic goes on, but makes some maxCatchUp changes at
// most, spread over the time. Tokens, discounts and bulk operations see the
// clock at its end. It returns early, with the clock where it has come to, when
// ctx is done or the simulator stops.
func (s *Simulator) Advance(ctx context.Context, d time.Duration) error {
	if d < 0 || d > maxForward {
		return fmt.Errorf("move the clock by %s: it goes forward only, by at most %s", d, maxForward)
	}
	s.clock.turn.Lock()
	defer s.clock.turn.Unlock()
	rate, resume := s.suspendTraffic()
	defer resume()
	gap := s.gaps(min(rate, maxCatchUp/d.Seconds()))
	end := s.clock.offset() + d
	change := s.clock.offset() + gap() // When the next one of traffic is due.
	for {
		if err := s.hooks.settle(ctx); err != nil {
			return fmt.Errorf("move the clock: %w", err)
		}
		if s.isStopped() {
			return fmt.Errorf("move the clock: %w", errStopped)
		}
		now := s.clock.offset()
		if now == end {
			return nil
		}
		to := min(end, change)
		if step, due := s.hooks.next(); due {
			to = min(to, now+max(step, 0))
		}
		s.clock.forward(to - now)
		s.hooks.look()
		if to == change {
			s.change()
			change += gap()
		}
	}
}

// next is how long it is until a webhook is due; false where none is.
func (c *courier) next() (time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cancel == nil || len(c.queue) == 0 {
		return 0, false
	}
	return c.queue[0].due.Sub(c.sim.machine()), true
}

// look makes the dispatcher look at the clock.
func (c *courier) look() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// settle returns when nothing is due and nothing is being sent, at once where
// deliveries are not running.
func (c *courier) settle(ctx context.Context) error {
	for {
		c.mu.Lock()
		if c.cancel == nil || c.busy == 0 && (len(c.queue) == 0 || c.queue[0].due.After(c.sim.machine())) {
			c.mu.Unlock()
			return nil
		}
		if c.finished == nil {
			c.finished = make(chan struct{})
		}
		finished := c.finished
		c.mu.Unlock()
		select {
		case <-finished:
		case <-ctx.Done():
			return fmt.Errorf("wait for webhooks: %w", context.Cause(ctx))
		}
	}
}

// clockState is what the control API tells of the clock.
func (s *Simulator) clockState() map[string]any {
	return map[string]any{"now": s.Now().UTC().Format(time.RFC3339), "ahead": Duration(s.clock.offset())}
}
