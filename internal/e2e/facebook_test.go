package e2e

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stockroom/internal/query"
	"stockroom/internal/simulator"
	"stockroom/internal/simulator/meta"
)

const (
	metaApp    = "100200300"
	metaSecret = "secret-at-meta"
	owner      = "Mia Merchant"
	teaHouse   = "Tea House"
)

// square is a world with a simulated Facebook, and the service on it.
type square struct {
	*world
	meta    *meta.Meta
	service *service
}

// newSquare starts a service with a shop, and connects a Page to it in the way a
// person does: by the link that the command prints.
func newSquare(t *testing.T) *square {
	t.Helper()
	s := &square{world: newWorld(t, simulator.Catalogue{Products: 3}, func(address string, config *simulator.Config) {
		config.Meta = meta.Config{
			Apps: []meta.App{{ID: metaApp, Name: "Stockroom", Secrets: []string{metaSecret}, RedirectURIs: []string{address + "/facebook/callback"},
				DeauthorizeURL: address + "/facebook/deauthorize", DeletionURL: address + "/facebook/deletion", RequireProof: true}},
			Pages: []meta.PageSpec{{Name: teaHouse, Owner: owner}, {Name: "Only looked at", Owner: owner, Tasks: []string{meta.TaskAnalyze}}},
		}
	})}
	s.settings = []string{"FACEBOOK_APP_ID=" + metaApp, "FACEBOOK_APP_SECRET=" + metaSecret, "FACEBOOK_VERIFY_TOKEN=a-text-of-ours",
		"FACEBOOK_REDIRECT_URI=" + s.url("/facebook/callback"), "FACEBOOK_GRAPH_URL=" + s.simURL + "/graph.facebook.com", "FACEBOOK_DIALOG_URL=" + s.simURL + "/www.facebook.com"}
	s.meta = s.sim.Meta()
	s.service = s.serve()
	s.connect()
	return s
}

// login follows a link of `stockroom pages add` to its end, and returns what is
// said there.
func (s *square) login(outcome meta.Outcome) string {
	s.t.Helper()
	if err := s.meta.NextOutcome(outcome); err != nil {
		s.t.Fatal(err)
	}
	link, stderr, code := s.run("pages", "add", "--shop", domain)
	if code != 0 {
		s.t.Fatalf("pages add exited %d: %s", code, stderr)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.read((&http.Client{Jar: jar}).Get(strings.TrimSpace(link)))
}

func (s *square) read(response *http.Response, err error) string {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.NewReplacer("&#34;", `"`, "&#39;", "'", "&amp;", "&").Replace(string(body))
}

// pages are the Pages as the command lists them.
func (s *square) pages() []query.PageStatus {
	s.t.Helper()
	out, stderr, code := s.run("pages", "list", "--json")
	var pages []query.PageStatus
	if err := json.Unmarshal([]byte(out), &pages); code != 0 || err != nil {
		s.t.Fatalf("pages list exited %d: %v %s", code, err, stderr)
	}
	return pages
}

// page is the one Page.
func (s *square) page() query.PageStatus {
	s.t.Helper()
	pages := s.pages()
	if len(pages) != 1 {
		s.t.Fatalf("%d Pages are connected, want 1: %+v", len(pages), pages)
	}
	return pages[0]
}

// waits waits until so many messages wait for an answer.
func (s *square) waits(n int64) {
	s.t.Helper()
	s.until(fmt.Sprintf("%d messages wait", n), func() bool { return s.page().Waiting == n })
}

func (s *square) write(shopper, text string) {
	s.t.Helper()
	if _, err := s.meta.Write(meta.Message{Page: teaHouse, Shopper: shopper, Text: text}); err != nil {
		s.t.Fatal(err)
	}
}

// rows counts rows of a table of the service's database.
func (s *square) rows(where string) (n int) {
	s.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(s.dir, "stockroom.db")+"?mode=ro")
	if err != nil {
		s.t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRowContext(s.t.Context(), "SELECT count(*) FROM "+where).Scan(&n); err != nil {
		s.t.Fatalf("count %s: %v", where, err)
	}
	return n
}

// said wants texts in a page.
func (s *square) said(text string, want ...string) {
	s.t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			s.t.Errorf("%q is not said:\n%s", w, text)
		}
	}
}

