package mirror

import (
	"fmt"
	"slices"
	"time"
)

// Cause is why a record of the copy differed from the shop's.
type Cause string

const (
	CauseNever      Cause = "never delivered"
	CauseLate       Cause = "delivered late"
	CauseNotApplied Cause = "delivered, stored, not yet applied"
	CauseRejected   Cause = "probably rejected for its signature"
	CauseNoWebhook  Cause = "no webhook exists for this"
	CauseDisagreed  Cause = "a source disagreed"
	CauseOurs       Cause = "ours" // A bug: all that was needed was at hand.
)

// Causes are all of them, the gravest first: of several that a row hangs on, the first is its own.
var Causes = []Cause{CauseOurs, CauseNotApplied, CauseLate, CauseRejected, CauseNever, CauseDisagreed, CauseNoWebhook}

// Evidence is what is stored about a drifted record. Moments are on Shopify's clock.
type Evidence struct {
	Kind   Kind
	Fields []string // In which it differed.

	// SameVersion: the record's updatedAt was the same on both sides.
	SameVersion bool
	// Ahead: the copy had a later updatedAt than the shop itself shows.
	Ahead bool
	// Deleted: the shop has the record no more.
	Deleted bool
	// New: the copy did not know the record.
	New bool
	// Smart: a rule decides the collection's members.
	Smart bool
	// Owner is the kind of a metafield's owner.
	Owner Kind

	// Changed is when the record changed in the shop, as its updatedAt says it:
	// the second's beginning. Zero where nothing says it. For what has no
	// updatedAt it is that of the records it follows from.
	Changed Instant
	Found   Instant // When the poll saw the difference.
	Read    Instant // When what the copy said was last read from the shop, or, of what is New or Deleted, when it was last told to be gone; zero for never.

	Told     []Told // What webhooks told of it, in any order.
	Waiting  string // Why a webhook of it is stored and not applied; empty for none.
	Rejected bool   // A delivery that could have been of it had a wrong signature.

	// Through are the causes of the drifted records that this one follows from,
	// or that hid or showed it.
	Through []Cause
	// Hangs: it did not differ itself, but was hidden or shown through others.
	Hangs bool
	// Unread: some of what it follows from was not read whole, and may have
	// drifted unseen.
	Unread bool
}

// Told is what one webhook told of a record.
type Told struct {
	Topic   string
	AsOf    Instant // Its trigger.
	Heard   Instant // Its receipt.
	Applied Instant // When the copy took it up.
	Asked   bool    // It only named the record, to be read by id.
	Agrees  bool    // Its content is what the poll found.
}

// clockSlack is how far the moments of reads may be off: Shopify's clock is
// known to the second of its Date header.
const clockSlack = 2 * time.Second

// Judge tells why a record differed, and what there is to say to it. It is the
// only place where that is decided, and depends on its argument alone.
//
// Nothing stored proves that a webhook was never sent. "Never delivered" says
// that one was due, for the shop's updatedAt moved, and that none of its kind
// is stored that could have been the one.
func Judge(e Evidence) (Cause, string) {
	if len(e.Through) > 0 && (e.Hangs || !InfoOf(e.Kind).Governed) {
		return gravest(e.Through), "through another record of this report"
	}
	if spot, ok := blindSpotOf(e); ok {
		return CauseNoWebhook, spot.Fact
	}
	if e.Ahead {
		return CauseDisagreed, "something told of a later version than the shop itself shows"
	}
	if e.Waiting != "" {
		return CauseNotApplied, e.Waiting
	}
	if cause, note, ok := e.byWebhooks(); ok {
		return cause, note
	}
	alone := e.Hangs || !InfoOf(e.Kind).Governed // And nothing that it follows from is known to have drifted.
	if alone && e.Unread {
		return CauseNever, "what it follows from could not be read whole, and no webhook told of a change there"
	}
	if e.Changed != 0 && !e.New && e.Read >= e.Changed.Add(time.Second+clockSlack) {
		if !InfoOf(e.Kind).Governed {
			return CauseOurs, fmt.Sprintf("it was read at %v, after all that it follows from had changed, and no known blind spot explains it", e.Read)
		}
		return CauseDisagreed, fmt.Sprintf("it was read at %v, after it had changed, and was shown otherwise then", e.Read)
	}
	if e.Hangs {
		return CauseOurs, "it was hidden or shown wrongly, and no drifted record explains it"
	}
	if e.Rejected {
		return CauseRejected, "a delivery of such a topic had a wrong signature then: see the app's secrets"
	}
	return CauseNever, ""
}

// byWebhooks judges by what webhooks told. Only those can have told of the
// change whose trigger lies past its second, or, of a deletion, that say so.
func (e Evidence) byWebhooks() (Cause, string, bool) {
	inTime := Told{}
	for _, t := range e.Told {
		if (e.New || e.Deleted) && t.AsOf <= e.Read {
			continue // Of another life.
		}
		if t.AsOf < e.Changed.Add(time.Second) && !(t.Agrees && t.AsOf >= e.Changed) {
			continue
		}
		switch {
		case t.Heard > e.Found:
			return CauseLate, fmt.Sprintf("%s of %v came at %v", t.Topic, t.AsOf, t.Heard), true
		case t.Applied > e.Found:
			return CauseNotApplied, fmt.Sprintf("%s of %v came at %v and was taken up after the poll had looked", t.Topic, t.AsOf, t.Heard), true
		case inTime.Topic == "" || t.Agrees:
			inTime = t
		}
	}
	switch {
	case inTime.Topic == "":
		return "", "", false
	case inTime.Agrees:
		return CauseOurs, fmt.Sprintf("%s of %v told of it, and was applied at %v", inTime.Topic, inTime.AsOf, inTime.Applied), true
	case inTime.Asked && e.Read < inTime.AsOf:
		return CauseOurs, fmt.Sprintf("%s of %v asked for a read by id, and none was made", inTime.Topic, inTime.AsOf), true
	default:
		return CauseDisagreed, fmt.Sprintf("%s of %v told otherwise", inTime.Topic, inTime.AsOf), true
	}
}

func gravest(causes []Cause) Cause {
	for _, cause := range Causes {
		if slices.Contains(causes, cause) {
			return cause
		}
	}
	return CauseOurs
}

// Carrier is the topic that tells of a record of this kind being made, changed
// or deleted; empty where none does, or only together with another record.
func Carrier(kind Kind, created, deleted bool) string {
	topics := InfoOf(kind).Topics
	switch {
	case deleted:
		return topics.Deleted
	case created:
		return topics.Created
	default:
		return topics.Changed
	}
}
