package simulator_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"stockroom/internal/simulator"
)

func TestCatalogueHasAsManyVariantsAsAsked(t *testing.T) {
	for _, n := range []int{1, 10, 1003, 12_000} {
		sim := simulator.New(simulator.Config{Seed: 3})
		shop, err := sim.AddShop(domain, simulator.Catalogue{Variants: n, Goods: simulator.Trades()})
		if err != nil {
			t.Fatal(err)
		}
		if got := shop.Size().Variants; got != n {
			t.Errorf("got %d variants, want %d", got, n)
		}
		most := 0
		for p := range shop.Products.All() {
			most = max(most, len(p.Variants))
		}
		if big := most == 2048; big != (n >= 10_000) {
			t.Errorf("shop of %d variants: the largest product has %d", n, most)
		}
	}
}

func TestSameSeedGivesTheSameLargeCatalogue(t *testing.T) {
	var shops [2]string
	for i := range shops {
		sim := simulator.New(simulator.Config{Seed: 3})
		shop, err := sim.AddShop(domain, simulator.Catalogue{Variants: 500, Goods: simulator.Trades()})
		if err != nil {
			t.Fatal(err)
		}
		for p := range shop.Products.All() {
			for _, v := range p.Variants {
				shops[i] += fmt.Sprintln(p.GID(), p.Title, p.DescriptionHTML, v.GID(), v.SKU, v.Price, v.InventoryQuantity())
			}
		}
	}
	if shops[0] != shops[1] {
		t.Error("the same seed gave two different shops")
	}
}

// What a program must cope with is there in a shop of usual size.
func TestCatalogueIsAsOddAsRealOnes(t *testing.T) {
	sim := simulator.New(simulator.Config{Seed: 1})
	shop, err := sim.AddShop(domain, simulator.Catalogue{Variants: 2000, Goods: simulator.Trades()})
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]bool)
	skus := make(map[string]int)
	for p := range shop.Products.All() {
		found["long HTML"] = found["long HTML"] || len(p.DescriptionHTML) > 8000
		found["no description"] = found["no description"] || p.DescriptionHTML == ""
		found["emoji"] = found["emoji"] || strings.ContainsAny(p.Title, "🧦🌶💄🌿🚂")
		found["right to left"] = found["right to left"] || strings.Contains(p.Title, "مرطب")
		found["Korean"] = found["Korean"] || strings.Contains(p.Title, "칠교놀이")
		found[p.Status] = true
		for _, v := range p.Variants {
			skus[v.SKU]++
			found["oversold"] = found["oversold"] || v.InventoryQuantity() < 0
			found["spaces around a sku"] = found["spaces around a sku"] || v.SKU != strings.TrimSpace(v.SKU)
		}
	}
	found["no sku"] = skus[""] > 0
	for sku, n := range skus {
		found["shared sku"] = found["shared sku"] || sku != "" && n > 1
	}
	for d := range shop.Discounts.All() {
		found[d.Typename] = true
		found[d.Status(sim.Now())] = true
	}
	for c := range shop.Collections.All() {
		if c.Smart() {
			found["smart collection"] = true
		} else {
			found["manual collection"] = true
		}
	}
	for _, want := range []string{
		"long HTML", "no description", "emoji", "right to left", "Korean", "oversold", "spaces around a sku", "no sku", "shared sku",
		"smart collection", "manual collection", "ACTIVE", "DRAFT", "ARCHIVED", "UNLISTED", "SCHEDULED", "EXPIRED",
		"DiscountCodeBasic", "DiscountCodeBxgy", "DiscountCodeFreeShipping", "DiscountCodeApp",
		"DiscountAutomaticBasic", "DiscountAutomaticBxgy", "DiscountAutomaticFreeShipping", "DiscountAutomaticApp",
	} {
		if !found[want] {
			t.Errorf("nowhere: %s", want)
		}
	}
}

