package simulator_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"stockroom/internal/simulator"
)

func TestResetMakesEveryShopAnew(t *testing.T) {
	at := newClock()
	w := newWorld(t, simulator.Catalogue{Products: 5}, func(c *simulator.Config) { c.Now = at.Now })
	if _, err := w.AddShop("second.myshopify.com", simulator.Catalogue{Products: 2}); err != nil {
		t.Fatal(err)
	}
	before, id := export(t, w.shop), w.shop.ID
	access := w.subscribe(nil, "PRODUCTS_UPDATE", "PRODUCTS_DELETE")
	token, err := w.shop.IssueToken(clientID, allScopes...)
	if err != nil {
		t.Fatal(err)
	}
	w.answerFrom(http.StatusServiceUnavailable)
	if err := w.shop.DeleteProduct(w.firstProduct().ID); err != nil {
		t.Fatal(err)
	}
	w.heard() // A retry waits.
	w.SetFaults(simulator.Faults{ServerError: 1})
	if err := w.Advance(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	w.heard()
	response, err := http.Post(w.url+"/_sim/reset", "application/json", strings.NewReader(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var sizes []simulator.Size
	decode(t, response, &sizes)
	if response.StatusCode != http.StatusOK || len(sizes) != 2 || sizes[1].Products != 5 {
		t.Fatalf("status %d, %+v", response.StatusCode, sizes)
	}
	shop := w.Shop(domain)
	if after := export(t, shop); after != before || shop.ID != id {
		t.Error("the shop is not what it was")
	}
	if !w.Now().Equal(at.Now()) || w.Faults().ServerError != 0 || len(w.Deliveries()) != 0 {
		t.Errorf("now %v, faults %+v, %d deliveries", w.Now(), w.Faults(), len(w.Deliveries()))
	}
	if left := shop.Installation(clientID).Subscriptions(); len(left) != 0 || shop.Installation(clientID) == access.Installation {
		t.Errorf("subscriptions %v", left)
	}
	if response := w.api(t, "2026-10", token, shopQuery); response.StatusCode != http.StatusUnauthorized {
		t.Errorf("the old token: status %d", response.StatusCode)
	}
	// Nothing of before comes any more, and what happens now does.
	if err := w.Advance(t.Context(), 5*time.Hour); err != nil {
		t.Fatal(err)
	}
	if hooks := w.heard(); len(hooks) != 0 {
		t.Errorf("heard %v", topicsOf(hooks))
	}
	w.shop = shop
	w.answerFrom(http.StatusOK)
	w.subscribe(nil, "PRODUCTS_UPDATE")
	if err := shop.UpdateProduct(w.firstProduct().ID, func(p *simulator.Product) { p.Title = "x" }); err != nil {
		t.Fatal(err)
	}
	if hooks := w.heard(); len(hooks) != 1 {
		t.Errorf("heard %v", topicsOf(hooks))
	}
}
