package connect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"stockroom/internal/mirror"
	"stockroom/internal/secret"
	"stockroom/internal/shopify"
	"stockroom/internal/store"
)

const (
	// refreshBefore is how long before its end an access token is renewed:
	// longer than any one call of ours takes. Shorter lives are used by half.
	refreshBefore = 10 * time.Minute
	// refreshPause is the least time between two tries while the old token still lives.
	refreshPause = 30 * time.Second
	// firstPause is the least time after a try that failed when no token lives any
	// more. It doubles up to refreshPause.
	firstPause = time.Second
	// tokenTimeout bounds a talk with the token endpoint. It is not the
	// caller's to cut short: a lost answer may hold the only living tokens.
	tokenTimeout = 40 * time.Second
)

// AccessToken gives a token of the shop that works. Rejected is one that
// Shopify answered 401 for, or empty.
//
// It renews the token near its end, and where it is the rejected one. Both new
// tokens are on disk before it returns. A refusal that is final marks the shop
// and is ErrReconnect; where Shopify cannot be asked just now, or somebody else
// asks it already, the old token is given as long as it lives, and an error or
// the new one afterwards.
func (c *Connector) AccessToken(ctx context.Context, shopID int64, rejected secret.Secret) (secret.Secret, error) {
	return c.accessToken(ctx, shopID, rejected, func(store.Shop) bool { return false })
}

// accessToken is AccessToken; due says of a token that is good still that it is
// to be renewed.
func (c *Connector) accessToken(ctx context.Context, shopID int64, rejected secret.Secret, due func(store.Shop) bool) (secret.Secret, error) {
	shop, token, err := c.storedToken(ctx, shopID)
	if err != nil {
		return secret.Secret{}, err
	}
	if c.good(shop, token, rejected) && !due(shop) {
		return token, nil
	}
	var l *lease
	if c.alive(shop, token, rejected) {
		if _, rests := c.rests(shop); rests {
			return token, nil
		}
		if l, err = c.leaseNow(ctx, shop.Domain); errors.Is(err, errLeased) {
			return token, nil // Renewing it does not end it.
		}
	} else {
		l, err = c.lease(ctx, shop.Domain)
	}
	if err != nil {
		return secret.Secret{}, fmt.Errorf("token of shop %s: %w", shop.Domain, err)
	}
	defer l.end(ctx)
	// Whoever had the lease before may have done the work.
	if shop, token, err = c.storedToken(ctx, shopID); err != nil {
		return secret.Secret{}, err
	}
	if c.good(shop, token, rejected) && !due(shop) {
		return token, nil
	}
	if failed, rests := c.rests(shop); rests && failed != nil { // While this one waited.
		return c.keepOld(shop, token, rejected, failed)
	}
	return c.renew(ctx, l, shop, token, rejected)
}

// storedToken reads the shop's row and opens its token.
func (c *Connector) storedToken(ctx context.Context, shopID int64) (store.Shop, secret.Secret, error) {
	var shop store.Shop
	err := c.Store.View(ctx, func(tx *store.Tx) (err error) {
		shop, err = tx.ShopByID(shopID)
		return err
	})
	if err != nil {
		return store.Shop{}, secret.Secret{}, fmt.Errorf("token of shop %d: %w", shopID, err)
	}
	switch shop.State {
	case store.ShopUninstalled:
		return store.Shop{}, secret.Secret{}, fmt.Errorf("token of shop %s: %w", shop.Domain, ErrUninstalled)
	case store.ShopReconnect:
		return store.Shop{}, secret.Secret{}, fmt.Errorf("token of shop %s: %w", shop.Domain, ErrReconnect)
	}
	token, err := c.open(shop.Domain, columnAccess, shop.AccessToken)
	return shop, token, err
}

// good reports whether the token can be used without renewing it.
func (c *Connector) good(shop store.Shop, token, rejected secret.Secret) bool {
	if !rejected.Empty() && token.Equal(rejected) {
		return false
	}
	return shop.AccessExpiresAt == 0 || mirror.At(c.Now()) < shop.AccessRenewAt
}

// alive reports whether the token can still be used where it cannot be renewed.
func (c *Connector) alive(shop store.Shop, token, rejected secret.Secret) bool {
	return (rejected.Empty() || !token.Equal(rejected)) && (shop.AccessExpiresAt == 0 || mirror.At(c.Now()) < shop.AccessExpiresAt)
}

// rests reports that Shopify could not be asked just now, and why: it is asked
// again in a while.
func (c *Connector) rests(shop store.Shop) (error, bool) {
	shared := c.of(shop.Domain, offsetOf(shop))
	shared.mu.Lock()
	defer shared.mu.Unlock()
	wait := shared.retryFrom.Sub(c.Now())
	return shared.failed, wait > 0 && wait <= refreshPause // A longer one: the clock was set back.
}

