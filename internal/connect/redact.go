package connect

import (
	"context"
	"errors"
	"fmt"

	"stockroom/internal/mirror"
	"stockroom/internal/shopify"
	"stockroom/internal/store"
)

// comply does what the privacy topics ask (Shopify's page "Privacy law
// compliance", 2026-11-24), and keeps a receipt in place of the body, which
// names a customer. The shop is the one that the signed body names. It is done
// in one transaction, and doing it again changes nothing.
func (c *Connector) comply(ctx context.Context, d store.Delivery, notice shopify.Notice, asOf mirror.Instant) error {
	erased := false
	err := c.Store.Update(ctx, func(tx *store.Tx) error {
		erased = false
		shop, err := tx.ShopByDomain(notice.ShopDomain)
		known := err == nil
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		note := "the shop is not known here: nothing is held of it"
		switch {
		case !known:
		case d.Topic == "shop/redact" && (shop.State == store.ShopConnected || asOf < shop.InstalledAt):
			// Shopify sends none after a new installation: this one is late.
			note = "the shop has connected again since: nothing was erased"
		case d.Topic == "shop/redact":
			if err := tx.EraseShop(shop.ID); err != nil {
				return err
			}
			erased, note = true, "all that was held of the shop is erased"
		case d.Topic == "customers/redact":
			// Orders hold no name and no address here. What else they say was
			// redacted at Shopify, and is read again.
			demands := make([]mirror.Demand, 0, len(notice.OrderIDs))
			for _, id := range notice.OrderIDs {
				demands = append(demands, mirror.Demand{Read: mirror.ReadOrder, ID: id, AsOf: asOf})
			}
			if err := tx.AddDemands(shop.ID, demands, asOf); err != nil {
				return err
			}
			note = fmt.Sprintf("%d orders are read again", len(demands))
		default:
			note = fmt.Sprintf("the customer asks for their data: %d orders are named; the shop's owner is to be answered", len(notice.OrderIDs))
		}
		if err := tx.EraseBody(d.Seq); err != nil {
			return err
		}
		return tx.AddReceipt(store.Receipt{At: d.ReceivedAt, Shop: notice.ShopDomain, Topic: d.Topic, WebhookID: d.WebhookID, Note: note})
	})
	if err != nil {
		return fmt.Errorf("carry out %s for shop %s: %w", d.Topic, notice.ShopDomain, err)
	}
	if erased {
		c.keysChanged()
	}
	c.Log.Warn("privacy request was carried out: see its receipt", "shop", notice.ShopDomain, "topic", d.Topic, "webhook_id", d.WebhookID)
	return nil
}
