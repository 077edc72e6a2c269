package simulator_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"stockroom/internal/simulator"
)

var updates = []string{"PRODUCTS_UPDATE"}

func TestEveryFaultSaysWhatItDoes(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{}, nil)
	w.SetFaults(simulator.Faults{Late: 0.25})
	response, err := http.Get(w.url + "/_sim/faults/all")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var knobs []struct {
		Name, Sentence, Kind, Value string
		On                          bool
	}
	decode(t, response, &knobs)
	documentation, err := os.ReadFile("../../docs/simulator.md")
	if err != nil {
		t.Fatal(err)
	}
	if len(knobs) < 32 {
		t.Errorf("%d faults", len(knobs))
	}
	for _, knob := range knobs {
		if knob.Sentence == "" || knob.Kind == "" {
			t.Errorf("%s is not explained", knob.Name)
		}
		if !strings.Contains(string(documentation), "\n| `"+knob.Name+"` | ") {
			t.Errorf("docs/simulator.md does not tell of %s", knob.Name)
		}
		if knob.On != (knob.Name == "late") || knob.On && knob.Value != "0.25" {
			t.Errorf("%+v", knob)
		}
	}
}

func TestFaultsAreSetOverHTTP(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{}, nil)
	set := func(body string) int {
		response, err := http.Post(w.url+"/_sim/faults", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		return response.StatusCode
	}
	if status := set(`{"deny":["Product.variants"],"skew":"-2h","stale":0.5,"token_life":"3m"}`); status != http.StatusOK {
		t.Fatalf("status %d", status)
	}
	if status := set(`{"reset":0.5}`); status != http.StatusOK {
		t.Fatalf("status %d", status)
	}
	f := w.Faults()
	if len(f.Deny) != 1 || time.Duration(f.Skew) != -2*time.Hour || f.Stale != 0.5 || time.Duration(f.TokenLife) != 3*time.Minute || f.Reset != 0.5 {
		t.Errorf("faults %+v", f)
	}
	for _, bad := range []string{`{"late":1.5}`, `{"lose":{"*":2}}`, `{"slow_pages":"-1s"}`, `{"deny":["Product.nothing"]}`, `{"deny":["nothing"]}`, `{"null":["Nothing"]}`} {
		if status := set(bad); status != http.StatusBadRequest {
			t.Errorf("%s: status %d", bad, status)
		}
	}
	if status := set(`{"deny":[]}`); status != http.StatusOK || len(w.Faults().Deny) != 0 {
		t.Errorf("status %d, still denied: %v", status, w.Faults().Deny)
	}
}

// TestTypesMayBecomeNullAndSearchesForgetFields are the faults by which a mirror
// loses records that live, or reads more than it asked for.
func TestTypesMayBecomeNullAndSearchesForgetFields(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 5, Orders: 3}, nil)
	c := w.client(allScopes...)
	p := w.firstProduct()
	var discount *simulator.Discount
	for discount = range w.shop.Discounts.All() {
		break
	}
	w.SetFaults(simulator.Faults{Null: []string{"Product", "DiscountNode"}, Unfiltered: []string{"updated_at"}})
	c.expect(`{"nodes":[null],"product":null,"discountNode":null}`,
		`query($p: ID!, $d: ID!) { nodes(ids: [$p]) { id } product(id: $p) { id } discountNode(id: $d) { id } }`, "p", p.GID(), "d", discount.GID())
	// What leads to them from other objects is there.
	variant := p.Variants[0]
	c.expect(`{"productVariant":{"product":{"id":"`+p.GID()+`"}}}`, `query($v: ID!) { productVariant(id: $v) { product { id } } }`, "v", variant.GID())
	w.SetFaults(simulator.Faults{Null: []string{"ProductVariant", "Metafield", "InventoryLevel"}, Unfiltered: []string{"updated_at"}})
	for order := range w.shop.Orders.All() {
		if line := order.LineItems[0]; line.VariantID != 0 {
			c.expect(`{"order":{"lineItems":{"nodes":[{"variant":{"id":"gid://shopify/ProductVariant/`+fmt.Sprint(line.VariantID)+`"}}]}}}`,
				`query($o: ID!) { order(id: $o) { lineItems(first: 1) { nodes { variant { id } } } } }`, "o", order.GID())
		}
	}
	level := variant.Item.Levels[0]
	c.expect(`{"nodes":[null,null],"inventoryLevel":null}`, `query($v: ID!, $l: ID!) { nodes(ids: [$v, $l]) { id } inventoryLevel(id: $l) { id } }`,
		"v", variant.GID(), "l", level.GID())
	answer := c.ask(`{ products(first: 10, query: "updated_at:>='2100-01-01T00:00:00Z' status:ACTIVE") { nodes { id } } }`)
	if len(answer.Extensions.Search) != 1 || len(answer.Extensions.Search[0].Warnings) != 1 || !strings.Contains(string(answer.Data), "gid:") {
		t.Errorf("a search by a field that is unknown now found %s with the report %+v", answer.Data, answer.Extensions.Search)
	}
	w.SetFaults(simulator.Faults{})
	c.expect(`{"product":{"id":"`+p.GID()+`"}}`, `query($p: ID!) { product(id: $p) { id } }`, "p", p.GID())
}

