package connect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"stockroom/internal/mirror"
	"stockroom/internal/secret"
	"stockroom/internal/shopify"
	"stockroom/internal/store"
)

// Report says what an audit found and did.
type Report struct {
	Scopes        []string // As granted now.
	MissingScopes []string // Asked for and not granted.

	Wanted, Kept              int
	Created, Updated, Deleted []string // Topics.
	Refused, Failed           []Refusal
	Lost                      []Lost
}

// Lost is a topic whose webhooks did not come, or not as asked for, because its
// subscription had gone or had been changed.
type Lost struct {
	Topic string
	Since mirror.Instant // When it was last found as it should be, on the shop's Shopify clock.
}

// Refusal is a subscription that there is not, and why.
type Refusal struct{ Topic, Reason string }

// Changed reports whether anything had to be mended.
func (r Report) Changed() bool { return len(r.Created)+len(r.Updated)+len(r.Deleted) > 0 }

// AuditSubscriptions compares the webhook subscriptions that Shopify holds with
// those wanted, and the scopes granted with those known, and mends them.
//
// Wanted is every topic that the granted scopes allow, at this installation's
// address. What lies at older addresses of ours is deleted; other addresses are
// somebody else's and left alone. A topic that Shopify refuses is noted and is
// no error. What was lost meanwhile is told in the report, for who reads the
// shop next. An error means that Shopify could not be asked to the end; trying
// again goes on where it stopped.
func (c *Connector) AuditSubscriptions(ctx context.Context, shop store.Shop) (Report, error) {
	return c.auditTelling(ctx, shop, nil)
}

// RepairSubscriptions is AuditSubscriptions for who does not read the shop
// afterwards: Events.SubscriptionsLost is told of the gaps. That comes before
// the audit's result is stored, so that a death in between loses none: then the
// next one finds them again.
func (c *Connector) RepairSubscriptions(ctx context.Context, shop store.Shop) (Report, error) {
	return c.auditTelling(ctx, shop, c.Events.SubscriptionsLost)
}

func (c *Connector) auditTelling(ctx context.Context, shop store.Shop, tell func(context.Context, store.Shop, []Lost) error) (Report, error) {
	unlock, err := c.audits.Take(ctx, shop.Domain)
	if err != nil {
		return Report{}, fmt.Errorf("audit shop %s: %w", shop.Domain, err)
	}
	defer unlock()
	a := audit{c: c, tell: tell}
	if err := a.run(ctx, shop.ID); err != nil {
		return a.report, fmt.Errorf("audit the subscriptions of shop %s: %w", shop.Domain, a.cleaned(err))
	}
	return a.report, nil
}

// audit is one comparison under way.
type audit struct {
	c      *Connector
	shop   store.Shop
	client *shopify.Client
	key    secret.Secret
	known  map[string]store.Subscription // By topic, as the last audit left them.
	report Report
	result []store.Subscription
	tell   func(context.Context, store.Shop, []Lost) error // Nil: nobody.
}

// load reads what is known of the shop, and its key.
func (a *audit) load(ctx context.Context, shopID int64) error {
	err := a.c.Store.View(ctx, func(tx *store.Tx) (err error) {
		if a.shop, err = tx.ShopByID(shopID); err != nil {
			return err
		}
		all, err := tx.Subscriptions(shopID)
		a.known = map[string]store.Subscription{}
		for _, s := range all {
			a.known[s.Topic] = s
		}
		return err
	})
	if err != nil {
		return err
	}
	if a.shop.State == store.ShopUninstalled {
		return ErrUninstalled
	}
	if a.client, err = a.c.Client(ctx, a.shop); err != nil {
		return err
	}
	a.key, err = a.c.open(a.shop.Domain, columnKey, a.shop.WebhookKey)
	return err
}

