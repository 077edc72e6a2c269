package shopify

import (
	"cmp"
	"context"
	"slices"

	"stockroom/internal/mirror"
	"stockroom/internal/shopify/admin"
)

// Without read_all_orders Shopify shows the orders of the last 60 days, with it
// all. The list asks for what the token may see: a filter on the date would
// send a full read through the search index, which lags.
var _ = registerList(List{
	Name: "orders", rank: 8,
	Kinds:     []mirror.Kind{mirror.KindOrder, mirror.KindOrderDerived},
	Protected: true,
	Scopes:    []string{"read_orders"},
	Page: func(ctx context.Context, c *Client, cursor string) (Page, error) {
		return listOrders(ctx, c, cursor, nil, "ID")
	},
	Bulk: &Bulk{
		Query: admin.BulkOrders_Operation, Root: mirror.KindOrder, PageCost: 121, PageRows: 50,
		Count: func(ctx context.Context, c *Client) (Count, error) {
			data, err := admin.CountOrders(ctx, c.query())
			if err != nil {
				return Count{}, err
			}
			return countOf(data.OrdersCount), nil
		},
		line: func(k *collector, line BulkLine) error {
			switch line.ID.Object() {
			case "Order": // One record with its line items, so all of it waits.
				var o admin.OrderContent
				if err := line.decode(&o); err != nil {
					return err
				}
				k.stage(line, o)
				return k.orderDerived(o)
			case "LineItem":
				var l admin.LineItemFields
				if err := line.decode(&l); err != nil {
					return err
				}
				k.stage(line, l)
				return nil
			default:
				return line.unexpected()
			}
		},
		gather: gatherOrder,
	},
})

// gatherOrder puts an order together. Lines of a file come in any order, and
// line items say nothing of theirs; their numbers grow in the order in which
// they were added, which is the order that the order's own list has.
func gatherOrder(k *collector, g Gathered) error {
	var o admin.OrderContent
	if err := g.decode(&o); err != nil {
		return err
	}
	lines := make([]admin.LineItemFields, len(g.Children))
	for i, child := range g.Children {
		if err := child.decode(&lines[i]); err != nil {
			return err
		}
	}
	slices.SortFunc(lines, func(a, b admin.LineItemFields) int {
		x, y := a.Id.Number(), b.Id.Number()
		return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y))
	})
	return k.wholeOrder(o, lines)
}

var _ = registerSweep(Sweep{
	Name: "orders", rank: 8, Kinds: []mirror.Kind{mirror.KindOrder}, Protected: true, Scopes: []string{"read_orders"},
	Page: func(ctx context.Context, c *Client, in Range, cursor string) (Page, error) {
		return listOrders(ctx, c, cursor, in.search(), "UPDATED_AT")
	},
})

func listOrders(ctx context.Context, c *Client, cursor string, search *string, sort string) (Page, error) {
	k := c.pageCollector()
	data, err := admin.ListOrders(ctx, k.q, cursorOf(cursor), search, sort)
	if err != nil {
		return Page{}, err
	}
	return page(k, data.Orders.Nodes, data.Orders.PageInfo, func(o admin.OrderFields) error {
		return k.order(ctx, o)
	})
}

var _ = registerScan(Scan{
	Name: "orders", rank: 8, Kind: mirror.KindOrder, Protected: true, Scopes: []string{"read_orders"},
	Page: func(ctx context.Context, c *Client, cursor string) (ScanPage, error) {
		q := c.query()
		data, err := admin.ScanOrders(ctx, q, cursorOf(cursor))
		if err != nil {
			return ScanPage{}, err
		}
		return scanPage(q, data.Orders.Nodes, data.Orders.PageInfo, stampOf)
	},
})

var _ = registerRead(mirror.ReadOrder, reader{
	kind: mirror.KindOrder, max: 50, objects: []string{"Order"},
	read: func(ctx context.Context, k *collector, ids []mirror.GID) error {
		data, err := admin.ReadOrders(ctx, k.q, ids)
		if err != nil {
			return err
		}
		for _, node := range data.Nodes {
			if node == nil {
				continue
			}
			if order, ok := (*node).(*admin.ReadOrdersNodesOrder); ok {
				if err := k.order(ctx, order.OrderFields); err != nil {
					return err
				}
			}
		}
		return nil
	},
})

func (k *collector) order(ctx context.Context, o admin.OrderFields) error {
	lines := o.LineItems.Nodes
	err := readOn(o.LineItems.PageInfo, func(after string) (admin.PageEnd, error) {
		data, err := admin.MoreLineItems(ctx, k.q, o.Id, after)
		if err != nil {
			return admin.PageEnd{}, err
		}
		if data.Order == nil {
			return admin.PageEnd{}, errGone
		}
		lines = append(lines, data.Order.LineItems.Nodes...)
		return data.Order.LineItems.PageInfo, nil
	})
	if err != nil {
		return err
	}
	if err := k.wholeOrder(o.OrderContent, lines); err != nil {
		return err
	}
	return k.orderDerived(o.OrderContent)
}

func (k *collector) wholeOrder(o admin.OrderContent, lines []admin.LineItemFields) error {
	content := mirror.Order{
		Name:         o.Name,
		CreatedAt:    o.CreatedAt,
		UpdatedAt:    o.UpdatedAt,
		CancelledAt:  timeOf(o.CancelledAt),
		CurrencyCode: o.CurrencyCode,
		TotalPrice:   o.TotalPriceSet.ShopMoney.Amount,
		Note:         o.Note,
		Tags:         mirror.SortedStrings(o.Tags),
		LineItems:    make([]mirror.LineItem, len(lines)),
	}
	for i, line := range lines {
		content.LineItems[i] = mirror.LineItem{ID: line.Id, Title: line.Title, Quantity: line.Quantity}
		if line.Variant != nil {
			content.LineItems[i].VariantID = &line.Variant.Id
		}
	}
	return k.present(o.Id, content)
}

func (k *collector) orderDerived(o admin.OrderContent) error {
	return k.present(o.Id, mirror.OrderDerived{
		DisplayFinancialStatus: o.DisplayFinancialStatus, DisplayFulfillmentStatus: o.DisplayFulfillmentStatus,
	})
}
