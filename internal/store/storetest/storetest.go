// Package storetest holds what every database engine must do, as one suite, and
// the small shop that the tests of the ways out are told about.
//
// Run is the suite: an engine that passes it can stand under everything else.
// The rest are helpers for tests that need a store with something in it.
package storetest

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"stockroom/internal/mirror"
	"stockroom/internal/store"
)

// Noon is the moment at which the tests' shops are read.
var Noon = mirror.At(time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC))

// Open makes an empty database on disk that the end of the test closes.
func Open(t testing.TB) *store.Store {
	t.Helper()
	return OpenAt(t, "sqlite://"+filepath.Join(t.TempDir(), "test.db"), store.ReadWrite)
}

// OpenAt opens a database that the end of the test closes.
func OpenAt(t testing.TB, url string, mode store.Mode) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), url, mode)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Update runs do in a write transaction that must succeed.
func Update(t testing.TB, s *store.Store, do func(*store.Tx) error) {
	t.Helper()
	if err := s.Update(context.Background(), do); err != nil {
		t.Fatal(err)
	}
}

// View runs do in a read transaction that must succeed.
func View(t testing.TB, s *store.Store, do func(*store.Tx) error) {
	t.Helper()
	if err := s.View(context.Background(), do); err != nil {
		t.Fatal(err)
	}
}

// AddShop connects a shop with the scopes that all resources need.
func AddShop(t testing.TB, s *store.Store, domain string) store.Shop {
	t.Helper()
	var shop store.Shop
	Update(t, s, func(tx *store.Tx) (err error) {
		shop, err = tx.SaveShop(store.Shop{
			Domain: domain, State: store.ShopConnected, InstalledAt: Noon,
			Scopes:         "read_discounts,read_inventory,read_locations,read_orders,read_products",
			WebhookKeyHash: []byte("hash of " + domain), WebhookKey: []byte("sealed key of " + domain), AccessToken: []byte("sealed token"),
		})
		return err
	})
	return shop
}

// Present is a record as a read by id found it at a moment.
func Present(t testing.TB, id mirror.GID, content mirror.Content, at mirror.Instant) store.Record {
	t.Helper()
	o, err := mirror.Present(id, content, mirror.FromID, at, at)
	if err != nil {
		t.Fatal(err)
	}
	return Fold(store.Record{Key: o.Key}, o)
}

// Fold merges observations into a record.
func Fold(r store.Record, all ...mirror.Observation) store.Record {
	for _, o := range all {
		r.State, _ = mirror.Merge(r.State, o)
	}
	return r
}

// Delete is the record after its deletion.
func Delete(r store.Record, at mirror.Instant) store.Record {
	return Fold(r, mirror.Absent(r.Key, mirror.FromWebhook, at, at))
}

// Save writes records that must be accepted.
func Save(t testing.TB, s *store.Store, shop store.Shop, records ...store.Record) {
	t.Helper()
	Update(t, s, func(tx *store.Tx) error { return tx.SaveRecords(shop.ID, records) })
}

// Erase takes a shop out of the database, a row at a time and then the rest, so
// that every table is once cut short.
func Erase(t testing.TB, s *store.Store, shop store.Shop) {
	t.Helper()
	Update(t, s, func(tx *store.Tx) error { return tx.BeginErasure(shop) })
	for limit := 1; ; limit *= 2 {
		erased := map[string]int64{}
		Update(t, s, func(tx *store.Tx) (err error) {
			erased, err = tx.EraseSome(shop.ID, limit)
			return err
		})
		if len(erased) == 0 {
			break
		}
	}
	Update(t, s, func(tx *store.Tx) error {
		remaining, err := tx.EndErasure(shop.ID)
		if remaining != 0 {
			t.Errorf("%d rows of the erased shop remain", remaining)
		}
		return err
	})
}
