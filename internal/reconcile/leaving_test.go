package reconcile_test

import (
	"strings"
	"testing"

	"stockroom/internal/mirror"
	"stockroom/internal/reconcile"
	"stockroom/internal/simulator"
	"stockroom/internal/store"
)

// shown counts the records of a kind that readers see.
func (b *bench) shown(kind mirror.Kind) int {
	b.t.Helper()
	n := 0
	b.view(func(tx *store.Tx) error {
		rows, err := tx.ShownAfter(b.row.ID, kind, "", 10_000)
		if err != nil {
			return err
		}
		rows, err = tx.Visible(b.row.ID, kind, rows)
		n = len(rows)
		return err
	})
	return n
}

// productMetafields lists those of products and of their variants.
func (b *bench) productMetafields() (ids []int64) {
	for p := range b.shop.Products.All() {
		for _, m := range p.Metafields {
			ids = append(ids, m.ID)
		}
		for _, v := range p.Variants {
			for _, m := range v.Metafields {
				ids = append(ids, m.ID)
			}
		}
	}
	return ids
}

// TestFuseHoldsForMetafields is P4 for what leaves a list without a read of its own.
func TestFuseHoldsForMetafields(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 40})
	b.mustRun("import")
	b.loseWebhooks()
	before := b.shown(mirror.KindMetafield)
	b.config.MaxDelete = reconcile.Fuse{Percent: 20, Rows: 10}
	b.poller = reconcile.NewPoller(b.config, b.hydrator)
	all := b.productMetafields()
	if len(all) <= 10 || len(all)*5 < before {
		t.Fatalf("%d of %d metafields are too few to prove anything", len(all), before)
	}
	for _, id := range all {
		b.edit(b.shop.DeleteMetafield(id))
	}
	run, report := b.run("poll", false)
	if run.State != store.RunPartial || b.shown(mirror.KindMetafield) != before {
		t.Errorf("the poll ended %s, and readers see %d of %d metafields:\n%s", run.State, b.shown(mirror.KindMetafield), before, report.Text())
	}
	if !strings.Contains(report.Text(), "--accept-deletions") {
		t.Errorf("the report does not say how to go on:\n%s", report.Text())
	}
	if run, report = b.run("poll", true); run.State != store.RunOK {
		t.Fatalf("the accepted poll ended %s:\n%s", run.State, report.Text())
	}
	b.mustBeExact("after the accepted poll")
}

// TestAFewThatLeftTheirListsAreDrift, each a row, and their lists are read again first.
func TestAFewThatLeftTheirListsAreDrift(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 40})
	b.mustRun("import")
	b.loseWebhooks()
	all := b.productMetafields()[:3]
	for _, id := range all {
		b.edit(b.shop.DeleteMetafield(id))
	}
	run, _ := b.run("poll", false)
	rows := 0
	for _, row := range b.drift(run.ID) {
		if row.Kind == mirror.KindMetafield && row.Class == reconcile.ClassUndeleted {
			rows++
		}
	}
	if run.State != store.RunOK || rows != len(all) {
		t.Errorf("the poll ended %s with %d rows of %d metafields that are gone", run.State, rows, len(all))
	}
	b.mustBeExact("after the poll")
}

// TestFuseHoldsForVariantsThatLeftTheirProducts: each is judged by a read by id, as what no list showed.
func TestFuseHoldsForVariantsThatLeftTheirProducts(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 30})
	b.mustRun("import")
	b.loseWebhooks()
	before := b.shown(mirror.KindProductVariant)
	b.config.MaxDelete = reconcile.Fuse{Percent: 20, Rows: 10}
	b.poller = reconcile.NewPoller(b.config, b.hydrator)
	removed := 0
	for _, id := range b.shop.Variants.IDs() {
		if v, ok := b.shop.Variants.Get(id); ok && len(v.Product.Variants) > 1 {
			b.edit(b.shop.RemoveVariant(id))
			removed++
		}
	}
	if removed <= 10 || removed*5 < before {
		t.Fatalf("%d of %d variants are too few to prove anything", removed, before)
	}
	run, report := b.run("poll", false)
	if run.State != store.RunPartial || b.shown(mirror.KindProductVariant) != before {
		t.Errorf("the poll ended %s, and readers see %d of %d variants:\n%s", run.State, b.shown(mirror.KindProductVariant), before, report.Text())
	}
	if run, report = b.run("poll", true); run.State != store.RunOK {
		t.Fatalf("the accepted poll ended %s:\n%s", run.State, report.Text())
	}
	b.mustBeExact("after the accepted poll")
}
