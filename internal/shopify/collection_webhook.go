package shopify

import (
	"strings"

	"stockroom/internal/mirror"
)

var (
	_ = registerTopic(Topic{Name: "collections/create", Scopes: productScopes, Decode: decodeCollection})
	_ = registerTopic(Topic{Name: "collections/update", Scopes: productScopes, Decode: decodeCollection})
	_ = registerTopic(Topic{Name: "collections/delete", Scopes: productScopes, Decode: func(d Delivery) (Heard, error) {
		var body struct {
			ID int64 `json:"id"`
		}
		l, err := listen(d, &body)
		if err != nil {
			return Heard{}, err
		}
		id, err := gid("Collection", body.ID)
		if err != nil {
			return Heard{}, err
		}
		l.absent(mirror.KindCollection, id, d.AsOf())
		return l.Heard, nil
	}})
)

// decodeCollection reads a collection without its members, which no body
// carries: they are read.
func decodeCollection(d Delivery) (Heard, error) {
	var body struct {
		ID        int64       `json:"id"`
		Title     string      `json:"title"`
		Handle    string      `json:"handle"`
		BodyHTML  string      `json:"body_html"`
		SortOrder *string     `json:"sort_order"` // Such as alpha-asc for ALPHA_ASC.
		UpdatedAt mirror.Time `json:"updated_at"`
	}
	l, err := listen(d, &body)
	if err != nil {
		return Heard{}, err
	}
	id, err := gid("Collection", body.ID)
	if err != nil {
		return Heard{}, err
	}
	l.demand(mirror.ReadCollection, id, body.UpdatedAt)
	if body.UpdatedAt.IsZero() || body.SortOrder == nil || !l.has("title", "handle", "body_html") {
		return l.Heard, nil
	}
	err = l.present(id, mirror.Collection{
		Title: body.Title, Handle: body.Handle, DescriptionHTML: body.BodyHTML,
		SortOrder: strings.ToUpper(strings.ReplaceAll(*body.SortOrder, "-", "_")), UpdatedAt: body.UpdatedAt,
	})
	return l.Heard, err
}
