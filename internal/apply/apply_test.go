package apply_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stockroom/internal/apply"
	"stockroom/internal/mirror"
	"stockroom/internal/store"
)

const (
	shirt mirror.GID = "gid://shopify/Product/1"
	small mirror.GID = "gid://shopify/ProductVariant/11"
)

var noon = time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)

// at is a moment n seconds after noon.
func at(n int) mirror.Instant { return mirror.At(noon.Add(time.Duration(n) * time.Second)) }

// bench is a database with one connected shop.
type bench struct {
	*store.Store
	t    *testing.T
	shop store.Shop
}

func newBench(t *testing.T) *bench {
	t.Helper()
	db, err := store.Open(t.Context(), "sqlite://"+filepath.Join(t.TempDir(), "stockroom.db"), store.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	b := &bench{Store: db, t: t}
	b.update(func(tx *store.Tx) (err error) {
		b.shop, err = tx.SaveShop(store.Shop{Domain: "a-shop.myshopify.com", State: store.ShopConnected, WebhookKeyHash: []byte("hash"), WebhookKey: []byte("sealed")})
		return err
	})
	return b
}

func (b *bench) update(do func(*store.Tx) error) {
	b.t.Helper()
	if err := b.Update(b.t.Context(), do); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) view(do func(*store.Tx) error) {
	b.t.Helper()
	if err := b.View(b.t.Context(), do); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) apply(batch apply.Batch) []apply.Step {
	b.t.Helper()
	batch.Shop = b.shop.ID
	var steps []apply.Step
	b.update(func(tx *store.Tx) (err error) {
		steps, err = apply.Apply(tx, batch, at(0))
		return err
	})
	return steps
}

// changes lists the feed as "action kind".
func (b *bench) changes() string {
	var all []string
	b.view(func(tx *store.Tx) error {
		changes, err := tx.ChangesAfter(b.shop.ID, 0, 100)
		for _, c := range changes {
			all = append(all, c.Action+" "+string(c.Key.Kind))
		}
		return err
	})
	return strings.Join(all, ", ")
}

func (b *bench) demands(by mirror.Instant) []store.Demand {
	var all []store.Demand
	b.view(func(tx *store.Tx) (err error) {
		all, err = tx.DueDemands(b.shop.ID, by, 100)
		return err
	})
	return all
}

func observe(t *testing.T, id mirror.GID, content mirror.Content, source mirror.Source, asOf mirror.Instant) mirror.Observation {
	t.Helper()
	o, err := mirror.Present(id, content, source, asOf, asOf)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func product(title string, updated int) mirror.Product {
	return mirror.Product{Title: title, Status: "ACTIVE", UpdatedAt: mirror.TimeOf(at(updated).Time())}
}

func TestApplyWritesRowChangeAndSearchTogether(t *testing.T) {
	b := newBench(t)
	b.apply(apply.Batch{Observations: []mirror.Observation{
		observe(t, shirt, product("Blue shirt", 1), mirror.FromWebhook, at(1)),
		observe(t, small, mirror.ProductVariant{ProductID: shirt, Price: "19.9", UpdatedAt: mirror.TimeOf(at(1).Time())}, mirror.FromWebhook, at(1)),
		observe(t, small, mirror.ProductVariantDerived{AvailableForSale: true}, mirror.FromID, at(1)),
	}})
	if got, want := b.changes(), "created Product, created ProductVariant, created ProductVariantDerived"; got != want {
		t.Errorf("change feed: %s; want %s", got, want)
	}
	b.view(func(tx *store.Tx) error {
		available := true
		hits, err := tx.SearchProducts(b.shop.ID, store.ProductQuery{Words: store.SearchWords("shirt"), Available: &available, Limit: 10})
		if len(hits) != 1 || hits[0].ID != shirt {
			t.Errorf("search for an available shirt found %v", hits)
		}
		return err
	})

	// A failed transaction leaves nothing of it.
	failure := errors.New("the disk is full")
	err := b.Update(t.Context(), func(tx *store.Tx) error {
		_, err := apply.Apply(tx, apply.Batch{Shop: b.shop.ID, Observations: []mirror.Observation{
			observe(t, shirt, product("Red shirt", 2), mirror.FromWebhook, at(2))}}, at(2))
		return errors.Join(err, failure)
	})
	if !errors.Is(err, failure) {
		t.Fatalf("Update returned %v", err)
	}
	b.view(func(tx *store.Tx) error {
		rows, err := tx.ShownByID(b.shop.ID, mirror.KindProduct, []mirror.GID{shirt})
		if !strings.Contains(string(rows[shirt].Content), "Blue") {
			t.Errorf("after a rollback the copy says %s", rows[shirt].Content)
		}
		return err
	})
}

func TestConflictIsOwedAReadAfterTheTie(t *testing.T) {
	b := newBench(t)
	b.apply(apply.Batch{Observations: []mirror.Observation{
		observe(t, shirt, product("a", 1), mirror.FromWebhook, at(1)),
		observe(t, shirt, product("b", 1), mirror.FromWebhook, at(1)), // One second, two contents, one batch.
	}})
	if early := b.demands(at(1)); len(early) != 0 {
		t.Errorf("%v is due within the tie", early)
	}
	due := b.demands(at(2))
	if len(due) != 1 || due[0].Read != mirror.ReadProduct || due[0].ID != shirt || due[0].AsOf <= at(2) {
		t.Errorf("demands %+v; want a read of the product sent after %v", due, at(2))
	}
}

func TestWhatComesFromTheFutureIsReadNotMerged(t *testing.T) {
	b := newBench(t)
	b.apply(apply.Batch{Observations: []mirror.Observation{observe(t, shirt, product("a", 3600), mirror.FromWebhook, at(1))}})
	if got := b.changes(); got != "" {
		t.Errorf("change feed: %s; want nothing", got)
	}
	if due := b.demands(at(10)); len(due) != 1 || due[0].Updated != 0 {
		t.Errorf("demands %+v; want one read, satisfied by any updatedAt", due)
	}
}

// TestUnchangedPageWritesNoRow: a full read of an unchanged shop must not cost a write a record.
func TestUnchangedPageWritesNoRow(t *testing.T) {
	b := newBench(t)
	first := observe(t, shirt, product("a", 1), mirror.FromWebhook, at(1))
	b.apply(apply.Batch{Observations: []mirror.Observation{first}})
	before := b.record(shirt)
	steps := b.apply(apply.Batch{CompleteRead: at(90), Observations: []mirror.Observation{observe(t, shirt, product("a", 1), mirror.FromPage, at(100))}})
	if steps[0].Outcome != mirror.Same {
		t.Errorf("outcome %s, want same", steps[0].Outcome)
	}
	if after := b.record(shirt); after.State.AsOf != before.State.AsOf {
		t.Errorf("the row was written: asOf moved from %v to %v", before.State.AsOf, after.State.AsOf)
	}
	// Once the read is complete, the row is as good as read at its start...
	b.update(func(tx *store.Tx) error {
		return tx.SetComplete(b.shop.ID, 1, []mirror.Kind{mirror.KindProduct}, at(90))
	})
	if got := b.record(shirt).State.AsOf; got != at(90) {
		t.Errorf("after the complete read the row is as of %v, want its start %v", got, at(90))
	}
}

// TestRowThatACompleteReadContradictsIsExcepted: its start proves nothing for such a row.
func TestRowThatACompleteReadContradictsIsExcepted(t *testing.T) {
	b := newBench(t)
	b.apply(apply.Batch{Observations: []mirror.Observation{observe(t, shirt, product("new", 50), mirror.FromWebhook, at(50))}})
	b.apply(apply.Batch{CompleteRead: at(90), Observations: []mirror.Observation{observe(t, shirt, product("old", 1), mirror.FromPage, at(100))}})
	b.update(func(tx *store.Tx) error {
		return tx.SetComplete(b.shop.ID, 1, []mirror.Kind{mirror.KindProduct}, at(90))
	})
	if got := b.record(shirt).State.AsOf; got != at(50) {
		t.Errorf("the row is as of %v; want %v, for the read found another content", got, at(50))
	}
}

func (b *bench) record(id mirror.GID) store.Record {
	b.t.Helper()
	var record store.Record
	b.view(func(tx *store.Tx) error {
		key := mirror.Key{Kind: mirror.KindProduct, ID: id}
		records, err := tx.LoadRecords(b.shop.ID, []mirror.Key{key})
		record = records[key]
		return err
	})
	return record
}

// TestDeletedProductHidesItsVariantsUnwritten: and finding them again needs no write either.
func TestDeletedProductHidesItsVariantsUnwritten(t *testing.T) {
	b := newBench(t)
	b.apply(apply.Batch{Observations: []mirror.Observation{
		observe(t, shirt, product("a", 1), mirror.FromWebhook, at(1)),
		observe(t, small, mirror.ProductVariant{ProductID: shirt, Price: "5", UpdatedAt: mirror.TimeOf(at(1).Time())}, mirror.FromWebhook, at(1)),
	}})
	steps := b.apply(apply.Batch{Observations: []mirror.Observation{
		mirror.Absent(mirror.Key{Kind: mirror.KindProduct, ID: shirt}, mirror.FromWebhook, at(2), at(2))}})
	if len(steps) != 1 || steps[0].Outcome != mirror.Applied {
		t.Fatalf("steps %+v; want the product's deletion alone", steps)
	}
	b.view(func(tx *store.Tx) error {
		visible, err := tx.VisibleIDs(b.shop.ID, mirror.KindProductVariant, []mirror.GID{small})
		if len(visible) != 0 {
			t.Errorf("%v is visible without its product", visible)
		}
		return err
	})
}

// TestVariantThatLeftIsHiddenWhateverOrderTheSetsComeIn: the set's version decides.
func TestVariantThatLeftIsHiddenWhateverOrderTheSetsComeIn(t *testing.T) {
	set := func(updated int, ids ...mirror.GID) mirror.Observation {
		return observe(t, shirt, mirror.ProductVariantSet{VariantIDs: ids, UpdatedAt: mirror.TimeOf(at(updated).Time())}, mirror.FromWebhook, at(updated))
	}
	with, without := set(2, small), set(3)
	for name, order := range map[string][]mirror.Observation{"in order": {with, without}, "out of order": {without, with}} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.apply(apply.Batch{Observations: []mirror.Observation{
				observe(t, shirt, product("a", 1), mirror.FromWebhook, at(1)),
				observe(t, small, mirror.ProductVariant{ProductID: shirt, Price: "5", UpdatedAt: mirror.TimeOf(at(1).Time())}, mirror.FromWebhook, at(1)),
			}})
			for _, o := range order {
				b.apply(apply.Batch{Observations: []mirror.Observation{o}})
			}
			b.view(func(tx *store.Tx) error {
				visible, err := tx.VisibleIDs(b.shop.ID, mirror.KindProductVariant, []mirror.GID{small})
				if len(visible) != 0 {
					t.Errorf("%v is visible though it left the set", visible)
				}
				return err
			})
		})
	}
}

