package connect_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stockroom/internal/connect"
	"stockroom/internal/mirror"
	"stockroom/internal/secret"
	"stockroom/internal/shopify"
	"stockroom/internal/store"
)

const (
	apiKey    = "the-client-id"
	newSecret = "the-new-secret"
	oldSecret = "the-old-secret"
	domain    = "my-shop.myshopify.com"
	allScopes = "read_discounts,read_inventory,read_locations,read_orders,write_products"
)

// fakeShopify is the little of Shopify that a connection needs: one shop's token
// endpoint, and its Admin API for identity, scopes and subscriptions.
type fakeShopify struct {
	server *httptest.Server

	mu            sync.Mutex
	codes         map[string]bool
	access        map[string]bool // Tokens that are accepted.
	refresh       string          // The one that is accepted.
	issued        int
	scopes        string
	calls         []string // Token grants and operations, in order.
	forms         []url.Values
	tokenStatus   int    // Not 0: what the token endpoint answers.
	noExpiry      bool   // The answer forgets expires_in.
	identity      string // What the shop calls itself.
	subscriptions []subscription
	refuse        map[string]string // By topic: the user error of a new subscription.
	beforeCall    func(operation string)
	beforeToken   func()
}

type subscription struct {
	ID, Topic, URI, Format string
	Filter                 *string
	IncludeFields          []string
	Version                string
}

