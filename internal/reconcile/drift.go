package reconcile

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"stockroom/internal/apply"
	"stockroom/internal/mirror"
	"stockroom/internal/store"
)

// Classes of drift.
const (
	ClassMissing   = store.DriftMissing
	ClassStale     = store.DriftStale
	ClassWrong     = store.DriftWrong
	ClassUndeleted = store.DriftUndeleted
)

// applyNoting applies what a full read found and, where that is a poll, stores
// how the copy differed from it just before, as readers saw it. Every write of
// a poll goes through here, but for what it sets back (see setBack).
func (r *reading) applyNoting(tx *store.Tx, batch apply.Batch) ([]apply.Step, error) {
	now := mirror.At(r.Now())
	if r.run.Kind != "poll" {
		batch.First = true
		return apply.Apply(tx, batch, now)
	}
	var rows []store.DriftRow
	var near *neighbours
	batch.Inspect = func(steps []apply.Step) (err error) {
		if batch.CompleteRead != 0 {
			sets, err := r.smaller(tx, steps)
			if err != nil {
				return err
			}
			if len(sets) > 0 {
				return sets // Nothing is written yet: see below.
			}
		}
		if rows, err = r.drifted(tx, heardSince(steps, 0)); err != nil {
			return err
		}
		near, err = neighboursOf(tx, r.shop.ID, steps)
		return err
	}
	steps, err := apply.Apply(tx, batch, now)
	if sets, smaller := errors.AsType[smallerSets](err); smaller {
		if err := r.holdBack(tx, &batch, sets); err != nil {
			return nil, err
		}
		steps, err = apply.Apply(tx, batch, now)
	}
	if err != nil {
		return nil, err
	}
	hung, err := near.flipped(tx, r.shop.ID, r.run.ID)
	if err != nil {
		return nil, err
	}
	rows, err = r.neverSeen(tx, append(rows, hung...))
	if err != nil {
		return nil, err
	}
	return steps, tx.AddDrift(r.run.ID, rows)
}

// neverSeen takes back what the run itself has shown and now finds deleted: the
// copy had held it hidden, for it lacked the parent, and the shop has it no
// more. No reader saw it, and none should have.
func (r *reading) neverSeen(tx *store.Tx, rows []store.DriftRow) ([]store.DriftRow, error) {
	var gone []mirror.GID
	for _, row := range rows {
		if row.Class == ClassUndeleted {
			gone = append(gone, row.ID)
		}
	}
	known, err := tx.DriftOf(r.run.ID, gone)
	if err != nil {
		return nil, err
	}
	shown := map[mirror.Key]bool{}
	var back []store.DriftRow
	for _, row := range known {
		if row.Class == ClassMissing && row.Via != "" {
			shown[row.Key()] = true
			back = append(back, row)
		}
	}
	rows = slices.DeleteFunc(rows, func(row store.DriftRow) bool { return row.Class == ClassUndeleted && shown[row.Key()] })
	return rows, tx.DropDrift(r.run.ID, back)
}

