package shopify

import (
	"fmt"
	"strings"

	"stockroom/internal/mirror"
)

// A body lists this many variants at most (Shopify's webhook reference,
// products/update, 2026-07). With as many, only variant_gids tells all.
const variantsInBody = 100

var productScopes = []string{"read_products"}

var (
	_ = registerTopic(Topic{Name: "products/create", Scopes: productScopes, Decode: decodeProduct})
	_ = registerTopic(Topic{Name: "products/update", Scopes: productScopes, Decode: decodeProduct})
	_ = registerTopic(Topic{Name: "products/delete", Scopes: productScopes, Decode: func(d Delivery) (Heard, error) {
		var body struct {
			ID int64 `json:"id"`
		}
		l, err := listen(d, &body)
		if err != nil {
			return Heard{}, err
		}
		id, err := gid("Product", body.ID)
		if err != nil {
			return Heard{}, err
		}
		l.absent(mirror.KindProduct, id, d.AsOf())
		return l.Heard, nil
	}})
)

type productBody struct {
	ID             int64           `json:"id"`
	Title          string          `json:"title"`
	BodyHTML       string          `json:"body_html"` // Null for none; GraphQL says "".
	Handle         string          `json:"handle"`
	Status         string          `json:"status"` // Lower case.
	Vendor         string          `json:"vendor"`
	ProductType    string          `json:"product_type"`
	Tags           string          `json:"tags"`
	CreatedAt      mirror.Time     `json:"created_at"`
	UpdatedAt      mirror.Time     `json:"updated_at"`
	PublishedAt    mirror.Time     `json:"published_at"`
	TemplateSuffix *string         `json:"template_suffix"`
	Options        []mirror.Option `json:"options"`
	Variants       []variantBody   `json:"variants"`
	VariantGIDs    []struct {
		GID mirror.GID `json:"admin_graphql_api_id"`
	} `json:"variant_gids"`
}

type variantBody struct {
	ID              int64           `json:"id"`
	Title           string          `json:"title"`
	SKU             *string         `json:"sku"`
	Barcode         *string         `json:"barcode"`
	Price           mirror.Decimal  `json:"price"`
	CompareAtPrice  *mirror.Decimal `json:"compare_at_price"`
	Taxable         bool            `json:"taxable"`
	InventoryPolicy string          `json:"inventory_policy"` // Lower case.
	InventoryItemID int64           `json:"inventory_item_id"`
	Option1         *string         `json:"option1"`
	Option2         *string         `json:"option2"`
	Option3         *string         `json:"option3"`
	CreatedAt       mirror.Time     `json:"created_at"`
	UpdatedAt       mirror.Time     `json:"updated_at"`
}

func decodeProduct(d Delivery) (Heard, error) {
	var body productBody
	l, err := listen(d, &body)
	if err != nil {
		return Heard{}, err
	}
	id, err := gid("Product", body.ID)
	if err != nil {
		return Heard{}, err
	}
	l.demandTwice(mirror.ReadProduct, id, body.UpdatedAt)
	if body.UpdatedAt.IsZero() {
		return l.Heard, nil // No version to merge anything under.
	}
	if l.has("title", "body_html", "handle", "status", "vendor", "product_type", "tags", "created_at",
		"published_at", "template_suffix", "options") {
		if err := l.present(id, body.content()); err != nil {
			return Heard{}, err
		}
	}
	if set, whole := body.variantSet(); whole {
		if err := l.present(id, set); err != nil {
			return Heard{}, err
		}
	}
	for _, variant := range body.Variants {
		content, whole := variant.content(id, body.Options)
		if !whole {
			continue // The product's read brings it.
		}
		variantID, err := gid("ProductVariant", variant.ID)
		if err != nil {
			return Heard{}, err
		}
		if err := l.present(variantID, content); err != nil {
			return Heard{}, fmt.Errorf("variant %d: %w", variant.ID, err)
		}
	}
	return l.Heard, nil
}

func (b productBody) content() mirror.Product {
	content := mirror.Product{
		Title:           b.Title,
		Handle:          b.Handle,
		Status:          strings.ToUpper(b.Status),
		Vendor:          b.Vendor,
		ProductType:     b.ProductType,
		Tags:            tagsOf(b.Tags),
		DescriptionHTML: b.BodyHTML,
		CreatedAt:       b.CreatedAt,
		UpdatedAt:       b.UpdatedAt,
		PublishedAt:     b.PublishedAt,
		TemplateSuffix:  b.TemplateSuffix,
		Options:         append([]mirror.Option{}, b.Options...),
	}
	for i, option := range content.Options {
		content.Options[i].Values = append([]string{}, option.Values...)
	}
	return content
}

// variantSet is the whole set of the product's variants, if the body tells it.
func (b productBody) variantSet() (set mirror.ProductVariantSet, whole bool) {
	var ids []mirror.GID
	switch {
	case len(b.VariantGIDs) > 0:
		for _, variant := range b.VariantGIDs {
			if variant.GID.Object() != "ProductVariant" {
				return set, false
			}
			ids = append(ids, variant.GID)
		}
	case len(b.Variants) > 0 && len(b.Variants) < variantsInBody:
		for _, variant := range b.Variants {
			id, err := gid("ProductVariant", variant.ID)
			if err != nil {
				return set, false
			}
			ids = append(ids, id)
		}
	default:
		return set, false
	}
	return mirror.ProductVariantSet{VariantIDs: mirror.SortedIDs(ids), UpdatedAt: b.UpdatedAt}, true
}

// content is the variant, if the body tells all of it. The names of its options
// are the product's.
func (b variantBody) content(product mirror.GID, options []mirror.Option) (content mirror.ProductVariant, whole bool) {
	item, err := gid("InventoryItem", b.InventoryItemID)
	if err != nil || b.UpdatedAt.IsZero() || b.Price == "" || b.InventoryPolicy == "" {
		return content, false
	}
	selected := []mirror.SelectedOption{}
	for i, value := range []*string{b.Option1, b.Option2, b.Option3} {
		if value == nil {
			continue
		}
		if i >= len(options) {
			return content, false
		}
		selected = append(selected, mirror.SelectedOption{Name: options[i].Name, Value: *value})
	}
	if len(selected) != len(options) {
		return content, false
	}
	return mirror.ProductVariant{
		ProductID:       product,
		InventoryItemID: item,
		Title:           b.Title,
		SKU:             b.SKU,
		Barcode:         b.Barcode,
		Price:           b.Price,
		CompareAtPrice:  b.CompareAtPrice,
		Taxable:         b.Taxable,
		InventoryPolicy: strings.ToUpper(b.InventoryPolicy),
		SelectedOptions: selected,
		CreatedAt:       b.CreatedAt,
		UpdatedAt:       b.UpdatedAt,
	}, true
}
