package simulator

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// The bodies of webhooks, shaped as the REST resources are. Source: the
// published examples of version 2026-07, which 2026-10 shares. The shop's lock
// is held while a body is made, and nothing of the shop is left in it.

// latestVersion is what is served to those who do not choose.
const latestVersion = "2026-10"

// maxBodyVariants is how many variants a product's body carries whole; the
// rest are named in variant_gids only.
const maxBodyVariants = 100

// local spells a time with the shop's offset, as most bodies do.
func (s *Shop) local(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.In(s.zone()).Format(time.RFC3339)
}

// zone is the shop's time zone; UTC where this machine does not know it.
func (s *Shop) zone() *time.Location {
	if zone, err := time.LoadLocation(s.Timezone); err == nil {
		return zone
	}
	return time.UTC
}

// orNull is the text, or null where there is none.
func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func (s *Shop) productBody(p *Product, options sendOptions) map[string]any {
	variants := make([]map[string]any, 0, min(len(p.Variants), maxBodyVariants))
	for _, v := range p.Variants[:min(len(p.Variants), maxBodyVariants)] {
		variants = append(variants, s.variantBody(v))
	}
	recent := slices.Clone(p.Variants)
	slices.SortStableFunc(recent, func(a, b *Variant) int { return b.UpdatedAt.Compare(a.UpdatedAt) })
	gids := make([]map[string]any, 0, len(recent))
	for _, v := range recent {
		gids = append(gids, map[string]any{"admin_graphql_api_id": v.GID(), "updated_at": v.UpdatedAt.UTC().Format("2006-01-02T15:04:05.000Z")})
	}
	choices := make([]map[string]any, 0, len(p.Options))
	for i, o := range p.Options {
		choices = append(choices, map[string]any{
			"id": o.ID, "product_id": p.ID, "name": o.Name, "position": i + 1, "values": slices.Clone(o.Values),
		})
	}
	body := map[string]any{
		"admin_graphql_api_id": p.GID(), "id": p.ID, "title": p.Title, "body_html": p.DescriptionHTML, "handle": p.Handle,
		"product_type": p.ProductType, "vendor": p.Vendor, "status": strings.ToLower(p.Status), "tags": strings.Join(p.Tags, ", "),
		"template_suffix": orNull(p.TemplateSuffix), "created_at": s.local(p.CreatedAt), "updated_at": s.local(p.UpdatedAt),
		"published_at": s.local(p.PublishedAt), "published_scope": "web", "category": nil,
		"has_variants_that_requires_components": false, "options": choices, "variants": variants, "variant_gids": gids,
		"image": nil,
	}
	images, media := []map[string]any{}, []map[string]any{}
	for at, picture := range p.pictures() {
		image := map[string]any{
			"id": picture.ID, "admin_graphql_api_id": gid("ProductImage", picture.ID), "product_id": p.ID, "position": at + 1,
			"alt": orNull(picture.Alt), "src": picture.URL, "width": 1200, "height": 1200, "variant_ids": []int64{},
			"created_at": s.local(p.CreatedAt), "updated_at": s.local(p.CreatedAt),
		}
		if at == 0 {
			body["image"] = maps.Clone(image)
		}
		images = append(images, image)
		media = append(media, map[string]any{
			"id": picture.ID, "admin_graphql_api_id": gid(typeMediaImage, picture.ID), "product_id": p.ID, "position": at + 1,
			"alt": picture.Alt, "media_content_type": "IMAGE", "status": "READY", "variant_ids": []int64{},
			"preview_image": map[string]any{"src": picture.URL, "width": 1200, "height": 1200, "status": "READY"},
			"created_at":    s.local(p.CreatedAt), "updated_at": s.local(p.CreatedAt),
		})
	}
	body["images"], body["media"] = images, media
	s.addMetafields(body, p.Metafields, options)
	return body
}

