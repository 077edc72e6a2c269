package store

import "fmt"

// EraseBody empties a stored webhook's body, once it has been acted on and must not be kept.
func (t *Tx) EraseBody(seq int64) error {
	if _, err := t.exec(`UPDATE inbox SET body = '{}' WHERE seq = $1`, seq); err != nil {
		return fmt.Errorf("erase the body of webhook %d: %w", seq, err)
	}
	return nil
}
