package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"stockroom/internal/mirror"
	"stockroom/internal/reconcile"
	"stockroom/internal/simulator"
	"stockroom/internal/store"
)

func TestImportIsExact(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 60, BigVariants: 250})
	b.mustRun("import")
	b.mustBeExact("after the import")
}

func TestWebhooksKeepTheCopyExact(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 30})
	b.mustRun("import")
	rng := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		b.shop.RandomEdit(rng)
	}
	b.settle()
	b.mustRun("poll") // What no webhook tells of.
	b.mustBeExact("after edits, their webhooks and a poll")
}

// TestPollRepairsWhatWebhooksMissed is P2: lost, doubled, delayed and forged
// webhooks, and then one poll.
func TestPollRepairsWhatWebhooksMissed(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			b := newBench(t, simulator.Catalogue{Products: 25})
			b.mustRun("import")
			b.sim.SetFaults(simulator.Faults{Lose: map[string]float64{"*": 0.5}, Double: 0.3, Forge: 0.1})
			rng := rand.New(rand.NewPCG(seed, 3))
			for range 60 {
				b.shop.RandomEdit(rng)
			}
			b.settle()
			if b.compare().Exact() {
				t.Fatal("half of the webhooks were lost, and the copy is exact: the test proves nothing")
			}
			report := b.mustRun("poll")
			b.mustBeExact("after the poll")
			if report.Drifted() == 0 {
				t.Error("the poll repaired the copy and reported no drift")
			}
		})
	}
}

// TestUnchangedPollWritesNoMirrorRow: the change feed and the rows stay as they are.
func TestUnchangedPollWritesNoMirrorRow(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 20})
	b.mustRun("import")
	b.mustRun("poll") // What the import left to be proved.
	before := b.rows()
	report := b.mustRun("poll")
	if after := b.rows(); after != before {
		t.Errorf("an unchanged poll wrote mirror rows:\nbefore %s\nafter  %s", before, after)
	}
	if n := report.Drifted(); n != 0 {
		t.Errorf("an unchanged poll found %d rows drifted:\n%s", n, report.Text())
	}
	for _, resource := range report.Resources {
		if !resource.Complete || resource.Checked == 0 {
			t.Errorf("%s: %d checked, complete %v; want all of it", resource.Type, resource.Checked, resource.Complete)
		}
	}
}

// rows is a fingerprint of everything that is stored of the shop's records.
func (b *bench) rows() string {
	b.t.Helper()
	var fingerprint string
	b.view(func(tx *store.Tx) error {
		return tx.SQL().QueryRowContext(b.t.Context(), `SELECT COUNT(*) || ' rows, ' || SUM(as_of) || ' ' || SUM(seen) || ' ' || SUM(read_at) || ' ' ||
			SUM(heard) || ' ' || SUM(except_at) || ', ' || (SELECT COUNT(*) FROM changes) || ' changes' FROM records`).Scan(&fingerprint)
	})
	return fingerprint
}

// TestPollThatWouldDeleteTooMuchDeletesNothing is the fuse of P4, and its override.
func TestPollThatWouldDeleteTooMuchDeletesNothing(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 90})
	b.mustRun("import")
	b.loseWebhooks()
	for _, id := range append([]int64(nil), b.shop.Products.IDs()[:60]...) {
		b.edit(b.shop.DeleteProduct(id))
	}
	run, report := b.run("poll", false)
	if run.State != store.RunPartial || !strings.Contains(report.Text(), "stockroom poll --shop "+domain+" --accept-deletions") {
		t.Errorf("a poll that found 60 of 90 products gone ended %s:\n%s", run.State, report.Text())
	}
	var products int64
	b.view(func(tx *store.Tx) (err error) {
		products, err = tx.CountShown(b.row.ID, mirror.KindProduct)
		return err
	})
	if products != 90 {
		t.Errorf("%d products are left; want all 90", products)
	}
	if run, report := b.run("poll", true); run.State != store.RunOK {
		t.Errorf("with the deletions accepted it ended %s:\n%s", run.State, report.Text())
	}
	b.mustBeExact("after the deletions were accepted")
}

