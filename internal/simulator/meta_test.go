package simulator_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stockroom/internal/simulator"
	"stockroom/internal/simulator/meta"
)

const (
	fbApp      = "1234567890"
	fbSecret   = "a secret of Meta"
	fbCallback = "http://127.0.0.1:9/facebook/callback"
	fbVerify   = "a verify token"
)

// fbScopes are what a sales bot asks for.
var fbScopes = []string{"pages_show_list", "pages_manage_metadata", "pages_messaging", "pages_read_engagement", "business_management"}

// post is what arrived at the app.
type post struct {
	path   string
	header http.Header
	raw    []byte
}

// facebook is a simulator with Meta's side, over loopback, and an app that takes
// what comes.
type facebook struct {
	*simulator.Simulator
	t   *testing.T
	m   *meta.Meta
	url string // The simulator's.
	app *httptest.Server

	mu     sync.Mutex
	posts  []post
	status int
	answer func(post) (int, string) // Instead of status, where set.
}

func newFacebook(t *testing.T, configure func(*simulator.Config)) *facebook {
	t.Helper()
	f := &facebook{t: t, status: http.StatusOK}
	f.app = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && r.URL.Query().Get("hub.mode") == "subscribe" {
			if r.URL.Query().Get("hub.verify_token") != fbVerify {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			io.WriteString(w, r.URL.Query().Get("hub.challenge"))
			return
		}
		if r.Method == http.MethodGet { // The page about a deletion.
			io.WriteString(w, "All of it is deleted.")
			return
		}
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read what came: %v", err)
		}
		p := post{r.URL.Path, r.Header.Clone(), raw}
		f.mu.Lock()
		f.posts = append(f.posts, p)
		status, body, answer := f.status, "", f.answer
		f.mu.Unlock()
		if answer != nil {
			status, body = answer(p)
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}))
	t.Cleanup(f.app.Close)
	config := simulator.Config{Seed: 3, Meta: meta.Config{
		Apps: []meta.App{{ID: fbApp, Name: "Sales bot", Secrets: []string{fbSecret, "an older secret"}, RedirectURIs: []string{fbCallback},
			DeauthorizeURL: f.app.URL + "/deauthorize", DeletionURL: f.app.URL + "/deletion"}},
		Pages: []meta.PageSpec{{Name: "Tea House", Owner: "Mia Merchant", Instagram: "teahouse"}, {Name: "Looked at", Owner: "Mia Merchant", Tasks: []string{"ANALYZE", "ADVERTISE"}}},
	}}
	if configure != nil {
		configure(&config)
	}
	f.Simulator = simulator.New(config)
	f.m = f.Meta()
	server := httptest.NewServer(f.Handler())
	t.Cleanup(server.Close)
	f.url = server.URL
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Stop)
	return f
}

// taken are what arrived so far.
func (f *facebook) taken() []post {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.posts)
}

func (f *facebook) setStatus(status int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status = status
}

// dialogURL is where the app sends a person.
func (f *facebook) dialogURL(change func(url.Values)) string {
	query := url.Values{"client_id": {fbApp}, "redirect_uri": {fbCallback}, "state": {"n0nce"}, "scope": {strings.Join(fbScopes, ",")}}
	if change != nil {
		change(query)
	}
	return f.url + "/www.facebook.com/v26.0/dialog/oauth?" + query.Encode()
}

