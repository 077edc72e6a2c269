package simulator

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"stockroom/internal/simulator/graph"
)

// position is an option of a product and its place among them, from 1.
type position struct {
	Option
	at int
}

var _ = define(fields{
	"id":               of(func(p *Product) any { return p.GID() }),
	"legacyResourceId": of(func(p *Product) any { return number(p.ID) }),
	"title":            of(func(p *Product) any { return p.Title }),
	"handle":           of(func(p *Product) any { return p.Handle }),
	"status":           of(func(p *Product) any { return p.Status }),
	"vendor":           of(func(p *Product) any { return p.Vendor }),
	"productType":      of(func(p *Product) any { return p.ProductType }),
	"tags":             of(func(p *Product) any { return p.Tags }),
	"descriptionHtml":  of(func(p *Product) any { return p.DescriptionHTML }),
	"description": with(func(_ *query, p *Product, args map[string]any) (any, error) {
		return plain(p.DescriptionHTML, args), nil
	}),
	"createdAt":   of(func(p *Product) any { return p.CreatedAt }),
	"updatedAt":   of(func(p *Product) any { return p.UpdatedAt }),
	"publishedAt": of(func(p *Product) any { return moment(p.PublishedAt) }),
	"seo":         with(func(q *query, p *Product, _ map[string]any) (any, error) { return q.object("SEO", p.SEO), nil }),
	"images": with(func(q *query, p *Product, args map[string]any) (any, error) {
		rows := each(p.pictures(), func(i *Image) sized { return sizedBy(i, args) })
		return small(q, args, "Image", rows, func(i sized) int64 { return i.ID })
	}),
	"templateSuffix": of(func(p *Product) any { return nullable(p.TemplateSuffix) }),
	"isGiftCard":     of(func(p *Product) any { return p.GiftCard }),
	"totalInventory": with(func(q *query, p *Product, _ map[string]any) (any, error) {
		return p.ShownTotalInventory(q.access.Now), nil
	}),
	"tracksInventory": of(func(p *Product) any {
		return slices.ContainsFunc(p.Variants, func(v *Variant) bool { return v.Item.Tracked })
	}),
	"hasOnlyDefaultVariant": of(func(p *Product) any { return len(p.Variants) == 1 && p.Variants[0].Title == defaultVariantTitle }),
	"hasOutOfStockVariants": of(func(p *Product) any {
		return slices.ContainsFunc(p.Variants, func(v *Variant) bool { return v.Item.Tracked && v.InventoryQuantity() <= 0 })
	}),
	"onlineStoreUrl": with(func(q *query, p *Product, _ map[string]any) (any, error) {
		return nullable(q.shop.OnlineStoreURL(p)), nil
	}),
	"defaultCursor": of(func(p *Product) any { return graph.SortID.Cursor(graph.Key{ID: p.ID}) }),
	"options": with(func(q *query, p *Product, args map[string]any) (any, error) {
		out := []any{}
		for i, option := range p.Options {
			if first, ok := args["first"].(int64); ok && int64(i) >= first {
				break
			}
			out = append(out, q.object(typeOption, position{option, i + 1}))
		}
		return out, nil
	}),
	"featuredMedia": with(func(q *query, p *Product, _ map[string]any) (any, error) {
		return q.picture(typeMediaImage, p.Image), nil
	}),
	"featuredImage": with(func(q *query, p *Product, _ map[string]any) (any, error) { return q.picture("Image", p.Image), nil }),
	"priceRangeV2": with(func(q *query, p *Product, _ map[string]any) (any, error) {
		return q.object("ProductPriceRangeV2", p), nil
	}),
	"variants": with(func(q *query, p *Product, args map[string]any) (any, error) {
		sortKey, _ := args["sortKey"].(string)
		value, sort := variantSorts[sortKey], graph.SortID
		if value != nil {
			sort = sortOf(sortKey)
		}
		key := func(v *Variant) graph.Key {
			if value == nil {
				return graph.Key{ID: v.ID}
			}
			return graph.Key{Value: value(v), ID: v.ID}
		}
		node := func(v *Variant) graph.Object { return q.object(typeVariant, v) }
		if sortKey == "POSITION" {
			return connect(args, sort, graph.Ordered(p.Variants, key, node))
		}
		return connect(args, sort, graph.Sorted(p.Variants, key, node))
	}),
	"variantsCount": with(func(q *query, p *Product, _ map[string]any) (any, error) {
		return q.count(int64(len(p.Variants)), int64(len(p.Variants))), nil
	}),
	"collections": with(func(q *query, p *Product, args map[string]any) (any, error) {
		of := collections
		of.visible = func(_ *query, c *Collection) bool { return c.Holds(p.ID) }
		return of.page(q, args)
	}),
	"inCollection": with(func(q *query, p *Product, args map[string]any) (any, error) {
		kind, id, _, ok := parseGID(fmt.Sprint(args["id"]))
		if !ok || kind != typeCollection {
			return nil, invalidID(args["id"])
		}
		c, ok := q.shop.Collections.Get(id)
		return ok && c.Holds(p.ID), nil
	}),
	"metafield":  metafieldOf(func(p *Product) []*Metafield { return p.Metafields }),
	"metafields": metafieldsOf(func(p *Product) []*Metafield { return p.Metafields }),
}, typeProduct)

