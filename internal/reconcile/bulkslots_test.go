package reconcile_test

import (
	"strings"
	"testing"
	"time"

	"stockroom/internal/mirror"
	"stockroom/internal/reconcile"
	"stockroom/internal/shopify"
	"stockroom/internal/simulator"
	"stockroom/internal/store"
)

// TestBulkSlotsThatOthersHoldStopNoPoll: the shop's five are taken by another of
// its app's programs, and stay so. The poll says what it could not read, deletes
// nothing, and the next one reads by pages.
func TestBulkSlotsThatOthersHoldStopNoPoll(t *testing.T) {
	b := newBulkBench(t, simulator.Catalogue{Products: 20})
	b.mustRun("import")
	b.loseWebhooks()
	deleted := b.shop.Products.IDs()[0]
	b.edit(b.shop.DeleteProduct(deleted))
	faults := b.sim.Faults()
	faults.BulkStuck = 1
	b.sim.SetFaults(faults)
	for _, list := range shopify.Lists() {
		if list.Bulk == nil || list.Name != "products" {
			continue
		}
		for range 5 {
			_, err := b.client.StartBulk(t.Context(), list.Bulk.Query)
			b.edit(err)
		}
	}
	b.config.BulkStall = 200 * time.Millisecond
	b.poller = reconcile.NewPoller(b.config, b.hydrator)
	run, report := b.run("poll", false)
	if run.State != store.RunPartial || !strings.Contains(report.Text(), shopify.ErrBulkBusy.Error()) {
		t.Errorf("the poll without a slot ended %s:\n%s", run.State, report.Text())
	}
	if !b.visible(mirror.KindProduct, mirror.NewGID("Product", deleted)) {
		t.Error("a poll that read no products deleted one")
	}
	again, err := reconcile.ByPagesNext(run)
	if err != nil || !again {
		t.Errorf("no run by pages is to follow: %v, %v", again, err)
	}
	b.mustRun("poll")
	b.mustBeExact("after the poll by pages")
}