func (a *audit) run(ctx context.Context, shopID int64) error {
	if err := a.load(ctx, shopID); err != nil {
		return err
	}
	if err := a.scopes(ctx); err != nil {
		return err
	}
	if a.c.WebhookAddress == "" {
		return a.save(ctx)
	}
	found, err := a.client.Subscriptions(ctx)
	if err != nil {
		return err
	}
	ours := slices.DeleteFunc(found, func(s shopify.Subscription) bool { return !a.ours(s) })

	// The wanted ones are made before the old ones go, so that no change falls
	// between them.
	keep := map[string]bool{}
	for _, topic := range shopify.Topics() {
		if !wanted(topic, a.report.Scopes) {
			continue
		}
		a.report.Wanted++
		if err := a.settle(ctx, topic, a.address(topic), ours, keep); err != nil {
			return err
		}
	}
	for _, s := range ours {
		if keep[string(s.ID)] {
			continue
		}
		if err := a.client.Unsubscribe(ctx, s.ID); err != nil {
			return err
		}
		a.report.Deleted = append(a.report.Deleted, s.Topic)
	}
	return a.save(ctx)
}

// ours tells the addresses of this service, present and past, from other people's.
func (a *audit) ours(s shopify.Subscription) bool {
	return strings.HasPrefix(s.URI, a.c.WebhookAddress+"/")
}

// scopes reads what the shop grants, and keeps it. Where other things are
// shared than before, the shop is to be read: the message that told of it may
// be lost, or never have been sent.
func (a *audit) scopes(ctx context.Context) (err error) {
	if a.report.Scopes, err = a.client.GrantedScopes(ctx); err != nil {
		return err
	}
	a.report.MissingScopes = shopify.MissingScopes(a.report.Scopes, a.c.Scopes)
	if err := a.c.setScopes(ctx, a.shop.ID, a.report.Scopes); err != nil {
		return err
	}
	if sharesTheSame(shopify.ParseScopes(a.shop.Scopes), a.report.Scopes) || a.c.Events.ScopesChanged == nil {
		return nil
	}
	a.c.Log.Info("the shop shares other things than before", "shop", a.shop.Domain, "scopes", strings.Join(a.report.Scopes, ","))
	return a.c.Events.ScopesChanged(ctx, a.shop)
}

// sharesTheSame compares what two lists of scopes let us read. Their texts differ
// for nothing: a write scope stands for its read scope, or beside it.
func sharesTheSame(before, now []string) bool {
	all := append(DefaultScopes(), mirror.ScopeAllOrders)
	return slices.Equal(shopify.MissingScopes(before, all), shopify.MissingScopes(now, all))
}

// wanted tells whether the topic can and should be subscribed to. Compliance
// topics are the app configuration's alone.
func wanted(topic shopify.Topic, granted []string) bool {
	if topic.Class == shopify.ClassCompliance {
		return false
	}
	return len(topic.Scopes) == 0 || len(shopify.MissingScopes(granted, topic.Scopes)) < len(topic.Scopes)
}

func (a *audit) address(topic shopify.Topic) string {
	return a.c.WebhookAddress + "/" + a.key.Reveal() + "/" + topic.Name
}

// clean takes the key out of what Shopify says of an address.
func (a *audit) clean(text string) string {
	if a.key.Empty() {
		return text
	}
	return strings.ReplaceAll(text, a.key.Reveal(), "[redacted]")
}

func (a *audit) cleaned(err error) error {
	if clean := a.clean(err.Error()); clean != err.Error() {
		return errors.New(clean)
	}
	return err
}

// at finds the subscription to a topic at an address. An update cannot take a
// filter away, nor change the format: such a one is none of ours to keep.
// Shopify lets another stand beside it meanwhile.
func at(topic shopify.Topic, address string, ours []shopify.Subscription) (shopify.Subscription, bool) {
	for _, s := range ours {
		if s.Topic == topic.Enum && s.URI == address && s.Filter == "" && s.Format == "JSON" {
			return s, true
		}
	}
	return shopify.Subscription{}, false
}

// settle brings about one subscription to the topic at the address, and notes in
// keep which of ours that is.
func (a *audit) settle(ctx context.Context, topic shopify.Topic, address string, ours []shopify.Subscription, keep map[string]bool) error {
	if s, found := at(topic, address, ours); found {
		if !a.differs(s, topic) {
			keep[string(s.ID)] = true
			a.report.Kept++
			a.active(topic, s)
			return nil
		}
		updated, err := a.client.UpdateSubscription(ctx, s.ID, topic, address)
		if refusal, ok := errors.AsType[*shopify.UserError](err); !ok || !refusal.NotFound { // Else it went meanwhile: make a new one.
			keep[string(s.ID)] = true
			if err != nil {
				return a.refused(topic, err)
			}
			a.report.Updated = append(a.report.Updated, topic.Name)
			a.active(topic, updated)
			a.lost(topic)
			return nil
		}
	}
	created, err := a.client.Subscribe(ctx, topic, address)
	if err != nil {
		return a.refused(topic, err)
	}
	a.report.Created = append(a.report.Created, topic.Name)
	a.active(topic, created)
	return nil
}

