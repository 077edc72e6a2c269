package connect_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"stockroom/internal/connect"
	"stockroom/internal/facebook"
	"stockroom/internal/inbox"
	"stockroom/internal/mirror"
	"stockroom/internal/secret"
	"stockroom/internal/simulator"
	"stockroom/internal/simulator/meta"
	"stockroom/internal/store"
	"stockroom/internal/store/storetest"
)

const (
	metaApp    = "1234567890"
	metaSecret = "the-meta-secret"
	metaOld    = "the-old-meta-secret"
)

// plaza is a world with a simulated Facebook beside it, over real HTTP, and a
// browser that follows it there and back.
type plaza struct {
	*world
	sim     *simulator.Simulator
	meta    *meta.Meta
	pages   *connect.Pages
	here    *httptest.Server
	visitor *http.Client
	admin   atomic.Bool // The visitor is signed in.
	owner   store.Shop
}

func newPlaza(t *testing.T, change ...func(*meta.Config, *connect.FacebookConfig)) *plaza {
	t.Helper()
	w := &plaza{world: newWorld(t)}
	w.owner = w.connect()
	w.here = httptest.NewUnstartedServer(nil)
	at := "http://" + w.here.Listener.Addr().String()
	config := meta.Config{
		Apps: []meta.App{{ID: metaApp, Name: "Stockroom", Secrets: []string{metaSecret}, RedirectURIs: []string{at + "/facebook/callback"}}},
		Pages: []meta.PageSpec{{Name: "Tea House", Owner: "Mia"}, {Name: "Only looked at", Owner: "Lou", Tasks: []string{"ANALYZE", "ADVERTISE"}},
			{Name: "One", Owner: "Two Pages"}, {Name: "Other", Owner: "Two Pages"}, {Name: "Seen", Owner: "Two Pages", Tasks: []string{"ANALYZE"}}},
	}
	settings := connect.FacebookConfig{AppID: metaApp, Secrets: []secret.Secret{secret.New(metaSecret), secret.New(metaOld)}, RedirectURI: at + "/facebook/callback",
		VerifyToken: secret.New("chosen"), SignedIn: func(*http.Request) (bool, error) { return w.admin.Load(), nil }}
	for _, c := range change {
		c(&config, &settings)
	}
	now := func() time.Time { return time.Now().Add(time.Duration(w.skip.Load())) }
	w.sim = simulator.New(simulator.Config{Seed: 3, Now: now, Meta: config})
	far := httptest.NewServer(w.sim.Handler())
	t.Cleanup(far.Close)
	w.sim.Start(context.WithoutCancel(t.Context()))
	t.Cleanup(w.sim.Stop)
	w.meta = w.sim.Meta()
	settings.GraphURL, settings.DialogURL = far.URL+"/graph.facebook.com", far.URL+"/www.facebook.com"
	var in *inbox.Inbox
	settings.Changed = func() { in.Invalidate() }
	w.c.Events.KeysChanged = func() { in.Invalidate() }
	w.pages = w.c.Pages(settings)
	in = inbox.New(inbox.Config{Store: w.store, Secrets: w.c.AppSecrets, Seal: w.c.SealBody, Now: now, Log: w.config.Log,
		Known: func(string) bool { return false }, Pages: inbox.PagesConfig{Secrets: w.pages.AppSecrets, Verify: settings.VerifyToken}})
	in.Start()
	t.Cleanup(in.Stop)
	mux := http.NewServeMux()
	mux.Handle("/facebook/webhook", in.Handler())
	mux.Handle("/facebook/", w.pages.Handler())
	mux.HandleFunc("/admin/login", func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, "sign in first") })
	w.here.Config.Handler = mux
	w.here.Start()
	t.Cleanup(w.here.Close)
	w.visitor = &http.Client{}
	w.visitor.Jar, _ = cookiejar.New(nil)
	w.admin.Store(true)
	return w
}

// visit opens an address and follows it to the last page.
func (w *plaza) visit(path string) page {
	w.Helper()
	if strings.HasPrefix(path, "/") {
		path = w.here.URL + path
	}
	reply, err := w.visitor.Get(path)
	return w.read(reply, err)
}

func (w *plaza) read(reply *http.Response, err error) page {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		w.Fatal(err)
	}
	return page{reply, strings.NewReplacer("&#34;", `"`, "&#39;", "'").Replace(string(text))}
}

func (w *plaza) next(o meta.Outcome) {
	w.Helper()
	if err := w.meta.NextOutcome(o); err != nil {
		w.Fatal(err)
	}
}

const loginPath = "/facebook/login?shop=" + domain

