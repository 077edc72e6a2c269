package simtest

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"stockroom/internal/query"
	"stockroom/internal/simulator"
	"stockroom/internal/store"
)

// watched is a shop with what its watchers have seen.
type watched struct {
	shop *simulator.Shop
	id   int64 // In the service's database.

	away  bool      // The app is not installed.
	since time.Time // When it was removed.
	back  time.Time // When its merchant wants to return; zero for never.

	truth map[string]record // At the last look.
	copy  map[string]record // Likewise, as a reader saw it.
	// known is what readers ever saw of a record.
	known map[string]*sight

	run    int64             // The run under way, or the last.
	before map[string]record // The truth when it began.
	began  time.Time

	ledger ledger
}

// record is one line of an export.
type record struct {
	kind, id string
	updated  time.Time // Zero where it has none.
	line     string
}

// sight is what readers saw of one record.
type sight struct {
	first   time.Time // When it was seen first.
	updated time.Time // The greatest.
	gone    bool      // It was shown once, and then it was not, after the shop had deleted it.
	missing time.Time // Since when it is not shown though it lives; zero while it is.
}

func newWatched(shop *simulator.Shop) *watched {
	return &watched{shop: shop, known: map[string]*sight{}, truth: map[string]record{}, copy: map[string]record{},
		ledger: ledger{rows: map[rowKey]*row{}, doubt: map[rowKey]bool{}}}
}

// records takes an export apart.
func records(export []byte) (map[string]record, error) {
	all := map[string]record{}
	for line := range strings.Lines(string(export)) {
		var head struct {
			Type      string    `json:"type"`
			ID        string    `json:"id"`
			UpdatedAt time.Time `json:"updatedAt"`
		}
		if err := json.Unmarshal([]byte(line), &head); err != nil {
			return nil, fmt.Errorf("line %q: %w", line, err)
		}
		all[head.ID] = record{head.Type, head.ID, head.UpdatedAt, canonical(line)}
	}
	return all, nil
}

// canonical spells a line in one way, so that equal records are equal texts.
func canonical(line string) string {
	var fields map[string]any
	d := json.NewDecoder(strings.NewReader(line))
	d.UseNumber()
	if err := d.Decode(&fields); err != nil {
		return line
	}
	out, err := json.Marshal(fields) // Keys sorted.
	if err != nil {
		return line
	}
	return string(out)
}

// truthOf is the shop as it truly is, as far as the app may know.
func (w *world) truthOf(s *watched) []byte {
	var out bytes.Buffer
	if err := s.shop.Export(&out); err != nil {
		panic(err)
	}
	if w.plan.protected {
		return out.Bytes()
	}
	var kept bytes.Buffer
	for line := range bytes.Lines(out.Bytes()) {
		if !bytes.HasPrefix(line, []byte(`{"type":"Order"`)) {
			kept.Write(line)
		}
	}
	return kept.Bytes()
}

// copyOf is the shop as readers see it; nil while it is not known.
func (w *world) copyOf(l *life, s *watched) []byte {
	var out bytes.Buffer
	err := l.app.Query.Export(context.Background(), &out, s.shop.Domain)
	var unknown *query.Error
	if errors.As(err, &unknown) && unknown.Code == query.NotFound {
		return nil
	}
	if err != nil && !l.isDead() {
		w.violate("reader", "export %s: %v", s.shop.Domain, err)
	}
	return out.Bytes()
}

// returns are the kinds whose records come back under their id.
var returns = map[string]bool{"InventoryLevel": true}

// sets are the kinds that a set or a parent can hide for the moments in which
// two versions of one second are told apart.
var sets = map[string]bool{"ProductVariant": true, "InventoryItem": true, "InventoryLevel": true, "Metafield": true}

// hiddenFor bounds how long such a record may be hidden though it lives.
const hiddenFor = 10 * time.Minute

// look is a reader's look at every shop, held against the looks before: P3,
// nothing resurrected, and nothing deleted that lives (P4).
func (w *world) look() {
	l := w.life
	if l == nil {
		return
	}
	w.count("looks", 1)
	for _, s := range w.shops {
		copied := w.copyOf(l, s)
		if copied == nil || l.isDead() || s.away {
			continue
		}
		truth, err := records(w.truthOf(s))
		if err != nil {
			panic(err)
		}
		seen, err := records(copied)
		if err != nil {
			w.violate("reader", "export of %s: %v", s.shop.Domain, err)
			return
		}
		w.compareLooks(s, truth, seen)
		w.checkLockedOut(l, s)
		s.truth, s.copy = truth, seen
	}
}

