package reconcile

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"stockroom/internal/apply"
	"stockroom/internal/mirror"
	"stockroom/internal/shopify"
	"stockroom/internal/store"
)

// A record that a complete read lacked is not therefore deleted. The rules, one
// for full reads and scans alike:
//
//   - It is a candidate only if its last word is older than the read's start.
//   - It is read by id. Found: it is written. Null: it may be gone.
//   - A null counts only beside a witness: a record of the same kind that the
//     very read has just shown, asked for in the same request, must answer. A
//     permission that went away, or a part of Shopify that lags, makes it null too.
//   - Where something was heard of the record in the last lately, or no witness is
//     known, it takes two such nulls at least nullGap apart.
//   - No witness is known where the read showed nothing of the kind. Then the list
//     is asked again at each of the two looks. What it shows becomes the witness; if it
//     answers without an error and shows nothing, that stands in for one.
//   - What all this confirms is held until the fuse of P4 has judged it together.
//
// The evidence lies beside the tombstone, see Evidence.
const (
	// lately is for how long what was heard of a record makes a single null doubtful.
	lately = 10 * time.Minute
	// nullGap is the least time between two nulls that confirm each other.
	nullGap = 5 * time.Second

	// absenceBatch bounds the candidates looked at together.
	absenceBatch = 500
	// maxHeld bounds the deletions held at once where the operator lets all through.
	maxHeld = 20_000
	// maxWitnesses bounds how many records are tried as a witness.
	maxWitnesses = 8
)

// absenceOrder groups the kinds whose absence a complete read can show, parents
// first: a deleted product hides its variants, which then need no read.
// Kinds of one group wait for their second looks together. Metafields are
// missing, since their owner's list says which there are.
var absenceOrder = [][]mirror.Kind{
	{mirror.KindLocation, mirror.KindProduct, mirror.KindCollection, mirror.KindDiscount, mirror.KindOrder},
	{mirror.KindProductVariant},
	{mirror.KindInventoryItem, mirror.KindInventoryLevel},
}

// Evidence is why a record was taken for deleted that no webhook told of.
type Evidence struct {
	Read      string    `json:"read"`       // The complete read that lacked it: poll 12, sweep 3.
	ReadStart time.Time `json:"read_start"` // On Shopify's clock, as are all moments here.
	Heard     time.Time `json:"heard"`      // The last word of it until then.
	Nulls     []Null    `json:"nulls"`
}

// Text writes the evidence for people, indented lines.
func (e Evidence) Text() string {
	var out strings.Builder
	if e.ReadStart.IsZero() { // A read that was owed.
		fmt.Fprintf(&out, "    was taken for deleted when a read by id was owed; last heard of %s\n", stamp(e.Heard))
	} else {
		fmt.Fprintf(&out, "    was taken for deleted since %s of %s lacked it; last heard of %s\n", e.Read, stamp(e.ReadStart), stamp(e.Heard))
	}
	for _, null := range e.Nulls {
		witness := "the shop's list being empty"
		if null.Witness != "" {
			witness = string(null.Witness) + " answering beside it"
		}
		fmt.Fprintf(&out, "    null by id at %s, %s\n", stamp(null.At), witness)
	}
	return out.String()
}

// Null is one read by id that did not find it.
type Null struct {
	At      time.Time  `json:"at"`
	Witness mirror.GID `json:"witness"` // Answered in the same request; empty where the list was empty.
}

// inquest decides on what a complete read lacked.
type inquest struct {
	Config
	shop    store.Shop
	client  *shopify.Client
	granted []string
	read    string         // Names the read.
	start   mirror.Instant // When it began.

	// candidates lists a batch of ids after one, of records that the read lacked
	// and whose last word is older than it, and where the batch ended; an empty end is the end of all.
	candidates func(tx *store.Tx, kind mirror.Kind, after mirror.GID) (ids []mirror.GID, last mirror.GID, err error)
	// living lists a few records of a kind that the read showed, and how many it showed in all.
	living func(tx *store.Tx, kind mirror.Kind) (ids []mirror.GID, total int64, err error)
	// accepted reports whether the operator let deletions through that the fuse holds.
	accepted func(tx *store.Tx) (bool, error)
	// write applies absences, and notes them for the read's report.
	write func(tx *store.Tx, batch apply.Batch) ([]apply.Step, error)
	// doubt tells that a kind could not be judged, and why.
	doubt func(kind mirror.Kind, reason string)
	now   func(what string) // Says what is being done, for people.
}

// verdict is one kind under judgement.
type verdict struct {
	info      *mirror.KindInfo
	witnesses []mirror.GID
	total     int64 // How many the read showed.
	accepted  bool
	pending   []nulled // Wait for their second look.
	confirmed []nulled
	over      bool // Doubtful, or blown: nothing is deleted.
}

