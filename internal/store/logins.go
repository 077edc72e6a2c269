package store

import (
	"fmt"

	"stockroom/internal/mirror"
)

// DropExpired deletes the used states and the sessions whose time is over.
func (t *Tx) DropExpired(now mirror.Instant) error {
	for _, table := range []string{"oauth_states", "sessions"} {
		if _, err := t.exec(`DELETE FROM `+table+` WHERE expires_at <= $1`, now); err != nil {
			return fmt.Errorf("drop expired %s: %w", table, err)
		}
	}
	return nil
}
