// Package loop holds what background work needs: a Loop that works whenever
// somebody wakes it, and again after a pause when nobody does, and Turns that
// let one worker a shop go on at a time.
//
// It promises that Wake never blocks and loses no wake-up, and that Stop returns
// only when the work is over.
package loop

import (
	"context"
	"sync"
	"time"
)

// Loop is one background worker. Use New.
type Loop struct {
	do   func(context.Context) time.Duration
	wake chan struct{}
	stop context.CancelFunc
	done sync.WaitGroup
}

// New makes a loop around do, which works off what there is and returns how
// long to sleep unless woken. Start sets it going.
func New(do func(context.Context) time.Duration) *Loop {
	return &Loop{do: do, wake: make(chan struct{}, 1)}
}

// Wake tells that there is work.
func (l *Loop) Wake() {
	select {
	case l.wake <- struct{}{}:
	default: // Woken already.
	}
}

// Start works in the background until Stop.
func (l *Loop) Start(ctx context.Context) {
	ctx, l.stop = context.WithCancel(ctx)
	l.done.Go(func() {
		sleep := time.NewTimer(0)
		defer sleep.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-l.wake:
			case <-sleep.C:
			}
			sleep.Reset(l.do(ctx))
		}
	})
}

// Stop cancels the work's context and waits for its end. A loop that was never
// started, or is stopped twice, is no trouble.
func (l *Loop) Stop() {
	if l.stop != nil {
		l.stop()
	}
	l.done.Wait()
}
