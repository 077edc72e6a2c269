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
	canceled := 0
	b.client = b.newClient(&http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		switch {
		case strings.Contains(string(body), `"operationName":"BulkOperation"`):
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
	if run.State != store.RunPartial || started == 0 || canceled != started {
		t.Errorf("the poll ended %s, started %d operations and canceled %d:\n%s", run.State, started, canceled, report.Text())
	}
}
