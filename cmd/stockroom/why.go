package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"stockroom/internal/app"
	"stockroom/internal/config"
	"stockroom/internal/query"
	"stockroom/internal/reconcile"
)

type whyCommand struct {
	Shop string `help:"The shop's full myshopify domain. May be left out where there is one shop."`
	What string `arg:"" help:"A global id, such as gid://shopify/Product/1, or a variant's SKU."`
	JSON bool   `help:"Print JSON."`
}

func (c *whyCommand) Run(e *env) error {
	cfg, err := e.load(config.NeedDatabase | config.NeedKeys | config.NeedShopify)
	if err != nil {
		return err
	}
	beside, err := app.Beside(e.ctx, app.Options{Config: cfg, Log: e.logger(cfg)})
	if err != nil {
		return err
	}
	defer beside.Close()
	shop, err := beside.Query.ShopOrOnly(e.ctx, c.Shop)
	if err != nil {
		return err
	}
	life, err := beside.Why(e.ctx, shop, c.What)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(e.stdout, life)
	}
	return printLife(e, life)
}

func printLife(e *env, life query.Life) error {
	say := func(format string, args ...any) { fmt.Fprintf(e.stdout, format+"\n", args...) }
	say("%s of %s", life.ID, life.Shop)
	if len(life.Others) > 0 {
		say("  The SKU is that of others, too; ask for them by their ids: %s", life.Others)
	}
	if len(life.Records) == 0 {
		say("  The copy never heard of it.")
	}
	for _, r := range life.Records {
		state := "shown"
		switch {
		case !r.Shown:
			state = "not shown: deleted " + when(r.DeletedAt)
		case !r.Visible:
			state = "hidden: what it belongs to is not shown, or holds it no more"
			if r.Parent != "" {
				state += "; see " + string(r.Parent)
			}
		}
		say("\n%s: %s; updatedAt %s, known to be so %s, last read by id %s", r.Record, state, when(r.UpdatedAt), when(r.AsOf), when(r.ReadAt))
		if r.Evidence != nil {
			var evidence reconcile.Evidence
			if err := json.Unmarshal(r.Evidence, &evidence); err != nil {
				return fmt.Errorf("why %s %s was taken for deleted: %w", r.Record, life.ID, err)
			}
			fmt.Fprint(e.stdout, evidence.Text())
		}
		for _, f := range r.Fields {
			by := "before its history begins"
			if f.SetBy != nil {
				by = eventText(*f.SetBy)
			}
			say("    %s: %s  <- %s", f.Field, shownValue(f.Value), by)
		}
	}
	if life.Owed {
		say("\nA read of it by id is owed.")
	}
	say("\nHistory, the newest first:")
	for _, event := range life.History {
		fields := ""
		if len(event.Fields) > 0 {
			fields = ": " + strings.Join(event.Fields, ", ")
		}
		say("  %s  %s %s, %s, updatedAt %s%s", when(event.At), event.Record, event.Outcome, eventText(event), when(event.UpdatedAt), fields)
	}
	if len(life.History) == 0 {
		say("  none: nothing but full reads told of it, and all found it as it is")
	}
	now := life.Now
	say("")
	switch {
	case now.Error != "":
		say("Shopify could not be asked what it says now: %s", now.Error)
	case now.Agrees && now.Gone:
		say("Shopify has no such object now, and the copy shows none.")
	case now.Agrees:
		say("Shopify says the same now.")
	case now.Gone:
		say("Shopify has no such object now, and the copy shows it.")
	default:
		say("Shopify says otherwise now:")
		for _, d := range now.Differs {
			for _, f := range d.Fields {
				say("    %s %s: the copy %s, Shopify %s", d.Record, f.Field, shownValue(f.Old), shownValue(f.New))
			}
		}
	}
	return nil
}

func eventText(e query.Event) string {
	what := map[string]string{"webhook": "webhook", "page": "a full read", "bulk": "a full read", "id": "a read by id"}[string(e.Source)]
	if e.Topic != "" {
		what = e.Topic
	}
	if e.Deletion {
		what += " (gone)"
	}
	return what + " of " + when(e.AsOf)
}