func newFake(t *testing.T) *fakeShopify {
	f := &fakeShopify{codes: map[string]bool{}, access: map[string]bool{}, scopes: allScopes, identity: domain, refuse: map[string]string{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{shop}/admin/oauth/access_token", f.token)
	mux.HandleFunc("POST /{shop}/admin/api/{version}/graphql.json", f.graphql)
	f.server = httptest.NewServer(mux)
	t.Cleanup(f.server.Close)
	return f
}

func (f *fakeShopify) token(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_ = r.ParseForm()
	if f.beforeToken != nil {
		f.beforeToken()
	}
	f.forms = append(f.forms, r.PostForm)
	grant := "exchange"
	if r.PostForm.Get("grant_type") == "refresh_token" {
		grant = "refresh"
	}
	f.calls = append(f.calls, grant)
	ok := f.codes[r.PostForm.Get("code")]
	status, reason := 400, "invalid_request"
	if grant == "refresh" {
		ok, status = f.refresh != "" && r.PostForm.Get("refresh_token") == f.refresh, 401
	}
	if f.tokenStatus != 0 {
		ok, status, reason = false, f.tokenStatus, "trouble"
	}
	if !ok {
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"error":%q,"error_description":"no"}`, reason)
		return
	}
	delete(f.codes, r.PostForm.Get("code"))
	f.issued++
	token := "shpat_" + strconv.Itoa(f.issued)
	f.refresh = "shprt_" + strconv.Itoa(f.issued)
	f.access[token] = true
	answer := map[string]any{"access_token": token, "scope": f.scopes, "refresh_token": f.refresh, "refresh_token_expires_in": 7776000}
	if !f.noExpiry {
		answer["expires_in"] = 3600
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (f *fakeShopify) graphql(w http.ResponseWriter, r *http.Request) {
	var request struct {
		OperationName string         `json:"operationName"`
		Variables     map[string]any `json:"variables"`
	}
	_ = json.NewDecoder(r.Body).Decode(&request)
	if before := f.hook(); before != nil {
		before(request.OperationName)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, request.OperationName)
	if !f.access[r.Header.Get("X-Shopify-Access-Token")] {
		w.WriteHeader(401)
		_, _ = io.WriteString(w, `{"errors":"[API] Invalid API key or access token (unrecognized login or wrong password)"}`)
		return
	}
	w.Header().Set("X-Shopify-Api-Version", r.PathValue("version"))
	// The bucket is always full, so that no test waits for it.
	cost := map[string]any{"requestedQueryCost": 10, "actualQueryCost": 10,
		"throttleStatus": map[string]any{"maximumAvailable": 20000, "currentlyAvailable": 20000, "restoreRate": 1000}}
	_ = json.NewEncoder(w).Encode(map[string]any{"data": f.answer(request.OperationName, request.Variables), "extensions": map[string]any{"cost": cost}})
}

func (f *fakeShopify) hook() func(string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.beforeCall
}

const pageSize = 3

func (f *fakeShopify) answer(operation string, v map[string]any) any {
	type m = map[string]any
	text := func(name string) string { s, _ := v[name].(string); return s }
	fields := func() []string {
		list := []string{}
		for _, one := range v["includeFields"].([]any) {
			list = append(list, one.(string))
		}
		return list
	}
	show := func(s subscription) m {
		return m{"id": s.ID, "topic": s.Topic, "uri": s.URI, "format": s.Format, "filter": s.Filter, "includeFields": s.IncludeFields,
			"metafieldNamespaces": []string{}, "apiVersion": m{"handle": s.Version}}
	}
	switch operation {
	case "ReadShop":
		return m{"shop": m{"id": "gid://shopify/Shop/1", "name": "My Shop", "myshopifyDomain": f.identity, "primaryDomain": m{"url": "https://" + f.identity},
			"currencyCode": "EUR", "ianaTimezone": "Europe/Berlin", "updatedAt": "2026-11-24T10:00:00Z",
			"metafields": m{"nodes": []any{}, "pageInfo": m{"hasNextPage": false, "endCursor": nil}}}}
	case "GrantedScopes":
		scopes := []any{}
		for scope := range strings.SplitSeq(f.scopes, ",") {
			scopes = append(scopes, m{"handle": scope})
		}
		return m{"currentAppInstallation": m{"accessScopes": scopes}}
	case "ListSubscriptions":
		from, _ := strconv.Atoi(text("after"))
		to := min(from+pageSize, len(f.subscriptions))
		nodes := []any{}
		for _, s := range f.subscriptions[from:to] {
			nodes = append(nodes, show(s))
		}
		return m{"webhookSubscriptions": m{"nodes": nodes, "pageInfo": m{"hasNextPage": to < len(f.subscriptions), "endCursor": strconv.Itoa(to)}}}
	case "CreateSubscription":
		if reason := f.refuse[text("topic")]; reason != "" {
			return m{"webhookSubscriptionCreate": m{"webhookSubscription": nil, "userErrors": []any{m{"field": []string{"webhookSubscription", "callbackUrl"}, "message": reason}}}}
		}
		f.issued++
		s := subscription{ID: "gid://shopify/WebhookSubscription/" + strconv.Itoa(f.issued), Topic: text("topic"), URI: text("uri"), Format: "JSON",
			IncludeFields: fields(), Version: shopify.Version}
		f.subscriptions = append(f.subscriptions, s)
		return m{"webhookSubscriptionCreate": m{"webhookSubscription": show(s), "userErrors": []any{}}}
	case "UpdateSubscription":
		for i, s := range f.subscriptions {
			if s.ID == text("id") {
				s.URI, s.IncludeFields, s.Version = text("uri"), fields(), shopify.Version
				f.subscriptions[i] = s
				return m{"webhookSubscriptionUpdate": m{"webhookSubscription": show(s), "userErrors": []any{}}}
			}
		}
		return m{"webhookSubscriptionUpdate": m{"webhookSubscription": nil, "userErrors": []any{m{"field": []string{"id"}, "message": "Webhook subscription does not exist"}}}}
	case "DeleteSubscription":
		f.subscriptions = slices.DeleteFunc(f.subscriptions, func(s subscription) bool { return s.ID == text("id") })
		return m{"webhookSubscriptionDelete": m{"deletedWebhookSubscriptionId": text("id"), "userErrors": []any{}}}
	}
	return m{}
}

func (f *fakeShopify) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fakeShopify) count(call string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, c := range f.calls {
		if c == call {
			n++
		}
	}
	return n
}

// world is a connector behind real HTTP, and a browser.
type world struct {
	*testing.T
	fake    *fakeShopify
	store   *store.Store
	c       *connect.Connector
	server  *httptest.Server
	browser *http.Client
	config  connect.Config
	logs    *safeBuffer
	skip    atomic.Int64 // Nanoseconds that the clock is ahead.

	mu        sync.Mutex
	connected []store.Shop
	changed   []store.Shop
	keys      int
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func newWorld(t *testing.T, change ...func(*connect.Config)) *world {
	t.Helper()
	db, err := store.Open(context.Background(), "sqlite://"+filepath.Join(t.TempDir(), "stockroom.db"), store.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	sealer, err := secret.OpenSealer(secret.NewKeyset())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, fake: newFake(t), store: db, logs: new(safeBuffer)}
	config := connect.Config{
		Store: db, Sealer: sealer, APIKey: apiKey, Secrets: []secret.Secret{secret.New(newSecret), secret.New(oldSecret)},
		RedirectURI:    "https://stockroom.example/shopify/callback",
		WebhookAddress: "https://stockroom.example/shopify/webhook",
		ShopURL:        func(domain string) string { return w.fake.server.URL + "/" + domain },
		Events: connect.Events{
			Connected: func(_ context.Context, shop store.Shop) error {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.connected = append(w.connected, shop)
				return nil
			},
			ScopesChanged: func(_ context.Context, shop store.Shop) error {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.changed = append(w.changed, shop)
				return nil
			},
			KeysChanged: func() {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.keys++
			},
		},
		Now: func() time.Time { return time.Now().Add(time.Duration(w.skip.Load())) },
		Log: slog.New(slog.NewTextHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, c := range change {
		c(&config)
	}
	w.config = config
	w.c = w.restart()
	mux := http.NewServeMux()
	mux.Handle("/shopify/", w.c.Handler())
	mux.Handle("/connected", w.c.Handler())
	mux.HandleFunc("/{$}", func(rw http.ResponseWriter, r *http.Request) {
		if !w.c.Launch(rw, r) {
			_, _ = io.WriteString(rw, "no launch")
		}
	})
	w.server = httptest.NewTLSServer(mux) // TLS, so that the jar sends Secure cookies.
	t.Cleanup(w.server.Close)
	w.browser = w.newBrowser()
	return w
}

// newBrowser keeps cookies and shows redirects instead of following them.
func (w *world) newBrowser() *http.Client {
	client := *w.server.Client()
	client.Jar, _ = cookiejar.New(nil)
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}

// restart makes a connector that remembers nothing but what is stored.
func (w *world) restart() *connect.Connector { return connect.New(w.config) }

func (w *world) later(d time.Duration) { w.skip.Add(int64(d)) }

type page struct {
	*http.Response
	text string
}

func (w *world) get(path string) page {
	w.Helper()
	reply, err := w.browser.Get(w.server.URL + path)
	if err != nil {
		w.Fatal(err)
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		w.Fatal(err)
	}
	return page{reply, string(text)}
}

func (w *world) want(p page, status int, parts ...string) {
	w.Helper()
	if p.StatusCode != status {
		w.Fatalf("status %d, want %d:\n%s", p.StatusCode, status, p.text)
	}
	for _, part := range parts {
		if !strings.Contains(p.text, part) {
			w.Errorf("page lacks %q:\n%s", part, p.text)
		}
	}
}

// begin starts a login and gives the state that the browser was sent off with.
func (w *world) begin(shop string) string {
	w.Helper()
	p := w.get("/shopify/login?shop=" + shop)
	w.want(p, 302)
	to, err := p.Location()
	if err != nil {
		w.Fatal(err)
	}
	return to.Query().Get("state")
}

// signed is a query as Shopify signs it; values come as pairs.
func (w *world) signed(signer string, pairs ...string) string {
	values := url.Values{"timestamp": {strconv.FormatInt(time.Now().Add(time.Duration(w.skip.Load())).Unix(), 10)}}
	for i := 0; i < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	mac := hmac.New(sha256.New, []byte(signer))
	mac.Write([]byte(values.Encode())) // None of the test's values has a space.
	values.Set("hmac", hex.EncodeToString(mac.Sum(nil)))
	return values.Encode()
}

// callback is what Shopify sends the browser back with.
func (w *world) callback(signer, state, shop string, more ...string) string {
	code := "code-" + secret.RandomToken(8)
	w.fake.set(func() { w.fake.codes[code] = true })
	return "/shopify/callback?" + w.signed(signer, append([]string{"code", code, "host", "YWRtaW4", "shop", shop, "state", state}, more...)...)
}

// connect logs the shop in, from the first page to the last.
func (w *world) connect() store.Shop {
	w.Helper()
	p := w.get(w.callback(newSecret, w.begin(domain), domain))
	w.want(p, 302)
	if to := p.Header.Get("Location"); to != "/connected" {
		w.Fatalf("sent to %q, want /connected", to)
	}
	return w.shop(domain)
}

func (w *world) shop(domain string) (shop store.Shop) {
	w.Helper()
	err := w.store.View(w.Context(), func(tx *store.Tx) (err error) {
		shop, err = tx.ShopByDomain(domain)
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
	return shop
}

func (w *world) count(table string) (n int) {
	w.Helper()
	if err := w.store.Writer().QueryRow(`SELECT COUNT(*) FROM ` + table).Scan(&n); err != nil {
		w.Fatal(err)
	}
	return n
}

func (w *world) token(shop store.Shop, rejected string) (string, error) {
	token, err := w.c.AccessToken(w.Context(), shop.ID, secret.New(rejected))
	return token.Reveal(), err
}

func (w *world) subscriptions(shop store.Shop) (all []store.Subscription) {
	w.Helper()
	err := w.store.View(w.Context(), func(tx *store.Tx) (err error) {
		all, err = tx.Subscriptions(shop.ID)
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
	return all
}

func (w *world) connections() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.connected)
}

func (w *world) deliver(shop store.Shop, topic, body string, bound bool, triggered time.Time) bool {
	w.Helper()
	handled, err := w.c.Control(w.Context(), store.Delivery{ShopID: shop.ID, Topic: topic, Bound: bound, Body: []byte(body),
		TriggeredAt: mirror.At(triggered), ReceivedAt: mirror.At(time.Now().Add(time.Hour))})
	if err != nil {
		w.Fatal(err)
	}
	return handled
}
