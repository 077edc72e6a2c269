package e2e

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"stockroom/internal/simulator"
	"stockroom/internal/store"
)

var (
	firstSeed = flag.Uint64("first-seed", 1, "the first of the seeds that TestSeedsOnTheRealBinary lives through")
	seedCount = flag.Uint64("seeds", 2, "how many of them")
)

// TestSeedsOnTheRealBinary is what package simtest cannot show on virtual time:
// the binary with its job engine, over sockets and files, killed by kill -9 in
// the middle of drawn trouble. Whatever was answered 200 is merged, and when the
// trouble ends a poll ends ok and the copy is exact.
//
//	go test ./internal/e2e -run TestSeedsOnTheRealBinary -first-seed 1 -seeds 50
func TestSeedsOnTheRealBinary(t *testing.T) {
	for seed := *firstSeed; seed < *firstSeed+*seedCount; seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { liveThrough(t, seed) })
	}
}

func liveThrough(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 9))
	catalogue := simulator.Catalogue{Products: 1 + rng.IntN(40), Locations: 1 + rng.IntN(3), Orders: rng.IntN(20), BigVariants: []int{0, 0, 99, 104}[rng.IntN(4)]}
	// What was thought of later draws from a source of its own, so that the seeds
	// known before go on as they did.
	later := rand.New(rand.NewPCG(seed, 10))
	if later.IntN(3) == 0 { // Large enough to be read in bulk.
		catalogue.Products = 700
	}
	w := newWorld(t, catalogue)
	service := w.serve()
	w.connect()
	for range 3 + rng.IntN(5) {
		w.sim.SetFaults(drawTrouble(rng, later))
		full := later.IntN(4) == 0 && w.fillDisk(service)
		for range 1 + rng.IntN(12) {
			w.shop.RandomEdit(rng)
		}
		// A poll may be under way when it is killed.
		endPoll := func() {}
		if rng.IntN(2) == 0 {
			polling := w.command("poll", "--shop", domain)
			if err := polling.Start(); err != nil {
				t.Fatal(err)
			}
			endPoll = func() {
				_ = polling.Process.Kill() // Else it would do the work in the service's place.
				_ = polling.Wait()
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rng.IntN(600))*time.Millisecond)
		_ = w.sim.Quiet(ctx) // Whether they all came in that time does not matter.
		cancel()
		if full && later.IntN(2) == 0 { // Else it dies with a full disk.
			w.freeDisk(service)
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(later.IntN(300))*time.Millisecond)
			_ = w.sim.Quiet(ctx)
			cancel()
		}
		service.kill()
		endPoll()
		if rng.IntN(3) == 0 { // Nobody hears of these.
			w.shop.RandomEdit(rng)
		}
		service = w.serve()
	}
	w.sim.SetFaults(simulator.Faults{})
	w.mustEndExact()

	// What is hours late, and what is tried again, comes in.
	if err := w.sim.Advance(t.Context(), 17*time.Hour); err != nil {
		t.Fatal(err)
	}
	w.mustEndExact()
}

// mustEndExact wants all that was accepted to be merged, and the copy to be
// exact after a poll that ends ok.
func (w *world) mustEndExact() {
	t := w.t
	t.Helper()
	w.waitSettled()
	answered := w.answered()
	if n := w.count(answered, store.DeliveryDone); n != len(answered) {
		t.Errorf("%d of %d webhooks that were answered 200 are merged", n, len(answered))
	}
	w.until("the runs under way end", func() bool { return w.runs()[0].State.Over() })
	// A token that expired, or a budget that was drained, may cost the first.
	var stdout, stderr string
	code := 1
	for try := 0; code != 0 && try < 3; try++ {
		stdout, stderr, code = w.run("poll", "--shop", domain, "--accept-deletions")
	}
	if code != 0 {
		t.Errorf("poll exited %d:\n%s%s", code, stdout, stderr)
	}
	w.mustBeExact()
}

// drawTrouble draws faults that pass within seconds of real time.
func drawTrouble(rng, later *rand.Rand) simulator.Faults {
	share := func(chance, most float64) float64 {
		if rng.Float64() > chance {
			return 0
		}
		return most * rng.Float64()
	}
	f := simulator.Faults{
		Double: share(0.5, 0.5), Fail: share(0.3, 0.3), Forge: share(0.3, 0.3), Reorder: share(0.3, 0.2), Stale: share(0.2, 0.2),
		ServerError: share(0.3, 0.1), Reset: share(0.3, 0.1), AnswerLost: share(0.3, 0.1), Throttle: share(0.2, 0.05),
		Slow:      simulator.Duration(time.Duration(share(0.5, 40)) * time.Millisecond),
		TotalsLag: simulator.Duration(time.Duration(share(0.2, 1000)) * time.Millisecond),
	}
	if rng.IntN(2) == 0 {
		f.Lose = map[string]float64{"*": rng.Float64()}
	}
	rng = later
	milliseconds := func(chance, most float64) simulator.Duration {
		return simulator.Duration(time.Duration(share(chance, most)) * time.Millisecond)
	}
	f.Late, f.NewID, f.Delay, f.IndexLag = share(0.3, 0.3), share(0.3, 1), milliseconds(0.4, 400), milliseconds(0.4, 1000)
	f.BulkCut, f.BulkReorder, f.BulkCancel, f.BulkFail = share(0.3, 0.5), share(0.5, 1), share(0.2, 0.3), share(0.2, 0.3)
	f.BulkTime = milliseconds(0.4, 2000)
	return f
}
