package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"stockroom/internal/apply"
	"stockroom/internal/mirror"
	"stockroom/internal/shopify"
	"stockroom/internal/store"
)

// BulkProgress is where a list stands that is read by a bulk operation. The
// operation outlives this process, and its file can be read again, so that an
// interrupted run asks for no new one.
type BulkProgress struct {
	Operation mirror.GID     `json:"operation,omitempty"` // Empty until it was started.
	AsOf      mirror.Instant `json:"as_of,omitempty"`

	// Before is how many roots the shop counted before the operation began,
	// Seq the newest entry of the change feed then.
	Before      int64 `json:"before"`
	BeforeExact bool  `json:"before_exact"`
	Seq         int64 `json:"seq"`

	// Believed says that the file was read whole, so that what is staged of it
	// can be merged.
	Believed bool `json:"believed,omitempty"`

	// Failed says why the operation or its file was not believed; empty for no
	// reason. The list is read by pages then, when this run goes on after an
	// interruption or by the next one.
	Failed string `json:"failed,omitempty"`
}

const (
	// defaultBulkFrom is where both routes took as long when they were measured
	// (docs/benchmarks.md): some 500 products with 1,400 variants. Their pages
	// are charged about a third of the estimate, since few are full, and that is
	// what the bucket of the standard plan holds: beyond, each page waits for it.
	defaultBulkFrom = 6000

	// defaultBulkStall is how long an operation may stand still. Shopify itself
	// gives up after ten days, and stuck ones are a known complaint.
	defaultBulkStall = 30 * time.Minute

	// stalledToo is by how much sooner the operations that began with one that
	// stood still are given up.
	stalledToo = 10

	// Operations are looked at a second after their start, and then ever more
	// rarely: each look costs a point.
	firstLook = time.Second
	lastLook  = time.Minute

	// gatherRows bounds the staged lines that are merged at a time; an owner that
	// has more is merged alone.
	gatherRows = 2000

	// heardSlack is how far apart the start of an operation and a webhook may
	// seem on Shopify's clock and still have come in the other order.
	heardSlack = 2 * time.Second
)

// plan chooses how the lists are read, once for a run: by pages while their
// estimated cost stays below BulkFrom, and otherwise every list that can be by a
// bulk operation, all at once. The figures behind the rule are in docs/benchmarks.md.
func (r *reading) plan(ctx context.Context) error {
	if r.progress.Planned {
		return r.startAll(ctx)
	}
	byPages, err := r.failedInBulk(ctx)
	if err != nil {
		return err
	}
	var seq int64
	if err := r.Store.View(ctx, func(tx *store.Tx) (err error) { seq, err = tx.LastChange(r.shop.ID); return err }); err != nil {
		return err
	}
	counts := map[string]shopify.Count{}
	var points int64
	for _, list := range shopify.Lists() {
		if list.Bulk == nil || len(shopify.MissingScopes(r.granted(), list.Scopes)) > 0 {
			continue
		}
		count, err := list.Bulk.Count(ctx, r.client)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			continue // Its pages will say what is wrong.
		}
		counts[list.Name] = count
		points += list.Bulk.PagesCost(count.N)
	}
	if points > r.BulkFrom {
		for _, list := range shopify.Lists() {
			if count := counts[list.Name]; count.N > 0 && !byPages[list.Name] && r.progress.Lists[list.Name] == nil {
				r.progress.Lists[list.Name] = &ListProgress{Bulk: &BulkProgress{Before: count.N, BeforeExact: count.Exact, Seq: seq}}
			}
		}
	}
	r.progress.Planned = true
	if err := r.Store.Update(ctx, r.save); err != nil {
		return err
	}
	return r.startAll(ctx)
}

// failedInBulk names the lists whose last bulk operation was not believed: this
// time they are read by the smaller route.
func (r *reading) failedInBulk(ctx context.Context) (map[string]bool, error) {
	failed, judged := map[string]bool{}, map[string]bool{}
	err := r.Store.View(ctx, func(tx *store.Tx) error {
		runs, err := tx.Runs(r.shop.ID, runsLookedAt)
		if err != nil {
			return err
		}
		for _, run := range runs {
			if run.ID == r.run.ID || !run.State.Over() {
				continue
			}
			past, err := ReadProgress(run)
			if err != nil {
				return err
			}
			for name, at := range past.Lists {
				if !judged[name] && (at.Done || at.Bulk != nil && at.Bulk.Failed != "") {
					judged[name], failed[name] = true, !at.Done
				}
			}
		}
		return nil
	})
	return failed, err
}

