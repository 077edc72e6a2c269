package mirror

const (
	KindInventoryItem  Kind = "InventoryItem"
	KindInventoryLevel Kind = "InventoryLevel"

	// ReadItem answers with the inventory item, and with what Shopify derives
	// of its variant and product.
	ReadItem Read = "item"
	// ReadLevel answers with one level; its ids are LevelIDs. A level that is
	// inactive, or at an inactive location, is absent.
	ReadLevel Read = "level"
)

var (
	_ = register(KindInfo{Kind: KindInventoryItem, Type: TypeItem, Scopes: []string{"read_inventory"}, Governed: true, Read: ReadItem,
		Objects: []string{"InventoryItem"}, Topics: Topics{Created: "inventory_items/create", Changed: "inventory_items/update", Deleted: "inventory_items/delete"},
		Blank: func() Content { return new(InventoryItem) }})
	_ = register(KindInfo{Kind: KindInventoryLevel, Type: TypeLevel, Scopes: []string{"read_inventory", "read_locations"}, Governed: true, Returns: true, Read: ReadLevel,
		Objects: []string{"InventoryLevel"}, Topics: Topics{Created: "inventory_levels/connect", Changed: "inventory_levels/update", Deleted: "inventory_levels/disconnect"},
		Blank: func() Content { return new(InventoryLevel) }})
)

// InventoryItem is what inventory_items/* carry whole. It is shown while a
// shown variant names it.
type InventoryItem struct {
	SKU              *string  `json:"sku"`
	Tracked          bool     `json:"tracked"`
	RequiresShipping bool     `json:"requiresShipping"`
	UnitCost         *Decimal `json:"unitCost"` // In the shop's currency.
	UpdatedAt        Time     `json:"updatedAt"`
}

// InventoryLevel is the stock of one item at one location. Its record's id is
// LevelID(InventoryItemID, LocationID).
type InventoryLevel struct {
	LevelGID        GID    `json:"levelGid"` // Shopify's own, with ?inventory_item_id=.
	InventoryItemID GID    `json:"inventoryItemId"`
	LocationID      GID    `json:"locationId"`
	Available       *int64 `json:"available"` // Sellable units; negative when oversold, null where untracked.
	UpdatedAt       Time   `json:"updatedAt"`
}

// ID is the key of the level's record.
func (l InventoryLevel) ID() GID { return LevelID(l.InventoryItemID, l.LocationID) }

func (InventoryItem) Kind() Kind           { return KindInventoryItem }
func (InventoryItem) ParentID() GID        { return "" }
func (i InventoryItem) UpdatedTime() Time  { return i.UpdatedAt }
func (InventoryLevel) Kind() Kind          { return KindInventoryLevel }
func (l InventoryLevel) ParentID() GID     { return l.InventoryItemID }
func (l InventoryLevel) UpdatedTime() Time { return l.UpdatedAt }
