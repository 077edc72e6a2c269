package simulator

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"stockroom/internal/simulator/graph"
)

// findDiscount answers discountNode, which takes the ids of all three kinds of node.
func (q *query) findDiscount(args map[string]any) (any, error) {
	kind, id, _, ok := parseGID(fmt.Sprint(args["id"]))
	if !ok || kind != "DiscountNode" && kind != typeDiscountCode && kind != typeDiscountAutomatic {
		return nil, invalidID(args["id"])
	}
	if q.lost("DiscountNode") {
		return nil, nil
	}
	return q.discount("DiscountNode", kind, id), nil
}

// discount is the discount of a number as an object of a type, or nil where
// there is none of the kind that its id speaks of.
func (q *query) discount(typename, kind string, id int64) any {
	d, ok := q.shop.Discounts.Get(id)
	if !ok || kind != "DiscountNode" && (kind == typeDiscountAutomatic) != d.Automatic() {
		return nil
	}
	return q.object(typename, d)
}

func (q *query) discountByCode(args map[string]any) (any, error) {
	wanted, _ := args["code"].(string)
	for d := range q.shop.Discounts.All() {
		if slices.ContainsFunc(d.Codes, func(c *RedeemCode) bool { return strings.EqualFold(c.Code, wanted) }) {
			return q.object(typeDiscountCode, d), nil
		}
	}
	return nil, nil
}

// discountClasses are the classes of a discount.
func discountClasses(d *Discount) []string {
	switch {
	case d.Value.FreeShipping:
		return []string{"SHIPPING"}
	case len(d.Terms.Classes) > 0:
		return d.Terms.Classes
	case d.Gets.All || d.App():
		return []string{"ORDER"}
	}
	return []string{"PRODUCT"}
}

// combinedClasses are the classes that a discount combines with, as searches call them.
func combinedClasses(d *Discount) (out []string) {
	for name, combines := range map[string]bool{
		"order_discounts": d.Terms.CombinesWith.Order, "product_discounts": d.Terms.CombinesWith.Product, "shipping_discounts": d.Terms.CombinesWith.Shipping,
	} {
		if combines {
			out = append(out, name)
		}
	}
	return out
}

// searchTypes gives the words by which searches call a discount's type. The
// two fields for it differ in what buy X get Y is called.
func searchTypes(bxgy string) func(*Discount) []string {
	return func(d *Discount) []string {
		out := []string{"all_with_app", "all"}
		switch {
		case d.App():
			return []string{"all_with_app", "app"}
		case d.Bxgy():
			return append(out, bxgy)
		case d.Value.FreeShipping:
			return append(out, "free_shipping")
		case d.Value.Percentage != "":
			return append(out, "percentage")
		}
		return append(out, "fixed_amount")
	}
}

// itself answers a field with the same value as an object of another type.
func itself[T any](typename string) resolver {
	return with(func(q *query, value T, _ map[string]any) (any, error) { return q.object(typename, value), nil })
}

var asDiscount = with(func(q *query, d *Discount, _ map[string]any) (any, error) { return q.object(d.Typename, d), nil })

var (
	_ = define(fields{"id": of(func(d *Discount) any { return d.GID() }), "discount": asDiscount}, "DiscountNode")
	_ = define(fields{"id": of(func(d *Discount) any { return d.GID() }), "codeDiscount": asDiscount}, typeDiscountCode)
	_ = define(fields{"id": of(func(d *Discount) any { return d.GID() }), "automaticDiscount": asDiscount}, typeDiscountAutomatic)
)

