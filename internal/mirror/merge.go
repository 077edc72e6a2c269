package mirror

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"time"
)

// Source is where an observation came from.
type Source string

const (
	FromWebhook Source = "webhook"
	FromPage    Source = "page" // A page of a list query.
	FromBulk    Source = "bulk" // A line of a bulk operation's file.
	FromID      Source = "id"   // A read of this very record by id: the only source that revives.
)

// Key names a record within a shop.
type Key struct {
	Kind Kind
	ID   GID
}

func (k Key) String() string { return fmt.Sprintf("%s %s", k.Kind, k.ID) }

// Digest identifies a content; its order completes the total order on versions.
type Digest [16]byte

// DigestOf is the digest of a content in its one spelling.
func DigestOf(content []byte) Digest {
	sum := sha256.Sum256(content)
	return Digest(sum[:16])
}

func (d Digest) compare(e Digest) int { return bytes.Compare(d[:], e[:]) }

// Observation is one thing learned about one record.
type Observation struct {
	Key    Key
	Source Source

	// AsOf is when it was true, on Shopify's clock: a webhook's trigger (or
	// its receipt, if that came first), the sending of a query's last attempt,
	// a bulk operation's creation, a deletion's own time.
	AsOf Instant

	// Heard is when it reached us, on Shopify's clock: a webhook's receipt;
	// for reads the same as AsOf. A webhook's body can be as new as this.
	Heard Instant

	// Content is the record in its one spelling (see Encode); nil says that
	// the record is absent.
	Content []byte

	// Updated is the content's updatedAt in whole seconds; zero where the kind
	// is not governed by it.
	Updated Instant

	// Parent is the record without which this one is not shown, Link one that is
	// shown only while this one is; empty for none.
	Parent, Link GID
}

// Present observes a record's content.
func Present(id GID, content Content, source Source, asOf, heard Instant) (Observation, error) {
	encoded, err := Encode(content)
	if err != nil {
		return Observation{}, fmt.Errorf("encode %s %s: %w", content.Kind(), id, err)
	}
	return Observation{
		Key: Key{content.Kind(), id}, Source: source, AsOf: asOf, Heard: heard,
		Content: encoded, Updated: At(content.UpdatedTime().Time), Parent: content.ParentID(), Link: linkOf(content),
	}, nil
}

// Absent observes that a record is not there.
func Absent(key Key, source Source, asOf, heard Instant) Observation {
	return Observation{Key: key, Source: source, AsOf: asOf, Heard: heard}
}

// FutureLimit is how far after its receipt an updatedAt may lie before the
// observation is not believed. Clocks differ by less, and a content from the
// future would block every true one until then.
const FutureLimit = 5 * time.Second

// FromFuture reports an observation that must not be merged: its record is
// read by id instead.
func (o Observation) FromFuture() bool {
	return o.Source == FromWebhook && o.Updated > o.Heard.Add(FutureLimit)
}

// State is what the copy holds of one record: three marks that only grow
// (Content by its version, Dead, Seen), and what is needed to tell whether they
// can be trusted. Its zero value knows nothing.
type State struct {
	Content []byte // Of the greatest version; nil while only marks are known.
	Digest  Digest
	Parent  GID
	Link    GID
	Updated Instant // The version's first part.
	AsOf    Instant // The version's second part; the digest is its third.

	Dead  Instant // The latest deletion.
	Seen  Instant // The latest read by id that found the record.
	Heard Instant // The latest content from any other source.

	// Under the present Updated: the latest read, the latest receipt of a
	// webhook, and the least and greatest digest that webhooks brought. The
	// two digests tell whether a webhook disagreed with the kept content
	// whichever order the contents came in.
	ReadAt    Instant
	WebhookAt Instant
	WebhookLo Digest
	WebhookHi Digest

	// A webhook that claims an updatedAt in (RefutedFrom, RefutedTo] is not
	// believed: the shop itself showed an earlier one after that. Both are zero
	// until Correct sets the record back. See Refutes.
	RefutedFrom Instant
	RefutedTo   Instant
}

// Shown reports whether readers see the record, as far as it alone decides.
// Parents and sets may hide it still.
func (s State) Shown(info *KindInfo) bool {
	if s.Content == nil {
		return false
	}
	return s.Dead == 0 || s.Dead < s.Seen || info.Returns && s.Dead < s.AsOf
}

// Unsettled reports whether the record must be read by id before it can be
// trusted, and the moment that the read must lie past. It does when
//   - a webhook brought another content under the kept content's updatedAt, and
//     no read since decides between them;
//   - something showed the record after its deletion;
//   - a record that may return did so, and no read has confirmed it.
func (s State) Unsettled(info *KindInfo) (past Instant, unsettled bool) {
	if !s.Shown(info) {
		if s.Dead != 0 && s.Heard > s.Dead {
			return s.Heard, true
		}
		return 0, false
	}
	if s.Dead != 0 && s.Seen <= s.Dead {
		return max(s.Dead, s.Heard), true
	}
	if info.Governed && s.WebhookAt != 0 && (s.WebhookLo != s.Digest || s.WebhookHi != s.Digest) {
		// The second must be over: within it, updatedAt tells nothing apart.
		past = max(s.WebhookAt, s.Updated.Add(time.Second))
		return past, s.ReadAt <= past
	}
	return 0, false
}

// ProvenAt is the state after a complete read, begun at start, found the record
// just so: the store calls it instead of writing unchanged rows. What is hidden
// is not what such a read found.
func (s State) ProvenAt(info *KindInfo, start Instant) State {
	if !s.Shown(info) {
		return s
	}
	s.AsOf = max(s.AsOf, start)
	s.ReadAt = max(s.ReadAt, start)
	return s
}

