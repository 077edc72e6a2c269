package reconcile

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"stockroom/internal/apply"
	"stockroom/internal/loop"
	"stockroom/internal/mirror"
	"stockroom/internal/shopify"
	"stockroom/internal/store"
)

// Hydrator reads by id what is owed: what a webhook did not carry, and what a
// conflict left in doubt. Demands lie in the database, so none is lost; one
// record has one read in flight, since one goroutine at a time works for a shop.
type Hydrator struct {
	Config
	turns keyedLocks
	loop  *loop.Loop

	// One worker a shop at most, so that a slow shop delays no other, and no
	// more than there are slots.
	workers sync.WaitGroup
	slots   chan struct{}
	mu      sync.Mutex
	busy    map[int64]bool
}

const (
	// hydrateBatch bounds the demands taken up at once for one shop.
	hydrateBatch = 250
	// hydrateShops bounds the shops worked for at once.
	hydrateShops = 8
	// hydrateIdle is how long the loop sleeps when nobody wakes it and nothing is due before.
	hydrateIdle = time.Second

	// A demand that a read did not satisfy waits longer each time.
	demandBackoff    = 2 * time.Second
	demandBackoffMax = 10 * time.Minute
)

// NewHydrator makes a Hydrator; Start sets it going.
func NewHydrator(config Config) *Hydrator {
	h := &Hydrator{Config: config, slots: make(chan struct{}, hydrateShops), busy: map[int64]bool{}}
	h.loop = loop.New(h.hand)
	return h
}

// Wake tells that demands were written. It never blocks.
func (h *Hydrator) Wake() { h.loop.Wake() }

// Start works off demands in the background until Stop.
func (h *Hydrator) Start(ctx context.Context) { h.loop.Start(ctx) }

// Stop ends the work; reads in flight are abandoned, their demands stay.
func (h *Hydrator) Stop() {
	h.loop.Stop()
	h.workers.Wait()
}

// hand gives each shop that is owed a read, and has no worker, one.
func (h *Hydrator) hand(ctx context.Context) time.Duration {
	due, err := h.due(ctx)
	if err != nil && ctx.Err() == nil {
		h.Log.Error("demands could not be listed, trying again", "error", err)
	}
	for _, shop := range due {
		if !h.take(shop.ID) {
			continue
		}
		select {
		case h.slots <- struct{}{}:
		case <-ctx.Done():
			h.giveBack(shop.ID)
			return hydrateIdle
		}
		h.workers.Go(func() {
			if _, err := h.RunOnce(ctx, shop); err != nil && ctx.Err() == nil {
				h.Log.Warn("reads by id failed, trying again", "shop", shop.Domain, "error", err)
			}
			<-h.slots
			h.giveBack(shop.ID)
			h.Wake() // More may have come due meanwhile.
		})
	}
	return hydrateIdle
}

func (h *Hydrator) take(shop int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	taken := h.busy[shop]
	h.busy[shop] = true
	return !taken
}

func (h *Hydrator) giveBack(shop int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.busy, shop)
}

// due lists the connected shops that have a demand due.
func (h *Hydrator) due(ctx context.Context) ([]store.Shop, error) {
	now := mirror.At(h.Now())
	var due []store.Shop
	err := h.Store.View(ctx, func(tx *store.Tx) error {
		next, err := tx.NextDemands()
		if err != nil || len(next) == 0 {
			return err
		}
		shops, err := tx.Shops()
		for _, shop := range shops {
			if at, ok := next[shop.ID]; ok && at <= now && shop.State == store.ShopConnected {
				due = append(due, shop)
			}
		}
		return err
	})
	return due, err
}

