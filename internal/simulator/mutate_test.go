package simulator_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"stockroom/internal/simulator"
)

var writeScopes = []string{
	"write_products", "write_inventory", "write_locations", "write_discounts", "write_orders", "write_publications",
}

// writer is a world with webhooks of all topics that edits cause, and a client that may write.
func writer(t *testing.T) (*world, client) {
	t.Helper()
	w := newWorld(t, simulator.Catalogue{Products: 6, Orders: 2}, nil)
	c := w.client(writeScopes...)
	access := w.shop.AccessOf(c.token)
	access.APIVersion = "2026-10"
	for _, topic := range slices.Sorted(maps.Keys(simulator.Topics())) {
		if strings.HasPrefix(topic, "APP_") || strings.HasPrefix(topic, "BULK_") {
			continue
		}
		if _, errs := access.Installation.Subscribe(access, simulator.Subscription{Topic: topic, URI: w.inbox.URL}); errs != nil {
			t.Fatalf("subscribe to %s: %v", topic, errs)
		}
	}
	return w, c
}

// told compares the topics of all webhooks since it was last called.
func (w *world) told(want ...string) {
	w.t.Helper()
	if got := topicsOf(w.heard()); !slices.Equal(got, want) {
		w.t.Errorf("webhooks %v, want %v", got, want)
	}
}

// refusal asks a mutation for complaints and compares them, as field: message (code).
func (c client) refusal(want, query string, variables ...any) {
	c.w.t.Helper()
	answer := c.ask(query, variables...)
	if len(answer.Errors) > 0 {
		c.w.t.Errorf("%s: %s", query, answer.Errors[0].Message)
		return
	}
	var data map[string]map[string]json.RawMessage
	if err := json.Unmarshal(answer.Data, &data); err != nil {
		c.w.t.Fatalf("%s: %v: %s", query, err, answer.Data)
	}
	var all []string
	for _, payload := range data {
		for name, value := range payload {
			var problems []struct {
				Field         []string
				Message, Code string
			}
			if !strings.HasSuffix(strings.ToLower(name), "usererrors") || json.Unmarshal(value, &problems) != nil {
				continue
			}
			for _, p := range problems {
				text := strings.Join(p.Field, ".") + ": " + p.Message
				if p.Code != "" {
					text += " (" + p.Code + ")"
				}
				all = append(all, text)
			}
		}
	}
	if got := strings.Join(all, "; "); got != want {
		c.w.t.Errorf("%s\n got %s\nwant %s", query, got, want)
	}
}

func TestMutationsNeedTheirScopes(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 2}, nil)
	c := w.client(allScopes...)
	p := w.firstProduct()
	for _, tt := range []struct{ scope, query string }{
		{"write_products", `mutation { productCreate(product: {title: "x"}) { product { id } userErrors { message } } }`},
		{"write_products", `mutation { metafieldsSet(metafields: [{ownerId: "` + p.GID() + `", key: "k", type: "boolean", value: "true"}]) { metafields { id } } }`},
		{"write_inventory", `mutation { inventoryItemUpdate(id: "` + p.Variants[0].Item.GID() + `", input: {tracked: false}) { userErrors { message } } }`},
		{"write_discounts", `mutation { discountCodeDelete(id: "gid://shopify/DiscountCodeNode/1") { userErrors { message } } }`},
		{"write_orders", `mutation { orderUpdate(input: {id: "gid://shopify/Order/1"}) { userErrors { message } } }`},
		{"write_publications", `mutation { publishablePublish(id: "` + p.GID() + `", input: []) { userErrors { message } } }`},
		{"write_locations", `mutation { locationActivate(locationId: "gid://shopify/Location/1") @idempotent(key: "a") { location { id } } }`},
	} {
		answer := c.ask(tt.query)
		if answer.code() != "ACCESS_DENIED" || !strings.Contains(answer.Errors[0].Message, "`"+tt.scope+"`") {
			t.Errorf("%s: %v", tt.query, answer.Errors)
		}
	}
	if answer := c.ask(`{ products(first: 9) { nodes { id } } }`); strings.Count(string(answer.Data), "gid:") != 2 {
		t.Errorf("something was created: %s", answer.Data)
	}
}

