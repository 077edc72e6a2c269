package shopify

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"stockroom/internal/mirror"
	"stockroom/internal/shopify/admin"
)

// Subscription is a webhook subscription that Shopify holds for this shop. Those
// of the app's configuration file are not among them: they have no id.
type Subscription struct {
	ID            mirror.GID
	Topic         string // The enumeration's spelling, such as PRODUCTS_UPDATE.
	URI           string
	Format        string // JSON or XML.
	Filter        string
	IncludeFields []string // Sorted; empty for whole bodies.
	APIVersion    string   // Bodies are built by the version that the subscription was made or updated under.
}

// UserError is a refusal of a mutation: the request was understood and denied.
type UserError struct {
	Operation string
	Fields    []string
	Messages  []string

	// Protected says that the topic carries protected customer data, which
	// Shopify has not approved the app for. Only the app's owner can ask for it.
	Protected bool
	// Taken says that there is such a subscription already: Shopify allows one
	// for each topic, address, format and filter.
	Taken bool
	// NotFound says that the id names no subscription any more.
	NotFound bool
}

func (e *UserError) Error() string {
	return fmt.Sprintf("%s was refused: %s", e.Operation, strings.Join(e.Messages, "; "))
}

// Subscriptions lists all of the shop's subscriptions, whatever their address.
func (c *Client) Subscriptions(ctx context.Context) ([]Subscription, error) {
	var all []Subscription
	q := c.query()
	err := readAll(func(after string) (admin.PageEnd, error) {
		data, err := admin.ListSubscriptions(ctx, q, cursorOf(after))
		if err != nil {
			return admin.PageEnd{}, err
		}
		for _, node := range data.WebhookSubscriptions.Nodes {
			all = append(all, subscriptionOf(node))
		}
		return data.WebhookSubscriptions.PageInfo, nil
	})
	if err != nil {
		return nil, fmt.Errorf("list webhook subscriptions: %w", err)
	}
	return all, nil
}

func subscriptionOf(s admin.SubscriptionFields) Subscription {
	fields := slices.Clone(s.IncludeFields)
	slices.Sort(fields)
	subscription := Subscription{
		ID: s.Id, Topic: s.Topic, URI: s.Uri, Format: s.Format, IncludeFields: fields, APIVersion: s.ApiVersion.Handle,
	}
	if s.Filter != nil {
		subscription.Filter = *s.Filter
	}
	return subscription
}

// Subscribe makes a subscription to the topic. A refusal is a *UserError.
func (c *Client) Subscribe(ctx context.Context, topic Topic, uri string) (Subscription, error) {
	operation := "subscription to " + topic.Name
	data, err := admin.CreateSubscription(ctx, c.query(), topic.Enum, uri, includeFields(topic))
	if err != nil {
		return Subscription{}, fmt.Errorf("%s: %w", operation, err)
	}
	payload := data.WebhookSubscriptionCreate
	if payload == nil {
		return Subscription{}, fmt.Errorf("%s: no answer", operation)
	}
	if err := userErrors(operation, payload.UserErrors); err != nil {
		return Subscription{}, err
	}
	if payload.WebhookSubscription == nil {
		return Subscription{}, fmt.Errorf("%s: no subscription in the answer", operation)
	}
	return subscriptionOf(*payload.WebhookSubscription), nil
}

// UpdateSubscription sets address, fields and, by the way, the API version of a
// subscription to the topic.
func (c *Client) UpdateSubscription(ctx context.Context, id mirror.GID, topic Topic, uri string) (Subscription, error) {
	operation := "update of the subscription to " + topic.Name
	data, err := admin.UpdateSubscription(ctx, c.query(), id, uri, includeFields(topic))
	if err != nil {
		return Subscription{}, fmt.Errorf("%s: %w", operation, err)
	}
	payload := data.WebhookSubscriptionUpdate
	if payload == nil {
		return Subscription{}, fmt.Errorf("%s: no answer", operation)
	}
	if err := userErrors(operation, payload.UserErrors); err != nil {
		return Subscription{}, err
	}
	if payload.WebhookSubscription == nil {
		return Subscription{}, fmt.Errorf("%s: no subscription in the answer", operation)
	}
	return subscriptionOf(*payload.WebhookSubscription), nil
}

// Unsubscribe deletes a subscription. One that is gone already is no error.
func (c *Client) Unsubscribe(ctx context.Context, id mirror.GID) error {
	const operation = "end of a webhook subscription"
	data, err := admin.DeleteSubscription(ctx, c.query(), id)
	if err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	if data.WebhookSubscriptionDelete == nil {
		return fmt.Errorf("%s: no answer", operation)
	}
	if err := userErrors(operation, data.WebhookSubscriptionDelete.UserErrors); err != nil && !err.NotFound {
		return err
	}
	return nil
}

// includeFields is never null: an empty list asks for whole bodies, and takes
// back an earlier restriction.
func includeFields(topic Topic) []string {
	return append([]string{}, topic.IncludeFields...)
}

// userErrors sorts a mutation's refusals by the words that were recorded; there
// are no codes. It returns nil for none.
func userErrors(operation string, list []admin.UserErrorFields) *UserError {
	if len(list) == 0 {
		return nil
	}
	refusal := &UserError{Operation: operation}
	for _, e := range list {
		refusal.Fields = append(refusal.Fields, strings.Join(e.Field, "."))
		refusal.Messages = append(refusal.Messages, cut(e.Message))
		said := strings.ToLower(e.Message)
		refusal.Protected = refusal.Protected || strings.Contains(said, "protected customer data")
		refusal.Taken = refusal.Taken || strings.Contains(said, "already been taken")
		refusal.NotFound = refusal.NotFound || slices.Equal(e.Field, []string{"id"})
	}
	return refusal
}
