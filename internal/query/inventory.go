package query

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"stockroom/internal/mirror"
	"stockroom/internal/store"
)

// InventoryQuery selects stock. Empty fields do not restrict; ids are global ids or their numbers.
type InventoryQuery struct {
	SKU      string // Exactly, but for upper and lower case.
	Item     string
	Location string
	Product  string // Or its handle.
	Cursor   string
	Limit    int
}

// StockLine is the stock of one variant's item at one location.
type StockLine struct {
	InventoryLevel
	LocationName string     `json:"locationName"`
	SKU          *string    `json:"sku"`
	Tracked      *bool      `json:"tracked" doc:"False where Shopify counts no stock for the item; null until that is known."`
	ProductID    mirror.GID `json:"productId"`
	ProductTitle string     `json:"productTitle"`
	VariantID    mirror.GID `json:"variantId"`
	VariantTitle string     `json:"variantTitle"`
}

// Inventory lists the stock at active locations, by item and location.
func (r *Reader) Inventory(ctx context.Context, shop store.Shop, q InventoryQuery) (List[StockLine], error) {
	page := List[StockLine]{Items: []StockLine{}}
	limit, err := limitOf(q.Limit)
	if err != nil {
		return page, err
	}
	page.Limit = limit
	var after mirror.GID
	if err := decodeCursor(q.Cursor, "inventory", &after); err != nil {
		return page, err
	}
	location, ok := gidOf("Location", q.Location)
	if q.Location != "" && !ok {
		return page, &Error{BadRequest, "the location is not an id", "pass a location's global id or its number"}
	}
	err = r.view(ctx, shop, "inventory", func(tx *store.Tx) error {
		if page.Freshness, err = r.freshness(tx, shop, mirror.TypeLevel); err != nil {
			return err
		}
		in := reader{tx, shop, r.shopNow(shop)}
		var rows []store.Row
		take := func(page []store.Row) (bool, error) {
			wanted := page[:0]
			for _, row := range page {
				if _, at, _ := mirror.SplitLevelID(row.ID); q.Location == "" || at == location {
					wanted = append(wanted, row)
				}
			}
			visible, err := tx.Visible(shop.ID, mirror.KindInventoryLevel, wanted)
			rows = append(rows, visible...)
			return len(rows) <= limit, err
		}
		items, restricted, err := in.wantedItems(q)
		if err != nil {
			return err
		}
		if restricted {
			err = in.levelsOf(items, after, take)
		} else {
			err = in.pages(mirror.KindInventoryLevel, after, take)
		}
		if err != nil {
			return err
		}
		if len(rows) > limit {
			rows = rows[:limit]
			page.Next = encodeCursor("inventory", rows[limit-1].ID)
		}
		page.Items, err = in.stockLines(rows)
		return err
	})
	return page, err
}

// wantedItems are the items that the query is restricted to, if it is.
func (r reader) wantedItems(q InventoryQuery) (items []mirror.GID, restricted bool, err error) {
	if q.Item != "" {
		id, ok := gidOf("InventoryItem", q.Item)
		if !ok {
			return nil, true, &Error{BadRequest, "the item is not an id", "pass an inventory item's global id or its number"}
		}
		items, restricted = []mirror.GID{id}, true
	}
	narrow := func(to []mirror.GID) {
		if restricted {
			to = slices.DeleteFunc(to, func(id mirror.GID) bool { return !slices.Contains(items, id) })
		}
		items, restricted = to, true
	}
	if q.Product != "" {
		row, err := r.findProduct(q.Product)
		if err != nil {
			return nil, true, err
		}
		variants, err := r.variantRows([]mirror.GID{row.ID})
		if err != nil {
			return nil, true, err
		}
		var of []mirror.GID
		for _, v := range variants {
			of = append(of, v.Link)
		}
		narrow(of)
	}
	if q.SKU != "" {
		of, err := r.itemsBySKU(q.SKU)
		if err != nil {
			return nil, true, err
		}
		narrow(of)
	}
	return items, restricted, nil
}

// maxSKU bounds, in bytes, the SKU that is looked for; Shopify's have 255 characters at most.
const maxSKU = 4 * 255

