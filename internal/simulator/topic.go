package simulator

import "strings"

// topic is a kind of webhook that the simulator sends.
type topic struct {
	name      string   // Like products/update, as in X-Shopify-Topic.
	scopes    []string // Any of them allows to subscribe; empty for all apps.
	protected bool     // Needs approval for protected customer data.
}

// topics are all that the simulator sends, by enum value of WebhookSubscriptionTopic.
var topics = map[string]topic{}

func init() {
	for _, t := range []topic{
		{name: "products/create", scopes: []string{"read_products"}},
		{name: "products/update", scopes: []string{"read_products"}},
		{name: "products/delete", scopes: []string{"read_products"}},
		{name: "inventory_items/create", scopes: []string{"read_inventory", "read_products"}},
		{name: "inventory_items/update", scopes: []string{"read_inventory", "read_products"}},
		{name: "inventory_items/delete", scopes: []string{"read_inventory", "read_products"}},
		{name: "inventory_levels/connect", scopes: []string{"read_inventory"}},
		{name: "inventory_levels/update", scopes: []string{"read_inventory"}},
		{name: "inventory_levels/disconnect", scopes: []string{"read_inventory"}},
		{name: "locations/create", scopes: []string{"read_locations"}},
		{name: "locations/update", scopes: []string{"read_locations"}},
		{name: "locations/activate", scopes: []string{"read_locations"}},
		{name: "locations/deactivate", scopes: []string{"read_locations"}},
		{name: "locations/delete", scopes: []string{"read_locations"}},
		{name: "collections/create", scopes: []string{"read_products"}},
		{name: "collections/update", scopes: []string{"read_products"}},
		{name: "collections/delete", scopes: []string{"read_products"}},
		{name: "discounts/create", scopes: []string{"read_discounts"}},
		{name: "discounts/update", scopes: []string{"read_discounts"}},
		{name: "discounts/delete", scopes: []string{"read_discounts"}},
		{name: "discounts/redeemcode_added", scopes: []string{"read_discounts"}},
		{name: "discounts/redeemcode_removed", scopes: []string{"read_discounts"}},
		{name: "orders/create", scopes: []string{"read_orders"}, protected: true},
		{name: "orders/updated", scopes: []string{"read_orders"}, protected: true},
		{name: "orders/cancelled", scopes: []string{"read_orders"}, protected: true},
		{name: "orders/paid", scopes: []string{"read_orders"}, protected: true},
		{name: "orders/fulfilled", scopes: []string{"read_orders"}, protected: true},
		{name: "orders/partially_fulfilled", scopes: []string{"read_orders"}, protected: true},
		{name: "orders/edited", scopes: []string{"read_orders"}, protected: true},
		{name: "orders/delete", scopes: []string{"read_orders"}, protected: true},
		{name: "shop/update"},
		{name: "app/uninstalled"},
		{name: "app/scopes_update"},
		{name: "bulk_operations/finish"},
	} {
		topics[topicEnum(t.name)] = t
	}
}

// topicEnum turns a name like products/update into PRODUCTS_UPDATE.
func topicEnum(name string) string {
	return strings.ToUpper(strings.ReplaceAll(name, "/", "_"))
}

// Topics are the names of all topics that the simulator sends, like
// products/update, by their value of WebhookSubscriptionTopic.
func Topics() map[string]string {
	out := make(map[string]string, len(topics))
	for enum, t := range topics {
		out[enum] = t.name
	}
	return out
}
