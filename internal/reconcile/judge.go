package reconcile

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"stockroom/internal/mirror"
	"stockroom/internal/shopify"
	"stockroom/internal/store"
)

const (
	// judgeBatch bounds the drifted rows that are judged together, and so the
	// memory for what is stored of them. A batch takes a fixed number of queries.
	judgeBatch = 500

	// waitingLimit and waitingBytes bound the webhooks that are looked into
	// since they are stored and not applied. There are none on a usual day.
	waitingLimit = 5000
	waitingBytes = 32 << 20

	// retries is how long Shopify goes on sending what was refused, and a bit.
	retries = 5 * time.Hour
	// maxRejectionAge is from which age on a rejection explains nothing any more:
	// whoever sends one can claim any shop and topic.
	maxRejectionAge = 7 * 24 * time.Hour
)

func judged(e mirror.Evidence) (cause, note string) {
	c, note := mirror.Judge(e)
	return string(c), note
}

// judge gives every drifted row of the run its cause, from what is stored. What
// has an updatedAt of its own comes first, for the others follow from it. Each
// batch is a transaction of its own, so that no webhook waits for long, and all
// of it may be repeated.
func (r *reading) judge(ctx context.Context) error {
	j := &judge{reading: r, missed: map[string]map[mirror.GID]bool{}}
	step := func(do func() error) error {
		err := r.Store.Update(ctx, func(tx *store.Tx) error {
			j.tx = tx
			return do()
		})
		if err != nil {
			return fmt.Errorf("judge the drift of run %d: %w", r.run.ID, err)
		}
		return nil
	}
	if err := step(func() error { return j.loadWaiting(ctx) }); err != nil {
		return err
	}
	for _, hanging := range []bool{false, true} {
		for after, more := (store.DriftRow{}), true; more; {
			err := step(func() error {
				rows, err := j.tx.DriftAfter(r.run.ID, after, judgeBatch)
				if more = len(rows) > 0; err != nil || !more {
					return err
				}
				after = rows[len(rows)-1]
				return j.batch(slices.DeleteFunc(rows, func(row store.DriftRow) bool { return hangs(row) != hanging }), hanging)
			})
			if err != nil {
				return err
			}
		}
	}
	return step(j.topics)
}

// hangs tells whether a row's cause follows from that of others.
func hangs(row store.DriftRow) bool { return row.Via != "" || !mirror.InfoOf(row.Kind).Governed }

// judge is the judging of one run's drift.
type judge struct {
	*reading
	tx      *store.Tx
	waiting waiting
	missed  map[string]map[mirror.GID]bool // By topic, the records whose webhook never came.
}

// waiting is what was delivered and is not applied.
type waiting struct {
	named    map[mirror.GID][]stored     // By the id that they name.
	rejected map[string][]mirror.Instant // By topic: when a signature was wrong.
	used     map[string]map[int]mirror.GID
}

type stored struct {
	topic  string
	asOf   mirror.Instant
	reason string
}

// loadWaiting reads the shop's webhooks that are stored and not applied, and
// the deliveries that were rejected.
func (j *judge) loadWaiting(ctx context.Context) error {
	w := waiting{named: map[mirror.GID][]stored{}, rejected: map[string][]mirror.Instant{}, used: map[string]map[int]mirror.GID{}}
	deliveries, err := j.tx.Deliveries(store.DeliveryFilter{Shop: j.shop.ID, States: []string{store.DeliveryNew, store.DeliveryQuarantined}}, waitingLimit, waitingBytes)
	if err != nil {
		return err
	}
	for _, d := range deliveries {
		reason := "a webhook of it waits to be applied"
		if d.State == store.DeliveryQuarantined {
			reason = fmt.Sprintf("a webhook of it is in quarantine: %s", d.Reason)
		}
		asOf := d.ReceivedAt
		if d.TriggeredAt != 0 {
			asOf = min(asOf, d.TriggeredAt)
		}
		d, opened, err := j.Open(ctx, d)
		if err != nil {
			return err
		}
		if !opened {
			continue // Nobody can tell whom it names.
		}
		for _, id := range shopify.Named(shopify.Delivery{Topic: d.Topic, Body: d.Body, TriggeredAt: d.TriggeredAt, ReceivedAt: d.ReceivedAt}) {
			w.named[id] = append(w.named[id], stored{d.Topic, asOf, reason})
		}
	}
	rejections, err := j.tx.RejectedFor(j.shop, mirror.At(j.Now().Add(-maxRejectionAge)))
	for _, rejection := range rejections {
		w.rejected[rejection.Topic] = append(w.rejected[rejection.Topic], rejection.At+mirror.Instant(j.shop.ClockOffsetMS))
	}
	j.waiting = w
	return err
}

