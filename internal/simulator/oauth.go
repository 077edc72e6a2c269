package simulator

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"stockroom/internal/simulator/graph"
)

// Lifetimes of what OAuth gives out. Source: "About offline access tokens"
// (2026-10); that of a code is not published.
const (
	codeLife         = 10 * time.Minute
	accessLife       = time.Hour
	refreshLife      = 90 * 24 * time.Hour
	refreshGrace     = 30 * 24 * time.Hour // Of a replaced refresh token, from its first use.
	credentialsLife  = 24*time.Hour - time.Second
	redactAfter      = 48 * time.Hour
	maxFormBytes     = 64 << 10
	maxConsentScopes = 100
)

// redactTopic tells an app that is gone to erase what it holds of the shop.
const redactTopic = "shop/redact"

// token is an access token; the zero time never comes.
type token struct {
	Made, Expires time.Time
	Credentials   bool // By the app's own credentials, so without a refresh token.
}

// refreshToken is one link in a chain of refresh tokens.
type refreshToken struct {
	Expires   time.Time
	FirstUsed time.Time // Zero while it was not used.
}

type authCode struct{ Expires time.Time }

// installation returns the app's place in the shop, installed or not.
func (s *Shop) installation(app *App) *Installation {
	s.installMu.Lock()
	defer s.installMu.Unlock()
	i := s.installations[app.ClientID]
	if i == nil {
		capacity, rate := s.budget()
		i = &Installation{ID: s.sim.next(), App: app, Shop: s, tokens: make(map[string]*token),
			refreshes: make(map[string]*refreshToken), codes: make(map[string]*authCode), migrations: make(map[string]*migration),
			bucket: graph.NewBucket(capacity, rate, s.sim.Now)}
		s.installations[app.ClientID] = i
	}
	return i
}

// installed are the installations in force.
func (s *Shop) installed() []*Installation {
	s.installMu.Lock()
	defer s.installMu.Unlock()
	var out []*Installation
	for _, i := range s.installations {
		i.mu.Lock()
		if !i.installedAt.IsZero() {
			out = append(out, i)
		}
		i.mu.Unlock()
	}
	slices.SortFunc(out, func(a, b *Installation) int { return strings.Compare(a.App.ClientID, b.App.ClientID) })
	return out
}

// access finds the installation that an access token belongs to.
func (s *Shop) access(text string) (Access, bool) {
	life := time.Duration(s.sim.Faults().TokenLife)
	for _, i := range s.installed() {
		i.mu.Lock()
		t, ok := i.tokens[text]
		now := s.sim.Now()
		ok = ok && (t.Expires.IsZero() || now.Before(t.Expires) && (life == 0 || now.Before(t.Made.Add(life))))
		access := Access{Installation: i, Scopes: slices.Clone(i.scopes), Now: now, Bucket: i.bucket, forever: ok && t.Expires.IsZero()}
		i.mu.Unlock()
		if ok {
			return access, true
		}
	}
	return Access{}, false
}

// IssueToken installs an app by hand and returns a token that does not expire,
// as a merchant gets it for a custom app of the shop's own.
func (s *Shop) IssueToken(clientID string, scopes ...string) (string, error) {
	app := s.sim.app(clientID)
	if app == nil {
		return "", fmt.Errorf("issue token of shop %s: no app %q", s.Domain, clientID)
	}
	i := s.installation(app)
	i.grant(scopes)
	text := "shpat_" + s.sim.text(32)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.tokens[text] = &token{}
	return text, nil
}

// Installation is the app's standing at the shop; nil where the simulator has no such app.
func (s *Shop) Installation(clientID string) *Installation {
	app := s.sim.app(clientID)
	if app == nil {
		return nil
	}
	return s.installation(app)
}

// SetScopes changes what an app was granted, as a merchant's approval of new
// scopes does, and tells the app with app/scopes_update.
func (s *Shop) SetScopes(clientID string, scopes ...string) error {
	app := s.sim.app(clientID)
	if app == nil {
		return fmt.Errorf("set scopes in shop %s: no app %q", s.Domain, clientID)
	}
	s.installation(app).grant(scopes)
	return nil
}

// grant installs the app where it is not, with these scopes.
func (i *Installation) grant(scopes []string) {
	scopes = sortedSet(scopes)
	i.mu.Lock()
	previous, fresh := i.scopes, i.installedAt.IsZero()
	i.scopes = scopes
	if fresh {
		i.installedAt = i.Shop.sim.Now()
	}
	i.mu.Unlock()
	if fresh || slices.Equal(previous, scopes) {
		return
	}
	now := i.Shop.sim.Now()
	body := map[string]any{
		"id": i.ID, "previous": previous, "current": scopes, "shop_id": i.Shop.GID(),
		"updated_at": now.UTC().Format(time.RFC3339),
	}
	i.Shop.tell(i, "app/scopes_update", i.GID(), func(sendOptions) map[string]any { return body })
}

