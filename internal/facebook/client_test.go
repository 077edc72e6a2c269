package facebook_test

import (
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

	"stockroom/internal/facebook"
	"stockroom/internal/secret"
)

const (
	appID     = "1234567890"
	appSecret = "the-app-secret"
	oldSecret = "the-old-app-secret"
)

var userToken, pageToken = secret.New("EAAuser-token"), secret.New("EAApage-token")

// meta answers as a test says, and keeps what was asked.
type meta struct {
	client *facebook.Client
	answer func(http.ResponseWriter, *http.Request)

	mu    sync.Mutex
	calls []*http.Request
}

func newMeta(t *testing.T, answer func(http.ResponseWriter, *http.Request)) *meta {
	m := &meta{answer: answer}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		m.mu.Lock()
		m.calls = append(m.calls, r)
		m.mu.Unlock()
		m.answer(w, r)
	}))
	t.Cleanup(server.Close)
	m.client = facebook.New(facebook.Config{AppID: appID, GraphURL: server.URL, DialogURL: "https://dialog.example", HTTP: server.Client(),
		Secrets: func() []secret.Secret { return []secret.Secret{secret.New(appSecret), secret.New(oldSecret)} }})
	return m
}

func says(text string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
}

// refuses answers with an error of Meta's, in another language, as its pages warn of.
func refuses(status, code, subcode int) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"error":{"message":"(#%d) 出错了","type":"OAuthException","code":%d,"error_subcode":%d,"fbtrace_id":"AbC"}}`, code, code, subcode)
	}
}

// every makes each call that holds a token once.
var every = map[string]func(*testing.T, *facebook.Client) error{
	"pages": func(t *testing.T, c *facebook.Client) error { _, err := c.Pages(t.Context(), userToken); return err },
	"fields": func(t *testing.T, c *facebook.Client) error {
		_, _, err := c.PageFields(t.Context(), "7", userToken)
		return err
	},
	"subscribe": func(t *testing.T, c *facebook.Client) error {
		return c.SubscribePage(t.Context(), "7", userToken, facebook.Fields())
	},
	"unsubscribe": func(t *testing.T, c *facebook.Client) error {
		return c.UnsubscribePage(t.Context(), "7", userToken)
	},
	"send": func(t *testing.T, c *facebook.Client) error {
		_, err := c.Send(t.Context(), "7", userToken, facebook.Message{To: "9", Text: "hello"})
		return err
	},
	"exchange": func(t *testing.T, c *facebook.Client) error {
		_, err := c.Exchange(t.Context(), "https://a.example/facebook/callback", secret.New("the-code"))
		return err
	},
	"extend":  func(t *testing.T, c *facebook.Client) error { _, err := c.Extend(t.Context(), userToken); return err },
	"inspect": func(t *testing.T, c *facebook.Client) error { _, err := c.Inspect(t.Context(), userToken); return err },
	"revoke":  func(t *testing.T, c *facebook.Client) error { return c.Revoke(t.Context(), "55") },
	"app":     func(t *testing.T, c *facebook.Client) error { _, err := c.CheckApp(t.Context()); return err },
	"hooks":   func(t *testing.T, c *facebook.Client) error { _, err := c.AppSubscriptions(t.Context()); return err },
	"subscribe the app": func(t *testing.T, c *facebook.Client) error {
		return c.SubscribeApp(t.Context(), facebook.AppSubscription{Object: "page", Callback: "https://a.example/x"}, secret.New("the-verify-token"))
	},
}

func TestEveryCallWithATokenCarriesItsProof(t *testing.T) {
	m := newMeta(t, says(`{"success":true,"access_token":"x","data":[]}`))
	for name, make := range every {
		m.calls = nil
		_ = make(t, m.client)
		if len(m.calls) != 1 {
			t.Fatalf("%s: %d calls", name, len(m.calls))
		}
		query := m.calls[0].URL.Query()
		switch token := query.Get("access_token"); {
		case name == "exchange" || name == "extend":
			if query.Get("client_secret") != appSecret || query.Get("client_id") != appID || token != "" {
				t.Errorf("%s: %v", name, query)
			}
		case token == appID+"|"+appSecret: // The app's own holds the secret itself.
			if query.Has("appsecret_proof") {
				t.Errorf("%s: the app's token needs no proof", name)
			}
		default:
			if token != userToken.Reveal() || query.Get("appsecret_proof") != facebook.Proof(userToken, secret.New(appSecret)) {
				t.Errorf("%s: token %q, proof %q", name, token, query.Get("appsecret_proof"))
			}
		}
		if !strings.HasPrefix(m.calls[0].URL.Path, "/"+facebook.Version+"/") {
			t.Errorf("%s: asked %s, without the version", name, m.calls[0].URL.Path)
		}
	}
}

func TestTheProofIsKeyedByTheSecret(t *testing.T) {
	// echo -n token | openssl dgst -sha256 -hmac secret
	const want = "e941110e3d2bfe82621f0e3e1434730d7305d106c5f68c87165d0b27a4611a4a"
	if got := facebook.Proof(secret.New("token"), secret.New("secret")); got != want {
		t.Errorf("proof %s, want %s", got, want)
	}
}

func TestNoSecretIsInAnError(t *testing.T) {
	secrets := []string{appSecret, oldSecret, userToken.Reveal(), "the-code", "the-verify-token", facebook.Proof(userToken, secret.New(appSecret))}
	answers := map[string]func(http.ResponseWriter, *http.Request){
		"refusal": refuses(400, 190, 460),
		"page": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(502)
			_, _ = io.WriteString(w, "<html>"+r.URL.String())
		},
		"moved": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere?"+r.URL.RawQuery, http.StatusFound)
		},
		"cut":   func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, `{"x":"`+r.URL.RawQuery) },
		"form":  func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprintf(w, `[%q]`, r.URL.RawQuery) },
		"abort": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	}
	for kind, answer := range answers {
		m := newMeta(t, answer)
		for name, make := range every {
			err := make(t, m.client)
			if err == nil {
				t.Errorf("%s answered with %s is no error", name, kind)
				continue
			}
			what, do := facebook.Explain(err)
			for _, hidden := range secrets {
				for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err), what, do} {
					if strings.Contains(text, hidden) || strings.Contains(text, url.QueryEscape(hidden)) {
						t.Errorf("%s answered with %s tells %q: %s", name, kind, hidden, text)
					}
				}
			}
			if what == "" || do == "" || facebook.ClassOf(err) == "" {
				t.Errorf("%s answered with %s: class %q, %q, %q", name, kind, facebook.ClassOf(err), what, do)
			}
		}
	}
}