// checkLockedOut: no shop is given up while Shopify would take a refresh token
// that was given out.
func (w *world) checkLockedOut(l *life, s *watched) {
	var shop store.Shop
	err := l.app.Store.View(context.Background(), func(tx *store.Tx) (err error) {
		shop, err = tx.ShopByDomain(s.shop.Domain)
		return err
	})
	if err == nil && shop.State == store.ShopReconnect && shop.Trouble != "" && s.shop.Installation(clientID).LivingRefreshes() > 0 {
		w.violate("tokens", "%s is locked out while a refresh token lives: %s", s.shop.Domain, shop.Trouble)
	}
}

func (w *world) compareLooks(s *watched, truth, seen map[string]record) {
	now := time.Now()
	for id, r := range seen {
		k := s.known[id]
		if k == nil {
			k = &sight{first: now}
			s.known[id] = k
		}
		if r.updated.Before(k.updated) {
			w.violate("P3", "%s went back in time: a reader saw updatedAt %v, and now %v", id, k.updated, r.updated)
		}
		k.updated = r.updated
		_, lives := truth[id]
		if k.gone && !lives && !returns[r.kind] {
			w.violate("P3", "%s was resurrected: it was deleted, readers saw it gone, and it is back", id)
		}
		k.gone, k.missing = false, time.Time{}
	}
	for id, k := range s.known {
		if _, shown := seen[id]; shown {
			continue
		}
		r, lives := truth[id]
		if !lives {
			k.gone, k.missing = true, time.Time{}
			continue
		}
		_, lived := s.truth[id]
		switch {
		case !lived: // It came back meanwhile, as levels do.
			k.missing = time.Time{}
		case k.missing.IsZero():
			k.missing = now
			if !sets[r.kind] {
				w.violate("P4", "%s is not shown any more though it lives", id)
			}
		case now.Sub(k.missing) > hiddenFor && !returns[r.kind]:
			w.violate("P4", "%s has not been shown for %v though it lives", id, now.Sub(k.missing))
		}
	}
}

// runBegins and runEnded watch the full reads: P5.
func (w *world) runBegins(run store.Run) {
	s := w.shopOf(run)
	if s == nil {
		return
	}
	truth, err := records(w.truthOf(s))
	if err != nil {
		panic(err)
	}
	w.trace.note("run %d %s begins", run.ID, run.Kind)
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.run == run.ID {
		return // It goes on where a dead process left it.
	}
	s.run, s.before, s.began = run.ID, truth, time.Now()
	w.failed[s.shop.Domain], w.paged[s.shop.Domain], w.gatherings[s.shop.Domain] = map[string]bool{}, map[string]bool{}, nil
}

func (w *world) runEnded(l *life, run store.Run, err error) {
	s := w.shopOf(run)
	if s == nil || err != nil || l.isDead() || s.away {
		return
	}
	err = l.app.Store.View(context.Background(), func(tx *store.Tx) (err error) {
		run, err = tx.RunByID(run.ID)
		return err
	})
	if err != nil {
		return
	}
	w.trace.note("run %d %s ended %s", run.ID, run.Kind, run.State)
	w.count("runs "+string(run.State), 1)
	w.checkDrift(l, s, run)
	if run.State != store.RunOK {
		return
	}
	w.mu.Lock()
	before := s.before
	failed := w.failed[s.shop.Domain]
	var lists []string
	for call := range failed {
		lists = append(lists, call)
	}
	lists = append(lists, w.missingFiles(s.shop.Domain)...)
	w.mu.Unlock()
	if len(lists) > 0 {
		slices.Sort(lists)
		w.violate("P5", "the %s of %s ended ok, and Shopify never answered with %v", run.Kind, s.shop.Domain, lists)
	}
	// What was there when the run began, and is unchanged, is as it is in the copy.
	truth, err := records(w.truthOf(s))
	if err != nil {
		panic(err)
	}
	copied := w.copyOf(l, s)
	if l.isDead() || copied == nil {
		return
	}
	seen, err := records(copied)
	if err != nil {
		w.violate("reader", "export of %s: %v", s.shop.Domain, err)
		return
	}
	for id, r := range truth {
		if old, was := before[id]; !was || old.line != r.line {
			continue
		}
		if got := seen[id].line; got != r.line && !w.lagging(r) {
			w.violate("P5", "the %s of %s ended ok, and %s is not as it was all the while:\n  shop %s\n  copy %s", run.Kind, s.shop.Domain, id, r.line, got)
			return
		}
	}
	for id, r := range seen {
		_, lives := truth[id]
		_, lived := before[id]
		k := s.known[id]
		if lives || lived || k == nil || !k.first.Before(s.began) || returns[r.kind] {
			continue // It lived meanwhile, or may have.
		}
		w.violate("P5", "the %s of %s ended ok, and the copy shows %s, which had been deleted before", run.Kind, s.shop.Domain, id)
		return
	}
}

