package simulator_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"stockroom/internal/simulator"
)

const (
	otherID     = "app-2"
	otherSecret = "the secret of another"
)

// clocked makes a world whose clock the test moves, with a second app.
func clocked(t *testing.T, configure func(*simulator.Config)) (*world, *clock) {
	t.Helper()
	clock := newClock()
	return newWorld(t, simulator.Catalogue{}, func(c *simulator.Config) {
		c.AutoConsent, c.Now = true, clock.Now
		c.Apps = append(c.Apps, simulator.App{ClientID: otherID, Secrets: []string{otherSecret}, RedirectURIs: []string{callback}})
		if configure != nil {
			configure(c)
		}
	}), clock
}

// expiring installs the app and exchanges the code for an expiring pair.
func (w *world) expiring(t *testing.T) tokenReply {
	t.Helper()
	status, reply := w.token(t, false, map[string]string{"code": w.code(t), "expiring": "1"})
	if status != http.StatusOK {
		t.Fatalf("exchange of a code: status %d, %+v", status, reply)
	}
	return reply
}

// lasting installs the app and exchanges the code for a token that does not expire.
func (w *world) lasting(t *testing.T) string {
	t.Helper()
	status, reply := w.token(t, false, map[string]string{"code": w.code(t)})
	if status != http.StatusOK || reply.ExpiresIn != 0 || reply.Refresh != "" {
		t.Fatalf("exchange of a code: status %d, %+v", status, reply)
	}
	return reply.Access
}

func (w *world) refresh(t *testing.T, token string) (int, tokenReply) {
	t.Helper()
	return w.token(t, false, map[string]string{"grant_type": "refresh_token", "refresh_token": token})
}

// migrate asks to exchange a token; change may bend the request.
func (w *world) migrate(t *testing.T, token string, change map[string]string) (int, tokenReply) {
	t.Helper()
	const offline = "urn:shopify:params:oauth:token-type:offline-access-token"
	fields := map[string]string{
		"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token": token,
		"subject_token_type": offline, "requested_token_type": offline, "expiring": "1",
	}
	maps.Copy(fields, change)
	return w.token(t, true, fields)
}

func (w *world) wantAPI(t *testing.T, what, token string, want int) {
	t.Helper()
	if got := w.apiStatus(t, token); got != want {
		t.Errorf("the API with %s: status %d, want %d", what, got, want)
	}
}

func wantRefused(t *testing.T, what string, status int, reply tokenReply, wantStatus int, wantError string) {
	t.Helper()
	if status != wantStatus || reply.Error != wantError || reply.Access != "" {
		t.Errorf("%s: status %d, %+v; want %d %s", what, status, reply, wantStatus, wantError)
	}
}

func TestNewExpiringTokenRetiresTheOthers(t *testing.T) {
	w, _ := clocked(t, nil)
	lasting := w.lasting(t)
	_, credentials := w.token(t, false, map[string]string{"grant_type": "client_credentials"})
	first := w.expiring(t)
	_, refreshed := w.refresh(t, first.Refresh)
	w.wantAPI(t, "a token that was refreshed and still runs", first.Access, http.StatusOK)

	second := w.expiring(t)
	w.wantAPI(t, "the new token", second.Access, http.StatusOK)
	w.wantAPI(t, "the token of the earlier exchange", first.Access, http.StatusUnauthorized)
	w.wantAPI(t, "its refreshed successor", refreshed.Access, http.StatusUnauthorized)
	for name, token := range map[string]string{"earlier": first.Refresh, "refreshed": refreshed.Refresh} {
		status, reply := w.refresh(t, token)
		wantRefused(t, name+" refresh token", status, reply, http.StatusUnauthorized, "invalid_request")
	}
	w.wantAPI(t, "a token that does not expire", lasting, http.StatusOK)
	w.wantAPI(t, "a token by client credentials", credentials.Access, http.StatusOK)
}

func TestNewExpiringTokenLeavesOtherAppsAlone(t *testing.T) {
	w, _ := clocked(t, nil)
	other := map[string]string{"client_id": otherID, "client_secret": otherSecret, "expiring": "1"}
	response, err := noRedirects().Get(authorizeURL(w, func(q url.Values) { q.Set("client_id", otherID) }))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	target, err := response.Location()
	if err != nil {
		t.Fatal(err)
	}
	other["code"] = target.Query().Get("code")
	status, theirs := w.token(t, false, other)
	if status != http.StatusOK {
		t.Fatalf("exchange by the other app: status %d, %+v", status, theirs)
	}
	w.expiring(t)
	w.wantAPI(t, "the other app's token", theirs.Access, http.StatusOK)
}

