package reconcile_test

import (
	"testing"
	"time"

	"stockroom/internal/mirror"
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
