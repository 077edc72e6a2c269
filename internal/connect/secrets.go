package connect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"stockroom/internal/mirror"
	"stockroom/internal/secret"
	"stockroom/internal/shopify"
	"stockroom/internal/store"
)

// bindings say what each sealed column's value is bound to, by table and column.
var bindings = map[string]func(store.SealedValue) []byte{
	"shops.access_token":       func(v store.SealedValue) []byte { return boundTo(v.Name, columnAccess) },
	"shops.refresh_token":      func(v store.SealedValue) []byte { return boundTo(v.Name, columnRefresh) },
	"shops.last_access_token":  func(v store.SealedValue) []byte { return boundTo(v.Name, columnAccess) },
	"shops.last_refresh_token": func(v store.SealedValue) []byte { return boundTo(v.Name, columnRefresh) },
	"shops.webhook_key":        func(v store.SealedValue) []byte { return boundTo(v.Name, columnKey) },
	"shop_keys.sealed":         func(v store.SealedValue) []byte { return boundTo(v.Name, columnShopKey) },
	"app_secrets.sealed":       func(store.SealedValue) []byte { return appSecretSealedFor },
	"facebook_pages.token":     func(v store.SealedValue) []byte { return boundToPage(v.Name) },
	"facebook_logins.sealed":   func(v store.SealedValue) []byte { return boundToLogin(v.Name) },
	"facebook_secrets.sealed":  func(store.SealedValue) []byte { return facebookSecretSealedFor },
}

// What sealed secrets of the app are bound to, by platform.
var (
	appSecretSealedFor      = []byte("a secret of the app")
	facebookSecretSealedFor = []byte("a secret of the app at Facebook")
)

// errOtherKey says that all is sealed by another key than this process seals by.
var errOtherKey = errors.New("the encryption key was changed")

// updateSealed is a write transaction in which something is sealed. It is sealed
// by the key that is in use by then: a process that has not heard of a new
// key yet reads the keys anew, and begins again.
func (c *Connector) updateSealed(ctx context.Context, do func(*store.Tx) error) error {
	const tries = 3 // A key is changed once in a while.
	for try := 1; ; try++ {
		var inUse string
		err := c.Store.Update(ctx, func(tx *store.Tx) (err error) {
			if inUse, err = tx.KeyInUse(); err != nil {
				return err
			}
			if inUse == "" {
				err = tx.SetKeyInUse(c.Sealer.KeyID())
			} else if inUse != c.Sealer.KeyID() {
				return errOtherKey
			}
			if err != nil {
				return err
			}
			return do(tx)
		})
		if !errors.Is(err, errOtherKey) || try == tries {
			return err
		}
		if err := c.useKey(inUse); err != nil {
			return err
		}
	}
}

// useKey seals by the key of this id, which may have to be read first.
func (c *Connector) useKey(id string) error {
	if known, err := c.Sealer.Use(id); err != nil || known {
		return err
	}
	if _, err := c.Sealer.Reload(); err != nil {
		return err
	}
	known, err := c.Sealer.Use(id)
	if err == nil && !known {
		err = foreignKey(id)
	}
	return err
}

// foreignKey is an encryption key that is not the database's.
func foreignKey(id string) error {
	return fmt.Errorf("the tokens in the database are sealed with another encryption key (%s): give the one they were sealed with, "+
		"by ENCRYPTION_KEY or in its file beside the database: %w", id, secret.ErrCannotOpen)
}

// CheckKeys opens what is sealed of some shop, so that a lost or wrong
// encryption key is told at the start rather than at every later call.
func (c *Connector) CheckKeys(ctx context.Context) error {
	return c.Store.View(ctx, func(tx *store.Tx) error {
		inUse, err := tx.KeyInUse()
		if err != nil {
			return err
		}
		if inUse != "" {
			if err := c.useKey(inUse); err != nil {
				return err
			}
		}
		for _, column := range store.SealedColumns {
			values, err := tx.SealedValues(column)
			if err != nil {
				return err
			}
			if len(values) == 0 {
				continue
			}
			if _, err := c.Sealer.Open(values[0].Value, c.binding(column, values[0])); err != nil {
				return foreignKey("opening " + column.Table + "." + column.Column)
			}
			return nil
		}
		return nil
	})
}

