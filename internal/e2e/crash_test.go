package e2e

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stockroom/internal/simulator"
	"stockroom/internal/store"
)

// kills is how often the crash tests kill the service.
const kills = 12

// TestKilledBetweenAnswerAndMergeLosesNothing is P1. A process that only
// receives is killed the moment its answers are out, again and again: whatever
// was answered 200 is merged by the process that comes after.
func TestKilledBetweenAnswerAndMergeLosesNothing(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 15})
	first := w.serve()
	w.connect()
	first.kill()

	rng := rand.New(rand.NewPCG(1, 1))
	for range kills {
		receiver := w.serve("ROLES=web")
		for range 5 {
			w.shop.RandomEdit(rng)
		}
		if err := w.sim.Quiet(t.Context()); err != nil {
			t.Fatal(err)
		}
		receiver.kill()
	}
	answered := w.answered()
	if len(answered) < 3*kills {
		t.Fatalf("only %d webhooks were answered 200: the test proves little", len(answered))
	}
	if n := w.count(answered, store.DeliveryNew); n == 0 {
		t.Fatal("no webhook was answered and not merged: the kills came too late to prove anything")
	}
	w.serve()
	w.waitSettled()
	if n := w.count(answered, store.DeliveryDone); n != len(answered) {
		t.Errorf("%d of %d webhooks that were answered 200 are merged", n, len(answered))
	}
}

// TestKilledAtAnyMomentLosesNothing: with everything running, a kill falls into
// commits, merges and reads by id alike. A poll then finds nothing to complain of.
func TestKilledAtAnyMomentLosesNothing(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 15})
	first := w.serve()
	w.connect()
	first.kill()

	rng := rand.New(rand.NewPCG(2, 2))
	for range kills {
		service := w.serve()
		for range 5 {
			w.shop.RandomEdit(rng)
		}
		// A random moment while webhooks come in, are merged and read back.
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rng.IntN(150))*time.Millisecond)
		_ = w.sim.Quiet(ctx) // Whether they all came in that time does not matter.
		cancel()
		service.kill()
	}
	w.serve()
	w.waitSettled()
	answered := w.answered()
	if n := w.count(answered, store.DeliveryDone); n != len(answered) || n == 0 {
		t.Errorf("%d of %d webhooks that were answered 200 are merged", n, len(answered))
	}
	if stdout, stderr, code := w.run("poll", "--shop", domain); code != 0 {
		t.Errorf("poll exited %d:\n%s%s", code, stdout, stderr)
	}
	w.mustBeExact()
}

// TestKilledDuringAPollGoesOnWithIt: the run that a killed process left open is
// carried on by the next one, and ends ok.
func TestKilledDuringAPollGoesOnWithIt(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 150})
	service := w.serve()
	w.connect()
	w.sim.SetFaults(simulator.Faults{Lose: map[string]float64{"*": 1}, Slow: simulator.Duration(30 * time.Millisecond)})
	rng := rand.New(rand.NewPCG(3, 3))
	for range 40 {
		w.shop.RandomEdit(rng)
	}
	polling := w.command("poll", "--shop", domain)
	if err := polling.Start(); err != nil {
		t.Fatal(err)
	}
	w.until("the poll has read a page", func() bool {
		run := w.runs()[0]
		return run.Kind == "poll" && run.State == store.RunRunning && strings.Contains(string(run.Progress), `"cursor"`)
	})
	service.kill()
	w.serve()
	w.waitRuns(2)
	if err := polling.Wait(); err != nil {
		t.Errorf("the command that followed the poll: %v", err)
	}
	w.mustBeExact()
}

// answered lists the webhooks that the service answered 200.
func (w *world) answered() map[string]bool {
	ids := map[string]bool{}
	for _, d := range w.sim.Deliveries() {
		for _, a := range d.Attempts {
			if a.Status >= 200 && a.Status < 300 && !a.Forged {
				ids[cmp.Or(a.WebhookID, d.WebhookID)] = true
			}
		}
	}
	return ids
}

// count counts those of the webhooks that lie in the inbox in a state.
func (w *world) count(ids map[string]bool, state string) int {
	w.t.Helper()
	n := 0
	w.view(func(tx *store.Tx, _ store.Shop) error {
		rows, err := tx.SQL().QueryContext(w.t.Context(), `SELECT webhook_id FROM inbox WHERE state = $1`, state)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				return err
			}
			if ids[id] {
				n++
			}
		}
		return rows.Err()
	})
	return n
}