func TestProductsAreCreatedChangedAndDeleted(t *testing.T) {
	w, c := writer(t)
	var made struct {
		ProductCreate struct {
			Product struct {
				ID, Title, Handle, Status, Vendor string
				Tags                              []string
				PublishedAt                       *string
				Options                           []struct {
					Name   string
					Values []string
				}
				Variants  struct{ Nodes []struct{ ID, Title string } }
				Metafield struct{ Value string }
				Media     struct{ Nodes []struct{ Alt string } }
			}
			UserErrors []struct{ Message string }
		}
	}
	c.get(&made, `mutation($p: ProductCreateInput!) { productCreate(product: $p, media: [{mediaContentType: IMAGE, originalSource: "https://example.com/a.png", alt: "Pot"}]) {
		product { id title handle status vendor tags publishedAt options { name values } variants(first: 5) { nodes { id title } }
			metafield(namespace: "custom", key: "care") { value } media(first: 2) { nodes { alt } } }
		userErrors { message } shop { id } } }`,
		"p", map[string]any{"title": "Clay pot", "handle": "pot", "tags": []string{"b", "a"}, "productOptions": []any{
			map[string]any{"name": "Size", "values": []any{map[string]any{"name": "S"}, map[string]any{"name": "L"}}}},
			"metafields": []any{map[string]any{"namespace": "custom", "key": "care", "type": "single_line_text_field", "value": "Wipe."}}})
	p := made.ProductCreate.Product
	if p.Title != "Clay pot" || p.Handle != "pot" || p.Status != "ACTIVE" || p.Vendor != "Tea House" || fmt.Sprint(p.Tags) != "[a b]" || p.PublishedAt != nil ||
		fmt.Sprint(p.Options) != "[{Size [S]}]" || len(p.Variants.Nodes) != 1 || p.Variants.Nodes[0].Title != "S" || p.Metafield.Value != "Wipe." || p.Media.Nodes[0].Alt != "Pot" {
		t.Errorf("made %+v", p)
	}
	w.told("inventory_items/create", "inventory_levels/connect", "products/create")

	c.expect(`{"productUpdate":{"product":{"title":"Clay jar","status":"DRAFT","tags":[]},"userErrors":[]}}`,
		`mutation($id: ID!) { productUpdate(product: {id: $id, title: "Clay jar", status: DRAFT, tags: []}) { product { title status tags } userErrors { field message } } }`, "id", p.ID)
	w.told("products/update")
	c.expect(`{"productUpdate":{"product":{"title":"Clay vase"},"userErrors":[]}}`,
		`mutation { productUpdate(identifier: {handle: "pot"}, product: {title: "Clay vase"}) { product { title } userErrors { field message } } }`)
	w.told("products/update")

	c.refusal("title: Title can't be blank", `mutation { productCreate(product: {title: " "}) { userErrors { field message } } }`)
	c.refusal("handle: Handle 'pot' already in use. Please provide a new handle.", `mutation { productCreate(product: {title: "x", handle: "pot"}) { userErrors { field message } } }`)
	c.refusal("title: Title can't be blank", `mutation($id: ID!) { productUpdate(product: {id: $id, title: ""}) { userErrors { field message } } }`, "id", p.ID)
	c.refusal("id: Product does not exist", `mutation { productUpdate(product: {id: "gid://shopify/Product/1", title: "x"}) { userErrors { field message } } }`)
	c.refusal("id: Product does not exist", `mutation { productDelete(input: {id: "gid://shopify/Product/1"}) { userErrors { field message } deletedProductId } }`)
	if answer := c.ask(`mutation { productDelete(input: {id: "gid://shopify/Order/1"}) { deletedProductId } }`); answer.code() != "RESOURCE_NOT_FOUND" {
		t.Errorf("a foreign id: %v", answer.Errors)
	}
	w.told()

	c.expect(`{"productDelete":{"deletedProductId":"`+p.ID+`","userErrors":[]}}`, `mutation($id: ID!) { productDelete(input: {id: $id}) { deletedProductId userErrors { message } } }`, "id", p.ID)
	w.told("inventory_items/delete", "products/delete")
	c.expect(`{"product":null}`, `query($id: ID!) { product(id: $id) { id } }`, "id", p.ID)
	c.expect(`{"events":{"nodes":[{"action":"destroy","subjectId":"`+p.ID+`","subjectType":"PRODUCT","subject":null,"message":"Clay vase was deleted."}]}}`,
		`{ events(first: 5, query: "action:destroy subject_type:PRODUCT") { nodes { action ... on BasicEvent { subjectId subjectType subject { __typename } } message } } }`)
}