func TestWebhooksComeHoursLate(t *testing.T) {
	inBubble(t, simulator.Catalogue{Products: 1}, updates, func(b *bubble) {
		b.SetFaults(simulator.Faults{Late: 1})
		b.rename("one")
		b.pass(59 * time.Minute)
		if n := len(b.hooks()); n != 0 {
			b.t.Fatalf("%d came within the hour", n)
		}
		b.pass(12 * time.Hour)
		if hooks := b.hooks(); len(hooks) != 1 || hooks[0].body["title"] != "one" {
			b.t.Errorf("came: %v", hooks)
		}
	})
}

func TestWebhooksAreSignedWithTheOlderSecret(t *testing.T) {
	for _, old := range []string{"", "what it was"} {
		w := newWorld(t, simulator.Catalogue{Products: 1}, func(c *simulator.Config) { c.Apps[0].OldSecret = old })
		w.subscribe(nil, updates...)
		w.SetFaults(simulator.Faults{OldSecret: 1})
		if err := w.shop.UpdateProduct(w.firstProduct().ID, func(p *simulator.Product) { p.Title = "x" }); err != nil {
			t.Fatal(err)
		}
		want := old
		if want == "" {
			want = secret + "-old"
		}
		hooks := w.heard()
		if len(hooks) != 1 || hooks[0].header.Get("X-Shopify-Hmac-Sha256") != sign(want, hooks[0].raw) {
			t.Errorf("old secret %q: %d webhooks, or signed otherwise", old, len(hooks))
		}
	}
}

func TestStaleBodiesComeAgainAfterNewerOnes(t *testing.T) {
	inBubble(t, simulator.Catalogue{Products: 1}, updates, func(b *bubble) {
		b.SetFaults(simulator.Faults{Stale: 1})
		b.rename("old")
		b.SetFaults(simulator.Faults{})
		b.rename("new")
		b.pass(2 * time.Minute)
		var titles, ids []string
		for _, h := range b.hooks() {
			titles = append(titles, h.body["title"].(string))
			ids = append(ids, h.header.Get("X-Shopify-Webhook-Id"))
		}
		if strings.Join(titles, " ") != "old new old" || ids[0] != ids[2] || ids[0] == ids[1] {
			b.t.Errorf("came %q under %q", titles, ids)
		}
		if d := b.Deliveries()[0]; !d.Done || !d.Accepted() || len(d.Attempts) != 2 || d.Attempts[0].Error == "" {
			b.t.Errorf("delivery %+v", d)
		}
	})
}

func TestBodiesAreNewerThanTheirTrigger(t *testing.T) {
	inBubble(t, simulator.Catalogue{Products: 1}, updates, func(b *bubble) {
		b.SetFaults(simulator.Faults{Newer: 1})
		b.rename("old")
		triggered := time.Now()
		b.SetFaults(simulator.Faults{})
		b.pass(9 * time.Second)
		b.rename("new")
		b.pass(21 * time.Second)
		hooks := b.hooks()
		if len(hooks) != 2 {
			b.t.Fatalf("%d came", len(hooks))
		}
		at, err := time.Parse(time.RFC3339Nano, hooks[1].header.Get("X-Shopify-Triggered-At"))
		if err != nil || !at.Equal(triggered) || hooks[1].body["title"] != "new" {
			b.t.Errorf("triggered at %v, not %v; title %v", at, triggered, hooks[1].body["title"])
		}
	})
}