// teaHouse connects the Page of that name.
func (w *plaza) teaHouse() store.FacebookPage {
	w.Helper()
	w.next(meta.Outcome{Person: "Mia"})
	w.want(w.visit(loginPath), 200, "The Page is connected", "Tea House", "is received from now on")
	return w.only()
}

func (w *plaza) all() []store.FacebookPage {
	w.Helper()
	all, err := w.pages.List(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	return all
}

func (w *plaza) only() store.FacebookPage {
	w.Helper()
	all := w.all()
	if len(all) != 1 {
		w.Fatalf("%d Pages, want one", len(all))
	}
	return all[0]
}

// settle lets what was sent arrive, and acts on it twice: doing so again must do no harm.
func (w *plaza) settle() {
	w.Helper()
	if err := w.sim.Quiet(w.Context()); err != nil {
		w.Fatal(err)
	}
	var waiting []store.Delivery
	storetest.View(w, w.store, func(tx *store.Tx) (err error) {
		waiting, err = tx.NewDeliveries(1000, 1<<30)
		return err
	})
	for _, d := range waiting {
		for range 2 {
			if handled, err := w.pages.Control(w.Context(), d); err != nil || !handled {
				w.Fatalf("handled %v, %v", handled, err)
			}
			storetest.View(w, w.store, func(tx *store.Tx) error { // As it is stored by now.
				all, err := tx.Deliveries(store.DeliveryFilter{Shop: d.ShopID, States: []string{store.DeliveryNew}, After: d.Seq - 1}, 1, 1<<30)
				if err == nil && len(all) == 1 {
					d = all[0]
				}
				return err
			})
		}
		storetest.Update(w, w.store, func(tx *store.Tx) error { return tx.FinishDeliveries([]int64{d.Seq}, 1) })
	}
}

func (w *plaza) write(page, text string) string {
	w.Helper()
	mid, err := w.meta.Write(meta.Message{Page: page, Shopper: "Sam", Text: text})
	if err != nil {
		w.Fatal(err)
	}
	return mid
}

func (w *plaza) waiting(page store.FacebookPage) (texts []string) {
	w.Helper()
	events, err := w.pages.Waiting(w.Context(), page.ID, 100)
	if err != nil {
		w.Fatal(err)
	}
	for _, e := range events {
		texts = append(texts, e.Text)
	}
	return texts
}

func (w *plaza) upkeep() store.FacebookPage {
	w.Helper()
	if err := w.pages.Upkeep(w.Context()); err != nil {
		w.Fatal(err)
	}
	return w.only()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAPageIsConnectedByTheAdminOrByALink(t *testing.T) {
	w := newPlaza(t)
	w.admin.Store(false)
	w.want(w.visit(loginPath), 200, "sign in first")
	w.want(w.visit(loginPath+"&link=guessed"), 403, "This link is over")
	if len(w.all()) != 0 {
		t.Fatal("a stranger connected a Page")
	}
	link, err := w.pages.Link(t.Context(), domain)
	must(t, err)
	other := storetest.AddShop(t, w.store, "other.myshopify.com")
	w.want(w.visit(strings.Replace(link, domain, other.Domain, 1)), 403, "This link is over")
	// A cancel, or somebody who only looks, does not use it up.
	w.next(meta.Outcome{Kind: meta.Cancelled})
	w.want(w.visit(link), 200, "You cancelled", "Start the login again")
	w.next(meta.Outcome{Person: "Mia"})
	w.want(w.visit(link), 200, "The Page is connected", "Tea House", domain)
	w.want(w.visit(link), 403, "This link is over")

	page := w.only()
	if page.ShopID != w.owner.ID || page.State != store.PageConnected || page.UserID == "" || len(page.Token) == 0 || page.ConnectedAt == 0 ||
		page.VerifiedAt == 0 || page.ExpiresAt != 0 || page.TokenKind != "USER" || !slices.Contains(page.Scopes, facebook.ScopeMessages) || len(page.Tasks) == 0 ||
		page.Trouble.What != "" || page.Hook.What != "" || len(page.Fields) < 5 {
		t.Errorf("connected as %+v", page)
	}
	raw, err := json.Marshal(page)
	if err != nil || strings.Contains(string(raw), "EAA") {
		t.Errorf("the token lies open: %s", raw)
	}
	later, err := w.pages.Link(t.Context(), domain)
	must(t, err)
	w.later(25 * time.Hour)
	w.want(w.visit(later), 403, "This link is over")
	if _, err := w.pages.Link(t.Context(), "nobody.myshopify.com"); err == nil {
		t.Error("a link was made for a shop that nobody knows")
	}
	w.admin.Store(true)
	w.want(w.visit("/facebook/login?shop=nobody.myshopify.com"), 404, "The shop is not connected")
	w.want(w.visit("/facebook/login?shop=nonsense"), 400, "Which shop?")
}

func TestEveryOutcomeOfTheDialogHasItsPage(t *testing.T) {
	for name, tt := range map[string]struct {
		outcome meta.Outcome
		fault   string // One of Graph's, on its way.
		status  int
		says    []string
	}{
		"cancelled":                {meta.Outcome{Kind: meta.Cancelled}, "", 200, []string{"You cancelled", "again"}},
		"the app in development":   {meta.Outcome{Kind: meta.PermissionsError}, "", 502, []string{"not ready at Facebook", "error code 200", "App Review"}},
		"a code of the app's":      {meta.Outcome{Kind: meta.ErrorCode}, "", 502, []string{"not ready at Facebook", "Valid OAuth Redirect URIs"}},
		"nothing":                  {meta.Outcome{Kind: meta.Nothing}, "", 502, []string{"Facebook sent no answer", "proxy"}},
		"another state":            {meta.Outcome{Kind: meta.WrongState}, "", 400, []string{"This login is over"}},
		"no state":                 {meta.Outcome{Kind: meta.NoState}, "", 400, []string{"This login is over"}},
		"a permission left out":    {meta.Outcome{Person: "Mia", Decline: []string{"pages_messaging"}}, "", 200, []string{"Not all was allowed", "pages_messaging", "again=1"}},
		"no Page ticked":           {meta.Outcome{Person: "Mia", Pages: []string{}}, "", 200, []string{"No Page was shared", "again=1"}},
		"a Page that is seen":      {meta.Outcome{Person: "Lou"}, "", 200, []string{"None of the Pages can be connected", "Only looked at", "does not let you read and answer"}},
		"the code too old":         {meta.Outcome{Person: "Mia"}, "exchange:100/36007", 400, []string{"Facebook refused the login", "too old"}},
		"the code used":            {meta.Outcome{Person: "Mia"}, "exchange:100/36009", 400, []string{"Facebook refused the login", "used before"}},
		"another redirect address": {meta.Outcome{Person: "Mia"}, "exchange:100/36008", 400, []string{"FACEBOOK_REDIRECT_URI"}},
		"a wrong app id":           {meta.Outcome{Person: "Mia"}, "exchange:101", 502, []string{"FACEBOOK_APP_ID"}},
		"a wrong secret":           {meta.Outcome{Person: "Mia"}, "exchange:1", 502, []string{"FACEBOOK_APP_SECRET"}},
		"a password just changed":  {meta.Outcome{Person: "Mia"}, "accounts:190/460", 400, []string{"password", "Start the login again"}},
		"a fault of Meta's":        {meta.Outcome{Person: "Mia"}, "accounts:2", 502, []string{"did not answer", "in a minute"}},
		"granted":                  {meta.Outcome{Person: "Mia"}, "", 200, []string{"The Page is connected", "Tea House"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newPlaza(t)
			w.next(tt.outcome)
			if tt.fault != "" {
				w.meta.SetFaults(meta.Faults{Errors: map[string]float64{tt.fault: 1}})
			}
			w.T = t
			w.want(w.visit(loginPath), tt.status, tt.says...)
			if n := len(w.all()); (n == 1) != (name == "granted") {
				t.Errorf("%d Pages are connected", n)
			}
		})
	}
}

func TestAPageIsChosenAmongSeveral(t *testing.T) {
	w := newPlaza(t)
	w.next(meta.Outcome{Person: "Two Pages"})
	choice := w.visit(loginPath)
	w.want(choice, 200, "Which Page belongs to the shop?", "One", "Other", "Seen", "does not let you read and answer")
	number := map[string]string{}
	for _, p := range w.meta.Pages() {
		number[p.Name] = p.ID
	}
	choose := func(id string) page {
		return w.read(w.visitor.PostForm(w.here.URL+"/facebook/pages", url.Values{"page": {id}}))
	}
	w.want(choose("nonsense"), 400, "Which Page?")
	w.want(choose(number["Seen"]), 400, "Which Page?")
	w.want(w.visit("/facebook/pages"), 200, "Which Page")
	w.want(choose(number["Other"]), 200, "The Page is connected", "Other")
	// Chosen is chosen: pressed twice it is the same.
	w.want(choose(number["One"]), 200, "The Page is connected", "Other")
	if page := w.only(); page.Name != "Other" || page.ShopID != w.owner.ID {
		t.Errorf("connected %+v", page)
	}
	// The tokens of the others are not kept.
	var held int
	must(t, w.store.Writer().QueryRow(`SELECT COALESCE(SUM(length(sealed)), 0) FROM facebook_logins`).Scan(&held))
	if held != 0 {
		t.Errorf("%d bytes of tokens are kept after the choice", held)
	}
	stranger := &http.Client{}
	w.want(w.read(stranger.Get(w.here.URL+"/facebook/pages")), 403, "Which login?")

	// Another shop does not take it.
	other := storetest.AddShop(t, w.store, "other.myshopify.com")
	w.next(meta.Outcome{Person: "Two Pages", Pages: []string{"Other"}})
	w.want(w.visit("/facebook/login?shop="+other.Domain), 200, "None of the Pages can be connected", "another shop")
	if page := w.only(); page.ShopID != w.owner.ID {
		t.Error("a Page went to another shop")
	}
	// Its own may connect it anew: it stays one.
	w.next(meta.Outcome{Person: "Two Pages", Pages: []string{"Other"}})
	w.want(w.visit(loginPath), 200, "The Page is connected")
	w.only()
}

// TestALoginIsTheBrowsersThatBeganIt, and works once.
func TestALoginIsTheBrowsersThatBeganIt(t *testing.T) {
	w := newPlaza(t)
	w.visitor.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Path == "/facebook/callback" {
			return http.ErrUseLastResponse
		}
		return nil
	}
	back := func() string {
		w.next(meta.Outcome{Person: "Mia"})
		to, err := w.visit(loginPath).Location()
		must(t, err)
		return to.String()
	}
	first := back()
	w.visitor.CheckRedirect = nil
	stranger := &http.Client{}
	w.want(w.read(stranger.Get(first)), 403, "begun elsewhere")
	w.want(w.visit(first), 200, "The Page is connected")
	w.want(w.visit(first), 400, "This login is over", "all is well")
	// A state of a login at Shopify is none here.
	w.want(w.visit("/facebook/callback?code=x&state="+url.QueryEscape(w.begin(domain))), 400, "This login is over")
	w.want(w.visit("/facebook/callback?code=x"), 400, "This login is over")
}

func TestMessagesWaitSealedUntilTheirTime(t *testing.T) {
	w := newPlaza(t)
	page := w.teaHouse()
	w.write("Tea House", "Grüße 😀 <>&@%/ and \\u00e4")
	w.settle() // Deliveries may overtake each other, and both are of one second.
	w.write("Tea House", "a second")
	w.settle()
	if got := w.waiting(page); !slices.Equal(got, []string{"Grüße 😀 <>&@%/ and \\u00e4", "a second"}) {
		t.Errorf("waiting: %q", got)
	}
	deliveries := w.meta.Deliveries()
	for _, d := range deliveries {
		if !d.Accepted() {
			t.Errorf("a delivery was not accepted: %+v", d)
		}
	}
	// Once more, byte for byte.
	must(t, w.meta.Again(deliveries[len(deliveries)-1].ID))
	w.settle()
	if got := w.waiting(page); len(got) != 2 {
		t.Errorf("waiting after a repetition: %q", got)
	}
	// Neither the inbox nor the messages say in the clear what was written.
	for _, query := range []string{`SELECT COUNT(*) FROM inbox WHERE instr(CAST(body AS TEXT), 'second') > 0`, `SELECT COUNT(*) FROM facebook_messages WHERE instr(CAST(body AS TEXT), 'second') > 0`} {
		var n int
		if err := w.store.Writer().QueryRow(query).Scan(&n); err != nil || n != 0 {
			t.Errorf("%s: %d, %v", query, n, err)
		}
	}
	if n := w.count("inbox WHERE topic = 'facebook/page' AND CAST(body AS TEXT) <> '{}'"); n != 0 {
		t.Errorf("%d bodies are kept twice", n)
	}
	w.later(7 * 24 * time.Hour)
	storetest.Update(t, w.store, func(tx *store.Tx) error {
		now := mirror.At(time.Now().Add(7*24*time.Hour + time.Minute))
		_, err := tx.DropFacebook(now.Add(-7*24*time.Hour), now, 100)
		return err
	})
	if n := w.count("facebook_messages"); n != 0 {
		t.Errorf("%d messages outlived their time", n)
	}
}

// TestEchoesAndStandbyAreToldApart: neither waits for an answer.
func TestEchoesAndStandbyAreToldApart(t *testing.T) {
	w := newPlaza(t)
	page := w.teaHouse()
	sent := func(events string) {
		t.Helper()
		body := fmt.Sprintf(`{"object":"page","entry":[{"id":%q,"time":1764000000000,%s},{"id":"999","messaging":[{"sender":{"id":"1"},"message":{"mid":"x"}}]}]}`, page.PageID, events)
		mac := hmac.New(sha256.New, []byte(metaOld)) // Signed before the secret was changed.
		mac.Write([]byte(body))
		r, _ := http.NewRequest(http.MethodPost, w.here.URL+"/facebook/webhook", strings.NewReader(body))
		r.Header.Set(facebook.SignatureHeader, "sha256="+hex.EncodeToString(mac.Sum(nil)))
		w.want(w.read(http.DefaultClient.Do(r)), 200)
		w.settle()
	}
	from := `"sender":{"id":"9"},"recipient":{"id":"` + page.PageID + `"},"timestamp":1764000001000`
	echo := `"sender":{"id":"` + page.PageID + `"},"recipient":{"id":"9"},"timestamp":1764000001000`
	sent(`"messaging":[{` + from + `,"message":{"mid":"m1","text":"one"}},{` + echo + `,"message":{"mid":"m2","text":"two","is_echo":true,"app_id":1}},
		{` + from + `,"delivery":{"watermark":1}},{` + from + `,"read":{"watermark":1}},{` + from + `,"new_kind":{}}]`)
	sent(`"standby":[{` + from + `,"message":{"mid":"m3","text":"three"}}]`)
	sent(`"messaging":[{` + from + `,"postback":{"mid":"m4","title":"four","payload":"P"}}]`)
	if got := w.waiting(page); !slices.Equal(got, []string{"one", "four"}) {
		t.Errorf("waiting: %q", got)
	}
	kept := map[string]int{}
	rows, err := w.store.Writer().Query(`SELECT kind || ' ' || standby || ' ' || state FROM facebook_messages`)
	must(t, err)
	for rows.Next() {
		var one string
		must(t, rows.Scan(&one))
		kept[one]++
	}
	must(t, rows.Err())
	want := map[string]int{"message 0 waiting": 1, "echo 0 kept": 1, "message 1 kept": 1, "postback 0 waiting": 1, "other 0 kept": 1}
	if fmt.Sprint(kept) != fmt.Sprint(want) {
		t.Errorf("kept %v, want %v", kept, want)
	}
	// What its writer deletes is emptied, also where that is heard first.
	sent(`"messaging":[{` + from + `,"message":{"mid":"m1","is_deleted":true}},{` + from + `,"message":{"mid":"m5","is_deleted":true}}]`)
	sent(`"messaging":[{` + from + `,"message":{"mid":"m5","text":"five"}}]`)
	if got := w.waiting(page); !slices.Equal(got, []string{"four"}) {
		t.Errorf("waiting: %q", got)
	}
	sent(`"messaging":[{"recipient":{"id":"` + page.PageID + `"},"timestamp":1764000002000,"policy_enforcement":{"action":"block","reason":"spam"}}]`)
	if got := w.only().Policy; got != "block: spam" {
		t.Errorf("policy %q", got)
	}
	sent(`"messaging":[{"recipient":{"id":"` + page.PageID + `"},"timestamp":1764000003000,"policy_enforcement":{"action":"unblock"}}]`)
	if got := w.only().Policy; got != "" {
		t.Errorf("policy %q", got)
	}
}

func TestAnAuditMendsBothLevels(t *testing.T) {
	w := newPlaza(t)
	page := w.teaHouse()
	must(t, w.meta.Unsubscribe("Tea House", metaApp))
	w.write("Tea House", "nobody hears this")
	w.settle()
	if got := w.waiting(page); len(got) != 0 {
		t.Fatalf("heard %q without a subscription", got)
	}
	w.later(15 * time.Minute)
	if page = w.upkeep(); page.MendedAt == 0 || len(page.Fields) == 0 || page.Hook.What != "" {
		t.Errorf("after an audit: %+v", page)
	}
	if !strings.Contains(w.logs.String(), "webhooks had gone and are subscribed to again") {
		t.Error("the log does not say that the subscription had gone")
	}
	w.write("Tea House", "this is heard")
	w.settle()

	// The app's own leads to somebody else: it is left alone, and said.
	elsewhere := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(rw, r.FormValue("hub.challenge")) }))
	t.Cleanup(elsewhere.Close)
	must(t, w.meta.Subscribe(t.Context(), metaApp, meta.AppSubscription{URL: elsewhere.URL, VerifyToken: "x", Fields: []string{"messages"}}))
	w.later(15 * time.Minute)
	w.upkeep()
	app := func() (a store.FacebookApp) {
		storetest.View(t, w.store, func(tx *store.Tx) (err error) { a, err = tx.FacebookApp(); return err })
		return a
	}
	if a := app(); !strings.Contains(a.Trouble.What, elsewhere.URL) || !strings.Contains(a.Trouble.Remedy, "pages repair") {
		t.Errorf("the app's subscription: %+v", a)
	}
	if _, err := w.pages.Repair(t.Context(), page); err != nil {
		t.Fatal(err)
	}
	if a := app(); a.Trouble.What != "" || a.Callback != w.pages.WebhookAddress() || !slices.Contains(a.Fields, "messages") {
		t.Errorf("after a repair: %+v", a)
	}
	// A field that is gone at the app's level.
	must(t, w.meta.Subscribe(t.Context(), metaApp, meta.AppSubscription{URL: w.pages.WebhookAddress(), VerifyToken: "chosen", Fields: []string{"message_reads"}}))
	w.later(15 * time.Minute)
	w.upkeep()
	if a := app(); !slices.Contains(a.Fields, "messages") || !slices.Contains(a.Fields, "message_reads") {
		t.Errorf("fields %v", a.Fields)
	}
	w.write("Tea House", "this too")
	w.settle()
	if got := w.waiting(page); !slices.Equal(got, []string{"this is heard", "this too"}) {
		t.Errorf("waiting: %q", got)
	}
	// An audit that cannot ask changes nothing.
	before := w.only()
	w.meta.SetFaults(meta.Faults{Errors: map[string]float64{"subscribed_apps:2": 1}})
	w.later(15 * time.Minute)
	if after := w.upkeep(); after.AuditedAt != before.AuditedAt || after.Hook.What != "" {
		t.Errorf("after an audit that failed: %+v", after)
	}
}

