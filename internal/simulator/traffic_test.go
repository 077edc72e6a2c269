package simulator_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"stockroom/internal/simulator"
)

// lively runs a shop with traffic for a while of virtual time.
func lively(t *testing.T, seed uint64, rate float64, long time.Duration) (*simulator.Simulator, *simulator.Shop) {
	t.Helper()
	sim := simulator.New(simulator.Config{Seed: seed})
	shop, err := sim.AddShop(domain, simulator.Catalogue{Products: 60})
	if err != nil {
		t.Fatal(err)
	}
	if err := sim.SetTraffic(rate); err != nil {
		t.Fatal(err)
	}
	time.Sleep(long) // The bubble's time.
	synctest.Wait()
	return sim, shop
}

func TestTrafficMakesAShopLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim, shop := lively(t, 5, 2, time.Hour)
		defer sim.Stop()
		traffic := sim.Traffic()
		if traffic.Made < 6500 || traffic.Made > 7900 {
			t.Errorf("%d changes in an hour at 2 a second", traffic.Made)
		}
		kinds := make(map[string]bool)
		for range 40 {
			time.Sleep(time.Minute)
			synctest.Wait()
			for _, change := range sim.Traffic().Recent {
				kinds[change.Kind] = true
			}
		}
		for _, kind := range []string{"sale", "restock", "fulfil", "price", "text", "cancel", "launch", "retire", "flash_sale"} {
			if !kinds[kind] {
				t.Errorf("never: %s", kind)
			}
		}
		if got := shop.Size().Orders; got < 3000 {
			t.Errorf("%d orders", got)
		}
	})
}

func TestTrafficNeverSellsWhatIsNotThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim, shop := lively(t, 5, 10, 30*time.Minute)
		sim.Stop()
		for v := range shop.Variants.All() {
			for _, l := range v.Item.Levels {
				if l.Committed > 0 && l.Available < 0 && v.Policy == "DENY" {
					t.Errorf("%s: %d sold, %d left", v.SKU, l.Committed, l.Available)
				}
			}
		}
	})
}

func TestTrafficFollowsItsSeed(t *testing.T) {
	run := func(seed uint64) (truth string) {
		synctest.Test(t, func(t *testing.T) {
			sim, shop := lively(t, seed, 5, 5*time.Minute)
			sim.Stop()
			truth = export(t, shop)
		})
		return truth
	}
	first := run(5)
	if first != run(5) {
		t.Error("the same seed led to two different days")
	}
	if first == run(6) {
		t.Error("another seed led to the same day")
	}
}

func TestFlashSaleGivesThePricesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(simulator.Config{Seed: 5})
		shop, err := sim.AddShop(domain, simulator.Catalogue{Products: 60})
		if err != nil {
			t.Fatal(err)
		}
		if err := sim.SetTraffic(20); err != nil {
			t.Fatal(err)
		}
		started := func() bool {
			for _, change := range sim.Traffic().Recent {
				if change.Kind == "flash_sale" {
					return true
				}
			}
			return false
		}
		for range 3600 {
			time.Sleep(time.Second)
			if started() {
				break
			}
		}
		if !started() {
			t.Fatal("no flash sale within an hour")
		}
		was := make(map[int64]simulator.Money) // What a reduced variant cost before.
		shop.RLock()
		for v := range shop.Variants.All() {
			if v.CompareAtPrice > v.Price && v.UpdatedAt.After(sim.Now().Add(-2*time.Second)) {
				was[v.ID] = v.CompareAtPrice
			}
		}
		shop.RUnlock()
		if len(was) == 0 {
			t.Error("a flash sale without reduced prices")
		}
		sim.Stop()
		for id, price := range was {
			if v, ok := shop.Variants.Get(id); !ok || v.Price != price {
				t.Errorf("variant %d costs %s after the sale, was %s", id, v.Price, price)
			}
		}
		if got := sim.Traffic().Rate; got != 0 {
			t.Errorf("traffic of %v after the stop", got)
		}
	})
}

func TestTrafficIsTurnedOnOverHTTP(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 5}, nil)
	for body, want := range map[string]int{`{"rate":50}`: 200, `{"rate":-1}`: 400, `{"rate":1e9}`: 400, `{}`: 400, `nonsense`: 400} {
		response, err := http.Post(w.url+"/_sim/traffic", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s: status %d, want %d", body, response.StatusCode, want)
		}
	}
	if got := w.Traffic().Rate; got != 50 {
		t.Errorf("traffic of %v, want 50", got)
	}
}
