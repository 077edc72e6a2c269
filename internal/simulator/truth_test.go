package simulator_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"stockroom/internal/simulator"
)

func newShop(t *testing.T, seed uint64, catalogue simulator.Catalogue, now func() time.Time) *simulator.Shop {
	t.Helper()
	sim := simulator.New(simulator.Config{Seed: seed, Now: now})
	shop, err := sim.AddShop(domain, catalogue)
	if err != nil {
		t.Fatal(err)
	}
	return shop
}

func TestExportKeepsTheContract(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile("../../docs/export.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	shop := newShop(t, 3, simulator.Catalogue{Products: 120, BigVariants: 130}, nil)
	rng := rand.New(rand.NewPCG(3, 3))
	for range 500 {
		shop.RandomEdit(rng)
	}
	seen := make(map[string]int)
	for line := range strings.Lines(export(t, shop)) {
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(line))
		if err != nil {
			t.Fatalf("line %s: %v", line, err)
		}
		if err := schema.Validate(value); err != nil {
			t.Errorf("line %s: %v", line, err)
		}
		seen[value.(map[string]any)["type"].(string)]++
	}
	want := []string{"Collection", "Discount", "InventoryItem", "InventoryLevel", "Location", "Metafield", "Order", "Product", "ProductVariant", "Shop"}
	if got := slices.Sorted(maps.Keys(seen)); !slices.Equal(got, want) {
		t.Errorf("types %q", got)
	}
}

func TestCatalogueIsDecidedByItsSeed(t *testing.T) {
	clock := newClock()
	one := export(t, newShop(t, 5, simulator.Catalogue{Products: 40}, clock.Now))
	again := export(t, newShop(t, 5, simulator.Catalogue{Products: 40}, clock.Now))
	other := export(t, newShop(t, 6, simulator.Catalogue{Products: 40}, clock.Now))
	if one != again || one == other {
		t.Errorf("same seed same shop: %v; other seed same shop: %v", one == again, one == other)
	}
}

func TestCatalogueHasWhatRealShopsHave(t *testing.T) {
	shop := newShop(t, 1, simulator.Catalogue{Products: 300, BigVariants: 250}, nil)
	discounts, statuses := map[string]bool{}, map[string]bool{}
	for d := range shop.Discounts.All() {
		discounts[d.Typename] = true
		statuses[d.Status(time.Now())] = true
	}
	if len(discounts) != 8 || len(statuses) != 3 {
		t.Errorf("%d types of discounts with %d statuses; want all 8 and 3", len(discounts), len(statuses))
	}
	has := map[string]bool{}
	skus := map[string]int{}
	for v := range shop.Variants.All() {
		skus[v.SKU]++
		has["no sku"] = has["no sku"] || v.SKU == ""
		has["shared sku"] = has["shared sku"] || v.SKU != "" && skus[v.SKU] > 1
		has["untracked"] = has["untracked"] || !v.Item.Tracked
		has["oversold"] = has["oversold"] || v.InventoryQuantity() < 0
		for _, l := range v.Item.Levels {
			has["level that does not count"] = has["level that does not count"] || !l.Shown()
		}
	}
	for p := range shop.Products.All() {
		has[p.Status] = true
		has["beyond ASCII"] = has["beyond ASCII"] || strings.ContainsAny(p.Title, "茶棉é🌶")
	}
	for l := range shop.Locations.All() {
		has["closed location"] = has["closed location"] || !l.Active
	}
	for c := range shop.Collections.All() {
		has[fmt.Sprintf("smart %v, filled %v", c.Smart(), len(c.Members) > 0)] = true
	}
	for o := range shop.Orders.All() {
		has[fmt.Sprintf("old order %v", time.Since(o.CreatedAt) > 60*24*time.Hour)] = true
	}
	for _, want := range []string{"no sku", "shared sku", "untracked", "oversold", "level that does not count", "ACTIVE", "DRAFT", "ARCHIVED", "UNLISTED",
		"beyond ASCII", "closed location", "smart true, filled true", "smart false, filled true", "old order true", "old order false"} {
		if !has[want] {
			t.Errorf("the catalogue lacks: %s", want)
		}
	}
	if n := len(shop.Products.IDs()); n != 300 {
		t.Errorf("%d products", n)
	}
}