// drifted lists the records that differ themselves from what was read. What
// moves without a timestamp, and was asked to be read by id since the run
// began, was told of by a webhook: it is not missed but under way. What was asked
// for before was read then, unless the shop did not answer: that is a cause.
func (r *reading) drifted(tx *store.Tx, steps []apply.Step) ([]store.DriftRow, error) {
	var rows []store.DriftRow
	for _, step := range steps {
		if step.Key.Kind == mirror.KindMetafieldSet {
			continue // Those that it gained or lost are rows themselves.
		}
		note := ""
		if step.Key.Kind == mirror.KindCollectionMembers {
			var err error
			if step, note, err = r.membersAsSeen(tx, step); err != nil {
				return nil, err
			}
		}
		row, drifted, err := driftOf(step, r.run.StartedAt)
		if err != nil {
			return nil, err
		}
		if drifted {
			row.Note = note
			rows = append(rows, row)
		}
	}
	rows, ids, err := seen(tx, r.shop.ID, rows)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	variants := map[mirror.GID]mirror.State{} // The page names what its derived records come with.
	for _, step := range steps {
		if step.Key.Kind == mirror.KindProductVariant {
			variants[step.Key.ID] = step.After
		}
	}
	for i := range rows {
		if variant, known := variants[rows[i].ID]; known {
			rows[i].Parent, rows[i].Link = variant.Parent, variant.Link
		}
		ids = append(ids, rows[i].Parent, rows[i].Link)
	}
	if err := r.throughLocations(tx, rows); err != nil {
		return nil, err
	}
	named, err := r.namedAndOwed(tx, ids)
	if err != nil {
		return nil, err
	}
	kept := rows[:0]
	for _, row := range rows {
		owed, heard := false, mirror.Instant(0)
		for _, id := range []mirror.GID{row.ID, row.Parent, row.Link} {
			at, asked := named[id]
			owed, heard = owed || asked, max(heard, at)
		}
		switch governed := mirror.InfoOf(row.Kind).Governed; {
		case !governed && heard >= r.run.StartedAt:
			continue
		case governed && heard != 0 && heard >= row.ChangedAt, !governed && heard != 0:
			row.Cause, row.Note = string(mirror.CauseNotApplied), cmp.Or(row.Note, "a webhook named it, and the read by id that it asked for was still owed")
		case !governed && owed:
			row.Cause, row.Note = string(mirror.CauseNever), cmp.Or(row.Note, "no webhook named it, and the read by id that another read had asked for was still owed")
		}
		kept = append(kept, row)
	}
	return kept, nil
}

// seen leaves out rows of contents that the copy held and did not show, since it
// lacked the parent: to readers the record was missing, and is so reported when
// the parent brings it into sight. It lists the ids of those that are left.
func seen(tx *store.Tx, shop int64, rows []store.DriftRow) ([]store.DriftRow, []mirror.GID, error) {
	held := map[mirror.Kind][]mirror.GID{}
	for _, row := range rows {
		if row.Class == ClassStale || row.Class == ClassWrong {
			held[row.Kind] = append(held[row.Kind], row.ID)
		}
	}
	shown := map[mirror.Key]bool{}
	for kind, ids := range held {
		visible, err := tx.VisibleIDs(shop, kind, ids)
		if err != nil {
			return nil, nil, err
		}
		for _, id := range visible {
			shown[mirror.Key{Kind: kind, ID: id}] = true
		}
	}
	rows = slices.DeleteFunc(rows, func(row store.DriftRow) bool {
		return (row.Class == ClassStale || row.Class == ClassWrong) && !shown[row.Key()]
	})
	ids := make([]mirror.GID, len(rows))
	for i, row := range rows {
		ids[i] = row.ID
	}
	return rows, ids, nil
}

// namedAndOwed lists those of the ids whose read by id is owed, with when webhooks
// last named them; zero where none did: a run and a sweep ask for reads themselves.
func (r *reading) namedAndOwed(tx *store.Tx, ids []mirror.GID) (map[mirror.GID]mirror.Instant, error) {
	owed, err := tx.Demanded(r.shop.ID, ids)
	if err != nil || len(owed) == 0 {
		return nil, err
	}
	heard := make(map[mirror.GID]mirror.Instant, len(owed))
	for id := range owed {
		heard[id] = 0
	}
	err = tx.ToldSince(r.shop.ID, keys(owed), 0, func(e store.Entry) error {
		heard[e.Key.ID] = max(heard[e.Key.ID], e.Heard)
		return nil
	})
	return heard, err
}

// throughLocations names the location of stock that the copy lacked, where that
// had drifted itself: when it opens, no webhook tells of what is stocked there.
func (r *reading) throughLocations(tx *store.Tx, rows []store.DriftRow) error {
	at := map[mirror.GID][]int{}
	for i, row := range rows {
		if _, location, ok := mirror.SplitLevelID(row.ID); ok && row.Kind == mirror.KindInventoryLevel && row.Class == ClassMissing {
			at[location] = append(at[location], i)
		}
	}
	moved, err := tx.DriftOf(r.run.ID, keys(at)) // Locations are read before.
	for _, location := range moved {
		for _, i := range at[location.ID] {
			rows[i].Via = location.ID
		}
	}
	return err
}

