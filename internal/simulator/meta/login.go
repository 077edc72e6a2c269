package meta

import (
	"crypto/hmac"
	"fmt"
	"html/template"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	_ "embed"
)

// What a dialog can come to.
const (
	Granted   = "granted"
	Cancelled = "cancelled" // The person pressed Cancel.
	// PermissionsError is what an app gets that is in development mode, or asks
	// for what it may not: it looks like a cancel, but for its error_code of 200.
	PermissionsError = "permissions_error"
	// ErrorCode is error_code and error_message without error. Unproven.
	ErrorCode = "error_code"
	Nothing   = "nothing" // Neither a code nor an error comes back. Unproven.
	// WrongState and NoState are no doing of Meta's, but of somebody in between.
	WrongState = "wrong_state"
	NoState    = "no_state"
)

// Outcomes are what a dialog can come to.
func Outcomes() []string {
	return []string{Granted, Cancelled, PermissionsError, ErrorCode, Nothing, WrongState, NoState}
}

// Outcome is what a dialog comes to. The zero value grants everything for all
// Pages of the first person.
type Outcome struct {
	Kind    string   `json:"kind,omitempty"`    // Default: granted.
	Person  string   `json:"person,omitempty"`  // Who logs in, by name or id. Default: the first.
	Decline []string `json:"decline,omitempty"` // Permissions that she unticks. With Login for Business the app gets none then.
	// Pages are those that she ticks, by name or id. Null is all that she has,
	// those of later too; an empty list is none.
	Pages []string `json:"pages"`
}

