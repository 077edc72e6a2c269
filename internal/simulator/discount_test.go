package simulator_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"stockroom/internal/simulator"
)

type object = map[string]any

// discountKinds are the discounts that mutations make, each with an input for
// its making, one for its change, and what is read back of either.
func discountKinds(w *world) []discountKind {
	products := w.shop.Products.IDs()
	first, ok := w.shop.Products.Get(products[0])
	second, ok2 := w.shop.Products.Get(products[1])
	if !ok || !ok2 {
		w.t.Fatal("the shop has less than two products")
	}
	someOf := func(p *simulator.Product) object {
		return object{"products": object{"productsToAdd": []string{p.GID()}}}
	}
	variant := object{"products": object{"productVariantsToAdd": []string{first.Variants[0].GID()}}}
	const (
		common = ` title startsAt endsAt status discountClasses tags combinesWith { orderDiscounts productDiscounts shippingDiscounts } `
		shown  = `items { ... on DiscountProducts { products(first: 2) { nodes { id } } productVariants(first: 2) { nodes { id } } } }`
		code   = ` usageLimit appliesOncePerCustomer codes(first: 2) { nodes { code } } `
		bxgy   = common + ` summary usesPerOrderLimit customerBuys { isOneTimePurchase isSubscription ` + shown + ` value { ... on DiscountQuantity { quantity } ... on DiscountPurchaseAmount { amount } } }
			customerGets { appliesOnOneTimePurchase appliesOnSubscription ` + shown + ` value { ... on DiscountOnQuantity { quantity { quantity } effect { ... on DiscountPercentage { percentage } ... on DiscountAmount { amount { amount } appliesOnEachItem } } } } } `
		shipping = common + ` summary appliesOnOneTimePurchase appliesOnSubscription recurringCycleLimit maximumShippingPrice { amount }
			destinationSelection { ... on DiscountCountryAll { allCountries } ... on DiscountCountries { countries includeRestOfWorld } }
			minimumRequirement { ... on DiscountMinimumSubtotal { greaterThanOrEqualToSubtotal { amount } } ... on DiscountMinimumQuantity { greaterThanOrEqualToQuantity } } `
		app = common + ` discountId appliesOnOneTimePurchase appliesOnSubscription recurringCycleLimit appDiscountType { appKey functionId title discountClasses } `
	)
	times := object{"startsAt": "2020-01-01T00:00:00Z"}
	with := func(parts ...object) object {
		out := object{}
		for _, part := range parts {
			maps.Copy(out, part)
		}
		return out
	}
	coded := object{"code": "CODE-1", "usageLimit": 7, "appliesOncePerCustomer": true}
	bxgyMade := with(times, object{"title": "Two for one", "tags": []string{"b", "a", "B"}, "usesPerOrderLimit": 3,
		"combinesWith": object{"orderDiscounts": true, "shippingDiscounts": true},
		"customerBuys": object{"items": someOf(first), "value": object{"quantity": "2"}},
		"customerGets": object{"items": someOf(second), "value": object{"discountOnQuantity": object{"quantity": "1", "effect": object{"percentage": 0.5}}}}})
	bxgyChanged := object{"title": "More for less", "endsAt": "2020-02-01T00:00:00Z", "usesPerOrderLimit": nil,
		"customerBuys": object{"isSubscription": true, "value": object{"amount": "30"}},
		"customerGets": object{"appliesOnSubscription": true, "items": variant, "value": object{"discountOnQuantity": object{"effect": object{"amount": "5"}}}}}
	shippingMade := with(times, object{"title": "Free to Europe", "combinesWith": object{"productDiscounts": true}, "maximumShippingPrice": "20",
		"destination":        object{"countries": object{"add": []string{"FR", "DE"}, "includeRestOfWorld": true}},
		"minimumRequirement": object{"subtotal": object{"greaterThanOrEqualToSubtotal": "50"}}})
	shippingChanged := object{"title": "Free to Germany", "maximumShippingPrice": nil, "destination": object{"countries": object{"remove": []string{"FR"}}},
		"minimumRequirement": object{"quantity": object{"greaterThanOrEqualToQuantity": "3"}}, "appliesOnSubscription": true, "recurringCycleLimit": 0}
	appMade := with(times, object{"title": "By volume", "functionHandle": "volume", "discountClasses": []string{"SHIPPING", "PRODUCT"}, "combinesWith": object{"shippingDiscounts": true},
		"metafields": []object{{"namespace": "rules", "key": "tiers", "type": "json", "value": `{"10":0.1}`}}})
	appChanged := object{"title": "By weight", "functionId": "11111111-2222-3333-4444-555555555555", "appliesOnSubscription": false, "discountClasses": []string{"ORDER"},
		"metafields": []object{{"namespace": "rules", "key": "tiers", "type": "json", "value": `{"10":0.2}`}}}

	p1, p2, v1 := first.GID(), second.GID(), first.Variants[0].GID()
	started := `"startsAt":"2020-01-01T00:00:00Z","endsAt":null,"status":"ACTIVE",`
	codes := `"usageLimit":7,"appliesOncePerCustomer":true,"codes":{"nodes":[{"code":"CODE-1"}]}`
	bxgyRead := `{"title":"Two for one",` + started + `"discountClasses":["PRODUCT"],"tags":["a","b"],"combinesWith":{"orderDiscounts":true,"productDiscounts":false,"shippingDiscounts":true},
		"summary":"Buy 2 items, get 1 at 50% off","usesPerOrderLimit":3,
		"customerBuys":{"isOneTimePurchase":true,"isSubscription":false,"items":{"products":{"nodes":[{"id":"` + p1 + `"}]},"productVariants":{"nodes":[]}},"value":{"quantity":"2"}},
		"customerGets":{"appliesOnOneTimePurchase":true,"appliesOnSubscription":false,"items":{"products":{"nodes":[{"id":"` + p2 + `"}]},"productVariants":{"nodes":[]}},"value":{"quantity":{"quantity":"1"},"effect":{"percentage":0.5}}}`
	bxgyReread := `{"title":"More for less","startsAt":"2020-01-01T00:00:00Z","endsAt":"2020-02-01T00:00:00Z","status":"EXPIRED","discountClasses":["PRODUCT"],"tags":["a","b"],
		"combinesWith":{"orderDiscounts":true,"productDiscounts":false,"shippingDiscounts":true},"summary":"Buy 30.00 USD, get 1 at 5.00 USD off each","usesPerOrderLimit":null,
		"customerBuys":{"isOneTimePurchase":true,"isSubscription":true,"items":{"products":{"nodes":[{"id":"` + p1 + `"}]},"productVariants":{"nodes":[]}},"value":{"amount":"30.0"}},
		"customerGets":{"appliesOnOneTimePurchase":true,"appliesOnSubscription":true,"items":{"products":{"nodes":[{"id":"` + p2 + `"}]},"productVariants":{"nodes":[{"id":"` + v1 + `"}]}},
		"value":{"quantity":{"quantity":"1"},"effect":{"amount":{"amount":"5.0"},"appliesOnEachItem":true}}}`
	shippingRead := `{"title":"Free to Europe",` + started + `"discountClasses":["SHIPPING"],"tags":[],"combinesWith":{"orderDiscounts":false,"productDiscounts":true,"shippingDiscounts":false},
		"summary":"Free shipping • Minimum 50.00 USD","appliesOnOneTimePurchase":true,"appliesOnSubscription":false,"recurringCycleLimit":1,"maximumShippingPrice":{"amount":"20.0"},
		"destinationSelection":{"countries":["DE","FR"],"includeRestOfWorld":true},"minimumRequirement":{"greaterThanOrEqualToSubtotal":{"amount":"50.0"}}`
	shippingReread := `{"title":"Free to Germany",` + started + `"discountClasses":["SHIPPING"],"tags":[],"combinesWith":{"orderDiscounts":false,"productDiscounts":true,"shippingDiscounts":false},
		"summary":"Free shipping • Minimum 3 items","appliesOnOneTimePurchase":true,"appliesOnSubscription":true,"recurringCycleLimit":0,"maximumShippingPrice":null,
		"destinationSelection":{"countries":["DE"],"includeRestOfWorld":false},"minimumRequirement":{"greaterThanOrEqualToQuantity":"3"}`
	appRead := `{"title":"By volume",` + started + `"discountClasses":["PRODUCT","SHIPPING"],"tags":[],"combinesWith":{"orderDiscounts":false,"productDiscounts":false,"shippingDiscounts":true},
		"discountId":"ID","appliesOnOneTimePurchase":true,"appliesOnSubscription":true,"recurringCycleLimit":1,
		"appDiscountType":{"appKey":"` + clientID + `","functionId":"FUNCTION","title":"volume","discountClasses":["PRODUCT","SHIPPING"]}`
	appReread := `{"title":"By weight",` + started + `"discountClasses":["ORDER"],"tags":[],"combinesWith":{"orderDiscounts":false,"productDiscounts":false,"shippingDiscounts":true},
		"discountId":"ID","appliesOnOneTimePurchase":true,"appliesOnSubscription":false,"recurringCycleLimit":1,
		"appDiscountType":{"appKey":"` + clientID + `","functionId":"11111111-2222-3333-4444-555555555555","title":"11111111-2222-3333-4444-555555555555","discountClasses":["ORDER"]}`
	return []discountKind{
		{"DiscountCodeBxgy", "bxgyCodeDiscount", "codeDiscountNode", bxgy + code, with(bxgyMade, coded), bxgyChanged, bxgyRead + "," + codes + "}", bxgyReread + "," + codes + "}"},
		{"DiscountAutomaticBxgy", "automaticBxgyDiscount", "automaticDiscountNode", bxgy, bxgyMade, bxgyChanged, bxgyRead + "}", bxgyReread + "}"},
		{"DiscountCodeFreeShipping", "freeShippingCodeDiscount", "codeDiscountNode", shipping + code, with(shippingMade, coded), shippingChanged, shippingRead + "," + codes + "}", shippingReread + "," + codes + "}"},
		{"DiscountAutomaticFreeShipping", "freeShippingAutomaticDiscount", "automaticDiscountNode", shipping, shippingMade, shippingChanged, shippingRead + "}", shippingReread + "}"},
		{"DiscountCodeApp", "codeAppDiscount", "", app + code, with(appMade, coded), appChanged, appRead + "," + codes + "}", appReread + "," + codes + "}"},
		{"DiscountAutomaticApp", "automaticAppDiscount", "", app, appMade, appChanged, appRead + "}", appReread + "}"},
	}
}

