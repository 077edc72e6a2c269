package loop

import (
	"context"
	"sync"
)

// Turns is a mutex for each key, whose waiting ends with the context's. The
// zero value is ready. A key that was used once is kept: there are as many as shops.
type Turns[K comparable] struct {
	mu    sync.Mutex
	turns map[K]chan struct{}
}

// Take waits for the key's turn. The caller must call release; an error is the
// context's, and then there is nothing to release.
func (t *Turns[K]) Take(ctx context.Context, key K) (release func(), err error) {
	turn := t.of(key)
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Try takes the key's turn where nobody has it, and else reports false at once.
func (t *Turns[K]) Try(key K) (release func(), ok bool) {
	turn := t.of(key)
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, true
	default:
		return nil, false
	}
}

func (t *Turns[K]) of(key K) chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.turns == nil {
		t.turns = map[K]chan struct{}{}
	}
	turn, ok := t.turns[key]
	if !ok {
		turn = make(chan struct{}, 1)
		t.turns[key] = turn
	}
	return turn
}