func (s *Shop) variantBody(v *Variant) map[string]any {
	option := func(i int) any {
		if i < len(v.Values) {
			return v.Values[i]
		}
		return nil
	}
	var compareAt any
	if v.CompareAtPrice != 0 {
		compareAt = v.CompareAtPrice.String()
	}
	return map[string]any{
		"admin_graphql_api_id": v.GID(), "id": v.ID, "product_id": v.Product.ID, "title": v.Title, "sku": orNull(v.SKU),
		"barcode": orNull(v.Barcode), "price": v.Price.String(), "compare_at_price": compareAt, "position": v.Position,
		"taxable": v.Taxable, "inventory_policy": strings.ToLower(v.Policy), "inventory_item_id": v.Item.ID,
		"inventory_quantity": v.InventoryQuantity(), "old_inventory_quantity": v.InventoryQuantity(), "image_id": nil,
		"option1": option(0), "option2": option(1), "option3": option(2),
		"created_at": s.local(v.CreatedAt), "updated_at": s.local(v.UpdatedAt),
	}
}

// addMetafields puts those that are wanted, by namespace or by name, into a body.
func (s *Shop) addMetafields(body map[string]any, metafields []*Metafield, options sendOptions) {
	if len(options.metafieldNamespaces)+len(options.metafields) == 0 {
		return
	}
	list := []map[string]any{}
	for _, m := range metafields {
		if slices.Contains(options.metafieldNamespaces, m.Namespace) || slices.Contains(options.metafields, MetafieldName{m.Namespace, m.Key}) {
			list = append(list, map[string]any{
				"id": m.ID, "admin_graphql_api_id": m.GID(), "namespace": m.Namespace, "key": m.Key, "type": m.Type, "value": m.Value,
				"owner_id": m.OwnerID, "owner_resource": strings.ToLower(strings.TrimPrefix(m.OwnerType, "Product")), "description": nil,
				"created_at": s.local(m.CreatedAt), "updated_at": s.local(m.UpdatedAt),
			})
		}
	}
	body["metafields"] = list
}

func (s *Shop) itemBody(i *InventoryItem) map[string]any {
	var cost any
	if i.Cost != 0 {
		cost = i.Cost.String()
	}
	return map[string]any{
		"admin_graphql_api_id": i.GID(), "id": i.ID, "sku": orNull(i.SKU), "cost": cost, "tracked": i.Tracked,
		"requires_shipping": i.RequiresShipping, "country_code_of_origin": nil, "province_code_of_origin": nil,
		"harmonized_system_code": nil, "country_harmonized_system_codes": []any{}, "weight_value": float64(i.Grams) / 1000, "weight_unit": "kg",
		"created_at": s.local(i.CreatedAt), "updated_at": s.local(i.UpdatedAt),
	}
}

func deletedItemBody(id int64) map[string]any {
	return map[string]any{
		"id": id, "admin_graphql_api_id": gid(typeItem, id), "country_code_of_origin": nil, "province_code_of_origin": nil,
		"harmonized_system_code": nil, "country_harmonized_system_codes": []any{},
	}
}

func (s *Shop) levelBody(l *Level) map[string]any {
	var available any // Null where it is not tracked.
	if l.Item.Tracked {
		available = l.Available
	}
	return map[string]any{
		"admin_graphql_api_id": l.GID(), "inventory_item_id": l.Item.ID, "location_id": l.Location.ID,
		"available": available, "updated_at": s.local(l.UpdatedAt),
	}
}

func (s *Shop) locationBody(l *Location) map[string]any {
	return map[string]any{
		"admin_graphql_api_id": l.GID(), "id": l.ID, "name": l.Name, "address1": l.Address1, "address2": "", "city": l.City,
		"zip": l.Zip, "province": "", "province_code": "", "country": l.Country, "country_code": l.Country,
		"country_name": countryName(l.Country), "phone": "", "legacy": false, "active": l.Active,
		"created_at": s.local(l.CreatedAt), "updated_at": s.local(l.UpdatedAt),
	}
}

func (s *Shop) collectionBody(c *Collection, options sendOptions) map[string]any {
	body := map[string]any{
		"admin_graphql_api_id": c.GID(), "id": c.ID, "handle": c.Handle, "title": c.Title, "body_html": c.DescriptionHTML,
		"sort_order": restSortOrder(c.SortOrder), "template_suffix": nil, "published_scope": "web",
		"published_at": s.local(c.PublishedAt), "updated_at": s.local(c.UpdatedAt),
	}
	s.addMetafields(body, c.Metafields, options)
	return body
}

