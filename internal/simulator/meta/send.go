package meta

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of what a Page may say. Source: "Generic Template", "Button Template",
// "Quick Replies", "Send API"; those of texts, titles and payloads of buttons
// are constants of Meta's own client. That a quick reply's payload is limited to
// 1,000 characters is unproven.
const (
	maxText        = 2000 // Characters, on Messenger.
	maxIGText      = 1000 // Bytes, on Instagram.
	maxElements    = 10
	maxTitle       = 80
	maxButtonText  = 640
	maxButtons     = 3
	maxButtonTitle = 20
	maxPayload     = 1000
	maxQuick       = 13
	minGrid        = 2
	maxGrid        = 6
)

var (
	deadTags = []string{"CONFIRMED_EVENT_UPDATE", "POST_PURCHASE_UPDATE", "ACCOUNT_UPDATE"} // Since 27 April 2026.
	actions  = []string{"typing_on", "typing_off", "mark_seen", "react", "unreact"}
)

type sentMessage struct {
	Text         string            `json:"text"`
	Attachment   *sentAttachment   `json:"attachment"`
	Attachments  []sentAttachment  `json:"attachments"`
	QuickReplies []sentQuick       `json:"quick_replies"`
	Metadata     string            `json:"metadata"`
	ReplyTo      map[string]string `json:"reply_to"`
}

type sentAttachment struct {
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload"`
}

type sentQuick struct {
	ContentType string `json:"content_type"`
	Title       string `json:"title"`
	Payload     string `json:"payload"`
	ImageURL    string `json:"image_url"`
}

type sentPayload struct {
	URL          string        `json:"url"`
	AttachmentID string        `json:"attachment_id"`
	TemplateType string        `json:"template_type"`
	Text         string        `json:"text"`
	Buttons      []sentButton  `json:"buttons"`
	Elements     []sentElement `json:"elements"`
}

type sentElement struct {
	Title         string       `json:"title"`
	Subtitle      string       `json:"subtitle"`
	ImageURL      string       `json:"image_url"`
	DefaultAction *sentButton  `json:"default_action"`
	Buttons       []sentButton `json:"buttons"`
}

type sentButton struct {
	Type    string `json:"type"`
	Title   string `json:"title"`
	URL     string `json:"url"`
	Payload string `json:"payload"`
}

// recipient finds the thread that a call names; mu is held. An id is of one
// Page: another's is unknown here.
func (c *call) recipient(page *Page, id string) (*Thread, *graphError) {
	if t := page.threads[id]; t != nil {
		return t, nil
	}
	if page.Instagram != nil && c.path[0] == page.Instagram.ID {
		return nil, fail("100/2534014")
	}
	for _, other := range c.m.pages {
		if t := other.threads[id]; t != nil && t.Instagram {
			return nil, fail("100/2534014")
		}
	}
	return nil, fail("100/2018001")
}

// send is the Send API.
func (c *call) send() (any, *graphError) {
	m := c.m
	m.mu.Lock()
	defer m.mu.Unlock()
	page, err := c.forPage("pages_messaging")
	if err != nil {
		return nil, err
	}
	var to struct {
		ID string `json:"id"`
	}
	if json.Unmarshal([]byte(c.param("recipient")), &to) != nil || to.ID == "" {
		return nil, fail("100", "(#100) The parameter recipient is required")
	}
	t, err := c.recipient(page, to.ID)
	if err != nil {
		return nil, err
	}
	if !page.hasTask(c.token.Person, TaskMessaging, TaskModerate) {
		return nil, fail("200", "(#200) User does not have sufficient administrative permission for this action on this page")
	}
	if t.Instagram {
		if !c.person().Grants[c.token.App].may("instagram_manage_messages", page.ID) {
			return nil, fail("200", "(#200) Requires instagram_manage_messages permission to manage the object")
		}
		if page.Instagram.Closed {
			return nil, fail("200/2534041")
		}
	}
	now := m.world.Now()
	if action := c.param("sender_action"); action != "" {
		if c.param("message") != "" || !slices.Contains(actions, action) {
			return nil, fail("100", "(#100) Param sender_action must be one of {%s}, and stand alone", strings.Join(actions, ", "))
		}
		if err := c.reachable(page, t, now, ""); err != nil {
			return nil, err
		}
		switch action {
		case "typing_on":
			t.Typing = now.Add(20 * time.Second)
		case "typing_off":
			t.Typing = time.Time{}
		case "mark_seen":
			t.Seen = now
		}
		return map[string]string{"recipient_id": t.PSID}, nil
	}
	tag, err := c.messagingType(t)
	if err != nil {
		return nil, err
	}
	var body sentMessage
	if c.param("message") == "" || json.Unmarshal([]byte(c.param("message")), &body) != nil {
		return nil, fail("100", "(#100) The parameter message is required")
	}
	buttons, heavy, err := judgeMessage(&body, t.Instagram)
	if err != nil {
		return nil, err
	}
	if err := c.reachable(page, t, now, tag); err != nil {
		return nil, err
	}
	if err := page.spend(t.Instagram, heavy, now); err != nil {
		return nil, err
	}
	mid := m.newMID()
	for i := range buttons {
		buttons[i].App = c.token.App
	}
	owner := t.owner(now)
	t.Sends++
	t.Typing = time.Time{}
	t.add(Said{MID: mid, At: now, From: "app", App: c.token.App, Text: body.Text, Message: json.RawMessage(c.param("message")), Buttons: buttons, Metadata: body.Metadata,
		Standby: owner != "" && owner != c.token.App})
	echo := message{MID: mid, Text: body.Text, AppID: json.Number(c.token.App), Metadata: body.Metadata}
	for _, a := range slices.Concat(body.Attachments, attachmentList(body.Attachment)) {
		var p sentPayload
		_ = json.Unmarshal(a.Payload, &p) // judgeMessage read it before.
		out := attachment{Type: a.Type}
		if p.URL != "" {
			out.Payload = &attachmentPayload{URL: p.URL}
		}
		echo.Attachments = append(echo.Attachments, out)
	}
	m.echo(t, echo)
	if !t.Instagram { // Which has no such event.
		m.emit(t, "message_deliveries", func(*App, bool) event {
			e := m.shopperEvent(t)
			e.Delivery = &delivered{MIDs: []string{mid}, Watermark: milliseconds(now)}
			return e
		})
	}
	return map[string]string{"recipient_id": t.PSID, "message_id": mid}, nil
}

