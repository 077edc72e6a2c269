package connect_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"stockroom/internal/apply"
	"stockroom/internal/jobs"
	"stockroom/internal/mirror"
	"stockroom/internal/store"
	"stockroom/internal/store/storetest"
)

// marked is how a shop's records are told apart in the bytes of the files: a word
// that a prefix-compressed index may cut short at its front, but not at its end.
const marked = "qzxjmarker"

// writeMarked gives a shop records of every kind with the mark in whatever can
// hold a text, through the same door as all records, some of it more than once.
func (w *world) writeMarked(shop store.Shop, mark string, rng *rand.Rand, n, versions int) {
	w.Helper()
	at := storetest.Noon
	text := func() string {
		return fmt.Sprintf("%s %x%s", strings.Repeat("lorem ", rng.IntN(60)), rng.Uint64(), mark)
	}
	when := mirror.TimeOf(at.Time())
	optional := func() *string { s := text(); return &s }
	for i := range int64(n) {
		product, variant, item := mirror.NewGID("Product", i+1), mirror.NewGID("ProductVariant", i+1), mirror.NewGID("InventoryItem", i+1)
		for version := range versions {
			updated := mirror.TimeOf(at.Time().Add(time.Duration(version) * time.Minute))
			var batch apply.Batch
			batch.Shop = shop.ID
			put := func(id mirror.GID, content mirror.Content) {
				o, err := mirror.Present(id, content, mirror.FromWebhook, mirror.At(updated.Time), mirror.At(updated.Time))
				if err != nil {
					w.Fatal(err)
				}
				batch.Observations = append(batch.Observations, o)
			}
			put(product, mirror.Product{Title: text(), Handle: text(), Status: "ACTIVE", Vendor: text(), ProductType: text(), Tags: []string{text()}, DescriptionHTML: text(),
				PublishedAt: when, CreatedAt: when, UpdatedAt: updated, Options: []mirror.Option{{Name: text(), Position: 1, Values: []string{text()}}}})
			put(product, mirror.ProductVariantSet{VariantIDs: []mirror.GID{variant}, UpdatedAt: updated})
			put(variant, mirror.ProductVariant{ProductID: product, InventoryItemID: item, Title: text(), SKU: optional(), Barcode: optional(), Price: "1",
				InventoryPolicy: "DENY", SelectedOptions: []mirror.SelectedOption{{Name: text(), Value: text()}}, CreatedAt: when, UpdatedAt: updated})
			put(item, mirror.InventoryItem{SKU: optional(), UpdatedAt: updated})
			put(mirror.NewGID("Collection", i+1), mirror.Collection{Title: text(), Handle: text(), DescriptionHTML: text(), UpdatedAt: updated})
			put(mirror.NewGID("Order", i+1), mirror.Order{Name: text(), TotalPrice: "1", Note: optional(), Tags: []string{text()}, CreatedAt: when, UpdatedAt: updated,
				LineItems: []mirror.LineItem{{ID: mirror.NewGID("LineItem", i+1), Title: text(), Quantity: 1}}})
			put(mirror.NewGID("Location", i+1), mirror.Location{Name: text(), IsActive: true, UpdatedAt: updated})
			storetest.Update(w, w.store, func(tx *store.Tx) error {
				_, err := apply.Apply(tx, batch, mirror.At(updated.Time))
				return err
			})
		}
		w.keep(shop, "products/update", fmt.Sprintf("p%d", i), fmt.Sprintf(`{"id":%d,"title":%q}`, i+1, text()), time.Now())
		w.keep(shop, "orders/updated", fmt.Sprintf("o%d", i), fmt.Sprintf(`{"id":%d,"note":%q}`, i+1, text()), time.Now())
	}
}

