package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/riverqueue/river"

	"stockroom/internal/mirror"
	"stockroom/internal/reconcile"
	"stockroom/internal/store"
)

const (
	taskQueue = "tasks"
	// taskWorkers bounds the tasks that one process carries out at a time. They
	// mostly wait, as full reads do (see pollWorkers): a scan of a large shop for minutes.
	taskWorkers = 16
	// TaskAttempts is how often a task is taken up that does not come to its end.
	TaskAttempts = 3

	// keepTasks is how long tasks that ended are kept, with their reports.
	keepTasks = 7 * 24 * time.Hour
)

// QueueTask opens a task and hands it in, in one transaction. Where one is open
// that is to do the same, it is returned.
func (j *Jobs) QueueTask(ctx context.Context, task store.Task) (store.Task, error) {
	err := j.Store.Update(ctx, func(tx *store.Tx) (err error) {
		task.QueuedAt = mirror.At(j.Now())
		if task, err = tx.QueueTask(task); err != nil {
			return err
		}
		if _, err := j.client.InsertTx(ctx, tx.SQL(), taskArgs{TaskID: task.ID}, nil); err != nil {
			return fmt.Errorf("hand in %s %d: %w", task.Kind, task.ID, err)
		}
		return nil
	})
	return task, err
}

// RunTask carries a task out in this goroutine, for a process that hands
// nothing in, and returns it as it ended.
func (j *Jobs) RunTask(ctx context.Context, id int64) (store.Task, error) {
	var task store.Task
	err := j.Store.View(ctx, func(tx *store.Tx) (err error) {
		task, err = tx.TaskByID(id)
		return err
	})
	if err != nil {
		return task, err
	}
	work, known := j.Tasks[task.Kind]
	if !known {
		return task, fmt.Errorf("task %d: this program does not know the kind %q", id, task.Kind)
	}
	release, err := j.turns.Take(ctx, taskTurn{task.ShopID, task.Kind})
	if err != nil {
		return task, err
	}
	defer release()
	return work(ctx, id)
}

// taskTurn is what one task is carried out of at a time: two jobs may name one
// task, and two sweeps of a shop would ask for the same.
type taskTurn struct {
	shop int64
	kind string
}

// taskArgs names a task to carry out.
type taskArgs struct {
	TaskID int64 `json:"task_id"`
}

func (taskArgs) Kind() string { return "task" }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (taskArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: taskQueue, MaxAttempts: TaskAttempts}
}

type taskWorker struct {
	river.WorkerDefaults[taskArgs]
	jobs *Jobs
}

// Timeout lets a task take as long as there is to do.
func (*taskWorker) Timeout(*river.Job[taskArgs]) time.Duration { return -1 }

func (w *taskWorker) Work(ctx context.Context, job *river.Job[taskArgs]) error {
	err := w.jobs.TaskOnce(ctx, job.Args.TaskID, job.Attempt >= job.MaxAttempts)
	if errors.Is(err, store.ErrNotFound) {
		return river.JobCancel(err) // The shop was erased meanwhile.
	}
	return err
}

// TaskOnce takes an open task up, as RunOnce does a run.
func (j *Jobs) TaskOnce(ctx context.Context, id int64, last bool) error {
	_, err := j.RunTask(ctx, id)
	if err != nil && ctx.Err() == nil && last && !errors.Is(err, store.ErrNotFound) {
		j.Log.Error("a task does not come to its end and is given up", "task", id, "error", err)
		return errors.Join(err, j.abandonTask(ctx, id, err))
	}
	return err
}

// abandonTask ends a task as failed that could not be carried on. It has no report.
func (j *Jobs) abandonTask(ctx context.Context, id int64, reason error) error {
	return j.Store.Update(ctx, func(tx *store.Tx) error {
		task, err := tx.TaskByID(id)
		if err != nil || task.State.Over() {
			return err
		}
		task.State, task.Error, task.EndedAt = store.RunFailed, reason.Error(), mirror.At(j.Now())
		return tx.SaveTask(task)
	})
}

// ScheduleSweeps gives every connected shop that was read once, and whose latest
// slot has had no sweep, its sweep. Shops have their slots at times of their
// own, so that they do not all ask at once. A slot that passed while nobody was
// up is not made up for: the next sweep starts where the last complete one did.
func (j *Jobs) ScheduleSweeps(ctx context.Context) ([]store.Task, error) {
	if j.SweepInterval <= 0 {
		return nil, nil
	}
	var due []store.Shop
	err := j.Store.View(ctx, func(tx *store.Tx) error {
		shops, err := tx.Shops()
		if err != nil {
			return err
		}
		for _, shop := range shops {
			sweeps, err := j.sweepDue(tx, shop)
			if err != nil {
				return err
			}
			if sweeps {
				due = append(due, shop)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("schedule sweeps: %w", err)
	}
	tasks := make([]store.Task, 0, len(due))
	for _, shop := range due {
		task, err := j.QueueTask(ctx, store.Task{ShopID: shop.ID, Kind: store.TaskSweep, Reason: "schedule"})
		if err != nil {
			return tasks, fmt.Errorf("schedule the sweep of %s: %w", shop.Domain, err)
		}
		tasks = append(tasks, task)
	}
	return tasks, nil
}

func (j *Jobs) sweepDue(tx *store.Tx, shop store.Shop) (bool, error) {
	if shop.State != store.ShopConnected {
		return false, nil
	}
	now := j.Now()
	if read, _, err := wasRead(tx, shop, mirror.At(now)); err != nil || !read {
		return false, err
	}
	phase := spreadOf(shop.Domain, j.SweepInterval)
	slot := mirror.At(now.Add(-phase).Truncate(j.SweepInterval).Add(phase))
	// Sweeps that people or a silence asked for lie between.
	last, err := tx.Tasks(shop.ID, store.TaskSweep, 20)
	for _, task := range last {
		if task.Reason == "schedule" {
			return task.State.Over() && task.QueuedAt < slot, err
		}
	}
	return true, err
}

type sweepArgs struct{}

func (sweepArgs) Kind() string { return "sweeps" }

type sweepWorker struct {
	periodicWorker[sweepArgs]
	jobs *Jobs
}

func (w *sweepWorker) Work(ctx context.Context, _ *river.Job[sweepArgs]) error {
	_, err := w.jobs.ScheduleSweeps(ctx)
	return err
}

type watchArgs struct{}

func (watchArgs) Kind() string { return "watch" }

type watchWorker struct {
	periodicWorker[watchArgs]
	watcher *reconcile.Watcher
}

func (w *watchWorker) Work(ctx context.Context, _ *river.Job[watchArgs]) error {
	_, err := w.watcher.RunOnce(ctx)
	return err
}

// resumeTasks hands open tasks in again, as resume does with runs.
func (j *Jobs) resumeTasks(ctx context.Context, tx *store.Tx) error {
	tasks, err := tx.OpenTasks()
	if err != nil {
		return err
	}
	for _, task := range tasks {
		if _, err := j.client.InsertTx(ctx, tx.SQL(), taskArgs{TaskID: task.ID}, nil); err != nil {
			return err
		}
	}
	return nil
}