func (c *Connector) binding(column store.SealedColumn, v store.SealedValue) []byte {
	return bindings[column.Table+"."+column.Column](v)
}

// Reseal seals everything by the newest of the encryption keys, in one
// transaction, and says how many values that were. Then the others are needed
// no more, but for backups of before.
func (c *Connector) Reseal(ctx context.Context) (n int, err error) {
	if _, err := c.Sealer.Use(c.Sealer.Newest()); err != nil {
		return 0, err
	}
	err = c.Store.Update(ctx, func(tx *store.Tx) error {
		n = 0
		for _, column := range store.SealedColumns {
			values, err := tx.SealedValues(column)
			if err != nil {
				return err
			}
			for _, v := range values {
				if c.Sealer.Current(v.Value) {
					continue
				}
				plain, err := c.Sealer.Open(v.Value, c.binding(column, v))
				if err != nil {
					return fmt.Errorf("open %s.%s of row %d: %w", column.Table, column.Column, v.Row, err)
				}
				if v.Value, err = c.Sealer.Seal(plain, c.binding(column, v)); err != nil {
					return err
				}
				if err := tx.SetSealedValue(column, v); err != nil {
					return err
				}
				n++
			}
		}
		return tx.SetKeyInUse(c.Sealer.KeyID())
	})
	if err != nil {
		return 0, fmt.Errorf("seal everything by the newest encryption key: %w", err)
	}
	return n, nil
}

// ResealAtStart is Reseal for a service whose settings put a new key in front, or
// whose last change of keys was cut short. There is nothing to do where the
// newest key is in use already.
func (c *Connector) ResealAtStart(ctx context.Context) error {
	inUse, err := c.keyInUse(ctx)
	if err != nil || inUse == c.Sealer.Newest() {
		return err
	}
	n, err := c.Reseal(ctx)
	if err != nil {
		return err
	}
	if n > 0 {
		c.Log.Info("everything is sealed by the newest encryption key: the older ones may be dropped", "values", n)
	}
	return nil
}

func (c *Connector) keyInUse(ctx context.Context) (id string, err error) {
	err = c.Store.View(ctx, func(tx *store.Tx) (err error) {
		id, err = tx.KeyInUse()
		return err
	})
	return id, err
}

// rotationLease keeps two changes of the key apart, as the tokens of a shop are.
const rotationLease = "the encryption key"

// RotateKeyFile gives the file of the encryption keys a new key, seals everything
// by it, and then drops the others. A service that runs goes on: it reads the
// file anew when it meets the new key. After a death in between the file
// holds both keys, and calling it again, or the next start of the service,
// goes on. It says how many values were sealed anew.
func (c *Connector) RotateKeyFile(ctx context.Context, path string) (n int, err error) {
	l, err := c.lease(ctx, rotationLease)
	if err != nil {
		return 0, err
	}
	defer l.end(ctx)
	before, err := secret.ReadFile(path)
	if err != nil {
		return 0, err
	}
	fresh := secret.NewKeyset()
	if err := secret.ReplaceFile(path, secret.New(fresh.Reveal()+","+before.Reveal())); err != nil {
		return 0, err
	}
	if _, err := c.Sealer.Reload(); err != nil {
		return 0, err
	}
	if n, err = c.Reseal(ctx); err != nil {
		return 0, err
	}
	// Somebody who took this one for dead may have gone on with another key.
	if inUse, err := c.keyInUse(ctx); err != nil || inUse != c.Sealer.Newest() {
		return n, errors.Join(errors.New("the encryption key was changed by somebody else meanwhile: the older keys are kept"), err)
	}
	return n, secret.ReplaceFile(path, fresh)
}

