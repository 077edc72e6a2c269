package reconcile_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stockroom/internal/mirror"
	"stockroom/internal/reconcile"
	"stockroom/internal/simulator"
	"stockroom/internal/store"
)

// newBulkBench is a bench whose full reads are by bulk operations, however small the shop.
func newBulkBench(t *testing.T, catalogue simulator.Catalogue) *bench {
	t.Helper()
	b := newBench(t, catalogue)
	b.config.BulkFrom = 1
	b.config.BulkStall = 3 * time.Second
	b.poller = reconcile.NewPoller(b.config, b.hydrator)
	return b
}

// inBulk names the lists that a run read by bulk operations, with why they failed.
func (b *bench) inBulk(run store.Run) map[string]string {
	b.t.Helper()
	progress, err := reconcile.ReadProgress(run)
	if err != nil {
		b.t.Fatal(err)
	}
	lists := map[string]string{}
	for name, at := range progress.Lists {
		if at.Bulk != nil {
			lists[name] = at.Bulk.Failed
		}
	}
	return lists
}

// products is how many products readers see.
func (b *bench) products() (n int64) {
	b.t.Helper()
	b.view(func(tx *store.Tx) (err error) {
		n, err = tx.CountShown(b.row.ID, mirror.KindProduct)
		return err
	})
	return n
}

// mustHaveNoneStaged: what is staged goes with its run.
func (b *bench) mustHaveNoneStaged() {
	b.t.Helper()
	var n int
	b.view(func(tx *store.Tx) error {
		return tx.SQL().QueryRowContext(b.t.Context(), `SELECT COUNT(*) FROM staged`).Scan(&n)
	})
	if n != 0 {
		b.t.Errorf("%d lines are staged still", n)
	}
}

// TestBulkImportIsExact: also with lines in any order, children before their
// parents, and products of more variants than a webhook carries and than are put
// together at a time. Pages find nothing to mend after it.
func TestBulkImportIsExact(t *testing.T) {
	for name, tt := range map[string]struct {
		reorder  float64
		variants int
	}{"children after parents": {0, 250}, "in any order": {1, 2048}} {
		t.Run(name, func(t *testing.T) {
			b := newBulkBench(t, simulator.Catalogue{Products: 60, BigVariants: tt.variants})
			b.sim.SetFaults(simulator.Faults{BulkReorder: tt.reorder})
			run, report := b.run("import", false)
			if run.State != store.RunOK {
				t.Fatalf("the import ended %s:\n%s", run.State, report.Text())
			}
			if got := b.inBulk(run); len(got) != 4 {
				t.Errorf("read in bulk: %v; want products, variants, collections and orders", got)
			}
			b.mustBeExact("after the import")
			b.mustHaveNoneStaged()
			b.config.BulkFrom = 1 << 40
			b.poller = reconcile.NewPoller(b.config, b.hydrator)
			before := b.rows()
			if report := b.mustRun("poll"); report.Drifted() != 0 {
				t.Errorf("pages find other content than bulk operations:\n%s", report.Text())
			}
			if after := b.rows(); after != before {
				t.Errorf("a poll by pages wrote mirror rows over what a bulk import had written:\nbefore %s\nafter  %s", before, after)
			}
		})
	}
}

