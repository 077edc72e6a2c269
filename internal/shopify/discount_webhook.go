package shopify

import (
	"fmt"
	"slices"
	"time"

	"stockroom/internal/mirror"
)

var discountScopes = []string{"read_discounts"}

// A discount's body holds little more than its id, so everything is read.
var (
	_ = registerTopic(Topic{Name: "discounts/create", Scopes: discountScopes, Decode: decodeDiscount})
	_ = registerTopic(Topic{Name: "discounts/update", Scopes: discountScopes, Decode: decodeDiscount})
	_ = registerTopic(Topic{Name: "discounts/redeemcode_added", Scopes: discountScopes, Decode: decodeDiscountCode})
	_ = registerTopic(Topic{Name: "discounts/redeemcode_removed", Scopes: discountScopes, Decode: decodeDiscountCode})
	_ = registerTopic(Topic{Name: "discounts/delete", Scopes: discountScopes, Decode: func(d Delivery) (Heard, error) {
		l, body, err := listenToDiscount(d)
		if err != nil {
			return Heard{}, err
		}
		// The only deletion that tells its own time.
		at := d.AsOf()
		if !body.DeletedAt.IsZero() {
			// To the second, so that it may have been at its end: a read by id
			// earlier in it saw the discount, and must not seem to have found it since.
			at = mirror.At(body.DeletedAt.Time).Seconds().Add(time.Second) - 1
		}
		l.absent(mirror.KindDiscount, body.GID, at)
		return l.Heard, nil
	}})
)

type discountBody struct {
	GID       mirror.GID  `json:"admin_graphql_api_id"`
	UpdatedAt mirror.Time `json:"updated_at"`
	DeletedAt mirror.Time `json:"deleted_at"`
}

func listenToDiscount(d Delivery) (*listener, discountBody, error) {
	var body discountBody
	l, err := listen(d, &body)
	if err != nil {
		return nil, body, err
	}
	if !slices.Contains(discountObjects, body.GID.Object()) || body.GID.Number() == "" {
		return nil, body, fmt.Errorf("%.80q is no discount's id", body.GID)
	}
	return l, body, nil
}

func decodeDiscount(d Delivery) (Heard, error) {
	l, body, err := listenToDiscount(d)
	if err != nil {
		return Heard{}, err
	}
	l.demand(mirror.ReadDiscount, body.GID, body.UpdatedAt)
	return l.Heard, nil
}

func decodeDiscountCode(d Delivery) (Heard, error) {
	l, body, err := listenToDiscount(d)
	if err != nil {
		return Heard{}, err
	}
	l.demand(mirror.ReadDiscount, body.GID, mirror.Time{})
	return l.Heard, nil
}
