package storetest

import (
	"testing"
	"time"

	"stockroom/internal/catalog"
	"stockroom/internal/mirror"
	"stockroom/internal/store"
)

// The sample shop's ids.
const (
	Serum    mirror.GID = "gid://shopify/Product/1"
	Shirt    mirror.GID = "gid://shopify/Product/2"
	Mug      mirror.GID = "gid://shopify/Product/3"
	Deleted  mirror.GID = "gid://shopify/Product/9"
	Serum30  mirror.GID = "gid://shopify/ProductVariant/11"
	Serum50  mirror.GID = "gid://shopify/ProductVariant/12"
	ShirtRed mirror.GID = "gid://shopify/ProductVariant/21"
	Left     mirror.GID = "gid://shopify/ProductVariant/29" // Left the shirt's set of variants.
	MugOnly  mirror.GID = "gid://shopify/ProductVariant/31"
	Orphan   mirror.GID = "gid://shopify/ProductVariant/91" // Of the deleted product.

	Berlin mirror.GID = "gid://shopify/Location/1"
	Paris  mirror.GID = "gid://shopify/Location/2"
	Closed mirror.GID = "gid://shopify/Location/3" // Inactive.

	Featured mirror.GID = "gid://shopify/Collection/1"
	Sale     mirror.GID = "gid://shopify/Collection/2" // Its members are not known yet.
)

// Item is the inventory item of a sample variant.
func Item(variant mirror.GID) mirror.GID {
	return "gid://shopify/InventoryItem/" + mirror.GID(variant.Number())
}