var _ = define(fields{
	"minVariantPrice": priceOf(func(prices []Money) Money { return slices.Min(prices) }),
	"maxVariantPrice": priceOf(func(prices []Money) Money { return slices.Max(prices) }),
}, "ProductPriceRangeV2")

func priceOf(choose func([]Money) Money) resolver {
	return with(func(q *query, p *Product, _ map[string]any) (any, error) {
		prices := each(p.Variants, func(v *Variant) Money { return v.Price })
		if len(prices) == 0 {
			prices = []Money{0}
		}
		return q.money(choose(prices), q.shop.Currency), nil
	})
}

var _ = define(fields{
	"id":       of(func(o position) any { return gid(typeOption, o.ID) }),
	"name":     of(func(o position) any { return o.Name }),
	"position": of(func(o position) any { return o.at }),
	"values":   of(func(o position) any { return o.Values }),
	"optionValues": with(func(q *query, o position, _ map[string]any) (any, error) {
		return each(o.Values, func(value string) any { return q.object("ProductOptionValue", choice{o.ID, value}) }), nil
	}),
}, typeOption)

// choice is a value of an option. It keeps no number of its own: that in its
// id is made from its name, and so changes with it, other than Shopify's.
type choice struct {
	option int64
	name   string
}

func (v choice) id() int64 {
	hash := fnv.New64a()
	fmt.Fprint(hash, v.option, " ", v.name)
	return int64(hash.Sum64()>>1) | 1
}

var _ = define(fields{
	"id":                   of(func(v choice) any { return gid("ProductOptionValue", v.id()) }),
	"name":                 of(func(v choice) any { return v.name }),
	"hasVariants":          always(true), // One without is not kept.
	"linkedMetafieldValue": always(nil),
}, "ProductOptionValue")

var _ = define(fields{
	"title":       of(func(s SEO) any { return nullable(s.Title) }),
	"description": of(func(s SEO) any { return nullable(s.Description) }),
}, "SEO")

// picture is an image as an object of one of its types, or nil.
func (q *query) picture(typename string, image *Image) any {
	if image == nil {
		return nil
	}
	if typename == "Image" {
		return q.object(typename, sized{image, nil})
	}
	return q.object(typename, image)
}

// sized is an image in the size that was asked for where it is listed.
type sized struct {
	*Image
	wish input // As ImageTransformInput; nil for none.
}

// sizedBy reads the older arguments of lists of images.
func sizedBy(image *Image, args map[string]any) sized {
	wish := input{}
	for _, name := range []string{"crop", "maxHeight", "maxWidth"} {
		if args[name] != nil {
			wish[name] = args[name]
		}
	}
	if len(wish) > 0 && args["scale"] != nil {
		wish["scale"] = args["scale"]
	}
	return sized{image, wish}
}

var _ = define(fields{
	"id":               of(func(i *Image) any { return gid(typeMediaImage, i.ID) }),
	"alt":              of(func(i *Image) any { return nullable(i.Alt) }),
	"mediaContentType": always("IMAGE"),
	"status":           always("READY"),
	"image":            with(func(q *query, i *Image, _ map[string]any) (any, error) { return q.object("Image", sized{i, nil}), nil }),
	"preview":          with(func(q *query, i *Image, _ map[string]any) (any, error) { return q.object("MediaPreviewImage", i), nil }),
}, typeMediaImage)

