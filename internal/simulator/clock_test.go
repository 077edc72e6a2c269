package simulator_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"stockroom/internal/simulator"
)

func TestAJumpOfTheClockSendsEveryRetryAtItsTime(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 1}, nil)
	access := w.subscribe(nil, "PRODUCTS_UPDATE")
	w.answerFrom(http.StatusServiceUnavailable)
	if err := w.shop.UpdateProduct(w.firstProduct().ID, func(p *simulator.Product) { p.Title = "x" }); err != nil {
		t.Fatal(err)
	}
	w.heard()
	before := time.Now()
	response, err := http.Post(w.url+"/_sim/clock", "application/json", strings.NewReader(`{"forward":"5h"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var state struct {
		Now   time.Time
		Ahead string
	}
	decode(t, response, &state)
	if response.StatusCode != http.StatusOK || state.Ahead != "5h0m0s" || state.Now.Sub(before).Round(time.Minute) != 5*time.Hour {
		t.Errorf("status %d, %+v, before %v", response.StatusCode, state, before)
	}
	d := w.Deliveries()[0]
	if len(d.Attempts) != 9 || !d.Done {
		t.Fatalf("%d attempts, done %v", len(d.Attempts), d.Done)
	}
	wait := 56 * time.Second
	for i, attempt := range d.Attempts[1:] {
		if got := attempt.At.Sub(d.Attempts[i].At); got < wait || got > wait+5*time.Second {
			t.Errorf("retry %d after %v, want %v", i+1, got, wait)
		}
		wait *= 2
	}
	if left := access.Installation.Subscriptions(); len(left) != 0 {
		t.Errorf("still subscribed: %v", left)
	}
	if got := w.Now().Sub(before); got < 5*time.Hour || got > 5*time.Hour+time.Minute {
		t.Errorf("the clock went %v", got)
	}
}

func TestTheClockOnlyGoesForward(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{}, nil)
	for _, bad := range []string{`{"forward":"-1s"}`, `{"forward":"9000h"}`, `{"forward":5}`, ``} {
		response, err := http.Post(w.url+"/_sim/clock", "application/json", strings.NewReader(bad))
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: status %d %s %v", bad, response.StatusCode, raw, err)
		}
	}
	if ahead := time.Until(w.Now()); ahead > time.Second {
		t.Errorf("ahead by %v", ahead)
	}
}

func TestAJumpOfTheClockIsFeltEverywhere(t *testing.T) {
	inBubble(t, simulator.Catalogue{Products: 40}, []string{"PRODUCTS_UPDATE"}, func(b *bubble) {
		if err := b.SetTraffic(0.01); err != nil {
			b.t.Fatal(err)
		}
		b.SetFaults(simulator.Faults{Late: 1})
		b.rename("late")
		begun := time.Now()
		if err := b.Advance(b.t.Context(), 13*time.Hour); err != nil {
			b.t.Fatal(err)
		}
		if d := b.Deliveries()[0]; !d.Accepted() || d.Attempts[0].At.Sub(d.TriggeredAt) < time.Hour {
			b.t.Errorf("the late one: %+v", d)
		}
		b.pass(2 * time.Minute) // Traffic makes up for it when it next looks.
		if made := b.Traffic().Made; made < 300 {
			b.t.Errorf("%d changes in 13 hours", made)
		}
		if real := time.Since(begun); real > 3*time.Minute {
			b.t.Errorf("took %v", real)
		}
	})
}

// TestAJumpOfTheClockEndsUnderTraffic: what traffic would have done in the
// meantime is thinned, and spread over it. The subscription is the app's own: one
// made through the API is gone after four hours of failures, and with it the
// deliveries by which the test knows of changes.
func TestAJumpOfTheClockEndsUnderTraffic(t *testing.T) {
	webhooks := []simulator.AppWebhook{{Topic: "inventory_levels/update"}}
	w := newWorld(t, simulator.Catalogue{Products: 40}, func(c *simulator.Config) { c.Apps[0].Webhooks = webhooks })
	webhooks[0].URI = w.inbox.URL               // Known only now.
	w.subscribe(nil)                            // Installs the app.
	w.answerFrom(http.StatusServiceUnavailable) // So that retries make the clock step.
	if err := w.SetTraffic(50); err != nil {
		t.Fatal(err)
	}
	before := w.Now()
	if err := w.Advance(t.Context(), 5*time.Hour); err != nil {
		t.Fatal(err)
	}
	if got := w.Now().Sub(before); got < 5*time.Hour || got > 6*time.Hour {
		t.Errorf("the clock went %v", got)
	}
	traffic := w.Traffic()
	if traffic.Rate != 50 || traffic.Made < 300 || traffic.Made > 2000 {
		t.Errorf("rate %v, %d changes", traffic.Rate, traffic.Made)
	}
	spread := map[time.Duration]bool{} // By hours from the jump on, not of the day.
	for _, d := range w.Deliveries() {
		spread[d.TriggeredAt.Sub(before)/time.Hour] = true
	}
	for hour := range time.Duration(5) {
		if !spread[hour] {
			t.Errorf("no changes in hour %d", hour)
		}
	}
}

// TestNothingRunsAfterTheEnd: whatever is under way when the simulator stops.
func TestNothingRunsAfterTheEnd(t *testing.T) {
	for range 20 {
		inBubble(t, simulator.Catalogue{Products: 3}, []string{"PRODUCTS_UPDATE"}, func(b *bubble) {
			var busy sync.WaitGroup
			busy.Go(func() { _ = b.Reset() })
			busy.Go(func() { _ = b.SetTraffic(20) })
			busy.Go(func() { _ = b.Advance(b.t.Context(), 24*time.Hour) })
			b.Stop() // The bubble does not end while a goroutine is left.
			busy.Wait()
		})
	}
}

func TestTheEndInterruptsAJump(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 1}, nil)
	w.subscribe(nil, "PRODUCTS_UPDATE")
	arrived, answer := make(chan bool), make(chan bool)
	defer close(answer)
	w.block = sync.OnceFunc(func() { close(arrived); <-answer })
	if err := w.shop.UpdateProduct(w.firstProduct().ID, func(p *simulator.Product) { p.Title = "x" }); err != nil {
		t.Fatal(err)
	}
	<-arrived
	ended := make(chan error)
	go func() { ended <- w.Advance(context.Background(), time.Hour) }()
	w.Stop()
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "stopped") {
		t.Errorf("the jump ended with %v", err)
	}
}
