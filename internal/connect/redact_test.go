package connect_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"stockroom/internal/connect"
	"stockroom/internal/jobs"
	"stockroom/internal/mirror"
	"stockroom/internal/store"
	"stockroom/internal/store/storetest"
)

const redactBody = `{"shop_id": 1, "shop_domain": "` + domain + `", "customer": {"id": 7, "email": "jane@example.com", "phone": null}, "orders_to_redact": [11, 12]}`

// asked stores a webhook as the inbox does, acts on it twice, and lets the
// eraser do what it asks for. It returns the webhook's receipt.
func (w *world) asked(shop store.Shop, topic, id, body string, at time.Time) store.ErasureReceipt {
	w.Helper()
	w.keep(shop, topic, id, body, at)
	w.control()
	w.erase()
	return w.receipt(topic, id)
}

// keep stores a webhook as the inbox does.
func (w *world) keep(shop store.Shop, topic, id, body string, at time.Time) {
	w.Helper()
	d := store.Delivery{ShopID: shop.ID, Topic: topic, WebhookID: id, Body: []byte(body), TriggeredAt: mirror.At(at), ReceivedAt: mirror.At(at), State: store.DeliveryNew}
	if err := w.c.SealBody(w.Context(), &d); err != nil {
		w.Fatal(err)
	}
	storetest.Update(w, w.store, func(tx *store.Tx) error { return tx.AddDeliveries([]store.Delivery{d}) })
}

// control acts twice on all that is stored: doing it again must do no harm.
func (w *world) control() {
	w.Helper()
	var all []store.Delivery
	storetest.View(w, w.store, func(tx *store.Tx) (err error) {
		all, err = tx.NewDeliveries(10_000, 1<<30)
		return err
	})
	for _, d := range all {
		for range 2 {
			handled, err := w.c.Control(w.Context(), d)
			if err != nil {
				w.Fatal(err)
			}
			if handled {
				storetest.Update(w, w.store, func(tx *store.Tx) error { return tx.FinishDeliveries([]int64{d.Seq}, 1) })
			}
		}
	}
}

// eraser is one that drops jobs where there is a job engine's table.
func (w *world) eraser() *connect.Eraser {
	config := connect.EraserConfig{DropJobs: jobs.DropJobs}
	if _, err := w.store.Writer().Exec(`SELECT 1 FROM river_job`); err != nil {
		config.DropJobs = nil
	}
	return w.c.Eraser(config)
}

func (w *world) erase() {
	w.Helper()
	for range 2 {
		if waiting, err := w.eraser().RunOnce(w.Context()); err != nil || waiting != 0 {
			w.Fatalf("%d erasures wait, %v", waiting, err)
		}
	}
}

func (w *world) receipt(topic, id string) (found store.ErasureReceipt) {
	w.Helper()
	storetest.View(w, w.store, func(tx *store.Tx) error {
		all, err := tx.Erasures(100)
		n := 0
		for _, r := range all {
			if r.Topic == topic && r.WebhookID == id {
				found = r
				n++
			}
		}
		if n != 1 {
			w.Errorf("%d receipts of %s %s, want one", n, topic, id)
		}
		return err
	})
	return found
}

// fill gives a shop something in most tables.
func (w *world) fill(shop store.Shop) {
	w.Helper()
	storetest.Update(w, w.store, func(tx *store.Tx) error {
		run, _, err := tx.QueueRun(store.Run{ShopID: shop.ID, Kind: "import", Reason: "connect"})
		if err != nil {
			return err
		}
		if _, err := tx.QueueTask(store.Task{ShopID: shop.ID, Kind: store.TaskSweep, Reason: "manual"}); err != nil {
			return err
		}
		if _, err := tx.AddAPIKey(shop.ID, "bot", []byte("hash"), 1); err != nil {
			return err
		}
		if _, err := tx.ClaimDay(shop.ID, "2026-11-24", run.ID); err != nil {
			return err
		}
		return tx.AddDemands(shop.ID, []mirror.Demand{{Read: mirror.ReadOrder, ID: "gid://shopify/Order/1"}}, 1)
	})
	note := "for jane"
	storetest.Save(w, w.store, shop,
		storetest.Present(w, "gid://shopify/Product/1", mirror.Product{Title: "Serum", UpdatedAt: mirror.TimeOf(storetest.Noon.Time())}, storetest.Noon),
		storetest.Present(w, "gid://shopify/Order/11", mirror.Order{Name: "#11", TotalPrice: "1", Note: &note, Tags: []string{"jane"}, UpdatedAt: mirror.TimeOf(storetest.Noon.Time())}, storetest.Noon),
		storetest.Present(w, "gid://shopify/Order/13", mirror.Order{Name: "#13", TotalPrice: "1", Note: &note, Tags: []string{}, UpdatedAt: mirror.TimeOf(storetest.Noon.Time())}, storetest.Noon))
}

