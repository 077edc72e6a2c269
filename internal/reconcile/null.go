package reconcile

import (
	"context"
	"encoding/json"
	"slices"
	"sync"

	"stockroom/internal/mirror"
	"stockroom/internal/shopify"
	"stockroom/internal/store"
)

// A read that was owed and finds null what readers see would delete it, and no
// complete read lacked it. The same null would keep hidden what a list or a
// webhook has shown since it was taken for deleted. So it is asked for again beside a witness, and
// such nulls count from the second on, nullGap after the first: the demand is
// what was heard lately. Until then the demand stays, and so does the record.

// firstNulls remembers nulls that wait for their second. A process that ends
// forgets them, and begins to count anew.
type firstNulls struct {
	mu    sync.Mutex
	nulls map[nullKey]nulled
}

type nullKey struct {
	shop int64
	key  mirror.Key
}

// maxFirstNulls bounds what is remembered; beyond it all begin anew.
const maxFirstNulls = 10_000

// add counts a null and returns it with those before; proven is false until two
// lie apart, with no word of the record since the first.
func (f *firstNulls) add(shop int64, n nulled, word mirror.Instant) (all nulled, proven bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := nullKey{shop, n.last.Key}
	first, known := f.nulls[at]
	if word > first.last.AsOf {
		known = false // It lived after that.
	}
	switch {
	case known && n.last.AsOf >= first.last.AsOf.Add(nullGap):
		delete(f.nulls, at)
		n.nulls = append(first.nulls, n.nulls...)
		return n, true
	case !known:
		if f.nulls == nil || len(f.nulls) >= maxFirstNulls {
			f.nulls = map[nullKey]nulled{}
		}
		f.nulls[at] = n
	}
	return n, false
}

// forget drops what is remembered of a record that was found.
func (f *firstNulls) forget(shop int64, key mirror.Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.nulls, nullKey{shop, key})
}

// proof is what of an answer may be written.
type proof struct {
	observations []mirror.Observation
	absent       []mirror.Observation // Nulls of what is not shown, as far as was known when they were judged.
	tombstones   []store.Tombstone
	held         map[mirror.GID]string // Ids whose null is not proven yet, with why.
}

// prove holds the nulls of records that are shown as far as they alone decide, or
// that showed themselves after their deletion, until they are proven. What is
// hidden by its parent is no exception: the parent may not have been read yet.
// Everything else passes.
func (h *Hydrator) prove(ctx context.Context, shop store.Shop, client *shopify.Client, read mirror.Read, observations []mirror.Observation) (proof, error) {
	passed := proof{held: map[mirror.GID]string{}}
	byKind := map[mirror.Kind][]mirror.GID{}
	for _, o := range observations {
		info := mirror.InfoOf(o.Key.Kind)
		if o.Content == nil && info.Of == "" && info.Read == read && shopify.MaxIDs(read) > 1 {
			byKind[o.Key.Kind] = append(byKind[o.Key.Kind], o.Key.ID)
			continue
		}
		passed.observations = append(passed.observations, o)
		if o.Content != nil {
			h.nulls.forget(shop.ID, o.Key)
		}
	}
	for kind, ids := range byKind {
		doubted := map[mirror.GID]bool{}
		v := &verdict{info: mirror.InfoOf(kind)}
		var records map[mirror.Key]store.Record
		err := h.Store.View(ctx, func(tx *store.Tx) error {
			keys := make([]mirror.Key, len(ids))
			for i, id := range ids {
				keys[i] = mirror.Key{Kind: kind, ID: id}
			}
			var err error
			if records, err = tx.LoadRecords(shop.ID, keys); err != nil {
				return err
			}
			for key, record := range records {
				doubted[key.ID] = doubtful(record.State, v.info)
			}
			newest, err := tx.NewestShown(shop.ID, kind, len(ids)+witnessesTried)
			if err != nil {
				return err
			}
			newest = slices.DeleteFunc(newest, func(id mirror.GID) bool { return slices.Contains(ids, id) })
			v.witnesses, err = tx.VisibleIDs(shop.ID, kind, newest)
			v.witnesses = v.witnesses[:min(len(v.witnesses), maxWitnesses)]
			return err
		})
		if err != nil {
			return proof{}, err
		}
		for _, o := range observations {
			if o.Key.Kind == kind && o.Content == nil && !doubted[o.Key.ID] {
				passed.absent = append(passed.absent, o)
			}
		}
		again := slices.DeleteFunc(slices.Clone(ids), func(id mirror.GID) bool { return !doubted[id] })
		j := &inquest{Config: h.Config, shop: shop, client: client}
		for part := range slices.Chunk(again, max(1, shopify.MaxIDs(read)-1)) {
			found, witness, err := j.ask(ctx, v, part)
			if err != nil {
				if ctx.Err() != nil {
					return proof{}, ctx.Err()
				}
				for _, id := range part {
					passed.held[id] = err.Error()
				}
				continue
			}
			for _, o := range found {
				if o.Key.Kind != kind || o.Content != nil {
					passed.observations = append(passed.observations, o)
					continue
				}
				n, proven := h.nulls.add(shop.ID, nulled{last: o, nulls: []Null{{o.AsOf.Time(), witness}}}, lastWord(records[o.Key].State))
				if !proven {
					passed.held[o.Key.ID] = "the read found nothing, which another has to confirm"
					continue
				}
				evidence, err := json.Marshal(Evidence{Read: "no list: a read by id that was owed", Heard: lastWord(records[o.Key].State).Time(), Nulls: n.nulls})
				if err != nil {
					return proof{}, err
				}
				passed.observations = append(passed.observations, o)
				passed.tombstones = append(passed.tombstones, store.Tombstone{Key: o.Key, Dead: o.AsOf, Evidence: evidence})
			}
		}
	}
	return passed, nil
}

// doubtful tells that a null alone does not take a record for deleted.
func doubtful(s mirror.State, info *mirror.KindInfo) bool {
	_, unsettled := s.Unsettled(info)
	return unsettled || s.Shown(info)
}

// stillAbsent divides nulls of what is not shown into those of what is not shown
// now, in the transaction that writes them, and the ids of records that a webhook
// has shown since they were judged.
func stillAbsent(tx *store.Tx, shop int64, nulls []mirror.Observation) (absent []mirror.Observation, shown []mirror.GID, err error) {
	keys := make([]mirror.Key, len(nulls))
	for i, o := range nulls {
		keys[i] = o.Key
	}
	records, err := tx.LoadRecords(shop, keys)
	for _, o := range nulls {
		if doubtful(records[o.Key].State, mirror.InfoOf(o.Key.Kind)) {
			shown = append(shown, o.Key.ID)
		} else {
			absent = append(absent, o)
		}
	}
	return absent, shown, err
}

// witnessesTried bounds the records among which witnesses are looked for.
const witnessesTried = 50