// noteTry keeps how a try to get tokens ended. While a token lives there is time
// for the next one; else it comes soon, and ever more rarely.
func (c *Connector) noteTry(shop store.Shop, alive bool, err error) {
	shared := c.of(shop.Domain, offsetOf(shop))
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if err == nil {
		shared.failures, shared.failed, shared.retryFrom = 0, nil, time.Time{}
		return
	}
	pause := refreshPause
	if !alive {
		pause = min(firstPause<<min(shared.failures, 8), refreshPause)
	}
	shared.failures++
	shared.failed, shared.retryFrom = err, c.Now().Add(pause)
}

// gotten is a token as it was got.
type gotten struct {
	shopify.Token
	asked    time.Time // Its life counts from here.
	by       string    // Fingerprint of the app's secret that asked.
	fromLast bool      // The refresh token before the present one got it.
}

// renew gets new tokens for the shop; the caller has its lease.
func (c *Connector) renew(ctx context.Context, l *lease, shop store.Shop, token, rejected secret.Secret) (secret.Secret, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tokenTimeout)
	defer cancel()
	fresh, err := c.askAgain(ctx, shop, token)
	if shopify.IsFinal(err) {
		return secret.Secret{}, c.refused(ctx, shop, err)
	}
	if err != nil {
		err = fmt.Errorf("refresh the token of shop %s: %w", shop.Domain, err)
		c.noteTry(shop, c.alive(shop, token, rejected), err)
		return c.keepOld(shop, token, rejected, err)
	}
	c.noteTry(shop, true, nil)
	err = c.replace(ctx, shop, func(tx *store.Tx, now *store.Shop) error {
		// Its scopes are left to the audits, which see to what changes with them.
		if err := c.setTokens(now, fresh); err != nil {
			return err
		}
		if shop.RefreshToken == nil && shop.Grant == store.GrantHand {
			now.Grant = store.GrantLogin // Exchanged for a pair that is renewed like any other.
			now.LastAccessToken, now.LastAccessExpiresAt = nil, 0
		}
		return l.endIn(tx)
	})
	if errors.Is(err, errChanged) {
		// Theirs is in use. Should ours have retired it, the one before both works still.
		if shop, token, err := c.storedToken(ctx, shop.ID); err == nil && c.good(shop, token, rejected) {
			return token, nil
		}
	}
	if err != nil {
		return secret.Secret{}, fmt.Errorf("store the refreshed token of shop %s: %w", shop.Domain, err)
	}
	l.over = true
	c.Log.Info("token refreshed", "shop", shop.Domain)
	return fresh.Access, nil
}

// askAgain asks for new tokens in the way that the shop's are got.
//
// A refusal of the refresh token is put to the test by the one before it, which
// Shopify lets live until its successor is used. Where an answer was lost, or
// two came and the later was not the one that was kept, that is the one that works.
func (c *Connector) askAgain(ctx context.Context, shop store.Shop, token secret.Secret) (gotten, error) {
	base := c.ShopURL(shop.Domain)
	if shop.Grant == store.GrantCredentials {
		return c.ask(func(app shopify.App) (shopify.Token, error) { return shopify.ClientCredentials(ctx, c.HTTP, base, app) })
	}
	if shop.RefreshToken == nil {
		// It does not expire and is refused: Shopify may have ended its kind, or
		// exchanged it already and the answer was lost.
		return c.ask(func(app shopify.App) (shopify.Token, error) { return shopify.Migrate(ctx, c.HTTP, base, app, token) })
	}
	fresh, err := c.refresh(ctx, shop, shop.RefreshToken)
	if !shopify.IsFinal(err) || shop.LastRefreshToken == nil {
		return fresh, err
	}
	c.Log.Warn("the refresh token was refused, the one before it is tried", "shop", shop.Domain, "error", err)
	if fresh, err = c.refresh(ctx, shop, shop.LastRefreshToken); err == nil {
		fresh.fromLast = true
	}
	return fresh, err
}

func (c *Connector) refresh(ctx context.Context, shop store.Shop, sealed []byte) (gotten, error) {
	refresh, err := c.open(shop.Domain, columnRefresh, sealed)
	if err != nil {
		return gotten{}, err
	}
	return c.ask(func(app shopify.App) (shopify.Token, error) {
		return shopify.Refresh(ctx, c.HTTP, c.ShopURL(shop.Domain), app, refresh)
	})
}