func TestVariantsAreCreatedChangedAndDeleted(t *testing.T) {
	w, c := writer(t)
	p, err := w.shop.CreateProduct(simulator.ProductSpec{Title: "Bowl", Options: []string{"Size"}, Variants: []simulator.VariantSpec{{Values: []string{"Default Title"}}}})
	if err != nil {
		t.Fatal(err)
	}
	w.heard()
	location := p.Variants[0].Item.Levels[0].Location
	const create = `mutation($id: ID!, $v: [ProductVariantsBulkInput!]!) { productVariantsBulkCreate(productId: $id, variants: $v) {
		product { variantsCount { count } } productVariants { title price sku inventoryQuantity position inventoryItem { tracked unitCost { amount } } } userErrors { field message code } } }`
	size := func(name string, more map[string]any) map[string]any {
		out := map[string]any{"optionValues": []any{map[string]any{"optionName": "Size", "name": name}}}
		maps.Copy(out, more)
		return out
	}
	c.expect(`{"productVariantsBulkCreate":{"product":{"variantsCount":{"count":2}},"productVariants":[`+
		`{"title":"S","price":"5.00","sku":"B-S","inventoryQuantity":7,"position":1,"inventoryItem":{"tracked":true,"unitCost":{"amount":"2.5"}}},`+
		`{"title":"L","price":"9.50","sku":null,"inventoryQuantity":0,"position":2,"inventoryItem":{"tracked":false,"unitCost":null}}],"userErrors":[]}}`,
		create, "id", p.GID(), "v", []any{
			size("S", map[string]any{"price": "5", "inventoryItem": map[string]any{"sku": "B-S", "cost": "2.50", "tracked": true},
				"inventoryQuantities": []any{map[string]any{"availableQuantity": 7, "locationId": location.GID()}}}),
			size("L", map[string]any{"price": 9.5, "inventoryItem": map[string]any{"tracked": false}})})
	// The variant that the product had of itself is gone; the product is told of once.
	w.told("inventory_items/create", "inventory_items/create", "inventory_items/delete", "inventory_levels/connect", "inventory_levels/connect", "inventory_levels/update", "products/update")

	c.refusal("variants.0: The variant 'S' already exists. (VARIANT_ALREADY_EXISTS)", create, "id", p.GID(), "v", []any{size("S", nil)})
	c.refusal("variants.0.price: Price must be greater than or equal to 0 (NEGATIVE_PRICE_VALUE)", create, "id", p.GID(), "v", []any{size("M", map[string]any{"price": "-1"})})
	c.refusal("variants.0: You need to add option values for Size (NEED_TO_ADD_OPTION_VALUES)", create, "id", p.GID(), "v", []any{map[string]any{"price": "1"}})
	c.refusal("productId: Product does not exist (PRODUCT_DOES_NOT_EXIST)", create, "id", "gid://shopify/Product/1", "v", []any{size("M", nil)})
	w.told()

	const update = `mutation($id: ID!, $v: [ProductVariantsBulkInput!]!, $part: Boolean) { productVariantsBulkUpdate(productId: $id, variants: $v, allowPartialUpdates: $part) {
		productVariants { title price compareAtPrice sku inventoryPolicy } userErrors { field message code } } }`
	small, large := p.Variants[0].GID(), p.Variants[1].GID()
	c.expect(`{"productVariantsBulkUpdate":{"productVariants":[{"title":"XL","price":"8.00","compareAtPrice":"9.00","sku":"B-XL","inventoryPolicy":"CONTINUE"}],"userErrors":[]}}`,
		update, "id", p.GID(), "v", []any{size("XL", map[string]any{"id": large, "price": "8", "compareAtPrice": "9", "inventoryPolicy": "CONTINUE", "inventoryItem": map[string]any{"sku": "B-XL"}})})
	w.told("inventory_items/update", "products/update")
	bad := map[string]any{"id": "gid://shopify/ProductVariant/1", "price": "1"}
	c.refusal("variants.1.id: Product variant does not exist (PRODUCT_VARIANT_DOES_NOT_EXIST)", update, "id", p.GID(), "v", []any{map[string]any{"id": small, "price": "6"}, bad})
	c.refusal("variants.0: Product variant is missing ID attribute (PRODUCT_VARIANT_ID_MISSING)", update, "id", p.GID(), "v", []any{map[string]any{"price": "6"}})
	w.told()
	c.refusal("variants.1.id: Product variant does not exist (PRODUCT_VARIANT_DOES_NOT_EXIST)", update, "id", p.GID(), "v", []any{map[string]any{"id": small, "price": "6"}, bad}, "part", true)
	w.told("products/update")
	c.expect(`{"productVariant":{"price":"6.00"}}`, `query($id: ID!) { productVariant(id: $id) { price } }`, "id", small)

	const remove = `mutation($id: ID!, $v: [ID!]!) { productVariantsBulkDelete(productId: $id, variantsIds: $v) { product { variantsCount { count } } userErrors { field message code } } }`
	c.refusal("variantsIds: Cannot delete default variant (CANNOT_DELETE_LAST_VARIANT)", remove, "id", p.GID(), "v", []any{small, large})
	c.refusal("variantsIds.0: At least one variant does not belong to the product (AT_LEAST_ONE_VARIANT_DOES_NOT_BELONG_TO_THE_PRODUCT)", remove, "id", p.GID(), "v", []any{"gid://shopify/ProductVariant/1"})
	w.told()
	c.expect(`{"productVariantsBulkDelete":{"product":{"variantsCount":{"count":1}},"userErrors":[]}}`, remove, "id", p.GID(), "v", []any{large})
	w.told("inventory_items/delete", "products/update")
}

const adjust = `mutation($in: InventoryAdjustQuantitiesInput!, $key: String!) { inventoryAdjustQuantities(input: $in) @idempotent(key: $key) {
	inventoryAdjustmentGroup { reason changes { name delta quantityAfterChange } } userErrors { field message code } } }`

const set = `mutation($in: InventorySetQuantitiesInput!, $key: String!) { inventorySetQuantities(input: $in) @idempotent(key: $key) {
	inventoryAdjustmentGroup { changes(quantityNames: ["available"]) { delta } } userErrors { field message code } } }`

