package reconcile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
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
	turns loop.Turns[int64]
	loop  *loop.Loop

	// One worker a shop at most, so that a slow shop delays no other, and no
	// more than there are slots.
	workers sync.WaitGroup
	slots   chan struct{}
	mu      sync.Mutex
	busy    map[int64]bool

	nulls firstNulls
}

const (
	// hydrateBatch bounds the demands taken up at once for one shop.
	hydrateBatch = 250
	// hydrateShops bounds the shops worked for at once.
	hydrateShops = 8
	hydrateIdle  = time.Second

	// forgiveAttempts is after how many reads in vain a demand may be given up
	// that asks for an updatedAt which the shop does not show.
	forgiveAttempts = 2
)

// NewHydrator makes a Hydrator; Start sets it going.
func NewHydrator(config Config) *Hydrator {
	if config.Idle == 0 {
		config.Idle = hydrateIdle
	}
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

// hand gives each shop that is owed a read, and has no worker, one, and says how
// long to sleep then.
func (h *Hydrator) hand(ctx context.Context) time.Duration {
	now := h.Now()
	due, next, err := h.due(ctx, mirror.At(now))
	if err != nil && ctx.Err() == nil {
		h.Log.Error("demands could not be listed, trying again", "error", err)
	}
	for _, shop := range due {
		if !h.take(shop.ID) {
			continue
		}
		select {
		case h.slots <- struct{}{}:
		default: // All are at work: this shop's turn comes when one is done.
			h.giveBack(shop.ID)
			return min(h.Idle, hydrateIdle)
		}
		h.workers.Go(func() {
			n, err := h.RunOnce(ctx, shop)
			if err != nil && ctx.Err() == nil {
				h.Log.Warn("reads by id failed, trying again", "shop", shop.Domain, "error", err)
			}
			<-h.slots
			h.giveBack(shop.ID)
			if n > 0 && err == nil {
				h.Wake() // More may have come due meanwhile. After a failure the pause is welcome.
			}
		})
	}
	if next != 0 {
		return min(h.Idle, max(next.Time().Sub(now), time.Millisecond))
	}
	return h.Idle
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

// due lists the connected shops that have a demand due, and says when the next
// comes due; zero where none does.
func (h *Hydrator) due(ctx context.Context, now mirror.Instant) (shops []store.Shop, next mirror.Instant, err error) {
	err = h.Store.View(ctx, func(tx *store.Tx) (err error) {
		if shops, err = tx.ShopsOwed(now); err != nil {
			return err
		}
		next, err = tx.NextDemand(now)
		return err
	})
	return shops, next, err
}

// RunOnce works off the demands of a shop that are due now, up to a batch, and
// says how many it satisfied. Demands whose read failed wait for another try.
func (h *Hydrator) RunOnce(ctx context.Context, shop store.Shop) (satisfied int, err error) {
	release, err := h.turns.Take(ctx, shop.ID)
	if err != nil {
		return 0, err
	}
	defer release()
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
		return 0, h.postpone(ctx, shop, demands, 0, err)
	}
	ctx = shopify.WithPriority(ctx) // Readers wait for these; a poll can wait.
	var errs []error
	var trouble error // Of the shop as a whole: what is left would fail too.
	groups := byRead(demands)
	for _, read := range slices.Sorted(maps.Keys(groups)) { // In one order, so that a simulation can be repeated.
		for part := range slices.Chunk(groups[read], shopify.MaxIDs(read)) {
			if trouble != nil {
				errs = append(errs, h.postpone(ctx, shop, part, h.skew(client), trouble))
				continue
			}
			n, err := h.read(ctx, shop, client, read, part)
			satisfied += n
			errs = append(errs, err)
			switch shopify.ClassOf(err) {
			case shopify.ClassRetry, shopify.ClassThrottled, shopify.ClassToken, shopify.ClassClosed:
				trouble = err
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

// read asks for some records and settles the demands for them. What fails is
// kept for another try, but for what the shop does not share, and a record that
// spoils its neighbours' reads is found by halving.
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
	if err == nil {
		proven, err := h.prove(ctx, shop, client, read, observations)
		if err != nil {
			return 0, h.postpone(ctx, shop, demands, h.skew(client), err)
		}
		return h.apply(ctx, shop, client, read, demands, proven, sent)
	}
	err = fmt.Errorf("read %d by id (%s): %w", len(ids), read, err)
	switch shopify.ClassOf(err) {
	case shopify.ClassDenied:
		if withheld(shop, read) {
			return 0, errors.Join(err, h.drop(ctx, shop, demands))
		}
	case shopify.ClassInvalid, "": // The answer makes no sense, of one record at least.
		if len(demands) > 1 && ctx.Err() == nil {
			first, err := h.read(ctx, shop, client, read, demands[:len(demands)/2])
			second, err2 := h.read(ctx, shop, client, read, demands[len(demands)/2:])
			return first + second, errors.Join(err, err2)
		}
	}
	return 0, h.postpone(ctx, shop, demands, h.skew(client), err)
}

// skew is this machine's clock less Shopify's.
func (h *Hydrator) skew(client *shopify.Client) mirror.Instant {
	return mirror.At(h.Now()) - client.Clock().At(h.Now())
}

// apply writes the answer to a read, and removes the demands that it satisfies,
// in one transaction.
func (h *Hydrator) apply(ctx context.Context, shop store.Shop, client *shopify.Client, read mirror.Read, demands []store.Demand,
	proven proof, sent mirror.Instant) (satisfied int, err error) {
	now := mirror.At(h.Now())
	err = h.Store.Update(ctx, func(tx *store.Tx) error {
		satisfied = 0
		absent, shown, err := stillAbsent(tx, shop.ID, proven.absent)
		if err != nil {
			return err
		}
		for _, id := range shown {
			proven.held[id] = "the read found nothing, and it was told of meanwhile"
		}
		observations := slices.Concat(proven.observations, absent)
		answers := answersTo(read, observations)
		if _, err := apply.Apply(tx, apply.Batch{Shop: shop.ID, Observations: observations}, now); err != nil {
			return err
		}
		if err := tx.SaveTombstones(shop.ID, proven.tombstones); err != nil {
			return err
		}
		for _, d := range demands {
			if reason, held := proven.held[d.ID]; held {
				if err := tx.PostponeDemand(shop.ID, d, now, h.skew(client), reason); err != nil {
					return err
				}
				continue
			}
			answer, ok := answers[d.ID]
			if !ok { // Not even its absence was told: nothing owns metafields there any more.
				answer = mirror.Observation{AsOf: sent}
			}
			gone, err := tx.SatisfyDemand(shop.ID, d, reached(answer, d), answer.AsOf)
			if err != nil {
				return err
			}
			if gone {
				satisfied++
				continue
			}
			if err := tx.PostponeDemand(shop.ID, d, now, h.skew(client), "the read did not reach what was asked for"); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("apply %d reads by id (%s): %w", len(demands), read, err)
	}
	return satisfied, nil
}

// reached is the updatedAt that an answer satisfies demands up to: any, where
// the record is gone or has none. So does one that the shop, though it had the
// time and was asked before, still shows older than what was asked for: what
// the demand wants never was.
func reached(answer mirror.Observation, d store.Demand) mirror.Instant {
	if answer.Content == nil || !mirror.InfoOf(answer.Key.Kind).Governed ||
		d.Attempts >= forgiveAttempts && answer.AsOf >= d.AsOf.Add(mirror.CorrectAge) {
		return math.MaxInt64
	}
	return answer.Updated
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

// postpone keeps demands for another try and passes the reason on.
func (h *Hydrator) postpone(ctx context.Context, shop store.Shop, demands []store.Demand, skew mirror.Instant, reason error) error {
	err := h.Store.Update(ctx, func(tx *store.Tx) error {
		for _, d := range demands { // At most a batch.
			if err := tx.PostponeDemand(shop.ID, d, mirror.At(h.Now()), skew, reason.Error()); err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(reason, err)
}

// withheld tells whether the shop shares what a read asks for as little as its
// scopes and Shopify's approval say. A denial in spite of them may be a passing
// one, and decides nothing.
func withheld(shop store.Shop, read mirror.Read) bool {
	granted := shopify.ParseScopes(shop.Scopes)
	return slices.ContainsFunc(shopify.Lists(), func(list shopify.List) bool {
		asked := slices.ContainsFunc(list.Kinds, func(kind mirror.Kind) bool { return mirror.InfoOf(kind).Read == read })
		return asked && (list.Protected || len(shopify.MissingScopes(granted, list.Scopes)) > 0)
	})
}

// drop gives demands up of what the shop does not share. When it does again, the
// full read that follows reads all there is.
func (h *Hydrator) drop(ctx context.Context, shop store.Shop, demands []store.Demand) error {
	return h.Store.Update(ctx, func(tx *store.Tx) error {
		for _, d := range demands { // At most a batch.
			if err := tx.DropDemand(shop.ID, d); err != nil {
				return err
			}
		}
		return nil
	})
}
