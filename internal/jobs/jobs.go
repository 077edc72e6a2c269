// Package jobs runs what takes long or comes by the clock, on River: imports,
// polls, sweeps and other tasks, their schedules, and the clearing away of what
// is over.
//
// It promises that a run and its job are written in one transaction, that a
// slot of the schedule that passed while nobody was up gets its run on return,
// and that no slot gets two. Webhooks never become jobs: package apply drains
// them itself.
package jobs

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"
	"github.com/robfig/cron/v3"

	"stockroom/internal/loop"
	"stockroom/internal/mirror"
	"stockroom/internal/reconcile"
	"stockroom/internal/store"
)

// Config is what the jobs need.
type Config struct {
	Store   *store.Store
	Poller  *reconcile.Poller
	Watcher *reconcile.Watcher

	// Tasks carries out tasks, by their kind: one that is queued, or that a
	// process left unfinished. It returns the task as it ended, at once where it
	// has. An error says that it did not end, and may be carried on by a new call.
	Tasks map[string]func(ctx context.Context, id int64) (store.Task, error)

	// Upkeep looks after the shops' tokens and subscriptions, hourly.
	Upkeep func(context.Context) error

	// Pages looks after Facebook Pages, every 15 minutes. Default: there are none.
	Pages func(context.Context) error

	// Work makes this process carry out jobs, Schedule makes it give slots
	// their runs. With neither, jobs are only handed in.
	Work, Schedule bool

	PollSchedule cron.Schedule
	PollZone     *time.Location // Nil: the shop's own.
	PollSpread   time.Duration  // Over which the shops' polls are spread; none with one shop.

	SweepInterval time.Duration // Between two sweeps of a shop; zero for none.

	// How long stored webhooks are kept.
	RetentionDone, RetentionQuarantined time.Duration

	Now func() time.Time
	Log *slog.Logger
}

// Jobs is the job engine. Its methods may be called from any goroutine.
type Jobs struct {
	Config
	client *river.Client[*sql.Tx]
	turns  loop.Turns[taskTurn]
}

const (
	pollQueue     = "polls"
	scheduleQueue = "schedule"
	// upkeepQueue is for what may take long and must not hold the schedules up:
	// the clearing reads all histories, the watcher asks shops over the network.
	upkeepQueue = "upkeep"
	// upkeepWorkers are as many as there are kinds of upkeep, each of which runs once at a time.
	upkeepWorkers = 4
	// pollWorkers bounds the shops that one process reads whole at a time. Most of
	// a full read is waiting: for Shopify's answers, for its budget to fill up, for
	// a bulk operation that may stand still for half an hour. A worker that waits
	// costs a page's memory, and too few of them let a handful of such shops hold up
	// all others; what is written is written one at a time anyway.
	pollWorkers = 16

	// maxPeriodic is how long a periodic job may take: River gives one a minute if
	// it is not told otherwise, too little to clear a large database. It has to lie
	// below the hour after which River takes a job up again whose process is gone;
	// without a bound River never would, and no other of its kind would begin.
	maxPeriodic = 50 * time.Minute

	scheduleEvery = 30 * time.Second
	clearEvery    = time.Hour
	upkeepEvery   = time.Hour
	// pagesEvery is well below the hour after which Facebook ends the subscription of
	// a Page whose webhooks fail.
	pagesEvery = 15 * time.Minute

	// pollInterval is how often River looks for jobs that another process handed in.
	pollInterval = time.Second
)

// Migrate brings River's own tables up to date. They lie in the store's database.
func Migrate(ctx context.Context, s *store.Store) error {
	migrator, err := rivermigrate.New(riversqlite.New(s.Writer()), &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return fmt.Errorf("migrate jobs: %w", err)
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("migrate jobs: %w", err)
	}
	return nil
}

