package shopify

import (
	"context"

	"stockroom/internal/mirror"
	"stockroom/internal/shopify/admin"
)

// Variants are listed with their inventory items and levels: one walk proves
// all of them, and a level has no other list.
var _ = registerList(List{
	Name: "variants", rank: 3,
	Kinds: []mirror.Kind{
		mirror.KindProductVariant, mirror.KindProductVariantDerived, mirror.KindInventoryItem, mirror.KindInventoryLevel,
	},
	MetafieldsOf: "ProductVariant",
	Scopes:       []string{"read_products", "read_inventory", "read_locations"},
	Page: func(ctx context.Context, c *Client, cursor string) (Page, error) {
		return listVariants(ctx, c, cursor, nil)
	},
	Bulk: &Bulk{
		Query: admin.BulkVariants_Operation, Root: mirror.KindProductVariant, PageCost: 299, PageRows: 100,
		Count: func(ctx context.Context, c *Client) (Count, error) {
			data, err := admin.CountVariants(ctx, c.query())
			if err != nil {
				return Count{}, err
			}
			return countOf(data.ProductVariantsCount), nil
		},
		line: func(k *collector, line BulkLine) error {
			switch line.ID.Object() {
			case "ProductVariant":
				var v variantNode
				if err := line.decode(&v); err != nil {
					return err
				}
				k.stage(line, nil)
				if err := k.variantContent(v.VariantContent); err != nil {
					return err
				}
				return k.item(v.InventoryItem.ItemFields)
			case "InventoryLevel": // Whole by itself: it names its item and location.
				var l admin.LevelFields
				if err := line.decode(&l); err != nil {
					return err
				}
				return k.level(l)
			case "Metafield":
				return k.metafieldLine(line)
			default:
				return line.unexpected()
			}
		},
		gather: func(k *collector, g Gathered) error { return k.metafieldSet(g.Owner, g.ids("Metafield")) },
	},
})

type variantNode = admin.BulkVariantsProductVariantsProductVariantConnectionEdgesProductVariantEdgeNodeProductVariant

var _ = registerSweep(Sweep{
	Name: "variants", rank: 3, Kinds: []mirror.Kind{mirror.KindProductVariant},
	Scopes: []string{"read_products", "read_inventory", "read_locations"},
	Page: func(ctx context.Context, c *Client, in Range, cursor string) (Page, error) {
		return listVariants(ctx, c, cursor, in.search())
	},
})

func listVariants(ctx context.Context, c *Client, cursor string, search *string) (Page, error) {
	k := c.pageCollector()
	data, err := admin.ListVariants(ctx, k.q, cursorOf(cursor), search)
	if err != nil {
		return Page{}, err
	}
	type node = admin.ListVariantsProductVariantsProductVariantConnectionNodesProductVariant
	return page(k, data.ProductVariants.Nodes, data.ProductVariants.PageInfo, func(v node) error {
		if err := k.variant(ctx, v.VariantFields); err != nil {
			return err
		}
		if err := k.item(v.InventoryItem.ItemFields); err != nil {
			return err
		}
		levels, err := k.restOfLevels(ctx, v.InventoryItem.Id, v.InventoryItem.InventoryLevels)
		if err != nil {
			return err
		}
		for _, level := range levels {
			if err := k.level(level); err != nil {
				return err
			}
		}
		return nil
	})
}

var _ = registerScan(Scan{
	Name: "variants", rank: 3, Kind: mirror.KindProductVariant, Scopes: []string{"read_products"},
	Page: func(ctx context.Context, c *Client, cursor string) (ScanPage, error) {
		q := c.query()
		data, err := admin.ScanVariants(ctx, q, cursorOf(cursor))
		if err != nil {
			return ScanPage{}, err
		}
		return scanPage(q, data.ProductVariants.Nodes, data.ProductVariants.PageInfo, stampOf)
	},
})

var _ = registerRead(mirror.ReadVariant, reader{
	kind: mirror.KindProductVariant, max: 100, objects: []string{"ProductVariant"},
	read: func(ctx context.Context, k *collector, ids []mirror.GID) error {
		data, err := admin.ReadVariants(ctx, k.q, ids)
		if err != nil {
			return err
		}
		for _, node := range data.Nodes {
			if node == nil {
				continue
			}
			if variant, ok := (*node).(*admin.ReadVariantsNodesProductVariant); ok {
				if err := k.variant(ctx, variant.VariantFields); err != nil {
					return err
				}
			}
		}
		return nil
	},
})

// variant observes a variant, what is derived of it, and its metafields.
func (k *collector) variant(ctx context.Context, v admin.VariantFields) error {
	if err := k.variantContent(v.VariantContent); err != nil {
		return err
	}
	return k.metafields(ctx, v.Id, v.Metafields)
}

func (k *collector) variantContent(v admin.VariantContent) error {
	content := mirror.ProductVariant{
		ProductID:       v.Product.Id,
		InventoryItemID: v.InventoryItem.Id,
		Title:           v.Title,
		SKU:             v.Sku,
		Barcode:         v.Barcode,
		Price:           v.Price,
		CompareAtPrice:  v.CompareAtPrice,
		Taxable:         v.Taxable,
		InventoryPolicy: v.InventoryPolicy,
		SelectedOptions: make([]mirror.SelectedOption, len(v.SelectedOptions)),
		CreatedAt:       v.CreatedAt,
		UpdatedAt:       v.UpdatedAt,
	}
	for i, option := range v.SelectedOptions {
		content.SelectedOptions[i] = mirror.SelectedOption{Name: option.Name, Value: option.Value}
	}
	if err := k.present(v.Id, content); err != nil {
		return err
	}
	return k.variantDerived(v.VariantDerivedFields)
}

func (k *collector) variantDerived(v admin.VariantDerivedFields) error {
	return k.present(v.Id, mirror.ProductVariantDerived{
		Position: int(v.Position), InventoryQuantity: v.InventoryQuantity, AvailableForSale: v.AvailableForSale,
	})
}
