package query_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"stockroom/internal/mirror"
	"stockroom/internal/query"
	"stockroom/internal/store"
	"stockroom/internal/store/storetest"
)

const domain = "sample.myshopify.com"

// reader asks a minute after the sample shop was read.
func reader(s *store.Store) *query.Reader {
	return query.New(s, func() time.Time { return storetest.Noon.Add(time.Minute).Time() })
}

func export(t *testing.T, s *store.Store, domain string) []string {
	t.Helper()
	var out bytes.Buffer
	if err := reader(s).Export(t.Context(), &out, domain); err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
}

func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	compiled, err := jsonschema.NewCompiler().Compile("../../docs/export.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

func validate(t *testing.T, schema *jsonschema.Schema, line string) error {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(line))
	if err != nil {
		t.Fatalf("line %s: %v", line, err)
	}
	return schema.Validate(value)
}

func TestEveryLineOfTheExportFollowsItsSchema(t *testing.T) {
	s := storetest.Open(t)
	storetest.Sample(t, s, domain)
	schema := schema(t)
	types := map[string]bool{}
	for _, line := range export(t, s, domain) {
		if err := validate(t, schema, line); err != nil {
			t.Errorf("%s\n%v", line, err)
		}
		var head struct{ Type string }
		if err := json.Unmarshal([]byte(line), &head); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(line, `{"type":"`+head.Type+`","id":"gid://shopify/`) {
			t.Errorf("type and id do not come first: %s", line)
		}
		types[head.Type] = true
	}
	if len(types) != len(mirror.Types) {
		t.Errorf("the sample has lines of %v alone", slices.Sorted(maps.Keys(types)))
	}
}

// A schema that admits everything would prove nothing.
func TestTheExportsSchemaIsStrict(t *testing.T) {
	s := storetest.Open(t)
	storetest.Sample(t, s, domain)
	schema := schema(t)
	for _, line := range export(t, s, domain) {
		var whole map[string]json.RawMessage
		if err := json.Unmarshal([]byte(line), &whole); err != nil {
			t.Fatal(err)
		}
		for field := range whole {
			part := maps.Clone(whole)
			delete(part, field)
			if validate(t, schema, encode(t, part)) == nil {
				t.Errorf("a line without %s is let through: %s", field, line)
			}
		}
		more := maps.Clone(whole)
		more["another"] = json.RawMessage(`1`)
		if validate(t, schema, encode(t, more)) == nil {
			t.Errorf("a line with another field is let through: %s", line)
		}
	}
	for _, swap := range [][2]string{
		{`"19.9"`, `"19.90"`}, {`"19.9"`, `19.9`}, {`"2026-10-01T11:00:00Z"`, `"2026-10-01T11:00:00.000Z"`}, {`"compareAtPrice":null`, `"compareAtPrice":""`},
		{`"percentage"`, `"percent"`}, {`"status":"ACTIVE"`, `"status":"active"`}, {`?inventory_item_id=11`, ``},
	} {
		for _, line := range export(t, s, domain) {
			if broken := strings.Replace(line, swap[0], swap[1], 1); broken != line && validate(t, schema, broken) == nil {
				t.Errorf("%s for %s is let through: %s", swap[1], swap[0], broken)
			}
		}
	}
}

