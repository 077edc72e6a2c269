package connect_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"stockroom/internal/connect"
	"stockroom/internal/secret"
	"stockroom/internal/store"
)

// keyed is a town whose encryption keys are in a file; each process opens it.
func keyed(t *testing.T) (w *town, path string, process func() (*connect.Connector, *store.Store)) {
	w = newTown(t)
	path = filepath.Join(t.TempDir(), "key")
	if _, _, err := secret.File(path, secret.NewKeyset); err != nil {
		t.Fatal(err)
	}
	return w, path, func() (*connect.Connector, *store.Store) {
		t.Helper()
		sealer, err := secret.OpenReloading(func() (secret.Secret, error) { return secret.ReadFile(path) })
		if err != nil {
			t.Fatal(err)
		}
		db := w.open()
		config := w.config
		config.Store, config.Sealer = db, sealer
		return connect.New(config), db
	}
}

// TestTheEncryptionKeyIsReplacedUnderARunningService that refreshes its tokens
// all the while.
func TestTheEncryptionKeyIsReplacedUnderARunningService(t *testing.T) {
	w, path, process := keyed(t)
	service, db := process()
	shop := w.login(service, db)
	ctx, stop := context.WithCancel(t.Context())
	var working sync.WaitGroup
	refreshes := 0
	working.Go(func() {
		var token secret.Secret
		for ; ctx.Err() == nil; refreshes++ {
			var err error
			if token, err = service.AccessToken(t.Context(), shop.ID, token); err != nil { // As if it had been refused.
				t.Errorf("refresh %d: %v", refreshes, err)
				return
			}
		}
	})
	keys := map[string]bool{}
	for range 15 {
		command, _ := process()
		if n, err := command.RotateKeyFile(t.Context(), path); err != nil || n == 0 {
			t.Fatalf("%d values, %v", n, err)
		}
		text, err := os.ReadFile(path)
		if err != nil || strings.Contains(string(text), ",") || keys[string(text)] {
			t.Fatalf("the file holds an old key (%v)", err)
		}
		keys[string(text)] = true
		// A process that begins now knows the newest key alone.
		fresh, _ := process()
		if err := fresh.CheckKeys(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.works(fresh, shop)
	}
	stop()
	working.Wait()
	if refreshes < 5 {
		t.Errorf("only %d refreshes meanwhile", refreshes)
	}
	again, _ := process()
	w.later(65 * time.Minute)
	w.works(again, shop)
	if row := w.row(db); row.State != store.ShopConnected {
		t.Errorf("the shop is %s: %s", row.State, row.Trouble)
	}
}

func TestAChangeOfKeysThatWasCutShortGoesOn(t *testing.T) {
	w, path, process := keyed(t)
	service, db := process()
	shop := w.login(service, db)
	// It died when the file held both keys, and nothing was sealed by the new one yet.
	old, err := secret.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	fresh := secret.NewKeyset()
	if err := secret.ReplaceFile(path, secret.New(fresh.Reveal()+","+old.Reveal())); err != nil {
		t.Fatal(err)
	}
	// Who writes meanwhile seals by the key that is in use, not by the file's first.
	other, _ := process()
	if err := other.CheckKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.later(65 * time.Minute)
	w.works(other, shop)
	w.later(65 * time.Minute)
	w.works(service, shop)

	next, _ := process()
	if err := next.ResealAtStart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := secret.ReplaceFile(path, fresh); err != nil {
		t.Fatal(err)
	}
	last, _ := process()
	if err := last.CheckKeys(t.Context()); err != nil {
		t.Errorf("by the new key alone: %v", err)
	}
	w.works(last, shop)
}

func TestAKeyThatDoesNotFitTheDatabaseIsTold(t *testing.T) {
	w, path, process := keyed(t)
	service, db := process()
	w.login(service, db)
	if err := secret.ReplaceFile(path, secret.NewKeyset()); err != nil {
		t.Fatal(err)
	}
	other, _ := process()
	if err := other.CheckKeys(t.Context()); !errors.Is(err, secret.ErrCannotOpen) || !strings.Contains(err.Error(), "sealed with another encryption key") {
		t.Errorf("error %v", err)
	}
}

// TestEverySealedColumnIsSealedAgain: one that is forgotten is lost with its key.
func TestEverySealedColumnIsSealedAgain(t *testing.T) {
	w, path, process := keyed(t)
	service, db := process()
	w.login(service, db)
	if err := service.AddAppSecret(t.Context(), secret.New("shpss_added")); err != nil {
		t.Fatal(err)
	}
	w.later(65 * time.Minute)
	w.works(service, w.row(db))
	seal := func(text, bound string) []byte {
		sealed, err := service.Sealer.Seal([]byte(text), []byte(bound))
		if err != nil {
			t.Fatal(err)
		}
		return sealed
	}
	const pageBound = "facebook_pages/77/token"
	err := db.Update(t.Context(), func(tx *store.Tx) error {
		shop := w.row(db).ID
		_, err := tx.SaveFacebookPage(store.FacebookPage{ShopID: shop, PageID: "77", State: store.PageConnected, Token: seal("EAApage", pageBound)})
		if err != nil {
			return err
		}
		if err := tx.AddAppSecret(store.SecretsOfFacebook, seal("added", "a secret of the app at Facebook"), 1); err != nil {
			return err
		}
		return tx.AddFacebookLogin(store.FacebookLogin{ShopID: shop, Hash: []byte{0xAB}, Sealed: seal("{}", "facebook_logins/AB"), ExpiresAt: 1})
	})
	if err != nil {
		t.Fatal(err)
	}
	const body = `{"note":"of a customer"}`
	order := store.Delivery{ShopID: w.row(db).ID, Topic: "orders/create", WebhookID: "1", Body: []byte(body)}
	if err := service.SealBody(t.Context(), &order); err != nil {
		t.Fatal(err)
	}
	for _, column := range store.SealedColumns {
		err := db.View(t.Context(), func(tx *store.Tx) error {
			values, err := tx.SealedValues(column)
			if err == nil && len(values) == 0 {
				t.Errorf("the test has no value in %s.%s", column.Table, column.Column)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if n, err := service.RotateKeyFile(t.Context(), path); err != nil || n != len(store.SealedColumns) {
		t.Errorf("%d values were sealed anew, %v; want one of each of %d columns", n, err, len(store.SealedColumns))
	}
	next, _ := process()
	if opened, err := next.OpenBody(t.Context(), order); err != nil || string(opened.Body) != body {
		t.Errorf("a stored body after the change: %q, %v", opened.Body, err)
	}
	sealer, err := secret.OpenReloading(func() (secret.Secret, error) { return secret.ReadFile(path) })
	if err != nil {
		t.Fatal(err)
	}
	row := w.row(db)
	for name, sealed := range map[string][]byte{"access_token": row.AccessToken, "refresh_token": row.RefreshToken, "webhook_key": row.WebhookKey} {
		if _, err := sealer.Open(sealed, []byte("shops/"+domain+"/"+name)); err != nil {
			t.Errorf("%s by the new key alone: %v", name, err)
		}
	}
	err = db.View(t.Context(), func(tx *store.Tx) error {
		page, err := tx.FacebookPageNumbered("77")
		if err != nil {
			return err
		}
		opened, err := sealer.Open(page.Token, []byte(pageBound))
		if err == nil && string(opened) != "EAApage" {
			t.Errorf("the Page's token is %q", opened)
		}
		return err
	})
	if err != nil {
		t.Errorf("the Page's token by the new key alone: %v", err)
	}
}

func TestASecretAddedWhileTheServiceRunsIsTheNewest(t *testing.T) {
	w := newTown(t)
	db := w.open()
	c := w.connector(db)
	if got := c.AppSecrets(); len(got) != 2 || got[0].Reveal() != newSecret {
		t.Fatalf("%d secrets", len(got))
	}
	for _, s := range []string{"third", "fourth", newSecret} {
		if err := c.AddAppSecret(t.Context(), secret.New(s)); err != nil {
			t.Fatal(err)
		}
	}
	if got := reveal(c.AppSecrets()); got != "fourth third "+newSecret+" "+oldSecret {
		t.Errorf("secrets %s", got)
	}
	// In the settings since: there is its place.
	config := w.config
	config.Store, config.Secrets = w.open(), []secret.Secret{secret.New("fifth"), secret.New("fourth"), secret.New(newSecret)}
	if got := reveal(connect.New(config).AppSecrets()); got != "third fifth fourth "+newSecret {
		t.Errorf("secrets %s", got)
	}
}

func reveal(all []secret.Secret) string {
	texts := make([]string, len(all))
	for i, s := range all {
		texts[i] = s.Reveal()
	}
	return strings.Join(texts, " ")
}