// RunOnce works off the demands of a shop that are due now, up to a batch, and
// says how many it satisfied. Demands whose read failed wait for another try.
func (h *Hydrator) RunOnce(ctx context.Context, shop store.Shop) (satisfied int, err error) {
	unlock, err := h.turns.lock(ctx, shop.ID)
	if err != nil {
		return 0, err
	}
	defer unlock()
	var demands []store.Demand
	err = h.Store.View(ctx, func(tx *store.Tx) (err error) {
		demands, err = tx.DueDemands(shop.ID, mirror.At(h.Now()), hydrateBatch)
		return err
	})
	if err != nil || len(demands) == 0 {
		return 0, err
	}
	client, err := h.Client(ctx, shop)
	if err != nil {
		return 0, h.postpone(ctx, shop, demands, err)
	}
	ctx = shopify.WithPriority(ctx) // Readers wait for these; a poll can wait.
	var errs []error
	for read, group := range byRead(demands) {
		for len(group) > 0 {
			part := group[:min(len(group), shopify.MaxIDs(read))]
			group = group[len(part):]
			n, err := h.read(ctx, shop, client, read, part)
			satisfied += n
			if err != nil {
				errs = append(errs, h.postpone(ctx, shop, part, err))
			}
		}
	}
	return satisfied, errors.Join(errs...)
}

func byRead(demands []store.Demand) map[mirror.Read][]store.Demand {
	groups := map[mirror.Read][]store.Demand{}
	for _, d := range demands {
		groups[d.Read] = append(groups[d.Read], d)
	}
	return groups
}

// read asks for some records, applies the answer, and settles what it satisfies, in one transaction.
func (h *Hydrator) read(ctx context.Context, shop store.Shop, client *shopify.Client, read mirror.Read, demands []store.Demand) (satisfied int, err error) {
	ids := make([]mirror.GID, 0, len(demands))
	asked := map[mirror.GID]bool{}
	for _, d := range demands { // A demand and its second look name the same id.
		if !asked[d.ID] {
			asked[d.ID] = true
			ids = append(ids, d.ID)
		}
	}
	sent := client.Clock().Now()
	observations, err := client.ReadByID(ctx, read, ids)
	if err != nil {
		return 0, fmt.Errorf("read %d by id (%s): %w", len(ids), read, err)
	}
	answers := answersTo(read, observations)
	now := mirror.At(h.Now())
	err = h.Store.Update(ctx, func(tx *store.Tx) error {
		satisfied = 0
		if _, err := apply.Apply(tx, apply.Batch{Shop: shop.ID, Observations: observations}, now); err != nil {
			return err
		}
		for _, d := range demands {
			answer, ok := answers[d.ID]
			if !ok { // Not even its absence was told: nothing owns metafields there any more.
				answer = mirror.Observation{AsOf: sent}
			}
			updated := answer.Updated
			if answer.Content == nil || !mirror.InfoOf(answer.Key.Kind).Governed {
				updated = math.MaxInt64 // What is gone, or has no updatedAt, satisfies any.
			}
			gone, err := tx.SatisfyDemand(shop.ID, d, updated, answer.AsOf)
			if err != nil {
				return err
			}
			if gone {
				satisfied++
				continue
			}
			// Before AsOf no read can reach it.
			due := max(now.Add(backoff(d.Attempts)), now+d.AsOf-client.Clock().Now())
			if err := tx.PostponeDemand(shop.ID, d, due, "the read did not reach what was asked for"); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("apply %d reads by id (%s): %w", len(ids), read, err)
	}
	return satisfied, nil
}

// answersTo picks, by id, the observation that answers a read: the one of the
// object itself, not of what came along.
func answersTo(read mirror.Read, observations []mirror.Observation) map[mirror.GID]mirror.Observation {
	answers := map[mirror.GID]mirror.Observation{}
	for _, o := range observations {
		info := mirror.InfoOf(o.Key.Kind)
		if info.Read == read && info.Of == "" && o.Key.Kind != mirror.KindMetafield {
			answers[o.Key.ID] = o
		}
	}
	return answers
}

func backoff(attempts int) time.Duration {
	return min(demandBackoff<<min(attempts, 20), demandBackoffMax)
}

// postpone keeps demands for another try and passes the reason on.
func (h *Hydrator) postpone(ctx context.Context, shop store.Shop, demands []store.Demand, reason error) error {
	now := mirror.At(h.Now())
	err := h.Store.Update(ctx, func(tx *store.Tx) error {
		for _, d := range demands { // At most a batch.
			if err := tx.PostponeDemand(shop.ID, d, now.Add(backoff(d.Attempts)), reason.Error()); err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(reason, err)
}
