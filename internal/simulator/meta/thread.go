package meta

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

const (
	// maxThreadMessages are kept of a thread; the oldest are forgotten first.
	maxThreadMessages = 200
	// idleAfter is how long somebody's control of a thread lasts without a
	// message. Unproven.
	idleAfter = 24 * time.Hour
)

// Thread is what a person and a Page say to each other.
type Thread struct {
	Page      string    `json:"page"`
	PSID      string    `json:"psid"` // The person's id for this Page, or for its Instagram account.
	Shopper   string    `json:"shopper"`
	Instagram bool      `json:"instagram,omitempty"`
	Messages  []Said    `json:"messages"`
	Opened    time.Time `json:"opened"`           // When the person last did what opens the window.
	Window    time.Time `json:"window"`           // Until when the Page may answer.
	Owner     string    `json:"owner,omitempty"`  // The app that has control; empty is everybody's.
	Blocked   bool      `json:"blocked"`          // By the person.
	Deaf      bool      `json:"cannot_receive"`   // The person does not take the Page's messages.
	Touched   time.Time `json:"touched"`          // When the last message came or went.
	Typing    time.Time `json:"typing,omitzero"`  // Until when the Page shows that it types.
	Seen      time.Time `json:"seen_by,omitzero"` // When the Page marked it as seen.
	Sends     int       `json:"sends"`            // By apps since the person last wrote.
}

// Said is one message of a thread.
type Said struct {
	MID      string          `json:"mid"`
	At       time.Time       `json:"at"`
	From     string          `json:"from"` // shopper, app or inbox.
	App      string          `json:"app,omitempty"`
	Text     string          `json:"text,omitempty"`
	Message  json.RawMessage `json:"message,omitempty"` // As an app sent it.
	Buttons  []Button        `json:"buttons,omitempty"` // What can be tapped.
	Edits    int             `json:"edits,omitempty"`
	Deleted  bool            `json:"deleted,omitempty"`
	Reaction string          `json:"reaction,omitempty"`
	Metadata string          `json:"metadata,omitempty"`
	Standby  bool            `json:"standby,omitempty"` // An app said it while another had control.
}

// Button is something that can be tapped: of a template, or a quick reply.
type Button struct {
	Title   string `json:"title"`
	Payload string `json:"payload,omitempty"`
	URL     string `json:"url,omitempty"`
	Quick   bool   `json:"quick,omitempty"`
	App     string `json:"app,omitempty"` // Who sent it.
}

// owner is who has control of a thread now.
func (t *Thread) owner(now time.Time) string {
	if t.Owner != "" && now.Sub(t.Touched) > idleAfter {
		return ""
	}
	return t.Owner
}

func (t *Thread) add(s Said) {
	if len(t.Messages) >= maxThreadMessages {
		t.Messages = slices.Delete(t.Messages, 0, maxThreadMessages/2)
	}
	t.Messages = append(t.Messages, s)
	t.Touched = s.At
}

func (t *Thread) message(mid string) *Said {
	at := slices.IndexFunc(t.Messages, func(s Said) bool { return s.MID == mid })
	if at < 0 {
		return nil
	}
	return &t.Messages[at]
}

// open lets the Page answer for a time. Source: "Messenger Platform Policy":
// 24 hours, after an ad up to 7 days.
func (t *Thread) open(now time.Time, window time.Duration) {
	t.Opened, t.Sends = now, 0
	if until := now.Add(window); until.After(t.Window) {
		t.Window = until
	}
}

const (
	window      = 24 * time.Hour
	adWindow    = 7 * 24 * time.Hour
	humanWindow = 7 * 24 * time.Hour
)

// Message is what a shopper writes.
type Message struct {
	Page      string       `json:"page"`    // By id or name.
	Shopper   string       `json:"shopper"` // By name; made where there is none of it.
	Instagram bool         `json:"instagram,omitempty"`
	Text      string       `json:"text,omitempty"`
	Payload   string       `json:"payload,omitempty"`  // Of the quick reply that was tapped.
	ReplyTo   string       `json:"reply_to,omitempty"` // The mid of what it answers.
	Attach    []Attachment `json:"attachments,omitempty"`
	Referral  *Referral    `json:"referral,omitempty"`
}

// Attachment is what hangs on a message.
type Attachment struct {
	Type    string `json:"type"`
	URL     string `json:"url,omitempty"`
	Sticker string `json:"sticker_id,omitempty"`
}

// shopper finds somebody by name, or makes her; mu is held.
func (m *Meta) shopper(name string) (*Shopper, error) {
	if name == "" {
		return nil, fmt.Errorf("a shopper has a name")
	}
	if s := m.shoppers[name]; s != nil {
		return s, nil
	}
	if len(m.shoppers) >= maxPeople {
		return nil, fmt.Errorf("there are %d shoppers already", maxPeople)
	}
	s := &Shopper{ID: name, Name: name, Scoped: make(map[string]string)}
	m.shoppers[name] = s
	return s, nil
}

