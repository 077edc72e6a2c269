package connect_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"stockroom/internal/connect"
	"stockroom/internal/mirror"
	"stockroom/internal/secret"
	"stockroom/internal/store"
)

func TestATokenIsRefreshedTenMinutesBeforeItsEnd(t *testing.T) {
	w := newWorld(t)
	shop := w.connect()
	w.later(49 * time.Minute)
	if token, err := w.token(shop, ""); err != nil || token != "shpat_1" || w.fake.count("refresh") != 0 {
		t.Fatalf("token %q, %v, %d refreshes; want the first one still", token, err, w.fake.count("refresh"))
	}
	w.later(2 * time.Minute)
	token, err := w.token(shop, "")
	if err != nil || token != "shpat_2" {
		t.Fatalf("token %q, %v; want a new one", token, err)
	}
	form := w.fake.forms[1]
	if len(form) != 4 || form.Get("refresh_token") != "shprt_1" || form.Get("client_secret") != newSecret {
		t.Errorf("the refresh sent %v", form)
	}
	if after := w.shop(domain); string(after.RefreshToken) == string(shop.RefreshToken) || string(after.WebhookKeyHash) != string(shop.WebhookKeyHash) || after.InstalledAt != shop.InstalledAt {
		t.Error("a refresh must change the tokens and nothing else")
	}
}

func TestManyCallersCauseOneRefresh(t *testing.T) {
	w := newWorld(t)
	shop := w.connect()
	w.fake.set(func() { delete(w.fake.access, "shpat_1") }) // From now on a 401.
	var wg sync.WaitGroup
	errs := make(chan error, 20)
	start := make(chan struct{})
	for range 20 {
		wg.Go(func() {
			client, err := w.c.Client(t.Context(), shop)
			if err != nil {
				errs <- err
				return
			}
			<-start
			if _, err := client.GrantedScopes(t.Context()); err != nil {
				errs <- err
			}
		})
	}
	close(start)
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
	if n := w.fake.count("refresh"); n != 1 {
		t.Errorf("%d refreshes, want exactly 1", n)
	}
}

func TestAFinalRefusalMarksTheShop(t *testing.T) {
	w := newWorld(t)
	shop := w.connect()
	w.fake.set(func() { clear(w.fake.access); w.fake.refresh = "" })
	client, err := w.c.Client(t.Context(), shop)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.GrantedScopes(t.Context()); !errors.Is(err, connect.ErrReconnect) {
		t.Fatalf("error %v, want ErrReconnect", err)
	}
	if got := w.shop(domain).State; got != store.ShopReconnect {
		t.Errorf("the shop is %s, want reconnect", got)
	}
	// Nothing is asked any more.
	if _, err := w.token(shop, ""); !errors.Is(err, connect.ErrReconnect) || w.fake.count("refresh") != 1 {
		t.Errorf("error %v after %d refreshes", err, w.fake.count("refresh"))
	}
	if strings.Contains(w.logs.String(), "shprt_") {
		t.Error("the log holds a token")
	}
}

func TestAnOldTokenIsUsedWhileShopifyCannotBeAsked(t *testing.T) {
	w := newWorld(t)
	shop := w.connect()
	w.fake.set(func() { w.fake.tokenStatus = 503 })
	w.later(55 * time.Minute)
	for range 3 {
		if token, err := w.token(shop, ""); err != nil || token != "shpat_1" {
			t.Fatalf("token %q, %v; want the old one", token, err)
		}
	}
	if n := w.fake.count("refresh"); n != 1 {
		t.Errorf("%d tries, want one in half a minute", n)
	}
	w.later(6 * time.Minute)
	if token, err := w.token(shop, ""); err == nil || errors.Is(err, connect.ErrReconnect) {
		t.Fatalf("token %q, %v; want a passing error once the old one is dead", token, err)
	}
	if got := w.shop(domain).State; got != store.ShopConnected {
		t.Errorf("the shop is %s, want connected: 503 is not final", got)
	}
	// Without a token it is asked more often, but not by every call.
	asked := w.fake.count("refresh")
	for range 10 {
		if _, err := w.token(shop, ""); err == nil {
			t.Fatal("a token was given")
		}
	}
	if n := w.fake.count("refresh"); n != asked {
		t.Errorf("%d tries by ten calls at once", n-asked)
	}
	w.fake.set(func() { w.fake.tokenStatus = 0 })
	w.later(2 * time.Second)
	if token, err := w.token(shop, ""); err != nil || token != "shpat_2" {
		t.Errorf("token %q, %v", token, err)
	}
}

func TestAnAnswerWithoutExpiryExpiresSoon(t *testing.T) {
	w := newWorld(t)
	w.fake.noExpiry = true
	shop := w.connect()
	if shop.AccessExpiresAt == 0 {
		t.Fatal("the token is taken to live for ever")
	}
	// A short life is used by half, and not a refresh for every call.
	for range 10 {
		if token, err := w.token(shop, ""); err != nil || token != "shpat_1" {
			t.Fatalf("token %q, %v; want the one that lives", token, err)
		}
	}
	w.later(4 * time.Minute)
	for range 10 {
		if token, err := w.token(shop, ""); err != nil || token != "shpat_2" {
			t.Fatalf("token %q, %v; want one refresh", token, err)
		}
	}
}

