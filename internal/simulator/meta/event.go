package meta

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"
	"unicode/utf16"
)

// What webhooks say, in the order in which Meta's samples have it. Source:
// "Messenger Platform: Webhooks Reference", one page for each kind of event.

type payload struct {
	Object string  `json:"object"`
	Entry  []entry `json:"entry"`
}

type entry struct {
	Time      any    `json:"time"`
	ID        string `json:"id"`
	Messaging []any  `json:"messaging,omitempty"`
	Standby   []any  `json:"standby,omitempty"`
	Changes   []any  `json:"changes,omitempty"`
}

type party struct {
	ID string `json:"id"`
}

type event struct {
	Sender    *party `json:"sender,omitempty"`
	Recipient *party `json:"recipient,omitempty"`
	Timestamp any    `json:"timestamp"`

	Message     *message     `json:"message,omitempty"`
	MessageEdit *messageEdit `json:"message_edit,omitempty"`
	Postback    *postback    `json:"postback,omitempty"`
	Delivery    *delivered   `json:"delivery,omitempty"`
	Read        *read        `json:"read,omitempty"`
	Reaction    *reaction    `json:"reaction,omitempty"`
	Referral    *Referral    `json:"referral,omitempty"`
	Optin       *optin       `json:"optin,omitempty"`
	Pass        *control     `json:"pass_thread_control,omitempty"`
	Take        *control     `json:"take_thread_control,omitempty"`
	Request     *control     `json:"request_thread_control,omitempty"`
	Policy      *policy      `json:"policy_enforcement,omitempty"`
}

type message struct {
	MID         string       `json:"mid"`
	Text        string       `json:"text,omitempty"`
	IsEcho      bool         `json:"is_echo,omitempty"`
	AppID       json.Number  `json:"app_id,omitempty"`
	Metadata    string       `json:"metadata,omitempty"`
	QuickReply  *quickReply  `json:"quick_reply,omitempty"`
	ReplyTo     *replyTo     `json:"reply_to,omitempty"`
	Attachments []attachment `json:"attachments,omitempty"`
	Referral    *Referral    `json:"referral,omitempty"`
	IsDeleted   bool         `json:"is_deleted,omitempty"`
	Unsupported bool         `json:"is_unsupported,omitempty"`
}

type quickReply struct {
	Payload string `json:"payload"`
}

type replyTo struct {
	MID         string `json:"mid"`
	IsSelfReply bool   `json:"is_self_reply"`
}

type attachment struct {
	Type    string             `json:"type"`
	Payload *attachmentPayload `json:"payload,omitempty"`
}

type attachmentPayload struct {
	URL       string      `json:"url,omitempty"`
	StickerID json.Number `json:"sticker_id,omitempty"`
}

type messageEdit struct {
	MID     string `json:"mid"`
	Text    string `json:"text"`
	NumEdit int    `json:"num_edit"`
}

type postback struct {
	Title    string    `json:"title"`
	Payload  string    `json:"payload,omitempty"` // Only for the app that sent the button.
	MID      string    `json:"mid"`
	Referral *Referral `json:"referral,omitempty"`
}

type delivered struct {
	MIDs      []string `json:"mids,omitempty"`
	Watermark int64    `json:"watermark"`
}

type read struct {
	Watermark int64  `json:"watermark,omitempty"`
	MID       string `json:"mid,omitempty"` // On Instagram.
}

type reaction struct {
	Reaction string `json:"reaction,omitempty"`
	Emoji    string `json:"emoji,omitempty"`
	Action   string `json:"action"`
	MID      string `json:"mid"`
}

// Referral is how somebody came: by an ad or by a link.
type Referral struct {
	Ref    string `json:"ref,omitempty"`
	Source string `json:"source"` // ADS or SHORTLINK.
	Type   string `json:"type"`   // OPEN_THREAD.
	AdID   string `json:"ad_id,omitempty"`
}

type optin struct {
	Type    string `json:"type"`
	Payload string `json:"payload,omitempty"`
}

