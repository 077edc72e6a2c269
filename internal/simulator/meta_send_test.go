package simulator_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"stockroom/internal/simulator"
	"stockroom/internal/simulator/meta"
)

func hmacHex(key, message string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(message))
	return hex.EncodeToString(mac.Sum(nil))
}

func hmacBase64(key, message string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(message))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func fromBase64(t *testing.T, text string) string {
	t.Helper()
	out, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// events are what arrived at the webhook, flattened: "field kind" by what is in them.
func (f *facebook) events() []map[string]any {
	f.t.Helper()
	var out []map[string]any
	for _, p := range f.taken() {
		var body struct {
			Object string
			Entry  []struct {
				ID        string
				Messaging []map[string]any
				Standby   []map[string]any
			}
		}
		if err := json.Unmarshal(p.raw, &body); err != nil {
			f.t.Fatalf("%s: %v", p.raw, err)
		}
		for _, entry := range body.Entry {
			for _, e := range entry.Messaging {
				e["at"] = body.Object
				out = append(out, e)
			}
			for _, e := range entry.Standby {
				e["at"] = body.Object + " standby"
				out = append(out, e)
			}
		}
	}
	return out
}

func write(t *testing.T, f *facebook, say meta.Message) (psid string) {
	t.Helper()
	if say.Page == "" {
		say.Page = "Tea House"
	}
	if say.Shopper == "" {
		say.Shopper = "Zoë"
	}
	if say.Text == "" {
		say.Text = "Hello?"
	}
	if _, err := f.m.Write(say); err != nil {
		t.Fatal(err)
	}
	psid, err := f.m.PSID(say.Page, say.Shopper, say.Instagram)
	if err != nil {
		t.Fatal(err)
	}
	return psid
}

func text(psid, words string) map[string]any {
	return map[string]any{"recipient": map[string]string{"id": psid}, "messaging_type": "RESPONSE", "message": map[string]any{"text": words}}
}

func TestSentMessageComesBackAsAnEcho(t *testing.T) {
	f := newFacebook(t, nil)
	page, token := f.connect()
	psid := write(t, f, meta.Message{})
	body := text(psid, "Grüner Tee: 4,90 €")
	body["message"].(map[string]any)["metadata"] = "ours-1"
	status, answer, header := f.sendJSON(page+"/messages", token, body)
	if status != 200 || answer["recipient_id"] != psid || answer["message_id"] == nil || header.Get("X-Business-Use-Case-Usage") == "" {
		t.Fatalf("%d %v", status, answer)
	}
	f.quiet()
	kinds := []string{}
	for _, e := range f.events() {
		switch m, _ := e["message"].(map[string]any); {
		case m["is_echo"] == true:
			if m["mid"] != answer["message_id"] || m["metadata"] != "ours-1" || fmt.Sprintf("%.0f", m["app_id"]) != fbApp || e["sender"].(map[string]any)["id"] != page {
				t.Errorf("echo %v", e)
			}
			kinds = append(kinds, "echo")
		case m != nil:
			kinds = append(kinds, "message")
		case e["delivery"] != nil:
			kinds = append(kinds, "delivery")
		}
	}
	slices.Sort(kinds)
	if got := strings.Join(kinds, " "); got != "delivery echo message" {
		t.Errorf("events: %s", got)
	}
	// By a form, with recipient and message as JSON in it, it is the same.
	recipient, _ := json.Marshal(body["recipient"])
	if status, answer, _ := f.graph("POST", "me/messages", url.Values{"recipient": {string(recipient)}, "message": {`{"text":"Yes"}`}, "access_token": {token}}); status != 200 {
		t.Errorf("by a form: %d %v", status, answer)
	}
}

func TestSendAPIHasEachError(t *testing.T) {
	long := strings.Repeat("ä", 2001)
	element := map[string]any{"title": "Tea", "subtitle": "Green"}
	template := func(payload map[string]any) map[string]any {
		return map[string]any{"attachment": map[string]any{"type": "template", "payload": payload}}
	}
	for _, tt := range []struct {
		name, want string
		before     func(*facebook) error
		instagram  bool
		change     func(map[string]any)
	}{
		{name: "all is well", want: "", change: func(b map[string]any) {}},
		{name: "longest text", want: "", change: func(b map[string]any) { b["message"] = map[string]any{"text": long[2:]} }},
		{name: "too long", want: "100", change: func(b map[string]any) { b["message"] = map[string]any{"text": long} }},
		{name: "too many bytes", want: "100/2534015", instagram: true, change: func(b map[string]any) { b["message"] = map[string]any{"text": strings.Repeat("ä", 501)} }},
		{name: "unknown person", want: "100/2018001", change: func(b map[string]any) { b["recipient"] = map[string]string{"id": "4711"} }},
		{name: "dead tag", want: "100", change: func(b map[string]any) { b["messaging_type"], b["tag"] = "MESSAGE_TAG", "ACCOUNT_UPDATE" }},
		{name: "no human agent", want: "10", change: func(b map[string]any) { b["messaging_type"], b["tag"] = "MESSAGE_TAG", "HUMAN_AGENT" }},
		{name: "unknown type", want: "100", change: func(b map[string]any) { b["messaging_type"] = "SHOUT" }},
		{name: "action with message", want: "100", change: func(b map[string]any) { b["sender_action"] = "typing_on" }},
		{name: "action", want: "", change: func(b map[string]any) { b["sender_action"] = "typing_on"; delete(b, "message") }},
		{name: "eleven elements", want: "100", change: func(b map[string]any) {
			b["message"] = template(map[string]any{"template_type": "generic", "elements": slices.Repeat([]any{element}, 11)})
		}},
		{name: "ten elements", want: "", change: func(b map[string]any) {
			b["message"] = template(map[string]any{"template_type": "generic", "elements": slices.Repeat([]any{element}, 10)})
		}},
		{name: "bare element", want: "100", change: func(b map[string]any) {
			b["message"] = template(map[string]any{"template_type": "generic", "elements": []any{map[string]any{"title": "Tea"}}})
		}},
		{name: "four buttons", want: "100", change: func(b map[string]any) {
			b["message"] = template(map[string]any{"template_type": "button", "text": "Which?", "buttons": slices.Repeat([]any{map[string]string{"type": "postback", "title": "A", "payload": "a"}}, 4)})
		}},
		{name: "long button", want: "100", change: func(b map[string]any) {
			b["message"] = template(map[string]any{"template_type": "button", "text": "Which?", "buttons": []any{map[string]string{"type": "postback", "title": "123456789012345678901", "payload": "a"}}})
		}},
		{name: "fourteen quick replies", want: "100", change: func(b map[string]any) {
			b["message"] = map[string]any{"text": "Which?", "quick_replies": slices.Repeat([]any{map[string]string{"content_type": "text", "title": "A", "payload": "a"}}, 14)}
		}},
		{name: "image that cannot be fetched", want: "100/2018047", change: func(b map[string]any) {
			b["message"] = map[string]any{"attachment": map[string]any{"type": "image", "payload": map[string]string{"url": "https://shop.invalid/tea.jpg"}}}
		}},
		{name: "image by http", want: "100", change: func(b map[string]any) {
			b["message"] = map[string]any{"attachment": map[string]any{"type": "image", "payload": map[string]string{"url": "http://shop.example/tea.jpg"}}}
		}},
		{name: "blocked", want: "551/1545041", before: func(f *facebook) error { return f.m.Block("Tea House", "Zoë", false, true) }},
		{name: "cannot receive", want: "10/2018108", before: func(f *facebook) error { return f.m.Deafen("Tea House", "Zoë", false, true) }},
		{name: "barred", want: "10/1893063", before: func(f *facebook) error { return f.m.SetBarred("Tea House", true) }},
		{name: "closed", want: "200/2534041", instagram: true, before: func(f *facebook) error { return f.m.SetInstagramClosed("Tea House", true) }},
		{name: "permission gone", want: "10", before: func(f *facebook) error { return f.m.Revoke("Mia Merchant", fbApp, "pages_messaging") }},
		{name: "throttled", want: "80006", before: func(f *facebook) error { return f.m.Throttle("Tea House", time.Minute) }},
		{name: "another Page's person", want: "100/2018001", change: func(b map[string]any) { b["recipient"] = map[string]string{"id": "other"} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFacebook(t, nil)
			scopes := func(q url.Values) { q.Set("scope", strings.Join(append(fbScopes, "instagram_manage_messages"), ",")) }
			f.login(scopes)
			page, token := f.connect()
			psid := write(t, f, meta.Message{Instagram: tt.instagram})
			other := write(t, f, meta.Message{Page: "Looked at"})
			body := text(psid, "Yes")
			if tt.before != nil {
				if err := tt.before(f); err != nil {
					t.Fatal(err)
				}
			}
			if tt.change != nil {
				tt.change(body)
			}
			if to, _ := body["recipient"].(map[string]string); to["id"] == "other" {
				to["id"] = other
			}
			if _, answer, _ := f.sendJSON(page+"/messages", token, body); code(answer) != tt.want {
				t.Errorf("answer %v, want error %q", answer, tt.want)
			}
		})
	}
}

// TestWindowCloses: 24 hours after the last word, seven days after an ad, and
// for a human agent seven days.
func TestWindowCloses(t *testing.T) {
	clock := newClock()
	f := newFacebook(t, func(c *simulator.Config) { c.Now, c.Meta.Apps[0].HumanAgent = clock.Now, true })
	f.login(func(q url.Values) { q.Set("scope", strings.Join(append(fbScopes, "instagram_manage_messages"), ",")) })
	page, token := f.connect()
	zoe := write(t, f, meta.Message{})
	ig := write(t, f, meta.Message{Instagram: true})
	ad := write(t, f, meta.Message{Shopper: "Ann", Referral: &meta.Referral{Source: "ADS", Type: "OPEN_THREAD", AdID: "5"}})
	try := func(psid string, human bool) string {
		t.Helper()
		body := text(psid, "Still there?")
		if human {
			body["messaging_type"], body["tag"] = "MESSAGE_TAG", "HUMAN_AGENT"
		}
		_, answer, _ := f.sendJSON(page+"/messages", token, body)
		return code(answer)
	}
	for _, tt := range []struct {
		pass               time.Duration
		zoe, ig, ad, human string
	}{
		{23 * time.Hour, "", "", "", ""},
		{2 * time.Hour, "10/2018278", "10/2534022", "", ""},
		{6 * 24 * time.Hour, "10/2018278", "10/2534022", "10/2018278", "10/2018278"},
	} {
		clock.pass(tt.pass)
		got := []string{try(zoe, false), try(ig, false), try(ad, false), try(zoe, true)}
		if want := []string{tt.zoe, tt.ig, tt.ad, tt.human}; !slices.Equal(got, want) {
			t.Errorf("after %s more: %q, want %q", tt.pass, got, want)
		}
	}
	if _, err := f.m.Write(meta.Message{Page: page, Shopper: "Zoë", Text: "Yes"}); err != nil {
		t.Fatal(err)
	}
	if got := try(zoe, false); got != "" {
		t.Errorf("after another word: %s", got)
	}
}

// TestAnsweringFromTheInboxPutsTheAppOnStandby: without an error, its events
// come elsewhere, and postbacks without their payload.
func TestAnsweringFromTheInboxPutsTheAppOnStandby(t *testing.T) {
	f := newFacebook(t, nil)
	f.connect()
	write(t, f, meta.Message{})
	if _, err := f.m.Answer("Tea House", "Zoë", false, "I am a person"); err != nil {
		t.Fatal(err)
	}
	write(t, f, meta.Message{Text: "Thanks"})
	if err := f.m.Tap("Tea House", "Zoë", false, "Buy", "buy-1", nil); err != nil {
		t.Fatal(err)
	}
	if err := f.m.GiveBack("Tea House", "Zoë", false, fbApp); err != nil {
		t.Fatal(err)
	}
	if err := f.m.Tap("Tea House", "Zoë", false, "Buy", "buy-2", nil); err != nil {
		t.Fatal(err)
	}
	f.quiet()
	var got []string
	for _, e := range f.events() {
		line := e["at"].(string)
		if m, ok := e["message"].(map[string]any); ok {
			line += " " + fmt.Sprint(m["text"], " ", m["is_echo"])
		}
		if p, ok := e["postback"].(map[string]any); ok {
			line += " postback " + fmt.Sprint(p["payload"])
		}
		if e["pass_thread_control"] != nil {
			line += " pass"
		}
		got = append(got, line)
	}
	slices.Sort(got)
	want := []string{"page Hello? <nil>", "page I am a person true", "page pass", "page postback buy-2", "page standby Thanks <nil>", "page standby postback <nil>"}
	if !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
}

// TestOnlyWhatBothLevelsWantIsDelivered is the classic silent failure.
func TestOnlyWhatBothLevelsWantIsDelivered(t *testing.T) {
	f := newFacebook(t, nil)
	page, token := f.connect("messages", "messaging_postbacks")
	f.graph("POST", page+"/subscribed_apps", url.Values{"subscribed_fields": {"messages,feed"}, "access_token": {token}})
	write(t, f, meta.Message{})
	if err := f.m.Tap("Tea House", "Zoë", false, "Buy", "buy", nil); err != nil {
		t.Fatal(err)
	}
	f.quiet()
	if n := len(f.taken()); n != 1 {
		t.Errorf("%d posts, want the message alone", n)
	}
	if _, answer, _ := f.graph("POST", page+"/subscribed_apps", url.Values{"subscribed_fields": {"messages,telepathy"}, "access_token": {token}}); code(answer) != "100" {
		t.Errorf("an unknown field: %v", answer)
	}
	if _, answer, _ := f.graph("DELETE", page+"/subscribed_apps", url.Values{"access_token": {token}}); answer["success"] != true {
		t.Errorf("unsubscribe: %v", answer)
	}
	if _, answer, _ := f.graph("GET", page+"/subscribed_apps", url.Values{"access_token": {token}}); len(answer["data"].([]any)) != 0 {
		t.Errorf("subscribed after all: %v", answer)
	}
}

// TestPageIsUnsubscribedAfterAnHourOfFailures: after an alert at fifteen minutes.
func TestPageIsUnsubscribedAfterAnHourOfFailures(t *testing.T) {
	f := newFacebook(t, nil)
	page, token := f.connect()
	f.setStatus(http.StatusInternalServerError)
	write(t, f, meta.Message{})
	f.quiet()
	if err := f.Advance(t.Context(), 59*time.Minute); err != nil {
		t.Fatal(err)
	}
	alerts := f.m.Alerts()
	if len(alerts) != 1 || alerts[0].What != "failing" || alerts[0].Page != page {
		t.Errorf("alerts after 59 minutes: %+v", alerts)
	}
	tries := len(f.taken())
	if tries < 6 || tries > 10 {
		t.Errorf("%d tries in 59 minutes", tries)
	}
	if err := f.Advance(t.Context(), 2*time.Minute); err != nil {
		t.Fatal(err)
	}
	if alerts := f.m.Alerts(); len(alerts) != 2 || alerts[1].What != "disabled" {
		t.Errorf("alerts after an hour: %+v", alerts)
	}
	if _, answer, _ := f.graph("GET", page+"/subscribed_apps", url.Values{"access_token": {token}}); len(answer["data"].([]any)) != 0 {
		t.Errorf("the Page is still subscribed: %v", answer)
	}
	d := f.m.Deliveries()[0]
	if !d.Done || d.Dropped == "" || d.Accepted() {
		t.Errorf("the delivery: %+v", d)
	}
	// What comes between the failures lets it live.
	f.setStatus(http.StatusOK)
	f.connect()
	write(t, f, meta.Message{})
	f.quiet()
	if err := f.Advance(t.Context(), 2*time.Hour); err != nil {
		t.Fatal(err)
	}
	if alerts := f.m.Alerts(); len(alerts) != 2 {
		t.Errorf("alerts: %+v", alerts)
	}
}

// TestWebhookFaults: what is odd comes before what is right, and what is right
// comes once, or twice where that is the fault.
func TestWebhookFaults(t *testing.T) {
	signed := func(p post) bool {
		return p.header.Get("X-Hub-Signature-256") == "sha256="+hmacHex(fbSecret, string(p.raw))
	}
	for name, tt := range map[string]struct {
		faults      meta.Faults
		posts, good int
	}{
		"none":       {meta.Faults{}, 1, 1},
		"forge":      {meta.Faults{Forge: 1}, 2, 1},
		"unsigned":   {meta.Faults{Unsigned: 1}, 2, 1},
		"sha1":       {meta.Faults{SHA1Only: 1}, 2, 1},
		"reencode":   {meta.Faults{Reencode: 1}, 2, 1},
		"double":     {meta.Faults{Double: 1}, 2, 2},
		"stale":      {meta.Faults{Stale: 1}, 1, 1}, // The second is not awaited.
		"old secret": {meta.Faults{OldSecret: 1}, 1, 0},
		"lose":       {meta.Faults{Lose: map[string]float64{"messages": 1}}, 0, 0},
		"unknown":    {meta.Faults{Unknown: 1, EmptyUpdate: 1, TextTimes: 1, OldEscapes: true}, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFacebook(t, nil)
			f.connect("messages")
			f.m.SetFaults(tt.faults)
			write(t, f, meta.Message{Text: "Grün / 50% <b> a@b"})
			f.quiet()
			posts, good := f.taken(), 0
			if name == "stale" || name == "double" {
				if err := f.Advance(t.Context(), time.Second); err != nil {
					t.Fatal(err)
				}
				posts = f.taken()
				tt.posts, tt.good = 2, 2
			}
			for _, p := range posts {
				if signed(p) {
					good++
				}
			}
			if len(posts) != tt.posts || good != tt.good {
				t.Errorf("%d posts, %d signed as they should be; want %d, %d", len(posts), good, tt.posts, tt.good)
			}
			if name == "unknown" && !strings.Contains(string(posts[0].raw), `Gr\u00fcn \/ 50\u0025 \u003cb> a\u0040b`) {
				t.Errorf("the body: %s", posts[0].raw)
			}
			if name == "old secret" && posts[0].header.Get("X-Hub-Signature-256") != "sha256="+hmacHex("an older secret", string(posts[0].raw)) {
				t.Error("it is not signed with the older secret")
			}
		})
	}
}

