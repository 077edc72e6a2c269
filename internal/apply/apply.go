// Package apply is the only writer of the copy.
//
// It promises that whatever is learned, from whichever source, goes through one
// path: load the records, fold the observations by mirror.Merge, and write the
// rows, the change feed, the read model and the demands for reads that are owed,
// all in the caller's one transaction. It asks nobody and waits for nothing:
// what a webhook does not carry is read by package reconcile, through the
// demands written here.
package apply

import (
	"fmt"
	"slices"
	"time"

	"stockroom/internal/catalog"
	"stockroom/internal/mirror"
	"stockroom/internal/store"
)

// Batch is what one source taught about one shop, in the order in which it came.
type Batch struct {
	Shop         int64
	Observations []mirror.Observation
	Demands      []mirror.Demand

	// CompleteRead is the start of the full read that the observations belong
	// to; zero for none. Rows that it does not find just so are excepted from
	// what the read will prove of all others.
	CompleteRead mirror.Instant

	// Told says which webhooks the observations and demands come from, in their
	// order; empty for reads.
	Told []Told

	// First says that the batch is of a shop's import: that a record was read
	// then needs no entry in its history, for all were.
	First bool

	// Again says that the webhooks were applied before: their entries in the
	// histories are there already, and only what they change now is added.
	Again bool

	// Inspect is called with what the batch does to each record, before any of
	// it is written: the database still shows what readers saw.
	Inspect func([]Step) error
}

// Told is a webhook of a batch: how many of the batch's observations and
// demands, after those of the webhooks before it, are its own.
type Told struct {
	Delivery     int64 // Its number in the inbox.
	Topic        string
	AsOf, Heard  mirror.Instant
	Observations int
	Demands      int
}

// Step is what a batch did to one record.
type Step struct {
	Key    mirror.Key
	Before mirror.State // As it was loaded: the zero state when nothing was known.
	After  mirror.State
	// Last is the batch's last observation of the record, and Outcome what that did.
	Last    mirror.Observation
	Outcome mirror.Outcome
}

// Apply writes a batch and tells what it did, a step for each record, in the
// order of their first observations. Now is this machine's clock. On an error
// the transaction must be rolled back.
func Apply(tx *store.Tx, batch Batch, now mirror.Instant) ([]Step, error) {
	keys := make([]mirror.Key, 0, len(batch.Observations))
	at := make(map[mirror.Key]int, len(batch.Observations))
	for _, o := range batch.Observations {
		if _, known := at[o.Key]; !known {
			at[o.Key] = len(keys)
			keys = append(keys, o.Key)
		}
	}
	wanted := slices.Clone(keys)
	for _, d := range batch.Demands {
		if key := demanded(d); d.Updated != 0 {
			if _, known := at[key]; !known {
				wanted = append(wanted, key)
			}
		}
	}
	records, err := tx.LoadRecords(batch.Shop, wanted)
	if err != nil {
		return nil, fmt.Errorf("apply: %w", err)
	}
	lastRead, err := tx.LastReadStart(batch.Shop)
	if err != nil {
		return nil, fmt.Errorf("apply: %w", err)
	}
	steps := make([]Step, len(keys))
	for i, key := range keys {
		steps[i] = Step{Key: key, Before: records[key].State, After: records[key].State, Outcome: mirror.Same}
	}

	demands := slices.Clone(batch.Demands)
	for i, d := range demands {
		if d.Updated != 0 && records[demanded(d)].State.RefutesUpdated(d.Updated) {
			demands[i].Updated = 0 // No read would ever reach it.
		}
	}
	excepted := map[mirror.Key]bool{}
	story := newStory(batch, now)
	for i, o := range batch.Observations {
		step := &steps[at[o.Key]]
		if o.FromFuture() || step.After.Refutes(o) {
			demands = append(demands, demandFor(o.Key, o.Parent, o.Heard, mirror.TieDelay))
			continue
		}
		before := step.After
		step.After, step.Outcome = mirror.Merge(step.After, o)
		step.Last = o
		if err := story.observed(i, o, before, *step); err != nil {
			return nil, fmt.Errorf("apply: %w", err)
		}
		if batch.CompleteRead != 0 && (step.Outcome == mirror.Stale || step.Outcome == mirror.Conflict) {
			excepted[o.Key] = true
		}
	}

	if batch.Inspect != nil {
		if err := batch.Inspect(steps); err != nil {
			return nil, fmt.Errorf("apply: %w", err)
		}
	}
	var changed []store.Record
	var changes []store.Change
	for _, step := range steps {
		info := mirror.InfoOf(step.Key.Kind)
		if past, unsettled := step.After.Unsettled(info); unsettled {
			if before, was := step.Before.Unsettled(info); !was || before != past {
				demands = append(demands, demandFor(step.Key, step.After.Parent, past+1, mirror.TieDelay))
			}
		}
		if d, asks := stockMoved(batch, info, step); asks {
			demands = append(demands, d)
		}
		if !writes(step) && !excepted[step.Key] {
			continue
		}
		record := store.Record{Key: step.Key, State: step.After, ExceptAt: records[step.Key].ExceptAt}
		if excepted[step.Key] || batch.CompleteRead == 0 {
			record.ExceptAt = max(record.ExceptAt, lastRead, batch.CompleteRead) // That read did not find this.
		}
		changed = append(changed, record)
		if action := actionOf(info, step); action != "" {
			changes = append(changes, store.Change{Key: step.Key, Action: action, Source: step.Last.Source, AsOf: step.Last.AsOf, At: now})
		}
	}
	if err := write(tx, batch.Shop, changed, changes, steps); err != nil {
		return nil, fmt.Errorf("apply: %w", err)
	}
	if err := tx.AddHistory(batch.Shop, story.told()); err != nil {
		return nil, fmt.Errorf("apply: %w", err)
	}
	if err := tx.AddDemands(batch.Shop, demands, now); err != nil {
		return nil, fmt.Errorf("apply: %w", err)
	}
	if err := locationsTurned(tx, batch, records, now); err != nil {
		return nil, fmt.Errorf("apply: %w", err)
	}
	return steps, nil
}

