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