type control struct {
	PreviousOwner json.Number `json:"previous_owner_app_id,omitempty"`
	NewOwner      json.Number `json:"new_owner_app_id,omitempty"`
	Requested     json.Number `json:"requested_owner_app_id,omitempty"`
	Metadata      string      `json:"metadata"`
}

type policy struct {
	Action string `json:"action"`
	Reason string `json:"reason"`
}

// update is one thing that happened, for one app.
type update struct {
	App, Object, ID, Page, Field string
	At                           time.Time
	Event                        json.RawMessage
	Standby, Change              bool
}

// marshal writes JSON as Meta does, but for its escapes.
func marshal(value any) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic(fmt.Sprintf("meta: write %T: %v", value, err)) // All of it is ours.
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

// escape writes JSON in Meta's own bytes: what is not ASCII as \uXXXX in lower
// case, with pairs of surrogates, and a slash as \/. Older pages of Meta say
// that <, % and @ are escaped too. Source: "Webhooks: Getting Started",
// validating payloads; "Message Echoes" for the slash.
func escape(body []byte, old bool) []byte {
	out := make([]byte, 0, len(body)+len(body)/8)
	for _, r := range string(body) { // What is not ASCII, or one of these, is within a text.
		switch {
		case r == '/':
			out = append(out, '\\', '/')
		case r >= 0x7f || old && (r == '<' || r == '%' || r == '@'):
			for _, unit := range utf16.Encode([]rune{r}) {
				out = fmt.Appendf(out, `\u%04x`, unit)
			}
		default:
			out = append(out, byte(r))
		}
	}
	return out
}

// milliseconds are how webhooks count time.
func milliseconds(t time.Time) int64 { return t.UnixMilli() }

// Apps by which Meta itself writes. Its pages give two numbers for the inbox.
const inboxApp = "263902037430900"

// hears tells whether an app hears of a field of a Page: both levels have it,
// and somebody who may has let the app read messages. mu is held.
func (m *Meta) hears(app *App, page *Page, field string) bool {
	sub := m.subs[app.ID]
	if sub == nil || !slices.Contains(sub.Fields, field) || !slices.Contains(page.Fields[app.ID], field) {
		return false
	}
	for _, p := range m.people {
		if p.Grants[app.ID].may("pages_messaging", page.ID) && len(page.Roles[p.ID]) > 0 {
			return true
		}
	}
	return false
}

// emit tells every app that hears of it what happened in a thread; build makes
// the event for an app, with false where the app is on standby. mu is held.
func (m *Meta) emit(t *Thread, field string, build func(app *App, standby bool) event) {
	for _, id := range sortedKeys(m.apps) {
		m.emitTo(id, t, field, build)
	}
}

// emitTo tells one app, if it hears of it; mu is held.
func (m *Meta) emitTo(id string, t *Thread, field string, build func(app *App, standby bool) event) {
	app, page := m.apps[id], m.pages[t.Page]
	if !m.hears(app, page, field) || app.Development && !m.shoppers[t.Shopper].Role || t.Instagram && page.Instagram.Closed {
		return
	}
	now := m.world.Now()
	owner := t.owner(now)
	standby := owner != "" && owner != app.ID && field != "messaging_handovers"
	if standby && !m.hears(app, page, "standby") {
		return
	}
	u := update{App: app.ID, Object: "page", ID: page.ID, Page: page.ID, Field: field, At: now, Standby: standby}
	if t.Instagram {
		u.Object, u.ID = "instagram", page.Instagram.ID
	}
	e := build(app, standby)
	if e.Timestamp == nil {
		e.Timestamp = milliseconds(now)
	}
	if m.chance(m.Faults().TextTimes, "text_times", t.PSID, strconv.FormatInt(now.UnixNano(), 10)) {
		e.Timestamp = fmt.Sprint(e.Timestamp)
	}
	u.Event = marshal(e)
	m.tell(u)
}
