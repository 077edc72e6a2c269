package simulator_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"stockroom/internal/simulator"
)

// privacy is a world whose app hears of the compliance topics, and an order in it.
func privacy(t *testing.T, configure func(*simulator.Config)) (*world, *simulator.Order) {
	t.Helper()
	compliance := []simulator.AppWebhook{{Topic: "customers/data_request"}, {Topic: "customers/redact"}, {Topic: "shop/redact"}}
	w := newWorld(t, simulator.Catalogue{Products: 3}, func(c *simulator.Config) {
		c.Apps[0].Webhooks = compliance
		if configure != nil {
			configure(c)
		}
	})
	for i := range compliance { // The receiver's address is known only now.
		compliance[i].URI = w.inbox.URL
	}
	w.subscribe(nil, "ORDERS_CREATE", "ORDERS_UPDATED")
	return w, w.buy(0)
}

// buy makes an order of a customer, zero for somebody new.
func (w *world) buy(customer int64) *simulator.Order {
	w.t.Helper()
	o, err := w.shop.CreateOrder(simulator.OrderSpec{
		Lines: []simulator.OrderLine{{Variant: trackedVariant(w.t, w.shop).ID, Quantity: 1}}, Customer: customer,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return o
}

// pass lets time go by.
func (w *world) pass(d time.Duration) {
	w.t.Helper()
	if err := w.Advance(w.t.Context(), d); err != nil {
		w.t.Fatal(err)
	}
}

const day = 24 * time.Hour

// about decodes a webhook about a customer after holding it to its schema.
func about(t *testing.T, h hook) (out struct {
	Shop     int64  `json:"shop_id"`
	Domain   string `json:"shop_domain"`
	Customer struct {
		ID           int64
		Email, Phone string
	}
	Requested []int64            `json:"orders_requested"`
	Redact    []int64            `json:"orders_to_redact"`
	Request   struct{ ID int64 } `json:"data_request"`
}) {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(h.raw))
	if err != nil {
		t.Fatal(err)
	}
	if err := publishedSchema(t, h.topic()).Validate(value); err != nil {
		t.Errorf("%s: %v", h.topic(), err)
	}
	if err := json.Unmarshal(h.raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestACustomersDataIsAskedForAtOnce(t *testing.T) {
	w, first := privacy(t, nil)
	second := w.buy(first.Customer)
	w.buy(0)
	w.heard()
	id, err := w.shop.RequestCustomerData(first.Customer)
	if err != nil {
		t.Fatal(err)
	}
	hooks := w.heard()
	if len(hooks) != 1 || hooks[0].topic() != "customers/data_request" {
		t.Fatalf("heard %v", topicsOf(hooks))
	}
	got := about(t, hooks[0])
	if got.Shop != w.shop.ID || got.Domain != domain || got.Customer.ID != first.Customer || got.Request.ID != id || got.Redact != nil ||
		!slices.Equal(got.Requested, []int64{first.ID, second.ID}) {
		t.Errorf("asked %+v, want request %d for orders %d and %d of customer %d", got, id, first.ID, second.ID, first.Customer)
	}
	if hooks[0].header.Get("X-Shopify-Hmac-Sha256") != sign(oldest, hooks[0].raw) {
		t.Error("it is not signed as others are")
	}
	if _, err := w.shop.RequestCustomerData(1); !errors.Is(err, simulator.ErrNotFound) {
		t.Errorf("a stranger's data: %v", err)
	}
}

func TestOnlyAppsThatMayReadCustomersOrOrdersHearOfThem(t *testing.T) {
	for _, step := range []struct {
		scopes []string
		hears  bool
	}{{[]string{"read_products"}, false}, {[]string{"read_orders"}, true}, {[]string{"write_orders"}, true}, {[]string{"read_customers"}, true}} {
		w, o := privacy(t, nil)
		if err := w.shop.SetScopes(clientID, step.scopes...); err != nil {
			t.Fatal(err)
		}
		w.heard()
		if _, err := w.shop.RequestCustomerData(o.Customer); err != nil {
			t.Fatal(err)
		}
		if _, err := w.shop.EraseCustomer(o.Customer); err != nil {
			t.Fatal(err)
		}
		w.pass(200 * day)
		want := []string(nil)
		if step.hears {
			want = []string{"customers/data_request", "customers/redact"}
		}
		if got := topicsOf(w.heard()); !slices.Equal(got, want) {
			t.Errorf("with %v: heard %v, want %v", step.scopes, got, want)
		}
	}
}

func TestAnErasureWaitsForHalfAYearWithoutOrders(t *testing.T) {
	w, o := privacy(t, nil)
	half := o.CreatedAt.AddDate(0, 6, 0).Sub(w.Now())
	due, err := w.shop.EraseCustomer(o.Customer)
	if err != nil || !due.Equal(o.CreatedAt.AddDate(0, 6, 0)) {
		t.Fatalf("due %s, %v", due, err)
	}
	if again, err := w.shop.EraseCustomer(o.Customer); err != nil || !again.Equal(due) {
		t.Errorf("asked again: due %s, %v", again, err)
	}
	w.heard()
	// Somebody who orders meanwhile puts it off.
	w.pass(half - day)
	later := w.buy(o.Customer)
	w.heard()
	w.pass(2 * day)
	if got := topicsOf(w.heard()); len(got) > 0 {
		t.Fatalf("in spite of a new order: heard %v", got)
	}
	more := later.CreatedAt.AddDate(0, 6, 0).Sub(w.Now())
	w.pass(more - time.Hour)
	if got := topicsOf(w.heard()); len(got) > 0 {
		t.Fatalf("an hour too early: heard %v", got)
	}
	w.pass(2 * time.Hour)
	hooks := w.heard()
	if len(hooks) != 1 || hooks[0].topic() != "customers/redact" {
		t.Fatalf("heard %v", topicsOf(hooks))
	}
	got := about(t, hooks[0])
	if got.Customer.ID != o.Customer || !slices.Equal(got.Redact, []int64{o.ID, later.ID}) || got.Requested != nil {
		t.Errorf("redact %+v", got)
	}
	if _, err := w.shop.EraseCustomer(o.Customer); !errors.Is(err, simulator.ErrNotFound) {
		t.Errorf("a second erasure: %v", err)
	}
}

func TestAnErasureTakesTenDaysAndOrdersForgetTheCustomer(t *testing.T) {
	w, o := privacy(t, nil)
	stays := w.buy(0)
	hooks := w.heard("orders/create")
	at := slices.IndexFunc(hooks, func(h hook) bool { return strings.Contains(string(h.raw), fmt.Sprint(o.Customer)) })
	if at < 0 {
		t.Fatalf("no order tells of customer %d", o.Customer)
	}
	w.pass(190 * day)
	due, err := w.shop.EraseCustomer(o.Customer)
	if wait := due.Sub(w.Now()); err != nil || wait > 10*day || wait < 10*day-time.Minute {
		t.Fatalf("due in %s, %v", wait, err)
	}
	w.pass(10*day - time.Hour)
	if got := topicsOf(w.heard()); len(got) > 0 {
		t.Fatalf("an hour too early: heard %v", got)
	}
	w.pass(time.Hour)
	hooks = w.heard("customers/redact")
	if len(hooks) != 1 {
		t.Fatalf("told %d times", len(hooks))
	}
	customer := about(t, hooks[0]).Customer
	for _, order := range []*simulator.Order{o, stays} {
		if err := w.shop.UpdateOrder(order.ID, func(o *simulator.Order) { o.Note = "changed" }); err != nil {
			t.Fatal(err)
		}
	}
	hooks = w.heard("orders/updated")
	if len(hooks) != 2 {
		t.Fatalf("heard of %d orders", len(hooks))
	}
	for _, h := range hooks {
		id, email := fmt.Sprint(h.body["id"]), "example.com"
		text := string(h.raw)
		shows := strings.Contains(text, email) || strings.Contains(text, customer.Phone) || strings.Contains(text, "Robin") || strings.Contains(text, "Elm Street")
		if erased := id == fmt.Sprint(o.ID); shows == erased {
			t.Errorf("order %s, erased %v, shows the customer %v: %s", id, erased, shows, text)
		}
		if h.body["customer"] == nil || h.body["total_price"] == nil {
			t.Errorf("order %s has lost more than the customer's data: %s", id, text)
		}
	}
}

// Who held a customer's data when the merchant asked for its erasure hears of
// it, uninstalled since or not.
func TestAnErasureIsToldToThoseWhoLeftMeanwhile(t *testing.T) {
	w, o := privacy(t, nil)
	w.pass(190 * day)
	if _, err := w.shop.EraseCustomer(o.Customer); err != nil {
		t.Fatal(err)
	}
	w.pass(9 * day)
	if err := w.shop.Uninstall(clientID); err != nil {
		t.Fatal(err)
	}
	w.heard()
	w.pass(10 * day)
	if got := topicsOf(w.heard()); !slices.Equal(got, []string{"customers/redact", "shop/redact"}) {
		t.Errorf("heard %v", got)
	}
}

func TestAnErasureSurvivesARestart(t *testing.T) {
	w, o := privacy(t, nil)
	due, err := w.shop.EraseCustomer(o.Customer)
	if err != nil {
		t.Fatal(err)
	}
	w.heard()
	state := saved(t, w.Simulator)
	w.Stop()
	next := restarted(t, state, func(c *simulator.Config) {
		c.Apps[0].Webhooks = []simulator.AppWebhook{{Topic: "customers/redact", URI: w.inbox.URL}}
	})
	if again := saved(t, next.Simulator); again != state {
		t.Errorf("saved again it is another state: %s", firstDifference(state, again))
	}
	if again, err := next.shop.EraseCustomer(o.Customer); err != nil || !again.Equal(due) {
		t.Errorf("due %s, %v, was %s", again, err, due)
	}
	if err := next.Advance(t.Context(), due.Sub(next.Now())-time.Hour); err != nil {
		t.Fatal(err)
	}
	if got := topicsOf(w.heard()); len(got) > 0 {
		t.Fatalf("an hour too early: heard %v", got)
	}
	if err := next.Advance(t.Context(), 2*time.Hour); err != nil {
		t.Fatal(err)
	}
	if hooks := w.heard(); len(hooks) != 1 || about(t, hooks[0]).Customer.ID != o.Customer {
		t.Errorf("heard %v", topicsOf(hooks))
	}
}

func TestCustomersAreAskedAboutOverTheControlAPI(t *testing.T) {
	w, o := privacy(t, nil)
	w.heard()
	ask := func(what, body string) (int, string) {
		t.Helper()
		response, err := http.Post(w.url+"/_sim/shops/"+domain+"/"+what, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		var b bytes.Buffer
		if _, err := b.ReadFrom(response.Body); err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, b.String()
	}
	for _, body := range []string{
		fmt.Sprintf(`{"customer":%d}`, o.Customer), fmt.Sprintf(`{"customer":"gid://shopify/Customer/%d"}`, o.Customer),
		fmt.Sprintf(`{"order":%d}`, o.ID), fmt.Sprintf(`{"order":"%d"}`, o.ID), fmt.Sprintf(`{"order":%q}`, o.GID()), fmt.Sprintf(`{"order":%q}`, o.Name),
	} {
		status, text := ask("data_request", body)
		hooks := w.heard("customers/data_request")
		if status != http.StatusOK || !strings.Contains(text, fmt.Sprintf(`"customer":%d`, o.Customer)) || len(hooks) != 1 {
			t.Errorf("%s: status %d, %s, %d webhooks", body, status, text, len(hooks))
		}
	}
	for _, body := range []string{`{}`, `{"order":"#1"}`, `{"order":"x"}`, `{"customer":1}`, `{"order":1}`, `{"customer":1,"order":1}`, `{"order":"gid://shopify/Product/1"}`, `nonsense`} {
		if status, text := ask("redact", body); status != http.StatusBadRequest || !strings.Contains(text, `"error"`) {
			t.Errorf("%s: status %d, %s", body, status, text)
		}
	}
	status, text := ask("redact", fmt.Sprintf(`{"order":%q}`, o.Name))
	var answer struct{ Due time.Time }
	if err := json.Unmarshal([]byte(text), &answer); err != nil || status != http.StatusOK || !answer.Due.Equal(o.CreatedAt.AddDate(0, 6, 0)) {
		t.Fatalf("status %d, %s", status, text)
	}
	w.pass(200 * day)
	if hooks := w.heard("customers/redact"); len(hooks) != 1 {
		t.Errorf("redact was told %d times", len(hooks))
	}
}
