package simulator

import (
	"strings"
	"time"
)

// Happening is an entry of a shop's list of events: that a product, variant,
// collection, discount or order was made or deleted. Other changes are not
// listed; which of them Shopify lists is not documented.
type Happening struct {
	ID        int64
	Action    string // create or destroy.
	SubjectID string // The record's gid.
	Title     string // What it was called.
	At        time.Time
}

func (h *Happening) key() int64         { return h.ID }
func (h *Happening) changed() time.Time { return h.At }

const (
	// eventRetention is how long events are kept. Source: "Event", Admin API 2026-10.
	eventRetention = 365 * 24 * time.Hour
	// maxEvents bounds the memory that they take; the oldest are forgotten first.
	maxEvents = 100_000
)

// subjectTypes are the words for what events are about, by type of gid.
var subjectTypes = map[string]string{
	typeProduct: "PRODUCT", typeVariant: "PRODUCT_VARIANT", typeCollection: "COLLECTION", typeOrder: "ORDER",
	typeDiscountCode: "DISCOUNT_CODE_NODE", typeDiscountAutomatic: "DISCOUNT_AUTOMATIC_NODE",
}

// subjectType is the word for what an event is about.
func (h *Happening) subjectType() string {
	kind, _, _, _ := parseGID(h.SubjectID)
	if word, ok := subjectTypes[kind]; ok {
		return word
	}
	return "UNKNOWN"
}

// message says what happened.
func (h *Happening) message() string {
	verb := map[string]string{"create": "created", "destroy": "deleted"}[h.Action]
	noun := strings.ToLower(strings.ReplaceAll(strings.TrimSuffix(h.subjectType(), "_NODE"), "_", " "))
	if h.Title == "" {
		return "A " + noun + " was " + verb + "."
	}
	return h.Title + " was " + verb + "."
}

// note lists what happened, under the shop's lock.
func (e *edit) note(action, subject, title string) {
	s := e.shop
	s.Events.put(&Happening{ID: s.newID("BasicEvent"), Action: action, SubjectID: subject, Title: title, At: e.now})
	for s.Events.Len() > 0 {
		first, _ := s.Events.Get(s.Events.IDs()[0])
		if s.Events.Len() <= maxEvents && e.now.Sub(first.At) <= eventRetention {
			return
		}
		s.Events.remove(first.ID)
	}
}
