package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"stockroom/internal/config"
	"stockroom/internal/connect"
	"stockroom/internal/shopify"
)

type webhooksCommand struct {
	List   webhooksList   `cmd:"" help:"List the webhook subscriptions wanted and found, as Shopify holds them now."`
	Repair webhooksRepair `cmd:"" help:"Make, change and delete subscriptions until they are as wanted, and have the gaps swept."`
	TOML   webhooksTOML   `cmd:"" name:"toml" help:"Print the webhooks section for shopify.app.toml, the compliance topics among it."`
}

type webhooksList struct {
	Shop string `help:"The shop's full myshopify domain. Default: all connected shops."`
	JSON bool   `help:"Print JSON."`
}

// listedWebhooks are one shop's.
type listedWebhooks struct {
	Shop          string          `json:"shop"`
	Subscriptions []connect.Found `json:"subscriptions"`
}

func (c *webhooksList) Run(e *env) error {
	beside, err := e.beside()
	if err != nil {
		return err
	}
	defer beside.Close()
	shops, err := chosenShops(e, beside, c.Shop)
	if err != nil {
		return err
	}
	all := []listedWebhooks{}
	amiss := false
	for _, shop := range shops {
		found, err := beside.Connect.Subscriptions(e.ctx, shop)
		if err != nil {
			return err
		}
		amiss = amiss || slices.ContainsFunc(found, func(f connect.Found) bool {
			return f.Standing != connect.StandingActive && f.Standing != connect.StandingForeign && f.Standing != connect.StandingRefused
		})
		all = append(all, listedWebhooks{shop.Domain, found})
	}
	if c.JSON {
		return printJSON(e.stdout, all)
	}
	for i, one := range all {
		if i > 0 {
			fmt.Fprintln(e.stdout)
		}
		fmt.Fprintln(e.stdout, one.Shop)
		err := table(e.stdout, "TOPIC\tSTATE\tVERSION\tADDRESS\tWHY", func(add func(...any)) {
			for _, f := range one.Subscriptions {
				add(f.Topic, f.Standing, f.APIVersion, f.Address, f.Reason)
			}
		})
		if err != nil {
			return err
		}
	}
	if amiss {
		fmt.Fprintln(e.stderr, "Not all is as wanted: the service mends it within the hour, `stockroom webhooks repair` now.")
	}
	return nil
}

type webhooksRepair struct {
	Shop string `help:"The shop's full myshopify domain. Default: all connected shops."`
	JSON bool   `help:"Print JSON."`
}

// repairedWebhooks is what was done at one shop.
type repairedWebhooks struct {
	Shop    string            `json:"shop"`
	Kept    int               `json:"kept"`
	Created []string          `json:"created"`
	Updated []string          `json:"updated"`
	Deleted []string          `json:"deleted"`
	Swept   []string          `json:"swept"`   // Topics whose gap a sweep was handed in for.
	Refused map[string]string `json:"refused"` // Why, by topic.
}

func (c *webhooksRepair) Run(e *env) error {
	beside, err := e.beside()
	if err != nil {
		return err
	}
	defer beside.Close()
	if beside.Config.Shopify.WebhookAddress == "" {
		return errors.New("SHOPIFY_WEBHOOK_ADDRESS is not set: it tells where webhooks are to be sent")
	}
	shops, err := chosenShops(e, beside, c.Shop)
	if err != nil {
		return err
	}
	all := []repairedWebhooks{}
	whole := true
	for _, shop := range shops {
		report, err := beside.Connect.RepairSubscriptions(e.ctx, shop)
		if err != nil {
			return err
		}
		one := repairedWebhooks{Shop: shop.Domain, Kept: report.Kept, Created: orNone(report.Created), Updated: orNone(report.Updated),
			Deleted: orNone(report.Deleted), Swept: []string{}, Refused: map[string]string{}}
		for _, lost := range report.Lost {
			one.Swept = append(one.Swept, lost.Topic)
		}
		for _, refusal := range append(report.Refused, report.Failed...) {
			one.Refused[refusal.Topic] = refusal.Reason
		}
		whole = whole && len(report.Failed) == 0
		all = append(all, one)
		if !c.JSON {
			printRepaired(e.stdout, one)
		}
	}
	if c.JSON {
		if err := printJSON(e.stdout, all); err != nil {
			return err
		}
	}
	if !whole {
		return errSilent // The report says why.
	}
	return nil
}

