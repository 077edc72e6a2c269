package demo

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"stockroom/internal/reconcile"
	"stockroom/internal/simulator"
)

// Result is what a headless run found.
type Result struct {
	Exact bool `json:"exact"` // After the poll, the copy equals the shop in every field of every record.

	Seed    uint64         `json:"seed"`
	Records map[string]int `json:"records"` // Of the shop, by type, at the end.

	// What was done to the shop, and what became of the webhooks that told of it.
	LiveEdits int            `json:"live_edits"` // While all webhooks were delivered.
	Delivered int            `json:"delivered"`
	LostEdits map[string]int `json:"lost_edits"` // By kind, while all webhooks were lost.
	Lost      int            `json:"lost"`

	// How the copy stood after the live edits, and when the poll began.
	ExactAfterLive bool     `json:"exact_after_live"`
	WrongBefore    int      `json:"wrong_before"`   // Records that differed when the poll began.
	LostAndWrong   int      `json:"lost_and_wrong"` // Lost webhooks whose record was among them.
	TypesWrong     []string `json:"types_wrong"`

	Poll    string           `json:"poll"` // How the poll ended.
	Drift   reconcile.Report `json:"drift"`
	Seconds float64          `json:"seconds"`

	Differences []simulator.Difference `json:"differences"` // What still differs at the end: nothing, if exact.
}

// HeadlessProducts is the size of the headless run's shop.
const HeadlessProducts = 120

const liveEdits = 80

// Headless runs the demo's story once, by a fixed seed: connect, live changes
// with their webhooks, changes whose webhooks are all lost, a poll, and the
// comparison. say gets a line for people at each step.
func Headless(ctx context.Context, seed uint64, log *slog.Logger, say io.Writer) (result Result, err error) {
	began := time.Now()
	tell := func(format string, args ...any) { fmt.Fprintf(say, format+"\n", args...) }

	w, err := Open(ctx, Options{Seed: seed, Products: HeadlessProducts, Log: log})
	defer func() {
		if closeErr := w.Close(); err == nil {
			err = closeErr
		}
	}()
	if err != nil {
		return result, err
	}
	result = Result{Seed: seed, LostEdits: map[string]int{}, Records: map[string]int{}}
	tell("A simulated Shopify with the shop %s runs at %s, the service at %s.", Domain, w.SimURL, w.AppURL)

	if err := w.Connect(ctx); err != nil {
		return result, err
	}
	if err := w.WaitIdle(ctx); err != nil {
		return result, err
	}
	tell("The shop connected by OAuth and was copied.")

	rng := rand.New(rand.NewPCG(seed, 1))
	for range liveEdits {
		w.Shop.RandomEdit(rng)
	}
	if err := w.WaitQuiet(ctx); err != nil {
		return result, err
	}
	result.LiveEdits = liveEdits
	live, err := w.Compare(ctx)
	if err != nil {
		return result, err
	}
	result.ExactAfterLive = live.Exact()
	before := len(w.Sim.Deliveries())
	tell("%d changes came in by webhooks; %s", liveEdits, verdict(live))

	w.Sim.SetFaults(simulator.Faults{LoseIf: func(simulator.Delivery) bool { return true }})
	if result.LostEdits, err = LoseEdits(w.Shop, rng); err != nil {
		return result, err
	}
	if err := w.WaitQuiet(ctx); err != nil {
		return result, err
	}
	w.Sim.SetFaults(simulator.Faults{})
	wrong, err := w.Compare(ctx)
	if err != nil {
		return result, err
	}
	deliveries := w.Sim.Deliveries()
	result.count(wrong, deliveries)
	tell("%d changes were made whose %d webhooks were all lost; %s", total(result.LostEdits), len(deliveries)-before, verdict(wrong))

	run, err := w.Poll(ctx)
	if err != nil {
		return result, err
	}
	result.Poll = string(run.State)
	if result.Drift, err = reconcile.ReadReport(run); err != nil {
		return result, err
	}
	tell("The poll ended %s:\n%s", run.State, result.Drift.Text())

	final, err := w.Compare(ctx)
	if err != nil {
		return result, err
	}
	for name, counted := range final.Types {
		result.Records[name] = counted.Want
	}
	result.Differences = final.Differences
	result.Exact = final.Exact()
	result.Seconds = time.Since(began).Seconds()
	tell("Compared field by field with the shop's own data: %s", verdict(final))
	return result, nil
}

// minLostAndWrong is how many lost webhooks must have left their record wrong,
// or the poll had nothing to prove itself by.
const minLostAndWrong = 20

// OK reports whether the run showed what it is there to show: much was missed,
// of all sorts, and all of it was repaired.
func (r Result) OK() bool {
	for _, name := range []string{"Product", "ProductVariant", "InventoryLevel", "Discount", "Collection"} {
		if !slices.Contains(r.TypesWrong, name) {
			return false
		}
	}
	return r.Exact && r.Poll == "ok" && r.LostAndWrong >= minLostAndWrong
}

func (r *Result) count(wrong simulator.Report, deliveries []simulator.Delivery) {
	types := map[string]bool{}
	for name, counted := range wrong.Types {
		if n := counted.Missing + counted.Extra + counted.Wrong; n > 0 {
			r.WrongBefore += n
			types[name] = true
		}
	}
	for name := range types {
		r.TypesWrong = append(r.TypesWrong, name)
	}
	slices.Sort(r.TypesWrong)
	for _, d := range deliveries {
		if !d.Lost {
			r.Delivered++
			continue
		}
		r.Lost++
		if wrong.IDs[d.Subject] {
			r.LostAndWrong++
		}
	}
}

func verdict(r simulator.Report) string {
	if r.Exact() {
		return "the copy is exact."
	}
	var parts []string
	for name, counted := range r.Types {
		if n := counted.Missing + counted.Extra + counted.Wrong; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, name))
		}
	}
	slices.Sort(parts)
	return "wrong in the copy: " + strings.Join(parts, ", ") + "."
}

func total(counts map[string]int) int {
	sum := 0
	for _, n := range counts {
		sum += n
	}
	return sum
}
