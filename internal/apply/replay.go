package apply

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"stockroom/internal/mirror"
	"stockroom/internal/store"
)

// ReplayArgs select stored webhooks of a shop to be fed through again.
type ReplayArgs struct {
	Since       mirror.Instant `json:"since"`       // Received then or later, on Shopify's clock.
	Topic       string         `json:"topic"`       // Empty for all.
	Quarantined bool           `json:"quarantined"` // Those in quarantine too.
}

// ReplayReport is what a replay did.
type ReplayReport struct {
	Fed        int `json:"fed"`        // Webhooks that went through again.
	Passed     int `json:"passed"`     // About the app's standing or people's data: they are never repeated.
	Erased     int `json:"erased"`     // They name orders that a customer had erased since.
	Unreadable int `json:"unreadable"` // They, or their bodies, cannot be read; those in quarantine stay there.
	Freed      int `json:"freed"`      // Of Fed: those that were in quarantine, and are applied now.
	Reads      int `json:"reads"`      // Records that they ask to be read by id, which goes on in the background. One asked for before and after an interruption counts twice.

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

// ReadReplayReport reads a task's report; an unfinished one's is empty.
func ReadReplayReport(task store.Task) (ReplayReport, error) {
	r := ReplayReport{Changes: []ReplayedChange{}}
	if err := json.Unmarshal(task.Report, &r); err != nil {
		return r, fmt.Errorf("report of task %d: %w", task.ID, err)
	}
	return r, nil
}

// replay is one replay under way.
type replay struct {
	*Inbox
	task     store.Task
	args     ReplayArgs
	progress replayProgress
	asked    map[mirror.GID]bool
	redacted map[mirror.GID]mirror.Instant // Until when what was heard of orders is passed over.
}

// replayProgress is where a replay stands. It is stored with every batch.
type replayProgress struct {
	After int64        `json:"after"` // Up to this number webhooks went through.
	UpTo  int64        `json:"up_to"` // The last one that was stored at the start: what comes meanwhile is applied anyway.
	Done  ReplayReport `json:"done"`
}

// Replay carries a queued or interrupted replay to its end and returns it as it
// ended. An error means that it did not end and can be carried on by calling
// Replay again.
//
// It feeds stored webhooks of a shop through again, oldest first, by the path
// that they took before. What they say is known, so that it changes nothing
// that is right: the merge has every mark of theirs already. It mends what was
// lost of the copy, and what a body means since the program reads it better.
// Webhooks that wait are left to be applied in their turn.
func (b *Inbox) Replay(ctx context.Context, taskID int64) (store.Task, error) {
	r := &replay{Inbox: b, asked: map[mirror.GID]bool{}}
	var last int64
	err := b.Store.View(ctx, func(tx *store.Tx) (err error) {
		if r.task, err = tx.TaskByID(taskID); err != nil {
			return err
		}
		shop, err := tx.ShopByID(r.task.ShopID)
		if err != nil {
			return err
		}
		if r.redacted, err = tx.RedactedOrders(shop.Domain); err != nil {
			return err
		}
		last, err = tx.LastDelivery()
		return err
	})
	if err != nil {
		return store.Task{}, fmt.Errorf("open replay %d: %w", taskID, err)
	}
	if r.task.State.Over() {
		return r.task, nil
	}
	if err := json.Unmarshal(r.task.Args, &r.args); err != nil {
		return r.task, fmt.Errorf("what replay %d is to do: %w", taskID, err)
	}
	if r.task.State == store.RunQueued {
		r.task.State, r.task.StartedAt = store.RunRunning, mirror.At(b.Now())
		r.progress = replayProgress{UpTo: last, Done: ReplayReport{Changes: []ReplayedChange{}}}
	} else if err := json.Unmarshal(r.task.Progress, &r.progress); err != nil {
		return r.task, fmt.Errorf("where replay %d stands: %w", taskID, err)
	}
	for !r.task.State.Over() {
		if err := r.next(ctx); err != nil {
			return r.task, fmt.Errorf("replay webhooks of shop %d after number %d: %w", r.task.ShopID, r.progress.After, err)
		}
	}
	if r.progress.Done.Fed > 0 && b.Wrote != nil {
		b.Wrote()
	}
	return r.task, nil
}

// next replays the next webhooks, a batch and the progress in one transaction.
// With none left, it ends the task.
func (r *replay) next(ctx context.Context) error {
	r.turn.Lock()
	defer r.turn.Unlock()
	filter := store.DeliveryFilter{Shop: r.task.ShopID, States: []string{store.DeliveryDone}, Topic: r.args.Topic, Since: r.args.Since,
		After: r.progress.After, UpTo: r.progress.UpTo}
	if r.args.Quarantined {
		filter.States = append(filter.States, store.DeliveryQuarantined)
	}
	var deliveries []store.Delivery
	err := r.Store.View(ctx, func(tx *store.Tx) (err error) {
		deliveries, err = tx.Deliveries(filter, inboxBatch, inboxBatchBytes)
		return err
	})
	if err != nil {
		return err
	}
	now, done := mirror.At(r.Now()), &r.progress.Done
	if len(deliveries) == 0 {
		r.task.State, r.task.EndedAt, r.task.Progress = store.RunOK, now, []byte("{}")
		if r.task.Report, err = json.Marshal(done); err != nil {
			return err
		}
		return r.Store.Update(ctx, func(tx *store.Tx) error { return tx.SaveTask(r.task) })
	}
	batch := Batch{Shop: r.task.ShopID, Again: true}
	var freed []int64
	for _, d := range deliveries {
		r.progress.After = d.Seq
		if r.Private != nil && r.Private(d.Topic) {
			done.Passed++
			continue
		}
		learned, err := r.read(ctx, d)
		if retry, again := errors.AsType[*retryError](err); again {
			return retry.error
		}
		switch {
		case r.wasErased(d, learned):
			done.Erased++
			continue
		case err != nil:
			done.Unreadable++
			continue
		}
		done.Fed++
		if d.State == store.DeliveryQuarantined {
			freed = append(freed, d.Seq)
		}
		batch.add(d, learned)
		for _, demand := range learned.Demands {
			if !r.asked[demand.ID] {
				r.asked[demand.ID] = true
				done.Reads++
			}
		}
	}
	done.Freed += len(freed)
	return r.Store.Update(ctx, func(tx *store.Tx) error {
		steps, err := Apply(tx, batch, now)
		if err != nil {
			return err
		}
		done.note(steps)
		if r.task.Progress, err = json.Marshal(r.progress); err != nil {
			return err
		}
		return errors.Join(tx.FinishDeliveries(freed, now), tx.SaveTask(r.task))
	})
}

// wasErased tells of a webhook that a receipt forbids: it is of an order, and
// from before its customer had it erased. Its body is gone, or came back with an
// older database.
func (r *replay) wasErased(d store.Delivery, learned Learned) bool {
	if string(d.Body) == store.ErasedBody {
		return true
	}
	named := func(id mirror.GID) bool { until, is := r.redacted[id]; return is && d.ReceivedAt <= until }
	return slices.ContainsFunc(learned.Observations, func(o mirror.Observation) bool { return named(o.Key.ID) }) ||
		slices.ContainsFunc(learned.Demands, func(d mirror.Demand) bool { return named(d.ID) })
}

// note counts what readers see otherwise now.
func (r *ReplayReport) note(steps []Step) {
	for _, step := range steps {
		action := actionOf(mirror.InfoOf(step.Key.Kind), step)
		if action == "" {
			continue
		}
		r.Changed++
		if len(r.Changes) < maxChanges {
			r.Changes = append(r.Changes, ReplayedChange{step.Key.Kind, step.Key.ID, action})
		}
	}
}
