package reconcile_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"stockroom/internal/apply"
	"stockroom/internal/mirror"
	"stockroom/internal/reconcile"
	"stockroom/internal/secret"
	"stockroom/internal/shopify"
	"stockroom/internal/simulator"
	"stockroom/internal/store"
)

// quietBench is a bench in virtual time, without a network, whose audit mends subscriptions.
type quietBench struct {
	*bench
	watcher *reconcile.Watcher
	rng     *rand.Rand
	// editDiscounts and so on say what happens in the shop's open hours.
	editDiscounts, editOrders bool
	alarms                    []store.Silence
	refuse                    error // Why the shop cannot be asked just now; nil where it can.
}

const hooksAddress = "https://app.example/hooks"

func inQuiet(t *testing.T, test func(*quietBench)) {
	synctest.Test(t, func(t *testing.T) {
		b := &quietBench{bench: &bench{t: t}, rng: rand.New(rand.NewPCG(1, 1))}
		log := slog.New(slog.DiscardHandler)
		inbox := simulator.NewListener()
		app := &http.Server{Handler: http.HandlerFunc(b.take)}
		go func() { _ = app.Serve(inbox) }()
		deliver := inbox.Client()
		b.sim = simulator.New(simulator.Config{Seed: 1, Deliver: deliver, Rate: 100_000, Capacity: 1_000_000,
			Apps: []simulator.App{{ClientID: clientID, Secrets: []string{"hush"}, ProtectedData: true}}})
		var err error
		b.shop, err = b.sim.AddShop(domain, simulator.Catalogue{Products: 3, Orders: 3})
		b.edit(err)
		b.edit(b.sim.Start(t.Context()))
		listener := simulator.NewListener()
		server := &http.Server{Handler: b.sim.Handler()}
		go func() { _ = server.Serve(listener) }()
		token, err := b.shop.IssueToken(clientID, allScopes...)
		b.edit(err)
		b.Store, err = store.Open(t.Context(), "sqlite://"+filepath.Join(t.TempDir(), "stockroom.db"), store.ReadWrite)
		b.edit(err)
		b.update(func(tx *store.Tx) (err error) {
			b.row, err = tx.SaveShop(store.Shop{Domain: domain, State: store.ShopConnected, Scopes: strings.Join(allScopes, ","), WebhookKeyHash: []byte("h"), WebhookKey: []byte("k")})
			return err
		})
		transport := listener.Client()
		b.client, err = shopify.NewClient(shopify.Config{Shop: domain, BaseURL: "http://sim.example/" + domain, HTTP: transport, Log: log,
			Token: func(context.Context, secret.Secret) (secret.Secret, error) { return secret.New(token), nil }})
		b.edit(err)
		b.config = reconcile.Config{Store: b.Store, Now: time.Now, Log: log, MaxDelete: reconcile.Fuse{Percent: 20, Rows: 50}, Audit: b.audit,
			Client: func(context.Context, store.Shop) (*shopify.Client, error) { return b.client, b.refuse },
			Drain:  func(ctx context.Context, shop int64) error { return b.applier.Drain(ctx, shop) }}
		b.hydrator = reconcile.NewHydrator(b.config)
		b.poller = reconcile.NewPoller(b.config, b.hydrator)
		b.applier = apply.NewInbox(apply.InboxConfig{Store: b.Store, Now: time.Now, Log: log,
			Control: func(context.Context, store.Delivery) (bool, error) { return false, nil },
			Decode: func(d store.Delivery) (apply.Learned, error) {
				heard, err := shopify.Decode(shopify.Delivery{Topic: d.Topic, Body: d.Body, TriggeredAt: d.TriggeredAt, ReceivedAt: d.ReceivedAt})
				return apply.Learned{Observations: heard.Observations, Demands: heard.Demands}, err
			}})
		b.watcher = &reconcile.Watcher{Config: b.config, Queue: func(ctx context.Context, task store.Task) (queued store.Task, err error) {
			err = b.Update(ctx, func(tx *store.Tx) error {
				queued, err = tx.QueueTask(task)
				return err
			})
			return queued, err
		}}
		defer func() { // The bubble ends when all of it has, failed or not.
			b.sim.Stop()
			transport.CloseIdleConnections()
			deliver.CloseIdleConnections()
			_, _, _ = server.Close(), app.Close(), b.Close()
		}()
		b.edit(b.audit(t.Context(), b.row))
		b.mustRun("import")
		test(b)
	})
}

