package reconcile_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stockroom/internal/apply"
	"stockroom/internal/mirror"
	"stockroom/internal/reconcile"
	"stockroom/internal/simulator"
	"stockroom/internal/store"
)

// still is a bench whose shop was imported and polled, and where nothing is owed.
func still(t *testing.T, products int) *bench {
	t.Helper()
	b := newBench(t, simulator.Catalogue{Products: products})
	b.mustRun("import")
	b.settle()
	b.mustRun("poll")
	return b
}

// pollLater polls some seconds later, so that nothing changed in the second in which it begins.
func (b *bench) pollLater() []store.DriftRow {
	b.t.Helper()
	if err := b.sim.Advance(b.t.Context(), 3*time.Second); err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.client.ReadByID(b.t.Context(), mirror.ReadShop, []mirror.GID{mirror.GID(b.shop.GID())}); err != nil {
		b.t.Fatal(err) // Whose reply tells the time.
	}
	run, report := b.run("poll", false)
	if run.State != store.RunOK {
		b.t.Fatalf("the poll ended %s:\n%s", run.State, report.Text())
	}
	b.mustBeExact("after the poll")
	return b.drift(run.ID)
}

func (b *bench) rename(title string) mirror.GID {
	b.t.Helper()
	p := b.firstProduct()
	b.edit(b.shop.UpdateProduct(p.ID, func(p *simulator.Product) { p.Title = title }))
	return mirror.GID(p.GID())
}

// cause is that of the product's own row.
func cause(t *testing.T, rows []store.DriftRow, id mirror.GID) string {
	t.Helper()
	at := slices.IndexFunc(rows, func(row store.DriftRow) bool { return row.Kind == mirror.KindProduct && row.ID == id })
	if at < 0 {
		t.Fatalf("%s is not in the report: %+v", id, rows)
	}
	if !strings.Contains(string(rows[at].Fields), `"title"`) || rows[at].ChangedAt == 0 {
		t.Errorf("the row names neither field nor time: %+v", rows[at])
	}
	return rows[at].Cause
}

func TestALostWebhookIsCalledNeverDelivered(t *testing.T) {
	b := still(t, 5)
	b.loseWebhooks()
	id := b.rename("Nobody heard")
	b.quiet()
	rows := b.pollLater()
	if got := cause(t, rows, id); got != string(mirror.CauseNever) {
		t.Errorf("cause %q", got)
	}
	var topics []store.RunTopic
	b.view(func(tx *store.Tx) (err error) {
		topics, err = tx.RunTopics(b.row.ID, 1<<40, 1)
		return err
	})
	if !slices.ContainsFunc(topics, func(t store.RunTopic) bool { return t.Topic == "products/update" && t.Missed == 1 }) {
		t.Errorf("by topic: %+v", topics)
	}
}

// TestAWebhookAfterThePollCorrectsTheReport: it was late, and the share of lost ones falls.
func TestAWebhookAfterThePollCorrectsTheReport(t *testing.T) {
	b := still(t, 5)
	b.sim.SetFaults(simulator.Faults{Late: 1})
	id := b.rename("Hours later")
	if got := cause(t, b.pollLater(), id); got != string(mirror.CauseNever) {
		t.Fatalf("before it came: %q", got)
	}
	b.sim.SetFaults(simulator.Faults{})
	if err := b.sim.Advance(t.Context(), 13*time.Hour); err != nil {
		t.Fatal(err)
	}
	b.update(func(tx *store.Tx) error { // This bench receives by the machine's clock.
		_, err := tx.SQL().ExecContext(t.Context(), `UPDATE inbox SET received_at = received_at + 40000000 WHERE state = 'new'`)
		return err
	})
	b.settle()
	var rows []store.DriftRow
	var topics []store.RunTopic
	b.view(func(tx *store.Tx) error {
		run, err := tx.LastPoll(b.row.ID)
		if err != nil {
			return err
		}
		if rows, err = tx.Drift(run.ID, 100); err != nil {
			return err
		}
		topics, err = tx.TopicsOf(run.ID)
		return err
	})
	if got := cause(t, rows, id); got != string(mirror.CauseLate) {
		t.Errorf("after it came: %q", got)
	}
	for _, topic := range topics {
		if topic.Topic == "products/update" && topic.Missed != 0 {
			t.Errorf("by topic: %+v", topic)
		}
	}
}

