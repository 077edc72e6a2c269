package query_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"stockroom/internal/mirror"
	"stockroom/internal/query"
	"stockroom/internal/store"
	"stockroom/internal/store/storetest"
)

func titles(list query.List[query.ProductSummary]) string {
	var all []string
	for _, p := range list.Items {
		all = append(all, p.Title)
	}
	return strings.Join(all, ", ")
}

func TestProductsAreFoundByWordsAndFilters(t *testing.T) {
	s := storetest.Open(t)
	shop := storetest.Sample(t, s, domain)
	price := func(text mirror.Decimal) *mirror.Decimal { return &text }
	for _, tt := range []struct {
		name string
		q    query.ProductsQuery
		want string
	}{
		{"what customers see", query.ProductsQuery{}, "Crème Sérum, 紅色襯衫 Shirt"},
		{"drafts too", query.ProductsQuery{All: true}, "Crème Sérum, Mug, 紅色襯衫 Shirt"},
		{"accents do not matter", query.ProductsQuery{Text: "SERUM creme"}, "Crème Sérum"},
		{"the beginning of the last word", query.ProductsQuery{Text: "creme ser"}, "Crème Sérum"},
		{"part of a word without spaces", query.ProductsQuery{Text: "色襯"}, "紅色襯衫 Shirt"},
		{"all words must be there", query.ProductsQuery{Text: "creme shirt"}, ""},
		{"punctuation alone", query.ProductsQuery{Text: " ?! "}, ""},
		{"a draft by its name", query.ProductsQuery{Text: "mug"}, ""},
		{"for sale", query.ProductsQuery{Available: new(true)}, "Crème Sérum"},
		{"not for sale, as far as is known", query.ProductsQuery{Available: new(false)}, "紅色襯衫 Shirt"},
		{"prices meet the range", query.ProductsQuery{MinPrice: price("28.99"), MaxPrice: price("44.99")}, "Crème Sérum"},
		{"one variant meets both bounds, not two of them one each", query.ProductsQuery{MinPrice: price("20"), MaxPrice: price("28")}, ""},
		{"the variant at that price is sold out", query.ProductsQuery{Available: new(true), MinPrice: price("25")}, ""},
		{"the variant at that price is for sale", query.ProductsQuery{Available: new(true), MaxPrice: price("25")}, "Crème Sérum"},
		{"a word repeated is one word", query.ProductsQuery{Text: strings.Repeat("creme ", 40)}, "Crème Sérum"},
		{"a SKU as one", query.ProductsQuery{Text: "sku11"}, "Crème Sérum"},
		{"a SKU apart", query.ProductsQuery{Text: `"SKU 11"`}, "Crème Sérum"},
		{"at most", query.ProductsQuery{MaxPrice: price("19.89")}, ""},
		{"at least", query.ProductsQuery{MinPrice: price("45")}, "紅色襯衫 Shirt"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := reader(s).Products(t.Context(), shop, tt.q)
			if err != nil || titles(got) != tt.want {
				t.Errorf("got %q, %v; want %q", titles(got), err, tt.want)
			}
		})
	}
}

