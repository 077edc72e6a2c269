// Package inbox receives webhooks.
//
// It promises that a webhook answered 200 is on disk, once (TestAnswered200IsStored,
// TestARepeatedWebhookIsStoredOnce); that nothing unsigned is stored, and of a
// wrongly signed delivery only what it claimed to be (TestAWrongSignatureLeavesNoBody);
// and that where storing is not possible now, the answer asks Shopify to send
// again (TestAFullDiskAsksForAnotherTry).
//
// What a webhook means, and applying it, is left to package apply.
package inbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"stockroom/internal/mirror"
	"stockroom/internal/secret"
	"stockroom/internal/store"
)

const (
	// MaxBody is the largest body taken. Shopify publishes no limit; a product
	// of 100 variants is about 200 kB.
	MaxBody = 5 << 20

	// maxQueue bounds the deliveries that wait for a commit, and maxQueuedBytes
	// their bodies. What comes beyond either is answered 503.
	maxQueue       = 1024
	maxQueuedBytes = 64 << 20

	// maxUnproven bounds the bodies being read whose signature is not checked yet.
	maxUnproven = 64 << 20

	// maxBatch bounds one commit. Beyond a few hundred rows the sync's cost is
	// spread thin enough.
	maxBatch = 256

	// answerWithin is below the five seconds that Shopify waits (Shopify's page
	// "Deliver webhooks through HTTPS", 2026-11-24).
	answerWithin = 4 * time.Second

	// commitWithin bounds one commit, so that a database locked by another
	// program cannot hold the queue for ever.
	commitWithin = 15 * time.Second

	// Wrong signatures are noted at most so many in each interval; further ones
	// are only counted. A flood of them must not take the disk from the rest.
	maxRejections     = 256
	rejectionInterval = time.Second

	// cacheFor bounds how long a change made by another process, such as a shop
	// removed by a command, goes unseen here.
	cacheFor = 5 * time.Second
)

// Config is what an Inbox works with.
type Config struct {
	Store *store.Store
	// Secrets are the app's secrets in use. A delivery is genuine under any of
	// them: Shopify signs by the oldest that is not revoked.
	Secrets func() []secret.Secret
	// Pages are Facebook's side: what its app signs and verifies by. Without secrets
	// nothing of Facebook's is taken.
	Pages PagesConfig
	// Known tells whether a topic means anything to this program. A signed
	// delivery of another topic is kept in quarantine.
	Known func(topic string) bool
	// Seal seals the body of a delivery that may name customers, before it is
	// stored. Default: none is sealed.
	Seal func(context.Context, *store.Delivery) error
	// Now is this machine's clock. Default: time.Now.
	Now func() time.Time
	// Wake is called after deliveries were stored. It must not block. Default: nothing.
	Wake func()
	Log  *slog.Logger
}

// PagesConfig is what Facebook's webhooks are recognised by.
type PagesConfig struct {
	Secrets func() []secret.Secret // The app's secrets in use at Facebook. Nil: none.
	Verify  secret.Secret          // The verify token.
}

// Inbox receives webhooks. Its methods may be called from any goroutine.
type Inbox struct {
	Config
	answerWithin time.Duration // Tests shorten it.

	unproven   *semaphore.Weighted
	queue      chan item
	queued     atomic.Int64 // Bytes of the bodies in queue.
	rejections chan store.Rejection
	stopping   chan struct{}
	running    sync.WaitGroup

	// closing guards closed, and with it the end of queue.
	closing sync.RWMutex
	closed  bool

	cacheMu sync.Mutex
	cache   map[string]cached

	stats struct {
		stored, batches, quarantined, rejected, unnoted, mismatched, unavailable, strangers atomic.Int64
	}
}

// Stats are counts since the start.
type Stats struct {
	Stored      int64 // Committed deliveries and receipts, repeated ones too.
	Batches     int64 // Commits.
	Quarantined int64 // Of Stored: those set aside at receipt.
	Rejected    int64 // Wrong signatures.
	Unnoted     int64 // Of Rejected: those that were only counted.
	Mismatched  int64 // Headers that contradicted the address.
	Unavailable int64 // Answers of 503.
	Strangers   int64 // What Facebook told of Pages that are not connected.
}

// item waits for the next commit: the deliveries of one request, which are stored
// together or not at all, or a receipt.
type item struct {
	deliveries []store.Delivery
	receipt    *store.Receipt
	done       chan error // Has room for the one result, so that no one has to wait for it.
}

func (i item) size() (bytes int64) {
	for _, d := range i.deliveries {
		bytes += int64(len(d.Body))
	}
	return bytes
}

