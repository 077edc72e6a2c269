package connect

import (
	"context"
	"errors"
	"fmt"

	"stockroom/internal/secret"
	"stockroom/internal/shopify"
	"stockroom/internal/store"
)

// Stored bodies of topics with customer data are sealed by a key of their shop.
// An erasure destroys the key first, and with it what may be left of the bodies
// anywhere: on a disk's spare blocks, or in a backup, which is made without keys.

// ErrSealed says that a stored body cannot be opened any more: its shop's key was destroyed.
var ErrSealed = errors.New("the body is sealed by a key that was destroyed")

const columnShopKey = "shop_key"

// SealBody seals the body of a delivery that may name customers, and says so in
// it. Others are left as they are. The shop's key is on disk before its first use.
func (c *Connector) SealBody(ctx context.Context, d *store.Delivery) error {
	topic, known := shopify.TopicNamed(d.Topic)
	if d.Sealed || d.Topic != store.TopicPage && (!known || !topic.Protected) {
		return nil
	}
	sealer, err := c.sealerOf(ctx, d.ShopID)
	if err != nil {
		return fmt.Errorf("seal a webhook of shop %d: %w", d.ShopID, err)
	}
	if d.Body, err = sealer.Seal(d.Body, bodyOf(*d)); err != nil {
		return fmt.Errorf("seal a webhook of shop %d: %w", d.ShopID, err)
	}
	d.Sealed = true
	return nil
}

// sealerOf seals by a shop's own key, which is made where it has none yet.
func (c *Connector) sealerOf(ctx context.Context, shop int64) (*secret.Sealer, error) {
	sealer, err := c.shopSealer(ctx, shop)
	if errors.Is(err, store.ErrNotFound) {
		if err = c.makeShopKey(ctx, shop); err == nil {
			sealer, err = c.shopSealer(ctx, shop)
		}
	}
	return sealer, err
}

// OpenBody gives a stored delivery with its body in the clear. Where the key is
// gone the error is ErrSealed, and trying again cannot help.
func (c *Connector) OpenBody(ctx context.Context, d store.Delivery) (store.Delivery, error) {
	if !d.Sealed {
		return d, nil
	}
	sealer, err := c.shopSealer(ctx, d.ShopID)
	if errors.Is(err, store.ErrNotFound) {
		return d, fmt.Errorf("open webhook %d: %w", d.Seq, ErrSealed)
	}
	if err != nil {
		return d, fmt.Errorf("open webhook %d: %w", d.Seq, err)
	}
	body, err := sealer.Open(d.Body, bodyOf(d))
	if err != nil {
		return d, fmt.Errorf("open webhook %d: %w (%w)", d.Seq, ErrSealed, err)
	}
	d.Body, d.Sealed = body, false
	return d, nil
}

// bodyOf is what a sealed body is bound to, so that it opens in its own row alone.
func bodyOf(d store.Delivery) []byte {
	return fmt.Appendf(nil, "inbox/%d/%s/%s", d.ShopID, d.Topic, d.WebhookID)
}

// shopSealer seals by a shop's own key; store.ErrNotFound where it has none.
func (c *Connector) shopSealer(ctx context.Context, shop int64) (*secret.Sealer, error) {
	c.sealersMu.Lock()
	known := c.sealers[shop]
	c.sealersMu.Unlock()
	if known != nil {
		return known, nil
	}
	var sealed []byte
	err := c.Store.View(ctx, func(tx *store.Tx) (err error) {
		sealed, err = tx.ShopKey(shop)
		return err
	})
	if err != nil {
		return nil, err
	}
	key, err := c.open(shopKeyOf(shop), columnShopKey, sealed)
	if err != nil {
		return nil, err
	}
	sealer, err := secret.OpenSealer(key)
	if err != nil {
		return nil, fmt.Errorf("use the key of shop %d: %w", shop, err)
	}
	c.sealersMu.Lock()
	defer c.sealersMu.Unlock()
	c.sealers[shop] = sealer
	return sealer, nil
}

// makeShopKey gives a shop its key. Where another did so meanwhile, that one stays.
func (c *Connector) makeShopKey(ctx context.Context, shop int64) error {
	key := secret.NewKeyset().Reveal()
	return c.updateSealed(ctx, func(tx *store.Tx) error {
		sealed, err := c.seal(shopKeyOf(shop), columnShopKey, key)
		if err != nil {
			return err
		}
		return tx.AddShopKey(shop, sealed)
	})
}

// shopKeyOf names the row that a shop's key is bound to. A domain will not do: a
// shop that was erased and connects anew is another row.
func shopKeyOf(shop int64) string { return fmt.Sprintf("row %d", shop) }

// forgetSealer drops a shop's key from memory.
func (c *Connector) forgetSealer(shop int64) {
	c.sealersMu.Lock()
	defer c.sealersMu.Unlock()
	delete(c.sealers, shop)
}