func TestASearchIsBounded(t *testing.T) {
	s := storetest.Open(t)
	shop := storetest.Sample(t, s, domain)
	words := ""
	for n := range store.MaxWords + 1 {
		words += fmt.Sprintf("%d ", n)
	}
	for name, text := range map[string]string{"too long": strings.Repeat("a", query.MaxText+1), "too many words": words} {
		_, err := reader(s).Products(t.Context(), shop, query.ProductsQuery{Text: text})
		if asked, ok := errors.AsType[*query.Error](err); !ok || asked.Code != query.BadRequest || asked.Fix == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := reader(s).Products(t.Context(), shop, query.ProductsQuery{Text: strings.Repeat("ö", query.MaxText)}); err != nil {
		t.Errorf("a text as long as may be: %v", err)
	}
}

func TestAProductInAListIsSummedUp(t *testing.T) {
	s := storetest.Open(t)
	shop := storetest.Sample(t, s, domain)
	list, err := reader(s).Products(t.Context(), shop, query.ProductsQuery{})
	if err != nil {
		t.Fatal(err)
	}
	serum, shirt := list.Items[0], list.Items[1]
	if *serum.PriceRange != (query.PriceRange{Min: "19.9", Max: "29", CurrencyCode: "EUR"}) || !*serum.AvailableForSale || *serum.FeaturedImageURL != "https://cdn.example/serum.png" {
		t.Errorf("serum: %+v", serum)
	}
	if len(serum.Variants) != 2 || serum.Variants[0].ID != storetest.Serum30 || *serum.Variants[0].InventoryQuantity != 7 || *serum.Variants[1].AvailableForSale {
		t.Errorf("serum's variants: %+v", serum.Variants)
	}
	if shirt.AvailableForSale != nil || shirt.VariantsCount != 1 || shirt.Variants[0].InventoryQuantity != nil {
		t.Errorf("what is not known yet of the shirt is not null: %+v", shirt)
	}
}

func TestAProductsVariantsInAListAreBounded(t *testing.T) {
	s := storetest.Open(t)
	shop := storetest.Sample(t, s, domain)
	var records []store.Record
	members := []mirror.GID{storetest.Serum30}
	for n := range int64(query.MaxVariants) {
		id := mirror.NewGID("ProductVariant", 5000+n)
		members = append(members, id)
		records = append(records, storetest.Present(t, id, mirror.ProductVariant{ProductID: storetest.Serum, Price: "1"}, storetest.Noon))
	}
	records = append(records, storetest.Present(t, storetest.Serum,
		mirror.ProductVariantSet{VariantIDs: mirror.SortedIDs(members), UpdatedAt: mirror.TimeOf(storetest.Noon.Time())}, storetest.Noon))
	storetest.Save(t, s, shop, records...)
	list, err := reader(s).Products(t.Context(), shop, query.ProductsQuery{Text: "serum"})
	if err != nil {
		t.Fatal(err)
	}
	if got := list.Items[0]; len(got.Variants) != query.MaxVariants || got.VariantsCount != query.MaxVariants+1 {
		t.Errorf("%d variants of %d", len(got.Variants), got.VariantsCount)
	}
	whole, err := reader(s).Product(t.Context(), shop, string(storetest.Serum))
	if err != nil || len(whole.Item.Variants) != query.MaxVariants+1 {
		t.Errorf("the product by itself: %d variants, %v", len(whole.Item.Variants), err)
	}
}

func TestAProductIsNamedByIDNumberOrHandle(t *testing.T) {
	s := storetest.Open(t)
	shop := storetest.Sample(t, s, domain)
	for _, ref := range []string{string(storetest.Serum), "1", "creme-serum"} {
		got, err := reader(s).Product(t.Context(), shop, ref)
		if err != nil || got.Item.ID != storetest.Serum {
			t.Errorf("product %q: %v, %v", ref, got.Item.ID, err)
		}
	}
	for _, ref := range []string{string(storetest.Deleted), "9", "gone", "404", "gid://shopify/ProductVariant/1", ""} {
		_, err := reader(s).Product(t.Context(), shop, ref)
		if asked, ok := errors.AsType[*query.Error](err); !ok || asked.Code != query.NotFound {
			t.Errorf("product %q: got %v, want not found", ref, err)
		}
	}
}

func TestAWholeProductHasStockAndMetafields(t *testing.T) {
	s := storetest.Open(t)
	shop := storetest.Sample(t, s, domain)
	got, err := reader(s).Product(t.Context(), shop, "creme-serum")
	if err != nil {
		t.Fatal(err)
	}
	p := got.Item
	if len(p.Metafields) != 1 || p.Metafields[0].Key != "skin" || len(p.Variants) != 2 || len(p.Variants[0].Metafields) != 1 {
		t.Errorf("metafields: %+v and %+v", p.Metafields, p.Variants)
	}
	var stock []string
	for _, at := range p.Variants[0].Stock {
		stock = append(stock, at.LocationName)
	}
	if !slices.Equal(stock, []string{"Berlin", "Paris"}) || *p.Variants[0].Stock[0].Available != 5 {
		t.Errorf("stock: %+v", p.Variants[0].Stock)
	}
}

func TestInventoryIsFoundByWhatNamesIt(t *testing.T) {
	s := storetest.Open(t)
	shop := storetest.Sample(t, s, domain)
	for _, tt := range []struct {
		name string
		q    query.InventoryQuery
		want string // Variant and location of each line.
	}{
		{"all", query.InventoryQuery{}, "11@1 11@2 12@1 31@2"},
		{"a location", query.InventoryQuery{Location: "2"}, "11@2 31@2"},
		{"a closed location", query.InventoryQuery{Location: string(storetest.Closed)}, ""},
		{"a product", query.InventoryQuery{Product: "creme-serum"}, "11@1 11@2 12@1"},
		{"a SKU", query.InventoryQuery{SKU: "sku-12"}, "12@1"},
		{"the beginning of a SKU", query.InventoryQuery{SKU: "SKU-1"}, ""},
		{"an item", query.InventoryQuery{Item: "31"}, "31@2"},
		{"a product and a location", query.InventoryQuery{Product: "1", Location: "1"}, "11@1 12@1"},
		{"a product and a foreign SKU", query.InventoryQuery{Product: "1", SKU: "SKU-31"}, ""},
		{"a hidden variant's item", query.InventoryQuery{Item: storetest.Left.Number()}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for q := tt.q; ; { // One line a page.
				q.Limit = 1
				page, err := reader(s).Inventory(t.Context(), shop, q)
				if err != nil {
					t.Fatal(err)
				}
				for _, line := range page.Items {
					got = append(got, line.VariantID.Number()+"@"+line.LocationID.Number())
				}
				if page.Next == nil {
					break
				}
				q.Cursor = *page.Next
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("got %v, want %s", got, tt.want)
			}
		})
	}
	page, err := reader(s).Inventory(t.Context(), shop, query.InventoryQuery{SKU: "SKU-11", Location: "1"})
	if err != nil {
		t.Fatal(err)
	}
	line := page.Items[0]
	if *line.Available != 5 || line.LocationName != "Berlin" || *line.SKU != "SKU-11" || !*line.Tracked || line.ProductTitle != "Crème Sérum" || line.VariantTitle != "30ml" {
		t.Errorf("line: %+v", line)
	}
}