func TestNoRedirectIsFollowed(t *testing.T) {
	m := newMeta(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "elsewhere") {
			_, _ = io.WriteString(w, `{"data":[]}`)
			return
		}
		http.Redirect(w, r, "/elsewhere?"+r.URL.RawQuery, http.StatusFound)
	})
	_, err := m.client.Pages(t.Context(), userToken)
	if _, do := facebook.Explain(err); len(m.calls) != 1 || !strings.Contains(do, "FACEBOOK_GRAPH_URL") {
		t.Errorf("%d calls, %v", len(m.calls), err)
	}
}

func TestAnOlderSecretIsUsedWhileMetaDoesNotKnowTheNewOne(t *testing.T) {
	m := newMeta(t, nil)
	m.answer = func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("appsecret_proof") != facebook.Proof(userToken, secret.New(oldSecret)) {
			w.WriteHeader(400)
			_, _ = io.WriteString(w, `{"error":{"message":"Invalid appsecret_proof provided in the API argument","type":"GraphMethodException","code":100}}`)
			return
		}
		_, _ = io.WriteString(w, `{"data":[]}`)
	}
	if _, err := m.client.Pages(t.Context(), userToken); err != nil || len(m.calls) != 2 {
		t.Errorf("%d calls, %v", len(m.calls), err)
	}
	m.answer = func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Query().Get("access_token"), oldSecret) {
			refuses(400, 190, 0)(w, r)
			return
		}
		_, _ = io.WriteString(w, `{"name":"Shop bot"}`)
	}
	if name, err := m.client.CheckApp(t.Context()); err != nil || name != "Shop bot" {
		t.Errorf("%q, %v", name, err)
	}
	// A refusal of the token itself is not tried again: that would only count against its owner.
	m.calls, m.answer = nil, refuses(400, 190, 460)
	if _, err := m.client.Pages(t.Context(), userToken); facebook.ClassOf(err) != facebook.ClassToken || len(m.calls) != 1 {
		t.Errorf("%d calls, %v", len(m.calls), err)
	}
}

