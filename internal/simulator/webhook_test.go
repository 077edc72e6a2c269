package simulator_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"stockroom/internal/simulator"
)

func TestStockChangeMovesLevelAndProductAndTellsOfBoth(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 5}, nil)
	w.subscribe(nil, "INVENTORY_LEVELS_UPDATE", "PRODUCTS_UPDATE", "INVENTORY_ITEMS_UPDATE")
	v := trackedVariant(t, w.shop)
	l := v.Item.Levels[0]
	variantWas, itemWas, productWas := v.UpdatedAt, v.Item.UpdatedAt, v.Product.UpdatedAt
	if err := w.shop.SetStock(v.Item.ID, l.Location.ID, 4711); err != nil {
		t.Fatal(err)
	}
	hooks := w.heard()
	if got, want := topicsOf(hooks), []string{"inventory_levels/update", "products/update"}; !slices.Equal(got, want) {
		t.Fatalf("heard %q, want %q", got, want)
	}
	if !v.UpdatedAt.Equal(variantWas) || !v.Item.UpdatedAt.Equal(itemWas) {
		t.Error("stock moved updatedAt of variant or item")
	}
	if !v.Product.UpdatedAt.After(productWas) || l.UpdatedAt != v.Product.UpdatedAt || l.UpdatedAt.Nanosecond() != 0 {
		t.Errorf("product %v (was %v), level %v: want both moved alike, in whole seconds", v.Product.UpdatedAt, productWas, l.UpdatedAt)
	}
	for _, h := range hooks {
		if h.header.Get("X-Shopify-Event-Id") != hooks[0].header.Get("X-Shopify-Event-Id") {
			t.Error("webhooks of one action have different event ids")
		}
		if h.topic() != "inventory_levels/update" {
			continue
		}
		if h.body["available"] != json.Number("4711") || h.body["inventory_item_id"] != json.Number(fmt.Sprint(v.Item.ID)) ||
			h.body["admin_graphql_api_id"] != l.GID() {
			t.Errorf("level body %s", h.raw)
		}
	}
	if hooks[0].header.Get("X-Shopify-Webhook-Id") == hooks[1].header.Get("X-Shopify-Webhook-Id") {
		t.Error("two deliveries share a webhook id")
	}
}

// trackedVariant finds a variant whose stock is tracked and shown.
func trackedVariant(t *testing.T, s *simulator.Shop) *simulator.Variant {
	t.Helper()
	for v := range s.Variants.All() {
		if v.Item.Tracked && len(v.Item.Levels) > 0 && v.Item.Levels[0].Shown() {
			return v
		}
	}
	t.Fatal("no tracked variant")
	return nil
}

func TestWebhookIsSignedWithTheOldestSecretAndNamed(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 1}, nil)
	w.subscribe(func(s *simulator.Subscription) { s.Name = "stock" }, "PRODUCTS_UPDATE")
	p := w.firstProduct()
	before := time.Now()
	if err := w.shop.UpdateProduct(p.ID, func(p *simulator.Product) { p.Title = "Ölkännchen & <Tee>" }); err != nil {
		t.Fatal(err)
	}
	hooks := w.heard()
	if len(hooks) != 1 {
		t.Fatalf("heard %d webhooks, want 1", len(hooks))
	}
	h := hooks[0]
	if got, want := h.header.Get("X-Shopify-Hmac-Sha256"), sign(oldest, h.raw); got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
	for name, want := range map[string]string{
		"X-Shopify-Topic": "products/update", "X-Shopify-Shop-Domain": domain, "X-Shopify-API-Version": "2026-10",
		"X-Shopify-Name": "stock", "Content-Type": "application/json",
	} {
		if got := h.header.Get(name); got != want {
			t.Errorf("header %s is %q, want %q", name, got, want)
		}
	}
	at, err := time.Parse(time.RFC3339Nano, h.header.Get("X-Shopify-Triggered-At"))
	if err != nil || at.Before(before.Add(-time.Second)) || !strings.Contains(h.header.Get("X-Shopify-Triggered-At"), ".") {
		t.Errorf("triggered at %q: %v", h.header.Get("X-Shopify-Triggered-At"), err)
	}
	if h.body["title"] != "Ölkännchen & <Tee>" {
		t.Errorf("title %q", h.body["title"])
	}
	if at := h.body["updated_at"].(string); strings.HasSuffix(at, "Z") {
		t.Errorf("updated_at %s is not in the shop's zone", at)
	}
}