// TestPollThatCannotReadAListDeletesNothingAndIsPartial is P4 and P5.
func TestPollThatCannotReadAListDeletesNothingAndIsPartial(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 10})
	b.mustRun("import")
	before := b.compare()
	b.edit(b.shop.SetScopes(clientID, "read_products", "read_inventory", "read_locations", "read_orders")) // Discounts are denied now.
	run, report := b.run("poll", false)
	if run.State != store.RunPartial || len(report.Gaps) == 0 {
		t.Errorf("a poll that was denied the discounts ended %s with gaps %q", run.State, report.Gaps)
	}
	after := b.compare()
	if got, want := after.Types["Discount"].Got, before.Types["Discount"].Got; got != want {
		t.Errorf("%d discounts are left of %d", got, want)
	}
	var verified mirror.Instant
	b.view(func(tx *store.Tx) (err error) {
		verified, err = tx.VerifiedAt(b.row.ID, mirror.TypeDiscount)
		return err
	})
	if verified == 0 || verified >= run.StartedAt {
		t.Errorf("discounts are verified at %v, the poll that could not read them began at %v", verified, run.StartedAt)
	}
}

// TestListThatBreaksOffIsAGap is P5: what lies on the pages that did not come is
// not known, and the reads by id that follow ask only for what is.
func TestListThatBreaksOffIsAGap(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 120})
	b.mustRun("import")
	b.loseWebhooks()
	if _, err := b.shop.CreateProduct(simulator.ProductSpec{Title: "On the last page"}); err != nil {
		t.Fatal(err)
	}
	b.client = b.newClient(&http.Client{Transport: refusesLaterPages{}})
	run, report := b.run("poll", false)
	if run.State != store.RunPartial || len(report.Gaps) == 0 {
		t.Errorf("a poll that could not read the products to their end ended %s with gaps %q", run.State, report.Gaps)
	}
	b.view(func(tx *store.Tx) error {
		verified, err := tx.VerifiedAt(b.row.ID, mirror.TypeProduct)
		if verified == 0 || verified >= run.StartedAt {
			t.Errorf("products are verified at %v, the poll that could not read them began at %v", verified, run.StartedAt)
		}
		return err
	})
}

// refusesLaterPages answers every page of products but the first with a refusal.
type refusesLaterPages struct{}

func (refusesLaterPages) RoundTrip(request *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	if strings.Contains(string(body), "ListProducts") && strings.Contains(string(body), `"after":"`) {
		refusal := `{"errors":[{"message":"Access denied","extensions":{"code":"ACCESS_DENIED"}}]}`
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(refusal)), Request: request}, nil
	}
	request = request.Clone(request.Context())
	request.Body = io.NopCloser(strings.NewReader(string(body)))
	return http.DefaultTransport.RoundTrip(request)
}

// TestInterruptedPollGoesOnWhereItWas: a killed process loses at most a page.
func TestInterruptedPollGoesOnWhereItWas(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 120})
	b.mustRun("import")
	b.loseWebhooks()
	rng := rand.New(rand.NewPCG(7, 7))
	for range 30 {
		b.shop.RandomEdit(rng)
	}
	var run store.Run
	b.update(func(tx *store.Tx) (err error) {
		run, _, err = tx.QueueRun(store.Run{ShopID: b.row.ID, Kind: "poll", Reason: "manual"})
		return err
	})
	for interruptions := 0; ; interruptions++ {
		ctx, cancel := context.WithCancel(t.Context())
		pages := 0
		config := b.config
		config.Audit = func(context.Context, store.Shop) error { return nil }
		client := *http.DefaultClient
		client.Transport = beforeRequest(func() {
			if pages++; pages > 6 { // Four are counts, which are asked for anew until the routes are chosen.
				cancel()
			}
		})
		b.client = b.newClient(&client)
		ended, err := reconcile.NewPoller(config, b.hydrator).Run(ctx, run.ID)
		cancel()
		if err == nil {
			if ended.State != store.RunOK || interruptions < 2 {
				t.Errorf("the run ended %s after %d interruptions; want ok after several", ended.State, interruptions)
			}
			break
		}
		if !errors.Is(err, context.Canceled) || interruptions > 50 {
			t.Fatalf("interruption %d: %v", interruptions, err)
		}
	}
	b.client = b.newClient(nil)
	b.mustBeExact("after an interrupted poll")
}