type discountKind struct {
	typename, argument, node string // No node: the payload holds the discount itself, by the argument's name.
	fields                   string
	made, changed            object
	read, reread             string
}

func (k discountKind) mutation(what string) string {
	name := strings.ToLower(k.typename[:1]) + k.typename[1:] + what
	id, given := "", ""
	if what == "Update" {
		id, given = "$id: ID!, ", "id: $id, "
	}
	field := k.argument + " {" + k.fields + "}"
	if k.node != "" {
		field = k.node + " { id discount: " + strings.TrimSuffix(k.node, "Node") + " { ... on " + k.typename + " {" + k.fields + "} } }"
	}
	return `mutation(` + id + `$in: ` + k.typename + `Input!) { done: ` + name + `(` + given + k.argument + `: $in) { ` + field + ` userErrors { field message code } } }`
}

// do sends a mutation and answers the discount's id and what it says of itself.
func (k discountKind) do(c client, what string, variables ...any) (id, read string) {
	c.w.t.Helper()
	var answer struct{ Done map[string]json.RawMessage }
	c.get(&answer, k.mutation(what), variables...)
	if problems := string(answer.Done["userErrors"]); problems != "[]" {
		c.w.t.Fatalf("%s %s: %s", k.typename, what, problems)
	}
	if k.node == "" {
		var itself struct {
			DiscountID      string
			AppDiscountType struct{ FunctionID string }
		}
		if err := json.Unmarshal(answer.Done[k.argument], &itself); err != nil {
			c.w.t.Fatal(err)
		}
		read = strings.Replace(string(answer.Done[k.argument]), itself.DiscountID, "ID", 1)
		if what == "Create" { // It stands for the handle by a number of ours.
			read = strings.Replace(read, itself.AppDiscountType.FunctionID, "FUNCTION", 1)
		}
		return itself.DiscountID, read
	}
	var node struct {
		ID       string
		Discount json.RawMessage
	}
	if err := json.Unmarshal(answer.Done[k.node], &node); err != nil {
		c.w.t.Fatal(err)
	}
	return node.ID, string(node.Discount)
}

