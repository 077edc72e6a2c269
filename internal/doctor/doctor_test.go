package doctor_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stockroom/internal/app"
	"stockroom/internal/config"
	"stockroom/internal/doctor"
	"stockroom/internal/mirror"
	"stockroom/internal/simulator"
	"stockroom/internal/store"
)

const domain = "patient.myshopify.com"

// ward is a service in good health over a simulated Shopify, with one shop connected.
type ward struct {
	*testing.T
	flags   map[string]string
	environ []string
	sim     *simulator.Simulator
	shop    *simulator.Shop
	app     *app.App
}

func newWard(t *testing.T) *ward {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := "http://" + listener.Addr().String()
	sim := simulator.New(simulator.Config{Seed: 1, AutoConsent: true, Apps: []simulator.App{{ClientID: "key", Secrets: []string{"hush-hush"},
		RedirectURIs: []string{address + "/shopify/callback"}, ProtectedData: true}}})
	w := &ward{T: t, sim: sim, environ: []string{"SHOPIFY_API_SECRET=hush-hush", "ADMIN_PASSWORD=let-me-in-please"}}
	if w.shop, err = sim.AddShop(domain, simulator.Catalogue{Products: 2}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(sim.Handler())
	t.Cleanup(server.Close)
	if err := sim.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Stop)
	w.flags = map[string]string{
		"DATABASE_URL": "sqlite://" + filepath.Join(t.TempDir(), "stockroom.db"), "SHOPIFY_API_KEY": "key",
		"SHOPIFY_REDIRECT_URI": address + "/shopify/callback", "SHOPIFY_WEBHOOK_ADDRESS": address + "/shopify/webhook",
		"SHOPIFY_URL_TEMPLATE": server.URL + "/{shop}",
	}
	cfg, err := config.Load(w.source(nil), config.NeedAll)
	if err != nil {
		t.Fatal(err)
	}
	if w.app, err = app.New(t.Context(), app.Options{Config: cfg, Log: slog.New(slog.DiscardHandler), Listener: listener}); err != nil {
		t.Fatal(err)
	}
	if err := w.app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.stop)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := (&http.Client{Jar: jar}).Get(address + "/shopify/login?shop=" + domain)
	if err != nil {
		t.Fatal(err)
	}
	reply.Body.Close()
	if reply.Request.URL.Path != "/connected" {
		t.Fatalf("the login ended at %s with %d", reply.Request.URL.Path, reply.StatusCode)
	}
	w.imported()
	return w
}

// imported waits until the import is over, and with it the audit.
func (w *ward) imported() {
	w.Helper()
	for tick := time.NewTicker(20 * time.Millisecond); ; <-tick.C {
		over := false
		err := w.app.Store.View(w.Context(), func(tx *store.Tx) error {
			runs, err := tx.Runs(w.stored().ID, 1)
			over = len(runs) > 0 && runs[0].State.Over()
			return err
		})
		if err != nil {
			w.Fatal(err)
		}
		if over {
			tick.Stop()
			return
		}
	}
}