// TestBulkPollRepairsWhatWebhooksMissed is P2 by bulk operations.
func TestBulkPollRepairsWhatWebhooksMissed(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			b := newBulkBench(t, simulator.Catalogue{Products: 25})
			b.mustRun("import")
			b.sim.SetFaults(simulator.Faults{Lose: map[string]float64{"*": 0.5}, Double: 0.3, Forge: 0.1, BulkReorder: 0.5})
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

// TestUnchangedBulkPollWritesNoMirrorRow, and its requests cost fewer than 200 points.
func TestUnchangedBulkPollWritesNoMirrorRow(t *testing.T) {
	b := newBulkBench(t, simulator.Catalogue{Products: 40})
	b.mustRun("import")
	b.mustRun("poll")
	before := b.rows()
	points := b.countPoints()
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
	if got := points(); got == 0 || got >= 200 {
		t.Errorf("the poll cost %v points; want fewer than 200", got)
	}
}

// TestBulkFaultsDeleteNothingAndArePartial is P4 and P5 for each way in which a
// bulk operation goes wrong: the copy keeps what it has, nothing is proven, and
// the next run reads by pages and mends all.
func TestBulkFaultsDeleteNothingAndArePartial(t *testing.T) {
	for name, tt := range map[string]struct {
		faults simulator.Faults
		says   string
	}{
		"cut":    {simulator.Faults{BulkCut: 1}, "the file"},
		"cancel": {simulator.Faults{BulkCancel: 1}, "Shopify canceled it"},
		"fail":   {simulator.Faults{BulkFail: 1}, "INTERNAL_SERVER_ERROR"},
		"stuck":  {simulator.Faults{BulkStuck: 1}, "stood still"},
		"denied": {simulator.Faults{Deny: []string{"Product.variants"}}, "ACCESS_DENIED"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBulkBench(t, simulator.Catalogue{Products: 40})
			b.mustRun("import")
			lost := simulator.Faults{LoseIf: func(simulator.Delivery) bool { return true }}
			b.sim.SetFaults(lost)
			rng := rand.New(rand.NewPCG(9, 9))
			for range 20 {
				b.shop.RandomEdit(rng)
			}
			for _, id := range append([]int64(nil), b.shop.Products.IDs()[:3]...) {
				b.edit(b.shop.DeleteProduct(id))
			}
			deleted := b.deletions()
			verified := b.verified(mirror.TypeProduct)
			tt.faults.LoseIf = lost.LoseIf
			b.sim.SetFaults(tt.faults)
			run, report := b.run("poll", false)
			if run.State != store.RunPartial || !strings.Contains(report.Text(), tt.says) {
				t.Errorf("the poll ended %s:\n%s", run.State, report.Text())
			}
			if n := b.deletions() - deleted; n != 0 && name != "denied" || b.products() != 40 {
				t.Errorf("it deleted %d records, and left %d products", n, b.products())
			}
			if now := b.verified(mirror.TypeProduct); now != verified {
				t.Errorf("products are verified at %v now, before at %v", now, verified)
			}
			b.mustHaveNoneStaged()
			b.sim.SetFaults(lost)
			run, report = b.run("poll", false)
			if run.State != store.RunOK {
				t.Fatalf("the next poll ended %s:\n%s", run.State, report.Text())
			}
			if lists := b.inBulk(run); name != "denied" && len(lists) != 0 {
				t.Errorf("the next poll read %v in bulk; want pages", lists)
			} else if _, again := lists["products"]; again {
				t.Errorf("the next poll read products in bulk, which had failed so")
			}
			b.mustBeExact("after the next poll")
			if run, _ := b.run("poll", false); len(b.inBulk(run)) != 4 {
				t.Errorf("after a read by pages %v is read in bulk", b.inBulk(run))
			}
		})
	}
}

// deletions counts the records that were deleted, by the change feed.
func (b *bench) deletions() (n int64) {
	b.t.Helper()
	b.view(func(tx *store.Tx) error {
		return tx.SQL().QueryRowContext(b.t.Context(), `SELECT COUNT(*) FROM changes WHERE action = 'deleted'`).Scan(&n)
	})
	return n
}

func (b *bench) verified(exportType string) (at mirror.Instant) {
	b.t.Helper()
	b.view(func(tx *store.Tx) (err error) {
		at, err = tx.VerifiedAt(b.row.ID, exportType)
		return err
	})
	return at
}

// TestBulkPollThatWouldDeleteTooMuchDeletesNothing is the fuse of P4.
func TestBulkPollThatWouldDeleteTooMuchDeletesNothing(t *testing.T) {
	b := newBulkBench(t, simulator.Catalogue{Products: 90})
	b.mustRun("import")
	b.loseWebhooks()
	for _, id := range append([]int64(nil), b.shop.Products.IDs()[:60]...) {
		b.edit(b.shop.DeleteProduct(id))
	}
	if run, report := b.run("poll", false); run.State != store.RunPartial || b.products() != 90 {
		t.Errorf("a poll that found 60 of 90 products gone ended %s with %d products:\n%s", run.State, b.products(), report.Text())
	}
	if run, report := b.run("poll", true); run.State != store.RunOK {
		t.Errorf("with the deletions accepted it ended %s:\n%s", run.State, report.Text())
	}
	b.mustBeExact("after the deletions were accepted")
}