// hold takes the shop's webhooks of a topic that were not applied yet out of
// the inbox, for they are under way still, and drops all others.
func (b *bench) hold(topic string) []store.Delivery {
	b.t.Helper()
	b.quiet()
	var held []store.Delivery
	b.update(func(tx *store.Tx) (err error) {
		held, err = tx.Deliveries(store.DeliveryFilter{Shop: b.row.ID, States: []string{store.DeliveryNew}, Topic: topic}, 10, 1<<20)
		if err == nil {
			_, err = tx.SQL().ExecContext(b.t.Context(), `DELETE FROM inbox WHERE state = 'new'`)
		}
		return err
	})
	if len(held) == 0 {
		b.t.Fatalf("no %s came", topic)
	}
	return held
}

// comeLate lets held webhooks come an hour after they were triggered.
func (b *bench) comeLate(held []store.Delivery) {
	b.t.Helper()
	for i := range held {
		held[i].ReceivedAt = held[i].TriggeredAt.Add(time.Hour)
	}
	b.update(func(tx *store.Tx) error { return tx.AddDeliveries(held) })
	b.hear()
}

// TestOnlyWordOfADeletionMakesALostDeletionLate: a late webhook of the product
// that tells of something else does not, and neither does it count as one of
// those that were missed.
func TestOnlyWordOfADeletionMakesALostDeletionLate(t *testing.T) {
	b := still(t, 5)
	id := b.rename("Hours later")
	renamed := b.hold("products/update")
	b.edit(b.shop.DeleteProduct(b.firstProduct().ID))
	deleted := b.hold("products/delete")
	b.pollLater()
	check := func(when string, cause mirror.Cause, missed int64) {
		t.Helper()
		b.view(func(tx *store.Tx) error {
			run, err := tx.LastPoll(b.row.ID)
			if err != nil {
				return err
			}
			rows, err := tx.Drift(run.ID, 100)
			if err != nil {
				return err
			}
			found := false
			for _, row := range rows {
				if row.ID == id && row.Kind == mirror.KindProduct || row.Via == id {
					found = true
					if row.Cause != string(cause) {
						t.Errorf("%s: the deletion of %s %s is put down to %q (%s), want %q", when, row.Kind, row.ID, row.Cause, row.Note, cause)
					}
				}
			}
			topics, err := tx.TopicsOf(run.ID)
			at := slices.IndexFunc(topics, func(topic store.RunTopic) bool { return topic.Topic == "products/delete" })
			if !found || at < 0 || topics[at].Missed != missed {
				t.Errorf("%s: found %v, by topic %+v, want %d of products/delete missed", when, found, topics, missed)
			}
			return err
		})
	}
	check("before any came", mirror.CauseNever, 1)
	b.comeLate(renamed)
	check("after products/update", mirror.CauseNever, 1)
	b.comeLate(deleted)
	check("after products/delete", mirror.CauseLate, 0)
}

func TestAQuarantinedWebhookIsNotApplied(t *testing.T) {
	b := still(t, 5)
	id := b.rename("Set aside")
	b.quiet()
	b.update(func(tx *store.Tx) error {
		_, err := tx.SQL().ExecContext(t.Context(), `UPDATE inbox SET state = 'quarantined', reason = 'a test says so' WHERE state = 'new'`)
		return err
	})
	rows := b.pollLater()
	if got := cause(t, rows, id); got != string(mirror.CauseNotApplied) {
		t.Errorf("cause %q", got)
	}
}

func TestARejectedSignatureIsProbablyTheCause(t *testing.T) {
	b := still(t, 5)
	b.loseWebhooks()
	id := b.rename("Wrongly signed")
	b.quiet()
	b.update(func(tx *store.Tx) error {
		return tx.AddRejections([]store.Rejection{{At: mirror.At(time.Now().Add(time.Second)), Shop: domain, Topic: "products/update", WebhookID: "w-1", Digest: []byte{1}}})
	})
	if got := cause(t, b.pollLater(), id); got != string(mirror.CauseRejected) {
		t.Errorf("cause %q", got)
	}
}

