package store

import (
	"fmt"

	"stockroom/internal/mirror"
)

// TokenLease says who may get tokens of a shop now.
type TokenLease struct {
	Holder string // Made anew for every lease.
	Until  mirror.Instant
}

// TokenLeaseOf finds a shop's lease, over or not; ErrNotFound where there is none.
func (t *Tx) TokenLeaseOf(domain string) (TokenLease, error) {
	var l TokenLease
	err := t.one(`SELECT holder, until FROM token_leases WHERE domain = $1`, []any{domain}, &l.Holder, &l.Until)
	return l, err
}

// TakeTokenLease gives a shop's lease to a holder, where nobody has it, its time
// is over, or its holder is the one that the caller knows to be dead. Else it
// reports false and who has it.
func (t *Tx) TakeTokenLease(domain string, lease TokenLease, now mirror.Instant, dead string) (TokenLease, bool, error) {
	n, err := t.exec(`INSERT INTO token_leases (domain, holder, until) VALUES ($1, $2, $3)
		ON CONFLICT (domain) DO UPDATE SET holder = excluded.holder, until = excluded.until
		WHERE token_leases.until <= $4 OR token_leases.holder = $5`, domain, lease.Holder, lease.Until, now, dead)
	if err != nil {
		return TokenLease{}, false, fmt.Errorf("lease the tokens of shop %s: %w", domain, err)
	}
	if n > 0 {
		return lease, true, nil
	}
	other, err := t.TokenLeaseOf(domain)
	return other, false, err
}

// EndTokenLease gives a lease back; one that is another's by now stays.
func (t *Tx) EndTokenLease(domain, holder string) error {
	_, err := t.exec(`DELETE FROM token_leases WHERE domain = $1 AND holder = $2`, domain, holder)
	return err
}