// on finds a stored webhook that names one of the ids and can have told of a change.
func (w waiting) on(ids []mirror.GID, changed mirror.Instant) string {
	for _, id := range ids {
		for _, d := range w.named[id] {
			if d.asOf >= changed {
				return d.reason
			}
		}
	}
	return ""
}

// refused tells whether a rejection can have been of the record, which changed
// in [from, to]: one of the topic, at its time, that no other record has taken
// for itself.
func (w waiting) refused(topic string, subject mirror.GID, from, to mirror.Instant) bool {
	if w.used[topic] == nil {
		w.used[topic] = map[int]mirror.GID{}
	}
	for i, at := range w.rejected[topic] {
		fits := at >= from && at <= to.Add(retries)
		if taken, isTaken := w.used[topic][i]; fits && (!isTaken || taken == subject) {
			w.used[topic][i] = subject
			return true
		}
	}
	return false
}

// thereAt is when each record that the shop has no more was last known to be
// there: then it was read or told of, or a complete read did not miss it.
func (j *judge) thereAt(rows []store.DriftRow) (map[mirror.Key]mirror.Instant, error) {
	var gone []mirror.Key
	verified, there := map[string]mirror.Instant{}, map[mirror.Key]mirror.Instant{}
	for _, row := range rows {
		if row.Class != ClassUndeleted {
			continue
		}
		gone = append(gone, row.Key())
		at, asked := verified[row.Type]
		if !asked {
			var err error
			if at, err = j.tx.VerifiedAt(j.shop.ID, row.Type); err != nil {
				return nil, err
			}
			verified[row.Type] = at
		}
		there[row.Key()] = at
	}
	known, err := j.tx.LoadRecords(j.shop.ID, gone)
	for key, record := range known {
		there[key] = max(there[key], record.State.Seen, record.State.ReadAt, record.State.AsOf)
	}
	return there, err
}

// batch judges some rows, which all hang on others or all do not.
func (j *judge) batch(rows []store.DriftRow, hanging bool) error {
	if len(rows) == 0 {
		return nil
	}
	told, err := j.told(rows)
	if err != nil {
		return err
	}
	there, err := j.thereAt(rows)
	if err != nil {
		return err
	}
	about := &ties{}
	if hanging {
		if about, err = j.ties(rows); err != nil {
			return err
		}
	}
	kept := rows[:0]
	var moved []store.DriftRow
	for _, row := range rows {
		if row.Cause == "" || hanging {
			e, err := j.evidence(row, told, about, there[row.Key()])
			if err != nil {
				return err
			}
			if ofStock(e) && len(e.Through) == 0 && e.Changed >= j.run.StartedAt.Seconds() {
				// The stock that it follows from moved while the run was under way: that
				// is no drift (see driftOf), and so neither is this.
				moved = append(moved, row)
				continue
			}
			row.ChangedAt = e.Changed
			if row.Cause == "" || len(e.Through) > 0 { // Else the run itself has seen why.
				row.Cause, row.Note = judged(e)
			}
		}
		j.miss(row)
		kept = append(kept, row)
	}
	if err := j.tx.DropDrift(j.run.ID, moved); err != nil {
		return err
	}
	return j.tx.SetCauses(j.run.ID, kept)
}

// ofStock tells drift that is all of what follows from stock.
func ofStock(e mirror.Evidence) bool {
	return !mirror.InfoOf(e.Kind).Governed && len(e.Fields) > 0 && !slices.ContainsFunc(e.Fields, func(field string) bool {
		return field != "totalInventory" && field != "inventoryQuantity" && field != "availableForSale"
	})
}

// told is what webhooks told of the rows' records and of their subjects.
func (j *judge) told(rows []store.DriftRow) (map[mirror.GID][]store.Entry, error) {
	ids := map[mirror.GID]bool{}
	since := mirror.Instant(0)
	for i, row := range rows {
		ids[row.ID], ids[row.Subject()] = true, true
		if i == 0 || row.ChangedAt < since {
			since = row.ChangedAt
		}
	}
	told := map[mirror.GID][]store.Entry{}
	err := j.tx.ToldSince(j.shop.ID, keys(ids), since, func(e store.Entry) error {
		told[e.Key.ID] = append(told[e.Key.ID], e)
		return nil
	})
	return told, err
}