// checkDrift reads a run's drift report from the database file: a difference
// whose cause is the service's own is a bug.
func (w *world) checkDrift(l *life, s *watched, run store.Run) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(l.dir, "stockroom.db")+"?mode=ro")
	if err != nil {
		panic(err)
	}
	defer db.Close()
	rows, err := db.Query(`SELECT cause, type, id, class, fields, note FROM drift WHERE run_id = ?`, run.ID)
	if err != nil {
		w.violate("reader", "read the drift of run %d: %v", run.ID, err)
		return
	}
	defer rows.Close()
	for rows.Next() {
		var cause, kind, id, class, fields, note string
		if err := rows.Scan(&cause, &kind, &id, &class, &fields, &note); err != nil {
			panic(err)
		}
		w.count("drift "+cmp.Or(cause, "not judged"), 1)
		if cause == "ours" {
			w.violate("drift", "the %s of %s that ended %s found %s %s, and the cause is the service's own: %s; %s", run.Kind, s.shop.Domain, run.State, class, id, note, fields)
		}
	}
	if err := rows.Err(); err != nil {
		w.violate("reader", "read the drift of run %d: %v", run.ID, err)
	}
}

// lagging tells of records that Shopify itself may show late at present.
func (w *world) lagging(r record) bool {
	f := w.sim.Faults()
	return r.kind == "Product" && f.TotalsLag > 0
}

func (w *world) shopOf(run store.Run) *watched {
	w.mu.Lock()
	l := w.life
	w.mu.Unlock()
	if l == nil {
		return nil
	}
	return w.shopByID(l, run.ShopID)
}

// noteList remembers which of a run's calls for a list were not answered cleanly.
func (w *world) noteList(host, operation, root, call string, status int, body []byte) {
	if !strings.HasPrefix(operation, "List") || operation == "ListSubscriptions" {
		return
	}
	if operation == "ListOrders" && !w.plan.protected {
		return // Shopify never shares them with this app.
	}
	clean := status == 200 && !bytes.Contains(body, []byte(`"errors"`))
	w.mu.Lock()
	defer w.mu.Unlock()
	failed := w.failed[host]
	if failed == nil {
		return
	}
	if clean {
		delete(failed, call)
		w.paged[host][root] = true
	} else {
		failed[call] = true
	}
}

// checkBudget is P7, by Shopify's own accounting: it tells what is left, and
// refuses what the bucket cannot pay.
func (w *world) checkBudget(host, operation string, status int, body []byte) {
	w.mu.Lock()
	w.counts["calls"]++
	excused := !time.Now().After(w.drained)
	w.mu.Unlock()
	if bytes.Contains(body, []byte(`"currentlyAvailable":-`)) {
		w.violate("P7", "%s left the budget of %s below zero", operation, host)
	}
	if status != http.StatusOK || !bytes.Contains(body, []byte(`"THROTTLED"`)) {
		return
	}
	if excused {
		w.count("throttled by a fault", 1)
		return
	}
	w.violate("P7", "Shopify refused %s of %s: the budget was spent", operation, host)
}

// checkKept is P1: every webhook that was answered 2xx lies in the files that
// the dead process left.
func (w *world) checkKept() {
	w.mu.Lock()
	dir := w.left
	w.mu.Unlock()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "stockroom.db"))
	if err != nil {
		panic(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	rows, err := db.Query(`SELECT webhook_id FROM inbox UNION SELECT webhook_id FROM receipts UNION SELECT webhook_id FROM erasure_receipts`)
	if err != nil {
		w.violate("P1", "read what the dead process left: %v", err)
		return
	}
	defer rows.Close()
	kept := map[string]bool{}
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			panic(err)
		}
		kept[id] = true
	}
	erased := erasedAt(db)
	n := 0
	for _, d := range w.sim.Deliveries() {
		for _, a := range d.Attempts {
			if a.Status < 200 || a.Status >= 300 || a.Forged || time.Since(a.At) > 6*day { // Later they are cleared away.
				continue
			}
			if a.At.Before(erased[d.Shop]) {
				continue
			}
			n++
			if id := cmp.Or(a.WebhookID, d.WebhookID); !kept[id] {
				w.violate("P1", "%s of %s was answered 2xx at %v and is not on the disk", d.Topic, d.Subject, a.At)
				return
			}
		}
	}
	w.count("kept webhooks checked", n)
}