// New makes the engine over a database whose tables Migrate made.
func New(config Config) (*Jobs, error) {
	j := &Jobs{Config: config}
	riverConfig := &river.Config{
		Logger: config.Log,
		// SQLite has no notifications of its own; looking once a second is
		// cheaper than emulating them.
		PollOnly:          true,
		FetchPollInterval: pollInterval,
		// River names indexes here that only PostgreSQL has.
		ReindexerIndexNames: []string{},
	}
	workers, queues := river.NewWorkers(), map[string]river.QueueConfig{}
	if config.Work {
		river.AddWorker(workers, &runWorker{jobs: j})
		river.AddWorker(workers, &taskWorker{jobs: j})
		queues[taskQueue] = river.QueueConfig{MaxWorkers: taskWorkers}
		queues[pollQueue] = river.QueueConfig{MaxWorkers: pollWorkers}
	}
	if config.Schedule {
		river.AddWorker(workers, &scheduleWorker{jobs: j})
		river.AddWorker(workers, &clearWorker{jobs: j})
		river.AddWorker(workers, &sweepWorker{jobs: j})
		river.AddWorker(workers, &watchWorker{watcher: config.Watcher})
		river.AddWorker(workers, &upkeepWorker{jobs: j})
		river.AddWorker(workers, &pagesWorker{jobs: j})
		queues[scheduleQueue] = river.QueueConfig{MaxWorkers: 1}
		queues[upkeepQueue] = river.QueueConfig{MaxWorkers: upkeepWorkers}
	}
	if len(queues) > 0 {
		riverConfig.Workers, riverConfig.Queues = workers, queues
		// Whichever process leads puts these in; a scheduler takes them out.
		riverConfig.PeriodicJobs = []*river.PeriodicJob{periodic(scheduleQueue, scheduleEvery, scheduleArgs{}),
			periodic(upkeepQueue, clearEvery, clearArgs{}), periodic(upkeepQueue, reconcile.WatchEvery, watchArgs{}),
			periodic(upkeepQueue, upkeepEvery, upkeepArgs{}), periodic(upkeepQueue, pagesEvery, pagesArgs{})}
		if config.SweepInterval > 0 {
			riverConfig.PeriodicJobs = append(riverConfig.PeriodicJobs, periodic(scheduleQueue, min(scheduleEvery, config.SweepInterval), sweepArgs{}))
		}
		// A worker hands in what only a scheduler knows how to do.
		riverConfig.SkipUnknownJobCheck = true
	}
	var err error
	if j.client, err = river.NewClient(riversqlite.New(config.Store.Writer()), riverConfig); err != nil {
		return nil, fmt.Errorf("start jobs: %w", err)
	}
	return j, nil
}

// periodic puts a job in at every interval and at the start, unless the last
// one still waits.
func periodic(queue string, interval time.Duration, args river.JobArgs) *river.PeriodicJob {
	options := &river.InsertOpts{Queue: queue, UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning, rivertype.JobStateRetryable, rivertype.JobStateScheduled,
	}}}
	return river.NewPeriodicJob(river.PeriodicInterval(interval), func() (river.JobArgs, *river.InsertOpts) { return args, options },
		&river.PeriodicJobOpts{RunOnStart: true})
}

// idle reports that this process only hands jobs in.
func (j *Jobs) idle() bool { return !j.Work && !j.Schedule }

// Start works on jobs until Stop. Runs that a process left unfinished are taken up again.
func (j *Jobs) Start(ctx context.Context) error {
	if j.idle() {
		return nil
	}
	if err := j.resume(ctx); err != nil {
		return fmt.Errorf("resume runs: %w", err)
	}
	if err := j.client.Start(ctx); err != nil {
		return fmt.Errorf("start jobs: %w", err)
	}
	return nil
}

// Stop interrupts what is under way and waits for it. Runs go on where they
// were when a process is back.
func (j *Jobs) Stop(ctx context.Context) error {
	if j.idle() {
		return nil
	}
	if err := j.client.StopAndCancel(ctx); err != nil {
		return fmt.Errorf("stop jobs: %w", err)
	}
	return nil
}

// QueueRun opens a full read of a shop and hands it in, in one transaction. A
// shop has one open run at a time: where there is one, it is returned.
func (j *Jobs) QueueRun(ctx context.Context, run store.Run) (store.Run, error) {
	err := j.Store.Update(ctx, func(tx *store.Tx) (err error) {
		run, err = j.queue(ctx, tx, run)
		return err
	})
	return run, err
}

func (j *Jobs) queue(ctx context.Context, tx *store.Tx, run store.Run) (store.Run, error) {
	run.QueuedAt = mirror.At(j.Now())
	run, _, err := tx.QueueRun(run)
	if err != nil {
		return run, err
	}
	// An open run may wait out the back-off of a failed job: this one does not.
	if _, err := j.client.InsertTx(ctx, tx.SQL(), runArgs{RunID: run.ID}, nil); err != nil {
		return run, fmt.Errorf("hand in run %d: %w", run.ID, err)
	}
	return run, nil
}