// What a person sees is wrong at a glance is not in a catalogue.
func TestCatalogueIsBelievable(t *testing.T) {
	sim := simulator.New(simulator.Config{Seed: 5})
	shop, err := sim.AddShop(domain, simulator.Catalogue{Products: 300, Goods: simulator.Trades()})
	if err != nil {
		t.Fatal(err)
	}
	titles, languages := map[string]bool{}, map[string]bool{}
	types := map[string]string{} // Of things, by a word of their names.
	for p := range shop.Products.All() {
		titles[p.Title] = true
		if p.DescriptionHTML != "" && !strings.Contains(p.DescriptionHTML, "<strong>"+p.Vendor+"</strong>") {
			t.Errorf("%s of %s is said to be another's: %s", p.Title, p.Vendor, p.DescriptionHTML)
		}
		for language, word := range map[string]string{"fr": "Réf.", "de": "Art.-Nr.", "zh": "貨號", "ja": "商品番号", "en": "Item no."} {
			languages[language] = languages[language] || strings.Contains(p.DescriptionHTML, word)
		}
		for _, word := range []string{"T-Shirt", "棉質襯衫", "Hammer", "Wandfarbe", "Honey"} {
			if strings.Contains(p.Title, word) {
				types[word] = p.ProductType
			}
		}
	}
	if len(titles) < 270 {
		t.Errorf("300 products have %d titles", len(titles))
	}
	for _, language := range []string{"fr", "de", "zh", "ja", "en"} {
		if !languages[language] {
			t.Errorf("no description in %s", language)
		}
	}
	for word, got := range types {
		if want := map[string]string{"T-Shirt": "Shirts", "棉質襯衫": "Shirts", "Hammer": "Tools", "Wandfarbe": "Paint", "Honey": "Pantry"}[word]; got != want {
			t.Errorf("%s is of type %s, want %s", word, got, want)
		}
	}
	states := map[string]bool{}
	for d := range shop.Discounts.All() {
		states[d.Typename+" "+d.Status(sim.Now())] = true
		if d.CreatedAt.After(d.StartsAt) || !d.EndsAt.IsZero() && d.CreatedAt.After(d.EndsAt) {
			t.Errorf("%s: made %v, begins %v, ends %v", d.Title, d.CreatedAt, d.StartsAt, d.EndsAt)
		}
	}
	if len(states) != 24 {
		t.Errorf("%d pairs of type and state, want 24: %v", len(states), states)
	}
}

func TestPricesInYenHaveNoFraction(t *testing.T) {
	sim := simulator.New(simulator.Config{Seed: 3})
	shop, err := sim.AddShop(domain, simulator.Catalogue{Variants: 300, Currency: "JPY"})
	if err != nil {
		t.Fatal(err)
	}
	for v := range shop.Variants.All() {
		if v.Price < 100_00 || v.Price%100 != 0 || v.CompareAtPrice%100 != 0 || v.Item.Cost%100 != 0 {
			t.Fatalf("%s: price %s, compared at %s, cost %s", v.SKU, v.Price, v.CompareAtPrice, v.Item.Cost)
		}
	}
	for d := range shop.Discounts.All() {
		if text := d.Summary(shop.Currency); strings.Contains(text, ".00 JPY") {
			t.Errorf("%s: %s", d.Title, text)
		}
	}
}

