package simulator

import (
	"fmt"
	"math/rand/v2"
)

// Reset makes every shop anew from what it was made from: no app is installed,
// no webhook is on its way, no fault is in force, the clock is the machine's
// again, and the seed begins at its beginning, so that the same steps lead to
// the same tokens, unless Config.Entropy decides those. Traffic goes on at its rate. The shops are other values
// than before; those of before are no longer served.
func (s *Simulator) Reset() error {
	s.clock.turn.Lock() // The clock does not go forward meanwhile, and nobody else resets.
	defer s.clock.turn.Unlock()
	rate := s.Traffic().Rate
	s.traffic.stop()
	s.bulk.close()
	if err := s.bulk.clear(); err != nil {
		return fmt.Errorf("reset: %w", err)
	}
	resume := s.hooks.interrupt()

	s.SetFaults(Faults{})
	s.begin()
	s.traffic.forget()
	shops := s.inOrder()
	s.mu.Lock()
	clear(s.shops)
	s.mu.Unlock()
	for _, shop := range shops {
		if _, err := s.AddShop(shop.Domain, shop.catalogue); err != nil {
			return fmt.Errorf("reset: %w", err)
		}
	}
	s.hooks.clear()
	s.meta.Reset()
	s.requestLog.clear()
	var err error
	s.unlessStopped(func() {
		s.bulk.open()
		err = resume()
	})
	if err != nil {
		return fmt.Errorf("reset: %w", err)
	}
	return s.SetTraffic(rate)
}

// begin puts chance, numbers and clock to where they begin.
func (s *Simulator) begin() {
	s.faultsMu.Lock()
	s.chanceSource = rand.NewPCG(s.config.Seed, 1)
	s.chance = rand.New(s.chanceSource)
	s.faultsMu.Unlock()
	s.drawSecretsFrom(s.newSecrets())
	s.mu.Lock()
	s.number = 1_000_000
	s.mu.Unlock()
	s.clock.forward(s.config.Ahead - s.clock.offset())
}

// forget puts traffic that is off to where it begins.
func (t *traffic) forget() {
	t.turn.Lock()
	defer t.turn.Unlock()
	t.rng = nil
	t.mu.Lock()
	defer t.mu.Unlock()
	t.made, t.recent = 0, nil
}

// interrupt stops deliveries where they run, and gives what lets them go on.
func (c *courier) interrupt() (resume func() error) {
	c.mu.Lock()
	ctx, running := c.life, c.cancel != nil
	c.mu.Unlock()
	if !running {
		return func() error { return nil }
	}
	c.stop()
	return func() error { return c.start(ctx) }
}

// clear forgets all deliveries. None is under way.
func (c *courier) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue, c.log, c.awaited, c.kept = nil, nil, 0, 0
	c.sent, c.sentBytes = nil, 0
	clear(c.debounce)
	if c.quiet != nil {
		close(c.quiet)
		c.quiet = nil
	}
}
