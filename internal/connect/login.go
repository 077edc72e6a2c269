package connect

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"stockroom/internal/mirror"
	"stockroom/internal/secret"
	"stockroom/internal/shopify"
	"stockroom/internal/store"
)

const (
	loginCookie   = "stockroom_login"
	sessionCookie = "stockroom_connected"
	sessionScope  = "connected:"

	stateBytes  = 32
	loginLife   = 10 * time.Minute // For a merchant to read what is asked for, and to agree.
	sessionLife = 24 * time.Hour

	// askWithin bounds a question to Shopify that a browser waits for.
	askWithin = 10 * time.Second

	pathLogin     = "/shopify/login"
	pathCallback  = "/shopify/callback"
	pathConnected = "/connected"
	pathSession   = "/shopify/session"
)

// Handler serves the pages of a shop's login, /shopify/login, /shopify/callback
// and /connected, and /shopify/session, by which an embedded app's page connects its shop.
func (c *Connector) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+pathLogin, c.serve(c.login))
	mux.HandleFunc("GET "+pathCallback, c.serve(c.callback))
	mux.HandleFunc("GET "+pathConnected, c.serve(c.showConnected))
	mux.HandleFunc("POST "+pathSession, c.takeSession)
	return mux
}

// serve renders what a page returns instead of itself.
func (c *Connector) serve(page func(http.ResponseWriter, *http.Request) *problem) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		// Addresses here hold codes and states: they are kept nowhere, and told nobody.
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Referrer-Policy", "no-referrer")
		if p := page(w, r); p != nil {
			c.showProblem(w, p)
		}
	}
}

// login sends the browser to Shopify, with a state that only this browser can
// bring back, once.
func (c *Connector) login(w http.ResponseWriter, r *http.Request) *problem {
	query := r.URL.Query()
	domain, err := shopify.ShopDomain(query.Get("shop"))
	if err != nil {
		return &problem{Status: http.StatusBadRequest, Title: "Which shop?", Text: "The address does not name a shop.",
			Fix: "Open the app from your shop's admin, or add ?shop= and the shop's full domain, such as example.myshopify.com."}
	}
	shop, _, err := c.shopByDomain(r.Context(), domain)
	if err != nil {
		return broken("look the shop up", domain, err)
	}
	if query.Has("hmac") {
		if err := c.verifyQuery(query, shop, domain); err != nil {
			return forged(domain, err)
		}
	}
	_, err = c.apps()
	if err == nil && c.RedirectURI == "" {
		err = errors.New("SHOPIFY_REDIRECT_URI is not set")
	}
	if err != nil {
		return broken("log in", domain, err)
	}
	browser := secret.RandomToken(stateBytes)
	state, err := c.sealState(loginState{
		Nonce: secret.RandomToken(stateBytes), Domain: domain, Browser: secret.Hash(browser), Expires: mirror.At(c.Now().Add(loginLife)),
	}, stateSealedFor)
	if err != nil {
		return broken("begin the login", domain, err)
	}
	c.setCookie(w, cookieOf(state), browser, loginLife)
	http.Redirect(w, r, shopify.AuthorizeURL(c.ShopURL(domain), c.APIKey, c.Scopes, c.RedirectURI, state), http.StatusFound)
	return nil
}

// callback takes the browser back from Shopify and connects the shop.
func (c *Connector) callback(w http.ResponseWriter, r *http.Request) *problem {
	arrived := c.Now()
	query := r.URL.Query()
	domain, err := shopify.ShopDomain(query.Get("shop"))
	if err != nil {
		return &problem{Status: http.StatusBadRequest, Title: "Which shop?", Text: "The address does not name a shop.",
			Fix: "Open the app from your shop's admin."}
	}
	shop, found, err := c.shopByDomain(r.Context(), domain)
	if err != nil {
		return broken("look the shop up", domain, err)
	}
	// The signature comes first, so that whoever has none cannot use a state up.
	if err := c.verifyQuery(query, shop, domain); err != nil {
		return forged(domain, err)
	}
	if _, p := c.takeState(r, query.Get("state"), stateSealedFor, domain); p != nil {
		return p
	}
	code := query.Get("code")
	if code == "" {
		return &problem{Status: http.StatusBadRequest, Title: "Shopify sent no code", Shop: domain, Again: true,
			Text: "The shop was not connected.", Fix: "Start the login again."}
	}

	// From here on the browser may leave: what Shopify grants must not get lost.
	ctx := shopify.WithPriority(context.WithoutCancel(r.Context()))
	known := found && shop.State == store.ShopConnected
	shop, err = c.admit(ctx, domain, store.GrantLogin, known, arrived, func(ctx context.Context, app shopify.App) (shopify.Token, error) {
		return shopify.Exchange(ctx, c.HTTP, c.ShopURL(domain), app, code)
	})
	if err != nil {
		return notAdmitted(domain, err)
	}
	c.connected(ctx, shop)
	if err := c.startSession(ctx, w, domain); err != nil {
		return broken("show the shop's page", domain, err)
	}
	http.Redirect(w, r, pathConnected, http.StatusFound)
	return nil
}