func TestTheHealthOfATokenIsAskedDaily(t *testing.T) {
	w := newPlaza(t)
	page := w.teaHouse()
	must(t, w.meta.SetCheckpoint("Mia", true))
	w.later(time.Hour)
	// An audit's call tells of it before the day is over.
	if page = w.upkeep(); page.State != store.PageConnected || !strings.Contains(page.Trouble.What, "until they pass a check") {
		t.Errorf("held at a check: %s, %+v", page.State, page.Trouble)
	}
	must(t, w.meta.SetCheckpoint("Mia", false))
	w.later(time.Hour)
	if page = w.upkeep(); page.Trouble.What != "" {
		t.Errorf("after the check: %+v", page.Trouble)
	}
	must(t, w.meta.Revoke("Mia", metaApp, "pages_messaging"))
	w.later(25 * time.Hour)
	if page = w.upkeep(); page.State != store.PageConnected || !strings.Contains(page.Trouble.What, "pages_messaging") {
		t.Errorf("a permission taken back: %s, %+v", page.State, page.Trouble)
	}
	must(t, w.meta.ChangePassword("Mia"))
	w.later(25 * time.Hour)
	if page = w.upkeep(); page.State != store.PageReconnect || !strings.Contains(page.Trouble.What, "password") || !strings.Contains(page.Trouble.Remedy, "pages add") {
		t.Errorf("a password changed: %s, %+v", page.State, page.Trouble)
	}
	if !strings.Contains(w.logs.String(), "Page must be connected again") {
		t.Error("the log does not tell the operator")
	}
	// What was taken back is not shown in the dialog again, unless it is asked for so.
	w.next(meta.Outcome{Person: "Mia"})
	w.want(w.visit(loginPath), 200, "Not all was allowed", "/facebook/login?again=1")
	w.next(meta.Outcome{Person: "Mia"})
	w.want(w.visit(loginPath+"&again=1"), 200, "The Page is connected")
	if again := w.only(); again.ID != page.ID || again.State != store.PageConnected || again.Trouble.What != "" {
		t.Errorf("connected again: %+v", again)
	}
}

