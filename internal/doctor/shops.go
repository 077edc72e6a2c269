package doctor

import (
	"context"
	"fmt"
	"strings"
	"time"

	"stockroom/internal/connect"
	"stockroom/internal/shopify"
	"stockroom/internal/store"
)

const (
	// A clock so far off still works, since the shop's own is kept beside it.
	clockWarning = 30 * time.Second
	// Beyond this, certificates, cookies and the signed pages of a login, which
	// Shopify lets live for 90 seconds, are in danger.
	clockFault = 90 * time.Second
)

// clock compares this machine's with the Date of the shops' answers.
func clock(ctx context.Context, p *Patient) []Finding {
	return p.eachAnswering(ctx, "the clock", func(_ context.Context, c *connect.Connector, shop store.Shop) []Finding {
		offset := c.ClockOffset(shop).Round(time.Second)
		level, way := OK, "behind"
		if offset < 0 {
			way = "ahead of"
		}
		switch {
		case offset.Abs() >= clockFault:
			level = Fault
		case offset.Abs() >= clockWarning:
			level = Warning
		default:
			return []Finding{{Level: OK, Found: "this machine's clock agrees with Shopify's"}}
		}
		return []Finding{{Level: level, Found: fmt.Sprintf("this machine's clock is %v %s Shopify's", offset.Abs(), way),
			Remedy: "Set it, and keep it set: timedatectl set-ntp true, or chrony. What Shopify signs for a login lives for 90 seconds."}}
	})
}

// scopes compares what each shop grants with what is asked for.
func scopes(ctx context.Context, p *Patient) []Finding {
	return p.eachAnswering(ctx, "scopes", func(ctx context.Context, c *connect.Connector, shop store.Shop) []Finding {
		client, err := c.Client(ctx, shop)
		if err != nil {
			return unseen("scopes cannot be asked for: %v", err)
		}
		granted, err := client.GrantedScopes(ctx)
		if err != nil {
			return unseen("scopes cannot be asked for: %v", err)
		}
		missing := shopify.MissingScopes(granted, c.Scopes)
		if len(missing) == 0 {
			return []Finding{{Level: OK, Found: "all scopes that are asked for are granted"}}
		}
		return []Finding{{Level: Fault, Found: fmt.Sprintf("not granted: %s; what needs them is not copied", strings.Join(missing, ", ")),
			Remedy: fmt.Sprintf("The shop's owner grants them at /shopify/login?shop=%s. If they are not wanted, leave them out of SHOPIFY_SCOPES.", shop.Domain)}}
	})
}

// subscriptions compares the webhooks that Shopify would send with those wanted.
func subscriptions(ctx context.Context, p *Patient) []Finding {
	if p.Config.Shopify.WebhookAddress == "" {
		return unseen("SHOPIFY_WEBHOOK_ADDRESS is not set, so no webhooks come: changes are found by polls and sweeps")
	}
	return p.eachAnswering(ctx, "subscriptions", func(ctx context.Context, c *connect.Connector, shop store.Shop) (found []Finding) {
		missing, err := c.MissingSubscriptions(ctx, shop)
		if err != nil {
			return unseen("subscriptions cannot be listed: %v", err)
		}
		var gone []string
		for _, m := range missing {
			if m.Refused == "" {
				gone = append(gone, m.Topic)
				continue
			}
			found = append(found, Finding{Level: Warning, Found: fmt.Sprintf("no webhooks of %s: %s", m.Topic, m.Refused),
				Remedy: "For orders: apply for access to protected customer data in the Dev Dashboard. Until then polls and sweeps find what changed."})
		}
		if len(gone) > 0 {
			found = append(found, Finding{Level: Fault, Found: "no subscription any more to: " + strings.Join(gone, ", "),
				Remedy: fmt.Sprintf("`stockroom webhooks repair --shop %s` makes them anew and has the gap swept; the service does so within the hour. Shopify deletes a subscription whose webhooks failed eight times: see the check of addresses.", shop.Domain)})
		}
		if len(found) == 0 {
			found = append(found, Finding{Level: OK, Found: "every wanted topic has its subscription"})
		}
		return found
	})
}
