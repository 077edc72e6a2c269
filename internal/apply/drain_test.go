package apply_test

import (
	"context"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"stockroom/internal/apply"
	"stockroom/internal/store"
)

// TestDrainEndsWhileWebhooksGoOnComing: polls and sweeps of every shop begin with it.
func TestDrainEndsWhileWebhooksGoOnComing(t *testing.T) {
	b := newBench(t)
	const enough = 2000
	added, applied := 0, 0
	add := func() {
		added++
		b.update(func(tx *store.Tx) error {
			return tx.AddDeliveries([]store.Delivery{{ShopID: b.shop.ID, Topic: "shop/update", WebhookID: strconv.Itoa(added), Body: []byte("{}"), State: store.DeliveryNew}})
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	inbox := apply.NewInbox(apply.InboxConfig{Store: b.Store, Now: func() time.Time { return noon }, Log: slog.New(slog.DiscardHandler),
		Control: func(context.Context, store.Delivery) (bool, error) { return false, nil },
		Decode: func(store.Delivery) (apply.Learned, error) {
			if applied++; applied == enough {
				cancel() // It would go on for ever.
			}
			add()
			return apply.Learned{}, nil
		}})
	if err := inbox.Drain(ctx, b.shop.ID); err != nil || applied != 0 {
		t.Fatalf("with nothing waiting %d were applied: %v", applied, err)
	}
	for range 3 {
		add()
	}
	if err := inbox.Drain(ctx, b.shop.ID); err != nil {
		t.Fatalf("after %d webhooks: %v", applied, err)
	}
	if applied < 3 {
		t.Errorf("%d webhooks were applied, 3 waited", applied)
	}
}
