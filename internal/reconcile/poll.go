package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"stockroom/internal/apply"
	"stockroom/internal/mirror"
	"stockroom/internal/shopify"
	"stockroom/internal/store"
)

// Poller reads a shop whole, page by page, for its import and its daily poll.
type Poller struct {
	Config
	Hydrator *Hydrator

	mu      sync.Mutex
	running map[int64]bool
}

// NewPoller makes a Poller that settles what it finds in doubt by the hydrator's reads.
func NewPoller(config Config, hydrator *Hydrator) *Poller {
	return &Poller{Config: config, Hydrator: hydrator, running: map[int64]bool{}}
}

// settleTime bounds how long a run waits for the reads by id that it is owed.
const settleTime = 3 * time.Minute

// Progress is where a run stands. It is stored with every page, so that an
// interrupted run goes on where it was.
type Progress struct {
	Lists map[string]*ListProgress `json:"lists"`
	Ahead []AheadRecord            `json:"ahead,omitempty"`
	Now   string                   `json:"now"` // What is being done, for people.
}

// AheadRecord is one whose copy has a later updatedAt than the shop shows.
type AheadRecord struct {
	Key    mirror.Key `json:"key"`
	ReadID mirror.GID `json:"read_id"`
}

// ListProgress is where one list of a full read stands.
type ListProgress struct {
	Cursor string `json:"cursor"`
	Rows   int64  `json:"rows"`
	Done   bool   `json:"done"`
}

// ReadProgress reads where a run stands.
func ReadProgress(run store.Run) (Progress, error) {
	p := Progress{Lists: map[string]*ListProgress{}}
	if err := json.Unmarshal(run.Progress, &p); err != nil {
		return p, fmt.Errorf("progress of run %d: %w", run.ID, err)
	}
	return p, nil
}

// ErrRunning says that this process is at the run already.
var ErrRunning = errors.New("the run is under way in this process")

// Run carries a queued or interrupted run to its end and returns it as it
// ended. An error means that it did not end (the context did, or the database
// failed) and can be carried on by calling Run again; what Shopify refused is no error
// but ends the run as partial or failed.
func (p *Poller) Run(ctx context.Context, runID int64) (store.Run, error) {
	p.mu.Lock()
	taken := p.running[runID]
	p.running[runID] = true
	p.mu.Unlock()
	if taken {
		return store.Run{}, ErrRunning
	}
	defer func() {
		p.mu.Lock()
		delete(p.running, runID)
		p.mu.Unlock()
	}()

	r := &reading{Poller: p, complete: map[mirror.Kind]bool{}}
	err := p.Store.View(ctx, func(tx *store.Tx) (err error) {
		if r.run, err = tx.RunByID(runID); err != nil {
			return err
		}
		r.shop, err = tx.ShopByID(r.run.ShopID)
		return err
	})
	if err != nil {
		return store.Run{}, fmt.Errorf("open run %d: %w", runID, err)
	}
	if r.run.State.Over() {
		return r.run, nil
	}
	if r.progress, err = ReadProgress(r.run); err != nil {
		return r.run, err
	}
	if err := r.do(ctx); err != nil {
		return r.run, fmt.Errorf("%s of %s: %w", r.run.Kind, r.shop.Domain, err)
	}
	p.Log.Info("full read ended", "shop", r.shop.Domain, "run", r.run.ID, "kind", r.run.Kind, "state", r.run.State)
	return r.run, nil
}

// reading is one run under way.
type reading struct {
	*Poller
	shop     store.Shop
	run      store.Run
	client   *shopify.Client
	progress Progress
	complete map[mirror.Kind]bool // Kinds of which all was read and every absence confirmed.
	gaps     []string
}

// do goes through the run's steps. Each is safe to repeat: a run that was
// interrupted begins again here, and lists that were done are passed over.
func (r *reading) do(ctx context.Context) error {
	if r.shop.State != store.ShopConnected {
		return r.end(ctx, store.RunFailed, "the shop is not connected: "+string(r.shop.State))
	}
	var err error
	if r.client, err = r.Client(ctx, r.shop); err != nil {
		return r.orFailed(ctx, err)
	}
	if err := r.Audit(ctx, r.shop); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.gap("webhook subscriptions could not be checked: %v", err)
	}
	if r.run.State == store.RunQueued {
		// What is owed already is no drift: let the copy be as current as it can.
		if _, err := r.settle(ctx); err != nil {
			return err
		}
		r.run.State, r.run.StartedAt = store.RunRunning, r.client.Clock().Now()
	}
	for _, list := range shopify.Lists() {
		if err := r.readList(ctx, list); err != nil || r.run.State.Over() {
			return err
		}
	}
	r.metafields()
	for _, kind := range absenceOrder {
		if r.complete[kind] {
			if err := r.absences(ctx, kind); err != nil {
				return err
			}
		}
	}
	if err := r.correct(ctx); err != nil {
		return err
	}
	left, err := r.settle(ctx)
	if err != nil {
		return err
	}
	if left > 0 {
		r.gap("%d reads by id are still owed: they go on in the background; poll again in a few minutes", left)
	}
	state := store.RunOK
	if len(r.gaps) > 0 {
		state = store.RunPartial
	}
	return r.end(ctx, state, "")
}