// runsLookedAt bounds the past runs that are asked how a list was read last.
const runsLookedAt = 10

// ByPagesNext reports whether a run that is over left lists to the smaller
// route, so that another run should follow at once.
func ByPagesNext(run store.Run) (bool, error) {
	if run.State != store.RunPartial {
		return false, nil
	}
	progress, err := ReadProgress(run)
	if err != nil {
		return false, err
	}
	for _, at := range progress.Lists {
		if !at.Done && at.Bulk != nil && at.Bulk.Failed != "" {
			return true, nil
		}
	}
	return false, nil
}

// startAll starts the operations of all lists that are read so, as many as may
// run at a time. The others are started when it is their turn.
func (r *reading) startAll(ctx context.Context) error {
	for _, list := range shopify.Lists() {
		at := r.progress.Lists[list.Name]
		if at == nil || at.Bulk == nil || at.Bulk.Operation != "" || at.Bulk.Failed != "" || at.Done {
			continue
		}
		if err := r.start(ctx, list, at); err != nil && !errors.Is(err, shopify.ErrBulkBusy) {
			if shopify.ClassOf(err) == "" {
				return err
			}
			return nil // Its turn comes, and then it says what is wrong.
		}
	}
	return nil
}

// start starts a list's operation. An error with a class is Shopify's.
func (r *reading) start(ctx context.Context, list shopify.List, at *ListProgress) error {
	operation, err := r.client.StartBulk(ctx, list.Bulk.Query)
	if err != nil {
		return err
	}
	at.Bulk.Operation, at.Bulk.AsOf = operation.ID, operation.AsOf
	return r.Store.Update(ctx, r.save)
}

// readBulk reads a list by its bulk operation. What cannot be believed leaves a
// gap, and its kinds unproven: the next run reads the list by pages.
func (r *reading) readBulk(ctx context.Context, list shopify.List, at *ListProgress) error {
	doubt, err := r.bulk(ctx, list, at)
	switch {
	case err != nil:
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	case doubt == nil:
		for _, kind := range list.Kinds {
			r.complete[kind] = true
		}
		return nil
	}
	class := shopify.ClassOf(doubt)
	if class == shopify.ClassClosed || class == shopify.ClassToken {
		return r.end(ctx, store.RunFailed, doubt.Error())
	}
	at.Bulk.Failed = doubt.Error()
	if err := r.Store.Update(ctx, r.save); err != nil {
		return err
	}
	if list.Protected && class == shopify.ClassDenied {
		return r.notApproved(ctx, list)
	}
	r.gap("%s could not be read in bulk: %v. The next run reads them by pages", list.Name, doubt)
	return nil
}

// bulk goes from an operation's start to its last record. A doubt is why what it
// brought is not believed; an error ends the run's work here.
func (r *reading) bulk(ctx context.Context, list shopify.List, at *ListProgress) (doubt, err error) {
	if !at.Bulk.Believed {
		operation, doubt, err := r.follow(ctx, list, at)
		if doubt != nil || err != nil {
			return doubt, err
		}
		if doubt := operation.Failure(r.shop.Domain); doubt != nil {
			return doubt, nil
		}
		if doubt, err := r.stream(ctx, list, at, operation); doubt != nil || err != nil {
			return doubt, err
		}
	}
	return r.gather(ctx, list, at)
}

