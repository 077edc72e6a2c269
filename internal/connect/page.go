package connect

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"html/template"
	"net/http"
	"strings"

	"stockroom/internal/mirror"
	"stockroom/internal/secret"
	"stockroom/internal/store"
)

//go:embed pages.html
var pagesHTML string

//go:embed pages.css
var pagesCSS string

var pages = template.Must(template.New("pages").Parse(pagesHTML))

// contentPolicy allows the pages' own style sheet and nothing else.
var contentPolicy = func() string {
	sum := sha256.Sum256([]byte(pagesCSS))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
}()

// problem is a page that tells a person what happened and what to do.
type problem struct {
	Status int
	Title  string
	Text   string
	Fix    string
	Shop   string // Empty where no valid domain is known.
	Again  bool   // Offer to start the login at Shopify again.
	Link   string // Or to go on here, with
	Offer  string // these words.
	List   []string

	err error // For the log; nil for what is no more than a person's slip.
}

// broken is a fault of ours.
func broken(attempt, domain string, err error) *problem {
	return &problem{Status: http.StatusInternalServerError, Title: "Something went wrong here", Shop: domain, Again: true,
		Text: "The service could not " + attempt + ".", Fix: "Try again. If it stays so, its operator finds the reason in the log.", err: err}
}

// forged is a query that Shopify did not sign, or too long ago.
func forged(domain string, err error) *problem {
	return &problem{Status: http.StatusForbidden, Title: "This link is not valid", Shop: domain, Again: true,
		Text: "It was not signed by Shopify, or is older than 90 seconds. Nothing was changed.",
		Fix:  "Start again. If it stays so, the clock of this service is wrong, or the app's secret is not the one that Shopify knows.", err: err}
}

// unreachable is an answer of Shopify's that did not come.
func unreachable(domain string, err error) *problem {
	return &problem{Status: http.StatusBadGateway, Title: "Shopify did not answer", Shop: domain, Again: true,
		Text: "The login could not be completed.", Fix: "Try again in a minute.", err: err}
}

func (c *Connector) showProblem(w http.ResponseWriter, p *problem) {
	switch {
	case p.err != nil && p.Status >= 500:
		c.Log.Error("page shows a problem", "shop", p.Shop, "status", p.Status, "title", p.Title, "error", p.err)
	case p.err != nil:
		c.Log.Warn("page shows a problem", "shop", p.Shop, "status", p.Status, "title", p.Title, "error", p.err)
	}
	c.show(w, p.Status, "problem", p)
}

func (c *Connector) show(w http.ResponseWriter, status int, name string, data any) {
	var out bytes.Buffer
	view := struct {
		CSS  template.CSS
		Page any
	}{template.CSS(pagesCSS), data}
	if err := pages.ExecuteTemplate(&out, name, view); err != nil {
		c.Log.Error("page could not be made", "page", name, "error", err)
		http.Error(w, "The page could not be made.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", contentPolicy)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes()) // The browser may have left.
}

// connectedView is what /connected shows.
type connectedView struct {
	Shop          string
	State         store.ShopState
	Missing       []string
	Progress      Progress
	Refresh       bool // The page loads itself anew.
	Subscriptions []store.Subscription
	Active        int
	NoWebhooks    bool // No address is set: changes are found by reading alone.
}

// showConnected shows the shop's connection to the browser that made it.
func (c *Connector) showConnected(w http.ResponseWriter, r *http.Request) *problem {
	stranger := &problem{Status: http.StatusForbidden, Title: "Which shop?",
		Text: "This page is for the browser that connected a shop, for a day.", Fix: "Open the app from your shop's admin."}
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return stranger
	}
	var view connectedView
	var shop store.Shop
	err = c.Store.View(r.Context(), func(tx *store.Tx) error {
		scope, err := tx.SessionScope(secret.Hash(cookie.Value), mirror.At(c.Now()))
		if err != nil {
			return err
		}
		domain, ok := strings.CutPrefix(scope, sessionScope)
		if !ok {
			return store.ErrNotFound
		}
		if shop, err = tx.ShopByDomain(domain); err != nil {
			return err
		}
		view.Subscriptions, err = tx.Subscriptions(shop.ID)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return stranger
	}
	if err != nil {
		return broken("show the shop's page", shop.Domain, err)
	}
	if c.Progress != nil {
		if view.Progress, err = c.Config.Progress(r.Context(), shop.ID); err != nil {
			return broken("tell how far the import is", shop.Domain, err)
		}
	}
	view.Shop, view.State, view.NoWebhooks = shop.Domain, shop.State, c.WebhookAddress == ""
	view.Missing = c.MissingScopes(shop)
	for _, s := range view.Subscriptions {
		if s.State == store.SubscriptionActive {
			view.Active++
		}
	}
	view.Refresh = shop.State == store.ShopConnected && !view.Progress.Over
	c.show(w, http.StatusOK, "connected", view)
	return nil
}
