package facebook

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Entry is what a webhook's body says of one Page.
type Entry struct {
	Object string // page, or instagram.
	ID     string // Of the Page, or of the Instagram account.
	At     time.Time
	Raw    []byte // The entry as it came.
}

// MaxEntries bounds the entries of a body: Meta puts up to a thousand changes in one
// (Meta's page "Webhooks: Getting Started").
const MaxEntries = 2000

// Split takes a webhook's body apart by Page. An entry that names no Page is
// left out.
func Split(body []byte) ([]Entry, error) {
	var said struct {
		Object string            `json:"object"`
		Entry  []json.RawMessage `json:"entry"`
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return nil, errors.New("the body is not JSON of the form that Meta documents")
	}
	if len(said.Entry) > MaxEntries {
		return nil, fmt.Errorf("the body has %d entries, more than %d", len(said.Entry), MaxEntries)
	}
	var all []Entry
	for _, raw := range said.Entry {
		var head struct {
			ID   text `json:"id"`
			Time when `json:"time"`
		}
		if json.Unmarshal(raw, &head) != nil || head.ID == "" {
			continue
		}
		all = append(all, Entry{said.Object, string(head.ID), head.Time.Time, raw})
	}
	return all, nil
}

// Body writes an entry as a body of its own, its bytes as they came.
func (e Entry) Body() []byte {
	object, _ := json.Marshal(e.Object) // A string: it cannot fail.
	return bytes.Join([][]byte{[]byte(`{"object":`), object, []byte(`,"entry":[`), e.Raw, []byte(`]}`)}, nil)
}

// Kind says what an event is.
type Kind string

const (
	KindMessage  Kind = "message"
	KindEcho     Kind = "echo" // What the Page itself wrote, from here or from its inbox.
	KindDeleted  Kind = "deleted"
	KindEdit     Kind = "edit"
	KindPostback Kind = "postback" // A button was pressed.
	KindReaction Kind = "reaction"
	KindReferral Kind = "referral"
	KindOptin    Kind = "optin"
	KindHandover Kind = "handover" // Another app or a person takes or gives the conversation.
	KindPolicy   Kind = "policy"   // Meta warns the Page, or bars it.
	KindDelivery Kind = "delivery"
	KindRead     Kind = "read"
	KindOther    Kind = "other" // Nothing here knows it.
)

// Event is one thing that happened at a Page.
type Event struct {
	Kind Kind
	// Standby says that another app, or a person, has the conversation: it is to be
	// listened to and not to be answered.
	Standby bool
	Page    string
	Object  string
	Person  string // The shopper, whoever wrote; empty where there is none.
	// Key is the same for the same event however often it comes.
	Key     string
	MID     string // Of the message that it is, or is about.
	At      time.Time
	Text    string
	Payload string // Of a quick reply or a button.
	AppID   string // Of an echo: which app wrote. Empty: a person, or an app of Meta's.
	// Attached are kinds of attachments, also ones not known yet.
	Attached []string
	Action   string // Of a policy event, a reaction, or a handover.
	Reason   string // Of a policy event, in Meta's words.
	Raw      json.RawMessage
}

// Answerable tells events that wait for an answer.
func (e Event) Answerable() bool {
	return !e.Standby && (e.Kind == KindMessage || e.Kind == KindPostback || e.Kind == KindOptin || e.Kind == KindReferral)
}

// Kept tells events that a responder needs. That something was delivered or read
// is not among them.
func (e Event) Kept() bool { return e.Kind != KindDelivery && e.Kind != KindRead }

// Events reads a body. What is not known comes as KindOther: new kinds of
// events and attachments appear without notice, and must not hide the rest.
func Events(body []byte) ([]Event, error) {
	entries, err := Split(body)
	if err != nil {
		return nil, err
	}
	var all []Event
	for _, entry := range entries {
		var said struct {
			Messaging []json.RawMessage `json:"messaging"`
			Standby   []json.RawMessage `json:"standby"`
			Changes   []json.RawMessage `json:"changes"`
		}
		if json.Unmarshal(entry.Raw, &said) != nil {
			all = append(all, unknown(entry, entry.Raw))
			continue
		}
		for _, raw := range said.Messaging {
			all = append(all, entry.event(raw, false))
		}
		for _, raw := range said.Standby {
			all = append(all, entry.event(raw, true))
		}
		for _, raw := range said.Changes {
			all = append(all, unknown(entry, raw))
		}
	}
	return all, nil
}

func unknown(entry Entry, raw json.RawMessage) Event {
	e := Event{Kind: KindOther, Page: entry.ID, Object: entry.Object, At: entry.At, Raw: raw}
	e.Key = e.derivedKey()
	return e
}

// Body writes the event as a webhook's body of its own, which Events reads again.
func (e Event) Body() []byte {
	where := "messaging"
	if e.Standby {
		where = "standby"
	}
	id, _ := json.Marshal(e.Page) // A string: it cannot fail.
	raw := bytes.Join([][]byte{[]byte(`{"id":`), id, []byte(`,"` + where + `":[`), e.Raw, []byte(`]}`)}, nil)
	return Entry{Object: e.Object, ID: e.Page, Raw: raw}.Body()
}

type party struct {
	ID text `json:"id"`
}

