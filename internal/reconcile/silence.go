package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"stockroom/internal/mirror"
	"stockroom/internal/shopify"
	"stockroom/internal/store"
)

// Watcher notices topics that are improbably quiet for their shop: Shopify
// deletes a subscription after failures and tells nobody. It warns, lets the
// subscriptions be audited, and has the gap swept.
//
// What it knows is in the database; when it is due is package jobs' to say.
type Watcher struct {
	Config

	// Queue hands a sweep in.
	Queue func(context.Context, store.Task) (store.Task, error)
}

// WatchEvery is how often a Watcher is to look.
const WatchEvery = habitSlot

const (
	// maxUnwatched is the longest pause between two looks after which the time in
	// between still counts as listened to. A longer one was an outage of ours, in
	// which nothing could be heard.
	maxUnwatched = 3 * habitSlot
	// maxUnswept is for how long a sweep of a gap is tried again: a shop that
	// cannot be asked for longer is read whole when it can.
	maxUnswept = 7 * 24 * time.Hour
	// settleSlot is how long after its end a slot is counted, for a webhook that is being stored.
	settleSlot = time.Minute
)

// quiet is a topic that is to be noted as silent.
type quiet struct {
	topic    string
	heard    mirror.Instant
	expected float64
}

// look is what one look knows before it comes to the shops.
type look struct {
	now   mirror.Instant
	end   int64 // The first slot that is not over.
	last  int64 // The newest webhook.
	shops []store.Shop
	marks map[int64]store.HabitMark
	// unswept are by shop the silences whose gap nothing has seen to yet.
	unswept map[int64][]store.Silence
	heard   map[int64][]store.HeardSlot // By the webhook after which it was heard: nearly always the same one for all shops.
}

// RunOnce counts what was heard since it was last called, and sees to the topics
// that have become improbably quiet. It returns those. Each shop is counted and
// written by itself, so that no webhook waits for all of them, and one that
// cannot be counted keeps no other from it.
func (w *Watcher) RunOnce(ctx context.Context) ([]store.Silence, error) {
	l, err := w.look(ctx)
	if err != nil {
		return nil, fmt.Errorf("watch for silence: %w", err)
	}
	var errs []error
	alarms := map[int64][]quiet{}
	for _, shop := range l.shops {
		if alarms[shop.ID], err = w.count(ctx, l, shop); err != nil {
			errs = append(errs, fmt.Errorf("watch for silence at shop %s: %w", shop.Domain, err))
		}
	}
	for _, shop := range l.shops {
		if err := w.sweepAgain(ctx, shop, l.unswept[shop.ID]); err != nil {
			errs = append(errs, fmt.Errorf("sweep what was silent at shop %s: %w", shop.Domain, err))
		}
	}
	var all []store.Silence
	for _, shop := range l.shops {
		if len(alarms[shop.ID]) == 0 {
			continue
		}
		noted, err := w.raise(ctx, shop, alarms[shop.ID])
		if err != nil {
			errs = append(errs, fmt.Errorf("silence at shop %s: %w", shop.Domain, err))
		}
		all = append(all, noted...)
	}
	return all, errors.Join(errs...)
}

// look reads what was heard since each connected shop was last counted. Of the
// others nothing is to be heard, and that is no habit.
func (w *Watcher) look(ctx context.Context) (look, error) {
	now := w.Now()
	l := look{now: mirror.At(now), end: slotOf(now.Add(-settleSlot)), heard: map[int64][]store.HeardSlot{}, unswept: map[int64][]store.Silence{}}
	return l, w.Store.View(ctx, func(tx *store.Tx) error {
		shops, err := tx.Shops()
		if err != nil {
			return err
		}
		if l.last, err = tx.LastDelivery(); err != nil {
			return err
		}
		if l.marks, err = tx.HabitsCounted(); err != nil {
			return err
		}
		unswept, err := tx.UnsweptSilences(l.now.Add(-maxUnswept))
		if err != nil {
			return err
		}
		for _, silence := range unswept {
			l.unswept[silence.ShopID] = append(l.unswept[silence.ShopID], silence)
		}
		for _, shop := range shops {
			if shop.State != store.ShopConnected {
				continue
			}
			l.shops = append(l.shops, shop)
			mark, counted := l.marks[shop.ID]
			if _, read := l.heard[mark.Seq]; !counted || read {
				continue
			}
			if l.heard[mark.Seq], err = tx.HeardAfter(mark.Seq, habitSlot); err != nil {
				return err
			}
		}
		return nil
	})
}

// countedTo is up to which webhook all is counted: not beyond the first one in a
// slot that is not over, since that slot is counted later.
func countedTo(heard []store.HeardSlot, seq, end int64) int64 {
	for _, h := range heard {
		seq = max(seq, h.Last)
	}
	for _, h := range heard {
		if h.Slot >= end {
			seq = min(seq, h.First-1)
		}
	}
	return seq
}

