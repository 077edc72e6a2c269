package shopify

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"

	"stockroom/internal/devtools/shopifyschema"
	"stockroom/internal/mirror"
)

var (
	triggered = mirror.At(time.Date(2026, 11, 24, 12, 0, 0, 123_000_000, time.UTC))
	received  = triggered.Add(2 * time.Second)
)

func deliver(topic, body string) Delivery {
	return Delivery{Topic: topic, Body: []byte(body), TriggeredAt: triggered, ReceivedAt: received}
}

func decode(t *testing.T, topic, body string) Heard {
	t.Helper()
	heard, err := Decode(deliver(topic, body))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range heard.Observations {
		if o.Source != mirror.FromWebhook || o.Heard != received {
			t.Errorf("%s is from %s, heard %s", o.Key, o.Source, o.Heard)
		}
	}
	return heard
}

// told lists a delivery's observations and demands, one a line.
func told(h Heard) string {
	var lines []string
	for _, o := range h.Observations {
		content := "absent"
		if o.Content != nil {
			content = string(o.Content)
		}
		lines = append(lines, fmt.Sprintf("%s at %s %s", o.Key, o.AsOf, content))
	}
	for _, d := range h.Demands {
		lines = append(lines, fmt.Sprintf("read %s %s updated %s asOf %s delay %s", d.Read, d.ID, d.Updated, d.AsOf, d.Delay))
	}
	return strings.Join(lines, "\n")
}

const productBodyText = `{
  "id": 788032119674292922, "admin_graphql_api_id": "gid://shopify/Product/788032119674292922",
  "title": "T <b>&", "body_html": null, "handle": "t", "status": "active", "vendor": "Acme", "product_type": "Shirts",
  "tags": "mens, example,mens", "created_at": "2021-12-31T19:00:00-05:00", "updated_at": "2026-11-24T07:00:00-05:00",
  "published_at": null, "template_suffix": null,
  "options": [{"id": 1, "name": "Size", "position": 1, "values": ["S", "M"]}],
  "variants": [{"id": 642667041472713922, "product_id": 788032119674292922, "title": "S", "sku": "", "barcode": null,
    "price": "19.90", "compare_at_price": "24.00", "taxable": true, "inventory_policy": "deny",
    "inventory_item_id": 271878346596884015, "option1": "S", "option2": null, "option3": null,
    "created_at": "2021-12-31T19:00:00-05:00", "updated_at": "2026-11-24T06:59:00-05:00"}],
  "variant_gids": [{"admin_graphql_api_id": "gid://shopify/ProductVariant/757650484644203962"},
    {"admin_graphql_api_id": "gid://shopify/ProductVariant/642667041472713922"}]}`

