package query_test

import (
	"testing"

	"stockroom/internal/mirror"
	"stockroom/internal/query"
	"stockroom/internal/store/storetest"
)

// TestASKUNamesEveryVariantThatBearsIt: Shopify does not keep SKUs apart.
func TestASKUNamesEveryVariantThatBearsIt(t *testing.T) {
	s := storetest.Open(t)
	shop := storetest.Sample(t, s, domain)
	same := mirror.ProductVariant{ProductID: storetest.Serum, InventoryItemID: storetest.Item(storetest.Serum50), Title: "50ml", SKU: new("SKU-11"), Price: "29",
		InventoryPolicy: "DENY", UpdatedAt: mirror.TimeOf(storetest.Noon.Time())}
	storetest.Save(t, s, shop, storetest.Present(t, storetest.Serum50, same, storetest.Noon))
	page, err := reader(s).Inventory(t.Context(), shop, query.InventoryQuery{SKU: "SKU-11"})
	if err != nil {
		t.Fatal(err)
	}
	variants := map[mirror.GID]bool{}
	for _, line := range page.Items {
		variants[line.VariantID] = true
	}
	if !variants[storetest.Serum30] || !variants[storetest.Serum50] {
		t.Errorf("a SKU of two variants finds %v", variants)
	}
}

// TestWhatIsNotCountedIsNotNone: stock that Shopify does not track is null, not zero.
func TestWhatIsNotCountedIsNotNone(t *testing.T) {
	s := storetest.Open(t)
	shop := storetest.Sample(t, s, domain)
	item, updated := storetest.Item(storetest.Serum30), mirror.TimeOf(storetest.Noon.Time())
	level := mirror.InventoryLevel{LevelGID: "gid://shopify/InventoryLevel/1?inventory_item_id=" + mirror.GID(item.Number()), InventoryItemID: item, LocationID: storetest.Berlin, UpdatedAt: updated}
	storetest.Save(t, s, shop, storetest.Present(t, level.ID(), level, storetest.Noon),
		storetest.Present(t, item, mirror.InventoryItem{SKU: new("SKU-11"), UpdatedAt: updated}, storetest.Noon),
		storetest.Present(t, storetest.Serum30, mirror.ProductVariantDerived{Position: 1, AvailableForSale: true}, storetest.Noon))
	page, err := reader(s).Inventory(t.Context(), shop, query.InventoryQuery{SKU: "SKU-11", Location: storetest.Berlin.Number()})
	if err != nil {
		t.Fatal(err)
	}
	if len(page.Items) != 1 || page.Items[0].Available != nil || *page.Items[0].Tracked {
		t.Errorf("stock that is not tracked: %+v; want null", page.Items)
	}
	whole, err := reader(s).Product(t.Context(), shop, string(storetest.Serum))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range whole.Item.Variants {
		if v.ID == storetest.Serum30 && (v.InventoryQuantity != nil || !*v.AvailableForSale) {
			t.Errorf("a variant that is not tracked has %v and is for sale: %v; want null and true", v.InventoryQuantity, *v.AvailableForSale)
		}
	}
}