// writes reports whether a step must be stored. A complete read that finds a
// record just so writes nothing, only to say so again: the read's start,
// kept once for all rows, says it (see store.Tx.LoadRecords).
func writes(step Step) bool {
	before, after := step.Before, step.After
	if step.Last.Source == "" {
		return false // Nothing was merged.
	}
	if step.Last.Source == mirror.FromPage || step.Last.Source == mirror.FromBulk {
		if step.Outcome == mirror.Same && before.Digest == after.Digest && before.Updated == after.Updated {
			return false
		}
	}
	return before.Digest != after.Digest || before.Updated != after.Updated || before.AsOf != after.AsOf ||
		before.Dead != after.Dead || before.Seen != after.Seen || before.Heard != after.Heard ||
		before.ReadAt != after.ReadAt || before.WebhookAt != after.WebhookAt ||
		before.WebhookLo != after.WebhookLo || before.WebhookHi != after.WebhookHi
}

// actionOf names what readers see differently; empty for nothing.
func actionOf(info *mirror.KindInfo, step Step) string {
	was, is := step.Before.Shown(info), step.After.Shown(info)
	switch {
	case !was && is:
		return "created"
	case was && !is:
		return "deleted"
	case is && step.Before.Digest != step.After.Digest:
		return "updated"
	default:
		return ""
	}
}

// demanded is the record whose updatedAt a demand names.
func demanded(d mirror.Demand) mirror.Key {
	return mirror.Key{Kind: mirror.KindOfRead(d.Read), ID: d.ID}
}

// demandFor asks for the read by id that answers for a record.
func demandFor(key mirror.Key, parent mirror.GID, asOf mirror.Instant, delay time.Duration) mirror.Demand {
	return mirror.Demand{Read: mirror.InfoOf(key.Kind).Read, ID: key.ReadID(parent), AsOf: asOf, Delay: delay}
}

// locationsTurned asks for the items that have stock at a location which opened
// or closed: what is for sale moves with it, and no webhook tells of that. A
// closing and an opening that come close together have the same body twice, for
// it is built when it is sent: so whoever asks for the location's levels to be read
// again means it, too. A new name or address costs no read, of which a large shop
// would need thousands. A full read looks at all items anyway.
func locationsTurned(tx *store.Tx, batch Batch, before map[mirror.Key]store.Record, now mirror.Instant) error {
	if batch.CompleteRead != 0 {
		return nil
	}
	asked := map[mirror.GID]bool{}
	for _, d := range batch.Demands {
		if d.Read == mirror.ReadLocation {
			asked[d.ID] = true
		}
	}
	for _, o := range batch.Observations {
		if o.Key.Kind != mirror.KindLocation || o.Content == nil {
			continue
		}
		was, err := mirror.LocationActive(before[o.Key].State.Content)
		if err != nil {
			return err
		}
		is, err := mirror.LocationActive(o.Content)
		if err != nil {
			return err
		}
		if was == is && !asked[o.Key.ID] {
			continue
		}
		if err := tx.DemandItemsAt(batch.Shop, o.Key.ID, o.AsOf, now); err != nil {
			return err
		}
	}
	return nil
}