// unfolded is JSON as it is on one line.
func unfolded(text string) string {
	return strings.NewReplacer("\n", "", "\t", "").Replace(text)
}

// Each of the types is made and changed as its input says, keeps what a change
// does not name, is told of, and can be turned off and deleted like the others.
func TestDiscountsOfEveryTypeAreMadeAndChanged(t *testing.T) {
	w, c := writer(t)
	for _, k := range discountKinds(w) {
		id, read := k.do(c, "Create", "in", k.made)
		if want := unfolded(k.read); read != want {
			t.Errorf("%s made\n got %s\nwant %s", k.typename, read, want)
		}
		w.tells("discounts/create", id, k.made["title"])

		again, read := k.do(c, "Update", "id", id, "in", k.changed)
		if want := unfolded(k.reread); read != want || again != id {
			t.Errorf("%s changed (%s, %s)\n got %s\nwant %s", k.typename, id, again, read, want)
		}
		w.tells("discounts/update", id, k.changed["title"])
		if !strings.Contains(export(t, w.shop), `"id":"`+id+`","__typename":"`+k.typename+`","title":"`+k.changed["title"].(string)+`"`) {
			t.Errorf("the export lacks %s", id)
		}

		family := "discountCode"
		if strings.HasPrefix(k.typename, "DiscountAutomatic") {
			family = "discountAutomatic"
		}
		c.refusal("", `mutation { `+family+`Delete(id: "`+id+`") { userErrors { field message code } } }`)
		w.told("discounts/delete")
		c.refusal("id: Discount does not exist (INVALID)", k.mutation("Update"), "id", id, "in", k.changed)
	}
}

