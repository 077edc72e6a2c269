package store

import (
	"fmt"

	"stockroom/internal/mirror"
)

// ShopState is where a shop's connection stands.
type ShopState string

const (
	ShopConnected   ShopState = "connected"
	ShopReconnect   ShopState = "reconnect"   // Shopify refused the token for good: the merchant must log in again.
	ShopUninstalled ShopState = "uninstalled" // Secrets are erased, the copy is kept until it is redacted or connected again.
	ShopErasing     ShopState = "erasing"     // It has no domain and no secret any more; its rows are on their way out.
)

// Shop is a shop that connected. Sealed values are ciphertexts; only package
// connect opens them.
type Shop struct {
	ID               int64
	Domain           string // The full myshopify domain.
	State            ShopState
	Scopes           string // Granted, comma separated.
	WebhookKeyHash   []byte
	WebhookKey       []byte // Sealed.
	AccessToken      []byte // Sealed; nil once uninstalled.
	AccessExpiresAt  mirror.Instant
	AccessRenewAt    mirror.Instant // From when on a new one is asked for.
	RefreshToken     []byte         // Sealed; nil for tokens that do not expire.
	RefreshExpiresAt mirror.Instant
	ClockOffsetMS    int64 // Shopify's clock less this machine's.
	InstalledAt      mirror.Instant
	UninstalledAt    mirror.Instant

	// The tokens before the present ones, kept until the present refresh token
	// has worked. Sealed; nil where there are none.
	LastAccessToken     []byte
	LastAccessExpiresAt mirror.Instant
	LastRefreshToken    []byte

	Grant       TokenGrant
	TokenAt     mirror.Instant // When the present token was got.
	TokenSecret string         // Fingerprint of the app's secret that it was got by; empty for one given by hand.

	Trouble   string // Why it must be connected again; empty unless ShopReconnect.
	TroubleAt mirror.Instant
}

// TokenGrant is how a shop's token is got.
type TokenGrant string

const (
	GrantLogin       TokenGrant = "login"              // The merchant logged in.
	GrantHand        TokenGrant = "hand"               // Given by the operator. It does not expire, and cannot be renewed.
	GrantSession     TokenGrant = "session"            // An embedded app's page brought a session token.
	GrantCredentials TokenGrant = "client_credentials" // The app's own, in a shop of its own organisation.
)

const shopColumns = `id, domain, state, scopes, webhook_key_hash, webhook_key, access_token, access_expires_at, access_renew_at, refresh_token, refresh_expires_at,
	clock_offset_ms, installed_at, uninstalled_at, last_access_token, last_access_expires_at, last_refresh_token, token_grant, token_at, token_secret,
	trouble, trouble_at`

func scanShop(scan func(...any) error) (Shop, error) {
	var s Shop
	err := scan(&s.ID, &s.Domain, &s.State, &s.Scopes, &s.WebhookKeyHash, &s.WebhookKey, &s.AccessToken, &s.AccessExpiresAt, &s.AccessRenewAt,
		&s.RefreshToken, &s.RefreshExpiresAt, &s.ClockOffsetMS, &s.InstalledAt, &s.UninstalledAt,
		&s.LastAccessToken, &s.LastAccessExpiresAt, &s.LastRefreshToken, &s.Grant, &s.TokenAt, &s.TokenSecret, &s.Trouble, &s.TroubleAt)
	return s, err
}

