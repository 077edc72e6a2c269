package simulator_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"stockroom/internal/simulator"
)

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// noRedirects gives the redirect instead of following it.
func noRedirects() *http.Client {
	jar, _ := cookiejar.New(nil)
	return &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func authorizeURL(w *world, change func(url.Values)) string {
	query := url.Values{"client_id": {clientID}, "scope": {"read_products,read_inventory"}, "redirect_uri": {callback}, "state": {"n0nce"}}
	if change != nil {
		change(query)
	}
	return w.url + "/" + domain + "/admin/oauth/authorize?" + query.Encode()
}

// code installs the app and returns the code that the callback gets.
func (w *world) code(t *testing.T) string {
	t.Helper()
	response, err := noRedirects().Get(authorizeURL(w, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	target, err := response.Location()
	if err != nil {
		t.Fatalf("authorize: status %d: %v", response.StatusCode, err)
	}
	return target.Query().Get("code")
}

type tokenReply struct {
	Access         string `json:"access_token"`
	Scope          string `json:"scope"`
	ExpiresIn      int64  `json:"expires_in"`
	Refresh        string `json:"refresh_token"`
	RefreshExpires int64  `json:"refresh_token_expires_in"`
	Error          string `json:"error"`
}

// token asks the token endpoint, with a form or with JSON.
func (w *world) token(t *testing.T, asJSON bool, fields map[string]string) (int, tokenReply) {
	t.Helper()
	form := url.Values{"client_id": {clientID}, "client_secret": {secret}}
	for name, value := range fields {
		form.Set(name, value)
	}
	kind, body := "application/x-www-form-urlencoded", []byte(form.Encode())
	if asJSON {
		object := make(map[string]any)
		for name := range form {
			object[name] = form.Get(name)
		}
		kind = "application/json"
		var err error
		if body, err = json.Marshal(object); err != nil {
			t.Fatal(err)
		}
	}
	response, err := http.Post(w.url+"/"+domain+"/admin/oauth/access_token", kind, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var reply tokenReply
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(response.Header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(raw, &reply); err != nil {
			t.Fatalf("token reply %s: %v", raw, err)
		}
	}
	return response.StatusCode, reply
}

// status asks the API with a token and returns what HTTP status it answers.
func (w *world) apiStatus(t *testing.T, token string) int {
	t.Helper()
	response := w.api(t, "2026-10", token, `{"query":"{ shop { name } }"}`)
	return response.StatusCode
}

func (w *world) api(t *testing.T, version, token, body string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+"/"+domain+"/admin/api/"+version+"/graphql.json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Shopify-Access-Token", token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	return response
}

func autoConsent(c *simulator.Config) { c.AutoConsent = true }

func TestAuthorizeLeadsBackWithASignedQuery(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{}, autoConsent)
	response, err := noRedirects().Get(authorizeURL(w, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	target, err := response.Location()
	if err != nil || !strings.HasPrefix(target.String(), callback+"?") {
		t.Fatalf("redirect to %v: %v", target, err)
	}
	query := target.Query()
	if query.Get("shop") != domain || query.Get("state") != "n0nce" || query.Get("code") == "" || query.Get("timestamp") == "" {
		t.Errorf("query %v", query)
	}
	host, err := base64.RawStdEncoding.DecodeString(query.Get("host"))
	if err != nil || string(host) != "admin.shopify.com/store/tea-house" {
		t.Errorf("host %q: %v", host, err)
	}
	if got, want := query.Get("hmac"), queryHMAC(query, secret); got != want {
		t.Errorf("hmac %s, want %s", got, want)
	}
}

func TestAuthorizeRefusesAnUnregisteredAddressWithoutRedirect(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{}, autoConsent)
	for name, change := range map[string]func(url.Values){
		"redirect_uri": func(q url.Values) { q.Set("redirect_uri", callback+"/") },
		"client_id":    func(q url.Values) { q.Set("client_id", "other") },
	} {
		response, err := noRedirects().Get(authorizeURL(w, change))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusBadRequest || response.Header.Get("Location") != "" {
			t.Errorf("wrong %s: status %d, location %q", name, response.StatusCode, response.Header.Get("Location"))
		}
	}
}

func TestMerchantMayCancelOrReduceScopes(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{}, nil)
	client, target := noRedirects(), authorizeURL(w, nil)
	page, err := client.Get(target)
	if err != nil {
		t.Fatal(err)
	}
	html, err := io.ReadAll(page.Body)
	page.Body.Close()
	if err != nil || page.StatusCode != http.StatusOK || !strings.Contains(string(html), `value="read_inventory" checked`) {
		t.Fatalf("consent page: status %d, %v\n%s", page.StatusCode, err, html)
	}
	answer := func(form url.Values) *http.Response {
		t.Helper()
		response, err := client.PostForm(target, form)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response
	}
	if response := answer(url.Values{"answer": {"cancel"}}); response.StatusCode != http.StatusOK || response.Header.Get("Location") != "" {
		t.Errorf("cancel: status %d, location %q", response.StatusCode, response.Header.Get("Location"))
	}
	response := answer(url.Values{"answer": {"install"}, "grant": {"read_products", "write_orders"}})
	callback, err := response.Location()
	if err != nil {
		t.Fatalf("install: status %d: %v", response.StatusCode, err)
	}
	_, reply := w.token(t, false, map[string]string{"code": callback.Query().Get("code")})
	if reply.Scope != "read_products" {
		t.Errorf("granted %q, want the one scope that was both asked for and left", reply.Scope)
	}
}

func TestCodeIsGoodOnceAndForItsAppOnly(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{}, autoConsent)
	code := w.code(t)
	if status, reply := w.token(t, false, map[string]string{"code": code, "client_secret": "wrong"}); status != http.StatusBadRequest {
		t.Errorf("wrong secret: status %d, %+v", status, reply)
	}
	status, reply := w.token(t, false, map[string]string{"code": code})
	if status != http.StatusOK || !strings.HasPrefix(reply.Access, "shpat_") || reply.ExpiresIn != 0 || reply.Refresh != "" {
		t.Fatalf("exchange: status %d, %+v", status, reply)
	}
	if got := w.apiStatus(t, reply.Access); got != http.StatusOK {
		t.Errorf("API with the token: %d", got)
	}
	if status, _ := w.token(t, true, map[string]string{"code": code}); status != http.StatusBadRequest {
		t.Errorf("the code was taken twice: status %d", status)
	}
}

func TestExpiringTokensEndAndAreRefreshed(t *testing.T) {
	clock := newClock()
	w := newWorld(t, simulator.Catalogue{}, func(c *simulator.Config) { c.AutoConsent, c.Now = true, clock.Now })
	_, first := w.token(t, true, map[string]string{"code": w.code(t), "expiring": "1"})
	if first.ExpiresIn != 3600 || first.RefreshExpires != 7776000 || !strings.HasPrefix(first.Refresh, "shprt_") {
		t.Fatalf("reply %+v", first)
	}
	refresh := func(token string) (int, tokenReply) {
		return w.token(t, false, map[string]string{"grant_type": "refresh_token", "refresh_token": token})
	}
	_, second := refresh(first.Refresh)
	if got := w.apiStatus(t, first.Access); got != http.StatusOK {
		t.Errorf("the old access token died with the refresh: %d", got)
	}
	clock.pass(time.Hour + time.Second)
	if got := w.apiStatus(t, second.Access); got != http.StatusUnauthorized {
		t.Errorf("an expired token got %d", got)
	}
	// A lost reply can be asked for again, until the successor is used.
	_, third := refresh(first.Refresh)
	if third.Refresh == "" || third.Refresh == second.Refresh {
		t.Fatalf("refresh repeated: %+v", third)
	}
	_, fourth := refresh(third.Refresh)
	for name, token := range map[string]string{"of before the last": first.Refresh, "replaced": second.Refresh} {
		if status, reply := refresh(token); status != http.StatusUnauthorized || reply.Error != "invalid_request" {
			t.Errorf("refresh token %s: status %d, %+v", name, status, reply)
		}
	}
	clock.pass(31 * 24 * time.Hour)
	if status, _ := refresh(fourth.Refresh); status != http.StatusOK {
		t.Errorf("an unused refresh token of 31 days: status %d", status)
	}
	clock.pass(31 * 24 * time.Hour)
	if status, _ := refresh(fourth.Refresh); status != http.StatusUnauthorized {
		t.Errorf("a refresh token 31 days after its first use: status %d", status)
	}
}

func TestTokenFaults(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{}, autoConsent)
	_, first := w.token(t, false, map[string]string{"code": w.code(t), "expiring": "1"})
	w.SetFaults(simulator.Faults{TokenLost: 1})
	again := map[string]string{"grant_type": "refresh_token", "refresh_token": first.Refresh}
	if status, _ := w.token(t, false, again); status != 520 {
		t.Errorf("status %d, want 520", status)
	}
	w.SetFaults(simulator.Faults{OmitExpiresIn: true})
	if status, reply := w.token(t, false, again); status != http.StatusOK || reply.ExpiresIn != 0 || reply.Refresh == "" {
		t.Errorf("status %d, %+v; want a reply without its lifetimes", status, reply)
	}
}

func TestPublicAppsNeedExpiringTokens(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{}, func(c *simulator.Config) { c.AutoConsent, c.Apps[0].Public = true, true })
	_, lasting := w.token(t, false, map[string]string{"code": w.code(t)})
	_, expiring := w.token(t, false, map[string]string{"code": w.code(t), "expiring": "1"})
	if a, b := w.apiStatus(t, lasting.Access), w.apiStatus(t, expiring.Access); a != http.StatusForbidden || b != http.StatusOK {
		t.Errorf("lasting token %d, expiring token %d; want 403 and 200", a, b)
	}
}