// take stores a webhook.
func (b *quietBench) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	triggered, err2 := time.Parse(time.RFC3339Nano, r.Header.Get("X-Shopify-Triggered-At"))
	if err != nil || err2 != nil {
		http.Error(w, "bad", http.StatusBadRequest)
		return
	}
	err = b.Update(r.Context(), func(tx *store.Tx) error {
		return tx.AddDeliveries([]store.Delivery{{ShopID: b.row.ID, Topic: r.Header.Get("X-Shopify-Topic"), WebhookID: r.Header.Get("X-Shopify-Webhook-Id"),
			Bound: true, TriggeredAt: mirror.At(triggered), ReceivedAt: mirror.At(time.Now()), Body: body, State: store.DeliveryNew}})
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	}
}

// audit brings about one subscription a topic, and keeps which those are.
func (b *quietBench) audit(ctx context.Context, shop store.Shop) error {
	there, err := b.client.Subscriptions(ctx)
	if err != nil {
		return err
	}
	var known []store.Subscription
	for _, topic := range shopify.Topics() {
		if topic.Class != shopify.ClassData {
			continue
		}
		at := slices.IndexFunc(there, func(s shopify.Subscription) bool { return s.Topic == topic.Enum })
		if at < 0 {
			made, err := b.client.Subscribe(ctx, topic, hooksAddress)
			if err != nil {
				return err
			}
			there, at = append(there, made), len(there)
		}
		known = append(known, store.Subscription{Topic: topic.Name, GID: string(there[at].ID), State: store.SubscriptionActive})
	}
	return b.Update(ctx, func(tx *store.Tx) error { return tx.SetSubscriptions(shop.ID, known) })
}

// unsubscribe deletes a topic's subscription, as Shopify does after failures.
func (b *quietBench) unsubscribe(name string) {
	b.t.Helper()
	there, err := b.client.Subscriptions(b.t.Context())
	b.edit(err)
	topic, _ := shopify.TopicNamed(name)
	for _, s := range there {
		if s.Topic == topic.Enum {
			b.edit(b.client.Unsubscribe(b.t.Context(), s.ID))
		}
	}
}

// live lets the shop be edited in its hours, half of the slots, until the time
// is over or an alarm is raised.
func (b *quietBench) live(d time.Duration) {
	b.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end) && len(b.alarms) == 0; {
		time.Sleep(reconcile.WatchEvery)
		now := time.Now().UTC()
		if hour := now.Hour(); now.Weekday() != time.Sunday && hour >= 9 && hour < 18 {
			if b.editDiscounts && b.rng.Float64() < 0.5 {
				b.edit(b.shop.UpdateDiscount(b.shop.Discounts.IDs()[0], func(d *simulator.Discount) { d.Title = now.Format(time.RFC3339) }))
			}
			if b.editOrders && b.rng.Float64() < 0.5 {
				b.edit(b.shop.UpdateOrder(b.shop.Orders.IDs()[0], func(o *simulator.Order) { o.Note = now.Format(time.RFC3339) }))
			}
			b.settle()
		}
		alarms, err := b.watcher.RunOnce(b.t.Context())
		b.edit(err)
		b.alarms = append(b.alarms, alarms...)
	}
}

