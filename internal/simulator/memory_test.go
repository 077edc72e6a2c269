package simulator_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"stockroom/internal/simulator"
)

// bubble is a simulator and an app within a synctest bubble, connected without
// a network.
type bubble struct {
	*simulator.Simulator
	t      *testing.T
	shop   *simulator.Shop
	client *http.Client // Reaches the simulator.
	answer func() int   // What the app answers webhooks; nil is 200.

	mu     sync.Mutex
	heard  []hook
	access simulator.Access
	token  string
}

// inBubble runs a test with an app that hears of some topics.
func inBubble(t *testing.T, catalogue simulator.Catalogue, topics []string, test func(*bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bubble{t: t}
		inbox := simulator.NewListener()
		app := &http.Server{Handler: http.HandlerFunc(b.take)}
		go func() { _ = app.Serve(inbox) }()
		deliver := inbox.Client()
		deliver.Timeout = 5 * time.Second
		b.Simulator = simulator.New(simulator.Config{
			Apps: []simulator.App{{Name: "Stock app", ClientID: clientID, Secrets: []string{secret}, RedirectURIs: []string{callback}, ProtectedData: true}},
			Seed: 7, Deliver: deliver, AutoConsent: true, BaseURL: "https://" + domain,
		})
		var err error
		if b.shop, err = b.AddShop(domain, catalogue); err != nil {
			t.Fatal(err)
		}
		if b.token, err = b.shop.IssueToken(clientID, append([]string{"write_products"}, allScopes...)...); err != nil {
			t.Fatal(err)
		}
		b.access = b.shop.AccessOf(b.token)
		b.access.APIVersion = "2026-10"
		for _, topic := range topics {
			if _, errs := b.access.Installation.Subscribe(b.access, simulator.Subscription{Topic: topic, URI: "https://app.example/hooks"}); errs != nil {
				t.Fatal(errs)
			}
		}
		if err := b.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		listener := simulator.NewListener()
		server := &http.Server{Handler: b.Handler(), ReadHeaderTimeout: 10 * time.Second}
		go func() { _ = server.Serve(listener) }()
		b.client = listener.Client()
		test(b)
		b.Stop()
		b.client.CloseIdleConnections()
		_ = server.Close()
		_ = app.Close()
	})
}

// take is the app's receiver of webhooks.
func (b *bubble) take(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		b.t.Errorf("read webhook: %v", err)
	}
	h := hook{header: r.Header.Clone(), raw: raw}
	if err := json.Unmarshal(raw, &h.body); err != nil {
		b.t.Errorf("webhook: %v", err)
	}
	b.mu.Lock()
	b.heard = append(b.heard, h)
	answer := b.answer
	b.mu.Unlock()
	if answer != nil {
		w.WriteHeader(answer())
	}
}

// hooks are the webhooks since the last call.
func (b *bubble) hooks() []hook {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	out := b.heard
	b.heard = nil
	return out
}

// pass lets time go by.
func (b *bubble) pass(d time.Duration) {
	time.Sleep(d) // The bubble's time.
	synctest.Wait()
}

// rename changes a product, as a merchant does.
func (b *bubble) rename(title string) {
	b.t.Helper()
	if err := b.shop.UpdateProduct(b.shop.Products.IDs()[0], func(p *simulator.Product) { p.Title = title }); err != nil {
		b.t.Fatal(err)
	}
	synctest.Wait()
}

