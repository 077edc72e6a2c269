package reconcile_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"stockroom/internal/mirror"
	"stockroom/internal/reconcile"
	"stockroom/internal/shopify"
	"stockroom/internal/simulator"
	"stockroom/internal/store"
)

// TestBulkSlotsThatOthersHoldStopNoPoll: the shop's five are taken by another of
// its app's programs, and stay so. The poll says what it could not read, deletes
// nothing, and the next one reads by pages.
func TestBulkSlotsThatOthersHoldStopNoPoll(t *testing.T) {
	b := newBulkBench(t, simulator.Catalogue{Products: 20})
	b.mustRun("import")
	b.loseWebhooks()
	deleted := b.shop.Products.IDs()[0]
	b.edit(b.shop.DeleteProduct(deleted))
	faults := b.sim.Faults()
	faults.BulkStuck = 1
	b.sim.SetFaults(faults)
	for _, list := range shopify.Lists() {
		if list.Bulk == nil || list.Name != "products" {
			continue
		}
		for range 5 {
			_, err := b.client.StartBulk(t.Context(), list.Bulk.Query)
			b.edit(err)
		}
	}
	b.config.BulkStall = 200 * time.Millisecond
	b.poller = reconcile.NewPoller(b.config, b.hydrator)
	run, report := b.run("poll", false)
	if run.State != store.RunPartial || !strings.Contains(report.Text(), shopify.ErrBulkBusy.Error()) {
		t.Errorf("the poll without a slot ended %s:\n%s", run.State, report.Text())
	}
	if !b.visible(mirror.KindProduct, mirror.NewGID("Product", deleted)) {
		t.Error("a poll that read no products deleted one")
	}
	again, err := reconcile.ByPagesNext(run)
	if err != nil || !again {
		t.Errorf("no run by pages is to follow: %v, %v", again, err)
	}
	b.mustRun("poll")
	b.mustBeExact("after the poll by pages")
}

// TestAnOperationThatIsNotFollowedIsCanceled: Shopify refuses to tell how far it
// is, so that the list is given up. It would keep a slot for days.
func TestAnOperationThatIsNotFollowedIsCanceled(t *testing.T) {
	b := newBulkBench(t, simulator.Catalogue{Products: 20})
	b.mustRun("import")
	faults := b.sim.Faults()
	faults.BulkStuck = 1
	b.sim.SetFaults(faults)
	refused, canceled := 0, 0
	b.client = b.newClient(&http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		switch {
		case strings.Contains(string(body), `"operationName":"ReadBulk"`):
			refused++
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Request: r,
				Body: io.NopCloser(strings.NewReader(`{"errors":[{"message":"odd","extensions":{"code":"ODD"}}]}`))}, nil
		case strings.Contains(string(body), `"operationName":"CancelBulk"`):
			canceled++
		}
		return http.DefaultTransport.RoundTrip(r)
	})})
	run, report := b.run("poll", false)
	started := 0
	progress, err := reconcile.ReadProgress(run)
	b.edit(err)
	for _, list := range progress.Lists {
		if list.Bulk != nil && list.Bulk.Operation != "" {
			started++
		}
	}
	if run.State != store.RunPartial || started == 0 || refused != started || canceled != started {
		t.Errorf("the poll ended %s, started %d operations, was refused %d times and canceled %d:\n%s", run.State, started, refused, canceled, report.Text())
	}
}

// TestStuckOperationsAreWaitedForTogether: they began together, so a run whose
// operations all stand still waits for them once, and not for one after another.
func TestStuckOperationsAreWaitedForTogether(t *testing.T) {
	b := newBulkBench(t, simulator.Catalogue{Products: 20})
	b.mustRun("import")
	faults := b.sim.Faults()
	faults.BulkStuck = 1
	b.sim.SetFaults(faults)
	looks := 0
	b.client = b.newClient(&http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if strings.Contains(string(body), `"operationName":"ReadBulk"`) {
			looks++
		}
		return http.DefaultTransport.RoundTrip(r)
	})})
	b.config.BulkStall = 2 * time.Second
	b.poller = reconcile.NewPoller(b.config, b.hydrator)
	run, report := b.run("poll", false)
	progress, err := reconcile.ReadProgress(run)
	b.edit(err)
	stuck := 0
	for _, list := range progress.Lists {
		if list.Bulk != nil && list.Bulk.Operation != "" {
			stuck++
		}
	}
	// The first is looked at until it has stood still for long enough, each other twice.
	if most := 4 + 2*(stuck-1); run.State != store.RunPartial || stuck < 3 || looks < stuck || looks > most {
		t.Errorf("the poll ended %s and looked %d times at %d operations that are stuck, want from one each to %d:\n%s", run.State, looks, stuck, most, report.Text())
	}
}