// SaveShop inserts the shop, or replaces the row of its domain, and returns it with its id.
func (t *Tx) SaveShop(s Shop) (Shop, error) {
	delete(t.scopes, s.ID)
	if s.Grant == "" {
		s.Grant = GrantLogin
	}
	err := t.one(`INSERT INTO shops (domain, state, scopes, webhook_key_hash, webhook_key, access_token, access_expires_at, access_renew_at, refresh_token,
			refresh_expires_at, clock_offset_ms, installed_at, uninstalled_at, last_access_token, last_access_expires_at, last_refresh_token,
			token_grant, token_at, token_secret, trouble, trouble_at) VALUES `+placeholders(1, 1, 21)+`
		ON CONFLICT (domain) DO UPDATE SET state = excluded.state, scopes = excluded.scopes, webhook_key_hash = excluded.webhook_key_hash,
			webhook_key = excluded.webhook_key, access_token = excluded.access_token, access_expires_at = excluded.access_expires_at,
			access_renew_at = excluded.access_renew_at,
			refresh_token = excluded.refresh_token, refresh_expires_at = excluded.refresh_expires_at,
			clock_offset_ms = excluded.clock_offset_ms, installed_at = excluded.installed_at, uninstalled_at = excluded.uninstalled_at,
			last_access_token = excluded.last_access_token, last_access_expires_at = excluded.last_access_expires_at,
			last_refresh_token = excluded.last_refresh_token, token_grant = excluded.token_grant, token_at = excluded.token_at,
			token_secret = excluded.token_secret, trouble = excluded.trouble, trouble_at = excluded.trouble_at
		RETURNING id`,
		[]any{s.Domain, s.State, s.Scopes, s.WebhookKeyHash, s.WebhookKey, s.AccessToken, s.AccessExpiresAt, s.AccessRenewAt, s.RefreshToken,
			s.RefreshExpiresAt, s.ClockOffsetMS, s.InstalledAt, s.UninstalledAt, s.LastAccessToken, s.LastAccessExpiresAt, s.LastRefreshToken,
			s.Grant, s.TokenAt, s.TokenSecret, s.Trouble, s.TroubleAt}, &s.ID)
	if err != nil {
		return Shop{}, fmt.Errorf("save shop %s: %w", s.Domain, err)
	}
	return s, nil
}

// SetClockOffset keeps what the replies' Date headers told of Shopify's clock.
func (t *Tx) SetClockOffset(shop, offsetMS int64) error {
	_, err := t.exec(`UPDATE shops SET clock_offset_ms = $2 WHERE id = $1`, shop, offsetMS)
	return err
}

// ShopByDomain finds a shop by its full myshopify domain; ErrNotFound when it never connected.
func (t *Tx) ShopByDomain(domain string) (Shop, error) {
	return t.shop(`domain = $1`, domain)
}

// ShopByID finds a shop by its row's id.
func (t *Tx) ShopByID(id int64) (Shop, error) {
	return t.shop(`id = $1`, id)
}

// ShopByWebhookKey finds the shop whose present webhook address holds the key with this hash.
func (t *Tx) ShopByWebhookKey(hash []byte) (Shop, error) {
	return t.shop(`webhook_key_hash = $1`, hash)
}

func (t *Tx) shop(where string, arg any) (Shop, error) {
	s, err := scanShop(func(into ...any) error {
		return t.one(`SELECT `+shopColumns+` FROM shops WHERE `+where, []any{arg}, into...)
	})
	if err != nil {
		return Shop{}, fmt.Errorf("find shop: %w", err)
	}
	return s, nil
}

// Shops lists all shops by domain, but for those that are being erased.
func (t *Tx) Shops() ([]Shop, error) {
	return list(t, `SELECT `+shopColumns+` FROM shops WHERE state <> 'erasing' ORDER BY domain`, nil, scanShop)
}

// Subscription is a webhook subscription as the last audit left it.
type Subscription struct {
	Topic     string
	GID       string
	State     string // One of those below.
	Reason    string
	CheckedAt mirror.Instant
}

// States of a subscription.
const (
	SubscriptionActive  = "active"
	SubscriptionRefused = "refused" // The app may not have it.
	SubscriptionFailed  = "failed"  // It could not be made for another reason.
)

// SetSubscriptions replaces what is known of a shop's subscriptions.
func (t *Tx) SetSubscriptions(shop int64, all []Subscription) error {
	if _, err := t.exec(`DELETE FROM subscriptions WHERE shop_id = $1`, shop); err != nil {
		return fmt.Errorf("clear subscriptions: %w", err)
	}
	const columns = 6
	return chunks(all, columns, func(part []Subscription) error {
		args := make([]any, 0, len(part)*columns)
		for _, s := range part {
			args = append(args, shop, s.Topic, s.GID, s.State, s.Reason, s.CheckedAt)
		}
		_, err := t.exec(`INSERT INTO subscriptions (shop_id, topic, gid, state, reason, checked_at) VALUES `+placeholders(1, len(part), columns), args...)
		return err
	})
}

