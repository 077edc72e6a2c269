package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"stockroom/internal/config"
	"stockroom/internal/simulator"
)

type simCommand struct {
	Listen      string   `default:"127.0.0.1:4010" help:"Where to serve."`
	Shop        []string `default:"demo-shop.myshopify.com" help:"Shops to make, each with its own catalogue."`
	Products    int      `default:"200" help:"How many products each shop has."`
	Seed        uint64   `default:"1" help:"Decides the catalogues and the faults."`
	APIKey      string   `name:"client-id" default:"sim-key" help:"The app's client id."`
	APISecret   string   `name:"client-secret" default:"sim-secret" help:"The app's client secret: worth nothing outside this simulator."`
	RedirectURI []string `name:"app-redirect" default:"http://127.0.0.1:5000/shopify/callback" help:"Addresses that Shopify may send a merchant back to."`
	Consent     bool     `help:"Show the consent page instead of letting every install through."`
}

func (c *simCommand) Run(e *env) error {
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	sim := simulator.New(simulator.Config{
		Seed: c.Seed, AutoConsent: !c.Consent, BaseURL: "http://" + listener.Addr().String(), Log: e.logger(config.Config{}),
		Apps: []simulator.App{{Name: "Your app", ClientID: c.APIKey, Secrets: []string{c.APISecret}, RedirectURIs: c.RedirectURI, ProtectedData: true}},
	})
	for _, domain := range c.Shop {
		if _, err := sim.AddShop(domain, simulator.Catalogue{Products: c.Products}); err != nil {
			return err
		}
	}
	if err := sim.Start(context.WithoutCancel(e.ctx)); err != nil {
		return err
	}
	defer sim.Stop()
	fmt.Fprintf(e.stdout, `A simulated Shopify runs at http://%s. Point an app at it:

  SHOPIFY_URL_TEMPLATE=%s
  SHOPIFY_API_KEY=%s
  SHOPIFY_API_SECRET=%s

Shops: %v. Faults: POST JSON such as {"lose":{"*":0.1}} to /_sim/faults. End it with Ctrl-C.
`, listener.Addr(), simulator.ListenURL(listener.Addr()), c.APIKey, c.APISecret, c.Shop)

	server := &http.Server{Handler: sim.Handler(), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-e.ctx.Done():
		if err := server.Close(); err != nil {
			return err
		}
		if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	}
}