// secretsFor is how long the app's secrets are believed to be as they were read.
const secretsFor = 5 * time.Second

// appSecrets are an app's secrets at one platform, newest first: those that were
// added while the service ran, then those of the settings. One that is in the
// settings too has its place there.
type appSecrets struct {
	c        *Connector
	of       store.SecretsOf
	settings []secret.Secret
	bound    []byte

	mu    sync.Mutex
	known []secret.Secret
	read  time.Time
}

func (a *appSecrets) all() []secret.Secret {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.read != (time.Time{}) && time.Since(a.read) < secretsFor {
		return a.known
	}
	added, err := a.added()
	if err != nil {
		// The ones known go on: a wrong answer is worse than a late one.
		a.c.Log.Error("the app's secrets could not be read", "error", err)
		if a.known == nil {
			return a.settings
		}
		return a.known
	}
	a.known, a.read = slices.Concat(added, a.settings), time.Now()
	return a.known
}

func (a *appSecrets) added() ([]secret.Secret, error) {
	ctx, cancel := context.WithTimeout(context.Background(), secretsFor)
	defer cancel()
	var sealed [][]byte
	err := a.c.Store.View(ctx, func(tx *store.Tx) (err error) {
		sealed, err = tx.AppSecrets(a.of)
		return err
	})
	if err != nil {
		return nil, err
	}
	var added []secret.Secret
	for _, s := range sealed {
		text, err := a.c.Sealer.Open(s, a.bound)
		if err != nil {
			return nil, fmt.Errorf("open a secret of the app: %w", err)
		}
		one := secret.New(string(text))
		if !slices.ContainsFunc(slices.Concat(added, a.settings), one.Equal) {
			added = append(added, one)
		}
	}
	return added, nil
}

func (a *appSecrets) add(ctx context.Context, s secret.Secret) error {
	if slices.ContainsFunc(a.all(), s.Equal) {
		return nil
	}
	err := a.c.updateSealed(ctx, func(tx *store.Tx) error {
		sealed, err := a.c.Sealer.Seal([]byte(s.Reveal()), a.bound)
		if err != nil {
			return err
		}
		return tx.AddAppSecret(a.of, sealed, mirror.At(a.c.Now()))
	})
	if err != nil {
		return fmt.Errorf("keep a new secret of the app: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.read = time.Time{}
	return nil
}

// AppSecrets are the app's secrets at Shopify, newest first. All verify, the
// first asks.
func (c *Connector) AppSecrets() []secret.Secret { return c.secrets.all() }

// AddAppSecret makes a secret the app's newest, for this process and for a
// service that runs: webhooks that it signed are taken, and tokens are asked for by it.
func (c *Connector) AddAppSecret(ctx context.Context, s secret.Secret) error {
	return c.secrets.add(ctx, s)
}

// ByOlderSecret lists the connected shops whose tokens were got by another secret of
// the app's than its newest. They die with that one.
func (c *Connector) ByOlderSecret(ctx context.Context) ([]string, error) {
	secrets := c.AppSecrets()
	var older []string
	err := c.Store.View(ctx, func(tx *store.Tx) error {
		shops, err := tx.Shops()
		for _, shop := range shops {
			if shop.State == store.ShopConnected && expires(shop) && len(secrets) > 0 && shop.TokenSecret != fingerprint(secrets[0]) {
				older = append(older, shop.Domain)
			}
		}
		return err
	})
	return older, err
}

// expires tells shops whose tokens are renewed from those with one given by hand.
func expires(shop store.Shop) bool {
	return shop.RefreshToken != nil || shop.Grant == store.GrantCredentials
}

// app is who asks, by one of the secrets.
func (c *Connector) app(s secret.Secret) shopify.App {
	return shopify.App{ClientID: c.APIKey, Secret: s}
}