// TestAWriteScopeBringsItsReadScope asks both lists of what was granted, and
// the REST one with a token that is wrong.
func TestAWriteScopeBringsItsReadScope(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 1}, nil)
	c := w.client("write_products", "read_orders")
	c.expect(`{"currentAppInstallation":{"accessScopes":[{"handle":"read_orders"},{"handle":"read_products"},{"handle":"write_products"}]}}`,
		`{ currentAppInstallation { accessScopes { handle } } }`)
	for _, tt := range []struct {
		method, token string
		status        int
		want          string
	}{
		{http.MethodGet, c.token, http.StatusOK, `{"access_scopes":[{"handle":"read_orders"},{"handle":"read_products"},{"handle":"write_products"}]}`},
		{http.MethodGet, "shpat_wrong", http.StatusUnauthorized, `{"errors":"[API] Invalid API key or access token (unrecognized login or wrong password)"}`},
		{http.MethodGet, "", http.StatusUnauthorized, `{"errors":"[API] Invalid API key or access token (unrecognized login or wrong password)"}`},
		{http.MethodPost, c.token, http.StatusMethodNotAllowed, `{"errors":"Method Not Allowed"}`},
	} {
		request, err := http.NewRequestWithContext(t.Context(), tt.method, w.url+"/"+domain+"/admin/oauth/access_scopes.json", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Shopify-Access-Token", tt.token)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != tt.status || string(text) != tt.want {
			t.Errorf("%s with %q: status %d, %s (%v)", tt.method, tt.token, response.StatusCode, text, err)
		}
	}
}

