package simulator

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"stockroom/internal/simulator/graph"
)

// subscriptionFilters are what webhookSubscriptions can be searched by.
var subscriptionFilters = map[string]graph.Filter[Subscription]{
	"id":         graph.ByID(func(s Subscription) []int64 { return []int64{s.ID} }),
	"created_at": graph.ByTime(func(s Subscription) time.Time { return s.CreatedAt }),
	"updated_at": graph.ByTime(func(s Subscription) time.Time { return s.UpdatedAt }),
}

// countedSubscriptionFilters are what webhookSubscriptionsCount can be searched by.
var countedSubscriptionFilters = func() map[string]graph.Filter[Subscription] {
	out := maps.Clone(subscriptionFilters)
	out["endpoint"] = graph.ByText(func(s Subscription) []string { return []string{s.URI} })
	out["topic"] = graph.ByText(func(s Subscription) []string { return []string{s.Topic} })
	return out
}()

// subscriptions are those of the app that the arguments leave.
func (q *query) subscriptions(args map[string]any, filters map[string]graph.Filter[Subscription]) ([]Subscription, *graph.SearchReport) {
	all := q.access.Installation.Subscriptions()
	match, report := search(q, args, graph.Vocabulary[Subscription]{Fields: filters})
	topics, byTopic := args["topics"].([]any)
	return slices.DeleteFunc(all, func(s Subscription) bool {
		switch {
		case match != nil && !match(s), byTopic && !slices.Contains(topics, any(s.Topic)):
			return true
		}
		for name, value := range map[string]string{"uri": s.URI, "callbackUrl": s.URI, "format": s.Format} {
			if wanted, ok := args[name].(string); ok && wanted != value {
				return true
			}
		}
		return false
	}), report
}

func (q *query) pageSubscriptions(args map[string]any) (any, error) {
	rows, report := q.subscriptions(args, subscriptionFilters)
	sort := graph.SortID
	if args["sortKey"] == "CREATED_AT" {
		sort = graph.SortTime
	}
	connection, err := graph.Connect(args, sort, graph.Sorted(rows, func(s Subscription) graph.Key {
		if sort == graph.SortTime {
			return graph.Key{Value: sortable(s.CreatedAt), ID: s.ID}
		}
		return graph.Key{ID: s.ID}
	}, func(s Subscription) graph.Object { return q.object(typeSubscription, s) }))
	if err != nil {
		return nil, err
	}
	connection.Search = report
	return connection, nil
}

func (q *query) countSubscriptions(args map[string]any) (any, error) {
	rows, report := q.subscriptions(args, countedSubscriptionFilters)
	n := int64(len(rows))
	limit := n
	if given, ok := args["limit"].(int64); ok {
		limit = given
	}
	return graph.Searched{Object: q.count(n, limit), Search: report}, nil
}

func (q *query) findSubscription(args map[string]any) (any, error) {
	kind, id, _, ok := parseGID(fmt.Sprint(args["id"]))
	if !ok || kind != typeSubscription {
		return nil, invalidID(args["id"])
	}
	found, ok := q.access.Installation.Subscription(id)
	if !ok {
		return nil, nil
	}
	return q.object(typeSubscription, found), nil
}

var _ = define(fields{
	"id":                  of(func(s Subscription) any { return s.GID() }),
	"legacyResourceId":    of(func(s Subscription) any { return number(s.ID) }),
	"topic":               of(func(s Subscription) any { return s.Topic }),
	"uri":                 of(func(s Subscription) any { return s.URI }),
	"callbackUrl":         of(func(s Subscription) any { return s.URI }),
	"format":              of(func(s Subscription) any { return s.Format }),
	"filter":              of(func(s Subscription) any { return nullable(s.Filter) }),
	"name":                of(func(s Subscription) any { return nullable(s.Name) }),
	"includeFields":       of(func(s Subscription) any { return s.IncludeFields }),
	"metafieldNamespaces": of(func(s Subscription) any { return s.MetafieldNamespaces }),
	"metafields": with(func(q *query, s Subscription, _ map[string]any) (any, error) {
		return each(s.Metafields, func(m MetafieldName) any { return q.object("WebhookSubscriptionMetafieldIdentifier", m) }), nil
	}),
	"createdAt": of(func(s Subscription) any { return s.CreatedAt }),
	"updatedAt": of(func(s Subscription) any { return s.UpdatedAt }),
	"apiVersion": with(func(q *query, s Subscription, _ map[string]any) (any, error) {
		return q.object("ApiVersion", s.APIVersion), nil
	}),
}, typeSubscription)

