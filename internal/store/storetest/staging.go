package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"stockroom/internal/mirror"
	"stockroom/internal/store"
)

func stagedLinesComeByOwnerAndGoWithTheirRun(t *testing.T, s *store.Store) {
	shop := AddShop(t, s, shopA)
	var run store.Run
	stage := func(list string, rows ...store.Staged) {
		t.Helper()
		Update(t, s, func(tx *store.Tx) error { return tx.Stage(run.ID, list, rows) })
	}
	staged := func(list string, limit int) (found []string, owners int64) {
		t.Helper()
		View(t, s, func(tx *store.Tx) error {
			rows, err := tx.Staged(run.ID, list, limit)
			for _, r := range rows {
				found = append(found, fmt.Sprintf("%s/%s=%s", r.Owner, r.Child, r.Data))
			}
			var countErr error
			owners, countErr = tx.CountStagedOwners(run.ID, list)
			return errors.Join(err, countErr)
		})
		return found, owners
	}
	Update(t, s, func(tx *store.Tx) (err error) {
		run, _, err = tx.QueueRun(store.Run{ShopID: shop.ID, Kind: "poll", Reason: "manual"})
		return err
	})
	// Children before their owner, one line twice, another list beside it.
	stage("products", store.Staged{Owner: "B", Child: "2"}, store.Staged{Owner: "A", Child: "1"})
	stage("products", store.Staged{Owner: "B", Data: []byte("b")}, store.Staged{Owner: "A", Data: []byte("a")}, store.Staged{Owner: "B", Child: "1", Data: []byte("x")})
	stage("products", store.Staged{Owner: "B", Child: "1", Data: []byte("y")})
	stage("orders", store.Staged{Owner: "A", Data: []byte("order")})
	if got, owners := staged("products", 10); !slices.Equal(got, []string{"A/=a", "A/1=", "B/=b", "B/1=y", "B/2="}) || owners != 2 {
		t.Errorf("staged %v of %d owners", got, owners)
	}
	if got, _ := staged("products", 2); len(got) != 2 {
		t.Errorf("asked for two: %v", got)
	}
	Update(t, s, func(tx *store.Tx) error { return tx.DropStaged(run.ID, "products", "A") })
	if got, _ := staged("products", 10); !slices.Equal(got, []string{"B/=b", "B/1=y", "B/2="}) {
		t.Errorf("after the first was dropped: %v", got)
	}
	Update(t, s, func(tx *store.Tx) error {
		open, forgetErr := tx.ForgetRead(10)
		if open != 0 {
			t.Errorf("%d lines of an open run were forgotten", open)
		}
		run.State = store.RunPartial
		saveErr := tx.SaveRun(run)
		over, overErr := tx.ForgetRead(10)
		if over != 4 {
			t.Errorf("%d lines of a run that is over were forgotten; want the four that are left", over)
		}
		return errors.Join(forgetErr, saveErr, overErr)
	})
	stage("orders", store.Staged{Owner: "A"})
	Erase(t, s, shop)
}

func whatCameAndWentIsCountedByWhoToldOfIt(t *testing.T, s *store.Store) {
	shop := Sample(t, s, shopA)
	other := AddShop(t, s, shopB)
	var since int64
	change := func(of store.Shop, kind mirror.Kind, id mirror.GID, action string, source mirror.Source) {
		t.Helper()
		Update(t, s, func(tx *store.Tx) error {
			return tx.AddChanges(of.ID, []store.Change{{Key: mirror.Key{Kind: kind, ID: id}, Action: action, Source: source, AsOf: Noon, At: Noon}})
		})
	}
	change(shop, mirror.KindProduct, "before", "created", mirror.FromWebhook)
	View(t, s, func(tx *store.Tx) (err error) { since, err = tx.LastChange(shop.ID); return err })
	change(shop, mirror.KindProduct, "new", "created", mirror.FromWebhook)
	change(shop, mirror.KindProduct, "new", "deleted", mirror.FromWebhook)
	change(shop, mirror.KindProduct, "new", "created", mirror.FromID)
	change(shop, mirror.KindProduct, "read", "created", mirror.FromBulk) // That is what is being counted.
	change(shop, mirror.KindProduct, "changed", "updated", mirror.FromWebhook)
	change(shop, mirror.KindCollection, "other kind", "created", mirror.FromWebhook)
	change(other, mirror.KindProduct, "other shop", "created", mirror.FromWebhook)
	change(shop, mirror.KindProduct, Serum, "deleted", mirror.FromID)
	var variants int64
	View(t, s, func(tx *store.Tx) error {
		rows, err := tx.ShownByParent(shop.ID, mirror.KindProductVariant, []mirror.GID{Serum})
		variants = int64(len(rows[Serum]))
		for kind, want := range map[mirror.Kind][2]int64{mirror.KindProduct: {1, 2}, mirror.KindProductVariant: {0, variants}, mirror.KindOrder: {0, 0}} {
			came, went, countErr := tx.KnownSince(shop.ID, since, kind)
			if got := [2]int64{came, went}; got != want {
				t.Errorf("%s: %v came and went; want %v", kind, got, want)
			}
			err = errors.Join(err, countErr)
		}
		return err
	})
	if variants == 0 {
		t.Fatal("the sample's product has no variants: the test proves nothing")
	}
}