// writeRest puts the mark into all that is not the copy or the inbox.
func (w *world) writeRest(shop store.Shop, mark string) {
	w.Helper()
	fields, _ := json.Marshal(map[string]string{"new": strings.Repeat("x", 5000) + mark})
	product := mirror.GID("gid://shopify/Product/1")
	storetest.Update(w, w.store, func(tx *store.Tx) error {
		run, _, err := tx.QueueRun(store.Run{ShopID: shop.ID, Kind: "import", Reason: mark})
		if err != nil {
			return err
		}
		run.Error, run.Progress, run.Report, run.State = mark, fields, fields, store.RunRunning
		task, err := tx.QueueTask(store.Task{ShopID: shop.ID, Kind: store.TaskReplay, Reason: mark, Args: fields})
		if err != nil {
			return err
		}
		task.Error, task.Progress, task.Report, task.State = mark, fields, fields, store.RunRunning
		for _, do := range []func() error{
			func() error { return tx.SaveRun(run) },
			func() error { return tx.SaveTask(task) },
			func() error {
				return tx.AddDrift(run.ID, []store.DriftRow{{Type: "Product", ID: product, Kind: mirror.KindProduct, Class: "wrong", Fields: fields, Note: mark}})
			},
			func() error {
				return tx.MarkRead(run.ID, []mirror.Key{{Kind: mirror.KindProduct, ID: mirror.GID(mark)}})
			},
			func() error {
				return tx.Stage(run.ID, "orders", []store.Staged{{Owner: product, Child: mirror.GID(mark), Data: fields}})
			},
			func() error { return tx.SetRunTopics(run.ID, []store.RunTopic{{Topic: mark}}) },
			func() error {
				return tx.SaveTombstones(shop.ID, []store.Tombstone{{Key: mirror.Key{Kind: mirror.KindProduct, ID: product}, Dead: 1, Evidence: fields}})
			},
			func() error {
				return tx.AddHistory(shop.ID, []store.Entry{{Key: mirror.Key{Kind: mirror.KindProduct, ID: product}, Fields: mark}})
			},
			func() error { return tx.SaveHabits(shop.ID, map[string][]byte{mark: fields}) },
			func() error { return tx.AddSilence(store.Silence{ShopID: shop.ID, Topic: mark, Found: mark}) },
			func() error {
				return tx.AddDemands(shop.ID, []mirror.Demand{{Read: mirror.ReadProduct, ID: mirror.GID(mark)}}, 1)
			},
			func() error {
				return tx.AddChanges(shop.ID, []store.Change{{Key: mirror.Key{Kind: mirror.KindProduct, ID: mirror.GID(mark)}, Action: "created", Source: mirror.Source(mark)}})
			},
			func() error {
				return tx.SetSubscriptions(shop.ID, []store.Subscription{{Topic: mark, GID: mark, State: store.SubscriptionFailed, Reason: mark}})
			},
			func() error { return tx.SetSweepMark(shop.ID, task.ID, mark, store.SweepMark{At: 1}) },
			func() error { _, err := tx.ClaimDay(shop.ID, mark, run.ID); return err },
			func() error { _, err := tx.AddAPIKey(shop.ID, mark, []byte(mark), 1); return err },
			func() error { return tx.SaveSession([]byte(mark), "connected:"+shop.Domain, 1<<50) },
			func() error {
				return tx.AddRejections([]store.Rejection{{Shop: shop.Domain, Topic: mark, WebhookID: mark, Digest: []byte(mark)}})
			},
			func() error {
				return tx.PostponeDemand(shop.ID, store.Demand{Demand: mirror.Demand{Read: mirror.ReadProduct, ID: product}}, 1, 0, mark)
			},
			func() error {
				_, err := tx.SQL().ExecContext(w.Context(), `INSERT INTO river_job (args, kind, max_attempts, state, errors, queue, finalized_at) VALUES (jsonb(?), 'run', 5, 'discarded', jsonb(?), 'polls', CURRENT_TIMESTAMP),
					(jsonb(?), 'task', 5, 'available', NULL, 'tasks', NULL)`, fmt.Sprintf(`{"run_id":%d}`, run.ID), fmt.Sprintf(`[{"error":%q}]`, mark), fmt.Sprintf(`{"task_id":%d,"of":%q}`, task.ID, mark))
				return err
			},
		} {
			if err := do(); err != nil {
				return err
			}
		}
		return nil
	})
}

// found counts a text in the bytes of the database's files.
func (w *world) found(text string) (n int) {
	w.Helper()
	for _, end := range []string{"", "-wal", "-journal"} {
		content, err := os.ReadFile(w.store.Path() + end)
		if err != nil && !os.IsNotExist(err) {
			w.Fatal(err)
		}
		n += bytes.Count(bytes.ToLower(content), []byte(text))
	}
	return n
}

