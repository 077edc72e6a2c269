package simtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"stockroom/internal/simulator"
	"stockroom/internal/store"
)

// world is a simulated Shopify, the service in one of its lives, and those who
// watch them. One goroutine, the director's, makes everything happen that the
// plan has drawn; it acts at instants that it shares with nobody.
type world struct {
	plan    plan
	rng     *rand.Rand // Of all that is drawn while the run goes on.
	later   *rand.Rand // Of what was thought of later.
	leaving *rand.Rand // Of who leaves and when they return: see leave_test.go.
	marks   []mark
	sim     *simulator.Simulator
	shopify *simulator.Listener
	shops   []*watched
	life    *life // Nil while the service is down.
	lives   int
	dir     string
	dirs    int
	graves  sync.WaitGroup
	trace   *trace
	log     *ring
	began   time.Time

	downUntil time.Time
	fullUntil time.Time
	shutUntil map[*watched]time.Time

	mu         sync.Mutex
	left       string // The files of the last life.
	violations []string
	failed     map[string]map[string]bool       // Calls for lists that were not answered cleanly since a run began, by shop.
	paged      map[string]map[string]bool       // Lists of which a page was read since a run began, by shop.
	gatherings map[string]map[string]*gathering // Bulk operations since a run began, by shop and id.
	drained    time.Time                        // Until when refusals for the budget are the fault's doing.
	counts     map[string]int
}

// patience is how long the end of a run waits for what must come.
const patience = 4 * time.Hour

// stats are what a run counted.
type stats struct {
	Seed       uint64         `json:"seed"`
	Days       int            `json:"days"`
	Trace      string         `json:"trace"`
	Violations []string       `json:"violations,omitempty"`
	Counts     map[string]int `json:"counts"`
	Seconds    float64        `json:"seconds"`
}

func newWorld(p plan, dir string, to io.Writer) *world {
	return &world{plan: p, rng: rand.New(rand.NewPCG(p.seed, 2)), later: rand.New(rand.NewPCG(p.seed, 4)), leaving: rand.New(rand.NewPCG(p.seed, 6)), dir: dir, trace: newTrace(to), log: newRing(), shopify: simulator.NewListener(),
		shutUntil: map[*watched]time.Time{}, failed: map[string]map[string]bool{}, paged: map[string]map[string]bool{}, gatherings: map[string]map[string]*gathering{}, counts: map[string]int{}}
}

func (w *world) newDir() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dirs++
	dir := filepath.Join(w.dir, fmt.Sprint(w.dirs))
	if err := os.Mkdir(dir, 0o700); err != nil {
		panic(err)
	}
	return dir
}

// violate notes that a promise was broken. The run ends at the next event.
func (w *world) violate(checker, format string, args ...any) {
	text := fmt.Sprintf("%s: %s (after %v)", checker, fmt.Sprintf(format, args...), time.Since(w.began).Round(time.Millisecond))
	w.trace.note("VIOLATION %s", text)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.violations = append(w.violations, text)
}

func (w *world) violated() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.violations) > 0
}

func (w *world) count(name string, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts[name] += n
}

// live runs the plan to its end, within a bubble of synctest.
func (w *world) live() {
	w.began = time.Now()
	w.sim = simulator.New(simulator.Config{
		Apps: []simulator.App{{Name: "Stockroom", ClientID: clientID, Secrets: []string{newSecret}, OldSecret: oldSecret,
			RedirectURIs: []string{"https://" + serviceHost + "/shopify/callback"}, ProtectedData: w.plan.protected, Webhooks: complianceTopics}},
		Seed: w.plan.seed, AutoConsent: true, BaseURL: "https://shopify.example", Ahead: w.plan.ahead, Rate: w.plan.rate, Capacity: 20 * w.plan.rate,
		Deliver: &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DialContext: w.dialService, DialTLSContext: w.dialService, MaxIdleConnsPerHost: 32},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	})
	server := &http.Server{Handler: w.sim.Handler(), ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(w.log, slog.LevelDebug)}
	go func() { _ = server.Serve(w.shopify) }()
	for _, s := range w.plan.shops {
		shop, err := w.sim.AddShop(s.domain, s.catalogue)
		if err != nil {
			panic(err)
		}
		w.shops = append(w.shops, newWatched(shop))
	}
	if err := w.sim.Start(context.Background()); err != nil {
		panic(err)
	}

	w.direct()

	if w.life != nil {
		if err := w.life.stop(); err != nil {
			w.violate("stop", "%v", err)
		}
	}
	w.graves.Wait()
	w.sim.Stop()
	_ = server.Close()
	synctest.Wait()
}