// TestPageIsConnectedHeardAndDisconnected is a Page's life, the program against
// the simulated Facebook over real HTTP.
func TestPageIsConnectedHeardAndDisconnected(t *testing.T) {
	s := newSquare(t)

	// A login that is cancelled and one that shares nothing connect nothing.
	s.said(s.login(meta.Outcome{Kind: meta.Cancelled}), "cancel")
	s.said(s.login(meta.Outcome{Pages: []string{}}), "Page")
	if pages := s.pages(); len(pages) != 0 {
		t.Fatalf("connected after all: %+v", pages)
	}
	s.said(s.login(meta.Outcome{}), "The Page is connected", teaHouse)
	page := s.page()
	if page.State != "connected" || page.Name != teaHouse || !page.ExpiresAt.IsZero() || len(page.Troubles) != 0 {
		t.Fatalf("the Page: %+v", page)
	}
	standing := s.meta.Standing()
	for _, field := range []string{"messages", "messaging_postbacks", "message_echoes", "standby"} {
		if !slices.Contains(standing.Apps[0].Fields, field) || !slices.Contains(standing.Pages[0].Fields[metaApp], field) {
			t.Errorf("%s is not subscribed at both levels: %v, %v", field, standing.Apps[0].Fields, standing.Pages[0].Fields)
		}
	}

	// Messages in Meta's own bytes, odd ones before and copies behind them.
	s.meta.SetFaults(meta.Faults{Forge: 1, Unsigned: 1, SHA1Only: 1, Reencode: 1, Double: 1, Unknown: 1, EmptyUpdate: 1, TextTimes: 1, OldEscapes: true})
	s.write("Zoë", "Hätten Sie grünen Tee? 🍵 <50%> a@b/c")
	s.write("علي", "مرحبا")
	s.waits(2)
	s.meta.SetFaults(meta.Faults{})

	// An answer from the inbox is an echo, and afterwards the app is on standby:
	// nothing of that waits.
	if _, err := s.meta.Answer(teaHouse, "Zoë", false, "I am a person."); err != nil {
		t.Fatal(err)
	}
	s.until("the echo is kept", func() bool { return s.rows("facebook_messages WHERE kind = 'echo'") >= 1 })
	before := s.page().Waiting
	s.write("Zoë", "Thank you")
	s.until("what came on standby is kept", func() bool { return s.rows("facebook_messages WHERE standby = 1") == 1 })
	if after := s.page().Waiting; after > before {
		t.Errorf("%d messages wait after one on standby, %d before", after, before)
	}
	if s.rows("facebook_messages WHERE state = 'waiting' AND standby = 1") != 0 {
		t.Error("a message on standby waits for an answer")
	}
	out, _, _ := s.run("status")
	s.said(out, teaHouse)

	// The Page is unsubscribed at its own level, which Meta tells nobody.
	if err := s.meta.Unsubscribe(teaHouse, metaApp); err != nil {
		t.Fatal(err)
	}
	s.write("Ann", "Nobody hears this")
	if out, stderr, code := s.run("pages", "repair"); code != 0 {
		t.Fatalf("pages repair exited %d: %s%s", code, out, stderr)
	}
	if fields := s.meta.Standing().Pages[0].Fields[metaApp]; !slices.Contains(fields, "messages") {
		t.Errorf("the audit left the Page subscribed to %v", fields)
	}
	kept := s.rows("facebook_messages")
	s.write("Ann", "Is somebody there?")
	s.until("it is heard again", func() bool { return s.rows("facebook_messages") == kept+1 })

	// A kill -9 right behind an accepted message loses nothing.
	s.write("Ann", "And now?")
	if err := s.sim.Quiet(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.service.kill()
	s.service = s.serve()
	s.until("what was accepted is applied", func() bool { return s.rows("facebook_messages") == kept+2 })

	// A new password ends the token: health says so, and what to do.
	if err := s.meta.ChangePassword(owner); err != nil {
		t.Fatal(err)
	}
	s.run("pages", "repair")
	if page = s.page(); page.State != "reconnect" || len(page.Troubles) == 0 || page.Troubles[0].Remedy == "" || !strings.Contains(strings.ToLower(page.Troubles[0].What), "password") {
		t.Errorf("after a new password: %+v", page)
	}
	s.said(s.login(meta.Outcome{}), "The Page is connected")
	if page = s.page(); page.State != "connected" || len(page.Troubles) != 0 {
		t.Errorf("after connecting again: %+v", page)
	}

	// The person removes the app, and it is told so.
	if err := s.meta.RemoveApp(owner, metaApp); err != nil {
		t.Fatal(err)
	}
	s.until("the Page wants to be connected again", func() bool { return s.page().State == "reconnect" })
	s.said(s.login(meta.Outcome{}), "The Page is connected")

	// Disconnected by command: Meta sends nothing any more, and nothing is kept.
	number := s.page().Page
	if _, stderr, code := s.run("pages", "disconnect", "--yes", "--page", number); code != 0 {
		t.Fatalf("pages disconnect exited %d: %s", code, stderr)
	}
	if fields := s.meta.Standing().Pages[0].Fields[metaApp]; len(fields) != 0 {
		t.Errorf("Meta still sends %v", fields)
	}
	s.until("nothing is kept", func() bool { return s.rows("facebook_messages") == 0 && s.rows("facebook_pages") == 0 })

	// No token and no secret was in an address that was logged, and none is in the log.
	log := s.service.log.String()
	for _, secret := range []string{metaSecret, "EAA", "a-text-of-ours"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
}

// TestDataDeletionErasesThePageAndSaysSo: what the person asks at Facebook is
// carried out, and the page of which Facebook is told says so.
func TestDataDeletionErasesThePageAndSaysSo(t *testing.T) {
	s := newSquare(t)
	s.said(s.login(meta.Outcome{}), "The Page is connected")
	const words = "a word that nothing else has"
	s.write("Zoë", words)
	s.waits(1)
	s.meta.SetFaults(meta.Faults{CallbackForge: 1, CallbackAlgorithm: 1, CallbackPadding: 1})
	if err := s.meta.RequestDeletion(owner, metaApp); err != nil {
		t.Fatal(err)
	}
	if err := s.sim.Quiet(t.Context()); err != nil {
		t.Fatal(err)
	}
	var told meta.Callback
	for _, c := range s.meta.Callbacks() {
		if c.Kind == meta.Deletion {
			told = c
		}
		for _, a := range c.Tries {
			if (a.Odd == "") != (a.Status == http.StatusOK) {
				t.Errorf("%s, odd %q: answered %d", c.Kind, a.Odd, a.Status)
			}
		}
	}
	if told.Problem != "" || told.Code == "" || !strings.Contains(told.StatusURL, told.Code) {
		t.Fatalf("the request for deletion: %+v", told)
	}
	s.until("it is erased", func() bool { return s.rows("facebook_pages") == 0 && s.rows("facebook_messages") == 0 })
	s.until("the status page says so", func() bool {
		page := s.read(http.Get(told.StatusURL))
		return strings.Contains(page, "erased") || strings.Contains(page, "deleted")
	})
	s.service.stop()
	for _, name := range []string{"stockroom.db", "stockroom.db-wal"} {
		raw, err := os.ReadFile(filepath.Join(s.dir, name))
		if err == nil && strings.Contains(string(raw), words) {
			t.Errorf("%s still holds what was written", name)
		}
	}
}

// TestFailingWebhookEndsTheSubscriptionAndTheNextStartMendsIt: a service that
// was away for more than an hour finds its Page unsubscribed.
func TestFailingWebhookEndsTheSubscriptionAndTheNextStartMendsIt(t *testing.T) {
	s := newSquare(t)
	s.said(s.login(meta.Outcome{}), "The Page is connected")
	s.service.stop()
	s.write("Zoë", "Is anybody there?")
	if err := s.sim.Advance(t.Context(), 61*time.Minute); err != nil {
		t.Fatal(err)
	}
	alerts := s.meta.Alerts()
	if len(alerts) != 2 || alerts[1].What != "disabled" || len(s.meta.Standing().Pages[0].Fields[metaApp]) != 0 {
		t.Fatalf("alerts %+v, Page %+v", alerts, s.meta.Standing().Pages[0])
	}
	s.service = s.serve()
	s.until("the Page is subscribed again", func() bool { return len(s.meta.Standing().Pages[0].Fields[metaApp]) > 0 })
	s.write("Zoë", "Hello again")
	s.waits(1)
}

// TestCallbackThatNobodyBeganIsRefused: a callback that nobody began gives
// nothing away and connects nothing.
func TestCallbackThatNobodyBeganIsRefused(t *testing.T) {
	s := newSquare(t)
	for _, outcome := range []string{meta.WrongState, meta.NoState} {
		s.login(meta.Outcome{Kind: outcome})
		if pages := s.pages(); len(pages) != 0 {
			t.Errorf("%s connected %+v", outcome, pages)
		}
	}
	query := url.Values{"state": {"made-up"}, "code": {"AQmade-up"}}
	response, err := http.Get(s.url("/facebook/callback?" + query.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode < 400 {
		t.Errorf("a made-up callback was answered %d", response.StatusCode)
	}
}