func TestAShopThatLeftIsErased(t *testing.T) {
	w := newWorld(t)
	shop := w.connect()
	w.audit(shop)
	w.fill(shop)
	w.keep(shop, "orders/updated", "o1", `{"id": 11}`, time.Now())
	later := time.Now().Add(time.Hour)

	if r := w.asked(shop, "shop/redact", "r1", redactBody, time.Now().Add(-time.Hour)); r.State != store.ErasureDone || !strings.Contains(r.Note, "nothing was erased") {
		t.Fatalf("receipt %+v: one of before the installation is late", r)
	}
	if r := w.asked(shop, "shop/redact", "r2", redactBody, later); r.State != store.ErasureDone || !strings.Contains(r.Note, "connected again") {
		t.Fatalf("receipt %+v: the shop's token works, so it is kept", r)
	}
	if err := w.c.Uninstalled(t.Context(), domain, mirror.At(later)); err != nil {
		t.Fatal(err)
	}
	w.fake.set(func() { clear(w.fake.access) })
	r := w.asked(shop, "shop/redact", "r3", redactBody, later.Add(48*time.Hour))
	if r.State != store.ErasureDone || r.Remaining != 0 || r.Shop != domain || r.DoneAt == 0 {
		t.Errorf("receipt %+v", r)
	}
	for table, want := range map[string]int64{"records": 3, "runs": 1, "tasks": 1, "inbox": 4, "daily_runs": 1} {
		if r.Rows[table] != want {
			t.Errorf("the receipt tells of %d rows of %s, want %d", r.Rows[table], table, want)
		}
	}
	// A second look of the test's own.
	rows, err := w.store.Writer().Query(`SELECT m.name FROM sqlite_master m JOIN pragma_table_info(m.name) c ON c.name = 'shop_id' WHERE m.type = 'table'`)
	if err != nil {
		t.Fatal(err)
	}
	tables := []string{"shops", "sessions"}
	for rows.Next() {
		var table string
		if err := rows.Scan(&table); err != nil {
			t.Fatal(err)
		}
		tables = append(tables, table)
	}
	if err := rows.Err(); err != nil || len(tables) < 9 {
		t.Fatalf("tables %v, %v", tables, err)
	}
	for _, table := range tables {
		if n := w.count(table); n != 0 {
			t.Errorf("%d rows left in %s", n, table)
		}
	}
	// Told once more, of a shop that is gone: acknowledged, and nothing to do.
	other := storetest.AddShop(t, w.store, "other.myshopify.com")
	if r := w.asked(other, "shop/redact", "r4", redactBody, later); r.State != store.ErasureDone || !strings.Contains(r.Note, "not known") {
		t.Errorf("receipt %+v", r)
	}
	for _, topic := range []string{"customers/redact", "customers/data_request"} {
		if r := w.asked(other, topic, "c1", redactBody, later); r.State != store.ErasureDone || !strings.Contains(r.Note, "not known") {
			t.Errorf("receipt %+v", r)
		}
	}
	// It connects anew as a stranger.
	if again := w.connect(); again.ID == shop.ID || again.State != store.ShopConnected {
		t.Errorf("connected anew as %+v", again)
	}
}