// TestLargeProductInManyCollections: 250 variants are more than a webhook
// carries, and more than a page; a product in 30 collections comes with each of
// them. Its price keeps it out of the rules of smart collections, whose members change silently.
func TestLargeProductInManyCollections(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 5})
	b.mustRun("import")
	spec := simulator.ProductSpec{Title: "Paint", Options: []string{"Shade"}}
	for n := range 250 {
		spec.Variants = append(spec.Variants, simulator.VariantSpec{Values: []string{fmt.Sprintf("Shade %d", n)}, SKU: fmt.Sprintf("PAINT-%d", n), Price: 9900})
	}
	paint, err := b.shop.CreateProduct(spec)
	b.edit(err)
	for n := range 30 {
		_, err := b.shop.CreateCollection(simulator.CollectionSpec{Title: fmt.Sprintf("Shelf %d", n), Products: []int64{paint.ID}})
		b.edit(err)
	}
	b.settle()
	b.mustBeExact("after the webhooks of a product with 250 variants in 30 collections")
	b.edit(b.shop.RemoveVariant(paint.Variants[200].ID))
	b.edit(b.shop.SetPrice(paint.Variants[180].ID, 9950, 0))
	b.settle()
	b.mustBeExact("after changes beyond the first hundred variants")
	b.mustRun("poll")
	b.mustBeExact("after the poll")
}

// TestVariantThatLeftStaysAwayWhenItsWebhooksComeReversed: the last body that
// comes still holds the variant that is gone.
func TestVariantThatLeftStaysAwayWhenItsWebhooksComeReversed(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 3})
	shirt, err := b.shop.CreateProduct(simulator.ProductSpec{Title: "Shirt", Options: []string{"Size"}, Variants: []simulator.VariantSpec{
		{Values: []string{"S"}, Price: 500}, {Values: []string{"M"}, Price: 500}}})
	b.edit(err)
	b.mustRun("import")
	b.settle()
	b.edit(b.shop.UpdateProduct(shirt.ID, func(p *simulator.Product) { p.Title = "Shirt, still in two sizes" }))
	b.quiet()
	leaves := shirt.Variants[1].ID
	b.edit(b.shop.RemoveVariant(leaves))
	b.quiet()
	b.update(func(tx *store.Tx) error {
		_, err := tx.SQL().ExecContext(t.Context(), `UPDATE inbox SET seq = -seq WHERE state = 'new'`)
		return err
	})
	for n := 1; n > 0; {
		var err error
		if n, err = b.applier.RunOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if visible := b.visible(mirror.KindProductVariant, mirror.NewGID("ProductVariant", leaves)); visible {
		t.Error("the variant that left is shown, for its product's older webhook came last")
	}
	b.settle()
	b.mustBeExact("after webhooks in reverse order")
}

// TestLevelDisconnectedAndConnectedAgain: by webhooks, and by a poll alone.
func TestLevelDisconnectedAndConnectedAgain(t *testing.T) {
	for name, lost := range map[string]bool{"by webhooks": false, "by the poll": true} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, simulator.Catalogue{Products: 5, Locations: 3})
			b.mustRun("import")
			if lost {
				b.loseWebhooks()
			}
			item, _ := b.shop.Items.Get(b.shop.Items.IDs()[0])
			location := item.Levels[0].Location.ID
			key := mirror.LevelID(mirror.GID(item.GID()), mirror.NewGID("Location", location))
			catchUp := func(when string) {
				t.Helper()
				if b.settle(); lost {
					b.mustRun("poll")
				}
				b.mustBeExact(when)
			}
			b.edit(b.shop.DisconnectLevel(item.ID, location))
			catchUp("after the level was disconnected")
			if b.visible(mirror.KindInventoryLevel, key) {
				t.Error("a disconnected level is shown")
			}
			b.edit(b.shop.ConnectLevel(item.ID, location, 17))
			catchUp("after the level was connected again")
			if !b.visible(mirror.KindInventoryLevel, key) {
				t.Error("a level that was connected again is hidden")
			}
		})
	}
}

func (b *bench) visible(kind mirror.Kind, id mirror.GID) bool {
	b.t.Helper()
	var ids []mirror.GID
	b.view(func(tx *store.Tx) (err error) {
		ids, err = tx.VisibleIDs(b.row.ID, kind, []mirror.GID{id})
		return err
	})
	return len(ids) > 0
}