// tells waits for one webhook, of a discount.
func (w *world) tells(topic, id string, title any) {
	w.t.Helper()
	heard := w.heard()
	if len(heard) != 1 || heard[0].topic() != topic || heard[0].body["admin_graphql_api_id"] != id || heard[0].body["title"] != title {
		w.t.Errorf("%v, want %s of %s %q", heard, topic, id, title)
	}
}

// A mutation needs write_discounts, and costs what mutations cost and what is
// read of its answer.
func TestMutationsOfDiscountsNeedTheirScopeAndCostTen(t *testing.T) {
	w, _ := writer(t)
	reader := w.client(allScopes...)
	for _, k := range discountKinds(w) {
		if answer := reader.ask(k.mutation("Create"), "in", k.made); answer.code() != "ACCESS_DENIED" {
			t.Errorf("%s without a scope: %v", k.typename, answer.Errors)
		}
		if answer := reader.ask(k.mutation("Update"), "id", "gid://shopify/DiscountCodeNode/1", "in", k.changed); answer.code() != "ACCESS_DENIED" {
			t.Errorf("%s without a scope: %v", k.typename, answer.Errors)
		}
	}
	c := w.client(writeScopes...)
	for _, k := range discountKinds(w) {
		before := w.shop.Discounts.Len()
		name := strings.ToLower(k.typename[:1]) + k.typename[1:]
		answer := c.ask(`mutation($in: `+k.typename+`Input!) { `+name+`Create(`+k.argument+`: $in) { userErrors { code } } }`, "in", k.made)
		if answer.Extensions.Cost.Requested != 10 {
			t.Errorf("%s costs %d", k.typename, answer.Extensions.Cost.Requested)
		}
		if w.shop.Discounts.Len() != before+1 {
			t.Errorf("%s: %d discounts, of %d before", k.typename, w.shop.Discounts.Len(), before)
		}
		if err := w.shop.DeleteDiscount(w.shop.Discounts.IDs()[before]); err != nil {
			t.Fatal(err)
		}
	}
	w.heard()
}