// Uninstall removes an app from the shop: its tokens are dead at once, its
// subscriptions gone after app/uninstalled was sent, its bulk operations
// canceled, and 48 hours later shop/redact follows unless the app was
// installed again.
func (s *Shop) Uninstall(clientID string) error {
	app := s.sim.app(clientID)
	if app == nil {
		return fmt.Errorf("uninstall in shop %s: no app %q", s.Domain, clientID)
	}
	i := s.installation(app)
	if !i.inForce() {
		return fmt.Errorf("uninstall %s in shop %s: %w", clientID, s.Domain, errNotInstalled)
	}
	s.mu.RLock()
	body := s.shopBody()
	s.mu.RUnlock()
	body["updated_at"] = nil // As in the published example.
	s.tell(i, "app/uninstalled", s.GID(), func(sendOptions) map[string]any { return body })

	i.mu.Lock()
	i.installedAt = time.Time{}
	i.scopes = nil
	clear(i.tokens)
	clear(i.refreshes)
	clear(i.codes)
	clear(i.migrations)
	i.subscriptions = Index[*Subscription]{}
	i.cancelAll()
	i.mu.Unlock()
	redact := map[string]any{"shop_id": s.ID, "shop_domain": s.Domain}
	s.tellLater(i, redactAfter, redactTopic, s.GID(), func(sendOptions) map[string]any {
		if i.inForce() {
			return nil
		}
		return redact
	})
	return nil
}

// inForce tells whether the app is installed.
func (i *Installation) inForce() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return !i.installedAt.IsZero()
}

var errNotInstalled = errors.New("the app is not installed")

// authorize answers the page to which an app sends the merchant, and what the
// merchant chose there.
func (s *Simulator) authorize(w http.ResponseWriter, r *http.Request, shop *Shop) {
	r.Body = http.MaxBytesReader(w, r.Body, maxFormBytes)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "Oauth error invalid_request: the form cannot be read", http.StatusBadRequest)
		return
	}
	app := s.app(r.Form.Get("client_id"))
	if app == nil {
		http.Error(w, "Oauth error invalid_request: Could not find Shopify API application with api_key", http.StatusBadRequest)
		return
	}
	redirect := r.Form.Get("redirect_uri")
	if !slices.Contains(app.RedirectURIs, redirect) {
		http.Error(w, "Oauth error invalid_request: The redirect_uri is not whitelisted", http.StatusBadRequest)
		return
	}
	requested := splitScopes(r.Form.Get("scope"))
	if len(requested) == 0 {
		requested = shop.installation(app).managedScopes()
	}
	s.ask(w, r, shop, app, requested, func(granted []string) { s.approve(w, r, shop, app, redirect, granted) })
}

// managedScopes are what an install grants that names no scopes: those of the
// app's configuration with the optional ones granted before, or, where the
// configuration has none, what was granted before. Source: "Implement
// authorization code grant manually" and "Manage access scopes" (2026-10); that
// optional scopes outlive another install is our reading.
func (i *Installation) managedScopes() []string {
	before := i.Scopes()
	if len(i.App.Scopes) == 0 {
		return before
	}
	optional := slices.DeleteFunc(before, func(scope string) bool { return !slices.Contains(i.App.OptionalScopes, scope) })
	return sortedSet(slices.Concat(i.App.Scopes, optional))
}

// installOptional answers the page to which an app sends the merchant for
// optional scopes of its configuration, on top of what it has.
func (s *Simulator) installOptional(w http.ResponseWriter, r *http.Request, shop *Shop) {
	r.Body = http.MaxBytesReader(w, r.Body, maxFormBytes)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "Oauth error invalid_request: the form cannot be read", http.StatusBadRequest)
		return
	}
	app := s.app(r.Form.Get("client_id"))
	if app == nil {
		http.Error(w, "Oauth error invalid_request: Could not find Shopify API application with api_key", http.StatusBadRequest)
		return
	}
	wanted := splitScopes(r.Form.Get("optional_scopes"))
	for _, scope := range wanted {
		if !slices.Contains(app.OptionalScopes, scope) {
			http.Error(w, "Oauth error invalid_scope: "+scope+" is not an optional scope of the app", http.StatusBadRequest)
			return
		}
	}
	i := shop.installation(app)
	s.ask(w, r, shop, app, sortedSet(slices.Concat(i.managedScopes(), wanted)), func(granted []string) {
		i.grant(granted)
		target, err := url.Parse(app.URL)
		if err != nil || app.URL == "" {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			fmt.Fprint(w, "<!doctype html><title>Installed</title><p>The scopes were granted.</p>")
			return
		}
		target.RawQuery = shop.launch(app).Encode()
		http.Redirect(w, r, target.String(), http.StatusFound)
	})
}

