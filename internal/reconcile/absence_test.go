package reconcile_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"stockroom/internal/apply"
	"stockroom/internal/mirror"
	"stockroom/internal/reconcile"
	"stockroom/internal/simulator"
	"stockroom/internal/store"
)

// evidence is why a record was taken for deleted; nil where there is none.
func (b *bench) evidence(kind mirror.Kind, id mirror.GID) *reconcile.Evidence {
	b.t.Helper()
	var evidence *reconcile.Evidence
	b.view(func(tx *store.Tx) error {
		tombstone, err := tx.TombstoneOf(b.row.ID, mirror.Key{Kind: kind, ID: id})
		if err == store.ErrNotFound {
			return nil
		}
		if err != nil {
			return err
		}
		return json.Unmarshal(tombstone.Evidence, &evidence)
	})
	return evidence
}

// forget takes records for deleted that live, as if a read by id had said so.
func (b *bench) forget(keys ...mirror.Key) {
	b.t.Helper()
	b.update(func(tx *store.Tx) error {
		now := b.client.Clock().Now()
		var absent []mirror.Observation
		for _, key := range keys {
			absent = append(absent, mirror.Absent(key, mirror.FromID, now, now))
		}
		_, err := apply.Apply(tx, apply.Batch{Shop: b.row.ID, Observations: absent}, mirror.At(time.Now()))
		return err
	})
}

// clientThat calls do with the name of each operation before it is sent.
func clientThat(do func(operation string)) *http.Client {
	client := *http.DefaultClient
	client.Transport = transport(func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		var request struct {
			OperationName string `json:"operationName"`
		}
		if json.Unmarshal(body, &request) == nil {
			do(request.OperationName)
		}
		return http.DefaultTransport.RoundTrip(r)
	})
	return &client
}

type transport func(*http.Request) (*http.Response, error)

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

func (b *bench) undelete(ids ...mirror.GID) (store.Task, reconcile.UndeleteReport) {
	b.t.Helper()
	undeleter := reconcile.Undeleter{Config: b.config}
	task, err := undeleter.Run(b.t.Context(), b.queueTask(store.TaskUndelete, reconcile.UndeleteArgs{IDs: ids}).ID)
	if err != nil {
		b.t.Fatal(err)
	}
	report, err := reconcile.ReadUndeleteReport(task)
	if err != nil {
		b.t.Fatal(err)
	}
	return task, report
}

// TestDeletionKeepsItsEvidence: which read lacked the record, when it was null,
// and who answered beside it. One null is enough for what was long quiet; what
// was heard of lately needs a second one five seconds later.
func TestDeletionKeepsItsEvidence(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 10})
	b.mustRun("import")
	b.loseWebhooks()
	ids := slices.Clone(b.shop.Products.IDs())
	b.edit(b.shop.DeleteProduct(ids[0]))
	b.mustRun("poll")
	lately := b.evidence(mirror.KindProduct, mirror.NewGID("Product", ids[0]))
	b.pass(time.Hour)
	b.edit(b.shop.DeleteProduct(ids[1]))
	run, _ := b.run("poll", false)
	quiet := b.evidence(mirror.KindProduct, mirror.NewGID("Product", ids[1]))
	if lately == nil || quiet == nil {
		t.Fatalf("the evidence is %+v and %+v", lately, quiet)
	}
	if len(lately.Nulls) != 2 || lately.Nulls[1].At.Sub(lately.Nulls[0].At) < 5*time.Second {
		t.Errorf("what was read an hour ago was deleted on %+v", lately.Nulls)
	}
	if len(quiet.Nulls) != 1 {
		t.Errorf("what was quiet for an hour was deleted on %+v", quiet.Nulls)
	}
	for _, e := range []*reconcile.Evidence{lately, quiet} {
		for _, null := range e.Nulls {
			if null.Witness.Object() != "Product" || null.At.Before(e.ReadStart) || !e.Heard.Before(e.ReadStart) {
				t.Errorf("evidence %+v", e)
			}
		}
	}
	if !strings.HasPrefix(quiet.Read, "poll ") || mirror.At(quiet.ReadStart) != run.StartedAt {
		t.Errorf("the read is %s of %v, it was run %d of %v", quiet.Read, quiet.ReadStart, run.ID, run.StartedAt)
	}
	b.mustBeExact("after the deletions")
}