// New makes an inbox. Start it before it serves.
func New(config Config) *Inbox {
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Seal == nil {
		config.Seal = func(context.Context, *store.Delivery) error { return nil }
	}
	if config.Wake == nil {
		config.Wake = func() {}
	}
	config.Log = config.Log.With("component", "inbox")
	return &Inbox{
		Config: config, answerWithin: answerWithin,
		unproven: semaphore.NewWeighted(maxUnproven),
		queue:    make(chan item, maxQueue), rejections: make(chan store.Rejection, maxRejections),
		stopping: make(chan struct{}), cache: map[string]cached{},
	}
}

// Start begins to commit. Package app calls it before it listens.
func (in *Inbox) Start() {
	in.running.Go(in.commitAll)
	in.running.Go(in.noteRejections)
}

// Stop commits what was accepted and returns when all of it is stored or
// answered 503. Deliveries that come later are answered 503. Package app calls
// it after the server has stopped; a second call does nothing.
func (in *Inbox) Stop() {
	in.closing.Lock()
	first := !in.closed
	in.closed = true
	in.closing.Unlock()
	if first {
		close(in.queue)
		close(in.stopping)
	}
	in.running.Wait()
}

// Stats counts what happened since the start.
func (in *Inbox) Stats() Stats {
	s := &in.stats
	return Stats{
		Stored: s.stored.Load(), Batches: s.batches.Load(), Quarantined: s.quarantined.Load(), Rejected: s.rejected.Load(),
		Unnoted: s.unnoted.Load(), Mismatched: s.mismatched.Load(), Unavailable: s.unavailable.Load(),
		Strangers: s.strangers.Load(),
	}
}

// enqueue offers an item to the committer; false when there is no room, or the
// inbox has stopped.
func (in *Inbox) enqueue(i item) bool {
	in.closing.RLock()
	defer in.closing.RUnlock()
	if in.closed {
		return false
	}
	if in.queued.Add(i.size()) > maxQueuedBytes {
		in.queued.Add(-i.size())
		return false
	}
	select {
	case in.queue <- i:
		return true
	default:
		in.queued.Add(-i.size())
		return false
	}
}

// commitAll gathers what waits and commits it together. There is no timer: a
// lone delivery is committed at once, and while one commit syncs the next
// batch comes together by itself.
func (in *Inbox) commitAll() {
	batch := make([]item, 0, maxBatch)
	for first := range in.queue {
		batch = append(batch[:0], first)
		// With one processor the sync below keeps it, and the handlers that are
		// ready to add to this batch never run: batches of one. Let them first.
		runtime.Gosched()
		batch = in.drain(batch)
		err := in.commit(batch)
		if err != nil {
			// Logged here once for all of the batch; the senders are asked to try again.
			in.Log.Error("webhooks were not stored", "count", len(batch), "error", err)
		}
		for n, i := range batch {
			in.queued.Add(-i.size())
			i.done <- err
			batch[n] = item{} // Bodies are not kept alive by the slice.
		}
		if err == nil {
			in.Wake()
		}
	}
}

func (in *Inbox) drain(batch []item) []item {
	for len(batch) < maxBatch {
		select {
		case next, ok := <-in.queue:
			if !ok {
				return batch
			}
			batch = append(batch, next)
		default:
			return batch
		}
	}
	return batch
}