// TestALocationThatOpensOrClosesOwesAReadOfItsItems: what is for sale moves with it, and no webhook says so.
func TestALocationThatOpensOrClosesOwesAReadOfItsItems(t *testing.T) {
	const shelf, item mirror.GID = "gid://shopify/Location/7", "gid://shopify/InventoryItem/3"
	b := newBench(t)
	named := func(name string, active bool, updated int) mirror.Observation {
		return observe(t, shelf, mirror.Location{Name: name, IsActive: active, UpdatedAt: mirror.TimeOf(at(updated).Time())}, mirror.FromWebhook, at(updated))
	}
	location := func(active bool, updated int) mirror.Observation { return named("Shelf", active, updated) }
	level := mirror.InventoryLevel{InventoryItemID: item, LocationID: shelf, UpdatedAt: mirror.TimeOf(at(1).Time())}
	elsewhere := mirror.InventoryLevel{InventoryItemID: "gid://shopify/InventoryItem/4", LocationID: "gid://shopify/Location/77", UpdatedAt: mirror.TimeOf(at(1).Time())}
	b.apply(apply.Batch{Observations: []mirror.Observation{location(true, 1)}})
	b.apply(apply.Batch{Observations: []mirror.Observation{
		observe(t, level.ID(), level, mirror.FromWebhook, at(1)), observe(t, elsewhere.ID(), elsewhere, mirror.FromWebhook, at(1))}})
	b.apply(apply.Batch{Observations: []mirror.Observation{named("Window", true, 2)}})
	if due := b.demands(at(10)); len(due) != 0 {
		t.Errorf("a new name owes %+v", due)
	}
	owed := func(what string, asOf mirror.Instant) {
		t.Helper()
		for _, d := range b.demands(at(10)) {
			if d.Read == mirror.ReadItem && d.ID == item && d.AsOf == asOf {
				return
			}
		}
		t.Errorf("%s: demands %+v; want a read of %s sent after %v", what, b.demands(at(10)), item, asOf)
	}
	b.apply(apply.Batch{Observations: []mirror.Observation{location(false, 3)}})
	owed("closed", at(3))
	b.apply(apply.Batch{Observations: []mirror.Observation{location(false, 4)}, Demands: []mirror.Demand{{Read: mirror.ReadLocation, ID: shelf, AsOf: at(4)}}})
	owed("opened and closed, with one body twice", at(4))
	for _, d := range b.demands(at(10)) {
		if d.Read == mirror.ReadItem && d.ID != item {
			t.Errorf("an item of another location is owed a read: %+v", d)
		}
	}
}