func TestUpdatesAreGatheredIntoOnePost(t *testing.T) {
	f := newFacebook(t, nil)
	f.connect("messages", "messaging_postbacks")
	f.m.SetFaults(meta.Faults{Batch: simulator.Duration(time.Second)})
	for i := range 3 {
		write(t, f, meta.Message{Text: fmt.Sprint("Number ", i)})
		write(t, f, meta.Message{Text: fmt.Sprint("Number ", i), Instagram: true})
	}
	if err := f.Advance(t.Context(), 2*time.Second); err != nil {
		t.Fatal(err)
	}
	f.quiet()
	if posts, events := len(f.taken()), len(f.events()); posts != 2 || events != 6 {
		t.Errorf("%d posts with %d events, want 2 with 6", posts, events)
	}
}

// TestEveryKnownErrorCanBeHad: by the fault that names it, whatever the call.
func TestEveryKnownErrorCanBeHad(t *testing.T) {
	f := newFacebook(t, nil)
	token := f.userToken()
	for _, e := range meta.Errors() {
		f.m.SetFaults(meta.Faults{Errors: map[string]float64{"me:" + e.Name: 1}, Chinese: true})
		status, answer, header := f.graph("GET", "me", url.Values{"access_token": {token}})
		if code(answer) != e.Name || status != e.Status {
			t.Errorf("%s: %d %v", e.Name, status, answer)
		}
		if message := answer["error"].(map[string]any)["message"].(string); !strings.Contains(message, "发生错误") {
			t.Errorf("%s: message %q is not Chinese", e.Name, message)
		}
		if e.Transient && e.Code > 2 && header.Get("X-App-Usage") == "" {
			t.Errorf("%s: no header says how much is used up", e.Name)
		}
	}
	if _, err := f.m.PatchFaults([]byte(`{"errors":{"me:12345":1}}`)); err == nil {
		t.Error("an error that is none was taken")
	}
}

