package connect

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"stockroom/internal/mirror"
	"stockroom/internal/secret"
	"stockroom/internal/shopify"
	"stockroom/internal/store"
)

// takeSession connects a shop for the page of an embedded app, which brings the
// session token that Shopify's App Bridge gave it: there the browser is not sent
// to Shopify and back (Shopify's page "Exchange a session token for an access
// token", 2026-11-24). A shop whose token works is left as it is.
//
// The token is the credential, and no browser sends it by itself, so that no
// other site's page can make a merchant's browser do this.
func (c *Connector) takeSession(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	text, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		c.answerSession(w, http.StatusUnauthorized, "no_session_token", "The request brings no session token.",
			"Send what App Bridge's idToken() gives, as Authorization: Bearer.", nil)
		return
	}
	session := secret.New(strings.TrimSpace(text))
	now := c.Now()
	domain, err := shopify.VerifySession(session, c.APIKey, c.AppSecrets(), now)
	if err != nil {
		c.Log.Warn("session token was refused", "error", err)
		// This header makes App Bridge get a new token and try once more.
		w.Header().Set("X-Shopify-Retry-Invalid-Session-Request", "1")
		c.answerSession(w, http.StatusUnauthorized, "bad_session_token", "The session token is not Shopify's for this app, or its minute is over.",
			"Ask App Bridge for a new one. If it stays so, the clock of this service is wrong, or its SHOPIFY_API_KEY or SHOPIFY_API_SECRET is another app's.", nil)
		return
	}
	ctx := shopify.WithPriority(context.WithoutCancel(r.Context()))
	shop, found, err := c.shopByDomain(ctx, domain)
	if err != nil {
		c.Log.Error("shop was not found for its session", "shop", domain, "error", err)
		c.answerSession(w, http.StatusInternalServerError, "internal", "The service could not look the shop up.", "Try again.", nil)
		return
	}
	if found && shop.State == store.ShopConnected && c.stillInstalled(ctx, shop) {
		c.answerSession(w, http.StatusOK, "", "", "", &shop)
		return
	}
	shop, err = c.connectBySession(ctx, domain, session, found, shop, now)
	if err != nil {
		p := notAdmitted(domain, err)
		c.Log.Error("shop was not connected by its session", "shop", domain, "error", err)
		c.answerSession(w, p.Status, "not_connected", p.Title+". "+p.Text, p.Fix, nil)
		return
	}
	c.answerSession(w, http.StatusOK, "", "", "", &shop)
}

func (c *Connector) connectBySession(ctx context.Context, domain string, session secret.Secret, found bool, shop store.Shop, arrived time.Time) (store.Shop, error) {
	// Seen to be dead just now: what is stored of it is no connection.
	if found && shop.State == store.ShopConnected {
		if err := c.forget(ctx, domain); err != nil && !errors.Is(err, store.ErrNotFound) {
			return store.Shop{}, err
		}
	}
	shop, err := c.admit(ctx, domain, store.GrantSession, false, arrived, func(ctx context.Context, app shopify.App) (shopify.Token, error) {
		return shopify.ExchangeSession(ctx, c.HTTP, c.ShopURL(domain), app, session)
	})
	if err == nil {
		c.connected(ctx, shop)
	}
	return shop, err
}

func (c *Connector) answerSession(w http.ResponseWriter, status int, code, message, fix string, shop *store.Shop) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	var body any = map[string]any{"error": map[string]string{"code": code, "message": message, "fix": fix}}
	if shop != nil {
		missing := c.MissingScopes(*shop)
		if missing == nil {
			missing = []string{}
		}
		body = map[string]any{"shop": shop.Domain, "state": shop.State, "scopes_missing": missing, "installed_at": mirror.TimeOf(shop.InstalledAt.Time())}
	}
	_ = json.NewEncoder(w).Encode(body) // The page may be gone.
}
