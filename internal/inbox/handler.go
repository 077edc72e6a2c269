package inbox

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"

	"stockroom/internal/mirror"
	"stockroom/internal/shopify"
	"stockroom/internal/store"
)

// Headers of a delivery. Shopify signs the body alone, so each of them is a
// claim (Shopify's page "Webhooks: structure of a delivery", 2026-11-24).
const (
	headerSignature = "X-Shopify-Hmac-Sha256"
	headerShop      = "X-Shopify-Shop-Domain"
	headerTopic     = "X-Shopify-Topic"
	headerWebhookID = "X-Shopify-Webhook-Id"
	headerEventID   = "X-Shopify-Event-Id"
	headerVersion   = "X-Shopify-Api-Version"
	headerTriggered = "X-Shopify-Triggered-At"
)

const (
	// maxClaim cuts what is kept of a header.
	maxClaim = 255
	// firstBuffer is what is set aside for a body before any of it has come: a
	// Content-Length is a claim too.
	firstBuffer = 64 << 10
	// retryAfter is what a 503 asks for, in seconds.
	retryAfter = "5"
)

// Handler serves POST /shopify/webhook/{key}/{topic...}, the address of
// subscriptions made through the API, where key and path prove shop and topic;
// and POST /shopify/webhook, that of subscriptions in the app's own
// configuration, where the headers only claim them; and /facebook/webhook, where
// what the body says of each Page is stored as a delivery of its own.
func (in *Inbox) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /shopify/webhook/{key}/{topic...}", in.serveBound)
	mux.HandleFunc("POST /shopify/webhook", in.servePlain)
	if in.Pages.Secrets != nil {
		mux.HandleFunc("GET /facebook/webhook", in.verifyPages)
		mux.HandleFunc("POST /facebook/webhook", in.servePages)
	}
	return mux
}

func (in *Inbox) serveBound(w http.ResponseWriter, r *http.Request) {
	body, ok := in.genuine(w, r, in.byShopify(r))
	if !ok {
		return
	}
	shop, err := in.shopByKey(r.Context(), r.PathValue("key"))
	if errors.Is(err, store.ErrNotFound) {
		// An uninstallation ends the key before Shopify's last words come.
		if topic := r.PathValue("topic"); partingTopic(topic) {
			in.acknowledge(w, r, topic, body, "the address is not in use any more")
			return
		}
		http.Error(w, "no such webhook address", http.StatusNotFound)
		return
	}
	if err != nil {
		in.unavailable(w, "find the shop of a webhook", err)
		return
	}
	topic := r.PathValue("topic")
	// A signed body sent on under another name proves nothing of that name. It
	// is refused like a wrong signature, as whoever sent it is not Shopify.
	if claim := r.Header.Get(headerTopic); claim != "" && claim != topic {
		in.mismatch(w, shop.domain, topic, "topic")
		return
	}
	if claim := r.Header.Get(headerShop); claim != "" && !strings.EqualFold(claim, shop.domain) {
		in.mismatch(w, shop.domain, topic, "shop")
		return
	}
	in.accept(w, r, shop, topic, true, body)
}

func (in *Inbox) servePlain(w http.ResponseWriter, r *http.Request) {
	body, ok := in.genuine(w, r, in.byShopify(r))
	if !ok {
		return
	}
	topic := claim(r, headerTopic)
	shop, err := cached{}, error(store.ErrNotFound)
	domain, malformed := shopify.ShopDomain(r.Header.Get(headerShop))
	if malformed == nil {
		shop, err = in.shopByDomain(r.Context(), domain)
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		in.unavailable(w, "find the shop of a webhook", err)
		return
	}
	// Shopify sends these to shops that have left, too, and repeats them until
	// they are acknowledged. Of a shop that is not known nothing is held, so
	// that a receipt is all there is to do.
	parting := partingTopic(topic)
	switch {
	case err != nil && parting:
		in.acknowledge(w, r, topic, body, "the shop is not known here: nothing is held of it")
	case err != nil, !shop.installed && !parting:
		http.Error(w, "no such shop", http.StatusNotFound)
	default:
		in.accept(w, r, shop, topic, false, body)
	}
}

