package api

import (
	"context"
	"fmt"

	"github.com/danielgtaylor/huma/v2"

	"stockroom/internal/mirror"
	"stockroom/internal/query"
	"stockroom/internal/store"
)

// The framework reads embedded structs whose names are exported alone.

// ShopPath names the shop.
type ShopPath struct {
	Shop string `path:"shop" doc:"The full myshopify domain." example:"example.myshopify.com"`
}

// PageParams select a page of a list.
type PageParams struct {
	Limit  int    `query:"limit" minimum:"1" default:"20" doc:"How many items at most. More than 100 are cut to 100, as the header Stockroom-Limit says."`
	Cursor string `query:"cursor" doc:"The next of the page before."`
}

type productsInput struct {
	ShopPath
	PageParams
	Text      string `query:"q" maxLength:"256" doc:"Words of the title, vendor, type, tags, options, SKUs, barcodes or handle; all must be there. The last may be a beginning."`
	Available string `query:"available" enum:"true,false" doc:"Some variant is for sale, or none."`
	MinPrice  string `query:"min_price" doc:"Some variant costs at least this much; with max_price or available, that same variant meets those too." example:"10"`
	MaxPrice  string `query:"max_price" doc:"Some variant costs at most this much." example:"19.90"`
	All       bool   `query:"all" doc:"Drafts, archived, unlisted and unpublished products too."`
}

// IDPath names one object of the shop.
type IDPath struct {
	ShopPath
	ID string `path:"id" doc:"The global id (escaped), the number in it, or the handle."`
}

type inventoryInput struct {
	ShopPath
	PageParams
	SKU      string `query:"sku" maxLength:"255" doc:"The whole SKU, in upper or lower case."`
	Item     string `query:"item" doc:"An inventory item's global id or number."`
	Location string `query:"location" doc:"A location's global id or number."`
	Product  string `query:"product" doc:"A product's global id, number or handle."`
}

type discountsInput struct {
	ShopPath
	PageParams
	Status string `query:"status" default:"ACTIVE" doc:"ACTIVE, SCHEDULED, EXPIRED or ALL, at this moment."`
}

type collectionsInput struct {
	ShopPath
	PageParams
}

type collectionInput struct {
	IDPath
	PageParams
	All bool `query:"all" doc:"Drafts, archived, unlisted and unpublished products too."`
}

func (s *server) addRoutes(api huma.API) {
	get(s, api, "list-products", "/v1/shops/{shop}/products", "Search products, best match first",
		func(ctx context.Context, shop store.Shop, in *productsInput) (query.List[query.ProductSummary], error) {
			q := query.ProductsQuery{Text: in.Text, All: in.All, Cursor: in.Cursor, Limit: in.Limit}
			if in.Available != "" {
				q.Available = new(in.Available == "true")
			}
			var err error
			if q.MinPrice, err = price("min_price", in.MinPrice); err != nil {
				return query.List[query.ProductSummary]{}, err
			}
			if q.MaxPrice, err = price("max_price", in.MaxPrice); err != nil {
				return query.List[query.ProductSummary]{}, err
			}
			return s.Reader.Products(ctx, shop, q)
		})
	get(s, api, "get-product", "/v1/shops/{shop}/products/{id}", "One product with its variants, stock and metafields",
		func(ctx context.Context, shop store.Shop, in *IDPath) (query.Single[query.WholeProduct], error) {
			return s.Reader.Product(ctx, shop, in.ID)
		})
	get(s, api, "list-inventory", "/v1/shops/{shop}/inventory", "Stock by variant and location",
		func(ctx context.Context, shop store.Shop, in *inventoryInput) (query.List[query.StockLine], error) {
			return s.Reader.Inventory(ctx, shop, query.InventoryQuery{SKU: in.SKU, Item: in.Item, Location: in.Location, Product: in.Product, Cursor: in.Cursor, Limit: in.Limit})
		})
	get(s, api, "list-discounts", "/v1/shops/{shop}/discounts", "Discounts with their codes",
		func(ctx context.Context, shop store.Shop, in *discountsInput) (query.List[query.Discount], error) {
			return s.Reader.Discounts(ctx, shop, query.DiscountsQuery{Status: in.Status, Cursor: in.Cursor, Limit: in.Limit})
		})
	get(s, api, "list-collections", "/v1/shops/{shop}/collections", "Collections with the number of their products",
		func(ctx context.Context, shop store.Shop, in *collectionsInput) (query.List[query.CollectionSummary], error) {
			return s.Reader.Collections(ctx, shop, query.PageQuery{Cursor: in.Cursor, Limit: in.Limit})
		})
	get(s, api, "list-collection-products", "/v1/shops/{shop}/collections/{id}/products", "The products of a collection",
		func(ctx context.Context, shop store.Shop, in *collectionInput) (query.List[query.ProductSummary], error) {
			return s.Reader.CollectionProducts(ctx, shop, query.CollectionQuery{Collection: in.ID, All: in.All, Cursor: in.Cursor, Limit: in.Limit})
		})
}

func price(name, text string) (*mirror.Decimal, error) {
	if text == "" {
		return nil, nil
	}
	price, err := mirror.ParseDecimal(text)
	if err != nil {
		return nil, &query.Error{Code: query.BadRequest, Message: fmt.Sprintf("%s is not a price", name), Fix: "write it like 19.90"}
	}
	return &price, nil
}
