package connect_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"stockroom/internal/connect"
	"stockroom/internal/mirror"
	"stockroom/internal/secret"
	"stockroom/internal/store"
	"stockroom/internal/store/storetest"
)

const uninstalledBody = `{"id": 1, "name": "My Shop", "domain": "my-shop.example", "myshopify_domain": "` + domain + `", "updated_at": null}`

func TestUninstalling(t *testing.T) {
	w := newWorld(t)
	shop := w.connect()
	w.audit(shop)
	w.fake.set(func() { clear(w.fake.access); w.fake.refresh = "" }) // The tokens are dead already.
	calls := len(w.fake.calls)
	at := time.Now().Add(time.Minute)
	told := w.keys
	for range 2 {
		if !w.deliver(shop, "app/uninstalled", uninstalledBody, true, at) {
			t.Fatal("not handled")
		}
	}
	after := w.shop(domain)
	if after.State != store.ShopUninstalled || after.AccessToken != nil || after.RefreshToken != nil || len(after.WebhookKey) != 0 ||
		after.AccessExpiresAt != 0 || after.RefreshExpiresAt != 0 || after.UninstalledAt != mirror.At(at) {
		t.Errorf("stored %+v", after)
	}
	if string(after.WebhookKeyHash) == string(shop.WebhookKeyHash) || len(after.WebhookKeyHash) != 32 {
		t.Error("the webhook key still finds the shop")
	}
	if len(w.subscriptions(shop)) != 0 || w.keys != told+1 || len(w.fake.calls) != calls {
		t.Errorf("%d subscriptions known, told %d times, %d calls", len(w.subscriptions(shop)), w.keys-told, len(w.fake.calls)-calls)
	}
	if _, err := w.token(shop, ""); !errors.Is(err, connect.ErrUninstalled) {
		t.Errorf("error %v, want ErrUninstalled", err)
	}
	w.want(w.get("/connected"), 200, "Your shop has left")

	again := w.connect()
	if again.ID != shop.ID || again.State != store.ShopConnected || again.UninstalledAt != 0 {
		t.Errorf("connected again as %+v", again)
	}
}

// TestAnUninstallationEndsWhatIsUnderWay: open runs and tasks have failed, no read
// is owed, and a worker that is still at it cannot open its run again.
func TestAnUninstallationEndsWhatIsUnderWay(t *testing.T) {
	w := newWorld(t)
	shop := w.connect()
	w.fill(shop)
	var run store.Run
	var task store.Task
	storetest.Update(t, w.store, func(tx *store.Tx) (err error) {
		if run, err = tx.OpenRun(shop.ID); err != nil {
			return err
		}
		run.State = store.RunRunning
		if err := tx.SaveRun(run); err != nil {
			return err
		}
		open, err := tx.OpenTasks()
		task = open[0]
		return err
	})
	w.deliver(shop, "app/uninstalled", uninstalledBody, true, time.Now().Add(time.Minute))
	if n := w.count("demands"); n != 0 {
		t.Errorf("%d reads are owed to a shop that has left", n)
	}
	err := w.store.Update(t.Context(), func(tx *store.Tx) error { return tx.SaveRun(run) })
	if !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the worker's next page: %v", err)
	}
	storetest.View(t, w.store, func(tx *store.Tx) error {
		ended, err := tx.RunByID(run.ID)
		if err != nil || ended.State != store.RunFailed || ended.EndedAt == 0 || ended.Error == "" {
			t.Errorf("the run is %+v (%v)", ended, err)
		}
		done, err := tx.TaskByID(task.ID)
		if done.State != store.RunFailed || done.Error == "" {
			t.Errorf("the task is %+v", done)
		}
		return err
	})
}

// TestALateUninstallationEndsNoConnectionMadeSince: the app was removed, which
// nobody heard, and installed again while the shop still counted as connected.
// Then the uninstallation comes in, at the key that is still in use.
func TestALateUninstallationEndsNoConnectionMadeSince(t *testing.T) {
	w := newWorld(t)
	w.connect()
	w.later(time.Hour)
	removed := time.Now().Add(30 * time.Minute)
	again := w.connect()
	w.deliver(again, "app/uninstalled", uninstalledBody, true, removed)
	if got := w.shop(domain); got.State != store.ShopConnected || got.AccessToken == nil {
		t.Errorf("the shop is %s: it is locked out though its tokens are good", got.State)
	}
	if err := w.c.Uninstalled(t.Context(), domain, mirror.At(time.Now().Add(2*time.Hour))); err != nil {
		t.Fatal(err)
	}
	if got := w.shop(domain); got.State != store.ShopUninstalled {
		t.Errorf("the shop is %s after it has left for good", got.State)
	}
}

// TestAnUninstallationOfTheMomentOfTheInstallationIsDecidedByTheShop: clocks are
// known to the second, so either may have come first.
func TestAnUninstallationOfTheMomentOfTheInstallationIsDecidedByTheShop(t *testing.T) {
	for name, installed := range map[string]bool{"installed again": true, "removed at once": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			shop := w.connect()
			if !installed {
				w.fake.set(func() { clear(w.fake.access); w.fake.refresh = "" })
			}
			w.deliver(shop, "app/uninstalled", uninstalledBody, true, shop.InstalledAt.Time().Add(time.Second))
			if got := w.shop(domain).State; (got == store.ShopConnected) != installed {
				t.Errorf("the shop is %s", got)
			}
		})
	}
}

