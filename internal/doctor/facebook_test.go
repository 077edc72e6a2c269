package doctor_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"stockroom/internal/app"
	"stockroom/internal/config"
	"stockroom/internal/doctor"
	"stockroom/internal/simulator"
	"stockroom/internal/simulator/meta"
	"stockroom/internal/store"
)

// clinic is a service with a shop and a Page that is connected to it.
type clinic struct {
	*ward
	meta *meta.Meta
	page string
}

func newClinic(t *testing.T) *clinic {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := "http://" + listener.Addr().String()
	sim := simulator.New(simulator.Config{Seed: 1, AutoConsent: true,
		Apps: []simulator.App{{ClientID: "key", Secrets: []string{"hush-hush"}, RedirectURIs: []string{address + "/shopify/callback"}, ProtectedData: true}},
		Meta: meta.Config{Apps: []meta.App{{ID: "4711", Secrets: []string{"meta-hush"}, RedirectURIs: []string{address + "/facebook/callback"}}},
			Pages: []meta.PageSpec{{Name: "Tea House", Owner: "Mia"}}}})
	w := &ward{T: t, sim: sim, environ: []string{"SHOPIFY_API_SECRET=hush-hush", "ADMIN_PASSWORD=let-me-in-please", "FACEBOOK_APP_SECRET=meta-hush", "FACEBOOK_VERIFY_TOKEN=chosen"}}
	if w.shop, err = sim.AddShop(domain, simulator.Catalogue{Products: 1}); err != nil {
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
		"SHOPIFY_URL_TEMPLATE": server.URL + "/{shop}", "FACEBOOK_APP_ID": "4711", "FACEBOOK_REDIRECT_URI": address + "/facebook/callback",
		"FACEBOOK_GRAPH_URL": server.URL + "/graph.facebook.com", "FACEBOOK_DIALOG_URL": server.URL + "/www.facebook.com",
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
	browser := &http.Client{}
	browser.Jar, _ = cookiejar.New(nil)
	open := func(reply *http.Response, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer reply.Body.Close()
		text, err := io.ReadAll(reply.Body)
		if err != nil || reply.StatusCode != 200 {
			t.Fatalf("%s: %d, %v\n%s", reply.Request.URL, reply.StatusCode, err, text)
		}
		return string(text)
	}
	open(browser.Get(address + "/shopify/login?shop=" + domain))
	w.imported()
	// As the admin does it: signed in, and led back to the login at Facebook.
	login := "/facebook/login?shop=" + domain
	open(browser.Get(address + login))
	if shown := open(browser.PostForm(address+"/admin/login", url.Values{"password": {"let-me-in-please"}, "next": {login}})); !strings.Contains(shown, "The Page is connected") {
		t.Fatalf("the Page was not connected:\n%s", shown)
	}
	pages, err := w.app.Pages.List(t.Context())
	if err != nil || len(pages) != 1 {
		t.Fatalf("%d Pages, %v", len(pages), err)
	}
	return &clinic{w, sim.Meta(), pages[0].PageID}
}

// look examines Facebook's side alone, with some secrets changed.
func (w *clinic) look(environ ...string) []doctor.Finding {
	w.Helper()
	source := w.source(nil)
	for _, pair := range environ {
		name, _, _ := strings.Cut(pair, "=")
		for i, old := range source.Environ {
			if strings.HasPrefix(old, name+"=") {
				source.Environ[i] = pair
			}
		}
	}
	all := doctor.Examine(w.Context(), &doctor.Patient{Source: source}, doctor.Checks())
	for _, f := range all {
		for _, hidden := range []string{"meta-hush", "EAA", "chosen"} {
			if strings.Contains(f.Found+f.Remedy, hidden) {
				w.Errorf("a secret is told: %+v", f)
			}
		}
	}
	return all
}

func TestDoctorFindsNothingAmissWithAPage(t *testing.T) {
	w := newClinic(t)
	all := w.look()
	w.alone(all)
	n := 0
	for _, f := range all {
		if f.Check == "facebook" && f.Level == doctor.OK {
			n++
		}
	}
	if n != 5 {
		t.Errorf("%d findings of Facebook's side are good, want 5:\n%+v", n, all)
	}
}

func TestDoctorNamesAPageSubscribedAtOneLevelOnly(t *testing.T) {
	w := newClinic(t)
	if err := w.meta.Unsubscribe("Tea House", "4711"); err != nil {
		t.Fatal(err)
	}
	all := w.look()
	w.fault(all, "facebook", "not subscribed at this Page", "pages repair --page "+w.page)
	w.alone(all, "facebook")
	if _, err := w.app.Pages.Repair(t.Context(), w.first()); err != nil {
		t.Fatal(err)
	}
	w.alone(w.look())
	// The other level.
	elsewhere := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(rw, r.FormValue("hub.challenge")) }))
	t.Cleanup(elsewhere.Close)
	for _, tt := range []struct {
		sub           meta.AppSubscription
		found, remedy string
	}{
		{meta.AppSubscription{URL: elsewhere.URL, VerifyToken: "x", Fields: []string{"messages"}}, "sends the app's webhooks to " + elsewhere.URL, "pages repair"},
		{meta.AppSubscription{URL: w.app.Pages.WebhookAddress(), VerifyToken: "chosen", Fields: []string{"message_reads"}}, "the app itself is not subscribed", "pages repair"},
	} {
		if err := w.meta.Subscribe(context.WithoutCancel(t.Context()), "4711", tt.sub); err != nil {
			t.Fatal(err)
		}
		w.fault(w.look(), "facebook", tt.found, tt.remedy)
	}
}

func TestDoctorNamesADeadTokenOfAPage(t *testing.T) {
	w := newClinic(t)
	if err := w.meta.ChangePassword("Mia"); err != nil {
		t.Fatal(err)
	}
	all := w.look()
	w.fault(all, "facebook", "password", "pages add --shop "+domain)
	w.alone(all, "facebook")
}

func TestDoctorNamesAWrongSecretOfFacebook(t *testing.T) {
	w := newClinic(t)
	all := w.look("FACEBOOK_APP_SECRET=mistyped")
	w.fault(all, "facebook", "does not take FACEBOOK_APP_ID with FACEBOOK_APP_SECRET", "dashboard")
	w.fault(all, "facebook", "does not take this secret's signature", "FACEBOOK_APP_SECRET")
	w.alone(all, "facebook")
	w.fault(w.look("FACEBOOK_VERIFY_TOKEN=another"), "facebook", "does not take FACEBOOK_VERIFY_TOKEN", "restart")
	w.stop()
	w.fault(w.look(), "facebook", "cannot be reached", "Is the service running")
}

func (w *clinic) first() store.FacebookPage {
	w.Helper()
	pages, err := w.app.Pages.List(w.Context())
	if err != nil || len(pages) != 1 {
		w.Fatalf("%d Pages, %v", len(pages), err)
	}
	return pages[0]
}
