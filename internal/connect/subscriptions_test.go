package connect_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"stockroom/internal/connect"
	"stockroom/internal/mirror"
	"stockroom/internal/shopify"
	"stockroom/internal/store"
)

func (w *world) audit(shop store.Shop) connect.Report {
	w.Helper()
	report, err := w.c.AuditSubscriptions(w.Context(), shop)
	if err != nil {
		w.Fatal(err)
	}
	return report
}

// wantedTopics are those that all scopes allow.
func wantedTopics() []shopify.Topic {
	return slices.DeleteFunc(shopify.Topics(), func(t shopify.Topic) bool { return t.Class == shopify.ClassCompliance })
}

func TestAnAuditMakesWhatIsMissing(t *testing.T) {
	w := newWorld(t)
	shop := w.connect()
	wanted := wantedTopics()
	report := w.audit(shop)
	if len(report.Created) != len(wanted) || report.Wanted != len(wanted) || len(report.Deleted)+len(report.Updated)+len(report.Refused)+len(report.Failed) != 0 {
		t.Fatalf("report %+v, want %d created", report, len(wanted))
	}
	prefix := "https://stockroom.example/shopify/webhook/"
	keys := map[string]bool{}
	for _, s := range w.fake.subscriptions {
		rest, ok := strings.CutPrefix(s.URI, prefix)
		key, topic, _ := strings.Cut(rest, "/")
		if !ok || strings.ToUpper(strings.ReplaceAll(topic, "/", "_")) != s.Topic {
			t.Errorf("topic %s at %s", s.Topic, s.URI)
		}
		keys[key] = true
	}
	if len(keys) != 1 {
		t.Errorf("%d keys, want one", len(keys))
	}
	stored := w.subscriptions(shop)
	if len(stored) != len(wanted) {
		t.Errorf("%d stored, want %d", len(stored), len(wanted))
	}
	for _, s := range stored {
		if s.State != "active" || s.GID == "" || s.CheckedAt == 0 {
			t.Errorf("stored %+v", s)
		}
	}

	report = w.audit(shop)
	if report.Changed() || report.Kept != len(wanted) {
		t.Errorf("a second audit reports %+v, want all kept", report)
	}
	if pages := w.fake.count("ListSubscriptions"); pages < len(wanted)/pageSize {
		t.Errorf("%d pages were read", pages)
	}
}

func TestAnAuditMendsWhatDiffers(t *testing.T) {
	w := newWorld(t)
	shop := w.connect()
	w.audit(shop)
	find := func(topic string) *subscription {
		i := slices.IndexFunc(w.fake.subscriptions, func(s subscription) bool {
			return s.Topic == topic && strings.HasPrefix(s.URI, "https://stockroom.example/shopify/webhook/")
		})
		if i < 0 {
			t.Fatalf("no subscription to %s", topic)
		}
		return &w.fake.subscriptions[i]
	}
	address := find("PRODUCTS_UPDATE").URI
	filter := "status:active"
	find("ORDERS_CREATE").IncludeFields = []string{"id"}
	find("PRODUCTS_CREATE").Version = "2025-01"
	find("PRODUCTS_DELETE").Filter = &filter
	find("COLLECTIONS_UPDATE").URI = "https://stockroom.example/shopify/webhook/an-old-key/collections/update"
	w.fake.subscriptions = append(w.fake.subscriptions,
		subscription{ID: "old", Topic: "PRODUCTS_UPDATE", URI: "https://stockroom.example/shopify/webhook/an-old-key/products/update", Format: "JSON", Version: shopify.Version},
		subscription{ID: "unwanted", Topic: "THEMES_UPDATE", URI: address, Format: "JSON", Version: shopify.Version},
		subscription{ID: "theirs", Topic: "PRODUCTS_UPDATE", URI: "https://stockroom.example.evil/shopify/webhook/k/products/update", Format: "JSON", Version: shopify.Version},
		subscription{ID: "plain", Topic: "PRODUCTS_UPDATE", URI: "https://stockroom.example/shopify/webhook", Format: "JSON", Version: shopify.Version})

	report := w.audit(shop)
	slices.Sort(report.Updated)
	slices.Sort(report.Created)
	slices.Sort(report.Deleted)
	if want := []string{"orders/create", "products/create"}; !slices.Equal(report.Updated, want) {
		t.Errorf("updated %v, want %v", report.Updated, want)
	}
	if want := []string{"collections/update", "products/delete"}; !slices.Equal(report.Created, want) {
		t.Errorf("created %v, want %v", report.Created, want)
	}
	if want := []string{"COLLECTIONS_UPDATE", "PRODUCTS_DELETE", "PRODUCTS_UPDATE", "THEMES_UPDATE"}; !slices.Equal(report.Deleted, want) {
		t.Errorf("deleted %v, want %v", report.Deleted, want)
	}
	left := map[string]bool{}
	for _, s := range w.fake.subscriptions {
		left[s.ID] = true
	}
	if left["old"] || left["unwanted"] || !left["theirs"] || !left["plain"] {
		t.Errorf("left are %v", left)
	}
	if report := w.audit(shop); report.Changed() {
		t.Errorf("another audit reports %+v", report)
	}
}

