package simulator_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"stockroom/internal/simulator"
)

// saved is the state as text.
func saved(t *testing.T, s *simulator.Simulator) string {
	t.Helper()
	var b strings.Builder
	if err := s.Save(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// restarted is a world that was loaded from what another saved.
func restarted(t *testing.T, state string, configure func(*simulator.Config)) *world {
	t.Helper()
	return startWorld(t, configure, func(w *world) {
		if err := w.Load(strings.NewReader(state)); err != nil {
			t.Fatal(err)
		}
		w.shop = w.Shop(domain)
	})
}

// TestARestartChangesNothing: a shop of every kind of record, with traffic
// behind it, an app with tokens of each kind, faults and a clock that is ahead.
func TestARestartChangesNothing(t *testing.T) {
	at := newClock()
	configure := func(c *simulator.Config) { c.AutoConsent, c.Now = true, at.Now }
	w := newWorld(t, simulator.Catalogue{Products: 40, BigVariants: 120}, configure)
	if _, err := w.AddShop("second.myshopify.com", simulator.Catalogue{Products: 2, Currency: "JPY"}); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(3, 1))
	for range 300 {
		w.shop.RandomEdit(rng)
	}
	lasting := w.lasting(t)
	w.migrate(t, lasting, nil)
	pair := w.expiring(t)
	w.refresh(t, pair.Refresh)
	w.code(t)
	w.SetFaults(simulator.Faults{Double: 0.5, Lose: map[string]float64{"*": 0.1}, Deny: []string{"Product.vendor"}, Slow: simulator.Duration(time.Millisecond)})
	if err := w.Advance(t.Context(), 3*time.Hour); err != nil {
		t.Fatal(err)
	}
	before, shop := saved(t, w.Simulator), export(t, w.shop)

	next := restarted(t, before, func(c *simulator.Config) { configure(c); c.Seed = 99 })
	if after := saved(t, next.Simulator); after != before {
		t.Errorf("saved again it is another state: %s", firstDifference(before, after))
	}
	if export(t, next.shop) != shop {
		t.Error("the shop is another")
	}
	if !next.Now().Equal(w.Now()) {
		t.Errorf("now %v, was %v", next.Now(), w.Now())
	}
	// What happens next is what would have happened.
	first, second := w.code(t), next.code(t)
	if first != second {
		t.Errorf("the next code is %s, would have been %s", second, first)
	}
	rngs := [2]*world{w, next}
	for i := range rngs {
		rng := rand.New(rand.NewPCG(5, 1))
		for range 100 {
			rngs[i].shop.RandomEdit(rng)
		}
	}
	if export(t, w.shop) != export(t, next.shop) {
		t.Error("the same edits lead elsewhere")
	}
}

func firstDifference(a, b string) string {
	as, bs := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(as), len(bs)) {
		if as[i] != bs[i] {
			return "line " + as[i] + "\nbecame " + bs[i]
		}
	}
	return "one is longer"
}

func TestWebhooksUnderWaySurviveARestart(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 3}, nil)
	access := w.subscribe(nil, "PRODUCTS_UPDATE")
	rename := func(product int64, title string) {
		t.Helper()
		if err := w.shop.UpdateProduct(product, func(p *simulator.Product) { p.Title = title }); err != nil {
			t.Fatal(err)
		}
	}
	product := w.firstProduct().ID
	w.answerFrom(http.StatusServiceUnavailable)
	rename(product, "tried")
	tried := w.heard()
	w.SetFaults(simulator.Faults{Late: 1, OldSecret: 1})
	rename(product, "not tried")
	state := saved(t, w.Simulator)
	w.Stop()

	next := restarted(t, state, nil)
	if got := next.shop.Installation(clientID).Subscriptions(); len(got) != 1 || got[0].ID != access.Installation.Subscriptions()[0].ID {
		t.Errorf("subscriptions %v", got)
	}
	// The address is the other world's receiver.
	w.answerFrom(http.StatusOK)
	if err := next.Advance(t.Context(), 13*time.Hour); err != nil {
		t.Fatal(err)
	}
	heard := w.heard()
	if len(heard) != 2 {
		t.Fatalf("heard %d, log %+v", len(heard), next.Deliveries())
	}
	if !bytes.Equal(heard[0].raw, tried[0].raw) || heard[0].header.Get("X-Shopify-Webhook-Id") != tried[0].header.Get("X-Shopify-Webhook-Id") {
		t.Errorf("the retry brought %s", heard[0].raw)
	}
	if heard[1].body["title"] != "not tried" || heard[1].header.Get("X-Shopify-Hmac-Sha256") != sign(secret+"-old", heard[1].raw) {
		t.Errorf("the first try brought %s, signed %s", heard[1].raw, heard[1].header.Get("X-Shopify-Hmac-Sha256"))
	}
	for _, d := range next.Deliveries() {
		if !d.Done || !d.Accepted() {
			t.Errorf("delivery %+v", d)
		}
	}
}