var _ = define(fields{
	"image":  with(func(q *query, i *Image, _ map[string]any) (any, error) { return q.object("Image", sized{i, nil}), nil }),
	"status": always("READY"),
}, "MediaPreviewImage")

var _ = define(fields{
	"id": of(func(i sized) any { return gid("ProductImage", i.ID) }),
	"url": with(func(_ *query, i sized, args map[string]any) (any, error) {
		if wish := input(args).object("transform"); wish != nil {
			return i.transformed(wish)
		}
		return i.transformed(i.wish)
	}),
	"altText": of(func(i sized) any { return nullable(i.Alt) }),
	// As webhooks' bodies say: all pictures are alike.
	"width":  always(imageSide),
	"height": always(imageSide),
}, "Image")

// imageSide is how wide and high all pictures are, in pixels.
const imageSide = 1200

// transformed is the picture's address with the wish for another size or form
// in its query, where Shopify's own servers of pictures read it. Which of its
// parameters the API writes how is not published.
func (i *Image) transformed(in input) (string, error) {
	if len(in) == 0 {
		return i.URL, nil
	}
	u, err := url.Parse(i.URL)
	if err != nil {
		return "", fmt.Errorf("address of image %d: %w", i.ID, err)
	}
	query, scale := u.Query(), max(1, in.number("scale"))
	for name, parameter := range map[string]string{"maxWidth": "width", "maxHeight": "height"} {
		if n := in.number(name); n > 0 {
			query.Set(parameter, number(n*scale))
		}
	}
	for name, parameter := range map[string]string{"crop": "crop", "preferredContentType": "format"} {
		if text := in.text(name); text != "" {
			query.Set(parameter, strings.ToLower(text))
		}
	}
	u.RawQuery = query.Encode()
	return u.String(), nil
}

var _ = define(fields{
	"id":               of(func(v *Variant) any { return v.GID() }),
	"legacyResourceId": of(func(v *Variant) any { return number(v.ID) }),
	"title":            of(func(v *Variant) any { return v.Title }),
	"displayName":      of(func(v *Variant) any { return v.Product.Title + " - " + v.Title }),
	"sku":              of(func(v *Variant) any { return nullable(v.SKU) }),
	"barcode":          of(func(v *Variant) any { return nullable(v.Barcode) }),
	"price":            of(func(v *Variant) any { return v.Price.String() }),
	"compareAtPrice": of(func(v *Variant) any {
		if v.CompareAtPrice == 0 {
			return nil
		}
		return v.CompareAtPrice.String()
	}),
	"position":               of(func(v *Variant) any { return v.Position }),
	"taxable":                of(func(v *Variant) any { return v.Taxable }),
	"inventoryPolicy":        of(func(v *Variant) any { return v.Policy }),
	"inventoryQuantity":      of(func(v *Variant) any { return v.InventoryQuantity() }),
	"sellableOnlineQuantity": of(func(v *Variant) any { return v.InventoryQuantity() }),
	"availableForSale":       of(func(v *Variant) any { return v.AvailableForSale() }),
	"createdAt":              of(func(v *Variant) any { return v.CreatedAt }),
	"updatedAt":              of(func(v *Variant) any { return v.UpdatedAt }),
	"defaultCursor":          of(func(v *Variant) any { return graph.SortID.Cursor(graph.Key{ID: v.ID}) }),
	"selectedOptions": with(func(q *query, v *Variant, _ map[string]any) (any, error) {
		out := []any{}
		for i, value := range v.Values {
			out = append(out, q.object("SelectedOption", [2]string{v.Product.Options[i].Name, value}))
		}
		return out, nil
	}),
	"product": with(func(q *query, v *Variant, _ map[string]any) (any, error) {
		return q.object(typeProduct, v.Product), nil
	}),
	"inventoryItem": needs("read_inventory", "inventoryItem", with(func(q *query, v *Variant, _ map[string]any) (any, error) {
		return q.object(typeItem, v.Item), nil
	})),
	// Pictures belong to products alone here.
	"image": always(nil),
	"media": with(func(q *query, _ *Variant, args map[string]any) (any, error) {
		return small(q, args, typeMediaImage, []*Image{}, func(i *Image) int64 { return i.ID })
	}),
	"metafield":  metafieldOf(func(v *Variant) []*Metafield { return v.Metafields }),
	"metafields": metafieldsOf(func(v *Variant) []*Metafield { return v.Metafields }),
}, typeVariant)

