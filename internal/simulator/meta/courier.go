package meta

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"
)

// How webhooks are sent. Source: "Messenger Platform: Webhooks" for five
// seconds, fifteen minutes and the hour, as those who read it quote it;
// "Webhooks: Getting Started" for the first retry at once, the 36 hours and the
// thousand updates. How the frequency falls is unproven.
const (
	deliverTimeout = 5 * time.Second
	firstWait      = 30 * time.Second // Doubling after the retry at once.
	giveUpAfter    = 36 * time.Hour
	alertAfter     = 15 * time.Minute
	disableAfter   = time.Hour
	maxUpdates     = 1000
	maxSentBytes   = 8 << 20 // Of bodies that the log of deliveries shows.
	maxAlerts      = 1000

	reorderSpread = 2 * time.Second
	lateWait      = time.Hour
	lateSpread    = 11 * time.Hour

	userAgent = "facebookplatform/1.0 (+http://developers.facebook.com)"
)

// Delivery is what became of one POST to an app's webhook.
type Delivery struct {
	ID       string    `json:"id"`
	App      string    `json:"app"`
	Object   string    `json:"object"`
	Pages    []string  `json:"pages"`
	Fields   []string  `json:"fields"`
	Standby  bool      `json:"standby,omitempty"` // At least one event is for an app on standby.
	Updates  int       `json:"updates"`
	URL      string    `json:"url"`
	At       time.Time `json:"at"` // When what it tells happened.
	Attempts []Attempt `json:"attempts"`
	Lost     bool      `json:"lost"`              // Never sent, on purpose.
	Dropped  string    `json:"dropped,omitempty"` // Why it was given up.
	Done     bool      `json:"done"`              // Accepted, lost or given up.

	// What is still to be done of it.
	Body      []byte    `json:"-"`
	Due       time.Time `json:"-"`
	Tries     int       `json:"-"`
	Copies    int       `json:"-"`
	Before    []string  `json:"-"` // Odd ones to send before the first attempt.
	OldSecret bool      `json:"-"`
	Stale     bool      `json:"-"`
}

// Attempt is one try.
type Attempt struct {
	At     time.Time `json:"at"`
	Status int       `json:"status"` // Zero where no answer came.
	Error  string    `json:"error,omitempty"`
	// Odd says what is wrong with it on purpose: forged, unsigned, sha1 or reencoded.
	Odd  string `json:"odd,omitempty"`
	Sent *Sent  `json:"sent,omitempty"` // Nil of older attempts.
}

