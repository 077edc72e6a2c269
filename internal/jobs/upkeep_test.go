package jobs

import (
	"testing"
	"time"

	"github.com/riverqueue/river"
)

// TestPeriodicJobsHaveTheTimeTheyNeed: River cancels what takes longer than a
// minute unless it is told otherwise, and takes up the job of a process that is
// gone after an hour, but never one that may take for ever.
func TestPeriodicJobsHaveTheTimeTheyNeed(t *testing.T) {
	const rescued = time.Hour
	for name, timeout := range map[string]time.Duration{
		"schedule": (&scheduleWorker{}).Timeout(nil), "clear": (&clearWorker{}).Timeout(nil),
		"sweeps": (&sweepWorker{}).Timeout(nil), "watch": (&watchWorker{}).Timeout(nil),
	} {
		if timeout <= 10*river.JobTimeoutDefault || timeout >= rescued {
			t.Errorf("%s may take %v; want more than some minutes and less than %v", name, timeout, rescued)
		}
	}
}