func TestSmartMembershipChangesInSilence(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 3}, nil)
	w.subscribe(nil, "COLLECTIONS_UPDATE", "PRODUCTS_UPDATE")
	c, err := w.shop.CreateCollection(simulator.CollectionSpec{Title: "Rare", Rules: []simulator.Rule{{Column: "TAG", Relation: "EQUALS", Condition: "rare"}}})
	if err != nil {
		t.Fatal(err)
	}
	p, was := w.firstProduct(), c.UpdatedAt
	if err := w.shop.UpdateProduct(p.ID, func(p *simulator.Product) { p.Tags = append(p.Tags, "Rare") }); err != nil {
		t.Fatal(err)
	}
	if !c.Holds(p.ID) || !c.UpdatedAt.Equal(was) {
		t.Errorf("holds %v, updated %v (was %v)", c.Holds(p.ID), c.UpdatedAt, was)
	}
	if got := topicsOf(w.heard()); !slices.Equal(got, []string{"products/update"}) {
		t.Errorf("heard %q", got)
	}
	if err := w.shop.DeleteProduct(p.ID); err != nil {
		t.Fatal(err)
	}
	if c.Holds(p.ID) {
		t.Error("a deleted product is still a member")
	}
}

func TestManualMembershipIsToldByTheCollectionAlone(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 3}, nil)
	c, err := w.shop.CreateCollection(simulator.CollectionSpec{Title: "By hand"})
	if err != nil {
		t.Fatal(err)
	}
	w.subscribe(nil, "COLLECTIONS_UPDATE", "PRODUCTS_UPDATE")
	p := w.firstProduct()
	was := p.UpdatedAt
	if err := w.shop.AddToCollection(c.ID, p.ID); err != nil {
		t.Fatal(err)
	}
	hooks := w.heard()
	if got := topicsOf(hooks); !slices.Equal(got, []string{"collections/update"}) || !p.UpdatedAt.Equal(was) {
		t.Fatalf("heard %q, product moved %v", got, !p.UpdatedAt.Equal(was))
	}
	if strings.Contains(string(hooks[0].raw), fmt.Sprint(p.ID)) {
		t.Error("the body names the member")
	}
}

func TestDeletedProductTakesAllItHasAlong(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 3}, nil)
	v := trackedVariant(t, w.shop)
	p := v.Product
	m, err := w.shop.SetMetafield(p.GID(), "custom", "x", "single_line_text_field", "y")
	if err != nil {
		t.Fatal(err)
	}
	w.subscribe(nil, "PRODUCTS_DELETE", "PRODUCTS_UPDATE", "INVENTORY_ITEMS_DELETE", "INVENTORY_LEVELS_DISCONNECT", "COLLECTIONS_UPDATE")
	if err := w.shop.DeleteProduct(p.ID); err != nil {
		t.Fatal(err)
	}
	want := []string{"products/delete"}
	for range p.Variants {
		want = append(want, "inventory_items/delete")
	}
	slices.Sort(want)
	if got := topicsOf(w.heard()); !slices.Equal(got, want) {
		t.Errorf("heard %q, want %q", got, want)
	}
	truth := export(t, w.shop)
	for _, gid := range []string{p.GID(), v.GID(), v.Item.GID(), m.GID()} {
		if strings.Contains(truth, `"`+gid+`"`) {
			t.Errorf("the export still names %s", gid)
		}
	}
}

func TestBigProductCarriesAHundredVariantsAndNamesAll(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 2, BigVariants: 250}, nil)
	w.subscribe(nil, "PRODUCTS_UPDATE")
	p := w.firstProduct()
	if len(p.Variants) != 250 {
		t.Fatalf("the product has %d variants", len(p.Variants))
	}
	last := p.Variants[249]
	if err := w.shop.SetPrice(last.ID, 1234, 0); err != nil {
		t.Fatal(err)
	}
	body := w.heard()[0].body
	if n := len(body["variants"].([]any)); n != 100 {
		t.Errorf("body carries %d variants", n)
	}
	gids := body["variant_gids"].([]any)
	if len(gids) != 250 || gids[0].(map[string]any)["admin_graphql_api_id"] != last.GID() {
		t.Errorf("body names %d variants, the first %v; want 250, the first %s", len(gids), gids[0], last.GID())
	}
}