// TestAShopThatCameBackAfterARestartIsNotRedacted: the webhook waits in the
// state with its body, and what makes it true is looked at when it is due.
func TestAShopThatCameBackAfterARestartIsNotRedacted(t *testing.T) {
	for _, back := range []bool{false, true} {
		configure := func(address string) func(*simulator.Config) {
			return func(c *simulator.Config) {
				c.Apps[0].Webhooks = []simulator.AppWebhook{{Topic: "shop/redact", URI: address}}
			}
		}
		receiver := newWorld(t, simulator.Catalogue{Products: 1}, nil)
		w := newWorld(t, simulator.Catalogue{Products: 1}, configure(receiver.inbox.URL))
		if _, err := w.shop.IssueToken(clientID, allScopes...); err != nil {
			t.Fatal(err)
		}
		if err := w.shop.Uninstall(clientID); err != nil {
			t.Fatal(err)
		}
		state := saved(t, w.Simulator)
		w.Stop()

		next := restarted(t, state, configure(receiver.inbox.URL))
		if back {
			if _, err := next.shop.IssueToken(clientID, allScopes...); err != nil {
				t.Fatal(err)
			}
		}
		if err := next.Advance(t.Context(), 49*time.Hour); err != nil {
			t.Fatal(err)
		}
		if err := next.Quiet(t.Context()); err != nil {
			t.Fatal(err)
		}
		told := len(receiver.heard()) == 1
		log := next.Deliveries()
		if told == back || len(log) != 1 || !log[0].Done || log[0].Skipped != back {
			t.Errorf("came back %v: told %v, log %+v", back, told, log)
		}
	}
}

// TestNothingIsSentWhileItIsSaved: a webhook that was on its way is in the
// state as sent, or as still to be sent, and never between.
func TestNothingIsSentWhileItIsSaved(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 1}, nil)
	w.subscribe(nil, "PRODUCTS_UPDATE")
	arrived, answer := make(chan bool), make(chan bool)
	w.block = sync.OnceFunc(func() { close(arrived); <-answer })
	product := w.firstProduct().ID
	if err := w.shop.UpdateProduct(product, func(p *simulator.Product) { p.Title = "x" }); err != nil {
		t.Fatal(err)
	}
	<-arrived
	state := make(chan string, 1)
	go func() { state <- saved(t, w.Simulator) }()
	close(answer)
	if got := <-state; strings.Contains(got, `"done":false`) || !strings.Contains(got, `"done":true`) {
		t.Errorf("saved: %s", got)
	}
	// It goes on afterwards.
	if err := w.shop.UpdateProduct(product, func(p *simulator.Product) { p.Title = "y" }); err != nil {
		t.Fatal(err)
	}
	if heard := w.heard(); len(heard) != 2 {
		t.Errorf("heard %d", len(heard))
	}
}

func TestBulkFilesSurviveARestart(t *testing.T) {
	configure := func(dir string) func(*simulator.Config) {
		return func(c *simulator.Config) { c.BulkDir = filepath.Join(dir, "bulk") }
	}
	dir := t.TempDir()
	w := newWorld(t, simulator.Catalogue{Products: 4}, configure(dir))
	c := w.client(allScopes...)
	done, lines := c.bulk(`{ products { edges { node { id } } } }`, false)
	if len(lines) != 4 {
		t.Fatalf("%d lines, %+v", len(lines), done)
	}
	w.SetFaults(simulator.Faults{BulkStuck: 1})
	running, err := c.start(`{ products { edges { node { title } } } }`)
	if err != nil {
		t.Fatal(err)
	}
	state := saved(t, w.Simulator)
	w.Stop()

	next := restarted(t, state, configure(dir))
	c.w = next
	response, err := http.Get(next.url + done.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if text, err := io.ReadAll(response.Body); err != nil || response.StatusCode != http.StatusOK || bytes.Count(text, []byte("\n")) != 4 {
		t.Errorf("status %d, %q, %v", response.StatusCode, text, err)
	}
	if b := c.poll(running); b.Status != "CANCELED" || b.CompletedAt == "" {
		t.Errorf("what was running: %+v", b)
	}
	next.SetFaults(simulator.Faults{})
	if _, lines := c.bulk(`{ products { edges { node { id } } } }`, false); len(lines) != 4 {
		t.Errorf("a new operation: %d lines", len(lines))
	}
	if err := next.Reset(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "bulk")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("files after a reset: %v", err)
	}
}

