package jobs

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stockroom/internal/mirror"
	"stockroom/internal/store"
)

// TestByPagesNext: a run that could not read in bulk is followed by one that
// reads by pages, once, however many jobs name the first.
func TestByPagesNext(t *testing.T) {
	db, err := store.Open(t.Context(), "sqlite://"+filepath.Join(t.TempDir(), "stockroom.db"), store.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if err := Migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	j, err := New(Config{Store: db, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	update := func(do func(*store.Tx) error) {
		t.Helper()
		if err := db.Update(t.Context(), do); err != nil {
			t.Fatal(err)
		}
	}
	var shop store.Shop
	update(func(tx *store.Tx) (err error) {
		shop, err = tx.SaveShop(store.Shop{Domain: "a.myshopify.com", State: store.ShopConnected, WebhookKeyHash: []byte("hash"), WebhookKey: []byte("sealed")})
		return err
	})
	ended := func(reason string, state store.RunState, progress string) (run store.Run) {
		update(func(tx *store.Tx) (err error) {
			if run, _, err = tx.QueueRun(store.Run{ShopID: shop.ID, Kind: "poll", Reason: reason, AcceptDeletions: true}); err != nil {
				return err
			}
			run.State, run.Progress, run.EndedAt = state, []byte(progress), mirror.At(time.Now())
			return tx.SaveRun(run)
		})
		return run
	}
	open := func() (run store.Run, any bool) {
		err := db.View(context.Background(), func(tx *store.Tx) (err error) {
			run, err = tx.OpenRun(shop.ID)
			return err
		})
		return run, err == nil
	}
	failed := `{"lists":{"products":{"bulk":{"operation":"gid://shopify/BulkOperation/1","failed":"cut"}},"orders":{"done":true}}}`
	for name, run := range map[string]store.Run{
		"all was read":                  ended("manual", store.RunOK, `{"lists":{"products":{"done":true,"bulk":{}}}}`),
		"pages failed":                  ended("manual", store.RunPartial, `{"lists":{"products":{}}}`),
		"the shop is closed":            ended("manual", store.RunFailed, failed),
		"it followed such a run itself": ended(reasonByPages, store.RunPartial, failed),
	} {
		if err := j.byPagesNext(t.Context(), run); err != nil {
			t.Fatal(err)
		}
		if next, any := open(); any {
			t.Errorf("%s: run %d follows", name, next.ID)
		}
	}
	run := ended("manual", store.RunPartial, failed)
	for range 2 {
		if err := j.byPagesNext(t.Context(), run); err != nil {
			t.Fatal(err)
		}
	}
	next, any := open()
	if !any || next.Kind != "poll" || next.Reason != reasonByPages || !next.AcceptDeletions {
		t.Fatalf("after a list failed in bulk run %+v follows", next)
	}
	update(func(tx *store.Tx) error {
		next.State = store.RunOK
		return tx.SaveRun(next)
	})
	if err := j.byPagesNext(t.Context(), run); err != nil { // A second job of the first run.
		t.Fatal(err)
	}
	if again, any := open(); any {
		t.Errorf("run %d follows once more", again.ID)
	}
}

// TestARunIsFollowedWhereTheShopBeganToShareMore while it was under way.
func TestARunIsFollowedWhereTheShopBeganToShareMore(t *testing.T) {
	db, err := store.Open(t.Context(), "sqlite://"+filepath.Join(t.TempDir(), "stockroom.db"), store.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if err := Migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	j, err := New(Config{Store: db, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, then, now string
		state           store.ShopState
		want            bool
	}{
		{"the same", "read_products", "read_products", store.ShopConnected, false},
		{"in other words", "write_products", "read_products,write_products", store.ShopConnected, false},
		{"more", "read_products", "read_orders,read_products", store.ShopConnected, true},
		{"less", "read_orders,read_products", "read_products", store.ShopConnected, true},
		{"it has left", "read_products", "", store.ShopUninstalled, false},
		{"it never came to its lists", "", "read_products", store.ShopConnected, false},
	} {
		var shop store.Shop
		var run store.Run
		err := db.Update(t.Context(), func(tx *store.Tx) (err error) {
			shop, err = tx.SaveShop(store.Shop{Domain: strings.ReplaceAll(tt.name, " ", "-") + ".myshopify.com", State: tt.state, Scopes: tt.now,
				WebhookKeyHash: []byte(tt.name), WebhookKey: []byte("sealed")})
			if err != nil {
				return err
			}
			if run, _, err = tx.QueueRun(store.Run{ShopID: shop.ID, Kind: "poll", Reason: "manual"}); err != nil {
				return err
			}
			run.State, run.Progress, run.EndedAt = store.RunOK, []byte(`{"scopes":"`+tt.then+`"}`), mirror.At(time.Now())
			return tx.SaveRun(run)
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := j.outgrownNext(t.Context(), run); err != nil {
			t.Fatal(err)
		}
		var next store.Run
		err = db.View(t.Context(), func(tx *store.Tx) (err error) {
			next, err = tx.OpenRun(shop.ID)
			return err
		})
		if follows := err == nil; follows != tt.want || follows && next.Reason != "scopes" {
			t.Errorf("%s: another run follows: %v (%s), want %v", tt.name, follows, next.Reason, tt.want)
		}
	}
}
