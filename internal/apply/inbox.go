package apply

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"stockroom/internal/loop"
	"stockroom/internal/mirror"
	"stockroom/internal/store"
)

// Learned is what a webhook teaches.
type Learned struct {
	Observations []mirror.Observation
	Demands      []mirror.Demand
}

// InboxConfig is what an Inbox needs.
type InboxConfig struct {
	Store *store.Store

	// Open gives a stored webhook with its body in the clear. Opened is false for
	// one that nobody can open any more; an error leaves it for another try.
	// Default: bodies are not sealed.
	Open func(context.Context, store.Delivery) (d store.Delivery, opened bool, err error)

	// Decode reads a webhook. An error sends it to quarantine, for it would be
	// the same at every try.
	Decode func(store.Delivery) (Learned, error)

	// Control acts on webhooks that are about the connection, such as
	// app/uninstalled, before they are marked as applied; it must be
	// idempotent. It reports false for those that are not. An error leaves the
	// webhook for another try.
	Control func(context.Context, store.Delivery) (bool, error)

	// Private tells the topics that Control acts on: a replay passes them over,
	// for a connection is not ended twice. Default: none.
	Private func(topic string) bool

	// Wrote is called after each batch that was committed.
	Wrote func()

	// Idle is how long the loop sleeps when nobody wakes it: webhooks may be
	// stored by another process. Default: a second.
	Idle time.Duration

	Now func() time.Time
	Log *slog.Logger
}

// Inbox applies stored webhooks, oldest first, in batches: one transaction for
// many, so that a burst costs few commits. The zero value is of no use.
type Inbox struct {
	InboxConfig
	loop *loop.Loop

	turn     sync.Mutex    // One batch at a time: a full read drains beside the loop.
	failures map[int64]int // By the number of a webhook that could not be applied.
}

const (
	inboxBatch      = 500     // Webhooks in one transaction.
	inboxBatchBytes = 8 << 20 // And their bodies, for memory's sake.

	inboxIdle = time.Second

	// inboxRetry is the pause after a failure.
	inboxRetry = time.Second
	// inboxTries is how often a webhook may fail by itself.
	inboxTries = 5
)

// NewInbox makes an Inbox; Start sets it going.
func NewInbox(config InboxConfig) *Inbox {
	if config.Idle == 0 {
		config.Idle = inboxIdle
	}
	if config.Open == nil {
		config.Open = func(_ context.Context, d store.Delivery) (store.Delivery, bool, error) { return d, true, nil }
	}
	b := &Inbox{InboxConfig: config, failures: map[int64]int{}}
	b.loop = loop.New(b.drain)
	return b
}

// Wake tells that webhooks were stored. It never blocks.
func (b *Inbox) Wake() { b.loop.Wake() }

// Start applies webhooks in the background until Stop.
func (b *Inbox) Start(ctx context.Context) { b.loop.Start(ctx) }

// Stop ends the loop after the batch it is at. What is left is applied by the next process.
func (b *Inbox) Stop() { b.loop.Stop() }

// drain applies what waits, and says how long to sleep then.
func (b *Inbox) drain(ctx context.Context) time.Duration {
	for {
		n, err := b.RunOnce(ctx)
		switch {
		case err != nil:
			if ctx.Err() == nil {
				b.Log.Error("webhooks could not be applied, trying again", "error", err)
			}
			return inboxRetry
		case n == 0:
			return b.Idle
		}
	}
}

// Drain applies the webhooks of a shop that wait when it is called. It does not
// wait for those that come meanwhile, of which there may be no end.
func (b *Inbox) Drain(ctx context.Context, shop int64) error {
	waiting := store.DeliveryFilter{Shop: shop, States: []string{store.DeliveryNew}}
	err := b.Store.View(ctx, func(tx *store.Tx) (err error) {
		waiting.UpTo, err = tx.LastDelivery()
		return err
	})
	for err == nil && waiting.UpTo > 0 {
		var first []store.Delivery
		err = b.Store.View(ctx, func(tx *store.Tx) (err error) {
			first, err = tx.Deliveries(waiting, 1, inboxBatchBytes)
			return err
		})
		if err != nil || len(first) == 0 {
			break
		}
		_, err = b.RunOnce(ctx)
	}
	if err != nil {
		return fmt.Errorf("apply what waits of shop %d: %w", shop, err)
	}
	return nil
}