// ask lets the merchant decide which of the scopes to grant, and does approve
// with them.
func (s *Simulator) ask(w http.ResponseWriter, r *http.Request, shop *Shop, app *App, requested []string, approve func(granted []string)) {
	if len(requested) > maxConsentScopes {
		http.Error(w, "Oauth error invalid_scope: too many scopes", http.StatusBadRequest)
		return
	}
	switch {
	case s.config.AutoConsent && r.PostForm.Get("answer") == "": // A script may answer for itself.
		approve(requested)
	case r.Method == http.MethodPost && r.PostForm.Get("answer") == "install":
		granted := slices.DeleteFunc(slices.Clone(r.PostForm["grant"]), func(scope string) bool {
			return !slices.Contains(requested, scope)
		})
		approve(granted)
	case r.Method == http.MethodPost:
		// Shopify leads a merchant who cancels back to its own admin, not to the app.
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, "<!doctype html><title>Cancelled</title><p>Nothing was installed.</p>")
	default:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("X-Frame-Options", "DENY")
		err := consentPage.Execute(w, map[string]any{
			"App": app, "Shop": shop.Domain, "Scopes": requested,
			"Fields": []string{"client_id", "scope", "optional_scopes", "redirect_uri", "state"}, "Form": r.Form,
		})
		if err != nil {
			s.log.Error("write consent page", "error", err)
		}
	}
}

// approve installs the app and leads the browser back to it.
func (s *Simulator) approve(w http.ResponseWriter, r *http.Request, shop *Shop, app *App, redirect string, scopes []string) {
	i := shop.installation(app)
	i.grant(scopes)
	code, now := s.text(32), s.Now()
	i.mu.Lock()
	i.forgetExpired(now)
	i.codes[code] = &authCode{now.Add(codeLife)}
	i.mu.Unlock()

	target, err := url.Parse(redirect)
	if err != nil {
		http.Error(w, "Oauth error invalid_request: The redirect_uri is not a URL", http.StatusBadRequest)
		return
	}
	name := strings.TrimSuffix(shop.Domain, ".myshopify.com")
	query := target.Query()
	query.Set("code", code)
	query.Set("host", base64.RawStdEncoding.EncodeToString([]byte("admin.shopify.com/store/"+name)))
	query.Set("shop", shop.Domain)
	query.Set("state", r.Form.Get("state"))
	query.Set("timestamp", strconv.FormatInt(now.Unix(), 10))
	query.Set("hmac", signQuery(query, app.Secrets[0]))
	target.RawQuery = query.Encode()
	http.Redirect(w, r, target.String(), http.StatusFound)
}

// LaunchQuery is the signed query with which Shopify opens an app's URL from
// the shop's admin.
func (s *Shop) LaunchQuery(clientID string) (url.Values, error) {
	app := s.sim.app(clientID)
	if app == nil {
		return nil, fmt.Errorf("launch from shop %s: no app %q", s.Domain, clientID)
	}
	return s.launch(app), nil
}

func (s *Shop) launch(app *App) url.Values {
	query := url.Values{"shop": {s.Domain}, "timestamp": {strconv.FormatInt(s.sim.Now().Unix(), 10)}}
	query.Set("hmac", signQuery(query, app.Secrets[0]))
	return query
}

// signQuery is the hmac parameter over all others, sorted by name. Source:
// "Implement authorization code grant manually" (2026-10).
func signQuery(query url.Values, secret string) string {
	rest := make(url.Values, len(query))
	for name, values := range query {
		if name != "hmac" {
			rest[name] = values
		}
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(strings.ReplaceAll(rest.Encode(), "+", "%20")))
	return hex.EncodeToString(mac.Sum(nil))
}

// splitScopes takes a comma separated list apart.
func splitScopes(text string) []string {
	var out []string
	for scope := range strings.SplitSeq(text, ",") {
		if scope = strings.TrimSpace(scope); scope != "" {
			out = append(out, scope)
		}
	}
	return sortedSet(out)
}