// TestLateRowsAreNotProvenByTheReadBeforeThem: a complete read vouches for what
// it found, not for what was stored since, or the order of two late webhooks would matter.
func TestLateRowsAreNotProvenByTheReadBeforeThem(t *testing.T) {
	level := mirror.InventoryLevel{InventoryItemID: "gid://shopify/InventoryItem/1", LocationID: "gid://shopify/Location/2", UpdatedAt: mirror.TimeOf(at(-100).Time())}
	connected, err := mirror.Present(level.ID(), level, mirror.FromWebhook, at(-100), at(10))
	if err != nil {
		t.Fatal(err)
	}
	disconnected := mirror.Absent(mirror.Key{Kind: mirror.KindInventoryLevel, ID: level.ID()}, mirror.FromWebhook, at(-50), at(11))
	for name, order := range map[string][]mirror.Observation{"in order": {connected, disconnected}, "out of order": {disconnected, connected}} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.update(func(tx *store.Tx) error {
				run, _, err := tx.QueueRun(store.Run{ShopID: b.shop.ID, Kind: "poll", Reason: "manual"})
				if err != nil {
					return err
				}
				return tx.SetComplete(b.shop.ID, run.ID, []mirror.Kind{mirror.KindInventoryLevel}, at(0))
			})
			for _, o := range order {
				b.apply(apply.Batch{Observations: []mirror.Observation{o}})
			}
			b.view(func(tx *store.Tx) error {
				n, err := tx.CountShown(b.shop.ID, mirror.KindInventoryLevel)
				if n != 0 {
					t.Error("a disconnected level is shown")
				}
				return err
			})
		})
	}
}