func encode(t *testing.T, value any) string {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// The sample holds a deleted product, a variant and a metafield that left their
// sets, stock at a closed location and an order out of the window.
func TestTheExportShowsWhatReadersSee(t *testing.T) {
	s := storetest.Open(t)
	shop := storetest.Sample(t, s, domain)
	byType := map[string][]string{}
	byID := map[string]map[string]any{}
	for _, line := range export(t, s, domain) {
		var object map[string]any
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			t.Fatal(err)
		}
		id := object["id"].(string)
		byType[object["type"].(string)] = append(byType[object["type"].(string)], id)
		byID[id] = object
	}
	number := func(ids []string) string {
		slices.Sort(ids)
		for i, id := range ids {
			ids[i] = id[strings.LastIndexByte(id, '/')+1:]
		}
		return strings.Join(ids, " ")
	}
	for name, want := range map[string]string{
		"Shop": "1", "Location": "1 2 3", "Product": "1 2 3", "ProductVariant": "11 12 21 31", "InventoryItem": "11 12 21 31",
		"InventoryLevel": "111?inventory_item_id=11 112?inventory_item_id=11 121?inventory_item_id=12 312?inventory_item_id=31",
		"Collection":     "1 2", "Discount": "2 3 1", "Metafield": "1 2 3 4", "Order": "1001",
	} {
		if got := number(byType[name]); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	for id, want := range map[string]string{
		"gid://shopify/Collection/1":            `"productIds":["gid://shopify/Product/1","gid://shopify/Product/3"],`,
		"gid://shopify/Collection/2":            `"productIds":null,`,
		"gid://shopify/DiscountAutomaticNode/2": `"appliesTo":{"collectionIds":["gid://shopify/Collection/1"],"productIds":["gid://shopify/Product/3"],"variantIds":[]},`,
		"gid://shopify/DiscountCodeNode/1":      `"status":"ACTIVE",`,
		"gid://shopify/DiscountAutomaticNode/3": `"status":"EXPIRED",`,
		"gid://shopify/Product/2":               `"totalInventory":null,`, // Not read yet.
		"gid://shopify/ProductVariant/21":       `"availableForSale":null,`,
		"gid://shopify/Metafield/1":             `"value":"Fair & square"`,
		"gid://shopify/Order/1001":              `"displayFinancialStatus":"PAID",`,
	} {
		var text bytes.Buffer // Keys in order, HTML as it is.
		encoder := json.NewEncoder(&text)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(byID[id]); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(text.String(), want) {
			t.Errorf("%s: %s lacks %s", id, text.String(), want)
		}
	}

	shop.Scopes += ",read_all_orders"
	storetest.Update(t, s, func(tx *store.Tx) error { _, err := tx.SaveShop(shop); return err })
	orders := 0
	for _, line := range export(t, s, domain) {
		if strings.HasPrefix(line, `{"type":"Order"`) {
			orders++
		}
	}
	if orders != 2 {
		t.Errorf("with read_all_orders: %d orders, want 2", orders)
	}
}

// Only the clock moves between the two exports, and the clock is Shopify's.
func TestTheClockDecidesADiscountsStatus(t *testing.T) {
	s := storetest.Open(t)
	shop := storetest.Sample(t, s, domain)
	status := func() string {
		for _, line := range export(t, s, domain) {
			if strings.Contains(line, "DiscountAutomaticNode/2") {
				_, after, _ := strings.Cut(line, `"status":"`)
				return after[:strings.IndexByte(after, '"')]
			}
		}
		return "not found"
	}
	if got := status(); got != mirror.DiscountScheduled {
		t.Errorf("an hour before it starts: %s", got)
	}
	storetest.Update(t, s, func(tx *store.Tx) error { return tx.SetClockOffset(shop.ID, time.Hour.Milliseconds()) })
	if got := status(); got != mirror.DiscountActive {
		t.Errorf("where Shopify's clock is an hour ahead: %s", got)
	}
}

func TestAnUnknownOrErasedShopIsNotExported(t *testing.T) {
	s := storetest.Open(t)
	gone := storetest.AddShop(t, s, "gone.myshopify.com")
	gone.State = store.ShopUninstalled
	storetest.Update(t, s, func(tx *store.Tx) error { _, err := tx.SaveShop(gone); return err })
	left := storetest.Sample(t, s, "left.myshopify.com")
	left.State = store.ShopUninstalled
	storetest.Update(t, s, func(tx *store.Tx) error { _, err := tx.SaveShop(left); return err })
	for _, name := range []string{"unknown.myshopify.com", gone.Domain, ""} {
		var out bytes.Buffer
		err := reader(s).Export(t.Context(), &out, name)
		if asked, ok := errors.AsType[*query.Error](err); !ok || asked.Code != query.NotFound || out.Len() > 0 {
			t.Errorf("export %q: error %v and %q", name, err, out.String())
		}
	}
	if lines := export(t, s, left.Domain); len(lines) < 10 {
		t.Errorf("a shop that uninstalled and is not erased: %d lines", len(lines))
	}
}

// The pages of the walk must join without a gap or a repetition.
func TestTheExportPagesThroughManyProducts(t *testing.T) {
	s := storetest.Open(t)
	shop := storetest.AddShop(t, s, domain)
	at := mirror.TimeOf(storetest.Noon.Time())
	var records []store.Record
	for n := range int64(120) {
		product := mirror.NewGID("Product", 1000+n)
		records = append(records, storetest.Present(t, product, mirror.Product{Title: "P", UpdatedAt: at}, storetest.Noon))
		for v := range int64(3) {
			id := mirror.NewGID("ProductVariant", 10*(1000+n)+v)
			records = append(records, storetest.Present(t, id, mirror.ProductVariant{ProductID: product, InventoryItemID: storetest.Item(id), Price: "1", UpdatedAt: at}, storetest.Noon),
				storetest.Present(t, storetest.Item(id), mirror.InventoryItem{UpdatedAt: at}, storetest.Noon))
		}
	}
	// An item that two variants name is one item.
	twin := mirror.NewGID("ProductVariant", 99_999)
	records = append(records, storetest.Present(t, twin, mirror.ProductVariant{ProductID: mirror.NewGID("Product", 1000),
		InventoryItemID: storetest.Item(mirror.NewGID("ProductVariant", 10_000)), Price: "1", UpdatedAt: at}, storetest.Noon))
	storetest.Save(t, s, shop, records...)
	seen := map[string]int{}
	for _, line := range export(t, s, domain) {
		seen[line]++
	}
	if len(seen) != 120+361+360 {
		t.Errorf("%d different lines", len(seen))
	}
	for line, n := range seen {
		if n > 1 {
			t.Errorf("%d times: %s", n, line)
		}
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, os.ErrClosed }

func TestAnExportThatCannotBeWrittenFails(t *testing.T) {
	s := storetest.Open(t)
	storetest.Sample(t, s, domain)
	if err := reader(s).Export(t.Context(), failing{}, domain); !errors.Is(err, os.ErrClosed) {
		t.Errorf("got %v", err)
	}
}
