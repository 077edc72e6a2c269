package simulator_test

import (
	"slices"
	"strings"
	"testing"

	"stockroom/internal/simulator"
)

func TestTagsAreAddedAndRemoved(t *testing.T) {
	w, c := writer(t)
	p := w.firstProduct()
	if err := w.shop.UpdateProduct(p.ID, func(p *simulator.Product) { p.Tags = []string{"Old", "gift"} }); err != nil {
		t.Fatal(err)
	}
	w.heard()
	c.expect(`{"tagsAdd":{"node":{"id":"`+p.GID()+`","tags":["Old","gift","new"]},"userErrors":[]}}`,
		`mutation { tagsAdd(id: "`+p.GID()+`", tags: ["new, GIFT"]) { node { id ... on Product { tags } } userErrors { message } } }`)
	w.told("products/update")
	c.expect(`{"tagsRemove":{"node":{"id":"`+p.GID()+`","tags":["gift","new"]},"userErrors":[]}}`,
		`mutation { tagsRemove(id: "`+p.GID()+`", tags: ["old"]) { node { id ... on Product { tags } } userErrors { message } } }`)
	if answer := w.client(allScopes...).ask(`mutation { tagsAdd(id: "` + p.GID() + `", tags: ["x"]) { node { id } } }`); answer.code() != "ACCESS_DENIED" {
		t.Errorf("without a scope: %v", answer.Errors)
	}
}

func TestDiscountsAreTurnedOnAndOff(t *testing.T) {
	w, c := writer(t)
	for d := range w.shop.Discounts.All() {
		name, field := "discountCode", "codeDiscount"
		if d.Automatic() {
			name, field = "discountAutomatic", "automaticDiscount"
		}
		ask := func(what, want string) {
			t.Helper()
			c.expect(`{"`+name+what+`":{"`+field+`Node":{"`+field+`":{"status":"`+want+`"}},"userErrors":[]}}`,
				`mutation { `+name+what+`(id: "`+d.GID()+`") { `+field+`Node { `+field+` { ... on `+d.Typename+` { status } } } userErrors { message } } }`)
		}
		ask("Activate", "ACTIVE")
		ask("Deactivate", "EXPIRED")
		ask("Deactivate", "EXPIRED")
		ask("Activate", "ACTIVE")
	}
	c.refusal("id: Discount does not exist (INVALID)", `mutation { discountCodeActivate(id: "gid://shopify/DiscountCodeNode/1") { userErrors { field message code } } }`)
}

func TestCodesAreAddedTogether(t *testing.T) {
	w, c := writer(t)
	var d *simulator.Discount
	for one := range w.shop.Discounts.All() {
		if one.Typename == "DiscountCodeBasic" {
			d = one
			break
		}
	}
	before := len(d.Codes)
	w.heard()
	c.expect(`{"discountRedeemCodeBulkAdd":{"bulkCreation":{"codesCount":4,"importedCount":2,"failedCount":2,"done":true,"discountCode":{"id":"`+d.GID()+`"}},"userErrors":[]}}`,
		`mutation { discountRedeemCodeBulkAdd(discountId: "`+d.GID()+`", codes: [{code: "A-1"}, {code: "A-2"}, {code: "a-1"}, {code: " "}]) {
			bulkCreation { codesCount importedCount failedCount done discountCode { id } } userErrors { message } } }`)
	w.told("discounts/redeemcode_added", "discounts/redeemcode_added")
	if len(d.Codes) != before+2 {
		t.Errorf("%d codes, before were %d", len(d.Codes), before)
	}
}