// NextOutcome says what the next dialog comes to, where nobody is asked; those
// after it come to what further calls say, and then to the zero Outcome.
func (m *Meta) NextOutcome(outcome Outcome) error {
	if outcome.Kind != "" && !slices.Contains(Outcomes(), outcome.Kind) {
		return fmt.Errorf("next outcome: no kind %q; there are %s", outcome.Kind, strings.Join(Outcomes(), ", "))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if outcome.Person != "" && m.personNamed(outcome.Person) == nil {
		return fmt.Errorf("next outcome: no person %q", outcome.Person)
	}
	for _, name := range outcome.Pages {
		if m.pageNamed(name) == nil {
			return fmt.Errorf("next outcome: no Page %q", name)
		}
	}
	if len(m.outcomes) >= 1000 {
		return fmt.Errorf("next outcome: a thousand wait already")
	}
	m.outcomes = append(m.outcomes, outcome)
	return nil
}

//go:embed dialog.html
var dialogHTML string

var dialogPage = template.Must(template.New("dialog").Parse(dialogHTML))

// asked is a dialog's request, as it was judged.
type asked struct {
	app      *App
	redirect *url.URL
	state    string
	hasState bool
	scopes   []string
	business bool // Facebook Login for Business.
	rerequest,
	returnScopes bool
}

// Dialog answers at the addresses where a person decides.
func (m *Meta) Dialog(w http.ResponseWriter, r *http.Request, path string) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	if len(parts) == 3 && strings.HasPrefix(parts[0], "v") {
		if _, ok := served(parts[0], m.world.Now()); ok {
			parts = parts[1:]
		}
	}
	if len(parts) != 2 || parts[0] != "dialog" || parts[1] != "oauth" {
		m.refuse(w, http.StatusNotFound, "This page isn't available", "The link may be broken, or the page may have been removed.")
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		m.refuse(w, http.StatusMethodNotAllowed, "This page isn't available", "It is opened with GET.")
		return
	}
	query := r.URL.Query()
	a, title, problem := m.judgeDialog(query)
	if problem != "" {
		m.refuse(w, http.StatusBadRequest, title, problem)
		return
	}
	switch {
	case !m.config.Consent:
		m.mu.Lock()
		m.dialogs++
		var outcome Outcome
		if len(m.outcomes) > 0 {
			outcome, m.outcomes = m.outcomes[0], m.outcomes[1:]
		}
		m.mu.Unlock()
		m.finish(w, r, a, outcome)
	case r.Method == http.MethodGet:
		m.showDialog(w, r, a)
	default:
		if err := sameOrigin.Check(r); err != nil {
			m.refuse(w, http.StatusForbidden, "Not sent", "This form was sent from another site.")
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		if err := r.ParseForm(); err != nil {
			m.refuse(w, http.StatusBadRequest, "Not sent", "The form cannot be read.")
			return
		}
		outcome := Outcome{Kind: r.PostForm.Get("outcome"), Person: r.PostForm.Get("person")}
		for _, scope := range a.scopes {
			if forPages(scope) && !slices.Contains(r.PostForm["scope"], scope) && !a.business {
				outcome.Decline = append(outcome.Decline, scope)
			}
		}
		if r.PostForm.Get("all_pages") == "" {
			outcome.Pages = append([]string{}, r.PostForm["page"]...)
		}
		m.finish(w, r, a, outcome)
	}
}

// sameOrigin refuses forms that other sites post.
var sameOrigin = http.NewCrossOriginProtection()

// judgeDialog says what is wrong with a dialog's address; Facebook tells the
// person and sends nobody back.
func (m *Meta) judgeDialog(query url.Values) (a asked, title, problem string) {
	m.mu.Lock()
	a.app = m.apps[query.Get("client_id")]
	m.mu.Unlock()
	if a.app == nil {
		return a, "Invalid App ID", "The provided app ID does not look like a valid app ID."
	}
	redirect := query.Get("redirect_uri")
	if !slices.Contains(a.app.RedirectURIs, redirect) {
		return a, "URL Blocked", "This redirect failed because the redirect URI is not whitelisted in the app’s Client OAuth Settings. Make sure Client and Web OAuth Login are on and add all your app domains as Valid OAuth Redirect URIs."
	}
	at, err := url.Parse(redirect)
	if err != nil || !safe(at) {
		return a, "Insecure Login Blocked", "You can’t get an access token or log in to this app from an insecure page. Try re-loading the page as https://"
	}
	a.redirect = at
	a.state, a.hasState = query.Get("state"), query.Has("state")
	if kind := query.Get("response_type"); kind != "" && kind != "code" {
		return a, "Unsupported", "The simulator knows response_type=code alone."
	}
	a.rerequest = query.Get("auth_type") == "rerequest"
	a.returnScopes = query.Get("return_scopes") == "true"
	if config := query.Get("config_id"); config != "" {
		if config != a.app.LoginConfigID {
			return a, "Invalid configuration", "The configuration ID does not belong to this app."
		}
		a.business, a.scopes = true, slices.Clone(a.app.LoginPermissions)
	} else {
		a.scopes = slices.Compact(slices.Sorted(slices.Values(strings.FieldsFunc(query.Get("scope"), func(r rune) bool { return r == ',' || r == ' ' }))))
	}
	var invalid []string
	for _, scope := range a.scopes {
		if !slices.Contains(permissions, scope) {
			invalid = append(invalid, scope)
		}
	}
	if len(invalid) > 0 {
		return a, "Invalid Scopes", "Invalid Scopes: " + strings.Join(invalid, ", ") + ". This message is only shown to developers. Users of your app will ignore these permissions if present."
	}
	if !slices.Contains(a.scopes, "public_profile") && !a.business {
		a.scopes = append(a.scopes, "public_profile")
	}
	return a, "", ""
}

// finish ends a dialog: the person decided, and her browser goes back to the app.
func (m *Meta) finish(w http.ResponseWriter, r *http.Request, a asked, outcome Outcome) {
	back := url.Values{}
	state, hasState := a.state, a.hasState
	m.mu.Lock()
	person, err := m.whoLogsIn(outcome.Person)
	if err != nil {
		m.mu.Unlock()
		m.refuse(w, http.StatusInternalServerError, "Nobody can log in", err.Error())
		return
	}
	kind := outcome.Kind
	if kind == "" || kind == WrongState || kind == NoState {
		switch kind {
		case WrongState:
			state, hasState = "made-up-by-somebody", true
		case NoState:
			hasState = false
		}
		kind = Granted
	}
	if kind == Granted && !m.mayAsk(a.app, person, a.scopes) {
		kind = PermissionsError
	}
	if kind == Granted && a.business && len(outcome.Decline) > 0 {
		kind = Cancelled // All or nothing.
	}
	switch kind {
	case Granted:
		m.giveGrant(person, a, outcome)
		text := "AQ" + m.world.Text(96)
		m.codes[text] = &loginCode{App: a.app.ID, Person: person.ID, Redirect: a.redirect.String(), Made: m.now(), System: a.business && a.app.SystemUser}
		m.forgetCodes()
		back.Set("code", text)
		if a.returnScopes {
			g := person.Grants[a.app.ID]
			var declined []string
			for _, scope := range slices.Sorted(maps.Keys(g.Scopes)) {
				if !g.Scopes[scope] {
					declined = append(declined, scope)
				}
			}
			back.Set("granted_scopes", strings.Join(g.granted(), ","))
			back.Set("denied_scopes", strings.Join(declined, ","))
		}
	case Cancelled, PermissionsError:
		back.Set("error", "access_denied")
		back.Set("error_reason", "user_denied")
		if kind == Cancelled {
			back.Set("error_code", "")
			back.Del("error_code")
			back.Set("error_description", "Permissions error")
		} else {
			back.Set("error_code", "200")
			back.Set("error_description", "Permissions error")
		}
	case ErrorCode:
		back.Set("error_code", "1349048")
		back.Set("error_message", "Can't load URL: The domain of this URL isn't included in the app's domains.")
	}
	m.mu.Unlock()
	if hasState {
		back.Set("state", state)
	}
	to := *a.redirect
	query := to.Query()
	for name, values := range back {
		query[name] = values
	}
	to.RawQuery = query.Encode()
	if kind != Nothing {
		to.Fragment = "_=_" // It stays in the browser.
	}
	http.Redirect(w, r, to.String(), http.StatusFound)
}

// whoLogsIn is a person by name, or the first; mu is held.
func (m *Meta) whoLogsIn(name string) (*Person, error) {
	if name != "" {
		return m.person(name)
	}
	people := inOrder(m.people)
	if len(people) == 0 {
		return nil, fmt.Errorf("there is no person")
	}
	return people[0], nil
}

// mayAsk tells whether an app may ask this person for permissions; mu is held.
func (m *Meta) mayAsk(app *App, person *Person, scopes []string) bool {
	if slices.Contains(app.Roles, person.ID) || slices.Contains(app.Roles, person.Name) {
		return true
	}
	if app.Development {
		return false
	}
	return len(app.Permissions) == 0 || !slices.ContainsFunc(scopes, func(scope string) bool {
		return forPages(scope) && !slices.Contains(app.Permissions, scope)
	})
}

// giveGrant writes down what a person let an app do; mu is held. What she
// declined before she is not asked again, unless by auth_type=rerequest.
func (m *Meta) giveGrant(person *Person, a asked, outcome Outcome) {
	g := person.Grants[a.app.ID]
	if g == nil {
		g = &grant{Scopes: make(map[string]bool), Targets: make(map[string][]string), GrantedAt: m.world.Now()}
		person.Grants[a.app.ID] = g
	}
	g.UsedAt = m.now()
	m.scopedID(person, a.app.ID)
	for _, scope := range a.scopes {
		if yes, before := g.Scopes[scope]; before && !yes && !a.rerequest && !a.business {
			continue
		}
		g.Scopes[scope] = !slices.Contains(outcome.Decline, scope)
		if !forPages(scope) {
			continue
		}
		delete(g.Targets, scope)
		if outcome.Pages != nil {
			targets := []string{}
			for _, name := range outcome.Pages {
				if page := m.pageNamed(name); page != nil && len(page.Roles[person.ID]) > 0 {
					targets = append(targets, page.ID)
				}
			}
			g.Targets[scope] = targets
		}
	}
}

// forgetCodes keeps their number bounded; mu is held.
func (m *Meta) forgetCodes() {
	for text, code := range m.codes {
		if len(m.codes) > 10_000 || m.now().Sub(code.Made) > 24*time.Hour {
			delete(m.codes, text)
		}
	}
}

// refuse shows the person that something is wrong; she is sent nowhere.
func (m *Meta) refuse(w http.ResponseWriter, status int, title, text string) {
	m.render(w, status, map[string]any{"Title": title, "Problem": text})
}

func (m *Meta) render(w http.ResponseWriter, status int, data any) {
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'")
	w.WriteHeader(status)
	if err := dialogPage.Execute(w, data); err != nil {
		m.log.Error("write dialog", "error", err)
	}
}

// showDialog asks a person.
func (m *Meta) showDialog(w http.ResponseWriter, r *http.Request, a asked) {
	type row struct {
		ID, Name string
		On       bool
		Pages    []Page
	}
	m.mu.Lock()
	chosen, err := m.whoLogsIn(r.URL.Query().Get("_person"))
	if err != nil {
		m.mu.Unlock()
		m.refuse(w, http.StatusInternalServerError, "Nobody can log in", err.Error())
		return
	}
	var people []row
	for _, p := range inOrder(m.people) {
		query := r.URL.Query()
		query.Set("_person", p.ID)
		people = append(people, row{ID: "?" + query.Encode(), Name: p.Name, On: p == chosen})
	}
	var pages []row
	for _, page := range inOrder(m.pages) {
		if tasks := page.Roles[chosen.ID]; len(tasks) > 0 {
			pages = append(pages, row{ID: page.ID, Name: page.Name + " (" + strings.Join(tasks, ", ") + ")"})
		}
	}
	type scope struct {
		Name     string
		Fixed    bool // It cannot be unticked.
		Declined bool
	}
	var scopes []scope
	g := chosen.Grants[a.app.ID]
	for _, name := range a.scopes {
		s := scope{Name: name, Fixed: a.business || !forPages(name)}
		if g != nil {
			yes, before := g.Scopes[name]
			s.Declined = before && !yes && !a.rerequest && !a.business
		}
		scopes = append(scopes, s)
	}
	data := map[string]any{"Title": "Log in with Facebook", "App": a.app.Name, "Person": chosen.ID, "PersonName": chosen.Name, "People": people, "Pages": pages,
		"Scopes": scopes, "Business": a.business, "Known": g != nil, "Development": !m.mayAsk(a.app, chosen, a.scopes)}
	m.mu.Unlock()
	m.render(w, http.StatusOK, data)
}

// accessToken gives out tokens: for a code, for a short-lived token, and to an
// app for its credentials.
func (c *call) accessToken() (any, *graphError) {
	m := c.m
	m.mu.Lock()
	defer m.mu.Unlock()
	app := m.apps[c.param("client_id")]
	if app == nil {
		return nil, fail("101")
	}
	if !slices.ContainsFunc(app.Secrets, func(secret string) bool { return hmac.Equal([]byte(secret), []byte(c.param("client_secret"))) }) {
		return nil, &graphError{KnownError: KnownError{Name: "1", Code: 1, Type: oauthException, Status: 400, Message: "Error validating client secret."}}
	}
	switch grantType := c.param("grant_type"); grantType {
	case "", "authorization_code":
		return c.redeem(app)
	case "fb_exchange_token":
		return c.extend(app)
	case "client_credentials":
		return map[string]any{"access_token": app.ID + "|" + m.appToken(app), "token_type": "bearer"}, nil
	default:
		return nil, fail("100", "(#100) Unknown grant_type %q", grantType)
	}
}

// redeem takes a code; mu is held.
func (c *call) redeem(app *App) (any, *graphError) {
	m := c.m
	code := m.codes[c.param("code")]
	switch {
	case c.param("code") == "":
		return nil, fail("100", "Missing authorization code.")
	case code == nil || code.App != app.ID:
		return nil, fail("100", "Invalid verification code format.")
	case code.Redirect != c.param("redirect_uri"):
		return nil, fail("100/36008")
	case code.Used:
		return nil, fail("100/36009")
	case !m.now().Before(code.Made.Add(codeLife)):
		return nil, fail("100/36007")
	}
	code.Used = true
	person := m.people[code.Person]
	if person == nil || person.Grants[app.ID] == nil {
		return nil, fail("190/458")
	}
	t := &token{Kind: kindUser, App: app.ID, Person: person.ID, Session: person.Sessions, Grant: person.Grants[app.ID].GrantedAt.UnixNano(), Expires: m.now().Add(m.life(shortLife))}
	if code.System {
		t.Kind, t.System, t.Long, t.Expires = kindSystem, true, true, time.Time{}
	}
	return c.give(m.newToken(t), t, shortLife), nil
}

// extend makes a long-lived token of a short-lived one; mu is held.
func (c *call) extend(app *App) (any, *graphError) {
	m := c.m
	t := m.tokens[c.param("fb_exchange_token")]
	if c.param("fb_exchange_token") == "" {
		return nil, fail("100", "(#100) The parameter fb_exchange_token is required")
	}
	if t == nil || t.App != app.ID || t.Kind == kindPage {
		return nil, fail("190", "Invalid OAuth access token.")
	}
	if err := m.judge(t); err != nil {
		return nil, err
	}
	long := &token{Kind: t.Kind, App: t.App, Person: t.Person, Session: t.Session, Grant: t.Grant, Long: true, System: t.System, Expires: m.now().Add(m.life(longLife))}
	if t.System {
		long.Expires = time.Time{}
	}
	return c.give(m.newToken(long), long, longLife), nil
}

// life is how long tokens live that are given out for so long.
func (m *Meta) life(named time.Duration) time.Duration {
	if limit := time.Duration(m.Faults().TokenLife); limit > 0 {
		return min(limit, named)
	}
	return named
}

// give is an answer with a token.
func (c *call) give(text string, t *token, life time.Duration) map[string]any {
	out := map[string]any{"access_token": text, "token_type": "bearer"}
	if !t.Expires.IsZero() && !c.m.Faults().OmitExpiresIn {
		out["expires_in"] = int64(life / time.Second)
	}
	return out
}

// private tells whether a host is of this machine or of a private network.
func private(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && (ip.IsLoopback() || ip.IsPrivate() || ip.IsUnspecified()) || strings.HasSuffix(host, ".localhost") || strings.HasSuffix(host, ".local")
}