func TestARefreshDoesNotUndoAnUninstallation(t *testing.T) {
	w := newWorld(t)
	shop := w.connect()
	w.later(2 * time.Hour)
	// The shop leaves between the reading of its tokens and the storing of new ones.
	w.fake.set(func() {
		w.fake.beforeToken = func() {
			if err := w.c.Uninstalled(context.Background(), domain, mirror.At(time.Now().Add(time.Hour))); err != nil {
				t.Error(err)
			}
		}
	})
	if _, err := w.token(shop, ""); !errors.Is(err, connect.ErrUninstalled) {
		t.Errorf("error %v, want ErrUninstalled", err)
	}
	if after := w.shop(domain); after.AccessToken != nil || after.RefreshToken != nil || after.State != store.ShopUninstalled {
		t.Errorf("stored %+v", after)
	}
}

func TestATokenOfAnotherShopDoesNotOpen(t *testing.T) {
	w := newWorld(t)
	shop := w.connect()
	if _, err := w.store.Writer().Exec(`UPDATE shops SET domain = 'another.myshopify.com'`); err != nil {
		t.Fatal(err)
	}
	if _, err := w.token(shop, ""); !errors.Is(err, secret.ErrCannotOpen) {
		t.Errorf("error %v, want ErrCannotOpen", err)
	}
	if _, err := w.store.Writer().Exec(`UPDATE shops SET domain = $1, access_token = refresh_token`, domain); err != nil {
		t.Fatal(err)
	}
	if _, err := w.token(shop, ""); !errors.Is(err, secret.ErrCannotOpen) {
		t.Errorf("error %v, want ErrCannotOpen: it was sealed as a refresh token", err)
	}
}

func TestImportingATokenMadeByHand(t *testing.T) {
	w := newWorld(t)
	w.fake.access["shpat_hand"] = true
	token := secret.New("shpat_hand")

	_, err := w.c.ImportToken(t.Context(), "another.myshopify.com", token)
	wrong, ok := errors.AsType[*connect.DomainError](err)
	if !ok || wrong.Given != "another.myshopify.com" || wrong.Actual != domain || !strings.Contains(err.Error(), "another.myshopify.com") || !strings.Contains(err.Error(), domain) {
		t.Fatalf("error %v, want one that names both shops", err)
	}
	if _, err := w.c.ImportToken(t.Context(), domain, secret.New("shpat_wrong")); !errors.Is(err, connect.ErrReconnect) {
		t.Fatalf("error %v, want ErrReconnect", err)
	}
	if n := w.count("shops"); n != 0 {
		t.Fatalf("%d shops stored", n)
	}

	shop, err := w.c.ImportToken(t.Context(), domain, token)
	if err != nil {
		t.Fatal(err)
	}
	if shop.State != store.ShopConnected || shop.RefreshToken != nil || shop.AccessExpiresAt != 0 || shop.Scopes != allScopes || w.connections() != 1 {
		t.Errorf("stored %+v, told %d times", shop, w.connections())
	}
	if got, err := w.token(shop, ""); err != nil || got != "shpat_hand" {
		t.Errorf("token %q, %v", got, err)
	}

	// At the next start nothing is new, and nothing is asked.
	asked := w.fake.count("ReadShop")
	again, err := w.c.ImportToken(t.Context(), domain, token)
	if err != nil || string(again.WebhookKeyHash) != string(shop.WebhookKeyHash) || w.connections() != 1 || w.fake.count("ReadShop") != asked {
		t.Errorf("imported again: %v, told %d times", err, w.connections())
	}

	// It cannot be renewed.
	w.fake.set(func() { clear(w.fake.access) })
	if _, err := w.token(shop, "shpat_hand"); !errors.Is(err, connect.ErrReconnect) {
		t.Errorf("error %v, want ErrReconnect", err)
	}
	if got := w.shop(domain).State; got != store.ShopReconnect {
		t.Errorf("the shop is %s", got)
	}
}

func TestClientsOfAShopShareBudgetAndClock(t *testing.T) {
	w := newWorld(t)
	shop := w.connect()
	one, err := w.c.Client(t.Context(), shop)
	two, err2 := w.c.Client(t.Context(), shop)
	if err != nil || err2 != nil || one.Throttle() != two.Throttle() || one.Clock() != two.Clock() {
		t.Errorf("two clients of a shop have their own budget or clock (%v, %v)", err, err2)
	}
}

func TestTheClocksOffsetIsKept(t *testing.T) {
	w := newWorld(t)
	w.connect()
	// As after a restart, with an offset of an hour in the store that is no longer true.
	if _, err := w.store.Writer().Exec(`UPDATE shops SET clock_offset_ms = 3600000`); err != nil {
		t.Fatal(err)
	}
	shop := w.shop(domain)
	second := w.restart()
	client, err := second.Client(t.Context(), shop)
	if err != nil {
		t.Fatal(err)
	}
	if got := client.Clock().Offset(); got != time.Hour {
		t.Fatalf("the clock begins %v ahead, want the stored hour", got)
	}
	for range 2 { // What the first call learns the second one stores.
		if _, err := client.GrantedScopes(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.shop(domain).ClockOffsetMS; got > 1100 || got < -1100 {
		t.Errorf("%d ms are stored, want the present offset", got)
	}
}