// TestChangesDuringABulkOperation: what webhooks tell while Shopify gathers is
// newer than the file. Records that come and go meanwhile neither make the
// counts unbelievable nor come back.
func TestChangesDuringABulkOperation(t *testing.T) {
	b := newBulkBench(t, simulator.Catalogue{Products: 40})
	b.mustRun("import")
	b.settle()
	var once sync.Once
	client := *http.DefaultClient
	client.Transport = onRequest(func(r *http.Request) {
		if !strings.Contains(r.URL.Path, "/_sim/bulk/") {
			return
		}
		once.Do(func() { // All operations are over, no file is read yet.
			for _, id := range append([]int64(nil), b.shop.Products.IDs()[:2]...) {
				b.edit(b.shop.DeleteProduct(id))
			}
			for n := range 3 {
				_, err := b.shop.CreateProduct(simulator.ProductSpec{Title: fmt.Sprintf("Late %d", n), Variants: []simulator.VariantSpec{{Price: 100}}})
				b.edit(err)
			}
			for _, id := range b.shop.Products.IDs()[:5] {
				b.edit(b.shop.UpdateProduct(id, func(p *simulator.Product) { p.Title += ", changed meanwhile" }))
			}
			b.settle()
		})
	})
	b.client = b.newClient(&client)
	report := b.mustRun("poll")
	for _, resource := range report.Resources {
		if resource.Drifted() != 0 && resource.Type != mirror.TypeDiscount { // A product that goes leaves its discounts silently.
			t.Errorf("%s drifted; what webhooks told of in time is no drift:\n%s", resource.Type, report.Text())
		}
	}
	b.client = b.newClient(nil)
	b.mustRun("poll") // What no webhook tells of: members of smart collections, variants of line items.
	b.mustBeExact("after the next poll")
}

// TestDeletionDuringABulkOperationWhoseWebhookIsLost: the file shows it still,
// the next poll finds it gone.
func TestDeletionDuringABulkOperationWhoseWebhookIsLost(t *testing.T) {
	b := newBulkBench(t, simulator.Catalogue{Products: 20})
	b.mustRun("import")
	b.loseWebhooks()
	var once sync.Once
	client := *http.DefaultClient
	client.Transport = onRequest(func(r *http.Request) {
		if strings.Contains(r.URL.Path, "/_sim/bulk/") {
			once.Do(func() { b.edit(b.shop.DeleteProduct(b.shop.Products.IDs()[0])) })
		}
	})
	b.client = b.newClient(&client)
	b.mustRun("poll")
	b.client = b.newClient(nil)
	report := b.mustRun("poll")
	b.mustBeExact("after the next poll")
	if report.Drifted() == 0 {
		t.Error("the deleted product is no drift")
	}
}

// TestFileWithoutARootIsNotBelieved: it agrees with the operation's own counters,
// and not with how many the shop counts.
func TestFileWithoutARootIsNotBelieved(t *testing.T) {
	b := newBulkBench(t, simulator.Catalogue{Products: 30})
	b.mustRun("import")
	b.loseWebhooks()
	b.edit(b.shop.DeleteProduct(b.shop.Products.IDs()[0]))
	client := *http.DefaultClient
	client.Transport = rewriting(func(body []byte) []byte { // Every count of the shop's is one too high.
		return bytes.ReplaceAll(body, []byte(`"count":29,`), []byte(`"count":30,`))
	})
	b.client = b.newClient(&client)
	run, report := b.run("poll", false)
	if run.State != store.RunPartial || !strings.Contains(report.Text(), "the shop counted 30") {
		t.Errorf("the poll ended %s:\n%s", run.State, report.Text())
	}
	if n := b.products(); n != 30 {
		t.Errorf("it left %d products", n)
	}
}

// TestNoFileAboveCountZeroIsNotBelieved: COMPLETED, a null url, and objects counted.
func TestNoFileAboveCountZeroIsNotBelieved(t *testing.T) {
	b := newBulkBench(t, simulator.Catalogue{Products: 30})
	b.mustRun("import")
	client := *http.DefaultClient
	client.Transport = rewriting(func(body []byte) []byte {
		before, rest, found := bytes.Cut(body, []byte(`"url":"`))
		if !found {
			return body
		}
		_, after, _ := bytes.Cut(rest, []byte(`"`))
		return slices.Concat(before, []byte(`"url":null`), after)
	})
	b.client = b.newClient(&client)
	run, report := b.run("poll", false)
	if run.State != store.RunPartial || !strings.Contains(report.Text(), "there is no file") || b.products() != 30 {
		t.Errorf("the poll ended %s with %d products:\n%s", run.State, b.products(), report.Text())
	}
}