// ask asks for a token with the newest of the app's secrets, and with the older
// ones where Shopify does not know that one: a secret is replaced at Shopify and
// here one after the other.
func (c *Connector) ask(how func(shopify.App) (shopify.Token, error)) (gotten, error) {
	apps, err := c.apps()
	if err != nil {
		return gotten{}, err
	}
	var first error
	for _, app := range apps { // As many as there are secrets: a few.
		asked := c.Now()
		token, err := how(app)
		if err == nil {
			return gotten{Token: token, asked: asked, by: fingerprint(app.Secret)}, nil
		}
		if first == nil {
			first = err
		}
		if !shopify.IsWrongSecret(err) {
			return gotten{}, err
		}
	}
	return gotten{}, first
}

// keepOld gives a token that lives still, where no new one can be got now.
func (c *Connector) keepOld(shop store.Shop, token, rejected secret.Secret, err error) (secret.Secret, error) {
	if !c.alive(shop, token, rejected) {
		last, ok := c.lastToken(shop, rejected)
		if !ok {
			return secret.Secret{}, err
		}
		token = last
	}
	c.Log.Warn("token could not be refreshed, the old one is used on", "shop", shop.Domain, "error", err)
	return token, nil
}

// lastToken is the access token before the present one, where it lives.
func (c *Connector) lastToken(shop store.Shop, rejected secret.Secret) (secret.Secret, bool) {
	if shop.LastAccessToken == nil || mirror.At(c.Now()) >= shop.LastAccessExpiresAt {
		return secret.Secret{}, false
	}
	last, err := c.open(shop.Domain, columnAccess, shop.LastAccessToken)
	return last, err == nil && !last.Equal(rejected)
}

// refused marks a shop whose token is dead for good. Its data stays.
func (c *Connector) refused(ctx context.Context, shop store.Shop, cause error) error {
	what := "Shopify refuses its refresh token"
	switch {
	case shop.Grant == store.GrantCredentials:
		what = "Shopify gives no token by client credentials: the app must be installed in the shop, and belong to its organisation"
	case shop.RefreshToken == nil:
		what = "Shopify refuses its token, which was given by hand and cannot be renewed"
	}
	err := c.replace(ctx, shop, func(_ *store.Tx, now *store.Shop) error {
		now.State = store.ShopReconnect
		now.Trouble, now.TroubleAt = fmt.Sprintf("%s (%v)", what, cause), mirror.At(c.Now())
		return nil
	})
	if err != nil {
		return fmt.Errorf("mark shop %s: %w", shop.Domain, err)
	}
	c.Log.Error("shop must be connected again: its merchant has to open the app", "shop", shop.Domain, "why", what, "error", cause)
	return fmt.Errorf("token of shop %s: %w: %w", shop.Domain, ErrReconnect, cause)
}

// errChanged says that somebody stored other tokens meanwhile: a lease that lasts
// too short, as when this process was stopped for a while, may have two holders.
var errChanged = errors.New("its tokens were changed meanwhile")

// replace changes the shop's row, if its tokens are still the ones that were
// read: an uninstallation meanwhile must not be undone.
func (c *Connector) replace(ctx context.Context, read store.Shop, change func(*store.Tx, *store.Shop) error) error {
	return c.updateSealed(ctx, func(tx *store.Tx) error {
		now, err := tx.ShopByID(read.ID)
		if err != nil {
			return err
		}
		if now.State == store.ShopUninstalled {
			return ErrUninstalled
		}
		if !c.same(now.Domain, columnAccess, now.AccessToken, read.AccessToken) || !c.same(now.Domain, columnRefresh, now.RefreshToken, read.RefreshToken) {
			return errChanged
		}
		if err := change(tx, &now); err != nil {
			return err
		}
		_, err = tx.SaveShop(now)
		return err
	})
}

// same compares two sealed values by what they hold: one may have been sealed
// anew meanwhile, by another key.
func (c *Connector) same(domain, column string, a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	if len(a) == 0 || len(b) == 0 {
		return false
	}
	one, err := c.open(domain, column, a)
	other, otherErr := c.open(domain, column, b)
	return err == nil && otherErr == nil && one.Equal(other)
}

// DomainError says that a token belongs to another shop than it was given for.
type DomainError struct{ Given, Actual string }

func (e *DomainError) Error() string {
	return fmt.Sprintf("the token given for %s belongs to %s: name that shop instead", e.Given, e.Actual)
}