func TestBodyIsBuiltWhenSent(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 1}, nil)
	w.subscribe(nil, "PRODUCTS_UPDATE")
	w.SetFaults(simulator.Faults{Delay: simulator.Duration(time.Nanosecond)})
	w.Stop()
	p := w.firstProduct()
	for _, title := range []string{"first", "second"} {
		if err := w.shop.UpdateProduct(p.ID, func(p *simulator.Product) { p.Title = title }); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	hooks := w.heard()
	if len(hooks) != 2 || hooks[0].body["title"] != "second" || hooks[1].body["title"] != "second" {
		t.Errorf("heard %d webhooks, want two that both tell the latest title", len(hooks))
	}
}

func TestIncludedFieldsAreKeptAndEqualBodiesSentOnce(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 1}, nil)
	w.subscribe(func(s *simulator.Subscription) { s.IncludeFields = []string{"id", "vendor", "variants.id"} }, "PRODUCTS_UPDATE")
	p := w.firstProduct()
	for range 2 {
		if err := w.shop.UpdateProduct(p.ID, func(p *simulator.Product) { p.Title += "!" }); err != nil {
			t.Fatal(err)
		}
	}
	hooks := w.heard()
	if len(hooks) != 1 {
		t.Fatalf("heard %d webhooks, want one: the bodies do not differ", len(hooks))
	}
	if len(hooks[0].body) != 3 || hooks[0].body["title"] != nil || len(hooks[0].body["variants"].([]any)[0].(map[string]any)) != 1 {
		t.Errorf("body %s", hooks[0].raw)
	}
}

func TestFilterThatFitsNothingIsSilent(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 1}, nil)
	for filter, want := range map[string]int{"status:active": 1, "status:draft": 0, "no_such_field:1": 0, "variants.price:>=0 AND status:active": 1,
		"NOT status:draft": 1, "-status:draft": 1, "status:active vendor:\"A AND B\"": 1, "status:active vendor:A": 0,
		"(status:draft AND vendor:X) OR status:active": 1, "title:H*": 1, "title:h*": 0, "Status:active": 0, "status:ACTIVE": 0,
		"updated_at:>'2020-01-01'": 1, "updated_at:<'2020-01-01'": 0, "id:*": 1} {
		access := w.subscribe(func(s *simulator.Subscription) { s.Filter = filter }, "PRODUCTS_UPDATE")
		err := w.shop.UpdateProduct(w.firstProduct().ID, func(p *simulator.Product) { p.Status, p.Title, p.Vendor = "ACTIVE", "Hat "+p.Title, "A AND B" })
		if err != nil {
			t.Fatal(err)
		}
		if got := len(w.heard()); got != want {
			t.Errorf("filter %q: heard %d, want %d", filter, got, want)
		}
		for _, sub := range access.Installation.Subscriptions() {
			access.Installation.Unsubscribe(sub.ID)
		}
	}
}

func TestFiltersThatDoNotParseAreRefused(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{}, nil)
	access := w.subscribe(nil)
	refusal := simulator.UserError{Field: []string{"webhookSubscription"},
		Message: "The specified filter is invalid, please ensure you specify the field(s) you wish to filter on."}
	for _, tt := range []struct {
		topic, filter string
		refused       bool
	}{
		{"PRODUCTS_UPDATE", "totally bogus syntax", true}, // Recorded.
		{"PRODUCTS_UPDATE", "((((", true},
		{"PRODUCTS_UPDATE", "status:'active", true},
		{"PRODUCTS_UPDATE", "(status:active OR status:draft) -vendor:x", false},
		{"PRODUCTS_UPDATE", " ", false},
		{"METAOBJECTS_UPDATE", "", true},
		{"METAOBJECTS_UPDATE", "id:1", true},
		{"METAOBJECTS_UPDATE", "type:lookbook", false},
	} {
		_, problems := access.Installation.Subscribe(access, simulator.Subscription{Topic: tt.topic, URI: "https://example.com/" + tt.topic, Filter: tt.filter})
		refused := len(problems) == 1 && reflect.DeepEqual(problems[0], refusal)
		if refused != tt.refused || !refused && len(problems) > 0 {
			t.Errorf("%s with %q: %+v", tt.topic, tt.filter, problems)
		}
	}
}