// TestFilesThatSeemWholeAreNotBelieved: each lacks something and ends with a whole
// line. Nothing that is missing from them is deleted or taken out of a set.
func TestFilesThatSeemWholeAreNotBelieved(t *testing.T) {
	for name, tt := range map[string]struct {
		file func([]byte) []byte
		says string
	}{
		"without its last line": {func(text []byte) []byte {
			return text[:bytes.LastIndexByte(text[:len(text)-1], '\n')+1]
		}, "the shop counted|bytes of"},
		"a child instead of another": {func(text []byte) []byte { // As many bytes, a line fewer.
			lines := bytes.SplitAfter(text, []byte("\n"))
			last := lines[len(lines)-2]
			return slices.Concat(text[:len(text)-len(last)-1], bytes.Repeat([]byte(" "), len(last)), []byte("\n"))
		}, "lines"},
		"a root twice": {func(text []byte) []byte { // All counters are right.
			var roots [][]byte
			for line := range bytes.Lines(text) {
				if !bytes.Contains(line, []byte("__parentId")) {
					roots = append(roots, bytes.TrimSuffix(line, []byte("\n")))
				}
			}
			slices.SortFunc(roots, func(a, b []byte) int { return len(a) - len(b) })
			short, long := roots[0], roots[len(roots)-1]
			return bytes.Replace(text, long, slices.Concat(short, bytes.Repeat([]byte(" "), len(long)-len(short))), 1)
		}, "without a parent name"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBulkBench(t, simulator.Catalogue{Products: 30})
			b.mustRun("import")
			before := b.deletions()
			client := *http.DefaultClient
			client.Transport = rewritingFiles(tt.file)
			b.client = b.newClient(&client)
			run, report := b.run("poll", false)
			if run.State != store.RunPartial {
				t.Fatalf("the poll ended %s:\n%s", run.State, report.Text())
			}
			for name, failed := range b.inBulk(run) {
				if !regexp.MustCompile(tt.says).MatchString(failed) {
					t.Errorf("%s: %q", name, failed)
				}
			}
			if n := b.deletions() - before; n != 0 {
				t.Errorf("it deleted %d records", n)
			}
			b.mustBeExact("after the poll that believed nothing")
		})
	}
}

// TestInterruptedBulkPollGoesOn: the operations that were started are waited for
// and not started again, and the copy ends exact wherever the run was broken off.
func TestInterruptedBulkPollGoesOn(t *testing.T) {
	b := newBulkBench(t, simulator.Catalogue{Products: 60})
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
	started := 0
	for interruptions := 0; ; interruptions++ {
		ctx, cancel := context.WithCancel(t.Context())
		requests := 0
		client := *http.DefaultClient
		client.Transport = onRequest(func(r *http.Request) {
			if strings.Contains(bodyOf(t, r), "bulkOperationRunQuery") {
				started++
			}
			if requests++; requests > 8 {
				cancel()
			}
		})
		b.client = b.newClient(&client)
		ended, err := reconcile.NewPoller(b.config, b.hydrator).Run(ctx, run.ID)
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
	if started > 5 { // Four lists, and the one whose answer was cut off by the interruption.
		t.Errorf("%d operations were started for four lists", started)
	}
	b.client = b.newClient(nil)
	b.mustBeExact("after an interrupted poll")
	b.mustHaveNoneStaged()
}

// TestBulkPollKilledAnywhereGoesOn: broken off at every so many looks at the
// clock, which are beside every write, in a shop whose lists take several
// transactions to put together.
func TestBulkPollKilledAnywhereGoesOn(t *testing.T) {
	b := newBulkBench(t, simulator.Catalogue{Products: 40, BigVariants: 2048})
	b.mustRun("import")
	b.loseWebhooks()
	rng := rand.New(rand.NewPCG(11, 11))
	for range 30 {
		b.shop.RandomEdit(rng)
	}
	var run store.Run
	b.update(func(tx *store.Tx) (err error) {
		run, _, err = tx.QueueRun(store.Run{ShopID: b.row.ID, Kind: "poll", Reason: "manual"})
		return err
	})
	believed := 0
	for interruptions := 0; ; interruptions++ {
		ctx, cancel := context.WithCancel(t.Context())
		looks := 0
		config := b.config
		config.Now = func() time.Time {
			if looks++; looks > 8+interruptions {
				cancel()
			}
			return time.Now()
		}
		ended, err := reconcile.NewPoller(config, b.hydrator).Run(ctx, run.ID)
		cancel()
		if err == nil {
			if ended.State != store.RunOK || interruptions < 5 || believed == 0 {
				t.Errorf("the run ended %s after %d interruptions, %d of them over a believed file; want ok after several", ended.State, interruptions, believed)
			}
			break
		}
		if !errors.Is(err, context.Canceled) || interruptions > 100 {
			t.Fatalf("interruption %d: %v", interruptions, err)
		}
		b.view(func(tx *store.Tx) (err error) { ended, err = tx.RunByID(run.ID); return err })
		progress, err := reconcile.ReadProgress(ended)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range progress.Lists {
			if at.Bulk != nil && at.Bulk.Believed && !at.Done {
				believed++
			}
		}
	}
	b.mustBeExact("after a poll that was broken off often")
	b.mustHaveNoneStaged()
}

// TestBulkIsForLargeShops: pages read small ones.
func TestBulkIsForLargeShops(t *testing.T) {
	for name, tt := range map[string]struct {
		products int
		bulk     bool
	}{"small": {20, false}, "large": {600, true}} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, simulator.Catalogue{Products: tt.products})
			run, report := b.run("import", false)
			if run.State != store.RunOK {
				t.Fatalf("the import ended %s:\n%s", run.State, report.Text())
			}
			if got := len(b.inBulk(run)) > 0; got != tt.bulk {
				t.Errorf("%d products are read in bulk: %v", tt.products, got)
			}
			b.mustBeExact("after the import")
		})
	}
}

