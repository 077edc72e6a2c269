package apply_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"stockroom/internal/apply"
	"stockroom/internal/mirror"
	"stockroom/internal/store"
)

// TestAnInterruptedReplayGoesOnWhereItStood: whatever write a process dies at,
// the next one ends the replay with every webhook fed and every change counted once.
func TestAnInterruptedReplayGoesOnWhereItStood(t *testing.T) {
	const webhooks = 501 // One more than go into a transaction.
	died := errors.New("the process died")
	for moments := 0; ; moments++ {
		b := newBench(t)
		var task store.Task
		b.update(func(tx *store.Tx) (err error) {
			var all []store.Delivery
			for n := range webhooks {
				all = append(all, store.Delivery{ShopID: b.shop.ID, Topic: "products/update", WebhookID: strconv.Itoa(n), Body: fmt.Append(nil, n+1),
					State: store.DeliveryQuarantined, ReceivedAt: at(1)})
			}
			args, err := json.Marshal(apply.ReplayArgs{Quarantined: true})
			if err != nil {
				return err
			}
			if err := tx.AddDeliveries(all); err != nil {
				return err
			}
			task, err = tx.QueueTask(store.Task{ShopID: b.shop.ID, Kind: store.TaskReplay, Reason: "manual", Args: args})
			return err
		})
		decoded := 0
		inbox := func() *apply.Inbox {
			return apply.NewInbox(apply.InboxConfig{
				Store: b.Store, Now: func() time.Time { return noon }, Log: slog.New(slog.DiscardHandler),
				Decode: func(d store.Delivery) (apply.Learned, error) {
					decoded++
					n, err := strconv.ParseInt(string(d.Body), 10, 64)
					if err != nil {
						return apply.Learned{}, err
					}
					id := mirror.NewGID("Product", n)
					return apply.Learned{Observations: []mirror.Observation{observe(t, id, product("a", 1), mirror.FromWebhook, at(1))},
						Demands: []mirror.Demand{{Read: mirror.ReadProduct, ID: id}}}, nil
				},
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
		_, interrupted := inbox().Replay(t.Context(), task.ID)
		b.Interfere(func(store.Moment) error { return nil })
		ended, err := inbox().Replay(t.Context(), task.ID)
		if err != nil {
			t.Fatal(err)
		}
		report, err := apply.ReadReplayReport(ended)
		if err != nil || ended.State != store.RunOK || ended.EndedAt == 0 || report.Fed != webhooks || report.Freed != webhooks || report.Changed != webhooks || report.Reads != webhooks {
			t.Errorf("dead after %d moments of commits: the replay ended %s with %d fed, %d freed, %d changed, %d to read (%v); want %d of each",
				moments, ended.State, report.Fed, report.Freed, report.Changed, report.Reads, err, webhooks)
		}
		// One batch may have been lost with its process, the rest are not read twice.
		if moments >= 2 && decoded > webhooks+1 {
			t.Errorf("dead after %d moments of commits: %d webhooks were decoded; want the second batch alone to be repeated", moments, decoded)
		}
		if interrupted == nil {
			if moments == 0 {
				t.Error("no write was interfered with: the test proves nothing")
			}
			return
		}
	}
}

// TestAReplayPassesOverWhatACustomerHadErased: also where an older database has
// brought the body back. What came after it is fed through.
func TestAReplayPassesOverWhatACustomerHadErased(t *testing.T) {
	b := newBench(t)
	order := mirror.NewGID("Order", 11)
	var task store.Task
	b.update(func(tx *store.Tx) (err error) {
		all := []store.Delivery{
			{Topic: "orders/updated", WebhookID: "before", Body: []byte("11"), ReceivedAt: at(1)},
			{Topic: "orders/updated", WebhookID: "after", Body: []byte("11"), ReceivedAt: at(3)},
			{Topic: "orders/updated", WebhookID: "other", Body: []byte("12"), ReceivedAt: at(1)},
			{Topic: "orders/updated", WebhookID: "emptied", Body: []byte(store.ErasedBody), ReceivedAt: at(1)},
		}
		for i := range all {
			all[i].ShopID, all[i].State = b.shop.ID, store.DeliveryDone
		}
		if err := tx.AddDeliveries(all); err != nil {
			return err
		}
		_, err = tx.AddErasure(store.ErasureReceipt{Shop: b.shop.Domain, Topic: "customers/redact", WebhookID: "r", State: store.ErasureDone, TrueAt: at(2),
			Subjects: store.Subjects{Orders: []mirror.GID{order}}})
		if err != nil {
			return err
		}
		task, err = tx.QueueTask(store.Task{ShopID: b.shop.ID, Kind: store.TaskReplay, Reason: "manual"})
		return err
	})
	var fed []string
	inbox := apply.NewInbox(apply.InboxConfig{
		Store: b.Store, Now: func() time.Time { return noon }, Log: slog.New(slog.DiscardHandler),
		Decode: func(d store.Delivery) (apply.Learned, error) {
			n, err := strconv.ParseInt(string(d.Body), 10, 64)
			if err != nil {
				return apply.Learned{}, err
			}
			fed = append(fed, d.WebhookID)
			return apply.Learned{Demands: []mirror.Demand{{Read: mirror.ReadOrder, ID: mirror.NewGID("Order", n)}}}, nil
		},
	})
	ended, err := inbox.Replay(t.Context(), task.ID)
	if err != nil {
		t.Fatal(err)
	}
	report, err := apply.ReadReplayReport(ended)
	if err != nil || report.Fed != 2 || report.Erased != 2 || report.Unreadable != 0 {
		t.Errorf("%d fed, %d passed over as erased, %d unreadable (%v), of %v; want 2, 2 and 0", report.Fed, report.Erased, report.Unreadable, err, fed)
	}
}