// TestARejectionExplainsNoDeletionOfAnotherTime: anybody can send one that
// claims the shop and the topic. One of when the product was still there, or
// from long ago, says nothing of why a webhook is missing today.
func TestARejectionExplainsNoDeletionOfAnotherTime(t *testing.T) {
	for _, tt := range []struct {
		name string
		age  time.Duration // Before the deletion.
		want mirror.Cause
	}{
		{"of two months ago", 60 * 24 * time.Hour, mirror.CauseNever},
		{"of before the last full read", 2 * time.Hour, mirror.CauseNever},
		{"of the time of the deletion", -time.Second, mirror.CauseRejected},
		{"of long after it was found", -6 * time.Hour, mirror.CauseNever},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := still(t, 5)
			b.loseWebhooks()
			b.update(func(tx *store.Tx) error {
				return tx.AddRejections([]store.Rejection{{At: mirror.At(time.Now().Add(-tt.age)), Shop: domain, Topic: "products/delete", WebhookID: "a stranger's", Digest: []byte{1}}})
			})
			p := b.firstProduct()
			b.edit(b.shop.DeleteProduct(p.ID))
			b.quiet()
			found := false
			for _, row := range b.pollLater() {
				if row.Kind == mirror.KindProduct && row.ID == mirror.GID(p.GID()) {
					found = true
					if row.Cause != string(tt.want) {
						t.Errorf("the lost deletion is put down to %q (%s), want %q", row.Cause, row.Note, tt.want)
					}
				}
			}
			if !found {
				t.Error("the deletion is not in the report")
			}
		})
	}
}

// TestADeletedProductsChildrenAreNamed: each with the cause of the product.
func TestADeletedProductsChildrenAreNamed(t *testing.T) {
	b := still(t, 5)
	b.loseWebhooks()
	p := b.firstProduct()
	wrong := 1 + 2*len(p.Variants) + len(p.Metafields)
	for _, v := range p.Variants {
		wrong += len(v.Metafields)
		for _, l := range v.Item.Levels {
			if l.Shown() {
				wrong++
			}
		}
	}
	b.edit(b.shop.DeleteProduct(p.ID))
	b.quiet()
	named := 0
	for _, row := range b.pollLater() {
		if row.Class == "undeleted" {
			named++
			if row.Cause != string(mirror.CauseNever) {
				t.Errorf("%s %s: %s (%s)", row.Kind, row.ID, row.Cause, row.Note)
			}
		}
	}
	if named != wrong {
		t.Errorf("%d records are named, %d were shown and should not have been", named, wrong)
	}
}

// TestStockThatWasHiddenIsNamedMissing: its webhook came, that of its product did
// not, and a later change of it was lost as well. No reader saw any of it.
func TestStockThatWasHiddenIsNamedMissing(t *testing.T) {
	b := still(t, 5)
	b.sim.SetFaults(simulator.Faults{LoseIf: func(d simulator.Delivery) bool { return strings.HasPrefix(d.Topic, "products/") }})
	product, err := b.shop.CreateProduct(simulator.ProductSpec{Title: "Unheard", Variants: []simulator.VariantSpec{{SKU: "UNHEARD-1", Price: 100}}})
	b.edit(err)
	b.settle()
	b.loseWebhooks()
	item := product.Variants[0].Item
	if err := b.sim.Advance(t.Context(), 3*time.Second); err != nil {
		t.Fatal(err)
	}
	b.edit(b.shop.SetStock(item.ID, item.Levels[0].Location.ID, 4711))
	b.quiet()
	found := false
	for _, row := range b.pollLater() {
		if row.Parent != mirror.GID(item.GID()) || !strings.Contains(string(row.Fields), `"available"`) {
			continue
		}
		found = true
		if row.Class != reconcile.ClassMissing || row.Cause != string(mirror.CauseNever) || !strings.Contains(string(row.Fields), "4711") {
			t.Errorf("the stock is %s, %s (%s): %s", row.Class, row.Cause, row.Note, row.Fields)
		}
	}
	if !found {
		t.Error("the stock is not in the report")
	}
}

// TestStockThatMovesDuringThePollIsNoDrift: what is for sale follows from it, and
// moves under no updatedAt that would say so.
func TestStockThatMovesDuringThePollIsNoDrift(t *testing.T) {
	b := still(t, 5)
	b.loseWebhooks()
	b.pass(5 * time.Second)
	level := b.firstProduct().Variants[0].Item.Levels[0]
	var once sync.Once
	client := *http.DefaultClient
	client.Transport = onRequest(func(r *http.Request) {
		if strings.Contains(bodyOf(t, r), "ListVariants") {
			once.Do(func() { b.edit(b.shop.SetStock(level.Item.ID, level.Location.ID, 4711)) })
		}
	})
	b.client = b.newClient(&client)
	run, report := b.run("poll", false)
	if run.State != store.RunOK {
		t.Fatalf("the poll ended %s:\n%s", run.State, report.Text())
	}
	for _, row := range b.drift(run.ID) {
		if row.Kind == mirror.KindProductVariantDerived || row.Kind == mirror.KindInventoryLevel {
			t.Errorf("%s %s is %s, and the cause is %q (%s)", row.Kind, row.ID, row.Class, row.Cause, row.Note)
		}
	}
}