// TestAnErasedShopsUninstallationWasNeverHeard: the shop counts as connected,
// and its tokens are dead. Shopify's word is taken where the shop itself bears it out.
func TestAnErasedShopsUninstallationWasNeverHeard(t *testing.T) {
	w := newWorld(t)
	shop := w.connect()
	later := time.Now().Add(50 * time.Hour)
	w.keep(shop, "shop/redact", "r1", redactBody, later)
	w.control()
	w.fake.set(func() { w.fake.tokenStatus = 503; clear(w.fake.access) })
	if waiting, err := w.c.Eraser(connect.EraserConfig{}).RunOnce(t.Context()); waiting != 1 || err == nil {
		t.Errorf("%d wait, %v: nobody could tell", waiting, err)
	}
	if w.shop(domain).State != store.ShopConnected {
		t.Fatal("the shop was erased though nobody could tell whether it had left")
	}
	w.fake.set(func() { w.fake.tokenStatus = 0; w.fake.refresh = "" })
	w.later(2 * time.Second) // Tries for a token lie a second apart.
	w.erase()
	if r := w.receipt("shop/redact", "r1"); r.State != store.ErasureDone || !strings.Contains(r.Note, "is erased") || w.count("shops") != 0 {
		t.Errorf("receipt %+v, %d shops", r, w.count("shops"))
	}
}

func TestACustomersDataIsNotKept(t *testing.T) {
	w := newWorld(t)
	shop := w.connect()
	w.fill(shop)
	w.keep(shop, "orders/updated", "o11", `{"id": 11, "note": "for jane"}`, time.Now())
	w.keep(shop, "orders/updated", "o13", `{"id": 13, "note": "for john"}`, time.Now())
	r := w.asked(shop, "customers/data_request", "q1", `{"shop_id": 1, "shop_domain": "`+domain+`", "customer": {"id": 7, "email": "jane@example.com"}, "orders_requested": [11, 12], "data_request": {"id": 5}}`, time.Now())
	if r.State != store.ErasureDone || r.Rows["records"] != 1 || r.Rows["inbox"] != 1 || r.Subjects.Customer != "gid://shopify/Customer/7" || r.Subjects.Request != "5" || len(r.Subjects.Orders) != 2 {
		t.Errorf("receipt of the data request %+v", r)
	}
	before := w.count("demands")
	r = w.asked(shop, "customers/redact", "q2", redactBody, time.Now())
	if r.State != store.ErasureDone || r.Rows["records"] != 1 || r.Rows["inbox"] != 1 || r.Remaining != 0 || r.Subjects.Customer != "" {
		t.Errorf("receipt of the redaction %+v", r)
	}
	if n := w.count("demands") - before; n != 2 {
		t.Errorf("%d orders are read again, want 2", n)
	}
	storetest.View(t, w.store, func(tx *store.Tx) error {
		shown, err := tx.ShownByID(shop.ID, mirror.KindOrder, []mirror.GID{"gid://shopify/Order/11", "gid://shopify/Order/13"})
		if err != nil {
			return err
		}
		if is := string(shown["gid://shopify/Order/11"].Content); !strings.Contains(is, "#11") || strings.Contains(is, "jane") {
			t.Errorf("the customer's order is %s", is)
		}
		if is := string(shown["gid://shopify/Order/13"].Content); !strings.Contains(is, "for jane") {
			t.Errorf("somebody else's order is %s", is)
		}
		return nil
	})
	if strings.Contains(w.logs.String(), "jane") {
		t.Error("the log names the customer")
	}
	storetest.View(t, w.store, func(tx *store.Tx) error {
		redacted, err := tx.RedactedOrders(domain)
		if len(redacted) != 2 || redacted["gid://shopify/Order/11"] == 0 {
			t.Errorf("a replay would pass over %v", redacted)
		}
		return err
	})
}