func TestPagesAreReadToTheEnd(t *testing.T) {
	m := newMeta(t, nil)
	m.answer = func(w http.ResponseWriter, r *http.Request) {
		n := 0
		_, _ = fmt.Sscanf(r.URL.Query().Get("after"), "c%d", &n)
		answer := map[string]any{"data": []any{map[string]any{"id": fmt.Sprint(n), "name": "Page", "tasks": []string{"MESSAGING", "ANALYZE"}, "access_token": "t"}},
			"paging": map[string]any{"cursors": map[string]string{"after": fmt.Sprintf("c%d", n+1)}}}
		if n < 4 {
			// Whom the address names is not asked.
			answer["paging"].(map[string]any)["next"] = "https://evil.example/?access_token=" + r.URL.Query().Get("access_token")
		}
		_ = json.NewEncoder(w).Encode(answer)
	}
	pages, err := m.client.Pages(t.Context(), userToken)
	if err != nil || len(pages) != 5 || pages[4].ID != "4" || pages[0].Token.Reveal() != "t" {
		t.Errorf("%d pages, %v", len(pages), err)
	}
	// A part that fails fails the list: what was not listed is not gone.
	whole := m.answer
	m.answer = func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("after") == "c3" {
			w.WriteHeader(500)
			return
		}
		whole(w, r)
	}
	if pages, err := m.client.Pages(t.Context(), userToken); err == nil || pages != nil {
		t.Errorf("%d pages of a list that broke off", len(pages))
	}
	for _, paging := range []string{`{"next":"x","cursors":{"after":"same"}}`, `{"next":"x"}`} {
		m.answer = says(`{"data":[],"paging":` + paging + `}`)
		if _, err := m.client.Pages(t.Context(), userToken); facebook.ClassOf(err) != facebook.ClassRetry {
			t.Errorf("%s: %v", paging, err)
		}
	}
}

func TestTasks(t *testing.T) {
	for _, tt := range []struct {
		tasks              string
		message, subscribe bool
	}{
		{"ADVERTISE ANALYZE CREATE_CONTENT MESSAGING MODERATE MANAGE", true, true},
		{"MESSAGING", true, false}, {"MODERATE", true, true}, {"MESSAGE CREATE_CONTENT", true, true},
		{"ANALYZE ADVERTISE", false, false}, {"CREATE_CONTENT", false, true}, {"", false, false},
	} {
		page := facebook.Page{Tasks: strings.Fields(tt.tasks)}
		if page.CanMessage() != tt.message || page.CanSubscribe() != tt.subscribe {
			t.Errorf("%s: message %v, subscribe %v", tt.tasks, page.CanMessage(), page.CanSubscribe())
		}
	}
}

func TestInspectingAToken(t *testing.T) {
	m := newMeta(t, says(`{"data":{"app_id":1234567890,"type":"PAGE","is_valid":true,"issued_at":1764000000,"expires_at":0,"data_access_expires_at":1771776000,
		"user_id":"55","profile_id":77,"scopes":["pages_show_list","pages_messaging","pages_manage_metadata"],
		"granular_scopes":[{"scope":"pages_messaging","target_ids":["77","78"]},{"scope":"pages_manage_metadata"},{"scope":"pages_show_list","target_ids":[]}]}}`))
	info, err := m.client.Inspect(t.Context(), pageToken)
	if err != nil || info.AppID != appID || info.Kind != "PAGE" || !info.Valid || info.UserID != "55" || info.PageID != "77" ||
		!info.ExpiresAt.IsZero() || info.DataExpiresAt.Unix() != 1771776000 || info.Invalid != nil {
		t.Errorf("%+v, %v", info, err)
	}
	if query := m.calls[0].URL.Query(); query.Get("input_token") != pageToken.Reveal() || query.Get("access_token") != appID+"|"+appSecret {
		t.Errorf("asked %v", query)
	}
	for _, tt := range []struct {
		scope, page string
		want        bool
	}{
		{"pages_messaging", "77", true}, {"pages_messaging", "79", false}, {"pages_manage_metadata", "79", true},
		{"pages_show_list", "77", false}, {"business_management", "77", false},
	} {
		if got := info.Allows(tt.scope, tt.page); got != tt.want {
			t.Errorf("%s for %s: %v", tt.scope, tt.page, got)
		}
	}
	if lacks := info.Lacks("77"); len(lacks) != 0 {
		t.Errorf("lacks %v", lacks)
	}
	if lacks := info.Lacks("79"); !slices.Equal(lacks, []string{"pages_messaging"}) {
		t.Errorf("lacks %v", lacks)
	}

	m.answer = says(`{"data":{"app_id":"1234567890","is_valid":false,"scopes":[],"error":{"code":190,"subcode":460,"message":"密码"}}}`)
	info, err = m.client.Inspect(t.Context(), pageToken)
	if err != nil || info.Valid || info.Invalid == nil || info.Invalid.Class != facebook.ClassToken || !strings.Contains(info.Invalid.What(), "password") {
		t.Errorf("%+v, %v", info, err)
	}
}

