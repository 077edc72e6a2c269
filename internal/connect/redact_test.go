package connect_test

import (
	"strings"
	"testing"
	"time"

	"stockroom/internal/mirror"
	"stockroom/internal/store"
)

const redactBody = `{"shop_id": 1, "shop_domain": "` + domain + `", "customer": {"id": 7, "email": "jane@example.com", "phone": null}, "orders_to_redact": [11, 12]}`

// stored puts a webhook into the inbox and acts on it.
func (w *world) stored(shop store.Shop, topic, body string) {
	w.Helper()
	var all []store.Delivery
	err := w.store.Update(w.Context(), func(tx *store.Tx) (err error) {
		at := mirror.At(time.Now().Add(time.Hour))
		err = tx.AddDeliveries([]store.Delivery{{ShopID: shop.ID, Topic: topic, WebhookID: topic, Body: []byte(body), TriggeredAt: at, ReceivedAt: at, State: store.DeliveryNew}})
		if err == nil {
			all, err = tx.NewDeliveries(10, 1<<20)
		}
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
	for range 2 { // Acting again must do no harm.
		if handled, err := w.c.Control(w.Context(), all[len(all)-1]); err != nil || !handled {
			w.Fatalf("handled %v, %v", handled, err)
		}
	}
}

func (w *world) receipt() store.Receipt {
	w.Helper()
	var all []store.Receipt
	err := w.store.View(w.Context(), func(tx *store.Tx) (err error) {
		all, err = tx.Receipts(5)
		return err
	})
	if err != nil || len(all) == 0 {
		w.Fatalf("%d receipts, %v", len(all), err)
	}
	return all[len(all)-1] // The first one: the second is of the repetition.
}

func TestAShopThatLeftIsErased(t *testing.T) {
	w := newWorld(t)
	shop := w.connect()
	w.audit(shop)
	err := w.store.Update(t.Context(), func(tx *store.Tx) error {
		run, _, err := tx.QueueRun(store.Run{ShopID: shop.ID, Kind: "import", Reason: "connect"})
		if err != nil {
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
	if err != nil {
		t.Fatal(err)
	}

	w.stored(shop, "shop/redact", redactBody)
	if n := w.count("shops"); n != 1 || !strings.Contains(w.receipt().Note, "nothing was erased") {
		t.Fatalf("%d shops left, receipt %q: a connected shop is kept", n, w.receipt().Note)
	}
	if _, err := w.store.Writer().Exec(`DELETE FROM receipts`); err != nil {
		t.Fatal(err)
	}
	if err := w.c.Uninstalled(t.Context(), domain, mirror.At(time.Now().Add(time.Minute))); err != nil {
		t.Fatal(err)
	}
	if _, err := w.store.Writer().Exec(`DELETE FROM inbox`); err != nil {
		t.Fatal(err)
	}
	w.stored(shop, "shop/redact", redactBody)
	rows, err := w.store.Writer().Query(`SELECT m.name FROM sqlite_master m JOIN pragma_table_info(m.name) c ON c.name = 'shop_id' WHERE m.type = 'table'`)
	if err != nil {
		t.Fatal(err)
	}
	tables := []string{"shops"}
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
	if r := w.receipt(); r.Shop != domain || !strings.Contains(r.Note, "erased") {
		t.Errorf("receipt %+v", r)
	}
}

func TestACustomersDataIsNotKept(t *testing.T) {
	w := newWorld(t)
	shop := w.connect()
	w.stored(shop, "customers/redact", redactBody)
	if n := w.count("demands"); n != 2 {
		t.Errorf("%d orders are read again, want 2", n)
	}
	w.stored(shop, "customers/data_request", redactBody)
	var kept int
	if err := w.store.Writer().QueryRow(`SELECT COUNT(*) FROM inbox WHERE CAST(body AS TEXT) LIKE '%jane%'`).Scan(&kept); err != nil || kept != 0 {
		t.Errorf("%d bodies still name the customer (%v)", kept, err)
	}
	if strings.Contains(w.logs.String(), "jane") {
		t.Error("the log names the customer")
	}
}
