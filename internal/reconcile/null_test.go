package reconcile_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"stockroom/internal/mirror"
	"stockroom/internal/reconcile"
	"stockroom/internal/simulator"
	"stockroom/internal/store"
)

// TestOwedReadThatFindsNullDeletesNothingAlone: a webhook asked for it, and a
// permission that went away makes everything null.
func TestOwedReadThatFindsNullDeletesNothingAlone(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 10})
	b.mustRun("import")
	b.loseWebhooks()
	ids := b.shop.Products.IDs()
	lives, gone := mirror.NewGID("Product", ids[0]), mirror.NewGID("Product", ids[1])
	ask := func() {
		b.update(func(tx *store.Tx) error {
			now := mirror.At(time.Now())
			return tx.AddDemands(b.row.ID, []mirror.Demand{{Read: mirror.ReadProduct, ID: lives, AsOf: now}, {Read: mirror.ReadProduct, ID: gone, AsOf: now}}, now)
		})
		if _, err := b.hydrator.RunOnce(t.Context(), b.row); err != nil {
			t.Fatal(err)
		}
	}
	faults := b.sim.Faults()
	faults.Null = []string{"Product"}
	b.sim.SetFaults(faults)
	for range 2 {
		ask()
		b.pass(time.Minute)
	}
	if !b.visible(mirror.KindProduct, lives) || !b.visible(mirror.KindProduct, gone) {
		t.Error("products that live were deleted on nulls that no witness stood beside")
	}
	faults.Null = nil
	b.sim.SetFaults(faults)
	b.edit(b.shop.DeleteProduct(ids[1]))
	ask()
	if !b.visible(mirror.KindProduct, gone) {
		t.Error("one null deleted what was heard of just now")
	}
	b.pass(10 * time.Second)
	ask()
	e := b.evidence(mirror.KindProduct, gone)
	if b.visible(mirror.KindProduct, gone) || e == nil || len(e.Nulls) != 2 || e.Nulls[0].Witness.Object() != "Product" {
		t.Errorf("after two nulls it is shown: %v, evidence %+v", b.visible(mirror.KindProduct, gone), e)
	}
	if !b.visible(mirror.KindProduct, lives) {
		t.Error("the product that lives is gone")
	}
}

// TestNullOfWhatIsHiddenDeletesNothingAlone: the item of a product that the copy
// has not heard of is shown to nobody, and lives.
func TestNullOfWhatIsHiddenDeletesNothingAlone(t *testing.T) {
	b := still(t, 5)
	b.sim.SetFaults(simulator.Faults{LoseIf: func(d simulator.Delivery) bool { return strings.HasPrefix(d.Topic, "products/") }, Null: []string{"InventoryItem"}})
	product, err := b.shop.CreateProduct(simulator.ProductSpec{Title: "Unheard", Variants: []simulator.VariantSpec{{SKU: "UNHEARD-1", Price: 100}}})
	b.edit(err)
	b.hear()
	key := mirror.Key{Kind: mirror.KindInventoryItem, ID: mirror.GID(product.Variants[0].Item.GID())}
	for range 2 {
		if _, err := b.hydrator.RunOnce(t.Context(), b.row); err != nil {
			t.Fatal(err)
		}
		b.view(func(tx *store.Tx) error {
			records, err := tx.LoadRecords(b.row.ID, []mirror.Key{key})
			if state := records[key].State; !state.Shown(mirror.InfoOf(key.Kind)) || state.Dead != 0 {
				t.Errorf("the item was deleted though it lives: %+v", state)
			}
			return err
		})
		b.pass(time.Minute)
	}
}

