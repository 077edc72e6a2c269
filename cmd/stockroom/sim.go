package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"stockroom/internal/config"
	"stockroom/internal/simulator"
	"stockroom/internal/simulator/meta"
)

type simCommand struct {
	Listen      string        `default:"127.0.0.1:4010" help:"Where to serve."`
	Shop        []string      `default:"demo-shop.myshopify.com" help:"Shops to make, each with its own catalogue."`
	Products    int           `default:"200" help:"How many products each shop has."`
	Variants    int           `help:"How many variants each shop has, up to a million and more; decides instead of --products."`
	Goods       []string      `help:"What the shops sell, some of: clothing, hardware, food, books, beauty, electronics, home, toys. Default: the first four."`
	Catalogue   string        `type:"existingfile" help:"A product CSV as Shopify exports it; decides instead of --products and --variants."`
	Currency    string        `default:"USD" help:"The shops' currency, like EUR, or JPY, which has no smaller unit."`
	Country     string        `help:"Where the shops are, like DE or JP. Default: where their currency is used, else US."`
	Timezone    string        `help:"The shops' time zone, like Europe/Berlin. Default: that of their country."`
	Plan        string        `default:"standard" help:"What the shops pay Shopify for, which decides GraphQL budgets: standard (100 points a second), advanced (200), plus (1,000) or enterprise (2,000)."`
	Traffic     float64       `help:"Changes a second that happen by themselves: sales, deliveries, prices, launches. See /_sim/ to turn it on later."`
	Seed        uint64        `default:"1" help:"Decides the catalogues and the faults."`
	FixedIDs    bool          `name:"fixed-ids" help:"Let --seed decide tokens, codes and ids of webhooks too: the same in each run, and after each reset. An app that drops webhooks it has seen drops those of the next run then."`
	APIKey      string        `name:"client-id" default:"sim-key" help:"The app's client id."`
	APISecret   string        `name:"client-secret" default:"sim-secret" help:"The app's client secret: worth nothing outside this simulator."`
	RedirectURI []string      `name:"app-redirect" default:"http://127.0.0.1:5000/shopify/callback" help:"Addresses that Shopify may send a merchant back to."`
	TLS         bool          `name:"tls" help:"Serve HTTPS, for clients that call https://{shop} and nothing else. They must trust the certificate in --tls-ca, and take the simulator for their proxy, by HTTPS_PROXY, or find the shop's host here."`
	TLSCA       string        `name:"tls-ca" default:"simulated-shopify-ca.pem" help:"Where to write the certificate of the authority that --tls makes, anew at each start."`
	AppTOML     string        `name:"app-toml" type:"existingfile" help:"The app's shopify.app.toml: its webhook subscriptions, scopes, client id and redirect addresses, which then go before the flags'."`
	AppURL      string        `name:"app-url" help:"Where the app is reached: paths in --app-toml belong to it. Default: the file's application_url."`
	State       string        `type:"path" help:"A file that keeps all across restarts. Shops in it stay as they were left; flags make those that it lacks."`
	SaveEvery   time.Duration `name:"save-every" default:"1m" help:"How often --state is written besides at the end; 0 for the end alone."`
	Consent     bool          `help:"Show the consent page, and Facebook's dialog, instead of letting every install and login through."`

	Page             []string `default:"Demo Page" help:"Facebook Pages to make. One more is there on which nobody may write."`
	FacebookID       string   `name:"meta-app-id" default:"100200300400500" help:"The app's id at Meta."`
	FacebookSecret   string   `name:"meta-app-secret" default:"sim-facebook-secret" help:"The app's secret at Meta: worth nothing outside this simulator."`
	FacebookRedirect []string `name:"meta-redirect" default:"http://127.0.0.1:5000/facebook/callback" help:"Addresses that Facebook may send a person back to. It tells of removed apps and of deletions beside the first: /facebook/deauthorize and /facebook/deletion."`
}

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// catalogue is what the flags say of the shops' goods.
func (c *simCommand) catalogue() (simulator.Catalogue, error) {
	out := simulator.Catalogue{Products: c.Products, Variants: c.Variants, Goods: c.Goods, Currency: strings.ToUpper(c.Currency),
		Country: strings.ToUpper(c.Country), Timezone: c.Timezone, Plan: c.Plan}
	for _, name := range c.Goods {
		if !slices.Contains(simulator.Trades(), name) {
			return out, usagef("--goods %s: it is none of %s", name, strings.Join(simulator.Trades(), ", "))
		}
	}
	if c.SaveEvery < 0 {
		return out, usagef("--save-every %s: it is not below zero", c.SaveEvery)
	}
	if len(c.FacebookRedirect) == 0 {
		return out, usagef("--meta-redirect: it names an address")
	}
	if c.Products < 0 || c.Variants < 0 {
		return out, usagef("--products and --variants count goods: they are not below zero")
	}
	if !simulator.KnownCurrency(out.Currency) {
		return out, usagef("--currency %s: it is none of Shopify's currencies, whose codes are like EUR", c.Currency)
	}
	if c.Country != "" && len(out.Country) != 2 {
		return out, usagef("--country %s: it is not a code of two letters, like DE", c.Country)
	}
	if c.Timezone != "" && !simulator.KnownTimezone(c.Timezone) {
		return out, usagef("--timezone %s: it is not a time zone like Europe/Berlin", c.Timezone)
	}
	if !slices.Contains(simulator.Plans(), c.Plan) {
		return out, usagef("--plan %s: it is none of %s", c.Plan, strings.Join(simulator.Plans(), ", "))
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
		address, trust = "https://"+listener.Addr().String(), "It speaks TLS: trust the certificate in "+c.TLSCA+". To clients of https://{shop} it is a proxy, by HTTPS_PROXY.\n"
	}
	app, warnings, err := c.app()
	if err != nil {
		return err
	}
	for _, warning := range warnings {
		fmt.Fprintf(e.stderr, "%s: %s\n", c.AppTOML, warning)
	}
	settings := simulator.Config{
		Seed: c.Seed, AutoConsent: !c.Consent, BaseURL: address, Log: e.logger(config.Config{}),
		Apps: []simulator.App{app}, Entropy: fresh, Meta: c.meta(),
	}
	if c.FixedIDs {
		settings.Entropy = nil
	}
	if c.State != "" {
		settings.BulkDir = c.State + "-bulk"
	}
	sim := simulator.New(settings)
	if err := c.open(e, sim, catalogue); err != nil {
		return err
	}
	if err := sim.Start(context.WithoutCancel(e.ctx)); err != nil {
		return err
	}
	ended, err := c.keep(sim, settings.Log)
	if err != nil {
		sim.Stop()
		return err
	}
	err = c.serve(e, sim, listener, fmt.Sprintf(greeting, address, address, app.ClientID, c.APISecret,
		address, address, c.FacebookID, c.FacebookSecret, c.FacebookRedirect[0], strings.Join(app.RedirectURIs, ", "), strings.Join(c.FacebookRedirect, ", "), trust, c.shops(sim), address))
	sim.Stop()
	return errors.Join(err, ended())
}