// follow waits for an operation's end. One that does not move is canceled. All
// of a run's operations begin together, so where one stood still for long, the
// others have had that time as well, and have to move soon: however many are
// stuck, the run waits for them little longer than once.
func (r *reading) follow(ctx context.Context, list shopify.List, at *ListProgress) (operation shopify.BulkOperation, doubt, err error) {
	var last shopify.BulkOperation
	moved, patience := r.Now(), r.BulkStall
	if r.stalled && at.Bulk.Operation != "" {
		patience /= stalledToo
	}
	for wait := firstLook; ; wait = min(2*wait, lastLook) {
		if at.Bulk.Operation == "" {
			err = r.start(ctx, list, at)
			if err == nil {
				moved, wait = r.Now(), firstLook
			} else if !errors.Is(err, shopify.ErrBulkBusy) {
				return operation, theirs(err), ours(err)
			}
		} else {
			if operation, err = r.client.BulkOperation(ctx, at.Bulk.Operation); err != nil {
				if theirs(err) != nil {
					return operation, r.leave(ctx, at, err), ctx.Err()
				}
				return operation, nil, err
			}
			if operation.Over() {
				return operation, nil, nil
			}
			if operation.Status != last.Status || operation.Objects != last.Objects {
				moved = r.Now()
			}
			last = operation
		}
		if still := r.Now().Sub(moved); still >= patience {
			r.stalled = true
			return operation, r.giveUp(ctx, at, still), ctx.Err()
		}
		r.progress.Now = fmt.Sprintf("Shopify gathers %s: %d objects so far", list.Name, last.Objects)
		if err := r.Store.Update(ctx, r.save); err != nil {
			return operation, nil, err
		}
		if err := sleep(ctx, min(wait, patience)); err != nil {
			return operation, nil, err
		}
	}
}

// theirs is an error that Shopify's side caused, ours any other.
func theirs(err error) error {
	if shopify.ClassOf(err) == "" {
		return nil
	}
	return err
}

func ours(err error) error {
	if shopify.ClassOf(err) != "" {
		return nil
	}
	return err
}

// leave cancels an operation that cannot be followed any more: it would keep one
// of the shop's few slots until Shopify gives it up. The error stays what it was,
// and so its class.
func (r *reading) leave(ctx context.Context, at *ListProgress, reason error) error {
	if err := r.client.CancelBulk(ctx, at.Bulk.Operation); err != nil && ctx.Err() == nil {
		r.Log.Warn("a bulk operation that is not followed any more could not be canceled", "shop", r.shop.Domain, "run", r.run.ID,
			"operation", at.Bulk.Operation, "error", err)
	}
	return fmt.Errorf("bulk operation %s: %w", at.Bulk.Operation.Number(), reason)
}

// giveUp cancels an operation that stands still.
func (r *reading) giveUp(ctx context.Context, at *ListProgress, still time.Duration) error {
	if at.Bulk.Operation == "" {
		return fmt.Errorf("%w, for %v", shopify.ErrBulkBusy, still.Round(time.Second))
	}
	if err := r.client.CancelBulk(ctx, at.Bulk.Operation); err != nil {
		return fmt.Errorf("bulk operation %s stands still for %v and could not be canceled: %w", at.Bulk.Operation.Number(), still.Round(time.Second), err)
	}
	return fmt.Errorf("bulk operation %s stood still for %v and was canceled", at.Bulk.Operation.Number(), still.Round(time.Second))
}

// stream reads an operation's file. What a line carries itself is merged at
// once, what needs others is staged. When all of it came it is believed. A file
// that is read again stages the same lines again.
func (r *reading) stream(ctx context.Context, list shopify.List, at *ListProgress, operation shopify.BulkOperation) (doubt, err error) {
	at.Rows = 0
	r.progress.Now = "reading " + list.Name
	file, doubt := r.client.ReadBulkFile(ctx, operation, func(lines []shopify.BulkLine) error {
		observations, staged, problem := list.Bulk.Read(at.Bulk.AsOf, lines)
		if problem != nil {
			return problem
		}
		err = r.write(ctx, observations, at, *at, func(tx *store.Tx) error { return tx.Stage(r.run.ID, list.Name, stagedRows(staged)) })
		return err
	})
	if err != nil || ctx.Err() != nil {
		return nil, errors.Join(err, ctx.Err())
	}
	if doubt == nil {
		doubt = file.Matches(operation)
	}
	if doubt != nil {
		return fmt.Errorf("bulk operation %s: %w", operation.ID.Number(), doubt), nil
	}
	if doubt, err := r.countsAgree(ctx, list, at, file.Roots); doubt != nil || err != nil {
		return doubt, err
	}
	at.Bulk.Believed = true
	return nil, r.Store.Update(ctx, r.save)
}

