package apply

import (
	"fmt"
	"strings"

	"stockroom/internal/mirror"
	"stockroom/internal/store"
)

// story gathers what a batch adds to the records' histories. What only found a
// record as it was adds nothing, or a stock change would leave an entry for each
// variant of its product; but a webhook that names a record always adds one, for
// it proves that the webhook came.
type story struct {
	batch   Batch
	now     mirror.Instant
	entries []store.Entry

	webhook int // The one of batch.Told that the next observation belongs to.
	upTo    int // The first observation that is not its own.
	from    int // Its first.
}

func newStory(batch Batch, now mirror.Instant) *story {
	s := &story{batch: batch, now: now}
	if len(batch.Told) > 0 {
		s.upTo = batch.Told[0].Observations
	}
	return s
}

// observed adds what the batch's i-th observation did, which found the record as before.
func (s *story) observed(i int, o mirror.Observation, before mirror.State, step Step) error {
	e := store.Entry{Key: o.Key, Source: o.Source, Outcome: string(step.Outcome), Absent: o.Content == nil, Updated: o.Updated, AsOf: o.AsOf, Heard: o.Heard, At: s.now}
	named := false
	if len(s.batch.Told) > 0 {
		for i >= s.upTo {
			s.webhook++
			s.from = s.upTo
			s.upTo += s.batch.Told[s.webhook].Observations
		}
		told := s.batch.Told[s.webhook]
		e.Topic, e.Delivery = told.Topic, told.Delivery
		named = i == s.from // Bodies begin with what they are about.
	}
	info := mirror.InfoOf(o.Key.Kind)
	shown := before.Shown(info)
	switch {
	case step.Outcome == mirror.Same && (!named || s.batch.Again):
		return nil
	case step.Outcome == mirror.Stale && s.batch.Again:
		return nil
	case s.batch.First && !shown:
		return nil
	}
	if o.Content != nil {
		e.Digest = mirror.DigestOf(o.Content)
	}
	if step.After.Shown(info) && before.Digest != step.After.Digest || !shown && step.After.Shown(info) {
		fields, err := fieldsChanged(before, step.After, shown)
		if err != nil {
			return fmt.Errorf("history of %s: %w", o.Key, err)
		}
		e.Fields = fields
	}
	s.entries = append(s.entries, e)
	return nil
}

func fieldsChanged(before, after mirror.State, shown bool) (string, error) {
	if !shown {
		return store.AllFields, nil
	}
	diffs, err := mirror.Compare(before.Content, after.Content)
	names := make([]string, len(diffs))
	for i, diff := range diffs {
		names[i] = diff.Field
	}
	return strings.Join(names, " "), err
}

// told is all that was gathered, and the reads that the webhooks asked for.
func (s *story) told() []store.Entry {
	if s.batch.Again {
		return s.entries
	}
	from := 0
	for _, told := range s.batch.Told {
		asked := map[mirror.Key]bool{}
		for _, d := range s.batch.Demands[from : from+told.Demands] {
			key := mirror.Key{Kind: mirror.KindOfRead(d.Read), ID: d.ID}
			if asked[key] {
				continue // A demand and its second look.
			}
			asked[key] = true
			s.entries = append(s.entries, store.Entry{Key: key, Source: mirror.FromWebhook, Topic: told.Topic, Delivery: told.Delivery,
				Outcome: store.Asked, Updated: d.Updated, AsOf: told.AsOf, Heard: told.Heard, At: s.now})
		}
		from += told.Demands
	}
	return s.entries
}