// dialService connects to the service where it is up.
func (w *world) dialService(ctx context.Context, network, address string) (net.Conn, error) {
	w.mu.Lock()
	l := w.life
	w.mu.Unlock()
	if l == nil || l.isDead() {
		return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("connection refused")}
	}
	return l.dial(l.listener)(ctx, network, address)
}

func (w *world) setLife(l *life) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.life = l
}

// direct makes everything happen.
func (w *world) direct() {
	w.left = w.newDir()
	w.up()
	if w.life == nil {
		w.violate("start", "the service does not start on an empty disk")
		return
	}
	for _, s := range w.shops {
		w.connect(s)
	}
	if w.plan.traffic > 0 {
		if err := w.sim.SetTraffic(w.plan.traffic); err != nil {
			panic(err)
		}
	}
	end := w.began.Add(time.Duration(w.plan.days) * day)
	next := map[string]time.Time{}
	again := func(what string, average time.Duration) {
		next[what] = time.Now().Add(time.Duration(w.rng.ExpFloat64()*float64(average)) + time.Duration(1+w.rng.IntN(999_999)))
	}
	again("edit", w.plan.editEvery)
	again("look", w.plan.look)
	again("faults", time.Hour)
	again("attack", 8*time.Hour)
	again("poll", w.plan.pollEvery)
	if w.plan.crashEvery > 0 {
		again("crash", w.plan.crashEvery)
		again("restart", 3*w.plan.crashEvery)
		again("disk", 3*w.plan.crashEvery)
	}
	soon := func(what string, d time.Duration) {
		next[what] = time.Now().Add(d + time.Duration(1+w.leaving.IntN(999_999)))
	}
	if w.plan.leaveEvery > 0 {
		soon("leave", time.Duration(w.leaving.ExpFloat64()*float64(w.plan.leaveEvery)))
		soon("return", comeBackEvery)
	}
	if w.plan.troubled > 0 {
		again("shut", 30*time.Hour)
		again("jump", 60*time.Hour)
	}
	for !w.violated() {
		what, at := "", end
		for name, due := range next {
			if due.Before(at) || due.Equal(at) && name < what {
				what, at = name, due
			}
		}
		if !w.sleepUntil(at) {
			w.bringBack()
			continue // It died and came back; nothing else is due yet.
		}
		switch what {
		case "":
			w.rest()
			return
		case "edit":
			w.edit()
			again(what, w.plan.editEvery)
		case "look":
			w.look()
			again(what, w.plan.look)
		case "faults":
			w.changeFaults()
			again(what, between(w.rng, time.Hour, 9*time.Hour))
		case "attack":
			w.attack()
			again(what, 8*time.Hour)
		case "poll":
			w.poll()
			again(what, w.plan.pollEvery)
		case "crash":
			w.crash()
			again(what, w.plan.crashEvery)
		case "restart":
			w.restart()
			again(what, 3*w.plan.crashEvery)
		case "disk":
			w.fillDisk()
			again(what, 3*w.plan.crashEvery)
		case "disk over":
			w.freeDisk()
			delete(next, what)
		case "shut":
			w.shut()
			again(what, 30*time.Hour)
		case "open":
			w.open()
			delete(next, what)
		case "leave":
			w.leave()
			soon(what, time.Duration(w.leaving.ExpFloat64()*float64(w.plan.leaveEvery)))
		case "return":
			w.comeBack()
			soon(what, comeBackEvery)
		case "jump":
			w.jump()
			again(what, 60*time.Hour)
		}
		if !w.fullUntil.IsZero() {
			next["disk over"] = w.fullUntil
		} else {
			delete(next, "disk over")
		}
		delete(next, "open")
		for _, s := range w.shops {
			if until := w.shutUntil[s]; !until.IsZero() && (next["open"].IsZero() || until.Before(next["open"])) {
				next["open"] = until
			}
		}
	}
}

// sleepUntil lets time pass; false says that the service died meanwhile, or
// that a dead one's time has come.
func (w *world) sleepUntil(at time.Time) bool {
	var died chan struct{}
	if w.life != nil {
		died = w.life.died
	} else if w.downUntil.Before(at) {
		time.Sleep(time.Until(w.downUntil))
		return false
	}
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-died:
		return false
	case <-timer.C:
	}
	select {
	case <-died: // In the same instant: a death comes first.
		return false
	default:
		return true
	}
}

// pass lets virtual time go by.
func pass(d time.Duration) { time.Sleep(d) }

