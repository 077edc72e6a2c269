package simulator_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"stockroom/internal/simulator"
	"stockroom/internal/simulator/meta"
)

// exchange takes a code to the token endpoint.
func (f *facebook) exchange(change func(url.Values)) (map[string]any, http.Header) {
	f.t.Helper()
	params := url.Values{"client_id": {fbApp}, "client_secret": {fbSecret}, "redirect_uri": {fbCallback}}
	change(params)
	_, answer, header := f.graph("GET", "oauth/access_token", params)
	return answer, header
}

func TestDialogHasEachOutcome(t *testing.T) {
	f := newFacebook(t, nil)
	for _, tt := range []struct {
		kind, want string // Names and values that come back, code apart.
		code       bool
	}{
		{meta.Granted, "state=n0nce", true},
		{meta.Cancelled, "error=access_denied&error_description=Permissions+error&error_reason=user_denied&state=n0nce", false},
		{meta.PermissionsError, "error=access_denied&error_code=200&error_description=Permissions+error&error_reason=user_denied&state=n0nce", false},
		{meta.ErrorCode, "error_code=1349048&error_message=Can%27t+load+URL%3A+The+domain+of+this+URL+isn%27t+included+in+the+app%27s+domains.&state=n0nce", false},
		{meta.Nothing, "state=n0nce", false},
		{meta.WrongState, "state=made-up-by-somebody", true},
		{meta.NoState, "", true},
	} {
		if err := f.m.NextOutcome(meta.Outcome{Kind: tt.kind}); err != nil {
			t.Fatal(err)
		}
		back := f.login(nil)
		code := back.Get("code") != ""
		back.Del("code")
		if got := back.Encode(); got != tt.want || code != tt.code {
			t.Errorf("%s: came back %q, code %v; want %q, %v", tt.kind, got, code, tt.want, tt.code)
		}
	}
	if err := f.m.NextOutcome(meta.Outcome{Kind: "maybe"}); err == nil {
		t.Error("an outcome that is none was taken")
	}
}

// TestDialogSendsNobodyBackFromAWrongAddress: Facebook shows these to the
// person, and the app never hears of it.
func TestDialogSendsNobodyBackFromAWrongAddress(t *testing.T) {
	f := newFacebook(t, nil)
	for want, change := range map[string]func(url.Values){
		"Invalid App ID": func(q url.Values) { q.Set("client_id", "1") },
		"URL Blocked":    func(q url.Values) { q.Set("redirect_uri", fbCallback+"/") },
		"Invalid Scopes": func(q url.Values) { q.Set("scope", "pages_messaging,pages_telepathy") },
		"config":         func(q url.Values) { q.Set("config_id", "7") },
	} {
		response, err := noRedirects().Get(f.dialogURL(change))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), want) {
			t.Errorf("%s: status %d\n%s", want, response.StatusCode, body)
		}
	}
}

func TestDialogAsksAPersonWhereConsentIsOn(t *testing.T) {
	f := newFacebook(t, func(c *simulator.Config) { c.Meta.Consent = true })
	client := noRedirects()
	response, err := client.Get(f.dialogURL(nil))
	if err != nil {
		t.Fatal(err)
	}
	page, _ := io.ReadAll(response.Body)
	response.Body.Close()
	for _, want := range []string{"Sales bot wants access", "Mia Merchant", "Tea House (", "pages_messaging", "Permissions error (200)"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("%q is not on the page:\n%s", want, page)
		}
	}
	id := f.m.Pages()[1].ID
	form := url.Values{"outcome": {"granted"}, "scope": {"pages_show_list", "pages_messaging"}, "page": {id}}
	if response, err = client.PostForm(f.dialogURL(nil), form); err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	to, err := response.Location()
	if err != nil {
		t.Fatalf("status %d: %v", response.StatusCode, err)
	}
	answer, _ := f.exchange(func(q url.Values) { q.Set("code", to.Query().Get("code")) })
	token := fmt.Sprint(answer["access_token"])
	_, permissions, _ := f.graph("GET", "me/permissions", url.Values{"access_token": {token}})
	if got := fmt.Sprint(permissions["data"]); !strings.Contains(got, "permission:pages_messaging status:granted") || !strings.Contains(got, "permission:pages_manage_metadata status:declined") {
		t.Errorf("permissions %s", got)
	}
	_, accounts, _ := f.graph("GET", "me/accounts", url.Values{"access_token": {token}})
	if rows := accounts["data"].([]any); len(rows) != 1 || rows[0].(map[string]any)["id"] != id {
		t.Errorf("accounts %v, want Page %s alone", rows, id)
	}
}

