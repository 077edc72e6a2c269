package connect

import (
	"context"
	"errors"
	"fmt"
	"time"

	"stockroom/internal/secret"
	"stockroom/internal/shopify"
	"stockroom/internal/store"
)

// ConnectByCredentials connects a shop of the app's own organisation, in which
// the app is installed, without anybody logging in: the token is asked for by
// the app's client credentials, and asked for again before it ends. An error
// leaves a shop that was connected as it was.
func (c *Connector) ConnectByCredentials(ctx context.Context, domain string) (store.Shop, error) {
	domain, err := shopify.ShopDomain(domain)
	if err != nil {
		return store.Shop{}, err
	}
	shop, found, err := c.shopByDomain(ctx, domain)
	if err != nil {
		return store.Shop{}, err
	}
	known := found && shop.State == store.ShopConnected
	shop, err = c.admit(shopify.WithPriority(ctx), domain, store.GrantCredentials, known, c.Now(),
		func(ctx context.Context, app shopify.App) (shopify.Token, error) {
			return shopify.ClientCredentials(ctx, c.HTTP, c.ShopURL(domain), app)
		})
	switch {
	case shopify.IsWrongSecret(err):
		return store.Shop{}, fmt.Errorf("the shop does not accept SHOPIFY_API_KEY and SHOPIFY_API_SECRET: %w", err)
	case shopify.IsFinal(err):
		return store.Shop{}, fmt.Errorf("the shop gives no token by client credentials: the app must be installed in the shop, and app and shop belong to one organisation. "+
			"For other shops use the login link of `stockroom shops add`. (%w)", err)
	case err != nil:
		return store.Shop{}, err
	}
	c.connected(ctx, shop)
	return shop, nil
}

// ErrExpires says that a shop's token is of the kind that expires already.
var ErrExpires = errors.New("the shop's token expires already")

// MigrateToken exchanges a shop's token that does not expire for a pair that
// does. It cannot be taken back: the old token is dead afterwards, also for
// other programs that use it. After a lost answer it can be asked again.
func (c *Connector) MigrateToken(ctx context.Context, domain string) (store.Shop, error) {
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
	if err == nil && !found {
		err = store.ErrNotFound
	}
	if err != nil {
		return store.Shop{}, fmt.Errorf("migrate the token of shop %s: %w", domain, err)
	}
	shop, token, err := c.storedToken(ctx, shop.ID)
	if err != nil {
		return store.Shop{}, err
	}
	if shop.RefreshToken != nil || shop.AccessExpiresAt != 0 {
		return shop, fmt.Errorf("shop %s: %w", domain, ErrExpires)
	}
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), tokenTimeout)
	defer cancel()
	fresh, err := c.ask(func(app shopify.App) (shopify.Token, error) {
		return shopify.Migrate(asking, c.HTTP, c.ShopURL(domain), app, token)
	})
	if shopify.IsFinal(err) {
		// Nothing is marked: the token may be another app's, and work as before.
		return shop, fmt.Errorf("the shop does not exchange the token of %s: it is another app's, or dead (%w)", domain, err)
	}
	if err != nil {
		return shop, fmt.Errorf("migrate the token of shop %s: %w", domain, err)
	}
	return c.storeMigrated(asking, l, shop, fresh)
}

func (c *Connector) storeMigrated(ctx context.Context, l *lease, shop store.Shop, fresh gotten) (store.Shop, error) {
	err := c.replace(ctx, shop, func(tx *store.Tx, now *store.Shop) error {
		now.Grant = store.GrantLogin
		if err := c.setTokens(now, fresh); err != nil {
			return err
		}
		now.LastAccessToken, now.LastAccessExpiresAt = nil, 0 // Dead by now.
		shop = *now
		return l.endIn(tx)
	})
	if err != nil {
		return shop, fmt.Errorf("store the migrated token of shop %s: %w", shop.Domain, err)
	}
	l.over = true
	c.Log.Info("token migrated to one that expires", "shop", shop.Domain)
	return shop, nil
}

// renewAfter is how old a shop's tokens may become that nobody uses. A refresh
// token lives for 90 days; a week leaves room for a dozen failures.
const renewAfter = 6 * 24 * time.Hour

// KeepTokens renews the tokens of all connected shops that nobody has used for a
// week, which would die with their refresh tokens, and of those got by a secret of the
// app's that is not its newest: they die with it. What fails is logged, and
// tried again by the next call.
func (c *Connector) KeepTokens(ctx context.Context) error {
	var shops []store.Shop
	err := c.Store.View(ctx, func(tx *store.Tx) (err error) {
		shops, err = tx.Shops()
		return err
	})
	if err != nil {
		return fmt.Errorf("keep tokens: %w", err)
	}
	for _, shop := range shops {
		if shop.State != store.ShopConnected || !c.stale(shop) {
			continue
		}
		_, err := c.accessToken(ctx, shop.ID, secret.Secret{}, c.stale)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil && !errors.Is(err, ErrReconnect) { // That one has been logged.
			c.Log.Warn("token was not renewed, trying again in an hour", "shop", shop.Domain, "error", err)
		}
	}
	return nil
}

// stale tells of tokens that should be renewed though they are good.
func (c *Connector) stale(shop store.Shop) bool {
	if !expires(shop) {
		return false
	}
	if secrets := c.AppSecrets(); len(secrets) > 0 && shop.TokenSecret != fingerprint(secrets[0]) {
		return true
	}
	age := c.Now().Sub(shop.TokenAt.Time())
	return age > renewAfter || age < -renewAfter // Or a clock was set.
}
