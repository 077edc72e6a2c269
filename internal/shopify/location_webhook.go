package shopify

import "stockroom/internal/mirror"

var locationScopes = []string{"read_locations"}

var (
	_ = registerTopic(Topic{Name: "locations/create", Scopes: locationScopes, Decode: decodeLocation(false)})
	_ = registerTopic(Topic{Name: "locations/update", Scopes: locationScopes, Decode: decodeLocation(false)})
	// Its levels come or go with it and no webhook tells of them: the read of a
	// location answers with them.
	_ = registerTopic(Topic{Name: "locations/activate", Scopes: locationScopes, Decode: decodeLocation(true)})
	_ = registerTopic(Topic{Name: "locations/deactivate", Scopes: locationScopes, Decode: decodeLocation(true)})
	_ = registerTopic(Topic{Name: "locations/delete", Scopes: locationScopes, Decode: func(d Delivery) (Heard, error) {
		var body struct {
			ID int64 `json:"id"`
		}
		l, err := listen(d, &body)
		if err != nil {
			return Heard{}, err
		}
		id, err := gid("Location", body.ID)
		if err != nil {
			return Heard{}, err
		}
		l.absent(mirror.KindLocation, id, d.AsOf())
		return l.Heard, nil
	}})
)

func decodeLocation(levelsChange bool) func(Delivery) (Heard, error) {
	return func(d Delivery) (Heard, error) {
		var body struct {
			ID        int64       `json:"id"`
			Name      string      `json:"name"`
			Active    *bool       `json:"active"`
			UpdatedAt mirror.Time `json:"updated_at"`
		}
		l, err := listen(d, &body)
		if err != nil {
			return Heard{}, err
		}
		id, err := gid("Location", body.ID)
		if err != nil {
			return Heard{}, err
		}
		whole := body.Active != nil && !body.UpdatedAt.IsZero() && l.has("name")
		if levelsChange || !whole {
			l.demand(mirror.ReadLocation, id, body.UpdatedAt)
		}
		if whole {
			err = l.present(id, mirror.Location{Name: body.Name, IsActive: *body.Active, UpdatedAt: body.UpdatedAt})
		}
		return l.Heard, err
	}
}
