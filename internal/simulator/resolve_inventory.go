package simulator

import (
	"fmt"
	"slices"
	"time"

	"stockroom/internal/simulator/graph"
)

var _ = define(fields{
	"id":               of(func(i *InventoryItem) any { return i.GID() }),
	"legacyResourceId": of(func(i *InventoryItem) any { return number(i.ID) }),
	"sku":              of(func(i *InventoryItem) any { return nullable(i.SKU) }),
	"tracked":          of(func(i *InventoryItem) any { return i.Tracked }),
	"requiresShipping": of(func(i *InventoryItem) any { return i.RequiresShipping }),
	"unitCost": with(func(q *query, i *InventoryItem, _ map[string]any) (any, error) {
		if i.Cost == 0 {
			return nil, nil
		}
		return q.money(i.Cost, q.shop.Currency), nil
	}),
	"measurement": itself[*InventoryItem]("InventoryItemMeasurement"),
	"createdAt":   of(func(i *InventoryItem) any { return i.CreatedAt }),
	"updatedAt":   of(func(i *InventoryItem) any { return i.UpdatedAt }),
	"variant": needs("read_products", "variant", with(func(q *query, i *InventoryItem, _ map[string]any) (any, error) {
		return q.object(typeVariant, i.Variant), nil
	})),
	"variants": needs("read_products", "variants", with(func(q *query, i *InventoryItem, args map[string]any) (any, error) {
		return small(q, args, typeVariant, []*Variant{i.Variant}, func(v *Variant) int64 { return v.ID })
	})),
	"locationsCount": with(func(q *query, i *InventoryItem, _ map[string]any) (any, error) {
		n := int64(len(activeLevels(i.Levels)))
		return q.count(n, n), nil
	}),
	"inventoryLevel": with(func(q *query, i *InventoryItem, args map[string]any) (any, error) {
		kind, id, _, ok := parseGID(fmt.Sprint(args["locationId"]))
		if !ok || kind != typeLocation {
			return nil, invalidID(args["locationId"])
		}
		return q.level(i.Level(id), args), nil
	}),
	"inventoryLevels": with(func(q *query, i *InventoryItem, args map[string]any) (any, error) {
		list := i.Levels
		if args["includeInactive"] != true {
			list = activeLevels(list)
		}
		keep, report := levelsOf.keep(q, args)
		if keep != nil {
			list = slices.DeleteFunc(slices.Clone(list), func(l *Level) bool { return !keep(l) })
		}
		connection, err := graph.Connect(args, graph.SortID, graph.Sorted(list, func(l *Level) graph.Key { return graph.Key{ID: l.Location.LevelNumber} },
			func(l *Level) graph.Object { return q.object(typeLevel, l) }))
		if err != nil {
			return nil, err
		}
		connection.Search = report
		return connection, nil
	}),
}, typeItem)

var _ = define(fields{
	"id": of(func(i *InventoryItem) any { return gid("InventoryItemMeasurement", i.ID) }),
	"weight": with(func(q *query, i *InventoryItem, _ map[string]any) (any, error) {
		return q.object("Weight", i.Grams), nil
	}),
}, "InventoryItemMeasurement")

// All weights are told in the shop's unit, which is the kilogram.
var _ = define(fields{
	"unit":  always("KILOGRAMS"),
	"value": of(func(grams int64) any { return float64(grams) / 1000 }),
}, "Weight")

// grams are how many a unit of WeightUnit has.
var grams = map[string]float64{"GRAMS": 1, "KILOGRAMS": 1000, "OUNCES": 28.349523125, "POUNDS": 453.59237}

func activeLevels(list []*Level) []*Level {
	return slices.DeleteFunc(slices.Clone(list), func(l *Level) bool { return !l.Active })
}

// level is a level as an object; nil where it is missing, or inactive and not
// asked for.
func (q *query) level(l *Level, args map[string]any) any {
	if l == nil || !l.Active && args["includeInactive"] != true {
		return nil
	}
	return q.object(typeLevel, l)
}

// levelsOf is what lists of levels share; each location brings its own index.
var levelsOf = list[*Level]{
	typename: typeLevel,
	filters: map[string]graph.Filter[*Level]{
		"inventory_item_id": graph.ByID(func(l *Level) []int64 { return []int64{l.Item.ID} }),
		"id":                graph.ByID(func(l *Level) []int64 { return []int64{l.Location.LevelNumber} }),
		"created_at":        graph.ByTime(func(l *Level) time.Time { return l.CreatedAt }),
		"updated_at":        graph.ByTime(func(l *Level) time.Time { return l.UpdatedAt }),
	},
	missing: []string{"inventory_group_id"},
}

// findLevel finds a level by its gid, active or not.
func (q *query) findLevel(args map[string]any) (any, error) {
	kind, id, item, ok := parseGID(fmt.Sprint(args["id"]))
	if !ok || kind != typeLevel || item == 0 {
		return nil, invalidID(args["id"])
	}
	found, ok := q.shop.Items.Get(item)
	if !ok || q.lost(typeLevel) {
		return nil, nil
	}
	for _, l := range found.Levels {
		if l.Location.LevelNumber == id {
			return q.object(typeLevel, l), nil
		}
	}
	return nil, nil
}