func TestStockIsSetAndAdjusted(t *testing.T) {
	w, c := writer(t)
	v := trackedVariant(t, w.shop)
	level := v.Item.Levels[0]
	if err := w.shop.SetStock(v.Item.ID, level.Location.ID, 10); err != nil {
		t.Fatal(err)
	}
	w.heard()
	change := func(delta int, from any) map[string]any {
		return map[string]any{"name": "available", "reason": "correction", "changes": []any{map[string]any{
			"delta": delta, "changeFromQuantity": from, "inventoryItemId": v.Item.GID(), "locationId": level.Location.GID()}}}
	}
	moved := `{"inventoryAdjustQuantities":{"inventoryAdjustmentGroup":{"reason":"correction","changes":[{"name":"available","delta":-4,"quantityAfterChange":6},{"name":"on_hand","delta":-4,"quantityAfterChange":null}]},"userErrors":[]}}`
	c.expect(moved, adjust, "in", change(-4, 10), "key", "one")
	w.told("inventory_levels/update", "products/update")
	// Sent again it is answered again, and not done again.
	c.expect(moved, adjust, "in", change(-4, 10), "key", "one")
	w.told()
	c.expect(`{"inventoryLevel":{"quantities":[{"quantity":6}]}}`, `query($id: ID!) { inventoryLevel(id: $id) { quantities(names: ["available"]) { quantity } } }`, "id", level.GID())
	c.refusal(": The same idempotency key cannot be used with different operation parameters. (IDEMPOTENCY_KEY_PARAMETER_MISMATCH)", adjust, "in", change(-5, 6), "key", "one")
	c.refusal("input.changes.0.changeFromQuantity: The changeFromQuantity argument no longer matches the persisted quantity. (CHANGE_FROM_QUANTITY_STALE)", adjust, "in", change(-4, 10), "key", "two")
	c.refusal("input.reason: The specified reason is invalid. (INVALID_REASON)", adjust, "in", map[string]any{"name": "available", "reason": "whim", "changes": []any{}}, "key", "three")

	quantity := func(units int, more map[string]any) map[string]any {
		one := map[string]any{"quantity": units, "inventoryItemId": v.Item.GID(), "locationId": level.Location.GID()}
		maps.Copy(one, more)
		return map[string]any{"name": "available", "reason": "correction", "quantities": []any{one}}
	}
	unchecked := map[string]any{"changeFromQuantity": nil}
	c.expect(`{"inventorySetQuantities":{"inventoryAdjustmentGroup":{"changes":[{"delta":-3}]},"userErrors":[]}}`, set, "in", quantity(3, unchecked), "key", "four")
	w.told("inventory_levels/update", "products/update")
	c.refusal("input.quantities.0.quantity: The total quantity can't be higher than 1,000,000,000. (INVALID_QUANTITY_TOO_HIGH)", set, "in", quantity(2_000_000_000, unchecked), "key", "five")
	c.refusal("input.quantities.0.inventoryItemId: The specified inventory item could not be found. (INVALID_INVENTORY_ITEM)", set,
		"in", quantity(3, map[string]any{"changeFromQuantity": nil, "inventoryItemId": "gid://shopify/InventoryItem/1"}), "key", "six")
	w.told()
}

func TestStockKeepsTheRulesOfEachVersion(t *testing.T) {
	w, c := writer(t)
	v := trackedVariant(t, w.shop)
	level := v.Item.Levels[0]
	line := fmt.Sprintf(`inventoryItemId: %q, locationId: %q`, v.Item.GID(), level.Location.GID())
	bare := `mutation { inventoryAdjustQuantities(input: {name: "available", reason: "correction", changes: [{delta: 1, ` + line + `}]}) { userErrors { field message code } } }`
	c.version = "2026-01"
	c.refusal("", bare)
	compare := `mutation { inventorySetQuantities(input: {name: "available", reason: "correction", quantities: [{quantity: 1, ` + line + `}]}) { userErrors { field message code } } }`
	c.refusal("input.quantities.0.compareQuantity: The compareQuantity argument must be given to each quantity or ignored using ignoreCompareQuantity. (COMPARE_QUANTITY_REQUIRED)", compare)
	c.refusal("", strings.Replace(compare, "{name", "{ignoreCompareQuantity: true, name", 1))
	for _, version := range []string{"2026-04", "2026-07", "2026-10"} {
		c.version = version
		if answer := c.ask(bare); answer.code() != "BAD_REQUEST" || answer.Errors[0].Message != "The @idempotent directive is required for this mutation but was not provided." {
			t.Errorf("%s without a key: %v", version, answer.Errors)
		}
		keyed := strings.Replace(bare, "]})", `]}) @idempotent(key: "`+version+`")`, 1)
		if answer := c.ask(keyed); answer.code() != "INVALID_FIELD_ARGUMENTS" {
			t.Errorf("%s without changeFromQuantity: %v", version, answer.Errors)
		}
		c.refusal("", strings.Replace(keyed, "delta", "changeFromQuantity: null, delta", 1))
		if answer := c.ask(strings.Replace(compare, "{name", "{ignoreCompareQuantity: true, name", 1)); answer.code() != "argumentNotAccepted" {
			t.Errorf("%s with ignoreCompareQuantity: %v", version, answer.Errors)
		}
	}
	// Where it is not stocked.
	fresh, err := w.shop.CreateLocation("Annex")
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := fmt.Sprintf(`mutation { inventoryAdjustQuantities(input: {name: "available", reason: "correction", changes: [{delta: 2, changeFromQuantity: null, inventoryItemId: %q, locationId: %q}]})
		@idempotent(key: "elsewhere") { userErrors { field message code } } }`, v.Item.GID(), fresh.GID())
	c.version = "2026-07"
	c.refusal("input.changes.0.locationId: The specified inventory item is not stocked at the location. (ITEM_NOT_STOCKED_AT_LOCATION)", elsewhere)
	w.heard()
	c.version = "2026-10"
	c.refusal("", elsewhere)
	w.told("inventory_levels/connect", "inventory_levels/update", "products/update")
}