// bringBack buries a dead service, or starts one whose time has come.
func (w *world) bringBack() {
	if dead := w.life; dead != nil {
		w.setLife(nil)
		w.fullUntil = time.Time{}
		w.graves.Go(func() {
			_ = dead.bury() // What a dead process says does not matter.
			os.RemoveAll(dead.dir)
		})
		w.checkKept()
		// A supervisor has it back in seconds, or somebody hours later.
		w.downUntil = time.Now().Add(between(w.rng, time.Second, oneOf(w.rng, 10*time.Second, 10*time.Second, 2*time.Hour, 9*time.Hour)))
		return
	}
	w.up()
	if w.life == nil {
		w.downUntil = time.Now().Add(10 * time.Second)
	}
}

func (w *world) up() {
	w.mu.Lock()
	dir := w.left
	w.mu.Unlock()
	l, err := w.start(dir)
	if err != nil {
		w.violate("start", "%v", err)
		return
	}
	w.setLife(l)
	w.count("starts", 1)
}

// crash arms a kill: at one of the coming commits, or right now between two.
func (w *world) crash() {
	l := w.life
	if l == nil {
		return
	}
	w.count("kills", 1)
	if w.rng.IntN(4) == 0 {
		synctest.Wait() // Everything waits for the network or the clock.
		l.kill("between commits")
		return
	}
	l.mu.Lock()
	l.killIn, l.killAt = 1+w.rng.IntN(40), oneOf(w.rng, store.BeforeCommit, store.AfterCommit)
	l.mu.Unlock()
	if w.rng.IntN(2) == 0 { // Give it something to do.
		w.edit()
	}
}

// poll is an operator's, between those of the schedule.
func (w *world) poll() {
	l := w.life
	if l == nil {
		return
	}
	s := w.shops[w.rng.IntN(len(w.shops))]
	if s.away {
		return
	}
	_, err := l.app.Jobs.QueueRun(context.Background(), store.Run{ShopID: w.idOf(s), Kind: "poll", Reason: "manual"})
	if err == nil {
		w.count("polls by hand", 1)
	}
	if w.rng.IntN(2) == 0 { // The shop goes on meanwhile.
		time.Sleep(between(w.rng, 0, 2*tick))
		w.edit()
	}
}

func (w *world) restart() {
	l := w.life
	if l == nil {
		return
	}
	w.count("restarts", 1)
	w.setLife(nil)
	w.fullUntil = time.Time{}
	if err := l.stop(); err != nil {
		w.violate("stop", "%v", err)
	}
	w.mu.Lock()
	if w.left == "" || !l.diedMeanwhile() {
		w.left = l.dir
	}
	w.mu.Unlock()
	w.downUntil = time.Now().Add(between(w.rng, time.Second, 10*time.Minute))
}

func (l *life) diedMeanwhile() bool {
	select {
	case <-l.died:
		return true
	default:
		return false
	}
}

// fillDisk lets the database grow no more, or every commit fail, for a while.
func (w *world) fillDisk() {
	l := w.life
	if l == nil || !w.fullUntil.IsZero() {
		return
	}
	w.count("full disks", 1)
	if w.rng.IntN(2) == 0 {
		l.mu.Lock()
		l.failing = errDiskFull
		l.mu.Unlock()
	} else {
		l.mu.Lock()
		l.failures++ // From here on errors are excused.
		l.mu.Unlock()
		// SQLite takes the present size where the limit is less.
		w.pragma(l, "PRAGMA max_page_count = 1")
	}
	w.fullUntil = time.Now().Add(between(w.rng, time.Minute, 2*time.Hour))
	w.edit()
}

func (w *world) freeDisk() {
	w.fullUntil = time.Time{}
	if l := w.life; l != nil {
		l.mu.Lock()
		l.failing = nil
		l.mu.Unlock()
		w.pragma(l, "PRAGMA max_page_count = 1073741823")
	}
}

func (w *world) pragma(l *life, text string) {
	var pages int64
	if err := l.app.Store.Writer().QueryRowContext(context.Background(), text).Scan(&pages); err != nil {
		panic(err)
	}
}

// edit makes a burst of edits in one instant, where ties come from.
func (w *world) edit() {
	s := w.shops[w.rng.IntN(len(w.shops))]
	n := 1 + w.rng.IntN(oneOf(w.rng, 1, 3, 12))
	w.count("edits", n)
	for range n {
		edit := s.shop.RandomEdit(w.rng)
		w.trace.note("edit %s %s %v", s.shop.Domain, edit.Kind, edit.IDs)
	}
}

