package query

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"stockroom/internal/catalog"
	"stockroom/internal/mirror"
	"stockroom/internal/store"
)

// ProductsQuery selects products. Zero values do not restrict, but that drafts,
// archived, unlisted and unpublished products are asked for with All alone.
type ProductsQuery struct {
	Text      string          // Words of the title, vendor, type, tags, options, SKUs, barcodes or handle; all must be there.
	Available *bool           // Some variant is for sale.
	MinPrice  *mirror.Decimal // One variant has to meet both prices, and Available where that is asked.
	MaxPrice  *mirror.Decimal
	All       bool
	Cursor    string
	Limit     int
}

// MaxVariants is how many variants a product in a list is shown with;
// VariantsCount says how many there are, and the product by itself has all.
const MaxVariants = 100

// ProductSummary is a product in a list.
type ProductSummary struct {
	ID               mirror.GID       `json:"id"`
	Title            string           `json:"title"`
	Handle           string           `json:"handle"`
	Status           string           `json:"status"`
	Vendor           string           `json:"vendor"`
	ProductType      string           `json:"productType"`
	Tags             []string         `json:"tags" nullable:"false"`
	Options          []mirror.Option  `json:"options" nullable:"false"`
	FeaturedImageURL *string          `json:"featuredImageUrl"`
	OnlineStoreURL   *string          `json:"onlineStoreUrl"`
	AvailableForSale *bool            `json:"availableForSale" doc:"Some variant is for sale; null until that is known."`
	PriceRange       *PriceRange      `json:"priceRange" doc:"Null where there is no variant."`
	Variants         []VariantSummary `json:"variants" nullable:"false" doc:"At most 100; variantsCount says how many there are."`
	VariantsCount    int              `json:"variantsCount"`
	PublishedAt      mirror.Time      `json:"publishedAt"`
	UpdatedAt        mirror.Time      `json:"updatedAt"`
}

// PriceRange spans the variants' prices.
type PriceRange struct {
	Min          mirror.Decimal `json:"min"`
	Max          mirror.Decimal `json:"max"`
	CurrencyCode string         `json:"currencyCode"`
}

// VariantSummary is a variant in a list of products.
type VariantSummary struct {
	ID                mirror.GID              `json:"id"`
	Title             string                  `json:"title"`
	SKU               *string                 `json:"sku"`
	Price             mirror.Decimal          `json:"price"`
	CompareAtPrice    *mirror.Decimal         `json:"compareAtPrice"`
	SelectedOptions   []mirror.SelectedOption `json:"selectedOptions" nullable:"false"`
	AvailableForSale  *bool                   `json:"availableForSale"`
	InventoryQuantity *int64                  `json:"inventoryQuantity"`
}

// MaxText bounds the text of a search, in characters.
const MaxText = 256

// Products searches the shop's products, best match first, then by title.
func (r *Reader) Products(ctx context.Context, shop store.Shop, q ProductsQuery) (List[ProductSummary], error) {
	page := List[ProductSummary]{Items: []ProductSummary{}}
	limit, err := limitOf(q.Limit)
	if err != nil {
		return page, err
	}
	page.Limit = limit
	if utf8.RuneCountInString(q.Text) > MaxText {
		return page, &Error{BadRequest, "the text to search for is too long", fmt.Sprintf("send at most %d characters of it", MaxText)}
	}
	search := store.ProductQuery{Available: q.Available, Published: !q.All, Limit: limit + 1, Words: store.SearchWords(q.Text)}
	if store.Parts(search.Words) > store.MaxWords {
		return page, &Error{BadRequest, "there are too many words to search for", fmt.Sprintf("send at most %d", store.MaxWords)}
	}
	for _, bound := range []struct {
		price *mirror.Decimal
		into  **int64
	}{{q.MinPrice, &search.MinPrice}, {q.MaxPrice, &search.MaxPrice}} {
		if bound.price != nil {
			*bound.into = new(catalog.Millionths(*bound.price))
		}
	}
	if err := decodeCursor(q.Cursor, "products", &search.After); err != nil {
		return page, err
	}
	err = r.view(ctx, shop, "products", func(tx *store.Tx) error {
		if page.Freshness, err = r.freshness(tx, shop, mirror.TypeProduct, mirror.TypeVariant); err != nil {
			return err
		}
		if len(search.Words) == 0 && strings.TrimSpace(q.Text) != "" {
			return nil // Nothing but punctuation: that names no product.
		}
		hits, err := tx.SearchProducts(shop.ID, search)
		if err != nil {
			return err
		}
		if len(hits) > limit {
			hits = hits[:limit]
			page.Next = encodeCursor("products", hits[limit-1].Cursor)
		}
		found := make([]mirror.GID, len(hits))
		for i, hit := range hits {
			found[i] = hit.ID
		}
		page.Items, err = reader{tx, shop, r.shopNow(shop)}.summaries(found)
		return err
	})
	return page, err
}

