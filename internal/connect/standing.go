package connect

import (
	"context"
	"fmt"
	"slices"
	"time"

	"stockroom/internal/shopify"
	"stockroom/internal/store"
)

// ClockOffset is Shopify's clock less this machine's, as the shop's last reply told.
func (c *Connector) ClockOffset(shop store.Shop) time.Duration {
	return c.of(shop.Domain, offsetOf(shop)).clock.Offset()
}

// TopicStanding is how a wanted topic stands at Shopify where there is no
// subscription to it.
type TopicStanding struct {
	Topic   string
	Refused string // Why Shopify refused it at the last try; empty: it is simply not there.
}

// MissingSubscriptions lists the topics that the granted scopes allow and that
// no subscription at this installation's address is for. It changes nothing.
func (c *Connector) MissingSubscriptions(ctx context.Context, shop store.Shop) ([]TopicStanding, error) {
	fail := func(err error) ([]TopicStanding, error) {
		return nil, fmt.Errorf("look for the subscriptions of shop %s: %w", shop.Domain, err)
	}
	key, err := c.open(shop.Domain, columnKey, shop.WebhookKey)
	if err != nil {
		return fail(err)
	}
	client, err := c.Client(ctx, shop)
	if err != nil {
		return fail(err)
	}
	granted, err := client.GrantedScopes(ctx)
	if err != nil {
		return fail(err)
	}
	found, err := client.Subscriptions(ctx)
	if err != nil {
		return fail(err)
	}
	var known []store.Subscription
	err = c.Store.View(ctx, func(tx *store.Tx) (err error) {
		known, err = tx.Subscriptions(shop.ID)
		return err
	})
	if err != nil {
		return fail(err)
	}
	var missing []TopicStanding
	for _, topic := range shopify.Topics() {
		address := c.WebhookAddress + "/" + key.Reveal() + "/" + topic.Name
		if !wanted(topic, granted) || slices.ContainsFunc(found, func(s shopify.Subscription) bool { return s.Topic == topic.Enum && s.URI == address }) {
			continue
		}
		standing := TopicStanding{Topic: topic.Name}
		for _, s := range known {
			if s.Topic == topic.Name && s.State != store.SubscriptionActive {
				standing.Refused = s.Reason
			}
		}
		missing = append(missing, standing)
	}
	return missing, nil
}