// evidence gathers what is known of a row for mirror.Judge. A record that is
// deleted was last known to be there at that moment.
func (j *judge) evidence(row store.DriftRow, told map[mirror.GID][]store.Entry, about *ties, there mirror.Instant) (mirror.Evidence, error) {
	var diffs []mirror.FieldDiff
	if err := json.Unmarshal(row.Fields, &diffs); err != nil {
		return mirror.Evidence{}, fmt.Errorf("fields of %s: %w", row.Key(), err)
	}
	info := mirror.InfoOf(row.Kind)
	e := mirror.Evidence{Kind: row.Kind, Deleted: row.Class == ClassUndeleted, New: row.Class == ClassMissing, Hangs: row.Via != "",
		SameVersion: info.Governed && row.Class == ClassWrong, Changed: row.ChangedAt, Found: row.FoundAt, Read: row.ReadAt}
	for _, diff := range diffs {
		e.Fields = append(e.Fields, diff.Field)
	}
	if row.Kind == mirror.KindMetafield {
		e.Owner = mirror.KindOfGID(row.Parent)
		if e.Hangs && row.Via == row.Parent {
			e.Hangs = false // It left its owner's list: that is a change of its own.
		}
	}
	if row.Kind == mirror.KindCollectionMembers {
		e.Smart = about.smart[row.ID]
	}
	if hangs(row) {
		e.Through = about.causesFor(row, diffs)
		e.Unread = slices.ContainsFunc(followed(row), func(kind mirror.Kind) bool { return !j.complete[kind] })
		if e.Changed == 0 {
			e.Changed = about.changed(row)
		}
	}
	topic := row.Topic()
	if topic == "" {
		topic = mirror.Carrier(mirror.KindProduct, false, false)
	}
	ids := []mirror.GID{row.ID}
	if s := row.Subject(); s != row.ID {
		ids = append(ids, s)
	}
	for _, id := range ids {
		for _, entry := range told[id] {
			if entry.Key != row.Key() && entry.Outcome != store.Asked {
				continue
			}
			if entry.Outcome == store.Asked && info.Kind == mirror.KindInventoryLevel {
				continue // The read of its item does not bring it.
			}
			if e.Deleted && !entry.Absent {
				continue // Of its life.
			}
			t := mirror.Told{Topic: entry.Topic, AsOf: entry.AsOf, Heard: entry.Heard, Applied: entry.At + mirror.Instant(j.shop.ClockOffsetMS),
				Asked: entry.Outcome == store.Asked}
			t.Agrees = e.Deleted && entry.Absent || !entry.Absent && !t.Asked && entry.Updated >= row.ChangedAt && row.Class != ClassWrong
			e.Told = append(e.Told, t)
		}
	}
	e.Waiting = j.waiting.on(ids, e.Changed)
	from, to := e.Changed, e.Changed
	if e.Changed == 0 { // Nothing tells the time of a deletion but that it lies between.
		from, to = max(there, row.ReadAt), row.FoundAt
	}
	e.Rejected = j.waiting.refused(topic, row.Subject(), from, to)
	return e, nil
}

// ties are the drifted records that hanging rows may follow from, and what is
// known of those that did not drift.
type ties struct {
	byID     map[mirror.GID][]store.DriftRow
	byParent map[mirror.GID][]store.DriftRow
	items    map[mirror.GID][]mirror.GID   // By product: its variants' items.
	places   map[mirror.GID][]mirror.GID   // By item: the locations that stock it.
	smart    map[mirror.GID]bool           // Collections whose members a rule decides.
	updated  map[mirror.GID]mirror.Instant // By id: the updatedAt of the object, of an item the latest of its levels.
}

