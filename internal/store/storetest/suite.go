package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stockroom/internal/mirror"
	"stockroom/internal/secret"
	"stockroom/internal/store"
)

// Run holds an engine to all that the program relies on. Open makes an empty
// store; each test gets its own.
func Run(t *testing.T, open func(t *testing.T) *store.Store) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, *store.Store)
	}{
		{"TransactionsAreAllOrNothing", transactionsAreAllOrNothing},
		{"AReadTransactionSeesOneMoment", aReadTransactionSeesOneMoment},
		{"ShopsAreKeptByDomain", shopsAreKeptByDomain},
		{"RecordsComeBackAsTheyWere", recordsComeBackAsTheyWere},
		{"ACompleteReadProvesRowsButForExceptedOnes", aCompleteReadProvesRowsButForExceptedOnes},
		{"AResourceIsVerifiedAsFarAsItsLeastKind", aResourceIsVerifiedAsFarAsItsLeastKind},
		{"RowsAreShownByTheirMarks", rowsAreShownByTheirMarks},
		{"ParentsAndSetsHideRows", parentsAndSetsHideRows},
		{"AnItemIsVisibleThroughAnyVariantThatNamesIt", anItemIsVisibleThroughAnyVariantThatNamesIt},
		{"OnlyWhatARunDidNotReadIsACandidate", onlyWhatARunDidNotReadIsACandidate},
		{"StagedLinesComeByOwnerAndGoWithTheirRun", stagedLinesComeByOwnerAndGoWithTheirRun},
		{"WhatCameAndWentIsCountedByWhoToldOfIt", whatCameAndWentIsCountedByWhoToldOfIt},
		{"TheChangeFeedKeepsItsOrder", theChangeFeedKeepsItsOrder},
		{"DemandsForOneRecordJoin", demandsForOneRecordJoin},
		{"ADemandStaysUntilAReadReachesIt", aDemandStaysUntilAReadReachesIt},
		{"AWebhookIsStoredOnce", aWebhookIsStoredOnce},
		{"WebhooksGoThroughTheirStates", webhooksGoThroughTheirStates},
		{"BodiesAreKeptForTheirTime", bodiesAreKeptForTheirTime},
		{"RejectionsAreARing", rejectionsAreARing},
		{"AShopHasOneOpenRun", aShopHasOneOpenRun},
		{"ADayHasOneRun", aDayHasOneRun},
		{"ATaskIsQueuedOnce", aTaskIsQueuedOnce},
		{"SweepMarksMoveForwardOnly", sweepMarksMoveForwardOnly},
		{"EvidenceIsKeptWithItsDeletion", evidenceIsKeptWithItsDeletion},
		{"ATopicHasOneOpenSilence", aTopicHasOneOpenSilence},
		{"WhatWasHeardIsCountedBySlot", whatWasHeardIsCountedBySlot},
		{"HistoriesAreBoundedByAgeAndLength", historiesAreBoundedByAgeAndLength},
		{"OldTasksAreDropped", oldTasksAreDropped},
		{"DriftIsKeptAsItWasFirstSeen", driftIsKeptAsItWasFirstSeen},
		{"SearchFindsWordsOfAnyScript", searchFindsWordsOfAnyScript},
		{"SearchFiltersAndPages", searchFiltersAndPages},
		{"SearchEntriesAreReplacedAndDropped", searchEntriesAreReplacedAndDropped},
		{"SubscriptionsAreReplaced", subscriptionsAreReplaced},
		{"AKeyWorksUntilItIsRevoked", aKeyWorksUntilItIsRevoked},
		{"ASessionWorksUntilItsTimeIsOver", aSessionWorksUntilItsTimeIsOver},
		{"ALoginsStateWorksOnce", aLoginsStateWorksOnce},
		{"AShopsRowsAreItsOwn", aShopsRowsAreItsOwn},
		{"BatchesMayBeLargerThanAStatement", batchesMayBeLargerThanAStatement},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

const (
	shopA = "a.myshopify.com"
	shopB = "b.myshopify.com"
)

func product(title string, at mirror.Instant) mirror.Product {
	return mirror.Product{Title: title, UpdatedAt: mirror.TimeOf(at.Time())}
}

func transactionsAreAllOrNothing(t *testing.T, s *store.Store) {
	boom := errors.New("boom")
	err := s.Update(t.Context(), func(tx *store.Tx) error {
		if _, err := tx.SaveShop(store.Shop{Domain: shopA, State: store.ShopConnected, WebhookKeyHash: []byte("h"), WebhookKey: []byte("k")}); err != nil {
			return err
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Fatal(err)
	}
	View(t, s, func(tx *store.Tx) error {
		if _, err := tx.ShopByDomain(shopA); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a shop of a failed transaction: %v", err)
		}
		return nil
	})
}

func aReadTransactionSeesOneMoment(t *testing.T, s *store.Store) {
	AddShop(t, s, shopA)
	View(t, s, func(tx *store.Tx) error {
		if shops, err := tx.Shops(); err != nil || len(shops) != 1 {
			t.Fatalf("%d shops, %v", len(shops), err)
		}
		AddShop(t, s, shopB) // A writer does not wait for readers.
		if shops, err := tx.Shops(); err != nil || len(shops) != 1 {
			t.Errorf("%d shops in the same transaction, %v", len(shops), err)
		}
		return nil
	})
	View(t, s, func(tx *store.Tx) error {
		shops, err := tx.Shops()
		if len(shops) != 2 {
			t.Errorf("%d shops afterwards", len(shops))
		}
		return err
	})
}

func shopsAreKeptByDomain(t *testing.T, s *store.Store) {
	shop := AddShop(t, s, shopA)
	AddShop(t, s, shopB)
	shop.State, shop.AccessToken, shop.RefreshToken, shop.UninstalledAt = store.ShopUninstalled, nil, nil, Noon
	Update(t, s, func(tx *store.Tx) error {
		saved, err := tx.SaveShop(shop)
		if saved.ID != shop.ID {
			t.Errorf("saved again under id %d, before %d", saved.ID, shop.ID)
		}
		return errors.Join(err, tx.SetClockOffset(shop.ID, -250))
	})
	View(t, s, func(tx *store.Tx) error {
		for name, find := range map[string]func() (store.Shop, error){
			"domain": func() (store.Shop, error) { return tx.ShopByDomain(shopA) },
			"id":     func() (store.Shop, error) { return tx.ShopByID(shop.ID) },
			"key":    func() (store.Shop, error) { return tx.ShopByWebhookKey([]byte("hash of " + shopA)) },
		} {
			got, err := find()
			if err != nil || got.State != store.ShopUninstalled || got.AccessToken != nil || got.ClockOffsetMS != -250 || got.UninstalledAt != Noon {
				t.Errorf("by %s: %+v, %v", name, got, err)
			}
		}
		if _, err := tx.ShopByWebhookKey([]byte("another")); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("by a key of no shop: %v", err)
		}
		return nil
	})
}

func load(t *testing.T, s *store.Store, shop store.Shop, keys ...mirror.Key) map[mirror.Key]store.Record {
	t.Helper()
	var found map[mirror.Key]store.Record
	View(t, s, func(tx *store.Tx) (err error) {
		found, err = tx.LoadRecords(shop.ID, keys)
		return err
	})
	return found
}

func equal(a, b store.Record) bool {
	return a.Key == b.Key && a.ExceptAt == b.ExceptAt && bytes.Equal(a.State.Content, b.State.Content) && (a.State.Content == nil) == (b.State.Content == nil) &&
		fmt.Sprintf("%+v", a.State) == fmt.Sprintf("%+v", b.State)
}

func recordsComeBackAsTheyWere(t *testing.T, s *store.Store) {
	shop := AddShop(t, s, shopA)
	full := Present(t, "gid://shopify/ProductVariant/1", mirror.ProductVariant{
		ProductID: Serum, InventoryItemID: "gid://shopify/InventoryItem/1", Title: "日本 🎁 \x00 ' \" <", Price: "1"}, Noon)
	full.ExceptAt = 7
	full.State.Heard, full.State.WebhookAt = 1, 2
	full.State.WebhookLo[0], full.State.WebhookHi[15] = 1, 255
	full.State.RefutedFrom, full.State.RefutedTo = 11, 12
	marks := Delete(store.Record{Key: mirror.Key{Kind: mirror.KindProduct, ID: "gid://shopify/Product/404"}}, Noon) // Never seen, and gone.
	Save(t, s, shop, full, marks)
	found := load(t, s, shop, full.Key, marks.Key, mirror.Key{Kind: mirror.KindProduct, ID: "gid://shopify/Product/405"})
	if len(found) != 2 || !equal(found[full.Key], full) || !equal(found[marks.Key], marks) {
		t.Errorf("got %+v\nwant %+v and %+v", found, full, marks)
	}
	full = Delete(full, Noon.Add(time.Second))
	Save(t, s, shop, full)
	if found := load(t, s, shop, full.Key); !equal(found[full.Key], full) {
		t.Errorf("saved again: got %+v, want %+v", found[full.Key], full)
	}
}

func aCompleteReadProvesRowsButForExceptedOnes(t *testing.T, s *store.Store) {
	shop := AddShop(t, s, shopA)
	start := Noon.Add(time.Hour)
	plain := Present(t, Serum, product("Plain", Noon), Noon)
	excepted := Present(t, Shirt, product("Excepted", Noon), Noon)
	excepted.ExceptAt = start
	later := Present(t, Mug, product("Later", Noon), start.Add(time.Hour))
	hidden := Delete(Present(t, Deleted, product("Hidden", Noon), Noon), Noon.Add(time.Second))
	Save(t, s, shop, plain, excepted, later, hidden)
	Update(t, s, func(tx *store.Tx) error {
		return errors.Join(tx.SetComplete(shop.ID, 1, []mirror.Kind{mirror.KindProduct}, start),
			tx.SetComplete(shop.ID, 2, []mirror.Kind{mirror.KindProduct}, start.Add(-time.Minute))) // An older one changes nothing.
	})
	found := load(t, s, shop, plain.Key, excepted.Key, later.Key, hidden.Key)
	for key, want := range map[mirror.Key]mirror.Instant{plain.Key: start, excepted.Key: Noon, later.Key: start.Add(time.Hour), hidden.Key: Noon} {
		if got := found[key].State.AsOf; got != want {
			t.Errorf("%s: asOf %s, want %s", key, got, want)
		}
	}
	Update(t, s, func(tx *store.Tx) error {
		return tx.SetComplete(shop.ID, 3, []mirror.Kind{mirror.KindProduct}, start.Add(time.Minute))
	})
	if got := load(t, s, shop, excepted.Key)[excepted.Key].State.AsOf; got != start.Add(time.Minute) {
		t.Errorf("the next complete read proves what the one before excepted: asOf %s", got)
	}
}

func aResourceIsVerifiedAsFarAsItsLeastKind(t *testing.T, s *store.Store) {
	shop := AddShop(t, s, shopA)
	verified := func() (at mirror.Instant) {
		View(t, s, func(tx *store.Tx) (err error) {
			at, err = tx.VerifiedAt(shop.ID, mirror.TypeCollection)
			return err
		})
		return at
	}
	if got := verified(); got != 0 {
		t.Errorf("before the first: %s", got)
	}
	complete := func(kind mirror.Kind, at mirror.Instant) {
		Update(t, s, func(tx *store.Tx) error { return tx.SetComplete(shop.ID, 1, []mirror.Kind{kind}, at) })
	}
	complete(mirror.KindCollection, Noon.Add(time.Hour))
	if got := verified(); got != 0 {
		t.Errorf("without the members: %s", got)
	}
	complete(mirror.KindCollectionMembers, Noon)
	if got := verified(); got != Noon {
		t.Errorf("with older members: %s", got)
	}
}

func rowsAreShownByTheirMarks(t *testing.T, s *store.Store) {
	shop := AddShop(t, s, shopA)
	id := mirror.GID("gid://shopify/Product/1")
	level := mirror.InventoryLevel{InventoryItemID: Item(Serum30), LocationID: Berlin, UpdatedAt: mirror.TimeOf(Noon.Time())}
	for _, tt := range []struct {
		name   string
		record store.Record
	}{
		{"content", Present(t, id, product("P", Noon), Noon)},
		{"content, then deleted", Delete(Present(t, id, product("P", Noon), Noon), Noon.Add(time.Second))},
		{"content, deleted at the same moment", Delete(Present(t, id, product("P", Noon), Noon), Noon)},
		{"deleted, then seen by id", Delete(Present(t, id, product("P", Noon), Noon), Noon.Add(-time.Second))},
		{"marks alone", Delete(store.Record{Key: mirror.Key{Kind: mirror.KindProduct, ID: id}}, Noon)},
		{"a level that came back", func() store.Record {
			r := Delete(Present(t, level.ID(), level, Noon), Noon.Add(time.Second))
			o, err := mirror.Present(level.ID(), level, mirror.FromWebhook, Noon.Add(2*time.Second), Noon.Add(2*time.Second))
			if err != nil {
				t.Fatal(err)
			}
			return Fold(r, o)
		}()},
	} {
		Save(t, s, shop, tt.record)
		want := tt.record.State.Shown(mirror.InfoOf(tt.record.Key.Kind)) // One rule, in Go and in SQL.
		View(t, s, func(tx *store.Tx) error {
			found, err := tx.ShownByID(shop.ID, tt.record.Key.Kind, []mirror.GID{tt.record.Key.ID})
			n, countErr := tx.CountShown(shop.ID, tt.record.Key.Kind)
			rows, listErr := tx.ShownAfter(shop.ID, tt.record.Key.Kind, "", 10)
			if _, shown := found[tt.record.Key.ID]; shown != want || (n == 1) != want || (len(rows) == 1) != want {
				t.Errorf("%s: found %v, counted %d, listed %d; want shown %v", tt.name, shown, n, len(rows), want)
			}
			return errors.Join(err, countErr, listErr)
		})
	}
}

func visible(t *testing.T, s *store.Store, shop store.Shop, kind mirror.Kind) string {
	t.Helper()
	var numbers []string
	View(t, s, func(tx *store.Tx) error {
		rows, err := tx.ShownAfter(shop.ID, kind, "", 1000)
		if err != nil {
			return err
		}
		rows, err = tx.Visible(shop.ID, kind, rows)
		var all []mirror.GID
		for _, row := range rows {
			all = append(all, row.ID)
			numbers = append(numbers, string(row.ID[strings.LastIndexByte(string(row.ID), '/')+1:]))
		}
		byID, idErr := tx.VisibleIDs(shop.ID, kind, all)
		if !slices.Equal(byID, all) {
			t.Errorf("%s: %v by their rows, %v by their ids", kind, all, byID)
		}
		return errors.Join(err, idErr)
	})
	return strings.Join(numbers, " ")
}

func parentsAndSetsHideRows(t *testing.T, s *store.Store) {
	shop := Sample(t, s, shopA)
	for kind, want := range map[mirror.Kind]string{
		mirror.KindProduct: "1 2 3", mirror.KindProductVariant: "11 12 21 31", mirror.KindInventoryItem: "11 12 21 31",
		mirror.KindInventoryLevel: "11@1 11@2 12@1 31@2", mirror.KindMetafield: "1 2 3 4", mirror.KindProductVariantSet: "1 2 3",
		mirror.KindLocation: "1 2 3", mirror.KindProductVariantDerived: "11 12 31",
	} {
		if got := visible(t, s, shop, kind); got != want {
			t.Errorf("%s: got %s, want %s", kind, got, want)
		}
	}
	key := mirror.Key{Kind: mirror.KindProduct, ID: Serum}
	Save(t, s, shop, Delete(load(t, s, shop, key)[key], Noon.Add(time.Minute)))
	for kind, want := range map[mirror.Kind]string{ // Without a row of theirs being written.
		mirror.KindProductVariant: "21 31", mirror.KindInventoryItem: "21 31", mirror.KindInventoryLevel: "31@2", mirror.KindMetafield: "1 4",
		mirror.KindProductVariantSet: "2 3", mirror.KindProductDerived: "3",
	} {
		if got := visible(t, s, shop, kind); got != want {
			t.Errorf("after the product's deletion, %s: got %s, want %s", kind, got, want)
		}
	}
}

func anItemIsVisibleThroughAnyVariantThatNamesIt(t *testing.T, s *store.Store) {
	shop := Sample(t, s, shopA)
	for _, id := range []mirror.GID{"gid://shopify/ProductVariant/10", "gid://shopify/ProductVariant/99"} { // Before and after the visible one.
		Save(t, s, shop, Present(t, id, mirror.ProductVariant{ProductID: Deleted, InventoryItemID: Item(Serum30), Price: "1"}, Noon))
	}
	if got := visible(t, s, shop, mirror.KindInventoryItem); got != "11 12 21 31" {
		t.Errorf("got %s", got)
	}
}

func onlyWhatARunDidNotReadIsACandidate(t *testing.T, s *store.Store) {
	shop := AddShop(t, s, shopA)
	start := Noon.Add(time.Hour)
	read, unread := Present(t, Serum, product("Read", Noon), Noon), Present(t, Shirt, product("Unread", Noon), Noon)
	fresh := Present(t, Mug, product("Told of since", Noon), start)
	gone := Delete(Present(t, Deleted, product("Gone", Noon), Noon), Noon.Add(time.Second))
	Save(t, s, shop, read, unread, fresh, gone)
	var run store.Run
	Update(t, s, func(tx *store.Tx) (err error) {
		run, _, err = tx.QueueRun(store.Run{ShopID: shop.ID, Kind: "poll", Reason: "manual"})
		if err != nil {
			return err
		}
		return errors.Join(tx.MarkRead(run.ID, []mirror.Key{read.Key}), tx.MarkRead(run.ID, []mirror.Key{read.Key}))
	})
	View(t, s, func(tx *store.Tx) error {
		rows, err := tx.Unread(shop.ID, run.ID, mirror.KindProduct, start, "", 10)
		marked, markErr := tx.CountRead(run.ID, mirror.KindProduct)
		if len(rows) != 1 || rows[0].ID != Shirt || marked != 1 {
			t.Errorf("candidates %v; %d read", rows, marked)
		}
		rows, afterErr := tx.Unread(shop.ID, run.ID, mirror.KindProduct, start, Shirt, 10)
		if len(rows) != 0 {
			t.Errorf("after the last: %v", rows)
		}
		return errors.Join(err, markErr, afterErr)
	})
	Update(t, s, func(tx *store.Tx) error {
		open, err := tx.ForgetRead(10)
		if open != 0 {
			t.Errorf("%d records of an open run were forgotten", open)
		}
		run.State = store.RunOK
		saveErr := tx.SaveRun(run)
		over, overErr := tx.ForgetRead(10)
		if over != 1 {
			t.Errorf("%d records of a run that is over were forgotten; want the one", over)
		}
		return errors.Join(err, saveErr, overErr)
	})
	View(t, s, func(tx *store.Tx) error {
		n, err := tx.CountRead(run.ID, mirror.KindProduct)
		if n != 0 {
			t.Errorf("%d read after forgetting", n)
		}
		return err
	})
}

func theChangeFeedKeepsItsOrder(t *testing.T, s *store.Store) {
	shop, other := AddShop(t, s, shopA), AddShop(t, s, shopB)
	var want []string
	for n := range 5 {
		Update(t, s, func(tx *store.Tx) error {
			var changes []store.Change
			for m := range 3 {
				id := mirror.NewGID("Product", int64(100*(9-n)+m))
				want = append(want, string(id))
				changes = append(changes, store.Change{Key: mirror.Key{Kind: mirror.KindProduct, ID: id}, Action: "updated", Source: mirror.FromWebhook, AsOf: Noon, At: Noon})
			}
			return errors.Join(tx.AddChanges(shop.ID, changes), tx.AddChanges(other.ID, changes[:1]))
		})
	}
	var got []string
	View(t, s, func(tx *store.Tx) error {
		for seq := int64(0); ; {
			changes, err := tx.ChangesAfter(shop.ID, seq, 4)
			if err != nil || len(changes) == 0 {
				return err
			}
			for _, c := range changes {
				if c.Seq <= seq || c.Action != "updated" || c.Source != mirror.FromWebhook || c.AsOf != Noon {
					t.Errorf("after %d: %+v", seq, c)
				}
				seq = c.Seq
				got = append(got, string(c.Key.ID))
			}
		}
	})
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func due(t *testing.T, s *store.Store, shop store.Shop, now mirror.Instant) []store.Demand {
	t.Helper()
	var all []store.Demand
	View(t, s, func(tx *store.Tx) (err error) {
		all, err = tx.DueDemands(shop.ID, now, 100)
		return err
	})
	return all
}

func demandsForOneRecordJoin(t *testing.T, s *store.Store) {
	shop := AddShop(t, s, shopA)
	demand := func(updated, asOf mirror.Instant, delay time.Duration) mirror.Demand {
		return mirror.Demand{Read: mirror.ReadProduct, ID: Serum, Updated: updated, AsOf: asOf, Delay: delay}
	}
	Update(t, s, func(tx *store.Tx) error {
		return errors.Join(
			tx.AddDemands(shop.ID, []mirror.Demand{demand(5, 1, 0), demand(3, 7, 0), demand(0, 0, mirror.LagDelay)}, Noon), // In one batch,
			tx.AddDemands(shop.ID, []mirror.Demand{demand(4, 9, mirror.TieDelay)}, Noon))                                   // and after it.
	})
	all := due(t, s, shop, Noon.Add(time.Hour))
	if len(all) != 2 || all[0].Later || !all[1].Later {
		t.Fatalf("%+v", all)
	}
	// The sooner time: a new demand does not wait behind another's back-off.
	if d := all[0]; d.Updated != 5 || d.AsOf != 9 || d.DueAt != Noon {
		t.Errorf("joined: %+v", d)
	}
	Update(t, s, func(tx *store.Tx) error {
		return errors.Join(tx.PostponeDemand(shop.ID, all[0], Noon.Add(10*time.Minute), 0, "Shopify did not answer"),
			tx.AddDemands(shop.ID, []mirror.Demand{demand(6, 10, 0)}, Noon.Add(time.Minute)))
	})
	View(t, s, func(tx *store.Tx) error {
		n, first, err := tx.CountDemands(shop.ID, Noon.Add(time.Minute))
		if n != 1 || first != Noon.Add(time.Minute) {
			t.Errorf("%d demands, the first due %s; want one, due when it was asked for again", n, first)
		}
		return err
	})
}

func aDemandStaysUntilAReadReachesIt(t *testing.T, s *store.Store) {
	shop := AddShop(t, s, shopA)
	Update(t, s, func(tx *store.Tx) error {
		return tx.AddDemands(shop.ID, []mirror.Demand{{Read: mirror.ReadProduct, ID: Serum, Updated: 10, AsOf: 20}}, Noon)
	})
	taken := due(t, s, shop, Noon)[0]
	satisfy := func(updated, asOf mirror.Instant) (gone bool) {
		Update(t, s, func(tx *store.Tx) (err error) {
			gone, err = tx.SatisfyDemand(shop.ID, taken, updated, asOf)
			return err
		})
		return gone
	}
	if satisfy(9, 30) || satisfy(10, 19) {
		t.Error("a read that is too old satisfied it")
	}
	Update(t, s, func(tx *store.Tx) error { return tx.PostponeDemand(shop.ID, taken, Noon, 0, "too old") })
	if early := due(t, s, shop, Noon); len(early) != 0 {
		t.Errorf("postponed, yet due: %+v", early)
	}
	taken = due(t, s, shop, Noon.Add(time.Minute))[0]
	if taken.Attempts != 1 {
		t.Errorf("%d attempts", taken.Attempts)
	}
	Update(t, s, func(tx *store.Tx) error { // Made while the read is in flight.
		return tx.AddDemands(shop.ID, []mirror.Demand{{Read: mirror.ReadProduct, ID: Serum, AsOf: 50}}, Noon.Add(time.Second))
	})
	madeBy := func(at mirror.Instant, want int64) {
		t.Helper()
		View(t, s, func(tx *store.Tx) error {
			n, _, err := tx.CountDemands(shop.ID, at)
			if n != want {
				t.Errorf("%d demands made by %s, want %d", n, at, want)
			}
			return err
		})
	}
	madeBy(Noon, 1) // The first is not forgotten for the second.
	if satisfy(10, 30) {
		t.Error("a read satisfied a demand made after it")
	}
	madeBy(Noon, 0)
	madeBy(Noon.Add(time.Second), 1)
	taken = due(t, s, shop, Noon.Add(time.Minute))[0]
	if !satisfy(10, 50) || len(due(t, s, shop, Noon.Add(time.Hour))) != 0 {
		t.Error("a read that reaches both marks does not satisfy it")
	}
}

func delivery(shop store.Shop, id string) store.Delivery {
	return store.Delivery{ShopID: shop.ID, Topic: "products/update", WebhookID: id, Bound: true, EventID: "e", APIVersion: "2026-10",
		TriggeredAt: Noon, ReceivedAt: Noon.Add(time.Second), Body: []byte(`{"id":1}`), State: store.DeliveryNew}
}

func waiting(t *testing.T, s *store.Store) []store.Delivery {
	t.Helper()
	var all []store.Delivery
	View(t, s, func(tx *store.Tx) (err error) {
		all, err = tx.NewDeliveries(1000, 1<<30)
		return err
	})
	return all
}

func aWebhookIsStoredOnce(t *testing.T, s *store.Store) {
	shop, other := AddShop(t, s, shopA), AddShop(t, s, shopB)
	first, again, elsewhere, topic := delivery(shop, "1"), delivery(shop, "1"), delivery(other, "1"), delivery(shop, "1")
	again.Body = []byte("forged")
	topic.Topic = "products/delete"
	Update(t, s, func(tx *store.Tx) error {
		return errors.Join(tx.AddDeliveries([]store.Delivery{first, again}), tx.AddDeliveries([]store.Delivery{again, elsewhere, topic}))
	})
	all := waiting(t, s)
	if len(all) != 3 {
		t.Fatalf("%+v", all)
	}
	got := all[0]
	got.Seq = 0
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", first) {
		t.Errorf("got %+v, want %+v", got, first)
	}
}

func webhooksGoThroughTheirStates(t *testing.T, s *store.Store) {
	shop := AddShop(t, s, shopA)
	late, early := delivery(shop, "1"), delivery(shop, "2")
	early.ReceivedAt = Noon.Add(-time.Hour)
	Update(t, s, func(tx *store.Tx) error { return tx.AddDeliveries([]store.Delivery{late, early, delivery(shop, "3")}) })
	oldest := func() (at mirror.Instant) {
		View(t, s, func(tx *store.Tx) (err error) {
			at, err = tx.OldestNew(shop.ID)
			return err
		})
		return at
	}
	if got := oldest(); got != early.ReceivedAt {
		t.Errorf("oldest: %s", got)
	}
	all := waiting(t, s)
	Update(t, s, func(tx *store.Tx) error {
		return errors.Join(tx.FinishDeliveries([]int64{all[0].Seq}, Noon), tx.QuarantineDelivery(all[1].Seq, "unreadable", Noon))
	})
	if left := waiting(t, s); len(left) != 1 || left[0].WebhookID != "3" || oldest() != left[0].ReceivedAt {
		t.Errorf("left: %+v", left)
	}
	View(t, s, func(tx *store.Tx) error {
		counts, err := tx.CountDeliveries(shop.ID)
		if counts[store.DeliveryNew] != 1 || counts[store.DeliveryDone] != 1 || counts[store.DeliveryQuarantined] != 1 {
			t.Errorf("counts: %v", counts)
		}
		return err
	})
	Update(t, s, func(tx *store.Tx) error { return tx.FinishDeliveries([]int64{all[2].Seq}, Noon) })
	if got := oldest(); got != 0 {
		t.Errorf("none waits, the oldest is of %s", got)
	}
}

func bodiesAreKeptForTheirTime(t *testing.T, s *store.Store) {
	shop := AddShop(t, s, shopA)
	Update(t, s, func(tx *store.Tx) error {
		var all []store.Delivery
		for i, state := range []string{store.DeliveryNew, store.DeliveryDone, store.DeliveryQuarantined} {
			for j, age := range []time.Duration{0, 24 * time.Hour} {
				d := delivery(shop, fmt.Sprint(i, j))
				d.State, d.ReceivedAt = state, Noon.Add(-age)
				all = append(all, d)
			}
		}
		return tx.AddDeliveries(all)
	})
	drop := func(done, quarantined mirror.Instant, limit int) (n int64) {
		Update(t, s, func(tx *store.Tx) (err error) {
			n, err = tx.DropDeliveries(done, quarantined, limit)
			return err
		})
		return n
	}
	if got := drop(Noon, Noon.Add(-48*time.Hour), 10); got != 1 {
		t.Errorf("%d dropped, want the old one that is done", got)
	}
	if got := drop(Noon+1, Noon+1, 2); got != 2 {
		t.Errorf("%d dropped, want as many as the limit", got)
	}
	if got := drop(Noon.Add(time.Hour), Noon.Add(time.Hour), 10); got != 1 || len(waiting(t, s)) != 2 {
		t.Errorf("%d dropped, %d wait: one that is not applied must not go", got, len(waiting(t, s)))
	}
}

func rejectionsAreARing(t *testing.T, s *store.Store) {
	all := make([]store.Rejection, store.MaxRejected)
	for i := range all {
		all[i] = store.Rejection{At: Noon, Shop: "claimed", Topic: "t", WebhookID: fmt.Sprint(i), Digest: []byte{1}}
	}
	Update(t, s, func(tx *store.Tx) error { return errors.Join(tx.AddRejections(all), tx.AddRejections(all[:100])) })
	View(t, s, func(tx *store.Tx) error {
		n, err := tx.CountRejected()
		if n != store.MaxRejected {
			t.Errorf("%d kept", n)
		}
		return err
	})
}

func aShopHasOneOpenRun(t *testing.T, s *store.Store) {
	shop, other := AddShop(t, s, shopA), AddShop(t, s, shopB)
	queue := func(shop store.Shop, accept bool) (run store.Run, fresh bool) {
		Update(t, s, func(tx *store.Tx) (err error) {
			run, fresh, err = tx.QueueRun(store.Run{ShopID: shop.ID, Kind: "poll", Reason: "manual", AcceptDeletions: accept, QueuedAt: Noon})
			return err
		})
		return run, fresh
	}
	first, fresh := queue(shop, false)
	if !fresh || first.State != store.RunQueued {
		t.Fatalf("%+v", first)
	}
	if joined, fresh := queue(shop, true); fresh || joined.ID != first.ID || !joined.AcceptDeletions {
		t.Errorf("a second one: fresh %v, %+v", fresh, joined)
	}
	if _, fresh := queue(other, false); !fresh {
		t.Error("another shop's run was in the way")
	}
	first.State, first.StartedAt, first.EndedAt, first.Progress, first.Report = store.RunPartial, Noon, Noon.Add(1), []byte(`{"a":1}`), []byte(`{"b":2}`)
	first.Error = "half"
	Update(t, s, func(tx *store.Tx) error { return tx.SaveRun(first) })
	second, fresh := queue(shop, false)
	if !fresh || second.ID == first.ID || second.AcceptDeletions {
		t.Errorf("after the first ended: fresh %v, %+v", fresh, second)
	}
	View(t, s, func(tx *store.Tx) error {
		open, err := tx.OpenRuns()
		newest, runsErr := tx.Runs(shop.ID, 10)
		if len(open) != 2 || len(newest) != 2 || newest[0].ID != second.ID {
			t.Errorf("open %+v, newest %+v", open, newest)
		}
		got, idErr := tx.RunByID(first.ID)
		first.AcceptDeletions = true // The operator's word, which the run's own saves do not take back.
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", first) {
			t.Errorf("got %+v, want %+v", got, first)
		}
		return errors.Join(err, runsErr, idErr)
	})
}