// loginState is what a login must remember until the browser is back. It travels
// sealed as OAuth's state, so that beginning a login costs no write: anybody can begin one.
type loginState struct {
	Nonce   string         `json:"nonce"` // Makes every state another.
	Domain  string         `json:"domain"`
	Browser []byte         `json:"browser"` // Hash of the cookie that the browser was given.
	Expires mirror.Instant `json:"expires"`
	Link    string         `json:"link,omitempty"` // Of a Facebook login: the one-time link that began it.
}

// stateSealedFor is bound to a sealed state, so that nothing else that is sealed passes for one.
var stateSealedFor = []byte("state of a login")

func (c *Connector) sealState(s loginState, sealedFor []byte) (string, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	sealed, err := c.Sealer.Seal(text, sealedFor)
	return base64.RawURLEncoding.EncodeToString(sealed), err
}

// openState reports false for what this program did not give out.
func (c *Connector) openState(text string, sealedFor []byte) (s loginState, ok bool) {
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return s, false
	}
	opened, err := c.Sealer.Open(sealed, sealedFor)
	if err != nil || json.Unmarshal(opened, &s) != nil {
		return loginState{}, false
	}
	return s, true
}

// cookieOf names the cookie of one login, so that a browser may have several under way.
func cookieOf(state string) string { return fmt.Sprintf("%s_%x", loginCookie, secret.Hash(state)[:8]) }

// takeState uses the state up and checks that this browser began with it, and for
// the domain, where one came back.
func (c *Connector) takeState(r *http.Request, state string, sealedFor []byte, domain string) (loginState, *problem) {
	over := &problem{Status: http.StatusBadRequest, Title: "This login is over", Shop: domain, Again: true,
		Text: "It was used before, or was begun more than ten minutes ago.", Fix: "Start the login again."}
	begun, ok := c.openState(state, sealedFor)
	if !ok || begun.Expires <= mirror.At(c.Now()) {
		return begun, over
	}
	cookie, err := r.Cookie(cookieOf(state))
	if err != nil || subtle.ConstantTimeCompare(secret.Hash(cookie.Value), begun.Browser) != 1 {
		return begun, &problem{Status: http.StatusForbidden, Title: "This login was begun elsewhere", Shop: domain, Again: true,
			Text: "The browser did not bring back the cookie it was given, so the login may be somebody else's.",
			Fix:  "Allow cookies for this site and start the login again, in this browser.", err: errors.New("login cookie is missing or another's")}
	}
	if domain != "" && begun.Domain != domain {
		return begun, &problem{Status: http.StatusForbidden, Title: "Another shop came back", Shop: domain, Again: true,
			Text: "The login was begun for another shop. Nothing was changed.", Fix: "Start the login again.",
			err: fmt.Errorf("login was begun for %s", begun.Domain)}
	}
	fresh := false
	err = c.Store.Update(r.Context(), func(tx *store.Tx) (err error) {
		if err := tx.DropExpired(mirror.At(c.Now())); err != nil {
			return err
		}
		fresh, err = tx.UseOAuthState(secret.Hash(state), begun.Expires)
		return err
	})
	if err != nil {
		return begun, broken("check the login", domain, err)
	}
	if !fresh {
		return begun, over
	}
	return begun, nil
}

// admit gets a shop its first token, puts it on disk, and asks the shop who it
// is. Until it has answered, a shop that was not connected before is not.
func (c *Connector) admit(ctx context.Context, domain string, grant store.TokenGrant, known bool, arrived time.Time,
	how func(context.Context, shopify.App) (shopify.Token, error)) (store.Shop, error) {
	l, err := c.lease(ctx, domain)
	if err != nil {
		return store.Shop{}, err
	}
	defer l.end(ctx)
	asking, cancel := context.WithTimeout(ctx, tokenTimeout)
	token, err := c.ask(func(app shopify.App) (shopify.Token, error) { return how(asking, app) })
	cancel()
	if err != nil {
		return store.Shop{}, fmt.Errorf("get a token of shop %s: %w", domain, err)
	}
	state := store.ShopReconnect
	if known {
		state = store.ShopConnected
	}
	shop, err := c.install(ctx, domain, grant, token, state, arrived)
	if err != nil {
		return store.Shop{}, err
	}

	asking, cancel = context.WithTimeout(ctx, askWithin)
	defer cancel()
	client, err := c.clientWith(domain, c.of(domain, offsetOf(shop)), token.Access)
	if err == nil {
		err = askWho(asking, client, domain)
	}
	if err == nil && len(token.Scopes) == 0 { // Not every answer names them.
		token.Scopes, err = client.GrantedScopes(asking)
	}
	if _, ok := errors.AsType[*DomainError](err); ok {
		// What was stored belongs to another shop.
		return store.Shop{}, errors.Join(err, c.forget(ctx, domain))
	}
	if err != nil {
		return store.Shop{}, err
	}
	err = c.replace(ctx, shop, func(_ *store.Tx, now *store.Shop) error {
		// By now the shop's clock is known.
		offset := c.of(domain, 0).clock.Offset()
		now.State, now.Scopes = store.ShopConnected, strings.Join(token.Scopes, ",")
		now.ClockOffsetMS, now.InstalledAt = offset.Milliseconds(), mirror.At(arrived.Add(offset))
		shop = *now
		return nil
	})
	if err != nil {
		return store.Shop{}, fmt.Errorf("connect shop %s: %w", domain, err)
	}
	return shop, nil
}