// ties loads what some hanging rows may follow from.
func (j *judge) ties(rows []store.DriftRow) (*ties, error) {
	t := &ties{byID: map[mirror.GID][]store.DriftRow{}, byParent: map[mirror.GID][]store.DriftRow{}, items: map[mirror.GID][]mirror.GID{},
		places: map[mirror.GID][]mirror.GID{}, smart: map[mirror.GID]bool{}, updated: map[mirror.GID]mirror.Instant{}}
	var products, collections []mirror.GID
	ids := map[mirror.GID]bool{}
	var objects []mirror.Key
	for _, row := range rows {
		ids[row.ID] = true
		for _, id := range []mirror.GID{row.Via, row.Parent, row.Link} {
			if id != "" {
				ids[id] = true
			}
		}
		if of := mirror.InfoOf(row.Kind).Of; of != "" {
			objects = append(objects, mirror.Key{Kind: of, ID: row.ID})
		}
		switch row.Kind {
		case mirror.KindProductDerived:
			products = append(products, row.ID)
		case mirror.KindProductVariantDerived:
			if row.Parent != "" {
				products = append(products, row.Parent)
				objects = append(objects, mirror.Key{Kind: mirror.KindProduct, ID: row.Parent})
			}
		case mirror.KindCollectionMembers:
			collections = append(collections, row.ID)
			entered, left, err := membersMoved(row)
			if err != nil {
				return nil, err
			}
			for _, id := range append(entered, left...) {
				ids[id] = true
			}
		}
	}
	if err := j.stock(t, products, ids); err != nil {
		return nil, err
	}
	for _, places := range t.places {
		for _, place := range places {
			objects = append(objects, mirror.Key{Kind: mirror.KindLocation, ID: place})
		}
	}
	members, err := j.tx.ShownByID(j.shop.ID, mirror.KindCollectionMembers, collections)
	if err != nil {
		return nil, err
	}
	for id, row := range members {
		content, err := mirror.Decode(mirror.KindCollectionMembers, row.Content)
		if err != nil {
			return nil, err
		}
		t.smart[id] = content.(*mirror.CollectionMembers).Smart
	}
	known, err := j.tx.LoadRecords(j.shop.ID, objects)
	if err != nil {
		return nil, err
	}
	for key, record := range known {
		t.updated[key.ID] = max(t.updated[key.ID], record.State.Updated)
	}
	about, err := j.tx.DriftAbout(j.run.ID, keys(ids))
	for _, row := range about {
		t.byID[row.ID] = append(t.byID[row.ID], row)
		if row.Parent != "" {
			t.byParent[row.Parent] = append(t.byParent[row.Parent], row)
		}
	}
	return t, err
}

// stock finds the items of products' variants, where they are stocked and when
// that moved last, and adds them to ids.
func (j *judge) stock(t *ties, products []mirror.GID, ids map[mirror.GID]bool) error {
	variants, err := j.tx.ShownByParent(j.shop.ID, mirror.KindProductVariant, products)
	if err != nil {
		return err
	}
	var items []mirror.GID
	for product, rows := range variants {
		for _, row := range rows {
			t.items[product] = append(t.items[product], row.Link)
			items, ids[row.Link] = append(items, row.Link), true
		}
	}
	levels, err := j.tx.ShownByParent(j.shop.ID, mirror.KindInventoryLevel, items)
	for item, rows := range levels {
		for _, row := range rows {
			if _, location, ok := mirror.SplitLevelID(row.ID); ok {
				t.places[item] = append(t.places[item], location)
				ids[location] = true
			}
			content, err := mirror.Decode(mirror.KindInventoryLevel, row.Content)
			if err != nil {
				return err
			}
			t.updated[item] = max(t.updated[item], mirror.At(content.UpdatedTime().Time))
		}
	}
	return err
}

// followed lists the kinds of what a hanging row may follow from, see causesFor.
func followed(row store.DriftRow) []mirror.Kind {
	if kind := mirror.KindOfGID(row.Via); kind != "" {
		return []mirror.Kind{kind}
	}
	switch row.Kind {
	case mirror.KindProductDerived, mirror.KindProductVariantDerived:
		return []mirror.Kind{mirror.KindProduct, mirror.KindProductVariant, mirror.KindInventoryItem, mirror.KindInventoryLevel, mirror.KindLocation}
	case mirror.KindCollectionMembers:
		return []mirror.Kind{mirror.KindCollection, mirror.KindProduct}
	}
	if of := mirror.InfoOf(row.Kind).Of; of != "" {
		return []mirror.Kind{of}
	}
	return nil
}

// membersMoved lists the products that entered or left a collection's members.
func membersMoved(row store.DriftRow) (entered, left []mirror.GID, err error) {
	var diffs []mirror.FieldDiff
	if err := json.Unmarshal(row.Fields, &diffs); err != nil {
		return nil, nil, fmt.Errorf("fields of %s: %w", row.Key(), err)
	}
	for _, diff := range diffs {
		if diff.Field != "productIds" {
			continue
		}
		var before, after []mirror.GID
		for raw, into := range map[*json.RawMessage]*[]mirror.GID{&diff.Old: &before, &diff.New: &after} {
			if len(*raw) == 0 {
				continue
			}
			if err := json.Unmarshal(*raw, into); err != nil {
				return nil, nil, fmt.Errorf("fields of %s: %w", row.Key(), err)
			}
		}
		for _, id := range after {
			if !slices.Contains(before, id) {
				entered = append(entered, id)
			}
		}
		for _, id := range before {
			if !slices.Contains(after, id) {
				left = append(left, id)
			}
		}
	}
	return entered, left, nil
}