func TestUninstallKillsTokensAndSubscriptionsAndTells(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 1}, nil)
	token, err := w.shop.IssueToken(clientID, allScopes...)
	if err != nil {
		t.Fatal(err)
	}
	access := w.subscribe(nil, "APP_UNINSTALLED", "PRODUCTS_UPDATE")
	if err := w.shop.Uninstall(clientID); err != nil {
		t.Fatal(err)
	}
	if got := w.apiStatus(t, token); got != http.StatusUnauthorized {
		t.Errorf("API after uninstall: %d", got)
	}
	if left := access.Installation.Subscriptions(); len(left) != 0 {
		t.Errorf("subscriptions left: %v", left)
	}
	if err := w.shop.UpdateProduct(w.firstProduct().ID, func(p *simulator.Product) { p.Title = "x" }); err != nil {
		t.Fatal(err)
	}
	hooks := w.heard()
	if got := topicsOf(hooks); !slices.Equal(got, []string{"app/uninstalled"}) {
		t.Fatalf("heard %q", got)
	}
	if hooks[0].body["myshopify_domain"] != domain {
		t.Errorf("body %s", hooks[0].raw)
	}
	if err := w.shop.Uninstall(clientID); err == nil {
		t.Error("uninstalled twice")
	}
}

func TestRedactionFollowsAfterTwoDaysUnlessReinstalled(t *testing.T) {
	for _, back := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var (
				mu     sync.Mutex
				topics []string
			)
			sim := simulator.New(simulator.Config{
				Apps: []simulator.App{{ClientID: clientID, Secrets: []string{secret}, Webhooks: []simulator.AppWebhook{
					{Topic: "app/uninstalled", URI: "https://app.example.com/"}, {Topic: "shop/redact", URI: "https://app.example.com/"}}}},
				Deliver: &http.Client{Transport: receiver(func(r *http.Request) int {
					mu.Lock()
					defer mu.Unlock()
					topics = append(topics, r.Header.Get("X-Shopify-Topic"))
					return http.StatusOK
				})},
			})
			shop, err := sim.AddShop(domain, simulator.Catalogue{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := shop.IssueToken(clientID); err != nil {
				t.Fatal(err)
			}
			if err := sim.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			defer sim.Stop()
			if err := shop.Uninstall(clientID); err != nil {
				t.Fatal(err)
			}
			if back {
				if _, err := shop.IssueToken(clientID); err != nil {
					t.Fatal(err)
				}
			}
			<-time.After(47 * time.Hour)
			mu.Lock()
			if !slices.Equal(topics, []string{"app/uninstalled"}) {
				t.Errorf("after 47 hours heard %q", topics)
			}
			mu.Unlock()
			<-time.After(2 * time.Hour)
			mu.Lock()
			defer mu.Unlock()
			if got := slices.Contains(topics, "shop/redact"); got == back {
				t.Errorf("reinstalled %v, redacted %v", back, got)
			}
		})
	}
}

func TestScopeChangeIsTold(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{}, nil)
	w.subscribe(nil, "APP_SCOPES_UPDATE")
	if err := w.shop.SetScopes(clientID, "read_products"); err != nil {
		t.Fatal(err)
	}
	hooks := w.heard("app/scopes_update")
	if len(hooks) != 1 || len(hooks[0].body["previous"].([]any)) != len(allScopes) || hooks[0].body["shop_id"] != w.shop.GID() {
		t.Errorf("heard %v", hooks)
	}
}

func TestInstallingIsNotAChangeOfScopes(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{}, func(c *simulator.Config) {
		c.Apps[0].Webhooks = []simulator.AppWebhook{{Topic: "app/scopes_update", URI: "http://127.0.0.1:9/"}}
	})
	if _, err := w.shop.IssueToken(clientID, allScopes...); err != nil {
		t.Fatal(err)
	}
	if log := w.Deliveries(); len(log) != 0 {
		t.Errorf("told %v", log)
	}
}
