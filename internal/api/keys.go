package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"stockroom/internal/mirror"
	"stockroom/internal/query"
	"stockroom/internal/secret"
	"stockroom/internal/store"
)

// keyPrefix begins every key, so that one found in a text tells where it belongs.
const keyPrefix = "sr_"

// CreateKey makes a key that opens a shop. Only its hash is stored: the key is
// shown to whoever asked for it now, or never.
func CreateKey(ctx context.Context, s *store.Store, domain, name string, now time.Time) (secret.Secret, store.APIKey, error) {
	key := secret.New(keyPrefix + secret.RandomToken(32))
	made := store.APIKey{Domain: domain, Name: name, CreatedAt: mirror.At(now)}
	err := s.Update(ctx, func(tx *store.Tx) error {
		shop, err := tx.ShopByDomain(domain)
		if errors.Is(err, store.ErrNotFound) {
			return &query.Error{Code: query.NotFound, Message: fmt.Sprintf("no shop %q is connected", domain), Fix: "name a shop that `stockroom shops list` shows"}
		}
		if err != nil {
			return err
		}
		made.ShopID = shop.ID
		made.ID, err = tx.AddAPIKey(shop.ID, name, secret.Hash(key.Reveal()), made.CreatedAt)
		return err
	})
	if err != nil {
		return secret.Secret{}, store.APIKey{}, fmt.Errorf("create key for %s: %w", domain, err)
	}
	return key, made, nil
}

// ListKeys lists all keys, revoked ones too.
func ListKeys(ctx context.Context, s *store.Store) ([]store.APIKey, error) {
	var keys []store.APIKey
	err := s.View(ctx, func(tx *store.Tx) (err error) {
		keys, err = tx.APIKeys()
		return err
	})
	return keys, err
}

// RevokeKey ends a key at once.
func RevokeKey(ctx context.Context, s *store.Store, id int64, now time.Time) error {
	err := s.Update(ctx, func(tx *store.Tx) error { return tx.RevokeAPIKey(id, mirror.At(now)) })
	if errors.Is(err, store.ErrNotFound) {
		return &query.Error{Code: query.NotFound, Message: fmt.Sprintf("there is no key %d, or it is revoked already", id), Fix: "see `stockroom keys list`"}
	}
	return err
}

// authenticate lets a request through whose key opens the shop in its path. A
// shop of which the key knows nothing looks like one that is not there.
func (s *server) authenticate(api huma.API, ctx huma.Context, next func(huma.Context)) {
	token, ok := bearer(ctx.Header("Authorization"))
	if !ok {
		s.refuse(api, ctx)
		return
	}
	var key store.APIKey
	var shop store.Shop
	err := s.Store.View(ctx.Context(), func(tx *store.Tx) (err error) {
		if key, err = tx.APIKeyByHash(secret.Hash(token)); err == nil {
			shop, err = tx.ShopByID(key.ShopID)
		}
		return err
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		s.refuse(api, ctx)
		return
	case err != nil:
		failure := s.failure(ctx.Context(), fmt.Errorf("check an API key: %w", err))
		_ = huma.WriteErr(api, ctx, failure.GetStatus(), "") // It returns what it wrote.
		return
	case ctx.Param("shop") != shop.Domain:
		_ = huma.WriteErr(api, ctx, http.StatusNotFound, "")
		return
	}
	next(huma.WithValue(ctx, contextKey{}, shop))
	if err := s.used.note(context.WithoutCancel(ctx.Context()), s.Store, key.ID, s.Now()); err != nil {
		s.Log.WarnContext(ctx.Context(), "could not note when keys were used", "error", err) // The answer is right all the same.
	}
}

func (s *server) refuse(api huma.API, ctx huma.Context) {
	ctx.SetHeader("WWW-Authenticate", `Bearer realm="stockroom"`)
	_ = huma.WriteErr(api, ctx, http.StatusUnauthorized, "")
}

func bearer(header string) (token string, ok bool) {
	scheme, token, _ := strings.Cut(header, " ")
	token = strings.TrimSpace(token)
	return token, strings.EqualFold(scheme, "Bearer") && token != ""
}

// touchInterval is how exactly the last use of a key is known.
const touchInterval = time.Minute

// keysUsed gathers the uses of keys, so that reading costs one write a minute.
type keysUsed struct {
	mu      sync.Mutex
	pending map[int64]mirror.Instant // As many as there are keys in use: a handful.
	written time.Time
}

// note remembers a use, and writes all those remembered once a minute.
func (u *keysUsed) note(ctx context.Context, s *store.Store, key int64, now time.Time) error {
	u.mu.Lock()
	if u.pending == nil {
		u.pending = map[int64]mirror.Instant{}
	}
	u.pending[key] = mirror.At(now)
	if now.Sub(u.written) < touchInterval {
		u.mu.Unlock()
		return nil
	}
	batch := u.pending
	u.pending, u.written = nil, now
	u.mu.Unlock()
	return s.Update(ctx, func(tx *store.Tx) error { return tx.TouchAPIKeys(batch) })
}
