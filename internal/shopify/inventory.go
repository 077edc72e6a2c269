package shopify

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"stockroom/internal/mirror"
	"stockroom/internal/shopify/admin"
)

// Items and their levels are listed with the variants; see variant.go.

var _ = registerSweep(Sweep{
	Name: "items", rank: 4, Kinds: []mirror.Kind{mirror.KindInventoryItem}, Scopes: []string{"read_inventory"},
	Page: func(ctx context.Context, c *Client, in Range, cursor string) (Page, error) {
		k := c.pageCollector()
		data, err := admin.ChangedItems(ctx, k.q, cursorOf(cursor), *in.search())
		if err != nil {
			return Page{}, err
		}
		return page(k, data.InventoryItems.Nodes, data.InventoryItems.PageInfo, k.item)
	},
})

// Levels have no list of their own, so each location's are asked for in turn.
var _ = registerSweep(Sweep{
	Name: "levels", rank: 5, Kinds: []mirror.Kind{mirror.KindInventoryLevel}, Scopes: []string{"read_inventory", "read_locations"},
	Page: func(ctx context.Context, c *Client, in Range, cursor string) (result Page, err error) {
		result.AsOf = c.cfg.Clock.Now()
		result.Next, err = c.walkLocations(ctx, cursor, func(location mirror.GID, after *string) (string, error) {
			k := c.pageCollector()
			data, err := admin.ChangedLevels(ctx, k.q, location, after, *in.search())
			if err != nil || data.Location == nil {
				return "", err
			}
			levels := data.Location.InventoryLevels
			result, err = page(k, levels.Nodes, levels.PageInfo, k.level)
			return result.Next, err
		})
		return result, err
	},
})

var _ = registerScan(Scan{
	Name: "levels", rank: 5, Kind: mirror.KindInventoryLevel, Scopes: []string{"read_inventory", "read_locations"},
	Page: func(ctx context.Context, c *Client, cursor string) (result ScanPage, err error) {
		result.AsOf = c.cfg.Clock.Now()
		result.Next, err = c.walkLocations(ctx, cursor, func(location mirror.GID, after *string) (string, error) {
			q := c.query()
			data, err := admin.ScanLevels(ctx, q, location, after)
			if err != nil || data.Location == nil || !data.Location.IsActive {
				return "", err // Closed since it was listed: what lies there is not for sale.
			}
			levels := data.Location.InventoryLevels
			result, err = scanPage(q, levels.Nodes, levels.PageInfo, func(l admin.LevelStampPageNodesInventoryLevel) (mirror.GID, mirror.Time, error) {
				item, ok := mirror.ItemOfLevel(l.Id)
				if !ok {
					return "", mirror.Time{}, fmt.Errorf("the id %s of a stock level does not name its item", l.Id)
				}
				return mirror.LevelID(item, location), l.UpdatedAt, nil
			})
			return result.Next, err
		})
		return result, err
	},
})

// walkLocations reads one page of what each active location has in turn, and
// returns the cursor of the next. That holds the location and, after a space,
// the cursor within.
func (c *Client) walkLocations(ctx context.Context, cursor string, read func(location mirror.GID, after *string) (next string, err error)) (string, error) {
	from, after, _ := strings.Cut(cursor, " ")
	current, following := mirror.GID(from), mirror.GID("")
	if after == "" { // A location begins.
		var err error
		if current, following, err = c.activeLocations(ctx, current); err != nil || current == "" {
			return "", err
		}
	}
	next, err := read(current, cursorOf(after))
	if err != nil {
		return "", err
	}
	if next != "" {
		return string(current) + " " + next, nil
	}
	if after != "" { // A location ends, and it was long ago that the next one was looked up.
		first, second, err := c.activeLocations(ctx, current)
		if err != nil {
			return "", err
		}
		if following = second; first != current { // Closed meanwhile.
			following = first
		}
	}
	if following == "" {
		return "", nil
	}
	return string(following) + " ", nil
}

// activeLocations finds the first active location at or after from, by id, and
// the one that follows it; both empty at the end.
func (c *Client) activeLocations(ctx context.Context, from mirror.GID) (current, following mirror.GID, err error) {
	var active []mirror.GID
	err = readAll(func(after string) (admin.PageEnd, error) {
		data, err := admin.ListLocations(ctx, c.query(), cursorOf(after))
		if err != nil {
			return admin.PageEnd{}, err
		}
		for _, l := range data.Locations.Nodes {
			if l.IsActive && l.Id >= from {
				active = append(active, l.Id)
			}
		}
		return data.Locations.PageInfo, nil
	})
	if err != nil {
		return "", "", err
	}
	slices.Sort(active)
	active = append(active, "", "")
	return active[0], active[1], nil
}

var _ = registerScan(Scan{
	Name: "items", rank: 4, Kind: mirror.KindInventoryItem, Scopes: []string{"read_inventory"},
	Page: func(ctx context.Context, c *Client, cursor string) (ScanPage, error) {
		q := c.query()
		data, err := admin.ScanItems(ctx, q, cursorOf(cursor))
		if err != nil {
			return ScanPage{}, err
		}
		return scanPage(q, data.InventoryItems.Nodes, data.InventoryItems.PageInfo, stampOf)
	},
})

