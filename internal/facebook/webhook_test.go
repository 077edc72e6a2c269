package facebook_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"stockroom/internal/facebook"
	"stockroom/internal/secret"
)

var secrets = []secret.Secret{secret.New(appSecret), secret.New(oldSecret)}

func signed(body, key string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(body))
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

func TestVerifyWebhook(t *testing.T) {
	// As Meta writes: everything outside ASCII escaped in lower case, slashes too.
	const body = `{"object":"page","entry":[{"id":"7","messaging":[{"message":{"mid":"m","text":"Gr\u00f6\u00dfe \ud83d\ude00 <>&@% https:\/\/a.example\/"}}]}]}`
	sha := sha1.New()
	sha.Write([]byte(body))
	for name, tt := range map[string]struct {
		body, header string
		want         bool
	}{
		"the newest secret":         {body, signed(body, appSecret), true},
		"an older one":              {body, signed(body, oldSecret), true},
		"another's":                 {body, signed(body, "another"), false},
		"decoded and written again": {strings.NewReplacer(`\u00f6`, "ö", `\u00df`, "ß", `\ud83d\ude00`, "😀", `\/`, "/").Replace(body), signed(body, appSecret), false},
		"one byte other":            {strings.Replace(body, "mid", "mit", 1), signed(body, appSecret), false},
		"SHA-1":                     {body, "sha1=" + hex.EncodeToString(sha.Sum(nil)), false},
		"upper case":                {body, "sha256=" + strings.ToUpper(strings.TrimPrefix(signed(body, appSecret), "sha256=")), false},
		"no header":                 {body, "", false},
		"no digits":                 {body, "sha256=", false},
		"half":                      {body, signed(body, appSecret)[:40], false},
	} {
		if got := facebook.VerifyWebhook([]byte(tt.body), tt.header, secrets); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if facebook.VerifyWebhook([]byte(body), signed(body, ""), []secret.Secret{{}}) {
		t.Error("an empty secret, which anybody could sign with, matched")
	}
	if facebook.VerifyWebhook([]byte(body), signed(body, ""), nil) {
		t.Error("without a secret a signature matched")
	}
}

func TestChallenge(t *testing.T) {
	verify := secret.New("chosen")
	for query, want := range map[string]bool{
		"hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=chosen": true,
		"hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=other":  false,
		"hub.mode=unsubscribe&hub.challenge=1&hub.verify_token=chosen":        false,
		"hub.challenge=1": false, "": false,
	} {
		values, _ := url.ParseQuery(query)
		answer, ok := facebook.Challenge(values, verify)
		if ok != want || ok && answer != "1158201444" {
			t.Errorf("%q: %q, %v", query, answer, ok)
		}
	}
	values, _ := url.ParseQuery("hub.mode=subscribe&hub.challenge=1&hub.verify_token=")
	if _, ok := facebook.Challenge(values, secret.Secret{}); ok {
		t.Error("without a verify token anybody may verify")
	}
}

// request signs a payload as Meta does: over the encoded part.
func request(payload, key string) string {
	encoded := base64.RawURLEncoding.EncodeToString([]byte(payload))
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(encoded))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)) + "." + encoded
}

