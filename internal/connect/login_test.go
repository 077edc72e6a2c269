package connect_test

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"stockroom/internal/connect"
	"stockroom/internal/mirror"
	"stockroom/internal/store"
)

func TestLoginSendsTheBrowserToShopify(t *testing.T) {
	w := newWorld(t)
	p := w.get("/shopify/login?shop=My-Shop.myshopify.com")
	w.want(p, 302)
	to, err := p.Location()
	if err != nil {
		t.Fatal(err)
	}
	q := to.Query()
	if to.Path != "/"+domain+"/admin/oauth/authorize" || q.Get("client_id") != apiKey || q.Get("redirect_uri") != "https://stockroom.example/shopify/callback" || q.Has("grant_options[]") {
		t.Errorf("sent to %s", to)
	}
	if want := "read_discounts,read_inventory,read_locations,read_orders,read_products"; q.Get("scope") != want {
		t.Errorf("asks for %q, want %q", q.Get("scope"), want)
	}
	if len(q.Get("state")) < 32 {
		t.Errorf("state %q is short", q.Get("state"))
	}
	cookies := p.Cookies()
	if len(cookies) != 1 || !cookies[0].HttpOnly || !cookies[0].Secure || cookies[0].SameSite != http.SameSiteLaxMode || cookies[0].Value == q.Get("state") {
		t.Errorf("cookies %+v", cookies)
	}
	if n := w.count("oauth_states"); n != 0 {
		t.Errorf("beginning a login, which anybody can, wrote %d rows", n)
	}
	if strings.Contains(q.Get("state"), domain) || strings.Contains(q.Get("state"), cookies[0].Value) {
		t.Errorf("the state %q shows what is in it", q.Get("state"))
	}
}

func TestTheCookieIsPlainOnThisMachine(t *testing.T) {
	w := newWorld(t, func(c *connect.Config) { c.RedirectURI = "http://127.0.0.1:5000/shopify/callback" })
	if cookies := w.get("/shopify/login?shop=" + domain).Cookies(); len(cookies) != 1 || cookies[0].Secure {
		t.Errorf("cookies %+v, want one that plain HTTP sends", cookies)
	}
}

func TestLoginNamesAShop(t *testing.T) {
	w := newWorld(t)
	for _, shop := range []string{"", "my-shop", "evil.example", "my-shop.myshopify.com.evil.example", "my-shop.myshopify.com%2F.evil.example", "-a.myshopify.com", "a_b.myshopify.com", "a%0a.myshopify.com"} {
		w.want(w.get("/shopify/login?shop="+shop), 400, "does not name a shop", "such as example.myshopify.com")
	}
	if n := w.count("oauth_states"); n != 0 {
		t.Errorf("%d logins were begun", n)
	}
}

func TestASignedLoginMustBeSignedRightly(t *testing.T) {
	w := newWorld(t)
	w.want(w.get("/shopify/login?"+w.signed(newSecret, "shop", domain)), 302)
	w.want(w.get("/shopify/login?"+w.signed("another", "shop", domain)), 403, "not signed by Shopify")
	w.want(w.get("/shopify/login?"+w.signed(newSecret, "shop", domain, "timestamp", "1700000000")), 403)
}