var _ = define(fields{
	"name":  of(func(o [2]string) any { return o[0] }),
	"value": of(func(o [2]string) any { return o[1] }),
}, "SelectedOption")

// metafieldOf answers the metafield of a namespace and key.
func metafieldOf[T any](of func(T) []*Metafield) resolver {
	return with(func(q *query, owner T, args map[string]any) (any, error) {
		namespace, _ := args["namespace"].(string)
		key, _ := args["key"].(string)
		if namespace == "" { // The key may bring its namespace along.
			if before, after, ok := strings.Cut(key, "."); ok {
				namespace, key = before, after
			}
		}
		for _, m := range of(owner) {
			if m.Namespace == namespace && m.Key == key {
				return q.object(typeMetafield, m), nil
			}
		}
		return nil, nil
	})
}

// metafieldsOf pages over an owner's metafields, all or those of a namespace or
// of full keys.
func metafieldsOf[T any](of func(T) []*Metafield) resolver {
	return with(func(q *query, owner T, args map[string]any) (any, error) {
		list := of(owner)
		namespace, byNamespace := args["namespace"].(string)
		keys, byKeys := args["keys"].([]any)
		if byNamespace || byKeys {
			var kept []*Metafield
			for _, m := range list {
				full := m.Namespace + "." + m.Key
				if (!byNamespace || m.Namespace == namespace) &&
					(!byKeys || slices.ContainsFunc(keys, func(key any) bool { return key == full || byNamespace && key == m.Key })) {
					kept = append(kept, m)
				}
			}
			list = kept
		}
		return small(q, args, typeMetafield, list, func(m *Metafield) int64 { return m.ID })
	})
}

var _ = define(fields{
	"id":               of(func(m *Metafield) any { return m.GID() }),
	"legacyResourceId": of(func(m *Metafield) any { return number(m.ID) }),
	"namespace":        of(func(m *Metafield) any { return m.Namespace }),
	"key":              of(func(m *Metafield) any { return m.Key }),
	"type":             of(func(m *Metafield) any { return m.Type }),
	"value":            of(func(m *Metafield) any { return m.Value }),
	"jsonValue":        of(jsonValue),
	"createdAt":        of(func(m *Metafield) any { return m.CreatedAt }),
	"updatedAt":        of(func(m *Metafield) any { return m.UpdatedAt }),
	"ownerType": of(func(m *Metafield) any {
		if m.OwnerType == typeDiscountCode || m.OwnerType == typeDiscountAutomatic {
			return "DISCOUNT"
		}
		return strings.ToUpper(m.OwnerType)
	}),
	"owner": with(func(q *query, m *Metafield, _ map[string]any) (any, error) {
		return q.node(m.OwnerGID(), "owner")
	}),
}, typeMetafield)

// jsonValue is the value as JSON where its type is kept as JSON, else as text.
func jsonValue(m *Metafield) any {
	switch m.Type {
	case "json", "boolean", "number_integer", "money", "dimension", "volume", "weight", "rating", "link", "rich_text_field":
	default:
		if !strings.HasPrefix(m.Type, "list.") {
			return m.Value
		}
	}
	if !json.Valid([]byte(m.Value)) {
		return m.Value
	}
	return json.RawMessage(m.Value)
}

var tag = regexp.MustCompile(`<[^>]*>`)

// plain is HTML without its tags, cut where truncateAt says.
func plain(text string, args map[string]any) string {
	text = strings.Join(strings.Fields(html.UnescapeString(tag.ReplaceAllString(text, " "))), " ")
	if limit, ok := args["truncateAt"].(int64); ok && int64(len([]rune(text))) > limit && limit > 3 {
		text = string([]rune(text)[:limit-3]) + "..."
	}
	return text
}
