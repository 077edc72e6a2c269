package storetest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"stockroom/internal/mirror"
	"stockroom/internal/store"
)

// Two that ask for the same while it is open get the same task.
func aTaskIsQueuedOnce(t *testing.T, s *store.Store) {
	shop := AddShop(t, s, shopA)
	queue := func(args string) (task store.Task) {
		Update(t, s, func(tx *store.Tx) (err error) {
			task, err = tx.QueueTask(store.Task{ShopID: shop.ID, Kind: store.TaskSweep, Reason: "manual", Args: []byte(args), QueuedAt: Noon})
			return err
		})
		return task
	}
	first, same, other := queue(`{}`), queue(``), queue(`{"scan":true}`)
	if first.ID != same.ID || first.ID == other.ID || first.State != store.RunQueued {
		t.Errorf("the tasks are %+v, %+v and %+v", first, same, other)
	}
	first.State, first.StartedAt, first.EndedAt, first.Report, first.Error = store.RunPartial, Noon, Noon.Add(time.Second), []byte(`{"gaps":["one"]}`), "why"
	Update(t, s, func(tx *store.Tx) error { return tx.SaveTask(first) })
	View(t, s, func(tx *store.Tx) error {
		got, err := tx.TaskByID(first.ID)
		if got.State != store.RunPartial || got.EndedAt != first.EndedAt || string(got.Report) != string(first.Report) || got.Error != "why" {
			t.Errorf("saved %+v, got %+v", first, got)
		}
		open, err2 := tx.OpenTasks()
		if len(open) != 1 || open[0].ID != other.ID {
			t.Errorf("open tasks %+v", open)
		}
		newest, err3 := tx.Tasks(shop.ID, store.TaskSweep, 1)
		if len(newest) != 1 || newest[0].ID != other.ID {
			t.Errorf("the newest task is %+v", newest)
		}
		return errors.Join(err, err2, err3)
	})
	if again := queue(`{}`); again.ID == first.ID {
		t.Error("a task that ended was handed out again")
	}
}

func sweepMarksMoveForwardOnly(t *testing.T, s *store.Store) {
	shop, other := AddShop(t, s, shopA), AddShop(t, s, shopB)
	set := func(at mirror.Instant, took int64) {
		Update(t, s, func(tx *store.Tx) error {
			return tx.SetSweepMark(shop.ID, 1, "products", store.SweepMark{At: at, Took: took})
		})
	}
	set(Noon, 1)
	set(Noon.Add(time.Hour), 2)
	set(Noon.Add(time.Minute), 3)
	View(t, s, func(tx *store.Tx) error {
		marks, err := tx.SweepMarks(shop.ID)
		if want := (store.SweepMark{At: Noon.Add(time.Hour), Took: 2}); len(marks) != 1 || marks["products"] != want {
			t.Errorf("marks %+v, want %+v", marks, want)
		}
		theirs, err2 := tx.SweepMarks(other.ID)
		if len(theirs) != 0 {
			t.Errorf("another shop's marks %+v", theirs)
		}
		return errors.Join(err, err2)
	})
}

func evidenceIsKeptWithItsDeletion(t *testing.T, s *store.Store) {
	shop := AddShop(t, s, shopA)
	key := mirror.Key{Kind: mirror.KindProduct, ID: Serum}
	save := func(dead mirror.Instant, evidence string) {
		Update(t, s, func(tx *store.Tx) error {
			return tx.SaveTombstones(shop.ID, []store.Tombstone{{Key: key, Dead: dead, Evidence: []byte(evidence)}})
		})
	}
	View(t, s, func(tx *store.Tx) error {
		if _, err := tx.TombstoneOf(shop.ID, key); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("before any: %v", err)
		}
		return nil
	})
	save(Noon, `{"read":"poll 1"}`)
	save(Noon.Add(time.Hour), `{"read":"poll 2"}`)
	save(Noon.Add(time.Minute), `{"read":"late"}`)
	View(t, s, func(tx *store.Tx) error {
		got, err := tx.TombstoneOf(shop.ID, key)
		if got.Dead != Noon.Add(time.Hour) || string(got.Evidence) != `{"read":"poll 2"}` {
			t.Errorf("the evidence is %s of %v", got.Evidence, got.Dead)
		}
		return err
	})
}