func TestCodeIsRefused(t *testing.T) {
	w, clock := clocked(t, nil)
	if _, err := w.AddShop("other-house.myshopify.com", simulator.Catalogue{}); err != nil {
		t.Fatal(err)
	}
	code := w.code(t)
	status, reply := w.token(t, false, map[string]string{"code": code, "client_secret": otherSecret})
	wantRefused(t, "another app's secret", status, reply, http.StatusBadRequest, "invalid_client")
	status, reply = w.token(t, false, map[string]string{"code": code, "client_id": "nobody"})
	wantRefused(t, "an unknown app", status, reply, http.StatusBadRequest, "invalid_client")
	status, reply = w.token(t, false, map[string]string{"code": code, "client_id": otherID, "client_secret": otherSecret})
	wantRefused(t, "by another app", status, reply, http.StatusBadRequest, "invalid_request")
	elsewhere, err := http.PostForm(w.url+"/other-house.myshopify.com/admin/oauth/access_token",
		url.Values{"client_id": {clientID}, "client_secret": {secret}, "code": {code}})
	if err != nil {
		t.Fatal(err)
	}
	elsewhere.Body.Close()
	if elsewhere.StatusCode != http.StatusBadRequest {
		t.Errorf("in another shop: status %d", elsewhere.StatusCode)
	}
	if status, reply := w.token(t, false, map[string]string{"code": code}); status != http.StatusOK {
		t.Errorf("none of these used the code up: status %d, %+v", status, reply)
	}
	status, reply = w.token(t, false, map[string]string{"code": code})
	wantRefused(t, "used", status, reply, http.StatusBadRequest, "invalid_request")

	late := w.code(t)
	clock.pass(11 * time.Minute)
	status, reply = w.token(t, false, map[string]string{"code": late})
	wantRefused(t, "after eleven minutes", status, reply, http.StatusBadRequest, "invalid_request")

	orphan := w.code(t)
	if err := w.shop.Uninstall(clientID); err != nil {
		t.Fatal(err)
	}
	status, reply = w.token(t, false, map[string]string{"code": orphan})
	wantRefused(t, "after the app was removed", status, reply, http.StatusBadRequest, "invalid_request")
}

func TestRefreshIsRefused(t *testing.T) {
	w, clock := clocked(t, nil)
	pair := w.expiring(t)
	status, reply := w.token(t, false, map[string]string{"grant_type": "refresh_token", "refresh_token": pair.Refresh, "client_secret": "wrong"})
	wantRefused(t, "wrong secret", status, reply, http.StatusBadRequest, "invalid_client")
	status, reply = w.token(t, false, map[string]string{"grant_type": "refresh_token", "refresh_token": pair.Refresh, "client_id": otherID, "client_secret": otherSecret})
	wantRefused(t, "by another app", status, reply, http.StatusUnauthorized, "invalid_request")
	status, reply = w.refresh(t, pair.Access)
	wantRefused(t, "an access token", status, reply, http.StatusUnauthorized, "invalid_request")
	status, reply = w.token(t, false, map[string]string{"grant_type": "password"})
	wantRefused(t, "another grant", status, reply, http.StatusBadRequest, "unsupported_grant_type")

	// The grace of 30 days does not reach beyond the token's own 90.
	clock.pass(80 * 24 * time.Hour)
	if status, reply := w.refresh(t, pair.Refresh); status != http.StatusOK || reply.RefreshExpires != 7776000 {
		t.Fatalf("on day 80: status %d, %+v", status, reply)
	}
	clock.pass(9 * 24 * time.Hour)
	_, successor := w.refresh(t, pair.Refresh)
	if successor.Refresh == "" {
		t.Fatalf("repeated on day 89: %+v", successor)
	}
	clock.pass(2 * 24 * time.Hour)
	status, reply = w.refresh(t, pair.Refresh)
	wantRefused(t, "repeated on day 91", status, reply, http.StatusUnauthorized, "invalid_request")
	if status, reply := w.refresh(t, successor.Refresh); status != http.StatusOK {
		t.Errorf("the successor: status %d, %+v", status, reply)
	}
}