func TestConnecting(t *testing.T) {
	w := newWorld(t)
	before := time.Now()
	shop := w.connect()
	if shop.Domain != domain || shop.State != store.ShopConnected || shop.Scopes != allScopes {
		t.Errorf("stored %+v", shop)
	}
	if token, err := w.token(shop, ""); err != nil || token != "shpat_1" {
		t.Errorf("token %q, %v", token, err)
	}
	if left := shop.AccessExpiresAt.Time().Sub(before); left < 59*time.Minute || left > 61*time.Minute {
		t.Errorf("the token lives %v, want an hour", left)
	}
	if left := shop.RefreshExpiresAt.Time().Sub(before); left < 89*24*time.Hour || left > 91*24*time.Hour {
		t.Errorf("the refresh token lives %v, want 90 days", left)
	}
	if form := w.fake.forms[0]; form.Get("expiring") != "1" || form.Get("client_secret") != newSecret || form.Get("client_id") != apiKey {
		t.Errorf("the exchange sent %v", form)
	}
	if w.connections() != 1 || w.connected[0].ID != shop.ID {
		t.Errorf("told of %v, want the shop once", w.connected)
	}
	if age := shop.InstalledAt.Time().Sub(before).Abs(); age > 3*time.Second {
		t.Errorf("installed %v away from now", age)
	}
	if missing := w.c.MissingScopes(shop); len(missing) != 0 {
		t.Errorf("missing %v: write_products covers read_products", missing)
	}
	// Nothing that opens anything lies in the database in the clear.
	for _, column := range []string{"access_token", "refresh_token", "webhook_key"} {
		var sealed []byte
		if err := w.store.Writer().QueryRow(`SELECT ` + column + ` FROM shops`).Scan(&sealed); err != nil || len(sealed) == 0 || strings.Contains(string(sealed), "shp") {
			t.Errorf("%s is %q (%v)", column, sealed, err)
		}
	}
	for _, hidden := range []string{"shpat_", "shprt_", newSecret, oldSecret, "code-"} {
		if strings.Contains(w.logs.String(), hidden) {
			t.Errorf("the log holds %q:\n%s", hidden, w.logs)
		}
	}
}

func TestTheShopsPageShowsItsProgress(t *testing.T) {
	progress := connect.Progress{State: "running", Counts: []connect.Count{{Name: "products", N: 1234}, {Name: "locations", N: 2, Done: true}}}
	w := newWorld(t, func(c *connect.Config) {
		c.Progress = func(_ context.Context, shopID int64) (connect.Progress, error) { return progress, nil }
	})
	w.want(w.get("/connected"), 403, "Open the app from your shop")
	shop := w.connect()
	err := w.store.Update(t.Context(), func(tx *store.Tx) error {
		return tx.SetSubscriptions(shop.ID, []store.Subscription{{Topic: "products/update", State: "active"},
			{Topic: "orders/create", State: "refused", Reason: "not <approved>"}})
	})
	if err != nil {
		t.Fatal(err)
	}
	p := w.get("/connected")
	w.want(p, 200, "Your shop is connected", domain, "running", "1234", "products", "locations", `http-equiv="refresh"`,
		"1 of 2 kinds", "orders/create", "not &lt;approved&gt;")
	if policy := p.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || strings.Contains(p.text, "<script") {
		t.Errorf("policy %q", policy)
	}
	progress.State, progress.Over = "ok", true
	if p := w.get("/connected"); strings.Contains(p.text, `http-equiv="refresh"`) {
		t.Error("a page about what is over loads itself anew")
	}
	w.browser = w.newBrowser()
	w.want(w.get("/connected"), 403)
}

func TestASessionEndsAfterADay(t *testing.T) {
	w := newWorld(t)
	w.connect()
	w.want(w.get("/connected"), 200)
	w.later(24*time.Hour + time.Minute)
	w.want(w.get("/connected"), 403)
}

func TestFewerScopesConnectAndAreShown(t *testing.T) {
	w := newWorld(t)
	w.fake.scopes = "read_products,write_inventory"
	shop := w.connect()
	if missing := w.c.MissingScopes(shop); !slices.Equal(missing, []string{"read_discounts", "read_locations", "read_orders"}) {
		t.Errorf("missing %v", missing)
	}
	w.want(w.get("/connected"), 200, "Your shop is connected", "Not granted", "<code>read_discounts</code>, <code>read_locations</code>, <code>read_orders</code>")
}

