package shopify

import (
	"encoding/json"
	"errors"
	"fmt"

	"stockroom/internal/mirror"
)

var (
	// The body has the primary domain without its scheme, so the shop is read.
	_ = registerTopic(Topic{Name: "shop/update", Decode: func(d Delivery) (Heard, error) {
		var body struct {
			ID        int64       `json:"id"`
			UpdatedAt mirror.Time `json:"updated_at"`
		}
		l, err := listen(d, &body)
		if err != nil {
			return Heard{}, err
		}
		id, err := gid("Shop", body.ID)
		if err != nil {
			return Heard{}, err
		}
		l.demand(mirror.ReadShop, id, body.UpdatedAt)
		return l.Heard, nil
	}})
	_ = registerTopic(Topic{Name: "app/uninstalled", Class: ClassLifecycle})
	_ = registerTopic(Topic{Name: "app/scopes_update", Class: ClassLifecycle})
	_ = registerTopic(Topic{Name: "customers/data_request", Class: ClassCompliance, Protected: true})
	_ = registerTopic(Topic{Name: "customers/redact", Class: ClassCompliance, Protected: true})
	_ = registerTopic(Topic{Name: "shop/redact", Class: ClassCompliance})
)

// Notice is the body of a lifecycle or compliance topic. Fields that a topic
// does not have are empty.
type Notice struct {
	ShopID     mirror.GID // Signed with the body, unlike the header's domain.
	ShopDomain string     // Empty where the body has none; else a valid domain.

	// app/scopes_update.
	PreviousScopes, CurrentScopes []string

	// customers/data_request and customers/redact.
	CustomerID    int64
	CustomerEmail string
	CustomerPhone string
	OrderIDs      []mirror.GID
	RequestID     int64
}

// DecodeNotice reads the body of a topic of ClassLifecycle or ClassCompliance.
// It works without the API: when these arrive, the token is often dead already.
func DecodeNotice(d Delivery) (Notice, error) {
	topic, ok := topics[d.Topic]
	if !ok || topic.Class == ClassData {
		return Notice{}, fmt.Errorf("decode notice %q: %w", d.Topic, ErrUnknownTopic)
	}
	notice, err := decodeNotice(d)
	if err != nil {
		return Notice{}, fmt.Errorf("decode notice %s: %w", d.Topic, err)
	}
	return notice, nil
}

func decodeNotice(d Delivery) (Notice, error) {
	var body struct {
		ID              json.RawMessage `json:"id"`      // app/uninstalled: the shop's.
		ShopID          json.RawMessage `json:"shop_id"` // A number, or a gid in app/scopes_update.
		ShopDomain      string          `json:"shop_domain"`
		MyshopifyDomain string          `json:"myshopify_domain"`
		Previous        []string        `json:"previous"`
		Current         []string        `json:"current"`
		Customer        struct {
			ID    int64  `json:"id"`
			Email string `json:"email"`
			Phone string `json:"phone"`
		} `json:"customer"`
		OrdersRequested []int64 `json:"orders_requested"`
		OrdersToRedact  []int64 `json:"orders_to_redact"`
		DataRequest     struct {
			ID int64 `json:"id"`
		} `json:"data_request"`
	}
	if _, err := listen(d, &body); err != nil {
		return Notice{}, err
	}
	notice := Notice{
		PreviousScopes: body.Previous, CurrentScopes: body.Current,
		CustomerID: body.Customer.ID, CustomerEmail: body.Customer.Email, CustomerPhone: body.Customer.Phone,
		RequestID: body.DataRequest.ID,
	}
	shopID := body.ShopID
	if d.Topic == "app/uninstalled" {
		shopID = body.ID
	}
	var err error
	if notice.ShopID, err = shopGID(shopID); err != nil {
		return Notice{}, err
	}
	for _, domain := range []string{body.ShopDomain, body.MyshopifyDomain} {
		if valid, err := ShopDomain(domain); err == nil {
			notice.ShopDomain = valid
			break
		}
	}
	for _, order := range append(body.OrdersRequested, body.OrdersToRedact...) {
		id, err := gid("Order", order)
		if err != nil {
			return Notice{}, err
		}
		notice.OrderIDs = append(notice.OrderIDs, id)
	}
	return notice, nil
}

func shopGID(raw json.RawMessage) (mirror.GID, error) {
	var number int64
	if err := json.Unmarshal(raw, &number); err == nil {
		return gid("Shop", number)
	}
	var text mirror.GID
	if err := json.Unmarshal(raw, &text); err != nil || text.Object() != "Shop" || text.Number() == "" {
		return "", errors.New("the body names no shop")
	}
	return text, nil
}