// Sent is a webhook as it was sent, byte for byte.
type Sent struct {
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

// Accepted tells whether the last attempt was answered 200.
func (d Delivery) Accepted() bool {
	n := len(d.Attempts)
	return n > 0 && d.Attempts[n-1].ok()
}

func (a Attempt) ok() bool { return a.Status == http.StatusOK && a.Odd == "" }

// Alert is what Meta tells an app's developers.
type Alert struct {
	At   time.Time `json:"at"`
	App  string    `json:"app"`
	Page string    `json:"page"`
	What string    `json:"what"` // failing, or disabled.
}

type failKey struct{ App, Page string }

// failure is since when nothing of a Page gets through to an app.
type failure struct{ Since time.Time }

// tell takes an update to an app; mu is held.
func (m *Meta) tell(u update) {
	faults := m.Faults()
	share, named := faults.Lose[u.Field]
	if !named {
		share = faults.Lose["*"]
	}
	if m.chance(share, "lose", u.App, u.Field, string(u.Event)) {
		m.remember(&Delivery{ID: m.newID(1), App: u.App, Object: u.Object, Pages: []string{u.Page}, Fields: []string{u.Field}, Standby: u.Standby,
			Updates: 1, At: u.At, Lost: true, Done: true})
		return
	}
	if faults.Batch <= 0 {
		m.post(u.App, []update{u})
		return
	}
	m.waiting[u.App] = append(m.waiting[u.App], u)
	switch len(m.waiting[u.App]) {
	case 1:
		m.world.After(time.Duration(faults.Batch), true, func(context.Context) bool {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.flush(u.App)
			return true
		})
	case maxUpdates:
		m.flush(u.App)
	}
}

// flush sends what waits for an app; mu is held.
func (m *Meta) flush(app string) {
	waiting := m.waiting[app]
	delete(m.waiting, app)
	for _, object := range []string{"page", "instagram"} {
		some := slices.DeleteFunc(slices.Clone(waiting), func(u update) bool { return u.Object != object })
		if len(some) > 0 {
			m.post(app, some)
		}
	}
}

// compose writes updates of one object as one body.
func compose(updates []update, stranger, empty bool) []byte {
	p := payload{Object: updates[0].Object}
	for _, u := range updates {
		at := len(p.Entry) - 1
		if at < 0 || p.Entry[at].ID != u.ID {
			p.Entry = append(p.Entry, entry{ID: u.ID, Time: milliseconds(u.At)})
			at++
		}
		switch e := &p.Entry[at]; {
		case u.Change:
			e.Changes = append(e.Changes, u.Event)
		case u.Standby:
			e.Standby = append(e.Standby, u.Event)
		default:
			e.Messaging = append(e.Messaging, u.Event)
		}
	}
	at := milliseconds(updates[0].At)
	if empty {
		p.Entry = append(p.Entry, entry{ID: updates[0].ID, Time: at})
	}
	if stranger {
		odd := map[string]any{"sender": party{"1"}, "recipient": party{"999"}, "timestamp": at, "something_new": map[string]any{"kind": "never seen", "depth": []int{1, 2}}}
		p.Entry = append(p.Entry, entry{ID: "999999999999999", Time: at, Messaging: []any{odd}})
		p.Entry[0].Messaging = append(p.Entry[0].Messaging, odd)
	}
	return marshal(p)
}

// post makes a delivery of updates to an app; mu is held.
func (m *Meta) post(app string, updates []update) {
	sub := m.subs[app]
	if sub == nil {
		return
	}
	faults := m.Faults()
	d := &Delivery{ID: m.newID(1), App: app, Object: updates[0].Object, Updates: len(updates), URL: sub.URL, At: updates[0].At}
	for _, u := range updates {
		d.Pages, d.Fields = append(d.Pages, u.Page), append(d.Fields, u.Field)
		d.Standby = d.Standby || u.Standby
	}
	slices.Sort(d.Pages)
	slices.Sort(d.Fields)
	d.Pages, d.Fields = slices.Compact(d.Pages), slices.Compact(d.Fields)
	draw := func(share float64, fault string) bool { return m.chance(share, fault, d.ID) }
	d.Body = escape(compose(updates, draw(faults.Unknown, "unknown"), draw(faults.EmptyUpdate, "empty_update")), faults.OldEscapes)
	m.dispatch(d, faults, draw)
}

// dispatch draws what a delivery will meet, and sets it going; mu is held.
func (m *Meta) dispatch(d *Delivery, faults Faults, draw func(float64, string) bool) {
	wait := m.world.UpTo(time.Duration(faults.Delay))
	if draw(faults.Reorder, "reorder") {
		wait += m.world.UpTo(reorderSpread)
	}
	if draw(faults.Late, "late") {
		wait += lateWait + m.world.UpTo(lateSpread)
	}
	if draw(faults.Double, "double") {
		d.Copies = 1
	}
	for _, odd := range []struct {
		name  string
		share float64
	}{{"forged", faults.Forge}, {"unsigned", faults.Unsigned}, {"sha1", faults.SHA1Only}, {"reencoded", faults.Reencode}} {
		if draw(odd.share, odd.name) {
			d.Before = append(d.Before, odd.name)
		}
	}
	d.OldSecret, d.Stale = draw(faults.OldSecret, "old_secret"), draw(faults.Stale, "stale")
	m.remember(d)
	m.schedule(d, wait)
}

// schedule has a delivery tried when some time has passed; mu is held.
func (m *Meta) schedule(d *Delivery, wait time.Duration) {
	d.Due = m.world.Now().Add(wait)
	m.world.After(wait, d.Tries == 0 && wait < time.Hour, func(ctx context.Context) bool { return m.send(ctx, d) })
}

// remember adds a delivery to the log; mu is held.
func (m *Meta) remember(d *Delivery) {
	m.deliveries = append(m.deliveries, d)
	if limit := m.config.DeliveryLog; len(m.deliveries) > limit+limit/4 {
		m.deliveries = slices.Clone(m.deliveries[len(m.deliveries)-limit:])
	}
}

// noteAttempt adds an attempt to the log, and forgets the oldest bodies where
// there are too many; mu is held.
func (m *Meta) noteAttempt(d *Delivery, a Attempt) {
	d.Attempts = append(d.Attempts, a)
	if a.Sent == nil {
		return
	}
	m.sentBytes += len(a.Sent.Body)
	for _, old := range m.deliveries {
		if m.sentBytes <= maxSentBytes {
			return
		}
		for i := range old.Attempts {
			if sent := old.Attempts[i].Sent; sent != nil {
				m.sentBytes -= len(sent.Body)
				old.Attempts[i].Sent = nil
			}
		}
	}
}

// secretFor is what a delivery is signed with; mu is held.
func (m *Meta) secretFor(d *Delivery) string {
	secrets := m.apps[d.App].Secrets
	if !d.OldSecret {
		return secrets[0]
	}
	if len(secrets) > 1 {
		return secrets[1]
	}
	return secrets[0] + "-old"
}

// send tries a delivery once and decides what follows. False means that it was
// stopped under way.
func (m *Meta) send(ctx context.Context, d *Delivery) (done bool) {
	faults := m.Faults()
	m.mu.Lock()
	secret, odd := m.secretFor(d), d.Before
	d.Before = nil
	over := d.Done
	m.mu.Unlock()
	if over {
		return true
	}
	for _, how := range odd {
		a := m.attempt(ctx, d, secret, how, faults)
		m.mu.Lock()
		m.noteAttempt(d, a)
		m.mu.Unlock()
	}
	result := Attempt{At: m.world.Now(), Error: "fault: the attempt was cut off"}
	if !m.chance(faults.Fail, "fail", d.ID, fmt.Sprint(d.Tries)) {
		result = m.attempt(ctx, d, secret, "", faults)
	}
	if ctx.Err() != nil && !result.ok() {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if result.ok() && d.Stale {
		d.Stale = false
		m.noteAttempt(d, result)
		result = Attempt{At: result.At, Error: "fault: it was accepted, and that was not heard"}
	}
	d.Tries++
	m.noteAttempt(d, result)
	m.judgeDelivery(d, result.ok())
	now := m.world.Now()
	switch {
	case d.Done: // Its Page was unsubscribed.
	case result.ok() && d.Copies > 0:
		d.Copies--
		d.Tries = 0
		m.schedule(d, 0)
	case result.ok():
		d.Done, d.Body = true, nil
	case now.Sub(d.At) >= giveUpAfter:
		d.Done, d.Body, d.Dropped = true, nil, "36 hours have passed"
	case d.Tries == 1:
		m.schedule(d, 0) // At once.
	default:
		m.schedule(d, firstWait<<min(d.Tries-2, 10))
	}
	return true
}

// judgeDelivery notes since when nothing gets through. mu is held.
func (m *Meta) judgeDelivery(d *Delivery, ok bool) {
	for _, page := range d.Pages {
		key := failKey{d.App, page}
		if ok {
			delete(m.failing, key)
			continue
		}
		if m.failing[key] == nil {
			f := &failure{Since: m.world.Now()}
			m.failing[key] = f
			m.watch(key, f)
		}
	}
}

// watch looks again whether a failure lasts: alerts follow, and in the end the
// Page is unsubscribed. mu is held.
func (m *Meta) watch(key failKey, f *failure) {
	for _, step := range []struct {
		after time.Duration
		what  string
	}{{alertAfter, "failing"}, {disableAfter, "disabled"}} {
		wait := f.Since.Add(step.after).Sub(m.world.Now())
		if wait < 0 && step.what == "failing" {
			continue // It was told before this was saved.
		}
		m.world.After(max(0, wait), false, func(context.Context) bool {
			m.mu.Lock()
			defer m.mu.Unlock()
			if m.failing[key] == f {
				m.alert(key, step.what)
			}
			return true
		})
	}
}

// alert tells developers, and unsubscribes a Page that is given up; mu is held.
func (m *Meta) alert(key failKey, what string) {
	if len(m.alerts) >= maxAlerts {
		m.alerts = slices.Delete(m.alerts, 0, maxAlerts/2)
	}
	m.alerts = append(m.alerts, Alert{At: m.world.Now(), App: key.App, Page: key.Page, What: what})
	if what != "disabled" {
		return
	}
	delete(m.failing, key)
	page := m.pages[key.Page]
	delete(page.Fields, key.App)
	m.log.Info("webhooks disabled after an hour of failures", "app", key.App, "page", key.Page)
	for _, d := range m.deliveries {
		if !d.Done && d.App == key.App && !slices.ContainsFunc(d.Pages, func(id string) bool { return len(m.pages[id].Fields[key.App]) > 0 }) {
			d.Done, d.Body, d.Dropped = true, nil, "its Page was unsubscribed"
		}
	}
}

// Unsubscribe takes the Page's level away, as Meta does after an hour of
// failures, or a person in the Page's settings.
func (m *Meta) Unsubscribe(page, app string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, err := m.page(page)
	if err != nil {
		return fmt.Errorf("unsubscribe: %w", err)
	}
	if _, there := p.Fields[app]; !there {
		return fmt.Errorf("unsubscribe: Page %s is not subscribed to by app %s", p.Name, app)
	}
	delete(p.Fields, app)
	return nil
}

// attempt makes the request.
func (m *Meta) attempt(ctx context.Context, d *Delivery, secret, odd string, faults Faults) Attempt {
	result := Attempt{At: m.world.Now(), Odd: odd}
	body := d.Body
	signed := body
	switch odd {
	case "forged":
		body = tamper(body)
		secret += "?"
		signed = body
	case "reencoded":
		body = reencode(body)
	}
	limit := deliverTimeout
	if faults.Patience > 0 {
		limit = time.Duration(faults.Patience)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, d.URL, bytes.NewReader(body))
	if err != nil {
		result.Error = err.Error()
		return result
	}
	header := request.Header
	header.Set("Content-Type", "application/json")
	header.Set("User-Agent", userAgent)
	header.Set("Facebook-Api-Version", versions[len(versions)-1].name)
	newer, older := hmac.New(sha256.New, []byte(secret)), hmac.New(sha1.New, []byte(secret))
	newer.Write(signed)
	older.Write(signed)
	if odd != "unsigned" {
		header.Set("X-Hub-Signature", "sha1="+hex.EncodeToString(older.Sum(nil)))
		if odd != "sha1" {
			header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(newer.Sum(nil)))
		}
	}
	result.Sent = &Sent{Headers: make(map[string]string, len(header)), Body: string(body)}
	for name := range header {
		result.Sent.Headers[name] = header.Get(name)
	}
	response, err := m.client.Do(request)
	if err != nil {
		result.Error = err.Error()
		return result
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10)) // So that the connection is kept.
	result.Status = response.StatusCode
	return result
}