// membersAsSeen is the step with what readers saw of a collection's members:
// products that the copy does not show were not among them, nor those that this
// very run brought in.
func (r *reading) membersAsSeen(tx *store.Tx, step apply.Step) (seen apply.Step, note string, err error) {
	found := step.Last.Content
	if found == nil || !step.Before.Shown(mirror.InfoOf(step.Key.Kind)) {
		return step, note, nil
	}
	if mirror.DigestOf(found) == step.Before.Digest {
		some, err := r.broughtProducts(tx)
		if err != nil || !some {
			return step, "", err
		}
	}
	content, err := mirror.Decode(step.Key.Kind, step.Before.Content)
	if err != nil {
		return step, "", err
	}
	members := *content.(*mirror.CollectionMembers)
	visible, err := tx.VisibleIDs(r.shop.ID, mirror.KindProduct, members.ProductIDs)
	if err != nil {
		return step, "", err
	}
	brought, err := tx.DriftOf(r.run.ID, visible)
	if err != nil {
		return step, "", err
	}
	isNew := map[mirror.GID]bool{}
	for _, row := range brought {
		isNew[row.ID] = isNew[row.ID] || row.Kind == mirror.KindProduct && row.Class == ClassMissing
	}
	members.ProductIDs = mirror.SortedIDs(slices.DeleteFunc(visible, func(id mirror.GID) bool {
		if isNew[id] {
			note = noteHidden
		}
		return isNew[id]
	}))
	if step.Before.Content, err = mirror.Encode(members); err != nil {
		return step, "", err
	}
	step.Before.Digest = mirror.DigestOf(step.Before.Content)
	return step, note, nil
}

// broughtProducts tells whether the run found products that the copy lacked.
// Products are read before collections, so it is asked once.
func (r *reading) broughtProducts(tx *store.Tx) (bool, error) {
	if r.brought == nil {
		counts, err := tx.CountDrift(r.run.ID)
		if err != nil {
			return false, err
		}
		r.brought = new(counts[[2]string{mirror.TypeProduct, ClassMissing}] > 0)
	}
	return *r.brought, nil
}

// driftOf tells how the copy differed from what a full read, begun at start,
// found; ok is false when it did not, or when the difference is younger than
// the read: its webhook is still under way.
func driftOf(step apply.Step, start mirror.Instant) (row store.DriftRow, ok bool, err error) {
	found := step.Last
	info := mirror.InfoOf(step.Key.Kind)
	before := step.Before
	known := before.Content
	class := ""
	switch {
	case found.Source == "" || found.Updated >= start.Seconds() && found.Content != nil:
		return row, false, nil
	case found.Content == nil:
		if !before.Shown(info) || step.After.Shown(info) {
			return row, false, nil
		}
		class = ClassUndeleted
	case !before.Shown(info):
		class, known = ClassMissing, nil
	case found.Updated > before.Updated:
		class = ClassStale
	case found.Updated == before.Updated && mirror.DigestOf(found.Content) != before.Digest:
		class = ClassWrong
	default:
		return row, false, nil // The same, or the copy is ahead: see reading.correct.
	}
	if row, err = driftRow(step.Key, class, known, found.Content); err != nil {
		return row, false, err
	}
	row.ChangedAt, row.FoundAt = found.Updated, found.AsOf
	row.Parent, row.Link, row.ReadAt = step.After.Parent, step.After.Link, readAt(info, before)
	if class == ClassMissing || class == ClassUndeleted {
		row.ReadAt = before.Dead // What was told before that was of another life.
	}
	return row, true, nil
}

// readAt is when the shown content was last read from the shop.
func readAt(info *mirror.KindInfo, s mirror.State) mirror.Instant {
	if !info.Governed {
		return s.AsOf // It comes by reads alone.
	}
	return s.ReadAt
}

