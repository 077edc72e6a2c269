// Package demo shows Stockroom at work without an account or a network: a
// simulated Shopify, the real service, and a shop that connects to it by the
// real OAuth flow, all in one process on loopback addresses.
//
// It promises to leave nothing behind: what it needs on disk lies in a temporary
// folder that Close removes. That the copy is exact is judged by the simulator's
// own data and comparison, which know nothing of the copy's code.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"stockroom/internal/app"
	"stockroom/internal/config"
	"stockroom/internal/secret"
	"stockroom/internal/simulator"
	"stockroom/internal/store"
)

// Domain is the demo's shop. Its hyphen is on purpose.
const Domain = "corner-shop.myshopify.com"

const clientID = "stockroom-demo"

// Options are what a World is made from.
type Options struct {
	Seed     uint64
	Products int
	Log      *slog.Logger

	// Serve is the command of a service to run as a process of its own, which
	// can be killed. Its settings are added to the environment in Environ.
	// Empty: the service runs in this process.
	Serve   []string
	Environ []string
}

// World is a simulated Shopify and the service that copies its one shop.
type World struct {
	Sim  *simulator.Simulator
	Shop *simulator.Shop
	App  *app.App
	Copy store.Shop // The shop's row in the service; set by Connect.

	// SimURL and AppURL are where both can be looked at.
	SimURL, AppURL string
	// AdminPassword signs in to the service's dashboard.
	AdminPassword secret.Secret

	dir    string
	server *http.Server

	// Where the service is a process: what it is made from, and how it runs now.
	options Options
	config  config.Config
	environ []string
	process *process
}

// Open starts Shopify and the service. Close must be called, after an error too.
func Open(ctx context.Context, options Options) (w *World, err error) {
	w = &World{AdminPassword: secret.New(secret.RandomToken(9)), options: options}
	if w.dir, err = os.MkdirTemp("", "stockroom-demo-"); err != nil {
		return w, err
	}
	simListener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return w, err
	}
	appListener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		simListener.Close()
		return w, err
	}
	w.SimURL, w.AppURL = "http://"+simListener.Addr().String(), "http://"+appListener.Addr().String()
	appSecret := secret.RandomToken(24)

	w.Sim = simulator.New(simulator.Config{
		Seed: options.Seed, AutoConsent: true, BaseURL: w.SimURL, Log: options.Log,
		Apps: []simulator.App{{Name: "Stockroom", ClientID: clientID, Secrets: []string{appSecret},
			RedirectURIs: []string{w.AppURL + "/shopify/callback"}, ProtectedData: true}},
	})
	w.Shop, err = w.Sim.AddShop(Domain, simulator.Catalogue{Name: "Corner Shop", Products: options.Products, BigVariants: 250})
	if err == nil {
		err = w.Sim.Start(context.WithoutCancel(ctx))
	}
	if err != nil {
		return w, errors.Join(err, simListener.Close(), appListener.Close())
	}
	w.server = &http.Server{Handler: w.Sim.Handler(), ReadHeaderTimeout: 10 * time.Second}
	go w.server.Serve(simListener) // Close ends it.

	w.environ = []string{
		"DATABASE_URL=sqlite://" + filepath.Join(w.dir, "stockroom.db"),
		"SHOPIFY_API_KEY=" + clientID,
		"SHOPIFY_REDIRECT_URI=" + w.AppURL + "/shopify/callback",
		"SHOPIFY_WEBHOOK_ADDRESS=" + w.AppURL + "/shopify/webhook",
		"SHOPIFY_URL_TEMPLATE=" + w.SimURL + "/{shop}",
		"LISTEN_ADDR=" + appListener.Addr().String(),
		"SHOPIFY_API_SECRET=" + appSecret, "ADMIN_PASSWORD=" + w.AdminPassword.Reveal(),
		// The poll is to find what was lost, and nothing else before it.
		"SWEEP_INTERVAL=0",
	}
	if w.config, err = config.Load(config.Source{Environ: w.environ}, config.NeedAll); err != nil {
		return w, errors.Join(err, appListener.Close())
	}
	if len(options.Serve) > 0 {
		appListener.Close() // The process takes the address over.
		return w, w.startProcess(ctx)
	}
	w.App, err = app.New(ctx, app.Options{Config: w.config, Log: options.Log, Listener: appListener})
	if err != nil {
		return w, errors.Join(err, appListener.Close())
	}
	if err := w.App.Start(ctx); err != nil {
		return w, err
	}
	return w, nil
}