// TestOneShopsTroubleHoldsUpNoOther is P7 in the inbox, and what fails again and
// again by itself is set aside.
func TestOneShopsTroubleHoldsUpNoOther(t *testing.T) {
	b := newBench(t)
	var other store.Shop
	b.update(func(tx *store.Tx) (err error) {
		other, err = tx.SaveShop(store.Shop{Domain: "b-shop.myshopify.com", State: store.ShopConnected, WebhookKeyHash: []byte("hash 2"), WebhookKey: []byte("sealed")})
		if err != nil {
			return err
		}
		return tx.AddDeliveries([]store.Delivery{
			{ShopID: b.shop.ID, Topic: "shop/update", WebhookID: "1", Body: []byte("{}"), State: store.DeliveryNew},
			{ShopID: other.ID, Topic: "shop/update", WebhookID: "2", Body: []byte("{}"), State: store.DeliveryNew},
		})
	})
	inbox := apply.NewInbox(apply.InboxConfig{Store: b.Store, Now: func() time.Time { return noon }, Log: slog.New(slog.DiscardHandler),
		Control: func(_ context.Context, d store.Delivery) (bool, error) {
			if d.ShopID == b.shop.ID {
				return false, errors.New("trouble of one shop")
			}
			return false, nil
		},
		Decode: func(store.Delivery) (apply.Learned, error) { return apply.Learned{}, nil }})
	if n, err := inbox.RunOnce(t.Context()); n != 1 || err == nil {
		t.Errorf("RunOnce = %d, %v; want the other shop's webhook done, and the trouble told", n, err)
	}
	for range 10 {
		if n, err := inbox.RunOnce(t.Context()); n == 1 && err == nil {
			break // Set aside.
		}
	}
	b.view(func(tx *store.Tx) error {
		mine, err := tx.CountDeliveries(b.shop.ID)
		theirs, err2 := tx.CountDeliveries(other.ID)
		if mine[store.DeliveryQuarantined] != 1 || theirs[store.DeliveryDone] != 1 {
			t.Errorf("the troubled shop's inbox %v, the other's %v", mine, theirs)
		}
		return errors.Join(err, err2)
	})
}