// ImportToken connects a shop by a token that was made by hand. The shop itself
// is asked who it is; where it is another than domain, the error is a
// *DomainError. On any error nothing is changed. A token that is stored already
// is not imported again, and nothing is asked.
func (c *Connector) ImportToken(ctx context.Context, domain string, token secret.Secret) (store.Shop, error) {
	domain, err := shopify.ShopDomain(domain)
	if err != nil {
		return store.Shop{}, err
	}
	l, err := c.lease(ctx, domain)
	if err != nil {
		return store.Shop{}, err
	}
	defer l.end(ctx)
	shop, found, err := c.shopByDomain(ctx, domain)
	if err != nil {
		return store.Shop{}, err
	}
	if found && shop.State == store.ShopConnected {
		if stored, err := c.open(domain, columnAccess, shop.AccessToken); err == nil && stored.Equal(token) {
			return shop, nil
		}
	}
	shared := c.of(domain, offsetOf(shop))
	client, err := c.clientWith(domain, shared, token)
	if err != nil {
		return store.Shop{}, err
	}
	ctx = shopify.WithPriority(ctx)
	if err := askWho(ctx, client, domain); shopify.ClassOf(err) == shopify.ClassToken {
		return store.Shop{}, fmt.Errorf("the token given for %s is refused by Shopify: is it that shop's, and not revoked? (%w)", domain, err)
	} else if err != nil {
		return store.Shop{}, err
	}
	scopes, err := client.GrantedScopes(ctx)
	if err != nil {
		return store.Shop{}, fmt.Errorf("connect shop %s: %w", domain, err)
	}
	got := gotten{Token: shopify.Token{Access: token, Scopes: scopes}, asked: c.Now()}
	shop, err = c.install(ctx, domain, store.GrantHand, got, store.ShopConnected, got.asked)
	if err != nil {
		return store.Shop{}, err
	}
	c.connected(ctx, shop)
	return shop, nil
}

// askWho asks the shop behind a client for its domain.
func askWho(ctx context.Context, client *shopify.Client, domain string) error {
	identity, err := client.Identity(ctx)
	if err != nil {
		return fmt.Errorf("ask shop %s who it is: %w", domain, err)
	}
	if !strings.EqualFold(identity.MyshopifyDomain, domain) {
		return &DomainError{Given: domain, Actual: identity.MyshopifyDomain}
	}
	return nil
}

// install writes the shop's new tokens, their times and the moment, and for a shop
// that was not connected a new webhook key, in one transaction. A merchant
// who logs in again has not installed again: webhooks are on their way to the
// key that there is, and would be refused at another.
func (c *Connector) install(ctx context.Context, domain string, grant store.TokenGrant, token gotten, state store.ShopState, at time.Time) (store.Shop, error) {
	var shop store.Shop
	err := c.updateSealed(ctx, func(tx *store.Tx) error {
		var err error
		if shop, err = tx.ShopByDomain(domain); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		again := shop.State == store.ShopConnected
		shop.Domain, shop.State, shop.Scopes = domain, state, strings.Join(token.Scopes, ",")
		offset := c.of(domain, offsetOf(shop)).clock.Offset()
		shop.ClockOffsetMS = offset.Milliseconds()
		shop.Grant, shop.Trouble, shop.TroubleAt = grant, "", 0
		if err := c.setTokens(&shop, token); err != nil {
			return err
		}
		// That Shopify granted it proves the app installed at this moment: an
		// uninstallation of before is of an earlier installation, also where it was
		// never heard and the shop counted as connected all the while.
		shop.InstalledAt, shop.UninstalledAt = mirror.At(at.Add(offset)), 0
		// A new grant retires all tokens that came before it.
		shop.LastAccessToken, shop.LastRefreshToken, shop.LastAccessExpiresAt = nil, nil, 0
		if !again {
			if err := c.setKey(&shop); err != nil {
				return err
			}
		}
		shop, err = tx.SaveShop(shop)
		return err
	})
	if err != nil {
		return store.Shop{}, fmt.Errorf("store the tokens of shop %s: %w", domain, err)
	}
	c.keysChanged()
	return shop, nil
}

// connected tells the rest of the program. What it does in answer may fail
// without undoing the connection: the next poll makes up for it.
func (c *Connector) connected(ctx context.Context, shop store.Shop) {
	c.Log.Info("shop connected", "shop", shop.Domain, "scopes", shop.Scopes)
	if missing := c.MissingScopes(shop); len(missing) > 0 {
		c.Log.Warn("shop granted less than was asked for: what needs it is not mirrored", "shop", shop.Domain, "missing", strings.Join(missing, ","))
	}
	if c.Events.Connected == nil {
		return
	}
	if err := c.Events.Connected(ctx, shop); err != nil {
		c.Log.Error("import was not asked for: the next poll reads the shop instead", "shop", shop.Domain, "error", err)
	}
}

func (c *Connector) keysChanged() {
	if c.Events.KeysChanged != nil {
		c.Events.KeysChanged()
	}
}