// The eight types of discount share their resolvers; the schema says which of
// the fields each of them has.
var _ = define(fields{
	"id":         of(func(d *Discount) any { return d.GID() }),
	"discountId": of(func(d *Discount) any { return d.GID() }),
	"title":      of(func(d *Discount) any { return d.Title }),
	"status":     with(func(q *query, d *Discount, _ map[string]any) (any, error) { return d.Status(q.access.Now), nil }),
	"summary":    with(func(q *query, d *Discount, _ map[string]any) (any, error) { return d.Summary(q.shop.Currency), nil }),
	"shortSummary": with(func(q *query, d *Discount, _ map[string]any) (any, error) {
		return d.ShortSummary(q.shop.Currency), nil
	}),
	"createdAt":                of(func(d *Discount) any { return d.CreatedAt }),
	"updatedAt":                of(func(d *Discount) any { return d.UpdatedAt }),
	"startsAt":                 of(func(d *Discount) any { return d.StartsAt }),
	"endsAt":                   of(func(d *Discount) any { return moment(d.EndsAt) }),
	"appliesOncePerCustomer":   of(func(d *Discount) any { return d.OncePerCustomer }),
	"appliesOnOneTimePurchase": of(func(d *Discount) any { return !d.Terms.AppliesOn.NotOnce }),
	"appliesOnSubscription":    of(func(d *Discount) any { return d.Terms.AppliesOn.Subscription }),
	"recurringCycleLimit":      of(func(d *Discount) any { return d.cycles() }),
	"appDiscountType":          itself[*Discount]("AppDiscountType"),
	"asyncUsageCount":          always(0),
	"tags":                     of(func(d *Discount) any { return append([]string{}, d.Terms.Tags...) }),
	"usesPerOrderLimit": of(func(d *Discount) any {
		if d.Terms.UsesPerOrder == 0 {
			return nil
		}
		return d.Terms.UsesPerOrder
	}),
	"shareableUrls": with(func(q *query, d *Discount, _ map[string]any) (any, error) {
		out := []any{}
		if len(d.Codes) > 0 {
			out = append(out, q.object("DiscountShareableUrl", "https://"+q.shop.PrimaryDomain+"/discount/"+url.PathEscape(d.Codes[0].Code)))
		}
		return out, nil
	}),
	"maximumShippingPrice": with(func(q *query, d *Discount, _ map[string]any) (any, error) {
		if d.Terms.MaximumShipping == 0 {
			return nil, nil
		}
		return q.money(d.Terms.MaximumShipping, q.shop.Currency), nil
	}),
	"combinesWith": itself[*Discount]("DiscountCombinesWith"),
	"context":      itself[*Discount]("DiscountBuyerSelectionAll"),
	"destinationSelection": with(func(q *query, d *Discount, _ map[string]any) (any, error) {
		if to := d.Terms.Destination; len(to.Countries) > 0 || to.RestOfWorld {
			return q.object("DiscountCountries", to), nil
		}
		return q.object("DiscountCountryAll", d), nil
	}),
	"customerGets": itself[*Discount]("DiscountCustomerGets"),
	"customerBuys": itself[*Discount]("DiscountCustomerBuys"),
	"usageLimit": of(func(d *Discount) any {
		if d.UsageLimit == 0 {
			return nil
		}
		return d.UsageLimit
	}),
	"discountClasses": of(func(d *Discount) any { return discountClasses(d) }),
	"minimumRequirement": with(func(q *query, d *Discount, _ map[string]any) (any, error) {
		switch {
		case d.Minimum.Quantity > 0:
			return q.object("DiscountMinimumQuantity", d), nil
		case d.Minimum.Subtotal > 0:
			return q.object("DiscountMinimumSubtotal", d), nil
		}
		return nil, nil
	}),
	"codesCount": with(func(q *query, d *Discount, _ map[string]any) (any, error) {
		n := int64(len(d.Codes))
		return q.count(n, n), nil
	}),
	"codes": with((*query).codes),
}, "DiscountCodeBasic", "DiscountCodeBxgy", "DiscountCodeFreeShipping", "DiscountCodeApp",
	"DiscountAutomaticBasic", "DiscountAutomaticBxgy", "DiscountAutomaticFreeShipping", "DiscountAutomaticApp")

// redeemCodes is what a discount's codes can be searched by.
var redeemCodes = graph.Vocabulary[*RedeemCode]{
	Fields: map[string]graph.Filter[*RedeemCode]{
		"id":         graph.ByID(func(c *RedeemCode) []int64 { return []int64{c.ID} }),
		"times_used": graph.ByNumber(func(*RedeemCode) int64 { return 0 }),
	},
	Words: func(c *RedeemCode) string { return c.Code },
}

// codes pages over a discount's codes.
func (q *query) codes(d *Discount, args map[string]any) (any, error) {
	codes := d.Codes
	match, report := search(q, args, redeemCodes)
	if match != nil {
		codes = slices.DeleteFunc(slices.Clone(codes), func(c *RedeemCode) bool { return !match(c) })
	}
	node := func(c *RedeemCode) graph.Object { return q.object(typeRedeemCode, c) }
	sort, source := graph.SortID, graph.Ordered(codes, func(c *RedeemCode) graph.Key { return graph.Key{ID: c.ID} }, node)
	if args["sortKey"] == "CODE" {
		sort, source = graph.SortText, graph.Sorted(codes, func(c *RedeemCode) graph.Key { return graph.Key{Value: c.Code, ID: c.ID} }, node)
	}
	connection, err := graph.Connect(args, sort, source)
	if err != nil {
		return nil, err
	}
	connection.Search = report
	return connection, nil
}

var _ = define(fields{
	"id":              of(func(c *RedeemCode) any { return c.GID() }),
	"code":            of(func(c *RedeemCode) any { return c.Code }),
	"asyncUsageCount": always(0),
}, typeRedeemCode)

// One link to the shop's first page; the title is our own.
var _ = define(fields{
	"url":             of(func(link string) any { return link }),
	"title":           always("Home page"),
	"targetType":      always("HOME"),
	"targetItemImage": always(nil),
}, "DiscountShareableUrl")

