package simulator

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// OrderSpec describes a new order.
type OrderSpec struct {
	Lines   []OrderLine
	Note    string
	Tags    []string
	Pending bool // Not paid yet.

	// Customer is who orders, known by an earlier order. Zero is somebody new.
	Customer int64

	// KeepStock leaves stock as it is, as an order made through the API does by default.
	KeepStock bool
}

// OrderLine is so many of a variant.
type OrderLine struct {
	Variant  int64
	Quantity int64
}

// CreateOrder sells: it takes tracked stock at the first active location that
// stocks a variant, below zero where there is not enough.
func (s *Shop) CreateOrder(spec OrderSpec) (*Order, error) {
	e := s.begin()
	defer e.end()
	if len(spec.Lines) == 0 {
		return nil, fmt.Errorf("create order without lines: %w", ErrInvalid)
	}
	for _, line := range spec.Lines {
		if _, ok := s.Variants.Get(line.Variant); !ok {
			return nil, missing(typeVariant, line.Variant)
		}
		if line.Quantity <= 0 {
			return nil, fmt.Errorf("create order of %d units: %w", line.Quantity, ErrInvalid)
		}
	}
	if spec.Customer != 0 && len(s.ordersOf(spec.Customer)) == 0 {
		return nil, missing(typeCustomer, spec.Customer)
	}
	o := s.newOrder(spec, e.now)
	for _, line := range o.LineItems {
		if l := s.shelf(line.VariantID); l != nil && !spec.KeepStock {
			o.Location = l.Location.ID
			l.Committed += line.Quantity
			e.setLevel(l, l.Available-line.Quantity)
		}
	}
	s.Orders.put(o)
	e.note("create", o.GID(), o.Name)
	e.order("orders/create", o)
	if !spec.Pending {
		e.order("orders/paid", o)
	}
	return o, nil
}

// shelf is the level from which a variant is sold, nil where it is not tracked.
func (s *Shop) shelf(variant int64) *Level {
	v, ok := s.Variants.Get(variant)
	if !ok || !v.Item.Tracked {
		return nil
	}
	for _, l := range v.Item.Levels {
		if l.Shown() {
			return l
		}
	}
	return nil
}

func (s *Shop) newOrder(spec OrderSpec, at time.Time) *Order {
	s.nextOrder++
	number := 1000 + s.nextOrder
	o := &Order{
		ID: s.newID(typeOrder), Number: number, Name: fmt.Sprintf("#%d", number), FinancialStatus: "PAID",
		FulfillmentStatus: "UNFULFILLED", Currency: s.Currency, Customer: cmp.Or(spec.Customer, firstCustomer+int64(number)), Note: spec.Note, Tags: tagSet(spec.Tags), CreatedAt: at, UpdatedAt: at,
	}
	if spec.Pending {
		o.FinancialStatus = "PENDING"
	}
	for _, line := range spec.Lines {
		v, ok := s.Variants.Get(line.Variant)
		if !ok {
			continue
		}
		o.LineItems = append(o.LineItems, &LineItem{
			ID: s.newID(typeLineItem), ProductID: v.Product.ID, VariantID: v.ID, Title: v.Product.Title, SKU: v.SKU,
			Quantity: line.Quantity, Price: v.Price,
		})
		o.Total += v.Price * Money(line.Quantity)
	}
	return o
}

// UpdateOrder changes what change does to an order's note, tags or status.
func (s *Shop) UpdateOrder(id int64, change func(*Order)) error {
	e := s.begin()
	defer e.end()
	o, ok := s.Orders.Get(id)
	if !ok {
		return missing(typeOrder, id)
	}
	before := *o
	change(o)
	o.Tags = tagSet(o.Tags)
	e.changeOrder(o)
	if before.FinancialStatus != "PAID" && o.FinancialStatus == "PAID" {
		e.order("orders/paid", o)
	}
	if before.FulfillmentStatus != o.FulfillmentStatus {
		switch o.FulfillmentStatus {
		case "FULFILLED":
			e.order("orders/fulfilled", o)
		case "PARTIALLY_FULFILLED":
			e.order("orders/partially_fulfilled", o)
		}
	}
	return nil
}

func (e *edit) changeOrder(o *Order) {
	o.UpdatedAt = e.now
	e.shop.Orders.put(o)
	e.order("orders/updated", o)
}

// CancelOrder cancels an order and puts its stock back.
func (s *Shop) CancelOrder(id int64) error { return s.cancelOrder(id, "CUSTOMER", true, true) }

// cancelOrder cancels an order; what was paid stays so unless it is refunded.
func (s *Shop) cancelOrder(id int64, reason string, restock, refund bool) error {
	e := s.begin()
	defer e.end()
	o, ok := s.Orders.Get(id)
	if !ok {
		return missing(typeOrder, id)
	}
	if !o.CancelledAt.IsZero() {
		return fmt.Errorf("cancel order %d twice: %w", id, ErrInvalid)
	}
	o.CancelledAt, o.CancelReason = e.now, reason
	switch {
	case o.FinancialStatus != "PAID":
		o.FinancialStatus = "VOIDED"
	case refund:
		o.FinancialStatus = "REFUNDED"
	}
	for _, line := range o.LineItems {
		if l := s.shelf(line.VariantID); l != nil && o.Location != 0 {
			l.Committed -= line.Quantity
			if restock {
				e.setLevel(l, l.Available+line.Quantity)
			}
		}
	}
	e.changeOrder(o)
	e.order("orders/cancelled", o)
	return nil
}

// DeleteOrder removes an order.
func (s *Shop) DeleteOrder(id int64) error {
	e := s.begin()
	defer e.end()
	o, ok := s.Orders.Get(id)
	if !ok {
		return missing(typeOrder, id)
	}
	s.Orders.remove(id)
	e.note("destroy", o.GID(), o.Name)
	e.fixed("orders/delete", o.GID(), map[string]any{"id": id})
	return nil
}

// EditOrder changes how many of a line were ordered, after the order was
// placed. Stock is not moved: what was sold before is not put back by itself.
func (s *Shop) EditOrder(id, lineItem, quantity int64) error {
	e := s.begin()
	defer e.end()
	o, ok := s.Orders.Get(id)
	if !ok {
		return missing(typeOrder, id)
	}
	at := slices.IndexFunc(o.LineItems, func(l *LineItem) bool { return l.ID == lineItem })
	if at < 0 {
		return missing(typeLineItem, lineItem)
	}
	if quantity <= 0 {
		return fmt.Errorf("edit order %d to %d units: %w", id, quantity, ErrInvalid)
	}
	l := o.LineItems[at]
	delta := quantity - l.Quantity
	o.Total += l.Price * Money(delta)
	l.Quantity = quantity
	o.Edited = true
	additions, removals := []map[string]any{}, []map[string]any{}
	if delta >= 0 {
		additions = append(additions, map[string]any{"id": l.ID, "delta": delta})
	} else {
		removals = append(removals, map[string]any{"id": l.ID, "delta": -delta})
	}
	none := func() map[string]any { return map[string]any{"additions": []any{}, "removals": []any{}} }
	e.changeOrder(o)
	e.fixed("orders/edited", o.GID(), map[string]any{"order_edit": map[string]any{
		"id": s.newID("OrderEdit"), "order_id": o.ID, "app_id": nil, "user_id": nil, "notify_customer": false, "staff_note": "",
		"created_at": s.local(e.now), "committed_at": s.local(e.now),
		"line_items": map[string]any{"additions": additions, "removals": removals},
		"discounts":  map[string]any{"line_item": none()}, "shipping_lines": none(),
	}})
	return nil
}