func attachmentList(a *sentAttachment) []sentAttachment {
	if a == nil {
		return nil
	}
	return []sentAttachment{*a}
}

// reachable tells whether a Page may write to somebody now; mu is held.
func (c *call) reachable(page *Page, t *Thread, now time.Time, tag string) *graphError {
	switch {
	case page.Barred:
		return fail("10/1893063")
	case t.Blocked:
		return fail("551/1545041")
	case t.Deaf:
		return fail("10/2018108")
	case now.Before(t.Window):
		return nil
	case tag == "HUMAN_AGENT" && now.Before(t.Opened.Add(humanWindow)):
		return nil
	case t.Instagram:
		return fail("10/2534022")
	}
	return fail("10/2018278")
}

// messagingType judges messaging_type and tag. Source: "Send API"; that
// messaging_type may be missing, as samples for Instagram have it, is unproven
// for Messenger.
func (c *call) messagingType(t *Thread) (tag string, _ *graphError) {
	kind, tag := c.param("messaging_type"), c.param("tag")
	switch kind {
	case "", "RESPONSE", "UPDATE":
		if tag != "" && kind != "" {
			return "", fail("100", "(#100) Param tag can only be used with messaging_type MESSAGE_TAG")
		}
	case "MESSAGE_TAG":
	default:
		return "", fail("100", "(#100) Param messaging_type must be one of {RESPONSE, UPDATE, MESSAGE_TAG} - got %q.", kind)
	}
	if kind == "MESSAGE_TAG" && tag == "" {
		return "", fail("100", "(#100) The parameter tag is required")
	}
	switch {
	case tag == "":
	case slices.Contains(deadTags, tag):
		return "", fail("100", "(#100) Message tag %s is no longer supported", tag)
	case tag != "HUMAN_AGENT":
		return "", fail("100", "(#100) Param tag must be one of {HUMAN_AGENT} - got %q.", tag)
	case !c.m.apps[c.token.App].HumanAgent:
		return "", fail("10", "(#10) Application does not have the Human Agent feature")
	}
	return tag, nil
}

// tooLong tells whether a text has more characters than it may.
func tooLong(text string, limit int) bool { return utf8.RuneCountInString(text) > limit }

