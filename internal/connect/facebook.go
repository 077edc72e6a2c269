package connect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"stockroom/internal/facebook"
	"stockroom/internal/loop"
	"stockroom/internal/mirror"
	"stockroom/internal/secret"
	"stockroom/internal/shopify"
	"stockroom/internal/store"
)

// FacebookConfig is what Pages work with.
type FacebookConfig struct {
	AppID        string          // Empty: no Page can be connected.
	Secrets      []secret.Secret // Of the settings, newest first.
	RedirectURI  string          // The public address of /facebook/callback.
	VerifyToken  secret.Secret
	ConfigID     string // Of Facebook Login for Business; empty: permissions are asked for by scope.
	GraphVersion string
	GraphURL     string
	DialogURL    string
	HTTP         *http.Client // Default: one of package facebook's own.

	// SignedIn tells whether a request is the admin's, who may connect a Page
	// without a one-time link. Default: none is.
	SignedIn func(*http.Request) (bool, error)
	// Changed says that Pages were connected, or have left.
	Changed func()
}

// Pages is a Facebook Page's life with us, as a Connector is a shop's. Its
// methods may be called from any goroutine.
//
// It promises that a Page is tied to a shop only by the admin or who was given a
// one-time link (TestAPageIsConnectedByTheAdminOrByALink), that each outcome of
// Facebook's dialog has a page that says what to do (TestEveryOutcomeOfTheDialogHasItsPage),
// that a subscription lost at either level is made again
// (TestAnAuditMendsBothLevels), and that of a Page that left nothing is kept
// (TestNothingIsLeftOfAPageThatLeft).
type Pages struct {
	FacebookConfig
	c       *Connector
	meta    *facebook.Client
	secrets *appSecrets
	audits  loop.Turns[int64] // By row; zero for the app's own subscription.
}

// Pages makes what connects Facebook Pages to this connector's shops. It starts nothing.
func (c *Connector) Pages(config FacebookConfig) *Pages {
	if config.SignedIn == nil {
		config.SignedIn = func(*http.Request) (bool, error) { return false, nil }
	}
	if config.Changed == nil {
		config.Changed = func() {}
	}
	p := &Pages{FacebookConfig: config, c: c}
	p.secrets = &appSecrets{c: c, of: store.SecretsOfFacebook, settings: config.Secrets, bound: facebookSecretSealedFor}
	p.meta = facebook.New(facebook.Config{AppID: config.AppID, Secrets: p.AppSecrets, GraphURL: config.GraphURL, DialogURL: config.DialogURL,
		Version: config.GraphVersion, HTTP: config.HTTP})
	return p
}

// Enabled tells whether the app is known to Facebook at all.
func (p *Pages) Enabled() bool { return p.AppID != "" }

// AppSecrets are the app's secrets at Facebook, newest first. All verify, the
// first asks.
func (p *Pages) AppSecrets() []secret.Secret {
	if !p.Enabled() {
		return nil
	}
	return p.secrets.all()
}

// AddAppSecret makes a secret the app's newest at Facebook, for this process and for
// a service that runs, and says whether Facebook takes it.
func (p *Pages) AddAppSecret(ctx context.Context, s secret.Secret) error {
	alone := p.meta.Config
	alone.Secrets = func() []secret.Secret { return []secret.Secret{s} }
	_, err := facebook.New(alone).CheckApp(ctx)
	if facebook.ClassOf(err) == facebook.ClassSecret {
		return fmt.Errorf("the secret is not the one of app %s at Facebook, so nothing was changed: %w", p.AppID, err)
	}
	if err != nil {
		return fmt.Errorf("try the new secret at Facebook: %w", err)
	}
	return p.secrets.add(ctx, s)
}

const pathFacebookCallback = "/facebook/callback"

// public is the address of another path of this service, as Facebook and browsers
// reach it.
func (p *Pages) public(path string) string {
	return strings.TrimSuffix(strings.TrimSuffix(p.RedirectURI, "/"), pathFacebookCallback) + path
}

// WebhookAddress is where Facebook is to send what happens at Pages.
func (p *Pages) WebhookAddress() string { return p.public("/facebook/webhook") }

func boundToPage(pageID string) []byte { return []byte("facebook_pages/" + pageID + "/token") }
func boundToLogin(hash string) []byte  { return []byte("facebook_logins/" + hash) }

