package loop_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"stockroom/internal/loop"
)

func TestLoopWorksWhenWokenAndAfterThePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var worked []time.Duration
		began := time.Now()
		l := loop.New(func(context.Context) time.Duration {
			worked = append(worked, time.Since(began))
			return time.Minute
		})
		l.Start(t.Context())
		time.Sleep(90 * time.Second) // Once at the start, once after the pause.
		l.Wake()
		synctest.Wait()
		l.Stop()
		l.Wake() // Nobody is left to hear it, and nobody blocks.
		want := []time.Duration{0, time.Minute, 90 * time.Second}
		if len(worked) != len(want) {
			t.Fatalf("worked at %v, want %v", worked, want)
		}
		for i := range want {
			if worked[i] != want[i] {
				t.Errorf("worked at %v, want %v", worked, want)
			}
		}
	})
}

func TestStopWaitsForTheWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		over := false
		l := loop.New(func(ctx context.Context) time.Duration {
			<-ctx.Done()
			time.Sleep(time.Second)
			over = true
			return 0
		})
		l.Start(t.Context())
		synctest.Wait()
		l.Stop()
		if !over {
			t.Error("Stop returned while the work went on")
		}
		l.Stop()
		loop.New(nil).Stop()
	})
}
