package simulator

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

func init() {
	mutationWith("inventorySetQuantities", "write_inventory", "userErrors", "InventorySetQuantitiesUserError",
		once("inventorySetQuantities", (*query).setQuantities), "inventoryAdjustmentGroup")
	mutationWith("inventoryAdjustQuantities", "write_inventory", "userErrors", "InventoryAdjustQuantitiesUserError",
		once("inventoryAdjustQuantities", (*query).adjustQuantities), "inventoryAdjustmentGroup")
	mutation("inventoryActivate", "write_inventory", once("inventoryActivate", (*query).inventoryActivate), "inventoryLevel")
	mutation("inventoryDeactivate", "write_inventory", (*query).inventoryDeactivate)
	mutation("inventoryItemUpdate", "write_inventory", (*query).inventoryItemUpdate, "inventoryItem")
	mutationWith("locationActivate", "write_locations", "locationActivateUserErrors", "LocationActivateUserError",
		once("locationActivate", (*query).locationActivate), "location")
	mutationWith("locationDeactivate", "write_locations", "locationDeactivateUserErrors", "LocationDeactivateUserError",
		once("locationDeactivate", (*query).locationDeactivate), "location")
	define(fields{
		"id":                   of(func(g adjustment) any { return gid("InventoryAdjustmentGroup", g.id) }),
		"createdAt":            of(func(g adjustment) any { return g.at }),
		"reason":               of(func(g adjustment) any { return g.reason }),
		"referenceDocumentUri": of(func(g adjustment) any { return nullable(g.document) }),
		"app": with(func(q *query, _ adjustment, _ map[string]any) (any, error) {
			return q.object("App", q.access.Installation), nil
		}),
		"changes": with((*query).adjustmentChanges),
	}, "InventoryAdjustmentGroup")
	define(fields{
		"name":  of(func(c adjusted) any { return c.name }),
		"delta": of(func(c adjusted) any { return c.delta }),
		"quantityAfterChange": of(func(c adjusted) any {
			if c.name == "on_hand" { // Only the states that make it up are counted.
				return nil
			}
			return c.after
		}),
		"item": with(func(q *query, c adjusted, _ map[string]any) (any, error) {
			return q.object(typeItem, c.level.Item), nil
		}),
		"location": needs("read_locations", "location", with(func(q *query, c adjusted, _ map[string]any) (any, error) {
			return q.object(typeLocation, c.level.Location), nil
		})),
	}, "InventoryChange")
}

// adjustment is what one request did to stock.
type adjustment struct {
	id       int64
	at       time.Time
	reason   string
	document string
	changes  []adjusted
}

// adjusted is what it did to one state of a level's units.
type adjusted struct {
	level        *Level
	name         string
	delta, after int64
}

func (q *query) adjustmentChanges(g adjustment, args map[string]any) (any, error) {
	kept := func(filter, value string) bool {
		wanted, ok := args[filter].([]any)
		return !ok || slices.Contains(wanted, any(value))
	}
	out := []any{}
	for _, c := range g.changes {
		if kept("inventoryItemIds", c.level.Item.GID()) && kept("locationIds", c.level.Location.GID()) && kept("quantityNames", c.name) {
			out = append(out, q.object("InventoryChange", c))
		}
	}
	return out, nil
}

// reasons are those that a change of stock may give. Source: "Manage inventory
// quantities and states", read 2026.
var reasons = []string{
	"correction", "cycle_count_available", "damaged", "movement_created", "movement_updated", "movement_received", "movement_canceled",
	"other", "promotion", "quality_control", "received", "reservation_created", "reservation_deleted", "reservation_updated", "restock",
	"safety_stock", "shrinkage",
}

// maxUnits is how many units a level may hold, below zero as above.
const maxUnits = 1_000_000_000

// stockLine is one line of a request that changes stock.
type stockLine struct {
	input
	at             string
	item, location int64
}

