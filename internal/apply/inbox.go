package apply

import (
	"context"
	"fmt"
	"log/slog"
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

	// Decode reads a webhook. An error sends it to quarantine, for it would be
	// the same at every try.
	Decode func(store.Delivery) (Learned, error)

	// Control acts on webhooks that are about the connection, such as
	// app/uninstalled, before they are marked as applied; it must be
	// idempotent. It reports false for those that are not. An error leaves the
	// webhook for another try.
	Control func(context.Context, store.Delivery) (bool, error)

	// Wrote is called after each batch that was committed.
	Wrote func()

	Now func() time.Time
	Log *slog.Logger
}

// Inbox applies stored webhooks, oldest first, in batches: one transaction for
// many, so that a burst costs few commits. The zero value is of no use.
type Inbox struct {
	InboxConfig
	loop *loop.Loop
}

const (
	inboxBatch      = 500     // Webhooks in one transaction.
	inboxBatchBytes = 8 << 20 // And their bodies, for memory's sake.

	// inboxIdle is how long the loop sleeps when nobody wakes it: webhooks may
	// be stored by another process.
	inboxIdle = time.Second

	// inboxRetry is the pause after a failed batch.
	inboxRetry = time.Second
)

// NewInbox makes an Inbox; Start sets it going.
func NewInbox(config InboxConfig) *Inbox {
	b := &Inbox{InboxConfig: config}
	b.loop = loop.New(b.drain)
	return b
}

// Wake tells that webhooks were stored. It never blocks.
func (b *Inbox) Wake() { b.loop.Wake() }

// Start applies webhooks in the background until Stop.
func (b *Inbox) Start(ctx context.Context) { b.loop.Start(ctx) }

// Stop ends the loop after the batch it is at. What is left is applied by the next process.
func (b *Inbox) Stop() { b.loop.Stop() }

// drain applies what waits, batch after batch.
func (b *Inbox) drain(ctx context.Context) time.Duration {
	for {
		n, err := b.RunOnce(ctx)
		if err != nil {
			if ctx.Err() == nil {
				b.Log.Error("webhooks could not be applied, trying again", "error", err)
			}
			return inboxRetry
		}
		if n == 0 {
			return inboxIdle
		}
	}
}

// RunOnce applies one batch and says how many webhooks it held; zero when none wait.
func (b *Inbox) RunOnce(ctx context.Context) (int, error) {
	var waiting []store.Delivery
	err := b.Store.View(ctx, func(tx *store.Tx) (err error) {
		waiting, err = tx.NewDeliveries(inboxBatch, inboxBatchBytes)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("read inbox: %w", err)
	}
	if len(waiting) == 0 {
		return 0, nil
	}

	type quarantine struct {
		seq    int64
		reason string
	}
	var set []quarantine
	var finished []int64
	batches := map[int64]*Batch{}
	var order []*Batch
	for _, delivery := range waiting {
		control, err := b.Control(ctx, delivery)
		if err != nil {
			return 0, fmt.Errorf("act on %s of shop %d: %w", delivery.Topic, delivery.ShopID, err)
		}
		if control {
			finished = append(finished, delivery.Seq)
			continue
		}
		learned, err := b.Decode(delivery)
		if err != nil {
			set = append(set, quarantine{delivery.Seq, err.Error()})
			b.Log.Warn("webhook set aside: it cannot be read", "shop_id", delivery.ShopID, "topic", delivery.Topic,
				"webhook_id", delivery.WebhookID, "error", err)
			continue
		}
		batch := batches[delivery.ShopID]
		if batch == nil {
			batch = &Batch{Shop: delivery.ShopID}
			batches[delivery.ShopID], order = batch, append(order, batch)
		}
		batch.Observations = append(batch.Observations, learned.Observations...)
		batch.Demands = append(batch.Demands, learned.Demands...)
		finished = append(finished, delivery.Seq)
	}

	now := mirror.At(b.Now())
	err = b.Store.Update(ctx, func(tx *store.Tx) error {
		for _, batch := range order {
			if _, err := Apply(tx, *batch, now); err != nil {
				return fmt.Errorf("shop %d: %w", batch.Shop, err)
			}
		}
		for _, q := range set {
			if err := tx.QuarantineDelivery(q.seq, q.reason, now); err != nil {
				return err
			}
		}
		return tx.FinishDeliveries(finished, now)
	})
	if err != nil {
		return 0, fmt.Errorf("apply %d webhooks: %w", len(waiting), err)
	}
	if b.Wrote != nil {
		b.Wrote()
	}
	return len(waiting), nil
}