func aDayHasOneRun(t *testing.T, s *store.Store) {
	shop := AddShop(t, s, shopA)
	Update(t, s, func(tx *store.Tx) error {
		run, _, err := tx.QueueRun(store.Run{ShopID: shop.ID, Kind: "poll", Reason: "schedule"})
		if err != nil {
			return err
		}
		for i, want := range []bool{true, false} {
			if got, err := tx.ClaimDay(shop.ID, "2026-10-01", run.ID); err != nil || got != want {
				t.Errorf("claim %d: %v, %v", i, got, err)
			}
		}
		for day, want := range map[string]bool{"2026-10-01": true, "2026-10-02": false} {
			if got, err := tx.DayClaimed(shop.ID, day); err != nil || got != want {
				t.Errorf("day %s claimed: %v, %v", day, got, err)
			}
		}
		return nil
	})
}

func driftIsKeptAsItWasFirstSeen(t *testing.T, s *store.Store) {
	shop := AddShop(t, s, shopA)
	row := store.DriftRow{Type: "Product", ID: Serum, Kind: mirror.KindProduct, Class: "stale", Fields: []byte(`[1]`)}
	again, derived := row, row
	again.Class, again.Fields = "wrong", []byte(`[2]`)
	derived.Kind = mirror.KindProductDerived
	Update(t, s, func(tx *store.Tx) error {
		run, _, err := tx.QueueRun(store.Run{ShopID: shop.ID, Kind: "poll", Reason: "manual"})
		if err != nil {
			return err
		}
		if err := errors.Join(tx.AddDrift(run.ID, []store.DriftRow{row}), tx.AddDrift(run.ID, []store.DriftRow{again, derived})); err != nil {
			return err
		}
		rows, err := tx.Drift(run.ID, 10)
		if len(rows) != 2 || rows[0].Class != "stale" || string(rows[0].Fields) != `[1]` {
			t.Errorf("rows: %+v", rows)
		}
		counts, countErr := tx.CountDrift(run.ID)
		if counts[[2]string{"Product", "stale"}] != 1 {
			t.Errorf("one object in two records counts %v", counts)
		}
		return errors.Join(err, countErr)
	})
}