// differs tells whether bodies would come in another form than asked for.
func (a *audit) differs(s shopify.Subscription, topic shopify.Topic) bool {
	fields := slices.Clone(topic.IncludeFields)
	slices.Sort(fields)
	// Where Shopify serves another version than asked for, an update would not
	// bring the one asked for either.
	version, _ := a.client.ServedVersion()
	return !slices.Equal(s.IncludeFields, fields) || version != "" && s.APIVersion != version
}

// active notes a subscription that there is now. Where another one was known,
// that one had gone.
func (a *audit) active(topic shopify.Topic, s shopify.Subscription) {
	if known := a.known[topic.Name].GID; known != "" && known != string(s.ID) {
		a.lost(topic)
	}
	a.result = append(a.result, store.Subscription{Topic: topic.Name, GID: string(s.ID), State: store.SubscriptionActive})
}

// lost notes a gap, where the topic was heard before.
func (a *audit) lost(topic shopify.Topic) {
	known := a.known[topic.Name]
	if known.State == store.SubscriptionActive && topic.Class == shopify.ClassData {
		a.report.Lost = append(a.report.Lost, Lost{topic.Name, known.CheckedAt})
	}
}

// refused notes what Shopify will not have. Any other error is returned.
func (a *audit) refused(topic shopify.Topic, err error) error {
	refusal, isRefusal := errors.AsType[*shopify.UserError](err)
	result := store.Subscription{Topic: topic.Name, State: store.SubscriptionFailed, Reason: err.Error()}
	switch {
	case isRefusal && refusal.Taken:
		// Made by somebody else since the list was read.
		a.active(topic, shopify.Subscription{})
		return nil
	case isRefusal && refusal.Protected:
		result.State, result.Reason = store.SubscriptionRefused, "Shopify has not approved the app for protected customer data"
	case isRefusal:
		result.Reason = strings.Join(refusal.Messages, "; ")
	case shopify.ClassOf(err) == shopify.ClassDenied:
		result.State = store.SubscriptionRefused
	default:
		return err
	}
	result.Reason = a.clean(result.Reason)
	if result.State == store.SubscriptionRefused {
		a.report.Refused = append(a.report.Refused, Refusal{topic.Name, result.Reason})
	} else {
		a.report.Failed = append(a.report.Failed, Refusal{topic.Name, result.Reason})
	}
	if before := a.known[topic.Name]; before.State != result.State || before.Reason != result.Reason {
		// Said once: every audit would find the same again.
		a.c.Log.Warn("no webhooks of this topic: its changes are found by polls", "shop", a.shop.Domain,
			"topic", topic.Name, "state", result.State, "reason", result.Reason)
	}
	a.result = append(a.result, result)
	return nil
}

func (a *audit) save(ctx context.Context) error {
	now := a.c.ShopNow(a.shop)
	for i := range a.result {
		a.result[i].CheckedAt = now
	}
	if a.report.Changed() {
		a.c.Log.Info("subscriptions mended", "shop", a.shop.Domain, "created", len(a.report.Created),
			"updated", len(a.report.Updated), "deleted", len(a.report.Deleted))
	}
	if len(a.report.Lost) > 0 {
		a.c.Log.Warn("webhook subscriptions had gone or were changed: they are made again", "shop", a.shop.Domain, "topics", len(a.report.Lost))
		if a.tell != nil {
			if err := a.tell(ctx, a.shop, a.report.Lost); err != nil {
				return fmt.Errorf("have the gap swept: %w", err)
			}
		}
	}
	return a.c.Store.Update(ctx, func(tx *store.Tx) error { return tx.SetSubscriptions(a.shop.ID, a.result) })
}
