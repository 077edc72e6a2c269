package reconcile_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"stockroom/internal/mirror"
	"stockroom/internal/reconcile"
	"stockroom/internal/simulator"
	"stockroom/internal/store"
)

func (b *bench) queueTask(kind string, args any) store.Task {
	b.t.Helper()
	encoded, err := json.Marshal(args)
	b.edit(err)
	var task store.Task
	b.update(func(tx *store.Tx) (err error) {
		task, err = tx.QueueTask(store.Task{ShopID: b.row.ID, Kind: kind, Reason: "manual", Args: encoded})
		return err
	})
	return task
}

// sweep carries a pass out, reads what it asks for, and returns its report.
func (b *bench) sweep(args reconcile.SweepArgs) (store.Task, reconcile.SweepReport) {
	b.t.Helper()
	task, err := reconcile.NewSweeper(b.config, b.hydrator).Run(b.t.Context(), b.queueTask(store.TaskSweep, args).ID)
	if err != nil {
		b.t.Fatal(err)
	}
	report, err := reconcile.ReadSweepReport(task)
	if err != nil {
		b.t.Fatal(err)
	}
	b.hydrate()
	return task, report
}

// mustSweep carries a pass out that has to end ok.
func (b *bench) mustSweep(args reconcile.SweepArgs) reconcile.SweepReport {
	b.t.Helper()
	task, report := b.sweep(args)
	if task.State != store.RunOK {
		b.t.Fatalf("the sweep ended %s:\n%s", task.State, report.Text())
	}
	return report
}

// hydrate reads what is owed and due.
func (b *bench) hydrate() {
	b.t.Helper()
	for {
		n, err := b.hydrator.RunOnce(b.t.Context(), b.row)
		if err != nil {
			b.t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
}

// pass lets time pass by Shopify's clock.
func (b *bench) pass(d time.Duration) {
	b.t.Helper()
	b.edit(b.sim.Advance(b.t.Context(), d))
	if _, err := b.client.GrantedScopes(b.t.Context()); err != nil { // Any answer tells the time.
		b.t.Fatal(err)
	}
}

func (b *bench) marks() map[string]store.SweepMark {
	b.t.Helper()
	var marks map[string]store.SweepMark
	b.view(func(tx *store.Tx) (err error) {
		marks, err = tx.SweepMarks(b.row.ID)
		return err
	})
	return marks
}

func (b *bench) title(id int64) string {
	b.t.Helper()
	var title string
	b.view(func(tx *store.Tx) error {
		gid := mirror.NewGID("Product", id)
		rows, err := tx.ShownByID(b.row.ID, mirror.KindProduct, []mirror.GID{gid})
		if err != nil || rows[gid].Content == nil {
			return err
		}
		content, err := mirror.Decode(mirror.KindProduct, rows[gid].Content)
		if err == nil {
			title = content.(*mirror.Product).Title
		}
		return err
	})
	return title
}

func (b *bench) retitle(id int64, title string) {
	b.t.Helper()
	b.edit(b.shop.UpdateProduct(id, func(p *simulator.Product) { p.Title = title }))
}

// changeEverything makes one change of each sort that moves an updatedAt.
func (b *bench) changeEverything() {
	b.t.Helper()
	products := b.shop.Products.IDs()
	b.retitle(products[0], "Renamed")
	p, _ := b.shop.Products.Get(products[1])
	b.edit(b.shop.SetPrice(p.Variants[0].ID, 9901, 0))
	b.edit(b.shop.UpdateItem(p.Variants[0].Item.ID, func(i *simulator.InventoryItem) { i.RequiresShipping = !i.RequiresShipping }))
	level := p.Variants[0].Item.Levels[0]
	b.edit(b.shop.SetStock(level.Item.ID, level.Location.ID, 4711))
	other, _ := b.shop.Products.Get(products[2]) // Nothing but its stock: what is for sale of it moves under no updatedAt.
	level = other.Variants[0].Item.Levels[0]
	b.edit(b.shop.SetStock(level.Item.ID, level.Location.ID, 4712))
	b.edit(b.shop.UpdateCollection(b.shop.Collections.IDs()[0], func(c *simulator.Collection) { c.Title = "Renamed too" }))
	b.edit(b.shop.UpdateDiscount(b.shop.Discounts.IDs()[0], func(d *simulator.Discount) { d.Title = "Half price" }))
	b.edit(b.shop.UpdateOrder(b.shop.Orders.IDs()[0], func(o *simulator.Order) { o.Note = "Ring twice" }))
	b.edit(b.shop.RenameLocation(b.shop.Locations.IDs()[0], "The old mill"))
	_, err := b.shop.CreateProduct(simulator.ProductSpec{Title: "New here", Options: []string{"Size"}, Variants: []simulator.VariantSpec{
		{Values: []string{"S"}, Price: 999900}, {Values: []string{"M"}, Price: 999900}}})
	b.edit(err)
}

// TestSweepRepairsWhatWebhooksMissed and counts it, in each resource that has a
// time of change.
func TestSweepRepairsWhatWebhooksMissed(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 12, Orders: 5})
	b.mustRun("import")
	b.loseWebhooks()
	b.changeEverything()
	b.pass(2 * time.Minute)
	report := b.mustSweep(reconcile.SweepArgs{})
	b.mustBeExact("after a sweep")
	want := map[string][2]int64{ // Missing and stale.
		"Product": {1, 3}, "ProductVariant": {2, 1}, "InventoryItem": {2, 1}, "InventoryLevel": {2, 1}, "Collection": {0, 1}, "Discount": {0, 1}, "Order": {0, 1}, "Location": {0, 1},
	}
	for _, d := range report.Drift {
		if got := [2]int64{d.Missing, d.Stale}; d.Type != "InventoryLevel" && got != want[d.Type] || d.Wrong+d.Undeleted != 0 {
			t.Errorf("drift %+v, want %v missing and stale", d, want[d.Type])
		}
		delete(want, d.Type)
	}
	if len(want) > 0 {
		t.Errorf("no drift was counted of %v", want)
	}
	if again := b.mustSweep(reconcile.SweepArgs{}); again.Drifted() != 0 {
		t.Errorf("a second sweep found drift:\n%s", again.Text())
	}
}