func entry(id int64, title, rest string) store.ProductEntry {
	return store.ProductEntry{ID: mirror.NewGID("Product", id), Handle: fmt.Sprint("p-", id), SortKey: mirror.SortKey(title), Status: "ACTIVE", Published: true,
		Title: mirror.Tokens(title), Rest: mirror.Tokens(rest)}
}

// divided is an entry that is found by its divided words as one, too.
func divided(id int64, title string) store.ProductEntry {
	e := entry(id, title, "")
	e.Title += " " + mirror.Joined(title)
	return e
}

func search(t *testing.T, s *store.Store, shop store.Shop, q store.ProductQuery) string {
	t.Helper()
	var numbers []string
	if q.Limit == 0 {
		q.Limit = 100
	}
	View(t, s, func(tx *store.Tx) error {
		hits, err := tx.SearchProducts(shop.ID, q)
		for _, hit := range hits {
			numbers = append(numbers, hit.ID.Number())
		}
		return err
	})
	return strings.Join(numbers, " ")
}

func searchFindsWordsOfAnyScript(t *testing.T, s *store.Store) {
	shop := AddShop(t, s, shopA)
	Update(t, s, func(tx *store.Tx) error {
		return tx.SaveProductEntries(shop.ID, []store.ProductEntry{
			entry(1, "Crème brûlée", "dessert"), entry(2, "紅色襯衫", "shirt"), entry(3, "Gift 🎁 box", "NEAR OR AND"), entry(4, "Смета", "Über xl"), entry(5, "Dessert bowl", ""),
			divided(6, "T-Shirt X-Large AB-12"), divided(7, "tshirt xlarge ab12"),
		})
	})
	for text, want := range map[string]string{
		"creme": "1", "CRÈME": "1", "brul": "1", "brul creme": "", "紅色": "2", "色襯": "2", "襯紅": "", "🎁": "3", "box gi": "3", "смета": "4", "uber": "4", "xl": "6 7 4",
		"dessert": "5 1", // In the title first, though it comes later by title.
		// Divided words are found apart and as one, each in its own way.
		"t-shirt": "6 7", "tshirt": "6 7", "t shirt": "6", "T-SHI": "6 7", "x-large ab12": "6 7", "xlarge AB-12": "6 7", "shirt large": "6", "ab-13": "",
		"near": "3", "or": "3", `"and`: "3", "x": "6 7 4", "xe7": "", "cre*me": "", "title:creme": "",
	} {
		if got := search(t, s, shop, store.ProductQuery{Words: store.SearchWords(text)}); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func searchFiltersAndPages(t *testing.T, s *store.Store) {
	shop := AddShop(t, s, shopA)
	var entries []store.ProductEntry
	for n := range int64(6) {
		e := entry(n+1, fmt.Sprintf("Cup %d", (n+3)%6), "")
		e.Available, e.Published = n%2 == 0, n != 5
		e.Offers = []store.Offer{{Price: 10 * n, Available: n%2 == 0}, {Price: 10*n + 5}}
		if n == 4 {
			e.Status = "DRAFT"
		}
		entries = append(entries, e)
	}
	Update(t, s, func(tx *store.Tx) error { return tx.SaveProductEntries(shop.ID, entries) })
	for _, tt := range []struct {
		q    store.ProductQuery
		want string
	}{
		{store.ProductQuery{}, "4 5 6 1 2 3"},
		{store.ProductQuery{Published: true}, "4 1 2 3"},
		{store.ProductQuery{Available: new(true)}, "5 1 3"},
		{store.ProductQuery{Available: new(false)}, "4 6 2"},
		{store.ProductQuery{MinPrice: new(int64(15)), MaxPrice: new(int64(30))}, "4 2 3"},
		{store.ProductQuery{Words: store.SearchWords("cup"), MinPrice: new(int64(16))}, "4 5 6 3"},
	} {
		if got := search(t, s, shop, tt.q); got != tt.want {
			t.Errorf("%+v: got %s, want %s", tt.q, got, tt.want)
		}
		var paged []string
		View(t, s, func(tx *store.Tx) error {
			for q := tt.q; ; {
				q.Limit = 2
				hits, err := tx.SearchProducts(shop.ID, q)
				if err != nil || len(hits) == 0 {
					return err
				}
				for _, hit := range hits {
					paged = append(paged, hit.ID.Number())
				}
				q.After = hits[len(hits)-1].Cursor
			}
		})
		if got := strings.Join(paged, " "); got != tt.want {
			t.Errorf("%+v, two a page: got %s, want %s", tt.q, got, tt.want)
		}
	}
}

func searchEntriesAreReplacedAndDropped(t *testing.T, s *store.Store) {
	shop := AddShop(t, s, shopA)
	save := func(entries ...store.ProductEntry) {
		Update(t, s, func(tx *store.Tx) error { return tx.SaveProductEntries(shop.ID, entries) })
	}
	save(entry(1, "Old", "sku"), entry(2, "Other", "sku"))
	save(entry(1, "New", "sku"))
	for text, want := range map[string]string{"old": "", "new": "1", "sku": "1 2"} {
		if got := search(t, s, shop, store.ProductQuery{Words: store.SearchWords(text)}); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
	byHandle := func(handle string) (id mirror.GID, err error) {
		View(t, s, func(tx *store.Tx) error {
			id, err = tx.ProductByHandle(shop.ID, handle)
			return nil
		})
		return id, err
	}
	if id, err := byHandle("p-2"); err != nil || id.Number() != "2" {
		t.Errorf("by handle: %s, %v", id, err)
	}
	Update(t, s, func(tx *store.Tx) error {
		return tx.DropProductEntries(shop.ID, []mirror.GID{mirror.NewGID("Product", 2)})
	})
	if _, err := byHandle("p-2"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("by a dropped handle: %v", err)
	}
	save(entry(3, "Third", "")) // It may get the number that the dropped one had in the index.
	if got := search(t, s, shop, store.ProductQuery{Words: store.SearchWords("sku")}); got != "1" {
		t.Errorf("after dropping: got %q", got)
	}
}

func subscriptionsAreReplaced(t *testing.T, s *store.Store) {
	shop, other := AddShop(t, s, shopA), AddShop(t, s, shopB)
	set := func(shop store.Shop, topics ...string) {
		Update(t, s, func(tx *store.Tx) error {
			var all []store.Subscription
			for _, topic := range topics {
				all = append(all, store.Subscription{Topic: topic, GID: "g", State: "active", CheckedAt: Noon})
			}
			return tx.SetSubscriptions(shop.ID, all)
		})
	}
	set(other, "x")
	set(shop, "c", "b")
	set(shop, "b", "a")
	View(t, s, func(tx *store.Tx) error {
		all, err := tx.Subscriptions(shop.ID)
		if len(all) != 2 || all[0].Topic != "a" || all[1].Topic != "b" {
			t.Errorf("%+v", all)
		}
		others, otherErr := tx.Subscriptions(other.ID)
		if len(others) != 1 {
			t.Errorf("another shop's: %+v", others)
		}
		return errors.Join(err, otherErr)
	})
}

func aKeyWorksUntilItIsRevoked(t *testing.T, s *store.Store) {
	shop := AddShop(t, s, shopA)
	hash := secret.Hash("key")
	Update(t, s, func(tx *store.Tx) error {
		id, err := tx.AddAPIKey(shop.ID, "bot", hash, Noon)
		if err != nil {
			return err
		}
		found, err := tx.APIKeyByHash(hash)
		if err != nil || found.ID != id || found.Domain != shopA || found.Name != "bot" {
			t.Errorf("found %+v, %v", found, err)
		}
		if _, err := tx.APIKeyByHash(secret.Hash("another")); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("another key: %v", err)
		}
		later := map[int64]mirror.Instant{id: Noon.Add(time.Minute)}
		if err := errors.Join(tx.TouchAPIKeys(later), tx.TouchAPIKeys(map[int64]mirror.Instant{id: Noon}), tx.RevokeAPIKey(id, Noon)); err != nil {
			return err
		}
		if _, err := tx.APIKeyByHash(hash); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a revoked key: %v", err)
		}
		if err := tx.RevokeAPIKey(id, Noon); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("revoked twice: %v", err)
		}
		all, err := tx.APIKeys()
		if len(all) != 1 || all[0].LastUsedAt != Noon.Add(time.Minute) || all[0].RevokedAt != Noon {
			t.Errorf("listed: %+v", all)
		}
		return err
	})
}

