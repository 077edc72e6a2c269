package simulator

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"stockroom/internal/simulator/graph"
)

// The roots that page, count and find by id. All of them sort by number and, where
// Shopify has it, by time of change, without looking at more rows than needed.
var (
	products = list[*Product]{
		typename: typeProduct,
		index:    func(s *Shop) *Index[*Product] { return &s.Products },
		words: func(p *Product) string {
			return strings.Join(append([]string{p.Title, p.ProductType, p.Vendor}, p.Tags...), " ")
		},
		filters: map[string]graph.Filter[*Product]{
			"id":              graph.ByNumber(func(p *Product) int64 { return p.ID }),
			"title":           graph.ByText(func(p *Product) []string { return []string{p.Title} }),
			"handle":          graph.ByText(func(p *Product) []string { return []string{p.Handle} }),
			"vendor":          graph.ByText(func(p *Product) []string { return []string{p.Vendor} }),
			"product_type":    graph.ByText(func(p *Product) []string { return []string{p.ProductType} }),
			"tag":             graph.ByText(func(p *Product) []string { return p.Tags }),
			"sku":             graph.ByText(func(p *Product) []string { return each(p.Variants, func(v *Variant) string { return v.SKU }) }),
			"barcode":         graph.ByText(func(p *Product) []string { return each(p.Variants, func(v *Variant) string { return v.Barcode }) }),
			"status":          graph.ByChoice(func(p *Product) string { return p.Status }, "active", "archived", "draft", "unlisted"),
			"inventory_total": graph.ByNumber((*Product).TotalInventory),
			"created_at":      graph.ByTime(func(p *Product) time.Time { return p.CreatedAt }),
			"updated_at":      graph.ByTime(func(p *Product) time.Time { return p.UpdatedAt }),
			"published_at":    graph.ByTime(func(p *Product) time.Time { return p.PublishedAt }),
		},
		sorts: map[string]func(*Product) string{
			"CREATED_AT":      func(p *Product) string { return sortable(p.CreatedAt) },
			"PUBLISHED_AT":    func(p *Product) string { return sortable(p.PublishedAt) },
			"TITLE":           func(p *Product) string { return strings.ToLower(p.Title) },
			"VENDOR":          func(p *Product) string { return strings.ToLower(p.Vendor) },
			"PRODUCT_TYPE":    func(p *Product) string { return strings.ToLower(p.ProductType) },
			"INVENTORY_TOTAL": func(p *Product) string { return sortableNumber(p.TotalInventory()) },
		},
	}
	variants = list[*Variant]{
		typename: typeVariant,
		index:    func(s *Shop) *Index[*Variant] { return &s.Variants },
		words:    func(v *Variant) string { return v.Product.Title + " " + v.Title + " " + v.SKU + " " + v.Barcode },
		filters: map[string]graph.Filter[*Variant]{
			"id":                 graph.ByNumber(func(v *Variant) int64 { return v.ID }),
			"product_id":         graph.ByNumber(func(v *Variant) int64 { return v.Product.ID }),
			"title":              graph.ByText(func(v *Variant) []string { return []string{v.Title} }),
			"sku":                graph.ByText(func(v *Variant) []string { return []string{v.SKU} }),
			"barcode":            graph.ByText(func(v *Variant) []string { return []string{v.Barcode} }),
			"vendor":             graph.ByText(func(v *Variant) []string { return []string{v.Product.Vendor} }),
			"product_type":       graph.ByText(func(v *Variant) []string { return []string{v.Product.ProductType} }),
			"tag":                graph.ByText(func(v *Variant) []string { return v.Product.Tags }),
			"product_status":     graph.ByChoice(func(v *Variant) string { return v.Product.Status }, "active", "archived", "draft", "unlisted"),
			"inventory_quantity": graph.ByNumber((*Variant).InventoryQuantity),
			"taxable":            graph.ByChoice(func(v *Variant) string { return fmt.Sprint(v.Taxable) }, "true", "false"),
			"updated_at":         graph.ByTime(func(v *Variant) time.Time { return v.UpdatedAt }),
		},
		sorts: variantSorts,
	}
	items = list[*InventoryItem]{
		typename: typeItem,
		index:    func(s *Shop) *Index[*InventoryItem] { return &s.Items },
		words:    func(i *InventoryItem) string { return i.SKU },
		filters: map[string]graph.Filter[*InventoryItem]{
			"id":         graph.ByNumber(func(i *InventoryItem) int64 { return i.ID }),
			"sku":        graph.ByText(func(i *InventoryItem) []string { return []string{i.SKU} }),
			"created_at": graph.ByTime(func(i *InventoryItem) time.Time { return i.CreatedAt }),
			"updated_at": graph.ByTime(func(i *InventoryItem) time.Time { return i.UpdatedAt }),
		},
	}
	locations = list[*Location]{
		typename: typeLocation,
		index:    func(s *Shop) *Index[*Location] { return &s.Locations },
		words:    func(l *Location) string { return l.Name },
		filters: map[string]graph.Filter[*Location]{
			"id":         graph.ByNumber(func(l *Location) int64 { return l.ID }),
			"name":       graph.ByText(func(l *Location) []string { return []string{l.Name} }),
			"active":     graph.ByChoice(func(l *Location) string { return fmt.Sprint(l.Active) }, "true", "false"),
			"created_at": graph.ByTime(func(l *Location) time.Time { return l.CreatedAt }),
		},
		sorts: map[string]func(*Location) string{"NAME": func(l *Location) string { return strings.ToLower(l.Name) }},
	}
	activeLocations = func() list[*Location] {
		out := locations
		out.visible = func(_ *query, l *Location) bool { return l.Active }
		return out
	}()
	collections = list[*Collection]{
		typename: typeCollection,
		index:    func(s *Shop) *Index[*Collection] { return &s.Collections },
		words:    func(c *Collection) string { return c.Title },
		filters: map[string]graph.Filter[*Collection]{
			"id":              graph.ByNumber(func(c *Collection) int64 { return c.ID }),
			"title":           graph.ByText(func(c *Collection) []string { return []string{c.Title} }),
			"handle":          graph.ByText(func(c *Collection) []string { return []string{c.Handle} }),
			"updated_at":      graph.ByTime(func(c *Collection) time.Time { return c.UpdatedAt }),
			"published_at":    graph.ByTime(func(c *Collection) time.Time { return c.PublishedAt }),
			"collection_type": graph.ByChoice(collectionType, "smart", "custom"),
		},
		sorts: map[string]func(*Collection) string{"TITLE": func(c *Collection) string { return strings.ToLower(c.Title) }},
	}
	discounts = list[*Discount]{
		typename: "DiscountNode",
		index:    func(s *Shop) *Index[*Discount] { return &s.Discounts },
		words:    func(d *Discount) string { return d.Title },
		filters: map[string]graph.Filter[*Discount]{
			"id":         graph.ByNumber(func(d *Discount) int64 { return d.ID }),
			"title":      graph.ByText(func(d *Discount) []string { return []string{d.Title} }),
			"method":     graph.ByChoice(discountMethod, "code", "automatic"),
			"created_at": graph.ByTime(func(d *Discount) time.Time { return d.CreatedAt }),
			"updated_at": graph.ByTime(func(d *Discount) time.Time { return d.UpdatedAt }),
			"starts_at":  graph.ByTime(func(d *Discount) time.Time { return d.StartsAt }),
			"ends_at":    graph.ByTime(func(d *Discount) time.Time { return d.EndsAt }),
			// Recorded: finds nothing here; codeDiscountNodeByCode does.
			"code": graph.ByText(func(*Discount) []string { return nil }),
		},
		sorts: map[string]func(*Discount) string{
			"TITLE":      func(d *Discount) string { return strings.ToLower(d.Title) },
			"CREATED_AT": func(d *Discount) string { return sortable(d.CreatedAt) },
			"STARTS_AT":  func(d *Discount) string { return sortable(d.StartsAt) },
			"ENDS_AT":    func(d *Discount) string { return sortable(d.EndsAt) },
		},
	}
	orders = list[*Order]{
		typename: typeOrder,
		index:    func(s *Shop) *Index[*Order] { return &s.Orders },
		visible:  func(q *query, o *Order) bool { return q.seesOrder(o) },
		words:    func(o *Order) string { return o.Name },
		filters: map[string]graph.Filter[*Order]{
			"id":                 graph.ByNumber(func(o *Order) int64 { return o.ID }),
			"name":               graph.ByText(func(o *Order) []string { return []string{o.Name, strings.TrimPrefix(o.Name, "#")} }),
			"tag":                graph.ByText(func(o *Order) []string { return o.Tags }),
			"status":             graph.ByChoice(orderStatus, "open", "cancelled"),
			"financial_status":   graph.ByText(func(o *Order) []string { return []string{o.FinancialStatus} }),
			"fulfillment_status": graph.ByText(func(o *Order) []string { return []string{o.FulfillmentStatus} }),
			"created_at":         graph.ByTime(func(o *Order) time.Time { return o.CreatedAt }),
			"processed_at":       graph.ByTime(func(o *Order) time.Time { return o.CreatedAt }),
			"updated_at":         graph.ByTime(func(o *Order) time.Time { return o.UpdatedAt }),
		},
		sorts: map[string]func(*Order) string{
			"CREATED_AT":   func(o *Order) string { return sortable(o.CreatedAt) },
			"PROCESSED_AT": func(o *Order) string { return sortable(o.CreatedAt) },
			"ORDER_NUMBER": func(o *Order) string { return sortableNumber(int64(o.Number)) },
			"TOTAL_PRICE":  func(o *Order) string { return sortableNumber(int64(o.Total)) },
		},
	}
)