// resume hands open runs in again: the job of a killed process is not given
// back by River for an hour. A run that two jobs name is carried out once.
func (j *Jobs) resume(ctx context.Context) error {
	if !j.Work {
		return nil
	}
	return j.Store.Update(ctx, func(tx *store.Tx) error {
		runs, err := tx.OpenRuns()
		if err != nil {
			return err
		}
		for _, run := range runs { // At most one a shop.
			if _, err := j.client.InsertTx(ctx, tx.SQL(), runArgs{RunID: run.ID}, nil); err != nil {
				return err
			}
		}
		return j.resumeTasks(ctx, tx)
	})
}

// runArgs names a full read to carry out.
type runArgs struct {
	RunID int64 `json:"run_id"`
}

func (runArgs) Kind() string { return "run" }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (runArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: pollQueue, MaxAttempts: RunAttempts}
}

// RunAttempts is how often a run is taken up that does not come to its end, over
// some minutes, before it is ended as failed: an open run keeps the next from starting.
const RunAttempts = 5

type runWorker struct {
	river.WorkerDefaults[runArgs]
	jobs *Jobs
}

// Timeout lets a read take as long as the shop is large.
func (*runWorker) Timeout(*river.Job[runArgs]) time.Duration { return -1 }

func (w *runWorker) Work(ctx context.Context, job *river.Job[runArgs]) error {
	err := w.jobs.RunOnce(ctx, job.Args.RunID, job.Attempt >= job.MaxAttempts)
	if errors.Is(err, store.ErrNotFound) {
		return river.JobCancel(err) // The shop was erased meanwhile.
	}
	return err
}

// RunOnce takes an open run up. An error says that it did not come to its end
// and is to be tried again, unless this was the last try: then it is given up.
func (j *Jobs) RunOnce(ctx context.Context, id int64, last bool) error {
	run, err := j.Poller.Run(ctx, id)
	if err == nil {
		err = j.byPagesNext(ctx, run)
	}
	if err == nil {
		err = j.outgrownNext(ctx, run)
	}
	switch {
	case errors.Is(err, reconcile.ErrRunning):
		return nil // Another job of this process is at it.
	case err != nil && ctx.Err() == nil && last && !errors.Is(err, store.ErrNotFound):
		j.Log.Error("a full read does not come to its end and is given up", "run", id, "error", err)
		return errors.Join(err, j.Poller.Abandon(ctx, id, err))
	}
	return err
}

// byPagesNext gives a shop another run where lists could not be read in bulk:
// it reads them by pages. That run's own failures wait for the schedule.
func (j *Jobs) byPagesNext(ctx context.Context, run store.Run) error {
	again, err := reconcile.ByPagesNext(run)
	if err != nil || !again || run.Reason == reasonByPages {
		return err
	}
	return j.Store.Update(ctx, func(tx *store.Tx) error {
		newest, err := tx.Runs(run.ShopID, 1)
		if err != nil || len(newest) == 0 || newest[0].ID != run.ID {
			return err // Another has followed already.
		}
		_, err = j.queue(ctx, tx, store.Run{ShopID: run.ShopID, Kind: run.Kind, Reason: reasonByPages, AcceptDeletions: run.AcceptDeletions})
		return err
	})
}