// TestSweepThatFindsNothingWritesNothing: of the overlap's rows most are known.
func TestSweepThatFindsNothingWritesNothing(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 12})
	b.mustRun("import")
	before := b.rows()
	report := b.mustSweep(reconcile.SweepArgs{Scan: true})
	if after := b.rows(); after != before {
		t.Error("a sweep of an unchanged shop wrote rows")
	}
	rows := int64(0)
	for _, s := range append(report.Sweeps, report.Scans...) {
		rows += s.Rows
	}
	if rows == 0 {
		t.Errorf("the sweep looked at nothing:\n%s", report.Text())
	}
}

// TestSweepFindsWhatTheIndexShowedLate: the change was made before the first
// pass began, which did not see it. A mark at the greatest time seen, or at the
// pass's start without an overlap, would pass over it for ever.
func TestSweepFindsWhatTheIndexShowedLate(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 5})
	b.mustRun("import")
	b.loseWebhooks()
	faults := b.sim.Faults()
	faults.IndexLag = simulator.Duration(4 * time.Minute)
	b.sim.SetFaults(faults)
	ids := b.shop.Products.IDs()
	b.pass(30 * time.Minute)
	b.retitle(ids[0], "Early")
	b.pass(time.Minute)
	b.mustSweep(reconcile.SweepArgs{})
	if got := b.title(ids[0]); got == "Early" {
		t.Fatal("the index did not lag")
	}
	b.retitle(ids[1], "Later")
	b.pass(5 * time.Minute)
	b.mustSweep(reconcile.SweepArgs{})
	if early, later := b.title(ids[0]), b.title(ids[1]); early != "Early" || later != "Later" {
		t.Errorf("the titles are %q and %q", early, later)
	}
}

// TestSweepFindsWhatTheIndexShowedOutOfOrder: the first pass saw a later change and
// not an earlier one. A mark at the greatest time seen would pass over that.
func TestSweepFindsWhatTheIndexShowedOutOfOrder(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 5})
	b.mustRun("import")
	b.loseWebhooks()
	ids := b.shop.Products.IDs()
	b.pass(30 * time.Minute)
	b.retitle(ids[0], "Early")
	b.pass(time.Minute)
	b.retitle(ids[1], "Later")
	b.pass(time.Minute)
	client := *http.DefaultClient
	client.Transport = withoutFirstProduct{}
	b.client = b.newClient(&client)
	b.mustSweep(reconcile.SweepArgs{})
	if early, later := b.title(ids[0]), b.title(ids[1]); early == "Early" || later != "Later" {
		t.Fatalf("after the first pass the titles are %q and %q", early, later)
	}
	b.client = b.newClient(nil)
	b.pass(time.Minute)
	b.mustSweep(reconcile.SweepArgs{})
	if got := b.title(ids[0]); got != "Early" {
		t.Errorf("the title is %q", got)
	}
}

