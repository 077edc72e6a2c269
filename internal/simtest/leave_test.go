package simtest

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"stockroom/internal/simulator"
	"stockroom/internal/store"
)

const (
	// comeBackEvery is how often merchants who want to return try it.
	comeBackEvery = 10 * time.Minute
	// erasedWithin is when a shop must be gone after its redaction was answered,
	// once there is no trouble.
	erasedWithin = time.Hour
	// strangersClock is how far apart the clocks may be where a shop logs in that
	// is not connected, so that no answer of its tells the time: what Shopify signs
	// for its browser is good for so long.
	strangersClock = 90 * time.Second
)

// complianceTopics go to the address in the app's own configuration.
var complianceTopics = []simulator.AppWebhook{
	{Topic: "shop/redact", URI: "https://" + serviceHost + "/shopify/webhook"},
	{Topic: "customers/redact", URI: "https://" + serviceHost + "/shopify/webhook"},
	{Topic: "customers/data_request", URI: "https://" + serviceHost + "/shopify/webhook"},
}

// mark is a word that lies in one installation's records alone.
type mark struct {
	word    string
	product int64
	s       *watched
	id      int64 // The row of the installation that it lies in.
}

// leave removes the app from a shop, some time after a marked product was put
// there, so that it can be told what is left of the installation.
func (w *world) leave() {
	s := w.shops[w.leaving.IntN(len(w.shops))]
	if s.away || w.life == nil || w.violated() {
		return
	}
	word := fmt.Sprintf("zqxmark%dx%d", w.plan.seed, len(w.marks))
	product, err := s.shop.CreateProduct(simulator.ProductSpec{Title: "Marked " + word, Vendor: word, Status: "ACTIVE"})
	if err != nil {
		panic(err)
	}
	id := w.rowOf(s)
	w.marks = append(w.marks, mark{word, product.ID, s, id})
	pass(between(w.leaving, time.Second, 10*time.Minute))
	if err := s.shop.Uninstall(clientID); err != nil {
		panic(err)
	}
	w.trace.note("leave %s", s.shop.Domain)
	w.count("uninstallations", 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	s.away, s.since, s.back = true, time.Now(), time.Time{}
	switch w.leaving.IntN(4) {
	case 0: // At once: uninstallation and login race.
		s.back = time.Now()
	case 1:
		s.back = time.Now().Add(between(w.leaving, time.Minute, 6*time.Hour))
	case 2: // Shopify has had everything redacted by then.
		s.back = time.Now().Add(between(w.leaving, 47*time.Hour, 60*time.Hour))
	}
}

// isAway tells whether a shop has removed the app.
func (w *world) isAway(s *watched) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return s.away
}

// comeBack lets merchants try who want to return.
func (w *world) comeBack() {
	for _, s := range w.shops {
		if s.away && !s.back.IsZero() && !s.back.After(time.Now()) {
			_ = w.tryReturn(s) // The service may be down, or Shopify in trouble: they try again.
		}
	}
}

// tryReturn installs the app again. What was marked of the earlier installation
// is taken out of the shop first.
func (w *world) tryReturn(s *watched) error {
	if w.life == nil {
		return errors.New("the service is down")
	}
	for _, m := range w.marks {
		if m.s == s {
			_ = s.shop.DeleteProduct(m.product) // It may have been deleted by an edit, or before.
		}
	}
	// From here on the app is installed, whatever becomes of the login: Shopify
	// counts from the merchant's consent on.
	if err := w.login(s); err != nil {
		return err
	}
	w.trace.note("return %s", s.shop.Domain)
	w.count("reinstallations", 1)
	row := w.rowOf(s)
	s.ledger.mu.Lock()
	clear(s.ledger.doubt)
	for _, r := range s.ledger.rows { // Its import tells what is so now.
		r.hidden, r.back = time.Time{}, time.Time{}
	}
	if row != s.id {
		clear(s.ledger.rows)
	}
	s.ledger.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	if row != s.id { // It was erased meanwhile, and is a stranger.
		s.known, s.truth, s.copy = map[string]*sight{}, map[string]record{}, map[string]record{}
		s.run, s.before = 0, nil
		w.counts["reinstallations after a redaction"]++
	}
	s.id, s.away = row, false
	return nil
}

// rowOf is the number of a shop's row; zero where there is none.
func (w *world) rowOf(s *watched) int64 { return w.heldOf(s).ID }

// stateOf is a shop's state; empty where there is none.
func (w *world) stateOf(s *watched) store.ShopState { return w.heldOf(s).State }