// login goes through the dialog and returns what the app's callback gets.
func (f *facebook) login(change func(url.Values)) url.Values {
	f.t.Helper()
	response, err := noRedirects().Get(f.dialogURL(change))
	if err != nil {
		f.t.Fatal(err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	to, err := response.Location()
	if err != nil {
		f.t.Fatalf("dialog: status %d: %s", response.StatusCode, body)
	}
	return to.Query()
}

// graph calls the Graph API; params of a GET are in the query, of a POST in a form.
func (f *facebook) graph(method, path string, params url.Values) (int, map[string]any, http.Header) {
	f.t.Helper()
	address := f.url + "/graph.facebook.com/v26.0/" + path
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader(params.Encode())
	} else {
		address += "?" + params.Encode()
	}
	request, err := http.NewRequestWithContext(f.t.Context(), method, address, body)
	if err != nil {
		f.t.Fatal(err)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return f.do(request)
}

func (f *facebook) do(request *http.Request) (int, map[string]any, http.Header) {
	f.t.Helper()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		f.t.Fatal(err)
	}
	defer response.Body.Close()
	var out map[string]any
	if err := json.NewDecoder(response.Body).Decode(&out); err != nil {
		f.t.Fatalf("%s %s: status %d: %v", request.Method, request.URL.Path, response.StatusCode, err)
	}
	return response.StatusCode, out, response.Header
}

// sendJSON posts JSON to the Graph API.
func (f *facebook) sendJSON(path, token string, body any) (int, map[string]any, http.Header) {
	f.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		f.t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(f.t.Context(), http.MethodPost, f.url+"/graph.facebook.com/v26.0/"+path, bytes.NewReader(text))
	if err != nil {
		f.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+token)
	return f.do(request)
}

// code is the name of the error that an answer has, as 190/460; "" for none.
func code(answer map[string]any) string {
	e, ok := answer["error"].(map[string]any)
	if !ok {
		return ""
	}
	name := fmt.Sprint(e["code"])
	if sub, ok := e["error_subcode"]; ok {
		name += fmt.Sprintf("/%.0f", sub)
	}
	return name
}

// userToken logs in and returns a long-lived token.
func (f *facebook) userToken() string {
	f.t.Helper()
	back := f.login(nil)
	_, short, _ := f.graph("GET", "oauth/access_token", url.Values{"client_id": {fbApp}, "client_secret": {fbSecret}, "redirect_uri": {fbCallback}, "code": back["code"]})
	_, long, _ := f.graph("GET", "oauth/access_token", url.Values{"client_id": {fbApp}, "client_secret": {fbSecret}, "grant_type": {"fb_exchange_token"},
		"fb_exchange_token": {fmt.Sprint(short["access_token"])}})
	token, ok := long["access_token"].(string)
	if !ok {
		f.t.Fatalf("no long-lived token: %v, %v, %v", back, short, long)
	}
	return token
}

// connect logs in, takes a Page's token and subscribes to it at both levels.
func (f *facebook) connect(fields ...string) (page, token string) {
	f.t.Helper()
	_, accounts, _ := f.graph("GET", "me/accounts", url.Values{"access_token": {f.userToken()}})
	for _, row := range accounts["data"].([]any) {
		if row := row.(map[string]any); row["name"] == "Tea House" {
			page, token = row["id"].(string), row["access_token"].(string)
		}
	}
	if len(fields) == 0 {
		fields = []string{"messages", "messaging_postbacks", "message_echoes", "message_deliveries", "message_reads", "message_reactions", "messaging_referrals", "messaging_handovers", "standby"}
	}
	want := url.Values{"object": {"page"}, "callback_url": {f.app.URL + "/webhook"}, "verify_token": {fbVerify}, "fields": {strings.Join(fields, ",")}, "access_token": {fbApp + "|" + fbSecret}}
	if status, answer, _ := f.graph("POST", fbApp+"/subscriptions", want); status != 200 {
		f.t.Fatalf("subscribe the app: %d %v", status, answer)
	}
	if status, answer, _ := f.graph("POST", page+"/subscribed_apps", url.Values{"subscribed_fields": {strings.Join(fields, ",")}, "access_token": {token}}); status != 200 {
		f.t.Fatalf("subscribe the Page: %d %v", status, answer)
	}
	return page, token
}

// quiet waits until every webhook was tried once.
func (f *facebook) quiet() {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), 20*time.Second)
	defer cancel()
	if err := f.Quiet(ctx); err != nil {
		f.t.Fatal(err)
	}
}