func TestDeclinedPermissionIsAskedAgainOnlyByRerequest(t *testing.T) {
	f := newFacebook(t, nil)
	granted := func(change func(url.Values)) string {
		back := f.login(func(q url.Values) {
			q.Set("return_scopes", "true")
			if change != nil {
				change(q)
			}
		})
		return back.Get("granted_scopes")
	}
	if err := f.m.NextOutcome(meta.Outcome{Decline: []string{"pages_messaging"}}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{false, false, true} {
		got := granted(func(q url.Values) {
			if i == 2 {
				q.Set("auth_type", "rerequest")
			}
		})
		if strings.Contains(got, "pages_messaging") != want {
			t.Errorf("login %d granted %s; pages_messaging among them: want %v", i, got, want)
		}
	}
}

func TestLoginForBusinessIsAllOrNothing(t *testing.T) {
	f := newFacebook(t, func(c *simulator.Config) {
		c.Meta.Apps[0].LoginConfigID, c.Meta.Apps[0].LoginPermissions, c.Meta.Apps[0].SystemUser = "77", fbScopes, true
	})
	business := func(q url.Values) { q.Del("scope"); q.Set("config_id", "77") }
	if err := f.m.NextOutcome(meta.Outcome{Decline: []string{"pages_messaging"}}); err != nil {
		t.Fatal(err)
	}
	if back := f.login(business); back.Get("error") != "access_denied" || back.Has("code") {
		t.Errorf("one declined: %v", back)
	}
	answer, _ := f.exchange(func(q url.Values) { q["code"] = f.login(business)["code"] })
	if _, expires := answer["expires_in"]; expires || answer["access_token"] == nil {
		t.Errorf("a system user's token: %v", answer)
	}
	// It is the business's: a new password does not end it.
	if err := f.m.ChangePassword("Mia Merchant"); err != nil {
		t.Fatal(err)
	}
	_, accounts, _ := f.graph("GET", "me/accounts", url.Values{"access_token": {fmt.Sprint(answer["access_token"])}})
	if rows, _ := accounts["data"].([]any); len(rows) != 2 {
		t.Errorf("accounts after a new password: %v", accounts)
	}
}

func TestAppInDevelopmentGetsAPermissionsError(t *testing.T) {
	f := newFacebook(t, func(c *simulator.Config) { c.Meta.Apps[0].Development = true })
	if back := f.login(nil); back.Get("error_code") != "200" || back.Get("error_reason") != "user_denied" {
		t.Errorf("came back %v", back)
	}
}

func TestTokenEndpointHasEachError(t *testing.T) {
	clock := newClock()
	f := newFacebook(t, func(c *simulator.Config) { c.Now = clock.Now })
	old := f.login(nil).Get("code")
	clock.pass(11 * time.Minute)
	used := f.login(nil).Get("code")
	first, _ := f.exchange(func(q url.Values) { q.Set("code", used) })
	if first["token_type"] != "bearer" || first["expires_in"] != 5400.0 {
		t.Fatalf("a code gave %v", first)
	}
	for _, tt := range []struct {
		name, want string
		change     func(url.Values)
	}{
		{"wrong app", "101", func(q url.Values) { q.Set("client_id", "1"); q.Set("code", used) }},
		{"wrong secret", "1", func(q url.Values) { q.Set("client_secret", "no"); q.Set("code", used) }},
		{"made-up code", "100", func(q url.Values) { q.Set("code", "AQno") }},
		{"no code", "100", func(url.Values) {}},
		{"used", "100/36009", func(q url.Values) { q.Set("code", used) }},
		{"expired", "100/36007", func(q url.Values) { q.Set("code", old) }},
		{"other redirect", "100/36008", func(q url.Values) { q.Set("code", f.login(nil).Get("code")); q.Set("redirect_uri", fbCallback+"/") }},
		{"unknown short token", "190", func(q url.Values) { q.Set("grant_type", "fb_exchange_token"); q.Set("fb_exchange_token", "EAAno") }},
	} {
		answer, header := f.exchange(tt.change)
		if got := code(answer); got != tt.want {
			t.Errorf("%s: error %s, want %s", tt.name, got, tt.want)
		}
		if tt.want == "100/36009" && !strings.HasPrefix(header.Get("WWW-Authenticate"), `OAuth "Facebook Platform" "invalid_code"`) {
			t.Errorf("%s: WWW-Authenticate %q", tt.name, header.Get("WWW-Authenticate"))
		}
	}
	clock.pass(2 * time.Hour)
	answer, _ := f.exchange(func(q url.Values) {
		q.Set("grant_type", "fb_exchange_token")
		q.Set("fb_exchange_token", fmt.Sprint(first["access_token"]))
	})
	if got := code(answer); got != "190/463" {
		t.Errorf("an expired token was exchanged: %v", answer)
	}
}

// TestTokensDieOfEachCause: each with the subcode that its cause has, in calls
// and in debug_token alike.
func TestTokensDieOfEachCause(t *testing.T) {
	const mia = "Mia Merchant"
	for want, kill := range map[string]func(*facebook) error{
		"190/458": func(f *facebook) error { return f.m.RemoveApp(mia, fbApp) },
		"190/459": func(f *facebook) error { return f.m.SetCheckpoint(mia, true) },
		"190/460": func(f *facebook) error { return f.m.ChangePassword(mia) },
		"190/463": nil,
		"190/464": func(f *facebook) error { return f.m.SetUnconfirmed(mia, true) },
		"190/467": func(f *facebook) error { return f.m.Logout(mia) },
		"190/492": func(f *facebook) error { return f.m.SetTasks(mia, "Tea House") },
		"190":     nil,
		"200":     func(f *facebook) error { return f.m.Revoke(mia, fbApp, "pages_manage_metadata") },
	} {
		t.Run(want, func(t *testing.T) {
			clock := newClock()
			f := newFacebook(t, func(c *simulator.Config) { c.Now = clock.Now })
			page, token := f.connect()
			switch want {
			case "190/463": // A Page's token read with a short-lived one is short-lived too.
				short, _ := f.exchange(func(q url.Values) { q["code"] = f.login(nil)["code"] })
				_, accounts, _ := f.graph("GET", "me/accounts", url.Values{"access_token": {fmt.Sprint(short["access_token"])}})
				token = accounts["data"].([]any)[0].(map[string]any)["access_token"].(string)
				clock.pass(2 * time.Hour)
			case "190": // Data access ends when nobody logged in for 90 days.
				clock.pass(91 * 24 * time.Hour)
			default:
				if err := kill(f); err != nil {
					t.Fatal(err)
				}
			}
			_, answer, header := f.graph("GET", page+"/subscribed_apps", url.Values{"access_token": {token}})
			if got := code(answer); got != want {
				t.Errorf("the call ended in %s", got)
			}
			if want != "200" && !strings.Contains(header.Get("WWW-Authenticate"), "invalid_token") {
				t.Errorf("WWW-Authenticate %q", header.Get("WWW-Authenticate"))
			}
			_, about, _ := f.graph("GET", "debug_token", url.Values{"input_token": {token}, "access_token": {fbApp + "|" + fbSecret}})
			data := about["data"].(map[string]any)
			if data["is_valid"] != (want == "200") {
				t.Errorf("debug_token: %v", data)
			}
			if e, ok := data["error"].(map[string]any); ok {
				got := fmt.Sprint(e["code"])
				if e["subcode"] != nil {
					got += fmt.Sprintf("/%v", e["subcode"])
				}
				if got != want {
					t.Errorf("debug_token says %s", got)
				}
			}
		})
	}
}

func TestProofIsChecked(t *testing.T) {
	f := newFacebook(t, func(c *simulator.Config) { c.Meta.Apps[0].RequireProof = true })
	back := f.login(nil)
	answer, _ := f.exchange(func(q url.Values) { q["code"] = back["code"] })
	token := fmt.Sprint(answer["access_token"])
	right := hmacHex(fbSecret, token)
	for _, tt := range []struct {
		proof string
		want  string
	}{{"", "100"}, {hmacHex("another", token), "100"}, {hmacHex(fbSecret, token+"x"), "100"}, {right, ""}} {
		params := url.Values{"access_token": {token}}
		if tt.proof != "" {
			params.Set("appsecret_proof", tt.proof)
		}
		if _, answer, _ := f.graph("GET", "me", params); code(answer) != tt.want {
			t.Errorf("proof %q: %v, want error %q", tt.proof, answer, tt.want)
		}
	}
	page := f.m.Pages()[0].ID
	// In a form it is not seen.
	if _, answer, _ := f.graph("POST", page+"/subscribed_apps", url.Values{"access_token": {token}, "appsecret_proof": {right}}); code(answer) != "100" {
		t.Errorf("a proof in a form: %v", answer)
	}
}

func TestAccountsArePaged(t *testing.T) {
	f := newFacebook(t, func(c *simulator.Config) {
		for i := range 7 {
			c.Meta.Pages = append(c.Meta.Pages, meta.PageSpec{Name: fmt.Sprint("Page ", i), Owner: "Mia Merchant", Business: i == 0})
		}
	})
	token := f.userToken()
	seen, after := map[any]bool{}, ""
	for pages := 0; ; pages++ {
		_, answer, _ := f.graph("GET", "me/accounts", url.Values{"access_token": {token}, "limit": {"4"}, "after": {after}, "fields": {"id,name,tasks,access_token"}})
		for _, row := range answer["data"].([]any) {
			row := row.(map[string]any)
			if seen[row["id"]] || row["access_token"] == nil || row["tasks"] == nil {
				t.Errorf("row %v", row)
			}
			seen[row["id"]] = true
		}
		paging := answer["paging"].(map[string]any)
		if paging["next"] == nil {
			if pages != 2 {
				t.Errorf("%d pages came after the first, want 2", pages)
			}
			break
		}
		after = paging["cursors"].(map[string]any)["after"].(string)
	}
	if len(seen) != 9 {
		t.Errorf("%d Pages, want 9", len(seen))
	}
	// Without business_management those of a business are missing; with no Page ticked, all are.
	if err := f.m.Revoke("Mia Merchant", fbApp, "business_management"); err != nil {
		t.Fatal(err)
	}
	if _, answer, _ := f.graph("GET", "me/accounts", url.Values{"access_token": {token}}); len(answer["data"].([]any)) != 8 {
		t.Errorf("without business_management: %v", answer)
	}
	if err := f.m.NextOutcome(meta.Outcome{Pages: []string{}}); err != nil {
		t.Fatal(err)
	}
	if _, answer, _ := f.graph("GET", "me/accounts", url.Values{"access_token": {f.userToken()}}); len(answer["data"].([]any)) != 0 {
		t.Errorf("with no Page ticked: %v", answer)
	}
}

func TestVersionsLiveAndDie(t *testing.T) {
	clock := newClock()
	f := newFacebook(t, func(c *simulator.Config) { c.Now = clock.Now })
	token := f.userToken()
	get := func(path, token string) (string, string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), "GET", f.url+"/graph.facebook.com/"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		_, answer, header := f.do(request)
		return header.Get("Facebook-Api-Version"), code(answer)
	}
	for _, tt := range []struct{ path, token, version, code string }{
		{"v26.0/me", token, "v26.0", ""},
		{"v20.0/me", token, "v21.0", ""}, // It is dead, and the oldest living one answers.
		{"me", token, "v21.0", ""},
		{"v99.0/me", token, "", "2500"},
		{"v26.0/me", "", "v26.0", "2500"},
		{"v26.0/me/friends_of_friends", token, "v26.0", "2500"},
	} {
		if version, code := get(tt.path, tt.token); version != tt.version || code != tt.code {
			t.Errorf("%s: version %q, error %q; want %q, %q", tt.path, version, code, tt.version, tt.code)
		}
	}
}

