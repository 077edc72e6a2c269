package simtest

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"stockroom/internal/simulator"
)

const day = 24 * time.Hour

// plan is what a seed draws before the run begins.
type plan struct {
	seed  uint64
	days  int
	shops []shopPlan

	protected  bool // The app is approved for orders.
	bothKeys   bool // The service knows the app's older secret as well.
	ahead      time.Duration
	rate       float64 // Points a second of the budget.
	schedule   string
	sweepEvery string
	bulkFrom   int64         // Points from which bulk operations read; zero for the default.
	traffic    float64       // Changes a second by the simulator itself; zero for none.
	look       time.Duration // How often a reader looks, on average.
	editEvery  time.Duration // Between two bursts of edits, on average.
	crashEvery time.Duration // Zero for never.
	pollEvery  time.Duration // Between two polls by hand, on average.
	troubled   float64       // Share of time with faults.
	leaveEvery time.Duration // Between two uninstallations, on average. Zero for never.
}

type shopPlan struct {
	domain    string
	catalogue simulator.Catalogue
}

// between draws a duration.
func between(rng *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(rng.Int64N(int64(high-low)))
}

func oneOf[T any](rng *rand.Rand, all ...T) T { return all[rng.IntN(len(all))] }

// drawPlan draws a run. The same seed draws the same.
func drawPlan(seed uint64) plan {
	rng := rand.New(rand.NewPCG(seed, 1))
	p := plan{
		seed: seed, days: oneOf(rng, 1, 1, 1, 2, 2, 3), protected: rng.IntN(10) > 0, bothKeys: rng.IntN(2) == 0,
		rate: oneOf(rng, 100.0, 100, 100, 50, 200), schedule: oneOf(rng, "0 0 * * *", "0 0 * * *", "0 0 * * *", "30 */6 * * *"),
		look: between(rng, 40*time.Minute, 3*time.Hour), editEvery: between(rng, 10*time.Minute, 2*time.Hour),
		pollEvery: between(rng, 3*time.Hour, 24*time.Hour), troubled: oneOf(rng, 0, 0.3, 0.6, 0.9),
	}
	if rng.IntN(2) == 0 { // Shops are small here: without this none would be read in bulk.
		p.bulkFrom = 1
	}
	if rng.IntN(2) == 0 {
		p.traffic = 1 / between(rng, 5*time.Minute, time.Hour).Seconds()
	}
	if rng.IntN(3) > 0 {
		p.crashEvery = between(rng, 2*time.Hour, 20*time.Hour)
	}
	if rng.IntN(3) == 0 {
		// A login of a shop that is not known is refused from 90 seconds on.
		p.ahead = between(rng, -80*time.Second, 80*time.Second)
	}
	for n := range oneOf(rng, 1, 1, 1, 2, 2, 3) {
		c := simulator.Catalogue{
			Products: 1 + rng.IntN(12), Locations: 1 + rng.IntN(4), Orders: rng.IntN(12), Timezone: oneOf(rng, "Etc/UTC", "America/New_York", "Asia/Tokyo", "Europe/Berlin"),
			Currency: oneOf(rng, "USD", "EUR", "JPY"),
		}
		switch rng.IntN(12) {
		case 0:
			c.Products = 0
		case 1:
			c.BigVariants = 95 + rng.IntN(20)
		case 2:
			c.Products = 60 + rng.IntN(60)
		}
		p.shops = append(p.shops, shopPlan{fmt.Sprintf("shop-%d-%d.myshopify.com", seed, n), c})
	}
	// What was thought of later draws from a source of its own, so that the seeds
	// known before go on as they did.
	later := rand.New(rand.NewPCG(seed, 3))
	p.sweepEvery = oneOf(later, "0", "6h", "6h", "6h", "3h", "1h")
	if later.IntN(20) == 0 {
		p.sweepEvery = "10m" // As it is by default; most of what a seed costs.
	}
	if leaving := rand.New(rand.NewPCG(seed, 5)); leaving.IntN(2) == 0 {
		p.leaveEvery = between(leaving, 8*time.Hour, 30*time.Hour)
	}
	if rng.IntN(50) == 0 { // Long lives are sparse.
		p.days, p.look, p.pollEvery, p.editEvery = 30, 8*time.Hour, 100*time.Hour, between(rng, 4*time.Hour, 12*time.Hour)
		if p.crashEvery > 0 {
			p.crashEvery *= 6
		}
		p.traffic, p.sweepEvery = 0, "6h"
		for i := range p.shops {
			p.shops[i].catalogue.Products = min(p.shops[i].catalogue.Products, 12)
		}
	}
	return p
}

func (p plan) String() string {
	var shops []string
	for _, s := range p.shops {
		shops = append(shops, fmt.Sprintf("%d products/%d locations", s.catalogue.Products, s.catalogue.Locations))
	}
	return fmt.Sprintf("seed %d: %d days, %s, protected %t, both keys %t, Shopify ahead %v, %v points/s, polls %q, sweeps every %s, bulk from %d, edits every %v, traffic %.4f/s, crash every %v, troubled %v, leave every %v",
		p.seed, p.days, strings.Join(shops, ", "), p.protected, p.bothKeys, p.ahead, p.rate, p.schedule, p.sweepEvery, p.bulkFrom, p.editEvery, p.traffic, p.crashEvery, p.troubled, p.leaveEvery)
}