func aTopicHasOneOpenSilence(t *testing.T, s *store.Store) {
	shop := AddShop(t, s, shopA)
	add := func(topic string, since mirror.Instant) {
		Update(t, s, func(tx *store.Tx) error {
			return tx.AddSilence(store.Silence{ShopID: shop.ID, Topic: topic, Since: since, NoticedAt: since.Add(time.Hour), Expected: 12.5, Found: "gone", TaskID: 7})
		})
	}
	open := func() (silences []store.Silence) {
		View(t, s, func(tx *store.Tx) (err error) {
			silences, err = tx.OpenSilences(shop.ID)
			return err
		})
		return silences
	}
	add("orders/updated", Noon)
	add("orders/updated", Noon.Add(time.Hour))
	add("discounts/update", Noon)
	if got := open(); len(got) != 2 || got[1].Since != Noon || got[1].Expected != 12.5 || got[1].Found != "gone" || got[1].TaskID != 7 {
		t.Errorf("open silences %+v", got)
	}
	Update(t, s, func(tx *store.Tx) error { return tx.EndSilence(shop.ID, "orders/updated", Noon.Add(2*time.Hour)) })
	add("orders/updated", Noon.Add(3*time.Hour))
	if got := open(); len(got) != 2 || got[1].Since != Noon.Add(3*time.Hour) {
		t.Errorf("open silences after one ended %+v", got)
	}
	View(t, s, func(tx *store.Tx) error {
		all, err := tx.Silences(shop.ID, 10)
		if len(all) != 3 {
			t.Errorf("all silences %+v", all)
		}
		return err
	})
}

func whatWasHeardIsCountedBySlot(t *testing.T, s *store.Store) {
	shop := AddShop(t, s, shopA)
	const slot = 10 * time.Minute
	hear := func(id, topic string, at mirror.Instant) {
		Update(t, s, func(tx *store.Tx) error {
			return tx.AddDeliveries([]store.Delivery{{ShopID: shop.ID, Topic: topic, WebhookID: id, ReceivedAt: at, Body: []byte("{}"), State: store.DeliveryDone}})
		})
	}
	hear("1", "orders/updated", Noon.Add(time.Minute))
	hear("2", "orders/updated", Noon.Add(2*time.Minute))
	hear("3", "products/update", Noon.Add(3*time.Minute))
	hear("4", "orders/updated", Noon.Add(11*time.Minute))
	first := int64(Noon) / slot.Milliseconds()
	View(t, s, func(tx *store.Tx) error {
		heard, err := tx.HeardAfter(0, slot)
		got := map[string]int{}
		for _, h := range heard {
			got[h.Topic] += int(h.Slot-first)*100 + int(h.Last-h.First) + 1
		}
		// Orders: two in the first slot, one in the second. Products: one.
		if len(heard) != 3 || got["orders/updated"] != 2+101 || got["products/update"] != 1 {
			t.Errorf("heard %+v", heard)
		}
		later, err2 := tx.HeardAfter(heard[0].Last, slot)
		last, err3 := tx.LastDelivery()
		if len(later) != 2 || last != 4 {
			t.Errorf("after %d was heard %+v, the last is %d", heard[0].Last, later, last)
		}
		return errors.Join(err, err2, err3)
	})
	Update(t, s, func(tx *store.Tx) error {
		return errors.Join(tx.SetHabitsCounted(shop.ID, store.HabitMark{Seq: 3, At: 1}), tx.SetHabitsCounted(shop.ID, store.HabitMark{Seq: 4, At: Noon}),
			tx.SaveHabits(shop.ID, map[string][]byte{"orders/updated": []byte(`{"a":1}`)}), tx.SaveHabits(shop.ID, map[string][]byte{"orders/updated": []byte(`{"a":2}`), "shop/update": []byte(`{}`)}))
	})
	View(t, s, func(tx *store.Tx) error {
		marks, err := tx.HabitsCounted()
		habits, err2 := tx.Habits(shop.ID)
		if len(marks) != 1 || marks[shop.ID] != (store.HabitMark{Seq: 4, At: Noon}) || len(habits) != 2 || string(habits["orders/updated"]) != `{"a":2}` {
			t.Errorf("counted to %+v, habits %s", marks, habits)
		}
		return errors.Join(err, err2)
	})
}