// onRequest looks at every request before it is sent.
type onRequest func(*http.Request)

func (f onRequest) RoundTrip(r *http.Request) (*http.Response, error) {
	f(r)
	return http.DefaultTransport.RoundTrip(r)
}

func bodyOf(t *testing.T, r *http.Request) string {
	if r.Body == nil {
		return ""
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return string(body)
}

// rewriting changes answers of the Admin API.
type rewriting func([]byte) []byte

func (f rewriting) RoundTrip(r *http.Request) (*http.Response, error) {
	reply, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || r.Method != http.MethodPost {
		return reply, err
	}
	body, err := io.ReadAll(reply.Body)
	if err != nil {
		return nil, err
	}
	reply.Body.Close()
	body = f(body)
	reply.Body, reply.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	reply.Header.Del("Content-Length")
	return reply, nil
}

// countPoints adds up what requests cost from now on.
func (b *bench) countPoints() func() float64 {
	var mu sync.Mutex
	var points float64
	client := *http.DefaultClient
	client.Transport = rewriting(func(body []byte) []byte {
		var answer struct {
			Extensions struct {
				Cost struct {
					Actual float64 `json:"actualQueryCost"`
				}
			}
		}
		if err := json.Unmarshal(body, &answer); err != nil {
			b.t.Errorf("read what a request cost: %v", err)
		}
		mu.Lock()
		defer mu.Unlock()
		points += answer.Extensions.Cost.Actual
		return body
	})
	b.client = b.newClient(&client)
	return func() float64 {
		mu.Lock()
		defer mu.Unlock()
		return points
	}
}

// BenchmarkRoutes measures the routes of a poll of unchanged shops with the
// budget of the standard plan, which begins full: seconds and points by pages and
// by bulk operations, without a wait of Shopify's own and with one of ten seconds.
//
//	go test ./internal/reconcile -run '^$' -bench Routes -benchtime 1x
func BenchmarkRoutes(t *testing.B) {
	for _, products := range []int{50, 100, 200, 300, 400, 800, 1600} {
		for _, route := range []string{"pages", "bulk", "bulk, operations of 10s"} {
			t.Run(fmt.Sprintf("%d products, %s", products, route), func(t *testing.B) {
				b := makeBench(t, simulator.Catalogue{Products: products}, 100, 2000)
				b.config.BulkFrom = 1
				b.poller = reconcile.NewPoller(b.config, b.hydrator)
				b.mustRun("import")
				if route == "pages" {
					b.config.BulkFrom = 1 << 40
				}
				if strings.Contains(route, "10s") {
					b.sim.SetFaults(simulator.Faults{BulkTime: simulator.Duration(10 * time.Second)})
				}
				b.poller = reconcile.NewPoller(b.config, b.hydrator)
				if err := b.sim.Advance(t.Context(), time.Minute); err != nil { // The budget is full again.
					t.Fatal(err)
				}
				b.client = b.newClient(nil)
				points := b.countPoints()
				for t.Loop() {
					b.mustRun("poll")
				}
				t.ReportMetric(points(), "points")
				t.ReportMetric(float64(b.shop.Size().Variants), "variants")
			})
		}
	}
}

// rewritingFiles changes the files of bulk operations.
type rewritingFiles func([]byte) []byte

func (f rewritingFiles) RoundTrip(r *http.Request) (*http.Response, error) {
	reply, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || !strings.Contains(r.URL.Path, "/_sim/bulk/") {
		return reply, err
	}
	body, err := io.ReadAll(reply.Body)
	if err != nil {
		return nil, err
	}
	reply.Body.Close()
	body = f(body)
	reply.Body, reply.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return reply, nil
}