// checkForged is P6: whatever was signed wrongly was refused.
func (w *world) checkForged() {
	for _, d := range w.sim.Deliveries() {
		for _, a := range d.Attempts {
			if a.Forged && a.Status >= 200 && a.Status < 300 {
				w.violate("P6", "a forged %s was answered %d", d.Topic, a.Status)
				return
			}
		}
	}
}

// rest lets all trouble end, and wants the copy exact: P2 and convergence.
func (w *world) rest() {
	w.look()
	w.checkForged()
	if err := w.sim.SetTraffic(0); err != nil {
		panic(err)
	}
	w.setFaults(simulator.Faults{})
	w.freeDisk()
	for _, s := range w.shops {
		s.shop.SetClosed(0)
	}
	if l := w.life; l != nil {
		l.mu.Lock()
		l.killIn = 0
		l.mu.Unlock()
	}
	for w.life == nil || w.life.isDead() {
		w.bringBack()
		if w.life == nil {
			pass(max(0, time.Until(w.downUntil)))
		}
	}
	w.returnOrStay()
	pass(2*time.Minute + time.Second)
	for _, s := range w.shops {
		if !s.away {
			w.mustBecomeExact(s, "once the trouble was over")
		}
	}
	if w.violated() {
		return
	}
	// What is still on its way comes in, up to half a day late, and changes nothing.
	pass(17 * time.Hour)
	w.look()
	for _, s := range w.shops {
		if !s.away {
			w.mustBeExact(s, "after the last late webhook")
		}
	}
	w.checkStanding()
	w.checkRedacted()
	w.checkForged()
}

// mustBecomeExact polls until a poll that began in the quiet ends ok.
func (w *world) mustBecomeExact(s *watched, when string) {
	l := w.life
	deadline := time.Now().Add(patience)
	for attempt := 1; ; attempt++ {
		run, err := l.app.Jobs.QueueRun(context.Background(), store.Run{ShopID: w.idOf(s), Kind: "poll", Reason: "manual", AcceptDeletions: attempt > 2})
		if err != nil {
			w.violate("convergence", "queue a poll: %v", err)
			return
		}
		began := time.Now()
		for !run.State.Over() {
			if time.Now().After(deadline) || w.violated() {
				w.violate("convergence", "the poll of %s is not over after %v: %s", s.shop.Domain, time.Since(began), run.Progress)
				return
			}
			pass(tick)
			err := l.app.Store.View(context.Background(), func(tx *store.Tx) (err error) {
				run, err = tx.RunByID(run.ID)
				return err
			})
			if err != nil {
				w.violate("convergence", "read the poll: %v", err)
				return
			}
		}
		if run.State == store.RunOK {
			break
		}
		if time.Now().After(deadline) {
			w.violate("convergence", "no poll of %s ends ok %v after the trouble was over, the last: %s %s %s", s.shop.Domain, patience, run.State, run.Error, run.Report)
			return
		}
		pass(10 * time.Minute)
	}
	w.mustBeExact(s, when)
}

func (w *world) idOf(s *watched) int64 {
	if w.shopOf(store.Run{ShopID: -1}); s.id == 0 {
		w.violate("P2", "%s is not in the database", s.shop.Domain)
	}
	return s.id
}

// mustBeExact is P2, by the simulator's own comparison.
func (w *world) mustBeExact(s *watched, when string) {
	copied := w.copyOf(w.life, s)
	report, err := simulator.Compare(bytes.NewReader(w.truthOf(s)), bytes.NewReader(copied))
	if err != nil {
		w.violate("P2", "compare %s: %v", s.shop.Domain, err)
		return
	}
	if !report.Exact() {
		w.violate("P2", "%s is not exact %s:\n%s", s.shop.Domain, when, report)
	}
}