const greeting = `A simulated Shopify, and a simulated Facebook, run at %s. Point an app at it:

  SHOPIFY_URL_TEMPLATE=%s/{shop}
  SHOPIFY_API_KEY=%s
  SHOPIFY_API_SECRET=%s

and at its simulated Facebook:

  FACEBOOK_GRAPH_URL=%s/graph.facebook.com
  FACEBOOK_DIALOG_URL=%s/www.facebook.com
  FACEBOOK_APP_ID=%s
  FACEBOOK_APP_SECRET=%s
  FACEBOOK_REDIRECT_URI=%s
  FACEBOOK_VERIFY_TOKEN=any-text-of-yours

It sends merchants back to %s and nowhere else (--app-redirect), people at Facebook to %s (--meta-redirect).
%s%s
Its page is %s/_sim/: change prices and stock, watch webhooks, turn on faults. End it with Ctrl-C.
`

// open fills the simulator: from its file, and by the flags what the file lacks.
func (c *simCommand) open(e *env, sim *simulator.Simulator, catalogue simulator.Catalogue) error {
	if c.State != "" {
		if err := sim.LoadFile(c.State); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("--state: %w", err)
		}
	}
	if kept := len(sim.Shops()); kept > 0 {
		fmt.Fprintf(e.stdout, "%d shops are as %s kept them, whatever --products, --currency and so on say.\n", kept, c.State)
	}
	lacking := slices.DeleteFunc(slices.Clone(c.Shop), func(domain string) bool { return sim.Shop(domain) != nil })
	for _, domain := range lacking {
		if c.Variants >= 100_000 {
			fmt.Fprintf(e.stdout, "Making %d variants for %s. A million takes some ten seconds.\n", c.Variants, domain)
		}
		if _, err := sim.AddShop(domain, catalogue); err != nil {
			return err
		}
	}
	return nil
}