func TestMigrationCanBeRepeatedWhileItsReplyMayBeLost(t *testing.T) {
	w, clock := clocked(t, nil)
	old := w.lasting(t)
	w.SetFaults(simulator.Faults{TokenLost: 1})
	if status, _ := w.migrate(t, old, nil); status != 520 {
		t.Fatalf("the reply was to be lost: status %d", status)
	}
	w.SetFaults(simulator.Faults{})
	w.wantAPI(t, "the old token, although the reply was lost", old, http.StatusUnauthorized)

	clock.pass(30 * time.Minute)
	status, first := w.migrate(t, old, nil)
	if status != http.StatusOK || first.ExpiresIn != 1800 || first.RefreshExpires != 7776000-1800 || first.Scope == "" {
		t.Fatalf("repeated: status %d, %+v", status, first)
	}
	w.wantAPI(t, "the new token", first.Access, http.StatusOK)

	clock.pass(6 * 24 * time.Hour)
	w.wantAPI(t, "the new token after its hour", first.Access, http.StatusUnauthorized)
	status, second := w.migrate(t, old, nil)
	if status != http.StatusOK || second.Access != first.Access || second.Refresh != first.Refresh {
		t.Fatalf("after six days: status %d, %+v; want the pair %+v", status, second, first)
	}
	if want := int64(7776000 - 1800 - 6*24*3600); second.ExpiresIn != 3600 || second.RefreshExpires != want {
		t.Errorf("after six days: lifetimes %d and %d, want 3600 and %d", second.ExpiresIn, second.RefreshExpires, want)
	}
	w.wantAPI(t, "the same token again", second.Access, http.StatusOK)
	w.wantAPI(t, "the old token", old, http.StatusUnauthorized)

	clock.pass(24 * time.Hour)
	status, reply := w.migrate(t, old, nil)
	wantRefused(t, "after seven days", status, reply, http.StatusBadRequest, "invalid_subject_token")
	if status, reply := w.refresh(t, second.Refresh); status != http.StatusOK {
		t.Errorf("refresh of the migrated pair: status %d, %+v", status, reply)
	}
}

func TestMigrationIsOverOnceItsPairIsUsedOrReplaced(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *world, tokenReply){
		"refreshed": func(t *testing.T, w *world, pair tokenReply) { w.refresh(t, pair.Refresh) },
		"replaced":  func(t *testing.T, w *world, _ tokenReply) { w.expiring(t) },
		"uninstalled": func(t *testing.T, w *world, _ tokenReply) {
			if err := w.shop.Uninstall(clientID); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := clocked(t, nil)
			old := w.lasting(t)
			_, pair := w.migrate(t, old, nil)
			if pair.Access == "" {
				t.Fatalf("migrate: %+v", pair)
			}
			end(t, w, pair)
			status, reply := w.migrate(t, old, nil)
			wantRefused(t, "repeated", status, reply, http.StatusBadRequest, "invalid_subject_token")
		})
	}
}

func TestMigrationRetiresAnOlderExpiringToken(t *testing.T) {
	w, _ := clocked(t, nil)
	old, pair := w.lasting(t), w.expiring(t)
	_, migrated := w.migrate(t, old, nil)
	w.wantAPI(t, "the migrated token", migrated.Access, http.StatusOK)
	w.wantAPI(t, "the expiring token from before", pair.Access, http.StatusUnauthorized)
}

func TestMigrationIsRefused(t *testing.T) {
	w, _ := clocked(t, nil)
	old := w.lasting(t)
	pair := w.expiring(t)
	for name, c := range map[string]struct {
		token  string
		change map[string]string
		want   string
	}{
		"wrong secret":          {old, map[string]string{"client_secret": "wrong"}, "invalid_client"},
		"by another app":        {old, map[string]string{"client_id": otherID, "client_secret": otherSecret}, "invalid_subject_token"},
		"no token of ours":      {"shpat_0", nil, "invalid_subject_token"},
		"an expiring token":     {pair.Access, nil, "invalid_subject_token"},
		"a refresh token":       {pair.Refresh, nil, "invalid_subject_token"},
		"an ID token":           {"a.b.c", map[string]string{"subject_token_type": "urn:ietf:params:oauth:token-type:id_token"}, "invalid_subject_token"},
		"not to be expiring":    {old, map[string]string{"expiring": "0"}, "invalid_request"},
		"for an online token":   {old, map[string]string{"requested_token_type": "urn:shopify:params:oauth:token-type:online-access-token"}, "invalid_request"},
		"of a type left unsaid": {old, map[string]string{"subject_token_type": ""}, "invalid_request"},
	} {
		status, reply := w.migrate(t, c.token, c.change)
		wantRefused(t, name, status, reply, http.StatusBadRequest, c.want)
	}
	w.wantAPI(t, "the old token after all these", old, http.StatusOK)
	w.wantAPI(t, "the expiring token after all these", pair.Access, http.StatusOK)
}

func TestPublicAppMustMigrate(t *testing.T) {
	w, _ := clocked(t, func(c *simulator.Config) { c.Apps[0].Public = true })
	old := w.lasting(t)
	response := w.api(t, "2026-10", old, `{"query":"{ shop { name } }"}`)
	if response.StatusCode != http.StatusForbidden {
		t.Errorf("a public app's token that does not expire: status %d", response.StatusCode)
	}
	_, migrated := w.migrate(t, old, nil)
	w.wantAPI(t, "the migrated token", migrated.Access, http.StatusOK)
	w.wantAPI(t, "the old token", old, http.StatusUnauthorized)
}

