package reconcile_test

import (
	"net/http"
	"testing"

	"stockroom/internal/mirror"
	"stockroom/internal/simulator"
	"stockroom/internal/store"
)

// TestASaleReachesTheCopy: what a customer buys is off the shelf in the copy as
// soon as its webhooks are heard, in each number that says how much there is.
func TestASaleReachesTheCopy(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 5})
	b.mustRun("import")
	b.settle()
	var variant *simulator.Variant
	for _, id := range b.shop.Variants.IDs() {
		if v, _ := b.shop.Variants.Get(id); variant == nil && v.Item.Tracked && len(v.Item.Levels) > 0 {
			variant = v
		}
	}
	level := variant.Item.Levels[0]
	b.edit(b.shop.SetStock(variant.Item.ID, level.Location.ID, 20))
	b.settleAll()
	key := mirror.LevelID(mirror.GID(variant.Item.GID()), mirror.NewGID("Location", level.Location.ID))
	if got := b.available(key); got != 20 {
		t.Fatalf("%d are available before the sale; want 20", got)
	}
	_, err := b.shop.CreateOrder(simulator.OrderSpec{Lines: []simulator.OrderLine{{Variant: variant.ID, Quantity: 3}}})
	b.edit(err)
	b.settleAll()
	if got := b.available(key); got != 17 {
		t.Errorf("%d are available after three were sold; want 17", got)
	}
	b.mustBeExact("after a sale")
}

// available is what the copy says a level has.
func (b *bench) available(level mirror.GID) int64 {
	b.t.Helper()
	var content mirror.Content
	b.view(func(tx *store.Tx) error {
		rows, err := tx.ShownByID(b.row.ID, mirror.KindInventoryLevel, []mirror.GID{level})
		if err != nil {
			return err
		}
		content, err = mirror.Decode(mirror.KindInventoryLevel, rows[level].Content)
		return err
	})
	n := content.(*mirror.InventoryLevel).Available
	if n == nil {
		b.t.Fatalf("level %s has null available; want a number", level)
	}
	return *n
}

// TestAnUpdateThatComesBeforeItsCreate: what is heard last is the oldest word.
func TestAnUpdateThatComesBeforeItsCreate(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 3})
	b.mustRun("import")
	b.settle()
	made, err := b.shop.CreateProduct(simulator.ProductSpec{Title: "As it was made", Options: []string{"Size"}, Variants: []simulator.VariantSpec{{Values: []string{"S"}, Price: 999900}}})
	b.edit(err)
	b.quiet()
	b.pass(mirror.FutureLimit) // Not within the second of its making, which a read would have to decide.
	b.retitle(made.ID, "As it is")
	b.quiet()
	b.update(func(tx *store.Tx) error { // A webhook a batch, the last first.
		_, err := tx.SQL().ExecContext(t.Context(), `UPDATE inbox SET seq = -seq WHERE state = 'new'`)
		return err
	})
	b.hear()
	if got := b.title(made.ID); got != "As it is" {
		t.Errorf("the product is called %q; want what its later webhook says", got)
	}
	b.settleAll()
	b.mustBeExact("after the update came before the create")
}

// TestAStormOfUpdatesCostsFewReads: a product whose stock moves is told of again
// and again, and each webhook asks for what it does not carry. What is asked for
// while it is owed already is one read.
func TestAStormOfUpdatesCostsFewReads(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 5})
	b.mustRun("import")
	b.settle()
	item := b.firstProduct().Variants[0].Item
	const storm = 60
	for n := range storm {
		b.edit(b.shop.SetStock(item.ID, item.Levels[0].Location.ID, int64(1000+n)))
	}
	b.hear()
	requests := 0
	client := *http.DefaultClient
	client.Transport = beforeRequest(func() { requests++ })
	b.client = b.newClient(&client)
	b.settleAll()
	if requests == 0 || requests > storm/5 {
		t.Errorf("%d changes of one level cost %d requests; want a few", storm, requests)
	}
	b.mustBeExact("after a storm of updates")
}