// Subscriptions lists a shop's subscriptions by topic.
func (t *Tx) Subscriptions(shop int64) ([]Subscription, error) {
	return list(t, `SELECT topic, gid, state, reason, checked_at FROM subscriptions WHERE shop_id = $1 ORDER BY topic`, []any{shop},
		func(scan func(...any) error) (Subscription, error) {
			var s Subscription
			err := scan(&s.Topic, &s.GID, &s.State, &s.Reason, &s.CheckedAt)
			return s, err
		})
}

// UseOAuthState uses a login's state up, by its hash. It reports false when it
// was used before. After its expiry the state itself tells that it is over.
func (t *Tx) UseOAuthState(stateHash []byte, expires mirror.Instant) (fresh bool, err error) {
	n, err := t.exec(`INSERT INTO oauth_states (state_hash, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING`, stateHash, expires)
	return n > 0, err
}

// SaveSession keeps the hash of a browser's session cookie. Scope says what it opens.
func (t *Tx) SaveSession(hash []byte, scope string, expires mirror.Instant) error {
	_, err := t.exec(`INSERT INTO sessions (hash, scope, expires_at) VALUES ($1, $2, $3)`, hash, scope, expires)
	return err
}

// SessionScope is what a session opens; ErrNotFound when there is none or its time is over.
func (t *Tx) SessionScope(hash []byte, now mirror.Instant) (string, error) {
	var scope string
	err := t.one(`SELECT scope FROM sessions WHERE hash = $1 AND expires_at > $2`, []any{hash, now}, &scope)
	return scope, err
}

// DeleteSession ends a session; ending it twice is no error.
func (t *Tx) DeleteSession(hash []byte) error {
	_, err := t.exec(`DELETE FROM sessions WHERE hash = $1`, hash)
	return err
}

// APIKey opens one shop's data to a program. Only the key's hash is kept.
type APIKey struct {
	ID         int64
	ShopID     int64
	Domain     string
	Name       string
	CreatedAt  mirror.Instant
	LastUsedAt mirror.Instant
	RevokedAt  mirror.Instant
}

// AddAPIKey stores a key's hash and returns the key's number.
func (t *Tx) AddAPIKey(shop int64, name string, hash []byte, now mirror.Instant) (int64, error) {
	var id int64
	err := t.one(`INSERT INTO api_keys (shop_id, name, hash, created_at) VALUES ($1, $2, $3, $4) RETURNING id`, []any{shop, name, hash, now}, &id)
	return id, err
}

const apiKeyQuery = `SELECT k.id, k.shop_id, s.domain, k.name, k.created_at, k.last_used_at, k.revoked_at FROM api_keys k JOIN shops s ON s.id = k.shop_id `

func scanAPIKey(scan func(...any) error) (APIKey, error) {
	var k APIKey
	err := scan(&k.ID, &k.ShopID, &k.Domain, &k.Name, &k.CreatedAt, &k.LastUsedAt, &k.RevokedAt)
	return k, err
}

// APIKeyByHash finds a key that is not revoked.
func (t *Tx) APIKeyByHash(hash []byte) (APIKey, error) {
	return scanAPIKey(func(into ...any) error {
		return t.one(apiKeyQuery+`WHERE k.hash = $1 AND k.revoked_at = 0`, []any{hash}, into...)
	})
}

// APIKeys lists all keys, revoked ones too.
func (t *Tx) APIKeys() ([]APIKey, error) {
	return list(t, apiKeyQuery+`ORDER BY k.id`, nil, scanAPIKey)
}

// RevokeAPIKey ends a key; ErrNotFound when there is no such key, or it is revoked already.
func (t *Tx) RevokeAPIKey(id int64, now mirror.Instant) error {
	n, err := t.exec(`UPDATE api_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at = 0`, id, now)
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return err
}

// TouchAPIKeys notes when keys were last used.
func (t *Tx) TouchAPIKeys(used map[int64]mirror.Instant) error {
	for id, at := range used { // As many as there are keys in use since the last note: a handful.
		if _, err := t.exec(`UPDATE api_keys SET last_used_at = $2 WHERE id = $1 AND last_used_at < $2`, id, at); err != nil {
			return err
		}
	}
	return nil
}