// messaging is one element of messaging or standby (Meta's pages of the webhook
// events of the Messenger Platform).
type messaging struct {
	Sender    party `json:"sender"`
	Recipient party `json:"recipient"`
	Timestamp when  `json:"timestamp"`
	Message   *struct {
		MID        string `json:"mid"`
		Text       string `json:"text"`
		IsEcho     bool   `json:"is_echo"`
		IsDeleted  bool   `json:"is_deleted"`
		AppID      text   `json:"app_id"`
		QuickReply struct {
			Payload string `json:"payload"`
		} `json:"quick_reply"`
		Attachments []struct {
			Type string `json:"type"`
		} `json:"attachments"`
	} `json:"message"`
	Edit *struct {
		MID  string `json:"mid"`
		Text string `json:"text"`
		Num  text   `json:"num_edit"`
	} `json:"message_edit"`
	Postback *struct {
		MID     string `json:"mid"`
		Title   string `json:"title"`
		Payload string `json:"payload"`
	} `json:"postback"`
	Reaction *struct {
		MID    string `json:"mid"`
		Action string `json:"action"`
	} `json:"reaction"`
	Policy *struct {
		Action string `json:"action"`
		Reason string `json:"reason"`
	} `json:"policy_enforcement"`
	Delivery json.RawMessage `json:"delivery"`
	Read     json.RawMessage `json:"read"`
	Referral json.RawMessage `json:"referral"`
	Optin    json.RawMessage `json:"optin"`
	Pass     json.RawMessage `json:"pass_thread_control"`
	Take     json.RawMessage `json:"take_thread_control"`
	Request  json.RawMessage `json:"request_thread_control"`
	Roles    json.RawMessage `json:"app_roles"`
}

func (entry Entry) event(raw json.RawMessage, standby bool) Event {
	var m messaging
	if json.Unmarshal(raw, &m) != nil {
		return unknown(entry, raw)
	}
	e := Event{Kind: KindOther, Standby: standby, Page: entry.ID, Object: entry.Object, Person: string(m.Sender.ID), At: m.Timestamp.Time, Raw: raw}
	if e.At.IsZero() {
		e.At = entry.At
	}
	if e.Person == entry.ID { // The Page is the sender of its echoes.
		e.Person = string(m.Recipient.ID)
	}
	switch {
	case m.Message != nil:
		e.Kind, e.MID, e.Text, e.Payload = KindMessage, m.Message.MID, m.Message.Text, m.Message.QuickReply.Payload
		for _, a := range m.Message.Attachments {
			e.Attached = append(e.Attached, a.Type)
		}
		switch {
		case m.Message.IsDeleted:
			e.Kind = KindDeleted
		case m.Message.IsEcho:
			e.Kind, e.AppID = KindEcho, string(m.Message.AppID)
		}
	case m.Edit != nil:
		e.Kind, e.MID, e.Text, e.Action = KindEdit, m.Edit.MID, m.Edit.Text, string(m.Edit.Num)
	case m.Postback != nil:
		e.Kind, e.MID, e.Text, e.Payload = KindPostback, m.Postback.MID, m.Postback.Title, m.Postback.Payload
	case m.Reaction != nil:
		e.Kind, e.MID, e.Action = KindReaction, m.Reaction.MID, m.Reaction.Action
	case m.Policy != nil:
		e.Kind, e.Action, e.Reason = KindPolicy, cut(m.Policy.Action), cut(m.Policy.Reason)
	case m.Pass != nil, m.Take != nil, m.Request != nil, m.Roles != nil:
		e.Kind, e.Action = KindHandover, handover(m)
	case m.Delivery != nil:
		e.Kind = KindDelivery
	case m.Read != nil:
		e.Kind = KindRead
	case m.Referral != nil:
		e.Kind = KindReferral
	case m.Optin != nil:
		e.Kind = KindOptin
	}
	e.Key = e.key()
	return e
}

func handover(m messaging) string {
	switch {
	case m.Pass != nil:
		return "pass"
	case m.Take != nil:
		return "take"
	case m.Request != nil:
		return "request"
	}
	return "roles"
}

// key names an event by its message's id, which is the same in every repetition;
// one that is no message of its own has none, and gets a key made of all it says.
func (e Event) key() string {
	switch {
	case e.MID == "":
	case e.Kind == KindMessage, e.Kind == KindEcho, e.Kind == KindPostback:
		return "mid:" + e.MID
	case e.Kind == KindDeleted:
		return "deleted:" + e.MID
	}
	return e.derivedKey()
}

func (e Event) derivedKey() string {
	said := []byte(e.Raw)
	var value any
	decoder := json.NewDecoder(bytes.NewReader(e.Raw))
	decoder.UseNumber()
	if decoder.Decode(&value) == nil {
		// Another order of the same fields is the same event.
		if canonical, err := json.Marshal(value); err == nil {
			said = canonical
		}
	}
	sum := sha256.Sum256(said)
	return string(e.Kind) + ":" + hex.EncodeToString(sum[:16])
}

// when is a moment in milliseconds or, on some pages, in seconds, as a number or
// as a string. What cannot be read is no moment.
type when struct{ time.Time }

func (w *when) UnmarshalJSON(b []byte) error {
	var t text
	if json.Unmarshal(b, &t) != nil {
		return nil
	}
	number, err := strconv.ParseInt(string(t), 10, 64)
	const firstMillis = 100_000_000_000 // As seconds it is the year 5138.
	switch {
	case err != nil || number <= 0 || number > 1<<52:
	case number < firstMillis:
		w.Time = time.Unix(number, 0)
	default:
		w.Time = time.UnixMilli(number)
	}
	return nil
}