// tamper changes a body as somebody would who wants another answer.
func tamper(body []byte) []byte {
	forged := bytes.Replace(body, []byte(`"text":"`), []byte(`"text":"FORGED `), 1)
	if bytes.Equal(forged, body) {
		return bytes.Replace(body, []byte("1"), []byte("2"), 1)
	}
	return forged
}

// reencode reads JSON and writes it anew, as proxies do that look into bodies.
func reencode(body []byte) []byte {
	var value any
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if decoder.Decode(&value) != nil {
		return body
	}
	return append(marshal(value), '\n')
}

// Deliver sends an app a body that nothing led to, in Meta's own bytes and
// signed as it should be. A text is sent byte for byte.
func (m *Meta) Deliver(app string, body any) (id string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	sub := m.subs[app]
	if sub == nil {
		return "", fmt.Errorf("deliver: app %s has no webhook", app)
	}
	d := &Delivery{ID: m.newID(1), App: app, Object: "page", URL: sub.URL, At: m.world.Now()}
	switch value := body.(type) {
	case string:
		d.Body = []byte(value)
	case []byte:
		d.Body = value
	default:
		d.Body = escape(marshal(body), m.Faults().OldEscapes)
	}
	m.dispatch(d, m.Faults(), func(share float64, fault string) bool { return m.chance(share, fault, d.ID) })
	return d.ID, nil
}

// Again sends a delivery once more, byte for byte, whatever became of it.
func (m *Meta) Again(id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range m.deliveries {
		if d.ID != id {
			continue
		}
		for _, a := range d.Attempts {
			if a.Sent != nil && a.Odd == "" {
				again := &Delivery{ID: m.newID(1), App: d.App, Object: d.Object, Pages: d.Pages, Fields: d.Fields, Standby: d.Standby, Updates: d.Updates,
					URL: d.URL, At: m.world.Now(), Body: []byte(a.Sent.Body)}
				m.remember(again)
				m.schedule(again, 0)
				return nil
			}
		}
		return fmt.Errorf("send delivery %s again: what it said is no longer known", id)
	}
	return fmt.Errorf("send delivery %s again: there is none", id)
}

// Deliveries are copies of all deliveries that are remembered, the oldest first.
func (m *Meta) Deliveries() []Delivery {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]Delivery, len(m.deliveries))
	for i, d := range m.deliveries {
		out[i] = *d
		out[i].Attempts = slices.Clone(d.Attempts)
	}
	return out
}

// Alerts are what Meta told developers, the oldest first.
func (m *Meta) Alerts() []Alert {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.alerts)
}
