package e2e

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"stockroom/internal/apply"
	"stockroom/internal/query"
	"stockroom/internal/simulator"
	"stockroom/internal/store"
)

// TestDriftWhyAndReplay: beside a running service, and where none lives.
func TestDriftWhyAndReplay(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 8})
	service := w.serve("SWEEP_INTERVAL=0")
	w.connect()
	if stdout, stderr, code := w.run("drift", "--shop", domain); code != 1 || !strings.Contains(stderr, "no poll of") {
		t.Errorf("drift before any poll exited %d: %s%s", code, stdout, stderr)
	}

	product, _ := w.shop.Products.Get(w.shop.Products.IDs()[0])
	rename := func(title string) {
		if err := w.shop.UpdateProduct(product.ID, func(p *simulator.Product) { p.Title = title }); err != nil {
			t.Fatal(err)
		}
		if err := w.sim.Quiet(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	rename("Heard")
	w.until("the webhook is applied and read back", func() bool {
		quiet := false
		w.view(func(tx *store.Tx, shop store.Shop) error {
			oldest, err := tx.OldestNew(shop.ID)
			if err != nil {
				return err
			}
			owed, _, err := tx.CountDemands(shop.ID, 1<<60)
			quiet = oldest == 0 && owed == 0
			return err
		})
		return quiet
	})
	w.sim.SetFaults(simulator.Faults{Lose: map[string]float64{"*": 1}})
	rename("Unheard")

	// One live read shows what the copy does not know.
	life := w.why(product.GID())
	if life.Now == nil || life.Now.Error != "" || life.Now.Agrees || len(life.Now.Differs) == 0 {
		t.Errorf("why, of a product whose webhook was lost: %+v", life.Now)
	}
	for _, record := range life.Records {
		for _, field := range record.Fields {
			if record.Record == "Product" && field.Field == "title" && (string(field.Value) != `"Heard"` || field.SetBy == nil || field.SetBy.Topic != "products/update") {
				t.Errorf("the title: %s, set by %+v", field.Value, field.SetBy)
			}
		}
	}
	// It is not judged in the second in which a poll begins.
	if err := w.sim.Advance(t.Context(), 3e9); err != nil {
		t.Fatal(err)
	}
	if stdout, stderr, code := w.run("poll", "--shop", domain); code != 0 || !strings.Contains(stdout, "never delivered") {
		t.Fatalf("poll exited %d: %s%s", code, stdout, stderr)
	}
	stdout, stderr, code := w.run("drift", "--shop", domain)
	for _, want := range []string{product.GID(), "title: \"Heard\" -> \"Unheard\"", "never delivered", "products/update: run "} {
		if code != 0 || !strings.Contains(stdout, want) {
			t.Errorf("drift exited %d without %q: %s%s", code, want, stdout, stderr)
		}
	}
	var drift []struct {
		Run  query.RunStatus  `json:"run"`
		Rows []query.DriftRow `json:"rows"`
	}
	stdout, stderr, code = w.run("drift", "--json")
	if err := json.Unmarshal([]byte(stdout), &drift); err != nil || code != 0 || len(drift) != 1 || len(drift[0].Rows) == 0 || drift[0].Rows[0].ChangedAt.IsZero() {
		t.Errorf("drift --json exited %d: %v %s%s", code, err, stdout, stderr)
	}
	if stdout, _, code := w.run("drift", "--shop", domain, "--run", strconv.FormatInt(drift[0].Run.ID, 10)); code != 0 || !strings.Contains(stdout, "never delivered") {
		t.Errorf("drift --run exited %d: %s", code, stdout)
	}
	if _, stderr, code := w.run("drift", "--shop", domain, "--run", "9999"); code != 1 || !strings.Contains(stderr, "no run 9999") {
		t.Errorf("drift of a run that is not there exited %d: %s", code, stderr)
	}
	if life := w.why(product.GID()); !life.Now.Agrees {
		t.Errorf("why, after the poll: %+v", life.Now)
	}
	if _, stderr, code := w.run("why", "--shop", domain, "NO-SUCH-SKU"); code != 1 || !strings.Contains(stderr, "NO-SUCH-SKU") {
		t.Errorf("why of an unknown SKU exited %d: %s", code, stderr)
	}
	if sku := product.Variants[0].SKU; sku != "" && w.why(sku).ID == "" {
		t.Errorf("why found nothing by the SKU %s", sku)
	}

	// Beside the service it is the service that replays; alone, the command.
	for _, beside := range []bool{true, false} {
		if !beside {
			service.stop()
		}
		stdout, stderr, code := w.run("replay", "--shop", domain, "--topic", "products/update", "--since", "1h", "--json")
		var done apply.ReplayReport
		if err := json.Unmarshal([]byte(stdout), &done); err != nil || code != 0 || done.Fed == 0 || done.Changed != 0 {
			t.Errorf("replay, beside a service %v, exited %d: %+v %v %s", beside, code, done, err, stderr)
		}
	}
	if _, _, code := w.run("replay", "--shop", domain, "--since", "yesterday"); code != 2 {
		t.Errorf("replay with a wrong --since exited %d", code)
	}
	w.mustBeExact()
}

// why runs the command for an object and reads its JSON.
func (w *world) why(what string) query.Life {
	w.t.Helper()
	stdout, stderr, code := w.run("why", "--shop", domain, what, "--json")
	var life query.Life
	if err := json.Unmarshal([]byte(stdout), &life); err != nil || code != 0 {
		w.t.Fatalf("why %s exited %d: %v %s%s", what, code, err, stdout, stderr)
	}
	if text, _, code := w.run("why", "--shop", domain, what); code != 0 || !strings.Contains(text, "History") {
		w.t.Errorf("why %s exited %d: %s", what, code, text)
	}
	return life
}
