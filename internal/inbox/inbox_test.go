package inbox

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stockroom/internal/mirror"
	"stockroom/internal/secret"
	"stockroom/internal/store"
)

const (
	newSecret = "the-new-secret"
	oldSecret = "the-old-secret"
	key       = "a-key-that-nobody-can-guess"
	domain    = "my-shop.myshopify.com"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// world is an inbox behind real HTTP, with one shop whose clock is 1.5 s ahead.
type world struct {
	*testing.T
	in     *Inbox
	store  *store.Store
	server *httptest.Server
	shop   store.Shop
	logs   *bytes.Buffer
	wakes  atomic.Int64
}

func newWorld(t *testing.T, change ...func(*Inbox)) *world {
	t.Helper()
	w := idleWorld(t, change...)
	w.in.Start()
	return w
}

// idleWorld is a world whose inbox does not commit yet.
func idleWorld(t *testing.T, change ...func(*Inbox)) *world {
	t.Helper()
	db, err := store.Open(context.Background(), "sqlite://"+filepath.Join(t.TempDir(), "stockroom.db"), store.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	w := &world{T: t, store: db, logs: new(bytes.Buffer)}
	w.shop = w.save(store.Shop{Domain: domain, State: store.ShopConnected, WebhookKeyHash: secret.Hash(key), WebhookKey: []byte("sealed"),
		ClockOffsetMS: 1500, InstalledAt: mirror.At(noon)})
	w.in = New(Config{
		Store:   db,
		Secrets: func() []secret.Secret { return []secret.Secret{secret.New(newSecret), secret.New(oldSecret)} },
		Known:   func(topic string) bool { return topic == "products/update" || partingTopic(topic) },
		Now:     func() time.Time { return noon },
		Wake:    func() { w.wakes.Add(1) },
		Log:     slog.New(slog.NewTextHandler(&lockedWriter{to: w.logs}, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	for _, c := range change {
		c(w.in)
	}
	w.server = httptest.NewServer(w.in.Handler())
	t.Cleanup(func() { w.server.Close(); w.in.Stop() })
	return w
}

type lockedWriter struct {
	mu sync.Mutex
	to io.Writer
}

func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.to.Write(b)
}

func (w *world) save(s store.Shop) store.Shop {
	w.Helper()
	err := w.store.Update(w.Context(), func(tx *store.Tx) (err error) {
		s, err = tx.SaveShop(s)
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
	return s
}

func sign(body, key string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(body))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// post sends a body signed with the new secret, unless a header says otherwise.
// Headers come as pairs; an empty value leaves the header out.
func (w *world) post(path, body string, headers ...string) *http.Response {
	w.Helper()
	r, err := http.NewRequestWithContext(w.Context(), http.MethodPost, w.server.URL+path, strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	headers = append([]string{headerSignature, sign(body, newSecret), headerWebhookID, "id-1", headerTriggered, "2026-11-24T11:59:59.123456789Z"}, headers...)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
		if headers[i+1] == "" {
			r.Header.Del(headers[i])
		}
	}
	reply, err := w.server.Client().Do(r)
	if err != nil {
		w.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, reply.Body)
	_ = reply.Body.Close()
	return reply
}

func (w *world) wantStatus(reply *http.Response, want int) {
	w.Helper()
	if reply.StatusCode != want {
		w.Fatalf("status %d, want %d", reply.StatusCode, want)
	}
}

const boundPath = "/shopify/webhook/" + key + "/products/update"

// rows reads all stored webhooks, quarantined ones too.
func (w *world) rows() []store.Delivery {
	w.Helper()
	var all []store.Delivery
	rows, err := w.store.Writer().QueryContext(w.Context(), `SELECT shop_id, topic, webhook_id, bound, event_id, api_version, triggered_at, received_at, body, state, reason FROM inbox ORDER BY seq`)
	if err != nil {
		w.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var d store.Delivery
		if err := rows.Scan(&d.ShopID, &d.Topic, &d.WebhookID, &d.Bound, &d.EventID, &d.APIVersion, &d.TriggeredAt, &d.ReceivedAt, &d.Body, &d.State, &d.Reason); err != nil {
			w.Fatal(err)
		}
		all = append(all, d)
	}
	if err := rows.Err(); err != nil {
		w.Fatal(err)
	}
	return all
}

func (w *world) receipts() []store.Receipt {
	w.Helper()
	var all []store.Receipt
	err := w.store.View(w.Context(), func(tx *store.Tx) (err error) {
		all, err = tx.Receipts(10)
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
	return all
}

func (w *world) rejected() int64 {
	w.Helper()
	var n int64
	err := w.store.View(w.Context(), func(tx *store.Tx) (err error) {
		n, err = tx.CountRejected()
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
	return n
}

func TestAnswered200IsStored(t *testing.T) {
	w := newWorld(t)
	body := `{"id": 9007199254740993}`
	w.wantStatus(w.post(boundPath, body, headerEventID, "event-1", headerVersion, "2026-10", headerTopic, "products/update", headerShop, domain), 200)
	rows := w.rows()
	if len(rows) != 1 {
		t.Fatalf("%d rows stored, want 1", len(rows))
	}
	got := rows[0]
	if string(got.Body) != body {
		t.Errorf("body %q, want the raw bytes %q", got.Body, body)
	}
	got.Body = nil
	want := store.Delivery{ShopID: w.shop.ID, Topic: "products/update", WebhookID: "id-1", Bound: true, EventID: "event-1", APIVersion: "2026-10",
		TriggeredAt: mirror.At(noon.Add(-877 * time.Millisecond)), ReceivedAt: mirror.At(noon.Add(1500 * time.Millisecond)), State: store.DeliveryNew}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("stored %+v\nwant %+v", got, want)
	}
	w.in.Stop() // The wake follows the answer.
	if w.wakes.Load() != 1 {
		t.Errorf("%d wakes, want 1", w.wakes.Load())
	}
}

func TestEverySecretInUseVerifies(t *testing.T) {
	w := newWorld(t)
	for i, signer := range []string{newSecret, oldSecret} {
		w.wantStatus(w.post(boundPath, `{}`, headerSignature, sign(`{}`, signer), headerWebhookID, fmt.Sprint(i)), 200)
	}
	if n := len(w.rows()); n != 2 {
		t.Errorf("%d rows, want 2", n)
	}
}

func TestAWrongSignatureLeavesNoBody(t *testing.T) {
	w := newWorld(t)
	for _, signature := range []string{"", "not base64", sign(`{"a":1}`, "another"), sign(`{"a":1}`, ""), sign(`{"a": 1}`, newSecret)} {
		w.wantStatus(w.post(boundPath, `{"a":1}`, headerSignature, signature, headerTopic, "products/update", headerShop, domain), 401)
	}
	w.wantStatus(w.post("/shopify/webhook", `{"a":1}`, headerSignature, "", headerTopic, "shop/redact", headerShop, domain), 401)
	w.in.Stop()
	if rows := w.rows(); len(rows) != 0 {
		t.Errorf("stored %d rows of unsigned deliveries", len(rows))
	}
	if n := w.rejected(); n != 6 {
		t.Errorf("%d rejections noted, want 6", n)
	}
	var shop, topic, id string
	var at mirror.Instant
	var digest []byte
	if err := w.store.Writer().QueryRow(`SELECT at, shop, topic, webhook_id, digest FROM rejected ORDER BY seq LIMIT 1`).Scan(&at, &shop, &topic, &id, &digest); err != nil {
		t.Fatal(err)
	}
	want := sha256.Sum256([]byte(`{"a":1}`))
	if at != mirror.At(noon) || shop != domain || topic != "products/update" || id != "id-1" || !bytes.Equal(digest, want[:]) {
		t.Errorf("noted %v %q %q %q %x", at, shop, topic, id, digest)
	}
}

func TestAFloodOfWrongSignaturesIsOnlyCounted(t *testing.T) {
	w := idleWorld(t)
	for i := range maxRejections + 10 {
		w.wantStatus(w.post(boundPath, fmt.Sprint(i), headerSignature, ""), 401)
	}
	if s := w.in.Stats(); s.Rejected != maxRejections+10 || s.Unnoted != 10 {
		t.Errorf("stats %+v, want %d rejected and 10 unnoted", s, maxRejections+10)
	}
}

func TestABodyAboveTheCapIsRefused(t *testing.T) {
	w := newWorld(t)
	fits := `"` + strings.Repeat("a", MaxBody-2) + `"`
	w.wantStatus(w.post(boundPath, fits), 200)
	w.wantStatus(w.post(boundPath, fits+" ", headerWebhookID, "id-2"), 413)

	// Without a Content-Length the cap holds, too.
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, w.server.URL+boundPath, io.MultiReader(strings.NewReader(fits), strings.NewReader(" ")))
	r.Header.Set(headerSignature, sign(fits+" ", newSecret))
	reply, err := w.server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = reply.Body.Close()
	w.wantStatus(reply, 413)
	if n := len(w.rows()); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
}

func TestAnUnknownKeyStoresNothing(t *testing.T) {
	w := newWorld(t)
	w.wantStatus(w.post("/shopify/webhook/another-key/products/update", `{}`), 404)
	if len(w.rows()) != 0 || len(w.receipts()) != 0 {
		t.Error("something was stored")
	}
}

// TestLastWordsAtAnEndedAddressAreAcknowledged: the uninstallation has ended the
// key by then, and a 404 would only bring them again.
func TestLastWordsAtAnEndedAddressAreAcknowledged(t *testing.T) {
	w := newWorld(t)
	w.wantStatus(w.post("/shopify/webhook/ended-key/app/uninstalled", `{}`), 200)
	w.wantStatus(w.post("/shopify/webhook/ended-key/shop/redact", `{}`, headerWebhookID, "id-2"), 200)
	if rows, receipts := len(w.rows()), len(w.receipts()); rows != 0 || receipts != 2 {
		t.Errorf("%d rows and %d receipts; want two receipts alone", rows, receipts)
	}
}

// TestOrdersAtThePlainAddressAreKeptAsIdsAlone: the app's configuration cannot
// leave customers out, and nothing but the ids is believed there.
func TestOrdersAtThePlainAddressAreKeptAsIdsAlone(t *testing.T) {
	w := newWorld(t)
	w.wantStatus(w.post("/shopify/webhook", `{"id":7,"admin_graphql_api_id":"gid://shopify/Order/7","email":"jo@example.com","customer":{"first_name":"Jo"}}`,
		headerTopic, "orders/updated", headerShop, domain), 200)
	rows := w.rows()
	if len(rows) != 1 || string(rows[0].Body) != `{"id":7,"admin_graphql_api_id":"gid://shopify/Order/7"}` {
		t.Errorf("stored %+v", rows)
	}
}

// TestBodiesOfStrangersAreBounded: what is not known to be genuine may not fill the memory.
func TestBodiesOfStrangersAreBounded(t *testing.T) {
	w := newWorld(t)
	ctx, giveUp := context.WithTimeout(t.Context(), 30*time.Second)
	defer giveUp() // It ends the senders too.
	const senders = maxUnproven/MaxBody + 4
	answers := make(chan int, senders)
	for range senders {
		body, sender := io.Pipe()
		go sender.Write(bytes.Repeat([]byte("a"), MaxBody-1)) // And then no more, nor an end.
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.server.URL+boundPath, body)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			if reply, err := http.DefaultTransport.RoundTrip(request); err == nil {
				reply.Body.Close()
				answers <- reply.StatusCode
			}
		}()
	}
	select {
	case status := <-answers:
		if status != http.StatusServiceUnavailable {
			t.Errorf("a sender was answered %d; want 503", status)
		}
	case <-ctx.Done():
		t.Error("no sender was told to come again")
	}
}

func TestHeadersThatContradictTheAddressAreRefused(t *testing.T) {
	w := newWorld(t)
	w.wantStatus(w.post(boundPath, `{}`, headerTopic, "products/delete"), 401)
	w.wantStatus(w.post(boundPath, `{}`, headerShop, "another.myshopify.com"), 401)
	if n := len(w.rows()); n != 0 {
		t.Errorf("%d rows, want none", n)
	}
	if got := w.in.Stats().Mismatched; got != 2 {
		t.Errorf("%d mismatches counted, want 2", got)
	}
	w.wantStatus(w.post(boundPath, `{}`, headerTopic, "products/update", headerShop, strings.ToUpper(domain)), 200)
}

func TestThePlainAddressClaimsItsShop(t *testing.T) {
	w := newWorld(t)
	w.wantStatus(w.post("/shopify/webhook", `{}`, headerTopic, "products/update", headerShop, domain), 200)
	rows := w.rows()
	if len(rows) != 1 || rows[0].Bound || rows[0].ShopID != w.shop.ID || rows[0].State != store.DeliveryNew {
		t.Errorf("stored %+v, want one row that is not bound", rows)
	}
	for _, shop := range []string{"another.myshopify.com", "", "my-shop.myshopify.com.evil.example"} {
		w.wantStatus(w.post("/shopify/webhook", `{}`, headerTopic, "products/update", headerShop, shop), 404)
	}
	if n := len(w.receipts()); n != 0 {
		t.Errorf("%d receipts, want none", n)
	}
}

func TestPartingTopicsOfUnknownShopsGetAReceipt(t *testing.T) {
	w := newWorld(t)
	topics := []string{"app/uninstalled", "customers/data_request", "customers/redact", "shop/redact"}
	for i, topic := range topics {
		w.wantStatus(w.post("/shopify/webhook", `{}`, headerTopic, topic, headerShop, "another.myshopify.com", headerWebhookID, fmt.Sprint(i)), 200)
	}
	receipts := w.receipts()
	if len(receipts) != len(topics) || len(w.rows()) != 0 {
		t.Fatalf("%d receipts and %d rows, want %d and none", len(receipts), len(w.rows()), len(topics))
	}
	if got := receipts[0]; got.Shop != "another.myshopify.com" || got.Topic != "shop/redact" || got.WebhookID != "3" || got.At != mirror.At(noon) {
		t.Errorf("receipt %+v", got)
	}
}

// shop/redact comes 48 hours after the uninstallation and is work to be done.
func TestAnUninstalledShopIsStillHeardWhenItParts(t *testing.T) {
	w := newWorld(t)
	gone := w.save(store.Shop{Domain: "gone.myshopify.com", State: store.ShopUninstalled, WebhookKeyHash: []byte("unusable"), WebhookKey: []byte{}, InstalledAt: 1})
	w.wantStatus(w.post("/shopify/webhook", `{}`, headerTopic, "products/update", headerShop, gone.Domain), 404)
	w.wantStatus(w.post("/shopify/webhook", `{}`, headerTopic, "shop/redact", headerShop, gone.Domain), 200)
	if rows := w.rows(); len(rows) != 1 || rows[0].ShopID != gone.ID || rows[0].Topic != "shop/redact" || rows[0].State != store.DeliveryNew {
		t.Errorf("stored %+v", rows)
	}
}

func TestARepeatedWebhookIsStoredOnce(t *testing.T) {
	w := newWorld(t)
	for range 3 {
		w.wantStatus(w.post(boundPath, `{"a":1}`), 200)
	}
	w.wantStatus(w.post("/shopify/webhook", `{"a":1}`, headerTopic, "products/update", headerShop, domain), 200)
	if n := len(w.rows()); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
}

func TestAMissingIDIsDerivedFromBodyAndTime(t *testing.T) {
	w := newWorld(t)
	for range 2 {
		w.wantStatus(w.post(boundPath, `{"a":1}`, headerWebhookID, ""), 200)
	}
	w.wantStatus(w.post(boundPath, `{"a":1}`, headerWebhookID, "", headerTriggered, "2026-11-24T11:59:58Z"), 200)
	w.wantStatus(w.post(boundPath, `{"a":2}`, headerWebhookID, strings.Repeat("x", maxClaim+1)), 200)
	rows := w.rows()
	if len(rows) != 3 {
		t.Fatalf("%d rows, want 3: a repetition, another time, another body", len(rows))
	}
	for _, row := range rows {
		if !strings.HasPrefix(row.WebhookID, "derived-") {
			t.Errorf("id %q does not say that it was derived", row.WebhookID)
		}
	}
}

func TestWhatCannotBeReadIsSetAside(t *testing.T) {
	w := newWorld(t)
	w.wantStatus(w.post(boundPath, `{"a":`), 200)
	w.wantStatus(w.post("/shopify/webhook/"+key+"/cheese/ripened", `{}`), 200)
	w.wantStatus(w.post(boundPath, `{}`, headerTriggered, "yesterday", headerWebhookID, "id-2"), 200)
	rows := w.rows()
	if len(rows) != 3 {
		t.Fatalf("%d rows, want 3", len(rows))
	}
	if rows[0].State != store.DeliveryQuarantined || rows[0].Reason != "the body is not JSON" || string(rows[0].Body) != `{"a":` {
		t.Errorf("unreadable body: %+v", rows[0])
	}
	if rows[1].State != store.DeliveryQuarantined || !strings.Contains(rows[1].Reason, `unknown topic "cheese/ripened"`) {
		t.Errorf("unknown topic: %+v", rows[1])
	}
	if rows[2].State != store.DeliveryNew || rows[2].TriggeredAt != 0 {
		t.Errorf("unreadable time: %+v", rows[2])
	}
	if s := w.in.Stats(); s.Quarantined != 2 {
		t.Errorf("%d counted, want 2", s.Quarantined)
	}
}

func TestAFullDiskAsksForAnotherTry(t *testing.T) {
	w := newWorld(t)
	var pages int
	if err := w.store.Writer().QueryRow(`PRAGMA page_count`).Scan(&pages); err != nil {
		t.Fatal(err)
	}
	limit := func(pages int) {
		t.Helper()
		if _, err := w.store.Writer().Exec(fmt.Sprintf(`PRAGMA max_page_count = %d`, pages)); err != nil {
			t.Fatal(err)
		}
	}
	limit(pages)
	body := `"` + strings.Repeat("a", 100_000) + `"`
	reply := w.post(boundPath, body)
	w.wantStatus(reply, 503)
	if reply.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if n := len(w.rows()); n != 0 {
		t.Fatalf("%d rows, want none", n)
	}
	limit(pages + 1000)
	w.wantStatus(w.post(boundPath, body), 200)
	if n := len(w.rows()); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
}

func TestALockedDatabaseAsksForAnotherTry(t *testing.T) {
	w := newWorld(t, func(in *Inbox) { in.answerWithin = 20 * time.Millisecond })
	locked, release := make(chan struct{}), make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		_ = w.store.Update(context.Background(), func(*store.Tx) error {
			close(locked)
			<-release
			return nil
		})
	})
	<-locked
	w.wantStatus(w.post(boundPath, `{}`), 503)
	close(release)
	writer.Wait()
	w.in.answerWithin = answerWithin
	w.wantStatus(w.post(boundPath, `{}`), 200)
	if n := len(w.rows()); n != 1 {
		t.Errorf("%d rows, want 1: the first try may have been stored after its answer", n)
	}
}

func TestAFullQueueAsksForAnotherTry(t *testing.T) {
	w := idleWorld(t, func(in *Inbox) { in.queue = make(chan item, 1) })
	done := make(chan error, 1)
	if !w.in.enqueue(item{deliveries: []store.Delivery{{ShopID: w.shop.ID, Topic: "t", WebhookID: "w", Body: []byte{}, State: store.DeliveryNew}}, done: done}) {
		t.Fatal("no room for the first")
	}
	w.wantStatus(w.post(boundPath, `{}`), 503)
	if got := w.in.Stats().Unavailable; got != 1 {
		t.Errorf("%d counted, want 1", got)
	}
	w.in.Start()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	w.wantStatus(w.post(boundPath, `{}`), 200)
	if left := w.in.queued.Load(); left != 0 {
		t.Errorf("%d bytes still counted as queued", left)
	}
}

func TestStopCommitsWhatWasAccepted(t *testing.T) {
	w := idleWorld(t)
	const n = 3
	replies := make(chan int, n)
	for i := range n {
		go func() {
			r, _ := http.NewRequest(http.MethodPost, w.server.URL+boundPath, strings.NewReader(`{}`))
			r.Header.Set(headerSignature, sign(`{}`, newSecret))
			r.Header.Set(headerWebhookID, fmt.Sprint(i))
			reply, err := w.server.Client().Do(r)
			if err != nil {
				replies <- 0
				return
			}
			_ = reply.Body.Close()
			replies <- reply.StatusCode
		}()
	}
	for len(w.in.queue) < n {
		runtime.Gosched()
	}
	w.in.Start()
	w.in.Stop()
	w.in.Stop()
	for range n {
		if status := <-replies; status != 200 {
			t.Errorf("status %d, want 200", status)
		}
	}
	if got := len(w.rows()); got != n {
		t.Errorf("%d rows, want %d", got, n)
	}
	w.wantStatus(w.post(boundPath, `{}`, headerWebhookID, "late"), 503)
}

// One commit's sync keeps the only processor, so that without a yield before it
// every batch would be a batch of one. The numbers are counts, not times.
func TestDeliveriesAreBatchedOnOneProcessor(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	w := newWorld(t)
	const senders, each = 64, 20
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: senders}}
	defer client.CloseIdleConnections()
	var wg sync.WaitGroup
	var refused atomic.Int64
	for sender := range senders {
		wg.Go(func() {
			for n := range each {
				r, _ := http.NewRequest(http.MethodPost, w.server.URL+boundPath, strings.NewReader(`{}`))
				r.Header.Set(headerSignature, sign(`{}`, newSecret))
				r.Header.Set(headerWebhookID, fmt.Sprintf("%d-%d", sender, n))
				reply, err := client.Do(r)
				if err != nil {
					refused.Add(1)
					continue
				}
				_, _ = io.Copy(io.Discard, reply.Body)
				_ = reply.Body.Close()
				if reply.StatusCode != 200 {
					refused.Add(1)
				}
			}
		})
	}
	wg.Wait()
	s := w.in.Stats()
	t.Logf("%d deliveries in %d commits", s.Stored, s.Batches)
	if refused.Load() != 0 || s.Stored != senders*each || len(w.rows()) != senders*each {
		t.Fatalf("%d refused, %d stored, %d rows; want none refused of %d", refused.Load(), s.Stored, len(w.rows()), senders*each)
	}
	if s.Stored <= 2*s.Batches {
		t.Errorf("%d deliveries took %d commits: an average batch of %.1f", s.Stored, s.Batches, float64(s.Stored)/float64(s.Batches))
	}
}

func TestAKeyEndsWithInvalidate(t *testing.T) {
	w := newWorld(t)
	w.wantStatus(w.post(boundPath, `{}`), 200)
	w.shop.WebhookKeyHash = secret.Hash("the next key")
	w.save(w.shop)
	w.in.Invalidate()
	w.wantStatus(w.post(boundPath, `{}`, headerWebhookID, "id-2"), 404)
	w.wantStatus(w.post("/shopify/webhook/the%20next%20key/products/update", `{}`, headerWebhookID, "id-2"), 200)
}

// A command that removes a shop runs in another process, which cannot call Invalidate.
func TestAKeyEndsByItselfSoon(t *testing.T) {
	now := noon
	w := newWorld(t, func(in *Inbox) { in.Now = func() time.Time { return now } })
	w.wantStatus(w.post(boundPath, `{}`), 200)
	w.shop.WebhookKeyHash = secret.Hash("the next key")
	w.save(w.shop)
	now = now.Add(cacheFor)
	w.wantStatus(w.post(boundPath, `{}`, headerWebhookID, "id-2"), 404)
}

func TestTheKeyIsNeverLogged(t *testing.T) {
	w := newWorld(t, func(in *Inbox) { in.answerWithin = time.Hour })
	w.post(boundPath, `{}`, headerTopic, "another/topic")
	w.post(boundPath, `{}`, headerSignature, "", headerTopic, "t")
	w.post(boundPath, `{"a":`, headerWebhookID, "")
	w.post("/shopify/webhook/"+key+"/unknown/topic", `{}`)
	w.in.Stop()
	w.post(boundPath, `{}`)
	if w.logs.Len() == 0 {
		t.Error("nothing was logged at all")
	}
	for _, hidden := range []string{key, newSecret, oldSecret} {
		if strings.Contains(w.logs.String(), hidden) {
			t.Errorf("the log holds %q:\n%s", hidden, w.logs)
		}
	}
}

func TestRedactPath(t *testing.T) {
	for path, want := range map[string]string{
		"/shopify/webhook/k/products/update":     "/shopify/webhook/[redacted]/products/update",
		"/shopify/webhook/k":                     "/shopify/webhook/[redacted]",
		"/shopify/webhook//k/products/update":    "/shopify/webhook//[redacted]/products/update",
		"/base/Shopify/WEBHOOK/k/a":              "/base/Shopify/WEBHOOK/[redacted]/a",
		"/shopify/webhook":                       "/shopify/webhook",
		"/shopify/webhook/":                      "/shopify/webhook/",
		"/v1/shops/my-shop.myshopify.com/search": "/v1/shops/my-shop.myshopify.com/search",
		"":                                       "",
	} {
		if got := RedactPath(path); got != want {
			t.Errorf("RedactPath(%q) = %q, want %q", path, got, want)
		}
	}
}

func TestOtherMethodsAreRefused(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{boundPath, "/shopify/webhook"} {
		reply, err := w.server.Client().Get(w.server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = reply.Body.Close()
		w.wantStatus(reply, 405)
	}
	if n := len(w.rows()); n != 0 {
		t.Errorf("%d rows, want none", n)
	}
}