func stockLines(list []input) ([]stockLine, error) {
	var out []stockLine
	for i, in := range list {
		item, err := in.id("inventoryItemId", typeItem)
		if err != nil {
			return nil, err
		}
		location, err := in.id("locationId", typeLocation)
		if err != nil {
			return nil, err
		}
		out = append(out, stockLine{in, strconv.Itoa(i), item, location})
	}
	return out, nil
}

// autoStocks is the version from which an item is stocked where its quantity
// is changed. Source: changelog "Removal of ITEM_NOT_STOCKED_AT_LOCATION error"; that
// the level is active afterwards is unproven.
const autoStocks = "2026-10"

func (q *query) setQuantities(in input) (payload, error) {
	in = in.object("input")
	list := in.objects("quantities")
	if err := mandatory(q, "InventoryQuantityInput", list); err != nil {
		return payload{}, err
	}
	name := in.text("name")
	if name != "available" && name != "on_hand" {
		return refuse(complaint("INVALID_NAME", "The quantity name must be either 'available' or 'on_hand'.", "input", "name"))
	}
	// In the oldest versions the older pair of arguments still guards.
	older := q.access.APIVersion < idempotentSince
	return q.moveStock(in, name, "quantities", list, func(line stockLine, now int64) (int64, *UserError) {
		wanted := line.number("quantity")
		field := []string{"input", "quantities", line.at}
		switch {
		case wanted > maxUnits:
			return 0, &UserError{append(field, "quantity"), "The total quantity can't be higher than 1,000,000,000.", "INVALID_QUANTITY_TOO_HIGH"}
		case wanted < -maxUnits:
			return 0, &UserError{append(field, "quantity"), "The total quantity can't be lower than -1,000,000,000.", "INVALID_QUANTITY_TOO_LOW"}
		case line.input["changeFromQuantity"] != nil:
			if line.number("changeFromQuantity") != now {
				return 0, staleQuantity(append(field, "changeFromQuantity"))
			}
		case older && !line.has("changeFromQuantity") && !in.flag("ignoreCompareQuantity"):
			if line.input["compareQuantity"] == nil {
				return 0, &UserError{append(field, "compareQuantity"), "The compareQuantity argument must be given to each quantity or ignored using ignoreCompareQuantity.", "COMPARE_QUANTITY_REQUIRED"}
			}
			if line.number("compareQuantity") != now {
				return 0, &UserError{append(field, "compareQuantity"), "The compareQuantity argument no longer matches the persisted quantity.", "COMPARE_QUANTITY_STALE"}
			}
		}
		return wanted, nil
	})
}

func staleQuantity(field []string) *UserError {
	return &UserError{field, "The changeFromQuantity argument no longer matches the persisted quantity.", "CHANGE_FROM_QUANTITY_STALE"}
}

func (q *query) adjustQuantities(in input) (payload, error) {
	in = in.object("input")
	list := in.objects("changes")
	if err := mandatory(q, "InventoryChangeInput", list); err != nil {
		return payload{}, err
	}
	name := in.text("name")
	if name != "available" { // The simulator keeps no units in other states that a delta could move.
		return refuse(complaint("INVALID_QUANTITY_NAME", "The specified quantity name is invalid.", "input", "name"))
	}
	return q.moveStock(in, name, "changes", list, func(line stockLine, now int64) (int64, *UserError) {
		field := []string{"input", "changes", line.at}
		if line.input["changeFromQuantity"] != nil && line.number("changeFromQuantity") != now {
			return 0, staleQuantity(append(field, "changeFromQuantity"))
		}
		wanted := now + line.number("delta")
		switch {
		case wanted > maxUnits:
			return 0, &UserError{append(field, "delta"), "The quantity can't be higher than 1,000,000,000.", "INVALID_QUANTITY_TOO_HIGH"}
		case wanted < -maxUnits:
			return 0, &UserError{append(field, "delta"), "The quantity can't be lower than -1,000,000,000.", "INVALID_QUANTITY_TOO_LOW"}
		}
		return wanted, nil
	})
}

