package apply_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"stockroom/internal/apply"
	"stockroom/internal/mirror"
	"stockroom/internal/store"
)

// TestADeathWhileApplyingLosesNoWebhook: whatever write a process dies at, the
// next one finds the webhook either applied or still to do. A poll would repair
// a loss here and nobody would hear of it, so that it has a test of its own.
func TestADeathWhileApplyingLosesNoWebhook(t *testing.T) {
	died := errors.New("the process died")
	for moments := 0; ; moments++ {
		b := newBench(t)
		b.update(func(tx *store.Tx) error {
			return tx.AddDeliveries([]store.Delivery{{ShopID: b.shop.ID, Topic: "products/update", WebhookID: "1", Body: []byte("{}"), State: store.DeliveryNew, ReceivedAt: at(1)}})
		})
		inbox := func() *apply.Inbox {
			return apply.NewInbox(apply.InboxConfig{
				Store: b.Store, Now: func() time.Time { return noon }, Log: slog.New(slog.DiscardHandler),
				Decode: func(store.Delivery) (apply.Learned, error) {
					return apply.Learned{Observations: []mirror.Observation{observe(t, shirt, product("a", 1), mirror.FromWebhook, at(1))}}, nil
				},
				Control: func(context.Context, store.Delivery) (bool, error) { return false, nil },
			})
		}
		left := moments // It dies at the moment after these, and stays dead.
		b.Interfere(func(store.Moment) error {
			if left == 0 {
				return died
			}
			left--
			return nil
		})
		_, err := inbox().RunOnce(t.Context())
		b.Interfere(func(store.Moment) error { return nil })
		if _, err := inbox().RunOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := b.changes(); got != "created Product" {
			t.Errorf("dead after %d moments of commits: the next process has the change feed %q; want the product", moments, got)
		}
		if err == nil {
			if moments == 0 {
				t.Error("no write was interfered with: the test proves nothing")
			}
			return
		}
	}
}