// thread finds where a person and a Page talk; mu is held.
func (m *Meta) thread(pageName, shopperName string, instagram bool) (*Page, *Thread, error) {
	page, err := m.page(pageName)
	if err != nil {
		return nil, nil, err
	}
	shopper, err := m.shopper(shopperName)
	if err != nil {
		return nil, nil, err
	}
	at, base := page.ID, int64(shopperBase)
	if instagram {
		if page.Instagram == nil {
			return nil, nil, fmt.Errorf("Page %s has no Instagram account", page.Name)
		}
		at, base = page.Instagram.ID, igUserBase
	}
	psid := shopper.Scoped[at]
	if psid == "" {
		psid = m.newID(base)
		shopper.Scoped[at] = psid
	}
	t := page.threads[psid]
	if t == nil {
		t = &Thread{Page: page.ID, PSID: psid, Shopper: shopper.ID, Instagram: instagram}
		page.threads[psid] = t
	}
	return page, t, nil
}

// address is the id of the Page's side of a thread; mu is held.
func (m *Meta) address(t *Thread) string {
	if t.Instagram {
		return m.pages[t.Page].Instagram.ID
	}
	return t.Page
}

func (m *Meta) newMID() string { return "m_" + m.world.Text(64) }

// Write sends a shopper's message to a Page and returns its mid.
func (m *Meta) Write(say Message) (mid string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, t, err := m.thread(say.Page, say.Shopper, say.Instagram)
	if err != nil {
		return "", fmt.Errorf("write to a Page: %w", err)
	}
	now := m.world.Now()
	length := window
	if say.Referral != nil && say.Referral.Source == "ADS" {
		length = adWindow
	}
	mid = m.newMID()
	t.open(now, length)
	t.Blocked = false
	t.add(Said{MID: mid, At: now, From: "shopper", Text: say.Text})
	body := message{MID: mid, Text: say.Text, Referral: say.Referral}
	if say.Payload != "" {
		body.QuickReply = &quickReply{say.Payload}
	}
	if say.ReplyTo != "" {
		said := t.message(say.ReplyTo)
		body.ReplyTo = &replyTo{MID: say.ReplyTo, IsSelfReply: said != nil && said.From == "shopper"}
	}
	for _, a := range say.Attach {
		body.Attachments = append(body.Attachments, a.event())
	}
	m.emit(t, "messages", func(*App, bool) event {
		return event{Sender: &party{t.PSID}, Recipient: &party{m.address(t)}, Timestamp: milliseconds(now), Message: &body}
	})
	return mid, nil
}

func (a Attachment) event() attachment {
	out := attachment{Type: a.Type}
	if a.URL != "" || a.Sticker != "" {
		out.Payload = &attachmentPayload{URL: a.URL, StickerID: json.Number(a.Sticker)}
	}
	return out
}

// PSID is the id by which a Page knows a shopper.
func (m *Meta) PSID(page, shopper string, instagram bool) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, t, err := m.thread(page, shopper, instagram)
	if err != nil {
		return "", err
	}
	return t.PSID, nil
}

// Talk is a copy of what a shopper and a Page say to each other.
func (m *Meta) Talk(page, shopper string, instagram bool) (Thread, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, t, err := m.thread(page, shopper, instagram)
	if err != nil {
		return Thread{}, err
	}
	out := *t
	out.Messages = slices.Clone(t.Messages)
	return out, nil
}