func TestANewInstallationReplacesTheOldAddress(t *testing.T) {
	w := newWorld(t)
	w.audit(w.connect())
	old := w.fake.subscriptions[0].URI
	w.later(time.Minute)
	// An uninstallation that Shopify tells of, but whose deletion of the subscriptions fails us here.
	if err := w.c.Uninstalled(t.Context(), domain, mirror.At(w.config.Now())); err != nil {
		t.Fatal(err)
	}
	w.later(time.Minute)
	report := w.audit(w.connect())
	if n := len(wantedTopics()); len(report.Created) != n || len(report.Deleted) != n || len(w.fake.subscriptions) != n {
		t.Errorf("created %d, deleted %d, left %d; want %d each", len(report.Created), len(report.Deleted), len(w.fake.subscriptions), n)
	}
	if slices.ContainsFunc(w.fake.subscriptions, func(s subscription) bool { return s.URI == old }) {
		t.Error("the old address is still subscribed")
	}
}

func TestOnlyTopicsThatTheScopesAllowAreWanted(t *testing.T) {
	w := newWorld(t)
	w.fake.scopes = "write_products"
	shop := w.connect()
	report := w.audit(shop)
	if !slices.Contains(report.Created, "products/update") || !slices.Contains(report.Created, "app/uninstalled") {
		t.Errorf("created %v: write_products covers read_products", report.Created)
	}
	for _, topic := range []string{"orders/create", "discounts/update", "locations/update", "shop/redact"} {
		if slices.Contains(report.Created, topic) {
			t.Errorf("%s was made", topic)
		}
	}
	// What the shop grants later is noticed.
	w.fake.set(func() { w.fake.scopes = "read_locations,write_products" })
	report = w.audit(shop)
	if !slices.Contains(report.Created, "locations/update") || w.shop(domain).Scopes != "read_locations,write_products" {
		t.Errorf("created %v, scopes %q", report.Created, w.shop(domain).Scopes)
	}
}

func TestRefusedTopicsAreNotedAndSaidOnce(t *testing.T) {
	w := newWorld(t)
	shop := w.connect()
	w.fake.refuse["ORDERS_CREATE"] = "This app is not approved to subscribe to webhook topics containing protected customer data."
	w.fake.refuse["PRODUCTS_DELETE"] = "Address is not allowed"
	w.fake.refuse["PRODUCTS_CREATE"] = "Address for this topic has already been taken"
	for range 3 {
		report := w.audit(shop)
		if len(report.Refused) != 1 || report.Refused[0].Topic != "orders/create" || len(report.Failed) != 1 || report.Failed[0].Topic != "products/delete" {
			t.Fatalf("report %+v", report)
		}
	}
	states := map[string]store.Subscription{}
	for _, s := range w.subscriptions(shop) {
		states[s.Topic] = s
	}
	if s := states["orders/create"]; s.State != "refused" || !strings.Contains(s.Reason, "protected customer data") {
		t.Errorf("stored %+v", s)
	}
	if s := states["products/delete"]; s.State != "failed" || s.Reason != "Address is not allowed" {
		t.Errorf("stored %+v", s)
	}
	if s := states["products/create"]; s.State != "active" {
		t.Errorf("stored %+v", s)
	}
	if n := strings.Count(w.logs.String(), "orders/create"); n != 1 {
		t.Errorf("said %d times, want once", n)
	}
}

func TestTheKeyIsInNoReasonAndNoLog(t *testing.T) {
	w := newWorld(t)
	shop := w.connect()
	w.audit(shop)
	key := strings.Split(strings.TrimPrefix(w.fake.subscriptions[0].URI, "https://stockroom.example/shopify/webhook/"), "/")[0]
	w.fake.refuse["PRODUCTS_DELETE"] = "Address https://stockroom.example/shopify/webhook/" + key + "/products/delete is bad"
	w.fake.subscriptions = nil
	report := w.audit(shop)
	if len(report.Failed) != 1 || !strings.Contains(report.Failed[0].Reason, "[redacted]") {
		t.Errorf("report %+v", report.Failed)
	}
	for _, s := range w.subscriptions(shop) {
		if strings.Contains(s.Reason, key) {
			t.Errorf("stored %q", s.Reason)
		}
	}
	if strings.Contains(w.logs.String(), key) {
		t.Error("the log holds the key")
	}
}

