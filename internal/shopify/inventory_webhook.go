package shopify

import (
	"fmt"

	"stockroom/internal/mirror"
)

var (
	itemScopes  = []string{"read_inventory", "read_products"}
	levelScopes = []string{"read_inventory"}
)

var (
	_ = registerTopic(Topic{Name: "inventory_items/create", Scopes: itemScopes, Decode: decodeItem})
	_ = registerTopic(Topic{Name: "inventory_items/update", Scopes: itemScopes, Decode: decodeItem})
	_ = registerTopic(Topic{Name: "inventory_items/delete", Scopes: itemScopes, Decode: func(d Delivery) (Heard, error) {
		var body struct {
			ID int64 `json:"id"`
		}
		l, err := listen(d, &body)
		if err != nil {
			return Heard{}, err
		}
		id, err := gid("InventoryItem", body.ID)
		if err != nil {
			return Heard{}, err
		}
		l.absent(mirror.KindInventoryItem, id, d.AsOf())
		return l.Heard, nil
	}})
	_ = registerTopic(Topic{Name: "inventory_levels/connect", Scopes: levelScopes, Decode: decodeLevel})
	_ = registerTopic(Topic{Name: "inventory_levels/update", Scopes: levelScopes, Decode: decodeLevel})
	_ = registerTopic(Topic{Name: "inventory_levels/disconnect", Scopes: levelScopes, Decode: func(d Delivery) (Heard, error) {
		var body levelBody
		l, err := listen(d, &body)
		if err != nil {
			return Heard{}, err
		}
		item, location, err := body.ids()
		if err != nil {
			return Heard{}, err
		}
		l.absent(mirror.KindInventoryLevel, mirror.LevelID(item, location), d.AsOf())
		l.demandTwice(mirror.ReadItem, item, mirror.Time{})
		return l.Heard, nil
	}})
)

func decodeItem(d Delivery) (Heard, error) {
	var body struct {
		ID               int64           `json:"id"`
		SKU              *string         `json:"sku"`
		Tracked          bool            `json:"tracked"`
		RequiresShipping bool            `json:"requires_shipping"`
		Cost             *mirror.Decimal `json:"cost"`
		UpdatedAt        mirror.Time     `json:"updated_at"`
	}
	l, err := listen(d, &body)
	if err != nil {
		return Heard{}, err
	}
	id, err := gid("InventoryItem", body.ID)
	if err != nil {
		return Heard{}, err
	}
	l.demandTwice(mirror.ReadItem, id, body.UpdatedAt)
	if body.UpdatedAt.IsZero() || !l.has("sku", "tracked", "requires_shipping", "cost") {
		return l.Heard, nil
	}
	err = l.present(id, mirror.InventoryItem{
		SKU: body.SKU, Tracked: body.Tracked, RequiresShipping: body.RequiresShipping,
		UnitCost: body.Cost, UpdatedAt: body.UpdatedAt,
	})
	return l.Heard, err
}

type levelBody struct {
	GID             mirror.GID  `json:"admin_graphql_api_id"`
	InventoryItemID int64       `json:"inventory_item_id"`
	LocationID      int64       `json:"location_id"`
	Available       *int64      `json:"available"` // Null, it seems, where the item is not tracked: reads show a number there.
	UpdatedAt       mirror.Time `json:"updated_at"`
}

func (b levelBody) ids() (item, location mirror.GID, err error) {
	if item, err = gid("InventoryItem", b.InventoryItemID); err != nil {
		return "", "", err
	}
	location, err = gid("Location", b.LocationID)
	return item, location, err
}

// decodeLevel reads a level's stock. Two quick changes may come as two bodies
// with the later stock in both.
func decodeLevel(d Delivery) (Heard, error) {
	var body levelBody
	l, err := listen(d, &body)
	if err != nil {
		return Heard{}, err
	}
	item, location, err := body.ids()
	if err != nil {
		return Heard{}, err
	}
	l.demandTwice(mirror.ReadItem, item, mirror.Time{})
	if body.UpdatedAt.IsZero() || body.GID.Object() != "InventoryLevel" || body.Available == nil {
		l.demand(mirror.ReadLevel, mirror.LevelID(item, location), body.UpdatedAt)
		return l.Heard, nil
	}
	content := mirror.InventoryLevel{
		LevelGID: body.GID, InventoryItemID: item, LocationID: location,
		Available: body.Available, UpdatedAt: body.UpdatedAt,
	}
	if err := l.present(content.ID(), content); err != nil {
		return Heard{}, fmt.Errorf("level of item %d at location %d: %w", body.InventoryItemID, body.LocationID, err)
	}
	return l.Heard, nil
}