func TestThrottlingSaysHowLongToWait(t *testing.T) {
	m := newMeta(t, nil)
	m.answer = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Business-Use-Case-Usage", `{"1":[{"type":"messenger","estimated_time_to_regain_access":3}],"2":[{"estimated_time_to_regain_access":7}]}`)
		refuses(400, 80006, 0)(w, r)
	}
	_, err := m.client.Pages(t.Context(), userToken)
	var refused *facebook.Error
	if refused, _ = err.(*facebook.Error); refused == nil || refused.Class != facebook.ClassThrottled || refused.RetryAfter != 7*time.Minute {
		t.Errorf("%+v", err)
	}
}

func TestSubscriptionsOfAPage(t *testing.T) {
	m := newMeta(t, says(`{"data":[{"id":"999","subscribed_fields":["feed"]},{"id":"1234567890","subscribed_fields":["messages"]}]}`))
	fields, found, err := m.client.PageFields(t.Context(), "77", pageToken)
	if err != nil || !found || !slices.Equal(fields, []string{"messages"}) {
		t.Errorf("%v %v %v", fields, found, err)
	}
	if missing := facebook.Missing(facebook.Fields(), fields); len(missing) != len(facebook.Fields())-1 {
		t.Errorf("missing %v", missing)
	}
	m.answer = says(`{"data":[{"id":"999"}]}`)
	if _, found, err := m.client.PageFields(t.Context(), "77", pageToken); found || err != nil {
		t.Errorf("another app's subscription was taken for ours: %v", err)
	}
	m.answer = says(`{"success":false}`)
	if err := m.client.SubscribePage(t.Context(), "77", pageToken, []string{"messages"}); facebook.ClassOf(err) != facebook.ClassRetry {
		t.Errorf("not done, and %v", err)
	}
	m.answer = says(`{"data":[{"object":"page","callback_url":"https://a.example/facebook/webhook","active":true,"fields":[{"name":"messages","version":"v26.0"},"standby"]}]}`)
	all, err := m.client.AppSubscriptions(t.Context())
	if err != nil || len(all) != 1 || !all[0].Active || !slices.Equal(all[0].Fields, []string{"messages", "standby"}) {
		t.Errorf("%+v, %v", all, err)
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(`{"data":[{"id":"1","access_token":"t","subscribed_fields":["messages"]}],"paging":{"cursors":{"after":"x"}}}`, 200)
	f.Add(`{"data":{"app_id":1,"granular_scopes":[{"target_ids":[1,"2"]}]}}`, 200)
	f.Add(`{"error":{"code":190,"error_subcode":460}}`, 400)
	f.Add(`{"data":[{"fields":[{"name":1}]}]}`, 200)
	f.Fuzz(func(t *testing.T, answer string, status int) {
		if status < 200 || status > 599 || status == 204 || status == 304 {
			status = 200
		}
		client := facebook.New(facebook.Config{AppID: appID, GraphURL: "http://meta.example", Secrets: func() []secret.Secret { return []secret.Secret{secret.New("s")} },
			HTTP: &http.Client{Transport: transport(func(r *http.Request) *http.Response {
				return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(answer)), Request: r}
			})}})
		for name, make := range every {
			if err := make(t, client); err != nil {
				if what, do := facebook.Explain(err); facebook.ClassOf(err) == "" || what == "" || do == "" {
					t.Errorf("%s: %v has no class or no words", name, err)
				}
			}
		}
	})
}

type transport func(*http.Request) *http.Response

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }
