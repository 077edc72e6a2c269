package reconcile_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"stockroom/internal/apply"
	"stockroom/internal/mirror"
	"stockroom/internal/reconcile"
	"stockroom/internal/simulator"
	"stockroom/internal/store"
)

// believe makes the copy hold a product that the shop never had so, as a
// webhook might tell of it.
func (b *bench) believe(triggered, updated time.Time) {
	b.t.Helper()
	id := mirror.NewGID("Product", b.shop.Products.IDs()[0])
	var known mirror.Content
	b.view(func(tx *store.Tx) error {
		rows, err := tx.ShownByID(b.row.ID, mirror.KindProduct, []mirror.GID{id})
		if err != nil {
			return err
		}
		known, err = mirror.Decode(mirror.KindProduct, rows[id].Content)
		return err
	})
	product := *known.(*mirror.Product)
	product.Title, product.UpdatedAt = "Never so", mirror.TimeOf(updated)
	o, err := mirror.Present(id, product, mirror.FromWebhook, mirror.At(triggered), mirror.At(time.Now()))
	if err != nil {
		b.t.Fatal(err)
	}
	b.update(func(tx *store.Tx) error {
		_, err := apply.Apply(tx, apply.Batch{Shop: b.row.ID, Observations: []mirror.Observation{o}}, mirror.At(time.Now()))
		return err
	})
}

// TestPollSetsBackACopyThatIsAhead: on the evidence of two reads, once the word is old.
func TestPollSetsBackACopyThatIsAhead(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 5})
	b.mustRun("import")
	b.believe(time.Now().Add(-mirror.CorrectAge-time.Minute), time.Now())
	report := b.mustRun("poll")
	b.mustBeExact("after the poll")
	if report.Drifted() != 1 {
		t.Errorf("the report counts %d drifted rows; want the one that was ahead:\n%s", report.Drifted(), report.Text())
	}
}

// TestPollIsNotOKOverACopyThatIsAhead is P5: the evidence does not suffice yet,
// so the run says so, also when it was interrupted after it had read the page.
func TestPollIsNotOKOverACopyThatIsAhead(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 5})
	b.mustRun("import")
	b.believe(time.Now(), time.Now().Add(2*time.Second))
	var run store.Run
	b.update(func(tx *store.Tx) (err error) {
		run, _, err = tx.QueueRun(store.Run{ShopID: b.row.ID, Kind: "poll", Reason: "manual"})
		return err
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	requests := 0
	client := *http.DefaultClient
	client.Transport = beforeRequest(func() {
		if requests++; requests > 8 { // Four counts, shop, locations, products, and one more.
			cancel()
		}
	})
	b.client = b.newClient(&client)
	if _, err := b.poller.Run(ctx, run.ID); !errors.Is(err, context.Canceled) {
		t.Fatalf("the interrupted poll returned %v", err)
	}
	b.client = b.newClient(nil)
	ended, err := b.poller.Run(t.Context(), run.ID)
	if err != nil {
		t.Fatal(err)
	}
	if ended.State != store.RunPartial || !strings.Contains(string(ended.Report), "newer in the copy") {
		t.Errorf("the poll ended %s: %s", ended.State, ended.Report)
	}
}

// TestFuseIsNotFooledByHiddenRows: what hangs on deleted products is not there to be kept.
func TestFuseIsNotFooledByHiddenRows(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 150, Locations: 2})
	b.mustRun("import")
	b.loseWebhooks()
	for _, id := range append([]int64(nil), b.shop.Products.IDs()[:100]...) {
		b.edit(b.shop.DeleteProduct(id))
	}
	if run, report := b.run("poll", true); run.State != store.RunOK {
		t.Fatalf("the poll that hides the rows ended %s:\n%s", run.State, report.Text())
	}
	gone := 0
	for _, id := range append([]int64(nil), b.shop.Items.IDs()...) {
		item, _ := b.shop.Items.Get(id)
		for _, level := range item.Levels {
			if level.Shown() && gone < 60 {
				b.edit(b.shop.DisconnectLevel(id, level.Location.ID))
				gone++
			}
		}
	}
	if run, report := b.run("poll", false); run.State != store.RunPartial {
		t.Errorf("a poll that found %d of the levels gone ended %s:\n%s", gone, run.State, report.Text())
	}
}

// TestDeletionsAreAcceptedDuringTheRun: the operator's word is not taken back by the run's own saves.
func TestDeletionsAreAcceptedDuringTheRun(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 90})
	b.mustRun("import")
	b.loseWebhooks()
	for _, id := range append([]int64(nil), b.shop.Products.IDs()[:60]...) {
		b.edit(b.shop.DeleteProduct(id))
	}
	requests := 0
	client := *http.DefaultClient
	client.Transport = beforeRequest(func() {
		if requests++; requests == 2 {
			b.update(func(tx *store.Tx) error {
				_, _, err := tx.QueueRun(store.Run{ShopID: b.row.ID, Kind: "poll", Reason: "manual", AcceptDeletions: true})
				return err
			})
		}
	})
	b.client = b.newClient(&client)
	b.mustRun("poll")
	b.mustBeExact("after deletions were accepted during the run")
}

// TestWhatAShopSharesNoMoreIsHidden: nobody can tell whether it is true still.
// Granted again it shows, and a poll makes it true.
func TestWhatAShopSharesNoMoreIsHidden(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 5})
	b.mustRun("import")
	all := b.row.Scopes
	grant := func(scopes string) {
		b.row.Scopes = scopes
		b.update(func(tx *store.Tx) error { _, err := tx.SaveShop(b.row); return err })
	}
	seen := func(kind mirror.Kind) (n int) {
		b.view(func(tx *store.Tx) error {
			rows, err := tx.ShownAfter(b.row.ID, kind, "", 1000)
			if err != nil {
				return err
			}
			rows, err = tx.Visible(b.row.ID, kind, rows)
			n = len(rows)
			return err
		})
		return n
	}
	discounts, products := seen(mirror.KindDiscount), seen(mirror.KindProduct)
	if discounts == 0 || products == 0 {
		t.Fatalf("%d discounts and %d products at first", discounts, products)
	}
	grant("read_products,read_inventory,read_locations,read_orders")
	run, report := b.run("poll", false)
	if run.State != store.RunOK || !strings.Contains(report.Text(), "shown to nobody") || !strings.Contains(report.Text(), "read_discounts") {
		t.Errorf("without read_discounts the poll ended %s:\n%s", run.State, report.Text())
	}
	if seen(mirror.KindDiscount) != 0 || seen(mirror.KindDiscountCodes) != 0 || seen(mirror.KindProduct) != products {
		t.Errorf("%d discounts and %d products are seen", seen(mirror.KindDiscount), seen(mirror.KindProduct))
	}
	grant(all)
	if seen(mirror.KindDiscount) != discounts {
		t.Errorf("granted again, %d discounts are seen; want %d", seen(mirror.KindDiscount), discounts)
	}
	b.mustRun("poll")
	b.mustBeExact("after the scope was granted again")
}

// TestScopeFoundByTheAuditIsUsed in the very run that found it.
func TestScopeFoundByTheAuditIsUsed(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 5})
	all := b.row.Scopes
	b.row.Scopes = "read_products"
	b.update(func(tx *store.Tx) error { _, err := tx.SaveShop(b.row); return err })
	config := b.config
	config.Audit = func(ctx context.Context, shop store.Shop) error {
		shop.Scopes = all
		return b.Update(ctx, func(tx *store.Tx) error { _, err := tx.SaveShop(shop); return err })
	}
	b.poller = reconcile.NewPoller(config, b.hydrator)
	b.mustRun("import")
	b.mustBeExact("after an import whose audit found more scopes")
}

// TestWebhookThatIsStoredIsNoDrift: it was heard, if not yet applied.
func TestWebhookThatIsStoredIsNoDrift(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 5})
	b.mustRun("import")
	b.edit(b.shop.UpdateProduct(b.shop.Products.IDs()[0], func(p *simulator.Product) { p.Title = "Heard" }))
	b.quiet()
	if report := b.mustRun("poll"); report.Drifted() != 0 {
		t.Errorf("the report calls it drift:\n%s", report.Text())
	}
}

// TestTotalsOnTheirWayAreNoDrift: stock moves while the poll reads, the webhook
// has come, and what Shopify derives from it is about to be read.
func TestTotalsOnTheirWayAreNoDrift(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 5})
	b.mustRun("import")
	item, _ := b.shop.Items.Get(b.shop.Items.IDs()[0])
	moved := false
	client := *http.DefaultClient
	client.Transport = beforeRequest(func() {
		if moved || b.runs()[0].State != store.RunRunning {
			return
		}
		moved = true
		b.edit(b.shop.SetStock(item.ID, item.Levels[0].Location.ID, 5000))
		b.hear()
	})
	b.client = b.newClient(&client)
	report := b.mustRun("poll")
	for _, resource := range report.Resources {
		if resource.Fields["inventoryQuantity"] > 0 {
			t.Errorf("what is about to be read was called drift:\n%s", report.Text())
		}
	}
	b.mustBeExact("after the poll")
}

func (b *bench) runs() []store.Run {
	b.t.Helper()
	var runs []store.Run
	b.view(func(tx *store.Tx) (err error) {
		runs, err = tx.Runs(b.row.ID, 1)
		return err
	})
	return runs
}

