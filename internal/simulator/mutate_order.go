package simulator

import (
	"fmt"
	"strconv"
)

func init() {
	mutationWith("orderCreate", "write_orders", "userErrors", "OrderCreateUserError", (*query).orderCreate, "order")
	mutation("orderUpdate", "write_orders", (*query).orderUpdate, "order")
	mutationWith("orderCancel", "write_orders", "orderCancelUserErrors", "OrderCancelUserError", (*query).orderCancel, "job")
	extend(fields{"userErrors": with(func(q *query, p payload, _ map[string]any) (any, error) {
		return each(p.problems, func(e UserError) any { return q.object("UserError", e) }), nil
	})}, "OrderCancelPayload")
}

// orderCreate takes stock only where its options say so.
func (q *query) orderCreate(in input) (payload, error) {
	wanted := in.object("order")
	behaviour := in.object("options").text("inventoryBehaviour")
	spec := OrderSpec{Note: wanted.text("note"), Tags: wanted.texts("tags"), KeepStock: behaviour == "" || behaviour == "BYPASS"}
	switch status := wanted.text("financialStatus"); status {
	case "", "PENDING":
		spec.Pending = true
	case "PAID":
	default:
		return refuse(complaint("INVALID", "Financial status "+status+" is not simulated", "order", "financialStatus"))
	}
	if len(wanted.objects("lineItems")) == 0 {
		return refuse(complaint("INVALID", "Line items must have at least one line item", "order", "lineItems"))
	}
	for i, line := range wanted.objects("lineItems") {
		at := []string{"order", "lineItems", strconv.Itoa(i)}
		if line["variantId"] == nil {
			return refuse(complaint("INVALID", "Lines without a variant are not simulated", append(at, "variantId")...))
		}
		variant, err := line.id("variantId", typeVariant)
		if err != nil {
			return payload{}, err
		}
		if line.number("quantity") <= 0 {
			return refuse(complaint("INVALID", "Quantity must be greater than 0", append(at, "quantity")...))
		}
		spec.Lines = append(spec.Lines, OrderLine{variant, line.number("quantity")})
	}
	if behaviour == "DECREMENT_OBEYING_POLICY" {
		if at := q.shop.short(spec.Lines); at >= 0 {
			return refuse(complaint("INVENTORY_CLAIM_FAILED", "Unable to reserve inventory", "order", "lineItems", strconv.Itoa(at)))
		}
	}
	o, err := q.shop.CreateOrder(spec)
	if err != nil {
		return refuse(complaint("INVALID", "Variant does not exist", "order", "lineItems"))
	}
	return done(map[string]any{"order": q.object(typeOrder, o)})
}

// short is the place of the first line that there is not enough stock for; -1
// where there is.
func (s *Shop) short(lines []OrderLine) int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for i, line := range lines {
		if v, ok := s.Variants.Get(line.Variant); ok && v.Item.Tracked && v.Policy == "DENY" && v.InventoryQuantity() < line.Quantity {
			return i
		}
	}
	return -1
}

func (q *query) orderUpdate(in input) (payload, error) {
	wanted := in.object("input")
	id, err := wanted.id("id", typeOrder)
	if err != nil {
		return payload{}, err
	}
	var o *Order
	err = q.shop.UpdateOrder(id, func(found *Order) {
		o = found
		wanted.put("note", &o.Note)
		if wanted.has("tags") {
			o.Tags = wanted.texts("tags")
		}
	})
	if err != nil {
		return refuse(complaint("", "Order does not exist", "id"))
	}
	return done(map[string]any{"order": q.object(typeOrder, o)})
}

func (q *query) orderCancel(in input) (payload, error) {
	id, err := in.id("orderId", typeOrder)
	if err != nil {
		return payload{}, err
	}
	s := q.shop
	s.mu.RLock()
	o, ok := s.Orders.Get(id)
	cancelled := ok && !o.CancelledAt.IsZero()
	s.mu.RUnlock()
	switch {
	case !ok:
		return refuse(complaint("NOT_FOUND", "Order does not exist", "orderId"))
	case cancelled:
		return refuse(complaint("INVALID", "Order has already been cancelled", "orderId"))
	}
	if in["refund"] != nil && in["refundMethod"] != nil {
		return refuse(complaint("INVALID", "Only one of refund and refundMethod can be given", "refund"))
	}
	refund := true // Where nothing is said; what Shopify does then is not published.
	if in["refund"] != nil {
		refund = in.flag("refund")
	} else if method := in.object("refundMethod"); method["originalPaymentMethodsRefund"] != nil {
		refund = method.flag("originalPaymentMethodsRefund")
	}
	if err := s.cancelOrder(id, in.text("reason"), in.flag("restock"), refund); err != nil {
		return payload{}, fmt.Errorf("cancel order %d: %w", id, err)
	}
	return done(map[string]any{"job": q.newJob()})
}