// TestFractionsOfAYenAreRounded tries every way in: a file, mutations of
// variants, items and discounts, and the page's form goes by the same edits.
func TestFractionsOfAYenAreRounded(t *testing.T) {
	rows, err := simulator.ReadCSV(strings.NewReader("Handle,Title,Variant Price,Variant Compare At Price,Cost per item\ntea,Tea,99.50,120.49,50.01\n"))
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, simulator.Catalogue{CSV: rows, Currency: "JPY"}, nil)
	c := w.client("write_products", "write_inventory", "write_discounts")
	p := w.firstProduct()
	v := p.Variants[0]
	shown := func() string { return fmt.Sprint(v.Price, " ", v.CompareAtPrice, " ", v.Item.Cost) }
	if got := shown(); got != "100.00 120.00 50.00" {
		t.Errorf("from the file: %s", got)
	}
	var done struct {
		ProductVariantsBulkUpdate struct{ UserErrors []simulator.UserError }
	}
	c.get(&done, `mutation($p: ID!, $v: ID!) { productVariantsBulkUpdate(productId: $p, variants: [{id: $v, price: "10.49", compareAtPrice: "20.5", inventoryItem: {cost: "0.99"}}]) { userErrors { message } } }`,
		"p", p.GID(), "v", v.GID())
	if got := shown(); got != "10.00 21.00 1.00" || len(done.ProductVariantsBulkUpdate.UserErrors) > 0 {
		t.Errorf("after the mutation: %s, %v", got, done)
	}
	var made struct {
		DiscountCodeBasicCreate struct {
			CodeDiscountNode struct{ CodeDiscount json.RawMessage }
		}
	}
	c.get(&made, `mutation { discountCodeBasicCreate(basicCodeDiscount: {title: "x", code: "x", startsAt: "2026-01-01T00:00:00Z", context: {all: ALL}, minimumRequirement: {subtotal: {greaterThanOrEqualToSubtotal: "99.5"}},
		customerGets: {items: {all: true}, value: {discountAmount: {amount: "7.77", appliesOnEachItem: false}}}}) {
		codeDiscountNode { codeDiscount { ... on DiscountCodeBasic { customerGets { value { ... on DiscountAmount { amount { amount } } } } minimumRequirement { ... on DiscountMinimumSubtotal { greaterThanOrEqualToSubtotal { amount } } } } } } userErrors { message } } }`)
	if got := string(made.DiscountCodeBasicCreate.CodeDiscountNode.CodeDiscount); got != `{"customerGets":{"value":{"amount":{"amount":"8.0"}}},"minimumRequirement":{"greaterThanOrEqualToSubtotal":{"amount":"100.0"}}}` {
		t.Errorf("discount: %s", got)
	}
	for _, text := range []string{"", "-", "--5", "1e3", "+5", "1.-5"} {
		answer := c.ask(`mutation($p: ID!, $v: ID!, $price: Money) { productVariantsBulkUpdate(productId: $p, variants: [{id: $v, price: $price}]) { userErrors { message } } }`, "p", p.GID(), "v", v.GID(), "price", text)
		if v.Price != 10_00 {
			t.Errorf("price %q was taken: %s %s %v", text, v.Price, answer.Data, answer.Errors)
		}
	}
}

const csvHead = "Handle,Title,Body (HTML),Vendor,Type,Tags,Published,Option1 Name,Option1 Value,Option2 Name,Option2 Value,Variant SKU,Variant Inventory Tracker,Variant Inventory Qty," +
	"Variant Inventory Policy,Variant Price,Variant Compare At Price,Variant Requires Shipping,Variant Taxable,Variant Barcode,Image Src,Cost per item,Status\n"

const csvFile = "\ufeff" + csvHead +
	`tea,"Tea, ""green""","<p>Two
lines</p>",茶與山,Tea & Coffee,"vegan, sale",TRUE,Weight,100 g,Tin,Red,TEA-1,shopify,12,deny,19.90,25.00,true,false,'0401,https://cdn.example.com/tea.jpg,7.5,active
tea,,,,,,,,250 g,,Red,TEA-2,shopify,-3,continue,39,,true,true,,,,
tea,,,,,,,,,,,,,,,,,,,,https://cdn.example.com/tea-2.jpg,,
gift-card,Gift card,,,,,FALSE,Title,Default Title,,,,,,deny,50.00,,FALSE,TRUE,,,,draft
`

// csvFileOfToday is csvFile under the names that columns have since 2025, in
// their order of today, with columns that are passed over.
const csvFileOfToday = "Title,URL handle,Description,Vendor,Product category,Type,Tags,Published on online store,Status,SKU,Barcode," +
	"Option1 name,Option1 value,Option1 Linked To,Option2 name,Option2 value,Price,Compare-at price,Cost per item,Charge tax,Tax code," +
	"Inventory tracker,Inventory quantity,Continue selling when out of stock,Requires shipping,Fulfillment service,Product image URL,Image position\n" +
	`"Tea, ""green""",tea,"<p>Two
lines</p>",茶與山,,Tea & Coffee,"vegan, sale",TRUE,active,TEA-1,'0401,Weight,100 g,,Tin,Red,19.90,25.00,7.5,false,,shopify,12,DENY,true,manual,https://cdn.example.com/tea.jpg,1
,tea,,,,,,,,TEA-2,,,250 g,,,Red,39,,,true,,shopify,-3,CONTINUE,true,manual,,
,tea,,,,,,,,,,,,,,,,,,,,,,,,,https://cdn.example.com/tea-2.jpg,2
Gift card,gift-card,,,,,,FALSE,draft,,,Title,Default Title,,,,50.00,,,TRUE,,,,DENY,FALSE,manual,,
`