// nulled is a record that a read by id did not find.
type nulled struct {
	last  mirror.Observation // The last null.
	heard mirror.Instant
	nulls []Null
}

// all judges the kinds, group by group. An error is the context's or the
// database's; what Shopify could not answer is told to doubt.
func (j *inquest) all(ctx context.Context, complete func(mirror.Kind) bool) error {
	for _, group := range absenceOrder {
		var open []*verdict
		var looked time.Time
		for _, kind := range group {
			if !complete(kind) {
				continue
			}
			v := &verdict{info: mirror.InfoOf(kind)}
			if err := j.gather(ctx, v); err != nil {
				return fmt.Errorf("judge missing %s records: %w", kind, err)
			}
			looked = time.Now()
			open = append(open, v)
		}
		for _, v := range open {
			if err := j.lookAgain(ctx, v, looked); err != nil {
				return fmt.Errorf("judge missing %s records: %w", v.info.Kind, err)
			}
			if err := j.sentence(ctx, v); err != nil {
				return fmt.Errorf("judge missing %s records: %w", v.info.Kind, err)
			}
		}
	}
	return nil
}

// gather takes a first look at every candidate of a kind.
func (j *inquest) gather(ctx context.Context, v *verdict) error {
	err := j.Store.View(ctx, func(tx *store.Tx) (err error) {
		if v.witnesses, v.total, err = j.living(tx, v.info.Kind); err != nil {
			return err
		}
		v.accepted, err = j.accepted(tx)
		return err
	})
	if err != nil {
		return err
	}
	for after := mirror.GID(""); !v.over; {
		var ids []mirror.GID
		var last mirror.GID
		err := j.Store.View(ctx, func(tx *store.Tx) (err error) {
			if ids, last, err = j.candidates(tx, v.info.Kind, after); err != nil {
				return err
			}
			ids, err = j.judged(tx, v.info.Kind, ids)
			return err
		})
		if err != nil {
			return err
		}
		if last == "" {
			return nil
		}
		after = last
		if len(ids) == 0 {
			continue
		}
		j.now(fmt.Sprintf("confirming %d missing %s records", len(ids), v.info.Kind))
		nulls, err := j.look(ctx, v, ids)
		if err != nil {
			return err
		}
		if err := j.sort(ctx, v, nulls); err != nil {
			return err
		}
		// Whatever is more than the fuse allows is decided before more is asked for.
		held := int64(len(v.pending) + len(v.confirmed))
		switch {
		case v.accepted && held >= maxHeld, !v.accepted && j.MaxDelete.Blows(held, v.total+held):
			if err := j.lookAgain(ctx, v, time.Now()); err != nil {
				return err
			}
			if !v.accepted && !j.MaxDelete.Blows(int64(len(v.confirmed)), v.total+int64(len(v.confirmed))) {
				continue // Some of them live.
			}
			if err := j.sentence(ctx, v); err != nil {
				return err
			}
		}
	}
	return nil
}

// judged keeps the candidates that readers see, and that are no orders which
// left the window by their age.
func (j *inquest) judged(tx *store.Tx, kind mirror.Kind, ids []mirror.GID) ([]mirror.GID, error) {
	found, err := tx.ShownByID(j.shop.ID, kind, ids)
	if err != nil {
		return nil, err
	}
	rows := make([]store.Row, 0, len(found))
	for _, id := range ids {
		if row, shown := found[id]; shown {
			rows = append(rows, row)
		}
	}
	if rows, err = tx.Visible(j.shop.ID, kind, rows); err != nil {
		return nil, err
	}
	kept := make([]mirror.GID, 0, len(rows))
	for _, row := range rows {
		old, err := j.leftTheWindow(kind, row)
		if err != nil {
			return nil, err
		}
		if !old {
			kept = append(kept, row.ID)
		}
	}
	return kept, nil
}

// look reads candidates by id beside a witness. Those found are written, those
// that are null returned. When nothing can be said the verdict is over.
func (j *inquest) look(ctx context.Context, v *verdict, ids []mirror.GID) ([]nulled, error) {
	var all []nulled
	for part := range slices.Chunk(ids, max(1, shopify.MaxIDs(v.info.Read)-1)) {
		observations, witness, err := j.ask(ctx, v, part)
		if err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			v.over = true
			j.doubt(v.info.Kind, fmt.Sprintf("%d missing %s records could not be confirmed: %v", len(part), v.info.Type, err))
			return nil, nil
		}
		var found []mirror.Observation
		for _, o := range observations {
			if o.Key.Kind == v.info.Kind && o.Content == nil {
				all = append(all, nulled{last: o, nulls: []Null{{o.AsOf.Time(), witness}}})
			} else {
				found = append(found, o)
			}
		}
		err = j.Store.Update(ctx, func(tx *store.Tx) error {
			_, err := apply.Apply(tx, apply.Batch{Shop: j.shop.ID, Observations: found}, mirror.At(j.Now()))
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("apply what was found: %w", err)
		}
	}
	return all, nil
}

