package simulator_test

import (
	"net/http"
	"net/url"
	"slices"
	"testing"

	"stockroom/internal/simulator"
)

// An app whose scopes are in its configuration asks for none when it is
// installed: it gets those, and what a merchant granted on top of them stays.
func TestInstallWithoutScopesGrantsThoseOfTheConfiguration(t *testing.T) {
	configured := func(scopes, optional []string) func(*simulator.Config) {
		return func(c *simulator.Config) {
			c.AutoConsent = true
			c.Apps[0].Scopes, c.Apps[0].OptionalScopes = scopes, optional
			c.Apps[0].URL = "http://127.0.0.1:9/app?from=file"
		}
	}
	get := func(t *testing.T, address string) *http.Response {
		response, err := noRedirects().Get(address)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response
	}
	omitted := func(query url.Values) { query.Del("scope") }

	t.Run("those of the file, and optional ones on demand", func(t *testing.T) {
		w := newWorld(t, simulator.Catalogue{}, configured([]string{"read_inventory", "read_products"}, []string{"read_orders"}))
		get(t, authorizeURL(w, omitted))
		if got := w.shop.Installation(clientID).Scopes(); !slices.Equal(got, []string{"read_inventory", "read_products"}) {
			t.Fatalf("granted %q", got)
		}
		more := w.url + "/admin.shopify.com/store/tea-house/oauth/install?client_id=" + clientID + "&optional_scopes="
		if response := get(t, more+"write_products"); response.StatusCode != http.StatusBadRequest {
			t.Errorf("a scope that is not optional: status %d", response.StatusCode)
		}
		response := get(t, more+"read_orders")
		target, err := response.Location()
		if err != nil {
			t.Fatalf("install: status %d: %v", response.StatusCode, err)
		}
		if query := target.Query(); target.Host != "127.0.0.1:9" || query.Get("shop") != domain || query.Get("hmac") == "" {
			t.Errorf("led to %s", target)
		}
		want := []string{"read_inventory", "read_orders", "read_products"}
		if got := w.shop.Installation(clientID).Scopes(); !slices.Equal(got, want) {
			t.Errorf("granted %q, want %q", got, want)
		}
		get(t, authorizeURL(w, omitted)) // Another login wipes nothing.
		if got := w.shop.Installation(clientID).Scopes(); !slices.Equal(got, want) {
			t.Errorf("after another login %q, want %q", got, want)
		}
	})

	t.Run("what was granted before, where no file says", func(t *testing.T) {
		w := newWorld(t, simulator.Catalogue{}, configured(nil, nil))
		if _, err := w.shop.IssueToken(clientID, allScopes...); err != nil {
			t.Fatal(err)
		}
		get(t, authorizeURL(w, omitted))
		if got := w.shop.Installation(clientID).Scopes(); len(got) != len(allScopes) {
			t.Errorf("granted %q, before were %q", got, allScopes)
		}
	})
}
