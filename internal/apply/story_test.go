package apply_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"stockroom/internal/apply"
	"stockroom/internal/mirror"
	"stockroom/internal/store"
)

// history lists the newest entries of an id as "outcome kind fields".
func (b *bench) history(id mirror.GID) string {
	var all []string
	b.view(func(tx *store.Tx) error {
		entries, err := tx.HistoryOf(b.shop.ID, []mirror.GID{id}, 100)
		for _, e := range entries {
			all = append(all, strings.TrimSpace(fmt.Sprintf("%s %s %s", e.Outcome, e.Topic, e.Fields)))
		}
		return err
	})
	return strings.Join(all, "; ")
}

// TestHistoryTellsWhatChangedAndWhoNamedIt: and says nothing of what only found a record as it was.
func TestHistoryTellsWhatChangedAndWhoNamedIt(t *testing.T) {
	b := newBench(t)
	told := func(content mirror.Content, asOf int) apply.Batch {
		return apply.Batch{Observations: []mirror.Observation{observe(t, shirt, content, mirror.FromWebhook, at(asOf))},
			Demands: []mirror.Demand{{Read: mirror.ReadProduct, ID: shirt}, {Read: mirror.ReadProduct, ID: shirt, Delay: mirror.LagDelay}},
			Told:    []apply.Told{{Delivery: 7, Topic: "products/update", AsOf: at(asOf), Heard: at(asOf), Observations: 1, Demands: 2}}}
	}
	b.apply(told(product("Shirt", 1), 1))
	b.apply(apply.Batch{Observations: []mirror.Observation{observe(t, shirt, product("Shirt", 1), mirror.FromID, at(2))}}) // As it is.
	b.apply(told(product("Blouse", 3), 3))
	b.apply(told(product("Blouse", 3), 3)) // Once more: it came, which is worth an entry.
	b.apply(told(product("Shirt", 1), 1))  // Late.
	want := "asked products/update; stale products/update; asked products/update; same products/update; " +
		"asked products/update; applied products/update title updatedAt; asked products/update; applied products/update *"
	if got := b.history(shirt); got != want {
		t.Errorf("history:\n%s\nwant\n%s", got, want)
	}
	again := told(product("Shirt", 1), 1)
	again.Again = true
	b.apply(again)
	if got := b.history(shirt); got != want {
		t.Errorf("a replay added to the history:\n%s", got)
	}
}

// BenchmarkApplyWebhooks applies webhooks of products with ten variants each, a
// batch of a hundred in one transaction.
func BenchmarkApplyWebhooks(b *testing.B) {
	db, err := store.Open(b.Context(), "sqlite://"+filepath.Join(b.TempDir(), "stockroom.db"), store.ReadWrite)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	var shop store.Shop
	err = db.Update(b.Context(), func(tx *store.Tx) (err error) {
		shop, err = tx.SaveShop(store.Shop{Domain: "a-shop.myshopify.com", State: store.ShopConnected, WebhookKeyHash: []byte("hash"), WebhookKey: []byte("sealed")})
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	const products, variants = 100, 10
	for n := 1; b.Loop(); n++ {
		batch := apply.Batch{Shop: shop.ID}
		add := func(id mirror.GID, content mirror.Content) {
			o, err := mirror.Present(id, content, mirror.FromWebhook, at(n), at(n))
			if err != nil {
				b.Fatal(err)
			}
			batch.Observations = append(batch.Observations, o)
		}
		for p := range int64(products) {
			id := mirror.NewGID("Product", p+1)
			add(id, product(fmt.Sprintf("Shirt %d", n), n))
			var ids []mirror.GID
			for v := range int64(variants) {
				variant := mirror.NewGID("ProductVariant", p*variants+v+1)
				ids = append(ids, variant)
				add(variant, mirror.ProductVariant{ProductID: id, Price: "19.9", UpdatedAt: mirror.TimeOf(at(1).Time())})
			}
			add(id, mirror.ProductVariantSet{VariantIDs: ids, UpdatedAt: mirror.TimeOf(at(n).Time())})
			batch.Demands = append(batch.Demands, mirror.Demand{Read: mirror.ReadProduct, ID: id}, mirror.Demand{Read: mirror.ReadProduct, ID: id, Delay: mirror.LagDelay})
			batch.Told = append(batch.Told, apply.Told{Delivery: p + 1, Topic: "products/update", AsOf: at(n), Heard: at(n), Observations: variants + 2, Demands: 2})
		}
		err := db.Update(b.Context(), func(tx *store.Tx) error {
			_, err := apply.Apply(tx, batch, at(n))
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*products/b.Elapsed().Seconds(), "webhooks/s")
}
