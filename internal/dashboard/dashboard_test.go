package dashboard_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/html"

	"stockroom/internal/dashboard"
	"stockroom/internal/mirror"
	"stockroom/internal/query"
	"stockroom/internal/secret"
	"stockroom/internal/store"
	"stockroom/internal/store/storetest"
)

const (
	domain   = "sample.myshopify.com"
	password = "correct horse"
)

// site is a dashboard over the sample shop and a browser that looks at it.
type site struct {
	*httptest.Server
	dashboard atomic.Pointer[dashboard.Dashboard]
	store     *store.Store
	shop      store.Shop
	now       time.Time
	polled    []string
	pollErr   error
	log       bytes.Buffer
	browser   *http.Client
}

func open(t *testing.T) *site {
	t.Helper()
	s := &site{store: storetest.Open(t), now: storetest.Noon.Time()}
	s.shop = storetest.Sample(t, s.store, domain)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.dashboard.Load().ServeHTTP(w, r) }))
	t.Cleanup(s.Close)
	s.serve(t, password)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	s.browser = &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return s
}

// serve puts a new dashboard under the site's address, as a restart does.
func (s *site) serve(t *testing.T, password string) {
	t.Helper()
	clock := func() time.Time { return s.now }
	d, err := dashboard.New(dashboard.Config{
		Store: s.store, Reader: query.New(s.store, clock), Now: clock, Log: slog.New(slog.NewTextHandler(&s.log, nil)),
		Password: secret.New(password), Scopes: []string{"read_products", "read_themes"},
		Poll: func(_ context.Context, shop store.Shop) error {
			s.polled = append(s.polled, shop.Domain)
			return s.pollErr
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.dashboard.Store(d)
}

// do sends a request; a form makes it a POST, headers are "Name: value".
func (s *site) do(t *testing.T, path string, form url.Values, headers ...string) (*http.Response, page) {
	t.Helper()
	method, body := http.MethodGet, io.Reader(nil)
	if form != nil {
		method, body = http.MethodPost, strings.NewReader(form.Encode())
	}
	request, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		request.Header.Set(name, value)
	}
	response, err := s.browser.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	root, err := html.Parse(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, page{root}
}

func (s *site) signIn(t *testing.T) *http.Response {
	t.Helper()
	response, _ := s.do(t, "/admin/login", url.Values{"password": {password}})
	if response.StatusCode != http.StatusSeeOther {
		t.Fatalf("sign-in: %d", response.StatusCode)
	}
	return response
}

// page finds elements of a page by an attribute's value.
type page struct{ *html.Node }

func (p page) all(name, attribute, value string) []page {
	var found []page
	for node := range p.Descendants() {
		if node.Type == html.ElementNode && node.Data == name && (attribute == "" || attr(node, attribute) == value) {
			found = append(found, page{node})
		}
	}
	return found
}

func (p page) one(t *testing.T, name, attribute, value string) page {
	t.Helper()
	found := p.all(name, attribute, value)
	if len(found) != 1 {
		t.Fatalf("%d elements <%s %s=%q>, want one", len(found), name, attribute, value)
	}
	return found[0]
}

func attr(node *html.Node, name string) string {
	for _, a := range node.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func (p page) text() string {
	var text strings.Builder
	for node := range p.Descendants() {
		switch {
		case node.Type == html.TextNode:
			text.WriteString(node.Data)
		case node.Data == "br" || node.Data == "td":
			text.WriteByte(' ')
		}
	}
	return strings.Join(strings.Fields(text.String()), " ")
}

func TestEverythingNeedsTheSession(t *testing.T) {
	s := open(t)
	for _, path := range []string{"/admin/", "/admin/shops/" + domain, "/admin/none", "/admin/shops/" + domain + "?run=1"} {
		response, _ := s.do(t, path, nil)
		if response.StatusCode != http.StatusSeeOther || response.Header.Get("Location") != "/admin/login?next="+url.QueryEscape(path) {
			t.Errorf("GET %s: %d to %s", path, response.StatusCode, response.Header.Get("Location"))
		}
	}
	for _, path := range []string{"/admin/shops/" + domain + "/poll", "/admin/logout"} {
		if response, _ := s.do(t, path, url.Values{}); response.StatusCode != http.StatusUnauthorized {
			t.Errorf("POST %s: %d", path, response.StatusCode)
		}
	}
	// A session of another kind, as browsers that connected a shop have, opens nothing here.
	storetest.Update(t, s.store, func(tx *store.Tx) error {
		return tx.SaveSession(secret.Hash("token"), "connected:"+domain, mirror.At(s.now.Add(time.Hour)))
	})
	if response, _ := s.do(t, "/admin/", nil, "Cookie: stockroom_admin=token"); response.StatusCode != http.StatusSeeOther {
		t.Errorf("with a session of another kind: %d", response.StatusCode)
	}
	if len(s.polled) > 0 {
		t.Error("a poll was asked for without a session")
	}
}

func TestRefusedWebhooksAreShown(t *testing.T) {
	s := open(t)
	s.signIn(t)
	if _, page := s.do(t, "/admin/", nil); strings.Contains(page.text(), "wrong signature") {
		t.Error("shown where there is none")
	}
	err := s.store.Update(t.Context(), func(tx *store.Tx) error {
		return tx.AddRejections([]store.Rejection{{Shop: domain, Topic: "products/update", Digest: []byte{1}}, {Shop: domain, Topic: "products/update", Digest: []byte{1}}})
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, page := s.do(t, "/admin/", nil); !strings.Contains(page.text(), "2 webhooks were refused for a wrong signature") {
		t.Error("not shown")
	}
}

func TestASessionBeginsAndEnds(t *testing.T) {
	s := open(t)
	_, form := s.do(t, "/admin/login?next=/admin/shops/"+domain, nil)
	next := attr(form.one(t, "input", "name", "next").Node, "value")
	response, _ := s.do(t, "/admin/login", url.Values{"password": {password}, "next": {next}})
	if response.StatusCode != http.StatusSeeOther || response.Header.Get("Location") != "/admin/shops/"+domain {
		t.Fatalf("sign-in: %d to %s", response.StatusCode, response.Header.Get("Location"))
	}
	cookie := response.Cookies()[0]
	if !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Secure {
		t.Errorf("cookie: %+v", cookie)
	}
	if response, _ := s.do(t, "/admin/", nil); response.StatusCode != http.StatusOK || response.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("signed in: %d", response.StatusCode)
	}
	if response, _ := s.do(t, "/admin/logout", url.Values{}); response.StatusCode != http.StatusSeeOther {
		t.Errorf("sign-out: %d", response.StatusCode)
	}
	if response, _ := s.do(t, "/admin/", nil, "Cookie: stockroom_admin="+cookie.Value); response.StatusCode != http.StatusSeeOther {
		t.Errorf("the cookie works after the sign-out: %d", response.StatusCode)
	}

	s.signIn(t)
	s.now = s.now.Add(12*time.Hour + time.Second)
	if response, _ := s.do(t, "/admin/", nil); response.StatusCode != http.StatusSeeOther {
		t.Errorf("the session works after its time: %d", response.StatusCode)
	}
}

func TestCookiesAreSecureBehindHTTPS(t *testing.T) {
	s := open(t)
	response, _ := s.do(t, "/admin/login", url.Values{"password": {password}}, "X-Forwarded-Proto: https")
	if cookies := response.Cookies(); len(cookies) != 2 || !cookies[0].Secure || !cookies[1].Secure {
		t.Errorf("cookies: %v", cookies)
	}
}

func TestSigningInLeadsNowhereElse(t *testing.T) {
	s := open(t)
	for next, want := range map[string]string{
		"https://evil.example/": "/admin/", "//evil.example": "/admin/", `/\evil.example`: "/admin/", "/\tx": "/admin/", "": "/admin/", "/facebook/login?shop=x": "/facebook/login?shop=x",
	} {
		s.now = s.now.Add(time.Minute) // Past the limit of tries.
		response, _ := s.do(t, "/admin/login", url.Values{"password": {password}, "next": {next}})
		if got := response.Header.Get("Location"); got != want {
			t.Errorf("next %q leads to %q", next, got)
		}
	}
}

// flooded is more tries than can wait.
const flooded = 40

// flood tries passwords from the browser's address without waiting for answers, and counts those by status.
func (s *site) flood(t *testing.T) map[int]int {
	t.Helper()
	ctx, leave := context.WithCancel(t.Context())
	leave()
	seen := map[int]int{}
	for range flooded {
		request := httptest.NewRequestWithContext(ctx, http.MethodPost, "/admin/login", strings.NewReader("password=wrong"))
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.RemoteAddr = "127.0.0.1:1"
		response := httptest.NewRecorder()
		s.dashboard.Load().ServeHTTP(response, request)
		seen[response.Code]++
	}
	return seen
}

func TestPasswordsAreTriedSlowly(t *testing.T) {
	s := open(t)
	try := func(password string) int {
		response, _ := s.do(t, "/admin/login", url.Values{"password": {password}})
		return response.StatusCode
	}
	for i := range 5 {
		if got := try("wrong"); got != http.StatusForbidden {
			t.Errorf("try %d: %d", i, got)
		}
	}
	// The clock that is counted by stands still, so that every try waits longer
	// than the one before, until one would wait too long.
	seen := s.flood(t)
	if seen[http.StatusTooManyRequests] < flooded-1 || seen[http.StatusSeeOther] > 0 {
		t.Errorf("tries by one who does not wait: %v", seen)
	}
	if got := try(password); got != http.StatusTooManyRequests {
		t.Errorf("the right password when the lane is full: %d, want it not to be looked at", got)
	}
	s.now = s.now.Add(12 * time.Second)
	if got := try(password); got != http.StatusSeeOther {
		t.Errorf("after the wait: %d", got)
	}
	if strings.Contains(s.log.String(), password) {
		t.Error("the password is in the log")
	}
}

// TestTheRightPasswordGetsInAboveTheLimit: behind a proxy everybody's address is one.
func TestTheRightPasswordGetsInAboveTheLimit(t *testing.T) {
	s := open(t)
	for range 5 {
		s.do(t, "/admin/login", url.Values{"password": {"wrong"}})
	}
	s.signIn(t)
}

// TestABrowserThatSignedInBeforeHasItsOwnTries: nobody else uses them up.
func TestABrowserThatSignedInBeforeHasItsOwnTries(t *testing.T) {
	s := open(t)
	known := ""
	for _, cookie := range s.signIn(t).Cookies() {
		if cookie.Name == "stockroom_browser" && cookie.HttpOnly {
			known = cookie.Name + "=" + cookie.Value
		}
	}
	s.browser = &http.Client{CheckRedirect: s.browser.CheckRedirect} // Without the cookies.
	s.flood(t)
	try := func(headers ...string) int {
		response, _ := s.do(t, "/admin/login", url.Values{"password": {password}}, headers...)
		return response.StatusCode
	}
	if got := try("Cookie: stockroom_browser=made-up"); got != http.StatusTooManyRequests {
		t.Errorf("an unknown browser: %d", got)
	}
	if got := try("Cookie: " + known); got != http.StatusSeeOther {
		t.Errorf("the known browser: %d", got)
	}
	if response, _ := s.do(t, "/admin/", nil, "Cookie: "+strings.Replace(known, "browser", "admin", 1)); response.StatusCode != http.StatusSeeOther {
		t.Errorf("what names a browser opens a page: %d", response.StatusCode)
	}
}

func TestAChangedPasswordEndsSessions(t *testing.T) {
	s := open(t)
	s.signIn(t)
	s.serve(t, "another password")
	if response, _ := s.do(t, "/admin/", nil); response.StatusCode != http.StatusSeeOther {
		t.Errorf("the old password's session after it was changed: %d", response.StatusCode)
	}
	s.serve(t, password)
	if response, _ := s.do(t, "/admin/", nil); response.StatusCode != http.StatusOK {
		t.Errorf("a session after a start with the same password: %d", response.StatusCode)
	}
}

func TestAnotherSitesPageChangesNothing(t *testing.T) {
	s := open(t)
	s.signIn(t)
	path := "/admin/shops/" + domain + "/poll"
	for _, header := range []string{"Sec-Fetch-Site: cross-site", "Origin: https://evil.example"} {
		if response, _ := s.do(t, path, url.Values{}, header); response.StatusCode != http.StatusForbidden || len(s.polled) > 0 {
			t.Errorf("%s: %d, polled %v", header, response.StatusCode, s.polled)
		}
	}
	response, _ := s.do(t, path, url.Values{}, "Sec-Fetch-Site: same-origin")
	if response.StatusCode != http.StatusSeeOther || len(s.polled) != 1 || s.polled[0] != domain {
		t.Errorf("from its own page: %d, polled %v", response.StatusCode, s.polled)
	}
}

func TestAPollThatCannotBeAskedForIsSaid(t *testing.T) {
	s := open(t)
	s.signIn(t)
	s.pollErr = errors.New("queue is closed")
	response, problem := s.do(t, "/admin/shops/"+domain+"/poll", url.Values{})
	if response.StatusCode != http.StatusInternalServerError || strings.Contains(problem.text(), "queue is closed") || !strings.Contains(s.log.String(), "queue is closed") {
		t.Errorf("%d, %q, log %q", response.StatusCode, problem.text(), s.log.String())
	}
	if response, _ := s.do(t, "/admin/shops/unknown.myshopify.com/poll", url.Values{}); response.StatusCode != http.StatusNotFound {
		t.Errorf("an unknown shop: %d", response.StatusCode)
	}
}

// trouble gives the sample shop something to show.
func (s *site) trouble(t *testing.T) (run int64) {
	t.Helper()
	storetest.Update(t, s.store, func(tx *store.Tx) error {
		err := tx.SetSubscriptions(s.shop.ID, []store.Subscription{{Topic: "products/update", State: "active"}, {Topic: "orders/updated", State: "refused", Reason: "protected data"}})
		if err != nil {
			return err
		}
		err = tx.AddDeliveries([]store.Delivery{{ShopID: s.shop.ID, Topic: "a", WebhookID: "1", Body: []byte("{}"), ReceivedAt: storetest.Noon, State: store.DeliveryQuarantined}})
		if err != nil {
			return err
		}
		opened, _, err := tx.QueueRun(store.Run{ShopID: s.shop.ID, Kind: "poll", Reason: "schedule", QueuedAt: storetest.Noon})
		if err != nil {
			return err
		}
		run = opened.ID
		opened.State, opened.StartedAt, opened.EndedAt = store.RunOK, storetest.Noon, storetest.Noon.Add(time.Minute)
		if err := tx.SaveRun(opened); err != nil {
			return err
		}
		fields := `[{"field":"title","old":"Mug","new":"<script>Mug & cup</script>"},{"field":"descriptionHtml","old":null,"new":"` + strings.Repeat("ä", 500) + `"}]`
		if err := tx.AddDrift(run, []store.DriftRow{{Type: "Product", ID: storetest.Mug, Kind: mirror.KindProduct, Class: "stale", Fields: []byte(fields)}}); err != nil {
			return err
		}
		later, _, err := tx.QueueRun(store.Run{ShopID: s.shop.ID, Kind: "poll", Reason: "manual", QueuedAt: storetest.Noon})
		if err != nil {
			return err
		}
		later.State, later.Error = store.RunFailed, "token refused"
		return tx.SaveRun(later)
	})
	return run
}

func TestTheListShowsHowEveryShopStands(t *testing.T) {
	s := open(t)
	s.trouble(t)
	storetest.AddShop(t, s.store, "another.myshopify.com")
	s.signIn(t)
	_, list := s.do(t, "/admin/", nil)
	if rows := list.one(t, "table", "id", "shops").all("tr", "data-shop", "another.myshopify.com"); len(rows) != 1 {
		t.Errorf("the other shop has %d rows", len(rows))
	}
	row := list.one(t, "tr", "data-shop", domain)
	for field, want := range map[string]string{
		"state": "connected scopes missing: read_themes", "subscriptions": "1, 1 missing", "inbox": "0 new, 1 quarantined", "demands": "0", "last-run": "poll failed", "verified": "never",
	} {
		if got := row.one(t, "td", "data-field", field).text(); got != want {
			t.Errorf("%s: got %q, want %q", field, got, want)
		}
	}
	if href := attr(row.one(t, "a", "", "").Node, "href"); href != "/admin/shops/"+domain {
		t.Errorf("the shop leads to %s", href)
	}
	if scripts := list.all("script", "", ""); len(scripts) > 0 {
		t.Error("the page has a script")
	}
}

func TestAShopsPageShowsItsRunsAndTheNewestDrift(t *testing.T) {
	s := open(t)
	run := s.trouble(t)
	s.signIn(t)
	_, shop := s.do(t, "/admin/shops/"+domain, nil)
	if got := shop.one(t, "td", "data-topic", "orders/updated").text(); got != "orders/updated: protected data" {
		t.Errorf("subscription: %q", got)
	}
	if got := shop.one(t, "tr", "data-type", "ProductVariant").text(); got != "ProductVariant 4 never" {
		t.Errorf("rows: %q", got)
	}
	if got := shop.one(t, "tr", "data-run", "2").text(); !strings.Contains(got, "failed") || !strings.Contains(got, "token refused") || !strings.Contains(got, "none") {
		t.Errorf("the failed run: %q", got)
	}
	if run != 1 || shop.one(t, "tr", "data-run", "1").one(t, "td", "data-field", "drift").text() != "1 Product stale" {
		t.Error("the run that found drift does not say so")
	}
	drifted := shop.one(t, "table", "id", "drifted").one(t, "tr", "data-id", string(storetest.Mug))
	if text := drifted.text(); !strings.Contains(text, `title: "Mug" → "<script>Mug & cup</script>"`) || len(text) > 1000 {
		t.Errorf("drift: %q", text)
	}
	if form := shop.one(t, "form", "action", "/admin/shops/"+domain+"/poll"); attr(form.Node, "method") != "post" {
		t.Error("the button does not post")
	}
	_, clean := s.do(t, "/admin/shops/"+domain+"?run=2", nil)
	if tables := clean.all("table", "id", "drifted"); len(tables) > 0 {
		t.Error("a run without drift shows some")
	}
	for _, path := range []string{"/admin/shops/" + domain + "?run=99", "/admin/shops/" + domain + "?run=x", "/admin/shops/unknown.myshopify.com"} {
		if response, _ := s.do(t, path, nil); response.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", path, response.StatusCode)
		}
	}
}

func TestAShopsPageTellsWhatKeepsItFromBeingMirrored(t *testing.T) {
	s := open(t)
	s.signIn(t)
	err := s.store.Update(t.Context(), func(tx *store.Tx) error {
		shop, err := tx.ShopByDomain(domain)
		if err != nil {
			return err
		}
		shop.State, shop.Trouble, shop.TroubleAt = store.ShopReconnect, "Shopify refuses its refresh token", storetest.Noon
		shop.Scopes = "read_products"
		_, err = tx.SaveShop(shop)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	_, shown := s.do(t, "/admin/shops/"+domain, nil)
	for attribute, want := range map[string][2]string{
		"data-field":    {"trouble", "Shopify refuses its refresh token"},
		"data-resource": {"Discount", "the shop did not grant read_discounts"},
	} {
		found := shown.all("td", attribute, want[0])
		if len(found) != 1 || !strings.Contains(found[0].text(), want[1]) {
			t.Errorf("%s %s: %d cells; want one with %q", attribute, want[0], len(found), want[1])
		}
	}
	if found := shown.all("td", "data-resource", "Product"); len(found) != 0 {
		t.Error("products are called not mirrored")
	}
}

func TestThePasswordIsMadeOnceAndKeptFromOthers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	first, made, err := dashboard.Password(secret.Secret{}, file)
	if err != nil || !made || len(first.Reveal()) < 20 {
		t.Fatalf("first: made %v, %v", made, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	second, made, err := dashboard.Password(secret.Secret{}, file)
	if err != nil || made || !second.Equal(first) {
		t.Errorf("second: made %v, %v", made, err)
	}
	set, made, err := dashboard.Password(secret.New("mine"), file)
	if err != nil || made || set.Reveal() != "mine" {
		t.Errorf("set: made %v, %v", made, err)
	}
	if _, err := dashboard.New(dashboard.Config{Log: slog.New(slog.DiscardHandler)}); err == nil {
		t.Error("a dashboard without a password")
	}
}
