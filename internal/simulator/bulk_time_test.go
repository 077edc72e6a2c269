package simulator_test

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"stockroom/internal/simulator"
)

// startBulk begins an operation in the bubble and returns its id.
func (b *bubble) startBulk() string {
	b.t.Helper()
	status, raw, err := b.post("/admin/api/2026-10/graphql.json", http.Header{"X-Shopify-Access-Token": {b.token}},
		`{"query":"mutation { bulkOperationRunQuery(query: \"{ productVariants { edges { node { id sku } } } }\") { bulkOperation { id status } userErrors { message } } }"}`)
	if err != nil || status != http.StatusOK {
		b.t.Fatalf("start: %d %s %v", status, raw, err)
	}
	var answer struct {
		Data struct {
			BulkOperationRunQuery struct{ BulkOperation bulkState }
		}
	}
	if err := json.Unmarshal(raw, &answer); err != nil || answer.Data.BulkOperationRunQuery.BulkOperation.Status != "CREATED" {
		b.t.Fatalf("start: %s %v", raw, err)
	}
	return answer.Data.BulkOperationRunQuery.BulkOperation.ID
}

// bulk is an operation as the app sees it once nothing more happens by itself.
func (b *bubble) bulk(id string) bulkState {
	b.t.Helper()
	synctest.Wait()
	status, raw, err := b.ask(`{ bulkOperation(id: "` + id + `") { id status errorCode objectCount rootObjectCount fileSize url partialDataUrl completedAt } }`)
	if err != nil || status != http.StatusOK {
		b.t.Fatalf("poll: %d %s %v", status, raw, err)
	}
	var answer struct {
		Data struct{ BulkOperation bulkState }
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		b.t.Fatalf("poll: %s %v", raw, err)
	}
	return answer.Data.BulkOperation
}

// lines are the lines of an operation's file, which must be there.
func (b *bubble) lines(address string) []string {
	b.t.Helper()
	response, err := b.client.Get(address)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		b.t.Fatalf("file: %d %v", response.StatusCode, err)
	}
	return slices.Collect(strings.Lines(string(text)))
}

var finishes = []string{"BULK_OPERATIONS_FINISH"}

// The first quarter of an operation's time is CREATED, and it takes between
// half of bulk_time and all of it.
func TestBulkTimeIsHowLongAnOperationTakes(t *testing.T) {
	inBubble(t, simulator.Catalogue{Products: 5}, finishes, func(b *bubble) {
		b.SetFaults(simulator.Faults{BulkTime: simulator.Duration(8 * time.Hour)})
		spread := map[time.Duration]bool{}
		for range 4 {
			began := time.Now()
			id := b.startBulk()
			for _, step := range []struct {
				at     time.Duration
				status string
			}{{time.Hour - time.Minute, "CREATED"}, {2*time.Hour + time.Minute, "RUNNING"}, {4*time.Hour - time.Minute, "RUNNING"}, {8*time.Hour + time.Minute, "COMPLETED"}} {
				b.pass(step.at - time.Since(began))
				if got := b.bulk(id); got.Status != step.status {
					b.t.Errorf("after %s: %s, want %s", step.at, got.Status, step.status)
				}
			}
			done := b.bulk(id)
			completed, err := time.Parse(time.RFC3339, done.CompletedAt)
			if took := completed.Sub(began); err != nil || took < 4*time.Hour-time.Second || took > 8*time.Hour {
				b.t.Errorf("took %s", took)
			}
			spread[completed.Sub(began)] = true
			if lines := b.lines(done.URL); len(lines) != b.shop.Size().Variants {
				b.t.Errorf("%d lines of %d variants", len(lines), b.shop.Size().Variants)
			}
			hooks := b.hooks()
			if len(hooks) != 1 || hooks[0].body["status"] != "completed" || hooks[0].body["completed_at"] != done.CompletedAt {
				b.t.Errorf("told %v", hooks)
			}
		}
		if len(spread) == 1 {
			b.t.Error("all took as long")
		}
	})
}

func TestAStuckBulkOperationTimesOutAfterTenDays(t *testing.T) {
	inBubble(t, simulator.Catalogue{Products: 20}, finishes, func(b *bubble) {
		b.SetFaults(simulator.Faults{BulkStuck: 1})
		id := b.startBulk()
		b.pass(10*day - time.Minute)
		// Its rows are read and counted, and it goes on.
		if got := b.bulk(id); got.Status != "RUNNING" || got.ObjectCount == "0" || got.URL != "" || got.CompletedAt != "" {
			b.t.Errorf("a minute before: %+v", got)
		}
		if hooks := b.hooks(); len(hooks) != 0 {
			b.t.Errorf("told %v before it is over", hooks)
		}
		b.pass(2 * time.Minute)
		got := b.bulk(id)
		if got.Status != "FAILED" || got.ErrorCode != "TIMEOUT" || got.URL != "" || got.PartialDataURL == "" {
			b.t.Fatalf("after ten days: %+v", got)
		}
		variants := b.shop.Size().Variants
		if lines := b.lines(got.PartialDataURL); len(lines) == 0 || len(lines) >= variants {
			b.t.Errorf("%d lines of %d variants", len(lines), variants)
		}
		if hooks := b.hooks(); len(hooks) != 1 || hooks[0].body["status"] != "failed" || hooks[0].body["error_code"] != "timeout" {
			b.t.Errorf("told %v", hooks)
		}
	})
}

