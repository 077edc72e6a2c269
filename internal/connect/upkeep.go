package connect

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"stockroom/internal/store"
)

const (
	// upkeepWorkers bounds the shops that are looked after at a time.
	upkeepWorkers = 4
	// upkeepTimeout bounds one shop, so that a slow one delays no other for long.
	upkeepTimeout = 5 * time.Minute
)

// Upkeep keeps the tokens of all connected shops alive, and their scopes and
// subscriptions as they should be. It is called once an hour. What a shop
// refuses is logged, and tried again by the next call.
func (c *Connector) Upkeep(ctx context.Context) error {
	if err := c.KeepTokens(ctx); err != nil {
		return err
	}
	var shops []store.Shop
	err := c.Store.View(ctx, func(tx *store.Tx) (err error) {
		shops, err = tx.Shops()
		return err
	})
	if err != nil {
		return fmt.Errorf("look after the shops: %w", err)
	}
	next := make(chan store.Shop)
	var working sync.WaitGroup
	for range upkeepWorkers {
		working.Go(func() {
			for shop := range next {
				c.lookAfter(ctx, shop)
			}
		})
	}
	for _, shop := range shops {
		if shop.State == store.ShopConnected && ctx.Err() == nil {
			next <- shop
		}
	}
	close(next)
	working.Wait()
	return ctx.Err()
}

func (c *Connector) lookAfter(ctx context.Context, shop store.Shop) {
	one, cancel := context.WithTimeout(ctx, upkeepTimeout)
	defer cancel()
	_, err := c.RepairSubscriptions(one, shop)
	if err == nil || ctx.Err() != nil || errors.Is(err, ErrUninstalled) || errors.Is(err, ErrReconnect) {
		return // The state of the shop says what there is to say.
	}
	c.Log.Warn("scopes and subscriptions could not be checked, trying again in an hour", "shop", shop.Domain, "error", err)
}