func TestPageIsConnectedAndHears(t *testing.T) {
	f := newFacebook(t, nil)
	page, token := f.connect()
	if _, err := f.m.Write(meta.Message{Page: "Tea House", Shopper: "Zoë", Text: "Hätten Sie grünen Tee? 🍵 a/b <c> 50%"}); err != nil {
		t.Fatal(err)
	}
	f.quiet()
	posts := f.taken()
	if len(posts) != 1 {
		t.Fatalf("%d posts came, want 1", len(posts))
	}
	want := `"text":"H\u00e4tten Sie gr\u00fcnen Tee? \ud83c\udf75 a\/b <c> 50%"`
	if body := string(posts[0].raw); !strings.Contains(body, want) || !strings.Contains(body, `"object":"page"`) || !strings.Contains(body, `"id":"`+page+`"`) {
		t.Errorf("the body is %s, want %s in it", body, want)
	}
	mac := hmac.New(sha256.New, []byte(fbSecret))
	mac.Write(posts[0].raw)
	if got, want := posts[0].header.Get("X-Hub-Signature-256"), "sha256="+hex.EncodeToString(mac.Sum(nil)); got != want {
		t.Errorf("signature %q, want %q", got, want)
	}
	_, about, _ := f.graph("GET", "debug_token", url.Values{"input_token": {token}, "access_token": {fbApp + "|" + fbSecret}})
	data := about["data"].(map[string]any)
	if data["type"] != "PAGE" || data["is_valid"] != true || data["expires_at"] != 0.0 || data["profile_id"] != page {
		t.Errorf("debug_token says %v", data)
	}
}

// TestFacebookIsKeptInTheState: tokens, subscriptions, conversations and what is
// still to be tried go on after a restart, and nothing is given out twice.
func TestFacebookIsKeptInTheState(t *testing.T) {
	f := newFacebook(t, nil)
	page, token := f.connect()
	f.setStatus(http.StatusServiceUnavailable)
	write(t, f, meta.Message{Text: "Kept"})
	f.quiet()
	var saved bytes.Buffer
	if err := f.Save(&saved); err != nil {
		t.Fatal(err)
	}
	f.Stop()
	if strings.Contains(saved.String(), fbSecret) {
		t.Error("the state holds the app's secret")
	}
	var config simulator.Config
	g := newFacebook(t, func(c *simulator.Config) {
		c.Meta.Pages = nil
		config = *c
	})
	g.Stop()
	config.Meta.Apps[0].Secrets = []string{fbSecret}
	g.Simulator = simulator.New(config)
	g.m = g.Meta()
	if err := g.Load(&saved); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(g.Handler())
	t.Cleanup(server.Close)
	g.url = server.URL
	f.setStatus(http.StatusOK)
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Stop)
	before := len(f.taken())
	if err := g.Advance(t.Context(), 10*time.Minute); err != nil {
		t.Fatal(err)
	}
	if posts := f.taken(); len(posts) != before+1 || !strings.Contains(string(posts[before].raw), "Kept") {
		t.Errorf("%d posts after the restart, want 1 more than %d", len(posts), before)
	}
	if alerts := g.m.Alerts(); len(alerts) != 0 {
		t.Errorf("alerts: %+v", alerts)
	}
	if _, answer, _ := g.graph("GET", page+"/subscribed_apps", url.Values{"access_token": {token}}); len(answer["data"].([]any)) != 1 {
		t.Errorf("subscribed after the restart: %v", answer)
	}
	talk, err := g.m.Talk("Tea House", "Zoë", false)
	if err != nil || len(talk.Messages) != 1 {
		t.Errorf("what was said: %+v, %v", talk, err)
	}
	if fresh := g.userToken(); fresh == token {
		t.Error("a token was given out twice")
	}
	other := simulator.New(simulator.Config{Seed: 3})
	saved.Reset()
	if err := g.Save(&saved); err != nil {
		t.Fatal(err)
	}
	if err := other.Load(&saved); err == nil || !strings.Contains(err.Error(), "--meta-app-id") {
		t.Errorf("an app that is not registered: %v", err)
	}
}

// TestResetMakesFacebookAnew: and the same steps give out the same tokens.
func TestResetMakesFacebookAnew(t *testing.T) {
	f := newFacebook(t, nil)
	_, first := f.connect()
	write(t, f, meta.Message{})
	f.quiet()
	if err := f.Reset(); err != nil {
		t.Fatal(err)
	}
	standing := f.m.Standing()
	if len(standing.Pages) != 2 || len(standing.Pages[0].Fields) != 0 || standing.Apps[0].Webhook != "" || len(f.m.Deliveries()) != 0 {
		t.Errorf("after a reset: %+v", standing)
	}
	if _, second := f.connect(); second != first {
		t.Error("the same steps after a reset gave another token")
	}
}