// TestSilentTopicIsNoticedAuditedAndSwept: Shopify deletes the subscription of
// one topic and tells nobody. Days later, as its habit says, the subscription is
// there again and what was missed is in the copy. No other topic is suspected.
func TestSilentTopicIsNoticedAuditedAndSwept(t *testing.T) {
	inQuiet(t, func(b *quietBench) {
		t := b.t // The bubble's own.
		b.editDiscounts, b.editOrders = true, true
		b.live(16 * 24 * time.Hour)
		if len(b.alarms) > 0 {
			t.Fatalf("a false alarm: %+v", b.alarms)
		}
		b.unsubscribe("discounts/update")
		last := mirror.At(time.Now())
		b.live(4 * 24 * time.Hour)
		if len(b.alarms) != 1 || b.alarms[0].Topic != "discounts/update" || b.alarms[0].Since > last || !strings.Contains(b.alarms[0].Found, "gone") {
			t.Fatalf("the alarms are %+v", b.alarms)
		}
		t.Logf("noticed %v after the last webhook", mirror.At(time.Now()).Time().Sub(b.alarms[0].Since.Time()))
		if b.compare().Exact() {
			t.Fatal("nothing was missed")
		}
		var task store.Task
		b.view(func(tx *store.Tx) (err error) {
			task, err = tx.TaskByID(b.alarms[0].TaskID)
			return err
		})
		var args reconcile.SweepArgs
		b.edit(json.Unmarshal(task.Args, &args))
		if task.Reason != "silence" || !slices.Equal(args.Sweeps, []string{"discounts"}) || args.Scans != nil ||
			args.Since > b.alarms[0].Since || args.Since < b.alarms[0].Since.Add(-10*time.Minute) {
			t.Errorf("the sweep of the gap is to do %+v", args)
		}
		swept, err := reconcile.NewSweeper(b.config, b.hydrator).Run(t.Context(), task.ID)
		b.edit(err)
		if swept.State != store.RunOK {
			t.Errorf("the sweep ended %s: %s", swept.State, swept.Report)
		}
		b.mustBeExact("after the gap was swept")

		// The topic is heard again, which ends the silence.
		b.alarms = nil
		b.live(3 * 24 * time.Hour)
		b.view(func(tx *store.Tx) error {
			open, err := tx.OpenSilences(b.row.ID)
			if err != nil {
				return err
			}
			all, err := tx.Silences(b.row.ID, 10)
			if len(open) != 0 || len(all) != 1 || all[0].EndedAt == 0 || len(b.alarms) != 0 {
				t.Errorf("open silences %+v, all %+v, alarms %+v", open, all, b.alarms)
			}
			return err
		})
	})
}

// TestAGapIsSweptOnceTheShopCanBeAsked: it could not be when the silence was
// noticed, and then the sweep failed.
func TestAGapIsSweptOnceTheShopCanBeAsked(t *testing.T) {
	inQuiet(t, func(b *quietBench) {
		t := b.t // The bubble's own.
		b.editDiscounts = true
		b.live(16 * 24 * time.Hour)
		b.unsubscribe("discounts/update")
		b.refuse = errors.New("the token is being renewed")
		b.live(4 * 24 * time.Hour)
		if len(b.alarms) != 1 || b.alarms[0].TaskID != 0 {
			t.Fatalf("the alarms are %+v; want one, whose gap is not swept yet", b.alarms)
		}
		look := func() (task store.Task) {
			time.Sleep(reconcile.WatchEvery)
			if _, err := b.watcher.RunOnce(t.Context()); err != nil {
				t.Fatal(err)
			}
			b.view(func(tx *store.Tx) error {
				all, err := tx.Silences(b.row.ID, 10)
				if err != nil || len(all) != 1 || all[0].TaskID == 0 {
					return err
				}
				task, err = tx.TaskByID(all[0].TaskID)
				return err
			})
			return task
		}
		if task := look(); task.ID != 0 {
			t.Errorf("the shop cannot be asked, and sweep %d was handed in", task.ID)
		}
		b.refuse = nil
		first := look()
		var args reconcile.SweepArgs
		if err := json.Unmarshal(first.Args, &args); err != nil || first.Reason != "silence" || args.Since > b.alarms[0].Since || !slices.Equal(args.Sweeps, []string{"discounts"}) {
			t.Fatalf("the gap is seen to by sweep %d, which is to do %s: %v", first.ID, first.Args, err)
		}
		if again := look(); again.ID != first.ID {
			t.Errorf("sweep %d is under way, and %d was handed in", first.ID, again.ID)
		}
		b.refuse = errors.New("and once more")
		failed, err := reconcile.NewSweeper(b.config, b.hydrator).Run(t.Context(), first.ID)
		if err != nil || failed.State != store.RunFailed {
			t.Fatalf("the sweep ended %s, %v; want it failed", failed.State, err)
		}
		b.refuse = nil
		second := look()
		if second.ID == first.ID || second.State.Over() {
			t.Fatalf("the sweep failed, and the gap is left to %d, which is %s", second.ID, second.State)
		}
		swept, err := reconcile.NewSweeper(b.config, b.hydrator).Run(t.Context(), second.ID)
		if err != nil || swept.State != store.RunOK {
			t.Errorf("the sweep ended %s, %v: %s", swept.State, err, swept.Report)
		}
		b.mustBeExact("after the gap was swept")
		if third := look(); third.ID != second.ID {
			t.Errorf("the gap was swept, and sweep %d was handed in", third.ID)
		}
	})
}

