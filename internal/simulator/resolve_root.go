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
			"barcode":                  graph.ByText(func(p *Product) []string { return each(p.Variants, func(v *Variant) string { return v.Barcode }) }),
			"created_at":               graph.ByTime(func(p *Product) time.Time { return p.CreatedAt }),
			"gift_card":                graph.ByFlag(func(p *Product) bool { return p.GiftCard }),
			"handle":                   graph.ByTexts(func(p *Product) []string { return []string{p.Handle} }),
			"has_only_default_variant": graph.ByFlag((*Product).onlyDefault),
			"id":                       graph.ByID(func(p *Product) []int64 { return []int64{p.ID} }),
			"inventory_total":          graph.ByNumber((*Product).TotalInventory),
			"is_price_reduced": graph.ByFlag(func(p *Product) bool {
				return slices.ContainsFunc(p.Variants, func(v *Variant) bool { return v.CompareAtPrice > v.Price })
			}),
			"out_of_stock_somewhere": graph.ByFlag((*Product).outOfStockSomewhere),
			"price":                  byMoney(func(p *Product) []Money { return each(p.Variants, func(v *Variant) Money { return v.Price }) }),
			"product_type":           graph.ByTexts(func(p *Product) []string { return []string{p.ProductType} }),
			"published_at":           graph.ByTime(func(p *Product) time.Time { return p.PublishedAt }),
			"sku":                    graph.ByText(func(p *Product) []string { return each(p.Variants, func(v *Variant) string { return v.SKU }) }),
			"status":                 graph.ByChoice(func(p *Product) string { return p.Status }, productStatuses...),
			"tag":                    graph.ByText(func(p *Product) []string { return p.Tags }),
			"tag_not":                graph.Not(graph.ByText(func(p *Product) []string { return p.Tags })),
			"title":                  graph.ByText(func(p *Product) []string { return []string{p.Title} }),
			"tracks_inventory": graph.ByFlag(func(p *Product) bool {
				return slices.ContainsFunc(p.Variants, func(v *Variant) bool { return v.Item.Tracked })
			}),
			"updated_at":    graph.ByTime(func(p *Product) time.Time { return p.UpdatedAt }),
			"variant_id":    graph.ByID(func(p *Product) []int64 { return each(p.Variants, func(v *Variant) int64 { return v.ID }) }),
			"variant_title": graph.ByText(func(p *Product) []string { return each(p.Variants, func(v *Variant) string { return v.Title }) }),
			"vendor":        graph.ByText(func(p *Product) []string { return []string{p.Vendor} }),
		},
		more: func(q *query) map[string]graph.Filter[*Product] {
			return map[string]graph.Filter[*Product]{
				"collection_id":    byCollection(q, func(p *Product) *Product { return p }),
				"published_status": byPublication(q, func(p *Product) publishable { return p }),
			}
		},
		other: byMetafield(func(p *Product) []*Metafield { return p.Metafields }),
		missing: []string{"bundles", "category_id", "combined_listing_role", "delivery_profile_id", "error_feedback", "has_only_composites",
			"has_variant_with_components", "product_configuration_owner", "product_publication_status", "publication_ids", "publishable_status"},
		sorts: map[string]func(*Product) string{
			"CREATED_AT":      func(p *Product) string { return sortable(p.CreatedAt) },
			"PUBLISHED_AT":    func(p *Product) string { return sortable(p.PublishedAt) },
			"TITLE":           func(p *Product) string { return strings.ToLower(p.Title) },
			"VENDOR":          func(p *Product) string { return strings.ToLower(p.Vendor) },
			"PRODUCT_TYPE":    func(p *Product) string { return strings.ToLower(p.ProductType) },
			"INVENTORY_TOTAL": func(p *Product) string { return graph.NumberValue(p.TotalInventory()) },
		},
	}
	variants = list[*Variant]{
		typename: typeVariant,
		index:    func(s *Shop) *Index[*Variant] { return &s.Variants },
		words:    func(v *Variant) string { return v.Product.Title + " " + v.Title + " " + v.SKU + " " + v.Barcode },
		filters: map[string]graph.Filter[*Variant]{
			"barcode":            graph.ByText(func(v *Variant) []string { return []string{v.Barcode} }),
			"gift_card":          graph.ByFlag(func(*Variant) bool { return false }),
			"id":                 graph.ByID(func(v *Variant) []int64 { return []int64{v.ID} }),
			"inventory_quantity": graph.ByNumber((*Variant).InventoryQuantity),
			"location_id": graph.ByID(func(v *Variant) []int64 {
				return each(activeLevels(v.Item.Levels), func(l *Level) int64 { return l.Location.ID })
			}),
			"option1":        graph.ByText(func(v *Variant) []string { return v.option(0) }),
			"option2":        graph.ByText(func(v *Variant) []string { return v.option(1) }),
			"option3":        graph.ByText(func(v *Variant) []string { return v.option(2) }),
			"product_id":     graph.ByID(func(v *Variant) []int64 { return []int64{v.Product.ID} }),
			"product_ids":    graph.ByTexts(func(v *Variant) []string { return []string{number(v.Product.ID)} }),
			"product_status": graph.ByChoice(func(v *Variant) string { return v.Product.Status }, productStatuses...),
			"product_type":   graph.ByTexts(func(v *Variant) []string { return []string{v.Product.ProductType} }),
			"sku":            graph.ByText(func(v *Variant) []string { return []string{v.SKU} }),
			"tag":            graph.ByText(func(v *Variant) []string { return v.Product.Tags }),
			"tag_not":        graph.Not(graph.ByText(func(v *Variant) []string { return v.Product.Tags })),
			"taxable":        graph.ByFlag(func(v *Variant) bool { return v.Taxable }),
			"title":          graph.ByText(func(v *Variant) []string { return []string{v.Title} }),
			"updated_at":     graph.ByTime(func(v *Variant) time.Time { return v.UpdatedAt }),
			"vendor":         graph.ByText(func(v *Variant) []string { return []string{v.Product.Vendor} }),
		},
		more: func(q *query) map[string]graph.Filter[*Variant] {
			return map[string]graph.Filter[*Variant]{
				"collection":       byCollection(q, func(v *Variant) *Product { return v.Product }),
				"published_status": byPublication(q, func(v *Variant) publishable { return v.Product }),
			}
		},
		missing: []string{"delivery_profile_id", "exclude_composite", "exclude_variants_with_components", "managed", "managed_by",
			"product_publication_status", "publishable_status", "requires_components"},
		sorts: variantSorts,
	}
	// Recorded and published: the count takes a search and ignores all of it.
	countedVariants = list[*Variant]{typename: typeVariant, index: variants.index}
	items           = list[*InventoryItem]{
		typename: typeItem,
		index:    func(s *Shop) *Index[*InventoryItem] { return &s.Items },
		filters: map[string]graph.Filter[*InventoryItem]{
			"id":         graph.ByID(func(i *InventoryItem) []int64 { return []int64{i.ID} }),
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
			"active":      graph.ByFlag(func(l *Location) bool { return l.Active }),
			"address1":    graph.ByText(func(l *Location) []string { return []string{l.Address1} }),
			"city":        graph.ByText(func(l *Location) []string { return []string{l.City} }),
			"country":     graph.ByText(func(l *Location) []string { return []string{l.Country} }),
			"created_at":  graph.ByTime(func(l *Location) time.Time { return l.CreatedAt }),
			"id":          graph.ByID(func(l *Location) []int64 { return []int64{l.ID} }),
			"legacy":      graph.ByFlag(func(*Location) bool { return false }),
			"location_id": graph.ByID(func(l *Location) []int64 { return []int64{l.ID} }),
			"name":        graph.ByText(func(l *Location) []string { return []string{l.Name} }),
			"zip":         graph.ByText(func(l *Location) []string { return []string{l.Zip} }),
		},
		missing: []string{"address2", "geolocated", "pickup_in_store", "province"},
		sorts:   map[string]func(*Location) string{"NAME": func(l *Location) string { return strings.ToLower(l.Name) }},
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
			"collection_type": graph.ByChoice(collectionType, "smart", "custom"),
			"handle":          graph.ByText(func(c *Collection) []string { return []string{c.Handle} }),
			"id":              graph.ByID(func(c *Collection) []int64 { return []int64{c.ID} }),
			"product_id":      graph.ByID(func(c *Collection) []int64 { return c.Members }),
			"published_at":    graph.ByTime(func(c *Collection) time.Time { return c.PublishedAt }),
			"title":           graph.ByText(func(c *Collection) []string { return []string{c.Title} }),
			"updated_at":      graph.ByTime(func(c *Collection) time.Time { return c.UpdatedAt }),
		},
		more: func(q *query) map[string]graph.Filter[*Collection] {
			return map[string]graph.Filter[*Collection]{"published_status": byPublication(q, func(c *Collection) publishable { return c })}
		},
		missing: []string{"product_publication_status", "publishable_status"},
		sorts:   map[string]func(*Collection) string{"TITLE": func(c *Collection) string { return strings.ToLower(c.Title) }},
	}
	discounts = list[*Discount]{
		typename: "DiscountNode",
		index:    func(s *Shop) *Index[*Discount] { return &s.Discounts },
		words:    func(d *Discount) string { return d.Title },
		filters: map[string]graph.Filter[*Discount]{
			// Recorded: finds nothing here; codeDiscountNodeByCode does.
			"code": graph.ByText(func(*Discount) []string { return nil }),
			// Discounts here are for all buyers, and have no uses.
			"combines_with": graph.ByChoices(combinedClasses, "order_discounts", "product_discounts", "shipping_discounts"),
			"combines_with.product_discounts_with_tags_on_same_cart_line": graph.ByTexts(func(*Discount) []string { return nil }),
			"context":        graph.ByChoice(func(*Discount) string { return "all" }, "all", "customer", "segment", "market"),
			"created_at":     graph.ByTime(func(d *Discount) time.Time { return d.CreatedAt }),
			"customer_ids":   graph.ByTexts(func(*Discount) []string { return nil }),
			"discount_class": graph.ByChoices(discountClasses, "order", "product", "shipping"),
			"discount_type":  graph.ByChoices(searchTypes("bogo"), "app", "bogo", "fixed_amount", "free_shipping", "percentage"),
			"ends_at":        graph.ByTime(func(d *Discount) time.Time { return d.EndsAt }),
			"id":             graph.ByID(func(d *Discount) []int64 { return []int64{d.ID} }),
			"market_ids":     graph.ByTexts(func(*Discount) []string { return nil }),
			"method":         graph.ByChoice(discountMethod, "code", "automatic"),
			"segment_ids":    graph.ByTexts(func(*Discount) []string { return nil }),
			"starts_at":      graph.ByTime(func(d *Discount) time.Time { return d.StartsAt }),
			"tag":            graph.ByTexts(func(d *Discount) []string { return d.Terms.Tags }),
			"times_used":     graph.ByNumber(func(*Discount) int64 { return 0 }),
			"title":          graph.ByText(func(d *Discount) []string { return []string{d.Title} }),
			"type":           graph.ByChoices(searchTypes("bxgy"), "all", "all_with_app", "app", "bxgy", "fixed_amount", "free_shipping", "percentage"),
			"updated_at":     graph.ByTime(func(d *Discount) time.Time { return d.UpdatedAt }),
		},
		more: func(q *query) map[string]graph.Filter[*Discount] {
			return map[string]graph.Filter[*Discount]{ // Decided by the clock.
				"status": graph.ByChoice(func(d *Discount) string { return d.Status(q.access.Now) }, "active", "expired", "scheduled"),
			}
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
			"created_at":          graph.ByTime(func(o *Order) time.Time { return o.CreatedAt }),
			"current_total_price": byMoney(func(o *Order) []Money { return []Money{o.Total} }),
			// Orders here have no customer, no discount code, and are no tests.
			"discount_code":           graph.ByText(func(*Order) []string { return nil }),
			"email":                   graph.ByText(func(*Order) []string { return nil }),
			"financial_status":        graph.ByText(func(o *Order) []string { return []string{o.FinancialStatus} }),
			"fulfillment_location_id": graph.ByID(func(o *Order) []int64 { return []int64{o.Location} }),
			"fulfillment_status":      graph.ByText(fulfillmentStatuses),
			"id":                      graph.ByID(func(o *Order) []int64 { return []int64{o.ID} }),
			"name":                    graph.ByText(func(o *Order) []string { return []string{o.Name, strings.TrimPrefix(o.Name, "#")} }),
			"processed_at":            graph.ByTime(func(o *Order) time.Time { return o.CreatedAt }),
			"sku":                     graph.ByText(func(o *Order) []string { return each(o.LineItems, func(l *LineItem) string { return l.SKU }) }),
			"status":                  graph.ByChoices(orderStatuses, "open", "closed", "cancelled", "not_closed"),
			"tag":                     graph.ByText(func(o *Order) []string { return o.Tags }),
			"tag_not":                 graph.Not(graph.ByText(func(o *Order) []string { return o.Tags })),
			"test":                    graph.ByFlag(func(*Order) bool { return false }),
			"updated_at":              graph.ByTime(func(o *Order) time.Time { return o.UpdatedAt }),
		},
		missing: []string{"cart_token", "channel", "channel_id", "chargeback_status", "checkout_token", "confirmation_number", "credit_card_last4",
			"customer_id", "delivery_method", "fraud_protection_level", "gateway", "location_id", "metafields.{namespace}.{key}", "payment_id",
			"payment_provider_id", "po_number", "reference_location_id", "return_status", "risk_level", "sales_channel", "source_identifier",
			"source_name", "subtotal_line_items_quantity", "total_weight"},
		sorts: map[string]func(*Order) string{
			"CREATED_AT":   func(o *Order) string { return sortable(o.CreatedAt) },
			"PROCESSED_AT": func(o *Order) string { return sortable(o.CreatedAt) },
			"ORDER_NUMBER": func(o *Order) string { return graph.NumberValue(int64(o.Number)) },
			"TOTAL_PRICE":  func(o *Order) string { return graph.NumberValue(int64(o.Total)) },
		},
	}
)