// drawFaults draws the trouble of some hours: a few faults at a time, each of
// a strength that a real day could have, some far worse. What was drawn is
// counted. later is the source of those that were thought of later.
func drawFaults(rng, later *rand.Rand, drawn map[string]int) simulator.Faults {
	f := simulator.Faults{}
	some := func(name string, share float64, set func()) {
		if rng.Float64() < share {
			drawn[name]++
			set()
		}
	}
	little := func() float64 { return oneOf(rng, 0.02, 0.1, 0.3) }
	some("lose", 0.3, func() {
		f.Lose = map[string]float64{oneOf(rng, "*", "*", "products/update", "products/delete", "products/create", "inventory_levels/update", "collections/update", "orders/updated"): oneOf(rng, 0.1, 0.5, 1)}
	})
	some("double", 0.3, func() { f.Double = little() })
	some("fail", 0.3, func() { f.Fail = oneOf(rng, 0.05, 0.3, 0.9) })
	some("forge", 0.2, func() { f.Forge = oneOf(rng, 0.1, 0.5) })
	some("reorder", 0.3, func() { f.Reorder = oneOf(rng, 0.1, 0.5, 1) })
	some("delay", 0.3, func() { f.Delay = simulator.Duration(between(rng, time.Second, 3*time.Minute)) })
	some("late", 0.2, func() { f.Late = little() })
	some("old_secret", 0.1, func() { f.OldSecret = little() })
	some("stale", 0.2, func() { f.Stale = little() })
	some("newer", 0.2, func() { f.Newer = little() })
	some("webhook_first", 0.1, func() { f.WebhookFirst = 0.2 })
	some("unsubscribe", 0.05, func() { f.Unsubscribe = 0.05 })
	some("skew", 0.08, func() { f.Skew = simulator.Duration(between(rng, -40*time.Second, 40*time.Second)) })

	some("throttle", 0.15, func() { f.Throttle = oneOf(rng, 0.02, 0.1) })
	some("server_error", 0.2, func() { f.ServerError = oneOf(rng, 0.02, 0.2, 0.5) })
	some("reset", 0.2, func() { f.Reset = oneOf(rng, 0.02, 0.2) })
	some("timeout", 0.1, func() { f.Timeout = oneOf(rng, 0.02, 0.1) })
	some("answer_lost", 0.2, func() { f.AnswerLost = oneOf(rng, 0.02, 0.2) })
	some("deny", 0.06, func() {
		f.Deny = []string{oneOf(rng, "Product.variants", "Product.metafields", "QueryRoot.locations", "QueryRoot.collections", "InventoryItem.inventoryLevels", "Collection.products", "QueryRoot.discountNodes")}
	})
	some("slow", 0.3, func() { f.Slow = simulator.Duration(between(rng, 10*time.Millisecond, 5*time.Second)) })
	some("slow_pages", 0.15, func() { f.SlowPages = simulator.Duration(between(rng, time.Second, 20*time.Second)) })
	some("totals_lag", 0.2, func() { f.TotalsLag = simulator.Duration(between(rng, time.Second, 25*time.Second)) })
	some("index_lag", 0.3, func() { f.IndexLag = simulator.Duration(between(rng, time.Second, 4*time.Minute)) })

	some("token_lost", 0.25, func() { f.TokenLost = oneOf(rng, 0.3, 0.7, 1) })
	some("omit_expires_in", 0.1, func() { f.OmitExpiresIn = true })
	some("token_life", 0.08, func() { f.TokenLife = simulator.Duration(between(rng, 5*time.Minute, 50*time.Minute)) })

	some("bulk_cut", 0.15, func() { f.BulkCut = oneOf(rng, 0.2, 1) })
	some("bulk_reorder", 0.3, func() { f.BulkReorder = 1 })
	some("bulk_cancel", 0.1, func() { f.BulkCancel = 0.3 })
	some("bulk_fail", 0.1, func() { f.BulkFail = 0.3 })
	some("bulk_stuck", 0.05, func() { f.BulkStuck = 0.2 })
	some("bulk_time", 0.3, func() { f.BulkTime = simulator.Duration(between(rng, time.Second, 10*time.Minute)) })

	rng = later
	some("new_id", 0.2, func() { f.NewID = oneOf(rng, 0.3, 1) })
	some("internal_error", 0.15, func() { f.Internal = oneOf(rng, 0.02, 0.2) })
	some("too_many_requests", 0.15, func() { f.TooMany = oneOf(rng, 0.02, 0.2) })
	some("null", 0.08, func() {
		f.Null = []string{oneOf(rng, "Product", "ProductVariant", "InventoryItem", "Location", "Collection", "DiscountNode", "Order")}
	})
	some("unfiltered", 0.08, func() { f.Unfiltered = []string{"updated_at"} })
	return f
}

// leftOut are the faults that no seed draws, and why.
var leftOut = map[string]string{
	"LoseIf": "a function, for tests that choose what is lost; Lose draws by topic",
}

// TestEveryFaultIsDrawn fails when the simulator learns a fault that no seed meets.
func TestEveryFaultIsDrawn(t *testing.T) {
	met := map[string]bool{}
	for seed := range uint64(100) {
		rng, later := rand.New(rand.NewPCG(seed, 2)), rand.New(rand.NewPCG(seed, 4))
		for range 10 {
			drawn := reflect.ValueOf(drawFaults(rng, later, map[string]int{}))
			for i := range drawn.NumField() {
				met[drawn.Type().Field(i).Name] = met[drawn.Type().Field(i).Name] || !drawn.Field(i).IsZero()
			}
		}
	}
	for name, drawn := range met {
		if reason := leftOut[name]; drawn == (reason != "") {
			t.Errorf("fault %s: drawn %t, left out for the reason %q", name, drawn, reason)
		}
	}
}
