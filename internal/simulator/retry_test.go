package simulator_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"stockroom/internal/simulator"
)

// failing is a simulator in a bubble whose webhooks are all refused, with one
// subscription to products/update, and how often each webhook id came.
func failing(t *testing.T, config simulator.Config) (*simulator.Simulator, *simulator.Shop, func() map[string]int) {
	t.Helper()
	var mu sync.Mutex
	ids := map[string]int{}
	config.Apps = []simulator.App{{ClientID: clientID, Secrets: []string{secret},
		Webhooks: []simulator.AppWebhook{{Topic: "products/update", URI: "https://app.example.com/"}}}}
	config.Deliver = &http.Client{Transport: receiver(func(r *http.Request) int {
		mu.Lock()
		defer mu.Unlock()
		ids[r.Header.Get("X-Shopify-Webhook-Id")]++
		return http.StatusServiceUnavailable
	})}
	sim := simulator.New(config)
	shop, err := sim.AddShop(domain, simulator.Catalogue{Products: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := shop.IssueToken(clientID, "read_products"); err != nil {
		t.Fatal(err)
	}
	if err := sim.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return sim, shop, func() map[string]int { mu.Lock(); defer mu.Unlock(); return ids }
}

func retitle(t *testing.T, shop *simulator.Shop, title string) {
	t.Helper()
	if err := shop.UpdateProduct(shop.Products.IDs()[0], func(p *simulator.Product) { p.Title = title }); err != nil {
		t.Fatal(err)
	}
}

func TestRetriesMayComeUnderNewIDs(t *testing.T) {
	for share, want := range map[float64]int{0: 1, 1: 9} {
		synctest.Test(t, func(t *testing.T) {
			sim, shop, ids := failing(t, simulator.Config{})
			defer sim.Stop()
			sim.SetFaults(simulator.Faults{NewID: share})
			retitle(t, shop, "x")
			<-time.After(5 * time.Hour)
			if got := ids(); len(got) != want {
				t.Errorf("share %v: %d ids in nine attempts, want %d", share, len(got), want)
			}
			for n, a := range sim.Deliveries()[0].Attempts {
				if told := a.WebhookID != ""; told != (share > 0 && n > 0) {
					t.Errorf("share %v, attempt %d: id %q", share, n+1, a.WebhookID)
				}
			}
		})
	}
}

// Bodies that wait for a retry take no more memory than they may, and what has
// ended makes room again.
func TestBodiesThatWaitForARetryAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim, shop, _ := failing(t, simulator.Config{RetryBytes: 60_000})
		defer sim.Stop()
		lost := func() (n int) {
			for _, d := range sim.Deliveries() {
				if d.Lost {
					n++
				}
			}
			return n
		}
		long := strings.Repeat("long", 5_000)
		for range 4 { // Of some 25,000 bytes each.
			retitle(t, shop, long)
			synctest.Wait()
		}
		if got := lost(); got != 2 {
			t.Errorf("%d of 4 deliveries were lost, want 2", got)
		}
		<-time.After(5 * time.Hour)
		retitle(t, shop, long)
		synctest.Wait()
		if got := lost(); got != 2 {
			t.Errorf("%d deliveries were lost when the first had ended, want 2", got)
		}
	})
}

func TestTheLatestDeliveriesAreGivenByNumber(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 1}, nil)
	w.subscribe(nil, "PRODUCTS_UPDATE")
	for _, title := range []string{"a", "b", "c"} {
		retitle(t, w.shop, title)
	}
	w.heard()
	all := w.Deliveries()
	get := func(path string, want int) (list []simulator.Delivery) {
		response, err := http.Get(w.url + "/_sim/deliveries" + path)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s: status %d", path, response.StatusCode)
		}
		if want == http.StatusOK {
			decode(t, response, &list)
		}
		return list
	}
	if got := get("?limit=2", 200); len(got) != 2 || got[0].WebhookID != all[1].WebhookID || got[1].WebhookID != all[2].WebhookID {
		t.Errorf("the latest two of %v: %v", all, got)
	}
	if got := get("", 200); len(got) != 3 {
		t.Errorf("all: %d", len(got))
	}
	get("?limit=0", 400)
	get("?limit=many", 400)
}

func TestEveryRequestHasAnID(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{}, nil)
	seen := map[string]bool{}
	for _, token := range []string{w.client(allScopes...).token, "nonsense"} {
		response := w.api(t, "2026-10", token, shopQuery)
		response.Body.Close()
		seen[response.Header.Get("X-Request-Id")] = true
	}
	if len(seen) != 2 || seen[""] {
		t.Errorf("ids %v", seen)
	}
}

func TestWhatIsNotSimulatedIsRefusedByName(t *testing.T) {
	_, c := writer(t)
	create := func(fields string) string {
		return `mutation { webhookSubscriptionCreate(topic: PRODUCTS_CREATE, webhookSubscription: {` + fields + `}) { webhookSubscription { id } userErrors { field message } } }`
	}
	c.refusal("webhookSubscription.format: Format XML is not simulated: use JSON", create(`uri: "https://app.example.com/", format: XML`))
	c.refusal("webhookSubscription.callbackUrl: Google Pub/Sub is not simulated: use an address that begins with https://", create(`uri: "pubsub://a-project:a-topic"`))
	c.refusal("webhookSubscription.callbackUrl: Amazon EventBridge is not simulated: use an address that begins with https://",
		create(`uri: "arn:aws:events:us-east-1::event-source/aws.partner/shopify.com/1/source"`))
}
