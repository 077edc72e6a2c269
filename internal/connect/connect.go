// Package connect is a shop's life with us: how it logs in, how its tokens are
// kept alive, which webhooks it sends, and how it leaves.
//
// It promises that a token is on disk, encrypted, before it is used once
// (TestTokensAreStoredBeforeTheyAreUsed); that one refresh a shop is under way
// at a time, of all processes on the database (TestManyCallersCauseOneRefresh,
// TestTwoProcessesNeverRefreshAShopAtOnce); that no death loses a shop's tokens
// (TestADeathAtAnyMomentOfARefreshLosesNoTokens); that nobody is connected to a
// shop but a browser that Shopify sent back with what this program gave it
// (TestTheCallbackIsRefused); that an uninstallation leaves no secret behind, and
// needs none to be carried out (TestUninstalling); and that of a shop that has
// to be redacted nothing is left (TestAShopThatLeftIsErased).
//
// Reading the shop is left to package reconcile, receiving its webhooks to
// package inbox.
package connect

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"stockroom/internal/loop"
	"stockroom/internal/mirror"
	"stockroom/internal/secret"
	"stockroom/internal/shopify"
	"stockroom/internal/store"
)

// Config is what a Connector works with.
type Config struct {
	Store  *store.Store
	Sealer *secret.Sealer

	APIKey         string
	Secrets        []secret.Secret            // Of the settings, newest first: see AppSecrets.
	RedirectURI    string                     // The public address of /shopify/callback.
	WebhookAddress string                     // The public address of /shopify/webhook. Empty: no subscriptions are made.
	Scopes         []string                   // To ask for. Default: DefaultScopes.
	APIVersion     string                     // Default: shopify.Version.
	ShopURL        func(domain string) string // Where a shop's Admin API and OAuth pages are.
	HTTP           *http.Client               // Default: one of package shopify's own.

	Events Events
	// Progress tells how far a shop's import is, for its page. Default: no counts.
	Progress func(ctx context.Context, shopID int64) (Progress, error)

	Now func() time.Time // This machine's clock. Default: time.Now.
	Log *slog.Logger
}

// Events are told after what they tell of is on disk. A nil one is not told.
type Events struct {
	// Connected asks for an import and an audit of the subscriptions.
	Connected func(context.Context, store.Shop) error
	// ScopesChanged asks for an audit and a full read: the shop shares more, or less.
	ScopesChanged func(context.Context, store.Shop) error
	// SubscriptionsLost asks for what webhooks did not tell to be read.
	SubscriptionsLost func(context.Context, store.Shop, []Lost) error
	// KeysChanged says that webhook keys were made or ended.
	KeysChanged func()
	// ErasureAsked says that an Eraser has work.
	ErasureAsked func()
}

// Progress is how far a shop's import is.
type Progress struct {
	State  string // In words, such as "running". Empty: nothing has begun.
	Over   bool
	Error  string
	Counts []Count
}

// Count is how much was read of one kind of thing.
type Count struct {
	Name string
	N    int64
	Done bool
}

var (
	// ErrReconnect says that Shopify refuses the shop's token for good: the
	// merchant must log in again.
	ErrReconnect = fmt.Errorf("the shop must be connected again: %w", shopify.ErrNoToken)
	// ErrUninstalled says that the shop has removed the app.
	ErrUninstalled = fmt.Errorf("the shop has uninstalled the app: %w", shopify.ErrNoToken)
)

// Connector connects shops. Its methods may be called from any goroutine.
type Connector struct {
	Config
	tokens loop.Turns[string] // By domain: getting and refreshing tokens retire each other's, so that they take turns.
	audits loop.Turns[string] // By domain.

	sharedMu sync.Mutex
	shared   map[string]*shared

	sealersMu sync.Mutex
	sealers   map[int64]*secret.Sealer // By shop: see vault.go.

	secrets *appSecrets
}

// shared is what all API clients of a shop have in common.
type shared struct {
	throttle *shopify.Throttle
	clock    *shopify.Clock

	mu        sync.Mutex
	saved     time.Duration // The clock's offset as the store has it.
	retryFrom time.Time     // No refresh is tried before.
	failures  int           // Tries in a row that failed, and
	failed    error         // the last one's reason.
}