func TestWithoutAnAddressNothingIsSubscribed(t *testing.T) {
	w := newWorld(t, func(c *connect.Config) { c.WebhookAddress = "" })
	shop := w.connect()
	if report := w.audit(shop); report.Wanted != 0 || len(report.Scopes) == 0 || w.fake.count("ListSubscriptions") != 0 {
		t.Errorf("report %+v", report)
	}
	w.want(w.get("/connected"), 200, "No address for webhooks is set")
}

func TestAnAuditThatCannotAskIsAnError(t *testing.T) {
	w := newWorld(t)
	shop := w.connect()
	w.audit(shop)
	before := w.subscriptions(shop)
	w.fake.set(func() { clear(w.fake.access); w.fake.refresh = "" })
	if _, err := w.c.AuditSubscriptions(t.Context(), shop); err == nil {
		t.Error("no error")
	}
	if after := w.subscriptions(shop); len(after) != len(before) {
		t.Errorf("%d are known, want the %d of before", len(after), len(before))
	}
}

func TestAnAuditTellsOfScopesThatNobodyToldOf(t *testing.T) {
	w := newWorld(t)
	shop := w.connect()
	changes := func(scopes string) int {
		w.fake.set(func() { w.fake.scopes = scopes })
		w.audit(shop)
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.changed)
	}
	for _, step := range []struct {
		scopes string
		want   int
	}{
		{allScopes, 0},
		{allScopes + ",read_products", 0}, // Shopify may name what write_products covers, or not.
		{"read_discounts,read_inventory,read_locations,write_products", 1},
		{"read_discounts,read_inventory,read_locations,write_products", 1},
		{allScopes, 2},
		{allScopes + ",read_all_orders", 3},
	} {
		if n := changes(step.scopes); n != step.want {
			t.Errorf("with %s: told %d times, want %d", step.scopes, n, step.want)
		}
	}
}

func TestWhatASubscriptionMissedIsToldBeforeItIsForgotten(t *testing.T) {
	var told [][]connect.Lost
	var fail error
	w := newWorld(t, func(c *connect.Config) {
		c.Events.SubscriptionsLost = func(_ context.Context, _ store.Shop, lost []connect.Lost) error {
			told = append(told, lost)
			return fail
		}
	})
	shop := w.connect()
	repair := func() error {
		_, err := w.c.RepairSubscriptions(t.Context(), shop)
		return err
	}
	if err := repair(); err != nil || len(told) != 0 {
		t.Fatalf("at first: %v, told %v", err, told)
	}
	checked := w.subscriptions(shop)[0].CheckedAt
	remove := func(topics ...string) {
		w.fake.set(func() {
			w.fake.subscriptions = slices.DeleteFunc(w.fake.subscriptions, func(s subscription) bool { return slices.Contains(topics, s.Topic) })
		})
	}
	remove("PRODUCTS_UPDATE", "ORDERS_CREATE", "APP_UNINSTALLED")
	// The gap cannot be handed in, or the process dies before all is stored: the next look finds it again.
	fail = errors.New("the disk is full")
	if err := repair(); err == nil || len(told) != 1 {
		t.Fatalf("error %v, told %d times", err, len(told))
	}
	fail = nil
	if err := repair(); err != nil || len(told) != 2 {
		t.Fatalf("error %v, told %d times", err, len(told))
	}
	for _, lost := range told {
		slices.SortFunc(lost, func(a, b connect.Lost) int { return strings.Compare(a.Topic, b.Topic) })
		if len(lost) != 2 || lost[0].Topic != "orders/create" || lost[1].Topic != "products/update" || lost[1].Since != checked {
			t.Errorf("told of %v, want both topics of records since %v", lost, checked)
		}
	}
	if err := repair(); err != nil || len(told) != 2 {
		t.Errorf("when all is well: %v, told %d times", err, len(told))
	}
	w.fake.set(func() {
		i := slices.IndexFunc(w.fake.subscriptions, func(s subscription) bool { return s.Topic == "PRODUCTS_UPDATE" })
		w.fake.subscriptions[i].Version = "2025-01"
	})
	if err := repair(); err != nil || len(told) != 3 || len(told[2]) != 1 {
		t.Errorf("bodies of another version: %v, told %v", err, told)
	}
}