// TestNullWithoutAWitnessDeletesNothing: a permission that went away looks like
// a deletion, but for the witness.
func TestNullWithoutAWitnessDeletesNothing(t *testing.T) {
	for _, by := range []string{"poll", "scan"} {
		t.Run(by, func(t *testing.T) {
			b := newBench(t, simulator.Catalogue{Products: 10, Orders: 4})
			b.mustRun("import")
			b.pass(time.Hour)
			b.loseWebhooks()
			deleted := map[mirror.Kind]mirror.GID{
				mirror.KindProduct: mirror.NewGID("Product", b.shop.Products.IDs()[0]), mirror.KindOrder: mirror.NewGID("Order", b.shop.Orders.IDs()[0]),
			}
			discount, _ := b.shop.Discounts.Get(b.shop.Discounts.IDs()[0])
			deleted[mirror.KindDiscount] = mirror.GID(discount.GID())
			b.edit(b.shop.DeleteProduct(b.shop.Products.IDs()[0]))
			b.edit(b.shop.DeleteOrder(b.shop.Orders.IDs()[0]))
			b.edit(b.shop.DeleteDiscount(discount.ID))
			faults := b.sim.Faults()
			faults.Null = []string{"Product", "Order", "DiscountNode"}
			b.sim.SetFaults(faults)
			read := func() (store.RunState, string) {
				if by == "poll" {
					run, report := b.run("poll", false)
					return run.State, report.Text()
				}
				task, report := b.sweep(reconcile.SweepArgs{Scan: true})
				return task.State, report.Text()
			}
			state, text := read()
			if state != store.RunPartial || strings.Count(text, "no record that is known to live answered") != len(deleted) {
				t.Errorf("it ended %s:\n%s", state, text)
			}
			for kind, id := range deleted {
				if !b.visible(kind, id) {
					t.Errorf("%s was deleted though no witness answered", id)
				}
			}
			faults.Null = nil
			b.sim.SetFaults(faults)
			if state, text := read(); state != store.RunOK {
				t.Errorf("with the permission back it ended %s:\n%s", state, text)
			}
			for kind, id := range deleted {
				if e := b.evidence(kind, id); b.visible(kind, id) || e == nil || len(e.Nulls) != 1 || e.Nulls[0].Witness.Object() != id.Object() && kind != mirror.KindDiscount {
					t.Errorf("%s is shown: %v, evidence %+v", id, b.visible(kind, id), e)
				}
			}
		})
	}
}

// TestLastOfItsKindIsDeletedOnTwoEmptyLooks: with no living record known there
// is no witness, and the list that is asked again and empty stands in for one.
func TestLastOfItsKindIsDeletedOnTwoEmptyLooks(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 3})
	for _, id := range slices.Clone(b.shop.Discounts.IDs()[1:]) {
		b.edit(b.shop.DeleteDiscount(id))
	}
	b.mustRun("import")
	b.pass(time.Hour)
	b.loseWebhooks()
	discount, _ := b.shop.Discounts.Get(b.shop.Discounts.IDs()[0])
	gid := mirror.GID(discount.GID())
	b.edit(b.shop.DeleteDiscount(discount.ID))
	b.mustRun("poll")
	e := b.evidence(mirror.KindDiscount, gid)
	if b.visible(mirror.KindDiscount, gid) || e == nil || len(e.Nulls) != 2 || e.Nulls[0].Witness != "" || e.Nulls[1].At.Sub(e.Nulls[0].At) < 5*time.Second {
		t.Errorf("shown: %v, evidence %+v", b.visible(mirror.KindDiscount, gid), e)
	}
}

