package app_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"stockroom/internal/apply"
	"stockroom/internal/mirror"
	"stockroom/internal/reconcile"
	"stockroom/internal/simulator"
	"stockroom/internal/store"
)

// TestWhyComparesWhatReadersSee: a variant whose product was wrongly taken for
// deleted is held and shown to nobody, so Shopify, which has it, says otherwise.
// Why the product was taken for deleted is told as well.
func TestWhyComparesWhatReadersSee(t *testing.T) {
	h := newHouse(t, time.Now)
	h.up()
	h.connect()
	var shop store.Shop
	p, _ := h.shop.Products.Get(h.shop.Products.IDs()[0])
	product := mirror.Key{Kind: mirror.KindProduct, ID: mirror.GID(p.GID())}
	now := mirror.At(time.Now())
	evidence, err := json.Marshal(reconcile.Evidence{Read: "poll 7", ReadStart: now.Time(), Nulls: []reconcile.Null{{At: now.Time(), Witness: "gid://shopify/Product/1"}}})
	if err != nil {
		t.Fatal(err)
	}
	err = h.app.Store.Update(t.Context(), func(tx *store.Tx) (err error) {
		if shop, err = tx.ShopByDomain(domain); err != nil {
			return err
		}
		if _, err = apply.Apply(tx, apply.Batch{Shop: shop.ID, Observations: []mirror.Observation{mirror.Absent(product, mirror.FromID, now, now)}}, now); err != nil {
			return err
		}
		return tx.SaveTombstones(shop.ID, []store.Tombstone{{Key: product, Dead: now, Evidence: evidence}})
	})
	if err != nil {
		t.Fatal(err)
	}
	variant, err := h.app.Why(t.Context(), shop, p.Variants[0].GID())
	if err != nil {
		t.Fatal(err)
	}
	if variant.Now.Error != "" || variant.Now.Agrees || variant.Now.Gone || len(variant.Now.Differs) == 0 {
		t.Errorf("no reader sees the variant, Shopify has it, and why says %+v", variant.Now)
	}
	for _, part := range variant.Records {
		if part.Record == mirror.KindProductVariant && (part.Visible || part.Parent != product.ID) {
			t.Errorf("the variant is visible %v and belongs to %q", part.Visible, part.Parent)
		}
	}
	dead, err := h.app.Why(t.Context(), shop, p.GID())
	if err != nil {
		t.Fatal(err)
	}
	told := false
	for _, part := range dead.Records {
		if part.Record == mirror.KindProduct {
			var got reconcile.Evidence
			told = json.Unmarshal(part.Evidence, &got) == nil && strings.Contains(got.Text(), "poll 7")
		}
	}
	if !told || dead.Now.Agrees {
		t.Errorf("why the product is gone is told: %v; now: %+v", told, dead.Now)
	}
}

// TestWhyNamesAllVariantsWithASKU: a SKU is not unique at Shopify.
func TestWhyNamesAllVariantsWithASKU(t *testing.T) {
	h := newHouse(t, time.Now)
	for _, title := range []string{"First", "Second"} {
		if _, err := h.shop.CreateProduct(simulator.ProductSpec{Title: title, Variants: []simulator.VariantSpec{{SKU: "TWICE-1", Price: 100}}}); err != nil {
			t.Fatal(err)
		}
	}
	h.up()
	h.connect()
	shop, err := h.app.Query.Shop(t.Context(), domain)
	if err != nil {
		t.Fatal(err)
	}
	life, err := h.app.Why(t.Context(), shop, "TWICE-1")
	if err != nil || life.ID == "" || len(life.Others) != 1 || life.Others[0] == life.ID || !life.Now.Agrees {
		t.Errorf("of two variants with the SKU: %s, others %s, %v; now %+v", life.ID, life.Others, err, life.Now)
	}
}