func TestWebhookComesBeforeTheAnswerThatCausedIt(t *testing.T) {
	inBubble(t, simulator.Catalogue{Products: 1}, []string{"PRODUCTS_CREATE"}, func(b *bubble) {
		var answered, came time.Time
		b.answer = func() int {
			time.Sleep(time.Second) // The app works on it.
			came = time.Now()
			return http.StatusOK
		}
		for _, first := range []float64{1, 0} {
			b.SetFaults(simulator.Faults{WebhookFirst: first})
			status, raw, err := b.ask(`mutation { productCreate(product: {title: "New"}) { product { id } } }`)
			answered = time.Now()
			if err != nil || status != http.StatusOK || !strings.Contains(string(raw), "gid://") {
				b.t.Fatalf("status %d %s %v", status, raw, err)
			}
			b.pass(time.Minute)
			if before := !came.After(answered); before != (first == 1) {
				b.t.Errorf("share %v: webhook at %v, answer at %v", first, came, answered)
			}
		}
		// Nothing to wait for.
		b.SetFaults(simulator.Faults{WebhookFirst: 1})
		begun := time.Now()
		if _, _, err := b.ask(`{ shop { id } }`); err != nil || time.Since(begun) != 0 {
			b.t.Errorf("a read took %v: %v", time.Since(begun), err)
		}
		// An app that cannot take webhooks meanwhile is answered after all.
		b.answer = func() int { time.Sleep(time.Hour); return http.StatusOK }
		if status, _, err := b.ask(`mutation { productCreate(product: {title: "Newer"}) { product { id } } }`); err != nil || status != http.StatusOK || time.Since(begun) > 6*time.Second {
			b.t.Errorf("status %d after %v: %v", status, time.Since(begun), err)
		}
		b.pass(24 * time.Hour) // Until the last retry was given up.
	})
}

func TestSubscriptionsAreDeletedUnasked(t *testing.T) {
	inBubble(t, simulator.Catalogue{Products: 1}, updates, func(b *bubble) {
		b.SetFaults(simulator.Faults{Unsubscribe: 1})
		b.rename("one")
		b.rename("two")
		if n := len(b.hooks()); n != 1 {
			b.t.Errorf("%d came, want the one with which the subscription went", n)
		}
		if left := b.access.Installation.Subscriptions(); len(left) != 0 {
			b.t.Errorf("left: %v", left)
		}
	})
}

func TestClocksDisagree(t *testing.T) {
	for _, skew := range []time.Duration{3 * time.Minute, -time.Hour} {
		inBubble(t, simulator.Catalogue{Products: 1}, updates, func(b *bubble) {
			b.SetFaults(simulator.Faults{Skew: simulator.Duration(skew)})
			b.rename("one")
			hooks := b.hooks()
			at, err := time.Parse(time.RFC3339Nano, hooks[0].header.Get("X-Shopify-Triggered-At"))
			if err != nil || time.Until(at) != skew {
				b.t.Errorf("triggered at %v, now %v: %v", at, time.Now(), err)
			}
			updated, err := time.Parse(time.RFC3339, hooks[0].body["updated_at"].(string))
			if err != nil || time.Until(updated).Abs() > time.Second {
				b.t.Errorf("updated at %v, now %v: %v", updated, time.Now(), err)
			}
			response, err := b.client.Get("https://" + domain + "/")
			if err != nil {
				b.t.Fatal(err)
			}
			defer response.Body.Close()
			if date, err := http.ParseTime(response.Header.Get("Date")); err != nil || time.Until(date) != skew {
				b.t.Errorf("date %v, now %v: %v", date, time.Now(), err)
			}
		})
	}
}