func TestDeauthorizationAndDeletionAreTold(t *testing.T) {
	f := newFacebook(t, nil)
	f.connect()
	f.answer = func(p post) (int, string) {
		if p.path == "/deletion" {
			return 200, `{"url":"` + f.app.URL + `/status/1","confirmation_code":"c1"}`
		}
		return 200, ""
	}
	f.m.SetFaults(meta.Faults{CallbackForge: 1, CallbackAlgorithm: 1, CallbackPadding: 1})
	if err := f.m.RequestDeletion("Mia Merchant", fbApp); err != nil {
		t.Fatal(err)
	}
	f.quiet()
	user, err := f.m.ScopedID("Mia Merchant", fbApp)
	if err != nil {
		t.Fatal(err)
	}
	right := map[string]int{}
	for _, p := range f.taken() {
		form, err := url.ParseQuery(string(p.raw))
		signature, payload, ok := strings.Cut(form.Get("signed_request"), ".")
		if err != nil || !ok {
			t.Fatalf("%s: %q", p.path, p.raw)
		}
		mac := hmacBase64(fbSecret, payload)
		body := fromBase64(t, payload)
		if signature == mac+"=" && strings.Contains(body, `"algorithm":"HMAC-SHA256"`) && strings.Contains(body, `"user_id":"`+user+`"`) {
			right[p.path]++
		}
	}
	if len(f.taken()) != 6 || right["/deauthorize"] != 1 || right["/deletion"] != 1 {
		t.Errorf("%d posts, right ones: %v", len(f.taken()), right)
	}
	for _, c := range f.m.Callbacks() {
		if c.Kind == meta.Deletion && (c.Code != "c1" || c.Problem != "" || c.StatusPage != "All of it is deleted.") {
			t.Errorf("deletion: %+v", c)
		}
		if !c.Done || c.UserID != user {
			t.Errorf("callback %+v", c)
		}
	}
}
