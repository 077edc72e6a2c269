package simulator

import (
	"strings"

	"stockroom/internal/simulator/graph"
)

var _ = define(fields{
	"id":              of(func(s *Shop) any { return s.GID() }),
	"name":            of(func(s *Shop) any { return s.Name }),
	"myshopifyDomain": of(func(s *Shop) any { return s.Domain }),
	"primaryDomain":   itself[*Shop]("Domain"),
	"url":             of(func(s *Shop) any { return "https://" + s.PrimaryDomain }),
	"email":           of(func(s *Shop) any { return s.Email }),
	"contactEmail":    of(func(s *Shop) any { return s.Email }),
	"currencyCode":    of(func(s *Shop) any { return s.Currency }),
	"ianaTimezone":    of(func(s *Shop) any { return s.Timezone }),
	"plan":            with(func(q *query, s *Shop, _ map[string]any) (any, error) { return q.object("ShopPlan", s.plan()), nil }),
	"createdAt":       of(func(s *Shop) any { return s.CreatedAt }),
	"updatedAt":       of(func(s *Shop) any { return s.UpdatedAt }),
	"metafield":       metafieldOf(func(s *Shop) []*Metafield { return s.Own }),
	"metafields":      metafieldsOf(func(s *Shop) []*Metafield { return s.Own }),
}, typeShop)

var _ = define(fields{
	"id":         of(func(s *Shop) any { return gid("Domain", s.ID) }),
	"host":       of(func(s *Shop) any { return s.PrimaryDomain }),
	"url":        of(func(s *Shop) any { return "https://" + s.PrimaryDomain }),
	"sslEnabled": always(true),
}, "Domain")

func (q *query) installation() graph.Object { return q.object(typeInstallation, q.access.Installation) }

var _ = define(fields{
	"id":  of(func(i *Installation) any { return i.GID() }),
	"app": with(func(q *query, i *Installation, _ map[string]any) (any, error) { return q.object("App", i), nil }),
	"accessScopes": with(func(q *query, i *Installation, _ map[string]any) (any, error) {
		return each(withReads(i.Scopes()), func(scope string) any { return q.object("AccessScope", scope) }), nil
	}),
}, typeInstallation)

// An app is shown through its installation, whose number stands in for its own.
var _ = define(fields{
	"id":     of(func(i *Installation) any { return gid("App", i.ID) }),
	"title":  of(func(i *Installation) any { return i.App.Name }),
	"apiKey": of(func(i *Installation) any { return i.App.ClientID }),
}, "App")

var _ = define(fields{
	"handle": of(func(scope string) any { return scope }),
	"description": of(func(scope string) any {
		verb, noun, _ := strings.Cut(scope, "_")
		return strings.ToUpper(verb[:1]) + verb[1:] + " " + strings.ReplaceAll(noun, "_", " ")
	}),
}, "AccessScope")