func (in *Inbox) commit(batch []item) error {
	ctx, cancel := context.WithTimeout(context.Background(), commitWithin)
	defer cancel()
	deliveries := make([]store.Delivery, 0, len(batch))
	quarantined := int64(0)
	for _, i := range batch {
		for _, d := range i.deliveries {
			deliveries = append(deliveries, d)
			if d.State == store.DeliveryQuarantined {
				quarantined++
			}
		}
	}
	err := in.Store.Update(ctx, func(tx *store.Tx) error {
		held, err := ofKnownShops(tx, deliveries)
		if err != nil {
			return err
		}
		if err := tx.AddDeliveries(held); err != nil {
			return err
		}
		for _, i := range batch {
			if i.receipt != nil {
				if err := tx.AddReceipt(*i.receipt); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	in.stats.batches.Add(1)
	in.stats.stored.Add(int64(len(batch)))
	in.stats.quarantined.Add(quarantined)
	return nil
}

// ofKnownShops leaves out what came for shops that were erased since they were
// looked up: nothing may be held of them, and one such delivery must not keep
// the others of its batch from the disk.
func ofKnownShops(tx *store.Tx, all []store.Delivery) ([]store.Delivery, error) {
	var ids []int64
	for _, d := range all {
		if !slices.Contains(ids, d.ShopID) {
			ids = append(ids, d.ShopID)
		}
	}
	known, err := tx.KnownShops(ids)
	if err != nil {
		return nil, err
	}
	held := make([]store.Delivery, 0, len(all))
	for _, d := range all {
		if known[d.ShopID] {
			held = append(held, d)
		}
	}
	return held, nil
}

// reject notes a wrong signature, if there is room for the note.
func (in *Inbox) reject(r store.Rejection) {
	in.stats.rejected.Add(1)
	select {
	case in.rejections <- r:
	default:
		in.stats.unnoted.Add(1)
	}
}

// noteRejections writes what reject gathered, once an interval.
func (in *Inbox) noteRejections() {
	ticker := time.NewTicker(rejectionInterval)
	defer ticker.Stop()
	for stopped := false; !stopped; {
		select {
		case <-ticker.C:
		case <-in.stopping:
			stopped = true
		}
		var notes []store.Rejection
		for len(in.rejections) > 0 { // This goroutine alone takes from it.
			notes = append(notes, <-in.rejections)
		}
		if len(notes) == 0 {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), commitWithin)
		err := in.Store.Update(ctx, func(tx *store.Tx) error { return tx.AddRejections(notes) })
		cancel()
		if err != nil {
			in.stats.unnoted.Add(int64(len(notes)))
			in.Log.Error("rejected webhooks were not noted", "count", len(notes), "error", err)
			continue
		}
		in.Log.Warn("webhooks with a wrong signature", "count", len(notes), "shop", notes[0].Shop, "topic", notes[0].Topic)
	}
}

// cached is what the inbox needs of a shop, and of a Page that is tied to it.
type cached struct {
	id        int64
	page      int64 // The Page's row; zero where a shop was looked for.
	domain    string
	installed bool
	offset    time.Duration // Shopify's clock less this machine's.
	until     time.Time
}

// Invalidate forgets what is known of shops. Package connect calls it when a
// shop connects or leaves.
func (in *Inbox) Invalidate() {
	in.cacheMu.Lock()
	defer in.cacheMu.Unlock()
	clear(in.cache)
}

// shop finds a shop by find, as look does.
func (in *Inbox) shop(ctx context.Context, key string, find func(*store.Tx) (store.Shop, error)) (cached, error) {
	return in.look(ctx, key, func(tx *store.Tx) (store.Shop, int64, error) {
		shop, err := find(tx)
		return shop, 0, err
	})
}

// look finds a shop, and its Page where one is looked for, remembering it under key
// for a while. What is not found is not remembered, so the cache is never larger
// than shops and Pages are many.
func (in *Inbox) look(ctx context.Context, key string, find func(*store.Tx) (store.Shop, int64, error)) (cached, error) {
	now := in.Now()
	in.cacheMu.Lock()
	known, ok := in.cache[key]
	in.cacheMu.Unlock()
	if ok && now.Before(known.until) {
		return known, nil
	}
	var found store.Shop
	var page int64
	err := in.Store.View(ctx, func(tx *store.Tx) (err error) {
		found, page, err = find(tx)
		return err
	})
	if err != nil {
		return cached{}, err
	}
	known = cached{
		id: found.ID, page: page, domain: found.Domain, installed: found.State != store.ShopUninstalled,
		offset: time.Duration(found.ClockOffsetMS) * time.Millisecond, until: now.Add(cacheFor),
	}
	in.cacheMu.Lock()
	in.cache[key] = known
	in.cacheMu.Unlock()
	return known, nil
}

func (in *Inbox) shopByKey(ctx context.Context, key string) (cached, error) {
	hash := secret.Hash(key)
	return in.shop(ctx, "key:"+string(hash), func(tx *store.Tx) (store.Shop, error) { return tx.ShopByWebhookKey(hash) })
}

func (in *Inbox) shopByDomain(ctx context.Context, domain string) (cached, error) {
	return in.shop(ctx, "domain:"+domain, func(tx *store.Tx) (store.Shop, error) { return tx.ShopByDomain(domain) })
}

// derivedID names a delivery that came without an id, so that its repetition
// is known again. The prefix tells it from Shopify's own.
func derivedID(body []byte, triggeredAt string) string {
	digest := sha256.New()
	digest.Write([]byte(triggeredAt + "\n"))
	digest.Write(body)
	return "derived-" + hex.EncodeToString(digest.Sum(nil)[:16])
}

// received is the moment now on the shop's Shopify clock.
func (c cached) received(now time.Time) mirror.Instant { return mirror.At(now.Add(c.offset)) }
