package doctor

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"stockroom/internal/connect"
	"stockroom/internal/facebook"
	"stockroom/internal/secret"
	"stockroom/internal/store"
)

// facebookPages looks at Facebook's side: the app and its secret, its addresses,
// the subscriptions at both levels, and each Page's token.
func facebookPages(ctx context.Context, p *Patient) (found []Finding) {
	f := p.Config.Facebook
	if !f.Enabled() {
		return []Finding{{Level: OK, Found: "FACEBOOK_APP_ID is not set, so no Page can be connected"}}
	}
	c := p.connection()
	if c == nil {
		return unseen("Pages cannot be looked at before the database and its key can be opened")
	}
	pages := c.Pages(connect.FacebookConfig{AppID: f.AppID, Secrets: f.AppSecrets, RedirectURI: f.RedirectURI, VerifyToken: f.VerifyToken, ConfigID: f.LoginConfigID,
		GraphVersion: f.GraphVersion, GraphURL: f.GraphURL, DialogURL: f.DialogURL, HTTP: p.HTTP})
	found = append(found, pagesAddress(ctx, p, pages), pagesRedirect(ctx, p, f.RedirectURI))
	var all []store.FacebookPage
	shops := map[int64]string{}
	for _, shop := range p.Shops {
		shops[shop.ID] = shop.Domain
	}
	all, err := pages.List(ctx)
	if err != nil {
		return append(found, unseen("the Pages cannot be listed: %v", err)...)
	}
	asking, cancel := context.WithTimeout(ctx, reachWithin)
	defer cancel()
	app, is, err := pages.ProbeApp(asking)
	if err != nil {
		return append(found, ofFacebook("", "the app cannot ask Facebook: ", err, ""))
	}
	found = append(found, Finding{Level: OK, Found: "Facebook knows the app by its id and secret"})
	if len(all) == 0 {
		return append(found, Finding{Level: OK, Found: "no Page is connected yet", Remedy: "`stockroom pages add --shop example.myshopify.com` prints the link to connect one."})
	}
	found = append(found, appLevel(pages.WebhookAddress(), app, is))
	for _, page := range all {
		asking, cancel := context.WithTimeout(ctx, reachWithin)
		found = append(found, onePage(asking, pages, page, shops[page.ShopID])...)
		cancel()
	}
	return found
}

// ofFacebook turns an error of Facebook's into a finding: what another try may mend is a warning.
func ofFacebook(page, attempt string, err error, shop string) Finding {
	what, do := facebook.Explain(err)
	level := Fault
	switch facebook.ClassOf(err) {
	case facebook.ClassRetry, facebook.ClassThrottled, "":
		level = Warning
	}
	if do == "" {
		do = "Try again in a minute."
	}
	return Finding{Level: level, Shop: page, Found: attempt + what, Remedy: ofShop(do, shop)}
}

func ofShop(remedy, shop string) string {
	if shop == "" {
		return remedy
	}
	return strings.ReplaceAll(remedy, "--shop SHOP", "--shop "+shop)
}

// appLevel judges the app's own subscription.
func appLevel(ours string, app facebook.AppSubscription, is bool) Finding {
	const repair = "`stockroom pages repair` subscribes the app; the service does so within 15 minutes, unless the webhooks go to another address."
	switch missing := facebook.Missing([]string{"messages"}, app.Fields); {
	case !is || !app.Active:
		return Finding{Level: Fault, Found: "the app itself is not subscribed to Pages at Facebook, so nothing comes of any Page, whatever is subscribed there", Remedy: repair}
	case app.Callback != ours:
		return Finding{Level: Fault, Found: fmt.Sprintf("Facebook sends the app's webhooks to %s, and not to %s", app.Callback, ours),
			Remedy: "If no other installation uses this app: `stockroom pages repair`. If one does, make an app of its own for each."}
	case len(missing) > 0:
		return Finding{Level: Fault, Found: "the app itself is not subscribed to what is written to Pages: its field messages is missing", Remedy: repair}
	}
	return Finding{Level: OK, Found: "the app is subscribed to Pages"}
}

