package connect

import (
	"context"
	"errors"
	"fmt"
	"time"

	"stockroom/internal/mirror"
	"stockroom/internal/secret"
	"stockroom/internal/store"
)

// Getting and refreshing a shop's tokens retire each other's, so that one
// process does either at a time. Those of one process take turns in memory; of
// several, the one whose lease is in the database.

const (
	// leaseLife is how long a lease lasts whose holder died: longer than its
	// holder may need, which is tokenTimeout and the storing.
	leaseLife = tokenTimeout + 20*time.Second
	// leasePause is how often a lease that another process has is looked at.
	leasePause = 25 * time.Millisecond
	// leaseEnd bounds the giving back of a lease.
	leaseEnd = 10 * time.Second
)

// errLeased says that somebody else is getting the shop's tokens now.
var errLeased = errors.New("its tokens are being renewed")

// lease is the right to get a shop's tokens. end must be called.
type lease struct {
	c      *Connector
	domain string
	holder string
	turn   func() // Gives the turn within this process back.
	over   bool   // Given back with the tokens, in one transaction.
}

// lease waits for the right to get a shop's tokens.
//
// A holder that died leaves its lease behind. It is over when its time has come,
// or when it was seen to stay for that long: clocks are set back.
func (c *Connector) lease(ctx context.Context, domain string) (*lease, error) {
	turn, err := c.tokens.Take(ctx, domain)
	if err != nil {
		return nil, fmt.Errorf("wait for the token of shop %s: %w", domain, err)
	}
	l := &lease{c: c, domain: domain, holder: secret.RandomToken(leaseBytes), turn: turn}
	var watched, dead string
	var since time.Time
	for {
		other, err := l.take(ctx, dead)
		if err == nil {
			return l, nil
		}
		if !errors.Is(err, errLeased) {
			turn()
			return nil, err
		}
		switch {
		case other != watched:
			watched, since = other, time.Now()
		case time.Since(since) >= leaseLife: // By a clock that is not set.
			dead = watched
		}
		timer := time.NewTimer(leasePause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			turn()
			return nil, fmt.Errorf("wait for the token of shop %s: %w", domain, ctx.Err())
		}
	}
}

// leaseNow is lease for who does not wait: errLeased where somebody has it.
func (c *Connector) leaseNow(ctx context.Context, domain string) (*lease, error) {
	turn, ok := c.tokens.Try(domain)
	if !ok {
		return nil, errLeased
	}
	l := &lease{c: c, domain: domain, holder: secret.RandomToken(leaseBytes), turn: turn}
	if _, err := l.take(ctx, ""); err != nil {
		turn()
		return nil, err
	}
	return l, nil
}

const leaseBytes = 16

// take writes the lease, or tells whose it is with errLeased. Looking comes
// first: it costs the writers nothing.
func (l *lease) take(ctx context.Context, dead string) (other string, err error) {
	now := mirror.At(l.c.Now())
	var found store.TokenLease
	err = l.c.Store.View(ctx, func(tx *store.Tx) (err error) {
		found, err = tx.TokenLeaseOf(l.domain)
		return err
	})
	if err == nil && found.Until > now && found.Holder != dead {
		return found.Holder, errLeased
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return "", err
	}
	taken := false
	err = l.c.Store.Update(ctx, func(tx *store.Tx) (err error) {
		found, taken, err = tx.TakeTokenLease(l.domain, store.TokenLease{Holder: l.holder, Until: now.Add(leaseLife)}, now, dead)
		return err
	})
	if err != nil {
		return "", err
	}
	if !taken {
		return found.Holder, errLeased
	}
	return "", nil
}

// endIn gives the lease back in the transaction that stores what it was for.
func (l *lease) endIn(tx *store.Tx) error { return tx.EndTokenLease(l.domain, l.holder) }

// end gives the lease back. Where it cannot be, it ends by itself.
func (l *lease) end(ctx context.Context) {
	defer l.turn()
	if l.over {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseEnd)
	defer cancel()
	if err := l.c.Store.Update(ctx, l.endIn); err != nil {
		l.c.Log.Warn("lease of a shop's tokens was not given back: it ends by itself", "shop", l.domain, "error", err)
	}
}