// outgrownNext gives a shop another run where it began to share something, or
// ceased to, while this one was under way.
func (j *Jobs) outgrownNext(ctx context.Context, run store.Run) error {
	var shop store.Shop
	err := j.Store.View(ctx, func(tx *store.Tx) (err error) {
		shop, err = tx.ShopByID(run.ShopID)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil // Erased meanwhile.
	}
	if err != nil {
		return err
	}
	again, err := reconcile.Outgrown(run, shop)
	if err != nil || !again {
		return err
	}
	_, err = j.QueueRun(ctx, store.Run{ShopID: run.ShopID, Kind: "poll", Reason: "scopes"})
	return err
}

// reasonByPages is why a run was begun that follows one which could not be read in bulk.
const reasonByPages = "by pages"

// periodicWorker is what the workers of periodic jobs have in common.
type periodicWorker[T river.JobArgs] struct{ river.WorkerDefaults[T] }

// Timeout implements river.Worker.
func (periodicWorker[T]) Timeout(*river.Job[T]) time.Duration { return maxPeriodic }

type scheduleArgs struct{}

func (scheduleArgs) Kind() string { return "schedule" }

type scheduleWorker struct {
	periodicWorker[scheduleArgs]
	jobs *Jobs
}

func (w *scheduleWorker) Work(ctx context.Context, _ *river.Job[scheduleArgs]) error {
	_, err := w.jobs.ScheduleOnce(ctx)
	return err
}

// ScheduleOnce gives every connected shop whose latest slot has had no run its
// run, and an import to one that was never read: its import failed, or a process
// ended between a login and the import. It returns those runs.
func (j *Jobs) ScheduleOnce(ctx context.Context) ([]store.Run, error) {
	var shops, unread []store.Shop
	zones := map[int64]*time.Location{}
	err := j.Store.View(ctx, func(tx *store.Tx) error {
		all, err := tx.Shops()
		if err != nil {
			return err
		}
		for _, shop := range all {
			if shop.State != store.ShopConnected {
				continue
			}
			read, waits, err := wasRead(tx, shop, mirror.At(j.Now()))
			if err != nil {
				return err
			}
			if !read {
				if !waits {
					unread = append(unread, shop)
				}
				continue
			}
			shops = append(shops, shop)
			if zones[shop.ID], err = j.zone(tx, shop); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("schedule polls: %w", err)
	}
	spread := j.PollSpread
	if len(shops) < 2 {
		spread = 0
	}
	var runs []store.Run
	for _, shop := range unread {
		run, err := j.QueueRun(ctx, store.Run{ShopID: shop.ID, Kind: "import", Reason: "connect"})
		if err != nil {
			return runs, fmt.Errorf("schedule the import of %s: %w", shop.Domain, err)
		}
		runs = append(runs, run)
	}
	for _, shop := range shops {
		slot := latestSlot(j.PollSchedule, zones[shop.ID], j.Now().Add(-spreadOf(shop.Domain, spread)))
		if slot.IsZero() || mirror.At(slot) <= shop.InstalledAt {
			continue // Its import has read it whole since.
		}
		run, claimed, err := j.claim(ctx, shop, slot)
		if err != nil {
			return runs, fmt.Errorf("schedule the poll of %s: %w", shop.Domain, err)
		}
		if claimed {
			runs = append(runs, run)
		}
	}
	return runs, nil
}

// importRetry is how long after an import that failed the next one begins.
const importRetry = 10 * time.Minute

// wasRead reports whether a shop was read whole once, and where it was not,
// whether its import is under way or failed just now.
func wasRead(tx *store.Tx, shop store.Shop, now mirror.Instant) (read, waits bool, err error) {
	runs, err := tx.Runs(shop.ID, 1)
	if err != nil || len(runs) == 0 {
		return false, false, err
	}
	if newest := runs[0]; newest.Kind != "import" || newest.State == store.RunOK || newest.State == store.RunPartial {
		return true, false, nil
	} else if newest.State.Over() {
		return false, newest.EndedAt.Add(importRetry) > now, nil
	}
	return false, true, nil
}

// claim gives a slot its run, unless it has had one.
func (j *Jobs) claim(ctx context.Context, shop store.Shop, slot time.Time) (run store.Run, claimed bool, err error) {
	day := slot.Format("2006-01-02T15:04")
	err = j.Store.View(ctx, func(tx *store.Tx) (err error) {
		claimed, err = tx.DayClaimed(shop.ID, day)
		return err
	})
	if err != nil || claimed {
		return run, false, err
	}
	err = j.Store.Update(ctx, func(tx *store.Tx) (err error) {
		if run, err = j.queue(ctx, tx, store.Run{ShopID: shop.ID, Kind: "poll", Reason: "schedule"}); err != nil {
			return err
		}
		claimed, err = tx.ClaimDay(shop.ID, day, run.ID)
		return err
	})
	return run, claimed, err
}

// zone is where the shop's days begin: the configured zone, else the shop's
// own, else UTC while that is not known.
func (j *Jobs) zone(tx *store.Tx, shop store.Shop) (*time.Location, error) {
	if j.PollZone != nil {
		return j.PollZone, nil
	}
	rows, err := tx.ShownAfter(shop.ID, mirror.KindShop, "", 1)
	if err != nil || len(rows) == 0 {
		return time.UTC, err
	}
	content, err := mirror.Decode(mirror.KindShop, rows[0].Content)
	if err != nil {
		return nil, err
	}
	zone, err := time.LoadLocation(content.(*mirror.Shop).IANATimezone)
	if err != nil {
		j.Log.Warn("the shop's time zone is not known here, its days begin at UTC's midnight", "shop", shop.Domain, "error", err)
		return time.UTC, nil
	}
	return zone, nil
}

// DropJobs takes the jobs of a shop's runs and tasks away, and what they noted of
// failures, and says how many. One that is being carried out finds its run gone.
func DropJobs(ctx context.Context, tx *store.Tx, shop int64) (int64, error) {
	const of = `DELETE FROM river_job WHERE kind = $1 AND json_extract(args, $2) IN (SELECT id FROM %s WHERE shop_id = $3)`
	var dropped int64
	for _, job := range []struct{ kind, id, table string }{{runArgs{}.Kind(), "$.run_id", "runs"}, {taskArgs{}.Kind(), "$.task_id", "tasks"}} {
		result, err := tx.SQL().ExecContext(ctx, fmt.Sprintf(of, job.table), job.kind, job.id, shop)
		if err != nil {
			return dropped, fmt.Errorf("drop the jobs of shop %d: %w", shop, err)
		}
		n, err := result.RowsAffected()
		if err != nil {
			return dropped, fmt.Errorf("drop the jobs of shop %d: %w", shop, err)
		}
		dropped += n
	}
	return dropped, nil
}

type upkeepArgs struct{}

func (upkeepArgs) Kind() string { return "upkeep" }

type upkeepWorker struct {
	river.WorkerDefaults[upkeepArgs]
	jobs *Jobs
}

// Timeout lets it ask every shop: each has a limit of its own.
func (*upkeepWorker) Timeout(*river.Job[upkeepArgs]) time.Duration { return maxPeriodic }

func (w *upkeepWorker) Work(ctx context.Context, _ *river.Job[upkeepArgs]) error {
	if w.jobs.Upkeep == nil {
		return nil
	}
	return w.jobs.Upkeep(ctx)
}

type pagesArgs struct{}

func (pagesArgs) Kind() string { return "pages" }

type pagesWorker struct {
	periodicWorker[pagesArgs]
	jobs *Jobs
}

func (w *pagesWorker) Work(ctx context.Context, _ *river.Job[pagesArgs]) error {
	if w.jobs.Pages == nil {
		return nil
	}
	return w.jobs.Pages(ctx)
}

type clearArgs struct{}

func (clearArgs) Kind() string { return "clear" }

type clearWorker struct {
	periodicWorker[clearArgs]
	jobs *Jobs
}

// clearBatch bounds one transaction of the clearing, so that it does not keep webhooks waiting.
const clearBatch = 2000

// keepHistory is how long the change feed and the drift of polls are kept.
const keepHistory = 90 * 24 * time.Hour

func (w *clearWorker) Work(ctx context.Context, _ *river.Job[clearArgs]) error {
	return w.jobs.ClearOnce(ctx)
}

// ClearOnce deletes what is over: stored webhooks whose time has come, messages of
// Facebook Pages that are as old, answered or not, old history, and what runs noted for themselves.
func (j *Jobs) ClearOnce(ctx context.Context) error {
	now := mirror.At(j.Now())
	if err := reconcile.ForgetRead(ctx, j.Store); err != nil {
		return err
	}
	for {
		var dropped int64
		err := j.Store.Update(ctx, func(tx *store.Tx) (err error) {
			if dropped, err = tx.DropDeliveries(now.Add(-j.RetentionDone), now.Add(-j.RetentionQuarantined), clearBatch); err != nil {
				return err
			}
			old, err := tx.DropOld(now.Add(-keepHistory), clearBatch)
			dropped = max(dropped, old)
			if err != nil {
				return err
			}
			tasks, err := tx.DropOldTasks(now.Add(-keepTasks), now.Add(-keepHistory), clearBatch)
			dropped = max(dropped, tasks)
			if err != nil {
				return err
			}
			messages, err := tx.DropFacebook(now.Add(-j.RetentionDone), now, clearBatch)
			dropped = max(dropped, messages)
			return err
		})
		if err != nil {
			return fmt.Errorf("clear what is over: %w", err)
		}
		if dropped < clearBatch {
			break
		}
	}
	return j.clearHistory(ctx, now.Add(-keepStories))
}

// keepStories is how long the history of each record is kept: past the time of
// stored webhooks, and long enough for somebody to ask.
const keepStories = 30 * 24 * time.Hour

// clearHistory drops what is over of the records' histories. What that is, is
// found in a read transaction, which keeps no webhook waiting.
func (j *Jobs) clearHistory(ctx context.Context, before mirror.Instant) error {
	for {
		var over []int64
		err := j.Store.View(ctx, func(tx *store.Tx) (err error) {
			over, err = tx.OldHistory(before, clearHistoryBatch)
			return err
		})
		if err != nil || len(over) == 0 {
			return err
		}
		for len(over) > 0 {
			part := over[:min(clearBatch, len(over))]
			over = over[len(part):]
			if err := j.Store.Update(ctx, func(tx *store.Tx) error { return tx.DropHistory(part) }); err != nil {
				return fmt.Errorf("clear histories: %w", err)
			}
		}
	}
}

// clearHistoryBatch bounds the entries found at once: finding them reads all.
const clearHistoryBatch = 100_000