// stockMoved asks for the item of a level that a read showed otherwise than the
// copy: what is for sale moves with it, under no updatedAt of its own, so that no
// sweep would find it. Who was told of it by a webhook has asked for the item
// already, and a full read looks at all items anyway.
func stockMoved(batch Batch, info *mirror.KindInfo, step Step) (mirror.Demand, bool) {
	if info.Kind != mirror.KindInventoryLevel || step.Last.Source == mirror.FromWebhook || batch.CompleteRead != 0 || batch.First || actionOf(info, step) == "" {
		return mirror.Demand{}, false
	}
	item, _, ok := mirror.SplitLevelID(step.Key.ID)
	return mirror.Demand{Read: mirror.ReadItem, ID: item, AsOf: step.Last.AsOf}, ok
}

// touchedProducts are the products whose entry in the read model may be out of date.
func touchedProducts(tx *store.Tx, shop int64, steps []Step, changes []store.Change) ([]mirror.GID, error) {
	touched := map[mirror.GID]bool{}
	parents := make(map[mirror.GID]mirror.GID, len(steps))
	for _, step := range steps {
		if step.Key.Kind == mirror.KindProductVariant {
			parents[step.Key.ID] = step.After.Parent
		}
	}
	var strangers []mirror.GID // Variants whose product this batch does not say.
	for _, change := range changes {
		switch info := mirror.InfoOf(change.Key.Kind); {
		case info.Kind == mirror.KindProduct || info.Of == mirror.KindProduct:
			touched[change.Key.ID] = true
		case info.Kind == mirror.KindProductVariant || info.Of == mirror.KindProductVariant:
			if product := parents[change.Key.ID]; product != "" {
				touched[product] = true
			} else {
				strangers = append(strangers, change.Key.ID)
			}
		}
	}
	rows, err := tx.ShownByID(shop, mirror.KindProductVariant, strangers)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		touched[row.Parent] = true
	}
	products := make([]mirror.GID, 0, len(touched))
	for product := range touched {
		products = append(products, product)
	}
	return products, nil
}

// Correct sets records back to what two reads by id showed, where the copy was
// ahead of the shop: see mirror.Correct. Pairs whose evidence does not suffice
// are passed over: the record moved meanwhile. It returns a step for each
// record that it set back.
func Correct(tx *store.Tx, shop int64, first, second []mirror.Observation, now mirror.Instant) ([]Step, error) {
	again := make(map[mirror.Key]mirror.Observation, len(second))
	for _, o := range second {
		again[o.Key] = o
	}
	keys := make([]mirror.Key, len(first))
	for i, o := range first {
		keys[i] = o.Key
	}
	records, err := tx.LoadRecords(shop, keys)
	if err != nil {
		return nil, fmt.Errorf("correct: %w", err)
	}
	lastRead, err := tx.LastReadStart(shop)
	if err != nil {
		return nil, fmt.Errorf("correct: %w", err)
	}
	var steps []Step
	var changed []store.Record
	var changes []store.Change
	for _, o := range first {
		record, known := records[o.Key]
		other, read := again[o.Key]
		if !known || !read {
			continue
		}
		corrected, err := mirror.Correct(record.State, o, other)
		if err != nil {
			continue
		}
		step := Step{Key: o.Key, Before: record.State, After: corrected, Last: other, Outcome: mirror.Applied}
		steps = append(steps, step)
		record.State = corrected
		record.ExceptAt = max(record.ExceptAt, lastRead)
		changed = append(changed, record)
		changes = append(changes, store.Change{Key: o.Key, Action: "updated", Source: other.Source, AsOf: other.AsOf, At: now})
		if err := tx.ForgiveDemands(shop, mirror.InfoOf(o.Key.Kind).Read, o.Key.ReadID(o.Parent), corrected.Updated); err != nil {
			return nil, fmt.Errorf("correct: %w", err)
		}
	}
	if err := write(tx, shop, changed, changes, steps); err != nil {
		return nil, fmt.Errorf("correct: %w", err)
	}
	story := newStory(Batch{}, now)
	for _, step := range steps {
		if err := story.observed(0, step.Last, step.Before, step); err != nil {
			return nil, fmt.Errorf("correct: %w", err)
		}
	}
	if err := tx.AddHistory(shop, story.told()); err != nil {
		return nil, fmt.Errorf("correct: %w", err)
	}
	return steps, nil
}

// write stores rows, the change feed and the read model.
func write(tx *store.Tx, shop int64, changed []store.Record, changes []store.Change, steps []Step) error {
	if err := tx.SaveRecords(shop, changed); err != nil {
		return err
	}
	if err := tx.AddChanges(shop, changes); err != nil {
		return err
	}
	products, err := touchedProducts(tx, shop, steps, changes)
	if err != nil {
		return err
	}
	return catalog.Rebuild(tx, shop, products)
}