// judgeMessage says what is wrong with a message, what of it can be tapped, and
// whether it is one of those with a lower rate.
func judgeMessage(body *sentMessage, instagram bool) (buttons []Button, heavy bool, _ *graphError) {
	bad := func(format string, args ...any) ([]Button, bool, *graphError) {
		if instagram {
			return nil, false, fail("100/2534015", "(#100) %s", fmt.Sprintf(format, args...))
		}
		return nil, false, fail("100", "(#100) %s", fmt.Sprintf(format, args...))
	}
	parts := 0
	for _, there := range []bool{body.Text != "", body.Attachment != nil, len(body.Attachments) > 0} {
		if there {
			parts++
		}
	}
	switch {
	case parts != 1:
		return bad("Message must have exactly one of text, attachment and attachments")
	case instagram && len(body.Text) > maxIGText:
		return bad("Length of param message[text] must be less than or equal to %d bytes", maxIGText)
	case !instagram && tooLong(body.Text, maxText):
		return bad("Length of param message[text] must be less than or equal to %d", maxText)
	case len(body.QuickReplies) > maxQuick:
		return bad("Param message[quick_replies] may have at most %d elements", maxQuick)
	case len(body.Attachments) > 0 && (len(body.Attachments) < minGrid || len(body.Attachments) > maxGrid):
		return bad("Param message[attachments] must have %d to %d images", minGrid, maxGrid)
	}
	for _, a := range slices.Concat(body.Attachments, attachmentList(body.Attachment)) {
		var p sentPayload
		if json.Unmarshal(a.Payload, &p) != nil {
			return bad("Param message[attachment][payload] must be an object")
		}
		if len(body.Attachments) > 0 && a.Type != "image" {
			return bad("Param message[attachments] takes images alone")
		}
		switch a.Type {
		case "image", "audio", "video", "file":
			heavy = heavy || a.Type == "audio" || a.Type == "video"
			if p.AttachmentID != "" {
				continue
			}
			at, err := url.Parse(p.URL)
			if err != nil || !safe(at) {
				return bad("Param message[attachment][payload][url] must be a public https address")
			}
			if strings.HasSuffix(at.Hostname(), ".invalid") { // A host that does not exist, by its name.
				return nil, false, fail("100/2018047")
			}
		case "template":
			tapped, problem := judgeTemplate(p)
			if problem != "" {
				return bad("%s", problem)
			}
			buttons = append(buttons, tapped...)
		default:
			return bad("Param message[attachment][type] must be one of {image, audio, video, file, template} - got %q.", a.Type)
		}
	}
	for _, q := range body.QuickReplies {
		switch q.ContentType {
		case "user_phone_number", "user_email":
		case "text":
			if q.Title == "" || q.Payload == "" {
				return bad("A quick reply of content_type text has a title and a payload")
			}
			if !instagram && tooLong(q.Title, maxButtonTitle) { // There it is cut.
				return bad("Length of a quick reply's title must be less than or equal to %d", maxButtonTitle)
			}
		default:
			return bad("Param content_type must be one of {text, user_phone_number, user_email} - got %q.", q.ContentType)
		}
		if tooLong(q.Payload, maxPayload) {
			return bad("Length of a quick reply's payload must be less than or equal to %d", maxPayload)
		}
		buttons = append(buttons, Button{Title: q.Title, Payload: q.Payload, Quick: true})
	}
	return buttons, heavy, nil
}

func judgeTemplate(p sentPayload) (buttons []Button, problem string) {
	switch p.TemplateType {
	case "button":
		if p.Text == "" || tooLong(p.Text, maxButtonText) {
			return nil, fmt.Sprintf("Param text of a button template has 1 to %d characters", maxButtonText)
		}
		if len(p.Buttons) == 0 {
			return nil, "A button template has 1 to 3 buttons"
		}
		return judgeButtons(p.Buttons)
	case "generic":
		if len(p.Elements) == 0 || len(p.Elements) > maxElements {
			return nil, fmt.Sprintf("Param elements must have 1 to %d elements", maxElements)
		}
		for _, e := range p.Elements {
			switch {
			case e.Title == "" || tooLong(e.Title, maxTitle) || tooLong(e.Subtitle, maxTitle):
				return nil, fmt.Sprintf("Title and subtitle have at most %d characters, and a title is needed", maxTitle)
			case e.Subtitle == "" && e.ImageURL == "" && e.DefaultAction == nil && len(e.Buttons) == 0:
				return nil, "An element needs one more field than its title"
			case e.DefaultAction != nil && (e.DefaultAction.Type != "web_url" || e.DefaultAction.Title != "" || e.DefaultAction.URL == ""):
				return nil, "Param default_action is a button of type web_url without a title"
			}
			for _, address := range []string{e.ImageURL} {
				if at, err := url.Parse(address); address != "" && (err != nil || !safe(at)) {
					return nil, "Param image_url must be a public https address"
				}
			}
			tapped, problem := judgeButtons(e.Buttons)
			if problem != "" {
				return nil, problem
			}
			buttons = append(buttons, tapped...)
		}
		return buttons, ""
	}
	return nil, fmt.Sprintf("Param template_type must be one of {generic, button} here - got %q.", p.TemplateType)
}

func judgeButtons(list []sentButton) (out []Button, problem string) {
	if len(list) > maxButtons {
		return nil, fmt.Sprintf("There are at most %d buttons", maxButtons)
	}
	for _, b := range list {
		switch {
		case b.Title == "" || tooLong(b.Title, maxButtonTitle):
			return nil, fmt.Sprintf("A button's title has 1 to %d characters", maxButtonTitle)
		case b.Type == "web_url":
			if at, err := url.Parse(b.URL); err != nil || !safe(at) {
				return nil, "A button of type web_url has a public https address"
			}
		case b.Type == "postback":
			if b.Payload == "" || tooLong(b.Payload, maxPayload) {
				return nil, fmt.Sprintf("A button's payload has 1 to %d characters", maxPayload)
			}
		case b.Type == "phone_number":
			if b.Payload == "" {
				return nil, "A button of type phone_number has a payload"
			}
		default:
			return nil, fmt.Sprintf("Param type must be one of {web_url, postback, phone_number} here - got %q.", b.Type)
		}
		out = append(out, Button{Title: b.Title, Payload: b.Payload, URL: b.URL})
	}
	return out, ""
}