func TestProductWebhookIsReadAsGraphQLSpellsIt(t *testing.T) {
	got := told(decode(t, "products/update", productBodyText))
	want := strings.Join([]string{
		`Product gid://shopify/Product/788032119674292922 at 2026-11-24T12:00:00.123Z {"title":"T <b>&","handle":"t","status":"ACTIVE","vendor":"Acme","productType":"Shirts","tags":["example","mens"],"descriptionHtml":"","createdAt":"2022-01-01T00:00:00Z","updatedAt":"2026-11-24T12:00:00Z","publishedAt":null,"templateSuffix":null,"options":[{"name":"Size","position":1,"values":["S","M"]}]}`,
		`ProductVariantSet gid://shopify/Product/788032119674292922 at 2026-11-24T12:00:00.123Z {"variantIds":["gid://shopify/ProductVariant/642667041472713922","gid://shopify/ProductVariant/757650484644203962"],"updatedAt":"2026-11-24T12:00:00Z"}`,
		`ProductVariant gid://shopify/ProductVariant/642667041472713922 at 2026-11-24T12:00:00.123Z {"productId":"gid://shopify/Product/788032119674292922","inventoryItemId":"gid://shopify/InventoryItem/271878346596884015","title":"S","sku":"","barcode":null,"price":"19.9","compareAtPrice":"24","taxable":true,"inventoryPolicy":"DENY","selectedOptions":[{"name":"Size","value":"S"}],"createdAt":"2022-01-01T00:00:00Z","updatedAt":"2026-11-24T11:59:00Z"}`,
		`read product gid://shopify/Product/788032119674292922 updated 2026-11-24T12:00:00.000Z asOf 2026-11-24T12:00:00.123Z delay 0s`,
		`read product gid://shopify/Product/788032119674292922 updated never asOf 2026-11-24T12:00:30.123Z delay 30s`,
	}, "\n")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestDeliveriesTellWhatTheyCarryAndLeaveTheRestToReads(t *testing.T) {
	const at = " at 2026-11-24T12:00:00.123Z "
	const now = " asOf 2026-11-24T12:00:00.123Z delay 0s"
	const later = " updated never asOf 2026-11-24T12:00:30.123Z delay 30s"
	const noon = `"updated_at":"2026-11-24T07:00:00-05:00"`
	for _, tt := range []struct{ topic, body, want string }{
		{"products/delete", `{"id":788032119674292922}`,
			"Product gid://shopify/Product/788032119674292922" + at + "absent"},
		{"inventory_levels/update", `{"inventory_item_id":271878346596884015,"location_id":24826418,"available":-3,` + noon + `,"admin_graphql_api_id":"gid://shopify/InventoryLevel/99?inventory_item_id=271878346596884015"}`,
			"InventoryLevel gid://shopify/InventoryItem/271878346596884015@24826418" + at + `{"levelGid":"gid://shopify/InventoryLevel/99?inventory_item_id=271878346596884015","inventoryItemId":"gid://shopify/InventoryItem/271878346596884015","locationId":"gid://shopify/Location/24826418","available":-3,"updatedAt":"2026-11-24T12:00:00Z"}` +
				"\nread item gid://shopify/InventoryItem/271878346596884015 updated never" + now + "\nread item gid://shopify/InventoryItem/271878346596884015" + later},
		{"inventory_levels/connect", `{"inventory_item_id":2,"location_id":3,"available":null,` + noon + `,"admin_graphql_api_id":"gid://shopify/InventoryLevel/9?inventory_item_id=2"}`,
			"read item gid://shopify/InventoryItem/2 updated never" + now + "\nread item gid://shopify/InventoryItem/2" + later +
				"\nread level gid://shopify/InventoryItem/2@3 updated 2026-11-24T12:00:00.000Z" + now},
		{"inventory_levels/disconnect", `{"inventory_item_id":2,"location_id":3}`,
			"InventoryLevel gid://shopify/InventoryItem/2@3" + at + "absent\nread item gid://shopify/InventoryItem/2 updated never" + now + "\nread item gid://shopify/InventoryItem/2" + later},
		{"inventory_items/update", `{"id":2,"sku":null,"tracked":true,"requires_shipping":false,"cost":"1.50",` + noon + `}`,
			"InventoryItem gid://shopify/InventoryItem/2" + at + `{"sku":null,"tracked":true,"requiresShipping":false,"unitCost":"1.5","updatedAt":"2026-11-24T12:00:00Z"}` +
				"\nread item gid://shopify/InventoryItem/2 updated 2026-11-24T12:00:00.000Z" + now + "\nread item gid://shopify/InventoryItem/2" + later},
		{"inventory_items/delete", `{"id":2,"country_code_of_origin":null}`, "InventoryItem gid://shopify/InventoryItem/2" + at + "absent"},
		{"collections/update", `{"id":4,"title":"C","handle":"c","body_html":"x","sort_order":"alpha-asc",` + noon + `}`,
			"Collection gid://shopify/Collection/4" + at + `{"title":"C","handle":"c","descriptionHtml":"x","sortOrder":"ALPHA_ASC","updatedAt":"2026-11-24T12:00:00Z"}` +
				"\nread collection gid://shopify/Collection/4 updated 2026-11-24T12:00:00.000Z" + now},
		{"collections/create", `{"id":4,"title":"C","handle":"c","body_html":"x","sort_order":null,` + noon + `}`,
			"read collection gid://shopify/Collection/4 updated 2026-11-24T12:00:00.000Z" + now},
		{"collections/delete", `{"id":4,"published_scope":"web"}`, "Collection gid://shopify/Collection/4" + at + "absent"},
		{"discounts/update", `{"admin_graphql_api_id":"gid://shopify/DiscountAutomaticNode/1","title":"t","status":"ACTIVE",` + noon + `}`,
			"read discount gid://shopify/DiscountAutomaticNode/1 updated 2026-11-24T12:00:00.000Z" + now},
		{"discounts/redeemcode_added", `{"admin_graphql_api_id":"gid://shopify/DiscountCodeNode/1","redeem_code":{"id":"gid://shopify/DiscountRedeemCode/1","code":"a"},` + noon + `}`,
			"read discount gid://shopify/DiscountCodeNode/1 updated never" + now},
		{"discounts/delete", `{"admin_graphql_api_id":"gid://shopify/DiscountCodeNode/1","deleted_at":"2026-11-24T06:59:58-05:00"}`,
			"Discount gid://shopify/DiscountCodeNode/1 at 2026-11-24T11:59:58.999Z absent"},
		{"discounts/delete", `{"admin_graphql_api_id":"gid://shopify/DiscountCodeNode/1","deleted_at":"2036-11-24T06:59:58-05:00"}`,
			"Discount gid://shopify/DiscountCodeNode/1 at 2026-11-24T12:00:02.123Z absent"},
		{"locations/update", `{"id":3,"name":"Main","active":true,` + noon + `}`,
			"Location gid://shopify/Location/3" + at + `{"name":"Main","isActive":true,"updatedAt":"2026-11-24T12:00:00Z"}`},
		{"locations/deactivate", `{"id":3,"name":"Main","active":false,` + noon + `}`,
			"Location gid://shopify/Location/3" + at + `{"name":"Main","isActive":false,"updatedAt":"2026-11-24T12:00:00Z"}` +
				"\nread location gid://shopify/Location/3 updated 2026-11-24T12:00:00.000Z" + now},
		{"locations/delete", `{"id":3}`, "Location gid://shopify/Location/3" + at + "absent"},
		{"orders/updated", `{"id":820982911946154508,"name":"#9","created_at":"2026-11-24T06:00:00-05:00",` + noon + `,"cancelled_at":null,"currency":"USD","total_price":"404.90","note":null,"tags":"b, a","line_items":[{"id":487817672276298554,"variant_id":null,"title":"A","quantity":2},{"id":5,"variant_id":6,"title":"B","quantity":1}]}`,
			"Order gid://shopify/Order/820982911946154508" + at + `{"name":"#9","createdAt":"2026-11-24T11:00:00Z","updatedAt":"2026-11-24T12:00:00Z","cancelledAt":null,"currencyCode":"USD","totalPrice":"404.9","note":null,"tags":["a","b"],"lineItems":[{"id":"gid://shopify/LineItem/487817672276298554","variantId":null,"title":"A","quantity":2},{"id":"gid://shopify/LineItem/5","variantId":"gid://shopify/ProductVariant/6","title":"B","quantity":1}]}` +
				"\nread order gid://shopify/Order/820982911946154508 updated 2026-11-24T12:00:00.000Z" + now},
		{"orders/edited", `{"order_edit":{"id":1,"order_id":9}}`, "read order gid://shopify/Order/9 updated never" + now},
		{"orders/delete", `{"id":9}`, "Order gid://shopify/Order/9" + at + "absent"},
		{"shop/update", `{"id":7,"updated_at":null}`, "read shop gid://shopify/Shop/7 updated never" + now},
	} {
		t.Run(tt.topic, func(t *testing.T) {
			if got := told(decode(t, tt.topic, tt.body)); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

func TestBodyThatLacksAFieldIsNoContent(t *testing.T) {
	for topic, body := range map[string]string{
		"products/update":         productBodyText,
		"inventory_levels/update": `{"inventory_item_id":2,"location_id":3,"available":1,"updated_at":"2026-11-24T12:00:00Z","admin_graphql_api_id":"gid://shopify/InventoryLevel/9?inventory_item_id=2"}`,
		"inventory_items/update":  `{"id":2,"sku":null,"tracked":true,"requires_shipping":false,"cost":null,"updated_at":"2026-11-24T12:00:00Z"}`,
		"collections/update":      `{"id":4,"title":"C","handle":"c","body_html":"x","sort_order":"manual","updated_at":"2026-11-24T12:00:00Z"}`,
		"locations/update":        `{"id":3,"name":"Main","active":true,"updated_at":"2026-11-24T12:00:00Z"}`,
		"orders/updated":          `{"id":9,"name":"#9","created_at":"2026-11-24T11:00:00Z","updated_at":"2026-11-24T12:00:00Z","cancelled_at":null,"currency":"USD","total_price":"1","note":null,"tags":"","line_items":[]}`,
	} {
		whole := decode(t, topic, body)
		var fields map[string]json.RawMessage
		if err := json.Unmarshal([]byte(body), &fields); err != nil {
			t.Fatal(err)
		}
		for field := range fields {
			if strings.HasPrefix(field, "id") || strings.HasSuffix(field, "_id") && topic != "inventory_levels/update" {
				continue
			}
			if strings.HasPrefix(field, "variant") || field == "inventory_item_id" || field == "location_id" {
				continue // Other records than the first.
			}
			without := map[string]json.RawMessage{}
			for name, value := range fields {
				if name != field {
					without[name] = value
				}
			}
			text, _ := json.Marshal(without)
			heard, err := Decode(deliver(topic, string(text)))
			if err != nil {
				t.Errorf("%s without %s: %v", topic, field, err)
				continue
			}
			for _, o := range heard.Observations {
				if o.Key == whole.Observations[0].Key {
					t.Errorf("%s without %s is taken for whole", topic, field)
				}
			}
			if len(heard.Demands) == 0 {
				t.Errorf("%s without %s demands no read", topic, field)
			}
		}
	}
}

func TestHundredVariantsWithoutTheirIDsAreNoSet(t *testing.T) {
	body := func(n int, gids string) string {
		variants := make([]string, n)
		for i := range variants {
			variants[i] = fmt.Sprintf(`{"id":%d}`, i+1)
		}
		return `{"id":1,"updated_at":"2026-11-24T12:00:00Z","variants":[` + strings.Join(variants, ",") + `]` + gids + `}`
	}
	for _, tt := range []struct {
		name string
		body string
		want int // Ids in the set; 0 for no set.
	}{
		{"99 variants", body(99, ""), 99},
		{"100 variants", body(100, ""), 0},
		{"100 variants and all ids", body(100, `,"variant_gids":[{"admin_graphql_api_id":"gid://shopify/ProductVariant/1"}]`), 1},
		{"no variants", body(0, ""), 0},
	} {
		got := 0
		for _, o := range decode(t, "products/update", tt.body).Observations {
			if o.Key.Kind == mirror.KindProductVariantSet {
				var set mirror.ProductVariantSet
				if err := json.Unmarshal(o.Content, &set); err != nil {
					t.Fatal(err)
				}
				got = len(set.VariantIDs)
			}
		}
		if got != tt.want {
			t.Errorf("%s: set of %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestContentFromTheFutureIsReadInstead(t *testing.T) {
	heard := decode(t, "locations/update", `{"id":3,"name":"Main","active":true,"updated_at":"2026-11-24T12:00:08Z"}`)
	want := []mirror.Demand{{Read: mirror.ReadLocation, ID: "gid://shopify/Location/3", AsOf: received}}
	if len(heard.Observations) != 0 || !reflect.DeepEqual(heard.Demands, want) {
		t.Errorf("got\n%s", told(heard))
	}
	// And no demand waits for an updatedAt that may never come.
	for _, d := range decode(t, "discounts/update", `{"admin_graphql_api_id":"gid://shopify/DiscountCodeNode/1","updated_at":"2036-11-24T12:00:08Z"}`).Demands {
		if d.Updated != 0 {
			t.Errorf("a read is to show updatedAt %s", d.Updated)
		}
	}
}

func TestTriggerAfterReceiptIsNotBelieved(t *testing.T) {
	for _, tt := range []struct{ triggered, want mirror.Instant }{
		{received.Add(time.Hour), received}, {0, received}, {triggered, triggered},
	} {
		for topic, body := range map[string]string{
			"products/delete":  `{"id":1}`,
			"locations/update": `{"id":3,"name":"Main","active":true,"updated_at":"2026-11-24T12:00:00Z"}`,
		} {
			heard, err := Decode(Delivery{Topic: topic, Body: []byte(body), TriggeredAt: tt.triggered, ReceivedAt: received})
			if err != nil || heard.Observations[0].AsOf != tt.want {
				t.Errorf("%s triggered %s: %v, %v; want %s", topic, tt.triggered, heard, err, tt.want)
			}
		}
	}
}

func TestClaimIsReadByIDAndNotBelieved(t *testing.T) {
	demands, err := DecodeClaim(deliver("products/update", productBodyText))
	want := []mirror.Demand{
		{Read: mirror.ReadProduct, ID: "gid://shopify/Product/788032119674292922", AsOf: received},
		{Read: mirror.ReadProduct, ID: "gid://shopify/Product/788032119674292922", AsOf: received.Add(mirror.LagDelay), Delay: mirror.LagDelay},
	}
	if err != nil || !reflect.DeepEqual(demands, want) {
		t.Errorf("got %+v, %v", demands, err)
	}
	demands, err = DecodeClaim(deliver("inventory_levels/disconnect", `{"inventory_item_id":2,"location_id":3}`))
	if err != nil || len(demands) != 3 || demands[2].Read != mirror.ReadLevel || demands[2].ID != "gid://shopify/InventoryItem/2@3" {
		t.Errorf("a deletion that is only claimed gives %+v, %v", demands, err)
	}
}

func TestBodiesThatAreNotShopifysAreErrors(t *testing.T) {
	for _, topic := range Topics() {
		if topic.Decode == nil {
			continue
		}
		for _, body := range []string{
			``, `null`, `[]`, `7`, `{}`, `{"id":null}`, `{"id":0}`, `{"id":-1}`, `{"id":1.5}`, `{"id":"1"}`, `{"id":7.88032119674292922e17}`,
			`{"id":99999999999999999999}`, `{"admin_graphql_api_id":"gid://shopify/Product/1"}`, `{"order_edit":{}}`, `{"inventory_item_id":1}`, `{"location_id":1}`,
		} {
			if heard, err := Decode(deliver(topic.Name, body)); err == nil {
				t.Errorf("%s %s gave\n%s", topic.Name, body, told(heard))
			}
		}
	}
	for _, name := range []string{"", "products", "PRODUCTS_UPDATE", "app/uninstalled", "carts/update"} {
		if _, err := Decode(deliver(name, `{"id":1}`)); !errors.Is(err, ErrUnknownTopic) {
			t.Errorf("topic %q gave %v", name, err)
		}
	}
}

func TestNotices(t *testing.T) {
	for _, tt := range []struct {
		topic, body string
		want        Notice
	}{
		{"app/uninstalled", `{"id":548380009,"myshopify_domain":"A.myshopify.com","domain":null,"updated_at":null}`,
			Notice{ShopID: "gid://shopify/Shop/548380009", ShopDomain: "a.myshopify.com"}},
		{"app/uninstalled", `{"id":548380009,"myshopify_domain":null}`, Notice{ShopID: "gid://shopify/Shop/548380009"}},
		{"app/scopes_update", `{"id":1,"shop_id":"gid://shopify/Shop/548380009","previous":["read_products"],"current":["read_products","write_products"]}`,
			Notice{ShopID: "gid://shopify/Shop/548380009", PreviousScopes: []string{"read_products"}, CurrentScopes: []string{"read_products", "write_products"}}},
		{"shop/redact", `{"shop_id":954889,"shop_domain":"a.myshopify.com"}`, Notice{ShopID: "gid://shopify/Shop/954889", ShopDomain: "a.myshopify.com"}},
		{"customers/redact", `{"shop_id":954889,"shop_domain":"evil.example","customer":{"id":191167,"email":"j@example.com","phone":"555"},"orders_to_redact":[299938]}`,
			Notice{ShopID: "gid://shopify/Shop/954889", CustomerID: 191167, CustomerEmail: "j@example.com", CustomerPhone: "555", OrderIDs: []mirror.GID{"gid://shopify/Order/299938"}}},
		{"customers/data_request", `{"shop_id":954889,"shop_domain":"a.myshopify.com","customer":{"id":191167},"orders_requested":[1,2],"data_request":{"id":9999}}`,
			Notice{ShopID: "gid://shopify/Shop/954889", ShopDomain: "a.myshopify.com", CustomerID: 191167, OrderIDs: []mirror.GID{"gid://shopify/Order/1", "gid://shopify/Order/2"}, RequestID: 9999}},
	} {
		got, err := DecodeNotice(deliver(tt.topic, tt.body))
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: got %+v, %v; want %+v", tt.topic, got, err, tt.want)
		}
	}
	for _, body := range []string{`{}`, `{"id":1.5,"shop_id":"gid://shopify/Product/1"}`, `{"id":"x","shop_id":true}`} {
		for _, topic := range []string{"app/uninstalled", "app/scopes_update", "shop/redact"} {
			if got, err := DecodeNotice(deliver(topic, body)); err == nil {
				t.Errorf("%s %s gave %+v", topic, body, got)
			}
		}
	}
	if _, err := DecodeNotice(deliver("products/update", `{"id":1}`)); !errors.Is(err, ErrUnknownTopic) {
		t.Errorf("a topic of data gave %v", err)
	}
}

func TestTopicsAreWhole(t *testing.T) {
	for _, topic := range Topics() {
		if topic.Enum != strings.ToUpper(strings.ReplaceAll(topic.Name, "/", "_")) {
			t.Errorf("%s is spelt %s", topic.Name, topic.Enum)
		}
		if (topic.Decode != nil) != (topic.Class == ClassData) {
			t.Errorf("%s of class %s has a decoder: %v", topic.Name, topic.Class, topic.Decode != nil)
		}
		if len(topic.IncludeFields) > 0 && !strings.Contains(strings.Join(topic.IncludeFields, " "), "updated_at") {
			t.Errorf("%s leaves updated_at out: alike bodies would be dropped as doubled", topic.Name)
		}
	}
}

func TestTopicsArePublished(t *testing.T) {
	data, err := shopifyschema.Introspection(Version)
	if err != nil {
		t.Fatal(err)
	}
	sdl, err := shopifyschema.SDL(data)
	if err != nil {
		t.Fatal(err)
	}
	schema, err := gqlparser.LoadSchema(&ast.Source{Name: "admin", Input: sdl})
	if err != nil {
		t.Fatal(err)
	}
	published := schema.Types["WebhookSubscriptionTopic"].EnumValues
	for _, topic := range Topics() {
		if there := published.ForName(topic.Enum) != nil; there != (topic.Class != ClassCompliance) {
			t.Errorf("%s of class %s: can be subscribed to: %v", topic.Enum, topic.Class, there)
		}
	}
}

// FuzzDecode holds every decoder to its word: no panic, and whatever it gives
// out is well formed, in its one spelling and not after the receipt.
func FuzzDecode(f *testing.F) {
	f.Add("products/update", []byte(productBodyText))
	f.Add("inventory_levels/update", []byte(`{"inventory_item_id":2,"location_id":3,"available":1,"updated_at":"2026-11-24T12:00:00Z","admin_graphql_api_id":"gid://shopify/InventoryLevel/9?inventory_item_id=2"}`))
	f.Add("inventory_items/update", []byte(`{"id":2,"sku":null,"tracked":true,"requires_shipping":false,"cost":"1e2","updated_at":"2026-11-24T12:00:00Z"}`))
	f.Add("orders/updated", []byte(`{"id":9,"name":"#9","created_at":"2026-11-24T11:00:00Z","updated_at":"2026-11-24T12:00:00Z","cancelled_at":null,"currency":"USD","total_price":"1","note":null,"tags":"","line_items":[{"id":1,"variant_id":2}]}`))
	f.Add("discounts/delete", []byte(`{"admin_graphql_api_id":"gid://shopify/DiscountCodeNode/1","deleted_at":"2026-11-24T06:59:58-05:00"}`))
	f.Add("locations/deactivate", []byte(`{"id":3,"name":"Main","active":true,"updated_at":"0000-01-01T00:00:00Z"}`))
	f.Add("app/scopes_update", []byte(`{"id":1,"shop_id":"gid://shopify/Shop/548380009","previous":[],"current":[null]}`))
	for _, topic := range Topics() {
		f.Add(topic.Name, []byte(`{"id":1,"order_edit":{"order_id":2},"inventory_item_id":1,"location_id":1,"shop_id":1,"admin_graphql_api_id":"gid://shopify/DiscountCodeNode/1"}`))
	}
	f.Fuzz(func(t *testing.T, topic string, body []byte) {
		d := Delivery{Topic: topic, Body: body, TriggeredAt: triggered, ReceivedAt: received}
		_, _ = DecodeNotice(d)
		if _, err := DecodeClaim(d); (err == nil) != func() bool { _, err := Decode(d); return err == nil }() {
			t.Errorf("Decode and DecodeClaim disagree")
		}
		heard, err := Decode(d)
		if err != nil {
			return
		}
		if len(heard.Observations)+len(heard.Demands) == 0 {
			t.Errorf("%s %q says nothing", topic, body)
		}
		for _, o := range heard.Observations {
			if o.Key.ID == "" || o.AsOf > received || o.FromFuture() {
				t.Errorf("%s as of %s updated %s", o.Key, o.AsOf, o.Updated)
			}
			if o.Content == nil {
				continue
			}
			content, err := mirror.Decode(o.Key.Kind, o.Content)
			if err != nil {
				t.Fatal(err)
			}
			again, err := mirror.Encode(content)
			if err != nil || !bytes.Equal(again, o.Content) {
				t.Errorf("content %s encodes again as %s, %v", o.Content, again, err)
			}
		}
		for _, demand := range heard.Demands {
			if demand.ID == "" || MaxIDs(demand.Read) == 0 || demand.Updated > received.Add(mirror.FutureLimit) {
				t.Errorf("demand %+v", demand)
			}
		}
	})
}