func driftRow(key mirror.Key, class string, known, found []byte) (store.DriftRow, error) {
	diffs, err := mirror.Compare(known, found)
	if err != nil {
		return store.DriftRow{}, fmt.Errorf("drift of %s: %w", key, err)
	}
	if diffs == nil {
		diffs = []mirror.FieldDiff{}
	}
	fields, err := json.Marshal(diffs)
	return store.DriftRow{Type: mirror.InfoOf(key.Kind).Type, ID: key.ID, Kind: key.Kind, Class: class, Fields: fields}, err
}

// neighbours are records that steps may hide or show without touching them: a
// deleted product's variants, the stock of a location that closed.
type neighbours struct {
	rows    map[mirror.Kind]map[mirror.GID]store.Row
	via     map[mirror.Key]mirror.GID // Through which record of the steps.
	visible map[mirror.Key]bool       // Before the steps were written.
}

func (n *neighbours) add(kind mirror.Kind, row store.Row, via mirror.GID) {
	key := mirror.Key{Kind: kind, ID: row.ID}
	if n.via[key] != "" {
		return
	}
	if n.rows[kind] == nil {
		n.rows[kind] = map[mirror.GID]store.Row{}
	}
	n.rows[kind][row.ID], n.via[key] = row, via
}

// neighboursOf finds the records that depend on what the steps hide or show,
// and which of them readers see now. Most steps have none: an unchanged page
// asks for nothing here.
func neighboursOf(tx *store.Tx, shop int64, steps []apply.Step) (*neighbours, error) {
	n := &neighbours{rows: map[mirror.Kind]map[mirror.GID]store.Row{}, via: map[mirror.Key]mirror.GID{}, visible: map[mirror.Key]bool{}}
	var products, owners, items, locations []mirror.GID
	links := map[mirror.GID]mirror.GID{}      // Items, and the variants' steps that they hang on.
	variants := map[mirror.GID]mirror.GID{}   // That entered or left a set, and its product.
	metafields := map[mirror.GID]mirror.GID{} // That entered or left a list, and its owner.
	for _, step := range steps {
		info := mirror.InfoOf(step.Key.Kind)
		was, is := step.Before.Shown(info), step.After.Shown(info)
		if was == is && step.Before.Digest == step.After.Digest {
			continue
		}
		switch step.Key.Kind {
		case mirror.KindProduct:
			if was != is {
				products, owners = append(products, step.Key.ID), append(owners, step.Key.ID)
			}
		case mirror.KindCollection:
			if was != is {
				owners = append(owners, step.Key.ID)
			}
		case mirror.KindProductVariant:
			if was != is {
				owners = append(owners, step.Key.ID)
				links[step.After.Link] = step.Key.ID
			}
		case mirror.KindInventoryItem:
			if was != is {
				items = append(items, step.Key.ID)
			}
		case mirror.KindLocation:
			open, err := mirror.LocationActive(step.Before.Content)
			if err != nil {
				return nil, err
			}
			opens, err := mirror.LocationActive(step.After.Content)
			if err != nil {
				return nil, err
			}
			if was != is || open != opens {
				locations = append(locations, step.Key.ID)
			}
		case mirror.KindProductVariantSet, mirror.KindMetafieldSet:
			into := variants
			if step.Key.Kind == mirror.KindMetafieldSet {
				into = metafields
			}
			if err := moved(step, into); err != nil {
				return nil, err
			}
		}
	}
	return n, n.find(tx, shop, products, owners, items, locations, links, variants, metafields)
}

// moved notes who entered or left the set that a step changes.
func moved(step apply.Step, into map[mirror.GID]mirror.GID) error {
	in := map[mirror.GID]int{}
	for side, content := range [][]byte{step.Before.Content, step.After.Content} {
		ids, err := membersOf(step.Key.Kind, content)
		if err != nil {
			return err
		}
		for _, id := range ids {
			in[id] |= 1 << side
		}
	}
	for id, sides := range in {
		if sides != 3 {
			into[id] = step.Key.ID
		}
	}
	return nil
}

