package shopify

import (
	"context"

	"stockroom/internal/mirror"
	"stockroom/internal/shopify/admin"
)

var _ = registerList(List{
	Name: "products", rank: 2,
	Kinds:        []mirror.Kind{mirror.KindProduct, mirror.KindProductVariantSet, mirror.KindProductDerived},
	MetafieldsOf: "Product",
	Scopes:       []string{"read_products"},
	Page: func(ctx context.Context, c *Client, cursor string) (Page, error) {
		return listProducts(ctx, c, cursor, nil, "ID")
	},
	Bulk: &Bulk{
		Query: admin.BulkProducts_Operation, Root: mirror.KindProduct, PageCost: 245, PageRows: 100,
		Count: func(ctx context.Context, c *Client) (Count, error) {
			data, err := admin.CountProducts(ctx, c.query())
			if err != nil {
				return Count{}, err
			}
			return countOf(data.ProductsCount), nil
		},
		line: func(k *collector, line BulkLine) error {
			switch line.ID.Object() {
			case "Product":
				var p admin.ProductContent
				if err := line.decode(&p); err != nil {
					return err
				}
				k.stage(line, p.UpdatedAt)
				return k.productContent(p)
			case "ProductVariant":
				k.stage(line, nil)
				return nil
			case "Metafield":
				return k.metafieldLine(line)
			default:
				return line.unexpected()
			}
		},
		gather: func(k *collector, g Gathered) error {
			set := mirror.ProductVariantSet{VariantIDs: mirror.SortedIDs(g.ids("ProductVariant"))}
			if err := g.decode(&set.UpdatedAt); err != nil {
				return err
			}
			if err := k.present(g.Owner, set); err != nil {
				return err
			}
			return k.metafieldSet(g.Owner, g.ids("Metafield"))
		},
	},
})

var _ = registerSweep(Sweep{
	Name: "products", rank: 2, Kinds: []mirror.Kind{mirror.KindProduct}, Scopes: []string{"read_products"},
	Page: func(ctx context.Context, c *Client, in Range, cursor string) (Page, error) {
		return listProducts(ctx, c, cursor, in.search(), "UPDATED_AT")
	},
})

func listProducts(ctx context.Context, c *Client, cursor string, search *string, sort string) (Page, error) {
	k := c.pageCollector()
	data, err := admin.ListProducts(ctx, k.q, cursorOf(cursor), search, sort)
	if err != nil {
		return Page{}, err
	}
	type node = admin.ListProductsProductsProductConnectionNodesProduct
	return page(k, data.Products.Nodes, data.Products.PageInfo, func(p node) error {
		if err := k.product(ctx, p.ProductFields); err != nil {
			return err
		}
		variants := p.Variants.Nodes
		err := readOn(p.Variants.PageInfo, func(after string) (admin.PageEnd, error) {
			data, err := admin.MoreVariantIDs(ctx, k.q, p.Id, after)
			if err != nil {
				return admin.PageEnd{}, err
			}
			if data.Product == nil {
				return admin.PageEnd{}, errGone
			}
			variants = append(variants, data.Product.Variants.Nodes...)
			return data.Product.Variants.PageInfo, nil
		})
		if err != nil {
			return err
		}
		ids := make([]mirror.GID, len(variants))
		for i, variant := range variants {
			ids[i] = variant.Id
		}
		return k.variantSet(p.ProductFields, ids)
	})
}

var _ = registerScan(Scan{
	Name: "products", rank: 2, Kind: mirror.KindProduct, Scopes: []string{"read_products"},
	Page: func(ctx context.Context, c *Client, cursor string) (ScanPage, error) {
		q := c.query()
		data, err := admin.ScanProducts(ctx, q, cursorOf(cursor))
		if err != nil {
			return ScanPage{}, err
		}
		return scanPage(q, data.Products.Nodes, data.Products.PageInfo, stampOf)
	},
})

var _ = registerRead(mirror.ReadProduct, reader{
	kind: mirror.KindProduct, max: 20, objects: []string{"Product"},
	read: func(ctx context.Context, k *collector, ids []mirror.GID) error {
		data, err := admin.ReadProducts(ctx, k.q, ids)
		if err != nil {
			return err
		}
		for _, node := range data.Nodes {
			if node == nil {
				continue
			}
			product, ok := (*node).(*admin.ReadProductsNodesProduct)
			if !ok {
				continue
			}
			if err := k.wholeProduct(ctx, product); err != nil {
				return err
			}
		}
		return nil
	},
})

// wholeProduct observes a product with all of its variants.
func (k *collector) wholeProduct(ctx context.Context, p *admin.ReadProductsNodesProduct) error {
	if err := k.product(ctx, p.ProductFields); err != nil {
		return err
	}
	variants := p.Variants.Nodes
	err := readOn(p.Variants.PageInfo, func(after string) (admin.PageEnd, error) {
		data, err := admin.MoreVariants(ctx, k.q, p.Id, after)
		if err != nil {
			return admin.PageEnd{}, err
		}
		if data.Product == nil {
			return admin.PageEnd{}, errGone
		}
		variants = append(variants, data.Product.Variants.Nodes...)
		return data.Product.Variants.PageInfo, nil
	})
	if err != nil {
		return err
	}
	ids := make([]mirror.GID, len(variants))
	for i, variant := range variants {
		ids[i] = variant.Id
		if err := k.variant(ctx, variant); err != nil {
			return err
		}
	}
	return k.variantSet(p.ProductFields, ids)
}

// product observes what a product is, what is derived of it, and its metafields.
func (k *collector) product(ctx context.Context, p admin.ProductFields) error {
	if err := k.productContent(p.ProductContent); err != nil {
		return err
	}
	return k.metafields(ctx, p.Id, p.Metafields)
}

func (k *collector) productContent(p admin.ProductContent) error {
	content := mirror.Product{
		Title:           p.Title,
		Handle:          p.Handle,
		Status:          p.Status,
		Vendor:          p.Vendor,
		ProductType:     p.ProductType,
		Tags:            mirror.SortedStrings(p.Tags),
		DescriptionHTML: p.DescriptionHtml,
		CreatedAt:       p.CreatedAt,
		UpdatedAt:       p.UpdatedAt,
		PublishedAt:     timeOf(p.PublishedAt),
		TemplateSuffix:  p.TemplateSuffix,
		Options:         make([]mirror.Option, len(p.Options)),
	}
	for i, option := range p.Options {
		content.Options[i] = mirror.Option{
			Name: option.Name, Position: int(option.Position), Values: append([]string{}, option.Values...),
		}
	}
	if err := k.present(p.Id, content); err != nil {
		return err
	}
	return k.productDerived(p.ProductDerivedFields)
}

func (k *collector) variantSet(p admin.ProductFields, ids []mirror.GID) error {
	return k.present(p.Id, mirror.ProductVariantSet{VariantIDs: mirror.SortedIDs(ids), UpdatedAt: p.UpdatedAt})
}

func (k *collector) productDerived(p admin.ProductDerivedFields) error {
	content := mirror.ProductDerived{TotalInventory: p.TotalInventory, OnlineStoreURL: p.OnlineStoreUrl}
	if p.FeaturedMedia != nil && *p.FeaturedMedia != nil {
		if preview := (*p.FeaturedMedia).GetPreview(); preview != nil && preview.Image != nil {
			content.FeaturedImageURL = &preview.Image.Url
		}
	}
	return k.present(p.Id, content)
}
