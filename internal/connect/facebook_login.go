package connect

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"stockroom/internal/facebook"
	"stockroom/internal/mirror"
	"stockroom/internal/secret"
	"stockroom/internal/store"
)

const (
	pathFacebookLogin = "/facebook/login"
	pathFacebookPages = "/facebook/pages"

	pagesCookie = "stockroom_pages"
	linkScope   = "facebook:" // And the shop's domain.
	linkBytes   = 24
	linkLife    = 24 * time.Hour

	// askMetaWithin bounds all that Facebook is asked while a browser waits.
	askMetaWithin = 40 * time.Second
)

// facebookStateSealedFor is bound to the state of a login at Facebook: one of a
// login at Shopify does not pass for it.
var facebookStateSealedFor = []byte("state of a login at Facebook")

// Handler serves everything below /facebook/ but the webhook.
func (p *Pages) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+pathFacebookLogin, p.c.serve(p.login))
	mux.HandleFunc("GET "+pathFacebookCallback, p.c.serve(p.callback))
	mux.HandleFunc("GET "+pathFacebookPages, p.c.serve(p.showPages))
	mux.Handle("POST "+pathFacebookPages, http.NewCrossOriginProtection().Handler(p.c.serve(p.choosePage)))
	mux.HandleFunc("POST /facebook/deauthorize", p.deauthorize)
	mux.HandleFunc("POST /facebook/deletion", p.deletion)
	mux.HandleFunc("GET /facebook/deletion/{code}", p.c.serve(p.showDeletion))
	return mux
}

// Link makes a link by which somebody who is not the admin may connect one Page to
// a shop, once, within a day.
func (p *Pages) Link(ctx context.Context, domain string) (string, error) {
	if !p.Enabled() {
		return "", errNoFacebook
	}
	domain, err := sortedShop(domain)
	if err != nil {
		return "", err
	}
	link := secret.RandomToken(linkBytes)
	err = p.c.Store.Update(ctx, func(tx *store.Tx) error {
		now := mirror.At(p.c.Now())
		shop, err := tx.ShopByDomain(domain)
		if err != nil {
			return err
		}
		if shop.State == store.ShopUninstalled {
			return fmt.Errorf("shop %s has left: it has to be connected first", domain)
		}
		if err := tx.DropExpired(now); err != nil {
			return err
		}
		return tx.SaveSession(secret.Hash(link), linkScope+domain, now.Add(linkLife))
	})
	if err != nil {
		return "", fmt.Errorf("make a link for shop %s: %w", domain, err)
	}
	return p.public(pathFacebookLogin) + "?" + url.Values{"shop": {domain}, "link": {link}}.Encode(), nil
}

var errNoFacebook = errors.New("FACEBOOK_APP_ID is not set: docs/operating.md tells how an app is made at Meta, and what to set")

func (p *Pages) notSetUp() *problem {
	return &problem{Status: http.StatusNotFound, Title: "Facebook is not set up", Text: "This service has no app at Facebook.",
		Fix: "Its operator sets FACEBOOK_APP_ID and the settings beside it: docs/operating.md tells how."}
}