// TestMarksMoveAfterCompletePassesOnly: what could not be read is asked for
// from where it was asked for before.
func TestMarksMoveAfterCompletePassesOnly(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 5})
	b.mustRun("import")
	b.mustSweep(reconcile.SweepArgs{})
	before := b.marks()
	b.loseWebhooks()
	ids := b.shop.Products.IDs()
	b.retitle(ids[0], "Changed while nobody could look")
	b.pass(time.Hour)
	faults := b.sim.Faults()
	faults.Deny = []string{"QueryRoot.products"}
	b.sim.SetFaults(faults)
	task, report := b.sweep(reconcile.SweepArgs{})
	if task.State != store.RunPartial || len(report.Gaps) == 0 {
		t.Errorf("a sweep that was denied the products ended %s:\n%s", task.State, report.Text())
	}
	denied := b.marks()
	if denied["products"] != before["products"] {
		t.Errorf("the mark of products moved from %v to %v over a pass that did not see them", before["products"].At, denied["products"].At)
	}
	if denied["collections"].At <= before["collections"].At {
		t.Errorf("the mark of collections stayed at %v", denied["collections"].At)
	}
	faults.Deny = nil
	b.sim.SetFaults(faults)
	b.pass(time.Hour)
	b.mustSweep(reconcile.SweepArgs{})
	if got := b.title(ids[0]); !strings.HasPrefix(got, "Changed") {
		t.Errorf("the title is still %q", got)
	}
}

// TestSearchWarningAbortsTheSweep: Shopify drops a filter that it does not know
// and answers with everything, or with what was not asked for.
func TestSearchWarningAbortsTheSweep(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 5})
	b.mustRun("import")
	b.mustSweep(reconcile.SweepArgs{})
	before := b.marks()
	b.loseWebhooks()
	faults := b.sim.Faults()
	faults.Unfiltered = []string{"updated_at"}
	b.sim.SetFaults(faults)
	b.pass(time.Hour)
	var log bytes.Buffer
	b.config.Log = slog.New(slog.NewTextHandler(&log, nil))
	task, report := b.sweep(reconcile.SweepArgs{Scan: true})
	if task.State != store.RunFailed || len(report.Gaps) != 1 || !strings.Contains(report.Gaps[0], "does not understand") {
		t.Errorf("the sweep ended %s:\n%s", task.State, report.Text())
	}
	if len(report.Scans) != 0 {
		t.Error("the pass went on after the warning")
	}
	for name, mark := range b.marks() {
		if name != "shop" && name != "locations" && mark != before[name] { // Those have no filter.
			t.Errorf("the mark of %s moved", name)
		}
	}
	if !strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("nothing loud was logged: %s", log.String())
	}
}

// TestInterruptedSweepGoesOn: its start is kept, so that its mark claims no more.
func TestInterruptedSweepGoesOn(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 250})
	b.mustRun("import")
	b.loseWebhooks()
	for _, id := range b.shop.Products.IDs() {
		b.retitle(id, "All new")
	}
	b.pass(30 * time.Minute) // No scan is due, which would begin again each time.
	task := b.queueTask(store.TaskSweep, reconcile.SweepArgs{})
	started := mirror.Instant(0)
	for interruptions := 0; ; interruptions++ {
		ctx, cancel := context.WithCancel(t.Context())
		requests := 0
		client := *http.DefaultClient
		client.Transport = beforeRequest(func() {
			if requests++; requests > 2 {
				cancel()
			}
		})
		b.client = b.newClient(&client)
		ended, err := reconcile.NewSweeper(b.config, b.hydrator).Run(ctx, task.ID)
		cancel()
		if started == 0 {
			started = ended.StartedAt
		}
		if err == nil {
			if ended.State != store.RunOK || interruptions < 3 || ended.StartedAt != started {
				t.Errorf("the sweep ended %s after %d interruptions, begun at %v, first at %v: %s", ended.State, interruptions, ended.StartedAt, started, ended.Report)
			}
			break
		}
		if !errors.Is(err, context.Canceled) || interruptions > 50 {
			t.Fatalf("interruption %d: %v", interruptions, err)
		}
	}
	b.client = b.newClient(nil)
	for _, id := range b.shop.Products.IDs() {
		if got := b.title(id); got != "All new" {
			t.Errorf("product %d is still called %q", id, got)
		}
	}
}

// TestSweepOfAGapMovesNoMark and finds what changed within it.
func TestSweepOfAGapMovesNoMark(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 5})
	b.mustRun("import")
	b.mustSweep(reconcile.SweepArgs{})
	before := b.marks()
	b.loseWebhooks()
	ids := b.shop.Products.IDs()
	var times []mirror.Instant
	for _, id := range ids[:3] {
		b.pass(time.Hour)
		b.retitle(id, "Changed")
		p, _ := b.shop.Products.Get(id)
		times = append(times, mirror.At(p.UpdatedAt))
	}
	report := b.mustSweep(reconcile.SweepArgs{Sweeps: []string{"products"}, Since: times[1].Add(-time.Minute), Until: times[1].Add(time.Minute)})
	if len(report.Sweeps) != 1 || b.title(ids[0]) == "Changed" || b.title(ids[1]) != "Changed" || b.title(ids[2]) == "Changed" {
		t.Errorf("the titles are %q, %q, %q:\n%s", b.title(ids[0]), b.title(ids[1]), b.title(ids[2]), report.Text())
	}
	if after := b.marks(); len(after) != len(before) || after["products"] != before["products"] {
		t.Errorf("the marks moved from %v to %v", before, after)
	}
}

