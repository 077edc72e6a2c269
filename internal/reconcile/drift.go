package reconcile

import (
	"encoding/json"
	"fmt"
	"slices"

	"stockroom/internal/apply"
	"stockroom/internal/mirror"
	"stockroom/internal/store"
)

// Classes of drift.
const (
	ClassMissing   = "missing"
	ClassStale     = "stale"
	ClassWrong     = "wrong"
	ClassUndeleted = "undeleted"
)

// driftOf tells how the copy differed from what a full read, begun at start,
// found; ok is false when it did not, or when the difference is younger than
// the read: its webhook is still under way.
func driftOf(step apply.Step, start mirror.Instant) (row store.DriftRow, ok bool, err error) {
	found := step.Last
	if found.Content == nil || found.Updated >= start.Seconds() {
		return row, false, nil
	}
	info := mirror.InfoOf(step.Key.Kind)
	before := step.Before
	known := before.Content
	class := ""
	switch {
	case !before.Shown(info):
		class, known = ClassMissing, nil
	case found.Updated > before.Updated:
		class = ClassStale
	case found.Updated == before.Updated && mirror.DigestOf(found.Content) != before.Digest:
		class = ClassWrong
	default:
		return row, false, nil // The same, or the copy is ahead: see Poller.correct.
	}
	diffs, err := mirror.Compare(known, found.Content)
	if err != nil {
		return row, false, fmt.Errorf("drift of %s: %w", step.Key, err)
	}
	row, err = driftRow(step.Key, class, diffs)
	return row, err == nil, err
}

func driftRow(key mirror.Key, class string, diffs []mirror.FieldDiff) (store.DriftRow, error) {
	if diffs == nil {
		diffs = []mirror.FieldDiff{}
	}
	fields, err := json.Marshal(diffs)
	return store.DriftRow{Type: mirror.InfoOf(key.Kind).Type, ID: key.ID, Kind: key.Kind, Class: class, Fields: fields}, err
}

// noteDrift stores how the copy differed from what was read. What moves without
// a timestamp, and was asked to be read by id since the run began, was told of by
// a webhook: it is not missed but under way. (All that was asked for before was
// read then.)
func (r *reading) noteDrift(tx *store.Tx, steps []apply.Step) error {
	var rows []store.DriftRow
	var untimed []mirror.GID
	for _, step := range steps {
		row, drifted, err := driftOf(step, r.run.StartedAt)
		if err != nil {
			return err
		}
		if drifted {
			rows = append(rows, row)
			if !mirror.InfoOf(row.Kind).Governed {
				untimed = append(untimed, row.ID)
			}
		}
	}
	if len(untimed) > 0 {
		underWay, err := r.underWay(tx, untimed, steps)
		if err != nil {
			return err
		}
		rows = slices.DeleteFunc(rows, func(row store.DriftRow) bool { return !mirror.InfoOf(row.Kind).Governed && underWay[row.ID] })
	}
	return tx.AddDrift(r.run.ID, rows)
}

// underWay tells which records are owed a read: by their own id, or with their
// product or inventory item, which the page names.
func (r *reading) underWay(tx *store.Tx, ids []mirror.GID, steps []apply.Step) (map[mirror.GID]bool, error) {
	comesWith := map[mirror.GID][]mirror.GID{}
	for _, step := range steps {
		if step.Key.Kind == mirror.KindProductVariant {
			comesWith[step.Key.ID] = []mirror.GID{step.After.Parent, step.After.Link}
		}
	}
	asked := slices.Clone(ids)
	for _, id := range ids {
		asked = append(asked, comesWith[id]...)
	}
	owed, err := tx.Demanded(r.shop.ID, asked)
	for _, id := range ids {
		for _, with := range comesWith[id] {
			owed[id] = owed[id] || owed[with]
		}
	}
	return owed, err
}