// TestBodiesOfCustomersAreSealedByTheirShop: they open in their own row alone,
// and never again once the shop's key is gone, whoever has the encryption key.
func TestBodiesOfCustomersAreSealedByTheirShop(t *testing.T) {
	w := newWorld(t)
	shop := w.connect()
	d := store.Delivery{ShopID: shop.ID, Topic: "orders/updated", WebhookID: "1", Body: []byte(`{"note":"jane"}`)}
	if err := w.c.SealBody(t.Context(), &d); err != nil || !d.Sealed || strings.Contains(string(d.Body), "jane") {
		t.Fatalf("sealed %v, %v", d.Sealed, err)
	}
	plain := store.Delivery{ShopID: shop.ID, Topic: "products/update", WebhookID: "1", Body: []byte(`{"title":"Serum"}`)}
	if err := w.c.SealBody(t.Context(), &plain); err != nil || plain.Sealed {
		t.Errorf("a product's body: sealed %v, %v", plain.Sealed, err)
	}
	fresh := w.restart()
	if opened, err := fresh.OpenBody(t.Context(), d); err != nil || string(opened.Body) != `{"note":"jane"}` {
		t.Errorf("opened %q, %v", opened.Body, err)
	}
	moved := d
	moved.WebhookID = "2"
	if _, err := w.c.OpenBody(t.Context(), moved); !errors.Is(err, connect.ErrSealed) {
		t.Errorf("a body that was moved to another row: %v", err)
	}
	if _, err := w.store.Writer().Exec(`DELETE FROM shop_keys`); err != nil {
		t.Fatal(err)
	}
	if _, err := w.restart().OpenBody(t.Context(), d); !errors.Is(err, connect.ErrSealed) {
		t.Errorf("without the shop's key: %v", err)
	}
}

// TestAnErasureThatDiesGoesOn: whatever moment of whatever commit a process dies
// at, the next one ends the erasure, and the receipt counts every row once.
func TestAnErasureThatDiesGoesOn(t *testing.T) {
	died := errors.New("the process died")
	for moments := 0; ; moments++ {
		w := newWorld(t)
		shop := w.connect()
		w.fill(shop)
		if err := w.c.Uninstalled(t.Context(), domain, mirror.At(time.Now().Add(time.Hour))); err != nil {
			t.Fatal(err)
		}
		w.keep(shop, "shop/redact", "r", redactBody, time.Now().Add(50*time.Hour))
		w.control()
		left := moments
		w.store.Interfere(func(store.Moment) error {
			if left == 0 {
				return died
			}
			left--
			return nil
		})
		_, interrupted := w.c.Eraser(connect.EraserConfig{}).RunOnce(t.Context())
		w.store.Interfere(func(store.Moment) error { return nil })
		w.erase()
		if r := w.receipt("shop/redact", "r"); r.State != store.ErasureDone || r.Rows["records"] != 3 || r.Rows["runs"] != 1 || w.count("shops") != 0 {
			t.Errorf("dead after %d moments: receipt %+v, %d shops left", moments, r, w.count("shops"))
		}
		if interrupted == nil {
			if moments < 4 {
				t.Errorf("%d moments were interfered with: the test proves nothing", moments)
			}
			return
		}
	}
}

// TestAReaderOfAnOldStateDelaysTheEndOfAnErasure: what it sees lies in the log.
func TestAReaderOfAnOldStateDelaysTheEndOfAnErasure(t *testing.T) {
	w := newWorld(t)
	shop := w.connect()
	w.fill(shop)
	eraser := w.c.Eraser(connect.EraserConfig{})
	err := w.store.View(t.Context(), func(tx *store.Tx) error {
		if _, err := tx.Shops(); err != nil { // From here on it holds this state.
			return err
		}
		// A checkpoint waits for readers as long as the busy timeout says.
		if _, err := w.store.Writer().Exec(`PRAGMA busy_timeout = 1`); err != nil {
			return err
		}
		_, over, err := eraser.Remove(context.Background(), domain)
		if over || err != nil {
			return fmt.Errorf("over %v, %w", over, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := w.count("records"); n != 0 {
		t.Errorf("%d records left: the rows need not wait", n)
	}
	w.erase()
	storetest.View(t, w.store, func(tx *store.Tx) error {
		open, err := tx.OpenErasures()
		if len(open) > 0 {
			t.Errorf("still open: %+v", open)
		}
		return err
	})
	if info, err := os.Stat(w.store.Path() + "-wal"); err == nil && info.Size() > 64<<10 {
		t.Errorf("the log has %d bytes: it was not cut short", info.Size())
	}
}