// TestInboxQuarantinesWhatCannotBeReadAndGoesOn: a bad webhook stops no other.
func TestInboxQuarantinesWhatCannotBeReadAndGoesOn(t *testing.T) {
	b := newBench(t)
	b.update(func(tx *store.Tx) error {
		return tx.AddDeliveries([]store.Delivery{
			{ShopID: b.shop.ID, Topic: "products/update", WebhookID: "1", Body: []byte("{"), State: store.DeliveryNew, ReceivedAt: at(1)},
			{ShopID: b.shop.ID, Topic: "products/update", WebhookID: "2", Body: []byte("{}"), State: store.DeliveryNew, ReceivedAt: at(1)},
			{ShopID: b.shop.ID, Topic: "app/uninstalled", WebhookID: "3", Body: []byte("{}"), State: store.DeliveryNew, ReceivedAt: at(1)},
		})
	})
	var controlled []string
	inbox := apply.NewInbox(apply.InboxConfig{
		Store: b.Store, Now: func() time.Time { return noon }, Log: slog.New(slog.DiscardHandler),
		Decode: func(d store.Delivery) (apply.Learned, error) {
			if string(d.Body) == "{" {
				return apply.Learned{}, errors.New("unexpected end of JSON")
			}
			return apply.Learned{Observations: []mirror.Observation{observe(t, shirt, product("a", 1), mirror.FromWebhook, at(1))}}, nil
		},
		Control: func(_ context.Context, d store.Delivery) (bool, error) {
			if d.Topic == "app/uninstalled" {
				controlled = append(controlled, d.WebhookID)
			}
			return d.Topic == "app/uninstalled", nil
		},
	})
	if n, err := inbox.RunOnce(t.Context()); n != 3 || err != nil {
		t.Fatalf("RunOnce = %d, %v; want 3 webhooks", n, err)
	}
	if got := b.changes(); got != "created Product" {
		t.Errorf("change feed: %s; want the readable webhook's product", got)
	}
	b.view(func(tx *store.Tx) error {
		counts, err := tx.CountDeliveries(b.shop.ID)
		if counts[store.DeliveryQuarantined] != 1 || counts[store.DeliveryDone] != 2 {
			t.Errorf("inbox %v; want 1 quarantined, 2 done", counts)
		}
		return err
	})
	if len(controlled) != 1 {
		t.Errorf("control webhooks %v, want one", controlled)
	}
}