// tokenOf opens a Page's token.
func (p *Pages) tokenOf(page store.FacebookPage) (secret.Secret, error) {
	if len(page.Token) == 0 {
		return secret.Secret{}, errNoPageToken
	}
	text, err := p.c.Sealer.Open(page.Token, boundToPage(page.PageID))
	if err != nil {
		return secret.Secret{}, fmt.Errorf("open the token of Page %s: %w", page.PageID, err)
	}
	return secret.New(string(text)), nil
}

// errNoPageToken is a Page whose token was taken back.
var errNoPageToken = errors.New("the Page has no token: it must be connected again")

// List lists the Pages that are connected, by name.
func (p *Pages) List(ctx context.Context) (pages []store.FacebookPage, err error) {
	err = p.c.Store.View(ctx, func(tx *store.Tx) (err error) {
		pages, err = tx.FacebookPages(0)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list Pages: %w", err)
	}
	return pages, nil
}

// change changes a Page's row, as it is by now. One that has left is not brought back.
func (p *Pages) change(ctx context.Context, id int64, do func(*store.FacebookPage)) (page store.FacebookPage, err error) {
	err = p.c.Store.Update(ctx, func(tx *store.Tx) (err error) {
		if page, err = tx.FacebookPage(id); err != nil {
			return err
		}
		if page.State == store.PageErasing {
			return store.ErrNotFound
		}
		do(&page)
		page, err = tx.SaveFacebookPage(page)
		return err
	})
	if err != nil {
		return page, fmt.Errorf("write how Page %d stands: %w", id, err)
	}
	return page, nil
}

// trouble is what is amiss now; one that lasts keeps the moment at which it began.
func (p *Pages) trouble(before store.Trouble, what, remedy string) store.Trouble {
	now := store.Trouble{What: what, Remedy: remedy, Since: mirror.At(p.c.Now())}
	switch {
	case what == "":
		return store.Trouble{}
	case before.What == what:
		now.Since = before.Since
	}
	return now
}

// Control acts on what Facebook told of a Page: what a responder needs is kept,
// sealed, and the body that it came in is erased. It reports false for webhooks that
// are not Facebook's, and for ones that cannot be read. Acting again changes nothing.
func (p *Pages) Control(ctx context.Context, d store.Delivery) (bool, error) {
	if d.Topic != store.TopicPage {
		return false, nil
	}
	opened, err := p.c.OpenBody(ctx, d)
	if errors.Is(err, ErrSealed) {
		return false, nil // The applier sets it aside with the reason.
	}
	if err != nil {
		return false, err
	}
	events, err := facebook.Events(opened.Body)
	if err != nil {
		return false, nil
	}
	row, err := strconv.ParseInt(d.EventID, 10, 64)
	if err != nil {
		return false, nil
	}
	messages, err := p.seal(ctx, d, row, events)
	if err != nil {
		return false, err
	}
	var warned []facebook.Event
	err = p.c.Store.Update(ctx, func(tx *store.Tx) error {
		warned = nil
		page, err := tx.FacebookPage(row)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err == nil && page.State != store.PageErasing {
			if _, err := tx.AddFacebookMessages(messages); err != nil {
				return err
			}
			if err := emptyDeleted(tx, row, events); err != nil {
				return err
			}
			if warned, err = notePolicy(tx, page, events); err != nil {
				return err
			}
		}
		return tx.EraseBody(d.Seq)
	})
	if err != nil {
		return false, fmt.Errorf("keep what was told of Page %d: %w", row, err)
	}
	for _, e := range warned {
		p.c.Log.Error("Facebook warns the Page, or bars it: look at its Support Inbox there", "page", e.Page, "action", e.Action, "reason", e.Reason)
	}
	return true, nil
}

// seal makes rows of the events that are kept.
func (p *Pages) seal(ctx context.Context, d store.Delivery, row int64, events []facebook.Event) ([]store.FacebookMessage, error) {
	var all []store.FacebookMessage
	for _, e := range events {
		if !e.Kept() {
			continue
		}
		sealer, err := p.c.sealerOf(ctx, d.ShopID)
		if err != nil {
			return nil, fmt.Errorf("seal a message of Page %s: %w", e.Page, err)
		}
		m := store.FacebookMessage{ShopID: d.ShopID, Page: row, Key: e.Key, Kind: string(e.Kind), MID: e.MID, Person: e.Person, Standby: e.Standby,
			State: store.MessageKept, At: mirror.At(e.At), ReceivedAt: d.ReceivedAt}
		if e.At.IsZero() {
			m.At = d.ReceivedAt
		}
		if e.Answerable() && e.Person != "" {
			m.State = store.MessageWaiting
		}
		if m.Body, err = sealer.Seal(e.Body(), boundToMessage(m)); err != nil {
			return nil, fmt.Errorf("seal a message of Page %s: %w", e.Page, err)
		}
		all = append(all, m)
	}
	return all, nil
}

func boundToMessage(m store.FacebookMessage) []byte {
	return fmt.Appendf(nil, "facebook_messages/%d/%s", m.Page, m.Key)
}

// emptyDeleted takes out what messages say that their writers deleted, whichever of
// the two was heard first.
func emptyDeleted(tx *store.Tx, page int64, events []facebook.Event) error {
	for _, e := range events {
		if e.MID == "" {
			continue
		}
		gone := e.Kind == facebook.KindDeleted
		if !gone {
			var err error
			if gone, err = tx.FacebookMessageWasDeleted(page, e.MID); err != nil {
				return err
			}
		}
		if gone {
			if err := tx.EmptyFacebookMessage(page, e.MID); err != nil {
				return err
			}
		}
	}
	return nil
}

// notePolicy keeps what Facebook warns a Page of, and returns the warnings.
func notePolicy(tx *store.Tx, page store.FacebookPage, events []facebook.Event) (warned []facebook.Event, err error) {
	changed := false
	for _, e := range events {
		at := mirror.At(e.At)
		if e.Kind != facebook.KindPolicy || at <= page.PolicyAt && !e.At.IsZero() {
			continue
		}
		changed = true
		page.PolicyAt, page.Policy = at, strings.TrimSpace(e.Action+": "+e.Reason)
		if strings.EqualFold(e.Action, "unblock") {
			page.Policy = ""
			continue
		}
		warned = append(warned, e)
	}
	if changed {
		_, err = tx.SaveFacebookPage(page)
	}
	return warned, err
}

// Waiting gives what shoppers wrote to a Page and nobody has answered, in the order
// in which it was written. One whose writer deleted it does not wait.
func (p *Pages) Waiting(ctx context.Context, page int64, limit int) ([]facebook.Event, error) {
	var rows []store.FacebookMessage
	err := p.c.Store.View(ctx, func(tx *store.Tx) (err error) {
		rows, err = tx.FacebookMessages(page, store.MessageWaiting, limit)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list what waits at Page %d: %w", page, err)
	}
	var all []facebook.Event
	for _, m := range rows {
		sealer, err := p.c.shopSealer(ctx, m.ShopID)
		if err != nil {
			return nil, fmt.Errorf("open message %d: %w", m.ID, err)
		}
		body, err := sealer.Open(m.Body, boundToMessage(m))
		if err != nil {
			return nil, fmt.Errorf("open message %d: %w", m.ID, err)
		}
		events, err := facebook.Events(body)
		if err != nil {
			return nil, fmt.Errorf("read message %d: %w", m.ID, err)
		}
		all = append(all, events...)
	}
	return all, nil
}

const (
	// healthEvery is how often Facebook is asked whether a Page's token is good: it
	// never tells by itself.
	healthEvery = 24 * time.Hour
	// healthSoon is the same while something is amiss, so that it is seen to be over.
	healthSoon = time.Hour
	// endsSoon is how long before an end it is told.
	endsSoon = 14 * 24 * time.Hour
	// pageTimeout bounds the look at one Page, so that a slow one delays no other for long.
	pageTimeout = 2 * time.Minute
	// pageWorkers bounds the Pages that are looked at at a time.
	pageWorkers = 4
)

// Check asks Facebook what a Page's token is good for, and writes down what it
// says. An error says that nobody could tell.
func (p *Pages) Check(ctx context.Context, page store.FacebookPage) (store.FacebookPage, error) {
	token, err := p.tokenOf(page)
	if errors.Is(err, errNoPageToken) {
		return page, nil // It was taken back, which is written there.
	}
	if err != nil {
		return page, err
	}
	info, err := p.meta.Inspect(ctx, token)
	if err != nil {
		return page, fmt.Errorf("ask for the health of Page %s: %w", page.PageID, err)
	}
	was := page.State
	now := mirror.At(p.c.Now())
	page, err = p.change(ctx, page.ID, func(row *store.FacebookPage) {
		if current, err := p.tokenOf(*row); err != nil || !current.Equal(token) {
			return // Connected again meanwhile: this was said of another token.
		}
		row.CheckedAt = now
		p.judge(row, info)
	})
	if err != nil {
		return page, err
	}
	p.logHealth(was, page)
	return page, nil
}

// judge writes what Facebook says of a token into the Page's row.
func (p *Pages) judge(row *store.FacebookPage, info facebook.TokenInfo) {
	again := "Connect the Page again: `stockroom pages add --shop SHOP` prints the link."
	dead := func(what, remedy string) {
		row.State, row.Trouble = store.PageReconnect, p.trouble(row.Trouble, what, remedy)
	}
	switch {
	case info.AppID != "" && info.AppID != p.AppID:
		dead("Its token belongs to another app at Facebook than FACEBOOK_APP_ID.", "Is FACEBOOK_APP_ID right? If it is: "+again)
		return
	case info.PageID != "" && info.Kind == "PAGE" && info.PageID != row.PageID:
		dead("Its token belongs to another Page.", again)
		return
	case !info.Valid && info.Invalid.Class == facebook.ClassOwner:
		row.Trouble = p.trouble(row.Trouble, info.Invalid.What(), info.Invalid.Do())
		return
	case !info.Valid:
		what, do := info.Invalid.What(), info.Invalid.Do()
		if info.Invalid.Class != facebook.ClassToken { // Whatever the number, it is not valid.
			what, do = "Facebook says that its token is not valid any more.", again
		}
		dead(what, do)
		return
	}
	row.State, row.VerifiedAt = store.PageConnected, row.CheckedAt
	row.Scopes, row.ExpiresAt, row.DataExpiresAt = info.Scopes, moment(info.ExpiresAt), moment(info.DataExpiresAt)
	if row.IssuedAt == 0 {
		row.IssuedAt = moment(info.IssuedAt)
	}
	row.Granular, _ = json.Marshal(info.Granular) // Strings.
	what, remedy := "", ""
	soon := row.CheckedAt.Add(endsSoon)
	switch lacks := info.Lacks(row.PageID); {
	case len(lacks) > 0:
		what = "A permission was taken back, or not given for this Page: " + strings.Join(lacks, ", ") + "."
		remedy = "Connect the Page again and leave every permission on: `stockroom pages add --shop SHOP` prints the link."
	case row.ExpiresAt != 0 && row.ExpiresAt < soon:
		what, remedy = "Its token ends at "+row.ExpiresAt.String()+".", again
	case row.DataExpiresAt != 0 && row.DataExpiresAt < soon:
		what, remedy = "Facebook ends the access at "+row.DataExpiresAt.String()+", unless the person who connected the Page uses the app before.", again
	}
	row.Trouble = p.trouble(row.Trouble, what, remedy)
}

func moment(t time.Time) mirror.Instant {
	if t.IsZero() {
		return 0
	}
	return mirror.At(t)
}

func (p *Pages) logHealth(was store.PageState, page store.FacebookPage) {
	switch {
	case page.State == store.PageReconnect && was != store.PageReconnect:
		p.c.Log.Error("Page must be connected again", "page", page.PageID, "why", page.Trouble.What, "do", page.Trouble.Remedy)
	case page.State == store.PageConnected && was == store.PageReconnect:
		p.c.Log.Info("the Page's token is good again", "page", page.PageID)
	case page.Trouble.What != "" && page.Trouble.Since == page.CheckedAt:
		p.c.Log.Warn("something is amiss with a Page's token", "page", page.PageID, "why", page.Trouble.What, "do", page.Trouble.Remedy)
	}
}

// due tells whether a Page's token is to be asked after.
func (p *Pages) due(page store.FacebookPage) bool {
	every := healthEvery
	if page.Trouble.What != "" {
		every = healthSoon
	}
	age := p.c.Now().Sub(page.CheckedAt.Time())
	return age >= every || age < 0 // Or a clock was set.
}

// sortedShop is a valid domain, or an error for whoever typed it.
func sortedShop(text string) (string, error) { return shopify.ShopDomain(strings.TrimSpace(text)) }

// union is a list and what of another it lacks.
func union(list, more []string) []string {
	all := slices.Clone(list)
	for _, one := range more {
		if !slices.Contains(all, one) {
			all = append(all, one)
		}
	}
	return all
}