// After any edits, what is kept for quickness must still say what the records say.
func TestIndexesHoldAfterRandomEdits(t *testing.T) {
	clock := newClock()
	shop := newShop(t, 11, simulator.Catalogue{Products: 60}, clock.Now)
	rng := rand.New(rand.NewPCG(11, 1))
	kinds := map[string]int{}
	for range 6000 {
		clock.pass(time.Duration(rng.IntN(1500)) * time.Millisecond)
		edit := shop.RandomEdit(rng)
		if edit.What == "" || len(edit.IDs) == 0 {
			t.Fatalf("edit %+v says nothing", edit)
		}
		kinds[edit.Kind]++
	}
	if len(kinds) < 26 {
		t.Errorf("only %d kinds of edits came: %v", len(kinds), kinds)
	}
	var last time.Time
	seen := map[int64]bool{}
	for p := range shop.Products.ChangedAfter(time.Time{}, 0) {
		if p.UpdatedAt.Before(last) || seen[p.ID] {
			t.Fatalf("product %d at %v comes after %v, seen before %v", p.ID, p.UpdatedAt, last, seen[p.ID])
		}
		last, seen[p.ID] = p.UpdatedAt, true
	}
	if len(seen) != shop.Products.Len() {
		t.Errorf("in order of change there are %d products, of %d", len(seen), shop.Products.Len())
	}
	variants, levels := 0, 0
	for p := range shop.Products.All() {
		for i, v := range p.Variants {
			variants++
			if v.Position != i+1 || v.Product != p || v.Item.Variant != v || v.Item.SKU != v.SKU || len(v.Values) != len(p.Options) {
				t.Errorf("variant %d of product %d is out of joint", v.ID, p.ID)
			}
			for _, l := range v.Item.Levels {
				levels++
				if held, ok := l.Location.Levels.Get(v.Item.ID); !ok || held != l {
					t.Errorf("location %d does not hold its level of item %d", l.Location.ID, v.Item.ID)
				}
			}
		}
		for c := range shop.Collections.All() {
			if c.Smart() && c.Holds(p.ID) != slices.ContainsFunc(c.Rules, func(r simulator.Rule) bool { return r.Matches(p) }) && (c.AnyRule || len(c.Rules) == 1) {
				t.Errorf("collection %d and product %d: held %v against its rules", c.ID, p.ID, c.Holds(p.ID))
			}
		}
	}
	if variants != shop.Variants.Len() || variants != shop.Items.Len() {
		t.Errorf("%d variants, indexes hold %d and %d items", variants, shop.Variants.Len(), shop.Items.Len())
	}
	for l := range shop.Locations.All() {
		levels -= l.Levels.Len()
	}
	if levels != 0 {
		t.Errorf("locations hold %d levels too many", -levels)
	}
	owned := len(shop.Own)
	for p := range shop.Products.All() {
		owned += len(p.Metafields)
		for _, v := range p.Variants {
			owned += len(v.Metafields)
		}
	}
	for c := range shop.Collections.All() {
		owned += len(c.Metafields)
	}
	if owned != shop.Metafields.Len() {
		t.Errorf("owners have %d metafields, the index %d", owned, shop.Metafields.Len())
	}
}