// TestSecondServiceOnOneDatabaseIsRefused: and commands go on working beside the first.
func TestSecondServiceOnOneDatabaseIsRefused(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 5})
	service := w.serve()
	w.connect()
	product := fmt.Sprintf("gid://shopify/Product/%d", w.shop.Products.IDs()[0])
	second := w.command("serve")
	second.Env = append(second.Env, "LISTEN_ADDR=127.0.0.1:0")
	out, err := second.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "a stockroom service is using this database") {
		t.Errorf("a second service: %v\n%s", err, out)
	}
	for _, args := range [][]string{{"status"}, {"shops", "list"}, {"keys", "create", "--shop", domain}, {"keys", "list"}, {"search", "--shop", domain}, {"poll"},
		{"sweep"}, {"undelete", "--shop", domain, product}} {
		if stdout, stderr, code := w.run(args...); code != 0 || stdout == "" {
			t.Errorf("stockroom %s beside a service exited %d: %s%s", strings.Join(args, " "), code, stdout, stderr)
		}
	}
	if code := service.stop(); code != 0 {
		t.Errorf("a stopped service exited %d", code)
	}
	// Without a service the command does the work itself.
	if stdout, stderr, code := w.run("poll", "--shop", domain, "--json"); code != 0 || !strings.Contains(stdout, `"state": "ok"`) {
		t.Errorf("poll without a service exited %d: %s%s", code, stdout, stderr)
	}
	if stdout, stderr, code := w.run("sweep", "--scan", "--shop", domain, "--json"); code != 0 || !strings.Contains(stdout, `"name": "levels"`) {
		t.Errorf("sweep without a service exited %d: %s%s", code, stdout, stderr)
	}
	if stdout, stderr, code := w.run("undelete", "--shop", domain, product, "gid://shopify/Product/1"); code != 1 || !strings.Contains(stdout, "was shown already") ||
		!strings.Contains(stdout, "the shop does not show it") {
		t.Errorf("undelete without a service exited %d: %s%s", code, stdout, stderr)
	}
	if _, stderr, code := w.run("undelete", "--shop", domain, "gid://shopify/Nonsense/1"); code != 2 || !strings.Contains(stderr, "gid://shopify/Product/123") {
		t.Errorf("undelete of nonsense exited %d: %s", code, stderr)
	}
	w.mustBeExact()
}

// TestNoSecretReachesTheLog: at debug level, over a whole life.
func TestNoSecretReachesTheLog(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 5})
	service := w.serve()
	w.connect()
	rng := rand.New(rand.NewPCG(4, 4))
	for range 5 {
		w.shop.RandomEdit(rng)
	}
	if err := w.sim.Quiet(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.waitSettled()
	service.stop()
	log := service.log.String()
	secrets := []string{appSecret, "let-me-in", "shpat_", "shprt_"}
	for _, d := range w.sim.Deliveries() {
		// .../shopify/webhook/{key}/{topic}
		parts := strings.Split(d.URI, "/")
		secrets = append(secrets, parts[5])
	}
	key, err := os.ReadFile(filepath.Join(w.dir, "stockroom.db.key"))
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range append(secrets, strings.TrimSpace(string(key))) {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds the secret %.6s...", secret)
		}
	}
	if !strings.Contains(log, "request") {
		t.Error("the log holds no request at all: the test proves nothing")
	}
}

// TestExportOfAnUnknownShop prints nothing, says so, and exits 1.
func TestExportOfAnUnknownShop(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 2})
	w.serve().stop()
	stdout, stderr, code := w.run("export", "--shop", "nobody.myshopify.com")
	if code != 1 || stdout != "" || !strings.Contains(stderr, "nobody.myshopify.com") {
		t.Errorf("export of an unknown shop exited %d, printed %q and %q", code, stdout, stderr)
	}
}

// TestServeWithoutASecretDoesNotStart: signature checks are never skipped.
func TestServeWithoutASecretDoesNotStart(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{})
	for name, setting := range map[string]string{"none": "SHOPIFY_API_SECRET=", "empty": "SHOPIFY_API_SECRET=,"} {
		cmd := w.command("serve")
		cmd.Env = append(cmd.Env, setting)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "SHOPIFY_API_SECRET") || cmd.ProcessState.ExitCode() != 2 {
			t.Errorf("%s: serve ended with %v\n%s", name, err, out)
		}
	}
}
