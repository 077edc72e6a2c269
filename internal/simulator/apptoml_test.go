package simulator_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"stockroom/internal/simulator"
)

const configuration = `
client_id = "app-1"
name = "Stock app"
application_url = "https://stock.example/app/"
embedded = true

[access_scopes]
scopes = "read_products,read_inventory"
optional_scopes = ["read_orders"]

[auth]
redirect_urls = ["https://stock.example/callback"]

[webhooks]
api_version = "2026-04"

  [[webhooks.subscriptions]]
  topics = ["products/update", "products/delete"]
  uri = "/hooks?from=file"
  include_fields = ["id", "title", "status"]
  filter = "status:active"
  name = "goods"

  [[webhooks.subscriptions]]
  compliance_topics = ["customers/redact", "shop/redact"]
  uri = "https://stock.example/compliance"
`

func TestAnAppIsReadFromItsFile(t *testing.T) {
	app, warnings, err := simulator.ReadAppTOML(strings.NewReader(configuration), "")
	if err != nil {
		t.Fatal(err)
	}
	if app.ClientID != "app-1" || app.Name != "Stock app" || !slices.Equal(app.RedirectURIs, []string{"https://stock.example/callback"}) || len(app.Webhooks) != 4 {
		t.Fatalf("app %+v", app)
	}
	if len(warnings) > 0 {
		t.Errorf("warnings %v", warnings)
	}
	if !slices.Equal(app.Scopes, []string{"read_inventory", "read_products"}) || !slices.Equal(app.OptionalScopes, []string{"read_orders"}) {
		t.Errorf("scopes %q, optional %q", app.Scopes, app.OptionalScopes)
	}
	if w := app.Webhooks[1]; w.Topic != "products/delete" || w.URI != "https://stock.example/app/hooks?from=file" || w.Filter != "status:active" ||
		w.Name != "goods" || len(w.IncludeFields) != 3 || w.APIVersion != "2026-04" {
		t.Errorf("webhook %+v", w)
	}
	if w := app.Webhooks[3]; w.Topic != "shop/redact" || w.URI != "https://stock.example/compliance" {
		t.Errorf("webhook %+v", w)
	}
	app, _, err = simulator.ReadAppTOML(strings.NewReader(configuration), "http://127.0.0.1:5000")
	if err != nil || app.Webhooks[0].URI != "http://127.0.0.1:5000/hooks?from=file" {
		t.Errorf("%v %+v", err, app.Webhooks)
	}
}

func TestAFileThatCannotBeFollowedIsRefused(t *testing.T) {
	subscription := func(lines string) string {
		return "application_url = \"https://stock.example\"\n[[webhooks.subscriptions]]\n" + lines
	}
	for text, want := range map[string]string{
		`client_id = `: "app configuration",
		subscription("topics = [\"products/updated\"]\nuri = \"/hooks\""):                    "products/updated",
		subscription("uri = \"/hooks\""):                                                     "no topic",
		subscription("topics = [\"shop/update\"]\nuri = \"pubsub://project:topic\""):         "Pub/Sub is not simulated",
		subscription("topics = [\"shop/update\"]\nuri = \"http://stock.example/\""):          "not supported",
		subscription("compliance_topics = [\"shop/erase\"]\nuri = \"/hooks\""):               "shop/erase",
		subscription("topics = [\"shop/update\"]\nuri = \"/hooks\"\nfilter = \"expensive\""): "subscription 1: filter \"expensive\" of topic shop/update: The specified filter is invalid",
		subscription("topics = [\"shop/update\"]\nuri = \"/hooks\"\nfilter = \"(name:a\""):   "(name:a",
		subscription("topics = [\"metaobjects/create\"]\nuri = \"/hooks\""):                  "metaobjects/create",
		"[[webhooks.subscriptions]]\ntopics = [\"shop/update\"]\nuri = \"/hooks\"":           "no address",
	} {
		if _, _, err := simulator.ReadAppTOML(strings.NewReader(text), ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngave %v, want %q", text, err, want)
		}
	}
}

func TestWhatAFileSaysInVainIsTold(t *testing.T) {
	_, warnings, err := simulator.ReadAppTOML(strings.NewReader(`
application_url = "https://stock.example"
[webhooks]
api_version = "2020-01"
[[webhooks.subscriptions]]
topics = ["refunds/create", "products/update"]
uri = "/hooks"
includefields = ["id"]
`), "")
	all := strings.Join(warnings, "\n")
	if err != nil || len(warnings) != 3 || !strings.Contains(all, "refunds/create") || !strings.Contains(all, "includefields") || !strings.Contains(all, "2020-01") {
		t.Errorf("%v, warnings:\n%s", err, all)
	}
}

func TestSubscriptionsOfAFileHoldAndStay(t *testing.T) {
	var app simulator.App
	w := newWorld(t, simulator.Catalogue{Products: 1}, func(c *simulator.Config) {
		var err error
		if app, _, err = simulator.ReadAppTOML(strings.NewReader(configuration), "http://127.0.0.1:1"); err != nil {
			t.Fatal(err)
		}
		c.Apps[0].Webhooks = app.Webhooks
	})
	for i := range app.Webhooks { // The receiver's address is known only now.
		app.Webhooks[i].URI = w.inbox.URL
	}
	w.subscribe(nil) // Installs the app.
	p := w.firstProduct()
	rename := func(title, status string) {
		if err := w.shop.UpdateProduct(p.ID, func(p *simulator.Product) { p.Title, p.Status = title, status }); err != nil {
			t.Fatal(err)
		}
	}
	rename("one", "ACTIVE")
	hooks := w.heard()
	if len(hooks) != 1 || len(hooks[0].body) != 3 || hooks[0].body["title"] != "one" ||
		hooks[0].header.Get("X-Shopify-Name") != "goods" || hooks[0].header.Get("X-Shopify-API-Version") != "2026-04" {
		t.Fatalf("heard %v", hooks)
	}
	rename("two", "DRAFT")
	if hooks := w.heard(); len(hooks) != 0 {
		t.Errorf("the filter let %d through", len(hooks))
	}
	// Failures do not end it.
	w.answerFrom(http.StatusInternalServerError)
	rename("three", "ACTIVE")
	w.heard()
	if err := w.Advance(t.Context(), 5*time.Hour); err != nil {
		t.Fatal(err)
	}
	w.heard()
	w.answerFrom(http.StatusOK)
	rename("four", "ACTIVE")
	if hooks := w.heard(); len(hooks) != 1 {
		t.Errorf("heard %d after failures", len(hooks))
	}
	// Nor does uninstalling end what has to follow it.
	if err := w.shop.Uninstall(clientID); err != nil {
		t.Fatal(err)
	}
	if err := w.Advance(t.Context(), 49*time.Hour); err != nil {
		t.Fatal(err)
	}
	if got := topicsOf(w.heard()); !slices.Equal(got, []string{"shop/redact"}) {
		t.Errorf("heard %v", got)
	}
}