var (
	_ = define(fields{
		"orderDiscounts":    of(func(d *Discount) any { return d.Terms.CombinesWith.Order }),
		"productDiscounts":  of(func(d *Discount) any { return d.Terms.CombinesWith.Product }),
		"shippingDiscounts": of(func(d *Discount) any { return d.Terms.CombinesWith.Shipping }),
	}, "DiscountCombinesWith")
	_ = define(fields{
		"appKey":          of(func(d *Discount) any { return d.function().AppKey }),
		"description":     always(nil),
		"discountClasses": of(func(d *Discount) any { return discountClasses(d) }),
		"functionId":      of(func(d *Discount) any { return d.function().ID }),
		"title":           of(func(d *Discount) any { return d.function().Title }),
	}, "AppDiscountType")
	_ = define(fields{
		"countries":          of(func(to Destination) any { return append([]string{}, to.Countries...) }),
		"includeRestOfWorld": of(func(to Destination) any { return to.RestOfWorld }),
	}, "DiscountCountries")
	_ = define(fields{"all": always("ALL")}, "DiscountBuyerSelectionAll")
	_ = define(fields{"allCountries": always(true)}, "DiscountCountryAll")
)

var _ = define(fields{
	"greaterThanOrEqualToQuantity": of(func(d *Discount) any { return number(d.Minimum.Quantity) }),
}, "DiscountMinimumQuantity")

var _ = define(fields{
	"greaterThanOrEqualToSubtotal": with(func(q *query, d *Discount, _ map[string]any) (any, error) {
		return q.money(d.Minimum.Subtotal, q.shop.Currency), nil
	}),
}, "DiscountMinimumSubtotal")

var _ = define(fields{
	"appliesOnOneTimePurchase": of(func(d *Discount) any { return !d.Terms.AppliesOn.NotOnce }),
	"appliesOnSubscription":    of(func(d *Discount) any { return d.Terms.AppliesOn.Subscription }),
	"items":                    with(func(q *query, d *Discount, _ map[string]any) (any, error) { return q.items(d.Gets), nil }),
	"value": with(func(q *query, d *Discount, _ map[string]any) (any, error) {
		if d.Bxgy() {
			return q.object("DiscountOnQuantity", d), nil
		}
		return q.effect(d), nil
	}),
}, "DiscountCustomerGets")

var _ = define(fields{
	"isOneTimePurchase": of(func(d *Discount) any { return !d.Terms.BuysOn.NotOnce }),
	"isSubscription":    of(func(d *Discount) any { return d.Terms.BuysOn.Subscription }),
	"items":             with(func(q *query, d *Discount, _ map[string]any) (any, error) { return q.items(d.Buys), nil }),
	"value": with(func(q *query, d *Discount, _ map[string]any) (any, error) {
		if d.Minimum.Subtotal > 0 {
			return q.object("DiscountPurchaseAmount", d), nil
		}
		return q.object("DiscountQuantity", d.Minimum.Quantity), nil
	}),
}, "DiscountCustomerBuys")

var _ = define(fields{
	"quantity": with(func(q *query, d *Discount, _ map[string]any) (any, error) {
		return q.object("DiscountQuantity", d.Value.Quantity), nil
	}),
	"effect": with(func(q *query, d *Discount, _ map[string]any) (any, error) { return q.effect(d), nil }),
}, "DiscountOnQuantity")

var (
	_ = define(fields{"quantity": of(func(n int64) any { return number(n) })}, "DiscountQuantity")
	_ = define(fields{"amount": of(func(d *Discount) any { return d.Minimum.Subtotal.Decimal() })}, "DiscountPurchaseAmount")
)

// effect is a percentage or an amount.
func (q *query) effect(d *Discount) graph.Object {
	if d.Value.Percentage != "" {
		return q.object("DiscountPercentage", d)
	}
	return q.object("DiscountAmount", d)
}

var _ = define(fields{
	"percentage": with(func(_ *query, d *Discount, _ map[string]any) (any, error) {
		fraction, err := strconv.ParseFloat(d.Value.Percentage, 64)
		if err != nil {
			return nil, fmt.Errorf("percentage of discount %d: %w", d.ID, err)
		}
		return fraction, nil
	}),
}, "DiscountPercentage")

var _ = define(fields{
	"amount": with(func(q *query, d *Discount, _ map[string]any) (any, error) {
		return q.money(d.Value.Amount, q.shop.Currency), nil
	}),
	"appliesOnEachItem": of(func(d *Discount) any { return d.Value.Each }),
}, "DiscountAmount")

// items is what a discount speaks of, as an object of its form.
func (q *query) items(i DiscountItems) graph.Object {
	switch {
	case i.All:
		return q.object("AllDiscountItems", i)
	case len(i.Collections) > 0:
		return q.object("DiscountCollections", i)
	}
	return q.object("DiscountProducts", i)
}

var _ = define(fields{"allItems": always(true)}, "AllDiscountItems")

var _ = define(fields{
	"collections": needs("read_products", "collections", with(func(q *query, i DiscountItems, args map[string]any) (any, error) {
		return numbered(q, args, typeCollection, &q.shop.Collections, i.Collections)
	})),
}, "DiscountCollections")

var _ = define(fields{
	"products": needs("read_products", "products", with(func(q *query, i DiscountItems, args map[string]any) (any, error) {
		return numbered(q, args, typeProduct, &q.shop.Products, i.Products)
	})),
	"productVariants": needs("read_products", "productVariants", with(func(q *query, i DiscountItems, args map[string]any) (any, error) {
		return numbered(q, args, typeVariant, &q.shop.Variants, i.Variants)
	})),
}, "DiscountProducts")
