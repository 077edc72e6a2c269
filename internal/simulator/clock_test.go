package simulator_test

import (
	"io"
	"net/http"
	"strings"
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