// login sends the browser to Facebook, with a state that only this browser can
// bring back, once.
func (p *Pages) login(w http.ResponseWriter, r *http.Request) *problem {
	if !p.Enabled() {
		return p.notSetUp()
	}
	query := r.URL.Query()
	domain, err := sortedShop(query.Get("shop"))
	if err != nil {
		return &problem{Status: http.StatusBadRequest, Title: "Which shop?", Text: "The address does not name a shop.",
			Fix: "Add ?shop= and the shop's full domain, such as example.myshopify.com."}
	}
	link := query.Get("link")
	if link == "" {
		in, err := p.SignedIn(r)
		if err != nil {
			return broken("look the session up", domain, err)
		}
		if !in {
			http.Redirect(w, r, "/admin/login?next="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
			return nil
		}
	}
	var shop store.Shop
	err = p.c.Store.View(r.Context(), func(tx *store.Tx) (err error) {
		if link != "" {
			scope, err := tx.SessionScope(secret.Hash(link), mirror.At(p.c.Now()))
			if err != nil || scope != linkScope+domain {
				return errors.Join(errLinkOver, err)
			}
		}
		shop, err = tx.ShopByDomain(domain)
		return err
	})
	switch {
	case errors.Is(err, errLinkOver):
		return linkOver(domain)
	case errors.Is(err, store.ErrNotFound), err == nil && shop.State == store.ShopUninstalled:
		return &problem{Status: http.StatusNotFound, Title: "The shop is not connected", Shop: domain,
			Text: "A Page is tied to a shop, and this one is not connected.", Fix: "Connect the shop first.",
			Link: pathLogin + "?" + url.Values{"shop": {domain}}.Encode(), Offer: "Connect the shop"}
	case err != nil:
		return broken("look the shop up", domain, err)
	}
	browser := secret.RandomToken(stateBytes)
	state, err := p.c.sealState(loginState{
		Nonce: secret.RandomToken(stateBytes), Domain: domain, Browser: secret.Hash(browser), Expires: mirror.At(p.c.Now().Add(loginLife)), Link: link,
	}, facebookStateSealedFor)
	if err != nil {
		return broken("begin the login", domain, err)
	}
	setCookie(w, cookieOf(state), browser, loginLife, p.RedirectURI)
	http.Redirect(w, r, p.meta.DialogAddress(facebook.Dialog{RedirectURI: p.RedirectURI, State: state, ConfigID: p.ConfigID, Again: query.Has("again")}), http.StatusFound)
	return nil
}

var errLinkOver = errors.New("the link was used, or is older than a day")

func linkOver(domain string) *problem {
	return &problem{Status: http.StatusForbidden, Title: "This link is over", Shop: domain,
		Text: "It connects one Page, once, within a day.", Fix: "Ask whoever gave it to you for another: `stockroom pages add` prints one."}
}

// again is where the same login begins anew.
func (s loginState) again(declined bool) string {
	query := url.Values{"shop": {s.Domain}}
	if s.Link != "" {
		query.Set("link", s.Link)
	}
	if declined { // The dialog shows what was declined only when it is told to.
		query.Set("again", "1")
	}
	return pathFacebookLogin + "?" + query.Encode()
}

// problem is one of this login: it offers to begin anew.
func (s loginState) problem(status int, title, text, fix string, err error) *problem {
	return &problem{Status: status, Title: title, Text: text, Fix: fix, Shop: s.Domain, Link: s.again(false), Offer: "Start the login again", err: err}
}

// callback takes the browser back from Facebook: first its state, then an error,
// then the code.
func (p *Pages) callback(w http.ResponseWriter, r *http.Request) *problem {
	if !p.Enabled() {
		return p.notSetUp()
	}
	query := r.URL.Query()
	begun, fault := p.c.takeState(r, query.Get("state"), facebookStateSealedFor, "")
	if fault != nil {
		fault.Again = false
		if fault.Fix == "Start the login again." {
			fault.Fix += " If you see this after a Page was connected just now, all is well."
		}
		if begun.Domain != "" {
			fault.Shop, fault.Link, fault.Offer = begun.Domain, begun.again(false), "Start the login again"
		}
		return fault
	}
	back := facebook.ReadCallback(query)
	if back.Outcome != facebook.OutcomeCode {
		return notGranted(begun, back)
	}
	// From here on the browser may leave: what was granted must not get lost.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), askMetaWithin)
	defer cancel()
	granted, fault := p.grant(ctx, begun, back.Code)
	if fault != nil {
		return fault
	}
	cookie := secret.RandomToken(stateBytes)
	login, fault := p.keepLogin(ctx, begun, granted, cookie)
	if fault != nil {
		return fault
	}
	setCookie(w, pagesCookie, cookie, loginLife, p.RedirectURI)
	if only := granted.only(); only != nil {
		if fault := p.connect(ctx, begun.Domain, login, granted, *only); fault != nil {
			return fault
		}
	}
	http.Redirect(w, r, pathFacebookPages, http.StatusSeeOther)
	return nil
}

// notGranted is the page for a dialog that brought no code.
func notGranted(begun loginState, back facebook.Callback) *problem {
	said := fmt.Errorf("the dialog ended with error %q, reason %q, code %d: %s", back.Error, back.Reason, back.ErrorCode, back.Description)
	switch back.Outcome {
	case facebook.OutcomeCancelled:
		return begun.problem(http.StatusOK, "Nothing was connected", "You cancelled at Facebook. Nothing was changed.", "To connect a Page, start again and agree.", nil)
	case facebook.OutcomeSetup:
		return begun.problem(http.StatusBadGateway, "The app is not ready at Facebook",
			fmt.Sprintf("Facebook ended the login with error code %d. That is the app's set-up, whatever Facebook's page said, and not your doing.", back.ErrorCode),
			"The app's operator looks at its dashboard at Meta: is the app live, or does this person have a role on it? May it ask for the permissions (App Review)? Is FACEBOOK_REDIRECT_URI listed under Valid OAuth Redirect URIs, letter by letter? Does FACEBOOK_LOGIN_CONFIG_ID, where it is set, exist?", said)
	case facebook.OutcomeRetry:
		return begun.problem(http.StatusBadGateway, "Facebook had a fault", "The login could not be completed. Nothing was changed.", "Try again in a minute.", said)
	case facebook.OutcomeEmpty:
		return begun.problem(http.StatusBadGateway, "Facebook sent no answer", "The browser came back with neither a code nor an error. Nothing was changed.",
			"Start the login again. If it stays so, look whether a proxy drops the address's parameters.", said)
	}
	return begun.problem(http.StatusBadGateway, "Facebook refused the login", "It did not say that you cancelled. Nothing was changed.",
		"Start the login again. If it stays so, the operator finds Facebook's words in the log.", said)
}

// granted is what a login brought. It travels sealed: it holds tokens in the clear.
type granted struct {
	UserID   string              `json:"user_id"`
	Kind     string              `json:"kind"`
	Scopes   []string            `json:"scopes"`
	Granular []facebook.Granular `json:"granular"`
	DataEnds mirror.Instant      `json:"data_ends"`
	Pages    []sharedPage        `json:"pages"`
}

// sharedPage is a Page that was shared.
type sharedPage struct {
	ID    string   `json:"id"`
	Name  string   `json:"name"`
	Tasks []string `json:"tasks"`
	Token string   `json:"token"`
	Why   string   `json:"why"` // Why it cannot be connected; empty where it can.
}

// only is the Page where there is no choice.
func (g granted) only() *sharedPage {
	var found *sharedPage
	for i, page := range g.Pages {
		if page.Why == "" {
			if found != nil {
				return nil
			}
			found = &g.Pages[i]
		}
	}
	return found
}

// grant exchanges the code and lists what was shared.
func (p *Pages) grant(ctx context.Context, begun loginState, code secret.Secret) (g granted, fault *problem) {
	token, err := p.meta.Exchange(ctx, p.RedirectURI, code)
	if err != nil {
		return g, notExchanged(begun, err)
	}
	info, err := p.meta.Inspect(ctx, token.Access)
	if err != nil {
		return g, notExchanged(begun, err)
	}
	if info.AppID != "" && info.AppID != p.AppID || !info.Valid {
		return g, begun.problem(http.StatusBadGateway, "Facebook's token is not this app's", "The login brought a token that is another app's, or is not valid. Nothing was changed.",
			"Start the login again. If it stays so, FACEBOOK_APP_ID is not the app's that Facebook knows.", fmt.Errorf("token of app %q, valid: %t", info.AppID, info.Valid))
	}
	if lacks := info.Lacks(""); len(lacks) > 0 {
		fault := begun.problem(http.StatusOK, "Not all was allowed", "A Page cannot be connected without these permissions, which were left out:",
			"Start again and leave them on. Nothing was changed.", nil)
		fault.List, fault.Link = lacks, begun.again(true)
		return g, fault
	}
	long := token.Access
	// A system user's token has no end, and cannot be extended.
	if info.Kind != "SYSTEM_USER" {
		extended, err := p.meta.Extend(ctx, token.Access)
		if err != nil {
			return g, notExchanged(begun, err)
		}
		long = extended.Access
	}
	pages, err := p.meta.Pages(ctx, long)
	if err != nil {
		return g, notExchanged(begun, err)
	}
	if len(pages) == 0 {
		fault := begun.problem(http.StatusOK, "No Page was shared", "Facebook's dialog lets you choose Pages, and none was chosen, or you manage none. A Page that a business portfolio owns is shown only to its people.",
			"Start again and tick the shop's Page.", nil)
		fault.Link = begun.again(true)
		return g, fault
	}
	g = granted{UserID: info.UserID, Kind: info.Kind, Scopes: info.Scopes, Granular: info.Granular, DataEnds: moment(info.DataExpiresAt)}
	for _, page := range pages {
		g.Pages = append(g.Pages, sharedPage{page.ID, page.Name, page.Tasks, page.Token.Reveal(), whyNot(page, info)})
	}
	if fault := p.markTaken(ctx, begun, &g); fault != nil {
		return g, fault
	}
	return g, p.anyUsable(begun, g)
}

// whyNot says why a Page that was shared cannot be connected.
func whyNot(page facebook.Page, info facebook.TokenInfo) string {
	switch {
	case !page.CanMessage():
		return "Your role on this Page does not let you read and answer messages: ask who manages it for that task, or to connect it themselves."
	case !page.CanSubscribe():
		return "Your role on this Page does not let an app listen to it: that takes the task of creating content, moderating, or managing."
	case len(info.Lacks(page.ID)) > 0:
		return "You did not give these permissions for this Page: " + strings.Join(info.Lacks(page.ID), ", ") + "."
	case page.Token.Empty():
		return "Facebook gave no access to this Page."
	}
	return ""
}

// markTaken marks Pages that are another shop's.
func (p *Pages) markTaken(ctx context.Context, begun loginState, g *granted) *problem {
	err := p.c.Store.View(ctx, func(tx *store.Tx) error {
		shop, err := tx.ShopByDomain(begun.Domain)
		if err != nil {
			return err
		}
		for i := range g.Pages {
			page := &g.Pages[i]
			known, err := tx.FacebookPageNumbered(page.ID)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			if err == nil && known.ShopID != shop.ID && page.Why == "" {
				page.Why = otherShop
			}
		}
		return nil
	})
	if err != nil {
		return p.notKept(begun, err)
	}
	return nil
}

const otherShop = "It is connected to another shop: its operator can disconnect it there first (`stockroom pages disconnect`)."

// anyUsable is the page for a login that shared no Page that can be connected.
func (p *Pages) anyUsable(begun loginState, g granted) *problem {
	fault := begun.problem(http.StatusOK, "None of the Pages can be connected", "These were shared:", "Mend what is said beside one of them, then start again.", nil)
	fault.Link = begun.again(true)
	for _, page := range g.Pages {
		if page.Why == "" {
			return nil
		}
		fault.List = append(fault.List, page.Name+": "+page.Why)
	}
	return fault
}

// notExchanged is the page for what Facebook answered between code and Pages.
func notExchanged(begun loginState, err error) *problem {
	what, do := facebook.Explain(err)
	switch facebook.ClassOf(err) {
	case facebook.ClassSecret, facebook.ClassVersion, facebook.ClassInvalid, facebook.ClassPermission, facebook.ClassMissing:
		return begun.problem(http.StatusBadGateway, "Facebook refused this service", what, "For its operator: "+do, err)
	case facebook.ClassCode, facebook.ClassToken, facebook.ClassOwner, facebook.ClassBlocked:
		if facebook.ClassOf(err) == facebook.ClassToken {
			do = "Start the login again."
		}
		return begun.problem(http.StatusBadRequest, "Facebook refused the login", what, do, err)
	case "":
		return broken("finish the login", begun.Domain, err)
	}
	return begun.problem(http.StatusBadGateway, "Facebook did not answer", what, "Try again in a minute.", err)
}

// keepLogin puts what was granted on disk, sealed, before any of it is used, and
// uses the one-time link up.
func (p *Pages) keepLogin(ctx context.Context, begun loginState, g granted, cookie string) (login store.FacebookLogin, fault *problem) {
	text, err := json.Marshal(g)
	if err != nil {
		return login, broken("keep the login", begun.Domain, err)
	}
	hash := secret.Hash(cookie)
	err = p.c.updateSealed(ctx, func(tx *store.Tx) error {
		now := mirror.At(p.c.Now())
		shop, err := tx.ShopByDomain(begun.Domain)
		if err != nil {
			return err
		}
		if shop.State == store.ShopUninstalled {
			return errLeftMeanwhile
		}
		if begun.Link != "" {
			if used, err := tx.UseSession(secret.Hash(begun.Link), linkScope+begun.Domain, now); err != nil || !used {
				return errors.Join(errLinkOver, err)
			}
		}
		if err := tx.DropFacebookLogins(now); err != nil {
			return err
		}
		sealed, err := p.c.Sealer.Seal(text, boundToLogin(strings.ToUpper(hex.EncodeToString(hash))))
		if err != nil {
			return err
		}
		err = tx.AddFacebookLogin(store.FacebookLogin{ShopID: shop.ID, Hash: hash, Sealed: sealed, ExpiresAt: now.Add(loginLife)})
		if err == nil {
			login, err = tx.FacebookLoginBy(hash, now)
		}
		return err
	})
	if err != nil {
		return login, p.notKept(begun, err)
	}
	return login, nil
}

func (p *Pages) notKept(begun loginState, err error) *problem {
	switch {
	case errors.Is(err, errLinkOver):
		return linkOver(begun.Domain)
	case errors.Is(err, errLeftMeanwhile), errors.Is(err, store.ErrNotFound):
		return &problem{Status: http.StatusConflict, Title: "The shop has left", Shop: begun.Domain, Text: "It removed the app meanwhile, so no Page was connected to it.", Fix: "Connect the shop again first."}
	}
	return broken("connect the Page", begun.Domain, err)
}

// errOtherShop is a Page that another shop has.
var errOtherShop = errors.New("the Page is connected to another shop")

// errChosen is a login that a Page was chosen in already.
var errChosen = errors.New("a Page was chosen already")

// connect ties a Page to the shop: its token is on disk before it is used. Then
// Facebook is asked what it is good for, and to send what is written to the Page.
func (p *Pages) connect(ctx context.Context, domain string, login store.FacebookLogin, g granted, shared sharedPage) *problem {
	now := mirror.At(p.c.Now())
	var page store.FacebookPage
	err := p.c.updateSealed(ctx, func(tx *store.Tx) error {
		shop, err := tx.ShopByID(login.ShopID)
		if err != nil {
			return err
		}
		if shop.State == store.ShopUninstalled || shop.State == store.ShopErasing {
			return errLeftMeanwhile
		}
		page, err = tx.FacebookPageNumbered(shared.ID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err == nil && page.ShopID != shop.ID {
			return errOtherShop
		}
		page.ShopID, page.PageID, page.Name, page.State = shop.ID, shared.ID, shared.Name, store.PageConnected
		page.UserID, page.TokenKind, page.Scopes, page.Tasks = g.UserID, g.Kind, g.Scopes, shared.Tasks
		page.GraphVersion, page.ConnectedAt, page.IssuedAt, page.ExpiresAt, page.DataExpiresAt = p.meta.Version, now, now, 0, g.DataEnds
		page.Trouble, page.Hook = store.Trouble{}, store.Trouble{}
		if page.Granular, err = json.Marshal(g.Granular); err != nil {
			return err
		}
		if page.Token, err = p.c.Sealer.Seal([]byte(shared.Token), boundToPage(shared.ID)); err != nil {
			return err
		}
		if page, err = tx.SaveFacebookPage(page); err != nil {
			return err
		}
		chosen, err := tx.ChooseFacebookPage(login.ID, page.ID)
		if err == nil && !chosen {
			err = errChosen
		}
		return err
	})
	switch {
	case errors.Is(err, errChosen):
		return nil // The page shows which.
	case errors.Is(err, errOtherShop):
		return &problem{Status: http.StatusConflict, Title: "The Page belongs to another shop", Shop: domain, Text: shared.Name + " was not connected. " + otherShop, Fix: "Nothing was changed."}
	case err != nil:
		return p.notKept(loginState{Domain: domain}, err)
	}
	p.Changed()
	p.c.Log.Info("Page connected", "page", page.PageID, "shop", domain)
	p.settle(ctx, page)
	return nil
}

// settle looks after a Page that was just connected. What fails is beside the Page
// for whoever looks, and tried again by the next upkeep.
func (p *Pages) settle(ctx context.Context, page store.FacebookPage) {
	if err := p.auditApp(ctx, false); err != nil {
		p.c.Log.Warn("the app's webhooks at Facebook could not be looked at, trying again in 15 minutes", "error", err)
	}
	p.lookAfter(ctx, page)
}

// browserLogin finds the login of this browser.
func (p *Pages) browserLogin(r *http.Request) (login store.FacebookLogin, shop store.Shop, fault *problem) {
	stranger := &problem{Status: http.StatusForbidden, Title: "Which login?", Text: "This page is for the browser that logged in at Facebook, for ten minutes.",
		Fix: "Open the link that you were given once more, or start from the shop's admin page."}
	cookie, err := r.Cookie(pagesCookie)
	if err != nil {
		return login, shop, stranger
	}
	err = p.c.Store.View(r.Context(), func(tx *store.Tx) (err error) {
		if login, err = tx.FacebookLoginBy(secret.Hash(cookie.Value), mirror.At(p.c.Now())); err != nil {
			return err
		}
		shop, err = tx.ShopByID(login.ShopID)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return login, shop, stranger
	}
	if err != nil {
		return login, shop, broken("look the login up", "", err)
	}
	return login, shop, nil
}

func (p *Pages) openLogin(login store.FacebookLogin) (g granted, err error) {
	text, err := p.c.Sealer.Open(login.Sealed, boundToLogin(strings.ToUpper(hex.EncodeToString(login.Hash))))
	if err != nil {
		return g, fmt.Errorf("open a login: %w", err)
	}
	if json.Unmarshal(text, &g) != nil { // Its own error would quote a token.
		return g, errors.New("read a login: it is not of this program's form")
	}
	return g, nil
}

// showPages shows the Pages to choose from, or how the chosen one stands.
func (p *Pages) showPages(w http.ResponseWriter, r *http.Request) *problem {
	login, shop, fault := p.browserLogin(r)
	if fault != nil {
		return fault
	}
	if login.Page == 0 {
		g, err := p.openLogin(login)
		if err != nil {
			return broken("show the Pages", shop.Domain, err)
		}
		p.c.show(w, http.StatusOK, "choose", struct {
			Shop  string
			Pages []sharedPage
		}{shop.Domain, g.Pages})
		return nil
	}
	var page store.FacebookPage
	var app store.FacebookApp
	err := p.c.Store.View(r.Context(), func(tx *store.Tx) (err error) {
		if page, err = tx.FacebookPage(login.Page); err != nil {
			return err
		}
		app, err = tx.FacebookApp()
		return err
	})
	if err != nil {
		return broken("show the Page", shop.Domain, err)
	}
	view := struct {
		Shop, Name string
		State      store.PageState
		Troubles   []store.Trouble
	}{Shop: shop.Domain, Name: page.Name, State: page.State}
	for _, trouble := range []store.Trouble{page.Trouble, page.Hook, app.Trouble} {
		if trouble.What != "" {
			trouble.Remedy = strings.ReplaceAll(trouble.Remedy, "--shop SHOP", "--shop "+shop.Domain)
			view.Troubles = append(view.Troubles, trouble)
		}
	}
	p.c.show(w, http.StatusOK, "pageConnected", view)
	return nil
}

// maxChoice bounds the form of a choice.
const maxChoice = 4 << 10

// choosePage connects the Page that was chosen.
func (p *Pages) choosePage(w http.ResponseWriter, r *http.Request) *problem {
	login, shop, fault := p.browserLogin(r)
	if fault != nil {
		return fault
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxChoice)
	if login.Page == 0 {
		g, err := p.openLogin(login)
		if err != nil {
			return broken("connect the Page", shop.Domain, err)
		}
		chosen := r.PostFormValue("page")
		var found *sharedPage
		for i, page := range g.Pages {
			if page.ID == chosen && page.Why == "" {
				found = &g.Pages[i]
			}
		}
		if found == nil {
			return &problem{Status: http.StatusBadRequest, Title: "Which Page?", Shop: shop.Domain, Text: "None of the Pages that can be connected was chosen.", Fix: "Choose one.",
				Link: pathFacebookPages, Offer: "Choose"}
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), askMetaWithin)
		defer cancel()
		if fault := p.connect(ctx, shop.Domain, login, g, *found); fault != nil {
			return fault
		}
	}
	http.Redirect(w, r, pathFacebookPages, http.StatusSeeOther)
	return nil
}