func aSessionWorksUntilItsTimeIsOver(t *testing.T, s *store.Store) {
	hash := secret.Hash("cookie")
	Update(t, s, func(tx *store.Tx) error {
		if err := tx.SaveSession(hash, "admin", Noon.Add(time.Hour)); err != nil {
			return err
		}
		if scope, err := tx.SessionScope(hash, Noon); err != nil || scope != "admin" {
			t.Errorf("scope %q, %v", scope, err)
		}
		if _, err := tx.SessionScope(hash, Noon.Add(time.Hour)); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("when its time is over: %v", err)
		}
		if err := errors.Join(tx.DeleteSession(hash), tx.DeleteSession(hash)); err != nil {
			t.Errorf("ended twice: %v", err)
		}
		if _, err := tx.SessionScope(hash, Noon); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("when it was ended: %v", err)
		}
		return nil
	})
}

func aLoginsStateWorksOnce(t *testing.T, s *store.Store) {
	state := secret.Hash("state")
	var mu sync.Mutex
	taken := 0
	var all sync.WaitGroup
	for range 4 { // As many callbacks at once: one of them is let in.
		all.Go(func() {
			err := s.Update(t.Context(), func(tx *store.Tx) error {
				fresh, err := tx.UseOAuthState(state, Noon.Add(time.Minute))
				mu.Lock()
				defer mu.Unlock()
				if fresh {
					taken++
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if taken != 1 {
		t.Errorf("used %d times", taken)
	}
	Update(t, s, func(tx *store.Tx) error {
		if err := tx.DropExpired(Noon.Add(2 * time.Minute)); err != nil {
			return err
		}
		fresh, err := tx.UseOAuthState(state, Noon.Add(3*time.Minute))
		if !fresh {
			t.Error("a state whose time is over is kept")
		}
		return err
	})
}

func aShopsRowsAreItsOwn(t *testing.T, s *store.Store) {
	shop, other := Sample(t, s, shopA), AddShop(t, s, shopB)
	for _, info := range mirror.Kinds() {
		if got := visible(t, s, other, info.Kind); got != "" {
			t.Errorf("another shop's %s: %s", info.Kind, got)
		}
	}
	if got := search(t, s, other, store.ProductQuery{}); got != "" {
		t.Errorf("another shop's products: %s", got)
	}
	Save(t, s, other, Present(t, Serum, product("Theirs", Noon), Noon.Add(time.Hour)))
	key := mirror.Key{Kind: mirror.KindProduct, ID: Serum}
	if got := load(t, s, shop, key)[key]; got.State.AsOf != Noon {
		t.Errorf("the same id in another shop changed it: %+v", got.State)
	}
}

// More rows than one statement has parameters for.
func batchesMayBeLargerThanAStatement(t *testing.T, s *store.Store) {
	shop := AddShop(t, s, shopA)
	const n = 10_000
	records := make([]store.Record, n)
	keys := make([]mirror.Key, n)
	entries := make([]store.ProductEntry, n)
	for i := range records {
		records[i] = Present(t, mirror.NewGID("Product", int64(i+1)), product("P", Noon), Noon)
		keys[i] = records[i].Key
		entries[i] = entry(int64(i+1), "P", "")
	}
	Save(t, s, shop, records...)
	if found := load(t, s, shop, keys...); len(found) != n {
		t.Errorf("%d of %d loaded", len(found), n)
	}
	Update(t, s, func(tx *store.Tx) error {
		return errors.Join(tx.SaveProductEntries(shop.ID, entries), tx.SaveProductEntries(shop.ID, entries))
	})
	if got := strings.Count(search(t, s, shop, store.ProductQuery{Limit: 2 * n}), " ") + 1; got != n {
		t.Errorf("%d of %d found", got, n)
	}
}
