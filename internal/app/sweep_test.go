package app_test

import (
	"testing"
	"time"

	"stockroom/internal/mirror"
	"stockroom/internal/simulator"
	"stockroom/internal/store"
)

func (h *house) sweeps() []store.Task {
	h.t.Helper()
	var tasks []store.Task
	err := h.app.Store.View(h.t.Context(), func(tx *store.Tx) error {
		shop, err := tx.ShopByDomain(domain)
		if err != nil {
			return err
		}
		tasks, err = tx.Tasks(shop.ID, store.TaskSweep, 100)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return tasks
}

// until waits for something to become true.
func (h *house) until(what string, is func() bool) {
	h.t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !is() {
		select {
		case <-ticker.C:
		case <-deadline.C:
			h.t.Fatalf("after a minute still not: %s", what)
		}
	}
}

// TestSweepsMendBetweenPolls: what a lost webhook would have told is in the
// copy soon, without a poll.
func TestSweepsMendBetweenPolls(t *testing.T) {
	h := newHouse(t, time.Now, "SWEEP_INTERVAL=1s")
	h.up()
	h.connect()
	h.sim.SetFaults(simulator.Faults{LoseIf: func(simulator.Delivery) bool { return true }})
	id := h.shop.Products.IDs()[0]
	if err := h.shop.UpdateProduct(id, func(p *simulator.Product) { p.Title = "Nobody was told" }); err != nil {
		t.Fatal(err)
	}
	h.until("the sweep found the new title", func() bool {
		title := ""
		err := h.app.Store.View(t.Context(), func(tx *store.Tx) error {
			shop, err := tx.ShopByDomain(domain)
			if err != nil {
				return err
			}
			gid := mirror.NewGID("Product", id)
			rows, err := tx.ShownByID(shop.ID, mirror.KindProduct, []mirror.GID{gid})
			if err != nil {
				return err
			}
			content, err := mirror.Decode(mirror.KindProduct, rows[gid].Content)
			if err == nil {
				title = content.(*mirror.Product).Title
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return title == "Nobody was told"
	})
	h.waitRuns(1) // The import alone.
}

// TestASlotHasOneSweep, and a shop's slots are its own.
func TestASlotHasOneSweep(t *testing.T) {
	c := &clock{at: time.Now()}
	h := newHouse(t, c.now, "SWEEP_INTERVAL=10m")
	h.up()
	h.connect()
	h.until("the first sweep ended", func() bool {
		if _, err := h.app.Jobs.ScheduleSweeps(t.Context()); err != nil {
			t.Fatal(err)
		}
		sweeps := h.sweeps()
		return len(sweeps) > 0 && sweeps[0].State.Over()
	})
	if again, err := h.app.Jobs.ScheduleSweeps(t.Context()); err != nil || len(again) != 0 {
		t.Errorf("the same slot was given %d more sweeps, %v", len(again), err)
	}
	c.set(c.now().Add(10 * time.Minute))
	if next, err := h.app.Jobs.ScheduleSweeps(t.Context()); err != nil || len(next) != 1 {
		t.Errorf("the next slot was given %d sweeps, %v", len(next), err)
	}
	h.until("the second sweep ended", func() bool { return h.sweeps()[0].State.Over() })
	for _, sweep := range h.sweeps() {
		if sweep.State != store.RunOK {
			t.Errorf("sweep %d ended %s: %s", sweep.ID, sweep.State, sweep.Report)
		}
	}
	h.cfg.SweepInterval = 0
	h.down()
	h.up()
	c.set(c.now().Add(time.Hour))
	if off, err := h.app.Jobs.ScheduleSweeps(t.Context()); err != nil || len(off) != 0 {
		t.Errorf("with sweeps off %d were made, %v", len(off), err)
	}
}
