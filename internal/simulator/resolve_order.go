package simulator

import (
	"cmp"
	"slices"
)

var _ = define(fields{
	"id":                       of(func(o *Order) any { return o.GID() }),
	"legacyResourceId":         of(func(o *Order) any { return number(o.ID) }),
	"name":                     of(func(o *Order) any { return o.Name }),
	"number":                   of(func(o *Order) any { return o.Number }),
	"createdAt":                of(func(o *Order) any { return o.CreatedAt }),
	"processedAt":              of(func(o *Order) any { return o.CreatedAt }),
	"updatedAt":                of(func(o *Order) any { return o.UpdatedAt }),
	"cancelledAt":              of(func(o *Order) any { return moment(o.CancelledAt) }),
	"displayFinancialStatus":   of(func(o *Order) any { return nullable(o.FinancialStatus) }),
	"displayFulfillmentStatus": of(func(o *Order) any { return o.FulfillmentStatus }),
	"currencyCode":             of(func(o *Order) any { return o.Currency }),
	"totalPrice":               of(func(o *Order) any { return o.Total.String() }),
	"totalPriceSet":            orderTotal,
	"currentTotalPriceSet":     orderTotal,
	"note":                     of(func(o *Order) any { return nullable(o.Note) }),
	"tags":                     of(func(o *Order) any { return o.Tags }),
	"subtotalLineItemsQuantity": of(func(o *Order) any {
		var n int64
		for _, line := range o.LineItems {
			n += line.Quantity
		}
		return n
	}),
	"currentSubtotalLineItemsQuantity": of(func(o *Order) any {
		var n int64
		for _, line := range o.LineItems {
			n += line.Quantity
		}
		return n
	}),
	"cancelReason": of(func(o *Order) any { return nullable(o.cancelReason()) }),
	// Orders are not closed here, nor tested, edited in price, taxed or shipped for money.
	"closed": always(false), "closedAt": always(nil), "confirmed": always(true), "test": always(false), "sourceName": always("web"),
	"sourceIdentifier": always(nil), "poNumber": always(nil), "discountCodes": always([]string{}), "dutiesIncluded": always(false),
	"estimatedTaxes": always(false), "taxExempt": always(false), "taxesIncluded": always(false),
	"edited":                   of(func(o *Order) any { return o.Edited }),
	"fullyPaid":                of(func(o *Order) any { return o.received() > 0 || o.Total == 0 }),
	"unpaid":                   of(func(o *Order) any { return o.received() == 0 }),
	"presentmentCurrencyCode":  of(func(o *Order) any { return o.Currency }),
	"subtotalPriceSet":         orderTotal,
	"currentSubtotalPriceSet":  orderTotal,
	"currentTotalDiscountsSet": orderSum(func(*Order) Money { return 0 }),
	"currentTotalTaxSet":       orderSum(func(*Order) Money { return 0 }),
	"currentShippingPriceSet":  orderSum(func(*Order) Money { return 0 }),
	"totalDiscountsSet":        orderSum(func(*Order) Money { return 0 }),
	"totalTaxSet":              orderSum(func(*Order) Money { return 0 }),
	"totalShippingPriceSet":    orderSum(func(*Order) Money { return 0 }),
	"totalOutstandingSet": orderSum(func(o *Order) Money {
		if o.FinancialStatus == "PENDING" {
			return o.Total
		}
		return 0
	}),
	"totalReceivedSet": orderSum((*Order).received),
	"totalRefundedSet": orderSum((*Order).refunded),
	"netPaymentSet":    orderSum(func(o *Order) Money { return o.received() - o.refunded() }),
	"lineItems": with(func(q *query, o *Order, args map[string]any) (any, error) {
		lines := each(o.LineItems, func(line *LineItem) lineOf { return lineOf{line, o} })
		return small(q, args, typeLineItem, lines, func(line lineOf) int64 { return line.ID })
	}),
}, typeOrder)

var orderTotal = orderSum(func(o *Order) Money { return o.Total })

func orderSum(of func(*Order) Money) resolver {
	return with(func(q *query, o *Order, _ map[string]any) (any, error) {
		return q.object("MoneyBag", money{of(o), o.Currency}), nil
	})
}

// received is what the customer paid, whatever became of it.
func (o *Order) received() Money {
	if o.FinancialStatus == "PAID" || o.FinancialStatus == "REFUNDED" {
		return o.Total
	}
	return 0
}

func (o *Order) refunded() Money {
	if o.FinancialStatus == "REFUNDED" {
		return o.Total
	}
	return 0
}

// cancelReason is "" for an order that is not cancelled.
func (o *Order) cancelReason() string {
	if o.CancelledAt.IsZero() {
		return ""
	}
	return cmp.Or(o.CancelReason, "CUSTOMER")
}

// lineOf is a line with the order that it belongs to.
type lineOf struct {
	*LineItem
	order *Order
}

var _ = define(fields{
	"id":              of(func(l lineOf) any { return l.GID() }),
	"title":           of(func(l lineOf) any { return l.Title }),
	"name":            of(func(l lineOf) any { return l.Title }),
	"quantity":        of(func(l lineOf) any { return l.Quantity }),
	"sku":             of(func(l lineOf) any { return nullable(l.SKU) }),
	"currentQuantity": of(func(l lineOf) any { return l.Quantity }),
	"isGiftCard":      always(false),
	"variantTitle": with(func(q *query, l lineOf, _ map[string]any) (any, error) {
		v, ok := q.shop.Variants.Get(l.VariantID)
		if !ok || v.Title == defaultVariantTitle {
			return nil, nil
		}
		return v.Title, nil
	}),
	"vendor": with(func(q *query, l lineOf, _ map[string]any) (any, error) {
		if p, ok := q.shop.Products.Get(l.ProductID); ok {
			return p.Vendor, nil
		}
		return nil, nil
	}),
	// Nothing is discounted.
	"totalDiscountSet":       lineSum(func(lineOf) Money { return 0 }),
	"discountedUnitPriceSet": lineSum(func(l lineOf) Money { return l.Price }),
	"discountedTotalSet":     lineSum(func(l lineOf) Money { return l.Price * Money(l.Quantity) }),
	"originalUnitPriceSet": with(func(q *query, l lineOf, _ map[string]any) (any, error) {
		return q.object("MoneyBag", money{l.Price, l.order.Currency}), nil
	}),
	"originalTotalSet": with(func(q *query, l lineOf, _ map[string]any) (any, error) {
		return q.object("MoneyBag", money{l.Price * Money(l.Quantity), l.order.Currency}), nil
	}),
	// What was deleted since is null.
	"product": needs("read_products", "product", with(func(q *query, l lineOf, _ map[string]any) (any, error) {
		return products.get(q, l.ProductID), nil
	})),
	"variant": needs("read_products", "variant", with(func(q *query, l lineOf, _ map[string]any) (any, error) {
		return variants.get(q, l.VariantID), nil
	})),
}, typeLineItem)

func lineSum(of func(lineOf) Money) resolver {
	return with(func(q *query, l lineOf, _ map[string]any) (any, error) {
		return q.object("MoneyBag", money{of(l), l.order.Currency}), nil
	})
}

// lineItem looks for a line through all orders; nothing but a stray id asks for one.
func (q *query) lineItem(id int64) any {
	for o := range q.shop.Orders.All() {
		at := slices.IndexFunc(o.LineItems, func(line *LineItem) bool { return line.ID == id })
		if at >= 0 && q.seesOrder(o) {
			return q.object(typeLineItem, lineOf{o.LineItems[at], o})
		}
	}
	return nil
}