// RunOnce applies one batch, a transaction a shop, and says how many webhooks
// it was done with; zero when none wait. Where a shop's transaction fails, its
// webhooks are tried one by one, so that one that cannot be applied holds up no
// other; after some tries it is set aside. The error tells of those that are left.
func (b *Inbox) RunOnce(ctx context.Context) (done int, err error) {
	b.turn.Lock()
	defer b.turn.Unlock()
	var waiting []store.Delivery
	err = b.Store.View(ctx, func(tx *store.Tx) (err error) {
		waiting, err = tx.NewDeliveries(inboxBatch, inboxBatchBytes)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("read inbox: %w", err)
	}
	byShop := map[int64][]store.Delivery{}
	var order []int64
	for _, delivery := range waiting {
		if byShop[delivery.ShopID] == nil {
			order = append(order, delivery.ShopID)
		}
		byShop[delivery.ShopID] = append(byShop[delivery.ShopID], delivery)
	}
	var errs []error
	for _, shop := range order {
		deliveries := byShop[shop]
		if err := b.apply(ctx, shop, deliveries); err == nil {
			done += len(deliveries)
			b.forgive(deliveries)
			continue
		}
		for _, delivery := range deliveries {
			err := b.apply(ctx, shop, []store.Delivery{delivery})
			if err != nil {
				err = b.failed(ctx, delivery, err)
			}
			if err != nil {
				errs = append(errs, err)
				continue
			}
			done++
			b.forgive([]store.Delivery{delivery})
		}
	}
	if done > 0 && b.Wrote != nil {
		b.Wrote()
	}
	return done, errors.Join(errs...)
}

// apply applies webhooks of one shop in one transaction.
func (b *Inbox) apply(ctx context.Context, shop int64, deliveries []store.Delivery) error {
	batch := Batch{Shop: shop}
	finished := make([]int64, 0, len(deliveries))
	unreadable := map[int64]error{}
	for _, delivery := range deliveries {
		control, err := b.Control(ctx, delivery)
		if err != nil {
			return fmt.Errorf("act on %s of shop %d: %w", delivery.Topic, shop, err)
		}
		if !control {
			learned, err := b.read(ctx, delivery)
			if retry, again := errors.AsType[*retryError](err); again {
				return retry.error
			}
			if err != nil {
				unreadable[delivery.Seq] = err
				b.Log.Warn("webhook set aside: it cannot be read", "shop_id", shop, "topic", delivery.Topic,
					"webhook_id", delivery.WebhookID, "error", err)
				continue
			}
			batch.add(delivery, learned)
		}
		finished = append(finished, delivery.Seq)
	}
	now := mirror.At(b.Now())
	err := b.Store.Update(ctx, func(tx *store.Tx) error {
		if len(batch.Observations)+len(batch.Demands) > 0 {
			if _, err := Apply(tx, batch, now); err != nil {
				return err
			}
			if err := cameLate(tx, batch); err != nil {
				return err
			}
		}
		for seq, reason := range unreadable {
			if err := tx.QuarantineDelivery(seq, reason.Error(), now); err != nil {
				return err
			}
		}
		return tx.FinishDeliveries(finished, now)
	})
	if err != nil {
		return fmt.Errorf("apply %d webhooks of shop %d: %w", len(deliveries), shop, err)
	}
	return nil
}

// read opens and decodes a webhook. A *retryError leaves it for another try.
func (b *Inbox) read(ctx context.Context, delivery store.Delivery) (Learned, error) {
	delivery, opened, err := b.Open(ctx, delivery)
	if err != nil {
		return Learned{}, &retryError{err}
	}
	if !opened {
		return Learned{}, errors.New("its body was sealed by a key that is gone")
	}
	return b.Decode(delivery)
}

// retryError is not the webhook's own fault.
type retryError struct{ error }

// add appends what a webhook teaches.
func (b *Batch) add(d store.Delivery, learned Learned) {
	b.Observations = append(b.Observations, learned.Observations...)
	b.Demands = append(b.Demands, learned.Demands...)
	told := Told{Delivery: d.Seq, Topic: d.Topic, AsOf: d.ReceivedAt, Heard: d.ReceivedAt,
		Observations: len(learned.Observations), Demands: len(learned.Demands)}
	if d.TriggeredAt != 0 {
		told.AsOf = min(d.TriggeredAt, d.ReceivedAt) // A later trigger is not believed.
	}
	b.Told = append(b.Told, told)
}

// forgive forgets the failures of webhooks that are done with.
func (b *Inbox) forgive(deliveries []store.Delivery) {
	for _, delivery := range deliveries {
		delete(b.failures, delivery.Seq)
	}
}

// failed counts a webhook's failure, and sets it aside when there were enough:
// what fails again and again by itself is not the database's trouble.
func (b *Inbox) failed(ctx context.Context, delivery store.Delivery, reason error) error {
	b.failures[delivery.Seq]++
	if ctx.Err() != nil || b.failures[delivery.Seq] < inboxTries {
		return reason
	}
	err := b.Store.Update(ctx, func(tx *store.Tx) error {
		return tx.QuarantineDelivery(delivery.Seq, reason.Error(), mirror.At(b.Now()))
	})
	if err != nil {
		return errors.Join(reason, err)
	}
	b.Log.Error("webhook set aside: it cannot be applied", "shop_id", delivery.ShopID, "topic", delivery.Topic,
		"webhook_id", delivery.WebhookID, "error", reason)
	return nil
}
