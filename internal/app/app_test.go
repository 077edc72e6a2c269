package app_test

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"stockroom/internal/app"
	"stockroom/internal/config"
	"stockroom/internal/mirror"
	"stockroom/internal/secret"
	"stockroom/internal/simulator"
	"stockroom/internal/store"
)

const domain = "night-shift.myshopify.com"

// clock is this machine's and Shopify's time, moved by hand.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = at
}

// house is a simulated Shopify, and a service over it that can be down for a while.
type house struct {
	t    *testing.T
	cfg  config.Config
	sim  *simulator.Simulator
	shop *simulator.Shop
	app  *app.App
	now  func() time.Time
}

func newHouse(t *testing.T, now func() time.Time, settings ...string) *house {
	t.Helper()
	return newHouseFor(t, simulator.App{ProtectedData: true}, now, settings...)
}

// newHouseFor is a house whose app stands so with Shopify.
func newHouseFor(t *testing.T, standing simulator.App, now func() time.Time, settings ...string) *house {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close() // The service takes the address over.
	h := &house{t: t, now: now}
	standing.ClientID, standing.Secrets, standing.RedirectURIs = "key", []string{"hush-hush"}, []string{"http://" + address + "/shopify/callback"}
	h.sim = simulator.New(simulator.Config{Seed: 1, Now: now, AutoConsent: true, Apps: []simulator.App{standing}})
	if h.shop, err = h.sim.AddShop(domain, simulator.Catalogue{Products: 5, Timezone: "Etc/UTC"}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h.sim.Handler())
	t.Cleanup(server.Close)
	if err := h.sim.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.sim.Stop)
	h.cfg, err = config.Load(config.Source{Flags: map[string]string{
		"DATABASE_URL": "sqlite://" + filepath.Join(t.TempDir(), "stockroom.db"), "LISTEN_ADDR": address, "SHOPIFY_API_KEY": "key",
		"SHOPIFY_REDIRECT_URI": "http://" + address + "/shopify/callback", "SHOPIFY_WEBHOOK_ADDRESS": "http://" + address + "/shopify/webhook",
		"SHOPIFY_URL_TEMPLATE": server.URL + "/{shop}",
	}, Environ: append([]string{"SHOPIFY_API_SECRET=hush-hush", "ADMIN_PASSWORD=let-me-in-please"}, settings...)}, config.NeedAll)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// up starts the service; the test's end stops it if down has not.
func (h *house) up() {
	h.t.Helper()
	var err error
	if h.app, err = app.New(h.t.Context(), app.Options{Config: h.cfg, Log: slog.New(slog.DiscardHandler), Now: h.now}); err != nil {
		h.t.Fatal(err)
	}
	if err := h.app.Start(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(h.down)
}

func (h *house) down() {
	if h.app == nil {
		return
	}
	if err := h.app.Stop(h.t.Context()); err != nil {
		h.t.Error(err)
	}
	h.app = nil
}

func (h *house) url(path string) string { return "http://" + h.cfg.ListenAddr + path }

// connect logs the shop in as a browser does, and waits for its import.
func (h *house) connect() {
	h.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		h.t.Fatal(err)
	}
	response, err := (&http.Client{Jar: jar}).Get(h.url("/shopify/login?shop=" + domain))
	if err != nil {
		h.t.Fatal(err)
	}
	response.Body.Close()
	if response.Request.URL.Path != "/connected" {
		h.t.Fatalf("the login ended at %s with %d", response.Request.URL.Path, response.StatusCode)
	}
	h.waitRuns(1)
}