func TestTheCallbackIsRefused(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status int
		text   string
		visit  func(w *world, state string) page
	}{
		{"with a signature by another", 403, "not signed by Shopify", func(w *world, state string) page { return w.get(w.callback("another", state, domain)) }},
		{"without a signature", 403, "not signed by Shopify", func(w *world, state string) page {
			path, query, _ := strings.Cut(w.callback(newSecret, state, domain), "?")
			values, _ := url.ParseQuery(query)
			values.Del("hmac")
			return w.get(path + "?" + values.Encode())
		}},
		{"with a parameter changed", 403, "not signed by Shopify", func(w *world, state string) page {
			return w.get(strings.Replace(w.callback(newSecret, state, domain), "host=YWRtaW4", "host=other", 1))
		}},
		{"when stale", 403, "older than 90 seconds", func(w *world, state string) page {
			return w.get(w.callback(newSecret, state, domain, "timestamp", strconv.FormatInt(time.Now().Unix()-91, 10)))
		}},
		{"with a state never given out", 400, "This login is over", func(w *world, _ string) page { return w.get(w.callback(newSecret, "made-up", domain)) }},
		{"without a state", 400, "This login is over", func(w *world, _ string) page { return w.get(w.callback(newSecret, "", domain)) }},
		{"when the state is too old", 400, "This login is over", func(w *world, state string) page {
			w.later(10*time.Minute + time.Second)
			return w.get(w.callback(newSecret, state, domain))
		}},
		{"in another browser", 403, "begun elsewhere", func(w *world, state string) page {
			w.browser = w.newBrowser()
			return w.get(w.callback(newSecret, state, domain))
		}},
		{"with the cookie of another login", 403, "begun elsewhere", func(w *world, state string) page {
			w.browser = w.newBrowser()
			w.begin(domain)
			return w.get(w.callback(newSecret, state, domain))
		}},
		{"for another shop", 403, "Another shop came back", func(w *world, state string) page {
			return w.get(w.callback(newSecret, state, "another.myshopify.com"))
		}},
		{"for what is no shop", 400, "does not name a shop", func(w *world, state string) page { return w.get(w.callback(newSecret, state, "evil.example")) }},
		{"without a code", 400, "sent no code", func(w *world, state string) page { return w.get(w.callback(newSecret, state, domain, "code", "")) }},
		{"with a code that was used", 400, "Shopify refused the login", func(w *world, state string) page {
			return w.get(w.callback(newSecret, state, domain, "code", "used"))
		}},
		{"when Shopify is down", 502, "Shopify did not answer", func(w *world, state string) page {
			w.fake.tokenStatus = 503
			return w.get(w.callback(newSecret, state, domain))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			p := tt.visit(w, w.begin(domain))
			w.want(p, tt.status, tt.text)
			if n := w.count("shops"); n != 0 || w.connections() != 0 {
				t.Errorf("%d shops were stored", n)
			}
			for _, c := range p.Cookies() {
				if c.Name == "stockroom_connected" {
					t.Error("a session was given")
				}
			}
		})
	}
}

func TestAStateWorksOnce(t *testing.T) {
	w := newWorld(t)
	state := w.begin(domain)
	w.want(w.get(w.callback(newSecret, state, domain)), 302)
	w.want(w.get(w.callback(newSecret, state, domain)), 400, "This login is over")
	if n := w.fake.count("exchange"); n != 1 {
		t.Errorf("%d exchanges, want 1", n)
	}
}

func TestAnUnsignedCallbackUsesNoStateUp(t *testing.T) {
	w := newWorld(t)
	state := w.begin(domain)
	w.want(w.get(w.callback("another", state, domain)), 403)
	w.want(w.get(w.callback(newSecret, state, domain)), 302)
}

func TestBothSecretsVerifyTheCallbackAndTheNewestAsks(t *testing.T) {
	w := newWorld(t)
	w.want(w.get(w.callback(oldSecret, w.begin(domain), domain)), 302)
	w.want(w.get(w.callback(newSecret, w.begin(domain), domain)), 302)
	for _, form := range w.fake.forms {
		if form.Get("client_secret") != newSecret {
			t.Errorf("asked by %q", form.Get("client_secret"))
		}
	}
}

// What is stored after the first use of a token is lost with the process.
func TestTokensAreStoredBeforeTheyAreUsed(t *testing.T) {
	w := newWorld(t)
	var atFirstUse store.Shop
	w.fake.beforeCall = func(string) {
		if atFirstUse.ID == 0 {
			atFirstUse = w.shop(domain)
		}
	}
	shop := w.connect()
	if string(atFirstUse.AccessToken) != string(shop.AccessToken) || string(atFirstUse.RefreshToken) != string(shop.RefreshToken) || len(shop.RefreshToken) == 0 ||
		atFirstUse.AccessExpiresAt != shop.AccessExpiresAt || atFirstUse.RefreshExpiresAt != shop.RefreshExpiresAt {
		t.Errorf("at the first use the store had %+v, and in the end %+v", atFirstUse, shop)
	}
	if atFirstUse.State != store.ShopReconnect {
		t.Errorf("before it said who it is, the shop was %s", atFirstUse.State)
	}
}