// variantSorts serve the root and a product's own list alike.
var variantSorts = map[string]func(*Variant) string{
	"POSITION":           func(v *Variant) string { return sortableNumber(int64(v.Position)) },
	"TITLE":              func(v *Variant) string { return strings.ToLower(v.Title) },
	"NAME":               func(v *Variant) string { return strings.ToLower(v.Product.Title + " " + v.Title) },
	"FULL_TITLE":         func(v *Variant) string { return strings.ToLower(v.Product.Title + " " + v.Title) },
	"SKU":                func(v *Variant) string { return strings.ToLower(v.SKU) },
	"INVENTORY_QUANTITY": func(v *Variant) string { return sortableNumber(v.InventoryQuantity()) },
	"INVENTORY_POLICY":   func(v *Variant) string { return v.Policy },
}

func collectionType(c *Collection) string {
	if c.Smart() {
		return "smart"
	}
	return "custom"
}

func discountMethod(d *Discount) string {
	if d.Automatic() {
		return "automatic"
	}
	return "code"
}

func orderStatus(o *Order) string {
	if o.CancelledAt.IsZero() {
		return "open"
	}
	return "cancelled"
}

// sortable is a time as a sort value.
func sortable(t time.Time) string { return t.UTC().Format(changedValue) }

// sortableNumber is a number as a sort value: text that sorts as the numbers do.
func sortableNumber(n int64) string { return fmt.Sprintf("%020d", uint64(n)^(1<<63)) }