// summaries loads products in the order of their ids; those not shown are left out.
func (r reader) summaries(ids []mirror.GID) ([]ProductSummary, error) {
	found, err := r.tx.ShownByID(r.shop.ID, mirror.KindProduct, ids)
	if err != nil {
		return nil, err
	}
	rows := make([]store.Row, 0, len(found))
	for _, id := range ids {
		if row, ok := found[id]; ok {
			rows = append(rows, row)
		}
	}
	products, err := r.products(rows)
	if err != nil {
		return nil, err
	}
	variants, err := r.variantsOf(ids)
	if err != nil {
		return nil, err
	}
	currency, err := r.currency()
	if err != nil {
		return nil, err
	}
	all := make([]ProductSummary, len(products))
	for i, p := range products {
		of := variants[p.ID]
		all[i] = ProductSummary{
			ID: p.ID, Title: p.Title, Handle: p.Handle, Status: p.Status, Vendor: p.Vendor, ProductType: p.ProductType, Tags: p.Tags, Options: p.Options,
			FeaturedImageURL: p.FeaturedImageURL, OnlineStoreURL: p.OnlineStoreURL, AvailableForSale: available(of), PriceRange: priceRange(of, currency),
			Variants: make([]VariantSummary, min(len(of), MaxVariants)), VariantsCount: len(of), PublishedAt: p.PublishedAt, UpdatedAt: p.UpdatedAt,
		}
		for j := range all[i].Variants {
			v := of[j]
			all[i].Variants[j] = VariantSummary{v.ID, v.Title, v.SKU, v.Price, v.CompareAtPrice, v.SelectedOptions, v.AvailableForSale, v.InventoryQuantity}
		}
	}
	return all, nil
}

// available is true when some variant is for sale, false when none is, and nil
// while it may be either.
func available(variants []Variant) *bool {
	known := true
	for _, v := range variants {
		if v.AvailableForSale == nil {
			known = false
		} else if *v.AvailableForSale {
			return new(true)
		}
	}
	if !known {
		return nil
	}
	return new(false)
}

func priceRange(variants []Variant, currency string) *PriceRange {
	if len(variants) == 0 {
		return nil
	}
	prices := PriceRange{variants[0].Price, variants[0].Price, currency}
	for _, v := range variants[1:] {
		if catalog.Millionths(v.Price) < catalog.Millionths(prices.Min) {
			prices.Min = v.Price
		}
		if catalog.Millionths(v.Price) > catalog.Millionths(prices.Max) {
			prices.Max = v.Price
		}
	}
	return &prices
}

// WholeProduct is a product with all that hangs on it.
type WholeProduct struct {
	Product
	AvailableForSale *bool          `json:"availableForSale" doc:"Some variant is for sale; null until that is known."`
	PriceRange       *PriceRange    `json:"priceRange" doc:"Null where there is no variant."`
	Variants         []WholeVariant `json:"variants" nullable:"false"`
	Metafields       []Metafield    `json:"metafields" nullable:"false"`
}

// WholeVariant is a variant with its stock.
type WholeVariant struct {
	Variant
	Stock      []Stock     `json:"stock" nullable:"false"`
	Metafields []Metafield `json:"metafields" nullable:"false"`
}

// Stock is how much of a variant a location has.
type Stock struct {
	LocationID   mirror.GID  `json:"locationId"`
	LocationName string      `json:"locationName"`
	Available    *int64      `json:"available" doc:"Sellable units; negative when oversold, null where stock is not tracked."`
	UpdatedAt    mirror.Time `json:"updatedAt"`
}