func (h *house) runs() []store.Run {
	h.t.Helper()
	var runs []store.Run
	err := h.app.Store.View(h.t.Context(), func(tx *store.Tx) error {
		shop, err := tx.ShopByDomain(domain)
		if err != nil {
			return err
		}
		runs, err = tx.Runs(shop.ID, 100)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return runs
}

// waitRuns waits until exactly n runs have ended, all of them ok.
func (h *house) waitRuns(n int) {
	h.t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		runs := h.runs()
		if len(runs) >= n && runs[0].State.Over() {
			if len(runs) > n || runs[0].State != store.RunOK {
				h.t.Fatalf("%d runs, the newest a %s by %s that ended %s: %s; want %d", len(runs), runs[0].Kind, runs[0].Reason, runs[0].State, runs[0].Report, n)
			}
			return
		}
		select {
		case <-ticker.C:
		case <-deadline.C:
			h.t.Fatalf("%d runs after a minute; want %d that ended", len(runs), n)
		}
	}
}

// TestPollMissedByDowntimeRunsOnReturn: once, however many midnights passed,
// and by a token that had to be refreshed first.
func TestPollMissedByDowntimeRunsOnReturn(t *testing.T) {
	evening := time.Now().UTC().Truncate(24 * time.Hour).Add(22 * time.Hour)
	c := &clock{at: evening}
	h := newHouse(t, c.now)
	h.up()
	h.connect()
	if scheduled, err := h.app.Jobs.ScheduleOnce(t.Context()); err != nil || len(scheduled) != 0 {
		t.Fatalf("before midnight the schedule gave %d runs, %v; want none", len(scheduled), err)
	}
	h.down()

	// Three midnights pass while nobody is up.
	c.set(evening.Add(2*24*time.Hour + 4*time.Hour))
	h.up()
	h.waitRuns(2)
	if run := h.runs()[0]; run.Kind != "poll" || run.Reason != "schedule" {
		t.Errorf("the run on return is a %s by %s; want a poll by schedule", run.Kind, run.Reason)
	}
	for range 2 {
		if again, err := h.app.Jobs.ScheduleOnce(t.Context()); err != nil || len(again) != 0 {
			t.Errorf("the same day was given %d more runs, %v", len(again), err)
		}
	}
	h.down()
	h.up() // Coming back a second time gives no second run either.
	if again, err := h.app.Jobs.ScheduleOnce(t.Context()); err != nil || len(again) != 0 {
		t.Errorf("after another start the day was given %d more runs, %v", len(again), err)
	}
	h.waitRuns(2)

	// And the next midnight has its own.
	c.set(evening.Add(3*24*time.Hour + 2*time.Hour))
	if next, err := h.app.Jobs.ScheduleOnce(t.Context()); err != nil || len(next) != 1 {
		t.Errorf("at the next midnight the schedule gave %d runs, %v; want one", len(next), err)
	}
	h.waitRuns(3)
}

// TestPollMendsSubscriptions: Shopify deletes a subscription after failures and tells nobody.
func TestPollMendsSubscriptions(t *testing.T) {
	h := newHouse(t, time.Now)
	h.up()
	h.connect()
	installation := h.shop.Installation("key")
	all := installation.Subscriptions()
	for _, subscription := range all[:3] {
		if refused := installation.Unsubscribe(subscription.ID); refused != nil {
			t.Fatal(refused)
		}
	}
	var shop store.Shop
	err := h.app.Store.View(t.Context(), func(tx *store.Tx) (err error) {
		shop, err = tx.ShopByDomain(domain)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.app.Jobs.QueueRun(t.Context(), store.Run{ShopID: shop.ID, Kind: "poll", Reason: "manual"}); err != nil {
		t.Fatal(err)
	}
	h.waitRuns(2)
	if got := installation.Subscriptions(); len(got) != len(all) {
		t.Errorf("after the poll there are %d subscriptions; want %d", len(got), len(all))
	}
}

// TestAppWithoutApprovalMirrorsAllButOrders: Shopify denies orders whatever the
// scopes; the rest is read, proven, and the report says what is not.
func TestAppWithoutApprovalMirrorsAllButOrders(t *testing.T) {
	h := newHouseFor(t, simulator.App{}, time.Now)
	h.up()
	h.connect()
	if report := string(h.runs()[0].Report); !strings.Contains(report, "orders are not copied") {
		t.Errorf("the report does not tell that orders are not copied: %s", report)
	}
	err := h.app.Store.View(t.Context(), func(tx *store.Tx) error {
		shop, err := tx.ShopByDomain(domain)
		if err != nil {
			return err
		}
		products, err := tx.VerifiedAt(shop.ID, mirror.TypeProduct)
		orders, err2 := tx.VerifiedAt(shop.ID, mirror.TypeOrder)
		if products == 0 || orders != 0 {
			t.Errorf("products verified at %v, orders at %v; want the first alone", products, orders)
		}
		return errors.Join(err, err2)
	})
	if err != nil {
		t.Error(err)
	}
}

// TestDeadTokenInTheSettingsStopsNoOtherShop: the service starts, and says which token is dead.
func TestDeadTokenInTheSettingsStopsNoOtherShop(t *testing.T) {
	h := newHouse(t, time.Now, "SHOPIFY_ACCESS_TOKEN_A="+domain+"=shpat_dead")
	h.up()
	h.connect() // By a login, which the setting does not take back at the next start.
	h.down()
	h.up()
	if scheduled, err := h.app.Jobs.ScheduleOnce(t.Context()); err != nil || len(scheduled) != 0 {
		t.Errorf("the next start opened %d runs, %v; want none", len(scheduled), err)
	}
	h.waitRuns(1)
}

// TestFailedStartCanBeStopped: nothing is left running.
func TestFailedStartCanBeStopped(t *testing.T) {
	h := newHouse(t, time.Now)
	taken, err := net.Listen("tcp", h.cfg.ListenAddr)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	service, err := app.New(t.Context(), app.Options{Config: h.cfg, Log: slog.New(slog.DiscardHandler), Now: h.now})
	if err != nil {
		t.Fatal(err)
	}
	if err := service.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "LISTEN_ADDR") {
		t.Errorf("a start on a taken address: %v; want an error that names LISTEN_ADDR", err)
	}
	if err := service.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for _, part := range []string{"internal/inbox.", "internal/reconcile.", "internal/loop.", "riverqueue"} {
		if strings.Contains(string(stacks), part) {
			t.Errorf("%s still runs", part)
		}
	}
}

// TestLostOrWrongEncryptionKeyIsToldAtTheStart: a new one beside sealed tokens would only hide it.
func TestLostOrWrongEncryptionKeyIsToldAtTheStart(t *testing.T) {
	h := newHouse(t, time.Now)
	h.up()
	h.connect()
	h.down()
	key := h.cfg.Database.KeyFile()
	if err := os.Rename(key, key+".away"); err != nil {
		t.Fatal(err)
	}
	start := func() error {
		service, err := app.New(t.Context(), app.Options{Config: h.cfg, Log: slog.New(slog.DiscardHandler), Now: h.now})
		if err == nil {
			service.Close()
		}
		return err
	}
	if err := start(); err == nil || !strings.Contains(err.Error(), "put it back") {
		t.Errorf("without its key file the service was built: %v", err)
	}
	h.cfg.EncryptionKeys = secret.NewKeyset()
	if err := start(); err == nil || !strings.Contains(err.Error(), "another encryption key") {
		t.Errorf("with another key the service was built: %v", err)
	}
}

// TestRootAnswersWhoeverAsks: a load balancer gets JSON, a browser the dashboard.
func TestRootAnswersWhoeverAsks(t *testing.T) {
	h := newHouse(t, time.Now)
	h.up()
	plain, err := http.Get(h.url("/"))
	if err != nil {
		t.Fatal(err)
	}
	plain.Body.Close()
	if plain.StatusCode != http.StatusOK || plain.Header.Get("Content-Type") != "application/json" {
		t.Errorf("/ answered %d %s", plain.StatusCode, plain.Header.Get("Content-Type"))
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.url("/"), nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "text/html")
	browser, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	browser.Body.Close()
	if browser.Request.URL.Path != "/admin/login" {
		t.Errorf("a browser ended at %s; want the sign-in page", browser.Request.URL.Path)
	}
}