// Bodies bring the metafields that a subscription names, and no others.
func TestASubscriptionNamesItsMetafields(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 1}, nil)
	c := w.client(allScopes...)
	p := w.firstProduct()
	for _, key := range []string{"wanted", "other"} {
		if _, err := w.shop.SetMetafield(p.GID(), "custom", key, "single_line_text_field", "x"); err != nil {
			t.Fatal(err)
		}
	}
	c.expect(`{"webhookSubscriptionCreate":{"webhookSubscription":{"metafields":[{"namespace":"custom","key":"wanted"}]},"userErrors":[]}}`,
		`mutation { webhookSubscriptionCreate(topic: PRODUCTS_UPDATE, webhookSubscription: {uri: "`+w.inbox.URL+`", metafields: [{namespace: "custom", key: "wanted"}]}) {
			webhookSubscription { metafields { namespace key } } userErrors { message } } }`)
	retitle(t, w.shop, "x")
	var keys []string
	for _, m := range w.heard()[0].body["metafields"].([]any) {
		keys = append(keys, m.(map[string]any)["key"].(string))
	}
	if !slices.Equal(keys, []string{"wanted"}) {
		t.Errorf("metafields %q", keys)
	}
}

func TestWeightAndSearchTextsAreKept(t *testing.T) {
	w, c := writer(t)
	p := w.firstProduct()
	c.refusal("", `mutation { productUpdate(product: {id: "`+p.GID()+`", seo: {title: "Pots", description: "All of clay"}}) { userErrors { field message } } }`)
	c.refusal("", `mutation { inventoryItemUpdate(id: "`+p.Variants[0].Item.GID()+`", input: {measurement: {weight: {unit: POUNDS, value: 2}}}) { userErrors { field message } } }`)
	answer := c.ask(`{ product(id: "` + p.GID() + `") { seo { title description } options { optionValues { id name } values }
		variants(first: 1) { nodes { image { url } media(first: 1) { nodes { id } } inventoryItem { measurement { weight { unit value } } } } } images(first: 1, maxWidth: 80) { nodes { url } } } }`)
	for _, want := range []string{`"seo":{"title":"Pots","description":"All of clay"}`, `"weight":{"unit":"KILOGRAMS","value":0.907}`, `"optionValues":[{"id":"gid://shopify/ProductOptionValue/`} {
		if !strings.Contains(string(answer.Data), want) {
			t.Errorf("%s is not in %s %v", want, answer.Data, answer.Errors)
		}
	}
}

func TestOrdersSayWhatWasPaid(t *testing.T) {
	w, c := writer(t)
	o, err := w.shop.CreateOrder(simulator.OrderSpec{Lines: []simulator.OrderLine{{Variant: w.firstProduct().Variants[0].ID, Quantity: 2}}})
	if err != nil {
		t.Fatal(err)
	}
	total := o.Total.Decimal()
	sums := func(received, refunded, net string) string {
		bag := func(amount string) string { return `{"shopMoney":{"amount":"` + amount + `"}}` }
		return `"totalReceivedSet":` + bag(received) + `,"totalRefundedSet":` + bag(refunded) + `,"netPaymentSet":` + bag(net) + `,"totalOutstandingSet":` + bag("0.0")
	}
	query := `{ order(id: "` + o.GID() + `") { cancelReason fullyPaid test sourceName subtotalPriceSet { shopMoney { amount } }
		totalReceivedSet { shopMoney { amount } } totalRefundedSet { shopMoney { amount } } netPaymentSet { shopMoney { amount } } totalOutstandingSet { shopMoney { amount } } } }`
	start := `,"fullyPaid":true,"test":false,"sourceName":"web","subtotalPriceSet":{"shopMoney":{"amount":"` + total + `"}},`
	c.expect(`{"order":{"cancelReason":null`+start+sums(total, "0.0", total)+`}}`, query)
	c.refusal("", `mutation { orderCancel(orderId: "`+o.GID()+`", reason: FRAUD, restock: true) { orderCancelUserErrors { message } } }`)
	c.expect(`{"order":{"cancelReason":"FRAUD"`+start+sums(total, total, "0.0")+`}}`, query)
	if h := w.heard("orders/cancelled"); len(h) != 1 || h[0].body["cancel_reason"] != "fraud" {
		t.Errorf("told %v", h)
	}
}
