package simulator_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stockroom/internal/simulator"
)

const (
	clientID = "app-1"
	secret   = "a secret"
	oldest   = "an older secret"
	domain   = "tea-house.myshopify.com"
	callback = "http://127.0.0.1:9/callback"
)

var allScopes = []string{
	"read_products", "read_inventory", "read_locations", "read_discounts", "read_orders",
}

// hook is a webhook as it arrived.
type hook struct {
	header http.Header
	raw    []byte
	body   map[string]any
}

func (h hook) topic() string { return h.header.Get("X-Shopify-Topic") }

// world is a simulator over loopback with one shop, one app that is installed,
// and a receiver of webhooks.
type world struct {
	*simulator.Simulator
	t      *testing.T
	shop   *simulator.Shop
	url    string // The simulator's.
	inbox  *httptest.Server
	status int    // What the receiver answers,
	block  func() // after this.

	mu    sync.Mutex
	hooks []hook
}

// newWorld starts one. configure may change what it is made from.
func newWorld(t *testing.T, catalogue simulator.Catalogue, configure func(*simulator.Config)) *world {
	t.Helper()
	return startWorld(t, configure, func(w *world) {
		var err error
		if w.shop, err = w.AddShop(domain, catalogue); err != nil {
			t.Fatal(err)
		}
	})
}

// startWorld starts one whose shops fill makes.
func startWorld(t *testing.T, configure func(*simulator.Config), fill func(*world)) *world {
	t.Helper()
	w := &world{t: t, status: http.StatusOK}
	w.inbox = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read webhook: %v", err)
		}
		h := hook{header: r.Header.Clone(), raw: raw}
		decoder := json.NewDecoder(bytes.NewReader(raw))
		decoder.UseNumber()
		if err := decoder.Decode(&h.body); err != nil {
			t.Errorf("webhook %s: %v", r.Header.Get("X-Shopify-Topic"), err)
		}
		w.mu.Lock()
		w.hooks = append(w.hooks, h)
		status, block := w.status, w.block
		w.mu.Unlock()
		if block != nil {
			block()
		}
		rw.WriteHeader(status)
	}))
	t.Cleanup(w.inbox.Close)
	config := simulator.Config{
		Apps: []simulator.App{{Name: "Stock app", ClientID: clientID, Secrets: []string{secret, oldest}, RedirectURIs: []string{callback}, ProtectedData: true}},
		Seed: 7,
	}
	if configure != nil {
		configure(&config)
	}
	w.Simulator = simulator.New(config)
	server := httptest.NewServer(w.Handler())
	t.Cleanup(server.Close)
	w.url = server.URL
	fill(w)
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	return w
}

// subscribe makes subscriptions to topics (enum values) as an app's mutation does.
func (w *world) subscribe(change func(*simulator.Subscription), topics ...string) simulator.Access {
	w.t.Helper()
	token, err := w.shop.IssueToken(clientID, allScopes...)
	if err != nil {
		w.t.Fatal(err)
	}
	access := w.shop.AccessOf(token)
	access.APIVersion = "2026-10"
	for _, topic := range topics {
		sub := simulator.Subscription{Topic: topic, URI: w.inbox.URL}
		if change != nil {
			change(&sub)
		}
		if _, errs := access.Installation.Subscribe(access, sub); errs != nil {
			w.t.Fatalf("subscribe to %s: %v", topic, errs)
		}
	}
	return access
}

// heard waits until all webhooks were tried and returns what came, of some
// topics or of all.
func (w *world) heard(topics ...string) []hook {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	if err := w.Quiet(ctx); err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	out := slices.Clone(w.hooks)
	w.hooks = nil
	return slices.DeleteFunc(out, func(h hook) bool { return len(topics) > 0 && !slices.Contains(topics, h.topic()) })
}

func topicsOf(hooks []hook) []string {
	var out []string
	for _, h := range hooks {
		out = append(out, h.topic())
	}
	slices.Sort(out)
	return out
}

func sign(key string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write(body)
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// answerFrom sets what the receiver of webhooks answers from now on.
func (w *world) answerFrom(status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status = status
}

// firstProduct returns the shop's first product, which tests may read while nobody edits.
func (w *world) firstProduct() *simulator.Product {
	w.t.Helper()
	for p := range w.shop.Products.All() {
		return p
	}
	w.t.Fatal("the shop is empty")
	return nil
}

func export(t *testing.T, s *simulator.Shop) string {
	t.Helper()
	var b strings.Builder
	if err := s.Export(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// queryHMAC signs a query as the documentation describes it, by another way
// than the simulator's own.
func queryHMAC(query url.Values, key string) string {
	var parts []string
	for name := range query {
		if name != "hmac" {
			parts = append(parts, name+"="+query.Get(name))
		}
	}
	slices.Sort(parts)
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(strings.Join(parts, "&")))
	return hex.EncodeToString(mac.Sum(nil))
}