// changeFaults draws trouble, or a calm.
func (w *world) changeFaults() {
	var f simulator.Faults
	if w.rng.Float64() < w.plan.troubled {
		drawn := map[string]int{}
		f = drawFaults(w.rng, w.later, drawn)
		for name := range drawn {
			w.count("fault "+name, 1)
		}
	}
	w.setFaults(f)
}

func (w *world) setFaults(f simulator.Faults) {
	was := w.sim.Faults()
	w.mu.Lock()
	if f.Throttle > 0 {
		w.drained = time.Now().Add(1000 * day)
	} else if was.Throttle > 0 {
		w.drained = time.Now().Add(time.Minute)
	}
	w.mu.Unlock()
	w.sim.SetFaults(f)
	text, _ := json.Marshal(f)
	w.trace.note("faults %s", text)
}

// shut closes a shop's API for some hours, as an unpaid bill does.
func (w *world) shut() {
	s := w.shops[w.rng.IntN(len(w.shops))]
	if !w.shutUntil[s].IsZero() {
		return
	}
	w.count("shops closed", 1)
	status := oneOf(w.rng, http.StatusPaymentRequired, http.StatusLocked, http.StatusNotFound)
	s.shop.SetClosed(status)
	w.trace.note("shut %s %d", s.shop.Domain, status)
	w.shutUntil[s] = time.Now().Add(between(w.rng, time.Minute, 5*time.Hour))
}

func (w *world) open() {
	for _, s := range w.shops {
		if until := w.shutUntil[s]; !until.IsZero() && !until.After(time.Now()) {
			s.shop.SetClosed(0)
			delete(w.shutUntil, s)
		}
	}
}

// jump sets this machine's clock back against Shopify's.
func (w *world) jump() {
	w.count("clock jumps", 1)
	by := between(w.rng, time.Second, oneOf(w.rng, 5*time.Second, time.Minute, 20*time.Minute))
	w.trace.note("jump %v", by)
	if err := w.sim.Advance(context.Background(), by); err != nil {
		w.violate("simulator", "%v", err)
	}
}

// connect logs a shop in, which must succeed.
func (w *world) connect(s *watched) {
	if err := w.login(s); err != nil {
		w.violate("login", "%s: %v", s.shop.Domain, err)
	}
}

// login logs a shop in as its merchant's browser does.
func (w *world) login(s *watched) error {
	jar, err := cookiejar.New(nil)
	if err != nil {
		panic(err)
	}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		if strings.HasPrefix(address, serviceHost) {
			return w.dialService(ctx, network, address)
		}
		return w.shopify.DialContext(ctx, network, address)
	}
	transport := &http.Transport{DialContext: dial, DialTLSContext: dial}
	browser := &http.Client{Jar: jar, Transport: transport, Timeout: time.Minute}
	defer transport.CloseIdleConnections()
	reply, err := browser.Get("https://" + serviceHost + "/shopify/login?shop=" + url.QueryEscape(s.shop.Domain))
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	if reply.Request.URL.Path != "/connected" || reply.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(reply.Body)
		return fmt.Errorf("ended at %s with %d: %.3000s", reply.Request.URL, reply.StatusCode, body)
	}
	return nil
}

