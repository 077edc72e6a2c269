package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"stockroom/internal/config"
	"stockroom/internal/simulator"
)

type simCommand struct {
	Listen      string   `default:"127.0.0.1:4010" help:"Where to serve."`
	Shop        []string `default:"demo-shop.myshopify.com" help:"Shops to make, each with its own catalogue."`
	Products    int      `default:"200" help:"How many products each shop has."`
	Variants    int      `help:"How many variants each shop has, up to a million and more; decides instead of --products."`
	Goods       []string `help:"What the shops sell, some of: clothing, hardware, food, books, beauty, electronics, home, toys. Default: the first four."`
	Catalogue   string   `type:"existingfile" help:"A product CSV as Shopify exports it; decides instead of --products and --variants."`
	Currency    string   `default:"USD" help:"The shops' currency, like EUR, or JPY, which has no smaller unit."`
	Traffic     float64  `help:"Changes a second that happen by themselves: sales, deliveries, prices, launches. See /_sim/ to turn it on later."`
	Seed        uint64   `default:"1" help:"Decides the catalogues and the faults."`
	APIKey      string   `name:"client-id" default:"sim-key" help:"The app's client id."`
	APISecret   string   `name:"client-secret" default:"sim-secret" help:"The app's client secret: worth nothing outside this simulator."`
	RedirectURI []string `name:"app-redirect" default:"http://127.0.0.1:5000/shopify/callback" help:"Addresses that Shopify may send a merchant back to."`
	TLS         bool     `name:"tls" help:"Serve HTTPS, for clients that call https://{shop} and nothing else. They must trust the certificate in --tls-ca, and find the shop's host here."`
	TLSCA       string   `name:"tls-ca" default:"simulated-shopify-ca.pem" help:"Where to write the certificate of the authority that --tls makes, anew at each start."`
	AppTOML     string   `name:"app-toml" type:"existingfile" help:"The app's shopify.app.toml: its webhook subscriptions, client id and redirect addresses, which then go before the flags'."`
	AppURL      string   `name:"app-url" help:"Where the app is reached: paths in --app-toml belong to it. Default: the file's application_url."`
	Consent     bool     `help:"Show the consent page instead of letting every install through."`
}

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// catalogue is what the flags say of the shops' goods.
func (c *simCommand) catalogue() (simulator.Catalogue, error) {
	out := simulator.Catalogue{Products: c.Products, Variants: c.Variants, Goods: c.Goods, Currency: strings.ToUpper(c.Currency)}
	for _, name := range c.Goods {
		if !slices.Contains(simulator.Trades(), name) {
			return out, usagef("--goods %s: it is none of %s", name, strings.Join(simulator.Trades(), ", "))
		}
	}
	if c.Products < 0 || c.Variants < 0 {
		return out, usagef("--products and --variants count goods: they are not below zero")
	}
	if len(out.Currency) != 3 {
		return out, usagef("--currency %s: it is not a code of three letters, like EUR", c.Currency)
	}
	if !(c.Traffic >= 0 && c.Traffic <= simulator.MaxTraffic) {
		return out, usagef("--traffic %v: it is between 0 and %d changes a second", c.Traffic, simulator.MaxTraffic)
	}
	if c.Catalogue == "" {
		return out, nil
	}
	file, err := os.Open(c.Catalogue)
	if err != nil {
		return out, fmt.Errorf("--catalogue: %w", err)
	}
	defer file.Close()
	if out.CSV, err = simulator.ReadCSV(file); err != nil {
		return out, fmt.Errorf("--catalogue %s: %w", c.Catalogue, err)
	}
	return out, nil
}

func (c *simCommand) Run(e *env) error {
	catalogue, err := c.catalogue()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	address, trust := "http://"+listener.Addr().String(), ""
	if c.TLS {
		if listener, err = c.secure(listener); err != nil {
			return err
		}
		address, trust = "https://"+listener.Addr().String(), "It speaks TLS: trust the certificate in "+c.TLSCA+".\n"
	}
	app, err := c.app()
	if err != nil {
		return err
	}
	sim := simulator.New(simulator.Config{
		Seed: c.Seed, AutoConsent: !c.Consent, BaseURL: address, Log: e.logger(config.Config{}),
		Apps: []simulator.App{app},
	})
	if c.Variants >= 100_000 {
		fmt.Fprintf(e.stdout, "Making %d variants for each shop. A million takes some ten seconds.\n", c.Variants)
	}
	for _, domain := range c.Shop {
		if _, err := sim.AddShop(domain, catalogue); err != nil {
			return err
		}
	}
	if err := sim.Start(context.WithoutCancel(e.ctx)); err != nil {
		return err
	}
	defer sim.Stop()
	if err := sim.SetTraffic(c.Traffic); err != nil {
		return fmt.Errorf("--traffic: %w", err)
	}
	fmt.Fprintf(e.stdout, `A simulated Shopify runs at %s. Point an app at it:

  SHOPIFY_URL_TEMPLATE=%s/{shop}
  SHOPIFY_API_KEY=%s
  SHOPIFY_API_SECRET=%s

%s%s
Its page is %s/_sim/: change prices and stock, watch webhooks, turn on faults. End it with Ctrl-C.
`, address, address, app.ClientID, c.APISecret, trust, c.shops(sim), address)

	server := &http.Server{Handler: sim.Handler(), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-e.ctx.Done():
		fmt.Fprintln(e.stdout, "The simulator ends.")
		if err := server.Close(); err != nil {
			return err
		}
		if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	}
}

// app is the one that is registered, by the flags and by its file.
func (c *simCommand) app() (simulator.App, error) {
	var app simulator.App
	if c.AppTOML != "" {
		file, err := os.Open(c.AppTOML)
		if err != nil {
			return app, fmt.Errorf("--app-toml: %w", err)
		}
		defer file.Close()
		if app, err = simulator.ReadAppTOML(file, c.AppURL); err != nil {
			return app, usagef("--app-toml %s: %w", c.AppTOML, err)
		}
	}
	app.Name = cmp.Or(app.Name, "Your app")
	app.ClientID = cmp.Or(app.ClientID, c.APIKey)
	app.RedirectURIs = append(app.RedirectURIs, c.RedirectURI...)
	app.Secrets = []string{c.APISecret}
	app.ProtectedData = true
	return app, nil
}

// secure puts TLS before a listener, and writes the certificate to trust.
func (c *simCommand) secure(inner net.Listener) (net.Listener, error) {
	authority, err := simulator.NewAuthority()
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(c.TLSCA, authority.PEM(), 0o644); err != nil {
		return nil, fmt.Errorf("--tls-ca: %w", err)
	}
	return authority.Listener(inner), nil
}

// shops lists the shops and what they hold, a line each.
func (c *simCommand) shops(sim *simulator.Simulator) string {
	var b strings.Builder
	for _, domain := range c.Shop {
		size := sim.Shop(domain).Size()
		fmt.Fprintf(&b, "  %s: %d products in %d variants, %d orders\n", size.Shop, size.Products, size.Variants, size.Orders)
	}
	return b.String()
}
