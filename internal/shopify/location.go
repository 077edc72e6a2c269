package shopify

import (
	"context"

	"stockroom/internal/mirror"
	"stockroom/internal/shopify/admin"
)

var _ = registerList(List{
	Name: "locations", rank: 1,
	Kinds:  []mirror.Kind{mirror.KindLocation},
	Scopes: []string{"read_locations"},
	Page:   listLocations,
})

var _ = registerSweep(Sweep{
	Name: "locations", rank: 1, Kinds: []mirror.Kind{mirror.KindLocation}, Scopes: []string{"read_locations"},
	Page: func(ctx context.Context, c *Client, _ Range, cursor string) (Page, error) {
		return listLocations(ctx, c, cursor)
	},
})

var _ = registerScan(Scan{
	Name: "locations", rank: 1, Kind: mirror.KindLocation, Scopes: []string{"read_locations"},
	Page: func(ctx context.Context, c *Client, cursor string) (ScanPage, error) {
		q := c.query()
		data, err := admin.ListLocations(ctx, q, cursorOf(cursor))
		if err != nil {
			return ScanPage{}, err
		}
		return scanPage(q, data.Locations.Nodes, data.Locations.PageInfo, stampOf)
	},
})

func listLocations(ctx context.Context, c *Client, cursor string) (Page, error) {
	k := c.pageCollector()
	data, err := admin.ListLocations(ctx, k.q, cursorOf(cursor))
	if err != nil {
		return Page{}, err
	}
	return page(k, data.Locations.Nodes, data.Locations.PageInfo, k.location)
}

// A location decides which of its levels are there, and tells nobody when it
// is switched on or off. So a read of it answers with all its levels as well.
var _ = registerRead(mirror.ReadLocation, reader{
	kind: mirror.KindLocation, max: 5, objects: []string{"Location"},
	read: func(ctx context.Context, k *collector, ids []mirror.GID) error {
		data, err := admin.ReadLocations(ctx, k.q, ids)
		if err != nil {
			return err
		}
		for _, node := range data.Nodes {
			if node == nil {
				continue
			}
			location, ok := (*node).(*admin.ReadLocationsNodesLocation)
			if !ok {
				continue
			}
			if err := k.location(location.LocationFields); err != nil {
				return err
			}
			levels := location.InventoryLevels.Nodes
			err := readOn(location.InventoryLevels.PageInfo, func(after string) (admin.PageEnd, error) {
				data, err := admin.MoreLevelsAtLocation(ctx, k.q, location.Id, after)
				if err != nil {
					return admin.PageEnd{}, err
				}
				if data.Location == nil {
					return admin.PageEnd{}, errGone
				}
				levels = append(levels, data.Location.InventoryLevels.Nodes...)
				return data.Location.InventoryLevels.PageInfo, nil
			})
			if err != nil {
				return err
			}
			for _, level := range levels {
				if err := k.level(level); err != nil {
					return err
				}
			}
		}
		return nil
	},
})

func (k *collector) location(l admin.LocationFields) error {
	return k.present(l.Id, mirror.Location{Name: l.Name, IsActive: l.IsActive, UpdatedAt: l.UpdatedAt})
}
