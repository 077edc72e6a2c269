package simulator

import (
	"bytes"
	"container/heap"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// How webhooks are sent. Source: "Webhooks: delivery" and "Troubleshooting
// webhooks" (2026-10). That the eight retries double their distance is our
// reading of "exponential over four hours".
const (
	connectTimeout = time.Second
	deliverTimeout = 5 * time.Second
	maxRetries     = 8
	firstRetry     = 56 * time.Second // Doubling, eight of them fill four hours.
	senders        = 32
	maxQueue       = 1_000_000 // Deliveries beyond are lost, and logged as such.

	reorderSpread  = 2 * time.Second
	newerWait      = 10 * time.Second
	newerSpread    = 20 * time.Second
	lateWait       = time.Hour
	lateSpread     = 11 * time.Hour
	debounceWindow = 5 * time.Second // Of identical bodies with include_fields.
	maxDebounced   = 100_000
)

// Delivery is what became of one webhook for one subscription.
type Delivery struct {
	WebhookID   string    `json:"webhook_id"` // One delivery's, the same on its retries.
	EventID     string    `json:"event_id"`   // One action's, shared by all it caused.
	Shop        string    `json:"shop"`
	ClientID    string    `json:"client_id"`
	Topic       string    `json:"topic"`
	Subject     string    `json:"subject"` // The gid of what it is about.
	URI         string    `json:"uri"`
	TriggeredAt time.Time `json:"triggered_at"`
	Attempts    []Attempt `json:"attempts"`
	Lost        bool      `json:"lost"`    // Never sent, on purpose.
	Skipped     bool      `json:"skipped"` // Nothing to say when it was to be sent.
	Done        bool      `json:"done"`    // Accepted, lost, skipped or given up.
}

// Attempt is one try.
type Attempt struct {
	At     time.Time `json:"at"`
	Status int       `json:"status"` // Zero where no answer came.
	Error  string    `json:"error,omitempty"`
	Forged bool      `json:"forged,omitempty"`

	WebhookID string `json:"webhook_id,omitempty"` // Where it is not the delivery's: see Faults.NewID.

	// Sent is what the attempt brought. Nil where nothing left, and of older
	// attempts, see Config.SentBytes.
	Sent *Sent `json:"sent,omitempty"`

	kept *atomic.Pointer[Sent]
}

// Sent is a webhook as it was sent. Its body is text, byte for byte, so that the
// signature can be checked.
type Sent struct {
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

func (s *Sent) size() int {
	n := len(s.Body)
	for name, value := range s.Headers {
		n += len(name) + len(value)
	}
	return n
}

// remember keeps what an attempt sent until newer ones need its room.
func (c *courier) remember(sent *Sent) *atomic.Pointer[Sent] {
	kept := new(atomic.Pointer[Sent])
	kept.Store(sent)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = append(c.sent, kept)
	c.sentBytes += sent.size()
	for c.sentBytes > c.sim.config.SentBytes {
		c.sentBytes -= c.sent[0].Swap(nil).size()
		c.sent = c.sent[1:]
	}
	return kept
}

// shown is a copy of a delivery with all that is remembered of it; mu is held.
func (d *Delivery) shown() Delivery {
	out := *d
	out.Attempts = slices.Clone(d.Attempts)
	for i := range out.Attempts {
		if kept := out.Attempts[i].kept; kept != nil {
			out.Attempts[i].Sent = kept.Load()
		}
	}
	return out
}

// Accepted tells whether the last attempt was answered 2xx.
func (d Delivery) Accepted() bool {
	n := len(d.Attempts)
	return n > 0 && d.Attempts[n-1].ok()
}

func (a Attempt) ok() bool { return a.Status >= 200 && a.Status < 300 && !a.Forged }

// sendOptions are the subscription's wishes about a body.
type sendOptions struct {
	version             string
	metafieldNamespaces []string
	metafields          []MetafieldName
}

// parcel is a delivery on its way.
type parcel struct {
	due   time.Time
	order uint64

	log          *Delivery
	installation *Installation
	subscription int64 // Zero for one from the app's configuration.
	name         string
	options      sendOptions
	include      []string
	filter       string
	// build makes the body when it is first sent: what a webhook says may be
	// newer than the event it tells of. Nil means there is nothing to say.
	build  func(sendOptions) map[string]any
	body   []byte // Kept for retries.
	secret string
	// oldSecret tells that secret is the app's older one.
	oldSecret bool
	tries     int
	copies    int // Sent once more under the same id.
	forge     bool
	skew      time.Duration
	stale     bool      // Its first acceptance will not be heard.
	lapse     bool      // Its subscription will be deleted.
	renew     bool      // Its retries come under new webhook ids.
	kept      bool      // Its body is counted in courier.kept.
	first     time.Time // Of the first try.
	// task is what an errand is about, which carries nothing; nil for a webhook.
	// It tells whether it was done, or stopped under way.
	task func(context.Context) (done bool)
	// awaited is true until the first try is over, for what Quiet waits for.
	awaited bool
}

// courier carries webhooks to their addresses.
type courier struct {
	sim    *Simulator
	client *http.Client
	wake   chan struct{}

	mu       sync.Mutex
	queue    parcels
	held     bool // Nothing is handed out.
	order    uint64
	kept     int64 // Bytes of bodies that wait for a retry.
	busy     int   // Parcels with a sender.
	awaited  int   // Parcels that Quiet waits for.
	quiet    chan struct{}
	finished chan struct{} // Closed when a sender is done with a parcel; nil while nobody waits.
	log      []*Delivery   // The oldest first.
	// What attempts sent, as far as it is remembered, the oldest first.
	sent      []*atomic.Pointer[Sent]
	sentBytes int
	debounce  map[string]debounced
	life      context.Context // What start was given.
	cancel    context.CancelFunc
	running   sync.WaitGroup
}

type debounced struct {
	sum [sha256.Size]byte
	at  time.Time
}

// deliveryClient keeps Shopify's limits of time.
func deliveryClient() *http.Client {
	dialer := net.Dialer{Timeout: connectTimeout}
	return &http.Client{Timeout: deliverTimeout, Transport: &http.Transport{
		DialContext: dialer.DialContext, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: senders, IdleConnTimeout: 90 * time.Second,
	}}
}

func newCourier(s *Simulator) *courier {
	client := *s.config.Deliver
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &courier{sim: s, client: &client, wake: make(chan struct{}, 1), debounce: make(map[string]debounced)}
}

// start runs one goroutine that waits for what is due, and the senders.
func (c *courier) start(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cancel != nil {
		return errors.New("start simulator: it runs already")
	}
	c.life = ctx
	ctx, c.cancel = context.WithCancel(ctx)
	work := make(chan *parcel)
	c.running.Go(func() { c.dispatch(ctx, work) })
	for range senders {
		c.running.Go(func() {
			for p := range work {
				c.send(ctx, p)
			}
		})
	}
	return nil
}

func (c *courier) stop() {
	c.mu.Lock()
	cancel := c.cancel
	c.cancel = nil
	c.mu.Unlock()
	if cancel != nil {
		cancel()
		c.running.Wait()
		c.client.CloseIdleConnections()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.tellFinished()
	}
}

// tellFinished lets those go on who wait for a parcel to be over; mu is held.
func (c *courier) tellFinished() {
	if c.finished != nil {
		close(c.finished)
		c.finished = nil
	}
}

// dispatch hands out parcels when they are due.
func (c *courier) dispatch(ctx context.Context, work chan<- *parcel) {
	defer close(work)
	for {
		c.mu.Lock()
		var next *parcel
		wait := time.Duration(-1)
		if len(c.queue) > 0 && !c.held {
			if wait = c.queue[0].due.Sub(c.sim.machine()); wait <= 0 {
				next = heap.Pop(&c.queue).(*parcel)
				c.busy++
			}
		}
		c.mu.Unlock()
		if next != nil {
			select {
			case work <- next:
			case <-ctx.Done():
				c.mu.Lock()
				c.busy--
				heap.Push(&c.queue, next)
				c.mu.Unlock()
				return
			}
			continue
		}
		var due <-chan time.Time
		if wait > 0 {
			timer := time.NewTimer(wait)
			due = timer.C
			select {
			case <-due:
			case <-c.wake:
				timer.Stop()
			case <-ctx.Done():
				timer.Stop()
				return
			}
			continue
		}
		select {
		case <-c.wake:
		case <-ctx.Done():
			return
		}
	}
}

// post takes a parcel and draws the faults that it will meet.
func (c *courier) post(p *parcel, after time.Duration) {
	faults := c.sim.Faults()
	p.due = c.sim.machine().Add(after + c.sim.upTo(time.Duration(faults.Delay)))
	if c.sim.chancy(faults.Reorder) {
		p.due = p.due.Add(c.sim.upTo(reorderSpread))
	}
	if c.sim.chancy(faults.Double) {
		p.copies = 1
	}
	p.skew = time.Duration(faults.Skew)
	p.forge = c.sim.chancy(faults.Forge)
	p.stale = c.sim.chancy(faults.Stale)
	p.lapse = c.sim.chancy(faults.Unsubscribe)
	p.renew = c.sim.chancy(faults.NewID)
	if c.sim.chancy(faults.OldSecret) {
		p.oldSecret = true
	}
	p.secret = p.installation.App.signing(p.oldSecret)
	if c.sim.chancy(faults.Newer) {
		p.due = p.due.Add(newerWait + c.sim.upTo(newerSpread))
	}
	if c.sim.chancy(faults.Late) {
		late := lateWait + c.sim.upTo(lateSpread)
		p.due, after = p.due.Add(late), after+late
	}
	p.log.Lost = faults.loses(c.sim, *p.log)

	if c.sim.Shop(p.log.Shop) != p.installation.Shop {
		return // It was reset while the change was made.
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log = append(c.log, p.log)
	if limit := c.sim.config.DeliveryLog; len(c.log) > limit+limit/4 {
		c.log = slices.Clone(c.log[len(c.log)-limit:])
	}
	if len(c.queue) >= maxQueue {
		p.log.Lost = true
		c.sim.log.Warn("webhook queue is full: delivery lost", "shop", p.log.Shop, "topic", p.log.Topic, "webhook_id", p.log.WebhookID)
	}
	if p.log.Lost {
		p.log.Done = true
		return
	}
	c.push(p)
	if after < time.Hour {
		p.awaited = true
		c.awaited++
	}
}

// errand has a task done when some time has passed, in its turn among the
// webhooks and by their clock. Where awaited, Quiet waits for it.
func (c *courier) errand(after time.Duration, awaited bool, task func(context.Context) (done bool)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if awaited {
		c.awaited++
	}
	c.push(&parcel{due: c.sim.machine().Add(after), task: task, awaited: awaited, log: new(Delivery)})
}

// push queues a parcel; mu is held.
func (c *courier) push(p *parcel) {
	c.order++
	p.order = c.order
	heap.Push(&c.queue, p)
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// send tries a parcel once and decides what follows.
func (c *courier) send(ctx context.Context, p *parcel) {
	if p.task != nil {
		if p.task(ctx) {
			c.finish(p, true, func() {})
		} else { // Stopped under way: it is done again after a start.
			c.finish(p, false, func() { c.push(p) })
		}
		return
	}
	if p.tries == 0 {
		p.first = c.sim.machine()
		if !c.prepare(p) {
			c.finish(p, true, func() { p.log.Skipped, p.log.Done = true, true })
			return
		}
	}
	if p.forge && p.tries == 0 {
		forged := c.attempt(ctx, p, tamper(p.body), true)
		c.mu.Lock()
		p.log.Attempts = append(p.log.Attempts, forged)
		c.mu.Unlock()
	}
	result := Attempt{At: c.sim.Now(), Error: "fault: the attempt was cut off"}
	if !c.sim.fate("delivery", p.log.WebhookID).chancy("fail", c.sim.Faults().Fail) {
		result = c.attempt(ctx, p, p.body, false)
	}
	if ctx.Err() != nil && !result.ok() { // Stopped under way: it is tried again after a start.
		c.finish(p, false, func() { c.push(p) })
		return
	}
	if result.ok() && p.stale {
		p.stale = false
		result = Attempt{At: result.At, Error: "fault: it was accepted, and that was not heard"}
	}
	p.tries++
	p.installation.delivered(p, result.ok()) // Before another sender may hold the parcel.
	again := result.ok() && p.copies > 0
	c.finish(p, !again, func() {
		p.log.Attempts = append(p.log.Attempts, result)
		switch {
		case again:
			p.copies--
			p.due = c.sim.machine()
			c.push(p)
		case !result.ok() && p.tries <= maxRetries && c.keep(p):
			p.due = c.sim.machine().Add(firstRetry << (p.tries - 1))
			c.push(p)
		default:
			p.log.Done = true
			c.letGo(p)
		}
	})
}

// believed are members of bodies that receivers act on, and tampered what a
// forger would have them be.
var (
	believed = regexp.MustCompile(`"(price|total_price|title|name|sku|available)":("(?:[^"\\]|\\.)*"|-?[0-9]+)`)
	tampered = map[string]string{"price": `"0.01"`, "total_price": `"0.01"`, "title": `"Forged"`, "name": `"Forged"`, "sku": `"FORGED"`, "available": "31337"}
)

// tamper changes a body as one would who profits from it, or its first number
// where it says nothing of that kind.
func tamper(body []byte) []byte {
	forged := believed.ReplaceAllFunc(body, func(member []byte) []byte {
		name := string(believed.FindSubmatch(member)[1])
		return []byte(`"` + name + `":` + tampered[name])
	})
	if bytes.Equal(forged, body) {
		return bytes.Replace(body, []byte("1"), []byte("2"), 1)
	}
	return forged
}

// keep counts the body of a parcel that waits for a retry. False means that
// too many wait: it is lost, and logged as such. mu is held.
func (c *courier) keep(p *parcel) bool {
	if p.kept {
		return true
	}
	if c.kept+int64(len(p.body)) > c.sim.config.RetryBytes {
		p.log.Lost = true
		c.sim.log.Warn("bodies of webhooks to retry fill their memory: delivery lost", "shop", p.log.Shop, "topic", p.log.Topic, "webhook_id", p.log.WebhookID)
		return false
	}
	p.kept = true
	c.kept += int64(len(p.body))
	return true
}

// letGo forgets the body of a parcel that is over. mu is held.
func (c *courier) letGo(p *parcel) {
	if p.kept {
		p.kept = false
		c.kept -= int64(len(p.body))
	}
}

// finish ends a sender's hold on a parcel. tried tells that Quiet need not
// wait for it any longer.
func (c *courier) finish(p *parcel, tried bool, then func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	then()
	c.busy--
	c.tellFinished()
	if tried && p.awaited {
		p.awaited = false
		c.awaited--
	}
	if c.quiet != nil && c.awaited == 0 && c.busy == 0 {
		close(c.quiet)
		c.quiet = nil
	}
}

// delivered notes a success, and removes a subscription whose delivery failed
// nine times without any other getting through meanwhile.
func (i *Installation) delivered(p *parcel, ok bool) {
	if p.subscription == 0 {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	sub, exists := i.subscriptions.Get(p.subscription)
	switch {
	case !exists:
	case p.lapse:
		i.subscriptions.remove(sub.ID)
	case ok:
		sub.Delivered = i.Shop.sim.machine()
	case p.tries > maxRetries && sub.Delivered.Before(p.first):
		i.subscriptions.remove(sub.ID)
		i.Shop.sim.log.Info("webhook subscription removed after failures", "shop", i.Shop.Domain, "topic", sub.Topic)
	}
}

// prepare builds the body; false means there is nothing to send.
func (c *courier) prepare(p *parcel) bool {
	if p.body != nil {
		// It was loaded with the body of then. What only a shop without the app
		// is told of is not true any more where the app came back since.
		return p.log.Topic != redactTopic || !p.installation.inForce()
	}
	shop := p.installation.Shop
	shop.mu.RLock()
	body, ok := c.compose(p)
	shop.mu.RUnlock()
	if !ok || len(p.include) > 0 && c.repeats(p, body) {
		return false
	}
	p.body = body
	return true
}

// compose writes the body as the shop is now; false means there is nothing to
// say. The shop's read lock is held.
func (c *courier) compose(p *parcel) ([]byte, bool) {
	full := p.build(p.options)
	if full == nil || !passes(p.filter, full, p.installation.Shop.zone(), c.sim.Now()) {
		return nil, false
	}
	if len(p.include) > 0 {
		full = pick(full, p.include)
	}
	body, err := json.Marshal(full)
	if err != nil {
		c.sim.log.Error("write webhook body", "topic", p.log.Topic, "error", err)
		return nil, false
	}
	return body, true
}

// repeats tells whether the same body went to the same subscription just now.
func (c *courier) repeats(p *parcel, body []byte) bool {
	key := fmt.Sprint(p.installation.ID, " ", p.subscription, " ", p.log.URI, " ", p.log.Topic, " ", p.log.Subject)
	sum, now := sha256.Sum256(body), c.sim.machine()
	c.mu.Lock()
	defer c.mu.Unlock()
	last, known := c.debounce[key]
	if known && last.sum == sum && now.Sub(last.at) < debounceWindow {
		return true
	}
	if len(c.debounce) >= maxDebounced {
		clear(c.debounce) // Costs no more than a repetition.
	}
	c.debounce[key] = debounced{sum, now}
	return false
}

// attempt makes the request.
func (c *courier) attempt(ctx context.Context, p *parcel, body []byte, forged bool) Attempt {
	result := Attempt{At: c.sim.Now(), Forged: forged}
	id := p.log.WebhookID
	if p.renew && p.tries > 0 {
		id = c.sim.uuid()
		result.WebhookID = id
	}
	ctx, cancel := context.WithTimeout(ctx, deliverTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.log.URI, bytes.NewReader(body))
	if err != nil {
		result.Error = err.Error()
		return result
	}
	secret := p.secret
	if forged {
		secret += "?"
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	for name, value := range map[string]string{
		"Content-Type":          "application/json",
		"User-Agent":            "Shopify-Captain-Hook",
		"X-Shopify-Topic":       p.log.Topic,
		"X-Shopify-Hmac-Sha256": base64.StdEncoding.EncodeToString(mac.Sum(nil)),
		"X-Shopify-Shop-Domain": p.log.Shop,
		"X-Shopify-API-Version": p.options.version,
		"X-Shopify-Webhook-Id":  id,
		// Set as it is: the canonical form would lose the capitals of API.
		"X-Shopify-Triggered-At": p.log.TriggeredAt.Add(p.skew).UTC().Format("2006-01-02T15:04:05.000000000Z"),
		"X-Shopify-Event-Id":     p.log.EventID,
	} {
		request.Header[name] = []string{value}
	}
	if p.name != "" {
		request.Header["X-Shopify-Name"] = []string{p.name}
	}
	sent := &Sent{Headers: make(map[string]string, len(request.Header)), Body: string(body)}
	for name := range request.Header {
		sent.Headers[name] = request.Header[name][0]
	}
	result.kept = c.remember(sent)
	response, err := c.client.Do(request)
	if err != nil {
		result.Error = err.Error()
		return result
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10)) // So that the connection is kept.
	result.Status = response.StatusCode
	return result
}

// Deliveries are copies of all deliveries that are remembered, the oldest first.
func (s *Simulator) Deliveries() []Delivery { return s.LatestDeliveries(math.MaxInt) }

// LatestDeliveries are copies of so many of the latest deliveries, the oldest
// of them first.
func (s *Simulator) LatestDeliveries(limit int) []Delivery {
	c := s.hooks
	c.mu.Lock()
	defer c.mu.Unlock()
	latest := c.log[max(0, len(c.log)-max(0, limit)):]
	out := make([]Delivery, len(latest))
	for i, d := range latest {
		out[i] = d.shown()
	}
	return out
}

// Quiet returns when every webhook was tried once, but for those that are due
// in hours. Retries may still be to come.
func (s *Simulator) Quiet(ctx context.Context) error {
	c := s.hooks
	for {
		c.mu.Lock()
		if c.awaited == 0 && c.busy == 0 {
			c.mu.Unlock()
			return nil
		}
		if c.quiet == nil {
			c.quiet = make(chan struct{})
		}
		quiet := c.quiet
		c.mu.Unlock()
		select {
		case <-quiet:
		case <-ctx.Done():
			return fmt.Errorf("wait for webhooks: %w", context.Cause(ctx))
		}
	}
}

// posted counts the parcels taken so far.
func (c *courier) posted() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.order
}

// event is something that happened in a shop, of which several webhooks may tell.
type event struct {
	id string
	at time.Time
}

func (s *Shop) newEvent() event { return event{s.sim.uuid(), s.sim.Now()} }

// emit tells all apps that wish to hear of a topic.
func (s *Shop) emit(e event, name, subject string, build func(sendOptions) map[string]any) {
	for _, i := range s.installed() {
		i.post(e, 0, name, subject, build)
	}
}

// tell tells one app.
func (s *Shop) tell(i *Installation, name, subject string, build func(sendOptions) map[string]any) {
	i.post(s.newEvent(), 0, name, subject, build)
}

// tellLater tells one app when some time has passed.
func (s *Shop) tellLater(i *Installation, after time.Duration, name, subject string, build func(sendOptions) map[string]any) {
	i.post(s.newEvent(), after, name, subject, build)
}

// post makes a delivery for each of the app's subscriptions to a topic.
func (i *Installation) post(e event, after time.Duration, name, subject string, build func(sendOptions) map[string]any) {
	if len(i.App.Secrets) == 0 {
		return
	}
	enum := topicEnum(name)
	t := topics[enum]
	i.mu.Lock()
	access := Access{Scopes: i.scopes}
	if len(t.scopes) > 0 && !slices.ContainsFunc(t.scopes, access.Allows) || t.protected && !i.App.ProtectedData {
		i.mu.Unlock()
		return
	}
	var parcels []*parcel
	add := func(p parcel, uri string) {
		p.log = &Delivery{WebhookID: i.Shop.sim.uuid(), EventID: e.id, Shop: i.Shop.Domain, ClientID: i.App.ClientID,
			Topic: name, Subject: subject, URI: uri, TriggeredAt: e.at}
		p.installation, p.build = i, build
		parcels = append(parcels, &p)
	}
	for _, w := range i.App.Webhooks {
		if w.Topic == name {
			version := latestVersion
			if w.APIVersion != "" {
				version = served(w.APIVersion)
			}
			add(parcel{name: w.Name, filter: w.Filter, include: w.IncludeFields, options: sendOptions{version: version}}, w.URI)
		}
	}
	for sub := range i.subscriptions.All() {
		if sub.Topic == enum {
			add(parcel{subscription: sub.ID, name: sub.Name, filter: sub.Filter, include: slices.Clone(sub.IncludeFields),
				options: sendOptions{version: sub.APIVersion, metafieldNamespaces: slices.Clone(sub.MetafieldNamespaces),
					metafields: slices.Clone(sub.Metafields)}}, sub.URI)
		}
	}
	i.mu.Unlock()
	for _, p := range parcels {
		i.Shop.sim.hooks.post(p, after)
	}
}

// pick keeps the named fields of a body; a.b names a field of an object, or of
// each object of a list.
func pick(body map[string]any, names []string) map[string]any {
	out := make(map[string]any)
	nested := make(map[string][]string)
	for _, name := range names {
		head, rest, deep := strings.Cut(name, ".")
		value, ok := body[head]
		switch {
		case !ok:
		case deep:
			nested[head] = append(nested[head], rest)
		default:
			out[head] = value
		}
	}
	for head, rest := range nested {
		if _, whole := out[head]; whole {
			continue
		}
		switch value := body[head].(type) {
		case map[string]any:
			out[head] = pick(value, rest)
		case []map[string]any:
			list := make([]map[string]any, len(value))
			for i, element := range value {
				list[i] = pick(element, rest)
			}
			out[head] = list
		default:
			out[head] = value
		}
	}
	return out
}

// parcels is a heap by (due, order).
type parcels []*parcel

func (q parcels) Len() int { return len(q) }
func (q parcels) Less(i, j int) bool {
	if !q[i].due.Equal(q[j].due) {
		return q[i].due.Before(q[j].due)
	}
	return q[i].order < q[j].order
}
func (q parcels) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *parcels) Push(p any)   { *q = append(*q, p.(*parcel)) }
func (q *parcels) Pop() any {
	old := *q
	p := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return p
}