// TestANullOfBeforeItWasHeardOfIsForgotten: the shop hid the product for a moment,
// days ago, and a webhook has told of it since. One null more is the first again.
func TestANullOfBeforeItWasHeardOfIsForgotten(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 5})
	b.mustRun("import")
	gone := b.firstProduct()
	ask := func() {
		b.update(func(tx *store.Tx) error {
			now := mirror.At(time.Now())
			return tx.AddDemands(b.row.ID, []mirror.Demand{{Read: mirror.ReadProduct, ID: mirror.GID(gone.GID()), AsOf: now}}, now)
		})
		if _, err := b.hydrator.RunOnce(t.Context(), b.row); err != nil {
			t.Fatal(err)
		}
	}
	client := *http.DefaultClient
	client.Transport = rewriting(func(body []byte) []byte { return hide(t, body, gone.GID()) })
	b.client = b.newClient(&client)
	ask()
	b.retitle(gone.ID, "It lives") // This bench hears by the machine's clock.
	b.hear()
	b.pass(time.Minute)
	ask()
	if !b.visible(mirror.KindProduct, mirror.GID(gone.GID())) {
		t.Error("two nulls with a webhook between them deleted a product that lives")
	}
	b.pass(time.Minute)
	ask()
	if b.visible(mirror.KindProduct, mirror.GID(gone.GID())) {
		t.Error("two nulls a minute apart, and no word of it between them, prove nothing")
	}
}

// hide makes an object null in an answer that reads by id.
func hide(t *testing.T, body []byte, id string) []byte {
	var answer map[string]any
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Error(err)
	}
	data, _ := answer["data"].(map[string]any)
	nodes, _ := data["nodes"].([]any)
	for i, node := range nodes {
		if object, ok := node.(map[string]any); ok && object["id"] == id {
			nodes[i] = nil
		}
	}
	hidden, err := json.Marshal(answer)
	if err != nil {
		t.Error(err)
	}
	return hidden
}

// TestNullsThatTheListContradictsDeleteNothing: the shop lists the only product
// that it has, and hides it from who asks by id. Another witness there is not.
func TestNullsThatTheListContradictsDeleteNothing(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 2})
	b.edit(b.shop.DeleteProduct(b.shop.Products.IDs()[0]))
	b.mustRun("import")
	b.loseWebhooks()
	only := mirror.GID(b.firstProduct().GID())
	faults := b.sim.Faults()
	faults.Null = []string{"Product"}
	b.sim.SetFaults(faults)
	for range 3 {
		b.update(func(tx *store.Tx) error {
			now := mirror.At(time.Now())
			return tx.AddDemands(b.row.ID, []mirror.Demand{{Read: mirror.ReadProduct, ID: only, AsOf: now}}, now)
		})
		if _, err := b.hydrator.RunOnce(t.Context(), b.row); err != nil {
			t.Fatal(err)
		}
		b.pass(time.Minute)
	}
	if !b.visible(mirror.KindProduct, only) {
		t.Error("the product was deleted though the shop lists it")
	}
}

// TestNullThatAWebhookOvertookDeletesNothing: nothing was known of the record when
// the read was answered, and much when the answer was written.
func TestNullThatAWebhookOvertookDeletesNothing(t *testing.T) {
	b := still(t, 5)
	b.sim.SetFaults(simulator.Faults{Null: []string{"InventoryItem"}})
	product, err := b.shop.CreateProduct(simulator.ProductSpec{Title: "New", Variants: []simulator.VariantSpec{{SKU: "NEW-1", Price: 100}}})
	b.edit(err)
	b.quiet()
	key := mirror.Key{Kind: mirror.KindInventoryItem, ID: mirror.GID(product.Variants[0].Item.GID())}
	b.update(func(tx *store.Tx) error {
		now := mirror.At(time.Now())
		return tx.AddDemands(b.row.ID, []mirror.Demand{{Read: mirror.ReadItem, ID: key.ID, AsOf: now}}, now)
	})
	answered := false
	client := *http.DefaultClient
	client.Transport = transport(func(r *http.Request) (*http.Response, error) {
		answered = true
		return http.DefaultTransport.RoundTrip(r)
	})
	b.client = b.newClient(&client)
	config := b.config
	config.Now = func() time.Time { // The answer is judged, and about to be written.
		if answered {
			b.hear()
		}
		return time.Now()
	}
	if _, err := reconcile.NewHydrator(config).RunOnce(t.Context(), b.row); err != nil {
		t.Fatal(err)
	}
	b.view(func(tx *store.Tx) error {
		records, err := tx.LoadRecords(b.row.ID, []mirror.Key{key})
		if state := records[key].State; !state.Shown(mirror.InfoOf(key.Kind)) || state.Dead != 0 {
			t.Errorf("the item was deleted though it lives: %+v", state)
		}
		return err
	})
}