// Product reads one product whole. It is named by its global id, by the number
// in it, or by its handle; a number that is no id may be a handle still.
func (r *Reader) Product(ctx context.Context, shop store.Shop, ref string) (Single[WholeProduct], error) {
	var answer Single[WholeProduct]
	err := r.view(ctx, shop, "a product", func(tx *store.Tx) (err error) {
		if answer.Freshness, err = r.freshness(tx, shop, mirror.TypeProduct, mirror.TypeVariant); err != nil {
			return err
		}
		in := reader{tx, shop, r.shopNow(shop)}
		row, err := in.findProduct(ref)
		if err != nil {
			return err
		}
		answer.Item, err = in.wholeProduct(row)
		return err
	})
	return answer, err
}

func (r reader) findProduct(ref string) (store.Row, error) {
	none := &Error{NotFound, fmt.Sprintf("the shop has no product %q", ref), "name a product by its id or handle, as a search for products gives them"}
	if id, ok := gidOf("Product", ref); ok {
		found, err := r.tx.ShownByID(r.shop.ID, mirror.KindProduct, []mirror.GID{id})
		if row, ok := found[id]; ok || err != nil {
			return row, err
		}
	}
	id, err := r.tx.ProductByHandle(r.shop.ID, ref)
	if errors.Is(err, store.ErrNotFound) {
		return store.Row{}, none
	}
	if err != nil {
		return store.Row{}, err
	}
	found, err := r.tx.ShownByID(r.shop.ID, mirror.KindProduct, []mirror.GID{id})
	if row, ok := found[id]; ok || err != nil {
		return row, err
	}
	return store.Row{}, none
}

func (r reader) wholeProduct(row store.Row) (WholeProduct, error) {
	products, err := r.products([]store.Row{row})
	if err != nil {
		return WholeProduct{}, err
	}
	byProduct, err := r.variantsOf([]mirror.GID{row.ID})
	if err != nil {
		return WholeProduct{}, err
	}
	variants := byProduct[row.ID]
	owners, items := []mirror.GID{row.ID}, []mirror.GID(nil)
	for _, v := range variants {
		owners = append(owners, v.ID)
		items = append(items, v.InventoryItemID)
	}
	metafields, err := r.metafieldsOf(owners)
	if err != nil {
		return WholeProduct{}, err
	}
	byOwner := map[mirror.GID][]Metafield{}
	for _, m := range metafields {
		byOwner[m.OwnerID] = append(byOwner[m.OwnerID], m)
	}
	stock, err := r.stockOf(items)
	if err != nil {
		return WholeProduct{}, err
	}
	currency, err := r.currency()
	if err != nil {
		return WholeProduct{}, err
	}
	whole := WholeProduct{
		Product: products[0], AvailableForSale: available(variants), PriceRange: priceRange(variants, currency),
		Variants: make([]WholeVariant, len(variants)), Metafields: orEmpty(byOwner[row.ID]),
	}
	for i, v := range variants {
		whole.Variants[i] = WholeVariant{v, orEmpty(stock[v.InventoryItemID]), orEmpty(byOwner[v.ID])}
	}
	return whole, nil
}

func (r reader) stockOf(items []mirror.GID) (map[mirror.GID][]Stock, error) {
	rows, err := r.visibleChildren(mirror.KindInventoryLevel, items)
	if err != nil {
		return nil, err
	}
	locations := map[mirror.GID]Location{}
	stock := map[mirror.GID][]Stock{}
	for _, row := range rows {
		level, err := r.level(row)
		if err != nil {
			return nil, err
		}
		location, err := r.knownLocation(locations, level.LocationID)
		if err != nil {
			return nil, err
		}
		stock[level.InventoryItemID] = append(stock[level.InventoryItemID], Stock{level.LocationID, location.Name, level.Available, level.UpdatedAt})
	}
	return stock, nil
}

// knownLocation finds a location, at most once for each map.
func (r reader) knownLocation(known map[mirror.GID]Location, id mirror.GID) (Location, error) {
	if location, ok := known[id]; ok {
		return location, nil
	}
	found, err := r.tx.ShownByID(r.shop.ID, mirror.KindLocation, []mirror.GID{id})
	if err != nil {
		return Location{}, err
	}
	location := Location{ID: id}
	if row, ok := found[id]; ok {
		if location, err = r.location(row); err != nil {
			return Location{}, err
		}
	}
	known[id] = location
	return location, nil
}

// orEmpty makes a list that is written as [] and not as null.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
