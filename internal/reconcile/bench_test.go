package reconcile_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stockroom/internal/apply"
	"stockroom/internal/mirror"
	"stockroom/internal/query"
	"stockroom/internal/reconcile"
	"stockroom/internal/secret"
	"stockroom/internal/shopify"
	"stockroom/internal/simulator"
	"stockroom/internal/store"
)

const (
	domain   = "a-hyphened-shop.myshopify.com"
	clientID = "app"
)

var allScopes = []string{"read_products", "read_inventory", "read_locations", "read_discounts", "read_orders"}

// bench is a simulated shop over real HTTP, a store, and the parts that keep
// the copy, driven step by step: webhooks are applied when settle says so.
type bench struct {
	*store.Store
	t      testing.TB
	sim    *simulator.Simulator
	shop   *simulator.Shop
	row    store.Shop
	client *shopify.Client
	// newClient makes a client over another transport; nil is the default one.
	newClient func(*http.Client) *shopify.Client
	hydrator  *reconcile.Hydrator
	poller    *reconcile.Poller
	applier   *apply.Inbox
	config    reconcile.Config
}

func newBench(t *testing.T, catalogue simulator.Catalogue) *bench {
	t.Helper()
	t.Parallel() // Much of a test is waiting for a tie to pass.
	return makeBench(t, catalogue, 100_000, 1_000_000)
}

// makeBench gives the shop a budget of so many points, restored at a rate a second.
func makeBench(t testing.TB, catalogue simulator.Catalogue, rate, capacity float64) *bench {
	t.Helper()
	b := &bench{t: t}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	if os.Getenv("STOCKROOM_TEST_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	server := httptest.NewUnstartedServer(nil)
	t.Cleanup(server.Close)
	base := "http://" + server.Listener.Addr().String()
	b.sim = simulator.New(simulator.Config{Seed: 1, BaseURL: base, Log: log, Rate: rate, Capacity: capacity,
		Apps: []simulator.App{{ClientID: clientID, Secrets: []string{"hush"}, ProtectedData: true}}})
	server.Config.Handler = b.sim.Handler()
	server.Start()
	var err error
	if b.shop, err = b.sim.AddShop(domain, catalogue); err != nil {
		t.Fatal(err)
	}
	if err := b.sim.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.sim.Stop)
	token, err := b.shop.IssueToken(clientID, allScopes...)
	if err != nil {
		t.Fatal(err)
	}

	if b.Store, err = store.Open(t.Context(), "sqlite://"+filepath.Join(t.TempDir(), "stockroom.db"), store.ReadWrite); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Store.Close() })
	b.update(func(tx *store.Tx) (err error) {
		b.row, err = tx.SaveShop(store.Shop{Domain: domain, State: store.ShopConnected, Scopes: strings.Join(allScopes, ","),
			WebhookKeyHash: []byte("hash"), WebhookKey: []byte("sealed")})
		return err
	})
	clock, throttle := new(shopify.Clock), shopify.NewThrottle()
	b.newClient = func(transport *http.Client) *shopify.Client {
		client, err := shopify.NewClient(shopify.Config{Shop: domain, BaseURL: base + "/" + domain, HTTP: transport, Log: log,
			Clock: clock, Throttle: throttle,
			Token: func(context.Context, secret.Secret) (secret.Secret, error) { return secret.New(token), nil }})
		if err != nil {
			t.Fatal(err)
		}
		return client
	}
	b.client = b.newClient(nil)
	b.config = reconcile.Config{
		Store: b.Store, Now: time.Now, Log: log, MaxDelete: reconcile.Fuse{Percent: 20, Rows: 50},
		Client: func(context.Context, store.Shop) (*shopify.Client, error) { return b.client, nil },
		Audit:  func(context.Context, store.Shop) error { return nil },
		Drain:  func(ctx context.Context, shop int64) error { return b.applier.Drain(ctx, shop) },
	}
	b.hydrator = reconcile.NewHydrator(b.config)
	b.poller = reconcile.NewPoller(b.config, b.hydrator)
	b.applier = apply.NewInbox(apply.InboxConfig{Store: b.Store, Now: time.Now, Log: log,
		Control: func(context.Context, store.Delivery) (bool, error) { return false, nil },
		Decode: func(d store.Delivery) (apply.Learned, error) {
			heard, err := shopify.Decode(shopify.Delivery{Topic: d.Topic, Body: d.Body, TriggeredAt: d.TriggeredAt, ReceivedAt: d.ReceivedAt})
			return apply.Learned{Observations: heard.Observations, Demands: heard.Demands}, err
		}})
	b.subscribe()
	return b
}