func keys[V any](m map[mirror.GID]V) []mirror.GID {
	ids := make([]mirror.GID, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	return ids
}

func (n *neighbours) find(tx *store.Tx, shop int64, products, owners, items, locations []mirror.GID, links, variants, metafields map[mirror.GID]mirror.GID) error {
	children := func(kind mirror.Kind, parents []mirror.GID, via func(store.Row) mirror.GID) error {
		if len(parents) == 0 {
			return nil
		}
		found, err := tx.ShownByParent(shop, kind, parents)
		for _, rows := range found {
			for _, row := range rows {
				n.add(kind, row, via(row))
			}
		}
		return err
	}
	byID := func(kind mirror.Kind, ids map[mirror.GID]mirror.GID) error {
		found, err := tx.ShownByID(shop, kind, keys(ids))
		for id, row := range found {
			n.add(kind, row, ids[id])
		}
		return err
	}
	parent := func(row store.Row) mirror.GID { return row.Parent }
	if err := children(mirror.KindProductVariant, products, parent); err != nil {
		return err
	}
	if err := byID(mirror.KindProductVariant, variants); err != nil {
		return err
	}
	for id, row := range n.rows[mirror.KindProductVariant] {
		via := n.via[mirror.Key{Kind: mirror.KindProductVariant, ID: id}]
		links[row.Link] = via
		owners = append(owners, id)
	}
	if err := byID(mirror.KindInventoryItem, links); err != nil {
		return err
	}
	for _, item := range items {
		if links[item] == "" {
			links[item] = item
		}
	}
	if err := children(mirror.KindInventoryLevel, keys(links), func(row store.Row) mirror.GID { return links[row.Parent] }); err != nil {
		return err
	}
	for _, location := range locations { // A shop has a handful, and they hardly ever open or close.
		rows, err := tx.LevelsAt(shop, location)
		if err != nil {
			return err
		}
		for _, row := range rows {
			n.add(mirror.KindInventoryLevel, row, location)
		}
	}
	ofOwner := func(row store.Row) mirror.GID {
		if via := n.via[mirror.Key{Kind: mirror.KindProductVariant, ID: row.Parent}]; via != "" {
			return via
		}
		return row.Parent
	}
	if err := children(mirror.KindMetafield, owners, ofOwner); err != nil {
		return err
	}
	if err := byID(mirror.KindMetafield, metafields); err != nil {
		return err
	}
	for kind, rows := range n.rows {
		visible, err := tx.VisibleIDs(shop, kind, keys(rows))
		if err != nil {
			return err
		}
		for _, id := range visible {
			n.visible[mirror.Key{Kind: kind, ID: id}] = true
		}
	}
	return nil
}

// flipped lists the neighbours that readers see now and did not before, or the other way round.
func (n *neighbours) flipped(tx *store.Tx, shop, run int64) ([]store.DriftRow, error) {
	var drifted []store.DriftRow
	for kind, rows := range n.rows {
		visible, err := tx.VisibleIDs(shop, kind, keys(rows))
		if err != nil {
			return nil, err
		}
		now := map[mirror.GID]bool{}
		for _, id := range visible {
			now[id] = true
		}
		appeared := slices.DeleteFunc(visible, func(id mirror.GID) bool { return n.visible[mirror.Key{Kind: kind, ID: id}] })
		contents, err := tx.ShownByID(shop, kind, appeared) // The very steps may have brought others.
		if err != nil {
			return nil, err
		}
		for id, row := range rows {
			key := mirror.Key{Kind: kind, ID: id}
			class, before, after := ClassUndeleted, row.Content, []byte(nil)
			switch {
			case now[id] == n.visible[key]:
				continue
			case now[id]:
				class, before, after = ClassMissing, nil, contents[id].Content
			}
			drift, err := driftRow(key, class, before, after)
			if err != nil {
				return nil, err
			}
			drift.Via, drift.Parent, drift.Link = n.via[key], row.Parent, row.Link
			drifted = append(drifted, drift)
		}
	}
	return drifted, nil
}