func TestSignedRequests(t *testing.T) {
	const payload = `{"user_id":"218471","algorithm":"HMAC-SHA256","issued_at":1764000000,"expires":0,"name":"Jörg?>"}`
	for _, key := range []string{appSecret, oldSecret} {
		got, err := facebook.ParseSignedRequest(request(payload, key), secrets)
		if err != nil || got.UserID != "218471" || !got.IssuedAt.Equal(time.Unix(1764000000, 0)) {
			t.Errorf("%+v, %v", got, err)
		}
	}
	signature, encoded, _ := strings.Cut(request(payload, appSecret), ".")
	if _, err := facebook.ParseSignedRequest(signature+"=."+encoded, secrets); err != nil {
		t.Errorf("a padded signature is refused: %v", err)
	}
	if got, err := facebook.ParseSignedRequest(request(`{"user_id":218471,"algorithm":"hmac-sha256"}`, appSecret), secrets); err != nil || got.UserID != "218471" || !got.IssuedAt.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
	// Widely copied: the payload is padded before it is hashed.
	mac := hmac.New(sha256.New, []byte(appSecret))
	mac.Write([]byte(encoded + "="))
	for name, raw := range map[string]string{
		"another's secret": request(payload, "another"), "no algorithm": request(`{"user_id":"1"}`, appSecret),
		"another algorithm": request(`{"user_id":"1","algorithm":"none"}`, appSecret), "nobody": request(`{"algorithm":"HMAC-SHA256"}`, appSecret),
		"no JSON": request(`hello`, appSecret), "no parts": "hello", "empty": "", "a dot": ".",
		"altered":                 signature + "." + encoded + "A",
		"hashed with its padding": base64.RawURLEncoding.EncodeToString(mac.Sum(nil)) + "." + encoded,
	} {
		if got, err := facebook.ParseSignedRequest(raw, secrets); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func body(events string) []byte {
	return []byte(`{"object":"page","entry":[{"id":"77","time":1764000000000,` + events + `}]}`)
}

func one(t *testing.T, events string) facebook.Event {
	t.Helper()
	all, err := facebook.Events(body(events))
	if err != nil || len(all) != 1 {
		t.Fatalf("%s: %d events, %v", events, len(all), err)
	}
	return all[0]
}

func TestEventsOfAPage(t *testing.T) {
	const who = `"sender":{"id":"9"},"recipient":{"id":"77"},"timestamp":1764000001000`
	const page = `"sender":{"id":"77"},"recipient":{"id":"9"},"timestamp":1764000001000`
	for _, tt := range []struct {
		said       string
		kind       facebook.Kind
		key, text  string
		answerable bool
	}{
		{who + `,"message":{"mid":"m_1","text":"Gr\u00f6\u00dfe?"}`, facebook.KindMessage, "mid:m_1", "Größe?", true},
		{who + `,"message":{"mid":"m_2","attachments":[{"type":"hologram"}]}`, facebook.KindMessage, "mid:m_2", "", true},
		{page + `,"message":{"mid":"m_3","text":"hello","is_echo":true,"app_id":26390203743090}`, facebook.KindEcho, "mid:m_3", "hello", false},
		{who + `,"message":{"mid":"m_1","is_deleted":true}`, facebook.KindDeleted, "deleted:m_1", "", false},
		{who + `,"postback":{"mid":"m_4","title":"Start","payload":"GO"}`, facebook.KindPostback, "mid:m_4", "Start", true},
		{who + `,"postback":{"title":"Start"}`, facebook.KindPostback, "", "Start", true},
		{who + `,"message_edit":{"mid":"m_1","text":"M?","num_edit":2}`, facebook.KindEdit, "", "M?", false},
		{who + `,"reaction":{"mid":"m_1","action":"react","emoji":"x"}`, facebook.KindReaction, "", "", false},
		{who + `,"delivery":{"watermark":1}`, facebook.KindDelivery, "", "", false},
		{who + `,"read":{"watermark":1}`, facebook.KindRead, "", "", false},
		{who + `,"referral":{"ref":"ad"}`, facebook.KindReferral, "", "", true},
		{who + `,"optin":{"ref":"x"}`, facebook.KindOptin, "", "", true},
		{who + `,"pass_thread_control":{"new_owner_app_id":"1"}`, facebook.KindHandover, "", "", false},
		{`"recipient":{"id":"77"},"timestamp":"1764000001","policy_enforcement":{"action":"block","reason":"spam"}`, facebook.KindPolicy, "", "", false},
		{who + `,"something_new":{}`, facebook.KindOther, "", "", false},
	} {
		e := one(t, `"messaging":[{`+tt.said+`}]`)
		if e.Kind != tt.kind || tt.key != "" && e.Key != tt.key || e.Key == "" || e.Text != tt.text || e.Answerable() != tt.answerable || e.Page != "77" {
			t.Errorf("%s: %+v", tt.said, e)
		}
		if !e.At.Equal(time.UnixMilli(1764000001000)) {
			t.Errorf("%s: at %v", tt.said, e.At)
		}
		if want := "9"; tt.kind != facebook.KindPolicy && e.Person != want {
			t.Errorf("%s: person %q", tt.said, e.Person)
		}
		if standing := one(t, `"standby":[{`+tt.said+`}]`); standing.Answerable() || !standing.Standby || standing.Kind != tt.kind {
			t.Errorf("in standby: %+v", standing)
		}
	}
	if e := one(t, `"messaging":[{`+page+`,"message":{"mid":"m","is_echo":true,"app_id":12}}]`); e.AppID != "12" {
		t.Errorf("written by %q", e.AppID)
	}
}

// TestAnEventKeepsItsKey however often it comes, and in whatever order its fields are.
func TestAnEventKeepsItsKey(t *testing.T) {
	a := one(t, `"messaging":[{"sender":{"id":"9"},"timestamp":1,"reaction":{"mid":"m","action":"react"}}]`)
	b := one(t, `"messaging":[{ "reaction":{"action":"react","mid":"m"}, "timestamp":1,"sender":{"id":"9"}}]`)
	c := one(t, `"messaging":[{"sender":{"id":"9"},"timestamp":1,"reaction":{"mid":"m","action":"unreact"}}]`)
	if a.Key != b.Key || a.Key == c.Key {
		t.Errorf("keys %s, %s and %s", a.Key, b.Key, c.Key)
	}
}

func TestOneStrangeEventHidesNoOther(t *testing.T) {
	all, err := facebook.Events([]byte(`{"object":"page","entry":[
		{"id":"77","messaging":[7,{"sender":"nobody"},{"message":{"mid":"m_1","attachments":[{"type":"sticker","payload":7},{"type":"fallback"}]},"sender":{"id":9}},null]},
		{"id":78,"changes":[{"field":"feed","value":{}}]}, {"id":"79","messaging":{}}, 8, {"noid":true},
		{"id":"80","standby":[{"sender":{"id":"9"},"message":{"mid":"m_2"}}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	var known []string
	for _, e := range all {
		if e.Kind == facebook.KindMessage {
			known = append(known, e.Page+" "+e.MID+" "+e.Person)
		}
	}
	if !slices.Equal(known, []string{"77 m_1 9", "80 m_2 9"}) || len(all) != 7 {
		t.Errorf("%q of %d events", known, len(all))
	}
}

func TestABodyIsTakenApartByPage(t *testing.T) {
	raw := `{"id":"77","time":1764000000,"messaging":[{"message":{"mid":"m","text":"\u00e4 \/"}}]}`
	entries, err := facebook.Split([]byte(`{"entry":[` + raw + `,{"id":"78"}],"object":"page"}`))
	if err != nil || len(entries) != 2 || string(entries[0].Raw) != raw || entries[0].At.Unix() != 1764000000 {
		t.Fatalf("%+v, %v", entries, err)
	}
	events, err := facebook.Events(entries[0].Body())
	if err != nil || len(events) != 1 || events[0].Text != "ä /" || events[0].Object != "page" {
		t.Errorf("%+v, %v", events, err)
	}
	for _, bad := range []string{``, `[]`, `{"entry":7}`, `{"entry":[` + strings.Repeat(`{"id":"1"},`, facebook.MaxEntries) + `{"id":"1"}]}`} {
		if entries, err := facebook.Split([]byte(bad)); err == nil {
			t.Errorf("%.40s: %d entries", bad, len(entries))
		}
	}
}

func FuzzEvents(f *testing.F) {
	f.Add(string(body(`"messaging":[{"sender":{"id":"9"},"timestamp":"1764000001000","message":{"mid":"m","text":"\u00f6\ud83d\ude00","is_echo":true,"app_id":1}}],"standby":[{"postback":{}}]`)))
	f.Add(`{"object":"instagram","entry":[{"id":1,"time":1,"changes":[{"field":"x"}]},{"id":"2","messaging":[null,1,{}]}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		all, err := facebook.Events([]byte(text))
		if err != nil {
			return
		}
		again, err := facebook.Events([]byte(text))
		if err != nil || len(again) != len(all) {
			t.Fatalf("read twice: %d and %d events, %v", len(all), len(again), err)
		}
		for i, e := range all {
			if e.Key == "" || e.Kind == "" || e.Key != again[i].Key {
				t.Errorf("%+v has no steady key or no kind", e)
			}
		}
		entries, err := facebook.Split([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if _, err := facebook.Events(entry.Body()); err != nil {
				t.Errorf("an entry of its own cannot be read: %v", err)
			}
		}
	})
}

func FuzzSignedRequest(f *testing.F) {
	f.Add(request(`{"user_id":"1","algorithm":"HMAC-SHA256"}`, "x"), `{"user_id":"1","algorithm":"HMAC-SHA256","issued_at":1}`)
	f.Add("a.b", `{}`)
	f.Fuzz(func(t *testing.T, raw, payload string) {
		if got, err := facebook.ParseSignedRequest(raw, secrets); err == nil {
			t.Errorf("%q was signed by nobody who has the secret, and says %+v", raw, got)
		}
		if got, err := facebook.ParseSignedRequest(request(payload, appSecret), secrets); err == nil && got.UserID == "" {
			t.Errorf("%q names nobody", payload)
		}
	})
}

func TestReadCallback(t *testing.T) {
	for query, want := range map[string]facebook.Outcome{
		"code=abc&state=s": facebook.OutcomeCode,
		"error=access_denied&error_reason=user_denied&error_description=Permissions+error&state=s":                facebook.OutcomeCancelled,
		"error=access_denied&error_reason=user_denied&error_code=200&error_description=Permissions+error&state=s": facebook.OutcomeSetup,
		"error_code=1349168&error_message=Can%27t+Load+URL&state=s":                                               facebook.OutcomeSetup,
		"error=server_error&state=s": facebook.OutcomeRetry, "error_code=2&error_message=later": facebook.OutcomeRetry,
		"error=invalid_scope&state=s": facebook.OutcomeRefused, "state=s": facebook.OutcomeEmpty, "code=&state=s": facebook.OutcomeEmpty,
		"code=abc&error=access_denied": facebook.OutcomeCancelled,
	} {
		values, _ := url.ParseQuery(query)
		got := facebook.ReadCallback(values)
		if got.Outcome != want || (want == facebook.OutcomeCode) == got.Code.Empty() {
			t.Errorf("%s: %+v, want %s", query, got, want)
		}
	}
}

func TestTheDialogsAddress(t *testing.T) {
	m := newMeta(t, nil)
	d := facebook.Dialog{RedirectURI: "https://a.example/facebook/callback", State: "s&s"}
	read := func() url.Values {
		address, err := url.Parse(m.client.DialogAddress(d))
		if err != nil || address.Host != "dialog.example" || address.Path != "/"+facebook.Version+"/dialog/oauth" {
			t.Fatalf("%v, %v", address, err)
		}
		return address.Query()
	}
	if q := read(); q.Get("scope") != strings.Join(facebook.Scopes(), ",") || q.Get("state") != "s&s" || q.Get("redirect_uri") != d.RedirectURI ||
		q.Get("client_id") != appID || q.Get("response_type") != "code" || q.Has("config_id") || q.Has("auth_type") {
		t.Errorf("%v", q)
	}
	d.ConfigID, d.Again = "99", true
	if q := read(); q.Get("config_id") != "99" || q.Has("scope") || q.Get("auth_type") != "rerequest" {
		t.Errorf("%v", q)
	}
	if strings.Contains(fmt.Sprint(m.client.DialogAddress(d)), appSecret) {
		t.Error("the browser is told the app's secret")
	}
}