func TestDiscountsAreListedByTheirPresentStatus(t *testing.T) {
	s := storetest.Open(t)
	shop := storetest.Sample(t, s, domain)
	for status, want := range map[string]string{"": "Ten off", "active": "Ten off", "SCHEDULED": "Mug with serum", "EXPIRED": "App's own", "ALL": "Mug with serum, App's own, Ten off"} {
		page, err := reader(s).Discounts(t.Context(), shop, query.DiscountsQuery{Status: status})
		var got []string
		for _, d := range page.Items {
			got = append(got, d.Title)
		}
		if err != nil || strings.Join(got, ", ") != want {
			t.Errorf("status %q: got %v, %v; want %s", status, got, err, want)
		}
	}
	page, err := reader(s).Discounts(t.Context(), shop, query.DiscountsQuery{})
	if err != nil || !slices.Equal(page.Items[0].Codes, []string{"TEN", "ZEHN"}) {
		t.Errorf("codes: %+v, %v", page.Items, err)
	}
}

func TestCollectionsCountAndListTheirProducts(t *testing.T) {
	s := storetest.Open(t)
	shop := storetest.Sample(t, s, domain)
	page, err := reader(s).Collections(t.Context(), shop, query.PageQuery{})
	if err != nil || len(page.Items) != 2 {
		t.Fatalf("%+v, %v", page, err)
	}
	featured, sale := page.Items[0], page.Items[1]
	if *featured.ProductsCount != 2 || !*featured.Smart || sale.ProductsCount != nil || sale.Smart != nil {
		t.Errorf("featured %+v, sale %+v", featured, sale)
	}
	for _, tt := range []struct {
		q    query.CollectionQuery
		want string
	}{
		{query.CollectionQuery{Collection: "featured"}, "Crème Sérum"},
		{query.CollectionQuery{Collection: "1", All: true}, "Crème Sérum, Mug"},
		{query.CollectionQuery{Collection: string(storetest.Sale), All: true}, ""},
	} {
		got, err := reader(s).CollectionProducts(t.Context(), shop, tt.q)
		if err != nil || titles(got) != tt.want {
			t.Errorf("%+v: got %q, %v", tt.q, titles(got), err)
		}
	}
	_, err = reader(s).CollectionProducts(t.Context(), shop, query.CollectionQuery{Collection: "none"})
	if asked, ok := errors.AsType[*query.Error](err); !ok || asked.Code != query.NotFound {
		t.Errorf("a collection that is not there: %v", err)
	}
}