func TestAStateThatCannotBeTakenIsRefused(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 1}, nil)
	w.subscribe(nil, "PRODUCTS_UPDATE")
	state := saved(t, w.Simulator)
	head, rest, _ := strings.Cut(state, "\n")
	for name, c := range map[string]struct{ state, want string }{
		"empty":           {"", "empty"},
		"another file":    {"Handle,Title\n", "line 1"},
		"no beginning":    {rest, "not the state"},
		"cut in a line":   {state[:len(state)-20], "line"},
		"cut at a line":   {strings.Join(strings.SplitAfter(state, "\n")[:4], ""), "cut after line 4"},
		"a line less":     {strings.Replace(state, strings.SplitAfter(state, "\n")[3], "", 1), "lines were written"},
		"another form":    {strings.Replace(state, `"Version":1`, `"Version":2`, 1), "form 2"},
		"two beginnings":  {head + "\n" + state, "line 2"},
		"two of a domain": {head + "\n" + rest[:strings.LastIndex(rest, `{"End"`)] + rest, "has already been taken"},
		"after its end":   {state + rest, "not the state"},
		"unknown kind":    {head + "\n" + `{"Robot":{}}` + "\n", "line 2"},
		"product first":   {head + "\n" + `{"Product":{"ID":1}}` + "\n", "before its shop"},
	} {
		if err := simulator.New(simulator.Config{Apps: []simulator.App{{ClientID: clientID, Secrets: []string{secret}}}}).
			Load(strings.NewReader(c.state)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if err := simulator.New(simulator.Config{}).Load(strings.NewReader(state)); err == nil || !strings.Contains(err.Error(), clientID) {
		t.Errorf("without the app: %v", err)
	}
	if strings.Contains(state, secret) {
		t.Error("the state holds the app's secret")
	}
}

// withoutTimes leaves out of an export what follows the clock, for two shops are made at two times.
func withoutTimes(export string) string {
	return regexp.MustCompile(`"\d{4}-\d\d-\d\dT[^"]*"`).ReplaceAllString(export, `"time"`)
}

// TestEntropyMakesTokensAndIDsNewInEachRun: an app that drops webhooks it has
// seen would drop those of the next run.
func TestEntropyMakesTokensAndIDsNewInEachRun(t *testing.T) {
	configure := func(c *simulator.Config) { c.AutoConsent, c.Entropy = true, rand.Uint64 }
	seen := map[string]bool{}
	use := func(what string, w *world) {
		t.Helper()
		w.subscribe(nil, "PRODUCTS_UPDATE")
		if err := w.shop.UpdateProduct(w.firstProduct().ID, func(p *simulator.Product) { p.Title += "x" }); err != nil {
			t.Fatal(err)
		}
		w.heard()
		deliveries := w.Deliveries()
		for _, id := range []string{w.code(t), deliveries[len(deliveries)-1].WebhookID} {
			if seen[id] {
				t.Errorf("%s: %s comes again", what, id)
			}
			seen[id] = true
		}
	}
	w := newWorld(t, simulator.Catalogue{Products: 1}, configure)
	state, shop := saved(t, w.Simulator), withoutTimes(export(t, w.shop))
	use("first", w)
	if err := w.Reset(); err != nil {
		t.Fatal(err)
	}
	w.shop = w.Shop(domain)
	if withoutTimes(export(t, w.shop)) != shop {
		t.Error("the seed no longer decides the shop")
	}
	use("reset", w)
	use("another run", newWorld(t, simulator.Catalogue{Products: 1}, configure))
	use("loaded", restarted(t, state, configure))
}