// subscribe stores what the shop sends; package inbox has its own tests.
func (b *bench) subscribe() {
	b.t.Helper()
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		triggered, err := time.Parse(time.RFC3339Nano, r.Header.Get("X-Shopify-Triggered-At"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		err = b.Update(r.Context(), func(tx *store.Tx) error {
			return tx.AddDeliveries([]store.Delivery{{ShopID: b.row.ID, Topic: r.Header.Get("X-Shopify-Topic"), WebhookID: r.Header.Get("X-Shopify-Webhook-Id"),
				Bound: true, TriggeredAt: mirror.At(triggered), ReceivedAt: mirror.At(time.Now()), Body: body, State: store.DeliveryNew}})
		})
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	}))
	b.t.Cleanup(receiver.Close)
	for _, topic := range shopify.Topics() {
		if topic.Class != shopify.ClassData {
			continue
		}
		if _, err := b.client.Subscribe(b.t.Context(), topic, receiver.URL); err != nil {
			b.t.Fatalf("subscribe to %s: %v", topic.Name, err)
		}
	}
}

func (b *bench) update(do func(*store.Tx) error) {
	b.t.Helper()
	if err := b.Update(b.t.Context(), do); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) view(do func(*store.Tx) error) {
	b.t.Helper()
	if err := b.View(b.t.Context(), do); err != nil {
		b.t.Fatal(err)
	}
}

// quiet waits for the webhooks under way.
func (b *bench) quiet() {
	b.t.Helper()
	if err := b.sim.Quiet(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

// hear waits for the webhooks under way and applies them, but reads nothing that they owe.
func (b *bench) hear() {
	b.t.Helper()
	b.quiet()
	for {
		n, err := b.applier.RunOnce(b.t.Context())
		if err != nil {
			b.t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
}

// settle hears what is under way, and reads what it owes.
func (b *bench) settle() {
	b.t.Helper()
	b.hear()
	for {
		n, err := b.hydrator.RunOnce(b.t.Context(), b.row)
		if err != nil {
			b.t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
}

// run carries out a full read and returns its report.
func (b *bench) run(kind string, acceptDeletions bool) (store.Run, reconcile.Report) {
	b.t.Helper()
	var run store.Run
	b.update(func(tx *store.Tx) (err error) {
		run, _, err = tx.QueueRun(store.Run{ShopID: b.row.ID, Kind: kind, Reason: "manual", AcceptDeletions: acceptDeletions})
		return err
	})
	run, err := b.poller.Run(b.t.Context(), run.ID)
	if err != nil {
		b.t.Fatal(err)
	}
	report, err := reconcile.ReadReport(run)
	if err != nil {
		b.t.Fatal(err)
	}
	return run, report
}

// mustRun carries out a full read that has to end ok.
func (b *bench) mustRun(kind string) reconcile.Report {
	b.t.Helper()
	run, report := b.run(kind, false)
	if run.State != store.RunOK {
		b.t.Fatalf("the %s ended %s:\n%s", kind, run.State, report.Text())
	}
	return report
}

// compare holds the copy against the shop's own data.
func (b *bench) compare() simulator.Report {
	b.t.Helper()
	var truth, copied strings.Builder
	if err := b.shop.Export(&truth); err != nil {
		b.t.Fatal(err)
	}
	if err := query.New(b.Store, time.Now).Export(b.t.Context(), &copied, domain); err != nil {
		b.t.Fatal(err)
	}
	report, err := simulator.Compare(strings.NewReader(truth.String()), strings.NewReader(copied.String()))
	if err != nil {
		b.t.Fatal(err)
	}
	return report
}

func (b *bench) mustBeExact(when string) {
	b.t.Helper()
	if report := b.compare(); !report.Exact() {
		b.t.Errorf("%s the copy is not exact:\n%s", when, report)
	}
}

// loseWebhooks makes every webhook from now on get lost.
func (b *bench) loseWebhooks() {
	b.sim.SetFaults(simulator.Faults{LoseIf: func(simulator.Delivery) bool { return true }})
}

func (b *bench) edit(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}
