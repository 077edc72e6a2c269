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
	"stockroom/internal/store"
)

// Result is what a headless run found.
type Result struct {
	Exact bool `json:"exact"` // After the poll, the copy equals the shop in every field of every record.

	Seed    uint64         `json:"seed"`
	Records map[string]int `json:"records"` // Of the shop, by type, at the end.

	// What was done to the shop, and what became of the webhooks that told of it.
	LiveEdits int            `json:"live_edits"` // While webhooks came doubled, late and in another order.
	Killed    bool           `json:"killed"`     // The service, in the middle of them.
	Delivered int            `json:"delivered"`
	Doubled   int            `json:"doubled"`
	Again     int            `json:"again"`      // Delivered at a later try, for nobody had answered.
	SomeEdits int            `json:"some_edits"` // While some webhooks were lost.
	LostEdits map[string]int `json:"lost_edits"` // By kind, while all webhooks were lost.
	Lost      int            `json:"lost"`

	// How the copy stood after the live edits, and when the poll began.
	ExactAfterLive bool       `json:"exact_after_live"` // But for what no webhook tells of.
	WrongBefore    int        `json:"wrong_before"`     // Records that differed when the poll began.
	LostAndWrong   int        `json:"lost_and_wrong"`   // Lost webhooks whose record was among them.
	TypesWrong     []string   `json:"types_wrong"`
	WhyWrong       []Expected `json:"why_wrong"` // By the shop's data and the log of deliveries.

	Poll    string           `json:"poll"` // How the poll ended.
	Drift   reconcile.Report `json:"drift"`
	Verdict Verdict          `json:"verdict"` // Of the drift report, held against WhyWrong.
	Seconds float64          `json:"seconds"`

	Differences []simulator.Difference `json:"differences"` // What still differs at the end: nothing, if exact.
}

// HeadlessProducts is the size of the headless run's shop.
const HeadlessProducts = 120

const (
	liveEdits = 80
	// killAfter is after how many of them the service is killed.
	killAfter = 40
	// someEdits are made while someLost of the webhooks are lost.
	someEdits = 40
	someLost  = 0.4
	// pastRetry is how far the simulated clock is moved for the webhooks that met
	// no service to be tried again.
	pastRetry = 2 * time.Minute
)

// trouble is what webhooks meet in the whole run, besides being lost.
var trouble = simulator.Faults{Double: 0.2, Reorder: 0.2, Delay: simulator.Duration(300 * time.Millisecond)}

// HeadlessOptions are what a headless run is made from.
type HeadlessOptions struct {
	Seed    uint64
	Serve   []string // The command of the service: see Options.
	Environ []string
	Log     *slog.Logger
	Say     io.Writer // Gets a line for people at each step.
}