// heldOf is what the service holds of a shop; nothing where it does not know it.
func (w *world) heldOf(s *watched) (shop store.Shop) {
	err := w.life.app.Store.View(context.Background(), func(tx *store.Tx) (err error) {
		shop, err = tx.ShopByDomain(s.shop.Domain)
		return err
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) && !w.life.isDead() {
		w.violate("reader", "find %s: %v", s.shop.Domain, err)
	}
	return shop
}

// returnOrStay brings back those who want to, now that there is no trouble, and
// waits for the redaction of the others.
func (w *world) returnOrStay() {
	for _, s := range w.shops {
		if !s.away {
			continue
		}
		if !s.back.IsZero() {
			switch err := w.tryReturn(s); {
			case err == nil:
			case w.stateOf(s) != store.ShopConnected && time.Until(w.sim.Now()).Abs() > strangersClock && strings.Contains(err.Error(), "the clock of this service is wrong"):
				w.count("logins refused for the clock", 1)
			default:
				w.violate("return", "%s cannot connect again: %v", s.shop.Domain, err)
			}
			continue
		}
		pass(max(0, time.Until(s.since.Add(48*time.Hour+5*time.Hour))))
	}
}

// checkStanding is that no shop is locked out: where Shopify has the app
// installed, the service is connected. Checked when there is no trouble.
func (w *world) checkStanding() {
	for _, s := range w.shops {
		state := w.stateOf(s)
		if !s.away && state != store.ShopConnected {
			w.violate("standing", "%s has the app installed, and is %q here: it is locked out", s.shop.Domain, state)
		}
		if s.away && state == store.ShopConnected && w.heardOf(s, "app/uninstalled", s.since) {
			w.violate("standing", "%s has removed the app, its webhook was answered, and it counts as connected", s.shop.Domain)
		}
	}
}

// heardOf reports whether a webhook of a shop was answered 2xx since a moment.
func (w *world) heardOf(s *watched, topic string, since time.Time) bool {
	for _, d := range w.sim.Deliveries() {
		if at, ok := acceptedAt(d); ok && d.Shop == s.shop.Domain && d.Topic == topic && !at.Before(since) {
			return true
		}
	}
	return false
}

// checkRedacted is that nothing of a redacted shop remains: no row, and of what
// was marked no byte in the files.
func (w *world) checkRedacted() {
	l := w.life
	for _, s := range w.shops {
		if s.away && w.heardOf(s, "shop/redact", s.since) {
			for deadline := time.Now().Add(erasedWithin); w.rowOf(s) != 0; pass(tick) {
				if time.Now().After(deadline) {
					w.violate("redaction", "%s is not erased %v after its redaction was answered", s.shop.Domain, erasedWithin)
					return
				}
			}
		}
	}
	for deadline := time.Now().Add(erasedWithin); ; pass(tick) {
		var open []store.ErasureReceipt
		err := l.app.Store.View(context.Background(), func(tx *store.Tx) (err error) {
			open, err = tx.OpenErasures()
			return err
		})
		if err != nil {
			w.violate("redaction", "list erasures: %v", err)
			return
		}
		if len(open) == 0 {
			break
		}
		if time.Now().After(deadline) {
			w.violate("redaction", "an erasure is open after %v: %+v", erasedWithin, open[0])
			return
		}
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(l.dir, "stockroom.db"))
	if err != nil {
		panic(err)
	}
	defer db.Close()
	for _, table := range tablesOf(db, "shop_id") {
		var orphans int
		if err := db.QueryRow(`SELECT COUNT(*) FROM ` + table + ` WHERE shop_id NOT IN (SELECT id FROM shops WHERE state <> 'erasing')`).Scan(&orphans); err != nil {
			panic(err)
		}
		if orphans > 0 {
			w.violate("redaction", "%d rows of no shop are left in %s", orphans, table)
		}
	}
	living := map[int64]bool{}
	for _, s := range w.shops {
		living[w.rowOf(s)] = true
	}
	for _, m := range w.marks {
		if living[m.id] {
			continue // It left and was not redacted.
		}
		if bytes.Contains(bytes.ToLower(w.truthOf(m.s)), []byte(m.word)) {
			continue // An order remembers what was bought, and the shop came back with it.
		}
		w.count("redactions checked", 1)
		for _, end := range []string{"", "-wal"} {
			content, err := os.ReadFile(filepath.Join(l.dir, "stockroom.db"+end))
			if err != nil {
				panic(err)
			}
			if n := bytes.Count(bytes.ToLower(content), []byte(m.word)); n > 0 {
				w.violate("redaction", "%q of %s is found %d times in stockroom.db%s", m.word, m.s.shop.Domain, n, end)
			}
		}
	}
}

// tablesOf lists the tables that have a column.
func tablesOf(db *sql.DB, column string) (tables []string) {
	rows, err := db.Query(`SELECT m.name FROM sqlite_master m JOIN pragma_table_info(m.name) c ON c.name = ? WHERE m.type = 'table' ORDER BY m.name`, column)
	if err != nil {
		panic(err)
	}
	defer rows.Close()
	for rows.Next() {
		var table string
		if err := rows.Scan(&table); err != nil {
			panic(err)
		}
		tables = append(tables, table)
	}
	return tables
}

// erasedAt tells until when what shops sent has been erased since, by domain.
func erasedAt(db *sql.DB) map[string]time.Time {
	erased := map[string]time.Time{}
	rows, err := db.Query(`SELECT shop, asked_at FROM erasure_receipts WHERE topic = 'shop/redact' AND state <> 'asked'`)
	if err != nil {
		panic(err)
	}
	defer rows.Close()
	for rows.Next() {
		var shop string
		var at int64
		if err := rows.Scan(&shop, &at); err != nil {
			panic(err)
		}
		// It takes a moment until the shop is out of sight.
		if until := time.UnixMilli(at).Add(10 * time.Minute); until.After(erased[strings.ToLower(shop)]) {
			erased[strings.ToLower(shop)] = until
		}
	}
	return erased
}

// acceptedAt tells when a delivery was answered 2xx.
func acceptedAt(d simulator.Delivery) (time.Time, bool) {
	for _, a := range d.Attempts {
		if a.Status >= 200 && a.Status < 300 && !a.Forged {
			return a.At, true
		}
	}
	return time.Time{}, false
}
