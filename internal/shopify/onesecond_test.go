package shopify_test

import (
	"testing"
	"time"

	"stockroom/internal/mirror"
	"stockroom/internal/shopify"
	"stockroom/internal/simulator"
)

// TestRowsOfOneSecondSpanPages: one edit in bulk gives more products the same
// updatedAt than go on a page. A pass that went on from the last time it saw,
// instead of by the list's own cursor, would lose the rest or never end.
func TestRowsOfOneSecondSpanPages(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 230}, simulatedScopes...)
	if err := w.Advance(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	for _, id := range w.shop.Products.IDs() {
		if err := w.shop.UpdateProduct(id, func(p *simulator.Product) { p.Title += "!" }); err != nil {
			t.Fatal(err)
		}
	}
	first, _ := w.shop.Products.Get(w.shop.Products.IDs()[0])
	since := mirror.At(first.UpdatedAt)
	found, sharing := map[mirror.GID]int{}, map[mirror.Instant]int{}
	for _, sweep := range shopify.Sweeps() {
		if sweep.Name != "products" {
			continue
		}
		for cursor, pages := "", 0; ; pages++ {
			page, err := sweep.Page(t.Context(), w.client, shopify.Range{Since: since}, cursor)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range page.Observations {
				if o.Key.Kind == mirror.KindProduct {
					found[o.Key.ID]++
					sharing[o.Updated]++
				}
			}
			if cursor = page.Next; cursor == "" {
				break
			}
			if pages > 100 {
				t.Fatal("the sweep does not end")
			}
		}
	}
	most := 0
	for _, n := range sharing {
		most = max(most, n)
	}
	if most <= 100 {
		t.Fatalf("%d products at most share a second, which fit on a page: the test proves nothing", most)
	}
	for _, id := range w.shop.Products.IDs() {
		if n := found[mirror.NewGID("Product", id)]; n != 1 {
			t.Errorf("product %d was listed %d times; want once", id, n)
		}
	}
}