// Headless runs the demo's story once, by a fixed seed: connect; changes whose
// webhooks come doubled, late and in another order, with the service killed in
// the middle; changes of which some or all webhooks are lost; a poll, and the
// comparison of the copy and of the drift report with what they should be.
func Headless(ctx context.Context, options HeadlessOptions) (result Result, err error) {
	began := time.Now()
	tell := func(format string, args ...any) { fmt.Fprintf(options.Say, format+"\n", args...) }

	w, err := Open(ctx, Options{Seed: options.Seed, Products: HeadlessProducts, Log: options.Log, Serve: options.Serve, Environ: options.Environ})
	defer func() {
		if closeErr := w.Close(); err == nil {
			err = closeErr
		}
	}()
	if err != nil {
		return result, err
	}
	result = Result{Seed: options.Seed, LostEdits: map[string]int{}, Records: map[string]int{}}
	tell("A simulated Shopify with the shop %s runs at %s, the service as a process of its own at %s.", Domain, w.SimURL, w.AppURL)

	if err := w.Connect(ctx); err != nil {
		return result, err
	}
	if err := w.WaitIdle(ctx); err != nil {
		return result, err
	}
	tell("The shop connected by OAuth and was copied.")

	story := story{World: w, rng: rand.New(rand.NewPCG(options.Seed, 1)), result: &result, tell: tell}
	if story.ledger, err = newLedger(w.Sim, w.Shop); err != nil {
		return result, err
	}
	for _, part := range []func(context.Context) error{story.live, story.lose, story.poll} {
		if err := part(ctx); err != nil {
			return result, err
		}
	}
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

// story is a headless run under way.
type story struct {
	*World
	ledger *ledger
	rng    *rand.Rand
	result *Result
	tell   func(format string, args ...any)
}

// edits makes so many changes of all sorts.
func (s *story) edits(n int) error {
	for range n {
		err := s.ledger.record(func() error {
			s.Shop.RandomEdit(s.rng)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// live makes changes whose webhooks all come, though doubled, late and in
// another order, and kills the service in the middle of them.
func (s *story) live(ctx context.Context) error {
	s.Sim.SetFaults(trouble)
	if err := s.edits(killAfter); err != nil {
		return err
	}
	s.KillService() // With webhooks under way, received and not applied, or applied in part.
	s.result.Killed = true
	if err := s.edits(liveEdits - killAfter - 20); err != nil {
		return err
	}
	if err := s.RestartService(ctx); err != nil {
		return err
	}
	if err := s.edits(20); err != nil {
		return err
	}
	s.result.LiveEdits = liveEdits
	if err := s.Sim.Quiet(ctx); err != nil {
		return err
	}
	// What met no service is sent again after a minute.
	if err := s.Sim.Advance(ctx, pastRetry); err != nil {
		return err
	}
	if err := s.WaitQuiet(ctx); err != nil {
		return err
	}
	wrong, err := s.expect(ctx)
	if err != nil {
		return err
	}
	s.result.ExactAfterLive = !slices.ContainsFunc(wrong, func(e Expected) bool { return s.ledger.told(e) })
	s.tell("%d changes came in by webhooks, doubled, late and in another order, and the service was killed in the middle of them: %s",
		liveEdits, expectedText(wrong))
	return nil
}

// lose makes changes of which some webhooks are lost, and then all.
func (s *story) lose(ctx context.Context) (err error) {
	before := countLost(s.Sim.Deliveries())
	faults := trouble
	faults.Lose = map[string]float64{"*": someLost}
	s.Sim.SetFaults(faults)
	if err := s.edits(someEdits); err != nil {
		return err
	}
	s.result.SomeEdits = someEdits
	faults.Lose = map[string]float64{"*": 1}
	s.Sim.SetFaults(faults)
	if s.result.LostEdits, err = LoseEdits(s.Shop, s.rng, s.ledger.record); err != nil {
		return err
	}
	if err := s.WaitQuiet(ctx); err != nil {
		return err
	}
	s.Sim.SetFaults(simulator.Faults{})
	// A second look at totals, half a minute after a webhook, reads the whole
	// product and may mend what a lost webhook left: what is wrong when the poll
	// begins is known only when none is left.
	s.tell("Waiting for the second looks at totals that the webhooks asked for: half a minute.")
	if err := s.WaitStill(ctx); err != nil {
		return err
	}
	wrong, err := s.Compare(ctx)
	if err != nil {
		return err
	}
	s.result.count(wrong, s.Sim.Deliveries())
	if s.result.WhyWrong, err = s.expect(ctx); err != nil {
		return err
	}
	s.tell("%d changes of all sorts lost some of their webhooks, %d all of them, %d webhooks together; %s",
		someEdits, total(s.result.LostEdits), s.result.Lost-before, verdict(wrong))
	return nil
}

// poll reads the shop back, and holds what it reports against what it should.
func (s *story) poll(ctx context.Context) error {
	run, err := s.Poll(ctx)
	if err != nil {
		return err
	}
	s.result.Poll = string(run.State)
	if s.result.Drift, err = reconcile.ReadReport(run); err != nil {
		return err
	}
	var rows []store.DriftRow
	err = s.App.Store.View(ctx, func(tx *store.Tx) error {
		return tx.EachDrift(run.ID, func(row store.DriftRow) error {
			rows = append(rows, row)
			return nil
		})
	})
	if err != nil {
		return err
	}
	if s.result.Verdict, err = s.ledger.judge(s.result.WhyWrong, rows); err != nil {
		return err
	}
	s.tell("The poll ended %s:\n%s", run.State, s.result.Drift.Text())
	v := s.result.Verdict
	s.tell("By the shop's data and the log of deliveries, lost webhooks had left %d fields and records wrong, and %d had changed without a webhook.", v.Expected, v.Other)
	if v.OK() {
		s.tell("The report names each of them with its cause, and blames no lost webhook for anything else.")
	}
	for _, fault := range slices.Concat(prefixed("not named: ", v.Unnamed), prefixed("blamed wrongly: ", v.Blamed), prefixed("not reported: ", v.Missed), prefixed("called a bug: ", v.Bugs)) {
		s.tell("! %s", fault)
	}
	return nil
}

func prefixed(prefix string, lines []string) []string {
	all := make([]string, len(lines))
	for i, line := range lines {
		all[i] = prefix + line
	}
	return all
}

// expect tells what is wrong in the copy now, and why.
func (s *story) expect(ctx context.Context) ([]Expected, error) {
	copied, in := io.Pipe()
	go func() { in.CloseWithError(s.App.Query.Export(ctx, in, Domain)) }()
	snapshot, err := readExport(copied, map[string]line{})
	copied.CloseWithError(err)
	if err != nil {
		return nil, err
	}
	return s.ledger.expect(snapshot), nil
}

func expectedText(wrong []Expected) string {
	if len(wrong) == 0 {
		return "the copy is exact."
	}
	counts := map[string]int{}
	for _, e := range wrong {
		counts[e.Type]++
	}
	var parts []string
	for name, n := range counts {
		parts = append(parts, fmt.Sprintf("%d of %s", n, name))
	}
	slices.Sort(parts)
	return "wrong in the copy are fields that no webhook tells of: " + strings.Join(parts, ", ") + "."
}

func countLost(deliveries []simulator.Delivery) int {
	n := 0
	for _, d := range deliveries {
		if d.Lost {
			n++
		}
	}
	return n
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
	return r.Exact && r.Poll == "ok" && r.Killed && r.ExactAfterLive && r.LostAndWrong >= minLostAndWrong && r.Verdict.OK()
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
			accepted := 0
			for _, attempt := range d.Attempts {
				if attempt.Status >= 200 && attempt.Status < 300 {
					accepted++
				}
			}
			r.Delivered += min(accepted, 1)
			r.Doubled += max(accepted-1, 0)
			if accepted > 0 && len(d.Attempts) > accepted {
				r.Again++
			}
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