// TestAWrongSecretHereCondemnsNoToken: what Meta refuses then is the app, and every
// Page would have to be connected again for a slip in the settings.
func TestAWrongSecretHereCondemnsNoToken(t *testing.T) {
	w := newPlaza(t)
	w.teaHouse()
	wrong := w.pages.FacebookConfig
	wrong.Secrets = []secret.Secret{secret.New("mistyped")}
	w.later(25 * time.Hour)
	if err := w.c.Pages(wrong).Upkeep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if page := w.only(); page.State != store.PageConnected || page.Trouble.What != "" {
		t.Errorf("%s, %+v", page.State, page.Trouble)
	}
	var app store.FacebookApp
	storetest.View(t, w.store, func(tx *store.Tx) (err error) { app, err = tx.FacebookApp(); return err })
	if !strings.Contains(app.Trouble.What+app.Trouble.Remedy, "FACEBOOK_APP_SECRET") {
		t.Errorf("the app's trouble: %+v", app.Trouble)
	}
}

// ask posts a signed request as Facebook does.
func (w *plaza) ask(path, user string, at time.Time, key string) page {
	w.Helper()
	payload := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"algorithm":"HMAC-SHA256","issued_at":%d,"user_id":%q}`, at.Unix(), user))
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(payload))
	return w.read(http.PostForm(w.here.URL+path, url.Values{"signed_request": {base64.RawURLEncoding.EncodeToString(mac.Sum(nil)) + "." + payload}}))
}

func TestAPersonWhoRemovesTheAppEndsTheirTokens(t *testing.T) {
	w := newPlaza(t)
	page := w.teaHouse()
	w.write("Tea House", "hello")
	w.settle()
	w.want(w.ask("/facebook/deauthorize", page.UserID, time.Now(), "another"), 403)
	w.want(w.read(http.PostForm(w.here.URL+"/facebook/deauthorize", nil)), 403)
	w.want(w.ask("/facebook/deauthorize", page.UserID, time.Now().Add(-time.Hour), metaSecret), 200)
	w.want(w.ask("/facebook/deauthorize", "somebody", time.Now(), metaSecret), 200)
	if now := w.only(); now.State != store.PageConnected {
		t.Fatalf("%s: one of before the connection, or somebody else's, ended it", now.State)
	}
	for range 2 {
		w.want(w.ask("/facebook/deauthorize", page.UserID, time.Now(), metaSecret), 200)
		if now := w.only(); now.State != store.PageReconnect || now.Token != nil || !strings.Contains(now.Trouble.What, "removed the app") {
			t.Errorf("%+v", now)
		}
	}
	if got := w.waiting(page); len(got) != 1 {
		t.Errorf("waiting: %q", got)
	}
	w.later(25 * time.Hour)
	w.upkeep() // Without a token nothing is asked, and nothing goes wrong.
}

// nothingLeft looks for anything of a Page, by a list of tables of its own.
func (w *plaza) nothingLeft() {
	w.Helper()
	for _, table := range []string{"facebook_pages", "facebook_messages"} {
		if n := w.count(table); n != 0 {
			w.Errorf("%d rows left in %s", n, table)
		}
	}
	var n int
	if err := w.store.Writer().QueryRow(`SELECT COUNT(*) FROM inbox WHERE topic = $1`, store.TopicPage).Scan(&n); err != nil || n != 0 {
		w.Errorf("%d webhooks of Facebook's left, %v", n, err)
	}
}

func (w *plaza) lastReceipt() (r store.ErasureReceipt) {
	w.Helper()
	storetest.View(w, w.store, func(tx *store.Tx) error {
		all, err := tx.Erasures(1)
		if len(all) > 0 {
			r = all[0]
		}
		return err
	})
	return r
}

func TestNothingIsLeftOfAPageThatLeft(t *testing.T) {
	const said = "my address is Elm Street 7"
	for name, tt := range map[string]struct {
		topic string
		leave func(*plaza, store.FacebookPage)
	}{
		"disconnected": {store.TopicPagesDisconnected, func(w *plaza, page store.FacebookPage) {
			untold, err := w.pages.Disconnect(w.Context(), page)
			if err != nil || untold != nil {
				w.Errorf("disconnect: %v, untold %v", err, untold)
			}
			w.next(meta.Outcome{Person: "Mia", Pages: []string{"Tea House"}})
		}},
		"the shop uninstalled": {store.TopicPagesUninstalled, func(w *plaza, _ store.FacebookPage) {
			must(w.T, w.c.Uninstalled(w.Context(), domain, mirror.At(time.Now().Add(time.Hour))))
		}},
		"the shop removed": {store.TopicRemoved, func(w *plaza, _ store.FacebookPage) {
			if _, over, err := w.eraser().Remove(w.Context(), domain); err != nil || !over {
				w.Errorf("removed %v, %v", over, err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newPlaza(t)
			page := w.teaHouse()
			w.write("Tea House", said)
			w.settle()
			w.write("Tea House", "this one waits in the inbox")
			must(t, w.sim.Quiet(t.Context()))
			tt.leave(w, page)
			if all := w.all(); len(all) != 0 {
				t.Errorf("%d Pages are listed", len(all))
			}
			w.settleLeft()
			w.erase()
			w.nothingLeft()
			r := w.lastReceipt()
			if r.State != store.ErasureDone || r.Topic != tt.topic || r.Rows["facebook_messages"] == 0 || r.Rows["facebook_pages"] != 1 || r.Rows["inbox"] == 0 || r.Shop != domain {
				t.Errorf("receipt %+v", r)
			}
			// What comes after is acknowledged, and not kept.
			w.write("Tea House", "after the end")
			must(t, w.sim.Quiet(t.Context()))
			w.nothingLeft()
		})
	}
}

// settleLeft acts on what waits of Pages that may have left.
func (w *plaza) settleLeft() {
	w.Helper()
	var waiting []store.Delivery
	storetest.View(w, w.store, func(tx *store.Tx) (err error) {
		waiting, err = tx.NewDeliveries(1000, 1<<30)
		return err
	})
	for _, d := range waiting {
		if _, err := w.pages.Control(w.Context(), d); err != nil {
			w.Fatal(err)
		}
	}
}

func TestAPersonsDataIsDeletedWhenTheyAskThroughFacebook(t *testing.T) {
	w := newPlaza(t)
	page := w.teaHouse()
	w.write("Tea House", "hello")
	w.settle()
	w.want(w.ask("/facebook/deletion", page.UserID, time.Now(), "another"), 403)
	var answer struct{ URL, Code string }
	read := func(p answered) {
		t.Helper()
		var said struct {
			URL  string `json:"url"`
			Code string `json:"confirmation_code"`
		}
		if err := json.Unmarshal([]byte(p.text), &said); err != nil || said.URL != w.here.URL+"/facebook/deletion/"+said.Code || said.Code == "" {
			t.Fatalf("answer %s, %v", p.text, err)
		}
		answer.URL, answer.Code = said.URL, said.Code
	}
	at := time.Now()
	read(w.ask("/facebook/deletion", page.UserID, at, metaSecret))
	first := answer
	w.want(w.visit(answer.URL), 200, "is being deleted", answer.Code)
	if all := w.all(); len(all) != 0 {
		t.Errorf("%d Pages are in use still", len(all))
	}
	// While it is under way, the Page may be connected anew: that is another connection.
	w.next(meta.Outcome{Person: "Mia"})
	w.want(w.visit(loginPath), 200, "The Page is connected")
	w.erase()
	w.want(w.visit(answer.URL), 200, "Your data was deleted", "messages")
	if n := w.count("facebook_messages"); n != 0 {
		t.Errorf("%d messages left", n)
	}
	w.only()
	r := w.lastReceipt()
	if raw, err := json.Marshal(r); err != nil || strings.Contains(string(raw), page.UserID) || r.Topic != store.TopicPagesDeletion || r.State != store.ErasureDone {
		t.Errorf("receipt %s, %v", raw, err)
	}
	// The same request once more is the same, and does not touch the new connection.
	read(w.ask("/facebook/deletion", page.UserID, at, metaSecret))
	if answer != first {
		t.Errorf("asked again: %v, want %v", answer, first)
	}
	w.only()
	read(w.ask("/facebook/deletion", "somebody", at, metaSecret))
	w.want(w.visit(answer.URL), 200, "Nothing was held of you")
	w.want(w.visit("/facebook/deletion/guessed"), 404, "No such request")
}

// answered is a page, where that name is a Page.
type answered = page

func TestTheAppsSecretAtFacebookIsReplacedUnderARunningService(t *testing.T) {
	w := newPlaza(t, func(config *meta.Config, settings *connect.FacebookConfig) {
		config.Apps[0].Secrets = []string{"the-third", metaSecret}
	})
	w.next(meta.Outcome{Person: "Mia"})
	if err := w.pages.AddAppSecret(t.Context(), secret.New("mistyped")); err == nil || !strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("a secret that Facebook does not know: %v", err)
	}
	must(t, w.pages.AddAppSecret(t.Context(), secret.New("the-third")))
	// A process that began before hears of it.
	if got := reveal(w.pages.AppSecrets()); got != "the-third "+metaSecret+" "+metaOld {
		t.Errorf("secrets %s", got)
	}
	w.want(w.visit(loginPath), 200, "The Page is connected")
	w.write("Tea House", "signed by the third")
	w.settle()
	if got := w.waiting(w.only()); len(got) != 1 {
		t.Errorf("waiting: %q", got)
	}
}

func TestABodyThatIsNotSignedChangesNothing(t *testing.T) {
	w := newPlaza(t)
	page := w.teaHouse()
	// Each comes with such a copy of it before.
	w.meta.SetFaults(meta.Faults{Forge: 1, Unsigned: 1, SHA1Only: 1, Reencode: 1})
	w.write("Tea House", "Grüße")
	w.settle()
	odd := map[string]int{}
	for _, d := range w.meta.Deliveries() {
		for _, attempt := range d.Attempts {
			odd[attempt.Odd] = attempt.Status
		}
	}
	if len(odd) != 5 || odd["forged"] != 401 || odd["unsigned"] != 401 || odd["sha1"] != 401 || odd["reencoded"] != 401 || odd[""] != 200 {
		t.Errorf("answered %v", odd)
	}
	if got := w.waiting(page); !slices.Equal(got, []string{"Grüße"}) || w.count("facebook_messages") != 1 {
		t.Errorf("waiting: %q", got)
	}
}

func TestFacebookVerifiesTheAddress(t *testing.T) {
	w := newPlaza(t)
	w.want(w.visit("/facebook/webhook?hub.mode=subscribe&hub.challenge=<b>7&hub.verify_token=chosen"), 200, "<b>7")
	w.want(w.visit("/facebook/webhook?hub.mode=subscribe&hub.challenge=7&hub.verify_token=other"), 403)
	w.want(w.visit("/facebook/webhook"), 403)
}