// act does something of a shopper's in a thread; mu is held while it runs.
func (m *Meta) act(what, page, shopper string, instagram bool, do func(*Page, *Thread) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, t, err := m.thread(page, shopper, instagram)
	if err == nil {
		err = do(p, t)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// shopperEvent is an event that goes from a shopper to a Page; mu is held.
func (m *Meta) shopperEvent(t *Thread) event {
	return event{Sender: &party{t.PSID}, Recipient: &party{m.address(t)}}
}

// Tap presses a button that sends a postback. On standby its payload is
// missing, and so it is for other apps than the one that sent the button.
func (m *Meta) Tap(page, shopper string, instagram bool, title, payload string, referral *Referral) error {
	return m.act("tap", page, shopper, instagram, func(_ *Page, t *Thread) error {
		now := m.world.Now()
		t.open(now, window)
		mid, sender := m.newMID(), ""
		for _, said := range t.Messages {
			for _, b := range said.Buttons {
				if b.Title == title && b.Payload == payload {
					sender = b.App
				}
			}
		}
		t.add(Said{MID: mid, At: now, From: "shopper", Text: "[" + title + "]"})
		m.emit(t, "messaging_postbacks", func(app *App, standby bool) event {
			e := m.shopperEvent(t)
			e.Postback = &postback{Title: title, Payload: payload, MID: mid, Referral: referral}
			if standby || sender != "" && sender != app.ID {
				e.Postback.Payload = ""
			}
			return e
		})
		return nil
	})
}

// Read tells that a shopper has seen all there is: by a watermark on Messenger,
// by a message's id on Instagram.
func (m *Meta) Read(page, shopper string, instagram bool) error {
	return m.act("read", page, shopper, instagram, func(_ *Page, t *Thread) error {
		last := ""
		for _, said := range t.Messages {
			if said.From != "shopper" {
				last = said.MID
			}
		}
		m.emit(t, "message_reads", func(*App, bool) event {
			e := m.shopperEvent(t)
			if t.Instagram {
				e.Read = &read{MID: last}
			} else {
				e.Read = &read{Watermark: milliseconds(m.world.Now())}
			}
			return e
		})
		return nil
	})
}

// React puts an emoji on a message, or with an empty one takes it away. It opens the window.
func (m *Meta) React(page, shopper string, instagram bool, mid, emoji string) error {
	return m.act("react", page, shopper, instagram, func(_ *Page, t *Thread) error {
		said := t.message(mid)
		if said == nil {
			return fmt.Errorf("no message %s", mid)
		}
		said.Reaction = emoji
		r := reaction{Reaction: "other", Emoji: emoji, Action: "react", MID: mid}
		if emoji == "" {
			r = reaction{Action: "unreact", MID: mid}
		} else {
			t.open(m.world.Now(), window)
		}
		m.emit(t, "message_reactions", func(*App, bool) event {
			e := m.shopperEvent(t)
			e.Reaction = &r
			return e
		})
		return nil
	})
}

// Edit changes what a shopper wrote.
func (m *Meta) Edit(page, shopper string, instagram bool, mid, text string) error {
	return m.act("edit", page, shopper, instagram, func(_ *Page, t *Thread) error {
		said := t.message(mid)
		if said == nil || said.From != "shopper" {
			return fmt.Errorf("the shopper wrote no message %s", mid)
		}
		said.Text = text
		said.Edits++
		m.emit(t, "message_edits", func(*App, bool) event {
			e := m.shopperEvent(t)
			e.MessageEdit = &messageEdit{MID: mid, Text: text, NumEdit: said.Edits}
			return e
		})
		return nil
	})
}

// Unsend takes back what a shopper wrote: on Instagram apps are told, by the same mid.
func (m *Meta) Unsend(page, shopper string, mid string) error {
	return m.act("unsend", page, shopper, true, func(_ *Page, t *Thread) error {
		said := t.message(mid)
		if said == nil || said.From != "shopper" {
			return fmt.Errorf("the shopper wrote no message %s", mid)
		}
		said.Deleted, said.Text = true, ""
		m.emit(t, "messages", func(*App, bool) event {
			e := m.shopperEvent(t)
			e.Message = &message{MID: mid, IsDeleted: true}
			return e
		})
		return nil
	})
}

// Follow opens a thread by a link or an ad: ADS, or SHORTLINK for m.me links.
// In a thread that there was, this is an event of its own.
func (m *Meta) Follow(page, shopper string, referral Referral) error {
	return m.act("follow a link", page, shopper, false, func(_ *Page, t *Thread) error {
		length := window
		if referral.Source == "ADS" {
			length = adWindow
		}
		referral.Type = "OPEN_THREAD"
		t.open(m.world.Now(), length)
		m.emit(t, "messaging_referrals", func(*App, bool) event {
			e := m.shopperEvent(t)
			e.Referral = &referral
			return e
		})
		return nil
	})
}

// Block lets a shopper take no more of a Page: 551/1545041. She takes it back by writing.
func (m *Meta) Block(page, shopper string, instagram, on bool) error {
	return m.act("block", page, shopper, instagram, func(_ *Page, t *Thread) error {
		t.Blocked = on
		return nil
	})
}

// Deafen makes a shopper one who cannot be written to: 10/2018108.
func (m *Meta) Deafen(page, shopper string, instagram, on bool) error {
	return m.act("deafen", page, shopper, instagram, func(_ *Page, t *Thread) error {
		t.Deaf = on
		return nil
	})
}

// Agree lets a shopper's name be read, or not: 230.
func (m *Meta) Agree(shopper string, on bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, err := m.shopper(shopper)
	if err != nil {
		return fmt.Errorf("agree: %w", err)
	}
	s.Asked = on
	return nil
}

// SetRole gives a shopper a role on the app, as testers have: what others write
// does not reach an app in development mode.
func (m *Meta) SetRole(shopper string, on bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, err := m.shopper(shopper)
	if err != nil {
		return fmt.Errorf("set role: %w", err)
	}
	s.Role = on
	return nil
}

// Answer is a person answering from the Page's inbox. Apps get an echo, and
// then what happens in the thread on standby, until control is given back.
func (m *Meta) Answer(page, shopper string, instagram bool, text string) (mid string, err error) {
	err = m.act("answer from the inbox", page, shopper, instagram, func(_ *Page, t *Thread) error {
		mid = m.newMID()
		t.add(Said{MID: mid, At: m.world.Now(), From: "inbox", App: inboxApp, Text: text})
		m.echo(t, message{MID: mid, Text: text, AppID: inboxApp})
		if before := t.owner(m.world.Now()); before != inboxApp {
			t.Owner = inboxApp
			m.handover(t, func(app *App) *control {
				if before == app.ID {
					return &control{PreviousOwner: json.Number(before), NewOwner: inboxApp}
				}
				return nil
			}, false)
		}
		return nil
	})
	return mid, err
}

// echo tells apps what the Page said; mu is held. On Instagram it comes within messages.
func (m *Meta) echo(t *Thread, body message) {
	body.IsEcho = true
	field := "message_echoes"
	if t.Instagram {
		field = "messages"
	}
	m.emit(t, field, func(*App, bool) event {
		return event{Sender: &party{m.address(t)}, Recipient: &party{t.PSID}, Message: &body}
	})
}

// handover tells the apps that about says something to that a thread has
// another owner; mu is held.
func (m *Meta) handover(t *Thread, about func(*App) *control, passed bool) {
	for _, id := range sortedKeys(m.apps) {
		c := about(m.apps[id])
		if c == nil {
			continue
		}
		m.emitTo(id, t, "messaging_handovers", func(*App, bool) event {
			e := m.shopperEvent(t)
			if passed {
				e.Pass = c
			} else {
				e.Take = c
			}
			return e
		})
	}
}

// GiveBack passes a thread from the inbox to an app, or with none named to everybody.
func (m *Meta) GiveBack(page, shopper string, instagram bool, app string) error {
	return m.act("give back", page, shopper, instagram, func(_ *Page, t *Thread) error {
		if app != "" && m.apps[app] == nil {
			return fmt.Errorf("no app %q", app)
		}
		t.Owner = app
		t.Touched = m.world.Now()
		m.handover(t, func(other *App) *control {
			if other.ID != app {
				return nil
			}
			return &control{PreviousOwner: inboxApp, NewOwner: json.Number(app)}
		}, true)
		return nil
	})
}

// Enforce tells apps that Meta acts against a Page, or no longer: block or unblock.
func (m *Meta) Enforce(page, action, reason string) error {
	if action != "block" && action != "unblock" {
		return fmt.Errorf("enforce a policy: %q is neither block nor unblock", action)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	p, err := m.page(page)
	if err != nil {
		return fmt.Errorf("enforce a policy: %w", err)
	}
	p.Barred = action == "block"
	for _, id := range sortedKeys(m.apps) {
		if app := m.apps[id]; m.hears(app, p, "messaging_policy_enforcement") {
			e := event{Recipient: &party{p.ID}, Timestamp: milliseconds(m.world.Now()), Policy: &policy{action, reason}}
			m.tell(update{App: id, Object: "page", ID: p.ID, Page: p.ID, Field: "messaging_policy_enforcement", At: m.world.Now(), Event: marshal(e)})
		}
	}
	return nil
}

// Change tells of something on a Page that is no message: its feed, a mention.
func (m *Meta) Change(page, field string, value any) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, err := m.page(page)
	if err != nil {
		return fmt.Errorf("change a Page: %w", err)
	}
	for _, id := range sortedKeys(m.apps) {
		if app := m.apps[id]; m.hears(app, p, field) {
			m.tell(update{App: id, Object: "page", ID: p.ID, Page: p.ID, Field: field, At: m.world.Now(), Change: true,
				Event: marshal(map[string]any{"field": field, "value": value})})
		}
	}
	return nil
}

// Threads are copies of all threads of a Page, the latest first.
func (m *Meta) Threads(page string) ([]Thread, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, err := m.page(page)
	if err != nil {
		return nil, err
	}
	out := []Thread{}
	for _, psid := range sortedKeys(p.threads) {
		t := *p.threads[psid]
		t.Messages = slices.Clone(t.Messages)
		out = append(out, t)
	}
	slices.SortStableFunc(out, func(a, b Thread) int { return b.Touched.Compare(a.Touched) })
	return out, nil
}
