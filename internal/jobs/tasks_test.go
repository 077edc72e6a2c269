package jobs

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stockroom/internal/mirror"
	"stockroom/internal/store"
)

type taskFunc = func(context.Context, int64) (store.Task, error)

// taskJobs makes an engine over an empty database with one shop.
func taskJobs(t *testing.T, tasks map[string]taskFunc) (*Jobs, store.Shop) {
	t.Helper()
	db, err := store.Open(t.Context(), "sqlite://"+filepath.Join(t.TempDir(), "stockroom.db"), store.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if err := Migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	j, err := New(Config{Store: db, Now: time.Now, Log: slog.New(slog.DiscardHandler), Work: true, Tasks: tasks})
	if err != nil {
		t.Fatal(err)
	}
	var shop store.Shop
	err = db.Update(t.Context(), func(tx *store.Tx) (err error) {
		shop, err = tx.SaveShop(store.Shop{Domain: "a.myshopify.com", State: store.ShopConnected, WebhookKeyHash: []byte("hash"), WebhookKey: []byte("sealed")})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return j, shop
}

func (j *Jobs) mustQueue(t *testing.T, shop store.Shop, kind string) store.Task {
	t.Helper()
	task, err := j.QueueTask(t.Context(), store.Task{ShopID: shop.ID, Kind: kind, Reason: "manual"})
	if err != nil {
		t.Fatal(err)
	}
	return task
}

func (j *Jobs) mustFind(t *testing.T, id int64) (task store.Task) {
	t.Helper()
	err := j.Store.View(t.Context(), func(tx *store.Tx) (err error) {
		task, err = tx.TaskByID(id)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return task
}

// end is a worker that ends its task ok, with its own name for a report.
func end(j **Jobs, name string) taskFunc {
	return func(ctx context.Context, id int64) (task store.Task, err error) {
		err = (*j).Store.Update(ctx, func(tx *store.Tx) (err error) {
			if task, err = tx.TaskByID(id); err != nil || task.State.Over() {
				return err
			}
			task.State, task.Report, task.EndedAt = store.RunOK, []byte(`"`+name+`"`), mirror.At(time.Now())
			return tx.SaveTask(task)
		})
		return task, err
	}
}

func TestATaskGoesToTheWorkerOfItsKind(t *testing.T) {
	var j *Jobs
	j, shop := taskJobs(t, map[string]taskFunc{store.TaskSweep: end(&j, "swept"), store.TaskUndelete: end(&j, "undeleted"), store.TaskReplay: end(&j, "replayed")})
	for kind, want := range map[string]string{store.TaskSweep: `"swept"`, store.TaskUndelete: `"undeleted"`, store.TaskReplay: `"replayed"`} {
		task := j.mustQueue(t, shop, kind)
		if again := j.mustQueue(t, shop, kind); again.ID != task.ID {
			t.Errorf("%s: asked for twice, it is two tasks", kind)
		}
		if err := j.TaskOnce(t.Context(), task.ID, false); err != nil {
			t.Fatal(err)
		}
		if got := j.mustFind(t, task.ID); got.State != store.RunOK || string(got.Report) != want {
			t.Errorf("%s ended %s with the report %s; want ok with %s", kind, got.State, got.Report, want)
		}
	}
}

// TestATaskThatNeverEndsIsGivenUp: its last try ends it as failed with the
// reason, for an open task keeps the next of its kind from being asked for.
// Those before leave it open, and so does the end of the process.
func TestATaskThatNeverEndsIsGivenUp(t *testing.T) {
	trouble := errors.New("the disk is full")
	j, shop := taskJobs(t, map[string]taskFunc{store.TaskSweep: func(ctx context.Context, _ int64) (store.Task, error) {
		return store.Task{}, errors.Join(trouble, ctx.Err())
	}})
	sweep, unknown := j.mustQueue(t, shop, store.TaskSweep), j.mustQueue(t, shop, store.TaskReplay)
	stopped, stop := context.WithCancel(t.Context())
	stop()
	for _, try := range []struct {
		ctx  context.Context
		last bool
	}{{t.Context(), false}, {stopped, true}} {
		if err := j.TaskOnce(try.ctx, sweep.ID, try.last); err == nil {
			t.Error("a task that did not end is told as ended")
		}
		if got := j.mustFind(t, sweep.ID); got.State != store.RunQueued {
			t.Errorf("the task is %s; want it left open for another try", got.State)
		}
	}
	for _, task := range []store.Task{sweep, unknown} {
		if err := j.TaskOnce(t.Context(), task.ID, true); err == nil {
			t.Error("a task that is given up is told as ended")
		}
	}
	if got := j.mustFind(t, sweep.ID); got.State != store.RunFailed || got.Error != trouble.Error() || got.EndedAt == 0 {
		t.Errorf("given up, the task is %+v; want it failed with the reason", got)
	}
	if got := j.mustFind(t, unknown.ID); got.State != store.RunFailed || !strings.Contains(got.Error, `"replay"`) {
		t.Errorf("a task of an unknown kind is %+v; want it failed and the kind named", got)
	}
}

// TestAKindHasOneTaskOfAShopAtATime: two jobs may name one task, and a shop's
// next task of the kind waits for the one under way. Other kinds do not wait.
func TestAKindHasOneTaskOfAShopAtATime(t *testing.T) {
	var j *Jobs
	var sweeping atomic.Int32
	var first sync.Once
	began, goOn := make(chan bool), make(chan bool)
	j, shop := taskJobs(t, map[string]taskFunc{
		store.TaskSweep: func(ctx context.Context, id int64) (store.Task, error) {
			if n := sweeping.Add(1); n > 1 {
				t.Errorf("%d sweeps are under way at a time", n)
			}
			defer sweeping.Add(-1)
			first.Do(func() { // It waits for the replay beside it.
				began <- true
				<-goOn
			})
			return end(&j, "swept")(ctx, id)
		},
		store.TaskReplay: end(&j, "replayed"),
	})
	sweep, replay := j.mustQueue(t, shop, store.TaskSweep), j.mustQueue(t, shop, store.TaskReplay)
	var jobs sync.WaitGroup
	carryOut := func() {
		if err := j.TaskOnce(t.Context(), sweep.ID, false); err != nil {
			t.Error(err)
		}
	}
	jobs.Go(carryOut)
	<-began
	for range 8 {
		jobs.Go(carryOut)
	}
	if err := j.TaskOnce(t.Context(), replay.ID, false); err != nil {
		t.Error(err)
	}
	close(goOn)
	jobs.Wait()
}

// TestTasksOfAKilledProcessAreTakenUp when the next one starts.
func TestTasksOfAKilledProcessAreTakenUp(t *testing.T) {
	var j *Jobs
	done := make(chan int64, 1)
	j, shop := taskJobs(t, map[string]taskFunc{store.TaskReplay: func(ctx context.Context, id int64) (store.Task, error) {
		task, err := end(&j, "replayed")(ctx, id)
		done <- id
		return task, err
	}})
	var task store.Task
	err := j.Store.Update(t.Context(), func(tx *store.Tx) (err error) { // Its job is not handed in: River keeps a dead process's to itself.
		if task, err = tx.QueueTask(store.Task{ShopID: shop.ID, Kind: store.TaskReplay, Reason: "manual"}); err != nil {
			return err
		}
		task.State = store.RunRunning
		return tx.SaveTask(task)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case id := <-done:
		if id != task.ID {
			t.Errorf("task %d was carried out; want %d", id, task.ID)
		}
	case <-time.After(30 * time.Second):
		t.Error("nobody took the task up")
	}
	if err := j.Stop(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
}