// Sample fills a shop with three shown products and all that hangs on them: one
// with two variants, one whose derived values are not known yet, one draft; and
// with records that must stay hidden: a deleted product's, a variant that left
// its set, a closed location's stock, a metafield that left its list, an order
// out of the window.
func Sample(t testing.TB, s *store.Store, domain string) store.Shop {
	t.Helper()
	shop := AddShop(t, s, domain)
	at := func(d time.Duration) mirror.Time { return mirror.TimeOf(Noon.Add(d).Time()) }
	created, updated := at(-48*time.Hour), at(-time.Hour)
	gid := func(object string, n int64) mirror.GID { return mirror.NewGID(object, n) }

	records := []store.Record{}
	put := func(id mirror.GID, content mirror.Content) { records = append(records, Present(t, id, content, Noon)) }

	put(gid("Shop", 1), mirror.Shop{Name: "Sample & Co", MyshopifyDomain: domain, PrimaryDomainURL: "https://sample.example", CurrencyCode: "EUR", IANATimezone: "Europe/Berlin", UpdatedAt: updated})
	put(Berlin, mirror.Location{Name: "Berlin", IsActive: true, UpdatedAt: updated})
	put(Paris, mirror.Location{Name: "Paris", IsActive: true, UpdatedAt: updated})
	put(Closed, mirror.Location{Name: "Closed", UpdatedAt: updated})

	product := func(id mirror.GID, p mirror.Product, variants ...mirror.GID) {
		p.CreatedAt, p.UpdatedAt = created, updated
		put(id, p)
		put(id, mirror.ProductVariantSet{VariantIDs: mirror.SortedIDs(variants), UpdatedAt: updated})
	}
	variant := func(id, of mirror.GID, title string, price mirror.Decimal, option string) {
		put(id, mirror.ProductVariant{
			ProductID: of, InventoryItemID: Item(id), Title: title, SKU: new("SKU-" + id.Number()), Price: price, Taxable: true, InventoryPolicy: "DENY",
			SelectedOptions: []mirror.SelectedOption{{Name: option, Value: title}}, CreatedAt: created, UpdatedAt: updated,
		})
		put(Item(id), mirror.InventoryItem{SKU: new("SKU-" + id.Number()), Tracked: true, RequiresShipping: true, UnitCost: new(mirror.Decimal("4.2")), UpdatedAt: updated})
	}
	level := func(of, location mirror.GID, available int64) {
		l := mirror.InventoryLevel{
			LevelGID:        "gid://shopify/InventoryLevel/" + mirror.GID(of.Number()+location.Number()+"?inventory_item_id="+of.Number()),
			InventoryItemID: Item(of), LocationID: location, Available: &available, UpdatedAt: updated,
		}
		put(l.ID(), l)
	}

	product(Serum, mirror.Product{
		Title: "Crème Sérum", Handle: "creme-serum", Status: "ACTIVE", Vendor: "Maison", ProductType: "Skin care", Tags: []string{"face", "new"},
		DescriptionHTML: "<p>For <b>dry</b> skin</p>", PublishedAt: created, Options: []mirror.Option{{Name: "Size", Position: 1, Values: []string{"30ml", "50ml"}}},
	}, Serum30, Serum50)
	put(Serum, mirror.ProductDerived{TotalInventory: 7, OnlineStoreURL: new("https://sample.example/products/creme-serum"), FeaturedImageURL: new("https://cdn.example/serum.png")})
	variant(Serum30, Serum, "30ml", "19.9", "Size")
	variant(Serum50, Serum, "50ml", "29", "Size")
	put(Serum30, mirror.ProductVariantDerived{Position: 1, InventoryQuantity: new(int64(7)), AvailableForSale: true})
	put(Serum50, mirror.ProductVariantDerived{Position: 2, InventoryQuantity: new(int64(0))})
	level(Serum30, Berlin, 5)
	level(Serum30, Paris, 2)
	level(Serum30, Closed, 40)
	level(Serum50, Berlin, 0)

	product(Shirt, mirror.Product{
		Title: "紅色襯衫 Shirt", Handle: "shirt", Status: "ACTIVE", Vendor: "Loom", ProductType: "Clothing", Tags: []string{"🎁"},
		PublishedAt: created, Options: []mirror.Option{{Name: "Colour", Position: 1, Values: []string{"Red"}}},
	}, ShirtRed) // A webhook brought it: nothing that Shopify derives is known yet.
	variant(ShirtRed, Shirt, "Red", "45", "Colour")
	variant(Left, Shirt, "Blue", "1", "Colour")
	level(Left, Berlin, 99)

	product(Mug, mirror.Product{
		Title: "Mug", Handle: "mug", Status: "DRAFT", Vendor: "Loom", Tags: []string{}, Options: []mirror.Option{{Name: "Title", Position: 1, Values: []string{"Default Title"}}},
	}, MugOnly)
	put(Mug, mirror.ProductDerived{TotalInventory: 3})
	variant(MugOnly, Mug, "Default Title", "8", "Title")
	put(MugOnly, mirror.ProductVariantDerived{Position: 1, InventoryQuantity: new(int64(3)), AvailableForSale: true})
	level(MugOnly, Paris, 3)

	product(Deleted, mirror.Product{Title: "Gone mug", Handle: "gone", Status: "ACTIVE", Tags: []string{}, Options: []mirror.Option{}, PublishedAt: created}, Orphan)
	variant(Orphan, Deleted, "Default Title", "1", "Title")
	level(Orphan, Berlin, 12)

	put(Featured, mirror.Collection{Title: "Featured", Handle: "featured", SortOrder: "MANUAL", UpdatedAt: updated})
	put(Featured, mirror.CollectionMembers{Smart: true, ProductIDs: mirror.SortedIDs([]mirror.GID{Serum, Mug, Deleted})})
	put(Sale, mirror.Collection{Title: "Sale", Handle: "sale", SortOrder: "BEST_SELLING", UpdatedAt: updated})

	tenPercent := mirror.Discount{
		Typename: "DiscountCodeBasic", Title: "Ten off", Summary: new("10% off"), Value: &mirror.DiscountValue{Percentage: new(mirror.Decimal("0.1"))},
		Minimum: &mirror.DiscountMinimum{Subtotal: new(mirror.Decimal("20")), CurrencyCode: "EUR"}, AppliesTo: &mirror.DiscountAppliesTo{All: true},
		StartsAt: created, UsageLimit: new(int64(100)), CreatedAt: created, UpdatedAt: updated,
	}
	put(gid("DiscountCodeNode", 1), tenPercent)
	put(gid("DiscountCodeNode", 1), mirror.DiscountCodes{Codes: []string{"TEN", "ZEHN"}})
	put(gid("DiscountAutomaticNode", 2), mirror.Discount{
		Typename: "DiscountAutomaticBxgy", Title: "Mug with serum", Summary: new("Buy serum, get mug"),
		Value:     &mirror.DiscountValue{Quantity: new(int64(1)), Effect: &mirror.Effect{Percentage: new(mirror.Decimal("1"))}},
		AppliesTo: &mirror.DiscountAppliesTo{ProductIDs: mirror.SortedIDs([]mirror.GID{Mug, Deleted}), VariantIDs: []mirror.GID{Left}, CollectionIDs: []mirror.GID{Featured}},
		StartsAt:  at(time.Hour), CreatedAt: created, UpdatedAt: updated,
	})
	put(gid("DiscountAutomaticNode", 3), mirror.Discount{Typename: "DiscountAutomaticApp", Title: "App's own", StartsAt: created, EndsAt: at(-time.Minute), CreatedAt: created, UpdatedAt: updated})
	put(gid("DiscountAutomaticNode", 3), mirror.DiscountCodes{Codes: []string{}})

	metafield := func(n int64, owner mirror.GID, key, value string) {
		put(gid("Metafield", n), mirror.Metafield{OwnerID: owner, Namespace: "custom", Key: key, Type: "single_line_text_field", Value: value, UpdatedAt: updated})
	}
	metafield(1, gid("Shop", 1), "motto", "Fair & square")
	metafield(2, Serum, "skin", "dry")
	metafield(3, Serum30, "refill", "yes")
	metafield(4, Featured, "banner", "<img>")
	metafield(5, Deleted, "skin", "none")
	metafield(6, Serum, "left", "the list")
	put(Serum, mirror.MetafieldSet{MetafieldIDs: []mirror.GID{gid("Metafield", 2)}})

	order := func(n int64, created mirror.Time) {
		put(gid("Order", n), mirror.Order{
			Name: "#" + gid("Order", n).Number(), CreatedAt: created, UpdatedAt: updated, CurrencyCode: "EUR", TotalPrice: "39.8", Tags: []string{},
			LineItems: []mirror.LineItem{{ID: gid("LineItem", n), VariantID: new(Serum30), Title: "Crème Sérum", Quantity: 2}, {ID: gid("LineItem", n+1), Title: "Wrapping", Quantity: 1}},
		})
	}
	order(1001, created)
	put(gid("Order", 1001), mirror.OrderDerived{DisplayFinancialStatus: new("PAID"), DisplayFulfillmentStatus: "UNFULFILLED"})
	order(900, at(-61*24*time.Hour))

	for i, record := range records {
		if record.Key == (mirror.Key{Kind: mirror.KindProduct, ID: Deleted}) {
			records[i] = Delete(record, Noon.Add(time.Minute))
		}
	}
	Update(t, s, func(tx *store.Tx) error {
		if err := tx.SaveRecords(shop.ID, records); err != nil {
			return err
		}
		return catalog.Rebuild(tx, shop.ID, []mirror.GID{Serum, Shirt, Mug, Deleted})
	})
	return shop
}