// attack sends what nobody signed, or signed wrongly, to the service.
func (w *world) attack() {
	if w.life == nil {
		return
	}
	w.count("attacks", 1)
	transport := &http.Transport{DialContext: w.dialService, DialTLSContext: w.dialService}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	s := w.shops[w.rng.IntN(len(w.shops))]
	var target string
	for _, d := range w.sim.Deliveries() { // Somebody who has seen the address.
		if d.Shop == s.shop.Domain {
			target = d.URI
		}
	}
	if target == "" || w.rng.IntN(3) == 0 {
		target = "https://" + serviceHost + "/shopify/webhook"
	}
	at := look(s.shop)
	body := fmt.Sprintf(`{"id":%d,"admin_graphql_api_id":"gid://shopify/Product/%d","title":"Owned","updated_at":%q}`, at, at, time.Now().Format(time.RFC3339))
	request, err := http.NewRequest(http.MethodPost, target, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	topic := oneOf(w.rng, "products/update", "products/delete", "app/uninstalled", "shop/redact")
	for name, value := range map[string]string{"X-Shopify-Topic": topic, "X-Shopify-Shop-Domain": s.shop.Domain, "X-Shopify-Webhook-Id": fmt.Sprintf("attack-%d", w.rng.Uint64()),
		"X-Shopify-Triggered-At": time.Now().UTC().Format(time.RFC3339Nano), "X-Shopify-API-Version": "2026-10"} {
		request.Header.Set(name, value)
	}
	if w.rng.IntN(2) == 0 {
		request.Header.Set("X-Shopify-Hmac-Sha256", "bm90IHRoZSByaWdodCBzaWduYXR1cmUgYXQgYWxsISE=")
	}
	reply, err := client.Do(request)
	if err != nil {
		return // It died, or its disk is full.
	}
	reply.Body.Close()
	if reply.StatusCode < 400 {
		w.violate("P6", "an unsigned %s was answered %d", topic, reply.StatusCode)
	}
}

// look is the number of a product that exists.
func look(shop *simulator.Shop) int64 {
	shop.RLock()
	defer shop.RUnlock()
	if ids := shop.Products.IDs(); len(ids) > 0 {
		return ids[0]
	}
	return 1
}

// hashOf shortens a text for the trace.
func hashOf(text []byte) string {
	h := fnv.New64a()
	h.Write(text)
	return fmt.Sprintf("%016x", h.Sum64())
}

// ring keeps the last lines of the service's log.
type ring struct {
	slog.Handler
	lines *ringLines
}

type ringLines struct {
	mu  sync.Mutex
	all []string
	at  int
}

const ringSize = 400

func newRing() *ring {
	lines := &ringLines{}
	return &ring{slog.NewTextHandler(lines, &slog.HandlerOptions{Level: slog.LevelInfo}), lines}
}

func (r *ring) Enabled(ctx context.Context, level slog.Level) bool {
	return r.Handler.Enabled(ctx, level)
}

func (r *ringLines) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.all) < ringSize {
		r.all = append(r.all, string(p))
	} else {
		r.all[r.at%ringSize] = string(p)
	}
	r.at++
	return len(p), nil
}

func (r *ring) String() string {
	r.lines.mu.Lock()
	defer r.lines.mu.Unlock()
	var out strings.Builder
	for i := range r.lines.all {
		out.WriteString(r.lines.all[(r.lines.at+i)%len(r.lines.all)])
	}
	return out.String()
}

// numbered are the calls about what Shopify numbers: shops that ask in one
// instant race for the numbers, which mean nothing. Tokens are like them.
var numbered = map[string]bool{"CreateSubscription": true, "ListSubscriptions": true, "UpdateSubscription": true, "DeleteSubscription": true,
	"StartBulk": true, "ReadBulk": true, "CancelBulk": true}

// withoutBudget leaves out what an answer says of the budget: of calls of one
// instant it tells in which order they came.
func withoutBudget(body []byte) []byte {
	if at := bytes.LastIndex(body, []byte(`"extensions":{"cost":`)); at >= 0 {
		return body[:at]
	}
	return body
}

// heard is told of every exchange between the service and Shopify.
func (w *world) heard(l *life, request *http.Request, sent []byte, status int, body []byte) {
	if l.isDead() {
		return
	}
	var call struct {
		OperationName string          `json:"operationName"`
		Query         string          `json:"query"`
		Variables     json.RawMessage `json:"variables"`
	}
	name := request.URL.Path
	if strings.HasSuffix(name, "/graphql.json") {
		_ = json.Unmarshal(sent, &call)
		name = call.OperationName + " " + hashOf(call.Variables)
	}
	switch {
	case numbered[call.OperationName]:
		w.trace.note("call %s %s: %d", request.URL.Host, call.OperationName, status)
	case strings.Contains(name, "/bulk/"):
		w.trace.note("call a bulk file: %d", status)
	case strings.HasSuffix(name, "/access_token"):
		w.trace.note("call %s %s: %d", request.URL.Host, name, status)
	default:
		w.trace.note("call %s %s: %d %s", request.URL.Host, name, status, hashOf(withoutBudget(body)))
	}
	if strings.HasSuffix(name, "/access_token") {
		w.count("token requests", 1)
		if status != http.StatusOK {
			w.count("token requests unanswered", 1)
		}
	}
	w.checkBudget(request.URL.Host, call.OperationName, status, body)
	if request.Context().Value(calledByRun{}) != nil {
		w.noteList(request.URL.Host, call.OperationName, rootOf(call.Query), name, status, body)
		switch call.OperationName {
		case "StartBulk":
			w.bulkStarted(request.URL.Host, call.Variables, body)
		case "ReadBulk":
			w.bulkTold(request.URL.Host, body)
		}
	}
}
