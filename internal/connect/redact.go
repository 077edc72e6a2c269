package connect

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"stockroom/internal/mirror"
	"stockroom/internal/shopify"
	"stockroom/internal/store"
)

// comply keeps what a privacy topic asks for (Shopify's page "Privacy law
// compliance", 2026-11-24) as a receipt that the Eraser carries out, in place of
// the body, which names a customer. The shop is the one that the signed body
// names. Doing it again changes nothing.
func (c *Connector) comply(ctx context.Context, d store.Delivery, notice shopify.Notice, asOf mirror.Instant) error {
	now := mirror.At(c.Now())
	r := store.ErasureReceipt{Shop: notice.ShopDomain, Topic: d.Topic, WebhookID: d.WebhookID, State: store.ErasureAsked, TrueAt: asOf, AskedAt: now}
	r.Subjects.Orders = mirror.SortedIDs(notice.OrderIDs)
	if d.Topic == "customers/data_request" { // Somebody has to answer it, and must know whom it is about.
		if notice.CustomerID != 0 {
			r.Subjects.Customer = mirror.NewGID("Customer", notice.CustomerID)
		}
		r.Subjects.Request = strconv.FormatInt(notice.RequestID, 10)
	}
	err := c.Store.Update(ctx, func(tx *store.Tx) error {
		asked := r
		shop, err := tx.ShopByDomain(notice.ShopDomain)
		switch {
		case errors.Is(err, store.ErrNotFound):
			asked.State, asked.DoneAt, asked.Note = store.ErasureDone, now, "the shop is not known here: nothing is held of it"
		case err != nil:
			return err
		default:
			asked.Erasing = shop.ID
		}
		if _, err := tx.AddErasure(asked); err != nil {
			return err
		}
		return tx.EraseBody(d.Seq)
	})
	if err != nil {
		return fmt.Errorf("keep %s of shop %s: %w", d.Topic, notice.ShopDomain, err)
	}
	if c.Events.ErasureAsked != nil {
		c.Events.ErasureAsked()
	}
	return nil
}

// Installed asks a shop whether the app is still installed there. An error says
// that it did not answer so that anybody could tell.
func (c *Connector) Installed(ctx context.Context, shop store.Shop) (bool, error) {
	ctx, cancel := context.WithTimeout(shopify.WithPriority(ctx), askWithin)
	defer cancel()
	client, err := c.Client(ctx, shop)
	if err == nil {
		err = askWho(ctx, client, shop.Domain)
	}
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, ErrReconnect), errors.Is(err, ErrUninstalled), shopify.ClassOf(err) == shopify.ClassToken:
		return false, nil
	}
	return false, err
}