// TestBackoffDoesNotMakeAPollPartial: a poll asks again for what waits out a back-off.
func TestBackoffDoesNotMakeAPollPartial(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 5})
	b.mustRun("import")
	now := mirror.At(time.Now())
	demand := mirror.Demand{Read: mirror.ReadProduct, ID: mirror.NewGID("Product", b.shop.Products.IDs()[0])}
	b.update(func(tx *store.Tx) error {
		if err := tx.AddDemands(b.row.ID, []mirror.Demand{demand}, now); err != nil {
			return err
		}
		for range 10 {
			if err := tx.PostponeDemand(b.row.ID, store.Demand{Demand: demand}, now, 0, "Shopify did not answer"); err != nil {
				return err
			}
		}
		return nil
	})
	b.mustRun("poll")
}

// TestPollIsNotOKWhileAReadIsOwed is P5: what a webhook told of has not been seen yet.
func TestPollIsNotOKWhileAReadIsOwed(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 5})
	b.mustRun("import")
	now := mirror.At(time.Now())
	b.update(func(tx *store.Tx) error {
		return tx.AddDemands(b.row.ID, []mirror.Demand{{Read: mirror.ReadProduct, ID: mirror.NewGID("Product", b.shop.Products.IDs()[0]),
			Updated: now.Add(time.Hour)}}, now)
	})
	config := b.config
	config.Patience = time.Millisecond
	b.poller = reconcile.NewPoller(config, b.hydrator)
	if run, report := b.run("poll", false); run.State != store.RunPartial || !strings.Contains(report.Text(), "still owed") {
		t.Errorf("the poll ended %s:\n%s", run.State, report.Text())
	}
}

// TestRecordMissingFromAListIsNotDeleted is P4: absence from a page is no more
// than a reason to ask for the record itself.
func TestRecordMissingFromAListIsNotDeleted(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 5})
	b.mustRun("import")
	client := *http.DefaultClient
	client.Transport = withoutFirstProduct{}
	b.client = b.newClient(&client)
	report := b.mustRun("poll")
	b.mustBeExact("after a poll whose list lacked a product")
	if report.Drifted() != 0 {
		t.Errorf("the report counts %d rows as drift:\n%s", report.Drifted(), report.Text())
	}
}

// withoutFirstProduct takes the first product out of every list of products.
type withoutFirstProduct struct{}

func (withoutFirstProduct) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var body map[string]any
	if err := json.NewDecoder(response.Body).Decode(&body); err != nil {
		return nil, err
	}
	if data, ok := body["data"].(map[string]any); ok {
		if products, ok := data["products"].(map[string]any); ok {
			products["nodes"] = products["nodes"].([]any)[1:]
		}
	}
	changed, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	response.Body, response.ContentLength = io.NopCloser(bytes.NewReader(changed)), int64(len(changed))
	response.Header.Del("Content-Length")
	return response, nil
}

// TestRevokedTokenFailsTheRun rather than leaving it partial: nothing was read.
func TestRevokedTokenFailsTheRun(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 5})
	b.mustRun("import")
	b.edit(b.shop.Uninstall(clientID))
	if run, report := b.run("poll", false); run.State != store.RunFailed {
		t.Errorf("with a dead token the poll ended %s:\n%s", run.State, report.Text())
	}
}

// TestFailedWritesDoNotMakeTheHydratorAskAgainAtOnce: a full disk must not cost Shopify's budget.
func TestFailedWritesDoNotMakeTheHydratorAskAgainAtOnce(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 5})
	b.mustRun("import")
	now := mirror.At(time.Now())
	b.update(func(tx *store.Tx) error {
		return tx.AddDemands(b.row.ID, []mirror.Demand{{Read: mirror.ReadProduct, ID: mirror.NewGID("Product", b.shop.Products.IDs()[0])}}, now)
	})
	readOnly, err := store.Open(t.Context(), "sqlite://"+b.Path(), store.ReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	defer readOnly.Close()
	requests := make(chan struct{}, 1000)
	client := *http.DefaultClient
	client.Transport = beforeRequest(func() { requests <- struct{}{} })
	b.client = b.newClient(&client)
	config := b.config
	config.Store = readOnly
	hydrator := reconcile.NewHydrator(config)
	hydrator.Start(t.Context())
	<-requests // The first read, whose answer cannot be written;
	<-requests // and the second, after a pause.
	hydrator.Stop()
	if n := len(requests); n > 1 {
		t.Errorf("%d more reads came at once", n)
	}
}

type beforeRequest func()

func (before beforeRequest) RoundTrip(r *http.Request) (*http.Response, error) {
	before()
	return http.DefaultTransport.RoundTrip(r)
}