// scopeText lists granted scopes as the token endpoint does: a write scope
// speaks for its read scope too.
func scopeText(scopes []string) string {
	shown := slices.DeleteFunc(slices.Clone(scopes), func(scope string) bool {
		noun, isRead := strings.CutPrefix(scope, "read_")
		return isRead && slices.Contains(scopes, "write_"+noun)
	})
	return strings.Join(shown, ",")
}

// withReads are granted scopes as an installation lists them: a write scope
// brings its read scope along.
func withReads(scopes []string) []string {
	out := slices.Clone(scopes)
	for _, scope := range scopes {
		if noun, writes := strings.CutPrefix(scope, "write_"); writes {
			out = append(out, "read_"+noun)
		}
	}
	return sortedSet(out)
}

// tokenReply is the token endpoint's answer. Pointers: absent where nil.
type tokenReply struct {
	AccessToken    string `json:"access_token"`
	Scope          string `json:"scope"`
	ExpiresIn      *int64 `json:"expires_in,omitempty"`
	RefreshToken   string `json:"refresh_token,omitempty"`
	RefreshExpires *int64 `json:"refresh_token_expires_in,omitempty"`
}

// oauthError is a refusal of the token endpoint.
type oauthError struct {
	status      int
	code, words string
}

func (e *oauthError) Error() string { return e.code + ": " + e.words }

// accessToken answers the token endpoint: a code, a refresh token, a token that
// does not expire, or the app's own credentials for an access token.
func (s *Simulator) accessToken(w http.ResponseWriter, r *http.Request, shop *Shop) {
	form, err := tokenForm(w, r)
	if err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": "invalid_request", "error_description": "the body cannot be read"})
		return
	}
	fate := s.fate("token", shop.Domain)
	if s.refusedByFault(w, r, fate) {
		return
	}
	reply, err := s.giveToken(shop, form)
	if refusal, ok := errors.AsType[*oauthError](err); ok {
		writeJSON(w, refusal.status, map[string]string{"error": refusal.code, "error_description": refusal.words})
		return
	}
	faults := s.Faults()
	if fate.chancy("TokenLost", faults.TokenLost) {
		http.Error(w, "Web server is returning an unknown error", 520)
		return
	}
	if s.lostByFault(w, fate) {
		return
	}
	if faults.OmitExpiresIn {
		reply.ExpiresIn, reply.RefreshExpires = nil, nil
	}
	writeJSON(w, http.StatusOK, reply)
}

// tokenForm reads the fields, which come as a form or as JSON.
func tokenForm(w http.ResponseWriter, r *http.Request) (map[string]string, error) {
	body := http.MaxBytesReader(w, r.Body, maxFormBytes)
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return nil, fmt.Errorf("content type: %w", err)
	}
	form := make(map[string]string)
	if kind == "application/json" {
		var fields map[string]any
		if err := json.NewDecoder(body).Decode(&fields); err != nil {
			return nil, err
		}
		for name, value := range fields {
			form[name] = fmt.Sprint(value)
		}
		return form, nil
	}
	r.Body = body
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	for name, values := range r.PostForm {
		form[name] = values[0]
	}
	return form, nil
}

func (s *Simulator) giveToken(shop *Shop, form map[string]string) (*tokenReply, error) {
	app := s.app(form["client_id"])
	if app == nil || !slices.Contains(app.Secrets, form["client_secret"]) {
		return nil, &oauthError{http.StatusBadRequest, "invalid_client", "The client id or secret is wrong"}
	}
	i := shop.installation(app)
	i.mu.Lock()
	defer i.mu.Unlock()
	now := s.Now()
	expiring := form["expiring"] == "1" || form["expiring"] == "true"
	switch form["grant_type"] {
	case "", "authorization_code":
		code := i.codes[form["code"]]
		delete(i.codes, form["code"])
		if code == nil || now.After(code.Expires) {
			return nil, &oauthError{http.StatusBadRequest, "invalid_request", "The authorization code was not found or was already used"}
		}
		if !expiring {
			return i.lastingToken(), nil
		}
		return i.acquire(now), nil
	case "refresh_token":
		return i.refresh(form["refresh_token"], now)
	case exchangeGrant:
		return i.exchange(form, expiring, now)
	case "client_credentials":
		if app.Public { // Only an app of the shop's own organization may. Source: "Using the client credentials grant" (2026-10).
			return nil, &oauthError{http.StatusBadRequest, "shop_not_permitted", "Client credentials cannot be used in this shop"}
		}
		if i.installedAt.IsZero() {
			return nil, &oauthError{http.StatusBadRequest, "shop_not_permitted", "The app is not installed in this shop"}
		}
		i.forgetExpired(now)
		text, seconds := "shpat_"+s.text(32), int64(credentialsLife/time.Second)
		i.tokens[text] = &token{Made: now, Expires: now.Add(credentialsLife), Credentials: true}
		return &tokenReply{AccessToken: text, Scope: scopeText(i.scopes), ExpiresIn: &seconds}, nil
	default:
		return nil, &oauthError{http.StatusBadRequest, "unsupported_grant_type", "The grant type is not supported"}
	}
}

