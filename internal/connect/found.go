package connect

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"stockroom/internal/shopify"
	"stockroom/internal/store"
)

// Standing is how a webhook subscription stands beside what is wanted.
type Standing string

const (
	StandingActive  Standing = "active"
	StandingMissing Standing = "missing" // Wanted and not found. A repair makes it.
	StandingDiffers Standing = "differs" // Bodies would come in another form. A repair changes it.
	StandingSurplus Standing = "surplus" // At an address of ours and not wanted. A repair deletes it.
	StandingRefused Standing = "refused" // Wanted, and refused by Shopify at the last try.
	StandingForeign Standing = "foreign" // At somebody else's address. It is left alone.
)

// Found is one subscription, wanted or found.
type Found struct {
	Topic         string   `json:"topic"`
	Standing      Standing `json:"state"`
	Address       string   `json:"address"` // The shop's key cut out.
	APIVersion    string   `json:"api_version,omitempty"`
	IncludeFields []string `json:"include_fields"`
	Filter        string   `json:"filter,omitempty"`
	ID            string   `json:"id,omitempty"`
	Reason        string   `json:"reason,omitempty"`
}

// Subscriptions lists the subscriptions wanted and found at the shop, by topic.
// It changes nothing.
func (c *Connector) Subscriptions(ctx context.Context, shop store.Shop) ([]Found, error) {
	a := audit{c: c}
	all, err := a.compare(ctx, shop.ID)
	if err != nil {
		return nil, fmt.Errorf("list the subscriptions of shop %s: %w", shop.Domain, a.cleaned(err))
	}
	slices.SortStableFunc(all, func(a, b Found) int { return strings.Compare(a.Topic, b.Topic) })
	return all, nil
}

func (a *audit) compare(ctx context.Context, shopID int64) ([]Found, error) {
	if err := a.load(ctx, shopID); err != nil {
		return nil, err
	}
	granted, err := a.client.GrantedScopes(ctx)
	if err != nil {
		return nil, err
	}
	found, err := a.client.Subscriptions(ctx)
	if err != nil {
		return nil, err
	}
	var all []Found
	kept := map[string]bool{}
	for _, topic := range shopify.Topics() {
		if a.c.WebhookAddress == "" || !wanted(topic, granted) {
			continue
		}
		address := a.address(topic)
		s, is := at(topic, address, found)
		switch known := a.known[topic.Name]; {
		case is && !a.differs(s, topic):
			all = append(all, a.shown(s, StandingActive, ""))
		case is:
			all = append(all, a.shown(s, StandingDiffers, "its fields or its API version are not those asked for"))
		case known.State == store.SubscriptionRefused || known.State == store.SubscriptionFailed:
			all = append(all, Found{Topic: topic.Name, Standing: StandingRefused, Address: a.clean(address), IncludeFields: includes(topic.IncludeFields), Reason: known.Reason})
		default:
			all = append(all, Found{Topic: topic.Name, Standing: StandingMissing, Address: a.clean(address), IncludeFields: includes(topic.IncludeFields)})
		}
		if is {
			kept[string(s.ID)] = true
		}
	}
	for _, s := range found {
		switch {
		case kept[string(s.ID)]:
		case a.c.WebhookAddress != "" && a.ours(s):
			all = append(all, a.shown(s, StandingSurplus, ""))
		default:
			all = append(all, a.shown(s, StandingForeign, ""))
		}
	}
	return all, nil
}

// shown is a subscription as Shopify holds it. Of an address of ours the key is
// cut out, also one of an earlier installation.
func (a *audit) shown(s shopify.Subscription, standing Standing, reason string) Found {
	address := a.clean(s.URI)
	if rest, ours := strings.CutPrefix(address, a.c.WebhookAddress+"/"); ours && a.c.WebhookAddress != "" {
		if _, topic, whole := strings.Cut(rest, "/"); whole {
			address = a.c.WebhookAddress + "/[redacted]/" + topic
		}
	}
	return Found{Topic: topicName(s.Topic), Standing: standing, Address: address, APIVersion: s.APIVersion,
		IncludeFields: includes(s.IncludeFields), Filter: s.Filter, ID: string(s.ID), Reason: reason}
}

// topicName is a topic's name by its enumeration value, which is not unique to
// undo for those that nobody here knows: they keep it.
func topicName(enum string) string {
	for _, topic := range shopify.Topics() {
		if topic.Enum == enum {
			return topic.Name
		}
	}
	return enum
}

func includes(fields []string) []string { return append([]string{}, fields...) }