// causesFor lists the causes of what a row follows from.
func (t *ties) causesFor(row store.DriftRow, diffs []mirror.FieldDiff) []mirror.Cause {
	causes := map[mirror.Cause]bool{}
	take := func(rows []store.DriftRow, fits func(store.DriftRow) bool) {
		for _, other := range rows {
			if other.Key() != row.Key() && other.Cause != "" && fits(other) {
				causes[mirror.Cause(other.Cause)] = true
			}
		}
	}
	itself := func(other store.DriftRow) bool { return !hangs(other) }
	stocked := func(item mirror.GID) {
		take(t.byID[item], itself)
		take(t.byParent[item], func(other store.DriftRow) bool { return other.Kind == mirror.KindInventoryLevel })
		for _, place := range t.places[item] {
			take(t.byID[place], itself)
		}
	}
	if row.Via != "" {
		take(t.byID[row.Via], itself)
		return slices.Collect(maps.Keys(causes))
	}
	switch row.Kind {
	case mirror.KindProductDerived:
		take(t.byID[row.ID], itself)
		take(t.byParent[row.ID], func(other store.DriftRow) bool {
			return other.Kind == mirror.KindProductVariant || other.Kind == mirror.KindProductVariantDerived && other.Cause != string(mirror.CauseNoWebhook)
		})
		for _, item := range t.items[row.ID] {
			stocked(item)
		}
	case mirror.KindProductVariantDerived:
		take(t.byID[row.ID], itself)
		take(t.byID[row.Parent], itself)
		stocked(row.Link)
	case mirror.KindCollectionMembers:
		if !t.smart[row.ID] || len(diffs) > 0 && row.Class == ClassMissing {
			take(t.byID[row.ID], itself)
		}
		_, left, err := membersMoved(row)
		entered, _, _ := membersMoved(row)
		if err == nil {
			for _, id := range left { // Deleted, and the copy did not know.
				take(t.byID[id], func(other store.DriftRow) bool {
					return other.Kind == mirror.KindProduct && other.Class == ClassUndeleted
				})
			}
			if row.Note == noteHidden {
				for _, id := range entered {
					take(t.byID[id], func(other store.DriftRow) bool {
						return other.Kind == mirror.KindProduct && other.Class == ClassMissing
					})
				}
			}
		}
	default:
		take(t.byID[row.ID], itself)
	}
	return slices.Collect(maps.Keys(causes))
}

// noteHidden marks members that the copy held and did not show.
const noteHidden = "the copy held the members, and did not show products that it lacked"

// changed is the latest change that a hanging row can follow from.
func (t *ties) changed(row store.DriftRow) mirror.Instant {
	latest := max(t.updated[row.ID], t.updated[row.Parent])
	stocked := []mirror.GID{row.Link}
	if row.Kind == mirror.KindProductDerived {
		stocked = t.items[row.ID]
	}
	for _, item := range stocked {
		latest = max(latest, t.updated[item])
		for _, place := range t.places[item] {
			latest = max(latest, t.updated[place])
		}
	}
	return latest
}

// miss counts a record whose webhook never came.
func (j *judge) miss(row store.DriftRow) {
	if row.Cause != string(mirror.CauseNever) || row.Via != "" {
		return
	}
	topic := row.Topic()
	if topic == "" {
		return
	}
	if j.missed[topic] == nil {
		j.missed[topic] = map[mirror.GID]bool{}
	}
	j.missed[topic][row.ID] = true
}

// topics stores, by topic, how many webhooks came since the full read before
// and of how many the drift proves that they never did.
func (j *judge) topics() error {
	before, err := j.tx.ReadBefore(j.shop.ID, j.run.ID)
	if err != nil {
		return err
	}
	received, err := j.tx.TopicsReceived(j.shop.ID, before, j.run.StartedAt)
	if err != nil {
		return err
	}
	for topic := range j.missed {
		if _, came := received[topic]; !came {
			received[topic] = 0
		}
	}
	all := make([]store.RunTopic, 0, len(received))
	for _, topic := range slices.Sorted(maps.Keys(received)) {
		all = append(all, store.RunTopic{Topic: topic, Received: received[topic], Missed: int64(len(j.missed[topic]))})
	}
	return j.tx.SetRunTopics(j.run.ID, all)
}