// TestScanFindsDeletionsAndWhatTheIndexLost: neither shows in a search by time.
func TestScanFindsDeletionsAndWhatTheIndexLost(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 30, Locations: 2, Orders: 3})
	b.mustRun("import")
	b.loseWebhooks()
	faults := b.sim.Faults()
	faults.IndexLag = simulator.Duration(100 * 24 * time.Hour)
	b.sim.SetFaults(faults)
	b.changeEverything()
	products := slices.Clone(b.shop.Products.IDs())
	b.edit(b.shop.DeleteProduct(products[4]))
	var several *simulator.Product // The last variant of a product cannot be removed.
	for _, id := range products[5:] {
		if p, _ := b.shop.Products.Get(id); several == nil && len(p.Variants) > 1 && id != products[6] {
			several = p
		}
	}
	b.edit(b.shop.RemoveVariant(several.Variants[0].ID))
	p, _ := b.shop.Products.Get(products[6])
	level := p.Variants[0].Item.Levels[0]
	b.edit(b.shop.DisconnectLevel(level.Item.ID, level.Location.ID))
	b.edit(b.shop.DeleteDiscount(b.shop.Discounts.IDs()[1]))
	b.edit(b.shop.DeleteOrder(b.shop.Orders.IDs()[1]))
	b.edit(b.shop.DeleteCollection(b.shop.Collections.IDs()[1]))
	b.pass(2 * time.Minute)
	if report := b.mustSweep(reconcile.SweepArgs{}); len(report.Scans) > 0 {
		t.Fatalf("a scan was made though the last full read is minutes old:\n%s", report.Text())
	}
	if b.compare().Exact() {
		t.Fatal("the index was to show nothing")
	}
	b.pass(time.Hour)
	report := b.mustSweep(reconcile.SweepArgs{}) // Due by now.
	b.mustBeExact("after a scan")
	undeleted := map[string]int64{}
	for _, d := range report.Drift {
		undeleted[d.Type] = d.Undeleted
	}
	for _, name := range []string{"Product", "InventoryLevel", "Discount", "Order", "Collection"} {
		if undeleted[name] == 0 {
			t.Errorf("no deleted %s was counted:\n%s", name, report.Text())
		}
	}
	if next := b.mustSweep(reconcile.SweepArgs{}); len(next.Scans) != 0 {
		t.Error("the next pass scanned again at once")
	}
}

// TestScanThatIsIncompleteDeletesNothing is P4 for scans: the denied list is
// not judged, and the scan counts as none.
func TestScanThatIsIncompleteDeletesNothing(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 10})
	b.mustRun("import")
	b.loseWebhooks()
	deleted := b.shop.Products.IDs()[0]
	b.edit(b.shop.DeleteProduct(deleted))
	faults := b.sim.Faults()
	faults.Deny = []string{"QueryRoot.products"}
	b.sim.SetFaults(faults)
	b.pass(time.Hour)
	task, report := b.sweep(reconcile.SweepArgs{Scan: true})
	if task.State != store.RunPartial {
		t.Errorf("the sweep ended %s:\n%s", task.State, report.Text())
	}
	if !b.visible(mirror.KindProduct, mirror.NewGID("Product", deleted)) {
		t.Error("a product was deleted by a scan that could not read products")
	}
	if mark, scanned := b.marks()["scan"]; scanned {
		t.Errorf("an incomplete scan counts as one: %v", mark)
	}
}

// TestScanThatWouldDeleteTooMuchDeletesNothing: the fuse is the poll's.
func TestScanThatWouldDeleteTooMuchDeletesNothing(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 90})
	b.mustRun("import")
	b.loseWebhooks()
	for _, id := range slices.Clone(b.shop.Products.IDs()[:60]) {
		b.edit(b.shop.DeleteProduct(id))
	}
	task, report := b.sweep(reconcile.SweepArgs{Scan: true})
	if task.State != store.RunPartial || !strings.Contains(report.Text(), "stockroom poll --shop "+domain+" --accept-deletions") {
		t.Errorf("a scan that found 60 of 90 products gone ended %s:\n%s", task.State, report.Text())
	}
	var products int64
	b.view(func(tx *store.Tx) (err error) {
		products, err = tx.CountShown(b.row.ID, mirror.KindProduct)
		return err
	})
	if products != 90 {
		t.Errorf("%d products are left; want all 90", products)
	}
}