// granted lists the scopes that the shop granted.
func (r *reading) granted() []string { return shopify.ParseScopes(r.shop.Scopes) }

func (r *reading) gap(format string, args ...any) {
	r.gaps = append(r.gaps, fmt.Sprintf(format, args...))
}

// orFailed ends the run as failed for what Shopify or the connection said, and
// passes the end of the context on: then the run is only interrupted.
func (r *reading) orFailed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return r.end(ctx, store.RunFailed, err.Error())
}

// readList reads one list to its end, a page and its progress in one
// transaction. A list that cannot be read leaves a gap, and its kinds unproven.
func (r *reading) readList(ctx context.Context, list shopify.List) error {
	at := r.progress.Lists[list.Name]
	if at == nil {
		at = &ListProgress{}
		r.progress.Lists[list.Name] = at
	}
	if missing := shopify.MissingScopes(r.granted(), list.Scopes); len(missing) > 0 {
		// Not granted is not a gap: what the shop does not share is not mirrored.
		return nil
	}
	r.progress.Now = "reading " + list.Name
	for !at.Done {
		page, err := list.Page(ctx, r.client, at.Cursor)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if class := shopify.ClassOf(err); class == shopify.ClassClosed || class == shopify.ClassToken {
				return r.end(ctx, store.RunFailed, err.Error())
			}
			r.gap("%s could not be read to their end: %v", list.Name, err)
			return nil
		}
		if err := r.apply(ctx, page, at); err != nil {
			return err
		}
	}
	for _, kind := range list.Kinds {
		r.complete[kind] = true
	}
	return nil
}

// metafields are complete when every list that carries some of them is.
func (r *reading) metafields() {
	for _, list := range shopify.Lists() {
		granted := len(shopify.MissingScopes(r.granted(), list.Scopes)) == 0
		if at := r.progress.Lists[list.Name]; list.MetafieldsOf != "" && granted && !at.Done {
			return
		}
	}
	r.complete[mirror.KindMetafield], r.complete[mirror.KindMetafieldSet] = true, true
}

