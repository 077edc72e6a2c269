package simulator

import "slices"

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
	"lineItems": with(func(q *query, o *Order, args map[string]any) (any, error) {
		lines := each(o.LineItems, func(line *LineItem) lineOf { return lineOf{line, o} })
		return small(q, args, typeLineItem, lines, func(line lineOf) int64 { return line.ID })
	}),
}, typeOrder)

var orderTotal = with(func(q *query, o *Order, _ map[string]any) (any, error) {
	return q.object("MoneyBag", money{o.Total, o.Currency}), nil
})

// lineOf is a line with the order that it belongs to.
type lineOf struct {
	*LineItem
	order *Order
}

var _ = define(fields{
	"id":       of(func(l lineOf) any { return l.GID() }),
	"title":    of(func(l lineOf) any { return l.Title }),
	"name":     of(func(l lineOf) any { return l.Title }),
	"quantity": of(func(l lineOf) any { return l.Quantity }),
	"sku":      of(func(l lineOf) any { return nullable(l.SKU) }),
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
