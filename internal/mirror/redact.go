package mirror

import (
	"encoding/json"
	"fmt"
)

// Redact takes out of an order what staff may have written of its customer: note
// and tags. It stands outside the merge, like Correct: a customer's right to be
// forgotten does not wait for a read. The version stays, so that nothing older
// comes back; the next read says what is so now.
func Redact(s State) (State, error) {
	if s.Content == nil {
		return s, nil
	}
	var order Order
	if err := json.Unmarshal(s.Content, &order); err != nil {
		return s, fmt.Errorf("redact an order: %w", err)
	}
	order.Note, order.Tags = nil, []string{}
	content, err := Encode(order)
	if err != nil {
		return s, fmt.Errorf("redact an order: %w", err)
	}
	s.Content, s.Digest = content, DigestOf(content)
	// What webhooks said in that second is among what is to be forgotten.
	s.WebhookAt, s.WebhookLo, s.WebhookHi = 0, Digest{}, Digest{}
	return s, nil
}