func slotOf(t time.Time) int64 { return t.UnixMilli() / habitSlot.Milliseconds() }

// count takes into account what a shop's topics did since it was last counted,
// and lists those that are silent.
func (w *Watcher) count(ctx context.Context, l look, shop store.Shop) (silent []quiet, err error) {
	mark, counted := l.marks[shop.ID]
	next := store.HabitMark{Seq: l.last, At: mirror.At(time.UnixMilli(l.end * habitSlot.Milliseconds()))}
	if !counted { // What lies in the inbox came before anybody counted.
		return nil, w.Store.Update(ctx, func(tx *store.Tx) error { return tx.SetHabitsCounted(shop.ID, next) })
	}
	next.Seq = countedTo(l.heard[mark.Seq], mark.Seq, l.end)
	from := slotOf(mark.At.Time())
	if l.now.Time().Sub(mark.At.Time()) > maxUnwatched {
		from = l.end
	}
	busy := map[string]map[int64]mirror.Instant{}
	for _, h := range l.heard[mark.Seq] {
		if h.ShopID != shop.ID {
			continue
		}
		if busy[h.Topic] == nil {
			busy[h.Topic] = map[int64]mirror.Instant{}
		}
		busy[h.Topic][h.Slot] = h.At
	}
	var known map[string][]byte
	var open []store.Silence
	err = w.Store.View(ctx, func(tx *store.Tx) (err error) {
		if known, err = tx.Habits(shop.ID); err != nil {
			return err
		}
		open, err = tx.OpenSilences(shop.ID)
		return err
	})
	if err != nil {
		return nil, err
	}
	for topic := range busy {
		if _, ok := known[topic]; !ok {
			known[topic] = []byte("{}")
		}
	}
	var over []string
	for topic, encoded := range known {
		var h habit
		if err := json.Unmarshal(encoded, &h); err != nil {
			return nil, fmt.Errorf("habit of %s: %w", topic, err)
		}
		before := h.Started
		for slot := from; slot < l.end; slot++ {
			at, heard := busy[topic][slot]
			if heard {
				h.HeardAt = max(h.HeardAt, int64(at))
			}
			h.listened(slot, heard)
		}
		for slot, at := range busy[topic] { // The slot that is not over, and what came late.
			if slot >= l.end || slot < from {
				h.HeardAt = max(h.HeardAt, int64(at))
				h.heard()
			}
		}
		noted := slices.ContainsFunc(open, func(s store.Silence) bool { return s.Topic == topic })
		switch {
		case noted && (len(busy[topic]) > 0 || before && !h.Started):
			h.Alarm = 0
			over = append(over, topic)
		case !noted && h.improbable():
			silent = append(silent, quiet{topic, mirror.Instant(h.HeardAt), h.Quiet})
			h.Alarm = 1
		case !noted:
			h.Alarm = 0 // It was to be noted, and was not: it is, if it still is improbable.
		}
		if known[topic], err = json.Marshal(h); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(silent, func(a, b quiet) int { return strings.Compare(a.topic, b.topic) })
	return silent, w.Store.Update(ctx, func(tx *store.Tx) error {
		for _, topic := range over {
			if err := tx.EndSilence(shop.ID, topic, l.now); err != nil {
				return err
			}
		}
		if err := tx.SaveHabits(shop.ID, known); err != nil {
			return err
		}
		return tx.SetHabitsCounted(shop.ID, next)
	})
}

// raise warns, audits the subscriptions, and has exactly the gap swept.
func (w *Watcher) raise(ctx context.Context, shop store.Shop, silent []quiet) ([]store.Silence, error) {
	before, err := w.subscriptions(ctx, shop)
	if err != nil {
		return nil, err
	}
	auditErr := w.Audit(ctx, shop)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	after, err := w.subscriptions(ctx, shop)
	if err != nil {
		return nil, err
	}
	task, err := w.sweepGap(ctx, shop, silent)
	if err != nil {
		return nil, err
	}
	noted := make([]store.Silence, len(silent))
	for i, q := range silent {
		noted[i] = store.Silence{ShopID: shop.ID, Topic: q.topic, Since: q.heard, NoticedAt: mirror.At(w.Now()), Expected: q.expected,
			Found: found(before[q.topic], after[q.topic], auditErr), TaskID: task}
		w.Log.Warn("a topic is improbably quiet: its subscription was checked, and the gap is swept as soon as the shop can be asked", "shop", shop.Domain, "topic", q.topic,
			"since", q.heard, "expected_busy_slots", fmt.Sprintf("%.1f", q.expected), "found", noted[i].Found, "sweep", task)
	}
	return noted, w.Store.Update(ctx, func(tx *store.Tx) error {
		for _, s := range noted {
			if err := tx.AddSilence(s); err != nil {
				return err
			}
		}
		return nil
	})
}

func (w *Watcher) subscriptions(ctx context.Context, shop store.Shop) (map[string]store.Subscription, error) {
	byTopic := map[string]store.Subscription{}
	err := w.Store.View(ctx, func(tx *store.Tx) error {
		all, err := tx.Subscriptions(shop.ID)
		for _, s := range all {
			byTopic[s.Topic] = s
		}
		return err
	})
	return byTopic, err
}

// found says what the audit made of a topic's subscription.
func found(before, after store.Subscription, err error) string {
	switch {
	case err != nil:
		return fmt.Sprintf("the subscriptions could not be checked: %v", err)
	case after.State != "" && after.State != store.SubscriptionActive:
		return "there is no subscription: " + after.Reason
	case after.GID != before.GID:
		return "the subscription was gone, and was made anew"
	default:
		return "the subscription is there"
	}
}

// sweepAgain has the gaps of silences swept that nothing has seen to: the shop
// could not be asked when they were noted, or the sweep failed. The silences may
// be over by now.
func (w *Watcher) sweepAgain(ctx context.Context, shop store.Shop, unswept []store.Silence) error {
	silent := make([]quiet, len(unswept))
	for i, s := range unswept {
		silent[i] = quiet{topic: s.Topic, heard: s.Since}
	}
	task, err := w.sweepGap(ctx, shop, silent)
	if err != nil || task == 0 {
		return err
	}
	return w.Store.Update(ctx, func(tx *store.Tx) error {
		for _, s := range unswept {
			if err := tx.SetSilenceSweep(s.ID, task); err != nil {
				return err
			}
		}
		return nil
	})
}

// sweepGap has all swept that the silent topics tell of, from a little before
// each was last heard. Nothing is swept for topics that tell of no record, nor
// where the shop cannot be asked: then the next look tries again.
func (w *Watcher) sweepGap(ctx context.Context, shop store.Shop, silent []quiet) (task int64, err error) {
	since := map[string]mirror.Instant{}
	for _, q := range silent {
		since[q.topic] = q.heard
	}
	client, err := w.Client(ctx, shop)
	if err != nil {
		w.Log.Warn("a silent topic's gap is not swept yet, the shop cannot be asked", "shop", shop.Domain, "error", err)
		return 0, nil
	}
	args, any := GapSweep(since, client.Clock().Now())
	if !any {
		return 0, nil
	}
	encoded, err := json.Marshal(args)
	if err != nil {
		return 0, err
	}
	queued, err := w.Queue(ctx, store.Task{ShopID: shop.ID, Kind: store.TaskSweep, Reason: "silence", Args: encoded})
	if err != nil {
		return 0, fmt.Errorf("sweep the gap: %w", err)
	}
	return queued.ID, nil
}

// GapSweep is the sweep of all that these topics tell of, from a little before
// each was last heard until now, and a scan where they tell of deletions, which
// no search by time does. It reports false where they tell of no record.
func GapSweep(heard map[string]mirror.Instant, until mirror.Instant) (SweepArgs, bool) {
	args := SweepArgs{Until: until, Sweeps: []string{}}
	kinds, deleted := map[mirror.Kind]bool{}, map[mirror.Kind]bool{}
	for topic, at := range heard {
		told := toldBy(topic)
		for _, kind := range told {
			kinds[kind] = true
			deleted[kind] = deleted[kind] || strings.HasSuffix(topic, "/delete") || strings.HasSuffix(topic, "/disconnect")
		}
		if since := at.Add(-sweepOverlap); len(told) > 0 && (args.Since == 0 || since < args.Since) {
			args.Since = since
		}
	}
	for _, sweep := range shopify.Sweeps() {
		if slices.ContainsFunc(sweep.Kinds, func(kind mirror.Kind) bool { return kinds[kind] }) {
			args.Sweeps = append(args.Sweeps, sweep.Name)
		}
	}
	for _, scan := range shopify.Scans() {
		if deleted[scan.Kind] {
			args.Scans = append(args.Scans, scan.Name)
		}
	}
	return args, len(kinds) > 0
}

// toldBy lists the kinds of objects that a topic tells of; none for topics about the app itself.
func toldBy(topic string) (kinds []mirror.Kind) {
	resource, _, _ := strings.Cut(topic, "/")
	for _, info := range mirror.Kinds() {
		teller := info
		if info.ToldWith != "" {
			teller = mirror.InfoOf(info.ToldWith)
		}
		if of, _, _ := strings.Cut(teller.Topics.Changed, "/"); of == resource && info.Objects != nil {
			kinds = append(kinds, info.Kind)
		}
	}
	return kinds
}