// partingTopic tells the topics that arrive when a shop is leaving or gone.
func partingTopic(name string) bool {
	topic, known := shopify.TopicNamed(name)
	return known && (topic.Class == shopify.ClassCompliance || name == "app/uninstalled")
}

// acknowledge answers a genuine message of which nothing but a receipt is kept.
func (in *Inbox) acknowledge(w http.ResponseWriter, r *http.Request, topic string, body []byte, note string) {
	in.finish(w, r, item{receipt: &store.Receipt{
		At: mirror.At(in.Now()), Shop: claim(r, headerShop), Topic: topic, WebhookID: webhookID(r, body), Note: note,
	}})
}

// signer tells by whom a request claims to be signed.
type signer struct {
	signed func(body []byte) bool
	claims store.Rejection // What is noted of a wrong signature.
}

func (in *Inbox) byShopify(r *http.Request) signer {
	return signer{
		signed: func(body []byte) bool {
			return shopify.VerifyWebhook(body, r.Header.Get(headerSignature), in.Secrets())
		},
		claims: store.Rejection{Shop: claim(r, headerShop), Topic: claim(r, headerTopic), WebhookID: claim(r, headerWebhookID)},
	}
}

// genuine reads the body and checks its signature. When ok is false it has answered.
func (in *Inbox) genuine(w http.ResponseWriter, r *http.Request, by signer) (body []byte, ok bool) {
	if r.ContentLength > MaxBody {
		http.Error(w, "the body is too large", http.StatusRequestEntityTooLarge)
		return nil, false
	}
	// Until the signature is known to be right, anybody may be sending.
	held := heldReader{from: http.MaxBytesReader(w, r.Body, MaxBody), room: in.unproven}
	defer held.release()
	var buffer bytes.Buffer
	buffer.Grow(int(min(max(r.ContentLength, 0), firstBuffer)) + bytes.MinRead)
	if _, err := io.Copy(&buffer, &held); err != nil {
		_, tooLarge := errors.AsType[*http.MaxBytesError](err)
		switch {
		case tooLarge:
			http.Error(w, "the body is too large", http.StatusRequestEntityTooLarge)
		case errors.Is(err, errNoRoom):
			in.unavailable(w, "read a webhook", err)
		default:
			http.Error(w, "the body ended early", http.StatusBadRequest)
		}
		return nil, false
	}
	body = buffer.Bytes()
	if !by.signed(body) {
		digest := sha256.Sum256(body)
		note := by.claims
		note.At, note.Digest = mirror.At(in.Now()), digest[:]
		in.reject(note)
		http.Error(w, "the signature is wrong", http.StatusUnauthorized)
		return nil, false
	}
	return body, true
}

// errNoRoom says that the bodies being read fill all the room there is for them.
var errNoRoom = errors.New("too many bodies are being read")

// heldReader counts what it reads against the room that all readers share.
// What was announced does not count, or a few empty promises would fill it.
type heldReader struct {
	from io.Reader
	room *semaphore.Weighted
	held int64
}

func (h *heldReader) Read(p []byte) (int, error) {
	n, err := h.from.Read(p)
	if n > 0 && !h.room.TryAcquire(int64(n)) {
		return 0, errNoRoom
	}
	h.held += int64(n)
	return n, err
}

func (h *heldReader) release() { h.room.Release(h.held) }