// TestTheServiceStartsAfterAShopHasLeft: nothing sealed is left of such a shop, so
// that the encryption key is tried at another, and at none where there is no other.
func TestTheServiceStartsAfterAShopHasLeft(t *testing.T) {
	w := newWorld(t)
	shop := w.connect()
	w.deliver(shop, "app/uninstalled", uninstalledBody, true, time.Now().Add(time.Minute))
	if err := w.restart().CheckKeys(t.Context()); err != nil {
		t.Errorf("with a shop that has left: %v", err)
	}
	w.fake.set(func() { w.fake.identity = "two.myshopify.com"; w.fake.access["t"] = true })
	if _, err := w.c.ImportToken(t.Context(), "two.myshopify.com", secret.New("t")); err != nil {
		t.Fatal(err)
	}
	other, err := secret.OpenSealer(secret.NewKeyset())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.restart().CheckKeys(t.Context()); err != nil {
		t.Errorf("with another shop: %v", err)
	}
	w.config.Sealer = other
	if err := w.restart().CheckKeys(t.Context()); err == nil {
		t.Error("a wrong key was not noticed behind a shop that has left")
	}
}

func TestTwoShopsLeaveEachForItself(t *testing.T) {
	w := newWorld(t)
	one := w.connect()
	w.fake.set(func() { w.fake.identity = "two.myshopify.com"; w.fake.access["t"] = true })
	two, err := w.c.ImportToken(t.Context(), "two.myshopify.com", secret.New("t"))
	if err != nil {
		t.Fatal(err)
	}
	w.deliver(one, "app/uninstalled", uninstalledBody, true, time.Now().Add(time.Minute))
	if got := w.shop(two.Domain).State; got != store.ShopConnected {
		t.Errorf("the other shop is %s", got)
	}
}

func TestALateUninstallationOfAnEarlierInstallationIsIgnored(t *testing.T) {
	w := newWorld(t)
	shop := w.connect()
	if !w.deliver(shop, "app/uninstalled", uninstalledBody, true, time.Now().Add(-time.Hour)) {
		t.Error("not handled: it would be tried for ever")
	}
	if got := w.shop(domain); got.State != store.ShopConnected || got.AccessToken == nil {
		t.Errorf("the shop is %+v", got)
	}
}

func TestAnUnboundUninstallationIsBelievedForTheShopInItsBody(t *testing.T) {
	w := newWorld(t)
	shop := w.connect()
	body := fmt.Sprintf(`{"id": 2, "myshopify_domain": %q}`, "another.myshopify.com")
	if !w.deliver(shop, "app/uninstalled", body, false, time.Now().Add(time.Minute)) {
		t.Error("not handled")
	}
	if got := w.shop(domain).State; got != store.ShopConnected {
		t.Fatalf("the shop that only the header named is %s", got)
	}
	if w.deliver(shop, "app/uninstalled", `{"id": 2}`, false, time.Now().Add(time.Minute)) {
		t.Error("a body that names no domain was taken as handled")
	}
	w.deliver(shop, "app/uninstalled", uninstalledBody, false, time.Now().Add(time.Minute))
	if got := w.shop(domain).State; got != store.ShopUninstalled {
		t.Errorf("the shop that the body names is %s", got)
	}
}

func TestChangedScopesAreKeptAndAudited(t *testing.T) {
	w := newWorld(t)
	shop := w.connect()
	body := `{"id": 1, "previous": ["read_products"], "current": ["read_products", "read_locations"], "shop_id": "gid://shopify/Shop/1", "updated_at": "2026-11-24T10:00:00Z"}`
	if !w.deliver(shop, "app/scopes_update", body, false, time.Now()) || w.shop(domain).Scopes != allScopes || len(w.changed) != 1 {
		t.Errorf("unbound: scopes %q, told %d times; want no belief and one audit", w.shop(domain).Scopes, len(w.changed))
	}
	if !w.deliver(shop, "app/scopes_update", body, true, time.Now()) {
		t.Error("not handled")
	}
	if got := w.shop(domain).Scopes; got != "read_locations,read_products" || len(w.changed) != 2 || w.changed[1].Scopes != got {
		t.Errorf("scopes %q, told %+v", got, w.changed)
	}
}

func TestOtherWebhooksAreNotTheConnections(t *testing.T) {
	w := newWorld(t)
	shop := w.connect()
	for topic, body := range map[string]string{"products/update": `{"id":1}`, "app/uninstalled": `[]`, "app/scopes_update": `{}`, "made/up": `{}`} {
		if w.deliver(shop, topic, body, true, time.Now().Add(time.Minute)) {
			t.Errorf("%s with %s was taken as handled", topic, body)
		}
	}
	if got := w.shop(domain).State; got != store.ShopConnected {
		t.Errorf("the shop is %s", got)
	}
}