// post sends JSON to the shop's own host and answers status and body; an error
// of the connection is returned.
func (b *bubble) post(path string, header http.Header, body string) (int, []byte, error) {
	request, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, "https://"+domain+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	for name, values := range header {
		request.Header[name] = values
	}
	if request.Header.Get("Content-Type") == "" {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := b.client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	return response.StatusCode, raw, err
}

// ask sends a query with the app's token.
func (b *bubble) ask(query string) (int, []byte, error) {
	body, err := json.Marshal(map[string]string{"query": query})
	if err != nil {
		b.t.Fatal(err)
	}
	return b.post("/admin/api/2026-10/graphql.json", http.Header{"X-Shopify-Access-Token": {b.token}}, string(body))
}

func TestThirtyDaysPassInAMoment(t *testing.T) {
	const rate = 1.0 / 600 // A change every ten minutes.
	var began, ended time.Time
	changes, heard, refused, requests := int64(0), 0, 0, 0
	inBubble(t, simulator.Catalogue{Products: 40}, []string{"PRODUCTS_CREATE", "PRODUCTS_UPDATE", "PRODUCTS_DELETE", "INVENTORY_LEVELS_UPDATE", "ORDERS_CREATE"}, func(b *bubble) {
		began = time.Now()
		// The app is down for some minutes every seven hours.
		b.answer = func() int {
			if time.Since(began)%(7*time.Hour) < 10*time.Minute {
				return http.StatusServiceUnavailable
			}
			return http.StatusOK
		}
		b.SetFaults(simulator.Faults{Double: 0.05, Stale: 0.02, Late: 0.02, Fail: 0.05})
		if err := b.SetTraffic(rate); err != nil {
			b.t.Fatal(err)
		}
		// Tokens of an hour, as an app without a person at its screen keeps them.
		status, raw, err := b.post("/admin/oauth/access_token", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, url.Values{
			"client_id": {clientID}, "client_secret": {secret}, "expiring": {"1"}, "code": {b.code()}}.Encode())
		if err != nil || status != http.StatusOK {
			b.t.Fatalf("token: %d %s %v", status, raw, err)
		}
		var tokens tokenReply
		if err := json.Unmarshal(raw, &tokens); err != nil {
			b.t.Fatal(err)
		}
		for time.Since(began) < 30*24*time.Hour {
			b.pass(50 * time.Minute)
			status, raw, err := b.post("/admin/oauth/access_token", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, url.Values{
				"client_id": {clientID}, "client_secret": {secret}, "grant_type": {"refresh_token"}, "refresh_token": {tokens.Refresh}}.Encode())
			if err != nil || status != http.StatusOK {
				b.t.Fatalf("refresh after %s: %d %s %v", time.Since(began), status, raw, err)
			}
			if err := json.Unmarshal(raw, &tokens); err != nil {
				b.t.Fatal(err)
			}
			b.token = tokens.Access
			status, raw, err = b.ask(`{ products(first: 250, sortKey: UPDATED_AT) { nodes { id title totalInventory } } }`)
			if err != nil || status != http.StatusOK || bytes.Contains(raw, []byte(`"errors"`)) {
				b.t.Fatalf("read after %s: %d %.200s %v", time.Since(began), status, raw, err)
			}
			requests++
		}
		changes = b.Traffic().Made
		if err := b.SetTraffic(0); err != nil {
			b.t.Fatal(err)
		}
		b.pass(24 * time.Hour) // Until the last retry.
		ended = time.Now()
		for _, d := range b.Deliveries() {
			if heard++; !d.Done || !d.Accepted() && !d.Skipped {
				refused++
				if refused < 4 {
					b.t.Errorf("%s of %s: %+v", d.Topic, d.TriggeredAt, d.Attempts)
				}
			}
		}
		if left := b.access.Installation.Subscriptions(); len(left) != 5 {
			b.t.Errorf("%d subscriptions left", len(left))
		}
	})
	expected := 30 * 24 * 3600 * rate
	if float64(changes) < 0.9*expected || float64(changes) > 1.1*expected {
		t.Errorf("%d changes in 30 days, want about %v", changes, expected)
	}
	if heard < int(changes) {
		t.Errorf("%d webhooks of %d changes", heard, changes)
	}
	t.Logf("%s: %d changes, %d webhooks, %d never accepted, %d rounds of the app", ended.Sub(began), changes, heard, refused, requests)
}

// code installs the app anew and returns the code of the callback.
func (b *bubble) code() string {
	b.t.Helper()
	client := *b.client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := client.Get("https://" + domain + "/admin/oauth/authorize?" + url.Values{"client_id": {clientID},
		"scope": {strings.Join(allScopes, ",")}, "redirect_uri": {callback}, "state": {"n0nce"}}.Encode())
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	target, err := response.Location()
	if err != nil {
		b.t.Fatal(fmt.Errorf("authorize: status %d: %w", response.StatusCode, err))
	}
	return target.Query().Get("code")
}
