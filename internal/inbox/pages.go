package inbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"

	"stockroom/internal/facebook"
	"stockroom/internal/mirror"
	"stockroom/internal/store"
)

// verifyPages answers the question by which Facebook makes sure of the address.
func (in *Inbox) verifyPages(w http.ResponseWriter, r *http.Request) {
	answer, ok := facebook.Challenge(r.URL.Query(), in.Pages.Verify)
	if !ok {
		in.Log.Warn("Facebook's question for the verify token was refused: FACEBOOK_VERIFY_TOKEN is another, or somebody else asked")
		http.Error(w, "the verify token is wrong", http.StatusForbidden)
		return
	}
	// As plain text: what is echoed came from outside.
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write([]byte(answer)) // Facebook may be gone.
}

// servePages stores what Facebook tells of Pages. One body may tell of many, also
// of different shops': each part becomes a delivery of the shop that the Page is
// tied to, and all of them are stored before the answer, or none.
//
// Of Pages that are not connected nothing is stored, and it is answered 200:
// repeating it would help nobody, and failing often ends the subscriptions of all.
func (in *Inbox) servePages(w http.ResponseWriter, r *http.Request) {
	body, ok := in.genuine(w, r, signer{
		signed: func(body []byte) bool {
			return facebook.VerifyWebhook(body, r.Header.Get(facebook.SignatureHeader), in.Pages.Secrets())
		},
		claims: store.Rejection{Topic: store.TopicPage},
	})
	if !ok {
		return
	}
	entries, err := facebook.Split(body)
	if err != nil {
		in.Log.Error("a webhook of Facebook's is signed and cannot be read: nothing of it is kept", "bytes", len(body), "error", err)
		w.WriteHeader(http.StatusOK)
		return
	}
	var all []store.Delivery
	for _, entry := range entries {
		page, err := in.page(r.Context(), entry.ID)
		if errors.Is(err, store.ErrNotFound) {
			in.stats.strangers.Add(1)
			in.Log.Debug("Facebook tells of a Page that is not connected", "page", entry.ID)
			continue
		}
		if err != nil {
			in.unavailable(w, "find the shop of a Page", err)
			return
		}
		d := page.delivery(entry, mirror.At(in.Now()))
		if err := in.Seal(r.Context(), &d); err != nil {
			in.unavailable(w, "seal what Facebook tells", err)
			return
		}
		all = append(all, d)
	}
	if len(all) == 0 {
		w.WriteHeader(http.StatusOK)
		return
	}
	in.finish(w, r, item{deliveries: all})
}

// delivery is what one part of a body is stored as. Its id is made of its bytes,
// which are the same when Facebook sends it again.
func (c cached) delivery(entry facebook.Entry, now mirror.Instant) store.Delivery {
	digest := sha256.Sum256(entry.Raw)
	d := store.Delivery{
		ShopID: c.id, Topic: store.TopicPage, Bound: true, EventID: strconv.FormatInt(c.page, 10),
		WebhookID: strconv.FormatInt(c.page, 10) + "-" + hex.EncodeToString(digest[:16]), ReceivedAt: now, Body: entry.Body(), State: store.DeliveryNew,
	}
	if !entry.At.IsZero() {
		d.TriggeredAt = mirror.At(entry.At)
	}
	return d
}

// page finds the shop that a Page is tied to. It is asked for by every delivery, so
// that it is remembered for a while, as shops are.
func (in *Inbox) page(ctx context.Context, id string) (cached, error) {
	return in.look(ctx, "page:"+id, func(tx *store.Tx) (shop store.Shop, page int64, err error) {
		found, err := tx.FacebookPageNumbered(id)
		if err == nil {
			shop, err = tx.ShopByID(found.ShopID)
		}
		return shop, found.ID, err
	})
}