// moveStock brings levels to what decide makes of their units, all or none.
// decide sees and answers units of the named state.
func (q *query) moveStock(in input, name, listName string, list []input, decide func(stockLine, int64) (int64, *UserError)) (payload, error) {
	reason := in.text("reason")
	if !slices.Contains(reasons, reason) {
		return refuse(complaint("INVALID_REASON", "The specified reason is invalid.", "input", "reason"))
	}
	lines, err := stockLines(list)
	if err != nil {
		return payload{}, err
	}
	s := q.shop
	e := s.begin()
	defer e.end()
	type planned struct {
		stockLine
		wanted int64
	}
	var plan []planned
	var problems []UserError
	seen := map[[2]int64]bool{}
	for _, line := range lines {
		field := []string{"input", listName, line.at}
		item, ok := s.Items.Get(line.item)
		if !ok {
			problems = append(problems, complaint("INVALID_INVENTORY_ITEM", "The specified inventory item could not be found.", append(field, "inventoryItemId")...))
			continue
		}
		location, ok := s.Locations.Get(line.location)
		if !ok || !location.Active {
			problems = append(problems, complaint("INVALID_LOCATION", "The specified location could not be found.", append(field, "locationId")...))
			continue
		}
		key := [2]int64{line.item, line.location}
		if seen[key] && listName == "quantities" {
			problems = append(problems, complaint("NO_DUPLICATE_INVENTORY_ITEM_ID_GROUP_ID_PAIR", "The combination of inventoryItemId and locationId must be unique.", append(field, "locationId")...))
			continue
		}
		seen[key] = true
		var now int64
		if level := item.Level(line.location); level != nil && level.Active {
			now = quantities[name](level)
		} else if q.access.APIVersion < autoStocks {
			problems = append(problems, complaint("ITEM_NOT_STOCKED_AT_LOCATION", "The specified inventory item is not stocked at the location.", append(field, "locationId")...))
			continue
		}
		wanted, problem := decide(line, now)
		if problem != nil {
			problems = append(problems, *problem)
			continue
		}
		plan = append(plan, planned{line, wanted})
	}
	if len(problems) > 0 {
		return refuse(problems...)
	}
	group := adjustment{id: s.newID("InventoryAdjustmentGroup"), at: e.now, reason: reason, document: in.text("referenceDocumentUri")}
	for _, line := range plan {
		item, _ := s.Items.Get(line.item)
		level := item.Level(line.location)
		if level == nil || !level.Active {
			if err := e.connectLevel(line.item, line.location, 0); err != nil {
				return payload{}, fmt.Errorf("stock item %d at location %d: %w", line.item, line.location, err)
			}
			level = item.Level(line.location)
		}
		before := level.Available
		// What is committed to orders stays so: on hand moves by what is available.
		target := before + line.wanted - quantities[name](level)
		e.setLevel(level, target)
		if delta := target - before; delta != 0 {
			group.changes = append(group.changes, adjusted{level, "available", delta, target}, adjusted{level, "on_hand", delta, target + level.Committed})
		}
	}
	if len(group.changes) == 0 { // Nothing moved, so there is no group (recorded for changes of nothing).
		return done(map[string]any{"inventoryAdjustmentGroup": nil})
	}
	return done(map[string]any{"inventoryAdjustmentGroup": q.object("InventoryAdjustmentGroup", group)})
}

func (q *query) inventoryActivate(in input) (payload, error) {
	lines, err := stockLines([]input{in})
	if err != nil {
		return payload{}, err
	}
	line, s := lines[0], q.shop
	e := s.begin()
	defer e.end()
	item, ok := s.Items.Get(line.item)
	if !ok {
		return refuse(complaint("", "The product couldn't be stocked because the inventory item wasn't found.", "inventoryItemId"))
	}
	if location, ok := s.Locations.Get(line.location); !ok || !location.Active {
		return refuse(complaint("", "The product couldn't be stocked because the location wasn't found.", "locationId"))
	}
	level := item.Level(line.location)
	if level == nil || !level.Active {
		if in["available"] != nil && in["onHand"] != nil {
			return refuse(complaint("", "Only one of available and onHand can be given.", "onHand"))
		}
		units := in.number("available")
		if in["onHand"] != nil { // Less what orders have of it already.
			units = in.number("onHand")
			if level != nil {
				units -= level.Committed
			}
		}
		if err := e.connectLevel(line.item, line.location, units); err != nil {
			return unexpected(err, "", "locationId")
		}
		level = item.Level(line.location)
	} else if in["available"] != nil || in["onHand"] != nil {
		field := "available"
		if in["available"] == nil {
			field = "onHand"
		}
		return refuse(complaint("", "Not allowed to set available quantity when the item is already active at the location.", field))
	}
	return done(map[string]any{"inventoryLevel": q.object(typeLevel, level)})
}