// countsAgree holds the roots of a file against the shop's own counts before and
// after. What is known to have come or gone meanwhile may be in it or not.
func (r *reading) countsAgree(ctx context.Context, list shopify.List, at *ListProgress, roots int64) (doubt, err error) {
	var owners int64
	err = r.Store.View(ctx, func(tx *store.Tx) (err error) {
		owners, err = tx.CountStagedOwners(r.run.ID, list.Name)
		return err
	})
	if err != nil {
		return nil, err
	}
	if owners != roots {
		return fmt.Errorf("%d lines without a parent name %d objects", roots, owners), nil
	}
	before := shopify.Count{N: at.Bulk.Before, Exact: at.Bulk.BeforeExact}
	if before.Exact && roots == before.N {
		return nil, nil // It lies between the two whatever the other is.
	}
	after, err := list.Bulk.Count(ctx, r.client)
	if err != nil {
		return theirs(err), ours(err)
	}
	var came, went int64
	err = r.Store.View(ctx, func(tx *store.Tx) (err error) {
		came, went, err = tx.KnownSince(r.shop.ID, at.Bulk.Seq, list.Bulk.Root)
		return err
	})
	if err != nil {
		return nil, err
	}
	if roots < min(before.N, after.N)-went || before.Exact && after.Exact && roots > max(before.N, after.N)+came {
		return fmt.Errorf("the file has %d %s, the shop counted %d before and %d after", roots, list.Name, before.N, after.N), nil
	}
	return nil, nil
}

// gather merges what is staged, owner by owner, and drops it with the same
// transaction, so that an interrupted run goes on where it was.
func (r *reading) gather(ctx context.Context, list shopify.List, at *ListProgress) (doubt, err error) {
	r.progress.Now = "putting " + list.Name + " together"
	for limit := gatherRows; ; {
		var rows []store.Staged
		err := r.Store.View(ctx, func(tx *store.Tx) (err error) {
			rows, err = tx.Staged(r.run.ID, list.Name, limit)
			return err
		})
		if err != nil {
			return nil, err
		}
		if len(rows) == 0 {
			at.Done = true
			return nil, r.Store.Update(ctx, r.save)
		}
		last := rows[len(rows)-1].Owner
		if len(rows) == limit { // The last owner may have more.
			for len(rows) > 0 && rows[len(rows)-1].Owner == last {
				rows = rows[:len(rows)-1]
			}
			if len(rows) == 0 {
				limit *= 2
				continue
			}
			last = rows[len(rows)-1].Owner
		}
		limit = gatherRows
		observations, doubt := list.Bulk.Gather(at.Bulk.AsOf, gathered(rows))
		if doubt != nil {
			return doubt, nil
		}
		err = r.write(ctx, observations, at, *at, func(tx *store.Tx) error { return tx.DropStaged(r.run.ID, list.Name, last) })
		if err != nil {
			return nil, err
		}
	}
}

// gathered puts children with their owners. Children without one are passed
// over: their owner came or went while Shopify read.
func gathered(rows []store.Staged) []shopify.Gathered {
	var all []shopify.Gathered
	for _, row := range rows {
		if row.Child == "" {
			all = append(all, shopify.Gathered{Owner: row.Owner, Data: row.Data})
		} else if n := len(all); n > 0 && all[n-1].Owner == row.Owner {
			all[n-1].Children = append(all[n-1].Children, shopify.Staged{Owner: row.Owner, Child: row.Child, Data: row.Data})
		}
	}
	return all
}

func stagedRows(staged []shopify.Staged) []store.Staged {
	rows := make([]store.Staged, len(staged))
	for i, s := range staged {
		rows[i] = store.Staged(s)
	}
	return rows
}

// heardSince drops those steps of a bulk operation's lines of which the copy
// knows something later: such a line is not what the shop says now.
func heardSince(steps []apply.Step, slack time.Duration) []apply.Step {
	kept := make([]apply.Step, 0, len(steps))
	for _, step := range steps {
		known := max(step.Before.AsOf, step.Before.Dead)
		if step.Last.Source != mirror.FromBulk || known <= step.Last.AsOf.Add(slack) {
			kept = append(kept, step)
		}
	}
	return kept
}