// variantSorts serve the root and a product's own list alike.
var variantSorts = map[string]func(*Variant) string{
	"POSITION":           func(v *Variant) string { return graph.NumberValue(int64(v.Position)) },
	"TITLE":              func(v *Variant) string { return strings.ToLower(v.Title) },
	"NAME":               func(v *Variant) string { return strings.ToLower(v.Product.Title + " " + v.Title) },
	"FULL_TITLE":         func(v *Variant) string { return strings.ToLower(v.Product.Title + " " + v.Title) },
	"SKU":                func(v *Variant) string { return strings.ToLower(v.SKU) },
	"INVENTORY_QUANTITY": func(v *Variant) string { return graph.NumberValue(v.InventoryQuantity()) },
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

// orderStatuses are all values of status that an order answers to. Orders here
// are never closed, since nothing archives them.
func orderStatuses(o *Order) []string {
	if o.CancelledAt.IsZero() {
		return []string{"open", "not_closed"}
	}
	return []string{"cancelled", "not_closed"}
}

// fulfillmentStatuses are an order's status and what the search calls it besides.
func fulfillmentStatuses(o *Order) []string {
	also := map[string][]string{"FULFILLED": {"shipped"}, "UNFULFILLED": {"unshipped"}, "PARTIALLY_FULFILLED": {"partial"}}
	return append([]string{o.FulfillmentStatus}, also[o.FulfillmentStatus]...)
}

var productStatuses = []string{"active", "archived", "draft", "unlisted"}

// sortable is a time as a sort value.
func sortable(t time.Time) string { return t.UTC().Format(graph.TimeValue) }

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
	"productVariantsCount":      root("read_products", "productVariantsCount", countedVariants.count),
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
	"discountNodes":             root("read_discounts", "discountNodes", discounts.page),
	"discountNodesCount":        root("read_discounts", "discountNodesCount", discounts.count),
	"codeDiscountNodeByCode":    root("read_discounts", "codeDiscountNodeByCode", (*query).discountByCode),
	"order":                     root("read_orders", "order", orders.find),
	"orders":                    root("read_orders", "orders", orders.page),
	"ordersCount":               root("read_orders", "ordersCount", orders.count),
	"webhookSubscription":       func(q *query, _ any, args map[string]any) (any, error) { return q.findSubscription(args) },
	"webhookSubscriptions":      func(q *query, _ any, args map[string]any) (any, error) { return q.pageSubscriptions(args) },
	"webhookSubscriptionsCount": func(q *query, _ any, args map[string]any) (any, error) { return q.countSubscriptions(args) },
	"node": func(q *query, _ any, args map[string]any) (any, error) {
		return q.byID(fmt.Sprint(args["id"]), "node")
	},
	"nodes": func(q *query, _ any, args map[string]any) (any, error) {
		ids, _ := args["ids"].([]any)
		out := make([]any, len(ids))
		for i, id := range ids {
			found, err := q.byID(fmt.Sprint(id), "nodes")
			if out[i] = found; err != nil {
				out[i] = err
			}
		}
		return out, nil
	},
}, "QueryRoot")

// byID is node for who asks by id.
func (q *query) byID(text, field string) (any, error) {
	if kind, _, _, ok := parseGID(text); ok && q.lost(kind) {
		return nil, nil
	}
	return q.node(text, field)
}

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
		scope := "read_products"
		if m.OwnerType == typeDiscountCode || m.OwnerType == typeDiscountAutomatic {
			scope = "read_discounts"
		}
		return guard(scope, func() (any, error) { return q.object(typeMetafield, m), nil })
	case typeSubscription:
		return q.findSubscription(args)
	}
	return nil, invalidID(text)
}

// partOfProduct looks for an option or image through all products; nothing but
// a stray id asks for one.
func (q *query) partOfProduct(kind string, id int64) any {
	for p := range q.shop.Products.All() {
		for _, picture := range p.pictures() {
			if kind == typeMediaImage && picture.ID == id {
				return q.object(typeMediaImage, picture)
			}
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