func TestItemsAreStockedAndUnstocked(t *testing.T) {
	w, c := writer(t)
	v := trackedVariant(t, w.shop)
	annex, err := w.shop.CreateLocation("Annex")
	if err != nil {
		t.Fatal(err)
	}
	w.heard()
	const activate = `mutation($item: ID!, $at: ID!, $n: Int, $key: String!) { inventoryActivate(inventoryItemId: $item, locationId: $at, available: $n) @idempotent(key: $key) {
		inventoryLevel { id isActive quantities(names: ["available"]) { quantity } } userErrors { field message } } }`
	var made struct {
		InventoryActivate struct {
			InventoryLevel struct {
				ID         string
				IsActive   bool
				Quantities []struct{ Quantity int }
			}
		}
	}
	c.get(&made, activate, "item", v.Item.GID(), "at", annex.GID(), "n", 5, "key", "a")
	level := made.InventoryActivate.InventoryLevel
	if !level.IsActive || level.Quantities[0].Quantity != 5 {
		t.Errorf("level %+v", level)
	}
	w.told("inventory_levels/connect")
	c.refusal("available: Not allowed to set available quantity when the item is already active at the location.", activate, "item", v.Item.GID(), "at", annex.GID(), "n", 5, "key", "b")
	c.refusal("locationId: The product couldn't be stocked because the location wasn't found.", activate, "item", v.Item.GID(), "at", "gid://shopify/Location/1", "n", 5, "key", "c")

	const deactivate = `mutation($id: ID!) { inventoryDeactivate(inventoryLevelId: $id) { userErrors { field message } } }`
	c.refusal("", deactivate, "id", level.ID)
	w.told("inventory_levels/disconnect")
	c.refusal("inventoryLevelId: The product couldn't be unstocked because the inventory level was not found.", deactivate, "id", level.ID)

	const item = `mutation($id: ID!, $in: InventoryItemInput!) { inventoryItemUpdate(id: $id, input: $in) { inventoryItem { sku tracked unitCost { amount } } userErrors { field message } } }`
	c.expect(`{"inventoryItemUpdate":{"inventoryItem":{"sku":"NEW-1","tracked":false,"unitCost":{"amount":"1.25"}},"userErrors":[]}}`, item,
		"id", v.Item.GID(), "in", map[string]any{"sku": "NEW-1", "tracked": false, "cost": "1.25"})
	w.told("inventory_items/update", "inventory_items/update", "products/update")
	c.refusal("id: The product couldn't be updated because it does not exist.", item, "id", "gid://shopify/InventoryItem/1", "in", map[string]any{"tracked": true})

	const closing = `mutation($id: ID!, $key: String!) { locationDeactivate(locationId: $id) @idempotent(key: $key) { location { isActive } locationDeactivateUserErrors { field message code } } }`
	c.expect(`{"locationDeactivate":{"location":{"isActive":false},"locationDeactivateUserErrors":[]}}`, closing, "id", annex.GID(), "key", "d")
	w.told("locations/deactivate")
	c.refusal("locationId: Location not found. (LOCATION_NOT_FOUND)", closing, "id", "gid://shopify/Location/1", "key", "e")
	c.expect(`{"locationActivate":{"location":{"isActive":true},"locationActivateUserErrors":[]}}`,
		`mutation($id: ID!) { locationActivate(locationId: $id) @idempotent(key: "f") { location { isActive } locationActivateUserErrors { message } } }`, "id", annex.GID())
	w.told("locations/activate")
}

func TestCollectionsAreCreatedFilledAndDeleted(t *testing.T) {
	w, c := writer(t)
	p := w.firstProduct()
	var made struct {
		CollectionCreate struct{ Collection struct{ ID string } }
	}
	c.get(&made, `mutation { collectionCreate(collection: {title: "Winter", sortOrder: MANUAL}) { collection { id } userErrors { message } } }`)
	id := made.CollectionCreate.Collection.ID
	w.told("collections/create")
	c.expect(`{"collectionUpdate":{"collection":{"title":"Spring"},"job":null,"userErrors":[]}}`,
		`mutation($id: ID!) { collectionUpdate(collection: {id: $id, title: "Spring"}) { collection { title } job { id } userErrors { message } } }`, "id", id)
	w.told("collections/update")
	c.expect(`{"collectionAddProducts":{"collection":{"productsCount":{"count":1}},"userErrors":[]}}`,
		`mutation($id: ID!, $p: [ID!]!) { collectionAddProducts(id: $id, productIds: $p) { collection { productsCount { count } } userErrors { message } } }`, "id", id, "p", []string{p.GID()})
	w.told("collections/update")
	var removal struct {
		CollectionRemoveProducts struct {
			Job struct {
				ID   string
				Done bool
			}
		}
	}
	c.get(&removal, `mutation($id: ID!, $p: [ID!]!) { collectionRemoveProducts(id: $id, productIds: $p) { job { id done } userErrors { message } } }`, "id", id, "p", []string{p.GID()})
	if job := removal.CollectionRemoveProducts.Job; !job.Done {
		t.Errorf("job %+v", job)
	}
	w.told("collections/update")
	c.expect(`{"collection":{"productsCount":{"count":0}}}`, `query($id: ID!) { collection(id: $id) { productsCount { count } } }`, "id", id)
	c.expect(`{"job":{"done":true}}`, `query($id: ID!) { job(id: $id) { done } }`, "id", removal.CollectionRemoveProducts.Job.ID)

	// An older version takes rules in its only input.
	c.version = "2026-01"
	var smart struct {
		CollectionCreate struct {
			Collection struct {
				ID            string
				ProductsCount struct{ Count int }
			}
		}
	}
	c.get(&smart, `mutation { collectionCreate(input: {title: "All", ruleSet: {appliedDisjunctively: false, rules: [{column: VARIANT_PRICE, relation: GREATER_THAN, condition: "0"}]}}) {
		collection { id productsCount { count } } userErrors { message } } }`)
	if smart.CollectionCreate.Collection.ProductsCount.Count == 0 {
		t.Error("rules found nothing")
	}
	c.refusal("title: Title can't be blank", `mutation { collectionCreate(input: {}) { userErrors { field message } } }`)
	if answer := c.ask(`mutation { collectionCreate(collection: {title: "x"}) { collection { id } } }`); answer.code() == nil {
		t.Error("2026-01 knows the argument of 2026-07")
	}
	c.version = "2026-10"
	w.heard()
	const addLater = `mutation($id: ID!, $p: [ID!]!) { collectionAddProductsV2(id: $id, productIds: $p) { job { id } userErrors { field message code } } }`
	c.refusal("id: Can't manually add products to a smart collection (CANT_ADD_TO_SMART_COLLECTION)", addLater, "id", smart.CollectionCreate.Collection.ID, "p", []string{p.GID()})
	c.refusal("id: Collection does not exist (COLLECTION_DOES_NOT_EXIST)", addLater, "id", "gid://shopify/Collection/1", "p", []string{p.GID()})
	w.told()
	const remove = `mutation($id: ID!) { collectionDelete(input: {id: $id}) { deletedCollectionId userErrors { field message } } }`
	c.expect(`{"collectionDelete":{"deletedCollectionId":"`+id+`","userErrors":[]}}`, remove, "id", id)
	w.told("collections/delete")
	c.refusal("id: Collection does not exist", remove, "id", id)
}