func TestRatesOfAPageAreKept(t *testing.T) {
	clock := newClock()
	f := newFacebook(t, func(c *simulator.Config) { c.Now = clock.Now })
	page, token := f.connect("messages")
	psid := write(t, f, meta.Message{})
	var last map[string]any
	for range 301 {
		_, last, _ = f.sendJSON(page+"/messages", token, text(psid, "Yes"))
	}
	if code(last) != "613" {
		t.Errorf("the 301st in a second: %v", last)
	}
	// Each call while blocked makes it longer.
	_, _, header := f.sendJSON(page+"/messages", token, text(psid, "Yes"))
	if got := header.Get("X-Business-Use-Case-Usage"); !strings.Contains(got, `"estimated_time_to_regain_access":7`) {
		t.Errorf("usage: %s", got)
	}
	clock.pass(10 * time.Minute)
	for range 110 { // 24 hours' budget: 200 for each of one engaged person and one more.
		_, last, _ = f.sendJSON(page+"/messages", token, text(psid, "Yes"))
	}
	if code(last) != "80006" {
		t.Errorf("beyond the 24 hours' budget: %v", last)
	}
}

func TestThreadsAndProfilesCanBeRead(t *testing.T) {
	f := newFacebook(t, nil)
	page, token := f.connect("messages")
	psid := write(t, f, meta.Message{Text: "One"})
	q := url.Values{"access_token": {token}, "platform": {"messenger"}, "fields": {"messages{message,from,created_time}"}}
	_, answer, _ := f.graph("GET", page+"/conversations", q)
	if got := fmt.Sprint(answer["data"]); !strings.Contains(got, "message:One") {
		t.Errorf("conversations: %v", answer)
	}
	if _, answer, _ := f.graph("GET", psid, url.Values{"access_token": {token}}); code(answer) != "230" {
		t.Errorf("a profile nobody agreed to: %v", answer)
	}
	if err := f.m.Agree("Zoë", true); err != nil {
		t.Fatal(err)
	}
	if _, answer, _ := f.graph("GET", psid, url.Values{"access_token": {token}}); answer["first_name"] != "Zoë" {
		t.Errorf("a profile: %v", answer)
	}
	menu := url.Values{"access_token": {token}, "persistent_menu": {`[{"locale":"default","call_to_actions":[]}]`}}
	if _, answer, _ := f.graph("POST", "me/messenger_profile", menu); code(answer) != "100" {
		t.Errorf("a menu without a start: %v", answer)
	}
	menu.Set("get_started", `{"payload":"start"}`)
	if _, answer, _ := f.graph("POST", "me/messenger_profile", menu); answer["result"] != "success" {
		t.Errorf("a menu: %v", answer)
	}
	_, answer, _ = f.sendJSON(page+"/take_thread_control", token, map[string]any{"recipient": map[string]string{"id": psid}})
	if answer["success"] != true {
		t.Errorf("take: %v", answer)
	}
	_, answer, _ = f.graph("GET", page+"/thread_owner", url.Values{"access_token": {token}, "recipient": {psid}})
	if got := fmt.Sprint(answer["data"]); !strings.Contains(got, "app_id:"+fbApp) {
		t.Errorf("owner: %v", answer)
	}
}
