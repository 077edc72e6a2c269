package simulator

import (
	"fmt"
	"slices"
	"time"
)

// lag keeps what totalInventory shows for a while, before a change of stock.
func (e *edit) lag(p *Product) {
	lag := time.Duration(e.shop.sim.Faults().TotalsLag)
	if lag <= 0 {
		return
	}
	if now := e.event.at; !now.Before(p.totalDue) {
		p.oldTotal = p.TotalInventory()
		p.totalDue = now.Add(lag)
	}
}

// SetStock sets the sellable units of an item at a location.
func (s *Shop) SetStock(item, location, units int64) error {
	return s.stock(item, location, func(int64) int64 { return units })
}

// AdjustStock adds to the sellable units of an item at a location.
func (s *Shop) AdjustStock(item, location, delta int64) error {
	return s.stock(item, location, func(units int64) int64 { return units + delta })
}

func (s *Shop) stock(item, location int64, change func(int64) int64) error {
	e := s.begin()
	defer e.end()
	l, err := s.activeLevel(item, location)
	if err != nil {
		return err
	}
	e.setLevel(l, change(l.Available))
	return nil
}

// setLevel moves stock: the level's updatedAt and the product's, not the
// item's and not the variant's.
func (e *edit) setLevel(l *Level, units int64) {
	if l.Available == units {
		return
	}
	p := l.Item.Variant.Product
	e.lag(p)
	l.Available = units
	l.UpdatedAt = e.now
	l.Location.Levels.put(l)
	e.level("inventory_levels/update", l)
	e.touch(p)
}

func (s *Shop) activeLevel(item, location int64) (*Level, error) {
	i, ok := s.Items.Get(item)
	if !ok {
		return nil, missing(typeItem, item)
	}
	l := i.Level(location)
	if l == nil || !l.Shown() {
		return nil, fmt.Errorf("item %d at location %d: %w", item, location, ErrNotFound)
	}
	return l, nil
}

// ConnectLevel stocks an item at a location. A level that was disconnected
// comes back under its id. Neither product nor item is told of.
func (s *Shop) ConnectLevel(item, location, units int64) error {
	e := s.begin()
	defer e.end()
	return e.connectLevel(item, location, units)
}

func (e *edit) connectLevel(item, location, units int64) error {
	s := e.shop
	i, ok := s.Items.Get(item)
	if !ok {
		return missing(typeItem, item)
	}
	at, ok := s.Locations.Get(location)
	if !ok || !at.Active {
		return missing(typeLocation, location)
	}
	l := i.Level(location)
	if l != nil && l.Active {
		return fmt.Errorf("connect item %d at location %d: it is: %w", item, location, ErrInvalid)
	}
	e.lag(i.Variant.Product)
	if l == nil {
		l = &Level{Item: i, Location: at, CreatedAt: e.now}
		i.Levels = append(i.Levels, l)
		slices.SortFunc(i.Levels, func(a, b *Level) int { return int(a.Location.ID - b.Location.ID) })
	}
	l.Active, l.Available, l.UpdatedAt = true, units, e.now
	at.Levels.put(l)
	e.level("inventory_levels/connect", l)
	return nil
}

// DisconnectLevel stops stocking an item at a location; what lay there is gone.
func (s *Shop) DisconnectLevel(item, location int64) error {
	e := s.begin()
	defer e.end()
	l, err := s.activeLevel(item, location)
	if err != nil {
		return err
	}
	e.lag(l.Item.Variant.Product)
	l.Active, l.Available, l.UpdatedAt = false, 0, e.now
	l.Location.Levels.put(l)
	e.fixed("inventory_levels/disconnect", l.GID(), map[string]any{"inventory_item_id": item, "location_id": location})
	return nil
}

// CreateLocation opens a location.
func (s *Shop) CreateLocation(name string) (*Location, error) {
	if name == "" {
		return nil, fmt.Errorf("create location without a name: %w", ErrInvalid)
	}
	e := s.begin()
	defer e.end()
	l := s.newLocation(name, e.now)
	s.Locations.put(l)
	e.location("locations/create", l)
	return l, nil
}

func (s *Shop) newLocation(name string, at time.Time) *Location {
	here := placeOf(s.Country, s.Currency)
	return &Location{
		ID: s.newID(typeLocation), LevelNumber: s.newID(typeLevel), Name: name, Active: true, Address1: here.street,
		City: here.city, Zip: here.zip, Country: s.Country, CreatedAt: at, UpdatedAt: at,
	}
}

// RenameLocation changes a location's name.
func (s *Shop) RenameLocation(id int64, name string) error {
	return s.changeLocation(id, "locations/update", func(l *Location) { l.Name = name })
}

// ActivateLocation opens a location again; its levels count from now on.
func (s *Shop) ActivateLocation(id int64) error {
	return s.changeLocation(id, "locations/activate", func(l *Location) { l.Active = true })
}

// DeactivateLocation closes a location. Its levels stay but do not count, of
// which no webhook tells. The last active one stays open.
func (s *Shop) DeactivateLocation(id int64) error {
	return s.changeLocation(id, "locations/deactivate", func(l *Location) { l.Active = false })
}

func (s *Shop) changeLocation(id int64, topic string, change func(*Location)) error {
	e := s.begin()
	defer e.end()
	l, ok := s.Locations.Get(id)
	if !ok {
		return missing(typeLocation, id)
	}
	was := *l
	change(l)
	open := 0
	for other := range s.Locations.All() {
		if other.Active {
			open++
		}
	}
	if open == 0 || was.Active == l.Active && was.Name == l.Name {
		l.Active, l.Name = was.Active, was.Name
		return fmt.Errorf("change location %d: %w", id, ErrInvalid)
	}
	l.UpdatedAt = e.now
	s.Locations.put(l)
	e.location(topic, l)
	return nil
}

// DeleteLocation removes a closed location with its levels, of which no
// webhook tells.
func (s *Shop) DeleteLocation(id int64) error {
	e := s.begin()
	defer e.end()
	l, ok := s.Locations.Get(id)
	if !ok {
		return missing(typeLocation, id)
	}
	if l.Active {
		return fmt.Errorf("delete location %d: it is open: %w", id, ErrInvalid)
	}
	for level := range l.Levels.All() {
		level.Item.Levels = slices.DeleteFunc(slices.Clone(level.Item.Levels), func(other *Level) bool { return other == level })
	}
	s.Locations.remove(id)
	e.fixed("locations/delete", l.GID(), map[string]any{"id": id})
	return nil
}

// UpdateShop changes what change does to the shop's own settings.
func (s *Shop) UpdateShop(change func(*Shop)) error {
	e := s.begin()
	defer e.end()
	change(s)
	s.UpdatedAt = e.now
	s.emit(e.event, "shop/update", s.GID(), func(sendOptions) map[string]any { return s.shopBody() })
	return nil
}