// Outcome tells what an observation did. Unlike the state it may depend on order.
type Outcome string

const (
	Applied  Outcome = "applied"  // What readers see changed.
	Stale    Outcome = "stale"    // Something newer was known.
	Same     Outcome = "same"     // Nothing that readers see changed.
	Conflict Outcome = "conflict" // The record must be read by id: see State.Unsettled.
)

// Merge folds an observation into a record's state. It is the only rule by
// which the copy changes its mind. The state it returns does not depend on the
// order or number of observations; see TestMergeLaws.
func Merge(s State, o Observation) (State, Outcome) {
	info := InfoOf(o.Key.Kind)
	next := s
	switch {
	case o.Content == nil:
		next.Dead = max(s.Dead, o.AsOf)
	default:
		if o.Source == FromID {
			next.Seen = max(s.Seen, o.AsOf)
		} else {
			next.Heard = max(s.Heard, o.Heard)
		}
		next = next.withContent(info, o)
	}
	return next, outcome(info, s, next, o)
}

// withContent joins the content and what was heard under its updatedAt.
func (s State) withContent(info *KindInfo, o Observation) State {
	digest := DigestOf(o.Content)
	if s.Content == nil || o.Updated > s.Updated {
		s.ReadAt, s.WebhookAt, s.WebhookLo, s.WebhookHi = 0, 0, Digest{}, Digest{}
		s.Updated, s.AsOf = o.Updated, o.AsOf
		s.Content, s.Digest, s.Parent, s.Link = o.Content, digest, o.Parent, o.Link
	} else if o.Updated < s.Updated {
		return s
	} else if o.AsOf > s.AsOf || o.AsOf == s.AsOf && digest.compare(s.Digest) > 0 {
		s.AsOf = o.AsOf
		s.Content, s.Digest, s.Parent, s.Link = o.Content, digest, o.Parent, o.Link
	}
	if !info.Governed {
		return s
	}
	if o.Source != FromWebhook {
		s.ReadAt = max(s.ReadAt, o.AsOf)
		return s
	}
	if s.WebhookAt == 0 {
		s.WebhookLo, s.WebhookHi = digest, digest
	}
	s.WebhookAt = max(s.WebhookAt, o.Heard)
	if digest.compare(s.WebhookLo) < 0 {
		s.WebhookLo = digest
	}
	if digest.compare(s.WebhookHi) > 0 {
		s.WebhookHi = digest
	}
	return s
}

func outcome(info *KindInfo, before, after State, o Observation) Outcome {
	was, is := before.Shown(info), after.Shown(info)
	pastBefore, _ := before.Unsettled(info)
	if past, unsettled := after.Unsettled(info); unsettled && past != pastBefore {
		return Conflict
	}
	switch {
	case was != is, is && before.Digest != after.Digest:
		return Applied
	case o.Content == nil && o.AsOf < before.Dead, o.Content == nil && is:
		return Stale
	case o.Content != nil && DigestOf(o.Content) != after.Digest, o.Content != nil && !is:
		return Stale
	default:
		return Same
	}
}

// Refutes reports an observation that must not be merged, for the record was
// set back from what it claims: the same webhook sent or fed through again, or
// another one like it. Its record is read by id instead, so that even a shop that
// showed an old state for long loses nothing. Reads are always believed.
func (s State) Refutes(o Observation) bool {
	return o.Source == FromWebhook && s.RefutesUpdated(o.Updated)
}

// RefutesUpdated reports an updatedAt that the shop never had, as far as is
// known: no read will ever reach it.
func (s State) RefutesUpdated(updated Instant) bool {
	return updated > s.RefutedFrom && updated <= s.RefutedTo
}

// Correct sets the content back to what the shop says, where the copy is ahead
// of it. It stands outside the merge, since the merge only moves forward: the
// poll alone calls it, after two reads by id at least CorrectGap apart, both
// at least CorrectAge past the content's asOf, showed the same lower updatedAt.
// The state remembers what was refuted, since the webhook that said so may come
// again. It returns an error when the evidence does not suffice.
func Correct(s State, first, second Observation) (State, error) {
	switch {
	case first.Key != second.Key:
		return s, fmt.Errorf("correct %s: the second read is of %s", first.Key, second.Key)
	case first.Source != FromID || second.Source != FromID || first.Content == nil || second.Content == nil:
		return s, fmt.Errorf("correct %s: needs two reads by id that found it", first.Key)
	case first.Updated >= s.Updated || second.Updated >= s.Updated:
		return s, fmt.Errorf("correct %s: the copy is not ahead", first.Key)
	case second.AsOf < first.AsOf.Add(CorrectGap) || first.AsOf < s.AsOf.Add(CorrectAge):
		return s, fmt.Errorf("correct %s: the reads lie too close together or to the content", first.Key)
	}
	corrected := State{Dead: s.Dead, Seen: s.Seen, Heard: s.Heard}
	corrected, _ = Merge(corrected, first)
	corrected, _ = Merge(corrected, second)
	corrected.RefutedFrom, corrected.RefutedTo = corrected.Updated, max(s.RefutedTo, s.Updated)
	if s.RefutedTo != 0 { // Two refuted stretches become one: what lies between is older than both reads.
		corrected.RefutedFrom = min(s.RefutedFrom, corrected.Updated)
	}
	return corrected, nil
}

const (
	CorrectGap = 5 * time.Second
	CorrectAge = 15 * time.Minute
)