// lastingToken is the app's token of the old kind; there is one a shop.
func (i *Installation) lastingToken() *tokenReply {
	for text, t := range i.tokens {
		if t.Expires.IsZero() {
			return &tokenReply{AccessToken: text, Scope: scopeText(i.scopes)}
		}
	}
	text := "shpat_" + i.Shop.sim.text(32)
	i.tokens[text] = &token{}
	return &tokenReply{AccessToken: text, Scope: scopeText(i.scopes)}
}

// LivingRefreshes counts the refresh tokens that would be taken now.
func (i *Installation) LivingRefreshes() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	now, n := i.Shop.sim.Now(), 0
	for _, t := range i.refreshes {
		if !now.After(t.Expires) && (t.FirstUsed.IsZero() || !now.After(t.FirstUsed.Add(refreshGrace))) {
			n++
		}
	}
	return n
}

// forgetExpired drops what works no more, before something is added.
func (i *Installation) forgetExpired(now time.Time) {
	maps.DeleteFunc(i.codes, func(_ string, code *authCode) bool { return now.After(code.Expires) })
	maps.DeleteFunc(i.tokens, func(_ string, t *token) bool { return !t.Expires.IsZero() && now.After(t.Expires) })
	maps.DeleteFunc(i.refreshes, func(_ string, t *refreshToken) bool { return now.After(t.Expires) })
}

// newTokens makes an access token of an hour and a refresh token of 90 days.
func (i *Installation) newTokens(now time.Time) *tokenReply {
	i.forgetExpired(now)
	access, refresh := "shpat_"+i.Shop.sim.text(32), "shprt_"+i.Shop.sim.text(32)
	i.tokens[access] = &token{Made: now, Expires: now.Add(accessLife)}
	i.refreshes[refresh] = &refreshToken{Expires: now.Add(refreshLife)}
	return i.pair(access, refresh, now)
}

// refresh rotates. The token that was rotated away stays good until its
// successor is used or 30 days after its first use, so that a lost reply can
// be asked for again; a successor so replaced is dead. Source: changelog
// "Refresh tokens", 2026-08-28.
func (i *Installation) refresh(text string, now time.Time) (*tokenReply, error) {
	old := i.refreshes[text]
	if old == nil || now.After(old.Expires) || (!old.FirstUsed.IsZero() && now.After(old.FirstUsed.Add(refreshGrace))) {
		delete(i.refreshes, text)
		return nil, &oauthError{http.StatusUnauthorized, "invalid_request", "This request requires an active refresh_token"}
	}
	for other := range i.refreshes { // Its predecessor, and what an earlier use of it gave.
		if other != text {
			delete(i.refreshes, other)
		}
	}
	if old.FirstUsed.IsZero() {
		old.FirstUsed = now
	}
	return i.newTokens(now), nil
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		http.Error(w, "the answer cannot be written", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(body) // The caller may be gone; that is its own affair.
}

var consentPage = template.Must(template.New("consent").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Install {{.App.Name}}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 34rem; margin: 3rem auto; padding: 0 1rem; color: #222; }
fieldset { border: 1px solid #ccc; border-radius: 6px; margin: 1rem 0; }
button { font: inherit; padding: .4rem 1.2rem; border-radius: 6px; border: 1px solid #888; background: #fff; cursor: pointer; }
button[value=install] { background: #1a7f4b; border-color: #1a7f4b; color: #fff; }
small { color: #666; }
</style>
<h1>Install {{.App.Name}}</h1>
<p>on <strong>{{.Shop}}</strong></p>
<form method="post">
{{range .Fields}}<input type="hidden" name="{{.}}" value="{{$.Form.Get .}}">
{{end -}}
<fieldset><legend>This app asks for</legend>
{{range .Scopes}}<label><input type="checkbox" name="grant" value="{{.}}" checked> {{.}}</label><br>
{{else}}nothing
{{end}}</fieldset>
<button name="answer" value="install">Install</button>
<button name="answer" value="cancel">Cancel</button>
</form>
<p><small>A simulated shop. Nothing here is known to Shopify.</small></p>
</html>
`))

// AccessOf is what a token allows in this shop now; the zero value where it is
// not in force.
func (s *Shop) AccessOf(token string) Access {
	access, _ := s.access(token)
	return access
}
