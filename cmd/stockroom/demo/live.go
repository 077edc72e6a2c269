package demo

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"stockroom/internal/mirror"
	"stockroom/internal/reconcile"
	"stockroom/internal/simulator"
	"stockroom/internal/store"
)

// LiveProducts is the size of the live demo's shop.
const LiveProducts = 60

const (
	// loseShare is how many of the live demo's webhooks are lost on purpose.
	loseShare = 0.15
	// editEvery is how often the live demo's shop changes.
	editEvery = time.Second
	// PollEvery is how often the live demo polls by itself.
	PollEvery = 30 * time.Second
	// keptLines is how many lines of each story are kept for the view.
	keptLines = 50
)

// Live is the demo with a shop that goes on changing.
type Live struct {
	*World
	rng *rand.Rand

	pollNow chan struct{}

	mu    sync.Mutex
	state State
}

// State is what the view shows.
type State struct {
	Edits     int            // Made in the shop since the shop connected.
	Sent      int            // Webhooks that were delivered.
	Lost      int            // Webhooks that were lost on purpose.
	Applied   int64          // Webhooks that were applied.
	Changes   []ShopEdit     // In the shop, the newest last.
	Wrong     map[string]int // Records that differ now, by type.
	Exact     bool
	Compared  time.Time
	Polling   bool
	NextPoll  time.Time
	Polls     []PollLine // The newest last.
	CopyLines []string   // What the copy noted, the newest last.
}

// Summary says in a line how it went.
func (s State) Summary() string {
	repaired := int64(0)
	for _, poll := range s.Polls {
		for _, n := range poll.Repaired {
			repaired += n
		}
	}
	verdict := "at the end the copy was exact"
	if !s.Exact {
		verdict = "at the end the next poll had something to repair again"
	}
	return fmt.Sprintf("%d changes, %d webhooks lost on purpose, %d polls that repaired %d records; %s.", s.Edits, s.Lost, len(s.Polls), repaired, verdict)
}

// ShopEdit is one change in the shop.
type ShopEdit struct {
	At   time.Time
	What string
	Lost bool // A webhook of its was lost.
}

// PollLine is one poll that ended.
type PollLine struct {
	At       time.Time
	State    store.RunState
	Repaired map[string]int64 // Rows that were repaired, by type.
	Seconds  float64
}

// NewLive makes the live demo of a world whose shop has connected.
func NewLive(w *World, seed uint64) *Live {
	w.Sim.SetFaults(simulator.Faults{Lose: map[string]float64{"*": loseShare}})
	return &Live{World: w, rng: rand.New(rand.NewPCG(seed, 2)), pollNow: make(chan struct{}, 1),
		state: State{NextPoll: time.Now().Add(PollEvery), Exact: true}}
}

// PollNow asks for a poll; one under way is enough.
func (l *Live) PollNow() {
	select {
	case l.pollNow <- struct{}{}:
	default:
	}
}

// State is a copy of what there is to show.
func (l *Live) State() State {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}

func (l *Live) change(do func(*State)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	do(&l.state)
}

// Run edits, compares and polls until ctx ends.
func (l *Live) Run(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var parts sync.WaitGroup
	for _, part := range []func(context.Context) error{l.edit, l.watch, l.poll} {
		parts.Go(func() {
			if err := part(ctx); err != nil && ctx.Err() == nil {
				stop(err)
			}
		})
	}
	parts.Wait()
	if err := context.Cause(ctx); err != nil && err != context.Canceled {
		return err
	}
	return nil
}

func every(ctx context.Context, step time.Duration, do func() error) error {
	ticker := time.NewTicker(step)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := do(); err != nil {
				return err
			}
		}
	}
}

// edit changes the shop, and marks the changes of which a webhook got lost.
func (l *Live) edit(ctx context.Context) error {
	return every(ctx, editEvery, func() error {
		before := len(l.Sim.Deliveries())
		edit := l.Shop.RandomEdit(l.rng)
		lost := false
		for _, d := range l.Sim.Deliveries()[before:] {
			lost = lost || d.Lost
		}
		l.change(func(s *State) {
			s.Edits++
			s.Changes = kept(s.Changes, ShopEdit{time.Now(), edit.What, lost})
		})
		return nil
	})
}