// What is refused changes nothing and is not told of.
func TestDiscountsAreRefused(t *testing.T) {
	w, c := writer(t)
	kinds := map[string]discountKind{}
	for _, k := range discountKinds(w) {
		kinds[k.typename] = k
	}
	gets := func(value object) object {
		return object{"customerGets": object{"items": kinds["DiscountCodeBxgy"].made["customerGets"].(object)["items"], "value": value}}
	}
	buys := func(value object) object {
		return object{"customerBuys": object{"items": kinds["DiscountCodeBxgy"].made["customerBuys"].(object)["items"], "value": value}}
	}
	all := object{"all": true}
	for _, tt := range []struct {
		typename string
		change   object
		want     string
	}{
		{"DiscountCodeBxgy", object{"code": " "}, "code: Code can't be blank (BLANK)"},
		{"DiscountCodeBxgy", object{"title": ""}, "title: Title can't be blank (BLANK)"},
		{"DiscountCodeBxgy", object{"endsAt": "2019-01-01T00:00:00Z"}, "endsAt: Ends at needs to be after starts_at (END_DATE_BEFORE_START_DATE)"},
		{"DiscountCodeBxgy", object{"usageLimit": 0}, "usageLimit: Usage limit must be greater than 0 (GREATER_THAN)"},
		{"DiscountCodeBxgy", object{"usesPerOrderLimit": 0}, "usesPerOrderLimit: Uses per order limit must be greater than 0 (GREATER_THAN)"},
		{"DiscountCodeBxgy", object{"customerBuys": nil}, "customerBuys.value: Value can't be blank (BLANK)"},
		{"DiscountCodeBxgy", object{"customerBuys": object{"value": object{"quantity": "1"}}}, "customerBuys.items: Items in 'customer buys' cannot be empty (BLANK)"},
		{"DiscountCodeBxgy", object{"customerBuys": object{"items": all, "value": object{"quantity": "1"}}}, "customerBuys.items: Items in 'customer buys' cannot be set to all (INVALID)"},
		{"DiscountCodeBxgy", buys(object{"quantity": "0"}), "customerBuys.value.quantity: Quantity must be greater than 0 (GREATER_THAN)"},
		{"DiscountCodeBxgy", buys(object{"quantity": "1", "amount": "1"}), "customerBuys.value: Only one of quantity and amount can be given (TOO_MANY_ARGUMENTS)"},
		{"DiscountCodeBxgy", buys(object{"amount": "0"}), "customerBuys.value.amount: Amount must be greater than 0 (GREATER_THAN)"},
		{"DiscountCodeBxgy", object{"customerGets": nil}, "customerGets.value: Value can't be blank (BLANK)"},
		{"DiscountCodeBxgy", gets(object{"percentage": 0.1}), "customerGets.value.percentage: Buy X get Y discounts don't support percentage (INVALID)"},
		{"DiscountCodeBxgy", gets(object{"discountAmount": object{"amount": "1"}}), "customerGets.value.discountAmount: Buy X get Y discounts don't support discountAmount (INVALID)"},
		{"DiscountCodeBxgy", gets(object{"discountOnQuantity": object{"quantity": "0"}}), "customerGets.value.discountOnQuantity.quantity: Quantity must be greater than 0 (GREATER_THAN)"},
		{"DiscountCodeBxgy", gets(object{"discountOnQuantity": object{"quantity": "1"}}), "customerGets.value.discountOnQuantity.effect: Effect can't be blank (BLANK)"},
		{"DiscountCodeBxgy", gets(object{"discountOnQuantity": object{"effect": object{"percentage": 1}}}), "customerGets.value.discountOnQuantity.quantity: Quantity can't be blank (BLANK)"},
		{"DiscountCodeBxgy", gets(object{"discountOnQuantity": object{"quantity": "1", "effect": object{"percentage": 1.1}}}), "customerGets.value.discountOnQuantity.effect.percentage: Value must be between 0.0 and 1.0 (VALUE_OUTSIDE_RANGE)"},
		{"DiscountCodeBxgy", gets(object{"discountOnQuantity": object{"quantity": "1", "effect": object{"amount": "0"}}}), "customerGets.value.discountOnQuantity.effect.amount: Discount amount must be greater than 0 (GREATER_THAN)"},
		{"DiscountCodeBxgy", gets(object{"discountOnQuantity": object{"quantity": "1", "effect": object{"amount": "1", "percentage": 1}}}), "customerGets.value.discountOnQuantity.effect: Only one of percentage and amount can be given (TOO_MANY_ARGUMENTS)"},
		{"DiscountCodeBxgy", object{"customerSelection": object{"all": false}}, "customerSelection: Customer selection can't be blank (BLANK)"},
		{"DiscountCodeBxgy", object{"customerSelection": all, "context": object{"all": "ALL"}}, "context: Only one of context and customerSelection can be given (CONFLICT)"},
		{"DiscountAutomaticBxgy", object{"tags": []string{"a", "b", "c", "d", "e", "f"}}, "tags: The number of tags exceeds the maximum of 5. (TOO_MANY_TAGS)"},
		{"DiscountAutomaticBxgy", object{"tags": []string{strings.Repeat("ä", 256)}}, "tags: The tag title exceeds the maximum length of 255 characters. (INVALID_TAG_LENGTH)"},
		{"DiscountAutomaticBxgy", object{"customerGets": object{"appliesOnOneTimePurchase": false}}, "customerGets.appliesOnOneTimePurchase: A discount cannot have both appliesOnOneTimePurchase and appliesOnSubscription set to false. (APPLIES_ON_NOTHING)"},
		{"DiscountAutomaticFreeShipping", object{"appliesOnOneTimePurchase": false}, "appliesOnOneTimePurchase: A discount cannot have both appliesOnOneTimePurchase and appliesOnSubscription set to false. (APPLIES_ON_NOTHING)"},
		{"DiscountAutomaticFreeShipping", object{"recurringCycleLimit": -1}, "recurringCycleLimit: Recurring cycle limit must be a valid integer greater than or equal to 0. (RECURRING_CYCLE_LIMIT_NOT_A_VALID_INTEGER)"},
		{"DiscountAutomaticFreeShipping", object{"recurringCycleLimit": 3}, "recurringCycleLimit: Recurring cycle limit must be 1 when discount does not apply to subscription items. (MULTIPLE_RECURRING_CYCLE_LIMIT_FOR_NON_SUBSCRIPTION_ITEMS)"},
		{"DiscountAutomaticFreeShipping", object{"combinesWith": object{"shippingDiscounts": true}}, "combinesWith: The combinesWith settings are invalid for the discount class. (INVALID_COMBINES_WITH_FOR_DISCOUNT_CLASS)"},
		{"DiscountAutomaticFreeShipping", object{"maximumShippingPrice": "0"}, "maximumShippingPrice: Maximum shipping price must be greater than 0 (GREATER_THAN)"},
		{"DiscountAutomaticFreeShipping", object{"destination": object{"all": true, "countries": object{"add": []string{"DE"}}}}, "destination: All countries and a list of countries cannot both be given (CONFLICT)"},
		{"DiscountAutomaticFreeShipping", object{"destination": object{"countries": object{"remove": []string{"DE"}}}}, "destination.countries: Countries can't be blank (BLANK)"},
		{"DiscountAutomaticApp", object{"functionHandle": nil}, "functionHandle: Either function ID or function handle must be provided. (MISSING_FUNCTION_IDENTIFIER)"},
		{"DiscountAutomaticApp", object{"functionId": "x"}, "functionHandle: Only one of function ID or function handle is allowed. (MULTIPLE_FUNCTION_IDENTIFIERS)"},
		{"DiscountAutomaticApp", object{"discountClasses": []string{}}, "discountClasses: Discount classes can't be blank (BLANK)"},
		{"DiscountAutomaticApp", object{"metafields": []object{{"key": "k"}}}, "metafields.0.value: Value can't be blank (BLANK)"},
		{"DiscountCodeBasic", object{"customerGets": object{"items": all, "value": object{"discountOnQuantity": object{"quantity": "1"}}}}, "customerGets.value.discountOnQuantity: Discount on quantity is only for buy X get Y discounts (INVALID)"},
	} {
		k := kinds[tt.typename]
		if tt.typename == "DiscountCodeBasic" {
			k = discountKind{typename: tt.typename, argument: "basicCodeDiscount", node: "codeDiscountNode", fields: " title ", made: object{"title": "x", "code": "x"}}
		}
		in := maps.Clone(k.made)
		maps.Copy(in, tt.change)
		c.refusal(k.argument+"."+tt.want, k.mutation("Create"), "in", in)
	}
	w.told()

	// A code is one discount's, whatever its type, and a discount one type's.
	k := kinds["DiscountCodeApp"]
	id, _ := k.do(c, "Create", "in", k.made)
	bxgy := kinds["DiscountCodeBxgy"]
	c.refusal("bxgyCodeDiscount.code: Code must be unique. Please try a different code. (TAKEN)", bxgy.mutation("Create"), "in", bxgy.made)
	c.refusal("id: Discount does not exist (INVALID)", bxgy.mutation("Update"), "id", id, "in", object{"title": "x"})
	w.told("discounts/create")
}

