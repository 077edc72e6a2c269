package dashboard

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// gone is the context of who does not wait for a turn.
func gone() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// The networks that try must not fill the memory, nor get more tries by being many.
func TestManyAddressesAreOneAttacker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, admitted := newSignIns(), 0
		for i := range 3 * maxParties {
			if s.admit(gone(), fmt.Sprint(i), false, time.Now()) {
				admitted++
			}
		}
		// One's turn in the lane may have come before it was seen to be gone.
		if admitted < triesOverall || admitted > triesOverall+1 || len(s.parties) > maxParties {
			t.Errorf("%d tries admitted, %d parties remembered", admitted, len(s.parties))
		}
	})
}

// TestTriesAboveTheLimitWaitTheirTurn: a crowd behind one address tries for a
// minute. Some get in all the time, slowly, and nobody waits long.
func TestTriesAboveTheLimitWaitTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, start := newSignIns(), time.Now()
		var admitted atomic.Int64
		var crowd sync.WaitGroup
		for range 60 {
			for range 20 {
				crowd.Go(func() {
					asked := time.Now()
					if s.admit(t.Context(), "proxy", false, asked) {
						admitted.Add(1)
					}
					if waited := time.Since(asked); waited > laneWait {
						t.Errorf("waited %s", waited)
					}
				})
			}
			<-time.After(time.Second) // The bubble's clock.
		}
		crowd.Wait()
		most := triesPerParty + int64(time.Minute/retryAfter) + int64(time.Since(start)/lanePace) + 1
		if got := admitted.Load(); got < int64(time.Minute/lanePace) || got > most {
			t.Errorf("%d tries admitted, want some at every turn and at most %d", got, most)
		}
	})
}

// TestAKnownBrowserIsNotKeptOut: whatever others try.
func TestAKnownBrowserIsNotKeptOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSignIns()
		for i := range 1000 {
			s.admit(gone(), fmt.Sprint(i), false, time.Now())
		}
		asked := time.Now()
		if s.admit(t.Context(), "stranger", false, asked) {
			t.Error("a stranger found the lane free: the test shows nothing")
		}
		if !s.admit(t.Context(), "browser", true, asked) || time.Since(asked) > 0 {
			t.Error("a known browser is kept out by others")
		}
		for range triesPerParty {
			s.admit(gone(), "browser", true, asked)
		}
		if s.admit(t.Context(), "browser", true, asked) {
			t.Error("a known browser tries without a limit")
		}
	})
}

func TestAnIPv6NetworkIsOneAddress(t *testing.T) {
	if network("[2001:db8::1]:1") != network("[2001:db8::ffff:1%eth0]:2") || network("[2001:db8::1]:1") == network("[2001:db8:0:1::1]:1") {
		t.Error("IPv6 addresses are not told apart by their network")
	}
	if network("192.0.2.1:1") == network("192.0.2.2:1") || network("[::ffff:192.0.2.1]:1") != network("192.0.2.1:9") {
		t.Error("IPv4 addresses are not told apart one by one")
	}
}