// Each list is walked one item a page, and must give what one page gives.
func TestPagesJoinWithoutGapOrRepetition(t *testing.T) {
	s := storetest.Open(t)
	shop := storetest.Sample(t, s, domain)
	r, ctx := reader(s), t.Context()
	for name, page := range map[string]func(cursor string, limit int) ([]string, *string, error){
		"products": func(cursor string, limit int) ([]string, *string, error) {
			l, err := r.Products(ctx, shop, query.ProductsQuery{All: true, Cursor: cursor, Limit: limit})
			return idsOf(l.Items, func(p query.ProductSummary) mirror.GID { return p.ID }), l.Next, err
		},
		"search": func(cursor string, limit int) ([]string, *string, error) { // Hits in the title before the others.
			l, err := r.Products(ctx, shop, query.ProductsQuery{All: true, Text: "m", Cursor: cursor, Limit: limit})
			return idsOf(l.Items, func(p query.ProductSummary) mirror.GID { return p.ID }), l.Next, err
		},
		"inventory": func(cursor string, limit int) ([]string, *string, error) {
			l, err := r.Inventory(ctx, shop, query.InventoryQuery{Cursor: cursor, Limit: limit})
			return idsOf(l.Items, func(p query.StockLine) mirror.GID { return p.ID }), l.Next, err
		},
		"discounts": func(cursor string, limit int) ([]string, *string, error) {
			l, err := r.Discounts(ctx, shop, query.DiscountsQuery{Status: "ALL", Cursor: cursor, Limit: limit})
			return idsOf(l.Items, func(p query.Discount) mirror.GID { return p.ID }), l.Next, err
		},
		"collections": func(cursor string, limit int) ([]string, *string, error) {
			l, err := r.Collections(ctx, shop, query.PageQuery{Cursor: cursor, Limit: limit})
			return idsOf(l.Items, func(p query.CollectionSummary) mirror.GID { return p.ID }), l.Next, err
		},
		"a collection's products": func(cursor string, limit int) ([]string, *string, error) {
			l, err := r.CollectionProducts(ctx, shop, query.CollectionQuery{Collection: "1", All: true, Cursor: cursor, Limit: limit})
			return idsOf(l.Items, func(p query.ProductSummary) mirror.GID { return p.ID }), l.Next, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			want, next, err := page("", 0)
			if err != nil || next != nil || len(want) < 2 {
				t.Fatalf("one page: %v, next %v, %v", want, next, err)
			}
			var got []string
			for cursor := ""; ; {
				items, next, err := page(cursor, 1)
				if err != nil || len(items) != 1 {
					t.Fatalf("after %v: %v, %v", got, items, err)
				}
				if got = append(got, items...); next == nil {
					break
				}
				cursor = *next
			}
			if !slices.Equal(got, want) {
				t.Errorf("one by one %v, at once %v", got, want)
			}
			for _, cursor := range []string{"!", "e30", "bnVsbA", *other(name)} {
				_, _, err := page(cursor, 1)
				if asked, ok := errors.AsType[*query.Error](err); !ok || asked.Code != query.BadRequest || asked.Fix == "" {
					t.Errorf("cursor %q: got %v, want a bad request that says what to do", cursor, err)
				}
			}
			if _, _, err := page("", -1); err == nil {
				t.Error("a negative limit is let through")
			}
		})
	}
}

// other is a cursor of another list than this one.
func other(name string) *string {
	if name == "discounts" {
		return new("eyJjb2xsZWN0aW9ucyI6ICIxIn0") // {"collections": "1"}
	}
	return new("eyJkaXNjb3VudHMiOiAiMSJ9") // {"discounts": "1"}
}

func idsOf[T any](items []T, id func(T) mirror.GID) []string {
	var all []string
	for _, item := range items {
		all = append(all, string(id(item)))
	}
	return all
}

func TestALimitIsCutToTheLargest(t *testing.T) {
	s := storetest.Open(t)
	shop := storetest.Sample(t, s, domain)
	for asked, want := range map[int]int{0: query.DefaultLimit, 7: 7, 1_000_000: query.MaxLimit} {
		page, err := reader(s).Products(t.Context(), shop, query.ProductsQuery{Limit: asked})
		if err != nil || page.Limit != want {
			t.Errorf("limit %d: got %d, %v; want %d", asked, page.Limit, err, want)
		}
	}
}