// watch compares the copy with the shop, and counts webhooks.
func (l *Live) watch(ctx context.Context) error {
	var seq int64
	return every(ctx, editEvery/2, func() error {
		report, err := l.Compare(ctx)
		if err != nil {
			return err
		}
		var applied map[string]int64
		var changes []store.Change
		var lines []string
		err = l.App.Store.View(ctx, func(tx *store.Tx) (err error) {
			if applied, err = tx.CountDeliveries(l.Copy.ID); err != nil {
				return err
			}
			if changes, err = tx.ChangesAfter(l.Copy.ID, seq, 1000); err != nil {
				return err
			}
			lines, err = l.copyLines(tx, changes)
			return err
		})
		if err != nil {
			return err
		}
		sent, lost := 0, 0
		for _, d := range l.Sim.Deliveries() {
			switch {
			case d.Lost:
				lost++
			case d.Accepted():
				sent++
			}
		}
		l.change(func(s *State) {
			s.Sent, s.Lost, s.Applied = sent, lost, applied[store.DeliveryDone]
			s.Exact, s.Compared, s.Wrong = report.Exact(), time.Now(), map[string]int{}
			for name, counted := range report.Types {
				if n := counted.Missing + counted.Extra + counted.Wrong; n > 0 {
					s.Wrong[name] = n
				}
			}
			for _, line := range lines {
				s.CopyLines = kept(s.CopyLines, line)
			}
			if len(changes) > 0 {
				seq = changes[len(changes)-1].Seq
			}
		})
		return nil
	})
}

// poll reads the shop back when asked to, and by itself now and then.
func (l *Live) poll(ctx context.Context) error {
	for {
		timer := time.NewTimer(time.Until(l.State().NextPoll))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		case <-l.pollNow:
			timer.Stop()
		}
		l.change(func(s *State) { s.Polling = true })
		began := time.Now()
		run, err := l.Poll(ctx)
		if err != nil {
			return err
		}
		report, err := reconcile.ReadReport(run)
		if err != nil {
			return err
		}
		line := PollLine{At: time.Now(), State: run.State, Repaired: map[string]int64{}, Seconds: time.Since(began).Seconds()}
		for _, resource := range report.Resources {
			if n := resource.Drifted(); n > 0 {
				line.Repaired[resource.Type] = n
			}
		}
		l.change(func(s *State) {
			s.Polling, s.NextPoll = false, time.Now().Add(PollEvery)
			s.Polls = kept(s.Polls, line)
		})
	}
}

// kept appends to a story and drops its beginning when it grows too long. The
// result is a new slice, for copies of the state share the old one.
func kept[T any](lines []T, line T) []T {
	if len(lines) >= keptLines {
		lines = lines[len(lines)-keptLines+1:]
	}
	return append(lines[:len(lines):len(lines)], line)
}

// copyLines says what changed in the copy, one line an object: what is derived
// of it, and the sets that it belongs to, would say it again.
func (l *Live) copyLines(tx *store.Tx, changes []store.Change) ([]string, error) {
	byKind := map[mirror.Kind][]mirror.GID{}
	for _, change := range changes {
		byKind[change.Key.Kind] = append(byKind[change.Key.Kind], change.Key.ID)
	}
	names := map[mirror.Key]string{}
	for kind, ids := range byKind {
		rows, err := tx.ShownByID(l.Copy.ID, kind, ids)
		if err != nil {
			return nil, err
		}
		for id, row := range rows {
			var named struct{ Title, Name, Key string }
			if err := json.Unmarshal(row.Content, &named); err != nil {
				return nil, err
			}
			names[mirror.Key{Kind: kind, ID: id}] = cmp.Or(named.Title, named.Name, named.Key)
		}
	}
	var lines []string
	for _, change := range changes {
		if info := mirror.InfoOf(change.Key.Kind); string(info.Kind) != info.Type {
			continue
		}
		name := cmp.Or(names[change.Key], change.Key.ID.Number())
		lines = append(lines, fmt.Sprintf("%s  %s: %s %s by %s", change.At.Time().Local().Format(time.TimeOnly), name, change.Key.Kind, change.Action, sourceName(change.Source)))
	}
	return lines, nil
}

func sourceName(source mirror.Source) string {
	switch source {
	case mirror.FromWebhook:
		return "webhook"
	case mirror.FromID:
		return "a read by id"
	default:
		return "the poll"
	}
}