func (q *query) inventoryDeactivate(in input) (payload, error) {
	kind, number, item, ok := parseGID(in.text("inventoryLevelId"))
	if !ok || kind != typeLevel || item == 0 {
		return payload{}, invalidID(in["inventoryLevelId"])
	}
	s := q.shop
	s.mu.RLock()
	var location int64
	stocked := 0
	if i, ok := s.Items.Get(item); ok {
		for _, l := range i.Levels {
			if l.Active {
				stocked++
				if l.Location.LevelNumber == number {
					location = l.Location.ID
				}
			}
		}
	}
	s.mu.RUnlock()
	switch {
	case location == 0:
		return refuse(complaint("", "The product couldn't be unstocked because the inventory level was not found.", "inventoryLevelId"))
	case stocked == 1:
		return refuse(complaint("", "The product couldn't be unstocked because it needs at least one location.", "inventoryLevelId"))
	}
	if err := s.DisconnectLevel(item, location); err != nil {
		return unexpected(err, "", "inventoryLevelId")
	}
	return done(nil)
}

func (q *query) inventoryItemUpdate(in input) (payload, error) {
	id, err := in.id("id", typeItem)
	if err != nil {
		return payload{}, err
	}
	wanted := in.object("input")
	cost, err := wanted.amount("cost")
	if err != nil || cost < 0 {
		return refuse(complaint("", "Cost must be greater than or equal to 0", "input", "cost"))
	}
	s := q.shop
	e := s.begin()
	defer e.end()
	item, ok := s.Items.Get(id)
	if !ok {
		return refuse(complaint("", "The product couldn't be updated because it does not exist.", "id"))
	}
	if wanted.has("sku") && wanted.text("sku") != item.SKU {
		if err := e.updateVariant(item.Variant.ID, func(v *Variant) { v.SKU = wanted.text("sku") }); err != nil {
			return unexpected(err, "", "input", "sku")
		}
	}
	if wanted.has("tracked") || wanted.has("cost") || wanted.has("requiresShipping") || wanted.has("measurement") {
		if err := e.updateItem(id, func(i *InventoryItem) { wanted.applyItem(i, cost) }); err != nil {
			return unexpected(err, "", "id")
		}
	}
	return done(map[string]any{"inventoryItem": q.object(typeItem, item)})
}

func (q *query) locationActivate(in input) (payload, error) {
	return q.switchLocation(in, (*Shop).ActivateLocation, true, "GENERIC_ERROR", "Location could not be activated.")
}

func (q *query) locationDeactivate(in input) (payload, error) {
	return q.switchLocation(in, (*Shop).DeactivateLocation, false, "PERMANENTLY_BLOCKED_FROM_DEACTIVATION_ERROR",
		"Location could not be deactivated because it is the only one that is open.")
}

// switchLocation opens or closes a location; one that is as wanted stays so.
func (q *query) switchLocation(in input, act func(*Shop, int64) error, active bool, code, message string) (payload, error) {
	id, err := in.id("locationId", typeLocation)
	if err != nil {
		return payload{}, err
	}
	s := q.shop
	s.mu.RLock()
	l, ok := s.Locations.Get(id)
	same := ok && l.Active == active
	s.mu.RUnlock()
	if !ok {
		return refuse(complaint("LOCATION_NOT_FOUND", "Location not found.", "locationId"))
	}
	if !same {
		if err := act(s, id); err != nil {
			return refuse(complaint(code, message, "locationId"))
		}
	}
	return done(map[string]any{"location": q.object(typeLocation, l)})
}