// TestAnswersOfAShopThatTellsNothingGrowOld: as_of does not move on with the clock.
func TestAnswersOfAShopThatTellsNothingGrowOld(t *testing.T) {
	s := storetest.Open(t)
	shop := storetest.Sample(t, s, domain)
	left, heard := storetest.Noon.Add(-time.Hour), storetest.Noon.Add(-2*time.Hour)
	storetest.Update(t, s, func(tx *store.Tx) error {
		return tx.AddDeliveries([]store.Delivery{{ShopID: shop.ID, Topic: "products/update", WebhookID: "1", ReceivedAt: heard, Body: []byte("{}"), State: store.DeliveryDone}})
	})
	for state, want := range map[store.ShopState]mirror.Instant{store.ShopUninstalled: left, store.ShopReconnect: heard} {
		shop.State, shop.UninstalledAt = state, left
		page, err := reader(s).Products(t.Context(), shop, query.ProductsQuery{})
		if err != nil || page.AsOf.Time != want.Time() {
			t.Errorf("%s: as of %v, %v; want %v", state, page.AsOf, err, want)
		}
	}
}

func TestAnswersSayAsOfWhenTheyAreRight(t *testing.T) {
	s := storetest.Open(t)
	shop := storetest.Sample(t, s, domain)
	shop.ClockOffsetMS = 2000
	ask := func() query.Freshness {
		page, err := reader(s).Products(t.Context(), shop, query.ProductsQuery{})
		if err != nil {
			t.Fatal(err)
		}
		return page.Freshness
	}
	if got := ask(); got.AsOf.Time != storetest.Noon.Add(62*time.Second).Time() || !got.VerifiedAt.IsZero() {
		t.Errorf("nothing waits, nothing was verified: %+v", got)
	}
	late := storetest.Noon.Add(-3 * time.Minute)
	storetest.Update(t, s, func(tx *store.Tx) error {
		kinds := []mirror.Kind{mirror.KindProduct, mirror.KindProductDerived, mirror.KindProductVariantSet, mirror.KindProductVariant}
		if err := tx.SetComplete(shop.ID, 1, kinds, storetest.Noon); err != nil {
			return err
		}
		return tx.AddDeliveries([]store.Delivery{
			{ShopID: shop.ID, Topic: "products/update", WebhookID: "2", ReceivedAt: late.Add(time.Minute), Body: []byte("{}"), State: store.DeliveryNew},
			{ShopID: shop.ID, Topic: "products/update", WebhookID: "1", ReceivedAt: late, Body: []byte("{}"), State: store.DeliveryNew},
		})
	})
	if got := ask(); got.AsOf.Time != late.Time() || !got.VerifiedAt.IsZero() {
		t.Errorf("a webhook waits, the variants' derived values were never read in full: %+v", got)
	}
	storetest.Update(t, s, func(tx *store.Tx) error {
		return tx.SetComplete(shop.ID, 1, []mirror.Kind{mirror.KindProductVariantDerived}, storetest.Noon.Add(-time.Hour))
	})
	if got := ask(); got.VerifiedAt.Time != storetest.Noon.Add(-time.Hour).Time() {
		t.Errorf("verified as far as the least part: %+v", got)
	}
}

