package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"stockroom/internal/apply"
	"stockroom/internal/mirror"
	"stockroom/internal/shopify"
	"stockroom/internal/store"
)

// Poller reads a shop whole, by pages or by bulk operations, for its import and its daily poll.
type Poller struct {
	Config
	Hydrator *Hydrator

	mu      sync.Mutex
	running map[int64]bool
}

// NewPoller makes a Poller that settles what it finds in doubt by the hydrator's reads.
func NewPoller(config Config, hydrator *Hydrator) *Poller {
	if config.Patience == 0 {
		config.Patience = defaultPatience
	}
	if config.BulkFrom == 0 {
		config.BulkFrom = defaultBulkFrom
	}
	if config.BulkStall == 0 {
		config.BulkStall = defaultBulkStall
	}
	if config.Open == nil {
		config.Open = func(_ context.Context, d store.Delivery) (store.Delivery, bool, error) { return d, true, nil }
	}
	return &Poller{Config: config, Hydrator: hydrator, running: map[int64]bool{}}
}

// Progress is where a run stands. It is stored with every page, so that an
// interrupted run goes on where it was.
type Progress struct {
	Lists   map[string]*ListProgress `json:"lists"`
	Planned bool                     `json:"planned,omitempty"` // How each list is read has been chosen.
	Ahead   []AheadRecord            `json:"ahead,omitempty"`
	Scopes  string                   `json:"scopes,omitempty"` // What the shop granted when its lists were chosen.
	Now     string                   `json:"now"`              // What is being done, for people.
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

	// Bulk is where the list's bulk operation stands; nil where pages read it.
	Bulk *BulkProgress `json:"bulk,omitempty"`
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
	level := slog.LevelInfo
	if r.run.State != store.RunOK {
		level = slog.LevelWarn
	}
	p.Log.Log(ctx, level, "full read ended", "shop", r.shop.Domain, "run", r.run.ID, "kind", r.run.Kind, "state", r.run.State, "gaps", r.gaps)
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
	notes    []string
	brought  *bool // See broughtProducts.
	stalled  bool  // A bulk operation of this run stood still. See follow.
	doubt    bool  // Records of any kind may be wrong still, so nothing is proven.
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
	if err := r.audit(ctx); err != nil {
		return err
	}
	if r.run.State == store.RunQueued {
		if err := r.begin(ctx); err != nil {
			return err
		}
	}
	if err := r.plan(ctx); err != nil {
		return err
	}
	for _, list := range shopify.Lists() {
		if err := r.readList(ctx, list); err != nil || r.run.State.Over() {
			return err
		}
	}
	r.metafields()
	if err := r.absences(ctx); err != nil {
		return err
	}
	if err := r.letGo(ctx); err != nil {
		return err
	}
	if err := r.correct(ctx); err != nil {
		return err
	}
	left, err := r.settle(ctx)
	if err != nil {
		return err
	}
	if left > 0 {
		r.doubt = true
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

// audit mends subscriptions, and takes what the shop grants from what it found.
func (r *reading) audit(ctx context.Context) error {
	if err := r.Audit(ctx, r.shop); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.gap("webhook subscriptions could not be checked: %v", err)
	}
	return r.Store.View(ctx, func(tx *store.Tx) (err error) {
		r.shop, err = tx.ShopByID(r.shop.ID)
		r.progress.Scopes = r.shop.Scopes
		return err
	})
}

// Outgrown reports that a shop shares other lists by now than when a run chose
// what to read: they are to be read by another.
func Outgrown(run store.Run, shop store.Shop) (bool, error) {
	at, err := ReadProgress(run)
	if err != nil || at.Scopes == "" || shop.State != store.ShopConnected {
		return false, err
	}
	return !slices.Equal(sharedLists(at.Scopes), sharedLists(shop.Scopes)), nil
}

// sharedLists are the names of the lists that these scopes let us read.
func sharedLists(scopes string) []string {
	var names []string
	for _, list := range shopify.Lists() {
		if len(shopify.MissingScopes(shopify.ParseScopes(scopes), list.Scopes)) == 0 {
			names = append(names, list.Name)
		}
	}
	return names
}

// begin lets the copy be as current as it can, since what was heard already and
// is owed already is no drift, and marks the run's start.
func (r *reading) begin(ctx context.Context) error {
	if err := r.Drain(ctx, r.shop.ID); err != nil {
		return fmt.Errorf("apply what was heard: %w", err)
	}
	if _, err := r.settle(ctx); err != nil {
		return err
	}
	r.run.State, r.run.StartedAt = store.RunRunning, r.client.Clock().Now()
	return r.Store.Update(ctx, r.save)
}

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
		return r.notShared(ctx, list, fmt.Sprintf("The shop did not grant %s: it can at /shopify/login?shop=%s", strings.Join(missing, ", "), r.shop.Domain))
	}
	if at.Bulk != nil && at.Bulk.Failed == "" && !at.Done {
		return r.readBulk(ctx, list, at)
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
			if list.Protected && shopify.ClassOf(err) == shopify.ClassDenied {
				return r.notApproved(ctx, list)
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

func (r *reading) notApproved(ctx context.Context, list shopify.List) error {
	return r.notShared(ctx, list, "Shopify has not approved the app for protected customer data: ask for that in the app's settings at Shopify")
}

// notShared passes a list over. What the shop never shared is not mirrored: that
// is no gap, and is noted. What it shares no more lies in the copy unproven: where
// a scope was taken back it is hidden; else it is a gap.
func (r *reading) notShared(ctx context.Context, list shopify.List, reason string) error {
	return r.Store.View(ctx, func(tx *store.Tx) error {
		for _, kind := range list.Kinds {
			rows, err := tx.ShownAfter(r.shop.ID, kind, "", 1)
			if err != nil {
				return err
			}
			if len(rows) > 0 {
				if mirror.Withheld(kind, r.granted()) { // Readers do not see it.
					r.notes = append(r.notes, fmt.Sprintf("%s were shared once and are not any more: what is in the copy is kept, and shown to nobody. %s", list.Name, reason))
					return nil
				}
				r.gap("%s are in the copy and can not be read any more. %s", list.Name, reason)
				return nil
			}
		}
		r.notes = append(r.notes, fmt.Sprintf("%s are not copied. %s", list.Name, reason))
		return nil
	})
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

// apply writes a page, and how far the list is.
func (r *reading) apply(ctx context.Context, page shopify.Page, at *ListProgress) error {
	next := *at
	next.Cursor, next.Done = page.Next, page.Next == ""
	if err := r.write(ctx, page.Observations, at, next, func(*store.Tx) error { return nil }); err != nil {
		return fmt.Errorf("apply a page: %w", err)
	}
	return nil
}

// write stores what was read: the records, what drifted, that they were read,
// how far the list is, and what also does, in one transaction.
func (r *reading) write(ctx context.Context, observations []mirror.Observation, at *ListProgress, next ListProgress, also func(*store.Tx) error) error {
	keys := make([]mirror.Key, 0, len(observations))
	for _, o := range observations {
		// The others are no objects: nobody looks for what they lack.
		if info := mirror.InfoOf(o.Key.Kind); o.Content != nil && string(info.Kind) == info.Type {
			keys = append(keys, o.Key)
			next.Rows++
		}
	}
	return r.Store.Update(ctx, func(tx *store.Tx) error {
		steps, err := r.applyNoting(tx, apply.Batch{Shop: r.shop.ID, Observations: observations, CompleteRead: r.run.StartedAt})
		if err != nil {
			return err
		}
		if err := tx.MarkRead(r.run.ID, keys); err != nil {
			return err
		}
		r.noteAhead(heardSince(steps, heardSlack))
		if err := also(tx); err != nil {
			return err
		}
		was := *at
		*at = next
		if err := r.save(tx); err != nil {
			*at = was
			return err
		}
		return nil
	})
}

// maxAhead bounds the records that one run sets back; the next run goes on.
const maxAhead = 1000

// noteAhead remembers records that a page shows older than the copy. Most were
// overtaken by a webhook while the page was under way, which a read by id shows.
func (r *reading) noteAhead(steps []apply.Step) {
	for _, step := range steps {
		found, before := step.Last, step.Before
		if found.Content == nil || found.Updated >= before.Updated {
			continue
		}
		if len(r.progress.Ahead) == maxAhead {
			return // See correct.
		}
		r.progress.Ahead = append(r.progress.Ahead, AheadRecord{step.Key, step.Key.ReadID(before.Parent)})
	}
}

// correct reads records by id that seemed ahead of the shop. Those that are
// are set back, on the evidence of a second read; the merge cannot, for it only
// moves forward. Where the evidence does not suffice yet, there is a gap.
func (r *reading) correct(ctx context.Context) error {
	if len(r.progress.Ahead) == maxAhead {
		r.doubt = true
		r.gap("more than %d records seemed newer in the copy than in the shop: poll again", maxAhead)
	}
	first, err := r.lookAgain(ctx)
	if err == nil && len(r.progress.Ahead) > 0 {
		r.progress.Now = fmt.Sprintf("looking twice at %d records that the shop shows older", len(r.progress.Ahead))
		if err := sleep(ctx, mirror.CorrectGap); err != nil {
			return err
		}
		var second []mirror.Observation
		if second, err = r.lookAgain(ctx); err == nil {
			err = r.setBack(ctx, first, second)
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	r.doubt = r.doubt || err != nil || len(r.progress.Ahead) > 0
	if err != nil {
		r.gap("records that the shop shows older could not be read again: %v", err)
	} else if n := len(r.progress.Ahead); n > 0 {
		r.gap("%d records are newer in the copy than in the shop itself. What said so is less than %v old and may be right still: poll again later", n, mirror.CorrectAge)
	}
	return nil
}

// lookAgain reads the records that seemed ahead by id. Those that are not are
// forgotten, the others' answers returned. One that is not found at all is owed a
// read of its own, whose null has to be proven (see Hydrator.prove).
func (r *reading) lookAgain(ctx context.Context) (behind []mirror.Observation, err error) {
	ids := map[mirror.Read][]mirror.GID{}
	for _, record := range r.progress.Ahead {
		read := mirror.InfoOf(record.Key.Kind).Read
		ids[read] = append(ids[read], record.ReadID)
	}
	ahead := map[mirror.Key]bool{}
	for _, read := range slices.Sorted(maps.Keys(ids)) {
		observations, err := r.client.ReadByID(ctx, read, ids[read])
		if err != nil {
			return nil, err
		}
		now := mirror.At(r.Now())
		var demands []mirror.Demand
		for id, answer := range answersTo(read, observations) {
			if answer.Content == nil {
				demands = append(demands, mirror.Demand{Read: read, ID: id})
			}
		}
		found := slices.DeleteFunc(observations, func(o mirror.Observation) bool { return o.Content == nil })
		err = r.Store.Update(ctx, func(tx *store.Tx) error {
			steps, err := apply.Apply(tx, apply.Batch{Shop: r.shop.ID, Observations: found, Demands: demands}, now)
			for _, step := range steps {
				if step.Last.Content != nil && step.Last.Updated < step.After.Updated {
					ahead[step.Key] = true
					behind = append(behind, step.Last)
				}
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	r.progress.Ahead = slices.DeleteFunc(r.progress.Ahead, func(record AheadRecord) bool { return !ahead[record.Key] })
	return behind, nil
}

// setBack writes what two reads agree on, and notes it as drift.
func (r *reading) setBack(ctx context.Context, first, second []mirror.Observation) error {
	done := map[mirror.Key]bool{}
	err := r.Store.Update(ctx, func(tx *store.Tx) error {
		steps, err := apply.Correct(tx, r.shop.ID, first, second, mirror.At(r.Now()))
		if err != nil {
			return err
		}
		var rows []store.DriftRow
		for _, step := range steps {
			done[step.Key] = true
			row, err := driftRow(step.Key, ClassWrong, step.Before.Content, step.After.Content)
			if err != nil {
				return err
			}
			row.FoundAt, row.ChangedAt = step.Last.AsOf, step.After.Updated
			row.Cause, row.Note = judged(mirror.Evidence{Kind: step.Key.Kind, Ahead: true})
			rows = append(rows, row)
		}
		return tx.AddDrift(r.run.ID, rows)
	})
	r.progress.Ahead = slices.DeleteFunc(r.progress.Ahead, func(record AheadRecord) bool { return done[record.Key] })
	return err
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
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
	err = r.Store.Update(ctx, func(tx *store.Tx) error { return tx.HastenDemands(r.shop.ID, mirror.At(began)) })
	if err != nil {
		return 0, err
	}
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
		if r.Now().Add(wait).After(began.Add(r.Patience)) {
			return left, nil
		}
		if err := sleep(ctx, wait); err != nil {
			return left, err
		}
		if _, err := r.Hydrator.RunOnce(ctx, r.shop); err != nil {
			if ctx.Err() != nil {
				return left, ctx.Err()
			}
			r.Log.Warn("reads by id failed, trying again", "shop", r.shop.Domain, "run", r.run.ID, "error", err)
		}
	}
}

// end closes the run, with its report. Kinds that were read whole, with every
// absence confirmed, are proven even where others were not.
func (r *reading) end(ctx context.Context, state store.RunState, reason string) error {
	if reason != "" {
		r.gap("%s", reason)
	}
	r.run.State, r.run.Error, r.run.EndedAt = state, reason, mirror.At(r.Now())
	r.progress.Now = ""
	if r.run.Kind == "poll" {
		if err := r.judge(ctx); err != nil {
			return err
		}
	}
	err := r.Store.View(ctx, func(tx *store.Tx) error { // All drift is read, which is much for a write transaction.
		report, err := report(tx, r.run, r.complete, r.gaps, r.notes)
		if err != nil {
			return err
		}
		r.run.Report, err = json.Marshal(report)
		return err
	})
	if err != nil {
		return fmt.Errorf("report the run: %w", err)
	}
	err = r.Store.Update(ctx, func(tx *store.Tx) error {
		if state != store.RunFailed && !r.doubt {
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
		return r.save(tx)
	})
	if err != nil {
		return fmt.Errorf("end the run: %w", err)
	}
	return ForgetRead(ctx, r.Store)
}

// forgetBatch bounds one transaction of forgetting, so that it keeps no webhook waiting.
const forgetBatch = 5000

// ForgetRead drops what runs that are over noted of what they read.
func ForgetRead(ctx context.Context, db *store.Store) error {
	for {
		var dropped int64
		err := db.Update(ctx, func(tx *store.Tx) (err error) {
			dropped, err = tx.ForgetRead(forgetBatch)
			return err
		})
		if err != nil {
			return fmt.Errorf("forget what runs read: %w", err)
		}
		if dropped < forgetBatch {
			return nil
		}
	}
}

// Abandon ends a run as failed that could not be carried on. What had drifted by
// then is judged and reported all the same. Where that cannot be done either, the run
// ends without, and the error says so.
func (p *Poller) Abandon(ctx context.Context, runID int64, reason error) error {
	r := &reading{Poller: p, doubt: true, complete: map[mirror.Kind]bool{}}
	err := p.Store.View(ctx, func(tx *store.Tx) (err error) {
		if r.run, err = tx.RunByID(runID); err != nil {
			return err
		}
		r.shop, err = tx.ShopByID(r.run.ShopID)
		return err
	})
	if err != nil || r.run.State.Over() {
		return err
	}
	if r.progress, err = ReadProgress(r.run); err == nil {
		err = r.end(ctx, store.RunFailed, reason.Error())
	}
	if err == nil {
		return nil
	}
	return errors.Join(err, p.Store.Update(ctx, func(tx *store.Tx) error {
		run, err := tx.RunByID(runID)
		if err != nil || run.State.Over() {
			return err
		}
		run.State, run.Error, run.EndedAt = store.RunFailed, reason.Error(), mirror.At(p.Now())
		if run.Report, err = json.Marshal(Report{Gaps: []string{reason.Error()}}); err != nil {
			return err
		}
		return tx.SaveRun(run)
	}))
}