// onePage judges a Page's token and its own subscription.
func onePage(ctx context.Context, pages *connect.Pages, page store.FacebookPage, shop string) []Finding {
	judged, fields, subscribed, err := pages.Probe(ctx, page)
	switch {
	case err != nil:
		return []Finding{ofFacebook(page.Name, "it could not be looked at. ", err, shop)}
	case judged.State != store.PageConnected:
		return []Finding{{Level: Fault, Shop: page.Name, Found: "it must be connected again. " + judged.Trouble.What, Remedy: ofShop(judged.Trouble.Remedy, shop)}}
	}
	var found []Finding
	if judged.Trouble.What != "" {
		found = append(found, Finding{Level: Warning, Shop: page.Name, Found: judged.Trouble.What, Remedy: ofShop(judged.Trouble.Remedy, shop)})
	}
	if !subscribed || len(facebook.Missing([]string{"messages"}, fields)) > 0 {
		found = append(found, Finding{Level: Fault, Shop: page.Name, Found: "the app is not subscribed at this Page, so nothing comes that is written to it, although the app itself may be subscribed",
			Remedy: fmt.Sprintf("`stockroom pages repair --page %s` subscribes to it; the service does so within 15 minutes. Facebook ends the subscription of a Page whose webhooks fail for an hour.", page.PageID)})
	}
	if page.Policy != "" {
		found = append(found, Finding{Level: Warning, Shop: page.Name, Found: "Facebook warns the Page, or bars it: " + page.Policy, Remedy: "Look at the Page's Support Inbox at Facebook, and do what it asks."})
	}
	if len(found) == 0 {
		found = append(found, Finding{Level: OK, Shop: page.Name, Found: "its token is good, and what is written to it is subscribed to"})
	}
	return found
}

// pagesAddress knocks at the webhook's address as Facebook does: it asks for the verify
// token, and sends a signed body that tells of no Page.
func pagesAddress(ctx context.Context, p *Patient, pages *connect.Pages) Finding {
	const what = "Facebook's webhook address"
	address := pages.WebhookAddress()
	challenge := secret.RandomToken(16)
	query := url.Values{"hub.mode": {"subscribe"}, "hub.challenge": {challenge}, "hub.verify_token": {p.Config.Facebook.VerifyToken.Reveal()}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"?"+query.Encode(), nil)
	if err != nil {
		return Finding{Level: Fault, Found: what + " cannot be asked", Remedy: "Correct FACEBOOK_REDIRECT_URI."}
	}
	status, text, fault := p.knock(request, what)
	switch {
	case fault != nil:
		return *fault
	case status == http.StatusForbidden && strings.Contains(text, "verify token"):
		return Finding{Level: Fault, Found: what + ": the service there does not take FACEBOOK_VERIFY_TOKEN", Remedy: "It runs with another one than this command was given: give both the same, and restart."}
	case status != http.StatusOK || text != challenge:
		return Finding{Level: Fault, Found: fmt.Sprintf("%s: something else than this service answers at %s (%d)", what, address, status),
			Remedy: "Does the whole site reach the service, without a path in front, and is FACEBOOK_REDIRECT_URI the address of its /facebook/callback? A service that was started without FACEBOOK_APP_ID has to be restarted."}
	}
	secrets := p.Config.Facebook.AppSecrets
	if len(secrets) == 0 {
		return Finding{Level: Unknown, Found: "FACEBOOK_APP_SECRET is not set, so no webhook can be signed"}
	}
	body := `{"object":"page","entry":[],"text":"\u00e5 <>&"}`
	mac := hmac.New(sha256.New, []byte(secrets[0].Reveal()))
	mac.Write([]byte(body))
	if request, err = http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(body)); err != nil {
		return Finding{Level: Fault, Found: what + " cannot be asked", Remedy: "Correct FACEBOOK_REDIRECT_URI."}
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set(facebook.SignatureHeader, "sha256="+hex.EncodeToString(mac.Sum(nil)))
	status, _, fault = p.knock(request, what)
	switch {
	case fault != nil:
		return *fault
	case status == http.StatusUnauthorized:
		return Finding{Level: Fault, Found: what + ": the service there does not take this secret's signature",
			Remedy: "Either it runs with another FACEBOOK_APP_SECRET than this command was given, so give both the same and restart; or a proxy changes bodies: they must pass byte by byte. Facebook ends the subscriptions of all Pages after an hour of this."}
	case status != http.StatusOK:
		return Finding{Level: Fault, Found: fmt.Sprintf("%s answers %d", what, status), Remedy: "Is the service running behind the proxy? `systemctl status`, and the proxy's own log, tell."}
	}
	return Finding{Level: OK, Found: "the service answers at Facebook's webhook address; whether Facebook reaches it from outside, only Facebook can tell"}
}

// pagesRedirect asks for the page that a login comes back to, without a state.
func pagesRedirect(ctx context.Context, p *Patient, address string) Finding {
	const what = "FACEBOOK_REDIRECT_URI"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return Finding{Level: Fault, Found: what + " cannot be asked", Remedy: "Correct the address."}
	}
	status, text, fault := p.knock(request, what)
	switch {
	case fault != nil:
		return *fault
	case status == http.StatusBadRequest && strings.Contains(text, "This login is over"):
		return Finding{Level: OK, Found: "the service answers at Facebook's redirect address"}
	}
	return Finding{Level: Fault, Found: fmt.Sprintf("%s: something else than this service answers there (%d)", what, status),
		Remedy: "Does the whole site reach the service, without a path in front, and is it the address of its /facebook/callback?"}
}