// ask reads some ids beside a witness that answers. One that does not may have
// been deleted just now, and the next is tried. The witness is empty where the
// shop shows nothing at all of the kind.
func (j *inquest) ask(ctx context.Context, v *verdict, ids []mirror.GID) (observations []mirror.Observation, witness mirror.GID, err error) {
	if len(v.witnesses) == 0 {
		if err := j.askList(ctx, v); err != nil {
			return nil, "", err
		}
	}
	if len(v.witnesses) == 0 {
		observations, err = j.client.ReadByID(ctx, v.info.Read, ids)
		return observations, "", err
	}
	for len(v.witnesses) > 0 {
		witness = v.witnesses[0]
		observations, answered, err := j.client.ReadBeside(ctx, v.info.Read, ids, witness)
		if err != nil || answered {
			return observations, witness, err
		}
		v.witnesses = v.witnesses[1:]
	}
	return nil, "", fmt.Errorf("no record that is known to live answered beside them: Shopify may hide all of them")
}

// askList looks for a witness in the list itself, where the read showed nothing of
// the kind. What is asked about is as good a witness as any: where the list shows
// it and no read by id does, Shopify contradicts itself, and nothing is proven.
func (j *inquest) askList(ctx context.Context, v *verdict) error {
	for _, list := range shopify.Lists() {
		if !slices.Contains(list.Kinds, v.info.Kind) {
			continue
		}
		page, err := list.Page(ctx, j.client, "")
		if err != nil {
			return fmt.Errorf("ask again for %s: %w", list.Name, err)
		}
		for _, o := range page.Observations {
			if o.Key.Kind == v.info.Kind && o.Content != nil && len(v.witnesses) < maxWitnesses {
				v.witnesses = append(v.witnesses, o.Key.ID)
			}
		}
	}
	return nil
}

// sort tells which of the nulls are enough and which need another.
func (j *inquest) sort(ctx context.Context, v *verdict, nulls []nulled) error {
	if len(nulls) == 0 {
		return nil
	}
	keys := make([]mirror.Key, len(nulls))
	ids := make([]mirror.GID, len(nulls))
	for i, n := range nulls {
		keys[i], ids[i] = n.last.Key, n.last.Key.ID
	}
	var records map[mirror.Key]store.Record
	var owed map[mirror.GID]mirror.Instant
	err := j.Store.View(ctx, func(tx *store.Tx) (err error) {
		if records, err = tx.LoadRecords(j.shop.ID, keys); err != nil {
			return err
		}
		owed, err = tx.LastAsked(j.shop.ID, ids)
		return err
	})
	if err != nil {
		return err
	}
	skew := mirror.At(j.Now()) - j.client.Clock().At(j.Now())
	for _, n := range nulls {
		n.heard = lastWord(records[n.last.Key].State)
		if made, asked := owed[n.last.Key.ID]; asked { // By this machine's clock.
			n.heard = max(n.heard, made-skew)
		}
		if n.heard.Add(lately) > n.last.AsOf || n.nulls[0].Witness == "" {
			v.pending = append(v.pending, n)
		} else {
			v.confirmed = append(v.confirmed, n)
		}
	}
	return nil
}

// lastWord is when something was last heard of a record, from whichever source.
func lastWord(s mirror.State) mirror.Instant {
	return max(s.AsOf, s.Heard, s.Seen, s.ReadAt, s.WebhookAt)
}

// lookAgain takes the second look, nullGap after the first was over.
func (j *inquest) lookAgain(ctx context.Context, v *verdict, looked time.Time) error {
	if v.over || len(v.pending) == 0 {
		return nil
	}
	j.now(fmt.Sprintf("looking again at %d missing %s records", len(v.pending), v.info.Kind))
	if err := sleep(ctx, time.Until(looked.Add(nullGap))); err != nil {
		return err
	}
	first := make(map[mirror.GID]nulled, len(v.pending))
	ids := make([]mirror.GID, len(v.pending))
	for i, n := range v.pending {
		ids[i] = n.last.Key.ID
		first[ids[i]] = n
	}
	again, err := j.look(ctx, v, ids)
	if err != nil || v.over {
		return err
	}
	v.pending = nil
	for _, n := range again {
		before := first[n.last.Key.ID]
		if n.last.AsOf < before.last.AsOf.Add(nullGap) { // Shopify's clock was set meanwhile.
			v.over = true
			j.doubt(v.info.Kind, fmt.Sprintf("missing %s records were looked at twice too close together: poll again", v.info.Type))
			return nil
		}
		n.heard, n.nulls = before.heard, append(before.nulls, n.nulls...)
		v.confirmed = append(v.confirmed, n)
	}
	return nil
}

