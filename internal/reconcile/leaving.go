package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"stockroom/internal/apply"
	"stockroom/internal/mirror"
	"stockroom/internal/shopify"
	"stockroom/internal/store"
)

// A set that a poll finds smaller takes its members away, and leaving a set needs
// no read by id of each. But the fuse of P4 has to hold for them as well: who
// loses sight of a namespace is shown shorter lists, and no error. So a poll holds
// such a set back until all lists are read and all absences judged, and then reads
// its owner by id, unless what the held sets take away together is too much to be
// believed. A variant that left is a record that no list showed, and judged as one.

// held are the kinds of sets that are held back, and whether the fuse has yet to
// judge what they take away.
var held = []struct {
	set, member mirror.Kind
	unjudged    bool
}{
	{mirror.KindProductVariantSet, mirror.KindProductVariant, false},
	{mirror.KindMetafieldSet, mirror.KindMetafield, true},
}

// heldList names where the members are staged that a kind of set takes away.
func heldList(set mirror.Kind) string { return "left " + string(set) }

// smallerSets says which sets a batch would make smaller, and by which members that readers see.
type smallerSets map[mirror.Key][]mirror.GID

func (s smallerSets) Error() string { return fmt.Sprintf("%d sets would lose members", len(s)) }

// smaller finds the sets that steps make smaller.
func (r *reading) smaller(tx *store.Tx, steps []apply.Step) (smallerSets, error) {
	found := smallerSets{}
	for _, kind := range held {
		left := map[mirror.GID]mirror.GID{} // By member: its set.
		for _, step := range steps {
			if step.Key.Kind != kind.set || step.Before.Digest == step.After.Digest || !step.Before.Shown(mirror.InfoOf(kind.set)) {
				continue
			}
			before, err := membersOf(kind.set, step.Before.Content)
			if err != nil {
				return nil, err
			}
			after, err := membersOf(kind.set, step.After.Content)
			if err != nil {
				return nil, err
			}
			for _, id := range before {
				if !slices.Contains(after, id) {
					left[id] = step.Key.ID
				}
			}
		}
		visible, err := tx.VisibleIDs(r.shop.ID, kind.member, keys(left))
		if err != nil {
			return nil, err
		}
		for _, id := range visible {
			key := mirror.Key{Kind: kind.set, ID: left[id]}
			found[key] = append(found[key], id)
		}
	}
	return found, nil
}

// membersOf lists a set's members; none where there is no set.
func membersOf(kind mirror.Kind, encoded []byte) ([]mirror.GID, error) {
	if encoded == nil {
		return nil, nil
	}
	content, err := mirror.Decode(kind, encoded)
	if err != nil {
		return nil, err
	}
	switch set := content.(type) {
	case *mirror.ProductVariantSet:
		return set.VariantIDs, nil
	case *mirror.MetafieldSet:
		return set.MetafieldIDs, nil
	}
	return nil, fmt.Errorf("%s is no set", kind)
}

// holdBack stages what sets would take away, and leaves them out of the batch.
func (r *reading) holdBack(tx *store.Tx, batch *apply.Batch, sets smallerSets) error {
	staged := map[string][]store.Staged{}
	for key, members := range sets {
		for _, id := range members {
			staged[heldList(key.Kind)] = append(staged[heldList(key.Kind)], store.Staged{Owner: key.ID, Child: id})
		}
	}
	for list, rows := range staged {
		if err := tx.Stage(r.run.ID, list, rows); err != nil {
			return err
		}
	}
	batch.Observations = slices.DeleteFunc(slices.Clone(batch.Observations), func(o mirror.Observation) bool { return sets[o.Key] != nil })
	return nil
}

// letGo reads the owners of the sets that were held back, unless the fuse blows.
func (r *reading) letGo(ctx context.Context) error {
	for _, kind := range held {
		if !r.complete[kind.member] {
			continue // There is a gap already.
		}
		var lost, living int64
		var accepted bool
		err := r.Store.View(ctx, func(tx *store.Tx) (err error) {
			if lost, err = tx.CountStaged(r.run.ID, heldList(kind.set)); err != nil {
				return err
			}
			if living, err = tx.CountRead(r.run.ID, kind.member); err != nil {
				return err
			}
			accepted, err = r.accepted(tx)
			return err
		})
		if err != nil {
			return err
		}
		if kind.unjudged && !accepted && r.MaxDelete.Blows(lost, living+lost) {
			r.complete[kind.set], r.complete[kind.member] = false, false
			r.gap("%s", tooMuch(lost, living+lost, mirror.InfoOf(kind.member).Type, r.shop.Domain))
			continue
		}
		if err := r.readOwners(ctx, kind.set, lost); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			r.complete[kind.set], r.complete[kind.member] = false, false
			r.gap("%s that left their owners' lists could not be confirmed: %v", mirror.InfoOf(kind.member).Type, err)
		}
	}
	return nil
}

// readOwners reads the owners of held sets by id and applies what they have now.
func (r *reading) readOwners(ctx context.Context, set mirror.Kind, lost int64) error {
	read := mirror.InfoOf(set).Read
	for {
		var owners []mirror.GID
		err := r.Store.View(ctx, func(tx *store.Tx) error {
			rows, err := tx.Staged(r.run.ID, heldList(set), absenceBatch)
			for _, row := range rows {
				owners = append(owners, row.Owner)
			}
			return err
		})
		if err != nil || len(owners) == 0 {
			return err
		}
		r.progress.Now = fmt.Sprintf("confirming %d that left their owners' lists", lost)
		owners = slices.Compact(owners)
		owners = owners[:min(len(owners), shopify.MaxIDs(read))]
		observations, err := r.client.ReadByID(ctx, read, owners)
		if err != nil {
			return err
		}
		// An owner that is gone is told of by its own deletion.
		observations = slices.DeleteFunc(observations, func(o mirror.Observation) bool { return o.Content == nil })
		err = r.Store.Update(ctx, func(tx *store.Tx) error {
			_, err := r.applyNoting(tx, apply.Batch{Shop: r.shop.ID, Observations: observations})
			return errors.Join(err, tx.DropStaged(r.run.ID, heldList(set), owners[len(owners)-1]))
		})
		if err != nil {
			return fmt.Errorf("apply %d owners: %w", len(owners), err)
		}
	}
}