// TestRecordThatComesBackBetweenTheLooksLives: the second look finds it.
func TestRecordThatComesBackBetweenTheLooksLives(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 10})
	b.mustRun("import")
	b.loseWebhooks()
	item, _ := b.shop.Items.Get(b.shop.Items.IDs()[0])
	location := item.Levels[0].Location.ID
	level := mirror.LevelID(mirror.GID(item.GID()), mirror.NewGID("Location", location))
	b.edit(b.shop.DisconnectLevel(item.ID, location))
	looks := 0
	b.client = b.newClient(clientThat(func(operation string) {
		if operation == "ReadLevels" {
			if looks++; looks == 2 {
				b.edit(b.shop.ConnectLevel(item.ID, location, 3))
			}
		}
	}))
	b.mustRun("poll")
	if looks < 2 || !b.visible(mirror.KindInventoryLevel, level) || b.evidence(mirror.KindInventoryLevel, level) != nil {
		t.Errorf("after %d looks the level is shown: %v, evidence %+v", looks, b.visible(mirror.KindInventoryLevel, level), b.evidence(mirror.KindInventoryLevel, level))
	}
}

// TestUndeleteRevivesWhatTheShopShows and says of the rest that it is gone.
func TestUndeleteRevivesWhatTheShopShows(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 10})
	b.mustRun("import")
	b.loseWebhooks()
	ids := slices.Clone(b.shop.Products.IDs())
	b.edit(b.shop.DeleteProduct(ids[0]))
	b.mustRun("poll")
	wrong, _ := b.shop.Products.Get(ids[1])
	variant := wrong.Variants[0]
	level := variant.Item.Levels[0]
	levelKey := mirror.LevelID(mirror.GID(variant.Item.GID()), mirror.GID(level.Location.GID()))
	// What no read would do: a product and a level that live are taken for deleted.
	b.forget(mirror.Key{Kind: mirror.KindProduct, ID: mirror.GID(wrong.GID())}, mirror.Key{Kind: mirror.KindInventoryLevel, ID: levelKey})
	if b.visible(mirror.KindProduct, mirror.GID(wrong.GID())) || b.visible(mirror.KindProductVariant, mirror.GID(variant.GID())) {
		t.Fatal("the product was to be hidden")
	}
	gone := mirror.NewGID("Product", ids[0])
	task, report := b.undelete(mirror.GID(level.GID()), gone, mirror.NewGID("Product", ids[2]))
	got := map[mirror.GID]reconcile.UndeleteState{}
	for _, u := range report.Records {
		got[u.ID] = u.Result
	}
	if task.State != store.RunPartial || got[mirror.GID(level.GID())] != reconcile.UndeleteRevived || got[gone] != reconcile.UndeleteGone ||
		got[mirror.NewGID("Product", ids[2])] != reconcile.UndeleteShown {
		t.Errorf("it ended %s:\n%s", task.State, report.Text())
	}
	if !strings.Contains(report.Text(), "null by id at") {
		t.Errorf("the evidence is not told:\n%s", report.Text())
	}
	b.mustBeExact("after the undeletion of a level, by which its product is shown again")
	if task, report := b.undelete(mirror.GID(wrong.GID())); task.State != store.RunOK || report.Records[0].Result != reconcile.UndeleteShown {
		t.Errorf("once more it ended %s:\n%s", task.State, report.Text())
	}
}

// TestUndeleteSaysWhatHidesARecord: a variant of a product that the shop has deleted.
func TestUndeleteSaysWhatHidesARecord(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 5})
	b.mustRun("import")
	product, _ := b.shop.Products.Get(b.shop.Products.IDs()[0])
	metafield := mirror.GID("gid://shopify/Metafield/1")
	b.edit(b.shop.DeleteProduct(product.ID))
	b.settle()
	task, report := b.undelete(mirror.GID(product.Variants[0].GID()), metafield)
	if task.State != store.RunPartial || report.Records[0].Result != reconcile.UndeleteGone || report.Records[1].Result != reconcile.UndeleteFailed ||
		!strings.Contains(report.Records[1].Detail, "never seen") {
		t.Errorf("it ended %s:\n%s", task.State, report.Text())
	}
}