func TestConnectionsAreReset(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 1}, nil)
	token, err := w.shop.IssueToken(clientID, "write_products")
	if err != nil {
		t.Fatal(err)
	}
	w.SetFaults(simulator.Faults{Reset: 1})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+"/"+domain+"/admin/api/2026-10/graphql.json",
		strings.NewReader(`{"query":"mutation { productCreate(product: {title: \"New\"}) { product { id } } }"}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Shopify-Access-Token", token)
	response, err := http.DefaultClient.Do(request)
	if err == nil {
		response.Body.Close()
		t.Fatalf("status %d", response.StatusCode)
	}
	if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
		t.Errorf("error %v", err)
	}
	if n := w.shop.Products.Len(); n != 1 {
		t.Errorf("%d products: it took effect", n)
	}
}

func TestRequestsAreNeverAnswered(t *testing.T) {
	inBubble(t, simulator.Catalogue{Products: 1}, nil, func(b *bubble) {
		b.SetFaults(simulator.Faults{Timeout: 1})
		begun := time.Now()
		status, _, err := b.ask(`mutation { productCreate(product: {title: "New"}) { product { id } } }`)
		if err != nil || status != http.StatusGatewayTimeout || time.Since(begun) != 10*time.Second {
			b.t.Errorf("status %d after %v: %v", status, time.Since(begun), err)
		}
		if n := b.shop.Products.Len(); n != 1 {
			b.t.Errorf("%d products: it took effect", n)
		}
		b.client.Timeout = 3 * time.Second
		if _, _, err := b.ask(`{ shop { id } }`); err == nil || time.Since(begun) != 13*time.Second {
			b.t.Errorf("a patience of three seconds got %v after %v", err, time.Since(begun))
		}
		b.client.Timeout = 0
		b.SetFaults(simulator.Faults{Slow: simulator.Duration(time.Minute)})
		if status, _, err := b.ask(`{ shop { id } }`); err != nil || status != http.StatusGatewayTimeout || time.Since(begun) != 23*time.Second {
			b.t.Errorf("too slow: status %d after %v: %v", status, time.Since(begun), err)
		}
	})
}

func TestAnswersAreLostAfterTheyTookEffect(t *testing.T) {
	inBubble(t, simulator.Catalogue{Products: 1}, []string{"PRODUCTS_CREATE"}, func(b *bubble) {
		b.SetFaults(simulator.Faults{AnswerLost: 1})
		gateway, broken := 0, 0
		for range 20 {
			status, _, err := b.ask(`mutation { productCreate(product: {title: "New"}) { product { id } } }`)
			switch {
			case err != nil:
				broken++
			case status == http.StatusBadGateway:
				gateway++
			default:
				b.t.Errorf("status %d", status)
			}
		}
		// A client may send a request again whose connection broke: more may be made than it asked for.
		if n := b.shop.Products.Len(); n < 21 || gateway == 0 || broken == 0 {
			b.t.Errorf("%d products after 20 mutations; %d answered 502, %d broken", n, gateway, broken)
		}
		if n := len(b.hooks()); n != b.shop.Products.Len()-1 {
			b.t.Errorf("%d webhooks", n)
		}
	})
}

func TestPagesAreSlow(t *testing.T) {
	inBubble(t, simulator.Catalogue{Products: 3}, nil, func(b *bubble) {
		b.SetFaults(simulator.Faults{SlowPages: simulator.Duration(7 * time.Second)})
		for query, want := range map[string]time.Duration{
			`{ products(first: 2) { nodes { id } } }`: 7 * time.Second, `{ shop { id } }`: 0,
		} {
			begun := time.Now()
			if status, raw, err := b.ask(query); err != nil || status != http.StatusOK || strings.Contains(string(raw), "errors") || time.Since(begun) != want {
				b.t.Errorf("%s: status %d after %v: %v", query, status, time.Since(begun), err)
			}
		}
	})
}

func TestInternalErrorsAndTooManyRequests(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 1}, nil)
	c := w.client(allScopes...)
	w.SetFaults(simulator.Faults{Internal: 1})
	answer := c.ask(`{ shop { name } }`)
	if answer.Data != nil || len(answer.Errors) != 1 || answer.code() != "INTERNAL_SERVER_ERROR" {
		t.Fatalf("%s %+v", answer.Data, answer.Errors)
	}
	id, _ := answer.Errors[0].Extensions["requestId"].(string)
	want := "Internal error. Looks like something went wrong on our end.\nRequest ID: " + id + " (include this in support requests)."
	if len(id) < 40 || answer.Errors[0].Message != want || answer.Errors[0].Path != nil || answer.Errors[0].Locations != nil {
		t.Errorf("%+v", answer.Errors[0])
	}
	w.SetFaults(simulator.Faults{TooMany: 1})
	response := w.api(t, "2026-10", c.token, shopQuery)
	defer response.Body.Close()
	if response.StatusCode != http.StatusTooManyRequests || response.Header.Get("Retry-After") != "4.0" {
		t.Errorf("%s, Retry-After %q", response.Status, response.Header.Get("Retry-After"))
	}
}

func TestFieldsAreDenied(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 1}, nil)
	c := w.client(allScopes...)
	w.SetFaults(simulator.Faults{Deny: []string{"Product.variants", "QueryRoot.locations"}})
	answer := c.ask(`{ products(first: 1) { nodes { title variants(first: 1) { nodes { id } } } } locations(first: 1) { nodes { id } } }`)
	var data struct {
		Products struct {
			Nodes []struct{ Title, Variants any }
		}
		Locations any
	}
	if err := json.Unmarshal(answer.Data, &data); err != nil {
		t.Fatalf("%v: %s", err, answer.Data)
	}
	if len(data.Products.Nodes) != 1 || data.Products.Nodes[0].Title == nil || data.Products.Nodes[0].Variants != nil || data.Locations != nil {
		t.Errorf("data %s", answer.Data)
	}
	for i, want := range []string{ // Recorded, for other fields.
		`{"message":"Access denied for variants field. Required access: ` + "`read_products`" + ` access scope.","locations":[{"line":1,"column":38}],"path":["products","nodes",0,"variants"],` +
			`"extensions":{"code":"ACCESS_DENIED","documentation":"https://shopify.dev/api/usage/access-scopes","requiredAccess":"` + "`read_products`" + ` access scope."}}`,
		`{"message":"Access denied for locations field. Required access: ` + "`read_locations`" + ` access scope.","locations":[{"line":1,"column":78}],"path":["locations"],` +
			`"extensions":{"code":"ACCESS_DENIED","documentation":"https://shopify.dev/api/usage/access-scopes","requiredAccess":"` + "`read_locations`" + ` access scope."}}`,
	} {
		if i < len(answer.Errors) {
			if got, err := json.Marshal(answer.Errors[i]); err != nil || string(got) != want {
				t.Errorf("got %s\nwant %s", got, want)
			}
		}
	}
	if len(answer.Errors) != 2 {
		t.Errorf("errors %+v", answer.Errors)
	}
}

func TestTokensEndEarly(t *testing.T) {
	inBubble(t, simulator.Catalogue{Products: 1}, nil, func(b *bubble) {
		b.SetFaults(simulator.Faults{TokenLife: simulator.Duration(3 * time.Minute)})
		forever := b.token
		status, raw, err := b.post("/admin/oauth/access_token", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
			url.Values{"client_id": {clientID}, "client_secret": {secret}, "expiring": {"1"}, "code": {b.code()}}.Encode())
		var tokens tokenReply
		if err != nil || status != http.StatusOK || json.Unmarshal(raw, &tokens) != nil || tokens.ExpiresIn != 3600 {
			b.t.Fatalf("status %d %s %v", status, raw, err)
		}
		b.token = tokens.Access
		for _, want := range []int{http.StatusOK, http.StatusOK, http.StatusUnauthorized} {
			if status, raw, err := b.ask(`{ shop { id } }`); err != nil || status != want {
				b.t.Errorf("status %d, want %d: %s %v", status, want, raw, err)
			}
			b.pass(2 * time.Minute)
		}
		b.token = forever
		if status, _, err := b.ask(`{ shop { id } }`); err != nil || status != http.StatusOK {
			b.t.Errorf("the token that does not expire: status %d %v", status, err)
		}
		synctest.Wait()
	})
}