// accept stores a genuine delivery and answers.
func (in *Inbox) accept(w http.ResponseWriter, r *http.Request, shop cached, topic string, bound bool, body []byte) {
	delivery := store.Delivery{
		ShopID: shop.id, Topic: topic, WebhookID: webhookID(r, body), Bound: bound,
		EventID: claim(r, headerEventID), APIVersion: claim(r, headerVersion),
		TriggeredAt: triggeredAt(r), ReceivedAt: shop.received(in.Now()), Body: body, State: store.DeliveryNew,
	}
	// At the plain address the app's configuration cannot leave customers out.
	if known, ok := shopify.TopicNamed(topic); ok && known.Protected && known.Class == shopify.ClassData && !bound {
		reduced, err := shopify.ClaimBody(body)
		if err != nil {
			reduced = []byte{}
			delivery.State, delivery.Reason = store.DeliveryQuarantined, "the body is not JSON, and was not kept for what it may hold of customers"
		}
		delivery.Body = reduced
	}
	if r.Header.Get(headerWebhookID) != delivery.WebhookID {
		in.Log.Warn("webhook without a usable id: one was derived from its body", "shop", shop.domain, "topic", topic, "webhook_id", delivery.WebhookID)
	}
	switch {
	case !in.Known(topic):
		delivery.State, delivery.Reason = store.DeliveryQuarantined, fmt.Sprintf("unknown topic %.80q", topic)
	case !json.Valid(body):
		delivery.State, delivery.Reason = store.DeliveryQuarantined, "the body is not JSON"
	}
	if delivery.State == store.DeliveryQuarantined {
		in.Log.Warn("webhook set aside", "shop", shop.domain, "topic", topic, "webhook_id", delivery.WebhookID, "reason", delivery.Reason)
	}
	if err := in.Seal(r.Context(), &delivery); err != nil {
		in.unavailable(w, "seal a webhook", err)
		return
	}
	in.finish(w, r, item{deliveries: []store.Delivery{delivery}})
}

// finish waits until the item is on disk, and answers.
func (in *Inbox) finish(w http.ResponseWriter, r *http.Request, i item) {
	i.done = make(chan error, 1)
	if !in.enqueue(i) {
		in.unavailable(w, "take a webhook", errors.New("too many wait, or the service is stopping"))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), in.answerWithin)
	defer cancel()
	select {
	case err := <-i.done:
		if err != nil {
			in.askAgain(w) // The committer has logged why.
			return
		}
		w.WriteHeader(http.StatusOK)
	case <-ctx.Done():
		// It may still be stored. Then its repetition is passed over.
		in.unavailable(w, "store a webhook in time", ctx.Err())
	}
}

func (in *Inbox) unavailable(w http.ResponseWriter, what string, err error) {
	in.Log.Warn("webhook answered 503", "attempt", what, "error", err)
	in.askAgain(w)
}

func (in *Inbox) askAgain(w http.ResponseWriter) {
	in.stats.unavailable.Add(1)
	w.Header().Set("Retry-After", retryAfter)
	http.Error(w, "not stored: send it again", http.StatusServiceUnavailable)
}

func (in *Inbox) mismatch(w http.ResponseWriter, shop, topic, what string) {
	in.stats.mismatched.Add(1)
	in.Log.Warn("webhook whose header contradicts its address", "shop", shop, "topic", topic, "header", what)
	http.Error(w, "the headers contradict the address", http.StatusUnauthorized)
}

// claim is a header, cut to what is kept of it.
func claim(r *http.Request, header string) string {
	value := strings.ToValidUTF8(r.Header.Get(header), "?")
	if len(value) > maxClaim {
		value = strings.ToValidUTF8(value[:maxClaim], "")
	}
	return value
}

// webhookID is the delivery's id; where there is none that can be kept, one is derived.
func webhookID(r *http.Request, body []byte) string {
	id := r.Header.Get(headerWebhookID)
	if id == "" || claim(r, headerWebhookID) != id {
		return derivedID(body, r.Header.Get(headerTriggered))
	}
	return id
}

func triggeredAt(r *http.Request) mirror.Instant {
	at, err := time.Parse(time.RFC3339, r.Header.Get(headerTriggered)) // Takes a fraction, too.
	if err != nil {
		return 0
	}
	return mirror.At(at)
}

// RedactPath hides the key in the path of a webhook's address. Whatever logs
// requests passes their paths through it.
func RedactPath(path string) string {
	parts := strings.Split(path, "/")
	for i := range parts {
		if i == 0 || !strings.EqualFold(parts[i-1], "shopify") || !strings.EqualFold(parts[i], "webhook") {
			continue
		}
		for j := i + 1; j < len(parts); j++ {
			if parts[j] != "" { // A doubled slash must not bring the key out.
				parts[j] = "[redacted]"
				break
			}
		}
	}
	return strings.Join(parts, "/")
}