// restSortOrder turns CREATED_DESC into created-desc: REST's spelling.
func restSortOrder(order string) string {
	return strings.ReplaceAll(strings.ToLower(order), "_", "-")
}

func (s *Shop) discountBody(d *Discount) map[string]any {
	return map[string]any{
		"admin_graphql_api_id": d.GID(), "title": d.Title, "status": d.Status(s.sim.Now()),
		"created_at": s.local(d.CreatedAt), "updated_at": s.local(d.UpdatedAt),
	}
}

// shopBody is the shop resource. The caller holds the lock.
func (s *Shop) shopBody() map[string]any {
	var primary int64
	if ids := s.Locations.IDs(); len(ids) > 0 {
		primary = ids[0]
	}
	format, at, plan := "{{amount}} "+s.Currency, placeOf(s.Country, s.Currency), s.plan()
	return map[string]any{
		"id": s.ID, "name": s.Name, "email": s.Email, "customer_email": s.Email, "domain": s.PrimaryDomain,
		"myshopify_domain": s.Domain, "currency": s.Currency, "iana_timezone": s.Timezone,
		"timezone": s.Timezone, "country": s.Country, "country_code": s.Country, "country_name": countryName(s.Country),
		"address1": at.street, "address2": nil, "city": at.city, "zip": at.zip, "province": "", "province_code": "",
		"phone": "", "source": nil, "latitude": nil, "longitude": nil, "primary_locale": "en", "shop_owner": "Sam Example",
		"money_format": format, "money_with_currency_format": format, "money_in_emails_format": format,
		"money_with_currency_in_emails_format": format, "weight_unit": "kg", "taxes_included": false,
		"auto_configure_tax_inclusivity": nil, "tax_shipping": nil, "county_taxes": true, "plan_display_name": plan.title,
		"plan_name": plan.rest, "has_discounts": s.Discounts.Len() > 0, "has_gift_cards": false, "google_apps_domain": nil,
		"google_apps_login_enabled": nil, "eligible_for_payments": true, "requires_extra_payments_agreement": false,
		"password_enabled": false, "has_storefront": true, "finances": true, "primary_location_id": primary,
		"checkout_api_supported": true, "multi_location_enabled": true, "setup_required": false, "pre_launch_enabled": false,
		"enabled_presentment_currencies": []string{s.Currency}, "marketing_sms_consent_enabled_at_checkout": false,
		"transactional_sms_disabled": false, "created_at": s.local(s.CreatedAt), "updated_at": s.local(s.UpdatedAt),
	}
}

