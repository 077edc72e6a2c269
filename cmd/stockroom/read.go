package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"stockroom/internal/config"
	"stockroom/internal/query"
	"stockroom/internal/store"
)

// reader opens the database for a reading command, which works beside a running service.
func (e *env) reader() (*query.Reader, *store.Store, error) {
	cfg, err := e.load(config.NeedDatabase)
	if err != nil {
		return nil, nil, err
	}
	db, err := store.Open(e.ctx, cfg.Database.URL.Reveal(), store.ReadOnly)
	if err != nil {
		return nil, nil, err
	}
	return query.New(db, time.Now), db, nil
}

// printJSON writes one indented JSON document.
func printJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// table writes rows in aligned columns.
func table(w io.Writer, header string, rows func(add func(cells ...any))) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, header)
	rows(func(cells ...any) {
		for i, cell := range cells {
			if i > 0 {
				fmt.Fprint(out, "\t")
			}
			fmt.Fprint(out, cell)
		}
		fmt.Fprintln(out)
	})
	return out.Flush()
}

type exportCommand struct {
	Shop string `help:"The shop's full myshopify domain. May be left out where there is one shop."`
}

func (c *exportCommand) Run(e *env) error {
	reader, db, err := e.reader()
	if err != nil {
		return err
	}
	defer db.Close()
	shop, err := reader.ShopOrOnly(e.ctx, c.Shop)
	if err != nil {
		return err
	}
	return reader.Export(e.ctx, e.stdout, shop.Domain)
}

type searchCommand struct {
	Shop      string   `help:"The shop's full myshopify domain. May be left out where there is one shop."`
	Words     []string `arg:"" optional:"" help:"What to look for in titles, vendors, types, tags, options and SKUs."`
	Available bool     `help:"Only what is for sale now."`
	Limit     int      `default:"20" help:"How many to show."`
	JSON      bool     `help:"Print JSON."`
}

func (c *searchCommand) Run(e *env) error {
	reader, db, err := e.reader()
	if err != nil {
		return err
	}
	defer db.Close()
	shop, err := reader.ShopOrOnly(e.ctx, c.Shop)
	if err != nil {
		return err
	}
	q := query.ProductsQuery{Text: strings.Join(c.Words, " "), Limit: c.Limit}
	if c.Available {
		q.Available = &c.Available
	}
	found, err := reader.Products(e.ctx, shop, q)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(e.stdout, found)
	}
	if len(found.Items) == 0 {
		fmt.Fprintln(e.stdout, "Nothing found. Drafts, archived and unpublished products are not searched.")
		return nil
	}
	err = table(e.stdout, "TITLE\tVENDOR\tPRICE\tAVAILABLE\tID", func(add func(...any)) {
		for _, p := range found.Items {
			add(p.Title, p.Vendor, priceText(p.PriceRange), availability(p.AvailableForSale), p.ID)
		}
	})
	if err == nil && found.Next != nil {
		fmt.Fprintf(e.stdout, "There are more: raise --limit above %d.\n", c.Limit)
	}
	return err
}

func priceText(r *query.PriceRange) string {
	switch {
	case r == nil:
		return "-"
	case r.Min == r.Max:
		return fmt.Sprintf("%s %s", r.Min, r.CurrencyCode)
	}
	return fmt.Sprintf("%s-%s %s", r.Min, r.Max, r.CurrencyCode)
}

func availability(available *bool) string {
	switch {
	case available == nil:
		return "not known yet"
	case *available:
		return "yes"
	default:
		return "no"
	}
}