func TestMetafieldsRideOnTheirOwnersAndNoOpsAreSilent(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 2}, nil)
	w.subscribe(func(s *simulator.Subscription) { s.MetafieldNamespaces = []string{"custom"} }, "PRODUCTS_UPDATE", "COLLECTIONS_UPDATE", "SHOP_UPDATE")
	p := w.firstProduct()
	for _, tt := range []struct {
		owner string
		want  []string
	}{
		{p.GID(), []string{"products/update"}}, {p.GID(), nil}, // The same value again.
		{p.Variants[0].GID(), nil}, {w.shop.GID(), nil},
	} {
		if _, err := w.shop.SetMetafield(tt.owner, "custom", "k", "single_line_text_field", "v"); err != nil {
			t.Fatal(err)
		}
		hooks := w.heard()
		if got := topicsOf(hooks); !slices.Equal(got, tt.want) {
			t.Errorf("metafield on %s: heard %q, want %q", tt.owner, got, tt.want)
		}
		if len(hooks) > 0 && !strings.Contains(string(hooks[0].raw), `"metafields":[{`) {
			t.Errorf("body lacks the metafield: %s", hooks[0].raw)
		}
	}
}

func TestUnapprovedAppHearsNothingOfOrders(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 1}, func(c *simulator.Config) { c.Apps[0].ProtectedData = false })
	token, err := w.shop.IssueToken(clientID, allScopes...)
	if err != nil {
		t.Fatal(err)
	}
	access := w.shop.AccessOf(token)
	_, errs := access.Installation.Subscribe(access, simulator.Subscription{Topic: "ORDERS_CREATE", URI: w.inbox.URL})
	if len(errs) != 1 || !strings.Contains(errs[0].Message, "protected customer data") {
		t.Errorf("errors %v", errs)
	}
}

func TestSubscriptionIsUniqueByTopicAddressFormatAndFilter(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{}, nil)
	access := w.subscribe(nil, "PRODUCTS_UPDATE")
	for _, tt := range []struct {
		sub  simulator.Subscription
		want string
	}{
		{simulator.Subscription{Topic: "PRODUCTS_UPDATE", URI: w.inbox.URL}, "Address for this topic has already been taken"},
		{simulator.Subscription{Topic: "PRODUCTS_UPDATE", URI: ""}, "Address can't be blank"},
		{simulator.Subscription{Topic: "PRODUCTS_UPDATE", URI: "http://example.com/x"}, "Address protocol http:// is not supported"},
		{simulator.Subscription{Topic: "PRODUCTS_UPDATE", URI: "http://8.8.8.8/x"}, "Address protocol http:// is not supported"},
		{simulator.Subscription{Topic: "PRODUCTS_UPDATE", URI: "https://x.myshopify.com/"}, "Address cannot be a Shopify or an internal domain"},
		{simulator.Subscription{Topic: "PRODUCTS_UPDATE", URI: w.inbox.URL, Filter: "id:1"}, ""},
		{simulator.Subscription{Topic: "PRODUCTS_DELETE", URI: w.inbox.URL}, ""},
		{simulator.Subscription{Topic: "PRODUCTS_DELETE", URI: "http://app:3000/x"}, ""},
		{simulator.Subscription{Topic: "PRODUCTS_DELETE", URI: "http://host.docker.internal/x"}, ""},
		{simulator.Subscription{Topic: "PRODUCTS_DELETE", URI: "http://192.168.1.5/x"}, ""},
	} {
		_, errs := access.Installation.Subscribe(access, tt.sub)
		got := ""
		if len(errs) > 0 {
			got = errs[0].Message
		}
		if got != tt.want {
			t.Errorf("subscribe %+v: %q, want %q", tt.sub, got, tt.want)
		}
	}
	if errs := access.Installation.Unsubscribe(1); len(errs) != 1 || errs[0].Field[0] != "id" {
		t.Errorf("unsubscribe of an unknown id: %v", errs)
	}
}

