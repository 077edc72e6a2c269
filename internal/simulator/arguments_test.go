package simulator_test

import (
	"strings"
	"testing"
)

// Optional arguments that are rarely given are there too, and do what they say.
func TestRareArgumentsAreAnswered(t *testing.T) {
	w, c := writer(t)
	answer := c.ask(`{ products(first: 1, savedSearchId: "gid://shopify/SavedSearch/1") { nodes { id } } }`)
	if answer.code() != "RESOURCE_NOT_FOUND" {
		t.Errorf("a saved search: %v", answer.Errors)
	}
	c.get(new(any), `{ products(first: 1, savedSearchId: null) { nodes { id } } }`)

	var image struct {
		Products struct {
			Nodes []struct{ FeaturedImage *struct{ URL, Small string } }
		}
	}
	c.get(&image, `{ products(first: 6) { nodes { featuredImage { url small: url(transform: {maxWidth: 50, scale: 2, crop: CENTER, preferredContentType: WEBP}) } } } }`)
	seen := false
	for _, p := range image.Products.Nodes {
		if p.FeaturedImage != nil {
			seen = true
			if u := p.FeaturedImage; u.Small == u.URL || !strings.Contains(u.Small, "width=100") || !strings.Contains(u.Small, "crop=center") || !strings.Contains(u.Small, "format=webp") {
				t.Errorf("%+v", u)
			}
		}
	}
	if !seen {
		t.Error("no product has an image")
	}

	for refund, want := range map[string]string{`refund: false`: "PAID", `refundMethod: {originalPaymentMethodsRefund: false}`: "PAID", `refund: true`: "REFUNDED"} {
		var made struct {
			OrderCreate struct{ Order struct{ ID string } }
		}
		c.get(&made, `mutation { orderCreate(order: {financialStatus: PAID, lineItems: [{variantId: "`+w.firstProduct().Variants[0].GID()+`", quantity: 1}]}) { order { id } userErrors { message } } }`)
		id := made.OrderCreate.Order.ID
		c.refusal("", `mutation { orderCancel(orderId: "`+id+`", reason: CUSTOMER, restock: false, `+refund+`) { orderCancelUserErrors { field message code } } }`)
		c.expect(`{"order":{"displayFinancialStatus":"`+want+`"}}`, `{ order(id: "`+id+`") { displayFinancialStatus } }`)
	}
	w.heard() // The end would cut off the webhooks that are on their way.
}