// An operation sees the clock jump, whichever state it is in.
func TestTheClockJumpsWhileABulkOperationRuns(t *testing.T) {
	inBubble(t, simulator.Catalogue{Products: 5}, finishes, func(b *bubble) {
		jump := func(d time.Duration) {
			b.t.Helper()
			if err := b.Advance(b.t.Context(), d); err != nil {
				b.t.Fatal(err)
			}
		}
		b.SetFaults(simulator.Faults{BulkTime: simulator.Duration(8 * time.Hour)})
		began := time.Now()
		id := b.startBulk()
		jump(time.Hour - time.Minute)
		if got := b.bulk(id); got.Status != "CREATED" {
			b.t.Errorf("before the first hour: %s", got.Status)
		}
		jump(time.Hour + 2*time.Minute)
		if got := b.bulk(id); got.Status != "RUNNING" {
			b.t.Errorf("after two hours: %s", got.Status)
		}
		jump(6 * time.Hour)
		done := b.bulk(id)
		if done.Status != "COMPLETED" || done.CompletedAt != b.Now().UTC().Format(time.RFC3339) {
			b.t.Errorf("after eight hours, at %s: %+v", b.Now(), done)
		}
		if hooks := b.hooks(); len(hooks) != 1 || hooks[0].body["status"] != "completed" {
			b.t.Errorf("told %v", hooks)
		}
		if passed := time.Since(began); passed > time.Minute {
			b.t.Errorf("%s passed by themselves", passed)
		}
		// One jump over all of it.
		id = b.startBulk()
		jump(30 * day)
		if got := b.bulk(id); got.Status != "COMPLETED" {
			b.t.Errorf("after a month: %+v", got)
		}
		b.SetFaults(simulator.Faults{BulkStuck: 1})
		id = b.startBulk()
		jump(11 * day)
		if got := b.bulk(id); got.Status != "FAILED" || got.ErrorCode != "TIMEOUT" {
			b.t.Errorf("stuck, after eleven days: %+v", got)
		}
	})
}

// Who uninstalls has no use for what runs: it ends, and nobody is told, not
// even the app when it comes back. What was finished stays to be fetched.
func TestUninstallingCancelsBulkOperations(t *testing.T) {
	inBubble(t, simulator.Catalogue{Products: 5}, finishes, func(b *bubble) {
		finished := b.startBulk()
		b.pass(time.Second)
		file := b.bulk(finished).URL
		b.hooks()
		b.SetFaults(simulator.Faults{BulkTime: simulator.Duration(8 * time.Hour)})
		running := []string{b.startBulk()}
		b.pass(3 * time.Hour)
		running = append(running, b.startBulk()) // One is RUNNING, one is CREATED.
		if err := b.shop.Uninstall(clientID); err != nil {
			b.t.Fatal(err)
		}
		synctest.Wait()
		if status, raw, err := b.ask(`{ shop { name } }`); err != nil || status != http.StatusUnauthorized {
			b.t.Errorf("the token still works: %d %s %v", status, raw, err)
		}
		if len(b.lines(file)) == 0 {
			b.t.Error("the finished file is empty")
		}
		var err error
		if b.token, err = b.shop.IssueToken(clientID, append([]string{"write_products"}, allScopes...)...); err != nil {
			b.t.Fatal(err)
		}
		b.access = b.shop.AccessOf(b.token)
		b.access.APIVersion = "2026-10"
		if _, errs := b.access.Installation.Subscribe(b.access, simulator.Subscription{Topic: "BULK_OPERATIONS_FINISH", URI: "https://app.example/hooks"}); errs != nil {
			b.t.Fatal(errs)
		}
		for _, id := range running {
			if got := b.bulk(id); got.Status != "CANCELED" || got.URL != "" || got.CompletedAt == "" {
				b.t.Errorf("after reinstalling: %+v", got)
			}
		}
		b.pass(9 * time.Hour)
		if hooks := b.hooks(); len(hooks) != 0 {
			b.t.Errorf("told %v", hooks)
		}
		// There is room for five again.
		for range 5 {
			b.startBulk()
		}
	})
}