func oldTasksAreDropped(t *testing.T, s *store.Store) {
	shop := AddShop(t, s, shopA)
	Update(t, s, func(tx *store.Tx) error {
		for _, ended := range []mirror.Instant{0, Noon, Noon.Add(2 * time.Hour)} {
			task, err := tx.QueueTask(store.Task{ShopID: shop.ID, Kind: store.TaskSweep, Reason: "schedule"})
			if err != nil {
				return err
			}
			if task.EndedAt = ended; ended != 0 {
				task.State = store.RunOK
			}
			if err := tx.SaveTask(task); err != nil {
				return err
			}
		}
		return tx.SaveTombstones(shop.ID, []store.Tombstone{{Key: mirror.Key{Kind: mirror.KindProduct, ID: Serum}, Dead: Noon, Evidence: []byte("{}")},
			{Key: mirror.Key{Kind: mirror.KindProduct, ID: Shirt}, Dead: Noon.Add(2 * time.Hour), Evidence: []byte("{}")}})
	})
	Update(t, s, func(tx *store.Tx) error {
		n, err := tx.DropOldTasks(Noon.Add(time.Hour), Noon.Add(time.Hour), 100)
		if n != 2 {
			t.Errorf("%d rows were dropped; want a task and its evidence", n)
		}
		return err
	})
	View(t, s, func(tx *store.Tx) error {
		left, err := tx.Tasks(shop.ID, store.TaskSweep, 10)
		if len(left) != 1 || left[0].EndedAt != Noon.Add(2*time.Hour) {
			t.Errorf("left are %+v", left)
		}
		return err
	})
	Erase(t, s, shop)
}

func historiesAreBoundedByAgeAndLength(t *testing.T, s *store.Store) {
	shop, other := AddShop(t, s, shopA), AddShop(t, s, shopB)
	entries := func(shop store.Shop, id mirror.GID, n int, at mirror.Instant) {
		Update(t, s, func(tx *store.Tx) error {
			all := make([]store.Entry, n)
			for i := range all {
				all[i] = store.Entry{Key: mirror.Key{Kind: mirror.KindProduct, ID: id}, Source: mirror.FromWebhook, At: at}
			}
			return tx.AddHistory(shop.ID, all)
		})
	}
	entries(shop, Shirt, 1, Noon.Add(-time.Hour))                 // 1: too old.
	entries(shop, Serum, store.MaxHistory+2, Noon)                // 2 and 3: beyond the newest.
	entries(other, Serum, store.MaxHistory, Noon)                 // As many as are kept.
	entries(shop, Shirt, store.MaxHistory-1, Noon.Add(time.Hour)) // With the old one just as many.
	View(t, s, func(tx *store.Tx) error {
		over, err := tx.OldHistory(Noon, 10)
		slices.Sort(over)
		if !slices.Equal(over, []int64{1, 2, 3}) {
			t.Errorf("over are %v, want 1, 2 and 3", over)
		}
		if some, err := tx.OldHistory(Noon, 2); len(some) != 2 || err != nil {
			t.Errorf("at most two of them: %v, %v", some, err)
		}
		return err
	})
}
