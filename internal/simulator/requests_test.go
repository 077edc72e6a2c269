package simulator_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"stockroom/internal/simulator"
)

func (w *world) control(path string, into any) string {
	w.t.Helper()
	response, err := http.Get(w.url + "/_sim/" + path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && into != nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		w.t.Fatalf("%s: %v: %s", path, err, text)
	}
	return string(text)
}

// TestTheLogShowsWhatWasSent: the body byte for byte with its headers, of each
// attempt, in JSON and on the page, and no more of them than there is room for.
func TestTheLogShowsWhatWasSent(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 1}, func(c *simulator.Config) { c.SentBytes = 20_000 })
	w.subscribe(nil, "PRODUCTS_UPDATE")
	rename := func(title string) {
		t.Helper()
		if err := w.shop.UpdateProduct(w.firstProduct().ID, func(p *simulator.Product) { p.Title = title }); err != nil {
			t.Fatal(err)
		}
	}
	w.SetFaults(simulator.Faults{Forge: 1})
	rename("Tea & <b>")
	heard := w.heard()
	var log []simulator.Delivery
	w.control("deliveries", &log)
	if len(log) != 1 || len(log[0].Attempts) != 2 || len(heard) != 2 {
		t.Fatalf("heard %d, log %+v", len(heard), log)
	}
	for i, attempt := range log[0].Attempts {
		if attempt.Sent == nil || attempt.Sent.Body != string(heard[i].raw) {
			t.Fatalf("attempt %d: %+v, heard %s", i, attempt.Sent, heard[i].raw)
		}
		for _, name := range []string{"X-Shopify-Topic", "X-Shopify-Hmac-Sha256", "X-Shopify-Webhook-Id", "X-Shopify-Triggered-At", "Content-Type"} {
			if got, want := attempt.Sent.Headers[name], heard[i].header.Get(name); got != want || want == "" {
				t.Errorf("attempt %d, %s: %q, heard %q", i, name, got, want)
			}
		}
	}
	page := w.control("ui/webhooks/"+log[0].WebhookID, nil)
	if !strings.Contains(page, heard[1].header.Get("X-Shopify-Hmac-Sha256")) && !strings.Contains(page, "X-Shopify-Hmac-Sha256: ") || !strings.Contains(page, "Tea &amp; &lt;b&gt;") && !strings.Contains(page, `Tea \u0026`) {
		t.Errorf("the page: %s", page)
	}
	if list := w.control("ui/webhooks", nil); !strings.Contains(list, "/_sim/ui/webhooks/"+log[0].WebhookID) {
		t.Error("the list does not lead there")
	}

	w.SetFaults(simulator.Faults{})
	for n := range 30 {
		rename(fmt.Sprint("title ", n))
		w.heard() // One after the other, so that the last is the latest.
	}
	log = nil
	w.control("deliveries", &log)
	kept, size := 0, 0
	for _, d := range log {
		for _, attempt := range d.Attempts {
			if attempt.Sent != nil {
				kept++
				size += len(attempt.Sent.Body)
			}
		}
	}
	if last := log[len(log)-1].Attempts[0]; kept == 0 || size > 20_000 || last.Sent == nil || log[0].Attempts[0].Sent != nil {
		t.Errorf("%d bodies of %d bytes are remembered, the first %v, the last %v", kept, size, log[0].Attempts[0].Sent, last.Sent)
	}
	if strings.Contains(saved(t, w.Simulator), "X-Shopify-Hmac-Sha256") {
		t.Error("they are in the state")
	}
}

func TestRequestsAreLogged(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 1}, func(c *simulator.Config) { c.AutoConsent = true })
	pair := w.expiring(t)
	c := w.client(allScopes...)
	c.token = pair.Access
	c.ask(`# who
		query WhoAmI { shop { name } }`)
	c.ask(`{ products(first: 1) { nodes { id } } }`)
	c.ask(`query Denied { orders(first: 1) { nodes { nope } } }`)
	w.SetFaults(simulator.Faults{Throttle: 1})
	c.ask(`query Dear { shop { name } }`)
	w.SetFaults(simulator.Faults{Reset: 1})
	if response, err := http.Post(w.url+"/"+domain+"/admin/api/2026-10/graphql.json", "application/json", strings.NewReader("{}")); err == nil {
		response.Body.Close()
		t.Error("the connection was not reset")
	}
	w.SetFaults(simulator.Faults{})
	w.wantAPI(t, "wrong", "shpat_wrong", http.StatusUnauthorized)
	for _, path := range []string{"/" + domain + "/admin/" + pair.Access + "?token=" + pair.Access, "/nobody.myshopify.com/x"} {
		response, err := http.Get(w.url + path)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
	}

	var log []simulator.Request
	text := w.control("requests", &log)
	var got []string
	for _, r := range log {
		line := fmt.Sprint(r.Shop, " ", r.Method, " ", r.Path, " ", r.Status, " ", r.Operation)
		if r.Cost != nil {
			line += fmt.Sprint(" cost ", r.Cost.Requested, " ", r.Cost.Actual != nil)
		}
		got = append(got, strings.TrimSpace(fmt.Sprint(line, " ", r.Throttled, " ", r.Errors)))
		if r.At.IsZero() || r.ID == "" {
			t.Errorf("%+v", r)
		}
	}
	api := domain + " POST /admin/api/2026-10/graphql.json "
	want := []string{
		domain + " GET /admin/oauth/authorize 302  false []",
		domain + " POST /admin/oauth/access_token 200  false []",
		api + "200 WhoAmI cost 1 true false []",
		api + "200  cost 3 true false []",
		api + "200 Denied false [undefinedField]",
		api + "200 Dear cost 1 false true [THROTTLED]",
		api + "0  false []",
		api + "401  false []",
		domain + " GET /admin/(token) 404  false []",
		" GET /nobody.myshopify.com/x 404  false []",
	}
	for i := range want {
		want[i] = strings.TrimSpace(want[i])
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, hidden := range []string{pair.Access, pair.Refresh, "shpat_", secret} {
		if strings.Contains(text, hidden) {
			t.Errorf("%q is in the log", hidden)
		}
	}
	for range 2500 {
		request, err := http.NewRequest(http.MethodGet, "/"+domain+"/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		w.Handler().ServeHTTP(discard{}, request)
	}
	w.control("requests", &log)
	if len(log) != 1000 {
		t.Errorf("%d are remembered", len(log))
	}
	if w.control("requests?limit=2", &log); len(log) != 2 || log[1].Path != "/x" {
		t.Errorf("the latest two: %+v", log)
	}
	if text := w.control("requests?limit=x", nil); !strings.Contains(text, "limit") {
		t.Errorf("a limit that is none: %s", text)
	}
}

// discard takes an answer that nobody reads.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}

func TestAllFaultsEndAtOnce(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 1}, nil)
	w.SetFaults(simulator.Faults{Throttle: 1, Lose: map[string]float64{"*": 1}, Deny: []string{"Product.title"}})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, w.url+"/_sim/faults", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if f := w.Faults(); response.StatusCode != http.StatusOK || f.Throttle != 0 || len(f.Lose) > 0 || len(f.Deny) > 0 {
		t.Errorf("status %d, faults %+v", response.StatusCode, f)
	}
}