// New makes a connector. It starts nothing.
func New(config Config) *Connector {
	if config.Scopes == nil {
		config.Scopes = DefaultScopes()
	}
	if config.APIVersion == "" {
		config.APIVersion = shopify.Version
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	config.Log = config.Log.With("component", "connect")
	c := &Connector{Config: config, shared: map[string]*shared{}, sealers: map[int64]*secret.Sealer{}}
	c.secrets = &appSecrets{c: c, of: store.SecretsOfShopify, settings: config.Secrets, bound: appSecretSealedFor}
	return c
}

// DefaultScopes are what the mirrored resources need.
func DefaultScopes() []string {
	var all []string
	for _, list := range shopify.Lists() {
		all = append(all, list.Scopes...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// MissingScopes are those that were asked for and that the shop did not grant.
func (c *Connector) MissingScopes(shop store.Shop) []string {
	return shopify.MissingScopes(shopify.ParseScopes(shop.Scopes), c.Scopes)
}

// apps is how this program names itself when it asks for tokens: by its newest
// secret first.
func (c *Connector) apps() ([]shopify.App, error) {
	secrets := c.AppSecrets()
	if c.APIKey == "" || len(secrets) == 0 {
		return nil, errors.New("SHOPIFY_API_KEY and SHOPIFY_API_SECRET are not set")
	}
	apps := make([]shopify.App, len(secrets))
	for i, s := range secrets {
		apps[i] = c.app(s)
	}
	return apps, nil
}

// fingerprint tells secrets of the app apart without giving anything of them away.
func fingerprint(s secret.Secret) string {
	return hex.EncodeToString(secret.Hash(s.Reveal())[:fingerprintBytes])
}

const fingerprintBytes = 8

// Columns whose values are sealed. With the domain they are what a ciphertext
// is bound to, so that one copied elsewhere does not open.
const (
	columnAccess  = "access_token"
	columnRefresh = "refresh_token"
	columnKey     = "webhook_key"
)

func boundTo(domain, column string) []byte { return []byte("shops/" + domain + "/" + column) }

func (c *Connector) seal(domain, column, text string) ([]byte, error) {
	sealed, err := c.Sealer.Seal([]byte(text), boundTo(domain, column))
	if err != nil {
		return nil, fmt.Errorf("seal %s of shop %s: %w", column, domain, err)
	}
	return sealed, nil
}

func (c *Connector) open(domain, column string, sealed []byte) (secret.Secret, error) {
	text, err := c.Sealer.Open(sealed, boundTo(domain, column))
	if err != nil {
		return secret.Secret{}, fmt.Errorf("open %s of shop %s: %w", column, domain, err)
	}
	return secret.New(string(text)), nil
}

// setTokens seals a token into the shop's row and keeps the one before it. Its
// times are on this machine's clock, as its life was counted by it.
func (c *Connector) setTokens(shop *store.Shop, token gotten) (err error) {
	if !token.fromLast {
		shop.LastAccessToken, shop.LastAccessExpiresAt, shop.LastRefreshToken = shop.AccessToken, shop.AccessExpiresAt, shop.RefreshToken
	}
	if shop.AccessToken, err = c.seal(shop.Domain, columnAccess, token.Access.Reveal()); err != nil {
		return err
	}
	shop.RefreshToken = nil
	if !token.Refresh.Empty() {
		if shop.RefreshToken, err = c.seal(shop.Domain, columnRefresh, token.Refresh.Reveal()); err != nil {
			return err
		}
	}
	shop.TokenAt, shop.TokenSecret = mirror.At(token.asked), token.by
	shop.AccessExpiresAt, shop.AccessRenewAt, shop.RefreshExpiresAt = 0, 0, 0
	if token.Life > 0 {
		// A short life is used by half, or every call would ask for a new one.
		early := min(refreshBefore, token.Life/2)
		shop.AccessExpiresAt, shop.AccessRenewAt = mirror.At(token.asked.Add(token.Life)), mirror.At(token.asked.Add(token.Life-early))
	}
	if token.RefreshLife > 0 {
		shop.RefreshExpiresAt = mirror.At(token.asked.Add(token.RefreshLife))
	}
	return nil
}

// setKey gives the shop's row a new webhook key.
func (c *Connector) setKey(shop *store.Shop) (err error) {
	const keyBytes = 32
	key := secret.RandomToken(keyBytes)
	if shop.WebhookKey, err = c.seal(shop.Domain, columnKey, key); err != nil {
		return err
	}
	shop.WebhookKeyHash = secret.Hash(key)
	return nil
}

// erase takes all secrets out of the shop's row. The key's hash becomes one
// that no key has.
func erase(shop *store.Shop) {
	shop.AccessToken, shop.RefreshToken, shop.WebhookKey = nil, nil, []byte{}
	shop.LastAccessToken, shop.LastRefreshToken, shop.TokenSecret = nil, nil, ""
	shop.AccessExpiresAt, shop.AccessRenewAt, shop.RefreshExpiresAt, shop.LastAccessExpiresAt, shop.TokenAt = 0, 0, 0, 0, 0
	shop.Trouble, shop.TroubleAt = "", 0
	shop.WebhookKeyHash = make([]byte, 32)
	_, _ = rand.Read(shop.WebhookKeyHash) // Never fails.
}

// shopByDomain finds a shop; found is false when it never connected.
func (c *Connector) shopByDomain(ctx context.Context, domain string) (shop store.Shop, found bool, err error) {
	err = c.Store.View(ctx, func(tx *store.Tx) (err error) {
		shop, err = tx.ShopByDomain(domain)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return store.Shop{}, false, nil
	}
	return shop, err == nil, err
}

// of is what the API clients of a shop share, made at the first use.
func (c *Connector) of(domain string, offset time.Duration) *shared {
	c.sharedMu.Lock()
	defer c.sharedMu.Unlock()
	s := c.shared[domain]
	if s == nil {
		s = &shared{throttle: shopify.NewThrottle(), clock: shopify.NewClock(offset), saved: offset}
		c.shared[domain] = s
	}
	return s
}

func offsetOf(shop store.Shop) time.Duration {
	return time.Duration(shop.ClockOffsetMS) * time.Millisecond
}

// ShopNow is now on the shop's Shopify clock.
func (c *Connector) ShopNow(shop store.Shop) mirror.Instant {
	return c.of(shop.Domain, offsetOf(shop)).clock.At(c.Now())
}

// Client makes an Admin API client of a shop. It is the one place that does, so
// that all clients of a shop share its budget and its clock.
func (c *Connector) Client(_ context.Context, shop store.Shop) (*shopify.Client, error) {
	s := c.of(shop.Domain, offsetOf(shop))
	return c.client(shop.Domain, s, func(ctx context.Context, rejected secret.Secret) (secret.Secret, error) {
		c.keepOffset(ctx, shop, s)
		return c.AccessToken(ctx, shop.ID, rejected)
	})
}

// clientWith makes a client that has this one token, for asking a shop who it is.
func (c *Connector) clientWith(domain string, s *shared, token secret.Secret) (*shopify.Client, error) {
	return c.client(domain, s, func(_ context.Context, rejected secret.Secret) (secret.Secret, error) {
		if !rejected.Empty() {
			return secret.Secret{}, ErrReconnect
		}
		return token, nil
	})
}

func (c *Connector) client(domain string, s *shared, token func(context.Context, secret.Secret) (secret.Secret, error)) (*shopify.Client, error) {
	client, err := shopify.NewClient(shopify.Config{
		Shop: domain, BaseURL: c.ShopURL(domain), Version: c.APIVersion, HTTP: c.HTTP,
		Token: token, Throttle: s.throttle, Clock: s.clock, Log: c.Log,
	})
	if err != nil {
		return nil, fmt.Errorf("make API client of shop %s: %w", domain, err)
	}
	return client, nil
}

// offsetStep is how far the offset must have moved to be written again.
const offsetStep = 50 * time.Millisecond

// keepOffset writes what replies told of the shop's clock, for the inbox and
// for the next start. A failure is logged: the next call tries again.
func (c *Connector) keepOffset(ctx context.Context, shop store.Shop, s *shared) {
	offset := s.clock.Offset()
	s.mu.Lock()
	moved := (offset - s.saved).Abs() > offsetStep
	before := s.saved
	if moved {
		s.saved = offset
	}
	s.mu.Unlock()
	if !moved {
		return
	}
	err := c.Store.Update(ctx, func(tx *store.Tx) error { return tx.SetClockOffset(shop.ID, offset.Milliseconds()) })
	if err != nil {
		s.mu.Lock()
		s.saved = before
		s.mu.Unlock()
		c.Log.Warn("clock offset was not stored", "shop", shop.Domain, "error", err)
	}
}
