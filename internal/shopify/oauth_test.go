package shopify

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"stockroom/internal/secret"
)

var testApp = App{ClientID: "client", Secret: secret.New("shpss_secret")}

func TestAuthorizeURL(t *testing.T) {
	address := AuthorizeURL("https://a.myshopify.com", "client", []string{"read_products", "read_orders"}, "https://b.example/cb?x=1", "n&ce")
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	query := parsed.Query()
	if parsed.Host != "a.myshopify.com" || parsed.Path != "/admin/oauth/authorize" || query.Get("scope") != "read_products,read_orders" ||
		query.Get("redirect_uri") != "https://b.example/cb?x=1" || query.Get("state") != "n&ce" || query.Get("client_id") != "client" ||
		query.Has("grant_options[]") {
		t.Errorf("got %s", address)
	}
}

func TestExchangeAsksForAnExpiringTokenAndReadsIt(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.String() != "/admin/oauth/access_token" {
			t.Errorf("asked %s %s", r.Method, r.URL)
		}
		want := "client_id=client&client_secret=shpss_secret&code=c0de&expiring=1"
		if body, _ := io.ReadAll(r.Body); string(body) != want {
			t.Errorf("form %q, want %q", body, want)
		}
		io.WriteString(w, `{"access_token":"shpat_x","scope":"write_products,read_orders","expires_in":3600,"refresh_token":"shprt_y","refresh_token_expires_in":7776000}`)
	}))
	defer server.Close()
	token, err := Exchange(t.Context(), server.Client(), server.URL, testApp, "c0de")
	if err != nil {
		t.Fatal(err)
	}
	if token.Access.Reveal() != "shpat_x" || token.Refresh.Reveal() != "shprt_y" || !slices.Equal(token.Scopes, []string{"read_orders", "write_products"}) {
		t.Errorf("token %+v", token)
	}
	if token.Life != time.Hour || token.RefreshLife != 90*24*time.Hour {
		t.Errorf("they live for %s and %s, want an hour and 90 days", token.Life, token.RefreshLife)
	}
	if printed := fmt.Sprintf("%v %+v", token, token); strings.Contains(printed, "shp") {
		t.Errorf("the token prints: %s", printed)
	}
	if data, err := json.Marshal(token); err != nil || strings.Contains(string(data), "shp") {
		t.Errorf("the token marshals: %s, %v", data, err)
	}
}

func TestRefreshSendsItsFourFieldsAlone(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		want := "client_id=client&client_secret=shpss_secret&grant_type=refresh_token&refresh_token=shprt_old"
		if body, _ := io.ReadAll(r.Body); string(body) != want {
			t.Errorf("form %q, want %q", body, want)
		}
		io.WriteString(w, `{"access_token":"shpat_x","scope":"","refresh_token":"shprt_y"}`)
	}))
	defer server.Close()
	token, err := Refresh(t.Context(), server.Client(), server.URL, testApp, secret.New("shprt_old"))
	if err != nil {
		t.Fatal(err)
	}
	// The answer forgot expires_in: the token expires soon, not never.
	if token.Life != unknownLife {
		t.Errorf("expires in %s, want %s", token.Life, unknownLife)
	}
}

func TestTokenWithoutRefreshDoesNotExpire(t *testing.T) {
	token, err := parseToken([]byte(`{"access_token":"shpat_x","scope":"read_products"}`))
	if err != nil || token.Life != 0 || !token.Refresh.Empty() {
		t.Errorf("token %+v, %v", token, err)
	}
}

func TestTokenErrorsAreSortedAndHoldNoSecret(t *testing.T) {
	var elsewhere int
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere++ }))
	defer other.Close()
	for _, tt := range []struct {
		name   string
		status int
		body   string
		final  bool
	}{
		{"dead refresh token", 401, `{"error":"invalid_request","error_description":"This request requires an active refresh_token"}`, true},
		{"wrong secret, which the operator can mend", 401, `{"error":"invalid_client"}`, false},
		{"refused for another reason", 400, `{"error":"invalid_request"}`, false},
		{"throttled", 429, "", false},
		{"fault", 500, "", false},
		{"fault in mid-rotation", 520, "<html>", false},
		{"redirect", 307, "", false},
		{"not JSON", 200, `{"access_token":"shpat_x",,}`, false},
		{"no token", 200, `{}`, false},
		{"a page that repeats the form", 503, "client_secret=shpss_secret&refresh_token=shprt_old", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Location", other.URL)
				w.WriteHeader(tt.status)
				io.WriteString(w, tt.body)
			}))
			defer server.Close()
			_, err := Refresh(t.Context(), server.Client(), server.URL, testApp, secret.New("shprt_old"))
			refusal, ok := errors.AsType[*OAuthError](err)
			if !ok || IsFinal(err) != tt.final || refusal.Status != tt.status {
				t.Errorf("got %v (final %v), want final %v", err, IsFinal(err), tt.final)
			}
			if strings.Contains(err.Error(), "shp") {
				t.Errorf("the error holds a secret: %v", err)
			}
		})
	}
	if elsewhere > 0 {
		t.Errorf("a redirect was followed with the secret")
	}
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	_, err := Refresh(t.Context(), nil, server.URL, testApp, secret.New("shprt_old"))
	if err == nil || IsFinal(err) || strings.Contains(err.Error(), "shp") {
		t.Errorf("an unreachable Shopify gave %v", err)
	}
}

func TestMissingScopes(t *testing.T) {
	granted := ParseScopes("write_products, read_inventory,,read_inventory")
	if !slices.Equal(granted, []string{"read_inventory", "write_products"}) {
		t.Errorf("parsed %v", granted)
	}
	got := MissingScopes(granted, []string{"read_products", "read_inventory", "write_inventory", "read_orders"})
	if !slices.Equal(got, []string{"write_inventory", "read_orders"}) {
		t.Errorf("missing %v", got)
	}
}