func TestShopIsMadeFromAProductExport(t *testing.T) {
	for name, file := range map[string]string{"older names": csvFile, "newer names": csvFileOfToday} {
		t.Run(name, func(t *testing.T) { shopFromExport(t, file) })
	}
}

func shopFromExport(t *testing.T, file string) {
	products, err := simulator.ReadCSV(strings.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	sim := simulator.New(simulator.Config{Seed: 3})
	shop, err := sim.AddShop(domain, simulator.Catalogue{CSV: products})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for p := range shop.Products.All() {
		got = append(got, fmt.Sprintf("%s|%s|%q|%s|%v|%s|%v", p.Handle, p.Title, p.DescriptionHTML, p.Vendor, p.Tags, p.Status, p.PublishedAt.IsZero()))
		for _, v := range p.Variants {
			got = append(got, fmt.Sprintf("  %s|%s|%s|%s|%s|%d|%s|%s|%v|%v|%v", v.Title, v.SKU, v.Barcode, v.Price, v.CompareAtPrice, v.InventoryQuantity(),
				v.Policy, v.Item.Cost, v.Taxable, v.Item.Tracked, v.Item.RequiresShipping))
		}
	}
	want := []string{
		`tea|Tea, "green"|"<p>Two\nlines</p>"|茶與山|[sale vegan]|ACTIVE|false`,
		"  100 g / Red|TEA-1|0401|19.90|25.00|12|DENY|7.50|false|true|true",
		"  250 g / Red|TEA-2||39.00|0.00|-3|CONTINUE|0.00|true|true|true",
		`gift-card|Gift card|""|` + shop.Name + `|[]|DRAFT|true`,
		"  Default Title|||50.00|0.00|0|DENY|0.00|true|false|false",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestAProductFileOfAnotherEncodingIsRefused(t *testing.T) {
	_, err := simulator.ReadCSV(strings.NewReader("Handle,Title\ntea,\"Tea\ngreen\"\ncafe,Caf\xe9\n"))
	if want := "read product CSV: line 4: the byte 0xE9 is not UTF-8"; err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), "CSV UTF-8") {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestAProductFileKeepsImagesTagsAndGiftCards: what rows of images and the
// rarer columns say is there, in the API and in webhooks.
func TestAProductFileKeepsImagesTagsAndGiftCards(t *testing.T) {
	products, err := simulator.ReadCSV(strings.NewReader(`Handle,Title,Tags,Variant Price,Cost per item,Image Src,Gift Card
tea,Tea,"Green, organic,GREEN,Organic",9,0,https://cdn.example.com/1.jpg,FALSE
tea,,,,,https://cdn.example.com/2.jpg,
tea,,,,,https://cdn.example.com/3.jpg,
card,Card,,50,,,TRUE
`))
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, simulator.Catalogue{CSV: products}, nil)
	c := w.client(allScopes...)
	c.expect(`{"products":{"nodes":[`+
		`{"tags":["Green","organic"],"isGiftCard":false,"mediaCount":{"count":3},"featuredImage":{"url":"https://cdn.example.com/1.jpg"},`+
		`"images":{"nodes":[{"url":"https://cdn.example.com/1.jpg"},{"url":"https://cdn.example.com/2.jpg"},{"url":"https://cdn.example.com/3.jpg"}]},`+
		`"media":{"nodes":[{"image":{"url":"https://cdn.example.com/2.jpg"}},{"image":{"url":"https://cdn.example.com/3.jpg"}}]},`+
		`"variants":{"nodes":[{"inventoryItem":{"unitCost":null}}]}},`+
		`{"tags":[],"isGiftCard":true,"mediaCount":{"count":0},"featuredImage":null,"images":{"nodes":[]},"media":{"nodes":[]},"variants":{"nodes":[{"inventoryItem":{"unitCost":null}}]}}]}}`,
		`{ products(first: 9) { nodes { tags isGiftCard mediaCount { count } featuredImage { url } images(first: 9) { nodes { url } } media(last: 2) { nodes { ... on MediaImage { image { url } } } }
			variants(first: 1) { nodes { inventoryItem { unitCost { amount } } } } } } }`)
	c.expect(`{"products":{"nodes":[{"title":"Card"}]}}`, `{ products(first: 9, query: "gift_card:true") { nodes { title } } }`)
	w.subscribe(nil, "PRODUCTS_UPDATE")
	if err := w.shop.UpdateProduct(w.firstProduct().ID, func(p *simulator.Product) { p.Title = "Tea!"; p.Tags = append(p.Tags, "ORGANIC", "new") }); err != nil {
		t.Fatal(err)
	}
	body := w.heard()[0].body
	var addresses []string
	for _, image := range body["images"].([]any) {
		addresses = append(addresses, fmt.Sprint(image.(map[string]any)["position"], " ", image.(map[string]any)["src"]))
	}
	if got := strings.Join(addresses, ", "); got != "1 https://cdn.example.com/1.jpg, 2 https://cdn.example.com/2.jpg, 3 https://cdn.example.com/3.jpg" || body["tags"] != "Green, new, organic" {
		t.Errorf("webhook: images %s, tags %q", got, body["tags"])
	}
}

func TestBadProductFileIsRefusedByLine(t *testing.T) {
	row := func(change func([]string)) string {
		cells := make([]string, 23)
		for i, cell := range map[int]string{0: "tea", 1: "Tea", 6: "TRUE", 7: "Weight", 8: "100 g", 15: "19.90"} {
			cells[i] = cell
		}
		change(cells)
		return strings.Join(cells, ",") + "\n"
	}
	set := func(at int, text string) func([]string) { return func(cells []string) { cells[at] = text } }
	for name, test := range map[string]struct{ file, want string }{
		"empty":          {"", "the file is empty"},
		"something else": {"a,b\n1,2\n", "line 1: no column Handle"},
		"only headings":  {csvHead, "no products"},
		"no handle":      {csvHead + row(set(0, "")), "line 2: the column Handle"},
		"no title":       {csvHead + row(set(1, "")), "line 2: the column Title"},
		"price":          {csvHead + row(set(15, "1.234")), `line 2: Variant Price: "1.234"`},
		"quantity":       {csvHead + row(set(13, "many")), `line 2: Variant Inventory Qty: "many"`},
		"policy":         {csvHead + row(set(14, "maybe")), "line 2: Variant Inventory Policy"},
		"published":      {csvHead + row(set(6, "soon")), `line 2: Published: "soon"`},
		"status":         {csvHead + row(set(22, "gone")), "line 2: Status"},
		"same variant":   {csvHead + row(set(0, "tea")) + row(set(1, "")), "line 3: handle \"tea\" has the variant \"100 g\" twice"},
		"option":         {csvHead + row(set(0, "tea")) + row(set(8, "")), "line 3: Option1 Value"},
		"quotes":         {csvHead + row(set(2, `"open`)), "line 2"},
		"newer names":    {strings.NewReplacer("Variant Price", "Price", "Handle", "URL handle").Replace(csvHead) + row(set(15, "1.234")), `line 2: Price: "1.234"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := simulator.ReadCSV(strings.NewReader(test.file))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

func FuzzReadCSV(f *testing.F) {
	f.Add(csvFile)
	f.Add(csvFileOfToday)
	f.Add("Handle,Title\n,\na,b")
	f.Fuzz(func(t *testing.T, file string) {
		products, err := simulator.ReadCSV(strings.NewReader(file))
		if err != nil {
			return
		}
		if _, err := simulator.New(simulator.Config{}).AddShop(domain, simulator.Catalogue{CSV: products}); err != nil {
			t.Error(err)
		}
	})
}