func TestDiscountsAreCreatedChangedAndDeleted(t *testing.T) {
	w, c := writer(t)
	p := w.firstProduct()
	const create = `mutation($in: DiscountCodeBasicInput!) { discountCodeBasicCreate(basicCodeDiscount: $in) {
		codeDiscountNode { id codeDiscount { ... on DiscountCodeBasic { title status summary codes(first: 2) { nodes { code } } minimumRequirement { __typename } } } } userErrors { field message code } } }`
	in := func(more map[string]any) map[string]any {
		out := map[string]any{"title": "Ten", "code": "TEN", "startsAt": "2020-01-01T00:00:00Z", "customerGets": map[string]any{
			"value": map[string]any{"percentage": 0.1}, "items": map[string]any{"all": true}}}
		maps.Copy(out, more)
		return out
	}
	var made struct {
		DiscountCodeBasicCreate struct {
			CodeDiscountNode struct {
				ID           string
				CodeDiscount struct {
					Title, Status, Summary string
					Codes                  struct{ Nodes []struct{ Code string } }
				}
			}
		}
	}
	c.get(&made, create, "in", in(map[string]any{"minimumRequirement": map[string]any{"subtotal": map[string]any{"greaterThanOrEqualToSubtotal": "20"}}}))
	node := made.DiscountCodeBasicCreate.CodeDiscountNode
	if d := node.CodeDiscount; d.Title != "Ten" || d.Status != "ACTIVE" || !strings.HasPrefix(d.Summary, "10% off entire order • Minimum 20.00") || d.Codes.Nodes[0].Code != "TEN" {
		t.Errorf("made %+v", d)
	}
	w.told("discounts/create")
	c.refusal("basicCodeDiscount.code: Code must be unique. Please try a different code. (TAKEN)", create, "in", in(map[string]any{"code": "ten"}))
	c.refusal("basicCodeDiscount.code: Code can't be blank (BLANK)", create, "in", in(map[string]any{"code": ""}))
	c.refusal("basicCodeDiscount.endsAt: Ends at needs to be after starts_at (END_DATE_BEFORE_START_DATE)", create, "in", in(map[string]any{"code": "x", "endsAt": "2019-01-01T00:00:00Z"}))
	c.refusal("basicCodeDiscount.customerGets.value.percentage: Value must be between 0.0 and 1.0 (VALUE_OUTSIDE_RANGE)", create,
		"in", in(map[string]any{"code": "x", "customerGets": map[string]any{"value": map[string]any{"percentage": 10}, "items": map[string]any{"all": true}}}))
	w.told()

	const update = `mutation($id: ID!, $in: DiscountCodeBasicInput!) { discountCodeBasicUpdate(id: $id, basicCodeDiscount: $in) {
		codeDiscountNode { codeDiscount { ... on DiscountCodeBasic { title codes(first: 1) { nodes { code } } customerGets { value { ... on DiscountAmount { amount { amount } } }
			items { ... on DiscountProducts { products(first: 2) { nodes { id } } } } } } } } userErrors { field message code } } }`
	c.expect(`{"discountCodeBasicUpdate":{"codeDiscountNode":{"codeDiscount":{"title":"Five","codes":{"nodes":[{"code":"FIVE"}]},"customerGets":{"value":{"amount":{"amount":"5.0"}},"items":{"products":{"nodes":[{"id":"`+p.GID()+`"}]}}}}},"userErrors":[]}}`,
		update, "id", node.ID, "in", map[string]any{"title": "Five", "code": "FIVE", "customerGets": map[string]any{
			"value": map[string]any{"discountAmount": map[string]any{"amount": "5", "appliesOnEachItem": false}}, "items": map[string]any{"products": map[string]any{"productsToAdd": []string{p.GID()}}}}})
	w.told("discounts/update")
	c.refusal("id: Discount does not exist (INVALID)", update, "id", "gid://shopify/DiscountCodeNode/1", "in", map[string]any{"title": "x"})

	var automatic struct {
		DiscountAutomaticBasicCreate struct {
			AutomaticDiscountNode struct{ ID string }
		}
	}
	c.get(&automatic, `mutation { discountAutomaticBasicCreate(automaticBasicDiscount: {title: "Sale", startsAt: "2020-01-01T00:00:00Z", customerGets: {value: {percentage: 0.25}, items: {all: true}}}) {
		automaticDiscountNode { id } userErrors { message } } }`)
	w.told("discounts/create")
	id := automatic.DiscountAutomaticBasicCreate.AutomaticDiscountNode.ID
	c.expect(`{"discountAutomaticDelete":{"deletedAutomaticDiscountId":"`+id+`","userErrors":[]}}`, `mutation($id: ID!) { discountAutomaticDelete(id: $id) { deletedAutomaticDiscountId userErrors { message } } }`, "id", id)
	w.told("discounts/delete")
	const remove = `mutation($id: ID!) { discountCodeDelete(id: $id) { deletedCodeDiscountId userErrors { field message code } } }`
	c.expect(`{"discountCodeDelete":{"deletedCodeDiscountId":"`+node.ID+`","userErrors":[]}}`, remove, "id", node.ID)
	w.told("discounts/delete")
	c.refusal("id: Discount does not exist (INVALID)", remove, "id", node.ID)
}