// apply writes a page: the records, what drifted, that they were read, and how far the list is.
func (r *reading) apply(ctx context.Context, page shopify.Page, at *ListProgress) error {
	next := *at
	next.Cursor, next.Done = page.Next, page.Next == ""
	keys := make([]mirror.Key, 0, len(page.Observations))
	for _, o := range page.Observations {
		if o.Content != nil {
			keys = append(keys, o.Key)
			if mirror.InfoOf(o.Key.Kind).Of == "" {
				next.Rows++
			}
		}
	}
	err := r.Store.Update(ctx, func(tx *store.Tx) error {
		steps, err := apply.Apply(tx, apply.Batch{Shop: r.shop.ID, Observations: page.Observations, CompleteRead: r.run.StartedAt}, mirror.At(r.Now()))
		if err != nil {
			return err
		}
		if err := tx.MarkRead(r.run.ID, keys); err != nil {
			return err
		}
		r.noteAhead(steps)
		if r.run.Kind == "poll" {
			if err := r.noteDrift(tx, steps); err != nil {
				return err
			}
		}
		was := *at
		*at = next
		if err := r.save(tx); err != nil {
			*at = was
			return err
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("apply a page: %w", err)
	}
	return nil
}

func (r *reading) noteDrift(tx *store.Tx, steps []apply.Step) error {
	var rows []store.DriftRow
	for _, step := range steps {
		row, drifted, err := driftOf(step, r.run.StartedAt)
		if err != nil {
			return err
		}
		if drifted {
			rows = append(rows, row)
		}
	}
	return tx.AddDrift(r.run.ID, rows)
}

// maxAhead bounds the records that one run sets back; the next run goes on.
const maxAhead = 1000

// aheadGap says that there were more.
const aheadGap = "more records than one run sets back are newer in the copy than in the shop: poll again"

// noteAhead remembers records whose copy has a later updatedAt than the shop
// itself, though the shop has had the time to show it.
func (r *reading) noteAhead(steps []apply.Step) {
	for _, step := range steps {
		found, before := step.Last, step.Before
		if found.Content == nil || found.Updated >= before.Updated || found.AsOf < before.AsOf.Add(mirror.CorrectAge) {
			continue
		}
		if len(r.progress.Ahead) == maxAhead {
			r.gap(aheadGap)
			return
		}
		r.progress.Ahead = append(r.progress.Ahead, AheadRecord{step.Key, step.Key.ReadID(before.Parent)})
	}
}

// correct sets records back whose copy is ahead of the shop, on the evidence of
// two reads by id. The merge cannot: it only moves forward.
func (r *reading) correct(ctx context.Context) error {
	if len(r.progress.Ahead) == 0 {
		return nil
	}
	r.progress.Now = fmt.Sprintf("looking again at %d records that the shop shows older", len(r.progress.Ahead))
	first, err := r.lookAgain(ctx)
	if err != nil {
		return r.orGap(ctx, "records that the shop shows older could not be read again", err)
	}
	timer := time.NewTimer(mirror.CorrectGap)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	second, err := r.lookAgain(ctx)
	if err != nil {
		return r.orGap(ctx, "records that the shop shows older could not be read again", err)
	}
	return r.Store.Update(ctx, func(tx *store.Tx) error {
		steps, err := apply.Correct(tx, r.shop.ID, first, second, mirror.At(r.Now()))
		if err != nil {
			return err
		}
		var rows []store.DriftRow
		for _, step := range steps {
			diffs, err := mirror.Compare(step.Before.Content, step.After.Content)
			if err != nil {
				return err
			}
			row, _, err := driftRow(step.Key, ClassWrong, diffs)
			if err != nil {
				return err
			}
			rows = append(rows, row)
		}
		return tx.AddDrift(r.run.ID, rows)
	})
}

// lookAgain reads the records that are ahead by id, and keeps the answers about themselves.
func (r *reading) lookAgain(ctx context.Context) ([]mirror.Observation, error) {
	ids := map[mirror.Read][]mirror.GID{}
	wanted := make(map[mirror.Key]bool, len(r.progress.Ahead))
	for _, record := range r.progress.Ahead {
		read := mirror.InfoOf(record.Key.Kind).Read
		ids[read] = append(ids[read], record.ReadID)
		wanted[record.Key] = true
	}
	var answers []mirror.Observation
	for read, all := range ids {
		observations, err := r.client.ReadByID(ctx, read, all)
		if err != nil {
			return nil, err
		}
		for _, o := range observations {
			if wanted[o.Key] {
				answers = append(answers, o)
			}
		}
	}
	return answers, nil
}

// orGap leaves a gap for what Shopify refused, and passes the end of the context on.
func (r *reading) orGap(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	r.gap("%s: %v", what, err)
	return nil
}

// save writes where the run stands.
func (r *reading) save(tx *store.Tx) error {
	encoded, err := json.Marshal(r.progress)
	if err != nil {
		return err
	}
	r.run.Progress = encoded
	return tx.SaveRun(r.run)
}

// settle works off the reads by id that were owed when it began, and says how
// many are left when it has waited long enough. Second looks at lagging totals
// are not waited for: a full read looks at them anyway.
func (r *reading) settle(ctx context.Context) (left int64, err error) {
	began := r.Now()
	for {
		var due mirror.Instant
		err := r.Store.View(ctx, func(tx *store.Tx) (err error) {
			left, due, err = tx.CountDemands(r.shop.ID, mirror.At(began))
			return err
		})
		if err != nil || left == 0 {
			return left, err
		}
		wait := due.Time().Sub(r.Now())
		if r.Now().Add(wait).After(began.Add(settleTime)) {
			return left, nil
		}
		if wait > 0 {
			timer := time.NewTimer(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				return left, ctx.Err()
			}
		}
		if _, err := r.Hydrator.RunOnce(ctx, r.shop); err != nil {
			if ctx.Err() != nil {
				return left, ctx.Err()
			}
			r.Log.Warn("reads by id failed, trying again", "shop", r.shop.Domain, "run", r.run.ID, "error", err)
		}
	}
}

// end closes the run, with its report. Kinds that were read whole are proven
// even where others were not.
func (r *reading) end(ctx context.Context, state store.RunState, reason string) error {
	if reason != "" {
		r.gap("%s", reason)
	}
	r.run.State, r.run.Error, r.run.EndedAt = state, reason, mirror.At(r.Now())
	r.progress.Now = ""
	err := r.Store.Update(ctx, func(tx *store.Tx) error {
		report, err := report(tx, r.run, r.complete, r.gaps)
		if err != nil {
			return err
		}
		if r.run.Report, err = json.Marshal(report); err != nil {
			return err
		}
		if state == store.RunOK {
			kinds := make([]mirror.Kind, 0, len(r.complete))
			for kind, complete := range r.complete {
				if complete {
					kinds = append(kinds, kind)
				}
			}
			if err := tx.SetComplete(r.shop.ID, r.run.ID, kinds, r.run.StartedAt); err != nil {
				return err
			}
		}
		if err := r.save(tx); err != nil {
			return err
		}
		return tx.ForgetRead(r.run.ID)
	})
	if err != nil {
		return fmt.Errorf("end the run: %w", err)
	}
	return nil
}