var _ = define(fields{
	"namespace": of(func(m MetafieldName) any { return m.Namespace }),
	"key":       of(func(m MetafieldName) any { return m.Key }),
}, "WebhookSubscriptionMetafieldIdentifier")

var _ = define(fields{
	"handle":      of(func(version string) any { return version }),
	"displayName": of(func(version string) any { return version }),
	"supported":   of(func(version string) any { return slices.Contains(stableVersions, version) }),
}, "ApiVersion")

var _ = define(fields{
	"webhookSubscriptionCreate": func(q *query, _ any, args map[string]any) (any, error) {
		wanted := Subscription{Topic: fmt.Sprint(args["topic"])}
		applyInput(&wanted, args)
		made, problems := q.access.Installation.Subscribe(q.access, wanted)
		return q.object("WebhookSubscriptionCreatePayload", outcome{subscription: made, problems: problems}), nil
	},
	"webhookSubscriptionUpdate": func(q *query, _ any, args map[string]any) (any, error) {
		kind, id, _, ok := parseGID(fmt.Sprint(args["id"]))
		if !ok || kind != typeSubscription {
			return nil, invalidID(args["id"])
		}
		changed, problems := q.access.Installation.UpdateSubscription(q.access, id, func(s *Subscription) { applyInput(s, args) })
		return q.object("WebhookSubscriptionUpdatePayload", outcome{subscription: changed, problems: problems}), nil
	},
	"webhookSubscriptionDelete": func(q *query, _ any, args map[string]any) (any, error) {
		kind, id, _, ok := parseGID(fmt.Sprint(args["id"]))
		if !ok || kind != typeSubscription {
			return nil, invalidID(args["id"])
		}
		problems := q.access.Installation.Unsubscribe(id)
		return q.object("WebhookSubscriptionDeletePayload", outcome{Subscription{ID: id}, problems}), nil
	},
}, "Mutation")

// applyInput puts the fields that a WebhookSubscriptionInput names into s.
func applyInput(s *Subscription, args map[string]any) {
	given := input(args).object("webhookSubscription")
	for name, field := range map[string]*string{"format": &s.Format, "filter": &s.Filter, "name": &s.Name} {
		if value, ok := given[name].(string); ok {
			*field = value
		}
	}
	uri, _ := given["uri"].(string)
	callback, _ := given["callbackUrl"].(string)
	s.URI = cmp.Or(uri, callback, s.URI)
	if _, named := given["metafields"]; named {
		s.Metafields = each(given.objects("metafields"), func(m input) MetafieldName { return MetafieldName{m.text("namespace"), m.text("key")} })
	}
	for name, field := range map[string]*[]string{"includeFields": &s.IncludeFields, "metafieldNamespaces": &s.MetafieldNamespaces} {
		if values, ok := given[name].([]any); ok {
			*field = each(values, func(value any) string { return fmt.Sprint(value) })
		}
	}
}

// outcome is what became of a mutation: a subscription, or complaints.
type outcome struct {
	subscription Subscription
	problems     []UserError
}

var userErrors = with(func(q *query, o outcome, _ map[string]any) (any, error) {
	return each(o.problems, func(e UserError) any { return q.object("UserError", e) }), nil
})

var _ = define(fields{
	"userErrors": userErrors,
	"webhookSubscription": with(func(q *query, o outcome, _ map[string]any) (any, error) {
		if len(o.problems) > 0 {
			return nil, nil
		}
		return q.object(typeSubscription, o.subscription), nil
	}),
}, "WebhookSubscriptionCreatePayload", "WebhookSubscriptionUpdatePayload")

var _ = define(fields{
	"userErrors": userErrors,
	"deletedWebhookSubscriptionId": of(func(o outcome) any {
		if len(o.problems) > 0 {
			return nil
		}
		return o.subscription.GID()
	}),
}, "WebhookSubscriptionDeletePayload")

var _ = define(fields{
	"field": of(func(e UserError) any {
		if e.Field == nil {
			return nil
		}
		return e.Field
	}),
	"message": of(func(e UserError) any { return e.Message }),
}, "UserError")