// itemsBySKU finds the items of the variants with this SKU. The search index
// knows all SKUs by their tokens, which stand in a row there as in the SKU.
func (r reader) itemsBySKU(sku string) ([]mirror.GID, error) {
	if len(sku) > maxSKU {
		return nil, nil
	}
	var phrase []string
	for _, word := range mirror.Words(sku) {
		phrase = append(phrase, word...)
	}
	if len(phrase) == 0 {
		return nil, nil
	}
	var items []mirror.GID
	search := store.ProductQuery{Words: []store.Word{{Apart: [][]string{phrase}}}, Limit: pageRows}
	for {
		hits, err := r.tx.SearchProducts(r.shop.ID, search)
		if err != nil || len(hits) == 0 {
			return items, err
		}
		search.After = hits[len(hits)-1].Cursor
		products := make([]mirror.GID, len(hits))
		for i, hit := range hits {
			products[i] = hit.ID
		}
		rows, err := r.variantRows(products)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			v, err := decode[*mirror.ProductVariant](mirror.KindProductVariant, row)
			if err != nil {
				return nil, err
			}
			if v.SKU != nil && strings.EqualFold(*v.SKU, sku) {
				items = append(items, v.InventoryItemID)
			}
		}
	}
}

// levelsOf gives take the shown levels of the items after an id, in order.
func (r reader) levelsOf(items []mirror.GID, after mirror.GID, take func([]store.Row) (bool, error)) error {
	byItem, err := r.tx.ShownByParent(r.shop.ID, mirror.KindInventoryLevel, items)
	if err != nil {
		return err
	}
	var rows []store.Row
	for _, of := range byItem {
		for _, row := range of {
			if row.ID > after {
				rows = append(rows, row)
			}
		}
	}
	slices.SortFunc(rows, func(a, b store.Row) int { return cmp.Compare(a.ID, b.ID) })
	for page := range slices.Chunk(rows, pageRows) {
		if more, err := take(page); err != nil || !more {
			return err
		}
	}
	return nil
}

func (r reader) stockLines(rows []store.Row) ([]StockLine, error) {
	items := make([]mirror.GID, len(rows))
	for i, row := range rows {
		items[i] = row.Parent
	}
	known, err := r.tx.ShownByID(r.shop.ID, mirror.KindInventoryItem, items)
	if err != nil {
		return nil, err
	}
	variants, err := r.variantByItem(items)
	if err != nil {
		return nil, err
	}
	var productIDs []mirror.GID
	for _, v := range variants {
		productIDs = append(productIDs, v.ProductID)
	}
	products, err := r.tx.ShownByID(r.shop.ID, mirror.KindProduct, productIDs)
	if err != nil {
		return nil, err
	}
	locations := map[mirror.GID]Location{}
	lines := make([]StockLine, len(rows))
	for i, row := range rows {
		level, err := r.level(row)
		if err != nil {
			return nil, err
		}
		location, err := r.knownLocation(locations, level.LocationID)
		if err != nil {
			return nil, err
		}
		v := variants[level.InventoryItemID]
		line := StockLine{InventoryLevel: level, LocationName: location.Name, SKU: v.SKU, ProductID: v.ProductID, VariantID: v.ID, VariantTitle: v.Title}
		if row, ok := known[level.InventoryItemID]; ok {
			item, err := decode[*mirror.InventoryItem](mirror.KindInventoryItem, row)
			if err != nil {
				return nil, err
			}
			line.SKU, line.Tracked = item.SKU, &item.Tracked
		}
		if row, ok := products[v.ProductID]; ok {
			product, err := decode[*mirror.Product](mirror.KindProduct, row)
			if err != nil {
				return nil, err
			}
			line.ProductTitle = product.Title
		}
		lines[i] = line
	}
	return lines, nil
}

// variantByItem finds the visible variant that names each item, the first where several do.
func (r reader) variantByItem(items []mirror.GID) (map[mirror.GID]Variant, error) {
	byItem, err := r.tx.ShownByLink(r.shop.ID, mirror.KindProductVariant, items)
	if err != nil {
		return nil, err
	}
	var rows []store.Row
	for _, of := range byItem {
		rows = append(rows, of...)
	}
	slices.SortFunc(rows, func(a, b store.Row) int { return cmp.Compare(a.ID, b.ID) })
	rows, err = r.tx.Visible(r.shop.ID, mirror.KindProductVariant, rows)
	if err != nil {
		return nil, err
	}
	all, err := r.variants(rows)
	if err != nil {
		return nil, err
	}
	first := map[mirror.GID]Variant{}
	for _, v := range all {
		if _, taken := first[v.InventoryItemID]; !taken {
			first[v.InventoryItemID] = v
		}
	}
	return first, nil
}