func TestClientCredentials(t *testing.T) {
	w, clock := clocked(t, nil)
	own := map[string]string{"grant_type": "client_credentials"}
	status, reply := w.token(t, false, own)
	wantRefused(t, "before the app is installed", status, reply, http.StatusBadRequest, "shop_not_permitted")
	w.code(t)
	status, reply = w.token(t, false, map[string]string{"grant_type": "client_credentials", "client_secret": "wrong"})
	wantRefused(t, "wrong secret", status, reply, http.StatusBadRequest, "invalid_client")

	status, first := w.token(t, false, own)
	if status != http.StatusOK || first.ExpiresIn != 86399 || first.Refresh != "" || first.Scope != "read_inventory,read_products" {
		t.Fatalf("status %d, %+v", status, first)
	}
	clock.pass(23 * time.Hour)
	_, second := w.token(t, true, own)
	w.wantAPI(t, "a token of 23 hours, after another was asked for", first.Access, http.StatusOK)
	clock.pass(time.Hour)
	w.wantAPI(t, "a token of a day", first.Access, http.StatusUnauthorized)
	w.wantAPI(t, "the second", second.Access, http.StatusOK)
	if err := w.shop.Uninstall(clientID); err != nil {
		t.Fatal(err)
	}
	w.wantAPI(t, "the second after the app was removed", second.Access, http.StatusUnauthorized)
}

func TestClientCredentialsAreNotForPublicApps(t *testing.T) {
	w, _ := clocked(t, func(c *simulator.Config) { c.Apps[0].Public = true })
	w.code(t)
	status, reply := w.token(t, false, map[string]string{"grant_type": "client_credentials"})
	wantRefused(t, "a public app", status, reply, http.StatusBadRequest, "shop_not_permitted")
}

func TestDeniedInstallChangesNothing(t *testing.T) {
	w, _ := clocked(t, nil)
	cancel := func() {
		t.Helper()
		response, err := noRedirects().PostForm(authorizeURL(w, nil), url.Values{"answer": {"cancel"}})
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK || response.Header.Get("Location") != "" {
			t.Errorf("cancelled: status %d, location %q", response.StatusCode, response.Header.Get("Location"))
		}
	}
	cancel()
	if err := w.shop.Uninstall(clientID); err == nil {
		t.Error("the app was installed although the merchant said no")
	}
	pair := w.expiring(t)
	cancel() // Of a second login.
	w.wantAPI(t, "the token from before", pair.Access, http.StatusOK)
	if status, reply := w.refresh(t, pair.Refresh); status != http.StatusOK {
		t.Errorf("refresh: status %d, %+v", status, reply)
	}
}

// TestScriptAnswersForItself: fewer scopes, without the page, where every
// install is let through.
func TestScriptAnswersForItself(t *testing.T) {
	w, _ := clocked(t, nil)
	response, err := noRedirects().PostForm(authorizeURL(w, nil), url.Values{"answer": {"install"}, "grant": {"read_inventory"}})
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	target, err := response.Location()
	if err != nil {
		t.Fatal(err)
	}
	if _, reply := w.token(t, false, map[string]string{"code": target.Query().Get("code")}); reply.Scope != "read_inventory" {
		t.Errorf("granted %q", reply.Scope)
	}
}

// TestPersonAnswersTheConsentPage clicks in a real browser: Cancel first, then
// Install with a scope unticked.
func TestPersonAnswersTheConsentPage(t *testing.T) {
	back := make(chan url.Values, 1)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/callback" {
			back <- r.URL.Query()
		}
	}))
	t.Cleanup(app.Close)
	w := newWorld(t, simulator.Catalogue{}, func(c *simulator.Config) { c.Apps[0].RedirectURIs = []string{app.URL + "/callback"} })
	login := strings.TrimPrefix(authorizeURL(w, func(q url.Values) { q.Set("redirect_uri", app.URL+"/callback") }), w.url)
	b := openBrowser(t, w.url)

	b.open(login)
	b.picture("consent")
	b.click(`button[value=cancel]`)
	select {
	case query := <-back:
		t.Fatalf("cancelled, yet the app was called with %v", query)
	default:
	}

	b.open(login)
	b.do(chromedp.Click(chromedp.CSS(`input[value=read_inventory]`)))
	b.click(`button[value=install]`)
	select {
	case query := <-back:
		if query.Get("state") != "n0nce" || query.Get("shop") != domain || query.Get("hmac") != queryHMAC(query, secret) {
			t.Errorf("callback %v", query)
		}
		if _, reply := w.token(t, false, map[string]string{"code": query.Get("code")}); reply.Scope != "read_products" {
			t.Errorf("granted %q, want what was left ticked", reply.Scope)
		}
	default:
		t.Fatal("the browser was not led back to the app")
	}
}