func orNone(list []string) []string { return append([]string{}, list...) }

func printRepaired(w io.Writer, one repairedWebhooks) {
	fmt.Fprintf(w, "%s: %d subscriptions were right, %d made, %d changed, %d deleted.\n",
		one.Shop, one.Kept, len(one.Created), len(one.Updated), len(one.Deleted))
	for _, line := range []struct {
		label  string
		topics []string
	}{{"made", one.Created}, {"changed", one.Updated}, {"deleted", one.Deleted}, {"what they missed is swept by the service", one.Swept}} {
		if len(line.topics) > 0 {
			fmt.Fprintf(w, "  %s: %s\n", line.label, strings.Join(line.topics, ", "))
		}
	}
	for _, topic := range slices.Sorted(maps.Keys(one.Refused)) {
		fmt.Fprintf(w, "  %s is not subscribed: %s\n", topic, one.Refused[topic])
	}
}

type webhooksTOML struct{}

func (webhooksTOML) Run(e *env) error {
	cfg, err := e.load(config.NeedShopify)
	if err != nil {
		return err
	}
	address := cfg.Shopify.WebhookAddress
	if address == "" {
		return errors.New("SHOPIFY_WEBHOOK_ADDRESS is not set: it tells where webhooks are to be sent")
	}
	return writeTOML(e.stdout, address, cfg.Shopify.APIVersion, cfg.Shopify.Scopes)
}

// writeTOML prints the section. Topics that ask for the same fields share a
// subscription.
func writeTOML(w io.Writer, address, version string, scopes []string) error {
	if scopes == nil {
		scopes = connect.DefaultScopes()
	}
	if version == "" {
		version = shopify.Version
	}
	var out strings.Builder
	list := func(values []string) string {
		quoted := make([]string, len(values))
		for i, v := range values {
			quoted[i] = fmt.Sprintf("%q", v)
		}
		if len(quoted) > 4 {
			return "[\n    " + strings.Join(quoted, ",\n    ") + ",\n  ]"
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	}
	subscription := func(key string, topics, fields []string) {
		fmt.Fprintf(&out, "\n  [[webhooks.subscriptions]]\n  %s = %s\n", key, list(topics))
		if len(fields) > 0 {
			fmt.Fprintf(&out, "  include_fields = %s\n", list(fields))
		}
		fmt.Fprintf(&out, "  uri = %q\n", address)
	}
	fmt.Fprintf(&out, "# For shopify.app.toml, in place of its webhooks section; then: shopify app deploy\n[webhooks]\napi_version = %q\n", version)
	var compliance, lifecycle []string
	var groups []topicGroup
	for _, topic := range shopify.Topics() {
		switch {
		case topic.Class == shopify.ClassCompliance:
			compliance = append(compliance, topic.Name)
		case topic.Class == shopify.ClassLifecycle:
			lifecycle = append(lifecycle, topic.Name)
		case len(topic.Scopes) == 0 || len(shopify.MissingScopes(scopes, topic.Scopes)) < len(topic.Scopes):
			i := slices.IndexFunc(groups, func(g topicGroup) bool {
				return g.protected == topic.Protected && slices.Equal(g.fields, topic.IncludeFields)
			})
			if i < 0 {
				groups = append(groups, topicGroup{protected: topic.Protected, fields: topic.IncludeFields})
				i = len(groups) - 1
			}
			groups[i].topics = append(groups[i].topics, topic.Name)
		}
	}
	out.WriteString("\n  # Shopify asks every public app to answer these. They can be subscribed to nowhere else.\n")
	subscription("compliance_topics", compliance, nil)
	out.WriteString("\n  # The app's own standing. Stockroom subscribes to these in each shop as well; here they are never deleted.\n")
	subscription("topics", lifecycle, nil)
	out.WriteString("\n  # All from here on Stockroom subscribes to by itself in each shop, at an address that proves whose\n" +
		"  # webhook it is. Here they come a second time and have to be read back: keep them only where Shopify\n" +
		"  # keeps deleting the others.\n")
	for _, g := range groups {
		if g.protected {
			out.WriteString("\n  # Needs Shopify's approval for protected customer data.\n")
		}
		subscription("topics", g.topics, g.fields)
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// topicGroup are topics that are asked for in one way.
type topicGroup struct {
	topics, fields []string
	protected      bool
}