var _ = define(fields{
	"id":        of(func(l *Level) any { return l.GID() }),
	"isActive":  of(func(l *Level) any { return l.Active }),
	"createdAt": of(func(l *Level) any { return l.CreatedAt }),
	"updatedAt": of(func(l *Level) any { return l.UpdatedAt }),
	"item":      with(func(q *query, l *Level, _ map[string]any) (any, error) { return q.object(typeItem, l.Item), nil }),
	"location": needs("read_locations", "location", with(func(q *query, l *Level, _ map[string]any) (any, error) {
		return q.object(typeLocation, l.Location), nil
	})),
	"quantities": with(func(q *query, l *Level, args map[string]any) (any, error) {
		names, _ := args["names"].([]any)
		out := []any{}
		for _, name := range names {
			name := fmt.Sprint(name)
			if _, known := quantities[name]; !known {
				return nil, graph.Errorf(graph.CodeBadRequest, "The quantity name %q is not valid", name)
			}
			out = append(out, q.object("InventoryQuantity", quantity{l, name}))
		}
		return out, nil
	}),
}, typeLevel)

// quantity is one state of the units of a level.
type quantity struct {
	level *Level
	name  string
}

// quantities counts the units in each state (names as recorded, 2026).
var quantities = map[string]func(*Level) int64{
	"available":       func(l *Level) int64 { return l.Available },
	"committed":       func(l *Level) int64 { return l.Committed },
	"on_hand":         func(l *Level) int64 { return l.Available + l.Committed },
	"damaged":         func(*Level) int64 { return 0 },
	"incoming":        func(*Level) int64 { return 0 },
	"quality_control": func(*Level) int64 { return 0 },
	"reserved":        func(*Level) int64 { return 0 },
	"safety_stock":    func(*Level) int64 { return 0 },
}

var _ = define(fields{
	"id": of(func(n quantity) any {
		return gid("InventoryQuantity", n.level.Location.LevelNumber) + "?inventory_item_id=" + number(n.level.Item.ID) + "&name=" + n.name
	}),
	"name":     of(func(n quantity) any { return n.name }),
	"quantity": of(func(n quantity) any { return quantities[n.name](n.level) }),
	"updatedAt": of(func(n quantity) any {
		if n.name != "available" { // Recorded: null for on_hand and incoming.
			return nil
		}
		return n.level.UpdatedAt
	}),
}, "InventoryQuantity")

var _ = define(fields{
	"id":                   of(func(l *Location) any { return l.GID() }),
	"legacyResourceId":     of(func(l *Location) any { return number(l.ID) }),
	"name":                 of(func(l *Location) any { return l.Name }),
	"isActive":             of(func(l *Location) any { return l.Active }),
	"fulfillsOnlineOrders": of(func(l *Location) any { return l.Active }),
	"hasActiveInventory": of(func(l *Location) any {
		for level := range l.Levels.All() {
			if level.Active {
				return true
			}
		}
		return false
	}),
	"isFulfillmentService": always(false),
	"createdAt":            of(func(l *Location) any { return l.CreatedAt }),
	"updatedAt":            of(func(l *Location) any { return l.UpdatedAt }),
	"address":              with(func(q *query, l *Location, _ map[string]any) (any, error) { return q.object("LocationAddress", l), nil }),
	"inventoryLevel": needs("read_inventory", "inventoryLevel", with(func(q *query, l *Location, args map[string]any) (any, error) {
		kind, id, _, ok := parseGID(fmt.Sprint(args["inventoryItemId"]))
		if !ok || kind != typeItem {
			return nil, invalidID(args["inventoryItemId"])
		}
		level, ok := l.Levels.Get(id)
		if !ok {
			return nil, nil
		}
		return q.level(level, args), nil
	})),
	"inventoryLevels": needs("read_inventory", "inventoryLevels", with(func(q *query, l *Location, args map[string]any) (any, error) {
		of := levelsOf
		of.index = func(*Shop) *Index[*Level] { return &l.Levels }
		if args["includeInactive"] != true {
			of.visible = func(_ *query, level *Level) bool { return level.Active }
		}
		return of.page(q, args)
	})),
}, typeLocation)

var _ = define(fields{
	"address1":    of(func(l *Location) any { return nullable(l.Address1) }),
	"city":        of(func(l *Location) any { return nullable(l.City) }),
	"zip":         of(func(l *Location) any { return nullable(l.Zip) }),
	"country":     of(func(l *Location) any { return nullable(countryName(l.Country)) }),
	"countryCode": of(func(l *Location) any { return nullable(l.Country) }),
	"formatted": of(func(l *Location) any {
		return slices.DeleteFunc([]string{l.Address1, l.Zip + " " + l.City, l.Country}, func(line string) bool { return line == "" || line == " " })
	}),
}, "LocationAddress")