func TestLostDoubledAndForgedDeliveriesAreLoggedAsSuch(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 1}, nil)
	w.subscribe(nil, "PRODUCTS_UPDATE")
	update := func() {
		t.Helper()
		if err := w.shop.UpdateProduct(w.firstProduct().ID, func(p *simulator.Product) { p.Title += "1" }); err != nil {
			t.Fatal(err)
		}
	}
	w.SetFaults(simulator.Faults{Lose: map[string]float64{"products/update": 1}})
	update()
	if n := len(w.heard()); n != 0 {
		t.Errorf("a lost webhook was heard %d times", n)
	}
	w.SetFaults(simulator.Faults{Double: 1})
	update()
	hooks := w.heard()
	if len(hooks) != 2 || hooks[0].header.Get("X-Shopify-Webhook-Id") != hooks[1].header.Get("X-Shopify-Webhook-Id") {
		t.Errorf("a doubled webhook was heard %d times", len(hooks))
	}
	w.SetFaults(simulator.Faults{Forge: 1})
	update()
	hooks = w.heard()
	good := slices.DeleteFunc(slices.Clone(hooks), func(h hook) bool { return h.header.Get("X-Shopify-Hmac-Sha256") != sign(oldest, h.raw) })
	if len(hooks) != 2 || len(good) != 1 {
		t.Errorf("heard %d, of which %d are signed rightly; want 2 and 1", len(hooks), len(good))
	}
	for _, h := range hooks {
		forged := h.header.Get("X-Shopify-Hmac-Sha256") != sign(oldest, h.raw)
		price := h.body["variants"].([]any)[0].(map[string]any)["price"]
		if forged != (h.body["title"] == "Forged") || forged != (price == "0.01") {
			t.Errorf("forged %v: title %q, price %v", forged, h.body["title"], price)
		}
	}
	log := w.Deliveries()
	if len(log) != 3 || !log[0].Lost || len(log[0].Attempts) != 0 || len(log[1].Attempts) != 2 || !log[2].Attempts[0].Forged || !log[2].Accepted() {
		t.Errorf("log %+v", log)
	}
}

// A bubble cannot see sockets, so the receiver is a transport.
type receiver func(*http.Request) int

func (r receiver) RoundTrip(request *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: r(request), Body: http.NoBody, Header: http.Header{}, Request: request}, nil
}

func TestRetriesEndAfterFourHoursAndTakeTheSubscriptionAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var (
			mu    sync.Mutex
			times []time.Time
			ids   = map[string]bool{}
			sizes = map[int64]bool{}
		)
		deliver := &http.Client{Transport: receiver(func(r *http.Request) int {
			mu.Lock()
			defer mu.Unlock()
			times = append(times, time.Now())
			ids[r.Header.Get("X-Shopify-Webhook-Id")] = true
			sizes[r.ContentLength] = true
			return http.StatusServiceUnavailable
		})}
		sim := simulator.New(simulator.Config{Deliver: deliver, Apps: []simulator.App{{ClientID: clientID, Secrets: []string{secret},
			Webhooks: []simulator.AppWebhook{{Topic: "products/delete", URI: "https://app.example.com/"}}}}})
		shop, err := sim.AddShop(domain, simulator.Catalogue{Products: 1})
		if err != nil {
			t.Fatal(err)
		}
		token, err := shop.IssueToken(clientID, "read_products")
		if err != nil {
			t.Fatal(err)
		}
		access := shop.AccessOf(token)
		if _, errs := access.Installation.Subscribe(access, simulator.Subscription{Topic: "PRODUCTS_UPDATE", URI: "https://app.example.com/"}); errs != nil {
			t.Fatal(errs)
		}
		if err := sim.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer sim.Stop()
		var id int64
		for p := range shop.Products.All() {
			id = p.ID
		}
		start := time.Now()
		if err := shop.UpdateProduct(id, func(p *simulator.Product) { p.Title = "short" }); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Second) // On the clock of the bubble.
		if err := shop.UpdateVariant(firstVariant(shop), func(v *simulator.Variant) { v.SKU = strings.Repeat("long", 100) }); err != nil {
			t.Fatal(err)
		}
		<-time.After(5 * time.Hour)
		mu.Lock()
		if len(times) != 18 || len(ids) != 2 || len(sizes) != 2 {
			t.Errorf("%d attempts under %d ids with %d bodies; want 9 for each of two, with their original bodies", len(times), len(ids), len(sizes))
		}
		if took := times[len(times)-1].Sub(start); took < 3*time.Hour+50*time.Minute || took > 4*time.Hour+time.Minute {
			t.Errorf("the last attempt came after %v", took)
		}
		mu.Unlock()
		if left := access.Installation.Subscriptions(); len(left) != 0 {
			t.Errorf("subscriptions left: %v", left)
		}
		if err := shop.DeleteProduct(id); err != nil {
			t.Fatal(err)
		}
		<-time.After(5 * time.Hour)
		mu.Lock()
		defer mu.Unlock()
		if len(times) != 27 {
			t.Errorf("%d attempts; the subscription of the app's configuration must stay", len(times))
		}
	})
}

