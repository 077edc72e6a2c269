package shopify

import (
	"context"

	"stockroom/internal/mirror"
	"stockroom/internal/shopify/admin"
)

var _ = registerList(List{
	Name: "collections", rank: 6,
	Kinds:        []mirror.Kind{mirror.KindCollection, mirror.KindCollectionMembers},
	MetafieldsOf: "Collection",
	Scopes:       []string{"read_products"},
	Page: func(ctx context.Context, c *Client, cursor string) (Page, error) {
		return listCollections(ctx, c, cursor, nil, "ID")
	},
	Bulk: &Bulk{
		Query: admin.BulkCollections_Operation, Root: mirror.KindCollection, PageCost: 184, PageRows: 50,
		Count: func(ctx context.Context, c *Client) (Count, error) {
			data, err := admin.CountCollections(ctx, c.query())
			if err != nil {
				return Count{}, err
			}
			return countOf(data.CollectionsCount), nil
		},
		line: func(k *collector, line BulkLine) error {
			switch line.ID.Object() {
			case "Collection":
				var c admin.CollectionContent
				if err := line.decode(&c); err != nil {
					return err
				}
				k.stage(line, smart(c.Sources))
				return k.collectionContent(c)
			case "Product":
				k.stage(line, nil)
				return nil
			case "Metafield":
				return k.metafieldLine(line)
			default:
				return line.unexpected()
			}
		},
		gather: func(k *collector, g Gathered) error {
			members := mirror.CollectionMembers{ProductIDs: mirror.SortedIDs(g.ids("Product"))}
			if err := g.decode(&members.Smart); err != nil {
				return err
			}
			if err := k.present(g.Owner, members); err != nil {
				return err
			}
			return k.metafieldSet(g.Owner, g.ids("Metafield"))
		},
	},
})

var _ = registerSweep(Sweep{
	Name: "collections", rank: 6, Kinds: []mirror.Kind{mirror.KindCollection}, Scopes: []string{"read_products"},
	Page: func(ctx context.Context, c *Client, in Range, cursor string) (Page, error) {
		return listCollections(ctx, c, cursor, in.search(), "UPDATED_AT")
	},
})

func listCollections(ctx context.Context, c *Client, cursor string, search *string, sort string) (Page, error) {
	k := c.pageCollector()
	data, err := admin.ListCollections(ctx, k.q, cursorOf(cursor), search, sort)
	if err != nil {
		return Page{}, err
	}
	return page(k, data.Collections.Nodes, data.Collections.PageInfo, func(n admin.CollectionFields) error {
		return k.collection(ctx, n)
	})
}

var _ = registerScan(Scan{
	Name: "collections", rank: 6, Kind: mirror.KindCollection, Scopes: []string{"read_products"},
	Page: func(ctx context.Context, c *Client, cursor string) (ScanPage, error) {
		q := c.query()
		data, err := admin.ScanCollections(ctx, q, cursorOf(cursor))
		if err != nil {
			return ScanPage{}, err
		}
		return scanPage(q, data.Collections.Nodes, data.Collections.PageInfo, stampOf)
	},
})

var _ = registerRead(mirror.ReadCollection, reader{
	kind: mirror.KindCollection, max: 20, objects: []string{"Collection"},
	read: func(ctx context.Context, k *collector, ids []mirror.GID) error {
		data, err := admin.ReadCollections(ctx, k.q, ids)
		if err != nil {
			return err
		}
		for _, node := range data.Nodes {
			if node == nil {
				continue
			}
			if collection, ok := (*node).(*admin.ReadCollectionsNodesCollection); ok {
				if err := k.collection(ctx, collection.CollectionFields); err != nil {
					return err
				}
			}
		}
		return nil
	},
})

func (k *collector) collectionContent(c admin.CollectionContent) error {
	return k.present(c.Id, mirror.Collection{
		Title: c.Title, Handle: c.Handle, DescriptionHTML: c.DescriptionHtml, SortOrder: c.SortOrder, UpdatedAt: c.UpdatedAt,
	})
}

func (k *collector) collection(ctx context.Context, c admin.CollectionFields) error {
	if err := k.collectionContent(c.CollectionContent); err != nil {
		return err
	}
	var members []mirror.GID
	take := func(nodes []admin.ProductIDPageNodesProduct) {
		for _, product := range nodes {
			members = append(members, product.Id)
		}
	}
	take(c.Products.Nodes)
	err := readOn(c.Products.PageInfo, func(after string) (admin.PageEnd, error) {
		data, err := admin.MoreCollectionProducts(ctx, k.q, c.Id, after)
		if err != nil {
			return admin.PageEnd{}, err
		}
		if data.Collection == nil {
			return admin.PageEnd{}, errGone
		}
		take(data.Collection.Products.Nodes)
		return data.Collection.Products.PageInfo, nil
	})
	if err != nil {
		return err
	}
	err = k.present(c.Id, mirror.CollectionMembers{Smart: smart(c.Sources), ProductIDs: mirror.SortedIDs(members)})
	if err != nil {
		return err
	}
	return k.metafields(ctx, c.Id, c.Metafields)
}

// smart tells whether a rule decides the membership: a source has conditions,
// or takes over other collections' members. Collection.ruleSet would be one
// field, but is deprecated since 2026-07 for sources, and cannot express a
// collection that is made of sub-collections (Admin API 2026-10, Collection.sources).
func smart(sources []admin.CollectionContentSourcesCollectionSource) bool {
	for _, source := range sources {
		switch s := source.(type) {
		case *admin.CollectionContentSourcesCollectionConditionsSource:
			if len(s.Inclusion.Conditions) > 0 {
				return true
			}
		case *admin.CollectionContentSourcesCollectionSubCollectionsSource:
			return true
		}
	}
	return false
}