func TestExportLeavesOutWhatDoesNotCount(t *testing.T) {
	shop := newShop(t, 2, simulator.Catalogue{Products: 4}, nil)
	v := trackedVariant(t, shop)
	l := v.Item.Levels[0]
	o, err := shop.CreateOrder(simulator.OrderSpec{Lines: []simulator.OrderLine{{Variant: v.ID, Quantity: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(export(t, shop), l.GID()) {
		t.Fatal("an active level is missing")
	}
	if err := shop.DisconnectLevel(v.Item.ID, l.Location.ID); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(export(t, shop), l.GID()) {
		t.Error("a disconnected level is there")
	}
	if err := shop.ConnectLevel(v.Item.ID, l.Location.ID, 5); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(export(t, shop), l.GID()) {
		t.Error("a level did not come back under its id")
	}
	if err := shop.DeactivateLocation(l.Location.ID); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(export(t, shop), l.GID()) {
		t.Error("a level at a closed location is there")
	}
	if err := shop.DeleteProduct(v.Product.ID); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(export(t, shop)) {
		if strings.Contains(line, o.GID()) && !strings.Contains(line, `"variantId":null`) {
			t.Errorf("the order's line names a deleted variant: %s", line)
		}
	}
}

func TestExportHoldsTheOrdersOfSixtyDays(t *testing.T) {
	shop := newShop(t, 2, simulator.Catalogue{Products: 20, Orders: 100}, nil)
	truth, inside := export(t, shop), 0
	for o := range shop.Orders.All() {
		recent := time.Since(o.CreatedAt) < 60*24*time.Hour
		if recent {
			inside++
		}
		if got := strings.Contains(truth, `"`+o.GID()+`"`); got != recent {
			t.Errorf("order of %v is in the export: %v", o.CreatedAt, got)
		}
	}
	if inside == 0 || inside == 100 {
		t.Errorf("%d of 100 orders are recent", inside)
	}
}

func TestCompareFindsEveryDifference(t *testing.T) {
	shop := newShop(t, 4, simulator.Catalogue{Products: 10}, nil)
	want := strings.Split(strings.TrimSpace(export(t, shop)), "\n")
	shuffled := slices.Clone(want)
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	join := func(lines []string) *strings.Reader { return strings.NewReader(strings.Join(lines, "\n") + "\n") }
	report, err := simulator.Compare(join(want), join(shuffled))
	if err != nil || !report.Exact() || report.Types["Product"].Want != 10 || report.Types["Product"].Got != 10 {
		t.Fatalf("shuffled: %v\n%v", err, report)
	}

	product := slices.IndexFunc(want, func(l string) bool { return strings.HasPrefix(l, `{"type":"Product","id"`) })
	change := func(edit func(map[string]any)) []string {
		lines := slices.Clone(want)
		var object map[string]any
		if err := json.Unmarshal([]byte(lines[product]), &object); err != nil {
			t.Fatal(err)
		}
		edit(object)
		text, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		lines[product] = string(text)
		return lines
	}
	for _, tt := range []struct {
		name                  string
		got                   []string
		missing, extra, wrong int
		field                 string
	}{
		{"missing", slices.Delete(slices.Clone(want), product, product+1), 1, 0, 0, ""},
		{"extra", append(slices.Clone(want), strings.Replace(want[product], `"id":"`, `"id":"x`, 1)), 0, 1, 0, ""},
		{"other value", change(func(o map[string]any) { o["title"] = "other" }), 0, 0, 1, "title"},
		{"null for empty", change(func(o map[string]any) { o["vendor"] = nil }), 0, 0, 1, "vendor"},
		{"field lacks", change(func(o map[string]any) { delete(o, "handle") }), 0, 0, 1, "handle"},
		{"field too much", change(func(o map[string]any) { o["more"] = nil }), 0, 0, 1, "more"},
		{"same in another spelling", change(func(map[string]any) {}), 0, 0, 0, ""},
	} {
		for _, swapped := range []bool{false, true} {
			a, b, missing, extra := want, tt.got, tt.missing, tt.extra
			if swapped {
				a, b, missing, extra = tt.got, want, tt.extra, tt.missing
			}
			report, err := simulator.Compare(join(a), join(b))
			if err != nil {
				t.Fatal(err)
			}
			got := report.Types["Product"]
			if got.Missing != missing || got.Extra != extra || got.Wrong != tt.wrong || tt.field != "" && got.Fields[tt.field] != 1 || report.Exact() != (missing+extra+tt.wrong == 0) {
				t.Errorf("%s, swapped %v: %v", tt.name, swapped, report)
			}
		}
	}
	for name, lines := range map[string][]string{"twice": append(slices.Clone(want), want[product]), "torn": append(slices.Clone(want), `{"type":"Product"`), "nameless": {`{"type":"Product"}`}} {
		if _, err := simulator.Compare(join(want), join(lines)); err == nil {
			t.Errorf("an export with a line %s compares without an error", name)
		}
	}
}

func TestLargeCatalogueIsQuick(t *testing.T) {
	start := time.Now()
	shop := newShop(t, 1, simulator.Catalogue{Products: 20_000}, nil)
	t.Logf("20,000 products, %d variants in %v", shop.Variants.Len(), time.Since(start))
	var counted counter
	if err := shop.Export(&counted); err != nil {
		t.Fatal(err)
	}
	if counted < 20_000*100 {
		t.Errorf("the export has %d bytes", counted)
	}
}

type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