func TestMetafieldsAreSetAndDeleted(t *testing.T) {
	w, c := writer(t)
	p := w.firstProduct()
	const put = `mutation($m: [MetafieldsSetInput!]!) { metafieldsSet(metafields: $m) { metafields { key value type } userErrors { field message code elementIndex } } }`
	field := func(key, kind, value string) map[string]any {
		return map[string]any{"ownerId": p.GID(), "namespace": "test", "key": key, "type": kind, "value": value}
	}
	want := `{"metafieldsSet":{"metafields":[{"key":"a","value":"1","type":"number_integer"},{"key":"b","value":"x","type":"single_line_text_field"}],"userErrors":[]}}`
	c.expect(want, put, "m", []any{field("a", "number_integer", "1"), field("b", "single_line_text_field", "x")})
	w.told("products/update") // Once for both.
	c.expect(want, put, "m", []any{field("a", "number_integer", "1"), field("b", "single_line_text_field", "x")})
	w.told() // The same values again change nothing.
	c.expect(`{"metafieldsSet":{"metafields":null,"userErrors":[{"field":["metafields","1","value"],"message":"Value must be of type number_integer.","code":"INVALID_VALUE","elementIndex":1}]}}`,
		put, "m", []any{field("c", "boolean", "true"), field("a", "number_integer", "one")})
	c.refusal("metafields.0.ownerId: Owner does not exist. (INVALID)", put, "m", []any{map[string]any{"ownerId": "gid://shopify/Product/1", "key": "k", "type": "boolean", "value": "true"}})
	w.told()
	c.expect(`{"metafieldsDelete":{"deletedMetafields":[{"key":"a","ownerId":"`+p.GID()+`"},null],"userErrors":[]}}`,
		`mutation($id: ID!) { metafieldsDelete(metafields: [{ownerId: $id, namespace: "test", key: "a"}, {ownerId: $id, namespace: "test", key: "none"}]) { deletedMetafields { key ownerId } userErrors { message } } }`, "id", p.GID())
	w.told("products/update")
}

func TestOrdersAreCreatedChangedAndCancelled(t *testing.T) {
	w, c := writer(t)
	v := trackedVariant(t, w.shop)
	level := v.Item.Levels[0]
	if err := w.shop.SetStock(v.Item.ID, level.Location.ID, 10); err != nil {
		t.Fatal(err)
	}
	w.heard()
	const create = `mutation($order: OrderCreateOrderInput!, $options: OrderCreateOptionsInput) { orderCreate(order: $order, options: $options) {
		order { id displayFinancialStatus note lineItems(first: 2) { nodes { quantity } } } userErrors { field message code } } }`
	order := map[string]any{"note": "gift", "financialStatus": "PAID", "lineItems": []any{map[string]any{"variantId": v.GID(), "quantity": 2}}}
	var made struct {
		OrderCreate struct {
			Order struct{ ID, DisplayFinancialStatus, Note string }
		}
	}
	c.get(&made, create, "order", order)
	if o := made.OrderCreate.Order; o.DisplayFinancialStatus != "PAID" || o.Note != "gift" {
		t.Errorf("made %+v", o)
	}
	w.told("orders/create", "orders/paid") // Stock is left alone unless asked for.
	c.get(&made, create, "order", order, "options", map[string]any{"inventoryBehaviour": "DECREMENT_IGNORING_POLICY"})
	w.told("inventory_levels/update", "orders/create", "orders/paid", "products/update")
	id := made.OrderCreate.Order.ID
	c.refusal("order.lineItems: Line items must have at least one line item (INVALID)", create, "order", map[string]any{"note": "x"})
	c.refusal("order.lineItems: Variant does not exist (INVALID)", create, "order", map[string]any{"lineItems": []any{map[string]any{"variantId": "gid://shopify/ProductVariant/1", "quantity": 1}}})
	c.refusal("order.lineItems.0: Unable to reserve inventory (INVENTORY_CLAIM_FAILED)", create,
		"order", map[string]any{"lineItems": []any{map[string]any{"variantId": v.GID(), "quantity": 5000}}}, "options", map[string]any{"inventoryBehaviour": "DECREMENT_OBEYING_POLICY"})
	w.told()
	c.expect(`{"orderUpdate":{"order":{"note":"late","tags":["a","b"]},"userErrors":[]}}`,
		`mutation($id: ID!) { orderUpdate(input: {id: $id, note: "late", tags: ["b", "a"]}) { order { note tags } userErrors { message } } }`, "id", id)
	w.told("orders/updated")
	const cancel = `mutation($id: ID!) { orderCancel(orderId: $id, reason: CUSTOMER, restock: true) { job { done } orderCancelUserErrors { field message code } } }`
	c.expect(`{"orderCancel":{"job":{"done":true},"orderCancelUserErrors":[]}}`, cancel, "id", id)
	w.told("inventory_levels/update", "orders/cancelled", "orders/updated", "products/update")
	c.refusal("orderId: Order has already been cancelled (INVALID)", cancel, "id", id)
	c.refusal("orderId: Order does not exist (NOT_FOUND)", cancel, "id", "gid://shopify/Order/1")
}