// In versions without tags an input with them is refused, and the rest is made.
func TestDiscountsOfOlderVersionsHaveNoTags(t *testing.T) {
	w, c := writer(t)
	c.version = "2026-01"
	k := discountKinds(w)[3]
	k.fields = strings.Replace(k.fields, " tags ", " ", 1)
	k.made["customerSelection"] = nil // Code discounts alone have it.
	if answer := c.ask(k.mutation("Create"), "in", k.made); answer.code() != "INVALID_VARIABLE" {
		t.Errorf("an unknown field: %v", answer.Errors)
	}
	delete(k.made, "customerSelection")
	k.made["tags"] = []string{"a"}
	if answer := c.ask(k.mutation("Create"), "in", k.made); answer.code() != "INVALID_VARIABLE" {
		t.Errorf("tags in %s: %v", c.version, answer.Errors)
	}
	delete(k.made, "tags")
	k.do(c, "Create", "in", k.made)
	w.heard()
}

// The metafields that configure an app's function are the discount's: read,
// changed without a word, and gone with it.
func TestDiscountsHaveMetafields(t *testing.T) {
	w, c := writer(t)
	k := discountKinds(w)[5]
	id, _ := k.do(c, "Create", "in", k.made)
	const read = `query($id: ID!) { discountNode(id: $id) { metafield(namespace: "rules", key: "tiers") { value ownerType owner { ... on DiscountAutomaticNode { id } } } metafields(first: 5) { nodes { key } } } }`
	want := func(value string) string {
		return `{"discountNode":{"metafield":{"value":"` + value + `","ownerType":"DISCOUNT","owner":{"id":"` + id + `"}},"metafields":{"nodes":[{"key":"tiers"}]}}}`
	}
	c.expect(want(`{\"10\":0.1}`), read, "id", id)
	w.heard()
	set := `mutation { metafieldsSet(metafields: [{ownerId: "` + id + `", namespace: "rules", key: "tiers", type: "json", value: "[]"}]) { userErrors { message } } }`
	c.refusal("", set)
	w.told()
	c.expect(want("[]"), read, "id", id)
	if answer := w.client(append([]string{"write_products"}, allScopes...)...).ask(set); answer.code() != "ACCESS_DENIED" {
		t.Errorf("without write_discounts: %v", answer.Errors)
	}
	c = w.client(writeScopes...)
	next := restarted(t, saved(t, w.Simulator), nil)
	if got, want := export(t, next.shop), export(t, w.shop); got != want {
		t.Error("a restart changes the export")
	}
	d := next.shop.Discounts.IDs()[next.shop.Discounts.Len()-1]
	if kept, ok := next.shop.Discounts.Get(d); !ok || len(kept.Metafields) != 1 || kept.Terms.Function.Title != "volume" {
		t.Errorf("after a restart: %+v", kept)
	}
	metafields := w.shop.Metafields.Len()
	if got := next.shop.Metafields.Len(); got != metafields {
		t.Errorf("after a restart %d metafields, of %d before", got, metafields)
	}
	c.refusal("", `mutation { discountAutomaticDelete(id: "`+id+`") { userErrors { message } } }`)
	if w.shop.Metafields.Len() != metafields-1 {
		t.Errorf("%d metafields of %d are left", w.shop.Metafields.Len(), metafields)
	}
	w.heard()
}

// What is set can be searched for.
func TestDiscountsAreFoundByTagAndCombination(t *testing.T) {
	w, c := writer(t)
	k := discountKinds(w)[1]
	id, _ := k.do(c, "Create", "in", k.made)
	for query, found := range map[string]bool{
		"tag:a": true, "tag:z": false, "combines_with:shipping_discounts": true, "combines_with:product_discounts": false,
	} {
		want := `{"discountNodes":{"nodes":[]}}`
		if found {
			want = `{"discountNodes":{"nodes":[{"id":"` + id + `"}]}}`
		}
		c.expect(want, `query($q: String!) { discountNodes(first: 5, query: $q) { nodes { id } } }`, "q", query)
	}
	w.heard()
}
