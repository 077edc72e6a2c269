package shopify

import (
	"context"

	"stockroom/internal/mirror"
	"stockroom/internal/shopify/admin"
)

var _ = registerList(List{
	Name: "shop", rank: 0,
	Kinds: []mirror.Kind{mirror.KindShop}, MetafieldsOf: "Shop",
	Page: func(ctx context.Context, c *Client, _ string) (Page, error) { return listShop(ctx, c) },
})

var _ = registerSweep(Sweep{
	Name: "shop", rank: 0, Kinds: []mirror.Kind{mirror.KindShop},
	Page: func(ctx context.Context, c *Client, _ Range, _ string) (Page, error) { return listShop(ctx, c) },
})

func listShop(ctx context.Context, c *Client) (Page, error) {
	k := c.pageCollector()
	if err := k.shop(ctx); err != nil {
		return Page{}, err
	}
	return Page{Observations: k.out, AsOf: k.q.AsOf()}, nil
}

var _ = registerRead(mirror.ReadShop, reader{
	kind: mirror.KindShop, max: 1, objects: []string{"Shop"},
	read: func(ctx context.Context, k *collector, _ []mirror.GID) error { return k.shop(ctx) },
})

// shop observes the shop that the token belongs to.
func (k *collector) shop(ctx context.Context) error {
	data, err := admin.ReadShop(ctx, k.q)
	if err != nil {
		return err
	}
	shop := data.Shop
	err = k.present(shop.Id, mirror.Shop{
		Name:             shop.Name,
		MyshopifyDomain:  shop.MyshopifyDomain,
		PrimaryDomainURL: shop.PrimaryDomain.Url,
		CurrencyCode:     shop.CurrencyCode,
		IANATimezone:     shop.IanaTimezone,
		UpdatedAt:        shop.UpdatedAt,
	})
	if err != nil {
		return err
	}
	return k.metafields(ctx, shop.Id, shop.Metafields)
}

// Identity is what a shop says of itself, for connecting to it.
type Identity struct {
	ID              mirror.GID
	MyshopifyDomain string
	Name            string
	IANATimezone    string
}

// Identity reads which shop the token belongs to.
func (c *Client) Identity(ctx context.Context) (Identity, error) {
	data, err := admin.ReadShop(ctx, c.query())
	if err != nil {
		return Identity{}, err
	}
	return Identity{data.Shop.Id, data.Shop.MyshopifyDomain, data.Shop.Name, data.Shop.IanaTimezone}, nil
}