func TestAShopThatIsAnotherIsNotConnected(t *testing.T) {
	w := newWorld(t)
	w.fake.identity = "another.myshopify.com"
	w.want(w.get(w.callback(newSecret, w.begin(domain), domain)), 502, "another.myshopify.com", domain)
	shop := w.shop(domain)
	if shop.State != store.ShopUninstalled || shop.AccessToken != nil || shop.RefreshToken != nil || w.connections() != 0 {
		t.Errorf("stored %+v", shop)
	}
}

// TestTwoTabsMayLogInAtOnce: each has its own state and cookie.
func TestTwoTabsMayLogInAtOnce(t *testing.T) {
	w := newWorld(t)
	first, second := w.begin(domain), w.begin(domain)
	w.want(w.get(w.callback(newSecret, first, domain)), 302)
	w.want(w.get(w.callback(newSecret, second, domain)), 302)
}

func TestEachInstallationHasANewKey(t *testing.T) {
	w := newWorld(t)
	first := w.connect()
	w.later(time.Minute)
	if err := w.c.Uninstalled(t.Context(), domain, mirror.At(w.config.Now())); err != nil {
		t.Fatal(err)
	}
	w.later(time.Minute)
	second := w.connect()
	if first.ID != second.ID || string(first.WebhookKeyHash) == string(second.WebhookKeyHash) || w.keys < 2 {
		t.Errorf("the key is the same, or nobody was told (%d times)", w.keys)
	}
	if second.InstalledAt <= first.InstalledAt {
		t.Errorf("installed at %v, before at %v", second.InstalledAt, first.InstalledAt)
	}
}

// TestALoginOfAConnectedShopKeepsItsKey: webhooks are on their way to it, for four hours of retries.
func TestALoginOfAConnectedShopKeepsItsKey(t *testing.T) {
	w := newWorld(t)
	first := w.connect()
	w.later(time.Minute)
	if second := w.connect(); string(first.WebhookKeyHash) != string(second.WebhookKeyHash) {
		t.Error("the key was ended")
	}
}

func TestLaunch(t *testing.T) {
	w := newWorld(t)
	launch := func(signer string, more ...string) page {
		return w.get("/?" + w.signed(signer, append([]string{"shop", domain, "host", "YWRtaW4", "embedded", "0"}, more...)...))
	}
	goes := func(p page, to string) {
		t.Helper()
		w.want(p, 302)
		if got := p.Header.Get("Location"); got != to {
			t.Errorf("sent to %q, want %q", got, to)
		}
	}
	login := "/shopify/login?shop=" + domain
	goes(launch(oldSecret), login)
	for _, p := range []page{w.get("/"), w.get("/?shop=" + domain), launch("another"), launch(newSecret, "timestamp", "1700000000"), launch(newSecret, "shop", "evil.example")} {
		w.want(p, 200, "no launch")
	}
	w.connect()
	w.browser = w.newBrowser()
	goes(launch(newSecret), "/connected")
	w.want(w.get("/connected"), 200)

	// Removed and installed again, while nobody told us: the tokens are dead.
	w.fake.set(func() { clear(w.fake.access); w.fake.refresh = "" })
	goes(launch(newSecret), login)
	if shop := w.shop(domain); shop.State != store.ShopReconnect {
		t.Errorf("the shop is %s", shop.State)
	}
	shop := w.connect()
	if shop.State != store.ShopConnected {
		t.Errorf("after another login the shop is %s", shop.State)
	}
}

// TestUsedStatesAreForgottenWhenTheyAreOver: they tell so themselves by then.
func TestUsedStatesAreForgottenWhenTheyAreOver(t *testing.T) {
	w := newWorld(t)
	w.connect()
	w.later(11 * time.Minute)
	w.connect()
	if n := w.count("oauth_states"); n != 1 {
		t.Errorf("%d used states are kept; want that of the last login", n)
	}
}