var _ = registerRead(mirror.ReadItem, reader{
	kind: mirror.KindInventoryItem, max: 100, objects: []string{"InventoryItem"},
	read: func(ctx context.Context, k *collector, ids []mirror.GID) error {
		data, err := admin.ReadItems(ctx, k.q, ids)
		if err != nil {
			return err
		}
		products := map[mirror.GID]bool{} // Items of one product bring it again.
		for _, node := range data.Nodes {
			if node == nil {
				continue
			}
			item, ok := (*node).(*admin.ReadItemsNodesInventoryItem)
			if !ok {
				continue
			}
			if err := k.item(item.ItemFields); err != nil {
				return err
			}
			if err := k.itemVariants(ctx, item, products); err != nil {
				return err
			}
		}
		return nil
	},
})

// itemVariants observes what stock decides of an item's variants and products.
func (k *collector) itemVariants(ctx context.Context, item *admin.ReadItemsNodesInventoryItem, products map[mirror.GID]bool) error {
	if item.Variants == nil {
		return nil
	}
	variants := item.Variants.Nodes
	err := readOn(item.Variants.PageInfo, func(after string) (admin.PageEnd, error) {
		data, err := admin.MoreItemVariants(ctx, k.q, item.Id, after)
		if err != nil {
			return admin.PageEnd{}, err
		}
		if data.InventoryItem == nil || data.InventoryItem.Variants == nil {
			return admin.PageEnd{}, errGone
		}
		variants = append(variants, data.InventoryItem.Variants.Nodes...)
		return data.InventoryItem.Variants.PageInfo, nil
	})
	if err != nil {
		return err
	}
	for _, variant := range variants {
		if err := k.variantDerived(variant.VariantDerivedFields); err != nil {
			return err
		}
		if products[variant.Product.Id] {
			continue
		}
		products[variant.Product.Id] = true
		if err := k.productDerived(variant.Product.ProductDerivedFields); err != nil {
			return err
		}
	}
	return nil
}

// Levels are read through their items. InventoryLevel's own gid is no way to
// them: inventory_levels/disconnect names only the item and the location.
var _ = registerRead(mirror.ReadLevel, reader{
	kind: mirror.KindInventoryLevel, max: 50, objects: []string{"InventoryItem"},
	read: func(ctx context.Context, k *collector, ids []mirror.GID) error {
		asked := map[mirror.GID]bool{}
		var items []mirror.GID
		for _, id := range ids {
			item, _, ok := mirror.SplitLevelID(id)
			if !ok {
				return fmt.Errorf("%q is no level's id", id)
			}
			asked[id] = true
			items = append(items, item)
		}
		slices.Sort(items)
		data, err := admin.ReadLevels(ctx, k.q, slices.Compact(items))
		if err != nil {
			return err
		}
		for _, node := range data.Nodes {
			if node == nil {
				continue
			}
			item, ok := (*node).(*admin.ReadLevelsNodesInventoryItem)
			if !ok {
				continue
			}
			levels, err := k.restOfLevels(ctx, item.Id, item.InventoryLevels)
			if err != nil {
				return err
			}
			for _, level := range levels {
				if asked[mirror.LevelID(level.Item.Id, level.Location.Id)] {
					if err := k.level(level); err != nil {
						return err
					}
				}
			}
		}
		return nil
	},
})

func (k *collector) restOfLevels(ctx context.Context, item mirror.GID, first admin.LevelPage) ([]admin.LevelFields, error) {
	levels := first.Nodes
	err := readOn(first.PageInfo, func(after string) (admin.PageEnd, error) {
		data, err := admin.MoreItemLevels(ctx, k.q, item, after)
		if err != nil {
			return admin.PageEnd{}, err
		}
		if data.InventoryItem == nil {
			return admin.PageEnd{}, errGone
		}
		levels = append(levels, data.InventoryItem.InventoryLevels.Nodes...)
		return data.InventoryItem.InventoryLevels.PageInfo, nil
	})
	return levels, err
}

func (k *collector) item(i admin.ItemFields) error {
	content := mirror.InventoryItem{
		SKU: i.Sku, Tracked: i.Tracked, RequiresShipping: i.RequiresShipping, UpdatedAt: i.UpdatedAt,
	}
	if i.UnitCost != nil {
		content.UnitCost = &i.UnitCost.Amount
	}
	return k.present(i.Id, content)
}

// level observes a level. One that is inactive, or at an inactive location,
// counts as absent: a list leaves it out, a read by id says so.
func (k *collector) level(l admin.LevelFields) error {
	id := mirror.LevelID(l.Item.Id, l.Location.Id)
	if !l.IsActive || !l.Location.IsActive {
		if k.source == mirror.FromID {
			k.absent(mirror.Key{Kind: mirror.KindInventoryLevel, ID: id})
		}
		return nil
	}
	content := mirror.InventoryLevel{
		LevelGID: l.Id, InventoryItemID: l.Item.Id, LocationID: l.Location.Id, UpdatedAt: l.UpdatedAt,
	}
	for _, quantity := range l.Quantities {
		if quantity.Name == "available" {
			content.Available = &quantity.Quantity
		}
	}
	return k.present(id, content)
}
