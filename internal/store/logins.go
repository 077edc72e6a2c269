package store

import (
	"fmt"

	"stockroom/internal/mirror"
)

// DropExpired deletes the one-time states and sessions whose time is over, and
// says how many states are left: logins that have begun and not ended.
func (t *Tx) DropExpired(now mirror.Instant) (states int64, err error) {
	for _, table := range []string{"oauth_states", "sessions"} {
		if _, err := t.exec(`DELETE FROM `+table+` WHERE expires_at <= $1`, now); err != nil {
			return 0, fmt.Errorf("drop expired %s: %w", table, err)
		}
	}
	if err := t.one(`SELECT COUNT(*) FROM oauth_states`, nil, &states); err != nil {
		return 0, fmt.Errorf("count logins: %w", err)
	}
	return states, nil
}