// sentence lets the fuse judge what is confirmed, and deletes it.
func (j *inquest) sentence(ctx context.Context, v *verdict) error {
	if v.over {
		return nil
	}
	n := int64(len(v.confirmed))
	if total := v.total + n; !v.accepted && j.MaxDelete.Blows(n, total) {
		v.over = true
		j.doubt(v.info.Kind, tooMuch(n, total, v.info.Type, j.shop.Domain))
		return nil
	}
	for part := range slices.Chunk(v.confirmed, absenceBatch) {
		if err := j.Store.Update(ctx, func(tx *store.Tx) error { return j.delete(tx, v.info.Kind, part) }); err != nil {
			return fmt.Errorf("delete %d records: %w", len(part), err)
		}
	}
	v.confirmed = nil
	return nil
}

// tooMuch tells that the fuse blew, and what to do if it should not have.
func tooMuch(n, total int64, resource, domain string) string {
	return fmt.Sprintf("%d or more of %d %s records would be deleted, more than POLL_MAX_DELETE allows: nothing was. If that is right, run "+
		"`stockroom poll --shop %s --accept-deletions`", n, total, resource, domain)
}

// delete writes confirmed absences, their evidence, and that they were drift.
// What showed itself between the null and now stays.
func (j *inquest) delete(tx *store.Tx, kind mirror.Kind, part []nulled) error {
	info := mirror.InfoOf(kind)
	observations := make([]mirror.Observation, len(part))
	for i, n := range part {
		observations[i] = n.last
	}
	steps, err := j.write(tx, apply.Batch{Shop: j.shop.ID, Observations: observations})
	if err != nil {
		return err
	}
	gone := map[mirror.Key]bool{}
	for _, step := range steps {
		gone[step.Key] = step.Before.Shown(info) && !step.After.Shown(info)
	}
	var tombstones []store.Tombstone
	for _, n := range part {
		if !gone[n.last.Key] {
			continue
		}
		evidence, err := json.Marshal(Evidence{Read: j.read, ReadStart: j.start.Time(), Heard: n.heard.Time(), Nulls: n.nulls})
		if err != nil {
			return err
		}
		tombstones = append(tombstones, store.Tombstone{Key: n.last.Key, Dead: n.last.AsOf, Evidence: evidence})
	}
	return tx.SaveTombstones(j.shop.ID, tombstones)
}

// windowMargin keeps orders at the window's edge from being judged.
const windowMargin = time.Hour

// leftTheWindow reports an order that the shop no longer lists because of its
// age: that is neither deletion nor drift.
func (j *inquest) leftTheWindow(kind mirror.Kind, row store.Row) (bool, error) {
	if kind != mirror.KindOrder || len(shopify.MissingScopes(j.granted, []string{mirror.ScopeAllOrders})) == 0 {
		return false, nil
	}
	content, err := mirror.Decode(kind, row.Content)
	if err != nil {
		return false, err
	}
	created := mirror.At(content.(*mirror.Order).CreatedAt.Time)
	return created < j.start.Add(windowMargin-mirror.OrderWindow), nil
}

// accepted reports whether the operator let deletions through, which may be while the run is under way.
func (r *reading) accepted(tx *store.Tx) (bool, error) {
	run, err := tx.RunByID(r.run.ID)
	return run.AcceptDeletions, err
}

// absences deletes what the shop has deleted: records that the run did not read.
func (r *reading) absences(ctx context.Context) error {
	j := &inquest{
		Config: r.Config, shop: r.shop, client: r.client, granted: r.granted(),
		read: fmt.Sprintf("%s %d", r.run.Kind, r.run.ID), start: r.run.StartedAt,
		candidates: func(tx *store.Tx, kind mirror.Kind, after mirror.GID) (ids []mirror.GID, last mirror.GID, err error) {
			rows, err := tx.Unread(r.shop.ID, r.run.ID, kind, r.run.StartedAt, after, absenceBatch)
			for _, row := range rows {
				ids = append(ids, row.ID)
				last = row.ID
			}
			return ids, last, err
		},
		living: func(tx *store.Tx, kind mirror.Kind) (ids []mirror.GID, total int64, err error) {
			if ids, err = tx.SomeRead(r.run.ID, kind, maxWitnesses); err != nil {
				return nil, 0, err
			}
			total, err = tx.CountRead(r.run.ID, kind)
			return ids, total, err
		},
		accepted: r.accepted,
		write:    r.applyNoting,
		doubt: func(kind mirror.Kind, reason string) {
			r.complete[kind] = false
			r.gap("%s", reason)
		},
		now: func(what string) { r.progress.Now = what },
	}
	return j.all(ctx, func(kind mirror.Kind) bool { return r.complete[kind] })
}
