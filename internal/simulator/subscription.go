package simulator

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// UserError is a complaint about a mutation's input, as userErrors shows it.
type UserError struct {
	Field   []string // Nil is null.
	Message string
	Code    string // A value of the payload's own enum; empty is null.
}

// addressField is where complaints about a subscription's address point, even
// when it was sent as uri (recorded replies, 2026-07).
var addressField = []string{"webhookSubscription", "callbackUrl"}

// Subscriptions are copies of those the app made through the API, by number.
func (i *Installation) Subscriptions() []Subscription {
	i.mu.Lock()
	defer i.mu.Unlock()
	out := make([]Subscription, 0, i.subscriptions.Len())
	for sub := range i.subscriptions.All() {
		out = append(out, *sub)
	}
	return out
}

// Subscription returns a copy of one of them.
func (i *Installation) Subscription(id int64) (Subscription, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	sub, ok := i.subscriptions.Get(id)
	if !ok {
		return Subscription{}, false
	}
	return *sub, true
}

// Subscribe makes a subscription from the fields that a caller may choose:
// Topic, URI, Format (JSON where empty), Filter, Name, IncludeFields and
// MetafieldNamespaces. Either all is well or errors say what is not.
func (i *Installation) Subscribe(access Access, wanted Subscription) (Subscription, []UserError) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if errs := i.checkSubscription(access, &wanted); errs != nil {
		return Subscription{}, errs
	}
	wanted.ID = i.Shop.sim.next()
	wanted.APIVersion = access.APIVersion
	wanted.CreatedAt = second(access.Now)
	wanted.UpdatedAt = wanted.CreatedAt
	i.subscriptions.put(&wanted)
	if _, served := topics[wanted.Topic]; !served {
		i.Shop.sim.log.Warn("webhooks of this topic are never sent here", "topic", wanted.Topic, "shop", i.Shop.Domain)
	}
	return wanted, nil
}

// UpdateSubscription changes what change does to a copy of the subscription.
func (i *Installation) UpdateSubscription(access Access, id int64, change func(*Subscription)) (Subscription, []UserError) {
	i.mu.Lock()
	defer i.mu.Unlock()
	old, ok := i.subscriptions.Get(id)
	if !ok {
		return Subscription{}, unknownSubscription
	}
	changed := *old
	change(&changed)
	changed.ID, changed.Topic = old.ID, old.Topic // Neither can change.
	if errs := i.checkSubscription(access, &changed); errs != nil {
		return Subscription{}, errs
	}
	changed.APIVersion = access.APIVersion
	changed.UpdatedAt = second(access.Now)
	i.subscriptions.put(&changed)
	return changed, nil
}

// Unsubscribe removes a subscription.
func (i *Installation) Unsubscribe(id int64) []UserError {
	i.mu.Lock()
	defer i.mu.Unlock()
	if _, ok := i.subscriptions.Get(id); !ok {
		return unknownSubscription
	}
	i.subscriptions.remove(id)
	return nil
}

var unknownSubscription = []UserError{{Field: []string{"id"}, Message: "Webhook subscription does not exist"}}

// checkSubscription judges a subscription and fills what has a default.
func (i *Installation) checkSubscription(access Access, sub *Subscription) []UserError {
	if sub.Format == "" {
		sub.Format = "JSON"
	}
	if sub.Format != "JSON" {
		return []UserError{{Field: []string{"webhookSubscription", "format"}, Message: "Format " + sub.Format + " is not simulated: use JSON"}}
	}
	if message := checkAddress(sub.URI); message != "" {
		return []UserError{{Field: addressField, Message: message}}
	}
	if message := checkFilter(sub.Topic, sub.Filter); message != "" {
		return []UserError{{Field: addressField[:1], Message: message}}
	}
	t, known := topics[sub.Topic]
	if known && len(t.scopes) > 0 && !slices.ContainsFunc(t.scopes, access.Allows) {
		return []UserError{{Field: []string{"topic"}, Message: "You cannot create a webhook subscription with the specified topic"}}
	}
	if t.protected && !i.App.ProtectedData {
		return []UserError{{Field: []string{"topic"}, Message: "This app is not approved to subscribe to webhook topics containing protected customer data."}}
	}
	for other := range i.subscriptions.All() {
		if other.ID != sub.ID && other.Topic == sub.Topic && other.URI == sub.URI && other.Format == sub.Format && other.Filter == sub.Filter {
			return []UserError{{Field: addressField, Message: "Address for this topic has already been taken"}}
		}
	}
	return nil
}

// checkAddress says what is wrong with a webhook's address. Unlike Shopify the
// simulator takes http:// on this machine, in private networks and by names
// that only such networks know, as of containers: that is where it is used.
// It has neither Google Pub/Sub nor Amazon EventBridge to send to.
func checkAddress(address string) string {
	if address == "" {
		return "Address can't be blank"
	}
	if strings.HasPrefix(address, "pubsub://") {
		return "Google Pub/Sub is not simulated: use an address that begins with https://"
	}
	if strings.HasPrefix(address, "arn:aws:events:") {
		return "Amazon EventBridge is not simulated: use an address that begins with https://"
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return "Address is invalid"
	}
	host := u.Hostname()
	if host == "shopify.com" || strings.HasSuffix(host, ".shopify.com") || strings.HasSuffix(host, ".myshopify.com") {
		return "Address cannot be a Shopify or an internal domain"
	}
	switch u.Scheme {
	case "https":
		return ""
	case "http":
		if isPrivate(host) {
			return ""
		}
	}
	return "Address protocol " + u.Scheme + ":// is not supported"
}

// isPrivate tells whether a host is of no public network. Source of the
// domains: RFC 6761, RFC 6762, and ICANN's reservation of .internal, 2024.
func isPrivate(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback() || ip.IsPrivate()
	}
	dot := strings.LastIndex(host, ".")
	return dot < 0 || slices.Contains([]string{"localhost", "test", "local", "internal"}, host[dot+1:])
}
