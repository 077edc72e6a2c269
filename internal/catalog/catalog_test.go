package catalog_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"stockroom/internal/catalog"
	"stockroom/internal/mirror"
	"stockroom/internal/store"
	"stockroom/internal/store/storetest"
)

const domain = "sample.myshopify.com"

func search(t *testing.T, s *store.Store, shop store.Shop, text string) []mirror.GID {
	t.Helper()
	var ids []mirror.GID
	storetest.View(t, s, func(tx *store.Tx) error {
		hits, err := tx.SearchProducts(shop.ID, store.ProductQuery{Words: store.SearchWords(text), Limit: 100})
		for _, hit := range hits {
			ids = append(ids, hit.ID)
		}
		return err
	})
	return ids
}

// A customer's words may stand in any of the places that name a product, but
// what readers do not see is not found by it.
func TestSearchFindsEveryNameOfAShownProduct(t *testing.T) {
	s := storetest.Open(t)
	shop := storetest.Sample(t, s, domain)
	for text, want := range map[string]mirror.GID{
		"creme": storetest.Serum, "50ml": storetest.Serum, "maison": storetest.Serum, "skin care": storetest.Serum, "face": storetest.Serum,
		"SKU-11": storetest.Serum, "Size": storetest.Serum, "紅色": storetest.Shirt, "🎁": storetest.Shirt, "Red": storetest.Shirt,
		"blue": "", "SKU 29": "", "gone": "", "SKU-91": "",
	} {
		got := search(t, s, shop, text)
		if want == "" && len(got) > 0 || want != "" && (len(got) != 1 || got[0] != want) {
			t.Errorf("search %q: got %v, want %q", text, got, want)
		}
	}
}

func TestRebuildDropsWhatIsHiddenAndBringsBackWhatIsShown(t *testing.T) {
	s := storetest.Open(t)
	shop := storetest.Sample(t, s, domain)
	key := mirror.Key{Kind: mirror.KindProduct, ID: storetest.Mug}
	rebuild := func(change func(store.Record) store.Record) {
		storetest.Update(t, s, func(tx *store.Tx) error {
			found, err := tx.LoadRecords(shop.ID, []mirror.Key{key})
			if err != nil {
				return err
			}
			if err := tx.SaveRecords(shop.ID, []store.Record{change(found[key])}); err != nil {
				return err
			}
			return catalog.Rebuild(tx, shop.ID, []mirror.GID{storetest.Mug, storetest.Mug, "gid://shopify/Product/404"})
		})
	}
	if got := search(t, s, shop, "mug"); len(got) != 1 {
		t.Fatalf("before: %v", got)
	}
	var content []byte
	rebuild(func(r store.Record) store.Record {
		content = r.State.Content
		return storetest.Delete(r, storetest.Noon.Add(time.Hour))
	})
	if got := search(t, s, shop, "mug"); len(got) != 0 {
		t.Errorf("after its deletion: %v", got)
	}
	rebuild(func(r store.Record) store.Record {
		later := storetest.Noon.Add(2 * time.Hour)
		return storetest.Fold(r, mirror.Observation{Key: key, Source: mirror.FromID, AsOf: later, Heard: later, Content: content, Updated: r.State.Updated})
	})
	if got := search(t, s, shop, "mug"); len(got) != 1 {
		t.Errorf("after a read found it again: %v", got)
	}
}

func TestRebuildWorksThroughMoreThanOneBatch(t *testing.T) {
	s := storetest.Open(t)
	shop := storetest.AddShop(t, s, domain)
	var records []store.Record
	var ids []mirror.GID
	for n := range int64(600) {
		id := mirror.NewGID("Product", n+1)
		ids = append(ids, id)
		records = append(records, storetest.Present(t, id, mirror.Product{Title: "Cup", UpdatedAt: mirror.TimeOf(storetest.Noon.Time())}, storetest.Noon))
	}
	storetest.Save(t, s, shop, records...)
	storetest.Update(t, s, func(tx *store.Tx) error { return catalog.Rebuild(tx, shop.ID, ids) })
	storetest.View(t, s, func(tx *store.Tx) error {
		hits, err := tx.SearchProducts(shop.ID, store.ProductQuery{Words: store.SearchWords("cup"), Limit: 1000})
		if len(hits) != len(ids) {
			t.Errorf("%d of %d products found", len(hits), len(ids))
		}
		return err
	})
}

func TestEntryOfAProduct(t *testing.T) {
	product := &mirror.Product{Title: "Élan", Status: "ACTIVE", PublishedAt: mirror.TimeOf(storetest.Noon.Time())}
	variant := func(price mirror.Decimal, derived *mirror.ProductVariantDerived) catalog.Variant {
		return catalog.Variant{ProductVariant: &mirror.ProductVariant{Price: price}, Derived: derived}
	}
	entry := catalog.Entry("gid://shopify/Product/1", product, []catalog.Variant{variant("20", nil), variant("9.99", nil), variant("15", nil)})
	if len(entry.Offers) != 3 || entry.Offers[1].Price != 9_990_000 || entry.Title != "elan" || entry.SortKey != "elan" || !entry.Published {
		t.Errorf("entry: %+v", entry)
	}
	if entry.Available {
		t.Error("a variant whose availability was not read yet counts as for sale")
	}
	entry = catalog.Entry("gid://shopify/Product/1", &mirror.Product{}, []catalog.Variant{
		variant("1", &mirror.ProductVariantDerived{}), variant("1", &mirror.ProductVariantDerived{AvailableForSale: true})})
	if !entry.Available || entry.Published {
		t.Errorf("one of two variants for sale, not published: %+v", entry)
	}
}

func TestMillionths(t *testing.T) {
	for price, want := range map[mirror.Decimal]int64{
		"0": 0, "19.9": 19_900_000, "0.000001": 1, "0.0000019": 1, "-3.5": -3_500_000, "1000": 1_000_000_000,
		mirror.Decimal(strings.Repeat("9", 30)): math.MaxInt64,
	} {
		if got := catalog.Millionths(price); got != want {
			t.Errorf("Millionths(%s) = %d, want %d", price, got, want)
		}
	}
}
