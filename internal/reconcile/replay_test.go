package reconcile_test

import (
	"stockroom/internal/apply"
	"stockroom/internal/store"
)

// replay feeds stored webhooks of the shop through again.
func (b *bench) replay(args apply.ReplayArgs) apply.ReplayReport {
	b.t.Helper()
	task, err := b.applier.Replay(b.t.Context(), b.queueTask(store.TaskReplay, args).ID)
	if err != nil {
		b.t.Fatal(err)
	}
	if task.State != store.RunOK {
		b.t.Fatalf("the replay ended %s: %s", task.State, task.Error)
	}
	report, err := apply.ReadReplayReport(task)
	if err != nil {
		b.t.Fatal(err)
	}
	return report
}