func TestProductsArePublishedAndUnpublished(t *testing.T) {
	w, c := writer(t)
	p, err := w.shop.CreateProduct(simulator.ProductSpec{Title: "Hidden", Unpublished: true})
	if err != nil {
		t.Fatal(err)
	}
	w.heard()
	var found struct {
		Publications struct{ Nodes []struct{ ID, Name string } }
	}
	c.get(&found, `{ publications(first: 5) { nodes { id name } } }`)
	store := found.Publications.Nodes[0].ID
	const show = `mutation($id: ID!, $at: ID!) { publishablePublish(id: $id, input: [{publicationId: $at}]) { publishable { publishedOnPublication(publicationId: $at) } userErrors { field message } } }`
	c.expect(`{"publishablePublish":{"publishable":{"publishedOnPublication":true},"userErrors":[]}}`, show, "id", p.GID(), "at", store)
	w.told("products/update")
	var shown struct {
		Product struct {
			PublishedAt            *string
			ResourcePublicationsV2 struct {
				Nodes []struct {
					IsPublished bool
					Publication struct{ ID string }
				}
			}
		}
	}
	const look = `query($id: ID!) { product(id: $id) { publishedAt resourcePublicationsV2(first: 5) { nodes { isPublished publication { id } } } } }`
	c.get(&shown, look, "id", p.GID())
	if rows := shown.Product.ResourcePublicationsV2.Nodes; shown.Product.PublishedAt == nil || len(rows) != 1 || !rows[0].IsPublished || rows[0].Publication.ID != store {
		t.Errorf("shown %+v", shown)
	}
	c.refusal("input.0.publicationId: Publication does not exist or is not publishable", show, "id", p.GID(), "at", "gid://shopify/Publication/1")
	w.told()
	c.expect(`{"publishableUnpublish":{"publishable":{"publishedOnPublication":false},"userErrors":[]}}`,
		strings.Replace(show, "publishablePublish", "publishableUnpublish", 1), "id", p.GID(), "at", store)
	w.told("products/update")
	c.expect(`{"product":{"publishedAt":null,"resourcePublicationsV2":{"nodes":[]}}}`, look, "id", p.GID())
}

func TestVersionsAreNamed(t *testing.T) {
	_, c := writer(t)
	c.expect(`{"publicApiVersions":[{"handle":"2026-01","supported":true},{"handle":"2026-04","supported":true},{"handle":"2026-07","supported":true},{"handle":"2026-10","supported":true}]}`,
		`{ publicApiVersions { handle supported } }`)
	c.version = "2026-01"
	if answer := c.ask(`{ collections(first: 1) { nodes { sources { id } } } }`); answer.code() != "undefinedField" {
		t.Errorf("2026-01 has a field of 2026-07: %v", answer.Errors)
	}
	if answer := c.ask(`{ collections(first: 1) { nodes { ruleSet { rules { column } } } } }`); len(answer.Errors) > 0 || answer.header.Get("X-Shopify-API-Deprecated-Reason") != "" {
		t.Errorf("ruleSet in 2026-01: %v %v", answer.Errors, answer.header)
	}
	if answer := c.ask(`mutation { collectionCreate(input: {title: "x"}) { collection { id products(first: 1) { nodes { id } } } } }`); answer.Extensions.Cost.Requested != 10 {
		t.Errorf("a mutation costs %d", answer.Extensions.Cost.Requested)
	}
}

// Whoever writes and whoever reads do not disturb each other; the race
// detector judges, and at the end every index still agrees with the shop.
func TestMutationsEditsAndReadsMix(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 20, Orders: 4}, func(c *simulator.Config) { c.Capacity, c.Rate = 1e6, 1e6 })
	c := w.client(writeScopes...)
	v := trackedVariant(t, w.shop)
	line := map[string]any{"delta": 1, "changeFromQuantity": nil, "inventoryItemId": v.Item.GID(), "locationId": v.Item.Levels[0].Location.GID()}
	var all sync.WaitGroup
	for worker := range 3 {
		all.Go(func() {
			for i := range 15 {
				key := fmt.Sprint(worker, "-", i)
				for _, answer := range []reply{
					c.ask(adjust, "in", map[string]any{"name": "available", "reason": "correction", "changes": []any{line}}, "key", key),
					c.ask(`mutation($t: String!) { productCreate(product: {title: $t}) { product { id variants(first: 2) { nodes { id inventoryQuantity } } } userErrors { message } } }`, "t", key),
					c.ask(`{ products(first: 20, reverse: true) { nodes { title totalInventory events(first: 2) { nodes { message } } } } }`),
				} {
					if len(answer.Errors) > 0 {
						t.Errorf("%s: %s", key, answer.Errors[0].Message)
					}
				}
			}
		})
	}
	all.Wait()
	c.expect(`{"productsCount":{"count":65}}`, `{ productsCount { count } }`)
	var level struct {
		InventoryLevel struct{ Quantities []struct{ Quantity int64 } }
	}
	c.get(&level, `query($id: ID!) { inventoryLevel(id: $id) { quantities(names: ["available"]) { quantity } } }`, "id", v.Item.Levels[0].GID())
	if got := level.InventoryLevel.Quantities[0].Quantity; got != v.Item.Levels[0].Available {
		t.Errorf("the API shows %d, the shop holds %d", got, v.Item.Levels[0].Available)
	}
}