// TestStockWhoseReadIsOwedIsPutDownToThat: the level is taken over, and what is for
// sale of it waits for a read by id that the shop does not answer.
func TestStockWhoseReadIsOwedIsPutDownToThat(t *testing.T) {
	for name, tt := range map[string]struct {
		lost bool // The webhook, so that a sweep finds the level.
		want mirror.Cause
	}{"told by a webhook": {false, mirror.CauseNotApplied}, "found by a sweep": {true, mirror.CauseNever}} {
		t.Run(name, func(t *testing.T) {
			b := still(t, 5)
			config := b.config
			config.Patience = time.Millisecond
			b.poller = reconcile.NewPoller(config, b.hydrator)
			faults := simulator.Faults{Null: []string{"InventoryItem", "Product"}}
			if tt.lost {
				faults.Lose = map[string]float64{"*": 1}
			}
			b.sim.SetFaults(faults)
			b.pass(5 * time.Second)
			level := b.firstProduct().Variants[0].Item.Levels[0]
			b.edit(b.shop.SetStock(level.Item.ID, level.Location.ID, 4711))
			b.hear()
			if tt.lost {
				b.pass(2 * time.Minute)
				b.sweep(reconcile.SweepArgs{})
			}
			b.pass(5 * time.Second)
			run, report := b.run("poll", false)
			if run.State != store.RunPartial {
				t.Fatalf("the poll ended %s:\n%s", run.State, report.Text())
			}
			judged := 0
			for _, row := range b.drift(run.ID) {
				if row.Kind == mirror.KindProductVariantDerived {
					judged++
					if row.Cause != string(tt.want) {
						t.Errorf("%s: %q (%s), want %q", row.ID, row.Cause, row.Note, tt.want)
					}
				}
			}
			if judged == 0 {
				t.Error("what is for sale did not drift")
			}
		})
	}
}

// TestStockOfACutFileIsNotTheServicesFault: the variants of the file are merged as
// they come, their levels are not believed.
func TestStockOfACutFileIsNotTheServicesFault(t *testing.T) {
	b := newBulkBench(t, simulator.Catalogue{Products: 20})
	b.mustRun("import")
	b.loseWebhooks()
	b.pass(5 * time.Second)
	for _, id := range b.shop.Items.IDs() {
		item, _ := b.shop.Items.Get(id)
		if at := slices.IndexFunc(item.Levels, func(l *simulator.Level) bool { return l.Shown() }); at >= 0 {
			b.edit(b.shop.SetStock(id, item.Levels[at].Location.ID, 4711))
		}
	}
	b.pass(5 * time.Second)
	b.sim.SetFaults(simulator.Faults{BulkCut: 1})
	run, report := b.run("poll", false)
	if run.State != store.RunPartial {
		t.Fatalf("the poll ended %s:\n%s", run.State, report.Text())
	}
	judged := 0
	for _, row := range b.drift(run.ID) {
		if row.Kind == mirror.KindProductVariantDerived && strings.Contains(string(row.Fields), "inventoryQuantity") {
			judged++
			if row.Cause != string(mirror.CauseNever) {
				t.Errorf("%s: %q (%s)", row.ID, row.Cause, row.Note)
			}
		}
	}
	if judged == 0 {
		t.Error("no variant of the cut file drifted")
	}
}

// TestReplayChangesNothingThatIsRight, and mends what was lost of the copy.
func TestReplayChangesNothingThatIsRight(t *testing.T) {
	b := still(t, 5)
	id := b.rename("Told and kept")
	b.settleAll()
	entries := func() (n int) {
		b.view(func(tx *store.Tx) error {
			return tx.SQL().QueryRowContext(t.Context(), `SELECT COUNT(*) FROM history`).Scan(&n)
		})
		return n
	}
	// An older title, whose webhook is stale when it is fed through again.
	b.rename("Told and kept, once more")
	b.settleAll()
	before, told := b.rows(), entries()
	done := b.replay(apply.ReplayArgs{})
	if done.Fed == 0 || done.Changed != 0 {
		t.Errorf("replay of what is right: %+v", done)
	}
	if after := b.rows(); after != before {
		t.Errorf("it wrote rows:\nbefore %s\nafter  %s", before, after)
	}
	if n := entries(); n != told {
		t.Errorf("the histories have %d entries and had %d", n, told)
	}
	b.update(func(tx *store.Tx) error {
		_, err := tx.SQL().ExecContext(t.Context(), `DELETE FROM records WHERE kind = 'Product' AND id = $1`, id)
		return err
	})
	done = b.replay(apply.ReplayArgs{Topic: "products/update"})
	if done.Changed != 1 || done.Changes[0].ID != id {
		t.Errorf("replay of what was lost: %+v", done)
	}
	b.settleAll()
	b.mustBeExact("after the replay")
}

