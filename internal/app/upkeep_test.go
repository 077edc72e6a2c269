package app_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"stockroom/internal/mirror"
	"stockroom/internal/simulator"
	"stockroom/internal/store"
)

// title is what the copy calls a product.
func (h *house) title(id int64) string {
	h.t.Helper()
	title := ""
	err := h.app.Store.View(h.t.Context(), func(tx *store.Tx) error {
		shop, err := tx.ShopByDomain(domain)
		if err != nil {
			return err
		}
		gid := mirror.NewGID("Product", id)
		rows, err := tx.ShownByID(shop.ID, mirror.KindProduct, []mirror.GID{gid})
		if err != nil {
			return err
		}
		content, err := mirror.Decode(mirror.KindProduct, rows[gid].Content)
		if err == nil {
			title = content.(*mirror.Product).Title
		}
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return title
}

func (h *house) rename(id int64, title string) {
	h.t.Helper()
	if err := h.shop.UpdateProduct(id, func(p *simulator.Product) { p.Title = title }); err != nil {
		h.t.Fatal(err)
	}
}

// TestALostSubscriptionIsMadeAgainAndItsGapSwept within the hour, without a poll
// and without a silence being noticed.
func TestALostSubscriptionIsMadeAgainAndItsGapSwept(t *testing.T) {
	h := newHouse(t, time.Now, "SWEEP_INTERVAL=0")
	h.up()
	h.connect()
	standing := h.shop.Installation("key")
	before := standing.Subscriptions()
	id := h.shop.Products.IDs()[0]

	foreign, refused := standing.Subscribe(simulator.Access{Installation: standing, Scopes: standing.Scopes(), Now: time.Now(), APIVersion: "2026-10"},
		simulator.Subscription{Topic: "PRODUCTS_UPDATE", URI: "https://erp.example.com/hook"})
	if refused != nil {
		t.Fatal(refused)
	}
	for _, s := range before {
		if strings.HasPrefix(s.Topic, "PRODUCTS_") {
			standing.Unsubscribe(s.ID)
		}
	}
	h.rename(id, "Nobody was told")
	if err := h.app.Connect.Upkeep(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.until("the gap was swept", func() bool { return h.title(id) == "Nobody was told" })
	sweeps := h.sweeps()
	if len(sweeps) != 1 || sweeps[0].Reason != "subscription" {
		t.Errorf("%d sweeps, the newest for %q; want one, of the gap", len(sweeps), sweeps[0].Reason)
	}
	after := standing.Subscriptions()
	if len(after) != len(before)+1 || !slices.ContainsFunc(after, func(s simulator.Subscription) bool { return s.ID == foreign.ID }) {
		t.Errorf("%d subscriptions, want the %d of before and the other program's", len(after), len(before))
	}
	if err := h.app.Connect.Upkeep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again := h.sweeps(); len(again) != 1 {
		t.Errorf("when all was well %d more sweeps were handed in", len(again)-1)
	}
	h.rename(id, "And now again")
	h.until("the webhook came", func() bool { return h.title(id) == "And now again" })
}

// TestGrantedScopesDecideWhatIsMirrored: resources start and stop as scopes come
// and go, also where nobody heard of it.
func TestGrantedScopesDecideWhatIsMirrored(t *testing.T) {
	h := newHouse(t, time.Now, "SWEEP_INTERVAL=0", "SHOPIFY_SCOPES=read_products,read_inventory,read_locations")
	h.up()
	h.connect()
	standing := h.shop.Installation("key")
	subscribed := func(prefix string) bool {
		return slices.ContainsFunc(standing.Subscriptions(), func(s simulator.Subscription) bool { return strings.HasPrefix(s.Topic, prefix) })
	}
	orders := func() int {
		n := 0
		err := h.app.Store.View(t.Context(), func(tx *store.Tx) error {
			shop, err := tx.ShopByDomain(domain)
			if err != nil {
				return err
			}
			rows, err := tx.ShownAfter(shop.ID, mirror.KindOrder, "", 1000)
			n = len(rows)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if subscribed("ORDERS_") || orders() != 0 || !subscribed("PRODUCTS_") {
		t.Fatal("without read_orders orders are mirrored, or products are not")
	}
	grant := func(scopes ...string) {
		t.Helper()
		if err := h.shop.SetScopes("key", append(scopes, "read_products", "read_inventory", "read_locations")...); err != nil {
			t.Fatal(err)
		}
	}
	grant("read_orders") // app/scopes_update tells of it.
	h.waitRuns(2)
	if !subscribed("ORDERS_") || orders() == 0 || h.runs()[0].Reason != "scopes" {
		t.Errorf("orders were granted: %d in the copy, by a run for %q", orders(), h.runs()[0].Reason)
	}

	// Nobody hears of this one but the hourly look.
	h.sim.SetFaults(simulator.Faults{LoseIf: func(simulator.Delivery) bool { return true }})
	grant("read_orders", "read_discounts")
	h.sim.SetFaults(simulator.Faults{})
	if subscribed("DISCOUNTS_") {
		t.Fatal("the lost message was heard")
	}
	if err := h.app.Connect.Upkeep(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.waitRuns(3)
	if !subscribed("DISCOUNTS_") || h.runs()[0].Reason != "scopes" {
		t.Errorf("discounts were granted: a run for %q", h.runs()[0].Reason)
	}
}