// orderWindow is how far back orders are shown without read_all_orders.
const orderWindow = 60 * 24 * time.Hour

// seesOrder tells whether an order is shown: without read_all_orders, those of
// the window are.
func (q *query) seesOrder(o *Order) bool {
	return q.access.Allows("read_all_orders") || o.CreatedAt.After(q.access.Now.Add(-orderWindow))
}

func each[T, R any](list []T, of func(T) R) []R {
	out := make([]R, len(list))
	for i, v := range list {
		out[i] = of(v)
	}
	return out
}

// root adapts a method of a list to a resolver of the query root, behind its scope.
func root(scope, field string, answer func(*query, map[string]any) (any, error)) resolver {
	return needs(scope, field, func(q *query, _ any, args map[string]any) (any, error) { return answer(q, args) })
}

var _ = define(fields{
	"shop":                      func(q *query, _ any, _ map[string]any) (any, error) { return q.object(typeShop, q.shop), nil },
	"currentAppInstallation":    func(q *query, _ any, _ map[string]any) (any, error) { return q.installation(), nil },
	"product":                   root("read_products", "product", products.find),
	"products":                  root("read_products", "products", products.page),
	"productsCount":             root("read_products", "productsCount", products.count),
	"productVariant":            root("read_products", "productVariant", variants.find),
	"productVariants":           root("read_products", "productVariants", variants.page),
	"productVariantsCount":      root("read_products", "productVariantsCount", variants.count),
	"inventoryItem":             root("read_inventory", "inventoryItem", items.find),
	"inventoryItems":            root("read_inventory", "inventoryItems", items.page),
	"inventoryLevel":            root("read_inventory", "inventoryLevel", (*query).findLevel),
	"location":                  root("read_locations", "location", (*query).findLocation),
	"locations":                 root("read_locations", "locations", (*query).pageLocations),
	"locationsCount":            root("read_locations", "locationsCount", activeLocations.count),
	"collection":                root("read_products", "collection", collections.find),
	"collections":               root("read_products", "collections", collections.page),
	"collectionsCount":          root("read_products", "collectionsCount", collections.count),
	"discountNode":              root("read_discounts", "discountNode", (*query).findDiscount),
	"discountNodes":             root("read_discounts", "discountNodes", (*query).pageDiscounts),
	"discountNodesCount":        root("read_discounts", "discountNodesCount", (*query).countDiscounts),
	"codeDiscountNodeByCode":    root("read_discounts", "codeDiscountNodeByCode", (*query).discountByCode),
	"order":                     root("read_orders", "order", orders.find),
	"orders":                    root("read_orders", "orders", orders.page),
	"ordersCount":               root("read_orders", "ordersCount", orders.count),
	"webhookSubscription":       func(q *query, _ any, args map[string]any) (any, error) { return q.findSubscription(args) },
	"webhookSubscriptions":      func(q *query, _ any, args map[string]any) (any, error) { return q.pageSubscriptions(args) },
	"webhookSubscriptionsCount": func(q *query, _ any, args map[string]any) (any, error) { return q.countSubscriptions(args) },
	"node": func(q *query, _ any, args map[string]any) (any, error) {
		return q.node(fmt.Sprint(args["id"]), "node")
	},
	"nodes": func(q *query, _ any, args map[string]any) (any, error) {
		ids, _ := args["ids"].([]any)
		out := make([]any, len(ids))
		for i, id := range ids {
			found, err := q.node(fmt.Sprint(id), "nodes")
			if out[i] = found; err != nil {
				out[i] = err
			}
		}
		return out, nil
	},
}, "QueryRoot")

