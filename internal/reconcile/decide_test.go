package reconcile_test

import (
	"bytes"
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

// refuses answers an operation so many times with what Shopify would say, and does also what it is told.
func refuses(operation, answer string, times int, also func()) *http.Client {
	client := *http.DefaultClient
	client.Transport = transport(func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if times == 0 || !strings.Contains(string(body), `"operationName":"`+operation+`"`) {
			return http.DefaultTransport.RoundTrip(r)
		}
		times--
		also()
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(answer)), Request: r}, nil
	})
	return &client
}

// tellAgain is the last webhook of a product once more.
func (b *bench) tellAgain(id mirror.GID) {
	b.t.Helper()
	key := mirror.Key{Kind: mirror.KindProduct, ID: id}
	at := b.client.Clock().Now()
	b.update(func(tx *store.Tx) error {
		records, err := tx.LoadRecords(b.row.ID, []mirror.Key{key})
		if err != nil {
			return err
		}
		known, err := mirror.Decode(key.Kind, records[key].State.Content)
		if err != nil {
			return err
		}
		o, err := mirror.Present(id, known, mirror.FromWebhook, at, at)
		if err != nil {
			return err
		}
		_, err = apply.Apply(tx, apply.Batch{Shop: b.row.ID, Observations: []mirror.Observation{o}}, mirror.At(time.Now()))
		return err
	})
}

// TestARunThatShowsWhatReadersDoNotSeeIsNotOK: its list shows a product that the
// copy took for deleted, and the read by id that decides does not answer.
func TestARunThatShowsWhatReadersDoNotSeeIsNotOK(t *testing.T) {
	for name, trouble := range map[string]func(b *bench, id mirror.GID){
		"null, like every other": func(b *bench, _ mirror.GID) {
			faults := b.sim.Faults()
			faults.Null = []string{"Product"}
			b.sim.SetFaults(faults)
		},
		"denied": func(b *bench, _ mirror.GID) {
			b.client = b.newClient(refuses("ReadProducts", `{"errors":[{"message":"Access denied","extensions":{"code":"ACCESS_DENIED"}}]}`, 100, func() {}))
		},
		"failed, and told of meanwhile": func(b *bench, id mirror.GID) {
			b.client = b.newClient(refuses("ReadProducts", `{"errors":[{"message":"odd","extensions":{"code":"ODD"}}]}`, 100, func() { b.tellAgain(id) }))
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, simulator.Catalogue{Products: 12})
			b.mustRun("import")
			b.pass(time.Hour)
			id := mirror.NewGID("Product", b.shop.Products.IDs()[0])
			b.forget(mirror.Key{Kind: mirror.KindProduct, ID: id})
			b.config.Patience = 3 * time.Second
			b.poller = reconcile.NewPoller(b.config, b.hydrator)
			trouble(b, id)
			run, report := b.run("poll", false)
			if run.State == store.RunOK {
				t.Errorf("the poll ended ok, and the copy lacks what its own pages showed:\n%s\n%s", b.compare(), report.Text())
			}
			b.client = b.newClient(http.DefaultClient)
			b.sim.SetFaults(simulator.Faults{})
			b.config.Patience = time.Minute
			b.poller = reconcile.NewPoller(b.config, b.hydrator)
			b.mustRun("poll")
			b.mustBeExact("when Shopify answers again")
		})
	}
}

// TestARecordThatWasAheadAndIsNotFoundIsNotDeletedOnOneNull, by a poll: it is
// owed a read whose null has to be proven like any other.
func TestARecordThatWasAheadAndIsNotFoundIsNotDeletedOnOneNull(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 12})
	b.mustRun("import")
	b.believe(time.Now(), time.Now().Add(2*time.Second)) // A webhook overtook the page.
	id := mirror.NewGID("Product", b.shop.Products.IDs()[0])
	b.sim.SetFaults(simulator.Faults{Null: []string{"Product"}})
	b.config.Patience = 3 * time.Second
	b.poller = reconcile.NewPoller(b.config, b.hydrator)
	run, _ := b.run("poll", false)
	if !b.visible(mirror.KindProduct, id) {
		t.Errorf("a product that lives was deleted; evidence %+v", b.evidence(mirror.KindProduct, id))
	}
	if run.State == store.RunOK {
		t.Error("the poll ended ok")
	}
}