// orderBody is a whole order. Its customer is made up: a body without one would
// not show what a receiver does with such data.
func (s *Shop) orderBody(o *Order) map[string]any {
	zero, total := s.moneySet(0), s.moneySet(o.Total)
	lines := make([]map[string]any, 0, len(o.LineItems))
	for _, l := range o.LineItems {
		lines = append(lines, s.lineBody(o, l))
	}
	var cancelReason any
	if !o.CancelledAt.IsZero() {
		cancelReason = strings.ToLower(o.cancelReason())
	}
	var location any
	if o.Location != 0 {
		location = o.Location
	}
	outstanding := o.Total
	if o.FinancialStatus != "PENDING" {
		outstanding = 0
	}
	body := map[string]any{
		"id": o.ID, "admin_graphql_api_id": o.GID(), "name": o.Name, "number": o.Number - 1000, "order_number": o.Number,
		"created_at": s.local(o.CreatedAt), "updated_at": s.local(o.UpdatedAt), "processed_at": s.local(o.CreatedAt),
		"cancelled_at": s.local(o.CancelledAt), "cancel_reason": cancelReason, "closed_at": nil,
		"financial_status": strings.ToLower(o.FinancialStatus), "fulfillment_status": restFulfillment(o.FulfillmentStatus),
		"currency": o.Currency, "presentment_currency": o.Currency, "note": orNull(o.Note), "note_attributes": []any{},
		"tags": strings.Join(o.Tags, ", "), "line_items": lines, "location_id": location, "test": false, "confirmed": true,
		"confirmation_number": nil, "token": fmt.Sprintf("%x", o.ID), "cart_token": nil, "checkout_token": nil,
		"app_id": nil, "browser_ip": nil, "buyer_accepts_marketing": false, "client_details": nil, "customer_locale": "en",
		"device_id": nil, "duties_included": false, "estimated_taxes": false, "landing_site": nil, "landing_site_ref": nil,
		"merchant_business_entity_id": "MTAwMDAwMQ", "merchant_of_record_app_id": nil, "payment_gateway_names": []string{"manual"},
		"order_status_url": fmt.Sprintf("https://%s/%d/orders/%x/authenticate?key=%x", s.Domain, s.ID, o.ID, o.Number),
		"payment_terms":    nil, "phone": nil, "po_number": nil, "reference": nil, "referring_site": nil,
		"source_identifier": nil, "source_name": "web", "source_url": nil, "user_id": nil,
		"discount_applications": []any{}, "discount_codes": []any{}, "fulfillments": []any{}, "line_item_groups": []any{},
		"refunds": []any{}, "returns": []any{}, "shipping_lines": []any{}, "tax_lines": []any{},
		"tax_exempt": false, "taxes_included": false, "total_weight": 0,
		"current_shipping_price_set": zero, "current_subtotal_price": o.Total.String(), "current_subtotal_price_set": total,
		"current_total_additional_fees_set": nil, "current_total_discounts": "0.00", "current_total_discounts_set": zero,
		"current_total_duties_set": nil, "current_total_price": o.Total.String(), "current_total_price_set": total,
		"current_total_tax": "0.00", "current_total_tax_set": zero, "original_total_additional_fees_set": nil,
		"original_total_duties_set": nil, "subtotal_price": o.Total.String(), "subtotal_price_set": total,
		"total_cash_rounding_payment_adjustment_set": zero, "total_cash_rounding_refund_adjustment_set": zero,
		"total_discounts": "0.00", "total_discounts_set": zero, "total_line_items_price": o.Total.String(),
		"total_line_items_price_set": total, "total_outstanding": outstanding.String(), "total_price": o.Total.String(),
		"total_price_set": total, "total_shipping_price_set": zero, "total_tax": "0.00", "total_tax_set": zero,
		"total_tip_received": "0.00",
	}
	maps.Copy(body, s.personal(o))
	return body
}

func (s *Shop) lineBody(o *Order, l *LineItem) map[string]any {
	var productID, variantID, variantTitle, vendor, management any
	p, exists := s.Products.Get(l.ProductID)
	if exists {
		productID, vendor = p.ID, p.Vendor
	}
	if v, ok := s.Variants.Get(l.VariantID); ok {
		variantID, variantTitle = v.ID, v.Title
		if v.Item.Tracked {
			management = "shopify"
		}
	}
	fulfillable, fulfillment := l.Quantity, any(nil)
	if o.FulfillmentStatus == "FULFILLED" {
		fulfillable, fulfillment = 0, "fulfilled"
	}
	return map[string]any{
		"id": l.ID, "admin_graphql_api_id": l.GID(), "attributed_staffs": []any{}, "current_quantity": l.Quantity,
		"quantity": l.Quantity, "fulfillable_quantity": fulfillable, "fulfillment_service": "manual", "fulfillment_status": fulfillment,
		"gift_card": false, "grams": 0, "name": l.Title, "title": l.Title, "price": l.Price.String(), "price_set": s.moneySet(l.Price),
		"product_exists": exists, "product_id": productID, "properties": []any{}, "requires_shipping": true,
		"sales_line_item_group_id": nil, "sku": l.SKU, "taxable": true, "total_discount": "0.00", "total_discount_set": s.moneySet(0),
		"variant_id": variantID, "variant_inventory_management": management, "variant_title": variantTitle, "vendor": vendor,
		"tax_lines": []any{}, "duties": []any{}, "discount_allocations": []any{},
	}
}

func (s *Shop) moneySet(m Money) map[string]any {
	money := map[string]any{"amount": m.String(), "currency_code": s.Currency}
	return map[string]any{"shop_money": money, "presentment_money": money}
}

// restFulfillment is REST's word for a fulfilment status.
func restFulfillment(status string) any {
	switch status {
	case "FULFILLED":
		return "fulfilled"
	case "PARTIALLY_FULFILLED":
		return "partial"
	case "RESTOCKED":
		return "restocked"
	}
	return nil
}
