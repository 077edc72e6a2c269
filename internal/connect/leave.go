package connect

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"stockroom/internal/mirror"
	"stockroom/internal/shopify"
	"stockroom/internal/store"
)

// installedWithin is how far apart an uninstallation and an installation may
// seem and still have come in the other order: the moment of the installation is
// told by this machine's clock, corrected by replies that name whole seconds.
const installedWithin = 2 * time.Second

// Uninstalled ends the shop's connection: its tokens and webhook key are erased,
// and what is open for it is ended, in one transaction; the copy is kept. Its
// Facebook Pages lose their tokens with it, and all else that they have soon
// after. It asks Shopify nothing, since the tokens are dead by then. One that was triggered before the present
// installation tells of an earlier one and changes nothing, nor does one that
// is repeated or names a shop that never connected. Where both came about
// together, as when a merchant installs again at once, the shop is asked.
func (c *Connector) Uninstalled(ctx context.Context, domain string, triggeredAt mirror.Instant) error {
	shop, known, err := c.shopByDomain(ctx, domain)
	if err == nil && known && shop.State != store.ShopUninstalled {
		err = c.uninstalled(ctx, shop, triggeredAt)
	}
	if err != nil {
		return fmt.Errorf("uninstall shop %s: %w", domain, err)
	}
	return nil
}

func (c *Connector) uninstalled(ctx context.Context, shop store.Shop, triggeredAt mirror.Instant) error {
	late := triggeredAt < shop.InstalledAt.Add(-installedWithin)
	if !late && triggeredAt <= shop.InstalledAt.Add(installedWithin) {
		var err error
		if late, err = c.Installed(ctx, shop); err != nil {
			return fmt.Errorf("it cannot be told whether that was before it connected: %w", err)
		}
	}
	if late {
		c.Log.Info("uninstallation of an earlier installation is passed over", "shop", shop.Domain)
		return nil
	}
	var left, withPages bool
	err := c.Store.Update(ctx, func(tx *store.Tx) error {
		left, withPages = false, false
		now, err := tx.ShopByDomain(shop.Domain)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return nil
		case err != nil:
			return err
		case now.InstalledAt != shop.InstalledAt:
			return errors.New("the shop connected meanwhile")
		case now.State == store.ShopUninstalled:
			return nil
		}
		left = true
		if err := tx.EndWork(now.ID, "the shop has uninstalled the app", mirror.At(c.Now())); err != nil {
			return err
		}
		pages, err := tx.LeaveFacebookPagesOf(now.ID)
		if err != nil {
			return err
		}
		withPages = len(pages) > 0
		if err := c.leavePages(tx, now, pages, store.TopicPagesUninstalled, ""); err != nil {
			return err
		}
		return c.end(tx, now, triggeredAt)
	})
	if err == nil && withPages && c.Events.ErasureAsked != nil {
		c.Events.ErasureAsked()
	}
	if err == nil && left {
		c.keysChanged()
		c.Log.Info("shop uninstalled the app: its secrets are erased, its copy is kept", "shop", shop.Domain)
	}
	return err
}

// end writes that the shop has left.
func (c *Connector) end(tx *store.Tx, shop store.Shop, at mirror.Instant) error {
	erase(&shop)
	shop.State, shop.UninstalledAt = store.ShopUninstalled, at
	if _, err := tx.SaveShop(shop); err != nil {
		return err
	}
	return tx.SetSubscriptions(shop.ID, nil) // Shopify has deleted them.
}

// forget ends a connection that turned out to be another shop's.
func (c *Connector) forget(ctx context.Context, domain string) error {
	err := c.Store.Update(ctx, func(tx *store.Tx) error {
		shop, err := tx.ShopByDomain(domain)
		if err != nil {
			return err
		}
		return c.end(tx, shop, c.ShopNow(shop))
	})
	if err != nil {
		return fmt.Errorf("forget shop %s: %w", domain, err)
	}
	c.keysChanged()
	return nil
}

// ScopesChanged keeps what a shop grants now and asks for an audit, which finds
// out itself what is granted by then: these messages come in any order.
func (c *Connector) ScopesChanged(ctx context.Context, shopID int64, granted []string) error {
	if err := c.setScopes(ctx, shopID, granted); err != nil {
		return err
	}
	return c.askForAudit(ctx, shopID)
}

// setScopes keeps what a shop grants.
func (c *Connector) setScopes(ctx context.Context, shopID int64, granted []string) error {
	scopes := strings.Join(granted, ",")
	err := c.Store.Update(ctx, func(tx *store.Tx) error {
		shop, err := tx.ShopByID(shopID)
		if err != nil || shop.Scopes == scopes {
			return err
		}
		shop.Scopes = scopes
		_, err = tx.SaveShop(shop)
		return err
	})
	if err != nil {
		return fmt.Errorf("keep the scopes of shop %d: %w", shopID, err)
	}
	return nil
}

func (c *Connector) askForAudit(ctx context.Context, shopID int64) error {
	if c.Events.ScopesChanged == nil {
		return nil
	}
	var shop store.Shop
	err := c.Store.View(ctx, func(tx *store.Tx) (err error) {
		shop, err = tx.ShopByID(shopID)
		return err
	})
	if err == nil && shop.State == store.ShopConnected {
		err = c.Events.ScopesChanged(ctx, shop)
	}
	if err != nil {
		return fmt.Errorf("ask for an audit of shop %d: %w", shopID, err)
	}
	return nil
}

// Control acts on stored webhooks that are about the connection, or about
// people's data. It reports false for others, and for ones that cannot be read.
// An error asks for another try.
//
// One that is not bound came with an unsigned header as its only word on the
// shop. Then an uninstallation is believed for the shop that the signed body
// names, and of changed scopes nothing but that they are worth a look.
func (c *Connector) Control(ctx context.Context, d store.Delivery) (bool, error) {
	topic, ok := shopify.TopicNamed(d.Topic)
	if !ok || topic.Class == shopify.ClassData {
		return false, nil
	}
	d, err := c.OpenBody(ctx, d)
	if errors.Is(err, ErrSealed) {
		return false, nil // The applier sets it aside with the reason.
	}
	if err != nil {
		return false, err
	}
	said := shopify.Delivery{Topic: d.Topic, Body: d.Body, TriggeredAt: d.TriggeredAt, ReceivedAt: d.ReceivedAt}
	notice, err := shopify.DecodeNotice(said)
	if err != nil {
		return false, nil // The applier sets it aside with the reason.
	}
	switch {
	case topic.Class == shopify.ClassCompliance:
		if notice.ShopDomain == "" {
			return false, nil
		}
		return true, c.comply(ctx, d, notice, said.AsOf())
	case d.Topic == "app/uninstalled":
		domain := notice.ShopDomain
		if d.Bound {
			if domain, err = c.domainOf(ctx, d.ShopID); err != nil {
				return false, err
			}
		}
		if domain == "" {
			return false, nil
		}
		return true, c.Uninstalled(ctx, domain, said.AsOf())
	case d.Topic == "app/scopes_update":
		if !d.Bound {
			return true, c.askForAudit(ctx, d.ShopID)
		}
		return true, c.ScopesChanged(ctx, d.ShopID, shopify.ParseScopes(strings.Join(notice.CurrentScopes, ",")))
	}
	return false, nil
}

func (c *Connector) domainOf(ctx context.Context, shopID int64) (string, error) {
	var shop store.Shop
	err := c.Store.View(ctx, func(tx *store.Tx) (err error) {
		shop, err = tx.ShopByID(shopID)
		return err
	})
	return shop.Domain, err
}