// TestOwnOutageIsNoSilence: who was not listening heard nothing, and knows
// nothing of the shop's habits.
func TestOwnOutageIsNoSilence(t *testing.T) {
	inQuiet(t, func(b *quietBench) {
		t := b.t // The bubble's own.
		b.editDiscounts = true
		b.live(16 * 24 * time.Hour)
		time.Sleep(10 * 24 * time.Hour) // Nobody runs, and the shop rests.
		b.live(24 * time.Hour)
		if len(b.alarms) != 0 {
			t.Errorf("the alarms are %+v", b.alarms)
		}
	})
}

// TestAShopThatCannotBeCountedHoldsUpNoOther, and is counted to the slot once it can be.
func TestAShopThatCannotBeCountedHoldsUpNoOther(t *testing.T) {
	inQuiet(t, func(b *quietBench) {
		t := b.t // The bubble's own.
		b.editDiscounts = true
		var broken store.Shop
		b.update(func(tx *store.Tx) (err error) {
			broken, err = tx.SaveShop(store.Shop{Domain: "0-before-it.myshopify.com", State: store.ShopConnected, WebhookKeyHash: []byte("h2"), WebhookKey: []byte("k")})
			if err != nil {
				return err
			}
			return tx.SaveHabits(broken.ID, map[string][]byte{"discounts/update": []byte("no JSON")})
		})
		look := func() error {
			time.Sleep(reconcile.WatchEvery)
			_, err := b.watcher.RunOnce(t.Context())
			return err
		}
		b.edit(look()) // Its first: nothing is counted yet.
		var before map[int64]store.HabitMark
		marks := func(tx *store.Tx) (err error) { before, err = tx.HabitsCounted(); return err }
		b.view(marks)
		if err := look(); err == nil || !strings.Contains(err.Error(), broken.Domain) {
			t.Errorf("a habit that cannot be read: %v", err)
		}
		after := before
		b.view(marks)
		if before[b.row.ID] == after[b.row.ID] || before[broken.ID] != after[broken.ID] {
			t.Errorf("counted to %+v, before to %+v; want the one shop to be counted, and the other not", before, after)
		}
		b.update(func(tx *store.Tx) error {
			return tx.SaveHabits(broken.ID, map[string][]byte{"discounts/update": []byte(`{"started":true}`)})
		})
		b.edit(look())
		b.view(func(tx *store.Tx) error {
			habits, err := tx.Habits(broken.ID)
			if !strings.Contains(string(habits["discounts/update"]), `"slots":2,`) {
				t.Errorf("of two slots it counted %s", habits["discounts/update"])
			}
			return err
		})
	})
}