// Close stops everything and removes the temporary folder.
func (w *World) Close() error {
	var errs []error
	if w.Sim != nil {
		w.Sim.Stop() // First, so that no webhook meets a closed door.
	}
	switch {
	case w.process != nil:
		w.process.kill()
		if w.App != nil {
			errs = append(errs, w.App.Close())
		}
	case w.App != nil:
		errs = append(errs, w.App.Stop(context.Background()))
	}
	if w.server != nil {
		errs = append(errs, w.server.Close())
	}
	if w.dir != "" {
		errs = append(errs, os.RemoveAll(w.dir))
	}
	return errors.Join(errs...)
}

// Connect does what a merchant's browser does: it opens the login page, follows
// to Shopify's consent, and back to the callback.
func (w *World) Connect(ctx context.Context) error {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	browser := &http.Client{Jar: jar, Timeout: 30 * time.Second}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.AppURL+"/shopify/login?shop="+url.QueryEscape(Domain), nil)
	if err != nil {
		return err
	}
	response, err := browser.Do(request)
	if err != nil {
		return fmt.Errorf("connect %s: %w", Domain, err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK || response.Request.URL.Path != "/connected" {
		return fmt.Errorf("connect %s: the login ended at %s with status %d", Domain, response.Request.URL.Path, response.StatusCode)
	}
	return w.App.Store.View(ctx, func(tx *store.Tx) (err error) {
		w.Copy, err = tx.ShopByDomain(Domain)
		return err
	})
}

// waitStep is how often the demo looks whether what it waits for has come.
const waitStep = 20 * time.Millisecond

// wait returns when done says so, or ctx ends.
func wait(ctx context.Context, what string, done func() (bool, error)) error {
	ticker := time.NewTicker(waitStep)
	defer ticker.Stop()
	for {
		ok, err := done()
		if err != nil || ok {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, context.Cause(ctx))
		}
	}
}

// WaitIdle returns when the shop has no open run.
func (w *World) WaitIdle(ctx context.Context) error {
	return wait(ctx, "wait for the full read", func() (idle bool, err error) {
		err = w.App.Store.View(ctx, func(tx *store.Tx) error {
			_, err := tx.OpenRun(w.Copy.ID)
			idle = errors.Is(err, store.ErrNotFound)
			if idle {
				return nil
			}
			return err
		})
		return idle, err
	})
}

// WaitQuiet returns when every webhook was sent once, and all that came was
// applied and, where it took a read, read back.
func (w *World) WaitQuiet(ctx context.Context) error {
	if err := w.Sim.Quiet(ctx); err != nil {
		return err
	}
	return wait(ctx, "wait for webhooks to be applied", func() (bool, error) { return w.App.Settled(ctx, w.Copy.ID) })
}

// WaitStill returns when the service has nothing left to apply or to read by
// id, second looks at lagging totals among it.
func (w *World) WaitStill(ctx context.Context) error {
	return wait(ctx, "wait for the second looks", func() (still bool, err error) {
		err = w.App.Store.View(ctx, func(tx *store.Tx) error {
			oldest, err := tx.OldestNew(w.Copy.ID)
			if err != nil {
				return err
			}
			left, err := tx.AllDemands(w.Copy.ID)
			still = oldest == 0 && left == 0
			return err
		})
		return still, err
	})
}

// Poll reads the shop back now and returns the run when it has ended.
func (w *World) Poll(ctx context.Context) (store.Run, error) {
	run, err := w.App.Jobs.QueueRun(ctx, store.Run{ShopID: w.Copy.ID, Kind: "poll", Reason: "manual"})
	if err != nil {
		return run, err
	}
	err = wait(ctx, "wait for the poll", func() (bool, error) {
		err := w.App.Store.View(ctx, func(tx *store.Tx) (err error) {
			run, err = tx.RunByID(run.ID)
			return err
		})
		return run.State.Over(), err
	})
	return run, err
}

// Compare holds the copy's export against the shop's own, field by field, in both directions.
func (w *World) Compare(ctx context.Context) (simulator.Report, error) {
	truth, truthIn := io.Pipe()
	copied, copiedIn := io.Pipe()
	go func() { truthIn.CloseWithError(w.Shop.Export(truthIn)) }()
	go func() { copiedIn.CloseWithError(w.App.Query.Export(ctx, copiedIn, Domain)) }()
	report, err := simulator.Compare(truth, copied)
	// A comparison that gave up must not leave a writer waiting.
	truth.CloseWithError(err)
	copied.CloseWithError(err)
	return report, err
}