// TestAReplayLeavesWhatAPollSetBack: the body that came claims a later time than
// the shop itself shows, the poll sets the record back, and neither a replay nor
// another sending of the same body brings it back, or owes a read that never can be made.
func TestAReplayLeavesWhatAPollSetBack(t *testing.T) {
	b := still(t, 5)
	id := b.rename("Told")
	held := b.hold("products/update")
	for i := range held {
		var body map[string]any
		decoder := json.NewDecoder(bytes.NewReader(held[i].Body))
		decoder.UseNumber()
		if err := decoder.Decode(&body); err != nil {
			t.Fatal(err)
		}
		body["updated_at"], body["title"] = time.Now().Add(3*time.Second).UTC().Format(time.RFC3339), "Never so"
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		held[i].Body = text
		held[i].TriggeredAt = held[i].TriggeredAt.Add(-mirror.CorrectAge - time.Minute)
	}
	b.update(func(tx *store.Tx) error { return tx.AddDeliveries(held) })
	b.hear()
	if b.compare().Exact() {
		t.Fatal("the false webhook was not believed: the test proves nothing")
	}
	b.mustRun("poll")
	b.mustBeExact("after the poll")

	b.replay(apply.ReplayArgs{})
	b.mustBeExact("after the replay")
	for i := range held {
		held[i].WebhookID += "-again"
	}
	b.update(func(tx *store.Tx) error { return tx.AddDeliveries(held) })
	b.hear()
	b.mustBeExact("after the same body came again")
	b.view(func(tx *store.Tx) error {
		product, err := tx.LoadRecords(b.row.ID, []mirror.Key{{Kind: mirror.KindProduct, ID: id}})
		if err != nil {
			return err
		}
		var never int
		err = tx.SQL().QueryRowContext(t.Context(), `SELECT COUNT(*) FROM demands WHERE id = $1 AND updated_at > $2`, id,
			product[mirror.Key{Kind: mirror.KindProduct, ID: id}].State.Updated).Scan(&never)
		if never > 0 {
			t.Fatalf("%d reads are owed of a version that the shop never had", never)
		}
		return err
	})
	b.settleAll()
	b.mustBeExact("after the reads that it owed")
	b.mustRun("poll")

	b.rename("And a true one") // Of a later second than the false one.
	b.settle()
	b.mustBeExact("after a true webhook")
}

// TestARunThatIsGivenUpIsJudged: what it had found by then has its causes, and is counted.
func TestARunThatIsGivenUpIsJudged(t *testing.T) {
	b := still(t, 5)
	id := b.firstProduct().GID()
	now := b.client.Clock().Now()
	var run store.Run
	b.update(func(tx *store.Tx) (err error) {
		if run, _, err = tx.QueueRun(store.Run{ShopID: b.row.ID, Kind: "poll", Reason: "manual"}); err != nil {
			return err
		}
		run.State, run.StartedAt = store.RunRunning, now
		if err := tx.SaveRun(run); err != nil {
			return err
		}
		return tx.AddDrift(run.ID, []store.DriftRow{{Type: mirror.TypeProduct, ID: mirror.GID(id), Kind: mirror.KindProduct, Class: reconcile.ClassStale,
			Fields: []byte(`[{"field":"title","old":"a","new":"b"}]`), ChangedAt: now.Add(-time.Minute), FoundAt: now}})
	})
	if err := b.poller.Abandon(t.Context(), run.ID, errors.New("the disk is full")); err != nil {
		t.Fatal(err)
	}
	rows := b.drift(run.ID)
	if len(rows) != 1 || rows[0].Cause == "" {
		t.Errorf("the drift of a run that was given up: %+v", rows)
	}
	b.view(func(tx *store.Tx) (err error) { run, err = tx.RunByID(run.ID); return err })
	report, err := reconcile.ReadReport(run)
	if err != nil || run.State != store.RunFailed || run.Error != "the disk is full" || report.Drifted() != 1 || len(report.Gaps) != 1 {
		t.Errorf("it ended %s (%s), %v:\n%s", run.State, run.Error, err, report.Text())
	}
}