func (w *ward) stored() (shop store.Shop) {
	w.Helper()
	err := w.app.Store.View(w.Context(), func(tx *store.Tx) (err error) {
		shop, err = tx.ShopByDomain(domain)
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
	return shop
}

func (w *ward) stop() {
	if w.app != nil {
		if err := w.app.Stop(context.Background()); err != nil {
			w.Error(err)
		}
		w.app = nil
	}
}

func (w *ward) source(change map[string]string, environ ...string) config.Source {
	flags := maps.Clone(w.flags)
	maps.Copy(flags, change)
	return config.Source{Flags: flags, Environ: append(append([]string{}, w.environ...), environ...)}
}

// examine looks the ward over with some settings changed.
func (w *ward) examine(p doctor.Patient, change map[string]string, environ ...string) []doctor.Finding {
	w.Helper()
	p.Source = w.source(change, environ...)
	if len(environ) > 0 { // The last one of a name counts in an environment.
		p.Source.Environ = append(append([]string{}, environ...), "ADMIN_PASSWORD=let-me-in-please")
		if !strings.HasPrefix(environ[0], "SHOPIFY_API_SECRET") {
			p.Source.Environ = append(p.Source.Environ, w.environ[0])
		}
	}
	return doctor.Examine(w.Context(), &p, doctor.Checks())
}

// fault wants one fault of a check, that says these words, and whose remedy says those.
func (w *ward) fault(all []doctor.Finding, check, found, remedy string) {
	w.Helper()
	if !doctor.Faulty(all) {
		w.Error("no fault was found")
	}
	for _, f := range all {
		if f.Check == check && f.Level == doctor.Fault && strings.Contains(f.Found, found) {
			if !strings.Contains(f.Remedy, remedy) {
				w.Errorf("the remedy for %q is %q; want it to say %q", f.Found, f.Remedy, remedy)
			}
			return
		}
	}
	w.Errorf("no fault of %s says %q:\n%+v", check, found, all)
}

// alone wants every other check to find no fault: one illness, one name.
func (w *ward) alone(all []doctor.Finding, checks ...string) {
	w.Helper()
	for _, f := range all {
		other := true
		for _, check := range checks {
			other = other && f.Check != check
		}
		if f.Level == doctor.Fault && other {
			w.Errorf("another fault: %+v", f)
		}
		if f.Level == doctor.Fault && f.Remedy == "" {
			w.Errorf("a fault without a remedy: %+v", f)
		}
		for _, hidden := range []string{"hush-hush", "let-me-in-please", "shpat_", "shprt_"} {
			if strings.Contains(f.Found+f.Remedy, hidden) {
				w.Errorf("a secret is told: %+v", f)
			}
		}
	}
}

func TestDoctorFindsNothingAmiss(t *testing.T) {
	w := newWard(t)
	all := w.examine(doctor.Patient{}, nil)
	w.alone(all)
	seen := map[string]bool{}
	for _, f := range all {
		seen[f.Check] = true
		if f.Level != doctor.OK {
			t.Errorf("%+v", f)
		}
	}
	for _, check := range doctor.Checks() {
		if !seen[check.Name] {
			t.Errorf("the check of %s said nothing", check.Name)
		}
	}
}

func TestDoctorNamesWrongSettings(t *testing.T) {
	w := newWard(t)
	// A wrong secret: Shopify does not take it, and the service that runs has another.
	all := w.examine(doctor.Patient{}, nil, "SHOPIFY_API_SECRET=another-secret")
	w.fault(all, "app secret", "invalid_client", "Copy the client id and the client secret")
	w.fault(all, "addresses", "does not take this secret's signature", "another SHOPIFY_API_SECRET")
	w.alone(all, "app secret", "addresses")

	// An http redirect address that is not on this machine.
	all = w.examine(doctor.Patient{}, map[string]string{"SHOPIFY_REDIRECT_URI": "http://stockroom.example/shopify/callback"})
	w.fault(all, "settings", "SHOPIFY_REDIRECT_URI", "put a proxy that speaks TLS in front")
	w.alone(all, "settings")

	// A webhook address that cannot be reached, one with an unknown name, one of
	// somebody else's, and one that sends on.
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	all = w.examine(doctor.Patient{}, map[string]string{"SHOPIFY_WEBHOOK_ADDRESS": closed.URL + "/shopify/webhook"})
	w.fault(all, "addresses", "SHOPIFY_WEBHOOK_ADDRESS: it cannot be reached", "Is the service running, is the proxy")
	w.alone(all, "addresses", "subscriptions") // At another address there are none.
	all = w.examine(doctor.Patient{}, map[string]string{"SHOPIFY_WEBHOOK_ADDRESS": "https://nobody.invalid/shopify/webhook"})
	w.fault(all, "addresses", "nobody.invalid", "")
	other := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/on" {
			http.Redirect(rw, r, "/elsewhere", http.StatusMovedPermanently)
		}
	}))
	defer other.Close()
	all = w.examine(doctor.Patient{}, map[string]string{"SHOPIFY_WEBHOOK_ADDRESS": other.URL, "SHOPIFY_REDIRECT_URI": other.URL + "/on"})
	w.fault(all, "addresses", "something else than this service answers at the webhook address (200)", "without a path in front")
	w.fault(all, "addresses", "SHOPIFY_REDIRECT_URI: it sends on to another address (301)", "follows no redirect")
}

func TestDoctorNamesAWrongClock(t *testing.T) {
	w := newWard(t)
	if err := w.sim.Advance(t.Context(), 5*time.Minute); err != nil { // Shopify's clock, not this machine's.
		t.Fatal(err)
	}
	all := w.examine(doctor.Patient{}, nil)
	w.fault(all, "clock", "5m0s behind Shopify's", "timedatectl set-ntp true")
	w.alone(all, "clock")
}

func TestDoctorNamesAMissingScope(t *testing.T) {
	w := newWard(t)
	if err := w.shop.SetScopes("key", "read_products", "read_inventory", "read_locations", "read_orders"); err != nil {
		t.Fatal(err)
	}
	all := w.examine(doctor.Patient{}, nil)
	w.fault(all, "scopes", "not granted: read_discounts", "/shopify/login?shop="+domain)
	w.alone(all, "scopes")
}