// node finds what a global id names. The id's own type decides which of the
// schema's types the object has.
func (q *query) node(text, field string) (any, error) {
	kind, id, _, ok := parseGID(text)
	if !ok {
		return nil, invalidID(text)
	}
	args := map[string]any{"id": text}
	guard := func(scope string, answer func() (any, error)) (any, error) {
		if err := q.denied(scope, field); err != nil {
			return nil, err
		}
		return answer()
	}
	switch kind {
	case typeShop:
		if id == q.shop.ID {
			return q.object(typeShop, q.shop), nil
		}
		return nil, nil
	case "Domain":
		if id == q.shop.ID {
			return q.object("Domain", q.shop), nil
		}
		return nil, nil
	case typeInstallation:
		if id == q.access.Installation.ID {
			return q.installation(), nil
		}
		return nil, nil
	case typeProduct:
		return guard("read_products", func() (any, error) { return products.get(q, id), nil })
	case typeVariant:
		return guard("read_products", func() (any, error) { return variants.get(q, id), nil })
	case typeCollection:
		return guard("read_products", func() (any, error) { return collections.get(q, id), nil })
	case typeOption, typeMediaImage:
		return guard("read_products", func() (any, error) { return q.partOfProduct(kind, id), nil })
	case typeItem:
		return guard("read_inventory", func() (any, error) { return items.get(q, id), nil })
	case typeLevel:
		return guard("read_inventory", func() (any, error) { return q.findLevel(args) })
	case typeLocation:
		return guard("read_locations", func() (any, error) { return locations.get(q, id), nil })
	case "DiscountNode", typeDiscountCode, typeDiscountAutomatic:
		return guard("read_discounts", func() (any, error) { return q.discount(kind, kind, id), nil })
	case typeOrder:
		return guard("read_orders", func() (any, error) { return orders.get(q, id), nil })
	case typeLineItem:
		return guard("read_orders", func() (any, error) { return q.lineItem(id), nil })
	case typeMetafield:
		m, ok := q.shop.Metafields.Get(id)
		if !ok {
			return nil, nil
		}
		if m.OwnerType == typeShop {
			return q.object(typeMetafield, m), nil
		}
		return guard("read_products", func() (any, error) { return q.object(typeMetafield, m), nil })
	case typeSubscription:
		return q.findSubscription(args)
	}
	return nil, invalidID(text)
}

// partOfProduct looks for an option or image through all products; nothing but
// a stray id asks for one.
func (q *query) partOfProduct(kind string, id int64) any {
	for p := range q.shop.Products.All() {
		if kind == typeMediaImage && p.Image != nil && p.Image.ID == id {
			return q.object(typeMediaImage, p.Image)
		}
		if at := slices.IndexFunc(p.Options, func(o Option) bool { return o.ID == id }); kind == typeOption && at >= 0 {
			return q.object(typeOption, position{p.Options[at], at + 1})
		}
	}
	return nil
}

func (q *query) findLocation(args map[string]any) (any, error) {
	if args["id"] != nil {
		return locations.find(q, args)
	}
	for l := range q.shop.Locations.All() { // Without an id: the primary one.
		if l.Active {
			return q.object(typeLocation, l), nil
		}
	}
	return nil, nil
}

func (q *query) pageLocations(args map[string]any) (any, error) {
	if args["includeInactive"] == true {
		return locations.page(q, args)
	}
	return activeLocations.page(q, args)
}