func firstVariant(s *simulator.Shop) int64 { return s.Variants.IDs()[0] }

func TestOneSuccessKeepsTheSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var status atomic.Int64
		status.Store(http.StatusServiceUnavailable)
		sim := simulator.New(simulator.Config{Apps: []simulator.App{{ClientID: clientID, Secrets: []string{secret}}},
			Deliver: &http.Client{Transport: receiver(func(*http.Request) int { return int(status.Load()) })}})
		shop, err := sim.AddShop(domain, simulator.Catalogue{Products: 1})
		if err != nil {
			t.Fatal(err)
		}
		token, err := shop.IssueToken(clientID, "read_products")
		if err != nil {
			t.Fatal(err)
		}
		access := shop.AccessOf(token)
		if _, errs := access.Installation.Subscribe(access, simulator.Subscription{Topic: "PRODUCTS_UPDATE", URI: "https://app.example.com/"}); errs != nil {
			t.Fatal(errs)
		}
		if err := sim.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer sim.Stop()
		id := shop.Products.IDs()[0]
		update := func() {
			if err := shop.UpdateProduct(id, func(p *simulator.Product) { p.Title += "." }); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		update()
		<-time.After(time.Hour)
		status.Store(http.StatusOK)
		update()
		status.Store(http.StatusServiceUnavailable)
		<-time.After(5 * time.Hour)
		if left := access.Installation.Subscriptions(); len(left) != 1 {
			t.Errorf("subscriptions left: %v", left)
		}
	})
}

func TestRedirectIsAFailure(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 1}, nil)
	w.subscribe(nil, "PRODUCTS_UPDATE")
	w.answerFrom(http.StatusFound)
	if err := w.shop.UpdateProduct(w.firstProduct().ID, func(p *simulator.Product) { p.Title = "x" }); err != nil {
		t.Fatal(err)
	}
	w.heard()
	if d := w.Deliveries()[0]; d.Done || d.Accepted() || d.Attempts[0].Status != http.StatusFound {
		t.Errorf("delivery %+v", d)
	}
}

// Every version served knows the status, which came with 2025-10.
func TestUnlistedProductsAreCalledSoInEveryVersion(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 1}, nil)
	c := w.client(append(slices.Clone(allScopes), "write_products")...)
	access := w.shop.AccessOf(c.token)
	versions := []string{"2026-01", "2026-04", "2026-07", "2026-10"}
	for _, version := range versions {
		access.APIVersion = version
		if _, errs := access.Installation.Subscribe(access, simulator.Subscription{Topic: "PRODUCTS_UPDATE", URI: w.inbox.URL + "/" + version}); errs != nil {
			t.Fatal(errs)
		}
	}
	p := w.firstProduct()
	for _, version := range versions {
		c.version = version
		c.expect(`{"productUpdate":{"product":{"status":"UNLISTED"},"userErrors":[]}}`,
			`mutation($id: ID!) { productUpdate(product: { id: $id, status: UNLISTED }) { product { status } userErrors { message } } }`, "id", p.GID())
		c.expect(`{"product":{"status":"UNLISTED"}}`, `query($id: ID!) { product(id: $id) { status } }`, "id", p.GID())
		told := map[string]any{}
		for _, h := range w.heard("products/update") {
			told[h.header.Get("X-Shopify-API-Version")] = h.body["status"]
		}
		for _, version := range versions {
			if told[version] != "unlisted" {
				t.Errorf("a webhook of version %s says %v", version, told[version])
			}
		}
	}
}