func TestDoctorNamesADeletedSubscription(t *testing.T) {
	w := newWard(t)
	client, err := w.app.Connect.Client(t.Context(), w.stored())
	if err != nil {
		t.Fatal(err)
	}
	found, err := client.Subscriptions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range found {
		if s.Topic == "PRODUCTS_UPDATE" {
			if err := client.Unsubscribe(t.Context(), s.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	all := w.examine(doctor.Patient{}, nil)
	w.fault(all, "subscriptions", "products/update", "makes them anew")
	w.alone(all, "subscriptions")
}

func TestDoctorNamesADeadRefreshToken(t *testing.T) {
	w := newWard(t)
	if err := w.shop.Uninstall("key"); err != nil {
		t.Fatal(err)
	}
	// The uninstallation's own webhook may come first; then the shop has left, and
	// nothing is wrong with that. Here it was never heard.
	err := w.app.Store.Update(t.Context(), func(tx *store.Tx) error {
		shop, err := tx.ShopByDomain(domain)
		if err != nil {
			return err
		}
		shop.State = store.ShopReconnect
		_, err = tx.SaveShop(shop)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	all := w.examine(doctor.Patient{}, nil)
	w.fault(all, "tokens", "refresh token is dead", "has to open the app")
	w.alone(all, "tokens")
}

// TestDoctorFindsADeadTokenFirst: before the service itself has noticed.
func TestDoctorFindsADeadTokenFirst(t *testing.T) {
	w := newWard(t)
	w.stop()
	if err := w.shop.Uninstall("key"); err != nil {
		t.Fatal(err)
	}
	all := w.examine(doctor.Patient{}, nil)
	w.fault(all, "tokens", "its tokens are dead", "has to open the app")
	w.fault(all, "addresses", "cannot be reached", "Is the service running")
	w.alone(all, "tokens", "addresses")
	w.fault(w.examine(doctor.Patient{}, nil), "tokens", "refresh token is dead", "has to open the app")
}

func TestDoctorNamesAReadOnlyDisk(t *testing.T) {
	w := newWard(t)
	all := w.examine(doctor.Patient{TryWrite: func(dir string) error { return &os.PathError{Op: "open", Path: dir, Err: unix.EROFS} }}, nil)
	w.fault(all, "disk", "is read-only", "Mount it writable")
	w.alone(all, "disk")
	all = w.examine(doctor.Patient{Free: func(string) (int64, error) { return 1 << 20, nil }}, nil)
	for _, f := range all {
		if f.Check == "disk" && (f.Level != doctor.Warning || !strings.Contains(f.Found, "1 MB are free")) {
			t.Errorf("a nearly full disk: %+v", f)
		}
	}
	// The system's own refusal, which is heard by whoever it is told to.
	all = doctor.Examine(t.Context(), &doctor.Patient{Source: config.Source{Flags: map[string]string{"DATABASE_URL": "sqlite:///proc/stockroom.db"}}}, doctor.Checks())
	w.fault(all, "disk", "nothing can be written in /proc", "Mount it writable")
}

func TestDoctorNamesAKeyThatDoesNotFit(t *testing.T) {
	w := newWard(t)
	all := w.examine(doctor.Patient{}, nil, "ENCRYPTION_KEY="+strings.Repeat("ab", 32))
	w.fault(all, "encryption key", "does not fit the database", "Give the key that they were sealed with")
	w.alone(all, "encryption key")
	file := strings.TrimPrefix(w.flags["DATABASE_URL"], "sqlite://") + ".key"
	if err := os.Rename(file, file+".away"); err != nil {
		t.Fatal(err)
	}
	all = w.examine(doctor.Patient{}, nil)
	w.fault(all, "encryption key", "the encryption key is gone", "Put the file back")
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Error("a key was made")
	}
}

func TestDoctorNamesWhatTheServiceLeaves(t *testing.T) {
	w := newWard(t)
	w.stop()
	db, err := store.Open(t.Context(), w.flags["DATABASE_URL"], store.Beside)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(t.Context(), func(tx *store.Tx) error {
		shop, err := tx.ShopByDomain(domain)
		if err != nil {
			return err
		}
		old := mirror.At(time.Now().Add(-48 * time.Hour))
		if _, err := tx.AddErasure(store.ErasureReceipt{Shop: "gone.myshopify.com", Topic: "shop/redact", WebhookID: "1", State: store.ErasureAsked, AskedAt: old}); err != nil {
			return err
		}
		return tx.AddDeliveries([]store.Delivery{{ShopID: shop.ID, Topic: "products/update", WebhookID: "1", Body: []byte("{}"), ReceivedAt: old, State: store.DeliveryNew},
			{ShopID: shop.ID, Topic: "made/up", WebhookID: "2", Body: []byte("{}"), ReceivedAt: old, State: store.DeliveryQuarantined}})
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	all := w.examine(doctor.Patient{}, nil)
	w.fault(all, "service", "webhooks wait since", "Start the service")
	w.fault(all, "service", "is not carried out", "30 days")
	w.alone(all, "service", "addresses")
	warned := map[string]bool{}
	for _, f := range all {
		if f.Level == doctor.Warning {
			warned[f.Found] = true
		}
	}
	if !warned["no service runs on this database"] || !warned["1 webhooks are in quarantine"] {
		t.Errorf("warnings %v", warned)
	}
}

func TestDoctorNamesADatabaseThatIsNotThere(t *testing.T) {
	w := newWard(t)
	all := w.examine(doctor.Patient{}, map[string]string{"DATABASE_URL": "sqlite://" + filepath.Join(t.TempDir(), "none.db")})
	w.fault(all, "database", "cannot be opened", "DATABASE_URL")
	w.alone(all, "database")
}