// TestControlReachesEachThing: over HTTP, as other languages use it.
func TestControlReachesEachThing(t *testing.T) {
	f := newFacebook(t, nil)
	f.connect()
	post := func(path, body string) (int, string) {
		t.Helper()
		response, err := http.Post(f.url+"/_sim/meta/"+path, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		answer, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(answer)
	}
	status, answer := post("write", `{"page":"Tea House","shopper":"Zoë","text":"Hello"}`)
	mid, _, _ := strings.Cut(strings.TrimPrefix(answer, `{"mid":"`), `"`)
	if status != 200 || !strings.HasPrefix(mid, "m_") {
		t.Fatalf("write: %d %s", status, answer)
	}
	f.quiet()
	here := `"page":"Tea House","shopper":"Zoë"`
	person := `"person":"Mia Merchant"`
	for _, tt := range [][2]string{
		{"outcome", `{"kind":"cancelled"}`}, {"people", `{"name":"Ann"}`}, {"pages", `{"name":"New","owner":"Ann"}`}, {"faults", `{"double":0.5}`},
		{"answer", `{` + here + `,"text":"Yes"}`}, {"give_back", `{` + here + `}`}, {"tap", `{` + here + `,"title":"A","payload":"a"}`}, {"read", `{` + here + `}`},
		{"react", `{` + here + `,"mid":"` + mid + `","emoji":"❤"}`}, {"edit", `{` + here + `,"mid":"` + mid + `","text":"Hi"}`},
		{"follow", `{` + here + `,"referral":{"source":"SHORTLINK","ref":"x","type":""}}`}, {"block", `{` + here + `}`}, {"block", `{` + here + `,"on":false}`},
		{"deafen", `{` + here + `}`}, {"agree", `{"shopper":"Zoë"}`}, {"role", `{"shopper":"Zoë"}`}, {"again", `{"id":"` + f.m.Deliveries()[0].ID + `"}`},
		{"deliver", `{"app":"` + fbApp + `","body":{"object":"page","entry":[]}}`}, {"tasks", `{` + person + `,"page":"Tea House","tasks":["MANAGE"]}`},
		{"revoke", `{` + person + `,"app":"` + fbApp + `","scopes":["email"]}`}, {"targets", `{` + person + `,"app":"` + fbApp + `","scope":"pages_messaging","pages":["Tea House"]}`},
		{"bar", `{"page":"Tea House"}`}, {"throttle", `{"page":"Tea House","for":"1m"}`}, {"closed", `{"page":"Tea House","on":false}`},
		{"enforce", `{"page":"Tea House","action":"block","reason":"spam"}`}, {"change", `{"page":"Tea House","field":"feed","value":{"verb":"add"}}`},
		{"unsubscribe", `{"page":"Tea House","app":"` + fbApp + `"}`}, {"checkpoint", `{` + person + `}`}, {"unconfirmed", `{` + person + `}`}, {"logout", `{` + person + `}`},
		{"password", `{` + person + `}`}, {"deletion", `{` + person + `,"app":"` + fbApp + `"}`},
	} {
		if status, answer := post(tt[0], tt[1]); status != 200 {
			t.Errorf("%s %s: %d %s", tt[0], tt[1], status, answer)
		}
	}
	for path, body := range map[string]string{"password": `{"person":"Nobody"}`, "write": `{"page":"None","shopper":"Z","text":"x"}`, "tasks": `{"persn":"x"}`, "faults": `{"nope":1}`} {
		if status, answer := post(path, body); status != 400 || !strings.Contains(answer, "error") {
			t.Errorf("%s %s: %d %s", path, body, status, answer)
		}
	}
	for _, path := range []string{"", "faults", "faults/all", "errors", "deliveries", "alerts", "callbacks", "threads?page=Tea+House", "profile?page=Tea+House"} {
		response, err := http.Get(f.url + "/_sim/meta/" + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != 200 || !json.Valid(body) {
			t.Errorf("GET %s: %d %s", path, response.StatusCode, body)
		}
	}
	// The log of requests names calls and parameters, and holds no value of one.
	text, err := json.Marshal(f.Requests(1000))
	if err != nil || strings.Contains(string(text), fbSecret) || strings.Contains(string(text), "EAA") || !strings.Contains(string(text), `"operation":"subscribed_apps"`) {
		t.Errorf("the log of requests: %s, %v", text, err)
	}
}