// notAdmitted is the page for what kept a shop from being connected.
func notAdmitted(domain string, err error) *problem {
	if wrong, ok := errors.AsType[*DomainError](err); ok {
		return &problem{Status: http.StatusBadGateway, Title: "Another shop answered", Shop: domain,
			Text: "The shop calls itself " + wrong.Actual + ".", Fix: "Log in with that domain.", err: err}
	}
	if shopify.IsFinal(err) || shopify.IsWrongSecret(err) {
		return &problem{Status: http.StatusBadRequest, Title: "Shopify refused the login", Shop: domain, Again: true,
			Text: "Its code was used before or is too old.", Fix: "Start the login again. If that does not help, the app's secret is not the one that Shopify knows.", err: err}
	}
	_, ofOAuth := errors.AsType[*shopify.OAuthError](err)
	if ofOAuth || shopify.ClassOf(err) != "" || errors.Is(err, context.DeadlineExceeded) {
		return unreachable(domain, err)
	}
	return broken("connect the shop", domain, err)
}

// verifyQuery checks a query that Shopify signed, by the shop's clock.
func (c *Connector) verifyQuery(query url.Values, shop store.Shop, domain string) error {
	if err := shopify.VerifyQuery(query, c.AppSecrets(), c.Now().Add(offsetOf(shop))); err != nil {
		return fmt.Errorf("query for shop %s: %w", domain, err)
	}
	return nil
}

// Launch handles the request that Shopify sends a merchant's browser to the app
// with. It reports false, and has answered nothing, for any other request.
//
// A connected shop is asked whether its token still works, since an app that
// was removed and installed again comes this way too: it has to log in again.
func (c *Connector) Launch(w http.ResponseWriter, r *http.Request) bool {
	query := r.URL.Query()
	if !query.Has("hmac") || !query.Has("shop") || !query.Has("timestamp") {
		return false
	}
	domain, err := shopify.ShopDomain(query.Get("shop"))
	if err != nil {
		return false
	}
	shop, found, err := c.shopByDomain(r.Context(), domain)
	if err != nil {
		c.Log.Error("shop was not found at its launch", "shop", domain, "error", err)
		return false
	}
	if err := c.verifyQuery(query, shop, domain); err != nil {
		return false
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	if found && shop.State == store.ShopConnected && c.stillInstalled(r.Context(), shop) {
		if err := c.startSession(r.Context(), w, domain); err == nil {
			http.Redirect(w, r, pathConnected, http.StatusFound)
			return true
		}
	}
	http.Redirect(w, r, pathLogin+"?"+url.Values{"shop": {domain}}.Encode(), http.StatusFound)
	return true
}

// stillInstalled asks the shop. Where no answer comes, it is believed to be so.
func (c *Connector) stillInstalled(ctx context.Context, shop store.Shop) bool {
	is, err := c.Installed(ctx, shop)
	return is || err != nil
}

// startSession lets this browser see the shop's page.
func (c *Connector) startSession(ctx context.Context, w http.ResponseWriter, domain string) error {
	session := secret.RandomToken(stateBytes)
	now := c.Now()
	err := c.Store.Update(ctx, func(tx *store.Tx) error {
		if err := tx.DropExpired(mirror.At(now)); err != nil {
			return err
		}
		return tx.SaveSession(secret.Hash(session), sessionScope+domain, mirror.At(now.Add(sessionLife)))
	})
	if err != nil {
		return fmt.Errorf("start a session of shop %s: %w", domain, err)
	}
	c.setCookie(w, sessionCookie, session, sessionLife)
	return nil
}

// setCookie sets a cookie that no script reads and no other site sends along,
// but for plain navigation, by which Shopify's redirect comes back.
func (c *Connector) setCookie(w http.ResponseWriter, name, value string, life time.Duration) {
	setCookie(w, name, value, life, c.RedirectURI)
}

// setCookie sets one for the site of a public address.
func setCookie(w http.ResponseWriter, name, value string, life time.Duration, public string) {
	cookie := &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(life.Seconds()), HttpOnly: true, SameSite: http.SameSiteLaxMode,
		// The public address decides: behind a proxy this request is plain HTTP.
		Secure: strings.HasPrefix(public, "https://"),
	}
	if life == 0 {
		cookie.MaxAge = -1
	}
	http.SetCookie(w, cookie)
}