// TestNoByteOfAnErasedShopIsFound: not in the database's pages, used or free, not
// in its write-ahead log, and not in its search index, while another shop's are
// all there; and the other shop was written to all the while.
func TestNoByteOfAnErasedShopIsFound(t *testing.T) {
	w := newWorld(t)
	if err := jobs.Migrate(t.Context(), w.store); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	stays := storetest.AddShop(t, w.store, "stays.myshopify.com")
	leaves := w.connect()
	const kept = marked + "stays"
	const gone = marked + "gone"
	// The pages of both lie among each other. The one that leaves is small: where a
	// tenth of a segment of the search index is deleted, FTS5 merges it by itself.
	w.writeMarked(stays, kept, rng, 90, 1)
	w.writeMarked(leaves, gone, rng, 8, 2)
	w.writeMarked(stays, kept, rng, 60, 1)
	w.writeRest(leaves, gone)
	w.writeRest(stays, kept)
	if n := w.found(gone); n < 300 {
		t.Fatalf("the mark is there %d times: the test proves little", n)
	}
	// The token of a login lies there too, and its sealed key.
	sealed := w.shop(domain).AccessToken
	if w.found(string(bytes.ToLower(sealed))) == 0 {
		t.Fatal("the sealed token is not found")
	}
	if err := w.c.Uninstalled(t.Context(), domain, mirror.At(time.Now().Add(time.Hour))); err != nil {
		t.Fatal(err)
	}
	w.fake.set(func() { clear(w.fake.access) })
	w.keep(leaves, "shop/redact", "r", redactBody, time.Now().Add(50*time.Hour))
	w.control()
	w.erase()
	if r := w.receipt("shop/redact", "r"); r.State != store.ErasureDone || r.Rows["river_job"] != 2 || r.Rows["staged"] != 1 {
		t.Errorf("receipt %+v", r)
	}
	for _, what := range []string{gone, string(bytes.ToLower(sealed))} {
		if n := w.found(what); n > 0 {
			t.Errorf("%q is found %d times in the files", what, n)
		}
	}
	if w.found(kept) < 1000 {
		t.Error("the other shop's records are gone as well")
	}
	storetest.View(t, w.store, func(tx *store.Tx) error {
		rows, err := tx.RowsOf(stays.ID)
		for _, table := range []string{"records", "product_tokens", "product_search", "inbox", "drift", "staged", "history"} {
			if rows[table] == 0 {
				t.Errorf("nothing is left of the other shop in %s", table)
			}
		}
		hits, searchErr := tx.SearchProducts(stays.ID, store.ProductQuery{Words: store.SearchWords("lorem"), Limit: 100})
		if len(hits) == 0 || searchErr != nil {
			t.Errorf("the other shop's products are not found any more (%v)", searchErr)
		}
		return err
	})
	if _, err := w.store.Writer().Exec(`INSERT INTO product_tokens (product_tokens) VALUES ('integrity-check')`); err != nil {
		t.Errorf("the search index is not sound: %v", err)
	}
}

// TestNoByteOfACustomerIsFound after their redaction.
func TestNoByteOfACustomerIsFound(t *testing.T) {
	w := newWorld(t)
	shop := w.connect()
	const gone = marked + "jane"
	for i := range 50 {
		note := fmt.Sprintf("%d for %s", i, gone)
		if i >= 2 {
			note = "for nobody"
		}
		storetest.Save(t, w.store, shop, storetest.Present(t, mirror.NewGID("Order", int64(11+i)), mirror.Order{Name: "#1", TotalPrice: "1", Note: &note,
			Tags: []string{note}, UpdatedAt: mirror.TimeOf(storetest.Noon.Time())}, storetest.Noon))
		w.keep(shop, "orders/updated", fmt.Sprint(i), fmt.Sprintf(`{"id":%d,"note":%q}`, 11+i, note), time.Now())
	}
	if w.found(gone) == 0 {
		t.Fatal("the mark is not there: the test proves nothing")
	}
	w.asked(shop, "customers/redact", "q", strings.ReplaceAll(redactBody, "jane@example.com", gone+"@example.com"), time.Now())
	if n := w.found(gone); n > 0 {
		t.Errorf("what the orders said is found %d times in the files", n)
	}
	if n := w.count("records"); n != 50 {
		t.Errorf("%d orders, want all 50", n)
	}
}
