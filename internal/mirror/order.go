package mirror

import "time"

const (
	KindOrder        Kind = "Order"
	KindOrderDerived Kind = "OrderDerived"

	// ReadOrder answers with the order and its line items.
	ReadOrder Read = "order"
)

var (
	_ = register(KindInfo{Kind: KindOrder, Type: TypeOrder, Scopes: []string{"read_orders"}, Governed: true, Read: ReadOrder,
		Objects: []string{"Order"}, Topics: Topics{Created: "orders/create", Changed: "orders/updated", Deleted: "orders/delete"},
		Blank: func() Content { return new(Order) }})
	_ = register(KindInfo{Kind: KindOrderDerived, Type: TypeOrder, Of: KindOrder, Read: ReadOrder,
		Blank: func() Content { return new(OrderDerived) }})
)

// OrderWindow is how far back orders are kept without read_all_orders. Older
// ones leave by the clock, which is neither deletion nor drift.
const OrderWindow = 60 * 24 * time.Hour

// ScopeAllOrders is the access scope that opens orders older than OrderWindow.
const ScopeAllOrders = "read_all_orders"

// Order is what orders/* carry whole, without any customer data.
type Order struct {
	Name         string     `json:"name"`
	CreatedAt    Time       `json:"createdAt"`
	UpdatedAt    Time       `json:"updatedAt"`
	CancelledAt  Time       `json:"cancelledAt"`
	CurrencyCode string     `json:"currencyCode"`
	TotalPrice   Decimal    `json:"totalPrice"` // In the shop's currency.
	Note         *string    `json:"note"`
	Tags         []string   `json:"tags"` // Sorted.
	LineItems    []LineItem `json:"lineItems"`
}

// LineItem is one line of an order.
type LineItem struct {
	ID        GID    `json:"id"`
	VariantID *GID   `json:"variantId"` // Null for custom lines and deleted variants.
	Title     string `json:"title"`
	Quantity  int64  `json:"quantity"`
}

// OrderDerived is how Shopify displays an order's progress. Its vocabulary is
// wider than the webhook's (ON_HOLD, SCHEDULED...), so it comes from reads alone.
type OrderDerived struct {
	DisplayFinancialStatus   *string `json:"displayFinancialStatus"`
	DisplayFulfillmentStatus string  `json:"displayFulfillmentStatus"`
}

func (Order) Kind() Kind               { return KindOrder }
func (Order) ParentID() GID            { return "" }
func (o Order) UpdatedTime() Time      { return o.UpdatedAt }
func (OrderDerived) Kind() Kind        { return KindOrderDerived }
func (OrderDerived) ParentID() GID     { return "" }
func (OrderDerived) UpdatedTime() Time { return Time{} }