// keep writes the state, at once where there is none yet: that shows whether it
// can be written before there is something to lose. Then it writes it now and
// then. ended stops that and writes it once more, after the simulator has stopped.
func (c *simCommand) keep(sim *simulator.Simulator, log *slog.Logger) (ended func() error, err error) {
	if c.State == "" {
		return func() error { return nil }, nil
	}
	if _, err := os.Stat(c.State); errors.Is(err, os.ErrNotExist) {
		if err := sim.SaveFile(c.State); err != nil {
			return nil, fmt.Errorf("--state: %w", err)
		}
	}
	if c.SaveEvery == 0 {
		return func() error { return sim.SaveFile(c.State) }, nil
	}
	stop, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		tick := time.NewTicker(c.SaveEvery)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			if err := sim.SaveFile(c.State); err != nil {
				log.Error("the state is not kept", "error", err)
			}
		}
	}()
	return func() error {
		close(stop)
		<-over
		return sim.SaveFile(c.State)
	}, nil
}

// serve lets the simulator be reached until the command ends.
func (c *simCommand) serve(e *env, sim *simulator.Simulator, listener net.Listener, greeting string) error {
	if err := sim.SetTraffic(c.Traffic); err != nil {
		return fmt.Errorf("--traffic: %w", err)
	}
	fmt.Fprint(e.stdout, greeting)
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
func (c *simCommand) app() (app simulator.App, warnings []string, err error) {
	if c.AppTOML != "" {
		file, err := os.Open(c.AppTOML)
		if err != nil {
			return app, nil, fmt.Errorf("--app-toml: %w", err)
		}
		defer file.Close()
		if app, warnings, err = simulator.ReadAppTOML(file, c.AppURL); err != nil {
			return app, nil, usagef("--app-toml %s: %w", c.AppTOML, err)
		}
	}
	app.Name = cmp.Or(app.Name, "Your app")
	app.ClientID = cmp.Or(app.ClientID, c.APIKey)
	app.RedirectURIs = append(app.RedirectURIs, c.RedirectURI...)
	app.URL = cmp.Or(app.URL, c.AppURL)
	app.Secrets = []string{c.APISecret}
	app.ProtectedData = true
	return app, warnings, nil
}

// meta is what Meta's side is made from: an app, and Pages that a person owns.
func (c *simCommand) meta() meta.Config {
	beside := func(path string) string {
		base, ok := strings.CutSuffix(c.FacebookRedirect[0], "/facebook/callback")
		if !ok {
			return ""
		}
		return base + path
	}
	out := meta.Config{Consent: c.Consent, Apps: []meta.App{{ID: c.FacebookID, Name: "Your app", Secrets: []string{c.FacebookSecret}, RedirectURIs: c.FacebookRedirect,
		DeauthorizeURL: beside("/facebook/deauthorize"), DeletionURL: beside("/facebook/deletion")}}}
	for _, name := range c.Page {
		out.Pages = append(out.Pages, meta.PageSpec{Name: name, Owner: "Mia Merchant"})
	}
	out.Pages = append(out.Pages, meta.PageSpec{Name: "A Page only looked at", Owner: "Mia Merchant", Tasks: []string{meta.TaskAnalyze, meta.TaskAdvertise}})
	return out
}

// fresh is a number that no other run has.
func fresh() uint64 {
	var number [8]byte
	_, _ = rand.Read(number[:]) // It never fails.
	return binary.NativeEndian.Uint64(number[:])
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
