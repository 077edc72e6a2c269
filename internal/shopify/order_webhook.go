package shopify

import "stockroom/internal/mirror"

// Only what the record needs is asked for, so that no customer's data comes at
// all. Updated_at is among it also because Shopify drops deliveries as doubled
// whose restricted bodies are alike.
var orderFields = []string{
	"id", "name", "created_at", "updated_at", "cancelled_at", "currency", "total_price", "note", "tags",
	"line_items.id", "line_items.variant_id", "line_items.title", "line_items.quantity",
}

var orderScopes = []string{"read_orders"}

var (
	_ = registerTopic(Topic{Name: "orders/create", Scopes: orderScopes, Protected: true, IncludeFields: orderFields, Decode: decodeOrder})
	_ = registerTopic(Topic{Name: "orders/updated", Scopes: orderScopes, Protected: true, IncludeFields: orderFields, Decode: decodeOrder})
	_ = registerTopic(Topic{Name: "orders/cancelled", Scopes: orderScopes, Protected: true, IncludeFields: orderFields, Decode: decodeOrder})
	_ = registerTopic(Topic{Name: "orders/edited", Scopes: orderScopes, Protected: true, Decode: func(d Delivery) (Heard, error) {
		var body struct {
			Edit struct {
				OrderID int64 `json:"order_id"`
			} `json:"order_edit"`
		}
		l, err := listen(d, &body)
		if err != nil {
			return Heard{}, err
		}
		id, err := gid("Order", body.Edit.OrderID)
		if err != nil {
			return Heard{}, err
		}
		l.demand(mirror.ReadOrder, id, mirror.Time{})
		return l.Heard, nil
	}})
	_ = registerTopic(Topic{Name: "orders/delete", Scopes: orderScopes, Protected: true, Decode: func(d Delivery) (Heard, error) {
		var body struct {
			ID int64 `json:"id"`
		}
		l, err := listen(d, &body)
		if err != nil {
			return Heard{}, err
		}
		id, err := gid("Order", body.ID)
		if err != nil {
			return Heard{}, err
		}
		l.absent(mirror.KindOrder, id, d.AsOf())
		return l.Heard, nil
	}})
)

func decodeOrder(d Delivery) (Heard, error) {
	var body struct {
		ID          int64          `json:"id"`
		Name        string         `json:"name"`
		CreatedAt   mirror.Time    `json:"created_at"`
		UpdatedAt   mirror.Time    `json:"updated_at"`
		CancelledAt mirror.Time    `json:"cancelled_at"`
		Currency    string         `json:"currency"`
		TotalPrice  mirror.Decimal `json:"total_price"` // In the shop's currency.
		Note        *string        `json:"note"`
		Tags        string         `json:"tags"`
		LineItems   []struct {
			ID        int64  `json:"id"`
			VariantID *int64 `json:"variant_id"`
			Title     string `json:"title"`
			Quantity  int64  `json:"quantity"`
		} `json:"line_items"`
	}
	l, err := listen(d, &body)
	if err != nil {
		return Heard{}, err
	}
	id, err := gid("Order", body.ID)
	if err != nil {
		return Heard{}, err
	}
	l.demand(mirror.ReadOrder, id, body.UpdatedAt)
	if body.UpdatedAt.IsZero() || body.CreatedAt.IsZero() || body.TotalPrice == "" || body.LineItems == nil ||
		!l.has("name", "cancelled_at", "currency", "note", "tags") {
		return l.Heard, nil
	}
	content := mirror.Order{
		Name:         body.Name,
		CreatedAt:    body.CreatedAt,
		UpdatedAt:    body.UpdatedAt,
		CancelledAt:  body.CancelledAt,
		CurrencyCode: body.Currency,
		TotalPrice:   body.TotalPrice,
		Note:         body.Note,
		Tags:         tagsOf(body.Tags),
		LineItems:    make([]mirror.LineItem, len(body.LineItems)),
	}
	for i, line := range body.LineItems {
		lineID, err := gid("LineItem", line.ID)
		if err != nil {
			return Heard{}, err
		}
		content.LineItems[i] = mirror.LineItem{ID: lineID, Title: line.Title, Quantity: line.Quantity}
		if line.VariantID != nil {
			variant, err := gid("ProductVariant", *line.VariantID)
			if err != nil {
				return Heard{}, err
			}
			content.LineItems[i].VariantID = &variant
		}
	}
	err = l.present(id, content)
	return l.Heard, err
}
