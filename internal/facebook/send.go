package facebook

import (
	"context"
	"net/http"

	"stockroom/internal/secret"
)

// Message is a text for one person, in answer to what they wrote.
type Message struct {
	To   string // The person, by the number that is good for this Page.
	Text string // At most MaxText characters.
	// Metadata comes back with the message's echo: by it a message is found again
	// whose answer was lost, for Meta has no key against sending twice.
	Metadata string
}

// MaxText is the longest text of one message, in characters (Meta's page "Send API").
const MaxText = 2000

// Send sends a message as the Page and returns its id. After an error of
// ClassRetry it may have been sent: look for its echo before sending again.
func (c *Client) Send(ctx context.Context, page string, token secret.Secret, m Message) (mid string, err error) {
	type recipient struct {
		ID string `json:"id"`
	}
	type content struct {
		Text     string `json:"text"`
		Metadata string `json:"metadata,omitempty"`
	}
	var said struct {
		MessageID string `json:"message_id"`
	}
	err = c.do(ctx, call{name: "send a message", method: http.MethodPost, path: escaped(page) + "/messages", token: token, phase: phaseSend,
		body: struct {
			Recipient recipient `json:"recipient"`
			Type      string    `json:"messaging_type"`
			Message   content   `json:"message"`
		}{recipient{m.To}, "RESPONSE", content{m.Text, m.Metadata}}}, &said)
	return said.MessageID, err
}
