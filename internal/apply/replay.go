package apply

import (
	"context"
	"fmt"

	"stockroom/internal/mirror"
	"stockroom/internal/store"
)

// Replay selects stored webhooks of a shop to be fed through again.
type Replay struct {
	Since       mirror.Instant `json:"since"`       // Received then or later, on Shopify's clock.
	Topic       string         `json:"topic"`       // Empty for all.
	Quarantined bool           `json:"quarantined"` // Those in quarantine too.
}

// Replayed is what a replay did.
type Replayed struct {
	Fed        int `json:"fed"`        // Webhooks that went through again.
	Passed     int `json:"passed"`     // About the app's standing or people's data: they are never repeated.
	Unreadable int `json:"unreadable"` // They, or their bodies, cannot be read; those in quarantine stay there.
	Freed      int `json:"freed"`      // Of Fed: those that were in quarantine, and are applied now.
	Reads      int `json:"reads"`      // Records that they ask to be read by id, which goes on in the background.

	Changed int              `json:"changed"` // Records that readers see otherwise now.
	Changes []ReplayedChange `json:"changes"` // The first of them.
}

// ReplayedChange is a record that a replay changed.
type ReplayedChange struct {
	Kind   mirror.Kind `json:"record"`
	ID     mirror.GID  `json:"id"`
	Action string      `json:"action"` // created, updated or deleted.
}

// maxChanges bounds the changes that a replay lists one by one.
const maxChanges = 200

// Replay feeds stored webhooks of a shop through again, oldest first, by the
// path that they took before. What they say is known, so that it changes nothing
// that is right: the merge has every mark of theirs already. It mends what was
// lost of the copy, and what a body means since the program reads it better.
// Webhooks that wait are left to be applied in their turn.
func (b *Inbox) Replay(ctx context.Context, shop int64, which Replay) (Replayed, error) {
	done := Replayed{Changes: []ReplayedChange{}}
	filter := store.DeliveryFilter{Shop: shop, States: []string{store.DeliveryDone}, Topic: which.Topic, Since: which.Since}
	if which.Quarantined {
		filter.States = append(filter.States, store.DeliveryQuarantined)
	}
	err := b.Store.View(ctx, func(tx *store.Tx) (err error) {
		filter.UpTo, err = tx.LastDelivery() // What comes meanwhile is applied anyway.
		return err
	})
	if err != nil {
		return done, fmt.Errorf("replay: %w", err)
	}
	asked := map[mirror.GID]bool{}
	for {
		n, err := b.replayBatch(ctx, &filter, &done, asked)
		if err != nil {
			return done, fmt.Errorf("replay webhooks of shop %d after number %d: %w", shop, filter.After, err)
		}
		if n == 0 {
			break
		}
	}
	done.Reads = len(asked)
	if done.Fed > 0 && b.Wrote != nil {
		b.Wrote()
	}
	return done, nil
}

// replayBatch replays the next webhooks that the filter selects, and moves it past them.
func (b *Inbox) replayBatch(ctx context.Context, filter *store.DeliveryFilter, done *Replayed, asked map[mirror.GID]bool) (int, error) {
	b.turn.Lock()
	defer b.turn.Unlock()
	var deliveries []store.Delivery
	err := b.Store.View(ctx, func(tx *store.Tx) (err error) {
		deliveries, err = tx.Deliveries(*filter, inboxBatch, inboxBatchBytes)
		return err
	})
	if err != nil || len(deliveries) == 0 {
		return 0, err
	}
	batch := Batch{Shop: filter.Shop, Again: true}
	var freed []int64
	for _, d := range deliveries {
		filter.After = d.Seq
		if b.Private != nil && b.Private(d.Topic) {
			done.Passed++
			continue
		}
		learned, err := b.Decode(d)
		if err != nil {
			done.Unreadable++
			continue
		}
		done.Fed++
		if d.State == store.DeliveryQuarantined {
			freed = append(freed, d.Seq)
		}
		batch.add(d, learned)
		for _, demand := range learned.Demands {
			asked[demand.ID] = true
		}
	}
	now := mirror.At(b.Now())
	var steps []Step
	err = b.Store.Update(ctx, func(tx *store.Tx) (err error) {
		if steps, err = Apply(tx, batch, now); err != nil {
			return err
		}
		return tx.FinishDeliveries(freed, now)
	})
	if err != nil {
		return 0, err
	}
	done.Freed += len(freed)
	for _, step := range steps {
		action := actionOf(mirror.InfoOf(step.Key.Kind), step)
		if action == "" {
			continue
		}
		done.Changed++
		if len(done.Changes) < maxChanges {
			done.Changes = append(done.Changes, ReplayedChange{step.Key.Kind, step.Key.ID, action})
		}
	}
	return len(deliveries), nil
}