func TestStatusTellsHowAShopStands(t *testing.T) {
	s := storetest.Open(t)
	shop := storetest.Sample(t, s, domain)
	storetest.AddShop(t, s, "another.myshopify.com")
	storetest.Update(t, s, func(tx *store.Tx) error {
		err := tx.SetSubscriptions(shop.ID, []store.Subscription{{Topic: "products/update", State: "active"}, {Topic: "orders/updated", State: "refused", Reason: "protected"}})
		if err != nil {
			return err
		}
		err = tx.AddDeliveries([]store.Delivery{
			{ShopID: shop.ID, Topic: "a", WebhookID: "1", ReceivedAt: storetest.Noon, Body: []byte("{}"), State: store.DeliveryNew},
			{ShopID: shop.ID, Topic: "a", WebhookID: "2", ReceivedAt: storetest.Noon, Body: []byte("{}"), State: store.DeliveryQuarantined}})
		if err != nil {
			return err
		}
		if err := tx.AddDemands(shop.ID, []mirror.Demand{{Read: mirror.ReadProduct, ID: storetest.Serum}}, storetest.Noon); err != nil {
			return err
		}
		run, _, err := tx.QueueRun(store.Run{ShopID: shop.ID, Kind: "poll", Reason: "manual", QueuedAt: storetest.Noon})
		if err != nil {
			return err
		}
		run.State, run.StartedAt, run.EndedAt = store.RunPartial, storetest.Noon, storetest.Noon.Add(time.Minute)
		if err := tx.SaveRun(run); err != nil {
			return err
		}
		return tx.AddDrift(run.ID, []store.DriftRow{{Type: "Product", ID: storetest.Mug, Kind: mirror.KindProduct, Class: "stale", Fields: []byte("[]")}})
	})
	all, err := reader(s).Status(t.Context(), []string{"read_products", "read_themes"}, true)
	if err != nil || len(all) != 2 {
		t.Fatalf("%+v, %v", all, err)
	}
	got := all[1]
	if got.Shop != domain || !slices.Equal(got.ScopesMissing, []string{"read_themes"}) || got.Subscriptions.Active != 1 || got.Subscriptions.Missing["orders/updated"] != "protected" {
		t.Errorf("scopes or subscriptions: %+v", got)
	}
	if got.Inbox.New != 1 || got.Inbox.Quarantined != 1 || got.Inbox.OldestNew.Time != storetest.Noon.Time() || got.Demands != 1 {
		t.Errorf("inbox or demands: %+v", got)
	}
	if got.LastRun.State != store.RunPartial || !slices.Equal(got.LastRun.Drift, []query.DriftCount{{Type: "Product", Class: "stale", Rows: 1}}) {
		t.Errorf("last run: %+v", got.LastRun)
	}
	lines := map[string]int64{}
	for _, line := range export(t, s, domain) {
		lines[line[len(`{"type":"`):strings.Index(line, `","id"`)]]++
	}
	for _, name := range mirror.Types {
		if got.Rows[name] != lines[name] {
			t.Errorf("%d rows of %s, the export has %d", got.Rows[name], name, lines[name])
		}
	}
	one, runs, err := reader(s).ShopStatus(t.Context(), shop, nil, 10)
	if err != nil || len(runs) != 1 || one.Demands != 1 {
		t.Errorf("one shop: %+v, %+v, %v", one, runs, err)
	}
	drift, err := reader(s).FirstDrift(t.Context(), shop, runs[0].ID, 10)
	if err != nil || len(drift) != 1 {
		t.Errorf("drift: %+v, %v", drift, err)
	}
	foreign, _ := reader(s).Shop(t.Context(), "another.myshopify.com")
	_, err = reader(s).FirstDrift(t.Context(), foreign, runs[0].ID, 10)
	if asked, ok := errors.AsType[*query.Error](err); !ok || asked.Code != query.NotFound {
		t.Errorf("another shop's drift: %v", err)
	}
}

func TestWritingAScopeIncludesReadingIt(t *testing.T) {
	s := storetest.Open(t)
	shop := storetest.AddShop(t, s, domain)
	shop.Scopes = "write_products, read_orders"
	storetest.Update(t, s, func(tx *store.Tx) error { _, err := tx.SaveShop(shop); return err })
	all, err := reader(s).Status(t.Context(), []string{"read_products", "read_orders", "read_locations"}, false)
	if err != nil || !slices.Equal(all[0].ScopesMissing, []string{"read_locations"}) || all[0].Rows != nil {
		t.Errorf("%+v, %v", all, err)
	}
}

// TestTheOnlyShopNeedsNoName, and of several one has to be named.
func TestTheOnlyShopNeedsNoName(t *testing.T) {
	s := storetest.Open(t)
	reader := query.New(s, time.Now)
	if _, err := reader.ShopOrOnly(t.Context(), ""); err == nil {
		t.Error("without any shop one was found")
	}
	only := storetest.Sample(t, s, "a.myshopify.com")
	if shop, err := reader.ShopOrOnly(t.Context(), ""); err != nil || shop.ID != only.ID {
		t.Errorf("the only shop: %+v, %v", shop, err)
	}
	storetest.Sample(t, s, "b.myshopify.com")
	if _, err := reader.ShopOrOnly(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "--shop") {
		t.Errorf("of two shops: %v", err)
	}
	if shop, err := reader.ShopOrOnly(t.Context(), "b.myshopify.com"); err != nil || shop.Domain != "b.myshopify.com" {
		t.Errorf("the one that is named: %+v, %v", shop, err)
	}
}
